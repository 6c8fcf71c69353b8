//! Time and allocations of one rule step for a reading that changes nothing: 64 units, a reading a minute each.
//!
//! `FROSTGUARD_BENCH_TINY=1` runs once on little input.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(unsafe_code, reason = "an allocator that counts has to implement an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use frostguard_hub::domain::{
    AlertType, DeviceNo, Epoch, Probe, Scale, Seq, Severity, Temperature, UnitNo, UnitType,
};
use frostguard_hub::rules::{
    At, Event, ProbeConfig, ReadingEvent, Rule, RuleConfig, Schedule, State, Tick, UnitConfig, step,
};
use uuid::Uuid;

const UNITS: u32 = 64;
const MINUTE_MS: i64 = 60_000;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn main() {
    let is_tiny = std::env::var_os("FROSTGUARD_BENCH_TINY").is_some();
    let rounds: i64 = if is_tiny { 10 } else { 50_000 };
    println!("rule step, {UNITS} units, {} readings", rounds * i64::from(UNITS));
    println!("| rules | ns a reading | allocations | target |");
    println!("|---|---|---|---|");
    let by_schedule = Schedule { days: (0..7).collect(), start_hour: 6, end_hour: 5 };
    for (name, unit_type, schedule) in [
        ("one a unit, always", UnitType::Fridge, None),
        ("one a unit, by schedule", UnitType::Fridge, Some(by_schedule)),
        ("one a unit, always; what is usual is learned", UnitType::Freezer, None),
    ] {
        let (nanos, allocations) = measure(rounds, unit_type, schedule.as_ref());
        println!("| {name} | {nanos:.0} | {allocations} | 2000 ns, 0 |");
        assert_eq!(allocations, 0, "a reading that changes nothing allocates");
    }
}

/// Nanoseconds a reading, and allocations of all of them.
fn measure(rounds: i64, unit_type: UnitType, schedule: Option<&Schedule>) -> (f64, u64) {
    let (mut state, mut out) = (State::new(), Vec::new());
    let mut at = At { tick: Tick(0), epoch: Epoch([1; 16]), after: Seq(0) };
    step(&mut state, &Event::Configured(Box::new(config(unit_type, schedule))), at, &mut out);
    step(&mut state, &Event::Placed { offset_ms: Some(1_795_000_000_000) }, at, &mut out);

    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let start = Instant::now();
    for round in 0..rounds {
        for unit in 0..UNITS {
            at.tick = Tick(round * MINUTE_MS + i64::from(unit) * MINUTE_MS / i64::from(UNITS));
            at.after = Seq(at.after.0 + 1);
            let hundredths = 300 + ((round + i64::from(unit)) % 7) as i32 * 10;
            let reading = ReadingEvent {
                unit: UnitNo(unit),
                device: DeviceNo(unit),
                probe: Probe::EXTERNAL,
                temperature: Temperature { hundredths, scale: Scale::C },
                is_late: false,
                measured_ms: None,
            };
            step(&mut state, &Event::Reading(reading), at, &mut out);
        }
    }
    let nanos = start.elapsed().as_nanos() as f64;
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    assert!(out.is_empty(), "the readings change nothing");
    (nanos / (rounds as f64 * f64::from(UNITS)), allocations)
}

fn config(unit_type: UnitType, schedule: Option<&Schedule>) -> RuleConfig {
    let mut config = RuleConfig { zone: "Europe/Zagreb".into(), ..RuleConfig::default() };
    for no in 0..UNITS {
        let unit = UnitNo(no);
        config.units.push(UnitConfig {
            unit,
            name: format!("unit {no}"),
            unit_type,
            scale: Scale::C,
            temp_min: 0,
            temp_max: 50,
            manual_required: false,
            manual_interval_min: None,
        });
        config.rules.push(Rule {
            id: Uuid::from_u128(u128::from(no)),
            unit: Some(unit),
            is_site: false,
            alert_type: AlertType::AlarmActive,
            severity: Severity::Warning,
            temp_min: None,
            temp_max: Some(60),
            delay_min: 10,
            schedule: schedule.cloned(),
        });
        // Learned check-in intervals: the dearest case.
        config.probes.push(ProbeConfig {
            device: DeviceNo(no),
            probe: Probe::EXTERNAL,
            unit,
            check_in_s: None,
        });
    }
    config
}
