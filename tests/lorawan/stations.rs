//! Gateways with Basics Station, from the way to the hub to an acknowledged reading.

use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use frostguard_sync::ids::hex;
use serde_json::{Value, json};

use crate::gateway::keep_port;
use crate::pairing::{KEY, SETTINGS, begin, reading, session, stored};
use crate::sensor::Sensor;
use crate::station::{self, Station, eui, pdu};
use crate::support::{Hub, free_port, wait_for};

/// A running hub that lists stations 1 and 2, and where stations reach it.
fn kitchen(region: &str) -> (Hub, SocketAddr) {
    let (kept, udp) = keep_port();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let mut hub = Hub::new(&format!(
        "{SETTINGS}[lorawan]\n{region}\nudp_listen = \"{udp}\"\ngateways = [\"{}\", \"{}\"]\n\
         [lorawan.stations]\nlisten = \"{address}\"\n",
        eui(1),
        eui(2)
    ));
    drop(kept);
    hub.start();
    hub.command(&["units", "add", "Fridge", "--type", "fridge"]);
    (hub, address)
}

#[track_caller]
fn wait_count(hub: &Hub, name: &str, at_least: u64) {
    hub.wait_status(name, |status| {
        status["counters"][name].as_u64().filter(|count| *count >= at_least).map(|_| ())
    });
}

#[test]
fn a_sensor_joins_by_a_station_and_is_acknowledged() {
    let (mut hub, address) = kitchen("region = \"EU868\"");
    let (mut station, config) = Station::start(address, 1);
    assert_eq!((&config["msgtype"], &config["region"]), (&json!("router_config"), &json!("EU863")));
    assert_eq!(config["upchannels"][0], json!([867_100_000, 0, 5]));
    let mut sensor = Sensor::new(1, KEY);
    let code = begin(&hub, &sensor, &KEY);

    let order = station.bring_until_answered(&sensor.join_request());
    let want = json!([5, 5, 868_100_000, 0, 869_525_000]);
    let got = json!([order["RxDelay"], order["RX1DR"], order["RX1Freq"], order["RX2DR"], order["RX2Freq"]]);
    assert_eq!(got, want, "{order}");
    sensor.accept(&pdu(&order)).unwrap();
    station.say(&json!({ "msgtype": "dntxed", "diid": order["diid"], "DevEui": order["DevEui"] }));

    let frame = sensor.send(&reading(350));
    let order = station.bring_until_answered(&frame);
    assert_eq!(order["RxDelay"], 1);
    assert!(sensor.hear(&pdu(&order)).unwrap().ack);
    assert_eq!((session(&hub, &code)["status"].as_str(), stored(&hub)), (Some("completed"), 1));
    // Its answer was lost: answered again, and one reading.
    let order = station.bring_until_answered(&frame);
    assert!(sensor.hear(&pdu(&order)).unwrap().ack);
    assert_eq!(stored(&hub), 1);

    let gateways = hub.json(&["gateways", "list", "--json"]);
    let row = &gateways["gateways"][0];
    assert_eq!(row["eui"], eui(1));
    assert!(row["frames"].as_u64().unwrap() >= 3 && row["answers"].as_u64().unwrap() >= 3, "{row}");

    // After a power cut the station comes back by itself.
    hub.kill();
    station.closed();
    hub.start();
    let (mut station, _) = Station::start(address, 1);
    let order = station.bring_until_answered(&sensor.send(&reading(410)));
    assert!(sensor.hear(&pdu(&order)).unwrap().ack);
    assert_eq!(stored(&hub), 2);
    assert!(hub.stop().success());
    assert!(!hub.log_text().to_lowercase().contains(&hex(&KEY)), "a key stands in the log");
}

#[test]
fn each_region_has_its_configuration() {
    let (_hub, address) = kitchen("region = \"US915\"\nsub_band = 2");
    let (_, config) = Station::start(address, 1);
    assert_eq!(config["region"], "US902");
    assert_eq!(config["upchannels"].as_array().unwrap().len(), 9);
    assert_eq!(config["upchannels"][0], json!([903_900_000, 0, 3]));
    assert_eq!((&config["DRs"][0], &config["DRs"][8]), (&json!([10, 125, 0]), &json!([12, 500, 1])));
}

