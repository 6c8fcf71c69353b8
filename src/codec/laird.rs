//! Laird (Ezurio) Sentrius RS1xx: message type, options, then what the type says, big-endian, on port 1. From the application
//! note "RS1xx LoRa Protocol".
//!
//! Numbers are in two parts, hundredths first, both of them signed. Times count from 2015 by the note; the vendor's own
//! examples show other years for them, and whether a time is believed is decided where it is used.

use super::value::{Reader, battery, celsius, door, humidity, now, one_wire_temperature};
use super::{CodecError, Fault, Measurement, Quantity};
use crate::domain::{Probe, UnixMs};

pub const PORT: u8 = 1;

/// 2015-01-01 00:00 UTC, from which the device counts seconds, in Unix seconds.
const EPOCH_2015_S: i64 = 1_420_070_400;
/// Bit of the options: the sensor failed.
const SENSOR_FAULT: u8 = 0x10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Temperature and humidity inside, on some with a door contact.
    Climate,
    /// A DS18B20 on a cable, in the messages of [`Kind::Climate`].
    OneWire,
    /// A resistance probe on a cable.
    Rtd,
}

impl Kind {
    fn probe(self) -> Probe {
        if self == Kind::Climate { Probe::INTERNAL } else { Probe::EXTERNAL }
    }
}

pub fn decode(kind: Kind, bytes: &[u8]) -> Result<Vec<Measurement>, CodecError> {
    let mut reader = Reader::new(bytes);
    let message = reader.u8()?;
    let has_failed = reader.u8()? & SENSOR_FAULT != 0;
    let mut out = Vec::new();
    match message {
        // Temperature and humidity.
        0x01 => {
            climate(kind, &mut reader, None, &mut out)?;
            out.push(battery_class(reader.u8()?));
            // Alarms, backlog.
            reader.skip(4)?;
        }
        0x02 => aggregated(kind, &mut reader, &mut out)?,
        // The backlog, one or several.
        0x03 => stored(kind, &mut reader, &mut out)?,
        0x04 => {
            for _ in 0..reader.u8()? {
                stored(kind, &mut reader, &mut out)?;
            }
        }
        // Settings, firmware.
        0x05..=0x08 | 0x0C => {}
        // Contact: mode, state, whether an alert is cancelled, counter.
        0x09 => {
            const MODE_DOOR: u8 = 0;
            let (mode, state) = (reader.u8()?, reader.u8()?);
            reader.skip(2)?;
            if mode == MODE_DOOR {
                out.push(now(Probe::INTERNAL, door(state != 0)));
            }
        }
        0x0A => {
            let (hundredths, volts) = (reader.u8()?, reader.u8()?);
            let millivolts = u16::from(volts).saturating_mul(1_000);
            out.push(battery(millivolts.saturating_add(u16::from(hundredths) * 10)));
        }
        // Resistance probe.
        0x0B => {
            out.push(rtd(&mut reader, None)?);
            out.push(battery_class(reader.u8()?));
            reader.skip(4)?;
        }
        other => return Err(CodecError::Malformed(format!("RS1xx message 0x{other:02x} is not known"))),
    }
    if has_failed {
        distrust(kind, &mut out);
    }
    Ok(out)
}

/// What the device says it cannot measure is no temperature; what it stored before stands.
fn distrust(kind: Kind, out: &mut Vec<Measurement>) {
    out.retain(|value| {
        value.at.is_some() || !matches!(value.quantity, Quantity::Temperature(_) | Quantity::Humidity(_))
    });
    out.push(now(kind.probe(), Quantity::Fault(Fault::Reported)));
}

/// Alarms and backlog, battery, several readings that end the interval whose time stands before them. How far apart they
/// are is a setting of the device, so each stands as measured now; of humidities, which pair with a temperature by time,
/// the newest.
fn aggregated(kind: Kind, reader: &mut Reader<'_>, out: &mut Vec<Measurement>) -> Result<(), CodecError> {
    reader.skip(3)?;
    let battery = battery_class(reader.u8()?);
    let count = reader.u8()?;
    reader.skip(4)?;
    for _ in 0..count {
        out.retain(|value| !matches!(value.quantity, Quantity::Humidity(_)));
        reading(kind, reader, None, out)?;
    }
    out.push(battery);
    Ok(())
}

fn stored(kind: Kind, reader: &mut Reader<'_>, out: &mut Vec<Measurement>) -> Result<(), CodecError> {
    let at = UnixMs((EPOCH_2015_S + i64::from(reader.u32_be()?)) * 1_000);
    reading(kind, reader, Some(at), out)
}

fn reading(
    kind: Kind,
    reader: &mut Reader<'_>,
    at: Option<UnixMs>,
    out: &mut Vec<Measurement>,
) -> Result<(), CodecError> {
    if kind == Kind::Rtd {
        out.push(rtd(reader, at)?);
        return Ok(());
    }
    climate(kind, reader, at, out)
}

fn climate(
    kind: Kind,
    reader: &mut Reader<'_>,
    at: Option<UnixMs>,
    out: &mut Vec<Measurement>,
) -> Result<(), CodecError> {
    let relative = i32::from(reader.u8()?) + i32::from(reader.u8()?) * 100;
    let hundredths = i16::from(reader.i8()?) + i16::from(reader.i8()?) * 100;
    let temperature = match kind {
        Kind::OneWire => one_wire_temperature(hundredths, 1),
        _ => celsius(i32::from(hundredths)),
    };
    let probe = kind.probe();
    out.push(Measurement { probe, quantity: temperature, at });
    out.push(Measurement { probe, quantity: humidity(relative), at });
    Ok(())
}

fn rtd(reader: &mut Reader<'_>, at: Option<UnixMs>) -> Result<Measurement, CodecError> {
    let hundredths = i32::from(reader.i16_be()?) + i32::from(reader.i16_be()?) * 100;
    Ok(Measurement { probe: Probe::EXTERNAL, quantity: celsius(hundredths), at })
}

/// 0 to 5: up to 5, 20, 40, 60, 80 and 100 %. The middle of the class is told.
fn battery_class(class: u8) -> Measurement {
    let percent = match class {
        0 => 3,
        1 => 13,
        2 => 30,
        3 => 50,
        4 => 70,
        _ => 90,
    };
    now(Probe::INTERNAL, Quantity::BatteryPercent(percent))
}
