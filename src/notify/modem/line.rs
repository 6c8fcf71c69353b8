//! The serial port of a modem: everything that waits.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use anyhow::{Error, Result, anyhow};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_serial::{SerialPortBuilderExt, SerialStream};
use tracing::{debug, info, warn};

use super::desk::{Desk, Order};
use super::dialogue::{Dialogue, Event, ModemStatus, Odd, Settings};
use crate::config::{ModemSection, Secret};
use crate::counters::Counters;
use crate::domain::MonoMs;
use crate::notify::{Failure, Receipt, Report};

/// A person who plugs the modem in again looks whether it works; a message that comes meanwhile tries at once.
const REOPEN_EVERY: Duration = Duration::from_secs(2);
/// A command has a few hundred bytes; a port that does not take them in this time hangs.
const WRITE_MAX: Duration = Duration::from_secs(5);
/// The kernel's own buffer of a terminal.
const READ_BYTES_MAX: usize = 4_096;
/// Reports that wait for whoever hears them: as many as there are references.
const REPORTS_WAITING_MAX: usize = 256;

/// A message and who waits for what becomes of it.
pub struct Job {
    /// None: it was handed to the modem.
    pub order: Option<Order>,
    pub answer: oneshot::Sender<Result<Receipt, Failure>>,
}

/// A configured modem, to be run by a task.
pub struct Line {
    config: ModemSection,
    jobs: mpsc::Receiver<Job>,
    shown: watch::Sender<ModemStatus>,
    reports: mpsc::Sender<Report>,
    counters: Counters,
    /// Instants of the dialogue count from here.
    origin: Instant,
    dialogue: Dialogue,
    desk: Desk,
    job: Option<Job>,
    waiting: VecDeque<Report>,
}

enum Ended {
    Stopped,
    Lost(String),
}

impl Line {
    pub(super) fn new(
        config: ModemSection,
        jobs: mpsc::Receiver<Job>,
        shown: watch::Sender<ModemStatus>,
        reports: mpsc::Sender<Report>,
        counters: Counters,
        joint: u8,
    ) -> Self {
        let (mode, has_reports) = (config.mode, config.delivery_reports);
        Self {
            config,
            jobs,
            shown,
            reports,
            counters,
            origin: Instant::now(),
            dialogue: Dialogue::new(Settings { mode, reports: has_reports }),
            desk: Desk::new(mode, has_reports, joint),
            job: None,
            waiting: VecDeque::new(),
        }
    }

    /// Runs until the hub stops. A port or modem that comes and goes is no error.
    pub async fn run(mut self, mut shutdown: watch::Receiver<bool>) -> Result<()> {
        loop {
            let ended = match self.open() {
                Ok(port) => self.talk(port, &mut shutdown).await,
                Err(error) => Ended::Lost(format!("{error:#}")),
            };
            match ended {
                Ended::Stopped => return Ok(()),
                Ended::Lost(problem) => self.lost(&problem),
            }
            tokio::select! {
                biased;
                () = stopped(&mut shutdown) => return Ok(()),
                Some(job) = self.jobs.recv() => self.job = Some(job),
                () = sleep(REOPEN_EVERY) => {}
            }
        }
    }

    fn open(&self) -> Result<SerialStream> {
        let path = self.config.path.to_string_lossy();
        tokio_serial::new(path.clone(), self.config.baud).open_native_async().map_err(|error| {
            let remedy = remedy(&error);
            Error::new(error).context(format!("open the modem's port {path}{remedy}"))
        })
    }

