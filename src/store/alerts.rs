//! Alerts, unit status, door events and the live columns as rows. Every write is idempotent: a decision that a replay
//! makes again finds its row and changes nothing.

use anyhow::{Context, Result};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use uuid::Uuid;

use frostguard_sync::scale::divide_rounding;

use crate::domain::{AlertStatus, AlertType, DeviceNo, Severity, Temperature, UnitNo, UnitStatus};
use crate::store::registry::uuid_at;

/// A new alert.
#[derive(Clone, Debug)]
pub struct NewAlert {
    pub id: Uuid,
    pub unit: UnitNo,
    pub device: Option<DeviceNo>,
    pub alert_type: AlertType,
    pub severity: Severity,
    pub rule: Option<Uuid>,
    pub message: String,
    /// In the unit's scale.
    pub trigger: Option<Temperature>,
    /// "max" or "min".
    pub violated: Option<&'static str>,
    pub triggered_ms: i64,
}

/// An alert as lists show it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct AlertView {
    pub id: Uuid,
    pub unit: String,
    pub alert_type: String,
    pub severity: String,
    pub status: String,
    pub message: Option<String>,
    pub triggered_ms: i64,
    pub escalated_ms: Option<i64>,
    pub acknowledged_ms: Option<i64>,
    pub resolved_ms: Option<i64>,
}

/// Central keeps tenths.
fn tenths(temperature: Temperature) -> i64 {
    divide_rounding(i64::from(temperature.hundredths), 10)
}

/// True when the row was not there before.
pub fn open(tx: &Transaction<'_>, alert: &NewAlert) -> Result<bool> {
    let added = tx.execute(
        "INSERT INTO alerts (id, unit_id, alert_rule_id, alert_type, severity, message, trigger_temperature,
                             threshold_violated, triggered_at, created_at, updated_at)
         SELECT ?1, unit_id, (SELECT id FROM alert_rules WHERE id = ?3), ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?9
         FROM hub_units WHERE no = ?2
         ON CONFLICT (id) DO NOTHING",
        params![
            alert.id.as_bytes(),
            alert.unit.0,
            alert.rule.map(|rule| *rule.as_bytes()),
            alert.alert_type.as_str(),
            alert.severity.as_str(),
            alert.message,
            alert.trigger.map(tenths),
            alert.violated,
            alert.triggered_ms
        ],
    )?;
    if added == 0 {
        return Ok(false);
    }
    // Rules that were rebuilt from less than everything (a restored backup) may not know of an older one; the new one
    // must not fail on it.
    let device_no = alert.device.filter(|_| alert.alert_type.is_per_device()).map_or(0, |device| device.0);
    supersede(tx, alert, device_no)?;
    tx.execute(
        "INSERT INTO hub_alerts (alert_id, unit_no, alert_type, device_no, is_open) VALUES (?1, ?2, ?3, ?4, 1)",
        params![
            alert.id.as_bytes(),
            alert.unit.0,
            alert.alert_type.as_str(),
            device_no
        ],
    )
    .with_context(|| format!("open alert {}: unit {} has one of this type open", alert.id, alert.unit.0))?;
    Ok(true)
}

fn supersede(tx: &Transaction<'_>, alert: &NewAlert, device_no: u32) -> Result<()> {
    let mut statement = tx.prepare_cached(
        "SELECT alert_id FROM hub_alerts WHERE unit_no = ?1 AND alert_type = ?2 AND device_no = ?3 AND is_open = 1",
    )?;
    let old: Vec<Uuid> = statement
        .query_map(params![alert.unit.0, alert.alert_type.as_str(), device_no], |row| uuid_at(row, 0))?
        .collect::<rusqlite::Result<_>>()?;
    for id in old {
        tracing::warn!("alert {id} is superseded by {}", alert.id);
        resolve(tx, id, alert.triggered_ms, None, alert.triggered_ms)?;
        super::rows::mark_dirty(tx, "alerts", id)?;
    }
    Ok(())
}

/// Raises the severity: level 1, and an acknowledgement made before no longer counts.
pub fn raise(tx: &Transaction<'_>, id: Uuid, severity: Severity, at_ms: i64) -> Result<bool> {
    let changed = tx.execute(
        "UPDATE alerts SET severity = ?2, status = 'active', escalation_level = 1, escalated_at = ?3, updated_at = ?3,
                acknowledged_at = NULL, acknowledged_by = NULL
         WHERE id = ?1 AND status != 'resolved' AND severity != ?2",
        params![id.as_bytes(), severity.as_str(), at_ms],
    )?;
    Ok(changed > 0)
}

/// Notes that people were called. `is_escalated`: time has raised the level, because nobody took it.
pub fn note_call(tx: &Transaction<'_>, id: Uuid, level: u8, is_escalated: bool, at_ms: i64) -> Result<bool> {
    let changed = tx
        .prepare_cached(
            "UPDATE alerts SET escalation_level = ?2, updated_at = ?4,
                    status = CASE WHEN ?3 AND status = 'active' THEN 'escalated' ELSE status END
             WHERE id = ?1 AND status != 'resolved'",
        )?
        .execute(params![id.as_bytes(), level, is_escalated, at_ms])?;
    Ok(changed > 0)
}

