//! Sensors that only advertise over Bluetooth LE, heard by an adapter of this machine through BlueZ. Anyone in reach can
//! send under any address: nothing here is authenticated, and only sensors that are listed are read.

mod bluez;
mod repeats;
mod sequence;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use self::bluez::{Advertisement, Bluez, Said};
use self::repeats::{Heard, Repeats};
use self::sequence::Sequence;
use self::watch::{Deaf, PAUSE_MAX, SILENCE_MAX, Watch};
use super::presence::{Presence, Retry};
use super::{Source, SourceContext, stopped};
use crate::clock::Clock;
use crate::codec::{self, NO_PORT, Part};
use crate::config::{BleAddress, BleSection};
use crate::counters::Counters;
use crate::domain::{self, MonoMs};
use crate::frame::{Frame, Identity, Payload, Sender, SourceEvent};

/// A person who plugs an adapter in again looks whether it works.
const REOPEN_MAX: Duration = Duration::from_secs(5);
/// Sensors that are not listed and are named in the log, each once: those of a neighbourhood would fill it.
const NAMED_MAX: usize = 64;

/// A configured adapter.
pub struct Ble {
    config: BleSection,
}

impl Ble {
    pub fn new(config: BleSection) -> Self {
        Self { config }
    }
}

impl Source for Ble {
    async fn run(self, context: SourceContext) -> Result<()> {
        // Nothing here is ever acknowledged: an advertisement comes again by itself.
        let SourceContext { out, clock, counters, mut shutdown, .. } = context;
        let config = &self.config;
        let presence = Presence::new(domain::Source::Ble, &config.name, out, counters.clone());
        let devices = config.device.iter().filter_map(|device| {
            let part = codec::find(&device.model)?.advertised()?;
            Some((
                device.address,
                Device {
                    model: device.model.clone(),
                    part,
                    rssi: None,
                    sequence: Sequence::default(),
                    was_told: false,
                    repeats: Repeats::new(),
                },
            ))
        });
        let mut hearing = Hearing {
            name: &config.name,
            devices: devices.collect(),
            named: BTreeSet::new(),
            clock: clock.as_ref(),
            counters: &counters,
            presence,
            retry: Retry::new(REOPEN_MAX),
        };
        loop {
            let opened = tokio::select! {
                biased;
                () = stopped(&mut shutdown) => return Ok(()),
                opened = Bluez::open(config) => opened,
            };
            let lost = match opened {
                Ok(bluez) => match hearing.until_lost(bluez, &mut shutdown).await? {
                    Ended::Stopped => return Ok(()),
                    Ended::Lost(error) => error,
                },
                Err(error) => error,
            };
            counters.add("ble.losses", &config.name, 1);
            hearing.presence.down(&lost).await?;
            tokio::select! {
                () = stopped(&mut shutdown) => return Ok(()),
                () = hearing.retry.pause() => {}
            }
        }
    }
}

/// A listed sensor.
struct Device {
    model: String,
    part: Part,
    /// dBm, as last told: BlueZ leaves it out where it did not change.
    rssi: Option<i16>,
    sequence: Sequence,
    /// That packets under its address go backwards.
    was_told: bool,
    repeats: Repeats<Moment>,
}

/// When and how loud an advertisement was heard.
#[derive(Clone, Copy, Debug)]
struct Moment {
    at: MonoMs,
    rssi: Option<i16>,
}

enum Ended {
    Stopped,
    Lost(anyhow::Error),
}

struct Hearing<'a> {
    name: &'a str,
    devices: BTreeMap<BleAddress, Device>,
    /// Those not listed that the log has named.
    named: BTreeSet<String>,
    clock: &'a dyn Clock,
    counters: &'a Counters,
    presence: Presence,
    retry: Retry,
}

