//! Bluetooth sensors over a real D-Bus; BlueZ is a stand-in, as there is no radio.

use std::collections::HashMap;

use frostguard_hub::codec::NO_PORT;
use frostguard_hub::config::Config;
use frostguard_hub::domain::{MonoMs, Source};
use frostguard_hub::frame::{Payload, SourceEvent};
use frostguard_hub::source::ble::Ble;
use zbus::Variant;

use crate::bluez::{Bus, Sent, StandInBluez, connections, device_path, forge};
use crate::heard::Heard;
use crate::support::wait_for_async;

const GOVEE: &str = "A4:C1:38:00:00:01";
const TAG: &str = "C8:00:00:00:00:02";
const STRANGER: &str = "A4:C1:38:00:00:03";
const BTHOME: &str = "0000fcd2-0000-1000-8000-00805f9b34fb";

fn start(bus: &Bus) -> Heard {
    let text = format!(
        "[ble]\nbus = '{}'\n[[ble.device]]\naddress = '{GOVEE}'\nmodel = 'govee/h5075'\n\
         [[ble.device]]\naddress = '{TAG}'\nmodel = 'bthome/bthome'\n",
        bus.address()
    );
    let config = Config::parse(&text).expect("the section is right");
    Heard::start(Ble::new(config.ble.expect("there is one")))
}

async fn discovering(bluez: &StandInBluez, times: u32) {
    wait_for_async("the source to begin discovery", async || {
        (bluez.asked().discoveries == times).then_some(())
    })
    .await;
}

fn govee(value: u8) -> Sent {
    Sent::manufacturer(0xEC88, &[0, 3, 0x51, value, 0x64, 0], -61)
}

async fn down_for(heard: &mut Heard, want: &str) {
    let reason = heard.down().await;
    assert!(reason.contains(want), "{reason}");
}

#[tokio::test]
async fn listed_sensors_are_heard_and_nobody_else() {
    let bus = Bus::start();
    let bluez = StandInBluez::start(&bus).await;
    bluez.plug(true).await;
    // From before, without a time: no advertisement.
    bluez.appear(GOVEE, govee(0)).await;
    let mut heard = start(&bus);
    discovering(&bluez, 1).await;
    let filter = bluez.asked().filter;
    assert_eq!(filter.len(), 2);
    assert_eq!(Variant::from("le"), *filter["Transport"]);
    assert_eq!(Variant::from(true), *filter["DuplicateData"]);

    bluez.send(GOVEE, &govee(0x9E)).await;
    heard.up().await;
    let frame = heard.frame().await;
    let sender = &frame.sender;
    assert_eq!((sender.source, sender.port.as_str(), sender.address.as_str()), (Source::Ble, "ble", GOVEE));
    assert!(!sender.is_eui);
    assert_eq!((frame.model.as_deref(), frame.rssi, frame.at), (Some("govee/h5075"), Some(-61), MonoMs(77)));
    assert_eq!(frame.payload, Payload::Binary { f_port: NO_PORT, bytes: vec![0, 3, 0x51, 0x9E, 0x64, 0] });

    // The same again, a change that waits, what another company says, and what is no advertisement.
    bluez.send(GOVEE, &govee(0x9E)).await;
    bluez.send(GOVEE, &govee(0x9F)).await;
    bluez.send(GOVEE, &Sent::manufacturer(0x004C, &[2, 0x15], -60)).await;
    let path = device_path(GOVEE);
    bluez.change(&path, "org.bluez.Device1", HashMap::from([("Name", Variant::from("GVH5075"))])).await;
    // Not of the form it has to have.
    bluez.change(&path, "org.bluez.Device1", HashMap::from([("RSSI", Variant::from("loud"))])).await;
    bluez.change(&path, "org.bluez.Device1", HashMap::from([("ManufacturerData", Variant::from(1))])).await;
    // In reach, but not listed; and one that says it is BlueZ.
    bluez.appear(STRANGER, govee(0x11)).await;
    forge(&bus, GOVEE, &govee(0x22)).await;

    bluez.appear(TAG, Sent::service(&BTHOME.to_uppercase(), &[0x40, 2, 0xCA, 9], -80)).await;
    let (mut govee, mut tag) = (Vec::new(), None);
    while tag.is_none() {
        let frame = heard.frame().await;
        match frame.sender.address.as_str() {
            GOVEE => govee.push(frame.payload.bytes().to_vec()),
            _ => tag = Some(frame),
        }
    }
    let tag = tag.expect("it was heard");
    assert_eq!((tag.sender.address.as_str(), tag.rssi), (TAG, Some(-80)));
    assert_eq!(tag.payload.bytes(), [0x40, 2, 0xCA, 9]);
    let counters = heard.counters.clone();
    // What waited is handed on, at the stop if not before.
    for event in heard.stop().await {
        let SourceEvent::Frame(frame) = event else { panic!("{event:?} where a frame should come") };
        govee.push(frame.payload.bytes().to_vec());
    }
    assert_eq!(govee, [[0, 3, 0x51, 0x9F, 0x64, 0]]);
    let counts = counters.snapshot();
    for (name, count) in
        [("messages", 4), ("frames", 3), ("repeats", 2), ("not_understood", 2), ("not_listed", 1)]
    {
        assert_eq!(counts.get(&format!("ble.{name}{{ble}}")), Some(&count), "{name}");
    }
}

