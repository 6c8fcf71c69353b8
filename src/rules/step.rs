//! Time and events in their order.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::probe::ProbeState;
use super::state::{Site, State};
use super::unit::Unit;
use super::{
    At, Decision, Estimate, Event, Gap, HoldCause, Machine, Reason, RuleConfig, Tick, Violated, What,
};
use crate::domain::{AlertType, DeviceNo, Severity, Temperature, UnitNo, UnitStatus};
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
            if reading.is_late {
                let alarm_since = state.calls.alarm_since(reading.unit);
                state.on_unit(reading.unit, at, out, |unit, turn| unit.read_late(reading, alarm_since, turn));
            } else {
                state.on_unit(reading.unit, at, out, |unit, turn| {
                    unit.hear_good(reading.device, reading.probe, turn);
                    unit.read(reading, turn);
                });
            }
        }
        Event::ManualLog { unit, temperature } => {
            state.fire_until(tick, at, out);
            state.on_unit(*unit, at, out, |unit, turn| {
                unit.note_manual_log(turn);
                unit.log_manually(*temperature, turn);
            });
        }
        Event::Faulty { unit, device, probe } => {
            state.fire_until(tick, at, out);
            state.on_unit(*unit, at, out, |unit, turn| unit.take_fault(*device, *probe, turn));
        }
        Event::Battery { unit, device, percent } => {
            state.fire_until(tick, at, out);
            state.on_unit(*unit, at, out, |unit, turn| unit.take_battery(*device, *percent, turn));
        }
        Event::Senders { unit, device, are_two } => {
            state.fire_until(tick, at, out);
            state.on_unit(*unit, at, out, |unit, turn| {
                if *are_two {
                    unit.take_two_senders(*device, turn);
                } else {
                    unit.end_two_senders(*device, turn);
                }
            });
        }
        Event::Acknowledged { alert } => {
            state.fire_until(tick, at, out);
            state.calls.acknowledge(*alert, tick);
            state.quiet_until = Tick(i64::MIN);
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
            // Calibrations fall due by wall time.
            state.derive();
        }
        Event::Door { unit, device, is_open } => {
            state.fire_until(tick, at, out);
            state.on_unit(*unit, at, out, |unit, turn| unit.move_door(*device, *is_open, turn));
        }
        Event::Defrost { unit, is_on } => {
            state.fire_until(tick, at, out);
            state.on_unit(*unit, at, out, |unit, turn| unit.controller.hear(*is_on, turn.tick));
        }
        // Sources move neither machine.
        Event::Tick | Event::SourceUp { .. } | Event::SourceDown { .. } => state.fire_until(tick, at, out),
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
        let reason = match alert_type {
            AlertType::AlarmActive => Reason::OutOfLimits,
            AlertType::MissedManualEntry => Reason::NoManualLog,
            _ => Reason::MissedCheckIns,
        };
        let what = What::Opened {
            alert_type,
            severity,
            device: None,
            rule,
            trigger: trigger.map(|(temperature, _)| temperature),
            violated: trigger.map(|(_, side)| side),
            reason,
        };
        Alert { id: self.decide(unit, what), severity }
    }

    /// Of an alert about a device.
    pub fn open_about(
        &mut self,
        unit: UnitNo,
        device: DeviceNo,
        alert_type: AlertType,
        severity: Severity,
        rule: Option<Uuid>,
        reason: Reason,
    ) -> Alert {
        let (device, trigger, violated) = (Some(device), None, None);
        let what = What::Opened { alert_type, severity, device, rule, trigger, violated, reason };
        Alert { id: self.decide_about(unit, device, what), severity }
    }

    pub fn raise_about(
        &mut self,
        unit: UnitNo,
        device: DeviceNo,
        alert_type: AlertType,
        alert: &mut Alert,
        severity: Severity,
        reason: Reason,
    ) {
        alert.severity = severity;
        let what = What::Raised { alert: alert.id, alert_type, severity, reason, estimate: None };
        self.decide_about(unit, Some(device), what);
    }

    pub fn resolve_about(
        &mut self,
        unit: UnitNo,
        device: DeviceNo,
        alert_type: AlertType,
        alert: Alert,
        by: Option<Uuid>,
    ) {
        let what = What::Resolved { alert: alert.id, alert_type, at: self.tick, by };
        self.decide_about(unit, Some(device), what);
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
        self.decide_about(unit, None, what)
    }

    fn decide_about(&mut self, unit: UnitNo, device: Option<DeviceNo>, what: What) -> Uuid {
        let device = device.map_or(0, |device| device.0);
        let id = decision_id(self.at.epoch, self.at.after.0, what.kind(), unit.0, device);
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
                (AlertType::MonitoringInterrupted, _) => "raised monitoring_interrupted",
                (AlertType::MissedManualEntry, _) => "raised missed_manual_entry",
                (AlertType::LowBattery, _) => "raised low_battery",
                (AlertType::SensorFault, _) => "raised sensor_fault",
                (AlertType::DoorOpen, _) => "raised door_open",
                (AlertType::CalibrationDue, _) => "raised calibration_due",
            },
            What::Resolved { alert_type, .. } => match alert_type {
                AlertType::AlarmActive => "resolved alarm_active",
                AlertType::MonitoringInterrupted => "resolved monitoring_interrupted",
                AlertType::MissedManualEntry => "resolved missed_manual_entry",
                AlertType::LowBattery => "resolved low_battery",
                AlertType::SensorFault => "resolved sensor_fault",
                AlertType::DoorOpen => "resolved door_open",
                AlertType::CalibrationDue => "resolved calibration_due",
            },
            What::Late { .. } => "late alarm_active",
            What::LateGrew { .. } => "late alarm_active grew",
            // `Calls` makes the ids of its own, which count.
            What::Called { .. } => "called",
            What::Status { machine: Machine::Temperature, to, .. } => match to {
                UnitStatus::Excursion => "state temperature excursion",
                UnitStatus::AlarmActive => "state temperature alarm_active",
                UnitStatus::Restoring => "state temperature restoring",
                _ => "state temperature ok",
            },
            // By a log, after it was lost at the same seq.
            What::Status {
                from: UnitStatus::ManualRequired, to: UnitStatus::MonitoringInterrupted, ..
            } => "state contact monitoring_interrupted by hand",
            What::Status { machine: Machine::Contact, to, .. } => match to {
                UnitStatus::Offline => "state contact offline",
                UnitStatus::MonitoringInterrupted => "state contact monitoring_interrupted",
                UnitStatus::ManualRequired => "state contact manual_required",
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
    /// Fires what is due up to `until`, the earliest first; of one instant the machines before the calls.
    fn fire_until(&mut self, until: Tick, at: At, out: &mut Vec<Decision>) {
        while self.quiet_until <= until {
            let units = self.units.iter().enumerate();
            let next = units.filter_map(|(index, unit)| Some((unit.deadline?, index))).min();
            let call = self.calls.next_deadline();
            let deadline = next.map(|(deadline, _)| deadline).into_iter().chain(call).min();
            let Some(deadline) = deadline.filter(|deadline| *deadline <= until) else {
                self.quiet_until = deadline.unwrap_or(Tick(i64::MAX));
                return;
            };
            self.tick = deadline.max(self.tick);
            let at = At { tick: self.tick, ..at };
            match next.filter(|(own, _)| *own <= deadline) {
                Some((_, index)) => self.on_index(index, at, out, |unit, turn| {
                    unit.fire_contact(turn);
                    unit.fire_heat(turn);
                    unit.fire_door(turn);
                    unit.fire_devices(turn);
                }),
                None => self.calls.fire(until, at, out),
            }
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
        let from = out.len();
        let unit = &mut self.units[index];
        act(unit, &mut Turn { site: &self.site, tick: at.tick, at, out });
        unit.deadline = unit.next_deadline(&self.site);
        self.quiet_until = self.quiet_until.min(unit.deadline.unwrap_or(Tick(i64::MAX)));
        self.follow(from, at, out);
    }

    /// Calls follow from what was decided since `out[from]`.
    fn follow(&mut self, from: usize, at: At, out: &mut Vec<Decision>) {
        if out.len() == from {
            return;
        }
        for decision in &out[from..] {
            let Decision { unit, what: What::Resolved { alert, at: end, .. }, .. } = *decision else {
                continue;
            };
            let (Some(since), Some(offset)) = (self.calls.was_alarm(alert), self.site.offset_ms) else {
                continue;
            };
            if let Some(index) = self.find(unit) {
                self.units[index].late.note_told(since.plus(offset).0, end.plus(offset).0);
            }
        }
        self.calls.follow(from, at, out);
        self.quiet_until = self.quiet_until.min(self.calls.next_deadline().unwrap_or(Tick(i64::MAX)));
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
        self.calls.start(at.tick);
        self.derive();
    }

    fn close_alert(&mut self, alert: Uuid, by: Option<Uuid>, at: At, out: &mut Vec<Decision>) {
        for index in 0..self.units.len() {
            self.on_index(index, at, out, |unit, turn| {
                if unit.heat.alert.is_some_and(|open| open.id == alert) {
                    unit.close_temperature_alert(by, turn);
                } else if unit.door.alert.is_some_and(|open| open.id == alert) {
                    unit.close_door_alert(by, turn);
                } else if !unit.close_contact_alert(alert, by, turn) {
                    unit.close_device_alert(alert, by, turn);
                }
            });
        }
    }

    /// Replaces the configuration; units and probes that stay keep what they know.
    fn configure(&mut self, config: &RuleConfig, at: At, out: &mut Vec<Decision>) {
        let from = out.len();
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
            unit.drop_devices(&mut turn);
            unit.close_door_alert(None, &mut turn);
        }
        for unit in &mut self.units {
            let mut turn = Turn { site: &self.site, tick: at.tick, at, out };
            unit.reconsider_contact(&mut turn);
            unit.assign_devices(&config.devices, &mut turn);
        }
        self.derive();
        self.follow(from, at, out);
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
