//! HTTP to the receiver: requests as `frostguard_sync::api` names them, answers within bounds, failures sorted.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use frostguard_sync::api::{
    self, ConfigAnswer, EnrolAnswer, EnrolRequest, Problem, RefusedSnapshot, TimeAnswer, UploadAnswer,
};
use frostguard_sync::wire::Lane;
use reqwest::header::{
    AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, RETRY_AFTER,
};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};

use super::answer::Failure;
use super::lenient;
use crate::clock::CertificateTime;
use crate::config::Secret;
use crate::tls;

/// A body is 5 s of the link by its measured bandwidth, and may become slower meanwhile.
const REQUEST_MAX: Duration = Duration::from_mins(1);
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// An answer: a snapshot of 1,000 units with their devices takes under 2 MiB.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// An hour: beyond, a receiver does not mean the hub.
const RETRY_AFTER_S_MAX: u64 = 3_600;

pub struct Client {
    http: reqwest::Client,
    /// Accepts a certificate outside its validity; carries neither credentials nor data.
    time: reqwest::Client,
    base: String,
    authorization: Option<HeaderValue>,
}

/// What a poll brought.
#[derive(Debug)]
pub enum Polled {
    Unchanged,
    Answer(Box<ConfigAnswer>),
}

impl Client {
    /// `url`: https, or plain http to this machine itself. Without a token only enrolment and time are possible.
    pub fn new(
        url: &str,
        ca_file: Option<&Path>,
        time: CertificateTime,
        token: Option<&Secret>,
    ) -> Result<Self> {
        let base = check_url(url)?;
        let authorization = token.map(|token| {
            HeaderValue::from_str(&format!("Bearer {}", token.reveal())).map(|mut value| {
                value.set_sensitive(true);
                value
            })
        });
        let build = |tls: rustls::ClientConfig| {
            reqwest::Client::builder()
                .tls_backend_preconfigured(tls)
                .user_agent(concat!("frostguard-hub/", env!("CARGO_PKG_VERSION")))
                // A redirect would carry the token elsewhere.
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(CONNECT_MAX)
                .timeout(REQUEST_MAX)
                .tcp_nodelay(true)
                .build()
                .context("set up HTTP")
        };
        Ok(Self {
            http: build(tls::client_config(ca_file, time.clone())?)?,
            time: build(lenient::client_config(ca_file, time)?)?,
            base,
            authorization: authorization
                .transpose()
                .context("the token has characters HTTP does not allow")?,
        })
    }

    /// Sends the stored bytes of a batch. `cursor`: bring central's entries made since.
    pub async fn upload(
        &self,
        lane: Lane,
        body: Vec<u8>,
        cursor: Option<&str>,
    ) -> Result<UploadAnswer, Failure> {
        let mut request = self
            .request(Method::POST, api::PATH_BATCHES, cursor.map(|cursor| ("cursor", cursor)))?
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(api::HEADER_LANE, u64::from(lane.number()));
        request = request.body(body);
        read_json(send(request).await?).await
    }

    /// `etags`: the configurations that need not be sent again.
    pub async fn config(&self, etags: &[&str], cursor: &str) -> Result<Polled, Failure> {
        let tags = etags.iter().map(|etag| format!("\"{etag}\"")).collect::<Vec<_>>().join(", ");
        let tags = HeaderValue::from_str(&tags).map_err(|error| Failure::Bad(error.to_string()))?;
        let request = self
            .request(Method::GET, api::PATH_CONFIG, Some(("cursor", cursor)))?
            .header(IF_NONE_MATCH, tags);
        let response = send(request).await?;
        if response.status() == StatusCode::NOT_MODIFIED {
            return Ok(Polled::Unchanged);
        }
        Ok(Polled::Answer(Box::new(read_json(response).await?)))
    }

    pub async fn config_refused(&self, etag: &str, reason: &str) -> Result<(), Failure> {
        let refused = RefusedSnapshot { etag: etag.to_owned(), reason: reason.to_owned() };
        let request = json(self.request(Method::POST, api::PATH_CONFIG_REFUSED, None)?, &refused)?;
        send(request).await.map(drop)
    }

    pub async fn enrol(&self, request: &EnrolRequest) -> Result<EnrolAnswer, Failure> {
        let request = json(self.request(Method::POST, api::PATH_ENROL, None)?, request)?;
        read_json(send(request).await?).await
    }

