//! A unit of the kitchen: what it is, what happens to it in a month, and what it fails of.

use frostguard_hub::domain::UnitType;

use super::dice::Dice;

pub const DAYS: i64 = 30;
pub const MINUTES: i64 = DAYS * 1_440;

/// How a unit defrosts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rhythm {
    Never,
    /// Every so many minutes, at fixed times.
    Scheduled(f64),
    /// When the controller finds it needed: so many minutes apart, from and to.
    Demand(f64, f64),
    /// Six-hourly until a day, on demand from then on.
    Changing(i64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Stops without a defrost.
    Stop,
    /// A defrost that does not end.
    Defrosting,
    /// Loses capacity, so many K a day, then stops.
    Fade(f64),
    /// One of two circuits is off; the other holds so many K above the usual.
    Circuit(f64),
}

/// A true failure, in minutes of the month.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Failure {
    pub kind: Kind,
    /// When it begins to act.
    pub starts: i64,
    /// From when on it can be known: minutes to detection are counted from here.
    pub begin: i64,
    pub end: i64,
}

/// Something that lasts: a defrost, a door, a delivery, a load of a batch chiller.
#[derive(Clone, Copy, Debug)]
pub struct Spell {
    pub from: i64,
    pub minutes: f64,
    /// Kelvin at its highest, above the set point.
    pub rise: f64,
}

#[derive(Clone, Debug)]
pub struct Unit {
    pub no: u32,
    pub unit_type: UnitType,
    pub min: f64,
    pub max: f64,
    pub setpoint: f64,
    /// Compressor cycle: half its height, and minutes.
    pub cycle: (f64, f64),
    /// Minutes in which a pull-down gets two thirds of the way.
    pub pull_down: f64,
    /// Bends the rise of a defrost: 1 is straight, less is steep first.
    pub bend: f64,
    pub dips: bool,
    pub defrosts: Vec<Spell>,
    pub doors: Vec<Spell>,
    pub loads: Vec<Spell>,
    pub has_door_sensor: bool,
    /// Minutes between readings, their jitter, the step values are rounded to, noise.
    pub interval: f64,
    pub jitter: f64,
    pub step: f64,
    pub noise: f64,
    pub failures: Vec<Failure>,
    pub gaps: Vec<(i64, i64)>,
    pub glitches: f64,
    pub seed: u64,
}

impl Unit {
    /// The same month without its failures.
    pub fn healthy(&self) -> Self {
        Self { failures: Vec::new(), ..self.clone() }
    }

    pub fn is_freezer(&self) -> bool {
        self.unit_type.is_freezer()
    }
}

/// Twenty units.
pub fn kitchen(seed: u64) -> Vec<Unit> {
    let types = [
        (UnitType::Fridge, 4),
        (UnitType::DisplayCase, 2),
        (UnitType::WalkInCooler, 2),
        (UnitType::BlastChiller, 1),
        (UnitType::Freezer, 6),
        (UnitType::WalkInFreezer, 5),
    ];
    let all = types.iter().flat_map(|(unit_type, count)| std::iter::repeat_n(*unit_type, *count));
    (1u32..).zip(all).map(|(no, unit_type)| unit(seed, no, unit_type)).collect()
}

fn unit(seed: u64, no: u32, unit_type: UnitType) -> Unit {
    let stream = |process: u64| Dice::new(&[seed, u64::from(no), process]);
    let mut dice = stream(0);
    let is_freezer = unit_type.is_freezer();
    let is_walk_in = matches!(unit_type, UnitType::WalkInFreezer | UnitType::WalkInCooler);
    let (min, max) = match unit_type {
        UnitType::BlastChiller => (-5.0, 19.0),
        _ if is_freezer => (-35.0, dice.pick(&[-15.0, -15.0, -18.0, -12.0])),
        _ => (-2.0, 5.0),
    };
    let setpoint = match unit_type {
        UnitType::BlastChiller => 1.5,
        _ if is_freezer => max - dice.between(4.0, 8.0),
        _ => dice.between(1.5, 2.8),
    };
    let rhythm = rhythm(unit_type, &mut dice);
    let mut unit = Unit {
        no,
        unit_type,
        min,
        max,
        setpoint,
        cycle: (dice.between(0.4, if is_freezer { 2.0 } else { 1.0 }), dice.between(12.0, 45.0)),
        pull_down: dice.between(7.0, if is_walk_in { 22.0 } else { 15.0 }),
        bend: dice.between(0.5, 1.2),
        dips: dice.chance(0.3),
        defrosts: defrosts(rhythm, is_freezer, &mut stream(1)),
        doors: doors(unit_type, &mut stream(2)),
        loads: loads(unit_type, &mut stream(3)),
        has_door_sensor: dice.chance(0.4),
        interval: dice.pick(&[1.0, 1.0, 2.0, 5.0, 5.0, 7.5, 10.0, 15.0]),
        jitter: dice.pick(&[0.0, 0.1, 0.3]),
        step: dice.pick(&[0.01, 0.1, 0.1, 0.5, 1.0]),
        noise: dice.between(0.02, 0.25),
        failures: Vec::new(),
        gaps: gaps(&mut stream(4)),
        glitches: dice.pick(&[0.0, 0.0, 0.0003, 0.002]),
        seed: seed ^ u64::from(no) << 40,
    };
    deliver(&mut unit, &mut stream(6));
    unit.failures = failures(&unit, &mut stream(5));
    unit
}

