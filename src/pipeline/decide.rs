//! Decisions of the rules as rows: alerts, unit status, audit. Runs inside the group's transaction.

use anyhow::Result;
use rusqlite::Transaction;
use serde_json::Value;

use crate::audit::event_types::{
    ALARM_HELD, ALARM_HOLD_ENDED, ALERT_CALLED, ALERT_LATE, ALERT_OPENED, ALERT_RAISED, ALERT_RESOLVED,
    STATE_CHANGED,
};
use crate::audit::{Actor, Entity, Payload};
use crate::domain::{AlertType, Severity, Stamp, Temperature, UnitStatus};
use crate::rules::{Cause, Decision, Estimate, Machine, Reason, Violated, What};
use crate::store::alerts::{self, NewAlert};
use crate::store::audit;
use crate::store::rows::mark_dirty;

use super::group::EventDraft;
use super::registry::Registry;
use super::writer::Writer;

/// What an alert says, in the unit's scale; composed when it is decided.
pub fn message(decision: &Decision, registry: &Registry) -> String {
    let name = registry.unit(decision.unit).map_or("unit", |unit| unit.name.as_str());
    match &decision.what {
        What::Opened { alert_type: AlertType::AlarmActive, trigger, violated, .. } => {
            let reading = trigger.map_or_else(String::new, |t| format!(" at {}", degrees(t)));
            format!("{name} is {}{reading}", out_of_limits(*violated))
        }
        What::Opened { alert_type, device, reason, .. } => {
            let device = device.and_then(|no| registry.device(no));
            let device = device.map(|device| device.name.as_deref().unwrap_or(&device.address));
            opened(name, *alert_type, device.unwrap_or("its sensor"), *reason)
        }
        What::Late { trigger, violated, .. } | What::LateGrew { trigger, violated, .. } => {
            format!(
                "{name} was {}, up to {}, as its sensor tells only now",
                out_of_limits(Some(*violated)),
                degrees(*trigger)
            )
        }
        What::Raised { alert_type: AlertType::AlarmActive, estimate: Some(estimate), .. } => {
            format!("{name}: {}", estimate_text(*estimate))
        }
        What::Held { cause, .. } => format!("{name}: no alarm yet ({})", cause.as_str()),
        What::HoldEnded { cause, since, end, .. } => {
            let minutes = decision.tick.since(*since) / 60_000;
            format!("{name}: held back for {minutes} min ({}), then {}", cause.as_str(), end.as_str())
        }
        What::Raised { alert_type, severity, .. } => {
            format!("{name}: {} is {severity} now", plain(*alert_type))
        }
        What::Resolved { alert_type, .. } => format!("{name}: {} is over", plain(*alert_type)),
        What::Status { from, to, .. } => format!("{name}: {from} to {to}"),
        What::Called { alert_type, level, .. } => {
            format!("{name}: level {level} is called about {}", plain(*alert_type))
        }
    }
}

fn out_of_limits(violated: Option<Violated>) -> &'static str {
    match violated {
        Some(Violated::Max) => "too warm",
        Some(Violated::Min) => "too cold",
        None => "out of its limits",
    }
}

fn opened(name: &str, alert_type: AlertType, device: &str, reason: Reason) -> String {
    match (alert_type, reason) {
        (AlertType::MonitoringInterrupted, _) => format!("{name} is not monitored: its sensor is silent"),
        (AlertType::MissedManualEntry, _) => {
            format!("{name} was not measured by hand in time, and no sensor of it is heard")
        }
        (AlertType::LowBattery, _) => format!("The battery of {device} in {name} is low"),
        (AlertType::SensorFault, Reason::TwoSenders) => {
            format!("Two sensors use the address of {device} in {name}: give one of them another")
        }
        (AlertType::SensorFault, _) => format!("{device} in {name} is faulty: look at its probe and cable"),
        (AlertType::DoorOpen, _) => format!("The door of {name} is open"),
        (AlertType::CalibrationDue, _) => format!("The calibration of {device} in {name} runs out"),
        (alert_type, _) => format!("{name}: {}", plain(alert_type)),
    }
}

/// An alert type in words.
fn plain(alert_type: AlertType) -> &'static str {
    match alert_type {
        AlertType::AlarmActive => "the temperature alarm",
        AlertType::MonitoringInterrupted => "the silence of its sensor",
        AlertType::MissedManualEntry => "the missing manual log",
        AlertType::LowBattery => "the low battery",
        AlertType::SensorFault => "the faulty sensor",
        AlertType::DoorOpen => "the open door",
        AlertType::CalibrationDue => "the calibration that is due",
    }
}

