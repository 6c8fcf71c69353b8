//! What is usual for a freezer: what is held because of it, and what is told early.

use super::*;

const MINUTES_A_DAY: i64 = 1_440;
/// Learned after so many days of one rhythm.
const LEARNED: i64 = 5 * MINUTES_A_DAY;

/// A freezer at -21 with a limit of -15, a compressor cycle, and a defrost every six hours that warms to -3 in 40 min
/// and is back in 20.
pub(super) fn healthy(minute: i64) -> f64 {
    let cycle = [-1.0, -0.5, 0.0, 0.5, 1.0, 0.5, 0.0, -0.5][(minute / 4 % 8) as usize];
    match minute % 360 {
        phase @ 0..40 => -21.0 + 18.0 * phase as f64 / 40.0,
        phase @ 40..60 => -3.0 - 18.0 * (phase - 40) as f64 / 20.0,
        _ => -21.0 + cycle,
    }
}

/// No compressor from `from` on: fast, then slowly.
fn stopped(from: i64) -> impl Fn(i64) -> f64 {
    move |minute| match minute - from {
        ..0 => healthy(minute),
        since @ 0..50 => -21.0 + 16.0 * since as f64 / 50.0,
        since => -5.0 + since as f64 / 70.0,
    }
}

/// Plays a reading every `every` minutes; every decision of the temperature alarm that calls or holds, but no status.
fn told(site: &str, every: i64, minutes: std::ops::Range<i64>, air: impl Fn(i64) -> f64) -> Vec<String> {
    told_with(site, every, minutes, air, |_| None)
}

fn told_with(
    site: &str,
    every: i64,
    minutes: std::ops::Range<i64>,
    air: impl Fn(i64) -> f64,
    other: impl Fn(i64) -> Option<&'static str>,
) -> Vec<String> {
    let mut player = Player::new(site);
    let mut told = Vec::new();
    for minute in minutes.filter(|minute| minute % every == 0) {
        let lines = other(minute).map(str::to_owned).into_iter().chain([format!("{:.2}", air(minute))]);
        for line in lines {
            let decisions = player.play(&format!("{minute} {line}"));
            let calls = |text: &&str| ["raise", "hold", "held"].iter().any(|word| text.contains(word));
            told.extend(decisions.split("; ").filter(calls).map(|text| format!("{minute}: {text}")));
        }
    }
    told
}

fn alarms(told: &[String]) -> Vec<&str> {
    told.iter().filter(|line| line.contains("raise")).map(String::as_str).collect()
}

#[test]
fn a_defrost_is_held_from_the_first_day_and_each_hold_is_told() {
    let told = told("freezer -35.0..-15.0 every=60", 1, 0..MINUTES_A_DAY / 2, healthy);
    assert_eq!(
        told,
        [
            "24: hold not_learned until 76",
            "55: held not_learned since 24 back_inside",
            "384: hold not_learned until 436",
            "415: held not_learned since 384 back_inside",
        ]
    );
    // Other types, and freezers where it is switched off, are watched by the plain limit.
    let told = self::told("fridge -35.0..-15.0 every=60", 1, 0..MINUTES_A_DAY / 4, healthy);
    assert_eq!(told, ["24: raise alarm critical confirm_delay_over"]);
    // A delay of 0 is meant: at once.
    let told =
        self::told("freezer -35.0..-15.0 every=60 confirm_delay_min=0", 1, 0..MINUTES_A_DAY / 4, healthy);
    assert_eq!(told, ["14: raise alarm critical confirm_delay_over"]);
}

#[test]
fn no_defrost_of_a_week_is_an_alarm_whatever_the_sampling() {
    for every in [1, 2, 5, 10, 15] {
        let site = format!("freezer -35.0..-15.0 every={}", every * 60);
        let told = told(&site, every, 0..7 * MINUTES_A_DAY, healthy);
        assert_eq!(alarms(&told), Vec::<&str>::new(), "every {every} min");
        // Rounded to a whole degree.
        let told = self::told(&site, every, 0..7 * MINUTES_A_DAY, |minute| healthy(minute).round());
        assert_eq!(alarms(&told), Vec::<&str>::new(), "every {every} min, whole degrees");
    }
}

