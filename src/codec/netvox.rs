//! Netvox door sensors. Reports come on port 6: version, device type, report type, 8 bytes; answers to configuration
//! commands on port 7 carry nothing measured. From Netvox's "LoRaWAN Application Command".

use super::value::{Reader, now};
use super::{CodecError, DoorState, Measurement, Quantity};
use crate::domain::Probe;

pub const REPORT_PORT: u8 = 6;
pub const CONFIG_PORT: u8 = 7;

const DEVICE_R311A: u8 = 0x02;
const REPORT_VERSION: u8 = 0x00;
const REPORT_STATUS: u8 = 0x01;
/// The rest of every report: values, padded with zeros.
const REPORT_BODY_LEN: usize = 8;

/// R311A: battery in tenths of a volt, its top bit set when low; contact 1 = on = open.
pub fn r311a(f_port: u8, bytes: &[u8]) -> Result<Vec<Measurement>, CodecError> {
    if f_port == CONFIG_PORT {
        return Ok(Vec::new());
    }
    let mut reader = Reader::new(bytes);
    let _version = reader.u8()?;
    let device = reader.u8()?;
    let report = reader.u8()?;
    let mut body = Reader::new(reader.exactly(REPORT_BODY_LEN)?);
    if device != DEVICE_R311A {
        return Err(CodecError::Malformed(format!(
            "device type 0x{device:02x} where an R311A sends 0x02; check the model it is paired as"
        )));
    }
    match report {
        REPORT_VERSION => Ok(Vec::new()),
        REPORT_STATUS => {
            let millivolts = u16::from(body.u8()? & 0x7F) * 100;
            let door = if body.u8()? == 0 { DoorState::Closed } else { DoorState::Open };
            Ok(vec![
                now(Probe::INTERNAL, Quantity::BatteryMillivolts(millivolts)),
                now(Probe::INTERNAL, Quantity::Door(door)),
            ])
        }
        other => Err(CodecError::Malformed(format!("report type 0x{other:02x} of an R311A is not known"))),
    }
}
