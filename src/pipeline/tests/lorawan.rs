//! The network server on the core's thread: nothing is answered before it is stored, and sessions end in time.

use tokio::sync::mpsc;

use super::*;
use crate::config::Config;
use crate::lorawan::gateway::{Context, GatewayEvent, GatewayFrame, Order, Reception};
use crate::lorawan::ids::Eui;
use crate::lorawan::rate::DataRate;
use crate::lorawan::tests::sensor::Sensor;

pub(super) const GATEWAY: Eui = Eui([0xb8, 0x27, 0xeb, 0xff, 0xfe, 0, 0, 1]);
const OTHER: Eui = Eui([0xb8, 0x27, 0xeb, 0xff, 0xfe, 0, 0, 2]);
pub(super) const KEY: [u8; 16] = [0x5a; 16];

pub(super) struct Air {
    pub hub: Hub,
    orders: mpsc::Receiver<Order>,
}

impl Air {
    pub fn new(gateways: &[Eui]) -> Self {
        Self::with(gateways, Arc::default())
    }

    pub fn with(gateways: &[Eui], codecs: Arc<Codecs>) -> Self {
        let listed: Vec<String> = gateways.iter().map(|eui| format!("\"{eui}\"")).collect();
        let text = format!("[lorawan]\nregion = \"EU868\"\ngateways = [{}]\n", listed.join(", "));
        let mut hub = Hub::new();
        hub.lorawan = Config::parse(&text).unwrap().lorawan;
        hub.codecs = codecs;
        hub.stop();
        hub.start();
        hub.add_unit("Fridge", "fridge");
        let orders = hub.core().connect_gateways().unwrap().orders;
        Self { hub, orders }
    }

    /// Another program after a power cut.
    pub fn restart(&mut self) {
        self.hub.cut_power();
        self.hub.start();
        self.orders = self.hub.core().connect_gateways().unwrap().orders;
    }

    /// Opens a session for the sensor; gives its code.
    pub fn begin(&mut self, sensor: &Sensor) -> String {
        self.begin_as(sensor, "dragino/lht65n")
    }

    pub fn begin_as(&mut self, sensor: &Sensor, model: &str) -> String {
        let opened = self.hub.ask(json!({ "request": "pair_open", "unit": "Fridge", "model": model }));
        let code = opened["code"].as_str().unwrap().to_owned();
        self.hub.ask(json!({
            "request": "pair_device", "code": code, "device": Eui(sensor.dev_eui).to_string(),
            "key": frostguard_sync::ids::hex(&KEY),
        }));
        code
    }

    pub fn hear(&mut self, phy: Vec<u8>) {
        self.hear_by(phy, Some(Context::Udp { tmst: 0 }), None);
    }

    /// By a gateway that says when it was.
    fn hear_dated(&mut self, phy: Vec<u8>, gnss: Option<UnixMs>) {
        self.hear_by(phy, Some(Context::Udp { tmst: 0 }), gnss);
    }

    /// Without a context the gateway kept the frame for a while.
    fn hear_by(&mut self, phy: Vec<u8>, context: Option<Context>, gnss: Option<UnixMs>) {
        let is_delayed = context.is_none();
        let at = crate::clock::Clock::mono(&*self.hub.clock);
        let reception = Reception {
            gateway: GATEWAY,
            at,
            hz: 868_100_000,
            rate: DataRate::Lora { sf: 7, bw_khz: 125 },
            rssi_dbm: Some(-80),
            snr_tenths: Some(80),
            context,
            gnss,
            is_delayed,
        };
        let frames = vec![GatewayFrame { phy, reception }];
        self.hub.core().hear(SourceEvent::Gateway(Box::new(GatewayEvent::Heard {
            gateway: GATEWAY,
            frames,
            stat: None,
            at,
        })));
        self.hub.tick();
    }

    /// `ms` later; the orders given until then.
    pub fn after(&mut self, ms: i64) -> Vec<Order> {
        self.hub.clock.advance(ms);
        self.hub.tick();
        std::iter::from_fn(|| self.orders.try_recv().ok()).collect()
    }

