//! From an unpacked sensor to its readings, and what keeps them coming.

use std::net::{Ipv4Addr, SocketAddr};

use frostguard_sync::ids::hex;
use serde_json::Value;

use crate::gateway::{Gateway, keep_port};
use crate::sensor::{Joined, Sensor, Up};
use crate::support::{Hub, wait_for};

pub const KEY: [u8; 16] = [0x5a; 16];
/// A minute: what is answered earlier was committed for the answer's sake.
pub const SETTINGS: &str =
    "[clock]\nuse_rtc = false\n[store]\nwindow_ms = 60000\n[uplink]\nenabled = false\n";

/// A running hub, its gateway and where gateways reach it.
fn kitchen() -> (Hub, Gateway, SocketAddr) {
    let (kept, address) = keep_port();
    let gateway = Gateway::new(1, address);
    let mut hub = Hub::new(&format!(
        "{SETTINGS}[lorawan]\nregion = \"EU868\"\nudp_listen = \"{address}\"\ngateways = [\"{}\"]\n",
        gateway.eui()
    ));
    // Not before the gateway has its own ports.
    drop(kept);
    hub.start();
    hub.command(&["units", "add", "Fridge", "--type", "fridge"]);
    (hub, gateway, address)
}

/// Opens a session for `sensor` and names it, with `key`; gives the code.
#[track_caller]
pub fn begin(hub: &Hub, sensor: &Sensor, key: &[u8]) -> String {
    let opened = hub.json(&["pair", "open", "--unit", "Fridge", "--model", "dragino/lht65n", "--json"]);
    let code = opened["code"].as_str().expect("a code").to_owned();
    let arguments = ["pair", "device", &code, &hex(&sensor.dev_eui), "--key-file", "-"];
    hub.command_with_input(&arguments, &format!("{}\n", hex(key)));
    code
}

pub fn session(hub: &Hub, code: &str) -> Value {
    hub.json(&["pair", "status", code, "--json"])["sessions"][0].take()
}

/// An LHT65N whose outer probe measures `hundredths` of a degree.
pub fn reading(hundredths: i16) -> Up {
    let mut bytes = vec![0xcb, 0xf6, 0x0b, 0x0d, 0x03, 0x76, 0x01];
    bytes.extend(hundredths.to_be_bytes());
    bytes.extend([0x7f, 0xff]);
    Up { confirmed: true, payload: Some((2, bytes)), ..Up::default() }
}

#[track_caller]
pub fn stored(hub: &Hub) -> u64 {
    hub.status()["readings"]["stored"].as_u64().expect("a count")
}

#[test]
fn a_sensor_is_paired_read_answered_and_kept_over_a_power_cut() {
    let (mut hub, mut gateway, _) = kitchen();
    let mut sensor = Sensor::new(1, KEY);
    let code = begin(&hub, &sensor, &KEY);
    gateway.pull();

    let order = gateway.push_until_answered(&sensor.join_request());
    order.assert_window(5);
    sensor.accept(&order.phy).unwrap();
    // The answer may not have been heard: nothing is paired before the first frame.
    assert_eq!(session(&hub, &code)["status"], "pending");
    assert_eq!(hub.json(&["devices", "list", "--json"])["devices"], serde_json::json!([]));

    let frame = sensor.send(&reading(350));
    let order = gateway.push_until_answered(&frame);
    order.assert_window(1);
    assert!(sensor.hear(&order.phy).unwrap().ack);
    assert_eq!(session(&hub, &code)["status"], "completed");
    assert_eq!(stored(&hub), 1);

    // The answer was lost: the sensor says it again, and is answered again, but it is one reading.
    let order = gateway.push_until_answered(&frame);
    assert!(sensor.hear(&order.phy).unwrap().ack);
    assert_eq!(stored(&hub), 1);

    hub.kill();
    hub.start();
    gateway.pull();
    assert_eq!(stored(&hub), 1, "it was committed with its acknowledgement");
    let order = gateway.push_until_answered(&sensor.send(&reading(410)));
    // Its counter is above all that were sent before, or the sensor would not take it.
    assert!(sensor.hear(&order.phy).unwrap().ack);
    assert_eq!(stored(&hub), 2);

    // The first window is not to be had: the second is tried.
    gateway.refuse(&order, "TOO_LATE");
    let devices = hub.json(&["devices", "list", "--json"]);
    assert_eq!(devices["devices"][0]["eui"], hex(&sensor.dev_eui).to_uppercase(), "{devices:#}");
    assert!(!hub.log_text().to_lowercase().contains(&hex(&KEY)), "a key stands in the log");
    assert!(hub.stop().success());
}

