//! Replaying the stored history comes to what the hub decided when it happened.

use super::{Hub, MINUTE, NOW, climate, door};
use crate::domain::UnixMs;
use crate::replay::overlay::Overlay;
use crate::replay::stored::{self, ReplayedAlert, Window};

const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A fridge and a freezer for some days: a warm afternoon each day, a silent night, restarts in between.
fn kitchen(days: i64) -> Hub {
    let mut hub = Hub::with_fridge();
    hub.add_unit("Freezer", "freezer");
    hub.pair(2, "Freezer");
    hub.ask(serde_json::json!({
        "request": "devices_add", "address": super::eui(3), "model": "dragino/lds02", "unit": "Freezer",
    }));
    let mut counter = 0;
    for day in 0..days {
        for step in 0..(DAY / (10 * MINUTE)) {
            counter += 1;
            let hour = step / 6;
            let is_warm = hour == 14 + day % 3;
            if !(2..4).contains(&hour) {
                hub.hear(climate(1, counter, if is_warm { 900 } else { 300 }));
            }
            let freezer = if hour == 9 { -1200 } else { -2000 - (step % 5) as i16 * 20 };
            hub.hear(climate(2, counter, freezer));
            if step % 36 == 5 {
                hub.hear(door(3, counter, true));
            }
            if step % 36 == 6 {
                hub.hear(door(3, counter, false));
            }
            hub.pass(10 * MINUTE);
            if step == 50 {
                hub.reboot(3 * MINUTE);
            }
            if step == 100 {
                hub.stop();
                hub.start();
            }
        }
    }
    hub.commit();
    hub
}

fn told(alerts: &[ReplayedAlert]) -> Vec<String> {
    let mut told: Vec<String> = alerts
        .iter()
        .map(|a| {
            format!("{} {} {} {} {} {:?}", a.id, a.unit, a.alert_type, a.severity, a.opened_ms, a.resolved_ms)
        })
        .collect();
    told.sort();
    told
}

#[test]
fn every_simulated_day_comes_to_the_same_alerts_and_ids() {
    let hub = kitchen(3);
    let connection = hub.core.as_ref().unwrap().store.connection();
    let mut total = 0;
    // Each day, and windows that begin in the middle of something.
    for from in [0, DAY, 2 * DAY, DAY / 2, DAY + 14 * HOUR + 25 * MINUTE] {
        let window = Window { from: UnixMs(NOW + from), to: UnixMs(NOW + from + DAY) };
        let mut was = stored::raised(connection, window).unwrap();
        let outcome = stored::replay(connection, window, None).unwrap();
        // What ended after the window was open at its end.
        for alert in &mut was {
            alert.resolved_ms = alert.resolved_ms.filter(|ms| *ms <= window.to.0);
        }
        let mut replayed = outcome.alerts;
        for alert in &mut replayed {
            alert.resolved_ms = alert.resolved_ms.filter(|ms| *ms <= window.to.0);
        }
        assert_eq!(told(&replayed), told(&was), "from {from}");
        assert!(outcome.readings > 200, "{} readings", outcome.readings);
        total += was.len();
    }
    assert!(total > 8, "{total} alerts are too few to show anything");
}

#[test]
fn another_limit_is_tried_on_what_was_measured() {
    let hub = kitchen(1);
    let connection = hub.core.as_ref().unwrap().store.connection();
    let window = Window { from: UnixMs(NOW), to: UnixMs(NOW + DAY) };
    let of_fridge = |overlay: &str| {
        let overlay = Overlay::parse(overlay).unwrap();
        let outcome = stored::replay(connection, window, Some(&overlay)).unwrap();
        let alarms =
            outcome.alerts.iter().filter(|a| a.unit == "Fridge" && a.alert_type.as_str() == "alarm_active");
        alarms.map(|a| a.severity.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(of_fridge(""), ["critical"]);
    assert_eq!(of_fridge("[[unit]]\nname = 'Fridge'\ntemp_max = 10.0"), Vec::<String>::new());
    assert_eq!(of_fridge("[[unit]]\nname = 'Fridge'\ntemp_max = 2.0"), ["critical"]);
    // An hour above the limit, and a delay that is longer.
    assert_eq!(of_fridge("[[rule]]\nunit = 'Fridge'\ndelay_minutes = 90"), ["warning"]);
    let unknown = Overlay::parse("[[unit]]\nname = 'Fish'").unwrap();
    let error = stored::replay(connection, window, Some(&unknown)).unwrap_err();
    assert!(format!("{error:#}").contains("no unit named \"Fish\""), "{error:#}");
}
