//! `hub_unplaced`: wall times written while their segment was not placed. Such rows are not uploaded until it is.

use rusqlite::{Connection, params};

use super::error::{Result, StoreError};
use crate::domain::Stamp;
use uuid::Uuid;

/// Every (table, column) that can hold a provisional time: names go into SQL only from here.
const COLUMNS: &[(&str, &str)] = &[
    ("alerts", "triggered_at"),
    ("alerts", "acknowledged_at"),
    ("alerts", "resolved_at"),
    ("alerts", "escalated_at"),
    ("alerts", "created_at"),
    ("alerts", "updated_at"),
    ("alert_rules_history", "changed_at"),
    ("calibration_records", "calibrated_at"),
    ("calibration_records", "created_at"),
    ("calibration_records", "updated_at"),
    ("corrective_actions", "action_at"),
    ("corrective_actions", "created_at"),
    ("devices", "created_at"),
    ("devices", "updated_at"),
    ("devices", "last_seen_at"),
    ("door_events", "timestamp"),
    ("door_events", "created_at"),
    ("event_logs", "occurred_at"),
    ("lora_sensors", "created_at"),
    ("lora_sensors", "updated_at"),
    ("lora_sensors", "last_join_at"),
    ("manual_temperature_logs", "recorded_at"),
    ("manual_temperature_logs", "created_at"),
    ("notification_deliveries", "scheduled_at"),
    ("notification_deliveries", "created_at"),
    ("notification_deliveries", "sent_at"),
    ("notification_deliveries", "delivered_at"),
    ("notification_deliveries", "failed_at"),
    ("notification_deliveries", "last_retry_at"),
    ("pairing_sessions", "started_at"),
    ("pairing_sessions", "completed_at"),
    ("pairing_sessions", "expires_at"),
    ("pairing_sessions", "created_at"),
    ("pairing_sessions", "updated_at"),
    ("units", "last_reading_at"),
    ("units", "updated_at"),
];

/// Notes that `column` of a row holds the provisional wall time of `stamp`. A later note of the same column replaces it.
pub fn add(connection: &Connection, table: &str, id: Uuid, column: &str, stamp: Stamp) -> Result<()> {
    if !COLUMNS.contains(&(table, column)) {
        let detail = format!("{table}.{column} is not a known time column");
        return Err(StoreError::Value { table: "hub_unplaced", detail });
    }
    connection
        .prepare_cached(
            "INSERT INTO hub_unplaced (table_name, row_id, column_name, segment, mono_ms)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (table_name, row_id, column_name) DO UPDATE SET segment = ?4, mono_ms = ?5",
        )?
        .execute(params![table, id.into_bytes(), column, stamp.segment, stamp.mono.0])?;
    Ok(())
}

/// Gives the columns that waited for `segment` their wall time. `boots::place` calls it.
pub fn settle(connection: &Connection, segment: u32, offset_ms: i64) -> Result<()> {
    for (table, column) in COLUMNS {
        connection.execute(
            &format!(
                "UPDATE \"{table}\" SET \"{column}\" = waiting.mono_ms + ?2
                 FROM (SELECT row_id, mono_ms FROM hub_unplaced
                       WHERE table_name = '{table}' AND column_name = '{column}' AND segment = ?1) AS waiting
                 WHERE id = waiting.row_id"
            ),
            params![segment, offset_ms],
        )?;
    }
    connection.execute("DELETE FROM hub_unplaced WHERE segment = ?1", [segment])?;
    Ok(())
}
