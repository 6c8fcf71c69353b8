//! Sensors on wires: Modbus RTU, 1-Wire, loops of 4 to 20 mA.

use std::path::PathBuf;

use serde::Deserialize;

use crate::codec::{Measures, Span, probe};
use crate::domain::{Probe, Scale};
use crate::framing::modbus::{ModbusPreset, Register};

/// A bus of RS-485.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModbusSection {
    /// Names the bus in `devices.port`: its devices are known by it and their id, so it must stay.
    pub name: String,
    /// The device file, best one that survives replugging (`/dev/serial/by-id/..`).
    pub path: PathBuf,
    #[serde(default = "baud")]
    pub baud: u32,
    #[serde(default)]
    pub parity: Parity,
    #[serde(default = "stop_bits")]
    pub stop_bits: u8,
    /// How often a device is read.
    #[serde(default = "interval_s")]
    pub interval_s: u32,
    /// How long a device may take to answer.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u32,
    /// Silence before each request.
    #[serde(default = "gap_ms")]
    pub gap_ms: u32,
    #[serde(default)]
    pub device: Vec<ModbusDevice>,
}

fn baud() -> u32 {
    9_600
}

fn stop_bits() -> u8 {
    1
}

fn interval_s() -> u32 {
    60
}

/// Dixell's controllers need up to 500 ms.
fn timeout_ms() -> u32 {
    1_000
}

/// Modbus asks for the time of 3.5 characters (4 ms at 9600 baud); cheap transceivers take longer to turn around.
fn gap_ms() -> u32 {
    20
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Parity {
    #[default]
    None,
    Even,
    Odd,
}

/// One device of a bus: of a known make, or by its registers.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModbusDevice {
    pub id: u8,
    #[serde(default)]
    pub preset: Option<ModbusPreset>,
    /// The preset's temperature and humidity are the other way round.
    #[serde(default)]
    pub swapped: bool,
    /// None: the bus's.
    #[serde(default)]
    pub interval_s: Option<u32>,
    #[serde(default)]
    pub register: Vec<Register>,
}

impl ModbusDevice {
    pub fn registers(&self) -> Vec<Register> {
        match self.preset {
            Some(preset) => preset.registers(self.swapped),
            None => self.register.clone(),
        }
    }
}

/// The kernel's 1-Wire lines.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OneWireSection {
    /// Names the lines in `devices.port`: sensors are known by it and their number, so it must stay.
    pub name: String,
    /// Where the kernel shows sensors and lines.
    pub path: PathBuf,
    pub interval_s: u32,
}

impl Default for OneWireSection {
    fn default() -> Self {
        Self { name: "onewire".into(), path: "/sys/bus/w1/devices".into(), interval_s: interval_s() }
    }
}

/// A loop of 4 to 20 mA on a converter with a driver (IIO).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurrentSection {
    /// Names the loop in `devices.port`: its transmitter is known by it, so it must stay.
    pub name: String,
    /// The converter's folder.
    pub path: PathBuf,
    pub channel: u8,
    /// The resistor that the current flows through.
    pub shunt_ohm: f64,
    pub at_4_ma: f64,
    pub at_20_ma: f64,
    #[serde(default = "temperature")]
    pub quantity: Measures,
    /// Of a temperature.
    #[serde(default = "celsius")]
    pub unit: Scale,
    #[serde(default = "internal", deserialize_with = "probe")]
    pub probe: Probe,
    #[serde(default = "interval_s")]
    pub interval_s: u32,
}

fn temperature() -> Measures {
    Measures::Temperature
}

fn celsius() -> Scale {
    Scale::C
}

fn internal() -> Probe {
    Probe::INTERNAL
}

impl CurrentSection {
    pub fn span(&self) -> Span {
        Span { at_4_ma: self.at_4_ma, at_20_ma: self.at_20_ma }
    }
}
