//! Lanes, batches and what is acknowledged, on a real database.

use rusqlite::{Connection, params};
use uuid::Uuid;

use super::batches::{self, Interval, Limits, StoredBatch};
use super::epochs;
use super::log::{self, LogRow};
use super::rows::mark_dirty;
use super::tests::memory;
use super::{history, readings, sent, state, tables};
use crate::domain::{DeviceNo, MonoMs, Probe, Scale, Seq, Source, Stamp, Temperature, UnitNo, UnixMs};
use frostguard_sync::api::RefusedRow;
use frostguard_sync::ids::sha256;
use frostguard_sync::wire::{self, Batch, Body, Lane, Readings, RowImage};

pub(crate) const HUB: Uuid = Uuid::from_u128(4);
pub(crate) const SITE: Uuid = Uuid::from_u128(2);
pub(crate) const ORGANIZATION: Uuid = Uuid::from_u128(1);
pub(crate) const AREA: Uuid = Uuid::from_u128(3);
/// Wall time at monotonic 0 of segment 1.
pub(crate) const START: i64 = 1_790_000_000_000;
pub(crate) const STAMP: Stamp = Stamp { segment: 1, mono: MonoMs(500) };
pub(crate) const LIMITS: Limits = Limits { rows: 100, bytes: 100_000 };

pub(crate) fn unit_id(no: u32) -> Uuid {
    Uuid::from_u128(0x100 + u128::from(no))
}

pub(crate) fn device_id(no: u32) -> Uuid {
    Uuid::from_u128(0x200 + u128::from(no))
}

/// A site with three units and a sensor in each, nothing dirty, not enrolled; segment 1 is placed.
pub(crate) fn site() -> Connection {
    let connection = memory();
    connection.pragma_update(None, "foreign_keys", true).unwrap();
    epochs::begin_new(&connection, "made", &mut |bytes| bytes.fill(7)).unwrap();
    add_segment(&connection, 1, 1, 1, Some(START));
    let insert = |sql: &str, parameters: &[&dyn rusqlite::ToSql]| {
        connection.execute(sql, parameters).unwrap();
    };
    insert(
        "INSERT INTO organizations (id, name, slug, created_at, updated_at) VALUES (?1, 'Local', 'local', 0, 0)",
        &[&ORGANIZATION.into_bytes()],
    );
    insert(
        "INSERT INTO sites (id, organization_id, name, created_at, updated_at) VALUES (?1, ?2, 'Kitchen', 0, 0)",
        &[&SITE.into_bytes(), &ORGANIZATION.into_bytes()],
    );
    insert(
        "INSERT INTO areas (id, site_id, name, created_at, updated_at) VALUES (?1, ?2, 'Main', 0, 0)",
        &[&AREA.into_bytes(), &SITE.into_bytes()],
    );
    insert(
        "INSERT INTO hubs (id, site_id, name, created_at, updated_at) VALUES (?1, ?2, 'Box', 0, 0)",
        &[&HUB.into_bytes(), &SITE.into_bytes()],
    );
    for no in 1..=3 {
        insert(
            "INSERT INTO units (id, area_id, name, unit_type, temp_min, temp_max, temp_unit, created_at, updated_at)
             VALUES (?1, ?2, ?3, 'fridge', 0, 50, 'C', 0, 0)",
            &[&unit_id(no).into_bytes(), &AREA.into_bytes(), &format!("Fridge {no}")],
        );
        insert("INSERT INTO hub_units (no, unit_id) VALUES (?1, ?2)", &[&no, &unit_id(no).into_bytes()]);
        insert(
            "INSERT INTO devices (id, unit_id, hub_id, device_eui, status, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, 'active', 0, 0)",
            &[
                &device_id(no).into_bytes(),
                &unit_id(no).into_bytes(),
                &HUB.into_bytes(),
                &format!("A{no:015}"),
            ],
        );
        insert(
            "INSERT INTO hub_devices (no, device_id, model, source, port, address, is_authenticated)
             VALUES (?1, ?2, 'dragino/lht65n', 'serial', 'lora', ?3, 1)",
            &[&no, &device_id(no).into_bytes(), &no.to_string()],
        );
        insert(
            "INSERT INTO hub_assignments (device_no, probe, unit_no, opened_segment, opened_mono_ms)
             VALUES (?1, 1, ?1, 1, 0)",
            &[&no],
        );
    }
    connection
}

