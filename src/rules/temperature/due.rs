//! When time alone decides something about an excursion.

use super::Phase;
use crate::rules::unit::Unit;
use crate::rules::{Constants, Tick};

impl Unit {
    /// When something is decided without an event.
    pub fn heat_deadline(&self, constants: &Constants) -> Option<Tick> {
        let held = self
            .probes
            .iter()
            .filter(|probe| probe.held.is_some())
            .map(|probe| probe.overdue(constants))
            .min();
        if !self.is_rising() {
            let grace = self
                .door
                .grace_until()
                .map(|until| self.too_long(constants).map_or(until, |too_long| too_long.min(until)));
            return held.into_iter().chain(grace).min();
        }
        let overdue = self.out_overdue(constants);
        let critical = self.critical_at().filter(|_| self.is_critically_out());
        let by_delay = match self.heat.phase {
            Phase::Excursion => {
                let hold = self.hold().filter(|_| self.heat.held.is_some());
                Some(hold.map_or(self.confirm_at(), |(until, _)| until.max(self.confirm_at())))
            }
            _ => critical,
        };
        let too_long = self.too_long(constants);
        held.into_iter().chain(by_delay.map(|tick| tick.max(overdue))).chain(too_long).min()
    }

    fn too_long(&self, constants: &Constants) -> Option<Tick> {
        (0..self.probes.len()).filter_map(|index| self.too_long_at(index, false, constants)).min()
    }

    pub(in crate::rules) fn confirm_at(&self) -> Tick {
        self.heat.out_since.plus(self.heat.delay_ms())
    }

    pub(super) fn critical_at(&self) -> Option<Tick> {
        self.heat.critical_since.map(|since| since.plus(self.heat.delay_ms()))
    }

    /// When the next reading of a probe that is out is overdue; where none is left, of any.
    pub(super) fn out_overdue(&self, constants: &Constants) -> Tick {
        let overdue = |is_out: bool| {
            let probes = self.probes.iter().filter(move |probe| !is_out || probe.out.is_some());
            probes.map(|probe| probe.overdue(constants)).min()
        };
        overdue(true).or_else(|| overdue(false)).unwrap_or(Tick(i64::MIN))
    }

    /// When a probe's time above the limit becomes too long. `is_heard`: its reading was judged just now.
    pub(in crate::rules) fn too_long_at(
        &self,
        index: usize,
        is_heard: bool,
        constants: &Constants,
    ) -> Option<Tick> {
        let probe = &self.probes[index];
        let at = probe.above.too_long_at(probe.judged?.tick, constants)?;
        Some(if is_heard { at } else { at.max(probe.overdue(constants)) })
    }
}
