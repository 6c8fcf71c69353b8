//! Sensors that join nowhere: what a radio, a broker, Bluetooth or a wire brings. One is named by where it is heard and by its
//! address there, and is paired by its first frame that can be decoded.

use anyhow::{Result, bail};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::codec::{Measurement, Quantity};
use crate::control::PairDevice;
use crate::domain::{DeviceNo, MonoMs, Probe, Source};
use crate::frame::{Frame, Sender};
use crate::lorawan::ids::Eui;
use crate::lorawan::qr;
use crate::pipeline::requests::source_named;
use crate::pipeline::{Core, report};
use crate::store::pairing::{self as rows, Status};
use crate::store::registry::DeviceRow;

use super::{Found, Over, Pairing};

impl Core {
    pub(super) fn pair_sender(&mut self, pair: &PairDevice, source: &str) -> Result<Value> {
        let id = self.open_pairing(&pair.code)?;
        if pair.key.is_some() || pair.personal.is_some() || pair.version.is_some() {
            bail!("a sensor that is named by --source does not join at the hub and has no key there");
        }
        let address = pair.device.trim();
        if !matches!(qr::parse(address), Err(qr::LabelError::NotALabel)) {
            // Not repeated: a label may hold a key.
            bail!("that is the label of a sensor that joins: name it without --source");
        }
        let named = self.name_sender(address, Some(source), pair.port.as_deref())?;
        let sender = Sender {
            source: source_named(source)?,
            port: named.port,
            address: named.address,
            is_eui: named.is_eui,
        };
        self.refuse_paired(&named.eui, &sender)?;
        let is_other = |open: &&Pairing| open.row.id != id && open.row.about.sender.as_ref() == Some(&sender);
        if let Some(other) = self.pairings.iter().find(is_other) {
            bail!("{} is being paired by session {}: `frostguard-hub pair status`", sender, other.row.code);
        }
        let mut row = self.pairing(id)?.row.clone();
        self.describe(&mut row.about, pair.unit.as_deref(), pair.model.as_deref(), pair.name.as_deref())?;
        let former = row.about.dev_eui.map(|dev_eui| self.as_before(dev_eui));
        (row.about.dev_eui, row.about.join_eui, row.about.version) = (None, None, None);
        row.about.sender = Some(sender.clone());
        self.flush()?;
        let stamp = self.stamp_now();
        let (now, epoch_no) = (self.wall_of(stamp).0, self.epoch.no);
        self.store.write(|tx| {
            rows::put(tx, &row, now)?;
            former.as_ref().map_or(Ok(()), |former| former.write(tx, epoch_no))
        })?;
        if let Some(former) = former {
            self.take_back(former);
        }
        if let Some(open) = self.pairings.iter_mut().find(|open| open.row.id == id) {
            *open = Pairing { row, ..Pairing::new(open.row.clone(), open.until) };
        }
        let is_known = sender.is_eui || self.sources.contains_key(&sender.port);
        let doubt =
            if is_known { "" } else { "; no source of that name was up yet, see `frostguard-hub status`" };
        let said = format!("waiting for the first frame of {sender}; switch it on now{doubt}");
        Ok(json!({ "said": said, "eui": named.eui }))
    }

    /// Where no source is configured by which a sender could be heard; it may come later.
    pub(in crate::pipeline) fn doubt_of(&self, source: Source, port: &str) -> Option<String> {
        let sources = &self.settings.sources;
        if sources.iter().any(|(kind, name)| *kind == source && name == port) {
            return None;
        }
        let known: Vec<String> =
            sources.iter().map(|(kind, name)| format!("{name} ({})", kind.as_str())).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let source = source.as_str();
        Some(format!(
            "no {source} source is named {port:?}, so that nothing is heard of it; configured are: {known}"
        ))
    }

    /// What is a device already, or joins here, is not paired by a plain frame.
    fn refuse_paired(&self, eui: &str, sender: &Sender) -> Result<()> {
        let same = |device: &DeviceRow| {
            let is_there = device.source == Some(sender.source)
                && device.port == sender.port
                && device.address == sender.address;
            device.eui == eui || is_there
        };
        match self.registry.devices.iter().find(|device| same(device)) {
            Some(device) if device.is_active => {
                bail!("{} is paired already: `frostguard-hub devices assign` moves it", sender.address)
            }
            Some(_) => bail!("{}", switched_off(&sender.address)),
            None => {}
        }
        let known = rows::known_device(self.store.connection(), eui)?;
        if known.is_some_and(|known| !known.is_active) {
            bail!("{}", switched_off(&sender.address));
        }
        let joins = Eui::parse(&sender.address).filter(|_| sender.is_eui);
        let joins = joins
            .filter(|eui| self.network.as_ref().is_some_and(|network| network.lns.device(*eui).is_some()));
        if let Some(eui) = joins {
            bail!("{eui} joins at the hub itself: name it without --source, with its key");
        }
        Ok(())
    }

