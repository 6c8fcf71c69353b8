//! What a source hands to the pipeline: one message of one sensor, undecoded or carrying values, with its provenance.

use serde::{Deserialize, Serialize};

use crate::codec::Measurement;
use crate::domain::{MonoMs, Source, UnixMs};
use crate::lorawan::gateway::GatewayEvent;

/// Who sent it, as the source knows it. `address` is the natural one: an EUI in 16 upper-case hex digits, a Reyax
/// address, a topic name. (`source`, `port`, `address`) names a device.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sender {
    pub source: Source,
    /// The configured name of the serial port or broker.
    pub port: String,
    pub address: String,
    /// `address` is an EUI (globally unique), so the same device may come by another port.
    pub is_eui: bool,
}

/// As people read it.
impl std::fmt::Display for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Sender { source, port, address, .. } = self;
        let space = if port.is_empty() { "" } else { " " };
        write!(f, "{address} ({}{space}{port})", source.as_str())
    }
}

/// One message of one sensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    pub sender: Sender,
    /// The source's guess at the model ("vendor/model"); a paired device's own model wins.
    pub model: Option<String>,
    /// Monotonic time of reception.
    pub at: MonoMs,
    /// A time from the network server or a GNSS-locked gateway.
    pub network_time: Option<UnixMs>,
    /// A gateway kept it while the hub was away: it was sent before `at`, and only `network_time` can say when.
    pub is_delayed: bool,
    pub payload: Payload,
    /// What names the frame for finding duplicates.
    pub identity: Identity,
    /// dBm.
    pub rssi: Option<i32>,
    /// Where the acknowledgement goes once the frame is committed (or refused, which is committed too).
    pub ack: Option<AckToken>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    /// Bytes of the device's own format, to be decoded by the model's codec.
    Binary { f_port: u8, bytes: Vec<u8> },
    /// The source's format already says what was measured (JSON lines, RFLink, Zigbee2MQTT).
    Values { measurements: Vec<Measurement>, raw: Vec<u8> },
    /// It could not be understood, but it is kept; `reason` says why.
    Raw { bytes: Vec<u8>, reason: String },
}

impl Payload {
    pub fn bytes(&self) -> &[u8] {
        match self {
            Payload::Binary { bytes, .. } | Payload::Raw { bytes, .. } => bytes,
            Payload::Values { raw, .. } => raw,
        }
    }
}

/// What tells a repeated frame from a new one with the same values (a steady fridge repeats itself).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Identity {
    /// LoRaWAN: device address and frame counter, or the node's own packet counter.
    pub dev_addr: Option<String>,
    pub counter: Option<u32>,
    /// ChirpStack v4.
    pub deduplication_id: Option<String>,
    /// MQTT at QoS 1: what names the publish on its connection. Every such message has it, redelivered or not.
    pub packet: Option<MqttPacket>,
}

/// A publish as the broker numbers it. A redelivery has DUP set and the topic, bytes and packet id of one that was
/// committed on the connection before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MqttPacket {
    pub id: u16,
    pub topic: String,
    /// DUP.
    pub is_redelivered: bool,
}

/// Where an acknowledgement goes: the source's connection number and its number for the message there. A source drops
/// tokens of a connection it no longer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AckToken {
    pub source: u16,
    pub connection: u64,
    pub message: u64,
}

/// What a source says besides frames.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceEvent {
    Frame(Box<Frame>),
    /// Something that is no sensor's message but must be committed before it is acknowledged (a retained message, a
    /// status topic, noise on a subscribed topic).
    Refused {
        port: String,
        reason: String,
        bytes: Vec<u8>,
        at: MonoMs,
        ack: Option<AckToken>,
    },
    /// What a broker says about itself: counted by the source, never kept, acknowledged in its turn.
    Ignored {
        ack: Option<AckToken>,
    },
    /// From a gateway of the hub's own network server.
    Gateway(Box<GatewayEvent>),
    Up {
        source: Source,
        port: String,
    },
    Down {
        source: Source,
        port: String,
        reason: String,
    },
}
