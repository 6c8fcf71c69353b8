//! `hub_snapshots`: the configuration from central as it came, the one before it, and the last ones refused.

use rusqlite::{Connection, OptionalExtension, params};

use super::error::{Result, StoreError};
use crate::domain::Stamp;
use frostguard_sync::api::Snapshot;

/// Refused snapshots kept to look at.
const REFUSED_MAX: u32 = 5;

/// The snapshot in force.
pub fn current(connection: &Connection) -> Result<Option<Snapshot>> {
    in_state(connection, "current")
}

/// The one before it.
pub fn previous(connection: &Connection) -> Result<Option<Snapshot>> {
    in_state(connection, "previous")
}

/// The ETag of the snapshot in force; "" before the first.
pub fn etag(connection: &Connection) -> Result<String> {
    let sql = "SELECT etag FROM hub_snapshots WHERE state = 'current'";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?.unwrap_or_default())
}

/// The last refused one, (ETag, reason), until another takes force.
pub fn refused(connection: &Connection) -> Result<Option<(String, String)>> {
    let sql = "SELECT etag, reason FROM hub_snapshots WHERE state = 'refused' AND
        no > coalesce((SELECT max(no) FROM hub_snapshots WHERE state = 'current'), 0) ORDER BY no DESC LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

pub(super) fn keep(connection: &Connection, snapshot: &Snapshot, stamp: Stamp) -> Result<()> {
    connection.execute("DELETE FROM hub_snapshots WHERE state = 'previous'", [])?;
    connection.execute("UPDATE hub_snapshots SET state = 'previous' WHERE state = 'current'", [])?;
    insert(connection, snapshot, "current", None, stamp)
}

pub(super) fn keep_refused(
    connection: &Connection,
    snapshot: &Snapshot,
    reason: &str,
    stamp: Stamp,
) -> Result<()> {
    insert(connection, snapshot, "refused", Some(reason), stamp)?;
    connection.execute(
        "DELETE FROM hub_snapshots WHERE state = 'refused' AND no <=
            (SELECT no FROM hub_snapshots WHERE state = 'refused' ORDER BY no DESC LIMIT 1 OFFSET ?1)",
        [REFUSED_MAX],
    )?;
    Ok(())
}

pub(super) fn forget(connection: &Connection) -> Result<()> {
    connection.execute("DELETE FROM hub_snapshots", [])?;
    Ok(())
}

fn insert(
    connection: &Connection,
    snapshot: &Snapshot,
    state: &str,
    reason: Option<&str>,
    stamp: Stamp,
) -> Result<()> {
    let body = serde_json::to_vec(snapshot)
        .map_err(|error| StoreError::Value { table: "hub_snapshots", detail: error.to_string() })?;
    connection.execute(
        "INSERT INTO hub_snapshots (etag, state, reason, segment, mono_ms, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![snapshot.etag, state, reason, stamp.segment, stamp.mono.0, body],
    )?;
    Ok(())
}

fn in_state(connection: &Connection, state: &str) -> Result<Option<Snapshot>> {
    let mut statement = connection.prepare_cached("SELECT body FROM hub_snapshots WHERE state = ?1")?;
    let body: Option<Vec<u8>> = statement.query_row([state], |row| row.get(0)).optional()?;
    body.map(|body| serde_json::from_slice(&body))
        .transpose()
        .map_err(|error| StoreError::Value { table: "hub_snapshots", detail: error.to_string() })
}
