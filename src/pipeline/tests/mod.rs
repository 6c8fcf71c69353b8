//! The core with a clock that stands until it is told, a real database in a folder, and frames built by hand.

mod astray;
mod audit;
mod calls;
mod calls_in_trouble;
mod central;
mod clock;
mod faults;
mod frames;
mod groups;
mod lorawan;
mod lorawan_central;
mod pairing;
mod people;
mod power;
mod property;
mod replay;
mod restart;
mod scripted;
mod scripts;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::Core;
use super::settings::{Mode, NotifySettings, Settings};
use crate::clock::TestClock;
use crate::codec::{Codecs, Fault, Measurement, Quantity};
use crate::config::NotifySection;
use crate::control::Request;
use crate::counters::Counters;
use crate::domain::{CentiCelsius, MonoMs, Probe, Scale, Source, UnixMs};
use crate::frame::{AckToken, Frame, Identity, MqttPacket, Payload, Sender, SourceEvent};
use crate::rules::Constants;
use crate::store::audit_check;
use crate::store::registry::PlaceNames;

/// Wall time of a test's beginning: well after any build.
const NOW: i64 = 1_900_000_000_000;
const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const WINDOW: i64 = 5 * SECOND;

/// A hub, which can lose its power.
struct Hub {
    dir: TempDir,
    clock: Arc<TestClock>,
    counters: Counters,
    core: Option<Core>,
    /// Grows with every start, so that ids never come again.
    starts: u64,
    acks: Vec<u64>,
    notify: NotifySettings,
    lorawan: Option<crate::config::LorawanSection>,
    codecs: Arc<Codecs>,
}

impl Hub {
    /// Ten seconds after the boot, on time.
    fn new() -> Self {
        Self::with_clock(TestClock::new(MonoMs(10 * SECOND), UnixMs(NOW)))
    }

    fn with_clock(clock: TestClock) -> Self {
        let mut hub = Self {
            dir: tempfile::tempdir().unwrap(),
            clock: Arc::new(clock),
            counters: Counters::default(),
            core: None,
            starts: 0,
            acks: Vec::new(),
            notify: NotifySettings::of(&NotifySection::default()),
            lorawan: None,
            codecs: Arc::default(),
        };
        hub.start();
        hub
    }

    fn start(&mut self) {
        self.try_start().unwrap();
    }

    fn try_start(&mut self) -> anyhow::Result<()> {
        self.starts += 1;
        let settings = Settings {
            notify: self.notify.clone(),
            lorawan: self.lorawan.clone(),
            codecs: self.codecs.clone(),
            ..settings(self.dir.path().to_owned())
        };
        let counters = self.counters.clone();
        self.core = Some(Core::open(settings, self.clock.clone(), counters, random(self.starts))?);
        Ok(())
    }

    /// As a command that only looks does while no hub runs.
    fn look(&self) {
        let settings = Settings { mode: Mode::Look, ..settings(self.dir.path().to_owned()) };
        let core = Core::open(settings, self.clock.clone(), self.counters.clone(), random(99)).unwrap();
        core.close().unwrap();
    }

    fn core(&mut self) -> &mut Core {
        self.core.as_mut().unwrap()
    }

    /// Only what was committed survives.
    fn cut_power(&mut self) {
        self.core = None;
        self.acks.clear();
    }

    fn stop(&mut self) {
        self.core.take().unwrap().close().unwrap();
    }

    /// `ms` later in a new boot, whose monotonic clock begins at 0.
    fn reboot(&mut self, ms: i64) {
        self.cut_power();
        self.clock.advance(ms);
        let wall = crate::clock::Clock::wall(&*self.clock);
        self.clock.reboot([self.starts as u8 + 10; 16], MonoMs(0), wall);
        self.start();
    }

    fn hear(&mut self, mut frame: Frame) {
        frame.at = crate::clock::Clock::mono(&*self.clock);
        self.core().hear(SourceEvent::Frame(Box::new(frame)));
        self.tick();
    }

    fn tick(&mut self) {
        let acks = self.core().tick();
        self.acks.extend(acks.iter().map(|token| token.message));
    }

    /// Time passes in seconds, as the loop lets it.
    fn pass(&mut self, ms: i64) {
        let mut left = ms;
        while left > 0 {
            let step = left.min(SECOND);
            self.clock.advance(step);
            left -= step;
            self.tick();
        }
    }

    /// Closes the group.
    fn commit(&mut self) {
        self.pass(WINDOW);
    }

    fn ask(&mut self, request: Value) -> Value {
        self.try_ask(request).unwrap()
    }

    fn try_ask(&mut self, request: Value) -> anyhow::Result<Value> {
        let request: Request = serde_json::from_value(request).unwrap();
        self.core().request(&request)
    }

    fn add_unit(&mut self, name: &str, unit_type: &str) {
        self.ask(json!({ "request": "units_add", "name": name, "unit_type": unit_type }));
    }

    /// A fridge (0 to 5 °C) with an LHT65N whose external probe is in it.
    fn with_fridge() -> Self {
        let mut hub = Self::new();
        hub.add_unit("Fridge", "fridge");
        hub.pair(1, "Fridge");
        hub
    }

    fn pair(&mut self, sensor: u32, unit: &str) {
        self.ask(json!({
            "request": "devices_add", "address": eui(sensor), "model": "dragino/lht65n", "unit": unit,
            "check_in_s": 60,
        }));
    }

    /// Rows of a query as text, columns joined by "|".
    fn rows(&self, sql: &str) -> Vec<String> {
        rows(self.core.as_ref().unwrap().store.connection(), sql)
    }