    pub fn join(&mut self, sensor: &mut Sensor) {
        self.hear(sensor.join_request());
        let order = self.after(20).remove(0);
        sensor.accept(&order.downlink.phy).unwrap();
    }

    fn session(&self) -> String {
        self.hub.row("SELECT status || ' ' || coalesce(metadata ->> 'reason', '') FROM pairing_sessions")
    }
}

#[test]
fn a_frame_is_judged_when_every_gateway_has_heard_it() {
    for (gateways, early) in [(&[GATEWAY][..], 1), (&[GATEWAY, OTHER], 0)] {
        let mut air = Air::new(gateways);
        let mut sensor = Sensor::new(1, KEY);
        air.begin(&sensor);
        air.hear(sensor.join_request());
        assert_eq!(air.after(19).len(), 0);
        assert_eq!(air.after(1).len(), early, "{gateways:?}");
        assert_eq!(air.after(180).len(), 1 - early, "{gateways:?}");
    }
}

#[test]
fn nothing_is_answered_that_is_not_stored() {
    let mut air = Air::new(&[GATEWAY]);
    let mut sensor = Sensor::new(1, KEY);
    air.begin(&sensor);
    air.hub.core().store.connection().pragma_update(None, "query_only", true).unwrap();
    air.hear(sensor.join_request());
    assert_eq!(air.after(100), []);
    assert!(air.hub.core().failing().is_some());
    air.hub.core().store.connection().pragma_update(None, "query_only", false).unwrap();
    // The commit is tried again in time for the window, and only then the answer leaves.
    let orders = air.after(SECOND);
    assert_eq!(orders.len(), 1);
    sensor.accept(&orders[0].downlink.phy).unwrap();
    assert_eq!(air.hub.row("SELECT count(*) FROM hub_lora_devices WHERE pending IS NOT NULL"), "1");
}

#[test]
fn a_reading_its_session_and_the_device_are_there_after_a_power_cut() {
    let mut air = Air::new(&[GATEWAY]);
    let mut sensor = Sensor::new(1, KEY);
    air.begin(&sensor);
    air.join(&mut sensor);
    assert_eq!(air.session(), "pending ");
    let frame = climate(1, 0, 350);
    air.hear(sensor.reading(frame.payload.bytes()));
    air.after(20);
    assert_eq!(air.session(), "completed ");
    air.hub.commit();
    air.hub.cut_power();
    air.hub.start();
    for (sql, want) in [
        ("SELECT count(*) FROM hub_log", "1"),
        ("SELECT dev_eui, activation_type FROM lora_sensors", "A840410000000001|OTAA"),
        (
            "SELECT d.device_eui, u.name FROM devices AS d JOIN units AS u ON u.id = d.unit_id",
            "A840410000000001|Fridge",
        ),
        (
            "SELECT count(*) FROM hub_dirty WHERE table_name IN ('devices', 'lora_sensors', 'pairing_sessions')",
            "3",
        ),
        ("SELECT count(*) FROM hub_lora_devices WHERE session IS NOT NULL AND pending IS NULL", "1"),
    ] {
        assert_eq!(air.hub.row(sql), want, "{sql}");
    }
    air.hub.check_audit();
}

