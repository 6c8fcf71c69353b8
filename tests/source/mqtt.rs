use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use frostguard_hub::clock::{CertificateTime, SystemClock};
use frostguard_hub::config::{Config, MqttSection};
use frostguard_hub::domain::UnixMs;
use frostguard_hub::frame::{Frame, MqttPacket, SourceEvent};
use frostguard_hub::source::mqtt::Mqtt;
use rumqttc::{AsyncClient, Event, Packet, QoS};
use tokio::time::timeout;

use crate::heard::Heard;
use crate::support::{Mosquitto, PATIENCE, Publisher, mqtt_options, wait_for_async};

const CLIENT_ID: &str = "hub-under-test";
/// Mosquitto's default for messages that wait for an acknowledgement.
const INFLIGHT: usize = 20;

pub fn section(url: &str, rest: &str) -> MqttSection {
    let text = format!(
        "[[mqtt]]\nname = \"lns\"\nurl = \"{url}\"\nkind = \"chirpstack-v4\"\nclient_id = \"{CLIENT_ID}\"\n{rest}"
    );
    Config::parse(&text).expect("the section is right").mqtt.remove(0)
}

fn start(broker: &Mosquitto, rest: &str) -> Heard {
    let clock = Arc::new(SystemClock::new().expect("a boot has an id"));
    let section = section(&format!("mqtt://127.0.0.1:{}", broker.port()), rest);
    Heard::start(Mqtt::new(section, Arc::default(), CertificateTime::new(clock, UnixMs(0))))
}

/// Uplink `n` of one of ten sensors.
pub fn uplink(n: u32) -> (String, String) {
    let eui = format!("A8404100000000{:02X}", n % 10);
    let payload = format!(
        r#"{{"deduplicationId":"3ac7e3c4-4401-4b8d-9386-{n:012x}","time":"2026-07-18T09:34:15.775023242+00:00",
        "deviceInfo":{{"deviceName":"Fridge","devEui":"{}"}},"devAddr":"00189440","fCnt":{n},"fPort":2,
        "data":"y/YLDQGAAX//f/8=","rxInfo":[{{"gatewayId":"0016c001f153a14c","rssi":-36,"snr":10.5}}]}}"#,
        eui.to_lowercase()
    );
    (format!("application/17c82e96/device/{}/event/up", eui.to_lowercase()), payload)
}

/// At QoS 1, all of them taken by the broker.
async fn publish(broker: &Mosquitto, messages: &[(String, String)]) {
    let (port, messages) = (broker.port(), messages.to_vec());
    let publishing =
        tokio::task::spawn_blocking(move || Publisher::connect(port, "sensors").publish(&messages));
    publishing.await.expect("the broker takes them");
}

fn number(frame: &Frame) -> u32 {
    frame.identity.counter.expect("an uplink has a counter")
}

fn packet(frame: &Frame) -> MqttPacket {
    frame.identity.packet.clone().expect("a message at QoS 1 has a number")
}