#[test]
fn the_second_window_is_used_where_the_first_is_refused() {
    let (hub, mut gateway, _) = kitchen();
    let mut sensor = Sensor::new(1, KEY);
    begin(&hub, &sensor, &KEY);
    gateway.pull();
    let first = gateway.push_until_answered(&sensor.join_request());
    gateway.refuse(&first, "COLLISION_PACKET");
    let second = wait_for("the order for the second window", || gateway.order());
    assert_eq!((second.after_us, second.mhz), (6_000_000, 869.525), "{second:?}");
    assert_eq!(first.phy, second.phy);
    sensor.accept(&second.phy).unwrap();
    let gateways = hub.json(&["gateways", "list", "--json"]);
    assert_eq!(gateways["gateways"][0]["refused_answers"], 1, "{gateways:#}");
}

#[test]
fn a_wrong_key_ends_the_session_with_what_to_do() {
    let (hub, mut gateway, _) = kitchen();
    let mut sensor = Sensor::new(1, KEY);
    let code = begin(&hub, &sensor, &[0x77; 16]);
    gateway.pull();
    for _ in 0..3 {
        assert!(gateway.push(&sensor.join_request()));
    }
    let failed =
        wait_for("the session to fail", || Some(session(&hub, &code)).filter(|s| s["status"] == "failed"));
    assert!(
        failed["now"].as_str().is_some_and(|reason| reason.contains("wrong key: MIC failed 3 times")),
        "{failed}"
    );
    // With the right one it goes on at once.
    begin(&hub, &sensor, &KEY);
    let order = gateway.push_until_answered(&sensor.join_request());
    sensor.accept(&order.phy).unwrap();
}

#[test]
fn only_listed_gateways_are_heard() {
    let (hub, mut gateway, address) = kitchen();
    let mut sensor = Sensor::new(1, KEY);
    gateway.pull();
    let mut other = Gateway::new(2, address);
    other.push_in_vain(&sensor.join_request());
    let heard = wait_for("the other gateway to be told of", || {
        Some(hub.json(&["gateways", "list", "--json"])).filter(|list| list["strangers"][0].is_string())
    });
    assert_eq!(heard["strangers"], serde_json::json!([other.eui()]));
    assert_eq!(hub.json(&["pair", "status", "--json"])["strangers"], serde_json::json!([]));

    hub.command(&["gateways", "add", &other.eui()]);
    other.pull();
    assert!(other.push(&sensor.join_request()));
    let strangers = wait_for("the sensor to be told of", || {
        Some(hub.json(&["pair", "status", "--json"])["strangers"].take()).filter(|list| list[0].is_object())
    });
    assert_eq!(strangers[0]["eui"], hex(&sensor.dev_eui).to_uppercase());
    hub.command(&["gateways", "remove", &other.eui()]);
    other.push_in_vain(&sensor.join_request());
}

#[test]
fn nobody_takes_a_gateways_place_while_it_is_there() {
    let (hub, mut gateway, address) = kitchen();
    let mut sensor = Sensor::new(1, KEY);
    begin(&hub, &sensor, &KEY);
    gateway.pull();
    let mut thief = Gateway::at(Ipv4Addr::new(127, 0, 0, 2), 1, address);
    let mut other = Gateway::new(2, address);
    hub.command(&["gateways", "add", &other.eui()]);
    other.pull();
    let join = sensor.join_request();
    assert!(!thief.asks(), "acknowledged");
    assert!(thief.push(&join), "a join that is of no use is still no reason to bring it again");
    let order = gateway.push_until_answered(&join);
    // Neither the thief nor another gateway says what became of the order. The gateway itself does, at once: the second
    // window does not wait.
    thief.refuse(&order, "TOO_LATE");
    other.refuse(&order, "TOO_LATE");
    gateway.refuse(&order, "TOO_LATE");
    let second = wait_for("the order for the second window", || gateway.order());
    let refused =
        |hub: &Hub, what: &str| hub.status()["counters"][format!("lorawan.datagrams{{{what}}}")].as_u64();
    wait_for("both others to be refused", || {
        (refused(&hub, "another_address") >= Some(3) && refused(&hub, "unasked_ack") == Some(1)).then_some(())
    });
    sensor.accept(&second.phy).unwrap();
    assert!(hub.log_text().contains("gateway_addresses"), "it is told of");
    // The thief may be the gateway itself, come too late: what sensors signed is read, and not answered by it.
    let contact = |hub: &Hub| hub.json(&["gateways", "list", "--json"])["gateways"][0]["frames"].as_u64();
    let frames = contact(&hub);
    assert!(thief.push(&sensor.send(&reading(410))), "no PUSH_ACK");
    // Nobody waits for its commit.
    wait_for("the reading", || {
        (hub.status()["counters"]["frames.reading{lorawan}"].as_u64() == Some(1)).then_some(())
    });
    assert_eq!(contact(&hub), frames, "counted as the gateway's");
    assert!(thief.order().is_none() && gateway.order().is_none());
}

