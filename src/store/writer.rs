//! The one writer: transactions, checkpoints, what was written, and what its failures mean.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::hooks::Wal;
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::connection::{self, PAGE_BYTES};
use super::epochs::{self, EpochRow};
use super::error::{self, Kind, Result, StoreError};
use super::files::{self, Layout, StateLock};
use super::open::{self, OpenOptions, OpenReport};
use super::witness::{self, Witness};
use super::{audit, backup};
use crate::domain::Seq;

/// The writer moves the WAL into the database at this size: larger means fewer writes of the same page, smaller a faster
/// start after a power cut.
pub const CHECKPOINT_BYTES: u64 = 4 << 20;

/// Header of a WAL frame.
const FRAME_HEADER_BYTES: u64 = 24;

/// The writing connection. It belongs to one thread.
pub struct Store {
    connection: Connection,
    layout: Layout,
    meter: Arc<WalMeter>,
    audit_head: audit::Head,
    /// Where the next step of moving begins.
    pub(super) moving: Option<Seq>,
    /// Dropped last, so that no other process writes before the connection is closed.
    _lock: StateLock,
}

/// Frames of the WAL: in it now, and written since the store was opened.
#[derive(Default)]
struct WalMeter {
    now: AtomicU64,
    written: AtomicU64,
    failed: Mutex<Option<String>>,
}

impl Store {
    /// Opens the folder for writing; no other process can. A missing database is made, an old one migrated, a damaged one set
    /// aside and the newest backup restored; the report says what happened. `random` fills a buffer.
    pub fn open(options: &OpenOptions, random: &mut dyn FnMut(&mut [u8])) -> Result<(Store, OpenReport)> {
        Self::open_locked(options, StateLock::take(&options.dir)?, random)
    }

