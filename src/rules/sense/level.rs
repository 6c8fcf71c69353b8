//! The usual cold of a probe, and how long it has been between that and the limit. A pull-down passes there in minutes;
//! a compressor that fades, or one circuit of two, stays there for days before the limit is crossed.

use serde::{Deserialize, Serialize};

use super::super::{Estimate, MINUTE_MS, Tick};
use super::Days;

/// A compressor cycle, a defrost and the pull-down after it fit in once.
const BLOCK_MS: i64 = 4 * 60 * MINUTE_MS;
const BLOCKS: usize = 6;
/// A slow failure takes a week: the memory has to be longer.
const DAYS_KEPT: usize = 14;
/// The usual cold is known after a day; how long it is usually missed, after so many.
const DAYS_NEEDED: usize = 3;
/// Until then so much is waited at least: a delivery holds a room lukewarm for as long.
const YOUNG_MS_MIN: i64 = 150 * MINUTE_MS;
/// Hundredths of a degree between usual cold and limit, at least: with less, only the limit is watched.
const MARGIN_MIN: i32 = 200;
/// Hundredths of a degree by which no compressor overshoots, and how cold a freezer may be before that is known.
const ODD_BELOW: i32 = 800;
const NOT_LEARNED_MARGIN: i32 = 1_500;
/// Days that may have been worse: failures come back on other days.
const BAD_DAYS: usize = 2;
/// The least that is waited: an hour, and some readings, since rare ones miss the bottom of a compressor cycle. And what
/// is added to the usual, besides a third of it.
const ALLOWED_MS_MIN: i64 = 60 * MINUTE_MS;
const ALLOWED_SAMPLES_MIN: i64 = 3;
const SLACK_MS: i64 = 25 * MINUTE_MS;
/// Told for so long and not drifting: this is the new usual.
const ACCEPT_MS: i64 = 48 * 60 * MINUTE_MS;
const STEADY: i32 = 80;
/// Hundredths of a degree in two days that are a drift.
const DRIFT_MIN: i64 = 40;

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Level {
    /// The coldest of the present block, and when it began.
    block: Option<(Tick, i32)>,
    /// The coldest of each block of the present day.
    blocks: [i32; BLOCKS],
    block_count: u8,
    /// The second coldest block of each of the last days.
    days: [i32; DAYS_KEPT],
    day_at: u8,
    day_count: u8,
    /// The lower third of them, once there are enough.
    usual_cold: Option<i32>,
    /// The last time it was cold.
    cold: Option<Tick>,
    /// The coldest since.
    lowest: i32,
    /// For how long it was above the limit since, and when it was looked at last.
    above_ms: i64,
    seen: Tick,
    /// Longest time between usual cold and limit, per day.
    lukewarm: Days,
    /// Since when it fails, and the coldest at that time.
    failing: Option<(Tick, i32)>,
    /// The upper limit at the newest reading, and how often there is one.
    max: i32,
    interval_s: u16,
}

impl Level {
    pub fn follow(&mut self, tick: Tick, value: i32, max: i32, is_above: bool, interval_ms: i64) {
        self.max = max;
        self.interval_s = u16::try_from(interval_ms / 1_000).unwrap_or(u16::MAX);
        if is_above {
            self.above_ms = self.above_ms.saturating_add(tick.since(self.seen));
        }
        self.seen = tick;
        self.follow_blocks(tick, value);
        let Some(line) = self.line() else {
            self.cold = None;
            self.failing = None;
            return;
        };
        let Some(cold) = self.cold else {
            (self.cold, self.lowest, self.above_ms) = (Some(tick), value, 0);
            return;
        };
        // What is above the limit is not judged here.
        let lukewarm_ms = tick.since(cold).saturating_sub(self.above_ms);
        if value <= line {
            let is_much = lukewarm_ms > ALLOWED_MS_MIN;
            self.lukewarm.push(tick, if is_much { lukewarm_ms.min(self.most_ms()) } else { lukewarm_ms });
            (self.cold, self.lowest, self.failing) = (Some(tick), value, None);
            self.above_ms = 0;
            return;
        }
        self.lowest = self.lowest.min(value);
        match self.failing {
            None if lukewarm_ms > ALLOWED_MS_MIN && lukewarm_ms > self.allowed_ms() => {
                self.failing = Some((tick, self.lowest));
                self.lowest = value;
            }
            Some((since, lowest)) if tick.since(since) >= ACCEPT_MS => {
                if self.lowest.saturating_sub(lowest) <= STEADY {
                    self.accept();
                } else {
                    self.failing = Some((tick, self.lowest));
                    self.lowest = value;
                }
            }
            _ => {}
        }
    }