#[test]
fn a_session_that_comes_to_nothing_says_why_and_keeps_no_key() {
    let check = |hear: fn(&mut Air, &mut Sensor), want: &str| {
        let mut air = Air::new(&[GATEWAY]);
        let mut sensor = Sensor::new(1, KEY);
        air.begin(&sensor);
        hear(&mut air, &mut sensor);
        air.hub.pass(15 * MINUTE);
        assert!(air.session().starts_with(want), "{}", air.session());
        assert_eq!(air.hub.row("SELECT count(*) FROM hub_lora_devices"), "0");
        assert_eq!(air.hub.row("SELECT count(*) FROM devices"), "0");
        air.hub.check_audit();
    };
    check(|_, _| {}, "expired it was not heard joining in time");
    let wrong_key = |air: &mut Air, sensor: &mut Sensor| {
        sensor.app_key = [1; 16];
        for _ in 0..3 {
            air.hear(sensor.join_request());
            air.after(20);
        }
        assert!(air.session().starts_with("failed wrong key: MIC failed 3 times"), "{}", air.session());
    };
    check(wrong_key, "failed wrong key");
    let reused = |air: &mut Air, sensor: &mut Sensor| {
        air.join(sensor);
        for _ in 0..3 {
            // Beyond the time in which the same bytes are the same transmission.
            air.after(11 * SECOND);
            air.hear(sensor.join_request_with(1));
            air.after(20);
        }
    };
    check(reused, "failed DevNonce reused 3 times");
    let unheard = |air: &mut Air, sensor: &mut Sensor| {
        for _ in 0..3 {
            air.join(sensor);
        }
    };
    check(unheard, "failed 3 joins answered and the device joins again");
}

#[test]
fn a_session_goes_on_after_a_restart_and_can_be_given_up() {
    let mut air = Air::new(&[GATEWAY]);
    let sensor = Sensor::new(1, KEY);
    let code = air.begin(&sensor);
    air.hub.commit();
    air.hub.reboot(MINUTE);
    air.hub.ask(json!({ "request": "pair_cancel", "code": code.to_lowercase() }));
    assert_eq!(air.session(), "failed cancelled");
    assert!(air.hub.try_ask(json!({ "request": "pair_cancel", "code": code })).is_err());
}

#[test]
fn numbers_go_ahead_under_another_epoch() {
    let mut air = Air::new(&[GATEWAY]);
    let mut sensor = Sensor::new(1, KEY);
    air.begin(&sensor);
    air.join(&mut sensor);
    air.hear(sensor.reading(&[]));
    air.after(20);
    air.hub.commit();
    let numbers = |air: &Air| -> (i64, i64) {
        let sql = "SELECT join_state ->> 'next_join_nonce', session ->> 'f_cnt_down' FROM hub_lora_devices";
        let row = air.hub.row(sql);
        let (nonce, count) = row.split_once('|').unwrap();
        (nonce.parse().unwrap(), count.parse().unwrap())
    };
    let before = numbers(&air);
    air.hub.core().rewind("the receiver has other batches").unwrap();
    assert_eq!(numbers(&air), (before.0 + 1_024, before.1 + 1_024), "while it runs");
    air.hub.stop();
    air.hub.start();
    assert_eq!(numbers(&air), (before.0 + 1_024, before.1 + 1_024), "not once more");
    // As a restored backup looks: written by a former epoch.
    air.hub.core().store.connection().execute("UPDATE hub_lora_devices SET epoch_no = 0", []).unwrap();
    air.hub.stop();
    air.hub.start();
    assert_eq!(numbers(&air), (before.0 + 2_048, before.1 + 2_048), "at the start");
}

/// An LHT65N's frame of this temperature in its cable's probe, in hundredths.
fn payload(hundredths: i16) -> Vec<u8> {
    climate(1, 0, hundredths).payload.bytes().to_vec()
}

#[test]
fn a_join_played_again_does_not_undo_the_pairing_it_began() {
    let mut air = Air::new(&[GATEWAY]);
    let mut sensor = Sensor::new(1, KEY);
    air.begin(&sensor);
    let recorded = sensor.clone().join_request();
    air.join(&mut sensor);
    for _ in 0..3 {
        air.after(11 * SECOND);
        air.hear(recorded.clone());
        air.after(20);
    }
    air.hear(sensor.reading(&payload(350)));
    air.after(20);
    assert_eq!(air.session(), "completed ");
    air.hub.commit();
    assert_eq!(air.hub.row("SELECT count(*) FROM hub_log"), "1");
}