    fn row(&self, sql: &str) -> String {
        let rows = self.rows(sql);
        assert_eq!(rows.len(), 1, "{sql}: {rows:?}");
        rows.into_iter().next().unwrap()
    }

    fn count(&self, name: &str) -> u64 {
        self.counters.snapshot().get(name).copied().unwrap_or(0)
    }

    fn shown(&mut self, unit: u32) -> String {
        self.core().unit_view(crate::domain::UnitNo(unit)).unwrap().shown.to_string()
    }

    /// Every alert, oldest first: type, severity, status.
    fn alerts(&self) -> Vec<String> {
        self.rows("SELECT alert_type, severity, status FROM alerts ORDER BY triggered_at, id")
    }

    /// What `audit verify` says of the database.
    #[track_caller]
    fn check_audit(&self) {
        let report = audit_check::verify(self.core.as_ref().unwrap().store.connection(), None).unwrap();
        assert_eq!((&report.broken, report.foreign), (&None, 0), "{report:?}");
        assert!(report.epochs.iter().all(|epoch| epoch.rows > 0), "{report:?}");
    }

    /// A checksum of every table but the view.
    fn tables(&self) -> BTreeMap<String, (usize, u64)> {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let names = self.rows("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name");
        names
            .into_iter()
            .map(|name| {
                let rows = self.rows(&format!("SELECT * FROM {name}"));
                let mut hasher = DefaultHasher::new();
                rows.hash(&mut hasher);
                (name, (rows.len(), hasher.finish()))
            })
            .collect()
    }
}

fn rows(connection: &rusqlite::Connection, sql: &str) -> Vec<String> {
    use rusqlite::types::ValueRef;
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    statement
        .query_map([], |row| {
            let cells: Vec<String> = (0..columns)
                .map(|index| {
                    Ok(match row.get_ref(index)? {
                        ValueRef::Null => "-".to_owned(),
                        ValueRef::Integer(number) => number.to_string(),
                        ValueRef::Real(number) => number.to_string(),
                        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                        ValueRef::Blob(bytes) => frostguard_sync::ids::hex(bytes),
                    })
                })
                .collect::<rusqlite::Result<_>>()?;
            Ok(cells.join("|"))
        })
        .unwrap()
        .collect::<rusqlite::Result<_>>()
        .unwrap()
}

fn settings(state_dir: PathBuf) -> Settings {
    Settings {
        state_dir,
        window_ms: WINDOW,
        constants: Constants::default(),
        scale: Scale::C,
        names: PlaceNames {
            organization: "Local".into(),
            site: "Kitchen".into(),
            area: "Main".into(),
            hub: "Box".into(),
            zone: "Europe/Berlin".into(),
            mac_address: None,
            firmware_version: "0".into(),
        },
        bytes_max: Some(4 << 30),
        notify: NotifySettings::of(&NotifySection::default()),
        lorawan: None,
        sources: vec![(Source::Serial, "lora0".into()), (Source::Mqtt, "broker".into())],
        codecs: Arc::default(),
        scripts: super::scripts::Place::Here,
        mode: Mode::Service,
    }
}

/// Bytes that are the same in every run and differ from start to start.
fn random(start: u64) -> super::Random {
    let mut state = start.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    Box::new(move |bytes| {
        for byte in bytes {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (state >> 56) as u8;
        }
    })
}

fn eui(sensor: u32) -> String {
    format!("A840410000{sensor:06X}")
}

fn frame(sensor: u32, counter: u32, payload: Payload) -> Frame {
    Frame {
        sender: Sender { source: Source::Lorawan, port: "lns".into(), address: eui(sensor), is_eui: true },
        model: None,
        at: MonoMs(0),
        network_time: None,
        is_delayed: false,
        payload,
        identity: Identity { counter: Some(counter), ..Identity::default() },
        rssi: Some(-90),
        ack: None,
    }
}

/// An LHT65N with a probe on its cable: `external` in hundredths, 21.00 °C and 40.0 % around it.
fn climate(sensor: u32, counter: u32, external: i16) -> Frame {
    let mut bytes = vec![0xCB, 0xB8, 0x08, 0x34, 0x01, 0x90, 0x01];
    bytes.extend(external.to_be_bytes());
    bytes.extend([0x7F, 0xFF]);
    frame(sensor, counter, Payload::Binary { f_port: 2, bytes })
}

/// An LDS02.
fn door(sensor: u32, counter: u32, is_open: bool) -> Frame {
    let bytes = vec![if is_open { 0x8B } else { 0x0B }, 0x88, 0x01, 0, 0, counter as u8, 0, 0, 0, 0];
    frame(sensor, counter, Payload::Binary { f_port: 10, bytes })
}

/// A frame whose source says what was measured.
fn values(sensor: u32, counter: u32, measurements: Vec<Measurement>) -> Frame {
    frame(sensor, counter, Payload::Values { raw: format!("{measurements:?}").into_bytes(), measurements })
}

fn now(probe: Probe, quantity: Quantity) -> Measurement {
    Measurement { probe, quantity, at: None }
}

fn degrees(hundredths: i32) -> Measurement {
    now(Probe::EXTERNAL, Quantity::Temperature(CentiCelsius(hundredths)))
}

/// By an MQTT broker that waits for an acknowledgement.
fn acked(mut frame: Frame, connection: u64, message: u64) -> Frame {
    frame.ack = Some(AckToken { source: 0, connection, message });
    frame.identity.packet =
        Some(MqttPacket { id: message as u16, topic: "up".into(), is_redelivered: false });
    frame
}
