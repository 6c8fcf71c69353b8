//! The nightly backup: everything but readings and raw frames, so that it is small enough to be made every night.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, params};

use super::error::Result;
use super::files::{self, Layout};
use super::migrate;

/// Kept backups: a damage may be a night old before someone notices.
const BACKUPS_KEPT: usize = 3;

/// Tables that a backup holds empty.
const WITHOUT: [&str; 4] = ["hub_log", "hub_history", "hub_hours", "hub_frames"];

/// Makes `backup/hub-<n>.db` beside the database and returns its path. It reads one state of the database on a connection
/// of its own, so the writer goes on; run it on any thread.
pub fn make(dir: &Path) -> Result<PathBuf> {
    let layout = Layout::new(dir);
    let folder = Layout::new(&layout.backups());
    folder.make()?;
    let kept = layout.list_backups();
    let number = kept.first().map_or(0, |(number, _)| *number) + 1;
    let unfinished = folder.unfinished("backup");
    let _ = fs::remove_file(&unfinished);
    let path = folder.dir.join(format!("hub-{number:06}.db"));
    copy(&layout.database(), &unfinished).inspect_err(|_| {
        let _ = fs::remove_file(&unfinished);
    })?;
    files::publish(&unfinished, &path)?;
    for (_, old) in kept.iter().skip(BACKUPS_KEPT - 1) {
        // One too many does no harm; the next backup tries again.
        let _ = fs::remove_file(old);
    }
    Ok(path)
}

/// What else a backup cannot know: numbers of readings that are not in it stay used.
pub(super) fn forget_readings(connection: &Connection) -> Result<()> {
    for table in WITHOUT {
        connection.execute(&format!("DELETE FROM {table}"), [])?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    files::create_private(to)?;
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let mut connection = Connection::open_with_flags(to, flags)?;
    super::connection::register_functions(&connection)?;
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.execute("ATTACH ?1 AS live", params![format!("file:{}?mode=ro", uri_path(from))])?;
    let transaction = connection.transaction()?;
    let sql =
        "SELECT type, name, sql FROM live.sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'
        ORDER BY CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 ELSE 2 END";
    let objects: Vec<(String, String, String)> = transaction
        .prepare(sql)?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (kind, name, sql) in &objects {
        transaction.execute_batch(sql)?;
        if kind == "table" && !WITHOUT.contains(&name.as_str()) {
            transaction.execute(&format!("INSERT INTO main.\"{name}\" SELECT * FROM live.\"{name}\""), [])?;
        }
    }
    transaction.commit()?;
    connection.execute("DETACH live", [])?;
    migrate::check(&connection)
        .map_err(|detail| super::StoreError::Corrupt { path: from.to_owned(), detail })?;
    connection.close().map_err(|(_, error)| error.into())
}

/// `?`, `#` and `%` mean something in a URI.
pub(super) fn uri_path(path: &Path) -> String {
    path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}
