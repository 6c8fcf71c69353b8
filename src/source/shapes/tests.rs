//! Messages as the publishers document them, with fields left out, and garbage.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::codec::script::Script;
use crate::codec::{DoorState, Quantity};
use crate::config::MqttKind::{ChirpstackV3, ChirpstackV4, TtnV3, Zigbee2mqtt};

const V4_UP: &str = "application/17c82e96-be03-4f38-aef3-f83d48582d97/device/0101010101010101/event/up";
const V4_STATUS: &str =
    "application/17c82e96-be03-4f38-aef3-f83d48582d97/device/0101010101010101/event/status";
const TTN_UP: &str = "v3/app1@tenant/devices/dev1/up";

fn frame(kind: MqttKind, topic: &str, message: &Value) -> Result<Frame, String> {
    frame_of(kind, "broker", topic, message.to_string().as_bytes(), MonoMs(17), &Codecs::default())
}

/// Everything a frame says in one line.
fn render(frame: &Frame) -> String {
    let mut words = vec![frame.sender.address.clone()];
    words.extend(frame.sender.is_eui.then(|| "eui".to_owned()));
    words.extend(frame.model.clone());
    words.extend(frame.network_time.map(|time| format!("at {}", time.0)));
    words.extend(frame.rssi.map(|rssi| format!("{rssi} dBm")));
    words.extend(frame.identity.dev_addr.clone());
    words.extend(frame.identity.counter.map(|counter| format!("#{counter}")));
    words.extend(frame.identity.deduplication_id.clone());
    match &frame.payload {
        Payload::Binary { f_port, bytes } => words.push(format!("port {f_port} {bytes:02x?}")),
        Payload::Raw { reason, .. } => words.push(reason.clone()),
        Payload::Values { measurements, .. } => {
            words.extend(measurements.iter().map(|one| match one.quantity {
                Quantity::Temperature(value) => format!("{:.2} C", f64::from(value.0) / 100.0),
                Quantity::Humidity(value) => format!("{:.2} %", f64::from(value) / 100.0),
                Quantity::BatteryPercent(value) => format!("battery {value} %"),
                Quantity::Door(DoorState::Open) => "open".to_owned(),
                Quantity::Door(DoorState::Closed) => "closed".to_owned(),
                Quantity::Leak(found) => format!("leak {found}"),
                Quantity::Fault(fault) => fault.as_str().to_owned(),
                ref other => format!("{other:?}"),
            }));
        }
    }
    words.join(" ")
}

#[track_caller]
fn check(kind: MqttKind, topic: &str, message: &Value, expected: &str) {
    match frame(kind, topic, message) {
        Ok(frame) => {
            assert_eq!(frame.sender.source, Source::Mqtt);
            assert_eq!((frame.sender.port.as_str(), frame.at, frame.ack), ("broker", MonoMs(17), None));
            assert_eq!(render(&frame), expected);
        }
        Err(reason) => assert_eq!(format!("refused: {reason}"), expected),
    }
}

fn v4() -> Value {
    json!({"deduplicationId":"3ac7e3c4-4401-4b8d-9386-a5c902f9202d","time":"2022-07-18T09:34:15.775023242+00:00",
        "deviceInfo":{"tenantName":"t","applicationId":"17c82e96-be03-4f38-aef3-f83d48582d97","deviceProfileName":"p",
            "deviceName":"Fridge 1","devEui":"0101010101010101","tags":{"key":"value"}},
        "devAddr":"00189440","adr":true,"dr":1,"fCnt":4,"fPort":1,"confirmed":false,"data":"qg==","object":{"temperature":4.1},
        "rxInfo":[{"gatewayId":"0016c001f153a14c","rssi":-36,"snr":10.5},{"gatewayId":"0016c001f153a14d","rssi":-90},{"crcStatus":"CRC_OK"}],
        "txInfo":{"frequency":867100000,"modulation":{"lora":{"bandwidth":125000}}},"regionConfigId":"eu868"})
}

/// `message` with the member at `pointer` replaced; null removes it.
fn with(mut message: Value, pointer: &str, value: &Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    let parent = message.pointer_mut(parent).expect("a member").as_object_mut().expect("an object");
    if value.is_null() {
        parent.remove(key);
    } else {
        parent.insert(key.to_owned(), value.clone());
    }
    message
}

