//! The rules: two state machines per unit (temperature and contact), pure and replayable.
//!
//! `step(state, event, at)` first fires every deadline up to `at`, each at its own instant, then the event. Same inputs,
//! same decisions, same ids.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{
    AlertType, DeviceNo, Epoch, Probe, Scale, Seq, Severity, Temperature, UnitNo, UnitStatus, UnitType,
};

/// Judging time in ms: monotonic, continued over restarts by the gap the pipeline gives in `Event::Started`. It never
/// goes back and is never wall time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tick(pub i64);

/// The moment of an event: its instant, and the last (epoch, seq) given out before it, from which ids derive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct At {
    pub tick: Tick,
    pub epoch: Epoch,
    pub after: Seq,
}

/// An input of the rules. Readings come from the log; every other kind is a row of `hub_inputs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// The hub began to run again; `gap` is how long it did not.
    Started {
        gap: Gap,
    },
    /// The whole configuration of the rules, replaced: units, limits, rules, assignments, zone.
    Configured(Box<RuleConfig>),
    Reading(ReadingEvent),
    /// A faulty value of a probe (sentinel, impossible): never a temperature and no check-in.
    Faulty {
        unit: UnitNo,
        device: DeviceNo,
        probe: Probe,
    },
    Door {
        unit: UnitNo,
        device: DeviceNo,
        is_open: bool,
    },
    ManualLog {
        unit: UnitNo,
        temperature: Temperature,
    },
    Acknowledged {
        alert: Uuid,
    },
    Resolved {
        alert: Uuid,
        by: Option<Uuid>,
    },
    /// Wall time became known or moved: unix ms = tick + offset. None: not trusted.
    Placed {
        offset_ms: Option<i64>,
    },
    SourceUp {
        name: String,
    },
    SourceDown {
        name: String,
    },
    /// Time passed; only deadlines fire.
    Tick,
}

/// How long the hub did not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Gap {
    /// Both ends are trusted wall time.
    Known { ms: i64 },
    /// At least this long: an excursion is confirmed by the first reading still out.
    AtLeast { ms: i64 },
}

/// A calibrated reading of an assigned probe, in the unit's scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadingEvent {
    pub unit: UnitNo,
    pub device: DeviceNo,
    pub probe: Probe,
    pub temperature: Temperature,
    /// From a history or older than the newest judged one of its probe: stored, never moves the present state.
    pub is_late: bool,
}

/// Everything the rules need to know about the site. Replaced as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RuleConfig {
    pub units: Vec<UnitConfig>,
    /// Enabled rules only, of every level.
    pub rules: Vec<Rule>,
    pub probes: Vec<ProbeConfig>,
    /// IANA name of the site's time zone.
    pub zone: String,
    pub constants: Constants,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnitConfig {
    pub unit: UnitNo,
    pub name: String,
    pub unit_type: UnitType,
    pub scale: Scale,
    /// Tenths of a degree in `scale`.
    pub temp_min: i32,
    pub temp_max: i32,
    pub manual_required: bool,
    pub manual_interval_min: Option<i32>,
}

/// A row of `alert_rules`; the most specific enabled one whose schedule holds applies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    pub id: Uuid,
    /// None: the whole organization (`is_site` false) or the whole site.
    pub unit: Option<UnitNo>,
    pub is_site: bool,
    pub alert_type: AlertType,
    pub severity: Severity,
    /// Tenths in the unit's scale; None: the unit's own limit.
    pub temp_min: Option<i32>,
    pub temp_max: Option<i32>,
    pub delay_min: i32,
    pub schedule: Option<Schedule>,
}

/// `{"days":[0-6],"startHour":h,"endHour":h}`, 0 = Sunday, start inclusive, end exclusive, equal = whole day; over
/// midnight it belongs to the day it starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    pub days: Vec<u8>,
    pub start_hour: u8,
    pub end_hour: u8,
}

/// A probe that measures a unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeConfig {
    pub device: DeviceNo,
    pub probe: Probe,
    pub unit: UnitNo,
    /// Configured or the model's factory value; None: learned from the gaps.
    pub check_in_s: Option<u32>,
}

/// The hub configuration's part of domain.md's table of constants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Constants {
    /// Confirm delay without a rule.
    pub confirm_delay_min: u32,
    /// Hundredths of a degree (of the unit's scale).
    pub hysteresis_hundredths: u32,
    pub good_readings: u32,
    /// Longest time above the limit, summed.
    pub above_limit_min: u32,
    /// The sum begins anew after this long without a reading above.
    pub above_limit_reset_min: u32,
    pub check_in_default_s: u32,
    pub check_in_buffer_s: u32,
    pub missed_warning: u32,
    pub missed_critical: u32,
    /// For check-in intervals over 10 min.
    pub missed_warning_slow: u32,
    pub missed_critical_slow: u32,
    pub contact_warning_min: u32,
    pub contact_critical_min: u32,
}

impl Default for Constants {
    fn default() -> Self {
        Self {
            confirm_delay_min: 10,
            hysteresis_hundredths: 50,
            good_readings: 2,
            above_limit_min: 120,
            above_limit_reset_min: 60,
            check_in_default_s: 20 * 60,
            check_in_buffer_s: 30,
            missed_warning: 3,
            missed_critical: 6,
            missed_warning_slow: 2,
            missed_critical_slow: 3,
            contact_warning_min: 15,
            contact_critical_min: 30,
        }
    }
}

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
    Opened {
        alert_type: AlertType,
        severity: Severity,
        device: Option<DeviceNo>,
        rule: Option<Uuid>,
        trigger: Option<Temperature>,
        violated: Option<Violated>,
    },
    /// The alert `alert` rose to `severity`; level and `escalated_at` follow.
    Raised { alert: Uuid, alert_type: AlertType, severity: Severity, reason: Reason },
    /// Closed; `at` is when it became true (the first good reading), `by` a person.
    Resolved { alert: Uuid, alert_type: AlertType, at: Tick, by: Option<Uuid> },
    /// `units.status` changed (the higher of both machines); one per change of either machine.
    Status { machine: Machine, from: UnitStatus, to: UnitStatus, shown: UnitStatus, reason: Reason },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Violated {
    Min,
    Max,
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
}
