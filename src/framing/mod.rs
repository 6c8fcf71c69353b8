//! Serial lines to messages, sans-IO: bytes in, items out, resumable anywhere.
//!
//! A [`Decoder`] speaks one [`Preset`]. Noise and half lines cost what they are made of and nothing after them: a line is
//! searched for a message from every place one could begin. Every byte is accounted for in [`Stats`].

mod decoder;
pub mod json;
pub mod modbus;
mod moteino;
pub mod onewire;
mod rak;
mod reyax;
mod rflink;
mod text;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use decoder::Decoder;

use crate::domain::{MonoMs, Source};
use crate::frame::{Frame, Identity, Payload, Sender};

/// The longest line that can be a message: the longest payload of a module (255 bytes) in hexadecimal, and what stands
/// around it, fit twice. Longer ones are cut.
pub const LINE_BYTES_MAX: usize = 1_024;
/// After this much silence on the line the caller says so ([`Decoder::idle`]): modules send a message in one burst, and a
/// message cut short must not swallow the next ones.
pub const IDLE_MS: u64 = 1_000;

/// What a serial port speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// One JSON object a line; [`json`] lists the keys.
    Json,
    /// Reyax RYLR modules: `+RCV=<address>,<length>,<data>,<rssi>,<snr>`. The address is the sender's.
    Reyax,
    /// RAK modules in point-to-point mode: `+EVT:RXP2P:<rssi>:<snr>:<hex>`, or the older two lines. A message has no
    /// address but what stands in it as `id`; without one it is "p2p".
    Rak,
    /// RFLink gateways: `20;<n>;<name>;ID=<id>;TEMP=..;HUM=..;BAT=..;`. The address is `<name>/<id>`.
    Rflink,
    /// The Moteino gateway sketch: `[<node>] <message>   [RX_RSSI:<rssi>]`. The address is the node.
    Moteino,
}

impl Preset {
    pub const ALL: &'static [Preset] =
        &[Preset::Json, Preset::Reyax, Preset::Rak, Preset::Rflink, Preset::Moteino];

    pub fn as_str(self) -> &'static str {
        match self {
            Preset::Json => "json",
            Preset::Reyax => "reyax",
            Preset::Rak => "rak",
            Preset::Rflink => "rflink",
            Preset::Moteino => "moteino",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|preset| preset.as_str() == text)
    }

    /// Baud of the maker's firmware.
    pub fn default_baud(self) -> u32 {
        match self {
            Preset::Rflink => 57_600,
            _ => 115_200,
        }
    }
}

/// How the data a radio module hands over is read (Reyax, RAK, Moteino).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Data {
    /// A JSON object, `key=value` pairs, hexadecimal digits, else bytes of the paired model's own format.
    #[default]
    Auto,
    /// JSON or `key=value` only; anything else is kept as not understood.
    Text,
    /// Bytes (or their hexadecimal digits) of the paired model's own format, on `codec::NO_PORT`.
    Binary,
}

/// What came over the line.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    Message(Message),
    /// The module or gateway about itself (`+OK`, `+ERR=4`, a start-up line): no reading, no noise.
    Notice(String),
    /// Bytes that were dropped.
    Noise {
        reason: Noise,
        /// How many.
        dropped: usize,
        /// The first of them.
        sample: Vec<u8>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Noise {
    /// No message of the preset in it.
    NotUnderstood,
    /// Beyond [`LINE_BYTES_MAX`].
    TooLong,
}

impl Noise {
    pub fn as_str(self) -> &'static str {
        match self {
            Noise::NotUnderstood => "not understood",
            Noise::TooLong => "line too long",
        }
    }
}

/// One message of one node.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub address: String,
    pub is_eui: bool,
    /// Told by the message itself; a paired device's own model wins.
    pub model: Option<String>,
    /// dBm, as the receiving module measured it, else as the message says.
    pub rssi: Option<i32>,
    /// The node's own packet counter.
    pub counter: Option<u32>,
    pub payload: Payload,
}

impl Message {
    /// `port` is the configured name of the serial port.
    pub fn into_frame(self, port: &str, at: MonoMs) -> Frame {
        Frame {
            sender: Sender {
                source: Source::Serial,
                port: port.to_owned(),
                address: self.address,
                is_eui: self.is_eui,
            },
            model: self.model,
            at,
            network_time: None,
            is_delayed: false,
            payload: self.payload,
            identity: Identity { counter: self.counter, ..Identity::default() },
            rssi: self.rssi,
            ack: None,
        }
    }
}

/// Where every byte went: `bytes_in = bytes_understood + bytes_dropped + what is still buffered`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub bytes_in: u64,
    /// In messages, notices and ends of lines.
    pub bytes_understood: u64,
    pub bytes_dropped: u64,
    pub messages: u64,
    pub notices: u64,
    pub lines_too_long: u64,
}

/// What one line gave.
enum Parsed {
    Item(Item),
    /// The first of two lines.
    Header,
}

/// The other end of a point-to-point link, where neither the module nor the message names it.
const LINK_ADDRESS: &str = "p2p";

/// Reads a radio module's data. An address told by the module stands; else the `id` in the data does.
fn message(address: Option<String>, rssi: Option<i32>, bytes: &[u8], data: Data) -> Message {
    let content = text::read(bytes, data);
    let (address, is_eui) = match (address, content.id) {
        (Some(address), _) => (address, false),
        (None, Some(id)) => (id.address, id.is_eui),
        (None, None) => (LINK_ADDRESS.to_owned(), false),
    };
    Message {
        address,
        is_eui,
        model: content.model,
        rssi: rssi.or(content.rssi),
        counter: content.counter,
        payload: content.payload,
    }
}
