//! Requests and answers. What is decided is decided elsewhere; this admits, reads, hands on and answers.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{DefaultBodyLimit, Extension, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::auth::{self, Hub};
use super::batches::{self, Arrived, Outcome};
use super::problem::Failure;
use super::serve::Peer;
use super::{App, down, enrol, metrics, presence, snapshot};
use crate::api::{self, ConfigAnswer, EnrolRequest, ProblemKind, RefusedSnapshot, TimeAnswer, UploadAnswer};
use crate::signing::time_message;
use crate::wire::{BODY_BYTES_MAX, Lane, WireError};

/// The slowest link a hub may have: a body is cut for 5 s of it.
const BODY_READ_MAX: Duration = Duration::from_mins(1);
/// Requests other than batches and enrolments.
const SMALL_BODY_BYTES_MAX: usize = 16 << 10;
/// `/readyz` answers by then.
const READY_MAX: Duration = Duration::from_secs(3);

pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route(api::PATH_BATCHES, post(upload))
        .route(api::PATH_CONFIG, get(config))
        .route(api::PATH_CONFIG_REFUSED, post(config_refused))
        .route(api::PATH_ENROL, post(enrolment))
        .route(api::PATH_TIME, get(time))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(show_metrics))
        // Each handler reads its own body, within its own bound.
        .layer(DefaultBodyLimit::disable())
        .with_state(app)
}

/// `?cursor=`: up to where the hub has entries.
#[derive(Deserialize)]
struct Cursor {
    cursor: Option<String>,
}

async fn upload(State(app): State<Arc<App>>, Query(cursor): Query<Cursor>, request: Request) -> Response {
    let answer = take_batch(&app, cursor.cursor.as_deref(), request).await;
    app.answer("batches", answer.map(|answer| Json(answer).into_response()))
}

async fn take_batch(app: &App, cursor: Option<&str>, request: Request) -> Result<UploadAnswer, Failure> {
    let (parts, body) = request.into_parts();
    let lane = lane_hint(&parts.headers);
    let announced = content_length(&parts.headers);
    if announced.is_some_and(|bytes| bytes > BODY_BYTES_MAX) {
        return Err(Failure::too_large(format!("a body has at most {BODY_BYTES_MAX} bytes")));
    }
    // Who asks, before anything of theirs takes room.
    let hub = app.hub(lane, &parts.headers).await?;
    let room = app.budget.take(lane, announced)?;
    let body = read_body(body, BODY_BYTES_MAX).await?;

    // The turn is taken before decoding: no more batches lie decoded in memory than are being applied.
    let turn = app.gate.enter(lane).await?;
    let arrived = tokio::task::spawn_blocking(move || Arrived::read(body))
        .await
        .map_err(|error| Failure::Internal(error.into()))?
        .map_err(refuse_body)?;
    drop(room);
    let mut client = app.pool.get().await?;
    let now_ms = app.now_ms();
    let done = batches::apply(&mut client, &hub, &arrived, now_ms).await?;
    app.metrics.batch(arrived.batch.header.lane, &done);
    tracing::info!(
        hub.id = %hub.id, batch.lane = arrived.batch.header.lane.number(), batch.seq = done.applied_through,
        rows = done.rows, refused = done.refused.len(), repeated = done.outcome == Outcome::Repeated,
        "took batch {}", done.applied_through
    );
    presence::touch(&client, &hub, now_ms).await?;
    let down = down::collect(app, &mut client, &hub, cursor, now_ms).await?;
    drop(turn);
    Ok(UploadAnswer { applied_through: done.applied_through, refused: done.refused, down })
}

fn refuse_body(error: WireError) -> Failure {
    match error {
        WireError::TooLarge { .. } | WireError::TooManyRows { .. } => Failure::too_large(error.to_string()),
        _ => Failure::bad_request(error.to_string()),
    }
}

