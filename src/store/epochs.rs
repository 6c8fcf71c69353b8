//! `hub_epochs`: the identity of the writer, and the counter that log and inputs draw from.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::{Result, StoreError};
use crate::domain::{Epoch, Seq};

/// A row of `hub_epochs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochRow {
    /// Small number inside this database; rows carry it.
    pub no: u32,
    pub epoch: Epoch,
    pub reason: String,
    pub former_epoch: Option<Epoch>,
    /// Hash of the last audit row known of the former epoch (64 hex digits).
    pub former_head: Option<String>,
}

/// The writer's present epoch. A database always has one: `Store::open` makes it.
pub fn current(connection: &Connection) -> Result<EpochRow> {
    find_current(connection)?
        .ok_or_else(|| StoreError::Value { table: "hub_epochs", detail: "it has no row".to_owned() })
}

pub(super) fn find_current(connection: &Connection) -> Result<Option<EpochRow>> {
    let sql = "SELECT no, epoch, reason, former_epoch, former_head FROM hub_epochs ORDER BY no DESC LIMIT 1";
    Ok(connection.prepare_cached(sql)?.query_row([], read).optional()?)
}

/// Every epoch this database knows, oldest first.
pub fn all(connection: &Connection) -> Result<Vec<EpochRow>> {
    let sql = "SELECT no, epoch, reason, former_epoch, former_head FROM hub_epochs ORDER BY no";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([], read)?.collect::<rusqlite::Result<_>>()?;
    Ok(rows)
}

/// Begins a new epoch that names the former one and its last audit hash. The lanes begin anew at 1, since batches are
/// numbered per epoch; what cut batches held is unsent again. Its counter goes on where the former one's ended: the log's
/// key is the number alone.
pub fn begin_new(
    connection: &Connection,
    reason: &str,
    random: &mut dyn FnMut(&mut [u8]),
) -> Result<EpochRow> {
    super::batches::rewind(connection)?;
    let former = find_current(connection)?;
    let former_head = match &former {
        Some(former) => super::audit::head(connection, former.no)?.map(|head| head.hash),
        None => None,
    };
    let first = match &former {
        Some(former) => next_seq(connection, former.no)?,
        None => Seq(1),
    };
    let mut epoch = [0u8; 16];
    random(&mut epoch);
    insert(connection, Epoch(epoch), reason, former.map(|row| row.epoch), former_head, first)
}

pub(super) fn insert(
    connection: &Connection,
    epoch: Epoch,
    reason: &str,
    former_epoch: Option<Epoch>,
    former_head: Option<String>,
    first: Seq,
) -> Result<EpochRow> {
    connection.execute(
        "INSERT INTO hub_epochs (epoch, reason, former_epoch, former_head, next_seq) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![epoch.0, reason, former_epoch.map(|epoch| epoch.0), former_head, first.0 as i64],
    )?;
    let no = connection.last_insert_rowid() as u32;
    connection.execute("DELETE FROM hub_batches", [])?;
    connection.execute("DELETE FROM hub_lanes", [])?;
    connection
        .execute("INSERT INTO hub_lanes (lane, next_seq, acked_seq) VALUES (0, 1, 0), (1, 1, 0)", [])?;
    Ok(EpochRow { no, epoch, reason: reason.to_owned(), former_epoch, former_head })
}

/// The next number of the epoch's counter: more than any number in log, history, inputs, what was sent or cut, and more
/// than the one saved at a clean stop.
pub fn next_seq(connection: &Connection, epoch_no: u32) -> Result<Seq> {
    let sql = "SELECT max(
        (SELECT next_seq FROM hub_epochs WHERE no = ?1),
        coalesce((SELECT max(seq) FROM hub_log WHERE epoch_no = ?1), 0) + 1,
        coalesce((SELECT max(seq) FROM hub_inputs WHERE epoch_no = ?1), 0) + 1,
        coalesce((SELECT max(seq) FROM hub_checkpoints WHERE epoch_no = ?1), 0) + 1,
        coalesce((SELECT max(seq_hi) FROM hub_hours WHERE epoch_no = ?1), 0) + 1,
        coalesce((SELECT seq_hi FROM hub_sent WHERE epoch_no = ?1 ORDER BY seq_lo DESC LIMIT 1), 0) + 1,
        coalesce((SELECT max(seq_hi) FROM hub_batches WHERE row_epoch_no = ?1), 0) + 1)";
    Ok(Seq(connection.prepare_cached(sql)?.query_row([epoch_no], |row| row.get::<_, i64>(0))? as u64))
}

/// Saves the counter: at a clean stop, and whenever rows that hold the largest numbers are deleted.
pub fn save_next_seq(connection: &Connection, epoch_no: u32, next: Seq) -> Result<()> {
    connection
        .prepare_cached("UPDATE hub_epochs SET next_seq = max(next_seq, ?2) WHERE no = ?1")?
        .execute(params![epoch_no, next.0 as i64])?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<EpochRow> {
    Ok(EpochRow {
        no: row.get(0)?,
        epoch: Epoch(row.get(1)?),
        reason: row.get(2)?,
        former_epoch: row.get::<_, Option<[u8; 16]>>(3)?.map(Epoch),
        former_head: row.get(4)?,
    })
}
