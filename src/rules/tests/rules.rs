//! Which rule applies, when it holds, and what a changed configuration does.

use super::sense::healthy;
use super::{Player, UNIT, check};
use crate::rules::{Schedule, ScheduleError, StateError};

/// Checks that `value`, read twice a minute apart, opens nothing or, with `delay` minutes, is confirmed.
#[track_caller]
fn check_limit(site: &str, inside: &str, outside: &str, delay: u32) {
    let side = if outside.starts_with('-') { "min" } else { "max" };
    let confirmed = "raise alarm critical confirm_delay_over; excursion>alarm_active confirm_delay_over";
    let opened = format!("open alarm warning {side} {outside}0; ok>excursion out_of_limits");
    let script = if delay == 0 {
        format!("0 {inside}\n 1 {outside} => {opened}; {confirmed}")
    } else {
        format!(
            "0 {inside}\n 1 {outside} => {opened}\n {delay}:59 {outside}\n {} {outside} => {confirmed}",
            delay + 1
        )
    };
    check(&format!("{site} every=7200"), &script);
}

#[test]
fn the_most_specific_rule_applies_and_its_gaps_are_the_units() {
    check_limit("fridge -1.0..5.0", "5.0", "5.1", 10);
    check_limit("fridge -1.0..5.0 rule=org/-/6.0/20", "6.0", "6.1", 20);
    check_limit("fridge -1.0..5.0 rule=org/-/6.0/20", "-1.0", "-1.1", 20);
    check_limit("fridge -1.0..5.0 rule=org/-/6.0/20 rule=site/-/7.0/30", "7.0", "7.1", 30);
    check_limit("fridge -1.0..5.0 rule=unit/-/8.0/0 rule=site/-/7.0/30 rule=org/-/6.0/20", "8.0", "8.1", 0);
    // A rule of a lower level does not fill the gaps of a higher one.
    check_limit("fridge -1.0..5.0 rule=unit/-/-/15 rule=site/-/7.0/30", "5.0", "5.1", 15);
    check_limit("fridge -1.0..5.0 rule=unit/-2.0/-/15", "-2.0", "-2.1", 15);
    check_limit("fridge -1.0..5.0 rule=other/-20.0/20.0/15", "5.0", "5.1", 10);
    check_limit("fridge -1.0..5.0 rule=unit/-/-/-15", "5.0", "5.1", 0);
    check_limit("fridge -1.0..5.0 confirm_delay_min=3", "5.0", "5.1", 3);
    // Limits that cross are not meant.
    check_limit("fridge -1.0..5.0 rule=unit/6.0/-/15", "5.0", "5.1", 15);
    // A rule of another alert type is none.
    check_limit("fridge -1.0..5.0 rule=contact/info", "5.0", "5.1", 10);
}

/// A rule for the hour from 2 to 3, which one night does not have and another has twice.
#[test]
fn a_schedule_follows_the_clocks_going_forward_and_back() {
    let site = |day: u8| {
        format!(
            r#"fridge 0.0..5.0 every=99999 manual=100000 zone=Europe/Zagreb rule=unit/-/8.0/0/{{"days":[{day}],"startHour":2,"endHour":3}}"#
        )
    };
    let own = "open alarm warning max 7.00; ok>excursion out_of_limits";
    // 2026-03-29, a Sunday: from 01:59 CET it is 03:00 CEST.
    check(
        &site(0),
        &format!(
            "0 placed 2026-03-29T00:58:00Z
             1 4.0
             2 7.0 => {own}"
        ),
    );
    // 2026-10-25: 02:30 comes twice, and the rule's limit of 8 degrees holds both times.
    check(
        &site(0),
        &format!(
            "0 placed 2026-10-25T00:00:00Z
             30 7.0
             90 7.0
             119 7.0
             120 7.0 => {own}"
        ),
    );
}

