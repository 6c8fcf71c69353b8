//! What the rules must know of the site: units, rules, probes, devices, constants.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::MINUTE_MS;
use crate::domain::{AlertType, DeviceNo, Probe, Scale, Severity, UnitNo, UnitType};

/// Everything the rules need to know about the site. Replaced as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RuleConfig {
    pub units: Vec<UnitConfig>,
    /// Enabled rules only, of every level.
    pub rules: Vec<Rule>,
    pub probes: Vec<ProbeConfig>,
    pub devices: Vec<DeviceConfig>,
    /// IANA name of the site's time zone.
    pub zone: String,
    pub constants: Constants,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnitConfig {
    pub unit: UnitNo,
    pub name: String,
    pub unit_type: UnitType,
    pub scale: Scale,
    /// Tenths of a degree in `scale`.
    pub temp_min: i32,
    pub temp_max: i32,
    pub manual_required: bool,
    pub manual_interval_min: Option<i32>,
}

/// A row of `alert_rules`; the most specific enabled one whose schedule holds applies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    pub id: Uuid,
    /// None: the whole organization (`is_site` false) or the whole site.
    pub unit: Option<UnitNo>,
    pub is_site: bool,
    pub alert_type: AlertType,
    pub severity: Severity,
    /// Tenths in the unit's scale; None: the unit's own limit.
    pub temp_min: Option<i32>,
    pub temp_max: Option<i32>,
    pub delay_min: i32,
    pub schedule: Option<Schedule>,
}

/// `{"days":[0-6],"startHour":h,"endHour":h}`, 0 = Sunday, start inclusive, end exclusive, equal = whole day; over
/// midnight it belongs to the day it starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    pub days: Vec<u8>,
    pub start_hour: u8,
    pub end_hour: u8,
}

/// A probe that measures a unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeConfig {
    pub device: DeviceNo,
    pub probe: Probe,
    pub unit: UnitNo,
    /// Configured or the model's factory value; None: learned from the gaps.
    pub check_in_s: Option<u32>,
}

/// A device with a probe, a door or anything else assigned to a unit; alerts about it are that unit's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceConfig {
    pub device: DeviceNo,
    pub unit: UnitNo,
    /// When its newest calibration expires, Unix ms.
    pub calibration_expires_ms: Option<i64>,
}

/// The hub configuration's part of domain.md's table of constants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Constants {
    /// Confirm delay without a rule.
    pub confirm_delay_min: u32,
    /// Hundredths of a degree (of the unit's scale).
    pub hysteresis_hundredths: u32,
    pub good_readings: u32,
    /// Longest time above the limit, summed.
    pub above_limit_min: u32,
    /// The sum begins anew after this long without a reading above.
    pub above_limit_reset_min: u32,
    pub check_in_default_s: u32,
    pub check_in_buffer_s: u32,
    pub missed_warning: u32,
    pub missed_critical: u32,
    /// For check-in intervals over 10 min.
    pub missed_warning_slow: u32,
    pub missed_critical_slow: u32,
    pub contact_warning_min: u32,
    pub contact_critical_min: u32,
    /// A manual log is due this long after the last one, or after the last reading, where the unit says nothing else.
    pub manual_interval_min: u32,
    /// An open door holds an excursion back this long; after it the confirm delay is doubled.
    pub door_grace_min: u32,
    /// A unit's door holds back at most so long a day.
    pub door_mask_day_min: u32,
    /// A door holds nothing back beyond the limit by this (hundredths of a degree Celsius).
    pub door_mask_beyond_hundredths: u32,
    /// An open door: minutes to the warning where no rule says otherwise, and to the critical alert.
    pub door_warning_min: u32,
    pub door_critical_min: u32,
    /// Percent.
    pub battery_info_below: u32,
    pub battery_warning_below: u32,
    /// Consecutive faulty values of a probe.
    pub faulty_values: u32,
    pub calibration_due_days: u32,
    /// Unit types whose regular defrosts and deliveries are learned and do not alarm; the others are watched by the
    /// plain limit, as the law wants it for chilled food.
    pub defrost_unit_types: Vec<UnitType>,
}

impl Default for Constants {
    fn default() -> Self {
        Self {
            confirm_delay_min: 10,
            hysteresis_hundredths: 50,
            good_readings: 2,
            above_limit_min: 120,
            above_limit_reset_min: 60,
            check_in_default_s: 20 * 60,
            check_in_buffer_s: 30,
            missed_warning: 3,
            missed_critical: 6,
            missed_warning_slow: 2,
            missed_critical_slow: 3,
            contact_warning_min: 15,
            contact_critical_min: 30,
            manual_interval_min: 240,
            door_grace_min: 10,
            door_mask_day_min: 60,
            door_mask_beyond_hundredths: 500,
            door_warning_min: 3,
            door_critical_min: 10,
            battery_info_below: 20,
            battery_warning_below: 10,
            faulty_values: 2,
            calibration_due_days: 14,
            defrost_unit_types: vec![UnitType::Freezer, UnitType::WalkInFreezer],
        }
    }
}

impl Constants {
    pub(crate) fn good_needed(&self) -> u32 {
        self.good_readings.max(1)
    }

    pub(crate) fn above_limit_ms(&self) -> i64 {
        i64::from(self.above_limit_min) * MINUTE_MS
    }

    pub(crate) fn above_reset_ms(&self) -> i64 {
        i64::from(self.above_limit_reset_min) * MINUTE_MS
    }

    pub(crate) fn door_grace_ms(&self) -> i64 {
        i64::from(self.door_grace_min) * MINUTE_MS
    }

    pub(crate) fn door_mask_day_ms(&self) -> i64 {
        i64::from(self.door_mask_day_min) * MINUTE_MS
    }

    pub(crate) fn buffer_ms(&self) -> i64 {
        i64::from(self.check_in_buffer_s) * 1_000
    }
}
