//! The simulated kitchen: sensors that speak real payloads through a real line, for a demonstration and for tests.

mod central;
pub mod cluster;

pub mod encode;
mod keys;
pub mod kitchen;
mod link;
mod news;
mod screen;
mod sensors;
mod show;
mod simulate;
mod stage;

pub use show::{DemoArgs, demo};
pub use simulate::{SimulateArgs, simulate};

use std::io::Write as _;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

/// Returns at Ctrl-C, at SIGTERM, or when the terminal goes.
async fn until_told_to_stop() -> Result<()> {
    let listen = |kind| signal(kind).context("wait for signals");
    let mut interrupted = listen(SignalKind::interrupt())?;
    let mut terminated = listen(SignalKind::terminate())?;
    let mut hung_up = listen(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
        _ = hung_up.recv() => {}
    }
    Ok(())
}

/// One line to standard output.
fn say(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}
