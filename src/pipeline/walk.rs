//! The stored inputs of the rules in their order, from a checkpoint on: what a start replays, and what `rules replay` tries.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use rusqlite::Connection;

use crate::domain::{Epoch, MonoMs, Seq, Stamp, UnixMs};
use crate::rules::{self, Event, ReadingEvent, Tick};
use crate::store::boots::Segment;
use crate::store::checkpoints::{self, Checkpoint};
use crate::store::epochs;
use crate::store::inputs::{self, Input, ReplayRow};

use super::live::Door;
use super::saved::Saved;

/// Where a walk begins: the state after `seq` of epoch `epoch_no`.
#[derive(Clone)]
pub struct Start {
    pub state: rules::State,
    pub tick_base: i64,
    /// None: there is no checkpoint, so it begins at the beginning.
    pub last: Option<Stamp>,
    /// Doors whose state is known, and since when in judging time.
    pub doors: BTreeMap<Door, (bool, Tick)>,
    pub epoch_no: u32,
    pub seq: Seq,
}

/// Where an input stands.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub epoch: Epoch,
    pub seq: Seq,
    pub stamp: Stamp,
    /// Judging time of monotonic 0 of its segment.
    pub tick_base: i64,
}

/// How a walk ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Walked {
    /// Inputs of a version whose form is no longer read.
    pub passed_over: u64,
    /// It came to the end of what is stored.
    pub is_complete: bool,
}

/// The newest checkpoint that can be read.
pub fn latest(conn: &Connection) -> Result<Start> {
    for epoch in epochs::all(conn)?.iter().rev() {
        let Some(checkpoint) = checkpoints::latest(conn, epoch.no)? else { continue };
        if let Some(start) = start(epoch.no, &checkpoint) {
            return Ok(start);
        }
    }
    Ok(beginning())
}

/// The newest checkpoint that was written before `wall` and can be read.
pub fn before(conn: &Connection, segments: &[Segment], wall: UnixMs) -> Result<Start> {
    let wall_of = |stamp: Stamp| {
        let segment = segments.iter().find(|segment| segment.no == stamp.segment);
        segment.map_or(UnixMs(i64::MAX), |segment| segment.wall(stamp.mono))
    };
    for (epoch_no, checkpoint) in checkpoints::all(conn)?.into_iter().rev() {
        if wall_of(checkpoint.stamp) > wall {
            continue;
        }
        if let Some(start) = start(epoch_no, &checkpoint) {
            return Ok(start);
        }
    }
    Ok(beginning())
}

fn beginning() -> Start {
    Start {
        state: rules::State::new(),
        tick_base: 0,
        last: None,
        doors: BTreeMap::new(),
        epoch_no: 0,
        seq: Seq(0),
    }
}

fn start(epoch_no: u32, checkpoint: &Checkpoint) -> Option<Start> {
    let tick_base = checkpoint.body.tick_base;
    match Saved::decode(&checkpoint.body.state) {
        Ok(saved) => {
            let since = |at: MonoMs| Tick(at.0 + tick_base);
            Some(Start {
                doors: saved.doors.iter().map(|(&no, &(is_open, at))| (no, (is_open, since(at)))).collect(),
                state: saved.state,
                tick_base,
                last: Some(checkpoint.stamp),
                epoch_no,
                seq: checkpoint.seq,
            })
        }
        Err(error) => {
            tracing::warn!(%error, "a checkpoint is passed over: {error}");
            None
        }
    }
}

/// Visits every input after `start` until `visit` says false.
pub fn walk(
    conn: &Connection,
    start: &Start,
    mut visit: impl FnMut(Place, &Event) -> Result<bool>,
) -> Result<Walked> {
    let mut walked = Walked::default();
    let mut tick_base = start.tick_base;
    for epoch in epochs::all(conn)?.iter().filter(|epoch| epoch.no >= start.epoch_no) {
        let after = if epoch.no == start.epoch_no { start.seq } else { Seq(0) };
        for row in inputs::replay_after(conn, epoch.no, after)? {
            let row = row?;
            let seq = row.seq();
            let (event, stamp) = match row {
                ReplayRow::Log(log) => {
                    let reading = ReadingEvent {
                        unit: log.unit,
                        device: log.device,
                        probe: log.probe,
                        temperature: log.temperature,
                        is_late: log.is_late,
                        measured_ms: log.own_time.map(|own| own.0),
                    };
                    (Event::Reading(reading), log.stamp)
                }
                ReplayRow::Input(row) => {
                    let input = Input::decode(&row.body)
                        .with_context(|| format!("read input {} of the rules", row.seq.0))?;
                    let Some(input) = input else {
                        walked.passed_over += 1;
                        continue;
                    };
                    tick_base = input.tick_base;
                    (input.event, row.stamp)
                }
            };
            if !visit(Place { epoch: epoch.epoch, seq, stamp, tick_base }, &event)? {
                return Ok(walked);
            }
        }
    }
    walked.is_complete = true;
    Ok(walked)
}
