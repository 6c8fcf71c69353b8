//! `hub_deliveries`, and its image in `notification_deliveries` for the channels that central knows.

use anyhow::{Context, Result};
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::registry::uuid_at;
use super::rows::mark_dirty;
use crate::domain::{MonoMs, Severity, Stamp, UnitNo};
use crate::notify::plan::Item;
use crate::notify::{Channel, Kind};
use crate::rules::{Cause, Tick};

/// What became of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub id: Uuid,
    pub status: Status,
    pub external_id: Option<String>,
    pub error: Option<String>,
    /// Tries that failed.
    pub tries: u32,
    pub stamp: Stamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Tried, failed, and to be tried again.
    Pending,
    Sent,
    Delivered,
    Failed,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Sent => "sent",
            Status::Delivered => "delivered",
            Status::Failed => "failed",
        }
    }
}

/// What an `error` column holds at most; a server's answer may be a page.
const ERROR_CHARS_MAX: usize = 500;
/// As wide as central's column.
const EXTERNAL_ID_CHARS_MAX: usize = 256;
/// Done rows are kept this long, for people who ask who was called.
const KEPT_MS: i64 = 90 * 86_400_000;

/// Writes a delivery that is due, once. `scheduled_ms`: the same instant in wall time. True when it was not there.
pub fn insert(conn: &Connection, item: &Item, stamp: Stamp, scheduled_ms: i64) -> Result<bool> {
    let words = item.words.as_ref();
    let added = conn
        .prepare_cached(
            "INSERT INTO hub_deliveries (id, alert_id, unit_no, kind, channel, recipient, severity, level, cause, outage,
                    subject, body, status, due_segment, due_mono_ms)
             SELECT ?1, (SELECT id FROM alerts WHERE id = ?2), ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 'pending', ?13, ?14
             WHERE true ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![
            item.id.as_bytes(),
            item.alert.map(|alert| *alert.as_bytes()),
            item.unit.map(|unit| unit.0),
            kind_text(item.kind),
            item.channel.as_str(),
            item.recipient,
            item.severity.as_str(),
            item.level,
            item.cause.as_str(),
            item.outage,
            words.map(|(subject, _)| subject),
            words.map(|(_, text)| text),
            stamp.segment,
            stamp.mono.0,
        ])?;
    if added == 0 {
        return Ok(false);
    }
    if item.channel.is_central() && item.alert.is_some() {
        let added = conn
            .prepare_cached(
                "INSERT INTO notification_deliveries (id, alert_id, profile_id, channel, recipient, status, scheduled_at,
                        retry_count, created_at)
                 SELECT ?1, a.id, (SELECT profile_id FROM escalation_contacts WHERE phone = ?3 OR email = ?3 LIMIT 1),
                        ?4, ?3, 'pending', ?5, '0', ?5
                 FROM alerts AS a WHERE a.id = ?2 ON CONFLICT (id) DO NOTHING",
            )?
            .execute(params![
                item.id.as_bytes(),
                item.alert.map(|alert| *alert.as_bytes()),
                item.recipient,
                item.channel.as_str(),
                scheduled_ms
            ])?;
        if added > 0 {
            mark_dirty(conn, "notification_deliveries", item.id)?;
        }
    }
    Ok(true)
}

