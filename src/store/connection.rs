//! How connections are opened: pragmas, and the SQL functions of the view.

use std::path::Path;
use std::time::Duration;

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, OpenFlags};

use super::error::Result;
use super::history::HOUR_MS;
use super::packed;
use crate::domain::{Epoch, Scale, Source, convert};

/// Bytes of a page: an erase block holds many, and larger pages write more for each group.
pub const PAGE_BYTES: i64 = 4096;

/// A reader may hold the schema lock for a moment; nothing else can make the one writer wait.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Statements kept prepared: the store has about a hundred.
const STATEMENTS_CACHED: usize = 128;

/// KiB of page cache: the hot end of the log and of 64 units' history are under 2 MiB.
const CACHE_KIB: i64 = 2_048;

/// The one connection that writes. WAL with `synchronous = FULL`: a commit that returned survives a power cut.
pub(super) fn open_writer(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    configure(&connection)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // The store checkpoints by bytes, not SQLite by pages.
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |row| row.get::<_, i64>(0))?;
    Ok(connection)
}

/// A connection that cannot write. Close it within 5 s: an open read keeps the writer from reusing its WAL.
pub(super) fn open_reader(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    configure(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// A connection that cannot write, to any file. `is_written`: there may be a writer, so that its WAL counts.
pub(super) fn open_file(path: &Path, is_written: bool) -> Result<Connection> {
    if is_written {
        return open_reader(path);
    }
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let uri = format!("file:{}?immutable=1", super::backup::uri_path(path));
    let connection = Connection::open_with_flags(uri, flags)?;
    configure(&connection)?;
    Ok(connection)
}

/// Registers the functions that the view `sensor_readings` calls: `fg_reading_id(epoch, seq, recorded_ms)` is the
/// reading's UUID as 16 bytes, `fg_convert(hundredths, is_f, 'C' | 'F')` the value in another scale,
/// `fg_unpack(hour, body)` an hour of history as a JSON array of its rows, `fg_source(number)` the source's name.
pub fn register_functions(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("fg_reading_id", 3, flags, |context| {
        let epoch = Epoch(context.get::<[u8; 16]>(0)?);
        let id = frostguard_sync::ids::reading_id(epoch, context.get::<i64>(1)? as u64, context.get(2)?);
        Ok(id.into_bytes().to_vec())
    })?;
    connection.create_scalar_function("fg_convert", 3, flags, |context| {
        let stored = if context.get::<i64>(1)? == 1 { Scale::F } else { Scale::C };
        let shown = Scale::parse(context.get_raw(2).as_str()?).unwrap_or(stored);
        Ok(convert(context.get(0)?, stored, shown))
    })?;
    connection.create_scalar_function("fg_unpack", 2, flags, |context| {
        let (hour, body): (i64, Vec<u8>) = (context.get(0)?, context.get(1)?);
        packed::to_json(hour.saturating_mul(HOUR_MS), &body)
            .map_err(|error| rusqlite::Error::UserFunctionError(Box::new(error)))
    })?;
    connection.create_scalar_function("fg_source", 1, flags, |context| {
        let number = u8::try_from(context.get::<i64>(0)?).ok();
        Ok(number.and_then(Source::from_number).map(Source::as_str))
    })
}

fn configure(connection: &Connection) -> Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    // Memory-mapped IO turns a failing card into a dead process.
    connection.pragma_update_and_check(None, "mmap_size", 0, |_| Ok(())).or_else(no_row)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    register_functions(connection)?;
    Ok(())
}

/// A build without memory mapping answers the pragma with no row.
fn no_row(error: rusqlite::Error) -> rusqlite::Result<()> {
    match error {
        rusqlite::Error::QueryReturnedNoRows => Ok(()),
        error => Err(error),
    }
}
