//! Reads what feeds the hub: the kernel's power supplies, and an input line of a UPS.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Error, Result};
use gpiocdev::line::{EdgeDetection, Value};
use gpiocdev::request::Request;
use tokio::sync::watch;

use super::{Looks, News, Power, Seen, Supply};
use crate::clock::Clock;
use crate::config::{PowerLine, PowerSection};
use crate::gpio;
use crate::source::stopped;

/// The supply is looked at this often; a line tells of its changes by itself.
const LOOK: Duration = Duration::from_secs(1);
/// Supplies of one machine; what is more is no such folder.
const SUPPLIES_MAX: usize = 64;
/// An attribute is one word.
const ATTRIBUTE_BYTES_MAX: usize = 64;

/// A folder without supplies is one of a board that has none, as a Raspberry Pi by itself.
const TELLS_NOTHING: &str = "none of the kernel's supplies tells of mains or battery";

/// Something that tells what feeds the hub.
pub trait Reader: Send + 'static {
    /// Waits for a change, where it can tell of one, but at most `wait`; then says what is there. None: it cannot tell.
    fn read(&mut self, wait: Duration) -> Result<Option<Seen>>;
}

/// Watches until told to stop, and tells of each change, also of whether it can be read.
pub async fn run<R, F, Fut>(
    mut reader: R,
    mut power: Power,
    clock: Arc<dyn Clock>,
    mut shutdown: watch::Receiver<bool>,
    tell: F,
) -> Result<()>
where
    R: Reader,
    F: Fn(News) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    let mut wait = Duration::ZERO;
    let mut looks = Looks::default();
    while !*shutdown.borrow() {
        // A battery behind a slow bus takes its time: not on a thread that serves others.
        let read = tokio::task::spawn_blocking(move || {
            let seen = reader.read(wait);
            (reader, seen)
        });
        let (back, seen) = tokio::select! {
            read = read => read.context("read the power supply")?,
            () = stopped(&mut shutdown) => return Ok(()),
        };
        (reader, wait) = (back, LOOK);
        let (seen, is_failed) = match seen {
            Ok(Some(seen)) => (Ok(seen), false),
            Ok(None) => (Err(TELLS_NOTHING.to_owned()), false),
            Err(error) => (Err(format!("{error:#}")), true),
        };
        let events: Vec<_> = seen.iter().flat_map(|seen| power.see(*seen, clock.mono())).collect();
        // While the supply changes it is neither: what was known goes on to count, and nothing is claimed.
        let is_settled = seen.as_ref().map_or(true, |seen| seen.supply == power.supply());
        if let Some(news) = is_settled.then(|| looks.take(seen.as_ref().err())).flatten() {
            if let News::Unknown(why) = &news {
                tracing::warn!("failed to read the power supply: {why}");
            }
            tell(news).await?;
        }
        for event in events {
            tell(News::Event(event)).await?;
        }
        if is_failed {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = stopped(&mut shutdown) => return Ok(()),
            }
        }
    }
    Ok(())
}

/// The configured line and folder: the line says mains or battery, the folder how full the battery is, and the supply
/// where there is no line.
pub struct Configured {
    line: Option<Line>,
    folder: Option<PathBuf>,
}

impl Configured {
    pub fn new(section: &PowerSection) -> Self {
        Self {
            line: section.line.clone().map(|config| Line { config, request: None }),
            folder: section.supplies().map(Path::to_owned),
        }
    }
}

impl Reader for Configured {
    fn read(&mut self, wait: Duration) -> Result<Option<Seen>> {
        let supply = match &mut self.line {
            Some(line) => Some(line.read(wait)?),
            None => {
                // Nothing wakes a reader of these files.
                std::thread::sleep(wait);
                None
            }
        };
        let seen = self.folder.as_deref().map(supplies).transpose()?;
        let battery = seen.and_then(|(_, battery)| battery);
        let supply = supply.or(seen.and_then(|(supply, _)| supply));
        Ok(supply.map(|supply| Seen { supply, battery }))
    }
}