/// Writes what became of a delivery; `at_ms`: the same instant in wall time. Gives the columns of
/// `notification_deliveries` that hold that instant now, where there is such a row.
pub fn settle(conn: &Connection, outcome: &Outcome, at_ms: i64) -> Result<Vec<&'static str>> {
    let error: Option<String> =
        outcome.error.as_ref().map(|text| text.chars().take(ERROR_CHARS_MAX).collect());
    let is_done = outcome.status != Status::Pending;
    let external_id: Option<String> =
        outcome.external_id.as_ref().map(|id| id.chars().take(EXTERNAL_ID_CHARS_MAX).collect());
    conn
        .prepare_cached(
            "UPDATE hub_deliveries SET status = ?2, tries = max(tries, ?3), external_id = coalesce(?4, external_id),
                    error = ?5, done_segment = coalesce(?6, done_segment), done_mono_ms = coalesce(?7, done_mono_ms)
             WHERE id = ?1",
        )?
        .execute(params![
            outcome.id.as_bytes(),
            outcome.status.as_str(),
            outcome.tries,
            external_id,
            error,
            is_done.then_some(outcome.stamp.segment),
            is_done.then_some(outcome.stamp.mono.0),
        ])?;
    let central = conn
        .prepare_cached(
            "UPDATE notification_deliveries SET status = ?2, retry_count = ?3, external_id = coalesce(?4, external_id),
                    error_message = ?5,
                    sent_at = CASE WHEN ?2 IN ('sent', 'delivered') THEN coalesce(sent_at, ?6) ELSE sent_at END,
                    delivered_at = CASE ?2 WHEN 'delivered' THEN ?6 ELSE delivered_at END,
                    failed_at = CASE ?2 WHEN 'failed' THEN ?6 ELSE failed_at END,
                    last_retry_at = CASE WHEN ?7 > 0 AND ?2 != 'delivered' THEN ?6 ELSE last_retry_at END
             WHERE id = ?1",
        )?
        .execute(params![
            outcome.id.as_bytes(),
            outcome.status.as_str(),
            outcome.tries.to_string(),
            external_id,
            error,
            at_ms,
            outcome.tries,
        ])?;
    if central > 0 {
        mark_dirty(conn, "notification_deliveries", outcome.id)?;
    }
    let mut columns = Vec::new();
    if central > 0 {
        columns.extend(match outcome.status {
            Status::Pending => None,
            Status::Sent => Some("sent_at"),
            Status::Delivered => Some("delivered_at"),
            Status::Failed => Some("failed_at"),
        });
        columns.extend((outcome.tries > 0 && outcome.status != Status::Delivered).then_some("last_retry_at"));
    }
    Ok(columns)
}

/// A row as it was read, its due instant still a stamp.
pub struct Known {
    pub item: Item,
    pub due: Stamp,
    pub done: Option<Stamp>,
}

/// What was not done when the hub stopped, the oldest first.
pub fn pending(conn: &Connection) -> Result<Vec<Known>> {
    read(conn, "status = 'pending' ORDER BY due_segment, due_mono_ms", [])
}

/// What went out lately: the newest first, at most `most`.
pub fn recent(conn: &Connection, most: u32) -> Result<Vec<Known>> {
    let rest = "status IN ('sent', 'delivered') ORDER BY done_segment DESC, done_mono_ms DESC LIMIT ?1";
    read(conn, rest, [most])
}

