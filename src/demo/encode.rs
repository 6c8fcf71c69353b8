//! The decoders turned round: values to the payloads, lines and messages that real devices and gateways send.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::codec::{DoorState, Fault, Measurement, Quantity};
use crate::domain::{Probe, UnixMs};

#[cfg(test)]
mod tests;

/// What the makers send for "no probe".
const NO_PROBE: i16 = i16::MAX;
/// Nothing a probe can measure.
const IMPOSSIBLE: i16 = i16::MIN;
/// Of a DS18B20 that never measured, in hundredths of a degree.
const POWER_ON: i16 = 8_500;
/// Two fresh cells, where the values name no voltage.
const FRESH_MILLIVOLTS: u16 = 3_000;
/// Dragino's battery word: the state "good" in its two highest bits.
const BATTERY_GOOD: u16 = 0xC000;
/// An LHT65N's record that answers a poll, with a DS18B20.
const POLLED_ONE_WIRE: u8 = 0x41;

/// Why values make no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("no encoder for model {0}")]
    UnknownModel(String),
    #[error("a {model} always sends its {what}")]
    Missing { model: String, what: &'static str },
}

/// The port and payload by which a device of `model` tells what it measures now, in its own resolution. What it cannot
/// measure is left out.
pub fn encode(model: &str, values: &[Measurement]) -> Result<(u8, Vec<u8>), EncodeError> {
    let values = Values(values);
    let missing = |what| EncodeError::Missing { model: model.to_owned(), what };
    match model {
        "milesight/em300-th" | "milesight/em300-mcs" | "milesight/em500-pt100" | "milesight/ws301" => {
            Ok((85, milesight(model, values)))
        }
        "elsys/ers" | "elsys/elsys" => Ok((5, elsys(values))),
        "dragino/lht65" | "dragino/lht65n" => {
            let built_in = values.temperature(Probe::INTERNAL, 1).ok_or_else(|| missing("temperature"))?;
            let humidity = values.humidity(10).ok_or_else(|| missing("humidity"))?;
            let mut out = (BATTERY_GOOD | values.millivolts()).to_be_bytes().to_vec();
            out.extend(built_in.to_be_bytes());
            out.extend(humidity.to_be_bytes());
            out.push(0x01);
            out.extend(values.temperature(Probe::EXTERNAL, 1).unwrap_or(NO_PROBE).to_be_bytes());
            out.extend(NO_PROBE.to_be_bytes());
            Ok((2, out))
        }
        "dragino/lds02" => {
            let is_open = values.is_open().ok_or_else(|| missing("door"))?;
            let word = values.millivolts() | if is_open { 0x8000 } else { 0 };
            let mut out = word.to_be_bytes().to_vec();
            // Mode: door. How often and how long it was open is not asked.
            out.extend([0x01, 0, 0, 0, 0, 0, 0, 0]);
            Ok((10, out))
        }
        "netvox/r311a" => {
            let is_open = values.is_open().ok_or_else(|| missing("door"))?;
            let tenths = (values.millivolts() / 100) as u8 & 0x7F;
            Ok((6, vec![0x01, 0x02, 0x01, tenths, u8::from(is_open), 0, 0, 0, 0, 0, 0]))
        }
        other => Err(EncodeError::UnknownModel(other.to_owned())),
    }
}

/// The port and payload by which a device tells what it measured at `at`, of the models that keep a history.
pub fn encode_history(model: &str, at: UnixMs, values: &[Measurement]) -> Result<(u8, Vec<u8>), EncodeError> {
    let values = Values(values);
    let missing = |what| EncodeError::Missing { model: model.to_owned(), what };
    let unix_s = u32::try_from(at.0 / 1_000).unwrap_or_default();
    match model {
        "milesight/em300-th" | "milesight/em300-mcs" | "milesight/em500-pt100" => {
            let temperature = values.only_temperature(10).ok_or_else(|| missing("temperature"))?;
            let mut out = vec![0x20, 0xCE];
            out.extend(unix_s.to_le_bytes());
            out.extend(temperature.to_le_bytes());
            if model != "milesight/em500-pt100" {
                out.push(values.humidity(50).ok_or_else(|| missing("humidity"))? as u8);
                out.push(u8::from(values.is_open().unwrap_or(false)));
            }
            Ok((85, out))
        }
        "dragino/lht65" | "dragino/lht65n" => {
            let mut out = values.temperature(Probe::EXTERNAL, 1).unwrap_or(NO_PROBE).to_be_bytes().to_vec();
            let built_in = values.temperature(Probe::INTERNAL, 1).ok_or_else(|| missing("temperature"))?;
            out.extend(built_in.to_be_bytes());
            out.extend(values.humidity(10).ok_or_else(|| missing("humidity"))?.to_be_bytes());
            out.push(POLLED_ONE_WIRE);
            out.extend(unix_s.to_be_bytes());
            Ok((2, out))
        }
        other => Err(EncodeError::UnknownModel(other.to_owned())),
    }
}

