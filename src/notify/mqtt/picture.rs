//! What stands at the broker: a payload for each retained topic. It is painted anew as a whole with each board; only what
//! differs is published.

use std::collections::BTreeMap;

use super::discovery;
use super::names::Names;
use crate::domain::{AlertStatus, AlertType, Severity, UnitStatus};
use crate::notify::payload::{AlertPayload, one_line, rfc_3339};
use crate::notify::{AlertNote, Board, UnitNote};
use serde::Serialize;

/// Payloads by topic.
pub type Picture = BTreeMap<String, String>;

/// Open alerts listed one by one; beyond, the count tells. A kitchen with more has one cause.
const ALERTS_LISTED_MAX: usize = 50;
/// Of an alert's message in the list.
const MESSAGE_CHARS_MAX: usize = 300;

/// A unit's topic. `fresh`: its readings come; else temperature and humidity are what they were.
#[derive(Serialize)]
struct UnitState<'a> {
    name: &'a str,
    status: UnitStatus,
    fresh: bool,
    temperature: Option<f64>,
    humidity: Option<f64>,
    unit_of_measurement: String,
    door: Option<&'static str>,
    /// An alert is open that is worth a warning.
    problem: bool,
    read_at: Option<String>,
}

/// The kitchen's topic. `severity` and `calling` are "none", "info", "warning" or "critical".
#[derive(Serialize)]
struct KitchenState<'a> {
    site: &'a str,
    /// The highest open alert; critical too while the hub cannot store what it hears.
    severity: &'static str,
    /// The highest that calls people.
    calling: &'static str,
    storage_failed: bool,
    open: usize,
    alerts: Vec<AlertPayload<'a>>,
}

/// The states, beside which stand the configurations of `discovery`.
pub fn paint(names: &Names, board: &Board) -> Picture {
    let alerts: Vec<AlertNote> = open_alerts(board).take(ALERTS_LISTED_MAX).map(shortened).collect();
    let mut picture = Picture::new();
    picture.insert(names.kitchen(), json(&kitchen(board, &alerts)));
    for unit in &board.units {
        picture.insert(names.unit(unit.id), json(&unit_state(unit, board)));
    }
    picture
}

/// What must be published so that `shown` becomes `wanted`; an empty payload takes a topic away.
pub fn changes(shown: &Picture, wanted: &Picture) -> Vec<(String, String)> {
    let gone =
        shown.keys().filter(|topic| !wanted.contains_key(*topic)).map(|topic| (topic.clone(), String::new()));
    let changed = wanted
        .iter()
        .filter(|(topic, payload)| shown.get(*topic) != Some(payload))
        .map(|(topic, payload)| (topic.clone(), payload.clone()));
    gone.chain(changed).collect()
}

fn kitchen<'a>(board: &'a Board, alerts: &'a [AlertNote]) -> KitchenState<'a> {
    let raised = |severity: Option<Severity>| {
        if board.is_storage_failed {
            Severity::Critical.as_str()
        } else {
            severity.map_or("none", Severity::as_str)
        }
    };
    KitchenState {
        site: &board.site,
        severity: raised(board.light),
        calling: raised(board.calling),
        storage_failed: board.is_storage_failed,
        open: open_alerts(board).count(),
        alerts: alerts.iter().map(AlertPayload::from).collect(),
    }
}

fn unit_state<'a>(unit: &'a UnitNote, board: &Board) -> UnitState<'a> {
    let mut of_unit = open_alerts(board).filter(|alert| alert.unit_id == unit.id);
    UnitState {
        name: &unit.name,
        status: unit.status,
        fresh: is_fresh(unit, board),
        temperature: unit.temperature,
        humidity: unit.humidity,
        unit_of_measurement: discovery::degrees(unit),
        door: unit.is_door_open.map(|is_open| if is_open { "open" } else { "closed" }),
        problem: of_unit.any(|alert| alert.severity >= Severity::Warning),
        read_at: unit.read_ms.and_then(rfc_3339),
    }
}

/// `units.status` shows the higher of temperature and contact, so that an alarm hides a sensor that has fallen silent: its
/// alert tells.
fn is_fresh(unit: &UnitNote, board: &Board) -> bool {
    use UnitStatus::{ManualRequired, MonitoringInterrupted, Offline};
    let is_silent = |alert: &AlertNote| {
        alert.unit_id == unit.id
            && matches!(alert.alert_type, AlertType::MonitoringInterrupted | AlertType::MissedManualEntry)
    };
    !matches!(unit.status, Offline | MonitoringInterrupted | ManualRequired)
        && !open_alerts(board).any(is_silent)
}

fn open_alerts(board: &Board) -> impl Iterator<Item = &AlertNote> {
    board.alerts.iter().filter(|alert| alert.status != AlertStatus::Resolved)
}

fn shortened(alert: &AlertNote) -> AlertNote {
    AlertNote { message: one_line(&alert.message, MESSAGE_CHARS_MAX), ..alert.clone() }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings, numbers and lists become JSON")
}

#[cfg(test)]
pub mod tests {
    use uuid::Uuid;

    use super::*;

