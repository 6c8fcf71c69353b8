//! The bound of the database's size (invariant 4): oldest acknowledged readings go first; then the oldest hour of
//! unacknowledged ones is replaced by a summary a unit, which the caller writes into the audit chain.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::error::Result;
use super::history::{self, HOUR_MS, HourKey};
use super::packed::Row;
use super::writer::Store;
use super::{boots, epochs, frames, log, partition, sent};
use crate::domain::{Temperature, UnitNo, UnixMs};

/// The most a database takes, unless configured: a quarter of a 16 GB card. A migration's copy and a backup fit beside it.
pub const BYTES_MAX: u64 = 4 << 30;
/// Share of the partition, where that is less.
const PARTITION_SHARE: u64 = 4;
/// Acknowledged readings are kept this long where they fit: two years, what an inspector can ask for.
const KEPT_HOURS: i64 = 2 * 365 * 24;
/// Unit-hours deleted in one transaction: about 15,000 readings at one a minute.
const HOURS_A_STEP: u32 = 256;
/// What a reading takes at rest (measured by benches/store.rs), to judge how many must go.
const ROW_BYTES: u64 = 10;
/// Transactions of one call: the writer is needed for readings.
const STEPS_MAX: u32 = 16;
/// Raw frames take at most this share of the bound, so that they never displace readings.
const FRAMES_SHARE: u64 = 8;

/// What became of the bound.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Acknowledged readings deleted.
    pub acknowledged_rows: u64,
    /// Unacknowledged hours replaced; they were handed to the caller inside the transaction that deleted them.
    pub summaries: Vec<Summary>,
    /// Still over the bound, and nothing is left that may go.
    pub is_over: bool,
}

/// What stands for the unacknowledged readings of a unit in an hour.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    pub unit: UnitNo,
    pub count: u64,
    pub from: UnixMs,
    pub to: UnixMs,
    /// All in one scale, that of the first reading.
    pub min: Temperature,
    pub max: Temperature,
    pub mean: Temperature,
    /// The times are the earliest they can have been: nothing vouched for the clock.
    pub is_provisional: bool,
}

/// Brings the database under its bound, as far as one call may. None: `BYTES_MAX` or a quarter of the partition, whichever
/// is less. `tell` is called inside the transaction that deletes unacknowledged readings and writes the summaries.
pub fn enforce(
    store: &mut Store,
    bytes_max: Option<u64>,
    now: UnixMs,
    mut tell: impl FnMut(&Transaction<'_>, &[Summary]) -> Result<()>,
) -> Result<Outcome> {
    let bytes_max = match bytes_max {
        Some(bytes) => bytes,
        None => partition::space(store.dir())
            .map(|space| space.total_bytes)
            .map_or(BYTES_MAX, |bytes| BYTES_MAX.min(bytes / PARTITION_SHARE)),
    };
    let mut outcome = Outcome::default();
    let frames_max = frames::BYTES_MAX.min((bytes_max / FRAMES_SHARE) as i64);
    store.write(|tx| frames::prune_to(tx, now, frames_max))?;
    for _ in 0..STEPS_MAX {
        let excess = bytes_used(store.connection())?.saturating_sub(bytes_max);
        let is_over = excess > 0;
        let (before_hour, rows_wanted) = if is_over {
            (i64::MAX, excess.div_ceil(ROW_BYTES))
        } else {
            (now.0.div_euclid(HOUR_MS) - KEPT_HOURS, u64::MAX)
        };
        let rows = store.write(|tx| delete_acknowledged(tx, before_hour, rows_wanted))?;
        outcome.acknowledged_rows += rows;
        if rows > 0 {
            continue;
        }
        if !is_over {
            return Ok(outcome);
        }
        let (deleted, summaries) = store.write(|tx| {
            let (deleted, summaries) = replace_oldest(tx)?;
            if !summaries.is_empty() {
                tell(tx, &summaries)?;
            }
            Ok((deleted, summaries))
        })?;
        if deleted == 0 {
            break;
        }
        outcome.acknowledged_rows += deleted - summaries.iter().map(|summary| summary.count).sum::<u64>();
        outcome.summaries.extend(summaries);
    }
    outcome.is_over = bytes_used(store.connection())? > bytes_max;
    Ok(outcome)
}

/// Bytes of the pages in use; free ones inside the file are used again.
pub fn bytes_used(connection: &Connection) -> Result<u64> {
    let pragma = |name| connection.pragma_query_value::<i64, _>(None, name, |row| row.get(0));
    let pages = pragma("page_count")? - pragma("freelist_count")?;
    Ok((pages * pragma("page_size")?) as u64)
}

/// Deletes the oldest acknowledged unit-hours before `before_hour`, about `rows_wanted` readings; returns how many. What lies before the bound of
/// the history that goes up counts as acknowledged.
fn delete_acknowledged(connection: &Connection, before_hour: i64, rows_wanted: u64) -> Result<u64> {
    let sql = "SELECT hour, unit_no, epoch_no, rows FROM hub_hours AS h WHERE hour < ?1 AND (
            EXISTS (SELECT 1 FROM hub_sent AS s
                    WHERE s.epoch_no = h.epoch_no AND s.seq_lo <= h.seq_lo AND s.seq_hi >= h.seq_hi)
            OR (hour + 1) * 3600000 <= (SELECT history_from_ms FROM hub_link))
        ORDER BY hour LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let hours: Vec<(HourKey, u64)> = statement
        .query_map(params![before_hour, HOURS_A_STEP], |row| {
            let key = HourKey { hour: row.get(0)?, unit_no: row.get(1)?, epoch_no: row.get(2)? };
            Ok((key, row.get::<_, i64>(3)? as u64))
        })?
        .collect::<rusqlite::Result<_>>()?;
    keep_counters(connection, hours.iter().map(|(key, _)| key.epoch_no))?;
    let mut deleted = 0;
    for (key, rows) in hours {
        if deleted >= rows_wanted {
            break;
        }
        history::write_hour(connection, key, Vec::new())?;
        deleted += rows;
    }
    Ok(deleted)
}

