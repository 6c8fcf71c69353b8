//! The kernel's `w1_slave` file of a DS18B20: the scratchpad with its checksum, and the temperature made of it.

use crate::codec::{Fault, Quantity, celsius};

/// The scratchpad (DS18B20 data sheet, memory): temperature, two alarm bytes, configuration, reserved, checksum.
const SCRATCHPAD_BYTES: usize = 9;
/// Where the configuration stands, and its bits that never change: a line shorted to ground reads as zeros, whose
/// checksum is right.
const CONFIGURATION: usize = 4;
const CONFIGURATION_FIXED: u8 = 0x9F;
const CONFIGURATION_VALUE: u8 = 0x1F;

/// Thousandths of a degree.
const POWER_ON: i32 = 85_000;
/// What the driver and its users' libraries give for a sensor that does not answer.
const ABSENT: i32 = -127_000;
/// A reading of 85 °C is one when the sensor was this near before.
const NEIGHBOUR: i32 = 5_000;

/// What a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Measured(Scratchpad),
    /// The checksum is wrong: to be read again.
    Damaged,
    /// No sensor answers.
    Absent,
    /// Zeros or another impossible content with a right checksum: the line is shorted.
    Shorted(Vec<u8>),
}

/// What a sensor answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scratchpad {
    pub bytes: Vec<u8>,
    /// Thousandths of a degree Celsius.
    pub milli: i32,
}

impl Scratchpad {
    /// It holds what it holds before the first conversion.
    pub fn is_power_on(&self) -> bool {
        self.milli == POWER_ON
    }

    /// `before`: what the sensor measured last, in thousandths. Without a neighbour 85 °C is no temperature.
    pub fn quantity(&self, before: Option<i32>) -> Quantity {
        let is_near = before.is_some_and(|before| (before - POWER_ON).abs() <= NEIGHBOUR);
        if self.is_power_on() && !is_near {
            return Quantity::Fault(Fault::PowerOnValue);
        }
        // Half away from zero.
        celsius((self.milli + 5 * self.milli.signum()) / 10)
    }
}

/// Reads the file's text; anything that is not two such lines is an absent sensor.
pub fn read(text: &str) -> Heard {
    parse(text).unwrap_or(Heard::Absent)
}

fn parse(text: &str) -> Option<Heard> {
    let mut lines = text.lines();
    let (scratchpad, verdict) = lines.next()?.split_once(" : crc=")?;
    let bytes: Vec<u8> = scratchpad
        .split_ascii_whitespace()
        .map(|digits| u8::from_str_radix(digits, 16).ok())
        .collect::<Option<_>>()?;
    if bytes.len() != SCRATCHPAD_BYTES {
        return None;
    }
    if !verdict.trim_end().ends_with("YES") {
        return Some(Heard::Damaged);
    }
    if bytes[CONFIGURATION] & CONFIGURATION_FIXED != CONFIGURATION_VALUE {
        return Some(Heard::Shorted(bytes));
    }
    let milli: i32 = lines.next()?.split_once("t=")?.1.trim_end().parse().ok()?;
    // Three digits before the point are more than any chip can say.
    if milli == ABSENT || !(-1_000_000..=1_000_000).contains(&milli) {
        return Some(Heard::Absent);
    }
    Some(Heard::Measured(Scratchpad { bytes, milli }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::CentiCelsius;

    const GOOD: &str = "3f 00 4b 46 7f ff 01 10 47 : crc=47 YES\n3f 00 4b 46 7f ff 01 10 47 t=3937\n";

    /// The quantity without a neighbour, or why there is none.
    #[track_caller]
    fn check(text: &str, want: Result<Quantity, &str>) {
        let got = match read(text) {
            Heard::Measured(scratchpad) => Ok(scratchpad.quantity(None)),
            Heard::Damaged => Err("damaged"),
            Heard::Absent => Err("absent"),
            Heard::Shorted(_) => Err("shorted"),
        };
        assert_eq!(got, want, "{text}");
    }

    #[test]
    fn files_of_sensors_good_and_bad() {
        let celsius = |hundredths| Ok(Quantity::Temperature(CentiCelsius(hundredths)));
        check(GOOD, celsius(394));
        check(&GOOD.replace("3937", "-18562"), celsius(-1_856));
        check(&GOOD.replace("3937", "-5"), celsius(-1));
        check(&GOOD.replace("3937", "0"), celsius(0));
        check(&GOOD.replace("3937", "84937"), celsius(8_494));
        check(&GOOD.replace("3937", "85000"), Ok(Quantity::Fault(Fault::PowerOnValue)));
        check(&GOOD.replace("3937", "-70000"), Ok(Quantity::Fault(Fault::OutOfRange)));
        // Any of the four resolutions.
        for configuration in ["1f", "3f", "5f"] {
            check(&GOOD.replace("7f", configuration), celsius(394));
        }
        check(&GOOD.replace("YES", "NO"), Err("damaged"));
        let zeros = "00 00 00 00 00 00 00 00 00";
        check(&format!("{zeros} : crc=00 YES\n{zeros} t=0\n"), Err("shorted"));
        check(&GOOD.replace("3937", "-127000"), Err("absent"));
        for text in [
            "",
            "\n",
            "t=3937",
            "3f 00 : crc=47 YES\n3f 00 t=3937\n",
            "3f 00 4b 46 7f ff 01 10 47 : crc=47 YES\n",
            "3f 00 4b 46 7f ff 01 10 4g : crc=47 YES\n3f t=1\n",
            "3f 00 4b 46 7f ff 01 10 47 : crc=47 YES\n3f t=99999999999\n",
            "3f 00 4b 46 7f ff 01 10 47 : crc=47 YES\n3f t=9999999\n",
        ] {
            check(text, Err("absent"));
        }
    }

    #[test]
    fn eighty_five_degrees_count_beside_a_neighbour() {
        let Heard::Measured(scratchpad) = read(&GOOD.replace("3937", "85000")) else { panic!("is measured") };
        for (before, is_measured) in [
            (None, false),
            (Some(3_900), false),
            (Some(79_999), false),
            (Some(80_000), true),
            (Some(86_000), true),
        ] {
            let quantity = scratchpad.quantity(before);
            assert_eq!(quantity == Quantity::Temperature(CentiCelsius(8_500)), is_measured, "{before:?}");
        }
    }
}
