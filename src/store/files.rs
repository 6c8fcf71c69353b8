//! Files around the database: who may read them, how they replace one another, what is set aside.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::error::{Result, StoreError};

/// The database.
pub const DATABASE: &str = "hub.db";
const LOCK: &str = "hub.lock";
/// Backups, numbered: `backup/hub-000001.db`.
const BACKUPS: &str = "backup";
/// Damaged databases, one folder each; never deleted by the hub.
const DAMAGED: &str = "damaged";
/// Says that a damage was met while running, so that the next start looks at every page.
const MARKER: &str = "hub.db.suspect";
/// What the last writer had reached.
const WITNESS: &str = "hub.db.reached";
/// Room to delete in when the disk is full.
const BALLAST: &str = "ballast";
/// A file that is not finished: whatever bears this ending at start is removed.
const UNFINISHED: &str = "unfinished";

/// A program that the former holder was just starting holds the lock too, until it has replaced itself: half a second is
/// long for that.
const LOCK_TRIES: u32 = 10;
const LOCK_WAIT: Duration = Duration::from_millis(50);

const BALLAST_CHUNK: usize = 1 << 16;

/// Where everything lies.
#[derive(Clone, Debug)]
pub struct Layout {
    pub dir: PathBuf,
}

impl Layout {
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    pub fn database(&self) -> PathBuf {
        self.dir.join(DATABASE)
    }

    pub fn marker(&self) -> PathBuf {
        self.dir.join(MARKER)
    }

    pub fn witness(&self) -> PathBuf {
        self.dir.join(WITNESS)
    }

    pub fn ballast(&self) -> PathBuf {
        self.dir.join(BALLAST)
    }

    pub fn damaged(&self) -> PathBuf {
        self.dir.join(DAMAGED)
    }

    pub fn backups(&self) -> PathBuf {
        self.dir.join(BACKUPS)
    }

    pub fn unfinished(&self, what: &str) -> PathBuf {
        self.dir.join(format!("hub.db.{what}.{UNFINISHED}"))
    }

    /// The folder itself, for nobody else.
    pub fn make(&self) -> Result<()> {
        make_dir(&self.dir)
    }

    /// Removes what a crash left half made.
    pub fn remove_unfinished(&self) -> Result<()> {
        for dir in [self.dir.clone(), self.backups()] {
            let Ok(entries) = fs::read_dir(&dir) else { continue };
            for path in entries.flatten().map(|entry| entry.path()) {
                if path.to_string_lossy().contains(&format!(".{UNFINISHED}")) {
                    fs::remove_file(&path).map_err(|error| StoreError::io(&path, error))?;
                }
            }
        }
        Ok(())
    }

    /// Finished backups, newest first.
    pub fn list_backups(&self) -> Vec<(u64, PathBuf)> {
        let mut backups: Vec<_> = fs::read_dir(self.backups())
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let number = name.strip_prefix("hub-")?.strip_suffix(".db")?.parse().ok()?;
                Some((number, entry.path()))
            })
            .collect();
        backups.sort_unstable_by(|a, b| b.cmp(a));
        backups
    }

    /// Moves the database and its WAL into a folder of their own, with the reason beside them. Returns the folder.
    pub fn set_aside(&self, reason: &str) -> Result<PathBuf> {
        let damaged = self.damaged();
        make_dir(&damaged)?;
        let mut number = 1u32;
        let folder = loop {
            let folder = damaged.join(format!("{number:03}"));
            if !folder.exists() {
                break folder;
            }
            number += 1;
        };
        make_dir(&folder)?;
        let note = folder.join("reason.txt");
        fs::write(&note, format!("{reason}\n")).map_err(|error| StoreError::io(&note, error))?;
        // The database goes last: until then the next start finds it, and begins this again.
        for suffix in ["-shm", "-wal", ""] {
            let name = format!("{DATABASE}{suffix}");
            let from = self.dir.join(&name);
            if from.exists() {
                fs::rename(&from, folder.join(&name)).map_err(|error| StoreError::io(&from, error))?;
            }
        }
        sync_dir(&folder)?;
        sync_dir(&self.dir)?;
        Ok(folder)
    }
}

