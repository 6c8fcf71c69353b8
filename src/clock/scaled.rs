use std::sync::Arc;

use super::{Clock, NtpState};
use crate::domain::{MonoMs, UnixMs};

/// A clock that runs faster than the real one, for the demonstration: sensors and rules live by it, TLS and signatures
/// never do.
pub struct ScaledClock {
    real: Arc<dyn Clock>,
    factor: u32,
    real_mono_start: MonoMs,
    wall_start: UnixMs,
}

impl ScaledClock {
    /// `factor` times as fast as `real`; after `span_ms` of its own time it shows what `real` shows then.
    pub fn ending_now(real: Arc<dyn Clock>, factor: u32, span_ms: i64) -> Self {
        let factor = factor.max(1);
        let real_mono_start = real.mono();
        let real_end = real.wall().0 + span_ms / i64::from(factor);
        Self { real, factor, real_mono_start, wall_start: UnixMs(real_end - span_ms) }
    }

    fn elapsed_ms(&self) -> i64 {
        (self.real.mono().0 - self.real_mono_start.0) * i64::from(self.factor)
    }
}

impl Clock for ScaledClock {
    fn mono(&self) -> MonoMs {
        MonoMs(self.real_mono_start.0 + self.elapsed_ms())
    }

    fn wall(&self) -> UnixMs {
        UnixMs(self.wall_start.0 + self.elapsed_ms())
    }

    fn factor(&self) -> u32 {
        self.factor
    }

    fn boot_id(&self) -> [u8; 16] {
        self.real.boot_id()
    }

    /// A played time is right by definition: nobody else could vouch for it.
    fn ntp(&self) -> NtpState {
        NtpState::Synchronized { error_ms: 0 }
    }

    fn rtc(&self) -> Option<UnixMs> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::TestClock;

    #[test]
    fn an_hour_in_a_minute_ends_at_the_real_time() {
        let real = Arc::new(TestClock::new(MonoMs(5_000), UnixMs(1_800_000_000_000)));
        let scaled = ScaledClock::ending_now(real.clone(), 60, 3_600_000);
        assert_eq!((scaled.mono(), scaled.wall()), (MonoMs(5_000), UnixMs(1_800_000_060_000 - 3_600_000)));
        real.advance(60_000);
        assert_eq!((scaled.mono(), scaled.wall()), (MonoMs(3_605_000), real.wall()));
    }
}
