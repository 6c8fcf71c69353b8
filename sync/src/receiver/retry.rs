//! Dead letters, listed and tried again.

use anyhow::Context;
use serde::Serialize;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Transaction};
use uuid::Uuid;

use super::auth::Hub;
use super::db::{self, Ms};
use super::dead_letters::{DeadRow, Refused};
use super::{readings, rows, tables};
use crate::wire::{self, Body, Readings, RowImage};

/// Listed at once; the rest with a hub named.
const LISTED_MAX: i64 = 1_000;

#[derive(Clone, Debug, Serialize)]
pub struct ListedLetter {
    pub hub_id: Uuid,
    pub id: Uuid,
    /// row, batch or range.
    pub kind: String,
    pub lane: i16,
    pub batch_seq: i64,
    pub batch_seq_to: i64,
    pub rows: i64,
    pub table: Option<String>,
    pub key: Option<String>,
    pub reason: String,
    pub arrived_ms: i64,
    /// It has a body that can be tried again.
    pub retriable: bool,
}

/// The oldest first.
pub async fn list(client: &Client, hub: Option<Uuid>) -> anyhow::Result<Vec<ListedLetter>> {
    let rows = client
        .query_typed(
            "SELECT hub_id, id, kind, lane, batch_seq, batch_seq_to, row_count, table_name, row_key, reason, \
             arrived_at, body IS NOT NULL AND (kind = 'row' OR lane = 1) FROM hub_sync.dead_letters \
             WHERE $1 IS NULL OR hub_id = $1 ORDER BY arrived_at, id LIMIT $2",
            &[(&hub, Type::UUID), (&LISTED_MAX, Type::INT8)],
        )
        .await
        .context("list the dead letters")?;
    let listed = rows.iter().map(|row| ListedLetter {
        hub_id: row.get(0),
        id: row.get(1),
        kind: row.get(2),
        lane: row.get(3),
        batch_seq: row.get(4),
        batch_seq_to: row.get(5),
        rows: row.get(6),
        table: row.get(7),
        key: row.get(8),
        reason: row.get(9),
        arrived_ms: row.get::<_, Ms>(10).0,
        retriable: row.get(11),
    });
    Ok(listed.collect())
}

/// What trying again did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Retried {
    /// Written, and the letter gone.
    pub written: u64,
    /// A later image has written the row: the letter is gone, and the older image undid nothing.
    pub superseded: u64,
    /// Refused once more; the letter says the present reason.
    pub refused: u64,
    /// Nothing to try: ranges, and batches of state (the hub sends state anew).
    pub left: u64,
}

/// Tries all letters of a hub, or of all, each in a transaction of its own.
pub async fn retry(client: &mut Client, hub: Option<Uuid>, now_ms: i64) -> anyhow::Result<Retried> {
    let mut done = Retried::default();
    let mut after = (Uuid::nil(), Uuid::nil());
    loop {
        let next = client
            .query_typed_opt(
                "SELECT hub_id, id FROM hub_sync.dead_letters WHERE (hub_id, id) > ($1, $2) \
                 AND ($3 IS NULL OR hub_id = $3) ORDER BY hub_id, id LIMIT 1",
                &[(&after.0, Type::UUID), (&after.1, Type::UUID), (&hub, Type::UUID)],
            )
            .await
            .context("read the dead letters")?;
        let Some(next) = next else { return Ok(done) };
        after = (next.get(0), next.get(1));
        match retry_one(client, after.0, after.1, now_ms).await? {
            Fate::Left => done.left += 1,
            Fate::Superseded => done.superseded += 1,
            Fate::Tried(refused) if refused.is_empty() => done.written += 1,
            Fate::Tried(_) => done.refused += 1,
        }
    }
}

/// What became of a letter.
enum Fate {
    Left,
    Superseded,
    Tried(Vec<Refused>),
}

