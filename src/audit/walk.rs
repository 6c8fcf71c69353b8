//! Walking a chain: each link against the one before it, and against what its `event_logs` row shows.

use serde::Serialize;
use uuid::Uuid;

use super::{Entry, FIRST_PREVIOUS_HASH, event_types, verify_next};
use crate::domain::Epoch;

/// A link as it stands in a database or in an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub seq: u64,
    pub event_id: Uuid,
    pub canonical: Vec<u8>,
    /// None: the row is gone.
    pub row: Option<LinkRow>,
}

/// The columns of `event_logs` that the chain says something about. `description` is a sentence made for people and the
/// organization changes at enrolment: of them it says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkRow {
    pub actor_id: Option<Uuid>,
    pub actor_type: String,
    pub event_type: String,
    pub event_category: Option<String>,
    pub entity_type: String,
    pub entity_id: Option<Uuid>,
    pub description: Option<String>,
    /// JSON.
    pub payload: Option<String>,
    pub previous_hash: Option<String>,
    pub hash: String,
    /// Unix ms.
    pub occurred_ms: i64,
    /// The first of `old_values`, `new_values`, `ip_address`, `user_agent` that holds something: the hub leaves all four
    /// empty.
    pub surplus: Option<String>,
}

/// The place in a chain that is walked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    pub epoch: Epoch,
    /// Of the last good link; 0 before the first.
    pub seq: u64,
    /// Its hash.
    pub head: String,
}

/// What a walk found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub epochs: Vec<EpochReport>,
    /// Good rows of all epochs, up to the first broken one.
    pub good: u64,
    pub broken: Option<Broken>,
    /// Rows of `event_logs` that name no epoch of this hub: another writer's, of which the chain says nothing.
    pub foreign: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EpochReport {
    pub epoch: String,
    /// Why it began; an export does not say it.
    pub reason: Option<String>,
    /// Of what was looked at: 1, but in an export of a part.
    pub first_seq: u64,
    /// Good ones.
    pub rows: u64,
    /// Hash of its last row; 64 zeros where it has none.
    pub head: String,
}

/// The first thing that is not as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Broken {
    pub epoch: Option<String>,
    pub seq: Option<u64>,
    pub event_id: Option<Uuid>,
    /// Unix ms, as the row says.
    pub occurred_ms: Option<i64>,
    /// Fragments, each with the name of a column or of what is missing.
    pub differs: Vec<String>,
}

impl Walk {
    /// Before the first link of an epoch.
    pub fn begin(epoch: Epoch) -> Self {
        Self { epoch, seq: 0, head: FIRST_PREVIOUS_HASH.to_owned() }
    }

    /// Goes over a link; it is the new place where it is good. `Err`: what differs, each a fragment that names its column.
    pub fn step(&mut self, link: &Link) -> Result<Entry, Vec<String>> {
        let mut differs = Vec::new();
        if link.seq != self.seq + 1 {
            differs.push(format!("seq {} follows {}: rows between them are missing", link.seq, self.seq));
        }
        let Some(row) = &link.row else {
            differs.push("its event_logs row is missing".to_owned());
            return Err(differs);
        };
        if row.previous_hash.as_deref() != Some(self.head.as_str()) {
            let stored = row.previous_hash.as_deref().unwrap_or("empty");
            differs.push(format!("previous_hash is {stored}, the row before has {}", self.head));
        }
        let entry = match verify_next(&self.head, &link.canonical, &row.hash) {
            Ok(entry) => entry,
            Err(error) => {
                differs.push(format!("hash: {error}"));
                // What the columns say is told too, as far as the bytes can be read at all.
                match super::read(&link.canonical) {
                    Ok(entry) => entry,
                    Err(_) => return Err(differs),
                }
            }
        };
        compare(&entry, self.epoch, link.seq, row, &mut differs);
        if differs.is_empty() {
            self.seq = link.seq;
            self.head.clone_from(&row.hash);
            Ok(entry)
        } else {
            Err(differs)
        }
    }
}

fn compare(entry: &Entry, epoch: Epoch, seq: u64, row: &LinkRow, differs: &mut Vec<String>) {
    let mut check = |what: &str, stored: Option<&str>, sealed: &str| {
        if stored != Some(sealed) {
            differs.push(format!("{what} is {}, sealed was {sealed}", stored.unwrap_or("empty")));
        }
    };
    check("epoch", Some(&epoch.to_string()), &entry.epoch.to_string());
    check("seq", Some(&seq.to_string()), &entry.seq.to_string());
    check("event_type", Some(&row.event_type), &entry.event_type);
    check("actor_type", Some(&row.actor_type), entry.actor.as_str());
    check("entity_type", Some(&row.entity_type), entry.entity.as_str());
    check("payload", row.payload.as_deref(), &entry.row_payload());
    if let Some(known) = event_types::ALL.iter().find(|known| known.name == entry.event_type) {
        check("event_category", row.event_category.as_deref(), known.category);
    }
    // Empty once the person's profile was deleted.
    if let Some(actor) = row.actor_id.filter(|actor| Some(*actor) != entry.actor.id()) {
        let sealed = entry.actor.id().map_or("empty".to_owned(), |id| id.to_string());
        differs.push(format!("actor_id is {actor}, sealed was {sealed}"));
    }
    if let Some(column) = &row.surplus {
        differs.push(format!("{column} is not empty, the hub leaves it so"));
    }
}
