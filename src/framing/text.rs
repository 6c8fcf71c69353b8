//! What a node says in words: a JSON object, or `key=value` pairs. Both have the same keys (see `json.rs`).

use serde_json::Value;

use super::Data;
use crate::codec::{DoorState, Fault, Measurement, NO_PORT, Quantity, celsius, humidity};
use crate::domain::Probe;
use crate::frame::Payload;

/// Fewer hexadecimal digits are a word or a number.
const HEX_DIGITS_MIN: usize = 6;
/// 85.00 °C: a DS18B20 that never measured; such nodes mostly carry one.
const POWER_ON: i32 = 8_500;

/// What the bytes of a message say.
pub struct Content {
    pub id: Option<Id>,
    pub model: Option<String>,
    pub rssi: Option<i32>,
    pub counter: Option<u32>,
    pub payload: Payload,
}

pub struct Id {
    pub address: String,
    pub is_eui: bool,
}

/// Reads the data of a radio module's message.
pub fn read(bytes: &[u8], data: Data) -> Content {
    let fields = (data != Data::Binary).then(|| Fields::read(bytes)).flatten();
    if let Some(fields) = fields {
        return fields.content(bytes);
    }
    let payload = match (data, str::from_utf8(bytes).ok().and_then(|text| unhex(text.trim()))) {
        (Data::Text, _) => Payload::Raw {
            bytes: bytes.to_vec(),
            reason: "neither JSON nor key=value with a known key".to_owned(),
        },
        (_, Some(payload)) if payload.len() * 2 >= HEX_DIGITS_MIN => {
            Payload::Binary { f_port: NO_PORT, bytes: payload }
        }
        _ => Payload::Binary { f_port: NO_PORT, bytes: bytes.to_vec() },
    };
    Content { id: None, model: None, rssi: None, counter: None, payload }
}

/// Hexadecimal digits, at least one byte, to bytes.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() || !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| {
            let pair = &text[at..at + 2];
            pair.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u8::from_str_radix(pair, 16).ok())?
        })
        .collect()
}

/// The known keys of a message, collected.
#[derive(Default)]
pub struct Fields {
    id: Option<String>,
    model: Option<String>,
    port: Option<u8>,
    payload: Option<Vec<u8>>,
    probe: Option<Probe>,
    rssi: Option<i32>,
    counter: Option<u32>,
    temperature: Option<Quantity>,
    humidity: Option<Quantity>,
    /// Of the device, not of the probe.
    others: Vec<Quantity>,
}

impl Fields {
    fn read(bytes: &[u8]) -> Option<Self> {
        let text = str::from_utf8(bytes).ok()?.trim();
        let fields =
            if text.starts_with('{') { Self::from_json(text.as_bytes())? } else { Self::from_pairs(text)? };
        fields.says_something().then_some(fields)
    }

    /// An object of scalars; other members are ignored.
    pub fn from_json(bytes: &[u8]) -> Option<Self> {
        let Ok(Value::Object(object)) = serde_json::from_slice(bytes) else {
            return None;
        };
        let mut fields = Self::default();
        for (key, value) in &object {
            match value {
                Value::Null => fields.set(key, ""),
                Value::Bool(value) => fields.set(key, if *value { "1" } else { "0" }),
                Value::Number(value) => fields.set(key, &value.to_string()),
                Value::String(value) => fields.set(key, value),
                Value::Array(_) | Value::Object(_) => {}
            }
        }
        Some(fields)
    }

