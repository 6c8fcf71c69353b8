//! Conformance with what the makers' own codecs decode from uplinks of real devices. Some vectors are kept as a fixture;
//! the full collection is read where it stands beside the project (`../shared/vectors/codecs.json`).
//!
//! The expectation is the vendor codec's raw output. Where that is a sentinel (327.67 for an unplugged probe), the hub
//! must report a fault instead.

use std::path::Path;

use frostguard_hub::codec::{self, DoorState, Fault, Measurement, Quantity};
use frostguard_hub::domain::{CentiCelsius, Probe, UnixMs};
use serde_json::{Map, Value};

/// Keys of the vendors' outputs that say nothing the hub keeps.
const IGNORED: &[&str] = &[
    "ALARM",
    "Bat_status",
    "DOOR_OPEN_TIMES",
    "Ext_sensor",
    "LAST_DOOR_OPEN_DURATION",
    "MOD",
    "Node_type",
    "analog1",
    "digital",
    "timestamp",
];

#[test]
fn own_vectors_decode_as_the_makers_do() {
    let vectors = include_str!("fixtures/codec_vectors.json");
    assert_eq!(check_all(vectors), 7);
}

#[test]
fn shared_vectors_decode_as_the_makers_do() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors/codecs.json");
    match std::fs::read_to_string(&path) {
        Ok(vectors) => {
            let checked = check_all(&vectors);
            println!("{checked} vectors of {} conform", path.display());
            assert!(checked >= 10, "only {checked} vectors are of models this hub decodes");
        }
        Err(error) => {
            println!("{}: {error}: only the project's own vectors were checked", path.display());
            assert_eq!(check_all(include_str!("fixtures/codec_vectors.json")), 7);
        }
    }
}

/// Checks every vector of a model the hub decodes; how many there were.
fn check_all(json: &str) -> usize {
    let vectors: Vec<Value> = serde_json::from_str(json).expect("vectors are JSON");
    vectors.iter().filter(|vector| check(vector)).count()
}

fn check(vector: &Value) -> bool {
    let text = |key: &str| vector[key].as_str().unwrap_or_default();
    let name = format!("{}/{}", text("vendor"), text("model"));
    let Some(model) = codec::find(&name) else {
        return false;
    };
    let f_port = vector["fPort"].as_u64().map_or(model.default_port(), |port| port as u8);
    let bytes = unhex(text("bytes_hex"));
    let got = codec::decode(&name, f_port, &bytes, None)
        .unwrap_or_else(|error| panic!("{name} {}: {error}", text("bytes_hex")));

    let mut wanted = Vec::new();
    expect(vector["decoded"].as_object().expect("an object"), model.measuring, None, &mut wanted);
    let mut rest = got.clone();
    for measurement in &wanted {
        let found = rest.iter().position(|candidate| candidate == measurement);
        let found = found.unwrap_or_else(|| panic!("{name}: {measurement:?} missing in {got:?}"));
        rest.remove(found);
    }
    assert!(rest.is_empty(), "{name}: {rest:?} beyond what the maker decodes");
    true
}

/// The measurements a vendor codec's output stands for. `main` is where its plain "temperature" is measured.
fn expect(decoded: &Map<String, Value>, main: Probe, at: Option<UnixMs>, out: &mut Vec<Measurement>) {
    for (key, value) in decoded {
        let number = value.as_f64().unwrap_or_default();
        let (probe, quantity) = match key.as_str() {
            "temperature" => (main, temperature(number)),
            "TempC_SHT" => (Probe::INTERNAL, temperature(number)),
            "externalTemperature" | "TempC_DS" => (Probe::EXTERNAL, temperature(number)),
            "humidity" | "Hum_SHT" => (Probe::INTERNAL, Quantity::Humidity((number * 100.0).round() as i32)),
            "battery" => (Probe::INTERNAL, Quantity::BatteryPercent(number as u8)),
            "BatV" | "BAT_V" => {
                (Probe::INTERNAL, Quantity::BatteryMillivolts((number * 1_000.0).round() as u16))
            }
            "vdd" => (Probe::INTERNAL, Quantity::BatteryMillivolts(number as u16)),
            "DOOR_OPEN_STATUS" => (Probe::INTERNAL, door(number > 0.0)),
            "magnet_status" => (Probe::INTERNAL, door(value == "open")),
            "history" => {
                for entry in value.as_array().expect("a list") {
                    let at = entry["timestamp"].as_i64().expect("a time") * 1_000;
                    expect(entry.as_object().expect("an object"), main, Some(UnixMs(at)), out);
                }
                continue;
            }
            other => {
                assert!(IGNORED.contains(&other), "what does {other} stand for?");
                continue;
            }
        };
        out.push(Measurement { probe, quantity, at });
    }
}

fn temperature(celsius: f64) -> Quantity {
    let hundredths = (celsius * 100.0).round() as i32;
    if hundredths == 32_767 {
        Quantity::Fault(Fault::Disconnected)
    } else {
        Quantity::Temperature(CentiCelsius(hundredths))
    }
}

fn door(is_open: bool) -> Quantity {
    Quantity::Door(if is_open { DoorState::Open } else { DoorState::Closed })
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).expect("ASCII"), 16).expect("hex"))
        .collect()
}
