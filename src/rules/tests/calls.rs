//! Escalation, row by row; and the alerts of other types.

use super::{check, check_calls};

#[test]
fn a_critical_alarm_calls_three_levels_and_then_every_hour() {
    check_calls(
        "fridge 0.0..5.0 every=7200",
        "0 4.0
         5 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits
         15 8.0 => raise alarm critical confirm_delay_over; excursion>alarm_active confirm_delay_over; \
                   call alarm critical 1 first
         29 tick
         30 tick => call alarm critical 2 escalated
         45 tick => call alarm critical 3 escalated
         104 tick
         105 tick => call alarm critical 3 repeated
         164 tick
         170 tick => @165 call alarm critical 3 repeated
         171 4.0 => alarm_active>restoring back_inside
         172 4.0 => resolve alarm since 171; restoring>ok good_readings
         400 4.0",
    );
}

#[test]
fn an_acknowledgement_stops_the_calls_and_a_critical_alert_comes_back_after_an_hour() {
    check_calls(
        "fridge 0.0..5.0 every=36000 confirm_delay_min=0 above_limit_min=1440",
        "0 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits; \
                  raise alarm critical confirm_delay_over; excursion>alarm_active confirm_delay_over; \
                  call alarm critical 1 first
         10 ack alarm
         69 tick
         70 tick => call alarm critical 1 reminder
         130 tick => call alarm critical 1 reminder
         131 resolve alarm => resolve alarm by person; alarm_active>ok resolved_by_person
         300 tick",
    );
}

#[test]
fn a_silent_unit_calls_level_1_only_until_it_is_critical() {
    check_calls(
        "fridge 0.0..5.0 every=300 missed_critical=60",
        "0 4.0
         16 tick => @15:30 open contact warning; @15:30 contact ok>offline missed_check_ins; \
                    @15:30 call contact warning 1 first
         75 tick
         76 tick => @75:30 call contact warning 1 repeated
         80 ack contact
         200 tick
         301 tick => @300:30 raise contact critical missed_check_ins; \
                     @300:30 contact offline>monitoring_interrupted missed_check_ins; \
                     @300:30 call contact critical 1 first; \
                     @300:30 open missed_manual_entry warning; \
                     @300:30 contact monitoring_interrupted>manual_required no_manual_log; \
                     @300:30 call missed_manual_entry warning 1 first",
    );
}

#[test]
fn a_warning_calls_two_levels() {
    check_calls(
        "fridge 0.0..5.0 every=36000",
        "0 fault
         1 fault => open sensor_fault warning; call sensor_fault warning 1 first
         30 tick
         31 tick => call sensor_fault warning 2 escalated
         90 tick
         91 tick => call sensor_fault warning 2 repeated
         92 4.0 => resolve sensor_fault",
    );
}

#[test]
fn what_fell_due_while_the_hub_was_away_is_called_once() {
    check_calls(
        "fridge 0.0..5.0 every=36000 confirm_delay_min=0 above_limit_min=1440",
        "0 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits; \
                  raise alarm critical confirm_delay_over; excursion>alarm_active confirm_delay_over; \
                  call alarm critical 1 first
         200 start known 199
         200 tick => call alarm critical 2 escalated
         214 tick
         215 tick => call alarm critical 3 escalated",
    );
    // What was due before it went away is called as of then.
    check_calls(
        "fridge 0.0..5.0 every=36000 confirm_delay_min=0 above_limit_min=1440",
        "0 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits; \
                  raise alarm critical confirm_delay_over; excursion>alarm_active confirm_delay_over; \
                  call alarm critical 1 first
         50 start least 34 => @15 call alarm critical 2 escalated",
    );
}

#[test]
fn below_the_minimum_of_a_freezer_is_a_warning_and_calls_as_one() {
    check_calls(
        "freezer -25.0..-18.0 every=36000",
        "0 -26.0 => open alarm warning min -26.00; ok>excursion out_of_limits
         10 -26.0 => raise alarm warning confirm_delay_over; excursion>alarm_active confirm_delay_over; \
                     call alarm warning 1 first
         20 ack alarm
         30 -10.0
         31 -10.0
         40 -10.0 => raise alarm critical confirm_delay_over; call alarm critical 1 first",
    );
}

