//! 2,000 readings over a serial line and a broker, while the receiver is killed three times and the hub three times: then
//! PostgreSQL holds each reading once, and the alerts are the hub's.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::LOOK_EVERY;
use crate::central::{Central, SITE};
use crate::support::{Hub, Mosquitto, Pty, Publisher, Receiver, Scratch, deadline, now, unix_ms};

const ROUNDS: u32 = 50;
/// Nodes on the serial line, each sending once a round: 1,000 readings.
const SERIAL_NODES: u32 = 20;
/// Sensors behind the network server: 16 readings a round.
const STEADY_NODES: u32 = 8;
/// The receiver is killed in the first round and started again in the second.
const RECEIVER_AWAY: [(u32, u32); 3] = [(6, 9), (20, 24), (34, 36)];
/// The hub is killed in the middle of these rounds, twice while the receiver is away.
const HUB_KILLED: [u32; 3] = [7, 22, 41];
/// A node repeats what was not reported as stored after this time.
const REPEAT_AFTER: std::time::Duration = std::time::Duration::from_secs(3);
/// What the hub's time may be off by: it has it from the receiver, by a request on a loaded machine, and takes it for the
/// middle of that request, of which it believes none that took longer than 10 s (`TIME_ROUND_MS_MAX`).
const CLOCK_ERROR_MS: i64 = 5_000;

/// One reading that was sent.
#[derive(Clone, Debug)]
struct Sent {
    /// Unix ms between which it was measured. An event of the network server has a time of its own, which a hub with a
    /// trusted clock takes; else it is the hub's at reception, after sending and before the hub reported it as stored.
    from_ms: i64,
    until_ms: i64,
    source: &'static str,
}

/// Everything sent, by unit and hundredths in the unit's scale: values do not repeat within a unit.
type Ledger = BTreeMap<(String, i64), Sent>;

struct Kitchen {
    hub: Hub,
    receiver: Receiver,
    pty: Pty,
    publisher: Publisher,
    sent: Ledger,
    // Last: they outlive the rest.
    _broker: Mosquitto,
    _scratch: Scratch,
}

#[test]
fn every_reading_arrives_once_whoever_is_killed() {
    let central = Central::start();
    let mut kitchen = Kitchen::open(&central);
    for round in 0..ROUNDS {
        if RECEIVER_AWAY.iter().any(|(killed, _)| *killed == round) {
            kitchen.receiver.kill();
        }
        if RECEIVER_AWAY.iter().any(|(_, back)| *back == round) {
            kitchen.receiver.restart();
        }
        kitchen.play(round);
    }
    kitchen.hub.wait_status("everything to be sent", |status| {
        let count = |section: &str, key: &str| status[section][key].as_u64().unwrap_or(u64::MAX);
        let left = [
            count("readings", "waiting_for_commit"),
            count("sync", "unsent_readings"),
            count("sync", "dirty_rows"),
            count("sync", "batches_in_flight"),
        ];
        (left == [0; 4]).then_some(())
    });
    assert_eq!(kitchen.hub.status()["sync"]["refused_rows"], 0);
    check_readings(&kitchen.sent, &central.readings());
    check_alerts(&kitchen.hub.json(&["alerts", "list", "--all", "--json"]), &central.alerts());
    assert!(kitchen.hub.stop().success(), "the hub stops in order");
    // And nothing is sent twice by a hub that starts once more.
    kitchen.hub.start();
    kitchen
        .hub
        .wait_status("the last look at central", |status| (status["clock"]["trusted"] == true).then_some(()));
    check_readings(&kitchen.sent, &central.readings());
}

impl Kitchen {
    /// Starts everything, pairs the sensors on a hub that is not enrolled yet, and enrols it.
    fn open(central: &Central) -> Self {
        let scratch = Scratch::new("kitchen");
        let broker = Mosquitto::start();
        let receiver = Receiver::start(central.url());
        let pty = Pty::new(scratch.join("radio"));
        let mut hub = Hub::new(&format!(
            "[store]\nwindow_ms = 100\n\
             [[serial]]\nname = \"radio\"\npath = \"{}\"\npreset = \"json\"\n\
             [[mqtt]]\nname = \"broker\"\nurl = \"mqtt://127.0.0.1:{}\"\nkind = \"chirpstack-v4\"\nclient_id = \"e2e\"\n\
             [uplink]\nurl = {:?}\ninterval_s = 1\npoll_s = 10\n\
             [rules]\nconfirm_delay_min = 0\n",
            pty.path().display(),
            broker.port(),
            receiver.url(),
        ));
        hub.start();
        for node in (0..SERIAL_NODES).map(serial_node).chain(broker_nodes()) {
            node.pair(&hub);
        }
        let code = receiver.add_hub(SITE);
        hub.command_with_input(&["enroll", "--code-file", "-", "--create-units"], &code);
        hub.wait_status("a trusted clock and both sources", |status| {
            let is_up = |name: &str| {
                let sources = status["sources"].as_object()?;
                sources.iter().find(|(key, _)| key.contains(name)).filter(|(_, state)| *state == "up")
            };
            (status["clock"]["trusted"] == true && is_up("radio").is_some() && is_up("broker").is_some())
                .then_some(())
        });
        let publisher = Publisher::connect(broker.port(), "network-server");
        Self { hub, receiver, pty, publisher, sent: Ledger::new(), _broker: broker, _scratch: scratch }
    }

