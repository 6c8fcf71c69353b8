//! Enrolment: a one-time code becomes credentials and a place in the central database.

use std::future::Future;
use std::path::Path;

use anyhow::{Context, Result, bail};
use frostguard_sync::api::{EnrolAnswer, EnrolRequest, Problem, ProblemKind};
use ring::rand::SecureRandom;

use super::answer::Failure;
use super::client::{Client, check_url};
use super::credentials::{self, Credentials, from_hex};
use crate::clock::CertificateTime;
use crate::config::Secret;
use crate::store::link::{Enrolled, Local};

/// What a person asks for.
pub struct Enrolment<'a> {
    pub url: &'a str,
    /// From a prompt, standard input or a file, never an argument.
    pub code: Secret,
    /// Pairs of a local unit's id or name and central's id or name.
    pub unit_map: Vec<(String, String)>,
    /// Have the receiver make the units that central does not have.
    pub create_units: bool,
    /// Replace an earlier enrolment.
    pub replace: bool,
    pub state_dir: &'a Path,
    pub ca_file: Option<&'a Path>,
    pub certificate_time: CertificateTime,
    pub random: &'a (dyn SecureRandom + Sync),
}

/// What the store is to commit: the arguments of `store::link::enrol`.
#[derive(Clone)]
pub struct Commit {
    /// Without the token, which the database never sees.
    pub answer: EnrolAnswer,
    pub receiver_url: String,
    pub receiver_key: [u8; 32],
    pub credential_digest: [u8; 32],
    pub unit_map: Vec<(String, String)>,
}

/// The store, whoever owns its writing connection.
pub trait EnrolPort: Send + Sync {
    /// `store::link::find(..).is_some()` and `store::link::local`.
    fn local(&self) -> impl Future<Output = Result<(bool, Local)>> + Send;

    /// `store::link::enrol` in a transaction of its own, with `batches::rewind` and `epochs::begin_new` where it asks for
    /// them, an audit row with the ids, and the rules told of the new configuration.
    fn commit(&self, commit: Commit) -> impl Future<Output = Result<Enrolled>> + Send;
}

/// Enrols. A failure leaves the hub as it was; only a code that the receiver took is used up.
pub async fn enrol(port: &impl EnrolPort, enrolment: Enrolment<'_>) -> Result<Enrolled> {
    let receiver_url = check_url(enrolment.url)?;
    let (is_enrolled, local) = port.local().await?;
    if is_enrolled && !enrolment.replace {
        bail!("the hub is enrolled already; --replace ends the earlier enrolment");
    }
    let client = Client::new(&receiver_url, enrolment.ca_file, enrolment.certificate_time.clone(), None)?;
    let credentials = Credentials::generate(enrolment.random)?;
    let request = request(&enrolment, &local, credentials.public_key()?);
    let mut answer = client.enrol(&request).await.map_err(|failure| explain(&failure))?;
    let receiver_key = from_hex(&answer.receiver_key)
        .and_then(|key| <[u8; 32]>::try_from(key).ok())
        .context("the receiver's key is not 64 hex digits")?;
    let credentials = credentials.with_token(Secret::new(std::mem::take(&mut answer.token)));
    let credential_digest = credentials.write_new(enrolment.state_dir)?;
    let commit =
        Commit { answer, receiver_url, receiver_key, credential_digest, unit_map: enrolment.unit_map };
    match port.commit(commit).await {
        Ok(enrolled) => {
            credentials::take_force(enrolment.state_dir)?;
            Ok(enrolled)
        }
        // The new file stays: if the commit went through after all, its digest says so when the uplink begins; else it
        // is deleted then.
        Err(error) => {
            Err(error
                .context("the receiver took the code, the hub did not take the answer; ask for a new code"))
        }
    }
}

fn request(enrolment: &Enrolment<'_>, local: &Local, public_key: String) -> EnrolRequest {
    let is_mapped = |name: &str, id: &str| {
        enrolment.unit_map.iter().any(|(key, _)| key == name || key.eq_ignore_ascii_case(id))
    };
    let unmapped = local.units.iter().filter(|unit| !is_mapped(&unit.name, &unit.id.to_string()));
    EnrolRequest {
        code: enrolment.code.reveal().to_owned(),
        public_key,
        mac_address: local.mac_address.clone(),
        firmware_version: env!("CARGO_PKG_VERSION").to_owned(),
        oldest_reading_ms: local.oldest_reading.map(|at| at.0),
        reading_count: local.reading_count,
        units: unmapped.map(|unit| unit.to_request(enrolment.create_units)).collect(),
        create_units: enrolment.create_units,
        device_euis: local.device_euis.clone(),
        replace: enrolment.replace,
    }
}

fn explain(failure: &Failure) -> anyhow::Error {
    let Failure::Refused { problem: Some(problem), .. } = failure else {
        return anyhow::anyhow!("{failure}");
    };
    let Problem { kind, detail, central_units, .. } = problem.as_ref();
    match kind {
        ProblemKind::EnrolConflict if !central_units.is_empty() => {
            let units: Vec<String> = central_units
                .iter()
                .map(|(id, name, unit_type)| format!("{name:?} ({unit_type}, {id})"))
                .collect();
            anyhow::anyhow!(
                "{detail}; central's units of the site: {}; name pairs in a map file, or let the receiver make units with \
                 --create-units (the code stays good)",
                units.join(", ")
            )
        }
        _ => anyhow::anyhow!("{detail}"),
    }
}
