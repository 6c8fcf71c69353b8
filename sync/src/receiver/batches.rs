//! A batch: the ledger row and the rows it brings, in one transaction.

use axum::http::StatusCode;
use deadpool_postgres::Client;
use tokio_postgres::Transaction;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::auth::Hub;
use super::db::{self, Ms};
use super::dead_letters::{self, Refused};
use super::problem::Failure;
use super::security::{self, Kind};
use super::{readings, rows};
use crate::api::{ProblemKind, RefusedRow};
use crate::ids::{Epoch, sha256};
use crate::wire::{Batch, Body, Header, Lane, Readings};

/// A deadlock or serialization failure is tried again this often before the hub is asked to come back.
const TRIES_MAX: usize = 4;
/// Epochs of one hub: each stands for a restore or a rewind, so a hub that makes more is out of its mind.
const EPOCHS_PER_HUB_MAX: i64 = 1_000;

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Applied,
    /// The same batch again: nothing was written.
    Repeated,
}

/// What the ledger says after it.
#[derive(Debug)]
pub struct Done {
    pub outcome: Outcome,
    pub applied_through: u64,
    pub refused: Vec<RefusedRow>,
    pub rows: usize,
    pub foreign: usize,
}

/// A decoded batch with the bytes it came in.
pub struct Arrived {
    pub batch: Batch,
    pub body: Vec<u8>,
    pub digest: [u8; 32],
}

impl Arrived {
    /// Decodes a body: work for a blocking thread.
    pub fn read(body: Vec<u8>) -> Result<Self, crate::wire::WireError> {
        let batch = crate::wire::decode(&body)?;
        let digest = sha256(&[&body]);
        Ok(Self { batch, body, digest })
    }
}

/// Applies a batch, or says that it was applied, or why it cannot be.
pub async fn apply(client: &mut Client, hub: &Hub, arrived: &Arrived, now_ms: i64) -> Result<Done, Failure> {
    let header = &arrived.batch.header;
    if header.hub != hub.id {
        let detail = format!("a batch of hub {} came with this hub's token", header.hub);
        security::record(&***client, hub.id, Kind::WrongHub, &detail, now_ms).await?;
        return Err(Failure::unauthorized(format!("this token is not that of hub {}", header.hub)));
    }
    if header.seq == 0 || i64::try_from(header.seq).is_err() {
        return Err(Failure::bad_request(format!(
            "batch number {} is not one: they count from 1",
            header.seq
        )));
    }
    let mut tries = 1;
    loop {
        match try_apply(client, hub, arrived, now_ms).await {
            Err(Stop::Database(error)) if db::is_repeatable(&error) && tries < TRIES_MAX => tries += 1,
            Err(Stop::Database(error)) => return Err(error.into()),
            Err(Stop::Answer(failure)) => return Err(failure),
            Ok(done) => return Ok(done),
        }
    }
}

/// Why a try ended.
enum Stop {
    Database(tokio_postgres::Error),
    Answer(Failure),
}

impl From<tokio_postgres::Error> for Stop {
    fn from(error: tokio_postgres::Error) -> Self {
        Stop::Database(error)
    }
}

async fn try_apply(client: &mut Client, hub: &Hub, arrived: &Arrived, now_ms: i64) -> Result<Done, Stop> {
    let header = &arrived.batch.header;
    let deref: &mut tokio_postgres::Client = client;
    let tx = deref.transaction().await?;
    db::bound_statements(&tx).await?;
    if !matches!(bind_epoch(&tx, hub, header.epoch, now_ms).await?, Owner::Hub) {
        tx.rollback().await?;
        return Err(Stop::Answer(refuse_epoch(client, hub, header.epoch, now_ms).await?));
    }
    let lane = lock_lane(&tx, header, now_ms).await?;
    if lane.applied_through == header.seq && lane.digest == arrived.digest {
        tx.rollback().await?;
        let refused = serde_json::from_str(&lane.answer).unwrap_or_default();
        let (outcome, rows) = (Outcome::Repeated, 0);
        return Ok(Done { outcome, applied_through: header.seq, refused, rows, foreign: 0 });
    }
    if lane.applied_through.checked_add(1) != Some(header.seq) {
        tx.rollback().await?;
        return Err(Stop::Answer(out_of_order(client, hub, arrived, lane.applied_through, now_ms).await?));
    }
    if header.lane == Lane::Readings && header.needs > 0 {
        let applied = applied_through(&tx, header, Lane::State).await?;
        if applied < header.needs {
            let detail =
                format!("batch {} of state must come first; applied through {applied}", header.needs);
            let status = StatusCode::TOO_EARLY;
            return Err(Stop::Answer(Failure::lane(status, ProblemKind::TooEarly, detail, applied)));
        }
    }
    let (rows, refused) = match &arrived.batch.body {
        Body::State(images) => (images.len(), rows::apply(&tx, hub, images, now_ms).await?),
        Body::Readings(batch) => {
            if let Some((seq, at)) = readings::future(batch, now_ms) {
                let detail =
                    format!("reading {seq} is at {at} ms, the receiver's time is {now_ms} ms: set the clock");
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                return Err(Stop::Answer(Failure::reject(status, ProblemKind::Future, detail)));
            }
            (batch.rows.len(), apply_readings(&tx, hub, batch, now_ms).await?)
        }
    };
    let foreign = note_foreign(&tx, hub, &refused, now_ms).await?;
    dead_letters::keep_rows(&tx, hub.id, header, &refused, now_ms).await?;
    let refused: Vec<RefusedRow> = refused.iter().map(RefusedRow::from).collect();
    advance(&tx, header, &arrived.digest, &refused, now_ms).await?;
    tx.commit().await?;
    Ok(Done { outcome: Outcome::Applied, applied_through: header.seq, refused, rows, foreign })
}

