//! `hub_link` and the transaction of an enrolment: what was local takes the ids that central gave it.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::error::{Result, StoreError};
use super::snapshot::{self, Changes, Moment, Outcome, all_ids};
use super::snapshot_check::{of, text};
use super::{renames, rows, snapshots, tables};
use crate::domain::UnixMs;
use frostguard_sync::api::{EnrolAnswer, EnrolUnit, Snapshot};

/// The enrolment. Token and private key stand in the credentials file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub hub_id: Uuid,
    pub site_id: Uuid,
    pub organization_id: Uuid,
    pub receiver_url: String,
    /// Ed25519, pinned.
    pub receiver_key: [u8; 32],
    /// SHA-256 of the credentials file.
    pub credential_digest: [u8; 32],
    /// Readings before it are never sent.
    pub history_from: UnixMs,
    /// Where central's entries were read to.
    pub down_cursor: String,
}

/// The enrolment; None before it.
pub fn find(connection: &Connection) -> Result<Option<Link>> {
    let sql = "SELECT hub_id, site_id, organization_id, receiver_url, receiver_key, credential_digest, history_from_ms,
        down_cursor FROM hub_link WHERE no = 1";
    let mut statement = connection.prepare_cached(sql)?;
    let link = statement
        .query_row([], |row| {
            Ok(Link {
                hub_id: Uuid::from_bytes(row.get(0)?),
                site_id: Uuid::from_bytes(row.get(1)?),
                organization_id: Uuid::from_bytes(row.get(2)?),
                receiver_url: row.get(3)?,
                receiver_key: row.get(4)?,
                credential_digest: row.get(5)?,
                history_from: UnixMs(row.get(6)?),
                down_cursor: row.get(7)?,
            })
        })
        .optional()?;
    Ok(link)
}

/// "" says that an answer brought no cursor.
pub fn set_cursor(connection: &Connection, cursor: &str) -> Result<()> {
    if cursor.is_empty() {
        return Ok(());
    }
    connection
        .prepare_cached("UPDATE hub_link SET down_cursor = ?1 WHERE no = 1 AND down_cursor <> ?1")?
        .execute([cursor])?;
    Ok(())
}

/// What a hub says of itself when it enrols.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Local {
    pub units: Vec<LocalUnit>,
    pub device_euis: Vec<String>,
    /// Of the oldest reading, as far as it is placed.
    pub oldest_reading: Option<UnixMs>,
    pub reading_count: u64,
    pub mac_address: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalUnit {
    pub id: Uuid,
    pub name: String,
    pub unit_type: String,
    pub temp_unit: String,
    /// Tenths of a degree in `temp_unit`.
    pub temp_min: i64,
    pub temp_max: i64,
}

impl LocalUnit {
    /// As the request of an enrolment says it.
    pub fn to_request(&self, create: bool) -> EnrolUnit {
        EnrolUnit {
            name: self.name.clone(),
            unit_type: self.unit_type.clone(),
            temp_unit: self.temp_unit.clone(),
            temp_min: self.temp_min,
            temp_max: self.temp_max,
            create,
        }
    }
}

pub fn local(connection: &Connection) -> Result<Local> {
    let mut statement = connection.prepare_cached("SELECT device_eui FROM devices ORDER BY device_eui")?;
    let device_euis = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mac = "SELECT mac_address FROM hubs WHERE mac_address IS NOT NULL LIMIT 1";
    let (oldest, count) = connection.query_row(
        "SELECT min(oldest), sum(count) FROM (
            SELECT min(coalesce(own_ms, mono_ms + offset_ms)) AS oldest, count(*) AS count
                FROM hub_log LEFT JOIN hub_boots USING (segment)
            UNION ALL SELECT min(hour) * 3600000, coalesce(sum(rows), 0) FROM hub_hours)",
        [],
        |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, i64>(1)?)),
    )?;
    Ok(Local {
        units: local_units(connection)?,
        device_euis,
        oldest_reading: oldest.map(UnixMs),
        reading_count: count as u64,
        mac_address: connection.query_row(mac, [], |row| row.get(0)).optional()?,
    })
}

/// Readings before the enrolment's history bound, which stay here: exact but for the hour in which the bound lies.
pub fn before_bound(connection: &Connection) -> Result<u64> {
    let Some(link) = find(connection)? else { return Ok(0) };
    let count: i64 = connection.query_row(
        "SELECT (SELECT count(*) FROM hub_log JOIN hub_boots USING (segment)
                 WHERE coalesce(own_ms, mono_ms + offset_ms) < ?1)
             + (SELECT coalesce(sum(rows), 0) FROM hub_hours WHERE (hour + 1) * 3600000 <= ?1)",
        [link.history_from.0],
        |row| row.get(0),
    )?;
    Ok(count as u64)
}

