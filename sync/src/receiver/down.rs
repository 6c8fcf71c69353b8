//! What rides on every answer: the hash of the snapshot, what people did to the hub's open alerts, entries made
//! centrally since the hub's cursor, and the receiver's time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use deadpool_postgres::Client;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::App;
use super::auth::Hub;
use super::db::{MILLIS, Ms};
use super::ownership::{belongs, owned};
use super::problem::Failure;
use super::snapshot;
use super::tables::{self, Kind, Target};
use crate::api::Down;
use crate::wire::{RowImage, Value};

/// Alerts in one answer; the others come with the next.
const ALERTS_MAX: i64 = 500;
/// Entries in one answer; the cursor goes on from the last.
const ENTRIES_MAX: i64 = 200;
/// An entry is given out this long after it was made: a row whose transaction took longer than another's would
/// otherwise fall behind the cursor.
pub const SETTLE_MS: i64 = 10_000;
/// An entry is looked for by its own time, which may lie this long before it was entered.
const ENTERED_LATE_MS_MAX: i64 = 7 * 24 * 3_600 * 1_000;
/// A hub in catch-up uploads many times a second; the hash is that of at most this long ago.
const ETAG_MS: i64 = 5_000;
/// Hubs whose hash is remembered; beyond, all are forgotten and built again.
const ETAGS_MAX: usize = 100_000;

/// Hashes of snapshots, each with the time it was made.
#[derive(Default)]
pub struct EtagCache(Mutex<HashMap<Uuid, (String, i64)>>);

impl EtagCache {
    pub fn put(&self, hub: Uuid, etag: &str, now_ms: i64) {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() >= ETAGS_MAX && !map.contains_key(&hub) {
            map.clear();
        }
        map.insert(hub, (etag.to_owned(), now_ms));
    }

    fn fresh(&self, hub: Uuid, now_ms: i64) -> Option<String> {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (etag, at) = map.get(&hub)?;
        (0..ETAG_MS).contains(&(now_ms - at)).then(|| etag.clone())
    }
}

/// Entries only when the hub says where it stands: Some("") begins at its history bound.
pub(super) async fn collect(
    app: &App,
    client: &mut Client,
    hub: &Hub,
    cursor: Option<&str>,
    now_ms: i64,
) -> Result<Down, Failure> {
    let etag = if let Some(etag) = app.etags.fresh(hub.id, now_ms) {
        etag
    } else {
        let etag = snapshot::build(client, hub).await?.etag;
        app.etags.put(hub.id, &etag, now_ms);
        etag
    };
    let alerts = alerts(client, hub).await?;
    let (entries, cursor) = match cursor {
        None => (Vec::new(), String::new()),
        Some(cursor) => entries(client, hub, cursor, now_ms).await?,
    };
    Ok(Down { etag, alerts, entries, cursor, now_ms })
}

/// Where central's row says more than the hub has said. Ends by itself: the hub then says the same.
async fn alerts(client: &Client, hub: &Hub) -> Result<Vec<RowImage>, Failure> {
    let rows = client
        .query_typed(
            "SELECT a.id, a.acknowledged_at, a.acknowledged_by, a.resolved_at, a.resolved_by \
             FROM hub_sync.open_alerts o JOIN alerts a ON a.id = o.alert_id WHERE o.hub_id = $1 \
             AND (a.resolved_at IS NOT NULL OR (a.acknowledged_at IS NOT NULL \
             AND (a.escalated_at IS NULL OR a.acknowledged_at >= a.escalated_at) \
             AND (o.acknowledged_at IS NULL OR a.acknowledged_at < o.acknowledged_at))) ORDER BY a.id LIMIT $2",
            &[(&hub.id, Type::UUID), (&ALERTS_MAX, Type::INT8)],
        )
        .await?;
    let columns = [
        ("acknowledged_at", Kind::Time),
        ("acknowledged_by", Kind::Uuid),
        ("resolved_at", Kind::Time),
        ("resolved_by", Kind::Uuid),
    ];
    Ok(rows
        .iter()
        .map(|row| RowImage {
            table: "alerts".to_owned(),
            id: row.get(0),
            columns: columns
                .iter()
                .enumerate()
                .map(|(at, (name, kind))| ((*name).to_owned(), snapshot::value(*kind, row, at + 1)))
                .collect(),
        })
        .collect())
}

