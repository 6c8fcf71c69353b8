//! Dragino LHT65 and LHT65N: temperature and humidity, with an external sensor on a cable.

use super::{LOG_PORT, MILLIVOLTS, RECORD_LEN, STATUS_PORT, records, status};
use crate::codec::value::{Reader, battery, humidity, now, one_wire_temperature, temperature, then};
use crate::codec::{CodecError, Fault, Measurement, Quantity};
use crate::domain::{Probe, UnixMs};

/// Dragino counts hundredths of a degree.
const STEP: i32 = 1;
/// Humidity in tenths of a percent; in records the battery's state stands above it.
const HUMIDITY_BITS: u16 = 0x0FFF;

/// Bits of the seventh byte.
const IS_POLL_REPLY: u8 = 0x40;
/// LHT65N: a record sent again because it was not acknowledged. LHT65: the external sensor is not plugged in.
const BIT_7: u8 = 0x80;
const EXT: u8 = 0x0F;

/// A record's time is taken for one between 2020 and 2036: 0x7FFF.... and small numbers are not.
const RECORD_TIME: std::ops::Range<u32> = 1_577_836_800..2_082_758_400;
/// How far ahead of the hub a sensor's clock may be before a number is no time.
const RECORD_AHEAD_MS_MAX: i64 = 86_400_000;

pub fn lht65(f_port: u8, bytes: &[u8]) -> Result<Vec<Measurement>, CodecError> {
    match f_port {
        STATUS_PORT => status(bytes),
        _ if is_log(bytes) => log(bytes),
        _ => live(bytes),
    }
}

pub fn lht65n(f_port: u8, bytes: &[u8], received: Option<UnixMs>) -> Result<Vec<Measurement>, CodecError> {
    match f_port {
        STATUS_PORT => status(bytes),
        LOG_PORT if is_log(bytes) && has_times(bytes, received) => log(bytes),
        LOG_PORT => batch(bytes),
        _ if is_log(bytes) || is_retransmission(bytes, received) => log(bytes),
        _ => live(bytes),
    }
}

/// What hangs on the cable, by the external type in the frame.
#[derive(Clone, Copy, PartialEq, Eq)]
enum External {
    /// DS18B20 (probe E1).
    OneWire,
    /// TMP117 (probe E3) and the like.
    Digital,
    /// SHT31 (E31F): temperature and humidity.
    Climate,
    /// Nothing, or nothing that measures temperature.
    Other,
}

impl External {
    fn of(ext: u8) -> Self {
        match ext {
            0x01 | 0x09 => External::OneWire,
            0x02 | 0x0A => External::Digital,
            0x0B | 0x0C => External::Climate,
            _ => External::Other,
        }
    }

    fn temperature(self, raw: i16) -> Option<Quantity> {
        match self {
            External::OneWire => Some(one_wire_temperature(raw, STEP)),
            External::Digital | External::Climate => Some(temperature(raw, STEP)),
            External::Other => None,
        }
    }
}

/// An uplink of the present: battery, built-in temperature and humidity, type of the external sensor, its value.
fn live(bytes: &[u8]) -> Result<Vec<Measurement>, CodecError> {
    /// The whole byte: an identity frame, whose built-in values are replaced by the probe's serial number.
    const ID_SHT31: u8 = 0x10;
    const ID_TMP117: u8 = 0x20;
    const ID_ONE_WIRE: u8 = 0x0F;
    const COUNT_ONLY: u8 = 0x0E;
    const CLIMATE_AND_TIME: u8 = 0x0C;
    const SHORT_LEN: usize = 7;

    // Without an external sensor the last four bytes may be missing.
    let wanted = if bytes.len() == SHORT_LEN && bytes[SHORT_LEN - 1] == 0 { SHORT_LEN } else { RECORD_LEN };
    if bytes.len() < wanted {
        return Err(CodecError::Short { got: bytes.len(), wanted });
    }
    if bytes.iter().all(|byte| *byte == 0) {
        // The answer to a poll that found nothing in the log.
        return Ok(Vec::new());
    }
    let mut reader = Reader::new(bytes);
    let first = reader.i16_be()?;
    let built_in = (reader.i16_be()?, reader.u16_be()?);
    let kind = reader.u8()?;
    let battery = battery(first as u16 & MILLIVOLTS);

    match kind {
        ID_SHT31 => {
            let mut out = vec![battery];
            external_climate(&mut reader, &mut out)?;
            return Ok(out);
        }
        ID_TMP117 => {
            return Ok(vec![battery, now(Probe::EXTERNAL, temperature(reader.i16_be()?, STEP))]);
        }
        _ => {}
    }
    let ext = kind & EXT;
    let external = External::of(ext);
    let mut out = Vec::new();
    match ext {
        // The plug is out, whatever value is still there.
        _ if kind & BIT_7 != 0 => {
            out.push(battery);
            if external != External::Other {
                out.push(now(Probe::EXTERNAL, Quantity::Fault(Fault::Disconnected)));
            }
        }
        ID_ONE_WIRE | COUNT_ONLY => return Ok(vec![battery]),
        // With a timestamp the probe's value stands where the battery else does, and the sensor's clock where the value
        // does. It is measured now all the same: the hub's clock and the network's are better than the sensor's.
        0x09 | 0x0A => {
            reader.skip(4)?;
            out.extend(external.temperature(first).map(|quantity| now(Probe::EXTERNAL, quantity)));
        }
        // Which of the two words is the battery is not documented; the built-in values are where they always are.
        CLIMATE_AND_TIME => {}
        _ => {
            out.push(battery);
            if external == External::Climate {
                external_climate(&mut reader, &mut out)?;
            } else if external != External::Other {
                let quantity = external.temperature(reader.i16_be()?);
                out.extend(quantity.map(|quantity| now(Probe::EXTERNAL, quantity)));
            }
        }
    }
    out.push(now(Probe::INTERNAL, temperature(built_in.0, STEP)));
    out.push(now(Probe::INTERNAL, built_in_humidity(built_in.1)));
    Ok(out)
}

