//! Cutting lane 0: rows that changed, in the order in which they matter.

use std::collections::HashSet;

use rusqlite::{Connection, params};
use uuid::Uuid;

use super::batches::{self, Limits, StoredBatch};
use super::error::{Result, StoreError};
use super::rows::{self, Part};
use super::tables::{self, Table, Writer};
use super::{link, snapshots};
use crate::domain::Stamp;
use frostguard_sync::api::RefusedRow;
use frostguard_sync::wire::{self, Batch, Body, Lane, RowImage, WireError};

/// Alerts first: they must not wait. Then people's entries, then what the rest refers to, and the audit chain last.
/// A table stands after those its rows refer to.
const ORDER: [&str; 13] = [
    "alerts",
    "notification_deliveries",
    "manual_temperature_logs",
    "corrective_actions",
    "devices",
    "lora_sensors",
    "units",
    "hubs",
    "calibration_records",
    "pairing_sessions",
    "door_events",
    "alert_rules_history",
    "event_logs",
];

/// Rows that refer to a row that waits for its time wait with it: (table, column, table it refers to).
const WAITS_FOR: [(&str, &str, &str); 5] = [
    ("notification_deliveries", "alert_id", "alerts"),
    ("corrective_actions", "alert_id", "alerts"),
    ("lora_sensors", "device_id", "devices"),
    ("calibration_records", "device_id", "devices"),
    ("pairing_sessions", "device_id", "devices"),
];

/// Rows of a batch of state: the receiver checks and writes them one by one, in one transaction, while an alert may wait
/// behind it.
pub const ROWS_MAX: u32 = 2_000;

/// Cuts and stores the next batch of lane 0, if the hub is enrolled, none is pending and something is dirty. Rows whose
/// times are not placed wait. A row too large to travel at all is kept as refused.
pub fn cut(connection: &Connection, limits: Limits, stamp: Stamp) -> Result<Option<StoredBatch>> {
    let Some(link) = link::find(connection)? else { return Ok(None) };
    if batches::pending(connection, Lane::State)?.is_some() {
        return Ok(None);
    }
    let header = batches::next_header(connection, link.hub_id, Lane::State)?;
    let rows_max = limits.rows.min(ROWS_MAX);
    let mut images = collect(connection, rows_max)?;
    while !images.is_empty() {
        let batch = Batch { header: header.clone(), body: Body::State(images) };
        let encoded = wire::encode(&batch);
        let Body::State(mut rows) = batch.body else { unreachable!("made of state above") };
        let is_over = match &encoded {
            Ok(body) => body.len() > limits.bytes && rows.len() > 1,
            Err(
                WireError::TooLarge { .. } | WireError::TooManyRows { .. } | WireError::TooManyValues { .. },
            ) => true,
            Err(_) => false,
        };
        if is_over && rows.len() == 1 {
            refuse(connection, &rows[0], stamp)?;
            images = collect(connection, rows_max)?;
        } else if is_over {
            rows.truncate(rows.len() / 2);
            images = rows;
        } else {
            let body = encoded.map_err(|error| StoreError::Value {
                table: "hub_batches",
                detail: format!("encode: {error}"),
            })?;
            for row in &rows {
                clean(connection, &row.table, row.id)?;
            }
            batches::store(connection, &header, rows.len() as u32, None, &body)?;
            return batches::pending(connection, Lane::State);
        }
    }
    Ok(None)
}

fn collect(connection: &Connection, rows_max: u32) -> Result<Vec<RowImage>> {
    let mut images = Vec::new();
    // Read only where a device is dirty: it is as large as the site.
    let mut known = None;
    for name in ORDER {
        let table = tables::find(name).expect("the order names tables that travel");
        let left = rows_max as usize - images.len();
        if left == 0 {
            break;
        }
        for id in dirty(connection, table, left)? {
            let image = match table.writer {
                Writer::Paired => {
                    if known.is_none() {
                        known = Some(
                            snapshots::current(connection)?.map(|snapshot| snapshot.rows).unwrap_or_default(),
                        );
                    }
                    paired_image(connection, table, id, known.as_deref().unwrap_or_default())?
                }
                _ => rows::image(connection, table, id, rows::usual_part(table))?,
            };
            match image {
                Some(image) => images.push(image),
                // The row went with its parent.
                None => clean(connection, table.name, id)?,
            }
        }
    }
    Ok(images)
}

