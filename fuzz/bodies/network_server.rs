//! The network server, its store and two sensors, one joined over the air and one personalised: a byte for the region, then
//! what happens, an operation each. Whatever is sent by whomever, a reading comes out as the sensor said it, once, and a
//! sensor understands what it is answered.

use std::collections::BTreeMap;

use frostguard_hub::domain::{MonoMs, UnixMs};
use frostguard_hub::lorawan::gateway::{Context, GatewayFrame, Reception};
use frostguard_hub::lorawan::ids::{DevAddr, Eui, Key};
use frostguard_hub::lorawan::phy::PHY_BYTES_MAX;
use frostguard_hub::lorawan::rate::DataRate;
use frostguard_hub::lorawan::region::Region;
use frostguard_hub::lorawan::server::{Config, Event, Lns, Now, STRANGERS_MAX, Step};
use frostguard_hub::lorawan::session::{Device, MacVersion, Session};

use super::Script;
use super::sensor::{Joined, Sensor, Up};

const APP_KEY: [u8; 16] = *b"sixteen key byte";
const NWK_S_KEY: [u8; 16] = *b"network session!";
const APP_S_KEY: [u8; 16] = *b"application key!";
const DEV_ADDR: u32 = 0x0101_0203;
const GATEWAYS: [Eui; 2] =
    [Eui([0xb8, 0x27, 0xeb, 0xff, 0xfe, 1, 2, 3]), Eui([0xb8, 0x27, 0xeb, 0xff, 0xfe, 1, 2, 4])];
/// 2026-11-25T10:00:00Z at monotonic 0.
const WALL_ZERO: i64 = 1_795_600_800_000;
/// A fuzzer must come to its end.
const OPERATIONS_MAX: usize = 200;

pub fn run(input: &[u8]) {
    let mut script = Script(input);
    let mut world = World::new(super::region(script.byte()));
    for _ in 0..OPERATIONS_MAX {
        if script.is_over() {
            break;
        }
        world.operate(&mut script);
    }
    world.close();
    assert!(world.lns.strangers().len() <= STRANGERS_MAX);
    assert_eq!(world.lns.devices().count(), 2);
}

/// Port and plain payload.
type Said = Option<(u8, Vec<u8>)>;

struct World {
    lns: Lns,
    /// All that a restart has.
    store: BTreeMap<Eui, Device>,
    now: i64,
    /// Joined over the air, personalised.
    sensors: [Sensor; 2],
    /// What was sent, by address and frame number: a server that lost its power reads frames of old sessions again.
    sent: BTreeMap<(u32, u32), Said>,
    /// The numbers of the frames that were read since the server knows the session.
    read: BTreeMap<(Eui, DevAddr, u32), usize>,
    last: Vec<u8>,
    hz: u32,
    rate: DataRate,
    snr_tenths: Option<i16>,
    /// Restored databases that are left: a sensor goes along with 16,384 frames that it did not hear.
    jumps: u32,
}

impl World {
    fn new(region: Region) -> Self {
        let (lowest, highest) = region.band_hz();
        let hz = (lowest / 100_000..=highest / 100_000).map(|tenths| tenths * 100_000);
        let hz = hz.into_iter().find(|hz| region.uplink_channel(*hz).is_some()).unwrap_or(lowest);
        let config = Config { region, rx1_delay_s: 1, eirp_dbm_max: 27, adr: true, address_seed: 7 };
        let joining = Sensor::new(1, APP_KEY);
        let mut personalised = Sensor::new(2, APP_KEY);
        personalised.session = Some(Joined {
            dev_addr: DEV_ADDR,
            nwk_s_key: NWK_S_KEY,
            app_s_key: APP_S_KEY,
            f_cnt_up: 0,
            f_cnt_down: None,
            settings: Vec::new(),
        });
        let session = Session::personalised(DevAddr(DEV_ADDR), Key::new(NWK_S_KEY), Key::new(APP_S_KEY));
        let devices = [
            Device::otaa(Eui(joining.dev_eui), MacVersion::V1_0_3, Key::new(APP_KEY), UnixMs(0)),
            Device::abp(Eui(personalised.dev_eui), MacVersion::V1_0_3, session, false),
        ];
        let (lns, left_out) = Lns::new(config, devices.to_vec());
        assert!(left_out.is_empty());
        Self {
            lns,
            store: devices.into_iter().map(|device| (device.dev_eui, device)).collect(),
            now: 1_000_000,
            sensors: [joining, personalised],
            sent: BTreeMap::new(),
            read: BTreeMap::new(),
            last: Vec::new(),
            hz,
            rate: DataRate::Lora { sf: 7, bw_khz: 125 },
            snr_tenths: Some(80),
            jumps: 8,
        }
    }

