//! What the rules remember: configuration, units, probes; saved as a checkpoint and read back.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::calls::{Call, Calls};
use super::device::BatteryClass;
use super::unit::Unit;
use super::zone::Zone;
use super::{Constants, Rule, RuleConfig, Tick};
use crate::domain::{AlertType, DeviceNo, Probe, Severity, Temperature, UnitNo, UnitStatus};

/// The first byte of a checkpoint. A build reads only its own version: older state is rebuilt by replay.
pub const STATE_VERSION: u8 = 4;

/// The rules' whole memory. `State::default()` knows no unit until an `Event::Configured`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The newest instant judged; time never goes back behind it.
    pub(super) tick: Tick,
    pub(super) site: Site,
    /// Sorted by number.
    pub(super) units: Vec<Unit>,
    pub(super) calls: Calls,
    /// No deadline is earlier; may be too early, never too late.
    #[serde(skip)]
    pub(super) quiet_until: Tick,
}

/// What all units share.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Site {
    /// Most specific first.
    pub rules: Vec<Rule>,
    pub constants: Constants,
    pub zone: Zone,
    /// Unix ms = tick + offset; None: wall time is not trusted.
    pub offset_ms: Option<i64>,
}

/// A unit as it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UnitView {
    pub unit: UnitNo,
    /// Ok, Excursion, AlarmActive or Restoring.
    pub temperature: UnitStatus,
    /// Ok (fresh), Offline or MonitoringInterrupted; None: no probe is assigned ("no sensor").
    pub contact: Option<UnitStatus>,
    /// `units.status`.
    pub shown: UnitStatus,
    /// When `shown` became what it is.
    pub since: Tick,
    /// The newest accepted reading of any of its probes.
    pub last_reading: Option<LastReading>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastReading {
    pub temperature: Temperature,
    pub tick: Tick,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OpenAlert {
    pub id: Uuid,
    pub unit: UnitNo,
    pub device: Option<DeviceNo>,
    pub alert_type: AlertType,
    pub severity: Severity,
}

/// Why a checkpoint is not taken; the caller starts from `State::default()` and replays the inputs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    #[error("checkpoint is empty")]
    Empty,
    #[error("checkpoint has version {got}, this build reads {STATE_VERSION}")]
    Version { got: u8 },
    #[error("checkpoint is damaged: {0}")]
    Damaged(String),
}

impl State {
    pub fn new() -> Self {
        Self::default()
    }

    /// The newest instant judged.
    pub fn tick(&self) -> Tick {
        self.tick
    }

    /// The earliest instant at which something is decided without an event; never before `tick()`.
    pub fn next_deadline(&self) -> Option<Tick> {
        let units = self.units.iter().filter_map(|unit| unit.deadline);
        units.chain(self.calls.next_deadline()).min().map(|tick| tick.max(self.tick))
    }

    pub fn unit(&self, unit: UnitNo) -> Option<UnitView> {
        self.find(unit).map(|index| self.units[index].view())
    }

    /// How long a probe that measures the unit may be silent before it counts as such.
    pub fn silence_ms(&self, unit: UnitNo, device: DeviceNo, probe: Probe) -> Option<i64> {
        let unit = &self.units[self.find(unit)?];
        let probe = unit.probes.iter().find(|known| known.is(device, probe))?;
        Some(probe.silence_ms(&self.site.constants))
    }

    pub fn units(&self) -> impl Iterator<Item = UnitView> {
        self.units.iter().map(Unit::view)
    }

    pub fn open_alerts(&self) -> impl Iterator<Item = OpenAlert> {
        self.units.iter().flat_map(Unit::open_alerts)
    }

    /// The configuration in force.
    pub fn config(&self) -> RuleConfig {
        RuleConfig {
            units: self.units.iter().map(|unit| unit.config.clone()).collect(),
            rules: self.site.rules.clone(),
            probes: self.units.iter().flat_map(Unit::probe_configs).collect(),
            devices: self.units.iter().flat_map(Unit::device_configs).collect(),
            zone: self.site.zone.clone().into(),
            constants: self.site.constants.clone(),
        }
    }

    /// Open alerts with who was called about them.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter()
    }

    /// Devices whose address two senders were found to use.
    pub fn two_senders(&self) -> impl Iterator<Item = DeviceNo> {
        let devices = self.units.iter().flat_map(|unit| &unit.devices);
        devices.filter(|state| state.has_two_senders).map(|state| state.device)
    }

    /// Whether a device's probes are heard as often as they should be; None: no unit's temperature depends on it.
    pub fn is_alive(&self, device: DeviceNo, tick: Tick) -> Option<bool> {
        let probes = self.units.iter().flat_map(|unit| &unit.probes).filter(|probe| probe.device == device);
        probes.map(|probe| probe.is_alive(tick, &self.site.constants)).reduce(|all, is_alive| all && is_alive)
    }

    /// True when the rules should hear of a battery: it is a watched device's, and in another class than they know.
    pub fn is_battery_news(&self, unit: UnitNo, device: DeviceNo, class: BatteryClass) -> bool {
        let Some(unit) = self.find(unit).map(|index| &self.units[index]) else { return false };
        let state = unit.devices.iter().find(|state| state.device == device);
        state.is_some_and(|state| state.battery_class(&self.site.constants) != Some(class))
    }

    /// A checkpoint: the version byte, then postcard.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![STATE_VERSION];
        bytes.extend(postcard::to_allocvec(self).expect("state serializes: plain data of known lengths"));
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let (&version, body) = bytes.split_first().ok_or(StateError::Empty)?;
        if version != STATE_VERSION {
            return Err(StateError::Version { got: version });
        }
        let (mut state, rest) = postcard::take_from_bytes::<State>(body)
            .map_err(|error| StateError::Damaged(error.to_string()))?;
        if !rest.is_empty() {
            return Err(StateError::Damaged(format!("{} bytes too many", rest.len())));
        }
        if !state.units.is_sorted_by(|a, b| a.config.unit < b.config.unit) {
            return Err(StateError::Damaged("units are not in order".into()));
        }
        if !state.units.iter().all(Unit::is_sound) {
            return Err(StateError::Damaged("a unit is out of its limits without an alert".into()));
        }
        state.derive();
        Ok(state)
    }

    pub(super) fn find(&self, unit: UnitNo) -> Option<usize> {
        self.units.binary_search_by_key(&unit, |unit| unit.config.unit).ok()
    }

    /// Recomputes what is not saved.
    pub(super) fn derive(&mut self) {
        for unit in &mut self.units {
            unit.derive(&self.site);
        }
        self.quiet_until = Tick(i64::MIN);
    }

    /// Replaces the configuration's shared part; units follow in `step`.
    pub(super) fn replace_site(&mut self, config: &RuleConfig) {
        let mut rules = config.rules.clone();
        rules.sort_by_key(|rule| (std::cmp::Reverse(rule.rank()), rule.schedule.is_none(), rule.id));
        self.site.rules = rules;
        self.site.constants = config.constants.clone();
        self.site.zone = Zone::named(&config.zone);
    }
}
