//! The LNS protocol of LoRa Basics Station: JSON texts over two websockets, sans-IO.
//!
//! A station asks `/router-info` where to connect ([`router_info`]), connects there, says its version and gets its channels
//! ([`router_config`]), then sends what it hears ([`parse`]). It does the timing of answers itself, by
//! the `xtime` it is given back, which spares the hub the gateway's clock.

mod config;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use super::gateway::{Context, Downlink, GatewayFrame, Reception, Window, snr_tenths};
use super::hex;
use super::ids::Eui;
use super::mac::{gps_ms, unix_ms_of_gps};
use super::phy::PHY_BYTES_MAX;
use super::region::Region;
use crate::domain::{MonoMs, UnixMs};

pub use config::router_config;

/// The longest text a station sends; a frame of 255 bytes in hex and all around it is a quarter of this.
pub const TEXT_BYTES_MAX: usize = 4_096;

#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// The first after connecting: answer with [`router_config`].
    Version {
        station: String,
        /// 2 since 2018.
        protocol: u64,
        features: String,
    },
    Frame(GatewayFrame),
    /// The answer of this number was sent.
    Sent {
        diid: i64,
    },
    /// It asks for the time: answer with [`timesync`] if the hub's is trusted, else not at all.
    Timesync {
        txtime: f64,
    },
    /// Nothing the hub needs, by its `msgtype`.
    Other(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StationError {
    #[error("text of {0} bytes, longer than any message")]
    TooLong(usize),
    #[error("no JSON object")]
    NotJson,
    #[error("the field {0} is missing or has no sense")]
    Field(&'static str),
}

/// The question of `/router-info`: which gateway asks.
pub fn router_info(text: &str) -> Result<Eui, StationError> {
    object(text)?.get("router").and_then(eui).ok_or(StationError::Field("router"))
}

/// Its answer: connect to `uri`, a whole `ws://host:port/path`.
pub fn router_info_answer(router: Eui, uri: &str) -> String {
    json!({ "router": id6(router), "muxs": "muxs-::0", "uri": uri }).to_string()
}

/// Or: not this gateway, because.
pub fn router_info_refusal(router: Eui, error: &str) -> String {
    json!({ "router": id6(router), "error": error }).to_string()
}

/// Reads what station `gateway` sent at `at`.
pub fn parse(text: &str, gateway: Eui, region: Region, at: MonoMs) -> Result<Message, StationError> {
    let json = object(text)?;
    let string = |name: &str| json.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let kind = json.get("msgtype").and_then(Value::as_str).ok_or(StationError::Field("msgtype"))?;
    let phy = match kind {
        "version" => {
            let protocol = json.get("protocol").and_then(Value::as_u64).unwrap_or(0);
            return Ok(Message::Version {
                station: string("station"),
                protocol,
                features: string("features"),
            });
        }
        "dntxed" => return Ok(Message::Sent { diid: integer(&json, "diid")? }),
        "timesync" => {
            let txtime = json.get("txtime").and_then(Value::as_f64).ok_or(StationError::Field("txtime"))?;
            return Ok(Message::Timesync { txtime });
        }
        "jreq" => join_request(&json)?,
        "updf" => data_frame(&json)?,
        "propdf" => hex_field(&json, "FRMPayload")?,
        other => return Ok(Message::Other(other.chars().take(32).collect())),
    };
    if phy.len() > PHY_BYTES_MAX {
        return Err(StationError::Field("FRMPayload"));
    }
    Ok(Message::Frame(GatewayFrame { phy, reception: reception(&json, gateway, region, at)? }))
}

/// The order to answer a device in the windows given ([`Lns::windows`](super::server::Lns::windows)), of which the station
/// takes the first it can. `None` without a window, or if the frame was not heard by a station.
pub fn dnmsg(downlink: &Downlink, windows: &[Window], diid: i64, wall: Option<UnixMs>) -> Option<String> {
    let Context::Station { xtime, rctx } = downlink.context else {
        return None;
    };
    let first = windows.first()?;
    let rx1_ms = first.delay_ms.saturating_sub(if first.number == 1 { 0 } else { 1_000 });
    let mut message = json!({
        "msgtype": "dnmsg",
        "DevEui": dashed(downlink.dev_eui),
        // Class A.
        "dC": 0,
        "diid": diid,
        "pdu": hex::encode_upper(&downlink.phy),
        "RxDelay": rx1_ms / 1_000,
        "priority": 0,
        "xtime": xtime,
        "rctx": rctx,
    });
    for window in windows {
        message[format!("RX{}DR", window.number)] = json!(window.dr);
        message[format!("RX{}Freq", window.number)] = json!(window.hz);
    }
    if let Some(wall) = wall {
        message["MuxTime"] = json!(wall.0 as f64 / 1e3);
    }
    Some(message.to_string())
}

/// The answer to a [`Message::Timesync`].
pub fn timesync(txtime: f64, wall: UnixMs) -> String {
    json!({ "msgtype": "timesync", "txtime": txtime, "gpstime": gps_ms(wall.0) * 1_000 }).to_string()
}

fn object(text: &str) -> Result<Value, StationError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(StationError::TooLong(text.len()));
    }
    let json: Option<Value> = serde_json::from_str(text).ok();
    json.filter(Value::is_object).ok_or(StationError::NotJson)
}

