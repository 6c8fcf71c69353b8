//! `hub_frames`: raw frames with what became of each, bounded by age and bytes; strangers have a bound of their own, so
//! that they never displace a known device's.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::Result;
use super::writer::Store;
use crate::domain::{DeviceNo, MonoMs, Source, Stamp, UnixMs};

/// Kept this long: two weeks, in which a codec fix or a late pairing can use them.
pub const AGE_MS_MAX: i64 = 14 * 86_400_000;
/// Kept bytes: 64 sensors a minute for 14 days at 200 bytes, overhead included.
pub const BYTES_MAX: i64 = 256 << 20;
/// Frames of senders that are no device here: all of them, and of one address.
pub const STRANGER_FRAMES_MAX: i64 = 2_000;
pub const STRANGER_ADDRESS_FRAMES_MAX: i64 = 50;
/// Bytes of a frame that are kept; no sensor's message is longer, a hostile topic's may be.
pub const FRAME_BYTES_MAX: usize = 4_096;
/// What a row takes besides its payload.
const ROW_BYTES: i64 = 80;
/// Rows a prune deletes in one transaction: about 1 MB of WAL.
const PRUNE_ROWS_MAX: i64 = 5_000;
/// A frame that waited for its script is among so many of the newest: those that wait are few, and some seconds old.
const SETTLE_WITHIN: i64 = 10_000;
/// Frames handed out at start: a day of 64 sensors a minute, twice.
const RECENT_MAX: i64 = 200_000;

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    Reading,
    Event,
    Fault,
    Stranger,
    Unassigned,
    Undecodable,
    Duplicate,
    Refused,
}

impl Outcome {
    pub const ALL: [Outcome; 8] = [
        Outcome::Reading,
        Outcome::Event,
        Outcome::Fault,
        Outcome::Stranger,
        Outcome::Unassigned,
        Outcome::Undecodable,
        Outcome::Duplicate,
        Outcome::Refused,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Reading => "reading",
            Outcome::Event => "event",
            Outcome::Fault => "fault",
            Outcome::Stranger => "stranger",
            Outcome::Unassigned => "unassigned",
            Outcome::Undecodable => "undecodable",
            Outcome::Duplicate => "duplicate",
            Outcome::Refused => "refused",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }
}

/// A frame to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameRow {
    pub stamp: Stamp,
    pub source: Source,
    pub port: String,
    pub address: String,
    pub device: Option<DeviceNo>,
    pub f_port: Option<u8>,
    pub counter: Option<u32>,
    /// dBm.
    pub rssi: Option<i32>,
    /// First 8 bytes of a hash over what names the frame.
    pub dedup: i64,
    pub outcome: Outcome,
    pub detail: Option<String>,
    /// Cut at `FRAME_BYTES_MAX`.
    pub bytes: Vec<u8>,
}

/// A sender whose frames nothing uses yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusedSender {
    pub source: String,
    pub port: String,
    pub address: String,
    pub outcome: Outcome,
    pub frames: u64,
    /// Its newest frame, by which a model can be tried.
    pub no: i64,
    pub last: Stamp,
    pub f_port: Option<u8>,
    pub rssi: Option<i32>,
    pub detail: Option<String>,
    pub bytes: Vec<u8>,
}

