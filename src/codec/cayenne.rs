//! Cayenne LPP as a fall-back for devices without a codec of their own: entries of channel, type and a value whose length
//! the type gives, big-endian. From myDevices' description and the types that CayenneLPP libraries added to it.
//!
//! Only what names its channels and types itself can be read. The packed form of LPP 2.0 leaves both out, in an order that
//! stands in the device's settings.

use super::value::{Reader, humidity, now, temperature};
use super::{CodecError, Measurement};
use crate::domain::Probe;

/// LPP counts tenths of a degree and halves of a percent.
const STEP: i32 = 10;
const HUMIDITY_STEP: i32 = 50;

const TEMPERATURE: u8 = 0x67;
const HUMIDITY: u8 = 0x68;

/// A frame with a type that is not known is refused as a whole: nothing but the pairing says that the device speaks LPP.
pub fn decode(bytes: &[u8]) -> Result<Vec<Measurement>, CodecError> {
    let mut reader = Reader::new(bytes);
    let mut out = Vec::new();
    while !reader.is_empty() {
        let channel = reader.u8()?;
        // Probes are numbered up to 254.
        let probe = if channel == 0 { Probe::INTERNAL } else { Probe::numbered(channel) };
        match reader.u8()? {
            TEMPERATURE => out.push(now(probe, temperature(reader.i16_be()?, STEP))),
            HUMIDITY => out.push(now(probe, humidity(i32::from(reader.u8()?) * HUMIDITY_STEP))),
            other => match skipped_len(other) {
                Some(len) => reader.skip(len)?,
                None => {
                    return Err(CodecError::Malformed(format!(
                        "Cayenne LPP type 0x{other:02x} is not known"
                    )));
                }
            },
        }
    }
    Ok(out)
}

fn skipped_len(kind: u8) -> Option<usize> {
    Some(match kind {
        // Digital input and output, presence, percentage, switch.
        0x00 | 0x01 | 0x66 | 0x78 | 0x8E => 1,
        // Analog input and output, light, barometer, voltage, current, altitude, concentration, power, direction.
        0x02 | 0x03 | 0x65 | 0x73 | 0x74 | 0x75 | 0x79 | 0x7D | 0x80 | 0x84 => 2,
        // Colour.
        0x87 => 3,
        // Generic, frequency, distance, energy, Unix time.
        0x64 | 0x76 | 0x82 | 0x83 | 0x85 => 4,
        // Accelerometer, gyrometer.
        0x71 | 0x86 => 6,
        // Position.
        0x88 => 9,
        _ => return None,
    })
}
