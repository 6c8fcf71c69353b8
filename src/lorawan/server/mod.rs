//! The network server itself: [`Lns`].

mod air;
mod data;
mod event;
mod join;
mod pairing;
mod send;

use std::collections::{BTreeMap, BTreeSet};

pub use event::{Event, Received, Refusal, Refused, Step, Unusable, Uplink};
pub use pairing::{JoinRecord, JoinTrouble, STRANGERS_MAX};
pub use send::{Sealed, TX_LEAD_MS, Withheld};

use super::duty::Duty;
use super::gateway::{Downlink, GatewayFrame, Window};
use super::ids::{DevAddr, Eui};
use super::phy::{self, Uplink as PhyUplink};
use super::region::Region;
use super::session::{Activation, Device, SessionChange};
use crate::domain::{MonoMs, UnixMs};
use air::{Air, Whose};
use pairing::Pairing;

/// Devices of one hub; five times the largest kitchen that was planned for.
pub const DEVICES_MAX: usize = 1_024;
/// A device is asked for its battery once a day, and if the answer was lost once an hour.
const STATUS_EVERY_MS: i64 = 24 * 3_600_000;
const STATUS_AGAIN_MS: i64 = 3_600_000;

#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub region: Region,
    /// Seconds from an uplink to the first window, 1..=15, told in the join-accept. 1 is what personalised devices use;
    /// a slow disk may want more.
    pub rx1_delay_s: u8,
    /// dBm EIRP the gateways can do; what the region allows is never exceeded.
    pub eirp_dbm_max: i8,
    /// Set data rates and powers.
    pub adr: bool,
    /// Anything that differs between hubs: neighbours should not hand out the same addresses.
    pub address_seed: u64,
}

/// The present instant.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub mono: MonoMs,
    /// Wall time, only while it is trusted: it is told to devices.
    pub wall: Option<UnixMs>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    #[error("{DEVICES_MAX} devices are the most one hub serves")]
    TooMany,
}

/// The state of the network server. It holds the devices; what of them must outlive it leaves by [`Sealed::changes`] and
/// [`Lns::take_lagging`].
#[derive(Debug)]
pub struct Lns {
    config: Config,
    devices: BTreeMap<Eui, Device>,
    addresses: BTreeMap<DevAddr, BTreeSet<Eui>>,
    air: Air,
    pairing: Pairing,
    duty: Duty,
    lagging: BTreeSet<Eui>,
    status: BTreeMap<Eui, StatusAsked>,
}

/// When a device was last asked for its battery.
#[derive(Clone, Copy, Debug)]
struct StatusAsked {
    at: MonoMs,
    is_answered: bool,
}

