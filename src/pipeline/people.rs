//! What people do at the hub: they measure by hand, take alerts, end them. A person's entry closes the
//! group at once; while the disk refuses it, it waits in memory like everything else.

use anyhow::{Result, bail};
use rusqlite::Transaction;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::audit::event_types::{ALERT_ACKNOWLEDGED, ALERT_TAKEN_CARE_OF, CORRECTIVE_ACTION, MANUAL_LOG};
use crate::audit::{Actor, Entity};
use crate::control::{AlertsAck, AlertsResolve, LogManual};
use crate::domain::Stamp;
use crate::rules::Event;
use crate::store::alerts;
use crate::store::people::{self, ActionRow, ManualLogRow, NamedAlert};
use crate::store::rows::mark_dirty;

use super::group::Write;
use super::sync::MANUAL_LOG_MS_MAX;
use super::writer::Writer;
use super::{Core, entered};

/// Characters of a note.
const NOTES_CHARS_MAX: usize = 4_000;
pub(super) const NAME_CHARS_MAX: usize = 256;
/// Fewer digits of an id would soon mean two alerts.
const PREFIX_DIGITS_MIN: usize = 4;
/// A row that a person's entry makes, written with the group.
#[derive(Clone, Debug)]
pub enum Entry {
    /// `recorded_ms`: given by the person; None: the moment of the entry.
    ManualLog {
        row: ManualLogRow,
        recorded_ms: Option<i64>,
        stamp: Stamp,
    },
    Acknowledge {
        alert: Uuid,
        by: Option<Uuid>,
        stamp: Stamp,
    },
    /// Of an alert that the rules may not know; where they closed it, this changes nothing.
    Resolve {
        alert: Uuid,
        by: Option<Uuid>,
        stamp: Stamp,
    },
    Action {
        row: ActionRow,
        stamp: Stamp,
    },
}

/// Who did it.
struct Who {
    profile: Option<Uuid>,
    /// What the audit and messages call them.
    shown: String,
    /// A name that no profile has: it goes into the notes, so that it stands in the row too.
    unknown: Option<String>,
}

impl Who {
    fn actor(&self) -> Actor {
        self.profile.map_or(Actor::Installer, Actor::Person)
    }

    fn notes(&self, notes: Option<&str>) -> Option<String> {
        match (&self.unknown, notes) {
            (Some(name), Some(notes)) => Some(format!("{name}: {notes}")),
            (Some(name), None) => Some(name.clone()),
            (None, notes) => notes.map(str::to_owned),
        }
    }
}

impl Core {
    pub(super) fn log_manually(&mut self, log: &LogManual) -> Result<Value> {
        let Some(unit) = self.registry.find_unit(&log.unit) else {
            bail!("no unit {:?}: `frostguard-hub units list` shows them", log.unit);
        };
        let (no, name, scale) = (unit.no, unit.name.clone(), unit.scale);
        let temperature = entered::temperature(&log.temperature, scale)?;
        if !log.yes && !entered::is_plausible(temperature) {
            bail!("{temperature} in {name}? If that is what the thermometer shows, repeat it with --yes");
        }
        let humidity = log.humidity.as_deref().map(entered::humidity).transpose()?;
        let notes = log.notes.as_deref().map(text).transpose()?;
        let who = self.who(log.by.as_deref())?;
        let stamp = self.stamp_now();
        let (now, is_trusted) = self.wall_of(stamp);
        let recorded_ms = match log.at.as_deref() {
            None => None,
            Some(_) if !is_trusted => {
                bail!("the hub's clock is not set yet, so it cannot place {:?}: log without --at", log.at)
            }
            Some(at) => Some(entered::time(at, now.0, &self.registry.zone)?),
        };
        // An old one says nothing of the present.
        if recorded_ms.is_none_or(|at| now.0 - at <= MANUAL_LOG_MS_MAX) {
            self.take_input(Event::ManualLog { unit: no, temperature }, stamp);
        }
        let id = self.new_id(stamp);
        let row = ManualLogRow {
            id,
            unit: no,
            profile: who.profile,
            temperature: temperature.hundredths,
            humidity,
            notes: who.notes(notes),
        };
        self.enter(Entry::ManualLog { row, recorded_ms, stamp });
        let fields = [
            ("id", id.to_string().into()),
            ("person", who.shown.clone().into()),
            ("temperature", temperature.to_string().into()),
            ("hundredths", temperature.hundredths.into()),
            ("scale", scale.as_str().into()),
            ("humidity", humidity.into()),
            ("recorded_ms", recorded_ms.into()),
            ("notes", notes.into()),
        ];
        self.note_by(who.actor(), MANUAL_LOG, Entity::Unit(no), fields, stamp.mono);
        let kept = self.commit_entry();
        let status = self.unit_view(no).map(|view| view.shown.to_string());
        Ok(json!({ "said": format!("logged {temperature} in {name}{kept}"), "id": id, "status": status }))
    }

