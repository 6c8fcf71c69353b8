//! From a database to a running core: open, find the place, replay what was judged, go on where it ended.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::audit::event_types::{EPOCH_BEGAN, HUB_STARTED};
use crate::audit::{Actor, Entity, Payload};
use crate::clock::trust::{Start, Trust};
use crate::clock::{Clock, Observation};
use crate::counters::Counters;
use crate::domain::{MonoMs, Seq, Stamp, UnixMs};
use crate::notify::plan::Plan;
use crate::rules::{self, At, Event, Gap, Tick};
use crate::store::audit;
use crate::store::boots::{self, Segment};
use crate::store::epochs;
use crate::store::registry::{self as rows, Place};
use crate::store::{OpenOptions, StateLock, Store, frames, latest, link};

use super::duplicates::Duplicates;
use super::group::{EventDraft, Group, Write};
use super::live::{Door, Live};
use super::registry::Registry;
use super::scripts::Scripts;
use super::senders::{Impostors, Senders};
use super::settings::{Mode, Settings};
use super::standing::Standings;
use super::time::Times;
use super::{Core, Random, Timers, walk};

/// Frames within this time are remembered over a restart for finding repeated ones.
const DUPLICATES_MS: i64 = 24 * 3_600_000;

/// Where the rules stood when the hub last wrote.
struct Replayed {
    state: rules::State,
    tick_base: i64,
    last: Option<Stamp>,
    /// The state of a door, and since when in judging time, which goes on over a restart.
    doors: BTreeMap<Door, (bool, Tick)>,
}

impl Core {
    /// Opens the store and brings the rules to where they were. The first group (the start itself) is committed here, so
    /// that a database that cannot be written is found before anything is heard.
    pub fn open(
        settings: Settings,
        clock: Arc<dyn Clock>,
        counters: Counters,
        random: Random,
    ) -> Result<Self> {
        crate::hub::prepare_state_dir(&settings.state_dir)?;
        let lock = StateLock::take(&settings.state_dir)?;
        Self::open_locked(settings, lock, clock, counters, random)
    }

    /// The same, with the folder's lock taken before.
    pub fn open_locked(
        settings: Settings,
        lock: StateLock,
        clock: Arc<dyn Clock>,
        counters: Counters,
        mut random: Random,
    ) -> Result<Self> {
        let is_for_looking = settings.mode == Mode::Look;
        let options = OpenOptions { is_for_looking, ..OpenOptions::new(&settings.state_dir) };
        let (mut store, report) = Store::open_locked(&options, lock, &mut *random)?;
        let opened = report.messages;
        for line in &opened {
            tracing::warn!("{line}");
        }
        let place = find_place(&mut store, &settings, clock.as_ref(), &mut random)?;
        let registry = Registry::load(store.connection(), place)?;
        let epoch = epochs::current(store.connection())?;
        let next_seq = epochs::next_seq(store.connection(), epoch.no)?.0;
        let known = boots::all(store.connection())?;
        let replayed = replay(&store)?;
        let is_first_row = audit::head(store.connection(), epoch.no)?.is_none();
        let seen = Observation::of(clock.as_ref());
        let begin = Start {
            segment: known.last().map_or(1, |segment| segment.no + 1),
            boot_id: clock.boot_id(),
            persisted: boots::persisted_wall(store.connection())?,
        };
        let (trust, clock_events) = Trust::begin(begin, seen);
        let gap = gap_since(replayed.last, &known, &trust, seen);
        let gap_ms = match gap {
            Gap::Known { ms } | Gap::AtLeast { ms } => ms,
        };
        let plan_limits = settings.notify.limits;
        let standing = Standings::load(store.connection())?;
        let scripts = Scripts::new(settings.scripts.clone(), &clock);
        let mut core = Core {
            tick_base: replayed.watched_until().0 + gap_ms - seen.mono.0,
            duplicates: Duplicates::new(),
            senders: Senders::with_two(replayed.state.two_senders()),
            impostors: Impostors::default(),
            live: Live::default(),
            times: Times::of_segments(&known),
            segment: trust.boot().segment,
            rules: replayed.state,
            epoch,
            next_seq,
            place,
            registry,
            trust,
            store,
            settings,
            clock,
            random,
            counters,
            group: Group::default(),
            releasable: Vec::new(),
            now: seen.mono,
            decisions: Vec::new(),
            sources: BTreeMap::new(),
            timers: Timers { kept_house: seen.mono, settled: seen.mono, ..Timers::default() },
            power: super::power::PowerState::default(),
            failing: None,
            committed: 0,
            commit_times: super::vitals::CommitTimes::default(),
            showing: None,
            told_offset: None,
            certificates: None,
            on_urgent: None,
            plan: Plan::new(plan_limits),
            standing,
            early_reports: VecDeque::new(),
            silenced: BTreeMap::new(),
            network: None,
            pairings: Vec::new(),
            scripts,
            scripted: VecDeque::new(),
            unplaced: Vec::new(),
            on_calls: None,
        };
        if is_first_row {
            core.note_epoch();
        }
        core.note_clock_events(clock_events);
        // After the segment began: before, this start has no place in wall time, and all ages would come out as 0.
        core.restore_live(&replayed.doors)?;
        core.restore_calls()?;
        let stamp = core.stamp_now();
        // Before any other input: nothing may fall due in the gap, in which nobody listened.
        if replayed.last.is_some() {
            core.take_input(Event::Started { gap }, stamp);
        }
        core.tell_offset();
        core.configure()?;
        core.end_forgotten();
        core.tell_facts()?;
        core.open_network().context("open the network server")?;
        core.load_pairings().context("load the open pairing sessions")?;
        let fields = [
            ("count", 1.into()),
            ("version", core.settings.names.firmware_version.clone().into()),
            ("gap_ms", gap_ms.into()),
            ("gap_known", matches!(gap, Gap::Known { .. }).into()),
            ("opened", opened.join("; ").into()),
        ];
        if core.settings.mode == Mode::Service {
            core.note(HUB_STARTED, Entity::Hub, fields, stamp.mono);
        }
        let is_new_boot = known.last().is_some_and(|last| last.boot.boot_id != core.trust.boot().boot_id);
        core.flush().context("write the start of the hub")?;
        core.decode_interrupted().context("decode what the hub had stored before it stopped")?;
        core.begin_power(replayed.last, is_new_boot, gap)?;
        // A start takes numbers: a copy that was made before it (by an upgrade, say) ends below this.
        if !is_for_looking {
            core.bear_witness();
        }
        Ok(core)
    }

