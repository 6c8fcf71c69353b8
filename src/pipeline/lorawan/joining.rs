//! A sensor that a pairing session waits for joins: how far it came, what goes wrong, and its first frame.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::domain::{MonoMs, Probe, Stamp, UnixMs};
use crate::lorawan::ids::Eui;
use crate::lorawan::server::JoinTrouble;
use crate::lorawan::session::{Activation, Device};
use crate::pipeline::pairing::{Found, OPEN_MS, Over};
use crate::pipeline::{Core, report};
use crate::store::lorawan as devices;
use crate::store::pairing::{self, SensorRow, Status};
use crate::store::registry::DeviceRow;
use crate::store::unplaced;

use super::pair::heard_text;

/// From the opening to the first frame of a device that joined. Some speak twice an hour and door contacts once a day, and
/// its first frame may get lost: without its key here it would stay mute until it joins again, which it has no reason to.
const JOINED_MS: i64 = 24 * 60 * 60_000;
/// Joins that went wrong in the same way: once may be a neighbour's noise or a slow moment.
const TROUBLES_MAX: u32 = 3;

impl Core {
    /// What the end of its time is for a session whose sensor joins here.
    pub(in crate::pipeline) fn join_is_over(&self, dev_eui: Eui, started: UnixMs, now: MonoMs) -> Over {
        let joins = self.trouble_of(dev_eui).map(|trouble| trouble.to_string());
        if let Some(trouble) = joins.or_else(|| self.unsigned_text(dev_eui)) {
            return Over::Ended(Status::Failed, trouble);
        }
        let is_personal = self.is_personalised(dev_eui);
        if !is_personal && self.has_joined(dev_eui) {
            let wall = self.wall_of(Stamp { segment: self.segment, mono: now }).0;
            if wall.0 - started.0 < JOINED_MS {
                return Over::WaitsOn(OPEN_MS);
            }
            let reason = "it joined and was not heard since; bring it nearer and pair it again";
            return Over::Ended(Status::Expired, reason.to_owned());
        }
        let heard = if is_personal { "heard" } else { "heard joining" };
        let reason = format!("it was not {heard} in time; check that it is on, the region and the sub-band");
        Over::Ended(Status::Expired, reason)
    }

    /// What an open session for it waits for.
    pub(in crate::pipeline) fn join_progress(&self, dev_eui: Eui) -> String {
        let heard = || {
            let lns = &self.network.as_ref()?.lns;
            if lns.device(dev_eui)?.is_personalised() {
                return self.unsigned_text(dev_eui).or_else(|| Some("waits for its first frame".to_owned()));
            }
            let record = lns.joins_of(dev_eui)?;
            Some(record.trouble().map_or_else(|| heard_text(record), |trouble| trouble.to_string()))
        };
        heard().unwrap_or_else(|| "waits for the device to join".to_owned())
    }

    /// Who wants to join and is not known.
    pub(in crate::pipeline) fn strangers_joining(&self) -> Vec<Value> {
        let strangers = self.network.iter().flat_map(|network| network.lns.strangers());
        strangers
            .map(|(eui, record)| {
                json!({
                    "eui": eui, "join_eui": record.join_eui, "joins": record.heard, "rssi": record.rssi_dbm,
                    "snr_tenths": record.snr_tenths,
                })
            })
            .collect()
    }

    /// A join of it was answered, and it may have heard that.
    fn has_joined(&self, dev_eui: Eui) -> bool {
        let device = self.network.as_ref().and_then(|network| network.lns.device(dev_eui));
        device.is_some_and(|device| device.pending.is_some())
    }

    /// After a join that was not answered: enough of the same ends the session with what to do about it.
    pub(super) fn look_for_trouble(&mut self, dev_eui: Eui) {
        let Some(id) = self.pairing_of(dev_eui) else { return };
        // Its join was answered: it may be about to send its first frame, while somebody plays that join again.
        if self.has_joined(dev_eui) {
            return;
        }
        let Some(trouble) = self.trouble_of(dev_eui) else { return };
        let (JoinTrouble::WrongKey { times }
        | JoinTrouble::NonceReused { times }
        | JoinTrouble::Unanswered { times }
        | JoinTrouble::AnswerUnheard { times }
        | JoinTrouble::NotOtaa { times }) = trouble;
        if times >= TROUBLES_MAX && !matches!(trouble, JoinTrouble::AnswerUnheard { .. }) {
            report(self.end_pairing(id, Status::Failed, trouble.to_string()), "end a pairing session");
        }
    }

    fn is_personalised(&self, dev_eui: Eui) -> bool {
        let network = self.network.as_ref();
        network.and_then(|network| network.lns.device(dev_eui)).is_some_and(Device::is_personalised)
    }

