use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::commands::{Data, Mail, Quit, Rcpt, Starttls};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::Response;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::clock::CertificateTime;
use crate::config::{Secret, SmtpSection, SmtpSecurity};
use crate::notify::payload::one_line;
use crate::notify::{Failure, Receipt};
use crate::tls;

/// TCP, or a TLS handshake, over a slow mobile link.
const CONNECT_MAX: Duration = Duration::from_secs(15);
/// RFC 5321, 4.5.3.2 allows servers minutes; a call that hangs holds up the next ones, and is tried again.
const STEP_MAX: Duration = Duration::from_secs(20);
/// The server stores and often scans the mail before it answers.
const ACCEPT_MAX: Duration = Duration::from_mins(1);
/// The mail is the server's already; leaving in order is only polite.
const FAREWELL_MAX: Duration = Duration::from_secs(2);
/// All that a server says in one conversation: some ten answers of a few lines. The client library itself reads a line
/// until it ends.
const ANSWERS_BYTES_MAX: usize = 64 << 10;
/// Of a server's answer; the whole has at most 512 characters a line.
const ANSWER_CHARS_SHOWN: usize = 300;

/// Hands `mail` to the server for `(from, to)`.
pub async fn submit(
    config: &SmtpSection,
    time: &CertificateTime,
    (from, to): (&Address, &Address),
    mail: &[u8],
) -> Result<Receipt, Failure> {
    let mut server = connect(config, time).await?;
    if let Some(username) = &config.username {
        log_in(&mut server, config, username).await?;
    }
    let parameters = parameters(&server, to, mail)?;
    step("MAIL FROM", STEP_MAX, server.command(Mail::new(Some(from.clone()), parameters)))
        .await?
        .map_err(|error| later(&error, "; may this account send as `from`?"))?;
    step("RCPT TO", STEP_MAX, server.command(Rcpt::new(to.clone(), vec![])))
        .await?
        .map_err(|error| refused(&error))?;
    step("DATA", STEP_MAX, server.command(Data)).await?.map_err(|error| refused(&error))?;
    let accepted =
        step("the mail", ACCEPT_MAX, server.message(mail)).await?.map_err(|error| refused(&error))?;
    // Whatever it answers, the mail is accepted.
    let _ = timeout(FAREWELL_MAX, server.command(Quit)).await;
    let detail = last_line(&accepted);
    Ok(Receipt { external_id: queue_id(&detail), is_delivered: false, detail })
}

/// How far a conversation came in which no mail is sent.
#[derive(Debug)]
pub struct Probe {
    /// By TCP.
    pub reached: Result<SocketAddr, Failure>,
    /// Over TLS where that is configured. None: it was not reached.
    pub greeted: Option<Result<(), Failure>>,
    /// None: nobody greeted, or there is no user.
    pub signed_in: Option<Result<(), Failure>>,
}

/// Does all that comes before a mail.
pub async fn probe(config: &SmtpSection, time: &CertificateTime) -> Probe {
    let reached = match reach(config).await {
        Ok(reached) => reached,
        Err(failure) => return Probe { reached: Err(failure), greeted: None, signed_in: None },
    };
    let peer = Ok(reached.peer);
    let mut server = match open(config, time, reached).await {
        Ok(server) => server,
        Err(failure) => return Probe { reached: peer, greeted: Some(Err(failure)), signed_in: None },
    };
    let signed_in = match &config.username {
        Some(username) => Some(log_in(&mut server, config, username).await),
        None => None,
    };
    let _ = timeout(FAREWELL_MAX, server.command(Quit)).await;
    Probe { reached: peer, greeted: Some(Ok(())), signed_in }
}

async fn connect(config: &SmtpSection, time: &CertificateTime) -> Result<AsyncSmtpConnection, Failure> {
    let reached = reach(config).await?;
    open(config, time, reached).await
}

/// A connection that nothing was said over.
struct Reached {
    tcp: TcpStream,
    local: IpAddr,
    peer: SocketAddr,
}

async fn reach(config: &SmtpSection) -> Result<Reached, Failure> {
    let (host, port) = (config.host.as_str(), config.port());
    let tcp = step(&format!("connection to {host}:{port}"), CONNECT_MAX, TcpStream::connect((host, port)))
        .await?
        .map_err(|error| Failure::Later(format!("connect to {host}:{port}: {error}")))?;
    match (tcp.local_addr(), tcp.peer_addr()) {
        (Ok(local), Ok(peer)) => Ok(Reached { tcp, local: local.ip(), peer }),
        (Err(error), _) | (_, Err(error)) => {
            Err(Failure::Later(format!("connect to {host}:{port}: {error}")))
        }
    }
}

