//! Which value is what.

use serde_json::json;

use super::*;
use crate::codec::{Codecs, DoorState, Fault, Measurement, Quantity};
use crate::domain::{CentiCelsius, Probe};

const HEAD: &str = "ports = [2]\ncheck_in_s = 600\nsentinels = [327.67, 6553.5]\n";

/// What a map of `entry` (and a temperature beside it, so that something is measured) makes of `data`.
#[track_caller]
fn check(entry: &str, data: Value, want: Result<&[Quantity], &str>) {
    let text = format!(
        "{HEAD}[[map]]\npath = \"spare\"\nquantity = \"temperature\"\nunit = \"C\"\n[[map]]\n{entry}"
    );
    let manifest = Manifest::parse("maker", &text).unwrap_or_else(|error| panic!("{entry}: {error}"));
    let got = normalise::measurements(&manifest, &data).map_err(|error| error.to_string());
    let got = got.map(|list| list.into_iter().map(|one| one.quantity).collect::<Vec<_>>());
    match (&got, want) {
        (Ok(got), Ok(want)) => assert_eq!(got, want, "{entry} of {data}"),
        (Err(got), Err(want)) => assert!(got.contains(want), "{got}"),
        _ => panic!("{entry} of {data}: {got:?}"),
    }
}

fn t(hundredths: i32) -> Quantity {
    Quantity::Temperature(CentiCelsius(hundredths))
}

#[test]
fn temperatures_in_every_scale_and_spelling() {
    let of = |unit: &str| format!("path = \"t\"\nquantity = \"temperature\"\nunit = \"{unit}\"");
    for (unit, value, want) in [
        ("C", json!(-18.25), t(-1_825)),
        ("C", json!("25.70"), t(2_570)),
        ("C", json!(" -3,5 "), t(-350)),
        ("C", json!(4.004), t(400)),
        ("F", json!(39.2), t(400)),
        ("°F", json!(-4), t(-2_000)),
        ("K", json!(277.15), t(400)),
        ("C", json!({"value": 4.1, "unit": "°C"}), t(410)),
        ("C", json!({"value": "39.2", "unit": "°F"}), t(400)),
        ("F", json!({"value": 39.2, "unit": "degrees"}), t(400)),
        // Sentinels, listed and known; and what no cold chain measures.
        ("C", json!(327.67), Quantity::Fault(Fault::Disconnected)),
        ("C", json!("327.67"), Quantity::Fault(Fault::Disconnected)),
        ("C", json!(-127), Quantity::Fault(Fault::Disconnected)),
        ("C", json!(6550.9), Quantity::Fault(Fault::OutOfRange)),
        ("C", json!(-60.01), Quantity::Fault(Fault::OutOfRange)),
        ("C", json!(1e300), Quantity::Fault(Fault::OutOfRange)),
        ("K", json!(0), Quantity::Fault(Fault::OutOfRange)),
        ("C", json!("NaN"), Quantity::Fault(Fault::OutOfRange)),
        ("C", json!("-Infinity"), Quantity::Fault(Fault::OutOfRange)),
        ("C", json!("NULL"), Quantity::Fault(Fault::Reported)),
    ] {
        check(&of(unit), json!({ "t": value }), Ok(&[want]));
    }
    check(&of("C"), json!({"t": null}), Ok(&[]));
    check(&of("C"), json!({"t": {"value": null}}), Ok(&[]));
    check(&of("C"), json!({"other": 1}), Ok(&[]));
    check(&of("C"), json!({"t": true}), Err("t of the script is no temperature: true"));
    check(&of("C"), json!({"t": [1]}), Err("no temperature"));
}

