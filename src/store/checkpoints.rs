//! `hub_checkpoints`: states of the rules, from which a restart replays.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::error::{Result, StoreError};
use crate::domain::{MonoMs, Seq, Stamp, UnixMs};

/// The newest ones kept: two, so that one that cannot be read is not the only one.
const KEPT_NEWEST: usize = 2;

/// Days of which the newest one is kept, so that a month's decisions can be replayed without starting at the beginning.
const KEPT_DAYS: usize = 35;

const DAY_MS: i64 = 86_400_000;

/// Format of `body` written by this version.
const VERSION: u8 = 1;

/// State of the rules after `seq`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub seq: Seq,
    pub stamp: Stamp,
    pub body: Body,
}

/// What a checkpoint holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// Judging time of monotonic 0 of the segment.
    pub tick_base: i64,
    /// The rules' own encoding.
    pub state: Vec<u8>,
}

/// Writes one and drops those no longer kept. `now`: wall time, as far as it is known.
pub fn write(
    connection: &Connection,
    epoch_no: u32,
    seq: Seq,
    stamp: Stamp,
    now: UnixMs,
    body: &Body,
) -> Result<()> {
    let encoded = postcard::to_extend(body, vec![VERSION]).map_err(|error| unreadable(error.to_string()))?;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO hub_checkpoints (epoch_no, seq, segment, mono_ms, day, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            epoch_no,
            seq.0 as i64,
            stamp.segment,
            stamp.mono.0,
            now.0.div_euclid(DAY_MS),
            encoded
        ])?;
    thin(connection)
}

/// The newest one of the epoch that can be read.
pub fn latest(connection: &Connection, epoch_no: u32) -> Result<Option<Checkpoint>> {
    let sql = "SELECT seq, segment, mono_ms, body FROM hub_checkpoints WHERE epoch_no = ?1 ORDER BY seq DESC";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([epoch_no])?;
    while let Some(row) = rows.next()? {
        let encoded: Vec<u8> = row.get(3)?;
        // A replay from the one before comes to the same state; a body of a later version is no reason to stop.
        if let Ok(body) = decode(&encoded) {
            let stamp = Stamp { segment: row.get(1)?, mono: MonoMs(row.get(2)?) };
            return Ok(Some(Checkpoint { seq: Seq(row.get::<_, i64>(0)? as u64), stamp, body }));
        }
    }
    Ok(None)
}

/// Every one of every epoch that can be read, the oldest first.
pub fn all(connection: &Connection) -> Result<Vec<(u32, Checkpoint)>> {
    let sql = "SELECT epoch_no, seq, segment, mono_ms, body FROM hub_checkpoints ORDER BY epoch_no, seq";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        let encoded: Vec<u8> = row.get(4)?;
        if let Ok(body) = decode(&encoded) {
            let stamp = Stamp { segment: row.get(2)?, mono: MonoMs(row.get(3)?) };
            out.push((row.get(0)?, Checkpoint { seq: Seq(row.get::<_, i64>(1)? as u64), stamp, body }));
        }
    }
    Ok(out)
}

fn decode(encoded: &[u8]) -> Result<Body> {
    match encoded.split_first() {
        Some((&VERSION, rest)) => postcard::from_bytes(rest).map_err(|error| unreadable(error.to_string())),
        other => Err(unreadable(format!("version {:?}", other.map(|(version, _)| version)))),
    }
}

fn unreadable(detail: String) -> StoreError {
    StoreError::Value { table: "hub_checkpoints", detail }
}

fn thin(connection: &Connection) -> Result<()> {
    let sql = "SELECT epoch_no, seq, day FROM hub_checkpoints ORDER BY epoch_no DESC, seq DESC";
    let mut statement = connection.prepare_cached(sql)?;
    let all: Vec<(u32, i64, i64)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut days = BTreeSet::new();
    for (position, (epoch_no, seq, day)) in all.iter().enumerate() {
        let is_daily = days.len() < KEPT_DAYS && days.insert(day);
        if position >= KEPT_NEWEST && !is_daily {
            connection
                .prepare_cached("DELETE FROM hub_checkpoints WHERE epoch_no = ?1 AND seq = ?2")?
                .execute(params![epoch_no, seq])?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::memory;

    #[test]
    fn two_newest_and_one_a_day_are_kept() {
        let connection = memory();
        // Every 6 hours for forty days.
        for n in 1..=160 {
            let stamp = Stamp { segment: 1, mono: MonoMs(n * DAY_MS / 4) };
            let body = Body { tick_base: n, state: vec![n as u8] };
            write(&connection, 1, Seq(n as u64), stamp, UnixMs(n * DAY_MS / 4), &body).unwrap();
        }
        let mut statement = connection.prepare("SELECT seq FROM hub_checkpoints ORDER BY seq").unwrap();
        let kept: Vec<i64> =
            statement.query_map([], |row| row.get(0)).unwrap().map(|row| row.unwrap()).collect();
        let daily: Vec<i64> = (0..34).map(|day| 27 + 4 * day).chain([160]).collect();
        assert_eq!(kept, daily);
        assert_eq!(latest(&connection, 1).unwrap().unwrap().body, Body { tick_base: 160, state: vec![160] });
        // One that cannot be read gives way to the one before.
        connection.execute("UPDATE hub_checkpoints SET body = x'09ff' WHERE seq = 160", []).unwrap();
        assert_eq!(latest(&connection, 1).unwrap().unwrap().seq, Seq(159));
        assert_eq!(latest(&connection, 2).unwrap(), None);
    }
}
