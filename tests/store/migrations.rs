//! Migrations run on a checked copy: nothing is lost, and what fails changes nothing.

use std::collections::BTreeMap;
use std::fs;

use frostguard_hub::store::migrate::Migrations;
use refinery::Migration;
use rusqlite::types::Value;

use super::*;

/// Rebuilds `units`, the parent of readings' units, alerts and more, as SQLite makes it necessary for most changes.
const REBUILD: &str = "
CREATE TABLE units_new (
    id BLOB NOT NULL CHECK (length(id) = 16),
    area_id BLOB NOT NULL CHECK (length(area_id) = 16),
    name TEXT NOT NULL CHECK (length(name) <= 300),
    unit_type TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'ok',
    temp_min INTEGER NOT NULL,
    temp_max INTEGER NOT NULL,
    temp_unit TEXT NOT NULL DEFAULT 'F',
    manual_monitoring_required INTEGER NOT NULL DEFAULT 0,
    manual_monitoring_interval INTEGER,
    last_reading_at INTEGER,
    last_temperature INTEGER,
    is_active INTEGER NOT NULL DEFAULT 1,
    sort_order INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY (area_id) REFERENCES areas (id) ON DELETE CASCADE ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;
INSERT INTO units_new SELECT * FROM units;
DROP VIEW sensor_readings;
DROP TABLE units;
ALTER TABLE units_new RENAME TO units;
CREATE VIEW sensor_readings AS SELECT 1 AS rebuilt;";

fn with(dir: &TempDir, sql: &str) -> OpenOptions {
    let mut migrations = Migrations::embedded();
    migrations.list.push(Migration::unapplied("V90__test", sql).unwrap());
    OpenOptions { migrations, ..options(dir) }
}

/// Units with alerts that hang on them by a cascade, and readings.
fn seeded(dir: &TempDir) {
    seeded_at(&options(dir));
}

fn seeded_at(options: &OpenOptions) {
    let (mut store, _) = Store::open(options, &mut random(1)).unwrap();
    site(&mut store, 3);
    store
        .write(|tx| {
            boots::insert(tx, &boot(1, 1, 0))?;
            boots::place(tx, 1, ntp(START))?;
            minutely(1, 3, 1, 0..300).iter().try_for_each(|row| log::append(tx, row))?;
            history::move_settled(tx, UnixMs(START + 4 * HOUR), None)?;
            tx.execute(
                "INSERT INTO alerts (id, unit_id, alert_type, severity, triggered_at, created_at, updated_at)
                 SELECT randomblob(16), id, 'alarm_active', 'critical', 0, 0, 0 FROM units",
                [],
            )?;
            tx.execute(
                "INSERT INTO hub_alerts (alert_id, unit_no, alert_type, is_open)
                 SELECT a.id, u.no, 'alarm_active', 1 FROM alerts AS a JOIN hub_units AS u USING (unit_id)",
                [],
            )?;
            Ok(())
        })
        .unwrap();
}

const COUNTS: &str = "SELECT json_array((SELECT count(*) FROM units), (SELECT count(*) FROM alerts),
    (SELECT count(*) FROM hub_alerts), (SELECT count(*) FROM hub_log), (SELECT coalesce(sum(rows), 0) FROM hub_hours),
    (SELECT count(*) FROM hub_units))";