#[test]
fn humidity_battery_door_and_leak() {
    let humidity = "path = \"v\"\nquantity = \"humidity\"\nunit = \"%\"";
    for (value, want) in [
        (json!(55.5), Quantity::Humidity(5_550)),
        (json!("100"), Quantity::Humidity(10_000)),
        (json!(100.1), Quantity::Fault(Fault::Humidity)),
        (json!(6553.5), Quantity::Fault(Fault::Humidity)),
        (json!("NaN"), Quantity::Fault(Fault::Humidity)),
    ] {
        check(humidity, json!({ "v": value }), Ok(&[want]));
    }
    for (unit, value, want) in [
        ("%", json!(87.4), Some(Quantity::BatteryPercent(87))),
        ("%", json!(255), None),
        ("mV", json!(3_012), Some(Quantity::BatteryMillivolts(3_012))),
        ("V", json!("3.012"), Some(Quantity::BatteryMillivolts(3_012))),
        ("V", json!({"value": 3_000, "unit": "mV"}), Some(Quantity::BatteryMillivolts(3_000))),
        ("V", json!(-1), None),
        ("%", json!("unknown"), None),
    ] {
        let entry = format!("path = \"v\"\nquantity = \"battery\"\nunit = \"{unit}\"");
        check(&entry, json!({ "v": value }), Ok(want.as_slice()));
    }
    let door = |state| [Quantity::Door(state)];
    let usual = "path = \"v\"\nquantity = \"door\"";
    for value in [json!(1), json!(1.0), json!(true), json!("OPEN"), json!("1"), json!({"value": "opened"})] {
        check(usual, json!({ "v": value }), Ok(&door(DoorState::Open)));
    }
    check(usual, json!({"v": "ajar"}), Err("v of the script is no door: ajar"));
    let contact = "path = \"v\"\nquantity = \"door\"\nopen = [false, \"B\"]\nclosed = [true]";
    check(contact, json!({"v": false}), Ok(&door(DoorState::Open)));
    check(contact, json!({"v": "b"}), Ok(&door(DoorState::Open)));
    check(contact, json!({"v": true}), Ok(&door(DoorState::Closed)));
    check(contact, json!({"v": 1}), Err("no door"));
    check("path = \"v\"\nquantity = \"leak\"", json!({"v": "Leak"}), Ok(&[Quantity::Leak(true)]));
    check(
        "path = \"v\"\nquantity = \"leak\"\nwet = [2]\ndry = [0, 1]",
        json!({"v": 1}),
        Ok(&[Quantity::Leak(false)]),
    );
}

#[test]
fn a_log_has_times_of_its_own() {
    let entry =
        "path = \"log[].t\"\ntime = \"at\"\nprobe = \"external\"\nquantity = \"temperature\"\nunit = \"C\"";
    let text = format!("{HEAD}measuring = \"external\"\n[[map]]\n{entry}");
    let manifest = Manifest::parse("maker", &text).unwrap();
    let data = json!({"log": [
        {"at": 1_790_000_000, "t": 4.0}, {"at": 1_790_000_060_000_i64, "t": "4.1"}, {"at": "2026-09-21T14:15:20.000Z", "t": 4.2},
        {"at": "1790000180", "t": 327.67}, {"at": "yesterday", "t": 9}, {"t": 9}, {"at": -5, "t": 9}, {"at": 1_790_000_240}
    ]});
    let got: Vec<(i64, Quantity)> = normalise::measurements(&manifest, &data)
        .unwrap()
        .into_iter()
        .map(|one| {
            assert_eq!(one.probe, Probe::EXTERNAL);
            (one.at.unwrap().0 / 1_000 - 1_790_000_000, one.quantity)
        })
        .collect();
    assert_eq!(got, [(0, t(400)), (60, t(410)), (120, t(420)), (180, Quantity::Fault(Fault::Disconnected))]);
    let many: Vec<Value> = (0..300).map(|at| json!({"at": 1_790_000_000 + at, "t": 4})).collect();
    let error = normalise::measurements(&manifest, &json!({ "log": many })).unwrap_err();
    assert!(error.to_string().contains("over 256 values"));
}

