//! Enrolment, on a real database with its foreign keys on.

use rusqlite::Connection;
use uuid::Uuid;

use super::link::{self, EnrolError, Enrolled, Enrolment};
use super::snapshot_tests::{NOW, get, moment, row, text, unit};
use super::sync_tests::{START, add_alert, alert_id, device_id, site, unit_id};
use super::{rows, snapshots};
use crate::domain::UnixMs;
use frostguard_sync::api::{EnrolAnswer, Snapshot};
use frostguard_sync::wire::Value;

fn central(no: u128) -> Uuid {
    Uuid::from_u128(0xcc00 + no)
}

/// Central's ids for the site of `site()`, and its names.
fn answer() -> EnrolAnswer {
    let mut rows = vec![
        row("organizations", central(1), &[("name", text("Chain")), ("slug", text("chain"))]),
        row(
            "sites",
            central(2),
            &[("organization_id", Value::Uuid(central(1))), ("name", text("Kitchen 7"))],
        ),
        row("areas", central(3), &[("site_id", Value::Uuid(central(2))), ("name", text("Cold side"))]),
        row("hubs", central(4), &[("site_id", Value::Uuid(central(2))), ("name", text("Hub 7"))]),
    ];
    rows.extend((1..=3).map(|no| unit(central(10 + no), &format!("Fridge {no}"), central(3))));
    let snapshot = Snapshot {
        etag: "first".into(),
        site_id: central(2),
        organization_id: central(1),
        confirm_removal: false,
        rows,
    };
    EnrolAnswer {
        hub_id: central(4),
        site_id: central(2),
        organization_id: central(1),
        receiver_key: "00".repeat(32),
        token: "00".repeat(32),
        history_from_ms: START,
        snapshot,
        devices: vec![(format!("A{:015}", 2), central(22))],
    }
}

fn enrol(
    connection: &Connection,
    answer: &EnrolAnswer,
    unit_map: &[(String, String)],
) -> Result<Enrolled, EnrolError> {
    let enrolment = Enrolment {
        answer,
        receiver_url: "https://receiver.example.com",
        receiver_key: [1; 32],
        credential_digest: [2; 32],
        unit_map,
    };
    link::enrol(connection, &enrolment, &moment())
}

