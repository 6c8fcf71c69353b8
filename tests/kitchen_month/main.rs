//! A simulated month of a kitchen of twenty units, by seeds: who calls people for nothing, who misses a failure, and how
//! soon is a failure known? The hub's rules beside the plain limit with a delay.
//!
//! Shapes and sizes are those of measured cold rooms: defrosts by the clock and on demand, deliveries, doors, failures of
//! each kind, and what goes wrong with the data itself. The rules were tuned on seeds below 40.
//!
//! An alarm is *false* when it overlaps no failure (nor the pull-down after one). A failure is *known* as soon as an
//! alarm is up that would not be up in the same month without that failure, nor was shortly before: who calls at each
//! defrost has not yet told that one of them does not end. The last column has the first alarm of any kind.
//!
//! `FROSTGUARD_MONTH_SEEDS=100..140 cargo test --test kitchen_month -- --nocapture` prints the whole table;
//! `FROSTGUARD_MONTH_TELL=1` each false alarm and each failure.

mod dice;
mod judges;
mod play;
mod unit;

use judges::Alarm;
use play::MINUTE_MS;
use unit::{Failure, Unit, kitchen};

/// Seeds the rules were not tuned on.
const REPORTED: std::ops::Range<u64> = 100..104;
/// After a failure ends the unit is pulled down: an alarm then is none for nothing.
const PULL_DOWN_MIN: i64 = 6 * 60;
/// An alarm that lasts so much longer than in a healthy month tells nobody anything yet.
const ROUTINE_MIN: i64 = 20;

#[derive(Clone, Default)]
struct Score {
    name: String,
    false_alarms: u64,
    missed: u64,
    /// Until a failure is known, and until any alarm is up.
    minutes: Vec<i64>,
    first_minutes: Vec<i64>,
}

type Judge = dyn Fn(&Unit, &[(i64, play::Heard)]) -> Vec<Alarm>;

fn judges() -> Vec<(&'static str, Box<Judge>)> {
    let plain = |delay: i64| -> Box<Judge> { Box::new(move |unit, heard| judges::plain(unit, heard, delay)) };
    vec![
        ("plain limit, 10 min", plain(10)),
        ("plain limit, 15 min", plain(15)),
        ("plain limit, 90 min", plain(90)),
        ("the same, longest time above 2 h", Box::new(|unit, heard| judges::unlearned(unit, heard, 90))),
        ("hub", Box::new(judges::rules)),
    ]
}

/// The scores of all units, and of the freezers alone.
fn scores(seeds: std::ops::Range<u64>) -> Vec<[Score; 2]> {
    let judges = judges();
    let named = |name: &str| {
        [
            Score { name: name.into(), ..Score::default() },
            Score { name: format!("{name}, freezers"), ..Score::default() },
        ]
    };
    let mut scores: Vec<[Score; 2]> = judges.iter().map(|(name, _)| named(name)).collect();
    let is_told = std::env::var_os("FROSTGUARD_MONTH_TELL").is_some();
    for unit in seeds.flat_map(kitchen) {
        let heard = play::month(&unit);
        let twin = (!unit.failures.is_empty()).then(|| play::month(&unit.healthy()));
        for ((name, judge), [all, freezers]) in judges.iter().zip(&mut scores) {
            let alarms = judge(&unit, &heard);
            let healthy = twin.as_ref().map_or_else(Vec::new, |twin| judge(&unit, twin));
            let told = all.add(&unit, &alarms, &healthy);
            if unit.is_freezer() {
                freezers.add(&unit, &alarms, &healthy);
            }
            if is_told {
                for line in told {
                    println!(
                        "{name:20} unit {:2} {:15} every {:4} {line}",
                        unit.no,
                        unit.unit_type.as_str(),
                        unit.interval
                    );
                }
            }
        }
    }
    scores
}

