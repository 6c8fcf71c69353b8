//! Requests of people, answered on the core's thread. What changes something commits the open group first, then itself.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::audit::event_types::{DEVICE_ASSIGNED, DEVICE_PAIRED, DEVICE_UNASSIGNED, UNIT_ADDED};
use crate::audit::{Actor, Entity};
use crate::control::{DevicesAdd, DevicesAssign, Request, UnitsAdd, show};
use crate::domain::{DeviceNo, Epoch, Probe, Scale, Source, UnitNo, UnitType};
use crate::store::registry::{self as rows, DeviceRow, UnitRow};
use crate::store::rows::mark_dirty;
use crate::store::{alerts, snapshot_check};

use super::Core;
use super::registry::eui_of;

/// Units of one hub; a kitchen has a few dozen.
const UNITS_MAX: usize = 1_000;
/// Devices of one hub.
const DEVICES_MAX: usize = 2_000;
const NAME_CHARS_MAX: usize = 256;
/// Seconds between two readings: no sensor speaks more often than every 10 s, nor less than once a week.
const CHECK_IN_S: std::ops::RangeInclusive<u32> = 10..=7 * 86_400;

impl Core {
    pub fn request(&mut self, request: &Request) -> Result<Value> {
        match request {
            Request::Status => show::status(self),
            Request::UnitsList => show::units(self),
            Request::UnitsAdd(add) => self.add_unit(add),
            Request::DevicesList => show::devices(self),
            Request::Strangers => show::strangers(self),
            Request::DevicesAdd(add) => self.add_device(add),
            Request::DevicesAssign(assign) => self.assign_device(assign),
            Request::AlertsList { all } => {
                self.flush()?;
                Ok(show::alerts(&alerts::list(self.store.connection(), *all)?, &self.registry.zone))
            }
            Request::Log(log) => self.log_manually(log),
            Request::AlertsAck(ack) => self.acknowledge_alerts(ack),
            Request::AlertsResolve(resolve) => self.resolve_alert(resolve),
            Request::ContactsAdd(add) => self.add_contact(add),
            Request::ContactsList => self.list_contacts(),
            Request::ContactsRemove { contact } => self.remove_contact(contact),
            Request::PowerReport => self.power_reports(),
            Request::Redecode(redecode) => self.redecode(redecode),
            Request::NotifyTest(_) => {
                bail!(
                    "channels are tried by the running hub: start it first (`systemctl start frostguard-hub`)"
                )
            }
            Request::PairOpen(open) => self.pair_open(open),
            Request::PairDevice(pair) => self.pair_device(pair),
            Request::PairStatus { code } => self.pair_status(code.as_deref()),
            Request::PairCancel { code } => self.pair_cancel(code),
            Request::PairImport(import) => self.pair_import(import),
            Request::GatewaysList => self.list_gateways(),
            Request::GatewaysAdd(add) => self.add_gateway(add),
            Request::GatewaysRemove { eui } => self.remove_gateway(eui),
            Request::DevicesFlushNonces { device } => self.flush_nonces(device),
            Request::Enroll(_) => bail!("enrolment is answered by the uplink, not by the core"),
        }
    }

    fn add_unit(&mut self, add: &UnitsAdd) -> Result<Value> {
        if self.is_enrolled()? {
            bail!("this hub is enrolled: units are made in the central product and come down by themselves");
        }
        check_name(&add.name)?;
        if self.registry.find_unit(&add.name).is_some() {
            bail!("there is a unit named {:?} already", add.name);
        }
        if self.registry.units.len() >= UNITS_MAX {
            bail!("a hub holds at most {UNITS_MAX} units");
        }
        let Some(unit_type) = UnitType::parse(&add.unit_type) else {
            let known: Vec<&str> = UnitType::ALL.iter().map(|known| known.as_str()).collect();
            bail!("unit type {:?} is not known; use one of {}", add.unit_type, known.join(", "));
        };
        let scale = match add.temp_unit.as_deref() {
            None => self.settings.scale,
            Some(text) => Scale::parse(&text.to_ascii_uppercase())
                .ok_or_else(|| anyhow::anyhow!("temperature unit {text:?} is not known; use C or F"))?,
        };
        let (temp_min, temp_max) = limits(unit_type, scale, add.min, add.max)?;
        self.flush()?;
        let stamp = self.stamp_now();
        let now_ms = self.wall_of(stamp).0.0;
        let unit = UnitRow {
            no: UnitNo(0),
            id: frostguard_sync::ids::time_ordered_id(now_ms, self.random_bytes()),
            name: add.name.clone(),
            unit_type,
            scale,
            temp_min,
            temp_max,
            manual_required: false,
            manual_interval_min: None,
            is_active: true,
            removed_ms: None,
        };
        let area = self.place.area;
        let tx = self.store.transaction()?;
        let no = rows::insert_unit(&tx, &unit, area, now_ms)?;
        tx.commit()?;
        self.configure()?;
        let fields = [
            ("name", add.name.clone().into()),
            ("type", unit_type.as_str().into()),
            ("temp_min", temp_min.into()),
            ("temp_max", temp_max.into()),
            ("temp_unit", scale.as_str().into()),
        ];
        self.note_by(Actor::Installer, UNIT_ADDED, Entity::Unit(no), fields, stamp.mono);
        self.flush()?;
        let said =
            format!("added {} ({unit_type}), limits {}", add.name, show::limits(temp_min, temp_max, scale));
        Ok(json!({ "said": said, "id": unit.id, "no": no.0 }))
    }

