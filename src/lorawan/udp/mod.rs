//! The Semtech UDP protocol between packet forwarder and server (packet_forwarder's PROTOCOL.TXT v1.4, sx1302_hal's
//! PROTOCOL.md), versions 1 and 2, sans-IO.
//!
//! It has no authentication: the driver binds to the LAN and knows its gateways by EUI. It has no repetition either: what is
//! not acknowledged is lost, so acknowledge first ([`Datagram::ack`]), then look. Answers to devices go to the source of the
//! gateway's latest PULL_DATA, not of its PUSH_DATA; most forwarders use two sockets.

mod rxpk;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use super::gateway::{Context, Downlink, GatewayFrame, Window};
use super::ids::Eui;
use super::rate::DataRate;
use crate::domain::MonoMs;

pub use rxpk::Dropped;

/// The port forwarders are set to by default.
pub const PORT: u16 = 1_700;
/// The most a UDP datagram carries over IPv4.
pub const DATAGRAM_BYTES_MAX: usize = 65_507;

const PUSH_DATA: u8 = 0;
const PUSH_ACK: u8 = 1;
const PULL_DATA: u8 = 2;
const PULL_RESP: u8 = 3;
const PULL_ACK: u8 = 4;
const TX_ACK: u8 = 5;
/// Version, token, identifier, EUI.
const HEADER_BYTES: usize = 12;

#[derive(Clone, Debug, PartialEq)]
pub struct Datagram {
    pub version: u8,
    pub token: [u8; 2],
    pub gateway: Eui,
    pub body: Body,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Frames heard, and what of the datagram was no frame to be used.
    Push { frames: Vec<GatewayFrame>, dropped: Dropped, stat: Option<Stat> },
    /// Keeps the way to the gateway open.
    Pull,
    /// What became of the answer with this datagram's token; an error means it will not be sent.
    TxAck(Result<(), TxError>),
}

/// What a gateway says of itself since its last report.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stat {
    /// Heard; of them with a good CRC; forwarded.
    pub heard: Option<u32>,
    pub heard_ok: Option<u32>,
    pub forwarded: Option<u32>,
    /// Per cent of its datagrams that were acknowledged.
    pub acknowledged_percent: Option<f64>,
    pub sent: Option<u32>,
    pub celsius: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatagramError {
    #[error("datagram of {0} bytes is shorter than its header")]
    Short(usize),
    #[error("protocol version {0}, not 1 or 2")]
    Version(u8),
    #[error("datagram of kind {0}, which no gateway sends")]
    Kind(u8),
}

/// Why a gateway does not send. Whatever it is, the second window is worth a try.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TxError {
    TooLate,
    TooEarly,
    CollisionPacket,
    CollisionBeacon,
    TxFreq,
    TxPower,
    GpsUnlocked,
    /// As the gateway names it, at most 32 characters.
    Other(String),
}

impl TxError {
    pub fn as_str(&self) -> &str {
        match self {
            TxError::TooLate => "TOO_LATE",
            TxError::TooEarly => "TOO_EARLY",
            TxError::CollisionPacket => "COLLISION_PACKET",
            TxError::CollisionBeacon => "COLLISION_BEACON",
            TxError::TxFreq => "TX_FREQ",
            TxError::TxPower => "TX_POWER",
            TxError::GpsUnlocked => "GPS_UNLOCKED",
            TxError::Other(name) => name,
        }
    }

    /// For counters: whatever gateways make up is one.
    pub fn name(&self) -> &str {
        match self {
            TxError::Other(_) => "other",
            known => known.as_str(),
        }
    }

    fn parse(name: &str) -> Self {
        match name {
            "TOO_LATE" => TxError::TooLate,
            "TOO_EARLY" => TxError::TooEarly,
            "COLLISION_PACKET" => TxError::CollisionPacket,
            "COLLISION_BEACON" => TxError::CollisionBeacon,
            "TX_FREQ" => TxError::TxFreq,
            "TX_POWER" => TxError::TxPower,
            "GPS_UNLOCKED" => TxError::GpsUnlocked,
            other => TxError::Other(other.chars().filter(|c| !c.is_control()).take(32).collect()),
        }
    }

