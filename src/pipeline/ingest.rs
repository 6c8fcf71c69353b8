//! One frame to its readings, doors and faults: decode, identify, calibrate, judge. Nothing is written here; what must
//! be written joins the open group.

use crate::audit::Entity;
use crate::audit::event_types::DEVICE_TWO_SENDERS;
use crate::codec::script::{Call, ScriptError};
use crate::codec::{CodecError, DoorState, Fault, Measurement, Quantity};
use crate::domain::{DeviceNo, MonoMs, Probe, Seq, Source, Stamp, UnitNo, UnixMs};
use crate::frame::{Frame, Payload, Sender};
use crate::lorawan::ids::Eui;
use crate::rules::{BatteryClass, Event, ReadingEvent};
use crate::store::frames::{FrameRow, Outcome};
use crate::store::log::LogRow;

use super::duplicates::Judged;
use super::group::{FrameKey, Write};
use super::live::{Contact, DoorChange};
use super::reading_time::{ReadingTime, Times};
use super::{Core, scripted};

/// Readings of one frame: histories hold a few dozen; more is a broken frame.
const MEASUREMENTS_MAX: usize = 256;
pub(super) const NO_MODEL: &str = "no model is set for this device: give it one by `devices add --model`";

/// What became of a frame.
pub(super) struct Fate {
    pub outcome: Outcome,
    pub detail: Option<String>,
    device: Option<DeviceNo>,
}

impl Core {
    /// Takes one frame all the way to the open group; where a script must read it, its bytes first.
    pub(super) fn take_frame(&mut self, frame: &Frame, is_kept: bool) {
        let at = self.not_before(frame.at);
        let stamp = Stamp { segment: self.segment, mono: at };
        self.counters.add("frames.heard", &frame.sender.port, 1);
        let device = self.registry.device_of(&frame.sender).map(|device| device.no);
        let is_impostor = self.is_impostor(&frame.sender);
        let device = device.filter(|_| !is_impostor);
        let judged = if is_impostor {
            // What the device itself says later is no repeat of it.
            Judged { dedup: 0, repeat: None }
        } else {
            self.duplicates.judge(frame, self.tick_at(at))
        };
        // What is not kept comes again, and is judged now like any other that is not.
        let waiting =
            device.filter(|device| is_kept && judged.repeat.is_none() && self.needs_script(frame, *device));
        let fate = match judged.repeat {
            Some(repeat) => {
                Fate { outcome: Outcome::Duplicate, detail: Some(repeat.as_str().to_owned()), device }
            }
            None if waiting.is_some() => {
                let detail = Some(scripted::NOT_RUN_YET.to_owned());
                Fate { outcome: Outcome::Undecodable, detail, device }
            }
            None => self.judge_frame(frame, device, stamp),
        };
        match waiting {
            Some(device) => {
                self.wait_for_script(frame, device, FrameKey { stamp, dedup: judged.dedup });
            }
            None => {
                self.counters.add(&format!("frames.{}", fate.outcome.as_str()), &frame.sender.port, 1);
            }
        }
        if let Payload::Raw { reason, .. } = &frame.payload {
            self.counters.add("frames.raw", reason, 1);
        }
        self.group.push(Write::Frame(Box::new(FrameRow {
            stamp,
            source: frame.sender.source,
            port: frame.sender.port.clone(),
            address: frame.sender.address.clone(),
            device: fate.device,
            f_port: match &frame.payload {
                Payload::Binary { f_port, .. } => Some(*f_port),
                _ => None,
            },
            counter: frame.identity.counter,
            rssi: frame.rssi,
            dedup: judged.dedup,
            outcome: fate.outcome,
            detail: fate.detail,
            bytes: frame.payload.bytes().to_vec(),
        })));
    }

    /// A wire, a plain radio or a broker names any EUI it likes. A device that joined here signs what it says, so that
    /// nobody else is believed in its name.
    fn is_impostor(&mut self, sender: &Sender) -> bool {
        let joined =
            || self.network.as_ref()?.lns.device(Eui::parse(&sender.address)?).filter(|it| it.was_heard());
        let own = self.settings.lorawan.as_ref().map(|section| section.name.as_str());
        let is_own = sender.source == Source::Lorawan && own == Some(sender.port.as_str());
        let is_impostor = sender.is_eui && !is_own && joined().is_some();
        if is_impostor {
            let Sender { port, address, .. } = sender;
            self.counters.add("devices.impostors", port, 1);
            if self.impostors.is_news(address, port) {
                tracing::warn!(
                    source.port = %port,
                    "{port} speaks for {address}, which joined this hub's own network: only what the device itself signs is \
                     believed; take it out of the other network"
                );
            }
        }
        is_impostor
    }

