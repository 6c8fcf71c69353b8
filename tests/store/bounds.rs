//! Invariant 4: the database stays within its bound, and what must not go does not.

use frostguard_hub::store::frames::{FrameRow, Outcome};
use frostguard_hub::store::prune::Summary;

use super::*;

/// A store with 30 hours of two units in history, one hour older than the other, and the bound at what it takes.
fn full(dir: &TempDir) -> (Store, u64) {
    let (mut store, _) = open(dir, 1);
    site(&mut store, 2);
    store
        .write(|tx| {
            boots::insert(tx, &boot(1, 1, 0))?;
            boots::place(tx, 1, ntp(START))?;
            minutely(1, 2, 1, 0..1_800).iter().try_for_each(|row| log::append(tx, row))
        })
        .unwrap();
    let moved = store.write(|tx| history::move_settled(tx, UnixMs(START + 40 * HOUR), None)).unwrap();
    assert_eq!(moved.rows, 3_600);
    let bytes = prune::bytes_used(store.connection()).unwrap();
    (store, bytes)
}

fn enforce(store: &mut Store, bytes_max: u64) -> (prune::Outcome, Vec<Summary>) {
    let mut told = Vec::new();
    let outcome = prune::enforce(store, Some(bytes_max), UnixMs(START + 40 * HOUR), |tx, summaries| {
        tx.execute("INSERT INTO hub_meta (key, value) VALUES ('told', 'yes') ON CONFLICT DO NOTHING", [])?;
        told.extend_from_slice(summaries);
        Ok(())
    })
    .unwrap();
    (outcome, told)
}

#[test]
fn nothing_goes_under_the_bound_but_what_is_older_than_two_years() {
    let dir = TempDir::new().unwrap();
    let (mut store, bytes) = full(&dir);
    let (outcome, told) = enforce(&mut store, bytes);
    assert_eq!((outcome, told), (prune::Outcome::default(), vec![]));
    let much_later = UnixMs(START + 40 * HOUR + 2 * 365 * 24 * HOUR);
    let outcome = prune::enforce(&mut store, Some(bytes), much_later, |_, _| Ok(())).unwrap();
    assert_eq!(outcome.acknowledged_rows, 0, "nothing is acknowledged");
    store.write(|tx| Ok(tx.execute("INSERT INTO hub_sent VALUES (1, 1, 100000)", [])?)).unwrap();
    let outcome = prune::enforce(&mut store, Some(bytes), much_later, |_, _| Ok(())).unwrap();
    assert_eq!(outcome.acknowledged_rows, 3_600);
    assert_eq!(epochs::next_seq(store.connection(), 1).unwrap(), Seq(100_001));
}

#[test]
fn at_the_bound_acknowledged_readings_go_first_oldest_first() {
    let dir = TempDir::new().unwrap();
    let (mut store, bytes) = full(&dir);
    // The newest 20 hours are acknowledged, the oldest 10 are not.
    store.write(|tx| Ok(tx.execute("INSERT INTO hub_sent VALUES (1, 1201, 3600)", [])?)).unwrap();
    let (outcome, told) = enforce(&mut store, bytes - 4_096);
    assert!(outcome.acknowledged_rows > 0 && !outcome.is_over && told.is_empty());
    assert_eq!(in_history(&store)[..1_200], (1..=1_200).collect::<Vec<u64>>());
    // Unit by unit within an hour, so at most the oldest hour left is half gone.
    let oldest_left = count(&store, "SELECT min(hour) FROM hub_hours WHERE seq_lo > 1200") - START / HOUR;
    assert_eq!(oldest_left, (1_200 + outcome.acknowledged_rows as i64) / 120);
}

#[test]
fn then_the_oldest_hour_is_replaced_by_a_summary_a_unit_but_never_a_cut_batch() {
    let dir = TempDir::new().unwrap();
    let (mut store, bytes) = full(&dir);
    // The second hour (numbers 121 to 240) is on its way.
    store
        .write(|tx| {
            Ok(tx.execute(
                "INSERT INTO hub_batches (lane, seq, epoch_no, row_epoch_no, seq_lo, seq_hi, rows, digest, body)
                 VALUES (1, 1, 1, 1, 121, 240, 120, zeroblob(32), x'')",
                [],
            )?)
        })
        .unwrap();
    let (outcome, told) = enforce(&mut store, bytes - 4_096);
    assert_eq!(outcome.summaries, told);
    assert_eq!(outcome.acknowledged_rows, 0);
    let first = &told[0];
    assert_eq!((first.unit, first.count), (UnitNo(1), 60));
    assert_eq!((first.from, first.to), (UnixMs(START + 7), UnixMs(START + 59 * 60_000 + 7)));
    // Unit 1 has the odd numbers: 300 + seq % 50 over 1, 3, .. 119.
    let values: Vec<i64> = (1..120).step_by(2).map(|seq| 300 + seq % 50).collect();
    let mean = (values.iter().sum::<i64>() as f64 / 60.0).round() as i32;
    assert_eq!((first.min.hundredths, first.max.hundredths), (301, 349));
    assert_eq!(first.mean.hundredths, mean);
    assert!(!first.is_provisional);
    let left = in_history(&store);
    assert_eq!(left[..120], (121..=240).collect::<Vec<u64>>());
    assert_eq!(count(&store, "SELECT count(*) FROM hub_meta WHERE key = 'told'"), 1);
    let total: u64 = told.iter().map(|summary| summary.count).sum();
    assert_eq!(left.len() as u64, 3_600 - total);

    // With everything gone that may, it says so.
    let (outcome, _) = enforce(&mut store, 4_096);
    let (again, _) = enforce(&mut store, 4_096);
    assert!(outcome.is_over && again.is_over);
    assert_eq!(in_history(&store), (121..=240).collect::<Vec<u64>>());
    assert_eq!(epochs::next_seq(store.connection(), 1).unwrap(), Seq(3_601), "the counter goes on");
}

