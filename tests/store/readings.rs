//! Opening, epochs, segments, the log and its move to history, replay, the view, what people look at.

use std::os::unix::fs::PermissionsExt;

use frostguard_hub::rules::Event;
use frostguard_hub::store::inputs::{InputRow, ReplayRow};
use frostguard_sync::ids::reading_id;

use super::*;

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
    assert_eq!(inputs::Input::decode(&input.body).unwrap(), Some(event));
    assert_eq!(replayed, [ReplayRow::Log(reading(1, 1, 1, stamp)), ReplayRow::Input(input)]);
}

#[test]
fn settled_hours_move_and_nothing_changes_for_who_reads() {
    let dir = TempDir::new().unwrap();
    let (mut store, _) = open(&dir, 1);
    let segment = 1;
    store.write(|tx| boots::insert(tx, &boot(segment, 1, 0))).unwrap();
    // Four units, a reading a minute each, for 10 hours; every 50th has a time of its own, 90 s earlier.
    let mut rows = minutely(1, 4, segment, 0..600);
    for row in rows.iter_mut().filter(|row| row.seq.0 % 50 == 0) {
        row.own_time = Some(UnixMs(START + row.stamp.mono.0 - 90_000));
    }
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
    site(&mut store, 1);
    let stamp = |minutes: i64| Stamp { segment, mono: MonoMs(minutes * 60_000) };
    store
        .write(|tx| {
            tx.execute("UPDATE units SET temp_unit = 'F', temp_min = 330, temp_max = 410", [])?;
            boots::place(tx, segment, ntp(START))?;
            log::append(tx, &reading(1, 1, 1, stamp(0)))?;
            log::append(tx, &reading(1, 2, 1, stamp(300)))?;
            history::move_settled(tx, UnixMs(START + 4 * HOUR), None)
        })
        .unwrap();
    let counts: (i64, i64) = store
        .connection()
        .query_row("SELECT (SELECT count(*) FROM hub_log), (SELECT sum(rows) FROM hub_hours)", [], |row| {
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

#[test]
fn the_latest_and_a_chart_come_from_log_and_history_alike() {
    let dir = TempDir::new().unwrap();
    let (mut store, _) = open(&dir, 1);
    site(&mut store, 4);
    store.write(|tx| boots::insert(tx, &boot(1, 1, 0))).unwrap();
    let mut rows = minutely(1, 3, 1, 0..600);
    // Unit 3 fell silent after the fourth hour; a late reading of it is not its latest.
    rows.retain(|row| row.unit != UnitNo(3) || row.stamp.mono.0 < 4 * HOUR);
    let mut late = reading(1, 5_000, 3, Stamp { segment: 1, mono: MonoMs(595 * 60_000) });
    (late.is_late, late.own_time) = (true, Some(UnixMs(START + HOUR + 30_000)));
    store
        .write(|tx| {
            boots::place(tx, 1, ntp(START))?;
            rows.iter().chain([&late]).try_for_each(|row| log::append(tx, row))
        })
        .unwrap();
    let look = |store: &Store| {
        let latest: Vec<(u32, i64)> = latest::of_units(store.connection())
            .unwrap()
            .into_iter()
            .map(|shown| (shown.log.unit.0, shown.recorded.0 - START))
            .collect();
        let chart = |unit, from, to| {
            let (from, to) = (UnixMs(START + from), UnixMs(START + to));
            let points = latest::chart(store.connection(), UnitNo(unit), from, to).unwrap();
            assert!(points.is_sorted_by_key(|point| point.recorded));
            points.len()
        };
        (
            latest,
            chart(1, 0, 10 * HOUR),
            chart(3, HOUR, 2 * HOUR),
            chart(1, 7 * HOUR, 9 * HOUR),
            chart(4, 0, 10 * HOUR),
        )
    };
    let minute = 60_000;
    let want = (vec![(1, 599 * minute + 7), (2, 599 * minute + 14), (3, 239 * minute + 21)], 600, 61, 120, 0);
    assert_eq!(look(&store), want);
    let moved = store.write(|tx| history::move_settled(tx, UnixMs(START + 10 * HOUR), None)).unwrap();
    assert!(moved.rows > 0);
    assert_eq!(look(&store), want);

    let figures = figures::read(store.connection()).unwrap();
    assert_eq!((figures.readings, figures.unsent, figures.last_seq), (1_441, 1_441, 5_000));
    assert_eq!(figures.oldest_unsent, Some(UnixMs(START)));
    // Numbers 1 to 720: the first four hours, of which the late reading's hour is the second.
    store.write(|tx| Ok(tx.execute("INSERT INTO hub_sent VALUES (1, 1, 720)", [])?)).unwrap();
    let figures = figures::read(store.connection()).unwrap();
    assert!((720..=722).contains(&figures.unsent), "{figures:?}");
}

#[test]
fn a_segment_that_ended_untrusted_is_placed_with_what_waited_for_it() {
    let dir = TempDir::new().unwrap();
    let (mut store, _) = open(&dir, 1);
    site(&mut store, 1);
    let stamp = Stamp { segment: 1, mono: MonoMs(60_000) };
    let door = uuid::Uuid::from_bytes([9; 16]);
    store
        .write(|tx| {
            boots::persist_wall(tx, UnixMs(START))?;
            boots::insert(tx, &Boot { floor: UnixMs(START), ..boot(1, 1, 0) })?;
            log::append(tx, &reading(1, 1, 1, stamp))?;
            tx.execute(
                "INSERT INTO door_events (id, unit_id, state, timestamp, created_at) VALUES (?1, ?2, 'open', 5, 5)",
                (door.into_bytes(), unit_id(1)),
            )?;
            unplaced::add(tx, "door_events", door, "timestamp", stamp)?;
            unplaced::add(tx, "door_events", door, "created_at", stamp)
        })
        .unwrap();
    assert!(store.write(|tx| unplaced::add(tx, "units", door, "name", stamp)).is_err());
    drop(store);
    let (mut store, _) = open(&dir, 2);
    assert_eq!(boots::persisted_wall(store.connection()).unwrap(), Some(UnixMs(START)));
    let placed = store
        .write(|tx| {
            boots::insert(tx, &Boot { floor: UnixMs(START), ..boot(2, 2, 1_000) })?;
            boots::place(tx, 2, ntp(START + 2 * HOUR))?;
            boots::place_former(tx)
        })
        .unwrap();
    let [(1, placement)] = placed[..] else { panic!("{placed:?}") };
    assert_eq!(placement.quality, Quality::Estimated);
    let (wall, is_placed) = boots::wall_of(store.connection(), stamp).unwrap();
    assert!(is_placed && wall > UnixMs(START) && wall < UnixMs(START + 2 * HOUR));
    assert_eq!(count(&store, "SELECT min(timestamp, created_at) FROM door_events"), wall.0);
    assert_eq!(count(&store, "SELECT count(*) FROM hub_unplaced"), 0);
}
