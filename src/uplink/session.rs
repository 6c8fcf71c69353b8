//! Two lanes to one receiver. Each sends the batch that waits, as long as there is one; no request of readings begins
//! while one of state is under way or ready; a lane of state in back-off holds nothing up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use frostguard_sync::api::{Down, UploadAnswer};
use frostguard_sync::wire::Lane;
use tokio::sync::{Notify, watch};

use super::Options;
use super::answer::{Failure, Verdict, judge};
use super::client::Client;
use super::meter::{self, Meter};
use super::port::{Port, Signals};
use super::shown::Shown;
use crate::backoff;
use crate::clock::Clock;
use crate::domain::MonoMs;
use crate::store::batches::StoredBatch;
use crate::store::link::Link;

/// A second rewind within this time means that a new epoch does not help: it waits, and is shown.
const REWIND_MS_MIN: i64 = 3_600_000;

pub(super) struct Session<P> {
    pub client: Client,
    pub port: Arc<P>,
    pub link: Link,
    pub shown: Shown,
    pub clock: Arc<dyn Clock>,
    pub interval: Duration,
    pub poll_interval: Duration,
    /// An answer named another configuration than the one in force.
    pub news: Notify,
    /// Some request had a success: what waits because the receiver was out of reach tries again.
    pub reached: watch::Sender<u64>,
    random: Arc<dyn Fn() -> u64 + Send + Sync>,
    signals: Arc<Signals>,
    meter: Mutex<Meter>,
    /// Lane 0 is under way or has something to send.
    is_state_busy: watch::Sender<bool>,
    rewound: Mutex<Option<MonoMs>>,
    /// New epochs begun. An answer to a batch of the epoch before says nothing about the batches of this one, which have
    /// the same numbers.
    rewinds: AtomicU64,
}

/// Tries of a body before the link counts as too slow for it and its rows go in smaller ones.
const SLOW_TRIES: u32 = 3;

/// Why a lane pauses.
#[derive(Debug, PartialEq, Eq)]
enum Pause {
    /// Nothing is left to send.
    Idle,
    BackOff {
        ms: u64,
        is_unreachable: bool,
    },
}

impl<P: Port> Session<P> {
    pub fn new(
        options: &Options,
        client: Client,
        link: Link,
        port: Arc<P>,
        signals: Arc<Signals>,
        shown: Shown,
    ) -> Self {
        Self {
            client,
            port,
            link,
            shown,
            clock: Arc::clone(&options.clock),
            interval: options.interval,
            poll_interval: options.poll,
            news: Notify::new(),
            reached: watch::Sender::new(0),
            random: Arc::clone(&options.random),
            signals,
            meter: Mutex::default(),
            // Until lane 0 has looked.
            is_state_busy: watch::Sender::new(true),
            rewound: Mutex::new(None),
            rewinds: AtomicU64::new(0),
        }
    }

    /// Sends a lane's batches for ever.
    pub async fn lane(&self, lane: Lane) -> Result<()> {
        let wake = match lane {
            Lane::State => &self.signals.state,
            Lane::Readings => &self.signals.readings,
        };
        let mut failures = 0;
        loop {
            let mut reached = self.reached.subscribe();
            let pause = self.drain(lane, &mut failures).await;
            if lane == Lane::State {
                self.is_state_busy.send_replace(false);
            }
            match pause? {
                Pause::Idle => {
                    tokio::select! {
                        () = wake.notified() => {}
                        () = tokio::time::sleep(self.interval) => {}
                    }
                }
                Pause::BackOff { ms, is_unreachable } => {
                    tokio::select! {
                        () = tokio::time::sleep(Duration::from_millis(ms)) => {}
                        _ = reached.changed(), if is_unreachable => {}
                    }
                }
            }
        }
    }

    /// One batch of each lane, where there is one.
    pub async fn last_try(&self) {
        for lane in [Lane::State, Lane::Readings] {
            match self.port.next_batch(lane, self.bytes_max()).await {
                Ok(Some(batch)) => {
                    if let Err(error) = self.send(&batch, &mut 0).await {
                        tracing::warn!(error = format!("{error:#}"), "failed to upload at the end");
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "failed to cut a batch at the end");
                }
            }
        }
    }

    /// Sends until nothing is left or a try fails.
    async fn drain(&self, lane: Lane, failures: &mut u32) -> Result<Pause> {
        loop {
            match lane {
                Lane::State => {
                    self.is_state_busy.send_replace(true);
                }
                Lane::Readings => {
                    let mut busy = self.is_state_busy.subscribe();
                    let _closed = busy.wait_for(|is_busy| !is_busy).await;
                }
            }
            let Some(batch) = self.port.next_batch(lane, self.bytes_max()).await? else {
                return Ok(Pause::Idle);
            };
            if let Some(pause) = self.send(&batch, failures).await? {
                return Ok(pause);
            }
        }
    }