    /// Colder than this a probe flickers: well below the usual cold, or below what a freezer of this limit may have.
    pub fn coldest_sensible(&self, max: i32) -> i32 {
        self.usual_cold.unwrap_or(max.saturating_sub(NOT_LEARNED_MARGIN)).saturating_sub(ODD_BELOW)
    }

    pub fn is_failing(&self) -> bool {
        self.failing.is_some()
    }

    /// Nothing was heard for long.
    pub fn lose_sight(&mut self, tick: Tick) {
        self.block = None;
        if self.failing.is_none() && self.cold.is_some() {
            (self.cold, self.above_ms) = (Some(tick), 0);
        }
    }

    pub fn accept(&mut self) {
        *self =
            Self { lukewarm: self.lukewarm, max: self.max, interval_s: self.interval_s, ..Self::default() };
    }

    /// When even the coldest will be above the limit, where it has been getting warmer from day to day; else for how
    /// long it was not cold.
    pub fn estimate(&self, tick: Tick) -> Option<Estimate> {
        let cold = self.failing.and(self.cold)?;
        let minutes = |minutes: i64| u32::try_from(minutes).unwrap_or(u32::MAX);
        let day = |back: usize| {
            let at = (usize::from(self.day_at) + 2 * DAYS_KEPT - back) % DAYS_KEPT;
            i64::from(self.days[at])
        };
        // Over two days: a single one may have been warm.
        let drift_two_days = if usize::from(self.day_count) > 2 { day(1) - day(3) } else { 0 };
        let left = i64::from(self.max) - i64::from(self.lowest);
        if drift_two_days >= DRIFT_MIN && left > 0 {
            return Some(Estimate::CrossesIn { minutes: minutes(left * 2 * 24 * 60 / drift_two_days) });
        }
        let not_cold = minutes(tick.since(cold) / MINUTE_MS);
        Some(Estimate::NotColdFor { minutes: not_cold, usual: minutes(self.allowed_ms() / MINUTE_MS) })
    }

    /// Two fifths of the way from the usual cold to the limit: a compressor that works gets below it in every cycle.
    fn line(&self) -> Option<i32> {
        let usual = self.usual_cold?;
        let margin = self.max.saturating_sub(usual);
        (margin >= MARGIN_MIN).then(|| usual + margin / 5 * 2)
    }

    /// The most that one time between usual cold and limit teaches: what failed so early is no habit.
    fn most_ms(&self) -> i64 {
        if self.lukewarm.count() < DAYS_NEEDED { YOUNG_MS_MIN / 2 } else { self.allowed_ms() * 6 / 5 }
    }

    fn allowed_ms(&self) -> i64 {
        let interval_ms = i64::from(self.interval_s) * 1_000;
        let usual_ms = self.lukewarm.usual_ms(BAD_DAYS) * 4 / 3 + SLACK_MS + interval_ms;
        let is_young = self.lukewarm.count() < DAYS_NEEDED;
        usual_ms.max(ALLOWED_MS_MIN + ALLOWED_SAMPLES_MIN * interval_ms).max(if is_young {
            YOUNG_MS_MIN
        } else {
            0
        })
    }

    fn follow_blocks(&mut self, tick: Tick, value: i32) {
        let Some((since, lowest)) = self.block else {
            self.block = Some((tick, value));
            return;
        };
        if tick.since(since) < BLOCK_MS {
            self.block = Some((since, lowest.min(value)));
            return;
        }
        self.block = Some((tick, value));
        if let Some(slot) = self.blocks.get_mut(usize::from(self.block_count)) {
            *slot = lowest;
        }
        self.block_count = self.block_count.saturating_add(1);
        if usize::from(self.block_count) >= BLOCKS {
            self.block_count = 0;
            let mut sorted = self.blocks;
            sorted.sort_unstable();
            if let Some(slot) = self.days.get_mut(usize::from(self.day_at) % DAYS_KEPT) {
                *slot = sorted[1];
            }
            self.day_at = (self.day_at % DAYS_KEPT as u8 + 1) % DAYS_KEPT as u8;
            self.day_count = self.day_count.saturating_add(1).min(DAYS_KEPT as u8);
            let count = usize::from(self.day_count);
            let mut sorted = self.days;
            let (_, third, _) = sorted[..count].select_nth_unstable((count - 1) / 3);
            self.usual_cold = Some(*third);
        }
    }
}