/// Who carries goods in goes in and out.
fn deliver(unit: &mut Unit, dice: &mut Dice) {
    if unit.unit_type == UnitType::BlastChiller {
        return;
    }
    for load in &unit.loads {
        let mut at = load.from as f64;
        while at < load.from as f64 + load.minutes {
            let rise = load.rise + dice.between(0.5, 4.0);
            unit.doors.push(Spell { from: at as i64, minutes: dice.between(1.0, 6.0), rise });
            at += dice.between(6.0, 20.0);
        }
    }
    unit.doors.sort_by_key(|spell| spell.from);
}

fn rhythm(unit_type: UnitType, dice: &mut Dice) -> Rhythm {
    match unit_type {
        UnitType::Freezer => match dice.between(0.0, 6.0) as u32 {
            0 => Rhythm::Never,
            1 => Rhythm::Demand(25.0 * 60.0, 42.0 * 60.0),
            2 => Rhythm::Changing(dice.between(8.0, 20.0) as i64),
            3 => Rhythm::Scheduled(60.0 * dice.pick(&[4.0, 6.0, 8.0, 12.0])),
            _ => Rhythm::Demand(1.9 * 60.0, 22.0 * 60.0),
        },
        UnitType::WalkInFreezer if dice.chance(0.5) => Rhythm::Demand(5.0 * 60.0, 20.0 * 60.0),
        UnitType::WalkInFreezer => Rhythm::Scheduled(60.0 * dice.pick(&[6.0, 6.0, 8.0, 12.0])),
        UnitType::BlastChiller => Rhythm::Never,
        _ => Rhythm::Scheduled(60.0 * dice.pick(&[6.0, 8.0, 12.0])),
    }
}

fn defrosts(rhythm: Rhythm, is_freezer: bool, dice: &mut Dice) -> Vec<Spell> {
    // One machine defrosts for about the same time each time: by its timer, or until its coil is warm.
    let (usual, spread) = if is_freezer {
        (dice.between(22.0, 52.0), dice.pick(&[0.5, 1.0, 3.0, 7.0]))
    } else {
        (dice.between(10.0, 25.0), 2.0)
    };
    // Air peaks: about -0.3 for one of -20, and up to +14.
    let rise = if is_freezer { dice.between(11.0, 26.0) } else { dice.between(1.0, 3.5) };
    let rise_spread = dice.between(0.05, 0.25);
    let mut spells = Vec::new();
    let mut at = dice.between(30.0, 300.0);
    while at < MINUTES as f64 {
        let heat = (rise * (1.0 + rise_spread * dice.bell())).max(1.0);
        spells.push(Spell { from: at as i64, minutes: (usual + spread * dice.bell()).max(8.0), rise: heat });
        at += match rhythm {
            Rhythm::Never => break,
            Rhythm::Scheduled(every) => every,
            Rhythm::Changing(day) if at < (day * 1_440) as f64 => 360.0,
            Rhythm::Changing(_) => dice.between(1.9 * 60.0, 22.0 * 60.0),
            Rhythm::Demand(low, high) => dice.between(low, high),
        };
    }
    if rhythm == Rhythm::Never {
        spells.clear();
    }
    spells
}