/// Whose an epoch is.
enum Owner {
    Hub,
    /// A hub of the same site. `revoked`: this one may well be its successor.
    Neighbour {
        revoked: bool,
    },
    Foreign,
}

/// Binds the epoch to the hub, if it is nobody's yet.
async fn bind_epoch(
    tx: &Transaction<'_>,
    hub: &Hub,
    epoch: Epoch,
    now_ms: i64,
) -> Result<Owner, tokio_postgres::Error> {
    let key = epoch.0.as_slice();
    let select = "SELECT e.hub_id, h.site_id, h.revoked_at IS NOT NULL FROM hub_sync.epochs e \
         LEFT JOIN hub_sync.hubs h ON h.hub_id = e.hub_id WHERE e.epoch = $1";
    let mut bound = tx.query_typed_opt(select, &[(&key, Type::BYTEA)]).await?;
    if bound.is_none() {
        tx.execute_typed(
            "INSERT INTO hub_sync.epochs (epoch, hub_id, first_seen_at) SELECT $1, $2, $3 \
             WHERE (SELECT count(*) FROM hub_sync.epochs WHERE hub_id = $2) < $4 ON CONFLICT (epoch) DO NOTHING",
            &[
                (&key, Type::BYTEA),
                (&hub.id, Type::UUID),
                (&Ms(now_ms), Type::TIMESTAMPTZ),
                (&EPOCHS_PER_HUB_MAX, Type::INT8),
            ],
        )
        .await?;
        bound = tx.query_typed_opt(select, &[(&key, Type::BYTEA)]).await?;
    }
    Ok(match bound {
        Some(row) if row.get::<_, Uuid>(0) == hub.id => Owner::Hub,
        Some(row) if row.get::<_, Option<Uuid>>(1) == Some(hub.site) => {
            Owner::Neighbour { revoked: row.get(2) }
        }
        _ => Owner::Foreign,
    })
}

/// Writes readings, which name the epoch they were made under. Where that is another hub's, the database was copied or
/// the hub succeeds another: within a site they are taken, since an id holds epoch, number and time, so that what both
/// have is one row, and what only one has is nobody else's. Beyond the site they are refused one by one: the lane must
/// not stand still for them.
async fn apply_readings(
    tx: &Transaction<'_>,
    hub: &Hub,
    batch: &Readings,
    now_ms: i64,
) -> Result<Vec<Refused>, tokio_postgres::Error> {
    let owner = bind_epoch(tx, hub, batch.epoch, now_ms).await?;
    let what = format!("readings {} to {} of epoch {}", batch.seq_lo, batch.seq_hi, batch.epoch);
    match owner {
        Owner::Hub | Owner::Neighbour { revoked: true } => {}
        Owner::Neighbour { revoked: false } => {
            let detail = format!("{what}, which is another hub's of the site: its database was copied");
            security::record(tx, hub.id, Kind::Clone, &detail, now_ms).await?;
        }
        Owner::Foreign => {
            let detail = format!("{what}, which is another hub's");
            security::record(tx, hub.id, Kind::Clone, &detail, now_ms).await?;
            return Ok(readings::refuse_all(batch, "it was made under an epoch of another site's hub"));
        }
    }
    readings::apply(tx, hub, batch).await
}

async fn refuse_epoch(
    client: &Client,
    hub: &Hub,
    epoch: Epoch,
    now_ms: i64,
) -> Result<Failure, tokio_postgres::Error> {
    let detail = format!("epoch {epoch} is another hub's, or this hub has more than {EPOCHS_PER_HUB_MAX}");
    security::record(&***client, hub.id, Kind::Clone, &detail, now_ms).await?;
    Ok(Failure::reject(StatusCode::FORBIDDEN, ProblemKind::Clone, detail))
}