async fn open(
    config: &SmtpSection,
    time: &CertificateTime,
    Reached { tcp, local, peer }: Reached,
) -> Result<AsyncSmtpConnection, Failure> {
    let host = config.host.as_str();
    let hello = client_id(local);
    match config.security {
        SmtpSecurity::None => {
            // The configuration is checked too; a name may come to mean another machine later.
            if config.username.is_some() && !peer.ip().is_loopback() {
                return Err(Failure::Later(format!(
                    "{host} is not this machine: a password is not sent without TLS; set security = \"starttls\""
                )));
            }
            greet(Box::new(Bounded::new(tcp, peer, b"")), &hello).await
        }
        SmtpSecurity::Tls => greet(Box::new(encrypt(config, time, (tcp, peer), b"").await?), &hello).await,
        SmtpSecurity::Starttls => starttls(config, time, (tcp, peer), &hello).await,
    }
}

/// RFC 3207. The client library can use a stream but not exchange it: it asks for STARTTLS over a second handle of the
/// socket, is dropped with whatever it had read ahead (nothing said in the clear may count later), and begins anew over
/// TLS, where the answer to STARTTLS stands for the greeting that a server sends only once.
async fn starttls(
    config: &SmtpSection,
    time: &CertificateTime,
    (tcp, peer): (TcpStream, SocketAddr),
    hello: &ClientId,
) -> Result<AsyncSmtpConnection, Failure> {
    let (tcp, second) =
        two_handles(tcp).map_err(|error| Failure::Later(format!("share the socket: {error}")))?;
    let mut plain = greet(Box::new(Bounded::new(second, peer, b"")), hello).await?;
    if !plain.can_starttls() {
        return Err(Failure::Later(format!(
            "{} offers no STARTTLS; nothing is sent in the clear. Set security = \"tls\" (port 465) if it has that",
            config.host
        )));
    }
    step("STARTTLS", STEP_MAX, plain.command(Starttls)).await?.map_err(|error| later(&error, ""))?;
    drop(plain);
    greet(Box::new(encrypt(config, time, (tcp, peer), b"220 encrypted\r\n").await?), hello).await
}

fn two_handles(tcp: TcpStream) -> io::Result<(TcpStream, TcpStream)> {
    let first = tcp.into_std()?;
    let second = first.try_clone()?;
    Ok((TcpStream::from_std(first)?, TcpStream::from_std(second)?))
}

async fn encrypt(
    config: &SmtpSection,
    time: &CertificateTime,
    (tcp, peer): (TcpStream, SocketAddr),
    said: &'static [u8],
) -> Result<Bounded<TlsStream<TcpStream>>, Failure> {
    let tls = tls::client_config(config.ca_file.as_deref(), time.clone())
        .map_err(|error| Failure::Later(format!("{error:#}")))?;
    let name = ServerName::try_from(config.host.clone())
        .map_err(|_| Failure::Later(format!("host = {:?} is no name a certificate can have", config.host)))?;
    let stream = step("TLS", CONNECT_MAX, TlsConnector::from(Arc::new(tls)).connect(name, tcp))
        .await?
        .map_err(|error| Failure::Later(format!("TLS with {}: {error}", config.host)))?;
    Ok(Bounded::new(stream, peer, said))
}

async fn greet(stream: Box<dyn AsyncTokioStream>, hello: &ClientId) -> Result<AsyncSmtpConnection, Failure> {
    step("a greeting", STEP_MAX, AsyncSmtpConnection::connect_with_transport(stream, hello))
        .await?
        .map_err(|error| later(&error, ""))
}

/// The password is read anew for each mail, so that a renewed one needs no restart.
async fn log_in(
    server: &mut AsyncSmtpConnection,
    config: &SmtpSection,
    username: &str,
) -> Result<(), Failure> {
    let path = config.password_file.as_deref();
    let path = path.ok_or_else(|| Failure::Later("[notify.smtp] username without password_file".into()))?;
    let password = Secret::read(path).map_err(|error| Failure::Later(format!("{error:#}")))?;
    let mechanisms = [Mechanism::Plain, Mechanism::Login];
    if server.server_info().get_auth_mechanism(&mechanisms).is_none() {
        return Err(Failure::Later(format!(
            "{} offers neither AUTH PLAIN nor LOGIN; without a password leave username out",
            config.host
        )));
    }
    let credentials = Credentials::new(username.to_owned(), password.reveal().to_owned());
    step("AUTH", STEP_MAX, server.auth(&mechanisms, &credentials)).await?.map(drop).map_err(|error| {
        // Final for this login, not for the message: the configuration can be mended while it is tried again.
        later(&error, "; see username and password_file")
    })
}

