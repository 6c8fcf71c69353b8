//! What tests start: each starter takes free ports and a directory of its own, and stops its process when dropped.
//!
//! Included by each test crate that needs it (`mod support;`), which rarely uses all of it.
#![allow(dead_code, unused_imports, reason = "no test crate uses every starter")]

/// How the demonstration starts its PostgreSQL, too.
#[path = "../../src/demo/cluster.rs"]
mod cluster;
mod hub;
pub mod modem;
mod mosquitto;
mod mqtt;
mod pgbouncer;
mod postgres;
mod process;
mod programs;
mod pty;
mod receiver;
pub mod sms;

pub use hub::Hub;
pub use mosquitto::Mosquitto;
pub use mqtt::{Publisher, options as mqtt_options};
pub use pgbouncer::PgBouncer;
pub use postgres::{Postgres, connect};
pub use process::{Running, Scratch, Signal};
pub use programs::{dbus_daemon_program, demo_program, hub_program, receiver_program};
pub use pty::{Pty, open_pair};
pub use receiver::Receiver;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Long enough for a loaded machine of two cores; a condition that comes is met as soon as it does.
pub const PATIENCE: Duration = Duration::from_mins(1);
/// Between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Few servers of a system listen above.
const FIRST_PORT: u32 = 16_000;

/// A path below the repository's root, whichever crate's test asks.
pub fn repository(path: &str) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = if here.join("migrations").is_dir() {
        here
    } else {
        here.parent().expect("a member of the workspace")
    };
    root.join(path)
}

/// Looks until `look` gives a value; panics with `what` when `PATIENCE` is over.
#[track_caller]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = deadline();
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(now() < end, "waited {} s in vain for {what}", PATIENCE.as_secs());
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The same where looking is asynchronous.
#[track_caller]
pub fn wait_for_async<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        let end = deadline();
        loop {
            if let Some(value) = look().await {
                return value;
            }
            assert!(now() < end, "waited {} s in vain for {what}, at {caller}", PATIENCE.as_secs());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// A TCP port of 127.0.0.1 that was free a moment ago, another one each time. It is below those that the kernel gives to
/// connections and to who asks for any port: none of these can take it before its server does.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let any_from: u32 =
        range.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(32_768);
    let count = any_from.saturating_sub(FIRST_PORT);
    assert!(count > 1_000, "the kernel gives away all ports from {any_from} on");
    // Test programs that run at the same time begin at different ones.
    let first = std::process::id().wrapping_mul(101);
    for _ in 0..count {
        let offset = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % count;
        let port = (FIRST_PORT + offset) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port of {count} is free");
}

pub fn deadline() -> Instant {
    now() + PATIENCE
}

#[expect(clippy::disallowed_methods, reason = "a deadline for real processes, judged by the real clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// Wall time, Unix ms.
#[expect(clippy::disallowed_methods, reason = "compared with what real processes wrote by the real clock")]
pub fn unix_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("a clock after 1970").as_millis() as i64
}
