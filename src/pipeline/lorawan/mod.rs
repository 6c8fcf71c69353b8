//! The network server on the core's thread: what a gateway heard becomes readings, what an answer relies on is committed with
//! them, and only then does the answer leave.

mod central;
mod joining;
mod network;
mod pair;
mod radio;
mod requests;

pub(crate) use network::Ends;
pub use network::{Listed, Network, WallOffset};

use crate::domain::{DeviceNo, MonoMs, Stamp};
use crate::lorawan::gateway::GatewayEvent;
use crate::lorawan::ids::Eui;
use crate::lorawan::server::{Event, Now, Sealed, Step, Uplink, Withheld};
use crate::lorawan::udp::TxError;

use super::Core;
use super::group::Write;

/// Uplink counters that need not be written at once are written this often: what a power cut can re-admit, which the log
/// then knows as repeated.
const LAGGING_MS: i64 = 30_000;

impl Core {
    pub(super) fn hear_gateway(&mut self, event: GatewayEvent, now: MonoMs) {
        let Some(network) = &mut self.network else { return };
        match event {
            GatewayEvent::Heard { gateway, frames, stat, at } => {
                if !network.note_contact(gateway, &frames, stat.as_ref(), at) {
                    return;
                }
                network.receive(frames, true, &self.counters);
            }
            GatewayEvent::Unvouched { gateway, frames } => {
                if network.gateways.contains_key(&gateway) {
                    network.receive(frames, false, &self.counters);
                }
            }
            GatewayEvent::Stranger { gateway, at } => {
                if network.note_stranger(gateway, at) {
                    tracing::warn!(
                        "gateway {gateway} is not listed: `frostguard-hub gateways add {gateway}` takes its frames"
                    );
                }
            }
            GatewayEvent::Sent { token, result } => self.answer_was_sent(token, result, now),
        }
    }

    fn answer_was_sent(&mut self, token: u16, result: Result<(), TxError>, now: MonoMs) {
        let Some(network) = &mut self.network else { return };
        let Some(downlink) = network.settle(token) else { return };
        let Err(error) = result else { return };
        let (gateway, dev_eui) = (downlink.gateway, downlink.dev_eui);
        self.counters.add("lorawan.refused_answers", error.name(), 1);
        tracing::warn!(
            "gateway {gateway} does not answer {dev_eui} now: {} ({})",
            error.as_str(),
            error.remedy()
        );
        network.note_refusal(gateway);
        network.send(downlink, now, &self.counters);
    }

    /// Judges what was collected by now; the open group has what came of it.
    pub(super) fn judge_network(&mut self, now: MonoMs) {
        let wall = self.wall_now(now);
        let Some(network) = &mut self.network else { return };
        network.tell_time(now, wall);
        if network.lns.deadline().is_some_and(|deadline| deadline <= now) {
            for step in network.lns.poll(Now { mono: now, wall }) {
                self.take_step(step, now);
            }
        }
        let Some(network) = &mut self.network else { return };
        network.forget_sent(now);
        let is_lagging = now.0 - network.lagged.0 >= LAGGING_MS;
        if is_lagging {
            self.keep_lagging(now);
        }
    }

    /// When the network server wants to be asked, in this clock's milliseconds.
    pub(super) fn network_deadline(&self) -> Option<i64> {
        self.network.as_ref().and_then(|network| network.lns.deadline()).map(|deadline| deadline.0)
    }

    fn take_step(&mut self, step: Step, now: MonoMs) {
        let Step { event, sealed, withheld } = step;
        let mut is_stored = true;
        let dev_eui = match event {
            Event::Uplink(uplink) => {
                is_stored = self.take_uplink(&uplink, now);
                Some(uplink.dev_eui)
            }
            Event::Repeated { dev_eui, .. } => {
                self.counters.add("lorawan.frames", "repeated", 1);
                Some(dev_eui)
            }
            Event::JoinAnswered { dev_eui, dev_addr } => {
                self.counters.add("lorawan.joins", "answered", 1);
                tracing::info!("{dev_eui} may join as {dev_addr}");
                Some(dev_eui)
            }
            Event::Refused(refused) => {
                self.counters.add("lorawan.refused", refused.why.name(), 1);
                if let Some(dev_eui) = refused.dev_eui {
                    tracing::debug!("refused a frame of {dev_eui}: {}", refused.why);
                    self.look_for_trouble(dev_eui);
                }
                refused.dev_eui
            }
        };
        if let Some(withheld) = withheld {
            self.counters.add("lorawan.withheld", withheld_name(withheld), 1);
            let device = dev_eui.map_or_else(String::new, |eui| eui.to_string());
            tracing::warn!("{device} gets no answer: {withheld}");
        }
        self.keep_sealed(sealed, is_stored, now);
    }

