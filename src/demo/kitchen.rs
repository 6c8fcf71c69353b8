//! A kitchen that never was: eight units, what their sensors measure in each minute, and four things that go wrong.
//! Pure: the same seed and minute give the same message, whatever was asked before.

use crate::codec::{DoorState, Fault, Measurement, Quantity};
use crate::domain::{CentiCelsius, Probe, Scale, UnitType};

/// Minutes after which everything that went wrong, and was mended, goes wrong again.
pub const STORY_MINUTES: u32 = 180;

/// A minute of the story in which the internet is cut where nobody is there to press a key: before the freezer's alarm.
pub const CUT_MINUTE: u32 = 12;
/// And restored: after that alarm became critical.
pub const RESTORE_MINUTE: u32 = 42;

/// A compressor's on and off, in minutes.
const CYCLE_MINUTES: f64 = 22.0;
/// Half of what a unit swings by between on and off, in degrees Celsius.
const SWING_C: f64 = 0.45;
/// A sensor's noise, in degrees Celsius to either side.
const NOISE_C: f64 = 0.06;
/// The kitchen around the units, in degrees Celsius: where a body of a sensor hangs, where a broken unit drifts to.
const KITCHEN_C: f64 = 23.0;

/// One unit, the sensor in it and what happens to them.
#[derive(Clone, Copy, Debug)]
pub struct SimulatedUnit {
    pub name: &'static str,
    pub unit_type: UnitType,
    pub scale: Scale,
    /// Tenths of a degree in `scale`.
    pub temp_min: i32,
    pub temp_max: i32,
    /// As `devices models` spells it.
    pub model: &'static str,
    pub eui: &'static str,
    /// The probe inside the unit; where it is the external one, the sensor's body hangs in the kitchen.
    pub probe: Probe,
    /// What the thermostat is set to, in degrees Celsius.
    set_c: f64,
    /// Relative humidity in percent, for models that measure it.
    humidity: Option<f64>,
    has_door_sensor: bool,
    story: Story,
}

/// What goes wrong, in minutes of the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Story {
    None,
    /// Somebody leaves the door open.
    Door {
        open: u32,
        shut: u32,
    },
    /// The compressor stops, and is repaired.
    Failing {
        from: u32,
        mended: u32,
    },
    /// The sensor's battery dies, and is changed.
    Silent {
        from: u32,
        back: u32,
    },
    /// The probe comes off its cable, and is put back.
    ProbeFault {
        from: u32,
        mended: u32,
    },
}

/// The units in the order in which they are shown.
pub const UNITS: [SimulatedUnit; 8] = [
    SimulatedUnit {
        name: "Walk-in cooler",
        unit_type: UnitType::WalkInCooler,
        scale: Scale::C,
        temp_min: 0,
        temp_max: 50,
        model: "dragino/lht65n",
        eui: "A84041F000000001",
        probe: Probe::EXTERNAL,
        set_c: 2.6,
        humidity: Some(48.0),
        has_door_sensor: false,
        story: Story::None,
    },
    SimulatedUnit {
        name: "Fish fridge",
        unit_type: UnitType::Fridge,
        scale: Scale::C,
        temp_min: 0,
        temp_max: 50,
        model: "milesight/em300-mcs",
        eui: "24E124F000000002",
        probe: Probe::INTERNAL,
        set_c: 2.2,
        humidity: Some(71.0),
        has_door_sensor: true,
        story: Story::Door { open: 20, shut: 38 },
    },
    SimulatedUnit {
        name: "Line fridge",
        unit_type: UnitType::Fridge,
        scale: Scale::F,
        temp_min: 330,
        temp_max: 410,
        model: "milesight/em300-th",
        eui: "24E124F000000003",
        probe: Probe::INTERNAL,
        set_c: 3.1,
        humidity: Some(64.0),
        has_door_sensor: false,
        story: Story::None,
    },
    SimulatedUnit {
        name: "Chest freezer",
        unit_type: UnitType::Freezer,
        scale: Scale::C,
        temp_min: -250,
        temp_max: -180,
        model: "milesight/em500-pt100",
        eui: "24E124F000000004",
        probe: Probe::EXTERNAL,
        set_c: -20.6,
        humidity: None,
        has_door_sensor: false,
        story: Story::Failing { from: 8, mended: 95 },
    },
    SimulatedUnit {
        name: "Walk-in freezer",
        unit_type: UnitType::WalkInFreezer,
        scale: Scale::C,
        temp_min: -250,
        temp_max: -180,
        model: "dragino/lht65n",
        eui: "A84041F000000005",
        probe: Probe::EXTERNAL,
        set_c: -21.5,
        humidity: Some(46.0),
        has_door_sensor: false,
        story: Story::ProbeFault { from: 30, mended: 37 },
    },
    SimulatedUnit {
        name: "Dessert display",
        unit_type: UnitType::DisplayCase,
        scale: Scale::C,
        temp_min: 0,
        temp_max: 50,
        model: "elsys/ers",
        eui: "A81758F000000006",
        probe: Probe::INTERNAL,
        set_c: 3.0,
        humidity: Some(69.0),
        has_door_sensor: false,
        story: Story::Silent { from: 16, back: 120 },
    },
    SimulatedUnit {
        name: "Salad display",
        unit_type: UnitType::DisplayCase,
        scale: Scale::F,
        temp_min: 330,
        temp_max: 410,
        model: "dragino/lht65",
        eui: "A84041F000000007",
        probe: Probe::EXTERNAL,
        set_c: 2.9,
        humidity: Some(52.0),
        has_door_sensor: false,
        story: Story::None,
    },
    SimulatedUnit {
        name: "Blast chiller",
        unit_type: UnitType::BlastChiller,
        scale: Scale::C,
        temp_min: -50,
        temp_max: 50,
        model: "milesight/em500-pt100",
        eui: "24E124F000000008",
        probe: Probe::EXTERNAL,
        set_c: 1.0,
        humidity: None,
        has_door_sensor: false,
        story: Story::None,
    },
];

