//! The table of types: what each column and key of the central schema is in the mirror.
//!
//! uuid is a BLOB of 16 bytes, timestamptz(3) INTEGER milliseconds, numeric(n,2) INTEGER hundredths, boolean INTEGER 0 or
//! 1, enums and varchar(n) TEXT with a check. A default that PostgreSQL computes (an id, the time) has no counterpart: the
//! hub gives every row its id and times itself.

use rusqlite::Connection;

use crate::facts::Facts;
use crate::mirror::{Mirror, MirrorColumn, query};

/// A view in the mirror: the log and the history in the central shape.
const VIEW: &str = "sensor_readings";

/// What stands for each NOT NULL column of `sensor_readings`: columns of the tables under the view, NOT NULL all.
const NOT_NULL_CARRIERS: &[(&str, &[&str])] = &[
    (
        "id",
        &["hub_epochs.epoch", "hub_log.epoch_no", "hub_log.seq", "hub_history.epoch_no", "hub_history.body"],
    ),
    ("unit_id", &["hub_units.unit_id", "hub_log.unit_no", "hub_history.unit_no"]),
    ("temperature", &["hub_log.temperature", "hub_log.tag", "hub_history.body", "units.temp_unit"]),
    (
        "recorded_at",
        &[
            "hub_log.segment",
            "hub_log.mono_ms",
            "hub_boots.floor_ms",
            "hub_boots.first_mono_ms",
            "hub_history.body",
        ],
    ),
    ("received_at", &["hub_log.segment", "hub_log.mono_ms", "hub_history.body"]),
];

/// What stands for each foreign key of `sensor_readings`: a column under the view and what it references. No delete rule:
/// the hub deletes no unit and no device (it sets `is_active`), and here SQLite refuses to.
const FOREIGN_KEY_CARRIERS: &[(&str, &str, &str)] =
    &[("unit_id", "hub_units.unit_id", "units(id)"), ("device_id", "hub_devices.device_id", "devices(id)")];

pub fn to_mirror(central: &Facts) -> Mirror {
    let columns = central.columns.iter().filter(|column| column.table != VIEW);
    Mirror {
        columns: columns
            .map(|column| MirrorColumn {
                table: column.table.clone(),
                ordinal: column.ordinal,
                name: column.name.clone(),
                sql_type: sql_type(&column.pg_type).to_owned(),
                is_nullable: column.is_nullable,
                default: default(&column.default),
                check: check(central, &column.name, &column.pg_type),
            })
            .collect(),
        keys: central.keys.iter().filter(|key| key.table != VIEW).cloned().collect(),
        lax_tables: Vec::new(),
        view: central
            .columns
            .iter()
            .filter(|column| column.table == VIEW)
            .map(|column| column.name.clone())
            .collect(),
    }
}

fn sql_type(pg_type: &str) -> &'static str {
    match pg_type {
        "uuid" => "BLOB",
        "integer" | "boolean" | "timestamp(3) with time zone" => "INTEGER",
        numeric if numeric.starts_with("numeric(") && numeric.ends_with(",2)") => "INTEGER",
        _ => "TEXT",
    }
}

fn default(pg_default: &str) -> String {
    match pg_default {
        "gen_random_uuid()" | "now()" => String::new(),
        "true" => "1".to_owned(),
        "false" => "0".to_owned(),
        other => other.split("::").next().unwrap_or_default().to_owned(),
    }
}

fn check(central: &Facts, name: &str, pg_type: &str) -> String {
    let length = pg_type.strip_prefix("character varying(").and_then(|rest| rest.strip_suffix(')'));
    match (pg_type, length, central.enums.get(pg_type)) {
        ("uuid", ..) => format!("length({name}) = 16"),
        ("boolean", ..) => format!("{name} IN (0, 1)"),
        (_, Some(length), _) => format!("length({name}) <= {length}"),
        (_, _, Some(values)) => format!("{name} IN ('{}')", values.join("', '")),
        _ => String::new(),
    }
}

/// What central demands of `sensor_readings` and the tables under the view do not carry, or the lists above leave out.
pub fn view_complaints(central: &Facts, sqlite: &Connection) -> Vec<String> {
    let mut told = Vec::new();
    for column in central.columns.iter().filter(|column| column.table == VIEW && !column.is_nullable) {
        match NOT_NULL_CARRIERS.iter().find(|(name, _)| *name == column.name) {
            None => {
                told.push(format!("{VIEW}.{} is NOT NULL in central and nothing stands for it", column.name));
            }
            Some((_, carriers)) => {
                told.extend(carriers.iter().filter(|carrier| !is_not_null(sqlite, carrier)).map(|carrier| {
                    format!("{carrier}, which stands for {VIEW}.{}, may be NULL", column.name)
                }));
            }
        }
    }
    for key in central.keys.iter().filter(|key| key.table == VIEW && key.kind == "fk") {
        match FOREIGN_KEY_CARRIERS.iter().find(|(column, ..)| key.columns == [*column]) {
            Some((_, carrier, references)) if *references == key.references => {
                if !has_foreign_key(sqlite, carrier, references) {
                    told.push(format!(
                        "{carrier}, which stands for {}, does not reference {references}",
                        key.name
                    ));
                }
            }
            _ => told.push(format!("nothing stands for {}", key.name)),
        }
    }
    told
}

fn is_not_null(sqlite: &Connection, carrier: &str) -> bool {
    let (table, column) = carrier.split_once('.').expect("a carrier is table.column");
    let sql = "SELECT \"notnull\" FROM pragma_table_info(?1) WHERE name = ?2";
    query(sqlite, sql, &[table, column], |row| row.get::<_, bool>(0)) == [true]
}

fn has_foreign_key(sqlite: &Connection, carrier: &str, references: &str) -> bool {
    let (table, column) = carrier.split_once('.').expect("a carrier is table.column");
    let sql = "SELECT \"table\" || '(' || \"to\" || ')' FROM pragma_foreign_key_list(?1) WHERE \"from\" = ?2";
    query(sqlite, sql, &[table, column], |row| row.get::<_, String>(0)) == [references]
}
