//! A script's result to measurements, by the map beside it. What a script says is checked like what a sensor says.

use jiff::Timestamp;
use serde_json::Value;

use super::manifest::{BatteryUnit, Degrees, Kind, Manifest, Map, Words, battery_unit, degrees};
use super::{bounded, plain};
use crate::codec::value::{celsius, humidity};
use crate::codec::{CodecError, DoorState, Fault, Measurement, Quantity};
use crate::domain::{Scale, UnixMs};
use frostguard_sync::scale::convert;

/// Measurements of one payload: the pipeline takes 256.
const MEASUREMENTS_MAX: usize = 256;
/// Beyond this a number is nothing that a cold chain measures, and would not fit into what follows.
const NUMBER_MAX: f64 = 1e6;
/// A listed sentinel is met within half of the smallest step of two decimals.
const SENTINEL_WITHIN: f64 = 0.005;
/// Unix seconds have 10 digits until the year 2286; milliseconds have 13.
const MILLISECONDS_FROM: f64 = 1e11;

/// Everything the map finds. A value of another kind than the map says is an error: the map is wrong, and a person must
/// look at it.
pub fn measurements(manifest: &Manifest, data: &Value) -> Result<Vec<Measurement>, CodecError> {
    let mut out = Vec::new();
    for map in &manifest.map {
        for found in map.path.find(data, MEASUREMENTS_MAX + 1) {
            let at = match (&map.time, found.element) {
                (Some(time), Some(element)) => {
                    // An entry whose time cannot be read is none: at another time it would be a lie.
                    let time = time.find(element, 1).first().and_then(|found| instant(found.value));
                    let Some(time) = time else { continue };
                    Some(time)
                }
                _ => None,
            };
            if let Some(quantity) = quantity(map, found.value, &manifest.sentinels)? {
                out.push(Measurement { probe: map.probe, quantity, at });
            }
            if out.len() > MEASUREMENTS_MAX {
                return Err(CodecError::Malformed(format!(
                    "the script gives over {MEASUREMENTS_MAX} values"
                )));
            }
        }
    }
    Ok(out)
}

/// None: a battery or a state that the device itself does not know.
fn quantity(map: &Map, value: &Value, sentinels: &[f64]) -> Result<Option<Quantity>, CodecError> {
    // `{"value": 4.1, "unit": "°C"}`; the device's own word for the unit wins.
    let (value, unit) = match value {
        Value::Object(fields) if fields.contains_key("value") => {
            (&fields["value"], fields.get("unit").and_then(Value::as_str))
        }
        other => (other, None),
    };
    if value.is_null() {
        return Ok(None);
    }
    Ok(match &map.kind {
        Kind::Temperature(written) => {
            let scale = unit.and_then(degrees).unwrap_or(*written);
            Some(match number(map, value)? {
                Number::Of(number) if is_sentinel(number, sentinels) => Quantity::Fault(Fault::Disconnected),
                Number::Of(number) => celsius(centi_celsius(number, scale)),
                Number::NotFinite => Quantity::Fault(Fault::OutOfRange),
                Number::Words => Quantity::Fault(Fault::Reported),
            })
        }
        Kind::Humidity => Some(match number(map, value)? {
            Number::Of(number) if !is_sentinel(number, sentinels) => {
                humidity((number * 100.0).round() as i32)
            }
            _ => Quantity::Fault(Fault::Humidity),
        }),
        Kind::Battery(written) => match number(map, value)? {
            Number::Of(number) => battery(number, unit.and_then(battery_unit).unwrap_or(*written)),
            Number::NotFinite | Number::Words => None,
        },
        Kind::Door(words) => {
            let state = if state(map, value, words)? { DoorState::Open } else { DoorState::Closed };
            Some(Quantity::Door(state))
        }
        Kind::Leak(words) => Some(Quantity::Leak(state(map, value, words)?)),
    })
}

enum Number {
    Of(f64),
    /// NaN and infinity, which the sandbox tells by their names.
    NotFinite,
    /// Text that is no number: "NULL", "error".
    Words,
}

fn number(map: &Map, value: &Value) -> Result<Number, CodecError> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        // Rust reads "NaN" and "Infinity" too.
        Value::String(text) => match text.trim().replace(',', ".").parse() {
            Ok(number) => Some(number),
            Err(_) => return Ok(Number::Words),
        },
        _ => None,
    };
    match number {
        Some(number) if number.is_finite() => Ok(Number::Of(number.clamp(-NUMBER_MAX, NUMBER_MAX))),
        Some(_) => Ok(Number::NotFinite),
        None => Err(wrong(map, value)),
    }
}

fn wrong(map: &Map, value: &Value) -> CodecError {
    CodecError::Malformed(format!(
        "{} of the script is no {}: {}",
        map.text,
        map.kind.name(),
        bounded(&plain(value))
    ))
}

fn is_sentinel(number: f64, sentinels: &[f64]) -> bool {
    sentinels.iter().any(|sentinel| (number - sentinel).abs() < SENTINEL_WITHIN)
}

/// Hundredths of a degree Celsius.
fn centi_celsius(number: f64, scale: Degrees) -> i32 {
    let hundredths = (number * 100.0).round() as i64;
    let celsius = match scale {
        Degrees::C => hundredths,
        Degrees::F => convert(hundredths, Scale::F, Scale::C),
        Degrees::K => hundredths - 27_315,
    };
    celsius as i32
}

/// A battery that cannot be is no measurement.
fn battery(number: f64, unit: BatteryUnit) -> Option<Quantity> {
    let millivolts = |number: f64| {
        let is_battery = (0.0..=f64::from(u16::MAX)).contains(&number);
        is_battery.then(|| Quantity::BatteryMillivolts(number.round() as u16))
    };
    match unit {
        BatteryUnit::Percent => {
            (0.0..=100.0).contains(&number).then(|| Quantity::BatteryPercent(number.round() as u8))
        }
        BatteryUnit::Millivolts => millivolts(number),
        BatteryUnit::Volts => millivolts(number * 1_000.0),
    }
}

fn state(map: &Map, value: &Value, words: &Words) -> Result<bool, CodecError> {
    let is = |word: &Value| match (word, value) {
        (Value::String(word), Value::String(text)) => word.eq_ignore_ascii_case(text.trim()),
        // 1 and 1.0 are one number, and "1" says it too.
        (Value::Number(word), Value::Number(number)) => word.as_f64() == number.as_f64(),
        (Value::Number(word), Value::String(text)) => word.to_string() == text.trim(),
        (word, value) => word == value,
    };
    if words.yes.iter().any(is) {
        Ok(true)
    } else if words.no.iter().any(is) {
        Ok(false)
    } else {
        Err(wrong(map, value))
    }
}

/// Unix seconds or milliseconds, or RFC 3339 (what a `Date` becomes in JSON).
fn instant(value: &Value) -> Option<UnixMs> {
    let number = match value {
        Value::String(text) => match text.trim().parse::<f64>() {
            Ok(number) => number,
            Err(_) => return text.trim().parse::<Timestamp>().ok().map(|at| UnixMs(at.as_millisecond())),
        },
        value => value.as_f64()?,
    };
    // What is no time at all; the pipeline judges the rest.
    if !(0.0..1e15).contains(&number) {
        return None;
    }
    let ms = if number < MILLISECONDS_FROM { number * 1_000.0 } else { number };
    Some(UnixMs(ms.round() as i64))
}
