//! Doors: the alert of one that stays open, and the mask: what an open door holds back of the temperature machine.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::turn::{Alert, Turn};
use super::unit::Unit;
use super::{Constants, HoldCause, HoldEnd, MINUTE_MS, Reason, Tick, What};
use crate::domain::{AlertType, DeviceNo, Scale, Severity, Temperature};

/// Door sensors of one unit: a walk-in has two doors, a long display case a handful of lids.
const SENSORS_MAX: usize = 16;
/// A door sensor is believed for so long after it spoke. It speaks when the door moves; the mask needs 10 minutes of
/// grace and a doubled delay after it, and a sensor that died with its door open must not hold back tomorrow's alarm.
const ALIVE_MS: i64 = 60 * MINUTE_MS;
/// The mask's allowance is per so long, from its first use on: wall time may be unknown.
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

/// The doors of one unit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Door {
    sensors: Vec<Sensor>,
    pub alert: Option<Alert>,
    /// How far the present opening was told; a person who closes the alert does not set it back.
    told: Told,
    mask: Option<Mask>,
    /// What the mask held back since `day_from`.
    used_ms: i64,
    day_from: Option<Tick>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Sensor {
    device: DeviceNo,
    /// When it was opened, and when that is a warning by the rule that held then.
    open: Option<(Tick, Tick)>,
    heard: Tick,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Serialize, Deserialize)]
enum Told {
    #[default]
    Nothing,
    Warning,
    Critical,
}

/// The grace of one opening.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Mask {
    since: Tick,
    /// The first reading that it held back, and when it has to stop.
    holding: Option<(Tick, Tick)>,
}

impl Door {
    pub fn is_open(&self) -> bool {
        self.sensors.iter().any(|sensor| sensor.open.is_some())
    }

    /// When the longest open one was opened.
    fn open_since(&self) -> Option<Tick> {
        self.sensors.iter().filter_map(|sensor| sensor.open).map(|(since, _)| since).min()
    }

    fn warning_at(&self) -> Option<Tick> {
        self.sensors.iter().filter_map(|sensor| sensor.open).map(|(_, warning_at)| warning_at).min()
    }

    /// A sensor speaks; None where there are too many.
    fn sensor(&mut self, device: DeviceNo, tick: Tick) -> Option<&mut Sensor> {
        let found = self.sensors.iter().position(|sensor| sensor.device == device);
        if found.is_none() && self.sensors.len() < SENSORS_MAX {
            self.sensors.push(Sensor { device, open: None, heard: tick });
        }
        let index = found.or(self.sensors.len().checked_sub(1))?;
        Some(&mut self.sensors[index]).filter(|sensor| sensor.device == device)
    }

    /// Until when its newest word is believed.
    fn believed_until(&self) -> Tick {
        self.sensors.iter().map(|sensor| sensor.heard).max().map_or(Tick(i64::MIN), |at| at.plus(ALIVE_MS))
    }

    /// What the mask may still hold back on this day.
    fn allowance_ms(&mut self, tick: Tick, constants: &Constants) -> i64 {
        if self.day_from.is_some_and(|from| tick.since(from) >= DAY_MS) {
            (self.day_from, self.used_ms) = (None, 0);
        }
        constants.door_mask_day_ms().saturating_sub(self.used_ms).max(0)
    }

    fn spend(&mut self, from: Tick, until: Tick) {
        self.day_from.get_or_insert(from);
        self.used_ms = self.used_ms.saturating_add(until.since(from));
    }

    /// When the grace that holds something back now is over.
    pub fn grace_until(&self) -> Option<Tick> {
        self.mask.and_then(|mask| mask.holding).map(|(_, until)| until)
    }
}

impl Unit {
    /// A door sensor says open or closed. A second "open" is no news.
    pub fn move_door(&mut self, device: DeviceNo, is_open: bool, turn: &mut Turn) {
        let was_open = self.door.is_open();
        let constants = &turn.site.constants;
        let rule = turn.site.rule(AlertType::DoorOpen, self.config.unit, turn.tick);
        let delay_min =
            rule.map_or(constants.door_warning_min.into(), |rule| i64::from(rule.delay_min.max(0)));
        let Some(sensor) = self.door.sensor(device, turn.tick) else { return };
        sensor.heard = turn.tick;
        let opened = (turn.tick, turn.tick.plus(delay_min.saturating_mul(MINUTE_MS)));
        sensor.open = if is_open { sensor.open.or(Some(opened)) } else { None };

        if self.door.is_open() && !was_open {
            self.begin_mask(turn);
        }
        if was_open && !self.door.is_open() {
            self.door.told = Told::Nothing;
            self.close_door_alert(None, turn);
        }
        self.fire_door(turn);
    }

    pub fn close_door_alert(&mut self, by: Option<Uuid>, turn: &mut Turn) {
        if let Some(alert) = self.door.alert.take() {
            turn.resolve(self.config.unit, AlertType::DoorOpen, alert, turn.tick, by);
        }
    }

