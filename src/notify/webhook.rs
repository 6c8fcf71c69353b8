//! Webhooks: a POST of JSON (`payload.rs` has its shape) for every message, signed so that the receiver knows the hub.
//!
//! | header | value |
//! |---|---|
//! | `Content-Type` | `application/json` |
//! | `Idempotency-Key` | the message's id: the same when it is sent again, so that it can be taken once |
//! | `FrostGuard-Signature` | `t=<seconds>,v1=<hex>`; `id=<message id>,v1=<hex>` while the hub does not trust its clock |
//!
//! To verify: take the text between the first `=` and the `,` of `FrostGuard-Signature`, append a dot and the body's
//! bytes as they came, compute HMAC-SHA256 (RFC 2104) over that with the secret's first line as the key, and compare its
//! 64 lower-case hex digits with what follows `v1=` in constant time.
//!
//! `t` is when the message was made (Unix seconds), not when it was sent: an alarm that waited for the network is still
//! one. Refuse a repeat by the id, not by its age.

use std::time::Duration;

use anyhow::{Context, Result};
use frostguard_sync::ids;
use reqwest::{Response, StatusCode, Url};
use ring::hmac;

use super::payload::{Payload, one_line};
use super::{Channel, Failure, Message, Notifier, Receipt};
use crate::clock::CertificateTime;
use crate::config::{Secret, WebhookSection};
use crate::tls;

/// Connecting and TLS over a slow mobile link.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// A receiver that works through the call before it answers; others wait behind it.
const REQUEST_MAX: Duration = Duration::from_secs(30);
/// A message merged of a hundred alerts has 50 KiB; receivers commonly take a megabyte.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Of an answer only the first words are shown.
const ANSWER_BYTES_MAX: usize = 4_096;
const ANSWER_CHARS_SHOWN: usize = 200;

pub struct Webhook {
    config: WebhookSection,
    time: CertificateTime,
}

impl Webhook {
    /// `time` judges the receiver's certificate.
    pub fn new(config: WebhookSection, time: CertificateTime) -> Self {
        Self { config, time }
    }

    /// Secret and authorities are read anew for each message, so that a renewed one needs no restart.
    fn request(&self, message: &Message) -> Result<reqwest::RequestBuilder> {
        let config = &self.config;
        let secret = Secret::read(&config.secret_file)?;
        // Not repeated in errors: a path or query often holds a token.
        let url = Url::parse(&config.url).context("read the webhook's url")?;
        let body = serde_json::to_vec(&Payload::from(message)).context("write the message as JSON")?;
        anyhow::ensure!(body.len() <= BODY_BYTES_MAX, "the message has more than {BODY_BYTES_MAX} bytes");
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::client_config(config.ca_file.as_deref(), self.time.clone())?)
            .user_agent(concat!("frostguard-hub/", env!("CARGO_PKG_VERSION")))
            // Whoever answers may not send the call elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_MAX)
            .timeout(REQUEST_MAX)
            .build()
            .context("set up HTTP")?;
        Ok(http
            .post(url)
            .header("Content-Type", "application/json")
            .header("Idempotency-Key", message.id.to_string())
            .header("FrostGuard-Signature", signature(&secret, message, &body))
            .body(body))
    }
}

impl Notifier for Webhook {
    fn channel(&self) -> Channel {
        Channel::Webhook
    }

    fn name(&self) -> &str {
        &self.config.name
    }

    async fn deliver(&mut self, message: &Message) -> Result<Receipt, Failure> {
        let request = self.request(message).map_err(|error| Failure::Later(format!("{error:#}")))?;
        let response = request.send().await.map_err(|error| {
            let error = anyhow::Error::new(error.without_url());
            Failure::Later(format!("{error:#}"))
        })?;
        let status = response.status();
        let answer = first_words(response).await;
        let said = if answer.is_empty() { status.to_string() } else { format!("{status}: {answer}") };
        match judge(status) {
            Verdict::Delivered => Ok(Receipt { external_id: None, is_delivered: true, detail: said }),
            Verdict::Later(remedy) => Err(Failure::Later(format!("{said}{remedy}"))),
            Verdict::Never => Err(Failure::Never(said)),
        }
    }
}

/// The value of `FrostGuard-Signature` for this body.
fn signature(secret: &Secret, message: &Message, body: &[u8]) -> String {
    let (name, stamp) = match message.made_ms {
        Some(ms) => ("t", ms.div_euclid(1_000).to_string()),
        None => ("id", message.id.to_string()),
    };
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes()));
    context.update(stamp.as_bytes());
    context.update(b".");
    context.update(body);
    format!("{name}={stamp},v1={}", ids::hex(context.sign().as_ref()))
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Delivered,
    /// With the remedy, to be appended.
    Later(&'static str),
    Never,
}

/// What a person can mend at the receiver or in the configuration is worth the few retries an alarm has; only what
/// speaks of this very message, or of a hook that was taken away on purpose (410), is final.
fn judge(status: StatusCode) -> Verdict {
    match status.as_u16() {
        200..=299 => Verdict::Delivered,
        300..=399 => Verdict::Later("; redirects are not followed: configure the url they lead to"),
        401 | 403 => Verdict::Later("; the receiver must take this url and this secret's signature"),
        404 | 405 => Verdict::Later("; does the url lead to a hook that takes POST?"),
        407 | 408 | 421 | 423 | 425 | 429 | 500..=599 => Verdict::Later(""),
        _ => Verdict::Never,
    }
}

/// What the receiver says, for people; an answer that breaks off has said what it said.
async fn first_words(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = ANSWER_BYTES_MAX - bytes.len();
        bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if bytes.len() == ANSWER_BYTES_MAX {
            break;
        }
    }
    one_line(&String::from_utf8_lossy(&bytes), ANSWER_CHARS_SHOWN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::payload::tests::call;

    #[test]
    fn signatures_are_frozen() {
        let secret = Secret::new("cold chain".into());
        let mut message = call();
        assert_eq!(
            signature(&secret, &message, b"{}"),
            "t=1784367855,v1=9fbb49d2925786a1a45d1cb08a1385879ad38804ad79ba4820feb802ec16efd3"
        );
        message.made_ms = None;
        assert_eq!(
            signature(&secret, &message, b"{}"),
            "id=01890a5d-ac96-774b-bcce-b302099a8057,v1=597ed28b52ff8e958b44fabf42b30e60928ee54f76d4076c1117a8c8e35f4800"
        );
    }

    #[test]
    fn what_can_be_mended_is_tried_again() {
        for (status, want) in [
            (200, "delivered"),
            (204, "delivered"),
            (302, "later"),
            (400, "never"),
            (401, "later"),
            (403, "later"),
            (404, "later"),
            (408, "later"),
            (410, "never"),
            (413, "never"),
            (422, "never"),
            (429, "later"),
            (500, "later"),
            (503, "later"),
        ] {
            let got = match judge(StatusCode::from_u16(status).unwrap()) {
                Verdict::Delivered => "delivered",
                Verdict::Later(_) => "later",
                Verdict::Never => "never",
            };
            assert_eq!(got, want, "{status}");
        }
    }
}
