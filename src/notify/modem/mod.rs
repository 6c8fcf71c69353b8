//! SMS by a modem on a serial port.
//!
//! - `alphabet`, `plan`, `pdu`: what a text becomes (3GPP TS 23.038 and 23.040): pure.
//! - `lines`, `refusal`, `network`, `dialogue`: the AT commands (ITU-T V.250, 3GPP TS 27.005 and 27.007), sans-IO.
//! - `desk`, `outstanding`: the message in hand, and those whose status reports are awaited: pure.
//! - `line`: the port, opened, lost, replugged and opened again without a restart.
//!
//! What is safe against what: a message that the modem may or may not have taken is sent again (it may arrive twice, never
//! not at all); parts that the network has are not sent again; a PIN that the SIM refused is never tried again.

mod alphabet;
mod desk;
mod dialogue;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod line;
mod lines;
mod network;
mod outstanding;
mod pdu;
mod plan;
mod refusal;
#[cfg(test)]
mod tests;

use tokio::sync::{mpsc, oneshot, watch};

pub use self::dialogue::ModemStatus;
pub use self::line::Line;
pub use self::network::Registration;

use self::desk::Order;
use self::line::Job;
use self::pdu::Number;
use super::{Channel, Failure, Message, Notifier, Receipt, Report};
use crate::config::ModemSection;
use crate::counters::Counters;

/// One message is on the line, one waits: who orders waits for the answer anyway.
const JOBS_QUEUED_MAX: usize = 1;

/// The channel; its other half is the [`Line`] that a task runs.
pub struct Modem {
    jobs: mpsc::Sender<Job>,
    status: watch::Receiver<ModemStatus>,
}

impl Modem {
    /// `reports` is told what became of messages; it may be slow, but what exceeds a bound is dropped and counted. A report
    /// leaves after its receipt, and names the newest message with that `external_id`: references come round after 256
    /// messages. `joint` is random; long messages of a restarted hub are told apart by it.
    pub fn new(
        config: ModemSection,
        reports: mpsc::Sender<Report>,
        counters: Counters,
        joint: u8,
    ) -> (Self, Line) {
        let (jobs, ordered) = mpsc::channel(JOBS_QUEUED_MAX);
        let (shown, status) = watch::channel(ModemStatus::default());
        let line = Line::new(config, ordered, shown, reports, counters, joint);
        (Self { jobs, status }, line)
    }

    /// How the modem is, whenever that changes.
    pub fn status(&self) -> watch::Receiver<ModemStatus> {
        self.status.clone()
    }
}

impl Notifier for Modem {
    fn channel(&self) -> Channel {
        Channel::Sms
    }

    fn name(&self) -> &str {
        Channel::Sms.as_str()
    }

    /// Dropping it gives the message up: what is not on the line yet is not sent, an open prompt is cancelled, and a part
    /// that the modem has in its hands is remembered, so that the same message goes on behind it.
    async fn deliver(&mut self, message: &Message) -> Result<Receipt, Failure> {
        let Some(to) = Number::parse(&message.recipient) else {
            return Err(Failure::Never(format!(
                "{} is no number for SMS; write + and 7 to 15 digits with the country's code, as +4915112345678",
                message.recipient
            )));
        };
        let text = if message.text.trim().is_empty() { &message.subject } else { &message.text };
        let (answer, answered) = oneshot::channel();
        let order = Order { id: message.id, to, text: text.clone() };
        // Whoever runs the line has ended.
        let stopping = || Failure::Later("the hub is stopping".to_owned());
        self.jobs.send(Job { order: Some(order), answer }).await.map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())?
    }
}

/// Octets in hexadecimal, upper case as in 3GPP TS 27.005.
fn hex(octets: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digits = octets.iter().flat_map(|octet| [octet >> 4, octet & 0xF]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// None: not pairs of hexadecimal digits.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).map(|value| value as u8)).collect();
    let digits = digits.filter(|digits| !digits.is_empty() && digits.len().is_multiple_of(2))?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}
