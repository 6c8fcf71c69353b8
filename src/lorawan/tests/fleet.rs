//! An hour of five hundred sensors under two gateways: lost frames, lost answers, echoes on other channels, recordings played
//! again, strangers with wrong keys, counters over 65,536, and a power cut in the middle. What came out is compared with
//! what was sent, by the sensors' own cryptography.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::*;
use crate::lorawan::server::Received;

const HOUR_MS: i64 = 3_600_000;
const SENSORS: u64 = 500;
/// Of them, from this number on: personalised and near the end of 16 bits, then with a key the hub does not have.
const FIRST_ABP: u64 = 440;
const FIRST_WRONG_KEY: u64 = 480;
/// Between two readings.
const EVERY_MS: i64 = 240_000;
/// A confirmed frame is sent again until it is acknowledged, so often at most.
const TRIES_MAX: u32 = 8;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    /// A sensor wants to join or to report.
    Wakes(usize),
    /// It has not heard an acknowledgement.
    Retries(usize, u32),
    /// A frame reaches the hub by a gateway.
    Arrives {
        phy: Vec<u8>,
        gateway: u8,
        hz: u32,
        snr_tenths: i16,
    },
    /// An answer is on air.
    Answers {
        sensor: usize,
        phy: Vec<u8>,
    },
    Polls,
    /// A recorded frame is played again.
    Replays(Vec<u8>),
    PowerCut,
}

struct Node {
    sensor: Sensor,
    /// The frame that waits for its acknowledgement.
    waiting: Option<Vec<u8>>,
    f_cnts_heard: Vec<u32>,
}

struct World {
    hub: Hub,
    channels_hz: Vec<u32>,
    nodes: Vec<Node>,
    queue: BinaryHeap<std::cmp::Reverse<(i64, u64, Happening)>>,
    number: u64,
    random: u64,
    /// What sensors with the right key sent, by device and session address, and whether a gateway heard it.
    sent: BTreeMap<(Eui, u32, u32), (Vec<u8>, bool)>,
    read: BTreeMap<(Eui, u32, u32), Vec<u8>>,
    recorded: Vec<Vec<u8>>,
    refused: BTreeMap<String, u32>,
    repeated: u32,
    joined: BTreeSet<Eui>,
    /// The power is cut without warning.
    is_dirty: bool,
    /// Read before, the same bytes under the same number.
    doubles: u32,
}

#[test]
fn of_five_hundred_sensors_none_is_lost_none_double_none_forged() {
    let mut world = World::new(Region::Eu868, seed());
    world.run();
    world.check();
    assert_eq!(world.doubles, 0, "the hub was stopped cleanly");
}

#[test]
fn nor_in_the_other_regions() {
    let sub_band = crate::lorawan::region::SubBand::new(2).unwrap();
    for region in [
        Region::Us915 { sub_band },
        Region::Au915 { sub_band, dwell: true },
        Region::As923 { dwell: false },
        Region::As923 { dwell: true },
    ] {
        println!("{region:?}");
        let mut world = World::new(region, seed());
        world.run();
        world.check();
        assert_eq!(world.doubles, 0);
    }
}

/// What may lag was not written: then, and only then, what was played again is read again, under the number that the log
/// knows it by. What was sent is never sent again under the same number, or the sensors would tell.
#[test]
fn a_power_cut_costs_doubles_at_most() {
    let mut world = World::new(Region::Eu868, seed());
    world.is_dirty = true;
    world.run();
    world.check();
    assert!(world.doubles < 20, "{}", world.doubles);
}

fn seed() -> u64 {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(8_123);
    println!("SEED={seed}");
    seed
}

