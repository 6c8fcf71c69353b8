//! Dragino LDS01, LDS02, LWL01, LWL02 (one format) and LDS03A.

use super::{DOOR_COUNT_PORT, LOG_PORT, MILLIVOLTS, PORT, STATUS_PORT, records, status};
use crate::codec::value::{Reader, battery, door, now, then};
use crate::codec::{CodecError, Measurement, Quantity};
use crate::domain::Probe;

/// Battery, door and water in one word, mode, how often, how many minutes, alarm. The alarm (open or wet for too long)
/// adds nothing to the state.
pub fn door_or_leak(f_port: u8, bytes: &[u8]) -> Result<Vec<Measurement>, CodecError> {
    const IS_OPEN: u16 = 0x8000;
    const IS_WET: u16 = 0x4000;
    const MODE_DOOR: u8 = 1;
    const MODE_LEAK: u8 = 2;
    const MODE_BOTH: u8 = 3;
    let mut reader = Reader::new(bytes);
    let word = reader.u16_be()?;
    let battery = battery(word & MILLIVOLTS);
    if f_port == DOOR_COUNT_PORT {
        reader.skip(3)?;
        return Ok(vec![battery]);
    }
    let mode = reader.u8()?;
    reader.skip(7)?;
    let door = now(Probe::INTERNAL, door(word & IS_OPEN != 0));
    let leak = now(Probe::INTERNAL, Quantity::Leak(word & IS_WET != 0));
    match mode {
        MODE_DOOR => Ok(vec![battery, door]),
        MODE_LEAK => Ok(vec![battery, leak]),
        MODE_BOTH => Ok(vec![battery, door, leak]),
        other => Err(CodecError::Malformed(format!("mode {other} of a door or leak sensor is not known"))),
    }
}

/// State, openings, minutes open, Unix time: on the first port now, on the log's port then. The battery comes with the
/// device status.
pub fn lds03a(f_port: u8, bytes: &[u8]) -> Result<Vec<Measurement>, CodecError> {
    const IS_OPEN: u8 = 0x01;
    let mut out = Vec::new();
    match f_port {
        STATUS_PORT => return status(bytes),
        PORT | LOG_PORT => {
            for mut record in records(bytes)? {
                let door = door(record.u8()? & IS_OPEN != 0);
                record.skip(6)?;
                let at = record.u32_be()?;
                // The hub's clock is better than the sensor's for what it hears at once.
                out.push(if f_port == PORT {
                    now(Probe::INTERNAL, door)
                } else {
                    then(Probe::INTERNAL, door, at)
                });
            }
        }
        // Settings.
        _ => {}
    }
    Ok(out)
}
