//! Power: mains or battery, and what a power cut did to each unit.
//!
//! - `Power` here: the state machine over what is seen of the supply; pure.
//! - `report`: from readings to what became of each unit; pure.
//! - `watch`: reads the kernel's supplies and a UPS's line.

pub mod report;
#[cfg(test)]
mod tests;
pub mod watch;

use serde::{Deserialize, Serialize};

use crate::domain::MonoMs;

/// What feeds the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supply {
    Mains,
    Battery,
}

/// One look at the supply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub supply: Supply,
    /// Percent of the battery, where there is one that tells.
    pub battery: Option<u8>,
}

/// What the core is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PowerEvent {
    /// The mains are gone since then.
    Lost { since: MonoMs, battery: Option<u8> },
    /// They are back since then.
    Back { since: MonoMs },
    /// On battery, and it is below the configured percent; once per loss.
    BatteryLow { percent: u8 },
}

/// What the watch tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    Event(PowerEvent),
    /// The supply is read: at first, and again after it could not be.
    Known,
    /// Why nobody knows what feeds the hub. No outage: what was known last goes on to count.
    Unknown(String),
}

/// Whether the supply is known: what is looked at every second is told once for each reason.
#[derive(Clone, Debug, Default)]
pub struct Looks {
    /// What was told last.
    last: Option<News>,
}

impl Looks {
    /// Takes what came of a look: why it failed, if it did.
    pub fn take(&mut self, problem: Option<&String>) -> Option<News> {
        let news = problem.map_or(News::Known, |why| News::Unknown(why.clone()));
        let is_news = self.last.as_ref() != Some(&news);
        is_news.then(|| self.last.insert(news).clone())
    }
}

/// A message to people, in the site's time zone and each unit's scale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// One line.
    pub subject: String,
    /// Plain text, lines ended by `\n`.
    pub text: String,
}

/// Looks that are further apart do not follow upon one another: in between the supply could not be read.
const GAP_MS_MAX: i64 = 10_000;

/// The state: a change counts once it has lasted, and then from its beginning.
#[derive(Clone, Debug)]
pub struct Power {
    debounce_ms: i64,
    low_below: u8,
    supply: Supply,
    /// The other supply is seen since then.
    changing: Option<MonoMs>,
    /// The look before.
    seen_at: Option<MonoMs>,
    is_low_told: bool,
}

impl Power {
    /// On mains until something else is seen: a hub that starts on battery tells it like any loss.
    pub fn new(debounce_ms: i64, low_below: u8) -> Self {
        Self {
            debounce_ms,
            low_below,
            supply: Supply::Mains,
            changing: None,
            seen_at: None,
            is_low_told: false,
        }
    }

    pub fn supply(&self) -> Supply {
        self.supply
    }

    /// Takes a look. At most one event of a change and one of the battery, in this order.
    pub fn see(&mut self, seen: Seen, now: MonoMs) -> impl Iterator<Item = PowerEvent> + use<> {
        let changed = self.change(seen, now);
        let low = seen.battery.filter(|percent| {
            self.supply == Supply::Battery && *percent < self.low_below && !self.is_low_told
        });
        self.is_low_told |= low.is_some();
        changed.into_iter().chain(low.map(|percent| PowerEvent::BatteryLow { percent }))
    }

    fn change(&mut self, seen: Seen, now: MonoMs) -> Option<PowerEvent> {
        // What was not looked at for a while did not last that long.
        let gap_ms = self.seen_at.replace(now).map_or(0, |before| now.0 - before.0);
        if seen.supply == self.supply || gap_ms > self.debounce_ms.max(GAP_MS_MAX) {
            self.changing = None;
        }
        if seen.supply == self.supply {
            return None;
        }
        let since = *self.changing.get_or_insert(now);
        if now.0 - since.0 < self.debounce_ms {
            return None;
        }
        self.supply = seen.supply;
        self.changing = None;
        self.is_low_told = false;
        Some(match seen.supply {
            Supply::Battery => PowerEvent::Lost { since, battery: seen.battery },
            Supply::Mains => PowerEvent::Back { since },
        })
    }
}
