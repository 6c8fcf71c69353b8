//! Which rule applies to a unit now, and where a temperature stands against its limits.

use uuid::Uuid;

use super::state::Site;
use super::unit::Unit;
use super::{Constants, MINUTE_MS, Rule, Tick, UnitConfig, Violated};
use crate::domain::{AlertType, Temperature, UnitNo};

/// What a unit is judged by, in hundredths of a degree of its scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub min: i64,
    pub max: i64,
    /// How far inside the limits the hysteresis band begins.
    pub hysteresis: i64,
    pub delay_ms: i64,
    /// The rule these come from.
    pub rule: Option<Uuid>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Beyond a limit; a temperature equal to one is not.
    Out(Violated),
    /// Between a limit and the hysteresis band.
    Near,
    /// Inside the hysteresis band.
    Good,
}

impl Limits {
    pub fn place(&self, temperature: Temperature) -> Place {
        let value = i64::from(temperature.hundredths);
        if value > self.max {
            Place::Out(Violated::Max)
        } else if value < self.min {
            Place::Out(Violated::Min)
        } else if value >= self.min + self.hysteresis && value <= self.max - self.hysteresis {
            Place::Good
        } else {
            Place::Near
        }
    }

    fn new(unit: &UnitConfig, rule: Option<&Rule>, constants: &Constants) -> Self {
        let hundredths = |tenths: i32| i64::from(tenths) * 10;
        let own = (hundredths(unit.temp_min), hundredths(unit.temp_max));
        let ruled = (
            rule.and_then(|rule| rule.temp_min).map_or(own.0, hundredths),
            rule.and_then(|rule| rule.temp_max).map_or(own.1, hundredths),
        );
        // A rule's limit that crosses the unit's other one leaves no temperature in range: it is not meant.
        let (min, max) = if ruled.0 < ruled.1 { ruled } else { own };
        let span = (max - min).max(0);
        let hysteresis = i64::from(constants.hysteresis_hundredths);
        let delay_min =
            rule.map_or(i64::from(constants.confirm_delay_min), |rule| i64::from(rule.delay_min.max(0)));
        Self {
            min,
            max,
            hysteresis: if span < 2 * hysteresis { span / 4 } else { hysteresis },
            delay_ms: delay_min * MINUTE_MS,
            rule: rule.map(|rule| rule.id),
        }
    }
}

impl Unit {
    /// What temperatures are judged by at `tick`.
    pub fn limits(&self, site: &Site, tick: Tick) -> Limits {
        let rule = self
            .rules
            .iter()
            .filter_map(|index| site.rules.get(*index as usize))
            .find(|rule| rule.holds(site, tick));
        Limits::new(&self.config, rule, &site.constants)
    }
}

impl Site {
    /// The rule of another alert type than the temperature's that applies to a unit at `tick`.
    pub fn rule(&self, alert_type: AlertType, unit: UnitNo, tick: Tick) -> Option<&Rule> {
        self.rules
            .iter()
            .find(|rule| rule.alert_type == alert_type && rule.covers(unit) && rule.holds(self, tick))
    }
}

impl Rule {
    pub(super) fn covers(&self, unit: UnitNo) -> bool {
        self.unit.is_none_or(|own| own == unit)
    }

    /// Unit 2, site 1, organization 0.
    pub(super) fn rank(&self) -> u8 {
        match (self.unit, self.is_site) {
            (Some(_), _) => 2,
            (None, true) => 1,
            (None, false) => 0,
        }
    }

    fn holds(&self, site: &Site, tick: Tick) -> bool {
        self.schedule.as_ref().is_none_or(|schedule| {
            site.offset_ms
                .and_then(|offset_ms| site.zone.at(tick.plus(offset_ms).0))
                .is_some_and(|wall| schedule.holds(wall))
        })
    }
}
