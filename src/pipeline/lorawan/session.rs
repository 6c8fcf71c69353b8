//! Pairing sessions: from a code to a device whose first frame came in, or to a reason that says what to do.

use anyhow::{Context, Result};
use uuid::Uuid;

use crate::audit::event_types::{DEVICE_PAIRED, PAIRING_FAILED};
use crate::audit::{Actor, Entity};
use crate::domain::{DeviceNo, MonoMs, Probe, Stamp, UnitNo, UnixMs};
use crate::lorawan::ids::Eui;
use crate::lorawan::server::JoinTrouble;
use crate::lorawan::session::{Activation, Device};
use crate::pipeline::{Core, report};
use crate::store::lorawan as devices;
use crate::store::pairing::{self, PairingRow, SensorRow, Status};
use crate::store::registry::{self as rows, DeviceRow};
use crate::store::rows::mark_dirty;
use crate::store::unplaced;

/// From the opening of a session to its end: a sensor is fetched, unpacked and switched on.
pub(super) const OPEN_MS: i64 = 15 * 60_000;
/// A session that cannot be ended is tried again after this time: the disk that refuses it now refuses it at once again.
const END_AGAIN_MS: i64 = 10_000;
/// From the opening to the first frame of a device that joined. Some speak twice an hour and door contacts once a day, and
/// its first frame may get lost: without its key here it would stay mute until it joins again, which it has no reason to.
const JOINED_MS: i64 = 24 * 60 * 60_000;
/// Joins that went wrong in the same way: once may be a neighbour's noise or a slow moment.
const TROUBLES_MAX: u32 = 3;

/// An open session.
pub(super) struct Pairing {
    pub row: PairingRow,
    /// When it expires.
    pub until: MonoMs,
}

impl Core {
    /// Sessions that were open when the hub stopped go on.
    pub(super) fn load_pairings(&mut self, now: MonoMs) -> Result<()> {
        let rows = pairing::pending(self.store.connection())?;
        let wall = self.wall_of(Stamp { segment: self.segment, mono: now }).0;
        let Some(network) = &mut self.network else { return Ok(()) };
        network.pairings = rows
            .into_iter()
            .map(|row| {
                // The clock may have been moved meanwhile: never longer than a new one.
                let left = (row.expires.0 - wall.0).clamp(0, OPEN_MS);
                Pairing { row, until: MonoMs(now.0 + left) }
            })
            .collect();
        Ok(())
    }

    /// Ends the sessions whose time is over; with what went wrong, where something was heard of the device.
    pub(super) fn expire_pairings(&mut self, now: MonoMs) {
        let Some(network) = &self.network else { return };
        let over: Vec<(Uuid, Option<Eui>)> = network
            .pairings
            .iter()
            .filter(|pairing| pairing.until <= now)
            .map(|pairing| (pairing.row.id, pairing.row.about.dev_eui))
            .collect();
        for (id, dev_eui) in over {
            let trouble = dev_eui.and_then(|eui| {
                let joins = self.trouble_of(eui).map(|trouble| trouble.to_string());
                joins.or_else(|| self.unsigned_text(eui))
            });
            let is_personal = dev_eui.is_some_and(|eui| self.is_personalised(eui));
            let has_joined = !is_personal && dev_eui.is_some_and(|eui| self.has_joined(eui));
            if has_joined && trouble.is_none() && self.is_young(id, now) {
                self.put_off(id, MonoMs(now.0 + OPEN_MS));
                continue;
            }
            self.put_off(id, MonoMs(now.0 + END_AGAIN_MS));
            let (status, reason) = match (trouble, dev_eui) {
                (Some(reason), _) => (Status::Failed, reason),
                (None, Some(_)) if has_joined => (
                    Status::Expired,
                    "it joined and was not heard since; bring it nearer and pair it again".to_owned(),
                ),
                (None, Some(_)) => {
                    let heard = if is_personal { "heard" } else { "heard joining" };
                    let reason = format!(
                        "it was not {heard} in time; check that it is on, the region and the sub-band"
                    );
                    (Status::Expired, reason)
                }
                (None, None) => (Status::Expired, "no device was named in time".to_owned()),
            };
            report(self.end_pairing(id, status, reason), "end a pairing session");
        }
    }

