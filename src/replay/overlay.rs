//! What a manager wants to try: `rules.toml`, laid over the configuration that was in force. Pure.

use anyhow::{Result, bail};
use serde::Deserialize;
use uuid::Uuid;

use crate::domain::{AlertType, Severity, UnitType};
use crate::rules::{Constants, Rule, RuleConfig, Schedule, UnitConfig};

/// The file. What it does not name stays as it was.
///
/// ```toml
/// [rules]                     # the names of the hub configuration's section
/// confirm_delay_min = 20
///
/// [[unit]]
/// name = "Walk-in freezer"
/// temp_max = -15.0            # degrees of the unit's own scale
///
/// [[rule]]                    # beside the rules there are; the most specific one applies
/// unit = "Walk-in freezer"    # without it the whole site
/// temp_max = -15.0
/// delay_minutes = 30
/// schedule = { days = [1, 2, 3, 4, 5], startHour = 6, endHour = 22 }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Overlay {
    pub rules: toml::Table,
    pub unit: Vec<UnitOverlay>,
    pub rule: Vec<RuleOverlay>,
    /// Leave the rules out that there are.
    pub replace_rules: bool,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitOverlay {
    pub name: String,
    /// Degrees of the unit's scale.
    pub temp_min: Option<f64>,
    pub temp_max: Option<f64>,
    /// "freezer": judged as another type.
    pub unit_type: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleOverlay {
    pub unit: Option<String>,
    #[serde(default = "alarm")]
    pub alert_type: String,
    #[serde(default = "critical")]
    pub severity: String,
    pub temp_min: Option<f64>,
    pub temp_max: Option<f64>,
    #[serde(default)]
    pub delay_minutes: i32,
    pub schedule: Option<toml::Table>,
}

fn alarm() -> String {
    AlertType::AlarmActive.as_str().into()
}

fn critical() -> String {
    Severity::Critical.as_str().into()
}

impl Overlay {
    pub fn parse(text: &str) -> Result<Self> {
        Ok(toml::from_str(text)?)
    }

    /// The configuration with this laid over it. Units that it does not have are passed over: they may have been added
    /// later; see `missing`.
    pub fn apply(&self, config: &RuleConfig) -> Result<RuleConfig> {
        let mut config = config.clone();
        config.constants = self.constants(&config.constants)?;
        for unit in &self.unit {
            if let Some(own) = config.units.iter_mut().find(|own| own.name == unit.name) {
                unit.apply(own)?;
            }
        }
        if self.replace_rules {
            config.rules.clear();
        }
        for (index, rule) in (0u128..).zip(&self.rule) {
            config.rules.extend(rule.rule(index, &config.units)?);
        }
        Ok(config)
    }

    /// A unit that this names and the configuration does not have.
    pub fn missing(&self, config: &RuleConfig) -> Option<&str> {
        let mut named = self
            .unit
            .iter()
            .map(|unit| unit.name.as_str())
            .chain(self.rule.iter().filter_map(|rule| rule.unit.as_deref()));
        named.find(|name| config.units.iter().all(|unit| unit.name != *name))
    }

    fn constants(&self, own: &Constants) -> Result<Constants> {
        let mut table = toml::Table::try_from(own)?;
        for (key, value) in &self.rules {
            if !table.contains_key(key) {
                bail!("[rules] {key} is not known; `frostguard-hub config print` shows the keys");
            }
            table.insert(key.clone(), value.clone());
        }
        Ok(table.try_into()?)
    }
}

impl UnitOverlay {
    fn apply(&self, unit: &mut UnitConfig) -> Result<()> {
        unit.temp_min = tenths(self.temp_min)?.unwrap_or(unit.temp_min);
        unit.temp_max = tenths(self.temp_max)?.unwrap_or(unit.temp_max);
        if unit.temp_max <= unit.temp_min {
            bail!("{}: temp_max must be above temp_min", unit.name);
        }
        if let Some(text) = &self.unit_type {
            let Some(unit_type) = UnitType::parse(text) else { bail!("unit type {text:?} is not known") };
            unit.unit_type = unit_type;
        }
        Ok(())
    }
}

impl RuleOverlay {
    /// None: its unit is not there.
    fn rule(&self, index: u128, units: &[UnitConfig]) -> Result<Option<Rule>> {
        let unit = self.unit.as_ref().map(|name| units.iter().find(|unit| unit.name == *name));
        if unit == Some(None) {
            return Ok(None);
        }
        let unit = unit.flatten().map(|unit| unit.unit);
        let Some(alert_type) = AlertType::parse(&self.alert_type) else {
            bail!("alert type {:?} is not known", self.alert_type)
        };
        let Some(severity) = Severity::parse(&self.severity) else {
            bail!("severity {:?} is not known; use info, warning or critical", self.severity)
        };
        let schedule = match &self.schedule {
            None => None,
            Some(table) => Schedule::parse(&serde_json::to_string(table)?)?,
        };
        Ok(Some(Rule {
            // No rule of the site has such an id: theirs are random.
            id: Uuid::from_u128(index + 1),
            is_site: unit.is_none(),
            unit,
            alert_type,
            severity,
            temp_min: tenths(self.temp_min)?,
            temp_max: tenths(self.temp_max)?,
            delay_min: self.delay_minutes,
            schedule,
        }))
    }
}

fn tenths(degrees: Option<f64>) -> Result<Option<i32>> {
    match degrees {
        None => Ok(None),
        Some(degrees) if (-100.0..=300.0).contains(&degrees) => Ok(Some((degrees * 10.0).round() as i32)),
        Some(degrees) => bail!("{degrees} is no temperature limit"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Scale, UnitNo};

    fn config() -> RuleConfig {
        RuleConfig {
            units: vec![UnitConfig {
                unit: UnitNo(7),
                name: "Freezer".into(),
                unit_type: UnitType::Freezer,
                scale: Scale::C,
                temp_min: -250,
                temp_max: -180,
                manual_required: false,
                manual_interval_min: None,
            }],
            ..RuleConfig::default()
        }
    }

    #[test]
    fn what_is_named_changes_and_all_else_stays() {
        let overlay = Overlay::parse(
            "[rules]\nconfirm_delay_min = 20\n[[unit]]\nname = 'Freezer'\ntemp_max = -15.5\n[[rule]]\nunit = 'Freezer'\n\
             delay_minutes = 30\nschedule = { days = [1, 2], startHour = 6, endHour = 22 }\n[[rule]]\ntemp_max = 3.0\n",
        )
        .unwrap();
        let changed = overlay.apply(&config()).unwrap();
        assert_eq!(changed.constants, Constants { confirm_delay_min: 20, ..Constants::default() });
        assert_eq!((changed.units[0].temp_min, changed.units[0].temp_max), (-250, -155));
        let rules: Vec<_> = changed
            .rules
            .iter()
            .map(|r| (r.unit, r.is_site, r.temp_max, r.delay_min, r.schedule.is_some()))
            .collect();
        assert_eq!(rules, [(Some(UnitNo(7)), false, None, 30, true), (None, true, Some(30), 0, false)]);
        assert_eq!(Overlay::default().apply(&config()).unwrap(), config());
    }

    #[test]
    fn slips_are_named() {
        for (text, want) in [
            ("[rules]\nconfirm_delay = 1", "confirm_delay is not known"),
            ("[[unit]]\nname = 'Freezer'\ntemp_max = -30.0", "must be above"),
            ("[[rule]]\nalert_type = 'warm'", "\"warm\" is not known"),
            ("[[rule]]\nschedule = { days = [9], startHour = 1, endHour = 2 }", "day 9"),
        ] {
            let error = Overlay::parse(text).unwrap().apply(&config()).unwrap_err();
            assert!(format!("{error:#}").contains(want), "{text}: {error:#}");
        }
        for (text, want) in [
            ("[[unit]]\nname = 'Fridge'", Some("Fridge")),
            ("[[rule]]\nunit = 'Fridge'", Some("Fridge")),
            ("[[rule]]\nunit = 'Freezer'", None),
        ] {
            let overlay = Overlay::parse(text).unwrap();
            assert_eq!(overlay.missing(&config()), want);
            assert!(overlay.apply(&config()).is_ok());
        }
        assert!(Overlay::parse("[[unit]]\nnmae = 'x'").is_err());
    }
}
