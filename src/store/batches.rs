//! `hub_batches`, `hub_lanes`, `hub_refused`: batches cut and not yet acknowledged, one a lane.
//!
//! A body is encoded once, stored in the transaction that cuts it, and sent again byte for byte until it is acknowledged.

use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::error::{Result, StoreError};
use super::{epochs, link, readings, rows, sent, tables};
use crate::domain::{Epoch, Seq, Stamp};
use frostguard_sync::api::RefusedRow;
use frostguard_sync::ids::sha256;
use frostguard_sync::wire::{self, Batch, Body, Header, Lane};

/// Refused rows kept for a person to look at; the oldest go first. The receiver keeps as many for a hub.
pub const REFUSED_ROWS_MAX: u32 = 10_000;

/// How large a batch may become.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub rows: u32,
    /// Of the compressed body.
    pub bytes: usize,
}

/// A batch as it is stored and sent.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredBatch {
    pub lane: Lane,
    pub seq: u64,
    pub rows: u32,
    /// SHA-256 of the body.
    pub digest: [u8; 32],
    pub body: Vec<u8>,
    /// Readings only: the interval of the log it covers.
    pub interval: Option<Interval>,
}

/// Numbers of an epoch's counter, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    pub epoch_no: u32,
    pub lo: Seq,
    pub hi: Seq,
}

/// The batch of a lane that waits for its acknowledgement.
pub fn pending(connection: &Connection, lane: Lane) -> Result<Option<StoredBatch>> {
    let sql = "SELECT seq, rows, digest, body, row_epoch_no, seq_lo, seq_hi FROM hub_batches WHERE lane = ?1
        ORDER BY seq LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let batch = statement
        .query_row([lane.number()], |row| {
            let epoch_no: Option<u32> = row.get(4)?;
            let (lo, hi): (Option<i64>, Option<i64>) = (row.get(5)?, row.get(6)?);
            let interval = epoch_no.zip(lo.zip(hi)).map(|(epoch_no, (lo, hi))| Interval {
                epoch_no,
                lo: Seq(lo as u64),
                hi: Seq(hi as u64),
            });
            Ok(StoredBatch {
                lane,
                seq: row.get::<_, i64>(0)? as u64,
                rows: row.get(1)?,
                digest: row.get(2)?,
                body: row.get(3)?,
                interval,
            })
        })
        .optional()?;
    Ok(batch)
}

/// The next batch's header; `needs` is for the caller to set.
pub(super) fn next_header(connection: &Connection, hub: Uuid, lane: Lane) -> Result<Header> {
    let seq: Option<i64> = connection
        .prepare_cached("SELECT next_seq FROM hub_lanes WHERE lane = ?1")?
        .query_row([lane.number()], |row| row.get(0))
        .optional()?;
    let epoch = epochs::current(connection)?.epoch;
    Ok(Header { hub, epoch, lane, seq: seq.unwrap_or(1) as u64, needs: 0 })
}

/// Stores a body and takes its number.
pub(super) fn store(
    connection: &Connection,
    header: &Header,
    rows: u32,
    interval: Option<Interval>,
    body: &[u8],
) -> Result<()> {
    let epoch_no = epochs::current(connection)?.no;
    let sql =
        "INSERT INTO hub_batches (lane, seq, epoch_no, row_epoch_no, seq_lo, seq_hi, rows, digest, body)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    connection.prepare_cached(sql)?.execute(params![
        header.lane.number(),
        header.seq as i64,
        epoch_no,
        interval.map(|interval| interval.epoch_no),
        interval.map(|interval| interval.lo.0 as i64),
        interval.map(|interval| interval.hi.0 as i64),
        rows,
        sha256(&[body]),
        body,
    ])?;
    set_next_seq(connection, header.lane, header.seq + 1)
}

/// Takes note that the receiver has a batch: deletes its body, marks its rows as sent, keeps what was refused. A batch
/// acknowledged before changes nothing; returns whether this one was pending.
pub fn acknowledge(
    connection: &Connection,
    lane: Lane,
    seq: u64,
    refused: &[RefusedRow],
    stamp: Stamp,
) -> Result<bool> {
    let Some(batch) = pending(connection, lane)?.filter(|batch| batch.seq == seq) else { return Ok(false) };
    if let Some(interval) = batch.interval {
        sent::add(connection, interval)?;
    }
    forget_refused(connection, &batch)?;
    for row in refused {
        keep_refused(connection, row, stamp)?;
    }
    drop_body(connection, lane, seq)?;
    connection
        .prepare_cached("UPDATE hub_lanes SET acked_seq = max(acked_seq, ?2) WHERE lane = ?1")?
        .execute(params![lane.number(), seq as i64])?;
    Ok(true)
}

/// Takes back the pending batch of a lane that the receiver refused whole and did not apply: its rows are unsent again
/// and its number is free. For a clock that was wrong (422), and for a body that something on the way finds too large
/// (413).
pub fn uncut(connection: &Connection, lane: Lane) -> Result<bool> {
    let Some(batch) = pending(connection, lane)? else { return Ok(false) };
    take_back(connection, &batch)?;
    set_next_seq(connection, lane, batch.seq)?;
    Ok(true)
}

