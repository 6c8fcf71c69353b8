//! Sensors that join nowhere are paired by a frame that can be decoded; one that joins can be given another key.

use super::lorawan::{Air, GATEWAY, KEY};
use super::*;
use crate::lorawan::ids::Eui;
use crate::lorawan::tests::sensor::Sensor;

/// A sender with an address of its own.
fn plain(source: Source, port: &str, address: &str, payload: Payload) -> Frame {
    let sender = Sender { source, port: port.into(), address: address.into(), is_eui: false };
    Frame { sender, ..frame(1, 1, payload) }
}

fn saying(degrees_hundredths: i32) -> Payload {
    let measurements = vec![degrees(degrees_hundredths)];
    Payload::Values { raw: format!("{measurements:?}").into_bytes(), measurements }
}

/// Bytes of an LHT65N.
fn bytes(hundredths: i16) -> Payload {
    climate(1, 1, hundredths).payload
}

fn open(hub: &mut Hub) -> String {
    let opened = hub.ask(json!({ "request": "pair_open", "unit": "Fridge" }));
    opened["code"].as_str().unwrap().to_owned()
}

fn name(hub: &mut Hub, code: &str, source: &str, port: &str, address: &str) -> anyhow::Result<Value> {
    hub.try_ask(json!({
        "request": "pair_device", "code": code, "device": address, "source": source, "port": port,
    }))
}

fn fridge() -> Hub {
    let mut hub = Hub::new();
    hub.add_unit("Fridge", "fridge");
    hub
}

fn session(hub: &Hub) -> String {
    hub.row("SELECT status || ' ' || coalesce(metadata ->> 'reason', '') FROM pairing_sessions")
}

#[test]
fn a_port_that_no_source_has_is_doubted_and_taken() {
    let mut hub = fridge();
    let mut add = |address: &str, source: &str, port: &str| {
        let add = json!({ "request": "devices_add", "address": address, "source": source, "port": port });
        hub.ask(add)["warning"].clone()
    };
    assert_eq!(add("50", "serial", "lora0"), Value::Null);
    for (address, source, port) in [("51", "serial", "nope"), ("52", "serial", "broker")] {
        let warning = add(address, source, port);
        let warning = warning.as_str().unwrap();
        assert!(warning.contains(&format!("no serial source is named {port:?}")), "{warning}");
        assert!(warning.ends_with("lora0 (serial), broker (mqtt)"), "{warning}");
    }
    assert_eq!(hub.row("SELECT count(*) FROM hub_devices"), "3");
    let eui = hub.ask(json!({ "request": "devices_add", "address": eui(9) }));
    assert_eq!(eui["warning"], Value::Null, "an EUI is the same one by any port");
}

#[test]
fn a_plain_sender_is_paired_and_read_by_its_first_frame() {
    for (source, port, address, named) in [
        (Source::Serial, "lora0", "50", "50"),
        (Source::Mqtt, "broker", "kitchen/fridge", "kitchen/fridge"),
        (Source::Ble, "ble", "A4:C1:38:00:00:01", "a4:c1:38:00:00:01"),
        (Source::OneWire, "w1", "28-0316a2794e7d", "28-0316a2794e7d"),
    ] {
        let mut hub = fridge();
        let code = open(&mut hub);
        name(&mut hub, &code, source.as_str(), port, named).unwrap();
        // Somebody else, and another port.
        hub.hear(plain(source, port, "77", saying(990)));
        hub.hear(plain(source, "elsewhere", address, saying(980)));
        assert_eq!(session(&hub), "pending ", "{source:?}");
        hub.hear(plain(source, port, address, saying(350)));
        assert_eq!(session(&hub), "completed ");
        hub.hear(Frame {
            identity: Identity { counter: Some(2), ..Identity::default() },
            ..plain(source, port, address, saying(360))
        });
        hub.commit();
        assert_eq!(hub.rows("SELECT temperature FROM hub_log ORDER BY seq"), ["350", "360"], "{source:?}");
        for (sql, want) in [
            ("SELECT is_authenticated, address FROM hub_devices", format!("0|{address}")),
            ("SELECT count(*) FROM lora_sensors", "0".to_owned()),
            (
                "SELECT p.device_id = d.id FROM pairing_sessions AS p, devices AS d JOIN units AS u ON u.id = d.unit_id",
                "1".to_owned(),
            ),
        ] {
            assert_eq!(hub.row(sql), want, "{source:?}: {sql}");
        }
        hub.check_audit();
    }
}

