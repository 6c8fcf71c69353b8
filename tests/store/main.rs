//! The store on real files.

#![allow(clippy::unwrap_used)]

mod bounds;
mod faults;
mod migrations;
mod readings;

use frostguard_hub::clock::trust::{Boot, BootReason, Placement, Quality};
use frostguard_hub::domain::*;
use frostguard_hub::store::log::LogRow;
use frostguard_hub::store::*;
use tempfile::TempDir;

/// 2026-01-01T00:00:00Z.
pub const START: i64 = 1_767_225_600_000;
pub const HOUR: i64 = 3_600_000;

/// Fills buffers from a seed; each `seed` makes other epochs.
pub fn random(seed: u8) -> impl FnMut(&mut [u8]) {
    let mut next = seed;
    move |buffer| {
        for byte in buffer {
            next = next.wrapping_mul(31).wrapping_add(11);
            *byte = next;
        }
    }
}

pub fn options(dir: &TempDir) -> OpenOptions {
    OpenOptions { ballast_bytes: 1 << 20, ..OpenOptions::new(dir.path()) }
}

#[track_caller]
pub fn open(dir: &TempDir, seed: u8) -> (Store, OpenReport) {
    Store::open(&options(dir), &mut random(seed)).unwrap()
}

/// A boot segment as the clock begins it.
pub fn boot(segment: u32, id: u8, mono: i64) -> Boot {
    Boot {
        segment,
        boot_id: [id; 16],
        reason: BootReason::Start,
        first_mono: MonoMs(mono),
        last_mono: MonoMs(mono),
        floor: UnixMs(START - HOUR),
        placement: None,
    }
}

pub fn ntp(offset_ms: i64) -> Placement {
    Placement { offset_ms, quality: Quality::Ntp, uncertainty_ms: 5 }
}

pub fn reading(epoch_no: u32, seq: u64, unit: u32, stamp: Stamp) -> LogRow {
    LogRow {
        epoch_no,
        seq: Seq(seq),
        unit: UnitNo(unit),
        device: DeviceNo(unit),
        is_late: false,
        source: Source::Serial,
        probe: Probe::EXTERNAL,
        temperature: Temperature { hundredths: 300 + seq as i32 % 50, scale: Scale::C },
        humidity: Some(5_500),
        battery: Some(97),
        rssi: None,
        stamp,
        own_time: None,
    }
}

/// Readings of `units` units, one a minute each, from `minutes`; seq from `first_seq`.
pub fn minutely(first_seq: u64, units: u32, segment: u32, minutes: std::ops::Range<i64>) -> Vec<LogRow> {
    let stamps = minutes.flat_map(|minute| (1..=units).map(move |unit| (minute, unit)));
    stamps
        .zip(first_seq..)
        .map(|((minute, unit), seq)| {
            let mono = MonoMs(minute * 60_000 + i64::from(unit) * 7);
            reading(1, seq, unit, Stamp { segment, mono })
        })
        .collect()
}

/// Numbers of the readings of epoch 1 in history, rising.
pub fn in_history(store: &Store) -> Vec<u64> {
    let rows = history::rows(store.connection(), 1, Seq(1), Seq(1_000_000)).unwrap();
    let mut numbers: Vec<u64> = rows.iter().map(|row| row.log.seq.0).collect();
    numbers.sort_unstable();
    assert_eq!(count(store, "SELECT coalesce(sum(rows), 0) FROM hub_hours"), numbers.len() as i64);
    assert_eq!(
        count(store, "SELECT count(*) FROM hub_hours"),
        count(store, "SELECT count(*) FROM hub_history")
    );
    numbers
}

pub fn count(store: &Store, sql: &str) -> i64 {
    store.connection().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// An organization, site, area and `units` units in °C, numbered from 1.
pub fn site(store: &mut Store, units: u32) {
    let sql = "INSERT INTO organizations (id, name, slug, created_at, updated_at) VALUES (zeroblob(16), 'o', 'o', 0, 0);
        INSERT INTO sites (id, organization_id, name, created_at, updated_at)
            VALUES (zeroblob(16), zeroblob(16), 's', 0, 0);
        INSERT INTO areas (id, site_id, name, created_at, updated_at)
            VALUES (zeroblob(16), zeroblob(16), 'a', 0, 0);";
    store
        .write(|tx| {
            tx.execute_batch(sql)?;
            for no in 1..=units {
                tx.execute(
                    "INSERT INTO units (id, area_id, name, unit_type, temp_min, temp_max, temp_unit, created_at, updated_at)
                     VALUES (?1, zeroblob(16), 'Fridge ' || ?2, 'fridge', 0, 50, 'C', 0, 0)",
                    (unit_id(no), no),
                )?;
                tx.execute("INSERT INTO hub_units (no, unit_id) VALUES (?1, ?2)", (no, unit_id(no)))?;
            }
            Ok(())
        })
        .unwrap();
}

pub fn unit_id(no: u32) -> [u8; 16] {
    [no as u8; 16]
}