    fn play(&mut self, round: u32) {
        let is_killed = HUB_KILLED.contains(&round);
        let takes_event_times = !is_killed && self.hub.status()["clock"]["trusted"] == true;
        let started_ms = unix_ms();
        let lines: Vec<(Node, String)> =
            (0..SERIAL_NODES).map(serial_node).map(|node| (node.clone(), node.line(round))).collect();
        let half = lines.len() / 2;
        let (mut events, mut noted) = (Vec::new(), Vec::new());
        for node in broker_nodes() {
            for count in round * 2..round * 2 + 2 {
                let time_ms = unix_ms();
                events.push(node.event(count, time_ms));
                noted.push((node.clone(), count, time_ms));
            }
        }
        self.publisher.publish(&events);
        self.write(&lines[..half]);
        if is_killed {
            self.hub.kill();
            self.pty.plug();
            self.hub.start();
        }
        self.write(&lines[half..]);
        self.repeat_until_stored(round, lines);
        let until_ms = unix_ms() + CLOCK_ERROR_MS;
        for (node, count, time_ms) in noted {
            // A time ahead of the hub's clock, which is right to a few ms, is not believed: reception counts then.
            let from_ms = time_ms - CLOCK_ERROR_MS;
            let until_ms = if takes_event_times { time_ms } else { until_ms };
            self.note(&node, count, Sent { from_ms, until_ms, source: "mqtt" });
        }
        for node in (0..SERIAL_NODES).map(serial_node) {
            let sent = Sent { from_ms: started_ms - CLOCK_ERROR_MS, until_ms, source: "serial" };
            self.note(&node, round, sent);
        }
    }