#[test]
fn a_stop_is_known_when_it_outlasts_the_defrosts() {
    let from = LEARNED + 200;
    let told = told("freezer -35.0..-15.0 every=60", 1, 0..LEARNED + 700, stopped(from));
    let alarms = alarms(&told);
    assert_eq!(alarms, [format!("{}: raise alarm critical confirm_delay_over out 41/40", from + 60)]);
    // On the first day: by what freezers usually take.
    let told = self::told("freezer -35.0..-15.0 every=60", 1, 0..700, stopped(200));
    assert_eq!(self::alarms(&told), ["281: raise alarm critical confirm_delay_over out 62/62"]);
}

#[test]
fn a_defrost_that_does_not_end_is_known_soon_after_it_should_have() {
    let begins = LEARNED;
    let air = |minute: i64| match minute - begins {
        since @ 40.. => -3.0 + since as f64 / 80.0,
        _ => healthy(minute),
    };
    let told = told("freezer -35.0..-15.0 every=60", 1, 0..LEARNED + 700, air);
    assert_eq!(
        alarms(&told),
        [format!("{}: raise alarm critical confirm_delay_over out 41/40", begins + 55)]
    );
}

#[test]
fn capacity_that_fades_is_told_before_the_limit_is_crossed() {
    let air = |minute: i64| {
        let days = (minute - LEARNED).max(0) as f64 / MINUTES_A_DAY as f64;
        healthy(minute) + 0.7 * days
    };
    let told = told("freezer -35.0..-15.0 every=60", 1, 0..LEARNED + 9 * MINUTES_A_DAY, air);
    let first = alarms(&told)[0].to_owned();
    let (minute, what) = first.split_once(": ").unwrap();
    let minute: i64 = minute.parse().unwrap();
    assert!(what.starts_with("raise alarm warning usual_cold_missed crosses in"), "{first}");
    // Its coldest crosses after 10 days.
    assert!((2..5).contains(&((minute - LEARNED) / MINUTES_A_DAY)), "{first}");
}

#[test]
fn one_circuit_of_two_is_missed_within_two_hours() {
    let air = |minute: i64| match minute - LEARNED {
        since @ 100..500 if since % 360 > 60 => -16.0 + f64::from(u8::from(since % 8 < 4)) / 2.0,
        _ => healthy(minute),
    };
    let told = told("walk_in -35.0..-15.0 every=60", 1, 0..LEARNED + 900, air);
    let calls = alarms(&told);
    let what = format!("{}: raise alarm warning usual_cold_missed not cold 64/63", LEARNED + 164);
    // A defrost of a unit that is known to fail is not excused.
    let next = format!("{}: raise alarm critical confirm_delay_over", LEARNED + 384);
    assert_eq!(calls, [what, next]);
}

#[test]
fn an_early_alarm_ends_when_it_is_cold_again_or_a_person_says_that_it_is_meant_so() {
    let warm_from = LEARNED + 100;
    let air = |minute: i64| if minute < warm_from { healthy(minute) } else { -16.5 };
    let mut player = Player::new("freezer -35.0..-15.0 every=60");
    let mut told = Vec::new();
    let mut play = |minute: i64, line: &str| {
        let decisions = player.play(&format!("{minute} {line}"));
        told.extend((!decisions.is_empty()).then(|| format!("{}: {decisions}", minute - warm_from)));
    };
    (0..warm_from + 200).for_each(|minute| play(minute, &format!("{:.2}", air(minute))));
    (warm_from + 200..warm_from + 260).for_each(|minute| play(minute, "-21.0"));
    (warm_from + 260..warm_from + 500).for_each(|minute| play(minute, "-16.5"));
    play(warm_from + 500, "resolve alarm");
    (warm_from + 501..warm_from + 900).for_each(|minute| play(minute, "-16.5"));
    let told: Vec<&String> = told.iter().filter(|line| !line.starts_with('-')).collect();
    assert_eq!(
        told,
        [
            "64: open alarm warning max -16.50; raise alarm warning usual_cold_missed not cold 64/63; \
             ok>alarm_active usual_cold_missed",
            "219: alarm_active>restoring back_inside",
            "220: resolve alarm since 7519; restoring>ok good_readings",
            "324: open alarm warning max -16.50; raise alarm warning usual_cold_missed not cold 64/63; \
             ok>alarm_active usual_cold_missed",
            "500: resolve alarm by person; alarm_active>ok resolved_by_person",
        ]
    );
}