    pub(super) fn acknowledge_alerts(&mut self, ack: &AlertsAck) -> Result<Value> {
        let notes = ack.notes.as_deref().map(text).transpose()?;
        let who = self.who(ack.by.as_deref())?;
        let mut alerts: Vec<NamedAlert> = Vec::new();
        for named in &ack.alerts {
            for alert in self.named_alerts(named)? {
                if !alerts.contains(&alert) {
                    alerts.push(alert);
                }
            }
        }
        let (fresh, taken): (Vec<_>, Vec<_>) =
            alerts.into_iter().partition(|alert| alert.status != "acknowledged");
        if fresh.is_empty() && !taken.is_empty() {
            bail!("acknowledged already");
        }
        for alert in &fresh {
            let stamp = self.stamp_now();
            self.take_input(Event::Acknowledged { alert: alert.id }, stamp);
            self.standing.acknowledge(alert.id, Some(who.shown.clone()));
            self.enter(Entry::Acknowledge { alert: alert.id, by: who.profile, stamp });
            let fields = [
                ("alert", alert.id.to_string().into()),
                ("alert_type", alert.alert_type.clone().into()),
                ("person", who.shown.clone().into()),
                ("notes", notes.into()),
            ];
            self.note_by(who.actor(), ALERT_ACKNOWLEDGED, Entity::Unit(alert.unit), fields, stamp.mono);
        }
        let kept = self.commit_entry();
        let said = format!("acknowledged {}{kept}", self.listed(&fresh));
        Ok(json!({ "said": said, "alerts": fresh.iter().map(|alert| alert.id).collect::<Vec<_>>() }))
    }

    pub(super) fn resolve_alert(&mut self, resolve: &AlertsResolve) -> Result<Value> {
        let notes = resolve.notes.as_deref().map(text).transpose()?;
        let action = resolve.action.as_deref().map(text).transpose()?;
        let who = self.who(resolve.by.as_deref())?;
        let alerts = self.named_alerts(&resolve.alert)?;
        for alert in &alerts {
            let stamp = self.stamp_now();
            let fields = [
                ("alert", alert.id.to_string().into()),
                ("alert_type", alert.alert_type.clone().into()),
                ("person", who.shown.clone().into()),
                ("notes", notes.into()),
            ];
            self.note_by(who.actor(), ALERT_TAKEN_CARE_OF, Entity::Unit(alert.unit), fields, stamp.mono);
            self.take_input(Event::Resolved { alert: alert.id, by: who.profile }, stamp);
            self.standing.note_person(alert.id, &who.shown);
            self.enter(Entry::Resolve { alert: alert.id, by: who.profile, stamp });
            if let Some(description) = notes.or(action) {
                self.document(alert, (description, action), &who, stamp);
            }
        }
        let kept = self.commit_entry();
        let said = format!("resolved {}{kept}", self.listed(&alerts));
        Ok(json!({ "said": said, "alerts": alerts.iter().map(|alert| alert.id).collect::<Vec<_>>() }))
    }

    fn document(
        &mut self,
        alert: &NamedAlert,
        (description, action): (&str, Option<&str>),
        who: &Who,
        stamp: Stamp,
    ) {
        let id = self.new_id(stamp);
        let row = ActionRow {
            id,
            alert: alert.id,
            profile: who.profile,
            description: who.notes(Some(description)).unwrap_or_default(),
            action_taken: action.map(str::to_owned),
            is_resolved: true,
        };
        self.enter(Entry::Action { row, stamp });
        let fields = [
            ("id", id.to_string().into()),
            ("alert", alert.id.to_string().into()),
            ("person", who.shown.clone().into()),
            ("description", description.into()),
            ("action", action.into()),
        ];
        self.note_by(who.actor(), CORRECTIVE_ACTION, Entity::Unit(alert.unit), fields, stamp.mono);
    }

    fn who(&self, by: Option<&str>) -> Result<Who> {
        let Some(by) = by else {
            return Ok(Who { profile: None, shown: "somebody at the hub".to_owned(), unknown: None });
        };
        let name = text(by)?;
        if name.chars().count() > NAME_CHARS_MAX {
            bail!("a name has at most {NAME_CHARS_MAX} characters");
        }
        let found = people::profiles(self.store.connection(), name)?;
        match &found[..] {
            [] => Ok(Who { profile: None, shown: name.to_owned(), unknown: Some(name.to_owned()) }),
            [profile] => Ok(Who {
                profile: Some(profile.id),
                shown: profile.name.clone().unwrap_or_else(|| profile.email.clone()),
                unknown: None,
            }),
            many => {
                let emails: Vec<&str> = many.iter().map(|profile| profile.email.as_str()).collect();
                bail!("several people are named {name:?}: give one of {}", emails.join(", "))
            }
        }
    }

