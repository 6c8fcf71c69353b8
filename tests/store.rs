//! The store on real files: opening, epochs, segments, the log and its move to history, replay, backups.

#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;

use frostguard_hub::clock::trust::{Boot, BootReason, Placement, Quality};
use frostguard_hub::domain::*;
use frostguard_hub::rules::Event;
use frostguard_hub::store::inputs::{InputRow, ReplayRow};
use frostguard_hub::store::log::LogRow;
use frostguard_hub::store::*;
use frostguard_sync::ids::reading_id;
use tempfile::TempDir;

/// 2026-01-01T00:00:00Z.
const START: i64 = 1_767_225_600_000;
const HOUR: i64 = 3_600_000;

/// Fills buffers from a seed; each `seed` makes other epochs.
fn random(seed: u8) -> impl FnMut(&mut [u8]) {
    let mut next = seed;
    move |buffer| {
        for byte in buffer {
            next = next.wrapping_mul(31).wrapping_add(11);
            *byte = next;
        }
    }
}

fn options(dir: &TempDir) -> OpenOptions {
    OpenOptions { ballast_bytes: 1 << 20, ..OpenOptions::new(dir.path()) }
}

#[track_caller]
fn open(dir: &TempDir, seed: u8) -> (Store, OpenReport) {
    Store::open(&options(dir), &mut random(seed)).unwrap()
}

/// A boot segment as the clock begins it.
fn boot(segment: u32, id: u8, mono: i64) -> Boot {
    Boot {
        segment,
        boot_id: [id; 16],
        reason: BootReason::Start,
        first_mono: MonoMs(mono),
        last_mono: MonoMs(mono),
        floor: UnixMs(START - HOUR),
        placement: None,
    }
}

fn ntp(offset_ms: i64) -> Placement {
    Placement { offset_ms, quality: Quality::Ntp, uncertainty_ms: 5 }
}

fn reading(epoch_no: u32, seq: u64, unit: u32, stamp: Stamp) -> LogRow {
    LogRow {
        epoch_no,
        seq: Seq(seq),
        unit: UnitNo(unit),
        device: DeviceNo(unit),
        is_late: false,
        source: Source::Serial,
        probe: Probe::EXTERNAL,
        temperature: Temperature { hundredths: 300 + seq as i32 % 50, scale: Scale::C },
        humidity: Some(5_500),
        battery: Some(97),
        rssi: None,
        stamp,
        own_time: None,
    }
}

