//! A Bluetooth sensor through the whole hub, over a real D-Bus; BlueZ is a stand-in, as there is no radio.

use serde_json::{Value, json};

use crate::bluez::{Bus, Sent, StandInBluez};
use crate::support::{Hub, wait_for};

const SENSOR: &str = "A4:C1:38:11:22:33";
const STRANGER: &str = "A4:C1:38:11:22:44";
const ENVIRONMENT: &str = "0000181a-0000-1000-8000-00805f9b34fb";

fn rows(hub: &Hub, query: &str) -> Vec<Value> {
    let text = hub.command(&["sql", query, "--json"]);
    text.lines().map(|line| serde_json::from_str(line).expect("a row is JSON")).collect()
}

/// The open firmware's own format: tenths of a degree, 60 %, 85 %, 2959 mV, a counter.
fn sent(tenths: i16, counter: u8) -> Sent {
    let [high, low] = tenths.to_be_bytes();
    let mut data = vec![0xA4, 0xC1, 0x38, 0x11, 0x22, 0x33, high, low];
    data.extend([0x3C, 0x55, 0x0B, 0x8F, counter]);
    Sent::service(ENVIRONMENT, &data, -67)
}

/// What `status` says of the source.
fn source(hub: &Hub) -> String {
    hub.status()["sources"]["ble"].as_str().unwrap_or_default().to_owned()
}

#[track_caller]
fn wait_for_source(hub: &Hub, want: &str) {
    wait_for(want, || source(hub).starts_with(want).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_advertisement_becomes_a_stored_reading() {
    let bus = Bus::start();
    let settings = format!(
        "[uplink]\nenabled = false\n[ble]\nbus = '{}'\n[[ble.device]]\naddress = '{SENSOR}'\nmodel = 'xiaomi/atc'\n",
        bus.address()
    );
    let mut hub = Hub::new(&settings);
    hub.start();
    hub.command(&["units", "add", "Freezer", "--type", "freezer"]);
    let pair = ["devices", "add", &SENSOR.to_lowercase(), "--source", "ble", "--port", "ble"];
    hub.command(&[&pair[..], &["--model", "xiaomi/atc", "--unit", "Freezer"]].concat());
    wait_for_source(
        &hub,
        "down: call org.freedesktop.DBus.ObjectManager.GetManagedObjects at / (BlueZ is not running",
    );

    let bluez = StandInBluez::start(&bus).await;
    bluez.plug(true).await;
    let discovering = |bluez: &StandInBluez| bluez.asked().discoveries > 0;
    wait_for("discovery", || discovering(&bluez).then_some(()));
    bluez.appear(STRANGER, sent(300, 0)).await;
    bluez.appear(SENSOR, sent(-180, 1)).await;
    let query = "SELECT source, temperature, humidity FROM sensor_readings";
    let stored = wait_for("the reading", || Some(rows(&hub, query)).filter(|rows| !rows.is_empty()));
    assert_eq!(stored, [json!({ "source": "ble", "temperature": -1_800, "humidity": 6_000 })]);
    wait_for_source(&hub, "up");

    // BlueZ is restarted, and the sensor goes on.
    bluez.end().await;
    wait_for_source(&hub, "down: BlueZ has ended or was restarted");
    let bluez = StandInBluez::start(&bus).await;
    bluez.plug(true).await;
    wait_for("discovery", || discovering(&bluez).then_some(()));
    bluez.appear(SENSOR, sent(-175, 2)).await;
    let query = "SELECT temperature FROM sensor_readings ORDER BY recorded_at";
    let stored = wait_for("the second reading", || Some(rows(&hub, query)).filter(|rows| rows.len() == 2));
    assert_eq!(stored[1], json!({ "temperature": -1_750 }));
    assert!(hub.stop().success());
}
