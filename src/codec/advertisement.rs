//! Bluetooth sensors that only advertise, as gateways hand their advertisements on: the manufacturer's data after the
//! company, or the service's data after the service. From the public descriptions of the formats: Ruuvi's data format 5,
//! the two of the open firmware for Xiaomi's thermometers (service 0x181A), Govee's, and BTHome 2 (service 0xFCD2).

use super::value::{Reader, celsius, humidity, now};
use super::{CodecError, DoorState, Fault, Measurement, Quantity};
use crate::domain::Probe;

#[derive(Clone, Copy, Debug)]
pub enum Format {
    Bthome,
    /// H5072, H5075: company 0xEC88. H5101, H5102: company 1.
    Govee3Bytes,
    /// H5074: company 0xEC88.
    GoveeH5074,
    /// H5179: company 0x8801.
    GoveeH5179,
    /// Company 0x0499.
    Ruuvi,
    Xiaomi,
}

/// The part of an advertisement that carries a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Manufacturer's data of one of these companies.
    Manufacturer(&'static [u16]),
    /// Data of the service with this 16-bit number.
    Service(u16),
}

impl Format {
    pub fn part(self) -> Part {
        match self {
            Format::Bthome => Part::Service(0xFCD2),
            Format::Govee3Bytes => Part::Manufacturer(&[0xEC88, 0x0001]),
            Format::GoveeH5074 => Part::Manufacturer(&[0xEC88]),
            Format::GoveeH5179 => Part::Manufacturer(&[0x8801]),
            Format::Ruuvi => Part::Manufacturer(&[0x0499]),
            Format::Xiaomi => Part::Service(0x181A),
        }
    }
}

/// How a sensor numbers its packets or measurements, from 0 to what `bits` hold and then from 0 again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketNumber {
    pub value: u32,
    pub bits: u8,
}

/// The number in an advertisement's data; None where the format has none (Govee's) or the sensor leaves it out.
pub fn packet_number(format: Format, bytes: &[u8]) -> Option<PacketNumber> {
    let byte = |index: usize| Some(PacketNumber { value: u32::from(*bytes.get(index)?), bits: 8 });
    match format {
        // Objects are sorted by their kind, and the packet number is of kind 0.
        Format::Bthome if bytes.get(1) == Some(&0) => byte(2),
        Format::Ruuvi if bytes.first() == Some(&RUUVI_RAW_V2) => {
            let value = u16::from_be_bytes(bytes.get(RUUVI_SEQUENCE)?.try_into().ok()?);
            (value != u16::MAX).then_some(PacketNumber { value: value.into(), bits: 16 })
        }
        Format::Xiaomi if bytes.len() == ATC_BYTES => byte(ATC_COUNTER),
        Format::Xiaomi if bytes.len() == PVVX_BYTES => byte(PVVX_COUNTER),
        Format::Bthome
        | Format::Ruuvi
        | Format::Xiaomi
        | Format::Govee3Bytes
        | Format::GoveeH5074
        | Format::GoveeH5179 => None,
    }
}

pub fn decode(format: Format, bytes: &[u8]) -> Result<Vec<Measurement>, CodecError> {
    let reader = &mut Reader::new(bytes);
    match format {
        Format::Bthome => bthome(reader),
        // One company, told apart by their length only: read as the other, values look right and are not.
        Format::Govee3Bytes if bytes.len() == GOVEE_H5074_BYTES => Err(another_govee("govee/h5074")),
        Format::GoveeH5074 if bytes.len() == GOVEE_3_BYTES_BYTES => Err(another_govee("govee/h5075")),
        Format::Govee3Bytes => govee_3_bytes(reader, bytes.starts_with(&GOVEE_LONG_HEAD)),
        Format::GoveeH5074 => govee(reader, 1),
        // 0xEC, two bytes that change with the firmware, 1.
        Format::GoveeH5179 => govee(reader, 4),
        Format::Ruuvi => ruuvi(reader),
        Format::Xiaomi => xiaomi(reader, bytes.len()),
    }
}

const RUUVI_RAW_V2: u8 = 5;
/// The measurement's number; all ones: there is none.
const RUUVI_SEQUENCE: std::ops::Range<usize> = 16..18;
/// Ruuvi counts temperature in 0.005 °C, humidity in 0.0025 %, and the battery from 1.6 V in the upper 11 bits.
const RUUVI_BATTERY_MV_MIN: u16 = 1_600;
const RUUVI_BATTERY_UNKNOWN: u16 = 0x7FF;

