use std::sync::{Arc, Mutex, PoisonError};

use super::{Clock, NtpState};
use crate::domain::{MonoMs, UnixMs};

/// A clock in the past that can run faster than the real one and so catch up with it, for the demonstration: sensors and
/// rules live by it, TLS and signatures never do. It starts at the real speed.
pub struct ScaledClock {
    real: Arc<dyn Clock>,
    gear: Mutex<Gear>,
    /// Wall time minus monotonic time: no change of speed is a step.
    wall_offset_ms: i64,
}

/// The speed since it was last changed.
#[derive(Clone, Copy)]
struct Gear {
    factor: u32,
    real_from: MonoMs,
    from: MonoMs,
}

impl ScaledClock {
    /// So far behind `real` that `span_ms` of its time, at `factor` times the speed, will end at the real time.
    pub fn catching_up(real: Arc<dyn Clock>, factor: u32, span_ms: i64) -> Self {
        let behind_ms = span_ms - span_ms / i64::from(factor.max(1));
        let now = real.mono();
        let wall_offset_ms = real.wall().0 - behind_ms - now.0;
        let gear = Gear { factor: 1, real_from: now, from: now };
        Self { real, gear: Mutex::new(gear), wall_offset_ms }
    }

    /// Runs at `factor` times the real speed from now on.
    pub fn run_at(&self, factor: u32) {
        let mut gear = self.gear.lock().unwrap_or_else(PoisonError::into_inner);
        let real_from = self.real.mono();
        *gear = Gear { factor: factor.max(1), real_from, from: gear.at(real_from) };
    }
}

impl Gear {
    fn at(self, real: MonoMs) -> MonoMs {
        MonoMs(self.from.0 + (real.0 - self.real_from.0) * i64::from(self.factor))
    }
}

impl Clock for ScaledClock {
    fn mono(&self) -> MonoMs {
        // Read under the lock: a reading from before a change must not be scaled by what came after it.
        let gear = self.gear.lock().unwrap_or_else(PoisonError::into_inner);
        gear.at(self.real.mono())
    }

    fn wall(&self) -> UnixMs {
        UnixMs(self.mono().0 + self.wall_offset_ms)
    }

    fn factor(&self) -> u32 {
        self.gear.lock().unwrap_or_else(PoisonError::into_inner).factor
    }

    fn boot_id(&self) -> [u8; 16] {
        self.real.boot_id()
    }

    fn ntp(&self) -> NtpState {
        NtpState::Played
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
        let scaled = ScaledClock::catching_up(real.clone(), 60, 3_600_000);
        let behind_ms = 59 * 60_000;
        assert_eq!((scaled.mono(), scaled.wall()), (MonoMs(5_000), UnixMs(1_800_000_000_000 - behind_ms)));
        real.advance(2_000);
        assert_eq!((scaled.mono(), scaled.wall()), (MonoMs(7_000), UnixMs(real.wall().0 - behind_ms)));
        scaled.run_at(60);
        real.advance(60_000);
        assert_eq!((scaled.mono(), scaled.wall()), (MonoMs(3_607_000), real.wall()));
        scaled.run_at(1);
        real.advance(10_000);
        assert_eq!((scaled.mono(), scaled.wall()), (MonoMs(3_617_000), real.wall()));
    }
}
