//! What a power cut did: for each unit how long it was above its limit, how warm it got, when it was back.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::Notice;
use crate::domain::{Scale, Temperature, UnitNo};

/// The report is written this long after the return at the latest, whatever has not recovered by then: a full freezer
/// that was off for a night needs about so long, and people wait for the report.
pub const WAIT_MS_MAX: i64 = 4 * 3_600_000;
/// No reading for so long is a gap, where the unit is not read more seldom anyway (three of its usual intervals).
const GAP_MS_MIN: i64 = 30 * 60_000;
/// Gaps that a text names; more are counted.
const GAPS_SHOWN: usize = 3;

/// How a power cut was noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The supply told of it.
    Mains,
    /// The hub itself was off without having been stopped: probably a power cut.
    Unclean,
}

impl Reason {
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Mains => "mains",
            Reason::Unclean => "unclean",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Mains, Self::Unclean].into_iter().find(|reason| reason.as_str() == text)
    }
}

/// Times are Unix ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub from_ms: i64,
    pub to_ms: i64,
}

impl Span {
    fn ms(self) -> i64 {
        (self.to_ms - self.from_ms).max(0)
    }
}

/// A unit and what counts as good there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    pub unit: UnitNo,
    pub name: String,
    pub scale: Scale,
    /// Tenths of a degree in `scale`.
    pub temp_min: i32,
    pub temp_max: i32,
    /// Hundredths of a degree in `scale`.
    pub hysteresis: i32,
    /// Readings in a row inside the band after which the first of them is the recovery.
    pub good_readings: u32,
}

/// A reading of a unit since the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Unix ms.
    pub at_ms: i64,
    pub temperature: Temperature,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Never above its limit.
    Fine,
    Recovered,
    /// Was above, and is not back inside the band yet.
    NotYet,
    /// No reading since the mains came back.
    NotSeen,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnitReport {
    pub unit: UnitNo,
    pub name: String,
    pub verdict: Verdict,
    /// A reading holds until the next one. A gap between two readings above counts as above: nothing else is safe.
    pub above_ms: i64,
    /// Tenths in `scale`, as it was then.
    pub temp_max: i32,
    pub scale: Scale,
    /// The highest reading, hundredths in `scale`, and when.
    pub highest: Option<(i32, i64)>,
    /// From the return of the mains to the first good reading; 0 where that came before.
    pub recovered_ms: Option<i64>,
    pub gaps: Vec<Span>,
}

/// A power cut with all its units.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub reason: Reason,
    pub power: Span,
    /// False: the clock was not trusted, and times and durations over the cut are the least they can have been.
    pub is_time_known: bool,
    pub units: Vec<UnitReport>,
}

/// Makes the report. `until_ms`: now; readings in any order.
pub fn report(
    reason: Reason,
    power: Span,
    is_time_known: bool,
    until_ms: i64,
    units: &[Watched],
    readings: &BTreeMap<UnitNo, Vec<Point>>,
) -> Report {
    let none = Vec::new();
    let units = units
        .iter()
        .map(|unit| of_unit(unit, power, until_ms, readings.get(&unit.unit).unwrap_or(&none)))
        .collect();
    Report { reason, power, is_time_known, units }
}

impl Report {
    /// True when nothing more is to be waited for.
    pub fn is_complete(&self) -> bool {
        self.is_time_known
            && self.units.iter().all(|unit| matches!(unit.verdict, Verdict::Fine | Verdict::Recovered))
    }
}

fn of_unit(unit: &Watched, power: Span, until_ms: i64, readings: &[Point]) -> UnitReport {
    let mut points: Vec<(i64, i32)> = readings
        .iter()
        .filter(|point| point.at_ms >= power.from_ms)
        .map(|point| (point.at_ms, point.temperature.to(unit.scale).hundredths))
        .collect();
    points.sort_unstable();
    let max = unit.temp_max * 10;
    let is_above = |hundredths: i32| hundredths > max;
    let gap_ms = gap_limit(&points);
    let (mut above_ms, mut gaps) = (0, Vec::new());
    // The loss before the first reading and now after the last one bound what is looked at.
    let first = points.first().map_or(until_ms, |point| point.0);
    let edges = std::iter::once((power.from_ms, None, first, None))
        .chain(points.windows(2).map(|two| (two[0].0, Some(two[0].1), two[1].0, Some(two[1].1))))
        .chain(points.last().map(|last| (last.0, Some(last.1), until_ms, None)));
    for (from_ms, before, to_ms, after) in edges {
        let span = Span { from_ms, to_ms };
        let is_gap = span.ms() > gap_ms;
        if is_gap {
            gaps.push(span);
        }
        let is_before_above = before.is_some_and(is_above);
        if is_before_above && (!is_gap || after.is_some_and(is_above)) {
            above_ms += span.ms();
        }
    }
    let recovery = recovery(unit, &points);
    let has_been_seen = points.iter().filter(|point| point.0 >= power.to_ms).count();
    let was_above = points.iter().any(|point| is_above(point.1));
    let verdict = match (was_above, recovery) {
        (true, Some(_)) => Verdict::Recovered,
        (true, None) => Verdict::NotYet,
        (false, _) if has_been_seen < unit.good_readings.max(1) as usize => Verdict::NotSeen,
        (false, _) => Verdict::Fine,
    };
    UnitReport {
        unit: unit.unit,
        name: unit.name.clone(),
        verdict,
        above_ms,
        temp_max: unit.temp_max,
        scale: unit.scale,
        // The first of several as high.
        highest: points.iter().rev().max_by_key(|point| point.1).map(|point| (point.1, point.0)),
        recovered_ms: recovery.map(|at| (at - power.to_ms).max(0)),
        gaps,
    }
}

