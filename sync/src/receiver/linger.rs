//! The end of a connection whose caller is still sending.
//!
//! Who closes a socket with bytes unread resets the connection (RFC 1122, 4.2.2.13), and the reset may overtake the
//! answer: a hub whose body is refused early would see a broken line instead of why.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::wire::BODY_BYTES_MAX;

/// What is still read of a caller that has its answer: a body of the largest size, and as much beyond it. Who sends more
/// is no hub.
const BYTES_MAX: usize = 2 * BODY_BYTES_MAX;
/// A hub cuts its bodies for 5 s of its link.
const TIME_MAX: Duration = Duration::from_secs(10);

/// A stream that, shut down, goes on reading for a while and throws away what it reads.
pub struct Lingering<S> {
    stream: S,
    /// False: the receiver ends and waits for nobody.
    wanted: Arc<AtomicBool>,
    left: usize,
    until: Option<Pin<Box<Sleep>>>,
}

impl<S> Lingering<S> {
    pub fn new(stream: S, wanted: Arc<AtomicBool>) -> Self {
        Self { stream, wanted, left: BYTES_MAX, until: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.until.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        }
        let until = this.until.get_or_insert_with(|| Box::pin(tokio::time::sleep(TIME_MAX)));
        let mut waste = [0; 4 << 10];
        loop {
            // Whoever lets go polls this again.
            if !this.wanted.load(Ordering::Relaxed) || this.left == 0 || until.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut into = ReadBuf::new(&mut waste);
            // Whatever ends the other side ends the waiting.
            let read = ready!(Pin::new(&mut this.stream).poll_read(cx, &mut into));
            if read.is_err() || into.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.left = this.left.saturating_sub(into.filled().len());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn lingering() -> (Lingering<tokio::io::DuplexStream>, tokio::io::DuplexStream, Arc<AtomicBool>) {
        let (near, far) = tokio::io::duplex(64);
        let wanted = Arc::new(AtomicBool::new(true));
        (Lingering::new(near, Arc::clone(&wanted)), far, wanted)
    }

    async fn is_over(mut end: Pin<&mut impl Future<Output = io::Result<()>>>) -> bool {
        std::future::poll_fn(|cx| Poll::Ready(end.as_mut().poll(cx).is_ready())).await
    }

    #[tokio::test]
    async fn it_lasts_until_the_caller_is_done() {
        let (mut near, mut far, _wanted) = lingering();
        let mut end = std::pin::pin!(near.shutdown());
        assert!(!is_over(end.as_mut()).await);
        far.write_all(&[1; 64]).await.unwrap();
        assert!(!is_over(end.as_mut()).await, "what it says is read");
        far.write_all(&[1; 64]).await.unwrap();
        assert_eq!(far.read(&mut [0; 8]).await.unwrap(), 0, "and it sees the end of the answer");
        drop(far);
        assert!(is_over(end.as_mut()).await);
    }

    #[tokio::test]
    async fn the_receivers_end_ends_it() {
        let (mut near, _far, wanted) = lingering();
        let mut end = std::pin::pin!(near.shutdown());
        assert!(!is_over(end.as_mut()).await);
        wanted.store(false, Ordering::Relaxed);
        assert!(is_over(end.as_mut()).await);
    }

    #[tokio::test]
    async fn who_says_too_much_is_let_go() {
        let (mut near, mut far, _wanted) = lingering();
        near.left = 100;
        let mut end = std::pin::pin!(near.shutdown());
        for over in [false, true] {
            far.write_all(&[1; 64]).await.unwrap();
            assert_eq!(is_over(end.as_mut()).await, over);
        }
    }
}