/// What can be told beyond "too warm".
fn estimate_text(estimate: Estimate) -> String {
    let span = |minutes: u32| match minutes {
        0..=119 => format!("{minutes} min"),
        _ => format!("{} h", (minutes + 30) / 60),
    };
    match estimate {
        Estimate::CrossesIn { minutes } => {
            format!("does not get as cold as it used to, and will be too warm in about {}", span(minutes))
        }
        Estimate::NotColdFor { minutes, usual } => {
            format!("not as cold as usual for {}; {} at most is usual", span(minutes), span(usual))
        }
        Estimate::OutFor { minutes, usual } => {
            format!("too warm for {} and not turning back; {} at most is usual", span(minutes), span(usual))
        }
    }
}

/// "6.3 °C": a temperature as a kitchen reads it.
pub fn degrees(temperature: Temperature) -> String {
    temperature.to_string()
}

/// Writes one decision; a decision that already stands changes nothing.
pub fn write(
    tx: &Transaction<'_>,
    writer: &mut Writer<'_>,
    decision: &Decision,
    stamp: Stamp,
    message: &str,
) -> Result<()> {
    if audit::has_event(tx, decision.id)? {
        return Ok(());
    }
    let (event_type, entity_id, payload) = match &decision.what {
        What::Opened { .. } => match new_alert(decision, writer.times.of(stamp).ms, message) {
            Some(alert) => (ALERT_OPENED, Some(decision.id), open(tx, writer, &alert, stamp)?),
            None => return Ok(()),
        },
        What::Raised { alert, alert_type, severity, reason, estimate } => {
            if alerts::raise(tx, *alert, *severity, writer.times.of(stamp).ms)? {
                writer.provisional(tx, "alerts", *alert, &["escalated_at"], stamp)?;
            }
            mark_dirty(tx, "alerts", *alert)?;
            let payload = Payload::of([
                ("alert", alert.to_string().into()),
                ("alert_type", alert_type.as_str().into()),
                ("severity", severity.as_str().into()),
                ("reason", reason.as_str().into()),
                ("estimate", serde_json::to_value(estimate)?),
            ]);
            (ALERT_RAISED, Some(*alert), payload)
        }
        What::Resolved { alert, alert_type, at, by } => {
            let resolved = writer.stamp_of_tick(*at, stamp);
            alerts::resolve(tx, *alert, writer.times.of(resolved).ms, *by, writer.times.of(stamp).ms)?;
            writer.provisional(tx, "alerts", *alert, &["resolved_at"], resolved)?;
            mark_dirty(tx, "alerts", *alert)?;
            let fields = [("alert", alert.to_string().into()), ("alert_type", alert_type.as_str().into())];
            (ALERT_RESOLVED, Some(*alert), Payload::of(fields))
        }
        What::Status { machine, from, to, shown, reason } => {
            let unit = alerts::set_unit_status(tx, decision.unit, *shown, writer.times.of(stamp).ms)?;
            if let Some(id) = unit {
                mark_dirty(tx, "units", id)?;
            }
            let machine = match machine {
                Machine::Temperature => "temperature",
                Machine::Contact => "contact",
            };
            let payload = Payload::of_state_change(
                machine,
                from.as_str(),
                to.as_str(),
                shown.as_str(),
                reason.as_str(),
            );
            (STATE_CHANGED, unit, payload)
        }
        What::Called { alert, alert_type, severity, level, cause } => {
            let at_ms = writer.times.of(stamp).ms;
            if alerts::note_call(tx, *alert, *level, *cause == Cause::Escalated, at_ms)? {
                mark_dirty(tx, "alerts", *alert)?;
            }
            let payload = Payload::of([
                ("alert", alert.to_string().into()),
                ("alert_type", alert_type.as_str().into()),
                ("severity", severity.as_str().into()),
                ("level", (*level).into()),
                ("cause", cause.as_str().into()),
            ]);
            (ALERT_CALLED, Some(*alert), payload)
        }
        What::Late { from_ms, to_ms, .. } => match new_alert(decision, *from_ms, message) {
            Some(alert) => {
                alerts::insert_late(tx, &alert, *to_ms, writer.times.of(stamp).ms)?;
                writer.provisional(tx, "alerts", alert.id, &["created_at"], stamp)?;
                mark_dirty(tx, "alerts", alert.id)?;
                let fields =
                    [("from_ms", (*from_ms).into()), ("to_ms", (*to_ms).into()), ("late", true.into())];
                (ALERT_LATE, Some(decision.id), alert_payload(&alert, fields))
            }
            None => return Ok(()),
        },
        What::LateGrew { alert, alert_type, trigger, violated, from_ms, to_ms } => {
            let now_ms = writer.times.of(stamp).ms;
            if alerts::grow_late(tx, *alert, message, *trigger, (*from_ms, *to_ms), now_ms)? {
                mark_dirty(tx, "alerts", *alert)?;
            }
            let payload = Payload::of([
                ("alert", alert.to_string().into()),
                ("alert_type", alert_type.as_str().into()),
                ("trigger_hundredths", trigger.hundredths.into()),
                ("scale", trigger.scale.as_str().into()),
                ("violated", violated_text(*violated).into()),
                ("from_ms", (*from_ms).into()),
                ("to_ms", (*to_ms).into()),
                ("late", true.into()),
            ]);
            (ALERT_LATE, Some(*alert), payload)
        }
        What::Held { alert, cause, until } => {
            let payload = Payload::of([
                ("alert", alert.map(|id| id.to_string()).into()),
                ("cause", cause.as_str().into()),
                ("minutes_at_most", (until.since(decision.tick) / 60_000).into()),
            ]);
            (ALARM_HELD, *alert, payload)
        }
        What::HoldEnded { alert, cause, since, end } => {
            let payload = Payload::of([
                ("alert", alert.map(|id| id.to_string()).into()),
                ("cause", cause.as_str().into()),
                ("seconds", (decision.tick.since(*since) / 1_000).into()),
                ("end", end.as_str().into()),
            ]);
            (ALARM_HOLD_ENDED, *alert, payload)
        }
    };
    let draft = EventDraft {
        stamp,
        event_type,
        actor: Actor::Hub,
        entity: Entity::Unit(decision.unit),
        entity_id,
        payload,
        description: message.to_owned(),
        id: Some(decision.id),
    };
    writer.append_event(tx, &draft)
}

