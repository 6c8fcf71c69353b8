//! Events on their way through the rules: stored, judged, and what was decided on its way to people and the store.

use crate::domain::{MonoMs, Seq, Stamp};
use crate::rules::{self, At, Decision, Event, What};
use crate::store::inputs::{Input, InputRow};

use super::group::Write;
use super::{Core, decide};

impl Core {
    /// Stores an input of the rules and judges it.
    pub(super) fn take_input(&mut self, event: Event, stamp: Stamp) -> Seq {
        let seq = self.next_seq();
        self.group.opened.get_or_insert(stamp.mono);
        let input = Input { tick_base: self.tick_base, event };
        match input.encode() {
            Ok(body) => {
                let kind = kind(&input.event).to_owned();
                self.group.push(Write::Input(InputRow { epoch_no: self.epoch.no, seq, kind, stamp, body }));
            }
            // Plain data always encodes; were it ever not to, the event is judged all the same.
            Err(error) => tracing::error!(%error, "an input of the rules cannot be stored: {error}"),
        }
        let event = input.event;
        self.judge(&event, stamp.mono, Seq(seq.0 - 1));
        seq
    }

    pub(super) fn judge(&mut self, event: &Event, at: MonoMs, after: Seq) {
        let at = At { tick: self.tick_at(at), epoch: self.epoch.epoch, after };
        let mut decisions = std::mem::take(&mut self.decisions);
        rules::step(&mut self.rules, event, at, &mut decisions);
        for decision in decisions.drain(..) {
            self.decided(decision);
        }
        self.decisions = decisions;
    }

    pub(super) fn decided(&mut self, decision: Decision) {
        let stamp = Stamp { segment: self.segment, mono: MonoMs(decision.tick.0 - self.tick_base) };
        let message = decide::message(&decision, &self.registry);
        if decide::is_urgent(&decision.what) {
            self.group.is_urgent = true;
        }
        match decide::severity_of(&decision.what) {
            Some(severity) => tracing::warn!(alert.severity = %severity, "{message}"),
            None => tracing::info!("{message}"),
        }
        self.group.opened.get_or_insert(stamp.mono);
        self.follow_decision(&decision, stamp, &message);
        self.group.push(Write::Decision { decision: decision.clone(), stamp, message });
        self.tell_people(&decision);
    }

    fn follow_decision(&mut self, decision: &Decision, stamp: Stamp, message: &str) {
        if let What::Opened { alert_type, .. } | What::Late { alert_type, .. } = decision.what {
            self.counters.add("alerts.opened", alert_type.as_str(), 1);
        }
        let person = match decision.what {
            What::Resolved { by: Some(by), .. } => self.registry.person(by),
            _ => None,
        };
        self.standing.follow(decision, stamp, message, person);
    }
}

/// `hub_inputs.kind`: readable names for people.
fn kind(event: &Event) -> &'static str {
    match event {
        Event::Started { .. } => "started",
        Event::Configured(_) => "configured",
        Event::Reading(_) => "reading",
        Event::Faulty { .. } => "faulty",
        Event::Door { .. } => "door",
        Event::ManualLog { .. } => "manual_log",
        Event::Acknowledged { .. } => "acknowledged",
        Event::Resolved { .. } => "resolved",
        Event::Placed { .. } => "placed",
        Event::SourceUp { .. } => "source_up",
        Event::SourceDown { .. } => "source_down",
        Event::Tick => "tick",
        Event::Battery { .. } => "battery",
        Event::Senders { .. } => "senders",
        Event::Defrost { .. } => "defrost",
    }
}
