use anyhow::{Result, anyhow};
use ring::rand::{SecureRandom, SystemRandom};
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::backoff;
use crate::counters::Counters;
use crate::domain::Source;
use crate::frame::SourceEvent;

/// Tells the pipeline when a source comes and goes, once for each change.
pub struct Presence {
    source: Source,
    port: String,
    out: mpsc::Sender<SourceEvent>,
    counters: Counters,
    is_up: Option<bool>,
    /// Why it was down when that was logged last.
    logged: String,
}

impl Presence {
    pub fn new(source: Source, port: &str, out: mpsc::Sender<SourceEvent>, counters: Counters) -> Self {
        Self { source, port: port.to_owned(), out, counters, is_up: None, logged: String::new() }
    }

    pub async fn up(&mut self) -> Result<()> {
        if self.is_up != Some(true) {
            info!(source.port = %self.port, "{} is up", self.port);
            self.is_up = Some(true);
            self.logged.clear();
            self.send(SourceEvent::Up { source: self.source, port: self.port.clone() }).await?;
        }
        Ok(())
    }

    pub async fn down(&mut self, reason: &anyhow::Error) -> Result<()> {
        let reason = format!("{reason:#}");
        if self.is_news(&reason) {
            warn!(source.port = %self.port, error = %reason, "{} is down: {reason}", self.port);
        }
        if self.is_up != Some(false) {
            self.is_up = Some(false);
            let (source, port) = (self.source, self.port.clone());
            self.send(SourceEvent::Down { source, port, reason }).await?;
        }
        Ok(())
    }

    /// A source is tried again every few seconds: an adapter that stays unplugged would fill the journal.
    fn is_news(&mut self, reason: &str) -> bool {
        let is_news = self.logged != reason;
        if is_news {
            reason.clone_into(&mut self.logged);
        }
        is_news
    }

    /// Waits while the queue is full, and counts that: meanwhile a broker keeps what comes, a serial line only as much as
    /// the kernel's buffer holds. An error: the pipeline is gone.
    pub async fn send(&self, event: SourceEvent) -> Result<()> {
        if self.out.capacity() == 0 {
            self.counters.add("source.queue_full", &self.port, 1);
        }
        self.out
            .send(event)
            .await
            .map_err(|_| anyhow!("hand on what {} heard: the pipeline has ended", self.port))
    }
}

/// Waits between tries, longer and longer up to a most.
pub struct Retry {
    attempt: u32,
    most: Duration,
    random: SystemRandom,
}

impl Retry {
    pub fn new(most: Duration) -> Self {
        Self { attempt: 0, most, random: SystemRandom::new() }
    }

    pub fn succeeded(&mut self) {
        self.attempt = 0;
    }

    pub async fn pause(&mut self) {
        let mut bytes = [0; 8];
        // Without randomness the delay is the shortest one: nothing that matters here.
        let _ = self.random.fill(&mut bytes);
        let delay = backoff::delay_ms(self.attempt, u64::from_le_bytes(bytes), None);
        self.attempt = self.attempt.saturating_add(1);
        tokio::time::sleep(Duration::from_millis(delay).min(self.most)).await;
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[tokio::test]
    async fn a_reason_is_logged_once_until_the_source_was_up() {
        let (out, mut events) = mpsc::channel(8);
        let mut presence = Presence::new(Source::Serial, "radio", out, Counters::default());
        presence.down(&anyhow!("no such file")).await.unwrap();
        assert!(!presence.is_news("no such file"));
        assert!(presence.is_news("permission denied"));
        assert!(!presence.is_news("permission denied"));
        presence.up().await.unwrap();
        assert!(presence.is_news("permission denied"));
        assert!(matches!(events.try_recv(), Ok(SourceEvent::Down { .. })));
        assert!(matches!(events.try_recv(), Ok(SourceEvent::Up { .. })));
    }
}
