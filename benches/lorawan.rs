//! From a gateway's PUSH_DATA with a confirmed frame to the PULL_RESP that acknowledges it, with the commit to disk in between:
//! a whole hub on the loopback and one sensor, alone and while a serial line brings 100 other frames a second. The first window
//! is a second after the frame.
//!
//! `FROSTGUARD_BENCH_TINY=1` runs once on little input. `TMPDIR` chooses the disk.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run has to stop")]

#[path = "../tests/lorawan/gateway.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod gateway;
#[path = "../src/lorawan/tests/sensor.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod sensor;
#[path = "../tests/support/mod.rs"]
mod support;

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use frostguard_hub::clock::SystemClock;
use frostguard_hub::config::Config;
use frostguard_hub::control::Request;
use frostguard_hub::counters::Counters;
use frostguard_hub::hub::{self, Parts};
use frostguard_hub::pipeline::Core;
use frostguard_hub::pipeline::settings::{Mode, Settings};
use frostguard_hub::store::StateLock;
use frostguard_sync::ids::hex;
use serde_json::{Value, json};
use serialport::{SerialPort as _, TTYPort};
use tokio::sync::watch;

use gateway::Gateway;
use sensor::{Sensor, Up};

const KEY: [u8; 16] = [0x5a; 16];
/// Sensors on the serial line.
const OTHERS: u32 = 64;
/// Between their frames: 100 a second.
const PAUSE: Duration = Duration::from_millis(10);

fn main() {
    let rounds = |full| if std::env::var_os("FROSTGUARD_BENCH_TINY").is_some() { 3 } else { full };
    println!("one sensor, confirmed frames, each committed before it is acknowledged");
    println!("| what | p50 | p99 | target p99 |");
    println!("|---|---|---|---|");
    let alone = Kitchen { gateways: 1, is_busy: false };
    latency("the only gateway", alone, rounds(400), 50);
    latency("the same, 100 other frames a second", Kitchen { is_busy: true, ..alone }, rounds(400), 50);
    let two = Kitchen { gateways: 2, is_busy: true };
    latency("the same, one of two gateways, the other hears nothing", two, rounds(200), 250);
}

#[derive(Clone, Copy)]
struct Kitchen {
    gateways: u8,
    /// Other sensors talk.
    is_busy: bool,
}

/// Waits that the hub makes on purpose are in it: 20 ms for one gateway, 200 ms for more.
fn latency(what: &str, kitchen: Kitchen, rounds: usize, target_ms: u64) {
    let dir = tempfile::tempdir().unwrap();
    let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let (mut line, far) = TTYPort::pair().unwrap();
    let listed: Vec<String> =
        (1..=kitchen.gateways).map(|n| format!("'{}'", Gateway::new(n, address).eui())).collect();
    let config = Config::parse(&format!(
        "[hub]\nstate_dir = '{}'\n[uplink]\nenabled = false\n[[serial]]\nname = 'radio'\npath = '{}'\npreset = 'json'\n\
         [lorawan]\nregion = 'EU868'\nudp_listen = '{address}'\ngateways = [{}]",
        dir.path().join("state").display(),
        far.name().unwrap(),
        listed.join(", ")
    ))
    .unwrap();
    let mut sensor = Sensor::new(1, KEY);
    prepare(&config, &sensor);

    let (stop, shutdown) = watch::channel(false);
    let hub = std::thread::spawn(move || run(config, shutdown));
    let done = AtomicBool::new(false);
    let mut took = std::thread::scope(|scope| {
        if kitchen.is_busy {
            scope.spawn(|| talk(&mut line, &done));
        }
        let took = measure(address, &mut sensor, rounds);
        done.store(true, Ordering::Relaxed);
        took
    });
    stop.send(true).unwrap();
    hub.join().unwrap();

    took.sort_unstable();
    let shown = |part: usize| took[(took.len() - 1) * part / 100].as_secs_f64() * 1e3;
    println!("| {what} | {:.1} ms | {:.1} ms | <= {target_ms} ms |", shown(50), shown(99));
}

/// The other sensors, until it is done.
fn talk(line: &mut TTYPort, done: &AtomicBool) {
    for counter in 1_u32.. {
        if done.load(Ordering::Relaxed) {
            return;
        }
        let number = counter % OTHERS;
        writeln!(line, "{{\"id\":\"s{number}\",\"temperature_c\":3.5,\"counter\":{counter}}}").unwrap();
        line.flush().unwrap();
        std::thread::sleep(PAUSE);
    }
}

/// Adds the others and opens a session for the sensor, before the hub runs.
fn prepare(config: &Config, sensor: &Sensor) {
    let clock = Arc::new(SystemClock::new().unwrap());
    let settings = Settings::of(config, Mode::Change);
    let mut core = Core::open(settings, clock, Counters::default(), hub::system_random()).unwrap();
    let mut ask = |request: Value| {
        let request: Request = serde_json::from_value(request).unwrap();
        core.request(&request).unwrap()
    };
    ask(json!({ "request": "units_add", "name": "Fridge", "unit_type": "fridge" }));
    for number in 0..OTHERS {
        let unit = format!("Fridge {number}");
        ask(json!({ "request": "units_add", "name": unit, "unit_type": "fridge" }));
        ask(json!({
            "request": "devices_add", "address": format!("s{number}"), "source": "serial", "port": "radio", "unit": unit,
            "check_in_s": 60,
        }));
    }
    let opened = ask(json!({ "request": "pair_open", "unit": "Fridge", "model": "dragino/lht65n" }));
    ask(json!({
        "request": "pair_device", "code": opened["code"], "device": hex(&sensor.dev_eui), "key": hex(&KEY),
    }));
    core.close().unwrap();
}

fn run(config: Config, shutdown: watch::Receiver<bool>) {
    let clock = Arc::new(SystemClock::new().unwrap());
    let parts = Parts {
        lock: StateLock::take(&config.hub.state_dir).unwrap(),
        control: None,
        clock: clock.clone(),
        real_clock: clock,
        counters: Counters::default(),
        random: hub::system_random(),
        shutdown,
        service: hub::Service::default(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(hub::run(config, parts)).unwrap();
}

fn measure(hub: SocketAddr, sensor: &mut Sensor, rounds: usize) -> Vec<Duration> {
    let mut gateway = Gateway::new(1, hub);
    gateway.pull();
    let order = gateway.push_until_answered(&sensor.join_request());
    sensor.accept(&order.phy).unwrap();
    let mut frame = |round: usize| {
        let mut bytes = vec![0xcb, 0xf6, 0x0b, 0x0d, 0x03, 0x76, 0x01];
        bytes.extend((200 + (round % 200) as i16).to_be_bytes());
        bytes.extend([0x7f, 0xff]);
        let up = Up { confirmed: true, payload: Some((2, bytes)), ..Up::default() };
        let frame = sensor.send(&up);
        let begun = Instant::now();
        assert!(gateway.push(&frame), "acknowledged");
        let order = gateway.order().expect("an answer");
        let took = begun.elapsed();
        assert!(sensor.hear(&order.phy).unwrap().ack);
        took
    };
    // The first completes the pairing.
    frame(0);
    (1..=rounds).map(frame).collect()
}
