//! A hub that was offline for 30 days, 64 sensors a minute: how fast and in how many bytes its readings go up to a receiver
//! with PostgreSQL on the same machine, and how long an alert of now takes to the central database meanwhile. Everything
//! the hub says is counted on its way, heads of the requests too (no TLS).
//!
//! `cargo bench --features demo --bench catchup`; needs what the tests need. `FROSTGUARD_BENCH_TINY=1` runs once on little
//! input. `TMPDIR` chooses the disk.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run has to stop")]

#[path = "support/kitchen.rs"]
mod kitchen;
#[path = "support/noise.rs"]
mod noise;
/// A hub's past, made as the tests make it; it takes the names and lines of its sensors from `kitchen`.
#[path = "../tests/sync/past.rs"]
mod past;
#[path = "support/site.rs"]
mod site;
#[path = "../tests/support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use noise::{HUMIDITY_NOISE, JITTER_MS, Noise, RSSI_NOISE, TEMPERATURE_NOISE};
use past::{MINUTE_MS, Past};
use site::{Kitchen, OTHERS, percentile, receive};
use support::{Postgres, connect};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const MINUTES: u32 = 30 * 24 * 60;
const POLL: Duration = Duration::from_millis(5);
/// Between two alerts: a kitchen has a few a day.
const BETWEEN: Duration = Duration::from_millis(500);

fn main() {
    let is_tiny = std::env::var_os("FROSTGUARD_BENCH_TINY").is_some();
    let minutes = if is_tiny { 100 } else { MINUTES };
    let readings = minutes * (OTHERS + 1);
    // Whoever comes second finds it there.
    drop(rustls::crypto::ring::default_provider().install_default());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    fill(&folder.path().join("state"), minutes);
    let postgres = Postgres::start();
    let (mut kitchen, stop) = runtime.block_on(async { Kitchen::new(folder.path(), true) });
    let said = Arc::new(AtomicU64::new(0));
    let url = runtime.block_on(postgres.make_database("bench"));
    let began = Instant::now();
    let unsent = runtime.block_on(async {
        let base = count(receive(&url).await, Arc::clone(&said)).await;
        kitchen.enrol(&url, &format!("http://{base}"), readings).await
    });
    let (first, first_said) = (Instant::now(), said.load(Ordering::Relaxed));

    let mut waits = Vec::new();
    let left = loop {
        let left = runtime.block_on(kitchen.unsent());
        if left < 1_000 {
            break left;
        }
        if !is_tiny {
            waits.push(overtake(&runtime, &mut kitchen, &url));
            std::thread::sleep(BETWEEN);
        }
    };
    let (took, bytes) = (first.elapsed().as_secs_f64(), said.load(Ordering::Relaxed) - first_said);
    let sent = unsent - left;
    let there = runtime.block_on(async {
        let rows = connect(&url).await.query_one("SELECT count(*) FROM sensor_readings", &[]).await;
        rows.unwrap().get::<_, i64>(0)
    });
    assert!(there as u64 + left >= u64::from(readings), "only {there} of {readings} readings are there");
    println!(
        "{:.1} days offline, {readings} readings, {:.1} s from the enrolment to its end",
        f64::from(minutes) / 1_440.0,
        began.elapsed().as_secs_f64()
    );
    println!("| | | target |");
    println!("|---|---|---|");
    // A tiny backlog is gone before it is looked at.
    let sent = sent.max(1);
    println!("| readings a second, end to end | {:.0} | >= 20000 |", sent as f64 / took);
    let whole = bytes as f64 * f64::from(readings) / sent as f64 / 1e6;
    println!("| bytes a reading | {:.2} | |", bytes as f64 / sent as f64);
    println!("| of all | {whole:.1} MB | <= 12 MB |");
    if !waits.is_empty() {
        waits.sort();
        let (middle, most) = (percentile(&waits, 50), percentile(&waits, 99));
        println!(
            "| frame in to alert in PostgreSQL, {} alerts, p50, p99 | {middle:.0}, {most:.0} ms | p99 <= 1000 ms |",
            waits.len()
        );
    }
    runtime.block_on(stop);
}

/// A hub's folder with so many minutes that nobody took yet: fridges whose compressors run every 35 minutes and whose
/// readings come, and differ, as those of the wire's bench do.
fn fill(state: &Path, minutes: u32) {
    let sensors = OTHERS as usize + 1;
    let mut noise = Noise(1);
    let mut drift = vec![(0.0f64, 0.0f64); sensors];
    let phases: Vec<f64> = (0..sensors).map(|sensor| sensor as f64 / sensors as f64).collect();
    let mut past = Past::begin(state, sensors, (i64::from(minutes) + 2) * MINUTE_MS);
    let mut now = 0.0;
    for minute in 0..minutes {
        for sensor in 0..sensors {
            let due = (f64::from(minute) + phases[sensor]) * MINUTE_MS as f64 + noise.gaussian() * JITTER_MS;
            if due > now {
                past.pass((due - now) as i64);
                now += (due - now).trunc();
            }
            let (temperature, humidity) = &mut drift[sensor];
            *temperature = *temperature * 0.9 + noise.gaussian() * TEMPERATURE_NOISE;
            *humidity = *humidity * 0.95 + noise.gaussian() * HUMIDITY_NOISE;
            let swing = 60.0 * ((f64::from(minute) / 35.0 + phases[sensor]) * std::f64::consts::TAU).sin();
            past.hear(&format!(
                "{{\"id\":\"{}\",\"temperature_c\":{:.2},\"humidity\":{:.2},\"battery\":{},\"rssi\":{:.0},\"counter\":{minute}}}\n",
                kitchen::eui(sensor),
                (350.0 + swing + *temperature) / 100.0,
                (6_000.0 + *humidity) / 100.0,
                96 - minute / 10_000,
                -70.0 - (sensor % 30) as f64 + noise.gaussian() * RSSI_NOISE,
            ));
        }
    }
    past.end();
}

/// An alarm, from its frame to its row in the central database.
fn overtake(runtime: &tokio::runtime::Runtime, kitchen: &mut Kitchen, url: &str) -> Duration {
    runtime.block_on(async {
        let sql = connect(url).await;
        let alerts = async || -> i64 {
            let sql = sql.query_one("SELECT count(*) FROM alerts", &[]).await;
            sql.unwrap().get(0)
        };
        let before = alerts().await;
        let began = Instant::now();
        kitchen.warm();
        while alerts().await == before {
            tokio::time::sleep(POLL).await;
        }
        let took = began.elapsed();
        kitchen.cool();
        took
    })
}

/// Passes on whatever comes to `to`, and counts it.
async fn count(to: SocketAddr, said: Arc<AtomicU64>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (hub, _) = listener.accept().await.unwrap();
            let receiver = TcpStream::connect(to).await.unwrap();
            let said = Arc::clone(&said);
            tokio::spawn(async move {
                let (mut from_hub, mut to_hub) = hub.into_split();
                let (mut from_receiver, mut to_receiver) = receiver.into_split();
                let back =
                    tokio::spawn(async move { tokio::io::copy(&mut from_receiver, &mut to_hub).await });
                let mut part = vec![0; 1 << 16];
                while let Ok(count @ 1..) = from_hub.read(&mut part).await {
                    said.fetch_add(count as u64, Ordering::Relaxed);
                    if to_receiver.write_all(&part[..count]).await.is_err() {
                        break;
                    }
                }
                drop(to_receiver);
                let _ = back.await;
            });
        }
    });
    address
}
