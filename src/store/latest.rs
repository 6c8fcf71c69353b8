//! What people look at: the latest reading of each unit, and a unit's readings of a day. Flat in the size of history.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, params};

use super::boots::{self, Segment};
use super::error::Result;
use super::history::{self, HOUR_MS, HistoryRow, HourKey};
use super::log::{self, LogRow};
use crate::domain::{DeviceNo, MonoMs, Probe, Seq, Temperature, UnitNo, UnixMs};

/// Rows of the log looked at for the latest reading: 10 h of 64 sensors a minute, what the log holds when all is well.
const LOOKED_AT_MAX: usize = 38_400;

/// A reading with its wall time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    pub log: LogRow,
    pub recorded: UnixMs,
    /// False: nothing vouches for the time yet, this is the earliest it can have been.
    pub is_placed: bool,
}

/// A point of a chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    pub recorded: UnixMs,
    pub temperature: Temperature,
    /// Hundredths of a percent.
    pub humidity: Option<i32>,
}

/// The latest reading of every unit that has one, late ones aside, by unit.
pub fn of_units(connection: &Connection) -> Result<Vec<Shown>> {
    let mut wanted: BTreeSet<u32> = connection
        .prepare_cached("SELECT no FROM hub_units")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let segments = boots::all(connection)?;
    let mut found = BTreeMap::new();
    let sql = "SELECT epoch_no, seq, unit_no, device_no, tag, temperature, humidity, battery, rssi, segment, mono_ms,
        own_ms FROM hub_log ORDER BY seq DESC";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut looked_at = 0;
    while !wanted.is_empty() && looked_at < LOOKED_AT_MAX {
        let Some(row) = rows.next()? else { break };
        looked_at += 1;
        if wanted.contains(&row.get(2)?) && row.get::<_, i64>(4)? & 2 == 0 {
            let row = log::read(row)?;
            wanted.remove(&row.unit.0);
            found.insert(row.unit.0, show(row, &segments));
        }
    }
    for unit_no in wanted {
        if let Some(row) = newest_of_history(connection, unit_no, &segments)? {
            found.insert(unit_no, Shown { log: row.log, recorded: row.recorded, is_placed: true });
        }
    }
    Ok(found.into_values().collect())
}

/// Time of the newest judged reading of each wanted probe, as far as the log still holds it and its boot is placed.
pub fn of_probes(
    connection: &Connection,
    mut wanted: BTreeSet<(DeviceNo, Probe)>,
) -> Result<Vec<(DeviceNo, Probe, UnixMs)>> {
    let segments = boots::all(connection)?;
    let sql = "SELECT epoch_no, seq, unit_no, device_no, tag, temperature, humidity, battery, rssi, segment, mono_ms,
        own_ms FROM hub_log ORDER BY seq DESC LIMIT ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([LOOKED_AT_MAX as i64])?;
    let mut found = Vec::new();
    while !wanted.is_empty() {
        let Some(row) = rows.next()? else { break };
        let shown = show(log::read(row)?, &segments);
        let LogRow { device, probe, is_late, .. } = shown.log;
        if !is_late && wanted.remove(&(device, probe)) && shown.is_placed {
            found.push((device, probe, shown.recorded));
        }
    }
    Ok(found)
}

/// Readings of a unit with `from <= recorded < to`, in order of time.
pub fn chart(connection: &Connection, unit: UnitNo, from: UnixMs, to: UnixMs) -> Result<Vec<Point>> {
    let sql = "SELECT hour, epoch_no FROM hub_hours WHERE hour = ?1 AND unit_no = ?2";
    let mut points = Vec::new();
    let mut statement = connection.prepare_cached(sql)?;
    // Hour by hour, since the key begins with it: seeks instead of a look at every unit's.
    for hour in from.0.div_euclid(HOUR_MS)..=(to.0 - 1).div_euclid(HOUR_MS) {
        for key in statement.query_map(params![hour, unit.0], |row| {
            Ok(HourKey { hour: row.get(0)?, unit_no: unit.0, epoch_no: row.get(1)? })
        })? {
            let rows = history::read_hour(connection, key?)?.into_iter();
            points.extend(rows.filter(|row| (from.0..to.0).contains(&row.recorded_ms)).map(|row| Point {
                recorded: UnixMs(row.recorded_ms),
                temperature: Temperature {
                    hundredths: row.temperature as i32,
                    scale: log::Tag::unpack(row.tag).scale,
                },
                humidity: row.humidity.map(|it| it as i32),
            }));
        }
    }
    let segments = boots::all(connection)?;
    let sql = "SELECT epoch_no, seq, unit_no, device_no, tag, temperature, humidity, battery, rssi, segment, mono_ms,
        own_ms FROM hub_log WHERE seq >= ?1 AND unit_no = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    // Segments that ended before hold nothing of it; the last one still goes on.
    let ended = segments
        .iter()
        .take_while(|segment| segment.is_placed() && segment.wall(segment.boot.last_mono) < from)
        .count();
    let first = segments.get(ended.min(segments.len().saturating_sub(1)));
    let seq = first.map_or(Seq(0), |segment| segment.first_seq);
    for row in statement.query_map(params![seq.0 as i64, unit.0], log::read)? {
        let shown = show(row?, &segments);
        if shown.recorded >= from && shown.recorded < to {
            points.push(Point {
                recorded: shown.recorded,
                temperature: shown.log.temperature,
                humidity: shown.log.humidity,
            });
        }
    }
    points.sort_by_key(|point| point.recorded);
    Ok(points)
}

/// The newest reading of a unit that the log no longer holds. `units.last_reading_at` says where to look for it, so that a
/// unit silent for a year costs no search; without it, from the end.
fn newest_of_history(
    connection: &Connection,
    unit_no: u32,
    segments: &[Segment],
) -> Result<Option<HistoryRow>> {
    let last: Option<i64> = connection
        .prepare_cached("SELECT last_reading_at FROM units JOIN hub_units ON unit_id = id WHERE no = ?1")?
        .query_row([unit_no], |row| row.get(0))
        .optional()?
        .flatten();
    for until in last.map(|last| last.div_euclid(HOUR_MS)).into_iter().chain([i64::MAX]) {
        let sql = "SELECT hour, epoch_no FROM hub_hours WHERE hour <= ?1 AND unit_no = ?2
            ORDER BY hour DESC, epoch_no DESC";
        let mut statement = connection.prepare_cached(sql)?;
        let mut hours = statement.query(params![until, unit_no])?;
        while let Some(hour) = hours.next()? {
            let key = HourKey { hour: hour.get(0)?, unit_no, epoch_no: hour.get(1)? };
            let rows = history::read_hour(connection, key)?;
            if let Some(row) = rows.iter().rfind(|row| row.tag & 2 == 0) {
                return Ok(Some(history::history_row(key, row, segments)));
            }
        }
    }
    Ok(None)
}

fn show(log: LogRow, segments: &[Segment]) -> Shown {
    let segment = segments.iter().rfind(|segment| segment.no == log.stamp.segment);
    let received = segment.map_or(UnixMs(log.stamp.mono.0), |segment| segment.wall(MonoMs(log.stamp.mono.0)));
    Shown {
        log,
        recorded: log.own_time.unwrap_or(received),
        is_placed: segment.is_some_and(Segment::is_placed),
    }
}
