//! Applying a configuration from central, in one transaction. Readings are never touched by it.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, params};
use uuid::Uuid;

use super::error::{Result, StoreError};
use super::snapshot_check::{self, Have, UnitHave, int, of, value};
use super::tables::{self, Table, Writer};
use super::{link, renames, rows, snapshots};
use crate::domain::{DeviceNo, Probe, Scale, Stamp, UnitNo, UnixMs};
use frostguard_sync::api::Snapshot;
use frostguard_sync::wire::RowImage;

/// Hundredths of a degree Celsius, or of a percent: a calibration beyond would hide an alarm.
pub const CALIBRATION_OFFSET_MAX: i64 = 500;

/// When, and how the shell names what the store does not know.
pub struct Moment<'a> {
    pub now: UnixMs,
    pub stamp: Stamp,
    /// The probe of a model (`hub_devices.model`) that measures its unit.
    pub measuring_probe: &'a dyn Fn(&str) -> Probe,
}

#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// It is the one in force.
    Unchanged,
    Refused {
        reason: String,
    },
    Applied(Changes),
}

/// What became different; the caller tells the rules and the audit chain.
#[derive(Debug, Default, PartialEq)]
pub struct Changes {
    pub etag: String,
    /// "" for the first.
    pub former_etag: String,
    /// Rows written, by table.
    pub rows: HashMap<String, u32>,
    /// Monitored on for 24 h.
    pub removed_units: Vec<UnitNo>,
    pub restored_units: Vec<UnitNo>,
    pub moved: Vec<Moved>,
    /// Calibrations with an offset that is too large, by id.
    pub ignored_calibrations: Vec<Uuid>,
    /// Tables and columns that this version does not know.
    pub unknown: Vec<String>,
}

/// A probe that measures another unit since central moved its device; `to` None: none.
#[derive(Debug, PartialEq, Eq)]
pub struct Moved {
    pub device: DeviceNo,
    pub probe: Probe,
    pub from: Option<UnitNo>,
    pub to: Option<UnitNo>,
}

/// Checks and applies. A refused snapshot is kept with its reason and changes nothing else.
pub fn apply(connection: &Connection, snapshot: &Snapshot, moment: &Moment<'_>) -> Result<Outcome> {
    let Some(link) = link::find(connection)? else {
        return Err(StoreError::Value { table: "hub_link", detail: "the hub is not enrolled".to_owned() });
    };
    if snapshots::etag(connection)? == snapshot.etag {
        return Ok(Outcome::Unchanged);
    }
    let have = Have {
        site_id: link.site_id,
        organization_id: link.organization_id,
        units: monitored_units(connection)?,
    };
    if let Err(reason) = snapshot_check::check(snapshot, &have) {
        snapshots::keep_refused(connection, snapshot, &reason, moment.stamp)?;
        return Ok(Outcome::Refused { reason });
    }
    connection.execute_batch("SAVEPOINT snapshot")?;
    match write(connection, snapshot, moment) {
        Ok(changes) => {
            connection.execute_batch("RELEASE snapshot")?;
            Ok(Outcome::Applied(changes))
        }
        Err(error) if is_of_the_rows(&error) => {
            connection.execute_batch("ROLLBACK TO snapshot; RELEASE snapshot")?;
            let reason = format!("its rows do not fit together: {error}");
            snapshots::keep_refused(connection, snapshot, &reason, moment.stamp)?;
            Ok(Outcome::Refused { reason })
        }
        Err(error) => Err(error),
    }
}

fn write(connection: &Connection, snapshot: &Snapshot, moment: &Moment<'_>) -> Result<Changes> {
    let previous = snapshots::current(connection)?;
    let previous_rows = previous.as_ref().map(|snapshot| snapshot.rows.as_slice()).unwrap_or_default();
    let mut changes = Changes {
        etag: snapshot.etag.clone(),
        former_etag: previous.as_ref().map(|snapshot| snapshot.etag.clone()).unwrap_or_default(),
        ..Changes::default()
    };
    let units_before = units_of_devices(connection)?;
    for table in tables::TABLES {
        for row in of(snapshot, table.name) {
            write_row(connection, table, row, previous_rows, moment.now, &mut changes)?;
        }
    }
    let is_unknown = |row: &&RowImage| tables::find(&row.table).is_none();
    changes.unknown.extend(snapshot.rows.iter().filter(is_unknown).map(|row| row.table.clone()));
    changes.unknown.sort();
    changes.unknown.dedup();
    retire(connection, snapshot, previous_rows, moment.now)?;
    number_units(connection, snapshot, moment.now, &mut changes)?;
    changes.moved = move_probes(connection, &units_before, moment)?;
    snapshots::keep(connection, snapshot, moment.stamp)?;
    Ok(changes)
}