/// Who was called about an alert, and is told when it is over: channel and recipient.
pub fn called(conn: &Connection, alert: Uuid) -> Result<Vec<(Channel, String)>> {
    let mut statement = conn.prepare_cached(
        "SELECT DISTINCT channel, recipient FROM hub_deliveries WHERE alert_id = ?1 AND kind = 'call' ORDER BY 1, 2",
    )?;
    let rows = statement
        .query_map([alert.as_bytes()], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let mut out = Vec::new();
    for row in rows {
        let (channel, recipient) = row?;
        out.extend(Channel::parse(&channel).map(|channel| (channel, recipient)));
    }
    Ok(out)
}

/// The deliveries that the other side's later word is about: those of the newest message under that name (references of
/// an SMS come round after 256).
pub fn by_external(conn: &Connection, channel: Channel, external_id: &str) -> Result<Vec<Uuid>> {
    let mut statement = conn.prepare_cached(
        "SELECT id FROM hub_deliveries WHERE channel = ?1 AND external_id = ?2 AND status = 'sent'
            AND (done_segment, done_mono_ms) = (
                SELECT done_segment, done_mono_ms FROM hub_deliveries WHERE channel = ?1 AND external_id = ?2
                    AND status = 'sent' ORDER BY done_segment DESC, done_mono_ms DESC LIMIT 1)",
    )?;
    let rows = statement.query_map(params![channel.as_str(), external_id], |row| uuid_at(row, 0))?;
    rows.collect::<rusqlite::Result<_>>().context("find a delivery by its reference")
}

/// Counts by status, and the newest failure: (channel, recipient, error).
pub type Figures = (Vec<(String, i64)>, Option<(String, String, String)>);

/// How deliveries stand.
pub fn figures(conn: &Connection) -> Result<Figures> {
    let mut statement =
        conn.prepare_cached("SELECT status, count(*) FROM hub_deliveries GROUP BY status ORDER BY status")?;
    let counts = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let failure = conn
        .prepare_cached(
            "SELECT channel, recipient, coalesce(error, '') FROM hub_deliveries WHERE status = 'failed'
             ORDER BY done_segment DESC, done_mono_ms DESC LIMIT 1",
        )?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    Ok((counts, failure))
}

/// Drops done rows of long ago. `now_ms`: wall time.
pub fn prune(conn: &Connection, now_ms: i64) -> super::error::Result<usize> {
    Ok(conn
        .prepare_cached(
            "DELETE FROM hub_deliveries WHERE status != 'pending' AND EXISTS (
                 SELECT 1 FROM hub_boots AS b WHERE b.segment = due_segment AND b.offset_ms IS NOT NULL
                    AND due_mono_ms + b.offset_ms < ?1)",
        )?
        .execute([now_ms - KEPT_MS])?)
}

fn read<P: rusqlite::Params>(conn: &Connection, rest: &str, params: P) -> Result<Vec<Known>> {
    let sql = format!(
        "SELECT id, alert_id, unit_no, kind, channel, recipient, severity, level, cause, outage, subject, body, tries,
                due_segment, due_mono_ms, done_segment, done_mono_ms
         FROM hub_deliveries WHERE {rest}"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params)?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        match known(row)? {
            Some(known) => out.push(known),
            None => tracing::warn!("a delivery is of another version of the hub and is left alone"),
        }
    }
    Ok(out)
}

fn known(row: &Row<'_>) -> rusqlite::Result<Option<Known>> {
    let (kind, channel): (String, String) = (row.get(3)?, row.get(4)?);
    let (severity, cause): (String, String) = (row.get(6)?, row.get(8)?);
    let (Some(kind), Some(channel), Some(severity), Some(cause)) =
        (parse_kind(&kind), Channel::parse(&channel), Severity::parse(&severity), Cause::parse(&cause))
    else {
        return Ok(None);
    };
    let alert: Option<Vec<u8>> = row.get(1)?;
    let words: Option<(String, String)> = row.get::<_, Option<String>>(10)?.zip(row.get(11)?);
    let done = row.get::<_, Option<u32>>(15)?.zip(row.get::<_, Option<i64>>(16)?);
    Ok(Some(Known {
        item: Item {
            id: uuid_at(row, 0)?,
            channel,
            recipient: row.get(5)?,
            kind,
            alert: alert.and_then(|bytes| Uuid::from_slice(&bytes).ok()),
            unit: row.get::<_, Option<u32>>(2)?.map(UnitNo),
            severity,
            level: row.get(7)?,
            cause,
            outage: row.get(9)?,
            words,
            due: Tick::default(),
            tries: row.get(12)?,
        },
        due: Stamp { segment: row.get(13)?, mono: MonoMs(row.get(14)?) },
        done: done.map(|(segment, mono)| Stamp { segment, mono: MonoMs(mono) }),
    }))
}

fn kind_text(kind: Kind) -> &'static str {
    match kind {
        Kind::Call => "call",
        Kind::AllClear => "all_clear",
        Kind::Notice | Kind::Test => "notice",
    }
}

fn parse_kind(text: &str) -> Option<Kind> {
    match text {
        "call" => Some(Kind::Call),
        "all_clear" => Some(Kind::AllClear),
        "notice" => Some(Kind::Notice),
        _ => None,
    }
}
