//! Figures for status: counts and sizes, cheap enough to ask every few seconds.

use rusqlite::{Connection, OptionalExtension, params};

use super::error::Result;
use super::{boots, epochs, frames, prune};
use crate::domain::{MonoMs, Stamp, UnixMs};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Pages in use.
    pub database_bytes: u64,
    pub frames_bytes: u64,
    /// Readings stored, in log and history.
    pub readings: u64,
    pub log_rows: u64,
    /// The last number given out of the present epoch.
    pub last_seq: u64,
    /// Readings not acknowledged; hours that are partly so are counted by their share.
    pub unsent: u64,
    pub oldest_unsent: Option<UnixMs>,
    /// Rows of lane 0 to be cut.
    pub dirty: u64,
    /// Batches cut and not acknowledged.
    pub batches: u64,
    pub refused: u64,
    /// Time columns that wait for a trusted clock.
    pub unplaced: u64,
}

pub fn read(connection: &Connection) -> Result<Figures> {
    let count = |sql: &str| -> Result<u64> {
        Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get::<_, i64>(0))? as u64)
    };
    let log_rows = count("SELECT count(*) FROM hub_log")?;
    let epoch = epochs::current(connection)?;
    let mut figures = Figures {
        database_bytes: prune::bytes_used(connection)?,
        frames_bytes: frames::bytes(connection)? as u64,
        readings: log_rows + count("SELECT coalesce(sum(rows), 0) FROM hub_hours")?,
        log_rows,
        last_seq: epochs::next_seq(connection, epoch.no)?.0 - 1,
        dirty: count("SELECT count(*) FROM hub_dirty")?,
        batches: count("SELECT count(*) FROM hub_batches")?,
        refused: count("SELECT count(*) FROM hub_refused")?,
        unplaced: count("SELECT count(*) FROM hub_unplaced")?,
        ..Figures::default()
    };
    for epoch in epochs::all(connection)? {
        for (lo, hi) in gaps(connection, epoch.no)? {
            let (rows, oldest) = unsent_in(connection, epoch.no, lo, hi)?;
            figures.unsent += rows;
            figures.oldest_unsent =
                [figures.oldest_unsent, oldest].into_iter().flatten().min_by_key(|time| time.0);
        }
    }
    Ok(figures)
}

/// Intervals of the counter that are not acknowledged.
fn gaps(connection: &Connection, epoch_no: u32) -> Result<Vec<(i64, i64)>> {
    let last = epochs::next_seq(connection, epoch_no)?.0 as i64 - 1;
    let mut gaps = Vec::new();
    let mut next = 1;
    let mut statement = connection
        .prepare_cached("SELECT seq_lo, seq_hi FROM hub_sent WHERE epoch_no = ?1 ORDER BY seq_lo")?;
    let mut rows = statement.query([epoch_no])?;
    while let Some(row) = rows.next()? {
        let (lo, hi): (i64, i64) = (row.get(0)?, row.get(1)?);
        if lo > next {
            gaps.push((next, lo - 1));
        }
        next = next.max(hi + 1);
    }
    if next <= last {
        gaps.push((next, last));
    }
    Ok(gaps)
}

fn unsent_in(connection: &Connection, epoch_no: u32, lo: i64, hi: i64) -> Result<(u64, Option<UnixMs>)> {
    let interval = params![epoch_no, lo, hi];
    let in_log: i64 = connection
        .prepare_cached("SELECT count(*) FROM hub_log WHERE epoch_no = ?1 AND seq BETWEEN ?2 AND ?3")?
        .query_row(interval, |row| row.get(0))?;
    let (in_history, hour): (i64, Option<i64>) = connection
        .prepare_cached(
            "SELECT coalesce(sum(rows * (min(seq_hi, ?3) - max(seq_lo, ?2) + 1) / (seq_hi - seq_lo + 1)), 0), min(hour)
             FROM hub_hours WHERE epoch_no = ?1 AND seq_hi >= ?2 AND seq_lo <= ?3",
        )?
        .query_row(interval, |row| Ok((row.get(0)?, row.get(1)?)))?;
    let first: Option<Stamp> = connection
        .prepare_cached(
            "SELECT segment, mono_ms FROM hub_log WHERE epoch_no = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY seq LIMIT 1",
        )?
        .query_row(interval, |row| Ok(Stamp { segment: row.get(0)?, mono: MonoMs(row.get(1)?) }))
        .optional()?;
    let mut oldest = hour.map(|hour| UnixMs(hour * super::history::HOUR_MS));
    if let Some(stamp) = first {
        let (wall, _) = boots::wall_of(connection, stamp)?;
        oldest = Some(oldest.map_or(wall, |hour| hour.min(wall)));
    }
    Ok(((in_log + in_history) as u64, oldest))
}