    /// Alerts that stand in the database and that the rules do not know of any more (inputs of a former version were passed
    /// over): nothing would ever end them. Where the cause lasts the rules open another one.
    fn end_forgotten(&mut self) {
        let known: Vec<uuid::Uuid> = self.rules.open_alerts().map(|open| open.id).collect();
        let forgotten: Vec<(uuid::Uuid, crate::domain::UnitNo, crate::domain::AlertType)> = self
            .standing
            .open()
            .filter(|(id, _)| !known.contains(id))
            .map(|(id, standing)| (*id, standing.unit, standing.alert_type))
            .collect();
        let tick = self.tick_at(self.now);
        for (alert, unit, alert_type) in forgotten {
            let kind = format!("forgotten {alert}");
            let id = frostguard_sync::ids::decision_id(self.epoch.epoch, self.next_seq, &kind, unit.0, 0);
            let what = rules::What::Resolved { alert, alert_type, at: tick, by: None };
            self.decided(rules::Decision { tick, id, unit, what });
        }
    }

    /// Tells the rules the configuration, if it is another than they know.
    pub(super) fn configure(&mut self) -> Result<()> {
        // What waits was heard under the former one. A pairing, which does not wait for scripts, comes here with some.
        self.decode_all_waiting();
        self.registry = Registry::load(self.store.connection(), self.place)?;
        for name in &self.registry.unreadable_schedules {
            tracing::warn!("schedule of rule {name} cannot be read: the rule counts as always in force");
        }
        for (device, reason) in &self.registry.refused_calibrations {
            tracing::warn!("a calibration of device {} is ignored: {reason}", device.0);
        }
        let stamp = self.stamp_now();
        let config =
            self.registry.rule_config(&self.settings.constants, &self.settings.codecs, self.wall_of(stamp).0);
        self.take_input(Event::Configured(Box::new(config)), stamp);
        Ok(())
    }

    /// What the hub tells central of itself, where it changed (a new program, another network card).
    fn tell_facts(&mut self) -> Result<()> {
        if self.settings.mode != Mode::Service {
            return Ok(());
        }
        let stamp = self.stamp_now();
        let now = self.wall_of(stamp).0;
        let names = &self.settings.names;
        self.store.write(|tx| {
            link::set_hub_facts(tx, names.mac_address.as_deref(), &names.firmware_version, now)
        })?;
        Ok(())
    }

    /// The first row of an epoch's audit chain names the epoch before it.
    pub(super) fn note_epoch(&mut self) {
        let stamp = self.stamp_now();
        let former = self.epoch.former_epoch.zip(self.epoch.former_head.as_deref());
        let draft = EventDraft {
            stamp,
            event_type: EPOCH_BEGAN,
            actor: Actor::Hub,
            entity: Entity::Hub,
            entity_id: None,
            payload: Payload::of_epoch(&self.epoch.reason, former),
            description: EPOCH_BEGAN.describe(&[("reason", &self.epoch.reason)]),
            id: None,
        };
        self.group.push(Write::Event(Box::new(draft)));
    }

