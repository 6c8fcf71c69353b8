//! Quiet hours: when what is not critical waits. Pure.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use crate::config::QuietHours;

/// When quiet hours end (Unix ms), if it is quiet at `now_ms` by the site's wall clock.
pub fn until(hours: QuietHours, now_ms: i64, zone: &TimeZone) -> Option<i64> {
    let now = Timestamp::from_millisecond(now_ms).ok()?.to_zoned(zone.clone());
    let minute = (now.hour() as u16) * 60 + now.minute() as u16;
    if !hours.contain(minute) {
        return None;
    }
    let is_tomorrow = hours.from_min > hours.to_min && minute >= hours.from_min;
    let day = if is_tomorrow { now.date().checked_add(1.day()).ok()? } else { now.date() };
    let end =
        day.at((hours.to_min / 60) as i8, (hours.to_min % 60) as i8, 0, 0).to_zoned(zone.clone()).ok()?;
    Some(end.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(hours: &str, now: &str, until: Option<&str>) {
        let zone = jiff::tz::TimeZoneDatabase::bundled().get("Europe/Berlin").unwrap();
        let ms = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
        let hours = QuietHours::parse(hours).expect("quiet hours");
        assert_eq!(super::until(hours, ms(now), &zone), until.map(ms), "{now}");
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
}