    /// As a node with retries does: a line that the hub does not report as stored is sent again. The broker repeats its
    /// messages itself.
    fn repeat_until_stored(&mut self, round: u32, mut lines: Vec<(Node, String)>) {
        let mut events: Vec<Node> = broker_nodes().collect();
        let mut repeat_at = now() + REPEAT_AFTER;
        let give_up_at = deadline();
        while !(lines.is_empty() && events.is_empty()) {
            let status = self.hub.status();
            if status["readings"]["waiting_for_commit"] == 0 {
                lines.retain(|(node, _)| node.last_in(&status) != Some(node.hundredths(round)));
                events.retain(|node| node.last_in(&status) != Some(node.hundredths(round * 2 + 1)));
            }
            assert!(
                now() < give_up_at,
                "round {round}: not stored: {lines:?} {events:?}; the status:\n{status:#}"
            );
            if now() > repeat_at {
                self.write(&lines);
                repeat_at = now() + REPEAT_AFTER;
            }
            // The hub needs the processor more than those who ask it.
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn write(&mut self, lines: &[(Node, String)]) {
        for (_, line) in lines {
            self.pty.write(line.as_bytes()).expect("write to the line");
        }
    }

    fn note(&mut self, node: &Node, count: u32, sent: Sent) {
        let before = self.sent.insert((node.unit.clone(), node.hundredths(count)), sent);
        assert!(before.is_none(), "values of a unit do not repeat");
    }
}

/// A sensor and the unit it is in.
#[derive(Clone, Debug)]
struct Node {
    address: String,
    unit: String,
    unit_type: &'static str,
    is_fahrenheit: bool,
    /// Whether it goes out of its limits, and comes back.
    story: Story,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Story {
    Steady,
    OutAndBack,
    OutForGood,
}

fn serial_node(number: u32) -> Node {
    Node {
        address: format!("node-{number}"),
        unit: format!("Serial {number}"),
        unit_type: "fridge",
        is_fahrenheit: number % 2 == 1,
        story: Story::Steady,
    }
}

fn steady_node(number: u32) -> Node {
    Node {
        address: format!("A8404100000000{number:02X}"),
        unit: format!("Steady {number}"),
        unit_type: "fridge",
        is_fahrenheit: number % 2 == 1,
        story: Story::Steady,
    }
}

/// The sensors behind the network server.
fn broker_nodes() -> impl Iterator<Item = Node> {
    (0..STEADY_NODES).map(steady_node).chain(alarming_nodes())
}

fn alarming_nodes() -> impl Iterator<Item = Node> {
    [
        ("A8404100000000A0", "Comes back", Story::OutAndBack),
        ("A8404100000000A1", "Stays out", Story::OutForGood),
    ]
    .into_iter()
    .map(|(address, unit, story)| Node {
        address: address.to_owned(),
        unit: unit.to_owned(),
        unit_type: "freezer",
        is_fahrenheit: false,
        story,
    })
}

impl Node {
    fn pair(&self, hub: &Hub) {
        let (min, max) = match (self.unit_type, self.is_fahrenheit) {
            ("freezer", _) => ("-25", "-18"),
            (_, true) => ("23", "50"),
            (_, false) => ("-5", "10"),
        };
        let scale = if self.is_fahrenheit { "F" } else { "C" };
        hub.command(&[
            "units",
            "add",
            &self.unit,
            "--type",
            self.unit_type,
            "--temp-unit",
            scale,
            "--min",
            min,
            "--max",
            max,
        ]);
        if self.address.starts_with("node") {
            hub.command(&[
                "devices",
                "add",
                &self.address,
                "--source",
                "serial",
                "--port",
                "radio",
                "--unit",
                &self.unit,
            ]);
        } else {
            hub.command(&[
                "devices",
                "add",
                &self.address,
                "--model",
                "dragino/lht65n",
                "--unit",
                &self.unit,
            ]);
        }
    }

    /// The last value of its unit that the hub reports.
    fn last_in(&self, status: &Value) -> Option<i64> {
        status["units"].as_array()?.iter().find(|row| row["name"] == self.unit.as_str())?["last_hundredths"]
            .as_i64()
    }

    /// The nth value in hundredths Celsius.
    fn celsius(&self, count: u32) -> i64 {
        let is_out = match self.story {
            Story::Steady => return i64::from(count),
            Story::OutAndBack => (30..60).contains(&count),
            Story::OutForGood => count >= 70,
        };
        i64::from(count) - if is_out { 1_000 } else { 2_000 }
    }

    /// The nth value in the unit's scale: as PostgreSQL must hold it.
    fn hundredths(&self, count: u32) -> i64 {
        let celsius = self.celsius(count);
        if self.is_fahrenheit { (celsius * 9 * 2 + 5).div_euclid(10) + 3_200 } else { celsius }
    }

    fn line(&self, round: u32) -> String {
        let celsius = self.celsius(round) as f64 / 100.0;
        format!("{}\r\n", json!({ "id": self.address, "temperature_c": celsius, "counter": round + 1 }))
    }

    /// Topic and event of ChirpStack v4 around a payload of the LHT65N, whose probe is the external one.
    fn event(&self, count: u32, time_ms: i64) -> (String, String) {
        let [high, low] = (self.celsius(count) as i16).to_be_bytes();
        let payload = [0xCB, 0xC6, 0x08, 0x34, 0x01, 0xF4, 0x01, high, low, 0x7F, 0xFF];
        let eui = self.address.to_lowercase();
        let time = jiff::Timestamp::from_millisecond(time_ms).expect("a time of today");
        let event = json!({
            "deduplicationId": format!("{eui}-{count}"),
            "time": time.to_string(),
            "deviceInfo": { "deviceName": self.unit, "devEui": eui },
            "devAddr": "00189440",
            "fCnt": count,
            "fPort": 2,
            "data": base64::Engine::encode(&base64::engine::general_purpose::STANDARD, payload),
        });
        (format!("application/1/device/{eui}/event/up"), event.to_string())
    }
}

#[track_caller]
fn check_readings(sent: &Ledger, rows: &[crate::central::Reading]) {
    assert_eq!(sent.len(), 2_000);
    let mut seen: BTreeMap<(String, i64), u32> = BTreeMap::new();
    for row in rows {
        let key = (row.unit.clone(), row.hundredths);
        let Some(sent) = sent.get(&key) else { panic!("nobody sent {row:?}") };
        assert_eq!(row.source, sent.source, "{row:?}");
        assert!((sent.from_ms..=sent.until_ms).contains(&row.recorded_ms), "{row:?} was sent at {sent:?}");
        *seen.entry(key).or_default() += 1;
    }
    let twice: Vec<_> = seen.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "arrived more than once: {twice:?}");
    let missing: Vec<_> = sent.keys().filter(|key| !seen.contains_key(*key)).collect();
    assert!(missing.is_empty(), "{} never arrived: {missing:?}", missing.len());
}

#[track_caller]
fn check_alerts(hub: &Value, central: &[crate::central::Alert]) {
    let listed = hub["alerts"].as_array().expect("a list of alerts");
    let mut of_hub: Vec<crate::central::Alert> = listed
        .iter()
        .map(|alert| {
            let text = |key: &str| alert[key].as_str().unwrap_or_default().to_owned();
            crate::central::Alert {
                id: text("id"),
                unit: text("unit"),
                alert_type: text("type"),
                severity: text("severity"),
                status: text("status"),
                triggered_ms: alert["triggered_ms"].as_i64().expect("an alert was triggered"),
                resolved_ms: alert["resolved_ms"].as_i64(),
            }
        })
        .collect();
    of_hub.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(of_hub, central, "the hub's alerts and PostgreSQL's");
    let of = |unit: &str| -> Vec<_> { central.iter().filter(|alert| alert.unit == unit).collect() };
    for (unit, is_open) in [("Comes back", false), ("Stays out", true)] {
        let [alert] = of(unit)[..] else { panic!("one alert of {unit}: {central:?}") };
        assert_eq!(
            (alert.alert_type.as_str(), alert.severity.as_str()),
            ("alarm_active", "critical"),
            "{alert:?}"
        );
        assert_eq!(alert.resolved_ms.is_none(), is_open, "{alert:?}");
    }
    assert_eq!(central.len(), 2, "{central:?}");
}
