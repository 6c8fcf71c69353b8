//! What the uplink asks of the core: batches to send and their acknowledgements, configuration and acts from central,
//! the receiver's time, an enrolment, a new epoch.

use anyhow::{Context, Result, bail};
use frostguard_sync::api::{Down, EnrolAnswer, RefusedRow, Snapshot};
use frostguard_sync::wire::{BODY_BYTES_MAX, Lane, ROWS_MAX, RowImage};

use crate::audit::event_types::{
    ALERT_ACKNOWLEDGED, CALIBRATION_REFUSED, CORRECTIVE_ACTION, HUB_ENROLLED, LANE_CONFLICT, MANUAL_LOG,
    ROWS_REFUSED, SNAPSHOT_APPLIED, SNAPSHOT_REFUSED, UNIT_REMOVED,
};
use crate::audit::{Actor, Entity};
use crate::clock::trust::ReceiverTime;
use crate::domain::{Stamp, Temperature, UnitNo, UnixMs};
use crate::rules::Event;
use crate::store::audit::Head;
use crate::store::batches::{self, Limits, StoredBatch};
use crate::store::down::{self, Act, ActKind};
use crate::store::link::{self, Enrolled, Enrolment, Local};
use crate::store::snapshot::{self, Changes, Moment, Outcome};
use crate::store::snapshot_check::{int, uuid};
use crate::store::{epochs, readings, registry, rows, snapshots, state, tables};

use super::{Core, decide};

/// Refused rows of a batch that are logged one by one; all stand in the database.
const REFUSED_LOGGED_MAX: usize = 16;

/// The usual longest time between two manual logs (domain default of the manual limit): 240 min.
pub(super) const MANUAL_LOG_MS_MAX: i64 = 240 * 60_000;

/// What an enrolment brings, owned, to be handed to the core's thread.
pub struct EnrolCommit {
    pub answer: EnrolAnswer,
    pub receiver_url: String,
    pub receiver_key: [u8; 32],
    pub credential_digest: [u8; 32],
    /// Pairs of a local unit and a central one, by name or id.
    pub unit_map: Vec<(String, String)>,
}

impl Core {
    /// The pending batch of a lane, else the next one, cut now.
    pub fn next_batch(&mut self, lane: Lane, bytes_max: usize) -> Result<Option<StoredBatch>> {
        if let Some(pending) = batches::pending(self.store.connection(), lane)? {
            return Ok(Some(pending));
        }
        // Lane 0 takes what was decided just now; lane 1 waits for the groups as they close.
        if lane == Lane::State {
            self.flush()?;
        } else if !self.may_upload_readings() {
            return Ok(None);
        }
        let limits = Limits { rows: ROWS_MAX as u32, bytes: bytes_max.min(BODY_BYTES_MAX) };
        let stamp = self.stamp_now();
        let batch = self.store.write(|tx| match lane {
            Lane::State => state::cut(tx, limits, stamp),
            Lane::Readings => readings::cut(tx, limits),
        })?;
        Ok(batch)
    }

    pub fn acknowledge(&mut self, lane: Lane, seq: u64, refused: &[RefusedRow]) -> Result<()> {
        let stamp = self.stamp_now();
        self.store.write(|tx| batches::acknowledge(tx, lane, seq, refused, stamp))?;
        if let Some(first) = refused.first() {
            self.counters.add("sync.refused_rows", "", refused.len() as u64);
            tracing::error!(
                "central refused {} rows of batch {seq}; the first: {}",
                refused.len(),
                first.reason
            );
            for row in refused.iter().take(REFUSED_LOGGED_MAX) {
                tracing::error!("central refused {} {}: {}", row.table, row.key, row.reason);
            }
            let fields = [("count", refused.len().into()), ("reason", first.reason.clone().into())];
            self.note(ROWS_REFUSED, Entity::Hub, fields, stamp.mono);
        }
        Ok(())
    }

    pub fn uncut(&mut self, lane: Lane) -> Result<()> {
        self.store.write(|tx| batches::uncut(tx, lane))?;
        Ok(())
    }

    /// A batch of readings lay in the receiver's future: the clock is not believed until something better vouches for it.
    pub fn refuted(&mut self, receiver: UnixMs) -> Result<()> {
        self.flush()?;
        self.store.write(|tx| batches::uncut(tx, Lane::Readings))?;
        let stamp = self.stamp_now();
        let by_ms = self.wall_of(stamp).0.0 - receiver.0;
        let events = self.trust.distrust(stamp.mono, by_ms);
        self.take_clock_events(events);
        self.flush()?;
        Ok(())
    }

    pub fn receiver_time(&mut self, time: ReceiverTime) -> Result<()> {
        let events = self.trust.receiver_says(time);
        self.take_clock_events(events);
        self.flush()?;
        Ok(())
    }

    pub fn is_time_trusted(&self) -> bool {
        self.trust.boot().placement.is_some()
    }

