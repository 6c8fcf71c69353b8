//! `hub_history` and `hub_hours`: settled hours of readings, one packed value for each unit and hour.
//!
//! Appending to 64 units' ends at every group would write 64 pages each time; so readings wait in the log, and move in
//! bulk once a few hours of them have settled. Hours come in order, so a move appends pages and touches few others.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::boots::{self, Segment};
use super::error::Result;
use super::log::{self, LogRow, Tag};
use super::packed::{self, Row};
use super::writer::Store;
use crate::domain::{DeviceNo, MonoMs, Seq, Stamp, Temperature, UnitNo, UnixMs};

pub const HOUR_MS: i64 = 3_600_000;

/// Hours younger than this stay in the log: late frames of the hour still come.
pub const SETTLED_AFTER_MS: i64 = 2 * HOUR_MS;

/// A move waits until this much has settled: each one puts back what may not move yet, and a longer log is slower to look
/// through.
pub const MOVE_SPAN_MS: i64 = 6 * HOUR_MS;

/// Rows of a transaction that moves: bounds its memory (3 MB) and how long the writer is held.
pub const MOVE_ROWS_MAX: u32 = 32_768;

/// A reading as history holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryRow {
    /// As the log held it; `own_time` is None where it was the hub's.
    pub log: LogRow,
    pub recorded: UnixMs,
    pub received: UnixMs,
}

/// What one step of moving did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    pub rows: u64,
    /// Where the next step begins. None: everything settled has moved.
    pub next: Option<Seq>,
}

/// An hour of a unit under an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HourKey {
    /// Unix ms / 3,600,000.
    pub hour: i64,
    pub unit_no: u32,
    pub epoch_no: u32,
}

/// Moves what has settled, a step in a transaction of its own; call it every minute. Returns how many rows moved: 0 while
/// too little has settled for a move to be worth its writes.
pub fn settle(store: &mut Store, now: UnixMs) -> Result<u64> {
    if store.moving.is_none() && !is_move_due(store.connection(), now)? {
        return Ok(0);
    }
    let from = store.moving;
    let moved = store.write(|tx| move_settled(tx, now, from))?;
    store.moving = moved.next;
    Ok(moved.rows)
}

/// True when the oldest placed row of the log has been settled for `MOVE_SPAN_MS`.
pub fn is_move_due(connection: &Connection, now: UnixMs) -> Result<bool> {
    let oldest = oldest_placed(connection)?;
    Ok(oldest.is_some_and(|oldest| oldest.0 + SETTLED_AFTER_MS + MOVE_SPAN_MS <= now.0))
}

/// Moves settled hours of placed segments, acknowledged or not: a step of at most `MOVE_ROWS_MAX` rows, inside the
/// caller's transaction. Steps may stop and begin anew anywhere; `from` only saves looking at rows that cannot move.
pub fn move_settled(connection: &Connection, now: UnixMs, from: Option<Seq>) -> Result<Moved> {
    let cutoff = (now.0 - SETTLED_AFTER_MS).div_euclid(HOUR_MS) * HOUR_MS;
    let sql = "SELECT seq FROM hub_log WHERE seq >= ?1 ORDER BY seq LIMIT 1";
    let from = from.unwrap_or_default().0 as i64;
    let Some(lo): Option<i64> =
        connection.prepare_cached(sql)?.query_row([from], |row| row.get(0)).optional()?
    else {
        return Ok(Moved::default());
    };
    // Numbers are nearly gapless (inputs are few), so an interval of them bounds the rows.
    let hi = lo + i64::from(MOVE_ROWS_MAX) - 1;
    let hours = settled(connection, lo, hi, cutoff)?;
    let moved: u64 = hours.values().map(|rows| rows.len() as u64).sum();
    for (key, mut rows) in hours {
        rows.extend(read_hour(connection, key)?);
        write_hour(connection, key, rows)?;
    }
    if moved > 0 {
        delete_settled(connection, lo, hi, cutoff, moved)?;
    }
    Ok(Moved { rows: moved, next: Some(Seq(hi as u64 + 1)) })
}

/// Readings of history with `seq_lo <= seq <= seq_hi`, by hour, unit and time.
pub fn rows(connection: &Connection, epoch_no: u32, seq_lo: Seq, seq_hi: Seq) -> Result<Vec<HistoryRow>> {
    let mut found = Vec::new();
    let keys = hours(connection, epoch_no, seq_lo, seq_hi)?;
    if keys.is_empty() {
        return Ok(found);
    }
    let segments = boots::all(connection)?;
    for key in keys {
        let rows = read_hour(connection, key)?.into_iter();
        let wanted = rows.filter(|row| (seq_lo.0..=seq_hi.0).contains(&(row.seq as u64)));
        found.extend(wanted.map(|row| history_row(key, &row, &segments)));
    }
    Ok(found)
}

