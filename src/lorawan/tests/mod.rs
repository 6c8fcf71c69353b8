//! A network server, its store, and sensors that were written independently of it.

mod commands;
mod fleet;
mod frames;
mod joins;
mod noise;
mod regions;
mod seam;
pub(crate) mod sensor;

use std::collections::BTreeMap;

use super::gateway::{Context, Downlink, GatewayFrame, Reception, Window};
use super::ids::{DevAddr, Eui, Key};
use super::rate::DataRate;
use super::region::Region;
use super::server::{Config, Event, Lns, Now, Received, Refusal, Step, Uplink, Withheld};
use super::session::{Device, MacVersion, Session};
use crate::domain::{MonoMs, UnixMs};
use sensor::{Down, Sensor, Up};

const KEY: [u8; 16] = *b"sixteen key byte";
const GATEWAY: Eui = Eui([0xb8, 0x27, 0xeb, 0xff, 0xfe, 1, 2, 3]);
const OTHER_GATEWAY: Eui = Eui([0xb8, 0x27, 0xeb, 0xff, 0xfe, 1, 2, 4]);
const SF7: DataRate = DataRate::Lora { sf: 7, bw_khz: 125 };
/// 2026-11-25T10:00:00Z at monotonic 0.
const WALL_ZERO: i64 = 1_795_600_800_000;

fn config(region: Region) -> Config {
    Config { region, rx1_delay_s: 1, eirp_dbm_max: 27, adr: true, address_seed: 7 }
}

/// A hub: the server and, beside it, what was written to the store, which is all a restart has.
struct Hub {
    lns: Lns,
    store: BTreeMap<Eui, Device>,
    now: i64,
    /// Wall time is trusted.
    has_time: bool,
    hz: u32,
    rate: DataRate,
    snr_tenths: i16,
}

/// What came of one frame.
struct Answer {
    event: Event,
    downlink: Option<(Downlink, Window)>,
    withheld: Option<Withheld>,
}

impl Hub {
    fn new(region: Region) -> Self {
        let hz = match region {
            Region::Eu868 => 868_100_000,
            Region::As923 { .. } => 923_200_000,
            Region::Us915 { sub_band } => 902_300_000 + u32::from(sub_band.number() - 1) * 1_600_000,
            Region::Au915 { sub_band, .. } => 915_200_000 + u32::from(sub_band.number() - 1) * 1_600_000,
        };
        let (lns, _) = Lns::new(config(region), Vec::new());
        Self { lns, store: BTreeMap::new(), now: 1_000_000, has_time: true, hz, rate: SF7, snr_tenths: 80 }
    }

    fn add(&mut self, device: Device) {
        self.store.insert(device.dev_eui, device.clone());
        self.lns.put_device(device).unwrap();
    }

    /// A sensor that is added, joined and active.
    fn joined(&mut self, number: u64, version: MacVersion) -> Sensor {
        let mut sensor = Sensor::new(number, KEY);
        self.add(Device::otaa(Eui(sensor.dev_eui), version, Key::new(KEY), UnixMs(0)));
        self.join(&mut sensor);
        let frame = sensor.reading(b"first");
        let step = self.hear(&frame);
        assert!(uplink(&step).activated);
        if let Some((downlink, _)) = step.downlink {
            sensor.hear(&downlink.phy).unwrap();
        }
        sensor
    }

    fn join(&mut self, sensor: &mut Sensor) -> Window {
        let request = sensor.join_request();
        let answer = self.hear(&request);
        let (downlink, window) = answer.downlink.expect("a join-accept");
        sensor.accept(&downlink.phy).unwrap();
        window
    }

    /// One frame by one gateway, an hour of duty cycle after the one before.
    fn hear(&mut self, phy: &[u8]) -> Answer {
        self.now += 10_000;
        assert_eq!(self.receive(phy, GATEWAY, 0), Received::Collecting);
        let mut steps = self.close();
        assert_eq!(steps.len(), 1);
        self.store_and_send(steps.remove(0))
    }

    fn reception(&self, gateway: Eui, later_ms: i64) -> Reception {
        Reception {
            gateway,
            at: MonoMs(self.now + later_ms),
            hz: self.hz,
            rate: self.rate,
            rssi_dbm: Some(-80),
            snr_tenths: Some(self.snr_tenths),
            context: Some(Context::Udp { tmst: (self.now as u32).wrapping_mul(1_000) }),
            gnss: None,
            is_delayed: false,
        }
    }

    fn receive(&mut self, phy: &[u8], gateway: Eui, later_ms: i64) -> Received {
        let reception = self.reception(gateway, later_ms);
        self.lns.receive(GatewayFrame { phy: phy.to_vec(), reception })
    }

    fn close(&mut self) -> Vec<Step> {
        let deadline = self.lns.deadline().expect("something is collected");
        self.now = deadline.0;
        let wall = self.has_time.then_some(UnixMs(WALL_ZERO + self.now));
        self.lns.poll(Now { mono: MonoMs(self.now), wall })
    }

    fn store_and_send(&mut self, step: Step) -> Answer {
        for change in step.sealed.changes() {
            assert!(self.store.get_mut(&change.dev_eui()).unwrap().apply(change));
        }
        let downlink = step.sealed.committed().and_then(|mut downlink| {
            let window = self.lns.window(&mut downlink, MonoMs(self.now))?;
            Some((downlink, window))
        });
        Answer { event: step.event, downlink, withheld: step.withheld }
    }

    /// The power goes and comes back: what was not in the store is gone.
    fn restart(&mut self) {
        let config = self.lns.config().clone();
        (self.lns, _) = Lns::new(config, self.store.values().cloned().collect());
    }
}

#[track_caller]
fn uplink(answer: &Answer) -> &Uplink {
    match &answer.event {
        Event::Uplink(uplink) => uplink,
        other => panic!("{other:?} is no uplink"),
    }
}

#[track_caller]
fn payload(answer: &Answer) -> &[u8] {
    &uplink(answer).payload.as_ref().expect("a payload").1
}

#[track_caller]
fn refusal(answer: &Answer) -> Refusal {
    assert!(answer.downlink.is_none(), "a refused frame is not answered");
    match &answer.event {
        Event::Refused(refused) => refused.why,
        other => panic!("{other:?} was not refused"),
    }
}
