//! Migrations, run on a checked copy of the database that replaces it only when everything is still there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use refinery::{Migration, Runner};
use rusqlite::{Connection, OpenFlags};

use super::connection::{PAGE_BYTES, register_functions};
use super::error::{Result, StoreError};
use super::files::{self, Layout};

mod embedded {
    refinery::embed_migrations!("migrations/sqlite");
}

const HISTORY_TABLE: &str = "refinery_schema_history";

/// Violations named in an error.
const NAMED_MAX: usize = 5;

/// The migrations of this version, and the tables that one of them may leave with fewer rows.
#[derive(Clone)]
pub struct Migrations {
    pub list: Vec<Migration>,
    pub may_shrink: Vec<String>,
}

impl Migrations {
    pub fn embedded() -> Self {
        Self { list: embedded::migrations::runner().get_migrations().clone(), may_shrink: Vec::new() }
    }

    /// Applies what is missing, in one transaction. `foreign_keys` must be off before: inside the transaction the pragma is
    /// ignored, and a rebuilt table would cascade into its children. Returns the names of those applied.
    pub fn apply(&self, connection: &mut Connection) -> Result<Vec<String>, String> {
        let on: bool = connection
            .pragma_query_value(None, "foreign_keys", |row| row.get(0))
            .map_err(|e| e.to_string())?;
        if on {
            return Err("foreign_keys is on".to_owned());
        }
        let report =
            Runner::new(&self.list).set_grouped(true).run(connection).map_err(|error| chain(&error))?;
        Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
    }

    /// True where the database lacks a migration of this version. A database of a newer version is an error.
    fn is_pending(&self, connection: &Connection, path: &Path) -> Result<bool> {
        let sql = format!("SELECT coalesce(max(version), 0) FROM {HISTORY_TABLE}");
        let schema: i64 = connection
            .query_row(&sql, [], |row| row.get(0))
            .map_err(|error| failed(path, error.to_string()))?;
        let known = self.list.iter().map(|migration| i64::from(migration.version())).max().unwrap_or(0);
        if schema > known {
            return Err(StoreError::Newer { path: path.to_owned(), schema, known });
        }
        Ok(schema < known)
    }
}

/// Makes a new database at `path`, in the present schema.
pub(super) fn create(path: &Path, migrations: &Migrations) -> Result<Connection> {
    files::create_private(path)?;
    let mut connection = open_apart(path)?;
    // Fixed at creation, outside migrations: vacuum pages would be written with every new page of the log.
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update(None, "auto_vacuum", "NONE")?;
    migrations.apply(&mut connection).map_err(|detail| failed(path, detail))?;
    Ok(connection)
}

/// Brings the database at `layout.database()` to the present schema: copy, migrate, check, sync, rename; the former file is
/// kept as `hub.db.before-V<n>`. A failure anywhere leaves the former file as it is. Returns what was applied.
pub(super) fn run_pending(layout: &Layout, migrations: &Migrations) -> Result<Vec<String>> {
    let path = layout.database();
    let connection = open_apart(&path)?;
    if !migrations.is_pending(&connection, &path)? {
        return Ok(Vec::new());
    }
    let copy = layout.unfinished("migrating");
    let applied = on_copy(&connection, &copy, migrations).inspect_err(|_| {
        let _ = fs::remove_file(&copy);
    })?;
    // A WAL left beside the new file would be taken for its own. Fails while another process reads.
    connection.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
    drop(connection);
    let newest = migrations.list.iter().map(Migration::version).max().unwrap_or(0);
    let kept = layout.dir.join(format!("{}.before-V{newest}", files::DATABASE));
    files::keep_as(&path, &kept)?;
    files::publish(&copy, &path)?;
    forget_older(layout, &kept);
    Ok(applied)
}

fn on_copy(connection: &Connection, copy: &Path, migrations: &Migrations) -> Result<Vec<String>> {
    files::create_private(copy)?;
    let name = copy.to_string_lossy();
    connection.execute("VACUUM INTO ?1", [name.as_ref()])?;
    let before = row_counts(connection)?;
    let mut migrated = open_apart(copy)?;
    let applied = migrations.apply(&mut migrated).map_err(|detail| failed(copy, detail))?;
    check(&migrated).map_err(|detail| failed(copy, detail))?;
    let after = row_counts(&migrated)?;
    for (table, rows) in &before {
        let left = after.get(table).copied().unwrap_or(0);
        if left < *rows && !migrations.may_shrink.contains(table) {
            return Err(failed(copy, format!("table {table} had {rows} rows and is left with {left}")));
        }
    }
    Ok(applied)
}

/// Foreign keys, then the structure of every page.
pub(super) fn check(connection: &Connection) -> Result<(), String> {
    let run = || -> rusqlite::Result<Vec<String>> {
        let mut found = Vec::new();
        let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
            found.push(format!("a row of {table} names no row of {parent}"));
        }
        let mut statement = connection.prepare("PRAGMA quick_check")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let line: String = row.get(0)?;
            if line != "ok" {
                found.push(line);
            }
        }
        Ok(found)
    };
    let found = run().map_err(|error| error.to_string())?;
    if found.is_empty() {
        return Ok(());
    }
    let more = found.len().saturating_sub(NAMED_MAX);
    let named = found[..found.len() - more].join("; ");
    Err(if more == 0 { named } else { format!("{named}; and {more} more") })
}

/// A connection of its own, `foreign_keys` off, rollback journal.
pub(super) fn open_apart(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    register_functions(&connection)?;
    connection.pragma_update(None, "foreign_keys", false)?;
    Ok(connection)
}

/// Rows of each table.
pub(super) fn row_counts(connection: &Connection) -> Result<BTreeMap<String, i64>> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let mut statement = connection.prepare(sql)?;
    let names: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut counts = BTreeMap::new();
    for name in names {
        let count = format!("SELECT count(*) FROM \"{name}\"");
        counts.insert(name, connection.query_row(&count, [], |row| row.get(0))?);
    }
    Ok(counts)
}

fn failed(path: &Path, detail: String) -> StoreError {
    StoreError::Migration { path: path.to_owned(), detail }
}

/// One former file is enough to go back one version.
fn forget_older(layout: &Layout, kept: &Path) {
    let prefix = format!("{}.before-V", files::DATABASE);
    for entry in fs::read_dir(&layout.dir).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) && entry.path() != kept {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
