//! What people enter at the hub: manual logs, corrective actions, and whom to call.

use anyhow::{Context, Result};
use rusqlite::{Connection, Transaction, params};
use uuid::Uuid;

use super::registry::uuid_at;
use crate::domain::UnitNo;

/// People of one name that a question lists.
const FOUND_MAX: usize = 5;

/// A profile that central sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    pub id: Uuid,
    pub email: String,
    pub name: Option<String>,
}

/// Profiles with this e-mail address, else with this full name; letters of either case.
pub fn profiles(conn: &Connection, text: &str) -> Result<Vec<Profile>> {
    // SQLite's own lower() knows ASCII alone: names are compared here, and a site has a few dozen.
    let mut statement = conn.prepare_cached("SELECT id, email, full_name FROM profiles ORDER BY email")?;
    let all: Vec<Profile> = statement
        .query_map([], |row| Ok(Profile { id: uuid_at(row, 0)?, email: row.get(1)?, name: row.get(2)? }))?
        .collect::<rusqlite::Result<_>>()
        .context("read the people")?;
    let wanted = text.trim().to_lowercase();
    let by = |is: &dyn Fn(&Profile) -> bool| -> Vec<Profile> {
        all.iter().filter(|profile| is(profile)).take(FOUND_MAX).cloned().collect()
    };
    let found = by(&|profile| profile.email.to_lowercase() == wanted);
    if !found.is_empty() {
        return Ok(found);
    }
    Ok(by(&|profile| profile.name.as_ref().is_some_and(|name| name.trim().to_lowercase() == wanted)))
}

/// An alert that a person names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedAlert {
    pub id: Uuid,
    pub unit: UnitNo,
    pub alert_type: String,
    pub status: String,
}

/// Alerts of a unit that are not resolved.
pub fn open_alerts(conn: &Connection, unit: UnitNo) -> Result<Vec<NamedAlert>> {
    named(conn, "u.no = ?1 AND a.status != 'resolved'", unit.0)
}

/// Alerts whose id begins with these hexadecimal digits (upper case), open ones first; at most a few.
pub fn alerts_by_prefix(conn: &Connection, digits: &str) -> Result<Vec<NamedAlert>> {
    named(conn, "substr(hex(a.id), 1, length(?1)) = ?1", digits)
}

fn named(conn: &Connection, condition: &str, value: impl rusqlite::ToSql) -> Result<Vec<NamedAlert>> {
    let sql = format!(
        "SELECT a.id, u.no, a.alert_type, a.status FROM alerts AS a JOIN hub_units AS u ON u.unit_id = a.unit_id
         WHERE {condition} ORDER BY a.status = 'resolved', a.triggered_at, a.id LIMIT 100"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query_map([value], |row| {
        Ok(NamedAlert {
            id: uuid_at(row, 0)?,
            unit: UnitNo(row.get(1)?),
            alert_type: row.get(2)?,
            status: row.get(3)?,
        })
    })?;
    rows.collect::<rusqlite::Result<_>>().context("read alerts")
}

/// A row of `manual_temperature_logs`.
#[derive(Clone, Debug)]
pub struct ManualLogRow {
    pub id: Uuid,
    pub unit: UnitNo,
    pub profile: Option<Uuid>,
    /// Hundredths of a degree in the unit's scale.
    pub temperature: i32,
    /// Hundredths of a percent.
    pub humidity: Option<i32>,
    pub notes: Option<String>,
}

pub fn insert_manual_log(
    tx: &Transaction<'_>,
    row: &ManualLogRow,
    recorded_ms: i64,
    created_ms: i64,
) -> Result<()> {
    tx.execute(
        "INSERT INTO manual_temperature_logs (id, unit_id, profile_id, temperature, humidity, notes, recorded_at, created_at)
         SELECT ?1, unit_id, (SELECT id FROM profiles WHERE id = ?3), ?4, ?5, ?6, ?7, ?8 FROM hub_units WHERE no = ?2",
        params![
            row.id.as_bytes(),
            row.unit.0,
            row.profile.map(Uuid::into_bytes),
            row.temperature,
            row.humidity,
            row.notes,
            recorded_ms,
            created_ms
        ],
    )?;
    Ok(())
}

/// A row of `corrective_actions`.
#[derive(Clone, Debug)]
pub struct ActionRow {
    pub id: Uuid,
    pub alert: Uuid,
    pub profile: Option<Uuid>,
    pub description: String,
    pub action_taken: Option<String>,
    pub is_resolved: bool,
}

pub fn insert_action(tx: &Transaction<'_>, row: &ActionRow, now_ms: i64) -> Result<()> {
    tx.execute(
        "INSERT INTO corrective_actions (id, alert_id, unit_id, profile_id, description, action_taken, resolved_alert,
            action_at, created_at)
         SELECT ?1, id, unit_id, (SELECT id FROM profiles WHERE id = ?3), ?4, ?5, ?6, ?7, ?7 FROM alerts WHERE id = ?2",
        params![
            row.id.as_bytes(),
            row.alert.as_bytes(),
            row.profile.map(Uuid::into_bytes),
            row.description,
            row.action_taken,
            row.is_resolved,
            now_ms
        ],
    )?;
    Ok(())
}

/// A row of `escalation_contacts`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Contact {
    pub id: Uuid,
    pub name: String,
    /// E.164 where it was entered here; as central has it else.
    pub phone: String,
    pub email: Option<String>,
    /// The smaller, the earlier called.
    pub priority: i32,
}

/// Active contacts, the first called first.
pub fn contacts(conn: &Connection, organization: Uuid) -> Result<Vec<Contact>> {
    let mut statement = conn.prepare_cached(
        "SELECT id, name, phone, email, priority FROM escalation_contacts
         WHERE organization_id = ?1 AND is_active = 1 ORDER BY priority, name, id",
    )?;
    let rows = statement.query_map([organization.as_bytes()], |row| {
        Ok(Contact {
            id: uuid_at(row, 0)?,
            name: row.get(1)?,
            phone: row.get(2)?,
            email: row.get(3)?,
            priority: row.get(4)?,
        })
    })?;
    rows.collect::<rusqlite::Result<_>>().context("read contacts")
}

pub fn insert_contact(
    tx: &Transaction<'_>,
    organization: Uuid,
    contact: &Contact,
    now_ms: i64,
) -> rusqlite::Result<()> {
    tx.execute(
        "INSERT INTO escalation_contacts (id, organization_id, name, phone, email, priority, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
        params![
            contact.id.as_bytes(),
            organization.as_bytes(),
            contact.name,
            contact.phone,
            contact.email,
            contact.priority,
            now_ms
        ],
    )?;
    Ok(())
}

pub fn remove_contact(tx: &Transaction<'_>, id: Uuid) -> rusqlite::Result<bool> {
    Ok(tx.execute("DELETE FROM escalation_contacts WHERE id = ?1", [id.as_bytes()])? > 0)
}