/// Keeps a frame and returns its number. A stranger's frame displaces the oldest of its address, then of all strangers.
pub fn append(connection: &Connection, frame: &FrameRow) -> Result<i64> {
    let bytes = &frame.bytes[..frame.bytes.len().min(FRAME_BYTES_MAX)];
    let before: i64 = connection
        .prepare_cached("SELECT bytes_through FROM hub_frames ORDER BY no DESC LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?
        .unwrap_or(0);
    connection
        .prepare_cached(
            "INSERT INTO hub_frames (segment, mono_ms, source, port, address, device_no, f_port, counter, rssi, dedup,
                outcome, detail, bytes_through, bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )?
        .execute(params![
            frame.stamp.segment,
            frame.stamp.mono.0,
            frame.source.as_str(),
            frame.port,
            frame.address,
            frame.device.map(|device| device.0),
            frame.f_port,
            frame.counter,
            frame.rssi,
            frame.dedup,
            frame.outcome.as_str(),
            frame.detail,
            before + bytes.len() as i64 + ROW_BYTES,
            bytes,
        ])?;
    let no = connection.last_insert_rowid();
    if frame.outcome == Outcome::Stranger {
        displace_strangers(connection, &frame.address)?;
    }
    Ok(no)
}

/// What is remembered of a frame for finding it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecentFrame {
    pub dedup: i64,
    /// Since its reception, as far as times are known (else more).
    pub age_ms: i64,
}

