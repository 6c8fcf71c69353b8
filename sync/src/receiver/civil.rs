//! Dates of the civil calendar, for `--history-from`.

/// Unix ms of the day's beginning in UTC; `text`: `2026-01-31`.
pub fn parse_date(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is no date like 2026-01-31");
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts[..] else { return Err(wrong()) };
    if year.len() != 4 || month.len() != 2 || day.len() != 2 {
        return Err(wrong());
    }
    let (year, month, day): (i64, i64, i64) = (
        year.parse().map_err(|_| wrong())?,
        month.parse().map_err(|_| wrong())?,
        day.parse().map_err(|_| wrong())?,
    );
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let Some(&days_max) = usize::try_from(month - 1).ok().and_then(|month| days.get(month)) else {
        return Err(wrong());
    };
    if year < 1970 || !(1..=days_max).contains(&day) {
        return Err(wrong());
    }
    let before: i64 = days.iter().take(month as usize - 1).sum();
    let leaps = |year: i64| year / 4 - year / 100 + year / 400;
    let whole = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    Ok((whole + before + day - 1) * 86_400_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_begin_in_utc() {
        for (text, want) in [
            ("1970-01-01", Ok(0)),
            ("2000-01-01", Ok(946_684_800_000)),
            ("2024-02-29", Ok(1_709_164_800_000)),
            ("2026-03-01", Ok(1_772_323_200_000)),
        ] {
            assert_eq!(parse_date(text), want, "{text}");
        }
        for text in
            ["", "2025-02-29", "2026-13-01", "2026-00-01", "2026-1-1", "1969-12-31", "today", "2026-01-01-01"]
        {
            assert!(parse_date(text).is_err(), "{text}");
        }
    }
}
