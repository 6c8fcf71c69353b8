//! The longest of each of the last days on which something happened.

use serde::{Deserialize, Serialize};

use super::super::{MINUTE_MS, Tick};

/// Two weekends, and some days between.
const DAYS: usize = 10;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Days {
    /// Seconds.
    longest: [u32; DAYS],
    /// The day being filled, and when it began.
    at: u8,
    from: Option<Tick>,
    /// How many are filled, this one too.
    filled: u8,
}

impl Days {
    pub fn push(&mut self, tick: Tick, ms: i64) {
        let seconds = u32::try_from(ms / 1_000).unwrap_or(0);
        match self.from {
            Some(from) if tick.since(from) < DAY_MS => {}
            from => {
                self.at = if from.is_some() { (self.at + 1) % DAYS as u8 } else { 0 };
                self.from = Some(tick);
                self.filled = (self.filled + 1).min(DAYS as u8);
                self.slot(0);
            }
        }
        let before = self.longest.get(usize::from(self.at)).copied().unwrap_or_default();
        self.slot(before.max(seconds));
    }

    pub fn count(&self) -> usize {
        usize::from(self.filled).min(DAYS)
    }

    /// The longest in ms, less the `bad_days` longest of all once half of the days are known: a bad day is no habit.
    pub fn usual_ms(&self, bad_days: usize) -> i64 {
        let count = self.count();
        let mut sorted = self.longest;
        sorted[..count].sort_unstable_by(|a, b| b.cmp(a));
        let skipped = if count >= DAYS / 2 { bad_days.min(count - DAYS / 2 + 1) } else { 0 };
        1_000 * sorted[..count].get(skipped).copied().map_or(0, i64::from)
    }

    /// The longest of this day and the one before.
    pub fn recent_ms(&self) -> i64 {
        let at = usize::from(self.at);
        let days = [at, (at + DAYS - 1) % DAYS].map(|day| self.longest.get(day).copied().unwrap_or_default());
        1_000 * i64::from(days[0].max(days[1]))
    }

    fn slot(&mut self, seconds: u32) {
        if let Some(slot) = self.longest.get_mut(usize::from(self.at)) {
            *slot = seconds;
        }
    }
}