#[test]
fn a_gateway_that_is_not_listed_is_refused_and_told_why() {
    let (hub, address) = kitchen("region = \"EU868\"");
    let refused = Station::ask_way(address, 9);
    assert!(refused["error"].as_str().is_some_and(|error| error.contains("gateways add")), "{refused}");
    assert_eq!(refused.get("uri"), None);
    // One that knows the way does not get in either.
    let mut intruder = Station::open(address, &format!("/gateway/{}", eui(9))).unwrap();
    assert!(intruder.closed().contains("not listed"));
    wait_for("the gateway to be told of", || {
        Some(hub.json(&["gateways", "list", "--json"])).filter(|list| list["strangers"] == json!([eui(9)]))
    });

    hub.command(&["gateways", "add", &eui(9)]);
    let (mut station, _) = Station::start(address, 9);
    let sensor = &mut Sensor::new(1, KEY);
    station.bring(&sensor.join_request());
    wait_count(&hub, "lorawan.frames{heard}", 1);
    // Taken off the list, it loses its connection.
    hub.command(&["gateways", "remove", &eui(9)]);
    assert!(station.closed().contains("not listed"));
    wait_count(&hub, "lorawan.stations{not_listed}", 2);
}

#[test]
fn nonsense_costs_only_itself() {
    let (hub, address) = kitchen("region = \"EU868\"");
    assert_eq!(Station::open(address, "/").err(), Some(404));
    assert_eq!(Station::open(address, "/gateway/no-eui").err(), Some(404));
    let mut lost = Station::open(address, "/router-info").unwrap();
    lost.say_text("{\"router\":\"nobody\"}");
    assert!(lost.closed().contains("router"));
    // No websocket: the hub hangs up.
    let mut stranger = station::plain(address, b"SSH-2.0-OpenSSH_9.2\r\n\r\n");
    let mut rest = Vec::new();
    stranger.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    // An error (a reset) is an end, too.
    let _ = stranger.read_to_end(&mut rest);
    wait_count(&hub, "lorawan.stations{no_handshake}", 3);

    let (mut station, _) = Station::start(address, 1);
    let (mut sensor, broken) =
        (Sensor::new(1, KEY), ["", "{", "[]", "{\"msgtype\":\"updf\"}", "{\"msgtype\":7}"]);
    for text in broken {
        station.say_text(text);
    }
    station.say(&json!({ "msgtype": "rmtsh" }));
    begin(&hub, &sensor, &KEY);
    let order = station.bring_until_answered(&sensor.join_request());
    sensor.accept(&pdu(&order)).unwrap();
    wait_count(&hub, "lorawan.messages{unreadable}", 6);
    wait_count(&hub, "lorawan.messages{other}", 1);

    // Too long a text ends the connection; the other station's and a new one are as good as before.
    let (mut other, _) = Station::start(address, 2);
    station.try_say_text(&format!("{{\"msgtype\":\"{}\"}}", "x".repeat(5_000)));
    assert!(station.closed().contains("longest"));
    wait_count(&hub, "lorawan.messages{oversized}", 1);
    let order = other.bring_until_answered(&sensor.send(&reading(350)));
    assert!(sensor.hear(&pdu(&order)).unwrap().ack);
    let (mut station, _) = Station::start(address, 1);
    let order = station.bring_until_answered(&sensor.send(&reading(360)));
    assert!(sensor.hear(&pdu(&order)).unwrap().ack);

    // A frame that is cut off in the middle says nothing.
    std::io::Write::write_all(station.raw(), &[0x81, 0xfe]).unwrap();
    drop(station);
    let mut old = Station::open(address, &format!("/gateway/{}", eui(1))).unwrap();
    assert_eq!(old.configure(1), None::<Value>);
    wait_count(&hub, "lorawan.stations{other_version}", 1);
}

#[test]
fn a_station_that_connects_anew_takes_the_place_of_its_former_connection() {
    let (hub, address) = kitchen("region = \"EU868\"");
    let mut sensor = Sensor::new(1, KEY);
    begin(&hub, &sensor, &KEY);
    let (mut former, _) = Station::start(address, 1);
    let (mut station, _) = Station::start(address, 1);
    assert!(former.closed().contains("connected anew"));
    let order = station.bring_until_answered(&sensor.join_request());
    sensor.accept(&pdu(&order)).unwrap();
    wait_count(&hub, "lorawan.stations{replaced}", 1);
    assert_eq!(hub.status()["sources"]["stations"], "up");
}
