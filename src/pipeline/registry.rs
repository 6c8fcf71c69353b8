//! Whose frame is it, which probe measures which unit, and by how much it is off: loaded from the store, kept in memory.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use rusqlite::Connection;
use uuid::Uuid;

use super::calibrate::{CalibrationRecord, Calibrations};
use crate::codec::Codecs;
use crate::domain::{DeviceNo, Probe, UnitNo, UnixMs};
use crate::frame::Sender;
use crate::rules::{Constants, DeviceConfig, ProbeConfig, Rule, RuleConfig, UnitConfig};
use crate::store::people::{Contact, contacts};
use crate::store::registry::{self as rows, AssignmentRow, CalibrationRow, DeviceRow, Place, UnitRow};

/// The hub's devices, units and what joins them. Reloaded as a whole after every change, which is rare.
#[derive(Clone, Default)]
pub struct Registry {
    pub units: Vec<UnitRow>,
    pub devices: Vec<DeviceRow>,
    pub assignments: Vec<AssignmentRow>,
    calibrations: HashMap<DeviceNo, Calibrations>,
    /// Devices with a calibration that is ignored, and why.
    pub refused_calibrations: Vec<(DeviceNo, String)>,
    pub rules: Vec<Rule>,
    /// Names of rules whose schedule cannot be read.
    pub unreadable_schedules: Vec<String>,
    pub zone: String,
    /// The site's name.
    pub site: String,
    pub contacts: Vec<Contact>,
    /// When the newest calibration of a device expires, Unix ms.
    expiries: HashMap<DeviceNo, i64>,
    people: HashMap<Uuid, String>,
    by_eui: HashMap<String, usize>,
    by_address: HashMap<(String, String, String), usize>,
    unit_of: HashMap<(DeviceNo, Probe), UnitNo>,
}

impl Registry {
    pub fn load(conn: &Connection, place: Place) -> Result<Self> {
        let (rules, unreadable_schedules) = rows::rules(conn)?;
        let mut registry = Registry {
            units: rows::units(conn)?,
            devices: rows::devices(conn)?,
            assignments: rows::assignments(conn)?,
            rules,
            unreadable_schedules,
            zone: rows::zone(conn, place.site)?,
            site: rows::site_name(conn, place.site)?,
            contacts: contacts(conn, place.organization)?,
            expiries: rows::expiries(conn)?.into_iter().collect(),
            people: rows::people(conn)?.into_iter().collect(),
            ..Registry::default()
        };
        for (index, device) in registry.devices.iter().enumerate() {
            if !device.is_active {
                continue;
            }
            registry.by_eui.insert(device.eui.clone(), index);
            let source = device.source.map_or("", crate::domain::Source::as_str).to_owned();
            registry.by_address.insert((source, device.port.clone(), device.address.clone()), index);
        }
        registry.load_calibrations(rows::calibrations(conn)?);
        registry.unit_of = registry.assignments.iter().map(|a| ((a.device, a.probe), a.unit)).collect();
        Ok(registry)
    }

    /// The paired device that sent a frame: by EUI wherever it comes from, else by (source, port, address).
    pub fn device_of(&self, sender: &Sender) -> Option<&DeviceRow> {
        let index = if sender.is_eui {
            self.by_eui.get(&sender.address)
        } else {
            let key = (sender.source.as_str().to_owned(), sender.port.clone(), sender.address.clone());
            self.by_address.get(&key)
        };
        index.map(|&index| &self.devices[index])
    }

    /// True when a unit that central removed has been monitored on for long enough and the rules still watch it.
    pub fn has_gone_units(&self, now: UnixMs, is_watched: impl Fn(UnitNo) -> bool) -> bool {
        self.units.iter().any(|unit| is_gone(unit, now) && is_watched(unit.no))
    }

    pub fn device(&self, no: DeviceNo) -> Option<&DeviceRow> {
        self.devices.iter().find(|device| device.no == no)
    }

    /// A device as people name it: EUI, natural address or name.
    pub fn find_device(&self, text: &str) -> Option<&DeviceRow> {
        let eui = eui_of(text);
        self.devices.iter().find(|d| {
            Some(&d.eui) == eui.as_ref()
                || d.address == text
                || d.name.as_deref() == Some(text)
                || d.id.to_string() == text
        })
    }

    pub fn unit(&self, no: UnitNo) -> Option<&UnitRow> {
        self.units.iter().find(|unit| unit.no == no)
    }

    /// A unit as people name it: name or id.
    pub fn find_unit(&self, text: &str) -> Option<&UnitRow> {
        self.units.iter().find(|u| u.name == text || u.id.to_string() == text)
    }

    pub fn unit_of(&self, device: DeviceNo, probe: Probe) -> Option<UnitNo> {
        self.unit_of.get(&(device, probe)).copied()
    }