fn ruuvi(reader: &mut Reader<'_>) -> Result<Vec<Measurement>, CodecError> {
    let format = reader.u8()?;
    if format != RUUVI_RAW_V2 {
        return Err(CodecError::Malformed(format!(
            "Ruuvi's data format {format} is not known; update its firmware"
        )));
    }
    let temperature = match reader.i16_be()? {
        i16::MIN => Quantity::Fault(Fault::Disconnected),
        // Half away from zero.
        raw => celsius(i32::from(raw / 2 + raw % 2)),
    };
    let mut out = vec![now(Probe::INTERNAL, temperature)];
    let raw = reader.u16_be()?;
    // A tag without that sensor says so by all ones.
    if raw != u16::MAX {
        out.push(now(Probe::INTERNAL, humidity((i32::from(raw) + 2) / 4)));
    }
    // Pressure and acceleration.
    reader.skip(8)?;
    let battery = reader.u16_be()? >> 5;
    if battery != RUUVI_BATTERY_UNKNOWN {
        out.push(now(Probe::INTERNAL, Quantity::BatteryMillivolts(RUUVI_BATTERY_MV_MIN + battery)));
    }
    // Movements, sequence number, address: the end, so that a frame that was cut is none.
    reader.skip(9)?;
    Ok(out)
}

/// The firmware's own format and its improved one, told apart by their length.
const ATC_BYTES: usize = 13;
const PVVX_BYTES: usize = 15;
const ATC_COUNTER: usize = 12;
const PVVX_COUNTER: usize = 13;
/// The address of the thermometers begins so; the improved format gives it from its end.
const XIAOMI_MAKER: [u8; 3] = [0xA4, 0xC1, 0x38];
const XIAOMI_MAKER_REVERSED: [u8; 3] = [0x38, 0xC1, 0xA4];

fn xiaomi(reader: &mut Reader<'_>, len: usize) -> Result<Vec<Measurement>, CodecError> {
    let address = reader.exactly(6)?;
    if len == ATC_BYTES && address.ends_with(&XIAOMI_MAKER_REVERSED) && !address.starts_with(&XIAOMI_MAKER) {
        // The improved format, cut short: its bytes would be read as other values.
        return Err(CodecError::Short { got: len, wanted: PVVX_BYTES });
    }
    let (temperature, relative, percent, millivolts) = match len {
        ATC_BYTES => {
            let (tenths, relative) = (reader.i16_be()?, reader.u8()?);
            let (percent, millivolts) = (reader.u8()?, reader.u16_be()?);
            (i32::from(tenths) * 10, i32::from(relative) * 100, percent, millivolts)
        }
        PVVX_BYTES => {
            let (hundredths, relative) = (reader.i16_le()?, u16_le(reader)?);
            let (millivolts, percent) = (u16_le(reader)?, reader.u8()?);
            (i32::from(hundredths), i32::from(relative), percent, millivolts)
        }
        _ => {
            let wrong =
                format!("{len} bytes are neither {ATC_BYTES} nor {PVVX_BYTES}; encrypted ones are not read");
            return Err(CodecError::Malformed(wrong));
        }
    };
    let mut out = vec![now(Probe::INTERNAL, celsius(temperature)), now(Probe::INTERNAL, humidity(relative))];
    push_percent(percent, &mut out);
    out.push(now(Probe::INTERNAL, Quantity::BatteryMillivolts(millivolts)));
    Ok(out)
}

/// Set when the value is below zero: the rest is its size, not its complement.
const GOVEE_SIGN: u32 = 0x80_0000;
/// Set in the battery's byte by a sensor that failed.
const GOVEE_FAILED: u8 = 0x80;

const GOVEE_3_BYTES_BYTES: usize = 6;
const GOVEE_H5074_BYTES: usize = 7;

fn another_govee(model: &str) -> CodecError {
    CodecError::Malformed(format!("it looks like a {model}; pair it as one"))
}

/// Before the number of an H5101 or H5102; the others have a zero there.
const GOVEE_LONG_HEAD: [u8; 2] = [1, 1];

/// Temperature and humidity in one number: tenths of a degree * 1000 + tenths of a percent.
fn govee_3_bytes(reader: &mut Reader<'_>, has_long_head: bool) -> Result<Vec<Measurement>, CodecError> {
    reader.skip(if has_long_head { GOVEE_LONG_HEAD.len() } else { 1 })?;
    let raw = reader.exactly(3)?.iter().fold(0, |raw, byte| raw << 8 | u32::from(*byte));
    let battery = reader.u8()?;
    if battery & GOVEE_FAILED != 0 {
        return Ok(vec![now(Probe::INTERNAL, Quantity::Fault(Fault::Reported))]);
    }
    let size = (raw & !GOVEE_SIGN).cast_signed();
    let sign = if raw & GOVEE_SIGN == 0 { 1 } else { -1 };
    let mut out = vec![
        now(Probe::INTERNAL, celsius(sign * (size / 1_000) * 10)),
        now(Probe::INTERNAL, humidity(size % 1_000 * 10)),
    ];
    push_percent(battery, &mut out);
    Ok(out)
}

