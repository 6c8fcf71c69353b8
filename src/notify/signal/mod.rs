//! Buzzer, lamp and relay on lines of the kernel's GPIO character device, and the button that silences.
//!
//! - `pattern`: what is seen and heard of which state of the kitchen. A table, pure.
//! - `line`: an output line, real or fake, and why one cannot be had.
//! - `player`: plays patterns in a task of its own.
//! - `button`: presses.
//!
//! A hub that is killed leaves its lines as they were (the kernel does not reset them); its next start switches them off.
//!
//! Where there is no GPIO, `chip = "fake:/path/to/file"` stands in, in builds with the feature `demo` and in tests only:
//! each change of the line appends `1` or `0` and a line end to the file. A fake button reads the same digits from a
//! FIFO.

mod button;
mod line;
mod pattern;
mod player;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub use button::Button;
pub use line::{FAKE_PREFIX, is_fake_allowed};

use super::{Board, Channel, Failure, Kind, Message, Notifier, Receipt};
use crate::config::SignalSection;
use player::{Order, Player, drive};

/// The dispatcher waits for each answer; the second place is for a test beside it.
const ORDERS_QUEUED_MAX: usize = 2;

/// A configured output. Dropping it ends its task and switches the load off.
pub struct Signal {
    config: SignalSection,
    orders: mpsc::Sender<Order>,
    problem: watch::Receiver<Option<String>>,
    task: JoinHandle<()>,
}

impl Signal {
    /// Starts the task that plays, within a tokio runtime; the line is taken now if it can be had, else later. The load
    /// stays off until the first board is shown.
    pub fn start(config: SignalSection) -> Self {
        let (orders, received) = mpsc::channel(ORDERS_QUEUED_MAX);
        let (section, name) = (config.clone(), config.name.clone());
        let player = Player::new(name, move || line::open(&section), Instant::now());
        let problem = player.problem();
        let task = tokio::spawn(drive(player, received));
        Self { config, orders, problem, task }
    }

    /// Why its line is dead, now and from now on; None: it works.
    pub fn problem(&self) -> watch::Receiver<Option<String>> {
        self.problem.clone()
    }

    async fn ask(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<(), String>>) -> Order,
    ) -> Result<(), Failure> {
        let (reply, answer) = oneshot::channel();
        let gone = || Failure::Later(format!("the player of signal {} has ended", self.config.name));
        self.orders.send(order(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?.map_err(Failure::Later)
    }
}

impl Notifier for Signal {
    fn channel(&self) -> Channel {
        Channel::Signal
    }

    fn name(&self) -> &str {
        &self.config.name
    }

    /// A test switches the load on for a second, then what is shown goes on. All else is seen by the board.
    async fn deliver(&mut self, message: &Message) -> Result<Receipt, Failure> {
        let SignalSection { chip, line, .. } = &self.config;
        let detail = if message.kind == Kind::Test {
            self.ask(|reply| Order::Test { reply }).await?;
            format!("line {line} of {chip} was on for a second")
        } else {
            format!("line {line} of {chip} shows it")
        };
        Ok(Receipt { external_id: None, is_delivered: true, detail })
    }

    /// The load has its new state when this returns.
    async fn show(&mut self, board: &Board) -> Result<(), Failure> {
        let pattern = pattern::of(self.config.role, board);
        self.ask(|reply| Order::Play { pattern, reply }).await
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        self.task.abort();
    }
}
