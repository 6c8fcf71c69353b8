//! The core: everything between a frame and the store, on one thread that owns the writing connection.
//!
//! `Core` is synchronous and driven: `hear` takes what sources say, `tick` lets time pass, `request` answers people, and
//! `driver` is the thin loop around them.

mod aging;
pub mod calibrate;
pub mod calls;
mod contacts;
pub mod decide;
pub mod dispatch;
pub mod driver;
pub mod duplicates;
pub mod group;
pub mod live;
pub mod lorawan;
pub mod reading_time;
pub mod registry;
pub mod scripts;
pub mod settings;
pub mod standing;
pub mod vitals;
pub mod walk;
mod words;
pub mod writer;

mod entered;
mod housekeeping;
mod ingest;
mod judging;
mod pairing;
pub mod people;
mod power;
mod redecode;
mod requests;
mod saved;
mod scripted;
mod senders;
mod start;
pub mod sync;
mod time;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use anyhow::Result;

use crate::clock::trust::Trust;
use crate::clock::{CertificateTime, Clock};
use crate::counters::Counters;
use crate::domain::{DeviceNo, MonoMs, Seq, Stamp, UnitNo};
use crate::frame::{AckToken, Frame, SourceEvent};
use crate::notify::Report;
use crate::notify::plan::Plan;
use crate::rules::{self, Decision, Event, Tick};
use crate::store::Store;
use crate::store::epochs::EpochRow;
use crate::store::frames::KeptFrame;
use crate::store::registry::Place;

use self::duplicates::Duplicates;
use self::group::{Group, Write};
use self::live::Live;
use self::registry::Registry;
use self::senders::{Impostors, Senders};
use self::settings::Settings;
use self::standing::Standings;
use self::time::Times;

/// Bytes of randomness on demand.
pub type Random = Box<dyn FnMut(&mut [u8]) + Send>;

/// The hub's memory and its store.
pub struct Core {
    pub(crate) store: Store,
    pub(crate) settings: Settings,
    clock: Arc<dyn Clock>,
    random: Random,
    pub(crate) counters: Counters,
    trust: Trust,
    times: Times,
    segment: u32,
    place: Place,
    pub(crate) registry: Registry,
    rules: rules::State,
    /// Judging time = monotonic time + this, since the last start.
    tick_base: i64,
    epoch: EpochRow,
    next_seq: u64,
    duplicates: Duplicates,
    senders: Senders,
    impostors: Impostors,
    live: Live,
    group: Group,
    /// Acknowledgements of what is committed, for the next tick to hand out: any request may commit.
    releasable: Vec<AckToken>,
    /// The newest instant anything was judged at, which never goes back. Only judging moves it, so that a frame that
    /// waited for a commit keeps its own time.
    now: MonoMs,
    decisions: Vec<Decision>,
    sources: BTreeMap<String, SourceState>,
    timers: Timers,
    power: power::PowerState,
    failing: Option<Failing>,
    committed: u64,
    commit_times: vitals::CommitTimes,
    /// Copies for those who watch the hub, where anybody does.
    showing: Option<vitals::Showing>,
    /// The wall offset the rules were last told (of judging time); None before they were told anything.
    told_offset: Option<Told>,
    /// Judges certificates by the largest time known to be past.
    certificates: Option<CertificateTime>,
    /// Calls to people that are due.
    plan: Plan,
    standing: Standings,
    early_reports: VecDeque<Report>,
    /// Alerts whose noise a person stopped at the button, with the calls made about them until then.
    silenced: BTreeMap<uuid::Uuid, u32>,
    /// The hub's own network server, where one is configured.
    network: Option<Box<lorawan::Network>>,
    /// Open pairing sessions.
    pairings: Vec<pairing::Pairing>,
    scripts: scripts::Scripts,
    /// Frames that wait for their script, oldest first.
    scripted: VecDeque<scripted::Waiting>,
    /// Those of former runs, whose time is not known yet.
    unplaced: Vec<(DeviceNo, KeptFrame)>,
    /// Called when a sender may have something to do, or the board may have changed.
    on_calls: Option<Box<dyn Fn() + Send>>,
    /// Called when something of lane 0 is committed that should not wait.
    on_urgent: Option<Box<dyn Fn() + Send>>,
}

