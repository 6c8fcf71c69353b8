//! Configuration and enrolment, on a real database with its foreign keys on.

use rusqlite::Connection;
use uuid::Uuid;

use super::down::{self, Act, ActKind};
use super::link::{self, EnrolError, Enrolled, Enrolment};
use super::snapshot::{self, Changes, Moment, Moved, Outcome};
use super::sync_tests::{
    AREA, HUB, ORGANIZATION, SITE, STAMP, START, add_alert, alert_id, device_id, enrolled_site, site, unit_id,
};
use super::{batches, rows, snapshots, state};
use crate::domain::{DeviceNo, Probe, UnitNo, UnixMs};
use frostguard_sync::api::{Down, EnrolAnswer, Snapshot};
use frostguard_sync::wire::{self, Body, Lane, RowImage, Value};

const NOW: UnixMs = UnixMs(START + 1_000_000);

fn moment() -> Moment<'static> {
    Moment { now: NOW, stamp: STAMP, measuring_probe: &|_| Probe::INTERNAL }
}

fn row(table: &str, id: Uuid, columns: &[(&str, Value)]) -> RowImage {
    let columns = columns.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    RowImage { table: table.into(), id, columns }
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn unit(id: Uuid, name: &str, area: Uuid) -> RowImage {
    row(
        "units",
        id,
        &[
            ("area_id", Value::Uuid(area)),
            ("name", text(name)),
            ("unit_type", text("fridge")),
            ("temp_unit", text("F")),
            ("temp_min", Value::Int(330)),
            ("temp_max", Value::Int(410)),
            ("created_at", Value::Millis(1)),
        ],
    )
}

fn device(no: u32, unit: Uuid) -> RowImage {
    row(
        "devices",
        device_id(no),
        &[
            ("unit_id", Value::Uuid(unit)),
            ("hub_id", Value::Uuid(HUB)),
            ("device_eui", text(&format!("A{no:015}"))),
            ("name", Value::Null),
            ("created_at", Value::Millis(0)),
        ],
    )
}

fn calibration(id: u128, offset: i64) -> RowImage {
    row(
        "calibration_records",
        Uuid::from_u128(id),
        &[
            ("device_id", Value::Uuid(device_id(1))),
            ("calibrated_at", Value::Millis(START)),
            ("temperature_offset", Value::Int(offset)),
        ],
    )
}

/// The site of `site()` as central has it: its three units, now in °F.
fn snapshot(etag: &str) -> Snapshot {
    let mut rows = vec![
        row("organizations", ORGANIZATION, &[("name", text("Chain")), ("slug", text("chain"))]),
        row("sites", SITE, &[("organization_id", Value::Uuid(ORGANIZATION)), ("name", text("Kitchen 7"))]),
        row("areas", AREA, &[("site_id", Value::Uuid(SITE)), ("name", text("Main"))]),
    ];
    rows.extend((1..=3).map(|no| unit(unit_id(no), &format!("Fridge {no}"), AREA)));
    Snapshot { etag: etag.into(), site_id: SITE, organization_id: ORGANIZATION, confirm_removal: false, rows }
}

fn with(etag: &str, more: impl IntoIterator<Item = RowImage>) -> Snapshot {
    let mut snapshot = snapshot(etag);
    snapshot.rows.extend(more);
    snapshot
}

#[track_caller]
fn applied(connection: &Connection, snapshot: &Snapshot) -> Changes {
    match snapshot::apply(connection, snapshot, &moment()).unwrap() {
        Outcome::Applied(changes) => changes,
        other => panic!("{other:?}"),
    }
}

fn get<T: rusqlite::types::FromSql>(connection: &Connection, sql: &str) -> T {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn dump(connection: &Connection, table: &str) -> Vec<String> {
    let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
    let width = statement.column_count();
    let rows = statement.query_map([], |row| {
        Ok((0..width).map(|i| format!("{:?}", row.get_ref(i).unwrap())).collect::<Vec<_>>().join(" "))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_snapshot_is_applied_once() {
    let connection = enrolled_site();
    connection.execute("UPDATE units SET status = 'excursion', last_temperature = 999", []).unwrap();
    let changes = applied(&connection, &snapshot("a"));
    assert_eq!((changes.etag.as_str(), changes.former_etag.as_str()), ("a", ""));
    assert_eq!(changes.rows["units"], 3);
    assert_eq!(get::<String>(&connection, "SELECT name FROM organizations"), "Chain");
    assert_eq!(
        get::<i64>(&connection, "SELECT count(*) FROM units WHERE temp_unit = 'F' AND temp_max = 410"),
        3
    );
    assert_eq!(
        get::<i64>(
            &connection,
            "SELECT count(*) FROM units WHERE status = 'excursion' AND last_temperature = 999"
        ),
        3,
        "what the hub owns stays"
    );
    assert_eq!(get::<i64>(&connection, "SELECT max(updated_at) FROM units"), NOW.0);
    assert_eq!(snapshot::apply(&connection, &snapshot("a"), &moment()).unwrap(), Outcome::Unchanged);
    let changes = applied(&connection, &snapshot("b"));
    assert_eq!(
        (changes.former_etag.as_str(), changes.rows.len()),
        ("a", 0),
        "the same rows again change nothing"
    );
    assert_eq!(snapshots::etag(&connection).unwrap(), "b");
    assert_eq!(snapshots::previous(&connection).unwrap().unwrap().etag, "a");
    assert_eq!(get::<i64>(&connection, "SELECT count(*) FROM hub_dirty"), 0, "what came down does not go up");
}

#[test]
fn a_refused_snapshot_changes_nothing_and_is_remembered() {
    let connection = enrolled_site();
    applied(&connection, &snapshot("a"));
    let before = dump(&connection, "units");
    let mut bad = snapshot("bad");
    bad.rows.truncate(4);
    let Outcome::Refused { reason } = snapshot::apply(&connection, &bad, &moment()).unwrap() else {
        panic!("it was taken")
    };
    assert!(reason.contains("2 of 3 units"), "{reason}");
    assert_eq!(snapshots::refused(&connection).unwrap(), Some(("bad".to_owned(), reason)));
    // Rows that contradict each other: a contact of a profile that is nowhere.
    let contact = row(
        "escalation_contacts",
        Uuid::from_u128(70),
        &[
            ("organization_id", Value::Uuid(ORGANIZATION)),
            ("profile_id", Value::Uuid(Uuid::from_u128(71))),
            ("name", text("Ann")),
            ("phone", text("+1")),
        ],
    );
    let mut odd = with("odd", [contact]);
    odd.rows[3].columns[1].1 = text("Renamed");
    let outcome = snapshot::apply(&connection, &odd, &moment()).unwrap();
    assert!(matches!(&outcome, Outcome::Refused { reason } if reason.contains("do not fit")), "{outcome:?}");
    assert_eq!(dump(&connection, "units"), before);
    assert_eq!(snapshots::etag(&connection).unwrap(), "a");
    applied(&connection, &snapshot("b"));
    assert_eq!(snapshots::refused(&connection).unwrap(), None);
}

#[test]
fn a_missing_unit_keeps_its_alert_and_is_marked() {
    let connection = enrolled_site();
    add_alert(&connection, 1);
    let mut less = snapshot("less");
    less.rows.retain(|row| row.id != unit_id(1));
    let changes = applied(&connection, &less);
    assert_eq!(changes.removed_units, [UnitNo(1)]);
    assert_eq!(get::<i64>(&connection, "SELECT removed_ms FROM hub_units WHERE no = 1"), NOW.0);
    assert_eq!(get::<i64>(&connection, "SELECT count(*) FROM alerts"), 1);
    assert_eq!(get::<i64>(&connection, "SELECT is_active FROM units WHERE name = 'Fridge 1'"), 1);
    let changes = applied(&connection, &snapshot("again"));
    assert_eq!((changes.removed_units.len(), changes.restored_units), (0, vec![UnitNo(1)]));
    let new = unit(Uuid::from_u128(0x99), "New", AREA);
    applied(&connection, &with("new", [new]));
    assert_eq!(get::<i64>(&connection, "SELECT count(*) FROM hub_units WHERE removed_ms IS NULL"), 4);
}

#[test]
fn a_device_that_central_moves_measures_its_new_unit() {
    let connection = enrolled_site();
    applied(&connection, &with("a", [device(1, unit_id(1))]));
    let changes = applied(&connection, &with("b", [device(1, unit_id(2))]));
    let moved =
        Moved { device: DeviceNo(1), probe: Probe::EXTERNAL, from: Some(UnitNo(1)), to: Some(UnitNo(2)) };
    assert_eq!(changes.moved, [moved]);
    assert_eq!(
        get::<i64>(
            &connection,
            "SELECT count(*) FROM hub_assignments WHERE device_no = 1 AND closed_segment = 1"
        ),
        1
    );
    assert_eq!(
        get::<i64>(
            &connection,
            "SELECT unit_no FROM hub_assignments WHERE device_no = 1 AND probe = 1 AND closed_segment IS NULL"
        ),
        2
    );
    // Moved on the hub meanwhile: that is on its way up, and the unchanged snapshot does not undo it.
    connection
        .execute(
            "UPDATE devices SET unit_id = (SELECT id FROM units WHERE name = 'Fridge 3') WHERE id = ?1",
            [device_id(1).into_bytes()],
        )
        .unwrap();
    rows::mark_dirty(&connection, "devices", device_id(1)).unwrap();
    let changes = applied(&connection, &with("c", [device(1, unit_id(2))]));
    assert_eq!(changes.moved, []);
    let limits = batches::Limits { rows: 10, bytes: 10_000 };
    let columns = |stored: batches::StoredBatch| match wire::decode(&stored.body).unwrap().body {
        Body::State(rows) => rows[0].columns.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(),
        Body::Readings(_) => panic!("lane 0"),
    };
    let stored = state::cut(&connection, limits, STAMP).unwrap().unwrap();
    assert!(columns(stored).contains(&"unit_id".to_owned()), "the hub's change travels");
    batches::acknowledge(&connection, Lane::State, 1, &[], STAMP).unwrap();
    applied(&connection, &with("d", [device(1, unit_id(3))]));
    rows::mark_dirty(&connection, "devices", device_id(1)).unwrap();
    let stored = state::cut(&connection, limits, STAMP).unwrap().unwrap();
    assert!(
        !columns(stored).contains(&"unit_id".to_owned()),
        "central has it: only what the hub hears travels"
    );
}

#[test]
fn calibrations_that_would_hide_an_alarm_are_ignored() {
    let connection = enrolled_site();
    let rows = [
        device(1, unit_id(1)),
        calibration(0x61, 500),
        calibration(0x62, -501),
        calibration(0x63, i64::MIN),
        row("charms", Uuid::nil(), &[]),
    ];
    let mut given = with("a", rows);
    given.rows[3].columns.push(("colour".into(), text("blue")));
    let changes = applied(&connection, &given);
    assert_eq!(changes.ignored_calibrations, [Uuid::from_u128(0x62), Uuid::from_u128(0x63)]);
    assert_eq!(get::<i64>(&connection, "SELECT count(*) FROM calibration_records"), 1);
    assert_eq!(changes.unknown, ["charms", "units.colour"]);
}

#[test]
fn what_central_no_longer_has_is_switched_off() {
    let connection = enrolled_site();
    let (profile, rule, contact) = (Uuid::from_u128(0x71), Uuid::from_u128(0x72), Uuid::from_u128(0x73));
    let owner = ("organization_id", Value::Uuid(ORGANIZATION));
    let more = [
        row(
            "profiles",
            profile,
            &[
                owner.clone(),
                ("user_id", Value::Uuid(profile)),
                ("email", text("a@b")),
                ("phone", text("+1")),
                ("sms_enabled", Value::Bool(true)),
            ],
        ),
        row("alert_rules", rule, &[owner.clone(), ("name", text("Night"))]),
        row(
            "escalation_contacts",
            contact,
            &[owner, ("profile_id", Value::Uuid(profile)), ("name", text("Ann")), ("phone", text("+1"))],
        ),
        device(1, unit_id(1)),
    ];
    applied(&connection, &with("a", more));
    connection.execute("UPDATE hub_link SET down_cursor = 'x'", []).unwrap();
    add_alert(&connection, 1);
    connection.execute("UPDATE alerts SET acknowledged_by = ?1", [profile.into_bytes()]).unwrap();
    applied(&connection, &snapshot("b"));
    assert_eq!(get::<i64>(&connection, "SELECT is_enabled FROM alert_rules"), 0);
    assert_eq!(get::<i64>(&connection, "SELECT count(*) FROM escalation_contacts"), 0);
    assert_eq!(get::<i64>(&connection, "SELECT sms_enabled FROM profiles WHERE phone IS NULL"), 0);
    assert_eq!(get::<[u8; 16]>(&connection, "SELECT acknowledged_by FROM alerts"), profile.into_bytes());
    let active = "SELECT group_concat(is_active) FROM (SELECT is_active FROM devices ORDER BY device_eui)";
    assert_eq!(get::<String>(&connection, active), "0,1,1", "the others are the hub's own news");
}

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
