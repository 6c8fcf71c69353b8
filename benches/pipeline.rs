//! Frames through the whole core (decode, identify, rules, log, raw frames) on a real disk, beside inserts of the same log
//! rows by bare SQLite in the same run; bytes written a reading; the time of a start.
//!
//! `FROSTGUARD_BENCH_TINY=1` runs once on little input. `TMPDIR` chooses the disk.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run has to stop")]

#[path = "support/hub.rs"]
mod hub;

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::types::Value;

use hub::{DEVICES, Hub, MINUTE_MS, WINDOW_MS};

const FRAMES_A_COMMIT: u32 = 100;
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
