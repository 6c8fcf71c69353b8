//! What is encoded is what the decoders understand.

use proptest::prelude::*;

use super::*;
use crate::codec::{self, Codecs};
use crate::config::MqttKind;
use crate::demo::kitchen;
use crate::domain::{CentiCelsius, MonoMs};
use crate::frame::Payload;
use crate::framing::{Decoder, Item, Message, Preset};
use crate::source::shapes;

fn of(probe: Probe, quantity: Quantity) -> Measurement {
    Measurement { probe, quantity, at: None }
}

fn celsius(probe: Probe, hundredths: i32) -> Measurement {
    of(probe, Quantity::Temperature(CentiCelsius(hundredths)))
}

/// What a model says and is understood to say, in any order.
#[track_caller]
fn check(model: &str, values: &[Measurement]) {
    let (f_port, payload) = encode(model, values).unwrap();
    let decoded = codec::decode(model, f_port, &payload, None).unwrap();
    for value in values {
        assert!(decoded.contains(value), "{model}: {value:?} not in {decoded:?}");
    }
    let own = decoded.len() - values.len();
    let is_battery = |value: &&Measurement| matches!(value.quantity, Quantity::BatteryMillivolts(_));
    assert!(own == 0 || decoded.iter().find(is_battery).is_some(), "{model}: {decoded:?}");
}

fn door(state: DoorState) -> Measurement {
    of(Probe::INTERNAL, Quantity::Door(state))
}

#[test]
fn models_say_what_is_understood() {
    let humidity = of(Probe::INTERNAL, Quantity::Humidity(5_600));
    let percent = of(Probe::INTERNAL, Quantity::BatteryPercent(87));
    let millivolts = of(Probe::INTERNAL, Quantity::BatteryMillivolts(2_900));
    let inside = Probe::INTERNAL;
    for state in [DoorState::Open, DoorState::Closed] {
        check("dragino/lds02", &[door(state), millivolts.clone()]);
        check("netvox/r311a", &[door(state), millivolts.clone()]);
        check("milesight/ws301", &[door(state), percent.clone()]);
        check("milesight/em300-mcs", &[celsius(inside, -50), humidity.clone(), door(state)]);
    }
    check("milesight/em300-th", &[celsius(inside, -1_830), humidity.clone(), percent.clone()]);
    check("milesight/em500-pt100", &[celsius(Probe::EXTERNAL, -2_470), percent]);
    check("elsys/ers", &[celsius(inside, -10), humidity.clone(), millivolts.clone()]);
    for model in ["dragino/lht65", "dragino/lht65n"] {
        let built_in = celsius(inside, 2_215);
        check(model, &[built_in.clone(), humidity.clone(), celsius(Probe::EXTERNAL, -1_825)]);
        for fault in [Fault::Disconnected, Fault::PowerOnValue, Fault::OutOfRange] {
            let fault = of(Probe::EXTERNAL, Quantity::Fault(fault));
            check(model, &[built_in.clone(), humidity.clone(), fault, millivolts.clone()]);
        }
    }
}

#[test]
fn what_cannot_be_said_is_an_error() {
    assert_eq!(encode("acme/x", &[]), Err(EncodeError::UnknownModel("acme/x".to_owned())));
    let error = encode("dragino/lht65n", &[]).unwrap_err();
    assert_eq!(error.to_string(), "a dragino/lht65n always sends its temperature");
}

#[test]
fn histories_keep_their_time() {
    let at = UnixMs(1_700_000_000_000);
    let values = [
        celsius(Probe::INTERNAL, 450),
        celsius(Probe::EXTERNAL, -1_800),
        of(Probe::INTERNAL, Quantity::Humidity(5_000)),
    ];
    for model in ["milesight/em300-th", "milesight/em500-pt100", "dragino/lht65", "dragino/lht65n"] {
        let (f_port, payload) = encode_history(model, at, &values).unwrap();
        let decoded = codec::decode(model, f_port, &payload, None).unwrap();
        assert!(!decoded.is_empty() && decoded.iter().all(|value| value.at == Some(at)), "{model}");
        let measuring = codec::find(model).unwrap().measuring;
        let temperature = Quantity::Temperature(CentiCelsius(-1_800));
        assert!(decoded.iter().any(|value| value.probe == measuring && value.quantity == temperature));
    }
}

