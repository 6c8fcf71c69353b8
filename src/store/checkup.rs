//! A look at the database by somebody who does not own it: read-only, and it may be interrupted.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::error::{Result, StoreError};
use super::files::Layout;
use super::recover::{CHECKED_WHOLE_BYTES, LARGE, header_damage, quick_check, tables};

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
