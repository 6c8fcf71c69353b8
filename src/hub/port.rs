//! The core as the uplink sees it: each call is a job on the core's thread.

use std::time::Duration;

use anyhow::Result;
use frostguard_sync::api::{Down, RefusedRow, Snapshot};
use frostguard_sync::wire::Lane;

use crate::clock::trust::ReceiverTime;
use crate::domain::UnixMs;
use crate::pipeline::Core;
use crate::pipeline::driver::CoreHandle;
use crate::pipeline::sync::EnrolCommit;
use crate::store::batches::StoredBatch;
use crate::store::link::{Enrolled, Link, Local};
use crate::store::snapshot::Outcome;
use crate::uplink::{Commit, EnrolPort, Etags, Port};

/// A store that refuses writes is tried again; the hub goes on hearing and judging meanwhile.
const RETRY: Duration = Duration::from_secs(5);

/// Asks the core until the store takes it. An error: the hub is stopping.
async fn patiently<T, F>(core: &CoreHandle, what: &str, work: F) -> Result<T>
where
    T: Send + 'static,
    F: Fn(&mut Core) -> Result<T> + Clone + Send + 'static,
{
    loop {
        let work = work.clone();
        match core.call(move |core| work(core)).await? {
            Ok(value) => return Ok(value),
            Err(error) => tracing::error!("failed to {what}, trying again: {error:#}"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

impl Port for CoreHandle {
    async fn link(&self) -> Result<Option<Link>> {
        patiently(self, "read the enrolment", |core| core.link()).await
    }

    async fn next_batch(&self, lane: Lane, bytes_max: usize) -> Result<Option<StoredBatch>> {
        patiently(self, "cut a batch", move |core| core.next_batch(lane, bytes_max)).await
    }

    async fn acknowledge(&self, lane: Lane, seq: u64, refused: Vec<RefusedRow>) -> Result<()> {
        patiently(self, "take an acknowledgement", move |core| core.acknowledge(lane, seq, &refused)).await
    }

    async fn uncut(&self, lane: Lane) -> Result<()> {
        patiently(self, "take a batch back", move |core| core.uncut(lane)).await
    }

    async fn refuted(&self, now: UnixMs) -> Result<()> {
        patiently(self, "distrust the clock", move |core| core.refuted(now)).await
    }

    async fn rewind(&self, reason: &'static str) -> Result<()> {
        patiently(self, "begin a new epoch", move |core| core.rewind(reason)).await
    }

    async fn take_down(&self, down: Down) -> Result<()> {
        patiently(self, "take what people did centrally", move |core| core.take_down(&down)).await
    }

    async fn etags(&self) -> Result<Etags> {
        let (current, refused) =
            patiently(self, "read the configuration's mark", |core| core.etags()).await?;
        Ok(Etags { current, refused })
    }

    async fn apply_snapshot(&self, snapshot: Snapshot) -> Result<Outcome> {
        patiently(self, "apply the configuration", move |core| core.apply_snapshot(&snapshot)).await
    }

    async fn is_time_trusted(&self) -> Result<bool> {
        self.call(|core| core.is_time_trusted()).await
    }

    async fn receiver_time(&self, time: ReceiverTime) -> Result<()> {
        patiently(self, "place the clock", move |core| core.receiver_time(time)).await
    }
}

impl EnrolPort for CoreHandle {
    async fn local(&self) -> Result<(bool, Local)> {
        self.call(Core::local).await?
    }

    async fn commit(&self, commit: Commit) -> Result<Enrolled> {
        let Commit { answer, receiver_url, receiver_key, credential_digest, unit_map } = commit;
        let commit = EnrolCommit { answer, receiver_url, receiver_key, credential_digest, unit_map };
        self.call(move |core| core.enrol(&commit)).await?
    }
}
