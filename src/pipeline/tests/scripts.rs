//! Devices whose codec is a script, and kept frames that are decoded again.

use serde_json::json;

use super::*;
use crate::codec::script::Script;

pub(super) const MANIFEST: &str =
    "ports = [2]\ncheck_in_s = 60\nmeasuring = \"external\"\n[[map]]\npath = \"t\"\nprobe = \"external\"
    quantity = \"temperature\"\nunit = \"C\"\n[[map]]\npath = \"log[].t\"\ntime = \"at\"\nprobe = \"external\"
    quantity = \"temperature\"\nunit = \"C\"";
/// Hundredths of a degree, and, in a longer frame, one more value of some minutes ago.
pub(super) const GOOD: &str = "function decodeUplink(input) {
    var b = input.bytes, out = {t: (b[0] << 24 >> 16 | b[1]) / 100, log: []};
    if (b.length > 2) out.log.push({at: input.recvTime.getTime() - b[3] * 60000, t: b[2] / 10});
    return {data: out, warnings: b.length > 2 ? ['a log'] : []}; }";
pub(super) const BROKEN: &str = "function decodeUplink(input) { return {data: {t: input.byte[0]}}; }";

impl Hub {
    /// A new program with this script as custom/logger.
    fn restart_with(&mut self, script: &str) {
        self.stop();
        self.codecs = Arc::new(Codecs::with(vec![Script::new("logger", script, MANIFEST).unwrap()]));
        self.start();
    }

    /// A fridge with a device of the script's model in it.
    fn with_script(script: &str) -> Self {
        let mut hub = Self::new();
        hub.restart_with(script);
        hub.add_unit("Fridge", "fridge");
        hub.ask(json!({ "request": "devices_add", "address": eui(1), "model": "CUSTOM/logger", "unit": "Fridge" }));
        hub
    }

    /// "hundredths at minutes since `NOW`, late" of every reading.
    pub(super) fn readings(&self) -> Vec<String> {
        self.rows(&format!(
            "SELECT temperature || ' C at ' || ((strftime('%s', recorded) * 1000 - {NOW}) / 60000) || late FROM (
                SELECT l.seq, temperature, iif(tag & 2, ' late', '') AS late,
                    datetime(coalesce(own_ms, mono_ms + offset_ms) / 1000, 'unixepoch') AS recorded
                FROM hub_log AS l JOIN hub_boots USING (segment)) ORDER BY seq"
        ))
    }

    pub(super) fn outcomes(&self) -> Vec<String> {
        self.rows("SELECT outcome || coalesce(': ' || detail, '') FROM hub_frames ORDER BY no")
    }

    /// All parts of a request: [frames, decoded, readings, known].
    pub(super) fn redecode(&mut self, device: Option<&str>, all: bool) -> [u64; 4] {
        let mut request = json!({ "request": "redecode", "device": device, "all": all });
        let mut totals = [0; 4];
        loop {
            let answer = self.ask(request.clone());
            for (total, name) in totals.iter_mut().zip(["frames", "decoded", "readings", "known"]) {
                *total += answer[name].as_u64().unwrap();
            }
            if answer["next"].is_null() {
                return totals;
            }
            assert_ne!(answer["next"], request["next"], "it does not go on");
            request["next"] = answer["next"].clone();
        }
    }
}

pub(super) fn sent(counter: u32, bytes: &[u8]) -> Frame {
    frame(1, counter, Payload::Binary { f_port: 2, bytes: bytes.to_vec() })
}

#[test]
fn a_script_decodes_like_a_native_codec() {
    let mut hub = Hub::with_script(GOOD);
    assert_eq!(hub.row("SELECT model FROM hub_devices"), "custom/logger");
    assert_eq!(hub.row("SELECT probe FROM hub_assignments"), "1");
    hub.hear(sent(1, &[1, 0x90]));
    hub.pass(10 * MINUTE);
    hub.hear(sent(2, &[1, 0x9A, 45, 5]));
    let wrong_port = frame(1, 3, Payload::Binary { f_port: 9, bytes: vec![1, 0x90] });
    hub.hear(wrong_port);
    hub.commit();
    assert_eq!(hub.readings(), ["400 C at 0", "410 C at 10", "450 C at 5 late"]);
    assert_eq!(hub.outcomes()[2], "undecodable: custom/logger sends nothing on port 9");
    assert_eq!(hub.count("scripts.warnings{custom/logger}"), 1);
    assert_eq!(hub.shown(1), "ok");
    // The script's own interval counts for check-ins.
    hub.pass(61 * MINUTE);
    assert_eq!(hub.shown(1), "monitoring_interrupted");
    hub.check_audit();
}

