//! The Unix socket that commands talk through: one JSON object a line each way, peer credentials checked.

use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
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
/// A peer that sends nothing, or takes no answer, does not hold a place.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// After an accept that failed (no file descriptor left): others close theirs meanwhile.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

/// Binds the socket with mode 0600. A socket file nobody listens on is removed; one that answers is an error. For who has
/// the lock of the state folder: of two that begin at once, one would remove the other's socket.
pub fn bind(path: &Path) -> Result<UnixListener> {
    if let Some(stale) = find_stale(path)? {
        std::fs::remove_file(stale).with_context(|| format!("remove the stale socket {}", path.display()))?;
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

/// The socket file a hub left that ended. An error: a hub listens there, or it is another kind of file.
pub fn find_stale(path: &Path) -> Result<Option<&Path>> {
    // Connecting to an ordinary file is refused like connecting to a stale socket; only the latter may go.
    if std::fs::symlink_metadata(path).is_ok_and(|found| !found.file_type().is_socket()) {
        bail!("{} is there and is no socket: name another one under [control] socket", path.display());
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => bail!("another hub listens on {}: stop it first", path.display()),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) if e.kind() == ErrorKind::ConnectionRefused => Ok(Some(path)),
        Err(e) => Err(e).with_context(|| format!("look at the control socket {}", path.display())),
    }
}

/// Answers requests for ever. `handle` is called for one request at a time per connection.
pub async fn serve<F, Fut>(listener: UnixListener, own_uid: u32, handle: F) -> Result<()>
where
    F: Fn(Request) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<serde_json::Value>> + Send + 'static,
{
    serve_within(IDLE_MAX, listener, own_uid, handle).await
}

async fn serve_within<F, Fut>(
    idle_max: Duration,
    listener: UnixListener,
    own_uid: u32,
    handle: F,
) -> Result<()>
where
    F: Fn(Request) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<serde_json::Value>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = places.clone().acquire_owned().await.context("wait for a free control connection")?;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "failed to accept on the control socket, trying again: {error}");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
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
            if let Err(error) = converse(idle_max, stream, handle).await {
                debug!(%error, "control connection ended");
            }
            drop(place);
        });
    }
}