    fn add_device(&mut self, add: &DevicesAdd) -> Result<Value> {
        let codecs = self.settings.codecs.clone();
        let model = match add.model.as_deref() {
            None => None,
            Some(name) => Some(codecs.find(name).ok_or_else(|| {
                anyhow::anyhow!(
                    "no codec for model {name:?}; `frostguard-hub devices models` lists the known ones"
                )
            })?),
        };
        if self.registry.devices.len() >= DEVICES_MAX {
            bail!("a hub holds at most {DEVICES_MAX} devices");
        }
        for text in add.name.iter().chain([&add.address]).chain(&add.port) {
            check_name(text)?;
        }
        if let Some(seconds) = add.check_in_s.filter(|seconds| !CHECK_IN_S.contains(seconds)) {
            bail!("a check-in every {seconds} s is outside {} to {} s", CHECK_IN_S.start(), CHECK_IN_S.end());
        }
        let probe = match add.probe.as_deref() {
            None => model.map_or(Probe::INTERNAL, |model| model.measuring),
            Some(text) => parse_probe(text)?,
        };
        let unit = add.unit.as_deref().map(|text| self.unit_named(text)).transpose()?;
        let device = self.new_device(add, model.map_or("", |model| model.name))?;
        self.flush_decoded()?;
        let stamp = self.stamp_now();
        let now_ms = self.wall_of(stamp).0.0;
        let hub = self.place.hub;
        let tx = self.store.transaction()?;
        let no = rows::insert_device(&tx, &device, hub, now_ms)?;
        if let Some(unit) = unit {
            let is_measuring = model.is_none_or(|model| model.measuring == probe);
            rows::assign(&tx, no, (probe, is_measuring), Some(unit), stamp, now_ms)?;
        }
        mark_dirty(&tx, "devices", device.id)?;
        tx.commit()?;
        self.configure()?;
        let fields = [
            ("eui", device.eui.clone().into()),
            ("model", device.model.clone().into()),
            ("address", device.address.clone().into()),
            ("probe", probe.to_string().into()),
            ("unit_no", unit.map(|unit| unit.0).into()),
            ("authenticated", device.is_authenticated.into()),
        ];
        self.note_by(Actor::Installer, DEVICE_PAIRED, Entity::Device(no), fields, stamp.mono);
        self.flush()?;
        let at =
            add.unit.as_deref().map_or("; assign it to a unit next".to_owned(), |unit| format!(" to {unit}"));
        let said = format!("paired {}{at}", device.name.as_deref().unwrap_or(&device.address));
        let warning = device.source.and_then(|source| self.doubt_of(source, &device.port));
        Ok(json!({ "said": said, "id": device.id, "no": no.0, "eui": device.eui, "warning": warning }))
    }