impl Lns {
    /// `devices` as the store has them; those beyond [`DEVICES_MAX`] are left out, and returned.
    pub fn new(config: Config, devices: Vec<Device>) -> (Self, Vec<Device>) {
        let mut lns = Self {
            config: Config { rx1_delay_s: config.rx1_delay_s.clamp(1, 15), ..config },
            devices: BTreeMap::new(),
            addresses: BTreeMap::new(),
            air: Air::default(),
            pairing: Pairing::default(),
            duty: Duty::default(),
            lagging: BTreeSet::new(),
            status: BTreeMap::new(),
        };
        let mut left_out = Vec::new();
        for device in devices {
            if lns.put_device(device.clone()).is_err() {
                left_out.push(device);
            }
        }
        (lns, left_out)
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Adds a device or replaces it.
    pub fn put_device(&mut self, device: Device) -> Result<(), DeviceError> {
        let dev_eui = device.dev_eui;
        if self.devices.len() >= DEVICES_MAX && !self.devices.contains_key(&dev_eui) {
            return Err(DeviceError::TooMany);
        }
        self.remove_device(dev_eui);
        self.pairing.is_known_now(dev_eui);
        if let Some(session) = &device.session {
            // Frames that other keys did not sign say nothing about these.
            self.pairing.forget_unsigned(session.dev_addr);
        }
        self.devices.insert(dev_eui, device);
        self.index(dev_eui);
        Ok(())
    }

    pub fn remove_device(&mut self, dev_eui: Eui) -> Option<Device> {
        let device = self.devices.remove(&dev_eui);
        self.index(dev_eui);
        self.lagging.remove(&dev_eui);
        self.status.remove(&dev_eui);
        self.pairing.forget(dev_eui);
        device
    }

    /// It uses the key it was given: what it had before is forgotten.
    pub fn settle_key(&mut self, dev_eui: Eui) {
        if let Some(device) = self.devices.remove(&dev_eui) {
            self.devices.insert(dev_eui, device.with_former_key());
        }
    }

    pub fn device(&self, dev_eui: Eui) -> Option<&Device> {
        self.devices.get(&dev_eui)
    }

    pub fn devices(&self) -> impl Iterator<Item = &Device> {
        self.devices.values()
    }

    /// Lets a device use DevNonces again it has used before (it was reset, or got a new battery). Whoever recorded one of
    /// its joins can then have it answered again, which harms nothing but the next session.
    pub fn flush_dev_nonces(&mut self, dev_eui: Eui) -> Option<SessionChange> {
        let device = self.devices.get_mut(&dev_eui)?;
        device.join.dev_nonces.clear();
        self.pairing.forget(dev_eui);
        Some(SessionChange::Join { dev_eui, join: device.join.clone() })
    }

    /// Takes in a frame. Call [`Lns::poll`] at [`Lns::deadline`].
    pub fn receive(&mut self, frame: GatewayFrame) -> Received {
        self.collect(frame, true)
    }

    /// The same with one that a gateway may not have heard at all ([`GatewayFrame::unvouched`]): whoever makes up many of a
    /// known device's address takes no place of others.
    pub fn receive_unvouched(&mut self, frame: GatewayFrame) -> Received {
        self.collect(frame, false)
    }

    fn collect(&mut self, frame: GatewayFrame, is_vouched: bool) -> Received {
        let (lowest, highest) = self.config.region.band_hz();
        if !(lowest..=highest).contains(&frame.reception.hz) {
            return Received::Refused(Unusable::Band(frame.reception.hz));
        }
        match phy::parse(&frame.phy) {
            Ok(uplink) => {
                let is_known = match &uplink {
                    PhyUplink::Join(request) => self.devices.contains_key(&request.dev_eui),
                    PhyUplink::Data(data) => self.addresses.contains_key(&data.dev_addr),
                };
                let whose = if is_known && is_vouched { Whose::Known } else { Whose::Strange };
                self.air.receive(uplink, whose, frame)
            }
            Err(error) => Received::Refused(error.into()),
        }
    }

    /// How many gateways may bring frames: once all of them have heard one, it is not waited for longer.
    pub fn expect_gateways(&mut self, gateways: usize) {
        self.air.expect_gateways(gateways);
    }

    /// When the next frame will have been collected.
    pub fn deadline(&self) -> Option<MonoMs> {
        self.air.deadline()
    }

    /// Judges what was collected by now, in the order it was first heard.
    pub fn poll(&mut self, now: Now) -> Vec<Step> {
        self.air
            .collected(now.mono)
            .into_iter()
            .map(|(uplink, heard)| match uplink {
                PhyUplink::Join(request) => self.join(&request, heard, now),
                PhyUplink::Data(frame) => self.data(&frame, heard, now),
            })
            .collect()
    }

    /// The next chance to send, counted against the gateway's time; `None` when there is none any more. Ask again when the
    /// gateway could not use it (too late, a collision, a frequency or power it does not have).
    pub fn window(&mut self, downlink: &mut Downlink, now: MonoMs) -> Option<Window> {
        send::next_window(&mut self.duty, self.config.region, downlink, now)
    }

    /// The same for a gateway that does its own timing and is given all windows at once (Basics Station).
    pub fn windows(&mut self, downlink: &mut Downlink, now: MonoMs) -> Vec<Window> {
        send::all_windows(&mut self.duty, self.config.region, downlink, now)
    }

    /// Sessions whose counters or link changed since the last call and were not in a [`Sealed`]. Writing them every few
    /// seconds is enough: a counter that is behind after a power cut re-admits frames that the log knows already.
    pub fn take_lagging(&mut self) -> Vec<SessionChange> {
        let lagging = std::mem::take(&mut self.lagging);
        lagging
            .into_iter()
            .filter_map(|dev_eui| {
                let session = self.devices.get(&dev_eui)?.session.clone()?;
                Some(SessionChange::Current { dev_eui, session: Box::new(session) })
            })
            .collect()
    }

    /// The last frame of a device could not be kept: its repetition is a new frame, not one that only needs another answer.
    pub fn take_back(&mut self, dev_eui: Eui, f_cnt: u32) {
        let Some(session) = self.devices.get_mut(&dev_eui).and_then(|device| device.session.as_mut()) else {
            return;
        };
        if session.f_cnt_up == Some(f_cnt) {
            session.f_cnt_up = f_cnt.checked_sub(1);
            self.lagging.insert(dev_eui);
        }
    }

    /// Goes ahead in everything that must never repeat itself, under a new epoch; write the changes before anything is sent.
    pub fn jump_ahead(&mut self) -> Vec<SessionChange> {
        let mut changes = Vec::new();
        for device in self.devices.values_mut() {
            device.jump_ahead();
            let dev_eui = device.dev_eui;
            if matches!(device.activation, Activation::Otaa { .. }) {
                changes.push(SessionChange::Join { dev_eui, join: device.join.clone() });
            }
            if let Some(session) = &device.session {
                changes.push(SessionChange::Current { dev_eui, session: Box::new(session.clone()) });
            }
            if let Some(session) = &device.pending {
                changes.push(SessionChange::Pending { dev_eui, session: Box::new(session.clone()) });
            }
        }
        changes
    }

    /// The joins heard of one device, known or not, since the hub started.
    pub fn joins_of(&self, dev_eui: Eui) -> Option<&JoinRecord> {
        self.pairing.of(dev_eui)
    }

    /// Data frames under this device's address that were signed with no key known here: of a personalised device that is
    /// never heard, they say that its NwkSKey is wrong.
    pub fn wrong_mics_of(&self, dev_eui: Eui) -> u32 {
        let sessions = self.devices.get(&dev_eui).into_iter();
        let sessions = sessions.flat_map(|device| device.session.iter().chain(device.pending.iter()));
        sessions.map(|session| self.pairing.unsigned(session.dev_addr)).sum()
    }

    /// Devices that want to join and are not known, the latest first.
    pub fn strangers(&self) -> Vec<(Eui, &JoinRecord)> {
        self.pairing.strangers()
    }

    /// Brings the addresses of a device up to date.
    fn index(&mut self, dev_eui: Eui) {
        self.addresses.retain(|_, holders| {
            holders.remove(&dev_eui);
            !holders.is_empty()
        });
        let Some(device) = self.devices.get(&dev_eui) else {
            return;
        };
        for session in device.session.iter().chain(device.pending.iter()) {
            self.addresses.entry(session.dev_addr).or_default().insert(dev_eui);
        }
    }
}