/// A source as `status` shows it.
#[derive(Clone, Debug)]
pub struct SourceState {
    pub is_up: bool,
    pub since: MonoMs,
    pub reason: String,
}

/// What the rules were told of wall time; None: it is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told(Option<i64>);

#[derive(Clone, Copy, Debug, Default)]
struct Timers {
    observed: Option<MonoMs>,
    kept_house: MonoMs,
    settled: MonoMs,
    backed_up: Option<i64>,
}

/// The store refuses writes.
#[derive(Clone, Debug)]
pub struct Failing {
    pub since: MonoMs,
    pub tried: MonoMs,
    pub reason: String,
    pub is_loud: bool,
    /// A row, not the disk, is at fault: the next try leaves such rows out.
    pub is_logical: bool,
}

impl Core {
    /// Takes what a source says. Nothing is written until the group closes.
    pub fn hear(&mut self, event: SourceEvent) {
        let now = self.clock.mono();
        match event {
            SourceEvent::Frame(frame) => {
                self.hear_frame(&frame, now);
            }
            SourceEvent::Gateway(event) => self.hear_gateway(*event, now),
            SourceEvent::Refused { port, reason, bytes, at, ack } => {
                let is_kept = self.group.admit(now);
                self.counters.add("frames.refused", &port, 1);
                tracing::debug!(source.port = %port, "refused a message on {port}: {reason} ({} bytes)", bytes.len());
                let at = self.not_before(at);
                self.refuse(port, reason, bytes, at);
                self.keep_ack(ack, is_kept);
            }
            SourceEvent::Ignored { ack } => {
                // With the group, so that acknowledgements leave in the order in which messages came.
                self.group.opened.get_or_insert(now);
                self.keep_ack(ack, true);
            }
            SourceEvent::Up { port, .. } => self.source_changed(port, true, String::new(), now),
            SourceEvent::Down { port, reason, .. } => self.source_changed(port, false, reason, now),
        }
    }

    /// False: it is judged and not kept, so that whoever sent it must not hear that it was taken.
    fn hear_frame(&mut self, frame: &Frame, now: MonoMs) -> bool {
        if !self.pairings.is_empty() {
            self.complete_joinless(frame, now);
        }
        self.make_room_for_scripts();
        let heard_before = self.duplicates.mark();
        let is_kept = self.group.admit(now);
        self.take_frame(frame, is_kept);
        if !is_kept {
            // It will come again, and is no repeat then.
            self.duplicates.undo_after(heard_before);
        }
        self.keep_ack(frame.ack, is_kept);
        is_kept
    }

    /// Lets time pass: looks at the clocks, fires deadlines, closes a group that is due. Returns the acknowledgements of
    /// what is committed.
    pub fn tick(&mut self) -> Vec<AckToken> {
        let now = self.clock.mono();
        self.observe_clock(now);
        if self.rules.next_deadline().is_some_and(|deadline| deadline <= self.tick_at(now)) {
            // Stored, so that a restart knows what was decided without any other event, and until when it was watched.
            let at = self.not_before(now);
            self.take_input(Event::Tick, Stamp { segment: self.segment, mono: at });
        }
        self.judge_network(now);
        self.expire_pairings(now);
        self.flush_if_due(now);
        // Not before what devices wait for is stored and answered, and one at a time: more may have come meanwhile.
        if self.decode_waiting() {
            self.flush_if_due(self.clock.mono());
        }
        report(self.decode_placed(), "decode what the hub had stored before it stopped");
        self.keep_house(now);
        self.tend_power(now);
        std::mem::take(&mut self.releasable)
    }

    /// How long the driver may sleep, in ms of this clock.
    pub fn sleep_ms(&self) -> i64 {
        if !self.scripted.is_empty() {
            return 0;
        }
        let now = self.clock.mono();
        let window = self.group.opened.map(|opened| opened.0 + self.settings.window_ms);
        let deadline = self.rules.next_deadline().map(|tick| tick.0 - self.tick_base);
        let network = self.network_deadline();
        [window, deadline, network].into_iter().flatten().map(|at| at - now.0).fold(1_000, i64::min).max(0)
    }

