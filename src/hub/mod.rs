//! Wiring: the core, its sources, the control socket and the uplink, from start to a clean stop.

mod alone;
mod claim;
mod enroller;
mod people;
mod port;
mod power;
mod service;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::clock::{CertificateTime, Clock, SystemClock};
use crate::codec::Codecs;
use crate::config::{Config, LorawanSection};
use crate::control::{Request, socket};
use crate::counters::Counters;
use crate::domain::MonoMs;
use crate::frame::SourceEvent;
use crate::metrics;
use crate::pipeline::driver::{CoreHandle, JOBS_QUEUED_MAX, drive};
use crate::pipeline::lorawan::Ends;
use crate::pipeline::settings::{Mode, Settings};
use crate::pipeline::{Core, Random};
use crate::source::ble::Ble;
use crate::source::current::Current;
use crate::source::gateways::Gateways;
use crate::source::modbus::Modbus;
use crate::source::mqtt::Mqtt;
use crate::source::onewire::OneWire;
use crate::source::serial::Serial;
use crate::source::stations::Stations;
use crate::source::{self, Acks, EVENTS_QUEUED_MAX, Source, SourceContext};
use crate::store::StateLock;
use crate::uplink::{self, Shown, Signals};

pub use self::alone::answer_without_hub;
pub use self::claim::{Claim, HOLDER_LOOKS_MAX, HOLDER_PAUSE, claim};
use self::enroller::Enroller;
use self::people::{Channels, Needs};
pub use self::service::Service;

/// From SIGTERM to the end: drain, last commit, last upload attempt, checkpoint.
const STOP_MAX: Duration = Duration::from_secs(20);

/// What `run` is given beside the configuration.
pub struct Parts {
    /// Of the state folder.
    pub lock: StateLock,
    pub control: Option<UnixListener>,
    pub clock: Arc<dyn Clock>,
    /// The machine's own clock, by which certificates are judged; never a scaled one.
    pub real_clock: Arc<dyn Clock>,
    pub counters: Counters,
    pub random: Random,
    /// Tells when to stop.
    pub shutdown: watch::Receiver<bool>,
    /// Who is told that the hub is up and well.
    pub service: Service,
}

/// Runs the hub until `parts.shutdown`. Any task that ends before is an error that ends the daemon.
pub async fn run(config: Config, parts: Parts) -> Result<()> {
    let Parts { lock, control, clock, real_clock, counters, random, shutdown, service } = parts;
    let settings = Settings::of(&config, Mode::Service);
    let codecs = settings.codecs.clone();
    let mut core = Core::open_locked(settings, lock, clock.clone(), counters.clone(), random)?;
    if config.power.is_watched() {
        core.watch_power();
    }
    let certificates = CertificateTime::new(real_clock.clone(), core.floor());
    core.vouch_for(certificates.clone());
    let (signals, shown) = (Arc::new(Signals::default()), Shown::default());
    let woken = signals.clone();
    core.on_urgent(Box::new(move || woken.wake_state()));
    let wake = Arc::new(watch::Sender::new(0));
    let waking = wake.clone();
    core.on_calls(Box::new(move || waking.send_modify(|count| *count += 1)));
    let (frames_in, frames_out) = mpsc::channel(EVENTS_QUEUED_MAX);
    let (jobs_in, jobs_out) = mpsc::channel(JOBS_QUEUED_MAX);
    let handle = CoreHandle::new(jobs_in);
    // The sources stop first; the core stops when everything they heard is drained.
    let (stop_core, core_stops) = watch::channel(false);

    let gateways = core.connect_gateways();
    let vitals = core.show_vitals();
    let mut tasks: JoinSet<Result<&'static str>> = JoinSet::new();
    let mut contexts = Contexts {
        acks: Acks::default(),
        frames: frames_in,
        clock: clock.clone(),
        counters: counters.clone(),
        shutdown: shutdown.clone(),
        made: 0,
    };
    spawn_sources(&config, &mut tasks, &mut contexts, &codecs, &certificates);
    if let (Some(section), Some(ends)) = (config.lorawan.clone(), gateways) {
        spawn_gateways(section, ends, &mut tasks, &mut contexts);
    }
    // Only the sources hold the sending ends from here on.
    let Contexts { acks, .. } = contexts;

    let core_thread = std::thread::Builder::new()
        .name("core".into())
        .spawn(move || drive(core, frames_out, jobs_out, acks, core_stops))
        .context("start the core thread")?;

    let needs = Needs {
        core: &handle,
        wake,
        certificates: &certificates,
        counters: &counters,
        shutdown: &shutdown,
        joint: random_u64() as u8,
    };
    let channels = Channels::start(&config.notify, &needs, &mut tasks);
    drop(needs);
    power::spawn(&config.power, &mut tasks, &handle, &clock, &shutdown);
    let kept = usize::from(control.is_some());
    if let Some(listener) = control {
        let enroller = Enroller::new(&config, handle.clone(), certificates.clone(), signals.clone());
        let (handle, shown, channels) = (handle.clone(), shown.clone(), channels.clone());
        let (uid, uplinks) = (own_uid()?, real_clock.clone());
        tasks.spawn(async move {
            socket::serve(listener, uid, move |request| {
                let (handle, enroller, shown) = (handle.clone(), enroller.clone(), shown.clone());
                let (channels, now) = (channels.clone(), uplinks.mono());
                async move { answer(&handle, &enroller, &channels, (&shown, now), request).await }
            })
            .await?;
            Ok("control")
        });
    }

    if config.metrics.enabled {
        let sources = metrics::Sources {
            clock: clock.clone(),
            counters: counters.clone(),
            vitals,
            uplink: shown.clone(),
            state_dir: config.hub.state_dir.clone(),
            figures: metrics::KeptFigures::default(),
        };
        let (section, stop) = (config.metrics.clone(), shutdown.clone());
        tasks.spawn(async move { metrics::run(section, sources, stop).await.map(|()| "metrics") });
    }

    if config.uplink.enabled {
        let options = uplink_options(&config, real_clock, certificates);
        let (handle, stop) = (Arc::new(handle.clone()), shutdown.clone());
        tasks.spawn(async move {
            let mut stop = stop;
            uplink::run(options, handle, signals, shown, async move { source::stopped(&mut stop).await })
                .await?;
            Ok("uplink")
        });
    }

    tasks.spawn(service::watch(service, handle.clone(), shutdown.clone()));
    service.ready();
    let ended = wait_for_end(&mut tasks, kept, shutdown, &core_thread).await;
    let drained = tokio::time::timeout(STOP_MAX, async {
        // Sources and the uplink stop by the same signal; the control socket only by being dropped.
        let _ = stop_core.send(true);
        drop(handle);
        tokio::task::spawn_blocking(move || core_thread.join()).await
    })
    .await;
    tasks.shutdown().await;
    match drained {
        Ok(Ok(Ok(result))) => result.and(ended),
        Ok(_) => bail!("the core thread ended by a panic"),
        Err(_) => bail!("the last commit took longer than {} s", STOP_MAX.as_secs()),
    }
}

