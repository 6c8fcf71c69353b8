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
use tokio::sync::watch;

/// Turns true at Ctrl-C, at SIGTERM, or when the terminal goes; from the call on none of them ends the program itself.
fn listen_for_stop() -> Result<watch::Receiver<bool>> {
    let listen = |kind| signal(kind).context("wait for signals");
    let mut interrupted = listen(SignalKind::interrupt())?;
    let mut terminated = listen(SignalKind::terminate())?;
    let mut hung_up = listen(SignalKind::hangup())?;
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
            _ = hung_up.recv() => {}
        }
        stop.send_replace(true);
    });
    Ok(stopped)
}

/// One line to standard output.
fn say(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}
