//! The thin loop around `Core`: frames and jobs in, acknowledgements out, time passing in between.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::sync::{mpsc, oneshot, watch};

use super::Core;
use crate::frame::SourceEvent;
use crate::source::{self, Acks};

/// Requests and uplink steps waiting for the core; each has somebody who waits for its answer.
pub const JOBS_QUEUED_MAX: usize = 64;
/// Events taken from the queue before time is let pass: a group's worth.
const EVENTS_AT_ONCE: usize = 256;

/// Work to be done on the core's thread.
pub type Job = Box<dyn FnOnce(&mut Core) + Send>;

/// How other tasks reach the core.
#[derive(Clone)]
pub struct CoreHandle(mpsc::Sender<Job>);

impl CoreHandle {
    pub fn new(jobs: mpsc::Sender<Job>) -> Self {
        Self(jobs)
    }

    /// Runs `work` on the core's thread and returns what it says. An error: the core has ended.
    pub async fn call<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Core) -> T + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |core| {
            // The asker may have gone away; the work is done all the same.
            let _ = answer.send(work(core));
        });
        self.0.send(job).await.map_err(|_| anyhow!("the hub is stopping"))?;
        answered.await.context("the hub is stopping")
    }
}

/// Drives the core until `stop`, then drains what is queued and closes the store.
pub fn drive(
    mut core: Core,
    mut frames: mpsc::Receiver<SourceEvent>,
    mut jobs: mpsc::Receiver<Job>,
    acks: Acks,
    mut stop: watch::Receiver<bool>,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .context("start the core's loop")?;
    runtime.block_on(async {
        let mut batch = Vec::with_capacity(EVENTS_AT_ONCE);
        let mut sources_run = true;
        loop {
            let sleep = Duration::from_millis(core.sleep_ms().unsigned_abs());
            tokio::select! {
                got = frames.recv_many(&mut batch, EVENTS_AT_ONCE), if sources_run => sources_run = got > 0,
                Some(job) = jobs.recv() => job(&mut core),
                () = tokio::time::sleep(core.real_duration(sleep)) => {}
                () = source::stopped(&mut stop) => break,
            }
            step(&mut core, &mut batch, &acks);
            core.refresh_vitals(frames.len());
        }
        // Sources have stopped: what they queued is theirs no more.
        while frames.try_recv().map(|event| batch.push(event)).is_ok() {}
        step(&mut core, &mut batch, &acks);
    });
    core.close()
}

fn step(core: &mut Core, batch: &mut Vec<SourceEvent>, acks: &Acks) {
    for event in batch.drain(..) {
        core.hear(event);
    }
    for token in core.tick() {
        acks.release(token);
    }
}
