//! Conformance with what the makers' own codecs decode from uplinks of real devices. Some vectors are kept as a fixture;
//! the full collection is read where it stands beside the project or above it (`shared/vectors/codecs.json`). There every
//! vector must conform or its model be named in [`NO_COLD_ROOM`].
//!
//! The expectation is the vendor codec's raw output. Where that is a sentinel (327.67 for an unplugged probe), the hub
//! must report a fault instead.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use frostguard_hub::codec::{self, DoorState, Fault, Measurement, Quantity};
use frostguard_hub::domain::{CentiCelsius, Probe, UnixMs};
use serde_json::{Map, Value};

/// Keys of the vendors' outputs that say nothing the hub keeps.
const IGNORED: &[&str] = &[
    "ALARM",
    "Bat_status",
    "CO2",
    "DOOR_OPEN_TIMES",
    "Ext_sensor",
    "LAST_DOOR_OPEN_DURATION",
    "LAST_WATER_LEAK_DURATION",
    "MOD",
    "Node_type",
    "VOC",
    "WATER_LEAK_TIMES",
    "analog1",
    // The electronics' own warmth.
    "barometer_temperature",
    "button",
    "co2_ppm",
    "co2_sensor_temperature",
    "co2calibration",
    "co2threshold",
    "count",
    "device_id",
    "digital",
    "fPort",
    "protocol_version",
    "tamper",
    "thh_type",
    "tilt",
    "time",
    "timestamp",
    "trigger",
];

/// Models of the collection that the hub does not decode, and why.
const NO_COLD_ROOM: &[(&str, &str)] = &[
    ("browan/tabs-tbms100", "motion; its temperature is its board's"),
    ("decentlab/dl-5tm", "soil"),
    ("decentlab/dl-atm22", "wind"),
    ("decentlab/dl-atm41", "weather"),
    ("decentlab/dl-atm41g2", "weather"),
    ("decentlab/dl-blg", "a black globe for radiant heat; its thermistor's formula is not in the datasheet"),
    ("decentlab/dl-ctd10", "ground water"),
    ("decentlab/dl-ctd10b", "ground water"),
    ("decentlab/dl-cws", "winter roads"),
    ("decentlab/dl-cws2", "winter roads"),
    ("decentlab/dl-gmm", "greenhouse"),
    ("decentlab/dl-ilt", "leaves"),
    ("decentlab/dl-isf", "sap of trees"),
    ("decentlab/dl-mes5", "sludge"),
    ("decentlab/dl-ntu", "turbidity of water"),
    ("decentlab/dl-optod", "oxygen in water"),
    ("decentlab/dl-pheht", "acidity of water"),
    ("decentlab/dl-pr21", "pressure; the temperature is the transmitter's"),
    ("decentlab/dl-pr26", "pressure; the temperature is the transmitter's"),
    ("decentlab/dl-pr36", "pressure; the temperature is the transmitter's"),
    ("decentlab/dl-pr36ctd", "ground water"),
    ("decentlab/dl-rad", "snow and sun"),
    ("decentlab/dl-sdd", "soil"),
    ("decentlab/dl-smtp", "soil"),
    ("decentlab/dl-trs11", "soil"),
    ("decentlab/dl-trs12", "soil"),
    ("decentlab/dl-trs21", "soil"),
    ("decentlab/dl-wrm", "winter roads"),
    ("dragino/ldds75", "level by distance; 0.00 is its optional probe's place, not a temperature"),
    ("mclimate/vicki", "radiator thermostat"),
    ("sept-s/tg563a", "smoke"),
    ("vutility/hotdrop", "electric current; the temperature is the device's"),
    ("vutility/pulsedrop", "meter pulses; the temperature is the device's"),
    ("vutility/voltdrop", "voltage; the temperature is the device's"),
    ("yobiiq/dsmr", "electricity meter; the temperature is the device's"),
];

#[test]
fn own_vectors_decode_as_the_makers_do() {
    let vectors = include_str!("fixtures/codec_vectors.json");
    assert_eq!(check_all(vectors).len(), 0);
}

#[test]
fn shared_vectors_decode_as_the_makers_do() {
    let Some((path, vectors)) = shared_vectors() else {
        println!("no shared/vectors/codecs.json: only the project's own vectors were checked");
        return;
    };
    let excepted: BTreeSet<&str> = NO_COLD_ROOM.iter().map(|(name, _)| *name).collect();
    let unknown = check_all(&vectors);
    println!("{} conforms, but for {} models the hub does not decode", path.display(), unknown.len());
    let unnamed: Vec<_> = unknown.iter().filter(|name| !excepted.contains(name.as_str())).collect();
    assert!(unnamed.is_empty(), "neither decoded nor named as exceptions: {unnamed:?}");
}