    pub(super) fn trouble_of(&self, dev_eui: Eui) -> Option<JoinTrouble> {
        self.network.as_ref()?.lns.joins_of(dev_eui)?.trouble()
    }

    /// Frames under the address of a personalised device that it did not sign: the only sign of a wrong key there is.
    pub(super) fn unsigned_text(&self, dev_eui: Eui) -> Option<String> {
        let lns = &self.network.as_ref()?.lns;
        let count = lns.wrong_mics_of(dev_eui);
        (count > 0 && lns.device(dev_eui)?.is_personalised()).then(|| {
            format!(
                "{count} frames under its address are not signed with its NwkSKey: enter the keys again, unless the frames \
                 are a neighbour's"
            )
        })
    }

    pub(super) fn pairing_of(&self, dev_eui: Eui) -> Option<Uuid> {
        self.pairings
            .iter()
            .find(|pairing| pairing.row.about.dev_eui == Some(dev_eui))
            .map(|pairing| pairing.row.id)
    }

    /// The first frame of a device that was being paired: it is a device now. True: that is what happened.
    pub(super) fn complete_pairing(&mut self, dev_eui: Eui) -> bool {
        let Some(id) = self.pairing_of(dev_eui) else { return false };
        let device = self.network.as_ref().and_then(|network| network.lns.device(dev_eui));
        // It gets another key: until it has joined with that, what it says is no sign of it.
        if !device.is_some_and(Device::uses_its_key) {
            return false;
        }
        match self.try_complete(id, dev_eui) {
            Ok(name) => {
                tracing::info!("paired {name}");
                true
            }
            Err(error) => {
                // Its next frame tries again.
                report(Err(error), "complete a pairing session");
                false
            }
        }
    }

    fn try_complete(&mut self, id: Uuid, dev_eui: Eui) -> Result<String> {
        self.flush()?;
        let stamp = self.stamp_now();
        let (now, is_placed) = self.wall_of(stamp);
        let row = self.pairing(id)?.row.clone();
        let device = self.network()?.lns.device(dev_eui).context("the network server does not know it")?;
        // Whatever it joined with before is over.
        let settled = device.clone().with_former_key();
        let app_key = match &device.activation {
            Activation::Otaa { app_key, .. } => Some(app_key.clone()),
            Activation::Abp { .. } => None,
        };
        let codecs = self.settings.codecs.clone();
        let model = row.about.model.as_deref().and_then(|name| codecs.find(name));
        let known = self.registry.devices.iter().find(|known| known.eui == dev_eui.to_string()).cloned();
        let is_new = known.is_none();
        let device = match known {
            // It came over a network server, which decoded its frames or named its model; or it gets another key.
            Some(known) => {
                DeviceRow { model: model.map_or(known.model, |model| model.name.to_owned()), ..known }
            }
            None => {
                // One that central made before it was ever heard here keeps central's id.
                let known = pairing::known_device(self.store.connection(), &dev_eui.to_string())?;
                let id = known.map_or_else(|| self.new_id(stamp), |known| known.id);
                DeviceRow::joining(id, dev_eui, row.about.name.clone(), model.map_or("", |model| model.name))
            }
        };
        let sensor = self.new_id(stamp);
        let join_eui = row.about.join_eui.unwrap_or(Eui([0; 8]));
        let device_id = device.id;
        let found = Found { device, is_new, probe: model.map_or(Probe::INTERNAL, |model| model.measuring) };
        let (epoch_no, written) = (self.epoch.no, settled.clone());
        let name = self.finish_pairing(row, found, stamp, |tx, no| {
            devices::put_device(tx, &written, epoch_no)?;
            let has_sensor = match &app_key {
                Some(key) => pairing::joined_with(tx, no, key, now)?,
                None => pairing::has_sensor(tx, no)?,
            };
            devices::remove_key(tx, dev_eui)?;
            if has_sensor {
                return Ok(());
            }
            let row =
                SensorRow { id: sensor, device: device_id, dev_eui, join_eui, app_key: app_key.as_ref() };
            pairing::insert_sensor(tx, &row, now)?;
            let joined = app_key.as_ref().map(|_| "last_join_at").filter(|_| !is_placed);
            let made = ["created_at", "updated_at"].into_iter().filter(|_| !is_placed);
            made.chain(joined).try_for_each(|column| unplaced::add(tx, "lora_sensors", sensor, column, stamp))
        })?;
        if let Some(network) = &mut self.network {
            network.lns.settle_key(dev_eui);
        }
        Ok(name)
    }
}
