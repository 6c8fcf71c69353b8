//! Decentlab protocol 2: version, device, flags, then of every block whose flag is set its words of 16 bits, big-endian, on
//! port 1. Blocks and formulas from the "Sensor data message format" of the datasheets and from Decentlab's published tables.

use super::value::{Reader, battery, degrees, humidity, now};
use super::{CodecError, Fault, Measurement, Quantity};
use crate::domain::Probe;

pub const PORT: u8 = 1;

const VERSION: u8 = 2;
/// Words that may be negative are sent with this added. Without it 0 is far below absolute zero: nothing measured.
const OFFSET: u16 = 0x8000;
/// Degrees of a DS18B20 that never measured.
const ONE_WIRE_POWER_ON: u16 = 85;
/// The reference resistor of the DLR2 as sold, in ohms.
const REFERENCE_OHM: f64 = 2_000.0;
/// Full scale of the DLR2's converter.
const FULL_SCALE: f64 = 8_388_608.0;

/// The words of a block and what is taken from them: which word, whose, how.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    words: usize,
    values: &'static [(usize, Probe, Scale)],
}

#[derive(Clone, Copy, Debug)]
enum Scale {
    Millivolts,
    /// So many counts a degree from [`OFFSET`].
    Degrees(f64),
    /// DS18B20: 16 counts a degree from [`OFFSET`].
    OneWire,
    /// Tenths of a degree from -100 °C.
    Infrared,
    /// Hundredths of a percent.
    Percent,
    /// Sensirion's formulas over 16 bits.
    Sht35Degrees,
    Sht35Percent,
    Sht21Degrees,
    Sht21Percent,
    /// This word and the next: the bridge's ratio over a PT100, a PT1000.
    Pt100,
    Pt1000,
}

const INTERNAL: Probe = Probe::INTERNAL;
const EXTERNAL: Probe = Probe::EXTERNAL;
const BATTERY: Block = Block { words: 1, values: &[(0, INTERNAL, Scale::Millivolts)] };
const SHT21: Block =
    Block { words: 2, values: &[(0, INTERNAL, Scale::Sht21Degrees), (1, INTERNAL, Scale::Sht21Percent)] };

const fn unused(words: usize) -> Block {
    Block { words, values: &[] }
}

pub const DLR2_008: &[Block] = &[Block { words: 2, values: &[(0, EXTERNAL, Scale::Pt100)] }, BATTERY];
pub const DLR2_009: &[Block] = &[Block { words: 2, values: &[(0, EXTERNAL, Scale::Pt1000)] }, BATTERY];
pub const DS18: &[Block] = &[Block { words: 1, values: &[(0, EXTERNAL, Scale::OneWire)] }, BATTERY];
/// Then pressure, light, CO2, motion, organic compounds.
pub const IAM: &[Block] = &[
    BATTERY,
    Block { words: 2, values: &[(0, INTERNAL, Scale::Sht35Degrees), (1, INTERNAL, Scale::Sht35Percent)] },
    unused(1),
    unused(2),
    unused(3),
    unused(1),
    unused(1),
];
/// The surface it points at, its own head.
pub const ITST: &[Block] =
    &[Block { words: 2, values: &[(0, EXTERNAL, Scale::Infrared), (1, INTERNAL, Scale::Infrared)] }, BATTERY];
/// Then the barometer and the CO2 sensor, whose temperatures are the electronics'.
pub const LP8P: &[Block] = &[SHT21, unused(2), unused(8), BATTERY];
/// Particles stand between.
pub const PM: &[Block] = &[BATTERY, unused(10), SHT21, unused(1)];
/// The sensor's identity stands before.
pub const RHC: &[Block] = &[
    Block { words: 4, values: &[(3, EXTERNAL, Scale::Degrees(100.0)), (2, EXTERNAL, Scale::Percent)] },
    BATTERY,
];
pub const SHT35: &[Block] = &[
    Block { words: 2, values: &[(0, EXTERNAL, Scale::Sht35Degrees), (1, EXTERNAL, Scale::Sht35Percent)] },
    BATTERY,
];
/// A chain of up to 16 sensors; a level that is not there sends 0.
pub const TP: &[Block] = &[Block { words: 16, values: &TP_LEVELS }, BATTERY];

const TP_LEVELS: [(usize, Probe, Scale); 16] = {
    let mut levels = [(0, EXTERNAL, Scale::Degrees(100.0)); 16];
    let mut level = 0;
    while level < levels.len() {
        levels[level] = (level, Probe::numbered(level as u8 + 1), Scale::Degrees(100.0));
        level += 1;
    }
    levels
};

pub fn decode(blocks: &[Block], bytes: &[u8]) -> Result<Vec<Measurement>, CodecError> {
    let mut reader = Reader::new(bytes);
    let version = reader.u8()?;
    if version != VERSION {
        return Err(CodecError::Malformed(format!("Decentlab protocol {version} where {VERSION} is known")));
    }
    let _device = reader.u16_be()?;
    let flags = reader.u16_be()?;
    let mut out = Vec::new();
    for (number, block) in blocks.iter().enumerate() {
        if flags >> number & 1 == 0 {
            continue;
        }
        let words: Vec<u16> = (0..block.words).map(|_| reader.u16_be()).collect::<Result<_, _>>()?;
        out.extend(block.values.iter().map(|(at, probe, scale)| match scale {
            Scale::Millivolts => battery(words[*at]),
            scale => now(*probe, scale.quantity(&words[*at..])),
        }));
    }
    Ok(out)
}

impl Scale {
    /// `words` begin with the value's own.
    fn quantity(self, words: &[u16]) -> Quantity {
        let word = words[0];
        let x = f64::from(word);
        match self {
            Scale::Millivolts => Quantity::BatteryMillivolts(word),
            Scale::Degrees(_) | Scale::OneWire if word == 0 => Quantity::Fault(Fault::Disconnected),
            Scale::Degrees(a_degree) => degrees((x - f64::from(OFFSET)) / a_degree),
            Scale::OneWire if word == OFFSET + ONE_WIRE_POWER_ON * 16 => Quantity::Fault(Fault::PowerOnValue),
            Scale::OneWire => degrees((x - f64::from(OFFSET)) / 16.0),
            Scale::Infrared => degrees((x - 1_000.0) / 10.0),
            Scale::Percent => humidity(i32::from(word)),
            Scale::Sht35Degrees => degrees(175.0 * x / 65_535.0 - 45.0),
            Scale::Sht35Percent => humidity((10_000.0 * x / 65_535.0).round() as i32),
            Scale::Sht21Degrees => degrees(175.72 * x / 65_536.0 - 46.85),
            Scale::Sht21Percent => humidity((12_500.0 * x / 65_536.0 - 600.0).round() as i32),
            Scale::Pt100 => {
                let half = ratio(words) / 2.0;
                let ohm = half * REFERENCE_OHM / (1.0 - half);
                degrees(-244.83 + 2.3419 * ohm + 0.001_066_4 * ohm * ohm)
            }
            Scale::Pt1000 => {
                let ratio = ratio(words);
                let ohm = ratio * REFERENCE_OHM / (1.0 - ratio);
                degrees(-245.18 + 0.234_69 * ohm + 0.000_010_487_6 * ohm * ohm)
            }
        }
    }
}

/// The lower word stands first.
fn ratio(words: &[u16]) -> f64 {
    let raw = u32::from(words[0]) | u32::from(words[1]) << 16;
    f64::from(raw) / FULL_SCALE - 1.0
}
