//! `hub_meta`: single values with a name.

use rusqlite::{Connection, OptionalExtension, params};

use super::error::Result;

/// Largest wall time persisted while something trustworthy vouched for it (Unix ms).
pub const WALL_MAX: &str = "wall_max";
/// There from the start of the service to its clean stop.
pub const RUNNING: &str = "running";

pub fn get(connection: &Connection, key: &str) -> Result<Option<String>> {
    let mut statement = connection.prepare_cached("SELECT value FROM hub_meta WHERE key = ?1")?;
    Ok(statement.query_row([key], |row| row.get(0)).optional()?)
}

pub fn set(connection: &Connection, key: &str, value: &str) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO hub_meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
        )?
        .execute(params![key, value])?;
    Ok(())
}

pub fn remove(connection: &Connection, key: &str) -> Result<()> {
    connection.execute("DELETE FROM hub_meta WHERE key = ?1", [key])?;
    Ok(())
}

pub fn get_i64(connection: &Connection, key: &str) -> Result<Option<i64>> {
    Ok(get(connection, key)?.and_then(|text| text.parse().ok()))
}