impl SimulatedUnit {
    /// What the sensor of the unit sends in a minute since the start; None: it is silent.
    pub fn message(&self, seed: u64, minute: u32) -> Option<Vec<Measurement>> {
        let now = minute % STORY_MINUTES;
        if let Story::Silent { from, back } = self.story
            && (from..back).contains(&now)
        {
            return None;
        }
        let noise = Noise { seed, sensor: self.eui, minute };
        let mut values = Vec::new();
        let mut add = |probe, quantity| values.push(Measurement { probe, quantity, at: None });
        // A PT100 transmitter measures on its cable only.
        if self.probe == Probe::EXTERNAL && self.humidity.is_some() {
            add(Probe::INTERNAL, Quantity::Temperature(centi(KITCHEN_C + noise.between(1, 0.3))));
        }
        match self.story {
            Story::ProbeFault { from, mended } if (from..mended).contains(&now) => {
                add(self.probe, Quantity::Fault(Fault::Disconnected));
            }
            _ => add(self.probe, Quantity::Temperature(centi(self.air_c(seed, minute)))),
        }
        if let Some(humidity) = self.humidity {
            let percent = (humidity + noise.between(2, 2.5)).clamp(0.0, 100.0);
            add(Probe::INTERNAL, Quantity::Humidity((percent * 100.0).round() as i32));
        }
        if self.has_door_sensor {
            let state = if self.is_door_open(minute) { DoorState::Open } else { DoorState::Closed };
            add(Probe::INTERNAL, Quantity::Door(state));
        }
        Some(values)
    }

    pub fn is_door_open(&self, minute: u32) -> bool {
        let now = minute % STORY_MINUTES;
        matches!(self.story, Story::Door { open, shut } if (open..shut).contains(&now))
    }

    /// The air in the unit, in degrees Celsius.
    fn air_c(&self, seed: u64, minute: u32) -> f64 {
        let noise = Noise { seed, sensor: self.eui, minute };
        let phase = unit_interval(hash(seed, self.eui, 0, 9)) + f64::from(minute) / CYCLE_MINUTES;
        let swing = SWING_C * (phase * std::f64::consts::TAU).sin();
        self.set_c + swing + self.warming_c(minute % STORY_MINUTES) + noise.between(0, NOISE_C)
    }