/// Ok: told to stop. An error: a task ended early.
async fn wait_for_end(
    tasks: &mut JoinSet<Result<&'static str>>,
    kept: usize,
    mut shutdown: watch::Receiver<bool>,
    core: &std::thread::JoinHandle<Result<()>>,
) -> Result<()> {
    let mut look = tokio::time::interval(Duration::from_millis(200));
    loop {
        tokio::select! {
            () = source::stopped(&mut shutdown) => {
                info!("stopping");
                return stop_tasks(tasks, kept).await;
            }
            Some(ended) = tasks.join_next() => match ended {
                // Tasks end by the same signal, and one may be heard of before it.
                Ok(Ok(_)) if *shutdown.borrow() => {}
                Ok(Ok(name)) => bail!("task {name} ended early"),
                Ok(Err(error)) => return Err(error.context("a task failed")),
                Err(error) => bail!("a task ended by a panic: {error}"),
            },
            _ = look.tick() => if core.is_finished() { bail!("the core thread ended early"); },
        }
    }
}

/// Waits for sources and uplink, which see the same signal; what does not end in time is dropped. `kept`: the control
/// socket, where there is one, serves until the end.
async fn stop_tasks(tasks: &mut JoinSet<Result<&'static str>>, kept: usize) -> Result<()> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while tasks.len() > kept
        && let Ok(Some(ended)) = tokio::time::timeout_at(deadline, tasks.join_next()).await
    {
        if let Ok(Err(error)) = ended {
            warn!(%error, "a task failed while stopping: {error:#}");
        }
    }
    Ok(())
}

/// Makes each source's context.
struct Contexts {
    acks: Acks,
    frames: mpsc::Sender<SourceEvent>,
    clock: Arc<dyn Clock>,
    counters: Counters,
    shutdown: watch::Receiver<bool>,
    made: u16,
}

impl Contexts {
    fn next(&mut self) -> SourceContext {
        self.made += 1;
        SourceContext {
            number: self.made,
            out: self.frames.clone(),
            acks: self.acks.open(self.made),
            clock: self.clock.clone(),
            counters: self.counters.clone(),
            shutdown: self.shutdown.clone(),
        }
    }
}

