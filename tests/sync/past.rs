//! Readings of days gone by: the hub's own core under a clock that is told the time, before the hub itself runs.

use std::path::Path;
use std::sync::Arc;

use frostguard_hub::clock::trust::ReceiverTime;
use frostguard_hub::clock::{Clock, SystemClock, TestClock};
use frostguard_hub::config::Config;
use frostguard_hub::control::{DevicesAdd, Request, UnitsAdd};
use frostguard_hub::counters::Counters;
use frostguard_hub::domain::{MonoMs, UnixMs};
use frostguard_hub::frame::SourceEvent;
use frostguard_hub::framing::json;
use frostguard_hub::hub;
use frostguard_hub::pipeline::Core;
use frostguard_hub::pipeline::settings::{Mode, Settings};

use crate::kitchen::eui;

pub const MINUTE_MS: i64 = 60_000;
pub const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
/// A group closes when it is full.
const WINDOW_MS: i64 = DAY_MS;

pub struct Past {
    core: Core,
    clock: Arc<TestClock>,
}

impl Past {
    /// A hub with so many fridges, each with a sensor, that knew the time `ago_ms` before now.
    pub fn begin(state_dir: &Path, fridges: usize, ago_ms: i64) -> Self {
        let text = format!("[hub]\nstate_dir = '{}'\ntime_zone = \"UTC\"\n", state_dir.display());
        let config = Config::parse(&text).expect("the configuration is right");
        let clock = Arc::new(TestClock::new(MonoMs(MINUTE_MS), UnixMs(present_ms() - ago_ms)));
        let mut settings = Settings::of(&config, Mode::Service);
        settings.window_ms = WINDOW_MS;
        let core = Core::open(settings, clock.clone(), Counters::default(), hub::system_random());
        let mut past = Self { core: core.expect("open the hub's core"), clock };
        let (mono, now) = (past.clock.mono(), past.clock.wall());
        // A central vouched for the time: the machine's own clock is not believed before the program was built.
        let time = ReceiverTime { now, asked: mono, answered: mono };
        past.core.receiver_time(time).expect("take the time");
        for sensor in 0..fridges {
            let name = format!("Fridge {sensor}");
            let unit = UnitsAdd {
                name: name.clone(),
                unit_type: "fridge".into(),
                temp_unit: None,
                min: None,
                max: None,
            };
            past.ask(&Request::UnitsAdd(unit));
            let device = DevicesAdd {
                address: eui(sensor),
                source: None,
                port: None,
                model: None,
                name: None,
                unit: Some(name),
                probe: None,
                check_in_s: Some(60),
            };
            past.ask(&Request::DevicesAdd(device));
        }
        past
    }

    /// A line of a sensor's, now.
    pub fn hear(&mut self, text: &str) {
        let message = json::parse_line(text.trim_end().as_bytes()).expect("a line of the test is understood");
        let frame = message.into_frame("line", self.clock.mono());
        self.core.hear(SourceEvent::Frame(Box::new(frame)));
    }

    pub fn pass(&mut self, ms: i64) {
        self.clock.advance(ms);
        self.core.tick();
    }

    /// Stops it as a hub stops.
    pub fn end(self) {
        self.core.close().expect("close the hub's core");
    }

    fn ask(&mut self, request: &Request) {
        self.core.request(request).expect("the core does what it is asked");
    }
}

/// Unix ms.
pub fn present_ms() -> i64 {
    SystemClock::new().expect("a boot has an id").wall().0
}
