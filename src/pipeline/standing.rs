//! The alerts as they stand, in memory: what messages and the board say must not depend on a store that may be failing.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use rusqlite::Connection;
use uuid::Uuid;

use crate::domain::{AlertStatus, AlertType, Severity, Stamp, UnitNo};
use crate::notify::message::{AlertNote, Board, UnitNote};
use crate::notify::plan::{self, Item};
use crate::notify::text::{self, Clock, Outage, Told};
use crate::notify::{Channel, Kind};
use crate::rules::{Cause, Decision, What};
use crate::store::{alerts, deliveries};

use super::{Core, decide};

/// Alerts that are over are remembered while a message may still speak of them.
const OVER_MAX: usize = 500;

#[derive(Clone, Debug, Default)]
pub struct Standings(BTreeMap<Uuid, Standing>);

/// One alert.
#[derive(Clone, Debug)]
pub struct Standing {
    pub unit: UnitNo,
    pub alert_type: AlertType,
    pub severity: Severity,
    pub status: AlertStatus,
    pub level: u8,
    pub message: String,
    pub triggered: When,
    pub resolved: Option<When>,
    /// Who took or ended it.
    pub person: Option<String>,
    /// Who was called.
    pub called: BTreeSet<(Channel, String)>,
}

/// A moment: of this run, or as the database has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    At(Stamp),
    /// Unix ms.
    Ms(i64),
}

impl Standings {
    /// Open alerts, and those that an unsent message is about.
    pub fn load(conn: &Connection) -> Result<Self> {
        let mut all = Self::default();
        for row in alerts::standing(conn)? {
            let called = deliveries::called(conn, row.id)?.into_iter().collect();
            let standing = Standing {
                unit: row.unit,
                alert_type: row.alert_type,
                severity: row.severity,
                status: row.status,
                level: row.level,
                message: row.message,
                triggered: When::Ms(row.triggered_ms),
                resolved: row.resolved_ms.map(When::Ms),
                person: row.person,
                called,
            };
            all.0.insert(row.id, standing);
        }
        Ok(all)
    }

    pub fn get(&self, alert: Uuid) -> Option<&Standing> {
        self.0.get(&alert)
    }

    pub fn note_called(&mut self, alert: Uuid, recipients: &[(Channel, String)]) {
        if let Some(standing) = self.0.get_mut(&alert) {
            standing.called.extend(recipients.iter().cloned());
        }
    }

    /// A person took it, here or centrally.
    pub fn acknowledge(&mut self, alert: Uuid, person: Option<String>) {
        if let Some(standing) = self.0.get_mut(&alert).filter(|standing| standing.resolved.is_none()) {
            standing.status = AlertStatus::Acknowledged;
            standing.person = person;
        }
    }

    /// Who ended it, where the rules do not know the person.
    pub fn note_person(&mut self, alert: Uuid, person: &str) {
        if let Some(standing) = self.0.get_mut(&alert) {
            standing.person = Some(person.to_owned());
        }
    }

    /// Follows a decision; `stamp` is its instant, `message` what it says, `person` who was behind it.
    pub fn follow(&mut self, decision: &Decision, stamp: Stamp, message: &str, person: Option<String>) {
        match decision.what {
            What::Opened { alert_type, severity, .. } => {
                self.insert(decision, alert_type, severity, message, When::At(stamp));
            }
            What::Late { alert_type, severity, from_ms, to_ms, .. } => {
                self.insert(decision, alert_type, severity, message, When::Ms(from_ms));
                self.end(decision.id, When::Ms(to_ms), None);
            }
            What::LateGrew { alert, from_ms, to_ms, .. } => {
                if let Some(standing) = self.0.get_mut(&alert) {
                    message.clone_into(&mut standing.message);
                    (standing.triggered, standing.resolved) = (When::Ms(from_ms), Some(When::Ms(to_ms)));
                }
            }
            What::Raised { alert, severity, .. } => {
                if let Some(standing) = self.0.get_mut(&alert) {
                    let is_taken =
                        standing.status == AlertStatus::Acknowledged && severity <= standing.severity;
                    standing.severity = severity;
                    if !is_taken {
                        (standing.status, standing.level, standing.person) = (AlertStatus::Active, 1, None);
                    }
                }
            }
            What::Called { alert, level, cause, .. } => {
                if let Some(standing) = self.0.get_mut(&alert) {
                    standing.level = level;
                    if cause == Cause::Escalated {
                        standing.status = AlertStatus::Escalated;
                    }
                }
            }
            What::Resolved { alert, .. } => self.end(alert, When::At(stamp), person),
            _ => {}
        }
    }

    fn insert(
        &mut self,
        decision: &Decision,
        alert_type: AlertType,
        severity: Severity,
        message: &str,
        triggered: When,
    ) {
        let standing = Standing {
            unit: decision.unit,
            alert_type,
            severity,
            status: AlertStatus::Active,
            level: 0,
            message: message.to_owned(),
            triggered,
            resolved: None,
            person: None,
            called: BTreeSet::new(),
        };
        self.0.insert(decision.id, standing);
    }

    fn end(&mut self, alert: Uuid, when: When, person: Option<String>) {
        if let Some(standing) = self.0.get_mut(&alert) {
            (standing.status, standing.resolved) = (AlertStatus::Resolved, Some(when));
            standing.person = person;
        }
        let over = self.0.values().filter(|standing| standing.resolved.is_some()).count();
        if over > OVER_MAX {
            let oldest = self.0.iter().find(|(id, standing)| standing.resolved.is_some() && **id != alert);
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                self.0.remove(&oldest);
            }
        }
    }

    pub fn open(&self) -> impl Iterator<Item = (&Uuid, &Standing)> {
        self.0.iter().filter(|(_, standing)| standing.resolved.is_none())
    }
}