/// A device travels whole until central has it as it is here; then only what the hub hears from it.
fn paired_image(
    connection: &Connection,
    table: &'static Table,
    id: Uuid,
    known: &[RowImage],
) -> Result<Option<RowImage>> {
    let whole = rows::image(connection, table, id, Part::Whole)?;
    let central = known.iter().find(|row| row.id == id && row.table == table.name);
    let is_as_central_has_it = |row: &RowImage| {
        central.is_some_and(|central| {
            let ours = |name: &str| table.column(name).is_some_and(|column| !column.is_hubs);
            let said = central.columns.iter().filter(|(name, _)| ours(name) && !name.ends_with("ed_at"));
            said.into_iter().all(|said| row.columns.contains(said))
        })
    };
    match whole {
        Some(row) if is_as_central_has_it(&row) => rows::image(connection, table, id, Part::HubColumns),
        whole => Ok(whole),
    }
}

/// Dirty rows of a table that do not wait for a time.
fn dirty(connection: &Connection, table: &Table, limit: usize) -> Result<Vec<Uuid>> {
    let name = table.name;
    if name == "event_logs" {
        return dirty_audit(connection, limit);
    }
    let waits: Vec<String> = WAITS_FOR
        .iter()
        .filter(|(waiting, ..)| *waiting == name)
        .map(|(_, column, parent)| {
            format!(
                " AND NOT EXISTS (SELECT 1 FROM {name} AS r JOIN hub_unplaced AS p ON p.row_id = r.{column}
                 WHERE r.id = d.row_id AND p.table_name = '{parent}')"
            )
        })
        .collect();
    let waits = waits.concat();
    // Alerts in the order they were raised: the oldest has waited longest.
    let (join, order) = match name {
        "alerts" => ("LEFT JOIN alerts AS a ON a.id = d.row_id", "a.triggered_at, d.row_id"),
        _ => ("", "d.row_id"),
    };
    let sql = format!(
        "SELECT d.row_id FROM hub_dirty AS d {join} WHERE d.table_name = ?1 AND NOT EXISTS
            (SELECT 1 FROM hub_unplaced AS u WHERE u.table_name = d.table_name AND u.row_id = d.row_id){waits}
         ORDER BY {order} LIMIT ?2"
    );
    ids(connection, &sql, params![name, limit as i64])
}

/// Audit rows in the order of their chains; behind one that waits for its time, the rest of its chain waits.
fn dirty_audit(connection: &Connection, limit: usize) -> Result<Vec<Uuid>> {
    let sql = "SELECT d.row_id FROM hub_dirty AS d LEFT JOIN hub_audit AS a ON a.event_id = d.row_id
        LEFT JOIN (SELECT w.epoch_no, min(w.seq) AS seq FROM hub_unplaced AS u JOIN hub_audit AS w ON w.event_id = u.row_id
            WHERE u.table_name = 'event_logs' GROUP BY w.epoch_no) AS waiting ON waiting.epoch_no = a.epoch_no
        WHERE d.table_name = 'event_logs' AND (waiting.seq IS NULL OR a.seq < waiting.seq)
        ORDER BY a.epoch_no, a.seq LIMIT ?1";
    ids(connection, sql, params![limit as i64])
}

/// Numbers (`hub_devices.no`) of devices that central cannot know yet: dirty, ready to go and not in its snapshot.
pub(super) fn devices_to_announce(connection: &Connection) -> Result<HashSet<u32>> {
    let table = tables::find("devices").expect("devices travel");
    let waiting = dirty(connection, table, usize::MAX >> 1)?;
    if waiting.is_empty() {
        return Ok(HashSet::new());
    }
    let known: HashSet<Uuid> = snapshots::current(connection)?
        .map(|snapshot| snapshot.rows.iter().filter(|row| row.table == "devices").map(|row| row.id).collect())
        .unwrap_or_default();
    let mut statement = connection.prepare_cached("SELECT no FROM hub_devices WHERE device_id = ?1")?;
    let mut numbers = HashSet::new();
    for id in waiting.into_iter().filter(|id| !known.contains(id)) {
        for no in statement.query_map([id.into_bytes()], |row| row.get(0))? {
            numbers.insert(no?);
        }
    }
    Ok(numbers)
}

fn ids(connection: &Connection, sql: &str, parameters: impl rusqlite::Params) -> Result<Vec<Uuid>> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement
        .query_map(parameters, |row| Ok(Uuid::from_bytes(row.get(0)?)))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(rows)
}

fn clean(connection: &Connection, table: &str, id: Uuid) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM hub_dirty WHERE table_name = ?1 AND row_id = ?2")?
        .execute(params![table, id.into_bytes()])?;
    Ok(())
}

fn refuse(connection: &Connection, row: &RowImage, stamp: Stamp) -> Result<()> {
    let reason = format!("the row is too large to travel ({} bytes)", wire::BODY_BYTES_MAX);
    let refused = RefusedRow { table: row.table.clone(), key: row.id.to_string(), reason };
    batches::keep_refused(connection, &refused, stamp)?;
    clean(connection, &row.table, row.id)
}