#[test]
fn faults_are_counted_by_probe_and_end_with_a_good_reading() {
    check(
        "fridge 0.0..5.0 every=36000",
        "0 fault
         1 4.0
         2 fault
         3 fault => open sensor_fault warning
         4 fault
         5 4.0 => resolve sensor_fault",
    );
    check(
        "fridge 0.0..5.0 every=36000 faulty_values=3",
        "0 fault
         1 fault
         2 fault => open sensor_fault warning
         3 resolve sensor_fault => resolve sensor_fault by person
         4 fault
         5 fault
         6 fault => open sensor_fault warning",
    );
    // One alert per device.
    check(
        "fridge 0.0..5.0 every=36000 probes=2",
        "0 fault
         1 fault => open sensor_fault warning
         2 d2 fault
         3 d2 fault => open sensor_fault warning
         4 d2 4.0 => resolve sensor_fault",
    );
    check(
        "fridge 0.0..5.0 every=36000 rule=sensor_fault/critical",
        "0 fault
         1 fault => open sensor_fault critical",
    );
}

#[test]
fn two_senders_under_one_address_are_a_fault_that_readings_do_not_end() {
    check(
        "fridge 0.0..5.0 every=36000",
        "0 senders two => open sensor_fault warning
         1 4.0
         2 senders two
         3 senders one => resolve sensor_fault
         4 senders one",
    );
}

#[test]
fn a_battery_is_listed_when_low_called_when_empty_and_over_when_replaced() {
    check_calls(
        "fridge 0.0..5.0 every=36000",
        "0 battery 60
         1 battery 20
         2 battery 19 => open low_battery info
         3 battery 21
         4 battery 24
         5 battery 9 => raise low_battery warning low_battery; call low_battery warning 1 first
         6 battery 24
         7 battery 25 => resolve low_battery",
    );
    // One that a person closed comes back when it gets worse.
    check(
        "fridge 0.0..5.0 every=36000",
        "0 battery 15 => open low_battery info
         1 resolve low_battery => resolve low_battery by person
         2 battery 15
         3 battery 8 => open low_battery warning
         4 site nothing => resolve low_battery",
    );
}

#[test]
fn a_calibration_is_due_two_weeks_before_it_expires() {
    // 20 days.
    check_calls(
        "fridge 0.0..5.0 every=3600000 expires=28800 manual=100000",
        "0 4.0
         1 placed 1970-01-01T00:00:00Z
         8639 tick
         8640 tick => open calibration_due info
         8641 site fridge 0.0..5.0 every=3600000 expires=60000 manual=100000 => resolve calibration_due
         9000 tick",
    );
    // Not before wall time is known; closed by a person it stays closed until the date changes.
    check(
        "fridge 0.0..5.0 every=36000 expires=1",
        "0 4.0
         1 tick
         2 placed 2026-01-01T00:00:00Z
         3 tick => @2 open calibration_due info
         4 resolve calibration_due => resolve calibration_due by person
         5 site fridge 0.0..5.0 every=36000 expires=1
         6 tick
         7 site fridge 0.0..5.0 every=36000 expires=2
         8 tick => @7 open calibration_due info",
    );
}

#[test]
fn a_silent_unit_wants_a_manual_log_and_then_another() {
    check(
        "fridge 0.0..5.0 every=300",
        "0 4.0
         31 tick => @15:30 open contact warning; @15:30 contact ok>offline missed_check_ins; \
                    @30:30 raise contact critical missed_check_ins; \
                    @30:30 contact offline>monitoring_interrupted missed_check_ins
         241 tick => @240 open missed_manual_entry warning; \
                     @240 contact monitoring_interrupted>manual_required no_manual_log
         250 manual 4.0 => resolve missed_manual_entry; contact manual_required>monitoring_interrupted manual_log
         489 tick
         490 tick => open missed_manual_entry warning; \
                     contact monitoring_interrupted>manual_required no_manual_log
         500 4.0 => resolve contact; resolve missed_manual_entry; contact manual_required>ok reading",
    );
    // By the unit's own interval, counted from the newest of reading and log.
    check(
        "fridge 0.0..5.0 every=300 manual=60",
        "0 4.0
         40 manual 4.0 => @15:30 open contact warning; @15:30 contact ok>offline missed_check_ins; \
                          @30:30 raise contact critical missed_check_ins; \
                          @30:30 contact offline>monitoring_interrupted missed_check_ins
         99 tick
         100 tick => open missed_manual_entry warning; \
                     contact monitoring_interrupted>manual_required no_manual_log
         101 resolve missed_manual_entry => resolve missed_manual_entry by person
         102 manual 9.0 => contact manual_required>monitoring_interrupted manual_log; \
                           open alarm warning max 9.00; raise alarm critical manual_log; \
                           ok>alarm_active manual_log",
    );
}

