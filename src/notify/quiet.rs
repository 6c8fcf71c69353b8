//! Quiet hours: when what is not critical waits.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

/// From a time of day until another, by the site's wall clock; over midnight where the end is not after the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietHours {
    from: Time,
    to: Time,
}

impl QuietHours {
    /// `22:00-06:00`. None: not of that form, or both ends are the same.
    pub fn parse(text: &str) -> Option<Self> {
        let (from, to) = text.trim().split_once('-')?;
        let time = |text: &str| {
            let (hour, minute) = text.trim().split_once(':')?;
            Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
        };
        let (from, to) = (time(from)?, time(to)?);
        (from != to).then_some(Self { from, to })
    }

    /// When they end (Unix ms), if it is quiet at `now_ms`.
    pub fn until(self, now_ms: i64, zone: &TimeZone) -> Option<i64> {
        let now = Timestamp::from_millisecond(now_ms).ok()?.to_zoned(zone.clone());
        let time = now.time();
        let is_over_midnight = self.from > self.to;
        let is_quiet = if is_over_midnight {
            time >= self.from || time < self.to
        } else {
            time >= self.from && time < self.to
        };
        if !is_quiet {
            return None;
        }
        let today = now.date();
        let day = if is_over_midnight && time >= self.from { today.checked_add(1.day()).ok()? } else { today };
        let end = day.to_datetime(self.to).to_zoned(zone.clone()).ok()?;
        Some(end.timestamp().as_millisecond())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(hours: &str, now: &str, until: Option<&str>) {
        let zone = jiff::tz::TimeZoneDatabase::bundled().get("Europe/Berlin").unwrap();
        let ms = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
        let hours = QuietHours::parse(hours).expect("quiet hours");
        assert_eq!(hours.until(ms(now), &zone), until.map(ms), "{now}");
    }

    #[test]
    fn they_end_by_the_wall_clock_of_the_site() {
        check("22:00-06:00", "2026-11-25T20:59:59Z", None);
        check("22:00-06:00", "2026-11-25T21:00:00Z", Some("2026-11-26T05:00:00Z"));
        check("22:00-06:00", "2026-11-26T04:59:59Z", Some("2026-11-26T05:00:00Z"));
        check("22:00-06:00", "2026-11-26T05:00:00Z", None);
        check("13:00-14:30", "2026-11-26T12:10:00Z", Some("2026-11-26T13:30:00Z"));
        check("13:00-14:30", "2026-11-26T13:30:00Z", None);
        // The night in which the clocks go forward is an hour shorter.
        check("22:00-06:00", "2026-03-28T22:00:00Z", Some("2026-03-29T04:00:00Z"));
    }

    #[test]
    fn anything_else_is_none() {
        for text in ["", "22-6", "22:00", "24:00-06:00", "22:00-22:00", "22:60-06:00", "a:b-c:d"] {
            assert_eq!(QuietHours::parse(text), None, "{text}");
        }
    }
}
