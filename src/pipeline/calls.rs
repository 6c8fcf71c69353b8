//! From a decision that people must be called to deliveries.

use anyhow::Result;
use uuid::Uuid;

use crate::domain::{AlertType, MonoMs, Severity, Stamp, UnitNo};
use crate::notify::plan::{self, Item};
use crate::notify::{Channel, Kind};
use crate::power::Notice;
use crate::rules::{Cause, Decision, Tick, What};
use crate::store::deliveries::{self, Status};
use crate::store::people::Contact;
use frostguard_sync::ids::{sha256, time_ordered_id};

use super::Core;
use super::group::Write;

/// Deliveries looked at after a restart, so that cool-downs and the hourly limit go on: more than an hour's.
const RECENT_MAX: u32 = 500;
/// E.164: at most 15 digits, none of them first a 0.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// `+` and 7 to 15 digits (ITU-T E.164).
pub fn is_phone(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        PHONE_DIGITS.contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0')
    })
}

/// The number a contact is called at, if it is one.
pub(super) fn phone_of(contact: &Contact) -> Option<String> {
    super::entered::phone(&contact.phone).ok().filter(|phone| is_phone(phone))
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
            if let Some(phone) = phone_of(contact).filter(|_| channels.has_modem) {
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