/// The frames of the last `within_ms` before `now`, oldest first, for finding repeated ones across a restart.
pub fn recent(connection: &Connection, now: UnixMs, within_ms: i64) -> Result<Vec<RecentFrame>> {
    let first = first_since(connection, UnixMs(now.0 - within_ms))?;
    let sql = "SELECT dedup, wall FROM (
            SELECT f.no, f.dedup, f.mono_ms + coalesce(b.offset_ms, b.floor_ms - b.first_mono_ms) AS wall
            FROM hub_frames AS f JOIN hub_boots AS b USING (segment) WHERE f.no >= ?1 ORDER BY f.no DESC LIMIT ?2)
        ORDER BY no";
    let mut statement = connection.prepare_cached(sql)?;
    let frames = statement
        .query_map(params![first, RECENT_MAX], |row| {
            Ok(RecentFrame { dedup: row.get(0)?, age_ms: (now.0 - row.get::<_, i64>(1)?).max(0) })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(frames)
}

/// Drops frames over the bounds of age and bytes, oldest first: a step in a transaction of its own. Returns how many; more
/// may be left.
pub fn prune(store: &mut Store, now: UnixMs) -> Result<u64> {
    store.write(|tx| prune_to(tx, now, BYTES_MAX))
}

/// Bytes that the kept frames take (an upper bound: displaced strangers are still counted).
pub fn bytes(connection: &Connection) -> Result<i64> {
    let ends = "SELECT (SELECT bytes_through FROM hub_frames ORDER BY no DESC LIMIT 1)
        - (SELECT bytes_through FROM hub_frames ORDER BY no LIMIT 1)";
    Ok(connection.query_row(ends, [], |row| row.get::<_, Option<i64>>(0))?.unwrap_or(0))
}

/// Senders whose frames wait for a pairing, an assignment or a codec, newest first.
pub fn unused(connection: &Connection, max: usize) -> Result<Vec<UnusedSender>> {
    let sql =
        "SELECT f.source, f.port, f.address, f.outcome, newest.frames, f.no, f.segment, f.mono_ms, f.f_port,
            f.rssi, f.detail, f.bytes
        FROM (SELECT outcome, address, count(*) AS frames, max(no) AS no FROM hub_frames
              WHERE outcome IN ('stranger', 'unassigned', 'undecodable') GROUP BY outcome, address) AS newest
        JOIN hub_frames AS f ON f.no = newest.no ORDER BY f.no DESC LIMIT ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let senders = statement
        .query_map([max as i64], |row| {
            Ok(UnusedSender {
                source: row.get(0)?,
                port: row.get(1)?,
                address: row.get(2)?,
                outcome: Outcome::parse(&row.get::<_, String>(3)?).unwrap_or(Outcome::Undecodable),
                frames: row.get::<_, i64>(4)? as u64,
                no: row.get(5)?,
                last: Stamp { segment: row.get(6)?, mono: MonoMs(row.get(7)?) },
                f_port: row.get(8)?,
                rssi: row.get(9)?,
                detail: row.get(10)?,
                bytes: row.get(11)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(senders)
}

/// A kept frame of a device, to be decoded again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptFrame {
    pub no: i64,
    pub stamp: Stamp,
    pub source: Source,
    pub f_port: u8,
    pub rssi: Option<i32>,
    pub outcome: Outcome,
    pub bytes: Vec<u8>,
}

/// Numbers of the first frame received at or after `from`, and of the first after `to`.
pub fn numbers(connection: &Connection, from: UnixMs, to: UnixMs) -> Result<(i64, i64)> {
    Ok((first_since(connection, from)?, first_since(connection, to)?))
}

/// The frames of a device with numbers in `numbers` that hold a payload of the device's own format, oldest first.
/// `decoded` ones too, else those that could not be decoded.
pub fn of_device(
    connection: &Connection,
    device: DeviceNo,
    numbers: std::ops::Range<i64>,
    decoded: bool,
    max: usize,
) -> Result<Vec<KeptFrame>> {
    let sql = "SELECT no, segment, mono_ms, source, f_port, rssi, outcome, bytes FROM hub_frames
        WHERE no >= ?1 AND no < ?2 AND device_no = ?3 AND f_port IS NOT NULL AND length(bytes) < ?4
            AND (outcome = 'undecodable' OR ?5 AND outcome IN ('reading', 'event', 'fault'))
        ORDER BY no LIMIT ?6";
    let bounds = params![numbers.start, numbers.end, device.0, FRAME_BYTES_MAX as i64, decoded, max as i64];
    let frames = connection.prepare_cached(sql)?.query_map(bounds, kept)?.collect::<rusqlite::Result<_>>()?;
    Ok(frames)
}

/// Notes what became of a frame that waited for its script, by when it was heard and its `dedup`.
pub fn settle(
    connection: &Connection,
    (stamp, dedup): (Stamp, i64),
    outcome: Outcome,
    detail: Option<&str>,
) -> Result<()> {
    // It is among the newest.
    let sql = "UPDATE hub_frames SET outcome = ?5, detail = ?6 WHERE no = (SELECT no FROM hub_frames
        WHERE no > (SELECT max(no) FROM hub_frames) - ?4 AND segment = ?1 AND mono_ms = ?2 AND dedup = ?3
        ORDER BY no DESC LIMIT 1)";
    let found = params![stamp.segment, stamp.mono.0, dedup, SETTLE_WITHIN, outcome.as_str(), detail];
    connection.prepare_cached(sql)?.execute(found)?;
    Ok(())
}

/// Frames of devices with this detail among the newest, and with numbers after `after`, oldest first, at most `max`.
pub fn with_detail(
    connection: &Connection,
    detail: &str,
    after: i64,
    max: usize,
) -> Result<Vec<(DeviceNo, KeptFrame)>> {
    let sql = "SELECT no, segment, mono_ms, source, f_port, rssi, outcome, bytes, device_no FROM hub_frames
        WHERE no > max(?5, (SELECT max(no) FROM hub_frames) - ?1) AND device_no IS NOT NULL AND f_port IS NOT NULL
            AND length(bytes) < ?2 AND outcome = 'undecodable' AND detail = ?3
        ORDER BY no LIMIT ?4";
    let bounds = params![SETTLE_WITHIN, FRAME_BYTES_MAX as i64, detail, max as i64, after];
    let frames = connection
        .prepare_cached(sql)?
        .query_map(bounds, |row| Ok((DeviceNo(row.get(8)?), kept(row)?)))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(frames)
}

fn kept(row: &Row<'_>) -> rusqlite::Result<KeptFrame> {
    let source: String = row.get(3)?;
    Ok(KeptFrame {
        no: row.get(0)?,
        stamp: Stamp { segment: row.get(1)?, mono: MonoMs(row.get(2)?) },
        source: Source::ALL.into_iter().find(|known| known.as_str() == source).unwrap_or(Source::Import),
        f_port: row.get(4)?,
        rssi: row.get(5)?,
        outcome: Outcome::parse(&row.get::<_, String>(6)?).unwrap_or(Outcome::Undecodable),
        bytes: row.get(7)?,
    })
}

/// Notes what became of a frame that was decoded again.
pub fn set_outcome(connection: &Connection, no: i64, outcome: Outcome, detail: &str) -> Result<()> {
    connection
        .prepare_cached("UPDATE hub_frames SET outcome = ?2, detail = ?3 WHERE no = ?1")?
        .execute(params![no, outcome.as_str(), detail])?;
    Ok(())
}

pub(super) fn prune_to(connection: &Connection, now: UnixMs, bytes_max: i64) -> Result<u64> {
    let Some((first, last)) = ends(connection)? else { return Ok(0) };
    let mut keep_from = first_since(connection, UnixMs(now.0 - AGE_MS_MAX))?;
    let through: i64 =
        connection
            .query_row("SELECT bytes_through FROM hub_frames WHERE no = ?1", [last], |row| row.get(0))?;
    let fits = search(first, last + 1, |no| {
        let sql = "SELECT bytes_through FROM hub_frames WHERE no >= ?1 ORDER BY no LIMIT 1";
        let so_far: i64 = connection.prepare_cached(sql)?.query_row([no], |row| row.get(0))?;
        Ok(through - so_far <= bytes_max)
    })?;
    keep_from = keep_from.max(fits).min(first + PRUNE_ROWS_MAX);
    let deleted = connection.prepare_cached("DELETE FROM hub_frames WHERE no < ?1")?.execute([keep_from])?;
    Ok(deleted as u64)
}

/// Number of the first frame received at or after `since`; numbers rise with time, save for clock steps.
fn first_since(connection: &Connection, since: UnixMs) -> Result<i64> {
    let Some((first, last)) = ends(connection)? else { return Ok(1) };
    search(first, last + 1, |no| {
        let sql = "SELECT f.mono_ms + coalesce(b.offset_ms, b.floor_ms - b.first_mono_ms)
            FROM hub_frames AS f JOIN hub_boots AS b USING (segment) WHERE f.no >= ?1 ORDER BY f.no LIMIT 1";
        let wall: Option<i64> =
            connection.prepare_cached(sql)?.query_row([no], |row| row.get(0)).optional()?;
        Ok(wall.is_none_or(|wall| wall >= since.0))
    })
}

fn ends(connection: &Connection) -> Result<Option<(i64, i64)>> {
    let ends: (Option<i64>, Option<i64>) = connection
        .prepare_cached("SELECT (SELECT min(no) FROM hub_frames), (SELECT max(no) FROM hub_frames)")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(ends.0.zip(ends.1))
}

/// The first number in `lo..hi` for which `is_kept` holds, else `hi`.
fn search(mut lo: i64, mut hi: i64, is_kept: impl Fn(i64) -> Result<bool>) -> Result<i64> {
    while lo < hi {
        let middle = lo + (hi - lo) / 2;
        if is_kept(middle)? { hi = middle } else { lo = middle + 1 }
    }
    Ok(lo)
}

fn displace_strangers(connection: &Connection, address: &str) -> Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM hub_frames WHERE no IN (SELECT no FROM hub_frames WHERE outcome = 'stranger' AND address = ?1
             ORDER BY no DESC LIMIT -1 OFFSET ?2)",
        )?
        .execute(params![address, STRANGER_ADDRESS_FRAMES_MAX])?;
    let strangers: i64 = connection
        .prepare_cached("SELECT count(*) FROM hub_frames WHERE outcome = 'stranger'")?
        .query_row([], |row| row.get(0))?;
    if strangers > STRANGER_FRAMES_MAX {
        connection
            .prepare_cached(
                "DELETE FROM hub_frames WHERE no IN (SELECT no FROM hub_frames WHERE outcome = 'stranger'
                 ORDER BY no LIMIT ?1)",
            )?
            .execute([strangers - STRANGER_FRAMES_MAX])?;
    }
    Ok(())
}
