//! Pairing sessions: an installer opens one, names its sensor, and it is completed by the sensor's first frame, or ends with a
//! reason that says what to do. What joins at the hub itself is in `lorawan/`, what joins nowhere in `joinless.rs`.

mod joinless;
mod requests;

use anyhow::{Context, Result};
use rusqlite::Transaction;
use uuid::Uuid;

use crate::audit::event_types::{DEVICE_PAIRED, PAIRING_FAILED};
use crate::audit::{Actor, Entity};
use crate::domain::{DeviceNo, MonoMs, Probe, Stamp, UnitNo};
use crate::pipeline::{Core, report};
use crate::store::StoreError;
use crate::store::pairing::{self as rows, PairingRow, Status};
use crate::store::registry::{self, DeviceRow};
use crate::store::rows::mark_dirty;
use crate::store::unplaced;

/// From the opening of a session to its end: a sensor is fetched, unpacked and switched on.
pub(in crate::pipeline) const OPEN_MS: i64 = 15 * 60_000;
/// A session that cannot be ended is tried again after this time: the disk that refuses it now refuses it at once again.
const END_AGAIN_MS: i64 = 10_000;

/// An open session.
pub(in crate::pipeline) struct Pairing {
    pub row: PairingRow,
    /// When it expires.
    pub until: MonoMs,
    /// Of frames that were heard and could not be used, how many and why the last.
    pub troubles: u32,
    pub trouble: Option<String>,
}

impl Pairing {
    fn new(row: PairingRow, until: MonoMs) -> Self {
        Self { row, until, troubles: 0, trouble: None }
    }
}

/// A device whose first frame came in.
pub(in crate::pipeline) struct Found {
    pub device: DeviceRow,
    pub is_new: bool,
    /// The probe that measures the unit.
    pub probe: Probe,
}

/// What a session that is over came to.
pub(in crate::pipeline) enum Over {
    /// It goes on for this long.
    WaitsOn(i64),
    Ended(Status, String),
}

impl Core {
    /// Sessions that were open when the hub stopped go on.
    pub(in crate::pipeline) fn load_pairings(&mut self) -> Result<()> {
        let rows = rows::pending(self.store.connection())?;
        let stamp = self.stamp_now();
        let wall = self.wall_of(stamp).0;
        self.pairings = rows
            .into_iter()
            .map(|row| {
                // The clock may have been moved meanwhile: never longer than a new one.
                let left = (row.expires.0 - wall.0).clamp(0, OPEN_MS);
                Pairing::new(row, MonoMs(stamp.mono.0 + left))
            })
            .collect();
        Ok(())
    }

    /// Ends the sessions whose time is over; with what went wrong, where something was heard of the sensor.
    pub(in crate::pipeline) fn expire_pairings(&mut self, now: MonoMs) {
        let over: Vec<Uuid> =
            self.pairings.iter().filter(|open| open.until <= now).map(|open| open.row.id).collect();
        for id in over {
            let Some(open) = self.pairings.iter().find(|open| open.row.id == id) else { continue };
            let over = match (&open.row.about.sender, open.row.about.dev_eui) {
                (Some(sender), _) => open.over_of(sender),
                (None, Some(dev_eui)) => self.join_is_over(dev_eui, open.row.started, now),
                (None, None) => Over::Ended(Status::Expired, "no sensor was named in time".to_owned()),
            };
            match over {
                Over::WaitsOn(ms) => self.put_off(id, MonoMs(now.0 + ms)),
                Over::Ended(status, reason) => {
                    self.put_off(id, MonoMs(now.0 + END_AGAIN_MS));
                    report(self.end_pairing(id, status, reason), "end a pairing session");
                }
            }
        }
    }

    fn put_off(&mut self, id: Uuid, until: MonoMs) {
        self.pairings.iter_mut().filter(|open| open.row.id == id).for_each(|open| open.until = until);
    }

