//! A serial line: a pseudo-terminal opened as the hub opens a radio module's port, a message heard and bytes sent back.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_serial::{SerialPort as _, SerialStream};

use super::{Bench, Surroundings};
use crate::framing::{Decoder, Item, Message, Preset};
use crate::source::serial;

/// Many times what bytes through the kernel take.
const WAIT_MAX: Duration = Duration::from_secs(5);
const BAUD: u32 = 115_200;
const MESSAGE: &[u8] = b"{\"id\":\"selftest\",\"temperature_c\":3.94,\"counter\":412}\r\n";
/// Bytes that a terminal would change or obey were it not raw.
const RAW: &[u8] = b"AT+\x03\x04\x11\x13\xff\r\n";

pub fn check(bench: &Bench) -> Result<String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")?;
    runtime.block_on(round_trip(bench.surroundings))
}

async fn round_trip(surroundings: Surroundings) -> Result<String> {
    let (mut module, far) = SerialStream::pair().context("open a pseudo-terminal; is /dev/pts mounted?")?;
    let path = far.name().context("name the pseudo-terminal")?;
    let (mut port, how) = match surroundings {
        Surroundings::Machine => (serial::open(&path, BAUD)?, ""),
        Surroundings::Emulator => (far, "; its rate was not set (--emulated)"),
    };
    module.write_all(MESSAGE).await.context("write to the pseudo-terminal")?;
    let message =
        timeout(WAIT_MAX, hear(&mut port)).await.context("wait for a message on a serial line")??;
    if message.address != "selftest" || message.counter != Some(412) {
        bail!("read another message from a serial line than was written: from {}", message.address);
    }
    pass(&mut module, &mut port).await?;
    pass(&mut port, &mut module).await?;
    Ok(format!("a message came through {path}, bytes went both ways unchanged{how}"))
}

async fn hear(port: &mut SerialStream) -> Result<Message> {
    let mut decoder = Decoder::new(Preset::Json);
    let mut buffer = [0; 256];
    loop {
        let count = port.read(&mut buffer).await.context("read from the pseudo-terminal")?;
        decoder.push(&buffer[..count]);
        match decoder.next() {
            None => {}
            Some(Item::Message(message)) => return Ok(message),
            Some(_) => bail!("read something else from a serial line than was written"),
        }
    }
}

async fn pass(from: &mut SerialStream, to: &mut SerialStream) -> Result<()> {
    from.write_all(RAW).await.context("write to the pseudo-terminal")?;
    let mut heard = [0; RAW.len()];
    timeout(WAIT_MAX, to.read_exact(&mut heard))
        .await
        .context("wait for bytes on a serial line")?
        .context("read from the pseudo-terminal")?;
    if heard != RAW {
        bail!("read {} from a serial line, not {}", heard.escape_ascii(), RAW.escape_ascii());
    }
    Ok(())
}
