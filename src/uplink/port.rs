//! What the uplink asks of the core.

use std::future::Future;

use anyhow::Result;
use frostguard_sync::api::{Down, RefusedRow, Snapshot};
use frostguard_sync::wire::Lane;
use tokio::sync::Notify;

use crate::clock::trust::ReceiverTime;
use crate::domain::UnixMs;
use crate::store::batches::StoredBatch;
use crate::store::link::Link;
use crate::store::snapshot::Outcome;

/// The core that owns the writing connection. Each call is one transaction; an error is the store's and ends the uplink,
/// but for those that the implementation answers by waiting.
pub trait Port: Send + Sync + 'static {
    /// `store::link::find`.
    fn link(&self) -> impl Future<Output = Result<Option<Link>>> + Send;

    /// The pending batch of a lane, else the next one, cut now (`store::batches::pending`, `store::state::cut`,
    /// `store::readings::cut`) with a compressed body of at most `bytes_max`.
    fn next_batch(
        &self,
        lane: Lane,
        bytes_max: usize,
    ) -> impl Future<Output = Result<Option<StoredBatch>>> + Send;

    /// `store::batches::acknowledge`.
    fn acknowledge(
        &self,
        lane: Lane,
        seq: u64,
        refused: Vec<RefusedRow>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// `store::batches::uncut`: the body was too large for something on the way.
    fn uncut(&self, lane: Lane) -> impl Future<Output = Result<()>> + Send;

    /// The pending batch of readings lies in the receiver's future: `store::batches::uncut`, and the clock is distrusted
    /// (`clock::trust::Trust::distrust`); `now` is the receiver's time.
    fn refuted(&self, now: UnixMs) -> impl Future<Output = Result<()>> + Send;

    /// `store::batches::rewind`, then `store::epochs::begin_new` with the reason.
    fn rewind(&self, reason: &'static str) -> impl Future<Output = Result<()>> + Send;

    /// Acts of people and entries (`store::down`), told to the rules.
    fn take_down(&self, down: Down) -> impl Future<Output = Result<()>> + Send;

    /// `store::snapshots::etag` and `refused`.
    fn etags(&self) -> impl Future<Output = Result<Etags>> + Send;

    /// `store::snapshot::apply`, told to the rules and the audit chain.
    fn apply_snapshot(&self, snapshot: Snapshot) -> impl Future<Output = Result<Outcome>> + Send;

    /// False while nothing vouches for the clock.
    fn is_time_trusted(&self) -> impl Future<Output = Result<bool>> + Send;

    /// The receiver's time, its signature checked (`clock::trust::Trust::receiver_says`).
    fn receiver_time(&self, time: ReceiverTime) -> impl Future<Output = Result<()>> + Send;
}

/// Of the snapshot in force ("": none) and the last one refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Etags {
    pub current: String,
    pub refused: Option<String>,
}

/// How the core wakes the uplink.
#[derive(Default)]
pub struct Signals {
    pub(super) state: Notify,
    pub(super) readings: Notify,
    pub(super) link: Notify,
}

impl Signals {
    /// An alert changed, or something else of lane 0 that should not wait for the interval.
    pub fn wake_state(&self) {
        self.state.notify_one();
    }

    /// Readings should not wait for the interval (a demonstration, a person who looks).
    pub fn wake_readings(&self) {
        self.readings.notify_one();
    }

    /// The hub was enrolled.
    pub fn wake_link(&self) {
        self.link.notify_one();
    }
}
