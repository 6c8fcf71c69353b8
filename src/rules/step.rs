//! Time and events in their order.

use uuid::Uuid;

use super::probe::ProbeState;
use super::state::State;
use super::turn::Turn;
use super::unit::Unit;
use super::{At, Decision, Event, Gap, Reason, RuleConfig, Tick, What};
use crate::domain::UnitNo;

/// Fires every deadline up to `at.tick`, each at its own instant and in order of (instant, unit), then the event;
/// decisions are appended to `out` in that order. Allocates nothing when nothing changes.
///
/// Never panics: readings of unknown units or unassigned probes and answers to alerts that are not open do nothing, and
/// an `at` before the newest instant counts as that one.
pub fn step(state: &mut State, event: &Event, at: At, out: &mut Vec<Decision>) {
    let tick = at.tick.max(state.tick);
    let at = At { tick, ..at };
    match event {
        Event::Started { gap } => {
            let (Gap::Known { ms } | Gap::AtLeast { ms }) = *gap;
            // What was due while nobody listened is not decided: the check-in clocks start anew.
            state.fire_until(Tick(tick.0.saturating_sub(ms.max(0))), at, out);
            state.start(*gap, at);
        }
        Event::Reading(reading) => {
            state.fire_until(tick, at, out);
            if reading.is_late {
                let alarm_since = state.calls.alarm_since(reading.unit);
                state.on_unit(reading.unit, at, out, |unit, turn| unit.read_late(reading, alarm_since, turn));
            } else {
                state.on_unit(reading.unit, at, out, |unit, turn| {
                    unit.hear_good(reading.device, reading.probe, turn);
                    unit.read(reading, turn);
                });
            }
        }
        Event::ManualLog { unit, temperature } => {
            state.fire_until(tick, at, out);
            state.on_unit(*unit, at, out, |unit, turn| {
                unit.note_manual_log(turn);
                unit.log_manually(*temperature, turn);
            });
        }
        Event::Faulty { unit, device, probe } => {
            state.fire_until(tick, at, out);
            state.on_unit(*unit, at, out, |unit, turn| unit.take_fault(*device, *probe, turn));
        }
        Event::Battery { unit, device, percent } => {
            state.fire_until(tick, at, out);
            state.on_unit(*unit, at, out, |unit, turn| unit.take_battery(*device, *percent, turn));
        }
        Event::Senders { unit, device, are_two } => {
            state.fire_until(tick, at, out);
            state.on_unit(*unit, at, out, |unit, turn| {
                if *are_two {
                    unit.take_two_senders(*device, turn);
                } else {
                    unit.end_two_senders(*device, turn);
                }
            });
        }
        Event::Acknowledged { alert } => {
            state.fire_until(tick, at, out);
            state.calls.acknowledge(*alert, tick);
            state.quiet_until = Tick(i64::MIN);
        }
        Event::Resolved { alert, by } => {
            state.fire_until(tick, at, out);
            state.close_alert(*alert, *by, at, out);
        }
        Event::Configured(config) => {
            state.fire_until(tick, at, out);
            state.configure(config, at, out);
        }
        Event::Placed { offset_ms } => {
            state.fire_until(tick, at, out);
            state.site.offset_ms = *offset_ms;
            // Calibrations fall due by wall time.
            state.derive();
        }
        Event::Door { unit, device, is_open } => {
            state.fire_until(tick, at, out);
            state.on_unit(*unit, at, out, |unit, turn| unit.move_door(*device, *is_open, turn));
        }
        Event::Defrost { unit, is_on } => {
            state.fire_until(tick, at, out);
            state.on_unit(*unit, at, out, |unit, turn| unit.controller.hear(*is_on, turn.tick));
        }
        // Sources move neither machine.
        Event::Tick | Event::SourceUp { .. } | Event::SourceDown { .. } => state.fire_until(tick, at, out),
    }
    state.tick = tick;
}

impl State {
    /// Fires what is due up to `until`, the earliest first; of one instant the machines before the calls.
    fn fire_until(&mut self, until: Tick, at: At, out: &mut Vec<Decision>) {
        while self.quiet_until <= until {
            let units = self.units.iter().enumerate();
            let next = units.filter_map(|(index, unit)| Some((unit.deadline?, index))).min();
            let call = self.calls.next_deadline();
            let deadline = next.map(|(deadline, _)| deadline).into_iter().chain(call).min();
            let Some(deadline) = deadline.filter(|deadline| *deadline <= until) else {
                self.quiet_until = deadline.unwrap_or(Tick(i64::MAX));
                return;
            };
            self.tick = deadline.max(self.tick);
            let at = At { tick: self.tick, ..at };
            match next.filter(|(own, _)| *own <= deadline) {
                Some((_, index)) => self.on_index(index, at, out, |unit, turn| {
                    unit.fire_contact(turn);
                    unit.fire_heat(turn);
                    unit.fire_door(turn);
                    unit.fire_devices(turn);
                }),
                None => self.calls.fire(until, at, out),
            }
        }
    }