#[test]
fn a_new_store_is_private_held_by_one_and_goes_on_where_it_was() {
    let dir = TempDir::new().unwrap();
    let (mut store, report) = open(&dir, 1);
    assert_eq!(report.recovery, Recovery::Created);
    let epoch = epochs::current(store.connection()).unwrap();
    assert_eq!(epochs::next_seq(store.connection(), epoch.no).unwrap(), Seq(1));
    store.write(|tx| boots::insert(tx, &boot(1, 1, 5_000))).unwrap();
    for name in ["hub.db", "hub.db-wal", "ballast"] {
        let mode = dir.path().join(name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let again = Store::open(&options(&dir), &mut random(1));
    assert!(matches!(again.err(), Some(StoreError::Locked { .. })));

    let stamp = Stamp { segment: 1, mono: MonoMs(65_000) };
    store.write(|tx| log::append(tx, &reading(1, 1, 1, stamp))).unwrap();
    let event = inputs::Input { tick_base: -5, event: Event::SourceUp { name: "a".to_owned() } };
    let input =
        InputRow { epoch_no: 1, seq: Seq(2), kind: "up".to_owned(), stamp, body: event.encode().unwrap() };
    store.write(|tx| inputs::append(tx, &input)).unwrap();
    assert!(store.wal_bytes_written() > 0);
    // No clean stop: the next start finds the counter in the tables and the segment's end in its rows.
    drop(store);

    let (mut store, report) = open(&dir, 2);
    assert_eq!((report.recovery, report.messages), (Recovery::Found, vec![]));
    assert_eq!(epochs::current(store.connection()).unwrap(), epoch);
    assert_eq!(boots::known(store.connection()).unwrap()[0].last_mono, MonoMs(65_000));
    store.write(|tx| boots::insert(tx, &boot(2, 1, 90_000))).unwrap();
    let second = boots::find(store.connection(), 2).unwrap().unwrap();
    assert_eq!((second.first_epoch_no, second.first_seq), (1, Seq(3)));
    let replayed: Vec<_> =
        inputs::replay_after(store.connection(), 1, Seq(0)).unwrap().map(|row| row.unwrap()).collect();
    assert_eq!(inputs::Input::decode(&input.body).unwrap(), event);
    assert_eq!(replayed, [ReplayRow::Log(reading(1, 1, 1, stamp)), ReplayRow::Input(input)]);
}

#[test]
fn settled_hours_move_and_nothing_changes_for_who_reads() {
    let dir = TempDir::new().unwrap();
    let (mut store, _) = open(&dir, 1);
    let segment = 1;
    store.write(|tx| boots::insert(tx, &boot(segment, 1, 0))).unwrap();
    // Four units, a reading a minute each, for 10 hours; every 50th has a time of its own, 90 s earlier.
    let mut seq = 0;
    let rows: Vec<LogRow> = (0..600)
        .flat_map(|minute| (1..=4).map(move |unit| (minute, unit)))
        .map(|(minute, unit)| {
            seq += 1;
            let mono = MonoMs(minute * 60_000 + i64::from(unit) * 7);
            let mut row = reading(1, seq, unit, Stamp { segment, mono });
            if seq % 50 == 0 {
                row.own_time = Some(UnixMs(START + mono.0 - 90_000));
            }
            row
        })
        .collect();
    store.write(|tx| rows.iter().try_for_each(|row| log::append(tx, row))).unwrap();
    let now = UnixMs(START + 10 * HOUR);
    let replay = |store: &Store| -> Vec<ReplayRow> {
        inputs::replay_after(store.connection(), 1, Seq(0)).unwrap().map(|row| row.unwrap()).collect()
    };
    let before = replay(&store);
    assert_eq!(before.len(), 2_400);

    // Nothing moves while the segment is not placed.
    assert!(!history::is_move_due(store.connection(), now).unwrap());
    let moved = store.write(|tx| history::move_settled(tx, now, None)).unwrap();
    assert_eq!(moved.rows, 0);

    assert!(store.write(|tx| boots::place(tx, segment, ntp(START))).unwrap());
    assert!(!store.write(|tx| boots::place(tx, segment, ntp(1))).unwrap(), "frozen");
    assert!(history::is_move_due(store.connection(), now).unwrap());
    let (mut total, mut next) = (0, None);
    loop {
        let moved = store.write(|tx| history::move_settled(tx, now, next)).unwrap();
        (total, next) = (total + moved.rows, moved.next);
        if next.is_none() {
            break;
        }
    }
    assert_eq!(total, 8 * 60 * 4);
    assert!(!history::is_move_due(store.connection(), now).unwrap());
    assert_eq!(replay(&store), before);
    let hours: (i64, i64) = store
        .connection()
        .query_row("SELECT sum(rows), count(*) FROM hub_hours", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    // The first reading's own time of a unit may fall into the hour before the first.
    assert_eq!(hours.0, total as i64);
    assert!((32..=36).contains(&hours.1), "{hours:?}");
    // Acknowledged numbers in the middle of history are found by their interval.
    let found = history::rows(store.connection(), 1, Seq(100), Seq(149)).unwrap();
    let mut found: Vec<LogRow> = found.into_iter().map(|row| row.log).collect();
    found.sort_by_key(|row| row.seq);
    assert_eq!(found, rows[99..149]);
    assert_eq!(epochs::next_seq(store.connection(), 1).unwrap(), Seq(2_401));

    // The clock was wrong, and nothing has gone up: all of it is in the log again, and waits for another placement.
    assert!(store.write(|tx| boots::refute(tx, segment)).unwrap());
    let left: (i64, i64, i64) = store
        .connection()
        .query_row(
            "SELECT (SELECT count(*) FROM hub_log), (SELECT count(*) FROM hub_history), (SELECT count(*) FROM hub_hours)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .unwrap();
    assert_eq!(left, (2_400, 0, 0));
    assert_eq!(replay(&store), before);
    store.write(|tx| boots::place(tx, segment, ntp(START - HOUR))).unwrap();
    store.write(|tx| Ok(tx.execute("INSERT INTO hub_sent VALUES (1, 7, 7)", [])?)).unwrap();
    assert!(!store.write(|tx| boots::refute(tx, segment)).unwrap(), "one of its readings was sent");
}

#[test]
fn the_view_shows_log_and_history_in_the_central_shape() {
    let dir = TempDir::new().unwrap();
    let (mut store, _) = open(&dir, 1);
    let segment = 1;
    store.write(|tx| boots::insert(tx, &boot(segment, 1, 0))).unwrap();
    let stamp = |minutes: i64| Stamp { segment, mono: MonoMs(minutes * 60_000) };
    store
        .write(|tx| {
            tx.execute_batch(
                "INSERT INTO organizations (id, name, slug, created_at, updated_at)
                    VALUES (zeroblob(16), 'o', 'o', 0, 0);
                 INSERT INTO sites (id, organization_id, name, created_at, updated_at)
                    VALUES (zeroblob(16), zeroblob(16), 's', 0, 0);
                 INSERT INTO areas (id, site_id, name, created_at, updated_at)
                    VALUES (zeroblob(16), zeroblob(16), 'a', 0, 0);
                 INSERT INTO units (id, area_id, name, unit_type, temp_min, temp_max, temp_unit, created_at, updated_at)
                    VALUES (randomblob(16), zeroblob(16), 'u', 'fridge', 330, 410, 'F', 0, 0);
                 INSERT INTO hub_units (no, unit_id) SELECT 1, id FROM units;",
            )?;
            boots::place(tx, segment, ntp(START))?;
            log::append(tx, &reading(1, 1, 1, stamp(0)))?;
            log::append(tx, &reading(1, 2, 1, stamp(300)))?;
            history::move_settled(tx, UnixMs(START + 4 * HOUR), None)
        })
        .unwrap();
    let counts: (i64, i64) = store
        .connection()
        .query_row("SELECT (SELECT count(*) FROM hub_log), (SELECT count(*) FROM hub_history)", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!(counts, (1, 1));
    let reader = Store::reader(dir.path()).unwrap();
    let sql = "SELECT id, temperature, humidity, recorded_at, received_at, source FROM sensor_readings ORDER BY recorded_at";
    let mut statement = reader.prepare(sql).unwrap();
    type Shown = ([u8; 16], i64, i64, i64, i64, String);
    let shown: Vec<Shown> = statement
        .query_map([], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
        })
        .unwrap()
        .map(|row| row.unwrap())
        .collect();
    for (row, (seq, recorded)) in shown.iter().zip([(1, START), (2, START + 5 * HOUR)]) {
        let fahrenheit = convert(300 + seq as i64, Scale::C, Scale::F);
        let id = reading_id(epochs::current(store.connection()).unwrap().epoch, seq, recorded).into_bytes();
        assert_eq!(*row, (id, fahrenheit, 5_500, recorded, recorded, "serial".to_owned()));
    }
    assert_eq!(shown.len(), 2);
    assert!(reader.execute("DELETE FROM hub_log", []).is_err());
}
