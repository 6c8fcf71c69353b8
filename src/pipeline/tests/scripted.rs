//! A script holds no answer up: what was heard is stored and answered before it runs, and is decoded all the same.

use std::sync::Mutex;

use super::lorawan::{Air, GATEWAY, KEY};
use super::scripts::{BROKEN, GOOD, MANIFEST, sent};
use super::*;
use crate::clock::NtpState;
use crate::codec::script::Script;
use crate::lorawan::tests::sensor::{Sensor, Up};
use crate::pipeline::group::WRITES_MAX;
use crate::pipeline::scripted::WAITING_MAX;

const NOT_RUN_YET: &str = "undecodable: its script has not run yet";

fn codecs() -> Arc<Codecs> {
    Arc::new(Codecs::with(vec![Script::new("logger", GOOD, MANIFEST).unwrap()]))
}

/// A sensor of the script's model that has joined and was heard once, at 4.00 °C.
fn joined() -> (Air, Sensor) {
    let mut air = Air::with(&[GATEWAY], codecs());
    let mut sensor = Sensor::new(1, KEY);
    air.begin_as(&sensor, "custom/logger");
    air.join(&mut sensor);
    air.hear(sensor.reading(&[1, 0x90]));
    air.after(20);
    air.hub.commit();
    assert_eq!(air.hub.readings(), ["400 C at 0"]);
    (air, sensor)
}

fn confirmed(sensor: &mut Sensor, payload: &[u8]) -> Vec<u8> {
    sensor.send(&Up { confirmed: true, payload: Some((2, payload.to_vec())), ..Up::default() })
}

#[test]
fn a_confirmed_frame_is_stored_and_answered_before_its_script_runs() {
    let (mut air, mut sensor) = joined();
    let committed: Arc<Mutex<Vec<String>>> = Arc::default();
    let (seen, path) = (committed.clone(), air.hub.core().store.path());
    air.hub.core().on_urgent(Box::new(move || {
        let other = rusqlite::Connection::open(&path).unwrap();
        let newest = "SELECT outcome || ': ' || detail FROM hub_frames ORDER BY no DESC LIMIT 1";
        seen.lock().unwrap().extend(rows(&other, newest));
    }));
    air.hear(confirmed(&mut sensor, &[1, 0x9A]));
    let orders = air.after(20);
    assert!(sensor.hear(&orders[0].downlink.phy).unwrap().ack);
    assert_eq!(*committed.lock().unwrap(), [NOT_RUN_YET]);
    air.hub.commit();
    assert_eq!(air.hub.readings(), ["400 C at 0", "410 C at 0"]);
    assert_eq!(air.hub.outcomes().last().unwrap(), "reading");
    assert_eq!(air.hub.count("frames.reading{lorawan}"), 2);
    assert_eq!(air.hub.count("frames.undecodable{lorawan}"), 0);
    assert_eq!(air.hub.redecode(None, true), [2, 2, 0, 2]);
    air.hub.check_audit();
}

#[test]
fn what_was_answered_and_not_decoded_before_a_power_cut_is_decoded_after_it() {
    let (mut air, mut sensor) = joined();
    air.hear(confirmed(&mut sensor, &[1, 0x9A]));
    air.hub.clock.advance(20);
    let at = crate::clock::Clock::mono(&*air.hub.clock);
    air.hub.core().judge_network(at);
    air.hub.core().flush_if_due(at);
    assert_eq!(air.hub.outcomes().last().unwrap(), NOT_RUN_YET);
    air.restart();
    assert_eq!(air.hub.readings(), ["400 C at 0", "410 C at 0 late"]);
    assert_eq!(air.hub.outcomes().last().unwrap(), "reading: decoded again");
    air.restart();
    assert_eq!(air.hub.redecode(None, true), [2, 2, 0, 2]);
    assert_eq!(air.hub.readings().len(), 2, "once");
    air.hub.check_audit();
}

/// A hub with a fridge, a freezer and a device of the script's model in the fridge.
fn with_logger() -> Hub {
    with_logger_at(TestClock::new(MonoMs(10 * SECOND), UnixMs(NOW)))
}

fn with_logger_at(clock: TestClock) -> Hub {
    let mut hub = Hub::with_clock(clock);
    hub.stop();
    hub.codecs = codecs();
    hub.start();
    hub.add_unit("Fridge", "fridge");
    hub.add_unit("Freezer", "freezer");
    hub.ask(
        json!({ "request": "devices_add", "address": eui(1), "model": "custom/logger", "unit": "Fridge" }),
    );
    hub
}

fn hear_only(hub: &mut Hub, frame: Frame) {
    hub.core().hear(SourceEvent::Frame(Box::new(frame)));
}

