//! Making people hear: what a call says, and the channels that carry it.
//!
//! - `message`: what is said: a `Message` to one recipient, and the `Board`, the state of the kitchen.
//! - `payload`: a message as machines are told it, the JSON of webhooks and MQTT.
//! - A channel is a module with one `Notifier`. Channels that carry messages to people (SMS, e-mail) are given one at a
//!   time and answer with what became of it; channels that show a state (buzzer, lamp, MQTT) are given the board
//!   whenever it changes.

pub mod email;
pub mod message;
pub mod modem;
pub mod mqtt;
pub mod payload;
pub mod plan;
pub mod quiet;
pub mod signal;
pub mod text;
pub mod webhook;

use std::future::Future;

use serde::{Deserialize, Serialize};

pub use message::{AlertNote, Board, Kind, Message, UnitNote};

/// How a call reaches people. SMS, e-mail and push are of the central enum `notification_channel`; the others are the
/// hub's own (`hub_deliveries`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    Sms,
    Email,
    /// A GPIO line: buzzer, lamp or relay.
    Signal,
    Webhook,
    Mqtt,
}

impl Channel {
    pub fn as_str(self) -> &'static str {
        match self {
            Channel::Sms => "sms",
            Channel::Email => "email",
            Channel::Signal => "signal",
            Channel::Webhook => "webhook",
            Channel::Mqtt => "mqtt",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Channel::Sms, Channel::Email, Channel::Signal, Channel::Webhook, Channel::Mqtt]
            .into_iter()
            .find(|channel| channel.as_str() == text)
    }

    /// Has a row per recipient in `notification_deliveries`, which goes up to central.
    pub fn is_central(self) -> bool {
        matches!(self, Channel::Sms | Channel::Email)
    }
}

/// What became of a delivery that went well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// What the other side calls it (message references of an SMS, a queue id), for reports and for people.
    pub external_id: Option<String>,
    /// The other side has it for certain; else a `Report` may follow.
    pub is_delivered: bool,
    /// What a person reads after `notify test`: "250 2.0.0 Ok: queued as 4F2", "signal -87 dBm, reference 17".
    pub detail: String,
}

/// What became of a delivery that did not go well; the text finishes "failed to deliver: ".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// May go well later: no network, a modem that is unplugged, a server that is busy.
    #[error("{0}")]
    Later(String),
    /// Will never go well: a number that is none, an address that is refused.
    #[error("{0}")]
    Never(String),
}

/// The other side's later word about a delivery: an SMS status report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub channel: Channel,
    /// As in the receipt.
    pub external_id: String,
    /// None: it arrived.
    pub problem: Option<String>,
}

/// One way to reach people. A call must come back within `DELIVER_MS_MAX`; the caller gives it up then and tries again,
/// so that an implementation must be safe to drop at any await.
pub trait Notifier: Send {
    fn channel(&self) -> Channel;

    /// The configured name; what `hub_deliveries.recipient` says where a channel has no recipients.
    fn name(&self) -> &str;

    /// Carries one message to its recipient. May be called again with the same message after a crash: what can be told
    /// apart by `Message::id` should be.
    fn deliver(&mut self, message: &Message) -> impl Future<Output = Result<Receipt, Failure>> + Send;

    /// Shows the state of the kitchen: called at the start and whenever it changes. Channels that only carry messages do
    /// nothing.
    fn show(&mut self, _board: &Board) -> impl Future<Output = Result<(), Failure>> + Send {
        std::future::ready(Ok(()))
    }
}

/// A delivery takes no longer: a modem that registers with its network and sends a long message in parts.
pub const DELIVER_MS_MAX: u64 = 120_000;
