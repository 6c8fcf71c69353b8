//! Cutting lane 1: readings, newest first, then the backlog oldest first.
//!
//! A batch covers one contiguous interval of one epoch's counter. Numbers in it that are no reading, or a reading older
//! than the history bound, count as acknowledged with it.

use std::collections::{BTreeSet, HashMap};

use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::batches::{self, Interval, Limits, StoredBatch};
use super::boots::{self, Segment};
use super::error::{Result, StoreError};
use super::log::LogRow;
use super::{epochs, history, link, log, sent, state};
use crate::domain::{Seq, UnixMs};
use frostguard_sync::wire::{self, Batch, Body, Header, Lane, Reading, Readings, WireError};

/// Windows of the counter looked at in one call: a span without a reading to send costs a few look-ups, and the writer
/// must not be held while a year before the history bound is passed over.
const WINDOWS_MAX: u32 = 8;

/// Cuts and stores the next batch of lane 1, if the hub is enrolled, none is pending and readings wait whose time is
/// placed. None also where a device in it must be announced by lane 0 first, and where more must be looked through than
/// one call does: `has_more` of the next call goes on from there.
pub fn cut(connection: &Connection, limits: Limits) -> Result<Option<StoredBatch>> {
    let Some(link) = link::find(connection)? else { return Ok(None) };
    if batches::pending(connection, Lane::Readings)?.is_some() {
        return Ok(None);
    }
    let header = batches::next_header(connection, link.hub_id, Lane::Readings)?;
    let segments = boots::all(connection)?;
    for _ in 0..WINDOWS_MAX {
        let Some(span) = next_span(connection, &segments)? else { return Ok(None) };
        let Some((interval, rows)) = look(connection, &segments, span, limits.rows)? else { continue };
        if interval.lo > interval.hi {
            return Ok(None);
        }
        let rows: Vec<Placed> = rows.into_iter().filter(|row| row.recorded >= link.history_from).collect();
        if rows.is_empty() {
            sent::add(connection, interval)?;
            continue;
        }
        let Some(header) = header_for(connection, header, &rows)? else { return Ok(None) };
        return store(connection, header, span.is_newest, interval, rows, limits.bytes);
    }
    Ok(None)
}

/// Readings in log and history that are neither acknowledged nor cut. Exact but for what `hub_hours` spans, where it
/// counts an hour's rows in proportion.
pub(super) fn unsent(connection: &Connection) -> Result<u64> {
    let mut total = 0;
    for epoch in epochs::all(connection)? {
        for (lo, hi) in sent::gaps(&taken(connection, epoch.no, &[])?, top(connection, epoch.no)?) {
            let (lo, hi) = (lo.0 as i64, hi.0 as i64);
            let in_log: i64 = connection
                .prepare_cached("SELECT count(*) FROM hub_log WHERE epoch_no = ?1 AND seq BETWEEN ?2 AND ?3")?
                .query_row(params![epoch.no, lo, hi], |row| row.get(0))?;
            let in_history: i64 = connection
                .prepare_cached(
                    "SELECT coalesce(sum(rows * (min(seq_hi, ?3) - max(seq_lo, ?2) + 1) / (seq_hi - seq_lo + 1)), 0)
                     FROM hub_hours WHERE epoch_no = ?1 AND seq_hi >= ?2 AND seq_lo <= ?3",
                )?
                .query_row(params![epoch.no, lo, hi], |row| row.get(0))?;
            total += (in_log + in_history) as u64;
        }
    }
    Ok(total)
}

/// A reading whose times are known.
struct Placed {
    log: LogRow,
    recorded: UnixMs,
    received: UnixMs,
}

/// An unsent span of an epoch.
#[derive(Clone, Copy)]
struct Span {
    epoch_no: u32,
    lo: Seq,
    hi: Seq,
    /// It ends with the newest reading that can be sent: then its newest part goes first.
    is_newest: bool,
}

/// The newest unsent span of the present epoch where it ends with the newest reading, else the oldest of all.
fn next_span(connection: &Connection, segments: &[Segment]) -> Result<Option<Span>> {
    let epochs = epochs::all(connection)?;
    let Some(present) = epochs.last() else { return Ok(None) };
    let gaps = |epoch_no: u32| -> Result<(Seq, Vec<(Seq, Seq)>)> {
        let top = sendable_top(connection, epoch_no, segments)?;
        Ok((top, sent::gaps(&taken(connection, epoch_no, segments)?, top)))
    };
    let (top, present_gaps) = gaps(present.no)?;
    if let Some(&(lo, hi)) = present_gaps.last().filter(|(_, hi)| *hi == top) {
        return Ok(Some(Span { epoch_no: present.no, lo, hi, is_newest: true }));
    }
    for epoch in &epochs {
        if let Some(&(lo, hi)) = gaps(epoch.no)?.1.first() {
            return Ok(Some(Span { epoch_no: epoch.no, lo, hi, is_newest: false }));
        }
    }
    Ok(None)
}

