//! A sound database, whatever is found: damage is set aside, the newest good backup restored, or a new one made.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::connection::PAGE_BYTES;
use super::error::{Result, StoreError};
use super::files::{self, Layout};
use super::migrate::{self, Migrations};
use super::open::Recovery;
use super::{backup, epochs};
use crate::domain::{Epoch, Seq};

/// Up to this size every page is looked at, at every start; above, the tables that are not readings: a start may not take
/// minutes. Damage in readings shows when they are read.
pub(super) const CHECKED_WHOLE_BYTES: u64 = 32 << 20;

/// Tables that may be too large to look at.
pub(super) const LARGE: [&str; 3] = ["hub_log", "hub_history", "hub_frames"];

const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Makes sure that a sound database is there.
pub(super) fn prepare(
    layout: &Layout,
    migrations: &Migrations,
    random: &mut dyn FnMut(&mut [u8]),
) -> Result<Recovery> {
    let path = layout.database();
    if !path.exists() {
        // Backups without a database: it was deleted, or a start was cut between setting aside and restoring.
        let reason = "the database file is gone";
        if let Some(backup) = restore(layout, migrations, reason, random)? {
            return Ok(Recovery::Restored { reason: reason.to_owned(), backup, set_aside: None });
        }
        make_new(layout, migrations, "new database", None, random)?;
        return Ok(Recovery::Created);
    }
    let is_suspect = layout.marker().exists();
    let recovery = match find_damage(&path, is_suspect)? {
        None => Recovery::Found,
        Some(reason) => replace_damaged(layout, migrations, reason, random)?,
    };
    if is_suspect {
        let marker = layout.marker();
        fs::remove_file(&marker).map_err(|error| StoreError::io(&marker, error))?;
    }
    Ok(recovery)
}

fn replace_damaged(
    layout: &Layout,
    migrations: &Migrations,
    reason: String,
    random: &mut dyn FnMut(&mut [u8]),
) -> Result<Recovery> {
    let former = former_epoch(&layout.database());
    let set_aside = layout.set_aside(&reason)?;
    let why = format!("database damaged: {reason}");
    if let Some(backup) = restore(layout, migrations, &why, random)? {
        return Ok(Recovery::Restored { reason, backup, set_aside: Some(set_aside) });
    }
    make_new(layout, migrations, &why, former, random)?;
    Ok(Recovery::Anew { reason, set_aside })
}

/// What is wrong with the database, or None. Errors are those that damage does not explain (read-only, locked, full).
pub(super) fn find_damage(path: &Path, look_at_all: bool) -> Result<Option<String>> {
    if let Some(damage) = header_damage(path)? {
        return Ok(Some(damage));
    }
    match page_damage(path, look_at_all) {
        Ok(damage) => Ok(damage),
        Err(StoreError::Corrupt { detail, .. }) => Ok(Some(detail)),
        Err(error) => Err(error),
    }
}

pub(super) fn header_damage(path: &Path) -> Result<Option<String>> {
    let io = |error| StoreError::io(path, error);
    let mut file = File::open(path).map_err(io)?;
    let bytes = file.metadata().map_err(io)?.len();
    if bytes < PAGE_BYTES as u64 {
        return Ok(Some(format!("the file has only {bytes} bytes")));
    }
    let mut magic = [0u8; 16];
    file.read_exact(&mut magic).map_err(io)?;
    Ok((&magic != MAGIC).then(|| "the file does not begin as an SQLite database".to_owned()))
}