    /// Begins a new epoch: the receiver has other batches than this hub, or the database is another hub's. What was cut is
    /// unsent again; the ids make a no-op of what the receiver has.
    pub fn rewind(&mut self, reason: &str) -> Result<()> {
        self.flush()?;
        self.save(self.clock.mono())?;
        let random = &mut *self.random;
        self.epoch = self.store.write(|tx| {
            batches::rewind(tx)?;
            epochs::begin_new(tx, reason, random)
        })?;
        self.began_epoch()?;
        let at = self.stamp_now().mono;
        tracing::error!("a new epoch began: {reason}");
        let fields = [("seq", 0.into()), ("lane", "both".into()), ("reason", reason.to_owned().into())];
        self.note(LANE_CONFLICT, Entity::Hub, fields, at);
        self.flush()?;
        Ok(())
    }

    fn began_epoch(&mut self) -> Result<()> {
        self.next_seq = epochs::next_seq(self.store.connection(), self.epoch.no)?.0;
        self.store.set_audit_head(Head::first());
        self.bear_witness();
        self.note_epoch();
        self.jump_ahead()?;
        Ok(())
    }

    /// Acknowledgements and resolutions by people, and their entries, that central had first.
    pub fn take_down(&mut self, down: &Down) -> Result<()> {
        let acts = down::acts(self.store.connection(), &down.alerts)?;
        for act in &acts {
            self.take_act(act)?;
        }
        let stamp = self.stamp_now();
        let now = self.wall_of(stamp).0;
        // Told before they are stored: a crash in between tells them again, which changes nothing; the other way round an
        // alarm would be missed.
        for row in &down.entries {
            self.judge_manual_log(row, now, stamp)?;
        }
        self.flush()?;
        let (taken, refused) = self.store.write(|tx| down::take_entries(tx, down, now))?;
        for row in &taken {
            self.note_entry(row, stamp);
        }
        for reason in refused {
            tracing::warn!("an entry of central was not taken: {reason}");
        }
        Ok(())
    }

    /// A person looked: what a log made centrally says of the present is judged here too. One that is older than the usual
    /// interval between two says nothing of it.
    fn judge_manual_log(&mut self, row: &RowImage, now: UnixMs, stamp: Stamp) -> Result<()> {
        let is_present = int(row, "recorded_at").is_some_and(|at| (now.0 - at).abs() <= MANUAL_LOG_MS_MAX);
        let Some(unit) =
            self.unit_of_entry(row).filter(|_| row.table == "manual_temperature_logs" && is_present)
        else {
            return Ok(());
        };
        let table = tables::find("manual_temperature_logs").context("the table of manual logs is known")?;
        let Some(hundredths) = int(row, "temperature").filter(|value| value.abs() <= 100_000) else {
            return Ok(());
        };
        if rows::exists(self.store.connection(), table, row.id)? {
            return Ok(());
        }
        let Some(scale) = self.registry.unit(unit).map(|unit| unit.scale) else { return Ok(()) };
        let temperature = Temperature { hundredths: hundredths as i32, scale };
        self.take_input(Event::ManualLog { unit, temperature }, stamp);
        Ok(())
    }

    fn unit_of_entry(&self, row: &RowImage) -> Option<UnitNo> {
        let id = uuid(row, "unit_id")?;
        self.registry.units.iter().find(|unit| unit.id == id).map(|unit| unit.no)
    }

    fn note_entry(&mut self, row: &RowImage, stamp: Stamp) {
        let entity = self.unit_of_entry(row).map_or(Entity::Site, Entity::Unit);
        let scale = self.unit_of_entry(row).and_then(|no| self.registry.unit(no)).map(|unit| unit.scale);
        let temperature = int(row, "temperature")
            .zip(scale)
            .map(|(value, scale)| decide::degrees(Temperature { hundredths: value as i32, scale }));
        let event_type = if temperature.is_some() { MANUAL_LOG } else { CORRECTIVE_ACTION };
        let fields = [
            ("id", row.id.to_string().into()),
            ("person", "central".into()),
            ("temperature", temperature.into()),
        ];
        self.note_by(Actor::Central, event_type, entity, fields, stamp.mono);
    }

    fn take_act(&mut self, act: &Act) -> Result<()> {
        // The uplink tries again until it is taken: where the store refuses writes, nothing is told twice.
        self.flush()?;
        let stamp = self.stamp_now();
        let event = match act.kind {
            ActKind::Acknowledge => Event::Acknowledged { alert: act.alert },
            ActKind::Resolve => Event::Resolved { alert: act.alert, by: act.by },
        };
        self.take_input(event, stamp);
        if act.kind == ActKind::Acknowledge {
            self.standing.acknowledge(act.alert, act.by.and_then(|by| self.registry.person(by)));
            let open = self.rules.open_alerts().find(|open| open.id == act.alert);
            let fields = [
                ("alert", act.alert.to_string().into()),
                ("alert_type", open.as_ref().map_or("alert", |open| open.alert_type.as_str()).into()),
                ("person", act.by.map_or("central".to_owned(), |by| by.to_string()).into()),
            ];
            let actor = act.by.map_or(Actor::Central, Actor::Person);
            let entity = open.map_or(Entity::Site, |open| Entity::Unit(open.unit));
            self.note_by(actor, ALERT_ACKNOWLEDGED, entity, fields, stamp.mono);
        }
        self.flush()?;
        let now = self.wall_of(stamp).0;
        self.store.write(|tx| down::write(tx, act, now))?;
        Ok(())
    }

