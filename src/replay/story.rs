//! Decisions gathered into the story of each alert.

use serde::Serialize;
use uuid::Uuid;

use crate::domain::{AlertType, Severity};
use crate::rules::{Decision, Estimate, HoldCause, HoldEnd, Tick, Violated, What};

/// An alert from its beginning to its end. Times are Unix ms.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Story {
    #[serde(skip)]
    id: Uuid,
    #[serde(rename = "type")]
    pub alert_type: AlertType,
    /// The highest it reached.
    pub severity: Severity,
    pub opened: Tick,
    /// When people are called: a confirmed excursion, or another type's warning. None: nobody is.
    pub confirmed: Option<Tick>,
    /// When it became critical.
    pub critical: Option<Tick>,
    pub resolved: Option<Tick>,
    /// Why it was confirmed.
    pub reason: Option<&'static str>,
    /// Hundredths of a degree in the unit's scale.
    pub trigger: Option<i32>,
    pub violated: Option<Violated>,
    pub estimate: Option<Estimate>,
    /// What kept it from being an alarm, and for how long.
    pub held: Vec<HoldStory>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HoldStory {
    pub cause: HoldCause,
    pub since: Tick,
    /// None: it lasts.
    pub until: Option<Tick>,
    pub end: Option<HoldEnd>,
}

#[derive(Default)]
pub(super) struct Stories {
    told: Vec<Story>,
    /// A door's grace that ended in an excursion, which is told next.
    grace: Option<HoldStory>,
    graces: u64,
}

impl Stories {
    pub fn tell(&mut self, decision: &Decision) {
        let tick = decision.tick;
        match &decision.what {
            What::Opened { alert_type, severity, trigger, violated, .. } => {
                let calls = *alert_type != AlertType::AlarmActive && *severity > Severity::Info;
                self.told.push(Story {
                    id: decision.id,
                    alert_type: *alert_type,
                    severity: *severity,
                    opened: tick,
                    confirmed: calls.then_some(tick),
                    critical: (*severity == Severity::Critical).then_some(tick),
                    resolved: None,
                    reason: None,
                    trigger: trigger.map(|trigger| trigger.hundredths),
                    violated: *violated,
                    estimate: None,
                    held: self.grace.take().into_iter().collect(),
                });
            }
            What::Raised { alert, severity, reason, estimate, .. } => {
                let Some(story) = self.story(*alert) else { return };
                if story.confirmed.is_none() {
                    (story.confirmed, story.reason) = (Some(tick), Some(reason.as_str()));
                    story.estimate = *estimate;
                }
                if *severity == Severity::Critical {
                    story.critical.get_or_insert(tick);
                }
                story.severity = *severity;
            }
            What::Resolved { alert, at, .. } => {
                if let Some(story) = self.story(*alert) {
                    story.resolved = Some(*at);
                }
            }
            What::Held { alert: Some(alert), cause, .. } => {
                if let Some(story) = self.story(*alert) {
                    story.held.push(HoldStory { cause: *cause, since: tick, until: None, end: None });
                }
            }
            What::HoldEnded { alert, cause, since, end } => {
                let held = HoldStory { cause: *cause, since: *since, until: Some(tick), end: Some(*end) };
                match alert {
                    Some(alert) => {
                        if let Some(last) = self.story(*alert).and_then(|story| story.held.last_mut()) {
                            *last = held;
                        }
                    }
                    None if *end == HoldEnd::Excursion => self.grace = Some(held),
                    None => self.graces += 1,
                }
            }
            What::Held { alert: None, .. }
            | What::Status { .. }
            | What::Called { .. }
            | What::Late { .. }
            | What::LateGrew { .. } => {}
        }
    }

    pub fn finish(self) -> (Vec<Story>, u64) {
        (self.told, self.graces)
    }

    /// An open alert is one of the last few.
    fn story(&mut self, id: Uuid) -> Option<&mut Story> {
        self.told.iter_mut().rev().find(|story| story.id == id)
    }
}