    /// Open alerts that a person names: by the unit, or by the first digits of an id.
    fn named_alerts(&mut self, named: &str) -> Result<Vec<NamedAlert>> {
        // One that was decided just now counts. Where the disk refuses, what it holds is all there is to name.
        let _ = self.flush();
        let connection = self.store.connection();
        if let Some(unit) = self.registry.find_unit(named) {
            let mut open = people::open_alerts(connection, unit.no)?;
            // While the disk refuses it, an alert is in memory alone.
            for alert in self.rules.open_alerts().filter(|alert| alert.unit == unit.no) {
                if open.iter().all(|known| known.id != alert.id) {
                    let alert_type = alert.alert_type.as_str().to_owned();
                    let status = "active".to_owned();
                    open.push(NamedAlert { id: alert.id, unit: alert.unit, alert_type, status });
                }
            }
            if open.is_empty() {
                bail!("{} has no open alert", unit.name);
            }
            return Ok(open);
        }
        let digits: String = named.trim().chars().filter(|c| *c != '-').collect();
        if digits.len() < PREFIX_DIGITS_MIN || !digits.chars().all(|digit| digit.is_ascii_hexdigit()) {
            bail!(
                "no unit {named:?}, and no id either: give a unit's name, or {PREFIX_DIGITS_MIN} or more digits of an id from `frostguard-hub alerts list`"
            );
        }
        let found = people::alerts_by_prefix(connection, &digits.to_ascii_uppercase())?;
        let open: Vec<&NamedAlert> = found.iter().filter(|alert| alert.status != "resolved").collect();
        match (&open[..], found.is_empty()) {
            ([alert], _) => Ok(vec![(*alert).clone()]),
            ([], true) => bail!("no alert begins with {named}: `frostguard-hub alerts list` shows them"),
            ([], false) => bail!("alert {named} is resolved already"),
            (many, _) => bail!("{} open alerts begin with {named}: give more digits", many.len()),
        }
    }

    /// "alarm_active of Walk-in, door_open of Fridge".
    fn listed(&self, alerts: &[NamedAlert]) -> String {
        let one = |alert: &NamedAlert| {
            let unit = self.registry.unit(alert.unit).map_or("a unit", |unit| unit.name.as_str());
            format!("{} of {unit}", alert.alert_type)
        };
        alerts.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    fn enter(&mut self, entry: Entry) {
        let now = self.now;
        self.group.opened.get_or_insert(now);
        self.group.push(Write::Entry(Box::new(entry)));
        self.group.is_urgent = true;
    }

    /// Commits what was entered. What is said where the disk refuses: it was taken all the same, and entering it again
    /// would make it twice.
    fn commit_entry(&mut self) -> String {
        match self.flush() {
            Ok(()) => String::new(),
            Err(error) => format!("; it waits in memory, since storing fails: {error:#}"),
        }
    }

    pub(super) fn new_id(&mut self, stamp: Stamp) -> Uuid {
        frostguard_sync::ids::time_ordered_id(self.wall_of(stamp).0.0, self.random_bytes())
    }
}

impl Writer<'_> {
    pub(super) fn write_entry(&mut self, tx: &Transaction<'_>, entry: &Entry) -> Result<()> {
        match entry {
            Entry::ManualLog { row, recorded_ms, stamp } => {
                let now_ms = self.times.of(*stamp).ms;
                people::insert_manual_log(tx, row, recorded_ms.unwrap_or(now_ms), now_ms)?;
                let columns =
                    if recorded_ms.is_some() { &["created_at"][..] } else { &["recorded_at", "created_at"] };
                self.provisional(tx, "manual_temperature_logs", row.id, columns, *stamp)?;
                mark_dirty(tx, "manual_temperature_logs", row.id)?;
            }
            Entry::Acknowledge { alert, by, stamp } => {
                let now_ms = self.times.of(*stamp).ms;
                if alerts::acknowledge(tx, *alert, now_ms, *by, now_ms)? {
                    self.provisional(tx, "alerts", *alert, &["acknowledged_at"], *stamp)?;
                    mark_dirty(tx, "alerts", *alert)?;
                }
            }
            Entry::Resolve { alert, by, stamp } => {
                let now_ms = self.times.of(*stamp).ms;
                if alerts::resolve(tx, *alert, now_ms, *by, now_ms)? {
                    self.provisional(tx, "alerts", *alert, &["resolved_at"], *stamp)?;
                    mark_dirty(tx, "alerts", *alert)?;
                }
            }
            Entry::Action { row, stamp } => {
                people::insert_action(tx, row, self.times.of(*stamp).ms)?;
                self.provisional(tx, "corrective_actions", row.id, &["action_at", "created_at"], *stamp)?;
                mark_dirty(tx, "corrective_actions", row.id)?;
            }
        }
        Ok(())
    }
}

/// A text of a person, without what surrounds it.
fn text(entered: &str) -> Result<&str> {
    let text = entered.trim();
    let is_control = |c: char| c.is_control() && c != '\n';
    if text.is_empty() || text.chars().count() > NOTES_CHARS_MAX || text.chars().any(is_control) {
        bail!("a text has 1 to {NOTES_CHARS_MAX} characters and no control characters");
    }
    Ok(text)
}
