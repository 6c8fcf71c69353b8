//! What comes down beside the configuration, on a real database.

use uuid::Uuid;

use super::down::{self, Act, ActKind};
use super::link;
use super::snapshot_tests::{NOW, get, row};
use super::sync_tests::{START, add_alert, alert_id, enrolled_site, unit_id};
use crate::domain::UnixMs;
use frostguard_sync::api::Down;
use frostguard_sync::wire::Value;

#[test]
fn the_earlier_act_counts_and_none_before_an_escalation() {
    let connection = enrolled_site();
    let check = |there: (Option<i64>, Option<i64>, Option<i64>),
                 came: (Option<i64>, Option<i64>),
                 want: &[(ActKind, i64)]| {
        connection.execute("DELETE FROM alerts", []).unwrap();
        add_alert(&connection, 1);
        let sql = "UPDATE alerts SET acknowledged_at = ?1, resolved_at = ?2, escalated_at = ?3";
        connection.execute(sql, rusqlite::params![there.0, there.1, there.2]).unwrap();
        let ms = |at: Option<i64>| at.map_or(Value::Null, Value::Millis);
        let stranger = Value::Uuid(Uuid::from_u128(0x77));
        let columns =
            [("acknowledged_at", ms(came.0)), ("acknowledged_by", stranger), ("resolved_at", ms(came.1))];
        let images = [row("alerts", alert_id(1), &columns), row("alerts", alert_id(9), &columns)];
        let acts = down::acts(&connection, &images).unwrap();
        let got: Vec<_> = acts.iter().map(|act| (act.kind, act.at.0)).collect();
        assert_eq!(got, want, "{there:?} {came:?}");
        assert!(acts.iter().all(|act| act.by.is_none()), "an unknown person is nobody");
        for act in &acts {
            down::write(&connection, act, NOW).unwrap();
        }
        let left = down::acts(&connection, &images).unwrap();
        assert!(left.iter().all(|act| act.kind == ActKind::Resolve && there.1.is_none()), "{left:?}");
    };
    use ActKind::{Acknowledge, Resolve};
    check((None, None, None), (None, None), &[]);
    check((None, None, None), (Some(5), None), &[(Acknowledge, 5)]);
    check((Some(3), None, None), (Some(5), None), &[]);
    check((Some(7), None, None), (Some(5), None), &[(Acknowledge, 5)]);
    check((None, None, Some(6)), (Some(5), None), &[]);
    check((None, None, Some(5)), (Some(5), None), &[(Acknowledge, 5)]);
    check((None, None, None), (Some(5), Some(8)), &[(Acknowledge, 5), (Resolve, 8)]);
    check((None, Some(9), None), (None, Some(8)), &[(Resolve, 8)]);
    check((None, Some(8), None), (None, Some(8)), &[]);
}

#[test]
fn an_acknowledgement_stands_in_the_row() {
    let connection = enrolled_site();
    add_alert(&connection, 1);
    let act = Act { alert: alert_id(1), kind: ActKind::Acknowledge, at: UnixMs(5), by: None };
    down::write(&connection, &act, NOW).unwrap();
    assert_eq!(
        get::<String>(&connection, "SELECT status FROM alerts WHERE acknowledged_at = 5"),
        "acknowledged"
    );
    down::write(&connection, &Act { kind: ActKind::Resolve, ..act }, NOW).unwrap();
    assert_eq!(
        get::<Option<i64>>(&connection, "SELECT resolved_at FROM alerts"),
        None,
        "the rules resolve it"
    );
}

#[test]
fn entries_of_central_are_taken_once() {
    let connection = enrolled_site();
    let entry = |id: u128, unit: Uuid| {
        row(
            "manual_temperature_logs",
            Uuid::from_u128(id),
            &[
                ("unit_id", Value::Uuid(unit)),
                ("profile_id", Value::Uuid(Uuid::from_u128(0x77))),
                ("temperature", Value::Hundredths(350)),
                ("recorded_at", Value::Millis(START)),
            ],
        )
    };
    let entries = vec![
        entry(1, unit_id(1)),
        entry(2, Uuid::from_u128(0x9999)),
        row("units", Uuid::from_u128(3), &[]),
        row("corrective_actions", Uuid::from_u128(4), &[("description", Value::Int(1))]),
    ];
    let down = Down { entries, cursor: "c1".into(), ..Down::default() };
    let (taken, refused) = down::take_entries(&connection, &down, NOW).unwrap();
    assert_eq!(taken.iter().map(|row| row.id).collect::<Vec<_>>(), [Uuid::from_u128(1)]);
    assert_eq!(refused.len(), 3, "{refused:?}");
    assert_eq!(link::find(&connection).unwrap().unwrap().down_cursor, "c1");
    assert!(down::take_entries(&connection, &down, NOW).unwrap().0.is_empty());
    down::take_entries(&connection, &Down::default(), NOW).unwrap();
    assert_eq!(
        link::find(&connection).unwrap().unwrap().down_cursor,
        "c1",
        "an answer without a cursor keeps it"
    );
    assert_eq!(get::<i64>(&connection, "SELECT count(*) FROM manual_temperature_logs"), 1);
    assert_eq!(get::<i64>(&connection, "SELECT count(*) FROM hub_dirty"), 0);
}
