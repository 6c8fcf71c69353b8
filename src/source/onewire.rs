//! DS18B20 sensors by the kernel's 1-Wire driver: files that come and go with the sensors.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, info, warn};

use super::presence::Presence;
use super::sysfs::{self, Aside};
use super::{Source, SourceContext, stopped};
use crate::clock::Clock;
use crate::codec::{Fault, Measurement, Quantity};
use crate::config::OneWireSection;
use crate::counters::Counters;
use crate::domain::{self, Probe};
use crate::frame::{Frame, Identity, Payload, Sender, SourceEvent};
use crate::framing::onewire::{Heard, Scratchpad, read};

/// The family of the DS18B20 in its number.
const FAMILY: &str = "28-";
/// The sensors' own files of a line, and the file of a line that begins a conversion in all its sensors at once.
const SENSOR_FILE: &str = "w1_slave";
const LINE: &str = "w1_bus_master";
const BULK_FILE: &str = "therm_bulk_read";
/// Two lines of a Pi with twenty sensors each are already a long wire.
const SENSORS_MAX: usize = 64;
/// A damaged answer, or the value of a sensor that lost its power meanwhile, is read again.
const TRIES: u32 = 3;
/// A conversion of all sensors takes 750 ms; the driver says when it is over.
const BULK_LOOK: Duration = Duration::from_millis(100);
const BULK_LOOKS_MAX: u32 = 20;
/// Rounds without any reading, in a row, after which the lines count as down.
const SILENT_ROUNDS: u32 = 3;

/// The configured lines.
pub struct OneWire {
    config: OneWireSection,
}

impl OneWire {
    pub fn new(config: OneWireSection) -> Self {
        Self { config }
    }
}

impl Source for OneWire {
    async fn run(self, context: SourceContext) -> Result<()> {
        // Nothing here is ever acknowledged: a sensor cannot repeat.
        let SourceContext { out, clock, counters, mut shutdown, .. } = context;
        let presence = Presence::new(domain::Source::OneWire, &self.config.name, out, counters.clone());
        let interval = Duration::from_secs(self.config.interval_s.into());
        let mut lines = Lines {
            config: &self.config,
            aside: Aside::new(),
            clock: clock.as_ref(),
            counters: &counters,
            presence,
            sensors: BTreeMap::new(),
            silent_rounds: 0,
            singly: BTreeSet::new(),
        };
        let mut due = Instant::now();
        loop {
            tokio::select! {
                biased;
                // Between two sensors, too: what was read and not handed on was read a moment ago.
                () = stopped(&mut shutdown) => return Ok(()),
                round = lines.round() => round?,
            }
            due = (due + interval).max(Instant::now());
            tokio::select! {
                () = stopped(&mut shutdown) => return Ok(()),
                () = sleep_until(due) => {}
            }
        }
    }
}

/// What the folder shows.
struct Shown {
    /// Numbers of sensors, which are the names of their folders.
    sensors: Vec<String>,
    /// Files that begin a conversion.
    bulk: Vec<PathBuf>,
    beyond: usize,
}

struct Lines<'a> {
    config: &'a OneWireSection,
    aside: Aside,
    clock: &'a dyn Clock,
    counters: &'a Counters,
    presence: Presence,
    /// By number: what it measured last, in thousandths of a degree.
    sensors: BTreeMap<String, Option<i32>>,
    silent_rounds: u32,
    /// Files of lines whose sensors convert one after the other, which was said.
    singly: BTreeSet<PathBuf>,
}