impl World {
    fn new(region: Region, seed: u64) -> Self {
        let mut world = Self {
            hub: Hub::new(region),
            channels_hz: channels_hz(region),
            nodes: Vec::new(),
            queue: BinaryHeap::new(),
            number: 0,
            random: seed,
            sent: BTreeMap::new(),
            read: BTreeMap::new(),
            recorded: Vec::new(),
            refused: BTreeMap::new(),
            repeated: 0,
            joined: BTreeSet::new(),
            is_dirty: false,
            doubles: 0,
        };
        for number in 0..SENSORS {
            let mut sensor = Sensor::new(number, [number as u8; 16]);
            let dev_eui = Eui(sensor.dev_eui);
            if (FIRST_ABP..FIRST_WRONG_KEY).contains(&number) {
                world.hub.add(personalised(number, &mut sensor));
            } else {
                let key = if number < FIRST_WRONG_KEY { sensor.app_key } else { [!(number as u8); 16] };
                let version = MacVersion::ALL[number as usize % 6];
                world.hub.add(Device::otaa(dev_eui, version, Key::new(key), UnixMs(0)));
            }
            let at = world.below(EVERY_MS);
            world.at(at, Happening::Wakes(number as usize));
            world.nodes.push(Node { sensor, waiting: None, f_cnts_heard: Vec::new() });
        }
        world.at(HOUR_MS / 2, Happening::PowerCut);
        world
    }

    fn run(&mut self) {
        while let Some(std::cmp::Reverse((at, _, happening))) = self.queue.pop() {
            // Sensors fall silent at the end, and what is under way arrives.
            self.hub.now = at;
            match happening {
                Happening::Wakes(index) if at < HOUR_MS => self.wakes(index),
                Happening::Wakes(_) => {}
                Happening::Retries(index, tries) => self.retries(index, tries),
                Happening::Arrives { phy, gateway, hz, snr_tenths } => {
                    self.arrives(phy, gateway, hz, snr_tenths);
                }
                Happening::Answers { sensor, phy } => self.answers(sensor, &phy),
                Happening::Polls => self.polls(),
                Happening::Replays(phy) => {
                    let arrives =
                        Happening::Arrives { phy, gateway: 1, hz: self.channels_hz[0], snr_tenths: 50 };
                    self.at(at, arrives);
                }
                Happening::PowerCut => {
                    // Frames being collected go with the power; so that all can be counted, it waits for a moment without.
                    if self.hub.lns.deadline().is_some() {
                        self.at(at + 250, Happening::PowerCut);
                        continue;
                    }
                    if !self.is_dirty {
                        self.writes_lagging();
                    }
                    self.hub.restart();
                }
            }
        }
    }

    fn wakes(&mut self, index: usize) {
        let now = self.hub.now;
        let chance = self.below(100);
        let node = &mut self.nodes[index];
        if node.sensor.session.is_none() {
            let request = node.sensor.join_request();
            self.radio(&request);
            // No answer in 6 s: again after a while.
            let again = now + 10_000 + self.below(20_000);
            self.at(again, Happening::Wakes(index));
            return;
        }
        if self.nodes[index].waiting.is_none() {
            let dev_eui = Eui(self.nodes[index].sensor.dev_eui);
            let session = self.nodes[index].sensor.session.as_ref().unwrap();
            let (dev_addr, f_cnt) = (session.dev_addr, session.f_cnt_up);
            let text = format!("{index} {f_cnt}").into_bytes();
            let up =
                Up { confirmed: chance < 20, adr: true, payload: Some((2, text.clone())), ..Up::default() };
            let phy = self.nodes[index].sensor.send(&up);
            self.sent.insert((dev_eui, dev_addr, f_cnt), (text, false));
            let is_heard = self.radio(&phy);
            self.note_heard(index, f_cnt, is_heard);
            if up.confirmed {
                self.nodes[index].waiting = Some(phy.clone());
                self.at(now + 3_500, Happening::Retries(index, 1));
            }
            if chance == 50 {
                let later = now + 5_000 + self.below(HOUR_MS / 2);
                self.at(later, Happening::Replays(phy.clone()));
            }
            self.recorded.push(phy);
        }
        let next = now + EVERY_MS + self.below(2_000);
        self.at(next, Happening::Wakes(index));
    }

