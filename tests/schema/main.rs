//! The two databases: PostgreSQL is compared with the schema facts in `tests/fixtures/schema`, exactly, and the hub's
//! mirror with the PostgreSQL catalogue, column by column, through the table of types.

mod central;
mod facts;
mod mirror;
mod translate;

#[path = "../support/mod.rs"]
mod support;

use facts::Facts;
use frostguard_hub::store::{OpenOptions, Store};
use mirror::Mirror;
use support::{Postgres, Scratch, connect};

/// A database as the receiver leaves an empty one: the 22 tables, and its own schema beside them.
async fn migrated_central(postgres: &Postgres) -> tokio_postgres::Client {
    let url = postgres.make_database("schema").await;
    let made = frostguard_sync::receiver::migrate(&url).await.expect("make the central tables");
    assert!(made.central_made);
    connect(&url).await
}

/// A database as the hub makes it, seen through a connection of its own kind.
fn migrated_mirror() -> (Scratch, rusqlite::Connection) {
    let scratch = Scratch::new("mirror");
    let options = OpenOptions { ballast_bytes: 0, ..OpenOptions::new(scratch.path()) };
    let (store, _) = Store::open(&options, &mut |bytes| bytes.fill(7)).expect("make the mirror");
    store.close().expect("close the mirror");
    let reader = Store::reader(scratch.path()).expect("look at the mirror");
    (scratch, reader)
}

#[track_caller]
fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} differences:\n  {}", complaints.len(), complaints.join("\n  "));
}