fn local_units(connection: &Connection) -> Result<Vec<LocalUnit>> {
    let mut statement = connection.prepare_cached(
        "SELECT u.id, u.name, u.unit_type, u.temp_unit, u.temp_min, u.temp_max FROM units AS u
         JOIN hub_units AS h ON h.unit_id = u.id WHERE h.removed_ms IS NULL ORDER BY h.no",
    )?;
    let units = statement
        .query_map([], |row| {
            Ok(LocalUnit {
                id: Uuid::from_bytes(row.get(0)?),
                name: row.get(1)?,
                unit_type: row.get(2)?,
                temp_unit: row.get(3)?,
                temp_min: row.get(4)?,
                temp_max: row.get(5)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(units)
}

/// What an enrolment brings.
pub struct Enrolment<'a> {
    pub answer: &'a EnrolAnswer,
    pub receiver_url: &'a str,
    pub receiver_key: [u8; 32],
    pub credential_digest: [u8; 32],
    /// Pairs of a local unit's id or name and central's id or name, from a file; the others are matched by name and type.
    pub unit_map: &'a [(String, String)],
}

#[derive(Debug, PartialEq)]
pub struct Enrolled {
    /// (table, old id, new id): for the audit row.
    pub ids: Vec<(&'static str, Uuid, Uuid)>,
    pub changes: Changes,
    /// The hub was another one of the receiver's before: the caller begins a new epoch in this transaction, since the
    /// present one is bound to that hub.
    pub needs_new_epoch: bool,
}

/// Why an enrolment was not taken; nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    #[error(
        "no central unit for {}; central has {}: name pairs in a map file, rename one side, or let the receiver make them with --create-units",
        list(.local), list(.central)
    )]
    Unmapped { local: Vec<String>, central: Vec<String> },
    #[error("two local units would become the central unit {0}")]
    Doubled(Uuid),
    #[error("the configuration from central was refused: {0}")]
    Snapshot(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for EnrolError {
    fn from(error: rusqlite::Error) -> Self {
        EnrolError::Store(error.into())
    }
}

/// Inside the caller's transaction, which it must roll back on an error: local rows take the central ids, the
/// configuration is applied, and what the hub has to say of it is marked to go up.
pub fn enrol(
    connection: &Connection,
    enrolment: &Enrolment<'_>,
    moment: &Moment<'_>,
) -> Result<Enrolled, EnrolError> {
    let Enrolment { answer, .. } = enrolment;
    let former = find(connection)?;
    let mut ids = Vec::new();
    let mut rename = |table: &'static str, from: Uuid, to: Uuid| -> Result<()> {
        if from != to && renames::rename(connection, table, from, to)? {
            ids.push((table, from, to));
        }
        Ok(())
    };
    for (table, former_id, to) in [
        ("organizations", former.as_ref().map(|link| link.organization_id), answer.organization_id),
        ("sites", former.as_ref().map(|link| link.site_id), answer.site_id),
        ("hubs", former.as_ref().map(|link| link.hub_id), answer.hub_id),
    ] {
        // Before the first enrolment there is one of each.
        let from = match former_id {
            Some(id) => Some(id),
            None => all_ids(connection, table)?.first().copied(),
        };
        if let Some(from) = from {
            rename(table, from, to)?;
        }
    }
    for (from, to) in map_areas(connection, &answer.snapshot)? {
        rename("areas", from, to)?;
    }
    for (from, to) in map_units(connection, enrolment)? {
        rename("units", from, to)?;
    }
    for (eui, to) in &answer.devices {
        let from: Option<[u8; 16]> = connection
            .query_row("SELECT id FROM devices WHERE device_eui = ?1", [eui], |row| row.get(0))
            .optional()?;
        if let Some(from) = from {
            rename("devices", Uuid::from_bytes(from), *to)?;
        }
    }
    let needs_new_epoch = former.is_some_and(|link| link.hub_id != answer.hub_id);
    if needs_new_epoch {
        // Another central, or another hub of it: what the former one acknowledged, this one may not have.
        connection.execute("DELETE FROM hub_sent", [])?;
    }
    write(connection, enrolment)?;
    snapshots::forget(connection)?;
    let changes = match snapshot::apply(connection, &answer.snapshot, moment)? {
        Outcome::Applied(changes) => changes,
        Outcome::Refused { reason } => return Err(EnrolError::Snapshot(reason)),
        Outcome::Unchanged => return Err(EnrolError::Snapshot("it has no ETag".to_owned())),
    };
    mark_all(connection, needs_new_epoch)?;
    Ok(Enrolled { ids, changes, needs_new_epoch })
}

fn write(connection: &Connection, enrolment: &Enrolment<'_>) -> Result<()> {
    let answer = enrolment.answer;
    connection.execute(
        "INSERT OR REPLACE INTO hub_link (no, hub_id, site_id, organization_id, receiver_url, receiver_key,
            credential_digest, history_from_ms) VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            answer.hub_id.into_bytes(),
            answer.site_id.into_bytes(),
            answer.organization_id.into_bytes(),
            enrolment.receiver_url,
            enrolment.receiver_key,
            enrolment.credential_digest,
            answer.history_from_ms,
        ],
    )?;
    Ok(())
}