    /// What has gone wrong adds to the temperature: towards the kitchen's while it lasts, back after it.
    fn warming_c(&self, now: u32) -> f64 {
        // A kitchen's air comes in at once; a full freezer takes hours to thaw.
        let (from, until, warm_minutes) = match self.story {
            Story::Door { open, shut } => (open, shut, 25.0),
            Story::Failing { from, mended } => (from, mended, 110.0),
            _ => return 0.0,
        };
        let since = |minute: u32| f64::from(now.saturating_sub(minute));
        let warmed = |minutes: f64| (KITCHEN_C - self.set_c) * (1.0 - (-minutes / warm_minutes).exp());
        if now < until {
            warmed(since(from))
        } else {
            // Cooling is quick: the compressor runs without a pause.
            warmed(f64::from(until - from)) * (-since(until) / 6.0).exp()
        }
    }
}

/// Deterministic noise of one sensor in one minute.
struct Noise {
    seed: u64,
    sensor: &'static str,
    minute: u32,
}

impl Noise {
    /// Within `most` to either side; `salt` tells the quantities of a message apart.
    fn between(&self, salt: u64, most: f64) -> f64 {
        (unit_interval(hash(self.seed, self.sensor, self.minute, salt)) * 2.0 - 1.0) * most
    }
}

fn centi(degrees: f64) -> CentiCelsius {
    CentiCelsius((degrees * 100.0).round() as i32)
}

fn hash(seed: u64, sensor: &str, minute: u32, salt: u64) -> u64 {
    let start = mix(seed ^ salt.rotate_left(48) ^ u64::from(minute));
    sensor.bytes().fold(start, |state, byte| mix(state ^ u64::from(byte)))
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn unit_interval(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> &'static SimulatedUnit {
        UNITS.iter().find(|unit| unit.name == name).expect("a unit of the kitchen")
    }

    fn temperature(unit: &SimulatedUnit, minute: u32) -> Option<Quantity> {
        let message = unit.message(7, minute)?;
        let of_probe = |value: &&Measurement| {
            value.probe == unit.probe
                && matches!(value.quantity, Quantity::Temperature(_) | Quantity::Fault(_))
        };
        message.iter().find(of_probe).map(|value| value.quantity.clone())
    }

    /// In the unit's limits, in hundredths Celsius.
    fn is_within(unit: &SimulatedUnit, minute: u32) -> bool {
        let limit = |tenths: i32| {
            f64::from(crate::domain::convert(i64::from(tenths) * 10, unit.scale, Scale::C) as i32)
        };
        match temperature(unit, minute) {
            Some(Quantity::Temperature(CentiCelsius(value))) => {
                (limit(unit.temp_min)..=limit(unit.temp_max)).contains(&f64::from(value))
            }
            _ => false,
        }
    }

    #[test]
    fn a_minute_is_the_same_whenever_it_is_asked() {
        for unit in &UNITS {
            assert_eq!(unit.message(3, 41), unit.message(3, 41));
            assert_ne!(unit.message(3, 1), unit.message(4, 1), "{}", unit.name);
        }
    }

    #[test]
    fn units_to_which_nothing_happens_stay_in_their_limits() {
        for unit in UNITS.iter().filter(|unit| unit.story == Story::None) {
            assert!((0..STORY_MINUTES).all(|minute| is_within(unit, minute)), "{}", unit.name);
        }
    }

    #[test]
    fn each_story_is_told_and_ends() {
        let out = |name: &str| {
            (0..STORY_MINUTES).filter(|minute| !is_within(named(name), *minute)).collect::<Vec<_>>()
        };

        let freezer = out("Chest freezer");
        // Out for the whole confirm delay of 10 minutes while the line is cut, in any case.
        assert!(freezer[0] > CUT_MINUTE && freezer[0] + 12 < RESTORE_MINUTE, "{freezer:?}");
        assert!(freezer.windows(2).all(|pair| pair[0] + 1 == pair[1]), "without a break: {freezer:?}");
        assert!(freezer[freezer.len() - 1] < STORY_MINUTES - 30);

        let fridge = out("Fish fridge");
        assert!(fridge.iter().all(|minute| (20..60).contains(minute)) && fridge.len() > 10, "{fridge:?}");
        assert!(named("Fish fridge").is_door_open(20) && !named("Fish fridge").is_door_open(38));

        let probe = out("Walk-in freezer");
        assert_eq!(probe, (30..37).collect::<Vec<_>>());
        assert_eq!(temperature(named("Walk-in freezer"), 30), Some(Quantity::Fault(Fault::Disconnected)));

        let display = named("Dessert display");
        assert!(display.message(7, 15).is_some() && display.message(7, 16).is_none());
        assert!(display.message(7, 119).is_none() && display.message(7, 120).is_some());
    }
}
