//! The one file that reads the machine's clocks.

use std::fs;

use super::{Clock, NtpState};
use crate::domain::{MonoMs, UnixMs};

/// At this maximum error the kernel gives the discipline up (NTP_PHASE_LIMIT, 16 s); it is also the value at boot and
/// after the clock was set by hand. STA_UNSYNC is no guide: some daemons set it to keep the kernel off the RTC.
const NTP_ERROR_US_LIMIT: i64 = 16_000_000;

/// The Linux clocks.
pub struct SystemClock {
    boot_id: [u8; 16],
    use_rtc: bool,
}

impl SystemClock {
    /// Reads the boot id once: it does not change while a process lives.
    pub fn new() -> anyhow::Result<Self> {
        let path = "/proc/sys/kernel/random/boot_id";
        let text = fs::read_to_string(path).map_err(|error| anyhow::anyhow!("read {path}: {error}"))?;
        let id =
            uuid::Uuid::parse_str(text.trim()).map_err(|error| anyhow::anyhow!("parse {path}: {error}"))?;
        Ok(Self { boot_id: *id.as_bytes(), use_rtc: true })
    }

    /// CLOCK_BOOTTIME in microseconds: to measure what takes less than a millisecond, never to judge by.
    pub fn mono_us(&self) -> i64 {
        let time = read(libc::CLOCK_BOOTTIME);
        time.0 * 1_000_000 + time.1 / 1_000
    }

    /// Shows no RTC, for a machine whose RTC runs wrong.
    pub fn without_rtc(self) -> Self {
        Self { use_rtc: false, ..self }
    }
}

impl Clock for SystemClock {
    fn mono(&self) -> MonoMs {
        MonoMs(read_ms(libc::CLOCK_BOOTTIME))
    }

    fn wall(&self) -> UnixMs {
        UnixMs(read_ms(libc::CLOCK_REALTIME))
    }

    fn boot_id(&self) -> [u8; 16] {
        self.boot_id
    }

    fn ntp(&self) -> NtpState {
        ntp()
    }

    fn rtc(&self) -> Option<UnixMs> {
        if !self.use_rtc {
            return None;
        }
        // The clock the kernel itself would start from; seconds since the epoch, UTC.
        let text = fs::read_to_string("/sys/class/rtc/rtc0/since_epoch").ok()?;
        text.trim().parse::<i64>().ok().map(|seconds| UnixMs(seconds * 1_000))
    }
}

fn read_ms(clock: libc::clockid_t) -> i64 {
    let (seconds, nanoseconds) = read(clock);
    seconds * 1_000 + nanoseconds / 1_000_000
}

/// Seconds and nanoseconds.
#[allow(unsafe_code)]
fn read(clock: libc::clockid_t) -> (i64, i64) {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec that outlives the call, which writes nothing else.
    let result = unsafe { libc::clock_gettime(clock, &raw mut time) };
    assert_eq!(
        result, 0,
        "clock_gettime fails only for a clock the kernel does not have, and Linux has both"
    );
    // The fields are narrower on 32-bit targets.
    #[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
    {
        (time.tv_sec as i64, time.tv_nsec as i64)
    }
}

#[allow(unsafe_code)]
fn ntp() -> NtpState {
    // SAFETY: timex is plain integers, for which all zeros is a valid value; modes = 0 asks and changes nothing.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: `state` is a valid timex that outlives the call.
    if unsafe { libc::adjtimex(&raw mut state) } < 0 {
        return NtpState::Unknown;
    }
    #[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
    let error_us = state.maxerror as i64;
    if error_us < NTP_ERROR_US_LIMIT {
        NtpState::Synchronized { error_ms: error_us / 1_000 + 1 }
    } else {
        NtpState::Unsynchronized
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_counts_and_the_boot_has_a_name() {
        let clock = SystemClock::new().unwrap();
        let first = clock.mono();
        assert!(first.0 > 0 && clock.mono() >= first);
        assert_ne!(clock.boot_id(), [0; 16]);
        assert_eq!(clock.boot_id(), SystemClock::new().unwrap().boot_id());
    }
}
