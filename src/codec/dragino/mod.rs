//! Dragino, big-endian. From the user manuals on Dragino's wiki.

mod door;
mod lht65;
mod probes;

use super::value::{Reader, battery};
use super::{CodecError, Measurement};
use crate::domain::{Probe, UnixMs};

pub const PORT: u8 = 2;
/// Records of the log; LHT65N: also several samples of one probe.
pub const LOG_PORT: u8 = 3;
/// LHT52: the serial number of the external sensor. LDS03A: settings.
pub const SETTINGS_PORT: u8 = 4;
pub const STATUS_PORT: u8 = 5;
pub const DOOR_PORT: u8 = 10;
/// LDS02: counting mode, which says how often, not whether, the door is open.
pub const DOOR_COUNT_PORT: u8 = 7;

/// A frame on the first port, and a record of the log.
const RECORD_LEN: usize = 11;
/// The two highest bits of the battery word tell its state, the rest its millivolts.
const MILLIVOLTS: u16 = 0x3FFF;

#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Lht65,
    Lht65n,
    Lht52,
    /// LDS01, LDS02, LWL01, LWL02: one format for door and water.
    DoorOrLeak,
    Lds03a,
    /// LSN50v2 and LB with DS18B20 probes, named in the order of the frame.
    D2x(&'static [Probe]),
    S31,
    Ltc2,
}

pub fn decode(
    kind: Kind,
    f_port: u8,
    bytes: &[u8],
    received: Option<UnixMs>,
) -> Result<Vec<Measurement>, CodecError> {
    match kind {
        Kind::Lht65 => lht65::lht65(f_port, bytes),
        Kind::Lht65n => lht65::lht65n(f_port, bytes, received),
        Kind::Lht52 => probes::lht52(f_port, bytes),
        Kind::DoorOrLeak => door::door_or_leak(f_port, bytes),
        Kind::Lds03a => door::lds03a(f_port, bytes),
        Kind::D2x(probes) => probes::d2x(probes, f_port, bytes),
        Kind::S31 => probes::s31(f_port, bytes),
        Kind::Ltc2 => probes::ltc2(bytes),
    }
}

/// Device status: model, firmware, band, sub-band, battery.
fn status(bytes: &[u8]) -> Result<Vec<Measurement>, CodecError> {
    let mut reader = Reader::new(bytes);
    reader.skip(5)?;
    Ok(vec![battery(reader.u16_be()? & MILLIVOLTS)])
}

/// The records of a log, without the empty ones that fill a frame.
fn records(bytes: &[u8]) -> Result<Vec<Reader<'_>>, CodecError> {
    let mut reader = Reader::new(bytes);
    let mut records = Vec::new();
    while !reader.is_empty() {
        let record = reader.exactly(RECORD_LEN)?;
        if record.iter().any(|byte| *byte != 0) {
            records.push(Reader::new(record));
        }
    }
    Ok(records)
}
