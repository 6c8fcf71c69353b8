//! A recorded series played through the rules: what would the hub have said? Pure; the caller reads lines and prints.

pub mod csv;
pub mod overlay;
pub mod stored;
mod story;
#[cfg(test)]
mod tests;

pub use story::{HoldStory, Story};

use crate::domain::{AlertType, DeviceNo, Epoch, Probe, Scale, Seq, Severity, Temperature, UnitNo, UnitType};
use crate::rules::{
    At, Constants, Event, ProbeConfig, ReadingEvent, Rule, RuleConfig, State, Tick, UnitConfig, step,
};
use csv::Row;
use story::Stories;
use uuid::Uuid;

const UNIT: UnitNo = UnitNo(1);
const DEVICE: DeviceNo = DeviceNo(1);
const DOOR: DeviceNo = DeviceNo(2);

/// The unit that the series was recorded in.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayUnit {
    pub unit_type: UnitType,
    pub scale: Scale,
    /// Tenths of a degree in `scale`.
    pub temp_min: i32,
    pub temp_max: i32,
    /// A rule's confirm delay; None: no rule.
    pub delay_min: Option<i32>,
    pub constants: Constants,
}

/// Plays rows in their order.
pub struct Player {
    state: State,
    seq: u64,
    decisions: Vec<crate::rules::Decision>,
    stories: Stories,
    is_open: Option<bool>,
    is_defrosting: Option<bool>,
}

impl Player {
    /// `start`: Unix ms of the first row. Judging time is the recorded time.
    pub fn new(unit: &ReplayUnit, start_ms: i64) -> Self {
        let mut player = Self {
            state: State::new(),
            seq: 0,
            decisions: Vec::new(),
            stories: Stories::default(),
            is_open: None,
            is_defrosting: None,
        };
        player.step(&Event::Configured(Box::new(config(unit))), start_ms);
        player.step(&Event::Placed { offset_ms: Some(0) }, start_ms);
        player
    }

    pub fn play(&mut self, row: &Row) {
        // The door first: it explains the reading of its own row.
        if let Some(is_open) = row.is_open
            && self.is_open.replace(is_open) != Some(is_open)
        {
            self.step(&Event::Door { unit: UNIT, device: DOOR, is_open }, row.unix_ms);
        }
        if let Some(is_on) = row.is_defrosting
            && self.is_defrosting.replace(is_on) != Some(is_on)
        {
            self.step(&Event::Defrost { unit: UNIT, is_on }, row.unix_ms);
        }
        let event = row.temperature.map_or(Event::Tick, reading);
        self.step(&event, row.unix_ms);
    }

    /// The alerts in the order of their opening, and how often an open door's grace was enough.
    pub fn finish(self) -> (Vec<Story>, u64) {
        self.stories.finish()
    }

    fn step(&mut self, event: &Event, unix_ms: i64) {
        let at = At { tick: Tick(unix_ms), epoch: Epoch([0; 16]), after: Seq(self.seq) };
        self.seq += 1;
        step(&mut self.state, event, at, &mut self.decisions);
        for decision in self.decisions.drain(..) {
            self.stories.tell(&decision);
        }
    }
}

fn reading(temperature: Temperature) -> Event {
    Event::Reading(ReadingEvent {
        unit: UNIT,
        device: DEVICE,
        probe: Probe::EXTERNAL,
        temperature,
        is_late: false,
        measured_ms: None,
    })
}

fn config(unit: &ReplayUnit) -> RuleConfig {
    let rule = unit.delay_min.map(|delay_min| Rule {
        id: Uuid::nil(),
        unit: Some(UNIT),
        is_site: false,
        alert_type: AlertType::AlarmActive,
        severity: Severity::Critical,
        temp_min: None,
        temp_max: None,
        delay_min,
        schedule: None,
    });
    RuleConfig {
        units: vec![UnitConfig {
            unit: UNIT,
            name: "replayed".into(),
            unit_type: unit.unit_type,
            scale: unit.scale,
            temp_min: unit.temp_min,
            temp_max: unit.temp_max,
            manual_required: false,
            manual_interval_min: None,
        }],
        rules: rule.into_iter().collect(),
        probes: vec![ProbeConfig { device: DEVICE, probe: Probe::EXTERNAL, unit: UNIT, check_in_s: None }],
        devices: Vec::new(),
        zone: "UTC".into(),
        constants: unit.constants.clone(),
    }
}
