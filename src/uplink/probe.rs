//! The way to the receiver, tried by somebody who only looks.

use std::path::Path;

use anyhow::Result;

use super::answer::Failure;
use super::client::Client;
use super::credentials;
use crate::clock::CertificateTime;

/// What the receiver said of the hub's credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    Taken,
    /// It answers, and refuses the credential.
    Refused(String),
    /// It does not answer as a receiver does, or has a problem of its own.
    NoAnswer(String),
}

/// Unix ms by the receiver's clock, its signature not checked. `nonce`: 32 hex digits.
pub async fn time(url: &str, ca_file: Option<&Path>, time: CertificateTime, nonce: &str) -> Result<i64> {
    Ok(Client::new(url, ca_file, time, None)?.time(nonce).await?.now_ms)
}

/// Asks for the configuration as a poll does, and keeps nothing of the answer. `etag`: of the one the hub has. An error:
/// the credentials file cannot be used.
pub async fn credential(
    way: (&str, Option<&Path>, CertificateTime),
    folder: &Path,
    digest: [u8; 32],
    etag: &str,
    cursor: &str,
) -> Result<Shown> {
    let credentials = credentials::look(folder, digest)?;
    let (url, ca_file, time) = way;
    let client = Client::new(url, ca_file, time, Some(credentials.token()))?;
    Ok(match client.config(&[etag], cursor).await {
        Ok(_) => Shown::Taken,
        Err(failure @ Failure::Refused { status: 401, .. }) => Shown::Refused(failure.to_string()),
        Err(failure) => Shown::NoAnswer(failure.to_string()),
    })
}