/// The station has taken the frame apart; for the MIC it must be whole.
fn join_request(json: &Value) -> Result<Vec<u8>, StationError> {
    let eui_field = |names: [&'static str; 2]| {
        let value = json.get(names[0]).or_else(|| json.get(names[1]));
        value.and_then(eui).ok_or(StationError::Field(names[0]))
    };
    let mut phy = vec![unsigned(json, "MHdr", 0xff)? as u8];
    phy.extend(eui_field(["JoinEui", "JoinEUI"])?.to_le_bytes());
    phy.extend(eui_field(["DevEui", "DevEUI"])?.to_le_bytes());
    phy.extend((unsigned(json, "DevNonce", 0xffff)? as u16).to_le_bytes());
    phy.extend(word(json, "MIC")?);
    Ok(phy)
}

fn data_frame(json: &Value) -> Result<Vec<u8>, StationError> {
    let control = unsigned(json, "FCtrl", 0xff)? as u8;
    let options = hex_field(json, "FOpts")?;
    if usize::from(control & 0x0f) != options.len() {
        return Err(StationError::Field("FOpts"));
    }
    let mut phy = vec![unsigned(json, "MHdr", 0xff)? as u8];
    phy.extend(word(json, "DevAddr")?);
    phy.push(control);
    phy.extend((unsigned(json, "FCnt", 0xffff)? as u16).to_le_bytes());
    phy.extend(options);
    // -1: the frame has no port.
    match integer(json, "FPort")? {
        -1 => {}
        port => {
            phy.push(u8::try_from(port).map_err(|_| StationError::Field("FPort"))?);
            phy.extend(hex_field(json, "FRMPayload")?);
        }
    }
    phy.extend(word(json, "MIC")?);
    Ok(phy)
}

fn reception(json: &Value, gateway: Eui, region: Region, at: MonoMs) -> Result<Reception, StationError> {
    let info = json.get("upinfo").unwrap_or(&Value::Null);
    let number = |name: &str| info.get(name).and_then(Value::as_f64);
    let dr = unsigned(json, "DR", 15)? as u8;
    let xtime = info.get("xtime").and_then(Value::as_i64);
    // Microseconds; 0 without GNSS.
    let gps_us = info.get("gpstime").and_then(Value::as_i64).filter(|us| *us > 0);
    Ok(Reception {
        gateway,
        at,
        hz: unsigned(json, "Freq", u64::from(u32::MAX))? as u32,
        rate: region.data_rate(dr).ok_or(StationError::Field("DR"))?,
        rssi_dbm: number("rssi").map(|dbm| dbm.round() as i32),
        snr_tenths: number("snr").and_then(snr_tenths),
        context: xtime.map(|xtime| Context::Station {
            xtime,
            rctx: info.get("rctx").and_then(Value::as_i64).unwrap_or(0),
        }),
        gnss: gps_us.map(|us| UnixMs(unix_ms_of_gps(us / 1_000))),
        is_delayed: false,
    })
}

fn integer(json: &Value, name: &'static str) -> Result<i64, StationError> {
    json.get(name).and_then(Value::as_i64).ok_or(StationError::Field(name))
}

fn unsigned(json: &Value, name: &'static str, most: u64) -> Result<u64, StationError> {
    let value = json.get(name).and_then(Value::as_u64).filter(|value| *value <= most);
    value.ok_or(StationError::Field(name))
}

/// 32 bits as a signed or unsigned number, little endian as over the air.
fn word(json: &Value, name: &'static str) -> Result<[u8; 4], StationError> {
    let value = integer(json, name)?;
    let in_range = (i64::from(i32::MIN)..=i64::from(u32::MAX)).contains(&value);
    if in_range { Ok((value as u32).to_le_bytes()) } else { Err(StationError::Field(name)) }
}

fn hex_field(json: &Value, name: &'static str) -> Result<Vec<u8>, StationError> {
    json.get(name).and_then(Value::as_str).and_then(hex::decode).ok_or(StationError::Field(name))
}

/// An EUI in any of the station's forms: `58a0:cbff:fe80:19`, `::1`, `58-A0-CB-FF-FE-80-00-19`, a number.
fn eui(value: &Value) -> Option<Eui> {
    match value {
        Value::Number(number) => number.as_u64().map(|number| Eui(number.to_be_bytes())),
        Value::String(text) if text.contains(':') => from_id6(text),
        Value::String(text) => Eui::parse(text),
        _ => None,
    }
}

/// Four groups of up to four digits; `::` stands for groups of zeros.
fn from_id6(text: &str) -> Option<Eui> {
    let groups = |part: &str| -> Option<Vec<u16>> {
        let groups = part.split(':').filter(|_| !part.is_empty());
        let read = |group: &str| {
            let is_hex = group.len() <= 4 && group.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_hex.then(|| u16::from_str_radix(group, 16).ok())?
        };
        groups.map(read).collect()
    };
    let words = match text.split_once("::") {
        Some((before, after)) => {
            let (mut words, after) = (groups(before)?, groups(after)?);
            let missing = 4_usize.checked_sub(words.len() + after.len())?;
            words.resize(words.len() + missing, 0);
            words.extend(after);
            words
        }
        None => groups(text)?,
    };
    let words: [u16; 4] = words.try_into().ok()?;
    let number = words.iter().fold(0_u64, |number, word| number << 16 | u64::from(*word));
    Some(Eui(number.to_be_bytes()))
}

/// Without leading zeros, as a station writes it; zero groups are not shortened.
fn id6(eui: Eui) -> String {
    let words: Vec<String> =
        eui.0.chunks(2).map(|pair| format!("{:x}", u16::from_be_bytes([pair[0], pair[1]]))).collect();
    words.join(":")
}

fn dashed(eui: Eui) -> String {
    eui.0.map(|byte| format!("{byte:02X}")).join("-")
}