/// Before a new epoch begins because the receiver knows more, or other, batches than the hub (409, 403): the rows of cut
/// batches are unsent again. `epochs::begin_new` follows in the same transaction; the ids make a no-op of what the
/// receiver has.
pub fn rewind(connection: &Connection) -> Result<()> {
    for lane in [Lane::State, Lane::Readings] {
        if let Some(batch) = pending(connection, lane)? {
            take_back(connection, &batch)?;
        }
    }
    Ok(())
}

/// The number that was last acknowledged on a lane under the present epoch; 0: none.
pub fn acknowledged_through(connection: &Connection, lane: Lane) -> Result<u64> {
    let seq: Option<i64> = connection
        .prepare_cached("SELECT acked_seq FROM hub_lanes WHERE lane = ?1")?
        .query_row([lane.number()], |row| row.get(0))
        .optional()?;
    Ok(seq.unwrap_or(0) as u64)
}

/// What waits to go up: rows of lane 0 that are dirty, and readings that are neither acknowledged nor cut.
pub fn outstanding(connection: &Connection) -> Result<(u64, u64)> {
    let dirty: i64 = connection.query_row("SELECT count(*) FROM hub_dirty", [], |row| row.get(0))?;
    Ok((dirty as u64, readings::unsent(connection)?))
}

/// Rows the receiver refused, newest last: (table, key, reason).
pub fn refused(connection: &Connection) -> Result<Vec<RefusedRow>> {
    let mut statement =
        connection.prepare_cached("SELECT table_name, row_key, reason FROM hub_refused ORDER BY no")?;
    let rows = statement
        .query_map([], |row| Ok(RefusedRow { table: row.get(0)?, key: row.get(1)?, reason: row.get(2)? }))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(rows)
}

pub(super) fn keep_refused(connection: &Connection, row: &RefusedRow, stamp: Stamp) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO hub_refused (table_name, row_key, reason, segment, mono_ms) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (table_name, row_key) DO UPDATE SET reason = ?3, segment = ?4, mono_ms = ?5",
        )?
        .execute(params![row.table, row.key, row.reason, stamp.segment, stamp.mono.0])?;
    connection
        .prepare_cached(
            "DELETE FROM hub_refused WHERE no <= (SELECT no FROM hub_refused ORDER BY no DESC LIMIT 1 OFFSET ?1)",
        )?
        .execute([REFUSED_ROWS_MAX])?;
    Ok(())
}

/// What the receiver refused before and has been sent again is judged anew by its answer.
fn forget_refused(connection: &Connection, batch: &StoredBatch) -> Result<()> {
    let any = connection.prepare_cached("SELECT 1 FROM hub_refused")?.exists([])?;
    if batch.lane != Lane::State || !any {
        return Ok(());
    }
    if let Body::State(images) = decoded(batch)? {
        let mut statement =
            connection.prepare_cached("DELETE FROM hub_refused WHERE table_name = ?1 AND row_key = ?2")?;
        for image in &images {
            statement.execute(params![image.table, image.id.to_string()])?;
        }
    }
    Ok(())
}

fn decoded(batch: &StoredBatch) -> Result<Body> {
    let Batch { body, .. } = wire::decode(&batch.body).map_err(|error| StoreError::Value {
        table: "hub_batches",
        detail: format!("batch {} of lane {}: {error}", batch.seq, batch.lane.number()),
    })?;
    Ok(body)
}

/// Rows of state are dirty again; readings are unsent as soon as no batch covers them.
fn take_back(connection: &Connection, batch: &StoredBatch) -> Result<()> {
    if batch.lane == Lane::State {
        match decoded(batch) {
            Ok(Body::State(images)) => {
                for image in &images {
                    if let Some(table) = tables::find(&image.table) {
                        rows::mark_dirty(connection, table.name, image.id)?;
                    }
                }
            }
            Ok(Body::Readings(_)) => {}
            // It must not keep the hub from starting. Which rows it held is not known; the ids make a no-op of the others.
            Err(error) => {
                tracing::error!("{error}: all rows that the hub made go up again");
                link::mark_all(connection, true)?;
            }
        }
    }
    drop_body(connection, batch.lane, batch.seq)
}

fn drop_body(connection: &Connection, lane: Lane, seq: u64) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM hub_batches WHERE lane = ?1 AND seq = ?2")?
        .execute(params![lane.number(), seq as i64])?;
    Ok(())
}

fn set_next_seq(connection: &Connection, lane: Lane, next: u64) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO hub_lanes (lane, next_seq, acked_seq) VALUES (?1, ?2, 0)
             ON CONFLICT (lane) DO UPDATE SET next_seq = ?2",
        )?
        .execute(params![lane.number(), next as i64])?;
    Ok(())
}

/// The epoch behind its small number.
pub(super) fn epoch_of(connection: &Connection, epoch_no: u32) -> Result<Epoch> {
    let epoch = epochs::all(connection)?.into_iter().find(|row| row.no == epoch_no).map(|row| row.epoch);
    epoch.ok_or_else(|| StoreError::Value {
        table: "hub_epochs",
        detail: format!("there is no epoch {epoch_no}"),
    })
}