async fn converse<F, Fut>(idle_max: Duration, stream: UnixStream, handle: F) -> Result<()>
where
    F: Fn(Request) -> Fut,
    Fut: Future<Output = Result<serde_json::Value>>,
{
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    loop {
        let mut line = Vec::new();
        let mut limited = (&mut read).take(REQUEST_BYTES_MAX);
        let got = tokio::time::timeout(idle_max, limited.read_until(b'\n', &mut line)).await??;
        if got == 0 {
            return Ok(());
        }
        let is_too_long = line.len() as u64 == REQUEST_BYTES_MAX && !line.ends_with(b"\n");
        let reply = match serde_json::from_slice::<Request>(&line) {
            _ if is_too_long => Reply::Error(format!("a request has at most {REQUEST_BYTES_MAX} bytes")),
            Ok(request) => match handle(request).await {
                Ok(value) => Reply::Ok(value),
                Err(error) => Reply::Error(format!("{error:#}")),
            },
            Err(error) => Reply::Error(format!("this is no request the hub knows: {error}")),
        };
        let mut bytes = serde_json::to_vec(&reply)?;
        bytes.push(b'\n');
        tokio::time::timeout(idle_max, write.write_all(&bytes)).await??;
        // The rest of the line is no request.
        if is_too_long {
            return Ok(());
        }
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
    converse_with_hub(stream, request).await.map(Some)
}

async fn converse_with_hub(stream: UnixStream, request: &Request) -> Result<serde_json::Value> {
    let (read, mut write) = stream.into_split();
    let mut bytes = serde_json::to_vec(request)?;
    bytes.push(b'\n');
    let mut line = Vec::new();
    unless_gone(write.write_all(&bytes).await).context("send the request to the hub")?;
    // One that took no more of the request may have said why.
    let mut read = BufReader::new(read.take(REPLY_BYTES_MAX));
    unless_gone(read.read_until(b'\n', &mut line).await).context("read the hub's answer")?;
    if line.is_empty() {
        bail!(
            "the hub closed the connection without an answer: is this user root or the hub's own? A hub that cannot start \
             says why in its log"
        );
    }
    match serde_json::from_slice(&line).context("read the hub's answer")? {
        Reply::Ok(value) => Ok(value),
        Reply::Error(message) => bail!("{message}"),
    }
}

/// A hub that ends before it took the connection resets it: no more of an error than one that closes it.
fn unless_gone<T>(done: std::io::Result<T>) -> std::io::Result<()> {
    match done {
        Err(e) if !matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A served socket that answers every request with `{}`, and its folder.
    fn served(idle_max: Duration) -> (tempfile::TempDir, std::path::PathBuf) {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub.sock");
        let listener = bind(&path).unwrap();
        let uid = std::fs::metadata("/proc/self").unwrap().uid();
        tokio::spawn(serve_within(idle_max, listener, uid, |_| async { Ok(json!({})) }));
        (folder, path)
    }

    async fn send(path: &Path, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(path).await.unwrap();
        // The other end may close in the middle of what is too long.
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn every_line_has_one_answer() {
        let (_folder, path) = served(IDLE_MAX);
        for (line, want) in [
            (&b"{\"request\":\"status\"}\n{\"request\":\"units_list\"}\n"[..], "{\"ok\":{}}\n{\"ok\":{}}\n"),
            (b"{\"request\":\"nothing\"}\n", "unknown variant `nothing`"),
            (b"\xff\n", "this is no request"),
            (b"[]", "this is no request"),
        ] {
            let got = send(&path, line).await;
            assert!(
                got.contains(want)
                    && got.lines().count() == line.split(|b| *b == b'\n').filter(|l| !l.is_empty()).count(),
                "{got}"
            );
        }
        let got = send(&path, &vec![b'a'; 3 * REQUEST_BYTES_MAX as usize]).await;
        assert!(got.is_empty() || (got.contains("at most") && got.lines().count() == 1), "{got}");
    }

    #[tokio::test]
    async fn who_neither_sends_nor_reads_loses_its_place() {
        let (_folder, path) = served(Duration::from_millis(200));
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            held.push(UnixStream::connect(&path).await.unwrap());
        }
        let (deaf, idle) = held.split_at_mut(CONNECTIONS_MAX / 2);
        for stream in deaf {
            // Until the hub's answers fill both buffers and it stops reading.
            let line = b"{\"request\":\"status\"}\n".repeat(64);
            while let Ok(Ok(())) =
                tokio::time::timeout(Duration::from_millis(50), stream.write_all(&line)).await
            {}
        }
        assert_eq!(idle.len(), CONNECTIONS_MAX - CONNECTIONS_MAX / 2);
        let answer = ask(&path, &Request::Status).await.unwrap();
        assert_eq!(answer, Some(Value::Object(serde_json::Map::new())));
    }

    #[tokio::test]
    async fn a_hub_that_ends_before_it_answers_has_said_why_in_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let check = |answer: Result<Value>| {
            let error = format!("{:#}", answer.unwrap_err());
            assert!(error.contains("says why in its log"), "{error}");
        };
        // It never took the connection.
        let path = folder.path().join("deaf.sock");
        let listener = bind(&path).unwrap();
        let waiting = UnixStream::connect(&path).await.unwrap();
        drop(listener);
        check(converse_with_hub(waiting, &Request::Status).await);

        let path = folder.path().join("hub.sock");
        let listener = bind(&path).unwrap();
        // The second is more than the kernel keeps of what nobody reads.
        let long = Request::DevicesFlushNonces { device: "x".repeat(REQUEST_BYTES_MAX as usize * 4) };
        for request in [Request::Status, long] {
            let ends = async {
                let taken = listener.accept().await.unwrap().0;
                taken.readable().await.unwrap();
            };
            let (answer, ()) = tokio::join!(ask(&path, &request), ends);
            check(answer.map(Option::unwrap_or_default));
        }
    }

    #[tokio::test]
    async fn only_a_stale_socket_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let listener = bind(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(bind(&path).unwrap_err().to_string().contains("another hub"));
        drop(listener);

        let file = folder.path().join("precious");
        std::fs::write(&file, "data").unwrap();
        assert!(bind(&file).unwrap_err().to_string().contains("is no socket"));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(bind(&link).unwrap_err().to_string().contains("is no socket"));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "data");
    }
}
