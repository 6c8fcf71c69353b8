//! Time and events in their order.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::probe::ProbeState;
use super::state::{Site, State};
use super::unit::Unit;
use super::{
    At, Decision, Estimate, Event, Gap, HoldCause, Machine, Reason, RuleConfig, Tick, Violated, What,
};
use crate::domain::{AlertType, Severity, Temperature, UnitNo, UnitStatus};
use frostguard_sync::ids::decision_id;

/// Fires every deadline up to `at.tick`, each at its own instant and in order of (instant, unit), then the event;
/// decisions are appended to `out` in that order. Allocates nothing when nothing changes.
///
/// Never panics: readings of unknown units or unassigned probes and answers to alerts that are not open do nothing, and
/// an `at` before the newest instant counts as that one.
pub fn step(state: &mut State, event: &Event, at: At, out: &mut Vec<Decision>) {
    let tick = at.tick.max(state.tick);
    let at = At { tick, ..at };
    match event {
        Event::Started { gap } => {
            let (Gap::Known { ms } | Gap::AtLeast { ms }) = *gap;
            // What was due while nobody listened is not decided: the check-in clocks start anew.
            state.fire_until(Tick(tick.0.saturating_sub(ms.max(0))), at, out);
            state.start(*gap, at);
        }
        Event::Reading(reading) => {
            state.fire_until(tick, at, out);
            state.on_unit(reading.unit, at, out, |unit, turn| unit.read(reading, turn));
        }
        Event::ManualLog { unit, temperature } => {
            state.fire_until(tick, at, out);
            state.on_unit(*unit, at, out, |unit, turn| unit.log_manually(*temperature, turn));
        }
        Event::Resolved { alert, by } => {
            state.fire_until(tick, at, out);
            state.close_alert(*alert, *by, at, out);
        }
        Event::Configured(config) => {
            state.fire_until(tick, at, out);
            state.configure(config, at, out);
        }
        Event::Placed { offset_ms } => {
            state.fire_until(tick, at, out);
            state.site.offset_ms = *offset_ms;
        }
        Event::Door { unit, device, is_open } => {
            state.fire_until(tick, at, out);
            state.on_unit(*unit, at, out, |unit, turn| unit.move_door(*device, *is_open, turn));
        }
        Event::Defrost { unit, is_on } => {
            state.fire_until(tick, at, out);
            state.on_unit(*unit, at, out, |unit, turn| unit.controller.hear(*is_on, turn.tick));
        }
        // Faults, sources and acknowledgements move neither machine.
        Event::Tick
        | Event::Faulty { .. }
        | Event::Acknowledged { .. }
        | Event::SourceUp { .. }
        | Event::SourceDown { .. } => state.fire_until(tick, at, out),
    }
    state.tick = tick;
}

/// An open alert.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Alert {
    pub id: Uuid,
    pub severity: Severity,
}

/// The moment at which a unit decides something.
pub(super) struct Turn<'a> {
    pub site: &'a Site,
    pub tick: Tick,
    pub at: At,
    pub out: &'a mut Vec<Decision>,
}

impl Turn<'_> {
    pub fn open(
        &mut self,
        unit: UnitNo,
        alert_type: AlertType,
        severity: Severity,
        rule: Option<Uuid>,
        trigger: Option<(Temperature, Violated)>,
    ) -> Alert {
        let what = What::Opened {
            alert_type,
            severity,
            device: None,
            rule,
            trigger: trigger.map(|(temperature, _)| temperature),
            violated: trigger.map(|(_, side)| side),
        };
        Alert { id: self.decide(unit, what), severity }
    }

    pub fn raise(
        &mut self,
        unit: UnitNo,
        alert_type: AlertType,
        alert: &mut Alert,
        severity: Severity,
        reason: Reason,
    ) {
        self.raise_with(unit, alert_type, alert, severity, reason, None);
    }

    pub fn raise_with(
        &mut self,
        unit: UnitNo,
        alert_type: AlertType,
        alert: &mut Alert,
        severity: Severity,
        reason: Reason,
        estimate: Option<Estimate>,
    ) {
        alert.severity = severity;
        self.decide(unit, What::Raised { alert: alert.id, alert_type, severity, reason, estimate });
    }

    pub fn resolve(&mut self, unit: UnitNo, alert_type: AlertType, alert: Alert, at: Tick, by: Option<Uuid>) {
        self.decide(unit, What::Resolved { alert: alert.id, alert_type, at, by });
    }

    pub fn decide(&mut self, unit: UnitNo, what: What) -> Uuid {
        let id = decision_id(self.at.epoch, self.at.after.0, what.kind(), unit.0, 0);
        self.out.push(Decision { tick: self.tick, id, unit, what });
        id
    }
}

impl What {
    /// What tells decisions apart that one unit makes after the same seq; part of the id, so never change one.
    fn kind(&self) -> &'static str {
        match self {
            What::Opened { alert_type, .. } => alert_type.as_str(),
            What::Raised { alert_type, severity, .. } => match (alert_type, severity) {
                (AlertType::AlarmActive, Severity::Critical) => "raised alarm_active critical",
                (AlertType::AlarmActive, _) => "raised alarm_active",
                (AlertType::DoorOpen, _) => "raised door_open",
                _ => "raised monitoring_interrupted",
            },
            What::Resolved { alert_type: AlertType::AlarmActive, .. } => "resolved alarm_active",
            What::Resolved { alert_type: AlertType::DoorOpen, .. } => "resolved door_open",
            What::Resolved { .. } => "resolved monitoring_interrupted",
            What::Status { machine: Machine::Temperature, to, .. } => match to {
                UnitStatus::Excursion => "state temperature excursion",
                UnitStatus::AlarmActive => "state temperature alarm_active",
                UnitStatus::Restoring => "state temperature restoring",
                _ => "state temperature ok",
            },
            What::Status { machine: Machine::Contact, to, .. } => match to {
                UnitStatus::Offline => "state contact offline",
                UnitStatus::MonitoringInterrupted => "state contact monitoring_interrupted",
                _ => "state contact ok",
            },
            What::Held { cause: HoldCause::DoorGrace, .. } => "grace begun",
            What::Held { .. } => "hold begun",
            What::HoldEnded { cause: HoldCause::DoorGrace, .. } => "grace ended",
            What::HoldEnded { .. } => "hold ended",
        }
    }
}