#[test]
fn an_eui_by_a_broker_is_checked_and_one_by_a_radio_is_not() {
    for (source, is_authenticated) in [(Source::Mqtt, "1"), (Source::Serial, "0")] {
        let mut hub = fridge();
        let code = open(&mut hub);
        // By any port: it is one and the same.
        let named = json!({
            "request": "pair_device", "code": code, "device": eui(1), "source": source.as_str(),
        });
        hub.ask(named);
        let sender = Sender { source, port: "any".into(), address: eui(1), is_eui: true };
        hub.hear(Frame { sender, ..values(1, 1, vec![degrees(350)]) });
        hub.commit();
        assert_eq!(session(&hub), "completed ");
        let row = hub.row("SELECT d.device_eui, h.is_authenticated FROM devices AS d JOIN hub_devices AS h ON h.device_id = d.id");
        assert_eq!(row, format!("{}|{is_authenticated}", eui(1)));
    }
}

#[test]
fn what_cannot_be_decoded_says_so_until_its_model_is_named() {
    let mut hub = fridge();
    let code = open(&mut hub);
    name(&mut hub, &code, "serial", "lora0", "50").unwrap();
    let first = plain(Source::Serial, "lora0", "50", bytes(350));
    hub.hear(first.clone());
    hub.commit();
    assert_eq!(hub.row("SELECT outcome FROM hub_frames"), "stranger", "kept, and listed");
    let status = hub.ask(json!({ "request": "pair_status", "code": code }));
    let now = status["sessions"][0]["now"].as_str().unwrap();
    assert!(now.contains("no model is set") && now.contains("--model"), "{now}");
    assert_eq!(status["sessions"][0]["sensor"], "50 (serial lora0)");

    hub.ask(json!({
        "request": "pair_device", "code": code, "device": "50", "source": "serial", "port": "lora0",
        "model": "dragino/lht65n",
    }));
    hub.hear(Frame { identity: Identity::default(), ..plain(Source::Serial, "lora0", "50", bytes(360)) });
    hub.commit();
    assert_eq!(session(&hub), "completed ");
    assert_eq!(hub.row("SELECT temperature FROM hub_log"), "360");

    let mut hub = fridge();
    let code = open(&mut hub);
    name(&mut hub, &code, "serial", "lora0", "50").unwrap();
    hub.hear(first);
    hub.pass(15 * MINUTE);
    assert!(
        session(&hub).starts_with("failed a frame was heard and could not be decoded"),
        "{}",
        session(&hub)
    );
}

#[test]
fn a_plain_session_expires_goes_on_after_a_restart_and_ends_by_command() {
    let mut hub = fridge();
    let code = open(&mut hub);
    name(&mut hub, &code, "serial", "lora0", "50").unwrap();
    hub.commit();
    hub.reboot(MINUTE);
    hub.hear(plain(Source::Serial, "lora0", "50", saying(350)));
    assert_eq!(session(&hub), "completed ");

    let mut hub = fridge();
    let code = open(&mut hub);
    name(&mut hub, &code, "serial", "lora0", "50").unwrap();
    hub.pass(15 * MINUTE);
    assert!(
        session(&hub).starts_with("expired 50 (serial lora0) was not heard in time"),
        "{}",
        session(&hub)
    );
    hub.hear(plain(Source::Serial, "lora0", "50", saying(350)));
    hub.commit();
    assert_eq!(hub.row("SELECT outcome FROM hub_frames"), "stranger");

    let mut hub = fridge();
    let code = open(&mut hub);
    hub.ask(json!({ "request": "pair_cancel", "code": code }));
    assert_eq!(session(&hub), "failed cancelled");
}

#[test]
fn what_is_not_to_be_paired_by_a_plain_frame_is_refused() {
    let mut hub = fridge();
    hub.pair(9, "Fridge");
    let code = open(&mut hub);
    let mut refused = |source: &str, port: &str, address: &str| {
        name(&mut hub, &code, source, port, address).unwrap_err().to_string()
    };
    for (source, port, address, want) in [
        ("radio", "lora0", "50", "source \"radio\" is not known"),
        ("serial", "", "50", "a name has 1 to"),
        ("mqtt", "broker", &eui(9), "paired already"),
        ("ble", "ble", "a\u{7}", "control characters"),
    ] {
        let error = refused(source, port, address);
        assert!(error.contains(want), "{source} {address}: {error}");
    }
    let mut named = json!({
        "request": "pair_device", "code": code, "device": "50", "source": "serial", "port": "lora0",
        "key": frostguard_sync::ids::hex(&KEY),
    });
    assert!(hub.try_ask(named.clone()).unwrap_err().to_string().contains("has no key there"));
    named["key"] = Value::Null;
    hub.ask(named.clone());
    named["code"] = open(&mut hub).into();
    assert!(hub.try_ask(named).unwrap_err().to_string().contains("is being paired by session"));
    // Without a network server only what joins needs one.
    let joining = json!({ "request": "pair_device", "code": code, "device": eui(1) });
    assert!(hub.try_ask(joining).unwrap_err().to_string().contains("[lorawan]"));
    hub.core().store.connection().execute("UPDATE devices SET is_active = 0", []).unwrap();
    hub.stop();
    hub.start();
    let error = name(&mut hub, &code, "mqtt", "broker", &eui(9)).unwrap_err().to_string();
    assert!(error.contains("switched off"), "{error}");
}

