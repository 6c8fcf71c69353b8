//! Configuration down: what a hub's site needs, read in one instant and named by its hash.

use anyhow::anyhow;
use deadpool_postgres::Client;
use tokio_postgres::types::Type;
use tokio_postgres::{IsolationLevel, Row, Transaction};
use uuid::Uuid;

use super::auth::Hub;
use super::codes::to_hex;
use super::db::{Ms, Param};
use super::ownership::belongs;
use super::problem::Failure;
use super::snapshot_tables::SNAPSHOT;
use super::tables::{Kind, Target};
use crate::api::{RefusedSnapshot, Snapshot};
use crate::ids::sha256;
use crate::wire::{RowImage, Value};

/// Rows of a snapshot: a site of 500 units with 20 rows each around it is far below.
const ROWS_MAX: usize = 50_000;
/// A reason a hub gives is shown to people; this is enough for one.
const REASON_CHARS_MAX: usize = 1_000;

/// Reads the snapshot of the hub's site.
pub async fn build(client: &mut Client, hub: &Hub) -> Result<Snapshot, Failure> {
    let deref: &mut tokio_postgres::Client = client;
    // One instant: a unit never comes without its area.
    let tx = deref
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await?;
    let snapshot = read(&tx, hub).await?;
    tx.commit().await?;
    Ok(snapshot)
}

/// The hash of what a person confirms with `hub confirm-removal`.
pub fn content_etag(rows: &[RowImage]) -> String {
    let bytes = postcard::to_allocvec(rows).expect("rows of plain values encode");
    to_hex(&sha256(&[b"frostguard snapshot", &bytes])[..16])
}

/// Within a transaction of the caller's.
pub async fn read(tx: &Transaction<'_>, hub: &Hub) -> Result<Snapshot, Failure> {
    let row = tx
        .query_typed_opt(
            "SELECT h.confirm_removal_etag, o.threshold_scale FROM hub_sync.hubs h \
             LEFT JOIN hub_sync.organizations o ON o.organization_id = h.organization_id WHERE h.hub_id = $1",
            &[(&hub.id, Type::UUID)],
        )
        .await?
        .ok_or_else(|| Failure::unauthorized("the hub was removed"))?;
    let confirmed: Option<String> = row.get(0);
    let scale: Option<String> = row.get(1);
    let scale = scale.ok_or_else(|| {
        Failure::Internal(anyhow!(
            "organization {} has no threshold_scale: add a hub with it",
            hub.organization
        ))
    })?;
    let factor = if scale == "whole" { 10 } else { 1 };

    let params: [Param<'_>; 4] = [
        (&hub.id, Type::UUID),
        (&hub.site, Type::UUID),
        (&hub.organization, Type::UUID),
        (&hub.id, Type::UUID),
    ];
    let statements: Vec<String> = SNAPSHOT.iter().map(|(table, columns)| statement(table, columns)).collect();
    // All are sent before the first answer comes.
    let answers =
        futures_util::future::try_join_all(statements.iter().map(|sql| tx.query_typed(sql, &params))).await?;
    let mut rows = Vec::new();
    for ((table, columns), answer) in SNAPSHOT.iter().zip(answers) {
        if rows.len() + answer.len() > ROWS_MAX {
            return Err(Failure::Internal(anyhow!(
                "the snapshot of site {} has over {ROWS_MAX} rows",
                hub.site
            )));
        }
        rows.extend(answer.iter().map(|row| image(table, columns, row, factor)));
    }
    let content = content_etag(&rows);
    let confirm_removal = confirmed.as_deref() == Some(content.as_str());
    let etag = if confirm_removal { format!("{content}-confirmed") } else { content };
    Ok(Snapshot { etag, site_id: hub.site, organization_id: hub.organization, confirm_removal, rows })
}

/// Selects a table's rows for the hub ($1, $4), its site ($2) and organization ($3).
fn statement(table: &str, columns: &[(&str, Kind)]) -> String {
    let of_site = match table {
        "organizations" => "t.id = $3".to_owned(),
        "sites" => "t.id = $2".to_owned(),
        "areas" | "hubs" => "t.site_id = $2".to_owned(),
        "units" => belongs(Target::Unit, "t.id"),
        "devices" => belongs(Target::Device, "t.id"),
        "lora_sensors" | "calibration_records" => belongs(Target::Device, "t.device_id"),
        "alert_rules" => belongs(Target::Rule, "t.id"),
        // profiles, user_roles, escalation_contacts
        _ => "t.organization_id = $3".to_owned(),
    };
    let values: Vec<String> = columns
        .iter()
        .map(|(name, kind)| match kind {
            Kind::Enum(_) | Kind::Text(_) | Kind::Eui | Kind::Mac => format!("t.\"{name}\"::text"),
            _ => format!("t.\"{name}\""),
        })
        .collect();
    // $1 to $4 are stated to all statements alike.
    format!("SELECT t.id, {} FROM {table} t WHERE {of_site} ORDER BY t.id", values.join(", "))
}

fn image(table: &str, columns: &[(&str, Kind)], row: &Row, factor: i64) -> RowImage {
    let columns = columns
        .iter()
        .enumerate()
        .map(|(at, (name, kind))| {
            let value = match (value(*kind, row, at + 1), *name) {
                (Value::Int(limit), "temp_min" | "temp_max") => Value::Int(limit * factor),
                (value, _) => value,
            };
            ((*name).to_owned(), value)
        })
        .collect();
    RowImage { table: table.to_owned(), id: row.get(0), columns }
}

/// A column of a row as a value; hundredths are selected as integers.
pub fn value(kind: Kind, row: &Row, at: usize) -> Value {
    match kind {
        Kind::Uuid => row.get::<_, Option<Uuid>>(at).map(Value::Uuid),
        Kind::Text(_) | Kind::Eui | Kind::Mac | Kind::Enum(_) => {
            row.get::<_, Option<String>>(at).map(Value::Text)
        }
        Kind::Int => row.get::<_, Option<i32>>(at).map(|int| Value::Int(i64::from(int))),
        Kind::Bool => row.get::<_, Option<bool>>(at).map(Value::Bool),
        Kind::Time => row.get::<_, Option<Ms>>(at).map(|ms| Value::Millis(ms.0)),
        Kind::Hundredths(..) => {
            row.get::<_, Option<i32>>(at).map(|value| Value::Hundredths(i64::from(value)))
        }
    }
    .unwrap_or(Value::Null)
}

/// The hub did not take a snapshot: `hub list` shows why.
pub async fn note_refused(
    client: &Client,
    hub: &Hub,
    refused: &RefusedSnapshot,
    now_ms: i64,
) -> Result<(), Failure> {
    let short =
        |text: &str| text.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect::<String>();
    let (etag, reason) = (short(&refused.etag), short(&refused.reason));
    tracing::warn!(hub.id = %hub.id, "hub {} refused snapshot {etag}: {reason}", hub.id);
    client
        .execute_typed(
            "UPDATE hub_sync.hubs SET refused_etag = $2, refused_reason = $3, refused_at = $4 WHERE hub_id = $1",
            &[
                (&hub.id, Type::UUID),
                (&etag, Type::TEXT),
                (&reason, Type::TEXT),
                (&Ms(now_ms), Type::TIMESTAMPTZ),
            ],
        )
        .await?;
    Ok(())
}
