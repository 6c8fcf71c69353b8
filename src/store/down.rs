//! What comes down beside the configuration: acknowledge and resolve of alerts, and entries that people made centrally.

use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::error::Result;
use super::snapshot_check::{int, uuid};
use super::{link, rows, tables};
use crate::domain::UnixMs;
use frostguard_sync::api::Down;
use frostguard_sync::wire::RowImage;

/// What a person did to an alert on the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Act {
    pub alert: Uuid,
    pub kind: ActKind,
    pub at: UnixMs,
    /// None also where the hub does not know the person.
    pub by: Option<Uuid>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActKind {
    Acknowledge,
    Resolve,
}

/// The acts that are news: of alerts the hub has, earlier than what stands there. An acknowledgement before the last
/// escalation counts on neither side.
pub fn acts(connection: &Connection, alerts: &[RowImage]) -> Result<Vec<Act>> {
    let mut acts = Vec::new();
    for row in alerts.iter().filter(|row| row.table == "alerts") {
        let there: Option<(Option<i64>, Option<i64>, Option<i64>)> = connection
            .prepare_cached("SELECT acknowledged_at, resolved_at, escalated_at FROM alerts WHERE id = ?1")?
            .query_row([row.id.into_bytes()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((acknowledged, resolved, escalated)) = there else { continue };
        let is_news = |at: i64, there: Option<i64>| there.is_none_or(|there| at < there);
        if let Some(at) = int(row, "acknowledged_at")
            && is_news(at, acknowledged)
            && escalated.is_none_or(|escalated| at >= escalated)
        {
            let by = known_profile(connection, uuid(row, "acknowledged_by"))?;
            acts.push(Act { alert: row.id, kind: ActKind::Acknowledge, at: UnixMs(at), by });
        }
        if let Some(at) = int(row, "resolved_at")
            && is_news(at, resolved)
        {
            let by = known_profile(connection, uuid(row, "resolved_by"))?;
            acts.push(Act { alert: row.id, kind: ActKind::Resolve, at: UnixMs(at), by });
        }
    }
    Ok(acts)
}

/// Writes an act into the alert's row. Of a resolution only the time and the person, where the alert is resolved already:
/// an open alert is resolved by the rules, which are told of the act.
pub fn write(connection: &Connection, act: &Act, now: UnixMs) -> Result<()> {
    let sql = match act.kind {
        ActKind::Acknowledge => {
            "UPDATE alerts SET acknowledged_at = ?2, acknowledged_by = ?3, updated_at = ?4,
                status = CASE WHEN resolved_at IS NULL THEN 'acknowledged' ELSE status END WHERE id = ?1"
        }
        ActKind::Resolve => {
            "UPDATE alerts SET resolved_at = ?2, resolved_by = ?3, updated_at = ?4
             WHERE id = ?1 AND resolved_at IS NOT NULL"
        }
    };
    connection.prepare_cached(sql)?.execute(params![
        act.alert.into_bytes(),
        act.at.0,
        act.by.map(Uuid::into_bytes),
        now.0
    ])?;
    // Central tells of it until the hub says the same.
    rows::mark_dirty(connection, "alerts", act.alert)
}

/// Stores entries of central that the hub does not have and moves the cursor; returns those stored, and why others were
/// not (their unit or alert is unknown here).
pub fn take_entries(
    connection: &Connection,
    down: &Down,
    now: UnixMs,
) -> Result<(Vec<RowImage>, Vec<String>)> {
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    for row in &down.entries {
        match take_entry(connection, row, now)? {
            Ok(true) => taken.push(row.clone()),
            Ok(false) => {}
            Err(reason) => refused.push(format!("{} {}: {reason}", row.table, row.id)),
        }
    }
    link::set_cursor(connection, &down.cursor)?;
    Ok((taken, refused))
}

fn take_entry(connection: &Connection, row: &RowImage, now: UnixMs) -> Result<Result<bool, String>> {
    let name = row.table.as_str();
    let table = match tables::find(name) {
        Some(table) if matches!(name, "manual_temperature_logs" | "corrective_actions") => table,
        _ => return Ok(Err("not an entry".to_owned())),
    };
    if let Some(column) = rows::misfits(table, row).1.first() {
        return Ok(Err(format!("{column} has another type")));
    }
    if rows::exists(connection, table, row.id)? {
        return Ok(Ok(false));
    }
    let mut row = row.clone();
    let profile = known_profile(connection, uuid(&row, "profile_id"))?;
    if profile.is_none() {
        row.columns.retain(|(column, _)| column != "profile_id");
    }
    connection.execute_batch("SAVEPOINT entry")?;
    match rows::upsert(connection, table, &row, now) {
        Ok(is_new) => {
            connection.execute_batch("RELEASE entry")?;
            Ok(Ok(is_new))
        }
        Err(error) if super::snapshot::is_of_the_rows(&error) => {
            connection.execute_batch("ROLLBACK TO entry; RELEASE entry")?;
            Ok(Err(error.to_string()))
        }
        Err(error) => Err(error),
    }
}

fn known_profile(connection: &Connection, id: Option<Uuid>) -> Result<Option<Uuid>> {
    let Some(id) = id else { return Ok(None) };
    let is_known =
        connection.prepare_cached("SELECT 1 FROM profiles WHERE id = ?1")?.exists([id.into_bytes()])?;
    Ok(is_known.then_some(id))
}
