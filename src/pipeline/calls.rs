//! From a decision that people must be called to deliveries, and from what a channel says became of them to rows.

use anyhow::Result;
use uuid::Uuid;

use crate::audit::Entity;
use crate::audit::event_types::CALL_FAILED;
use crate::domain::{AlertType, MonoMs, Severity, Stamp, UnitNo};
use crate::notify::plan::{self, Item, Moment, Next};
use crate::notify::quiet;
use crate::notify::{Channel, Failure, Kind, Message, Receipt, Report};
use crate::power::Notice;
use crate::rules::{Cause, Decision, Tick, What};
use crate::store::deliveries::{self, Outcome, Status};
use frostguard_sync::ids::{sha256, time_ordered_id};

use super::Core;
use super::group::Write;

/// Deliveries looked at after a restart, so that cool-downs and the hourly limit go on: more than an hour's.
const RECENT_MAX: u32 = 500;
/// Reports whose message is not known (yet): of one that was sent before a restart, or whose sender answers next.
const EARLY_REPORTS_MAX: usize = 32;
/// A sender looks again at the latest after this, whatever it was told.
const LOOK_MS: i64 = 60_000;
/// E.164: at most 15 digits, none of them first a 0.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

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

/// `+` and 7 to 15 digits (ITU-T E.164).
pub fn is_phone(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        PHONE_DIGITS.contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0')
    })
}

impl Core {
    /// What a decision means for people: deliveries join the group.
    pub(super) fn tell_people(&mut self, decision: &Decision) {
        match decision.what {
            What::Called { alert, alert_type, severity, level, cause } => {
                let outage = self.outage_of(decision.unit, alert_type, severity);
                let item = Template { kind: Kind::Call, alert, severity, level, cause, outage };
                let recipients = self.recipients(level);
                self.standing.note_called(alert, &recipients);
                self.deliver_to(&recipients, decision, &item);
            }
            What::Resolved { alert, .. } => self.all_clear(alert, decision),
            What::Late { severity, .. } => {
                // It is over: nobody needs to be woken.
                let severity = severity.min(Severity::Warning);
                let item = Template {
                    kind: Kind::Notice,
                    alert: decision.id,
                    severity,
                    level: 1,
                    cause: Cause::First,
                    outage: None,
                };
                let recipients = self.recipients(1);
                self.deliver_to(&recipients, decision, &item);
            }
            _ => {}
        }
    }

    /// Tells the people of level 1, and machines, something that is no alert.
    pub(crate) fn give_notice(&mut self, severity: Severity, notice: Notice) {
        let stamp = self.stamp_now();
        let due = self.tick_at(stamp.mono);
        for (channel, recipient) in self.recipients(1) {
            let id = time_ordered_id(self.wall_of(stamp).0.0, self.random_bytes());
            let item = Item {
                id,
                channel,
                recipient,
                kind: Kind::Notice,
                alert: None,
                unit: None,
                severity,
                level: 1,
                cause: Cause::First,
                outage: None,
                words: Some((notice.subject.clone(), notice.text.trim_end().to_owned())),
                due,
                tries: 0,
            };
            self.add_delivery(item, stamp);
        }
        self.group.opened.get_or_insert(stamp.mono);
        self.group.is_urgent = true;
    }

    fn all_clear(&mut self, alert: Uuid, decision: &Decision) {
        let Some(standing) = self.standing.get(alert) else { return };
        let severity = standing.severity;
        // A lamp and a buzzer follow the board.
        let called = standing.called.iter().filter(|(channel, _)| *channel != Channel::Signal);
        let recipients: Vec<_> = called.cloned().collect();
        let item =
            Template { kind: Kind::AllClear, alert, severity, level: 0, cause: Cause::First, outage: None };
        self.deliver_to(&recipients, decision, &item);
    }

    fn deliver_to(&mut self, recipients: &[(Channel, String)], decision: &Decision, template: &Template) {
        let stamp = Stamp { segment: self.segment, mono: MonoMs(decision.tick.0 - self.tick_base) };
        for (channel, recipient) in recipients {
            let item = Item {
                id: delivery_id(decision.id, *channel, recipient),
                channel: *channel,
                recipient: recipient.clone(),
                kind: template.kind,
                alert: Some(template.alert),
                unit: Some(decision.unit),
                severity: template.severity,
                level: template.level,
                cause: template.cause,
                outage: template.outage.clone(),
                words: None,
                due: decision.tick,
                tries: 0,
            };
            self.add_delivery(item, stamp);
        }
    }

    fn add_delivery(&mut self, item: Item, stamp: Stamp) {
        self.plan.add(item.clone(), false);
        self.group.push(Write::Delivery { item: Box::new(item), stamp });
    }

