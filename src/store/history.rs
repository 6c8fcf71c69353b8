//! `hub_history` and `hub_hours`: settled hours of readings, clustered by unit and time.
//!
//! Appending to 64 units' ends at every group would write 64 pages each time; so readings wait in the log, and move in
//! bulk once several hours of them have settled.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::boots::{self, Segment};
use super::error::Result;
use super::log::{LogRow, Tag};
use super::writer::Store;
use crate::domain::{DeviceNo, MonoMs, Seq, Stamp, Temperature, UnitNo, UnixMs};

pub const HOUR_MS: i64 = 3_600_000;

/// Hours younger than this stay in the log: late frames of the hour still come.
pub const SETTLED_AFTER_MS: i64 = 2 * HOUR_MS;

/// A move waits until this much has settled: a unit's readings of one hour fill half a page, of several hours whole ones.
pub const MOVE_SPAN_MS: i64 = 6 * HOUR_MS;

/// Rows of a transaction that moves: bounds its WAL (about 6 MB) and how long the writer is held (under half a second).
pub const MOVE_ROWS_MAX: u32 = 50_000;

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
    /// Where the next step begins: (epoch number, seq). None: everything settled has moved.
    pub next: Option<(u32, Seq)>,
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
pub fn move_settled(connection: &Connection, now: UnixMs, from: Option<(u32, Seq)>) -> Result<Moved> {
    let cutoff = (now.0 - SETTLED_AFTER_MS).div_euclid(HOUR_MS) * HOUR_MS;
    let (epoch_no, seq) = from.unwrap_or((0, Seq(0)));
    let Some((epoch_no, lo, hi)) = window(connection, epoch_no, seq)? else { return Ok(Moved::default()) };
    let interval = params![epoch_no, lo, hi, cutoff];
    let rows = connection
        .prepare_cached(
            "INSERT INTO hub_history (unit_no, recorded_ms, epoch_no, seq, device_no, tag, temperature, humidity, battery,
                rssi, lag_ms)
             SELECT unit_no, coalesce(own_ms, mono_ms + offset_ms) AS recorded, epoch_no, seq, device_no, tag,
                temperature, humidity, battery, rssi,
                CASE WHEN own_ms IS NULL THEN 0 ELSE mono_ms + offset_ms - own_ms END
             FROM hub_log JOIN hub_boots USING (segment)
             WHERE epoch_no = ?1 AND seq BETWEEN ?2 AND ?3 AND mono_ms + offset_ms < ?4 AND recorded < ?4
             ORDER BY unit_no, recorded, epoch_no, seq",
        )?
        .execute(interval)?;
    if rows > 0 {
        connection
            .prepare_cached(
                "INSERT INTO hub_hours (hour, unit_no, epoch_no, seq_lo, seq_hi, rows)
                 SELECT coalesce(own_ms, mono_ms + offset_ms) / 3600000 AS hour, unit_no, epoch_no, min(seq), max(seq),
                    count(*)
                 FROM hub_log JOIN hub_boots USING (segment)
                 WHERE epoch_no = ?1 AND seq BETWEEN ?2 AND ?3 AND mono_ms + offset_ms < ?4
                    AND coalesce(own_ms, mono_ms + offset_ms) < ?4
                 GROUP BY 1, 2
                 ON CONFLICT (hour, unit_no, epoch_no) DO UPDATE SET seq_lo = min(seq_lo, excluded.seq_lo),
                    seq_hi = max(seq_hi, excluded.seq_hi), rows = rows + excluded.rows",
            )?
            .execute(interval)?;
        connection
            .prepare_cached(
                "DELETE FROM hub_log WHERE epoch_no = ?1 AND seq BETWEEN ?2 AND ?3 AND coalesce(own_ms, 0) < ?4
                 AND mono_ms + (SELECT offset_ms FROM hub_boots WHERE segment = hub_log.segment) < ?4",
            )?
            .execute(interval)?;
    }
    Ok(Moved { rows: rows as u64, next: Some((epoch_no, Seq(hi as u64 + 1))) })
}

