//! From the last byte of a frame on the serial line to the buzzer's line being driven: a whole hub in this process, on a
//! real disk, with a pseudo-terminal as its radio and a file as its buzzer, while 100 other frames a second come in. The
//! alert is committed before the buzzer is called. Then again while a backlog goes up to a receiver with PostgreSQL on the
//! same machine (needs what the tests need).
//!
//! `cargo bench --features demo --bench alarm`; `FROSTGUARD_BENCH_LARGE=1` has 10 M readings to send instead of 1 M,
//! `FROSTGUARD_BENCH_TINY=1` runs once on little input. `TMPDIR` chooses the disk.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run has to stop")]

#[path = "support/kitchen.rs"]
mod kitchen;
/// A hub's past, made as the tests make it; it takes the names and lines of its sensors from `kitchen`.
#[path = "../tests/sync/past.rs"]
mod past;
#[path = "support/site.rs"]
mod site;
#[path = "support/steady.rs"]
mod steady;
#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use site::{ALARM_MAX, Kitchen, OTHERS, percentile, receive};
use support::Postgres;

/// Between two frames of the others: 100 a second.
const PAUSE: Duration = Duration::from_millis(10);

fn main() {
    let is = |name: &str| std::env::var_os(name).is_some();
    let (alarms, backlog) = match (is("FROSTGUARD_BENCH_TINY"), is("FROSTGUARD_BENCH_LARGE")) {
        (true, _) => (3, 6_500),
        (_, true) => (300, 10_000_000),
        _ => (300, 1_000_000),
    };
    println!("frame in to buzzer called, 100 frames/s, {alarms} alarms; target: p99 <= 100 ms");
    // Whoever comes second finds it there.
    drop(rustls::crypto::ring::default_provider().install_default());
    println!("| | p50 | p99 | most |");
    println!("|---|---|---|---|");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();

    let folder = tempfile::tempdir().unwrap();
    let (mut kitchen, stop) = runtime.block_on(async { Kitchen::new(folder.path(), false) });
    runtime.block_on(furnish(&kitchen));
    print("nothing to send", (0..alarms).map(|_| alarm(&mut kitchen)).collect());
    runtime.block_on(stop);

    let folder = tempfile::tempdir().unwrap();
    steady::fill(&folder.path().join("state"), OTHERS as usize + 1, backlog);
    let postgres = Postgres::start();
    let (mut kitchen, stop) = runtime.block_on(async { Kitchen::new(folder.path(), true) });
    let unsent = runtime.block_on(async {
        let url = postgres.make_database("bench").await;
        let receiver = receive(&url).await;
        kitchen.enrol(&url, &format!("http://{receiver}"), backlog).await
    });
    let waits = (0..alarms).map(|_| alarm(&mut kitchen)).collect();
    let left = runtime.block_on(kitchen.unsent());
    // Else it was not measured while it went up.
    assert!(left > 0 || backlog < 10_000_000, "the backlog was gone before the end");
    print(&format!("{unsent} readings to send, {left} at the end"), waits);
    runtime.block_on(stop);
}

fn print(what: &str, mut waits: Vec<Duration>) {
    waits.sort();
    let at = |percent| percentile(&waits, percent);
    println!("| {what} | {:.1} ms | {:.1} ms | {:.1} ms |", at(50), at(99), at(100));
}

async fn furnish(hub: &Kitchen) {
    for number in 0..=OTHERS {
        let unit = format!("Fridge {number}");
        hub.ask(json!({ "request": "units_add", "name": unit, "unit_type": "fridge" })).await;
        hub.ask(json!({
                "request": "devices_add", "address": kitchen::eui(number as usize), "unit": unit, "check_in_s": 60,
            }))
            .await;
    }
}

/// A unit goes warm while others talk; gives how long the buzzer took.
fn alarm(kitchen: &mut Kitchen) -> Duration {
    let edges = kitchen.edges();
    talk(kitchen, 7);
    kitchen.warm();
    let heard = Instant::now();
    while kitchen.edges() == edges {
        assert!(heard.elapsed() < ALARM_MAX, "no buzzer");
        std::thread::sleep(Duration::from_micros(100));
    }
    let took = heard.elapsed();
    // Good again, and silent, with as many frames a second.
    talk(kitchen, 7);
    kitchen.cool();
    took
}

fn talk(kitchen: &mut Kitchen, frames: u32) {
    for _ in 0..frames {
        let number = 1 + kitchen.counter % OTHERS;
        kitchen.say(number, 350);
        std::thread::sleep(PAUSE);
    }
}
