//! Netvox. Reports come on port 6: version, device type, report type, 8 bytes, big-endian; answers to configuration
//! commands on port 7 and to calibration commands on port 14 carry nothing measured. From Netvox's "LoRaWAN Application
//! Command" and the user manuals.

use super::value::{Reader, battery, door, humidity, now, temperature};
use super::{CodecError, Measurement, Quantity};
use crate::domain::Probe;

pub const REPORT_PORT: u8 = 6;
pub const CONFIG_PORT: u8 = 7;
pub const CALIBRATION_PORT: u8 = 14;

const REPORT_VERSION: u8 = 0x00;
const REPORT_STATUS: u8 = 0x01;
/// The rest of every report: values, padded with zeros.
const REPORT_BODY_LEN: usize = 8;
/// The battery's tenths of a volt; the top bit says that it is low.
const TENTHS_OF_A_VOLT: u8 = 0x7F;

/// A model: its device type in the frames and what stands after the battery.
#[derive(Clone, Copy, Debug)]
pub struct Device {
    name: &'static str,
    kind: u8,
    body: &'static [Field],
}

#[derive(Clone, Copy, Debug)]
enum Field {
    /// Two bytes each, hundredths of a degree and of a percent.
    Climate,
    /// Two bytes, tenths of a degree.
    Temperature(Probe),
    /// 1 = on = open.
    Door(Probe),
    Leak(Probe),
}

const CLIMATE: &[Field] = &[Field::Climate];
const ONE_PROBE: &[Field] = &[Field::Temperature(Probe::EXTERNAL)];
const TWO_PROBES: &[Field] =
    &[Field::Temperature(Probe::numbered(1)), Field::Temperature(Probe::numbered(2))];
const DOOR: &[Field] = &[Field::Door(Probe::INTERNAL)];
const LEAK: &[Field] = &[Field::Leak(Probe::INTERNAL)];

pub const R311A: Device = Device { name: "R311A", kind: 0x02, body: DOOR };
/// The glass break sensor after the reed says nothing about the door.
pub const R311CB: Device = Device { name: "R311CB", kind: 0x56, body: DOOR };
pub const R311CC: Device = Device {
    name: "R311CC",
    kind: 0x6C,
    body: &[Field::Door(Probe::numbered(1)), Field::Door(Probe::numbered(2))],
};
pub const R711: Device = Device { name: "R711", kind: 0x01, body: CLIMATE };
pub const R718A: Device = Device { name: "R718A", kind: 0x0B, body: CLIMATE };
pub const R718AB: Device = Device { name: "R718AB", kind: 0x13, body: CLIMATE };
pub const R718B: Device = Device { name: "R718B", kind: 0x95, body: ONE_PROBE };
pub const R718B2: Device = Device { name: "R718B2", kind: 0x14, body: TWO_PROBES };
pub const R718CE: Device = Device { name: "R718CE", kind: 0x94, body: ONE_PROBE };
pub const R718CJ: Device = Device { name: "R718CJ", kind: 0x90, body: ONE_PROBE };
pub const R718CK: Device = Device { name: "R718CK", kind: 0x91, body: ONE_PROBE };
pub const R718CK2: Device = Device { name: "R718CK2", kind: 0x16, body: TWO_PROBES };
pub const R718CN: Device = Device { name: "R718CN", kind: 0x93, body: ONE_PROBE };
pub const R718CN2: Device = Device { name: "R718CN2", kind: 0x18, body: TWO_PROBES };
pub const R718CT: Device = Device { name: "R718CT", kind: 0x92, body: ONE_PROBE };
pub const R718CT2: Device = Device { name: "R718CT2", kind: 0x17, body: TWO_PROBES };
pub const R718F: Device = Device { name: "R718F", kind: 0x1D, body: DOOR };
pub const R718WA: Device = Device { name: "R718WA", kind: 0x32, body: LEAK };
pub const R718WA2: Device = Device { name: "R718WA2", kind: 0x46, body: TWO_LEAKS };
pub const R718WB: Device = Device { name: "R718WB", kind: 0x12, body: LEAK };
pub const R718WB2: Device = Device { name: "R718WB2", kind: 0x47, body: TWO_LEAKS };

const TWO_LEAKS: &[Field] = &[Field::Leak(Probe::numbered(1)), Field::Leak(Probe::numbered(2))];

pub fn decode(device: &Device, f_port: u8, bytes: &[u8]) -> Result<Vec<Measurement>, CodecError> {
    if f_port != REPORT_PORT {
        return Ok(Vec::new());
    }
    let Device { name, kind: own, body } = device;
    let mut reader = Reader::new(bytes);
    let _version = reader.u8()?;
    let kind = reader.u8()?;
    let report = reader.u8()?;
    let mut values = Reader::new(reader.exactly(REPORT_BODY_LEN)?);
    if kind != *own {
        return Err(CodecError::Malformed(format!(
            "device type 0x{kind:02x} where an {name} sends 0x{own:02x}; check the model it is paired as"
        )));
    }
    match report {
        REPORT_VERSION => return Ok(Vec::new()),
        REPORT_STATUS => {}
        other => {
            return Err(CodecError::Malformed(format!(
                "report type 0x{other:02x} of an {name} is not known"
            )));
        }
    }
    let mut out = vec![battery(u16::from(values.u8()? & TENTHS_OF_A_VOLT) * 100)];
    for field in *body {
        match field {
            Field::Climate => {
                out.push(now(Probe::INTERNAL, temperature(values.i16_be()?, 1)));
                out.push(now(Probe::INTERNAL, humidity(i32::from(values.u16_be()?))));
            }
            Field::Temperature(probe) => out.push(now(*probe, temperature(values.i16_be()?, 10))),
            Field::Door(probe) => out.push(now(*probe, door(values.u8()? != 0))),
            Field::Leak(probe) => out.push(now(*probe, Quantity::Leak(values.u8()? != 0))),
        }
    }
    Ok(out)
}
