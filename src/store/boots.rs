//! `hub_boots`: segments of monotonic time, and where each lies in wall time.
//!
//! A segment is a stretch of one boot without a clock step. What happened in it is stamped (segment, monotonic ms);
//! placing the segment gives all of it a wall time by one row. What to place where is decided in `clock`.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::{Result, StoreError};
use super::{epochs, history, meta, unplaced};
use crate::clock::estimate;
use crate::clock::trust::{Boot, BootReason, Placement, Quality};
use crate::domain::{MonoMs, Seq, Stamp, UnixMs};

/// A row of `hub_boots`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub no: u32,
    /// The first number of the counter that belongs to it; the next segment's first ends it.
    pub first_epoch_no: u32,
    pub first_seq: Seq,
    pub boot: Boot,
}

impl Segment {
    /// Wall time of an instant in it. While the segment is not placed, the earliest it can have been.
    pub fn wall(&self, mono: MonoMs) -> UnixMs {
        UnixMs(mono.0 + self.offset_ms().unwrap_or(self.boot.floor.0 - self.boot.first_mono.0))
    }

    pub fn offset_ms(&self) -> Option<i64> {
        self.boot.placement.map(|placement| placement.offset_ms)
    }

    pub fn is_placed(&self) -> bool {
        self.boot.placement.is_some()
    }
}

/// Begins a segment, after everything stamped in the one before was written: its first number is the counter's next.
pub fn insert(connection: &Connection, boot: &Boot) -> Result<()> {
    close_last(connection)?;
    let epoch_no = epochs::current(connection)?.no;
    let next_seq = epochs::next_seq(connection, epoch_no)?;
    connection.execute(
        "INSERT INTO hub_boots (segment, boot_id, reason, first_epoch_no, first_seq, first_mono_ms, last_mono_ms, floor_ms,
            offset_ms, quality, uncertainty_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            boot.segment,
            boot.boot_id,
            boot.reason.as_str(),
            epoch_no,
            next_seq.0 as i64,
            boot.first_mono.0,
            boot.last_mono.0,
            boot.floor.0,
            boot.placement.map(|placement| placement.offset_ms),
            boot.placement.map_or(UNTRUSTED, |placement| placement.quality.as_str()),
            boot.placement.map_or(0, |placement| placement.uncertainty_ms),
        ],
    )?;
    Ok(())
}

/// Places a segment: one row, and the wall times that waited for it. Returns false, and changes nothing, if it was placed
/// before: `recorded_at` never changes once it may have been uploaded.
pub fn place(connection: &Connection, segment: u32, placement: Placement) -> Result<bool> {
    let changed = connection
        .prepare_cached(
            "UPDATE hub_boots SET offset_ms = ?2, quality = ?3, uncertainty_ms = ?4
             WHERE segment = ?1 AND offset_ms IS NULL",
        )?
        .execute(params![
            segment,
            placement.offset_ms,
            placement.quality.as_str(),
            placement.uncertainty_ms
        ])?;
    if changed == 1 {
        unplaced::settle(connection, segment, placement.offset_ms)?;
    }
    Ok(changed == 1)
}

/// Places the segments that ended untrusted, as far as the placed ones tell (`clock::estimate`). Returns what it placed.
pub fn place_former(connection: &Connection) -> Result<Vec<(u32, Placement)>> {
    let placements = estimate::estimate(&known(connection)?);
    for (segment, placement) in &placements {
        place(connection, *segment, *placement)?;
    }
    Ok(placements)
}

/// Takes a placement back that was found to be wrong, if none of the segment's readings was cut into a batch or sent;
/// what had moved to history returns to the log. Returns whether it was taken back.
pub fn refute(connection: &Connection, segment: u32) -> Result<bool> {
    let segments = all(connection)?;
    let Some(position) = segments.iter().position(|row| row.no == segment) else { return Ok(false) };
    let Some(offset_ms) = segments[position].offset_ms() else { return Ok(false) };
    let intervals = intervals(connection, &segments, position)?;
    for (epoch_no, lo, hi) in &intervals {
        let sql =
            "SELECT EXISTS (SELECT 1 FROM hub_sent WHERE epoch_no = ?1 AND seq_lo <= ?3 AND seq_hi >= ?2)
            OR EXISTS (SELECT 1 FROM hub_batches WHERE row_epoch_no = ?1 AND seq_lo <= ?3 AND seq_hi >= ?2)";
        if connection.query_row(sql, params![epoch_no, lo.0 as i64, hi.0 as i64], |row| row.get(0))? {
            return Ok(false);
        }
    }
    for (epoch_no, lo, hi) in intervals {
        history::move_back(connection, epoch_no, lo, hi, segment, offset_ms)?;
    }
    connection.execute(
        "UPDATE hub_boots SET offset_ms = NULL, quality = 'untrusted', uncertainty_ms = 0 WHERE segment = ?1",
        [segment],
    )?;
    Ok(true)
}

/// Persists that the segment has lasted until `stamp`: every 10 min and at a stop.
pub fn touch(connection: &Connection, stamp: Stamp) -> Result<()> {
    connection
        .prepare_cached("UPDATE hub_boots SET last_mono_ms = max(last_mono_ms, ?2) WHERE segment = ?1")?
        .execute(params![stamp.segment, stamp.mono.0])?;
    Ok(())
}

/// Persists a wall time known to be past; it replaces the one before.
pub fn persist_wall(connection: &Connection, wall: UnixMs) -> Result<()> {
    meta::set(connection, meta::WALL_MAX, &wall.0.to_string())
}