    /// The first frame of a sensor that a session waits for makes it a device, before the frame is judged as that device's.
    pub(in crate::pipeline) fn complete_joinless(&mut self, frame: &Frame, now: MonoMs) {
        let waits = |open: &&Pairing| {
            open.row.about.sender.as_ref().is_some_and(|sender| is_of(&frame.sender, sender))
        };
        let Some(open) = self.pairings.iter().find(waits) else { return };
        let (id, named) = (open.row.id, open.row.about.model.clone());
        if self.registry.device_of(&frame.sender).is_some() {
            let reason = "it was added as a device meanwhile".to_owned();
            report(self.end_pairing(id, Status::Failed, reason), "end a pairing session");
            return;
        }
        let model = named.or_else(|| frame.model.clone()).unwrap_or_default();
        let measurements = match self.decode_as(&model, frame, now) {
            Ok(measurements) if measurements.is_empty() => return,
            Ok(measurements) => measurements,
            Err(reason) => {
                if let Some(open) = self.pairings.iter_mut().find(|open| open.row.id == id) {
                    open.troubles = open.troubles.saturating_add(1);
                    open.trouble = Some(reason);
                }
                return;
            }
        };
        match self.try_complete_joinless(id, frame, &model, &measurements) {
            Ok(name) => tracing::info!("paired {name}"),
            // Its next frame tries again.
            Err(error) => report(Err(error), "complete a pairing session"),
        }
    }

    fn try_complete_joinless(
        &mut self,
        id: Uuid,
        frame: &Frame,
        model: &str,
        measurements: &[Measurement],
    ) -> Result<String> {
        self.flush()?;
        let stamp = self.stamp_now();
        let row = self.pairing(id)?.row.clone();
        let codecs = self.settings.codecs.clone();
        let model = codecs.find(model);
        let sender = &frame.sender;
        let named =
            self.name_sender(&sender.address, Some(sender.source.as_str()), Some(sender.port.as_str()))?;
        let measured = measurements.iter().find(|m| matches!(m.quantity, Quantity::Temperature(_)));
        let probe = match model {
            Some(model) => model.measuring,
            // Its frames say what they measure themselves.
            None => measured.map_or(Probe::INTERNAL, |measurement| measurement.probe),
        };
        // One that central made before it was ever heard here keeps central's id.
        let known = rows::known_device(self.store.connection(), &named.eui)?;
        let device = DeviceRow {
            no: DeviceNo(0),
            id: known.map_or_else(|| self.new_id(stamp), |known| known.id),
            name: row.about.name.clone().or_else(|| (!named.is_eui).then(|| named.address.clone())),
            eui: named.eui,
            model: model.map_or_else(String::new, |model| model.name.to_owned()),
            source: named.source,
            port: named.port,
            address: named.address,
            // A network server behind a broker has checked who it is; nobody has for the rest.
            is_authenticated: named.is_eui && sender.source == Source::Mqtt,
            check_in_s: None,
            is_active: true,
            battery: None,
        };
        self.finish_pairing(row, Found { device, is_new: true, probe }, stamp, |_, _| Ok(()))
    }
}

impl Pairing {
    pub(super) fn over_of(&self, sender: &Sender) -> Over {
        match self.undecoded() {
            Some(reason) => Over::Ended(Status::Failed, reason),
            None => Over::Ended(
                Status::Expired,
                format!(
                    "{sender} was not heard in time; check that it is on, and its address in `frostguard-hub devices strangers`"
                ),
            ),
        }
    }

    /// What its frames that were heard lack.
    pub(super) fn undecoded(&self) -> Option<String> {
        let (count, reason) = (self.troubles, self.trouble.as_ref()?);
        let frames = if count == 1 { "a frame was" } else { "frames were" };
        Some(format!(
            "{frames} heard and could not be decoded: {reason}; say what it is by `frostguard-hub pair device ... --model`"
        ))
    }
}

fn switched_off(address: &str) -> String {
    format!("{address} is switched off in the central product: activate it there")
}

/// A sender with an EUI is the same one by any port.
fn is_of(heard: &Sender, named: &Sender) -> bool {
    let is_there = named.is_eui || heard.port == named.port;
    is_there && heard.source == named.source && heard.is_eui == named.is_eui && heard.address == named.address
}
