//! One frame to its rows.

use serde_json::json;

use super::*;

/// Hears a frame and commits; says what became of it ("reading", "duplicate: counter") and the rows of the log it added:
/// unit, probe, hundredths and scale, "late", own time before `NOW` in seconds, humidity.
#[track_caller]
fn check(hub: &mut Hub, frame: Frame, want: &str, want_rows: &[&str]) {
    let last = hub.row("SELECT coalesce(max(seq), 0) FROM hub_log");
    hub.hear(frame);
    hub.commit();
    let got =
        hub.row("SELECT outcome || coalesce(': ' || detail, '') FROM hub_frames ORDER BY no DESC LIMIT 1");
    assert_eq!(got, want);
    let rows = hub.rows(&format!(
        "SELECT 'unit ' || unit_no || ' probe ' || (tag >> 6) || ': ' || temperature || iif(tag & 1, ' F', ' C')
            || iif(tag & 2, ' late', '') || coalesce(' own ' || ((own_ms - {NOW}) / 1000), '')
            || coalesce(' humidity ' || humidity, '')
         FROM hub_log WHERE seq > {last} ORDER BY seq"
    ));
    assert_eq!(rows, want_rows, "{want}");
}

const FAULTY: &str = "SELECT count(*) FROM hub_inputs WHERE kind = 'faulty'";

fn binary(sensor: u32, counter: u32, f_port: u8, hex: &str) -> Frame {
    let hex: String = hex.split_whitespace().collect();
    let bytes =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    frame(sensor, counter, Payload::Binary { f_port, bytes })
}

#[test]
fn a_stranger_is_kept_listed_and_paired() {
    let mut hub = Hub::new();
    let mut stranger = climate(1, 1, 400);
    stranger.model = Some("dragino/lht65n".into());
    check(&mut hub, stranger, "stranger: dragino/lht65n", &[]);
    let listed = hub.ask(json!({ "request": "strangers" }));
    assert_eq!(listed["strangers"][0]["address"], eui(1));
    assert_eq!(listed["strangers"][0]["model_hint"], "dragino/lht65n");

    let pair = |unit: &str| json!({ "request": "devices_add", "address": eui(1), "unit": unit });
    assert!(hub.try_ask(pair("Fridge")).unwrap_err().to_string().contains("no unit \"Fridge\""));
    hub.add_unit("Fridge", "fridge");
    assert!(hub.try_ask(json!({ "request": "units_add", "name": "Fridge", "unit_type": "fridge" })).is_err());
    hub.ask(json!({ "request": "devices_add", "address": eui(1), "model": "dragino/lht65n" }));
    assert!(hub.try_ask(pair("Fridge")).unwrap_err().to_string().contains("paired already"));
    check(&mut hub, climate(1, 2, 400), "unassigned", &[]);
    hub.ask(json!({ "request": "devices_assign", "device": eui(1), "unit": "Fridge" }));
    check(&mut hub, climate(1, 3, 400), "reading", &["unit 1 probe 1: 400 C"]);
    // The body's own temperature in another unit, and then in none.
    hub.add_unit("Kitchen", "display_case");
    hub.ask(json!({ "request": "devices_assign", "device": eui(1), "unit": "Kitchen", "probe": "internal" }));
    let both = ["unit 1 probe 1: 410 C", "unit 2 probe 0: 2100 C humidity 4000"];
    check(&mut hub, climate(1, 4, 410), "reading", &both);
    hub.ask(json!({ "request": "devices_assign", "device": eui(1), "probe": "internal" }));
    check(&mut hub, climate(1, 5, 420), "reading", &["unit 1 probe 1: 420 C"]);
    assert_eq!(
        hub.row("SELECT count(*) FROM event_logs WHERE actor_type = 'installer'"),
        "6",
        "two units, one pairing, three assignments"
    );
    hub.check_audit();
}