/// Hours that hold rows of an interval of seq; a few hold none, since their bounds are all that is known of them.
pub fn hours(connection: &Connection, epoch_no: u32, seq_lo: Seq, seq_hi: Seq) -> Result<Vec<HourKey>> {
    let sql = "SELECT hour, unit_no FROM hub_hours INDEXED BY hub_hours_seq_idx
        WHERE epoch_no = ?1 AND seq_hi >= ?2 AND seq_lo <= ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let (lo, hi) = (seq_lo.0 as i64, i64::try_from(seq_hi.0).unwrap_or(i64::MAX));
    let hours = statement
        .query_map(params![epoch_no, lo, hi], |row| {
            Ok(HourKey { hour: row.get(0)?, unit_no: row.get(1)?, epoch_no })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(hours)
}

/// The readings of an hour, by time; empty where there are none.
pub fn read_hour(connection: &Connection, key: HourKey) -> Result<Vec<Row>> {
    let body: Option<Vec<u8>> = connection
        .prepare_cached("SELECT body FROM hub_history WHERE hour = ?1 AND unit_no = ?2 AND epoch_no = ?3")?
        .query_row(params![key.hour, key.unit_no, key.epoch_no], |row| row.get(0))
        .optional()?;
    body.map_or(Ok(Vec::new()), |body| packed::unpack(key.hour * HOUR_MS, &body))
}

/// Makes these the readings of an hour; none: the hour is gone.
pub(super) fn write_hour(connection: &Connection, key: HourKey, mut rows: Vec<Row>) -> Result<()> {
    rows.sort_unstable_by_key(|row| (row.recorded_ms, row.seq));
    let (hour, unit_no, epoch_no) = (key.hour, key.unit_no, key.epoch_no);
    let numbers = rows.iter().map(|row| row.seq);
    let (Some(seq_lo), Some(seq_hi)) = (numbers.clone().min(), numbers.max()) else {
        for table in ["hub_history", "hub_hours"] {
            let sql = format!("DELETE FROM {table} WHERE hour = ?1 AND unit_no = ?2 AND epoch_no = ?3");
            connection.prepare_cached(&sql)?.execute(params![hour, unit_no, epoch_no])?;
        }
        return Ok(());
    };
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO hub_history (hour, unit_no, epoch_no, body) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![hour, unit_no, epoch_no, packed::pack(hour * HOUR_MS, &rows)])?;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO hub_hours (hour, unit_no, epoch_no, seq_lo, seq_hi, rows)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![hour, unit_no, epoch_no, seq_lo, seq_hi, rows.len() as i64])?;
    Ok(())
}

/// Takes the rows of an interval of one segment back into the log: their placement was wrong.
pub(super) fn move_back(
    connection: &Connection,
    epoch_no: u32,
    seq_lo: Seq,
    seq_hi: Seq,
    segment: u32,
    offset_ms: i64,
) -> Result<()> {
    for key in hours(connection, epoch_no, seq_lo, seq_hi)? {
        let (back, kept): (Vec<Row>, Vec<Row>) = read_hour(connection, key)?
            .into_iter()
            .partition(|row| (seq_lo.0..=seq_hi.0).contains(&(row.seq as u64)));
        for row in back {
            let mono_ms = row.recorded_ms + row.lag_ms - offset_ms;
            connection
                .prepare_cached(
                    "INSERT INTO hub_log (epoch_no, seq, unit_no, device_no, tag, temperature, humidity, battery, rssi,
                        segment, mono_ms, own_ms)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
                )?
                .execute(params![
                    epoch_no,
                    row.seq,
                    key.unit_no,
                    row.device_no,
                    row.tag,
                    row.temperature,
                    row.humidity,
                    row.battery,
                    row.rssi,
                    segment,
                    mono_ms,
                    (row.lag_ms != 0).then_some(row.recorded_ms),
                ])?;
        }
        write_hour(connection, key, kept)?;
    }
    Ok(())
}

