//! The listener: one request a connection, few at once, each within a time.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use frostguard_sync::ids::sha256;
use hyper::body::Incoming;
use hyper::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::Sources;
use crate::config::{MetricsSection, Secret};
use crate::source;

/// A board, its spare and a person.
const CONNECTIONS_MAX: usize = 8;
/// A request's head; hyper takes no less. A body is never read.
const HEAD_BYTES_MAX: usize = 8 << 10;
const HEAD_MAX: Duration = Duration::from_secs(5);
/// A connection from beginning to end, the database's figures included.
const CONNECTION_MAX: Duration = Duration::from_secs(20);
/// A port that is taken, or a token that cannot be read, is tried again this often: nobody's alarm waits for figures.
const TRY_AGAIN: Duration = Duration::from_mins(1);
/// After an accept that failed (no file descriptor left): others close theirs meanwhile.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

/// Answers until `shutdown`. What keeps it from listening is told and tried again.
pub async fn run(
    section: MetricsSection,
    sources: Sources,
    mut shutdown: watch::Receiver<bool>,
) -> Result<()> {
    let sources = Arc::new(sources);
    let mut told = String::new();
    loop {
        match listen(&section).await {
            Ok((listener, token)) => {
                tracing::info!("figures are at http://{}/metrics", section.listen);
                return serve(listener, token.map(Arc::new), sources, shutdown).await;
            }
            Err(error) => {
                let error = format!("{error:#}");
                if told != error {
                    tracing::warn!("there are no figures yet: failed to {error}");
                    told = error;
                }
            }
        }
        tokio::select! {
            () = source::stopped(&mut shutdown) => return Ok(()),
            () = tokio::time::sleep(TRY_AGAIN) => {}
        }
    }
}

async fn listen(section: &MetricsSection) -> Result<(TcpListener, Option<Token>)> {
    let token = section.token_file.as_deref().map(Token::read).transpose()?;
    let listener = TcpListener::bind(section.listen).await.with_context(|| {
        format!("listen on {}: name another address under [metrics] listen", section.listen)
    })?;
    Ok((listener, token))
}

async fn serve(
    listener: TcpListener,
    token: Option<Arc<Token>>,
    sources: Arc<Sources>,
    mut shutdown: watch::Receiver<bool>,
) -> Result<()> {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // Dropped at the end, and every connection with it.
    let mut connections = JoinSet::new();
    loop {
        let accept = async {
            let place = places.clone().acquire_owned().await.context("wait for a free connection")?;
            Ok::<_, anyhow::Error>((place, listener.accept().await))
        };
        let (place, accepted) = tokio::select! {
            () = source::stopped(&mut shutdown) => return Ok(()),
            accepted = accept => accepted?,
        };
        while connections.try_join_next().is_some() {}
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection for figures, trying again: {error}");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let (token, sources) = (token.clone(), sources.clone());
        connections.spawn(async move {
            let ended = tokio::time::timeout(CONNECTION_MAX, converse(stream, peer, token, sources)).await;
            if ended.is_err() {
                tracing::debug!(%peer, "a connection for figures took too long");
            }
            drop(place);
        });
    }
}

async fn converse(stream: TcpStream, peer: SocketAddr, token: Option<Arc<Token>>, sources: Arc<Sources>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (token, sources) = (token.clone(), sources.clone());
        async move { Ok::<_, Infallible>(answer(&request, token.as_deref(), &sources).await) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .keep_alive(false);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, %peer, "a connection for figures ended early");
    }
}

async fn answer(request: &Request<Incoming>, token: Option<&Token>, sources: &Sources) -> Response<String> {
    match admit(request.method(), request.uri().path(), request.headers(), token) {
        Ok(()) => {
            let mut response = Response::new(super::page(sources).await);
            let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
        Err(status) => refusal(status),
    }
}

/// Whether figures are given, and if not, why. Who shows no token learns nothing about paths.
fn admit(method: &Method, path: &str, headers: &HeaderMap, token: Option<&Token>) -> Result<(), StatusCode> {
    if token.is_some_and(|token| !token.is_shown_in(headers)) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    if path != "/metrics" {
        return Err(StatusCode::NOT_FOUND);
    }
    if method == Method::GET { Ok(()) } else { Err(StatusCode::METHOD_NOT_ALLOWED) }
}

fn refusal(status: StatusCode) -> Response<String> {
    let mut response = Response::new(match status {
        StatusCode::UNAUTHORIZED => {
            "show the token of [metrics] token_file: Authorization: Bearer TOKEN\n".into()
        }
        StatusCode::NOT_FOUND => "figures are at /metrics\n".to_owned(),
        _ => "only GET is answered\n".to_owned(),
    });
    *response.status_mut() = status;
    let headers = response.headers_mut();
    match status {
        StatusCode::UNAUTHORIZED => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            headers.insert(ALLOW, HeaderValue::from_static("GET"));
        }
        _ => {}
    }
    response
}

/// By its digest: how long a comparison takes says nothing about the token.
struct Token([u8; 32]);

impl Token {
    /// Shorter ones are guessed.
    const LENGTH_MIN: usize = 16;

    fn read(path: &std::path::Path) -> Result<Self> {
        let secret = Secret::read(path).context("read the token of [metrics] token_file")?;
        anyhow::ensure!(
            secret.reveal().len() >= Self::LENGTH_MIN,
            "use the token in {}: it has fewer than {} characters",
            path.display(),
            Self::LENGTH_MIN
        );
        Ok(Self(sha256(&[secret.reveal().as_bytes()])))
    }

    fn is_shown_in(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().split_at_checked(7));
        shown.is_some_and(|(scheme, token)| {
            scheme.eq_ignore_ascii_case(b"bearer ") && sha256(&[token.trim_ascii()]) == self.0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_for_those_who_may_ask() {
        let token = Token(sha256(&[b"0123456789abcdef"]));
        for (method, path, shown, with_token, open) in [
            (Method::GET, "/metrics", None, Err(401), Ok(())),
            (Method::GET, "/metrics", Some("Bearer 0123456789abcdef"), Ok(()), Ok(())),
            (Method::GET, "/metrics", Some("bearer 0123456789abcdef "), Ok(()), Ok(())),
            (Method::GET, "/metrics", Some("Bearer 0123456789abcdeg"), Err(401), Ok(())),
            (Method::GET, "/metrics", Some("Basic 0123456789abcdef"), Err(401), Ok(())),
            (Method::GET, "/metrics", Some("Bearer"), Err(401), Ok(())),
            (Method::GET, "/", None, Err(401), Err(404)),
            (Method::GET, "/metrics/", Some("Bearer 0123456789abcdef"), Err(404), Err(404)),
            (Method::POST, "/metrics", Some("Bearer 0123456789abcdef"), Err(405), Err(405)),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(shown) = shown {
                headers.insert(AUTHORIZATION, HeaderValue::from_static(shown));
            }
            let ask = |token| admit(&method, path, &headers, token).map_err(|status| status.as_u16());
            assert_eq!((ask(Some(&token)), ask(None)), (with_token, open), "{method} {path} {shown:?}");
        }
    }
}
