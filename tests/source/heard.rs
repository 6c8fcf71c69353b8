//! A running source and what it tells.

use std::sync::Arc;

use frostguard_hub::clock::TestClock;
use frostguard_hub::counters::Counters;
use frostguard_hub::domain::{MonoMs, UnixMs};
use frostguard_hub::frame::{AckToken, Frame, SourceEvent};
use frostguard_hub::source::{Acks, EVENTS_QUEUED_MAX, Source, SourceContext};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::PATIENCE;

/// Every source under test is the only one.
const NUMBER: u16 = 3;

pub struct Heard {
    events: mpsc::Receiver<SourceEvent>,
    acks: Acks,
    pub counters: Counters,
    stop: watch::Sender<bool>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Heard {
    pub fn start(source: impl Source) -> Self {
        let (out, events) = mpsc::channel(EVENTS_QUEUED_MAX);
        let (stop, shutdown) = watch::channel(false);
        let (mut acks, counters) = (Acks::default(), Counters::default());
        let context = SourceContext {
            number: NUMBER,
            out,
            acks: acks.open(NUMBER),
            clock: Arc::new(TestClock::new(MonoMs(77), UnixMs(0))),
            counters: counters.clone(),
            shutdown,
        };
        let task = tokio::spawn(source.run(context));
        Self { events, acks, counters, stop, task }
    }

    /// The next event; a source that keeps silent fails the test.
    pub async fn next(&mut self) -> SourceEvent {
        let event = timeout(PATIENCE, self.events.recv()).await.expect("the source says something in time");
        event.expect("the source runs")
    }

    /// What has been said and not been taken.
    pub fn waiting(&self) -> usize {
        self.events.len()
    }

    pub async fn up(&mut self) {
        let event = self.next().await;
        assert!(matches!(event, SourceEvent::Up { .. }), "{event:?} where it should be up");
    }

    /// The reason.
    pub async fn down(&mut self) -> String {
        match self.next().await {
            SourceEvent::Down { reason, .. } => reason,
            event => panic!("{event:?} where it should be down"),
        }
    }

    pub async fn frame(&mut self) -> Frame {
        match self.next().await {
            SourceEvent::Frame(frame) => *frame,
            event => panic!("{event:?} where a frame should come"),
        }
    }

    pub fn release(&self, token: Option<AckToken>) {
        self.acks.release(token.expect("the frame waits for an acknowledgement"));
    }

    pub fn count(&self, name: &str) -> u64 {
        self.counters.snapshot().get(name).copied().unwrap_or_default()
    }

    /// Stops it in order; gives what it said last.
    pub async fn stop(mut self) -> Vec<SourceEvent> {
        self.stop.send(true).expect("the source runs");
        let mut rest = Vec::new();
        while let Some(event) = timeout(PATIENCE, self.events.recv()).await.expect("the source stops in time")
        {
            rest.push(event);
        }
        self.task.await.expect("no panic").expect("no error");
        rest
    }
}
