//! Polling: the configuration, and the receiver's signed time while nothing else vouches for the hub's clock.

use std::time::Duration;

use anyhow::Result;
use frostguard_sync::api::{Down, TimeAnswer};
use frostguard_sync::signing;

use super::answer::Failure;
use super::client::Polled;
use super::credentials::{from_hex, to_hex};
use super::port::Port;
use super::session::Session;
use crate::clock::trust::ReceiverTime;
use crate::domain::UnixMs;
use crate::store::snapshot::Outcome;

/// An answer that took longer says too little about the present.
const TIME_ROUND_MS_MAX: i64 = 10_000;
/// Between two requests for the time while the clock is not trusted.
const TIME_INTERVAL: Duration = Duration::from_mins(1);

impl<P: Port> Session<P> {
    /// Polls for ever: at least every `poll_interval`, and at once when an answer names another configuration.
    pub async fn poll(&self) -> Result<()> {
        let mut failures = 0;
        loop {
            let is_trusted = self.ask_time().await?;
            let mut pause = match self.poll_once().await? {
                Ok(()) => {
                    failures = 0;
                    self.poll_interval
                }
                Err(failure) => {
                    self.shown.failed(None, &failure.to_string());
                    tracing::warn!("failed to poll: {failure}");
                    let retry_after_ms = match failure {
                        Failure::Refused { retry_after_ms, .. } => retry_after_ms,
                        _ => None,
                    };
                    failures += 1;
                    self.delay(failures - 1, retry_after_ms)
                }
            };
            if !is_trusted {
                pause = pause.min(TIME_INTERVAL);
            }
            tokio::select! {
                () = self.news.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn poll_once(&self) -> Result<Result<(), Failure>> {
        let etags = self.port.etags().await?;
        let cursor = self.port.link().await?.map(|link| link.down_cursor).unwrap_or_default();
        // What was refused is not fetched again until it changes.
        let known: Vec<&str> =
            std::iter::once(&etags.current).chain(&etags.refused).map(String::as_str).collect();
        let answer = match self.client.config(&known, &cursor).await {
            Ok(Polled::Answer(answer)) => *answer,
            Ok(Polled::Unchanged) => {
                return self.heard(Down::default()).await.map(Ok);
            }
            Err(failure) => return Ok(Err(failure)),
        };
        if let Some(snapshot) = answer.snapshot {
            let etag = snapshot.etag.clone();
            match self.port.apply_snapshot(snapshot).await? {
                Outcome::Unchanged => {}
                Outcome::Applied(changes) => {
                    tracing::info!(etag = changes.etag, "took a new configuration");
                }
                Outcome::Refused { reason } => {
                    tracing::error!(etag, "refused the configuration from central: {reason}");
                    if let Err(failure) = self.client.config_refused(&etag, &reason).await {
                        tracing::warn!("failed to say that the configuration was refused: {failure}");
                    }
                }
            }
        }
        self.heard(answer.down).await.map(Ok)
    }

    /// Asks the time where nothing vouches for the clock; returns whether something did, before or now.
    async fn ask_time(&self) -> Result<bool> {
        if self.port.is_time_trusted().await? {
            return Ok(true);
        }
        let nonce = self.nonce();
        let asked = self.clock.mono();
        let answer = self.client.time(&to_hex(&nonce)).await;
        let answered = self.clock.mono();
        let result = answer.map_err(|failure| failure.to_string()).and_then(|answer| {
            let now = check_time(&answer, &nonce, &self.link.receiver_key)?;
            let took_ms = answered.0 - asked.0;
            if took_ms > TIME_ROUND_MS_MAX {
                return Err(format!("the answer took {took_ms} ms"));
            }
            Ok(ReceiverTime { now, asked, answered })
        });
        match result {
            Ok(time) => {
                self.port.receiver_time(time).await?;
                Ok(true)
            }
            Err(reason) => {
                tracing::warn!("failed to ask the receiver's time: {reason}");
                Ok(false)
            }
        }
    }
}

/// The time, if the pinned key signed it over this nonce.
fn check_time(answer: &TimeAnswer, nonce: &[u8; 16], key: &[u8; 32]) -> Result<UnixMs, String> {
    let message = signing::time_message(nonce, answer.now_ms);
    let is_signed =
        from_hex(&answer.signature).is_some_and(|signature| signing::verify(key, &message, &signature));
    if is_signed {
        Ok(UnixMs(answer.now_ms))
    } else {
        Err("its signature is not of the key pinned at enrolment".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{Ed25519KeyPair, KeyPair};

    use super::*;

    #[test]
    fn only_the_pinned_key_says_what_time_it_is() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[5; 32]).unwrap();
        let key: [u8; 32] = pair.public_key().as_ref().try_into().unwrap();
        let sign =
            |nonce: &[u8; 16], now_ms| to_hex(pair.sign(&signing::time_message(nonce, now_ms)).as_ref());
        let answer = |now_ms, signature: String| TimeAnswer { now_ms, signature };
        let nonce = [1; 16];
        assert_eq!(check_time(&answer(7, sign(&nonce, 7)), &nonce, &key), Ok(UnixMs(7)));
        for wrong in [answer(8, sign(&nonce, 7)), answer(7, sign(&[2; 16], 7)), answer(7, String::new())] {
            assert!(check_time(&wrong, &nonce, &key).is_err());
        }
        assert!(check_time(&answer(7, sign(&nonce, 7)), &nonce, &[9; 32]).is_err());
    }
}
