//! `hub_inputs`: every input of the rules besides readings, in commit order; and replay, which merges both.

use std::collections::VecDeque;

use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};

use super::error::{Result, StoreError};
use super::log::LogRow;
use super::{history, log};
use crate::domain::{MonoMs, Seq, Stamp};
use crate::rules::Event;

/// Numbers of the counter read at a time: bounds the memory of a replay.
const REPLAY_WINDOW: u64 = 4_096;

/// Format of `body` written by this version. Version 1 had the whole configuration as postcard, which does not outlive a
/// new setting.
const VERSION: u8 = 2;

/// A row of `hub_inputs`. `body` is an encoded `Input`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputRow {
    pub epoch_no: u32,
    pub seq: Seq,
    /// Readable name of the event, for people and for counting.
    pub kind: String,
    pub stamp: Stamp,
    pub body: Vec<u8>,
}

/// What `body` holds: an input of the rules, and the judging time it was judged in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// Judging time of monotonic 0 of the segment.
    pub tick_base: i64,
    pub event: Event,
}

/// As it is stored: the configuration as JSON, so that settings of a later version take their defaults; all else is frozen.
#[derive(Serialize, Deserialize)]
enum Stored {
    Configured(String),
    Other(Event),
}

impl Input {
    pub fn encode(&self) -> Result<Vec<u8>> {
        let json = |error: serde_json::Error| unreadable(error.to_string());
        let stored = match &self.event {
            Event::Configured(config) => Stored::Configured(serde_json::to_string(config).map_err(json)?),
            event => Stored::Other(event.clone()),
        };
        postcard::to_extend(&(self.tick_base, stored), vec![VERSION])
            .map_err(|error| unreadable(error.to_string()))
    }

    /// None: it was written by a version whose form is no longer read.
    pub fn decode(body: &[u8]) -> Result<Option<Self>> {
        match body.split_first() {
            Some((&VERSION, rest)) => {
                let (tick_base, stored): (i64, Stored) =
                    postcard::from_bytes(rest).map_err(|error| unreadable(error.to_string()))?;
                let event = match stored {
                    Stored::Configured(json) => Event::Configured(Box::new(
                        serde_json::from_str(&json).map_err(|error| unreadable(error.to_string()))?,
                    )),
                    Stored::Other(event) => event,
                };
                Ok(Some(Self { tick_base, event }))
            }
            Some((1, _)) => Ok(None),
            other => Err(unreadable(format!("version {:?}", other.map(|(version, _)| version)))),
        }
    }
}

/// One input of the rules, as it was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayRow {
    Log(LogRow),
    Input(InputRow),
}

impl ReplayRow {
    pub fn seq(&self) -> Seq {
        match self {
            ReplayRow::Log(row) => row.seq,
            ReplayRow::Input(row) => row.seq,
        }
    }
}

/// Appends an input. The caller draws `seq` from the counter that the log uses too.
pub fn append(connection: &Connection, row: &InputRow) -> Result<()> {
    let sql = "INSERT INTO hub_inputs (epoch_no, seq, kind, segment, mono_ms, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    connection.prepare_cached(sql)?.execute(params![
        row.epoch_no,
        row.seq.0 as i64,
        row.kind,
        row.stamp.segment,
        row.stamp.mono.0,
        row.body
    ])?;
    Ok(())
}

/// Inputs with `seq_lo <= seq <= seq_hi`, in order.
pub fn rows(connection: &Connection, epoch_no: u32, seq_lo: Seq, seq_hi: Seq) -> Result<Vec<InputRow>> {
    let sql = "SELECT epoch_no, seq, kind, segment, mono_ms, body FROM hub_inputs
        WHERE epoch_no = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY seq";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement
        .query_map(params![epoch_no, seq_lo.0 as i64, seq_hi.0 as i64], read)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(rows)
}

/// Everything the rules were given after `seq` of the epoch, in order: log, history and inputs, a window at a time.
pub fn replay_after(connection: &Connection, epoch_no: u32, seq: Seq) -> Result<Replay<'_>> {
    let end = super::epochs::next_seq(connection, epoch_no)?;
    Ok(Replay { connection, epoch_no, next: Seq(seq.0 + 1), end, window: VecDeque::new() })
}

