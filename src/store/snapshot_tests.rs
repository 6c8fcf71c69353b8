//! Configuration from central, on a real database with its foreign keys on.

use rusqlite::Connection;
use uuid::Uuid;

use super::snapshot::{self, Changes, Moment, Moved, Outcome};
use super::sync_tests::{
    AREA, HUB, ORGANIZATION, SITE, STAMP, START, add_alert, device_id, enrolled_site, unit_id,
};
use super::{batches, rows, snapshots, state};
use crate::domain::{DeviceNo, Probe, UnitNo, UnixMs};
use frostguard_sync::api::Snapshot;
use frostguard_sync::wire::{self, Body, Lane, RowImage, Value};

pub(super) const NOW: UnixMs = UnixMs(START + 1_000_000);

pub(super) fn moment() -> Moment<'static> {
    Moment { now: NOW, stamp: STAMP, measuring_probe: &|_| Probe::INTERNAL }
}

pub(super) fn row(table: &str, id: Uuid, columns: &[(&str, Value)]) -> RowImage {
    let columns = columns.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    RowImage { table: table.into(), id, columns }
}

pub(super) fn text(text: &str) -> Value {
    Value::Text(text.into())
}

pub(super) fn unit(id: Uuid, name: &str, area: Uuid) -> RowImage {
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

pub(super) fn get<T: rusqlite::types::FromSql>(connection: &Connection, sql: &str) -> T {
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
