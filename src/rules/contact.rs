//! The contact machine: is the unit still heard, and if not, does somebody look at it?

use serde::{Deserialize, Serialize};

use super::turn::{Alert, Turn};
use super::unit::Unit;
use super::{Constants, MINUTE_MS, Machine, Reason, Tick, What};
use crate::domain::{AlertType, Severity, UnitStatus};

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Contact {
    pub phase: Phase,
    /// When `phase` began.
    pub since: Tick,
    pub alert: Option<Alert>,
    /// `missed_manual_entry`.
    pub manual_alert: Option<Alert>,
    /// The newest manual log, or when the unit began to be watched.
    pub logged: Tick,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Phase {
    Fresh,
    Offline,
    Interrupted,
    /// Nothing was heard for so long that somebody must measure by hand.
    ManualRequired,
}

impl Contact {
    pub fn new(tick: Tick) -> Self {
        Self { phase: Phase::Fresh, since: tick, alert: None, manual_alert: None, logged: tick }
    }

    pub fn status(&self) -> UnitStatus {
        match self.phase {
            Phase::Fresh => UnitStatus::Ok,
            Phase::Offline => UnitStatus::Offline,
            Phase::Interrupted => UnitStatus::MonitoringInterrupted,
            Phase::ManualRequired => UnitStatus::ManualRequired,
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
            // Without a sensor only a person can look, where somebody must.
            Phase::Fresh if self.probes.is_empty() => {
                self.config.manual_required.then(|| self.manual_due(constants))
            }
            Phase::Fresh => last(super::probe::ProbeState::silent_at),
            Phase::Offline => {
                last(super::probe::ProbeState::lost_at).map(|lost_at| lost_at.max(self.contact.since))
            }
            Phase::Interrupted => Some(self.manual_due(constants).max(self.contact.since)),
            Phase::ManualRequired => None,
        }
    }

    /// When somebody must have measured: after the newest of reading and manual log.
    fn manual_due(&self, constants: &Constants) -> Tick {
        let heard = self.probes.iter().filter_map(|probe| probe.newest).map(|newest| newest.tick).max();
        let last = heard.map_or(self.contact.logged, |heard| heard.max(self.contact.logged));
        let own = self.config.manual_interval_min.filter(|minutes| *minutes > 0);
        let minutes = own.map_or(i64::from(constants.manual_interval_min), i64::from);
        last.plus(minutes * MINUTE_MS)
    }

    pub fn fire_contact(&mut self, turn: &mut Turn) {
        if self.contact_deadline(&turn.site.constants).is_none_or(|deadline| deadline > turn.tick) {
            return;
        }
        match self.contact.phase {
            Phase::Fresh if self.probes.is_empty() => self.require_manual_log(turn),
            Phase::Fresh => self.go_offline(turn),
            Phase::Offline => self.go_interrupted(turn),
            Phase::Interrupted => self.require_manual_log(turn),
            Phase::ManualRequired => {}
        }
    }

    fn go_offline(&mut self, turn: &mut Turn) {
        let alert_type = AlertType::MonitoringInterrupted;
        let unit = self.config.unit;
        let rule = turn.site.rule(alert_type, unit, turn.tick);
        let severity = rule.map_or(Severity::Warning, |rule| rule.severity);
        let rule = rule.map(|rule| rule.id);
        self.contact.alert = Some(turn.open(unit, alert_type, severity, rule, None));
        self.enter_contact(Phase::Offline, Reason::MissedCheckIns, turn);
    }

    fn go_interrupted(&mut self, turn: &mut Turn) {
        let alert_type = AlertType::MonitoringInterrupted;
        let unit = self.config.unit;
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

    fn require_manual_log(&mut self, turn: &mut Turn) {
        let alert_type = AlertType::MissedManualEntry;
        let unit = self.config.unit;
        if self.contact.manual_alert.is_none() {
            let rule = turn.site.rule(alert_type, unit, turn.tick);
            let severity = rule.map_or(Severity::Warning, |rule| rule.severity);
            let rule = rule.map(|rule| rule.id);
            self.contact.manual_alert = Some(turn.open(unit, alert_type, severity, rule, None));
        }
        self.enter_contact(Phase::ManualRequired, Reason::NoManualLog, turn);
    }

    /// A person measured: the time for the next log begins anew.
    pub fn note_manual_log(&mut self, turn: &mut Turn) {
        self.contact.logged = turn.tick;
        if self.contact.phase == Phase::ManualRequired {
            self.resolve_manual_alert(None, turn);
            let phase = if self.probes.is_empty() { Phase::Fresh } else { Phase::Interrupted };
            self.enter_contact(phase, Reason::ManualLog, turn);
        }
    }

    /// An accepted reading came, or there is nothing left that could be silent.
    pub fn restore_contact(&mut self, reason: Reason, turn: &mut Turn) {
        if self.contact.phase == Phase::Fresh {
            return;
        }
        self.resolve_contact_alert(None, turn);
        self.resolve_manual_alert(None, turn);
        self.enter_contact(Phase::Fresh, reason, turn);
    }

    /// A person closed an alert of this machine; only a reading ends the silence, and only a log the want of one. True
    /// when it was one of this unit's.
    pub fn close_contact_alert(
        &mut self,
        alert: uuid::Uuid,
        by: Option<uuid::Uuid>,
        turn: &mut Turn,
    ) -> bool {
        let is = |open: Option<Alert>| open.is_some_and(|open| open.id == alert);
        if is(self.contact.alert) {
            self.resolve_contact_alert(by, turn);
        } else if is(self.contact.manual_alert) {
            self.resolve_manual_alert(by, turn);
        } else {
            return false;
        }
        true
    }

    fn resolve_contact_alert(&mut self, by: Option<uuid::Uuid>, turn: &mut Turn) {
        if let Some(alert) = self.contact.alert.take() {
            turn.resolve(self.config.unit, AlertType::MonitoringInterrupted, alert, turn.tick, by);
        }
    }

    fn resolve_manual_alert(&mut self, by: Option<uuid::Uuid>, turn: &mut Turn) {
        if let Some(alert) = self.contact.manual_alert.take() {
            turn.resolve(self.config.unit, AlertType::MissedManualEntry, alert, turn.tick, by);
        }
    }

    /// Another configuration: a state that has no ground any more ends.
    pub fn reconsider_contact(&mut self, turn: &mut Turn) {
        if !self.probes.is_empty() {
            return;
        }
        if self.contact.phase == Phase::ManualRequired && self.config.manual_required {
            // Nothing is silent any more, but the log is as missing as before.
            self.resolve_contact_alert(None, turn);
        } else {
            self.restore_contact(Reason::ProbeUnassigned, turn);
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
