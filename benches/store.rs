//! What the store writes and keeps per reading, and what looking at it costs. Prints a table beside the targets.
//!
//! `cargo bench --bench store`; `FROSTGUARD_BENCH_TINY=1` runs once on little (CI), `FROSTGUARD_BENCH_LARGE=1` adds 10 M rows.

#![allow(clippy::unwrap_used)]
// A stopwatch is what a bench is for.
#![allow(clippy::disallowed_methods)]

use std::time::{Duration, Instant};

use frostguard_hub::clock::trust::{Boot, BootReason, Placement, Quality};
use frostguard_hub::domain::{
    DeviceNo, MonoMs, Probe, Scale, Seq, Source, Stamp, Temperature, UnitNo, UnixMs,
};
use frostguard_hub::store::log::LogRow;
use frostguard_hub::store::{OpenOptions, Store, boots, history, latest, log, prune};
use tempfile::TempDir;

const UNITS: u32 = 64;
const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;
/// 2026-01-01T00:00:00Z.
const START: i64 = 1_767_225_600_000;

fn main() {
    let is_tiny = std::env::var_os("FROSTGUARD_BENCH_TINY").is_some();
    let is_large = std::env::var_os("FROSTGUARD_BENCH_LARGE").is_some();
    println!("{:<66} {:>16} {:>10}", "store", "measured", "target");
    write_groups("100 readings a commit", if is_tiny { 2_000 } else { 400_000 }, 100, "<= 250");
    // 64 sensors a minute in windows of 5 s: 5 or 6 readings each.
    write_groups("64 sensors a minute, 5 s window", if is_tiny { 500 } else { 92_160 }, 5, "<= 2000");
    raw(if is_tiny { 1_000 } else { 200_000 });
    at_rest(if is_tiny { 20_000 } else { 1_000_000 });
    if is_large {
        at_rest(10_000_000);
    }
}

/// 64 units a minute, every reading a little off the minute; values as a fridge has them.
struct Sensors {
    seq: u64,
    random: u64,
}

impl Sensors {
    fn new() -> Self {
        Self { seq: 0, random: 0x9e37_79b9_7f4a_7c15 }
    }

    fn next(&mut self) -> LogRow {
        // xorshift64
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let unit = (self.seq % u64::from(UNITS)) as u32 + 1;
        let minute = (self.seq / u64::from(UNITS)) as i64;
        self.seq += 1;
        let jitter = (self.random % 200) as i64;
        let mono = minute * MINUTE + i64::from(unit) * (MINUTE / i64::from(UNITS)) + jitter;
        LogRow {
            epoch_no: 1,
            seq: Seq(self.seq),
            unit: UnitNo(unit),
            device: DeviceNo(unit),
            is_late: false,
            source: Source::Mqtt,
            probe: Probe::EXTERNAL,
            temperature: Temperature { hundredths: 400 + (self.random >> 8) as i32 % 60, scale: Scale::C },
            humidity: Some(6_500 + (self.random >> 16) as i32 % 300),
            battery: Some(96),
            rssi: Some(-80 - (self.random >> 24) as i32 % 20),
            stamp: Stamp { segment: 1, mono: MonoMs(mono) },
            own_time: None,
        }
    }

    fn now(&self) -> UnixMs {
        UnixMs(START + (self.seq / u64::from(UNITS)) as i64 * MINUTE)
    }
}

fn open(dir: &TempDir) -> Store {
    let mut next = 0u8;
    let mut random = |buffer: &mut [u8]| {
        next += 1;
        buffer.fill(next);
    };
    let options = OpenOptions { ballast_bytes: 0, ..OpenOptions::new(dir.path()) };
    let (mut store, _) = Store::open(&options, &mut random).unwrap();
    let boot = Boot {
        segment: 1,
        boot_id: [1; 16],
        reason: BootReason::Start,
        first_mono: MonoMs(0),
        last_mono: MonoMs(0),
        floor: UnixMs(START),
        placement: Some(Placement { offset_ms: START, quality: Quality::Ntp, uncertainty_ms: 5 }),
    };
    store
        .write(|tx| {
            boots::insert(tx, &boot)?;
            tx.execute_batch(
                "INSERT INTO organizations (id, name, slug, created_at, updated_at) VALUES (zeroblob(16), 'o', 'o', 0, 0);
                 INSERT INTO sites (id, organization_id, name, created_at, updated_at)
                    VALUES (zeroblob(16), zeroblob(16), 's', 0, 0);
                 INSERT INTO areas (id, site_id, name, created_at, updated_at)
                    VALUES (zeroblob(16), zeroblob(16), 'a', 0, 0);
                 INSERT INTO units (id, area_id, name, unit_type, temp_min, temp_max, created_at, updated_at)
                    WITH RECURSIVE n(no) AS (SELECT 1 UNION ALL SELECT no + 1 FROM n WHERE no < 64)
                    SELECT randomblob(16), zeroblob(16), 'u' || no, 'fridge', 0, 50, 0, 0 FROM n;
                 INSERT INTO hub_units (unit_id) SELECT id FROM units;",
            )?;
            Ok(())
        })
        .unwrap();
    store
}

