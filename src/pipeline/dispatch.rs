//! From deliveries to what a channel sends next, and from what it says became of that to rows.

use uuid::Uuid;

use super::Core;
use super::group::Write;
use crate::audit::Entity;
use crate::audit::event_types::CALL_FAILED;
use crate::domain::MonoMs;
use crate::notify::plan::{Item, Moment, Next};
use crate::notify::quiet;
use crate::notify::{Channel, Failure, Message, Receipt, Report};
use crate::rules::Tick;
use crate::store::deliveries::{self, Outcome, Status};

/// Reports whose message is not known (yet): of one that was sent before a restart, or whose sender answers next.
const EARLY_REPORTS_MAX: usize = 32;
/// A sender looks again at the latest after this, whatever it was told.
const LOOK_MS: i64 = 60_000;

/// What a sender does next.
#[derive(Debug)]
pub enum Dispatch {
    Send {
        ids: Vec<Uuid>,
        message: Box<Message>,
    },
    /// Nothing for so many ms of this clock, or until it is woken.
    Wait(i64),
}

impl Core {
    /// What a channel sends next. `recipient`: the name of a channel without recipients.
    pub fn next_dispatch(&mut self, channel: Channel, recipient: Option<&str>) -> Dispatch {
        loop {
            let now = self.clock.mono();
            let moment = Moment {
                now: self.tick_at(now),
                quiet_until: self.quiet_until(now),
                is_storage_failed: self.failing.is_some(),
            };
            match self.plan.next(channel, recipient, moment) {
                Next::Idle => return Dispatch::Wait(LOOK_MS),
                Next::Wait(until) => return Dispatch::Wait(until.since(moment.now).min(LOOK_MS)),
                Next::Send(items) => {
                    let ids = items.iter().map(|item| item.id).collect::<Vec<_>>();
                    if self.plan.is_told(&items) {
                        self.plan.satisfied(&ids);
                        self.note_outcomes(
                            &ids,
                            Status::Sent,
                            None,
                            Some("told with the outage of the source".into()),
                            0,
                        );
                        continue;
                    }
                    let (items, message) = self.fitting(items);
                    let ids = items.iter().map(|item| item.id).collect();
                    return Dispatch::Send { ids, message: Box::new(message) };
                }
            }
        }
    }

    /// As many items as one message holds; the others wait for the next.
    fn fitting(&mut self, mut items: Vec<Item>) -> (Vec<Item>, Message) {
        loop {
            let message = self.message_of(&items);
            let is_sms = items.first().is_some_and(|item| item.channel == Channel::Sms);
            if !is_sms || items.len() < 2 || fits_an_sms(&message.text) {
                return (items, message);
            }
            if let Some(last) = items.pop() {
                self.plan.put_back(last.id);
            }
        }
    }

    fn quiet_until(&self, now: MonoMs) -> Option<Tick> {
        let hours = self.settings.notify.quiet_hours?;
        let wall = self.wall_now(now)?;
        let until = quiet::until(hours, wall.0, &self.zone())?;
        Some(self.tick_at(now).plus(until - wall.0))
    }

    /// What became of a message.
    pub fn dispatched(&mut self, ids: &[Uuid], result: &Result<Receipt, Failure>) {
        let now = self.tick_at(self.clock.mono());
        match result {
            Ok(receipt) => {
                self.plan.sent(ids, now);
                let status = if receipt.is_delivered { Status::Delivered } else { Status::Sent };
                self.counters.add("notify.sent", "", 1);
                self.note_outcomes(ids, status, receipt.external_id.clone(), None, 0);
                let is_about = |report: &Report| Some(&report.external_id) == receipt.external_id.as_ref();
                let early = self.early_reports.iter().position(is_about);
                if let Some(report) = early.and_then(|at| self.early_reports.remove(at)) {
                    self.report_delivery(report);
                }
            }
            Err(failure) => {
                let is_final = matches!(failure, Failure::Never(_));
                let tries: Vec<(Uuid, u32)> = ids.iter().map(|id| (*id, self.plan.tries(*id))).collect();
                let given_up = self.plan.failed(ids, now, is_final);
                self.counters.add("notify.failed_tries", "", 1);
                for (id, tries) in tries {
                    let is_over = given_up.contains(&id);
                    let status = if is_over { Status::Failed } else { Status::Pending };
                    self.note_outcomes(
                        &[id],
                        status,
                        None,
                        Some(failure.to_string()),
                        tries + u32::from(!is_over),
                    );
                }
                if !given_up.is_empty() {
                    self.counters.add("notify.given_up", "", given_up.len() as u64);
                    tracing::error!("GAVE UP telling somebody: {failure}");
                    let at = self.stamp_now().mono;
                    // Not the failure's words: an address in them would stand in the chain for good.
                    let reason = if is_final { "refused for good" } else { "tried too often" };
                    let fields = [("count", given_up.len().into()), ("reason", reason.into())];
                    self.note(CALL_FAILED, Entity::Hub, fields, at);
                }
            }
        }
    }

    /// The other side's later word. It may come before the channel's own: then it waits for it.
    pub fn report_delivery(&mut self, report: Report) {
        // The row may be in the open group still.
        let _ = self.flush();
        let ids = match deliveries::by_external(self.store.connection(), report.channel, &report.external_id)
        {
            Ok(ids) => ids,
            Err(error) => {
                tracing::warn!(%error, "failed to find what a report is about: {error:#}");
                return;
            }
        };
        if ids.is_empty() {
            if self.early_reports.len() == EARLY_REPORTS_MAX {
                self.early_reports.pop_front();
            }
            self.early_reports.push_back(report);
            return;
        }
        match report.problem {
            None => self.note_outcomes(&ids, Status::Delivered, None, None, 0),
            Some(problem) => {
                tracing::error!("a message did not arrive: {problem}");
                self.counters.add("notify.not_delivered", "", 1);
                self.note_outcomes(&ids, Status::Failed, None, Some(problem), 0);
            }
        }
    }

    pub(super) fn note_outcomes(
        &mut self,
        ids: &[Uuid],
        status: Status,
        external_id: Option<String>,
        error: Option<String>,
        tries: u32,
    ) {
        let stamp = self.stamp_now();
        self.group.opened.get_or_insert(stamp.mono);
        for &id in ids {
            let (external_id, error) = (external_id.clone(), error.clone());
            let outcome = Outcome { id, status, external_id, error, tries, stamp };
            self.group.push(Write::Settled(Box::new(outcome)));
        }
    }
}

/// Four parts of GSM 7 bit (3GPP TS 23.038), or of UCS-2 where a letter needs it; some of it for what takes two places.
fn fits_an_sms(text: &str) -> bool {
    let is_plain = text.chars().all(|c| c.is_ascii() || "°äöüÄÖÜßñÑéèàìòùåÅøØæÆÉ§£¥€".contains(c));
    text.chars().count() <= if is_plain { 590 } else { 260 }
}
