//! Sensors that were paired centrally: they join by the key that comes down, and keep central's id.

use frostguard_sync::api::{EnrolAnswer, RefusedRow, Snapshot};
use frostguard_sync::wire::{Lane, RowImage, Value as Cell};
use uuid::Uuid;

use super::lorawan::{Air, GATEWAY, KEY};
use super::*;
use crate::lorawan::ids::Eui;
use crate::lorawan::tests::sensor::Sensor;
use crate::pipeline::sync::EnrolCommit;
use crate::store::rows::mark_dirty;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(0xcc00 + number)
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

fn row(table: &str, own: Uuid, columns: &[(&str, Cell)]) -> RowImage {
    let columns = columns.iter().map(|(name, cell)| ((*name).to_owned(), cell.clone())).collect();
    RowImage { table: table.to_owned(), id: own, columns }
}

/// A device of central and its `lora_sensors` row.
fn paired(number: u128, columns: &[(&str, Cell)]) -> Vec<RowImage> {
    let dev_eui = text(&Eui(Sensor::new(number as u64, KEY).dev_eui).to_string());
    let mut sensor = vec![
        ("device_id", Cell::Uuid(id(100 + number))),
        ("app_eui", text("A0A0A0A0A0A0A0A0")),
        ("dev_eui", dev_eui.clone()),
        ("activation_type", text("OTAA")),
        ("created_at", Cell::Millis(1)),
    ];
    sensor.extend_from_slice(columns);
    let device = [
        ("unit_id", Cell::Uuid(id(5))),
        ("hub_id", Cell::Uuid(id(4))),
        ("device_eui", dev_eui),
        ("name", text("By central")),
        ("device_type", text("dragino/lht65n")),
        ("is_active", Cell::Bool(true)),
        ("created_at", Cell::Millis(1)),
    ];
    vec![row("devices", id(100 + number), &device), row("lora_sensors", id(200 + number), &sensor)]
}

fn snapshot(etag: &str, sensors: Vec<RowImage>) -> Snapshot {
    let mut rows = vec![
        row("organizations", id(1), &[("name", text("Diner")), ("slug", text("diner"))]),
        row("sites", id(2), &[("organization_id", Cell::Uuid(id(1))), ("name", text("Kitchen 7"))]),
        row("areas", id(3), &[("site_id", Cell::Uuid(id(2))), ("name", text("Cold side"))]),
        row("hubs", id(4), &[("site_id", Cell::Uuid(id(2))), ("name", text("Hub 7"))]),
        row(
            "units",
            id(5),
            &[
                ("area_id", Cell::Uuid(id(3))),
                ("name", text("Fridge")),
                ("unit_type", text("fridge")),
                ("temp_unit", text("C")),
                ("temp_min", Cell::Int(0)),
                ("temp_max", Cell::Int(50)),
                ("created_at", Cell::Millis(1)),
            ],
        ),
    ];
    rows.extend(sensors);
    Snapshot { etag: etag.into(), site_id: id(2), organization_id: id(1), confirm_removal: false, rows }
}

fn enrolled(sensors: Vec<RowImage>) -> Air {
    let mut air = Air::new(&[GATEWAY]);
    let answer = EnrolAnswer {
        hub_id: id(4),
        site_id: id(2),
        organization_id: id(1),
        receiver_key: "00".repeat(32),
        token: "00".repeat(32),
        history_from_ms: 0,
        snapshot: snapshot("first", sensors),
        devices: Vec::new(),
    };
    air.hub
        .core()
        .enrol(&EnrolCommit {
            answer,
            receiver_url: "https://receiver.example".into(),
            receiver_key: [1; 32],
            credential_digest: [2; 32],
            unit_map: Vec::new(),
        })
        .unwrap();
    air
}

fn key(bytes: [u8; 16]) -> (&'static str, Cell) {
    ("app_key", text(&frostguard_sync::ids::hex(&bytes)))
}

fn reading(sensor: &mut Sensor, counter: u16) -> Vec<u8> {
    sensor.reading(climate(1, counter.into(), 350).payload.bytes())
}