fn write_row(
    connection: &Connection,
    table: &'static Table,
    row: &RowImage,
    previous: &[RowImage],
    now: UnixMs,
    changes: &mut Changes,
) -> Result<()> {
    changes.unknown.extend(rows::misfits(table, row).0);
    if table.name == "calibration_records" && is_calibration_too_large(row) {
        changes.ignored_calibrations.push(row.id);
        return Ok(());
    }
    renames::adopt(connection, table, row)?;
    let is_written = if table.writer == Writer::Paired {
        rows::upsert(connection, table, &news(connection, table, row, previous)?, now)?
    } else {
        rows::upsert(connection, table, row, now)?
    };
    if is_written {
        *changes.rows.entry(table.name.to_owned()).or_default() += 1;
    }
    Ok(())
}

/// Of a device that is here, only what central changed since its last snapshot: what the hub changed meanwhile is on its
/// way up.
fn news(
    connection: &Connection,
    table: &'static Table,
    row: &RowImage,
    previous: &[RowImage],
) -> Result<RowImage> {
    let is_here = rows::exists(connection, table, row.id)?;
    let before = previous.iter().find(|before| before.id == row.id && before.table == row.table);
    let mut news = row.clone();
    if let Some(before) = before.filter(|_| is_here) {
        news.columns.retain(|(name, new)| value(before, name) != Some(new));
    }
    Ok(news)
}

pub fn is_calibration_too_large(row: &RowImage) -> bool {
    ["temperature_offset", "humidity_offset"].into_iter().any(|column| {
        int(row, column).is_some_and(|offset| offset.unsigned_abs() > CALIBRATION_OFFSET_MAX as u64)
    })
}

/// What central no longer has. Rows that others refer to stay and are switched off.
fn retire(connection: &Connection, snapshot: &Snapshot, previous: &[RowImage], now: UnixMs) -> Result<()> {
    for (table, sql) in [
        ("areas", "UPDATE areas SET is_active = 0, updated_at = ?2 WHERE id = ?1 AND is_active = 1"),
        ("alert_rules", "UPDATE alert_rules SET is_enabled = 0, updated_at = ?2 WHERE id = ?1 AND is_enabled = 1"),
        ("escalation_contacts", "DELETE FROM escalation_contacts WHERE id = ?1 AND ?2 = ?2"),
        ("user_roles", "DELETE FROM user_roles WHERE id = ?1 AND ?2 = ?2"),
        (
            "profiles",
            "UPDATE profiles SET phone = NULL, push_enabled = 0, email_enabled = 0, sms_enabled = 0, updated_at = ?2
             WHERE id = ?1",
        ),
    ] {
        let kept: HashSet<Uuid> = of(snapshot, table).map(|row| row.id).collect();
        for id in all_ids(connection, table)?.into_iter().filter(|id| !kept.contains(id)) {
            connection.prepare_cached(sql)?.execute(params![id.into_bytes(), now.0])?;
        }
    }
    // A device that central never had is the hub's own news.
    let kept: HashSet<Uuid> = of(snapshot, "devices").map(|row| row.id).collect();
    for row in previous.iter().filter(|row| row.table == "devices" && !kept.contains(&row.id)) {
        connection
            .prepare_cached(
                "UPDATE devices SET is_active = 0, updated_at = ?2 WHERE id = ?1 AND is_active = 1",
            )?
            .execute(params![row.id.into_bytes(), now.0])?;
    }
    Ok(())
}

