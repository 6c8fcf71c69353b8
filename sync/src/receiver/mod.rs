//! The receiver: takes batches from hubs into PostgreSQL, exactly once, and gives configuration back.
//!
//! It keeps nothing between requests: copies of it share a database and need no other coordination. What is decided
//! about a batch is decided under its ledger row (`hub_sync.lane`), locked and written with the rows.

pub mod admin;
mod admission;
mod alerts;
mod auth;
mod batches;
mod civil;
pub mod cli;
pub mod clock;
pub mod codes;
pub mod config;
mod copy;
mod database_tls;
pub mod db;
mod dead_letters;
mod down;
mod enrol;
mod http;
mod image;
mod keys;
mod linger;
mod metrics;
mod ownership;
mod presence;
mod problem;
mod readings;
pub mod retry;
mod rows;
mod security;
mod serve;
mod snapshot;
mod snapshot_tables;
mod tables;

use std::future::Future;
use std::sync::Arc;

use anyhow::Context;
use deadpool_postgres::Pool;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::net::TcpListener;

pub use clock::{Clock, ManualClock, SystemClock};
pub use config::Config;
pub use db::{Migrated, migrate};

/// What every request uses.
struct App {
    pool: Pool,
    gate: admission::Gate,
    budget: admission::Budget,
    clock: Arc<dyn Clock>,
    random: SystemRandom,
    key: keys::ReceiverKey,
    metrics: metrics::Metrics,
    etags: down::EtagCache,
    behind_proxy: bool,
}

impl App {
    fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Spreads retries; without randomness they come together, no worse.
    fn random_u32(&self) -> u32 {
        let mut bytes = [0u8; 4];
        self.random.fill(&mut bytes).map_or(0, |()| u32::from_le_bytes(bytes))
    }
}

/// Serves hubs on `listener` until `shutdown`, by the system's clock; then finishes what is under way.
pub async fn run(
    config: Config,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    run_with_clock(config, Arc::new(SystemClock), listener, shutdown).await
}

/// The same with a clock of the caller's.
pub async fn run_with_clock(
    config: Config,
    clock: Arc<dyn Clock>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    config.check()?;
    let address = listener.local_addr().context("read the listener's address")?;
    if config.tls.is_none() && !config.behind_proxy && !address.ip().is_loopback() {
        anyhow::bail!(
            "listen on {address} without TLS: set [tls], or behind_proxy = true if a proxy ends TLS"
        );
    }
    let tls = config.tls.as_ref().map(serve::acceptor).transpose()?;
    let database = config.database()?;
    let client = db::connect(&database).await?;
    db::check_catalogue(&client).await?;
    let key = keys::ReceiverKey::load(&client, clock.now_ms()).await?;
    drop(client);
    let app = Arc::new(App {
        pool: db::pool(&database, config.database_connections)?,
        gate: admission::Gate::new(config.database_connections),
        budget: admission::Budget::default(),
        clock,
        random: SystemRandom::new(),
        key,
        metrics: metrics::Metrics::default(),
        etags: down::EtagCache::default(),
        behind_proxy: config.behind_proxy,
    });
    tracing::info!(address = %address, tls = tls.is_some(), "the receiver listens on {address}");
    let sweeps = tokio::spawn(presence::sweep_forever(Arc::clone(&app)));
    let served = serve::serve(listener, http::router(app), tls, config.clients_max, shutdown).await;
    sweeps.abort();
    served
}
