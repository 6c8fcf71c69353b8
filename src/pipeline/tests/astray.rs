//! Sensors that are heard, and send nothing of the probe that measures their unit.

use super::*;

/// What the list of devices says of the only one.
fn astray(hub: &mut Hub) -> Value {
    hub.ask(json!({ "request": "devices_list" }))["devices"][0]["astray"].clone()
}

fn internal(counter: u32) -> Frame {
    values(1, counter, vec![now(Probe::INTERNAL, Quantity::Temperature(CentiCelsius(350)))])
}

#[test]
fn a_sensor_that_sends_another_probe_is_told_with_its_cure() {
    let mut hub = Hub::with_fridge();
    assert_eq!(astray(&mut hub), Value::Null, "not heard yet");
    hub.hear(internal(1));
    hub.commit();
    assert_eq!(hub.row("SELECT count(*) FROM hub_log"), "0");
    let told = astray(&mut hub);
    assert_eq!(told["found"], "is heard, and nothing it sends measures a unit (it sends: internal)");
    let todo = told["todo"].as_str().unwrap();
    let name = eui(1);
    assert!(todo.contains(&format!("devices assign {name} --probe internal --unit Fridge`")), "{todo}");
    assert!(todo.contains(&format!("devices assign {name} --probe external`")), "{todo}");

    hub.ask(json!({ "request": "devices_assign", "device": name, "probe": "internal", "unit": "Fridge" }));
    hub.ask(json!({ "request": "devices_assign", "device": name, "probe": "external" }));
    assert_eq!(astray(&mut hub), Value::Null);
    hub.hear(internal(2));
    hub.commit();
    assert_eq!(hub.row("SELECT temperature FROM hub_log"), "350");
}

#[test]
fn who_has_said_anything_of_its_probe_is_where_it_should_be() {
    let fault = |counter| {
        let broken = now(Probe::EXTERNAL, Quantity::Fault(crate::codec::Fault::Disconnected));
        values(1, counter, vec![now(Probe::INTERNAL, Quantity::Temperature(CentiCelsius(350))), broken])
    };
    for frame in [climate(1, 1, 350), fault(1), door(1, 1, true)] {
        let mut hub = Hub::with_fridge();
        hub.hear(frame);
        hub.commit();
        assert_eq!(astray(&mut hub), Value::Null);
    }
}

#[test]
fn the_pairing_says_it_too() {
    let mut hub = Hub::new();
    hub.add_unit("Fridge", "fridge");
    let opened = hub.ask(json!({ "request": "pair_open", "unit": "Fridge", "model": "dragino/lht65n" }));
    let code = opened["code"].as_str().unwrap().to_owned();
    hub.ask(json!({ "request": "pair_device", "code": code, "device": eui(1), "source": "mqtt" }));
    let sender = Sender { source: Source::Mqtt, port: "broker".into(), address: eui(1), is_eui: true };
    hub.hear(Frame { sender, ..internal(1) });
    let status = hub.ask(json!({ "request": "pair_status", "code": code }));
    let now = status["sessions"][0]["now"].as_str().unwrap();
    assert!(now.starts_with("paired; it is heard, and nothing it sends measures a unit"), "{now}");
    assert!(now.contains("--probe internal --unit Fridge`"), "{now}");
}