/// A sensor that was paired and sent 3.50 °C, its session's second reading is not heard yet.
fn paired() -> (Air, Sensor) {
    let mut air = Air::new(&[GATEWAY]);
    let mut sensor = Sensor::new(1, KEY);
    air.begin(&sensor);
    air.join(&mut sensor);
    air.hear(sensor.reading(climate(1, 0, 350).payload.bytes()));
    air.after(20);
    air.hub.commit();
    (air, sensor)
}

const OTHER_KEY: [u8; 16] = [0x77; 16];

fn rekey(air: &mut Air, sensor: &Sensor, key: [u8; 16]) -> anyhow::Result<String> {
    let opened = air.hub.ask(json!({ "request": "pair_open" }));
    let code = opened["code"].as_str().unwrap().to_owned();
    air.hub.try_ask(json!({
        "request": "pair_device", "code": code, "device": Eui(sensor.dev_eui).to_string(),
        "key": frostguard_sync::ids::hex(&key),
    }))?;
    Ok(code)
}

fn readings(air: &Air) -> Vec<String> {
    air.hub.rows("SELECT temperature FROM hub_log ORDER BY seq")
}

fn stored_key(air: &Air) -> String {
    air.hub.row("SELECT app_key FROM lora_sensors").to_lowercase()
}

#[test]
fn a_paired_sensor_gets_another_key_and_is_read_all_the_while() {
    let (mut air, mut sensor) = paired();
    let error = rekey(&mut air, &sensor, KEY).unwrap_err().to_string();
    assert!(error.contains("paired already") && error.contains("another key"), "{error}");
    let code = rekey(&mut air, &sensor, OTHER_KEY).unwrap();
    let session = format!("SELECT status FROM pairing_sessions WHERE pairing_code = '{code}'");
    // What it says before it has the key is taken, and is no sign that it has.
    air.hear(sensor.reading(climate(1, 0, 360).payload.bytes()));
    air.after(20);
    assert_eq!(air.hub.row(&session), "pending");
    sensor.app_key = OTHER_KEY;
    air.join(&mut sensor);
    air.hear(sensor.reading(climate(1, 0, 370).payload.bytes()));
    air.after(20);
    air.hub.commit();
    assert_eq!(readings(&air), ["350", "360", "370"]);
    assert_eq!(air.hub.row(&session), "completed");
    assert_eq!(stored_key(&air), frostguard_sync::ids::hex(&OTHER_KEY));
    assert_eq!(air.hub.row("SELECT count(*) FROM devices"), "1");
    air.hub.check_audit();
}

