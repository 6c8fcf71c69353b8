//! `hub_outages`: power cuts, from the loss to the written report.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::{Result, StoreError};
use crate::domain::{MonoMs, Seq, Stamp};
use crate::power::report::Reason;

/// Kept ones: years of a bad grid.
const ROWS_MAX: i64 = 1_000;

/// A row of `hub_outages`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutageRow {
    pub no: i64,
    pub reason: Reason,
    pub lost: Stamp,
    /// Readings from this number on came after the loss.
    pub epoch_no: u32,
    pub first_seq: Seq,
    /// None while the mains are away.
    pub back: Option<Stamp>,
    /// JSON of a `power::report::Report`.
    pub report: Option<String>,
}

/// Begins one; the oldest over `ROWS_MAX` go. Returns its number.
pub fn begin(connection: &Connection, row: &OutageRow) -> Result<i64> {
    connection.execute(
        "INSERT INTO hub_outages (reason, lost_segment, lost_mono_ms, epoch_no, first_seq, back_segment, back_mono_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            row.reason.as_str(),
            row.lost.segment,
            row.lost.mono.0,
            row.epoch_no,
            row.first_seq.0 as i64,
            row.back.map(|back| back.segment),
            row.back.map(|back| back.mono.0),
        ],
    )?;
    let no = connection.last_insert_rowid();
    connection.execute("DELETE FROM hub_outages WHERE no <= ?1", [no - ROWS_MAX])?;
    Ok(no)
}

/// The mains are back, or (None) away again before the report was written.
pub fn set_back(connection: &Connection, no: i64, back: Option<Stamp>) -> Result<()> {
    connection.execute(
        "UPDATE hub_outages SET back_segment = ?2, back_mono_ms = ?3 WHERE no = ?1",
        params![no, back.map(|back| back.segment), back.map(|back| back.mono.0)],
    )?;
    Ok(())
}

pub fn finish(connection: &Connection, no: i64, report: &str) -> Result<()> {
    connection.execute("UPDATE hub_outages SET report = ?2 WHERE no = ?1", params![no, report])?;
    Ok(())
}

/// The one whose report is not written yet.
pub fn open(connection: &Connection) -> Result<Option<OutageRow>> {
    let sql = format!("{SELECT} WHERE report IS NULL ORDER BY no DESC LIMIT 1");
    connection.query_row(&sql, [], |row| Ok(read(row))).optional()?.transpose()
}

/// The newest first.
pub fn list(connection: &Connection, rows_max: u32) -> Result<Vec<OutageRow>> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} ORDER BY no DESC LIMIT ?1"))?;
    let mut rows = statement.query([rows_max])?;
    let mut list = Vec::new();
    while let Some(row) = rows.next()? {
        list.push(read(row)?);
    }
    Ok(list)
}

const SELECT: &str = "SELECT no, reason, lost_segment, lost_mono_ms, epoch_no, first_seq, back_segment,
    back_mono_ms, report FROM hub_outages";

fn read(row: &Row<'_>) -> Result<OutageRow> {
    let reason: String = row.get(1)?;
    let back: Option<u32> = row.get(6)?;
    let back_mono: Option<i64> = row.get(7)?;
    Ok(OutageRow {
        no: row.get(0)?,
        reason: Reason::parse(&reason).ok_or_else(|| StoreError::Value {
            table: "hub_outages",
            detail: format!("the reason {reason} is not known"),
        })?,
        lost: Stamp { segment: row.get(2)?, mono: MonoMs(row.get(3)?) },
        epoch_no: row.get(4)?,
        first_seq: Seq(row.get::<_, i64>(5)? as u64),
        back: back.zip(back_mono).map(|(segment, mono)| Stamp { segment, mono: MonoMs(mono) }),
        report: row.get(8)?,
    })
}
