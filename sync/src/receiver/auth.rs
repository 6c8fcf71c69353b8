//! Who asks: a bearer token, known here only by its SHA-256.

use axum::http::{HeaderMap, header};
use deadpool_postgres::Client;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::db::Ms;
use super::problem::Failure;
use crate::ids::sha256;

/// An enrolled hub.
#[derive(Clone, Debug)]
pub struct Hub {
    pub id: Uuid,
    pub site: Uuid,
    pub organization: Uuid,
    pub last_seen_ms: Option<i64>,
}

/// The hub whose token stands in the headers.
pub async fn hub(client: &Client, headers: &HeaderMap) -> Result<Hub, Failure> {
    let token =
        bearer(headers).ok_or_else(|| Failure::unauthorized("send the token: Authorization: Bearer ..."))?;
    let digest = sha256(&[token.as_bytes()]);
    let row = client
        .query_typed_opt(
            "SELECT hub_id, site_id, organization_id, last_seen_at FROM hub_sync.hubs \
             WHERE token_sha256 = $1 AND revoked_at IS NULL",
            &[(&digest.as_slice(), Type::BYTEA)],
        )
        .await?;
    let row =
        row.ok_or_else(|| Failure::unauthorized("no hub has this token, or it was revoked; enrol again"))?;
    Ok(Hub {
        id: row.get(0),
        site: row.get(1),
        organization: row.get(2),
        last_seen_ms: row.get::<_, Option<Ms>>(3).map(|ms| ms.0),
    })
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
