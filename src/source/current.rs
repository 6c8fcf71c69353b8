//! Loops of 4 to 20 mA on a converter with a driver of the kernel's Industrial I/O (an ADS1115, an MCP3424).

use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::{Instant, sleep_until};

use super::presence::Presence;
use super::sysfs::{self, Aside};
use super::{Source, SourceContext, stopped};
use crate::codec::{Measurement, Quantity};
use crate::config::CurrentSection;
use crate::domain;
use crate::frame::{Frame, Identity, Payload, Sender, SourceEvent};

/// A converter that was unplugged and comes back is found again within this time, however seldom it is read.
const RETRY_MAX: Duration = Duration::from_secs(5);

/// A configured loop.
pub struct Current {
    config: CurrentSection,
}

impl Current {
    pub fn new(config: CurrentSection) -> Self {
        Self { config }
    }

    /// What the configuration makes of a current, and the text of the converter's files.
    fn frame(&self, seen: Seen, at: domain::MonoMs) -> Frame {
        let CurrentSection { quantity, unit, probe, .. } = self.config;
        let ma = seen.millivolts / self.config.shunt_ohm;
        let quantity: Quantity = match self.config.span().value(ma) {
            Ok(value) => quantity.quantity(value, unit),
            Err(fault) => quantity.fault(fault),
        };
        Frame {
            sender: Sender {
                source: domain::Source::Current,
                port: self.config.name.clone(),
                address: self.config.channel.to_string(),
                is_eui: false,
            },
            model: None,
            at,
            network_time: None,
            is_delayed: false,
            payload: Payload::Values {
                measurements: vec![Measurement { probe, quantity, at: None }],
                raw: seen.text.into_bytes(),
            },
            identity: Identity::default(),
            rssi: None,
            ack: None,
        }
    }
}

impl Source for Current {
    async fn run(self, context: SourceContext) -> Result<()> {
        // Nothing here is ever acknowledged: a current cannot repeat.
        let SourceContext { out, clock, counters, mut shutdown, .. } = context;
        let config = &self.config;
        let mut presence = Presence::new(domain::Source::Current, &config.name, out, counters.clone());
        let interval = Duration::from_secs(config.interval_s.into());
        let (mut aside, mut due) = (Aside::new(), Instant::now());
        loop {
            let (path, channel) = (config.path.clone(), config.channel);
            let seen = tokio::select! {
                biased;
                () = stopped(&mut shutdown) => return Ok(()),
                seen = aside.run(move || look(&path, channel)) => seen.and_then(|seen| seen),
            };
            let wait = match seen {
                Ok(seen) => {
                    counters.add("current.messages", &config.name, 1);
                    presence.up().await?;
                    let frame = self.frame(seen, clock.mono());
                    presence.send(SourceEvent::Frame(Box::new(frame))).await?;
                    interval
                }
                Err(error) => {
                    presence.down(&error).await?;
                    interval.min(RETRY_MAX)
                }
            };
            due = (due + wait).max(Instant::now());
            tokio::select! {
                () = stopped(&mut shutdown) => return Ok(()),
                () = sleep_until(due) => {}
            }
        }
    }
}

/// What a channel shows.
struct Seen {
    millivolts: f64,
    /// Raw, scale and offset as they were read.
    text: String,
}

/// The kernel's sysfs-bus-iio: millivolts are (raw + offset) * scale.
fn look(path: &Path, channel: u8) -> Result<Seen> {
    let of_channel = |what: &str| path.join(format!("in_voltage{channel}_{what}"));
    let shared = |what: &str| path.join(format!("in_voltage_{what}"));
    let raw = of_channel("raw");
    let text = sysfs::read(&raw).with_context(|| {
        format!("read {} (is the converter connected, and its driver loaded?)", raw.display())
    })?;
    let either = |what: &str| match sysfs::read(&of_channel(what)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => sysfs::read(&shared(what)),
        read => read,
    };
    let scale = either("scale").with_context(|| format!("read the scale of {}", raw.display()))?;
    // Few converters have one.
    let offset = match either("offset") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => "0".to_owned(),
        read => read.with_context(|| format!("read the offset of {}", raw.display()))?,
    };
    let number = |text: &str, what: &str| {
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        number.with_context(|| format!("read {}: its {what} is {text:?}, no number", raw.display()))
    };
    let millivolts = (number(&text, "value")? + number(&offset, "offset")?) * number(&scale, "scale")?;
    Ok(Seen { millivolts, text: format!("{text} {scale} {offset}") })
}
