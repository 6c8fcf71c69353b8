//! What may wait: live columns, checkpoints, settled hours, bounds, backups. Each in a transaction of its own; a failure
//! costs a log line and is tried again.

use anyhow::Result;

use crate::audit::Entity;
use crate::audit::event_types::HUB_STOPPED;
use crate::domain::{MonoMs, Seq, Stamp};
use crate::store::checkpoints::{self, Body};
use crate::store::frames::{FrameRow, Outcome};
use crate::store::rows::mark_dirty;
use crate::store::{alerts, boots, epochs, frames, history};

use super::group::Write;
use super::saved::Saved;
use super::settings::Mode;
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
        if now.0 - self.timers.settled.0 >= SETTLE_MS {
            self.timers.settled = now;
            report(self.settle(now), "move settled hours into history");
        }
        if now.0 - self.timers.kept_house.0 >= KEEP_HOUSE_MS {
            self.timers.kept_house = now;
            report(self.save(now), "write live columns and the rules' state");
            report(self.enforce_bounds(), "keep the database within its bounds");
            report(self.back_up(now), "back the database up");
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
        self.flush()?;
        self.save(now)?;
        self.store.close()?;
        Ok(())
    }

    /// Live columns, checkpoint, counters: one transaction.
    fn save(&mut self, now: MonoMs) -> Result<()> {
        self.flush()?;
        let stamp = Stamp { segment: self.segment, mono: now };
        let saved = Saved { doors: self.live.doors(), state: self.rules.clone() };
        let body = Body { tick_base: self.tick_base, state: saved.encode() };
        let wall = self.wall_of(stamp).0;
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
        tx.commit()?;
        self.live.mark_written();
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
        self.flush().map(|_| ())
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
