//! A look at the database by somebody who does not own it: read-only, and it may be cut off.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::hooks::Authorization;
use rusqlite::{Connection, ErrorCode, InterruptHandle};

use super::error::{Result, StoreError};
use super::files::Layout;
use super::recover::{CHECKED_WHOLE_BYTES, LARGE, header_damage, quick_check, tables};

/// SQLite's steps between two looks at whether it is over: few enough for a card that needs milliseconds for a page.
const STEPS: i32 = 100;

/// Ends what is read over a connection, and whatever would be read after it, once it is dropped or told to: an open read
/// keeps a running hub from reusing its WAL.
#[derive(Default)]
pub struct CutOff(Bound);

/// Its other end, where the connection is.
#[derive(Clone, Default)]
pub struct Bound(Arc<State>);

#[derive(Default)]
struct State {
    is_over: AtomicBool,
    running: Mutex<Option<InterruptHandle>>,
}

impl CutOff {
    pub fn bound(&self) -> Bound {
        self.0.clone()
    }

    pub fn cut(&self) {
        let state = &self.0.0;
        state.is_over.store(true, Ordering::SeqCst);
        if let Some(running) = &*state.running.lock().unwrap_or_else(PoisonError::into_inner) {
            running.interrupt();
        }
    }
}

impl Drop for CutOff {
    fn drop(&mut self) {
        self.cut();
    }
}

impl Bound {
    /// Three ways, since each leaves something: an interrupt ends the statement that runs and no later one, a bare count
    /// has no steps to look at, and nobody asks for permission once a statement is prepared.
    pub fn bind(&self, connection: &mut Connection) -> Result<()> {
        let state = self.0.clone();
        connection.progress_handler(STEPS, Some(move || state.is_over.load(Ordering::SeqCst)))?;
        let state = self.0.clone();
        connection.authorizer(Some(move |_: rusqlite::hooks::AuthContext<'_>| {
            if state.is_over.load(Ordering::SeqCst) { Authorization::Deny } else { Authorization::Allow }
        }))?;
        let running = connection.get_interrupt_handle();
        *self.0.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
        Ok(())
    }
}

/// Whether it was cut off, and nothing is wrong.
pub fn is_cut_off(error: &StoreError) -> bool {
    let StoreError::Sqlite(error) = error else { return false };
    // What is refused in the middle of preparing, at a function, has no code of its own.
    let is_refused =
        matches!(error, rusqlite::Error::SqlInputError { msg, .. } if msg.starts_with("not authorized"));
    is_refused
        || matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::OperationInterrupted | ErrorCode::AuthorizationForStatementDenied)
        )
}

/// What was looked at, and what is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkup {
    pub damage: Option<String>,
    /// False: the tables of readings and raw frames were left out, which are too large to look at beside a running hub.
    pub is_whole: bool,
}

/// Files around the database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// A damage was met by a running hub.
    pub is_suspect: bool,
    /// Damaged databases that were set aside.
    pub set_aside: u64,
    pub newest_backup: Option<PathBuf>,
}

pub fn check(connection: &Connection, path: &Path) -> Result<Checkup> {
    if let Some(damage) = header_damage(path)? {
        return Ok(Checkup { damage: Some(damage), is_whole: false });
    }
    let bytes = std::fs::metadata(path).map_err(|error| StoreError::io(path, error))?.len();
    let is_whole = bytes <= CHECKED_WHOLE_BYTES;
    let damage = if is_whole {
        quick_check(connection, "PRAGMA quick_check(1)")?
    } else {
        let names = tables(connection)?;
        let small = names.iter().filter(|name| !LARGE.contains(&name.as_str()));
        let mut damage = None;
        for name in small {
            damage = quick_check(connection, &format!("PRAGMA quick_check(\"{name}\")"))?;
            if damage.is_some() {
                break;
            }
        }
        damage
    };
    Ok(Checkup { damage, is_whole })
}

