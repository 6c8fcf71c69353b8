//! What is usual for a probe of a freezer, learned from its own history, in integers and bounded memory.
//!
//! Two questions are asked of each reading, and the answers of the past are what the next one is compared with:
//! - `bump`: above the limit, for how long has it not been turning back? A defrost heats for its time and then the
//!   compressor pulls down; a spike of a door falls at once; a failure does neither.
//! - `level`: below the limit, for how long has it, or its mean, not reached its usual cold? A compressor that works comes back to it
//!   after everything a kitchen does; one that fades, or one circuit of two, does not, long before the limit is crossed.
//!
//! Both compare with the longest of each of the last days, so that a unit's defrosts need not be told from its
//! deliveries. What was longer than expected is learned shortened: a new rhythm is believed after a few times, a
//! failure is not believed at all. Temperatures are hundredths of a degree Celsius here.

mod bump;
mod days;
mod level;

use serde::{Deserialize, Serialize};

use super::{Constants, Estimate, HoldCause, MINUTE_MS, Tick, Violated};
use bump::Bump;
use days::Days;
use level::Level;

/// Longer without a reading, and what happened in between is unknown: nothing is learned from it.
const GAP_MS_MAX: i64 = 60 * MINUTE_MS;
/// So many in a row, and it is that cold.
const ODD_NEEDED: u8 = 4;
/// In which the mean follows two thirds of a change: a compressor cycle of the measured rooms.
const MEAN_MS: i64 = 30 * MINUTE_MS;
/// Longer than two samples of a probe that flickers, and shorter than anything is allowed to be too cold.
const FLICKER_MS: i64 = 30 * MINUTE_MS;

/// One probe's memory of what is usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sense {
    /// The last three readings; their median is what is looked at, so that no single sample counts.
    last: [i32; 3],
    /// How many of them there are since a gap.
    heard: u8,
    /// How many in a row were colder than anything sensible.
    odd: u8,
    at: Tick,
    bump: Option<Bump>,
    /// Longest time above the limit without turning back, per day.
    stalls: Days,
    /// Its coldest, and its mean: a compressor that cycles widely is cold for a moment with half of its power, too.
    level: Level,
    mean: Option<i32>,
    mean_level: Level,
    /// The present excursion is held until then.
    hold: Option<Hold>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Hold {
    pub until: Tick,
    pub cause: HoldCause,
}

/// A reading as it is looked at here.
#[derive(Clone, Copy)]
pub(super) struct Look {
    pub tick: Tick,
    pub celsius: i32,
    /// The limits in force.
    pub min: i32,
    pub max: i32,
    /// Out of the limits and not back inside the band since.
    pub out: Option<Violated>,
    /// It was above for the longest time allowed: nothing is learned from it.
    pub is_too_long: bool,
    pub interval_ms: i64,
}

impl Sense {
    /// Follows a judged reading.
    pub fn follow(&mut self, look: Look, controller: &Controller, constants: &Constants) {
        let Look { tick, min, max, .. } = look;
        if self.heard > 0 && tick.since(self.at) > GAP_MS_MAX.max(3 * look.interval_ms) {
            (self.heard, self.bump) = (0, None);
            self.level.lose_sight(tick);
            self.mean_level.lose_sight(tick);
        }
        let passed_ms = tick.since(self.at);
        self.at = tick;
        let is_odd = look.celsius < self.level.coldest_sensible(max);
        self.odd = if is_odd { self.odd.saturating_add(1) } else { 0 };
        if is_odd && self.odd < ODD_NEEDED {
            // A probe that flickers; what was held stays held.
            if look.out == Some(Violated::Min) {
                self.hold = Some(Hold { until: tick.plus(FLICKER_MS), cause: HoldCause::Flicker });
            }
            return;
        }
        let value = self.smooth(look.celsius);
        let is_long = self.bump.is_some_and(|bump| bump.age_ms(tick) >= bump::LEARN_MS_MIN);
        self.level.follow(tick, value, max, is_long, look.interval_ms);
        let mean = self.follow_mean(value.min(max), passed_ms);
        self.mean_level.follow(tick, mean, max, is_long, look.interval_ms);

        self.hold = None;
        if look.out == Some(Violated::Min) && value >= min {
            self.hold = Some(Hold { until: tick.plus(FLICKER_MS), cause: HoldCause::Flicker });
        }
        // One sample inside does not end what its neighbours say.
        let is_over = value <= max;
        if look.out == Some(Violated::Max) {
            let mut bump = self.bump.unwrap_or_else(|| Bump::new(tick, value));
            let is_recovering = bump.follow(tick, value, max, look.interval_ms);
            self.bump = Some(bump);
            if !self.is_failing() {
                self.hold = Some(if is_recovering {
                    bump.recovery(tick, value, max, constants)
                } else {
                    self.stall_hold(&bump, look.interval_ms, controller, tick)
                });
            }
        } else if let Some(bump) = self.bump.take_if(|_| is_over)
            && !look.is_too_long
            && let Some(stall_ms) = bump.learned(tick)
        {
            let most_ms = bump::allowed_ms(&self.stalls, look.interval_ms) * 6 / 5;
            self.stalls.push(tick, stall_ms.min(most_ms));
        }
    }

