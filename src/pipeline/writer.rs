//! Commits a group: every write in the order it happened, in one transaction.

use anyhow::{Context, Result};
use rusqlite::Transaction;
use uuid::Uuid;

use crate::audit::event_types::STORAGE_FAILED;
use crate::audit::{self, Entity};
use crate::clock::trust::ClockEvent;
use crate::counters::Counters;
use crate::domain::{DeviceNo, MonoMs, Seq, Stamp, UnitNo, UnixMs};
use crate::notify::plan::Item;
use crate::rules::Tick;
use crate::store::epochs::EpochRow;
use crate::store::registry::Place;
use crate::store::rows::mark_dirty;
use crate::store::{
    self, StoreError, alerts, boots, deliveries, frames, inputs, log, lorawan, outages, pairing, unplaced,
};

use super::group::{EventDraft, Group, Write};
use super::registry::Registry;
use super::settings::Mode;
use super::time::Times;
use super::{Core, Failing, decide};

/// After this long without a commit the hub says so loudly.
pub const FAILING_LOUD_MS: i64 = 30_000;
/// A refused commit is tried again this often.
const RETRY_MS: i64 = 1_000;

/// What writing needs besides the transaction.
pub struct Writer<'a> {
    pub registry: &'a Registry,
    pub times: Times,
    pub epoch: &'a EpochRow,
    pub place: Place,
    pub tick_base: i64,
    /// Head of the audit chain, moved by each row written.
    pub head: store::audit::Head,
    pub random: &'a mut (dyn FnMut(&mut [u8]) + Send),
}

impl Core {
    /// Commits the group if it must not wait any longer.
    pub(super) fn flush_if_due(&mut self, now: MonoMs) {
        if self.failing.as_ref().is_some_and(|failing| now.0 - failing.tried.0 < RETRY_MS) {
            return;
        }
        if self.group.is_due(now, self.settings.window_ms) {
            // A failure was told by `flush`; the group stands and is tried again.
            let _ = self.flush();
        }
    }

    /// Commits the open group; what it acknowledges leaves with the next tick. On failure the group stays as it is,
    /// nothing of it is acknowledged, and the error is told.
    pub(crate) fn flush(&mut self) -> Result<()> {
        if self.settings.mode == Mode::Look {
            return Ok(());
        }
        // A step of the clock inside the window is found here at the latest.
        let now = self.clock.mono();
        self.timers.observed = None;
        self.observe_clock(now);
        if self.group.is_empty() {
            self.group = Group::default();
            self.answer_devices(now);
            return Ok(());
        }
        // A row that was left out may be what an answer relies on.
        let may_leave_out = self.failing.as_ref().is_some_and(|failing| failing.is_logical);
        let is_urgent = self.group.is_urgent;
        match self.commit() {
            Ok(head) => {
                self.store.set_audit_head(head);
                self.committed += 1;
                self.commit_times.note(self.clock.mono().0 - now.0);
                self.plan.stored();
                self.duplicates.keep();
                if let Some(failing) = self.failing.take() {
                    let seconds = (now.0 - failing.since.0) / 1_000;
                    tracing::warn!("the database takes writes again, after {seconds} s");
                    let reason = format!("{}; it takes writes again after {seconds} s", failing.reason);
                    self.note(STORAGE_FAILED, Entity::Hub, [("reason", reason.into())], now);
                }
                if self.group.overflow > 0 {
                    self.counters.add("store.not_kept", "", self.group.overflow);
                    let reason =
                        format!("{} messages were judged and could not be kept", self.group.overflow);
                    self.note(STORAGE_FAILED, Entity::Hub, [("reason", reason.into())], now);
                }
                if let Some(wake) = self.on_urgent.as_ref().filter(|_| is_urgent) {
                    wake();
                }
                self.releasable.extend(self.group.take_committed(now));
                if may_leave_out {
                    self.forget_answers();
                } else {
                    // The commit took its time, and a window may be over.
                    self.answer_devices(self.clock.mono());
                }
                self.wake_senders();
                Ok(())
            }
            Err(error) => {
                self.failed(now, &error);
                Err(error)
            }
        }
    }

    fn commit(&mut self) -> Result<store::audit::Head> {
        self.group.cover();
        let head = self.store.audit_head();
        let lenient = self.failing.as_ref().is_some_and(|failing| failing.is_logical);
        let tx = self.store.transaction()?;
        let mut writer = Writer {
            registry: &self.registry,
            times: self.times.clone(),
            epoch: &self.epoch,
            place: self.place,
            tick_base: self.tick_base,
            head,
            random: &mut *self.random,
        };
        for write in &self.group.writes {
            if lenient {
                writer.write_or_skip(&tx, write, &self.counters)?;
            } else {
                writer.write(&tx, write)?;
            }
        }
        let Writer { head, times, .. } = writer;
        tx.commit().map_err(StoreError::from).context("commit the group")?;
        // A placement may have placed earlier segments too.
        self.times = times;
        Ok(head)
    }

