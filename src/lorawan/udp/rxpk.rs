//! The JSON of PUSH_DATA, read field by field: forwarders differ in what they leave out and how they write numbers, and one
//! odd frame must not cost the others in its datagram.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

use super::{Body, Stat};
use crate::domain::{MonoMs, UnixMs};
use crate::lorawan::gateway::{Context, GatewayFrame, Reception, snr_tenths};
use crate::lorawan::ids::Eui;
use crate::lorawan::mac::unix_ms_of_gps;
use crate::lorawan::phy::PHY_BYTES_MAX;
use crate::lorawan::rate::DataRate;

/// Frames read of one datagram; forwarders put up to eight into one.
const FRAMES_MAX: usize = 255;

/// Padding is optional in this protocol.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Entries of a datagram that are no frames to be used, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Received with a wrong CRC, or without one: noise.
    pub bad_crc: u32,
    /// A modulation or data rate that LoRaWAN sensors do not use here (LR-FHSS).
    pub modulation: u32,
    /// No payload, no frequency, not an object.
    pub malformed: u32,
    /// The datagram's JSON cannot be read at all.
    pub unreadable: u32,
    /// More entries than any gateway can hear at once.
    pub excess: u32,
}

impl Dropped {
    /// For counters.
    pub fn by_reason(&self) -> [(&'static str, u32); 5] {
        [
            ("bad_crc", self.bad_crc),
            ("modulation", self.modulation),
            ("malformed", self.malformed),
            ("unreadable", self.unreadable),
            ("excess", self.excess),
        ]
    }
}

enum Unusable {
    BadCrc,
    Modulation,
    Malformed,
}

pub fn push(bytes: &[u8], gateway: Eui, at: MonoMs) -> Body {
    let (mut frames, mut dropped) = (Vec::new(), Dropped::default());
    let Some(json) = json(bytes) else {
        dropped.unreadable = 1;
        return Body::Push { frames, dropped, stat: None };
    };
    for (entry, number) in json.get("rxpk").and_then(Value::as_array).into_iter().flatten().zip(0..) {
        if number >= FRAMES_MAX {
            dropped.excess += 1;
            continue;
        }
        match frame(entry, gateway, at) {
            Ok(frame) => frames.push(frame),
            Err(Unusable::BadCrc) => dropped.bad_crc += 1,
            Err(Unusable::Modulation) => dropped.modulation += 1,
            Err(Unusable::Malformed) => dropped.malformed += 1,
        }
    }
    Body::Push { frames, dropped, stat: json.get("stat").filter(|stat| stat.is_object()).map(stat) }
}

/// Some forwarders send the zero that ends their string.
pub fn json(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes.trim_ascii_end().strip_suffix(b"\0").unwrap_or(bytes)).ok()
}

pub fn encode(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

fn frame(entry: &Value, gateway: Eui, at: MonoMs) -> Result<GatewayFrame, Unusable> {
    // Without the field the MIC has to tell.
    if number(entry, "stat").is_some_and(|stat| stat.round() as i64 != 1) {
        return Err(Unusable::BadCrc);
    }
    let phy = entry.get("data").and_then(Value::as_str).and_then(decode).ok_or(Unusable::Malformed)?;
    if phy.is_empty() || phy.len() > PHY_BYTES_MAX {
        return Err(Unusable::Malformed);
    }
    let mhz = number(entry, "freq").filter(|mhz| (1.0..4_000.0).contains(mhz)).ok_or(Unusable::Malformed)?;
    let rate = rate(entry).ok_or(Unusable::Modulation)?;
    let best = best_antenna(entry);
    let field = |name: &str| number(entry, name).or_else(|| number(best?, name));
    // With several antennas the channel's strength has another name.
    let rssi = field("rssi").or_else(|| field("rssic")).or_else(|| field("rssis"));
    // What a gateway kept while the hub was away cannot be answered any more.
    let is_delayed = entry.get("delayed").and_then(Value::as_bool).unwrap_or(false);
    let tmst = number(entry, "tmst").filter(|tmst| (0.0..4_294_967_296.0).contains(tmst) && !is_delayed);
    Ok(GatewayFrame {
        phy,
        reception: Reception {
            gateway,
            at,
            // Channels lie on whole kilohertz, some forwarders print what a float made of them.
            hz: (mhz * 1e3).round() as u32 * 1_000,
            rate,
            rssi_dbm: rssi.map(|dbm| dbm.round() as i32),
            snr_tenths: field("lsnr").and_then(snr_tenths),
            context: tmst.map(|tmst| Context::Udp { tmst: tmst as u32 }),
            gnss: gnss(entry),
            is_delayed,
        },
    })
}

/// `tmms`, milliseconds of GPS time, which only a receiver can know. `time` is not taken: many forwarders fill it from a clock
/// that nobody set.
fn gnss(entry: &Value) -> Option<UnixMs> {
    let ms = number(entry, "tmms").filter(|ms| (1.0..1e14).contains(ms))?;
    Some(UnixMs(unix_ms_of_gps(ms as i64)))
}

fn rate(entry: &Value) -> Option<DataRate> {
    match entry.get("datr")? {
        Value::String(text) => DataRate::parse(text),
        Value::Number(bps) => Some(DataRate::Fsk { bps: bps.as_u64()?.try_into().ok()? }),
        _ => None,
    }
}

/// Of a gateway with several antennas, the one that heard it best.
fn best_antenna(entry: &Value) -> Option<&Value> {
    let antennas = entry.get("rsig")?.as_array()?.iter().take(16);
    antennas.max_by(|a, b| {
        let snr = |antenna| number(antenna, "lsnr").unwrap_or(f64::NEG_INFINITY);
        snr(a).total_cmp(&snr(b))
    })
}

/// A number, or one that stands in quotes.
fn number(entry: &Value, name: &str) -> Option<f64> {
    match entry.get(name)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
    .filter(|number| number.is_finite())
}

/// Both alphabets, with and without padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    let standard: String = text
        .chars()
        .filter(|c| !c.is_ascii_whitespace())
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    BASE64.decode(standard.trim_end_matches('=')).ok()
}

fn stat(stat: &Value) -> Stat {
    let count =
        |name| number(stat, name).filter(|count| (0.0..4e9).contains(count)).map(|count| count as u32);
    Stat {
        heard: count("rxnb"),
        heard_ok: count("rxok"),
        forwarded: count("rxfw"),
        acknowledged_percent: number(stat, "ackr"),
        sent: count("txnb"),
        celsius: number(stat, "temp"),
    }
}