/// What the broker still holds for the hub, told by a client that takes its place: what comes before a last message.
async fn left_at_broker(broker: &Mosquitto) -> Vec<String> {
    let mut options = mqtt_options(broker.port(), CLIENT_ID);
    options.set_clean_session(false).set_max_packet_size(1 << 25, 1 << 25);
    let (client, mut events) = AsyncClient::new(options, 10);
    let (topic, last) = ("application/x/device/last/event/up", "the last");
    client.publish(topic, QoS::AtLeastOnce, false, last).await.expect("the client lives");
    let mut left = Vec::new();
    loop {
        match timeout(PATIENCE, events.poll())
            .await
            .expect("the broker answers")
            .expect("the connection holds")
        {
            Event::Incoming(Packet::ConnAck(connack)) => {
                assert!(connack.session_present, "the session is kept");
            }
            Event::Incoming(Packet::Publish(publish)) if publish.topic == topic => return left,
            Event::Incoming(Packet::Publish(publish)) => left.push(publish.topic),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_the_broker_loses_its_power() {
    let mut broker = Mosquitto::start();
    let mut heard = start(&broker, "");
    heard.up().await;
    let uplinks: Vec<_> = (0..1_000).map(uplink).collect();
    publish(&broker, &uplinks).await;

    // Three hundred are committed in groups, the others are heard and wait: as many as the broker lets wait.
    let (mut seen, mut group, mut waiting) = (BTreeSet::new(), Vec::new(), BTreeMap::new());
    for _ in 0..300 {
        let frame = heard.frame().await;
        assert!(!packet(&frame).is_redelivered);
        assert!(seen.insert(number(&frame)));
        group.push(frame.ack);
        if group.len() == 10 {
            group.drain(..).for_each(|token| heard.release(token));
        }
    }
    while heard.waiting() > 0 || heard.count("mqtt.acknowledged{lns}") < 300 {
        while heard.waiting() > 0 {
            let frame = heard.frame().await;
            waiting.insert(number(&frame), (packet(&frame), frame.ack));
        }
        broker.wait_until_saved();
    }
    assert!(waiting.len() >= INFLIGHT);

    broker.kill();
    assert!(heard.down().await.contains("broker mqtt://127.0.0.1"));
    broker.restart();

    // Those that waited come again, marked; no other does. Acknowledgements of the connection before would now hit other
    // messages: they are released too, and must do nothing.
    for (_, token) in waiting.values() {
        heard.release(*token);
    }
    let mut again = 0;
    while seen.len() < uplinks.len() {
        let SourceEvent::Frame(frame) = heard.next().await else { continue };
        assert!(seen.insert(number(&frame)), "{} comes though it was acknowledged", number(&frame));
        match waiting.get(&number(&frame)) {
            Some((first, old_token)) => {
                assert_eq!(packet(&frame), MqttPacket { is_redelivered: true, ..first.clone() });
                assert_ne!(frame.ack, *old_token);
                again += 1;
            }
            None => assert!(!packet(&frame).is_redelivered),
        }
        heard.release(frame.ack);
    }
    assert_eq!(again, waiting.len());
    assert_eq!(heard.count("mqtt.redelivered{lns}"), again as u64);
    wait_for_async("the acknowledgements to be sent", || async {
        (heard.count("mqtt.acknowledged{lns}") == 1_000).then_some(())
    })
    .await;
    heard.stop().await;
    assert_eq!(left_at_broker(&broker).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_published_while_the_hub_was_away_waits_for_it() {
    let broker = Mosquitto::start();
    let mut heard = start(&broker, "");
    heard.up().await;
    heard.stop().await;
    let uplinks: Vec<_> = (0..50).map(uplink).collect();
    publish(&broker, &uplinks).await;

    // Not acknowledged in the first run: the hub was killed before its commit.
    let mut heard = start(&broker, "");
    let mut first = Vec::new();
    while first.len() < INFLIGHT {
        if let SourceEvent::Frame(frame) = heard.next().await {
            first.push(*frame);
        }
    }
    heard.stop().await;
    let mut heard = start(&broker, "");
    let mut seen = Vec::new();
    while seen.len() < uplinks.len() {
        if let SourceEvent::Frame(frame) = heard.next().await {
            assert_eq!(packet(&frame).is_redelivered, seen.len() < INFLIGHT, "{frame:?}");
            seen.push(number(&frame));
            heard.release(frame.ack);
        }
    }
    assert_eq!(seen, (0..50).collect::<Vec<_>>());
    heard.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_publish_is_told_and_acknowledged_whatever_it_is() {
    let broker = Mosquitto::start_with("allow_anonymous true\nmessage_size_limit 0\n");
    let (retained_topic, retained) = uplink(1);
    let mut options = mqtt_options(broker.port(), "sensors");
    options.set_max_packet_size(1 << 25, 1 << 25);
    let (client, mut events) = AsyncClient::new(options, 100);
    client.publish(&retained_topic, QoS::AtLeastOnce, true, retained).await.expect("the client lives");
    while !matches!(events.poll().await.expect("the broker answers"), Event::Incoming(Packet::PubAck(_))) {}
    let publishing = tokio::spawn(async move { while events.poll().await.is_ok() {} });

    let mut heard = start(&broker, "topics = [\"application/+/device/+/event/up\", \"Küche/#\"]");
    let mut reasons = Vec::new();
    let mut refused = |event| match event {
        SourceEvent::Refused { reason, bytes, ack, .. } => {
            assert!(ack.is_some() && bytes.len() <= 1024);
            reasons.push(reason);
            ack
        }
        event => panic!("{event:?} where a refusal should come"),
    };
    heard.up().await;
    let token = refused(heard.next().await);
    heard.release(token);
    let (topic, good) = uplink(2);
    for (topic, payload) in [
        (topic.as_str(), b"{\"no json".to_vec()),
        ("Küche/fridge", b"cold".to_vec()),
        (&topic, vec![b' '; 70_000]),
        // Beyond what one packet may have: the connection is given up once, then it is taken and refused.
        (&topic, vec![b' '; 2_000_000]),
    ] {
        client.publish(topic, QoS::AtLeastOnce, false, payload).await.expect("the client lives");
        let mut event = heard.next().await;
        if let SourceEvent::Down { reason, .. } = &event {
            assert!(reason.contains("2000"), "{reason}");
            event = heard.next().await;
            while matches!(event, SourceEvent::Up { .. }) || is_repeated(&event) {
                event = heard.next().await;
            }
        }
        let token = refused(event);
        heard.release(token);
    }
    assert_eq!(heard.count("mqtt.packet_too_large{lns}"), 1);
    // At QoS 0 there is nothing to acknowledge.
    client.publish(&topic, QoS::AtMostOnce, false, good).await.expect("the client lives");
    let frame = loop {
        match heard.next().await {
            SourceEvent::Frame(frame) => break frame,
            event => {
                assert!(matches!(event, SourceEvent::Up { .. } | SourceEvent::Refused { .. }), "{event:?}");
            }
        }
    };
    assert_eq!((frame.ack, frame.identity.packet.clone(), number(&frame)), (None, None, 2));
    for (reason, want) in
        reasons.iter().zip(["retained", "up: ", "Küche/fridge: ", "70000 bytes", "2000000 bytes"])
    {
        assert!(reason.contains(want), "{reason} does not say {want}");
    }
    publishing.abort();
}

/// What a new connection brings before the packet that cost the old one: the retained message, and what was acknowledged
/// too late for the old connection.
fn is_repeated(event: &SourceEvent) -> bool {
    matches!(event, SourceEvent::Refused { reason, .. } if !reason.contains("2000000"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_stops_the_reading_and_loses_nothing() {
    let broker = Mosquitto::start_with("allow_anonymous true\nmax_inflight_messages 0\n");
    let mut heard = start(&broker, "");
    heard.up().await;
    let uplinks: Vec<_> = (0..1_000).map(uplink).collect();
    publish(&broker, &uplinks).await;
    wait_for_async("the queue to fill", || async {
        (heard.waiting() == frostguard_hub::source::EVENTS_QUEUED_MAX).then_some(())
    })
    .await;
    for n in 0..1_000 {
        let frame = heard.frame().await;
        assert_eq!(number(&frame), n);
        heard.release(frame.ack);
    }
    heard.stop().await;
}