#[test]
fn a_bad_script_costs_an_error_and_nothing_else() {
    for (script, kind, detail) in [
        (BROKEN, "thrown", "logger.js line 1: cannot read property '0' of undefined"),
        ("function Decoder() { for (;;); }", "deadline", "did not end"),
        ("function Decoder() { var a = []; for (;;) a.push(new Array(999)); }", "memory", "memory of 8 MiB"),
        ("function decodeUplink() { return {errors: ['no']}; }", "reported", "the script says: no"),
        ("function Decoder() { return 5; }", "result", "no object"),
        ("function decodeUplink() { return 5; }", "result", "no object"),
        ("function decodeUplink() { return [4.1]; }", "result", "no object"),
        ("function decodeUplink() { return 'data'; }", "result", "no object"),
        ("function decodeUplink() { return null; }", "result", "no object"),
        ("function Decoder( {", "thrown", "logger.js line 1"),
    ] {
        let mut hub = Hub::with_script(script);
        hub.pair(2, "Fridge");
        hub.hear(sent(1, &[1, 0x90]));
        hub.hear(climate(2, 1, 400));
        hub.commit();
        let outcomes = hub.outcomes();
        assert!(outcomes[0].starts_with("undecodable: ") && outcomes[0].contains(detail), "{outcomes:?}");
        assert_eq!(outcomes[1], "reading");
        assert_eq!(hub.count(&format!("scripts.errors{{{kind}}}")), 1, "{script}");
    }
}

#[test]
fn a_script_that_loops_is_set_aside_and_holds_nobody_up() {
    let mut hub = Hub::with_script("function Decoder(b) { if (b[0] > 0) for (;;); return {t: 2}; }");
    hub.pair(2, "Fridge");
    let mut counter = 0;
    let mut hear = |hub: &mut Hub, bytes: &[u8]| {
        counter += 1;
        hub.hear(sent(counter, bytes));
        hub.hear(climate(2, counter, 400));
        hub.commit();
        let outcomes = hub.outcomes();
        assert_eq!(outcomes.last().unwrap(), "reading", "the other sensor is heard");
        outcomes[outcomes.len() - 2].clone()
    };
    let counts =
        |hub: &Hub| (hub.count("scripts.errors{deadline}"), hub.count("scripts.set_aside{custom/logger}"));
    for _ in 0..3 {
        assert!(hear(&mut hub, &[1, 0x90]).contains("did not end"));
    }
    let aside = hear(&mut hub, &[1, 0x90]);
    assert!(aside.starts_with("undecodable: the script is set aside for another 55 s"), "{aside}");
    assert!(hear(&mut hub, &[0, 0]).contains("set aside"));
    assert_eq!(counts(&hub), (3, 2));
    // Nor is it asked about what is kept.
    let answer = hub.ask(json!({ "request": "redecode", "device": eui(1) }));
    assert_eq!((&answer["frames"], &answer["set_aside"]), (&json!(5), &json!(5)), "{answer}");
    assert_eq!(counts(&hub), (3, 2));
    // One try when the pause is over, and a longer pause. A commit takes 5 s.
    hub.pass(MINUTE);
    assert!(hear(&mut hub, &[1, 0x90]).contains("did not end"));
    hub.pass(MINUTE);
    assert!(hear(&mut hub, &[1, 0x90]).contains("for another 55 s"));
    hub.pass(MINUTE);
    assert_eq!(hear(&mut hub, &[0, 0]), "reading");
    assert_eq!(counts(&hub), (4, 3));

    hub.restart_with(GOOD);
    assert_eq!(hub.redecode(Some(&eui(1)), false), [7, 7, 7, 0]);
    assert!(!hub.outcomes().iter().any(|outcome| outcome.starts_with("undecodable")));
    hub.check_audit();
}

#[test]
fn frames_are_decoded_again_once_the_codec_is_mended() {
    let mut hub = Hub::with_script(BROKEN);
    hub.pass(10 * MINUTE);
    hub.hear(sent(1, &[1, 0x90]));
    hub.pass(10 * MINUTE);
    hub.hear(sent(2, &[1, 0x9A, 45, 5]));
    hub.pass(10 * MINUTE);
    assert_eq!(hub.readings(), Vec::<String>::new());
    assert!(hub.outcomes().iter().all(|outcome| outcome.starts_with("undecodable")));
    // Nothing is better yet.
    assert_eq!(hub.redecode(Some(&eui(1)), false), [2, 0, 0, 0]);

    hub.restart_with(GOOD);
    hub.hear(sent(3, &[1, 0x86]));
    hub.commit();
    assert_eq!(hub.readings(), ["390 C at 30"]);
    assert_eq!(hub.redecode(Some(&eui(1)), false), [2, 2, 3, 0]);
    let all = ["390 C at 30", "400 C at 10 late", "410 C at 20 late", "450 C at 15 late"];
    assert_eq!(hub.readings(), all);
    assert_eq!(hub.outcomes(), ["reading: decoded again", "reading: decoded again", "reading"]);
    // The fridge shows what it showed.
    assert_eq!(hub.ask(json!({ "request": "units_list" }))["units"][0]["last"], "3.9 °C");

    // Again, and with every frame: nothing comes twice, also after a restart and once the hours have moved to history.
    assert_eq!(hub.redecode(Some(&eui(1)), false), [0, 0, 0, 0]);
    assert_eq!(hub.redecode(None, true), [3, 3, 0, 4]);
    hub.reboot(MINUTE);
    hub.pass(10 * 60 * MINUTE);
    assert_eq!(hub.row("SELECT count(*) FROM hub_log"), "0");
    assert_eq!(hub.redecode(None, true), [3, 3, 0, 4]);
    assert_eq!(
        hub.rows("SELECT description FROM event_logs WHERE event_type = 'frames_redecoded'"),
        [format!("2 kept frames of {} were decoded again and gave 3 readings", eui(1))]
    );
    hub.check_audit();
}