#[test]
fn what_is_not_learned_any_more_holds_nothing_and_tells_nothing() {
    let mut player = Player::new("freezer -35.0..-15.0 every=60");
    let failing = |minute: i64| if minute < LEARNED + 100 { healthy(minute) } else { -16.5 };
    let told: Vec<String> =
        (0..LEARNED + 200).map(|minute| player.play(&format!("{minute} {:.2}", failing(minute)))).collect();
    assert!(told.iter().any(|decisions| decisions.contains("usual_cold_missed")));
    let at = LEARNED + 200;
    assert_eq!(player.play(&format!("{at} site fridge -35.0..-15.0 every=60")), "");
    let ended =
        ["alarm_active>restoring back_inside", "resolve alarm since 7400; restoring>ok good_readings", ""];
    for (minute, want) in (at..).zip(ended) {
        assert_eq!(player.play(&format!("{minute} -16.5")), want);
    }
}

#[test]
fn of_two_probes_each_has_its_own_usual() {
    // The second one hangs at the door: a degree warmer, and one sample late.
    let mut player = Player::new("freezer -35.0..-15.0 every=60 probes=2");
    let from = LEARNED + 200;
    let mut told = Vec::new();
    for minute in 0..LEARNED + 700 {
        let air = stopped(from)(minute);
        for line in [format!("d1 {air:.2}"), format!("d2 {:.2}", air + 1.0)] {
            let decisions = player.play(&format!("{minute} {line}"));
            told.extend(decisions.contains("raise alarm").then(|| minute - from));
        }
    }
    assert_eq!(told.len(), 1, "{told:?}");
    assert!((45..65).contains(&told[0]), "{told:?}");
}

#[test]
fn single_samples_of_nonsense_call_nobody_and_hide_nothing() {
    let odd = |minute: i64| match minute % 97 {
        3 => 0.0,
        50 | 52 => -40.0,
        _ => healthy(minute),
    };
    let told = told("freezer -35.0..-15.0 every=60", 1, 0..7 * MINUTES_A_DAY, odd);
    assert_eq!(alarms(&told), Vec::<&str>::new());
    let from = LEARNED + 200;
    let failing = |minute: i64| if minute % 97 == 52 { -40.0 } else { stopped(from)(minute) };
    let told = self::told("freezer -35.0..-15.0 every=60", 1, 0..LEARNED + 700, failing);
    assert_eq!(alarms(&told).len(), 1, "{told:?}");
}

#[test]
fn a_controller_that_tells_its_defrosts_is_believed() {
    let signal = |minute: i64| match minute % 360 {
        0 => Some("defrost on"),
        40 => Some("defrost off"),
        _ => None,
    };
    let site = "freezer -35.0..-15.0 every=60";
    let told = told_with(site, 1, 0..MINUTES_A_DAY, healthy, signal);
    assert_eq!(alarms(&told), Vec::<&str>::new());
    assert!(told[0].starts_with("24: hold defrost until"), "{told:?}");
    // What is no defrost gets no defrost's patience.
    let told = told_with(site, 1, 0..1_100, stopped(800), |minute| signal(minute).filter(|_| minute < 800));
    assert_eq!(alarms(&told), ["839: raise alarm critical confirm_delay_over"]);
}

#[test]
fn a_change_of_rhythm_is_learned_and_a_gap_is_no_failure() {
    // Six-hourly for a week, then twice as long, at odd times.
    let air = |minute: i64| match minute - 7 * MINUTES_A_DAY {
        ..0 => healthy(minute),
        since => match since % 1_130 {
            phase @ 0..50 => -21.0 + 19.0 * phase as f64 / 50.0,
            phase @ 50..85 => -2.0 - 19.0 * (phase - 50) as f64 / 35.0,
            _ => healthy(100 + minute % 200),
        },
    };
    let told = told("freezer -35.0..-15.0 every=60", 1, 0..14 * MINUTES_A_DAY, air);
    assert!(alarms(&told).len() <= 1, "{told:?}");
    let gaps = |minute: i64| minute % 3_000 < 2_400;
    let mut player = Player::new("freezer -35.0..-15.0 every=60");
    for minute in (0..14 * MINUTES_A_DAY).filter(|minute| gaps(*minute)) {
        let decisions = player.play(&format!("{minute} {:.2}", healthy(minute)));
        assert!(!decisions.contains("raise alarm"), "{minute}: {decisions}");
    }
}