    /// `t=4.2,h=55`, also separated by `;`, `&` or spaces and with `:` for `=`.
    fn from_pairs(text: &str) -> Option<Self> {
        let mut fields = Self::default();
        let mut seen = Vec::new();
        let separators = [',', ';', '&', ' ', '\t', '\r', '\n'];
        for pair in text.split(separators).filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once(['=', ':'])?;
            if seen.contains(&key) {
                // Two messages run into one: whose values are these?
                return None;
            }
            seen.push(key);
            fields.set(key, value);
        }
        Some(fields)
    }

    /// Whether there is something to keep: a value, or a payload.
    pub fn says_something(&self) -> bool {
        self.payload.is_some()
            || self.temperature.is_some()
            || self.humidity.is_some()
            || !self.others.is_empty()
    }

    /// Takes one key; unknown ones are ignored. An empty temperature or one that is no number is a sensor that failed.
    fn set(&mut self, key: &str, value: &str) {
        match key.to_ascii_lowercase().as_str() {
            "id" => self.id = Some(value.to_owned()).filter(|id| !id.is_empty()),
            "t" | "temp" | "temperature" | "temperature_c" => self.temperature = Some(temperature(value)),
            "h" | "hum" | "humidity" => {
                self.humidity = Some(hundredths(value).map_or(Quantity::Fault(Fault::Humidity), humidity));
            }
            "b" | "bat" | "battery" => {
                let percent = number(value).filter(|percent| (0.0..=100.0).contains(percent));
                self.others.extend(percent.map(|percent| Quantity::BatteryPercent(percent.round() as u8)));
            }
            "mv" | "battery_mv" => self.others.extend(value.parse().ok().map(Quantity::BatteryMillivolts)),
            "door" => self.others.extend(door(value)),
            "leak" => self.others.extend(flag(value).map(Quantity::Leak)),
            "rssi" => self.rssi = number(value).map(|rssi| rssi as i32),
            "probe" => self.probe = Probe::parse(value),
            "n" | "counter" => self.counter = value.parse().ok(),
            "model" => self.model = Some(value.to_ascii_lowercase()).filter(|model| !model.is_empty()),
            "payload" => self.payload = unhex(value),
            "port" => self.port = value.parse().ok(),
            _ => {}
        }
    }

    /// `raw` is what the fields were read from.
    pub fn content(self, raw: &[u8]) -> Content {
        let probe = self.probe.unwrap_or(Probe::INTERNAL);
        let of_probe = self.temperature.into_iter().chain(self.humidity).map(|quantity| (probe, quantity));
        let of_device = self.others.into_iter().map(|quantity| (Probe::INTERNAL, quantity));
        let payload = match self.payload {
            Some(bytes) => Payload::Binary { f_port: self.port.unwrap_or(NO_PORT), bytes },
            None => Payload::Values {
                measurements: of_probe
                    .chain(of_device)
                    .map(|(probe, quantity)| Measurement { probe, quantity, at: None })
                    .collect(),
                raw: raw.to_vec(),
            },
        };
        Content {
            id: self.id.map(Id::new),
            model: self.model,
            rssi: self.rssi,
            counter: self.counter,
            payload,
        }
    }
}

impl Id {
    /// An EUI (16 hexadecimal digits) is known by any port, so its spelling is made one.
    fn new(address: String) -> Self {
        let is_eui = address.len() == 16 && address.bytes().all(|byte| byte.is_ascii_hexdigit());
        Self { address: if is_eui { address.to_ascii_uppercase() } else { address }, is_eui }
    }
}

fn temperature(text: &str) -> Quantity {
    match hundredths(text) {
        Some(POWER_ON) => Quantity::Fault(Fault::PowerOnValue),
        Some(value) => celsius(value),
        None => Quantity::Fault(Fault::Reported),
    }
}

/// A number, with or without its unit; one in another unit is none.
fn number(text: &str) -> Option<f64> {
    text.trim_end_matches(['C', '°', '%', ' ']).parse::<f64>().ok().filter(|value| value.is_finite())
}

/// Hundredths, half away from zero; a number too large for any sensor stays too large.
fn hundredths(text: &str) -> Option<i32> {
    number(text).map(|value| (value * 100.0).round() as i32)
}

fn door(text: &str) -> Option<Quantity> {
    let state = match text.to_ascii_lowercase().as_str() {
        "open" | "opened" | "1" => DoorState::Open,
        "closed" | "close" | "0" => DoorState::Closed,
        _ => return None,
    };
    Some(Quantity::Door(state))
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    }
}