struct LaneRow {
    applied_through: u64,
    digest: Vec<u8>,
    answer: String,
}

/// The ledger row of the batch's lane, locked until the transaction ends: two receivers take turns here.
async fn lock_lane(
    tx: &Transaction<'_>,
    header: &Header,
    now_ms: i64,
) -> Result<LaneRow, tokio_postgres::Error> {
    let lane = i16::from(header.lane.number());
    let key = [
        (&header.hub as _, Type::UUID),
        (&header.epoch.0.as_slice() as _, Type::BYTEA),
        (&lane as _, Type::INT2),
    ];
    let select = "SELECT applied_through, digest, answer FROM hub_sync.lane \
         WHERE hub_id = $1 AND epoch = $2 AND lane = $3 FOR UPDATE";
    if let Some(row) = tx.query_typed_opt(select, &key).await? {
        return Ok(LaneRow::read(&row));
    }
    let [hub, epoch, lane] = key.clone();
    tx.execute_typed(
        "INSERT INTO hub_sync.lane (hub_id, epoch, lane, applied_through, digest, applied_at, answer) \
         VALUES ($1, $2, $3, 0, ''::bytea, $4, '[]') ON CONFLICT (hub_id, epoch, lane) DO NOTHING",
        &[hub, epoch, lane, (&Ms(now_ms), Type::TIMESTAMPTZ)],
    )
    .await?;
    Ok(LaneRow::read(&tx.query_typed_one(select, &key).await?))
}

impl LaneRow {
    fn read(row: &tokio_postgres::Row) -> Self {
        Self { applied_through: row.get::<_, i64>(0) as u64, digest: row.get(1), answer: row.get(2) }
    }
}

async fn applied_through(
    tx: &Transaction<'_>,
    header: &Header,
    lane: Lane,
) -> Result<u64, tokio_postgres::Error> {
    let row = tx
        .query_typed_opt(
            "SELECT applied_through FROM hub_sync.lane WHERE hub_id = $1 AND epoch = $2 AND lane = $3",
            &[
                (&header.hub, Type::UUID),
                (&header.epoch.0.as_slice(), Type::BYTEA),
                (&i16::from(lane.number()), Type::INT2),
            ],
        )
        .await?;
    Ok(row.map_or(0, |row| row.get::<_, i64>(0) as u64))
}

async fn advance(
    tx: &Transaction<'_>,
    header: &Header,
    digest: &[u8; 32],
    refused: &[RefusedRow],
    now_ms: i64,
) -> Result<(), tokio_postgres::Error> {
    let answer = serde_json::to_string(refused).expect("names and reasons are text");
    tx.execute_typed(
        "UPDATE hub_sync.lane SET applied_through = $4, digest = $5, applied_at = $6, answer = $7 \
         WHERE hub_id = $1 AND epoch = $2 AND lane = $3",
        &[
            (&header.hub, Type::UUID),
            (&header.epoch.0.as_slice(), Type::BYTEA),
            (&i16::from(header.lane.number()), Type::INT2),
            (&(header.seq as i64), Type::INT8),
            (&digest.as_slice(), Type::BYTEA),
            (&Ms(now_ms), Type::TIMESTAMPTZ),
            (&answer, Type::TEXT),
        ],
    )
    .await?;
    Ok(())
}

/// A batch that is not the next one: its body is kept, the hub begins a new epoch.
async fn out_of_order(
    client: &Client,
    hub: &Hub,
    arrived: &Arrived,
    applied: u64,
    now_ms: i64,
) -> Result<Failure, tokio_postgres::Error> {
    let header = &arrived.batch.header;
    let detail = if header.seq == applied {
        format!("batch {applied} was applied with other bytes")
    } else {
        format!("batch {} came where {} is next", header.seq, applied.saturating_add(1))
    };
    dead_letters::keep_batch(&***client, hub.id, header, &arrived.body, &detail, now_ms).await?;
    Ok(Failure::lane(StatusCode::CONFLICT, ProblemKind::OutOfOrder, detail, applied))
}

/// Security events of the rows that are somebody else's; the number of them.
async fn note_foreign(
    tx: &Transaction<'_>,
    hub: &Hub,
    refused: &[Refused],
    now_ms: i64,
) -> Result<usize, tokio_postgres::Error> {
    let foreign: Vec<&Refused> = refused.iter().filter(|row| row.foreign).collect();
    if let Some(first) = foreign.first() {
        let detail =
            format!("{} rows, the first {} {}: {}", foreign.len(), first.table, first.key, first.reason);
        security::record(tx, hub.id, Kind::Foreign, &detail, now_ms).await?;
    }
    Ok(foreign.len())
}
