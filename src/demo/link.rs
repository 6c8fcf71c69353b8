//! "The internet" between hub and receiver: a relay of TCP connections that can be cut and restored, and counts.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Connections at a time: a hub keeps two or three.
const CONNECTIONS_MAX: usize = 64;
/// Read at once from either end.
const CHUNK_BYTES: usize = 16 * 1024;

pub struct Link {
    address: SocketAddr,
    is_open: watch::Sender<bool>,
    bytes_up: Arc<AtomicU64>,
    /// Ends the relay and its connections when dropped.
    _tasks: JoinSet<()>,
}

impl Link {
    /// Relays from a free port of this machine to `target`.
    pub async fn start(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("open the relay's port")?;
        let address = listener.local_addr().context("ask for the relay's port")?;
        let (is_open, watched) = watch::channel(true);
        let bytes_up = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, target, watched, bytes_up.clone()));
        Ok(Self { address, is_open, bytes_up, _tasks: tasks })
    }

    /// What the hub is told to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn is_open(&self) -> bool {
        *self.is_open.borrow()
    }

    /// Breaks every connection and lets none through until `restore`.
    pub fn cut(&self) {
        self.is_open.send_replace(false);
    }

    pub fn restore(&self) {
        self.is_open.send_replace(true);
    }

    /// Bytes from the hub to the receiver, requests' heads included.
    pub fn bytes_up(&self) -> u64 {
        self.bytes_up.load(Ordering::Relaxed)
    }
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    is_open: watch::Receiver<bool>,
    bytes_up: Arc<AtomicU64>,
) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= CONNECTIONS_MAX {
            connections.join_next().await;
        }
        // An error here is of one connection (it went away, or there is no file descriptor left for it): the next may work.
        if let Ok((hub, _)) = listener.accept().await
            && *is_open.borrow()
        {
            connections.spawn(relay(hub, target, is_open.clone(), bytes_up.clone()));
        }
    }
}

async fn relay(
    hub: TcpStream,
    target: SocketAddr,
    mut is_open: watch::Receiver<bool>,
    bytes_up: Arc<AtomicU64>,
) {
    let Ok(receiver) = TcpStream::connect(target).await else { return };
    let (hub_read, hub_write) = hub.into_split();
    let (receiver_read, receiver_write) = receiver.into_split();
    let bytes_down = AtomicU64::new(0);
    let both = async {
        let up = pump(hub_read, receiver_write, &bytes_up);
        tokio::join!(up, pump(receiver_read, hub_write, &bytes_down))
    };
    tokio::select! {
        _ = both => {}
        // Also when the link is dropped.
        _ = is_open.wait_for(|open| !open) => {}
    }
}

/// Copies until either end is done; a broken connection is the peers' to deal with.
async fn pump(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, counter: &AtomicU64) {
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        counter.fetch_add(length as u64, Ordering::Relaxed);
        if to.write_all(&chunk[..length]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo_server() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut peer, _)) = listener.accept().await {
                let mut text = [0; 4];
                while peer.read_exact(&mut text).await.is_ok() {
                    peer.write_all(&text).await.unwrap();
                }
            }
        });
        address
    }

    #[tokio::test]
    async fn a_cut_breaks_what_is_open_and_what_comes_until_it_is_restored() {
        let link = Link::start(echo_server().await).await.unwrap();
        let mut text = [0; 4];

        let mut peer = TcpStream::connect(link.address()).await.unwrap();
        peer.write_all(b"ping").await.unwrap();
        peer.read_exact(&mut text).await.unwrap();
        assert_eq!((&text, link.bytes_up()), (b"ping", 4));

        link.cut();
        assert!(peer.read_exact(&mut text).await.is_err(), "an open connection breaks");
        let mut peer = TcpStream::connect(link.address()).await.unwrap();
        let _ = peer.write_all(b"ping").await;
        assert!(peer.read_exact(&mut text).await.is_err(), "a new one too");
        assert_eq!((link.is_open(), link.bytes_up()), (false, 4));

        link.restore();
        let mut peer = TcpStream::connect(link.address()).await.unwrap();
        peer.write_all(b"pong").await.unwrap();
        peer.read_exact(&mut text).await.unwrap();
        assert_eq!((&text, link.bytes_up()), (b"pong", 8));
    }
}