#[test]
fn chirpstack_v4() {
    let check = |message: &Value, expected: &str| check(ChirpstackV4, V4_UP, message, expected);
    check(
        &v4(),
        "0101010101010101 eui at 1658136855775 -36 dBm 00189440 #4 3ac7e3c4-4401-4b8d-9386-a5c902f9202d port 1 [aa]",
    );
    check(&json!({"data":"qg"}), "0101010101010101 eui port 0 [aa]");
    check(&json!({"data":"-_8","fPort":"85"}), "0101010101010101 eui port 85 [fb, ff]");
    check(
        &json!({"deviceInfo":{"devEui":"a84041ffff1834b2","deviceProfileName":"Dragino/LHT65N"},"data":"qg=="}),
        "A84041FFFF1834B2 eui dragino/lht65n port 0 [aa]",
    );
    check(
        &json!({"deviceInfo":{"devEui":"a84041ffff1834b2","tags":{"model":"elsys/ers"}},"data":"qg==","time":"yesterday","fCnt":-1}),
        "A84041FFFF1834B2 eui elsys/ers port 0 [aa]",
    );
    check(&with(v4(), "/data", &Value::Null), "refused: an uplink without data");
    check(&with(v4(), "/data", &json!("")), "refused: an uplink without data");
    check(&with(v4(), "/data", &json!("%%")), "refused: data that are no base64 of a LoRaWAN payload");
    check(&with(v4(), "/fPort", &json!(256)), "refused: 256 is no LoRaWAN port");
    check(
        &with(v4(), "/deviceInfo/devEui", &json!("xyz")),
        "refused: neither deviceInfo.devEui nor the topic holds an EUI",
    );
    let topic = "application/a/device/nothing/event/up";
    assert!(frame(ChirpstackV4, topic, &json!({"data":"qg=="})).is_err());
}

#[test]
fn chirpstack_events() {
    for event in ["join", "ack", "txack", "log", "location", "integration"] {
        let topic = V4_UP.replace("/up", &format!("/{event}"));
        check(ChirpstackV4, &topic, &v4(), &format!("refused: a ChirpStack {event:?} event is no reading"));
    }
    let status = json!({"deviceInfo":{"devEui":"0101010101010101"},"margin":10,"externalPowerSource":false,
        "batteryLevelUnavailable":false,"batteryLevel":88.3,"time":"2022-07-18T09:34:15Z"});
    check(ChirpstackV4, V4_STATUS, &status, "0101010101010101 eui at 1658136855000 battery 88 %");
    check(ChirpstackV4, V4_STATUS, &json!({"batteryLevel":100}), "0101010101010101 eui battery 100 %");
    for (key, value) in [
        ("/batteryLevelUnavailable", json!(true)),
        ("/externalPowerSource", json!(true)),
        ("/batteryLevel", Value::Null),
        ("/batteryLevel", json!(101)),
    ] {
        let message = with(status.clone(), key, &value);
        check(ChirpstackV4, V4_STATUS, &message, "refused: a status without a battery level");
    }
}

#[test]
fn chirpstack_v3() {
    let check = |topic: &str, message: &Value, expected: &str| check(ChirpstackV3, topic, message, expected);
    let base64 = json!({"applicationID":"1","applicationName":"app","deviceName":"Fridge 1","devEUI":"qEBB//8YNLI=","devAddr":"ABiUQA==",
        "rxInfo":[{"gatewayID":"ABbAAfFToUw=","time":"2021-05-01T10:00:00.123456789Z","rssi":-57,"loRaSNR":10}],
        "txInfo":{"frequency":868100000},"adr":true,"dr":5,"fCnt":10,"fPort":2,"data":"y/YLDQN2AQrdf/8=","objectJSON":"{}",
        "publishedAt":"2021-05-01T10:00:01Z"});
    let expected = "A84041FFFF1834B2 eui at 1619863200123 -57 dBm 00189440 #10 port 2 [cb, f6, 0b, 0d, 03, 76, 01, 0a, dd, 7f, ff]";
    check("application/1/device/a84041ffff1834b2/event/up", &base64, expected);
    check("application/1/device/a84041ffff1834b2/rx", &base64, expected);
    let hex = with(with(base64, "/devEUI", &json!("a84041ffff1834b2")), "/devAddr", &json!("00189440"));
    check("application/1/device/a84041ffff1834b2/event/up", &hex, expected);
    let no_gnss = with(hex, "/rxInfo", &json!([{"rssi":-57,"time":null}]));
    check(
        "application/1/device/a84041ffff1834b2/event/up",
        &no_gnss,
        &expected.replace("1619863200123", "1619863201000"),
    );
    check(
        "application/1/device/a84041ffff1834b2/event/up",
        &json!({"data":"qg"}),
        "A84041FFFF1834B2 eui port 0 [aa]",
    );
    check(
        "application/1/device/a84041ffff1834b2/event/status",
        &json!({"devEUI":"qEBB//8YNLI","batteryLevel":74.02}),
        "A84041FFFF1834B2 eui battery 74 %",
    );
    check(
        "application/1/device/x/event/up",
        &json!({"devEUI":"qEBB","data":"qg=="}),
        "refused: neither devEUI nor the topic holds an EUI",
    );
}