    /// A join of it was answered, and it may have heard that.
    fn has_joined(&self, dev_eui: Eui) -> bool {
        let device = self.network.as_ref().and_then(|network| network.lns.device(dev_eui));
        device.is_some_and(|device| device.pending.is_some())
    }

    fn is_young(&self, id: Uuid, now: MonoMs) -> bool {
        let wall = self.wall_of(Stamp { segment: self.segment, mono: now }).0;
        let pairings = self.network.iter().flat_map(|network| &network.pairings);
        let mut started = pairings.filter(|open| open.row.id == id).map(|open| open.row.started);
        started.any(|started| wall.0 - started.0 < JOINED_MS)
    }

    fn put_off(&mut self, id: Uuid, until: MonoMs) {
        let pairings = self.network.iter_mut().flat_map(|network| &mut network.pairings);
        pairings.filter(|open| open.row.id == id).for_each(|open| open.until = until);
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
        let pairings = &self.network.as_ref()?.pairings;
        pairings
            .iter()
            .find(|pairing| pairing.row.about.dev_eui == Some(dev_eui))
            .map(|pairing| pairing.row.id)
    }

    /// Writes the end of a session that led to no device, and forgets the device's key.
    pub(super) fn end_pairing(&mut self, id: Uuid, status: Status, reason: String) -> Result<()> {
        let stamp = self.stamp_now();
        let now = self.wall_of(stamp).0;
        let Some(network) = &self.network else { return Ok(()) };
        let Some(open) = network.pairings.iter().find(|open| open.row.id == id) else { return Ok(()) };
        let mut row = open.row.clone();
        row.status = status;
        row.about.reason = Some(reason.clone());
        let dev_eui = row.about.dev_eui;
        self.flush()?;
        let is_placed = self.wall_of(stamp).1;
        self.store.write(|tx| {
            pairing::put(tx, &row, now)?;
            if !is_placed {
                unplaced::add(tx, "pairing_sessions", id, "updated_at", stamp)?;
            }
            dev_eui.map_or(Ok(()), |eui| devices::remove_device(tx, eui))
        })?;
        if let Some(network) = &mut self.network {
            network.pairings.retain(|open| open.row.id != id);
            dev_eui.and_then(|eui| network.lns.remove_device(eui));
        }
        tracing::warn!("pairing {} ended: {reason}", row.code);
        let fields = [
            ("code", row.code.into()),
            ("eui", dev_eui.map(|eui| eui.to_string()).into()),
            ("reason", reason.into()),
        ];
        self.note(PAIRING_FAILED, Entity::Hub, fields, stamp.mono);
        Ok(())
    }

