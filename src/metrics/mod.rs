//! Figures of a running hub for a fleet's board, in Prometheus' text format at `/metrics`. They are read from counters,
//! from copies that the core makes every few seconds, and from a connection of their own to the database: whoever asks,
//! however often, neither holds the writer nor makes the core wait.

mod machine;
mod serve;
mod show;
mod text;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::counters::Counters;
use crate::domain::MonoMs;
use crate::pipeline::vitals;
use crate::store::Store;
use crate::store::figures::{self, Figures};
use crate::uplink;

pub use serve::run;

/// The database's figures are read at most this often, however many ask.
const FIGURES_KEPT_MS: i64 = 15_000;
/// Beyond, they are left out. An open read keeps the writer from reusing its WAL, so it is also cut off.
const FIGURES_MAX: Duration = Duration::from_secs(4);

/// Where figures come from.
pub struct Sources {
    pub clock: Arc<dyn Clock>,
    pub counters: Counters,
    pub vitals: vitals::Shown,
    pub uplink: uplink::Shown,
    pub state_dir: PathBuf,
    pub figures: KeptFigures,
}

/// The newest figures of the database, and when they were read.
#[derive(Default)]
pub struct KeptFigures(Mutex<Option<(MonoMs, Option<Figures>)>>);

/// All figures, as text.
async fn page(sources: &Sources) -> String {
    let figures = sources.figures().await;
    let state_dir = sources.state_dir.clone();
    // A disk that hangs makes one thread wait, and no figures.
    let machine = tokio::task::spawn_blocking(move || machine::read(&state_dir)).await.unwrap_or_default();
    show::show(&show::Facts {
        now: sources.clock.mono(),
        vitals: sources.vitals.borrow().clone(),
        counters: sources.counters.snapshot(),
        uplink: sources.uplink.status(),
        figures,
        machine,
    })
}

impl Sources {
    /// One reader at a time: who asks meanwhile waits for its figures.
    async fn figures(&self) -> Option<Figures> {
        let mut kept = self.figures.0.lock().await;
        let now = self.clock.mono();
        if let Some((at, figures)) = &*kept
            && now.0 - at.0 < FIGURES_KEPT_MS
        {
            return figures.clone();
        }
        let state_dir = self.state_dir.clone();
        let figures = match read_figures(state_dir).await {
            Ok(figures) => Some(figures),
            Err(error) => {
                tracing::warn!(%error, "failed to read the database's figures: {error:#}");
                None
            }
        };
        *kept = Some((now, figures.clone()));
        figures
    }
}

async fn read_figures(state_dir: PathBuf) -> Result<Figures> {
    let connection = tokio::task::spawn_blocking(move || Store::reader(&state_dir)).await??;
    let interrupt = connection.get_interrupt_handle();
    let mut read = tokio::task::spawn_blocking(move || figures::read(&connection));
    let read = match tokio::time::timeout(FIGURES_MAX, &mut read).await {
        Ok(read) => read,
        Err(_) => {
            interrupt.interrupt();
            read.await
        }
    };
    Ok(read??)
}
