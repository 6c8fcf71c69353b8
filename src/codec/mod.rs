//! Payload codecs: bytes of a device to measurements, by model. Pure; one file per vendor; tables where a table says it.

use serde::{Deserialize, Serialize};

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
}
