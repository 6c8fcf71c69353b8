//! A unit's month, minute by minute: air that follows what heats and cools it.

use super::dice::Dice;
use super::unit::{Failure, Kind, MINUTES, Unit};

pub const MINUTE_MS: i64 = 60_000;

/// What the hub hears, in ms of the month.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Heard {
    /// Hundredths of a degree Celsius.
    Reading(i32),
    Door(bool),
}

struct Air<'a> {
    unit: &'a Unit,
    /// Without the compressor's cycle and what doors add.
    base: f64,
    doors: f64,
    defrost: usize,
    door: usize,
    load: usize,
    /// What the air was when the present defrost or failure began.
    before: Option<(i64, f64)>,
}

/// The month of a unit as its sensors tell it.
pub fn month(unit: &Unit) -> Vec<(i64, Heard)> {
    let mut air = Air { unit, base: unit.setpoint, doors: 0.0, defrost: 0, door: 0, load: 0, before: None };
    let mut sensor = Dice::new(&[unit.seed, 77]);
    let mut heard = Vec::new();
    let mut next = 0.0;
    let mut flicker = 0;
    let mut is_open = false;
    for minute in 0..MINUTES {
        let (temperature, opened) = air.step(minute);
        if unit.has_door_sensor && opened != is_open {
            is_open = opened;
            heard.push((minute * MINUTE_MS, Heard::Door(is_open)));
        }
        if (minute as f64) < next {
            continue;
        }
        let (late, noise, glitch, kind) =
            (sensor.between(0.0, 1.0), sensor.bell(), sensor.between(0.0, 1.0), sensor.between(0.0, 1.0));
        next += unit.interval * (1.0 + unit.jitter * (late - 0.5));
        if unit.gaps.iter().any(|(from, to)| (*from..*to).contains(&minute)) {
            continue;
        }
        let mut value = ((temperature + unit.noise * noise) / unit.step).round() * unit.step;
        if glitch < unit.glitches {
            (value, flicker) = if kind < 0.6 { (0.0, 0) } else { (-40.0, 2) };
        } else if flicker > 0 {
            flicker -= 1;
            value = if flicker % 2 == 0 { -40.0 } else { value };
        }
        let millis = (next.fract() * 60_000.0) as i64 % 30_000;
        heard.push((minute * MINUTE_MS + millis, Heard::Reading((value * 100.0).round() as i32)));
    }
    heard.sort_by_key(|(at, _)| *at);
    heard
}

impl Air<'_> {
    /// The air of a minute, and whether the door is open.
    fn step(&mut self, minute: i64) -> (f64, bool) {
        let unit = self.unit;
        let (mut setpoint, mut pull_down) = (unit.setpoint, unit.pull_down);
        let mut is_cooling = true;
        let failure = unit.failures.iter().find(|failure| (failure.starts..failure.end).contains(&minute));
        match failure.map(|failure| (failure.kind, failure)) {
            Some((Kind::Circuit(held), _)) => (setpoint, pull_down) = (setpoint + held, pull_down * 1.6),
            Some((Kind::Fade(a_day), failure)) => {
                let days = (minute - failure.starts) as f64 / 1_440.0;
                let stops = failure.end - 14 * 60;
                (setpoint, pull_down) = (setpoint + a_day * days, pull_down * (1.0 + days / 5.0));
                is_cooling = minute < stops;
            }
            Some((Kind::Stop | Kind::Defrosting, _)) => is_cooling = false,
            None => {}
        }
        while unit.defrosts.get(self.defrost).is_some_and(|spell| minute >= spell.from + spell.minutes as i64)
        {
            self.defrost += 1;
            self.before = None;
        }
        let defrost = unit.defrosts.get(self.defrost).filter(|spell| minute >= spell.from);
        if is_cooling && let Some(spell) = defrost {
            let (_, before) = *self.before.get_or_insert((minute, self.base));
            let share = (minute - spell.from) as f64 / spell.minutes;
            self.base = before.max(setpoint - 2.0) + spell.rise * share.powf(unit.bend);
        } else if is_cooling {
            let load = self.load(minute);
            let dip =
                unit.defrosts.get(self.defrost).is_some_and(|spell| spell.from - minute < 12) && unit.dips;
            let target = setpoint + load - if dip { 2.0 } else { 0.0 };
            self.base += (target - self.base) / if load > 0.0 { 12.0 } else { pull_down };
            self.before = None;
        } else if let Some(failure) = failure {
            self.warm(minute, failure);
        }
        let is_open = self.follow_doors(minute, is_cooling);
        let (height, period) = unit.cycle;
        let cycle = if is_cooling && defrost.is_none() {
            height * (std::f64::consts::TAU * minute as f64 / period).sin()
        } else {
            0.0
        };
        (self.base + self.doors + cycle, is_open)
    }

    /// No compressor: the air is soon near what is stored, and then goes with it for hours.
    fn warm(&mut self, minute: i64, failure: &Failure) {
        let unit = self.unit;
        let (from, before) = *self.before.get_or_insert((minute, self.base));
        let since = (minute - from) as f64;
        let defrost = unit.defrosts.iter().find(|spell| spell.from == failure.starts);
        match (failure.kind, defrost) {
            (Kind::Defrosting, Some(spell)) if since < spell.minutes => {
                self.base = before + spell.rise * (since / spell.minutes).powf(unit.bend);
            }
            (Kind::Defrosting, Some(spell)) => {
                let peak = before + spell.rise;
                // The hot coil gives some heat to what is stored; then all of it warms with the room.
                let after = since - spell.minutes;
                let lost = 0.25 * spell.rise * (1.0 - (-after / 25.0).exp());
                self.base = peak - lost + (21.0 - peak) * (1.0 - (-after / 1_400.0).exp());
            }
            _ => {
                let fast = if unit.is_freezer() { 16.0 } else { 5.0 };
                let near = before + fast * (1.0 - (-since / 40.0).exp());
                self.base = near + (21.0 - near) * (1.0 - (-since / 1_100.0).exp());
            }
        }
    }

    fn load(&mut self, minute: i64) -> f64 {
        let loads = &self.unit.loads;
        while loads.get(self.load).is_some_and(|spell| minute >= spell.from + spell.minutes as i64) {
            self.load += 1;
        }
        loads.get(self.load).filter(|spell| minute >= spell.from).map_or(0.0, |spell| spell.rise)
    }

    fn follow_doors(&mut self, minute: i64, is_cooling: bool) -> bool {
        let doors = &self.unit.doors;
        while doors
            .get(self.door)
            .is_some_and(|spell| minute as f64 >= spell.from as f64 + spell.minutes.max(1.0))
        {
            self.door += 1;
        }
        let open = doors.get(self.door).filter(|spell| minute >= spell.from);
        match open {
            Some(spell) => self.doors += (spell.rise - self.doors).max(0.0) * 0.6,
            None => self.doors -= self.doors / if is_cooling { 6.0 } else { 15.0 },
        }
        open.is_some()
    }
}