/// An alarm that is known only after it was over. True when the row was not there before.
pub fn insert_late(tx: &Transaction<'_>, alert: &NewAlert, resolved_ms: i64, now_ms: i64) -> Result<bool> {
    let added = tx.execute(
        "INSERT INTO alerts (id, unit_id, alert_rule_id, alert_type, severity, status, message, trigger_temperature,
                             threshold_violated, triggered_at, resolved_at, metadata, created_at, updated_at)
         SELECT ?1, unit_id, (SELECT id FROM alert_rules WHERE id = ?3), ?4, ?5, 'resolved', ?6, ?7, ?8, ?9, ?10,
                '{\"late\":true}', ?11, ?11
         FROM hub_units WHERE no = ?2
         ON CONFLICT (id) DO NOTHING",
        params![
            alert.id.as_bytes(),
            alert.unit.0,
            alert.rule.map(|rule| *rule.as_bytes()),
            alert.alert_type.as_str(),
            alert.severity.as_str(),
            alert.message,
            alert.trigger.map(tenths),
            alert.violated,
            alert.triggered_ms,
            resolved_ms,
            now_ms,
        ],
    )?;
    Ok(added > 0)
}

/// A late alarm was longer (`span`: from, to; Unix ms) or worse than it was told. True when the row knew less.
pub fn grow_late(
    tx: &Transaction<'_>,
    id: Uuid,
    message: &str,
    trigger: Temperature,
    span: (i64, i64),
    now_ms: i64,
) -> Result<bool> {
    let changed = tx
        .prepare_cached(
            "UPDATE alerts SET message = ?2, trigger_temperature = ?3, triggered_at = min(triggered_at, ?4),
                    resolved_at = max(resolved_at, ?5), updated_at = ?6
             WHERE id = ?1 AND (triggered_at > ?4 OR resolved_at < ?5
                    OR CASE threshold_violated WHEN 'min' THEN trigger_temperature > ?3
                       ELSE trigger_temperature < ?3 END)",
        )?
        .execute(params![id.as_bytes(), message, tenths(trigger), span.0, span.1, now_ms])?;
    Ok(changed > 0)
}

/// Closes the alert; `resolved_ms` never lies before it was triggered.
pub fn resolve(
    tx: &Transaction<'_>,
    id: Uuid,
    resolved_ms: i64,
    by: Option<Uuid>,
    now_ms: i64,
) -> Result<bool> {
    let changed = tx.execute(
        "UPDATE alerts SET status = 'resolved', resolved_at = max(?2, triggered_at), resolved_by =
                (SELECT id FROM profiles WHERE id = ?3), updated_at = ?4
         WHERE id = ?1 AND status != 'resolved'",
        params![id.as_bytes(), resolved_ms, by.map(|by| *by.as_bytes()), now_ms],
    )?;
    tx.execute("UPDATE hub_alerts SET is_open = 0 WHERE alert_id = ?1", [id.as_bytes()])?;
    Ok(changed > 0)
}

/// Takes an acknowledgement from central: the earlier time wins, one older than `escalated_at` does not count.
pub fn acknowledge(
    tx: &Transaction<'_>,
    id: Uuid,
    at_ms: i64,
    by: Option<Uuid>,
    now_ms: i64,
) -> Result<bool> {
    let changed = tx.execute(
        "UPDATE alerts SET status = 'acknowledged', acknowledged_at = ?2, acknowledged_by =
                (SELECT id FROM profiles WHERE id = ?3), updated_at = ?4
         WHERE id = ?1 AND status != 'resolved' AND ?2 >= coalesce(escalated_at, ?2)
           AND (acknowledged_at IS NULL OR acknowledged_at > ?2)",
        params![id.as_bytes(), at_ms, by.map(|by| *by.as_bytes()), now_ms],
    )?;
    Ok(changed > 0)
}

pub fn set_unit_status(
    tx: &Transaction<'_>,
    unit: UnitNo,
    shown: UnitStatus,
    now_ms: i64,
) -> Result<Option<Uuid>> {
    let id: Option<Uuid> = tx
        .query_row("SELECT unit_id FROM hub_units WHERE no = ?1", [unit.0], |row| uuid_at(row, 0))
        .optional()?;
    if let Some(id) = id {
        tx.execute(
            "UPDATE units SET status = ?2, updated_at = ?3 WHERE id = ?1 AND status != ?2",
            params![id.as_bytes(), shown.as_str(), now_ms],
        )?;
    }
    Ok(id)
}

/// Writes the last temperature of a unit (hundredths) where it is newer than what stands.
pub fn set_unit_last(
    tx: &Transaction<'_>,
    unit: UnitNo,
    hundredths: i32,
    at_ms: i64,
) -> Result<Option<Uuid>> {
    tx.query_row(
        "UPDATE units SET last_temperature = ?2, last_reading_at = ?3
         WHERE id = (SELECT unit_id FROM hub_units WHERE no = ?1) AND coalesce(last_reading_at, ?3 - 1) < ?3
         RETURNING id",
        params![unit.0, hundredths, at_ms],
        |row| uuid_at(row, 0),
    )
    .optional()
    .context("write a unit's last temperature")
}

