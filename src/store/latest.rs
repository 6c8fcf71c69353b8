//! What people look at: the latest reading of each unit, and a unit's readings of a day. Flat in the size of history.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, params};

use super::boots::{self, Segment};
use super::error::Result;
use super::log::{self, LogRow};
use super::{history, history::HistoryRow};
use crate::domain::{MonoMs, Seq, Temperature, UnitNo, UnixMs};

/// Rows of the log looked at for the latest reading: 8 h of 64 sensors a minute, what the log holds when all is well.
const LOOKED_AT_MAX: usize = 30_720;

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
        own_ms FROM hub_log ORDER BY epoch_no DESC, seq DESC";
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
    let sql = "SELECT unit_no, recorded_ms, epoch_no, seq, device_no, tag, temperature, humidity, battery, rssi, lag_ms
        FROM hub_history WHERE unit_no = ?1 AND tag & 2 = 0 ORDER BY recorded_ms DESC LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    for unit_no in wanted {
        let row: Option<HistoryRow> =
            statement.query_row([unit_no], |row| history::read(row, &segments)).optional()?;
        if let Some(row) = row {
            found.insert(unit_no, Shown { log: row.log, recorded: row.recorded, is_placed: true });
        }
    }
    Ok(found.into_values().collect())
}

/// Readings of a unit with `from <= recorded < to`, in order of time.
pub fn chart(connection: &Connection, unit: UnitNo, from: UnixMs, to: UnixMs) -> Result<Vec<Point>> {
    let sql = "SELECT recorded_ms, tag, temperature, humidity FROM hub_history
        WHERE unit_no = ?1 AND recorded_ms >= ?2 AND recorded_ms < ?3 ORDER BY recorded_ms";
    let mut statement = connection.prepare_cached(sql)?;
    let mut points = statement
        .query_map(params![unit.0, from.0, to.0], |row| {
            Ok(Point {
                recorded: UnixMs(row.get(0)?),
                temperature: Temperature {
                    hundredths: row.get(2)?,
                    scale: log::Tag::unpack(row.get(1)?).scale,
                },
                humidity: row.get(3)?,
            })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let segments = boots::all(connection)?;
    let sql = "SELECT epoch_no, seq, unit_no, device_no, tag, temperature, humidity, battery, rssi, segment, mono_ms,
        own_ms FROM hub_log WHERE (epoch_no, seq) >= (?1, ?2) AND unit_no = ?3";
    let mut statement = connection.prepare_cached(sql)?;
    // Segments that ended before hold nothing of it; the last one still goes on.
    let ended = segments
        .iter()
        .take_while(|segment| segment.is_placed() && segment.wall(segment.boot.last_mono) < from)
        .count();
    let first = segments.get(ended.min(segments.len().saturating_sub(1)));
    let (epoch_no, seq) = first.map_or((0, Seq(0)), |segment| (segment.first_epoch_no, segment.first_seq));
    for row in statement.query_map(params![epoch_no, seq.0 as i64, unit.0], log::read)? {
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

fn show(log: LogRow, segments: &[Segment]) -> Shown {
    let segment = segments.iter().rfind(|segment| segment.no == log.stamp.segment);
    let received = segment.map_or(UnixMs(log.stamp.mono.0), |segment| segment.wall(MonoMs(log.stamp.mono.0)));
    Shown {
        log,
        recorded: log.own_time.unwrap_or(received),
        is_placed: segment.is_some_and(Segment::is_placed),
    }
}
