//! Rows a second into PostgreSQL through the receiver, against COPY of the very same rows: 4 hubs and 4 connections, 5,000
//! rows a batch, foreign keys on, in turns on one server (which does not wait for the disk, on either side).
//!
//! `FROSTGUARD_BENCH_TINY=1` runs once on little input. Needs what the tests need: PostgreSQL's programs.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use frostguard_sync::api::{EnrolAnswer, EnrolRequest, PATH_BATCHES, PATH_ENROL};
use frostguard_sync::ids::Epoch;
use frostguard_sync::receiver::admin::{self, NewHub, ThresholdScale};
use frostguard_sync::receiver::config::Secret;
use frostguard_sync::receiver::{self, Config};
use frostguard_sync::scale::Scale;
use frostguard_sync::wire::{self, Batch, Body, Header, Lane, Reading, Readings, Source};
use futures_util::{SinkExt, StreamExt};
use support::{Postgres, connect};
use tokio::net::TcpListener;
use tokio_postgres::Client;
use uuid::Uuid;

const HUBS: u64 = 4;
const UNITS: u32 = 32;
const MINUTE_MS: i64 = 60_000;
const COLUMNS: &str = "id, unit_id, device_id, temperature, humidity, battery, signal_strength, recorded_at, \
     received_at, source";
/// 2026-01-01, before the receiver's own time.
const START_MS: i64 = 1_767_225_600_000;

#[derive(Clone, Copy)]
struct Size {
    rounds: u32,
    batches: u64,
    rows: u64,
}

fn main() {
    let is_tiny = std::env::var_os("FROSTGUARD_BENCH_TINY").is_some();
    let size = if is_tiny {
        Size { rounds: 1, batches: 2, rows: 200 }
    } else {
        Size { rounds: 3, batches: 20, rows: 5_000 }
    };
    let postgres = Postgres::start();
    tokio::runtime::Runtime::new().unwrap().block_on(run(&postgres, size));
}

async fn run(postgres: &Postgres, size: Size) {
    let url = postgres.make_database("bench").await;
    receiver::migrate(&url).await.unwrap();
    let sql = connect(&url).await;
    let (base, hubs) = start(&url, &sql, size).await;

    // Once unmeasured: warms the server, and gives the rows for the other side.
    upload(&base, &hubs).await;
    let chunks = dump(&sql, &hubs, size).await;
    let (mut direct, mut received) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..size.rounds {
        clear(&sql).await;
        direct += copy(&url, &chunks).await;
        clear(&sql).await;
        received += upload(&base, &hubs).await;
    }
    let rows = HUBS * size.batches * size.rows;
    let stored: i64 = sql.query_one("SELECT count(*) FROM sensor_readings", &[]).await.unwrap().get(0);
    assert_eq!(stored as u64, rows, "every row arrived once");
    let rate = |time: Duration| (rows * u64::from(size.rounds)) as f64 / time.as_secs_f64();
    let ratio = rate(received) / rate(direct);
    println!(
        "receiver, {HUBS} hubs at once, {} rows a batch, {rows} rows a round, {} rounds",
        size.rows, size.rounds
    );
    println!("| way | rows a second | of direct COPY | target |");
    println!("|---|---|---|---|");
    println!("| direct COPY, 4 connections | {:.0} | 1.00 | |", rate(direct));
    println!("| receiver, HTTP and decoding included | {:.0} | {ratio:.2} | >= 0.7 |", rate(received));
}

struct Hub {
    token: String,
    units: Vec<Uuid>,
    bodies: Vec<Vec<u8>>,
}