/// Hundredths, after a head.
fn govee(reader: &mut Reader<'_>, head: usize) -> Result<Vec<Measurement>, CodecError> {
    reader.skip(head)?;
    let mut out = vec![
        now(Probe::INTERNAL, celsius(reader.i16_le()?.into())),
        now(Probe::INTERNAL, humidity(u16_le(reader)?.into())),
    ];
    push_percent(reader.u8()?, &mut out);
    Ok(out)
}

const BTHOME_ENCRYPTED: u8 = 1;
/// Of the upper three bits.
const BTHOME_VERSION: u8 = 2;

fn bthome(reader: &mut Reader<'_>) -> Result<Vec<Measurement>, CodecError> {
    let about = reader.u8()?;
    if about >> 5 != BTHOME_VERSION {
        return Err(CodecError::Malformed(format!("BTHome version {} is not known", about >> 5)));
    }
    if about & BTHOME_ENCRYPTED != 0 {
        return Err(CodecError::Malformed("encrypted BTHome is not read; switch encryption off".to_owned()));
    }
    let mut out = Vec::new();
    // A device with several sensors repeats an object: the first is its own, the others are numbered.
    let (mut temperatures, mut humidities) = (0, 0);
    while !reader.is_empty() {
        let object = reader.u8()?;
        let quantity = match object {
            0x01 => {
                push_percent(reader.u8()?, &mut out);
                continue;
            }
            0x02 => celsius(reader.i16_le()?.into()),
            0x45 => celsius(i32::from(reader.i16_le()?) * 10),
            0x57 => celsius(i32::from(reader.u8()?.cast_signed()) * 100),
            0x03 => humidity(u16_le(reader)?.into()),
            0x2E => humidity(i32::from(reader.u8()?) * 100),
            0x0C => Quantity::BatteryMillivolts(u16_le(reader)?),
            // Opening, door, window.
            0x11 | 0x1A | 0x2D => {
                Quantity::Door(if reader.u8()? == 0 { DoorState::Closed } else { DoorState::Open })
            }
            0x20 => Quantity::Leak(reader.u8()? != 0),
            other => match bthome_len(other) {
                Some(len) => {
                    reader.skip(len)?;
                    continue;
                }
                None if out.is_empty() => {
                    return Err(CodecError::Malformed(format!("BTHome object 0x{other:02x} is not known")));
                }
                // Its length is unknown, so nothing after it can be read; what came before stands.
                None => break,
            },
        };
        let probe = match object {
            0x02 | 0x45 | 0x57 => nth(&mut temperatures),
            0x03 | 0x2E => nth(&mut humidities),
            _ => Probe::INTERNAL,
        };
        out.push(now(probe, quantity));
    }
    Ok(out)
}

/// Internal, then 1, 2 and so on.
fn nth(seen: &mut u8) -> Probe {
    let probe = if *seen == 0 { Probe::INTERNAL } else { Probe::numbered(*seen) };
    *seen = seen.saturating_add(1);
    probe
}

/// Bytes of an object that measures nothing of a cold room.
fn bthome_len(object: u8) -> Option<usize> {
    Some(match object {
        // Packet number, a count, contacts and detectors, percents, a button, UV.
        0x00 | 0x09 | 0x0F | 0x10 | 0x15..=0x2C | 0x2F | 0x3A | 0x46 => 1,
        // Mass, dew point, dust, gases, moisture, a dimmer, a count, rotation, distances, current, speed, volume, voltage.
        0x06..=0x08 | 0x0D | 0x0E | 0x12..=0x14 | 0x3C | 0x3D | 0x3F..=0x41 | 0x43 | 0x44 | 0x47..=0x4A => 2,
        // Pressure, light, energy, power, duration, gas.
        0x04 | 0x05 | 0x0A | 0x0B | 0x42 | 0x4B => 3,
        // A count, larger volumes and energies, a time.
        0x3E | 0x4C..=0x50 => 4,
        _ => return None,
    })
}

/// More than 100: the device does not know.
fn push_percent(percent: u8, out: &mut Vec<Measurement>) {
    if percent <= 100 {
        out.push(now(Probe::INTERNAL, Quantity::BatteryPercent(percent)));
    }
}

fn u16_le(reader: &mut Reader<'_>) -> Result<u16, CodecError> {
    Ok(reader.i16_le()?.cast_unsigned())
}
