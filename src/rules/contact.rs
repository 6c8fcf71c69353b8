//! The contact machine: is the unit still heard?

use serde::{Deserialize, Serialize};

use super::step::{Alert, Turn};
use super::unit::Unit;
use super::{Constants, Machine, Reason, Tick, What};
use crate::domain::{AlertType, Severity, UnitStatus};

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Contact {
    pub phase: Phase,
    /// When `phase` began.
    pub since: Tick,
    pub alert: Option<Alert>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Phase {
    Fresh,
    Offline,
    Interrupted,
}

impl Contact {
    pub fn new(tick: Tick) -> Self {
        Self { phase: Phase::Fresh, since: tick, alert: None }
    }

    pub fn status(&self) -> UnitStatus {
        match self.phase {
            Phase::Fresh => UnitStatus::Ok,
            Phase::Offline => UnitStatus::Offline,
            Phase::Interrupted => UnitStatus::MonitoringInterrupted,
        }
    }
}

impl Unit {
    /// When contact is lost further, if nothing is heard until then; the last probe to fall silent counts.
    pub fn contact_deadline(&self, constants: &Constants) -> Option<Tick> {
        let last = |at: fn(&super::probe::ProbeState, &Constants) -> Tick| {
            self.probes.iter().map(|probe| at(probe, constants)).max()
        };
        match self.contact.phase {
            Phase::Fresh => last(super::probe::ProbeState::silent_at),
            Phase::Offline => {
                last(super::probe::ProbeState::lost_at).map(|lost_at| lost_at.max(self.contact.since))
            }
            Phase::Interrupted => None,
        }
    }

    pub fn fire_contact(&mut self, turn: &mut Turn) {
        if self.contact_deadline(&turn.site.constants).is_none_or(|deadline| deadline > turn.tick) {
            return;
        }
        let alert_type = AlertType::MonitoringInterrupted;
        let unit = self.config.unit;
        if self.contact.phase == Phase::Fresh {
            let rule = turn.site.rule(alert_type, unit, turn.tick);
            let severity = rule.map_or(Severity::Warning, |rule| rule.severity);
            let rule = rule.map(|rule| rule.id);
            self.contact.alert = Some(turn.open(unit, alert_type, severity, rule, None));
            self.enter_contact(Phase::Offline, Reason::MissedCheckIns, turn);
        } else {
            match &mut self.contact.alert {
                Some(alert) if alert.severity < Severity::Critical => {
                    turn.raise(unit, alert_type, alert, Severity::Critical, Reason::MissedCheckIns);
                }
                Some(_) => {}
                // A person closed it while the unit stayed silent.
                None => {
                    let rule = turn.site.rule(alert_type, unit, turn.tick).map(|rule| rule.id);
                    self.contact.alert = Some(turn.open(unit, alert_type, Severity::Critical, rule, None));
                }
            }
            self.enter_contact(Phase::Interrupted, Reason::MissedCheckIns, turn);
        }
    }

    /// An accepted reading came, or there is nothing left that could be silent.
    pub fn restore_contact(&mut self, reason: Reason, turn: &mut Turn) {
        if self.contact.phase == Phase::Fresh {
            return;
        }
        if let Some(alert) = self.contact.alert.take() {
            turn.resolve(self.config.unit, AlertType::MonitoringInterrupted, alert, turn.tick, None);
        }
        self.enter_contact(Phase::Fresh, reason, turn);
    }

    /// A person closed the alert; only a reading ends the silence.
    pub fn close_contact_alert(&mut self, by: Option<uuid::Uuid>, turn: &mut Turn) {
        if let Some(alert) = self.contact.alert.take() {
            turn.resolve(self.config.unit, AlertType::MonitoringInterrupted, alert, turn.tick, by);
        }
    }

    fn enter_contact(&mut self, phase: Phase, reason: Reason, turn: &mut Turn) {
        let (from, shown) = (self.contact.status(), self.shown());
        self.contact.phase = phase;
        self.contact.since = turn.tick;
        self.note_change(Machine::Contact, from, shown, reason, turn);
    }

    /// Tells a change of one machine, made just now; `shown`: what was shown before it.
    pub fn note_change(
        &mut self,
        machine: Machine,
        from: UnitStatus,
        shown: UnitStatus,
        reason: Reason,
        turn: &mut Turn,
    ) {
        let to = match machine {
            Machine::Temperature => self.heat.status(),
            Machine::Contact => self.contact.status(),
        };
        if self.shown() != shown {
            self.since = turn.tick;
        }
        if from != to {
            let what = What::Status { machine, from, to, shown: self.shown(), reason };
            turn.decide(self.config.unit, what);
        }
    }
}
