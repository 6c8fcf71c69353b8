//! Payload codecs: bytes of a device to measurements, by model. Pure; one file per vendor; tables where a table says it.

mod dragino;
mod elsys;
mod milesight;
mod netvox;
mod value;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use value::{celsius, humidity};

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

/// A device type this hub can decode.
#[derive(Debug)]
pub struct Model {
    /// "vendor/model", lower case.
    pub name: &'static str,
    /// The ports it sends on. Empty: any, since the port is configured on the device.
    pub ports: &'static [u8],
    /// How often it sends when nobody changed that, in seconds, by the maker's manual.
    pub check_in_s: u32,
    /// The probe that measures the cold room: the one on a cable where the model has one.
    pub measuring: Probe,
    /// What it measures: "temperature", "humidity", "door", "leak", "battery" (the names of the `decode` command).
    pub quantities: &'static [&'static str],
    codec: Codec,
}

impl Model {
    /// The port that [`NO_PORT`] means.
    pub fn default_port(&self) -> u8 {
        self.ports.first().copied().unwrap_or(DEFAULT_PORT)
    }

    pub fn measures(&self, quantity: &str) -> bool {
        self.quantities.contains(&quantity)
    }
}

/// The port of a payload that came without one (serial modules, point to point): the model's first port is meant. In
/// LoRaWAN port 0 carries no application data.
pub const NO_PORT: u8 = 0;
/// LoRaWAN's usual application port.
const DEFAULT_PORT: u8 = 1;

#[derive(Debug, Clone, Copy)]
enum Codec {
    Lht65,
    Lht65n,
    Lds02,
    Elsys,
    Milesight(milesight::Shape),
    R311a,
}

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
    let f_port = if f_port == NO_PORT { model.default_port() } else { f_port };
    if !model.ports.is_empty() && !model.ports.contains(&f_port) {
        return Err(CodecError::Port { model: model.name.to_owned(), f_port });
    }
    if bytes.is_empty() {
        return Err(CodecError::Short { got: 0, wanted: 1 });
    }
    match model.codec {
        Codec::Lht65 => dragino::lht65(f_port, bytes),
        Codec::Lht65n => dragino::lht65n(f_port, bytes, received),
        Codec::Lds02 => dragino::lds02(f_port, bytes),
        Codec::Elsys => elsys::decode(bytes),
        Codec::Milesight(shape) => milesight::decode(shape, bytes),
        Codec::R311a => netvox::r311a(f_port, bytes),
    }
}

/// All models, by name.
pub fn models() -> &'static [Model] {
    MODELS
}

/// The model of this name, case ignored.
pub fn find(name: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.name.eq_ignore_ascii_case(name))
}

const CLIMATE: &[&str] = &["temperature", "humidity", "battery"];

const MODELS: &[Model] = &[
    Model {
        name: "dragino/lds02",
        ports: &[dragino::DOOR_PORT, dragino::DOOR_COUNT_PORT],
        check_in_s: 86_400,
        measuring: Probe::INTERNAL,
        quantities: &["door", "battery"],
        codec: Codec::Lds02,
    },
    Model {
        name: "dragino/lht65",
        ports: &[dragino::CLIMATE_PORT, dragino::STATUS_PORT],
        check_in_s: 1_200,
        measuring: Probe::EXTERNAL,
        quantities: CLIMATE,
        codec: Codec::Lht65,
    },
    Model {
        name: "dragino/lht65n",
        ports: &[dragino::CLIMATE_PORT, dragino::BATCH_PORT, dragino::STATUS_PORT],
        check_in_s: 1_200,
        measuring: Probe::EXTERNAL,
        quantities: CLIMATE,
        codec: Codec::Lht65n,
    },
    // Any Elsys sensor; they all speak the same types.
    Model {
        name: "elsys/elsys",
        ports: &[],
        check_in_s: 600,
        measuring: Probe::INTERNAL,
        quantities: CLIMATE,
        codec: Codec::Elsys,
    },
    Model {
        name: "elsys/ers",
        ports: &[],
        check_in_s: 600,
        measuring: Probe::INTERNAL,
        quantities: CLIMATE,
        codec: Codec::Elsys,
    },
    Model {
        name: "milesight/em300-mcs",
        ports: &[milesight::PORT],
        check_in_s: 600,
        measuring: Probe::INTERNAL,
        quantities: &["temperature", "humidity", "door", "battery"],
        codec: Codec::Milesight(milesight::EM300_MCS),
    },
    Model {
        name: "milesight/em300-th",
        ports: &[milesight::PORT],
        check_in_s: 600,
        measuring: Probe::INTERNAL,
        quantities: CLIMATE,
        codec: Codec::Milesight(milesight::EM300_TH),
    },
    Model {
        name: "milesight/em500-pt100",
        ports: &[milesight::PORT],
        check_in_s: 600,
        measuring: Probe::EXTERNAL,
        quantities: &["temperature", "battery"],
        codec: Codec::Milesight(milesight::EM500_PT100),
    },
    Model {
        name: "milesight/ws301",
        ports: &[milesight::PORT],
        check_in_s: 64_800,
        measuring: Probe::INTERNAL,
        quantities: &["door", "battery"],
        codec: Codec::Milesight(milesight::WS301),
    },
    Model {
        name: "netvox/r311a",
        ports: &[netvox::REPORT_PORT, netvox::CONFIG_PORT],
        check_in_s: 3_600,
        measuring: Probe::INTERNAL,
        quantities: &["door", "battery"],
        codec: Codec::R311a,
    },
];

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
}
