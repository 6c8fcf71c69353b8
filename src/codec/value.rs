//! Raw numbers to quantities: signed, checked, never a sentinel as a temperature. And the reader that codecs share.

use super::{CodecError, DoorState, Fault, Measurement, Quantity};
use crate::domain::{CentiCelsius, Probe, UnixMs};

/// What a probe of a cold chain can plausibly measure, in hundredths of a degree Celsius (domain.md, sensor fault).
pub const TEMPERATURE_MIN: i32 = -6_000;
pub const TEMPERATURE_MAX: i32 = 15_000;

/// -127.00 °C: what the usual one-wire libraries give for a sensor that does not answer.
const ONE_WIRE_ABSENT: i32 = -12_700;
/// 85.00 °C: the DS18B20's scratchpad after power-on, before any conversion.
const ONE_WIRE_POWER_ON: i32 = 8_500;

/// A signed 16-bit temperature of `step` hundredths of a degree a count. 0x7FFF is the makers' "no probe"; 0xFFFF is one
/// count below zero and a temperature like any other, unless the maker of the model names it a sentinel.
pub fn temperature(raw: i16, step: i32) -> Quantity {
    if raw == i16::MAX { Quantity::Fault(Fault::Disconnected) } else { celsius(i32::from(raw) * step) }
}

/// The same of a DS18B20, whose power-on value is no temperature either.
pub fn one_wire_temperature(raw: i16, step: i32) -> Quantity {
    if i32::from(raw) * step == ONE_WIRE_POWER_ON {
        Quantity::Fault(Fault::PowerOnValue)
    } else {
        temperature(raw, step)
    }
}

/// Hundredths of a degree Celsius, checked for plausibility.
pub fn celsius(hundredths: i32) -> Quantity {
    match hundredths {
        ONE_WIRE_ABSENT => Quantity::Fault(Fault::Disconnected),
        TEMPERATURE_MIN..=TEMPERATURE_MAX => Quantity::Temperature(CentiCelsius(hundredths)),
        _ => Quantity::Fault(Fault::OutOfRange),
    }
}

/// A temperature in degrees out of a maker's formula, rounded to hundredths.
pub fn degrees(celsius_degrees: f64) -> Quantity {
    // The formulas of resistances divide; the cast saturates, and what is no number is no temperature.
    if celsius_degrees.is_nan() {
        return Quantity::Fault(Fault::OutOfRange);
    }
    celsius((celsius_degrees * 100.0).round() as i32)
}

/// Hundredths of a percent of relative humidity, checked to be within 0..=100 %.
pub fn humidity(hundredths: i32) -> Quantity {
    if (0..=10_000).contains(&hundredths) {
        Quantity::Humidity(hundredths)
    } else {
        Quantity::Fault(Fault::Humidity)
    }
}

pub fn door(is_open: bool) -> Quantity {
    Quantity::Door(if is_open { DoorState::Open } else { DoorState::Closed })
}

/// The battery's voltage now.
pub fn battery(millivolts: u16) -> Measurement {
    now(Probe::INTERNAL, Quantity::BatteryMillivolts(millivolts))
}

/// A value measured now.
pub fn now(probe: Probe, quantity: Quantity) -> Measurement {
    Measurement { probe, quantity, at: None }
}

/// A value measured at the sensor's own Unix time.
pub fn then(probe: Probe, quantity: Quantity, unix_s: u32) -> Measurement {
    Measurement { probe, quantity, at: Some(UnixMs(i64::from(unix_s) * 1_000)) }
}

/// Reads a payload from the front; a payload that ends too early is an error that says how long it should be.
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.position >= self.bytes.len()
    }

    pub fn skip(&mut self, count: usize) -> Result<(), CodecError> {
        self.take(count).map(drop)
    }

    /// The next `count` bytes.
    pub fn exactly(&mut self, count: usize) -> Result<&'a [u8], CodecError> {
        self.take(count)
    }

    /// What is left, whatever it is.
    pub fn rest(&mut self) -> &'a [u8] {
        let rest = &self.bytes[self.position..];
        self.position = self.bytes.len();
        rest
    }

    pub fn u8(&mut self) -> Result<u8, CodecError> {
        Ok(self.array::<1>()?[0])
    }

    pub fn i8(&mut self) -> Result<i8, CodecError> {
        Ok(i8::from_be_bytes(self.array()?))
    }

    pub fn i16_be(&mut self) -> Result<i16, CodecError> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub fn u16_be(&mut self) -> Result<u16, CodecError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub fn u32_be(&mut self) -> Result<u32, CodecError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub fn i16_le(&mut self) -> Result<i16, CodecError> {
        Ok(i16::from_le_bytes(self.array()?))
    }

    pub fn u32_le(&mut self) -> Result<u32, CodecError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], CodecError> {
        let wanted = self.position + count;
        let slice = self
            .bytes
            .get(self.position..wanted)
            .ok_or(CodecError::Short { got: self.bytes.len(), wanted })?;
        self.position = wanted;
        Ok(slice)
    }
}
