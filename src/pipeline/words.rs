//! What people read: messages, trials, and how telling them goes.

use anyhow::{Context, Result};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::domain::Severity;
use crate::notify::plan::Item;
use crate::notify::text::{self, Clock};
use crate::notify::{Channel, Kind, Message};
use crate::store::deliveries;
use frostguard_sync::ids::time_ordered_id;

use super::Core;
use super::calls::phone_of;

impl Core {
    pub(super) fn message_of(&mut self, items: &[Item]) -> Message {
        let stamp = self.stamp_now();
        let (wall, _) = self.wall_of(stamp);
        let clock = Clock { zone: self.zone(), now_ms: wall.0 };
        let told = self.told_alerts(items);
        let outages = self.told_outages(items, &clock);
        let notices: Vec<(String, String)> = items.iter().filter_map(|item| item.words.clone()).collect();
        let site = self.registry.site.clone();
        let words = text::compose(&site, &clock, &told, &outages, &notices);
        let kind =
            items.iter().map(|item| item.kind).min_by_key(|kind| kind_rank(*kind)).unwrap_or(Kind::Notice);
        let severity = items.iter().map(|item| item.severity).max().unwrap_or(Severity::Info);
        Message {
            id: items.first().map_or(Uuid::nil(), |item| item.id),
            kind,
            severity,
            recipient: items.first().map(|item| item.recipient.clone()).unwrap_or_default(),
            subject: words.subject,
            text: words.text,
            alerts: self.notes_of(items),
            made_ms: self.wall_now(stamp.mono).map(|wall| wall.0),
        }
    }

    /// A message with which a person tries a channel. `name`: the channel's.
    pub fn trial_message(&mut self, channel: Channel, name: &str, to: Option<&str>) -> Result<Message> {
        let recipient = match (channel.is_central(), to) {
            (true, Some(to)) => to.to_owned(),
            (true, None) => {
                let all = self.recipients(3);
                let first = all.into_iter().find(|(own, _)| *own == channel).map(|(_, recipient)| recipient);
                first.context("no contact has a number or address for it: name one with --to")?
            }
            (false, _) => name.to_owned(),
        };
        let stamp = self.stamp_now();
        let (wall, _) = self.wall_of(stamp);
        let time = text::clock_time(wall.0, &Clock { zone: self.zone(), now_ms: wall.0 });
        let id = time_ordered_id(wall.0, self.random_bytes());
        let site = &self.registry.site;
        Ok(Message {
            id,
            kind: Kind::Test,
            severity: Severity::Info,
            recipient,
            subject: "FrostGuard test".into(),
            text: format!("{site}: FrostGuard test at {time}. Alarms reach you here."),
            alerts: Vec::new(),
            made_ms: self.wall_now(stamp.mono).map(|wall| wall.0),
        })
    }

    /// For `status`.
    pub(crate) fn people_status(&self) -> Result<Value> {
        let (counts, failure) = deliveries::figures(self.store.connection())?;
        let of = |status: &str| counts.iter().find(|(own, _)| own == status).map_or(0, |(_, count)| *count);
        let channels = &self.settings.notify;
        let mut names: Vec<&str> = channels.machines.iter().map(|(_, name)| name.as_str()).collect();
        names.extend(channels.has_modem.then_some("sms"));
        names.extend(channels.has_smtp.then_some("email"));
        let contacts = &self.registry.contacts;
        Ok(json!({
            "channels": if names.is_empty() { "none: nobody is called".to_owned() } else { names.join(", ") },
            "contacts": contacts.len(),
            "with_phone": contacts.iter().filter(|contact| phone_of(contact).is_some()).count(),
            "with_email": contacts.iter().filter(|contact| contact.email.is_some()).count(),
            "waiting": self.plan.len(),
            "told": of("sent") + of("delivered"),
            "failed": of("failed"),
            "last_failure": failure.map(|(channel, recipient, error)| format!("{channel} to {recipient}: {error}")),
        }))
    }

    pub(super) fn zone(&self) -> TimeZone {
        jiff::tz::TimeZoneDatabase::bundled().get(&self.registry.zone).unwrap_or(TimeZone::UTC)
    }
}

/// A message that calls is a call, whatever else it says.
fn kind_rank(kind: Kind) -> u8 {
    match kind {
        Kind::Call => 0,
        Kind::Notice => 1,
        Kind::AllClear => 2,
        Kind::Test => 3,
    }
}