#[test]
fn the_hysteresis_is_a_quarter_of_a_narrow_range() {
    let back = |site: &str, near: &str, good: &str| {
        let script = format!(
            "0 9.0 => open alarm warning max 9.00; ok>excursion out_of_limits
             1 {near}
             2 {good} => excursion>restoring back_inside"
        );
        check(&format!("{site} every=1800"), &script);
    };
    back("fridge 0.0..5.0", "4.51", "4.50");
    back("fridge 0.0..5.0", "0.49", "0.50");
    back("fridge 0.0..5.0 hysteresis=100", "4.01", "4.00");
    back("fridge 4.0..5.0", "4.51", "4.50");
    back("fridge 4.2..5.0", "4.81", "4.80");
    back("fridge 4.2..5.0", "4.39", "4.40");
}

#[test]
fn a_schedule_holds_by_the_wall_clock_of_the_site() {
    // 2026-11-22 is a Sunday. Zagreb is an hour ahead; minute 0 is 21:00 UTC, 22:00 there.
    let night = r#"fridge 0.0..5.0 every=99999 zone=Europe/Zagreb rule=unit/-/8.0/10/{"days":[0],"startHour":22,"endHour":6}"#;
    check(
        night,
        "0 placed 2026-11-22T21:00:00Z
         1 7.0
         479:59 7.0
         480 7.0 => open alarm warning max 7.00; ok>excursion out_of_limits",
    );
    // An hour earlier it does not hold, nor while wall time is unknown.
    check(
        night,
        "0 placed 2026-11-22T20:00:00Z
         59:59 7.0 => open alarm warning max 7.00; ok>excursion out_of_limits",
    );
    check(night, "1 7.0 => open alarm warning max 7.00; ok>excursion out_of_limits");
    check(
        night,
        "0 placed 2026-11-22T21:00:00Z
         1 7.0
         2 unplaced
         3 7.0 => open alarm warning max 7.00; ok>excursion out_of_limits",
    );
    // The night that summer time ends, 3:00 comes twice: 6:00 is 10 h after 21:00 instead of 9.
    check(
        r#"fridge 0.0..5.0 every=99999 zone=Europe/Zagreb rule=unit/-/8.0/10/{"days":[6],"startHour":21,"endHour":6}"#,
        "0 placed 2026-10-24T19:00:00Z
         599:59 7.0
         600 7.0 => open alarm warning max 7.00; ok>excursion out_of_limits",
    );
    // An unknown zone counts as UTC.
    check(
        r#"fridge 0.0..5.0 every=99999 zone=Mars/Base rule=unit/-/8.0/10/{"days":[0],"startHour":21,"endHour":22}"#,
        "0 placed 2026-11-22T21:00:00Z
         1 7.0
         60 7.0 => open alarm warning max 7.00; ok>excursion out_of_limits",
    );
}

#[test]
fn schedules_hold_on_their_days_and_hours() {
    let holds = |days: &[u8], start_hour, end_hour, time: &str| {
        let schedule = Schedule { days: days.into(), start_hour, end_hour };
        schedule.holds(time.parse().unwrap())
    };
    let table: [(&[u8], u8, u8, &str, bool); 14] = [
        (&[0], 8, 17, "2026-11-22T08:00", true),
        (&[0], 8, 17, "2026-11-22T07:59:59", false),
        (&[0], 8, 17, "2026-11-22T16:59:59", true),
        (&[0], 8, 17, "2026-11-22T17:00", false),
        (&[0], 8, 17, "2026-11-23T09:00", false),
        (&[6], 8, 8, "2026-11-21T23:59", true),
        (&[6], 8, 8, "2026-11-22T00:00", false),
        (&[6], 22, 6, "2026-11-21T22:00", true),
        (&[6], 22, 6, "2026-11-22T05:59", true),
        (&[6], 22, 6, "2026-11-22T06:00", false),
        (&[6], 22, 6, "2026-11-21T05:00", false),
        (&[1], 0, 24, "2026-11-23T23:59", true),
        (&[], 0, 0, "2026-11-23T12:00", false),
        (&[1], 200, 201, "2026-11-23T12:00", false),
    ];
    for (days, start, end, time, want) in table {
        assert_eq!(holds(days, start, end, time), want, "{days:?} {start} to {end} at {time}");
    }
}