#[test]
fn every_payload_has_its_outcome() {
    let mut hub = Hub::with_fridge();
    hub.ask(json!({ "request": "devices_add", "address": eui(2), "unit": "Fridge", "probe": "external" }));
    let fault = |fault| now(Probe::EXTERNAL, Quantity::Fault(fault));
    let humidity = now(Probe::EXTERNAL, Quantity::Humidity(6_150));
    let row = |text| format!("unit 1 probe 1: {text}");

    check(&mut hub, climate(1, 1, 400), "reading", &[&row("400 C")]);
    check(&mut hub, climate(1, 2, -1_828), "reading", &[&row("-1828 C")]);
    check(&mut hub, climate(1, 3, 0x7FFF), "fault", &[]);
    check(
        &mut hub,
        values(2, 1, vec![degrees(405), humidity.clone()]),
        "reading",
        &[&row("405 C humidity 6150")],
    );
    // No fault of the temperature beside it.
    let broken_humidity = vec![degrees(406), fault(Fault::Humidity)];
    check(&mut hub, values(2, 2, broken_humidity), "reading", &[&row("406 C")]);
    check(&mut hub, values(2, 3, vec![fault(Fault::Humidity)]), "event", &[]);
    check(&mut hub, values(2, 4, vec![fault(Fault::Reported)]), "fault", &[]);
    check(&mut hub, values(2, 5, vec![]), "event", &[]);
    check(&mut hub, values(2, 6, vec![degrees(30_001)]), "fault", &[]);
    check(&mut hub, values(2, 7, vec![degrees(400); 256]), "reading", &[row("400 C").as_str(); 256]);
    check(
        &mut hub,
        values(2, 8, vec![degrees(400); 257]),
        "undecodable: 257 values in one frame, over the limit of 256",
        &[],
    );
    let raw = frame(2, 9, Payload::Raw { bytes: b"noise".to_vec(), reason: "not JSON".into() });
    check(&mut hub, raw, "undecodable: not JSON", &[]);
    check(
        &mut hub,
        binary(2, 10, 2, "00"),
        "undecodable: no model is set for this device: give it one by `devices add --model`",
        &[],
    );
    check(
        &mut hub,
        binary(1, 4, 2, "CBB8"),
        "undecodable: payload ends after 2 bytes where 11 are needed",
        &[],
    );
    assert_eq!(hub.row(FAULTY), "3", "disconnected, reported, out of range");
    assert_eq!(hub.count("probe.faults{humidity}"), 2);

    hub.core().hear(SourceEvent::Refused {
        port: "lns".into(),
        reason: "retained".into(),
        bytes: vec![1],
        at: MonoMs(0),
        ack: None,
    });
    hub.commit();
    assert_eq!(
        hub.row("SELECT count(*) FROM hub_frames WHERE outcome = 'refused' AND detail = 'retained'"),
        "1"
    );
}

#[test]
fn a_history_is_stored_late_and_judged_never() {
    let mut hub = Hub::with_fridge();
    check(&mut hub, climate(1, 1, 400), "reading", &["unit 1 probe 1: 400 C"]);
    // A record of two hours ago at 21.00 °C in the fridge, one of a sensor whose clock was never set.
    let at = NOW / 1_000 - 7_200;
    let history = format!("0834 0834 0190 41 {at:08X}  0834 0834 0190 41 00000E10");
    check(&mut hub, binary(1, 2, 2, &history), "reading", &["unit 1 probe 1: 2100 C late own -7200"]);
    assert_eq!(hub.count("readings.implausible_time{lns}"), 1);
    check(&mut hub, binary(1, 3, 2, "0834 0834 0190 41 00000E10"), "fault", &[]);
    assert_eq!((hub.shown(1), hub.alerts()), ("ok".to_owned(), vec![]));
    // The network's time: in order, then overtaken.
    let sent = |counter, before_s: i64, value| {
        let mut frame = climate(1, counter, value);
        frame.network_time = Some(UnixMs(NOW - before_s * SECOND));
        frame
    };
    check(&mut hub, sent(4, -10, 401), "reading", &["unit 1 probe 1: 401 C own 10"]);
    check(&mut hub, sent(5, 60, 2_000), "reading", &["unit 1 probe 1: 2000 C late own -60"]);
    assert_eq!(hub.shown(1), "ok");
}

