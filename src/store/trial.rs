//! What the self-test asks of SQLite and of the disk below it, on databases of its own that are opened as the hub's is.

use std::path::Path;

use rusqlite::{Connection, params};

use super::connection::{open_reader, open_writer};
use super::error::{Result, StoreError};

/// Rows of a commit: what 64 sensors a minute give in 5 s.
const ROWS: i64 = 5;
/// Bytes of a row, as a reading and its raw frame take.
const ROW_BYTES: usize = 200;

/// Of the SQLite that is linked: its number and its name.
pub fn version() -> (i32, &'static str) {
    (rusqlite::version_number(), rusqlite::version())
}

/// Writes through a write-ahead log in `dir`, reads beside it, puts the log into the database and reads again. Gives the
/// bytes that stood in the log.
pub fn wal_round_trip(dir: &Path) -> Result<u64> {
    let path = dir.join("wal.db");
    let mut writer = make(&path)?;
    let mode: String = writer.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(wrong(format!(
            "the file system takes no write-ahead log (journal mode {mode}); use a local disk"
        )));
    }
    write(&mut writer)?;
    let open = writer.transaction()?;
    open.execute("INSERT INTO trial (body) VALUES (x'00')", [])?;
    let reader = open_reader(&path)?;
    expect(&reader, ROWS, "beside a transaction")?;
    open.commit()?;
    expect(&reader, ROWS + 1, "after the commit")?;
    drop(reader);
    let log = dir.join("wal.db-wal");
    let log_bytes = || std::fs::metadata(&log).map(|file| file.len());
    let bytes = log_bytes().map_err(|error| StoreError::io(&log, error))?;
    let busy: i64 = writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    let left = log_bytes().map_err(|error| StoreError::io(&log, error))?;
    if bytes == 0 || busy != 0 || left != 0 {
        return Err(wrong(format!("of {bytes} bytes in the write-ahead log {left} were not put in place")));
    }
    drop(writer);
    let reader = open_reader(&path)?;
    expect(&reader, ROWS + 1, "after closing it")?;
    let sound: String = reader.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    if sound != "ok" {
        return Err(wrong(format!(
            "a database that was just written is damaged ({sound}); replace the disk"
        )));
    }
    Ok(bytes)
}

/// How long each of so many commits took that survive a power cut, sorted; fewer where they take longer together.
/// `now_us` counts microseconds and never goes back.
pub fn commit_times(dir: &Path, commits: usize, us_max: i64, now_us: &dyn Fn() -> i64) -> Result<Vec<i64>> {
    let mut writer = make(&dir.join("disk.db"))?;
    let mut times = Vec::with_capacity(commits);
    let began = now_us();
    while times.len() < commits && (times.is_empty() || now_us() - began < us_max) {
        let before = now_us();
        write(&mut writer)?;
        times.push(now_us() - before);
    }
    times.sort_unstable();
    Ok(times)
}

fn make(path: &Path) -> Result<Connection> {
    let made = Connection::open(path)?;
    made.execute_batch("CREATE TABLE trial (n INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT")?;
    drop(made);
    open_writer(path)
}

fn write(writer: &mut Connection) -> Result<()> {
    let body = [0x5a_u8; ROW_BYTES];
    let transaction = writer.transaction()?;
    {
        let mut insert = transaction.prepare_cached("INSERT INTO trial (body) VALUES (?1)")?;
        for _ in 0..ROWS {
            insert.execute(params![body])?;
        }
    }
    transaction.commit()?;
    Ok(())
}

fn expect(connection: &Connection, rows: i64, when: &str) -> Result<()> {
    let found: i64 = connection.query_row("SELECT count(*) FROM trial", [], |row| row.get(0))?;
    if found == rows {
        Ok(())
    } else {
        Err(wrong(format!("{found} rows instead of {rows} {when}; replace the disk")))
    }
}

fn wrong(detail: String) -> StoreError {
    StoreError::Value { table: "trial", detail }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn commits_are_timed_one_by_one_and_not_for_ever() {
        // Each look at the clock is 10 us after the one before.
        let now = Cell::new(0);
        let tick = || {
            now.set(now.get() + 10);
            now.get()
        };
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(commit_times(folder.path(), 3, i64::MAX, &tick).unwrap(), [10, 10, 10]);
        let other = tempfile::tempdir().unwrap();
        assert_eq!(commit_times(other.path(), 100, 60, &tick).unwrap().len(), 2);
        let none = tempfile::tempdir().unwrap();
        assert_eq!(commit_times(none.path(), 100, 0, &tick).unwrap().len(), 1, "there is always one");
    }
}