    fn assign_device(&mut self, assign: &DevicesAssign) -> Result<Value> {
        let Some(device) = self.registry.find_device(&assign.device) else {
            bail!("no device {:?}: `frostguard-hub devices list` shows the paired ones", assign.device);
        };
        let (no, id, name) =
            (device.no, device.id, device.name.clone().unwrap_or_else(|| device.eui.clone()));
        let measuring = self.settings.codecs.measuring_of(&device.model);
        let probe = assign.probe.as_deref().map_or(Ok(measuring), parse_probe)?;
        let unit = assign.unit.as_deref().map(|text| self.unit_named(text)).transpose()?;
        self.flush_decoded()?;
        let stamp = self.stamp_now();
        let now_ms = self.wall_of(stamp).0.0;
        let tx = self.store.transaction()?;
        rows::assign(&tx, no, (probe, probe == measuring), unit, stamp, now_ms)?;
        mark_dirty(&tx, "devices", id)?;
        tx.commit()?;
        self.configure()?;
        let event_type = if unit.is_some() { DEVICE_ASSIGNED } else { DEVICE_UNASSIGNED };
        let fields = [
            ("probe", probe.to_string().into()),
            ("unit_no", unit.map(|unit| unit.0).into()),
            ("unit", assign.unit.clone().into()),
        ];
        self.note_by(Actor::Installer, event_type, Entity::Device(no), fields, stamp.mono);
        self.flush()?;
        let said = match &assign.unit {
            Some(unit) => format!("probe {probe} of {name} measures {unit} now"),
            None => format!("probe {probe} of {name} measures nothing now"),
        };
        Ok(json!({ "said": said }))
    }

    fn unit_named(&self, text: &str) -> Result<UnitNo> {
        match self.registry.find_unit(text) {
            Some(unit) => Ok(unit.no),
            None => bail!("no unit {text:?}: `frostguard-hub units list` shows them"),
        }
    }

    fn new_device(&mut self, add: &DevicesAdd, model: &str) -> Result<DeviceRow> {
        let named = self.name_sender(&add.address, add.source.as_deref(), add.port.as_deref())?;
        let taken = self.registry.devices.iter().any(|device| {
            let is_there = device.source == named.source && device.port == named.port;
            device.eui == named.eui || (is_there && device.address == named.address)
        });
        if taken {
            bail!("{} is paired already: `frostguard-hub devices assign` moves it", add.address);
        }
        let stamp = self.stamp_now();
        Ok(DeviceRow {
            no: DeviceNo(0),
            id: frostguard_sync::ids::time_ordered_id(self.wall_of(stamp).0.0, self.random_bytes()),
            name: add.name.clone().or_else(|| (!named.is_eui).then(|| add.address.clone())),
            eui: named.eui,
            model: model.to_owned(),
            source: named.source,
            port: named.port,
            address: named.address,
            is_authenticated: named.is_eui && add.source.as_deref() != Some("serial"),
            check_in_s: add.check_in_s,
            is_active: true,
            battery: None,
        })
    }

    /// A sender as people name it: an EUI, or an address with where it is heard.
    pub(super) fn name_sender(
        &self,
        address: &str,
        source: Option<&str>,
        port: Option<&str>,
    ) -> Result<Named> {
        // What a broker or a line of text brings may say an EUI; the others' addresses are their own.
        let has_euis = source.is_none_or(|source| matches!(source, "mqtt" | "serial"));
        if let Some(eui) = eui_of(address).filter(|_| has_euis) {
            let address = eui.clone();
            return Ok(Named { source: None, port: String::new(), address, eui, is_eui: true });
        }
        let (Some(source), Some(port)) = (source, port) else {
            bail!(
                "{address:?} is no EUI (16 hex digits): say with --source and --port where it is heard, as `devices strangers` \
                 shows"
            );
        };
        let source = source_named(source)?;
        for text in [address, port] {
            check_name(text)?;
        }
        let address = match source {
            // As the source writes it, whatever a label or an app does.
            Source::Ble => address.to_ascii_uppercase(),
            _ => address.to_owned(),
        };
        let eui = local_eui(self.epoch.epoch, source, port, &address);
        Ok(Named { source: Some(source), port: port.to_owned(), address, eui, is_eui: false })
    }

    pub(crate) fn is_enrolled(&self) -> Result<bool> {
        Ok(self
            .store
            .connection()
            .query_row("SELECT count(*) FROM hub_link", [], |row| row.get::<_, i64>(0))?
            > 0)
    }
}

/// A sender by its name.
pub(super) struct Named {
    /// None: it has an EUI, and is the same one wherever it is heard.
    pub source: Option<Source>,
    pub port: String,
    pub address: String,
    pub eui: String,
    pub is_eui: bool,
}