    /// What to look at.
    pub fn remedy(&self) -> &'static str {
        match self {
            TxError::TooLate => "the hub or the way to the gateway is too slow",
            TxError::TooEarly => "the gateway's counter jumped, or the answer was for another gateway",
            TxError::CollisionPacket | TxError::CollisionBeacon => "the gateway was sending something else",
            TxError::TxFreq => "the gateway may not send there; check its region",
            TxError::TxPower => "the gateway has no such power; lower the hub's eirp_dbm_max",
            TxError::GpsUnlocked => "the gateway has lost its GNSS",
            TxError::Other(_) => "see the gateway's own log",
        }
    }
}

/// Reads what a gateway sent; `at` is the time it came in. Frames that cannot be used are counted and do not cost the others.
pub fn parse(bytes: &[u8], at: MonoMs) -> Result<Datagram, DatagramError> {
    let (Some(header), rest) = (bytes.get(..HEADER_BYTES), bytes.get(HEADER_BYTES..).unwrap_or_default())
    else {
        return Err(DatagramError::Short(bytes.len()));
    };
    let version = header[0];
    if !matches!(version, 1 | 2) {
        return Err(DatagramError::Version(version));
    }
    let gateway = Eui(header[4..].try_into().expect("a header has eight bytes of EUI"));
    let body = match header[3] {
        PUSH_DATA => rxpk::push(rest, gateway, at),
        PULL_DATA => Body::Pull,
        TX_ACK => Body::TxAck(tx_ack(rest)),
        kind => return Err(DatagramError::Kind(kind)),
    };
    Ok(Datagram { version, token: [header[1], header[2]], gateway, body })
}

impl Datagram {
    /// What to send back at once.
    pub fn ack(&self) -> Option<[u8; 4]> {
        let kind = match self.body {
            Body::Push { .. } => PUSH_ACK,
            Body::Pull => PULL_ACK,
            Body::TxAck(_) => return None,
        };
        Some([self.version, self.token[0], self.token[1], kind])
    }
}

/// The order to send a downlink in a window, in the protocol version the gateway speaks. `token` comes back in its TX_ACK (in
/// version 1 there is none). `None` if the frame was not heard by a gateway of this protocol.
pub fn pull_resp(
    version: u8,
    token: [u8; 2],
    downlink: &Downlink,
    window: &Window,
    antenna_gain_dbi: i8,
) -> Option<Vec<u8>> {
    let Context::Udp { tmst } = downlink.context else {
        return None;
    };
    let mut txpk = json!({
        "imme": false,
        "tmst": tmst_after(tmst, window.delay_ms),
        "freq": f64::from(window.hz) / 1e6,
        "rfch": 0,
        "powe": window.eirp_dbm.saturating_sub(antenna_gain_dbi),
        // Devices listen with inverted polarity, so that they do not hear each other.
        "ipol": true,
        "ncrc": true,
        "size": downlink.phy.len(),
        "data": rxpk::encode(&downlink.phy),
    });
    match window.rate {
        DataRate::Lora { .. } => {
            txpk["modu"] = json!("LORA");
            txpk["datr"] = json!(window.rate.to_string());
            txpk["codr"] = json!("4/5");
        }
        DataRate::Fsk { bps } => {
            txpk["modu"] = json!("FSK");
            txpk["datr"] = json!(bps);
            txpk["fdev"] = json!(bps / 2);
        }
    }
    let mut datagram = vec![version, token[0], token[1], PULL_RESP];
    datagram.extend(json!({ "txpk": txpk }).to_string().into_bytes());
    Some(datagram)
}

/// The gateway's counter `delay_ms` later; it wraps every 71.6 minutes.
pub fn tmst_after(tmst: u32, delay_ms: u32) -> u32 {
    tmst.wrapping_add(delay_ms.wrapping_mul(1_000))
}

/// An empty body, or one that cannot be read, is a yes, as in the protocol's first versions; so is a warning: it was sent.
fn tx_ack(bytes: &[u8]) -> Result<(), TxError> {
    let error = rxpk::json(bytes).and_then(|json: Value| {
        let name = json.get("txpk_ack")?.get("error")?.as_str()?.to_ascii_uppercase();
        (name != "NONE").then_some(name)
    });
    error.map_or(Ok(()), |name| Err(TxError::parse(&name)))
}