#[test]
fn the_first_version_is_spoken_too_and_a_gateway_shows_what_it_hears() {
    let (hub, gateway, _) = kitchen();
    let mut gateway = gateway.of_version_1();
    let mut sensor = Sensor::new(1, KEY);
    begin(&hub, &sensor, &KEY);
    gateway.pull();
    let order = gateway.push_until_answered(&sensor.join_request());
    sensor.accept(&order.phy).unwrap();
    assert!(gateway.report(40, 30) && gateway.report(60, 45));
    let row = wait_for("both reports", || {
        let row = hub.json(&["gateways", "list", "--json"])["gateways"][0].take();
        Some(row).filter(|row| row["radio"]["received"] == 100)
    });
    let radio = &row["radio"];
    let shown =
        serde_json::json!([radio["rssi_mean"], radio["snr_mean"], radio["noise_percent"], radio["clock"]]);
    assert_eq!(shown, serde_json::json!([-57, 8.5, 25, "no GNSS"]), "{row}");
    assert!(row["last_contact"].is_string() && row["answers"].as_u64() >= Some(1), "{row}");
    let listed = hub.command(&["gateways", "list"]);
    assert!(listed.contains("NOISE %") && listed.contains("no GNSS"), "{listed}");
}

/// The key of a shipment's list, the label's text, and a restart in between.
#[test]
fn a_shipment_and_a_label_are_enough() {
    let (mut hub, mut gateway, _) = kitchen();
    let mut sensor = Sensor::new(1, KEY);
    let (dev_eui, join_eui) = (hex(&sensor.dev_eui).to_uppercase(), hex(&sensor.join_eui).to_uppercase());
    let list = format!("DevEUI,AppKey,Name\n{dev_eui},{},Fridge 1\nnonsense,00,x\n", hex(&KEY));
    let imported = hub.command_with_input(&["pair", "import", "-", "--json"], &list);
    let imported: Value = serde_json::from_str(&imported).unwrap();
    assert_eq!((&imported["imported"], &imported["left_out"]), (&1.into(), &1.into()));
    let opened = hub.json(&["pair", "open", "--unit", "Fridge", "--model", "dragino/lht65n", "--json"]);
    let code = opened["code"].as_str().unwrap();
    let label = format!("LW:D0:{join_eui}:{dev_eui}:00000000");
    hub.command(&["pair", "device", code, &label]);
    assert!(hub.stop().success());
    hub.start();
    gateway.pull();
    let order = gateway.push_until_answered(&sensor.join_request());
    sensor.accept(&order.phy).unwrap();
    let order = gateway.push_until_answered(&sensor.send(&reading(280)));
    assert!(sensor.hear(&order.phy).unwrap().ack);
    assert_eq!(session(&hub, code)["status"], "completed");
    assert_eq!(hub.json(&["devices", "list", "--json"])["devices"][0]["name"], "Fridge 1");

    let again = hub.try_command(&["pair", "device", code, &dev_eui], "");
    assert!(!again.status.success(), "a session is used once");
}

/// A sensor that never joins.
fn personalised(number: u64) -> Sensor {
    let mut sensor = Sensor::new(number, [0; 16]);
    sensor.session = Some(Joined {
        dev_addr: 0x2601_1b00 | number as u32,
        nwk_s_key: [0x4e; 16],
        app_s_key: [0xa9; 16],
        f_cnt_up: 0,
        f_cnt_down: None,
        settings: Vec::new(),
    });
    sensor
}

fn personal_lines(sensor: &Sensor, nwk_s_key: &[u8]) -> String {
    let joined = sensor.session.as_ref().expect("personalised");
    let app_s_key = hex(&joined.app_s_key);
    format!("DevAddr {:08X}\nNwkSKey = {}\nAppSKey: {app_s_key}\n", joined.dev_addr, hex(nwk_s_key))
}

/// Opens a session for a personalised sensor; gives the code.
#[track_caller]
fn begin_personal(hub: &Hub, sensor: &Sensor, nwk_s_key: &[u8], more: &[&str]) -> String {
    let opened = hub.json(&["pair", "open", "--unit", "Fridge", "--model", "dragino/lht65n", "--json"]);
    let code = opened["code"].as_str().expect("a code").to_owned();
    name_personal(hub, &code, sensor, nwk_s_key, more);
    code
}