/// Iterator over `replay_after`; an error ends it.
pub struct Replay<'a> {
    connection: &'a Connection,
    epoch_no: u32,
    next: Seq,
    end: Seq,
    window: VecDeque<ReplayRow>,
}

impl Iterator for Replay<'_> {
    type Item = Result<ReplayRow>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.window.is_empty() {
            if self.next >= self.end {
                return None;
            }
            if let Err(error) = self.fill() {
                self.next = self.end;
                return Some(Err(error));
            }
        }
        self.window.pop_front().map(Ok)
    }
}

impl Replay<'_> {
    fn fill(&mut self) -> Result<()> {
        let (lo, hi) = (self.next, Seq(self.next.0 + REPLAY_WINDOW - 1));
        let mut rows: Vec<ReplayRow> = Vec::new();
        rows.extend(log::rows(self.connection, self.epoch_no, lo, hi)?.into_iter().map(ReplayRow::Log));
        rows.extend(
            history::rows(self.connection, self.epoch_no, lo, hi)?
                .into_iter()
                .map(|row| ReplayRow::Log(row.log)),
        );
        rows.extend(self::rows(self.connection, self.epoch_no, lo, hi)?.into_iter().map(ReplayRow::Input));
        rows.sort_by_key(ReplayRow::seq);
        self.window = rows.into();
        self.next = Seq(hi.0 + 1);
        Ok(())
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<InputRow> {
    Ok(InputRow {
        epoch_no: row.get(0)?,
        seq: Seq(row.get::<_, i64>(1)? as u64),
        kind: row.get(2)?,
        stamp: Stamp { segment: row.get(3)?, mono: MonoMs(row.get(4)?) },
        body: row.get(5)?,
    })
}

fn unreadable(detail: String) -> StoreError {
    StoreError::Value { table: "hub_inputs", detail }
}

/// Inputs kept: years of doors, restarts and faults of one kitchen, about 100 MB.
pub const ROWS_MAX: u64 = 1_000_000;

/// Drops the oldest inputs over `keep`, but none that a restart replays: those after the oldest kept checkpoint stay.
/// Returns how many went.
pub fn prune(connection: &Connection, keep: u64) -> Result<u64> {
    let deleted = connection
        .prepare_cached(
            "WITH bound AS (SELECT epoch_no, seq FROM hub_inputs ORDER BY epoch_no DESC, seq DESC LIMIT 1 OFFSET ?1),
                checkpoint AS (SELECT epoch_no, seq FROM hub_checkpoints ORDER BY epoch_no, seq LIMIT 1)
             DELETE FROM hub_inputs
             WHERE (epoch_no, seq) <= (SELECT epoch_no, seq FROM bound)
                AND (epoch_no, seq) <= (SELECT epoch_no, seq FROM checkpoint)",
        )?
        .execute([keep as i64])?;
    Ok(deleted as u64)
}

#[cfg(test)]
mod prune_tests {
    use super::*;
    use crate::domain::UnixMs;
    use crate::store::checkpoints::{self, Body};
    use crate::store::tests::memory;

    #[track_caller]
    fn check(rows: u64, keep: u64, checkpoints: &[u64], want_first: u64) {
        let connection = memory();
        let stamp = Stamp { segment: 1, mono: MonoMs(0) };
        for seq in 1..=rows {
            let kind = "door".to_owned();
            let row = InputRow { epoch_no: 1, seq: Seq(seq), kind, stamp, body: vec![1] };
            append(&connection, &row).unwrap();
        }
        for &seq in checkpoints {
            let body = Body { tick_base: 0, state: vec![1] };
            checkpoints::write(&connection, 1, Seq(seq), stamp, UnixMs(0), &body).unwrap();
        }
        prune(&connection, keep).unwrap();
        let first: i64 =
            connection.query_row("SELECT min(seq) FROM hub_inputs", [], |row| row.get(0)).unwrap();
        assert_eq!(first as u64, want_first);
    }

    #[test]
    fn the_oldest_go_but_none_that_a_restart_needs() {
        check(100, 200, &[90], 1);
        check(100, 30, &[90, 95], 71);
        check(100, 30, &[40], 41);
        check(100, 30, &[], 1);
    }
}