fn page_damage(path: &Path, look_at_all: bool) -> Result<Option<String>> {
    let connection = migrate::open_apart(path)?;
    // Reading opens a WAL that a crash left; emptied, the file tells its own length.
    let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
    let page_bytes: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let is_alone = empty_wal(&connection)?;
    let bytes = fs::metadata(path).map_err(|error| StoreError::io(path, error))?.len();
    let wanted = (pages * page_bytes) as u64;
    if is_alone && bytes < wanted {
        return Ok(Some(format!("the file ends after {bytes} bytes of {wanted}")));
    }
    let names = tables(&connection)?;
    if !names.iter().any(|name| name == "hub_epochs") {
        return Ok(Some("it has no table hub_epochs".to_owned()));
    }
    if look_at_all || bytes <= CHECKED_WHOLE_BYTES {
        return quick_check(&connection, "PRAGMA quick_check(1)");
    }
    for name in names.iter().filter(|name| !LARGE.contains(&name.as_str())) {
        if let Some(damage) = quick_check(&connection, &format!("PRAGMA quick_check(\"{name}\")"))? {
            return Ok(Some(damage));
        }
    }
    Ok(None)
}

/// Moves the WAL into the database. False: a part of it is still in the WAL, because another process reads or the disk is
/// full; then it is read from there.
fn empty_wal(connection: &Connection) -> Result<bool> {
    match connection.wal_checkpoint_v2(Some(rusqlite::MAIN_DB), CheckpointMode::TRUNCATE) {
        // -1: a database without a WAL.
        Ok((frames, _)) => Ok(frames <= 0),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => Ok(false),
        Err(error) => match StoreError::from(error) {
            StoreError::DiskFull { .. } => Ok(false),
            error => Err(error),
        },
    }
}

pub(super) fn tables(connection: &Connection) -> Result<Vec<String>> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let mut statement = connection.prepare(sql)?;
    let names = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(names)
}

pub(super) fn quick_check(connection: &Connection, sql: &str) -> Result<Option<String>> {
    let first: String = connection.query_row(sql, [], |row| row.get(0))?;
    Ok((first != "ok").then_some(first))
}

/// Puts the newest sound backup in the database's place, under a new epoch. None: there is no sound one.
fn restore(
    layout: &Layout,
    migrations: &Migrations,
    reason: &str,
    random: &mut dyn FnMut(&mut [u8]),
) -> Result<Option<PathBuf>> {
    for (_, backup) in layout.list_backups() {
        let copy = layout.unfinished("restoring");
        files::create_private(&copy)?;
        fs::copy(&backup, &copy).map_err(|error| StoreError::io(&copy, error))?;
        files::make_private(&copy)?;
        if find_damage(&copy, true)?.is_some() {
            // Left where it is: an older one may be sound.
            continue;
        }
        let mut connection = migrate::open_apart(&copy)?;
        if migrations.apply(&mut connection).is_err() {
            continue;
        }
        // The new epoch stands in the file before it takes its name: a crash in between cannot leave the old one.
        let transaction = connection.transaction()?;
        backup::forget_readings(&transaction)?;
        if epochs::begin_new(&transaction, &format!("backup restored: {reason}"), random).is_err() {
            // A batch in it cannot be read, so what it held could not go up again.
            continue;
        }
        transaction.commit()?;
        connection.close().map_err(|(_, error)| StoreError::from(error))?;
        files::publish(&copy, &layout.database())?;
        return Ok(Some(backup));
    }
    Ok(None)
}

fn make_new(
    layout: &Layout,
    migrations: &Migrations,
    reason: &str,
    former: Option<Epoch>,
    random: &mut dyn FnMut(&mut [u8]),
) -> Result<()> {
    let path = layout.unfinished("new");
    let connection = migrate::create(&path, migrations)?;
    let mut epoch = [0u8; 16];
    random(&mut epoch);
    epochs::insert(&connection, Epoch(epoch), reason, former, None, Seq(1))?;
    connection.close().map_err(|(_, error)| StoreError::from(error))?;
    files::publish(&path, &layout.database())
}

/// The epoch of a damaged database, where it can still be read.
fn former_epoch(path: &Path) -> Option<Epoch> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).ok()?;
    let sql = "SELECT epoch FROM hub_epochs ORDER BY no DESC LIMIT 1";
    connection.query_row(sql, [], |row| row.get(0)).optional().ok()?.map(Epoch)
}