/// Acknowledged, cut, or in a segment that is not placed.
fn taken(connection: &Connection, epoch_no: u32, segments: &[Segment]) -> Result<Vec<(Seq, Seq)>> {
    let mut taken = sent::intervals(connection, epoch_no)?;
    let cut = batches::pending(connection, Lane::Readings)?.and_then(|batch| batch.interval);
    taken.extend(cut.filter(|cut| cut.epoch_no == epoch_no).map(|cut| (cut.lo, cut.hi)));
    taken.extend(unplaced(epoch_no, segments));
    Ok(taken)
}

/// The numbers of an epoch that belong to segments that are not placed.
fn unplaced(epoch_no: u32, segments: &[Segment]) -> Vec<(Seq, Seq)> {
    segments
        .iter()
        .enumerate()
        .filter(|(_, segment)| !segment.is_placed() && segment.first_epoch_no <= epoch_no)
        .filter_map(|(i, segment)| {
            let lo = if segment.first_epoch_no < epoch_no { Seq(0) } else { segment.first_seq };
            let hi = match segments.get(i + 1) {
                Some(next) if next.first_epoch_no == epoch_no => Seq(next.first_seq.0.checked_sub(1)?),
                Some(next) if next.first_epoch_no < epoch_no => return None,
                _ => Seq(u64::MAX),
            };
            (lo <= hi).then_some((lo, hi))
        })
        .collect()
}

/// The newest number of an epoch that is a reading's in a placed segment; 0: none.
fn sendable_top(connection: &Connection, epoch_no: u32, segments: &[Segment]) -> Result<Seq> {
    let top = top(connection, epoch_no)?;
    let open = unplaced(epoch_no, segments);
    Ok(sent::gaps(&open, top).last().map_or(Seq(0), |(_, hi)| *hi))
}

/// The newest number of an epoch that log or history holds; 0: none.
fn top(connection: &Connection, epoch_no: u32) -> Result<Seq> {
    let sql = "SELECT max(coalesce((SELECT max(seq) FROM hub_log WHERE epoch_no = ?1), 0),
        coalesce((SELECT max(seq_hi) FROM hub_hours WHERE epoch_no = ?1), 0))";
    Ok(Seq(connection.prepare_cached(sql)?.query_row([epoch_no], |row| row.get::<_, i64>(0))? as u64))
}

/// The readings of the part of a span that comes first, and the interval they were found in; None: the span held none
/// and is now marked as sent.
fn look(
    connection: &Connection,
    segments: &[Segment],
    span: Span,
    rows_max: u32,
) -> Result<Option<(Interval, Vec<Placed>)>> {
    let Span { epoch_no, lo, hi, is_newest } = span;
    let width = u64::from(rows_max).max(1) - 1;
    let (lo, hi) = if is_newest {
        (Seq(lo.0.max(hi.0.saturating_sub(width))), hi)
    } else {
        let Some(first) = first_at_or_after(connection, epoch_no, lo, hi)? else {
            sent::add(connection, Interval { epoch_no, lo, hi })?;
            return Ok(None);
        };
        // Numbers passed over are covered too.
        (lo, Seq(hi.0.min(first.0.saturating_add(width))))
    };
    let mut rows = Vec::new();
    // A row that was received in a segment that is not placed, whatever number it has, ends the interval before it.
    let mut unplaced = Vec::new();
    for log in log::rows(connection, epoch_no, lo, hi)? {
        let segment = segments.iter().find(|segment| segment.no == log.stamp.segment);
        let Some(segment) = segment.filter(|segment| segment.is_placed()) else {
            unplaced.push(log.seq);
            continue;
        };
        let received = segment.wall(log.stamp.mono);
        rows.push(Placed { log, recorded: log.own_time.unwrap_or(received), received });
    }
    let old = history::rows(connection, epoch_no, lo, hi)?.into_iter();
    rows.extend(old.map(|row| Placed { log: row.log, recorded: row.recorded, received: row.received }));
    rows.sort_unstable_by_key(|row| row.log.seq);
    let (lo, hi) = match (unplaced.first(), unplaced.last()) {
        (Some(_), Some(last)) if is_newest => (Seq(last.0 + 1), hi),
        (Some(first), _) => (lo, Seq(first.0 - 1)),
        _ => (lo, hi),
    };
    rows.retain(|row| (lo..=hi).contains(&row.log.seq));
    Ok(Some((Interval { epoch_no, lo, hi }, rows)))
}