    pub(super) fn judge_frame(&mut self, frame: &Frame, device: Option<DeviceNo>, stamp: Stamp) -> Fate {
        let Some(device) = device else {
            return Fate { outcome: Outcome::Stranger, detail: frame.model.clone(), device: None };
        };
        let measurements = match self.decode(frame, device, stamp) {
            Ok(measurements) => measurements,
            Err(reason) => {
                return Fate { outcome: Outcome::Undecodable, detail: Some(reason), device: Some(device) };
            }
        };
        self.note_live(device, frame, &measurements, stamp.mono);
        self.tell_senders_apart(frame, device, stamp);
        let readings = self.take_temperatures(frame, device, &measurements, stamp);
        let faults = self.take_faults(frame, device, &measurements, stamp);
        // Where the door was when the gateway could not tell the hub is not where it is.
        let doors = if frame.is_delayed { 0 } else { self.take_doors(device, &measurements, stamp) };
        let temperatures = || measurements.iter().filter(|m| matches!(m.quantity, Quantity::Temperature(_)));
        let measures = temperatures().next().is_some();
        let is_assigned = temperatures().any(|m| self.registry.unit_of(device, m.probe).is_some());
        let outcome = match (readings, faults, doors) {
            (1.., _, _) => Outcome::Reading,
            (0, 1.., _) => Outcome::Fault,
            (0, 0, 1..) => Outcome::Event,
            // A temperature that no column can hold, or of a time that cannot be believed.
            _ if is_assigned => Outcome::Fault,
            _ if measures => Outcome::Unassigned,
            _ => Outcome::Event,
        };
        Fate { outcome, detail: None, device: Some(device) }
    }

    fn decode(&mut self, frame: &Frame, device: DeviceNo, stamp: Stamp) -> Result<Vec<Measurement>, String> {
        let named = Some(self.model_of(device)).filter(|model| !model.is_empty());
        let model = named.or(frame.model.as_deref()).unwrap_or_default().to_owned();
        self.decode_as(&model, frame, stamp.mono)
    }

    /// The model that the device was paired as; empty: none.
    pub(super) fn model_of(&self, device: DeviceNo) -> &str {
        self.registry.device(device).map_or("", |device| device.model.as_str())
    }

    /// Decodes a frame as one of this model ("vendor/model", or empty), which values that their source names do not need.
    pub(super) fn decode_as(
        &mut self,
        model: &str,
        frame: &Frame,
        at: MonoMs,
    ) -> Result<Vec<Measurement>, String> {
        let (f_port, bytes) = match &frame.payload {
            Payload::Values { measurements, .. } => return bounded(measurements.clone()),
            Payload::Raw { reason, .. } => return Err(reason.clone()),
            Payload::Binary { f_port, bytes } => (*f_port, bytes),
        };
        if model.is_empty() {
            return Err(NO_MODEL.into());
        }
        let Frame { network_time: network, is_delayed, .. } = *frame;
        let times = Times { reception: self.wall_now(at), network, is_delayed, ..Times::default() };
        self.decode_payload(model, f_port, bytes, times.sent())
    }

    /// Decodes a payload; what a script does wrong is counted, and what one that is set aside does not decode.
    pub(super) fn decode_payload(
        &mut self,
        model: &str,
        f_port: u8,
        bytes: &[u8],
        received: Option<UnixMs>,
    ) -> Result<Vec<Measurement>, String> {
        let scripts = &mut self.scripts;
        // Devices and network servers may spell it otherwise.
        let name = model.to_ascii_lowercase();
        let run = &mut |call: &Call<'_>| scripts.run(&name, call);
        let decoded = self.settings.codecs.decode(model, f_port, bytes, received, run).map_err(|error| {
            match &error {
                CodecError::Script(ScriptError::SetAside { .. }) => {
                    self.counters.add("scripts.set_aside", &name, 1);
                }
                CodecError::Script(script) => self.counters.add("scripts.errors", script.kind(), 1),
                _ => {}
            }
            error.to_string()
        })?;
        if decoded.warnings > 0 {
            self.counters.add("scripts.warnings", &name, u64::from(decoded.warnings));
        }
        bounded(decoded.measurements)
    }

