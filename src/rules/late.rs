//! Late alarms: readings that come after the fact (a sensor's memory after an outage) never move the present state, but an
//! excursion among them that would have been an alarm is told.
//!
//! Late readings come in any order, with others of the same excursion still on their way; so a few are remembered by
//! their own times, and an excursion is judged again whenever another one joins it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::limits::Place;
use super::turn::Turn;
use super::unit::Unit;
use super::{MINUTE_MS, ReadingEvent, Tick, Violated, What};
use crate::domain::{AlertType, DeviceNo, Probe, Severity, Temperature};

/// Late readings remembered per unit: a day of one every 10 minutes, and some.
const KEPT_MAX: usize = 160;
/// Neighbours further apart say nothing of the time between them.
const GAP_MS_MAX: i64 = 60 * MINUTE_MS;
/// Alarms remembered, so that what was told when it happened is not told again.
const SPANS_KEPT: usize = 8;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Late {
    /// By probe and own time.
    readings: Vec<LateReading>,
    /// Alarms that were told, live ones and late ones; the newest last.
    told: Vec<Span>,
}

/// An alarm that was told, Unix ms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Span {
    from_ms: i64,
    to_ms: i64,
    /// None: a live one, whose alert is its own story.
    late: Option<LateAlarm>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct LateAlarm {
    alert: Uuid,
    worst: Temperature,
    violated: Violated,
}

/// What an excursion is to the alarms that were told.
enum Told {
    No,
    Yes,
    /// It was told, and is longer or worse than that.
    Grew(Span, LateAlarm),
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct LateReading {
    device: DeviceNo,
    probe: Probe,
    /// Unix ms.
    measured_ms: i64,
    temperature: Temperature,
    out: Option<Violated>,
}

/// An excursion among late readings.
struct Run {
    from_ms: i64,
    to_ms: i64,
    worst: LateReading,
}

impl Late {
    /// An alarm that people were told of when it happened.
    pub fn note_told(&mut self, from_ms: i64, to_ms: i64) {
        self.remember(Span { from_ms, to_ms, late: None });
    }

    fn remember(&mut self, span: Span) {
        if self.told.len() == SPANS_KEPT {
            self.told.remove(0);
        }
        self.told.push(span);
    }

    /// What has joined an excursion since it was told belongs to it.
    fn was_told(&mut self, run: &Run) -> Told {
        let told = self.told.iter_mut().find(|span| run.from_ms <= span.to_ms && run.to_ms >= span.from_ms);
        let Some(span) = told else { return Told::No };
        let before = *span;
        (span.from_ms, span.to_ms) = (run.from_ms.min(span.from_ms), run.to_ms.max(span.to_ms));
        let Some(late) = &mut span.late else { return Told::Yes };
        if run.worst.out == Some(late.violated) {
            let worst = late.worst.to(run.worst.temperature.scale);
            late.worst = late.violated.worse(worst, run.worst.temperature);
        }
        let late = *late;
        if *span == before { Told::Yes } else { Told::Grew(*span, late) }
    }

    /// A good reading of the probe lies between two instants.
    fn was_good(&self, of: &LateReading, from_ms: i64, to_ms: i64) -> bool {
        self.readings.iter().any(|r| {
            (r.device, r.probe) == (of.device, of.probe)
                && r.out.is_none()
                && (from_ms..to_ms).contains(&r.measured_ms)
        })
    }

    /// False: it was there already.
    fn insert(&mut self, reading: LateReading) -> bool {
        let key = |r: &LateReading| (r.device, r.probe, r.measured_ms);
        let Err(at) = self.readings.binary_search_by_key(&key(&reading), key) else { return false };
        self.readings.insert(at, reading);
        if self.readings.len() > KEPT_MAX {
            let oldest = self.readings.iter().enumerate().min_by_key(|(_, r)| r.measured_ms);
            if let Some((oldest, _)) = oldest {
                self.readings.remove(oldest);
            }
        }
        true
    }