    fn on_unit(
        &mut self,
        unit: UnitNo,
        at: At,
        out: &mut Vec<Decision>,
        act: impl FnOnce(&mut Unit, &mut Turn),
    ) {
        if let Some(index) = self.find(unit) {
            self.on_index(index, at, out, act);
        }
    }

    fn on_index(
        &mut self,
        index: usize,
        at: At,
        out: &mut Vec<Decision>,
        act: impl FnOnce(&mut Unit, &mut Turn),
    ) {
        let from = out.len();
        let unit = &mut self.units[index];
        act(unit, &mut Turn { site: &self.site, tick: at.tick, at, out });
        unit.deadline = unit.next_deadline(&self.site);
        self.quiet_until = self.quiet_until.min(unit.deadline.unwrap_or(Tick(i64::MAX)));
        self.follow(from, at, out);
    }

    /// Calls follow from what was decided since `out[from]`.
    fn follow(&mut self, from: usize, at: At, out: &mut Vec<Decision>) {
        if out.len() == from {
            return;
        }
        for decision in &out[from..] {
            let Decision { unit, what: What::Resolved { alert, at: end, .. }, .. } = *decision else {
                continue;
            };
            let (Some(since), Some(offset)) = (self.calls.was_alarm(alert), self.site.offset_ms) else {
                continue;
            };
            if let Some(index) = self.find(unit) {
                self.units[index].late.note_told(since.plus(offset).0, end.plus(offset).0);
            }
        }
        self.calls.follow(from, at, out);
        self.quiet_until = self.quiet_until.min(self.calls.next_deadline().unwrap_or(Tick(i64::MAX)));
    }

    fn start(&mut self, gap: Gap, at: At) {
        for unit in &mut self.units {
            for probe in &mut unit.probes {
                probe.listen_anew(at.tick);
            }
            if matches!(gap, Gap::AtLeast { .. }) {
                unit.doubt_elapsed();
            }
        }
        self.calls.start(at.tick);
        self.derive();
    }

    fn close_alert(&mut self, alert: Uuid, by: Option<Uuid>, at: At, out: &mut Vec<Decision>) {
        for index in 0..self.units.len() {
            self.on_index(index, at, out, |unit, turn| {
                if unit.heat.alert.is_some_and(|open| open.id == alert) {
                    unit.close_temperature_alert(by, turn);
                } else if unit.door.alert.is_some_and(|open| open.id == alert) {
                    unit.close_door_alert(by, turn);
                } else if !unit.close_contact_alert(alert, by, turn) {
                    unit.close_device_alert(alert, by, turn);
                }
            });
        }
    }

    /// Replaces the configuration; units and probes that stay keep what they know.
    fn configure(&mut self, config: &RuleConfig, at: At, out: &mut Vec<Decision>) {
        let from = out.len();
        self.replace_site(config);
        let mut former = std::mem::take(&mut self.units);
        let rhythms: Vec<ProbeState> = former.iter().flat_map(|unit| unit.probes.clone()).collect();

        let mut wanted = config.units.clone();
        wanted.sort_by_key(|unit| unit.unit);
        wanted.dedup_by_key(|unit| unit.unit);
        for unit_config in wanted {
            let found = former.iter().position(|unit| unit.config.unit == unit_config.unit);
            let mut unit =
                found.map_or_else(|| Unit::new(unit_config.clone(), at.tick), |at| former.swap_remove(at));
            unit.config = unit_config;
            unit.assign(&config.probes, &rhythms, at.tick);
            self.units.push(unit);
        }

        former.sort_by_key(|unit| unit.config.unit);
        for mut unit in former {
            unit.rules.clear();
            let mut turn = Turn { site: &self.site, tick: at.tick, at, out };
            unit.restore_contact(Reason::UnitRemoved, &mut turn);
            unit.end_excursion(at.tick, None, Reason::UnitRemoved, &mut turn);
            unit.drop_devices(&mut turn);
            unit.close_door_alert(None, &mut turn);
        }
        for unit in &mut self.units {
            let mut turn = Turn { site: &self.site, tick: at.tick, at, out };
            unit.reconsider_contact(&mut turn);
            unit.assign_devices(&config.devices, &mut turn);
        }
        self.derive();
        self.follow(from, at, out);
    }
}

impl Unit {
    fn assign(&mut self, probes: &[super::ProbeConfig], rhythms: &[ProbeState], tick: Tick) {
        let mut former = std::mem::take(&mut self.probes);
        for config in probes.iter().filter(|config| config.unit == self.config.unit) {
            if self.probes.iter().any(|probe| probe.is(config.device, config.probe)) {
                continue;
            }
            let own = former.iter().position(|probe| probe.is(config.device, config.probe));
            let moved = rhythms.iter().find(|probe| probe.is(config.device, config.probe));
            self.probes.push(match (own, moved) {
                (Some(at), _) => former.swap_remove(at).reconfigured(config),
                (None, Some(moved)) => moved.moved(config, tick),
                (None, None) => ProbeState::new(config, tick),
            });
        }
    }
}