    /// The first frame of a device that was being paired: it is a device now. True: that is what happened.
    pub(super) fn complete_pairing(&mut self, dev_eui: Eui) -> bool {
        let Some(id) = self.pairing_of(dev_eui) else { return false };
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
        let network = self.network.as_ref().context("there is no network server")?;
        let open = network.pairings.iter().find(|open| open.row.id == id).context("the session is gone")?;
        let mut row = open.row.clone();
        let device = network.lns.device(dev_eui).context("the network server does not know it")?;
        let app_key = match &device.activation {
            Activation::Otaa { app_key } => Some(app_key.clone()),
            Activation::Abp { .. } => None,
        };
        let codecs = self.settings.codecs.clone();
        let model = row.about.model.as_deref().and_then(|name| codecs.find(name));
        let known = self.registry.devices.iter().find(|known| known.eui == dev_eui.to_string()).cloned();
        let new = known.is_none();
        let device = match known {
            // It came over a network server, which decoded its frames or named its model.
            Some(known) => {
                DeviceRow { model: model.map_or(known.model, |model| model.name.to_owned()), ..known }
            }
            None => {
                let mut device = self.paired_row(&row, dev_eui, model.map_or("", |model| model.name), now);
                // One that central made before it was ever heard here keeps central's id.
                device.id = pairing::device_by_eui(self.store.connection(), dev_eui)?.unwrap_or(device.id);
                device
            }
        };
        let sensor = frostguard_sync::ids::time_ordered_id(now.0, self.random_bytes());
        let probe = model.map_or(Probe::INTERNAL, |model| model.measuring);
        let hub = self.place.hub;
        (row.status, row.completed, row.device) = (Status::Completed, Some(now), Some(device.id));
        let no = self.store.write(|tx| {
            let no = if new {
                rows::insert_device(tx, &device, hub, now.0).map_err(store_error)?
            } else {
                rows::set_model(tx, &device, now.0).map_err(store_error)?;
                device.no
            };
            if let Some(unit) = row.about.unit_no {
                rows::assign(tx, no, (probe, true), Some(UnitNo(unit)), stamp, now.0).map_err(store_error)?;
            }
            mark_dirty(tx, "devices", device.id)?;
            let join_eui = row.about.join_eui.unwrap_or(Eui([0; 8]));
            let has_sensor = match &app_key {
                Some(_) => pairing::joined(tx, no, now)?.is_some(),
                None => pairing::has_sensor(tx, no)?,
            };
            if !has_sensor {
                let row =
                    SensorRow { id: sensor, device: device.id, dev_eui, join_eui, app_key: app_key.as_ref() };
                pairing::insert_sensor(tx, &row, now)?;
            }
            pairing::put(tx, &row, now)?;
            devices::remove_key(tx, dev_eui)?;
            if is_placed {
                return Ok(no);
            }
            for column in ["completed_at", "updated_at"] {
                unplaced::add(tx, "pairing_sessions", id, column, stamp)?;
            }
            for column in ["created_at", "updated_at"].iter().filter(|_| new) {
                unplaced::add(tx, "devices", device.id, column, stamp)?;
            }
            let joined = app_key.as_ref().map(|_| "last_join_at");
            for column in ["created_at", "updated_at"].into_iter().chain(joined).filter(|_| !has_sensor) {
                unplaced::add(tx, "lora_sensors", sensor, column, stamp)?;
            }
            Ok(no)
        })?;
        if let Some(network) = &mut self.network {
            network.pairings.retain(|open| open.row.id != id);
        }
        self.configure()?;
        let fields = [
            ("eui", device.eui.clone().into()),
            ("model", device.model.clone().into()),
            ("code", row.code.into()),
            ("unit_no", row.about.unit_no.into()),
            ("authenticated", true.into()),
        ];
        self.note_by(Actor::Installer, DEVICE_PAIRED, Entity::Device(no), fields, stamp.mono);
        Ok(device.name.unwrap_or(device.eui))
    }

    fn paired_row(&mut self, row: &PairingRow, dev_eui: Eui, model: &str, now: UnixMs) -> DeviceRow {
        DeviceRow {
            no: DeviceNo(0),
            id: frostguard_sync::ids::time_ordered_id(now.0, self.random_bytes()),
            eui: dev_eui.to_string(),
            name: row.about.name.clone(),
            model: model.to_owned(),
            source: None,
            port: String::new(),
            address: dev_eui.to_string(),
            is_authenticated: true,
            check_in_s: None,
            is_active: true,
            battery: None,
        }
    }
}

pub(super) fn store_error(error: anyhow::Error) -> crate::store::StoreError {
    match error.downcast::<rusqlite::Error>() {
        Ok(error) => error.into(),
        Err(error) => crate::store::StoreError::Value { table: "devices", detail: format!("{error:#}") },
    }
}