#[test]
fn a_unit_without_a_sensor_wants_manual_logs_only_where_they_are_required() {
    check("fridge 0.0..5.0 probes=0", "9999 tick");
    check(
        "fridge 0.0..5.0 probes=0 manual manual=60",
        "60 tick => open missed_manual_entry warning; contact ok>manual_required no_manual_log
         70 manual 4.0 => resolve missed_manual_entry; contact manual_required>ok manual_log
         130 tick => open missed_manual_entry warning; contact ok>manual_required no_manual_log
         140 site fridge 0.0..5.0 probes=0 => resolve missed_manual_entry; \
                                             contact manual_required>ok probe_unassigned",
    );
    check(
        "fridge 0.0..5.0 probes=0 manual rule=missed_manual_entry/critical",
        "240 tick => open missed_manual_entry critical; contact ok>manual_required no_manual_log",
    );
}

#[test]
fn an_alarm_that_is_known_too_late_is_told_once() {
    let site = "fridge 0.0..5.0 every=36000";
    check(
        site,
        "0 placed 1970-01-01T00:00:00Z
         300 4.0
         301 late 8.0 of 100
         301 late 9.5 of 109
         301 late 4.0 of 90
         301 late 8.5 of 110 => late critical max 9.50 100 to 110
         302 late 8.5 of 120 => late grew 9.50 100 to 120
         303 late 8.5 of 120
         304 late 10.5 of 99 => late grew 10.50 99 to 120
         305 late 4.0 of 125
         306 late 8.5 of 105",
    );
    // Out of order, and with what lies between them still to come.
    check(
        site,
        "0 placed 1970-01-01T00:00:00Z
         300 4.0
         301 late 8.0 of 100
         302 late 8.0 of 190
         303 late 8.0 of 145 => late critical max 8.00 100 to 190",
    );
    // Good readings between them, or too short.
    check(
        site,
        "0 placed 1970-01-01T00:00:00Z
         300 4.0
         301 late 4.0 of 104
         302 late 8.0 of 100
         303 late 8.0 of 109",
    );
    // Told when it happened.
    check(
        "fridge 0.0..5.0 every=36000 confirm_delay_min=0 above_limit_min=1440",
        "0 placed 1970-01-01T00:00:00Z
         100 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits; \
                    raise alarm critical confirm_delay_over; excursion>alarm_active confirm_delay_over
         101 late 9.0 of 95
         130 4.0 => alarm_active>restoring back_inside
         131 4.0 => resolve alarm since 130; restoring>ok good_readings
         140 late 9.0 of 120
         141 late 9.0 of 10 => late critical max 9.00 10 to 10",
    );
    check(
        "freezer -25.0..-18.0 every=36000",
        "0 placed 1970-01-01T00:00:00Z
         300 -20.0
         301 late -26.0 of 100
         302 late -26.0 of 110 => late warning min -26.00 100 to 110",
    );
    // A reading without a time of its own says nothing of the past.
    check(site, "300 4.0\n 301 late 9.0");
}

#[test]
fn a_second_excursion_known_too_late_is_told_too() {
    check(
        "fridge 0.0..5.0 every=36000",
        "0 placed 1970-01-01T00:00:00Z
         600 4.0
         601 late 8.0 of 100
         601 late 8.0 of 110 => late critical max 8.00 100 to 110
         601 late 4.0 of 130
         601 late 4.0 of 150
         601 late 12.0 of 165
         601 late 12.0 of 200 => late critical max 12.00 165 to 200",
    );
}

#[test]
fn a_faulty_value_does_not_end_two_senders() {
    check(
        "fridge 0.0..5.0 every=36000",
        "0 senders two => open sensor_fault warning
         1 fault
         2 4.0",
    );
}
