//! The temperature machine: is the unit within its limits, and for how long has it not been?

mod due;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::door::is_beyond;
use super::limits::{Limits, Place};
use super::probe::{Above, ProbeState};
use super::state::LastReading;
use super::turn::{Alert, Turn};
use super::unit::Unit;
use super::{HoldCause, HoldEnd, Machine, ReadingEvent, Reason, Tick, Violated, What};
use crate::domain::{AlertType, Severity, Temperature, UnitStatus};

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Heat {
    pub phase: Phase,
    /// Open unless `phase` is Ok.
    pub alert: Option<Alert>,
    /// When the excursion began: its clock.
    out_since: Tick,
    /// When it began to be one that may become critical.
    critical_since: Option<Tick>,
    /// The confirm delay in force at the newest judged reading.
    pub delay_ms: i64,
    /// A person closed the alert shortly before: this excursion takes half the delay.
    is_halved: bool,
    /// Good readings until the next excursion takes the whole delay again.
    halve_left: u32,
    /// The hub was away for an unknown time: the first reading still out confirms.
    is_gap_unknown: bool,
    /// A manual log was out of the limits: sensors cannot end the alarm.
    is_manual: bool,
    /// While restoring: good readings so far, and the instant of the first.
    good: u32,
    first_good: Tick,
    /// By how much an open door lengthens the confirm delay.
    pub extra_ms: i64,
    /// The delay is over, and something keeps the excursion from being an alarm: since when, and what.
    pub held: Option<(Tick, HoldCause)>,
    /// The alarm was raised within the limits: it ends when the usual cold is reached again.
    pub is_early: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Phase {
    #[default]
    Ok,
    Excursion,
    Alarm,
    Restoring {
        was_alarm: bool,
    },
}

impl Heat {
    pub fn status(&self) -> UnitStatus {
        match self.phase {
            Phase::Ok => UnitStatus::Ok,
            Phase::Excursion => UnitStatus::Excursion,
            Phase::Alarm => UnitStatus::AlarmActive,
            Phase::Restoring { .. } => UnitStatus::Restoring,
        }
    }

    fn is_critical(&self) -> bool {
        self.alert.is_some_and(|alert| alert.severity == Severity::Critical)
    }

    fn delay_ms(&self) -> i64 {
        if self.is_halved { self.delay_ms / 2 } else { self.delay_ms }
    }
}

impl Unit {
    pub fn read(&mut self, event: &ReadingEvent, turn: &mut Turn) {
        let constants = &turn.site.constants;
        let temperature = event.temperature.to(self.config.scale);
        let Some(index) = self.probes.iter().position(|probe| probe.is(event.device, event.probe)) else {
            return;
        };
        if event.is_late {
            return;
        }
        let reading = LastReading { temperature, tick: turn.tick };
        let probe = &mut self.probes[index];
        let is_jump = probe.is_jump(&reading);
        probe.check_in(reading, constants);
        let held = probe.held.take();
        if is_jump {
            probe.held = Some(reading);
        }
        self.restore_contact(Reason::Reading, turn);
        if !is_jump {
            self.judge(index, reading, held, turn);
        }
    }

    /// `held`: the jump before this reading, which shares its fate if both are out on the same side.
    fn judge(&mut self, index: usize, reading: LastReading, held: Option<LastReading>, turn: &mut Turn) {
        let constants = &turn.site.constants;
        let limits = self.limits(turn.site, turn.tick);
        let place = self.probes[index].judge(reading, &limits, constants);
        self.heat.delay_ms = limits.delay_ms;
        self.learn(index, reading, &limits, constants);
        match place {
            Place::Out(side) => {
                let since =
                    held.filter(|held| limits.place(held.temperature) == place).unwrap_or(reading).tick;
                if side == Violated::Min || !self.stays_masked(index, reading, &limits, turn) {
                    self.go_out(side, since, reading.temperature, &limits, turn);
                }
            }
            Place::Good => {
                self.end_grace(HoldEnd::BackInside, turn);
                self.come_back(turn);
            }
            Place::Near => {}
        }
        if self.heat.phase == Phase::Ok && !matches!(place, Place::Out(_)) {
            self.warn_early(index, reading, &limits, turn);
        }
        self.confirm(Some(index), turn);
    }

    pub(super) fn go_out(
        &mut self,
        side: Violated,
        since: Tick,
        trigger: Temperature,
        limits: &Limits,
        turn: &mut Turn,
    ) {
        match self.heat.phase {
            Phase::Ok => {
                self.open_excursion(side, since, trigger, limits, turn);
                self.enter_heat(Phase::Excursion, Reason::OutOfLimits, turn);
            }
            Phase::Restoring { was_alarm } => {
                let phase = if was_alarm { Phase::Alarm } else { Phase::Excursion };
                self.enter_heat(phase, Reason::OutAgain, turn);
            }
            Phase::Excursion | Phase::Alarm => {}
        }
        if side == Violated::Max && is_beyond(trigger, limits.max, &turn.site.constants) {
            self.heat.extra_ms = 0;
        }
        if self.may_be_critical(side) {
            self.heat.critical_since.get_or_insert(since);
        }
    }

    pub(super) fn open_excursion(
        &mut self,
        side: Violated,
        since: Tick,
        trigger: Temperature,
        limits: &Limits,
        turn: &mut Turn,
    ) {
        let was_masked = self.end_grace(HoldEnd::Excursion, turn);
        let alert = turn.open(
            self.config.unit,
            AlertType::AlarmActive,
            Severity::Warning,
            limits.rule,
            Some((trigger, side)),
        );
        let is_excused = side == Violated::Max && !is_beyond(trigger, limits.max, &turn.site.constants);
        let extra_ms = if is_excused { self.door_extra_ms(limits.delay_ms, was_masked, turn) } else { 0 };
        self.heat = Heat {
            extra_ms,
            alert: Some(alert),
            out_since: since,
            delay_ms: limits.delay_ms,
            is_halved: self.heat.halve_left > 0,
            halve_left: self.heat.halve_left,
            ..Heat::default()
        };
    }

    fn come_back(&mut self, turn: &mut Turn) {
        let constants = &turn.site.constants;
        let mut alive = self.probes.iter().filter(|probe| probe.is_alive(turn.tick, constants));
        match self.heat.phase {
            Phase::Ok => self.heat.halve_left = self.heat.halve_left.saturating_sub(1),
            Phase::Excursion | Phase::Alarm => {
                if self.heat.is_manual || alive.any(|probe| probe.out.is_some()) {
                    return;
                }
                let is_warm =
                    |probe: &ProbeState| probe.is_alive(turn.tick, constants) && probe.sense.is_failing();
                if self.heat.is_early && self.probes.iter().any(is_warm) {
                    self.heat.critical_since = None;
                    return;
                }
                self.heat.good = 1;
                self.heat.first_good = turn.tick;
                let was_alarm = self.heat.phase == Phase::Alarm;
                self.enter_heat(Phase::Restoring { was_alarm }, Reason::BackInside, turn);
                self.end_when_good(turn);
            }
            Phase::Restoring { .. } => {
                self.heat.good = self.heat.good.saturating_add(1);
                self.end_when_good(turn);
            }
        }
    }

    fn end_when_good(&mut self, turn: &mut Turn) {
        let constants = &turn.site.constants;
        let is_settled = self
            .probes
            .iter()
            .filter(|probe| probe.is_alive(turn.tick, constants))
            .all(|probe| probe.missing_good == 0);
        if is_settled && self.heat.good >= constants.good_needed() {
            self.end_excursion(self.heat.first_good, None, Reason::GoodReadings, turn);
        }
    }

    /// The excursion is confirmed, or becomes critical, when its time is over. `heard`: the probe whose reading was
    /// judged just now; the others' next readings must be overdue.
    fn confirm(&mut self, heard: Option<usize>, turn: &mut Turn) {
        if !self.is_rising() {
            return;
        }
        let constants = &turn.site.constants;
        let is_out_now = heard.is_some_and(|index| self.probes[index].out.is_some());
        let is_first_after_gap = is_out_now && self.heat.is_gap_unknown;
        let is_due = |at: Option<Tick>| at.is_some_and(|at| at <= turn.tick);
        let decided = |tick: Tick| if is_out_now { tick } else { tick.max(self.out_overdue(constants)) };
        let hold = self.hold().filter(|(until, _)| *until > turn.tick);
        let released = |tick: Tick| hold.map_or(tick, |(until, _)| until.max(tick));

        let is_over = is_due(Some(decided(self.confirm_at())));
        let is_confirmed = is_first_after_gap || is_due(Some(released(decided(self.confirm_at()))));
        let is_critical = self.is_critically_out()
            && self.heat.critical_since.is_some()
            && (is_first_after_gap || is_due(self.critical_at().map(decided).map(released)));
        let is_too_long = (0..self.probes.len())
            .any(|index| is_due(self.too_long_at(index, heard == Some(index), constants)));

        let severity = if is_critical || is_too_long { Severity::Critical } else { Severity::Warning };
        let reason =
            if is_too_long && !is_critical { Reason::AboveLimitTooLong } else { Reason::ConfirmDelayOver };
        if self.heat.phase == Phase::Excursion && (is_confirmed || is_too_long) {
            self.enter_alarm(severity, reason, turn);
        } else if self.heat.phase == Phase::Alarm && severity == Severity::Critical {
            self.raise_to(severity, reason, turn);
        } else if let (true, Some((until, cause)), None) = (is_over, hold, self.heat.held) {
            self.heat.held = Some((turn.tick, cause));
            let alert = self.heat.alert.map(|alert| alert.id);
            turn.decide(self.config.unit, What::Held { alert, cause, until });
        }
    }

    fn enter_alarm(&mut self, severity: Severity, reason: Reason, turn: &mut Turn) {
        self.heat.is_gap_unknown = false;
        self.end_hold(HoldEnd::Alarm, turn);
        self.raise_to(severity, reason, turn);
        self.enter_heat(Phase::Alarm, reason, turn);
    }

    fn raise_to(&mut self, severity: Severity, reason: Reason, turn: &mut Turn) {
        let mut out = self.probes.iter().filter(|probe| probe.out == Some(Violated::Max));
        let estimate = match reason {
            Reason::ManualLog => None,
            _ => out.find_map(|probe| probe.sense.estimate(turn.tick, probe.interval_ms)),
        };
        if let Some(alert) = &mut self.heat.alert {
            let (unit, severity) = (self.config.unit, severity.max(alert.severity));
            turn.raise_with(unit, AlertType::AlarmActive, alert, severity, reason, estimate);
        }
    }

    pub fn fire_heat(&mut self, turn: &mut Turn) {
        for index in 0..self.probes.len() {
            let probe = &mut self.probes[index];
            if probe.held.is_some() && probe.overdue(&turn.site.constants) <= turn.tick {
                // Nothing contradicts the jump: it decides after all.
                let held = probe.held.take();
                if let Some(reading) = held {
                    self.judge(index, LastReading { tick: turn.tick, ..reading }, held, turn);
                }
            }
        }
        if self.heat.phase == Phase::Ok
            && self.door.grace_until().is_some()
            && self.heat_deadline(&turn.site.constants).is_some_and(|deadline| deadline <= turn.tick)
        {
            self.outlast_grace(turn);
        }
        self.confirm(None, turn);
    }

    /// A person measured. Inside the band this ends what an earlier log began.
    pub fn log_manually(&mut self, temperature: Temperature, turn: &mut Turn) {
        let limits = self.limits(turn.site, turn.tick);
        let temperature = temperature.to(self.config.scale);
        match limits.place(temperature) {
            Place::Out(side) => {
                if self.heat.phase == Phase::Ok {
                    self.open_excursion(side, turn.tick, temperature, &limits, turn);
                }
                self.heat.is_manual = true;
                self.end_hold(HoldEnd::Alarm, turn);
                let severity =
                    if self.may_be_critical(side) { Severity::Critical } else { Severity::Warning };
                let is_confirmed =
                    matches!(self.heat.phase, Phase::Alarm | Phase::Restoring { was_alarm: true });
                if !is_confirmed || self.heat.alert.is_some_and(|alert| alert.severity < severity) {
                    self.raise_to(severity, Reason::ManualLog, turn);
                }
                self.enter_heat(Phase::Alarm, Reason::ManualLog, turn);
            }
            Place::Good if self.heat.is_manual => {
                self.heat.is_manual = false;
                let constants = &turn.site.constants;
                let mut alive = self.probes.iter().filter(|probe| probe.is_alive(turn.tick, constants));
                // A sensor that says otherwise keeps the alarm, which then ends by its readings.
                if !alive.any(|probe| probe.out.is_some()) {
                    self.end_excursion(turn.tick, None, Reason::ManualLog, turn);
                }
            }
            Place::Good | Place::Near => {}
        }
    }

    /// A person closed the alert: the next excursion takes half the delay until enough good readings came.
    pub fn close_temperature_alert(&mut self, by: Option<Uuid>, turn: &mut Turn) {
        for probe in self.probes.iter_mut().filter(|probe| probe.sense.is_failing()) {
            probe.sense.accept();
        }
        self.end_excursion(turn.tick, by, Reason::ResolvedByPerson, turn);
        self.heat.halve_left = turn.site.constants.good_needed();
        for probe in &mut self.probes {
            probe.above = Above::default();
        }
    }

    pub fn end_excursion(&mut self, at: Tick, by: Option<Uuid>, reason: Reason, turn: &mut Turn) {
        let end = match reason {
            Reason::ResolvedByPerson => HoldEnd::ByPerson,
            Reason::UnitRemoved => HoldEnd::Removed,
            _ => HoldEnd::BackInside,
        };
        self.end_grace(end, turn);
        self.end_hold(end, turn);
        let was_critical = self.heat.is_critical();
        if let Some(alert) = self.heat.alert.take() {
            turn.resolve(self.config.unit, AlertType::AlarmActive, alert, at, by);
        }
        self.enter_heat(Phase::Ok, reason, turn);
        self.heat = Heat { delay_ms: self.heat.delay_ms, ..Heat::default() };
        for probe in &mut self.probes {
            probe.forget_excursion();
            if was_critical {
                // It was told: what comes now is counted anew.
                probe.above = Above::default();
            }
        }
    }

    /// The hub was away for an unknown time.
    pub fn doubt_elapsed(&mut self) {
        self.heat.is_gap_unknown =
            matches!(self.heat.phase, Phase::Excursion | Phase::Restoring { was_alarm: false });
    }

    pub(super) fn enter_heat(&mut self, phase: Phase, reason: Reason, turn: &mut Turn) {
        let (from, shown) = (self.heat.status(), self.shown());
        self.heat.phase = phase;
        self.note_change(Machine::Temperature, from, shown, reason, turn);
    }

    /// Out of the limits means that an alert is open.
    pub fn is_sound(&self) -> bool {
        (self.heat.phase == Phase::Ok) == self.heat.alert.is_none()
    }

    /// Time makes it worse: out, and not critical yet.
    fn is_rising(&self) -> bool {
        matches!(self.heat.phase, Phase::Excursion | Phase::Alarm) && !self.heat.is_critical()
    }

    /// Below the minimum of a freezer type is a warning, never critical.
    pub fn may_be_critical(&self, side: Violated) -> bool {
        side == Violated::Max || !self.config.unit_type.is_freezer()
    }

    fn is_critically_out(&self) -> bool {
        let mut sides = self.probes.iter().filter_map(|probe| probe.out);
        // Without the probe that was out (it was taken away) what was known last stands.
        sides.clone().next().is_none() || sides.any(|side| self.may_be_critical(side))
    }
}
