//! Frames through the whole core (decode, identify, rules, log, raw frames) on a real disk, beside inserts of the same log
//! rows by bare SQLite in the same run; bytes written a reading; the time of a start.
//!
//! `FROSTGUARD_BENCH_TINY=1` runs once on little input. `TMPDIR` chooses the disk.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run has to stop")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use frostguard_hub::clock::TestClock;
use frostguard_hub::config::NotifySection;
use frostguard_hub::control::Request;
use frostguard_hub::counters::Counters;
use frostguard_hub::domain::{MonoMs, Scale, Source, UnixMs};
use frostguard_hub::frame::{Frame, Identity, Payload, Sender, SourceEvent};
use frostguard_hub::pipeline::settings::{Mode, NotifySettings, Settings};
use frostguard_hub::pipeline::{Core, Random};
use frostguard_hub::rules::Constants;
use frostguard_hub::store::Store;
use frostguard_hub::store::registry::PlaceNames;
use rusqlite::Connection;
use rusqlite::types::Value;
use serde_json::json;
use tempfile::TempDir;

const DEVICES: u32 = 64;
const FRAMES_A_COMMIT: u32 = 100;
const MINUTE_MS: i64 = 60_000;
const WINDOW_MS: i64 = 5_000;
const NOW_MS: i64 = 1_900_000_000_000;
/// Of the whole run, so that a busy moment of the machine hits both sides.
const ROUNDS: u32 = 8;
/// Columns of `hub_log` and of `hub_frames` that a commit inserts.
const LOG: &str =
    "epoch_no, seq, unit_no, device_no, tag, temperature, humidity, battery, rssi, segment, mono_ms, own_ms";
const FRAMES: &str =
    "no, segment, mono_ms, source, port, address, device_no, f_port, counter, rssi, dedup, outcome,
    detail, bytes_through, bytes";

fn main() {
    let is_tiny = std::env::var_os("FROSTGUARD_BENCH_TINY").is_some();
    let scale = |full: u32, tiny: u32| if is_tiny { tiny } else { full };
    println!("{DEVICES} sensors (LHT65N, LoRaWAN), {FRAMES_A_COMMIT} frames a commit unless said");
    println!("| what | value | target |");
    println!("|---|---|---|");
    throughput(scale(200_000, 1_600));
    bytes_written("100 a commit", scale(200_000, 1_600), FRAMES_A_COMMIT, "250");
    bytes_written("64 a minute, default window", scale(40_000, 640), 0, "2000");
    start(scale(1_000_000, 2_000));
}

/// A hub with a fridge for each sensor.
struct Hub {
    dir: TempDir,
    clock: Arc<TestClock>,
    core: Option<Core>,
    counter: u32,
}

impl Hub {
    fn new() -> Self {
        let clock = Arc::new(TestClock::new(MonoMs(10_000), UnixMs(NOW_MS)));
        let mut hub = Self { dir: tempfile::tempdir().unwrap(), clock, core: None, counter: 0 };
        hub.open();
        for device in 0..DEVICES {
            let unit = format!("Fridge {device}");
            hub.ask(json!({ "request": "units_add", "name": unit, "unit_type": "fridge" }));
            hub.ask(json!({
                "request": "devices_add", "address": eui(device), "model": "dragino/lht65n", "unit": unit,
                "check_in_s": 60,
            }));
        }
        hub
    }

    fn open(&mut self) {
        let settings = Settings {
            state_dir: self.dir.path().to_owned(),
            window_ms: WINDOW_MS,
            constants: Constants::default(),
            scale: Scale::C,
            names: PlaceNames {
                organization: "Local".into(),
                site: "Kitchen".into(),
                area: "Main".into(),
                hub: "Box".into(),
                zone: "UTC".into(),
                mac_address: None,
                firmware_version: "0".into(),
            },
            bytes_max: Some(4 << 30),
            notify: NotifySettings::of(&NotifySection::default()),
            lorawan: None,
            sources: Vec::new(),
            codecs: Arc::default(),
            scripts: frostguard_hub::pipeline::scripts::Place::Here,
            mode: Mode::Service,
        };
        let seed = u64::from(self.counter) + 1;
        self.core =
            Some(Core::open(settings, self.clock.clone(), Counters::default(), random(seed)).unwrap());
    }

    fn core(&mut self) -> &mut Core {
        self.core.as_mut().unwrap()
    }

    fn ask(&mut self, request: serde_json::Value) {
        let request: Request = serde_json::from_value(request).unwrap();
        self.core().request(&request).unwrap();
    }

    /// The next frames of all sensors in turn: steady fridges, a different value each time.
    fn frames(&mut self, count: u32) -> Vec<Frame> {
        (0..count)
            .map(|_| {
                self.counter += 1;
                climate(self.counter % DEVICES, self.counter)
            })
            .collect()
    }