impl Lines<'_> {
    /// Reads every sensor once. An error: the pipeline is gone.
    async fn round(&mut self) -> Result<()> {
        let shown = match self.look().await {
            Ok(shown) => shown,
            Err(error) => return self.presence.down(&error).await,
        };
        self.note_changes(&shown);
        self.singly.retain(|file| shown.bulk.contains(file));
        for file in shown.bulk {
            match self.convert(&file).await {
                Ok(()) => {
                    self.singly.remove(&file);
                }
                Err(error) => self.note_singly(file, &error),
            }
        }
        let mut read = 0;
        for number in shown.sensors {
            match self.read(&number).await {
                Ok(heard) => read += usize::from(self.take(&number, heard).await?),
                Err(error) => return self.presence.down(&error).await,
            }
        }
        self.silent_rounds = if read > 0 { 0 } else { self.silent_rounds.saturating_add(1) };
        if self.silent_rounds >= SILENT_ROUNDS {
            let error = match self.sensors.len() {
                0 => anyhow!("no DS18B20 on the line; check its wires and the resistor of 4.7 kΩ"),
                count => anyhow!("none of {count} sensors answers; check the line for a break or a short"),
            };
            self.presence.down(&error).await?;
        }
        Ok(())
    }

    async fn look(&mut self) -> Result<Shown> {
        let path = self.config.path.clone();
        let looked = self.aside.run(move || look(&path)).await?;
        looked.with_context(|| {
            format!(
                "look for 1-Wire sensors in {} (is the line switched on? On a Raspberry Pi: dtoverlay=w1-gpio)",
                self.config.path.display()
            )
        })
    }

    fn note_changes(&mut self, shown: &Shown) {
        let name = &self.config.name;
        if shown.beyond > 0 {
            self.counters.add("onewire.sensors_beyond", name, shown.beyond as u64);
        }
        for number in &shown.sensors {
            if !self.sensors.contains_key(number) {
                info!(source.port = %name, device.address = %number, "sensor {number} is on {name}");
                self.sensors.insert(number.clone(), None);
            }
        }
        let counters = self.counters;
        self.sensors.retain(|number, _| {
            let is_there = shown.sensors.contains(number);
            if !is_there {
                warn!(source.port = %name, device.address = %number, "sensor {number} is gone from {name}");
                counters.add("onewire.sensors_gone", name, 1);
            }
            is_there
        });
    }

    /// Each sensor of the line then converts when it is read. Usual: the file is root's, and read-only for the service.
    fn note_singly(&mut self, file: PathBuf, error: &anyhow::Error) {
        let name = &self.config.name;
        self.counters.add(
            if is_roots(error) { "onewire.bulk_refused" } else { "onewire.bulk_failed" },
            name,
            1,
        );
        if !self.singly.contains(&file) {
            info!(
                source.port = %name,
                "sensors convert one after the other, at most 0.75 s each: write {}: {error:#}",
                file.display()
            );
            self.singly.insert(file);
        }
    }

    /// Lets all sensors of a line convert at once, where the kernel can.
    async fn convert(&mut self, file: &Path) -> Result<()> {
        let path = file.to_owned();
        self.aside.run(move || sysfs::write(&path, "trigger\n")).await??;
        for _ in 0..BULK_LOOKS_MAX {
            let path = file.to_owned();
            if self.aside.run(move || sysfs::read(&path)).await?? != "-1" {
                break;
            }
            sleep(BULK_LOOK).await;
        }
        Ok(())
    }

    /// An error: the driver hangs.
    async fn read(&mut self, number: &str) -> Result<Heard> {
        let path = self.config.path.join(number).join(SENSOR_FILE);
        let mut heard = Heard::Absent;
        for _ in 0..TRIES {
            let path = path.clone();
            // Gone, or an input/output error: no sensor answers.
            heard = match self.aside.run(move || sysfs::read(&path)).await? {
                Ok(text) => read(&text),
                Err(error) => {
                    debug!(device.address = %number, "failed to read sensor {number}: {error}");
                    Heard::Absent
                }
            };
            match &heard {
                Heard::Damaged => self.counters.add("onewire.bad_checksums", &self.config.name, 1),
                Heard::Measured(scratchpad) if scratchpad.is_power_on() => {}
                _ => break,
            }
        }
        Ok(heard)
    }

    /// True: it measured something.
    async fn take(&mut self, number: &str, heard: Heard) -> Result<bool> {
        let name = &self.config.name;
        let (quantity, raw) = match heard {
            Heard::Measured(scratchpad) => self.judge(number, scratchpad),
            Heard::Shorted(bytes) => {
                self.counters.add("onewire.shorted", name, 1);
                (Quantity::Fault(Fault::Disconnected), bytes)
            }
            Heard::Damaged | Heard::Absent => {
                self.counters.add("onewire.no_answer", name, 1);
                (Quantity::Fault(Fault::Disconnected), Vec::new())
            }
        };
        let is_good = !matches!(quantity, Quantity::Fault(_));
        self.counters.add("onewire.messages", name, 1);
        let measurement = Measurement { probe: Probe::INTERNAL, quantity, at: None };
        let frame = Frame {
            sender: Sender {
                source: domain::Source::OneWire,
                port: name.clone(),
                address: number.to_owned(),
                is_eui: false,
            },
            model: None,
            at: self.clock.mono(),
            network_time: None,
            is_delayed: false,
            payload: Payload::Values { measurements: vec![measurement], raw },
            identity: Identity::default(),
            rssi: None,
            ack: None,
        };
        if is_good {
            self.presence.up().await?;
        }
        self.presence.send(SourceEvent::Frame(Box::new(frame))).await?;
        Ok(is_good)
    }

    fn judge(&mut self, number: &str, scratchpad: Scratchpad) -> (Quantity, Vec<u8>) {
        let before = self.sensors.get(number).copied().flatten();
        let quantity = scratchpad.quantity(before);
        if matches!(quantity, Quantity::Temperature(_)) {
            self.sensors.insert(number.to_owned(), Some(scratchpad.milli));
        }
        (quantity, scratchpad.bytes)
    }
}

fn look(path: &Path) -> io::Result<Shown> {
    let mut names: Vec<String> = std::fs::read_dir(path)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<_>>()?;
    names.sort();
    let bulk = names
        .iter()
        .filter(|name| name.starts_with(LINE))
        .map(|name| path.join(name).join(BULK_FILE))
        .filter(|file| file.exists())
        .collect();
    let mut sensors: Vec<String> = names.into_iter().filter(|name| name.starts_with(FAMILY)).collect();
    let beyond = sensors.len().saturating_sub(SENSORS_MAX);
    sensors.truncate(SENSORS_MAX);
    Ok(Shown { sensors, bulk, beyond })
}

/// Only root may begin a conversion of all: as the packaged service meets it. Anything else is the driver's.
fn is_roots(error: &anyhow::Error) -> bool {
    let kind = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    matches!(kind, Some(io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_that_root_may_write_is_one_of_roots() {
        for (code, want) in [(13, true), (1, true), (30, true), (21, false), (5, false), (2, false)] {
            let error = anyhow::Error::new(io::Error::from_raw_os_error(code)).context("write it");
            assert_eq!(is_roots(&error), want, "{error:#}");
        }
        assert!(!is_roots(&anyhow!("the driver hangs")));
    }
}