/// Whoever has it is the only process that writes in the folder. Held as long as it lives; the kernel frees it when the
/// process ends, however it ends.
#[derive(Debug)]
pub struct StateLock(#[expect(dead_code, reason = "the lock is the open file's")] File);

impl StateLock {
    /// Makes the folder where it is missing.
    pub fn take(dir: &Path) -> Result<Self> {
        let layout = Layout::new(dir);
        layout.make()?;
        let path = dir.join(LOCK);
        let file = private().truncate(false).open(&path).map_err(|error| StoreError::io(&path, error))?;
        for _ in 0..LOCK_TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(fs::TryLockError::WouldBlock) => thread::sleep(LOCK_WAIT),
                Err(fs::TryLockError::Error(error)) => return Err(StoreError::io(&path, error)),
            }
        }
        Err(StoreError::Locked { path: layout.database() })
    }

    /// Whether a process has it. False also where this cannot be told: no such folder, or none that may be looked into.
    pub fn is_held(dir: &Path) -> bool {
        // Makes nothing. Who takes the lock in the very moment in which this holds it tries again (`LOCK_TRIES`).
        File::open(dir.join(LOCK))
            .is_ok_and(|file| matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
    }
}

/// Creates an empty file only its owner may read; SQLite gives its WAL the same mode.
pub fn create_private(path: &Path) -> Result<()> {
    private().truncate(true).open(path).map(drop).map_err(|error| StoreError::io(path, error))
}

pub fn make_private(path: &Path) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(|error| StoreError::io(path, error))
}

/// How a file is opened that only its owner may read.
pub fn private() -> fs::OpenOptions {
    let mut options = File::options();
    options.create(true).write(true).mode(0o600);
    options
}

/// Makes a finished file durable under its final name.
pub fn publish(unfinished: &Path, path: &Path) -> Result<()> {
    let io = |error| StoreError::io(path, error);
    File::open(unfinished).and_then(|file| file.sync_all()).map_err(io)?;
    fs::rename(unfinished, path).map_err(io)?;
    match path.parent() {
        Some(dir) => sync_dir(dir),
        None => Ok(()),
    }
}

/// Keeps `path` under a second name, without a moment in which it has none.
pub fn keep_as(path: &Path, kept: &Path) -> Result<()> {
    let _ = fs::remove_file(kept);
    // A file system without hard links (FAT) takes a copy.
    fs::hard_link(path, kept)
        .or_else(|_| fs::copy(path, kept).map(drop))
        .map_err(|error| StoreError::io(kept, error))
}

/// Writes the ballast where it is missing or short. Real zeros: a sparse file would free nothing.
pub fn fill_ballast(path: &Path, bytes: u64) -> Result<()> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() == bytes) {
        return Ok(());
    }
    let write = || {
        let mut file = private().truncate(true).open(path)?;
        let chunk = vec![0u8; BALLAST_CHUNK];
        let mut left = bytes;
        while left > 0 {
            let part = left.min(chunk.len() as u64) as usize;
            file.write_all(&chunk[..part])?;
            left -= part as u64;
        }
        file.sync_all()
    };
    write().map_err(|error| {
        // Half a ballast on a full disk only makes it fuller.
        let _ = fs::remove_file(path);
        StoreError::io(path, error)
    })
}

/// Says why writing in the folder fails, where SQLite only says that it does: writes a byte and deletes it again.
pub fn probe(dir: &Path) -> Option<StoreError> {
    let path = dir.join(format!("probe.{UNFINISHED}"));
    let result = File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .open(&path)
        .and_then(|mut file| file.write_all(&[0; 4096]).and_then(|()| file.sync_all()));
    let _ = fs::remove_file(&path);
    result.err().map(|error| StoreError::io(dir, error))
}

fn make_dir(dir: &Path) -> Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| StoreError::io(dir, error))
}

fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|file| file.sync_all()).map_err(|error| StoreError::io(dir, error))
}
