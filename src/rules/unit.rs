//! One unit's memory: its configuration, its probes, both machines.

use serde::{Deserialize, Serialize};

use super::contact::Contact;
use super::device::DeviceState;
use super::door::Door;
use super::late::Late;
use super::probe::ProbeState;
use super::sense::Controller;
use super::state::{OpenAlert, Site, UnitView};
use super::temperature::Heat;
use super::turn::Alert;
use super::{DeviceConfig, ProbeConfig, Tick, UnitConfig};
use crate::domain::{AlertType, UnitNo, UnitStatus};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Unit {
    pub config: UnitConfig,
    /// In the order of the configuration.
    pub probes: Vec<ProbeState>,
    pub heat: Heat,
    pub contact: Contact,
    /// In the order of the configuration.
    pub devices: Vec<DeviceState>,
    pub late: Late,
    pub door: Door,
    pub controller: Controller,
    /// When `shown` became what it is.
    pub since: Tick,
    /// Indices into `Site::rules` of the temperature rules of this unit, most specific first.
    #[serde(skip)]
    pub rules: Vec<u32>,
    /// The earliest instant at which something is decided without an event.
    #[serde(skip)]
    pub deadline: Option<Tick>,
}

impl Unit {
    pub fn new(config: UnitConfig, tick: Tick) -> Self {
        Self {
            config,
            probes: Vec::new(),
            heat: Heat::default(),
            contact: Contact::new(tick),
            devices: Vec::new(),
            late: Late::default(),
            door: Door::default(),
            controller: Controller::default(),
            since: tick,
            rules: Vec::new(),
            deadline: None,
        }
    }

    pub fn view(&self) -> UnitView {
        UnitView {
            unit: self.config.unit,
            temperature: self.heat.status(),
            contact: (!self.probes.is_empty() || self.contact.status() != UnitStatus::Ok)
                .then(|| self.contact.status()),
            shown: self.shown(),
            since: self.since,
            last_reading: self.probes.iter().filter_map(|probe| probe.newest).max_by_key(|last| last.tick),
        }
    }

    pub fn open_alerts(&self) -> impl Iterator<Item = OpenAlert> {
        let unit: UnitNo = self.config.unit;
        let own = [
            (AlertType::AlarmActive, self.heat.alert),
            (AlertType::MonitoringInterrupted, self.contact.alert),
            (AlertType::MissedManualEntry, self.contact.manual_alert),
            (AlertType::DoorOpen, self.door.alert),
        ];
        let own = own.into_iter().filter_map(|(alert_type, alert)| Some((None, alert_type, alert?)));
        let about = self.devices.iter().flat_map(|state| {
            state.alerts().map(|(alert_type, alert)| (Some(state.device), alert_type, alert))
        });
        own.chain(about).map(move |(device, alert_type, alert): (_, _, Alert)| OpenAlert {
            id: alert.id,
            unit,
            device,
            alert_type,
            severity: alert.severity,
        })
    }

    pub fn probe_configs(&self) -> impl Iterator<Item = ProbeConfig> {
        self.probes.iter().map(|probe| probe.config(self.config.unit))
    }

    pub fn device_configs(&self) -> impl Iterator<Item = DeviceConfig> {
        self.devices.iter().map(|state| state.config(self.config.unit))
    }

    /// `units.status`: the higher of both machines.
    pub fn shown(&self) -> UnitStatus {
        let (temperature, contact) = (self.heat.status(), self.contact.status());
        if height(contact) > height(temperature) { contact } else { temperature }
    }

    /// Recomputes what is not saved.
    pub fn derive(&mut self, site: &Site) {
        self.rules.clear();
        self.rules.extend(
            (0u32..)
                .zip(&site.rules)
                .filter(|(_, rule)| {
                    rule.alert_type == AlertType::AlarmActive && rule.covers(self.config.unit)
                })
                .map(|(index, _)| index),
        );
        for probe in &mut self.probes {
            probe.derive(&site.constants);
        }
        self.deadline = self.next_deadline(site);
    }

    pub fn next_deadline(&self, site: &Site) -> Option<Tick> {
        let devices = self.devices.iter().filter_map(|state| state.deadline(site));
        let constants = &site.constants;
        [self.heat_deadline(constants), self.contact_deadline(constants), self.door_deadline(constants)]
            .into_iter()
            .flatten()
            .chain(devices)
            .min()
    }
}

/// The order in which `units.status` shows them.
fn height(status: UnitStatus) -> u8 {
    match status {
        UnitStatus::AlarmActive => 6,
        UnitStatus::Excursion => 5,
        UnitStatus::ManualRequired => 4,
        UnitStatus::MonitoringInterrupted => 3,
        UnitStatus::Offline => 2,
        UnitStatus::Restoring => 1,
        UnitStatus::Ok => 0,
    }
}
