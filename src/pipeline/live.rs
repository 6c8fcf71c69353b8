//! What changes with every frame and may lag on disk: last readings, batteries, signal, doors. Rebuilt from the log at
//! start, written every 10 minutes, at state changes and at shutdown.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{DeviceNo, MonoMs, Probe, Temperature, UnitNo, UnixMs};

#[derive(Default, Clone)]
pub struct Live {
    pub units: BTreeMap<UnitNo, LiveUnit>,
    pub devices: BTreeMap<DeviceNo, LiveDevice>,
    /// Time of the newest judged reading of each probe, Unix ms.
    newest: BTreeMap<(DeviceNo, Probe), UnixMs>,
    doors: BTreeMap<Door, (bool, MonoMs)>,
    /// What each contact said last in this run, and of which unit.
    contacts: BTreeMap<(DeviceNo, Probe), (UnitNo, bool)>,
}

/// A sensor at a unit's door.
pub type Door = (DeviceNo, UnitNo);

/// One contact of a sensor: some have two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contact {
    pub device: DeviceNo,
    pub probe: Probe,
    pub unit: UnitNo,
}

#[derive(Clone, Copy, Debug)]
pub struct LiveUnit {
    pub temperature: Temperature,
    /// Hundredths of a percent, of the same probe.
    pub humidity: Option<i32>,
    pub recorded_ms: i64,
    pub is_written: bool,
}

#[derive(Clone, Debug, Default)]
pub struct LiveDevice {
    /// The port or broker it was heard over last.
    pub port: String,
    /// Percent.
    pub battery: Option<i32>,
    /// dBm.
    pub rssi: Option<i32>,
    pub seen: MonoMs,
    /// Probes it told of since the start: by a temperature, or by saying that there is none.
    pub told: BTreeSet<Probe>,
    pub is_written: bool,
}

/// A door that changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoorChange {
    pub is_open: bool,
    /// How long the state before lasted, where that was heard.
    pub open_for_ms: Option<i64>,
}

impl Live {
    pub fn battery(&self, device: DeviceNo) -> Option<i32> {
        self.devices.get(&device)?.battery
    }

    /// Time of the newest judged reading of a probe.
    pub fn newest(&self, device: DeviceNo, probe: Probe) -> Option<UnixMs> {
        self.newest.get(&(device, probe)).copied()
    }

    /// Wall time moved: what was newest by the former time says nothing about the next reading.
    pub fn forget_times(&mut self) {
        self.newest.clear();
        self.units.values_mut().for_each(|unit| unit.recorded_ms = i64::MIN);
    }

    pub fn note_reading(&mut self, device: DeviceNo, probe: Probe, recorded: UnixMs) {
        self.newest.insert((device, probe), recorded);
    }

    pub fn note_unit(
        &mut self,
        unit: UnitNo,
        temperature: Temperature,
        humidity: Option<i32>,
        recorded_ms: i64,
    ) {
        let newer = self.units.get(&unit).is_none_or(|known| known.recorded_ms <= recorded_ms);
        if newer {
            self.units.insert(unit, LiveUnit { temperature, humidity, recorded_ms, is_written: false });
        }
    }

    pub fn note_device(&mut self, device: DeviceNo, battery: Option<i32>, rssi: Option<i32>, at: MonoMs) {
        let known = self.devices.entry(device).or_default();
        known.battery = battery.or(known.battery);
        known.rssi = rssi.or(known.rssi);
        known.seen = at;
        known.is_written = false;
    }

    pub fn note_probe(&mut self, device: DeviceNo, probe: Probe) {
        self.devices.entry(device).or_default().told.insert(probe);
    }

    pub fn note_port(&mut self, device: DeviceNo, port: &str) {
        let known = self.devices.entry(device).or_default();
        if known.port != port {
            port.clone_into(&mut known.port);
        }
    }

    /// The port a device was heard over last, since the start.
    pub fn port(&self, device: DeviceNo) -> Option<&str> {
        self.devices.get(&device).map(|live| live.port.as_str()).filter(|port| !port.is_empty())
    }

    /// Takes what one contact of a device says. A unit's door is open while any of the device's contacts at it is. None
    /// when the door was in that state already: sensors repeat themselves.
    pub fn note_door(&mut self, contact: Contact, is_open: bool, at: MonoMs) -> Option<DoorChange> {
        let Contact { device, probe, unit } = contact;
        self.contacts.insert((device, probe), (unit, is_open));
        let is_any_open = self
            .contacts
            .iter()
            .any(|((other, _), (at_unit, is_open))| (*other, *at_unit) == (device, unit) && *is_open);
        let before = self.doors.get(&(device, unit)).copied();
        if before.is_some_and(|(state, _)| state == is_any_open) {
            return None;
        }
        self.doors.insert((device, unit), (is_any_open, at));
        Some(DoorChange { is_open: is_any_open, open_for_ms: before.map(|(_, since)| at.0 - since.0) })
    }

    pub fn mark_written(&mut self) {
        self.units.values_mut().for_each(|unit| unit.is_written = true);
        self.devices.values_mut().for_each(|device| device.is_written = true);
    }

    pub fn mark_device_written(&mut self, device: DeviceNo) {
        self.devices.entry(device).or_default().is_written = true;
    }

    /// Doors whose state is known, and since when.
    pub fn doors(&self) -> &BTreeMap<Door, (bool, MonoMs)> {
        &self.doors
    }

    /// A door as it was before a restart; `at` may lie before this boot.
    pub fn restore_door(&mut self, door: Door, is_open: bool, at: MonoMs) {
        self.doors.insert(door, (is_open, at));
    }

    /// Whether a unit's door is open, where a sensor says.
    pub fn is_door_open(&self, unit: UnitNo) -> Option<bool> {
        let doors = self.doors.iter().filter(|((_, own), _)| *own == unit);
        doors.map(|(_, (is_open, _))| *is_open).reduce(|a, b| a || b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_with_two_contacts_is_open_while_one_is() {
        let mut live = Live::default();
        let mut note = |probe, unit, is_open| {
            let contact = Contact { device: DeviceNo(1), probe: Probe::numbered(probe), unit: UnitNo(unit) };
            live.note_door(contact, is_open, MonoMs(0)).map(|change| change.is_open)
        };
        assert_eq!(note(1, 1, false), Some(false));
        assert_eq!(note(2, 1, true), Some(true));
        assert_eq!(note(1, 1, false), None);
        assert_eq!(note(1, 1, true), None);
        assert_eq!(note(2, 1, false), None);
        assert_eq!(note(1, 1, false), Some(false));
        // The second contact at another unit is another door.
        assert_eq!(note(2, 2, true), Some(true));
        assert_eq!(note(1, 1, false), None);
        assert_eq!((live.is_door_open(UnitNo(1)), live.is_door_open(UnitNo(2))), (Some(false), Some(true)));
        assert_eq!(live.is_door_open(UnitNo(3)), None);
    }
}
