//! What keeps an excursion from being an alarm, and what is told before there is one.

use serde::{Deserialize, Serialize};

use super::limits::Limits;
use super::sense::Look;
use super::state::LastReading;
use super::temperature::Phase;
use super::turn::Turn;
use super::unit::Unit;
use super::{Constants, Reason, Tick, Violated, What};
use crate::domain::{AlertType, Scale, Temperature};

/// What keeps an excursion from being an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldCause {
    /// The grace of an open door.
    DoorGrace,
    /// The doubled confirm delay after it.
    DoorDelay,
    /// Still within what this unit's defrosts and deliveries take.
    Usual,
    /// The same, while too little is learned: what freezers usually take.
    NotLearned,
    /// It is getting colder fast enough.
    Recovering,
    /// The controller says that it defrosts, or did so shortly before.
    Defrost,
    /// Single samples that their neighbours contradict.
    Flicker,
}

impl HoldCause {
    pub fn as_str(self) -> &'static str {
        match self {
            HoldCause::DoorGrace => "door_grace",
            HoldCause::DoorDelay => "door_delay",
            HoldCause::Usual => "usual",
            HoldCause::NotLearned => "not_learned",
            HoldCause::Recovering => "recovering",
            HoldCause::Defrost => "defrost",
            HoldCause::Flicker => "flicker",
        }
    }
}

/// How a hold ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldEnd {
    /// The temperature came back by itself.
    BackInside,
    /// The door's grace was over: an excursion began.
    Excursion,
    Alarm,
    ByPerson,
    /// The unit was removed.
    Removed,
}

impl HoldEnd {
    pub fn as_str(self) -> &'static str {
        match self {
            HoldEnd::BackInside => "back_inside",
            HoldEnd::Excursion => "excursion",
            HoldEnd::Alarm => "alarm",
            HoldEnd::ByPerson => "by_person",
            HoldEnd::Removed => "removed",
        }
    }
}

/// What can be told about the future, or against what is usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Estimate {
    /// Even its coldest will be above the limit in so many minutes if it goes on as in the last days.
    CrossesIn { minutes: u32 },
    /// It does not reach its usual cold for so many minutes; the longest that is usual.
    NotColdFor { minutes: u32, usual: u32 },
    /// Out for so many minutes without turning back; the longest that is usual (or allowed while nothing is learned).
    OutFor { minutes: u32, usual: u32 },
}

impl Unit {
    /// What is usual for this probe, where the unit's type is one whose defrosts are learned.
    pub(super) fn learn(
        &mut self,
        index: usize,
        reading: LastReading,
        limits: &Limits,
        constants: &Constants,
    ) {
        let probe = &mut self.probes[index];
        if !constants.defrost_unit_types.contains(&self.config.unit_type) {
            probe.sense.forget();
            return;
        }
        let scale = self.config.scale;
        let celsius = |hundredths: i32| Temperature { hundredths, scale }.to(Scale::C).hundredths;
        let look = Look {
            tick: reading.tick,
            celsius: celsius(reading.temperature.hundredths),
            min: celsius(i32::try_from(limits.min).unwrap_or(i32::MIN)),
            max: celsius(i32::try_from(limits.max).unwrap_or(i32::MAX)),
            out: probe.out,
            is_too_long: probe.above.sum_ms >= constants.above_limit_ms(),
            interval_ms: probe.interval_ms,
        };
        probe.sense.follow(look, &self.controller, constants);
    }

    /// True while an open door's grace keeps a reading above the limit from being an excursion.
    pub(super) fn stays_masked(
        &mut self,
        index: usize,
        reading: LastReading,
        limits: &Limits,
        turn: &mut Turn,
    ) -> bool {
        if self.heat.phase != Phase::Ok {
            return false;
        }
        let ends_at = self.too_long_at(index, true, &turn.site.constants).unwrap_or(Tick(i64::MAX));
        self.is_masked(reading.temperature, limits.max, ends_at, turn)
    }

    /// The usual cold is not reached any more: people hear of it before the limit is crossed.
    pub(super) fn warn_early(
        &mut self,
        index: usize,
        reading: LastReading,
        limits: &Limits,
        turn: &mut Turn,
    ) {
        let probe = &self.probes[index];
        if !probe.sense.is_failing() {
            return;
        }
        let estimate = probe.sense.estimate(turn.tick, probe.interval_ms);
        self.open_excursion(Violated::Max, turn.tick, reading.temperature, limits, turn);
        self.heat.is_early = true;
        if let Some(alert) = &mut self.heat.alert {
            let (unit, severity) = (self.config.unit, alert.severity);
            turn.raise_with(unit, AlertType::AlarmActive, alert, severity, Reason::UsualColdMissed, estimate);
        }
        self.enter_heat(Phase::Alarm, Reason::UsualColdMissed, turn);
    }

    /// What keeps the excursion from being an alarm, and until when unless a reading says otherwise.
    pub(super) fn hold(&self) -> Option<(Tick, HoldCause)> {
        // Without a delay it is meant to be an alarm at once.
        if self.heat.phase != Phase::Excursion || self.heat.delay_ms == 0 {
            return None;
        }
        let door = (self.heat.extra_ms > 0)
            .then(|| (self.confirm_at().plus(self.heat.extra_ms), HoldCause::DoorDelay));
        let mut out = self.probes.iter().filter(|probe| probe.out.is_some());
        let usual = out
            .try_fold(None, |least: Option<(Tick, HoldCause)>, probe| {
                let hold = probe.sense.hold()?;
                let own = (hold.until, hold.cause);
                Some(Some(least.filter(|least| least.0 <= own.0).unwrap_or(own)))
            })
            .flatten();
        usual.into_iter().chain(door).max_by_key(|(until, _)| *until)
    }

    /// What was held is over.
    pub(super) fn end_hold(&mut self, end: HoldEnd, turn: &mut Turn) {
        let Some((since, cause)) = self.heat.held.take() else { return };
        if cause == HoldCause::DoorDelay {
            self.spend_door_delay(since, turn);
        }
        let alert = self.heat.alert.map(|alert| alert.id);
        turn.decide(self.config.unit, What::HoldEnded { alert, cause, since, end });
    }

    /// The door's grace is over: what is above the limit is an excursion now.
    pub(super) fn outlast_grace(&mut self, turn: &mut Turn) {
        let out = self.probes.iter().filter(|probe| probe.out == Some(Violated::Max));
        let newest = out.filter_map(|probe| probe.judged).max_by_key(|judged| judged.tick);
        let Some(reading) = newest else {
            self.end_grace(HoldEnd::BackInside, turn);
            return;
        };
        let limits = self.limits(turn.site, turn.tick);
        self.go_out(Violated::Max, turn.tick, reading.temperature, &limits, turn);
    }
}