/// A bound from below for the next reading of `lo..=hi`; None: there is none.
fn first_at_or_after(connection: &Connection, epoch_no: u32, lo: Seq, hi: Seq) -> Result<Option<Seq>> {
    let bounds = params![epoch_no, lo.0 as i64, hi.0 as i64];
    // In a backlog an hour around `lo` is among the first by the index; without this every later hour is looked at.
    let is_at_once = "SELECT EXISTS (SELECT 1 FROM hub_hours INDEXED BY hub_hours_seq_idx
        WHERE epoch_no = ?1 AND seq_hi >= ?2 AND seq_lo <= ?2 LIMIT 1)";
    if connection.prepare_cached(is_at_once)?.query_row(params![epoch_no, lo.0 as i64], |row| row.get(0))? {
        return Ok(Some(lo));
    }
    let sql = "SELECT min(found) FROM (
        SELECT * FROM (SELECT seq AS found FROM hub_log WHERE epoch_no = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY seq LIMIT 1)
        UNION ALL SELECT min(max(seq_lo, ?2)) FROM hub_hours WHERE epoch_no = ?1 AND seq_hi >= ?2 AND seq_lo <= ?3)";
    let found: Option<i64> =
        connection.prepare_cached(sql)?.query_row(bounds, |row| row.get(0)).optional()?.flatten();
    Ok(found.map(|seq| Seq(seq as u64)))
}

/// The header with the lane-0 number that announces the batch's devices; None: that batch has not been cut yet.
fn header_for(connection: &Connection, header: Header, rows: &[Placed]) -> Result<Option<Header>> {
    let announced = state::devices_to_announce(connection)?;
    if rows.iter().any(|row| announced.contains(&row.log.device.0)) {
        return Ok(None);
    }
    let Some(pending) = batches::pending(connection, Lane::State)? else { return Ok(Some(header)) };
    let batch = wire::decode(&pending.body)
        .map_err(|error| StoreError::Value { table: "hub_batches", detail: format!("decode: {error}") })?;
    let needs = match batch.body {
        Body::State(images) if images.iter().any(|image| image.table == "devices") => pending.seq,
        _ => 0,
    };
    Ok(Some(Header { needs, ..header }))
}

/// Encodes and stores; where the body is over `bytes_max` the interval shrinks at the end that can wait.
fn store(
    connection: &Connection,
    header: Header,
    is_newest: bool,
    mut interval: Interval,
    mut rows: Vec<Placed>,
    bytes_max: usize,
) -> Result<Option<StoredBatch>> {
    loop {
        let batch =
            Batch { header: header.clone(), body: Body::Readings(readings(connection, interval, &rows)?) };
        let body = match wire::encode(&batch) {
            Ok(body) => Some(body),
            Err(WireError::TooLarge { .. } | WireError::TooManyRows { .. }) if rows.len() > 1 => None,
            Err(error) => {
                return Err(StoreError::Value { table: "hub_batches", detail: format!("encode: {error}") });
            }
        };
        if let Some(body) = body.filter(|body| body.len() <= bytes_max || rows.len() == 1) {
            batches::store(connection, &header, rows.len() as u32, Some(interval), &body)?;
            return batches::pending(connection, Lane::Readings);
        }
        let half = rows.len() / 2;
        if is_newest {
            rows.drain(..half);
            interval.lo = rows[0].log.seq;
        } else {
            rows.truncate(half);
            interval.hi = rows[half - 1].log.seq;
        }
    }
}

fn readings(connection: &Connection, interval: Interval, rows: &[Placed]) -> Result<Readings> {
    let units: BTreeSet<u32> = rows.iter().map(|row| row.log.unit.0).collect();
    let devices: BTreeSet<u32> = rows.iter().map(|row| row.log.device.0).collect();
    Ok(Readings {
        epoch: batches::epoch_of(connection, interval.epoch_no)?,
        seq_lo: interval.lo.0,
        seq_hi: interval.hi.0,
        units: explain(connection, "SELECT no, unit_id FROM hub_units", &units)?,
        devices: explain(connection, "SELECT no, device_id FROM hub_devices", &devices)?,
        rows: rows.iter().map(reading).collect(),
    })
}

fn reading(row: &Placed) -> Reading {
    let log = &row.log;
    Reading {
        seq: log.seq.0,
        unit: log.unit.0,
        device: log.device.0,
        probe: log.probe.0,
        scale: log.temperature.scale,
        temperature: log.temperature.hundredths,
        humidity: log.humidity,
        battery: log.battery,
        rssi: log.rssi,
        recorded_ms: row.recorded.0,
        received_ms: row.received.0,
        source: log.source,
    }
}

/// The numbers that have a central id, with it.
fn explain(connection: &Connection, sql: &str, numbers: &BTreeSet<u32>) -> Result<Vec<(u32, Uuid)>> {
    let mut statement = connection.prepare_cached(sql)?;
    let all: HashMap<u32, Uuid> = statement
        .query_map([], |row| Ok((row.get(0)?, Uuid::from_bytes(row.get(1)?))))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(numbers.iter().filter_map(|no| Some((*no, *all.get(no)?))).collect())
}
