//! What a wired input measures, as the configuration says it; and loops of 4 to 20 mA.

use serde::Deserialize;

use super::{DoorState, Fault, Quantity, celsius, humidity};
use crate::domain::{Probe, Scale, convert};

/// The quantity of a register or an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Measures {
    Temperature,
    Humidity,
    /// 0: closed.
    Door,
}

impl Measures {
    /// A value in degrees of `unit` or in percent, checked for plausibility.
    pub fn quantity(self, value: f64, unit: Scale) -> Quantity {
        // Half away from zero; a number too large for any sensor stays too large.
        let hundredths = (value * 100.0).round() as i32;
        match self {
            Measures::Temperature => celsius(convert(i64::from(hundredths), unit, Scale::C) as i32),
            Measures::Humidity => humidity(hundredths),
            Measures::Door => {
                Quantity::Door(if hundredths == 0 { DoorState::Closed } else { DoorState::Open })
            }
        }
    }

    /// A humidity's fault leaves the temperature beside it alone.
    pub fn fault(self, fault: Fault) -> Quantity {
        Quantity::Fault(if self == Measures::Humidity { Fault::Humidity } else { fault })
    }
}

/// Deserializes "internal", "external", "1" to "254".
pub fn probe<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Probe, D::Error> {
    let text = String::deserialize(input)?;
    Probe::parse(&text).ok_or_else(|| {
        let wrong = format!("probe = {text:?} must be \"internal\", \"external\" or \"1\" to \"254\"");
        serde::de::Error::custom(wrong)
    })
}

/// NAMUR NE 43: a transmitter that fails drives the loop below 3.6 mA or above 21 mA; a broken wire gives none at all.
const MA_MIN: f64 = 3.6;
const MA_MAX: f64 = 21.0;

/// What a transmitter means by the two ends of its range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    pub at_4_ma: f64,
    pub at_20_ma: f64,
}

impl Span {
    /// The value of a current in mA. A little below 4 and above 20 mA the transmitter still measures.
    pub fn value(self, ma: f64) -> Result<f64, Fault> {
        if ma < MA_MIN {
            Err(Fault::Disconnected)
        } else if ma <= MA_MAX {
            Ok(self.at_4_ma + (ma - 4.0) / 16.0 * (self.at_20_ma - self.at_4_ma))
        } else {
            // A short, or the transmitter's word for a broken sensor.
            Err(Fault::Reported)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ma: f64, want: Result<f64, Fault>) {
        let got = Span { at_4_ma: -50.0, at_20_ma: 50.0 }.value(ma);
        match (&got, &want) {
            (Ok(got), Ok(want)) => assert!((got - want).abs() < 1e-9, "{ma} mA: {got}, not {want}"),
            _ => assert_eq!(got, want, "{ma} mA"),
        }
    }

    #[test]
    fn currents_beyond_the_range_are_faults() {
        check(0.0, Err(Fault::Disconnected));
        check(3.59, Err(Fault::Disconnected));
        check(3.6, Ok(-52.5));
        check(4.0, Ok(-50.0));
        check(12.0, Ok(0.0));
        check(9.12, Ok(-18.0));
        check(20.0, Ok(50.0));
        check(21.0, Ok(56.25));
        check(21.01, Err(Fault::Reported));
        check(f64::NAN, Err(Fault::Reported));
        // A transmitter may fall where the temperature rises.
        assert_eq!(Span { at_4_ma: 50.0, at_20_ma: -50.0 }.value(8.0), Ok(25.0));
    }
}