/// Every unit of the kitchen is heard on the probe that is assigned to it.
#[test]
fn the_kitchen_is_understood() {
    for unit in &kitchen::UNITS {
        for minute in 0..kitchen::STORY_MINUTES {
            let Some(values) = unit.message(1, minute) else { continue };
            let (f_port, payload) = encode(unit.model, &values).unwrap();
            let decoded = codec::decode(unit.model, f_port, &payload, None).unwrap();
            let is_reading = |value: &Measurement| {
                value.probe == unit.probe
                    && matches!(value.quantity, Quantity::Temperature(_) | Quantity::Fault(_))
            };
            assert!(decoded.iter().any(is_reading), "{} {minute}: {decoded:?}", unit.name);
            assert_eq!(codec::find(unit.model).unwrap().measuring, unit.probe, "{}", unit.name);
        }
    }
}

#[track_caller]
fn hear(preset: Preset, line: &[u8]) -> Message {
    let mut decoder = Decoder::new(preset);
    decoder.push(line);
    match (decoder.next(), decoder.next()) {
        (Some(Item::Message(message)), None) => message,
        other => panic!("{other:?} of {}", line.escape_ascii()),
    }
}

#[test]
fn lines_say_what_is_understood() {
    let values = [
        celsius(Probe::INTERNAL, -1_820),
        of(Probe::INTERNAL, Quantity::Humidity(5_600)),
        of(Probe::INTERNAL, Quantity::BatteryPercent(87)),
        door(DoorState::Open),
    ];
    let (_, payload) = encode("milesight/em300-mcs", &values).unwrap();

    let heard = hear(Preset::Reyax, &reyax_line(9, &payload, -70));
    assert_eq!((heard.address.as_str(), heard.rssi, heard.payload.bytes()), ("9", Some(-70), &payload[..]));
    let heard = hear(Preset::Rak, rak_line(&payload, -71).as_bytes());
    assert_eq!((heard.address.as_str(), heard.rssi, heard.payload.bytes()), ("p2p", Some(-71), &payload[..]));

    let heard = hear(Preset::Json, json_line("fridge-1", 7, &values).as_bytes());
    assert_eq!((heard.address.as_str(), heard.counter), ("fridge-1", Some(7)));
    let Payload::Values { measurements, .. } = heard.payload else { panic!("values") };
    assert!(values.iter().all(|value| measurements.contains(value)), "{measurements:?}");

    let heard = hear(Preset::Rflink, rflink_line(5, "Oregon TempHygro", "2A", &values).as_bytes());
    assert_eq!(heard.address, "Oregon TempHygro/2A");
    let Payload::Values { measurements, .. } = heard.payload else { panic!("values") };
    assert_eq!(measurements, values[..2]);

    let time = UnixMs(1_700_000_000_123);
    let uplink =
        Uplink { eui: "24E124F000000002", f_port: 85, counter: 7, payload: &payload, rssi: -60, time };
    let (topic, message) = chirpstack_v4(&uplink);
    let frame = shapes::frame_of(
        MqttKind::ChirpstackV4,
        "b",
        &topic,
        message.as_bytes(),
        MonoMs(1),
        &Codecs::default(),
    )
    .unwrap();
    assert_eq!((frame.sender.address.as_str(), frame.network_time), ("24E124F000000002", Some(time)));
    assert_eq!((frame.rssi, frame.identity.counter), (Some(-60), Some(7)));
    assert_eq!(frame.payload, Payload::Binary { f_port: 85, bytes: payload });
}

proptest! {
    #[test]
    fn temperatures_come_back_in_the_devices_resolution(
        hundredths in -6_000..=15_000i32,
        humidity in 0..=10_000i32,
    ) {
        for (model, step) in [("dragino/lht65n", 1), ("milesight/em500-pt100", 10), ("elsys/ers", 10)] {
            let values = [
                celsius(Probe::INTERNAL, hundredths),
                celsius(Probe::EXTERNAL, hundredths),
                of(Probe::INTERNAL, Quantity::Humidity(humidity)),
            ];
            let (f_port, payload) = encode(model, &values).unwrap();
            for value in codec::decode(model, f_port, &payload, None).unwrap() {
                match value.quantity {
                    Quantity::Temperature(value) => prop_assert!((value.0 - hundredths).abs() * 2 <= step),
                    Quantity::Humidity(value) => prop_assert!((value - humidity).abs() <= 50),
                    Quantity::Fault(Fault::PowerOnValue) => prop_assert!((8_495..8_505).contains(&hundredths)),
                    // A Pt100's sentinels look like -0.1 and -0.3 °C.
                    Quantity::Fault(fault) => prop_assert!(
                        model == "milesight/em500-pt100"
                            && (fault == Fault::Reported && (-15..=-5).contains(&hundredths)
                                || fault == Fault::OutOfRange && (-35..=-25).contains(&hundredths)),
                        "{model}: {fault:?}"
                    ),
                    _ => {}
                }
            }
        }
    }
}
