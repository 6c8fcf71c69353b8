//! Escalation: who must be called about an open alert, and when again. It follows the decisions of the machines, so that
//! none of them knows of it.
//!
//! | severity | levels | next level after | last level again after |
//! |---|---|---|---|
//! | info | 0 | - | - |
//! | warning | 2 (of a silent unit 1) | 30 min | 60 min |
//! | critical | 3 | 15 min | 60 min |

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{At, Cause, Decision, MINUTE_MS, Tick, What};
use crate::domain::{AlertType, DeviceNo, Severity, UnitNo};
use frostguard_sync::ids::decision_id;

const WARNING_EVERY_MS: i64 = 30 * MINUTE_MS;
const CRITICAL_EVERY_MS: i64 = 15 * MINUTE_MS;
/// The last level, and a critical alert that somebody took and nobody ended.
const REPEAT_EVERY_MS: i64 = 60 * MINUTE_MS;

/// Time that passes without any event (a clock of another boot) makes no more calls than this about an alert.
const REPEATS_MAX: i64 = 1_000;

/// The open alerts, in the order in which they were opened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Calls(Vec<Call>);

/// One open alert and who was called about it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    pub alert: Uuid,
    pub unit: UnitNo,
    pub device: Option<DeviceNo>,
    pub alert_type: AlertType,
    pub severity: Severity,
    /// The level last called; 0: nobody yet (an unconfirmed excursion, or only worth knowing).
    pub level: u8,
    /// Calls made, of all levels.
    pub times: u32,
    /// A person took it.
    pub is_acknowledged: bool,
    /// When the alert began.
    opened: Tick,
    next: Option<Tick>,
}

impl Calls {
    pub fn iter(&self) -> impl Iterator<Item = &Call> {
        self.0.iter()
    }

    /// When the next call is due.
    pub fn next_deadline(&self) -> Option<Tick> {
        self.0.iter().filter_map(|call| call.next).min()
    }

    /// When the confirmed alarm of a unit began, while one is open.
    pub fn alarm_since(&self, unit: UnitNo) -> Option<Tick> {
        self.0.iter().find(|call| call.unit == unit && call.is_alarm()).map(|call| call.opened)
    }

    /// The same of an alert that is being closed.
    pub fn was_alarm(&self, alert: Uuid) -> Option<Tick> {
        self.0.iter().find(|call| call.alert == alert && call.is_alarm()).map(|call| call.opened)
    }

    /// Takes note of what was just decided (`out[from..]`); calls that are due at once are appended, one for an alert that
    /// was opened and got worse in the same moment.
    pub fn follow(&mut self, from: usize, at: At, out: &mut Vec<Decision>) {
        let mut due: Vec<(Uuid, Tick)> = Vec::new();
        for &Decision { tick, id, unit, ref what } in &out[from..] {
            match *what {
                What::Opened { alert_type, severity, device, .. } => {
                    self.0.push(Call {
                        alert: id,
                        unit,
                        device,
                        alert_type,
                        severity,
                        level: 0,
                        times: 0,
                        is_acknowledged: false,
                        opened: tick,
                        next: None,
                    });
                    // An excursion calls somebody when it is confirmed.
                    if alert_type != AlertType::AlarmActive {
                        due.push((id, tick));
                    }
                }
                What::Raised { alert, severity, .. } => {
                    let Some(call) = self.find(alert) else { continue };
                    // Confirmed, and no worse than what somebody took: it stays taken.
                    if call.is_acknowledged && severity <= call.severity {
                        continue;
                    }
                    (call.severity, call.is_acknowledged, call.level) = (severity, false, 0);
                    due.retain(|(other, _)| *other != alert);
                    due.push((alert, tick));
                }
                What::Resolved { alert, .. } => self.0.retain(|call| call.alert != alert),
                _ => {}
            }
        }
        for (alert, tick) in due {
            self.call_first(alert, tick, at, out);
        }
    }

    /// A person took the alert: nobody is called until it gets worse, or stays critical for too long.
    pub fn acknowledge(&mut self, alert: Uuid, tick: Tick) {
        if let Some(call) = self.find(alert) {
            call.is_acknowledged = true;
            call.next = (call.severity == Severity::Critical).then(|| tick.plus(REPEAT_EVERY_MS));
        }
    }

    /// Makes the calls that are due at `at.tick`; nothing else happens before `until`.
    pub fn fire(&mut self, until: Tick, at: At, out: &mut Vec<Decision>) {
        for call in &mut self.0 {
            if call.next.is_none_or(|next| next > at.tick) {
                continue;
            }
            let cause = if call.is_acknowledged {
                Cause::Reminder
            } else if call.level < call.levels() {
                call.level += 1;
                Cause::Escalated
            } else {
                Cause::Repeated
            };
            call.make(cause, at.tick, at, out);
            if until.since(at.tick) > REPEATS_MAX * REPEAT_EVERY_MS {
                call.next = Some(until);
            }
        }
    }

    /// The hub was away: what fell due meanwhile is called once, now, and the clock goes on from here.
    pub fn start(&mut self, tick: Tick) {
        for call in &mut self.0 {
            call.next = call.next.map(|next| next.max(tick));
        }
    }

    fn call_first(&mut self, alert: Uuid, tick: Tick, at: At, out: &mut Vec<Decision>) {
        if let Some(call) = self.find(alert).filter(|call| call.levels() > 0) {
            call.level = 1;
            call.make(Cause::First, tick, at, out);
        }
    }

    fn find(&mut self, alert: Uuid) -> Option<&mut Call> {
        self.0.iter_mut().find(|call| call.alert == alert)
    }
}

impl Call {
    /// A confirmed alarm of temperature.
    fn is_alarm(&self) -> bool {
        self.alert_type == AlertType::AlarmActive && self.level > 0
    }

    fn levels(&self) -> u8 {
        match (self.severity, self.alert_type) {
            (Severity::Info, _) => 0,
            (Severity::Warning, AlertType::MonitoringInterrupted) => 1,
            (Severity::Warning, _) => 2,
            (Severity::Critical, _) => 3,
        }
    }

    fn make(&mut self, cause: Cause, tick: Tick, at: At, out: &mut Vec<Decision>) {
        self.times = self.times.saturating_add(1);
        let every = if self.is_acknowledged || self.level >= self.levels() {
            REPEAT_EVERY_MS
        } else if self.severity == Severity::Critical {
            CRITICAL_EVERY_MS
        } else {
            WARNING_EVERY_MS
        };
        self.next = Some(tick.plus(every));
        // Several may follow from one event after a long silence, so the id counts them.
        let kind = format!("call {} {}", self.alert_type.as_str(), self.times);
        let device = self.device.map_or(0, |device| device.0);
        let id = decision_id(at.epoch, at.after.0, &kind, self.unit.0, device);
        let what = What::Called {
            alert: self.alert,
            alert_type: self.alert_type,
            severity: self.severity,
            level: self.level,
            cause,
        };
        out.push(Decision { tick, id, unit: self.unit, what });
    }
}