    /// Nothing is learned of this unit any more: its type, or the configuration, is another one now.
    pub fn forget(&mut self) {
        if self.heard > 0 {
            *self = Self::default();
        }
    }

    /// What keeps the present excursion from being an alarm, and until when unless a reading says otherwise.
    pub fn hold(&self) -> Option<Hold> {
        self.hold
    }

    /// It does not reach its usual cold any more.
    pub fn is_failing(&self) -> bool {
        self.level.is_failing() || self.mean_level.is_failing()
    }

    /// What can be said about an alarm that is raised now.
    pub fn estimate(&self, tick: Tick, interval_ms: i64) -> Option<Estimate> {
        let Some(bump) = &self.bump else {
            return self.level.estimate(tick).or_else(|| self.mean_level.estimate(tick));
        };
        let minutes = |ms: i64| u32::try_from(ms / MINUTE_MS).unwrap_or(u32::MAX);
        let (age_ms, usual_ms) = (bump.age_ms(tick), bump.allowed_ms(&self.stalls, interval_ms));
        (age_ms >= usual_ms).then(|| Estimate::OutFor { minutes: minutes(age_ms), usual: minutes(usual_ms) })
    }

    /// A person says that this is how it is meant to be, or it has been steady for long after they were told.
    pub fn accept(&mut self) {
        self.level.accept();
        self.mean_level.accept();
    }

    /// The median of the last three.
    fn smooth(&mut self, celsius: i32) -> i32 {
        self.last = [self.last[1], self.last[2], celsius];
        self.heard = self.heard.saturating_add(1).min(3);
        match self.heard {
            3 => {
                let [a, b, c] = self.last;
                a.max(b).min(a.min(b).max(c))
            }
            // Of two, the colder one: a first reading may be anything.
            2 => self.last[1].min(self.last[2]),
            _ => celsius,
        }
    }

    /// The mean of about the last compressor cycle, up to the limit: how hot a defrost gets says nothing about the rest.
    fn follow_mean(&mut self, value: i32, passed_ms: i64) -> i32 {
        let mean = self.mean.map_or(value, |mean| {
            let passed_ms = passed_ms.clamp(0, 4 * MEAN_MS);
            let step = (i64::from(value) - i64::from(mean)) * passed_ms / (passed_ms + MEAN_MS);
            mean.saturating_add(i32::try_from(step).unwrap_or(0))
        });
        self.mean = Some(mean);
        mean
    }

    /// Not turning back yet: until when that is usual.
    fn stall_hold(&self, bump: &Bump, interval_ms: i64, controller: &Controller, tick: Tick) -> Hold {
        let allowed_ms = bump.allowed_ms(&self.stalls, interval_ms);
        let usual = bump.since().plus(allowed_ms);
        match controller.says(tick, allowed_ms) {
            Says::DefrostUntil(until) => Hold { until, cause: HoldCause::Defrost },
            // It tells its defrosts, and this is none.
            Says::NoDefrost => {
                let until = usual.min(bump.since().plus(bump::NO_DEFROST_MS));
                Hold { until, cause: HoldCause::Usual }
            }
            Says::Nothing => {
                let is_learned = bump::is_learned(&self.stalls);
                let cause = if is_learned { HoldCause::Usual } else { HoldCause::NotLearned };
                Hold { until: usual, cause }
            }
        }
    }
}

/// A unit whose controller says when it defrosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Controller {
    /// The newest signal: defrosting or not, since when. It is not believed before it said "on" once.
    signal: Option<(bool, Tick)>,
}

/// A controller that was silent for longer than any pause between defrosts is not believed any more.
const CONTROLLER_MS_MAX: i64 = 7 * 24 * 60 * MINUTE_MS;
/// After the heater: dripping, fans, and the first of the pull-down.
const AFTER_DEFROST_MS: i64 = 30 * MINUTE_MS;

impl Controller {
    pub fn hear(&mut self, is_on: bool, tick: Tick) {
        if self.signal.map_or(is_on, |(before, _)| before != is_on) {
            self.signal = Some((is_on, tick));
        }
    }

    fn says(&self, tick: Tick, allowed_ms: i64) -> Says {
        match self.signal {
            None => Says::Nothing,
            Some((_, since)) if tick.since(since) > CONTROLLER_MS_MAX => Says::Nothing,
            Some((true, since)) => {
                Says::DefrostUntil(since.plus(allowed_ms.saturating_add(AFTER_DEFROST_MS)))
            }
            Some((false, since)) if tick.since(since) < AFTER_DEFROST_MS => {
                Says::DefrostUntil(since.plus(AFTER_DEFROST_MS))
            }
            Some((false, _)) => Says::NoDefrost,
        }
    }
}

/// What a controller makes of a rise.
enum Says {
    Nothing,
    DefrostUntil(Tick),
    NoDefrost,
}
