//! What people type: temperatures, percents, times, phone numbers. Pure; the errors are whole sentences for the person.

use anyhow::{Result, bail};
use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

use crate::domain::{Scale, Temperature};

/// What the central column holds.
const HUNDREDTHS: std::ops::RangeInclusive<i32> = -10_000..=30_000;
/// Hundredths of a degree Celsius that a thermometer in a kitchen's cold chain shows, blast chillers and warm deliveries
/// too: beyond it a person is asked again.
const PLAUSIBLE: std::ops::RangeInclusive<i32> = -4_500..=6_000;
/// A log of last week is still a log; an older one is no memory but a guess.
const AGE_MS_MAX: i64 = 7 * 86_400_000;
/// Clocks on walls are a few minutes off.
const AHEAD_MS_MAX: i64 = 5 * 60_000;

/// "4.5", "4,5", "-18", "40F", "4.5 °C" as degrees of `scale`.
pub fn temperature(text: &str, scale: Scale) -> Result<Temperature> {
    let wrong = || anyhow::anyhow!("{text:?} is no temperature; write it as 4.5, -18 or 40F");
    let trimmed = text.trim();
    let (number, given) = match trimmed.chars().last().map(|last| last.to_ascii_uppercase()) {
        Some('C') => (&trimmed[..trimmed.len() - 1], Scale::C),
        Some('F') => (&trimmed[..trimmed.len() - 1], Scale::F),
        _ => (trimmed, scale),
    };
    let number = number.trim_end().trim_end_matches('°').trim_end();
    let entered = Temperature { hundredths: hundredths(number).ok_or_else(wrong)?, scale: given };
    let own = entered.to(scale);
    if !HUNDREDTHS.contains(&own.hundredths) {
        bail!("{own} is outside -100 to 300 degrees: it cannot be kept");
    }
    Ok(own)
}

/// False where a person should look again.
pub fn is_plausible(temperature: Temperature) -> bool {
    PLAUSIBLE.contains(&temperature.to(Scale::C).hundredths)
}

/// Hundredths of a percent.
pub fn humidity(text: &str) -> Result<i32> {
    let number = text.trim().trim_end_matches('%').trim_end();
    match hundredths(number).filter(|value| (0..=10_000).contains(value)) {
        Some(value) => Ok(value),
        None => bail!("{text:?} is no relative humidity; write it as 55 or 55.5"),
    }
}

/// A decimal number with at most two places, point or comma; exact.
fn hundredths(text: &str) -> Option<i32> {
    let (is_negative, digits) = match text.strip_prefix(['-', '\u{2212}']) {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, places) = digits.split_once(['.', ',']).unwrap_or((digits, "0"));
    let is_number =
        |part: &str, most| (1..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole, 4) || !is_number(places, 2) {
        return None;
    }
    let places: i32 = format!("{places:0<2}").parse().ok()?;
    let value = whole.parse::<i32>().ok()? * 100 + places;
    Some(if is_negative { -value } else { value })
}

/// "14:05" (the last one), "2026-11-24 14:05" in the site's zone, or RFC 3339, as Unix ms. `now_ms`: trusted.
pub fn time(text: &str, now_ms: i64, zone: &str) -> Result<i64> {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let trimmed = text.trim();
    let civil = |at: DateTime| -> Result<Zoned> { Ok(at.to_zoned(zone.clone())?) };
    let now = Timestamp::from_millisecond(now_ms)?.to_zoned(zone.clone());
    let at_ms = if let Ok(at) = trimmed.parse::<Timestamp>() {
        at.as_millisecond()
    } else if let Ok(time) = Time::strptime("%H:%M", trimmed) {
        let today = civil(now.date().to_datetime(time))?.timestamp().as_millisecond();
        if today > now_ms + AHEAD_MS_MAX {
            civil(now.date().checked_sub(1.day())?.to_datetime(time))?.timestamp().as_millisecond()
        } else {
            today
        }
    } else if let Ok(at) = DateTime::strptime("%Y-%m-%d %H:%M", trimmed) {
        civil(at)?.timestamp().as_millisecond()
    } else {
        bail!("{text:?} is no time; write it as 14:05 or \"2026-11-24 14:05\"");
    };
    if at_ms > now_ms + AHEAD_MS_MAX {
        bail!("{text:?} is in the future");
    }
    if now_ms - at_ms > AGE_MS_MAX {
        bail!("{text:?} is more than a week ago");
    }
    Ok(at_ms.min(now_ms))
}