#[test]
fn a_summary_that_cannot_be_told_deletes_nothing() {
    let dir = TempDir::new().unwrap();
    let (mut store, bytes) = full(&dir);
    let refuse = |_: &rusqlite::Transaction<'_>, _: &[Summary]| {
        Err(StoreError::Value { table: "event_logs", detail: "refused".to_owned() })
    };
    let result = prune::enforce(&mut store, Some(bytes / 2), UnixMs(START + 40 * HOUR), refuse);
    assert!(result.is_err());
    assert_eq!(in_history(&store).len(), 3_600);
}

#[test]
fn a_log_that_no_clock_ever_placed_is_bounded_too() {
    let dir = TempDir::new().unwrap();
    let (mut store, _) = open(&dir, 1);
    store
        .write(|tx| {
            boots::insert(tx, &boot(1, 1, 0))?;
            minutely(1, 2, 1, 0..1_800).iter().try_for_each(|row| log::append(tx, row))
        })
        .unwrap();
    let bytes = prune::bytes_used(store.connection()).unwrap();
    let (outcome, told) = enforce(&mut store, bytes - 4_096);
    assert!(!outcome.is_over && told.iter().all(|summary| summary.is_provisional));
    let total: u64 = told.iter().map(|summary| summary.count).sum();
    assert!(total > 0);
    assert_eq!(count(&store, "SELECT count(*) FROM hub_log") as u64, 3_600 - total);
    assert_eq!(count(&store, "SELECT min(seq) FROM hub_log") as u64, total + 1, "oldest first");
}

fn frame(mono: i64, address: &str, outcome: Outcome, bytes: usize) -> FrameRow {
    FrameRow {
        stamp: Stamp { segment: 1, mono: MonoMs(mono) },
        source: Source::Serial,
        port: "radio".to_owned(),
        address: address.to_owned(),
        device: (outcome != Outcome::Stranger).then_some(DeviceNo(1)),
        f_port: Some(2),
        counter: None,
        rssi: Some(-80),
        dedup: mono,
        outcome,
        detail: None,
        bytes: vec![7; bytes],
    }
}

#[test]
fn frames_are_bounded_by_age_and_bytes_and_strangers_never_displace_known_devices() {
    let dir = TempDir::new().unwrap();
    let (mut store, _) = open(&dir, 1);
    let day = 24 * HOUR;
    store
        .write(|tx| {
            boots::insert(tx, &boot(1, 1, 0))?;
            boots::place(tx, 1, ntp(START))?;
            for hour in 0..(20 * 24) {
                frames::append(tx, &frame(hour * HOUR, "A1", Outcome::Reading, 100))?;
            }
            Ok(())
        })
        .unwrap();
    let now = UnixMs(START + 20 * day);
    let recent = frames::recent(store.connection(), now, day).unwrap();
    assert_eq!(recent.len(), 24);
    assert_eq!((recent[0].dedup, recent[0].age_ms), (19 * day, day));
    assert_eq!(frames::prune(&mut store, now).unwrap(), 6 * 24);
    assert_eq!(frames::prune(&mut store, now).unwrap(), 0);
    // One stranger talks much, many others once.
    store
        .write(|tx| {
            for n in 0..100 {
                frames::append(tx, &frame(20 * day + n, "X", Outcome::Stranger, 5_000))?;
            }
            for n in 0..2_100 {
                frames::append(tx, &frame(20 * day + 100 + n, &format!("S{n}"), Outcome::Stranger, 10))?;
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(count(&store, "SELECT count(*) FROM hub_frames WHERE outcome = 'stranger'"), 2_000);
    assert_eq!(count(&store, "SELECT count(*) FROM hub_frames WHERE outcome = 'reading'"), 14 * 24);
    assert_eq!(
        count(&store, "SELECT max(length(bytes)) FROM hub_frames"),
        100,
        "the loud stranger's are gone"
    );
    let unused = frames::unused(store.connection(), 3).unwrap();
    assert_eq!(unused.iter().map(|it| it.address.as_str()).collect::<Vec<_>>(), ["S2099", "S2098", "S2097"]);
    assert_eq!((unused[0].frames, unused[0].bytes.len(), unused[0].outcome), (1, 10, Outcome::Stranger));
    // Raw frames give way before any reading does.
    let bytes_max = 8 * 50_000;
    prune::enforce(&mut store, Some(bytes_max), now, |_, _| Ok(())).unwrap();
    assert!(frames::bytes(store.connection()).unwrap() <= 50_000);
}
