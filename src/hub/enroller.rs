//! Enrolment when a person asks for it, with a running hub and without one.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use super::{install_crypto, system_clock, system_random};
use crate::clock::CertificateTime;
use crate::config::{Config, Secret};
use crate::counters::Counters;
use crate::pipeline::Core;
use crate::pipeline::driver::{CoreHandle, JOBS_QUEUED_MAX, drive};
use crate::pipeline::settings::{Mode, Settings};
use crate::source::{Acks, EVENTS_QUEUED_MAX};
use crate::uplink::{self, Signals};

/// Enrols this hub when a person asks for it.
#[derive(Clone)]
pub struct Enroller {
    core: CoreHandle,
    state_dir: PathBuf,
    ca_file: Option<PathBuf>,
    certificate_time: CertificateTime,
    signals: Arc<Signals>,
    /// One enrolment at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Enroller {
    pub fn new(
        config: &Config,
        core: CoreHandle,
        certificate_time: CertificateTime,
        signals: Arc<Signals>,
    ) -> Self {
        Self {
            core,
            state_dir: config.hub.state_dir.clone(),
            ca_file: config.uplink.ca_file.clone(),
            certificate_time,
            signals,
            turn: Arc::default(),
        }
    }

    pub async fn enrol(&self, request: crate::control::Enroll) -> Result<Value> {
        let _turn = self.turn.lock().await;
        let random = ring::rand::SystemRandom::new();
        let enrolment = uplink::Enrolment {
            url: &request.url,
            code: Secret::new(request.code),
            unit_map: request.unit_map,
            create_units: request.create_units,
            replace: request.replace,
            state_dir: &self.state_dir,
            ca_file: self.ca_file.as_deref(),
            certificate_time: self.certificate_time.clone(),
            random: &random,
        };
        let enrolled = uplink::enrol(&self.core, enrolment).await?;
        // Before anything is sent.
        let before = self.core.call(|core| core.before_bound()).await??;
        self.signals.wake_link();
        let mut said = format!("enrolled with {}; {} rows took central ids", request.url, enrolled.ids.len());
        let (bound, count) = before.unwrap_or_default();
        if count > 0 {
            let older =
                format!("; {count} readings before {bound} stay on the hub: central takes none so old");
            said.push_str(&older);
        }
        Ok(serde_json::json!({
            "said": said, "ids": enrolled.ids.len(), "history_from": bound, "readings_before": count,
        }))
    }
}

/// Enrols while no hub runs: the core runs for as long as it takes.
pub fn enrol_without_hub(config: &Config, request: &crate::control::Enroll) -> Result<Value> {
    install_crypto();
    let clock = system_clock(config)?;
    let settings = Settings::of(config, Mode::Change);
    let core = Core::open(settings, clock.clone(), Counters::default(), system_random())?;
    let certificates = CertificateTime::new(clock, core.floor());
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")?;
    let (frames_in, frames_out) = mpsc::channel(EVENTS_QUEUED_MAX);
    let (jobs_in, jobs_out) = mpsc::channel(JOBS_QUEUED_MAX);
    let (stop, stops) = watch::channel(false);
    drop(frames_in);
    let thread = std::thread::spawn(move || drive(core, frames_out, jobs_out, Acks::default(), stops));
    let enroller = Enroller::new(config, CoreHandle::new(jobs_in), certificates, Arc::default());
    let answer = runtime.block_on(enroller.enrol(request.clone()));
    // The thread holds the receiver until it ends.
    let _ = stop.send(true);
    match thread.join() {
        Ok(closed) => closed.and(answer),
        Err(_) => bail!("the core thread ended by a panic"),
    }
}
