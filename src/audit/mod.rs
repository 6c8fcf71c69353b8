//! The audit chain: canonical bytes of what happened, each hashed over the one before.
//!
//! A chain belongs to one epoch. The canonical form holds nothing that an enrolment or the placement of a boot changes
//! later (no wall time, no organization, no UUID of a site, an area, a unit or the hub), so a row stays what was hashed
//! while the columns around it follow.

pub mod event_types;
pub mod export;
#[cfg(test)]
mod tests;
pub mod walk;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::domain::{DeviceNo, Epoch, Stamp, UnitNo};
use frostguard_sync::ids::sha256;

pub use event_types::EventType;

/// Version of the canonical form; it begins with this byte. A new form gets a new number, the old ones stay readable.
pub const CANONICAL_VERSION: u8 = 1;
/// `previous_hash` of the first row of an epoch.
pub const FIRST_PREVIOUS_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// Under this key epoch, seq and what else the columns lack stand in the row's payload.
const PLACE_KEY: &str = "audit";

/// What is hashed, in the order in which it is written (postcard). Never change it: add a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub epoch: Epoch,
    /// Gapless within the epoch, from 1.
    pub seq: u64,
    /// When: boot segment and monotonic milliseconds.
    pub at: Stamp,
    pub actor: Actor,
    /// `EventType::name`.
    pub event_type: String,
    pub entity: Entity,
    pub payload: Payload,
}

/// Who did it. The order is frozen: add at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Actor {
    Hub,
    /// A profile's id.
    Person(Uuid),
    Central,
    /// Somebody at the hub's command line.
    Installer,
}

/// What it happened to, by its small number inside this hub. The order is frozen: add at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entity {
    Hub,
    Unit(UnitNo),
    Device(DeviceNo),
    /// `hub_boots.segment`.
    Boot(u32),
    Site,
}

/// A JSON object as text; its fields stay in the order in which they were given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload(String);

/// A row of the chain: what `hub_audit.canonical` and `event_logs.hash` hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    pub canonical: Vec<u8>,
    /// SHA-256, 64 lower-case hex digits.
    pub hash: String,
}

/// A break of the chain, or bytes of another build.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    #[error(
        "audit row does not follow from the one before it: its hash is {stored}, its content gives {computed}"
    )]
    Broken { stored: String, computed: String },
    #[error("audit row has version {0} of the canonical form, this build reads {CANONICAL_VERSION}")]
    Version(u8),
    #[error("audit row cannot be read: {0}")]
    Unreadable(String),
}

/// Appends to the chain. `previous`: the hash of the row before, or `FIRST_PREVIOUS_HASH`.
pub fn seal(previous: &str, entry: &Entry) -> Sealed {
    let mut canonical = vec![CANONICAL_VERSION];
    canonical.extend(postcard::to_allocvec(entry).expect("an entry serializes: plain data of known lengths"));
    let hash = chain_hash(previous, &canonical);
    Sealed { canonical, hash }
}

/// Checks that a row follows from the hash before it, and reads it. The caller checks that `seq` has no gap.
pub fn verify_next(previous_hash: &str, canonical: &[u8], hash: &str) -> Result<Entry, AuditError> {
    let computed = chain_hash(previous_hash, canonical);
    if computed != hash {
        return Err(AuditError::Broken { stored: hash.to_owned(), computed });
    }
    read(canonical)
}

/// Reads canonical bytes without checking the chain.
pub fn read(canonical: &[u8]) -> Result<Entry, AuditError> {
    let (&version, body) =
        canonical.split_first().ok_or_else(|| AuditError::Unreadable("it is empty".into()))?;
    if version != CANONICAL_VERSION {
        return Err(AuditError::Version(version));
    }
    match postcard::take_from_bytes(body) {
        Ok((entry, [])) => Ok(entry),
        Ok((_, rest)) => Err(AuditError::Unreadable(format!("{} bytes too many", rest.len()))),
        Err(error) => Err(AuditError::Unreadable(error.to_string())),
    }
}

fn chain_hash(previous: &str, canonical: &[u8]) -> String {
    use std::fmt::Write as _;

    sha256(&[previous.as_bytes(), canonical]).iter().fold(String::with_capacity(64), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes what is written");
        hex
    })
}

impl Entry {
    /// `event_logs.payload`: the payload, with epoch, seq, boot, monotonic time and the entity's number in front, so
    /// that whoever has only the row can build the canonical form from it.
    pub fn row_payload(&self) -> String {
        let place = format!(
            "{{\"{PLACE_KEY}\":{{\"epoch\":\"{}\",\"seq\":{},\"segment\":{},\"mono_ms\":{},\"entity_no\":{}}}",
            self.epoch,
            self.seq,
            self.at.segment,
            self.at.mono.0,
            self.entity.no()
        );
        let fields = self.payload.as_str().strip_prefix('{').unwrap_or("}");
        let separator = if fields == "}" { "" } else { "," };
        format!("{place}{separator}{fields}")
    }
}

impl Actor {
    /// `event_logs.actor_type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Actor::Hub => "hub",
            Actor::Person(_) => "user",
            Actor::Central => "central",
            Actor::Installer => "installer",
        }
    }

    /// `event_logs.actor_id`.
    pub fn id(self) -> Option<Uuid> {
        match self {
            Actor::Person(id) => Some(id),
            _ => None,
        }
    }
}

impl Entity {
    /// `event_logs.entity_type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Entity::Hub => "hub",
            Entity::Unit(_) => "unit",
            Entity::Device(_) => "device",
            Entity::Boot(_) => "boot",
            Entity::Site => "site",
        }
    }

    fn no(self) -> u32 {
        match self {
            Entity::Hub | Entity::Site => 0,
            Entity::Unit(UnitNo(no)) | Entity::Device(DeviceNo(no)) | Entity::Boot(no) => no,
        }
    }
}

impl Payload {
    /// `{}` or the fields in this order; the name `audit` is taken by the row.
    pub fn of<'a>(fields: impl IntoIterator<Item = (&'a str, Value)>) -> Self {
        let mut text = String::from("{");
        for (name, value) in fields {
            debug_assert_ne!(name, PLACE_KEY, "the row's own place");
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(&Value::from(name).to_string());
            text.push(':');
            text.push_str(&value.to_string());
        }
        text.push('}');
        Self(text)
    }

    /// Of a change of a unit's state; the central report of monitoring gaps reads these names.
    pub fn of_state_change(
        machine: &str,
        from_status: &str,
        to_status: &str,
        shown: &str,
        reason: &str,
    ) -> Self {
        Self::of([
            ("from_status", from_status.into()),
            ("to_status", to_status.into()),
            ("reason", reason.into()),
            ("machine", machine.into()),
            ("shown", shown.into()),
        ])
    }

    /// Of the first row of an epoch. `former`: the epoch before it and the last head known of its chain.
    pub fn of_epoch(reason: &str, former: Option<(Epoch, &str)>) -> Self {
        Self::of([
            ("reason", reason.into()),
            ("former_epoch", former.map(|(epoch, _)| epoch.to_string()).into()),
            ("former_head", former.map(|(_, head)| head).into()),
        ])
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}