struct Line {
    config: PowerLine,
    /// Asked for again after it failed (an expander that was unplugged).
    request: Option<Request>,
}

impl Line {
    fn read(&mut self, wait: Duration) -> Result<Supply> {
        let read = self.try_read(wait);
        if read.is_err() {
            self.request = None;
        }
        read.with_context(|| {
            let PowerLine { chip, line, .. } = &self.config;
            format!("read line {line} of {chip}, which says what feeds the hub")
        })
    }

    fn try_read(&mut self, wait: Duration) -> Result<Supply> {
        let request = match &self.request {
            Some(request) => request,
            None => self.request.insert(ask(&self.config)?),
        };
        if request.wait_edge_event(wait)? {
            // How often it switched does not matter: its value is read next.
            while request.has_edge_event()? {
                request.read_edge_event()?;
            }
        }
        Ok(match request.value(self.config.line)? {
            Value::Active => Supply::Battery,
            Value::Inactive => Supply::Mains,
        })
    }
}

fn ask(config: &PowerLine) -> Result<Request> {
    let chip = gpio::chip(&config.chip).map_err(Error::msg)?;
    let mut builder = Request::builder();
    builder
        .on_chip(chip.path())
        .with_consumer("frostguard-power")
        .with_line(config.line)
        .as_input()
        .with_bias(config.pull.map_or_else(|| gpio::bias(config.active_low), gpio::bias_of))
        .with_edge_detection(EdgeDetection::BothEdges);
    if config.active_low {
        builder.as_active_low();
    }
    builder.request().map_err(|error| Error::msg(gpio::refusal(&chip, config.line, &error)))
}

/// What the folder of the kernel's supplies says: mains or battery, and percent of the emptiest battery. Files as
/// described by the kernel's `Documentation/ABI/testing/sysfs-class-power`.
pub fn supplies(folder: &Path) -> Result<(Option<Supply>, Option<u8>)> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("look into {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).take(SUPPLIES_MAX).collect();
    paths.sort();
    let (mut online, mut battery_says, mut percent) = (None, None, None);
    for path in paths {
        // The battery of a mouse says nothing of the hub.
        if attribute(&path, "scope").as_deref() == Some("Device") {
            continue;
        }
        match attribute(&path, "type").as_deref() {
            Some("Battery" | "UPS") => {
                let says = match attribute(&path, "status").as_deref() {
                    Some("Discharging") => Some(Supply::Battery),
                    Some("Charging" | "Full" | "Not charging") => Some(Supply::Mains),
                    _ => None,
                };
                // One that gives current is enough.
                if battery_says != Some(Supply::Battery) {
                    battery_says = says.or(battery_says);
                }
                let capacity = attribute(&path, "capacity").and_then(|text| text.parse::<u8>().ok());
                let capacity = capacity.filter(|percent| *percent <= 100);
                percent = [percent, capacity].into_iter().flatten().min();
            }
            // "Mains", "USB", "USB_PD", "Wireless": what comes from outside.
            Some(_) => {
                let is_online = attribute(&path, "online").and_then(|text| text.parse::<u8>().ok());
                online = online.max(is_online.map(|online| online > 0));
            }
            None => {}
        }
    }
    let supply = match (online, battery_says) {
        (Some(true), _) => Some(Supply::Mains),
        // A socket that is not in use, beside a battery that is charged by another way.
        (Some(false), says) => Some(says.unwrap_or(Supply::Battery)),
        (None, says) => says,
    };
    Ok((supply, percent))
}

/// One word; None where the file is missing or cannot be read just now.
fn attribute(supply: &Path, name: &str) -> Option<String> {
    use std::io::Read;
    let file = match std::fs::File::open(supply.join(name)) {
        Ok(file) => file,
        Err(error) => {
            if error.kind() != ErrorKind::NotFound {
                tracing::debug!(%error, "failed to open {}/{name}: {error}", supply.display());
            }
            return None;
        }
    };
    let mut text = String::new();
    file.take(ATTRIBUTE_BYTES_MAX as u64).read_to_string(&mut text).ok()?;
    Some(text.trim().to_owned())
}
