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
use tokio::sync::{Mutex, Semaphore};

use crate::clock::Clock;
use crate::counters::Counters;
use crate::domain::MonoMs;
use crate::pipeline::vitals;
use crate::store::Store;
use crate::store::checkup::CutOff;
use crate::store::figures::{self, Figures};
use crate::uplink;

pub use serve::run;

/// The database's figures are read at most this often, however many ask.
const FIGURES_KEPT_MS: i64 = 15_000;
/// Beyond, they are left out. An open read keeps the writer from reusing its WAL, so it is also cut off.
const FIGURES_MAX: Duration = Duration::from_secs(4);
/// Beyond, the machine's are left out: its disk hangs.
const MACHINE_MAX: Duration = Duration::from_secs(4);

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
pub struct KeptFigures {
    kept: Mutex<Option<(MonoMs, Option<Figures>)>>,
    of_database: OneThread,
    of_machine: OneThread,
}

/// All figures, as text.
async fn page(sources: &Sources) -> String {
    let figures = sources.figures().await;
    let state_dir = sources.state_dir.clone();
    let machine = sources.figures.of_machine.run(MACHINE_MAX, move || machine::read(&state_dir)).await;
    show::show(&show::Facts {
        now: sources.clock.mono(),
        vitals: sources.vitals.borrow().clone(),
        counters: sources.counters.snapshot(),
        uplink: sources.uplink.status(),
        figures,
        machine: machine.unwrap_or_default(),
    })
}

impl Sources {
    /// One reader at a time: who asks meanwhile waits for its figures.
    async fn figures(&self) -> Option<Figures> {
        let mut kept = self.figures.kept.lock().await;
        let now = self.clock.mono();
        if let Some((at, figures)) = &*kept
            && now.0 - at.0 < FIGURES_KEPT_MS
        {
            return figures.clone();
        }
        // Dropped when it took too long, or nobody waits any more; either ends the read.
        let cut_off = CutOff::default();
        let (bound, state_dir) = (cut_off.bound(), self.state_dir.clone());
        let read = move || {
            let mut connection = Store::reader(&state_dir)?;
            bound.bind(&mut connection)?;
            figures::read(&connection)
        };
        let read = self.figures.of_database.run(FIGURES_MAX, read).await;
        let figures = match read.map(|read| read.map_err(anyhow::Error::from)) {
            Ok(Ok(figures)) => Some(figures),
            Ok(Err(error)) | Err(error) => {
                tracing::warn!(%error, "failed to read the database's figures: {error:#}");
                None
            }
        };
        *kept = Some((now, figures.clone()));
        figures
    }
}

/// Work of a thread that may hang in the kernel: there is never a second one, however many ask.
struct OneThread(Arc<Semaphore>);

impl Default for OneThread {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl OneThread {
    async fn run<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let done = async {
            let place = self.0.clone().acquire_owned().await?;
            let work = move || {
                let done = work();
                // Not before: whoever waited may be gone, and the thread is not.
                drop(place);
                done
            };
            Ok(tokio::task::spawn_blocking(work).await?)
        };
        let done = tokio::time::timeout(limit, done).await;
        done.unwrap_or_else(|_| Err(anyhow::anyhow!("the disk did not answer within {} s", limit.as_secs())))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_thread_that_hangs_has_no_second_beside_it() {
        let thread = OneThread::default();
        let (begun, begins) = mpsc::channel();
        let (end, ends) = mpsc::channel::<()>();
        let hanging = {
            let begun = begun.clone();
            move || {
                begun.send("first").unwrap();
                ends.recv().unwrap();
            }
        };
        // No time at all: it begins, and nobody waits for it.
        assert!(thread.run(Duration::ZERO, hanging).await.is_err());
        assert_eq!(begins.recv(), Ok("first"));
        let second = {
            let begun = begun.clone();
            move || begun.send("second").unwrap()
        };
        assert!(thread.run(Duration::ZERO, second).await.is_err());
        end.send(()).unwrap();
        let third = move || begun.send("third").unwrap();
        assert!(thread.run(Duration::from_mins(10), third).await.is_ok());
        assert_eq!(begins.recv(), Ok("third"));
    }
}