fn spawn_sources(
    config: &Config,
    tasks: &mut JoinSet<Result<&'static str>>,
    contexts: &mut Contexts,
    codecs: &Arc<Codecs>,
    certificates: &CertificateTime,
) {
    for port in &config.serial {
        let (source, context) = (Serial::new(port.clone()), contexts.next());
        tasks.spawn(async move { source.run(context).await.map(|()| "serial") });
    }
    for broker in &config.mqtt {
        let source = Mqtt::new(broker.clone(), codecs.clone(), certificates.clone());
        let context = contexts.next();
        tasks.spawn(async move { source.run(context).await.map(|()| "mqtt") });
    }
    for bus in &config.modbus {
        let (source, context) = (Modbus::new(bus.clone()), contexts.next());
        tasks.spawn(async move { source.run(context).await.map(|()| "modbus") });
    }
    if let Some(section) = &config.onewire {
        let (source, context) = (OneWire::new(section.clone()), contexts.next());
        tasks.spawn(async move { source.run(context).await.map(|()| "onewire") });
    }
    for section in &config.current {
        let (source, context) = (Current::new(section.clone()), contexts.next());
        tasks.spawn(async move { source.run(context).await.map(|()| "current") });
    }
    if let Some(section) = &config.ble {
        let (source, context) = (Ble::new(section.clone()), contexts.next());
        tasks.spawn(async move { source.run(context).await.map(|()| "ble") });
    }
}

fn spawn_gateways(
    section: LorawanSection,
    ends: Ends,
    tasks: &mut JoinSet<Result<&'static str>>,
    contexts: &mut Contexts,
) {
    let Ends { orders, station_orders, listed, wall } = ends;
    if let Some(source) = Stations::new(&section, station_orders, listed.clone(), wall) {
        let context = contexts.next();
        tasks.spawn(async move { source.run(context).await.map(|()| "stations") });
    }
    let (source, context) = (Gateways::new(section, orders, listed), contexts.next());
    tasks.spawn(async move { source.run(context).await.map(|()| "lorawan") });
}

async fn answer(
    handle: &CoreHandle,
    enroller: &Enroller,
    channels: &Channels,
    (shown, now): (&Shown, MonoMs),
    request: Request,
) -> Result<Value> {
    match request {
        Request::Enroll(request) => enroller.enrol(request).await,
        Request::NotifyTest(request) => channels.test(handle, &request).await,
        request => {
            let is_status = matches!(request, Request::Status);
            let mut value = handle.call(move |core| core.request(&request)).await??;
            if is_status {
                value["sync"]["uplink"] = shown.json(now);
                value["people"]["modem"] = channels.modem();
                value["people"]["lines"] = channels.lines();
                value["hub"]["pid"] = std::process::id().into();
            }
            Ok(value)
        }
    }
}

/// Uniform over u64, from the operating system.
fn random_u64() -> u64 {
    let mut bytes = [0; 8];
    system_random()(&mut bytes);
    u64::from_be_bytes(bytes)
}

fn uplink_options(
    config: &Config,
    clock: Arc<dyn Clock>,
    certificate_time: CertificateTime,
) -> uplink::Options {
    uplink::Options {
        state_dir: config.hub.state_dir.clone(),
        ca_file: config.uplink.ca_file.clone(),
        interval: Duration::from_secs(config.uplink.interval_s.into()),
        poll: Duration::from_secs(config.uplink.poll_s.into()),
        clock,
        certificate_time,
        random: Arc::new(random_u64),
    }
}

/// The machine's clocks, as far as they are to be believed.
pub fn system_clock(config: &Config) -> Result<Arc<dyn Clock>> {
    let clock = SystemClock::new()?;
    Ok(Arc::new(if config.clock.use_rtc { clock } else { clock.without_rtc() }))
}

/// The operating system's randomness.
pub fn system_random() -> Random {
    use ring::rand::SecureRandom;
    let random = ring::rand::SystemRandom::new();
    Box::new(move |bytes: &mut [u8]| {
        // getrandom(2) fails only where the kernel has none, before any hub could start.
        random.fill(bytes).expect("the kernel gives randomness");
    })
}

/// The folder of the state, made with mode 0700.
pub fn prepare_state_dir(path: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("make the state folder {}", path.display()))
}

/// Makes ring the one crypto provider of every TLS connection; before the first of them.
pub fn install_crypto() {
    // Fails only when one is installed already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The user the hub runs as: the owner of what it makes.
fn own_uid() -> Result<u32> {
    use std::os::unix::fs::MetadataExt;
    Ok(std::fs::metadata("/proc/self").context("look at the hub's own process")?.uid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stopping_waits_for_all_but_the_control_socket() {
        for kept in [0, 1] {
            let mut tasks: JoinSet<Result<&'static str>> = JoinSet::new();
            tasks.spawn(async { Ok("serial") });
            tasks.spawn(async { Ok("uplink") });
            for _ in 0..kept {
                tasks.spawn(std::future::pending());
            }
            stop_tasks(&mut tasks, kept).await.unwrap();
            assert_eq!(tasks.len(), kept);
        }
    }
}
