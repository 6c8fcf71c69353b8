//! Dragino sensors with probes on cables: LHT52, LSN50v2-D20/D22/D23 and D20/D22/D23-LB, S31-LB, LTC2.

use super::{LOG_PORT, MILLIVOLTS, PORT, RECORD_LEN, STATUS_PORT, records, status};
use crate::codec::value::{Reader, battery, celsius, humidity, now, one_wire_temperature, temperature, then};
use crate::codec::{CodecError, Fault, Measurement, Quantity};
use crate::domain::Probe;

/// Counts of a tenth and a hundredth of a degree, in hundredths.
const TENTHS: i32 = 10;
const HUNDREDTHS: i32 = 1;
/// Bits of the seventh byte of D2x and S31: the mode, which is 31 when the frame tells the alarm's limits instead.
const MODE: u8 = 0x7C;
const MODE_LIMITS: u8 = 31 << 2;
/// Three DS18B20. In the generic modes of an LSN50v2 only the first probe's place is the same.
const MODE_THREE_PROBES: u8 = 3 << 2;

/// Temperature, humidity and the external DS18B20's temperature, its type, Unix time; the same in the log.
pub fn lht52(f_port: u8, bytes: &[u8]) -> Result<Vec<Measurement>, CodecError> {
    match f_port {
        STATUS_PORT => return status(bytes),
        // An answer to a command has another length.
        PORT if bytes.len() > RECORD_LEN => return Ok(Vec::new()),
        PORT | LOG_PORT => {}
        _ => return Ok(Vec::new()),
    }
    let mut out = Vec::new();
    for mut record in records(bytes)? {
        let built_in = (record.i16_be()?, record.u16_be()?);
        let external = record.i16_be()?;
        let _type = record.u8()?;
        let at = record.u32_be()?;
        let values = [
            (Probe::EXTERNAL, one_wire_temperature(external, HUNDREDTHS)),
            (Probe::INTERNAL, temperature(built_in.0, HUNDREDTHS)),
            (Probe::INTERNAL, humidity(i32::from(built_in.1) * 10)),
        ];
        // The hub's clock is better than the sensor's for what it hears at once.
        out.extend(values.map(|(probe, quantity)| match f_port {
            PORT => now(probe, quantity),
            _ => then(probe, quantity, at),
        }));
    }
    Ok(out)
}

/// Battery, first probe (red), two bytes of the alarm, mode, second probe (white), third probe (black).
pub fn d2x(probes: &[Probe], f_port: u8, bytes: &[u8]) -> Result<Vec<Measurement>, CodecError> {
    if f_port == STATUS_PORT {
        return status(bytes);
    }
    let mut reader = Reader::new(bytes);
    let battery = battery(reader.u16_be()? & MILLIVOLTS);
    let first = reader.i16_be()?;
    reader.skip(2)?;
    let mode = reader.u8()? & MODE;
    let raws = [first, reader.i16_be()?, reader.i16_be()?];
    let count = match mode {
        MODE_LIMITS => return Ok(Vec::new()),
        MODE_THREE_PROBES => raws.len(),
        _ => 1,
    };
    let mut out = vec![battery];
    let probes = probes.iter().zip(raws).take(count);
    out.extend(probes.map(|(probe, raw)| now(*probe, d2x_temperature(raw))));
    Ok(out)
}

/// The manual prints "NULL" for 0xFFFF: nothing is connected there.
fn d2x_temperature(raw: i16) -> Quantity {
    match raw {
        -1 => Quantity::Fault(Fault::Disconnected),
        raw => one_wire_temperature(raw, TENTHS),
    }
}

/// Battery, Unix time, mode and alarm, temperature, humidity. In the log the values come first and the time last. The
/// manuals disagree on what the status frame holds, so nothing is taken from it.
pub fn s31(f_port: u8, bytes: &[u8]) -> Result<Vec<Measurement>, CodecError> {
    let mut out = Vec::new();
    match f_port {
        PORT => {
            let mut reader = Reader::new(bytes);
            out.push(battery(reader.u16_be()? & MILLIVOLTS));
            reader.skip(4)?;
            let mode = reader.u8()?;
            let (raw, relative) = (reader.i16_be()?, reader.u16_be()?);
            if mode & MODE == MODE_LIMITS {
                return Ok(Vec::new());
            }
            out.push(now(Probe::EXTERNAL, temperature(raw, TENTHS)));
            out.push(now(Probe::EXTERNAL, humidity(i32::from(relative) * 10)));
        }
        LOG_PORT => {
            for mut record in records(bytes)? {
                record.skip(3)?;
                let (raw, relative) = (record.i16_be()?, record.u16_be()?);
                let at = record.u32_be()?;
                out.push(then(Probe::EXTERNAL, temperature(raw, TENTHS), at));
                out.push(then(Probe::EXTERNAL, humidity(i32::from(relative) * 10), at));
            }
        }
        _ => {}
    }
    Ok(out)
}

/// Battery, flags and resolution, both channels, Unix time. The answer to a poll is several of these.
pub fn ltc2(bytes: &[u8]) -> Result<Vec<Measurement>, CodecError> {
    const IS_POLL_REPLY: u8 = 0x40;
    const EXT: u8 = 0x0F;
    const EXT_HUNDREDTHS: u8 = 1;
    const EXT_TENTHS: u8 = 2;
    const EXT_RESISTANCE: u8 = 3;
    let mut out = Vec::new();
    for mut record in records(bytes)? {
        let millivolts = record.u16_be()? & MILLIVOLTS;
        let flags = record.u8()?;
        let channels = [record.i16_be()?, record.i16_be()?];
        let at = record.u32_be()?;
        let is_log = flags & IS_POLL_REPLY != 0;
        if !is_log {
            out.push(battery(millivolts));
        }
        let step = match flags & EXT {
            EXT_HUNDREDTHS => HUNDREDTHS,
            EXT_TENTHS => TENTHS,
            EXT_RESISTANCE => continue,
            other => {
                return Err(CodecError::Malformed(format!("resolution {other} of an LTC2 is not known")));
            }
        };
        for (number, raw) in (1..).zip(channels) {
            let probe = Probe::numbered(number);
            let quantity = ltc2_temperature(raw, step);
            out.push(if is_log { then(probe, quantity, at) } else { now(probe, quantity) });
        }
    }
    Ok(out)
}

/// -327.67: no PT100 on the channel.
fn ltc2_temperature(raw: i16, step: i32) -> Quantity {
    const NOT_CONNECTED: i16 = -32_767;
    match raw {
        NOT_CONNECTED => Quantity::Fault(Fault::Disconnected),
        raw => celsius(i32::from(raw) * step),
    }
}
