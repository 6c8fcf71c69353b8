//! The stored history played through the rules again: which alerts there would have been, beside those that were.
//!
//! It starts from the last checkpoint before the window, lets everything up to the window pass as it was, changes what is
//! to be tried there, and gathers the alerts of the window. With nothing changed it comes to the same alerts and ids.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use rusqlite::Connection;
use serde::Serialize;
use uuid::Uuid;

use super::overlay::Overlay;
use crate::domain::{AlertType, Seq, Severity, Stamp, Temperature, UnitNo, UnixMs};
use crate::pipeline::walk::{self, Place};
use crate::rules::{At, Decision, Event, Tick, What, step};
use crate::store::boots::{self, Segment};

/// The time replayed.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub from: UnixMs,
    pub to: UnixMs,
}

/// An alert that a replay raised, or one that the hub did. Times are Unix ms.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReplayedAlert {
    pub id: Uuid,
    #[serde(skip)]
    pub unit_no: UnitNo,
    pub unit: String,
    #[serde(rename = "type")]
    pub alert_type: AlertType,
    /// The highest it reached.
    pub severity: Severity,
    pub opened_ms: i64,
    /// When people were called.
    pub confirmed_ms: Option<i64>,
    pub resolved_ms: Option<i64>,
    /// In the unit's scale.
    #[serde(skip)]
    pub trigger: Option<Temperature>,
}

/// What came of a replay.
#[derive(Debug, Default)]
pub struct Outcome {
    /// By opening.
    pub alerts: Vec<ReplayedAlert>,
    /// When the replay began: the last checkpoint, or the beginning of what is stored.
    pub started_ms: Option<i64>,
    pub readings: u64,
    /// Inputs of a version whose form is no longer read.
    pub passed_over: u64,
}

/// Replays a window of the history.
pub fn replay(conn: &Connection, window: Window, overlay: Option<&Overlay>) -> Result<Outcome> {
    let segments = boots::all(conn)?;
    let start = walk::before(conn, &segments, window.from)?;
    let mut gathered = Gathered { outcome: Outcome::default(), open: BTreeMap::new(), window };
    gathered.outcome.started_ms = start.last.map(|stamp| wall_of(&segments, stamp).0);
    let mut state = start.state.clone();
    let mut decisions = Vec::new();
    // What is to be tried takes force at the window's beginning.
    let mut is_tried = overlay.is_none();
    let mut last: Option<(Place, At)> = None;
    let walked = walk::walk(conn, &start, |place, event| {
        let wall = wall_of(&segments, place.stamp);
        if wall > window.to {
            return Ok(false);
        }
        let tick = Tick(place.stamp.mono.0 + place.tick_base).max(state.tick());
        let at = At { tick, epoch: place.epoch, after: Seq(place.seq.0 - 1) };
        let is_within = wall >= window.from;
        if let (true, false, Some(overlay)) = (is_within, is_tried, overlay) {
            is_tried = true;
            let config = overlay.apply(&state.config())?;
            step(&mut state, &Event::Configured(Box::new(config)), at, &mut decisions);
        }
        let tried;
        let event = match (event, overlay) {
            (Event::Configured(config), Some(overlay)) if is_within => {
                tried = Event::Configured(Box::new(overlay.apply(config)?));
                &tried
            }
            (event, _) => event,
        };
        gathered.outcome.readings += u64::from(is_within && matches!(event, Event::Reading(_)));
        step(&mut state, event, at, &mut decisions);
        gathered.take(&mut decisions, &segments, place);
        last = Some((place, at));
        Ok(true)
    })
    .context("replay the stored history")?;
    gathered.outcome.passed_over = walked.passed_over;
    // What falls due until the end of the window without any event.
    if let Some((place, at)) = last.filter(|_| !walked.is_complete) {
        let left_ms = window.to.0 - wall_of(&segments, place.stamp).0;
        let tick = Tick(place.stamp.mono.0 + place.tick_base).plus(left_ms.max(0)).max(state.tick());
        step(&mut state, &Event::Tick, At { tick, ..at }, &mut decisions);
        gathered.take(&mut decisions, &segments, place);
    }
    if let Some(name) = overlay.and_then(|overlay| overlay.missing(&state.config())) {
        bail!("there is no unit named {name:?} in this time");
    }
    let names: BTreeMap<UnitNo, String> =
        state.config().units.into_iter().map(|unit| (unit.unit, unit.name)).collect();
    for alert in &mut gathered.outcome.alerts {
        alert.unit = names.get(&alert.unit_no).cloned().unwrap_or_default();
    }
    Ok(gathered.outcome)
}