    fn take_temperatures(
        &mut self,
        frame: &Frame,
        device: DeviceNo,
        all: &[Measurement],
        stamp: Stamp,
    ) -> usize {
        let battery = self.live.battery(device);
        let mut taken = 0;
        for measurement in all {
            let Quantity::Temperature(raw) = measurement.quantity else { continue };
            let probe = measurement.probe;
            let Some(unit) = self.registry.unit_of(device, probe) else { continue };
            let Some(scale) = self.registry.unit(unit).map(|unit| unit.scale) else { continue };
            let times = self.times_of(frame, (device, unit), all, measurement, stamp);
            let Ok(time) = ReadingTime::of(times) else {
                self.counters.add("readings.implausible_time", &frame.sender.port, 1);
                continue;
            };
            let is_late = time.is_late(self.live.newest(device, probe));
            let known = time.own().or(times.reception);
            let calibrations = self.registry.calibrations(device);
            let Ok(temperature) = calibrations.temperature(raw, known, scale) else {
                self.counters.add("probe.faults", "out_of_range", 1);
                if !is_late {
                    self.take_input(Event::Faulty { unit, device, probe }, stamp);
                }
                continue;
            };
            // Only the probe's own: the body of an LHT65N measures the kitchen's humidity, not the fridge's.
            let humidity = all.iter().find_map(|other| match other.quantity {
                Quantity::Humidity(value) if other.at == measurement.at && other.probe == probe => {
                    Some(value)
                }
                _ => None,
            });
            let humidity = humidity.map(|raw| calibrations.humidity(raw, known));
            let recorded = time.own().unwrap_or_else(|| self.wall_of(stamp).0);
            let seq = self.next_seq();
            self.group.push(Write::Log(LogRow {
                epoch_no: self.epoch.no,
                seq,
                unit,
                device,
                is_late,
                source: frame.sender.source,
                probe,
                temperature,
                humidity,
                battery,
                rssi: frame.rssi.map(|dbm| dbm.clamp(-300, 100)),
                stamp,
                own_time: time.own(),
            }));
            if !is_late {
                self.live.note_reading(device, probe, recorded);
                self.live.note_unit(unit, temperature, humidity, recorded.0);
            }
            let event = ReadingEvent {
                unit,
                device,
                probe,
                temperature,
                is_late,
                measured_ms: time.own().map(|own| own.0),
            };
            self.judge(&Event::Reading(event), stamp.mono, Seq(seq.0 - 1));
            taken += 1;
        }
        taken
    }

    /// What is known of a value's time.
    fn times_of(
        &self,
        frame: &Frame,
        (device, unit): (DeviceNo, UnitNo),
        all: &[Measurement],
        of: &Measurement,
        stamp: Stamp,
    ) -> Times {
        let says = |m: &Measurement| is_of_probe(m) && m.probe == of.probe;
        let is_newer = |m: &Measurement| m.at.is_none_or(|at| of.at.is_some_and(|own| own < at));
        let is_newest = !all.iter().any(|other| says(other) && is_newer(other));
        Times {
            reception: self.wall_now(stamp.mono),
            network: frame.network_time,
            is_delayed: frame.is_delayed,
            inside: of.at,
            present_ms: is_newest.then(|| self.rules.silence_ms(unit, device, of.probe)).flatten(),
        }
    }

    fn take_faults(&mut self, frame: &Frame, device: DeviceNo, all: &[Measurement], stamp: Stamp) -> usize {
        let mut taken = 0;
        for measurement in all {
            let Quantity::Fault(fault) = measurement.quantity else { continue };
            let Some(unit) = self.registry.unit_of(device, measurement.probe) else { continue };
            let time = ReadingTime::of(self.times_of(frame, (device, unit), all, measurement, stamp));
            let newest = self.live.newest(device, measurement.probe);
            let is_past = measurement.at.is_some() || frame.is_delayed;
            if is_past && !time.is_ok_and(|time| !time.is_late(newest)) {
                continue;
            }
            self.counters.add("probe.faults", fault.as_str(), 1);
            // The temperature beside a broken humidity is as good as ever.
            if fault != Fault::Humidity {
                self.take_input(Event::Faulty { unit, device, probe: measurement.probe }, stamp);
                taken += 1;
            }
        }
        taken
    }