/// A row of a batch that was cut, and not yet acknowledged, is never thinned.
const IS_CUT: &str = "EXISTS (SELECT 1 FROM hub_batches AS b
    WHERE b.row_epoch_no = r.epoch_no AND r.seq BETWEEN b.seq_lo AND b.seq_hi)";
const IS_SENT: &str = "EXISTS (SELECT 1 FROM hub_sent AS s
    WHERE s.epoch_no = r.epoch_no AND r.seq BETWEEN s.seq_lo AND s.seq_hi)";

/// Deletes the oldest hour that may go, of history or of the log. Returns how many readings that were, and what stands for
/// the unacknowledged ones among them.
fn replace_oldest(connection: &Connection) -> Result<(u64, Vec<Summary>)> {
    let in_history = oldest_history_hour(connection)?;
    let in_log = oldest_log_hour(connection)?;
    match (in_history, in_log) {
        (Some(hour), log) if log.as_ref().is_none_or(|log| hour <= log.hour) => {
            replace_history(connection, hour)
        }
        (_, Some(log)) => replace_log(connection, &log),
        _ => Ok((0, Vec::new())),
    }
}

/// The oldest hour with a row that may go.
fn oldest_history_hour(connection: &Connection) -> Result<Option<i64>> {
    let cut = cut_intervals(connection)?;
    let sql = "SELECT hour, unit_no, epoch_no, seq_lo, seq_hi FROM hub_hours ORDER BY hour";
    let mut statement = connection.prepare_cached(sql)?;
    let mut hours = statement.query([])?;
    while let Some(hour) = hours.next()? {
        let key = HourKey { hour: hour.get(0)?, unit_no: hour.get(1)?, epoch_no: hour.get(2)? };
        let (lo, hi): (i64, i64) = (hour.get(3)?, hour.get(4)?);
        let touches =
            |interval: &(u32, i64, i64)| interval.0 == key.epoch_no && interval.1 <= hi && interval.2 >= lo;
        if !cut.iter().any(touches) {
            return Ok(Some(key.hour));
        }
        if history::read_hour(connection, key)?.iter().any(|row| !is_in(&cut, key.epoch_no, row.seq)) {
            return Ok(Some(key.hour));
        }
    }
    Ok(None)
}

fn replace_history(connection: &Connection, hour: i64) -> Result<(u64, Vec<Summary>)> {
    let cut = cut_intervals(connection)?;
    let keys: Vec<HourKey> = connection
        .prepare_cached("SELECT unit_no, epoch_no FROM hub_hours WHERE hour = ?1")?
        .query_map([hour], |row| Ok(HourKey { hour, unit_no: row.get(0)?, epoch_no: row.get(1)? }))?
        .collect::<rusqlite::Result<_>>()?;
    keep_counters(connection, keys.iter().map(|key| key.epoch_no))?;
    let mut sums = BTreeMap::new();
    let mut deleted = 0;
    for key in keys {
        let sent: Vec<(u32, i64, i64)> = sent::intervals(connection, key.epoch_no)?
            .into_iter()
            .map(|(lo, hi)| (key.epoch_no, lo.0 as i64, hi.0 as i64))
            .collect();
        let (kept, gone): (Vec<Row>, Vec<Row>) = history::read_hour(connection, key)?
            .into_iter()
            .partition(|row| is_in(&cut, key.epoch_no, row.seq));
        for row in gone.iter().filter(|row| !is_in(&sent, key.epoch_no, row.seq)) {
            add(&mut sums, key.unit_no, row.tag, row.temperature as i32, row.recorded_ms);
        }
        deleted += gone.len() as u64;
        history::write_hour(connection, key, kept)?;
    }
    Ok((deleted, summaries(sums, false)))
}

/// Intervals (epoch number, first, last) of the batches that were cut and are not acknowledged.
fn cut_intervals(connection: &Connection) -> Result<Vec<(u32, i64, i64)>> {
    let sql = "SELECT row_epoch_no, seq_lo, seq_hi FROM hub_batches WHERE row_epoch_no IS NOT NULL";
    let mut statement = connection.prepare_cached(sql)?;
    let intervals = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(intervals)
}

