//! Of an alert: what the hub and central said of it, merged.

use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use super::super::alerts::{self, People};
use super::super::db::Ms;
use super::super::image::{Bound, Image};
use super::Common;

/// What the hub itself said of an alert: (acknowledged, resolved), Unix ms.
pub(super) type Said = (Option<i64>, Option<i64>);

/// Puts the merged acknowledge, resolve and status into the image.
pub(super) async fn merge_alert(
    tx: &Transaction<'_>,
    common: &Common,
    image: &mut Image,
) -> Result<Said, tokio_postgres::Error> {
    let row = tx
        .query_typed_opt(
            "SELECT acknowledged_at, acknowledged_by, resolved_at, resolved_by, escalated_at, status::text, \
             escalation_level FROM alerts WHERE id = $1 FOR NO KEY UPDATE",
            &[(&common.id, Type::UUID)],
        )
        .await?;
    let (mut central, mut escalated, mut status, mut level) =
        (People::default(), None, "active".to_owned(), 0);
    if let Some(row) = row {
        let at = |column: usize| row.get::<_, Option<Ms>>(column).map(|ms| ms.0);
        central.acknowledged = at(0).map(|ms| (ms, row.get(1)));
        central.resolved = at(2).map(|ms| (ms, row.get(3)));
        escalated = at(4);
        status = row.get(5);
        level = i64::from(row.get::<_, i32>(6));
    }
    let said = (image.time("acknowledged_at"), image.time("resolved_at"));
    let hub = People {
        acknowledged: said.0.map(|ms| (ms, image.uuid("acknowledged_by"))),
        resolved: said.1.map(|ms| (ms, image.uuid("resolved_by"))),
    };
    if image.get("escalated_at").is_some() {
        escalated = image.time("escalated_at");
    }
    let people = alerts::merge(hub, central, escalated);
    let level = image.int("escalation_level").unwrap_or(level);
    let status = alerts::status(people, image.text("status").unwrap_or(&status), level).to_owned();
    let (acknowledged, resolved) = (people.acknowledged, people.resolved);
    image.set("acknowledged_at", Bound::Time(acknowledged.map(|(ms, _)| Ms(ms))));
    image.set("acknowledged_by", Bound::Uuid(acknowledged.and_then(|(_, by)| by)));
    image.set("resolved_at", Bound::Time(resolved.map(|(ms, _)| Ms(ms))));
    image.set("resolved_by", Bound::Uuid(resolved.and_then(|(_, by)| by)));
    image.set("status", Bound::Text(Some(status)));
    Ok(said)
}

/// Remembers what the hub said, until it resolved the alert: where central knows more, that goes down.
pub(super) async fn note_open_alert(
    tx: &Transaction<'_>,
    common: &Common,
    (acknowledged, resolved): Said,
) -> Result<(), tokio_postgres::Error> {
    let sql = if resolved.is_some() {
        "DELETE FROM hub_sync.open_alerts WHERE hub_id = $4 AND alert_id = $1"
    } else {
        "INSERT INTO hub_sync.open_alerts (hub_id, alert_id, acknowledged_at) VALUES ($4, $1, $6) \
         ON CONFLICT (hub_id, alert_id) DO UPDATE SET acknowledged_at = excluded.acknowledged_at"
    };
    let mut params = common.with(&[]);
    let acknowledged = acknowledged.map(Ms);
    params.push((&acknowledged, Type::TIMESTAMPTZ));
    tx.execute_typed(sql, &params).await?;
    Ok(())
}