    fn retries(&mut self, index: usize, tries: u32) {
        let Some(phy) = self.nodes[index].waiting.clone() else {
            return;
        };
        if tries == TRIES_MAX {
            self.nodes[index].waiting = None;
            return;
        }
        let f_cnt = self.nodes[index].sensor.session.as_ref().unwrap().f_cnt_up - 1;
        let is_heard = self.radio(&phy);
        self.note_heard(index, f_cnt, is_heard);
        self.at(self.hub.now + 3_500, Happening::Retries(index, tries + 1));
    }

    fn note_heard(&mut self, index: usize, f_cnt: u32, is_heard: bool) {
        let sensor = &self.nodes[index].sensor;
        let key = (Eui(sensor.dev_eui), sensor.session.as_ref().unwrap().dev_addr, f_cnt);
        self.sent.get_mut(&key).unwrap().1 |= is_heard;
    }

    /// Sends a frame: each gateway misses one in a hundred, and hears one in a hundred twice. Whether one heard it.
    fn radio(&mut self, phy: &[u8]) -> bool {
        let channel = self.below(self.channels_hz.len() as i64) as usize;
        let mut is_heard = false;
        for gateway in 0..2 {
            if self.below(100) == 0 {
                continue;
            }
            is_heard = true;
            let snr_tenths = self.below(150) as i16 - 50;
            let at = self.hub.now + 5 + self.below(150);
            let hz = self.channels_hz[channel];
            self.at(at, Happening::Arrives { phy: phy.to_vec(), gateway, hz, snr_tenths });
            if self.below(100) == 0 {
                let hz = self.channels_hz[(channel + 1) % self.channels_hz.len()];
                let snr_tenths = snr_tenths - 200;
                self.at(at + 1, Happening::Arrives { phy: phy.to_vec(), gateway, hz, snr_tenths });
            }
        }
        is_heard
    }

    fn arrives(&mut self, phy: Vec<u8>, gateway: u8, hz: u32, snr_tenths: i16) {
        (self.hub.hz, self.hub.snr_tenths) = (hz, snr_tenths);
        let gateway = if gateway == 0 { GATEWAY } else { OTHER_GATEWAY };
        let received = self.hub.receive(&phy, gateway, 0);
        assert!(!matches!(received, Received::Refused(_)), "{received:?}");
        if received == Received::Collecting {
            self.at(self.hub.now + 200, Happening::Polls);
        }
    }

    fn polls(&mut self) {
        let now = Now { mono: MonoMs(self.hub.now), wall: None };
        for step in self.hub.lns.poll(now) {
            let answer = self.hub.store_and_send(step);
            match answer.event {
                Event::Uplink(uplink) => {
                    let (_, text) = uplink.payload.unwrap();
                    let key = (uplink.dev_eui, uplink.dev_addr.0, uplink.f_cnt);
                    if let Some(before) = self.read.insert(key, text.clone()) {
                        assert_eq!(before, text, "{key:?}");
                        self.doubles += 1;
                    }
                    if uplink.activated {
                        self.joined.insert(uplink.dev_eui);
                    }
                }
                Event::Repeated { .. } => self.repeated += 1,
                Event::JoinAnswered { .. } => {}
                Event::Refused(refused) => {
                    *self.refused.entry(format!("{:?}", refused.why)).or_default() += 1;
                }
            }
            if let Some((downlink, window)) = answer.downlink {
                let sensor = usize::from(downlink.dev_eui.0[6]) << 8 | usize::from(downlink.dev_eui.0[7]);
                let at = downlink.heard_at.0 + i64::from(window.delay_ms);
                assert!(at > self.hub.now);
                let (lowest, highest) = self.hub.lns.config().region.band_hz();
                assert!((lowest..=highest).contains(&window.hz));
                if self.below(100) > 0 {
                    self.at(at, Happening::Answers { sensor, phy: downlink.phy });
                }
            }
        }
    }

