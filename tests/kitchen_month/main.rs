//! A simulated month of a kitchen of twenty units, by seeds: who calls people for nothing, who misses a failure, and how
//! soon is a failure known? The hub's rules beside the plain limit with a delay.
//!
//! Shapes and sizes are those of measured cold rooms: defrosts by the clock and on demand, deliveries, doors, failures of
//! each kind, and what goes wrong with the data itself.
//!
//! An alarm is *false* when it overlaps no failure (nor the pull-down after one). A failure is *known* as soon as an alarm
//! is up that would not be up in the same month without that failure: who calls at each defrost has not yet told that
//! one of them does not end. The table also shows when the first alarm of any kind was up.
//!
//! `FROSTGUARD_MONTH_SEEDS=100..140 cargo test --release --test kitchen_month -- --nocapture` prints the whole table.

mod dice;
mod judges;
mod play;
mod unit;

use judges::Alarms;
use play::MINUTE_MS;
use unit::{Failure, Unit, kitchen};

/// Seeds the rules were not tuned on.
const REPORTED: std::ops::Range<u64> = 100..102;
/// After a failure ends the unit is pulled down: an alarm then is none for nothing.
const PULL_DOWN_MIN: i64 = 6 * 60;

#[derive(Clone, Default)]
struct Score {
    name: String,
    false_alarms: u64,
    missed: u64,
    /// Until a failure is known, and until any alarm is up.
    minutes: Vec<i64>,
    first_minutes: Vec<i64>,
}

type Judge = dyn Fn(&Unit, &[(i64, play::Heard)]) -> Alarms;

fn judges() -> Vec<(&'static str, Box<Judge>)> {
    let plain = |delay: i64| -> Box<Judge> { Box::new(move |unit, heard| judges::plain(unit, heard, delay)) };
    vec![
        ("plain limit, 10 min", plain(10)),
        ("plain limit, 15 min", plain(15)),
        ("plain limit, 90 min", plain(90)),
        ("hub", Box::new(judges::rules)),
    ]
}

fn scores(seeds: std::ops::Range<u64>) -> Vec<Score> {
    let judges = judges();
    let mut scores: Vec<Score> =
        judges.iter().map(|(name, _)| Score { name: (*name).into(), ..Score::default() }).collect();
    let is_told = std::env::var_os("FROSTGUARD_MONTH_TELL").is_some();
    for unit in seeds.flat_map(kitchen) {
        let heard = play::month(&unit);
        let twin = (!unit.failures.is_empty()).then(|| play::month(&unit.healthy()));
        for ((name, judge), score) in judges.iter().zip(&mut scores) {
            let alarms = judge(&unit, &heard);
            let healthy = twin.as_ref().map_or_else(Vec::new, |twin| judge(&unit, twin));
            let before = (score.false_alarms, score.minutes.len());
            score.add(&unit, &alarms, &healthy);
            if is_told {
                println!(
                    "{name:20} unit {:2} seed {:x} {:16} every {:4} step {:4} pd {:4.1} margin {:4.1} false {:3} {:?} -> {:?}",
                    unit.no,
                    unit.seed,
                    unit.unit_type.as_str(),
                    unit.interval,
                    unit.step,
                    unit.pull_down,
                    unit.max - unit.setpoint,
                    score.false_alarms - before.0,
                    unit.failures.iter().map(|failure| (failure.kind, failure.starts)).collect::<Vec<_>>(),
                    &score.minutes[before.1..]
                );
            }
        }
    }
    scores
}

impl Score {
    fn add(&mut self, unit: &Unit, alarms: &Alarms, healthy: &Alarms) {
        let touches = |failure: &Failure, (from, to): (i64, i64)| {
            from <= (failure.end + PULL_DOWN_MIN) * MINUTE_MS && to >= failure.starts * MINUTE_MS
        };
        let is_false = |alarm: &&(i64, i64)| !unit.failures.iter().any(|failure| touches(failure, **alarm));
        self.false_alarms += alarms.iter().filter(is_false).count() as u64;
        for failure in &unit.failures {
            let (begin, end) = (failure.begin * MINUTE_MS, failure.end * MINUTE_MS);
            let up = |from: i64, to: i64, but: &Alarms| {
                // The first instant from `from` on at which no healthy alarm is up too.
                let mut at = from.max(begin);
                while let Some((_, over)) = but.iter().find(|(from, over)| (*from..*over).contains(&at)) {
                    at = *over;
                }
                (at < to.min(end)).then_some((at - begin) / MINUTE_MS)
            };
            let first = |but: &Alarms| alarms.iter().filter_map(|&(from, to)| up(from, to, but)).min();
            match first(healthy) {
                Some(minutes) => self.minutes.push(minutes),
                None => self.missed += 1,
            }
            self.first_minutes.extend(first(&Vec::new()));
        }
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
    for score in &scores {
        println!("{}", score.row());
    }
    let (plain, hub) = (&scores[0], &scores[3]);
    assert!(hub.false_alarms < plain.false_alarms);
    assert!(hub.missed <= plain.missed);
    assert!(median(&hub.minutes) < median(&plain.minutes));
    assert!(mean(&hub.minutes) < mean(&plain.minutes));
}
