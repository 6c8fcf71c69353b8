//! From the last byte of a frame on the serial line to the buzzer's line being driven: a whole hub in this process, on a
//! real disk, with a pseudo-terminal as its radio and a file as its buzzer, while 100 other frames a second come in. The
//! alert is committed before the buzzer is called.
//!
//! `cargo bench --features demo --bench alarm`; `FROSTGUARD_BENCH_TINY=1` runs once on little input. `TMPDIR` chooses the
//! disk.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run has to stop")]

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
use serde_json::json;
use serialport::{SerialPort as _, TTYPort};
use tokio::sync::watch;

/// Sensors that talk in between, so that there are 100 frames a second.
const OTHERS: u32 = 64;
const PAUSE: Duration = Duration::from_millis(10);
/// Longer, and something is broken.
const ALARM_MAX: Duration = Duration::from_secs(10);

fn main() {
    let is_tiny = std::env::var_os("FROSTGUARD_BENCH_TINY").is_some();
    let alarms = if is_tiny { 3 } else { 300 };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (mut kitchen, stop) = runtime.block_on(Kitchen::new(folder.path()));
    let mut waits: Vec<Duration> = (0..alarms).map(|_| kitchen.alarm()).collect();
    runtime.block_on(stop);
    waits.sort();
    let at =
        |percent: usize| waits[(waits.len() * percent / 100).min(waits.len() - 1)].as_secs_f64() * 1_000.0;
    println!("frame in to buzzer called, 100 frames/s, {alarms} alarms");
    println!("| p50 | p99 | most | target |");
    println!("|---|---|---|---|");
    println!("| {:.1} ms | {:.1} ms | {:.1} ms | p99 <= 100 ms |", at(50), at(99), at(100));
}

struct Kitchen {
    line: TTYPort,
    _far: TTYPort,
    buzzer: PathBuf,
    counter: u32,
}

impl Kitchen {
    /// A hub whose first unit alarms at once; the future ends it.
    async fn new(folder: &Path) -> (Self, impl Future<Output = ()>) {
        let (near, far) = TTYPort::pair().unwrap();
        let (radio, buzzer, control) = (folder.join("radio"), folder.join("buzzer"), folder.join("sock"));
        symlink(far.name().unwrap(), &radio).unwrap();
        let text = format!(
            "[hub]\nstate_dir = '{}'\n[uplink]\nenabled = false\n[rules]\nconfirm_delay_min = 0\ngood_readings = 1\n\
             [[serial]]\nname = 'radio'\npath = '{}'\npreset = 'json'\n\
             [[notify.signal]]\nname = 'buzzer'\nrole = 'relay'\nchip = 'fake:{}'\nline = 1\n",
            folder.join("state").display(),
            radio.display(),
            buzzer.display(),
        );
        let config = Config::parse(&text).unwrap();
        std::fs::create_dir(folder.join("state")).unwrap();
        let clock = Arc::new(SystemClock::new().unwrap());
        let (stop, shutdown) = watch::channel(false);
        let parts = Parts {
            control: Some(socket::bind(&control).unwrap()),
            clock: clock.clone(),
            real_clock: clock,
            counters: Counters::default(),
            random: hub::system_random(),
            shutdown,
        };
        let task = tokio::spawn(hub::run(config, parts));
        for number in 0..=OTHERS {
            let unit = format!("Fridge {number}");
            ask(&control, json!({ "request": "units_add", "name": unit, "unit_type": "fridge" })).await;
            ask(
                &control,
                json!({
                    "request": "devices_add", "address": format!("s{number}"), "source": "serial", "port": "radio",
                    "unit": unit, "check_in_s": 60,
                }),
            )
            .await;
        }
        let kitchen = Self { line: near, _far: far, buzzer, counter: 0 };
        let end = async move {
            stop.send_replace(true);
            task.await.unwrap().unwrap();
        };
        (kitchen, end)
    }

    /// A unit goes warm while others talk; gives how long the buzzer took.
    fn alarm(&mut self) -> Duration {
        let edges = self.edges();
        self.talk(7);
        self.say(0, 9.0);
        let heard = Instant::now();
        while self.edges() == edges {
            assert!(heard.elapsed() < ALARM_MAX, "no buzzer");
            std::thread::sleep(Duration::from_micros(100));
        }
        let took = heard.elapsed();
        // Good again, and silent, with as many frames a second.
        self.talk(7);
        self.say(0, 3.0);
        while self.edges() == edges + 1 {
            assert!(heard.elapsed() < ALARM_MAX, "the buzzer does not stop");
            std::thread::sleep(Duration::from_micros(100));
        }
        took
    }

    fn talk(&mut self, frames: u32) {
        for _ in 0..frames {
            let number = 1 + self.counter % OTHERS;
            self.say(number, 3.5);
            std::thread::sleep(PAUSE);
        }
    }

    fn say(&mut self, number: u32, celsius: f64) {
        self.counter += 1;
        let counter = self.counter;
        writeln!(self.line, "{{\"id\":\"s{number}\",\"temperature_c\":{celsius},\"counter\":{counter}}}")
            .unwrap();
        self.line.flush().unwrap();
    }

    /// Changes of the buzzer's line so far.
    fn edges(&self) -> u64 {
        std::fs::metadata(&self.buzzer).map_or(0, |file| file.len() / 2)
    }
}

async fn ask(control: &Path, request: serde_json::Value) {
    let request: Request = serde_json::from_value(request).unwrap();
    while socket::ask(control, &request).await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