#[track_caller]
fn name_personal(hub: &Hub, code: &str, sensor: &Sensor, nwk_s_key: &[u8], more: &[&str]) {
    let dev_eui = hex(&sensor.dev_eui);
    let arguments = [&["pair", "device", code, &dev_eui, "--abp", "--key-file", "-"], more].concat();
    hub.command_with_input(&arguments, &personal_lines(sensor, nwk_s_key));
}

#[track_caller]
fn wait_refused(hub: &Hub, name: &str, at_least: u64) {
    hub.wait_status(name, |status| {
        status["counters"][name].as_u64().filter(|count| *count >= at_least).map(|_| ())
    });
}

#[test]
fn a_personalised_sensor_is_paired_by_its_first_frame_and_its_counter_never_goes_back() {
    let (mut hub, mut gateway, _) = kitchen();
    let mut sensor = personalised(1);
    gateway.pull();
    // With another key its frames are nobody's, which is all that can be seen of it.
    let code = begin_personal(&hub, &sensor, &[0x11; 16], &[]);
    assert!(gateway.push(&sensor.send(&reading(300))));
    let waiting = wait_for("the wrong key to be told of", || {
        Some(session(&hub, &code))
            .filter(|session| session["now"].as_str().is_some_and(|now| now.contains("NwkSKey")))
    });
    assert_eq!(waiting["status"], "pending");
    name_personal(&hub, &code, &sensor, &[0x4e; 16], &[]);
    assert_eq!(session(&hub, &code)["now"], "waits for its first frame");

    let first = sensor.send(&reading(310));
    let order = gateway.push_until_answered(&first);
    order.assert_window(1);
    assert!(sensor.hear(&order.phy).unwrap().ack);
    assert_eq!((session(&hub, &code)["status"].as_str(), stored(&hub)), (Some("completed"), 1));
    let order = gateway.push_until_answered(&sensor.send(&reading(320)));
    assert!(sensor.hear(&order.phy).unwrap().ack);

    // After a power cut of the hub the counters of both directions go on.
    hub.kill();
    hub.start();
    gateway.pull();
    let order = gateway.push_until_answered(&sensor.send(&reading(330)));
    assert!(sensor.hear(&order.phy).unwrap().ack);
    assert_eq!(stored(&hub), 3);
    // Recorded and played again, or a sensor that counts anew: not to be told apart.
    assert!(gateway.push(&first));
    wait_refused(&hub, "lorawan.refused{counter_behind}", 1);
    sensor.session.as_mut().unwrap().f_cnt_up = 0;
    assert!(gateway.push(&sensor.send(&reading(340))));
    wait_refused(&hub, "lorawan.refused{counter_behind}", 2);
    assert_eq!(stored(&hub), 3);

    let row = hub
        .command(&["sql", "SELECT activation_type, app_key IS NULL, last_join_at IS NULL FROM lora_sensors"]);
    assert!(row.contains("ABP"), "{row}");
    let log = hub.log_text().to_lowercase();
    assert!(!log.contains(&hex(&[0x4e; 16])) && !log.contains(&hex(&[0xa9; 16])), "a key stands in the log");
}

#[test]
fn a_personalised_sensor_that_counts_anew_is_heard_where_that_was_said() {
    let (hub, mut gateway, _) = kitchen();
    let mut sensor = personalised(2);
    gateway.pull();
    begin_personal(&hub, &sensor, &[0x4e; 16], &["--counts-anew"]);
    sensor.session.as_mut().unwrap().f_cnt_up = 5;
    gateway.push_until_answered(&sensor.send(&reading(300)));
    sensor.session.as_mut().unwrap().f_cnt_up = 0;
    gateway.push_until_answered(&sensor.send(&reading(310)));
    assert_eq!(stored(&hub), 2);
}

#[test]
fn keys_are_not_taken_from_a_file_that_all_can_read() {
    use std::os::unix::fs::PermissionsExt as _;

    let (hub, _, _) = kitchen();
    let sensor = personalised(1);
    let file = hub.state_dir().with_file_name("keys");
    std::fs::write(&file, personal_lines(&sensor, &[0x4e; 16])).unwrap();
    let opened = hub.json(&["pair", "open", "--unit", "Fridge", "--model", "dragino/lht65n", "--json"]);
    let (code, dev_eui) = (opened["code"].as_str().unwrap(), hex(&sensor.dev_eui));
    let pair = |more: &[&str]| {
        let arguments =
            [&["pair", "device", code, &dev_eui, "--key-file", file.to_str().unwrap()], more].concat();
        let output = hub.try_command(&arguments, "");
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    for more in [&["--abp"][..], &[]] {
        let (is_taken, error) = pair(more);
        assert!(!is_taken && error.contains("chmod o="), "{error}");
    }
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    // The three lines are no AppKey.
    assert!(!pair(&[]).0);
    assert_eq!(pair(&["--abp"]), (true, String::new()));
}