    /// The receiver's time, its signature not yet checked; `nonce`: 32 hex digits.
    pub async fn time(&self, nonce: &str) -> Result<TimeAnswer, Failure> {
        let url = self.url(api::PATH_TIME, Some(("nonce", nonce)))?;
        read_json(send(self.time.get(url)).await?).await
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        query: Option<(&str, &str)>,
    ) -> Result<RequestBuilder, Failure> {
        let request = self.http.request(method, self.url(path, query)?);
        Ok(match &self.authorization {
            Some(token) => request.header(AUTHORIZATION, token.clone()),
            None => request,
        })
    }

    fn url(&self, path: &str, query: Option<(&str, &str)>) -> Result<Url, Failure> {
        let mut url =
            Url::parse(&format!("{}{path}", self.base)).map_err(|error| Failure::Bad(error.to_string()))?;
        if let Some((name, value)) = query {
            url.query_pairs_mut().append_pair(name, value);
        }
        Ok(url)
    }
}

/// The URL without a slash at its end. Plain http would give the token to everybody on the way.
pub fn check_url(url: &str) -> Result<String> {
    let parsed = Url::parse(url).with_context(|| format!("read the receiver's URL {url:?}"))?;
    let host = parsed.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback =
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    match parsed.scheme() {
        "https" => {}
        "http" if is_loopback => {}
        "http" => bail!("{url} is plain http, which is only for this machine itself; use https://"),
        _ => bail!("{url} must begin with https://"),
    }
    if !parsed.username().is_empty() || parsed.password().is_some() || parsed.query().is_some() {
        bail!("{url}: only scheme, host, port and path belong into the receiver's URL");
    }
    Ok(url.trim_end_matches('/').to_owned())
}

fn json(request: RequestBuilder, body: &impl serde::Serialize) -> Result<RequestBuilder, Failure> {
    let body = serde_json::to_vec(body).map_err(|error| Failure::Bad(error.to_string()))?;
    Ok(request.header(CONTENT_TYPE, "application/json").body(body))
}

/// A success or "not modified"; everything else is a failure with what the receiver said.
async fn send(request: RequestBuilder) -> Result<Response, Failure> {
    let response = request.send().await.map_err(broken)?;
    let status = response.status();
    if status.is_success() || status == StatusCode::NOT_MODIFIED {
        return Ok(response);
    }
    let retry_after_ms = retry_after_ms(response.headers());
    let problem: Option<Problem> = match read_body(response).await {
        Ok(body) => serde_json::from_slice(&body).ok(),
        Err(_) => None,
    };
    Err(Failure::Refused { status: status.as_u16(), problem: problem.map(Box::new), retry_after_ms })
}

async fn read_json<T: serde::de::DeserializeOwned>(response: Response) -> Result<T, Failure> {
    let has_etag = response.headers().contains_key(ETAG);
    let body = read_body(response).await?;
    serde_json::from_slice(&body).map_err(|error| {
        let hint = if has_etag { "" } else { "; is that a receiver?" };
        Failure::Bad(format!("the answer is not what is expected: {error}{hint}"))
    })
}

async fn read_body(mut response: Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(Failure::Bad(format!("the answer has more than {ANSWER_BYTES_MAX} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn broken(error: reqwest::Error) -> Failure {
    if error.is_timeout() && !error.is_connect() {
        Failure::Slow(chain(&error))
    } else {
        Failure::Unreachable(chain(&error))
    }
}

/// Seconds only: the other form needs a trusted clock.
fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(seconds.min(RETRY_AFTER_S_MAX) * 1_000)
}

/// An error with its causes: the outermost of reqwest says only that something failed.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_goes_only_to_this_machine() {
        for (url, want) in [
            ("https://sync.example.com", Some("https://sync.example.com")),
            ("https://sync.example.com:8443/hubs/", Some("https://sync.example.com:8443/hubs")),
            ("http://localhost:8443", Some("http://localhost:8443")),
            ("http://127.0.0.1:8443/", Some("http://127.0.0.1:8443")),
            ("http://[::1]:8443", Some("http://[::1]:8443")),
            ("http://127.0.0.1.example.com", None),
            ("http://localhost.example.com", None),
            ("http://192.168.1.7", None),
            ("http://localhost@example.com", None),
            ("https://user:secret@example.com", None),
            ("https://example.com/?a=b", None),
            ("ftp://example.com", None),
            ("example.com", None),
            ("", None),
        ] {
            assert_eq!(check_url(url).ok().as_deref(), want, "{url}");
        }
    }

    #[test]
    fn waits_are_seconds_and_bounded() {
        for (text, want) in [
            ("7", Some(7_000)),
            ("999999999", Some(3_600_000)),
            ("-1", None),
            ("Wed, 21 Oct 2015 07:28:00 GMT", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
            assert_eq!(retry_after_ms(&headers), want, "{text}");
        }
    }
}
