//! Doors: their alert, and the row of the mask, clause by clause.

use super::check;

/// Readings every half hour: nothing is overdue meanwhile.
const FRIDGE: &str = "fridge 0.0..5.0 every=1800";

#[test]
fn an_open_door_is_a_warning_then_critical_and_ends_when_closed() {
    check(
        FRIDGE,
        "0 open
         2:59 tick
         3 tick => open door warning
         9:59 tick
         12 tick => @10 raise door critical door_open_too_long
         13 close => resolve door
         14 close
         20 open
         22 close
         60 tick",
    );
    // Both at their own instants, though nobody looked before.
    check(FRIDGE, "0 open\n 30 tick => @3 open door warning; @10 raise door critical door_open_too_long");
    // A second "open" does not begin anew.
    check(FRIDGE, "0 open\n 2 open\n 3 tick => open door warning\n 4 open");
    check(
        "fridge 0.0..5.0 door_warning_min=0 door_critical_min=1",
        "0 open => open door warning
         1 close => raise door critical door_open_too_long; resolve door",
    );
}

#[test]
fn a_rule_gives_the_first_severity_and_the_warnings_delay() {
    check(
        "fridge 0.0..5.0 rule=door/info/5",
        "0 open
         5 tick => open door info
         10 tick => raise door critical door_open_too_long",
    );
    // Never critical before it was told at all; and nothing rises above critical.
    check(
        "fridge 0.0..5.0 rule=door/warning/20",
        "0 open\n 30 tick => @20 open door warning; @20 raise door critical door_open_too_long",
    );
    check(
        "fridge 0.0..5.0 rule=door/critical/0",
        "0 open => open door critical\n 30 tick\n 31 close => resolve door",
    );
}

#[test]
fn two_doors_are_one_alert() {
    check(
        FRIDGE,
        "0 open 8
         1 open 9
         3 tick => open door warning
         4 close 8
         10 tick
         11 tick => raise door critical door_open_too_long
         12 close 9 => resolve door",
    );
}

#[test]
fn a_person_closes_the_alert_and_hears_again_only_when_it_is_critical() {
    check(
        FRIDGE,
        "0 open
         3 tick => open door warning
         4 resolve door => resolve door by person
         9 tick
         10 tick => open door critical
         11 resolve door => resolve door by person
         20 open
         21 close
         22 open
         25 tick => open door warning",
    );
    check(
        FRIDGE,
        "0 open
         3 tick => open door warning
         4 site nothing => resolve door",
    );
}

#[test]
fn the_grace_holds_an_excursion_back_for_ten_minutes_and_doubles_the_delay_after() {
    check(
        FRIDGE,
        "0 4.0
         1 open
         2 6.0 => hold door_grace until 11
         4 close => open door warning; resolve door
         5 6.0
         10:59 6.0
         11 tick => held door_grace since 2 excursion; open alarm warning max 6.00; ok>excursion out_of_limits
         21 6.0 => hold door_delay until 31
         30:59 6.0
         31 6.0 => held door_delay since 21 alarm; raise alarm critical confirm_delay_over; \
                   excursion>alarm_active confirm_delay_over"
            .replace("4 close => open door warning; resolve door", "4 close => resolve door")
            .replace(
                "2 6.0 => hold door_grace until 11",
                "2 6.0 => hold door_grace until 11\n 3 close\n 3:30 open",
            )
            .replace("4 close => resolve door", "4 close")
            .as_str(),
    );
}

#[test]
fn what_comes_back_within_the_grace_was_no_excursion() {
    check(
        FRIDGE,
        "0 4.0
         1 open
         2 6.0 => hold door_grace until 11
         3 close
         5 4.0 => held door_grace since 2 back_inside
         6 6.0 => hold door_grace until 11
         7 4.0 => held door_grace since 6 back_inside
         12 6.0 => open alarm warning max 6.00; ok>excursion out_of_limits
         22 6.0 => raise alarm critical confirm_delay_over; excursion>alarm_active confirm_delay_over",
    );
    // Still open after the grace: an excursion at once, with the doubled delay.
    check(
        "fridge 0.0..5.0 every=1800 door_warning_min=99 door_critical_min=99",
        "0 4.0
         1 open
         12 6.0 => open alarm warning max 6.00; ok>excursion out_of_limits
         22 6.0 => hold door_delay until 32
         25 4.0 => excursion>restoring back_inside
         26 4.0 => held door_delay since 22 back_inside; resolve alarm since 25; restoring>ok good_readings",
    );
}

