//! What the rules decide, and why.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Estimate, HoldCause, HoldEnd, Tick};
use crate::domain::{AlertType, DeviceNo, Severity, Temperature, UnitNo, UnitStatus};

/// What the rules decided, with the instant it became true (deadlines: their own).
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub tick: Tick,
    /// Derived id of a state change or an opened alert.
    pub id: Uuid,
    pub unit: UnitNo,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// An alert began, with `Decision::id` as its id.
    Opened {
        alert_type: AlertType,
        severity: Severity,
        device: Option<DeviceNo>,
        rule: Option<Uuid>,
        trigger: Option<Temperature>,
        violated: Option<Violated>,
        reason: Reason,
    },
    /// The alert `alert` is confirmed or rose, and has `severity` now; level and `escalated_at` follow.
    Raised {
        alert: Uuid,
        alert_type: AlertType,
        severity: Severity,
        reason: Reason,
        estimate: Option<Estimate>,
    },
    /// Closed; `at` is when it became true (the first good reading), `by` a person.
    Resolved { alert: Uuid, alert_type: AlertType, at: Tick, by: Option<Uuid> },
    /// `units.status` changed (the higher of both machines); one per change of either machine.
    Status { machine: Machine, from: UnitStatus, to: UnitStatus, shown: UnitStatus, reason: Reason },
    /// The people of `level` must be called about an open alert.
    Called { alert: Uuid, alert_type: AlertType, severity: Severity, level: u8, cause: Cause },
    /// An alarm among readings that came too late, over by now; with `Decision::id` as its id. Times are Unix ms,
    /// `trigger` is the worst temperature.
    Late {
        alert_type: AlertType,
        severity: Severity,
        rule: Option<Uuid>,
        trigger: Temperature,
        violated: Violated,
        from_ms: i64,
        to_ms: i64,
    },
    /// More readings belong to the late alarm `alert`: its whole span and its worst temperature now. Nobody is told anew.
    LateGrew {
        alert: Uuid,
        alert_type: AlertType,
        trigger: Temperature,
        violated: Violated,
        from_ms: i64,
        to_ms: i64,
    },
    /// From now on the plain limit would call, and `cause` keeps it from calling; until `until` unless a reading says
    /// otherwise before. `alert`: the open, unconfirmed one; None in an open door's grace, before there is one.
    Held { alert: Option<Uuid>, cause: HoldCause, until: Tick },
    /// What began at `since` is over.
    HoldEnded { alert: Option<Uuid>, cause: HoldCause, since: Tick, end: HoldEnd },
}

/// Why people are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The alert was confirmed, opened, or got worse.
    First,
    /// Nobody took it: the next level.
    Escalated,
    /// Nobody took it at the last level either.
    Repeated,
    /// Somebody took it, and it is critical still.
    Reminder,
}

impl Cause {
    pub fn parse(text: &str) -> Option<Self> {
        [Cause::First, Cause::Escalated, Cause::Repeated, Cause::Reminder]
            .into_iter()
            .find(|cause| cause.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Cause::First => "first",
            Cause::Escalated => "escalated",
            Cause::Repeated => "repeated",
            Cause::Reminder => "reminder",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Violated {
    Min,
    Max,
}

impl Violated {
    /// The one further out; both in one scale.
    pub fn worse(self, a: Temperature, b: Temperature) -> Temperature {
        let is_b = match self {
            Violated::Min => b.hundredths < a.hundredths,
            Violated::Max => b.hundredths > a.hundredths,
        };
        if is_b { b } else { a }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Machine {
    Temperature,
    Contact,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    OutOfLimits,
    ConfirmDelayOver,
    AboveLimitTooLong,
    BackInside,
    GoodReadings,
    OutAgain,
    ManualLog,
    ResolvedByPerson,
    MissedCheckIns,
    Reading,
    UnitRemoved,
    /// The unit's last probe was taken away: nothing is left to be silent.
    ProbeUnassigned,
    /// Nobody measured by hand in time.
    NoManualLog,
    FaultyValues,
    TwoSenders,
    LowBattery,
    CalibrationDue,
    /// Within its limits, but it does not reach its usual cold any more.
    UsualColdMissed,
    DoorOpenTooLong,
}

impl Reason {
    /// As audit payloads spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::OutOfLimits => "out_of_limits",
            Reason::ConfirmDelayOver => "confirm_delay_over",
            Reason::AboveLimitTooLong => "above_limit_too_long",
            Reason::BackInside => "back_inside",
            Reason::GoodReadings => "good_readings",
            Reason::OutAgain => "out_again",
            Reason::ManualLog => "manual_log",
            Reason::ResolvedByPerson => "resolved_by_person",
            Reason::MissedCheckIns => "missed_check_ins",
            Reason::Reading => "reading",
            Reason::UnitRemoved => "unit_removed",
            Reason::ProbeUnassigned => "probe_unassigned",
            Reason::NoManualLog => "no_manual_log",
            Reason::FaultyValues => "faulty_values",
            Reason::TwoSenders => "two_senders",
            Reason::LowBattery => "low_battery",
            Reason::CalibrationDue => "calibration_due",
            Reason::UsualColdMissed => "usual_cold_missed",
            Reason::DoorOpenTooLong => "door_open_too_long",
        }
    }
}