impl Score {
    /// Adds a unit's month; a line for each thing that counts.
    fn add(&mut self, unit: &Unit, alarms: &[Alarm], healthy: &[Alarm]) -> Vec<String> {
        let mut told = Vec::new();
        let touches = |failure: &Failure, alarm: &Alarm| {
            alarm.from <= (failure.end + PULL_DOWN_MIN) * MINUTE_MS && alarm.to >= failure.starts * MINUTE_MS
        };
        for alarm in alarms {
            if !unit.failures.iter().any(|failure| touches(failure, alarm)) {
                self.false_alarms += 1;
                let minutes = (alarm.to - alarm.from) / MINUTE_MS;
                let from = alarm.from / MINUTE_MS;
                let near = |spells: &[unit::Spell], what: &str| {
                    let found = spells.iter().rev().find(|spell| spell.from <= from);
                    found.map_or_else(String::new, |spell| {
                        format!("{what} {} min before for {:.0}", from - spell.from, spell.minutes)
                    })
                };
                told.push(format!(
                    "false {} at {from} for {minutes}, {}, {}",
                    alarm.why,
                    near(&unit.loads, "load"),
                    near(&unit.defrosts, "defrost")
                ));
            }
        }
        for failure in &unit.failures {
            let (begin, end) = (failure.begin * MINUTE_MS, failure.end * MINUTE_MS);
            // The first instant from `begin` on at which no healthy alarm is up too, nor was shortly before.
            let since = |alarm: &Alarm, but: &[Alarm]| {
                let mut at = alarm.from.max(begin);
                let over = |own: &Alarm| own.to + ROUTINE_MIN * MINUTE_MS;
                while let Some(own) = but.iter().find(|own| (own.from..over(own)).contains(&at)) {
                    at = over(own);
                }
                (at < alarm.to.min(end)).then_some(((at - begin) / MINUTE_MS, alarm.why))
            };
            let first = |but: &[Alarm]| alarms.iter().filter_map(|alarm| since(alarm, but)).min();
            let known = first(healthy);
            told.push(format!("{:?} {known:?}", failure.kind));
            match known {
                Some((minutes, _)) => self.minutes.push(minutes),
                None => self.missed += 1,
            }
            self.first_minutes.extend(first(&[]).map(|(minutes, _)| minutes));
        }
        told
    }

    fn row(&self) -> String {
        format!(
            "| {} | {} | {} of {} | {} / {} | {} / {} |",
            self.name,
            self.false_alarms,
            self.missed,
            self.missed + self.minutes.len() as u64,
            median(&self.minutes),
            mean(&self.minutes),
            median(&self.first_minutes),
            mean(&self.first_minutes)
        )
    }
}

fn median(of: &[i64]) -> i64 {
    let mut sorted = of.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn mean(of: &[i64]) -> i64 {
    of.iter().sum::<i64>() / (of.len() as i64).max(1)
}

#[test]
fn the_hub_calls_less_for_nothing_and_knows_failures_sooner() {
    let wanted = std::env::var("FROSTGUARD_MONTH_SEEDS").ok();
    let seeds = wanted.map_or(REPORTED, |text| {
        let (from, to) = text.split_once("..").expect("seeds as FROM..TO");
        from.parse().expect("a number")..to.parse().expect("a number")
    });
    println!("{} months of twenty units, seeds {seeds:?}", seeds.end - seeds.start);
    println!("| rule | false alarms | missed | minutes until known, median / mean | until any alarm |");
    println!("|---|---|---|---|---|");
    let scores = scores(seeds);
    for score in scores.iter().map(|[all, _]| all).chain(scores.iter().map(|[_, freezers]| freezers)) {
        println!("{}", score.row());
    }
    let [plain, soon, late, legal, hub] = &scores[..] else { panic!("five judges") };
    // The default delay and the next one call for nothing several times as often, for freezers many times as often, and
    // miss no less.
    for [all, freezers] in [plain, soon] {
        assert!(3 * hub[0].false_alarms < all.false_alarms, "{}", all.name);
        assert!(20 * hub[1].false_alarms < freezers.false_alarms, "{}", freezers.name);
        assert!(hub[0].missed <= all.missed, "{}", all.name);
        assert!(hub[1].missed <= freezers.missed, "{}", freezers.name);
    }
    // A delay that is as quiet misses as much or more, and knows late.
    for [all, freezers] in [late, legal] {
        assert!(median(&hub[0].minutes) < median(&all.minutes), "{}", all.name);
        assert!(median(&hub[1].minutes) < median(&freezers.minutes), "{}", freezers.name);
    }
    assert!(hub[0].missed <= late[0].missed);
    assert!(2 * hub[1].false_alarms <= 3 * legal[1].false_alarms);
    for [all, freezers] in [plain, soon, late, legal] {
        assert!(mean(&hub[0].minutes) < mean(&all.minutes), "{}", all.name);
        assert!(mean(&hub[1].minutes) < mean(&freezers.minutes), "{}", freezers.name);
    }
}
