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
#[path = "../tests/support/mod.rs"]
mod support;

use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use frostguard_hub::clock::SystemClock;
use frostguard_hub::config::Config;
use frostguard_hub::control::{Request, socket};
use frostguard_hub::counters::Counters;
use frostguard_hub::hub::{self, Parts};
use frostguard_hub::store::StateLock;
use frostguard_sync::receiver::admin::{self, NewHub, ThresholdScale};
use frostguard_sync::receiver::config::Secret;
use frostguard_sync::receiver::{self, Config as ReceiverConfig};
use past::{MINUTE_MS, Past};
use serde_json::{Value, json};
use serialport::{SerialPort as _, TTYPort};
use support::{Postgres, connect};
use tokio::net::TcpListener;
use tokio::sync::watch;
use uuid::Uuid;

/// Sensors that talk in between, so that there are 100 frames a second.
const OTHERS: u32 = 64;
const PAUSE: Duration = Duration::from_millis(10);
/// Longer, and something is broken.
const ALARM_MAX: Duration = Duration::from_secs(10);

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
    runtime.block_on(kitchen.furnish());
    print("nothing to send", (0..alarms).map(|_| kitchen.alarm()).collect());
    runtime.block_on(stop);

    let folder = tempfile::tempdir().unwrap();
    fill(&folder.path().join("state"), backlog);
    let postgres = Postgres::start();
    let (mut kitchen, stop) = runtime.block_on(async { Kitchen::new(folder.path(), true) });
    let unsent = runtime.block_on(kitchen.enrol(&postgres, backlog));
    let waits = (0..alarms).map(|_| kitchen.alarm()).collect();
    let left = runtime.block_on(kitchen.unsent());
    // Else it was not measured while it went up.
    assert!(left > 0 || backlog < 10_000_000, "the backlog was gone before the end");
    print(&format!("{unsent} readings to send, {left} at the end"), waits);
    runtime.block_on(stop);
}

fn print(what: &str, mut waits: Vec<Duration>) {
    waits.sort();
    let at =
        |percent: usize| waits[(waits.len() * percent / 100).min(waits.len() - 1)].as_secs_f64() * 1_000.0;
    println!("| {what} | {:.1} ms | {:.1} ms | {:.1} ms |", at(50), at(99), at(100));
}

/// A hub's folder with so many readings that nobody took yet.
fn fill(state: &Path, readings: u32) {
    let sensors = OTHERS as usize + 1;
    let minutes = readings / (OTHERS + 1);
    let mut past = Past::begin(state, sensors, (i64::from(minutes) + 1) * MINUTE_MS);
    for minute in 0..minutes {
        for sensor in 0..sensors {
            past.hear(minute, sensor, 200 + ((minute * 7 + sensor as u32 * 31) % 200) as i32);
        }
        past.pass(MINUTE_MS);
    }
    past.end();
}

struct Kitchen {
    line: TTYPort,
    _far: TTYPort,
    buzzer: PathBuf,
    control: PathBuf,
    counter: u32,
}

impl Kitchen {
    /// A hub whose units alarm at once; the future ends it.
    fn new(folder: &Path, is_uplink: bool) -> (Self, impl Future<Output = ()>) {
        let (near, far) = TTYPort::pair().unwrap();
        let (radio, buzzer, control) = (folder.join("radio"), folder.join("buzzer"), folder.join("sock"));
        symlink(far.name().unwrap(), &radio).unwrap();
        let text = format!(
            "[hub]\nstate_dir = '{}'\n[uplink]\nenabled = {is_uplink}\ninterval_s = 1\n\
             [rules]\nconfirm_delay_min = 0\ngood_readings = 1\n\
             [[serial]]\nname = 'radio'\npath = '{}'\npreset = 'json'\n\
             [[notify.signal]]\nname = 'buzzer'\nrole = 'relay'\nchip = 'fake:{}'\nline = 1\n",
            folder.join("state").display(),
            radio.display(),
            buzzer.display(),
        );
        let config = Config::parse(&text).unwrap();
        std::fs::create_dir_all(folder.join("state")).unwrap();
        let clock = Arc::new(SystemClock::new().unwrap());
        let (stop, shutdown) = watch::channel(false);
        let parts = Parts {
            lock: StateLock::take(&folder.join("state")).unwrap(),
            control: Some(socket::bind(&control).unwrap()),
            clock: clock.clone(),
            real_clock: clock,
            counters: Counters::default(),
            random: hub::system_random(),
            shutdown,
            service: hub::Service::default(),
        };
        let task = tokio::spawn(hub::run(config, parts));
        let kitchen = Self { line: near, _far: far, buzzer, control, counter: 0 };
        let end = async move {
            stop.send_replace(true);
            task.await.unwrap().unwrap();
        };
        (kitchen, end)
    }