fn milesight(model: &str, values: Values) -> Vec<u8> {
    let is_ws301 = model == "milesight/ws301";
    let mut out = Vec::new();
    if let Some(percent) = values.percent() {
        out.extend([0x01, 0x75, percent]);
    }
    if let Some(temperature) = values.only_temperature(10).filter(|_| !is_ws301) {
        out.extend([0x03, 0x67]);
        out.extend(temperature.to_le_bytes());
    }
    if let Some(humidity) = values.humidity(50).filter(|_| model.starts_with("milesight/em300")) {
        out.extend([0x04, 0x68, humidity as u8]);
    }
    if let Some(is_open) = values.is_open() {
        match model {
            "milesight/em300-mcs" => out.extend([0x06, 0x00, u8::from(is_open)]),
            // The contact, and that the sensor sits on its wall.
            "milesight/ws301" => out.extend([0x03, 0x00, u8::from(is_open), 0x04, 0x00, 0x00]),
            _ => {}
        }
    }
    out
}

fn elsys(values: Values) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some(temperature) = values.temperature(Probe::INTERNAL, 10) {
        out.push(0x01);
        out.extend(temperature.to_be_bytes());
    }
    if let Some(humidity) = values.humidity(100) {
        out.extend([0x02, humidity as u8]);
    }
    out.push(0x07);
    out.extend(values.millivolts().to_be_bytes());
    if let Some(temperature) = values.temperature(Probe::EXTERNAL, 10) {
        out.push(0x0C);
        out.extend(temperature.to_be_bytes());
    }
    out
}

/// What a frame is to say.
#[derive(Clone, Copy)]
struct Values<'a>(&'a [Measurement]);

impl Values<'_> {
    /// A probe's temperature in counts of `step` hundredths, its fault as what the devices send then.
    fn temperature(self, probe: Probe, step: i32) -> Option<i16> {
        self.0.iter().filter(|value| value.probe == probe).find_map(|value| match value.quantity {
            Quantity::Temperature(celsius) => Some(counts(celsius.0, step) as i16),
            Quantity::Fault(Fault::PowerOnValue) => Some(POWER_ON / step as i16),
            Quantity::Fault(Fault::OutOfRange) => Some(IMPOSSIBLE),
            Quantity::Fault(Fault::Disconnected | Fault::Reported) => Some(NO_PROBE),
            _ => None,
        })
    }

    /// Of a device that has one probe only, wherever it is.
    fn only_temperature(self, step: i32) -> Option<i16> {
        self.temperature(Probe::EXTERNAL, step).or_else(|| self.temperature(Probe::INTERNAL, step))
    }

    fn humidity(self, step: i32) -> Option<u16> {
        self.0.iter().find_map(|value| match value.quantity {
            Quantity::Humidity(percent) => Some(counts(percent, step) as u16),
            // All bits set, in every width.
            Quantity::Fault(Fault::Humidity) => Some(0x0FFF),
            _ => None,
        })
    }

    fn percent(self) -> Option<u8> {
        self.0.iter().find_map(|value| match value.quantity {
            Quantity::BatteryPercent(percent) => Some(percent),
            _ => None,
        })
    }

    fn millivolts(self) -> u16 {
        let told = self.0.iter().find_map(|value| match value.quantity {
            Quantity::BatteryMillivolts(millivolts) => Some(millivolts),
            _ => None,
        });
        // Two bits of Dragino's word are taken.
        told.unwrap_or(FRESH_MILLIVOLTS).min(0x3FFF)
    }

    fn is_open(self) -> Option<bool> {
        self.0.iter().find_map(|value| match value.quantity {
            Quantity::Door(state) => Some(state == DoorState::Open),
            _ => None,
        })
    }
}

