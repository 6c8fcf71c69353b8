use std::io;
use std::time::Duration;

use gpiocdev::Request;
use gpiocdev::line::{EdgeDetection, EdgeKind};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::line::CONSUMER;
use crate::config::ButtonSection;
use crate::gpio::{bias, chip, refusal};

/// One press that waits says all that a second one would.
const PRESSES_QUEUED_MAX: usize = 1;
/// Contacts of push buttons bounce for up to 10 ms; the kernel waits this long until the line is quiet (it does so itself
/// where the chip cannot).
const DEBOUNCE: Duration = Duration::from_millis(20);
/// Presses closer together are one: nobody means two so soon, and a worn contact makes them.
const PRESS_AGAIN_NS_MIN: u64 = 300_000_000;
/// Edges between the thread that waits for the kernel and the task that judges them: a press and its release, twice.
const EDGES_QUEUED_MAX: usize = 4;
/// How soon the thread notices that the button is no longer wanted.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A chip that is plugged in again is taken this soon.
const REOPEN: Duration = Duration::from_secs(5);

/// The push button. It only tells of presses; what one means (silence until something new calls) is the dispatcher's to
/// decide: a press acknowledges nothing, since it does not say who pressed.
pub struct Button {
    presses: mpsc::Receiver<()>,
    problem: watch::Receiver<Option<String>>,
    task: JoinHandle<()>,
}

impl Button {
    /// Starts the task that listens, within a tokio runtime; a line that cannot be had is tried again every few seconds.
    pub fn start(config: ButtonSection) -> Self {
        let (out, presses) = mpsc::channel(PRESSES_QUEUED_MAX);
        let (shown, problem) = watch::channel(None);
        Self { presses, problem, task: tokio::spawn(listen(config, out, shown)) }
    }

    /// Why it is dead, now and from now on; None: it is heard.
    pub fn problem(&self) -> watch::Receiver<Option<String>> {
        self.problem.clone()
    }