    /// Sends a batch and does what its answer asks for; None: go on.
    async fn send(&self, batch: &StoredBatch, failures: &mut u32) -> Result<Option<Pause>> {
        let lane = batch.lane;
        // Entries ride on state only: readings in catch-up go many a second.
        let cursor = match lane {
            Lane::State => self.port.link().await?.map(|link| link.down_cursor),
            Lane::Readings => None,
        };
        let began = self.clock.mono();
        let rewinds = self.rewinds.load(Ordering::SeqCst);
        let answer = self.client.upload(lane, batch.body.clone(), cursor.as_deref()).await;
        let elapsed = Duration::from_millis((self.clock.mono().0 - began.0).max(0) as u64);
        if self.rewinds.load(Ordering::SeqCst) != rewinds {
            // The other lane's answer took this batch back meanwhile.
            return Ok(None);
        }
        match judge(batch.seq, &answer) {
            Verdict::Done(answer) => {
                self.done(batch, *answer, elapsed).await?;
                *failures = 0;
                return Ok(None);
            }
            Verdict::Rewind(reason) if self.may_rewind() => {
                tracing::error!(
                    batch.lane = lane.number(),
                    batch.seq = batch.seq,
                    "{reason}: beginning a new epoch"
                );
                self.shown.failed(Some(lane), reason);
                self.rewinds.fetch_add(1, Ordering::SeqCst);
                self.port.rewind(reason).await?;
                return Ok(None);
            }
            Verdict::TooLarge if batch.rows > 1 => {
                self.meter().too_large(batch.body.len());
                self.port.uncut(lane).await?;
            }
            Verdict::Future { now } if lane == Lane::Readings => self.port.refuted(now).await?,
            Verdict::StateFirst => self.signals.wake_state(),
            Verdict::Slow => {
                self.meter().lost(batch.body.len());
                // Whether the receiver has it is not known: if it does, it will say so (409), and the ids make what goes
                // again a no-op.
                if *failures >= SLOW_TRIES && batch.rows > 1 && batch.body.len() > meter::BODY_BYTES_MIN {
                    self.port.uncut(lane).await?;
                }
            }
            _ => {}
        }
        Ok(Some(self.back_off(batch, &answer, failures)))
    }

    fn back_off(
        &self,
        batch: &StoredBatch,
        answer: &Result<UploadAnswer, Failure>,
        failures: &mut u32,
    ) -> Pause {
        let problem = match answer {
            Ok(answer) => format!("batch {} was answered with {}", batch.seq, answer.applied_through),
            Err(failure) => failure.to_string(),
        };
        let (attempt, retry_after_ms, is_unreachable) = match judge(batch.seq, answer) {
            Verdict::Later { retry_after_ms, is_unreachable } => (*failures, retry_after_ms, is_unreachable),
            // The time or a smaller body may come at once; a lane that waits for state, when that is done.
            Verdict::Future { .. } | Verdict::StateFirst | Verdict::TooLarge | Verdict::Slow => {
                (*failures, None, false)
            }
            // A person must act.
            _ => (u32::MAX, None, false),
        };
        *failures = failures.saturating_add(1);
        let ms = backoff::delay_ms(attempt, (self.random)(), retry_after_ms);
        self.shown.failed(Some(batch.lane), &problem);
        tracing::warn!(
            batch.lane = batch.lane.number(),
            batch.seq = batch.seq,
            retry_ms = ms,
            "failed to upload batch {}: {problem}",
            batch.seq
        );
        Pause::BackOff { ms, is_unreachable }
    }

    async fn done(&self, batch: &StoredBatch, answer: UploadAnswer, elapsed: Duration) -> Result<()> {
        let UploadAnswer { refused, down, .. } = answer;
        for row in &refused {
            tracing::warn!(table = row.table, key = row.key, "the receiver refused a row: {}", row.reason);
        }
        self.port.acknowledge(batch.lane, batch.seq, refused).await?;
        self.meter().saw(batch.body.len(), elapsed);
        let bytes_per_s = self.meter().bytes_per_s();
        self.shown.set(|status| {
            status.bytes_per_s = bytes_per_s;
            let lane = status.lane(batch.lane);
            lane.batches += 1;
            lane.rows += u64::from(batch.rows);
            lane.body_bytes += batch.body.len() as u64;
            lane.failures = 0;
        });
        tracing::info!(
            batch.lane = batch.lane.number(),
            batch.seq = batch.seq,
            rows = batch.rows,
            bytes = batch.body.len(),
            "sent batch {}",
            batch.seq
        );
        self.heard(down).await
    }

    /// After a success: hands on what came down, and asks for a configuration that is not the one in force.
    pub async fn heard(&self, down: Down) -> Result<()> {
        let now = self.clock.mono();
        self.shown.set(|status| {
            status.last_contact = Some(now);
            status.problem = None;
        });
        self.reached.send_modify(|count| *count += 1);
        let etags = self.port.etags().await?;
        if !down.etag.is_empty() && down.etag != etags.current && Some(&down.etag) != etags.refused.as_ref() {
            self.news.notify_one();
        }
        let has_moved = !down.cursor.is_empty()
            && self.port.link().await?.is_some_and(|link| link.down_cursor != down.cursor);
        if has_moved || !down.alerts.is_empty() || !down.entries.is_empty() {
            self.port.take_down(down).await?;
        }
        Ok(())
    }

    fn may_rewind(&self) -> bool {
        let now = self.clock.mono();
        let mut rewound = self.rewound.lock().unwrap_or_else(PoisonError::into_inner);
        let may = rewound.is_none_or(|last| now.0 - last.0 >= REWIND_MS_MIN);
        if may {
            *rewound = Some(now);
        }
        may
    }

    fn bytes_max(&self) -> usize {
        self.meter().bytes_max()
    }

    fn meter(&self) -> std::sync::MutexGuard<'_, Meter> {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A delay before try `attempt` of something else than a batch.
    pub fn delay(&self, attempt: u32, retry_after_ms: Option<u64>) -> Duration {
        Duration::from_millis(backoff::delay_ms(attempt, (self.random)(), retry_after_ms))
    }

    /// 16 bytes that the receiver cannot have signed before.
    pub fn nonce(&self) -> [u8; 16] {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&(self.random)().to_be_bytes());
        nonce[8..].copy_from_slice(&(self.random)().to_be_bytes());
        nonce
    }
}
