//! What was refused is kept, with the reason, within a bound; a person can look at it and try it again.

use serde::{Deserialize, Serialize};
use tokio_postgres::GenericClient;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::db::Ms;
use crate::api::RefusedRow;
use crate::ids::{Epoch, sha256};
use crate::wire::{Header, Reading, RowImage};

/// Dead letters of one hub: rows, and bytes of their bodies.
pub const ROWS_MAX: i64 = 10_000;
pub const BYTES_MAX: i64 = 64 << 20;

/// A row as it is kept, so that it can be tried again. Stored as postcard: append variants, never change one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum DeadRow {
    Image(RowImage),
    Reading { epoch: Epoch, reading: Reading, unit: Uuid, device: Option<Uuid> },
}

/// A row that was not written, or a column of one.
#[derive(Clone, Debug)]
pub struct Refused {
    pub table: String,
    /// A UUID, or "epoch:seq" of a reading.
    pub key: String,
    pub reason: String,
    /// None: a column of a row that was written; it is told, and not kept.
    pub row: Option<DeadRow>,
    /// It is, or leads to, a row of somebody else: a security event.
    pub foreign: bool,
}

impl From<&Refused> for RefusedRow {
    fn from(refused: &Refused) -> Self {
        Self { table: refused.table.clone(), key: refused.key.clone(), reason: refused.reason.clone() }
    }
}

/// What is left of a hub's bound.
struct Left {
    rows: i64,
    bytes: i64,
}

impl Left {
    async fn of(client: &impl GenericClient, hub: Uuid) -> Result<Self, tokio_postgres::Error> {
        let row = client
            .query_typed_one(
                "SELECT count(*), coalesce(sum(octet_length(body)), 0)::bigint FROM hub_sync.dead_letters \
                 WHERE hub_id = $1",
                &[(&hub, Type::UUID)],
            )
            .await?;
        Ok(Self { rows: ROWS_MAX - row.get::<_, i64>(0), bytes: BYTES_MAX - row.get::<_, i64>(1) })
    }

    fn take(&mut self, bytes: usize) -> bool {
        let fits = self.rows >= 1 && self.bytes >= bytes as i64;
        if fits {
            self.rows -= 1;
            self.bytes -= bytes as i64;
        }
        fits
    }
}

/// Keeps the refused rows of a batch, in the transaction that writes the others.
pub async fn keep_rows(
    tx: &impl GenericClient,
    hub: Uuid,
    header: &Header,
    refused: &[Refused],
    now_ms: i64,
) -> Result<(), tokio_postgres::Error> {
    let rows: Vec<(&Refused, &DeadRow)> =
        refused.iter().filter_map(|row| Some((row, row.row.as_ref()?))).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let mut left = Left::of(tx, hub).await?;
    let mut beyond = 0;
    for (index, (row, dead)) in rows.into_iter().enumerate() {
        let body = postcard::to_allocvec(dead).expect("rows of plain values encode");
        if !left.take(body.len()) {
            beyond += 1;
            continue;
        }
        let letter = Letter {
            kind: "row",
            id: letter_id(header, &[b"row", &(index as u64).to_be_bytes()]),
            table: Some(&row.table),
            key: Some(&row.key),
            reason: &row.reason,
            body: Some(&body),
            rows: 1,
        };
        insert(tx, hub, header, &letter, now_ms).await?;
    }
    if beyond > 0 {
        let reason = format!("{beyond} refused rows beyond the bound: {}", refused[refused.len() - 1].reason);
        keep_range(tx, hub, header, &reason, beyond, now_ms).await?;
    }
    Ok(())
}

/// Keeps a batch that is out of order, whole.
pub async fn keep_batch(
    client: &impl GenericClient,
    hub: Uuid,
    header: &Header,
    body: &[u8],
    reason: &str,
    now_ms: i64,
) -> Result<(), tokio_postgres::Error> {
    if !Left::of(client, hub).await?.take(body.len()) {
        return keep_range(client, hub, header, reason, 1, now_ms).await;
    }
    let letter = Letter {
        kind: "batch",
        id: letter_id(header, &[b"batch", &sha256(&[body])]),
        table: None,
        key: None,
        reason,
        body: Some(body),
        rows: 1,
    };
    insert(client, hub, header, &letter, now_ms).await
}

struct Letter<'a> {
    kind: &'a str,
    id: Uuid,
    table: Option<&'a str>,
    key: Option<&'a str>,
    reason: &'a str,
    body: Option<&'a [u8]>,
    rows: i64,
}

async fn insert(
    client: &impl GenericClient,
    hub: Uuid,
    header: &Header,
    letter: &Letter<'_>,
    now_ms: i64,
) -> Result<(), tokio_postgres::Error> {
    client
        .execute_typed(
            "INSERT INTO hub_sync.dead_letters (hub_id, id, kind, epoch, lane, batch_seq, batch_seq_to, row_count, \
             table_name, row_key, reason, body, arrived_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING",
            &[
                (&hub, Type::UUID),
                (&letter.id, Type::UUID),
                (&letter.kind, Type::TEXT),
                (&header.epoch.0.as_slice(), Type::BYTEA),
                (&i16::from(header.lane.number()), Type::INT2),
                (&(header.seq as i64), Type::INT8),
                (&letter.rows, Type::INT8),
                (&letter.table, Type::TEXT),
                (&letter.key, Type::TEXT),
                (&letter.reason, Type::TEXT),
                (&letter.body, Type::BYTEA),
                (&Ms(now_ms), Type::TIMESTAMPTZ),
            ],
        )
        .await?;
    Ok(())
}

/// Beyond the bound: one letter per epoch and lane that says which batches, how many rows, and the last reason.
async fn keep_range(
    client: &impl GenericClient,
    hub: Uuid,
    header: &Header,
    reason: &str,
    rows: i64,
    now_ms: i64,
) -> Result<(), tokio_postgres::Error> {
    let of_lane = Header { seq: 0, ..header.clone() };
    client
        .execute_typed(
            "INSERT INTO hub_sync.dead_letters AS d (hub_id, id, kind, epoch, lane, batch_seq, batch_seq_to, \
             row_count, reason, arrived_at) VALUES ($1, $2, 'range', $3, $4, $5, $5, $6, $7, $8) \
             ON CONFLICT (hub_id, id) DO UPDATE SET batch_seq = least(d.batch_seq, excluded.batch_seq), \
             batch_seq_to = greatest(d.batch_seq_to, excluded.batch_seq_to), \
             row_count = d.row_count + excluded.row_count, reason = excluded.reason, arrived_at = excluded.arrived_at",
            &[
                (&hub, Type::UUID),
                (&letter_id(&of_lane, &[b"range"]), Type::UUID),
                (&header.epoch.0.as_slice(), Type::BYTEA),
                (&i16::from(header.lane.number()), Type::INT2),
                (&(header.seq as i64), Type::INT8),
                (&rows, Type::INT8),
                (&reason, Type::TEXT),
                (&Ms(now_ms), Type::TIMESTAMPTZ),
            ],
        )
        .await?;
    Ok(())
}

/// The same refusal of the same batch is the same letter.
fn letter_id(header: &Header, parts: &[&[u8]]) -> Uuid {
    let (lane, seq) = ([header.lane.number()], header.seq.to_be_bytes());
    let mut all: Vec<&[u8]> = vec![b"frostguard dead letter", &header.epoch.0, &lane, &seq];
    all.extend(parts);
    let mut bytes = [0u8; 16];
    bytes.copy_from_slice(&sha256(&all)[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}
