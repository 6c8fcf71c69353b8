//! The audit chain of a database, walked from end to end, and read out in pages. Only reads; memory holds one page.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::error::Result;
use super::{boots, epochs};
use crate::audit::event_types::EPOCH_BEGAN;
use crate::audit::walk::{Broken, EpochReport, Link, LinkRow, Report, Walk};
use crate::audit::{Entity, Entry, Payload};
use crate::clock::trust::BootReason;
use crate::domain::Epoch;
use crate::store::epochs::EpochRow;

/// Rows read at a time: about 1 MiB, and a transaction far shorter than the 5 s a reader may take.
const PAGE_ROWS: usize = 1_000;

/// Walks every epoch's chain in order, then looks for rows that should be in one. `known_head`: a hash noted elsewhere
/// earlier, which must be in a chain: a chain that was cut at its end shows it by nothing else.
pub fn verify(connection: &Connection, known_head: Option<&str>) -> Result<Report> {
    let mut report = Report::default();
    let mut heads: BTreeMap<Epoch, String> = BTreeMap::new();
    let mut is_head_known = false;
    for epoch in epochs::all(connection)? {
        let mut walk = Walk::begin(epoch.epoch);
        if let Some(broken) = check_former(&epoch, &heads) {
            report.broken = Some(broken);
            return Ok(report);
        }
        let outcome = walk_epoch(connection, &epoch, &mut walk, &mut |hash| {
            is_head_known |= known_head == Some(hash);
        })?;
        report.good += walk.seq;
        report.epochs.push(EpochReport {
            epoch: epoch.epoch.to_string(),
            reason: Some(epoch.reason.clone()),
            first_seq: 1,
            rows: walk.seq,
            head: walk.head.clone(),
        });
        heads.insert(epoch.epoch, walk.head);
        if outcome.is_some() {
            report.broken = outcome;
            return Ok(report);
        }
    }
    report.broken = missing(connection)?;
    if report.broken.is_none() && known_head.is_some() && !is_head_known {
        let differs = vec![
            "the head noted earlier is in no chain: rows at the end were cut off or written anew".to_owned(),
        ];
        report.broken = Some(Broken { differs, ..Broken::default() });
    }
    if report.broken.is_none() {
        report.broken = orphans(connection, &mut report.foreign)?;
    }
    Ok(report)
}

/// Rows of an epoch after `seq`, oldest first, at most a page.
pub fn page(connection: &Connection, epoch_no: u32, after: i64) -> Result<Vec<Link>> {
    let sql = format!("{SELECT} WHERE a.epoch_no = ?1 AND a.seq > ?2 ORDER BY a.seq LIMIT ?3");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement
        .query_map(params![epoch_no, after, PAGE_ROWS as i64], read)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(rows)
}