/// A phone number as SMS needs it: `+`, then 7 to 15 digits (ITU-T E.164). Spaces, dashes and brackets go.
pub fn phone(text: &str) -> Result<String> {
    // The trunk prefix that is not dialled from abroad.
    let text = text.replace("(0)", "");
    let number: String = text.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '/' | '.')).collect();
    let digits = number.strip_prefix('+').unwrap_or_default();
    let is_number = (7..=15).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit())
        && !digits.starts_with('0');
    if !is_number {
        bail!("{text:?} is no phone number with its country: write it as +49 151 23456789");
    }
    Ok(number)
}

/// Only what can be no address at all is refused.
pub fn email(text: &str) -> Result<String> {
    let text = text.trim();
    let is_address = text.len() <= 256
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
        && text.rsplit_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
    if !is_address {
        bail!("{text:?} is no e-mail address");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, scale: Scale, want: Option<i32>) {
        assert_eq!(temperature(text, scale).ok().map(|t| t.hundredths), want, "{text:?} {scale:?}");
    }

    #[test]
    fn temperatures_as_people_write_them() {
        use Scale::{C, F};
        for (text, scale, want) in [
            ("4.5", C, Some(450)),
            ("4,5", C, Some(450)),
            ("4,05", C, Some(405)),
            (" +4 ", C, Some(400)),
            ("-18", C, Some(-1_800)),
            ("\u{2212}18,5", C, Some(-1_850)),
            ("-0.5", C, Some(-50)),
            ("40F", C, Some(444)),
            ("40 °f", C, Some(444)),
            ("4.5C", F, Some(4_010)),
            ("4.5 °C", C, Some(450)),
            ("40", F, Some(4_000)),
            ("300", C, Some(30_000)),
            ("-100", C, Some(-10_000)),
            ("300.01", C, None),
            ("-100.01", C, None),
            ("600F", C, None),
            ("4.555", C, None),
            ("NaN", C, None),
            ("inf", C, None),
            ("1e2", C, None),
            ("", C, None),
            ("C", C, None),
            ("°", C, None),
            ("--4", C, None),
            ("4.", C, None),
            (".5", C, None),
            ("99999999999", C, None),
            ("4K", C, None),
        ] {
            check(text, scale, want);
        }
        for (text, scale, want) in
            [("-45", C, true), ("-46", C, false), ("61", C, false), ("61", F, true), ("150", F, false)]
        {
            assert_eq!(is_plausible(temperature(text, scale).unwrap()), want, "{text}");
        }
        for (text, want) in
            [("55", Some(5_500)), ("55,5 %", Some(5_550)), ("101", None), ("-1", None), ("x", None)]
        {
            assert_eq!(humidity(text).ok(), want, "{text}");
        }
    }

    #[test]
    fn times_are_the_sites_and_not_ahead() {
        let zone = "Europe/Berlin";
        let ms = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
        let now = ms("2026-11-24T00:10:00+01:00");
        for (text, want) in [
            ("00:05", Some("2026-11-24T00:05:00+01:00")),
            ("23:55", Some("2026-11-23T23:55:00+01:00")),
            ("00:12", Some("2026-11-24T00:10:00+01:00")),
            ("2026-11-20 14:05", Some("2026-11-20T14:05:00+01:00")),
            ("2026-11-23T22:00:00Z", Some("2026-11-23T23:00:00+01:00")),
            ("2026-11-25 14:05", None),
            ("2026-11-01 14:05", None),
            ("25:00", None),
            ("noon", None),
        ] {
            assert_eq!(time(text, now, zone).ok(), want.map(ms), "{text}");
        }
    }

    #[test]
    fn phone_numbers_and_addresses() {
        for (text, want) in [
            ("+49 151 23456789", Some("+4915123456789")),
            ("+1 (212) 555-0100", Some("+12125550100")),
            ("0151 23456789", None),
            ("+0151234567", None),
            ("+49", None),
            ("+4915123456789012", None),
            ("+49x5123456789", None),
        ] {
            assert_eq!(phone(text).ok().as_deref(), want, "{text}");
        }
        for (text, want) in
            [("a@b.de", true), ("a@b", false), ("@b.de", false), ("a b@c.de", false), ("x", false)]
        {
            assert_eq!(email(text).is_ok(), want, "{text}");
        }
    }
}
