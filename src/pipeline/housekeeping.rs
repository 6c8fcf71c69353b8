//! What may wait: live columns, checkpoints, settled hours, bounds, backups. Each in a transaction of its own; a failure
//! costs a log line and is tried again.

use anyhow::Result;

use crate::audit::event_types::{HUB_STOPPED, READINGS_SUMMARIZED};
use crate::audit::{Actor, Entity, Payload};
use crate::domain::{MonoMs, Seq, Stamp};
use crate::store::checkpoints::{self, Body};
use crate::store::frames::{FrameRow, Outcome};
use crate::store::rows::mark_dirty;
use crate::store::{StoreError, alerts, boots, deliveries, epochs, frames, history, inputs, prune};

use super::group::{EventDraft, Write};
use super::saved::Saved;
use super::settings::Mode;
use super::writer::Writer;
use super::{Core, report};

/// Live columns and the rules' state are written this often.
const KEEP_HOUSE_MS: i64 = 600_000;
/// Settled hours are looked for this often; a step moves at most one hour of every unit.
const SETTLE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;

impl Core {
    pub(super) fn keep_house(&mut self, now: MonoMs) {
        // Nothing of this matters while the disk refuses readings.
        if self.failing.is_some() {
            return;
        }
        if now.0 - self.timers.settled.0 >= SETTLE_MS && !self.spares_battery(now) {
            self.timers.settled = now;
            report(self.settle(now), "move settled hours into history");
        }
        if now.0 - self.timers.kept_house.0 >= KEEP_HOUSE_MS {
            self.timers.kept_house = now;
            report(self.drop_removed(now), "stop watching units that central removed");
            report(self.save(now), "write live columns and the rules' state");
            report(self.enforce_bounds(), "keep the database within its bounds");
            if !self.spares_battery(now) {
                report(self.back_up(now), "back the database up");
            }
        }
    }

    /// Commits what is open, writes what may lag, and closes the store.
    pub fn close(mut self) -> Result<()> {
        let now = self.clock.mono();
        let events = self.trust.finish(crate::clock::Observation::of(self.clock.as_ref()));
        self.take_clock_events(events);
        if self.settings.mode == Mode::Look {
            return Ok(());
        }
        if self.settings.mode == Mode::Service {
            self.note(HUB_STOPPED, Entity::Hub, [("reason", "told to stop".into())], now);
        }
        self.keep_lagging(now);
        self.decode_waiting_before_closing();
        self.flush()?;
        self.save(now)?;
        if self.settings.mode == Mode::Service {
            self.end_power()?;
        }
        self.store.close()?;
        Ok(())
    }

    /// Live columns, checkpoint, counters: one transaction.
    pub(super) fn save(&mut self, now: MonoMs) -> Result<()> {
        self.flush()?;
        let stamp = Stamp { segment: self.segment, mono: now };
        let saved = Saved { doors: self.live.doors().clone(), state: self.rules.clone() };
        let body = Body { tick_base: self.tick_base, state: saved.encode() };
        let wall = self.wall_of(stamp).0;
        self.date_contacts();
        let tx = self.store.transaction()?;
        for (&unit, live) in self.live.units.iter().filter(|(_, live)| !live.is_written) {
            let scale = self.registry.unit(unit).map_or(live.temperature.scale, |unit| unit.scale);
            let hundredths = live.temperature.to(scale).hundredths;
            if let Some(id) = alerts::set_unit_last(&tx, unit, hundredths, live.recorded_ms)? {
                mark_dirty(&tx, "units", id)?;
            }
        }
        for (&device, live) in self.live.devices.iter().filter(|(_, live)| !live.is_written) {
            let seen_ms = self.times.of(Stamp { segment: self.segment, mono: live.seen }).ms;
            if let Some(id) = alerts::set_device_live(&tx, device, live.battery, live.rssi, seen_ms)? {
                mark_dirty(&tx, "devices", id)?;
            }
        }
        let last = Seq(self.next_seq - 1);
        checkpoints::write(&tx, self.epoch.no, last, stamp, wall, &body)?;
        boots::touch(&tx, stamp)?;
        epochs::save_next_seq(&tx, self.epoch.no, Seq(self.next_seq))?;
        if let Some(network) = &self.network {
            network.save_gateways(&tx)?;
        }
        tx.commit()?;
        self.bear_witness();
        self.live.mark_written();
        Ok(())
    }