async fn retry_one(client: &mut Client, hub: Uuid, id: Uuid, now_ms: i64) -> anyhow::Result<Fate> {
    let tx = client.transaction().await?;
    db::bound_statements(&tx).await?;
    let row = tx
        .query_typed_opt(
            "SELECT d.kind, d.body, h.site_id, h.organization_id FROM hub_sync.dead_letters d \
             JOIN hub_sync.hubs h ON h.hub_id = d.hub_id WHERE d.hub_id = $1 AND d.id = $2 FOR UPDATE OF d",
            &[(&hub, Type::UUID), (&id, Type::UUID)],
        )
        .await?;
    let Some(row) = row else { return Ok(Fate::Left) };
    let body: Option<Vec<u8>> = row.get(1);
    let Some(body) = body else { return Ok(Fate::Left) };
    let owner = Hub { id: hub, site: row.get(2), organization: row.get(3), last_seen_ms: None };
    let fate = apply(&tx, &owner, row.get(0), &body, now_ms).await?;
    let reason = match &fate {
        Fate::Left => return Ok(fate),
        Fate::Superseded => None,
        Fate::Tried(refused) => refused.first().map(|refused| refused.reason.as_str()),
    };
    match reason {
        Some(reason) => {
            tx.execute_typed(
                "UPDATE hub_sync.dead_letters SET reason = $3 WHERE hub_id = $1 AND id = $2",
                &[(&hub, Type::UUID), (&id, Type::UUID), (&reason, Type::TEXT)],
            )
            .await?;
        }
        None => {
            tx.execute_typed(
                "DELETE FROM hub_sync.dead_letters WHERE hub_id = $1 AND id = $2",
                &[(&hub, Type::UUID), (&id, Type::UUID)],
            )
            .await?;
        }
    }
    tx.commit().await?;
    Ok(fate)
}

async fn apply(
    tx: &Transaction<'_>,
    hub: &Hub,
    kind: &str,
    body: &[u8],
    now_ms: i64,
) -> anyhow::Result<Fate> {
    if kind == "batch" {
        // Ids make readings that arrived meanwhile a no-op. An old image of state would undo a newer one.
        let batch = wire::decode(body).context("decode a kept batch")?;
        return match &batch.body {
            Body::Readings(batch) => {
                // Only under an epoch that is this hub's: an id must not be taken from another.
                if owns_epoch(tx, hub, batch).await? {
                    Ok(Fate::Tried(readings::apply(tx, hub, batch).await?))
                } else {
                    Ok(Fate::Left)
                }
            }
            Body::State(_) => Ok(Fate::Left),
        };
    }
    match postcard::from_bytes(body).context("decode a kept row")? {
        DeadRow::Image(image) if is_there(tx, &image).await? => Ok(Fate::Superseded),
        DeadRow::Image(image) => Ok(Fate::Tried(rows::apply_alone(tx, hub, &image, now_ms).await?)),
        DeadRow::Reading { epoch, reading, unit, device } => {
            let one = Readings {
                epoch,
                seq_lo: reading.seq,
                seq_hi: reading.seq,
                units: vec![(reading.unit, unit)],
                devices: device.map(|device| (reading.device, device)).into_iter().collect(),
                rows: vec![reading],
            };
            Ok(Fate::Tried(readings::apply(tx, hub, &one).await?))
        }
    }
}

async fn is_there(tx: &Transaction<'_>, image: &RowImage) -> anyhow::Result<bool> {
    let Some(table) = tables::writable(&image.table) else { return Ok(false) };
    let sql = format!("SELECT 1 FROM {} WHERE id = $1", table.name);
    Ok(tx.query_typed_opt(&sql, &[(&image.id, Type::UUID)]).await?.is_some())
}

async fn owns_epoch(tx: &Transaction<'_>, hub: &Hub, readings: &Readings) -> anyhow::Result<bool> {
    let row = tx
        .query_typed_opt(
            "SELECT 1 FROM hub_sync.epochs WHERE epoch = $1 AND hub_id = $2",
            &[(&readings.epoch.0.as_slice(), Type::BYTEA), (&hub.id, Type::UUID)],
        )
        .await?;
    Ok(row.is_some())
}