/// The first of enough good readings in a row after the last one above; one between band and limit neither counts nor
/// breaks the row.
fn recovery(unit: &Watched, points: &[(i64, i32)]) -> Option<i64> {
    let (min, max) = (unit.temp_min * 10, unit.temp_max * 10);
    // As the rules: where the limits are closer, a quarter of them.
    let hysteresis = if max - min < 2 * unit.hysteresis { (max - min) / 4 } else { unit.hysteresis };
    let (mut was_above, mut good, mut first) = (false, 0, None);
    for &(at, hundredths) in points {
        if hundredths > max {
            (was_above, good, first) = (true, 0, None);
        } else if was_above && (min + hysteresis..=max - hysteresis).contains(&hundredths) {
            good += 1;
            first.get_or_insert(at);
        }
    }
    first.filter(|_| good >= unit.good_readings.max(1))
}

fn gap_limit(points: &[(i64, i32)]) -> i64 {
    let mut steps: Vec<i64> = points.windows(2).map(|two| two[1].0 - two[0].0).collect();
    steps.sort_unstable();
    steps.get(steps.len() / 2).map_or(0, |median| 3 * median).max(GAP_MS_MIN)
}

/// What people read when the mains go.
pub fn lost(site: &str, at_ms: i64, battery: Option<u8>, zone: &str) -> Notice {
    let battery = battery.map_or(String::new(), |percent| format!(" Its battery is at {percent} %."));
    Notice {
        subject: format!("{site}: no mains power"),
        text: format!(
            "The hub runs on battery since {}.{battery}\nKeep doors closed; units warm up without power.\n",
            clock(at_ms, zone)
        ),
    }
}

/// What people read when the battery is nearly empty.
pub fn low(site: &str, at_ms: i64, percent: u8, zone: &str) -> Notice {
    Notice {
        subject: format!("{site}: the hub's battery is at {percent} %"),
        text: format!(
            "At {} the battery was at {percent} %. When it is empty nobody watches the temperatures: measure by hand.\n",
            clock(at_ms, zone)
        ),
    }
}

/// What people read after the cut; every unit has a line.
pub fn told(report: &Report, site: &str, zone: &str) -> Notice {
    let (from, to) = (clock(report.power.from_ms, zone), clock(report.power.to_ms, zone));
    let subject = if report.is_time_known {
        format!("{site}: report of the power cut of {}", duration(report.power.ms()))
    } else {
        format!("{site}: report of a power cut")
    };
    let mut text = match report.reason {
        Reason::Mains => format!("There was no mains power from {from} to {to}.\n"),
        Reason::Unclean => {
            format!("The hub was without power from {from} to {to}, probably by a power cut.\n")
        }
    };
    if !report.is_time_known {
        text.push_str(
            "The hub's clock was not set meanwhile: times and durations are the least there can have been.\n",
        );
    }
    for unit in &report.units {
        text.push_str(&unit_line(unit, zone));
        text.push('\n');
    }
    Notice { subject, text }
}

/// "Walk-in: above 5.0 °C for 43 min, highest 8.2 °C at 14:05; back inside after 25 min".
pub fn unit_line(unit: &UnitReport, zone: &str) -> String {
    let shown = |hundredths: i32| Temperature { hundredths, scale: unit.scale }.to_string();
    let limit = shown(unit.temp_max * 10);
    let highest = unit.highest.map_or(String::new(), |(hundredths, at)| {
        format!(", highest {} at {}", shown(hundredths), clock(at, zone))
    });
    let above = format!("above {limit} for {}{highest}", duration(unit.above_ms));
    let line = match unit.verdict {
        Verdict::Fine => format!("{}: fine, never above {limit}{highest}", unit.name),
        Verdict::Recovered => {
            let after = unit.recovered_ms.unwrap_or(0);
            format!("{}: {above}; back inside {} after the power", unit.name, duration(after))
        }
        Verdict::NotYet => format!("{}: {above}; NOT back inside yet", unit.name),
        Verdict::NotSeen => format!("{}: NOT read since the power is back{highest}", unit.name),
    };
    let mut parts = vec![line];
    parts.extend(
        unit.gaps.iter().take(GAPS_SHOWN).map(|gap| {
            format!("no readings from {} to {}", clock(gap.from_ms, zone), clock(gap.to_ms, zone))
        }),
    );
    if unit.gaps.len() > GAPS_SHOWN {
        parts.push(format!("{} more gaps", unit.gaps.len() - GAPS_SHOWN));
    }
    parts.join("; ")
}

/// "2 h 13 min"; under a minute "0 min".
fn duration(ms: i64) -> String {
    let minutes = (ms + 30_000) / 60_000;
    if minutes < 60 { format!("{minutes} min") } else { format!("{} h {} min", minutes / 60, minutes % 60) }
}

fn clock(unix_ms: i64, zone: &str) -> String {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    match Timestamp::from_millisecond(unix_ms) {
        Ok(time) => time.to_zoned(zone).strftime("%Y-%m-%d %H:%M").to_string(),
        Err(_) => "-".into(),
    }
}