#[test]
fn a_silent_sensor_does_not_stop_the_grace() {
    check(
        "fridge 0.0..5.0 every=60 door_warning_min=99 door_critical_min=99 contact_warning_min=600",
        "0 4.0
         1 open
         2 6.0 => hold door_grace until 11
         40 tick => @11 held door_grace since 2 excursion; @11 open alarm warning max 6.00; \
                    @11 ok>excursion out_of_limits; @21 hold door_delay until 31; \
                    @31 held door_delay since 21 alarm; @31 raise alarm critical confirm_delay_over; \
                    @31 excursion>alarm_active confirm_delay_over",
    );
}

#[test]
fn five_degrees_beyond_the_limit_or_out_before_nothing_is_held() {
    let quiet = "fridge 0.0..5.0 every=1800 door_warning_min=99 door_critical_min=99";
    check(
        quiet,
        "0 4.0
         1 open
         2 10.0 => hold door_grace until 11
         3 10.01 => held door_grace since 2 excursion; open alarm warning max 10.01; ok>excursion out_of_limits
         13 8.0 => raise alarm critical confirm_delay_over; excursion>alarm_active confirm_delay_over",
    );
    // The doubled delay ends there too.
    check(
        quiet,
        "0 4.0
         1 open
         12 6.0 => open alarm warning max 6.00; ok>excursion out_of_limits
         22 6.0 => hold door_delay until 32
         23 10.5 => held door_delay since 22 alarm; raise alarm critical confirm_delay_over; \
                    excursion>alarm_active confirm_delay_over",
    );
    // Nine degrees are five in Fahrenheit.
    check(
        "fridge 33.0..41.0 F every=1800 door_warning_min=99 door_critical_min=99",
        "0 38.0
         1 open
         2 50.0 => hold door_grace until 11
         3 50.01 => held door_grace since 2 excursion; open alarm warning max 50.01; ok>excursion out_of_limits",
    );
    check(
        quiet,
        "0 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits
         1 open
         10 8.0 => raise alarm critical confirm_delay_over; excursion>alarm_active confirm_delay_over",
    );
    // Too cold is not a door's doing.
    check(quiet, "0 4.0\n 1 open\n 2 -1.0 => open alarm warning min -1.00; ok>excursion out_of_limits");
}

#[test]
fn the_mask_is_used_up_after_its_minutes_a_day() {
    // Ten minutes an opening, three openings: the third has 5 of 25 left, and nothing for the delay.
    let mut script = "0 4.0\n".to_owned();
    for start in [0, 100] {
        script += &format!(
            "{start} open
             {start} 6.0 => hold door_grace until {}
             {} 4.0 => held door_grace since {start} back_inside
             {} close\n",
            start + 10,
            start + 9,
            start + 9
        );
    }
    script += "200 open
         200 6.0 => hold door_grace until 207
         208 tick => @207 held door_grace since 200 excursion; @207 open alarm warning max 6.00; \
                     @207 ok>excursion out_of_limits
         217 6.0 => raise alarm critical confirm_delay_over; excursion>alarm_active confirm_delay_over
         218 4.0 => alarm_active>restoring back_inside
         219 4.0 => resolve alarm since 218; restoring>ok good_readings
         220 close
         1439 open
         1440 6.0 => hold door_grace until 1449";
    check(
        "fridge 0.0..5.0 every=36000 door_mask_day_min=25 door_warning_min=99 door_critical_min=99 missed_warning_slow=99",
        &script,
    );
}

#[test]
fn a_door_sensor_is_believed_for_an_hour_after_it_spoke() {
    // The door "is open" since yesterday: its sensor died.
    check(
        "fridge 0.0..5.0 every=36000 door_warning_min=999 door_critical_min=999",
        "0 4.0
         1 open
         62 6.0 => open alarm warning max 6.00; ok>excursion out_of_limits
         72 6.0 => raise alarm critical confirm_delay_over; excursion>alarm_active confirm_delay_over",
    );
    // It ends within the doubled delay.
    check(
        "fridge 0.0..5.0 every=36000 door_warning_min=999 door_critical_min=999",
        "0 4.0
         1 open
         47 6.0 => open alarm warning max 6.00; ok>excursion out_of_limits
         57 6.0 => hold door_delay until 61
         61 6.0 => held door_delay since 57 alarm; raise alarm critical confirm_delay_over; \
                   excursion>alarm_active confirm_delay_over",
    );
}

#[test]
fn too_long_above_the_limit_ends_the_grace() {
    check(
        "fridge 0.0..5.0 every=1800 above_limit_min=4 door_warning_min=99 door_critical_min=99",
        "0 4.0
         1 open
         2 6.0 => hold door_grace until 6
         5 6.0
         6 6.0 => held door_grace since 2 excursion; open alarm warning max 6.00; ok>excursion out_of_limits; \
                  raise alarm critical above_limit_too_long; excursion>alarm_active above_limit_too_long",
    );
}