/// A receiver, and hubs with their units, devices and encoded batches.
async fn start(url: &str, sql: &Client, size: Size) -> (String, Vec<Hub>) {
    // Whoever comes second finds it there.
    drop(rustls::crypto::ring::default_provider().install_default());
    let config = Config { database_url: Some(Secret::new(url)), ..Config::default() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(receiver::run(config, listener, std::future::pending()));
    let organization = Uuid::from_u128(1);
    sql.batch_execute(&format!(
        "INSERT INTO organizations (id, name, slug) VALUES ('{organization}', 'bench', 'bench')"
    ))
    .await
    .unwrap();
    let mut hubs = Vec::new();
    for number in 0..HUBS {
        let site = Uuid::from_u128(0x100 + u128::from(number));
        let units: Vec<Uuid> = (0..UNITS)
            .map(|unit| Uuid::from_u128(0x1_0000 + u128::from(number) * 0x100 + u128::from(unit)))
            .collect();
        sql.batch_execute(&format!(
            "INSERT INTO sites (id, organization_id, name) VALUES ('{site}', '{organization}', 's');
             INSERT INTO areas (id, site_id, name) VALUES ('{site}', '{site}', 'a')"
        ))
        .await
        .unwrap();
        for unit in &units {
            sql.batch_execute(&format!(
                "INSERT INTO units (id, area_id, name, unit_type, temp_min, temp_max, temp_unit)
                   VALUES ('{unit}', '{site}', 'u', 'fridge', 0, 50, 'C');
                 INSERT INTO devices (id, unit_id, device_eui) VALUES ('{unit}', '{unit}', '{:016X}')",
                unit.as_u128()
            ))
            .await
            .unwrap();
        }
        hubs.push(enrol(url, &base, site, units, size).await);
    }
    (base, hubs)
}

async fn enrol(url: &str, base: &str, site: Uuid, units: Vec<Uuid>, size: Size) -> Hub {
    let hub = NewHub {
        site,
        name: "bench".into(),
        threshold_scale: Some(ThresholdScale::Tenths),
        history_from_ms: None,
    };
    let added =
        admin::add_hub(&mut connect(url).await, &hub, receiver::Clock::now_ms(&receiver::SystemClock)).await;
    let request = EnrolRequest {
        code: added.unwrap().code,
        public_key: "0".repeat(64),
        mac_address: None,
        firmware_version: String::new(),
        oldest_reading_ms: None,
        reading_count: 0,
        units: Vec::new(),
        create_units: false,
        device_euis: Vec::new(),
        replace: false,
    };
    let post = reqwest::Client::new().post(format!("{base}{PATH_ENROL}"));
    let answer =
        post.body(serde_json::to_vec(&request).unwrap()).send().await.unwrap().bytes().await.unwrap();
    let answer: EnrolAnswer = serde_json::from_slice(&answer).unwrap();
    let bodies =
        (1..=size.batches).map(|seq| wire::encode(&batch(answer.hub_id, &units, seq, size)).unwrap());
    Hub { token: answer.token, bodies: bodies.collect(), units }
}

/// Sensors that report every minute, 0.01 degree steps, some jitter.
fn batch(hub: Uuid, units: &[Uuid], number: u64, size: Size) -> Batch {
    let epoch = Epoch(*hub.as_bytes());
    let seqs = (number - 1) * size.rows + 1..=number * size.rows;
    let row = |seq: u64| {
        let unit = (seq % u64::from(UNITS)) as u32;
        let mixed = seq.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        let recorded_ms = START_MS + (seq / u64::from(UNITS)) as i64 * MINUTE_MS + (mixed % 400) as i64;
        Reading {
            seq,
            unit,
            device: unit,
            probe: 0,
            scale: Scale::C,
            temperature: 300 + (mixed % 200) as i32,
            humidity: Some(5_000 + (mixed % 700) as i32),
            battery: Some(97),
            rssi: Some(-70 - (mixed % 9) as i32),
            recorded_ms,
            received_ms: recorded_ms + 15,
            source: Source::Mqtt,
        }
    };
    let named = || units.iter().enumerate().map(|(at, id)| (at as u32, *id)).collect();
    let (seq_lo, seq_hi) = (*seqs.start(), *seqs.end());
    let rows = seqs.map(row).collect();
    let readings = Readings { epoch, seq_lo, seq_hi, units: named(), devices: named(), rows };
    Batch {
        header: Header { hub, epoch, lane: Lane::Readings, seq: number, needs: 0 },
        body: Body::Readings(readings),
    }
}

/// All hubs at once, each one batch after another.
async fn upload(base: &str, hubs: &[Hub]) -> Duration {
    let url = format!("{base}{PATH_BATCHES}");
    let start = Instant::now();
    futures_util::future::join_all(hubs.iter().map(async |hub| {
        let client = reqwest::Client::new();
        for body in &hub.bodies {
            let answer = client.post(&url).bearer_auth(&hub.token).body(body.clone()).send().await.unwrap();
            assert!(answer.status().is_success(), "{:?}", answer.text().await);
        }
    }))
    .await;
    start.elapsed()
}

/// The same on connections of their own, the bytes ready.
async fn copy(url: &str, chunks: &[Vec<Bytes>]) -> Duration {
    let clients = futures_util::future::join_all(chunks.iter().map(|_| connect(url))).await;
    let statement = format!("COPY sensor_readings ({COLUMNS}) FROM STDIN (FORMAT binary)");
    let start = Instant::now();
    futures_util::future::join_all(clients.iter().zip(chunks).map(async |(client, chunks)| {
        for chunk in chunks {
            let sink = client.copy_in(statement.as_str()).await.unwrap();
            let mut sink = std::pin::pin!(sink);
            sink.send(chunk.clone()).await.unwrap();
            sink.finish().await.unwrap();
        }
    }))
    .await;
    start.elapsed()
}

/// The rows that are there as binary COPY, by hub and batch, in the order of their ids.
async fn dump(sql: &Client, hubs: &[Hub], size: Size) -> Vec<Vec<Bytes>> {
    let mut all = Vec::new();
    for hub in hubs {
        let units = hub.units.iter().map(|unit| format!("'{unit}'")).collect::<Vec<_>>().join(", ");
        let mut chunks = Vec::new();
        for number in 0..size.batches {
            let (limit, offset) = (size.rows, number * size.rows);
            let statement = format!(
                "COPY (SELECT {COLUMNS} FROM sensor_readings WHERE unit_id IN ({units}) ORDER BY id \
                 LIMIT {limit} OFFSET {offset}) TO STDOUT (FORMAT binary)"
            );
            let mut stream = std::pin::pin!(sql.copy_out(statement.as_str()).await.unwrap());
            let mut chunk = Vec::new();
            while let Some(part) = stream.next().await {
                chunk.extend_from_slice(&part.unwrap());
            }
            chunks.push(Bytes::from(chunk));
        }
        all.push(chunks);
    }
    all
}

/// Empty again, as far as readings go.
async fn clear(sql: &Client) {
    sql.batch_execute("TRUNCATE sensor_readings, hub_sync.lane; CHECKPOINT").await.unwrap();
}
