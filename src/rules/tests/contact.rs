//! The contact table, row by row, and the constants of check-ins.

use super::{Player, UNIT, check};
use crate::domain::UnitStatus;

#[test]
fn silence_is_offline_then_interrupted_and_a_reading_ends_it() {
    check(
        "fridge 0.0..5.0 every=300",
        "0 4.0
         14:59 tick
         15:30 tick => open contact warning; contact ok>offline missed_check_ins
         30 tick
         31 tick => @30:30 raise contact critical missed_check_ins; \
                    @30:30 contact offline>monitoring_interrupted missed_check_ins
         200 tick
         201 4.0 => resolve contact; contact monitoring_interrupted>ok reading",
    );
    check(
        "fridge 0.0..5.0 every=300",
        "0 4.0
         16 4.0 => @15:30 open contact warning; @15:30 contact ok>offline missed_check_ins; \
                   resolve contact; contact offline>ok reading",
    );
}

#[test]
fn both_machines_are_shown_as_the_higher() {
    check(
        "fridge 0.0..5.0 every=300",
        "0 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits
         10 tick => raise alarm critical confirm_delay_over; excursion>alarm_active confirm_delay_over
         16 tick => @15:30 open contact warning; @15:30 contact ok>offline missed_check_ins shows alarm_active
         40 tick => @30:30 raise contact critical missed_check_ins; \
         @30:30 contact offline>monitoring_interrupted missed_check_ins shows alarm_active
         50 resolve alarm => resolve alarm by person; \
         alarm_active>ok resolved_by_person shows monitoring_interrupted",
    );
    // Offline is higher than restoring.
    check(
        "fridge 0.0..5.0 every=300",
        "0 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits
         1 4.0 => excursion>restoring back_inside
         17 tick => @16:30 open contact warning; @16:30 contact ok>offline missed_check_ins",
    );
}

#[test]
fn only_temperatures_of_assigned_probes_check_in() {
    check(
        "fridge 0.0..5.0 every=300",
        "0 4.0
         14 fault
         14 late 4.0
         14 open
         14 d5 4.0
         14 manual 4.0
         15:30 tick => open contact warning; contact ok>offline missed_check_ins
         16 manual 4.0",
    );
}

/// Checks at which instants a sensor that was heard once, at 0, goes offline and interrupted.
#[track_caller]
fn check_silence(site: &str, offline: &str, interrupted: &str) {
    check(
        &format!("fridge 0.0..5.0 manual=100000 {site}"),
        &format!(
            "0 4.0
             9999 tick => @{offline} open contact warning; @{offline} contact ok>offline missed_check_ins; \
             @{interrupted} raise contact critical missed_check_ins; \
             @{interrupted} contact offline>monitoring_interrupted missed_check_ins"
        ),
    );
}

#[test]
fn missed_check_ins_follow_the_interval() {
    check_silence("", "40:30", "60:30");
    check_silence("check_in_default_s=1800", "60:30", "90:30");
    check_silence("every=60", "15", "30");
    check_silence("every=290", "15", "30");
    check_silence("every=300", "15:30", "30:30");
    check_silence("every=600", "30:30", "60:30");
    check_silence("every=601", "20:32", "30:33");
    check_silence("every=3600", "120:30", "180:30");
    check_silence("every=3600 check_in_buffer_s=90", "121:30", "181:30");
    check_silence("every=600 missed_warning=4 missed_critical=8", "40:30", "80:30");
    check_silence("every=3600 missed_warning_slow=3 missed_critical_slow=5", "180:30", "300:30");
    check_silence("every=60 contact_warning_min=5 contact_critical_min=10", "5", "10");
    // Critical is never before the warning, whatever is configured.
    check_silence("every=60 contact_warning_min=30 contact_critical_min=10", "30", "30");
    // An interval of 0 says nothing.
    check_silence("every=0", "40:30", "60:30");
}

#[test]
fn the_interval_is_learned_from_the_gaps() {
    let hourly = |count: i32| -> String { (0..=count).map(|hour| format!("{} 4.0\n", hour * 60)).collect() };
    // Default: 20 min; each hourly reading comes after the 40:30 that it allows.
    let mut script = String::from("0 4.0\n");
    for hour in 1..=5 {
        let silent = hour * 60 - 20;
        script += &format!(
            "{} 4.0 => @{silent}:30 open contact warning; @{silent}:30 contact ok>offline missed_check_ins; \
             resolve contact; contact offline>ok reading\n",
            hour * 60
        );
    }
    // Five gaps are enough: 2 missed hours from now on.
    script += "360 4.0\n 480 tick\n 480:30 tick => open contact warning; contact ok>offline missed_check_ins";
    check("fridge 0.0..5.0", &script);
    // The median of the last 20: 20 fast gaps after many slow ones.
    let fast: String = (1..=20).map(|minute| format!("{} 4.0\n", 1200 + minute)).collect();
    check(
        "fridge 0.0..5.0 missed_warning_slow=9",
        &format!(
            "{}{fast}1234:59 tick
             1235:00 tick => open contact warning; contact ok>offline missed_check_ins",
            hourly(20)
        ),
    );
}

