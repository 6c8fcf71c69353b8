//! What goes out when: cool-downs that merge, the hourly limit, quiet hours, retries. Pure: rows in, dispatches out.
//!
//! What may wait is merged, never dropped: everything that waits for a recipient goes out in one message at the end of
//! his cool-down. What may not wait: the first call of a critical alert, and an all-clear.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{Channel, Kind};
use crate::domain::{Severity, UnitNo};
use crate::rules::{Cause, Tick};

/// Tries after the first: exponential from 2 s.
pub const RETRIES_MAX: u32 = 5;
const RETRY_MS_FIRST: i64 = 2_000;
const HOUR_MS: i64 = 3_600_000;
/// Deliveries in memory: every alert of a large kitchen, calling everybody at every level for a day.
pub const ITEMS_MAX: usize = 20_000;
/// Alerts that one SMS tells of: more would not fit into its four parts, and what is cut off is not told.
pub const MERGED_SMS_MAX: usize = 6;
/// Of a mail: more than anybody reads.
const MERGED_MAIL_MAX: usize = 50;
/// A fifth of the hourly limit is kept for what is critical.
const RESERVED_DIVISOR: usize = 5;

/// One delivery that is due: a call, an all-clear or a notice, to one recipient over one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub id: Uuid,
    pub channel: Channel,
    pub recipient: String,
    pub kind: Kind,
    pub alert: Option<Uuid>,
    pub unit: Option<UnitNo>,
    pub severity: Severity,
    pub level: u8,
    pub cause: Cause,
    pub outage: Option<String>,
    /// Subject and text of a notice.
    pub words: Option<(String, String)>,
    pub due: Tick,
    /// Tries that failed.
    pub tries: u32,
}

/// Limits of the hub's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub cool_down_ms: i64,
    pub sms_per_hour_max: usize,
}

/// The moment of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    pub now: Tick,
    /// Quiet hours last until then.
    pub quiet_until: Option<Tick>,
    /// The store refuses writes: what is not stored goes out all the same.
    pub is_storage_failed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// These go out now, in one message.
    Send(Vec<Item>),
    /// Nothing before this instant.
    Wait(Tick),
    Idle,
}

#[derive(Clone, Debug)]
struct Waiting {
    item: Item,
    not_before: Tick,
    /// It stands in the database.
    is_stored: bool,
    is_in_flight: bool,
}

/// Between a source's name and the severity in `Item::outage`.
const OUTAGE_SEPARATOR: char = '|';

/// What one message tells of for all units of a source: its outage, at one severity.
pub fn outage(source: &str, severity: Severity) -> String {
    format!("{source}{OUTAGE_SEPARATOR}{severity}")
}

/// The source of an outage.
pub fn source_of(outage: &str) -> &str {
    outage.rsplit_once(OUTAGE_SEPARATOR).map_or(outage, |(source, _)| source)
}

type Address = (Channel, String);

/// What waits, and what went out lately.
#[derive(Clone, Debug)]
pub struct Plan {
    limits: Limits,
    waiting: Vec<Waiting>,
    last_sent: BTreeMap<Address, Tick>,
    /// SMS of the last hour.
    sms: Vec<Tick>,
    /// Outages that a recipient was told of.
    told: BTreeSet<(Address, String)>,
    /// Found no place.
    pub overflow: u64,
}