    fn operate(&mut self, script: &mut Script<'_>) {
        let operation = script.byte();
        let which = usize::from(operation >> 4 & 1);
        match operation & 0x0f {
            0 => {
                let length = usize::from(script.byte());
                let noise = script.bytes(length).to_vec();
                self.hear(&noise, which);
            }
            // A frame of a sensor, which may mean no good.
            1..=4 => {
                let frame = self.send(which, script);
                self.hear(&frame, usize::from(operation >> 5 & 1));
            }
            5 => {
                let request = self.sensors[0].join_request();
                self.hear(&request, which);
            }
            // The last frame once more: by the other gateway, late, or recorded and played again.
            6 => {
                let frame = self.last.clone();
                self.hear(&frame, which);
            }
            // The same, damaged.
            7 => {
                let mut frame = self.last.clone();
                let at = usize::from(script.byte());
                if let Some(byte) = frame.get_mut(at) {
                    *byte ^= script.byte();
                }
                self.hear(&frame, which);
            }
            8 => {
                self.close();
                self.now += i64::from(script.word());
            }
            9 => {
                self.close();
                self.now += i64::from(script.word()) * 60_000;
            }
            10 => {
                let kind = script.byte();
                self.rate = match kind & 0x40 {
                    0 => DataRate::Lora {
                        sf: kind % 8 + 5,
                        bw_khz: [125, 250, 500, 125][usize::from(kind >> 4 & 3)],
                    },
                    _ => DataRate::Fsk { bps: u32::from(script.word()) },
                };
                self.snr_tenths = (kind & 0x80 == 0).then(|| script.word().cast_signed());
            }
            11 => self.hz = self.hz.wrapping_add(u32::from(script.word()) * 1_000).clamp(0, 1_000_000_000),
            // A power cut: what was not in the store is gone.
            12 => {
                self.close();
                let config = self.lns.config().clone();
                (self.lns, _) = Lns::new(config, self.store.values().cloned().collect());
                // Counters that lag behind re-admit frames that the log knows.
                self.read.clear();
            }
            13 => {
                let changes = match (which, self.jumps) {
                    (1, 1..) => {
                        self.jumps -= 1;
                        self.lns.jump_ahead()
                    }
                    _ => self.lns.take_lagging(),
                };
                for change in changes {
                    assert!(self.store.get_mut(&change.dev_eui()).expect("a known device").apply(&change));
                }
            }
            14 => {
                let dev_eui = Eui(self.sensors[0].dev_eui);
                if let Some(change) = self.lns.flush_dev_nonces(dev_eui) {
                    assert!(self.store.get_mut(&dev_eui).expect("a known device").apply(&change));
                }
            }
            _ => self.lns.expect_gateways(1 + which),
        }
    }

