//! The rules: two state machines per unit (temperature and contact), pure and replayable.
//!
//! `step(state, event, at)` first fires every deadline up to `at`, each at its own instant, then the event. Same inputs,
//! same decisions, same ids.
//!
//! - `config`: what the rules must know of the site; `decision`: what comes out.
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
mod config;
mod contact;
mod decision;
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
mod turn;
mod unit;
mod zone;

pub use calls::Call;
pub use config::{Constants, DeviceConfig, ProbeConfig, Rule, RuleConfig, Schedule, UnitConfig};
pub use decision::{Cause, Decision, Machine, Reason, Violated, What};
pub use device::BatteryClass;
pub use hold::{Estimate, HoldCause, HoldEnd};
pub use schedule::ScheduleError;
pub use state::{LastReading, OpenAlert, STATE_VERSION, State, StateError, UnitView};
pub use step::step;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{DeviceNo, Epoch, Probe, Seq, Temperature, UnitNo};

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

pub(crate) const MINUTE_MS: i64 = 60_000;