async fn config(State(app): State<Arc<App>>, Query(cursor): Query<Cursor>, headers: HeaderMap) -> Response {
    let answer = give_config(&app, cursor.cursor.as_deref(), &headers).await;
    app.answer("config", answer)
}

async fn give_config(app: &App, cursor: Option<&str>, headers: &HeaderMap) -> Result<Response, Failure> {
    let turn = app.gate.enter(Lane::State).await?;
    let mut client = app.pool.get().await?;
    let hub = auth::hub(&client, headers).await?;
    let now_ms = app.now_ms();
    presence::touch(&client, &hub, now_ms).await?;
    let snapshot = snapshot::build(&mut client, &hub).await?;
    app.etags.put(hub.id, &snapshot.etag, now_ms);
    // Without a cursor a hub asks from its history bound on.
    let down = down::collect(app, &mut client, &hub, Some(cursor.unwrap_or_default()), now_ms).await?;
    drop((client, turn));

    let tag = format!("\"{}\"", snapshot.etag);
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let unchanged =
        known.flat_map(|value| value.split(',')).any(|value| value.trim().trim_start_matches("W/") == tag);
    let etag = HeaderValue::from_str(&tag).map_err(|error| Failure::Internal(error.into()))?;
    let mut response = if unchanged && down.alerts.is_empty() && down.entries.is_empty() {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Json(ConfigAnswer { snapshot: (!unchanged).then_some(snapshot), down }).into_response()
    };
    response.headers_mut().insert(header::ETAG, etag);
    Ok(response)
}

async fn config_refused(State(app): State<Arc<App>>, request: Request) -> Response {
    let answer = async {
        let (parts, body) = request.into_parts();
        let hub = app.hub(Lane::State, &parts.headers).await?;
        let refused: RefusedSnapshot = read_json(body, SMALL_BODY_BYTES_MAX).await?;
        let turn = app.gate.enter(Lane::State).await?;
        let client = app.pool.get().await?;
        snapshot::note_refused(&client, &hub, &refused, app.now_ms()).await?;
        drop(turn);
        Ok(StatusCode::NO_CONTENT.into_response())
    };
    let answer = answer.await;
    app.answer("config_refused", answer)
}

async fn enrolment(
    State(app): State<Arc<App>>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
) -> Response {
    let answer = async {
        let (parts, body) = request.into_parts();
        let address = caller(app.behind_proxy, peer.ip(), &parts.headers);
        let room = app.budget.take(Lane::Readings, content_length(&parts.headers))?;
        let request: EnrolRequest = read_json(body, enrol::BODY_BYTES_MAX).await?;
        drop(room);
        let turn = app.gate.enter(Lane::State).await?;
        let mut client = app.pool.get().await?;
        let answer = enrol::enrol(&app, &mut client, &address, &request).await?;
        drop(turn);
        Ok(Json(answer).into_response())
    };
    let answer = answer.await;
    app.answer("enrol", answer)
}

#[derive(Deserialize)]
struct Nonce {
    nonce: Option<String>,
}

async fn time(State(app): State<Arc<App>>, Query(nonce): Query<Nonce>) -> Response {
    let nonce: Option<[u8; 16]> =
        nonce.nonce.as_deref().and_then(super::codes::from_hex).and_then(|bytes| bytes.try_into().ok());
    let answer = match nonce {
        None => Err(Failure::bad_request("give ?nonce= with 32 hex digits")),
        Some(nonce) => {
            let now_ms = app.now_ms();
            let signature = super::codes::to_hex(&app.key.sign(&time_message(&nonce, now_ms)));
            Ok(Json(TimeAnswer { now_ms, signature }).into_response())
        }
    };
    app.answer("time", answer)
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    let asked = async {
        let client = app.pool.get().await?;
        client.query_typed_one("SELECT 1", &[]).await?;
        Ok::<_, Failure>(())
    };
    match tokio::time::timeout(READY_MAX, asked).await {
        Ok(Ok(())) => "ready\n".into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response(),
    }
}