/// Readings of history with `seq_lo <= seq <= seq_hi`, by (unit, time).
pub fn rows(connection: &Connection, epoch_no: u32, seq_lo: Seq, seq_hi: Seq) -> Result<Vec<HistoryRow>> {
    let mut rows = Vec::new();
    let hours = hours(connection, epoch_no, seq_lo, seq_hi)?;
    if hours.is_empty() {
        return Ok(rows);
    }
    let segments = boots::all(connection)?;
    let sql = "SELECT unit_no, recorded_ms, epoch_no, seq, device_no, tag, temperature, humidity, battery, rssi, lag_ms
        FROM hub_history WHERE unit_no = ?1 AND recorded_ms >= ?2 AND recorded_ms < ?3
        AND epoch_no = ?4 AND seq BETWEEN ?5 AND ?6";
    let mut statement = connection.prepare_cached(sql)?;
    for (hour, unit_no) in hours {
        let (from, to) = (hour * HOUR_MS, (hour + 1) * HOUR_MS);
        let interval = params![unit_no, from, to, epoch_no, seq_lo.0 as i64, seq_hi.0 as i64];
        for row in statement.query_map(interval, |row| read(row, &segments))? {
            rows.push(row?);
        }
    }
    Ok(rows)
}

/// Hours (number, unit) of history that hold rows of an interval of seq; a few hold none, since they name only bounds.
pub fn hours(connection: &Connection, epoch_no: u32, seq_lo: Seq, seq_hi: Seq) -> Result<Vec<(i64, u32)>> {
    let sql = "SELECT hour, unit_no FROM hub_hours INDEXED BY hub_hours_seq_idx
        WHERE epoch_no = ?1 AND seq_hi >= ?2 AND seq_lo <= ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let hours = statement
        .query_map(params![epoch_no, seq_lo.0 as i64, seq_hi.0 as i64], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(hours)
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
    for (hour, unit_no) in hours(connection, epoch_no, seq_lo, seq_hi)? {
        let (from, to) = (hour * HOUR_MS, (hour + 1) * HOUR_MS);
        let (lo, hi) = (seq_lo.0 as i64, seq_hi.0 as i64);
        connection
            .prepare_cached(
                "INSERT INTO hub_log (epoch_no, seq, unit_no, device_no, tag, temperature, humidity, battery, rssi,
                    segment, mono_ms, own_ms)
                 SELECT epoch_no, seq, unit_no, device_no, tag, temperature, humidity, battery, rssi, ?7,
                    recorded_ms + lag_ms - ?8, CASE lag_ms WHEN 0 THEN NULL ELSE recorded_ms END
                 FROM hub_history WHERE unit_no = ?1 AND recorded_ms >= ?2 AND recorded_ms < ?3 AND epoch_no = ?4
                    AND seq BETWEEN ?5 AND ?6",
            )?
            .execute(params![unit_no, from, to, epoch_no, lo, hi, segment, offset_ms])?;
        connection
            .prepare_cached(
                "DELETE FROM hub_history WHERE unit_no = ?1 AND recorded_ms >= ?2 AND recorded_ms < ?3 AND epoch_no = ?4
                 AND seq BETWEEN ?5 AND ?6",
            )?
            .execute(params![unit_no, from, to, epoch_no, lo, hi])?;
        recount(connection, hour, unit_no, epoch_no)?;
    }
    Ok(())
}

