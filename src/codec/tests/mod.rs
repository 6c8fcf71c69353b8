//! Frames out of the makers' documents, and what must never happen with any other.

mod advertisement;
mod browan_laird;
mod decentlab;
mod dragino;
mod dragino_lht65;
mod elsys;
mod milesight;
mod netvox;
mod others;
mod tektelic;

use std::fmt::Write;

use proptest::prelude::*;

use super::*;

/// One line a measurement: probe, what, value, and "@" with the Unix seconds inside the frame.
fn render(measurements: &[Measurement]) -> String {
    let mut text = String::new();
    for Measurement { probe, quantity, at } in measurements {
        let separator = if text.is_empty() { "" } else { ", " };
        let of = if *probe == Probe::INTERNAL { String::new() } else { format!("{probe} ") };
        let value = match quantity {
            Quantity::Temperature(value) => format!("{probe} {:.2} C", f64::from(value.0) / 100.0),
            Quantity::Humidity(value) => format!("{probe} {:.1} %", f64::from(*value) / 100.0),
            Quantity::BatteryPercent(value) => format!("battery {value} %"),
            Quantity::BatteryMillivolts(value) => format!("battery {value} mV"),
            Quantity::Door(DoorState::Open) => format!("{of}open"),
            Quantity::Door(DoorState::Closed) => format!("{of}closed"),
            Quantity::Leak(found) => format!("{of}leak {found}"),
            Quantity::Rssi(value) => format!("rssi {value}"),
            Quantity::Fault(fault) => format!("{probe} fault {}", fault.as_str()),
        };
        write!(text, "{separator}{value}").unwrap();
        if let Some(at) = at {
            assert_eq!(at.0 % 1_000, 0);
            write!(text, " @{}", at.0 / 1_000).unwrap();
        }
    }
    text
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| *byte != b' ').collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Checks what a frame says, and that what is left of it when it is cut anywhere is an error or says no more than that.
#[track_caller]
fn check(model: &str, f_port: u8, hex: &str, expected: &str) {
    let frame = bytes(hex);
    let whole = decode(model, f_port, &frame, None);
    let got = match &whole {
        Ok(measurements) => render(measurements),
        Err(error) => format!("error: {error}"),
    };
    assert_eq!(got, expected, "{model} port {f_port} {hex}");
    for length in 0..frame.len() {
        if let Ok(part) = decode(model, f_port, &frame[..length], None) {
            assert_sound(&part);
            if let Ok(whole) = &whole {
                assert!(part.len() <= whole.len(), "{model} port {f_port} {hex} cut to {length}: {part:?}");
            }
        }
    }
}

#[test]
fn unknown_model_says_where_to_look() {
    check(
        "acme/fridge",
        1,
        "00",
        "error: no codec for model acme/fridge; `devices models` lists the known ones",
    );
}

#[test]
fn models_are_sorted_and_found() {
    let names: Vec<&str> = models().iter().map(|model| model.name).collect();
    assert!(names.is_sorted_by(|a, b| a < b));
    assert_eq!(names.len(), 103);
    for model in models() {
        assert!(std::ptr::eq(find(&model.name.to_ascii_uppercase()).unwrap(), model));
        assert!(model.check_in_s >= 60 && !model.quantities.is_empty(), "{}", model.name);
        for quantity in model.quantities {
            let known = ["temperature", "humidity", "door", "leak", "battery"];
            assert!(known.contains(quantity), "{} measures {quantity}", model.name);
        }
    }
}

/// Every value a decoder gives is one the rest of the hub can store.
fn assert_sound(measurements: &[Measurement]) {
    for measurement in measurements {
        match measurement.quantity {
            Quantity::Temperature(value) => assert!((-6_000..=15_000).contains(&value.0)),
            Quantity::Humidity(value) => assert!((0..=10_000).contains(&value)),
            Quantity::BatteryPercent(value) => assert!(value <= 100),
            _ => {}
        }
        assert!(measurement.at.is_none_or(|at| at.0 >= 0));
    }
}