impl State {
    /// Fires what is due up to `until`, the earliest first.
    fn fire_until(&mut self, until: Tick, at: At, out: &mut Vec<Decision>) {
        while self.quiet_until <= until {
            let next =
                self.units.iter().enumerate().filter_map(|(index, unit)| Some((unit.deadline?, index))).min();
            let Some((deadline, index)) = next.filter(|(deadline, _)| *deadline <= until) else {
                self.quiet_until = next.map_or(Tick(i64::MAX), |(deadline, _)| deadline);
                return;
            };
            self.tick = deadline.max(self.tick);
            self.on_index(index, At { tick: self.tick, ..at }, out, |unit, turn| {
                unit.fire_contact(turn);
                unit.fire_heat(turn);
                unit.fire_door(turn);
            });
        }
    }

    fn on_unit(
        &mut self,
        unit: UnitNo,
        at: At,
        out: &mut Vec<Decision>,
        act: impl FnOnce(&mut Unit, &mut Turn),
    ) {
        if let Some(index) = self.find(unit) {
            self.on_index(index, at, out, act);
        }
    }

    fn on_index(
        &mut self,
        index: usize,
        at: At,
        out: &mut Vec<Decision>,
        act: impl FnOnce(&mut Unit, &mut Turn),
    ) {
        let unit = &mut self.units[index];
        act(unit, &mut Turn { site: &self.site, tick: at.tick, at, out });
        unit.deadline = unit.next_deadline(&self.site);
        self.quiet_until = self.quiet_until.min(unit.deadline.unwrap_or(Tick(i64::MAX)));
    }

    fn start(&mut self, gap: Gap, at: At) {
        for unit in &mut self.units {
            for probe in &mut unit.probes {
                probe.listen_anew(at.tick);
            }
            if matches!(gap, Gap::AtLeast { .. }) {
                unit.doubt_elapsed();
            }
        }
        self.derive();
    }

    fn close_alert(&mut self, alert: Uuid, by: Option<Uuid>, at: At, out: &mut Vec<Decision>) {
        let is = |open: Option<Alert>| open.is_some_and(|open| open.id == alert);
        for index in 0..self.units.len() {
            let unit = &self.units[index];
            if is(unit.heat.alert) {
                self.on_index(index, at, out, |unit, turn| unit.close_temperature_alert(by, turn));
            } else if is(unit.contact.alert) {
                self.on_index(index, at, out, |unit, turn| unit.close_contact_alert(by, turn));
            } else if is(unit.door.alert) {
                self.on_index(index, at, out, |unit, turn| unit.close_door_alert(by, turn));
            }
        }
    }

    /// Replaces the configuration; units and probes that stay keep what they know.
    fn configure(&mut self, config: &RuleConfig, at: At, out: &mut Vec<Decision>) {
        self.replace_site(config);
        let mut former = std::mem::take(&mut self.units);
        let rhythms: Vec<ProbeState> = former.iter().flat_map(|unit| unit.probes.clone()).collect();

        let mut wanted = config.units.clone();
        wanted.sort_by_key(|unit| unit.unit);
        wanted.dedup_by_key(|unit| unit.unit);
        for unit_config in wanted {
            let found = former.iter().position(|unit| unit.config.unit == unit_config.unit);
            let mut unit =
                found.map_or_else(|| Unit::new(unit_config.clone(), at.tick), |at| former.swap_remove(at));
            unit.config = unit_config;
            unit.assign(&config.probes, &rhythms, at.tick);
            self.units.push(unit);
        }

        former.sort_by_key(|unit| unit.config.unit);
        for mut unit in former {
            unit.rules.clear();
            let mut turn = Turn { site: &self.site, tick: at.tick, at, out };
            unit.restore_contact(Reason::UnitRemoved, &mut turn);
            unit.end_excursion(at.tick, None, Reason::UnitRemoved, &mut turn);
            unit.close_door_alert(None, &mut turn);
        }
        for unit in &mut self.units {
            if unit.probes.is_empty() {
                let mut turn = Turn { site: &self.site, tick: at.tick, at, out };
                unit.restore_contact(Reason::ProbeUnassigned, &mut turn);
            }
        }
        self.derive();
    }
}

impl Unit {
    fn assign(&mut self, probes: &[super::ProbeConfig], rhythms: &[ProbeState], tick: Tick) {
        let mut former = std::mem::take(&mut self.probes);
        for config in probes.iter().filter(|config| config.unit == self.config.unit) {
            if self.probes.iter().any(|probe| probe.is(config.device, config.probe)) {
                continue;
            }
            let own = former.iter().position(|probe| probe.is(config.device, config.probe));
            let moved = rhythms.iter().find(|probe| probe.is(config.device, config.probe));
            self.probes.push(match (own, moved) {
                (Some(at), _) => former.swap_remove(at).reconfigured(config),
                (None, Some(moved)) => moved.moved(config, tick),
                (None, None) => ProbeState::new(config, tick),
            });
        }
    }
}