    /// When an open door is worth telling.
    pub fn door_deadline(&self, constants: &Constants) -> Option<Tick> {
        let warning_at = self.door.warning_at()?;
        match self.door.told {
            Told::Nothing => Some(warning_at),
            Told::Warning => {
                let critical_ms = i64::from(constants.door_critical_min) * MINUTE_MS;
                Some(self.door.open_since()?.plus(critical_ms).max(warning_at))
            }
            Told::Critical => None,
        }
    }

    pub fn fire_door(&mut self, turn: &mut Turn) {
        while self.door_deadline(&turn.site.constants).is_some_and(|deadline| deadline <= turn.tick) {
            let unit = self.config.unit;
            let rule = turn.site.rule(AlertType::DoorOpen, unit, turn.tick);
            let (first, rule) =
                (rule.map_or(Severity::Warning, |rule| rule.severity), rule.map(|rule| rule.id));
            let (told, severity) = match self.door.told {
                Told::Nothing => (Told::Warning, first),
                Told::Warning | Told::Critical => (Told::Critical, Severity::Critical),
            };
            self.door.told = told;
            match &mut self.door.alert {
                Some(alert) if alert.severity < severity => {
                    turn.raise(unit, AlertType::DoorOpen, alert, severity, Reason::DoorOpenTooLong);
                }
                Some(_) => {}
                // The first time, or a person closed it while the door stayed open.
                None => {
                    self.door.alert = Some(turn.open(unit, AlertType::DoorOpen, severity, rule, None));
                }
            }
        }
    }

    /// The grace of an opening. Not while an earlier one runs, and not where the unit was out before.
    fn begin_mask(&mut self, turn: &Turn) {
        let grace_ms = turn.site.constants.door_grace_ms();
        let is_running = self
            .door
            .mask
            .is_some_and(|mask| mask.holding.is_some() || turn.tick.since(mask.since) < grace_ms);
        let was_out = self.heat.alert.is_some() || self.probes.iter().any(|probe| probe.out.is_some());
        if !is_running && !was_out {
            self.door.mask = Some(Mask { since: turn.tick, holding: None });
        }
    }

    /// Whether the grace of an open door keeps this reading above the limit from being an excursion.
    /// `ends_at`: when something else ends every hold.
    pub fn is_masked(&mut self, above: Temperature, max: i64, ends_at: Tick, turn: &mut Turn) -> bool {
        let constants = &turn.site.constants;
        let Some(mask) = self.door.mask else { return false };
        if is_beyond(above, max, constants) {
            return false;
        }
        if let Some((_, until)) = mask.holding {
            return turn.tick < until.min(ends_at);
        }
        let allowed = turn.tick.plus(self.door.allowance_ms(turn.tick, constants));
        let until = mask.since.plus(constants.door_grace_ms()).min(allowed).min(self.door.believed_until());
        let until = until.min(ends_at);
        if until <= turn.tick {
            return false;
        }
        self.door.mask = Some(Mask { holding: Some((turn.tick, until)), ..mask });
        turn.decide(self.config.unit, What::Held { alert: None, cause: HoldCause::DoorGrace, until });
        true
    }

    /// The grace holds nothing back any more; true where it did until now.
    pub fn end_grace(&mut self, end: HoldEnd, turn: &mut Turn) -> bool {
        let Some((since, until)) = self.door.mask.and_then(|mask| mask.holding) else { return false };
        self.door.spend(since, turn.tick.min(until));
        // What is out after the grace is an excursion; what came back within it may go out within it again.
        self.door.mask =
            self.door.mask.filter(|_| end == HoldEnd::BackInside).map(|mask| Mask { holding: None, ..mask });
        turn.decide(
            self.config.unit,
            What::HoldEnded { alert: None, cause: HoldCause::DoorGrace, since, end },
        );
        true
    }

    /// By how much an open door lengthens the confirm delay of an excursion that begins now. `was_masked`: it was held
    /// back by the grace until now.
    pub fn door_extra_ms(&mut self, delay_ms: i64, was_masked: bool, turn: &Turn) -> i64 {
        if !was_masked && !self.door.is_open() {
            return 0;
        }
        let allowed_ms = self.door.allowance_ms(turn.tick, &turn.site.constants);
        let ends = turn.tick.plus(delay_ms);
        delay_ms.min(allowed_ms).min(self.door.believed_until().since(ends))
    }

    /// The doubled delay held an alarm back from `from` until now.
    pub fn spend_door_delay(&mut self, from: Tick, turn: &Turn) {
        self.door.spend(from, turn.tick);
    }
}

/// Too far above the limit for a door to excuse it.
pub(super) fn is_beyond(above: Temperature, max: i64, constants: &Constants) -> bool {
    let celsius = i64::from(constants.door_mask_beyond_hundredths);
    let beyond = match above.scale {
        Scale::C => celsius,
        Scale::F => celsius * 9 / 5,
    };
    i64::from(above.hundredths) > max + beyond
}
