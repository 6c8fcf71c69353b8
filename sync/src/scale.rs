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

/// Converts hundredths of a degree exactly, rounding half away from zero; beyond 64 bits the value stays at the end.
pub fn convert(hundredths: i64, from: Scale, to: Scale) -> i64 {
    let value = i128::from(hundredths);
    let converted = match (from, to) {
        (Scale::C, Scale::F) => divide_rounding_wide(value * 9 + 3200 * 5, 5),
        (Scale::F, Scale::C) => divide_rounding_wide((value - 3200) * 5, 9),
        _ => value,
    };
    i64::try_from(converted).unwrap_or(if converted < 0 { i64::MIN } else { i64::MAX })
}

/// Integer division, half away from zero; `divisor` > 0.
pub fn divide_rounding(value: i64, divisor: i64) -> i64 {
    divide_rounding_wide(i128::from(value), i128::from(divisor)) as i64
}

fn divide_rounding_wide(value: i128, divisor: i128) -> i128 {
    let half = divisor / 2;
    if value >= 0 { (value + half) / divisor } else { (value - half) / divisor }
}

#[cfg(test)]
mod tests {
    use super::Scale::{C, F};
    use super::*;

    #[test]
    fn converts_exactly() {
        for (hundredths, from, to, want) in [
            (0, C, F, 3_200),
            (10_000, C, F, 21_200),
            (-4_000, C, F, -4_000),
            (-4_000, F, C, -4_000),
            (3_200, F, C, 0),
            (-1_825, C, F, -85),
            // 0.01 °C is 32.018 °F, -0.01 °C is 31.982 °F; 0.03 is 32.054, -0.03 is 31.946.
            (1, C, F, 3_202),
            (-1, C, F, 3_198),
            (3, C, F, 3_205),
            (-3, C, F, 3_195),
            // 32.01 °F is 0.0056 °C, 31.99 °F is -0.0056 °C; 33.00 is 0.5556.
            (3_201, F, C, 1),
            (3_199, F, C, -1),
            (3_300, F, C, 56),
            (3_100, F, C, -56),
            (1_234, C, C, 1_234),
            (-1_234, F, F, -1_234),
            (i64::MAX, C, F, i64::MAX),
            (i64::MIN, C, F, i64::MIN),
            (i64::MIN, F, C, -5_124_095_576_030_432_782),
        ] {
            assert_eq!(convert(hundredths, from, to), want, "{hundredths} {from:?} to {to:?}");
        }
    }

    #[test]
    fn rounds_half_away_from_zero() {
        for (value, divisor, want) in [
            (5, 10, 1),
            (-5, 10, -1),
            (4, 10, 0),
            (-4, 10, 0),
            (15, 10, 2),
            (-15, 10, -2),
            (7, 1, 7),
            (i64::MIN, 1, i64::MIN),
        ] {
            assert_eq!(divide_rounding(value, divisor), want, "{value} / {divisor}");
        }
    }

    /// A degree Celsius is larger than one Fahrenheit, so there and back loses nothing.
    #[test]
    fn celsius_comes_back() {
        for hundredths in -10_000..=30_000 {
            assert_eq!(convert(convert(hundredths, C, F), F, C), hundredths);
        }
    }

    #[test]
    fn spelling() {
        for (text, want) in [("C", Some(C)), ("F", Some(F)), ("c", None), ("", None), ("K", None)] {
            assert_eq!(Scale::parse(text), want);
            assert!(want.is_none_or(|scale| scale.as_str() == text));
        }
    }
}