#[test]
fn a_script_is_a_model_like_any_other() {
    let source = "function Decoder(bytes, port) { return {TempC_DS: (bytes[0] << 8 | bytes[1]) / 100, BatV: bytes[2] / 10}; }";
    let manifest = "model = \"Acme/Cold-1\"\nports = [2, 3]\ncheck_in_s = 900\nmeasuring = \"external\"
        [[map]]\npath = \"TempC_DS\"\nprobe = \"external\"\nquantity = \"temperature\"\nunit = \"C\"
        [[map]]\npath = \"BatV\"\nquantity = \"battery\"\nunit = \"V\"";
    let codecs = Codecs::with(vec![Script::new("cold", source, manifest).unwrap()]);
    let model = codecs.find("ACME/cold-1").unwrap();
    assert_eq!((model.name, model.ports, model.check_in_s), ("acme/cold-1", &[2, 3][..], 900));
    assert_eq!((model.measuring, model.quantities), (Probe::EXTERNAL, &["temperature", "battery"][..]));
    assert!(model.is_script() && !codecs.find("dragino/lht65n").unwrap().is_script());
    let clock = still();
    let decode =
        |port| codecs.decode("acme/cold-1", port, &[1, 0x90, 36], None, &mut |call| run(call, &clock));
    let external = Measurement { probe: Probe::EXTERNAL, quantity: t(400), at: None };
    let battery =
        Measurement { probe: Probe::INTERNAL, quantity: Quantity::BatteryMillivolts(3_600), at: None };
    assert_eq!(decode(2).unwrap().measurements, [external, battery]);
    assert_eq!(decode(0).unwrap().measurements.len(), 2);
    // `Decoder` would decode any port.
    assert_eq!(decode(5).unwrap_err().to_string(), "acme/cold-1 sends nothing on port 5");
}

#[test]
fn a_wrong_toml_names_its_line() {
    let map = "[[map]]\npath = \"t\"\nquantity = \"temperature\"\nunit = \"C\"\n";
    let with = |more: &str| format!("ports = [2]\ncheck_in_s = 600\n{map}[[map]]\npath = \"x\"\n{more}");
    for (text, want) in [
        (String::new(), "maker.toml line 1: missing field `ports`"),
        ("ports = [2]\ncheck_in_s = \"x\"\n".into(), "maker.toml line 2: invalid type"),
        (format!("ports = []\ncheck_in_s = 600\n{map}"), "must list the LoRaWAN ports"),
        (format!("ports = [224]\ncheck_in_s = 600\n{map}"), "must list the LoRaWAN ports"),
        (format!("ports = [2]\ncheck_in_s = 5\n{map}"), "check_in_s must be 10 to 604800"),
        (
            format!("model = \"dragino/lht65n\"\nports = [2]\ncheck_in_s = 600\n{map}"),
            "decoded by the hub itself",
        ),
        (format!("model = \"a b/c\"\nports = [2]\ncheck_in_s = 600\n{map}"), "no vendor/model"),
        (
            format!("measuring = \"external\"\nports = [2]\ncheck_in_s = 600\n{map}"),
            "no [[map]] is of that probe",
        ),
        (format!("measuring = \"x\"\nports = [2]\ncheck_in_s = 600\n{map}"), "probe \"x\" is not known"),
        (with("quantity = \"pressure\""), "line 7: quantity \"pressure\" is not known"),
        (with("quantity = \"temperature\""), "line 7: a temperature needs its unit"),
        (with("quantity = \"temperature\"\nunit = \"R\""), "C, F or K"),
        (with("quantity = \"battery\""), "%, mV or V"),
        (with("quantity = \"door\"\nopen = [1]"), "both states"),
        (with("quantity = \"door\"\nwet = [1]\ndry = [0]"), "belong to a leak"),
        (with("quantity = \"door\"\nopen = [1.5]\nclosed = [0]"), "1.5 is neither"),
        (with("quantity = \"humidity\"\ntime = \"at\""), "a path through a list"),
        (with("quantity = \"humidity\"\nprobes = \"1\""), "unknown field `probes`"),
    ] {
        let error = Manifest::parse("maker", &text).unwrap_err();
        assert!(error.starts_with("maker.toml") && error.contains(want), "{error} has no {want}");
    }
}