/// Spikes in the hours of the shop, minutes to half an hour.
fn doors(unit_type: UnitType, dice: &mut Dice) -> Vec<Spell> {
    let a_day = match unit_type {
        UnitType::BlastChiller => 0.0,
        UnitType::WalkInFreezer | UnitType::WalkInCooler => dice.between(4.0, 25.0),
        _ => dice.between(3.0, 20.0),
    };
    let highest = if unit_type.is_freezer() { 15.0 } else { 6.0 };
    let mut spells = Vec::new();
    for day in 0..DAYS {
        for _ in 0..(a_day * dice.between(0.5, 1.5)) as usize {
            let from = day * 1_440 + dice.between(6.0 * 60.0, 21.0 * 60.0) as i64;
            let minutes = if dice.chance(0.07) { dice.between(6.0, 25.0) } else { dice.between(0.3, 4.0) };
            spells.push(Spell { from, minutes, rise: dice.between(1.0, highest) });
        }
    }
    spells.sort_by_key(|spell| spell.from);
    spells
}

/// Deliveries, and the loads of a batch chiller on weekdays.
fn loads(unit_type: UnitType, dice: &mut Dice) -> Vec<Spell> {
    let mut spells = Vec::new();
    for day in 0..DAYS {
        match unit_type {
            UnitType::BlastChiller if day % 7 < 5 => {
                for hour in [9.0, 13.0, 17.0] {
                    let from = day * 1_440 + (60.0 * (hour + dice.between(0.0, 2.0))) as i64;
                    spells.push(Spell {
                        from,
                        minutes: dice.between(30.0, 80.0),
                        rise: dice.between(8.0, 16.0),
                    });
                }
            }
            UnitType::WalkInFreezer | UnitType::WalkInCooler if dice.chance(0.08) => {
                let from = day * 1_440 + (60.0 * dice.between(7.0, 13.0)) as i64;
                let rise =
                    if unit_type.is_freezer() { dice.between(5.0, 15.0) } else { dice.between(1.0, 4.0) };
                spells.push(Spell { from, minutes: dice.between(20.0, 240.0), rise });
            }
            _ => {}
        }
    }
    spells
}

fn gaps(dice: &mut Dice) -> Vec<(i64, i64)> {
    let count = dice.pick(&[0, 0, 1, 2, 3]);
    (0..count)
        .map(|_| {
            let from = dice.between(0.0, MINUTES as f64) as i64;
            let hours = if dice.chance(0.2) { dice.between(20.0, 72.0) } else { dice.between(2.0, 9.0) };
            (from, from + (hours * 60.0) as i64)
        })
        .collect()
}

/// Half of the freezers fail in their month, and some of the others.
fn failures(unit: &Unit, dice: &mut Dice) -> Vec<Failure> {
    if unit.unit_type == UnitType::BlastChiller || !dice.chance(if unit.is_freezer() { 0.6 } else { 0.2 }) {
        return Vec::new();
    }
    // Some before anything can be learned.
    let day = if dice.chance(0.15) { dice.between(0.3, 3.0) } else { dice.between(5.0, 18.0) };
    let starts = (day * 1_440.0) as i64;
    let hours = |low: f64, high: f64, dice: &mut Dice| (60.0 * dice.between(low, high)) as i64;
    let defrost = unit.defrosts.iter().find(|spell| spell.from >= starts);
    let choice = if unit.is_freezer() { dice.between(0.0, 4.0) as u32 } else { 0 };
    match (choice, defrost) {
        (1, Some(defrost)) => {
            let begin = defrost.from + defrost.minutes as i64;
            let end = begin + hours(5.0, 12.0, dice);
            vec![Failure { kind: Kind::Defrosting, starts: defrost.from, begin, end }]
        }
        (2, _) if unit.unit_type == UnitType::WalkInFreezer => {
            // Off and on for days.
            let held = unit.max - unit.setpoint - dice.between(0.5, 1.5);
            let mut from = starts;
            (0..dice.pick(&[1, 3, 5]))
                .map(|_| {
                    let end = from + hours(2.0, 16.0, dice);
                    let failure = Failure { kind: Kind::Circuit(held), starts: from, begin: from, end };
                    from = end + hours(6.0, 20.0, dice);
                    failure
                })
                .collect()
        }
        (3, _) if day > 4.0 => {
            let a_day = dice.between(0.5, 1.2);
            let end = (starts + hours(9.0 * 24.0, 11.0 * 24.0, dice)).min(MINUTES - 10);
            // A third of what lies between the usual cold and the limit is lost.
            let lost = (unit.max - unit.setpoint + unit.cycle.0) / 3.0;
            let begin = starts + (lost / a_day * 1_440.0) as i64;
            vec![Failure { kind: Kind::Fade(a_day), starts, begin, end }]
        }
        _ => {
            let end = starts + hours(5.0, 12.0, dice);
            vec![Failure { kind: Kind::Stop, starts, begin: starts, end }]
        }
    }
}