    /// Hears `frames`, all at the present instant, and lets the group close.
    fn hear(&mut self, frames: Vec<Frame>, passes_ms: i64) {
        let now = frostguard_hub::clock::Clock::mono(&*self.clock);
        for mut frame in frames {
            frame.at = now;
            self.core().hear(SourceEvent::Frame(Box::new(frame)));
        }
        self.clock.advance(passes_ms);
        self.core().tick();
    }

    fn reader(&self) -> Connection {
        Store::reader(self.dir.path()).unwrap()
    }

    fn readings(&self) -> u64 {
        let sql = "SELECT (SELECT count(*) FROM hub_log) + (SELECT coalesce(sum(rows), 0) FROM hub_hours)";
        self.reader().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() as u64
    }
}

fn throughput(frames: u32) {
    let mut hub = Hub::new();
    let raw_dir = tempfile::tempdir().unwrap();
    let mut raw = bare(raw_dir.path(), &hub.reader(), "hub_log");
    raw.pragma_update_and_check(None, "wal_autocheckpoint", 1_024, |_| Ok(())).unwrap();
    let (mut by_core, mut by_raw) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..ROUNDS {
        let commits = frames / ROUNDS / FRAMES_A_COMMIT;
        let groups: Vec<_> = (0..commits).map(|_| hub.frames(FRAMES_A_COMMIT)).collect();
        let since: i64 =
            hub.reader().query_row("SELECT coalesce(max(seq), 0) FROM hub_log", [], |r| r.get(0)).unwrap();
        let began = Instant::now();
        for group in groups {
            hub.hear(group, WINDOW_MS);
        }
        by_core += began.elapsed();
        let rows = rows(&hub.reader(), "hub_log", LOG, &format!("WHERE seq > {since}"));
        assert_eq!(rows.len() as u32, commits * FRAMES_A_COMMIT, "a reading of each frame");
        let began = Instant::now();
        insert(&mut raw, "hub_log", LOG, &rows, FRAMES_A_COMMIT as usize);
        by_raw += began.elapsed();
    }
    let a_second = |time: Duration| {
        f64::from(frames / ROUNDS / FRAMES_A_COMMIT * FRAMES_A_COMMIT * ROUNDS) / time.as_secs_f64()
    };
    println!("| frames through the core | {:.0} /s | |", a_second(by_core));
    println!("| bare SQLite, the same log rows | {:.0} /s | |", a_second(by_raw));
    println!("| of bare SQLite | {:.2} | >= 0.35 |", by_raw.as_secs_f64() / by_core.as_secs_f64());
}

/// `a_commit` 0: as time lets them come, one a sensor and minute, with the window.
fn bytes_written(name: &str, frames: u32, a_commit: u32, target: &str) {
    let mut hub = Hub::new();
    let (wal_before, io_before) = (hub.core().wal_bytes_written(), process_bytes_written());
    let first_no: i64 =
        hub.reader().query_row("SELECT coalesce(max(no), 0) FROM hub_frames", [], |row| row.get(0)).unwrap();
    let commits_before = hub.core().committed();
    let step_ms = MINUTE_MS / i64::from(DEVICES);
    let before = hub.readings();
    let mut left = frames;
    while left > 0 {
        let count = if a_commit == 0 { 1 } else { a_commit.min(left) };
        let group = hub.frames(count);
        // At 100 a commit time runs as fast as 64 a minute make it, so that housekeeping has its true share.
        hub.hear(group, step_ms * i64::from(count));
        left -= count;
    }
    let commits = hub.core().committed() - commits_before;
    let wal = (hub.core().wal_bytes_written() - wal_before) as f64;
    hub.core.take().unwrap().close().unwrap();
    let io = process_bytes_written().zip(io_before).map(|(after, before)| (after - before) as f64);
    let readings = (hub.readings() - before) as f64;
    assert_eq!(readings as u32, frames, "a reading of each frame");
    // The same raw frames alone: what the readings do not need.
    let raw_dir = tempfile::tempdir().unwrap();
    let mut raw = bare(raw_dir.path(), &hub.reader(), "hub_frames");
    let kept = rows(&hub.reader(), "hub_frames", FRAMES, &format!("WHERE no > {first_no}"));
    let a_group = (kept.len() as u64).div_ceil(commits.max(1)) as usize;
    insert(&mut raw, "hub_frames", FRAMES, &kept, a_group);
    let frames_wal = std::fs::metadata(raw_dir.path().join("raw.db-wal")).unwrap().len() as f64;
    println!("| {name}: readings a commit | {:.1} | |", readings / commits as f64);
    println!("| {name}: WAL bytes a reading, raw frames counted | {:.0} | |", wal / readings);
    println!(
        "| {name}: WAL bytes a reading without them | {:.0} | <= {target} |",
        (wal - frames_wal) / readings
    );
    if let Some(io) = io {
        println!(
            "| {name}: all bytes written a reading (WAL, checkpoints, backups), raw frames counted | {:.0} | |",
            io / readings
        );
    }
}