    /// Readings of a frame whose device is known and whose MIC is right. False: the group is full and they are not kept, so
    /// that the device must repeat the frame, and it is a new one then.
    fn take_uplink(&mut self, uplink: &Uplink, now: MonoMs) -> bool {
        self.counters.add("lorawan.uplinks", "", 1);
        self.counters.add("lorawan.lost_uplinks", "", uplink.lost.into());
        let paired_now = self.complete_pairing(uplink.dev_eui) || self.admit(uplink.dev_eui);
        if uplink.activated && !paired_now {
            tracing::info!("{} joined", uplink.dev_eui);
            if let Some(device) = self.device_no(uplink.dev_eui) {
                let stamp = Stamp { segment: self.segment, mono: self.not_before(now) };
                self.group.push(Write::Joined { device, stamp });
            }
        }
        let port = self.network.as_ref().map(|network| network.port.clone()).unwrap_or_default();
        let mut is_stored = true;
        for frame in uplink.frames(&port, None) {
            is_stored &= self.hear_frame(&frame, now);
        }
        if let Some(network) = self.network.as_mut().filter(|_| !is_stored) {
            network.lns.take_back(uplink.dev_eui, uplink.f_cnt);
        }
        is_stored
    }

    /// Puts the changes into the open group; the answer waits for its commit.
    fn keep_sealed(&mut self, sealed: Sealed, is_stored: bool, now: MonoMs) {
        let is_kept =
            sealed.changes().iter().all(|change| self.group.push(Write::Session(Box::new(change.clone()))));
        if !is_stored {
            // After the changes, which hold the counter as it was before the frame was taken back.
            self.keep_lagging(now);
        }
        if !sealed.changes().is_empty() || sealed.is_urgent() {
            self.group.opened.get_or_insert(now);
        }
        if sealed.is_urgent() {
            // The device listens a second after it spoke.
            self.group.is_urgent = true;
        }
        match &mut self.network {
            Some(network) if is_kept && is_stored => network.seal(sealed),
            // What an answer relies on would be lost: the device repeats itself.
            // Nobody waits for a frame that is not answered.
            _ if !sealed.is_urgent() => {}
            _ => self.counters.add("lorawan.withheld", "not_kept", 1),
        }
    }

    /// After a commit: sends the answers that relied on it.
    pub(super) fn answer_devices(&mut self, now: MonoMs) {
        let Some(network) = &mut self.network else { return };
        for sealed in network.take_sealed() {
            if let Some(downlink) = sealed.committed() {
                network.send(downlink, now, &self.counters);
            }
        }
    }

    pub(super) fn forget_answers(&mut self) {
        if let Some(network) = &mut self.network {
            let forgotten = network.take_sealed().len();
            self.counters.add("lorawan.withheld", "not_kept", forgotten as u64);
        }
    }

    /// Puts counters and link histories that may lag into the open group.
    pub(super) fn keep_lagging(&mut self, now: MonoMs) {
        let Some(network) = &mut self.network else { return };
        network.lagged = now;
        for change in network.lns.take_lagging() {
            self.group.opened.get_or_insert(now);
            self.group.push(Write::Session(Box::new(change)));
        }
    }

    fn device_no(&self, dev_eui: Eui) -> Option<DeviceNo> {
        let eui = dev_eui.to_string();
        self.registry.devices.iter().find(|device| device.eui == eui).map(|device| device.no)
    }
}

fn withheld_name(withheld: Withheld) -> &'static str {
    match withheld {
        Withheld::TooLate => "too_late",
        Withheld::DutyCycle => "duty_cycle",
        Withheld::NoGateway => "no_gateway",
        Withheld::CounterExhausted => "counter_exhausted",
    }
}