#[test]
fn a_device_that_is_named_once_more_keeps_the_join_it_made() {
    let mut air = Air::new(&[GATEWAY]);
    let mut sensor = Sensor::new(1, KEY);
    let code = air.begin(&sensor);
    air.join(&mut sensor);
    air.hub.ask(json!({
        "request": "pair_device", "code": code, "device": Eui(sensor.dev_eui).to_string(), "name": "Door",
        "key": frostguard_sync::ids::hex(&KEY),
    }));
    air.hear(sensor.reading(&payload(350)));
    air.after(20);
    assert_eq!(air.session(), "completed ");
    assert_eq!(air.hub.row("SELECT name FROM devices"), "Door");
    // Another key is another start.
    let mut air = Air::new(&[GATEWAY]);
    let mut sensor = Sensor::new(1, [1; 16]);
    let code = air.begin(&sensor);
    air.hear(sensor.join_request());
    air.hub.ask(json!({
        "request": "pair_device", "code": code, "device": Eui(sensor.dev_eui).to_string(),
        "key": frostguard_sync::ids::hex(&[1; 16]),
    }));
    air.join(&mut sensor);
}

#[test]
fn a_device_that_came_from_a_server_gets_the_model_it_is_paired_as() {
    let mut air = Air::new(&[GATEWAY]);
    air.hub.ask(json!({ "request": "devices_add", "address": eui(1), "unit": "Fridge" }));
    let mut sensor = Sensor::new(1, KEY);
    air.begin(&sensor);
    air.join(&mut sensor);
    air.hear(sensor.reading(&payload(350)));
    air.after(20);
    air.hub.commit();
    assert_eq!(air.hub.row("SELECT device_type FROM devices"), "dragino/lht65n");
    assert!(air.hub.rows("SELECT temperature FROM hub_log").contains(&"350".to_owned()));
}

#[test]
fn nobody_else_speaks_for_a_joined_device() {
    let mut air = Air::new(&[GATEWAY]);
    let mut sensor = Sensor::new(1, KEY);
    air.begin(&sensor);
    air.join(&mut sensor);
    air.hear(sensor.reading(&payload(350)));
    air.after(20);
    for (source, port) in [(Source::Serial, "radio"), (Source::Mqtt, "chirpstack")] {
        for counter in [7, 8] {
            let mut forged = values(1, counter, vec![degrees(400)]);
            forged.sender.source = source;
            forged.sender.port = port.into();
            air.hub.hear(forged);
        }
        air.hub.commit();
        assert_eq!(air.hub.row("SELECT temperature FROM hub_log"), "350", "{port}");
        assert_eq!(air.hub.count(&format!("devices.impostors{{{port}}}")), 2);
        let outcomes = format!("SELECT DISTINCT outcome FROM hub_frames WHERE port = '{port}'");
        assert_eq!(air.hub.row(&outcomes), "stranger");
    }
    // It goes on by itself; and one that is only meant to join here is heard over its network server until it did.
    air.hub.pass(MINUTE);
    air.hear(sensor.reading(&payload(360)));
    air.after(20);
    air.hub.commit();
    assert_eq!(air.hub.rows("SELECT temperature FROM hub_log"), ["350", "360"]);
    let waiting = Sensor::new(2, KEY);
    air.hub
        .ask(json!({ "request": "devices_add", "address": eui(2), "unit": "Fridge", "probe": "external" }));
    air.begin(&waiting);
    let mut before = values(2, 1, vec![degrees(420)]);
    (before.sender.source, before.sender.port) = (Source::Mqtt, "chirpstack".into());
    air.hub.hear(before);
    air.hub.commit();
    assert_eq!(air.hub.rows("SELECT temperature FROM hub_log"), ["350", "360", "420"]);
}