#[test]
fn a_frame_that_gave_too_little_gets_the_rest() {
    // The first script forgot the log.
    let mut hub = Hub::with_script("function Decoder(b) { return {t: (b[0] << 8 | b[1]) / 100}; }");
    hub.pass(10 * MINUTE);
    let mut late = sent(1, &[1, 0x90, 45, 5]);
    late.network_time = Some(UnixMs(NOW + 9 * MINUTE));
    hub.hear(late);
    hub.commit();
    assert_eq!(hub.readings(), ["400 C at 9"]);
    hub.restart_with(GOOD);
    assert_eq!(hub.redecode(Some(&eui(1)), false), [0, 0, 0, 0]);
    assert_eq!(hub.redecode(Some(&eui(1)), true), [1, 1, 1, 1]);
    assert_eq!(hub.readings(), ["400 C at 9", "450 C at 5 late"]);
    assert_eq!(hub.redecode(Some(&eui(1)), true), [1, 1, 0, 2]);
}

#[test]
fn a_history_that_is_sent_twice_is_added_once() {
    let mut hub = Hub::with_script(BROKEN);
    hub.pass(10 * MINUTE);
    hub.hear(sent(1, &[1, 0x90, 45, 5]));
    hub.pass(5 * MINUTE);
    hub.hear(sent(2, &[1, 0x90, 45, 10]));
    hub.commit();
    hub.restart_with(GOOD);
    assert_eq!(hub.redecode(Some(&eui(1)), false), [2, 2, 3, 1]);
    assert_eq!(hub.readings(), ["400 C at 10 late", "450 C at 5 late", "400 C at 15 late"]);
}

#[test]
fn readings_go_to_the_unit_that_was_measured_then() {
    let mut hub = Hub::with_script(BROKEN);
    hub.add_unit("Walk-in", "walk_in_cooler");
    let assign = |unit: Option<&str>| json!({ "request": "devices_assign", "device": eui(1), "unit": unit });
    for (counter, unit) in [(1, Some("Walk-in")), (2, None), (3, Some("Fridge"))] {
        hub.hear(sent(counter, &[1, 0x90]));
        hub.pass(MINUTE);
        hub.ask(assign(unit));
        hub.pass(MINUTE);
    }
    hub.restart_with(GOOD);
    let answer =
        hub.ask(json!({ "request": "redecode", "device": eui(1), "from": "2030-03-17", "to": "2030-03-17" }));
    assert_eq!((&answer["readings"], &answer["unassigned"]), (&json!(2), &json!(1)), "{answer}");
    assert_eq!(hub.rows("SELECT unit_no FROM hub_log ORDER BY seq"), ["1", "2"]);
    assert_eq!(hub.outcomes()[2], "event: decoded again");
}

#[test]
fn a_model_that_only_the_network_names_is_not_known_afterwards() {
    let mut hub = Hub::with_script(GOOD);
    hub.ask(json!({ "request": "devices_add", "address": eui(3), "unit": "Fridge", "probe": "external" }));
    let named = |counter, bytes: &[u8]| {
        let payload = Payload::Binary { f_port: 2, bytes: bytes.to_vec() };
        Frame { model: Some("custom/logger".into()), ..frame(3, counter, payload) }
    };
    hub.hear(named(1, &[1, 0x90]));
    hub.hear(named(2, &[]));
    hub.commit();
    assert_eq!(hub.readings(), ["400 C at 0"]);
    let answer = hub.ask(json!({ "request": "redecode", "device": eui(3) }));
    assert_eq!((&answer["frames"], &answer["without_model"]), (&json!(1), &json!(1)), "{answer}");
}

#[test]
fn what_cannot_be_asked_says_so() {
    let mut hub = Hub::with_script(GOOD);
    let mut ask = |request: Value| {
        let mut full = json!({ "request": "redecode" });
        for (key, value) in request.as_object().unwrap() {
            full[key] = value.clone();
        }
        hub.try_ask(full).map_err(|error| format!("{error:#}"))
    };
    assert!(ask(json!({})).unwrap_err().contains("--all"));
    assert!(ask(json!({ "device": "nobody" })).unwrap_err().contains("no device \"nobody\""));
    assert!(ask(json!({ "all": true, "from": "soon" })).unwrap_err().contains("\"soon\" is no day"));
    let backwards = json!({ "all": true, "from": "2030-03-18", "to": "2030-03-16" });
    assert!(ask(backwards).unwrap_err().contains("--to lies before"));
    let beyond = json!({ "all": true, "next": { "device": 99, "frame": -5 } });
    assert_eq!(ask(beyond).unwrap()["next"], Value::Null);
    let nothing = json!({ "all": true, "to": "2029-01-01" });
    assert_eq!(ask(nothing).unwrap()["frames"], 0);
}
