//! Rows that take another id: at enrolment, and when central has made anew what the hub knows by its EUI.

use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::error::Result;
use super::snapshot_check::text;
use super::tables::Table;
use frostguard_sync::wire::RowImage;

/// Columns by which a row is known besides its id: unique across all customers.
const NATURAL: [(&str, &str); 3] =
    [("devices", "device_eui"), ("lora_sensors", "dev_eui"), ("organizations", "slug")];

/// Gives a row its new id, with all that refers to it. Returns whether there was such a row; one that has the new id
/// already stays.
pub fn rename(connection: &Connection, table: &'static str, from: Uuid, to: Uuid) -> Result<bool> {
    if from == to {
        return Ok(true);
    }
    let (from, to) = (from.into_bytes(), to.into_bytes());
    let is_taken =
        connection.prepare_cached(&format!("SELECT 1 FROM {table} WHERE id = ?1"))?.exists([to])?;
    if is_taken {
        return Ok(false);
    }
    // The mirror's foreign keys follow by ON UPDATE CASCADE.
    let sql = format!("UPDATE {table} SET id = ?2 WHERE id = ?1");
    let is_found = connection.prepare_cached(&sql)?.execute(params![from, to])? == 1;
    for sql in [
        "UPDATE OR REPLACE hub_dirty SET row_id = ?2 WHERE table_name = ?3 AND row_id = ?1",
        "UPDATE OR REPLACE hub_unplaced SET row_id = ?2 WHERE table_name = ?3 AND row_id = ?1",
    ] {
        connection.prepare_cached(sql)?.execute(params![from, to, table])?;
    }
    // Looks like a foreign key and is none; the chain's hashes do not cover it.
    connection
        .prepare_cached("UPDATE event_logs SET entity_id = ?2 WHERE entity_id = ?1")?
        .execute(params![from, to])?;
    Ok(is_found)
}

/// Gives the row that is known by another column the id it comes with.
pub(super) fn adopt(connection: &Connection, table: &'static Table, row: &RowImage) -> Result<()> {
    let Some((_, column)) = NATURAL.iter().find(|(name, _)| *name == table.name) else { return Ok(()) };
    let Some(known_by) = text(row, column) else { return Ok(()) };
    let sql = format!("SELECT id FROM {} WHERE {column} = ?1", table.name);
    let found: Option<[u8; 16]> =
        connection.prepare_cached(&sql)?.query_row([known_by], |row| row.get(0)).optional()?;
    if let Some(found) = found {
        rename(connection, table.name, Uuid::from_bytes(found), row.id)?;
    }
    Ok(())
}
