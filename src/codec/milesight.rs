//! Milesight: entries of channel, type and a value whose length both give, little-endian. From the EM300, EM500 and WS301
//! user guides. Port 85 unless configured otherwise.

use super::value::{Reader, humidity, now, temperature, then};
use super::{CodecError, DoorState, Measurement, Quantity};
use crate::domain::Probe;

pub const PORT: u8 = 85;

/// Milesight counts tenths of a degree and halves of a percent.
const STEP: i32 = 10;
const HUMIDITY_STEP: i32 = 50;

/// What differs between the models: which probe a temperature belongs to and what a history entry holds.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    probe: Probe,
    history: History,
    /// What channel 3 type 0 says (the WS301's contact).
    has_contact_on_3: bool,
}

#[derive(Clone, Copy, Debug)]
enum History {
    /// Time, temperature.
    Temperature,
    /// Time, temperature, humidity, a reserved byte.
    Climate,
    /// Time, temperature, humidity, magnet.
    ClimateAndDoor,
    None,
}

pub const EM300_TH: Shape =
    Shape { probe: Probe::INTERNAL, history: History::Climate, has_contact_on_3: false };
pub const EM300_MCS: Shape =
    Shape { probe: Probe::INTERNAL, history: History::ClimateAndDoor, has_contact_on_3: false };
/// The PT100 hangs on a cable.
pub const EM500_PT100: Shape =
    Shape { probe: Probe::EXTERNAL, history: History::Temperature, has_contact_on_3: false };
pub const WS301: Shape = Shape { probe: Probe::INTERNAL, history: History::None, has_contact_on_3: true };

pub fn decode(shape: Shape, bytes: &[u8]) -> Result<Vec<Measurement>, CodecError> {
    let mut reader = Reader::new(bytes);
    let mut out = Vec::new();
    let mut has_understood = false;
    while !reader.is_empty() {
        let channel = reader.u8()?;
        let kind = reader.u8()?;
        if entry(shape, channel, kind, &mut reader, &mut out)? {
            has_understood = true;
        } else if has_understood {
            // Its length is unknown, so nothing after it can be read; what came before stands.
            break;
        } else {
            return Err(CodecError::Malformed(format!(
                "Milesight channel 0x{channel:02x} type 0x{kind:02x} is not known"
            )));
        }
    }
    Ok(out)
}

/// Reads one entry's value; false: its length is not known.
fn entry(
    shape: Shape,
    channel: u8,
    kind: u8,
    reader: &mut Reader<'_>,
    out: &mut Vec<Measurement>,
) -> Result<bool, CodecError> {
    match (channel, kind) {
        (0x01, 0x75) => {
            // 0xFF and the like: the device does not know.
            let percent = reader.u8()?;
            if percent <= 100 {
                out.push(now(Probe::INTERNAL, Quantity::BatteryPercent(percent)));
            }
        }
        (0x03, 0x67) => out.push(now(shape.probe, temperature(reader.i16_le()?, STEP))),
        (0x04, 0x68) => out.push(now(shape.probe, humidity(i32::from(reader.u8()?) * HUMIDITY_STEP))),
        // Threshold alarm: the temperature and whether the alarm began or ended.
        (0x83, 0x67) => {
            out.push(now(shape.probe, temperature(reader.i16_le()?, STEP)));
            reader.skip(1)?;
        }
        // Sudden change: the temperature, by how much, and the alarm.
        (0x83, 0xD7) => {
            out.push(now(shape.probe, temperature(reader.i16_le()?, STEP)));
            reader.skip(3)?;
        }
        (0x06, 0x00) => out.push(now(Probe::INTERNAL, door(reader.u8()?))),
        (0x03, 0x00) if shape.has_contact_on_3 => out.push(now(Probe::INTERNAL, door(reader.u8()?))),
        // Torn off the wall (WS301).
        (0x04, 0x00) if shape.has_contact_on_3 => reader.skip(1)?,
        (0x20, 0xCE) => history(shape, reader, out)?,
        (0xFF | 0xFE, _) => match skipped_len(channel, kind) {
            Some(len) => reader.skip(len)?,
            None => return Ok(false),
        },
        _ => return Ok(false),
    }
    Ok(true)
}

fn history(shape: Shape, reader: &mut Reader<'_>, out: &mut Vec<Measurement>) -> Result<(), CodecError> {
    if matches!(shape.history, History::None) {
        return Err(CodecError::Malformed("a history entry from a model that keeps none".to_owned()));
    }
    let at = reader.u32_le()?;
    out.push(then(shape.probe, temperature(reader.i16_le()?, STEP), at));
    if matches!(shape.history, History::Climate | History::ClimateAndDoor) {
        out.push(then(shape.probe, humidity(i32::from(reader.u8()?) * HUMIDITY_STEP), at));
        let magnet = reader.u8()?;
        if matches!(shape.history, History::ClimateAndDoor) {
            out.push(then(Probe::INTERNAL, door(magnet), at));
        }
    }
    Ok(())
}

fn door(value: u8) -> Quantity {
    Quantity::Door(if value == 0 { DoorState::Closed } else { DoorState::Open })
}

/// Length of an entry about the device itself or of an answer to a command, which measures nothing.
fn skipped_len(channel: u8, kind: u8) -> Option<usize> {
    Some(match (channel, kind) {
        // Protocol version, power on, class, reset report. Answers: reboot, clear history, report now, history on,
        // retransmission on, stop sending history.
        (0xFF, 0x01 | 0x0B | 0x0F | 0xFE) | (0xFF | 0xFE, 0x10 | 0x27 | 0x28 | 0x68 | 0x69 | 0x6D) => 1,
        // Hardware, software and TSL version. Answers: reporting interval, time zone (old and new).
        (0xFF, 0x09 | 0x0A | 0xFF) | (0xFF | 0xFE, 0x03 | 0x17 | 0xBD) => 2,
        // Answer: interval of retransmission or resending.
        (0xFF | 0xFE, 0x6A) => 3,
        // Answer: clock set.
        (0xFF | 0xFE, 0x11) => 4,
        // Serial number, old and present.
        (0xFF, 0x08) => 6,
        (0xFF, 0x16) => 8,
        // Answer: threshold.
        (0xFF | 0xFE, 0x06) => 9,
        _ => return None,
    })
}