    pub fn unit(id: u128, name: &str) -> UnitNote {
        UnitNote {
            id: Uuid::from_u128(id),
            name: name.into(),
            status: UnitStatus::Ok,
            temperature: Some(-18.25),
            humidity: None,
            scale: "C".into(),
            is_door_open: None,
            read_ms: Some(1_784_367_255_775),
        }
    }

    pub fn alert(unit: u128, alert_type: AlertType, severity: Severity, status: AlertStatus) -> AlertNote {
        AlertNote {
            id: Uuid::from_u128(9),
            unit_id: Uuid::from_u128(unit),
            unit: "Freezer".into(),
            alert_type,
            severity,
            status,
            level: 1,
            message: "too\nwarm".into(),
            triggered_ms: 1_784_367_255_775,
        }
    }

    pub fn names() -> Names {
        Names::new("frostguard", "homeassistant", "kitchen/1")
    }

    fn painted(board: &Board) -> Picture {
        paint(&names(), board)
    }

    #[track_caller]
    fn check_unit(board: &Board, want: &str) {
        let topic = "frostguard/kitchen-1/units/00000000-0000-0000-0000-000000000001";
        assert_eq!(painted(board)[topic], want);
    }

    #[test]
    fn the_states_are_frozen() {
        use AlertStatus::{Acknowledged, Resolved};
        let mut board = Board { site: "Bistro".into(), units: vec![unit(1, "Freezer")], ..Board::default() };
        let quiet = r#"{"site":"Bistro","severity":"none","calling":"none","storage_failed":false,"open":0,"alerts":[]}"#;
        assert_eq!(painted(&board)["frostguard/kitchen-1/kitchen"], quiet);
        check_unit(
            &board,
            r#"{"name":"Freezer","status":"ok","fresh":true,"temperature":-18.25,"humidity":null,"unit_of_measurement":"°C","door":null,"problem":false,"read_at":"2026-07-18T09:34:15.775Z"}"#,
        );

        board.light = Some(Severity::Critical);
        board.alerts = vec![
            alert(1, AlertType::AlarmActive, Severity::Critical, Acknowledged),
            alert(1, AlertType::DoorOpen, Severity::Warning, Resolved),
            alert(1, AlertType::MonitoringInterrupted, Severity::Warning, AlertStatus::Active),
        ];
        board.units[0] = UnitNote {
            status: UnitStatus::AlarmActive,
            temperature: Some(39.2),
            humidity: Some(41.0),
            scale: "F".into(),
            is_door_open: Some(true),
            read_ms: None,
            ..unit(1, "Freezer")
        };
        check_unit(
            &board,
            r#"{"name":"Freezer","status":"alarm_active","fresh":false,"temperature":39.2,"humidity":41.0,"unit_of_measurement":"°F","door":"open","problem":true,"read_at":null}"#,
        );
        board.alerts.truncate(1);
        assert_eq!(
            painted(&board)["frostguard/kitchen-1/kitchen"],
            concat!(
                r#"{"site":"Bistro","severity":"critical","calling":"none","storage_failed":false,"open":1,"alerts":[{"#,
                r#""id":"00000000-0000-0000-0000-000000000009","unit_id":"00000000-0000-0000-0000-000000000001","#,
                r#""unit":"Freezer","type":"alarm_active","severity":"critical","status":"acknowledged","level":1,"#,
                r#""message":"too warm","triggered_at":"2026-07-18T09:34:15.775Z"}]}"#
            )
        );
    }

    #[test]
    fn a_store_that_fails_calls() {
        let board = Board { is_storage_failed: true, ..Board::default() };
        let want = r#"{"site":"","severity":"critical","calling":"critical","storage_failed":true,"open":0,"alerts":[]}"#;
        assert_eq!(painted(&board)["frostguard/kitchen-1/kitchen"], want);
    }

    #[test]
    fn the_list_of_alerts_is_bounded_and_the_count_is_not() {
        let one = alert(1, AlertType::AlarmActive, Severity::Critical, AlertStatus::Active);
        let long = AlertNote { message: "x".repeat(10_000), ..one };
        let board = Board { alerts: vec![long; 1_000], ..Board::default() };
        let text = &painted(&board)["frostguard/kitchen-1/kitchen"];
        assert!(text.contains(r#""open":1000"#) && text.len() < 40_000, "{}", text.len());
    }

    #[test]
    fn only_changes_are_published_and_what_is_gone_is_taken_away() {
        let picture = |pairs: &[(&str, &str)]| -> Picture {
            pairs.iter().map(|(topic, payload)| ((*topic).to_owned(), (*payload).to_owned())).collect()
        };
        let (before, after) =
            (picture(&[("a", "1"), ("b", "1"), ("c", "1")]), picture(&[("b", "1"), ("c", "2"), ("d", "1")]));
        let got = changes(&before, &after);
        let got: Vec<_> = got.iter().map(|(topic, payload)| (topic.as_str(), payload.as_str())).collect();
        assert_eq!(got, [("a", ""), ("c", "2"), ("d", "1")]);
        assert!(changes(&after, &after).is_empty());
    }
}