/// Makes the row of `hub_hours` tell again what the hour holds.
pub(super) fn recount(connection: &Connection, hour: i64, unit_no: u32, epoch_no: u32) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM hub_hours WHERE hour = ?1 AND unit_no = ?2 AND epoch_no = ?3")?
        .execute(params![hour, unit_no, epoch_no])?;
    connection
        .prepare_cached(
            "INSERT INTO hub_hours (hour, unit_no, epoch_no, seq_lo, seq_hi, rows)
             SELECT ?1, ?2, ?3, min(seq), max(seq), count(*) FROM hub_history
             WHERE unit_no = ?2 AND recorded_ms >= ?4 AND recorded_ms < ?5 AND epoch_no = ?3 HAVING count(*) > 0",
        )?
        .execute(params![hour, unit_no, epoch_no, hour * HOUR_MS, (hour + 1) * HOUR_MS])?;
    Ok(())
}

/// Columns in the order of `rows`.
pub(super) fn read(row: &Row<'_>, segments: &[Segment]) -> rusqlite::Result<HistoryRow> {
    let (recorded, lag): (i64, i64) = (row.get(1)?, row.get(10)?);
    let (epoch_no, seq) = (row.get(2)?, Seq(row.get::<_, i64>(3)? as u64));
    let tag = Tag::unpack(row.get(5)?);
    let received = UnixMs(recorded + lag);
    let segment = boots::segment_of(segments, epoch_no, seq);
    let offset_ms = segment.and_then(Segment::offset_ms).unwrap_or(0);
    Ok(HistoryRow {
        log: LogRow {
            epoch_no,
            seq,
            unit: UnitNo(row.get(0)?),
            device: DeviceNo(row.get(4)?),
            is_late: tag.is_late,
            source: tag.source,
            probe: tag.probe,
            temperature: Temperature { hundredths: row.get(6)?, scale: tag.scale },
            humidity: row.get(7)?,
            battery: row.get(8)?,
            rssi: row.get(9)?,
            stamp: Stamp {
                segment: segment.map_or(0, |segment| segment.no),
                mono: MonoMs(received.0 - offset_ms),
            },
            own_time: (lag != 0).then_some(UnixMs(recorded)),
        },
        recorded: UnixMs(recorded),
        received,
    })
}

/// The next window of the log at or after (`epoch_no`, `seq`): its epoch, first and last seq.
fn window(connection: &Connection, epoch_no: u32, seq: Seq) -> Result<Option<(u32, i64, i64)>> {
    let sql =
        "SELECT epoch_no, seq FROM hub_log WHERE (epoch_no, seq) >= (?1, ?2) ORDER BY epoch_no, seq LIMIT 1";
    let first: Option<(u32, i64)> = connection
        .prepare_cached(sql)?
        .query_row(params![epoch_no, seq.0 as i64], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    // Numbers are nearly gapless (inputs are few), so an interval of them bounds the rows.
    Ok(first.map(|(epoch_no, lo)| (epoch_no, lo, lo + i64::from(MOVE_ROWS_MAX) - 1)))
}

/// Wall time of reception of the first log row in a placed segment.
fn oldest_placed(connection: &Connection) -> Result<Option<UnixMs>> {
    let sql = "SELECT mono_ms FROM hub_log WHERE (epoch_no, seq) >= (?1, ?2) AND (epoch_no, seq) < (?3, ?4)
        AND segment = ?5 ORDER BY epoch_no, seq LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let segments = boots::all(connection)?;
    for (position, segment) in segments.iter().enumerate().filter(|(_, segment)| segment.is_placed()) {
        let (end_epoch_no, end_seq) = segments
            .get(position + 1)
            .map_or((i64::MAX, 0), |next| (i64::from(next.first_epoch_no), next.first_seq.0 as i64));
        let (epoch_no, seq) = (segment.first_epoch_no, segment.first_seq.0 as i64);
        let mono: Option<i64> = statement
            .query_row(params![epoch_no, seq, end_epoch_no, end_seq, segment.no], |row| row.get(0))
            .optional()?;
        if let Some(mono) = mono {
            return Ok(Some(segment.wall(MonoMs(mono))));
        }
    }
    Ok(None)
}