/// Frames of every model that measures temperature, below zero on its measuring probe.
const FROST: &[(&[&str], &str)] = &[
    (&["adeunis/comfort"], "4C00 FF4C 50"),
    (&["adeunis/temp-4"], "5700 FF4C"),
    (&["browan/merryiot-cd10"], "00 0F EE 20 0C02"),
    (&["browan/merryiot-dw10"], "00 0F EE 1C 0000 D22500"),
    (&["browan/tabs-tbhh100"], "08 0B 0E 2F FFFFFFFF"),
    (&["browan/tabs-tbhv110"], "61 0B 35 1E BF03 0100 5100 0E"),
    (&["browan/tabs-tbwl100"], "11 0B 36 28 0E"),
    (&["bthome/bthome"], "40 02F8F8"),
    (&["decentlab/dl-dlr2-008"], "02 07DF 0003 0000 008B 0C60"),
    (&["decentlab/dl-dlr2-009"], "02 4C62 0003 0000 00A9 0AE1"),
    (&["decentlab/dl-ds18"], "02 0001 0003 7EE0 0BB8"),
    (&["decentlab/dl-iam"], "02 0001 0003 0BB8 277F 7FFF"),
    (&["decentlab/dl-itst"], "02 0001 0003 0334 0334 0BB8"),
    (&["decentlab/dl-lp8p"], "02 0001 0009 2A08 7FFF 0BB8"),
    (&["decentlab/dl-pm"], "02 0001 0005 0BB8 2A08 7FFF"),
    (&["decentlab/dl-rhc"], "02 0001 0003 00000000 1388 78F8 0BB8"),
    (&["decentlab/dl-sht35"], "02 0001 0003 277F 7FFF 0BB8"),
    (
        &["decentlab/dl-tp"],
        "02 0001 0001 78F878F878F878F8 78F878F878F878F8 78F878F878F878F8 78F878F878F878F8",
    ),
    (
        &[
            "dragino/d20-lb",
            "dragino/d22-lb",
            "dragino/d23-lb",
            "dragino/lsn50v2-d20",
            "dragino/lsn50v2-d22",
            "dragino/lsn50v2-d23",
        ],
        "0CEA FF4C 0000 0C FF4C FF4C",
    ),
    (&["dragino/lht52"], "F8F8 0220 F8F8 01 60066009"),
    (&["dragino/lht65", "dragino/lht65n"], "CBB8 F8F8 01F4 01 F8F8 7FFF"),
    (&["dragino/lsn50v2-s31", "dragino/s31-lb", "dragino/s31b-lb"], "0CEA 60066009 00 FF4C 01F4"),
    (&["dragino/ltc2"], "0CEA 01 F8F8 F8F8 60066009"),
    (&["elsys/elsys", "elsys/ems", "elsys/ers", "elsys/ers-lite"], "01FF4C"),
    (&["elsys/elt-2", "elsys/elt-lite"], "0CFF4C"),
    (&["enless/600-031"], "00008A 07 07 01 FF4C 0000 0002 0000"),
    (&["enless/600-032"], "0000DC 0F 0A 01 FF4C 0000 0002 0000"),
    (&["enless/600-232"], "0000BD 0C 0A 01 FF4C FF4C 0001 000F"),
    (&["generic/cayenne-lpp"], "01 67 FF4C"),
    (&["govee/h5074"], "00 F8F8 9113 64 02"),
    (&["govee/h5075"], "00 82C0B0 5F 00"),
    (&["govee/h5179"], "EC000101 F8F8 A406 64"),
    (
        &["laird/rs1xx-ext-multi-sensor", "laird/rs1xx-ext-temp-1w-sensor", "laird/rs1xx-temp-rh-sensor"],
        "01 00 0032 E7EE 05 0000 0000",
    ),
    (&["laird/rs1xx-ext-temp-rtd-sensor"], "0B 00 FFE7 FFEE 05 0000 0000"),
    (&["mclimate/ht-sensor"], "01 00DC 73 F1 04 00"),
    (
        &[
            "milesight/am102",
            "milesight/am102l",
            "milesight/am103",
            "milesight/am103l",
            "milesight/am104",
            "milesight/am107",
            "milesight/em300-mcs",
            "milesight/em300-sld",
            "milesight/em300-sld-zld",
            "milesight/em300-th",
            "milesight/em300-zld",
            "milesight/em320-th",
            "milesight/em500-pt100",
            "milesight/ts101",
            "milesight/ts301",
            "milesight/ts302",
        ],
        "0367 4CFF",
    ),
    (&["netvox/r711"], "01 01 01 24 F8F8 1A9E 000000"),
    (&["netvox/r718a"], "01 0B 01 24 F8F8 1A9E 000000"),
    (&["netvox/r718ab"], "01 13 01 24 F8F8 1A9E 000000"),
    (&["netvox/r718b"], "01 95 01 24 FF4C FF4C 000000"),
    (&["netvox/r718b2"], "01 14 01 24 FF4C FF4C 000000"),
    (&["netvox/r718ce"], "01 94 01 24 FF4C FF4C 000000"),
    (&["netvox/r718cj"], "01 90 01 24 FF4C FF4C 000000"),
    (&["netvox/r718ck"], "01 91 01 24 FF4C FF4C 000000"),
    (&["netvox/r718ck2"], "01 16 01 24 FF4C FF4C 000000"),
    (&["netvox/r718cn"], "01 93 01 24 FF4C FF4C 000000"),
    (&["netvox/r718cn2"], "01 18 01 24 FF4C FF4C 000000"),
    (&["netvox/r718ct"], "01 92 01 24 FF4C FF4C 000000"),
    (&["netvox/r718ct2"], "01 17 01 24 FF4C FF4C 000000"),
    (&["ruuvi/ruuvitag"], "05 F1F0 5394C37C0004FFFC040CAC364200CDCBB8334C884F"),
    (&["tektelic/breeze", "tektelic/comfort", "tektelic/smart-room-sensor", "tektelic/tundra"], "03 67 FF4C"),
    (&["xiaomi/atc"], "A4C138112233 FF4C 3C 55 0B8F 2B"),
];