impl Core {
    fn ms_of(&self, when: When) -> i64 {
        match when {
            When::At(stamp) => self.wall_of(stamp).0.0,
            When::Ms(ms) => ms,
        }
    }

    fn note_of(&self, id: Uuid, standing: &Standing) -> AlertNote {
        let unit = self.registry.unit(standing.unit);
        AlertNote {
            id,
            unit_id: unit.map(|unit| unit.id).unwrap_or_default(),
            unit: unit.map(|unit| unit.name.clone()).unwrap_or_default(),
            alert_type: standing.alert_type,
            severity: standing.severity,
            status: standing.status,
            level: standing.level,
            message: standing.message.clone(),
            triggered_ms: self.ms_of(standing.triggered),
        }
    }

    /// The alerts that deliveries are about, each once.
    pub(super) fn notes_of(&self, items: &[Item]) -> Vec<AlertNote> {
        let ids: BTreeSet<Uuid> = items.iter().filter_map(|item| item.alert).collect();
        ids.iter().filter_map(|id| Some(self.note_of(*id, self.standing.get(*id)?))).collect()
    }

    /// What a message says of each alert; those that an outage explains are told with it.
    pub(super) fn told_alerts(&self, items: &[Item]) -> Vec<Told> {
        let mut by_alert: BTreeMap<Uuid, &Item> = BTreeMap::new();
        for item in items.iter().filter(|item| item.outage.is_none()) {
            let Some(alert) = item.alert else { continue };
            by_alert.insert(alert, item);
        }
        let told = by_alert.into_iter().filter_map(|(id, item)| {
            let standing = self.standing.get(id)?;
            let unit = self.registry.unit(standing.unit)?;
            let is_temperature = standing.alert_type == AlertType::AlarmActive;
            let now = self.last_of(unit.no).filter(|_| is_temperature && item.kind != Kind::Notice);
            Some(Told {
                note: self.note_of(id, standing),
                kind: item.kind,
                level: item.level,
                is_reminder: item.cause == Cause::Reminder,
                now: now.map(|last| format!("{} now", decide::degrees(last.temperature.to(unit.scale)))),
                limits: is_temperature
                    .then(|| crate::control::show::limits(unit.temp_min, unit.temp_max, unit.scale)),
                resolved_ms: standing.resolved.map(|when| self.ms_of(when)),
                person: standing.person.clone(),
            })
        });
        told.collect()
    }

    /// The outages among deliveries that their recipient was not told of, with all units they silence.
    pub(super) fn told_outages(&self, items: &[Item], clock: &Clock) -> Vec<Outage> {
        let outages: BTreeSet<&String> = items
            .iter()
            .filter(|item| !self.plan.is_told(std::slice::from_ref(item)))
            .filter_map(|item| item.outage.as_ref())
            .collect();
        let outages = outages.into_iter().map(|outage| {
            let source = plan::source_of(outage).to_owned();
            let of_items = items.iter().filter(|item| item.outage.as_ref() == Some(outage));
            let severity = of_items.map(|item| item.severity).max().unwrap_or(Severity::Warning);
            let units = self
                .registry
                .units
                .iter()
                .filter(|unit| unit.is_active && self.source_of_unit(unit.no).as_ref() == Some(&source))
                .map(|unit| unit.name.clone())
                .collect();
            let down = self.sources.get(&source).filter(|state| !state.is_up);
            let since = down.map(|state| {
                let (wall, _) = self.wall_of(Stamp { segment: self.segment, mono: state.since });
                text::clock_time(wall.0, clock)
            });
            Outage { source, severity, since, units }
        });
        outages.collect()
    }

    /// The kitchen as it stands.
    pub fn board(&self) -> Board {
        let (mut calling, mut sound) = (None, None);
        for call in self.rules.calls() {
            if call.level == 0 || call.is_acknowledged {
                continue;
            }
            calling = calling.max(Some(call.severity));
            if self.silenced.get(&call.alert).is_none_or(|times| *times < call.times) {
                sound = sound.max(Some(call.severity));
            }
        }
        let alerts: Vec<AlertNote> =
            self.standing.open().map(|(id, standing)| self.note_of(*id, standing)).collect();
        Board {
            calling,
            sound,
            light: alerts.iter().map(|alert| alert.severity).max(),
            is_storage_failed: self.failing.as_ref().is_some_and(|failing| failing.is_loud),
            site: self.registry.site.clone(),
            units: self
                .registry
                .units
                .iter()
                .filter(|unit| unit.is_active)
                .map(|unit| self.unit_note(unit))
                .collect(),
            alerts,
        }
    }

    fn unit_note(&self, unit: &crate::store::registry::UnitRow) -> UnitNote {
        let last = self.last_of(unit.no);
        let hundredths = |value: i32| f64::from(value) / 100.0;
        UnitNote {
            id: unit.id,
            name: unit.name.clone(),
            status: self.unit_view(unit.no).map_or(crate::domain::UnitStatus::Ok, |view| view.shown),
            temperature: last.map(|last| hundredths(last.temperature.to(unit.scale).hundredths)),
            humidity: last.and_then(|last| last.humidity).map(hundredths),
            scale: unit.scale.as_str().to_owned(),
            is_door_open: self.live.is_door_open(unit.no),
            read_ms: last.map(|last| last.recorded_ms),
        }
    }

    /// The button: what sounds now is silent until somebody is called again.
    pub fn silence(&mut self) {
        self.silenced = self.rules.calls().map(|call| (call.alert, call.times)).collect();
        self.counters.add("notify.silenced", "", 1);
    }
}