#[test]
fn a_queue_being_emptied_is_no_rhythm() {
    let mut player = Player::new("fridge 0.0..5.0");
    for minute in 0..6 {
        player.play(&format!("{} 4.0", minute * 20));
    }
    for _ in 0..30 {
        player.play("100 4.0");
    }
    // Still 20 min: two missed ones.
    assert_eq!(player.play("140:29 tick"), "");
    assert_eq!(player.play("140:30 tick"), "open contact warning; contact ok>offline missed_check_ins");
}

#[test]
fn several_probes_are_offline_when_the_last_one_is() {
    check(
        "fridge 0.0..5.0 every=300 probes=2",
        "0 d1 4.0
         10 d2 4.0
         25:29 tick
         25:30 tick => open contact warning; contact ok>offline missed_check_ins
         26 d1 4.0 => resolve contact; contact offline>ok reading",
    );
}

#[test]
fn check_in_clocks_start_anew_when_the_hub_does() {
    // Down from 5 to 500 min.
    check(
        "fridge 0.0..5.0 every=300 manual=100000",
        "0 4.0
         500 start known 495
         515:29 tick
         515:30 tick => open contact warning; contact ok>offline missed_check_ins
         520 start least 1
         535:30 tick
         550:29 tick
         550:30 tick => raise contact critical missed_check_ins; \
         contact offline>monitoring_interrupted missed_check_ins",
    );
    // What was due before it stopped is decided as of then.
    check(
        "fridge 0.0..5.0 every=300",
        "0 4.0
         500 start known 480 => @15:30 open contact warning; @15:30 contact ok>offline missed_check_ins
         501 4.0 => resolve contact; contact offline>ok reading",
    );
    // The time away is no gap between check-ins.
    check(
        "fridge 0.0..5.0",
        "0 4.0\n 1 4.0\n 2 4.0\n 3 4.0\n 4 4.0\n 600 start known 590\n 601 4.0
         642 tick => @641:30 open contact warning; @641:30 contact ok>offline missed_check_ins",
    );
}

#[test]
fn a_unit_without_a_probe_has_no_contact_state() {
    check("fridge 0.0..5.0 probes=0", "9999 tick");
    let mut player = Player::new("fridge 0.0..5.0 probes=0");
    assert_eq!(player.state.unit(UNIT).unwrap().contact, None);
    player.play("1 site fridge 0.0..5.0 every=60");
    assert_eq!(player.state.unit(UNIT).unwrap().contact, Some(UnitStatus::Ok));
    // Its clock begins with the assignment, and ends with it.
    check(
        "fridge 0.0..5.0 probes=0",
        "100 site fridge 0.0..5.0 every=60
         114:59 tick
         115 tick => open contact warning; contact ok>offline missed_check_ins
         116 site fridge 0.0..5.0 probes=0 => resolve contact; contact offline>ok probe_unassigned",
    );
}

#[test]
fn a_person_may_close_it_but_only_a_reading_ends_the_silence() {
    check(
        "fridge 0.0..5.0 every=60",
        "0 4.0
         15 tick => open contact warning; contact ok>offline missed_check_ins
         16 resolve contact => resolve contact by person
         30 tick => open contact critical; contact offline>monitoring_interrupted missed_check_ins
         31 4.0 => resolve contact; contact monitoring_interrupted>ok reading",
    );
}

#[test]
fn a_rule_gives_the_first_severity() {
    check(
        "fridge 0.0..5.0 every=60 rule=contact/info",
        "0 4.0
         15 tick => open contact info; contact ok>offline missed_check_ins
         30 tick => raise contact critical missed_check_ins; \
         contact offline>monitoring_interrupted missed_check_ins",
    );
    check(
        "fridge 0.0..5.0 every=60 rule=contact/critical",
        "0 4.0
         15 tick => open contact critical; contact ok>offline missed_check_ins
         30 tick => contact offline>monitoring_interrupted missed_check_ins",
    );
}