    /// Notes beside the database how far it is. A disk that refuses this little takes no readings either, and says so.
    pub(super) fn bear_witness(&self) {
        report(self.store.bear_witness().map_err(Into::into), "note beside the database how far it is");
    }

    fn drop_removed(&mut self, now: MonoMs) -> Result<()> {
        let wall = self.wall_of(Stamp { segment: self.segment, mono: now }).0;
        if self.registry.has_gone_units(wall, |unit| self.rules.unit(unit).is_some()) {
            self.configure()?;
            self.flush()?;
        }
        Ok(())
    }

    fn settle(&mut self, now: MonoMs) -> Result<()> {
        let Some(wall) = self.wall_now(now) else { return Ok(()) };
        history::settle(&mut self.store, wall)?;
        Ok(())
    }

    fn enforce_bounds(&mut self) -> Result<()> {
        let now = self.clock.mono();
        let stamp = Stamp { segment: self.segment, mono: now };
        let wall = self.wall_of(stamp).0;
        frames::prune(&mut self.store, wall)?;
        self.store.write(|tx| inputs::prune(tx, inputs::ROWS_MAX))?;
        self.store.write(|tx| deliveries::prune(tx, wall.0))?;
        self.flush()?;
        let mut head = self.store.audit_head();
        let mut writer = Writer {
            registry: &self.registry,
            times: self.times.clone(),
            epoch: &self.epoch,
            place: self.place,
            tick_base: self.tick_base,
            head: head.clone(),
            random: &mut *self.random,
        };
        // A summary and the deletion it stands for are one transaction.
        let outcome = prune::enforce(&mut self.store, self.settings.bytes_max, wall, |tx, summaries| {
            for summary in summaries {
                writer.append_event(tx, &summary_event(summary, stamp)).map_err(|error| {
                    StoreError::Value { table: "event_logs", detail: format!("{error:#}") }
                })?;
            }
            head = writer.head.clone();
            Ok(())
        })?;
        self.store.set_audit_head(head);
        if outcome.acknowledged_rows > 0 {
            tracing::info!(
                "removed {} acknowledged readings to stay within the bound",
                outcome.acknowledged_rows
            );
        }
        for summary in &outcome.summaries {
            let (count, unit) = (summary.count, summary.unit.0);
            self.counters.add("store.summarized_readings", "", count);
            tracing::error!(
                "REPLACED {count} readings of unit {unit} by a summary: the database is at its bound"
            );
        }
        if outcome.is_over {
            tracing::error!(
                "the database is over its bound and nothing is left that may go: give it a larger disk"
            );
        }
        self.flush()
    }

    fn back_up(&mut self, now: MonoMs) -> Result<()> {
        let Some(wall) = self.wall_now(now) else { return Ok(()) };
        let day = wall.0.div_euclid(DAY_MS);
        if self.timers.backed_up == Some(day) {
            return Ok(());
        }
        self.store.backup()?;
        self.timers.backed_up = Some(day);
        Ok(())
    }

    /// A message that is no sensor's: kept like a frame nobody could use.
    pub(super) fn refuse(&mut self, port: String, reason: String, bytes: Vec<u8>, at: MonoMs) {
        self.group.push(Write::Frame(Box::new(FrameRow {
            stamp: Stamp { segment: self.segment, mono: at },
            source: crate::domain::Source::Mqtt,
            port,
            address: String::new(),
            device: None,
            f_port: None,
            counter: None,
            rssi: None,
            dedup: 0,
            outcome: Outcome::Refused,
            detail: Some(reason),
            bytes,
        })));
    }
}

/// What stands in the audit chain for the readings of an hour that had to go.
fn summary_event(summary: &prune::Summary, stamp: Stamp) -> EventDraft {
    let (count, unit) = (summary.count.to_string(), summary.unit.0.to_string());
    EventDraft {
        stamp,
        event_type: READINGS_SUMMARIZED,
        actor: Actor::Hub,
        entity: Entity::Unit(summary.unit),
        entity_id: None,
        payload: Payload::of([
            ("count", summary.count.into()),
            ("from_ms", summary.from.0.into()),
            ("to_ms", summary.to.0.into()),
            ("scale", summary.mean.scale.as_str().into()),
            ("min_hundredths", summary.min.hundredths.into()),
            ("max_hundredths", summary.max.hundredths.into()),
            ("mean_hundredths", summary.mean.hundredths.into()),
        ]),
        description: READINGS_SUMMARIZED.describe(&[("count", &count), ("unit", &unit)]),
        id: None,
    }
}
