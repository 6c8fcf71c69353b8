//! The listener: one request a connection, few at once, each within a time.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use frostguard_sync::ids::sha256;
use hyper::body::Incoming;
use hyper::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::http::uri::Authority;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
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
    match admit(request.method(), request.uri(), request.headers(), token) {
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
fn admit(method: &Method, uri: &Uri, headers: &HeaderMap, token: Option<&Token>) -> Result<(), StatusCode> {
    match token {
        Some(token) if !token.is_shown_in(headers) => return Err(StatusCode::UNAUTHORIZED),
        // On loopback: a browser there must not be led to it by a name that somebody else made point here.
        None if !is_for_this_machine(uri, headers) => return Err(StatusCode::FORBIDDEN),
        _ => {}
    }
    if uri.path() != "/metrics" {
        return Err(StatusCode::NOT_FOUND);
    }
    if method == Method::GET { Ok(()) } else { Err(StatusCode::METHOD_NOT_ALLOWED) }
}

/// Asked by an address or as localhost, wherever the request names a host.
fn is_for_this_machine(uri: &Uri, headers: &HeaderMap) -> bool {
    let is_own = |authority: &Authority| {
        let host = authority.host();
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
    };
    let mut hosts = headers.get_all(HOST).iter().peekable();
    hosts.peek().is_some()
        && hosts.all(|host| Authority::try_from(host.as_bytes()).is_ok_and(|host| is_own(&host)))
        && uri.authority().is_none_or(is_own)
}

fn refusal(status: StatusCode) -> Response<String> {
    let mut response = Response::new(match status {
        StatusCode::UNAUTHORIZED => {
            "show the token of [metrics] token_file: Authorization: Bearer TOKEN\n".into()
        }
        StatusCode::FORBIDDEN => {
            "ask by address or as localhost; another name needs [metrics] token_file\n".to_owned()
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
            headers.insert(HOST, HeaderValue::from_static("localhost"));
            if let Some(shown) = shown {
                headers.insert(AUTHORIZATION, HeaderValue::from_static(shown));
            }
            let uri = Uri::from_static(path);
            let ask = |token| admit(&method, &uri, &headers, token).map_err(|status| status.as_u16());
            assert_eq!((ask(Some(&token)), ask(None)), (with_token, open), "{method} {path} {shown:?}");
        }
    }
    #[test]
    fn without_a_token_no_foreign_name_leads_here() {
        let token = Token(sha256(&[b"0123456789abcdef"]));
        for (hosts, path, is_open) in [
            (&["127.0.0.1:9717"][..], "/metrics", true),
            (&["127.0.0.1"], "/metrics", true),
            (&["localhost"], "/metrics", true),
            (&["LocalHost:9717"], "/metrics", true),
            (&["[::1]:9717"], "/metrics", true),
            (&["localhost"], "http://localhost:9717/metrics", true),
            (&["attacker.example"], "/metrics", false),
            (&["attacker.example:9717"], "/metrics", false),
            (&["localhost.attacker.example"], "/metrics", false),
            (&["127.0.0.1.attacker.example"], "/metrics", false),
            (&["127.0.0.1@attacker.example"], "/metrics", false),
            (&["attacker.example@127.0.0.1.example"], "/metrics", false),
            (&["localhost", "attacker.example"], "/metrics", false),
            (&["localhost"], "http://attacker.example/metrics", false),
            (&["no host"], "/metrics", false),
            (&[""], "/metrics", false),
            (&[], "/metrics", false),
        ] {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(HOST, HeaderValue::from_static(host));
            }
            let uri = Uri::from_static(path);
            let open = admit(&Method::GET, &uri, &headers, None);
            assert_eq!(open, if is_open { Ok(()) } else { Err(StatusCode::FORBIDDEN) }, "{hosts:?} {path}");
            // Who shows the token may call the hub by any name.
            headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer 0123456789abcdef"));
            assert_eq!(admit(&Method::GET, &uri, &headers, Some(&token)), Ok(()), "{hosts:?}");
        }
    }
}