/// The first and last number of an epoch between two instants (Unix ms, the end not included).
pub fn bounds(
    connection: &Connection,
    epoch_no: u32,
    from_ms: i64,
    to_ms: i64,
) -> Result<Option<(i64, i64)>> {
    let sql = "SELECT min(a.seq), max(a.seq) FROM hub_audit AS a JOIN event_logs AS e ON e.id = a.event_id
        WHERE a.epoch_no = ?1 AND e.occurred_at >= ?2 AND e.occurred_at < ?3";
    let (lo, hi): (Option<i64>, Option<i64>) =
        connection.query_row(sql, params![epoch_no, from_ms, to_ms], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(lo.zip(hi))
}

const SELECT: &str = "SELECT a.seq, a.event_id, a.canonical, e.actor_id, e.actor_type, e.event_type,
    e.event_category, e.entity_type, e.entity_id, e.payload, e.previous_hash, e.hash, e.occurred_at,
    CASE WHEN e.old_values IS NOT NULL THEN 'old_values' WHEN e.new_values IS NOT NULL THEN 'new_values'
        WHEN e.ip_address IS NOT NULL THEN 'ip_address' WHEN e.user_agent IS NOT NULL THEN 'user_agent' END,
    e.description
    FROM hub_audit AS a LEFT JOIN event_logs AS e ON e.id = a.event_id";

fn read(row: &Row<'_>) -> rusqlite::Result<Link> {
    let id = |index| -> rusqlite::Result<Option<Uuid>> {
        Ok(row.get::<_, Option<Vec<u8>>>(index)?.and_then(|bytes| Uuid::from_slice(&bytes).ok()))
    };
    let hash: Option<String> = row.get(11)?;
    let stored = match hash {
        None => None,
        Some(hash) => Some(LinkRow {
            actor_id: id(3)?,
            actor_type: row.get(4)?,
            event_type: row.get(5)?,
            event_category: row.get(6)?,
            entity_type: row.get(7)?,
            entity_id: id(8)?,
            payload: row.get(9)?,
            previous_hash: row.get(10)?,
            hash,
            occurred_ms: row.get(12)?,
            surplus: row.get(13)?,
            description: row.get(14)?,
        }),
    };
    Ok(Link {
        seq: row.get::<_, i64>(0)? as u64,
        event_id: id(1)?.unwrap_or_default(),
        canonical: row.get(2)?,
        row: stored,
    })
}

/// The head an epoch names of the one before must be that chain's last; a former epoch that is not in this database (it
/// was made anew) cannot be looked at.
fn check_former(epoch: &EpochRow, heads: &BTreeMap<Epoch, String>) -> Option<Broken> {
    let former = epoch.former_epoch?;
    let head = heads.get(&former)?;
    let named = epoch.former_head.clone().unwrap_or_else(|| Walk::begin(former).head);
    if named == *head {
        return None;
    }
    let differs = vec![format!(
        "the chain of epoch {former} ends with {head}, the epoch after it names {named} as its last: rows at its end were cut off or added"
    )];
    Some(Broken { epoch: Some(former.to_string()), differs, ..Broken::default() })
}

fn walk_epoch(
    connection: &Connection,
    epoch: &EpochRow,
    walk: &mut Walk,
    saw: &mut dyn FnMut(&str),
) -> Result<Option<Broken>> {
    // Below every number, so that one that cannot be is found too.
    let mut after = i64::MIN;
    loop {
        // One state of the database for a page and what it is held against.
        let tx = connection.unchecked_transaction()?;
        let links = page(&tx, epoch.no, after)?;
        let Some(last) = links.last() else { break };
        after = last.seq as i64;
        let around = Around::load(&tx)?;
        for link in &links {
            let differs = match walk.step(link) {
                Ok(entry) => {
                    saw(&walk.head);
                    around.check(&tx, epoch, link, &entry)?
                }
                Err(differs) => differs,
            };
            if !differs.is_empty() {
                // Not counted as good: the link held, but a column beside it does not.
                walk.seq = walk.seq.min(link.seq.saturating_sub(1));
                return Ok(Some(Broken {
                    epoch: Some(epoch.epoch.to_string()),
                    seq: Some(link.seq),
                    event_id: Some(link.event_id),
                    occurred_ms: link.row.as_ref().map(|row| row.occurred_ms),
                    differs,
                }));
            }
        }
    }
    // The first row of an epoch is committed with or before whatever else is.
    let sql = "SELECT EXISTS (SELECT 1 FROM hub_boots WHERE first_epoch_no = ?1)
        OR EXISTS (SELECT 1 FROM hub_inputs WHERE epoch_no = ?1) OR EXISTS (SELECT 1 FROM hub_log WHERE epoch_no = ?1)";
    let is_gone = walk.seq == 0 && connection.query_row(sql, [epoch.no], |row| row.get(0))?;
    Ok(is_gone.then(|| Broken {
        epoch: Some(epoch.epoch.to_string()),
        differs: vec!["the hub ran in this epoch and all its rows are missing".to_owned()],
        ..Broken::default()
    }))
}

/// What the columns beside the chain are held against: small tables.
struct Around {
    units: BTreeMap<u32, Uuid>,
    devices: BTreeMap<u32, Uuid>,
    /// wall = mono + offset of the segments that are placed and never were refuted: rows of the others keep the time
    /// they were given first.
    offsets: BTreeMap<u32, i64>,
}

impl Around {
    fn load(connection: &Connection) -> Result<Self> {
        let segments = boots::all(connection)?;
        let refuted: BTreeSet<u32> = segments
            .iter()
            .filter(|segment| segment.boot.reason == BootReason::Refuted)
            .map(|segment| segment.no.saturating_sub(1))
            .collect();
        Ok(Self {
            units: numbered(connection, "SELECT no, unit_id FROM hub_units")?,
            devices: numbered(connection, "SELECT no, device_id FROM hub_devices")?,
            offsets: segments
                .iter()
                .filter(|segment| !refuted.contains(&segment.no))
                .filter_map(|segment| Some((segment.no, segment.offset_ms()?)))
                .collect(),
        })
    }

    fn check(
        &self,
        connection: &Connection,
        epoch: &EpochRow,
        link: &Link,
        entry: &Entry,
    ) -> Result<Vec<String>> {
        let mut differs = Vec::new();
        let Some(row) = &link.row else { return Ok(differs) };
        if link.seq == 1 {
            let former = epoch.former_epoch.zip(epoch.former_head.as_deref());
            let sealed = Payload::of_epoch(&epoch.reason, former);
            if entry.event_type != EPOCH_BEGAN.name || entry.payload != sealed {
                differs.push(format!(
                    "the first row of the epoch says {}, hub_epochs says {}",
                    entry.payload.as_str(),
                    sealed.as_str()
                ));
            }
        }
        if let Some(offset) = self.offsets.get(&entry.at.segment) {
            let sealed = entry.at.mono.0.saturating_add(*offset);
            if row.occurred_ms != sealed && !is_provisional(connection, link.event_id)? {
                differs.push(format!(
                    "occurred_at is {}, its place in boot {} gives {sealed}",
                    row.occurred_ms, entry.at.segment
                ));
            }
        }
        if let Some(stored) = row.entity_id.filter(|stored| !self.is_entity(*stored, entry)) {
            differs.push(format!("entity_id is {stored}, which is not what the row is about"));
        }
        let sealed_actor = entry.actor.id();
        if row.actor_id.is_none()
            && let Some(actor) = sealed_actor
            && connection
                .prepare_cached("SELECT 1 FROM profiles WHERE id = ?1")?
                .exists([actor.into_bytes()])?
        {
            differs.push(format!("actor_id is empty, sealed was {actor}, who is still known"));
        }
        Ok(differs)
    }

    /// Of an alert's rows it is the alert, which their payload names.
    fn is_entity(&self, stored: Uuid, entry: &Entry) -> bool {
        let known = match entry.entity {
            Entity::Unit(unit) => self.units.get(&unit.0),
            Entity::Device(device) => self.devices.get(&device.0),
            Entity::Hub | Entity::Boot(_) | Entity::Site => None,
        };
        let is_alert = || entry.payload.as_str().contains(&format!("\"alert\":\"{stored}\""));
        match (entry.entity, known) {
            // A number that this database no longer has.
            (Entity::Unit(_) | Entity::Device(_), None) => true,
            (_, known) => known == Some(&stored) || is_alert(),
        }
    }
}

fn numbered(connection: &Connection, sql: &str) -> Result<BTreeMap<u32, Uuid>> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, Uuid::from_bytes(row.get(1)?))))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(rows)
}

