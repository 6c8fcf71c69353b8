//! Elsys: type bytes each followed by a value of the type's fixed length, big-endian, and by how long ago it was measured
//! where the two highest bits of the type say so. Types that say nothing about a cold room are skipped by their length.
//! From Elsys's sensor payload document.

use super::value::{Reader, door, humidity, one_wire_temperature, temperature};
use super::{CodecError, Measurement, Quantity};
use crate::domain::{Probe, UnixMs};

/// Elsys counts tenths of a degree.
const STEP: i32 = 10;

const TEMPERATURE: u8 = 0x01;
const HUMIDITY: u8 = 0x02;
const VDD: u8 = 0x07;
const EXTERNAL_TEMPERATURE: u8 = 0x0C;
const DIGITAL: u8 = 0x0D;
const WATER_LEAK: u8 = 0x12;
const EXTERNAL_TEMPERATURE_2: u8 = 0x19;
/// The sensor's settings fill the rest of the payload.
const SETTINGS: u8 = 0x3E;

/// The second external sensor may repeat, once for each one-wire probe on the cable.
const EXTERNAL_2_FIRST: u8 = 2;

/// Bits of a type byte: what it is, and how many bytes of seconds since it was measured follow the value.
const KIND: u8 = 0x3F;
const AGO_LENGTHS: [usize; 4] = [0, 1, 2, 4];

/// `has_door`: the digital input is a reed switch, which is closed (1) by the magnet of a closed door; on other models
/// it is whatever was wired to it. A value that was measured earlier is left out where nobody knows what time it is now.
pub fn decode(
    bytes: &[u8],
    has_door: bool,
    received: Option<UnixMs>,
) -> Result<Vec<Measurement>, CodecError> {
    let mut reader = Reader::new(bytes);
    let mut out = Vec::new();
    let mut external_2 = EXTERNAL_2_FIRST;
    while !reader.is_empty() {
        let head = reader.u8()?;
        let value = match head & KIND {
            TEMPERATURE => Some((Probe::INTERNAL, temperature(reader.i16_be()?, STEP))),
            HUMIDITY => Some((Probe::INTERNAL, humidity(i32::from(reader.u8()?) * 100))),
            VDD => Some((Probe::INTERNAL, Quantity::BatteryMillivolts(reader.u16_be()?))),
            EXTERNAL_TEMPERATURE => Some((Probe::EXTERNAL, one_wire_temperature(reader.i16_be()?, STEP))),
            EXTERNAL_TEMPERATURE_2 => {
                let probe = Probe::numbered(external_2);
                external_2 = external_2.saturating_add(1);
                Some((probe, one_wire_temperature(reader.i16_be()?, STEP)))
            }
            DIGITAL if has_door => Some((Probe::INTERNAL, door(reader.u8()? == 0))),
            WATER_LEAK => Some((Probe::INTERNAL, Quantity::Leak(reader.u8()? != 0))),
            SETTINGS => {
                reader.rest();
                break;
            }
            other => match skipped_len(other) {
                Some(len) => {
                    reader.skip(len)?;
                    None
                }
                None if out.is_empty() => {
                    return Err(CodecError::Malformed(format!("Elsys type 0x{head:02x} is not known")));
                }
                // Its length is unknown, so nothing after it can be read; what came before stands.
                None => break,
            },
        };
        let ago = reader.exactly(AGO_LENGTHS[usize::from(head >> 6)])?;
        let ago_s = ago.iter().fold(0i64, |sum, &byte| sum << 8 | i64::from(byte));
        let at = received.map(|received| UnixMs(received.0.saturating_sub(ago_s * 1_000)));
        let at = at.filter(|at| ago_s > 0 && at.0 >= 0);
        if let Some((probe, quantity)) = value
            && (ago_s == 0 || at.is_some())
        {
            out.push(Measurement { probe, quantity, at });
        }
    }
    Ok(out)
}

/// Length of the value after a type byte that carries nothing we use.
fn skipped_len(kind: u8) -> Option<usize> {
    Some(match kind {
        // Motion, digital input, vibration, occupancy, second digital input.
        0x05 | 0x0D | 0x0F | 0x11 | 0x1A => 1,
        // Light, CO2, analog, pulses, distance, sound, second pulses, second analog, TVOC.
        0x04 | 0x06 | 0x08 | 0x0A | 0x0E | 0x15 | 0x16 | 0x18 | 0x1C => 2,
        // Acceleration.
        0x03 => 3,
        // Absolute pulses, infrared pair, pressure, second absolute pulses, analog in microvolts, debug.
        0x0B | 0x10 | 0x14 | 0x17 | 0x1B | 0x3D => 4,
        // Position.
        0x09 => 6,
        // An 8 x 8 thermal image and its reference.
        0x13 => 65,
        _ => return None,
    })
}
