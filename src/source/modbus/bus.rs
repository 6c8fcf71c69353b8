use std::io;
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_serial::{ClearBuffer, SerialPort, SerialPortBuilderExt, SerialStream, StopBits};

use crate::config::{ModbusSection, Parity};
use crate::framing::modbus::{Answer, FRAME_BYTES_MAX, Failure, Request};
use crate::source::serial::remedy;

/// What is kept of what a line carries in place of an answer: noise, the request as an adapter repeats it, one frame.
const HEARD_BYTES_MAX: usize = 2 * FRAME_BYTES_MAX;

/// An open port.
pub struct Bus {
    port: SerialStream,
    path: String,
    timeout: Duration,
    gap: Duration,
}

impl Bus {
    pub fn open(config: &ModbusSection) -> Result<Self> {
        let path = config.path.to_string_lossy().into_owned();
        let parity = match config.parity {
            Parity::None => tokio_serial::Parity::None,
            Parity::Even => tokio_serial::Parity::Even,
            Parity::Odd => tokio_serial::Parity::Odd,
        };
        let stop_bits = if config.stop_bits == 2 { StopBits::Two } else { StopBits::One };
        let port = tokio_serial::new(&path, config.baud)
            .parity(parity)
            .stop_bits(stop_bits)
            .open_native_async()
            .map_err(|error| {
                let remedy = remedy(&error);
                Error::new(error).context(format!("open serial port {path}{remedy}"))
            })?;
        let milliseconds = |ms: u32| Duration::from_millis(ms.into());
        Ok(Self { port, path, timeout: milliseconds(config.timeout_ms), gap: milliseconds(config.gap_ms) })
    }

    /// The outer error: the port is lost.
    pub async fn ask(&mut self, request: Request) -> Result<Result<Answer, Failure>> {
        sleep(self.gap).await;
        self.write(&request.bytes()).await.with_context(|| format!("write to serial port {}", self.path))?;
        let deadline = Instant::now() + self.timeout;
        let mut heard = Vec::new();
        loop {
            let read = match timeout_at(deadline, self.read()).await {
                Err(_elapsed) => return Ok(Err(request.failure(&heard))),
                Ok(read) => read.with_context(|| format!("read serial port {}", self.path))?,
            };
            heard.extend(read);
            let excess = heard.len().saturating_sub(HEARD_BYTES_MAX);
            heard.drain(..excess);
            if let Some(answer) = request.find(&heard) {
                return Ok(Ok(answer));
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        // What is left of an answer that came too late.
        self.port.clear(ClearBuffer::Input)?;
        let written = timeout(self.timeout, self.port.write_all(bytes)).await;
        written.map_err(|_elapsed| anyhow!("it takes no bytes"))?.map_err(gone)
    }

    async fn read(&mut self) -> Result<Vec<u8>> {
        let mut buffer = vec![0; FRAME_BYTES_MAX];
        match self.port.read(&mut buffer).await {
            Ok(0) => Err(anyhow!("the device is gone")),
            Ok(count) => {
                buffer.truncate(count);
                Ok(buffer)
            }
            Err(error) => Err(gone(error)),
        }
    }
}

/// The kernel says "input/output error" of a port that was pulled out.
fn gone(error: io::Error) -> Error {
    match error.raw_os_error() {
        Some(libc::EIO) => anyhow!("the device is gone"),
        _ => error.into(),
    }
}