pub(crate) fn enrolled_site() -> Connection {
    let connection = site();
    connection
        .execute(
            "INSERT INTO hub_link (no, hub_id, site_id, organization_id, receiver_url, receiver_key, credential_digest,
                history_from_ms) VALUES (1, ?1, ?2, ?3, 'https://x', zeroblob(32), zeroblob(32), ?4)",
            params![HUB.into_bytes(), SITE.into_bytes(), ORGANIZATION.into_bytes(), START],
        )
        .unwrap();
    connection
}

fn add_segment(connection: &Connection, segment: u32, epoch_no: u32, first_seq: u64, offset_ms: Option<i64>) {
    let quality = if offset_ms.is_some() { "ntp" } else { "untrusted" };
    connection
        .execute(
            "INSERT INTO hub_boots (segment, boot_id, reason, first_epoch_no, first_seq, first_mono_ms, last_mono_ms,
                floor_ms, offset_ms, quality) VALUES (?1, zeroblob(16), 'start', ?2, ?3, 0, 0, 0, ?4, ?5)",
            params![segment, epoch_no, first_seq as i64, offset_ms, quality],
        )
        .unwrap();
}

pub(crate) fn add_readings(
    connection: &Connection,
    epoch_no: u32,
    segment: u32,
    seqs: impl IntoIterator<Item = u64>,
) {
    for seq in seqs {
        log::append(connection, &reading(epoch_no, segment, seq)).unwrap();
    }
}

/// One reading a minute.
fn reading(epoch_no: u32, segment: u32, seq: u64) -> LogRow {
    let no = (seq % 3) as u32 + 1;
    LogRow {
        epoch_no,
        seq: Seq(seq),
        unit: UnitNo(no),
        device: DeviceNo(no),
        is_late: false,
        source: Source::Serial,
        probe: Probe::EXTERNAL,
        temperature: Temperature { hundredths: 300 + (seq * 7_919 % 997) as i32, scale: Scale::C },
        humidity: Some(5_000),
        battery: Some(90),
        rssi: Some(-60),
        stamp: Stamp { segment, mono: MonoMs(seq as i64 * 60_000) },
        own_time: None,
    }
}

fn cut(connection: &Connection, limits: Limits) -> Option<(StoredBatch, Readings)> {
    let stored = readings::cut(connection, limits).unwrap()?;
    assert_eq!(stored.digest, sha256(&[&stored.body]));
    match wire::decode(&stored.body).unwrap().body {
        Body::Readings(readings) => Some((stored, readings)),
        Body::State(_) => panic!("lane 1 holds readings"),
    }
}

/// Cuts and acknowledges one batch; the seqs of its readings and the interval it covered.
#[track_caller]
fn pass(connection: &Connection, limits: Limits) -> Option<(Vec<u64>, Interval)> {
    let (stored, readings) = cut(connection, limits)?;
    let mut seqs: Vec<u64> = readings.rows.iter().map(|row| row.seq).collect();
    seqs.sort_unstable();
    assert!(batches::acknowledge(connection, Lane::Readings, stored.seq, &[], STAMP).unwrap());
    Some((seqs, stored.interval.unwrap()))
}

pub(crate) fn state_rows(stored: &StoredBatch) -> Vec<RowImage> {
    match wire::decode(&stored.body).unwrap().body {
        Body::State(rows) => rows,
        Body::Readings(_) => panic!("lane 0 holds rows"),
    }
}

pub(crate) fn tables_of(stored: &StoredBatch) -> Vec<String> {
    state_rows(stored).into_iter().map(|row| row.table).collect()
}

