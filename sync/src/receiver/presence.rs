//! Which hubs were heard lately, by the receiver's own clock: a hub without power cannot say so itself.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Client;
use tokio_postgres::GenericClient;
use tokio_postgres::types::Type;

use super::App;
use super::auth::Hub;
use super::db::Ms;
use super::problem::Failure;

/// A hub polls at least this often.
pub const POLL_MS: i64 = 5 * 60 * 1_000;
/// Offline after so many missed polls.
pub const SILENT_MS: i64 = 3 * POLL_MS;
/// A hub that uploads every second is not written every second.
const WRITE_EVERY_MS: i64 = 30_000;
/// Between two looks for hubs that fell silent.
const SWEEP_EVERY: Duration = Duration::from_mins(1);

/// The hub was heard now.
pub async fn touch(client: &Client, hub: &Hub, now_ms: i64) -> Result<(), Failure> {
    if hub.last_seen_ms.is_some_and(|seen| (0..WRITE_EVERY_MS).contains(&now_ms.saturating_sub(seen))) {
        return Ok(());
    }
    client
        .execute_typed(
            "WITH seen AS (UPDATE hub_sync.hubs SET last_seen_at = $2 WHERE hub_id = $1) \
             UPDATE hubs SET last_seen_at = $2, is_online = true, updated_at = $2 WHERE id = $1",
            &[(&hub.id, Type::UUID), (&Ms(now_ms), Type::TIMESTAMPTZ)],
        )
        .await?;
    Ok(())
}

/// Marks hubs that fell silent as offline; how many.
pub async fn sweep(client: &impl GenericClient, now_ms: i64) -> Result<u64, tokio_postgres::Error> {
    client
        .execute_typed(
            "UPDATE hubs SET is_online = false, updated_at = $1 WHERE is_online AND id IN \
             (SELECT hub_id FROM hub_sync.hubs WHERE last_seen_at IS NULL OR last_seen_at < $2)",
            &[(&Ms(now_ms), Type::TIMESTAMPTZ), (&Ms(now_ms - SILENT_MS), Type::TIMESTAMPTZ)],
        )
        .await
}

pub(super) async fn sweep_forever(app: Arc<App>) {
    loop {
        if let Err(failure) = sweep_once(&app).await {
            tracing::warn!(error = ?failure, "failed to look for silent hubs");
        }
        tokio::time::sleep(SWEEP_EVERY).await;
    }
}

pub(super) async fn sweep_once(app: &App) -> Result<(), Failure> {
    let client = app.pool.get().await?;
    let silent = sweep(&**client, app.now_ms()).await?;
    if silent > 0 {
        tracing::warn!(hubs = silent, "{silent} hubs fell silent");
    }
    Ok(())
}
