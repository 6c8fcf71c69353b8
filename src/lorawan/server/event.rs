//! What the network server tells: events, refusals, and the readings they hold.

use super::send::{Sealed, Withheld};
use crate::codec::{Measurement, Quantity};
use crate::domain::{MonoMs, Probe, Source, UnixMs};
use crate::frame::{AckToken, Frame, Identity, Payload, Sender};
use crate::lorawan::gateway::Reception;
use crate::lorawan::ids::{DevAddr, Eui};
use crate::lorawan::mac::Battery;
use crate::lorawan::phy::PhyError;

/// What became of a frame as it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// New; [`Lns::poll`](super::Lns::poll) will have it when the other gateways had their time.
    Collecting,
    /// Another gateway heard it too.
    AlsoHeard,
    /// The same gateway once more, on another channel: the stronger one counts.
    Ghost,
    /// After its time.
    Late,
    Refused(Unusable),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error(transparent)]
    Phy(#[from] PhyError),
    #[error("{0} Hz is outside the region's band; check the region of the hub and the gateway")]
    Band(u32),
    #[error("more frames at once than can be looked at")]
    Overload,
}

/// What one frame led to. Write `event` and `sealed.changes()` in one transaction, then send what `sealed.committed()` gives.
#[derive(Debug)]
pub struct Step {
    pub event: Event,
    pub sealed: Sealed,
    /// The device wanted an answer and gets none.
    pub withheld: Option<Withheld>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Uplink(Box<Uplink>),
    /// The last frame once more, to be answered again but not to be read again.
    Repeated {
        dev_eui: Eui,
        f_cnt: u32,
    },
    /// A join with the right key. Not yet a paired device: that is [`Uplink::activated`].
    JoinAnswered {
        dev_eui: Eui,
        dev_addr: DevAddr,
    },
    Refused(Refused),
}

/// A new frame of a known device, its MIC checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Uplink {
    pub dev_eui: Eui,
    pub dev_addr: DevAddr,
    /// All 32 bits.
    pub f_cnt: u32,
    pub is_confirmed: bool,
    /// Port (1..=255) and plain payload; `None` for a frame of the network's own.
    pub payload: Option<(u8, Vec<u8>)>,
    /// The first frame of a new session: the device is joined.
    pub activated: bool,
    /// The device started to count again (a personalised one that may).
    pub was_reset: bool,
    /// Counted by the device since the frame before and never heard.
    pub lost: u32,
    /// Tenths of a dB above what the data rate needs.
    pub margin_tenths: Option<i16>,
    pub status: Option<(Battery, i8)>,
    /// Bytes of MAC commands at the end that were not understood.
    pub commands_unread: usize,
    /// Who heard it, the best first; at least one.
    pub heard: Vec<Reception>,
}

/// A frame that is no reading.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    pub why: Refusal,
    pub dev_eui: Option<Eui>,
    pub dev_addr: Option<DevAddr>,
    pub heard: Vec<Reception>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    #[error("no device here has this address: a neighbour's, or a device that must join again")]
    UnknownAddress,
    #[error("no device with this address signed the frame")]
    WrongMic,
    #[error(
        "the counter is behind the last frame's: recorded and played again, or a device that started anew"
    )]
    CounterBehind,
    #[error("the device is not known here; add it with its key")]
    UnknownDevice,
    #[error("the device is added as personalised (ABP) but wants to join")]
    NotOtaa,
    #[error("the join was signed with another key; check the AppKey")]
    WrongKey,
    #[error("the DevNonce was used before; flush the device's nonces if it was reset")]
    NonceReused,
    #[error("the device used up all 16,777,215 JoinNonces")]
    NonceExhausted,
    #[error("no gateway could have answered the join in time")]
    JoinUnanswered,
}

impl Uplink {
    /// When the first gateway's copy came in.
    pub fn at(&self) -> MonoMs {
        self.heard.iter().map(|reception| reception.at).min().unwrap_or_default()
    }

    /// By GNSS, of a frame that no gateway brought at once; else the hub knows it better than a gateway that may be wrong, and
    /// whose readings would then be taken for late ones, which nobody is alarmed by.
    fn time_told(&self) -> Option<UnixMs> {
        let is_fresh = self.heard.iter().any(|reception| reception.context.is_some());
        if is_fresh { None } else { self.heard.iter().find_map(|reception| reception.gnss) }
    }

    /// What the pipeline reads: the payload, and the battery where the device told the network of it. `port` is the source's
    /// configured name; `ack` stands on the last of them, so that all are committed before the device is answered.
    pub fn frames(&self, port: &str, ack: Option<AckToken>) -> Vec<Frame> {
        let frame = |payload| Frame {
            sender: Sender {
                source: Source::Lorawan,
                port: port.to_owned(),
                address: self.dev_eui.to_string(),
                is_eui: true,
            },
            model: None,
            at: self.at(),
            network_time: self.time_told(),
            is_delayed: self.heard.iter().all(|reception| reception.is_delayed),
            payload,
            identity: Identity {
                dev_addr: Some(self.dev_addr.to_string()),
                counter: Some(self.f_cnt),
                ..Identity::default()
            },
            rssi: self.heard.first().and_then(|best| best.rssi_dbm),
            ack: None,
        };
        let binary = self
            .payload
            .as_ref()
            .map(|(f_port, bytes)| Payload::Binary { f_port: *f_port, bytes: bytes.clone() });
        let battery = self.status.and_then(|(battery, _)| match battery {
            Battery::Percent(percent) => Some(percent),
            Battery::External | Battery::Unknown => None,
        });
        let values = battery.map(|percent| {
            let quantity = Quantity::BatteryPercent(percent);
            let measurements = vec![Measurement { probe: Probe::INTERNAL, quantity, at: None }];
            Payload::Values { measurements, raw: format!("DevStatusAns battery {percent} %").into_bytes() }
        });
        let mut frames: Vec<Frame> = binary.into_iter().chain(values).map(frame).collect();
        if let Some(last) = frames.last_mut() {
            last.ack = ack;
        }
        frames
    }
}

impl Refusal {
    /// For counters.
    pub fn name(self) -> &'static str {
        match self {
            Refusal::UnknownAddress => "unknown_address",
            Refusal::WrongMic => "wrong_mic",
            Refusal::CounterBehind => "counter_behind",
            Refusal::UnknownDevice => "unknown_device",
            Refusal::NotOtaa => "not_otaa",
            Refusal::WrongKey => "wrong_key",
            Refusal::NonceReused => "nonce_reused",
            Refusal::NonceExhausted => "nonce_exhausted",
            Refusal::JoinUnanswered => "join_unanswered",
        }
    }
}

impl Unusable {
    /// For counters.
    pub fn name(self) -> &'static str {
        match self {
            Unusable::Phy(PhyError::Downlink) => "downlink_of_another",
            Unusable::Phy(PhyError::Proprietary) => "proprietary",
            Unusable::Phy(PhyError::Rejoin) => "rejoin",
            Unusable::Phy(PhyError::TooLong(_) | PhyError::Malformed) => "malformed",
            Unusable::Band(_) => "outside_band",
            Unusable::Overload => "overload",
        }
    }
}