#[test]
fn exceptions_are_not_decoded() {
    for (name, why) in NO_COLD_ROOM {
        assert!(codec::find(name).is_none(), "{name} ({why}) is decoded after all");
    }
}

fn shared_vectors() -> Option<(PathBuf, String)> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    project.ancestors().skip(1).find_map(|folder| {
        let path = folder.join("shared/vectors/codecs.json");
        std::fs::read_to_string(&path).ok().map(|vectors| (path, vectors))
    })
}

/// Checks every vector of a model the hub decodes; the models it does not.
fn check_all(json: &str) -> BTreeSet<String> {
    let vectors: Vec<Value> = serde_json::from_str(json).expect("vectors are JSON");
    vectors.iter().filter_map(|vector| check(vector).err()).collect()
}

/// The model's name where the hub does not know it.
fn check(vector: &Value) -> Result<(), String> {
    let text = |key: &str| vector[key].as_str().unwrap_or_default();
    let name = format!("{}/{}", text("vendor"), text("model"));
    let Some(model) = codec::find(&name) else {
        return Err(name);
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
    Ok(())
}

/// The measurements a vendor codec's output stands for. `main` is where its plain "temperature" is measured.
fn expect(decoded: &Map<String, Value>, main: Probe, at: Option<UnixMs>, out: &mut Vec<Measurement>) {
    for (key, value) in decoded {
        if key == "history" {
            for entry in value.as_array().expect("a list") {
                let at = entry["timestamp"].as_i64().expect("a time") * 1_000;
                expect(entry.as_object().expect("an object"), main, Some(UnixMs(at)), out);
            }
        } else if let Some((probe, quantity)) = meaning(decoded, key, value, main) {
            out.push(Measurement { probe, quantity, at });
        }
    }
}

fn meaning(decoded: &Map<String, Value>, key: &str, value: &Value, main: Probe) -> Option<(Probe, Quantity)> {
    let number = value.as_f64().or_else(|| value["value"].as_f64()).unwrap_or_default();
    let internal = |quantity| Some((Probe::INTERNAL, quantity));
    match key {
        "temperature" | "air_temperature" | "temperature_target" => Some((main, temperature(number))),
        "TempC_SHT" | "sensorTemperature" | "temperature_head" => internal(temperature(number)),
        "externalTemperature" | "TempC_DS" => Some((Probe::EXTERNAL, temperature(number))),
        "extThermistorTemperature" if decoded["thermistorProperlyConnected"] == true => {
            Some((Probe::EXTERNAL, temperature(number)))
        }
        "extThermistorTemperature" => None,
        "thermistorProperlyConnected" => {
            (value == false).then_some((Probe::EXTERNAL, Quantity::Fault(Fault::Disconnected)))
        }
        "air_humidity" => Some((main, humidity(number))),
        "humidity" | "humi" | "Hum_SHT" | "relativeHumidity" => internal(humidity(number)),
        "battery" => internal(Quantity::BatteryPercent(number as u8)),
        "BatV" | "BAT_V" | "battery_volt" | "battery_voltage" | "batteryVoltage" => {
            internal(Quantity::BatteryMillivolts((number * 1_000.0).round() as u16))
        }
        "vdd" => internal(Quantity::BatteryMillivolts(number as u16)),
        "DOOR_OPEN_STATUS" | "open" => internal(door(number > 0.0)),
        "magnet_status" => internal(door(value == "open")),
        "WATER_LEAK_STATUS" => internal(Quantity::Leak(number > 0.0)),
        "leakage_status" => internal(Quantity::Leak(value == "leak")),
        other => {
            if let Some(level) = other.strip_prefix("temperature_at_level_") {
                let level: u8 = level.parse().expect("a level");
                return Some((Probe::numbered(level + 1), temperature(number)));
            }
            // Decentlab names the unit; what is neither degrees nor percent is nothing the hub keeps.
            let is_other_unit = value.is_object() && !["°C", "%"].iter().any(|unit| value["unit"] == *unit);
            assert!(is_other_unit || IGNORED.contains(&other), "what does {other} stand for?");
            None
        }
    }
}

fn temperature(celsius: f64) -> Quantity {
    match (celsius * 100.0).round() as i32 {
        // Nothing is plugged in.
        32_767 | -32_768 => Quantity::Fault(Fault::Disconnected),
        hundredths => Quantity::Temperature(CentiCelsius(hundredths)),
    }
}

fn humidity(percent: f64) -> Quantity {
    Quantity::Humidity((percent * 100.0).round() as i32)
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