#[tokio::test]
async fn what_was_recorded_and_is_played_again_is_no_frame() {
    let bus = Bus::start();
    let bluez = StandInBluez::start(&bus).await;
    bluez.plug(true).await;
    let mut heard = start(&bus);
    discovering(&bluez, 1).await;
    let numbered = |number: u8, value: u8| Sent::service(BTHOME, &[0x40, 0, number, 2, value, 9], -80);
    bluez.appear(TAG, numbered(0xFF, 0xCA)).await;
    heard.up().await;
    assert_eq!(heard.frame().await.payload.bytes(), [0x40, 0, 0xFF, 2, 0xCA, 9]);
    bluez.send(TAG, &numbered(0xFD, 0x11)).await;
    bluez.send(TAG, &numbered(0xFD, 0x11)).await;
    bluez.send(TAG, &numbered(0, 0xCB)).await;
    let counters = heard.counters.clone();
    wait_for_async("all of them", async || {
        (counters.snapshot().get("ble.messages{ble}") == Some(&4)).then_some(())
    })
    .await;
    assert_eq!(counters.snapshot().get("ble.out_of_sequence{ble}"), Some(&2));
    let left: Vec<Vec<u8>> = heard
        .stop()
        .await
        .into_iter()
        .filter_map(|event| match event {
            SourceEvent::Frame(frame) => Some(frame.payload.bytes().to_vec()),
            _ => None,
        })
        .collect();
    assert_eq!(left, [[0x40, 0, 0, 2, 0xCB, 9]]);
}

#[tokio::test]
async fn adapter_daemon_and_bus_come_and_go() {
    let mut bus = Bus::start();
    let mut heard = start(&bus);
    down_for(&mut heard, "BlueZ is not running: install bluez").await;
    let losses = "ble.losses{ble}";

    let bluez = StandInBluez::start(&bus).await;
    // Told once, tried again and again.
    let before = heard.count(losses);
    wait_for_async("another try", async || (heard.count(losses) > before + 1).then_some(())).await;
    assert_eq!(heard.waiting(), 0);

    bluez.plug(true).await;
    discovering(&bluez, 1).await;
    bluez.appear(GOVEE, govee(1)).await;
    heard.up().await;
    heard.frame().await;

    bluez.unplug(&[GOVEE]).await;
    down_for(&mut heard, "adapter hci0 is gone").await;
    bluez.plug(true).await;
    discovering(&bluez, 2).await;
    // A value that changed less than 10 s after the last frame waits; one of another sensor does not.
    bluez.appear(TAG, Sent::service(BTHOME, &[0x40, 2, 0, 1], -80)).await;
    heard.up().await;
    assert_eq!(heard.frame().await.sender.address, TAG);

    bluez.say("Powered", false).await;
    down_for(&mut heard, "hci0 is switched off").await;
    discovering(&bluez, 3).await;
    bluez.send(TAG, &Sent { rssi: Some(-70), ..Sent::default() }).await;
    heard.up().await;

    bluez.end().await;
    down_for(&mut heard, "BlueZ has ended or was restarted").await;
    let bluez = StandInBluez::start(&bus).await;
    bluez.plug(true).await;
    discovering(&bluez, 1).await;
    bluez.appear(STRANGER, govee(7)).await;
    // Not listed, but the adapter hears.
    heard.up().await;

    // Each try has ended its connection, and with it its discovery: BlueZ, the source, and who asks.
    wait_for_async("old connections to end", async || (connections(&bus).await == 3).then_some(())).await;
    bus.kill();
    down_for(&mut heard, "D-Bus").await;
    bus.restart();
    let bluez = StandInBluez::start(&bus).await;
    bluez.plug(true).await;
    discovering(&bluez, 1).await;
    bluez.appear(STRANGER, govee(7)).await;
    heard.up().await;
    heard.stop().await;
}

#[tokio::test]
async fn what_keeps_it_from_listening_is_said_with_what_to_do() {
    let mut bus = Bus::start();
    let bluez = StandInBluez::start(&bus).await;
    let mut heard = start(&bus);
    down_for(&mut heard, "there is no Bluetooth adapter hci0 (no other); is it plugged in").await;
    heard.stop().await;
    bluez.plug(false).await;
    let mut heard = start(&bus);
    down_for(&mut heard, "`rfkill unblock bluetooth`, `bluetoothctl power on`").await;
    heard.stop().await;
    bus.kill();
    let mut heard = start(&bus);
    down_for(&mut heard, "connect to the D-Bus unix:path=").await;
    heard.stop().await;
}
