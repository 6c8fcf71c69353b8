//! Registers as a table says them, and what their bytes measure.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Function, REGISTERS_MAX};
use crate::codec::{Fault, Measurement, Measures, Quantity, Span, probe};
use crate::domain::{Probe, Scale};

/// Registers that stand one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    pub function: Function,
    pub address: u16,
    pub count: u16,
}

/// One value of a device.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Register {
    pub function: Function,
    /// As it goes over the line, from 0. Manuals that count from 30001 or 40001 mean one less than the last digits.
    pub address: u16,
    #[serde(rename = "type")]
    pub kind: RegisterKind,
    /// Of the types of 32 bits.
    #[serde(default)]
    pub word_order: WordOrder,
    /// value = raw * scale + offset.
    #[serde(default = "one")]
    pub scale: f64,
    #[serde(default)]
    pub offset: f64,
    /// Raw values by which the device says that it has none.
    #[serde(default)]
    pub invalid: Vec<i64>,
    #[serde(default = "internal", deserialize_with = "probe")]
    pub probe: Probe,
    pub quantity: Measures,
    /// Of a temperature.
    #[serde(default = "celsius_scale")]
    pub unit: Scale,
    /// Where the value is a current in mA: what is meant by its two ends.
    #[serde(default)]
    pub at_4_ma: Option<f64>,
    #[serde(default)]
    pub at_20_ma: Option<f64>,
}

fn one() -> f64 {
    1.0
}

fn internal() -> Probe {
    Probe::INTERNAL
}

fn celsius_scale() -> Scale {
    Scale::C
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RegisterKind {
    I16,
    U16,
    I32,
    F32,
}

impl RegisterKind {
    /// How many registers it takes.
    pub fn count(self) -> u16 {
        match self {
            RegisterKind::I16 | RegisterKind::U16 => 1,
            RegisterKind::I32 | RegisterKind::F32 => 2,
        }
    }
}

/// Which of two registers comes first. Bytes within a register are always in the order of Modbus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WordOrder {
    #[default]
    HighFirst,
    LowFirst,
}

/// Devices whose registers are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModbusPreset {
    /// XY-MD02 and its siblings with an SHT20 or SHT40.
    XyMd02,
    /// Transmitters sold as "RS485 TH".
    Rs485Th,
}

impl ModbusPreset {
    /// `is_swapped`: a batch of it with humidity first.
    pub fn registers(self, is_swapped: bool) -> Vec<Register> {
        let (function, first) = match self {
            ModbusPreset::XyMd02 => (Function::Input, 1),
            ModbusPreset::Rs485Th => (Function::Holding, 0),
        };
        let tenths = |address, kind, quantity| Register {
            function,
            address,
            kind,
            word_order: WordOrder::HighFirst,
            scale: 0.1,
            offset: 0.0,
            invalid: Vec::new(),
            probe: Probe::INTERNAL,
            quantity,
            unit: Scale::C,
            at_4_ma: None,
            at_20_ma: None,
        };
        let (temperature, humidity) = if is_swapped { (first + 1, first) } else { (first, first + 1) };
        vec![
            tenths(temperature, RegisterKind::I16, Measures::Temperature),
            tenths(humidity, RegisterKind::U16, Measures::Humidity),
        ]
    }
}

/// The fewest requests that read the registers and no other: devices refuse to read across addresses they do not have.
pub fn blocks(registers: &[Register]) -> Vec<Block> {
    let mut spans: Vec<(Function, u32, u32)> = registers
        .iter()
        .map(|register| {
            let first = u32::from(register.address);
            (register.function, first, first + u32::from(register.kind.count()))
        })
        .collect();
    spans.sort_unstable();
    let mut joined: Vec<(Function, u32, u32)> = Vec::new();
    for (function, first, end) in spans {
        match joined.last_mut() {
            Some(last)
                if last.0 == function && first <= last.2 && end - last.1 <= u32::from(REGISTERS_MAX) =>
            {
                last.2 = last.2.max(end);
            }
            _ => joined.push((function, first, end)),
        }
    }
    let block = |(function, first, end): (Function, u32, u32)| Block {
        function,
        address: first as u16,
        count: (end - first) as u16,
    };
    joined.into_iter().map(block).collect()
}

/// The registers of one device, as they were read.
#[derive(Clone, Debug, Default)]
pub struct Words(BTreeMap<(Function, u16), u16>);

impl Words {
    /// Takes the bytes of a block.
    pub fn take(&mut self, block: Block, bytes: &[u8]) {
        for (index, pair) in bytes.chunks_exact(2).enumerate() {
            let address = block.address.wrapping_add(index as u16);
            self.0.insert((block.function, address), u16::from_be_bytes([pair[0], pair[1]]));
        }
    }

    /// None: the register was not read.
    pub fn measure(&self, register: &Register) -> Option<Measurement> {
        let word = |at: u16| self.0.get(&(register.function, register.address.wrapping_add(at))).copied();
        let long = || {
            let (first, second) = (u32::from(word(0)?), u32::from(word(1)?));
            Some(match register.word_order {
                WordOrder::HighFirst => first << 16 | second,
                WordOrder::LowFirst => second << 16 | first,
            })
        };
        let raw = match register.kind {
            RegisterKind::I16 => f64::from(word(0)?.cast_signed()),
            RegisterKind::U16 => f64::from(word(0)?),
            RegisterKind::I32 => f64::from(long()?.cast_signed()),
            RegisterKind::F32 => f64::from(f32::from_bits(long()?)),
        };
        Some(Measurement { probe: register.probe, quantity: register.quantity_of(raw), at: None })
    }
}

impl Register {
    /// Also a register of a transmitter that only hands on the current of its input.
    pub fn span(&self) -> Option<Span> {
        self.at_4_ma.zip(self.at_20_ma).map(|(at_4_ma, at_20_ma)| Span { at_4_ma, at_20_ma })
    }

    fn quantity_of(&self, raw: f64) -> Quantity {
        // Exact for integers; a float that is meant may have been rounded on its way.
        let count = raw.round() as i64;
        let is_sentinel = !raw.is_finite()
            || self.invalid.contains(&count)
            // What codecs take for "no probe", too; a small scale would make a temperature of it.
            || (self.kind == RegisterKind::I16
                && self.quantity == Measures::Temperature
                && count == i64::from(i16::MAX));
        if is_sentinel {
            return self.quantity.fault(Fault::Disconnected);
        }
        let scaled = raw * self.scale + self.offset;
        let value = match self.span().map(|span| span.value(scaled)) {
            None => scaled,
            Some(Ok(value)) => value,
            Some(Err(fault)) => return self.quantity.fault(fault),
        };
        self.quantity.quantity(value, self.unit)
    }
}