impl Hearing<'_> {
    async fn until_lost(&mut self, mut bluez: Bluez, shutdown: &mut Receiver<bool>) -> Result<Ended> {
        let mut watch = Watch::new(Instant::now());
        let ended = loop {
            let held = self.devices.values().filter_map(|device| device.repeats.due()).min();
            let due = held.map_or(watch.due(), |held| held.min(watch.due()));
            let said = tokio::select! {
                biased;
                () = stopped(shutdown) => break Ended::Stopped,
                said = bluez.next() => said,
                () = sleep_until(due) => Said::Other,
            };
            let now = Instant::now();
            match said {
                Said::Heard(address, advertisement) => {
                    self.is_up(&mut watch, now).await?;
                    self.heard(address, &advertisement, now).await?;
                }
                Said::HeardOther(object, advertisement) => {
                    self.is_up(&mut watch, now).await?;
                    self.name_once(&object, &advertisement);
                }
                Said::Discovering(discovering) => watch.discovering(discovering, now),
                Said::NotUnderstood(what) => {
                    self.counters.add("ble.not_understood", self.name, 1);
                    debug!(source.port = %self.name, "BlueZ said what is not understood: {what}");
                }
                Said::Lost(error) => break Ended::Lost(error),
                Said::Other => {}
            }
            self.release(now).await?;
            match watch.look(now) {
                Some(Deaf::Stopped) => {
                    let seconds = PAUSE_MAX.as_secs();
                    break Ended::Lost(anyhow!("discovery was stopped and has not gone on for {seconds} s"));
                }
                Some(Deaf::Silent) => {
                    let minutes = SILENCE_MAX.as_secs() / 60;
                    break Ended::Lost(anyhow!(
                        "nothing at all was heard for {minutes} minutes; the adapter may be stuck"
                    ));
                }
                None => {}
            }
        };
        let waiting: Vec<Frame> = self.frames(|device| device.repeats.flush(Instant::now()));
        self.hand_on(waiting).await?;
        Ok(ended)
    }

    /// Not when discovery begins: an adapter that fails each time would come and go many times a minute, and each change is
    /// written down.
    async fn is_up(&mut self, watch: &mut Watch, now: Instant) -> Result<()> {
        watch.heard(now);
        self.retry.succeeded();
        self.presence.up().await
    }

    async fn heard(
        &mut self,
        address: BleAddress,
        advertisement: &Advertisement,
        now: Instant,
    ) -> Result<()> {
        let at = self.clock.mono();
        let Some(device) = self.devices.get_mut(&address) else { return Ok(()) };
        device.rssi = advertisement.rssi.or(device.rssi);
        let Some(data) = find(advertisement, device.part).cloned() else { return Ok(()) };
        self.counters.add("ble.messages", self.name, 1);
        let number = codec::find(&device.model).and_then(|model| model.packet_number(&data));
        if number.is_some_and(|number| !device.sequence.takes(number, now)) {
            self.counters.add("ble.out_of_sequence", self.name, 1);
            if !std::mem::replace(&mut device.was_told, true) {
                warn!(
                    source.port = %self.name,
                    "packets under the address {address} go backwards and are not read: somebody plays recorded ones, or two \
                     sensors have this address"
                );
            }
            return Ok(());
        }
        let about = Moment { at, rssi: device.rssi };
        match device.repeats.take(Heard { data, about }, now) {
            Some(heard) => {
                let frame = frame(self.name, address, &device.model, heard);
                self.hand_on(vec![frame]).await
            }
            None => {
                self.counters.add("ble.repeats", self.name, 1);
                Ok(())
            }
        }
    }

    /// Hands on what has waited long enough.
    async fn release(&mut self, now: Instant) -> Result<()> {
        let due = self.frames(|device| device.repeats.release(now));
        self.hand_on(due).await
    }

    fn frames(&mut self, mut take: impl FnMut(&mut Device) -> Option<Heard<Moment>>) -> Vec<Frame> {
        let name = self.name;
        let taken = self.devices.iter_mut().filter_map(|(address, device)| {
            let heard = take(device)?;
            Some(frame(name, *address, &device.model, heard))
        });
        taken.collect()
    }

    /// Waits while the pipeline is busy; meanwhile the bus keeps what comes.
    async fn hand_on(&mut self, frames: Vec<Frame>) -> Result<()> {
        for frame in frames {
            self.counters.add("ble.frames", self.name, 1);
            self.presence.send(SourceEvent::Frame(Box::new(frame))).await?;
        }
        Ok(())
    }

    /// Tells whoever sets the hub up what could be listed.
    fn name_once(&mut self, object: &str, advertisement: &Advertisement) {
        let models = codec::models().iter().filter(|model| {
            let data = model.advertised().and_then(|part| find(advertisement, part));
            data.is_some_and(|data| codec::decode(model.name, NO_PORT, data, None).is_ok())
        });
        let models: Vec<&str> = models.map(|model| model.name).collect();
        if models.is_empty() {
            return;
        }
        self.counters.add("ble.not_listed", self.name, 1);
        if self.named.len() < NAMED_MAX && self.named.insert(object.to_owned()) {
            let address = object.trim_start_matches("dev_").replace('_', ":");
            info!(
                source.port = %self.name,
                "{address} advertises like {} and is not listed under [ble], so it is not read",
                models.join(" or ")
            );
        }
    }
}

fn frame(port: &str, address: BleAddress, model: &str, heard: Heard<Moment>) -> Frame {
    let Moment { at, rssi } = heard.about;
    Frame {
        sender: Sender {
            source: domain::Source::Ble,
            port: port.to_owned(),
            address: address.to_string(),
            is_eui: false,
        },
        model: Some(model.to_owned()),
        at,
        network_time: None,
        is_delayed: false,
        payload: Payload::Binary { f_port: NO_PORT, bytes: heard.data },
        identity: Identity::default(),
        rssi: rssi.map(i32::from),
        ack: None,
    }
}

fn find(advertisement: &Advertisement, part: Part) -> Option<&Vec<u8>> {
    match part {
        Part::Manufacturer(companies) => {
            companies.iter().find_map(|company| advertisement.manufacturer.get(company))
        }
        Part::Service(service) => {
            // A 16-bit number within the Bluetooth base UUID.
            let uuid = format!("0000{service:04x}-0000-1000-8000-00805f9b34fb");
            let mut services = advertisement.service.iter();
            services.find_map(|(known, data)| known.eq_ignore_ascii_case(&uuid).then_some(data))
        }
    }
}
