//! One time above the limit, and how long it may take to turn back.

use serde::{Deserialize, Serialize};

use super::super::{Constants, HoldCause, MINUTE_MS, Tick};
use super::{Days, Hold};

/// Shorter ones are no defrost and teach nothing.
pub(super) const LEARN_MS_MIN: i64 = 10 * MINUTE_MS;
/// Days with a bump before what is learned is believed.
const DAYS_NEEDED: usize = 3;
/// Until then: electric defrosts end by their timer after 45 minutes at most, and the air follows.
const NOT_LEARNED_MS: i64 = 60 * MINUTE_MS;
/// Nothing learned allows less or more: a door spike takes the least, and the most leaves room before the longest
/// time above the limit.
const ALLOWED_MS_MIN: i64 = 30 * MINUTE_MS;
const ALLOWED_MS_MAX: i64 = 90 * MINUTE_MS;
/// A controller that tells its defrosts says that there is none: what is left are doors.
pub(super) const NO_DEFROST_MS: i64 = 20 * MINUTE_MS;
/// Turning back: a degree below the peak and an eighth of the way ...
const FALL_MIN: i32 = 100;
/// ... and colder by this than ever since the peak, within this time: the compressor's cycle goes up and down meanwhile.
const PROGRESS: i32 = 30;
const PROGRESS_MS: i64 = 18 * MINUTE_MS;
/// No pull-down that is one is slower than this, in hundredths of a degree an hour.
const FALL_PER_HOUR_MIN: i64 = 200;
/// One that came back by this and half of the way is a room in use rather than a dead compressor.
const WORKED_MIN: i32 = 200;
const WORKED_MS: i64 = 105 * MINUTE_MS;

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Bump {
    since: Tick,
    peak: (Tick, i32),
    /// The coldest since the peak, and when it got colder last.
    low: (Tick, i32),
    /// The last instant at which it was not turning back.
    stalled: Tick,
    /// It turned back once: something cools, against something that warms.
    has_worked: bool,
}

impl Bump {
    pub fn new(tick: Tick, value: i32) -> Self {
        Self { since: tick, peak: (tick, value), low: (tick, value), stalled: tick, has_worked: false }
    }

    pub fn since(&self) -> Tick {
        self.since
    }

    pub fn age_ms(&self, tick: Tick) -> i64 {
        tick.since(self.since)
    }

    /// True while it is turning back.
    pub fn follow(&mut self, tick: Tick, value: i32, max: i32, interval_ms: i64) -> bool {
        if value >= self.peak.1 {
            (self.peak, self.low) = ((tick, value), (tick, value));
        } else if value <= self.low.1.saturating_sub(PROGRESS) {
            self.low = (tick, value);
        }
        let fall = self.peak.1.saturating_sub(self.low.1);
        let way = self.peak.1.saturating_sub(max).max(0);
        let progress_ms = PROGRESS_MS.max(interval_ms.min(MINUTE_MS * 30) * 3 / 2);
        let is_recovering = fall >= FALL_MIN.max(way / 8) && tick.since(self.low.0) <= progress_ms;
        if is_recovering {
            // A coil that was hot gives its heat away without a compressor, too, but not half of the way back.
            self.has_worked |= fall >= WORKED_MIN.max(way / 2);
        } else {
            self.stalled = tick;
        }
        is_recovering
    }

    /// Turning back: until when it should be inside again if it goes on like that, with as much time once more.
    pub fn recovery(&self, tick: Tick, value: i32, max: i32, constants: &Constants) -> Hold {
        let fallen = i64::from(self.peak.1) - i64::from(self.low.1);
        let per_hour = fallen * 60 * MINUTE_MS / self.low.0.since(self.peak.0).max(MINUTE_MS);
        let inside = i64::from(max) - i64::from(constants.hysteresis_hundredths.min(1_000));
        let left_ms = (i64::from(value) - inside).max(0) * 60 * MINUTE_MS / per_hour.max(FALL_PER_HOUR_MIN);
        Hold { until: tick.plus(2 * left_ms + PROGRESS_MS), cause: HoldCause::Recovering }
    }

    /// How long this one may stall.
    pub fn allowed_ms(&self, stalls: &Days, interval_ms: i64) -> i64 {
        let usual_ms = allowed_ms(stalls, interval_ms);
        if self.has_worked { usual_ms.max(WORKED_MS) } else { usual_ms }
    }

    /// What it teaches, now that it is over.
    pub fn learned(&self, tick: Tick) -> Option<i64> {
        (tick.since(self.since) >= LEARN_MS_MIN).then(|| self.stalled.since(self.since))
    }
}

pub(super) fn is_learned(stalls: &Days) -> bool {
    stalls.count() >= DAYS_NEEDED
}

/// How long a bump may stall. Readings that are further apart see a turn later.
pub(super) fn allowed_ms(stalls: &Days, interval_ms: i64) -> i64 {
    let sampling_ms = interval_ms.clamp(0, 15 * MINUTE_MS);
    if !is_learned(stalls) {
        return NOT_LEARNED_MS + 2 * sampling_ms;
    }
    // A new rhythm counts at once, and one bad day no longer than for two.
    let usual_ms = stalls.usual_ms(1).max(stalls.recent_ms());
    (usual_ms * 6 / 5 + 5 * MINUTE_MS + sampling_ms).clamp(ALLOWED_MS_MIN, ALLOWED_MS_MAX)
}