fn counts(store: &Store) -> String {
    store.connection().query_row(COUNTS, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_rebuilt_table_keeps_its_children() {
    let dir = TempDir::new().unwrap();
    seeded(&dir);
    let (store, _) = open(&dir, 1);
    let before = counts(&store);
    assert_eq!(before, "[3,3,3,540,360,3]");
    let epoch = epochs::current(store.connection()).unwrap();
    drop(store);

    let (mut store, report) = Store::open(&with(&dir, REBUILD), &mut random(2)).unwrap();
    assert_eq!(report.migrated, ["V90__test"]);
    assert_eq!(report.recovery, Recovery::Found);
    assert_eq!(report.messages, ["migrated the database: V90__test"]);
    assert_eq!(counts(&store), before);
    assert_eq!(epochs::current(store.connection()).unwrap(), epoch, "the same writer");
    assert_eq!(count(&store, "SELECT rebuilt FROM sensor_readings"), 1);
    // Its constraints are the new ones, and foreign keys hold again.
    store.write(|tx| Ok(tx.execute("UPDATE units SET name = hex(zeroblob(150))", [])?)).unwrap();
    let orphan = store.write(|tx| Ok(tx.execute("UPDATE alerts SET unit_id = zeroblob(16)", [])?));
    assert!(orphan.is_err());
    assert!(dir.path().join("hub.db.before-V90").exists());
    store.close().unwrap();

    // The former version does not touch what a newer one wrote.
    let error = Store::open(&options(&dir), &mut random(3)).err().unwrap();
    assert!(matches!(error, StoreError::Newer { schema: 90, .. }), "{error:?}");
    assert!(error.to_string().ends_with("install that again"), "{error}");
    let (_, report) = Store::open(&with(&dir, REBUILD), &mut random(2)).unwrap();
    assert_eq!(report.migrated, [""; 0]);
}

#[track_caller]
fn check_refused(sql: &str, want: &str) {
    let dir = TempDir::new().unwrap();
    seeded(&dir);
    let path = dir.path().join("hub.db");
    let before = fs::read(&path).unwrap();
    let error = Store::open(&with(&dir, sql), &mut random(2)).err().unwrap();
    assert!(matches!(error, StoreError::Migration { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(want), "{text} lacks {want}");
    assert!(text.contains("as it was before"), "{text}");
    assert!(fs::read(&path).unwrap() == before, "not a byte changed");
    let left: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("unfinished") || name.contains("before-V"))
        .collect();
    assert_eq!(left, [""; 0]);
    let (store, _) = open(&dir, 2);
    assert_eq!(counts(&store), "[3,3,3,540,360,3]");
}

#[test]
fn one_that_fails_half_way_changes_nothing() {
    check_refused("DELETE FROM alerts; CREATE TABLE extra (x); INSERT INTO nowhere VALUES (1);", "nowhere");
}

#[test]
fn one_that_loses_rows_is_refused() {
    check_refused(
        "DELETE FROM hub_log WHERE seq % 2 = 0;",
        "table hub_log had 540 rows and is left with 270",
    );
    check_refused(
        "DROP TABLE hub_snapshots; DROP TABLE hub_boots;",
        "hub_boots had 1 rows and is left with 0",
    );
}

#[test]
fn one_that_leaves_orphans_is_refused() {
    check_refused(
        "UPDATE hub_alerts SET unit_no = unit_no + 70;",
        "a row of hub_alerts names no row of hub_units",
    );
}

#[test]
fn one_that_may_shrink_a_table_says_so() {
    let dir = TempDir::new().unwrap();
    seeded(&dir);
    let mut options = with(&dir, "DELETE FROM hub_log WHERE seq % 2 = 0;");
    options.migrations.may_shrink.push("hub_log".to_owned());
    let (store, _) = Store::open(&options, &mut random(2)).unwrap();
    assert_eq!(count(&store, "SELECT count(*) FROM hub_log"), 270);
}

#[test]
fn an_applied_migration_that_was_changed_later_is_refused() {
    let dir = TempDir::new().unwrap();
    seeded(&dir);
    let mut options = with(&dir, "CREATE TABLE extra (x);");
    options.migrations.list[0] = Migration::unapplied("V1__mirror", "SELECT 1;").unwrap();
    let error = Store::open(&options, &mut random(2)).err().unwrap();
    assert!(matches!(error, StoreError::Migration { .. }), "{error:?}");
}

#[test]
fn a_backup_of_an_older_version_is_migrated_when_it_is_restored() {
    let dir = TempDir::new().unwrap();
    seeded(&dir);
    let (store, _) = open(&dir, 2);
    store.backup().unwrap();
    drop(store);
    fs::write(dir.path().join("hub.db"), "garbage").unwrap();
    let (store, report) = Store::open(&with(&dir, REBUILD), &mut random(3)).unwrap();
    assert!(matches!(report.recovery, Recovery::Restored { .. }), "{report:?}");
    assert_eq!(count(&store, "SELECT rebuilt FROM sensor_readings"), 1);
    assert_eq!(counts(&store), "[3,3,3,0,0,3]");
}

/// The schema before LoRaWAN.
fn at_v4(dir: &TempDir) -> OpenOptions {
    let mut migrations = Migrations::embedded();
    migrations.list.retain(|migration| migration.version() <= 4);
    OpenOptions { migrations, ..options(dir) }
}

/// Every row of every table, as text.
fn contents(store: &Store) -> BTreeMap<String, Vec<String>> {
    let connection = store.connection();
    let mut names = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'refinery%'")
        .unwrap();
    let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let rows = |name: &String| {
        let mut statement = connection.prepare(&format!("SELECT * FROM \"{name}\"")).unwrap();
        let columns = statement.column_count();
        let mut rows: Vec<String> = statement
            .query_map([], |row| {
                let values = (0..columns).map(|column| row.get::<_, Value>(column));
                Ok(format!("{:?}", values.collect::<rusqlite::Result<Vec<Value>>>()?))
            })
            .unwrap()
            .map(Result::unwrap)
            .collect();
        rows.sort();
        rows
    };
    names.iter().map(|name| (name.clone(), rows(name))).collect()
}

#[test]
fn a_database_from_before_lorawan_keeps_every_row() {
    let dir = TempDir::new().unwrap();
    seeded_at(&at_v4(&dir));
    // What V3 and V4 brought, and what the network server will write to.
    let (mut store, _) = Store::open(&at_v4(&dir), &mut random(1)).unwrap();
    store
        .write(|tx| {
            tx.execute_batch(
                "INSERT INTO devices (id, unit_id, device_eui, name, created_at, updated_at)
                 SELECT randomblob(16), id, 'A84041000000000' || substr(name, -1), name, 5, 6 FROM units;
                 INSERT INTO hub_devices (no, device_id, model, source, port, address, is_authenticated)
                 SELECT row_number() OVER (), id, 'dragino/lht65n', 'mqtt', 'chirpstack', device_eui, 1 FROM devices;
                 INSERT INTO lora_sensors (id, device_id, app_eui, dev_eui, created_at, updated_at)
                 SELECT randomblob(16), id, '0000000000000000', device_eui, 7, 8 FROM devices;
                 INSERT INTO pairing_sessions (id, device_id, status, pairing_code, started_at, expires_at, created_at,
                     updated_at)
                 SELECT randomblob(16), id, 'completed', 'K7WMQ4', 1, 2, 3, 4 FROM devices;
                 INSERT INTO hub_deliveries (id, alert_id, kind, channel, recipient, severity, level, cause, status,
                     due_segment, due_mono_ms)
                 SELECT randomblob(16), id, 'call', 'sms', '+4915112345678', severity, 1, 'first', 'pending', 1, 9
                 FROM alerts;
                 INSERT INTO hub_outages (no, reason, lost_segment, lost_mono_ms, epoch_no, first_seq, report)
                 VALUES (1, 'mains', 1, 10, 1, 11, '{}');",
            )?;
            Ok(())
        })
        .unwrap();
    store.close().unwrap();
    let (store, _) = Store::open(&at_v4(&dir), &mut random(1)).unwrap();
    let before = contents(&store);
    for table in
        ["hub_log", "hub_history", "lora_sensors", "pairing_sessions", "hub_deliveries", "hub_outages"]
    {
        assert!(!before[table].is_empty(), "{table}");
    }
    store.close().unwrap();

    let (store, report) = open(&dir, 2);
    assert_eq!(report.migrated[0], "V5__lorawan");
    assert_eq!(report.recovery, Recovery::Found);
    let mut after = contents(&store);
    for (table, rows) in before {
        assert_eq!(after.remove(&table), Some(rows), "{table}");
    }
    for table in ["hub_lora_devices", "hub_gateways", "hub_lora_keys"] {
        assert_eq!(after.remove(table), Some(Vec::new()), "{table}");
    }
    assert!(
        fs::read_dir(dir.path())
            .unwrap()
            .any(|entry| { entry.unwrap().file_name().to_string_lossy().starts_with("hub.db.before-V") })
    );
}

/// What a hub of the schema before wrote, brought up by everything that came since.
#[test]
fn a_database_of_the_version_before_is_taken_over_whole() {
    let dir = TempDir::new().unwrap();
    let written = include_str!("../fixtures/hub-of-V4.sql");
    rusqlite::Connection::open(dir.path().join("hub.db")).unwrap().execute_batch(written).unwrap();
    let (mut store, report) = open(&dir, 2);
    assert_eq!(report.migrated, ["V5__lorawan"]);
    assert_eq!(report.recovery, Recovery::Found);
    assert_eq!(counts(&store), "[5,3,3,148,0,5]");
    assert_eq!(count(&store, "SELECT count(*) FROM hub_frames"), 257);
    assert_eq!(count(&store, "SELECT count(*) FROM event_logs"), 23);
    assert!(dir.path().join("hub.db.before-V5").exists());
    // It is one to go on with.
    store.write(|tx| Ok(tx.execute("UPDATE units SET name = name || '!'", [])?)).unwrap();
    store.close().unwrap();
}