/// By equal name; a local area without a namesake becomes the next central one that nobody took. Units take theirs from
/// the configuration.
fn map_areas(connection: &Connection, snapshot: &Snapshot) -> Result<Vec<(Uuid, Uuid)>> {
    let mut statement = connection.prepare_cached("SELECT id, name FROM areas ORDER BY sort_order, id")?;
    let local: Vec<(Uuid, String)> = statement
        .query_map([], |row| Ok((Uuid::from_bytes(row.get(0)?), row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let here: HashSet<Uuid> = local.iter().map(|(id, _)| *id).collect();
    let mut free: Vec<(Uuid, &str)> = of(snapshot, "areas")
        .filter(|row| !here.contains(&row.id))
        .map(|row| (row.id, text(row, "name").unwrap_or_default()))
        .collect();
    let mut pairs = Vec::new();
    let mut rest = Vec::new();
    let central: HashSet<Uuid> = of(snapshot, "areas").map(|row| row.id).collect();
    for (id, name) in local.iter().filter(|(id, _)| !central.contains(id)) {
        match free.iter().position(|(_, other)| other == name) {
            Some(i) => pairs.push((*id, free.remove(i).0)),
            None => rest.push(*id),
        }
    }
    pairs.extend(rest.into_iter().zip(free.into_iter().map(|(id, _)| id)));
    Ok(pairs)
}

fn map_units(connection: &Connection, enrolment: &Enrolment<'_>) -> Result<Vec<(Uuid, Uuid)>, EnrolError> {
    let snapshot = &enrolment.answer.snapshot;
    let central: Vec<(Uuid, &str, &str)> = of(snapshot, "units")
        .map(|row| {
            (row.id, text(row, "name").unwrap_or_default(), text(row, "unit_type").unwrap_or_default())
        })
        .collect();
    let (mut pairs, mut unmapped) = (Vec::new(), Vec::new());
    for unit in local_units(connection)? {
        let names =
            |key: &str, id: Uuid, name: &str| key == name || Uuid::parse_str(key).is_ok_and(|key| key == id);
        let named = enrolment.unit_map.iter().find(|(key, _)| names(key, unit.id, &unit.name));
        let found = match named {
            Some((_, to)) => central.iter().find(|(id, name, _)| names(to, *id, name)),
            None => central.iter().find(|(id, ..)| *id == unit.id).or_else(|| {
                central.iter().find(|(_, name, kind)| *name == unit.name && *kind == unit.unit_type)
            }),
        };
        match found {
            Some((to, ..)) if pairs.iter().any(|(_, taken)| taken == to) => {
                return Err(EnrolError::Doubled(*to));
            }
            Some((to, ..)) => pairs.push((unit.id, *to)),
            None => unmapped.push(format!("{:?} ({})", unit.name, unit.unit_type)),
        }
    }
    if unmapped.is_empty() {
        return Ok(pairs);
    }
    let free = central.iter().filter(|(id, ..)| !pairs.iter().any(|(_, taken)| taken == id));
    let central = free.map(|(id, name, kind)| format!("{name:?} ({kind}, {id})")).collect();
    Err(EnrolError::Unmapped { local: unmapped, central })
}

/// What central does not know of the rows it has given ids to; to another central everything the hub made.
pub(super) fn mark_all(connection: &Connection, is_other_central: bool) -> Result<()> {
    let of_hub = |table: &&tables::Table| match table.writer {
        tables::Writer::Shared | tables::Writer::Paired => true,
        tables::Writer::Hub => is_other_central,
        tables::Writer::Central => false,
    };
    for table in tables::TABLES.iter().filter(of_hub) {
        let is_mine = match table.name {
            "hubs" => "WHERE id = (SELECT hub_id FROM hub_link)",
            // Only what the hub itself sealed is its own.
            "event_logs" => "WHERE id IN (SELECT event_id FROM hub_audit)",
            _ => "",
        };
        let sql = format!(
            "INSERT OR IGNORE INTO hub_dirty (table_name, row_id) SELECT '{0}', id FROM {0} {is_mine}",
            table.name
        );
        connection.execute(&sql, [])?;
    }
    Ok(())
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Marks the hub's own row after its address or version changed; returns whether they did.
pub fn set_hub_facts(
    connection: &Connection,
    mac_address: Option<&str>,
    firmware_version: &str,
    now: UnixMs,
) -> Result<bool> {
    let own = "SELECT coalesce((SELECT hub_id FROM hub_link), (SELECT id FROM hubs LIMIT 1))";
    let Some(id): Option<[u8; 16]> = connection.query_row(own, [], |row| row.get(0))? else {
        return Ok(false);
    };
    let changed = connection.execute(
        "UPDATE hubs SET mac_address = coalesce(?2, mac_address), firmware_version = ?3, updated_at = ?4
         WHERE id = ?1 AND (firmware_version IS NOT ?3 OR (?2 IS NOT NULL AND mac_address IS NOT ?2))",
        params![id, mac_address, firmware_version, now.0],
    )?;
    if changed == 1 {
        rows::mark_dirty(connection, "hubs", Uuid::from_bytes(id))?;
    }
    Ok(changed == 1)
}
