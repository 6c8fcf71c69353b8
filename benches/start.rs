//! From the start of the program to its first reading in the database, and what memory it has then: the real program on a
//! real disk, with a pseudo-terminal as its radio and a past of many readings.
//!
//! `cargo bench --features demo --bench start`; `FROSTGUARD_BENCH_LARGE=1` adds 10 M readings, `FROSTGUARD_BENCH_TINY=1`
//! runs once on little input. `TMPDIR` chooses the disk.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run has to stop")]

#[path = "support/kitchen.rs"]
mod kitchen;
/// A hub's past, made as the tests make it; it takes the names and lines of its sensors from `kitchen`.
#[path = "../tests/sync/past.rs"]
mod past;
#[path = "support/steady.rs"]
mod steady;

use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use serialport::{SerialPort as _, TTYPort};

const SENSORS: usize = 64;
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);
/// Looks between two lines of a sensor that does not know whether anybody listens yet: a terminal holds 4 KB until then.
const LOOKS: u32 = 8;
/// Longer, and something is broken.
const START_MAX: Duration = Duration::from_mins(2);

fn main() {
    let is = |name: &str| std::env::var_os(name).is_some();
    let (sizes, starts): (&[u32], usize) = match (is("FROSTGUARD_BENCH_TINY"), is("FROSTGUARD_BENCH_LARGE")) {
        (true, _) => (&[6_400], 1),
        (_, true) => (&[0, 1_000_000, 10_000_000], 5),
        _ => (&[0, 1_000_000], 5),
    };
    println!("start to first reading stored, {starts} starts; target: <= 2 s at 10 M readings, RSS <= 25 MB");
    println!("| readings in the database | least | most | RSS then | most until then |");
    println!("|---|---|---|---|---|");
    for readings in sizes {
        let folder = tempfile::tempdir().unwrap();
        steady::fill(&folder.path().join("state"), SENSORS, *readings);
        let measured: Vec<Measured> = (0..starts).map(|number| start(folder.path(), number as u32)).collect();
        let ms = |pick: fn(Vec<Duration>) -> Option<Duration>| {
            pick(measured.iter().map(|one| one.took).collect()).unwrap().as_secs_f64() * 1_000.0
        };
        let most = |kib: fn(&Measured) -> u64| measured.iter().map(kib).max().unwrap() as f64 / 1_024.0;
        println!(
            "| {readings} | {:.0} ms | {:.0} ms | {:.1} MiB | {:.1} MiB |",
            ms(|all| all.into_iter().min()),
            ms(|all| all.into_iter().max()),
            most(|one| one.rss_kib),
            most(|one| one.peak_kib),
        );
    }
}

struct Measured {
    took: Duration,
    rss_kib: u64,
    peak_kib: u64,
}

fn start(folder: &Path, number: u32) -> Measured {
    let (mut near, far) = TTYPort::pair().unwrap();
    let radio = folder.join("radio");
    drop(std::fs::remove_file(&radio));
    symlink(far.name().unwrap(), &radio).unwrap();
    let state = folder.join("state");
    let config = folder.join("hub.toml");
    let text = format!(
        "[hub]\nstate_dir = '{}'\n[control]\nsocket = '{}'\n[store]\nwindow_ms = 100\n[uplink]\nenabled = false\n\
         [[serial]]\nname = 'radio'\npath = '{}'\npreset = 'json'\n",
        state.display(),
        folder.join("sock").display(),
        radio.display(),
    );
    std::fs::write(&config, text).unwrap();
    let before = newest(&state).unwrap();
    let began = Instant::now();
    let mut hub = Ended(
        Command::new(env!("CARGO_BIN_EXE_frostguard-hub"))
            .arg("-c")
            .arg(&config)
            .arg("run")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let (first, mut looks) = (1_000_000 + number * 100_000, 0);
    while newest(&state).is_none_or(|newest| newest == before) {
        assert!(began.elapsed() < START_MAX, "no reading");
        assert!(hub.0.try_wait().unwrap().is_none(), "the hub ended");
        if looks % LOOKS == 0 {
            near.write_all(kitchen::line(first + looks, 0, 300).as_bytes()).unwrap();
        }
        looks += 1;
        std::thread::sleep(PAUSE);
    }
    let took = began.elapsed();
    let status = std::fs::read_to_string(format!("/proc/{}/status", hub.0.id())).unwrap();
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
    };
    Measured { took, rss_kib: kib("VmRSS"), peak_kib: kib("VmHWM") }
}

/// The number of the newest reading that is in the database; None: it is locked for a moment.
fn newest(state: &Path) -> Option<i64> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = Connection::open_with_flags(state.join(frostguard_hub::store::DATABASE), flags).unwrap();
    connection.query_row("SELECT coalesce(max(seq), 0) FROM hub_log", [], |row| row.get(0)).ok()
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