fn is_provisional(connection: &Connection, event: Uuid) -> Result<bool> {
    let sql = "SELECT 1 FROM hub_unplaced WHERE table_name = 'event_logs' AND row_id = ?1";
    Ok(connection.prepare_cached(sql)?.exists([event.into_bytes()])?)
}

/// Traces of rows that are gone: what hung on them is still there.
fn missing(connection: &Connection) -> Result<Option<Broken>> {
    for (sql, what) in [
        (
            "SELECT a.event_id, NULL FROM hub_audit AS a WHERE a.epoch_no NOT IN (SELECT no FROM hub_epochs) LIMIT 1",
            "its epoch is unknown to this database",
        ),
        (
            "SELECT row_id, NULL FROM hub_dirty WHERE table_name = 'event_logs'
                AND row_id NOT IN (SELECT id FROM event_logs) LIMIT 1",
            "the row waited to go up and is missing",
        ),
        (
            "SELECT row_id, NULL FROM hub_unplaced WHERE table_name = 'event_logs'
                AND row_id NOT IN (SELECT id FROM event_logs) LIMIT 1",
            "the row waited for its time and is missing",
        ),
        // An alert and the row of its beginning have one id.
        (
            "SELECT h.alert_id, a.triggered_at FROM hub_alerts AS h JOIN alerts AS a ON a.id = h.alert_id
                WHERE h.alert_id NOT IN (SELECT event_id FROM hub_audit) ORDER BY a.triggered_at LIMIT 1",
            "the row of the beginning of this alert is missing",
        ),
    ] {
        let found: Option<(Vec<u8>, Option<i64>)> =
            connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        if let Some((id, occurred_ms)) = found {
            let differs = vec![what.to_owned()];
            let event_id = Uuid::from_slice(&id).ok();
            return Ok(Some(Broken { event_id, occurred_ms, differs, ..Broken::default() }));
        }
    }
    Ok(None)
}

/// Rows of `event_logs` outside the chain: this hub's are a break, others' are counted.
fn orphans(connection: &Connection, foreign: &mut u64) -> Result<Option<Broken>> {
    let own: BTreeSet<String> =
        epochs::all(connection)?.iter().map(|epoch| epoch.epoch.to_string()).collect();
    let sql = "SELECT e.id, e.occurred_at,
            CASE WHEN json_valid(e.payload) THEN e.payload ->> '$.audit.epoch' END,
            CASE WHEN json_valid(e.payload) THEN e.payload ->> '$.audit.seq' END
        FROM event_logs AS e
        WHERE e.id > ?1 AND NOT EXISTS (SELECT 1 FROM hub_audit AS a WHERE a.event_id = e.id)
        ORDER BY e.id LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let mut after = Vec::new();
    loop {
        let mut rows = statement.query(params![after, PAGE_ROWS as i64])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            count += 1;
            after = row.get(0)?;
            let epoch: Option<String> = row.get::<_, rusqlite::types::Value>(2).map(text)?;
            if epoch.as_ref().is_none_or(|epoch| !own.contains(epoch)) {
                *foreign += 1;
                continue;
            }
            return Ok(Some(Broken {
                epoch,
                seq: text(row.get(3)?).and_then(|seq| seq.parse().ok()),
                event_id: Uuid::from_slice(&after).ok(),
                occurred_ms: row.get(1)?,
                differs: vec![
                    "the row is not in the chain: it was added, or its link was deleted".to_owned(),
                ],
            }));
        }
        if count < PAGE_ROWS {
            return Ok(None);
        }
    }
}

fn text(value: rusqlite::types::Value) -> Option<String> {
    match value {
        rusqlite::types::Value::Text(text) => Some(text),
        rusqlite::types::Value::Integer(number) => Some(number.to_string()),
        _ => None,
    }
}
