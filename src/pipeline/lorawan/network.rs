//! The network server, its gateways and the answers on their way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Result;
use rusqlite::Transaction;
use tokio::sync::{mpsc, watch};

use crate::counters::Counters;
use crate::domain::{MonoMs, UnixMs};
use crate::lorawan::gateway::{Downlink, GatewayFrame, Order};
use crate::lorawan::ids::Eui;
use crate::lorawan::server::{Config, Lns, Received, Sealed};
use crate::lorawan::session::Device;
use crate::lorawan::udp::Stat;
use crate::pipeline::Core;
use crate::pipeline::settings::Mode;
use crate::store::lorawan::{self as rows, GatewayRow};

use super::radio::Radio;

/// Orders on their way to a task that speaks to gateways. A sub-band holds eight channels, and an answer is of use for two seconds.
const ORDERS_QUEUED_MAX: usize = 64;
/// Answers that wait for a commit; a disk that refuses for long must not keep more.
const SEALED_MAX: usize = 256;
/// A gateway says within its window what became of an order: 6 s after a join, and its way back.
const SENT_MS: i64 = 7_000;
/// Gateways that are heard and not listed; a kitchen has neighbours, and anybody can invent one.
const STRANGERS_MAX: usize = 16;
/// Gateways of one hub.
pub(super) const GATEWAYS_MAX: usize = 64;

/// Gateways whose frames are taken.
pub type Listed = Arc<BTreeSet<Eui>>;

/// What wall time is ahead of the monotonic one, in milliseconds; None while it is not trusted.
pub type WallOffset = Option<i64>;

/// The ends of the tasks that speak to the gateways.
pub(crate) struct Ends {
    /// For packet forwarders.
    pub orders: mpsc::Receiver<Order>,
    /// For Basics Stations.
    pub station_orders: mpsc::Receiver<Order>,
    pub listed: watch::Receiver<Listed>,
    pub wall: watch::Receiver<WallOffset>,
}

/// A listed gateway.
pub(super) struct Gateway {
    pub row: GatewayRow,
    pub contact: Option<MonoMs>,
    pub radio: Radio,
}

impl Gateway {
    pub fn new(row: GatewayRow) -> Self {
        Self { row, contact: None, radio: Radio::default() }
    }
}

/// The state of the network server and of those it speaks to.
pub struct Network {
    /// The source's configured name.
    pub(super) port: String,
    pub(in crate::pipeline) lns: Lns,
    pub(super) gateways: BTreeMap<Eui, Gateway>,
    pub(super) strangers: BTreeMap<Eui, MonoMs>,
    pub(super) lagged: MonoMs,
    sealed: Vec<Sealed>,
    /// Orders by token, with when they were given.
    sent: BTreeMap<u16, (Downlink, MonoMs)>,
    next_token: u16,
    orders: Option<mpsc::Sender<Order>>,
    station_orders: Option<mpsc::Sender<Order>>,
    listed: watch::Sender<Listed>,
    wall: watch::Sender<WallOffset>,
}

impl Network {
    /// Notes that a listed gateway is there; false: it is not listed (any more).
    pub(super) fn note_contact(
        &mut self,
        gateway: Eui,
        frames: &[GatewayFrame],
        stat: Option<&Stat>,
        at: MonoMs,
    ) -> bool {
        let Some(known) = self.gateways.get_mut(&gateway) else { return false };
        known.contact = Some(at);
        known.row.frames += frames.len() as u64;
        known.radio.hear(frames, stat);
        true
    }

    pub(super) fn receive(&mut self, frames: Vec<GatewayFrame>, is_vouched: bool, counters: &Counters) {
        for frame in frames {
            let received =
                if is_vouched { self.lns.receive(frame) } else { self.lns.receive_unvouched(frame) };
            let name = match received {
                Received::Collecting => "heard",
                Received::AlsoHeard => "heard_twice",
                Received::Ghost => "ghost",
                Received::Late => "late",
                Received::Refused(why) => why.name(),
            };
            counters.add("lorawan.frames", name, 1);
        }
    }

