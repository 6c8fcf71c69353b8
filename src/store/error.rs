use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ffi;

/// Why the store could not do what it was asked. Each variant has another remedy.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(
        "open {path}: another process holds the database: a command that is at work, or a hub that listens on another [control] socket; stop it"
    )]
    Locked { path: PathBuf },
    #[error(
        "write {path}: the disk is full; delete files or move them away, readings wait in memory until then"
    )]
    DiskFull { path: PathBuf },
    #[error(
        "write {path}: the file system is read-only; an SD card at its end does that: check `dmesg`, remount, replace the card"
    )]
    ReadOnly { path: PathBuf },
    #[error(
        "read {path}: the database is damaged ({detail}); at the next start it is set aside and the newest backup restored"
    )]
    Corrupt { path: PathBuf, detail: String },
    #[error("access {path}: {source}")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "migrate {path}: {detail}; the database is as it was before, start the former version or report this"
    )]
    Migration { path: PathBuf, detail: String },
    #[error(
        "open {path}: it was written by a newer version (schema {schema}, this one knows {known}): install that again"
    )]
    Newer { path: PathBuf, schema: i64, known: i64 },
    #[error("database: {0}")]
    Sqlite(#[source] rusqlite::Error),
    /// A stored value that this version cannot have written.
    #[error("read {table}: {detail}")]
    Value { table: &'static str, detail: String },
}

/// What every function on a connection returns: the plain error, which `StoreError` is made from where the path is known.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        classify(error, Path::new("the database"))
    }
}

impl StoreError {
    pub fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::DiskFull { path },
            io::ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly { path },
            _ => StoreError::Io { path, source },
        }
    }

    pub fn is_corrupt(&self) -> bool {
        matches!(self, StoreError::Corrupt { .. })
    }
}

/// Sorts SQLite's result code into the answers the hub has.
pub(super) fn classify(error: rusqlite::Error, path: &Path) -> StoreError {
    let Some(failure) = error.sqlite_error() else { return StoreError::Sqlite(error) };
    let path = path.to_owned();
    match failure.extended_code & 0xff {
        ffi::SQLITE_FULL => StoreError::DiskFull { path },
        ffi::SQLITE_READONLY => StoreError::ReadOnly { path },
        ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB => StoreError::Corrupt { path, detail: error.to_string() },
        _ => StoreError::Sqlite(error),
    }
}

/// What an error asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    DiskFull,
    Corrupt,
    /// Reading or writing failed, and SQLite does not say why.
    Io,
    Other,
}

impl StoreError {
    pub(super) fn kind(&self) -> Kind {
        match self {
            StoreError::DiskFull { .. } => Kind::DiskFull,
            StoreError::Corrupt { .. } => Kind::Corrupt,
            StoreError::Sqlite(error) => kind(error),
            _ => Kind::Other,
        }
    }
}

pub(super) fn kind(error: &rusqlite::Error) -> Kind {
    match error.sqlite_error().map(|failure| failure.extended_code & 0xff) {
        Some(ffi::SQLITE_FULL) => Kind::DiskFull,
        Some(ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB) => Kind::Corrupt,
        Some(ffi::SQLITE_IOERR | ffi::SQLITE_CANTOPEN) => Kind::Io,
        _ => Kind::Other,
    }
}