/// Manual logs and corrective actions of the site that this hub did not make, after the cursor, oldest first.
async fn entries(
    client: &Client,
    hub: &Hub,
    cursor: &str,
    now_ms: i64,
) -> Result<(Vec<RowImage>, String), Failure> {
    let (from_ms, from_id) = match parse_cursor(cursor)? {
        Some(position) => position,
        None => (history_from(client, hub).await?, Uuid::nil()),
    };
    let mut found: Vec<(i64, RowImage)> = Vec::new();
    for (table, time) in [("manual_temperature_logs", "recorded_at"), ("corrective_actions", "action_at")] {
        let sql = entries_statement(table, time);
        let rows = client
            .query_typed(
                &sql,
                &[
                    (&hub.id, Type::UUID),
                    (&hub.site, Type::UUID),
                    (&hub.organization, Type::UUID),
                    (&hub.id, Type::UUID),
                    (&Ms(from_ms), Type::TIMESTAMPTZ),
                    (&from_id, Type::UUID),
                    (&Ms(now_ms - SETTLE_MS), Type::TIMESTAMPTZ),
                    (&Ms((from_ms - ENTERED_LATE_MS_MAX).max(0)), Type::TIMESTAMPTZ),
                    (&ENTRIES_MAX, Type::INT8),
                ],
            )
            .await?;
        let columns = tables::writable(table).map_or(&[][..], |table| table.columns);
        found.extend(rows.iter().map(|row| {
            let values = columns.iter().enumerate();
            let values =
                values.map(|(at, (name, kind, _))| ((*name).to_owned(), snapshot::value(*kind, row, at + 1)));
            let image = RowImage { table: table.to_owned(), id: row.get(0), columns: values.collect() };
            (created_ms(&image), image)
        }));
    }
    found.sort_by_key(|(ms, image)| (*ms, image.id));
    found.truncate(ENTRIES_MAX as usize);
    let cursor = found.last().map_or((from_ms, from_id), |(ms, image)| (*ms, image.id));
    Ok((found.into_iter().map(|(_, image)| image).collect(), format!("{}:{}", cursor.0, cursor.1)))
}

fn entries_statement(table: &str, time: &str) -> String {
    let columns = tables::writable(table).map_or(&[][..], |table| table.columns);
    let values: Vec<String> = columns
        .iter()
        .map(|(name, kind, _)| match kind {
            Kind::Hundredths(..) => format!("(t.\"{name}\" * 100)::int"),
            Kind::Text(_) | Kind::Enum(_) => format!("t.\"{name}\"::text"),
            _ => format!("t.\"{name}\""),
        })
        .collect();
    format!(
        "SELECT t.id, {values} FROM {table} t WHERE {of_site} AND NOT {owned} AND (t.created_at, t.id) > ($5, $6) \
         AND t.created_at <= $7 AND t.{time} >= $8 ORDER BY t.created_at, t.id LIMIT $9",
        values = values.join(", "),
        of_site = belongs(Target::Unit, "t.unit_id"),
        owned = owned(table, "t.id"),
    )
}

fn created_ms(image: &RowImage) -> i64 {
    match image.columns.iter().find(|(name, _)| name == "created_at") {
        Some((_, Value::Millis(ms))) => *ms,
        _ => 0,
    }
}

async fn history_from(client: &Client, hub: &Hub) -> Result<i64, Failure> {
    let row = client
        .query_typed_one("SELECT history_from FROM hub_sync.hubs WHERE hub_id = $1", &[(&hub.id, Type::UUID)])
        .await?;
    Ok(row.get::<_, Ms>(0).0)
}

/// `<created_at in ms>:<id>` of the last entry given out; empty: from the beginning.
fn parse_cursor(cursor: &str) -> Result<Option<(i64, Uuid)>, Failure> {
    if cursor.is_empty() {
        return Ok(None);
    }
    let position = cursor.split_once(':').and_then(|(ms, id)| {
        let ms = ms.parse().ok().filter(|ms| MILLIS.contains(ms))?;
        Some((ms, Uuid::parse_str(id).ok()?))
    });
    position.map(Some).ok_or_else(|| Failure::bad_request("the cursor is not one the receiver gave"))
}