#[test]
fn readings_are_calibrated_and_in_the_units_scale() {
    let mut hub = Hub::with_fridge();
    hub.ask(json!({ "request": "units_add", "name": "Case", "unit_type": "display_case", "temp_unit": "f" }));
    hub.pair(2, "Case");
    check(&mut hub, climate(2, 1, 400), "reading", &["unit 2 probe 1: 3920 F"]);
    let calibrate = |hub: &mut Hub, offset: i32, at: i64| {
        hub.core()
            .store
            .connection()
            .execute(
                "INSERT INTO calibration_records (id, device_id, calibrated_at, temperature_offset, created_at, updated_at)
                 SELECT randomblob(16), device_id, ?2, ?1, 0, 0 FROM hub_devices",
                [i64::from(offset), at],
            )
            .unwrap();
        hub.core().configure().unwrap();
    };
    calibrate(&mut hub, -50, NOW - MINUTE);
    check(&mut hub, climate(1, 1, 400), "reading", &["unit 1 probe 1: 350 C"]);
    check(&mut hub, climate(2, 2, 400), "reading", &["unit 2 probe 1: 3830 F"]);
    // One that would hide an alarm corrects nothing.
    calibrate(&mut hub, 501, NOW);
    check(&mut hub, climate(1, 2, 400), "reading", &["unit 1 probe 1: 350 C"]);
}

#[test]
fn a_door_tells_how_long_it_was_open() {
    let mut hub = Hub::with_fridge();
    hub.ask(json!({
        "request": "devices_add", "address": eui(9), "model": "dragino/lds02", "unit": "Fridge",
    }));
    let events = "SELECT state, duration_seconds, (\"timestamp\" - created_at) FROM door_events ORDER BY \"timestamp\"";
    check(&mut hub, door(9, 1, true), "event", &[]);
    hub.pass(85 * SECOND);
    // It repeats itself.
    check(&mut hub, door(9, 2, true), "event", &[]);
    check(&mut hub, door(9, 3, false), "event", &[]);
    check(&mut hub, door(9, 4, true), "event", &[]);
    assert_eq!(hub.rows(events), ["open|-|0", "closed|95|0", "open|-|0"]);
    // Over a power cut of a minute and a new boot, the time goes on.
    hub.reboot(MINUTE);
    check(&mut hub, door(9, 5, true), "event", &[]);
    check(&mut hub, door(9, 6, false), "event", &[]);
    assert_eq!(hub.rows(events), ["open|-|0", "closed|95|0", "open|-|0", "closed|70|0"]);
    hub.stop();
    hub.clock.advance(MINUTE);
    hub.start();
    check(&mut hub, door(9, 7, false), "event", &[]);
    check(&mut hub, door(9, 8, true), "event", &[]);
    assert_eq!(hub.rows(events).len(), 5, "closed already");
}

#[test]
fn a_repeat_is_found_also_after_a_restart() {
    let mut hub = Hub::with_fridge();
    let reading = ["unit 1 probe 1: 400 C"];
    check(&mut hub, climate(1, 1, 400), "reading", &reading);
    check(&mut hub, climate(1, 1, 400), "duplicate: counter", &[]);
    check(&mut hub, climate(1, 2, 400), "reading", &reading);
    hub.reboot(10 * MINUTE);
    check(&mut hub, climate(1, 2, 400), "duplicate: counter", &[]);
    check(&mut hub, climate(1, 3, 400), "reading", &reading);
    // What was not committed when the power went is no repeat.
    hub.hear(climate(1, 4, 400));
    hub.cut_power();
    hub.start();
    check(&mut hub, climate(1, 4, 400), "reading", &reading);
    // A publish of the former program, redelivered on a new connection.
    hub.hear(acked(values(1, 0, vec![degrees(400)]), 1, 7));
    hub.commit();
    hub.cut_power();
    hub.start();
    let mut again = acked(values(1, 0, vec![degrees(400)]), 1, 7);
    again.identity.packet.as_mut().unwrap().is_redelivered = true;
    check(&mut hub, again, "duplicate: counter", &[]);
}

