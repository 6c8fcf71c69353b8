//! Tektelic TUNDRA, COMFORT and the other Smart Room Sensors, BREEZE: entries of channel, type and a value whose length both
//! give, big-endian, on port 10. From the Smart Room Sensor user guide and the channel tables that Tektelic publishes with
//! its data converters (TUNDRA 2.3, COMFORT and VIVID 4.3, BREEZE 2.1).

use super::value::{Reader, battery, door, humidity, now, temperature};
use super::{CodecError, Measurement, Quantity};
use crate::domain::Probe;

pub const PORT: u8 = 10;
/// Diagnostics, time requests, settings read back, answers to commands: nothing measured.
pub const DIAGNOSTICS_PORT: u8 = 5;
pub const TIME_PORT: u8 = 20;
pub const SETTINGS_PORT: u8 = 100;
pub const ANSWER_PORT: u8 = 101;

/// Tektelic counts tenths of a degree and halves of a percent.
const STEP: i32 = 10;
const HUMIDITY_STEP: i32 = 50;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Tundra,
    /// COMFORT and its predecessors, the Smart Room Sensors.
    SmartRoom,
    Breeze,
}

pub fn decode(kind: Kind, f_port: u8, bytes: &[u8]) -> Result<Vec<Measurement>, CodecError> {
    if f_port != PORT {
        return Ok(Vec::new());
    }
    let mut reader = Reader::new(bytes);
    let mut out = Vec::new();
    let mut has_understood = false;
    while !reader.is_empty() {
        let (channel, of) = (reader.u8()?, reader.u8()?);
        if entry(kind, channel, of, &mut reader, &mut out)? {
            has_understood = true;
        } else if has_understood {
            // Its length is unknown, so nothing after it can be read; what came before stands.
            break;
        } else {
            return Err(CodecError::Malformed(format!(
                "Tektelic channel 0x{channel:02x} type 0x{of:02x} is not known"
            )));
        }
    }
    Ok(out)
}

/// Reads one entry's value; false: its length is not known.
fn entry(
    kind: Kind,
    channel: u8,
    of: u8,
    reader: &mut Reader<'_>,
    out: &mut Vec<Measurement>,
) -> Result<bool, CodecError> {
    match (channel, of) {
        // Hundredths of a volt, which may be negative by the manual but not in a battery; later firmware: millivolts.
        (0x00, 0xFF) => {
            if let Ok(hundredths) = u16::try_from(reader.i16_be()?) {
                out.push(battery(hundredths.saturating_mul(10)));
            }
        }
        (0x00, 0xBA) => out.push(battery(reader.u16_be()?)),
        (0x00, 0xD3) => {
            let percent = reader.u8()?;
            if percent <= 100 {
                out.push(now(Probe::INTERNAL, Quantity::BatteryPercent(percent)));
            }
        }
        (0x03, 0x67) => out.push(now(Probe::INTERNAL, temperature(reader.i16_be()?, STEP))),
        (0x04, 0x68) => {
            out.push(now(Probe::INTERNAL, humidity(i32::from(reader.u8()?) * HUMIDITY_STEP)));
        }
        // TUNDRA: thermistors on the cable, where the device is set to tell degrees rather than volts.
        (0x02, 0x67) if kind == Kind::Tundra => {
            out.push(now(Probe::EXTERNAL, temperature(reader.i16_be()?, STEP)));
        }
        (0x09, 0x67) if kind == Kind::Tundra => {
            out.push(now(Probe::numbered(2), temperature(reader.i16_be()?, STEP)));
        }
        // The magnet: 0 there, 0xFF (TUNDRA's external reed: 1) away.
        (0x01, 0x00) if kind == Kind::SmartRoom => out.push(now(Probe::INTERNAL, door(reader.u8()? != 0))),
        (0x0E, 0x00) if kind == Kind::Tundra => out.push(now(Probe::INTERNAL, door(reader.u8()? != 0))),
        (0x09, 0x00) if kind == Kind::SmartRoom => {
            out.push(now(Probe::INTERNAL, Quantity::Leak(reader.u8()? != 0)));
        }
        _ => match skipped_len(kind, channel, of) {
            Some(len) => reader.skip(len)?,
            None => return Ok(false),
        },
    }
    Ok(true)
}

/// Length of an entry that says nothing about a cold room. Channel 11 type 0x67 is the warmth of the electronics, channel
/// 6 what the presence sensor sees.
fn skipped_len(kind: Kind, channel: u8, of: u8) -> Option<usize> {
    Some(match (channel, of) {
        // The light's intensity: one byte of a Smart Room Sensor, two of a BREEZE.
        (0x10, 0x02) if kind == Kind::SmartRoom => 1,
        // Alarms and states: acceleration, light, motion, impact, output, connectors, start; charge of the display.
        (0x00 | 0x02 | 0x0A | 0x0C | 0x0D | 0x0E | 0x1E | 0x2A, 0x00) | (0x11, 0xD3) => 1,
        // Temperatures of other things, days of battery, acceleration, analog inputs, counts, air.
        (0x06 | 0x0B, 0x67)
        | (0x00, 0xBD)
        | (0x02 | 0x05 | 0x09 | 0x10 | 0x11, 0x02)
        | (0x09, 0x03)
        | (0x08 | 0x0D | 0x0F | 0x1F, 0x04)
        | (0x0B | 0x0E, 0xE4)
        | (0x0C, 0x73) => 2,
        // Total counts of the connectors.
        (0x12 | 0x22, 0x04) => 4,
        // Acceleration by axis.
        (0x07, 0x71) => 6,
        _ => return None,
    })
}