#[test]
fn the_things_stack() {
    let check = |topic: &str, message: &Value, expected: &str| check(TtnV3, topic, message, expected);
    let message = json!({"end_device_ids":{"device_id":"dev1","application_ids":{"application_id":"app1"},"dev_eui":"0004A30B001C0530",
            "join_eui":"800000000000000C","dev_addr":"00BCB929"},
        "correlation_ids":["as:up:01E0"],"received_at":"2020-02-12T15:15:46.014773143Z",
        "uplink_message":{"session_key_id":"AXA50","f_cnt":1,"f_port":1,"frm_payload":"gkHe","decoded_payload":{"temperature":1.0},
            "rx_metadata":[{"gateway_ids":{"gateway_id":"gtw1"},"rssi":-35,"snr":5},{"rssi":-20}],
            "version_ids":{"brand_id":"dragino","model_id":"lht65n"},
            "settings":{"frequency":"868300000"},"received_at":"2020-02-12T15:15:45.9Z","consumed_airtime":"0.056576s"}});
    let expected =
        "0004A30B001C0530 eui dragino/lht65n at 1581520545900 -20 dBm 00BCB929 #1 port 1 [82, 41, de]";
    check(TTN_UP, &message, expected);
    let outer = with(message.clone(), "/uplink_message/received_at", &Value::Null);
    check(TTN_UP, &outer, &expected.replace("1581520545900", "1581520546014"));
    // Zero is left out.
    check(
        TTN_UP,
        &json!({"end_device_ids":{"dev_eui":"0004a30b001c0530"},"uplink_message":{"frm_payload":"gkHe"}}),
        "0004A30B001C0530 eui port 0 [82, 41, de]",
    );
    check(
        TTN_UP,
        &with(message.clone(), "/uplink_message/frm_payload", &Value::Null),
        "refused: an uplink without data",
    );
    check(
        TTN_UP,
        &with(message.clone(), "/simulated", &json!(true)),
        "refused: a simulated uplink is no reading",
    );
    check(
        TTN_UP,
        &with(message.clone(), "/end_device_ids/dev_eui", &Value::Null),
        "refused: end_device_ids.dev_eui is no EUI",
    );
    check(TTN_UP, &json!({}), "refused: end_device_ids.dev_eui is no EUI");
    for event in ["join", "down/queued", "down/sent", "down/ack", "down/failed"] {
        let topic = TTN_UP.replace("/up", &format!("/{event}"));
        check(&topic, &message, &format!("refused: a {event:?} message of The Things Stack is no reading"));
    }
}

#[test]
fn zigbee() {
    let check = |topic: &str, message: &Value, expected: &str| check(Zigbee2mqtt, topic, message, expected);
    check("zigbee2mqtt/Fridge", &json!({"temperature":27.34,"humidity":44.72}), "Fridge 27.34 C 44.72 %");
    check(
        "zigbee2mqtt/kitchen/fridge 1",
        &json!({"temperature":22.75,"linkquality":97,"humidity":55.43,"pressure":1000.6,"battery":86,"voltage":2925}),
        "kitchen/fridge 1 22.75 C 55.43 % battery 86 %",
    );
    check("zigbee2mqtt/Freezer", &json!({"temperature":-18.555}), "Freezer -18.56 C");
    // The contact is made when the door is closed.
    check("zigbee2mqtt/door", &json!({"contact":true,"linkquality":128}), "door closed");
    check("zigbee2mqtt/door", &json!({"contact":false}), "door open");
    check("zigbee2mqtt/leak", &json!({"water_leak":false}), "leak leak false");
    check("zigbee2mqtt/a", &json!({"battery":12.5}), "a battery 13 %");
    // Not told yet, impossible, of the wrong kind.
    check("zigbee2mqtt/a", &json!({"temperature":null,"humidity":50}), "a 50.00 %");
    check("zigbee2mqtt/a", &json!({"temperature":327.67,"humidity":255}), "a out_of_range humidity");
    check(
        "zigbee2mqtt/a",
        &json!({"temperature":"4.2","contact":"yes"}),
        "refused: a device's state without temperature, humidity, contact, leak or battery",
    );
    check(
        "zigbee2mqtt/a",
        &json!({"temperature":4,"last_seen":"2024-01-01T00:00:00+01:00"}),
        "a at 1704063600000 4.00 C",
    );
    check(
        "zigbee2mqtt/a",
        &json!({"temperature":4,"last_seen":1704063600123i64}),
        "a at 1704063600123 4.00 C",
    );
    let state = json!({"state":"online","temperature":4});
    check("zigbee2mqtt/kitchen/fridge/availability", &state, "refused: availability is no reading");
    check("zigbee2mqtt/kitchen/fridge/set", &state, "refused: set is no reading");
    check("zigbee2mqtt/bridge/state", &state, "refused: the bridge about itself is no reading");
    check("zigbee2mqtt", &state, "refused: the topic names no device");
    check("zigbee2mqtt/", &state, "refused: the topic names no device");
    let long = format!("zigbee2mqtt/{}", "x".repeat(257));
    check(&long, &state, "refused: a name of more than 256 characters");
}

