//! Browan Tabs and MerryIoT: one fixed frame a model, each on a port of its own. Tabs from the reference manuals of 2019,
//! MerryIoT from its published uplinks.

use super::value::{Reader, battery, celsius, door, humidity, now};
use super::{CodecError, Fault, Measurement, Quantity};
use crate::domain::Probe;

pub const TBDW100_PORT: u8 = 100;
pub const TBHH100_PORT: u8 = 103;
pub const TBHV110_PORT: u8 = 103;
pub const TBWL100_PORT: u8 = 106;
pub const DW10_PORT: u8 = 120;
pub const CD10_PORT: u8 = 127;

#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Temperature and humidity.
    Tbhh100,
    /// Door.
    Tbdw100,
    /// Water.
    Tbwl100,
    /// Air quality.
    Tbhv110,
    /// MerryIoT air quality.
    Cd10,
    /// MerryIoT door.
    Dw10,
}

/// The door and leak sensors also tell how warm their board is. That is not the room's temperature and left out.
pub fn decode(kind: Kind, bytes: &[u8]) -> Result<Vec<Measurement>, CodecError> {
    /// The first bit of the status of a door or leak sensor.
    const IS_ON: u8 = 0x01;
    let mut reader = Reader::new(bytes);
    let is_on = reader.u8()? & IS_ON != 0;
    let tenths_of_a_volt = reader.u8()? & 0x0F;
    let tabs = battery((25 + u16::from(tenths_of_a_volt)) * 100);
    let merry = battery((21 + u16::from(tenths_of_a_volt)) * 100);
    let internal = |quantity| now(Probe::INTERNAL, quantity);
    Ok(match kind {
        Kind::Tbhh100 => {
            let temperature = tabs_temperature(reader.u8()?);
            let humidity = relative(reader.u8()?);
            // CO2 and VOC of a variant.
            reader.skip(4)?;
            vec![tabs, internal(temperature), internal(humidity)]
        }
        Kind::Tbdw100 => {
            // Board, minutes since the last change, number of changes.
            reader.skip(6)?;
            vec![tabs, internal(door(is_on))]
        }
        Kind::Tbwl100 => {
            reader.skip(1)?;
            let humidity = relative(reader.u8()?);
            let temperature = tabs_temperature(reader.u8()?);
            vec![tabs, internal(temperature), internal(humidity), internal(Quantity::Leak(is_on))]
        }
        Kind::Tbhv110 => {
            reader.skip(1)?;
            let humidity = relative(reader.u8()?);
            // Equivalent CO2, VOC, index.
            reader.skip(6)?;
            let temperature = tabs_temperature(reader.u8()?);
            vec![tabs, internal(temperature), internal(humidity)]
        }
        Kind::Cd10 => {
            let temperature = celsius(i32::from(reader.i8()?) * 100);
            let humidity = relative(reader.u8()?);
            reader.skip(2)?;
            vec![merry, internal(temperature), internal(humidity)]
        }
        Kind::Dw10 => {
            let temperature = celsius(i32::from(reader.i8()?) * 100);
            let humidity = relative(reader.u8()?);
            // Minutes since the last change, number of changes.
            reader.skip(5)?;
            vec![merry, internal(temperature), internal(humidity), internal(door(is_on))]
        }
    })
}

/// Degrees from -32 on, the top bit reserved.
fn tabs_temperature(byte: u8) -> Quantity {
    celsius((i32::from(byte & 0x7F) - 32) * 100)
}

/// Percent, the top bit reserved; 127: the measurement failed.
fn relative(byte: u8) -> Quantity {
    match byte & 0x7F {
        0x7F => Quantity::Fault(Fault::Humidity),
        percent => humidity(i32::from(percent) * 100),
    }
}