#[test]
fn the_table_of_tables_is_the_mirror() {
    let connection = memory();
    for table in tables::TABLES {
        let mut statement = connection.prepare(&format!("PRAGMA table_info({})", table.name)).unwrap();
        let there: Vec<(String, String)> = statement
            .query_map([], |row| Ok((row.get(1)?, row.get(2)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        for (name, kind) in &there {
            let is_local = name == "id" || tables::LOCAL_COLUMNS.contains(&(table.name, name.as_str()));
            let column = table.column(name);
            assert_eq!(column.is_none(), is_local, "{}.{name}", table.name);
            let want = match column.map(|column| column.kind) {
                Some(tables::Kind::Uuid) => "BLOB",
                Some(tables::Kind::Text) => "TEXT",
                Some(_) => "INTEGER",
                None => continue,
            };
            assert_eq!(kind, want, "{}.{name}", table.name);
        }
        assert!(table.columns.iter().all(|column| there.iter().any(|(name, _)| name == column.name)));
    }
    assert_eq!(tables::TABLES.len(), 21);
}

#[test]
fn nothing_is_cut_before_the_enrolment() {
    let connection = site();
    add_readings(&connection, 1, 1, 1..10);
    mark_dirty(&connection, "units", unit_id(1)).unwrap();
    assert!(cut(&connection, LIMITS).is_none());
    assert!(state::cut(&connection, LIMITS, STAMP).unwrap().is_none());
}

#[test]
fn newest_readings_go_first_then_the_oldest() {
    let connection = enrolled_site();
    add_readings(&connection, 1, 1, 1..=50);
    let limits = Limits { rows: 10, ..LIMITS };
    assert_eq!(pass(&connection, limits).unwrap().0, (41..=50).collect::<Vec<_>>());
    assert_eq!(pass(&connection, limits).unwrap().0, (1..=10).collect::<Vec<_>>());
    add_readings(&connection, 1, 1, 51..=53);
    assert_eq!(pass(&connection, limits).unwrap().0, vec![51, 52, 53]);
    let mut rest = Vec::new();
    while let Some((seqs, _)) = pass(&connection, limits) {
        rest.extend(seqs);
    }
    assert_eq!(rest, (11..=40).collect::<Vec<_>>());
    assert_eq!(sent::intervals(&connection, 1).unwrap(), vec![(Seq(1), Seq(53))]);
    assert_eq!(batches::outstanding(&connection).unwrap(), (0, 0));
    assert_eq!(batches::acknowledged_through(&connection, Lane::Readings).unwrap(), 6);
}

#[test]
fn a_batch_is_the_readings_as_they_are() {
    let connection = enrolled_site();
    let own_time = Some(UnixMs(START + 7));
    log::append(&connection, &LogRow { own_time, ..reading(1, 1, 3) }).unwrap();
    add_readings(&connection, 1, 1, [5]);
    let (stored, readings) = cut(&connection, LIMITS).unwrap();
    assert_eq!((stored.lane, stored.seq, stored.rows), (Lane::Readings, 1, 2));
    assert_eq!(readings.units, vec![(1, unit_id(1)), (3, unit_id(3))]);
    assert_eq!(readings.devices, vec![(1, device_id(1)), (3, device_id(3))]);
    assert_eq!(readings.epoch.0, [7; 16]);
    let row = readings.rows[0];
    assert_eq!((row.seq, row.unit, row.device, row.probe), (3, 1, 1, 1));
    assert_eq!((row.temperature, row.scale, row.humidity), (1_126, Scale::C, Some(5_000)));
    assert_eq!((row.recorded_ms, row.received_ms), (START + 7, START + 180_000));
    assert_eq!(readings.rows[1].recorded_ms, START + 300_000);
    // One in flight, and every retry sends the same bytes.
    assert!(readings::cut(&connection, LIMITS).unwrap().is_none());
    add_readings(&connection, 1, 1, [6]);
    assert!(batches::pending(&connection, Lane::Readings).unwrap().unwrap() == stored);
    assert!(!batches::acknowledge(&connection, Lane::Readings, 2, &[], STAMP).unwrap());
    assert!(batches::acknowledge(&connection, Lane::Readings, 1, &[], STAMP).unwrap());
    assert!(!batches::acknowledge(&connection, Lane::Readings, 1, &[], STAMP).unwrap());
    assert_eq!(pass(&connection, LIMITS).unwrap().0, vec![6]);
}

#[test]
fn history_and_log_go_up_alike() {
    let connection = enrolled_site();
    add_readings(&connection, 1, 1, 1..=600);
    let moved = history::move_settled(&connection, UnixMs(START + 600 * 60_000), None).unwrap();
    assert!(moved.rows > 400, "{moved:?}");
    assert_eq!(batches::outstanding(&connection).unwrap().1, 600);
    let mut seqs = Vec::new();
    while let Some((part, interval)) = pass(&connection, LIMITS) {
        assert!(interval.hi.0 - interval.lo.0 < 100);
        seqs.extend(part);
    }
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=600).collect::<Vec<_>>());
}

#[test]
fn a_body_over_its_limit_shrinks_where_it_can_wait() {
    let connection = enrolled_site();
    add_readings(&connection, 1, 1, 1..=100);
    let limits = Limits { rows: 50, bytes: 120 };
    let (newest, interval) = pass(&connection, limits).unwrap();
    assert!(newest.len() < 50 && *newest.last().unwrap() == 100 && interval.lo.0 == newest[0], "{newest:?}");
    let (oldest, interval) = pass(&connection, limits).unwrap();
    assert!(oldest.len() < 50 && oldest[0] == 1 && interval.hi.0 == *oldest.last().unwrap(), "{oldest:?}");
    // A limit that no batch can meet sends one reading at a time rather than none.
    assert_eq!(pass(&connection, Limits { rows: 50, bytes: 1 }).unwrap().0.len(), 1);
}

#[test]
fn what_is_not_placed_waits() {
    let connection = enrolled_site();
    add_segment(&connection, 2, 1, 11, None);
    add_segment(&connection, 3, 1, 21, Some(START));
    add_readings(&connection, 1, 1, 1..=10);
    add_readings(&connection, 1, 2, 11..=20);
    add_readings(&connection, 1, 3, 21..=30);
    assert_eq!(pass(&connection, LIMITS).unwrap().0, (21..=30).collect::<Vec<_>>());
    assert_eq!(pass(&connection, LIMITS).unwrap().0, (1..=10).collect::<Vec<_>>());
    assert!(pass(&connection, LIMITS).is_none());
    connection
        .execute("UPDATE hub_boots SET offset_ms = ?1, quality = 'estimated' WHERE segment = 2", [START])
        .unwrap();
    assert_eq!(pass(&connection, LIMITS).unwrap().0, (11..=20).collect::<Vec<_>>());
    assert_eq!(sent::intervals(&connection, 1).unwrap(), vec![(Seq(1), Seq(30))]);
}

#[test]
fn an_untrusted_present_does_not_hold_up_the_past() {
    let connection = enrolled_site();
    add_segment(&connection, 2, 1, 11, None);
    add_readings(&connection, 1, 1, 1..=10);
    add_readings(&connection, 1, 2, 11..=20);
    assert_eq!(pass(&connection, LIMITS).unwrap().0, (1..=10).collect::<Vec<_>>());
    assert!(pass(&connection, LIMITS).is_none());
}

#[test]
fn a_row_of_an_open_segment_never_goes_whatever_its_number() {
    let connection = enrolled_site();
    add_segment(&connection, 2, 1, 100, None);
    add_readings(&connection, 1, 1, 1..=10);
    add_readings(&connection, 1, 2, [11]);
    add_readings(&connection, 1, 1, 12..=20);
    assert_eq!(pass(&connection, LIMITS).unwrap().0, (12..=20).collect::<Vec<_>>());
    let (seqs, interval) =
        pass(&connection, LIMITS).unwrap_or((Vec::new(), Interval { epoch_no: 1, lo: Seq(1), hi: Seq(0) }));
    assert!(!seqs.contains(&11) && interval.hi < Seq(11), "{seqs:?}");
    assert!(!sent::intervals(&connection, 1).unwrap().iter().any(|(lo, hi)| (*lo..=*hi).contains(&Seq(11))));
}

#[test]
fn what_is_before_the_history_bound_counts_as_acknowledged() {
    let connection = enrolled_site();
    add_readings(&connection, 1, 1, 1..=300);
    connection.execute("UPDATE hub_link SET history_from_ms = ?1", [START + 250 * 60_000]).unwrap();
    let mut seqs = Vec::new();
    for _ in 0..10 {
        seqs.extend(
            pass(&connection, Limits { rows: 20, ..LIMITS }).map(|(seqs, _)| seqs).unwrap_or_default(),
        );
    }
    seqs.sort_unstable();
    assert_eq!(seqs, (250..=300).collect::<Vec<_>>());
    assert_eq!(sent::intervals(&connection, 1).unwrap(), vec![(Seq(1), Seq(300))]);
}

#[test]
fn rows_of_an_earlier_epoch_keep_their_name() {
    let connection = enrolled_site();
    add_readings(&connection, 1, 1, 1..=5);
    epochs::begin_new(&connection, "restored", &mut |bytes| bytes.fill(8)).unwrap();
    add_segment(&connection, 2, 2, 6, Some(START));
    add_readings(&connection, 2, 2, 6..=10);
    let (first, readings) = cut(&connection, LIMITS).unwrap();
    let Batch { header, .. } = wire::decode(&first.body).unwrap();
    assert_eq!((header.epoch.0, readings.epoch.0), ([8; 16], [8; 16]));
    batches::acknowledge(&connection, Lane::Readings, 1, &[], STAMP).unwrap();
    let (second, readings) = cut(&connection, LIMITS).unwrap();
    let Batch { header, .. } = wire::decode(&second.body).unwrap();
    assert_eq!((header.epoch.0, header.seq, readings.epoch.0), ([8; 16], 2, [7; 16]));
    assert_eq!(readings.rows.len(), 5);
}

#[test]
fn a_new_device_is_announced_before_its_readings() {
    let connection = enrolled_site();
    add_readings(&connection, 1, 1, [1]);
    let device = device_id(2);
    mark_dirty(&connection, "devices", device).unwrap();
    assert!(cut(&connection, LIMITS).is_none(), "central cannot know the device");
    let announced = state::cut(&connection, LIMITS, STAMP).unwrap().unwrap();
    let (stored, _) = cut(&connection, LIMITS).unwrap();
    let header = wire::decode(&stored.body).unwrap().header;
    assert_eq!((header.seq, header.needs), (1, announced.seq));
    batches::acknowledge(&connection, Lane::Readings, 1, &[], STAMP).unwrap();
    batches::acknowledge(&connection, Lane::State, 1, &[], STAMP).unwrap();
    add_readings(&connection, 1, 1, [4]);
    let (stored, _) = cut(&connection, LIMITS).unwrap();
    assert_eq!(wire::decode(&stored.body).unwrap().header.needs, 0);
}

#[test]
fn refused_rows_are_kept_once() {
    let connection = enrolled_site();
    let refused = |key: &str, reason: &str| RefusedRow {
        table: "sensor_readings".into(),
        key: key.into(),
        reason: reason.into(),
    };
    add_readings(&connection, 1, 1, 1..=3);
    cut(&connection, LIMITS).unwrap();
    let rows = [refused("07:1", "its unit is gone"), refused("07:2", "a"), refused("07:2", "b")];
    batches::acknowledge(&connection, Lane::Readings, 1, &rows, STAMP).unwrap();
    assert_eq!(batches::refused(&connection).unwrap(), [rows[0].clone(), rows[2].clone()]);
    assert_eq!(sent::intervals(&connection, 1).unwrap(), vec![(Seq(1), Seq(3))], "refused is not unsent");
}

#[test]
fn a_refusal_ends_when_the_row_is_taken() {
    let connection = enrolled_site();
    let refused =
        |unit: u32| RefusedRow { table: "units".into(), key: unit_id(unit).to_string(), reason: "no".into() };
    for (seq, sent, answer, want) in [
        (1, vec![1, 2], vec![refused(1), refused(2)], vec![refused(1), refused(2)]),
        (2, vec![2], vec![refused(2)], vec![refused(1), refused(2)]),
        (3, vec![1], vec![], vec![refused(2)]),
    ] {
        for unit in sent {
            mark_dirty(&connection, "units", unit_id(unit)).unwrap();
        }
        state::cut(&connection, LIMITS, STAMP).unwrap().unwrap();
        assert!(batches::acknowledge(&connection, Lane::State, seq, &answer, STAMP).unwrap());
        assert_eq!(batches::refused(&connection).unwrap(), want, "batch {seq}");
    }
}

#[test]
fn a_refused_batch_can_be_cut_again_under_its_number() {
    let connection = enrolled_site();
    add_readings(&connection, 1, 1, 1..=3);
    mark_dirty(&connection, "units", unit_id(1)).unwrap();
    let first = cut(&connection, LIMITS).unwrap().0;
    state::cut(&connection, LIMITS, STAMP).unwrap().unwrap();
    assert!(batches::uncut(&connection, Lane::Readings).unwrap());
    assert!(batches::uncut(&connection, Lane::State).unwrap());
    assert!(!batches::uncut(&connection, Lane::State).unwrap());
    assert!(cut(&connection, LIMITS).unwrap().0 == first);
    let state = state::cut(&connection, LIMITS, STAMP).unwrap().unwrap();
    assert_eq!((state.seq, tables_of(&state)), (1, vec!["units".to_owned()]));
}

#[test]
fn a_rewind_sends_everything_cut_again_under_a_new_epoch() {
    let connection = enrolled_site();
    add_readings(&connection, 1, 1, 1..=6);
    mark_dirty(&connection, "units", unit_id(1)).unwrap();
    pass(&connection, Limits { rows: 3, ..LIMITS }).unwrap();
    cut(&connection, LIMITS).unwrap();
    state::cut(&connection, LIMITS, STAMP).unwrap().unwrap();
    batches::rewind(&connection).unwrap();
    epochs::begin_new(&connection, "rewound", &mut |bytes| bytes.fill(9)).unwrap();
    assert_eq!(batches::outstanding(&connection).unwrap(), (1, 3));
    let (stored, readings) = cut(&connection, LIMITS).unwrap();
    let header = wire::decode(&stored.body).unwrap().header;
    assert_eq!((header.epoch.0, header.seq, readings.epoch.0), ([9; 16], 1, [7; 16]));
    assert_eq!(readings.rows.len(), 3, "what was acknowledged stays so");
    assert_eq!(state::cut(&connection, LIMITS, STAMP).unwrap().unwrap().seq, 1);
}

#[test]
fn a_body_that_cannot_be_read_stops_no_new_epoch() {
    let connection = enrolled_site();
    add_readings(&connection, 1, 1, 1..=6);
    mark_dirty(&connection, "units", unit_id(1)).unwrap();
    state::cut(&connection, LIMITS, STAMP).unwrap().unwrap();
    pass(&connection, Limits { rows: 3, ..LIMITS }).unwrap();
    cut(&connection, LIMITS).unwrap();
    let unsent = batches::outstanding(&connection).unwrap().1;
    connection.execute("UPDATE hub_batches SET body = x'00'", []).unwrap();
    epochs::begin_new(&connection, "put back", &mut |bytes| bytes.fill(9)).unwrap();
    let units = "SELECT count(*) FROM hub_dirty WHERE table_name = 'units'";
    assert_eq!(
        connection.query_row(units, [], |row| row.get::<_, i64>(0)).unwrap(),
        3,
        "one of them was in it"
    );
    assert!(batches::outstanding(&connection).unwrap().1 > unsent, "readings do not need their body");
}

#[test]
fn intervals_merge() {
    let connection = site();
    for (lo, hi) in [(10, 12), (1, 2), (5, 6), (3, 3), (20, 30), (13, 13), (25, 40), (4, 9)] {
        sent::add(&connection, Interval { epoch_no: 1, lo: Seq(lo), hi: Seq(hi) }).unwrap();
    }
    sent::add(&connection, Interval { epoch_no: 2, lo: Seq(14), hi: Seq(19) }).unwrap();
    assert_eq!(sent::intervals(&connection, 1).unwrap(), vec![(Seq(1), Seq(13)), (Seq(20), Seq(40))]);
}

pub(crate) fn alert_id(no: u32) -> Uuid {
    Uuid::from_u128(0x300 + u128::from(no))
}

pub(crate) fn add_alert(connection: &Connection, no: u32) {
    connection
        .execute(
            "INSERT INTO alerts (id, unit_id, alert_type, severity, triggered_at, created_at, updated_at)
             VALUES (?1, ?2, 'alarm_active', 'warning', ?3, 0, 0)",
            params![alert_id(no).into_bytes(), unit_id(1).into_bytes(), START + i64::from(no)],
        )
        .unwrap();
}