#[test]
fn a_sensor_that_was_paired_centrally_joins_and_is_read_in_its_unit() {
    let mut air = enrolled(paired(1, &[key(KEY)]));
    let mut sensor = Sensor::new(1, KEY);
    // Central's word alone makes no device: one that was never heard is missed by nobody.
    assert_eq!(air.hub.row("SELECT count(*) FROM hub_devices"), "0");
    air.join(&mut sensor);
    let frame = reading(&mut sensor, 0);
    air.hear(frame);
    air.after(20);
    air.hub.commit();
    for (sql, want) in [
        ("SELECT hex(device_id), model FROM hub_devices", "0000000000000000000000000000CC65|dragino/lht65n"),
        ("SELECT count(*), count(unit_no) FROM hub_log", "1|1"),
        ("SELECT count(*) FROM hub_assignments WHERE closed_segment IS NULL", "1"),
        ("SELECT last_join_at IS NOT NULL FROM lora_sensors", "1"),
        ("SELECT count(*) FROM hub_dirty WHERE table_name = 'lora_sensors'", "1"),
    ] {
        assert_eq!(air.hub.row(sql), want, "{sql}");
    }
    // The same after a power cut, and with a key that central has changed meanwhile: the sensor has the former.
    air.hub.cut_power();
    air.hub.start();
    let mut changed = paired(1, &[key([0x11; 16])]);
    changed.extend(paired(2, &[key([0x22; 16])]));
    air.hub.core().apply_snapshot(&snapshot("second", changed)).unwrap();
    assert_eq!(air.hub.row("SELECT count(*) FROM hub_lora_devices"), "2");
    assert_eq!(air.hub.count("lorawan.central_sensors{left_out}"), 1);
    let frame = reading(&mut sensor, 1);
    air.hear(frame);
    air.after(20);
    air.hub.commit();
    assert_eq!(air.hub.row("SELECT count(*) FROM hub_log"), "2");
    air.hub.check_audit();
}

#[test]
fn what_cannot_join_here_is_left_out_and_counted() {
    for (columns, left_out) in [
        (vec![], 1),
        (vec![("app_key", text("encrypted:0123456789"))], 1),
        (vec![("activation_type", text("ABP"))], 1),
        // Another network server's.
        (vec![key(KEY), ("network_server_id", text("chirpstack"))], 0),
    ] {
        let air = enrolled(paired(1, &columns));
        assert_eq!(air.hub.count("lorawan.central_sensors{left_out}"), left_out, "{columns:?}");
        assert_eq!(air.hub.row("SELECT count(*) FROM hub_lora_devices"), "0", "{columns:?}");
    }
}

#[test]
fn a_wrong_key_is_corrected_there_or_here() {
    // There.
    let mut air = enrolled(paired(1, &[key([0x11; 16])]));
    let mut sensor = Sensor::new(1, KEY);
    air.hear(sensor.join_request());
    assert_eq!(air.after(SECOND), []);
    air.hub.core().apply_snapshot(&snapshot("second", paired(1, &[key(KEY)]))).unwrap();
    air.join(&mut sensor);

    // Here; the device keeps central's id.
    let mut air = enrolled(paired(1, &[]));
    let mut sensor = Sensor::new(1, KEY);
    air.begin(&sensor);
    air.join(&mut sensor);
    let frame = reading(&mut sensor, 0);
    air.hear(frame);
    air.after(20);
    assert_eq!(air.hub.row("SELECT status FROM pairing_sessions"), "completed");
    assert_eq!(air.hub.row("SELECT hex(device_id) FROM hub_devices"), "0000000000000000000000000000CC65");
    assert_eq!(air.hub.row("SELECT count(*) FROM devices"), "1");
    air.hub.check_audit();
}

#[test]
fn a_device_that_central_does_not_take_says_so() {
    let mut air = enrolled(paired(1, &[key(KEY)]));
    let mut sensor = Sensor::new(1, KEY);
    air.join(&mut sensor);
    let frame = reading(&mut sensor, 0);
    air.hear(frame);
    air.after(20);
    let refused = RefusedRow {
        table: "devices".into(),
        key: id(101).to_string(),
        reason: "its EUI is another device's: it belongs to another organization".into(),
    };
    for (answer, want) in [(vec![refused.clone()], json!(refused.reason)), (vec![], Value::Null)] {
        air.hub.core().store.write(|tx| mark_dirty(tx, "devices", id(101))).unwrap();
        let batch = air.hub.core().next_batch(Lane::State, 1 << 20).unwrap().unwrap();
        air.hub.core().acknowledge(Lane::State, batch.seq, &answer).unwrap();
        assert_eq!(air.hub.ask(json!({ "request": "devices_list" }))["devices"][0]["refused"], want);
    }
}
