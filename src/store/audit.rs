//! `hub_audit` and `event_logs`: the audit chain as the core seals it. Rows are only ever added.

use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::error::Result;
use crate::domain::UnixMs;

/// The last link of an epoch's chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Gapless per epoch, from 1.
    pub seq: u64,
    /// 64 lower-case hex digits.
    pub hash: String,
}

impl Head {
    /// Before the first link of an epoch.
    pub fn first() -> Self {
        Self { seq: 0, hash: "0".repeat(64) }
    }
}

/// One sealed link: the canonical bytes and the columns of its `event_logs` row.
#[derive(Clone, Debug)]
pub struct AuditRow<'a> {
    pub epoch_no: u32,
    pub seq: u64,
    pub id: Uuid,
    pub canonical: &'a [u8],
    pub organization: Uuid,
    pub actor: Option<Uuid>,
    /// "system", "user", "device".
    pub actor_type: &'a str,
    pub event_type: &'a str,
    pub event_category: Option<&'a str>,
    pub entity_type: &'a str,
    pub entity: Option<Uuid>,
    pub description: Option<&'a str>,
    /// JSON.
    pub payload: Option<&'a str>,
    pub old_values: Option<&'a str>,
    pub new_values: Option<&'a str>,
    /// 64 hex digits; zeros for the first of an epoch.
    pub previous_hash: &'a str,
    pub hash: &'a str,
    /// Provisional while the segment is not placed: then `unplaced::add` notes it.
    pub occurred_at: UnixMs,
}

/// The last link of an epoch; None before the first.
pub fn head(connection: &Connection, epoch_no: u32) -> Result<Option<Head>> {
    let sql = "SELECT a.seq, e.hash FROM hub_audit AS a JOIN event_logs AS e ON e.id = a.event_id
        WHERE a.epoch_no = ?1 ORDER BY a.seq DESC LIMIT 1";
    Ok(connection
        .prepare_cached(sql)?
        .query_row([epoch_no], |row| Ok(Head { seq: row.get::<_, i64>(0)? as u64, hash: row.get(1)? }))
        .optional()?)
}

/// Appends a link. The caller marks the `event_logs` row dirty. A number used before, or a gap, is refused by the caller's chain and by the key.
pub fn append(connection: &Connection, row: &AuditRow<'_>) -> Result<()> {
    let id = row.id.into_bytes();
    let sql = "INSERT INTO event_logs (id, organization_id, actor_id, actor_type, event_type, event_category,
        entity_type, entity_id, description, payload, old_values, new_values, previous_hash, hash, occurred_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";
    connection.prepare_cached(sql)?.execute(params![
        id,
        row.organization.into_bytes(),
        row.actor.map(Uuid::into_bytes),
        row.actor_type,
        row.event_type,
        row.event_category,
        row.entity_type,
        row.entity.map(Uuid::into_bytes),
        row.description,
        row.payload,
        row.old_values,
        row.new_values,
        row.previous_hash,
        row.hash,
        row.occurred_at.0,
    ])?;
    connection
        .prepare_cached("INSERT INTO hub_audit (epoch_no, seq, event_id, canonical) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![row.epoch_no, row.seq as i64, id, row.canonical])?;
    Ok(())
}

/// True where a replay finds what it decided already written.
pub fn has_event(connection: &Connection, id: Uuid) -> Result<bool> {
    Ok(connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM event_logs WHERE id = ?1)")?
        .query_row([id.into_bytes()], |row| row.get(0))?)
}
