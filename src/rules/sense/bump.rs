//! One time above the limit, and how long it may take to turn back.

use serde::{Deserialize, Serialize};

use super::super::{Constants, HoldCause, MINUTE_MS, Tick};
use super::{Days, Hold};

/// Shorter ones are no defrost and teach nothing.
const LEARN_MS_MIN: i64 = 10 * MINUTE_MS;
/// Days with a bump before what is learned is believed.
const DAYS_NEEDED: usize = 3;
/// Until then: electric defrosts end by their timer after 45 minutes at most, and the air follows.
const NOT_LEARNED_MS: i64 = 60 * MINUTE_MS;
/// Nothing learned allows less or more: a door spike takes the least, and the most leaves room before the longest
/// time above the limit.
const ALLOWED_MS_MIN: i64 = 25 * MINUTE_MS;
const ALLOWED_MS_MAX: i64 = 85 * MINUTE_MS;
/// A controller that tells its defrosts says that there is none: what is left are doors.
pub(super) const NO_DEFROST_MS: i64 = 25 * MINUTE_MS;
/// Turning back: a degree below the peak, an eighth of the way, and getting colder by 3 K an hour.
const FALL_MIN: i32 = 100;
const FALL_PER_HOUR_MIN: i64 = 300;
/// A pull-down gets slower towards its end; its next turn is seen within this.
const RECOVERY_SLACK_MS: i64 = 10 * MINUTE_MS;

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Bump {
    since: Tick,
    peak: i32,
    /// The last instant at which it was not turning back.
    stalled: Tick,
}

impl Bump {
    pub fn new(tick: Tick, value: i32) -> Self {
        Self { since: tick, peak: value, stalled: tick }
    }

    pub fn since(&self) -> Tick {
        self.since
    }

    pub fn age_ms(&self, tick: Tick) -> i64 {
        tick.since(self.since)
    }

    /// True while it is turning back.
    pub fn follow(&mut self, tick: Tick, value: i32, max: i32, per_hour: Option<i64>) -> bool {
        self.peak = self.peak.max(value);
        let fall = self.peak.saturating_sub(value);
        let way = self.peak.saturating_sub(max).max(0);
        let is_falling = per_hour.is_some_and(|slope| slope <= -FALL_PER_HOUR_MIN);
        let is_recovering = fall >= FALL_MIN.max(way / 8) && is_falling;
        if !is_recovering {
            self.stalled = tick;
        }
        is_recovering
    }

    /// Turning back: until when it should be inside again, with as much time once more.
    pub fn recovery(
        &self,
        tick: Tick,
        value: i32,
        max: i32,
        per_hour: Option<i64>,
        constants: &Constants,
    ) -> Hold {
        let per_hour = per_hour.unwrap_or(0).saturating_neg().max(FALL_PER_HOUR_MIN);
        let inside = i64::from(max) - i64::from(constants.hysteresis_hundredths.min(1_000));
        let left_ms = (i64::from(value) - inside).max(0) * 60 * MINUTE_MS / per_hour;
        Hold { until: tick.plus(2 * left_ms + RECOVERY_SLACK_MS), cause: HoldCause::Recovering }
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
    if !is_learned(stalls) {
        return NOT_LEARNED_MS;
    }
    let slack_ms = 5 * MINUTE_MS + interval_ms.clamp(0, 15 * MINUTE_MS);
    (stalls.usual_ms() * 5 / 4 + slack_ms).clamp(ALLOWED_MS_MIN, ALLOWED_MS_MAX)
}
