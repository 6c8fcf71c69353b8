//! An export of the chain as JSON lines, which can be verified by itself, wherever it went.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::event_types::EPOCH_BEGAN;
use super::walk::{Broken, EpochReport, Link, LinkRow, Report, Walk};
use super::{Entry, read};
use crate::domain::Epoch;

/// A row of the chain as one JSON object. The names are those of an export: never change them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub epoch: String,
    pub seq: u64,
    /// RFC 3339 in the site's zone; for people.
    pub time: String,
    /// Unix ms.
    pub time_ms: i64,
    pub id: Uuid,
    pub actor: String,
    pub actor_id: Option<Uuid>,
    pub event_type: String,
    pub category: Option<String>,
    pub entity: String,
    pub entity_id: Option<Uuid>,
    pub description: Option<String>,
    /// The payload's object; text where it is no JSON.
    pub payload: Value,
    pub previous_hash: Option<String>,
    pub hash: String,
    /// What was hashed, hexadecimal.
    pub canonical: String,
}

impl Line {
    /// `time`: of the row, as people read it. None: the link has no row.
    pub fn of(epoch: Epoch, link: &Link, time: String) -> Option<Self> {
        let row = link.row.as_ref()?;
        let payload = row.payload.as_deref().map_or(Value::Null, |text| {
            serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
        });
        Some(Self {
            epoch: epoch.to_string(),
            seq: link.seq,
            time,
            time_ms: row.occurred_ms,
            id: link.event_id,
            actor: row.actor_type.clone(),
            actor_id: row.actor_id,
            event_type: row.event_type.clone(),
            category: row.event_category.clone(),
            entity: row.entity_type.clone(),
            entity_id: row.entity_id,
            description: row.description.clone(),
            payload,
            previous_hash: row.previous_hash.clone(),
            hash: row.hash.clone(),
            canonical: frostguard_sync::ids::hex(&link.canonical),
        })
    }

    fn link(&self) -> Result<(Epoch, Link), String> {
        let epoch = unhex(&self.epoch)
            .and_then(|bytes| <[u8; 16]>::try_from(bytes).ok())
            .ok_or_else(|| format!("{:?} is no epoch", self.epoch))?;
        let canonical = unhex(&self.canonical).ok_or_else(|| "canonical is not hexadecimal".to_owned())?;
        // JSON does not keep the order of fields, which the sealed text has.
        let sealed = read(&canonical).ok().map(|entry| entry.row_payload());
        let is_same = sealed
            .as_deref()
            .is_some_and(|text| serde_json::from_str::<Value>(text).is_ok_and(|value| value == self.payload));
        let payload = sealed.filter(|_| is_same).unwrap_or_else(|| self.payload.to_string());
        let row = LinkRow {
            actor_id: self.actor_id,
            actor_type: self.actor.clone(),
            event_type: self.event_type.clone(),
            event_category: self.category.clone(),
            entity_type: self.entity.clone(),
            entity_id: self.entity_id,
            description: self.description.clone(),
            payload: Some(payload),
            previous_hash: self.previous_hash.clone(),
            hash: self.hash.clone(),
            occurred_ms: self.time_ms,
            surplus: None,
        };
        Ok((Epoch(epoch), Link { seq: self.seq, event_id: self.id, canonical, row: Some(row) }))
    }
}

/// The walk over an export, a line at a time.
#[derive(Clone, Debug, Default)]
pub struct ExportWalk {
    walk: Option<(Walk, u64)>,
    /// What is good so far; `finish` adds the epoch at hand.
    report: Report,
    lines: u64,
}

impl ExportWalk {
    /// Takes a line, without its end. False: it is broken, and nothing after it is looked at.
    pub fn take(&mut self, line: &str) -> bool {
        self.lines += 1;
        if self.report.broken.is_some() {
            return false;
        }
        self.report.broken = match serde_json::from_str::<Line>(line) {
            Ok(line) => self.step(&line),
            Err(error) => Some(self.unreadable(format!("is no line of an export: {error}"))),
        };
        self.report.broken.is_none()
    }

    /// What was found. `known_head`: a hash noted elsewhere, with which the export must end.
    pub fn finish(mut self, known_head: Option<&str>) -> Report {
        self.close_epoch();
        let head = self.report.epochs.last().map(|epoch| epoch.head.as_str());
        if let Some(known) = known_head.filter(|known| head != Some(*known))
            && self.report.broken.is_none()
        {
            let differs = vec![format!(
                "the export ends with {}, the head noted earlier is {known}",
                head.unwrap_or("nothing")
            )];
            self.report.broken = Some(Broken { differs, ..Broken::default() });
        }
        self.report
    }

    fn step(&mut self, line: &Line) -> Option<Broken> {
        let (epoch, link) = match line.link() {
            Ok(found) => found,
            Err(reason) => return Some(self.unreadable(reason)),
        };
        let former = match &self.walk {
            Some((walk, _)) if walk.epoch == epoch => None,
            _ => self.close_epoch(),
        };
        // An export of a part begins anywhere: what its first line follows is taken as it says.
        let (walk, _) = self.walk.get_or_insert_with(|| {
            let mut walk = Walk::begin(epoch);
            if line.seq > 1 {
                walk.seq = line.seq - 1;
                walk.head = line.previous_hash.clone().unwrap_or_default();
            }
            (walk, line.seq)
        });
        let differs = match walk.step(&link) {
            Ok(entry) => match former.filter(|former| is_cut(former, &entry)) {
                Some(former) => vec![format!(
                    "the epoch before it ends with {}, this row names another head: rows are missing",
                    former.head
                )],
                None => {
                    self.report.good += 1;
                    return None;
                }
            },
            Err(differs) => differs,
        };
        Some(Broken {
            epoch: Some(line.epoch.clone()),
            seq: Some(line.seq),
            event_id: Some(line.id),
            occurred_ms: Some(line.time_ms),
            differs,
        })
    }

    fn close_epoch(&mut self) -> Option<Walk> {
        let (walk, first_seq) = self.walk.take()?;
        self.report.epochs.push(EpochReport {
            epoch: walk.epoch.to_string(),
            reason: None,
            first_seq,
            rows: (walk.seq + 1).saturating_sub(first_seq.max(1)),
            head: walk.head.clone(),
        });
        Some(walk)
    }

    fn unreadable(&self, reason: String) -> Broken {
        Broken { differs: vec![format!("line {} {reason}", self.lines)], ..Broken::default() }
    }
}

/// True where an epoch's first row names `former`, and another head of it.
fn is_cut(former: &Walk, entry: &Entry) -> bool {
    let Ok(payload) = serde_json::from_str::<Value>(entry.payload.as_str()) else { return false };
    entry.event_type == EPOCH_BEGAN.name
        && payload["former_epoch"] == former.epoch.to_string()
        && payload["former_head"] != former.head
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let nibble = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.chunks_exact(2).map(|pair| Some(nibble(pair[0])? << 4 | nibble(pair[1])?)).collect()
}