struct Gathered {
    outcome: Outcome,
    /// Indices of the alerts of the window that are open.
    open: BTreeMap<Uuid, usize>,
    window: Window,
}

impl Gathered {
    fn take(&mut self, decisions: &mut Vec<Decision>, segments: &[Segment], place: Place) {
        for decision in decisions.drain(..) {
            let wall = |tick: Tick| {
                let mono = crate::domain::MonoMs(tick.0 - place.tick_base);
                wall_of(segments, Stamp { segment: place.stamp.segment, mono }).0
            };
            let at_ms = wall(decision.tick);
            match decision.what {
                What::Opened { alert_type, severity, trigger, .. } if at_ms >= self.window.from.0 => {
                    self.open.insert(decision.id, self.outcome.alerts.len());
                    self.outcome.alerts.push(ReplayedAlert {
                        id: decision.id,
                        unit_no: decision.unit,
                        unit: String::new(),
                        alert_type,
                        severity,
                        opened_ms: at_ms,
                        confirmed_ms: None,
                        resolved_ms: None,
                        trigger,
                    });
                }
                What::Late { alert_type, severity, trigger, from_ms, to_ms, .. } => {
                    self.outcome.alerts.push(ReplayedAlert {
                        id: decision.id,
                        unit_no: decision.unit,
                        unit: String::new(),
                        alert_type,
                        severity,
                        opened_ms: from_ms,
                        confirmed_ms: Some(at_ms),
                        resolved_ms: Some(to_ms),
                        trigger: Some(trigger),
                    });
                }
                What::LateGrew { alert, trigger, from_ms, to_ms, .. } => {
                    let told = self.outcome.alerts.iter_mut().rev().find(|told| told.id == alert);
                    if let Some(told) = told {
                        (told.opened_ms, told.resolved_ms) = (from_ms, Some(to_ms));
                        told.trigger = Some(trigger);
                    }
                }
                What::Raised { alert, severity, .. } => {
                    if let Some(index) = self.open.get(&alert) {
                        self.outcome.alerts[*index].severity = severity;
                    }
                }
                What::Called { alert, .. } => {
                    if let Some(index) = self.open.get(&alert) {
                        self.outcome.alerts[*index].confirmed_ms.get_or_insert(at_ms);
                    }
                }
                What::Resolved { alert, at, .. } => {
                    if let Some(index) = self.open.remove(&alert) {
                        let opened_ms = self.outcome.alerts[index].opened_ms;
                        self.outcome.alerts[index].resolved_ms = Some(wall(at).max(opened_ms));
                    }
                }
                _ => {}
            }
        }
    }
}

/// The alerts that the hub raised in the window, by opening.
pub fn raised(conn: &Connection, window: Window) -> Result<Vec<ReplayedAlert>> {
    let mut statement = conn.prepare(
        "SELECT a.id, h.no, u.name, a.alert_type, a.severity, a.triggered_at, a.escalated_at, a.resolved_at, a.escalation_level
         FROM alerts AS a JOIN hub_units AS h ON h.unit_id = a.unit_id JOIN units AS u ON u.id = a.unit_id
         WHERE a.triggered_at BETWEEN ?1 AND ?2 ORDER BY a.triggered_at, a.id",
    )?;
    let mut rows = statement.query([window.from.0, window.to.0])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        let (alert_type, severity): (String, String) = (row.get(3)?, row.get(4)?);
        let (Some(alert_type), Some(severity)) = (AlertType::parse(&alert_type), Severity::parse(&severity))
        else {
            continue;
        };
        let opened_ms: i64 = row.get(5)?;
        let level: u8 = row.get(8)?;
        // Alerts of other types are called as they open.
        let confirmed_ms = row.get::<_, Option<i64>>(6)?.or((level > 0).then_some(opened_ms));
        out.push(ReplayedAlert {
            id: crate::store::registry::uuid_at(row, 0)?,
            unit_no: UnitNo(row.get(1)?),
            unit: row.get(2)?,
            alert_type,
            severity,
            opened_ms,
            confirmed_ms,
            resolved_ms: row.get(7)?,
            trigger: None,
        });
    }
    Ok(out)
}

fn wall_of(segments: &[Segment], stamp: Stamp) -> UnixMs {
    segments
        .iter()
        .find(|segment| segment.no == stamp.segment)
        .map_or(UnixMs(stamp.mono.0), |s| s.wall(stamp.mono))
}