    /// Who is called at a level: contacts whose priority is below it (level 3: everyone active), by every channel there
    /// is, and what needs no contact.
    pub(super) fn recipients(&mut self, level: u8) -> Vec<(Channel, String)> {
        let mut out = Vec::new();
        let mut unreachable = 0;
        let channels = &self.settings.notify;
        for contact in &self.registry.contacts {
            if level < 3 && contact.priority >= i32::from(level.max(1)) {
                continue;
            }
            let before = out.len();
            let phone = super::entered::phone(&contact.phone).ok().filter(|phone| is_phone(phone));
            if let Some(phone) = phone.filter(|_| channels.has_modem) {
                out.push((Channel::Sms, phone));
            }
            if let Some(email) = contact.email.clone().filter(|_| channels.has_smtp) {
                out.push((Channel::Email, email));
            }
            unreachable += u64::from(out.len() == before && (channels.has_modem || channels.has_smtp));
        }
        if out.is_empty() && (channels.has_modem || channels.has_smtp) {
            self.counters.add("notify.nobody_to_call", "", 1);
            tracing::error!("NOBODY TO CALL at level {level}: no contact of that priority can be reached");
        }
        out.extend(channels.machines.iter().cloned());
        out.sort();
        out.dedup();
        if unreachable > 0 {
            self.counters.add("notify.unreachable_contacts", "", unreachable);
            tracing::warn!(
                "{unreachable} contacts have neither a number as +49... nor an address that this hub can use"
            );
        }
        out
    }

    /// The outage of a source that explains the silence of a unit, if one does.
    fn outage_of(&self, unit: UnitNo, alert_type: AlertType, severity: Severity) -> Option<String> {
        if alert_type != AlertType::MonitoringInterrupted {
            return None;
        }
        let source = self.source_of_unit(unit)?;
        self.sources.get(&source).filter(|state| !state.is_up).map(|_| plan::outage(&source, severity))
    }

    /// The source over which a unit's devices were heard last.
    pub(super) fn source_of_unit(&self, unit: UnitNo) -> Option<String> {
        let mut ports = self.registry.assignments.iter().filter(|a| a.unit == unit).map(|a| {
            let heard = self.live.port(a.device);
            heard.or_else(|| self.registry.device(a.device).map(|device| device.port.as_str()))
        });
        let first = ports.next()??;
        // Two ways to hear it: one that is down explains nothing.
        ports.all(|port| port == Some(first)).then(|| first.to_owned()).filter(|port| !port.is_empty())
    }

    /// Reads what was not done when the hub stopped, and what went out lately.
    pub(super) fn restore_calls(&mut self) -> Result<()> {
        let connection = self.store.connection();
        let (pending, recent) =
            (deliveries::pending(connection)?, deliveries::recent(connection, RECENT_MAX)?);
        let now = self.tick_at(self.now);
        for mut known in pending {
            if !self.settings.notify.has(known.item.channel, &known.item.recipient) {
                let error = Some("the channel is not configured any more".to_owned());
                self.note_outcomes(&[known.item.id], Status::Failed, None, error, known.item.tries);
                continue;
            }
            known.item.due = self.tick_of(known.due).min(now);
            self.plan.add(known.item, true);
        }
        for mut known in recent {
            let Some(done) = known.done else { continue };
            // An outage that is over says nothing of the next one.
            let alert = known.item.alert.and_then(|alert| self.standing.get(alert));
            known.item.outage =
                known.item.outage.filter(|_| alert.is_some_and(|alert| alert.resolved.is_none()));
            let item = &known.item;
            self.plan.remember(
                item.channel,
                &item.recipient,
                self.tick_of(done).min(now),
                item.outage.as_deref(),
            );
        }
        Ok(())
    }

    /// Judging time of a stamp of any boot, by wall time; what cannot be placed counts as long ago.
    fn tick_of(&self, stamp: Stamp) -> Tick {
        if stamp.segment == self.segment {
            return self.tick_at(stamp.mono);
        }
        let here = Stamp { segment: self.segment, mono: self.now };
        match (self.times.of(stamp), self.times.of(here)) {
            (then, now) if then.is_placed && now.is_placed => {
                Tick(self.tick_at(self.now).0 - (now.ms - then.ms))
            }
            _ => Tick(self.tick_at(self.now).0 - 24 * 3_600_000),
        }
    }

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

    fn note_outcomes(
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

/// What all deliveries of one decision share.
struct Template {
    kind: Kind,
    alert: Uuid,
    severity: Severity,
    level: u8,
    cause: Cause,
    outage: Option<String>,
}

/// Four parts of GSM 7 bit (3GPP TS 23.038), or of UCS-2 where a letter needs it; some of it for what takes two places.
fn fits_an_sms(text: &str) -> bool {
    let is_plain = text.chars().all(|c| c.is_ascii() || "°äöüÄÖÜßñÑéèàìòùåÅøØæÆÉ§£¥€".contains(c));
    text.chars().count() <= if is_plain { 590 } else { 260 }
}

/// A replay of the decision makes the same delivery: a hash in UUIDv4 layout.
fn delivery_id(decision: Uuid, channel: Channel, recipient: &str) -> Uuid {
    let hash = sha256(&[
        b"frostguard delivery",
        decision.as_bytes(),
        channel.as_str().as_bytes(),
        b"\0",
        recipient.as_bytes(),
    ]);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    bytes[6] = 0x40 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    Uuid::from_bytes(bytes)
}