    fn restore_live(&mut self, doors: &BTreeMap<Door, (bool, Tick)>) -> Result<()> {
        for device in &self.registry.devices {
            self.live.note_device(device.no, device.battery, None, MonoMs(0));
            self.live.mark_device_written(device.no);
        }
        for (&door, &(is_open, since)) in doors {
            self.live.restore_door(door, is_open, MonoMs(since.0 - self.tick_base));
        }
        for unit in self.rules.units() {
            if let Some(last) = unit.last_reading {
                let mono = MonoMs(last.tick.0 - self.tick_base);
                let (wall, _) = self.wall_of(Stamp { segment: self.segment, mono });
                self.live.note_unit(unit.unit, last.temperature, None, wall.0);
            }
        }
        // What is newest must survive: a reading that was overtaken before the restart is late after it too. A time ahead of
        // now comes from a clock that was wrong, and would make everything late.
        if let Some(now) = self.wall_now(self.now) {
            for (device, probe, recorded) in
                latest::of_probes(self.store.connection(), self.registry.probes().collect())?
            {
                if recorded <= now {
                    self.live.note_reading(device, probe, recorded);
                }
            }
        }
        let stamp = Stamp { segment: self.segment, mono: self.now };
        let wall = self.wall_of(stamp).0;
        let now = self.tick_at(self.now);
        let recent = frames::recent(self.store.connection(), wall, DUPLICATES_MS)?;
        self.duplicates.preload(recent.iter().map(|known| (known.dedup, Tick(now.0 - known.age_ms))));
        Ok(())
    }
}

impl Replayed {
    /// Judging time of the last thing that was written; what the rules saw last may lie before it.
    fn watched_until(&self) -> Tick {
        self.last.map_or(self.state.tick(), |last| Tick(last.mono.0 + self.tick_base).max(self.state.tick()))
    }
}

fn find_place(
    store: &mut Store,
    settings: &Settings,
    clock: &dyn Clock,
    random: &mut Random,
) -> Result<Place> {
    if let Some(place) = rows::place(store.connection())? {
        return Ok(place);
    }
    let now_ms = clock.wall().max(crate::clock::BUILD_TIME).0;
    let mut id = || {
        let mut bytes = [0; 10];
        random(&mut bytes);
        frostguard_sync::ids::time_ordered_id(now_ms, bytes)
    };
    let place = Place { organization: id(), site: id(), area: id(), hub: id() };
    let tx = store.transaction()?;
    rows::insert_place(&tx, place, &settings.names, now_ms)?;
    tx.commit().context("write the hub's own site")?;
    Ok(place)
}

/// Runs the stored inputs after the last checkpoint again; what they decide is in the tables already.
fn replay(store: &Store) -> Result<Replayed> {
    let start = walk::latest(store.connection())?;
    let mut out = Replayed {
        state: start.state.clone(),
        tick_base: start.tick_base,
        last: start.last,
        doors: start.doors.clone(),
    };
    let mut decisions = Vec::new();
    let walked = walk::walk(store.connection(), &start, |place, event| {
        out.tick_base = place.tick_base;
        let tick = Tick(place.stamp.mono.0 + out.tick_base).max(out.state.tick());
        if let Event::Door { device, unit, is_open } = event {
            out.doors.insert((*device, *unit), (*is_open, tick));
        }
        let at = At { tick, epoch: place.epoch, after: Seq(place.seq.0 - 1) };
        rules::step(&mut out.state, event, at, &mut decisions);
        decisions.clear();
        out.last = Some(place.stamp);
        Ok(true)
    })?;
    if walked.passed_over > 0 {
        // The configuration is told anew at every start, so the rules know the kitchen again after it.
        tracing::warn!(
            "{} inputs of the rules are of a former version and are passed over",
            walked.passed_over
        );
    }
    Ok(out)
}

/// How long nothing ran: exact within a boot or between trusted times, else its known minimum.
fn gap_since(last: Option<Stamp>, known: &[Segment], trust: &Trust, seen: Observation) -> Gap {
    let Some(last) = last else { return Gap::Known { ms: 0 } };
    let Some(segment) = known.iter().find(|segment| segment.no == last.segment) else {
        return Gap::AtLeast { ms: 0 };
    };
    if segment.boot.boot_id == trust.boot().boot_id && seen.mono >= last.mono {
        return Gap::Known { ms: seen.mono.0 - last.mono.0 };
    }
    let now = trust.wall(seen.mono);
    match (now, segment.offset_ms()) {
        (Some(UnixMs(now)), Some(offset)) if now >= last.mono.0 + offset => {
            Gap::Known { ms: now - last.mono.0 - offset }
        }
        // The box has been up this long at least.
        _ => Gap::AtLeast { ms: seen.mono.0.max(0) },
    }
}
