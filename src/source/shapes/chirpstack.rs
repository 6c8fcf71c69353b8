//! ChirpStack, versions 4 and 3. Topics end in the event: `application/<id>/device/<EUI>/event/up` (3 also `/rx`).

use serde_json::Value;

use super::{Uplink, best_rssi, binary, counter, eui, json, known_model, time, unbase64};
use crate::codec::{Codecs, Measurement, Quantity};
use crate::domain::Probe;
use crate::frame::{Identity, Payload};

pub fn v4(topic: &str, payload: &[u8], codecs: &Codecs) -> Result<Uplink, String> {
    let event = Event::of(topic)?;
    let message = json(payload)?;
    let device = &message["deviceInfo"];
    let address = device["devEui"]
        .as_str()
        .or_else(|| topic_eui(topic))
        .and_then(eui)
        .ok_or("neither deviceInfo.devEui nor the topic holds an EUI")?;
    let model = [&device["tags"]["model"], &device["deviceProfileName"]];
    Ok(Uplink {
        address,
        is_eui: true,
        model: model.into_iter().filter_map(Value::as_str).find_map(|name| known_model(codecs, name)),
        time: time(&message["time"]),
        payload: event.payload(&message)?,
        identity: Identity {
            dev_addr: message["devAddr"].as_str().map(str::to_ascii_uppercase),
            counter: counter(&message["fCnt"]),
            deduplication_id: message["deduplicationId"].as_str().map(str::to_owned),
            ..Identity::default()
        },
        rssi: best_rssi(&message["rxInfo"]),
    })
}

pub fn v3(topic: &str, payload: &[u8], codecs: &Codecs) -> Result<Uplink, String> {
    let event = Event::of(topic)?;
    let message = json(payload)?;
    let address = message["devEUI"]
        .as_str()
        .and_then(v3_eui)
        .or_else(|| topic_eui(topic).and_then(eui))
        .ok_or("neither devEUI nor the topic holds an EUI")?;
    let model = [&message["tags"]["model"], &message["deviceProfileName"]];
    let gateways = message["rxInfo"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(Uplink {
        address,
        is_eui: true,
        model: model.into_iter().filter_map(Value::as_str).find_map(|name| known_model(codecs, name)),
        // A gateway's time is there only when it has GNSS.
        time: gateways
            .iter()
            .find_map(|gateway| time(&gateway["time"]))
            .or_else(|| time(&message["publishedAt"])),
        payload: event.payload(&message)?,
        identity: Identity {
            dev_addr: message["devAddr"].as_str().map(v3_address),
            counter: counter(&message["fCnt"]),
            ..Identity::default()
        },
        rssi: best_rssi(&message["rxInfo"]),
    })
}

enum Event {
    Up,
    Status,
}

impl Event {
    fn of(topic: &str) -> Result<Self, String> {
        match topic.rsplit('/').next().unwrap_or_default() {
            "up" | "rx" => Ok(Event::Up),
            "status" => Ok(Event::Status),
            other => Err(format!("a ChirpStack {other:?} event is no reading")),
        }
    }

    fn payload(&self, message: &Value) -> Result<Payload, String> {
        match self {
            Event::Up => binary(&message["data"], &message["fPort"]),
            Event::Status => battery(message),
        }
    }
}

/// What the device answered to the network server's question, in percent. On mains or unknown: nothing to keep.
fn battery(message: &Value) -> Result<Payload, String> {
    let is_set = |key: &str| message[key].as_bool().unwrap_or(false);
    let level = message["batteryLevel"].as_f64().filter(|level| (0.0..=100.0).contains(level));
    let level = level
        .filter(|_| !is_set("batteryLevelUnavailable") && !is_set("externalPowerSource"))
        .ok_or("a status without a battery level")?;
    let quantity = Quantity::BatteryPercent(level.round() as u8);
    Ok(Payload::Values {
        measurements: vec![Measurement { probe: Probe::INTERNAL, quantity, at: None }],
        raw: message.to_string().into_bytes(),
    })
}

fn topic_eui(topic: &str) -> Option<&str> {
    let mut levels = topic.split('/').skip_while(|level| *level != "device");
    levels.nth(1)
}

/// Hexadecimal, or base64 of the 8 bytes, as the server is configured.
fn v3_eui(text: &str) -> Option<String> {
    eui(text).or_else(|| {
        let bytes: [u8; 8] = unbase64(text)?.try_into().ok()?;
        Some(format!("{:016X}", u64::from_be_bytes(bytes)))
    })
}

fn v3_address(text: &str) -> String {
    match unbase64(text).map(<[u8; 4]>::try_from) {
        Some(Ok(bytes)) => format!("{:08X}", u32::from_be_bytes(bytes)),
        _ => text.to_ascii_uppercase(),
    }
}