fn external_climate(reader: &mut Reader<'_>, out: &mut Vec<Measurement>) -> Result<(), CodecError> {
    out.push(now(Probe::EXTERNAL, temperature(reader.i16_be()?, STEP)));
    out.push(now(Probe::EXTERNAL, built_in_humidity(reader.u16_be()?)));
    Ok(())
}

fn built_in_humidity(word: u16) -> Quantity {
    humidity(i32::from(word & HUMIDITY_BITS) * 10)
}

/// Records of the log: external value, built-in temperature, humidity, flags and type, Unix time.
fn log(bytes: &[u8]) -> Result<Vec<Measurement>, CodecError> {
    let mut out = Vec::new();
    for mut record in records(bytes)? {
        let first = record.i16_be()?;
        let built_in = (record.i16_be()?, record.u16_be()?);
        let external = External::of(record.u8()? & EXT);
        let at = record.u32_be()?;
        out.extend(external.temperature(first).map(|quantity| then(Probe::EXTERNAL, quantity, at)));
        out.push(then(Probe::INTERNAL, temperature(built_in.0, STEP), at));
        out.push(then(Probe::INTERNAL, built_in_humidity(built_in.1), at));
    }
    Ok(out)
}

/// Several samples of one probe since the last frame, oldest first, without times: each stands as measured now.
fn batch(bytes: &[u8]) -> Result<Vec<Measurement>, CodecError> {
    let mut reader = Reader::new(bytes);
    let battery = battery(reader.u16_be()? & MILLIVOLTS);
    let sensor = reader.u8()?;
    let probe = match sensor {
        1 | 2 | 4 => Probe::EXTERNAL,
        // The built-in GXHT30.
        3 => Probe::INTERNAL,
        other => return Err(CodecError::Malformed(format!("sensor type {other} of a batch is not known"))),
    };
    let mut out = vec![battery];
    while !reader.is_empty() {
        let raw = reader.i16_be()?;
        let quantity = if sensor == 1 { one_wire_temperature(raw, STEP) } else { temperature(raw, STEP) };
        out.push(now(probe, quantity));
    }
    Ok(out)
}

/// Whether this answers a poll of the log.
fn is_log(bytes: &[u8]) -> bool {
    bytes.len() >= RECORD_LEN && bytes[6] & IS_POLL_REPLY != 0
}

/// Whether an LHT65N sends a record again. Early firmware sets the same bit when the external sensor is not plugged in;
/// there the value is 0x7FFF, or no temperature and no time.
fn is_retransmission(bytes: &[u8], received: Option<UnixMs>) -> bool {
    if bytes.len() < RECORD_LEN || bytes[6] & BIT_7 == 0 || bytes[7..9] == [0x7F, 0xFF] {
        return false;
    }
    External::of(bytes[6] & EXT) != External::Other || has_times(bytes, received)
}

fn has_times(bytes: &[u8], received: Option<UnixMs>) -> bool {
    bytes.len().is_multiple_of(RECORD_LEN)
        && bytes.chunks_exact(RECORD_LEN).filter(|record| record.iter().any(|byte| *byte != 0)).all(
            |record| {
                let at = u32::from_be_bytes([record[7], record[8], record[9], record[10]]);
                RECORD_TIME.contains(&at)
                    && received
                        .is_none_or(|now| i64::from(at) * 1_000 <= now.0.saturating_add(RECORD_AHEAD_MS_MAX))
            },
        )
}
