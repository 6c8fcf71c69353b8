//! A hub of a bench: 64 fridges, the clock in the bench's hand, frames straight into the core.

use std::sync::Arc;

use frostguard_hub::clock::TestClock;
use frostguard_hub::config::NotifySection;
use frostguard_hub::control::Request;
use frostguard_hub::counters::Counters;
use frostguard_hub::domain::{MonoMs, Scale, Source, UnixMs};
use frostguard_hub::frame::{Frame, Identity, Payload, Sender, SourceEvent};
use frostguard_hub::pipeline::settings::{Mode, NotifySettings, Settings};
use frostguard_hub::pipeline::{Core, Random};
use frostguard_hub::rules::Constants;
use frostguard_hub::store::Store;
use frostguard_hub::store::registry::PlaceNames;
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

pub const DEVICES: u32 = 64;
#[allow(dead_code, reason = "not every bench counts in minutes")]
pub const MINUTE_MS: i64 = 60_000;
pub const WINDOW_MS: i64 = 5_000;
const NOW_MS: i64 = 1_900_000_000_000;

/// A hub with a fridge for each sensor.
pub struct Hub {
    pub dir: TempDir,
    pub clock: Arc<TestClock>,
    pub core: Option<Core>,
    counter: u32,
}

impl Hub {
    pub fn new() -> Self {
        let clock = Arc::new(TestClock::new(MonoMs(10_000), UnixMs(NOW_MS)));
        let mut hub = Self { dir: tempfile::tempdir().unwrap(), clock, core: None, counter: 0 };
        hub.open();
        for device in 0..DEVICES {
            let unit = format!("Fridge {device}");
            hub.ask(json!({ "request": "units_add", "name": unit, "unit_type": "fridge" }));
            hub.ask(json!({
                "request": "devices_add", "address": eui(device), "model": "dragino/lht65n", "unit": unit,
                "check_in_s": 60,
            }));
        }
        hub
    }

    pub fn open(&mut self) {
        let settings = Settings {
            state_dir: self.dir.path().to_owned(),
            window_ms: WINDOW_MS,
            constants: Constants::default(),
            scale: Scale::C,
            names: PlaceNames {
                organization: "Local".into(),
                site: "Kitchen".into(),
                area: "Main".into(),
                hub: "Box".into(),
                zone: "UTC".into(),
                mac_address: None,
                firmware_version: "0".into(),
            },
            bytes_max: Some(4 << 30),
            notify: NotifySettings::of(&NotifySection::default()),
            lorawan: None,
            sources: Vec::new(),
            codecs: Arc::default(),
            scripts: frostguard_hub::pipeline::scripts::Place::Here,
            mode: Mode::Service,
        };
        let seed = u64::from(self.counter) + 1;
        self.core =
            Some(Core::open(settings, self.clock.clone(), Counters::default(), random(seed)).unwrap());
    }

    pub fn core(&mut self) -> &mut Core {
        self.core.as_mut().unwrap()
    }

    pub fn ask(&mut self, request: serde_json::Value) {
        let request: Request = serde_json::from_value(request).unwrap();
        self.core().request(&request).unwrap();
    }

    /// The next frames of all sensors in turn: steady fridges, a different value each time.
    pub fn frames(&mut self, count: u32) -> Vec<Frame> {
        (0..count)
            .map(|_| {
                self.counter += 1;
                climate(self.counter % DEVICES, self.counter)
            })
            .collect()
    }

    /// Hears `frames`, all at the present instant, and lets the group close.
    pub fn hear(&mut self, frames: Vec<Frame>, passes_ms: i64) {
        let now = frostguard_hub::clock::Clock::mono(&*self.clock);
        for mut frame in frames {
            frame.at = now;
            self.core().hear(SourceEvent::Frame(Box::new(frame)));
        }
        self.clock.advance(passes_ms);
        self.core().tick();
    }

    pub fn reader(&self) -> Connection {
        Store::reader(self.dir.path()).unwrap()
    }

    pub fn readings(&self) -> u64 {
        let sql = "SELECT (SELECT count(*) FROM hub_log) + (SELECT coalesce(sum(rows), 0) FROM hub_hours)";
        self.reader().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() as u64
    }
}

fn eui(device: u32) -> String {
    format!("A840410000{device:06X}")
}

/// 3.00 to 4.99 °C on the cable, 21.00 °C around it.
fn climate(device: u32, counter: u32) -> Frame {
    let external = 300 + (counter.wrapping_mul(2_654_435_761) >> 16) % 200;
    let mut bytes = vec![0xCB, 0xB8, 0x08, 0x34, 0x01, 0x90, 0x01];
    bytes.extend((external as i16).to_be_bytes());
    bytes.extend([0x7F, 0xFF]);
    Frame {
        sender: Sender { source: Source::Lorawan, port: "lns".into(), address: eui(device), is_eui: true },
        model: None,
        at: MonoMs(0),
        network_time: None,
        is_delayed: false,
        payload: Payload::Binary { f_port: 2, bytes },
        identity: Identity {
            counter: Some(counter),
            dev_addr: Some("01020304".into()),
            ..Identity::default()
        },
        rssi: Some(-90),
        ack: None,
    }
}

fn random(seed: u64) -> Random {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    Box::new(move |bytes| {
        for byte in bytes {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (state >> 56) as u8;
        }
    })
}