/// RFC 6531 for addresses beyond ASCII; the body is in ASCII by its encoding.
fn parameters(
    server: &AsyncSmtpConnection,
    to: &Address,
    mail: &[u8],
) -> Result<Vec<MailParameter>, Failure> {
    let mut parameters = Vec::new();
    let offers = |extension| server.server_info().supports_feature(extension);
    if !AsRef::<str>::as_ref(to).is_ascii() {
        if !offers(Extension::SmtpUtfEight) {
            return Err(Failure::Never(format!("the server takes no address beyond ASCII such as {to}")));
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    if !mail.is_ascii() && offers(Extension::EightBitMime) {
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    Ok(parameters)
}

async fn step<T>(what: &str, most: Duration, work: impl Future<Output = T>) -> Result<T, Failure> {
    timeout(most, work).await.map_err(|_| {
        Failure::Later(format!("the mail server: no answer to {what} within {} s", most.as_secs()))
    })
}

/// What may go well when the server or the configuration has been mended.
fn later(error: &smtp::Error, remedy: &str) -> Failure {
    Failure::Later(format!("the mail server: {}{remedy}", said(error)))
}

/// A refusal of this recipient or this mail: final by a 5xx (RFC 5321, 4.2.1), except what speaks of policy or of a
/// missing login (530; X.7.x of RFC 3463), which people mend.
fn refused(error: &smtp::Error) -> Failure {
    let text = said(error);
    let is_policy = text.split([' ', ':']).any(|word| word == "530" || word.starts_with("5.7."));
    if error.is_permanent() && !is_policy {
        Failure::Never(format!("the mail server: {text}"))
    } else {
        Failure::Later(format!("the mail server: {text}"))
    }
}

/// "550 5.1.1 no such user", or what broke.
fn said(error: &smtp::Error) -> String {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let text = match error.status() {
        Some(code) => format!("{code} {cause}"),
        None => error.to_string(),
    };
    one_line(&text, ANSWER_CHARS_SHOWN)
}

fn last_line(response: &Response) -> String {
    let line = response.message().last().unwrap_or_default();
    one_line(&format!("{} {line}", response.code()), ANSWER_CHARS_SHOWN)
}

/// Postfix, Exim and others say "queued as 4F2" or "id=1rX".
fn queue_id(answer: &str) -> Option<String> {
    let after = |mark: &str| answer.split_once(mark).map(|(_, rest)| rest);
    let rest = after("queued as ").or_else(|| after(" id="))?;
    rest.split_whitespace().next().map(str::to_owned)
}

/// An address literal (RFC 5321, 4.1.3): a hub has no name that means anything to the server.
fn client_id(local: IpAddr) -> ClientId {
    match local {
        IpAddr::V4(address) => ClientId::Ipv4(address),
        IpAddr::V6(address) => ClientId::Ipv6(address),
    }
}

/// A stream to the server that ends when it says too much, and begins with what counts as said already.
struct Bounded<S> {
    said: &'static [u8],
    /// Bytes the server may still say.
    left: usize,
    peer: SocketAddr,
    stream: S,
}

impl<S> Bounded<S> {
    fn new(stream: S, peer: SocketAddr, said: &'static [u8]) -> Self {
        Self { said, left: ANSWERS_BYTES_MAX, peer, stream }
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> AsyncTokioStream for Bounded<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

impl<S> fmt::Debug for Bounded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bounded").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.said.is_empty() {
            let (now, rest) = self.said.split_at(self.said.len().min(buf.remaining()));
            buf.put_slice(now);
            self.said = rest;
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        let Some(left) = self.left.checked_sub(read) else {
            return Poll::Ready(Err(io::Error::other(format!(
                "it says more than {ANSWERS_BYTES_MAX} bytes"
            ))));
        };
        self.left = left;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_ids_are_found() {
        for (answer, want) in [
            ("250 2.0.0 Ok: queued as 4F2B", Some("4F2B")),
            ("250 OK id=1rX-0001", Some("1rX-0001")),
            ("250 2.0.0 accepted", None),
            ("250 queued as ", None),
        ] {
            assert_eq!(queue_id(answer).as_deref(), want, "{answer}");
        }
    }
}
