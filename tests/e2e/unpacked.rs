//! A sensor out of its box, with no network server anywhere: a code, its address on the radio, its first line.

use crate::support::{Hub, Pty, Scratch, wait_for};

#[test]
fn a_radio_sensor_is_paired_by_its_first_line() {
    let desk = Scratch::new("unpacked");
    let mut radio = Pty::new(desk.join("radio"));
    let mut hub = Hub::new(&format!(
        "[uplink]\nenabled = false\n[[serial]]\nname = 'radio'\npath = '{}'\npreset = 'json'\n",
        desk.join("radio").display()
    ));
    hub.start();
    hub.command(&["units", "add", "Fridge", "--type", "fridge"]);
    let opened = hub.json(&["pair", "open", "--unit", "Fridge", "--name", "Left shelf", "--json"]);
    let code = opened["code"].as_str().expect("a code").to_owned();
    let said = hub.command(&["pair", "device", &code, "probe-1", "--source", "serial", "--port", "radio"]);
    assert!(said.contains("waiting for the first frame of probe-1 (serial radio)"), "{said}");

    let mut say = |id: &str, celsius: f64, counter: u32| {
        let line = format!("{{\"id\":\"{id}\",\"temperature_c\":{celsius},\"counter\":{counter}}}\n");
        radio.write(line.as_bytes()).expect("the radio takes a line");
    };
    // A neighbour's.
    say("probe-2", 21.0, 1);
    say("probe-1", 3.5, 1);
    say("probe-1", 3.6, 2);
    hub.wait_status("both readings", |status| (status["readings"]["stored"] == 2).then_some(()));
    let session = hub.json(&["pair", "status", &code, "--json"])["sessions"][0].take();
    assert_eq!(
        (&session["status"], &session["sensor"]),
        (&"completed".into(), &"probe-1 (serial radio)".into())
    );
    let devices = hub.json(&["devices", "list", "--json"]);
    let device = &devices["devices"][0];
    assert_eq!(
        (&device["name"], &device["authenticated"]),
        (&"Left shelf".into(), &false.into()),
        "{devices:#}"
    );
    // The neighbour's stays a stranger.
    wait_for("the stranger", || {
        let strangers = hub.json(&["devices", "strangers", "--json"]);
        let rows = strangers["strangers"].as_array().expect("a list").clone();
        (rows.len() == 1 && rows[0]["address"] == "probe-2").then_some(())
    });
    assert!(hub.stop().success());
}
