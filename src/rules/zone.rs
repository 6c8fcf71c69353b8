//! The site's time zone, by the bundled database: a name that is saved, its rules that are not.

use jiff::civil::DateTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Serialize};

/// An IANA zone. An unknown name counts as UTC: schedules then hold by UTC, and limits are watched all the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub(super) struct Zone {
    name: String,
    zone: TimeZone,
}

impl Zone {
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), zone: TimeZoneDatabase::bundled().get(name).unwrap_or(TimeZone::UTC) }
    }

    /// The wall clock of the site.
    pub fn at(&self, unix_ms: i64) -> Option<DateTime> {
        Some(self.zone.to_datetime(jiff::Timestamp::from_millisecond(unix_ms).ok()?))
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self::named("UTC")
    }
}

impl From<String> for Zone {
    fn from(name: String) -> Self {
        Self::named(&name)
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.name
    }
}