/// Appends groups as the pipeline commits them, settles hours as they pass, checkpoints; counts what went to the disk.
fn write_groups(what: &str, rows: u64, group: usize, target: &str) {
    let dir = folder();
    let mut store = open(&dir);
    store.checkpoint_all().unwrap();
    let (disk, wal) = (disk_bytes(), store.wal_bytes_written());
    let mut sensors = Sensors::new();
    let mut settled = sensors.now();
    let begun = Instant::now();
    while sensors.seq < rows {
        store.write(|tx| (0..group).try_for_each(|_| log::append(tx, &sensors.next()))).unwrap();
        if sensors.now().0 - settled.0 >= MINUTE {
            settled = sensors.now();
            history::settle(&mut store, settled).unwrap();
        }
    }
    store.checkpoint_all().unwrap();
    let elapsed = begun.elapsed();
    let per_row = |bytes: u64| format!("{:.0}", bytes as f64 / sensors.seq as f64);
    let moved: i64 = store
        .connection()
        .query_row("SELECT coalesce(sum(rows), 0) FROM hub_hours", [], |row| row.get(0))
        .unwrap();
    line(&format!("{what}: bytes to disk a reading (/proc/self/io)"), &per_row(disk_bytes() - disk), target);
    line("  of which WAL", &per_row(store.wal_bytes_written() - wal), "");
    line("  readings written, of which moved to history", &format!("{} / {moved}", sensors.seq), "");
    line("  readings/s, each group synced", &per_second(sensors.seq, elapsed), "");
}

/// The log alone, nothing synced: what the pipeline is compared with.
fn raw(rows: u64) {
    let dir = folder();
    let mut store = open(&dir);
    store.connection().pragma_update(None, "synchronous", "OFF").unwrap();
    let mut sensors = Sensors::new();
    let begun = Instant::now();
    while sensors.seq < rows {
        store.write(|tx| (0..100).try_for_each(|_| log::append(tx, &sensors.next()))).unwrap();
    }
    line("log inserts/s, 100 a commit, unsynced", &per_second(rows, begun.elapsed()), "");
}

/// Fills history as time would, then looks at size and at reading.
fn at_rest(rows: u64) {
    let dir = folder();
    let mut store = open(&dir);
    store.connection().pragma_update(None, "synchronous", "OFF").unwrap();
    let empty = prune::bytes_used(store.connection()).unwrap();
    let mut sensors = Sensors::new();
    while sensors.seq < rows {
        store.write(|tx| (0..6_400).try_for_each(|_| log::append(tx, &sensors.next()))).unwrap();
        while history::settle(&mut store, sensors.now()).unwrap() > 0 {}
    }
    store.checkpoint_all().unwrap();
    let used = prune::bytes_used(store.connection()).unwrap() - empty;
    let label = format!("{} M readings", rows as f64 / 1e6);
    line(
        &format!("{label}: database bytes a reading at rest"),
        &format!("{:.1}", used as f64 / sensors.seq as f64),
        "<= 35",
    );
    let log: i64 =
        store.connection().query_row("SELECT count(*) FROM hub_log", [], |row| row.get(0)).unwrap();
    line("  readings in the log / in history", &format!("{log} / {}", sensors.seq as i64 - log), "");
    let reader = Store::reader(dir.path()).unwrap();
    let now = sensors.now();
    let found = median(21, || latest::of_units(&reader).unwrap().len());
    line(&format!("{label}: latest of {} units, ms", found.1), &millis(found.0), "<= 5");
    let day = median(21, || latest::chart(&reader, UnitNo(7), UnixMs(now.0 - DAY), now).unwrap().len());
    line(&format!("{label}: chart of 24 h ({} points), ms", day.1), &millis(day.0), "<= 5");
    let old = UnixMs(START + (now.0 - START) / 2);
    let past = median(21, || latest::chart(&reader, UnitNo(7), UnixMs(old.0 - DAY), old).unwrap().len());
    line(&format!("{label}: chart of 24 h long ago ({} points), ms", past.1), &millis(past.0), "<= 5");
}

fn median<T>(times: usize, mut run: impl FnMut() -> T) -> (Duration, T) {
    let mut last = run();
    let mut took: Vec<Duration> = (0..times)
        .map(|_| {
            let begun = Instant::now();
            last = run();
            begun.elapsed()
        })
        .collect();
    took.sort_unstable();
    (took[times / 2], last)
}

/// Bytes this process caused to be written to storage. 0 on a file system in memory.
fn disk_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap();
    text.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap().parse().unwrap()
}

/// Under the build folder: the folder for temporary files is often in memory, where nothing is written.
fn folder() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn per_second(rows: u64, elapsed: Duration) -> String {
    format!("{:.0}", rows as f64 / elapsed.as_secs_f64())
}

fn millis(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1e3)
}

fn line(what: &str, measured: &str, target: &str) {
    println!("{what:<66} {measured:>16} {target:>10}");
}