    /// A signed frame with any commands, port and payload; a sensor may skip frames.
    fn send(&mut self, which: usize, script: &mut Script<'_>) -> Vec<u8> {
        let (flags, sizes) = (script.byte(), script.byte());
        let sensor = &mut self.sensors[which];
        let Some(session) = &mut sensor.session else { return sensor.join_request() };
        if flags & 0x80 != 0 {
            session.f_cnt_up += u32::from(script.word());
        }
        let f_opts = script.bytes(usize::from(sizes & 0x0f)).to_vec();
        let payload =
            (flags & 0x40 == 0).then(|| (script.byte(), script.bytes(usize::from(sizes >> 4) * 3).to_vec()));
        self.sent.insert((session.dev_addr, session.f_cnt_up), payload.clone());
        sensor.send(&Up {
            confirmed: flags & 1 != 0,
            adr: flags & 2 != 0,
            adr_ack_req: flags & 4 != 0,
            f_opts,
            payload,
        })
    }

    fn hear(&mut self, phy: &[u8], gateway: usize) {
        self.last = phy.to_vec();
        let reception = Reception {
            gateway: GATEWAYS[gateway],
            at: MonoMs(self.now),
            hz: self.hz,
            rate: self.rate,
            rssi_dbm: Some(-80),
            snr_tenths: self.snr_tenths,
            context: Some(Context::Udp { tmst: (self.now as u32).wrapping_mul(1_000) }),
            gnss: None,
            is_delayed: false,
        };
        self.lns.receive(GatewayFrame { phy: phy.to_vec(), reception });
    }

    /// The time of the other gateways is over.
    fn close(&mut self) {
        while let Some(deadline) = self.lns.deadline() {
            self.now = self.now.max(deadline.0);
            let now = Now { mono: MonoMs(self.now), wall: Some(UnixMs(WALL_ZERO + self.now)) };
            for step in self.lns.poll(now) {
                self.take(step);
            }
        }
    }

    fn take(&mut self, step: Step) {
        for change in step.sealed.changes() {
            assert!(self.store.get_mut(&change.dev_eui()).expect("a known device").apply(change));
        }
        match &step.event {
            Event::Uplink(uplink) => {
                if let Some(sent) = self.sent.get(&(uplink.dev_addr.0, uplink.f_cnt)) {
                    // Port 0 is for the network; an empty payload on another port is one.
                    let told = sent.clone().filter(|(port, _)| *port != 0);
                    assert_eq!(uplink.payload, told, "a reading is what the sensor said");
                }
                assert!(!uplink.heard.is_empty());
                let times = self.read.entry((uplink.dev_eui, uplink.dev_addr, uplink.f_cnt)).or_default();
                *times += 1;
                assert_eq!(*times, 1, "frame {} is read again", uplink.f_cnt);
            }
            Event::Refused(_) => assert!(!step.sealed.is_urgent(), "a refused frame is not answered"),
            Event::Repeated { .. } | Event::JoinAnswered { .. } => {}
        }
        let joined = matches!(step.event, Event::JoinAnswered { .. });
        let Some(mut downlink) = step.sealed.committed() else { return };
        assert!(downlink.phy.len() <= PHY_BYTES_MAX);
        let mut windows = 0;
        while let Some(window) = self.lns.window(&mut downlink, MonoMs(self.now)) {
            let (lowest, highest) = self.lns.config().region.band_hz();
            assert!((lowest..=highest).contains(&window.hz), "{window:?}");
            windows += 1;
        }
        assert!(windows <= 2);
        if windows == 0 {
            return;
        }
        let which = usize::from(downlink.dev_eui != Eui(self.sensors[0].dev_eui));
        let sensor = &mut self.sensors[which];
        if joined {
            // It answers the latest request, or one that the sensor has given up since.
            let _ = sensor.accept(&downlink.phy);
        } else if sensor
            .session
            .as_ref()
            .is_some_and(|session| downlink.phy[1..5] == session.dev_addr.to_le_bytes())
        {
            // A counter that was used before would make it deaf to this hub.
            sensor.hear(&downlink.phy).expect("an answer to a sensor is one it takes");
        }
    }
}
