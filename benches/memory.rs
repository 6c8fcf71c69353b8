//! What the core holds in memory after days of 64 sensors a minute: bytes of Rust's allocator that are in use, and those of
//! the process that are its own (SQLite's are in them). It must stop growing after a day, the longest that anything is
//! remembered.
//!
//! `FROSTGUARD_BENCH_TINY=1` lets a few minutes pass. `TMPDIR` chooses the disk.
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run has to stop")]
#![allow(unsafe_code, reason = "an allocator that counts has to implement an unsafe trait")]

#[path = "support/hub.rs"]
mod hub;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

use hub::{DEVICES, Hub};

/// Seconds, as the hub's loop lets them pass.
const TICK_MS: i64 = 1_000;

struct Counting;

static IN_USE: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size() as u64, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size() as u64, Ordering::Relaxed);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        IN_USE.fetch_add(size as u64, Ordering::Relaxed);
        IN_USE.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn main() {
    let is_tiny = std::env::var_os("FROSTGUARD_BENCH_TINY").is_some();
    let (minutes, steps) = if is_tiny { (2, 2) } else { (6 * 60, 5 * 4) };
    println!("memory, {DEVICES} sensors a minute");
    println!("| hours | Rust's allocator, KiB | anonymous memory of the process, KiB |");
    println!("|---|---|---|");
    let mut hub = Hub::new();
    for step in 0..=steps {
        if step > 0 {
            pass(&mut hub, minutes);
        }
        let hours = f64::from(step * minutes) / 60.0;
        let own = anonymous_kib().map_or("?".to_owned(), |kib| kib.to_string());
        println!("| {hours:.1} | {} | {own} |", IN_USE.load(Ordering::Relaxed) >> 10);
    }
    assert_eq!(
        hub.readings(),
        u64::from(DEVICES) * u64::from((steps * minutes) as u32),
        "a reading of each frame"
    );
}

fn pass(hub: &mut Hub, minutes: i32) {
    for second in 0..minutes * 60 {
        // About one frame a second.
        let due = |second: i32| second as u32 % 60 * DEVICES / 60;
        let count = if second % 60 == 59 { DEVICES - due(second) } else { due(second + 1) - due(second) };
        let frames = hub.frames(count);
        hub.hear(frames, TICK_MS);
    }
}

/// `RssAnon` of `/proc/self/status`.
fn anonymous_kib() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    text.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB")?.parse().ok())
}