    fn failed(&mut self, now: MonoMs, error: &anyhow::Error) {
        let reason = format!("{error:#}");
        let failing = self.failing.get_or_insert_with(|| Failing {
            since: now,
            tried: now,
            reason: reason.clone(),
            is_loud: false,
            is_logical: false,
        });
        // Not the disk but a row is wrong: it must not keep all that come after it from being stored.
        failing.is_logical = is_logical(error);
        failing.tried = now;
        failing.reason = reason;
        self.counters.add("store.failed_commits", "", 1);
        tracing::error!(error = %failing.reason, "failed to commit: {}", failing.reason);
        if !failing.is_loud && now.0 - failing.since.0 >= FAILING_LOUD_MS {
            failing.is_loud = true;
            tracing::error!("STORAGE FAILED: readings are judged and kept in memory only; look at the disk");
        }
        self.store.after_failure(error.as_ref());
        // Who must be called is called, stored or not.
        self.wake_senders();
    }

    fn wake_senders(&self) {
        if let Some(wake) = &self.on_calls {
            wake();
        }
    }
}

impl Writer<'_> {
    fn write(&mut self, tx: &Transaction<'_>, write: &Write) -> Result<()> {
        match write {
            Write::Log(row) => log::append(tx, row).map_err(Into::into),
            Write::Frame(row) => frames::append(tx, row).map(|_| ()).map_err(Into::into),
            Write::Decoded { key, outcome, detail } => {
                frames::settle(tx, (key.stamp, key.dedup), *outcome, detail.as_deref()).map_err(Into::into)
            }
            Write::Redecoded { frame, outcome, detail } => {
                frames::set_outcome(tx, *frame, *outcome, detail).map_err(Into::into)
            }
            Write::Input(row) => inputs::append(tx, row).map_err(Into::into),
            Write::Door { unit, device, is_open, stamp, seq, open_for_ms } => {
                self.write_door(tx, (*unit, *device), *is_open, *stamp, *seq, *open_for_ms)
            }
            Write::Decision { decision, stamp, message } => {
                decide::write(tx, self, decision, *stamp, message)
            }
            Write::Event(draft) => self.append_event(tx, draft),
            Write::Clock(event) => self.write_clock(tx, event),
            Write::Session(change) => lorawan::apply(tx, change).map_err(Into::into),
            Write::Joined { device, stamp } => self.write_joined(tx, *device, *stamp),
            Write::Delivery { item, stamp } => self.write_delivery(tx, item, *stamp),
            Write::Settled(outcome) => {
                let columns = deliveries::settle(tx, outcome, self.times.of(outcome.stamp).ms)?;
                self.provisional(tx, "notification_deliveries", outcome.id, &columns, outcome.stamp)
            }
            Write::Entry(entry) => self.write_entry(tx, entry),
            Write::PowerReport { no, report } => outages::finish(tx, *no, report).map_err(Into::into),
        }
    }

    fn write_door(
        &mut self,
        tx: &Transaction<'_>,
        (unit, device): (UnitNo, DeviceNo),
        is_open: bool,
        stamp: Stamp,
        seq: Seq,
        open_for_ms: Option<i64>,
    ) -> Result<()> {
        let id = frostguard_sync::ids::decision_id(self.epoch.epoch, seq.0, "door", unit.0, device.0);
        // The central column tells how long the door had been open, so only a closing carries it.
        let duration_s = open_for_ms.filter(|_| !is_open).map(|ms| ms / 1_000);
        let at_ms = self.times.of(stamp).ms;
        if alerts::insert_door_event(tx, id, unit, device, is_open, at_ms, duration_s)? {
            self.provisional(tx, "door_events", id, &["timestamp", "created_at"], stamp)?;
            mark_dirty(tx, "door_events", id)?;
        }
        Ok(())
    }

    fn write_joined(&mut self, tx: &Transaction<'_>, device: DeviceNo, stamp: Stamp) -> Result<()> {
        if let Some(id) = pairing::joined(tx, device, UnixMs(self.times.of(stamp).ms))? {
            self.provisional(tx, "lora_sensors", id, &["last_join_at", "updated_at"], stamp)?;
        }
        Ok(())
    }

    fn write_delivery(&mut self, tx: &Transaction<'_>, item: &Item, stamp: Stamp) -> Result<()> {
        if deliveries::insert(tx, item, stamp, self.times.of(stamp).ms)?
            && item.channel.is_central()
            && item.alert.is_some()
        {
            self.provisional(tx, "notification_deliveries", item.id, &["scheduled_at", "created_at"], stamp)?;
        }
        Ok(())
    }

    fn write_clock(&mut self, tx: &Transaction<'_>, event: &ClockEvent) -> Result<()> {
        match event {
            ClockEvent::Began(boot) => boots::insert(tx, boot)?,
            ClockEvent::Placed { segment, placement } => {
                boots::place(tx, *segment, *placement)?;
                for (earlier, placement) in boots::place_former(tx)? {
                    self.times.place(earlier, placement.offset_ms);
                }
                self.times.place(*segment, placement.offset_ms);
            }
            ClockEvent::Persist { wall } => boots::persist_wall(tx, *wall)?,
            ClockEvent::Refuted { segment, .. } => {
                boots::refute(tx, *segment)?;
            }
            ClockEvent::Stepped { .. } => {}
        }
        Ok(())
    }

    /// Notes that columns hold a provisional time, where the segment is not placed yet.
    pub fn provisional(
        &self,
        tx: &Transaction<'_>,
        table: &str,
        id: Uuid,
        columns: &[&str],
        stamp: Stamp,
    ) -> Result<()> {
        if self.times.of(stamp).is_placed {
            return Ok(());
        }
        for column in columns {
            unplaced::add(tx, table, id, column, stamp)?;
        }
        Ok(())
    }

    /// The stamp of another instant of judging time, near `now`.
    pub fn stamp_of_tick(&self, tick: Tick, now: Stamp) -> Stamp {
        Stamp { segment: now.segment, mono: MonoMs(tick.0 - self.tick_base) }
    }

    /// Seals an event into the audit chain and writes its row.
    pub fn append_event(&mut self, tx: &Transaction<'_>, draft: &EventDraft) -> Result<()> {
        let moment = self.times.of(draft.stamp);
        let id = draft.id.unwrap_or_else(|| {
            let mut random = [0; 10];
            (self.random)(&mut random);
            frostguard_sync::ids::time_ordered_id(moment.ms, random)
        });
        let entry = audit::Entry {
            epoch: self.epoch.epoch,
            seq: self.head.seq + 1,
            at: draft.stamp,
            actor: draft.actor,
            event_type: draft.event_type.name.to_owned(),
            entity: draft.entity,
            payload: draft.payload.clone(),
        };
        let sealed = audit::seal(&self.head.hash, &entry);
        let row = store::audit::AuditRow {
            epoch_no: self.epoch.no,
            seq: entry.seq,
            id,
            canonical: &sealed.canonical,
            organization: self.place.organization,
            actor: draft.actor.id(),
            actor_type: draft.actor.as_str(),
            event_type: draft.event_type.name,
            event_category: Some(draft.event_type.category),
            entity_type: draft.entity.as_str(),
            entity: draft.entity_id,
            description: Some(&draft.description),
            payload: Some(&entry.row_payload()),
            old_values: None,
            new_values: None,
            previous_hash: &self.head.hash,
            hash: &sealed.hash,
            occurred_at: UnixMs(moment.ms),
        };
        store::audit::append(tx, &row)?;
        self.provisional(tx, "event_logs", id, &["occurred_at"], draft.stamp)?;
        mark_dirty(tx, "event_logs", id)?;
        self.head = store::audit::Head { seq: entry.seq, hash: sealed.hash };
        Ok(())
    }

    /// Writes inside a savepoint; a row that the schema refuses is told and left out.
    fn write_or_skip(&mut self, tx: &Transaction<'_>, write: &Write, counters: &Counters) -> Result<()> {
        let head = self.head.clone();
        tx.execute_batch("SAVEPOINT one")?;
        match self.write(tx, write) {
            Ok(()) => tx.execute_batch("RELEASE one")?,
            Err(error) if is_logical(&error) => {
                tx.execute_batch("ROLLBACK TO one; RELEASE one")?;
                self.head = head;
                counters.add("store.skipped_rows", "", 1);
                tracing::error!(%error, "left out a row that cannot be written: {error:#}: {write:?}");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// True where the row, not the disk, is at fault: a broken constraint or a value that does not fit.
fn is_logical(error: &anyhow::Error) -> bool {
    let code = error.chain().find_map(|cause| match cause.downcast_ref::<StoreError>() {
        Some(StoreError::Sqlite(error)) => error.sqlite_error_code(),
        _ => cause.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code),
    });
    matches!(code, Some(rusqlite::ErrorCode::ConstraintViolation | rusqlite::ErrorCode::TypeMismatch))
        || error
            .chain()
            .any(|cause| matches!(cause.downcast_ref::<StoreError>(), Some(StoreError::Value { .. })))
}