/// Half away from zero.
fn counts(hundredths: i32, step: i32) -> i32 {
    (hundredths + hundredths.signum() * step / 2) / step
}

/// A Reyax module's line; the data may be any bytes.
pub fn reyax_line(address: u16, data: &[u8], rssi: i32) -> Vec<u8> {
    let mut line = format!("+RCV={address},{},", data.len()).into_bytes();
    line.extend_from_slice(data);
    line.extend_from_slice(format!(",{rssi},9\r\n").as_bytes());
    line
}

/// A RAK module's line, present firmware.
pub fn rak_line(data: &[u8], rssi: i32) -> String {
    format!("+EVT:RXP2P:{rssi}:9:{}\r\n", hex(data))
}

/// A JSON line of a node that measures with one probe.
pub fn json_line(id: &str, counter: u32, values: &[Measurement]) -> String {
    let mut line = Map::new();
    line.insert("id".to_owned(), json!(id));
    line.insert("counter".to_owned(), json!(counter));
    for value in values {
        let (key, content) = match value.quantity {
            Quantity::Temperature(celsius) => ("temperature_c", json!(f64::from(celsius.0) / 100.0)),
            Quantity::Humidity(percent) => ("humidity", json!(f64::from(percent) / 100.0)),
            Quantity::BatteryPercent(percent) => ("battery", json!(percent)),
            Quantity::BatteryMillivolts(millivolts) => ("battery_mv", json!(millivolts)),
            Quantity::Door(DoorState::Open) => ("door", json!("open")),
            Quantity::Door(DoorState::Closed) => ("door", json!("closed")),
            Quantity::Leak(found) => ("leak", json!(found)),
            Quantity::Rssi(rssi) => ("rssi", json!(rssi)),
            Quantity::Fault(Fault::Humidity) => ("humidity", Value::Null),
            Quantity::Fault(_) => ("temperature_c", Value::Null),
        };
        if matches!(value.quantity, Quantity::Temperature(_) | Quantity::Fault(_))
            && value.probe != Probe::INTERNAL
        {
            line.insert("probe".to_owned(), json!(value.probe.to_string()));
        }
        line.insert(key.to_owned(), content);
    }
    format!("{}\r\n", Value::Object(line))
}

/// An RFLink gateway's line of a weather sensor; `number` counts the gateway's lines.
pub fn rflink_line(number: u8, name: &str, id: &str, values: &[Measurement]) -> String {
    let values = Values(values);
    let mut line = format!("20;{number:02X};{name};ID={id};");
    if let Some(tenths) = values.only_temperature(10) {
        let sign = if tenths < 0 { 0x8000 } else { 0 };
        write!(line, "TEMP={:04x};", sign | tenths.unsigned_abs()).expect("a string takes any text");
    }
    if let Some(percent) = values.humidity(100) {
        write!(line, "HUM={percent:02};").expect("a string takes any text");
    }
    line + "BAT=OK;\r\n"
}

/// A LoRaWAN uplink as a network server tells it.
#[derive(Clone, Copy, Debug)]
pub struct Uplink<'a> {
    /// 16 hexadecimal digits.
    pub eui: &'a str,
    pub f_port: u8,
    pub counter: u32,
    pub payload: &'a [u8],
    /// dBm.
    pub rssi: i32,
    /// When the network server received it.
    pub time: UnixMs,
}

/// Topic and message of ChirpStack v4.
pub fn chirpstack_v4(uplink: &Uplink) -> (String, String) {
    let eui = uplink.eui.to_ascii_lowercase();
    let time = Timestamp::from_millisecond(uplink.time.0).unwrap_or(Timestamp::UNIX_EPOCH);
    let message = json!({
        "deduplicationId": format!("{eui}-{}-{}", uplink.counter, uplink.time.0),
        "time": time.to_string(),
        "deviceInfo": {"applicationName": "kitchen", "deviceName": eui, "devEui": eui},
        "devAddr": format!("00{}", &eui[eui.len().saturating_sub(6)..]),
        "fCnt": uplink.counter,
        "fPort": uplink.f_port,
        "data": STANDARD.encode(uplink.payload),
        "rxInfo": [{"gatewayId": "00f0000000000001", "rssi": uplink.rssi, "snr": 9.0}],
    });
    (format!("application/1/device/{eui}/event/up"), message.to_string())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02X}").expect("a string takes any text");
        text
    })
}
