//! Payload codecs: bytes of a device to measurements, by model. Pure; one file per vendor; tables where a table says it;
//! `script` for what a user brings along.

mod adeunis;
mod advertisement;
mod browan;
mod cayenne;
mod decentlab;
mod dragino;
mod elsys;
mod enless;
mod laird;
mod mclimate;
mod milesight;
mod models;
mod netvox;
pub mod script;
mod tektelic;
mod value;
mod wired;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use advertisement::{PacketNumber, Part};
pub use models::{Model, find, models};
pub use value::{celsius, humidity};
pub use wired::{Measures, Span, probe};

use self::script::{Call, Monotonic, Run, Script, ScriptError};
use crate::domain::{CentiCelsius, Probe, UnixMs};

/// One value of a frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The probe it belongs to; battery and device-wide values: the internal one.
    pub probe: Probe,
    pub quantity: Quantity,
    /// A time inside the frame (history); None: the frame's own.
    pub at: Option<UnixMs>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Quantity {
    Temperature(CentiCelsius),
    /// Hundredths of a percent.
    Humidity(i32),
    /// Percent.
    BatteryPercent(u8),
    BatteryMillivolts(u16),
    Door(DoorState),
    /// Water found.
    Leak(bool),
    /// dBm, where the payload itself tells it.
    Rssi(i32),
    /// The probe cannot be trusted: a sentinel or an impossible value, never a temperature.
    Fault(Fault),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DoorState {
    Open,
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The maker's "no probe" value (0x7FFF and the like).
    Disconnected,
    /// Outside -60..+150 °C or 0..100 %.
    OutOfRange,
    /// 85.00 °C of a DS18B20 that never measured.
    PowerOnValue,
    /// The device says that its sensor failed.
    Reported,
    /// The probe's humidity is outside 0..=100 %; its temperature is a measurement of its own.
    Humidity,
}

impl Fault {
    pub fn as_str(self) -> &'static str {
        match self {
            Fault::Disconnected => "disconnected",
            Fault::OutOfRange => "out_of_range",
            Fault::PowerOnValue => "power_on_value",
            Fault::Reported => "reported",
            Fault::Humidity => "humidity",
        }
    }
}

/// The port of a payload that came without one (serial modules, point to point): the model's first port is meant. In
/// LoRaWAN port 0 carries no application data.
pub const NO_PORT: u8 = 0;

/// Decodes a payload of `model` ("dragino/lht65n", case ignored) from LoRaWAN port `f_port` ([`NO_PORT`] where the
/// transport has none).
///
/// `received` is when the hub got it, where that is known: it helps to tell a time in the payload from another number.
/// Times of history entries are given as the sensor says them; whether its clock is believed is decided by the caller.
/// A frame that carries nothing measured (device information, answers to commands) is an empty list.
pub fn decode(
    model: &str,
    f_port: u8,
    bytes: &[u8],
    received: Option<UnixMs>,
) -> Result<Vec<Measurement>, CodecError> {
    let model = find(model).ok_or_else(|| CodecError::UnknownModel(model.to_owned()))?;
    let no_script = &mut |_: &Call<'_>| Err(ScriptError::NotRun("this is a native codec".to_owned()));
    decode_as(model, f_port, bytes, received, no_script).map(|decoded| decoded.measurements)
}

fn decode_as(
    model: &Model<'_>,
    f_port: u8,
    bytes: &[u8],
    received: Option<UnixMs>,
    run: &mut Run<'_>,
) -> Result<Decoded, CodecError> {
    let f_port = if f_port == NO_PORT { model.default_port() } else { f_port };
    if !model.ports.is_empty() && !model.ports.contains(&f_port) {
        return Err(CodecError::Port { model: model.name.to_owned(), f_port });
    }
    if bytes.is_empty() {
        return Err(CodecError::Short { got: 0, wanted: 1 });
    }
    model.decode(f_port, bytes, received, run)
}

/// What a payload holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoded {
    pub measurements: Vec<Measurement>,
    /// Of a script, which calls the payload odd and decodes it all the same.
    pub warnings: u32,
}

/// The codecs of this hub: the native ones, and the scripts that were dropped in.
#[derive(Clone, Debug, Default)]
pub struct Codecs {
    scripts: Vec<Script>,
}

impl Codecs {
    /// Of two scripts for one model the first counts.
    pub fn with(scripts: Vec<Script>) -> Self {
        Self { scripts }
    }

    /// All models: the native ones, then the scripts.
    pub fn models(&self) -> impl Iterator<Item = Model<'_>> {
        models().iter().copied().chain(self.scripts.iter().map(Script::model))
    }

    /// The model of this name, case ignored.
    pub fn find(&self, name: &str) -> Option<Model<'_>> {
        self.models().find(|model| model.name.eq_ignore_ascii_case(name))
    }

    /// True where a script decodes this model; a native codec of the same name goes before it.
    pub fn is_script(&self, name: &str) -> bool {
        !self.scripts.is_empty() && self.find(name).is_some_and(|model| model.is_script())
    }

    /// What keeps scripts from being run, in sentences. Runs each in this process.
    pub fn check(&self, clock: &Monotonic) -> Vec<String> {
        self.scripts
            .iter()
            .filter_map(|script| script.check(clock).err())
            .map(|error| error.to_string())
            .collect()
    }

    /// The probe that measures the cold room, of a model that may not be known.
    pub fn measuring_of(&self, name: &str) -> Probe {
        self.find(name).map_or(Probe::INTERNAL, |model| model.measuring)
    }

    /// Decodes as [`decode`] does, scripts too, by `run`.
    pub fn decode(
        &self,
        model: &str,
        f_port: u8,
        bytes: &[u8],
        received: Option<UnixMs>,
        run: &mut Run<'_>,
    ) -> Result<Decoded, CodecError> {
        let model = self.find(model).ok_or_else(|| CodecError::UnknownModel(model.to_owned()))?;
        decode_as(&model, f_port, bytes, received, run)
    }
}

/// Why a payload gives no measurements.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    #[error("no codec for model {0}; `devices models` lists the known ones")]
    UnknownModel(String),
    #[error("{model} sends nothing on port {f_port}")]
    Port { model: String, f_port: u8 },
    #[error("payload ends after {got} bytes where {wanted} are needed")]
    Short { got: usize, wanted: usize },
    #[error("{0}")]
    Malformed(String),
    #[error(transparent)]
    Script(#[from] ScriptError),
}
