//! Gathering: thin steps, each within a time of its own. A step that hangs leaves its thread behind and says so.

mod brokers;
mod channels;
mod database;
mod disk;
mod files;
mod hub;
mod net;
mod ports;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::facts::{Clock, Configuration, Facts, Found, Hub, SignIn};
use crate::clock::{self, Clock as _, SystemClock};
use crate::config::Config;
use crate::control::Request;
use crate::domain::UnixMs;

pub use files::secrets as secret_files;

/// What each step may take; together a few minutes at most, however much hangs.
pub struct Limits {
    /// One answer of the running hub, which may be in the middle of a slow commit.
    pub ask_hub: Duration,
    /// A disk that takes longer to say how full it is hangs.
    pub disk: Duration,
    /// Beside a running hub an open read keeps its log from being reused; readers close within 5 s.
    pub database_beside_hub: Duration,
    pub database: Duration,
    /// All of /proc, on a machine with thousands of processes.
    pub ports: Duration,
    pub files: Duration,
    /// Connection and sign-in of one broker.
    pub broker: Duration,
    /// All of a conversation with the mail server; greylisting servers let a stranger wait.
    pub mail: Duration,
    pub dns: Duration,
    /// Of each address of a name.
    pub tcp: Duration,
    pub tls: Duration,
    pub request: Duration,
}

pub const LIMITS: Limits = Limits {
    ask_hub: Duration::from_secs(10),
    disk: Duration::from_secs(10),
    database_beside_hub: Duration::from_secs(4),
    database: Duration::from_mins(1),
    ports: Duration::from_secs(10),
    files: Duration::from_secs(5),
    broker: Duration::from_secs(10),
    mail: Duration::from_secs(40),
    dns: Duration::from_secs(10),
    tcp: Duration::from_secs(5),
    tls: Duration::from_secs(10),
    request: Duration::from_secs(20),
};
const SERVICE: &str = "frostguard-hub.service";
/// Brokers tried; a hub has a handful.
const BROKERS_MAX: usize = 16;
/// Webhooks tried; a hub has one or two.
const WEBHOOKS_MAX: usize = 16;

/// The configuration as far as it can be read, and what is wrong with it. One that cannot be read leaves the defaults.
pub fn configuration(path: Option<&Path>) -> (Config, Configuration) {
    let shown = path.map(|path| path.display().to_string());
    let read = path.map_or_else(|| Ok(Config::default()), Config::read);
    match read {
        Ok(config) => {
            let findings = config.check();
            // A credential of systemd's is the service's alone; whoever runs this has none, and may not look for its file.
            let is_own = |warning: &String| {
                !warning.contains("$CREDENTIALS_DIRECTORY") && !warning.contains("only root sees whether")
            };
            let warnings = findings.warnings.into_iter().filter(is_own).collect();
            (config, Configuration { path: shown, errors: findings.errors, warnings })
        }
        Err(error) => {
            let errors = vec![format!("{error:#}; what follows is of a hub with the defaults")];
            (Config::default(), Configuration { path: shown, errors, warnings: Vec::new() })
        }
    }
}

/// Everything. `path`: the configuration file. `random`: a nonce for the receiver's time.
pub async fn gather(path: Option<&Path>, system: &Arc<SystemClock>, random: [u8; 16]) -> Facts {
    let (config, configuration) = configuration(path);
    let hub = hub::look(&config).await;
    let (link, database) = database::look(&config, &hub, system.wall()).await;
    // At once: where the network is away, each waits for it in vain.
    let (disk, ports, brokers, mail, webhooks, net, files) = tokio::join!(
        disk::look(&config),
        ports::look(&config, &hub),
        brokers::look(&config, &hub, system),
        channels::mail(&config, &hub, system),
        channels::webhooks(&config, system),
        net::look(&config, link, system, random),
        files::look(&config, &hub, path),
    );
    Facts {
        clock: look_at_clock(system),
        disk,
        ports,
        brokers,
        has_modem: config.notify.modem.is_some(),
        mail,
        webhooks,
        net,
        files,
        configuration,
        hub,
        database,
    }
}

fn look_at_clock(system: &SystemClock) -> Clock {
    Clock {
        wall_ms: system.wall().0,
        built_ms: clock::BUILD_TIME.0,
        ntp: system.ntp(),
        rtc_ms: system.rtc().map(|rtc| rtc.0),
    }
}

/// Within `limit`.
async fn within<T>(limit: Duration, work: impl Future<Output = anyhow::Result<T>>) -> Found<T> {
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result.map_err(|error| format!("{error:#}")),
        Err(_) => Err(format!("no answer within {} s", limit.as_secs())),
    }
}

/// The same on a thread of its own, which may hang in the kernel.
async fn aside<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> Found<T> {
    within(limit, async { tokio::task::spawn_blocking(work).await? }).await
}

/// A credential that systemd gives the service, and only while it runs, by its bare name.
fn is_of_service(path: &Path) -> bool {
    path.components().count() == 1
}

/// Why a secret at `secret_path` cannot be had; None: it is a file.
fn not_given(path: &Path, hub: &Hub) -> Option<SignIn> {
    use std::os::unix::fs::MetadataExt;
    if !is_of_service(path) {
        return None;
    }
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    // The hub of a test or a bench is no service of systemd's.
    let is_service = |pid: u32| {
        let cgroup = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        cgroup.contains(SERVICE)
    };
    Some(match hub {
        Hub::Running(running) if is_root && is_service(running.pid) => {
            SignIn::NotGiven(path.display().to_string())
        }
        _ => SignIn::OfService,
    })
}

/// Where a secret's file is: systemd puts the service's credentials into a folder that root can read.
pub fn secret_path(path: &Path) -> PathBuf {
    let of_service = Path::new("/run/credentials").join(SERVICE).join(path);
    if is_of_service(path) && of_service.exists() { of_service } else { path.to_owned() }
}

/// The hub's own user: the owner of the data folder.
fn hub_uid(config: &Config) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(&config.hub.state_dir).ok().map(|folder| folder.uid())
}

fn seconds_since(then: std::time::SystemTime, now: UnixMs) -> Option<i64> {
    let then = then.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(now.0 / 1_000 - then.as_secs() as i64)
}

async fn ask(config: &Config, request: &Request) -> anyhow::Result<Option<serde_json::Value>> {
    let socket = config.control_socket();
    let asked = tokio::time::timeout(LIMITS.ask_hub, crate::control::socket::ask(&socket, request)).await;
    asked.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {} s", LIMITS.ask_hub.as_secs())))
}
