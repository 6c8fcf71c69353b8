//! Alerts about a sensor itself: broken probe, empty battery, calibration that runs out. At most one of each type is open
//! per device.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::state::Site;
use super::turn::{Alert, Turn};
use super::unit::Unit;
use super::{Constants, DeviceConfig, Reason, Tick};
use crate::domain::{AlertType, DeviceNo, Probe, Severity, UnitNo};

/// A battery counts as replaced or recovered when it shows so many percent more than the limit: a cold cell wavers.
const BATTERY_HYSTERESIS: u32 = 5;
const DAY_MS: i64 = 86_400_000;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct DeviceState {
    pub device: DeviceNo,
    /// Probes with faulty values since their last good one, and how many.
    faulty: Vec<(Probe, u32)>,
    pub fault: Option<Alert>,
    /// The fault is that two senders use its address.
    pub has_two_senders: bool,
    battery: Option<u8>,
    pub low_battery: Option<Alert>,
    /// Unix ms.
    expires_ms: Option<i64>,
    pub calibration: Option<Alert>,
    /// A person closed it: not again before the date changes.
    is_calibration_closed: bool,
}

/// How a battery stands; the rules hear of it when this changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BatteryClass {
    Empty,
    Low,
    /// Enough, but not by so much that an alert would end.
    Middling,
    Good,
}

impl BatteryClass {
    pub fn of(percent: u8, constants: &Constants) -> Self {
        let percent = u32::from(percent);
        if percent < constants.battery_warning_below {
            Self::Empty
        } else if percent < constants.battery_info_below {
            Self::Low
        } else if percent < constants.battery_info_below.saturating_add(BATTERY_HYSTERESIS).min(100) {
            Self::Middling
        } else {
            Self::Good
        }
    }
}

impl DeviceState {
    pub fn new(config: &DeviceConfig) -> Self {
        Self {
            device: config.device,
            faulty: Vec::new(),
            fault: None,
            has_two_senders: false,
            battery: None,
            low_battery: None,
            expires_ms: config.calibration_expires_ms,
            calibration: None,
            is_calibration_closed: false,
        }
    }

    pub fn config(&self, unit: UnitNo) -> DeviceConfig {
        DeviceConfig { device: self.device, unit, calibration_expires_ms: self.expires_ms }
    }

    pub fn alerts(&self) -> impl Iterator<Item = (AlertType, Alert)> {
        [
            (AlertType::SensorFault, self.fault),
            (AlertType::LowBattery, self.low_battery),
            (AlertType::CalibrationDue, self.calibration),
        ]
        .into_iter()
        .filter_map(|(alert_type, alert)| Some((alert_type, alert?)))
    }

    fn slot(&mut self, alert_type: AlertType) -> &mut Option<Alert> {
        match alert_type {
            AlertType::LowBattery => &mut self.low_battery,
            AlertType::CalibrationDue => &mut self.calibration,
            _ => &mut self.fault,
        }
    }

    pub fn battery_class(&self, constants: &Constants) -> Option<BatteryClass> {
        self.battery.map(|percent| BatteryClass::of(percent, constants))
    }

    /// When the calibration falls due, in judging time.
    pub fn deadline(&self, site: &Site) -> Option<Tick> {
        if self.calibration.is_some() || self.is_calibration_closed {
            return None;
        }
        let early_ms = i64::from(site.constants.calibration_due_days) * DAY_MS;
        let due_ms = self.expires_ms?.saturating_sub(early_ms);
        Some(Tick(due_ms.saturating_sub(site.offset_ms?)))
    }

    fn open(
        &mut self,
        unit: UnitNo,
        alert_type: AlertType,
        severity: Severity,
        reason: Reason,
        turn: &mut Turn,
    ) {
        let device = self.device;
        let rule = turn.site.rule(alert_type, unit, turn.tick);
        let severity = rule.map_or(severity, |rule| rule.severity);
        let rule = rule.map(|rule| rule.id);
        *self.slot(alert_type) = Some(turn.open_about(unit, device, alert_type, severity, rule, reason));
    }

    fn resolve(&mut self, unit: UnitNo, alert_type: AlertType, by: Option<Uuid>, turn: &mut Turn) {
        let device = self.device;
        if let Some(alert) = self.slot(alert_type).take() {
            turn.resolve_about(unit, device, alert_type, alert, by);
        }
    }

    fn hear_battery(&mut self, unit: UnitNo, percent: u8, turn: &mut Turn) {
        let constants = &turn.site.constants;
        let before = self.battery_class(constants).unwrap_or(BatteryClass::Good);
        let class = BatteryClass::of(percent, constants);
        self.battery = Some(percent);
        let severity = if class == BatteryClass::Empty { Severity::Warning } else { Severity::Info };
        let device = self.device;
        match (&mut self.low_battery, class) {
            (Some(_), BatteryClass::Good) => self.resolve(unit, AlertType::LowBattery, None, turn),
            (Some(alert), BatteryClass::Empty) if alert.severity < severity => {
                turn.raise_about(unit, device, AlertType::LowBattery, alert, severity, Reason::LowBattery);
            }
            // One that a person closed opens again when it gets worse.
            (None, BatteryClass::Low | BatteryClass::Empty) if class < before => {
                self.open(unit, AlertType::LowBattery, severity, Reason::LowBattery, turn);
            }
            _ => {}
        }
    }
}