    async fn furnish(&self) {
        for number in 0..=OTHERS {
            let unit = format!("Fridge {number}");
            self.ask(json!({ "request": "units_add", "name": unit, "unit_type": "fridge" })).await;
            self.ask(json!({
                "request": "devices_add", "address": kitchen::eui(number as usize), "unit": unit, "check_in_s": 60,
            }))
            .await;
        }
    }

    /// Enrols it with a receiver of its own and waits until the backlog is on its way; gives what is left to send.
    async fn enrol(&self, postgres: &Postgres, backlog: u32) -> u64 {
        let url = postgres.make_database("bench").await;
        receiver::migrate(&url).await.unwrap();
        let config = ReceiverConfig { database_url: Some(Secret::new(&url)), ..ReceiverConfig::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(receiver::run(config, listener, std::future::pending()));
        let mut sql = connect(&url).await;
        let id = Uuid::from_u128(1);
        sql.batch_execute(&format!(
            "INSERT INTO organizations (id, name, slug) VALUES ('{id}', 'o', 'o');
             INSERT INTO sites (id, organization_id, name) VALUES ('{id}', '{id}', 's');
             INSERT INTO areas (id, site_id, name) VALUES ('{id}', '{id}', 'a')"
        ))
        .await
        .unwrap();
        let hub = NewHub {
            site: id,
            name: "bench".into(),
            threshold_scale: Some(ThresholdScale::Tenths),
            history_from_ms: None,
        };
        let now_ms = receiver::Clock::now_ms(&receiver::SystemClock);
        let added = admin::add_hub(&mut sql, &hub, now_ms).await.unwrap();
        let code = added.code;
        self.ask(json!({ "request": "enroll", "url": base, "code": code, "unit_map": [], "create_units": true, "replace": false })).await;
        loop {
            let unsent = self.unsent().await;
            if unsent < u64::from(backlog / (OTHERS + 1) * (OTHERS + 1)) {
                return unsent;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn unsent(&self) -> u64 {
        self.ask(json!({ "request": "status" })).await["sync"]["unsent_readings"].as_u64().unwrap()
    }

    async fn ask(&self, request: Value) -> Value {
        let request: Request = serde_json::from_value(request).unwrap();
        loop {
            if let Some(answer) = socket::ask(&self.control, &request).await.unwrap() {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A unit goes warm while others talk; gives how long the buzzer took.
    fn alarm(&mut self) -> Duration {
        let edges = self.edges();
        self.talk(7);
        self.say(0, 900);
        let heard = Instant::now();
        while self.edges() == edges {
            assert!(heard.elapsed() < ALARM_MAX, "no buzzer");
            std::thread::sleep(Duration::from_micros(100));
        }
        let took = heard.elapsed();
        // Good again, and silent, with as many frames a second.
        self.talk(7);
        self.say(0, 300);
        while self.edges() == edges + 1 {
            assert!(heard.elapsed() < ALARM_MAX, "the buzzer does not stop");
            std::thread::sleep(Duration::from_micros(100));
        }
        took
    }

    fn talk(&mut self, frames: u32) {
        for _ in 0..frames {
            let number = 1 + self.counter % OTHERS;
            self.say(number, 350);
            std::thread::sleep(PAUSE);
        }
    }

    fn say(&mut self, sensor: u32, hundredths: i32) {
        self.counter += 1;
        let line = kitchen::line(self.counter, sensor as usize, hundredths);
        self.line.write_all(line.as_bytes()).unwrap();
        self.line.flush().unwrap();
    }

    /// Changes of the buzzer's line so far.
    fn edges(&self) -> u64 {
        std::fs::metadata(&self.buzzer).map_or(0, |file| file.len() / 2)
    }
}
