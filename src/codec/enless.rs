//! Enless Wireless TX 600-031, 600-032 and 600-232: identifier, type, sequence, firmware, values, alarms, status; big-endian.
//! Enless publishes no byte table; the layout is what its transmitters send (their published uplinks are the tests).

use super::value::{Reader, now, temperature};
use super::{CodecError, Measurement, Quantity};
use crate::domain::Probe;

pub const PORT: u8 = 1;

/// Tenths of a degree.
const STEP: i32 = 10;

#[derive(Clone, Copy, Debug)]
pub struct Transmitter {
    name: &'static str,
    kind: u8,
    probes: &'static [Probe],
}

/// Temperature inside.
pub const TX_600_031: Transmitter = Transmitter { name: "600-031", kind: 0x07, probes: &[Probe::INTERNAL] };
/// One PT1000.
pub const TX_600_032: Transmitter = Transmitter { name: "600-032", kind: 0x0F, probes: &[Probe::EXTERNAL] };
/// Two PT1000.
pub const TX_600_232: Transmitter =
    Transmitter { name: "600-232", kind: 0x0C, probes: &[Probe::numbered(1), Probe::numbered(2)] };

pub fn decode(transmitter: &Transmitter, bytes: &[u8]) -> Result<Vec<Measurement>, CodecError> {
    /// Bits of the status: the battery in quarters used up.
    const BATTERY_SHIFT: u16 = 2;
    const BATTERY: u16 = 0b11;
    let Transmitter { name, kind: own, probes } = transmitter;
    let mut reader = Reader::new(bytes);
    let _identifier = reader.exactly(3)?;
    let kind = reader.u8()?;
    if kind != *own {
        return Err(CodecError::Malformed(format!(
            "type 0x{kind:02x} where a {name} sends 0x{own:02x}; check the model it is paired as"
        )));
    }
    let _sequence_and_firmware = reader.exactly(2)?;
    let raws = [reader.i16_be()?, reader.i16_be()?];
    let _alarms = reader.u16_be()?;
    let status = reader.u16_be()?;
    // Both values are signed; decoders that take the second for unsigned show 6550.9 °C for -2.7.
    let mut out: Vec<_> =
        probes.iter().zip(raws).map(|(probe, raw)| now(*probe, temperature(raw, STEP))).collect();
    let used = (status >> BATTERY_SHIFT & BATTERY) as u8;
    out.push(now(Probe::INTERNAL, Quantity::BatteryPercent(100 - 25 * used)));
    Ok(out)
}
