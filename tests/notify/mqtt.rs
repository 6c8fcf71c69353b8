use std::collections::BTreeMap;

use frostguard_hub::config::{Config, NotifyMqttSection};
use frostguard_hub::notify::mqtt::Mqtt;
use frostguard_hub::notify::{Board, Kind, Notifier};
use rumqttc::{AsyncClient, Event, EventLoop, Packet, Publish, QoS};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::keys::Keys;
use crate::kitchen::{alert, board, check_failure, message, present, unit};
use crate::support::{Mosquitto, PATIENCE, mqtt_options, wait_for_async};

const BASE: &str = "frostguard/hub-under-test";

fn section(port: u16, rest: &str) -> NotifyMqttSection {
    let text = format!(
        "[[notify.mqtt]]\nname = \"home\"\nurl = \"mqtt://127.0.0.1:{port}\"\nclient_id = \"hub-under-test\"\n{rest}"
    );
    Config::parse(&text).expect("the section is right").notify.mqtt.remove(0)
}

fn start(broker: &Mosquitto) -> Mqtt {
    Mqtt::start(section(broker.port(), ""), present())
}

/// A client that hears everything.
struct Observer {
    client: AsyncClient,
    events: EventLoop,
}

impl Observer {
    async fn connect(broker: &Mosquitto, id: &str) -> Self {
        let (client, mut events) = AsyncClient::new(mqtt_options(broker.port(), id), 100);
        client.subscribe("#", QoS::AtLeastOnce).await.expect("the client lives");
        loop {
            let event = timeout(PATIENCE, events.poll()).await.expect("the broker answers");
            if let Event::Incoming(Packet::SubAck(_)) = event.expect("the connection holds") {
                return Self { client, events };
            }
        }
    }

    async fn next(&mut self) -> Publish {
        loop {
            let event = timeout(PATIENCE, self.events.poll()).await.expect("the broker says something");
            if let Event::Incoming(Packet::Publish(publish)) = event.expect("the connection holds") {
                return publish;
            }
        }
    }

    async fn publish(&self, topic: &str, retain: bool, payload: &str) {
        self.client.publish(topic, QoS::AtLeastOnce, retain, payload).await.expect("the client lives");
    }

    /// Everything up to a message of its own.
    async fn until_now(&mut self) -> Vec<Publish> {
        self.publish("observer/now", false, "now").await;
        let mut heard = Vec::new();
        loop {
            match self.next().await {
                publish if publish.topic == "observer/now" => return heard,
                publish => heard.push(publish),
            }
        }
    }
}

/// What stands at the broker.
async fn retained(broker: &Mosquitto) -> BTreeMap<String, String> {
    let mut observer = Observer::connect(broker, "looks").await;
    let heard = observer.until_now().await;
    let text = |publish: Publish| String::from_utf8(publish.payload.to_vec()).expect("text");
    heard.into_iter().map(|publish| (publish.topic.clone(), text(publish))).collect()
}

fn field(retained: &BTreeMap<String, String>, topic: &str, field: &str) -> Value {
    let payload: Value = serde_json::from_str(&retained[&format!("{BASE}/{topic}")]).expect("JSON");
    payload[field].clone()
}

