//! What a gateway hands over and what it is handed, whatever protocol it speaks.

use super::ids::Eui;
use super::phy;
use super::rate::DataRate;
use super::udp::{Stat, TxError};
use crate::domain::{MonoMs, UnixMs};

/// One frame as one gateway heard it.
#[derive(Clone, Debug, PartialEq)]
pub struct GatewayFrame {
    /// The PHY payload, header to MIC.
    pub phy: Vec<u8>,
    pub reception: Reception,
}

impl GatewayFrame {
    /// Without what only the gateway itself can say: how to answer by it, how well it heard, what time it was. None of a
    /// join, which is of no use unanswered and would make the gateway's own copy a late one.
    pub fn unvouched(self) -> Option<Self> {
        let Self { phy, reception } = self;
        let reception =
            Reception { rssi_dbm: None, snr_tenths: None, context: None, gnss: None, ..reception };
        (!phy::is_join(&phy)).then_some(Self { phy, reception })
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Reception {
    pub gateway: Eui,
    /// When the hub had it. The windows are counted from here; a gateway's way to the hub makes them look later than they
    /// are by a few milliseconds, the gateway itself counts by `context`.
    pub at: MonoMs,
    pub hz: u32,
    pub rate: DataRate,
    pub rssi_dbm: Option<i32>,
    /// Tenths of a dB. FSK has none.
    pub snr_tenths: Option<i16>,
    /// What the gateway needs to answer in time; without it this gateway can only listen.
    pub context: Option<Context>,
    /// By GNSS, if the gateway has it.
    pub gnss: Option<UnixMs>,
    /// The gateway kept it for a while.
    pub is_delayed: bool,
}

/// dB; the registers of the radios end at 32. Who says more than this says nothing.
const SNR_DB_MAX: f64 = 128.0;

/// What a gateway says of a frame's signal, where a radio can have measured it: the network reckons with it.
pub(super) fn snr_tenths(db: f64) -> Option<i16> {
    (db.abs() <= SNR_DB_MAX).then(|| (db * 10.0).round() as i16)
}

/// The gateway's own idea of when it heard the frame, handed back as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// Semtech UDP: its microsecond counter, which wraps every 71.6 minutes.
    Udp {
        tmst: u32,
    },
    Station {
        xtime: i64,
        rctx: i64,
    },
}

/// One chance to transmit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// 1 or 2.
    pub number: u8,
    /// From the end of the uplink, by the gateway's clock.
    pub delay_ms: u32,
    pub hz: u32,
    /// The region's number for `rate`.
    pub dr: u8,
    pub rate: DataRate,
    /// dBm EIRP; the gateway's antenna gain goes off this.
    pub eirp_dbm: i8,
}

/// An answer to a device, on its way to a gateway. It is obtained from a [`Sealed`](super::server::Sealed) once what it
/// relies on is in the store, and then asked for its windows through [`Lns::window`](super::server::Lns::window).
#[derive(Clone, Debug, PartialEq)]
pub struct Downlink {
    pub dev_eui: Eui,
    pub gateway: Eui,
    pub context: Context,
    pub phy: Vec<u8>,
    /// When the uplink it answers was heard.
    pub heard_at: MonoMs,
    /// The windows left, the next one first.
    pub(super) windows: Vec<Window>,
}

/// What whoever speaks to the gateways tells the network server.
#[derive(Clone, Debug, PartialEq)]
pub enum GatewayEvent {
    /// A listed gateway is there, with what it heard and what it says of itself.
    Heard { gateway: Eui, frames: Vec<GatewayFrame>, stat: Option<Stat>, at: MonoMs },
    /// Frames in the name of a listed gateway, from an address that is not its own: good for what devices signed, and for
    /// nothing that the gateway alone can say.
    Unvouched { gateway: Eui, frames: Vec<GatewayFrame> },
    /// One that is not listed would like to bring frames.
    Stranger { gateway: Eui, at: MonoMs },
    /// What became of the order with this token.
    Sent { token: u16, result: Result<(), TxError> },
}

/// A downlink for a gateway to send in a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Comes back in [`GatewayEvent::Sent`].
    pub token: u16,
    pub downlink: Downlink,
    pub window: Window,
    /// The window after it, for a gateway that chooses by itself (Basics Station).
    pub spare: Option<Window>,
}

impl Downlink {
    /// Whether it is a Basics Station that sends it, and not a packet forwarder.
    pub fn is_for_station(&self) -> bool {
        matches!(self.context, Context::Station { .. })
    }
}
