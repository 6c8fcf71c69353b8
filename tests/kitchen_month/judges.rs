//! Who judges: the hub's rules, and the plain limit with a delay. Each says when an alarm was up.

use frostguard_hub::domain::{AlertType, DeviceNo, Epoch, Probe, Scale, Seq, Temperature, UnitNo};
use frostguard_hub::rules::{
    At, Constants, Event, ProbeConfig, ReadingEvent, RuleConfig, State, Tick, UnitConfig, What, step,
};

use super::play::{Heard, MINUTE_MS};
use super::unit::{MINUTES, Unit};

/// From when to when an alarm was up, in ms of the month, and why it was raised.
#[derive(Clone, Copy, Debug)]
pub struct Alarm {
    pub from: i64,
    pub to: i64,
    pub why: &'static str,
}

/// Reading by reading: out for `delay_min`, until one is inside again.
pub fn plain(unit: &Unit, heard: &[(i64, Heard)], delay_min: i64) -> Vec<Alarm> {
    let (min, max) = ((unit.min * 100.0) as i32, (unit.max * 100.0) as i32);
    let (mut alarms, mut since, mut raised) = (Vec::new(), None, None);
    for &(at, what) in heard {
        let Heard::Reading(value) = what else { continue };
        if value < min || value > max {
            let since = *since.get_or_insert(at);
            if at - since >= delay_min * MINUTE_MS {
                raised.get_or_insert((at, "limit"));
            }
        } else {
            since = None;
            alarms.extend(raised.take().map(|(from, why)| Alarm { from, to: at, why }));
        }
    }
    alarms.extend(raised.map(|(from, why)| Alarm { from, to: MINUTES * MINUTE_MS, why }));
    alarms
}

/// The hub's own rules: confirmed temperature alarms.
pub fn rules(unit: &Unit, heard: &[(i64, Heard)]) -> Vec<Alarm> {
    judge(unit, heard, Constants::default())
}

/// The hub with a plain limit and a delay: nothing is learned, and the longest time above the limit holds.
pub fn unlearned(unit: &Unit, heard: &[(i64, Heard)], delay_min: u32) -> Vec<Alarm> {
    let constants =
        Constants { defrost_unit_types: Vec::new(), confirm_delay_min: delay_min, ..Constants::default() };
    judge(unit, heard, constants)
}

fn judge(unit: &Unit, heard: &[(i64, Heard)], constants: Constants) -> Vec<Alarm> {
    let no = UnitNo(unit.no);
    let config = RuleConfig {
        constants,
        units: vec![UnitConfig {
            unit: no,
            name: String::new(),
            unit_type: unit.unit_type,
            scale: Scale::C,
            temp_min: (unit.min * 10.0) as i32,
            temp_max: (unit.max * 10.0) as i32,
            manual_required: false,
            manual_interval_min: None,
        }],
        probes: vec![ProbeConfig { device: DeviceNo(1), probe: Probe::EXTERNAL, unit: no, check_in_s: None }],
        zone: "UTC".into(),
        ..RuleConfig::default()
    };
    let (mut state, mut out, mut alarms) = (State::new(), Vec::new(), Vec::new());
    let mut raised = None;
    let configured = (0, Event::Configured(Box::new(config)));
    let events = heard.iter().map(|&(at, what)| {
        let event = match what {
            Heard::Reading(hundredths) => Event::Reading(ReadingEvent {
                unit: no,
                device: DeviceNo(1),
                probe: Probe::EXTERNAL,
                temperature: Temperature { hundredths, scale: Scale::C },
                is_late: false,
                measured_ms: None,
            }),
            Heard::Door(is_open) => Event::Door { unit: no, device: DeviceNo(2), is_open },
        };
        (at, event)
    });
    for (seq, (tick, event)) in (0..).zip(std::iter::once(configured).chain(events)) {
        step(&mut state, &event, At { tick: Tick(tick), epoch: Epoch([0; 16]), after: Seq(seq) }, &mut out);
        for decision in out.drain(..) {
            match decision.what {
                What::Raised { alert_type: AlertType::AlarmActive, reason, .. } => {
                    raised.get_or_insert((decision.tick.0, reason.as_str()));
                }
                What::Resolved { alert_type: AlertType::AlarmActive, .. } => {
                    alarms.extend(raised.take().map(|(from, why)| Alarm { from, to: decision.tick.0, why }));
                }
                _ => {}
            }
        }
    }
    alarms.extend(raised.map(|(from, why)| Alarm { from, to: MINUTES * MINUTE_MS, why }));
    alarms
}