#[test]
fn a_new_key_that_comes_to_nothing_leaves_the_sensor_as_it_was() {
    let cancel = |air: &mut Air, code: &str, _: &mut Sensor| {
        air.hub.ask(json!({ "request": "pair_cancel", "code": code }));
    };
    let expire = |air: &mut Air, _: &str, _: &mut Sensor| air.hub.pass(16 * MINUTE);
    // It joins with the key it always had: the new one was a mistake.
    let wrong = |air: &mut Air, _: &str, sensor: &mut Sensor| {
        for _ in 0..3 {
            air.hear(sensor.join_request());
            air.after(20);
        }
    };
    let rename = |air: &mut Air, code: &str, _: &mut Sensor| {
        let named = json!({
            "request": "pair_device", "code": code, "device": "50", "source": "serial", "port": "lora0",
        });
        air.hub.ask(named);
    };
    type Way<'a> = (&'a str, &'a dyn Fn(&mut Air, &str, &mut Sensor));
    let ways: [Way<'_>; 4] =
        [("cancelled", &cancel), ("expired", &expire), ("wrong", &wrong), ("renamed", &rename)];
    for (way, end) in ways {
        let (mut air, mut sensor) = paired();
        let code = rekey(&mut air, &sensor, OTHER_KEY).unwrap();
        end(&mut air, &code, &mut sensor);
        air.hear(sensor.reading(climate(1, 0, 360).payload.bytes()));
        air.after(20);
        air.join(&mut sensor);
        air.hear(sensor.reading(climate(1, 0, 370).payload.bytes()));
        air.after(20);
        air.hub.commit();
        assert_eq!(readings(&air), ["350", "360", "370"], "{way}");
        assert_eq!(stored_key(&air), frostguard_sync::ids::hex(&KEY), "{way}");
    }
}

#[test]
fn a_sensor_that_a_server_brings_is_believed_until_its_own_session_is_heard() {
    let mut air = Air::new(&[GATEWAY]);
    air.hub
        .ask(json!({ "request": "devices_add", "address": eui(1), "unit": "Fridge", "probe": "external" }));
    let by_broker = |air: &mut Air, counter, hundredths| {
        let mut frame = values(1, counter, vec![degrees(hundredths)]);
        (frame.sender.source, frame.sender.port) = (Source::Mqtt, "chirpstack".into());
        air.hub.hear(frame);
        air.hub.commit();
    };
    let code = air.hub.ask(json!({ "request": "pair_open" }))["code"].as_str().unwrap().to_owned();
    let personal = |last: u8| {
        json!({ "dev_addr": "01000001", "nwk_s_key": frostguard_sync::ids::hex(&[last; 16]),
            "app_s_key": frostguard_sync::ids::hex(&KEY), "accepts_reset": false })
    };
    let named =
        |keys: Value| json!({ "request": "pair_device", "code": code, "device": eui(1), "personal": keys });
    air.hub.ask(named(personal(1)));
    by_broker(&mut air, 1, 350);
    // The keys were mistyped: it is named again, and then given up.
    air.hub.ask(named(personal(2)));
    air.hub.ask(json!({ "request": "pair_cancel", "code": code }));
    by_broker(&mut air, 2, 360);
    assert_eq!(readings(&air), ["350", "360"]);
    assert_eq!(air.hub.row("SELECT count(*) FROM hub_lora_devices"), "0");
    assert_eq!(air.hub.count("devices.impostors{chirpstack}"), 0);
}

#[test]
fn a_new_key_that_was_used_stays_over_a_restart_before_it_was_written_down() {
    let (mut air, mut sensor) = paired();
    let code = rekey(&mut air, &sensor, OTHER_KEY).unwrap();
    sensor.app_key = OTHER_KEY;
    air.join(&mut sensor);
    // The first frame's session is stored; that it completes the pairing is not.
    let blocked =
        "CREATE TRIGGER blocked BEFORE UPDATE ON pairing_sessions BEGIN SELECT RAISE(ABORT, 'blocked'); END";
    air.hub.core().store.connection().execute_batch(blocked).unwrap();
    air.hear(sensor.reading(climate(1, 0, 360).payload.bytes()));
    air.after(20);
    air.hub.commit();
    let session = format!("SELECT status FROM pairing_sessions WHERE pairing_code = '{code}'");
    assert_eq!(air.hub.row(&session), "pending");
    air.hub.core().store.connection().execute_batch("DROP TRIGGER blocked").unwrap();
    air.hub.reboot(MINUTE);
    air.hub.core().connect_gateways().unwrap();
    air.hub.tick();
    air.hear(sensor.reading(climate(1, 0, 370).payload.bytes()));
    air.after(20);
    air.hub.commit();
    assert_eq!(air.hub.row(&session), "completed");
    assert_eq!(readings(&air), ["350", "360", "370"]);
    assert_eq!(stored_key(&air), frostguard_sync::ids::hex(&OTHER_KEY));
}

#[test]
fn a_label_is_no_address_and_is_not_repeated() {
    let mut hub = fridge();
    let code = open(&mut hub);
    let label = "LW:D0:1122334455667788:AABBCCDDEEFF0011:AABB1122:P000102030405060708090A0B0C0D0E0F";
    for port in ["lora0", ""] {
        let error = name(&mut hub, &code, "serial", port, label).unwrap_err().to_string();
        assert!(error.contains("without --source") && !error.contains("0102"), "{error}");
    }
}

#[test]
fn a_session_whose_sensor_was_added_otherwise_says_so() {
    let mut hub = fridge();
    let code = open(&mut hub);
    name(&mut hub, &code, "serial", "lora0", "50").unwrap();
    hub.ask(json!({
        "request": "devices_add", "address": "50", "source": "serial", "port": "lora0", "unit": "Fridge",
        "probe": "external",
    }));
    hub.hear(plain(Source::Serial, "lora0", "50", saying(350)));
    hub.commit();
    assert_eq!(session(&hub), "failed it was added as a device meanwhile");
    assert_eq!(hub.row("SELECT temperature FROM hub_log"), "350");
}