#[test]
fn a_value_that_was_measured_a_while_ago_and_is_the_newest_is_judged() {
    // Elsys: the upper bits of the type say how many bytes of seconds since the measurement follow.
    let elsys =
        |counter, bytes: &[u8]| frame(1, counter, Payload::Binary { f_port: 5, bytes: bytes.to_vec() });
    let mut hub = Hub::new();
    hub.add_unit("Fridge", "fridge");
    hub.ask(json!({
        "request": "devices_add", "address": eui(1), "model": "elsys/ers", "unit": "Fridge", "check_in_s": 600,
    }));
    hub.pass(MINUTE);
    hub.hear(elsys(1, &[0x41, 0x00, 0x28, 0x3C]));
    hub.commit();
    assert_eq!((hub.shown(1), hub.alerts().len()), ("ok".to_owned(), 0));
    hub.pass(10 * MINUTE);
    // 9 °C a minute ago; what is older is its history.
    hub.hear(elsys(2, &[0x81, 0x00, 0x28, 0x02, 0x58, 0x41, 0x00, 0x5A, 0x3C]));
    hub.commit();
    assert_eq!(hub.alerts(), ["alarm_active|warning|active"]);
    let logged = "SELECT temperature, tag & 2, (own_ms - mono_ms - offset_ms) / 1000 FROM hub_log
        JOIN hub_boots USING (segment) ORDER BY seq";
    assert_eq!(hub.rows(logged), ["400|0|-60", "400|2|-600", "900|0|-60"]);
    // What a newer one has overtaken is late, and so is what is older than the probe may be silent.
    hub.hear(elsys(3, &[0x81, 0x00, 0x50, 0x00, 0x78]));
    hub.pass(80 * MINUTE);
    hub.hear(elsys(4, &[0x81, 0x00, 0x50, 0x10, 0x68]));
    hub.commit();
    assert_eq!(hub.rows(logged)[3..], ["800|2|-120", "800|2|-4200"]);
    // Beside a present value of its probe an older one is history, however young.
    hub.hear(elsys(5, &[0x41, 0x00, 0x5A, 0x3C, 0x01, 0x00, 0x28]));
    hub.commit();
    assert_eq!(hub.rows(logged)[5..], ["900|2|-60", "400|0|-"]);
    // A fault is no older than what it is about.
    hub.hear(elsys(6, &[0x41, 0x7F, 0xFF, 0x0A]));
    assert_eq!(hub.count("probe.faults{disconnected}"), 0);
    hub.pass(MINUTE);
    hub.hear(elsys(7, &[0x41, 0x7F, 0xFF, 0x05]));
    assert_eq!(hub.count("probe.faults{disconnected}"), 1);
    hub.check_audit();
}

#[test]
fn what_a_gateway_kept_for_nobody_knows_how_long_is_not_the_present() {
    let mut hub = Hub::new();
    hub.add_unit("Fridge", "fridge");
    hub.ask(json!({ "request": "devices_add", "address": eui(1), "model": "elsys/elt-2", "unit": "Fridge" }));
    check(&mut hub, binary(1, 1, 5, "0C 0028"), "reading", &["unit 1 probe 1: 400 C"]);
    let kept = |counter, hex: &str, before_s: Option<i64>| {
        let mut frame = binary(1, counter, 5, hex);
        frame.is_delayed = true;
        frame.network_time = before_s.map(|before_s| UnixMs(NOW + before_s * SECOND));
        frame
    };
    // 20.0 °C of now, 21.0 °C of a minute before, 22.0 °C of now.
    check(&mut hub, kept(2, "0C 00C8", None), "reading", &["unit 1 probe 1: 2000 C late"]);
    check(&mut hub, kept(3, "4C 00D2 3C", None), "event", &[]);
    let both = ["unit 1 probe 1: 2200 C late"];
    check(&mut hub, kept(4, "0C 00DC 4C 00D2 3C", None), "reading", &both);
    // Nor is a time of the future one to count from.
    check(&mut hub, kept(5, "4C 00D2 3C", Some(600)), "event", &[]);
    // A probe that was not plugged in, now and a minute before; a temperature beyond every column.
    let before = hub.row(FAULTY);
    check(&mut hub, kept(6, "0C 7FFF", None), "event", &[]);
    check(&mut hub, kept(7, "4C 7FFF 3C", None), "event", &[]);
    check(&mut hub, Frame { is_delayed: true, ..values(1, 9, vec![degrees(30_001)]) }, "fault", &[]);
    assert_eq!((hub.row(FAULTY), hub.shown(1), hub.alerts()), (before, "ok".to_owned(), vec![]));
    // By a gateway that knows when it was, an age counts.
    let dated = kept(10, "4C 0032 05", Some(30));
    check(&mut hub, dated, "reading", &["unit 1 probe 1: 500 C own 25"]);
}
