//! The clocks: that the monotonic one runs, and what vouches for the time of day.

use std::time::Duration;

use anyhow::{Result, bail};

use super::Bench;
use crate::clock::{BUILD_TIME, Clock, NtpState, Observation};

const PAUSE: Duration = Duration::from_millis(20);

pub fn check(bench: &Bench) -> Result<String> {
    let clock = bench.clock.as_ref();
    let before = clock.mono();
    std::thread::sleep(PAUSE);
    let passed_ms = clock.mono().0 - before.0;
    // The clock shows whole milliseconds.
    if passed_ms < PAUSE.as_millis() as i64 - 1 {
        bail!(
            "CLOCK_BOOTTIME went on by {passed_ms} ms in {} ms; this kernel cannot be used",
            PAUSE.as_millis()
        );
    }
    words(&Observation::of(clock))
}

/// A wrong time of day is no failure: the hub judges by the monotonic clock until it knows better.
fn words(seen: &Observation) -> Result<String> {
    let time = jiff::Timestamp::from_millisecond(seen.wall.0)?.strftime("%Y-%m-%dT%H:%M:%SZ");
    let vouched = match seen.ntp {
        NtpState::Synchronized { error_ms } => format!("synchronized within {error_ms} ms"),
        NtpState::Unsynchronized => "not synchronized".to_owned(),
        NtpState::Played => "played".to_owned(),
        NtpState::Unknown => "the kernel does not tell whether it is synchronized".to_owned(),
    };
    let rtc = if seen.rtc.is_some() { "an RTC" } else { "no RTC" };
    let early =
        if seen.wall < BUILD_TIME { "; this is before the program was built, so not believed" } else { "" };
    Ok(format!("{time}, {vouched}, {rtc}{early}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{MonoMs, UnixMs};

    #[test]
    fn a_clock_that_nothing_vouches_for_is_told_and_is_no_failure() {
        let seen = Observation { mono: MonoMs(5), wall: UnixMs(0), ntp: NtpState::Unknown, rtc: None };
        assert_eq!(
            words(&seen).unwrap(),
            "1970-01-01T00:00:00Z, the kernel does not tell whether it is synchronized, no RTC; this is before the \
             program was built, so not believed"
        );
        let wall = UnixMs(4_102_444_800_000);
        let ntp = NtpState::Synchronized { error_ms: 12 };
        let seen = Observation { wall, ntp, rtc: Some(wall), ..seen };
        assert_eq!(words(&seen).unwrap(), "2100-01-01T00:00:00Z, synchronized within 12 ms, an RTC");
    }
}