/// Every unit has a small number; one that is missing is marked as removed, one that is back no longer.
fn number_units(
    connection: &Connection,
    snapshot: &Snapshot,
    now: UnixMs,
    changes: &mut Changes,
) -> Result<()> {
    for row in of(snapshot, "units") {
        connection
            .prepare_cached("INSERT OR IGNORE INTO hub_units (unit_id) VALUES (?1)")?
            .execute([row.id.into_bytes()])?;
    }
    let kept: HashSet<Uuid> = of(snapshot, "units").map(|row| row.id).collect();
    let mut statement =
        connection.prepare_cached("SELECT no, unit_id, removed_ms FROM hub_units ORDER BY no")?;
    let units: Vec<(u32, Uuid, Option<i64>)> = statement
        .query_map([], |row| Ok((row.get(0)?, Uuid::from_bytes(row.get(1)?), row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (no, id, removed) in units {
        let set = |removed: Option<i64>| -> Result<()> {
            connection
                .prepare_cached("UPDATE hub_units SET removed_ms = ?2 WHERE no = ?1")?
                .execute(params![no, removed])?;
            Ok(())
        };
        match (kept.contains(&id), removed) {
            (false, None) => {
                set(Some(now.0))?;
                changes.removed_units.push(UnitNo(no));
            }
            (true, Some(_)) => {
                set(None)?;
                changes.restored_units.push(UnitNo(no));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Closes the assignments of devices that central moved and opens one for the measuring probe.
fn move_probes(
    connection: &Connection,
    before: &HashMap<DeviceNo, Option<UnitNo>>,
    moment: &Moment<'_>,
) -> Result<Vec<Moved>> {
    let mut moved = Vec::new();
    let mut after: Vec<_> = units_of_devices(connection)?.into_iter().collect();
    after.sort_unstable_by_key(|(device, _)| *device);
    for (device, to) in after {
        let from = before.get(&device).copied().flatten();
        if from == to {
            continue;
        }
        let probe = measuring_probe(connection, device, moment)?;
        connection
            .prepare_cached(
                "UPDATE hub_assignments SET closed_segment = ?2, closed_mono_ms = ?3
                 WHERE device_no = ?1 AND closed_segment IS NULL",
            )?
            .execute(params![device.0, moment.stamp.segment, moment.stamp.mono.0])?;
        if let Some(to) = to {
            connection
                .prepare_cached(
                    "INSERT INTO hub_assignments (device_no, probe, unit_no, opened_segment, opened_mono_ms)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![device.0, probe.0, to.0, moment.stamp.segment, moment.stamp.mono.0])?;
        }
        moved.push(Moved { device, probe, from, to });
    }
    Ok(moved)
}

/// The probe that measured so far; else the one its model measures with.
fn measuring_probe(connection: &Connection, device: DeviceNo, moment: &Moment<'_>) -> Result<Probe> {
    let mut open = connection.prepare_cached(
        "SELECT probe FROM hub_assignments WHERE device_no = ?1 AND closed_segment IS NULL",
    )?;
    let probes: Vec<u8> = open.query_map([device.0], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let model: String = connection
        .prepare_cached("SELECT model FROM hub_devices WHERE no = ?1")?
        .query_row([device.0], |row| row.get(0))?;
    let usual = (moment.measuring_probe)(&model);
    Ok(match probes.as_slice() {
        [only] => Probe(*only),
        _ => usual,
    })
}

/// The unit of each device that the hub hears (`devices.unit_id`).
fn units_of_devices(connection: &Connection) -> Result<HashMap<DeviceNo, Option<UnitNo>>> {
    let mut statement = connection.prepare_cached(
        "SELECT h.no, u.no FROM hub_devices AS h JOIN devices AS d ON d.id = h.device_id
         LEFT JOIN hub_units AS u ON u.unit_id = d.unit_id",
    )?;
    let units = statement
        .query_map([], |row| Ok((DeviceNo(row.get(0)?), row.get::<_, Option<u32>>(1)?.map(UnitNo))))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(units)
}

fn monitored_units(connection: &Connection) -> Result<Vec<UnitHave>> {
    let mut statement = connection.prepare_cached(
        "SELECT u.id, u.temp_unit, u.temp_min, u.temp_max FROM units AS u JOIN hub_units AS h ON h.unit_id = u.id
         WHERE u.is_active = 1 AND h.removed_ms IS NULL",
    )?;
    let units = statement
        .query_map([], |row| {
            Ok(UnitHave {
                id: Uuid::from_bytes(row.get(0)?),
                scale: Scale::parse(&row.get::<_, String>(1)?).unwrap_or(Scale::F),
                temp_min: row.get(2)?,
                temp_max: row.get(3)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(units)
}

pub(super) fn all_ids(connection: &Connection, table: &str) -> Result<Vec<Uuid>> {
    let mut statement = connection.prepare_cached(&format!("SELECT id FROM {table} ORDER BY id"))?;
    let ids =
        statement.query_map([], |row| Ok(Uuid::from_bytes(row.get(0)?)))?.collect::<rusqlite::Result<_>>()?;
    Ok(ids)
}

/// A constraint that rows from outside break is their fault, not the database's.
pub(super) fn is_of_the_rows(error: &StoreError) -> bool {
    matches!(error, StoreError::Sqlite(error)
        if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation))
}