#[test]
fn the_window_is_chosen_after_the_commit_which_may_take_long() {
    let mut air = Air::new(&[GATEWAY]);
    let mut sensor = Sensor::new(1, KEY);
    air.begin(&sensor);
    let clock = air.hub.clock.clone();
    // A slow disk: the first window of a join, 5 s after it, is as good as over.
    air.hub.core().on_urgent(Box::new(move || clock.advance(4_950)));
    air.hear(sensor.join_request());
    let order = air.after(20).remove(0);
    assert_eq!(order.window.number, 2);
}

#[test]
fn a_session_that_cannot_be_ended_is_not_tried_without_a_pause() {
    let mut air = Air::new(&[GATEWAY]);
    air.begin(&Sensor::new(1, KEY));
    air.hub.pass(14 * MINUTE);
    air.hub.core().store.connection().pragma_update(None, "query_only", true).unwrap();
    air.hub.pass(2 * MINUTE);
    // Another sensor's frame waits for the disk too.
    air.hub.hear(climate(9, 1, 350));
    let before = air.hub.count("store.failed_commits");
    for _ in 0..20 {
        air.hub.tick();
    }
    assert!(air.hub.count("store.failed_commits") <= before + 1, "commits are tried without a pause");
    air.hub.core().store.connection().pragma_update(None, "query_only", false).unwrap();
    air.hub.pass(MINUTE);
    assert!(air.session().starts_with("expired "), "{}", air.session());
}

#[test]
fn a_gateway_with_a_wrong_time_makes_no_present_reading_late() {
    let mut air = Air::new(&[GATEWAY]);
    let mut sensor = Sensor::new(1, KEY);
    air.begin(&sensor);
    air.join(&mut sensor);
    air.hear(sensor.reading(&payload(350)));
    air.after(20);
    air.hub.pass(MINUTE);
    air.hear_dated(sensor.reading(&payload(1_500)), Some(UnixMs(NOW - 60 * MINUTE)));
    air.after(20);
    air.hub.commit();
    assert_eq!(
        air.hub.rows("SELECT temperature, tag & 2, own_ms FROM hub_log ORDER BY seq"),
        ["350|0|-", "1500|0|-"]
    );
}

#[test]
fn what_a_gateway_kept_is_no_present_reading() {
    let mut air = Air::new(&[GATEWAY]);
    let mut sensor = Sensor::new(1, KEY);
    air.begin(&sensor);
    air.join(&mut sensor);
    air.hear(sensor.reading(&payload(350)));
    air.after(20);
    air.hub.pass(10 * MINUTE);
    for gnss in [None, Some(UnixMs(NOW + 5 * MINUTE))] {
        air.hear_by(sensor.reading(&payload(1_500)), None, gnss);
        air.after(20);
    }
    air.hub.commit();
    assert_eq!(
        air.hub.rows("SELECT temperature, tag & 2, own_ms IS NULL FROM hub_log ORDER BY seq"),
        ["350|0|1", "1500|2|1", "1500|0|0"]
    );
}

#[test]
fn a_sensor_that_joined_may_take_longer_than_the_session_to_speak() {
    let mut air = Air::new(&[GATEWAY]);
    let mut sensor = Sensor::new(1, KEY);
    air.begin(&sensor);
    air.join(&mut sensor);
    // Nobody heard its first frame; the next comes when it is due.
    sensor.reading(&payload(350));
    air.hub.pass(20 * MINUTE);
    air.hub.commit();
    air.hub.reboot(MINUTE);
    air.hub.core().connect_gateways().unwrap();
    air.hub.tick();
    assert_eq!(air.session(), "pending ");
    air.hear(sensor.reading(&payload(360)));
    air.after(20);
    assert_eq!(air.session(), "completed ");

    let mut air = Air::new(&[GATEWAY]);
    let mut sensor = Sensor::new(1, KEY);
    air.begin(&sensor);
    air.join(&mut sensor);
    for _ in 0..4 * 25 {
        air.after(15 * MINUTE);
    }
    assert!(air.session().starts_with("expired it joined and was not heard since"), "{}", air.session());
    assert_eq!(air.hub.row("SELECT count(*) FROM hub_lora_devices"), "0");
}
