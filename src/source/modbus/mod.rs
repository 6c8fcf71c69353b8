//! Devices on an RS-485 bus, asked in turn. A bus that is unplugged and comes back is opened again without a restart; a
//! device that does not answer costs its own readings and nobody else's.

mod bus;

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use self::bus::Bus;
use super::presence::{Presence, Retry};
use super::{Source, SourceContext, stopped};
use crate::clock::Clock;
use crate::config::{ModbusDevice, ModbusSection};
use crate::counters::Counters;
use crate::domain;
use crate::frame::{Frame, Identity, Payload, Sender, SourceEvent};
use crate::framing::modbus::{Answer, Block, Failure, Register, Request, Words, blocks};

/// A person who plugs an adapter in again looks whether it works.
const REOPEN_MAX: Duration = Duration::from_secs(5);
/// A disturbed answer is asked for once more; a device that was silent the last time is not worth it.
const TRIES: u32 = 2;
/// Polls without an answer, in a row, after which a device counts as silent; when all are, the bus is down.
const SILENT_POLLS: u32 = 3;

/// A configured bus.
pub struct Modbus {
    config: ModbusSection,
}

impl Modbus {
    pub fn new(config: ModbusSection) -> Self {
        Self { config }
    }
}

impl Source for Modbus {
    async fn run(self, context: SourceContext) -> Result<()> {
        // Nothing here is ever acknowledged: a register cannot repeat.
        let SourceContext { out, clock, counters, mut shutdown, .. } = context;
        let config = &self.config;
        let mut presence = Presence::new(domain::Source::Modbus, &config.name, out, counters.clone());
        let mut retry = Retry::new(REOPEN_MAX);
        let interval = Duration::from_secs(config.interval_s.into());
        let mut devices: Vec<Device> =
            config.device.iter().map(|device| Device::new(device, interval)).collect();
        loop {
            let lost = match Bus::open(config) {
                Ok(bus) => {
                    devices.iter_mut().for_each(Device::ask_anew);
                    let mut asking = Asking {
                        config,
                        bus,
                        devices: &mut devices,
                        clock: clock.as_ref(),
                        counters: &counters,
                        presence: &mut presence,
                        retry: &mut retry,
                    };
                    match asking.until_lost(&mut shutdown).await? {
                        Ended::Stopped => return Ok(()),
                        Ended::Lost(error) => error,
                    }
                }
                Err(error) => error,
            };
            presence.down(&lost).await?;
            tokio::select! {
                () = stopped(&mut shutdown) => return Ok(()),
                () = retry.pause() => {}
            }
        }
    }
}

/// A device and when it is asked next.
struct Device {
    id: u8,
    registers: Vec<Register>,
    blocks: Vec<Block>,
    interval: Duration,
    due: Instant,
    /// Polls without an answer, in a row.
    failed: u32,
    /// What was last told of it.
    trouble: Option<String>,
}

impl Device {
    fn new(config: &ModbusDevice, interval: Duration) -> Self {
        let registers = config.registers();
        Self {
            id: config.id,
            blocks: blocks(&registers),
            registers,
            interval: config.interval_s.map_or(interval, |seconds| Duration::from_secs(seconds.into())),
            due: Instant::now(),
            failed: 0,
            trouble: None,
        }
    }

    fn ask_anew(&mut self) {
        (self.due, self.failed) = (Instant::now(), 0);
    }
}

/// What a poll gave.
enum Polled {
    /// The bytes of its blocks, in their order, and what they say.
    Read {
        raw: Vec<u8>,
        words: Words,
    },
    Refused {
        exception: u8,
    },
    Failed(Failure),
}

enum Ended {
    Stopped,
    Lost(anyhow::Error),
}

/// An open bus.
struct Asking<'a> {
    config: &'a ModbusSection,
    bus: Bus,
    devices: &'a mut [Device],
    clock: &'a dyn Clock,
    counters: &'a Counters,
    presence: &'a mut Presence,
    retry: &'a mut Retry,
}

