use uuid::Uuid;

use super::*;
use crate::domain::AlertType;

/// 14:05 in Berlin on 25 November 2026.
const AT: i64 = 1_795_611_900_000;
const MINUTE: i64 = 60_000;

fn told(unit: &str, message: &str, severity: Severity) -> Told {
    Told {
        note: AlertNote {
            id: Uuid::nil(),
            unit_id: Uuid::nil(),
            unit: unit.into(),
            alert_type: AlertType::AlarmActive,
            severity,
            status: AlertStatus::Active,
            level: 1,
            message: message.into(),
            triggered_ms: AT,
        },
        kind: Kind::Call,
        level: 1,
        is_reminder: false,
        now: None,
        limits: None,
        resolved_ms: None,
        person: None,
    }
}

#[track_caller]
fn check(alerts: &[Told], outages: &[Outage], notices: &[(&str, &str)], subject: &str, text: &str) {
    let zone = jiff::tz::TimeZoneDatabase::bundled().get("Europe/Berlin").unwrap();
    let clock = Clock { zone, now_ms: AT + 30 * MINUTE };
    let notices: Vec<_> = notices.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    let words = compose("Canteen", &clock, alerts, outages, &notices);
    assert_eq!((words.subject.as_str(), words.text.as_str()), (subject, text));
}

#[test]
fn a_call_says_what_where_since_when_and_how_it_stands() {
    let freezer = Told {
        now: Some("-7.0 °C now".into()),
        limits: Some("-25.0 to -18.0 °C".into()),
        ..told("Freezer", "Freezer is too warm at -9.2 °C", Severity::Critical)
    };
    check(
        std::slice::from_ref(&freezer),
        &[],
        &[],
        "CRITICAL: Freezer is too warm at -9.2 °C",
        "Canteen: CRITICAL Freezer is too warm at -9.2 °C (limits -25.0 to -18.0 °C), since 14:05, -7.0 °C now.",
    );
    check(
        &[Told { level: 2, limits: None, now: None, ..freezer.clone() }],
        &[],
        &[],
        "CRITICAL: Freezer is too warm at -9.2 °C",
        "Canteen: CRITICAL Freezer is too warm at -9.2 °C, since 14:05. Nobody has taken it: level 2.",
    );
    let over = Told {
        kind: Kind::AllClear,
        resolved_ms: Some(AT + 20 * MINUTE),
        person: Some("Ana".into()),
        now: Some("-19.0 °C now".into()),
        ..freezer
    };
    check(
        &[over],
        &[],
        &[],
        "OK: Freezer",
        "Canteen: OK Freezer, -19.0 °C now. Freezer is too warm at -9.2 °C: 14:05 to 14:25, ended by Ana.",
    );
}

#[test]
fn the_gravest_comes_first_and_another_day_is_named() {
    let mut old = told("Fridge", "Fridge is not monitored: its sensor is silent", Severity::Warning);
    old.note.triggered_ms = AT - 24 * 60 * MINUTE;
    old.note.status = AlertStatus::Acknowledged;
    old.person = Some("Ana".into());
    let new = told("Freezer", "Freezer is too warm at -9.2 °C", Severity::Critical);
    check(
        &[old, new],
        &[],
        &[],
        "CRITICAL: Freezer is too warm at -9.2 °C (+1 more)",
        "Canteen: CRITICAL Freezer is too warm at -9.2 °C, since 14:05.\n\
         WARNING Fridge is not monitored: its sensor is silent, since 24 Nov 14:05. Taken by Ana, not over yet.",
    );
}

#[test]
fn a_source_that_is_down_is_one_line_and_notices_say_their_own() {
    let units = (1..=10).map(|n| format!("Fridge {n}")).collect();
    let outage =
        Outage { source: "radio".into(), severity: Severity::Warning, since: Some("13:50".into()), units };
    check(
        &[],
        &[outage],
        &[("Power is back", "The mains are back.")],
        "WARNING: radio is not heard (+1 more)",
        "Canteen: WARNING radio is down since 13:50: not monitored: Fridge 1, Fridge 2, Fridge 3, Fridge 4, \
         Fridge 5, Fridge 6, Fridge 7, Fridge 8 and 2 more.\nThe mains are back.",
    );
    check(
        &[],
        &[],
        &[("Power is back", "The mains are back.")],
        "Power is back",
        "Canteen: The mains are back.",
    );
}