fn is_in(intervals: &[(u32, i64, i64)], epoch_no: u32, seq: i64) -> bool {
    intervals.iter().any(|interval| interval.0 == epoch_no && (interval.1..=interval.2).contains(&seq))
}

/// The oldest hour of the log: of one segment, which need not be placed.
struct LogHour {
    hour: i64,
    epoch_no: u32,
    first: i64,
    /// Its rows are those before this one.
    end: i64,
    segment: u32,
    end_mono_ms: i64,
    offset_ms: i64,
    is_placed: bool,
}

fn oldest_log_hour(connection: &Connection) -> Result<Option<LogHour>> {
    let sql = format!(
        "SELECT epoch_no, seq, segment, mono_ms FROM hub_log AS r WHERE NOT {IS_CUT} ORDER BY seq LIMIT 1"
    );
    let first: Option<(u32, i64, u32, i64)> = connection
        .prepare_cached(&sql)?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .optional()?;
    let Some((epoch_no, first, segment, mono_ms)) = first else { return Ok(None) };
    let Some(segment) = boots::find(connection, segment)? else { return Ok(None) };
    let offset_ms = segment.wall(crate::domain::MonoMs(0)).0;
    let hour = (mono_ms + offset_ms).div_euclid(HOUR_MS);
    let end_mono_ms = (hour + 1) * HOUR_MS - offset_ms;
    let sql = "SELECT seq FROM hub_log WHERE epoch_no = ?1 AND seq > ?2 AND (segment <> ?3 OR mono_ms >= ?4)
        ORDER BY seq LIMIT 1";
    let end: Option<i64> = connection
        .prepare_cached(sql)?
        .query_row(params![epoch_no, first, segment.no, end_mono_ms], |row| row.get(0))
        .optional()?;
    Ok(Some(LogHour {
        hour,
        epoch_no,
        first,
        end: end.unwrap_or(i64::MAX),
        segment: segment.no,
        end_mono_ms,
        offset_ms,
        is_placed: segment.is_placed(),
    }))
}

fn replace_log(connection: &Connection, hour: &LogHour) -> Result<(u64, Vec<Summary>)> {
    keep_counters(connection, [hour.epoch_no])?;
    let scope = "r.epoch_no = ?1 AND r.seq >= ?2 AND r.seq < ?3 AND r.segment = ?4 AND r.mono_ms < ?5";
    let interval = params![hour.epoch_no, hour.first, hour.end, hour.segment, hour.end_mono_ms];
    let mut sums = BTreeMap::new();
    let sql = format!(
        "SELECT r.tag, r.temperature, coalesce(r.own_ms, r.mono_ms + {}), r.unit_no FROM hub_log AS r
         WHERE {scope} AND NOT {IS_CUT} AND NOT {IS_SENT}",
        hour.offset_ms
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(interval)?;
    while let Some(row) = rows.next()? {
        add(&mut sums, row.get(3)?, row.get(0)?, row.get(1)?, row.get(2)?);
    }
    let deleted = connection
        .prepare_cached(&format!("DELETE FROM hub_log AS r WHERE {scope} AND NOT {IS_CUT}"))?
        .execute(interval)? as u64;
    Ok((deleted, summaries(sums, !hour.is_placed)))
}

struct Sum {
    count: i64,
    total: i64,
    min: Temperature,
    max: Temperature,
    from: i64,
    to: i64,
}

fn add(sums: &mut BTreeMap<u32, Sum>, unit_no: u32, tag: i64, hundredths: i32, at: i64) {
    let value = Temperature { hundredths, scale: log::Tag::unpack(tag).scale };
    let sum =
        sums.entry(unit_no).or_insert(Sum { count: 0, total: 0, min: value, max: value, from: at, to: at });
    let value = value.to(sum.min.scale);
    sum.count += 1;
    sum.total += i64::from(value.hundredths);
    if value.hundredths < sum.min.hundredths {
        sum.min = value;
    }
    if value.hundredths > sum.max.hundredths {
        sum.max = value;
    }
    (sum.from, sum.to) = (sum.from.min(at), sum.to.max(at));
}

fn summaries(sums: BTreeMap<u32, Sum>, is_provisional: bool) -> Vec<Summary> {
    sums.into_iter()
        .map(|(unit_no, sum)| Summary {
            unit: UnitNo(unit_no),
            count: sum.count as u64,
            from: UnixMs(sum.from),
            to: UnixMs(sum.to),
            min: sum.min,
            max: sum.max,
            mean: Temperature {
                hundredths: frostguard_sync::scale::divide_rounding(sum.total, sum.count) as i32,
                scale: sum.min.scale,
            },
            is_provisional,
        })
        .collect()
}

/// The rows that hold an epoch's largest numbers may be among those that go: the counter must not begin again.
fn keep_counters(connection: &Connection, epoch_nos: impl IntoIterator<Item = u32>) -> Result<()> {
    for epoch_no in epoch_nos.into_iter().collect::<BTreeSet<u32>>() {
        let next = epochs::next_seq(connection, epoch_no)?;
        epochs::save_next_seq(connection, epoch_no, next)?;
    }
    Ok(())
}
