//! The way from a hub to the receivers behind one address: hands each request to one of them, and can cut, slow down,
//! repeat and lose.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::support::Receiver;

/// Bytes that pass a slow link at once.
const PIECE: usize = 256;

/// What the link does with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Open,
    /// Connections are closed before anything is answered.
    Cut,
    /// Requests together pass at this speed.
    Slow {
        bytes_per_s: u32,
    },
    /// Each batch to any receiver; some more than once, some answers lost: each fate once in six batches.
    Mixed,
}

/// What became of a batch on a mixed way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    Passed,
    /// To one, then to the other; the answer of the first.
    Repeated,
    /// The same; the answer of the second.
    AnsweredByTheSecond,
    /// To both at the same time.
    AtOnce,
    /// Applied, and the answer lost.
    AnswerLost,
    Lost,
}

pub const FATES: [Fate; 6] =
    [Fate::Passed, Fate::Repeated, Fate::AnsweredByTheSecond, Fate::AtOnce, Fate::AnswerLost, Fate::Lost];

pub struct Link {
    port: u16,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    receivers: Vec<String>,
    state: Mutex<State>,
    /// Who sends on a slow link; the others wait for their turn.
    line: tokio::sync::Mutex<()>,
}

struct State {
    way: Way,
    random: u64,
    /// Fates that batches are still to meet before all six come again.
    deck: Vec<Fate>,
    fates: BTreeMap<Fate, u32>,
    by_receiver: Vec<u32>,
}

impl Link {
    /// `seed`: of the choices on a mixed way.
    pub async fn start(receivers: &[&Receiver], seed: u64, way: Way) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("bind a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let receivers: Vec<String> = receivers
            .iter()
            .map(|receiver| receiver.url().trim_start_matches("http://").to_owned())
            .collect();
        let by_receiver = vec![0; receivers.len()];
        let (deck, fates) = (Vec::new(), BTreeMap::new());
        let state = Mutex::new(State { way, random: seed, deck, fates, by_receiver });
        let shared = Arc::new(Shared { receivers, state, line: tokio::sync::Mutex::default() });
        let for_requests = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((hub, _)) = listener.accept().await {
                let shared = Arc::clone(&for_requests);
                // A broken connection is what the hub must live with.
                tokio::spawn(async move { drop(shared.carry(hub).await) });
            }
        });
        Self { port, shared, accepting }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn set(&self, way: Way) {
        self.shared.state().way = way;
    }

    /// How often batches met each fate.
    pub fn fates(&self) -> BTreeMap<Fate, u32> {
        self.shared.state().fates.clone()
    }

    /// How many deliveries each receiver had.
    pub fn by_receiver(&self) -> Vec<u32> {
        self.shared.state().by_receiver.clone()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One request and its answer; the connection is closed after it.
    async fn carry(&self, mut hub: TcpStream) -> io::Result<()> {
        let Some(request) = read_request(&mut hub).await? else { return Ok(()) };
        let way = self.state().way;
        let is_batch = request.starts_with(b"POST /v1/batches");
        let answer = match way {
            Way::Cut => return Ok(()),
            Way::Mixed if is_batch => self.mix(&request).await?,
            Way::Mixed | Way::Open => Some(self.deliver(self.any(), &request).await?),
            Way::Slow { .. } => {
                self.crawl(&request).await;
                Some(self.deliver(self.any(), &request).await?)
            }
        };
        if let Some(answer) = answer {
            hub.write_all(&answer).await?;
            hub.shutdown().await?;
        }
        Ok(())
    }

    /// None: the hub hears nothing.
    async fn mix(&self, request: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let (first, fate) = (self.any(), self.state().deal());
        let second = (first + 1) % self.receivers.len();
        let answer = match fate {
            Fate::Passed => Some(self.deliver(first, request).await?),
            Fate::Repeated => {
                let answer = self.deliver(first, request).await?;
                self.deliver(second, request).await?;
                Some(answer)
            }
            Fate::AnsweredByTheSecond => {
                self.deliver(first, request).await?;
                Some(self.deliver(second, request).await?)
            }
            Fate::AtOnce => {
                let (one, other) = tokio::join!(self.deliver(first, request), self.deliver(second, request));
                other?;
                Some(one?)
            }
            Fate::AnswerLost => {
                self.deliver(first, request).await?;
                None
            }
            Fate::Lost => None,
        };
        *self.state().fates.entry(fate).or_default() += 1;
        Ok(answer)
    }

    async fn deliver(&self, receiver: usize, request: &[u8]) -> io::Result<Vec<u8>> {
        self.state().by_receiver[receiver] += 1;
        let mut stream = TcpStream::connect(&self.receivers[receiver]).await?;
        stream.write_all(request).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(answer)
    }

    /// Waits as long as the request is under way; a link that is opened meanwhile lets the rest pass.
    async fn crawl(&self, request: &[u8]) {
        for piece in request.chunks(PIECE) {
            let _turn = self.line.lock().await;
            let Way::Slow { bytes_per_s } = self.state().way else { return };
            tokio::time::sleep(Duration::from_millis(piece.len() as u64 * 1_000 / u64::from(bytes_per_s)))
                .await;
        }
    }

    fn any(&self) -> usize {
        self.state().draw(self.receivers.len())
    }
}

impl State {
    /// How many batches there are, and when, depends on the machine; that every fate comes soon does not.
    fn deal(&mut self) -> Fate {
        if self.deck.is_empty() {
            self.deck.extend(FATES);
            for last in (1..self.deck.len()).rev() {
                let other = self.draw(last + 1);
                self.deck.swap(last, other);
            }
        }
        self.deck.pop().expect("it was filled")
    }

    /// SplitMix64.
    fn draw(&mut self, below: usize) -> usize {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % below as u64) as usize
    }
}

/// A whole request that asks for the connection to be closed after its answer; None: the hub closed it.
async fn read_request(hub: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if hub.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let mut request = format!("{text}\r\nconnection: close\r\n\r\n").into_bytes();
    let mut body = bytes.split_off(head + 4);
    while body.len() < length.unwrap_or(0) {
        if hub.read_buf(&mut body).await? == 0 {
            return Ok(None);
        }
    }
    request.append(&mut body);
    Ok(Some(request))
}