/// A packed row in full. The segment it was received in is told by its number.
pub(super) fn history_row(key: HourKey, row: &Row, segments: &[Segment]) -> HistoryRow {
    let seq = Seq(row.seq as u64);
    let tag = Tag::unpack(row.tag);
    let received = UnixMs(row.recorded_ms + row.lag_ms);
    let segment = boots::segment_of(segments, key.epoch_no, seq);
    let offset_ms = segment.and_then(Segment::offset_ms).unwrap_or(0);
    HistoryRow {
        log: LogRow {
            epoch_no: key.epoch_no,
            seq,
            unit: UnitNo(key.unit_no),
            device: DeviceNo(row.device_no as u32),
            is_late: tag.is_late,
            source: tag.source,
            probe: tag.probe,
            temperature: Temperature { hundredths: row.temperature as i32, scale: tag.scale },
            humidity: row.humidity.map(|it| it as i32),
            battery: row.battery.map(|it| it as i32),
            rssi: row.rssi.map(|it| it as i32),
            stamp: Stamp {
                segment: segment.map_or(0, |segment| segment.no),
                mono: MonoMs(received.0 - offset_ms),
            },
            own_time: (row.lag_ms != 0).then_some(UnixMs(row.recorded_ms)),
        },
        recorded: UnixMs(row.recorded_ms),
        received,
    }
}

/// The rows of an interval of the log that may move, by the hours they belong to.
fn settled(connection: &Connection, lo: i64, hi: i64, cutoff: i64) -> Result<BTreeMap<HourKey, Vec<Row>>> {
    let sql = "SELECT epoch_no, seq, unit_no, device_no, tag, temperature, humidity, battery, rssi, own_ms,
            mono_ms + offset_ms AS received
        FROM hub_log JOIN hub_boots USING (segment)
        WHERE seq BETWEEN ?1 AND ?2 AND received < ?3 AND coalesce(own_ms, received) < ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![lo, hi, cutoff])?;
    let mut hours: BTreeMap<HourKey, Vec<Row>> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let received: i64 = row.get(10)?;
        let recorded_ms = row.get::<_, Option<i64>>(9)?.unwrap_or(received);
        let key =
            HourKey { hour: recorded_ms.div_euclid(HOUR_MS), unit_no: row.get(2)?, epoch_no: row.get(0)? };
        hours.entry(key).or_default().push(Row {
            recorded_ms,
            lag_ms: received - recorded_ms,
            seq: row.get(1)?,
            device_no: row.get(3)?,
            tag: row.get(4)?,
            temperature: row.get(5)?,
            humidity: row.get(6)?,
            battery: row.get(7)?,
            rssi: row.get(8)?,
        });
    }
    Ok(hours)
}

/// Deletes from the log what has moved. Deleting rows one by one writes every page they stood on once more; emptying a table
/// writes none of them. So where most of the log goes, the rest is taken out, the table emptied, and the rest put back.
fn delete_settled(connection: &Connection, lo: i64, hi: i64, cutoff: i64, moved: u64) -> Result<()> {
    let settled = "seq BETWEEN ?1 AND ?2 AND coalesce(own_ms, 0) < ?3
        AND coalesce(mono_ms + (SELECT offset_ms FROM hub_boots WHERE segment = hub_log.segment) < ?3, 0)";
    // One more than may stay says as much as all.
    let mut stay: Vec<LogRow> = Vec::new();
    let columns = "epoch_no, seq, unit_no, device_no, tag, temperature, humidity, battery, rssi, segment, mono_ms, own_ms";
    let sql = format!("SELECT {columns} FROM hub_log WHERE NOT ({settled}) ORDER BY seq LIMIT ?4");
    let interval = params![lo, hi, cutoff, moved as i64];
    for row in connection.prepare_cached(&sql)?.query_map(interval, log::read)? {
        stay.push(row?);
    }
    if (stay.len() as u64) < moved {
        connection.execute("DELETE FROM hub_log", [])?;
        return stay.iter().try_for_each(|row| log::append(connection, row));
    }
    connection
        .prepare_cached(&format!("DELETE FROM hub_log WHERE {settled}"))?
        .execute(params![lo, hi, cutoff])?;
    Ok(())
}

/// Wall time of reception of the first log row in a placed segment.
fn oldest_placed(connection: &Connection) -> Result<Option<UnixMs>> {
    let sql =
        "SELECT mono_ms FROM hub_log WHERE seq >= ?1 AND seq < ?2 AND segment = ?3 ORDER BY seq LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let segments = boots::all(connection)?;
    for (position, segment) in segments.iter().enumerate().filter(|(_, segment)| segment.is_placed()) {
        let end = segments.get(position + 1).map_or(i64::MAX, |next| next.first_seq.0 as i64);
        let mono: Option<i64> = statement
            .query_row(params![segment.first_seq.0 as i64, end, segment.no], |row| row.get(0))
            .optional()?;
        if let Some(mono) = mono {
            return Ok(Some(segment.wall(MonoMs(mono))));
        }
    }
    Ok(None)
}
