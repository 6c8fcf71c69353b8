//! Words: what a message says, from the alerts as they stand when it is sent. Pure.

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use super::message::{AlertNote, Kind};
use crate::domain::{AlertStatus, Severity};

/// An alert as a message tells of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub note: AlertNote,
    /// Why people are told.
    pub kind: Kind,
    /// The level called.
    pub level: u8,
    pub is_reminder: bool,
    /// "-9.2 °C now", where the unit was heard lately.
    pub now: Option<String>,
    /// "-25.0 to -18.0 °C".
    pub limits: Option<String>,
    pub resolved_ms: Option<i64>,
    /// Who ended or took it.
    pub person: Option<String>,
}

/// One message: what it says in one line, and all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    pub subject: String,
    pub text: String,
}

/// The source of an outage, since when it is down ("09:12"), and the units that are not heard because of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    pub source: String,
    pub severity: Severity,
    pub since: Option<String>,
    pub units: Vec<String>,
}

/// The site's clock at the moment a message is written.
#[derive(Clone, Debug)]
pub struct Clock {
    pub zone: TimeZone,
    pub now_ms: i64,
}

/// Units named by an outage's message; the rest is counted.
const UNITS_NAMED_MAX: usize = 8;

/// What a message says of alerts, outages and notices (subject and text) together.
pub fn compose(
    site: &str,
    clock: &Clock,
    alerts: &[Told],
    outages: &[Outage],
    notices: &[(String, String)],
) -> Words {
    let mut lines: Vec<(Severity, String)> =
        alerts.iter().map(|told| (rank(told), line(told, clock))).collect();
    lines.extend(outages.iter().map(|outage| (outage.severity, outage_line(outage))));
    lines.sort_by_key(|(severity, _)| std::cmp::Reverse(*severity));
    let mut lines: Vec<String> = lines.into_iter().map(|(_, line)| line).collect();
    lines.extend(notices.iter().map(|(_, text)| text.clone()));
    let first = alerts
        .iter()
        .map(|told| (rank(told), headline(told)))
        .chain(outages.iter().map(|outage| (outage.severity, outage_headline(outage))))
        .max_by_key(|(severity, _)| *severity)
        .map(|(_, headline)| headline)
        .or_else(|| notices.first().map(|(subject, _)| subject.clone()))
        .unwrap_or_default();
    let count = alerts.len() + outages.len() + notices.len();
    let subject = if count > 1 { format!("{first} (+{} more)", count - 1) } else { first };
    let text = format!("{site}: {}", lines.join("\n"));
    Words { subject, text }
}

/// What is over counts less than what is not.
fn rank(told: &Told) -> Severity {
    if told.resolved_ms.is_some() { Severity::Info } else { told.note.severity }
}

fn headline(told: &Told) -> String {
    match told.kind {
        Kind::Notice => format!("LATE: {}", told.note.message),
        _ if told.resolved_ms.is_some() => format!("OK: {}", told.note.unit),
        Kind::AllClear => format!("OK: {}", told.note.unit),
        _ => format!("{}: {}", tag(told.note.severity), told.note.message),
    }
}

fn line(told: &Told, clock: &Clock) -> String {
    let AlertNote { unit, message, severity, triggered_ms, status, .. } = &told.note;
    let since = clock_time(*triggered_ms, clock);
    if let Some(resolved_ms) = told.resolved_ms {
        let until = clock_time(resolved_ms, clock);
        let by = told.person.as_ref().map(|person| format!(", ended by {person}")).unwrap_or_default();
        let now = told.now.as_ref().map(|now| format!(", {now}")).unwrap_or_default();
        if told.kind == Kind::Notice {
            return format!("LATE {message}: {since} to {until}.");
        }
        return format!("OK {unit}{now}. {message}: {since} to {until}{by}.");
    }
    let mut text = format!("{} {message}", tag(*severity));
    if let Some(limits) = &told.limits {
        let _ = write!(text, " (limits {limits})");
    }
    let _ = write!(text, ", since {since}");
    if let Some(now) = &told.now {
        let _ = write!(text, ", {now}");
    }
    text.push('.');
    if *status == AlertStatus::Acknowledged {
        let person = told.person.as_deref().unwrap_or("somebody");
        let _ = write!(text, " Taken by {person}, not over yet.");
    } else if told.is_reminder {
        text.push_str(" Not over yet.");
    } else if told.level > 1 {
        let _ = write!(text, " Nobody has taken it: level {}.", told.level);
    }
    text
}

fn outage_headline(outage: &Outage) -> String {
    format!("{}: {} is not heard", tag(outage.severity), outage.source)
}

fn outage_line(outage: &Outage) -> String {
    let since = outage.since.as_ref().map(|since| format!(" since {since}")).unwrap_or_default();
    let mut named = outage.units.iter().take(UNITS_NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    if outage.units.len() > UNITS_NAMED_MAX {
        let _ = write!(named, " and {} more", outage.units.len() - UNITS_NAMED_MAX);
    }
    format!("{} {} is down{since}: not monitored: {named}.", tag(outage.severity), outage.source)
}

fn tag(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "INFO",
        Severity::Warning => "WARNING",
        Severity::Critical => "CRITICAL",
    }
}

/// "14:05"; with the day in front when it is not the day of `Clock::now_ms`.
pub fn clock_time(unix_ms: i64, clock: &Clock) -> String {
    let local = |ms| Some(jiff::Timestamp::from_millisecond(ms).ok()?.to_zoned(clock.zone.clone()));
    let Some(time) = local(unix_ms) else { return String::new() };
    let is_today = local(clock.now_ms).is_some_and(|now| now.date() == time.date());
    time.strftime(if is_today { "%H:%M" } else { "%-d %b %H:%M" }).to_string()
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
