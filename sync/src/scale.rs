//! Temperature scales. Values are hundredths of a degree; the hub's view and the receiver convert by this one function.

use serde::{Deserialize, Serialize};

/// Celsius or Fahrenheit, as `units.temp_unit` spells it (`C`, `F`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scale {
    C,
    F,
}

impl Scale {
    pub fn as_str(self) -> &'static str {
        match self {
            Scale::C => "C",
            Scale::F => "F",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "C" => Some(Scale::C),
            "F" => Some(Scale::F),
            _ => None,
        }
    }
}

/// Converts hundredths of a degree exactly, rounding half away from zero.
pub fn convert(hundredths: i64, from: Scale, to: Scale) -> i64 {
    match (from, to) {
        (Scale::C, Scale::F) => divide_rounding(hundredths * 9, 5) + 3200,
        (Scale::F, Scale::C) => divide_rounding((hundredths - 3200) * 5, 9),
        _ => hundredths,
    }
}

/// Integer division, half away from zero; `divisor` > 0.
pub fn divide_rounding(value: i64, divisor: i64) -> i64 {
    let half = divisor / 2;
    if value >= 0 { (value + half) / divisor } else { (value - half) / divisor }
}