    /// True the first time.
    pub(super) fn note_stranger(&mut self, gateway: Eui, at: MonoMs) -> bool {
        let is_new = self.strangers.insert(gateway, at).is_none();
        if self.strangers.len() > STRANGERS_MAX {
            let oldest = self.strangers.iter().min_by_key(|(_, at)| **at).map(|(eui, _)| *eui);
            oldest.and_then(|oldest| self.strangers.remove(&oldest));
        }
        is_new
    }

    pub(super) fn note_refusal(&mut self, gateway: Eui) {
        if let Some(known) = self.gateways.get_mut(&gateway) {
            known.row.refused_answers += 1;
        }
    }

    pub(super) fn seal(&mut self, sealed: Sealed) {
        if sealed.is_urgent() && self.sealed.len() < SEALED_MAX {
            self.sealed.push(sealed);
        }
    }

    pub(super) fn take_sealed(&mut self) -> Vec<Sealed> {
        std::mem::take(&mut self.sealed)
    }

    /// Orders a downlink for its next window, if there is one.
    pub(super) fn send(&mut self, mut downlink: Downlink, now: MonoMs, counters: &Counters) {
        let dev_eui = downlink.dev_eui;
        let is_for_station = downlink.is_for_station();
        let mut windows = if is_for_station {
            self.lns.windows(&mut downlink, now)
        } else {
            self.lns.window(&mut downlink, now).into_iter().collect()
        }
        .into_iter();
        let Some(window) = windows.next() else {
            counters.add("lorawan.withheld", "no_window", 1);
            tracing::warn!("{dev_eui} gets no answer: no window is left");
            return;
        };
        let token = self.next_token;
        self.next_token = token.wrapping_add(1);
        let gateway = downlink.gateway;
        self.sent.insert(token, (downlink.clone(), now));
        let order = Order { token, downlink, window, spare: windows.next() };
        let orders = if is_for_station { &self.station_orders } else { &self.orders };
        if orders.as_ref().is_some_and(|orders| orders.try_send(order).is_ok()) {
            counters.add("lorawan.answers", "", 1);
            if let Some(known) = self.gateways.get_mut(&gateway) {
                known.row.answers += 1;
            }
        } else {
            self.sent.remove(&token);
            counters.add("lorawan.withheld", "queue_full", 1);
        }
    }

    /// The downlink of a token that came back.
    pub(super) fn settle(&mut self, token: u16) -> Option<Downlink> {
        self.sent.remove(&token).map(|(downlink, _)| downlink)
    }

    /// Forwarders of the protocol's first version never say what became of an order.
    pub(super) fn forget_sent(&mut self, now: MonoMs) {
        if !self.sent.is_empty() {
            self.sent.retain(|_, (_, at)| now.0 - at.0 < SENT_MS);
        }
    }

    /// Tells who speaks to the gateways which of them are listed.
    pub(super) fn tell_listed(&mut self) {
        let listed: BTreeSet<Eui> = self.gateways.keys().copied().collect();
        self.lns.expect_gateways(listed.len());
        self.strangers.retain(|eui, _| !listed.contains(eui));
        self.listed.send_replace(Arc::new(listed));
    }

    /// Tells who speaks to the gateways the time, while it is trusted.
    pub(super) fn tell_time(&mut self, now: MonoMs, wall: Option<UnixMs>) {
        let offset = wall.map(|wall| wall.0 - now.0);
        self.wall.send_if_modified(|told| std::mem::replace(told, offset) != offset);
    }

    /// Writes counts and last contacts.
    pub(in crate::pipeline) fn save_gateways(&self, tx: &Transaction<'_>) -> Result<()> {
        for gateway in self.gateways.values() {
            rows::put_gateway(tx, &gateway.row)?;
        }
        Ok(())
    }
}

impl Core {
    /// Loads what the network server knows, if one is configured. Under a new epoch everything that must never repeat itself
    /// goes ahead and is written, before anything can be sent.
    pub(in crate::pipeline) fn open_network(&mut self) -> Result<()> {
        let Some(section) = self.settings.lorawan.clone() else { return Ok(()) };
        let Some(region) = section.plan() else { return Ok(()) };
        let seed = u64::from_be_bytes(self.epoch.epoch.0[..8].try_into().expect("an epoch has 16 bytes"));
        let config = Config {
            region,
            rx1_delay_s: section.rx1_delay_s,
            eirp_dbm_max: section.eirp_dbm_max,
            adr: section.adr,
            address_seed: seed,
        };
        let (lns, _) = Lns::new(config, Vec::new());
        let now = self.clock.mono();
        self.network = Some(Box::new(Network {
            port: section.name.clone(),
            lns,
            gateways: BTreeMap::new(),
            strangers: BTreeMap::new(),
            lagged: now,
            sealed: Vec::new(),
            sent: BTreeMap::new(),
            next_token: u16::from_be_bytes(self.random_bytes()),
            orders: None,
            station_orders: None,
            listed: watch::Sender::default(),
            wall: watch::Sender::default(),
        }));
        self.load_devices()?;
        self.load_gateways(&section.gateways)?;
        self.load_central_sensors()
    }