    fn take_doors(&mut self, device: DeviceNo, all: &[Measurement], stamp: Stamp) -> usize {
        let mut taken = 0;
        for measurement in all.iter().filter(|m| m.at.is_none()) {
            let Quantity::Door(state) = measurement.quantity else { continue };
            let Some(unit) = self.door_unit(device, measurement.probe) else { continue };
            let contact = Contact { device, probe: measurement.probe, unit };
            if let Some(change) = self.live.note_door(contact, state == DoorState::Open, stamp.mono) {
                let DoorChange { is_open, open_for_ms } = change;
                self.counters.add("doors.changes", "", 1);
                let seq = self.take_input(Event::Door { unit, device, is_open }, stamp);
                self.group.push(Write::Door { unit, device, is_open, stamp, seq, open_for_ms });
            }
            taken += 1;
        }
        taken
    }

    fn door_unit(&self, device: DeviceNo, probe: Probe) -> Option<UnitNo> {
        // A second contact that is assigned to nothing is not mounted: it would be open for ever.
        let usual = || self.registry.any_unit_of(device).filter(|_| probe == Probe::INTERNAL);
        self.registry.unit_of(device, probe).or_else(usual)
    }

    fn note_live(&mut self, device: DeviceNo, frame: &Frame, all: &[Measurement], at: MonoMs) {
        // A battery that was low when the gateway could not tell the hub may be another one by now.
        let percent = all.iter().filter(|_| !frame.is_delayed).find_map(|m| match m.quantity {
            Quantity::BatteryPercent(percent) => Some(i32::from(percent)),
            _ => None,
        });
        let rssi = frame.rssi.or_else(|| {
            all.iter().find_map(|m| match m.quantity {
                Quantity::Rssi(dbm) => Some(dbm),
                _ => None,
            })
        });
        self.live.note_device(device, percent, rssi, at);
        self.live.note_port(device, &frame.sender.port);
        for measurement in all.iter().filter(|m| is_of_probe(m)) {
            self.live.note_probe(device, measurement.probe);
        }
        if let Some(percent) = percent {
            self.hear_battery(device, percent.clamp(0, 100) as u8, at);
        }
    }

    /// An address that anybody can take may be taken twice.
    fn tell_senders_apart(&mut self, frame: &Frame, device: DeviceNo, stamp: Stamp) {
        let is_authenticated = self.registry.device(device).is_none_or(|device| device.is_authenticated);
        let Some(counter) = frame.identity.counter.filter(|_| !is_authenticated) else { return };
        let Some(are_two) = self.senders.hear(device, counter) else { return };
        if are_two {
            self.counters.add("devices.two_senders", &frame.sender.port, 1);
            self.note(DEVICE_TWO_SENDERS, Entity::Device(device), [], stamp.mono);
        }
        if let Some(unit) = self.registry.any_unit_of(device) {
            self.take_input(Event::Senders { unit, device, are_two }, stamp);
        }
    }

    /// The rules hear of a battery when it goes into another class, not with every frame.
    fn hear_battery(&mut self, device: DeviceNo, percent: u8, at: MonoMs) {
        let Some(unit) = self.registry.any_unit_of(device) else { return };
        let class = BatteryClass::of(percent, &self.settings.constants);
        if self.rules.is_battery_news(unit, device, class) {
            let stamp = Stamp { segment: self.segment, mono: at };
            self.take_input(Event::Battery { unit, device, percent }, stamp);
        }
    }
}

/// A fault is news of a probe like a temperature; that of its humidity is not.
fn is_of_probe(measurement: &Measurement) -> bool {
    match measurement.quantity {
        Quantity::Temperature(_) => true,
        Quantity::Fault(fault) => fault != Fault::Humidity,
        _ => false,
    }
}

fn bounded(measurements: Vec<Measurement>) -> Result<Vec<Measurement>, String> {
    if measurements.len() > MEASUREMENTS_MAX {
        return Err(format!(
            "{} values in one frame, over the limit of {MEASUREMENTS_MAX}",
            measurements.len()
        ));
    }
    Ok(measurements)
}