/// The wall time persisted last.
pub fn persisted_wall(connection: &Connection) -> Result<Option<UnixMs>> {
    Ok(meta::get_i64(connection, meta::WALL_MAX)?.map(UnixMs))
}

/// Every segment, oldest first.
pub fn all(connection: &Connection) -> Result<Vec<Segment>> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} ORDER BY segment"))?;
    let mut rows = statement.query([])?;
    let mut segments = Vec::new();
    while let Some(row) = rows.next()? {
        segments.push(read(row)?);
    }
    Ok(segments)
}

/// Every segment as the clock knows it, oldest first. After a power cut the last one's end is that of its last row.
pub fn known(connection: &Connection) -> Result<Vec<Boot>> {
    let mut boots: Vec<Boot> = all(connection)?.into_iter().map(|segment| segment.boot).collect();
    for stamp in last_stamps(connection)? {
        if let Some(boot) = boots.iter_mut().find(|boot| boot.segment == stamp.segment) {
            boot.last_mono = boot.last_mono.max(stamp.mono);
        }
    }
    Ok(boots)
}

pub fn find(connection: &Connection, segment: u32) -> Result<Option<Segment>> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE segment = ?1"))?;
    let mut rows = statement.query([segment])?;
    rows.next()?.map(read).transpose()
}

/// Wall time of a stamp, and whether its segment is placed (else it is the earliest it can have been).
pub fn wall_of(connection: &Connection, stamp: Stamp) -> Result<(UnixMs, bool)> {
    Ok(match find(connection, stamp.segment)? {
        Some(segment) => (segment.wall(stamp.mono), segment.is_placed()),
        None => (UnixMs(stamp.mono.0), false),
    })
}

/// The segment that (`epoch_no`, `seq`) was made in, of `segments` oldest first.
pub fn segment_of(segments: &[Segment], epoch_no: u32, seq: Seq) -> Option<&Segment> {
    let after =
        segments.partition_point(|segment| (segment.first_epoch_no, segment.first_seq) <= (epoch_no, seq));
    segments[..after].last()
}

/// `quality` of a segment without a placement.
const UNTRUSTED: &str = "untrusted";

const SELECT: &str =
    "SELECT segment, boot_id, reason, first_epoch_no, first_seq, first_mono_ms, last_mono_ms,
    floor_ms, offset_ms, quality, uncertainty_ms FROM hub_boots";

fn read(row: &Row<'_>) -> Result<Segment> {
    let no = row.get(0)?;
    let value = |detail| StoreError::Value { table: "hub_boots", detail };
    let reason: String = row.get(2)?;
    let quality: String = row.get(9)?;
    let placement = match row.get::<_, Option<i64>>(8)? {
        None => None,
        Some(offset_ms) => Some(Placement {
            offset_ms,
            quality: Quality::parse(&quality)
                .ok_or_else(|| value(format!("segment {no} is placed with quality {quality}")))?,
            uncertainty_ms: row.get(10)?,
        }),
    };
    Ok(Segment {
        no,
        first_epoch_no: row.get(3)?,
        first_seq: Seq(row.get::<_, i64>(4)? as u64),
        boot: Boot {
            segment: no,
            boot_id: row.get(1)?,
            reason: BootReason::parse(&reason)
                .ok_or_else(|| value(format!("segment {no} began for the reason {reason}")))?,
            first_mono: MonoMs(row.get(5)?),
            last_mono: MonoMs(row.get(6)?),
            floor: UnixMs(row.get(7)?),
            placement,
        },
    })
}

/// Intervals of the counter that belong to the segment at `position`, by epoch.
fn intervals(connection: &Connection, segments: &[Segment], position: usize) -> Result<Vec<(u32, Seq, Seq)>> {
    let segment = &segments[position];
    let next = segments.get(position + 1);
    let mut intervals = Vec::new();
    for epoch in epochs::all(connection)? {
        let lo = match epoch.no.cmp(&segment.first_epoch_no) {
            std::cmp::Ordering::Less => continue,
            std::cmp::Ordering::Equal => segment.first_seq,
            std::cmp::Ordering::Greater => Seq(1),
        };
        let end = match next {
            Some(next) if next.first_epoch_no < epoch.no => continue,
            Some(next) if next.first_epoch_no == epoch.no => next.first_seq,
            _ => epochs::next_seq(connection, epoch.no)?,
        };
        if lo < end {
            intervals.push((epoch.no, lo, Seq(end.0 - 1)));
        }
    }
    Ok(intervals)
}

/// After a power cut the last rows know better than the last touch how long the segment was.
fn close_last(connection: &Connection) -> Result<()> {
    last_stamps(connection)?.into_iter().try_for_each(|stamp| touch(connection, stamp))
}

fn last_stamps(connection: &Connection) -> Result<Vec<Stamp>> {
    let mut stamps = Vec::new();
    for sql in [
        "SELECT segment, mono_ms FROM hub_log ORDER BY seq DESC LIMIT 1",
        "SELECT segment, mono_ms FROM hub_inputs ORDER BY epoch_no DESC, seq DESC LIMIT 1",
        "SELECT segment, mono_ms FROM hub_frames ORDER BY no DESC LIMIT 1",
    ] {
        let stamp = connection
            .prepare_cached(sql)?
            .query_row([], |row| Ok(Stamp { segment: row.get(0)?, mono: MonoMs(row.get(1)?) }))
            .optional()?;
        stamps.extend(stamp);
    }
    Ok(stamps)
}
