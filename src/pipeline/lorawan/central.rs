//! Sensors that were paired centrally: their keys come down with the configuration, and they join as if they had been paired here.
//! Central's schema has a column for the AppKey and none for session keys, so a personalised sensor must be paired at the hub.

use anyhow::{Context, Result};

use crate::audit::event_types::DEVICE_PAIRED;
use crate::audit::{Actor, Entity};
use crate::codec;
use crate::domain::{Probe, UnitNo};
use crate::lorawan::ids::{Eui, Key};
use crate::lorawan::session::{Activation, Device, MacVersion};
use crate::pipeline::pairing::store_error;
use crate::pipeline::settings::Mode;
use crate::pipeline::{Core, report};
use crate::store::lorawan as devices;
use crate::store::pairing::{self, AppKey, KnownSensor, NETWORK_SERVER};
use crate::store::registry::{self as rows, DeviceRow};
use crate::store::unplaced;

/// What becomes of a sensor that central names.
enum Judged {
    Joins(Eui, Key),
    /// Nothing to do.
    AsBefore,
    /// It cannot join here, and why.
    LeftOut(String),
}

impl Core {
    /// Lets the sensors join that central has a key for. One that joined here keeps the key it joined with.
    pub(in crate::pipeline) fn load_central_sensors(&mut self) -> Result<()> {
        if self.network.is_none() || self.settings.mode == Mode::Look {
            return Ok(());
        }
        let stamp = self.stamp_now();
        let (now, epoch_no) = (self.wall_of(stamp).0, self.epoch.no);
        for sensor in pairing::known_sensors(self.store.connection())? {
            let (dev_eui, key) = match self.judge_sensor(&sensor) {
                Judged::Joins(dev_eui, key) => (dev_eui, key),
                Judged::AsBefore => continue,
                Judged::LeftOut(why) => {
                    self.counters.add("lorawan.central_sensors", "left_out", 1);
                    tracing::warn!("sensor {} of central cannot join at this hub: {why}", sensor.dev_eui);
                    continue;
                }
            };
            let device = Device::otaa(dev_eui, MacVersion::default(), key, now);
            let Some(network) = &mut self.network else { return Ok(()) };
            if let Err(error) = network.lns.put_device(device.clone()) {
                tracing::error!("sensor {dev_eui} of central is left out: {error}");
                continue;
            }
            self.store.write(|tx| devices::put_device(tx, &device, epoch_no))?;
            self.counters.add("lorawan.central_sensors", "loaded", 1);
            tracing::info!("sensor {dev_eui} of central may join");
        }
        Ok(())
    }

    fn judge_sensor(&self, sensor: &KnownSensor) -> Judged {
        if sensor.network_server.as_deref().is_some_and(|name| !matches!(name, "" | NETWORK_SERVER)) {
            // Two servers that answer one join keep the sensor from both.
            return Judged::AsBefore;
        }
        let Some(dev_eui) = Eui::parse(&sensor.dev_eui) else {
            return Judged::LeftOut("that is no EUI of 16 hex digits; correct it there".to_owned());
        };
        let known = self.network.as_ref().and_then(|network| network.lns.device(dev_eui));
        if known.is_some_and(Device::is_personalised) || self.pairing_of(dev_eui).is_some() {
            return Judged::AsBefore;
        }
        if sensor.is_personalised {
            return Judged::LeftOut(format!(
                "it is personalised (ABP), and central has no session keys: `frostguard-hub pair device CODE {dev_eui} \
                 --abp` takes them"
            ));
        }
        match (&sensor.app_key, known.map(|device| (&device.activation, device))) {
            (AppKey::None, None) => Judged::LeftOut(
                "central has no AppKey of it; enter it there, or pair it here with its key".to_owned(),
            ),
            (AppKey::Unreadable, None) => {
                Judged::LeftOut("its AppKey in central is not 32 hex digits; correct it there".to_owned())
            }
            (AppKey::None | AppKey::Unreadable, Some(_)) | (_, Some((Activation::Abp { .. }, _))) => {
                Judged::AsBefore
            }
            (AppKey::Known(key), None) => Judged::Joins(dev_eui, key.clone()),
            (AppKey::Known(key), Some((Activation::Otaa { app_key, .. }, device))) => {
                let has_joined = device.session.is_some() || device.pending.is_some();
                match (key == app_key, has_joined) {
                    (true, _) => Judged::AsBefore,
                    (false, false) => Judged::Joins(dev_eui, key.clone()),
                    (false, true) => Judged::LeftOut(
                        "central has another key than it joined with, which the hub keeps; correct it there"
                            .to_owned(),
                    ),
                }
            }
        }
    }

    /// The first frame of a sensor that was paired centrally: from now on it is a device of this hub, in the unit that central
    /// says. True: that is what happened.
    pub(super) fn admit(&mut self, dev_eui: Eui) -> bool {
        if self.device_no(dev_eui).is_some() {
            return false;
        }
        match self.try_admit(dev_eui) {
            Ok(is_admitted) => is_admitted,
            Err(error) => {
                // Its next frame tries again.
                report(Err(error), "take in a sensor of central");
                false
            }
        }
    }

    fn try_admit(&mut self, dev_eui: Eui) -> Result<bool> {
        let Some(known) = pairing::to_admit(self.store.connection(), dev_eui)? else { return Ok(false) };
        self.flush()?;
        let stamp = self.stamp_now();
        let (now, is_placed) = self.wall_of(stamp);
        let model = known.device_type.as_deref().and_then(codec::find);
        if model.is_none() {
            let named = known.device_type.as_deref().unwrap_or("nothing");
            tracing::warn!(
                "central calls the type of {dev_eui} {named:?}, which is no model of `frostguard-hub devices models`: its frames \
                 cannot be read"
            );
        }
        let device =
            DeviceRow::joining(known.device, dev_eui, known.name, model.map_or("", |model| model.name));
        let (hub, probe) = (self.place.hub, model.map_or(Probe::INTERNAL, |model| model.measuring));
        let no = self.store.write(|tx| {
            let no = rows::insert_device(tx, &device, hub, now.0).map_err(store_error)?;
            if let Some(unit) = known.unit_no {
                rows::assign(tx, no, (probe, true), Some(UnitNo(unit)), stamp, now.0).map_err(store_error)?;
            }
            let sensor = pairing::joined(tx, no, now)?;
            for (column, sensor) in ["last_join_at", "updated_at"].into_iter().zip([sensor, sensor]) {
                if let Some(sensor) = sensor.filter(|_| !is_placed) {
                    unplaced::add(tx, "lora_sensors", sensor, column, stamp)?;
                }
            }
            Ok(no)
        })?;
        self.configure().context("tell the rules of a new device")?;
        let fields = [
            ("eui", device.eui.clone().into()),
            ("model", device.model.clone().into()),
            ("unit_no", known.unit_no.into()),
            ("authenticated", true.into()),
        ];
        self.note_by(Actor::Central, DEVICE_PAIRED, Entity::Device(no), fields, stamp.mono);
        tracing::info!("{dev_eui}, which was paired centrally, is heard");
        Ok(true)
    }
}