impl Asking<'_> {
    async fn until_lost(&mut self, shutdown: &mut watch::Receiver<bool>) -> Result<Ended> {
        loop {
            // The one that waits longest: a device that is asked often does not keep the others waiting.
            let next = (0..self.devices.len()).min_by_key(|&index| self.devices[index].due);
            let index = next.context("a bus has devices: checked in the configuration")?;
            // Stops at any moment of a poll: asking for values changes nothing.
            let polled = tokio::select! {
                biased;
                () = stopped(shutdown) => return Ok(Ended::Stopped),
                polled = self.poll(index) => polled,
            };
            let device = &mut self.devices[index];
            device.due = (device.due + device.interval).max(Instant::now());
            match polled {
                Ok(polled) => self.take(index, polled).await?,
                Err(error) => return Ok(Ended::Lost(error)),
            }
            if self.devices.iter().all(|device| device.failed >= SILENT_POLLS) {
                let count = self.devices.len();
                return Ok(Ended::Lost(anyhow!(
                    "none of {count} devices answers on {}; check power, A and B, baud and parity",
                    self.config.path.display()
                )));
            }
        }
    }

    /// Waits until the device is due and reads its blocks. An error: the port is lost.
    async fn poll(&mut self, index: usize) -> Result<Polled> {
        let device = &self.devices[index];
        sleep_until(device.due).await;
        let (mut raw, mut words) = (Vec::new(), Words::default());
        for block in &device.blocks {
            let request = Request { id: device.id, block: *block };
            let mut tries = if device.failed == 0 { TRIES } else { 1 };
            let answer = loop {
                match self.bus.ask(request).await? {
                    Ok(answer) => break answer,
                    Err(failure) => {
                        self.counters.add(failure.counter(), &self.config.name, 1);
                        tries -= 1;
                        if tries == 0 {
                            // A late answer would be taken for that to the next block.
                            return Ok(Polled::Failed(failure));
                        }
                    }
                }
            };
            match answer {
                Answer::Data(bytes) => {
                    words.take(*block, &bytes);
                    raw.extend(bytes);
                }
                Answer::Exception(exception) => return Ok(Polled::Refused { exception }),
            }
        }
        Ok(Polled::Read { raw, words })
    }

    /// Waits while the pipeline is busy; meanwhile nothing is asked.
    async fn take(&mut self, index: usize, polled: Polled) -> Result<()> {
        let name = &self.config.name;
        let device = &mut self.devices[index];
        let id = device.id;
        let (raw, words) = match polled {
            Polled::Failed(failure) => {
                device.failed = device.failed.saturating_add(1);
                if device.failed == SILENT_POLLS {
                    tell(device, name, &failure.to_string());
                }
                return Ok(());
            }
            Polled::Refused { exception } => {
                device.failed = 0;
                self.counters.add("modbus.exceptions", name, 1);
                tell(device, name, exception_text(exception));
                self.retry.succeeded();
                return self.presence.up().await;
            }
            Polled::Read { raw, words } => (raw, words),
        };
        device.failed = 0;
        if device.trouble.take().is_some() {
            info!(source.port = %name, device.address = id, "device {id} on {name} is read again");
        }
        self.retry.succeeded();
        self.counters.add("modbus.messages", name, 1);
        let measurements = device.registers.iter().filter_map(|register| words.measure(register)).collect();
        let frame = Frame {
            sender: Sender {
                source: domain::Source::Modbus,
                port: name.clone(),
                address: id.to_string(),
                is_eui: false,
            },
            model: None,
            at: self.clock.mono(),
            network_time: None,
            is_delayed: false,
            payload: Payload::Values { measurements, raw },
            identity: Identity::default(),
            rssi: None,
            ack: None,
        };
        self.presence.up().await?;
        self.presence.send(SourceEvent::Frame(Box::new(frame))).await
    }
}

/// Once for each reason: a device is asked every minute.
fn tell(device: &mut Device, name: &str, trouble: &str) {
    if device.trouble.as_deref() != Some(trouble) {
        let id = device.id;
        warn!(source.port = %name, device.address = id, "failed to read device {id} on {name}: {trouble}");
        device.trouble = Some(trouble.to_owned());
    }
}

/// Modbus application protocol, 7.
fn exception_text(exception: u8) -> &'static str {
    match exception {
        1 => "it does not know the function; try 3 in place of 4, or 4 in place of 3",
        2 => "it has no such register; see its manual, and whether that counts from 0 or 1",
        3 => "it does not give so many registers at once",
        4 => "it says that it failed",
        6 => "it is busy",
        _ => "it refuses",
    }
}