fn unit_topic(number: u128) -> String {
    format!("units/{}", uuid::Uuid::from_u128(number))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kitchen_is_shown_and_taken_away() {
    let broker = Mosquitto::start();
    let mut mqtt = start(&broker);
    let mut full = Board { alerts: vec![alert(2)], ..board(&[unit(1, -18.25), unit(2, 9.5)]) };
    full.light = Some(frostguard_hub::domain::Severity::Critical);
    full.units[0].humidity = Some(40.0);
    full.units[1].is_door_open = Some(true);
    mqtt.show(&full).await.expect("the broker takes it");

    let shown = retained(&broker).await;
    assert_eq!(shown[&format!("{BASE}/availability")], "online");
    assert_eq!(field(&shown, "kitchen", "severity"), "critical");
    assert_eq!(field(&shown, &unit_topic(1), "temperature"), json!(-18.25));
    assert_eq!(field(&shown, &unit_topic(2), "door"), "open");
    // 4 entities of the hub, 5 of each unit; availability, kitchen and 2 units.
    assert_eq!(shown.len(), 14 + 4, "{:#?}", shown.keys());
    let config: Value = serde_json::from_str(
        &shown[&format!("homeassistant/binary_sensor/hub-under-test/{:032x}_door/config", 2)],
    )
    .expect("JSON");
    assert_eq!(config["state_topic"], format!("{BASE}/{}", unit_topic(2)));

    // A reading without humidity does not take its entity away; a unit that is gone goes with all of its own.
    full.units.truncate(1);
    full.units[0].humidity = None;
    mqtt.show(&full).await.expect("the broker takes it");
    let shown = retained(&broker).await;
    assert!(
        !shown.keys().any(|topic| topic.contains(&format!("{:032x}", 2)) || topic.ends_with(&unit_topic(2)))
    );
    assert_eq!(shown.len(), 9 + 3, "{:#?}", shown.keys());

    // Only what changes is told.
    let mut observer = Observer::connect(&broker, "observes").await;
    observer.until_now().await;
    full.units[0].temperature = Some(-18.0);
    mqtt.show(&full).await.expect("the broker takes it");
    mqtt.show(&full).await.expect("the broker has it");
    let topics: Vec<String> = observer.until_now().await.into_iter().map(|publish| publish.topic).collect();
    assert_eq!(topics, [format!("{BASE}/{}", unit_topic(1))]);

    drop(mqtt);
    let publish = observer.next().await;
    assert_eq!((publish.topic, &publish.payload[..]), (format!("{BASE}/availability"), &b"offline"[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_was_away_is_shown_the_newest_board() {
    let mut broker = Mosquitto::start();
    let mut mqtt = start(&broker);
    mqtt.show(&board(&[unit(1, 4.0)])).await.expect("the broker takes it");
    mqtt.deliver(&message(Kind::Call)).await.expect("the broker takes it");
    broker.kill();
    check_failure(mqtt.show(&board(&[unit(1, 5.0)])).await, "later: broker mqtt://127.0.0.1");
    check_failure(mqtt.deliver(&message(Kind::Call)).await, "later: broker mqtt://127.0.0.1");
    check_failure(mqtt.show(&board(&[unit(1, 6.0), unit(3, 1.0)])).await, "later: broker");
    broker.restart();
    wait_for_async("the newest board", async || {
        let shown = retained(&broker).await;
        let newest = shown.contains_key(&format!("{BASE}/{}", unit_topic(3)))
            && shown.get(&format!("{BASE}/availability")).is_some_and(|text| text == "online");
        (newest && field(&shown, &unit_topic(1), "temperature") == json!(6.0)).then_some(())
    })
    .await;
    // Events are not kept for later: who gave them was told so.
    assert!(!retained(&broker).await.contains_key(&format!("{BASE}/event")));
    mqtt.deliver(&message(Kind::AllClear)).await.expect("the broker takes it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn home_assistant_is_told_again_when_it_starts() {
    let broker = Mosquitto::start();
    let mut mqtt = start(&broker);
    mqtt.show(&board(&[unit(1, 4.0)])).await.expect("the broker takes it");
    let all = retained(&broker).await;
    let mut home = Observer::connect(&broker, "home").await;
    home.until_now().await;
    home.publish("homeassistant/status", false, "online").await;
    let mut told = BTreeMap::new();
    while told.len() < all.len() {
        let publish = home.next().await;
        if publish.topic != "homeassistant/status" {
            told.insert(publish.topic, String::from_utf8(publish.payload.to_vec()).expect("text"));
        }
    }
    assert_eq!(told, all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_earlier_run_left_is_taken_away() {
    let broker = Mosquitto::start();
    let mut observer = Observer::connect(&broker, "observes").await;
    let (old, config) = (unit_topic(7), "homeassistant/sensor/hub-under-test/7_temperature/config");
    observer.publish(&format!("{BASE}/{old}"), true, "{}").await;
    observer.publish(config, true, "{}").await;
    // Another hub's.
    observer.publish(&format!("frostguard/other/{old}"), true, "{}").await;
    observer.publish("homeassistant/sensor/other/7_temperature/config", true, "{}").await;
    observer.until_now().await;
    let mut mqtt = start(&broker);
    mqtt.show(&board(&[unit(1, 4.0)])).await.expect("the broker takes it");
    wait_for_async("the old unit to go", async || {
        let shown = retained(&broker).await;
        (!shown.contains_key(&format!("{BASE}/{old}")) && !shown.contains_key(config)).then_some(())
    })
    .await;
    let shown = retained(&broker).await;
    assert!(shown.contains_key(&format!("frostguard/other/{old}")));
    assert!(shown.contains_key("homeassistant/sensor/other/7_temperature/config"));
    assert!(shown.contains_key(&format!("{BASE}/{}", unit_topic(1))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_acknowledged_and_not_kept() {
    let broker = Mosquitto::start();
    let mut mqtt = start(&broker);
    // Before any board, too.
    let mut observer = Observer::connect(&broker, "observes").await;
    let receipt = mqtt.deliver(&message(Kind::Call)).await.expect("the broker takes it");
    assert_eq!((receipt.is_delivered, receipt.detail), (true, format!("acknowledged on {BASE}/event")));
    let event = loop {
        let publish = observer.next().await;
        if publish.topic == format!("{BASE}/event") {
            break publish;
        }
    };
    assert!(!event.retain);
    let event: Value = serde_json::from_slice(&event.payload).expect("JSON");
    assert_eq!((&event["event_type"], &event["severity"]), (&json!("call"), &json!("critical")));
    assert_eq!(event["id"], message(Kind::Call).id.to_string());
    assert!(!retained(&broker).await.contains_key(&format!("{BASE}/event")));
    let large = frostguard_hub::notify::Message { text: "x".repeat(200 << 10), ..message(Kind::Call) };
    check_failure(mqtt.deliver(&large).await, "never: more than");
    mqtt.deliver(&message(Kind::Test)).await.expect("the connection holds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_units_are_shown() {
    let broker = Mosquitto::start();
    let mut mqtt = start(&broker);
    let units: Vec<_> = (1..=1_000).map(|number| unit(number, 4.0)).collect();
    let showing = async { while mqtt.show(&board(&units)).await.is_err() {} };
    timeout(PATIENCE, showing).await.expect("the broker takes them");
    assert_eq!(retained(&broker).await.len(), 1_000 * 5 + 4 + 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_discovery_there_are_only_states() {
    let broker = Mosquitto::start();
    let mut mqtt =
        Mqtt::start(section(broker.port(), "discovery_prefix = \"\"\nprefix = \"a/b\""), present());
    mqtt.show(&board(&[unit(1, 4.0)])).await.expect("the broker takes it");
    let topics: Vec<String> = retained(&broker).await.into_keys().collect();
    let want = ["availability".to_owned(), "kitchen".into(), unit_topic(1)];
    assert_eq!(topics, want.map(|topic| format!("a/b/hub-under-test/{topic}")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_password_is_told() {
    let keys = Keys::make();
    keys.secret("passwords", "kitchen:$7$101$AAAAAAAAAAAAAAAA$AAAA\n");
    let broker = Mosquitto::start_with(&format!(
        "allow_anonymous false\npassword_file {}\n",
        keys.path("passwords").display()
    ));
    let password = keys.secret("password", "warm chain\n");
    let rest = format!("username = \"kitchen\"\npassword_file = \"{}\"", password.display());
    let mut mqtt = Mqtt::start(section(broker.port(), &rest), present());
    check_failure(mqtt.show(&board(&[])).await, "later: refuses the user or the password");
    let missing = format!("username = \"kitchen\"\npassword_file = \"{}\"", keys.path("none").display());
    let mut mqtt = Mqtt::start(section(broker.port(), &missing), present());
    check_failure(mqtt.show(&board(&[])).await, "later: /none");
}