#[test]
fn a_frame_waits_only_where_its_device_listens_and_the_kept_one_tells_all() {
    let mut hub = with_logger();
    hub.ask(json!({
        "request": "devices_add", "address": eui(2), "unit": "Freezer", "probe": "external",
    }));
    let mut counter = 0;
    let mut check = |change: &dyn Fn(&mut Frame), waiting: usize| {
        counter += 1;
        let mut frame = sent(counter, &[1, 0x90]);
        change(&mut frame);
        hear_only(&mut hub, frame.clone());
        assert_eq!(hub.core().scripted.len(), waiting, "{frame:?}");
        hub.commit();
        assert_eq!(hub.outcomes().last().unwrap(), "reading", "{frame:?}");
    };
    check(&|_| {}, 1);
    check(&|frame| frame.sender.source = Source::Mqtt, 0);
    check(&|frame| frame.is_delayed = true, 0);
    check(&|frame| frame.network_time = Some(UnixMs(NOW)), 0);
    // Its model is not kept.
    check(&|frame| (frame.sender.address, frame.model) = (eui(2), Some("custom/logger".into())), 0);
    hub.check_audit();
}

/// What becomes of 70 frames whose scripts had not run when the power was cut, and which `change` was done to meanwhile.
#[track_caller]
fn check_interrupted(change: &dyn Fn(&mut Hub), want: &str, readings: &str) {
    let mut hub = with_logger();
    for counter in 1..=70 {
        hub.hear(sent(counter, &[1, counter as u8]));
        hub.pass(SECOND);
    }
    hub.commit();
    hub.cut_power();
    {
        let store = rusqlite::Connection::open(hub.dir.path().join("hub.db")).unwrap();
        store
            .execute(
                "UPDATE hub_frames SET outcome = 'undecodable', detail = 'its script has not run yet'",
                [],
            )
            .unwrap();
        store.execute("DELETE FROM hub_log", []).unwrap();
    }
    change(&mut hub);
    hub.start();
    let fates = hub.rows("SELECT DISTINCT outcome || ': ' || detail FROM hub_frames");
    assert!(fates.iter().all(|fate| fate.starts_with(want)), "{fates:?}");
    assert_eq!(hub.row("SELECT count(*) FROM hub_log"), readings, "{want}");
    hub.check_audit();
}

#[test]
fn whatever_comes_of_it_an_interrupted_frame_waits_no_longer() {
    check_interrupted(&|_| {}, "reading: decoded again", "70");
    let broken = |hub: &mut Hub| {
        let script = Script::new("logger", BROKEN, MANIFEST).unwrap();
        hub.codecs = Arc::new(Codecs::with(vec![script]));
    };
    check_interrupted(&broken, "undecodable: logger.js line 1: ", "0");
    let nameless = |hub: &mut Hub| {
        let store = rusqlite::Connection::open(hub.dir.path().join("hub.db")).unwrap();
        store.execute("UPDATE hub_devices SET model = ''", []).unwrap();
    };
    check_interrupted(&nameless, "undecodable: no model is set for this device", "0");
}

#[test]
fn an_interrupted_frame_of_a_time_not_known_yet_waits_for_it() {
    let clock = TestClock::new(MonoMs(10 * SECOND), UnixMs(10 * SECOND));
    clock.set_ntp(NtpState::Unsynchronized);
    let mut hub = with_logger_at(clock);
    hear_only(&mut hub, sent(1, &[1, 0x90]));
    hub.core().flush().unwrap();
    hub.cut_power();
    hub.start();
    hub.pass(MINUTE);
    assert_eq!((hub.outcomes(), hub.readings()), (vec![NOT_RUN_YET.to_owned()], vec![]));
    hub.clock.set_wall(UnixMs(NOW));
    hub.clock.set_ntp(NtpState::Synchronized { error_ms: 5 });
    hub.pass(MINUTE);
    assert_eq!(hub.outcomes(), ["reading: decoded again"]);
    assert_eq!(hub.row("SELECT temperature, tag & 2 FROM hub_log"), "400|2");
    hub.check_audit();
}

#[test]
fn a_frame_that_does_not_fit_is_not_kept_however_many_scripts_wait() {
    let mut hub = with_logger();
    hub.pair(2, "Freezer");
    let mut counter = 0;
    while hub.core().group.writes.len() < WRITES_MAX - WAITING_MAX {
        counter += 1;
        hear_only(&mut hub, climate(2, counter, -1_900));
    }
    for counter in 1..=WAITING_MAX as u32 {
        hear_only(&mut hub, sent(counter, &[1, counter as u8]));
    }
    assert_eq!(hub.core().scripted.len(), WAITING_MAX);
    let ack = AckToken { source: 1, connection: 1, message: 77 };
    let refused = Frame { ack: Some(ack), ..climate(2, counter + 1, -2_000) };
    hub.hear(refused.clone());
    let stored = "SELECT count(*) FROM hub_log WHERE temperature = -2000";
    hub.commit();
    assert_eq!((hub.row(stored).as_str(), hub.acks.contains(&77)), ("0", false));
    hub.hear(refused);
    hub.commit();
    assert_eq!((hub.row(stored).as_str(), hub.acks.contains(&77)), ("1", true));
    hub.pass(WAITING_MAX as i64 * SECOND);
    let of_scripts = "SELECT count(*) FROM hub_log WHERE unit_no = 1";
    assert_eq!(hub.row(of_scripts), WAITING_MAX.to_string(), "none of those that wait is lost");
    hub.check_audit();
}