    /// None: no network server.
    pub(crate) fn connect_gateways(&mut self) -> Option<Ends> {
        let network = self.network.as_mut()?;
        let (forwarders, orders) = mpsc::channel(ORDERS_QUEUED_MAX);
        let (stations, station_orders) = mpsc::channel(ORDERS_QUEUED_MAX);
        (network.orders, network.station_orders) = (Some(forwarders), Some(stations));
        let (listed, wall) = (network.listed.subscribe(), network.wall.subscribe());
        Some(Ends { orders, station_orders, listed, wall })
    }

    /// A new epoch began while the hub runs.
    pub(in crate::pipeline) fn jump_ahead(&mut self) -> Result<()> {
        let Some(network) = &mut self.network else { return Ok(()) };
        network.lns.jump_ahead();
        let (devices, epoch_no): (Vec<Device>, u32) =
            (network.lns.devices().cloned().collect(), self.epoch.no);
        self.store
            .write(|tx| devices.iter().try_for_each(|device| rows::put_device(tx, device, epoch_no)))?;
        Ok(())
    }

    fn load_devices(&mut self) -> Result<()> {
        let (devices, unreadable) = rows::devices(self.store.connection())?;
        for error in unreadable {
            tracing::error!("a LoRaWAN device cannot be read and must be paired again: {error}");
        }
        let epoch_no = self.epoch.no;
        let mut ahead = Vec::new();
        let Some(network) = &mut self.network else { return Ok(()) };
        for (mut device, written_by) in devices {
            if written_by != epoch_no {
                device.jump_ahead();
                ahead.push(device.clone());
            }
            let dev_eui = device.dev_eui;
            if let Err(error) = network.lns.put_device(device) {
                tracing::error!("LoRaWAN device {dev_eui} is left out: {error}");
            }
        }
        if !ahead.is_empty() && self.settings.mode != Mode::Look {
            self.store
                .write(|tx| ahead.iter().try_for_each(|device| rows::put_device(tx, device, epoch_no)))?;
        }
        Ok(())
    }

    /// Those added by command stay; the configuration's come and go with it.
    fn load_gateways(&mut self, configured: &[Eui]) -> Result<()> {
        let stored = rows::gateways(self.store.connection())?;
        let Some(network) = &mut self.network else { return Ok(()) };
        for mut row in stored {
            let is_named = configured.contains(&row.eui);
            if row.is_configured && !is_named {
                continue;
            }
            row.is_configured |= is_named;
            network.gateways.insert(row.eui, Gateway::new(row));
        }
        for eui in configured.iter().take(GATEWAYS_MAX) {
            let new = || Gateway::new(GatewayRow::new(*eui, None, true));
            network.gateways.entry(*eui).or_insert_with(new);
        }
        network.tell_listed();
        let kept: BTreeSet<Eui> = network.gateways.keys().copied().collect();
        if self.settings.mode == Mode::Look {
            return Ok(());
        }
        self.store.write(|tx| {
            for row in rows::gateways(tx)? {
                if !kept.contains(&row.eui) {
                    rows::remove_gateway(tx, row.eui)?;
                }
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Brings the last contacts into the rows, in wall time.
    pub(in crate::pipeline) fn date_contacts(&mut self) {
        let (segment, times) = (self.segment, self.times.clone());
        let Some(network) = &mut self.network else { return };
        for gateway in network.gateways.values_mut() {
            if let Some(mono) = gateway.contact {
                gateway.row.last_contact = Some(UnixMs(times.of(crate::domain::Stamp { segment, mono }).ms));
            }
        }
    }
}