    /// The excursion that the reading belongs to, as far as it is known.
    fn run_around(&self, reading: &LateReading) -> Option<Run> {
        let side = reading.out?;
        let of_probe: Vec<&LateReading> =
            self.readings.iter().filter(|r| (r.device, r.probe) == (reading.device, reading.probe)).collect();
        let at = of_probe.iter().position(|r| r.measured_ms == reading.measured_ms)?;
        let joins = |a: &LateReading, b: &LateReading| {
            (a.measured_ms - b.measured_ms).abs() <= GAP_MS_MAX && a.out == Some(side)
        };
        let mut first = at;
        while first > 0 && joins(of_probe[first - 1], of_probe[first]) {
            first -= 1;
        }
        let mut last = at;
        while last + 1 < of_probe.len() && joins(of_probe[last + 1], of_probe[last]) {
            last += 1;
        }
        let run = &of_probe[first..=last];
        let worst = match side {
            Violated::Max => run.iter().max_by_key(|r| r.temperature.hundredths),
            Violated::Min => run.iter().min_by_key(|r| r.temperature.hundredths),
        };
        Some(Run { from_ms: run[0].measured_ms, to_ms: run[run.len() - 1].measured_ms, worst: **worst? })
    }
}

impl Unit {
    /// A reading of the past. `alarm_since`: when the alarm began that is open now.
    pub fn read_late(&mut self, event: &ReadingEvent, alarm_since: Option<Tick>, turn: &mut Turn) {
        let Some(measured_ms) = event.measured_ms else { return };
        if !self.probes.iter().any(|probe| probe.is(event.device, event.probe)) {
            return;
        }
        let temperature = event.temperature.to(self.config.scale);
        // By the rules in force when it was measured.
        let then = turn.site.offset_ms.map_or(turn.tick, |offset| Tick(measured_ms.saturating_sub(offset)));
        let limits = self.limits(turn.site, then);
        let out = match limits.place(temperature) {
            Place::Out(side) => Some(side),
            Place::Near | Place::Good => None,
        };
        let reading = LateReading { device: event.device, probe: event.probe, measured_ms, temperature, out };
        if !self.late.insert(reading) {
            return;
        }
        let Some(run) = self.late.run_around(&reading) else { return };
        let is_confirmed = run.to_ms - run.from_ms >= limits.delay_ms;
        match self.late.was_told(&run) {
            Told::No => {}
            Told::Yes => return,
            Told::Grew(Span { from_ms, to_ms, .. }, LateAlarm { alert, worst, violated }) => {
                let alert_type = AlertType::AlarmActive;
                let grew = What::LateGrew { alert, alert_type, trigger: worst, violated, from_ms, to_ms };
                turn.decide(self.config.unit, grew);
                return;
            }
        }
        if !is_confirmed || is_part_of(&self.late, &run, alarm_since, turn) {
            return;
        }
        let violated = run.worst.out.unwrap_or(Violated::Max);
        let severity = if self.may_be_critical(violated) { Severity::Critical } else { Severity::Warning };
        let what = What::Late {
            alert_type: AlertType::AlarmActive,
            severity,
            rule: limits.rule,
            trigger: run.worst.temperature,
            violated,
            from_ms: run.from_ms,
            to_ms: run.to_ms,
        };
        let alert = turn.decide(self.config.unit, what);
        let late = Some(LateAlarm { alert, worst: run.worst.temperature, violated });
        self.late.remember(Span { from_ms: run.from_ms, to_ms: run.to_ms, late });
    }
}

/// The excursion belongs to the alarm that is open now: nothing good lies between them.
fn is_part_of(late: &Late, run: &Run, alarm_since: Option<Tick>, turn: &Turn) -> bool {
    let began_ms = alarm_since.zip(turn.site.offset_ms).map(|(tick, offset)| tick.plus(offset).0);
    began_ms.is_some_and(|began_ms| {
        run.to_ms >= began_ms.saturating_sub(GAP_MS_MAX) && !late.was_good(&run.worst, run.to_ms, began_ms)
    })
}