impl Unit {
    pub fn take_fault(&mut self, device: DeviceNo, probe: Probe, turn: &mut Turn) {
        let needed = turn.site.constants.faulty_values.max(1);
        let unit = self.config.unit;
        let Some(state) = self.device(device) else { return };
        let count = match state.faulty.iter_mut().find(|(own, _)| *own == probe) {
            Some((_, count)) => {
                *count = count.saturating_add(1);
                *count
            }
            None => {
                state.faulty.push((probe, 1));
                1
            }
        };
        if count >= needed && state.fault.is_none() {
            state.open(unit, AlertType::SensorFault, Severity::Warning, Reason::FaultyValues, turn);
        }
    }

    /// Two sensors use one address: what they say cannot be told apart.
    pub fn take_two_senders(&mut self, device: DeviceNo, turn: &mut Turn) {
        let unit = self.config.unit;
        if let Some(state) = self.device(device).filter(|state| state.fault.is_none()) {
            state.has_two_senders = true;
            state.open(unit, AlertType::SensorFault, Severity::Warning, Reason::TwoSenders, turn);
        }
    }

    /// An accepted reading: the probe works. The alert ends when every probe of the device does.
    pub fn hear_good(&mut self, device: DeviceNo, probe: Probe, turn: &mut Turn) {
        let unit = self.config.unit;
        let Some(state) = self.device(device) else { return };
        if state.faulty.is_empty() {
            return;
        }
        state.faulty.retain(|(own, _)| *own != probe);
        if state.faulty.is_empty() && !state.has_two_senders {
            state.resolve(unit, AlertType::SensorFault, None, turn);
        }
    }

    /// `Event::TwoSenders` has no good value that ends it: a calm day does.
    pub fn end_two_senders(&mut self, device: DeviceNo, turn: &mut Turn) {
        let unit = self.config.unit;
        if let Some(state) = self.device(device).filter(|state| state.has_two_senders) {
            state.has_two_senders = false;
            state.resolve(unit, AlertType::SensorFault, None, turn);
        }
    }

    pub fn take_battery(&mut self, device: DeviceNo, percent: u8, turn: &mut Turn) {
        let unit = self.config.unit;
        if let Some(state) = self.device(device) {
            state.hear_battery(unit, percent, turn);
        }
    }

    pub fn fire_devices(&mut self, turn: &mut Turn) {
        let unit = self.config.unit;
        for state in &mut self.devices {
            if state.deadline(turn.site).is_some_and(|deadline| deadline <= turn.tick) {
                state.open(unit, AlertType::CalibrationDue, Severity::Info, Reason::CalibrationDue, turn);
            }
        }
    }

    /// A person closed an alert about a device. True when it was one of this unit's.
    pub fn close_device_alert(&mut self, alert: Uuid, by: Option<Uuid>, turn: &mut Turn) -> bool {
        let unit = self.config.unit;
        for state in &mut self.devices {
            let found = state.alerts().find(|(_, open)| open.id == alert);
            let Some((alert_type, _)) = found else { continue };
            state.resolve(unit, alert_type, by, turn);
            match alert_type {
                // Fresh faults open it again.
                AlertType::SensorFault => {
                    state.faulty.clear();
                    state.has_two_senders = false;
                }
                AlertType::CalibrationDue => state.is_calibration_closed = true,
                _ => {}
            }
            return true;
        }
        false
    }

    /// Takes a new configuration: devices that stay keep what they know, alerts of those that go are over.
    pub fn assign_devices(&mut self, devices: &[DeviceConfig], turn: &mut Turn) {
        let unit = self.config.unit;
        let mut former = std::mem::take(&mut self.devices);
        for config in devices.iter().filter(|config| config.unit == unit) {
            if self.devices.iter().any(|state| state.device == config.device) {
                continue;
            }
            let known = former.iter().position(|state| state.device == config.device);
            let mut state = known.map_or_else(|| DeviceState::new(config), |at| former.swap_remove(at));
            if state.expires_ms != config.calibration_expires_ms {
                state.expires_ms = config.calibration_expires_ms;
                state.is_calibration_closed = false;
                let is_due = state.calibration.is_some();
                // Judged anew by the new date; until it falls due there is none.
                if is_due {
                    state.resolve(unit, AlertType::CalibrationDue, None, turn);
                }
            }
            self.devices.push(state);
        }
        former.sort_by_key(|state| state.device);
        for mut state in former {
            state.resolve_all(unit, turn);
        }
    }

    /// The unit is no longer watched.
    pub fn drop_devices(&mut self, turn: &mut Turn) {
        let unit = self.config.unit;
        for mut state in std::mem::take(&mut self.devices) {
            state.resolve_all(unit, turn);
        }
    }

    fn device(&mut self, device: DeviceNo) -> Option<&mut DeviceState> {
        self.devices.iter_mut().find(|state| state.device == device)
    }
}

impl DeviceState {
    fn resolve_all(&mut self, unit: UnitNo, turn: &mut Turn) {
        for alert_type in [AlertType::SensorFault, AlertType::LowBattery, AlertType::CalibrationDue] {
            self.resolve(unit, alert_type, None, turn);
        }
    }
}