#[test]
fn an_enrolment_gives_central_ids_and_loses_nothing() {
    let connection = site();
    add_alert(&connection, 1);
    rows::mark_dirty(&connection, "alerts", alert_id(1)).unwrap();
    rows::mark_dirty(&connection, "units", unit_id(1)).unwrap();
    connection
        .execute(
            "INSERT INTO hub_unplaced VALUES ('units', ?1, 'updated_at', 2, 0)",
            [unit_id(1).into_bytes()],
        )
        .unwrap();
    let enrolled = enrol(&connection, &answer(), &[]).unwrap();
    assert!(!enrolled.needs_new_epoch);
    assert_eq!(enrolled.ids.len(), 8, "organization, site, hub, area, 3 units, 1 device: {:?}", enrolled.ids);
    assert!(enrolled.ids.contains(&("units", unit_id(1), central(11))));
    assert!(enrolled.ids.contains(&("devices", device_id(2), central(22))));
    assert_eq!(get::<[u8; 16]>(&connection, "SELECT unit_id FROM alerts"), central(11).into_bytes());
    assert_eq!(
        get::<[u8; 16]>(&connection, "SELECT unit_id FROM hub_units WHERE no = 3"),
        central(13).into_bytes()
    );
    assert_eq!(
        get::<[u8; 16]>(&connection, "SELECT device_id FROM hub_devices WHERE no = 2"),
        central(22).into_bytes()
    );
    assert_eq!(get::<[u8; 16]>(&connection, "SELECT row_id FROM hub_unplaced"), central(11).into_bytes());
    assert_eq!(get::<i64>(&connection, "SELECT count(*) FROM areas"), 1);
    assert_eq!(get::<String>(&connection, "SELECT name FROM areas"), "Cold side");
    assert_eq!(
        get::<i64>(&connection, "SELECT count(*) FROM units WHERE temp_unit = 'F' AND temp_max = 410"),
        3
    );
    assert_eq!(get::<i64>(&connection, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
    let dirty = "SELECT group_concat(n) FROM (SELECT table_name || ' ' || count(*) AS n FROM hub_dirty GROUP BY 1 ORDER BY 1)";
    let dirty: String = connection
        .query_row(&dirty.replace("GROUP BY 1 ", "GROUP BY table_name "), [], |row| row.get(0))
        .unwrap();
    assert_eq!(dirty, "alerts 1,devices 3,hubs 1,units 3");
    let link = link::find(&connection).unwrap().unwrap();
    assert_eq!((link.hub_id, link.site_id, link.history_from), (central(4), central(2), UnixMs(START)));
    assert_eq!(snapshots::etag(&connection).unwrap(), "first");
    // Again, to the same hub: nothing to rename, and the epoch stays.
    let again = enrol(&connection, &answer(), &[]).unwrap();
    assert_eq!((again.ids.len(), again.needs_new_epoch), (0, false));
    // To another hub of another receiver: everything goes there.
    connection.execute("INSERT INTO hub_sent VALUES (1, 1, 50)", []).unwrap();
    let mut other = answer();
    other.hub_id = central(5);
    other.snapshot.rows[3].id = central(5);
    let again = enrol(&connection, &other, &[]).unwrap();
    assert!(again.needs_new_epoch);
    assert_eq!(get::<i64>(&connection, "SELECT count(*) FROM hub_sent"), 0);
}

#[test]
fn an_unmapped_unit_stops_the_enrolment() {
    let connection = site();
    let mut answer = answer();
    answer.snapshot.rows[6].columns[1].1 = text("Freezer X");
    let error = enrol(&connection, &answer, &[]).unwrap_err();
    let EnrolError::Unmapped { local, central: free } = &error else { panic!("{error}") };
    assert_eq!(local, &["\"Fridge 3\" (fridge)"]);
    assert!(free.len() == 1 && free[0].starts_with("\"Freezer X\" (fridge"), "{free:?}");
    let map = [("Fridge 3".to_owned(), central(11).to_string())];
    assert!(matches!(enrol(&site(), &answer, &map), Err(EnrolError::Doubled(id)) if id == central(11)));
    let map = [(unit_id(3).to_string(), "Freezer X".to_owned())];
    let connection = site();
    enrol(&connection, &answer, &map).unwrap();
    assert_eq!(
        get::<String>(&connection, "SELECT name FROM units JOIN hub_units ON unit_id = id WHERE no = 3"),
        "Freezer X"
    );
}

#[test]
fn a_bad_configuration_stops_the_enrolment() {
    let connection = site();
    let mut answer = answer();
    answer.snapshot.rows[4].columns[5].1 = Value::Int(41_000);
    assert!(
        matches!(enrol(&connection, &answer, &[]), Err(EnrolError::Snapshot(reason)) if reason.contains("Fridge 1"))
    );
}

#[test]
fn a_hub_says_what_it_has() {
    let connection = site();
    let local = link::local(&connection).unwrap();
    assert_eq!(local.units.len(), 3);
    assert_eq!((local.units[0].name.as_str(), local.units[0].temp_max), ("Fridge 1", 50));
    assert_eq!((local.device_euis.len(), local.reading_count, local.oldest_reading), (3, 0, None));
    assert!(link::set_hub_facts(&connection, Some("AA:BB:CC:DD:EE:FF"), "0.1.0", NOW).unwrap());
    assert!(!link::set_hub_facts(&connection, None, "0.1.0", NOW).unwrap());
    assert!(link::set_hub_facts(&connection, None, "0.2.0", NOW).unwrap());
    assert_eq!(link::local(&connection).unwrap().mac_address.as_deref(), Some("AA:BB:CC:DD:EE:FF"));
    assert_eq!(get::<i64>(&connection, "SELECT count(*) FROM hub_dirty WHERE table_name = 'hubs'"), 1);
}
