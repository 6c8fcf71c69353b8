//! The port as the core implements it: the store's functions, on a real database.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use frostguard_sync::api::{Down, RefusedRow, Snapshot};
use frostguard_sync::wire::Lane;
use rusqlite::Connection;
use tokio::sync::Notify;

use super::super::{Commit, EnrolPort, Etags, Port};
use crate::clock::trust::ReceiverTime;
use crate::domain::{Probe, UnixMs};
use crate::store::batches::{self, Limits, StoredBatch};
use crate::store::link::{self, Enrolled, Link, Local};
use crate::store::snapshot::{self, Moment, Outcome};
use crate::store::sync_tests::{STAMP, START};
use crate::store::{down, epochs, readings, snapshots, state};

/// Far beyond what a machine under load needs; a test that is right never waits for it.
pub const DONE_WITHIN: Duration = Duration::from_mins(1);

/// The store's functions, as the core calls them.
pub struct Desk {
    pub connection: Mutex<Connection>,
    pub rows_max: u32,
    pub is_trusted: Mutex<bool>,
    pub times: Mutex<Vec<ReceiverTime>>,
    pub refuted: Mutex<Vec<UnixMs>>,
    changed: Notify,
}

impl Desk {
    pub fn new(connection: Connection) -> Arc<Self> {
        Arc::new(Self {
            connection: Mutex::new(connection),
            rows_max: 20,
            is_trusted: Mutex::new(true),
            times: Mutex::default(),
            refuted: Mutex::default(),
            changed: Notify::new(),
        })
    }

    pub fn on<T>(&self, run: impl FnOnce(&Connection) -> T) -> T {
        let mut connection = self.connection.lock().unwrap();
        let tx = connection.transaction().unwrap();
        let value = run(&tx);
        tx.commit().unwrap();
        self.changed.notify_waiters();
        value
    }

    /// Waits until `is_so` of the database; looked at after each change.
    pub async fn until(&self, is_so: impl Fn(&Connection) -> bool) {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                if is_so(&self.connection.lock().unwrap()) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(DONE_WITHIN, wait).await.expect("it comes to that");
    }

    pub async fn until_all_sent(&self) {
        let is_sent = |connection: &Connection| {
            let waiting = [Lane::State, Lane::Readings]
                .into_iter()
                .any(|lane| batches::pending(connection, lane).unwrap().is_some());
            !waiting && batches::outstanding(connection).unwrap() == (0, 0)
        };
        self.until(is_sent).await;
    }
}

impl Port for Desk {
    async fn link(&self) -> Result<Option<Link>> {
        Ok(self.on(link::find)?)
    }

    async fn next_batch(&self, lane: Lane, bytes_max: usize) -> Result<Option<StoredBatch>> {
        let limits = Limits { rows: self.rows_max, bytes: bytes_max };
        Ok(self.on(|tx| match batches::pending(tx, lane)? {
            Some(batch) => Ok(Some(batch)),
            None if lane == Lane::State => state::cut(tx, limits, STAMP),
            None => readings::cut(tx, limits),
        })?)
    }

    async fn acknowledge(&self, lane: Lane, seq: u64, refused: Vec<RefusedRow>) -> Result<()> {
        self.on(|tx| batches::acknowledge(tx, lane, seq, &refused, STAMP))?;
        Ok(())
    }

    async fn uncut(&self, lane: Lane) -> Result<()> {
        self.on(|tx| batches::uncut(tx, lane))?;
        Ok(())
    }

    async fn refuted(&self, now: UnixMs) -> Result<()> {
        self.on(|tx| batches::uncut(tx, Lane::Readings))?;
        self.refuted.lock().unwrap().push(now);
        Ok(())
    }

    async fn rewind(&self, reason: &'static str) -> Result<()> {
        self.on(|tx| {
            batches::rewind(tx)?;
            epochs::begin_new(tx, reason, &mut |bytes| bytes.fill(9))
        })?;
        Ok(())
    }

    async fn take_down(&self, given: Down) -> Result<()> {
        self.on(|tx| down::take_entries(tx, &given, UnixMs(START)))?;
        Ok(())
    }

    async fn etags(&self) -> Result<Etags> {
        Ok(self.on(|tx| -> crate::store::Result<Etags> {
            Ok(Etags {
                current: snapshots::etag(tx)?,
                refused: snapshots::refused(tx)?.map(|(etag, _)| etag),
            })
        })?)
    }

    async fn apply_snapshot(&self, snapshot: Snapshot) -> Result<Outcome> {
        Ok(self.on(|tx| snapshot::apply(tx, &snapshot, &moment()))?)
    }

    async fn is_time_trusted(&self) -> Result<bool> {
        Ok(*self.is_trusted.lock().unwrap())
    }

    async fn receiver_time(&self, time: ReceiverTime) -> Result<()> {
        self.times.lock().unwrap().push(time);
        *self.is_trusted.lock().unwrap() = true;
        self.changed.notify_waiters();
        Ok(())
    }
}

impl EnrolPort for Desk {
    async fn local(&self) -> Result<(bool, Local)> {
        Ok(self.on(|tx| -> crate::store::Result<_> { Ok((link::find(tx)?.is_some(), link::local(tx)?)) })?)
    }

    async fn commit(&self, commit: Commit) -> Result<Enrolled> {
        assert_eq!(commit.answer.token, "", "the token never reaches the database");
        let enrolment = link::Enrolment {
            answer: &commit.answer,
            receiver_url: &commit.receiver_url,
            receiver_key: commit.receiver_key,
            credential_digest: commit.credential_digest,
            unit_map: &commit.unit_map,
        };
        Ok(self.on(|tx| link::enrol(tx, &enrolment, &moment()))?)
    }
}

fn moment() -> Moment<'static> {
    Moment { now: UnixMs(START), stamp: STAMP, measuring_probe: &|_| Probe::INTERNAL }
}
