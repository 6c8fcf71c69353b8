//! Radio modules and gateways on serial ports: opened, lost, replugged and opened again without a restart.

use std::io;
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow};
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_serial::{SerialPortBuilderExt, SerialStream};
use tracing::debug;

use super::presence::{Presence, Retry};
use super::{Source, SourceContext, stopped};
use crate::clock::Clock;
use crate::config::SerialSection;
use crate::counters::Counters;
use crate::domain;
use crate::frame::SourceEvent;
use crate::framing::{Decoder, IDLE_MS, Item, Noise};

/// A person who plugs an adapter in again looks whether it works.
const REOPEN_MAX: Duration = Duration::from_secs(5);
/// The kernel's own buffer of a terminal.
const READ_BYTES_MAX: usize = 4_096;

/// A configured port.
pub struct Serial {
    config: SerialSection,
}

impl Serial {
    pub fn new(config: SerialSection) -> Self {
        Self { config }
    }

    fn open(&self) -> Result<SerialStream> {
        open(&self.config.path.to_string_lossy(), self.config.baud())
    }
}

/// Opens a port for this process alone.
pub fn open(path: &str, baud: u32) -> Result<SerialStream> {
    tokio_serial::new(path, baud).open_native_async().map_err(|error| {
        let remedy = remedy(&error);
        Error::new(error).context(format!("open serial port {path}{remedy}"))
    })
}

/// What to do about a port that does not open, where that is known; ends the sentence.
pub fn remedy(error: &tokio_serial::Error) -> &'static str {
    match error.kind() {
        tokio_serial::ErrorKind::Io(io::ErrorKind::PermissionDenied) => {
            " (add the hub's user to group dialout)"
        }
        tokio_serial::ErrorKind::Io(io::ErrorKind::NotFound) => " (is the adapter plugged in?)",
        // So says the crate of a port that is locked.
        tokio_serial::ErrorKind::NoDevice => " (another program holds it)",
        _ => "",
    }
}

impl Source for Serial {
    async fn run(self, context: SourceContext) -> Result<()> {
        // Nothing here is ever acknowledged: a serial line cannot repeat.
        let SourceContext { out, clock, counters, mut shutdown, .. } = context;
        let mut presence = Presence::new(domain::Source::Serial, &self.config.name, out, counters.clone());
        let mut retry = Retry::new(REOPEN_MAX);
        loop {
            let lost = match self.open() {
                Ok(port) => {
                    let mut hearing = Hearing {
                        config: &self.config,
                        port,
                        decoder: Decoder::with_data(self.config.preset, self.config.data),
                        clock: clock.as_ref(),
                        counters: &counters,
                        presence: &mut presence,
                        retry: &mut retry,
                    };
                    match hearing.until_lost(&mut shutdown).await? {
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

/// An open port.
struct Hearing<'a> {
    config: &'a SerialSection,
    port: SerialStream,
    decoder: Decoder,
    clock: &'a dyn Clock,
    counters: &'a Counters,
    presence: &'a mut Presence,
    retry: &'a mut Retry,
}

enum Ended {
    Stopped,
    Lost(Error),
}

impl Hearing<'_> {
    async fn until_lost(&mut self, shutdown: &mut watch::Receiver<bool>) -> Result<Ended> {
        loop {
            // Stops only between two reads: what was read is handed on.
            let read = tokio::select! {
                biased;
                () = stopped(shutdown) => return Ok(Ended::Stopped),
                read = self.read() => read,
            };
            match read {
                Ok(bytes) => self.take(&bytes).await?,
                Err(error) => return Ok(Ended::Lost(error)),
            }
        }
    }

    /// The next bytes; none: the line is idle.
    async fn read(&mut self) -> Result<Vec<u8>> {
        let mut buffer = vec![0; READ_BYTES_MAX];
        let path = &self.config.path;
        let lost = || format!("read serial port {}", path.display());
        match timeout(Duration::from_millis(IDLE_MS), self.port.read(&mut buffer)).await {
            Err(_elapsed) => Ok(Vec::new()),
            Ok(Ok(0)) => Err(anyhow!("the device is gone")).with_context(lost),
            Ok(Ok(count)) => {
                buffer.truncate(count);
                Ok(buffer)
            }
            Ok(Err(error)) => Err(error).with_context(lost),
        }
    }

    /// Waits while the pipeline is busy; meanwhile the kernel keeps what comes, and loses what exceeds its buffer.
    async fn take(&mut self, bytes: &[u8]) -> Result<()> {
        // Not when it opens: a broken cable opens and is lost many times a minute, and each change is written down.
        self.presence.up().await?;
        if bytes.is_empty() {
            self.decoder.idle();
        } else {
            self.retry.succeeded();
            self.decoder.push(bytes);
        }
        let at = self.clock.mono();
        while let Some(item) = self.decoder.next() {
            let name = &self.config.name;
            match item {
                Item::Message(message) => {
                    self.counters.add("serial.messages", name, 1);
                    let mut frame = message.into_frame(name, at);
                    frame.model = frame.model.or_else(|| self.config.model.clone());
                    self.presence.send(SourceEvent::Frame(Box::new(frame))).await?;
                }
                Item::Notice(text) => {
                    self.counters.add("serial.notices", name, 1);
                    debug!(source.port = %name, "module on {name} says {text:?}");
                }
                Item::Noise { reason, dropped, sample } => {
                    let counter = match reason {
                        Noise::NotUnderstood => "serial.bytes_not_understood",
                        Noise::TooLong => "serial.bytes_of_long_lines",
                    };
                    self.counters.add(counter, name, dropped as u64);
                    debug!(
                        source.port = %name,
                        "dropped {dropped} bytes from {name}: {}: {}",
                        reason.as_str(),
                        sample.escape_ascii()
                    );
                }
            }
        }
        Ok(())
    }
}
