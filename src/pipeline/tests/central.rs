//! What people do centrally reaches the rules.

use frostguard_sync::api::Down;
use frostguard_sync::wire::{RowImage, Value as Cell};
use uuid::Uuid;

use super::*;

fn manual_log(unit: Uuid, hundredths: i64, at_ms: i64, n: u128) -> RowImage {
    RowImage {
        table: "manual_temperature_logs".into(),
        id: Uuid::from_u128(n),
        columns: vec![
            ("unit_id".into(), Cell::Uuid(unit)),
            ("temperature".into(), Cell::Hundredths(hundredths)),
            ("recorded_at".into(), Cell::Millis(at_ms)),
            ("created_at".into(), Cell::Millis(at_ms)),
        ],
    }
}

#[track_caller]
fn check(hundredths: i64, age_ms: i64, want: &str) {
    let mut hub = Hub::new();
    hub.add_unit("Fridge", "fridge");
    hub.pass(MINUTE);
    let unit = hub.core().registry.units[0].id;
    let now = crate::clock::Clock::wall(&*hub.clock).0;
    let down = Down { entries: vec![manual_log(unit, hundredths, now - age_ms, 7)], ..Down::default() };
    hub.core().take_down(&down).unwrap();
    // It comes again when the answer that brought it was lost on the way back.
    hub.core().take_down(&down).unwrap();
    let units = hub.ask(json!({ "request": "units_list" }));
    assert_eq!(units["units"][0]["status"], want, "{hundredths} hundredths, {age_ms} ms old");
    let alerts = hub.ask(json!({ "request": "alerts_list" }));
    let open = alerts["alerts"].as_array().unwrap();
    assert_eq!(open.len(), usize::from(want == "alarm_active"));
    if let Some(alert) = open.first() {
        assert_eq!(alert["severity"], "critical");
    }
    let stored: i64 = hub
        .core()
        .store
        .connection()
        .query_row("SELECT count(*) FROM manual_temperature_logs", [], |row| row.get(0))
        .unwrap();
    assert_eq!(stored, 1);
}

#[test]
fn a_manual_log_made_centrally_is_judged_like_one_made_here() {
    check(900, MINUTE, "alarm_active");
    check(400, MINUTE, "ok");
}

#[test]
fn an_old_manual_log_says_nothing_of_the_present() {
    check(900, 5 * 60 * MINUTE, "ok");
}