#[test]
fn what_was_heard_before_a_move_is_of_the_unit_it_was_in() {
    let devices_add = json!({ "request": "devices_add", "address": eui(3), "unit": "Freezer" });
    let assign = json!({ "request": "devices_assign", "device": eui(1), "unit": "Freezer" });
    for (move_it, units) in [
        ((&|hub: &mut Hub| drop(hub.ask(assign.clone()))) as &dyn Fn(&mut Hub), ["1", "2"]),
        (&|hub: &mut Hub| drop(hub.ask(devices_add.clone())), ["1", "1"]),
        // As a pairing does it.
        (
            &|hub: &mut Hub| {
                hub.core().store.connection().execute("UPDATE hub_assignments SET unit_no = 2", []).unwrap();
                hub.core().configure().unwrap();
            },
            ["1", "2"],
        ),
    ] {
        let mut hub = with_logger();
        hear_only(&mut hub, sent(1, &[1, 0x90]));
        move_it(&mut hub);
        assert!(hub.core().scripted.is_empty());
        hear_only(&mut hub, sent(2, &[1, 0x90]));
        hub.commit();
        assert_eq!(hub.rows("SELECT unit_no FROM hub_log ORDER BY seq"), units);
        hub.check_audit();
    }
}

#[test]
fn frames_wait_in_their_order_and_not_without_a_bound() {
    let mut hub = with_logger();
    let count = WAITING_MAX as u32 + 6;
    for counter in 1..=count {
        hub.core().hear(SourceEvent::Frame(Box::new(sent(counter, &[1, counter as u8]))));
    }
    assert_eq!(hub.core().sleep_ms(), 0, "there is something to do");
    assert_eq!(hub.core().scripted.len(), WAITING_MAX);
    // Closed and started again: none is lost, and none comes twice.
    hub.stop();
    hub.start();
    let temperatures: Vec<String> = (1..=count).map(|counter| (256 + counter).to_string()).collect();
    assert_eq!(hub.rows("SELECT temperature FROM hub_log ORDER BY seq"), temperatures);
    assert_eq!(hub.row("SELECT DISTINCT outcome FROM hub_frames"), "reading");
    // A request that decodes again does not meet one that waits.
    hub.core().hear(SourceEvent::Frame(Box::new(sent(200, &[1, 200]))));
    assert_eq!(hub.redecode(Some(&eui(1)), false), [0, 0, 0, 0]);
    assert_eq!(hub.row("SELECT count(*) FROM hub_log"), (count + 1).to_string());
    hub.check_audit();
}

#[test]
fn a_confirmed_frame_that_does_not_fit_is_not_answered_until_it_does() {
    for is_cut in [false, true] {
        let (mut air, mut sensor) = joined();
        air.hub.pair(2, "Fridge");
        let read_only = |air: &mut Air, is_so: bool| {
            air.hub.core().store.connection().pragma_update(None, "query_only", is_so).unwrap();
        };
        read_only(&mut air, true);
        for counter in 0..WRITES_MAX as u32 / 2 {
            air.hub.core().hear(SourceEvent::Frame(Box::new(climate(2, counter, 400))));
        }
        let phy = confirmed(&mut sensor, &[1, 0x9A]);
        air.hear(phy.clone());
        assert_eq!(air.after(20), []);
        assert_eq!(air.hub.count("lorawan.withheld{not_kept}"), 1);
        read_only(&mut air, false);
        assert_eq!(air.after(2 * SECOND), [], "the group is written, and the frame is not in it");
        let stored = "SELECT count(*) FROM hub_log WHERE temperature = 410";
        assert_eq!(air.hub.row(stored), "0");
        if is_cut {
            air.restart();
        }
        air.hear(phy.clone());
        let orders = air.after(20);
        assert!(sensor.hear(&orders[0].downlink.phy).unwrap().ack);
        air.hub.commit();
        assert_eq!(air.hub.row(stored), "1");
        // A repetition of what is stored is answered and not read.
        air.hear(phy);
        assert_eq!(air.after(20).len(), 1);
        assert_eq!(air.hub.count("lorawan.frames{repeated}"), 1);
        air.hub.commit();
        assert_eq!(air.hub.row(stored), "1");
        air.hub.check_audit();
    }
}
