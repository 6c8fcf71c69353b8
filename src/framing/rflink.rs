//! RFLink gateways of 433 and 868 MHz weather sensors: `20;<n>;<name>;ID=<id>;TEMP=<hex>;HUM=<digits>;BAT=<OK|LOW>;`.
//! `<n>` counts the gateway's lines, so it names no packet of the sensor.

use super::{Item, Message};
use crate::codec::{Fault, Measurement, Quantity, celsius, humidity};
use crate::domain::Probe;
use crate::frame::Payload;

/// The sensor tells "low" and no more; shown as where a battery begins to be low (domain.md, low battery).
const BATTERY_LOW_PERCENT: u8 = 10;

pub fn parse(line: &[u8]) -> Option<Item> {
    let text = str::from_utf8(line).ok()?;
    let mut fields = text.strip_prefix("20;")?.splitn(2, ';');
    let counter = fields.next()?;
    if counter.len() != 2 || u8::from_str_radix(counter, 16).is_err() {
        return None;
    }
    let body = fields.next()?;
    if !body.ends_with(';') || !body.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return None;
    }
    let mut fields = body.trim_end_matches(';').split(';');
    let name = fields.next()?;
    let values: Vec<(&str, &str)> = fields.filter_map(|field| field.split_once('=')).collect();
    if values.iter().any(|(key, _)| values.iter().filter(|(other, _)| other == key).count() > 1) {
        // Two lines run into one: whose values are these?
        return None;
    }
    let value = |key: &str| values.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
    let Some(id) = value("ID") else {
        return Some(Item::Notice(text.to_owned()));
    };

    let mut measurements = Vec::new();
    let mut add = |quantity| measurements.push(Measurement { probe: Probe::INTERNAL, quantity, at: None });
    value("TEMP").map(temperature).into_iter().for_each(&mut add);
    value("HUM").map(relative_humidity).into_iter().for_each(&mut add);
    if value("BAT") == Some("LOW") {
        add(Quantity::BatteryPercent(BATTERY_LOW_PERCENT));
    }
    let raw = body.as_bytes().to_vec();
    let payload = if measurements.is_empty() {
        Payload::Raw { bytes: raw, reason: "an RFLink line without TEMP and HUM".to_owned() }
    } else {
        Payload::Values { measurements, raw }
    };
    Some(Item::Message(Message {
        address: format!("{name}/{id}"),
        is_eui: false,
        model: None,
        rssi: None,
        counter: None,
        payload,
    }))
}

/// Tenths of a degree in hexadecimal; the highest bit is the sign, the others the magnitude.
fn temperature(text: &str) -> Quantity {
    match u16::from_str_radix(text, 16) {
        Ok(raw) if text.len() == 4 => {
            let magnitude = i32::from(raw & 0x7FFF) * 10;
            celsius(if raw & 0x8000 == 0 { magnitude } else { -magnitude })
        }
        _ => Quantity::Fault(Fault::Reported),
    }
}

/// Percent in decimal digits.
fn relative_humidity(text: &str) -> Quantity {
    match text.parse::<u8>() {
        Ok(percent) => humidity(i32::from(percent) * 100),
        Err(_) => Quantity::Fault(Fault::Humidity),
    }
}
