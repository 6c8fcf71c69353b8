//! Security events: what a hub tried that it may not.

use tokio_postgres::GenericClient;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::db::Ms;
use crate::ids::{sha256, time_ordered_id};

/// Kept per hub; a hub that goes on is counted in the metrics and logged, its table does not grow.
const EVENTS_PER_HUB_MAX: i64 = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An epoch that belongs to another hub.
    Clone,
    /// A row of another site or organization.
    Foreign,
    /// A token that is another hub's.
    WrongHub,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Clone => "clone",
            Kind::Foreign => "foreign_row",
            Kind::WrongHub => "wrong_hub",
        }
    }
}

pub async fn record(
    client: &impl GenericClient,
    hub: Uuid,
    kind: Kind,
    detail: &str,
    now_ms: i64,
) -> Result<(), tokio_postgres::Error> {
    tracing::warn!(hub.id = %hub, kind = kind.as_str(), "security event of hub {hub}: {detail}");
    // The same event in the same millisecond is the same event.
    let digest = sha256(&[kind.as_str().as_bytes(), detail.as_bytes()]);
    let mut random = [0u8; 10];
    random.copy_from_slice(&digest[..10]);
    client
        .execute_typed(
            "INSERT INTO hub_sync.security_events (hub_id, id, kind, detail, happened_at) \
             SELECT $1, $2, $3, $4, $5 \
             WHERE (SELECT count(*) FROM hub_sync.security_events WHERE hub_id = $1) < $6 ON CONFLICT DO NOTHING",
            &[
                (&hub, Type::UUID),
                (&time_ordered_id(now_ms, random), Type::UUID),
                (&kind.as_str(), Type::TEXT),
                (&detail, Type::TEXT),
                (&Ms(now_ms), Type::TIMESTAMPTZ),
                (&EVENTS_PER_HUB_MAX, Type::INT8),
            ],
        )
        .await?;
    Ok(())
}