    /// The same, with the folder's lock taken before.
    pub fn open_locked(
        options: &OpenOptions,
        lock: StateLock,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> Result<(Store, OpenReport)> {
        open::open(options, lock, random)
    }

    /// A connection that only reads. Close it within 5 s.
    pub fn reader(dir: &Path) -> Result<Connection> {
        let path = Layout::new(dir).database();
        connection::open_reader(&path).map_err(|error| {
            let error = explain(error, dir);
            if let StoreError::Corrupt { detail, .. } = &error {
                note_damage(dir, detail);
            }
            error
        })
    }

    /// A connection that only reads, to a file that may be a copy or a backup on any computer. One that nobody writes (it
    /// has no WAL beside it) is read as it is, so that no file is made next to it.
    pub fn file_reader(path: &Path) -> Result<Connection> {
        let explained = |error: StoreError| match error {
            StoreError::Sqlite(error) => error::classify(error, path),
            error => error,
        };
        std::fs::File::open(path).map_err(|error| StoreError::io(path, error))?;
        let mut wal = path.as_os_str().to_owned();
        wal.push("-wal");
        let is_written = std::fs::metadata(wal).is_ok_and(|wal| wal.len() > 0);
        connection::open_file(path, is_written).map_err(explained)
    }

    pub(super) fn new(layout: Layout, lock: StateLock) -> Result<Self> {
        let mut connection =
            connection::open_writer(&layout.database()).map_err(|error| explain(error, &layout.dir))?;
        let meter = Arc::new(WalMeter::default());
        let counted = meter.clone();
        connection.wal_hook(Some(move |wal: &mut Wal, frames: std::ffi::c_int| {
            counted.count(frames as u64);
            if counted.bytes() >= CHECKPOINT_BYTES {
                counted.note(wal.checkpoint());
            }
            // The commit stands, whatever became of the checkpoint.
            Ok(())
        }))?;
        let epoch = epochs::current(&connection)?;
        let audit_head = audit::head(&connection, epoch.no)?.unwrap_or_else(audit::Head::first);
        Ok(Self { connection, layout, meter, audit_head, moving: None, _lock: lock })
    }

    pub fn dir(&self) -> &Path {
        &self.layout.dir
    }

    /// The writing connection, for reading between transactions.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Begins a transaction that holds the write lock from its start. `commit` makes it durable; dropping it undoes it. After
    /// a failure call `after_failure`; `write` does.
    pub fn transaction(&mut self) -> Result<Transaction<'_>> {
        let dir = self.layout.dir.clone();
        self.connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| explain(error.into(), &dir))
    }

    /// Runs `work` in one transaction and commits it.
    pub fn write<T>(&mut self, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let result = self.transaction().and_then(|transaction| {
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        });
        result.map_err(|error| self.explain(error))
    }

    /// After a transaction failed: what `explain` does, for an error with context around it.
    pub fn after_failure(&self, error: &(dyn std::error::Error + 'static)) {
        let mut cause = Some(error);
        while let Some(error) = cause {
            let found = match (error.downcast_ref::<StoreError>(), error.downcast_ref::<rusqlite::Error>()) {
                (Some(error), _) => Some(error.kind()),
                (None, Some(error)) => Some(error::kind(error)),
                _ => None,
            };
            if let Some(kind) = found {
                self.answer(kind, &error.to_string());
                return;
            }
            cause = error.source();
        }
    }

    /// Names the path and the true reason of an error of this store, and does what can be done at once: frees the ballast on
    /// a full disk, notes a damage for the next start.
    pub fn explain(&self, error: StoreError) -> StoreError {
        let error = explain(error, &self.layout.dir);
        self.answer(error.kind(), &error.to_string());
        error
    }

    /// Why the last checkpoint failed; None after one that did not. Readings are safe in the WAL, which grows until then.
    pub fn checkpoint_error(&self) -> Option<String> {
        self.meter.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The last link of the present epoch's audit chain, as the one writer knows it.
    pub fn audit_head(&self) -> audit::Head {
        self.audit_head.clone()
    }

    /// Begins a new epoch and its audit chain.
    pub fn begin_epoch(&mut self, reason: &str, random: &mut dyn FnMut(&mut [u8])) -> Result<EpochRow> {
        let epoch = self.write(|tx| epochs::begin_new(tx, reason, random))?;
        self.audit_head = audit::head(&self.connection, epoch.no)?.unwrap_or_else(audit::Head::first);
        Ok(epoch)
    }

    /// Why this database is not the one that was last written here, or None.
    pub(super) fn contradiction(&self) -> Result<Option<String>> {
        witness::contradicts(&self.layout.witness(), &self.connection)
    }

    /// Notes beside the database how far it is, for the next start.
    pub fn bear_witness(&self) -> Result<()> {
        let EpochRow { no, epoch, .. } = epochs::current(&self.connection)?;
        let next_seq = epochs::next_seq(&self.connection, no)?;
        Witness { epoch, next_seq }.write(&self.layout.witness())
    }

    /// After a commit that appended to the chain.
    pub fn set_audit_head(&mut self, head: audit::Head) {
        self.audit_head = head;
    }

    /// Makes a backup beside the database: everything but readings and raw frames.
    pub fn backup(&self) -> Result<PathBuf> {
        backup::make(&self.layout.dir)
    }

    /// Moves everything into the database, and closes it.
    pub fn close(mut self) -> Result<()> {
        self.checkpoint_all()
    }

    /// Moves everything into the database and empties the WAL: at a clean stop.
    pub fn checkpoint_all(&mut self) -> Result<()> {
        match self.connection.wal_checkpoint_v2(Some(rusqlite::MAIN_DB), CheckpointMode::TRUNCATE) {
            Ok(_) => {
                self.meter.now.store(0, Ordering::Relaxed);
                Ok(())
            }
            // A reader holds a part back: the next start takes it.
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => Ok(()),
            Err(error) => Err(self.explain(error.into())),
        }
    }

    /// Bytes of the WAL now.
    pub fn wal_bytes(&self) -> u64 {
        self.meter.bytes()
    }

    /// Bytes written to the WAL since the store was opened.
    pub fn wal_bytes_written(&self) -> u64 {
        self.meter.written.load(Ordering::Relaxed) * frame_bytes()
    }

    /// Frees the ballast; false where it was freed before. It is made again at the next start, when there is room.
    pub fn free_ballast(&self) -> bool {
        fs::remove_file(self.layout.ballast()).is_ok()
    }

    /// Where the database is.
    pub fn path(&self) -> PathBuf {
        self.layout.database()
    }

    fn answer(&self, kind: Kind, detail: &str) {
        match kind {
            Kind::DiskFull => {
                self.free_ballast();
            }
            Kind::Corrupt => note_damage(&self.layout.dir, detail),
            Kind::Io => {
                if let Some(StoreError::DiskFull { .. }) = files::probe(&self.layout.dir) {
                    self.free_ballast();
                }
            }
            Kind::Other => {}
        }
    }
}

impl WalMeter {
    fn bytes(&self) -> u64 {
        self.now.load(Ordering::Relaxed) * frame_bytes()
    }

    fn note(&self, checkpoint: rusqlite::Result<()>) {
        let failed = checkpoint.err().map(|error| error.to_string());
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = failed;
    }

    /// `frames`: in the WAL after a commit. Fewer than before: it began anew.
    fn count(&self, frames: u64) {
        let before = self.now.swap(frames, Ordering::Relaxed);
        let added = if frames >= before { frames - before } else { frames };
        self.written.fetch_add(added, Ordering::Relaxed);
    }
}

fn frame_bytes() -> u64 {
    PAGE_BYTES as u64 + FRAME_HEADER_BYTES
}

/// So that the next start looks at every page.
fn note_damage(dir: &Path, detail: &str) {
    let marker = Layout::new(dir).marker();
    if !marker.exists() {
        // Where nothing can be written the next start still looks at the smaller tables.
        let _ = files::create_private(&marker)
            .and_then(|()| fs::write(&marker, detail).map_err(|error| StoreError::io(&marker, error)));
    }
}

fn explain(error: StoreError, dir: &Path) -> StoreError {
    let path = dir.join(files::DATABASE);
    let error = match error {
        StoreError::Sqlite(error) => error::classify(error, &path),
        StoreError::DiskFull { .. } => StoreError::DiskFull { path },
        StoreError::ReadOnly { .. } => StoreError::ReadOnly { path },
        StoreError::Corrupt { detail, .. } => StoreError::Corrupt { path, detail },
        error => error,
    };
    if error.kind() == Kind::Io { files::probe(dir).unwrap_or(error) } else { error }
}