    /// Speaks over an open port until it is lost or the hub stops.
    async fn talk(&mut self, mut port: SerialStream, shutdown: &mut watch::Receiver<bool>) -> Ended {
        self.dialogue.opened();
        let mut buffer = vec![0; READ_BYTES_MAX];
        loop {
            if let Err(lost) = self.work(&mut port).await {
                return Ended::Lost(lost);
            }
            let deadline = self.instant(self.dialogue.deadline());
            tokio::select! {
                biased;
                () = stopped(shutdown) => {
                    self.dialogue.cancel();
                    // What is not cancelled now is cancelled by the next start.
                    let _ = self.write(&mut port).await;
                    return Ended::Stopped;
                }
                () = sleep_until(deadline) => self.dialogue.tick(self.now()),
                () = given_up(&mut self.job) => {
                    self.job = None;
                    self.dialogue.abort(self.now());
                }
                Some(job) = self.jobs.recv(), if self.job.is_none() => self.job = Some(job),
                () = hand_on(&mut self.waiting, &self.reports), if !self.waiting.is_empty() => {}
                // Last, since a modem that babbles without end is always ready.
                read = port.read(&mut buffer) => match self.heard(read) {
                    Ok(count) => self.dialogue.feed(&buffer[..count], self.now()),
                    Err(error) => return Ended::Lost(format!("{error:#}")),
                },
            }
        }
    }

    /// Does what can be done without waiting for the modem; an error: it is lost.
    async fn work(&mut self, port: &mut SerialStream) -> Result<(), String> {
        loop {
            // Before anything is judged lost: what is half said may be cancelled by it.
            self.write(port).await.map_err(|error| format!("{error:#}"))?;
            self.events()?;
            self.begin();
            self.write(port).await.map_err(|error| format!("{error:#}"))?;
            self.show();
            if !self.can_begin() {
                return Ok(());
            }
        }
    }

    fn can_begin(&self) -> bool {
        let is_ordered = self.job.as_ref().is_some_and(|job| job.order.is_some());
        self.dialogue.is_idle() && (is_ordered || self.dialogue.is_look_due(self.now()))
    }

    /// Begins what is next, where nothing is in hand.
    fn begin(&mut self) {
        if !self.can_begin() {
            return;
        }
        let now = self.now();
        if self.job.as_ref().is_some_and(|job| job.answer.is_closed()) {
            self.job = None;
            return;
        }
        if self.dialogue.wants_pin() {
            let pin = self.config.pin_file.as_deref();
            self.dialogue.set_pin(pin.map(|path| Secret::read(path).map_err(|error| format!("{error:#}"))));
        }
        match self.job.as_mut().and_then(|job| job.order.take()) {
            Some(order) => {
                let bodies = self.desk.take(order);
                if bodies.is_empty() {
                    self.sent();
                } else {
                    self.dialogue.send(bodies, now);
                }
            }
            None => self.dialogue.look(now),
        }
    }

    /// An error: nobody answers any more.
    fn events(&mut self) -> Result<(), String> {
        while let Some(event) = self.dialogue.next_event() {
            match event {
                Event::Accepted(reference) => self.desk.accepted(reference),
                Event::Sent => self.sent(),
                Event::Failed(failure) => {
                    self.counters.add("sms.failed", "", 1);
                    self.desk.stopped();
                    self.answer(Err(failure));
                }
                Event::Report(report) => {
                    self.counters.add("sms.reports", "", 1);
                    if let Some(report) = self.desk.report(report, self.now()) {
                        self.tell(report);
                    }
                }
                Event::Odd(odd) => self.count(&odd),
                Event::Lost(problem) => return Err(problem),
            }
        }
        Ok(())
    }

    /// All parts of the message in hand that there were to send are with the network.
    fn sent(&mut self) {
        let receipt = self.desk.receipt(self.dialogue.status().signal_dbm);
        if receipt.is_ok() {
            self.counters.add("sms.sent", "", 1);
        }
        if self.answer(receipt) {
            for report in self.desk.handed_over(self.now()) {
                self.tell(report);
            }
        } else {
            self.desk.not_handed_over();
        }
    }

    /// Answers whoever waits; false: nobody does.
    fn answer(&mut self, answer: Result<Receipt, Failure>) -> bool {
        // An order that was not begun is another message.
        let job = self.job.take_if(|job| job.order.is_none());
        job.is_some_and(|job| job.answer.send(answer).is_ok())
    }