fn start(readings: u32) {
    let mut hub = Hub::new();
    let step_ms = MINUTE_MS * i64::from(FRAMES_A_COMMIT) / i64::from(DEVICES);
    for _ in 0..readings / FRAMES_A_COMMIT {
        let group = hub.frames(FRAMES_A_COMMIT);
        hub.hear(group, step_ms);
    }
    let stored = hub.readings();
    for is_clean in [true, false] {
        let core = hub.core.take().unwrap();
        if is_clean {
            core.close().unwrap();
        } else {
            drop(core);
        }
        hub.clock.advance(MINUTE_MS);
        let group = hub.frames(1);
        let began = Instant::now();
        hub.open();
        hub.hear(group, WINDOW_MS);
        let took = began.elapsed();
        let how = if is_clean { "clean stop" } else { "power cut" };
        println!(
            "| start to first reading stored after a {how}, {stored} readings | {:.0} ms | <= 2000 ms |",
            took.as_secs_f64() * 1_000.0
        );
        assert!(hub.readings() > stored);
    }
}

/// A database with one table of the hub's and the hub's settings for writing, without the hub around it.
fn bare(dir: &Path, hub: &Connection, table: &str) -> Connection {
    let connection = Connection::open(dir.join("raw.db")).unwrap();
    for (name, value) in
        [("journal_mode", "WAL"), ("synchronous", "FULL"), ("foreign_keys", "OFF"), ("cache_size", "-2048")]
    {
        connection.pragma_update_and_check(None, name, value, |_| Ok(())).or_else(no_row).unwrap();
    }
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(())).unwrap();
    let sql = "SELECT sql FROM sqlite_schema WHERE tbl_name = ?1 AND sql IS NOT NULL ORDER BY type DESC";
    let mut statement = hub.prepare(sql).unwrap();
    let made: Vec<String> =
        statement.query_map([table], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    for sql in made {
        connection.execute_batch(&sql).unwrap();
    }
    connection
}

fn no_row(error: rusqlite::Error) -> rusqlite::Result<()> {
    match error {
        rusqlite::Error::QueryReturnedNoRows => Ok(()),
        error => Err(error),
    }
}

fn rows(connection: &Connection, table: &str, columns: &str, filter: &str) -> Vec<Vec<Value>> {
    let mut statement = connection.prepare(&format!("SELECT {columns} FROM {table} {filter}")).unwrap();
    let width = statement.column_count();
    statement
        .query_map([], |row| (0..width).map(|index| row.get(index)).collect())
        .unwrap()
        .collect::<rusqlite::Result<_>>()
        .unwrap()
}

fn insert(connection: &mut Connection, table: &str, columns: &str, rows: &[Vec<Value>], a_commit: usize) {
    let width = columns.split(',').count();
    let places: Vec<String> = (1..=width).map(|index| format!("?{index}")).collect();
    let sql = format!("INSERT INTO {table} ({columns}) VALUES ({})", places.join(", "));
    for group in rows.chunks(a_commit.max(1)) {
        let transaction = connection.transaction().unwrap();
        let mut statement = transaction.prepare_cached(&sql).unwrap();
        for row in group {
            statement.execute(rusqlite::params_from_iter(row)).unwrap();
        }
        drop(statement);
        transaction.commit().unwrap();
    }
}

/// Bytes that this process made the kernel write to disks; None where it does not tell.
fn process_bytes_written() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/io").ok()?;
    text.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok())
}

fn eui(device: u32) -> String {
    format!("A840410000{device:06X}")
}

/// 3.00 to 4.99 °C on the cable, 21.00 °C around it.
fn climate(device: u32, counter: u32) -> Frame {
    let external = 300 + (counter.wrapping_mul(2_654_435_761) >> 16) % 200;
    let mut bytes = vec![0xCB, 0xB8, 0x08, 0x34, 0x01, 0x90, 0x01];
    bytes.extend((external as i16).to_be_bytes());
    bytes.extend([0x7F, 0xFF]);
    Frame {
        sender: Sender { source: Source::Lorawan, port: "lns".into(), address: eui(device), is_eui: true },
        model: None,
        at: MonoMs(0),
        network_time: None,
        is_delayed: false,
        payload: Payload::Binary { f_port: 2, bytes },
        identity: Identity {
            counter: Some(counter),
            dev_addr: Some("01020304".into()),
            ..Identity::default()
        },
        rssi: Some(-90),
        ack: None,
    }
}

fn random(seed: u64) -> Random {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    Box::new(move |bytes| {
        for byte in bytes {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (state >> 56) as u8;
        }
    })
}
