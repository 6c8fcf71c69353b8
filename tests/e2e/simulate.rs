//! `simulate` on a line and on a broker that are not the demonstration's own.

use std::io::Read as _;
use std::process::Command;

use rumqttc::{Client, Event, Packet, QoS};

use crate::support::{Mosquitto, Pty, Scratch, demo_program, mqtt_options};

/// Plays three minutes of eight sensors; gives what it printed.
#[track_caller]
fn simulate(into: &str, target: &str) -> String {
    let arguments = ["simulate", into, target, "--minutes", "3", "--fast", "600"];
    let output = Command::new(demo_program()).args(arguments).output().expect("run the simulator");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.ends_with("24 messages sent\n"), "{text}");
    text
}

#[test]
fn plays_into_a_port() {
    let scratch = Scratch::new("port");
    let mut pty = Pty::new(scratch.join("radio"));
    let text = simulate("--serial", pty.path().to_str().expect("a plain path"));
    assert!(text.contains("--source serial"), "{text}");
    // The payload may hold any byte, so lines are counted by how they begin.
    let messages = |heard: &[u8]| heard.windows(5).filter(|piece| piece == b"+RCV=").count();
    let mut heard = Vec::new();
    while messages(&heard) < 24 || !heard.ends_with(b",9\r\n") {
        let mut chunk = [0; 1024];
        let length = pty.near().read(&mut chunk).expect("read what was played");
        heard.extend_from_slice(&chunk[..length]);
    }
    assert_eq!(messages(&heard), 24);
}

#[test]
fn plays_into_a_broker() {
    let broker = Mosquitto::start();
    let (client, mut connection) = Client::new(mqtt_options(broker.port(), "listener"), 10);
    client.subscribe("application/+/device/+/event/up", QoS::AtLeastOnce).expect("subscribe");
    let subscribed = connection.iter().find(|event| matches!(event, Ok(Event::Incoming(Packet::SubAck(_)))));
    assert!(subscribed.is_some());
    simulate("--mqtt", &format!("mqtt://127.0.0.1:{}", broker.port()));
    let heard = connection.iter().filter_map(|event| match event.expect("hear the broker") {
        Event::Incoming(Packet::Publish(message)) => Some(message),
        _ => None,
    });
    for message in heard.take(24) {
        assert!(message.qos == QoS::AtLeastOnce && message.payload.starts_with(b"{"), "{message:?}");
    }
}
