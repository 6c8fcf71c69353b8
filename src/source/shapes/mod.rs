//! MQTT messages of network servers and Zigbee2MQTT to frames. Pure: topic and bytes in, a frame or the reason why there
//! is none out.
//!
//! Publishers leave out what is zero or unknown, each version other things: every field is optional here, and a wrong one
//! costs itself, not the message.

mod chirpstack;
mod ttn;
mod zigbee2mqtt;

#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use jiff::Timestamp;
use serde_json::Value;

use crate::codec::{self, Codecs};
use crate::config::MqttKind;
use crate::domain::{MonoMs, Source, UnixMs};
use crate::frame::{Frame, Identity, Payload, Sender};

/// An uplink heard by a hundred gateways has some tens of KiB.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024;
/// A LoRaWAN payload has at most 242 bytes; other regions and fragments are below this.
const DATA_BYTES_MAX: usize = 1_024;
/// An address stands in `devices.name`.
const ADDRESS_CHARS_MAX: usize = 256;

/// What a publish says, or why it is no reading: a fragment for people.
///
/// `port` is the configured name of the broker; `codecs` tell which models are known. Retained messages, acknowledgements and redeliveries are the connection's
/// business: `ack` and `identity.packet` are left empty.
pub fn frame_of(
    kind: MqttKind,
    port: &str,
    topic: &str,
    payload: &[u8],
    at: MonoMs,
    codecs: &Codecs,
) -> Result<Frame, String> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(format!("{} bytes are no sensor's message", payload.len()));
    }
    let uplink = match kind {
        MqttKind::ChirpstackV4 => chirpstack::v4(topic, payload, codecs),
        MqttKind::ChirpstackV3 => chirpstack::v3(topic, payload, codecs),
        MqttKind::TtnV3 => ttn::uplink(topic, payload, codecs),
        MqttKind::Zigbee2mqtt => zigbee2mqtt::state(topic, payload),
    }?;
    Ok(Frame {
        sender: Sender {
            source: Source::Mqtt,
            port: port.to_owned(),
            address: uplink.address,
            is_eui: uplink.is_eui,
        },
        model: uplink.model,
        at,
        network_time: uplink.time,
        is_delayed: false,
        payload: uplink.payload,
        identity: uplink.identity,
        rssi: uplink.rssi,
        ack: None,
    })
}

/// True of messages by which the publisher speaks about itself, not about a sensor.
pub fn is_chatter(kind: MqttKind, topic: &str) -> bool {
    kind == MqttKind::Zigbee2mqtt && zigbee2mqtt::is_bridge(topic)
}

/// What the kinds have in common.
struct Uplink {
    address: String,
    is_eui: bool,
    model: Option<String>,
    time: Option<UnixMs>,
    payload: Payload,
    identity: Identity,
    rssi: Option<i32>,
}

fn json(payload: &[u8]) -> Result<Value, String> {
    match serde_json::from_slice(payload) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err("JSON, but no object".to_owned()),
        Err(error) => Err(format!("no JSON: {error}")),
    }
}

/// 16 hexadecimal digits, upper case: the spelling of the central schema.
fn eui(text: &str) -> Option<String> {
    let is_eui = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_eui.then(|| text.to_ascii_uppercase())
}

/// Standard or URL-safe alphabet, padded or not.
fn unbase64(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, LENIENT);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::URL_SAFE, LENIENT);
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

/// The payload of a LoRaWAN uplink. A missing port is left open: only old publishers leave it out.
fn binary(data: &Value, f_port: &Value) -> Result<Payload, String> {
    let text = data.as_str().filter(|text| !text.is_empty()).ok_or("an uplink without data")?;
    let bytes = unbase64(text)
        .filter(|bytes| (1..=DATA_BYTES_MAX).contains(&bytes.len()))
        .ok_or("data that are no base64 of a LoRaWAN payload")?;
    let f_port = match f_port {
        Value::Null => codec::NO_PORT,
        port => integer(port)
            .and_then(|port| u8::try_from(port).ok())
            .ok_or_else(|| format!("{port} is no LoRaWAN port"))?,
    };
    Ok(Payload::Binary { f_port, bytes })
}

/// Protobuf's JSON writes large numbers as text.
fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_i64().or_else(|| value.as_f64().map(|number| number as i64)),
    }
}

fn counter(value: &Value) -> Option<u32> {
    integer(value).and_then(|counter| u32::try_from(counter).ok())
}

/// RFC 3339 with any number of fractional digits.
fn time(value: &Value) -> Option<UnixMs> {
    let timestamp: Timestamp = value.as_str()?.parse().ok()?;
    Some(UnixMs(timestamp.as_millisecond()))
}

/// What the best gateway heard. An RSSI of 0 is left out by some publishers, and is none.
fn best_rssi(gateways: &Value) -> Option<i32> {
    let heard = gateways.as_array()?.iter().filter_map(|gateway| integer(&gateway["rssi"]));
    heard.filter_map(|rssi| i32::try_from(rssi).ok()).filter(|rssi| *rssi != 0).max()
}

/// A name of a model this hub decodes, however the network server's operator spells it.
fn known_model(codecs: &Codecs, name: &str) -> Option<String> {
    codecs.find(name).map(|model| model.name.to_owned())
}
