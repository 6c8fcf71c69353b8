//! The uplink: sends batches, polls the configuration, asks the time. It holds nothing that must survive; the store does
//! (`store::batches`), and the core that owns the writing connection answers it through `Port`.

mod answer;
mod client;
mod credentials;
mod enrol;
mod lenient;
mod meter;
mod poll;
mod port;
pub mod probe;
mod session;
mod shown;
#[cfg(test)]
mod tests;

pub use client::check_url;
pub use credentials::secrets;
pub use enrol::{Commit, EnrolPort, Enrolment, enrol};
pub use port::{Etags, Port, Signals};
pub use shown::{LaneShown, Shown, Status};

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use frostguard_sync::wire::Lane;

use crate::clock::{CertificateTime, Clock};
use client::Client;
use session::Session;

/// After credentials that do not fit, or a store that does not answer.
const PAUSE: Duration = Duration::from_mins(1);
/// The last try at shutdown, both lanes together.
const LAST_TRY_MAX: Duration = Duration::from_secs(5);

/// What the uplink is given.
pub struct Options {
    /// Holds the credentials file.
    pub state_dir: PathBuf,
    pub ca_file: Option<PathBuf>,
    /// Between two cuts of new readings.
    pub interval: Duration,
    /// Between two polls when nothing is sent; at most 5 min.
    pub poll: Duration,
    pub clock: Arc<dyn Clock>,
    pub certificate_time: CertificateTime,
    /// Uniform over u64, for the jitter of retries.
    pub random: Arc<dyn Fn() -> u64 + Send + Sync>,
}

/// Runs until `shutdown`; before the enrolment it waits for one. An error is the store's: the uplink itself never ends
/// for anything the network does.
pub async fn run<P: Port>(
    options: Options,
    port: Arc<P>,
    signals: Arc<Signals>,
    shown: Shown,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<()> {
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let opened = open(&options, &port, &signals, &shown).await;
        let session = match opened {
            Ok(Some(session)) => session,
            Ok(None) => {
                tokio::select! {
                    () = &mut shutdown => return Ok(()),
                    () = signals.link.notified() => continue,
                }
            }
            Err(error) => {
                shown.failed(None, &format!("{error:#}"));
                tracing::error!(error = format!("{error:#}"), "failed to begin uploading");
                tokio::select! {
                    () = &mut shutdown => return Ok(()),
                    () = signals.link.notified() => continue,
                    () = tokio::time::sleep(PAUSE) => continue,
                }
            }
        };
        tokio::select! {
            result = session.lane(Lane::State) => result?,
            result = session.lane(Lane::Readings) => result?,
            result = session.poll() => result?,
            () = signals.link.notified() => tracing::info!("the enrolment changed; beginning anew"),
            () = &mut shutdown => {
                // What was under way is dropped: a batch is the same when it is sent again.
                let _timed_out = tokio::time::timeout(LAST_TRY_MAX, session.last_try()).await;
                return Ok(());
            }
        }
    }
}

/// A session with the receiver the hub is enrolled with; None before the enrolment.
async fn open<P: Port>(
    options: &Options,
    port: &Arc<P>,
    signals: &Arc<Signals>,
    shown: &Shown,
) -> Result<Option<Session<P>>> {
    let Some(link) = port.link().await? else {
        shown.set(|status| status.is_enrolled = false);
        return Ok(None);
    };
    let credentials = credentials::load(&options.state_dir, link.credential_digest)?;
    let client = Client::new(
        &link.receiver_url,
        options.ca_file.as_deref(),
        options.certificate_time.clone(),
        Some(credentials.token()),
    )?;
    shown.set(|status| status.is_enrolled = true);
    Ok(Some(Session::new(options, client, link, Arc::clone(port), Arc::clone(signals), shown.clone())))
}