/// Writes the live columns of a device; None leaves a column as it is.
pub fn set_device_live(
    tx: &Transaction<'_>,
    device: DeviceNo,
    battery: Option<i32>,
    rssi: Option<i32>,
    seen_ms: i64,
) -> Result<Option<Uuid>> {
    tx.query_row(
        "UPDATE devices SET battery = coalesce(?2, battery), signal_strength = coalesce(?3, signal_strength),
                last_seen_at = max(?4, coalesce(last_seen_at, ?4)), status = 'active'
         WHERE id = (SELECT device_id FROM hub_devices WHERE no = ?1) RETURNING id",
        params![device.0, battery, rssi, seen_ms],
        |row| uuid_at(row, 0),
    )
    .optional()
    .context("write a device's live columns")
}

/// A door event; `duration_s` closes the open state before it.
pub fn insert_door_event(
    tx: &Transaction<'_>,
    id: Uuid,
    unit: UnitNo,
    device: DeviceNo,
    is_open: bool,
    at_ms: i64,
    duration_s: Option<i64>,
) -> Result<bool> {
    let added = tx.execute(
        "INSERT INTO door_events (id, unit_id, device_id, state, \"timestamp\", duration_seconds, created_at)
         SELECT ?1, unit_id, (SELECT device_id FROM hub_devices WHERE no = ?3), ?4, ?5, ?6, ?5
         FROM hub_units WHERE no = ?2
         ON CONFLICT (id) DO NOTHING",
        params![id.as_bytes(), unit.0, device.0, if is_open { "open" } else { "closed" }, at_ms, duration_s],
    )?;
    Ok(added > 0)
}

/// An alert as memory needs it after a restart.
pub struct StandingRow {
    pub id: Uuid,
    pub unit: UnitNo,
    pub alert_type: AlertType,
    pub severity: Severity,
    pub status: AlertStatus,
    pub level: u8,
    pub message: String,
    pub triggered_ms: i64,
    pub resolved_ms: Option<i64>,
    /// Who took or ended it.
    pub person: Option<String>,
}

/// The hub's open alerts, and those that an unsent message is about.
pub fn standing(conn: &Connection) -> Result<Vec<StandingRow>> {
    let mut statement = conn.prepare_cached(
        "SELECT a.id, u.no, a.alert_type, a.severity, a.status, a.escalation_level, coalesce(a.message, ''), a.triggered_at,
                a.resolved_at, (SELECT coalesce(full_name, email) FROM profiles
                                WHERE id = coalesce(a.resolved_by, a.acknowledged_by))
         FROM alerts AS a JOIN hub_units AS u ON u.unit_id = a.unit_id
         WHERE a.id IN (SELECT alert_id FROM hub_alerts WHERE is_open = 1)
            OR a.id IN (SELECT alert_id FROM hub_deliveries WHERE status = 'pending')",
    )?;
    let mut rows = statement.query([])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        let text = |index| row.get::<_, String>(index);
        let (alert_type, severity, status) = (text(2)?, text(3)?, text(4)?);
        let (Some(alert_type), Some(severity), Some(status)) =
            (AlertType::parse(&alert_type), Severity::parse(&severity), AlertStatus::parse(&status))
        else {
            continue;
        };
        out.push(StandingRow {
            id: uuid_at(row, 0)?,
            unit: UnitNo(row.get(1)?),
            alert_type,
            severity,
            status,
            level: row.get(5)?,
            message: row.get(6)?,
            triggered_ms: row.get(7)?,
            resolved_ms: row.get(8)?,
            person: row.get(9)?,
        });
    }
    Ok(out)
}

/// Alerts, newest first; only those not resolved unless `all`. At most 1,000.
pub fn list(conn: &Connection, all: bool) -> Result<Vec<AlertView>> {
    let mut statement = conn.prepare_cached(
        "SELECT a.id, u.name, a.alert_type, a.severity, a.status, a.message, a.triggered_at, a.escalated_at,
                a.acknowledged_at, a.resolved_at
         FROM alerts AS a JOIN units AS u ON u.id = a.unit_id
         WHERE ?1 OR a.status != 'resolved' ORDER BY a.triggered_at DESC, a.id LIMIT 1000",
    )?;
    let rows = statement.query_map([all], |row| {
        Ok(AlertView {
            id: uuid_at(row, 0)?,
            unit: row.get(1)?,
            alert_type: row.get(2)?,
            severity: row.get(3)?,
            status: row.get(4)?,
            message: row.get(5)?,
            triggered_ms: row.get(6)?,
            escalated_ms: row.get(7)?,
            acknowledged_ms: row.get(8)?,
            resolved_ms: row.get(9)?,
        })
    })?;
    rows.collect::<rusqlite::Result<_>>().context("read alerts")
}
