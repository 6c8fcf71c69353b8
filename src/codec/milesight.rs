//! Milesight: entries of channel, type and a value whose length both give, little-endian. From the payload chapters of the
//! user guides and the tables of Milesight's payload documentation. Port 85 unless configured otherwise.

use super::value::{Reader, door, humidity, now, one_wire_temperature, temperature, then};
use super::{CodecError, Fault, Measurement, Quantity};
use crate::domain::Probe;

pub const PORT: u8 = 85;

/// Milesight counts tenths of a degree and halves of a percent.
const STEP: i32 = 10;
const HUMIDITY_STEP: i32 = 50;

/// What differs between the models.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Whose temperature channel 3 is, and channel 4's humidity.
    probe: Probe,
    /// Whose temperature channel 4 is.
    second: Option<Probe>,
    sensor: Sensor,
    /// What type 0 of a channel says.
    contacts: &'static [(u8, Contact)],
    history: History,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sensor {
    /// Its maker names no sentinel but 0x7FFF.
    Plain,
    /// DS18B20.
    OneWire,
    /// 0xFFFF: nothing could be measured; 0xFFFD: out of the sensor's range. They look like -0.1 and -0.3 °C; that a probe
    /// fault is told now and then in ice water is the lesser evil than a dead probe that measures -0.1 °C for ever.
    Pt100,
}

#[derive(Clone, Copy, Debug)]
enum Contact {
    /// 0: the magnet is there.
    Door(Probe),
    Leak,
    /// Torn off the wall.
    Tamper,
}

/// What follows the time of a history entry.
#[derive(Clone, Copy, Debug)]
enum History {
    None,
    Temperature,
    /// Temperature, humidity, and so many bytes of something else.
    Climate(usize),
    ClimateAndDoor,
    ClimateAndLeak,
    /// Water is all that is measured; the places of temperature and humidity are empty.
    Leak,
    /// What each channel's value is, both values.
    TwoChannels,
}

const PLAIN: Shape = Shape {
    probe: Probe::INTERNAL,
    second: None,
    sensor: Sensor::Plain,
    contacts: &[],
    history: History::None,
};

/// A reserved byte ends its history entries.
pub const EM300_TH: Shape = Shape { history: History::Climate(1), ..PLAIN };
pub const EM300_MCS: Shape =
    Shape { contacts: &[(0x06, Contact::Door(Probe::INTERNAL))], history: History::ClimateAndDoor, ..PLAIN };
pub const EM300_SLD: Shape =
    Shape { contacts: &[(0x05, Contact::Leak)], history: History::ClimateAndLeak, ..PLAIN };
/// The guide's table says channel 6, its example channel 5.
pub const EM300_MLD: Shape =
    Shape { contacts: &[(0x05, Contact::Leak), (0x06, Contact::Leak)], history: History::Leak, ..PLAIN };
/// The sensor hangs on a cable. Without the EM300's reserved byte.
pub const EM320_TH: Shape = Shape { probe: Probe::EXTERNAL, history: History::Climate(0), ..PLAIN };
pub const EM500_PT100: Shape =
    Shape { probe: Probe::EXTERNAL, sensor: Sensor::Pt100, history: History::Temperature, ..PLAIN };
pub const TS101: Shape =
    Shape { probe: Probe::EXTERNAL, sensor: Sensor::OneWire, history: History::Temperature, ..PLAIN };
/// TS301 and TS302: on each channel a temperature probe or a magnet contact.
pub const TS30X: Shape = Shape {
    probe: Probe::numbered(1),
    second: Some(Probe::numbered(2)),
    contacts: &[(0x03, Contact::Door(Probe::numbered(1))), (0x04, Contact::Door(Probe::numbered(2)))],
    history: History::TwoChannels,
    ..PLAIN
};
pub const WS301: Shape =
    Shape { contacts: &[(0x03, Contact::Door(Probe::INTERNAL)), (0x04, Contact::Tamper)], ..PLAIN };
pub const WS303: Shape = Shape { contacts: &[(0x03, Contact::Leak)], ..PLAIN };
pub const AM102: Shape = Shape { history: History::Climate(0), ..PLAIN };
/// Two bytes of CO2 end its history entries.
pub const AM103: Shape = Shape { history: History::Climate(2), ..PLAIN };
/// They keep no history.
pub const AM104_AM107: Shape = PLAIN;

pub fn decode(shape: &Shape, bytes: &[u8]) -> Result<Vec<Measurement>, CodecError> {
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
    shape: &Shape,
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
        // A temperature; 0x8x: and whether the threshold alarm began or ended; type 0xD7: by how much it changed suddenly,
        // and the alarm.
        (0x03 | 0x04 | 0x83 | 0x84, 0x67) | (0x83 | 0x84 | 0x93 | 0x94, 0xD7) => {
            let Some(probe) = shape.probe_of(channel & 0x0F) else { return Ok(false) };
            out.push(now(probe, shape.temperature(reader.i16_le()?)));
            reader.skip(match (channel, kind) {
                (0x03 | 0x04, _) => 0,
                (_, 0x67) => 1,
                _ => 3,
            })?;
        }
        (0x04, 0x68) => out.push(now(shape.probe, relative(reader.u8()?))),
        (_, 0x00) => {
            let contact = shape.contacts.iter().find(|(of, _)| *of == channel);
            let Some((_, contact)) = contact else { return Ok(false) };
            let value = reader.u8()?;
            match contact {
                Contact::Door(probe) => out.push(now(*probe, door(value != 0))),
                Contact::Leak => out.push(now(Probe::INTERNAL, Quantity::Leak(value != 0))),
                Contact::Tamper => {}
            }
        }
        (0x20, 0xCE) => history(shape, reader, out)?,
        // An answer: rules, each of them 6 bytes.
        (0xFF | 0xFE, 0x3A) => {
            let count = reader.u8()?;
            reader.skip(usize::from(count) * 6)?;
        }
        _ => match skipped_len(channel, kind) {
            Some(len) => reader.skip(len)?,
            None => return Ok(false),
        },
    }
    Ok(true)
}