#[test]
fn every_model_measures_frost() {
    for model in models().iter().filter(|model| model.measures("temperature")) {
        let frame = FROST.iter().find(|(names, _)| names.contains(&model.name));
        let (_, hex) = frame.unwrap_or_else(|| panic!("no frame of {}", model.name));
        let got = decode(model.name, NO_PORT, &bytes(hex), None).unwrap();
        let is_frost = |value: &&Measurement| {
            value.probe == model.measuring
                && matches!(value.quantity, Quantity::Temperature(CentiCelsius(..0)))
        };
        assert!(got.iter().any(|value| is_frost(&value)), "{}: {}", model.name, render(&got));
        check(model.name, NO_PORT, hex, &render(&got));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic_or_lie(
        port in any::<u8>(),
        bytes in prop::collection::vec(any::<u8>(), 0..64),
        received in prop::option::of(any::<i64>()),
    ) {
        for model in models() {
            for port in [port].iter().chain(model.ports) {
                if let Ok(measurements) = decode(model.name, *port, &bytes, received.map(UnixMs)) {
                    assert_sound(&measurements);
                }
            }
        }
    }

    #[test]
    fn no_broken_frame_makes_a_decoder_panic_or_lie(
        frame in prop::sample::select(FROST),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        more in prop::collection::vec(any::<u8>(), 0..24),
    ) {
        let (names, hex) = frame;
        let mut bytes = bytes(hex);
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        bytes.extend(more);
        for name in names {
            let ports = find(name).unwrap().ports;
            for port in [NO_PORT].iter().chain(ports) {
                if let Ok(measurements) = decode(name, *port, &bytes, None) {
                    assert_sound(&measurements);
                }
            }
        }
    }
}