impl Plan {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            waiting: Vec::new(),
            last_sent: BTreeMap::new(),
            sms: Vec::new(),
            told: BTreeSet::new(),
            overflow: 0,
        }
    }

    /// Adds a delivery that was just decided (not stored yet) or read from the database (stored).
    pub fn add(&mut self, item: Item, is_stored: bool) {
        if self.waiting.iter().any(|known| known.item.id == item.id) {
            return;
        }
        if self.waiting.len() >= ITEMS_MAX {
            self.overflow += 1;
            return;
        }
        let not_before = item.due;
        self.waiting.push(Waiting { item, not_before, is_stored, is_in_flight: false });
    }

    /// What was added is committed.
    pub fn stored(&mut self) {
        self.waiting.iter_mut().for_each(|waiting| waiting.is_stored = true);
    }

    /// After a restart: something went out to an address at `at`.
    pub fn remember(&mut self, channel: Channel, recipient: &str, at: Tick, outage: Option<&str>) {
        let address = (channel, recipient.to_owned());
        if channel == Channel::Sms {
            self.sms.push(at);
            self.sms.sort_unstable();
        }
        if let Some(outage) = outage {
            self.told.insert((address.clone(), outage.to_owned()));
        }
        let last = self.last_sent.entry(address).or_insert(at);
        *last = (*last).max(at);
    }

    /// A source is back: its next outage is told anew.
    pub fn end_outage(&mut self, source: &str) {
        self.told.retain(|(_, told)| source_of(told) != source);
    }

    /// Tries of a delivery that failed.
    pub fn tries(&self, id: Uuid) -> u32 {
        self.waiting.iter().find(|waiting| waiting.item.id == id).map_or(0, |waiting| waiting.item.tries)
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What a channel sends next. `recipient`: only to that address (a channel without recipients).
    pub fn next(&mut self, channel: Channel, recipient: Option<&str>, moment: Moment) -> Next {
        self.sms.retain(|sent| moment.now.since(*sent) < HOUR_MS);
        let mut addresses: Vec<&str> = self
            .waiting
            .iter()
            .filter(|waiting| waiting.item.channel == channel && !waiting.is_in_flight)
            .map(|waiting| waiting.item.recipient.as_str())
            .filter(|address| recipient.is_none_or(|wanted| wanted == *address))
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        let mut wake: Option<Tick> = None;
        let mut chosen: Option<(Severity, Tick, Vec<usize>)> = None;
        for address in addresses {
            match self.look(channel, address, moment) {
                Look::Ready(indices) => {
                    let first = indices.iter().map(|&index| {
                        let item = &self.waiting[index].item;
                        (std::cmp::Reverse(item.severity), item.due)
                    });
                    let Some((std::cmp::Reverse(severity), due)) = first.min() else { continue };
                    // The gravest first, then the oldest.
                    let is_better = chosen.as_ref().is_none_or(|(other, at, _)| {
                        (*other, std::cmp::Reverse(*at)) < (severity, std::cmp::Reverse(due))
                    });
                    if is_better {
                        chosen = Some((severity, due, indices));
                    }
                }
                Look::Until(tick) => wake = Some(wake.map_or(tick, |wake| wake.min(tick))),
                Look::Nothing => {}
            }
        }
        match (chosen, wake) {
            (Some((_, _, indices)), _) => Next::Send(self.take_off(&indices)),
            (None, Some(tick)) => Next::Wait(tick.max(moment.now.plus(1))),
            (None, None) => Next::Idle,
        }
    }

    /// They arrived at the other side.
    pub fn sent(&mut self, ids: &[Uuid], now: Tick) {
        let mut addresses = BTreeSet::new();
        let (told, last_sent) = (&mut self.told, &mut self.last_sent);
        self.waiting.retain(|waiting| {
            if !ids.contains(&waiting.item.id) {
                return true;
            }
            let address = (waiting.item.channel, waiting.item.recipient.clone());
            if let Some(outage) = &waiting.item.outage {
                told.insert((address.clone(), outage.clone()));
            }
            last_sent.insert(address.clone(), now);
            addresses.insert(address);
            false
        });
        let sms = addresses.iter().filter(|(channel, _)| *channel == Channel::Sms).count();
        self.sms.extend(std::iter::repeat_n(now, sms));
    }

    /// An earlier message said it all.
    pub fn satisfied(&mut self, ids: &[Uuid]) {
        self.waiting.retain(|waiting| !ids.contains(&waiting.item.id));
    }

    /// They did not; returns those that are given up. `is_final`: no retry helps.
    pub fn failed(&mut self, ids: &[Uuid], now: Tick, is_final: bool) -> Vec<Uuid> {
        let mut given_up = Vec::new();
        self.waiting.retain_mut(|waiting| {
            if !ids.contains(&waiting.item.id) {
                return true;
            }
            waiting.is_in_flight = false;
            if is_final || waiting.item.tries >= RETRIES_MAX {
                given_up.push(waiting.item.id);
                return false;
            }
            waiting.not_before = now.plus(RETRY_MS_FIRST << waiting.item.tries);
            waiting.item.tries += 1;
            true
        });
        given_up
    }

    fn take_off(&mut self, indices: &[usize]) -> Vec<Item> {
        indices
            .iter()
            .map(|&index| {
                let waiting = &mut self.waiting[index];
                waiting.is_in_flight = true;
                waiting.item.clone()
            })
            .collect()
    }

    fn look(&self, channel: Channel, recipient: &str, moment: Moment) -> Look {
        let Moment { now, quiet_until, is_storage_failed } = moment;
        let mut wake: Option<Tick> = None;
        let mut wait = |tick: Tick| wake = Some(wake.map_or(tick, |wake: Tick| wake.min(tick)));
        let mut ready = Vec::new();
        for (index, waiting) in self.waiting.iter().enumerate() {
            let item = &waiting.item;
            if waiting.is_in_flight || item.channel != channel || item.recipient != recipient {
                continue;
            }
            if !waiting.is_stored && !is_storage_failed {
                // Its commit wakes the sender.
                continue;
            }
            if waiting.not_before > now {
                wait(waiting.not_before);
                continue;
            }
            if let Some(until) = quiet_until.filter(|_| channel.is_central() && item.may_wait_for_morning()) {
                wait(until);
                continue;
            }
            ready.push(index);
        }
        if ready.is_empty() {
            return wake.map_or(Look::Nothing, Look::Until);
        }
        if !channel.is_central() {
            // Machines are told of each thing by itself.
            ready.truncate(1);
            return Look::Ready(ready);
        }
        let hold = self.held_until(channel, recipient, now, &ready);
        if let Some(until) = hold {
            let until = wake.map_or(until, |wake| wake.min(until));
            return Look::Until(until);
        }
        // Those that matter most where there are too many; the rest follows.
        ready.sort_by_key(|&index| {
            let item = &self.waiting[index].item;
            (std::cmp::Reverse(item.severity), item.due)
        });
        ready.truncate(if channel == Channel::Sms { MERGED_SMS_MAX } else { MERGED_MAIL_MAX });
        Look::Ready(ready)
    }

    /// Until when all of `ready` must wait; None: it goes now.
    fn held_until(&self, channel: Channel, recipient: &str, now: Tick, ready: &[usize]) -> Option<Tick> {
        let items = || ready.iter().map(|&index| &self.waiting[index].item);
        if items().any(Item::is_first_critical) {
            return None;
        }
        let has_news = items().any(|item| !self.is_covered(item));
        let mut until = None;
        if channel == Channel::Sms {
            let is_critical = items().any(|item| item.severity == Severity::Critical);
            let most = self.limits.sms_per_hour_max;
            let most = if is_critical { most } else { most - most / RESERVED_DIVISOR };
            if self.sms.len() >= most.max(1) {
                let oldest = self.sms[self.sms.len() - most.max(1)];
                until = Some(oldest.plus(HOUR_MS));
            }
        }
        let is_cooling = !items().any(|item| item.kind == Kind::AllClear);
        if is_cooling && has_news {
            let address = (channel, recipient.to_owned());
            let cool = self.last_sent.get(&address).map(|last| last.plus(self.limits.cool_down_ms));
            until = until.max(cool.filter(|cool| *cool > now));
        }
        until.filter(|until| *until > now)
    }

    /// True when all the items tell of outages that the recipient was told of: no message is needed.
    pub fn is_told(&self, items: &[Item]) -> bool {
        !items.is_empty() && items.iter().all(|item| self.is_covered(item))
    }

    /// The first call of a further unit that an outage silences; who takes none of them is called again all the same.
    fn is_covered(&self, item: &Item) -> bool {
        let was_told =
            |outage: &String| self.told.contains(&((item.channel, item.recipient.clone()), outage.clone()));
        item.kind == Kind::Call && item.cause == Cause::First && item.outage.as_ref().is_some_and(was_told)
    }

    /// What does not fit into a message goes into the next one.
    pub fn put_back(&mut self, id: Uuid) {
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.item.id == id) {
            waiting.is_in_flight = false;
        }
    }
}

enum Look {
    Ready(Vec<usize>),
    Until(Tick),
    Nothing,
}

impl Item {
    /// The first call of a critical alert always goes, and so does a critical notice (the mains are lost).
    pub fn is_first_critical(&self) -> bool {
        matches!(self.kind, Kind::Call | Kind::Notice)
            && self.severity == Severity::Critical
            && self.cause == Cause::First
    }

    fn may_wait_for_morning(&self) -> bool {
        self.severity != Severity::Critical && self.kind != Kind::Test
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