    fn tell(&mut self, report: Report) {
        if self.waiting.len() < REPORTS_WAITING_MAX {
            self.waiting.push_back(report);
        } else {
            self.count(&Odd::ReportDropped);
        }
    }

    fn count(&self, odd: &Odd) {
        match odd {
            Odd::LongLine(bytes) => self.counters.add("sms.bytes_of_long_lines", "", *bytes),
            Odd::BadReport(error) => {
                self.counters.add("sms.reports_not_understood", "", 1);
                debug!(error = %error, "dropped a status report of the modem: {error}");
            }
            Odd::ReportDropped => {
                self.counters.add("sms.reports_dropped", "", 1);
                warn!("dropped a status report of the modem: too many wait to be heard");
            }
        }
    }

    /// The port or the modem is gone: whoever waits hears it.
    fn lost(&mut self, problem: &str) {
        self.dialogue.closed(problem);
        // Nothing is lost twice.
        let _ = self.events();
        if let Some(job) = self.job.take() {
            self.counters.add("sms.failed", "", 1);
            // Who gave up meanwhile need not hear it.
            let _ = job.answer.send(Err(Failure::Later(problem.to_owned())));
        }
        self.show();
    }

    /// Tells of what has changed.
    fn show(&self) {
        let status = self.dialogue.status();
        self.shown.send_if_modified(|shown| {
            if *shown == *status {
                return false;
            }
            match &status.problem {
                Some(problem) if shown.problem.as_ref() != Some(problem) => {
                    warn!(modem.port = %self.config.path.display(), "no SMS can be sent: {problem}");
                }
                None if shown.problem.is_some() => {
                    info!(modem.port = %self.config.path.display(), "SMS can be sent again");
                }
                _ => {}
            }
            shown.clone_from(status);
            true
        });
    }

    async fn write(&mut self, port: &mut SerialStream) -> Result<()> {
        let out = self.dialogue.take_out();
        if out.is_empty() {
            return Ok(());
        }
        let path = self.config.path.display();
        match timeout(WRITE_MAX, port.write_all(&out)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Error::new(error).context(format!("write to the modem's port {path}"))),
            Err(_elapsed) => {
                Err(anyhow!("the modem's port {path} takes no bytes; unplug it and plug it in again"))
            }
        }
    }

    fn heard(&self, read: io::Result<usize>) -> Result<usize> {
        let gone = || format!("the modem on {} is gone (unplugged?)", self.config.path.display());
        match read {
            Ok(0) => Err(anyhow!(gone())),
            Ok(count) => Ok(count),
            Err(error) => Err(Error::new(error).context(gone())),
        }
    }

    fn now(&self) -> MonoMs {
        MonoMs(self.origin.elapsed().as_millis() as i64)
    }

    fn instant(&self, at: MonoMs) -> Instant {
        self.origin + Duration::from_millis(at.0.max(0) as u64)
    }
}

/// Returns when nobody waits for the message in hand any more; never without one.
async fn given_up(job: &mut Option<Job>) {
    match job {
        Some(job) => job.answer.closed().await,
        None => std::future::pending().await,
    }
}

/// Hands on the first report as soon as there is room.
async fn hand_on(waiting: &mut VecDeque<Report>, reports: &mpsc::Sender<Report>) {
    match reports.reserve().await {
        Ok(permit) => {
            if let Some(report) = waiting.pop_front() {
                permit.send(report);
            }
        }
        // Nobody will ever hear them.
        Err(_closed) => waiting.clear(),
    }
}

async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a stop too.
    let _ = shutdown.wait_for(|stop| *stop).await;
}

fn remedy(error: &tokio_serial::Error) -> &'static str {
    match error.kind() {
        tokio_serial::ErrorKind::Io(io::ErrorKind::PermissionDenied) => {
            " (add the hub's user to group dialout)"
        }
        tokio_serial::ErrorKind::Io(io::ErrorKind::NotFound) => " (is the modem plugged in?)",
        // So says the crate of a port that is locked.
        tokio_serial::ErrorKind::NoDevice => " (another program holds it, ModemManager perhaps)",
        _ => "",
    }
}