    /// Writes the end of a session that led to no device, and forgets what it told the hub of its sensor.
    pub(in crate::pipeline) fn end_pairing(
        &mut self,
        id: Uuid,
        status: Status,
        reason: String,
    ) -> Result<()> {
        let stamp = self.stamp_now();
        let now = self.wall_of(stamp).0;
        let Some(open) = self.pairings.iter().find(|open| open.row.id == id) else { return Ok(()) };
        let mut row = open.row.clone();
        row.status = status;
        row.about.reason = Some(reason.clone());
        self.flush()?;
        let (_, is_placed) = self.wall_of(stamp);
        let former = row.about.dev_eui.map(|dev_eui| self.as_before(dev_eui));
        let epoch_no = self.epoch.no;
        self.store.write(|tx| {
            rows::put(tx, &row, now)?;
            if !is_placed {
                unplaced::add(tx, "pairing_sessions", id, "updated_at", stamp)?;
            }
            former.as_ref().map_or(Ok(()), |former| former.write(tx, epoch_no))
        })?;
        self.pairings.retain(|open| open.row.id != id);
        if let Some(former) = former {
            self.take_back(former);
        }
        tracing::warn!("pairing {} ended: {reason}", row.code);
        let fields =
            [("code", row.code.clone().into()), ("eui", row.about.named().into()), ("reason", reason.into())];
        self.note(PAIRING_FAILED, Entity::Hub, fields, stamp.mono);
        Ok(())
    }

    /// The device that a session led to, written with what else `also` writes. The name of the device.
    pub(in crate::pipeline) fn finish_pairing(
        &mut self,
        mut row: PairingRow,
        found: Found,
        stamp: Stamp,
        also: impl FnOnce(&Transaction<'_>, DeviceNo) -> Result<(), StoreError>,
    ) -> Result<String> {
        let Found { device, is_new, probe } = found;
        let (now, is_placed) = self.wall_of(stamp);
        (row.status, row.completed, row.device) = (Status::Completed, Some(now), Some(device.id));
        let hub = self.place.hub;
        let no = self.store.write(|tx| {
            let no = if is_new {
                registry::insert_device(tx, &device, hub, now.0).map_err(store_error)?
            } else {
                registry::set_model(tx, &device, now.0).map_err(store_error)?;
                device.no
            };
            if let Some(unit) = row.about.unit_no {
                let unit = Some(UnitNo(unit));
                registry::assign(tx, no, (probe, true), unit, stamp, now.0).map_err(store_error)?;
            }
            mark_dirty(tx, "devices", device.id)?;
            also(tx, no)?;
            rows::put(tx, &row, now)?;
            if is_placed {
                return Ok(no);
            }
            for column in ["completed_at", "updated_at"] {
                unplaced::add(tx, "pairing_sessions", row.id, column, stamp)?;
            }
            for column in ["created_at", "updated_at"].iter().filter(|_| is_new) {
                unplaced::add(tx, "devices", device.id, column, stamp)?;
            }
            Ok(no)
        })?;
        self.pairings.retain(|open| open.row.id != row.id);
        self.configure()?;
        let fields = [
            ("eui", device.eui.clone().into()),
            ("model", device.model.clone().into()),
            ("code", row.code.into()),
            ("unit_no", row.about.unit_no.into()),
            ("authenticated", device.is_authenticated.into()),
        ];
        self.note_by(Actor::Installer, DEVICE_PAIRED, Entity::Device(no), fields, stamp.mono);
        // With the device; a disk that refuses just now gets it with the group.
        report(self.flush(), "write down who was paired");
        Ok(device.name.unwrap_or(device.eui))
    }

    pub(in crate::pipeline) fn pairing(&self, id: Uuid) -> Result<&Pairing> {
        let open = self.pairings.iter().find(|open| open.row.id == id);
        open.context("the pairing session has ended")
    }
}

pub(in crate::pipeline) fn store_error(error: anyhow::Error) -> StoreError {
    match error.downcast::<rusqlite::Error>() {
        Ok(error) => error.into(),
        Err(error) => StoreError::Value { table: "devices", detail: format!("{error:#}") },
    }
}