#[test]
fn schedules_are_read_or_refused() {
    let parsed = Schedule::parse(r#"{"days":[5,1,1],"startHour":22,"endHour":6}"#);
    assert_eq!(parsed, Ok(Some(Schedule { days: vec![1, 5], start_hour: 22, end_hour: 6 })));
    assert_eq!(Schedule::parse(" "), Ok(None));
    assert_eq!(Schedule::parse("null"), Ok(None));
    assert_eq!(Schedule::parse(r#"{"days":[7],"startHour":1,"endHour":2}"#), Err(ScheduleError::Day(7)));
    assert_eq!(Schedule::parse(r#"{"days":[1],"startHour":1,"endHour":25}"#), Err(ScheduleError::Hour(25)));
    for text in [
        "always",
        "{}",
        "[]",
        r#"{"days":"mon","startHour":1,"endHour":2}"#,
        r#"{"days":[1],"startHour":-1,"endHour":2}"#,
    ] {
        assert!(matches!(Schedule::parse(text), Err(ScheduleError::Form(_))), "{text}");
    }
}

#[test]
fn changed_limits_are_judged_by_the_next_reading_and_keep_the_clock() {
    let confirmed = "raise alarm critical confirm_delay_over; excursion>alarm_active confirm_delay_over";
    let out = "0 7.0 => open alarm warning max 7.00; ok>excursion out_of_limits\n";
    check(
        "fridge 0.0..5.0 every=1800",
        &format!("{out} 5 site fridge 0.0..6.0 every=1800\n 9:59 7.0\n 10 7.0 => {confirmed}"),
    );
    check(
        "fridge 0.0..5.0 every=1800",
        &format!("{out} 5 site fridge 0.0..8.0 every=1800\n 6 7.0 => excursion>restoring back_inside"),
    );
    // A longer delay counts from the next reading on; the clock began at 0.
    check(
        "fridge 0.0..5.0 every=1800",
        &format!("{out} 5 site fridge 0.0..5.0 every=1800 rule=unit/-/-/20\n 10 7.0\n 20 7.0 => {confirmed}"),
    );
    // Nothing but a reading judges new limits.
    check("fridge 0.0..5.0 every=1800", "0 4.0\n 5 site fridge 0.0..3.0 every=1800\n 6 tick");
}

#[test]
fn a_unit_that_changes_its_scale_goes_on() {
    check(
        "fridge 0.0..5.0 every=1800",
        "0 7.0 => open alarm warning max 7.00; ok>excursion out_of_limits
         5 site fridge 32.0..41.0 F every=1800
         6 44.6
         10 44.6 => raise alarm critical confirm_delay_over; excursion>alarm_active confirm_delay_over
         11 39.0 => alarm_active>restoring back_inside",
    );
    // A reading in the other scale is converted, and 4 °C to 39 °F is no jump.
    check("fridge 0.0..5.0 every=1800", "0 4.0\n 1 39.2F\n 2 site fridge 32.0..41.0 F every=1800\n 3 39.2");
}

#[test]
fn a_unit_that_goes_closes_its_alerts() {
    check(
        "fridge 0.0..5.0 every=60",
        "0 7.0 => open alarm warning max 7.00; ok>excursion out_of_limits
         10 tick => raise alarm critical confirm_delay_over; excursion>alarm_active confirm_delay_over
         15 tick => open contact warning; contact ok>offline missed_check_ins shows alarm_active
         16 site nothing => resolve contact; contact offline>ok unit_removed shows alarm_active; \
         resolve alarm; alarm_active>ok unit_removed
         17 tick",
    );
}

#[test]
fn a_checkpoint_is_read_back_or_refused_with_a_reason() {
    let mut player = Player::new("fridge 0.0..5.0 every=60 zone=Europe/Zagreb rule=unit/-/8.0/10");
    player.play("0 9.0");
    let bytes = player.state.encode();
    let state = super::State::decode(&bytes).unwrap();
    assert_eq!(state.unit(UNIT), player.state.unit(UNIT));
    assert_eq!(state.next_deadline(), player.state.next_deadline());
    assert_eq!(state.encode(), bytes);

    assert_eq!(super::State::decode(&[]), Err(StateError::Empty));
    assert_eq!(super::State::decode(&[9, 0]), Err(StateError::Version { got: 9 }));
    let is_damaged = |bytes: &[u8]| matches!(super::State::decode(bytes), Err(StateError::Damaged(_)));
    assert!(is_damaged(&bytes[..bytes.len() - 1]));
    assert!(is_damaged(&[&bytes[..], &[0]].concat()));
}

/// A build that lays out its state otherwise must not take an older checkpoint for its own: when this fails, raise
/// `STATE_VERSION` and freeze the new form.
#[test]
fn the_form_of_a_checkpoint_is_frozen() {
    let mut player =
        Player::new("fridge 0.0..5.0 zone=Europe/Zagreb probes=2 rule=unit/-/8.0/10 rule=contact/info");
    for line in
        ["0 4.0", "1 d2 9.0", "2 4.0", "3 90.0", "60 tick", "61 manual 9.0", "62 placed 2026-11-22T21:00:00Z"]
    {
        player.play(line);
    }
    // A freezer that has learned, with a door, a call that was taken, a hold, and alarms that were told late.
    let mut learned = Player::new("freezer -35.0..-15.0 every=60 rule=door/warning/3");
    learned.play("0 placed 2026-11-22T21:00:00Z");
    for minute in 1..6 * 1_440 {
        learned.play(&format!("{minute} {:.2}", healthy(minute)));
    }
    for line in [
        "8640 open",
        "8645 -21.0",
        "8646 ack door",
        "8647 battery 9",
        "8647 ack low_battery",
        "8648 senders two",
        "8649 defrost on",
        "8650 -10.0",
        "8651 late -9.0 of 29700000",
        "8651 late -9.5 of 29700015",
        "8651 late -8.0 of 29700020",
    ] {
        learned.play(line);
    }
    let bytes = [player.state.encode(), learned.state.encode()].concat();
    let hash = ring::digest::digest(&ring::digest::SHA256, &bytes);
    assert_eq!(
        (super::STATE_VERSION, format!("{hash:?}")),
        (4, "SHA256:d73a0eace2d2c58d8dee7646903436d856e8f3e6948269651b4c727b49285d9b".into())
    );
}

/// Inputs are stored: variants keep their numbers, new ones go to the end.
#[test]
fn the_numbers_of_events_are_frozen() {
    use super::{Event, Gap};
    let unit = UNIT;
    let events = [
        Event::Started { gap: Gap::Known { ms: 1 } },
        Event::Configured(Box::default()),
        Player::new("fridge 0.0..5.0").parse_event("4.0"),
        Player::new("fridge 0.0..5.0").parse_event("fault"),
        Player::new("fridge 0.0..5.0").parse_event("open"),
        Player::new("fridge 0.0..5.0").parse_event("manual 4.0"),
        Event::Acknowledged { alert: uuid::Uuid::nil() },
        Event::Resolved { alert: uuid::Uuid::nil(), by: None },
        Event::Placed { offset_ms: None },
        Event::SourceUp { name: String::new() },
        Event::SourceDown { name: String::new() },
        Event::Tick,
        Player::new("fridge 0.0..5.0").parse_event("battery 20"),
        Player::new("fridge 0.0..5.0").parse_event("senders two"),
        Event::Defrost { unit, is_on: true },
    ];
    for (number, event) in (0u8..).zip(&events) {
        let bytes = postcard::to_allocvec(event).unwrap();
        assert_eq!(bytes[0], number, "{event:?}");
        assert_eq!(postcard::from_bytes::<Event>(&bytes).as_ref(), Ok(event));
    }
    let reading = postcard::to_allocvec(&events[2]).unwrap();
    assert_eq!(reading, [2, unit.0 as u8, 1, 1, 0xA0, 0x06, 0, 0, 0]);
}