pub fn surroundings(dir: &Path) -> Surroundings {
    let layout = Layout::new(dir);
    let folders = std::fs::read_dir(layout.damaged()).map_or(0, |entries| entries.flatten().count() as u64);
    Surroundings {
        is_suspect: layout.marker().exists(),
        set_aside: folders,
        newest_backup: layout.list_backups().into_iter().next().map(|(_, path)| path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{OpenOptions, Store};

    /// Cut off between the statement and the function in it.
    fn refused_at_a_function(path: &Path) -> StoreError {
        let mut connection = Store::file_reader(path).unwrap();
        let at_functions = |context: rusqlite::hooks::AuthContext<'_>| match context.action {
            rusqlite::hooks::AuthAction::Function { .. } => Authorization::Deny,
            _ => Authorization::Allow,
        };
        connection.authorizer(Some(at_functions)).unwrap();
        let refused = connection.query_row("SELECT max(1)", [], |row| row.get::<_, i64>(0));
        refused.map_err(StoreError::from).unwrap_err()
    }

    #[test]
    fn nothing_is_read_once_it_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(&OpenOptions::new(folder.path()), &mut |bytes| bytes.fill(7)).unwrap();
        store.close().unwrap();
        let path = folder.path().join(crate::store::DATABASE);
        let mut connection = Store::file_reader(&path).unwrap();
        let endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
        let count = |connection: &Connection, sql: &str| {
            connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(StoreError::from)
        };
        let cut_off = CutOff::default();
        cut_off.bound().bind(&mut connection).unwrap();
        assert!(count(&connection, "SELECT count(*) FROM devices").is_ok());
        assert!(check(&connection, &path).is_ok());
        // One that is prepared already is ended by its steps, the others before they begin.
        let mut prepared = connection.prepare(endless).unwrap();
        cut_off.cut();
        let steps = prepared.query_row([], |row| row.get::<_, i64>(0)).map_err(StoreError::from);
        drop(prepared);
        let ends = [
            steps,
            count(&connection, endless),
            count(&connection, "SELECT count(*) FROM devices"),
            Err(refused_at_a_function(&path)),
            check(&connection, &path).map(|_| 0),
        ];
        for (at, end) in ends.into_iter().enumerate() {
            assert!(end.as_ref().is_err_and(is_cut_off), "{at}: {end:?}");
        }

        // One that runs is ended from outside, and by nobody's waiting for it any more.
        let mut connection = Store::file_reader(&path).unwrap();
        let cut_off = CutOff::default();
        let bound = cut_off.bound();
        let (begun, begins) = std::sync::mpsc::channel();
        let reading = std::thread::spawn(move || {
            bound.bind(&mut connection).unwrap();
            begun.send(()).unwrap();
            connection.query_row(endless, [], |row| row.get::<_, i64>(0)).map_err(StoreError::from)
        });
        begins.recv().unwrap();
        drop(cut_off);
        let end = reading.join().unwrap();
        assert!(end.as_ref().is_err_and(is_cut_off), "{end:?}");
    }

    #[test]
    fn finds_what_is_wrong_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(&OpenOptions::new(folder.path()), &mut |bytes| bytes.fill(7)).unwrap();
        store.close().unwrap();
        let path = folder.path().join(crate::store::DATABASE);
        let look = || check(&Store::file_reader(&path).unwrap(), &path);
        assert_eq!(look().unwrap(), Checkup { damage: None, is_whole: true });
        assert_eq!(surroundings(folder.path()), Surroundings::default());

        let mut bytes = std::fs::read(&path).unwrap();
        // Behind the schema: a page of some table.
        let last = bytes.len() - 4_096;
        bytes[last..].fill(0xAA);
        std::fs::write(&path, &bytes).unwrap();
        assert!(look().is_err() || look().unwrap().damage.is_some());
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        std::fs::create_dir_all(folder.path().join("damaged/001")).unwrap();
        assert_eq!(surroundings(folder.path()).set_aside, 1);
    }
}