    fn answers(&mut self, index: usize, phy: &[u8]) {
        let node = &mut self.nodes[index];
        if phy[0] == 0x20 {
            if node.sensor.session.is_none() {
                node.sensor.accept(phy).unwrap_or_else(|why| panic!("sensor {index}: {why}"));
            }
            return;
        }
        // A sensor that hears what it cannot take would be deaf to the hub from then on.
        let down = node.sensor.hear(phy).unwrap_or_else(|why| panic!("sensor {index}: {why}"));
        node.f_cnts_heard.push(down.f_cnt);
        if down.ack {
            node.waiting = None;
        }
    }

    fn writes_lagging(&mut self) {
        for change in self.hub.lns.take_lagging() {
            assert!(self.hub.store.get_mut(&change.dev_eui()).unwrap().apply(&change));
        }
    }

    fn check(&self) {
        let heard: BTreeMap<_, _> = self
            .sent
            .iter()
            .filter(|(_, (_, heard))| *heard)
            .map(|(key, (text, _))| (*key, text.clone()))
            .collect();
        let lost: Vec<_> = heard.keys().filter(|key| !self.read.contains_key(key)).collect();
        assert!(lost.is_empty(), "{} of {} lost: {:?}", lost.len(), heard.len(), &lost[..lost.len().min(5)]);
        assert_eq!(self.read, heard, "what was read is what was sent and heard");
        println!(
            "{} sent, {} heard and read, {} repeated, {} joined, refused {:?}",
            self.sent.len(),
            self.read.len(),
            self.repeated,
            self.joined.len(),
            self.refused
        );
        assert!(self.read.len() > 5_000 && self.repeated > 0);
        assert_eq!(self.joined.len() as u64, FIRST_ABP, "every sensor with the right key is in, no other");
        assert!(self.refused["CounterBehind"] > 10 && self.refused["WrongKey"] > 100);
        for (number, node) in self.nodes.iter().enumerate() {
            let count = node.sensor.session.as_ref().map_or(0, |session| session.f_cnt_up);
            let is_wrap = (FIRST_ABP as usize..FIRST_WRONG_KEY as usize).contains(&number);
            assert!(!is_wrap || count > 65_536, "sensor {number} went past 16 bits: {count}");
            assert!(node.f_cnts_heard.is_sorted_by(|a, b| a < b));
        }
    }

    fn at(&mut self, at: i64, happening: Happening) {
        self.number += 1;
        self.queue.push(std::cmp::Reverse((at, self.number, happening)));
    }

    /// Uniform in 0..`n`.
    fn below(&mut self, n: i64) -> i64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % n as u64) as i64
    }
}

/// What the gateways listen to.
fn channels_hz(region: Region) -> Vec<u32> {
    match region {
        Region::Eu868 => [868_100_000, 868_300_000, 868_500_000]
            .into_iter()
            .chain((0..5).map(|n| 867_100_000 + n * 200_000))
            .collect(),
        Region::Us915 { .. } => (0..8).map(|n| 903_900_000 + n * 200_000).collect(),
        Region::Au915 { .. } => (0..8).map(|n| 916_800_000 + n * 200_000).collect(),
        Region::As923 { dwell: true } => vec![923_200_000, 923_400_000],
        Region::As923 { dwell: false } => (0..7).map(|n| 923_200_000 + n * 200_000).collect(),
    }
}

/// A sensor with its keys from the factory, eight frames before its counter's low half starts again. Three share an address.
fn personalised(number: u64, sensor: &mut Sensor) -> Device {
    let last = 65_528;
    let (nwk_s_key, app_s_key) = ([number as u8; 16], [0x55; 16]);
    let dev_addr = 0x0180_0000 + (number / 3) as u32;
    sensor.session = Some(sensor::Joined {
        dev_addr,
        nwk_s_key,
        app_s_key,
        f_cnt_up: last + 1,
        f_cnt_down: None,
        settings: Vec::new(),
    });
    let mut session = Session::personalised(DevAddr(dev_addr), Key::new(nwk_s_key), Key::new(app_s_key));
    session.f_cnt_up = Some(last);
    Device::abp(Eui(sensor.dev_eui), MacVersion::V1_0_2, session, false)
}
