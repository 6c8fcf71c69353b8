//! How far the last writer was, in a file beside the database: whoever puts an older database in its place would go on with
//! numbers that are given out already, and central has other readings and alerts under them.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use rusqlite::Connection;

use super::epochs;
use super::error::{Result, StoreError};
use crate::domain::{Epoch, Seq};

/// An epoch, and a number of its counter that no commit has used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Witness {
    pub epoch: Epoch,
    pub next_seq: Seq,
}

impl Witness {
    /// Writes it durably. In place: a line always has the same length, within one block, and a torn one is no witness.
    pub fn write(&self, path: &Path) -> Result<()> {
        let epoch = uuid::Uuid::from_bytes(self.epoch.0).simple();
        let line = format!("{epoch} {:020}\n", self.next_seq.0);
        let write = || {
            let mut file = super::files::private().truncate(false).open(path)?;
            file.write_all(line.as_bytes())?;
            file.set_len(line.len() as u64)?;
            file.sync_data()
        };
        write().map_err(|error| StoreError::io(path, error))
    }

    /// None where there is none, or none that can be read: then nothing is known.
    fn read(path: &Path) -> Option<Self> {
        let line = match fs::read_to_string(path) {
            Ok(line) => line,
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!("how far the database was cannot be read from {}: {error}", path.display());
                return None;
            }
        };
        let (epoch, next_seq) = line.strip_suffix('\n')?.split_once(' ')?;
        Some(Self {
            epoch: Epoch(uuid::Uuid::try_parse(epoch).ok()?.into_bytes()),
            next_seq: Seq(next_seq.parse().ok()?),
        })
    }
}

/// Why this database is not the one that was last written here, or None.
pub(super) fn contradicts(path: &Path, connection: &Connection) -> Result<Option<String>> {
    let Some(witness) = Witness::read(path) else { return Ok(None) };
    let known = epochs::all(connection)?;
    if known.iter().any(|row| row.former_epoch == Some(witness.epoch)) {
        // Left with a reason already.
        return Ok(None);
    }
    let Some(row) = known.iter().find(|row| row.epoch == witness.epoch) else {
        return Ok(Some(
            "another database was put in place: it lacks the epoch that was written last".to_owned(),
        ));
    };
    let next_seq = epochs::next_seq(connection, row.no)?;
    Ok((next_seq < witness.next_seq).then(|| {
        format!(
            "an older database was put back: it ends at {}, {} was given out",
            next_seq.0 - 1,
            witness.next_seq.0 - 1
        )
    }))
}
