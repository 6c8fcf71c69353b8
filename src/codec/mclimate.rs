//! MClimate HT sensor and Flood Sensor. From MClimate's documentation of the keep-alives.

use super::value::{Reader, battery, celsius, humidity, now};
use super::{CodecError, Fault, Measurement, Quantity};
use crate::domain::Probe;

pub const PORT: u8 = 2;

/// Temperature, humidity, battery and a thermistor on a cable. Answers to commands stand before the keep-alive.
///
/// The thermistor's ten bits count tenths from 0 to 102.3 °C. They cannot say anything below zero, so the probe is no
/// freezer's: there it ends at 0.
pub fn ht(bytes: &[u8]) -> Result<Vec<Measurement>, CodecError> {
    const KEEP_ALIVE: u8 = 0x01;
    const KEEP_ALIVE_LEN: usize = 7;
    /// Bits of the sixth byte.
    const IS_ABSENT: u8 = 0x04;
    const HIGH_BITS: u8 = 0x03;
    let start = bytes.len().checked_sub(KEEP_ALIVE_LEN);
    let start = start.ok_or(CodecError::Short { got: bytes.len(), wanted: KEEP_ALIVE_LEN })?;
    let mut reader = Reader::new(&bytes[start..]);
    let command = reader.u8()?;
    if command != KEEP_ALIVE {
        return Err(CodecError::Malformed(format!(
            "the last {KEEP_ALIVE_LEN} bytes are no keep-alive: they begin with 0x{command:02x}, not 0x01"
        )));
    }
    let built_in = celsius((i32::from(reader.u16_be()?) - 400) * 10);
    let relative = reader.u8()?;
    let millivolts = 2_000 + u16::from(reader.u8()? >> 4) * 100;
    let high = reader.u8()?;
    let low = reader.u8()?;
    let external = if high & IS_ABSENT != 0 {
        Quantity::Fault(Fault::Disconnected)
    } else {
        celsius(i32::from(u16::from_be_bytes([high & HIGH_BITS, low])) * 10)
    };
    Ok(vec![
        battery(millivolts),
        now(Probe::EXTERNAL, external),
        now(Probe::INTERNAL, built_in),
        // 256ths, in hundredths of a percent, rounded.
        now(Probe::INTERNAL, humidity((i32::from(relative) * 10_000 + 128) / 256)),
    ])
}

/// Reason and state, battery in 16 mV, and (in the long form) the temperature of the box, which is no room's.
pub fn flood(bytes: &[u8]) -> Result<Vec<Measurement>, CodecError> {
    const IS_FLOODED: u8 = 0x02;
    let mut reader = Reader::new(bytes);
    let state = reader.u8()?;
    let millivolts = u16::from(reader.u8()?) * 16;
    Ok(vec![battery(millivolts), now(Probe::INTERNAL, Quantity::Leak(state & IS_FLOODED != 0))])
}
