//! The accept loop: bounded connections, TLS or plain, and an end that finishes what is under way.

use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use axum::Router;
use axum::extract::Request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::config::Tls;
use super::linger::Lingering;

/// A caller that has not finished its handshake, or its request's head, in this time is dropped; so is an idle
/// connection: a hub polls every 5 minutes and opens a new one.
const HANDSHAKE_MAX: Duration = Duration::from_secs(20);
const HEAD_MAX: Duration = Duration::from_mins(1);
/// A request's head; the receiver's own need a few hundred bytes. Hyper takes no less than 8 KiB.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// What is under way at the end gets this long (a 20,000-row batch takes a second or two).
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// After a failed accept (too many open files), the loop waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Who is at the other end of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<TlsAcceptor>,
    clients_max: usize,
    shutdown: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let room = Arc::new(Semaphore::new(clients_max));
    let (end, ending) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accepted => accepted,
        };
        while connections.try_join_next().is_some() {}
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(error = %error, "failed to accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Answers are small and whole: waiting to fill a packet only costs time.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(error = %error, "failed to set TCP_NODELAY");
        }
        let (router, tls, ending) = (router.clone(), tls.clone(), ending.clone());
        connections.spawn(async move {
            let _permit = permit;
            match tls {
                None => converse(stream, address, router, ending).await,
                Some(tls) => match tokio::time::timeout(HANDSHAKE_MAX, tls.accept(stream)).await {
                    Ok(Ok(stream)) => converse(stream, address, router, ending).await,
                    Ok(Err(error)) => {
                        tracing::debug!(error = %error, peer = %address, "a TLS handshake failed");
                    }
                    Err(_) => tracing::debug!(peer = %address, "a TLS handshake took too long"),
                },
            }
        });
    }
    drop(listener);
    end.send_replace(true);
    let drained =
        tokio::time::timeout(DRAIN_MAX, async { while connections.join_next().await.is_some() {} }).await;
    if drained.is_ok() {
        tracing::info!("the receiver ends; nothing is under way");
    } else {
        tracing::warn!(requests = connections.len(), "the receiver ends with requests under way");
    }
    Ok(())
}

/// One connection to its end.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    address: SocketAddr,
    router: Router,
    mut ending: watch::Receiver<bool>,
) {
    let service = tower::service_fn(move |mut request: Request<_>| {
        request.extensions_mut().insert(Peer(address));
        router.clone().oneshot(request)
    });
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_MAX).max_buf_size(HEAD_BYTES_MAX);
    let lingers = Arc::new(AtomicBool::new(true));
    let stream = Lingering::new(stream, Arc::clone(&lingers));
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = std::pin::pin!(connection);
    let ending = async move {
        // An error means that the loop itself is gone: then it is the end, too.
        let _: Result<(), _> = ending.wait_for(|ending| *ending).await.map(|_| ());
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = ending => {
            lingers.store(false, Ordering::Relaxed);
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, peer = %address, "a connection ended early");
    }
}

fn remedy(path: &Path) -> &'static str {
    match std::fs::File::open(path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            " (the receiver's user must be able to read it: frostguard-receiver, where systemd starts it)"
        }
        _ => "",
    }
}

/// Reads certificate and key.
pub fn acceptor(tls: &Tls) -> anyhow::Result<TlsAcceptor> {
    let certificates: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(&tls.certificate).and_then(Iterator::collect).with_context(|| {
            format!("read certificates from {}{}", tls.certificate.display(), remedy(&tls.certificate))
        })?;
    if certificates.is_empty() {
        bail!("read certificates from {}: there is none", tls.certificate.display());
    }
    let key = PrivateKeyDer::from_pem_file(&tls.key)
        .with_context(|| format!("read the private key from {}{}", tls.key.display(), remedy(&tls.key)))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("set up TLS")?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .with_context(|| format!("use the key {} for its certificate", tls.key.display()))?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(server)))
}
