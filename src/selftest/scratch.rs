//! A folder for the checks on the disk that matters: the one of the database.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// One name, so that what a killed self-test leaves is taken away by the next.
const FOLDER: &str = "selftest";

/// Removed when dropped.
pub struct Scratch {
    path: PathBuf,
    /// Held locked: two self-tests at once would take each other's files away.
    _lock: File,
}

impl Scratch {
    pub fn make(data: &Path) -> Result<Self> {
        if !data.is_dir() {
            bail!(
                "look at the data folder {}: it is not there; start the hub once, or name another by --dir",
                data.display()
            );
        }
        let path = data.join(FOLDER);
        let making = || format!("make {}; run this as the hub's user or as root", path.display());
        fs::create_dir_all(&path).with_context(making)?;
        let lock = File::create(path.join("lock")).with_context(making)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("lock {}: another self-test runs", path.display()),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("lock {}", path.display()));
            }
        }
        for entry in fs::read_dir(&path).with_context(making)? {
            let entry = entry.with_context(making)?;
            if entry.file_name() != "lock" {
                fs::remove_file(entry.path())
                    .with_context(|| format!("remove {}, left by a self-test", entry.path().display()))?;
            }
        }
        Ok(Self { path, _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is taken away by the next self-test.
        let _ = fs::remove_dir_all(&self.path);
    }
}