async fn show_metrics(State(app): State<Arc<App>>) -> Response {
    let text = metrics::show(&app).await;
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

impl App {
    /// The hub that asks, looked up in its turn.
    async fn hub(&self, lane: Lane, headers: &HeaderMap) -> Result<Hub, Failure> {
        let _turn = self.gate.enter(lane).await?;
        let client = self.pool.get().await?;
        auth::hub(&client, headers).await
    }

    fn answer(&self, path: &'static str, answer: Result<Response, Failure>) -> Response {
        let response = match answer {
            Ok(response) => response,
            Err(failure) => {
                if let Failure::Reject(reject) = &failure {
                    let expected = matches!(reject.kind, ProblemKind::TooEarly | ProblemKind::Busy);
                    if !expected {
                        tracing::warn!(
                            path,
                            status = reject.status.as_u16(),
                            "refused a request: {}",
                            reject.detail
                        );
                    }
                }
                failure.into_response(self.now_ms(), self.random_u32())
            }
        };
        self.metrics.answered(path, response.status());
        response
    }
}

/// A hub says which lane a body is of, so that state is admitted first; without it the body counts as readings.
fn lane_hint(headers: &HeaderMap) -> Lane {
    match headers.get(api::HEADER_LANE).map(HeaderValue::as_bytes) {
        Some(b"0") => Lane::State,
        _ => Lane::Readings,
    }
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The address that tries of codes are counted by: behind a proxy what that proxy wrote; IPv6 by its network.
fn caller(behind_proxy: bool, peer: IpAddr, headers: &HeaderMap) -> String {
    let forwarded = headers
        .get_all("x-forwarded-for")
        .iter()
        .next_back()
        .filter(|_| behind_proxy)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.rsplit(',').next())
        .and_then(|address| address.trim().parse::<IpAddr>().ok());
    match forwarded.unwrap_or(peer).to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

async fn read_body(body: Body, bytes_max: usize) -> Result<Vec<u8>, Failure> {
    match tokio::time::timeout(BODY_READ_MAX, to_bytes(body, bytes_max)).await {
        Ok(Ok(bytes)) => Ok(bytes.into()),
        Ok(Err(error)) => Err(Failure::too_large(format!(
            "the body ended early or has more than {bytes_max} bytes: {error}"
        ))),
        Err(_) => {
            let detail = format!("the body took longer than {} s", BODY_READ_MAX.as_secs());
            Err(Failure::reject(StatusCode::REQUEST_TIMEOUT, ProblemKind::BadRequest, detail))
        }
    }
}

async fn read_json<T: DeserializeOwned>(body: Body, bytes_max: usize) -> Result<T, Failure> {
    let bytes = read_body(body, bytes_max).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Failure::bad_request(format!("the request is not what is expected: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(behind_proxy: bool, peer: &str, forwarded: &[&'static str], want: &str) {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_static(value));
        }
        assert_eq!(caller(behind_proxy, peer.parse().unwrap(), &headers), want);
    }

    #[test]
    fn a_caller_cannot_choose_its_address() {
        check(false, "192.0.2.1", &[], "192.0.2.1");
        check(false, "192.0.2.1", &["198.51.100.9"], "192.0.2.1");
        check(true, "10.0.0.1", &["198.51.100.9"], "198.51.100.9");
        check(true, "10.0.0.1", &["1.2.3.4, 198.51.100.9"], "198.51.100.9");
        check(true, "10.0.0.1", &["1.2.3.4", "5.6.7.8, 198.51.100.9"], "198.51.100.9");
        check(true, "10.0.0.1", &["nonsense"], "10.0.0.1");
        check(true, "10.0.0.1", &[], "10.0.0.1");
        // A network of 2^64 addresses is one caller; an IPv4 address in IPv6 clothes is itself.
        check(false, "2001:db8:1:2:3:4:5:6", &[], "2001:db8:1:2::/64");
        check(false, "::ffff:192.0.2.1", &[], "192.0.2.1");
    }
}
