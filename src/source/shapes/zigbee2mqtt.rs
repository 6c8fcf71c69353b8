//! Zigbee2MQTT: `<base>/<friendly name>`, where the name may hold slashes. The message is the device's whole state.

use serde_json::{Map, Value};

use super::{ADDRESS_CHARS_MAX, Uplink, json, time};
use crate::codec::{DoorState, Measurement, Quantity, celsius, humidity};
use crate::domain::{Probe, UnixMs};
use crate::frame::{Identity, Payload};

/// Topics below a device's, and the bridge's own.
const NOT_STATES: &[&str] = &["availability", "set", "get"];
const BRIDGE: &str = "bridge";

/// The bridge tells of every publish it makes; keeping that would be one row for each reading.
pub fn is_bridge(topic: &str) -> bool {
    let name = topic.split_once('/').map_or("", |(_, name)| name);
    name == BRIDGE || name.starts_with("bridge/")
}

pub fn state(topic: &str, payload: &[u8]) -> Result<Uplink, String> {
    let name = topic.split_once('/').map(|(_, name)| name).filter(|name| !name.is_empty());
    let name = name.ok_or("the topic names no device")?;
    if is_bridge(topic) {
        return Err("the bridge about itself is no reading".to_owned());
    }
    if let Some((_, last)) = name.rsplit_once('/')
        && NOT_STATES.contains(&last)
    {
        return Err(format!("{last} is no reading"));
    }
    if name.chars().count() > ADDRESS_CHARS_MAX {
        return Err(format!("a name of more than {ADDRESS_CHARS_MAX} characters"));
    }
    let message = json(payload)?;
    let state = message.as_object().ok_or("JSON, but no object")?;
    let measurements = measurements(state);
    if measurements.is_empty() {
        return Err("a device's state without temperature, humidity, contact, leak or battery".to_owned());
    }
    Ok(Uplink {
        address: name.to_owned(),
        is_eui: false,
        model: None,
        time: state.get("last_seen").and_then(last_seen),
        payload: Payload::Values { measurements, raw: payload.to_vec() },
        identity: Identity::default(),
        // `linkquality` is no dBm.
        rssi: None,
    })
}

/// `null` stands for what the device has not told yet, so it is no fault.
fn measurements(state: &Map<String, Value>) -> Vec<Measurement> {
    let number = |key: &str| state.get(key).and_then(Value::as_f64);
    let flag = |key: &str| state.get(key).and_then(Value::as_bool);
    let door = |is_closed| Quantity::Door(if is_closed { DoorState::Closed } else { DoorState::Open });
    let quantities = [
        number("temperature").map(|value| celsius(hundredths(value))),
        number("humidity").map(|value| humidity(hundredths(value))),
        flag("contact").map(door),
        flag("water_leak").map(Quantity::Leak),
    ];
    let mut measured: Vec<Quantity> = quantities.into_iter().flatten().collect();
    let battery = number("battery").filter(|percent| (0.0..=100.0).contains(percent));
    measured.extend(battery.map(|percent| Quantity::BatteryPercent(percent.round() as u8)));
    let wrap = |quantity| Measurement { probe: Probe::INTERNAL, quantity, at: None };
    measured.into_iter().map(wrap).collect()
}

fn hundredths(value: f64) -> i32 {
    (value * 100.0).round() as i32
}

/// Text or milliseconds, as configured. A state sent again after a restart keeps its old one.
fn last_seen(value: &Value) -> Option<UnixMs> {
    value.as_i64().map(UnixMs).or_else(|| time(value))
}
