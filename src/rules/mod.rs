//! The rules: two state machines per unit (temperature and contact), pure and replayable.
//!
//! `step(state, event, at)` first fires every deadline up to `at`, each at its own instant, then the event. Same inputs,
//! same decisions, same ids.
//!
//! - `state`: what is remembered, its checkpoint, what it shows; `unit`, `probe`: its parts.
//! - `step`: events and deadlines in order; `temperature`, `contact`: the two machines.
//! - `device`: alerts about a sensor itself; `late`: alarms that are known too late; `calls`: who must hear of it, and when.
//! - `door`: doors, their alert, and what they hold back; `sense`: what is usual for a probe of a freezer; `hold`: how
//!   both keep an excursion from being an alarm.
//! - `limits`: which rule applies and what it makes of a temperature; `schedule`, `zone`: when it holds.
//!
//! What the two tables of the domain leave open is decided so:
//! - A probe is *alive* until the instant at which its unit, had it no other probe, would go offline. A unit is offline
//!   when none of its probes is alive.
//! - A unit with several probes is out while an alive one was out and has not been inside the band since; it is `ok`
//!   again when there were enough good readings and each alive probe that was out gave enough of its own.
//! - "By the clock" means: the next reading of a probe that is out is overdue by its check-in interval and the buffer.
//! - Below the minimum of a freezer type the alarm is confirmed, but stays a warning; once above the maximum, the delay
//!   runs anew for `critical`.
//! - A unit's door is open while one of its sensors says so. A sensor is believed for an hour after it spoke: it speaks
//!   when the door moves, and no mask needs longer. A day of the mask is 24 h from its first use. The grace runs 10 min
//!   from the opening, also when the door is closed within it: the air needs time to cool.
//! - An open door holds back the upper limit only: nothing gets colder by it.
//! - Where `defrost_unit_types` says so, an excursion above the limit is held as long as it looks like what the unit
//!   does every day (`sense`); the longest time above the limit ends every hold, and where the delay is 0 there is none.
//! - An alarm that was critical and is over was told: the time above the limit is counted anew after it.
//! - A freezer that no longer reaches its usual cold is an alarm within its limits: a warning, which ends when it is cold
//!   again, when a person says that it is meant so, or when it was steady for two days.
//! - Of two rules of one level, one with a schedule goes first, then the smaller id. While wall time is unknown a rule
//!   with a schedule does not hold: the unit's own limits are watched.

mod calls;
mod contact;
mod device;
mod door;
mod hold;
mod late;
mod limits;
mod probe;
mod schedule;
mod sense;
mod state;
mod step;
mod temperature;
#[cfg(test)]
mod tests;
mod unit;
mod zone;

pub use calls::Call;
pub use device::BatteryClass;
pub use hold::{Estimate, HoldCause, HoldEnd};
pub use schedule::ScheduleError;
pub use state::{LastReading, OpenAlert, STATE_VERSION, State, StateError, UnitView};
pub use step::step;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{
    AlertType, DeviceNo, Epoch, Probe, Scale, Seq, Severity, Temperature, UnitNo, UnitStatus, UnitType,
};

/// Judging time in ms: monotonic, continued over restarts by the gap the pipeline gives in `Event::Started`. It never
/// goes back and is never wall time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tick(pub i64);

impl Tick {
    /// Milliseconds from `earlier` until this; never less than 0.
    pub fn since(self, earlier: Tick) -> i64 {
        self.0.saturating_sub(earlier.0).max(0)
    }

    pub fn plus(self, ms: i64) -> Tick {
        Tick(self.0.saturating_add(ms))
    }
}

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
    /// The hub began to run again; `gap` is how long it did not. The moment's tick already holds the gap, and
    /// tick - gap is the last instant at which the hub is known to have watched: what was due until then is decided
    /// as of then, check-in clocks start anew.
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
    /// A battery went into another class (`BatteryClass`), or is heard for the first time. Percent.
    Battery {
        unit: UnitNo,
        device: DeviceNo,
        percent: u8,
    },
    /// Two senders are heard under one address of a source that cannot tell them apart, or no longer.
    Senders {
        unit: UnitNo,
        device: DeviceNo,
        are_two: bool,
    },
    /// The controller of a unit says that it defrosts, or that it is done.
    Defrost {
        unit: UnitNo,
        is_on: bool,
    },
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
    /// The reading's own time, Unix ms, where it has one; late readings are judged by it.
    pub measured_ms: Option<i64>,
}

/// Everything the rules need to know about the site. Replaced as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RuleConfig {
    pub units: Vec<UnitConfig>,
    /// Enabled rules only, of every level.
    pub rules: Vec<Rule>,
    pub probes: Vec<ProbeConfig>,
    pub devices: Vec<DeviceConfig>,
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

/// A device with a probe, a door or anything else assigned to a unit; alerts about it are that unit's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceConfig {
    pub device: DeviceNo,
    pub unit: UnitNo,
    /// When its newest calibration expires, Unix ms.
    pub calibration_expires_ms: Option<i64>,
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
    /// A manual log is due this long after the last one, or after the last reading, where the unit says nothing else.
    pub manual_interval_min: u32,
    /// An open door holds an excursion back this long; after it the confirm delay is doubled.
    pub door_grace_min: u32,
    /// A unit's door holds back at most so long a day.
    pub door_mask_day_min: u32,
    /// A door holds nothing back beyond the limit by this (hundredths of a degree Celsius).
    pub door_mask_beyond_hundredths: u32,
    /// An open door: minutes to the warning where no rule says otherwise, and to the critical alert.
    pub door_warning_min: u32,
    pub door_critical_min: u32,
    /// Percent.
    pub battery_info_below: u32,
    pub battery_warning_below: u32,
    /// Consecutive faulty values of a probe.
    pub faulty_values: u32,
    pub calibration_due_days: u32,
    /// Unit types whose regular defrosts and deliveries are learned and do not alarm; the others are watched by the
    /// plain limit, as the law wants it for chilled food.
    pub defrost_unit_types: Vec<UnitType>,
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
            manual_interval_min: 240,
            door_grace_min: 10,
            door_mask_day_min: 60,
            door_mask_beyond_hundredths: 500,
            door_warning_min: 3,
            door_critical_min: 10,
            battery_info_below: 20,
            battery_warning_below: 10,
            faulty_values: 2,
            calibration_due_days: 14,
            defrost_unit_types: vec![UnitType::Freezer, UnitType::WalkInFreezer],
        }
    }
}

impl Constants {
    pub(crate) fn good_needed(&self) -> u32 {
        self.good_readings.max(1)
    }

    pub(crate) fn above_limit_ms(&self) -> i64 {
        i64::from(self.above_limit_min) * MINUTE_MS
    }

    pub(crate) fn above_reset_ms(&self) -> i64 {
        i64::from(self.above_limit_reset_min) * MINUTE_MS
    }

    pub(crate) fn door_grace_ms(&self) -> i64 {
        i64::from(self.door_grace_min) * MINUTE_MS
    }

    pub(crate) fn door_mask_day_ms(&self) -> i64 {
        i64::from(self.door_mask_day_min) * MINUTE_MS
    }

    pub(crate) fn buffer_ms(&self) -> i64 {
        i64::from(self.check_in_buffer_s) * 1_000
    }
}

pub(crate) const MINUTE_MS: i64 = 60_000;

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