impl Shape {
    fn probe_of(&self, channel: u8) -> Option<Probe> {
        if channel == 0x03 { Some(self.probe) } else { self.second }
    }

    fn temperature(&self, raw: i16) -> Quantity {
        match (self.sensor, raw) {
            (Sensor::Pt100, -1) => Quantity::Fault(Fault::Reported),
            (Sensor::Pt100, -3) => Quantity::Fault(Fault::OutOfRange),
            (Sensor::OneWire, raw) => one_wire_temperature(raw, STEP),
            (_, raw) => temperature(raw, STEP),
        }
    }
}

/// 0xFF (EM320-TH: the sensor failed) and everything above 100 % is a fault.
fn relative(halves: u8) -> Quantity {
    humidity(i32::from(halves) * HUMIDITY_STEP)
}

fn history(shape: &Shape, reader: &mut Reader<'_>, out: &mut Vec<Measurement>) -> Result<(), CodecError> {
    let at = match shape.history {
        History::None => {
            return Err(CodecError::Malformed("a history entry from a model that keeps none".to_owned()));
        }
        History::TwoChannels => return two_channels(shape, reader, out),
        _ => reader.u32_le()?,
    };
    if matches!(shape.history, History::Leak) {
        reader.skip(3)?;
    } else {
        out.push(then(shape.probe, shape.temperature(reader.i16_le()?), at));
    }
    if matches!(shape.history, History::Climate(_) | History::ClimateAndDoor | History::ClimateAndLeak) {
        out.push(then(shape.probe, relative(reader.u8()?), at));
    }
    match shape.history {
        History::Climate(rest) => reader.skip(rest)?,
        History::ClimateAndDoor => out.push(then(Probe::INTERNAL, door(reader.u8()? != 0), at)),
        History::ClimateAndLeak | History::Leak => {
            out.push(then(Probe::INTERNAL, Quantity::Leak(reader.u8()? != 0), at));
        }
        _ => {}
    }
    Ok(())
}

/// Half a byte tells of each channel what its two bytes are: nothing, a temperature (and why it was stored), a contact.
fn two_channels(
    shape: &Shape,
    reader: &mut Reader<'_>,
    out: &mut Vec<Measurement>,
) -> Result<(), CodecError> {
    let at = reader.u32_le()?;
    let kinds = reader.u8()?;
    for (channel, kind) in [(0x03, kinds >> 4), (0x04, kinds & 0x0F)] {
        let raw = reader.i16_le()?;
        let Some(probe) = shape.probe_of(channel) else { continue };
        match kind {
            1..=4 => out.push(then(probe, shape.temperature(raw), at)),
            5 | 6 => out.push(then(probe, door(raw != 0), at)),
            _ => {}
        }
    }
    Ok(())
}

/// Length of an entry that says nothing about a cold room.
fn skipped_len(channel: u8, kind: u8) -> Option<usize> {
    match channel {
        0xFE => answer_len(kind),
        0xFF => device_len(kind).or_else(|| answer_len(kind)),
        _ => other_len(channel, kind),
    }
}

/// What an AM10x measures of air and light, how much room a history has left and the answers about that.
fn other_len(channel: u8, kind: u8) -> Option<usize> {
    Some(match (channel, kind) {
        (0x05, 0x9C) | (0xF9, 0xC9) => 1,
        // Activity, CO2, TVOC, pressure.
        (0x05, 0x6A) | (0x07 | 0x08, 0x7D) | (0x09, 0x73) | (0xF8, 0xC9) => 2,
        // Light.
        (0x06, 0x65) => 6,
        _ => return None,
    })
}

/// What a device says about itself.
fn device_len(kind: u8) -> Option<usize> {
    Some(match kind {
        // Protocol version, power on, class, reset report.
        0x01 | 0x0B | 0x0F | 0xFE => 1,
        // Hardware, software and TSL version, state of the sensor.
        0x09 | 0x0A | 0x18 | 0xFF => 2,
        // Measuring range.
        0x1B => 5,
        // Serial number, old and present.
        0x08 => 6,
        0x16 => 8,
        // Serial number of a probe.
        0xA0 => 9,
        _ => return None,
    })
}

/// An answer to a command.
fn answer_len(kind: u8) -> Option<usize> {
    Some(match kind {
        // Reboot, history on and off, clear, retransmission, stop, buttons, screen, daylight saving.
        0x10 | 0x25 | 0x27 | 0x28 | 0x2D | 0x2F | 0x3B | 0x4A | 0x57 | 0x59 | 0x68 | 0x69 | 0x6D | 0xE9
        | 0xEB => 1,
        // Collection and reporting interval, time zone.
        0x02 | 0x03 | 0x17 | 0xBD => 2,
        // Interval of retransmission, of resending, calibration.
        0x6A | 0x8E | 0xAB | 0xEA => 3,
        // Clock set.
        0x11 => 4,
        // Threshold of the sudden change.
        0x91 => 5,
        // Threshold.
        0x06 => 9,
        _ => return None,
    })
}