/// The row of an alert that was opened or is told late; None for other decisions.
fn new_alert(decision: &Decision, triggered_ms: i64, message: &str) -> Option<NewAlert> {
    let (alert_type, severity, device, rule, trigger, violated) = match &decision.what {
        What::Opened { alert_type, severity, device, rule, trigger, violated, .. } => {
            (alert_type, severity, device, rule, *trigger, *violated)
        }
        What::Late { alert_type, severity, rule, trigger, violated, .. } => {
            (alert_type, severity, &None, rule, Some(*trigger), Some(*violated))
        }
        _ => return None,
    };
    Some(NewAlert {
        id: decision.id,
        unit: decision.unit,
        device: *device,
        alert_type: *alert_type,
        severity: *severity,
        rule: *rule,
        message: message.to_owned(),
        trigger,
        violated: violated.map(violated_text),
        triggered_ms,
    })
}

fn open(tx: &Transaction<'_>, writer: &Writer<'_>, alert: &NewAlert, stamp: Stamp) -> Result<Payload> {
    alerts::open(tx, alert)?;
    writer.provisional(tx, "alerts", alert.id, &["triggered_at", "created_at"], stamp)?;
    mark_dirty(tx, "alerts", alert.id)?;
    Ok(alert_payload(alert, []))
}

fn alert_payload<const N: usize>(alert: &NewAlert, more: [(&'static str, Value); N]) -> Payload {
    let fields = [
        ("alert", alert.id.to_string().into()),
        ("alert_type", alert.alert_type.as_str().into()),
        ("severity", alert.severity.as_str().into()),
        ("trigger_hundredths", alert.trigger.map(|t| t.hundredths).into()),
        ("scale", alert.trigger.map(|t| t.scale.as_str()).into()),
        ("violated", alert.violated.into()),
        ("device", alert.device.map(|device| device.0).into()),
    ];
    Payload::of(fields.into_iter().chain(more))
}

/// True when people must hear of it now: it closes the group at once.
pub fn is_urgent(what: &What) -> bool {
    match what {
        What::Opened { .. }
        | What::Raised { .. }
        | What::Resolved { .. }
        | What::Called { .. }
        | What::Late { .. } => true,
        What::Status { to, .. } => matches!(to, UnitStatus::AlarmActive | UnitStatus::MonitoringInterrupted),
        What::LateGrew { .. } | What::Held { .. } | What::HoldEnded { .. } => false,
    }
}

fn violated_text(violated: Violated) -> &'static str {
    match violated {
        Violated::Min => "min",
        Violated::Max => "max",
    }
}

/// Used where a severity decides a colour or a tone.
pub fn severity_of(what: &What) -> Option<Severity> {
    match what {
        What::Opened { severity, .. } | What::Raised { severity, .. } | What::Late { severity, .. } => {
            Some(*severity)
        }
        _ => None,
    }
}
