//! Bytes and time of a batch of readings on the wire: `cargo bench --bench wire`.
//!
//! The site: 32 sensors, each once a minute with 200 ms of jitter, 0.01 degree, humidity, battery, rssi. Side by side with
//! what other programs send: JSON, JSON + gzip, and rows (not columns) in postcard + zstd. With FROSTGUARD_BENCH_TINY=1
//! it runs once on tiny input, to show that it still runs.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

#[path = "support/noise.rs"]
mod noise;

use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

use frostguard_sync::ids::Epoch;
use frostguard_sync::scale::Scale;
use frostguard_sync::wire::{self, Batch, Body, Header, Lane, Reading, Readings, Source};
use noise::{HUMIDITY_NOISE, JITTER_MS, Noise, RSSI_NOISE, TEMPERATURE_NOISE};
use uuid::Uuid;

const SENSORS: u32 = 32;

fn main() {
    let is_tiny = std::env::var_os("FROSTGUARD_BENCH_TINY").is_some();
    let sizes: &[usize] = if is_tiny { &[64] } else { &[64, 500, 5_000, 20_000] };
    println!("entropy floor of this site: {:.2} bytes a reading", floor_bytes());
    println!(
        "{:>8} {:>9} {:>12} {:>9} {:>11} {:>11} {:>9} {:>9}",
        "readings", "columns", "with request", "rows zstd", "JSON gzip", "JSON", "enc ns", "dec ns"
    );
    for &size in sizes {
        let batch = site(size, 1);
        let body = wire::encode(&batch).unwrap();
        let each = |bytes: usize| bytes as f64 / size as f64;
        let (rows, gzip, json) = others(&batch);
        let rounds = if is_tiny { 1 } else { 400_000 / size };
        let encode_ns = time(rounds, size, || drop(black_box(wire::encode(black_box(&batch)).unwrap())));
        let decode_ns = time(rounds, size, || drop(black_box(wire::decode(black_box(&body)).unwrap())));
        println!(
            "{size:>8} {:>9.2} {:>12.2} {:>9.2} {:>11.1} {:>11.1} {encode_ns:>9.0} {decode_ns:>9.0}",
            each(body.len()),
            each(body.len() + request_bytes(body.len())),
            each(rows),
            each(gzip),
            each(json),
        );
    }
}

/// Nanoseconds a reading.
fn time(rounds: usize, size: usize, mut run: impl FnMut()) -> f64 {
    let start = Instant::now();
    (0..rounds).for_each(|_| run());
    start.elapsed().as_nanos() as f64 / (rounds * size) as f64
}

/// What HTTP/1.1 and TLS 1.3 add to a body: the head as the hub sends it, and 22 bytes for every record of 16 KiB.
fn request_bytes(body: usize) -> usize {
    let head = format!(
        "POST /v1/batches HTTP/1.1\r\ncontent-type: application/octet-stream\r\nauthorization: Bearer {}\r\n\
         user-agent: frostguard-hub/0.1.0\r\naccept: */*\r\nhost: receiver.example.com\r\ncontent-length: {body}\r\n\r\n",
        "0".repeat(64)
    );
    head.len() + 22 * (head.len() + body).div_ceil(16 << 10)
}

/// The noise that no format can predict: h = log2(sigma * sqrt(2 pi e)) bits of each rounded Gaussian.
fn floor_bytes() -> f64 {
    let gaussian = |sigma: f64| (sigma * (2.0 * std::f64::consts::PI * std::f64::consts::E).sqrt()).log2();
    [JITTER_MS, TEMPERATURE_NOISE, HUMIDITY_NOISE, RSSI_NOISE].into_iter().map(gaussian).sum::<f64>() / 8.0
}

/// The first `size` readings of the site.
fn site(size: usize, seed: u64) -> Batch {
    let mut noise = Noise(seed);
    let mut drift = vec![(0.0f64, 0.0f64); SENSORS as usize];
    let phase: Vec<f64> = (0..SENSORS).map(|_| noise.uniform()).collect();
    let mut rows = Vec::with_capacity(size + SENSORS as usize);
    for minute in 0.. {
        for sensor in 0..SENSORS {
            let i = sensor as usize;
            drift[i].0 = drift[i].0 * 0.9 + noise.gaussian() * TEMPERATURE_NOISE;
            drift[i].1 = drift[i].1 * 0.95 + noise.gaussian() * HUMIDITY_NOISE;
            let due = 1_790_000_000_000.0 + (f64::from(minute) + phase[i]) * 60_000.0;
            let recorded_ms = (due + noise.gaussian() * JITTER_MS) as i64;
            // A compressor that runs every 35 minutes swings a fridge by about a degree.
            let swing = 60.0 * ((f64::from(minute) / 35.0 + phase[i]) * std::f64::consts::TAU).sin();
            let setpoint = if sensor % 4 == 0 { -1_900.0 } else { 350.0 };
            rows.push(Reading {
                seq: 0,
                unit: sensor + 1,
                device: sensor + 1,
                probe: 0,
                scale: Scale::C,
                temperature: (setpoint + swing + drift[i].0) as i32,
                humidity: Some((6_000.0 + drift[i].1) as i32),
                battery: Some(96 - minute / 10_000),
                rssi: Some((-70.0 - f64::from(sensor % 30) + noise.gaussian() * RSSI_NOISE) as i32),
                recorded_ms,
                received_ms: recorded_ms,
                source: Source::Serial,
            });
        }
        if rows.len() >= size {
            break;
        }
    }
    rows.truncate(size);
    rows.sort_by_key(|row| row.received_ms);
    for (row, seq) in rows.iter_mut().zip(1..) {
        row.seq = seq;
    }
    let mut names = |count: u32| {
        (1..=count).map(|no| (no, Uuid::from_u64_pair(noise.next(), noise.next()))).collect::<Vec<_>>()
    };
    let readings = Readings {
        epoch: Epoch([7; 16]),
        seq_lo: 1,
        seq_hi: size as u64,
        units: names(SENSORS),
        devices: names(SENSORS),
        rows,
    };
    let header =
        Header { hub: Uuid::from_u128(7), epoch: Epoch([7; 16]), lane: Lane::Readings, seq: 812, needs: 9 };
    Batch { header, body: Body::Readings(readings) }
}

/// Bytes of the same readings as rows in postcard + zstd, as JSON + gzip, and as JSON.
fn others(batch: &Batch) -> (usize, usize, usize) {
    let Body::Readings(readings) = &batch.body else { unreachable!("the site sends readings") };
    let json =
        serde_json::to_vec(&readings.rows.iter().map(|row| json_row(readings, row)).collect::<Vec<_>>());
    let json = json.unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&json).unwrap();
    let rows = zstd::bulk::compress(&postcard::to_allocvec(batch).unwrap(), 3).unwrap();
    (rows.len(), gzip.finish().unwrap().len(), json.len())
}

fn json_row(readings: &Readings, row: &Reading) -> serde_json::Value {
    let name = |names: &[(u32, Uuid)], no| names.iter().find(|name| name.0 == no).unwrap().1;
    serde_json::json!({
        "unit_id": name(&readings.units, row.unit),
        "device_id": name(&readings.devices, row.device),
        "temperature": f64::from(row.temperature) / 100.0,
        "humidity": row.humidity.map(|value| f64::from(value) / 100.0),
        "battery": row.battery,
        "signal_strength": row.rssi,
        "recorded_at": row.recorded_ms,
        "received_at": row.received_ms,
        "source": row.source.as_str(),
    })
}