#[test]
fn garbage_is_refused_with_a_reason() {
    let large = vec![b' '; PAYLOAD_BYTES_MAX + 1];
    for (payload, expected) in [
        (&b""[..], "no JSON: EOF while parsing a value at line 1 column 0"),
        (b"online", "no JSON: expected value at line 1 column 1"),
        (b"[1]", "JSON, but no object"),
        (b"\xff\xfe", "no JSON: expected value at line 1 column 1"),
        (&[b'['; 10_000], "no JSON: recursion limit exceeded at line 1 column 128"),
        (&large, "65537 bytes are no sensor's message"),
    ] {
        for (kind, topic) in
            [(ChirpstackV4, V4_UP), (ChirpstackV3, V4_UP), (TtnV3, TTN_UP), (Zigbee2mqtt, "zigbee2mqtt/a")]
        {
            let refusal =
                frame_of(kind, "broker", topic, payload, MonoMs(0), &Codecs::default()).unwrap_err();
            assert_eq!(refusal, expected);
        }
    }
}

/// Any JSON, with the keys that are looked for.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-zA-Z0-9+/=-]{0,20}".prop_map(Value::from),
        Just(Value::from("0101010101010101")),
        Just(Value::from("2022-07-18T09:34:15.775023242+00:00")),
    ];
    let keys: &'static [&'static str] = &[
        "deviceInfo",
        "devEui",
        "devEUI",
        "data",
        "fPort",
        "fCnt",
        "rxInfo",
        "rssi",
        "time",
        "devAddr",
        "batteryLevel",
        "end_device_ids",
        "dev_eui",
        "uplink_message",
        "frm_payload",
        "f_port",
        "rx_metadata",
        "received_at",
        "temperature",
        "humidity",
        "contact",
        "battery",
        "last_seen",
        "tags",
    ];
    leaf.prop_recursive(3, 32, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(keys).prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_message_panics(
        message in any_json(),
        topic in prop_oneof![Just(V4_UP), Just(V4_STATUS), Just(TTN_UP), Just("zigbee2mqtt/a"), Just("a"), Just("")],
    ) {
        for kind in [ChirpstackV4, ChirpstackV3, TtnV3, Zigbee2mqtt] {
            if let Ok(frame) = frame(kind, topic, &message) {
                prop_assert!(!frame.sender.is_eui || eui(&frame.sender.address).as_deref() == Some(&frame.sender.address));
            }
        }
    }
}

#[test]
fn a_users_script_is_a_model_that_network_servers_may_name() {
    let manifest =
        "ports = [2]\ncheck_in_s = 60\n[[map]]\npath = \"t\"\nquantity = \"temperature\"\nunit = \"C\"";
    let codecs = Codecs::with(vec![Script::new("logger", "", manifest).unwrap()]);
    let eui = "0101010101010101";
    let v4 = |profile: &str, tag: Option<&str>| json!({"deviceInfo":{"devEui":eui,"deviceProfileName":profile,"tags":{"model":tag}},"data":"qg==","fPort":2});
    let v3 = json!({"devEUI":eui,"deviceProfileName":"custom/logger","data":"qg==","fPort":2});
    let ttn = json!({"end_device_ids":{"dev_eui":eui},"uplink_message":{"frm_payload":"qg==","f_port":2,
        "version_ids":{"brand_id":"custom","model_id":"logger"}}});
    let none = Codecs::default();
    for (codecs, kind, topic, message, want) in [
        (&codecs, ChirpstackV4, V4_UP, v4("Custom/Logger", None), Some("custom/logger")),
        (&codecs, ChirpstackV4, V4_UP, v4("elsys/ers", Some("custom/logger")), Some("custom/logger")),
        (&codecs, ChirpstackV4, V4_UP, v4("elsys/ers", Some("custom/other")), Some("elsys/ers")),
        (&none, ChirpstackV4, V4_UP, v4("custom/logger", None), None),
        (&codecs, ChirpstackV3, "application/1/device/0101010101010101/event/up", v3, Some("custom/logger")),
        (&codecs, TtnV3, TTN_UP, ttn, Some("custom/logger")),
    ] {
        let frame = frame_of(kind, "b", topic, message.to_string().as_bytes(), MonoMs(0), codecs).unwrap();
        assert_eq!(frame.model.as_deref(), want, "{message}");
    }
}
