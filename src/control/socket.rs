//! The Unix socket that commands talk through: one JSON object a line each way, peer credentials checked.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use super::{Reply, Request};

/// A request is a few hundred bytes; an enrolment with a map of units a few thousand.
const REQUEST_BYTES_MAX: u64 = 256 * 1024;
/// Answers hold at most 1,000 list rows.
const REPLY_BYTES_MAX: u64 = 16 << 20;
/// People and scripts on the box itself.
const CONNECTIONS_MAX: usize = 16;
/// A peer that sends nothing does not hold a place.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Binds the socket with mode 0600. A socket file nobody listens on is removed; one that answers is an error.
pub fn bind(path: &Path) -> Result<UnixListener> {
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => bail!("another hub listens on {}: stop it first", path.display()),
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) if e.kind() == ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
                .with_context(|| format!("remove the stale socket {}", path.display()))?;
        }
        Err(e) => return Err(e).with_context(|| format!("look at the control socket {}", path.display())),
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("make folder {}", parent.display()))?;
    }
    let listener = UnixListener::bind(path)
        .with_context(|| format!("listen on the control socket {}", path.display()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .with_context(|| format!("close the control socket {} to others", path.display()))?;
    Ok(listener)
}

/// Answers requests until the listener fails. `handle` is called for one request at a time per connection.
pub async fn serve<F, Fut>(listener: UnixListener, own_uid: u32, handle: F) -> Result<()>
where
    F: Fn(Request) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<serde_json::Value>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = places.clone().acquire_owned().await.context("wait for a free control connection")?;
        let (stream, _) = listener.accept().await.context("accept on the control socket")?;
        let peer = stream.peer_cred().map(|cred| cred.uid());
        match peer {
            Ok(uid) if uid == 0 || uid == own_uid => {}
            Ok(uid) => {
                warn!(peer.uid = uid, "refused control connection of user {uid}");
                continue;
            }
            Err(error) => {
                warn!(%error, "refused control connection without credentials");
                continue;
            }
        }
        let handle = handle.clone();
        // A connection ends by itself: idle, closed or answered; its place in the semaphore bounds their number.
        tokio::spawn(async move {
            if let Err(error) = converse(stream, handle).await {
                debug!(%error, "control connection ended");
            }
            drop(place);
        });
    }
}

async fn converse<F, Fut>(stream: UnixStream, handle: F) -> Result<()>
where
    F: Fn(Request) -> Fut,
    Fut: Future<Output = Result<serde_json::Value>>,
{
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    loop {
        let mut line = Vec::new();
        let mut limited = (&mut read).take(REQUEST_BYTES_MAX);
        let got = tokio::time::timeout(IDLE_MAX, limited.read_until(b'\n', &mut line)).await??;
        if got == 0 {
            return Ok(());
        }
        let reply = match serde_json::from_slice::<Request>(&line) {
            Ok(request) => match handle(request).await {
                Ok(value) => Reply::Ok(value),
                Err(error) => Reply::Error(format!("{error:#}")),
            },
            Err(error) => Reply::Error(format!("this is no request the hub knows: {error}")),
        };
        let mut bytes = serde_json::to_vec(&reply)?;
        bytes.push(b'\n');
        write.write_all(&bytes).await?;
    }
}

/// Sends one request to a running hub. None: no hub listens there.
pub async fn ask(path: &Path, request: &Request) -> Result<Option<serde_json::Value>> {
    let stream = match UnixStream::connect(path).await {
        Ok(stream) => stream,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => return Ok(None),
        Err(e) if e.kind() == ErrorKind::PermissionDenied => {
            bail!(
                "open the control socket {}: permission denied; run as root or as the hub's user",
                path.display()
            )
        }
        Err(e) => return Err(e).with_context(|| format!("open the control socket {}", path.display())),
    };
    let (read, mut write) = stream.into_split();
    let mut bytes = serde_json::to_vec(request)?;
    bytes.push(b'\n');
    write.write_all(&bytes).await.context("send the request to the hub")?;
    let mut line = Vec::new();
    BufReader::new(read.take(REPLY_BYTES_MAX))
        .read_until(b'\n', &mut line)
        .await
        .context("read the hub's answer")?;
    if line.is_empty() {
        bail!("the hub closed the connection without an answer: is this user root or the hub's own?");
    }
    match serde_json::from_slice(&line).context("read the hub's answer")? {
        Reply::Ok(value) => Ok(Some(value)),
        Reply::Error(message) => bail!("{message}"),
    }
}