    /// The snapshot in force, and the last one refused.
    pub fn etags(&self) -> Result<(String, Option<String>)> {
        let connection = self.store.connection();
        Ok((snapshots::etag(connection)?, snapshots::refused(connection)?.map(|(etag, _)| etag)))
    }

    pub fn apply_snapshot(&mut self, snapshot: &Snapshot) -> Result<Outcome> {
        self.flush_decoded()?;
        let stamp = self.stamp_now();
        let now = self.wall_of(stamp).0;
        let codecs = self.settings.codecs.clone();
        let moment = Moment { now, stamp, measuring_probe: &|model| codecs.measuring_of(model) };
        let outcome = self.store.write(|tx| snapshot::apply(tx, snapshot, &moment))?;
        match &outcome {
            Outcome::Unchanged => {}
            Outcome::Refused { reason } => {
                tracing::error!("the configuration {} from central was refused: {reason}", snapshot.etag);
                let fields = [("etag", snapshot.etag.clone().into()), ("reason", reason.clone().into())];
                self.note_by(Actor::Central, SNAPSHOT_REFUSED, Entity::Hub, fields, stamp.mono);
            }
            Outcome::Applied(changes) => self.applied(changes)?,
        }
        self.flush()?;
        Ok(outcome)
    }

    fn applied(&mut self, changes: &Changes) -> Result<()> {
        self.configure()?;
        self.load_central_sensors()?;
        let at = self.stamp_now().mono;
        let fields =
            [("etag", changes.etag.clone().into()), ("former_etag", changes.former_etag.clone().into())];
        self.note_by(Actor::Central, SNAPSHOT_APPLIED, Entity::Hub, fields, at);
        for &unit in &changes.removed_units {
            self.note_by(Actor::Central, UNIT_REMOVED, Entity::Unit(unit), [], at);
        }
        for id in &changes.ignored_calibrations {
            let fields =
                [("calibration", id.to_string().into()), ("reason", "its offset is beyond 5.00 °C".into())];
            self.note_by(Actor::Central, CALIBRATION_REFUSED, Entity::Site, fields, at);
        }
        for name in &changes.unknown {
            tracing::warn!("central sent {name}, which this version does not know: update the hub");
        }
        Ok(())
    }

    /// Whether the hub is enrolled, and what an enrolment must say of it.
    pub fn local(&mut self) -> Result<(bool, Local)> {
        self.flush()?;
        Ok((link::find(self.store.connection())?.is_some(), link::local(self.store.connection())?))
    }

    pub fn link(&self) -> Result<Option<link::Link>> {
        Ok(link::find(self.store.connection())?)
    }

    /// The date of the history bound, and how many readings are before it and never sent.
    pub fn before_bound(&self) -> Result<Option<(String, u64)>> {
        let Some(link) = self.link()? else { return Ok(None) };
        let date = jiff::Timestamp::from_millisecond(link.history_from.0)?.strftime("%Y-%m-%d").to_string();
        Ok(Some((date, link::before_bound(self.store.connection())?)))
    }

    /// Takes the place that central gave: one transaction.
    pub fn enrol(&mut self, commit: &EnrolCommit) -> Result<Enrolled> {
        self.flush_decoded()?;
        self.save(self.clock.mono())?;
        let stamp = self.stamp_now();
        let now = self.wall_of(stamp).0;
        let enrolment = Enrolment {
            answer: &commit.answer,
            receiver_url: &commit.receiver_url,
            receiver_key: commit.receiver_key,
            credential_digest: commit.credential_digest,
            unit_map: &commit.unit_map,
        };
        let codecs = self.settings.codecs.clone();
        let moment = Moment { now, stamp, measuring_probe: &|model| codecs.measuring_of(model) };
        let tx = self.store.transaction()?;
        let enrolled = link::enrol(&tx, &enrolment, &moment)?;
        let epoch = if enrolled.needs_new_epoch {
            batches::rewind(&tx)?;
            Some(epochs::begin_new(&tx, "the hub was enrolled elsewhere", &mut *self.random)?)
        } else {
            None
        };
        tx.commit()?;
        if let Some(epoch) = epoch {
            self.epoch = epoch;
            self.began_epoch()?;
        }
        match registry::place(self.store.connection())? {
            Some(place) => self.place = place,
            None => bail!("the enrolment left no site in the database"),
        }
        self.applied(&enrolled.changes)?;
        let ids: Vec<String> =
            enrolled.ids.iter().map(|(table, old, new)| format!("{table} {old} {new}")).collect();
        let at = self.stamp_now().mono;
        self.note_by(Actor::Installer, HUB_ENROLLED, Entity::Hub, [("ids", ids.into())], at);
        self.flush()?;
        Ok(enrolled)
    }
}
