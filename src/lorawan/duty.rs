//! How much of an hour each gateway has sent in each part of the band (ETSI EN 300 220: the share is of any hour).

use std::collections::BTreeMap;

use super::ids::Eui;
use super::region::DutyBand;
use crate::domain::MonoMs;

/// Gateways whose time is counted; a kitchen has one or two. Beyond it nothing is sent in bands that have a share.
pub const GATEWAYS_MAX: usize = 64;
/// The hour is kept by minutes; the oldest counts whole until it is over.
const MINUTES: i64 = 60;
const MINUTE_MS: i64 = 60_000;
const HOUR_US: u64 = 3_600_000_000;

/// Airtime by gateway and band. A restart of the hub forgets it.
#[derive(Debug, Default)]
pub struct Duty {
    meters: BTreeMap<(Eui, u8), Meter>,
}

#[derive(Debug)]
struct Meter {
    /// Microseconds by minute, the minute modulo 61.
    minutes: [u32; MINUTES as usize + 1],
    newest: i64,
}

impl Duty {
    /// Whether `airtime_us` more keeps within the share.
    pub fn allows(&self, gateway: Eui, band: DutyBand, airtime_us: u64, now: MonoMs) -> bool {
        let used = match self.meters.get(&(gateway, band.number)) {
            Some(meter) => meter.used_us(now),
            None if self.meters.len() >= GATEWAYS_MAX => return false,
            None => 0,
        };
        used + airtime_us <= HOUR_US / 10_000 * u64::from(band.share)
    }

    /// Counts a transmission; one that was not made after all stays counted, which errs on the allowed side.
    pub fn charge(&mut self, gateway: Eui, band: DutyBand, airtime_us: u64, now: MonoMs) {
        let minute = minute(now);
        self.meters.retain(|_, meter| meter.newest + MINUTES >= minute);
        let meter = self.meters.entry((gateway, band.number)).or_insert_with(|| Meter::new(minute));
        meter.roll(minute);
        let slot = &mut meter.minutes[slot(minute)];
        *slot = slot.saturating_add(airtime_us.min(u64::from(u32::MAX)) as u32);
    }
}

impl Meter {
    fn new(newest: i64) -> Self {
        Self { minutes: [0; MINUTES as usize + 1], newest }
    }

    fn used_us(&self, now: MonoMs) -> u64 {
        let now = minute(now).max(self.newest);
        (now - MINUTES..=self.newest).map(|minute| u64::from(self.minutes[slot(minute)])).sum()
    }

    /// Empties the minutes that were over when nobody looked.
    fn roll(&mut self, minute: i64) {
        for over in (self.newest + 1..=minute).rev().take(self.minutes.len()) {
            self.minutes[slot(over)] = 0;
        }
        self.newest = self.newest.max(minute);
    }
}

fn minute(at: MonoMs) -> i64 {
    at.0.div_euclid(MINUTE_MS)
}

fn slot(minute: i64) -> usize {
    minute.rem_euclid(MINUTES + 1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATEWAY: Eui = Eui([1; 8]);
    const ONE_PERCENT: DutyBand = DutyBand { number: 2, share: 100 };

    #[test]
    fn an_hour_s_share_is_used_up_and_comes_back() {
        let mut duty = Duty::default();
        let at = |minutes: i64| MonoMs(minutes * MINUTE_MS);
        // One percent of an hour is 36 s: 18 downlinks of 2 s.
        for n in 0..18 {
            assert!(duty.allows(GATEWAY, ONE_PERCENT, 2_000_000, at(n)), "{n}");
            duty.charge(GATEWAY, ONE_PERCENT, 2_000_000, at(n));
        }
        for (minute, airtime_us, want) in [
            (18, 1, false),
            (60, 1, false),
            (61, 2_000_000, true),
            (61, 2_000_001, false),
            (62, 4_000_000, true),
            (1_000, 36_000_000, true),
            (1_000, 36_000_001, false),
        ] {
            assert_eq!(
                duty.allows(GATEWAY, ONE_PERCENT, airtime_us, at(minute)),
                want,
                "{minute} {airtime_us}"
            );
        }
        // Another gateway and another band have their own.
        assert!(duty.allows(Eui([2; 8]), ONE_PERCENT, 36_000_000, at(18)));
        assert!(duty.allows(GATEWAY, DutyBand { number: 4, share: 1_000 }, 360_000_000, at(18)));
        assert!(!duty.allows(GATEWAY, DutyBand { number: u8::MAX, share: 0 }, 1, at(18)));
    }

    #[test]
    fn minutes_nobody_looked_at_are_emptied_and_gateways_are_bounded() {
        let mut duty = Duty::default();
        let at = |minutes: i64| MonoMs(minutes * MINUTE_MS);
        for minute in [0, 1, 59, 61, 200, 261] {
            duty.charge(GATEWAY, ONE_PERCENT, 1_000_000, at(minute));
        }
        assert!(duty.allows(GATEWAY, ONE_PERCENT, 35_000_000, at(261)));
        assert!(!duty.allows(GATEWAY, ONE_PERCENT, 35_000_001, at(261)));
        for n in 0..100 {
            let gateway = Eui([n; 8]);
            if duty.allows(gateway, ONE_PERCENT, 1, at(261)) {
                duty.charge(gateway, ONE_PERCENT, 1, at(261));
            }
        }
        assert_eq!(duty.meters.len(), GATEWAYS_MAX);
        // Those silent for an hour make room.
        duty.charge(Eui([200; 8]), ONE_PERCENT, 1, at(400));
        assert_eq!(duty.meters.len(), 1);
    }
}
