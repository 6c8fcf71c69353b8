//! Tokens that end, and hubs that were used before they had one.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::central::Central;
use crate::kitchen::{COLD, Kitchen, line};
use crate::past::{DAY_MS, MINUTE_MS, Past, present_ms};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_hub_keeps_everything_until_it_is_enrolled_again() {
    let central = Central::start().await;
    let url = central.receiver.url();
    let mut kitchen = Kitchen::furnished();
    let (hub, code) = central.add_hub("Kitchen", &[]);
    kitchen.enrol(&url, &code, &["--create-units"]);
    kitchen.hear_both(0..20, COLD);
    kitchen.wait_sent();
    central.receiver.command(&["hub", "revoke", &hub.to_string()]);
    kitchen.hear_both(20..40, COLD);
    kitchen.wait_problem("revoked");
    assert_eq!(kitchen.hub.status()["sync"]["unsent_readings"], 20);
    central.assert_numbers(0..20).await;

    let (_, code) = central.add_hub("Kitchen again", &[]);
    let refused = kitchen.hub.try_command(&["enroll", &url, "--code-file", "-"], &code);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--replace"));
    kitchen.enrol(&url, &code, &["--replace"]);
    kitchen.hear_both(40..60, COLD);
    kitchen.wait_sent();
    central.assert_numbers(0..60).await;
    assert_eq!(central.readings().await, kitchen.readings());
    let status = kitchen.hub.status();
    assert_eq!(status["sync"]["refused_rows"], 0, "{:?}", kitchen.query("SELECT * FROM hub_refused"));
    assert_eq!(status["sync"]["uplink"]["problem"], serde_json::Value::Null);
    // The successor of a revoked hub is no clone of it.
    let events = central.texts("SELECT kind || ': ' || detail FROM hub_sync.security_events").await;
    assert!(events.is_empty(), "{events:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_used_before_its_enrolment_keeps_its_history() {
    let central = Central::start().await;
    let mut kitchen = Kitchen::new();
    let mut past = Past::begin(&kitchen.hub.state_dir(), 2, 4 * DAY_MS);
    for number in 0..30 {
        past.hear(&line(number, number as usize % 2, COLD));
        past.pass(MINUTE_MS);
    }
    past.pass(3 * DAY_MS - 30 * MINUTE_MS);
    for number in 30..60 {
        past.hear(&line(number, number as usize % 2, COLD));
        past.pass(MINUTE_MS);
    }
    past.pass(DAY_MS - 31 * MINUTE_MS);
    past.end();
    kitchen.start();
    kitchen.hear_both(60..70, COLD);

    // The last midnight that leaves a day between it and the newer ones.
    let bound = Timestamp::from_millisecond(present_ms() - 2 * DAY_MS).expect("a present time");
    let bound = bound.to_zoned(TimeZone::UTC).date().to_string();
    let (_, code) = central.add_hub("Kitchen", &["--history-from", &bound]);
    let said = kitchen.enrol(&central.receiver.url(), &code, &["--create-units"]);
    assert!(said.contains("30 readings before") && said.contains(&bound), "{said}");
    kitchen.hear_both(70..80, COLD);
    kitchen.wait_sent();
    central.assert_numbers(30..80).await;
    assert_eq!(kitchen.readings().len(), 80);
}
