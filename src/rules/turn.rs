//! What a unit decides at one moment, and what tells its decisions apart.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::state::Site;
use super::{At, Decision, Estimate, HoldCause, Machine, Reason, Tick, Violated, What};
use crate::domain::{AlertType, DeviceNo, Severity, Temperature, UnitNo, UnitStatus};
use frostguard_sync::ids::decision_id;

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
