//! `run`: the hub as a service.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat};
use crate::counters::Counters;
use crate::hub::{self, Parts};

/// After everything is committed and told.
const STRAGGLERS_MAX: Duration = Duration::from_secs(1);

pub fn run(path: Option<&Path>) -> Result<()> {
    let config = Config::load(path)?;
    start_logging(&config);
    for warning in config.check().warnings {
        tracing::warn!("{warning}");
    }
    hub::install_crypto();
    hub::prepare_state_dir(&config.hub.state_dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("start the runtime")?;
    let ended = runtime.block_on(async {
        let (stop, shutdown) = watch::channel(false);
        // systemd stops by SIGTERM, a terminal by SIGINT.
        let mut terminated = signal(SignalKind::terminate()).context("wait for SIGTERM")?;
        let mut interrupted = signal(SignalKind::interrupt()).context("wait for SIGINT")?;
        let clock = hub::system_clock(&config)?;
        let socket = config.control_socket();
        let claim = tokio::select! {
            claim = hub::claim(&config.hub.state_dir, &socket) => claim?,
            _ = terminated.recv() => return Ok(()),
            _ = interrupted.recv() => return Ok(()),
        };
        let parts = Parts {
            lock: claim.lock,
            control: Some(claim.listener),
            clock: clock.clone(),
            real_clock: clock,
            counters: Counters::default(),
            random: hub::system_random(),
            shutdown,
            service: hub::Service::of_environment(),
        };
        let hub = hub::run(config, parts);
        tokio::pin!(hub);
        tokio::select! {
            ended = &mut hub => return ended,
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
        // The hub holds a receiver, so the send cannot fail while it runs.
        let _ = stop.send(true);
        hub.await
    });
    // A thread that waits for broken hardware in the kernel cannot be ended, and must not hold the stop up.
    runtime.shutdown_timeout(STRAGGLERS_MAX);
    ended
}

fn start_logging(config: &Config) {
    let filter =
        EnvFilter::try_from_env("FROSTGUARD_LOG").unwrap_or_else(|_| EnvFilter::new(&config.log.level));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log.format {
        LogFormat::Text => builder.with_ansi(false).init(),
        LogFormat::Json => builder.json().init(),
    }
}