    fn keep_ack(&mut self, ack: Option<AckToken>, is_kept: bool) {
        // What did not fit into memory is not acknowledged: its broker sends it again.
        if is_kept {
            self.group.acks.extend(ack);
        }
    }

    fn source_changed(&mut self, port: String, is_up: bool, reason: String, now: MonoMs) {
        let known = self.sources.get(&port).map(|source| source.is_up);
        if known == Some(is_up) {
            return;
        }
        if is_up {
            tracing::info!(source.port = %port, "source {port} is up");
        } else {
            tracing::warn!(source.port = %port, "source {port} is down: {reason}");
        }
        if is_up {
            self.plan.end_outage(&port);
        }
        self.sources.insert(port.clone(), SourceState { is_up, since: now, reason });
        let now = self.not_before(now);
        let event = if is_up { Event::SourceUp { name: port } } else { Event::SourceDown { name: port } };
        self.take_input(event, Stamp { segment: self.segment, mono: now });
    }

    fn next_seq(&mut self) -> Seq {
        let seq = Seq(self.next_seq);
        self.next_seq += 1;
        seq
    }

    fn tick_at(&self, at: MonoMs) -> Tick {
        Tick(at.0 + self.tick_base)
    }

    fn not_before(&mut self, at: MonoMs) -> MonoMs {
        self.now = self.now.max(at);
        self.now
    }

    /// Bytes for ids and keys.
    pub(crate) fn random_bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.random)(&mut bytes);
        bytes
    }
}

/// What `status` and other answers look at.
impl Core {
    /// The largest wall time known to be past.
    pub(crate) fn floor(&self) -> crate::domain::UnixMs {
        self.trust.floor()
    }

    /// `wake` is called after each commit that holds an alert or a person's entry.
    pub fn on_urgent(&mut self, wake: Box<dyn Fn() + Send>) {
        self.on_urgent = Some(wake);
    }

    /// `wake` is called when a sender may have something to do, and when the board may have changed.
    pub fn on_calls(&mut self, wake: Box<dyn Fn() + Send>) {
        self.on_calls = Some(wake);
    }

    /// Keeps `certificates` from being judged at a time before the largest one known.
    pub(crate) fn vouch_for(&mut self, certificates: CertificateTime) {
        self.certificates = Some(certificates);
    }

    pub(crate) fn sources(&self) -> &BTreeMap<String, SourceState> {
        &self.sources
    }

    pub(crate) fn epoch(&self) -> crate::domain::Epoch {
        self.epoch.epoch
    }

    /// Why the present epoch began.
    pub(crate) fn epoch_reason(&self) -> &str {
        &self.epoch.reason
    }

    pub(crate) fn segment(&self) -> u32 {
        self.segment
    }

    /// Groups committed since the start.
    pub fn committed(&self) -> u64 {
        self.committed
    }

    /// Bytes written to the database's WAL since the start.
    pub fn wal_bytes_written(&self) -> u64 {
        self.store.wal_bytes_written()
    }

    pub(crate) fn failing(&self) -> Option<&Failing> {
        self.failing.as_ref()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.group.writes.iter().filter(|write| matches!(write, Write::Log(_))).count()
    }

    pub(crate) fn clock_quality(&self) -> &'static str {
        self.trust.boot().placement.map_or("untrusted", |placement| placement.quality.as_str())
    }

    pub(crate) fn unit_view(&self, unit: UnitNo) -> Option<rules::UnitView> {
        self.rules.unit(unit)
    }

    pub(crate) fn last_of(&self, unit: UnitNo) -> Option<&live::LiveUnit> {
        self.live.units.get(&unit)
    }

    pub(crate) fn live_of(&self, device: DeviceNo) -> Option<&live::LiveDevice> {
        self.live.devices.get(&device)
    }
}

/// Used where an error of one step must not end the daemon but must be heard of.
fn report(result: Result<()>, what: &str) {
    if let Err(error) = result {
        tracing::error!(%error, "failed to {what}: {error:#}");
    }
}

#[cfg(test)]
mod tests;