    /// Every probe that measures a unit.
    pub fn probes(&self) -> impl Iterator<Item = (DeviceNo, Probe)> {
        self.unit_of.keys().copied()
    }

    /// The unit a whole-device quantity (a door) belongs to: that of any assigned probe.
    pub fn any_unit_of(&self, device: DeviceNo) -> Option<UnitNo> {
        self.assignments.iter().find(|a| a.device == device).map(|a| a.unit)
    }

    /// How a person is called.
    pub fn person(&self, id: Uuid) -> Option<String> {
        self.people.get(&id).cloned()
    }

    pub fn calibrations(&self, device: DeviceNo) -> Calibrations {
        self.calibrations.get(&device).cloned().unwrap_or_default()
    }

    fn load_calibrations(&mut self, rows: Vec<CalibrationRow>) {
        let mut records: HashMap<DeviceNo, Vec<CalibrationRecord>> = HashMap::new();
        for (device, calibrated_ms, temperature_offset, humidity_offset) in rows {
            let calibrated_at = UnixMs(calibrated_ms);
            let record = CalibrationRecord { calibrated_at, temperature_offset, humidity_offset };
            records.entry(device).or_default().push(record);
        }
        for (device, records) in records {
            let (good, refused) = Calibrations::new(records);
            self.calibrations.insert(device, good);
            let reasons = refused.into_iter().map(|(_, error)| (device, error.to_string()));
            self.refused_calibrations.extend(reasons);
        }
    }

    /// What the rules need to know. Inactive units are left out; one that central removed is monitored on for 24 h.
    pub fn rule_config(&self, constants: &Constants, codecs: &Codecs, now: UnixMs) -> RuleConfig {
        let units: Vec<UnitConfig> = self
            .units
            .iter()
            .filter(|unit| unit.is_active && !is_gone(unit, now))
            .map(|unit| UnitConfig {
                unit: unit.no,
                name: unit.name.clone(),
                unit_type: unit.unit_type,
                scale: unit.scale,
                temp_min: unit.temp_min,
                temp_max: unit.temp_max,
                manual_required: unit.manual_required,
                manual_interval_min: unit.manual_interval_min,
            })
            .collect();
        let probes = self
            .assignments
            .iter()
            .filter(|a| units.iter().any(|unit| unit.unit == a.unit))
            .filter_map(|a| {
                let device = self.device(a.device).filter(|device| device.is_active)?;
                let model = codecs.find(&device.model);
                let measures = model.is_none_or(|model| model.measures("temperature"));
                measures.then(|| ProbeConfig {
                    device: a.device,
                    probe: a.probe,
                    unit: a.unit,
                    check_in_s: device.check_in_s.or(model.map(|model| model.check_in_s)),
                })
            })
            .collect();
        let mut devices: Vec<DeviceConfig> = self
            .assignments
            .iter()
            .filter(|a| units.iter().any(|unit| unit.unit == a.unit))
            .filter(|a| self.device(a.device).is_some_and(|device| device.is_active))
            .map(|a| DeviceConfig {
                device: a.device,
                unit: a.unit,
                calibration_expires_ms: self.expiries.get(&a.device).copied(),
            })
            .collect();
        // Its first assignment is the unit that a quantity of the whole device belongs to (`any_unit_of`).
        let mut seen = HashSet::new();
        devices.retain(|config| seen.insert((config.device, config.unit)));
        RuleConfig {
            units,
            rules: self.rules.clone(),
            probes,
            devices,
            zone: self.zone.clone(),
            constants: constants.clone(),
        }
    }
}

/// An EUI as labels and network servers spell it: 16 hex digits of either case, bare or in groups.
pub fn eui_of(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| !matches!(c, '-' | ':' | '.' | ' ')).collect();
    let is_eui = digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_eui.then(|| digits.to_ascii_uppercase())
}

/// A unit that central removed is monitored on for this long, in case somebody made a mistake there.
const REMOVED_MS: i64 = 86_400_000;

fn is_gone(unit: &UnitRow, now: UnixMs) -> bool {
    unit.removed_ms.is_some_and(|removed| now.0 - removed > REMOVED_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn euis_are_spelled_in_many_ways() {
        let eui = Some("A84041000181B2C3".to_owned());
        for (text, want) in [
            ("A84041000181B2C3", &eui),
            ("a84041000181b2c3", &eui),
            ("a8:40:41:00:01:81:b2:c3", &eui),
            ("A8-40-41-00-01-81-B2-C3", &eui),
            (" A840.4100.0181.B2C3 ", &eui),
            ("0xa84041000181b2c3", &None),
            ("A84041000181B2", &None),
            ("A84041000181B2CG", &None),
            ("", &None),
        ] {
            assert_eq!(eui_of(text), *want, "{text}");
        }
    }
}