    /// Returns at the next press. Safe to drop: a press that came meanwhile waits.
    pub async fn pressed(&mut self) {
        if self.presses.recv().await.is_none() {
            // The task ends only with the button itself.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Button {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A change of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Edge {
    is_press: bool,
    /// Monotonic, of the kernel.
    at_ns: u64,
}

/// An input line that tells its changes.
trait Edges: Send {
    fn next(&mut self) -> impl Future<Output = io::Result<Edge>> + Send;
}

async fn listen(config: ButtonSection, out: mpsc::Sender<()>, problem: watch::Sender<Option<String>>) {
    loop {
        let ended = hear(&config, &out, &problem).await;
        if problem.borrow().as_ref() != Some(&ended) {
            warn!(error = %ended, "the button is dead: {ended}");
        }
        problem.send_replace(Some(ended));
        tokio::time::sleep(REOPEN).await;
    }
}

/// Hears until the line is lost; the reason.
async fn hear(
    config: &ButtonSection,
    out: &mpsc::Sender<()>,
    problem: &watch::Sender<Option<String>>,
) -> String {
    #[cfg(any(test, feature = "demo"))]
    if let Some(path) = config.chip.strip_prefix(super::FAKE_PREFIX) {
        return match fake::FakeEdges::open(path) {
            Ok(edges) => hand_on(edges, out, problem).await,
            Err(error) => format!("open the fake button {path}: {error} (it must be a FIFO)"),
        };
    }
    match open(config) {
        Ok(edges) => hand_on(edges, out, problem).await,
        Err(error) => error,
    }
}

async fn hand_on(
    mut edges: impl Edges,
    out: &mpsc::Sender<()>,
    problem: &watch::Sender<Option<String>>,
) -> String {
    if problem.send_replace(None).is_some() {
        info!("the button works again");
    }
    let mut presses = Presses::default();
    loop {
        match edges.next().await {
            // A full queue holds a press already.
            Ok(edge) if presses.is_new(edge) => drop(out.try_send(())),
            Ok(_) => {}
            Err(error) => return format!("hear the button: {error}"),
        }
    }
}

/// Which edges are presses. Pure.
#[derive(Default)]
struct Presses {
    last_ns: Option<u64>,
}

impl Presses {
    fn is_new(&mut self, edge: Edge) -> bool {
        if !edge.is_press {
            return false;
        }
        // From the last one counted or not: a contact that chatters on and on is one press.
        let before = self.last_ns.replace(edge.at_ns);
        before.is_none_or(|before| edge.at_ns.saturating_sub(before) >= PRESS_AGAIN_NS_MIN)
    }
}

/// What a thread of its own reads from the kernel.
struct GpioEdges(mpsc::Receiver<io::Result<Edge>>);

fn open(config: &ButtonSection) -> Result<GpioEdges, String> {
    let chip = chip(&config.chip)?;
    let mut request = Request::builder();
    request
        .on_chip(chip.path())
        .with_consumer(CONSUMER)
        .with_line(config.line)
        .with_edge_detection(EdgeDetection::BothEdges)
        .with_debounce_period(DEBOUNCE)
        .with_bias(bias(config.active_low));
    if config.active_low {
        request.as_active_low();
    }
    let request = request.request().map_err(|error| refusal(&chip, config.line, &error))?;
    let (out, edges) = mpsc::channel(EDGES_QUEUED_MAX);
    std::thread::Builder::new()
        .name("button".into())
        .spawn(move || read(&request, &out))
        .map_err(|error| format!("start the button's thread: {error}"))?;
    Ok(GpioEdges(edges))
}

/// Until the line is lost, which is said last, or nobody hears any more.
fn read(request: &Request, out: &mpsc::Sender<io::Result<Edge>>) {
    while !out.is_closed() {
        let edge = match request.wait_edge_event(LOOK_EVERY) {
            Ok(false) => continue,
            Ok(true) => request.read_edge_event(),
            Err(error) => Err(error),
        };
        // Rising means active: active_low is the kernel's to turn round.
        let edge = edge
            .map(|event| Edge { is_press: event.kind == EdgeKind::Rising, at_ns: event.timestamp_ns })
            .map_err(io::Error::other);
        let is_lost = edge.is_err();
        if out.blocking_send(edge).is_err() || is_lost {
            return;
        }
    }
}

impl Edges for GpioEdges {
    async fn next(&mut self) -> io::Result<Edge> {
        let gone = || Err(io::Error::other("the button's thread has ended"));
        self.0.recv().await.unwrap_or_else(gone)
    }
}

#[cfg(any(test, feature = "demo"))]
mod fake {
    use std::io;

    use tokio::io::AsyncReadExt;
    use tokio::net::unix::pipe;

    use super::{Edge, Edges};

    /// Digits from a FIFO: `1` presses, `0` releases; each a second after the one before.
    pub struct FakeEdges {
        pipe: pipe::Receiver,
        at_ns: u64,
    }

    impl FakeEdges {
        pub fn open(path: &str) -> io::Result<Self> {
            // Open for writing too: else the end of one writer would be the end of all.
            let pipe = pipe::OpenOptions::new().read_write(true).open_receiver(path)?;
            Ok(Self { pipe, at_ns: 0 })
        }
    }

    impl Edges for FakeEdges {
        async fn next(&mut self) -> io::Result<Edge> {
            loop {
                let digit = self.pipe.read_u8().await?;
                if matches!(digit, b'0' | b'1') {
                    self.at_ns += 1_000_000_000;
                    return Ok(Edge { is_press: digit == b'1', at_ns: self.at_ns });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chattering_contact_is_one_press() {
        let mut presses = Presses::default();
        for (is_press, ms, want) in [
            (true, 1_000, true),
            (false, 1_005, false),
            (true, 1_010, false),
            (true, 1_290, false),
            (true, 1_590, true),
            (false, 1_700, false),
            (true, 5_000, true),
        ] {
            let edge = Edge { is_press, at_ns: ms * 1_000_000 };
            assert_eq!(presses.is_new(edge), want, "{edge:?}");
        }
    }
}