#[tokio::test(flavor = "multi_thread")]
async fn central_is_what_the_facts_list() {
    let postgres = Postgres::shared();
    let client = migrated_central(&postgres).await;
    let facts = Facts::from_files();
    assert_eq!(facts.counts(), "22 tables, 13 enums, 36 fk, 7 unique, 64 index");
    assert_none(&facts.differences(&central::read(&client).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn mirror_is_central_through_the_table_of_types() {
    let postgres = Postgres::shared();
    let client = migrated_central(&postgres).await;
    let expected = translate::to_mirror(&central::read(&client).await);
    assert_none(&expected.differences(&Mirror::read(&migrated_mirror().1)));
}

#[test]
fn view_carries_what_central_demands_of_sensor_readings() {
    let (_scratch, sqlite) = migrated_mirror();
    let facts = Facts::from_files();
    assert_none(&translate::view_complaints(&facts, &sqlite));
}

/// The comparison is only worth something if it sees what it should: each of these must be told, by name.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_central_is_told() {
    let postgres = Postgres::shared();
    let mut client = migrated_central(&postgres).await;
    let cases = [
        ("ALTER TABLE units ALTER temp_min DROP NOT NULL", "units.temp_min"),
        ("ALTER TABLE units ALTER temp_min TYPE bigint", "units.temp_min"),
        ("ALTER TABLE units ALTER sort_order SET DEFAULT 1", "units.sort_order"),
        ("ALTER TABLE units ADD extra text", "units.extra"),
        ("ALTER TABLE units DROP sort_order", "units.sort_order"),
        ("ALTER TABLE units RENAME TO cabinets", "cabinets"),
        ("CREATE TABLE extra (id uuid)", "extra.id"),
        ("ALTER TYPE unit_type ADD VALUE 'cellar'", "unit_type"),
        ("ALTER TYPE unit_type RENAME VALUE 'fridge' TO 'cooler'", "unit_type"),
        ("DROP INDEX units_status_idx", "units_status_idx"),
        (
            "DROP INDEX devices_eui_idx; CREATE INDEX devices_eui_idx ON devices (device_eui)",
            "devices_eui_idx",
        ),
        (
            "DROP INDEX units_status_idx; CREATE INDEX units_status_idx ON units (status) WHERE is_active",
            "units_status_idx",
        ),
        (
            "ALTER TABLE sites DROP CONSTRAINT sites_organization_id_organizations_id_fk; \
             ALTER TABLE sites ADD CONSTRAINT sites_organization_id_organizations_id_fk FOREIGN KEY (organization_id) \
             REFERENCES organizations (id) ON DELETE SET NULL",
            "sites_organization_id_organizations_id_fk",
        ),
    ];
    let facts = Facts::from_files();
    for (change, name) in cases {
        let transaction = client.transaction().await.expect("begin");
        transaction.batch_execute(change).await.unwrap_or_else(|error| panic!("{change}: {error:?}"));
        let told = facts.differences(&central::read(&transaction).await);
        assert!(told.iter().any(|line| line.contains(name)), "{change}: not told in {told:?}");
        transaction.rollback().await.expect("roll back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_mirror_is_told() {
    let postgres = Postgres::shared();
    let client = migrated_central(&postgres).await;
    let expected = translate::to_mirror(&central::read(&client).await);
    let sql = mirror::migrations_text();
    assert_none(&expected.differences(&Mirror::read(&mirror::built_from(&sql))));
    let cases = [
        (
            "id BLOB NOT NULL CHECK (length(id) = 16),\n    area_id",
            "id BLOB NOT NULL,\n    area_id",
            "units.id",
        ),
        (
            "area_id BLOB NOT NULL CHECK (length(area_id) = 16)",
            "area_id BLOB NOT NULL CHECK (length(area_id) = 15)",
            "units.area_id",
        ),
        (
            "temp_min INTEGER NOT NULL,\n    temp_max INTEGER NOT NULL,\n    temp_unit",
            "temp_min REAL NOT NULL,\n    temp_max INTEGER NOT NULL,\n    temp_unit",
            "units.temp_min",
        ),
        ("temp_max INTEGER NOT NULL,\n    temp_unit", "temp_max INTEGER,\n    temp_unit", "units.temp_max"),
        ("last_temperature INTEGER,\n", "", "units.last_temperature"),
        ("last_temperature INTEGER,\n", "last_temperature INTEGER,\n    extra TEXT,\n", "units.extra"),
        (
            "is_online INTEGER NOT NULL DEFAULT 0 CHECK (is_online IN (0, 1))",
            "is_online INTEGER NOT NULL DEFAULT 0",
            "hubs.is_online",
        ),
        (
            "is_online INTEGER NOT NULL DEFAULT 0 CHECK",
            "is_online INTEGER NOT NULL DEFAULT 1 CHECK",
            "hubs.is_online",
        ),
        (
            "CHECK (status IN ('active', 'inactive', 'pairing', 'error'))",
            "CHECK (status IN ('active', 'inactive', 'pairing'))",
            "devices.status",
        ),
        (
            "device_eui TEXT NOT NULL CHECK (length(device_eui) <= 32)",
            "device_eui TEXT NOT NULL CHECK (length(device_eui) <= 23)",
            "devices.device_eui",
        ),
        ("CREATE UNIQUE INDEX devices_eui_idx", "CREATE INDEX devices_eui_idx", "devices_eui_idx"),
        ("CREATE INDEX units_status_idx ON units (status);\n", "", "units_status_idx"),
        (
            "CREATE INDEX units_active_idx ON units (area_id, is_active)",
            "CREATE INDEX units_active_idx ON units (is_active, area_id)",
            "units_active_idx",
        ),
        (
            "FOREIGN KEY (area_id) REFERENCES areas (id) ON DELETE CASCADE",
            "FOREIGN KEY (area_id) REFERENCES areas (id) ON DELETE SET NULL",
            "units_area_id_areas_id_fk",
        ),
        (
            "FOREIGN KEY (area_id) REFERENCES areas (id) ON DELETE CASCADE ON UPDATE CASCADE",
            "FOREIGN KEY (area_id) REFERENCES areas (id) ON DELETE CASCADE",
            "units_area_id_areas_id_fk",
        ),
        (
            "CREATE TABLE user_roles (\n    id BLOB NOT NULL CHECK (length(id) = 16),",
            "CREATE TABLE extra (id INTEGER) STRICT;\nCREATE TABLE user_roles (\n    id BLOB NOT NULL CHECK (length(id) = 16),",
            "extra",
        ),
        (
            "humidity INTEGER,\n    notes TEXT,\n    photo_url TEXT,\n    recorded_at INTEGER NOT NULL,\n    created_at INTEGER NOT NULL,\n    PRIMARY KEY (id),",
            "humidity INTEGER,\n    notes TEXT,\n    photo_url TEXT,\n    recorded_at INTEGER NOT NULL,\n    created_at INTEGER NOT NULL,\n    PRIMARY KEY (id, recorded_at),",
            "manual_temperature_logs_pkey",
        ),
        (
            ") STRICT, WITHOUT ROWID;\nCREATE UNIQUE INDEX hubs_mac_idx",
            ") WITHOUT ROWID;\nCREATE UNIQUE INDEX hubs_mac_idx",
            "hubs is not STRICT",
        ),
        ("r.humidity AS humidity,", "r.humidity AS moisture,", "sensor_readings.humidity"),
        ("NULL AS raw_payload,\n", "", "sensor_readings.raw_payload"),
    ];
    for (from, to, name) in cases {
        assert_eq!(sql.matches(from).count(), 1, "this change must apply once: {from}");
        let told = expected.differences(&Mirror::read(&mirror::built_from(&sql.replace(from, to))));
        assert!(told.iter().any(|line| line.contains(name)), "{from} -> {to}: not told in {told:?}");
    }
}

#[test]
fn a_view_that_carries_less_is_told() {
    let facts = Facts::from_files();
    let sql = mirror::migrations_text();
    let cases = [
        (
            "temperature INTEGER NOT NULL,\n    humidity INTEGER,\n    battery INTEGER,\n    rssi INTEGER,\n    segment",
            "temperature INTEGER,\n    humidity INTEGER,\n    battery INTEGER,\n    rssi INTEGER,\n    segment",
            "hub_log.temperature",
        ),
        (
            "unit_id BLOB NOT NULL UNIQUE REFERENCES units (id)",
            "unit_id BLOB NOT NULL UNIQUE REFERENCES areas (id)",
            "hub_units.unit_id",
        ),
        (
            "device_id BLOB NOT NULL UNIQUE REFERENCES devices (id) ON UPDATE CASCADE",
            "device_id BLOB NOT NULL UNIQUE",
            "hub_devices.device_id",
        ),
        (
            "epoch_no INTEGER NOT NULL,\n    body BLOB NOT NULL,\n    PRIMARY KEY (hour",
            "epoch_no INTEGER NOT NULL,\n    body BLOB,\n    PRIMARY KEY (hour",
            "hub_history.body",
        ),
    ];
    for (from, to, name) in cases {
        assert_eq!(sql.matches(from).count(), 1, "this change must apply once: {from}");
        let told = translate::view_complaints(&facts, &mirror::built_from(&sql.replace(from, to)));
        assert!(told.iter().any(|line| line.contains(name)), "{from} -> {to}: not told in {told:?}");
    }
}
