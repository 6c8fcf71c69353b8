//! Adeunis TEMP V4 and COMFORT: frame code, status, tenths of a degree, big-endian, on port 1. From the technical reference
//! manuals.
//!
//! A periodic frame holds the samples since the last one, newest first, without their times: they are given oldest first,
//! each as measured now, so that none is hidden and the newest is the present. The time that a frame may end with is the
//! device's own for its sending, which the hub knows better.

use super::value::{Reader, humidity, now, temperature};
use super::{CodecError, Measurement};
use crate::domain::Probe;

pub const PORT: u8 = 1;

/// Tenths of a degree.
const STEP: i32 = 10;
/// Bits of the status.
const HAS_TIME: u8 = 0x04;
const HAS_TWO_CHANNELS: u8 = 0x10;
const TIME_LEN: usize = 4;

pub fn temp_4(bytes: &[u8]) -> Result<Vec<Measurement>, CodecError> {
    const KEEP_ALIVE: u8 = 0x30;
    const PERIODIC: u8 = 0x57;
    const ALARM: u8 = 0x58;
    /// Settings, answers to commands, network tests.
    const OTHERS: &[u8] = &[0x10, 0x20, 0x2F, 0x33, 0x36, 0x37];
    let (code, status, mut values) = open(bytes, &[KEEP_ALIVE, PERIODIC, ALARM], OTHERS)?;
    let channels = if status & HAS_TWO_CHANNELS == 0 { 1 } else { 2 };
    let mut out = Vec::new();
    match code {
        KEEP_ALIVE | ALARM => {
            for number in 1..=channels {
                // The state of the channel's alarm.
                values.skip(usize::from(code == ALARM))?;
                out.push(now(Probe::numbered(number), temperature(values.i16_be()?, STEP)));
            }
        }
        PERIODIC => {
            while !values.is_empty() {
                for number in 1..=channels {
                    out.push(now(Probe::numbered(number), temperature(values.i16_be()?, STEP)));
                }
            }
            out.reverse();
        }
        _ => {}
    }
    Ok(out)
}

pub fn comfort(bytes: &[u8]) -> Result<Vec<Measurement>, CodecError> {
    const PERIODIC: u8 = 0x4C;
    const ALARM: u8 = 0x4D;
    /// Settings, answers to commands, network tests, keep-alive, and two inputs that may be wired to anything.
    const OTHERS: &[u8] = &[0x10, 0x1F, 0x20, 0x30, 0x33, 0x37, 0x51, 0x52];
    let (code, _, mut values) = open(bytes, &[PERIODIC, ALARM], OTHERS)?;
    let mut samples = Vec::new();
    match code {
        ALARM => {
            values.skip(1)?;
            samples.push((values.i16_be()?, values.u8()?));
        }
        PERIODIC => {
            while !values.is_empty() {
                samples.push((values.i16_be()?, values.u8()?));
            }
        }
        _ => {}
    }
    let mut out: Vec<_> =
        samples.iter().rev().map(|(raw, _)| now(Probe::INTERNAL, temperature(*raw, STEP))).collect();
    // Without times there is one humidity of now: the newest.
    out.extend(
        samples.first().map(|(_, relative)| now(Probe::INTERNAL, humidity(i32::from(*relative) * 100))),
    );
    Ok(out)
}

/// The frame code, the status and what stands before the time. Codes in `others` measure nothing.
fn open<'a>(bytes: &'a [u8], measuring: &[u8], others: &[u8]) -> Result<(u8, u8, Reader<'a>), CodecError> {
    let mut reader = Reader::new(bytes);
    let (code, status) = (reader.u8()?, reader.u8()?);
    if others.contains(&code) {
        return Ok((code, status, Reader::new(&[])));
    }
    if !measuring.contains(&code) {
        return Err(CodecError::Malformed(format!("Adeunis frame 0x{code:02x} is not known of this model")));
    }
    let time = if status & HAS_TIME == 0 { 0 } else { TIME_LEN };
    let rest = reader.rest();
    let Some(end) = rest.len().checked_sub(time) else {
        return Err(CodecError::Short { got: bytes.len(), wanted: 2 + time });
    };
    Ok((code, status, Reader::new(&rest[..end])))
}