/// The EUI of a sender that has none: first 8 bytes of SHA-256(epoch, source, port, address), local bit set.
fn local_eui(epoch: Epoch, source: Source, port: &str, address: &str) -> String {
    let hash = frostguard_sync::ids::sha256(&[
        &epoch.0,
        source.as_str().as_bytes(),
        b"\0",
        port.as_bytes(),
        b"\0",
        address.as_bytes(),
    ]);
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash[..8]);
    // The locally administered bit of IEEE 802 addresses, and not a group.
    bytes[0] = (bytes[0] | 0x02) & 0xfe;
    frostguard_sync::ids::hex(&bytes).to_ascii_uppercase()
}

/// What a plain sender is heard by.
pub(super) fn source_named(text: &str) -> Result<Source> {
    let source = Source::ALL.into_iter().find(|known| known.as_str() == text);
    match source.filter(|source| !matches!(source, Source::Lorawan | Source::Import)) {
        Some(source) => Ok(source),
        None => bail!("source {text:?} is not known; use serial, mqtt, modbus, onewire, current or ble"),
    }
}

fn parse_probe(text: &str) -> Result<Probe> {
    Probe::parse(text)
        .ok_or_else(|| anyhow::anyhow!("probe {text:?} is not known; use internal, external or a number"))
}

pub(super) fn check_name(name: &str) -> Result<()> {
    if name.trim().is_empty() || name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        bail!("a name has 1 to {NAME_CHARS_MAX} characters and no control characters");
    }
    Ok(())
}

/// Limits in tenths: as given, else the defaults of domain.md section 3.
fn limits(unit_type: UnitType, scale: Scale, min: Option<f64>, max: Option<f64>) -> Result<(i32, i32)> {
    let defaults = match (unit_type, scale) {
        (UnitType::BlastChiller, _) => None,
        (kind, Scale::C) if kind.is_freezer() => Some((-250, -180)),
        (kind, Scale::F) if kind.is_freezer() => Some((-100, 0)),
        (_, Scale::C) => Some((0, 50)),
        (_, Scale::F) => Some((330, 410)),
    };
    let tenths = |degrees: f64| {
        // Far outside anything a kitchen has; also what is not a number.
        if (-100.0..=300.0).contains(&degrees) {
            Ok((degrees * 10.0).round() as i32)
        } else {
            bail!("{degrees} is no temperature limit")
        }
    };
    let (Some(low), Some(high)) = (
        min.map(tenths).transpose()?.or(defaults.map(|d| d.0)),
        max.map(tenths).transpose()?.or(defaults.map(|d| d.1)),
    ) else {
        bail!("a blast chiller has no usual limits: give --min and --max");
    };
    if let Err(reason) = snapshot_check::local_limits(low, high, scale, unit_type) {
        bail!("{reason}");
    }
    Ok((low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_fall_back_to_the_type() {
        for (unit_type, scale, min, max, want) in [
            (UnitType::Fridge, Scale::C, None, None, Some((0, 50))),
            (UnitType::Fridge, Scale::F, None, None, Some((330, 410))),
            (UnitType::WalkInFreezer, Scale::C, None, None, Some((-250, -180))),
            (UnitType::Freezer, Scale::F, None, Some(5.0), Some((-100, 50))),
            (UnitType::BlastChiller, Scale::C, None, Some(5.0), None),
            (UnitType::BlastChiller, Scale::C, Some(-5.25), Some(5.0), Some((-53, 50))),
            (UnitType::Fridge, Scale::C, Some(6.0), None, None),
            (UnitType::Fridge, Scale::C, Some(f64::NAN), None, None),
            // What would never alarm: as refused as from central.
            (UnitType::Freezer, Scale::F, None, Some(200.0), None),
            (UnitType::Fridge, Scale::C, Some(-90.0), None, None),
        ] {
            assert_eq!(
                limits(unit_type, scale, min, max).ok(),
                want,
                "{unit_type} {scale:?} {min:?} {max:?}"
            );
        }
    }

    #[test]
    fn a_local_eui_is_local_and_stable() {
        let epoch = Epoch([7; 16]);
        let eui = local_eui(epoch, Source::Serial, "lora0", "50");
        assert_eq!(eui, local_eui(epoch, Source::Serial, "lora0", "50"));
        assert_ne!(eui, local_eui(epoch, Source::Serial, "lora", "050"));
        assert_eq!(eui_of(&eui).as_ref(), Some(&eui));
        let first = u8::from_str_radix(&eui[..2], 16).expect("hex");
        assert_eq!(first & 0x03, 0x02, "local, not a group");
    }
}
