//! The temperature table, row by row.

use super::check;

/// Sparse readings: nothing is overdue for 30 min.
const FRIDGE: &str = "fridge 0.0..5.0 every=1800";
/// Two probes of two devices.
const TWO: &str = "fridge 0.0..5.0 every=1800 probes=2";

#[test]
fn out_of_limits_opens_an_excursion_and_a_limit_itself_is_inside() {
    check(
        FRIDGE,
        "0 4.0
         1 5.0
         2 0.0
         3 5.01 => open alarm warning max 5.01; ok>excursion out_of_limits",
    );
    check(FRIDGE, "0 -0.01 => open alarm warning min -0.01; ok>excursion out_of_limits");
}

#[test]
fn a_reading_still_out_confirms_when_the_delay_is_over() {
    check(
        FRIDGE,
        "0 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits
         9:59 8.0
         10 8.0 => raise alarm critical confirm_delay_over; excursion>alarm_active confirm_delay_over
         11 9.0",
    );
    // Between limit and band it is still out.
    check(
        FRIDGE,
        "0 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits
         12 4.6 => raise alarm critical confirm_delay_over; excursion>alarm_active confirm_delay_over",
    );
}

#[test]
fn the_clock_confirms_when_the_next_reading_is_overdue() {
    // The delay is over long before: the reading is due after 30 min, with a buffer of 30 s.
    check(
        FRIDGE,
        "0 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits
         30:29 tick
         30:30 tick => raise alarm critical confirm_delay_over; excursion>alarm_active confirm_delay_over",
    );
    // A fast sensor that dies: at the end of the delay, even if nobody looked at that instant.
    check(
        "fridge 0.0..5.0 every=60",
        "0 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits
         1 8.0
         14 tick => @10 raise alarm critical confirm_delay_over; @10 excursion>alarm_active confirm_delay_over",
    );
    // Events of other kinds pass time too.
    check(
        "fridge 0.0..5.0 every=60",
        "0 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits
         14 fault => @10 raise alarm critical confirm_delay_over; @10 excursion>alarm_active confirm_delay_over",
    );
}

#[test]
fn back_inside_the_band_restores_and_good_readings_end_it() {
    check(
        FRIDGE,
        "0 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits
         5 4.5 => excursion>restoring back_inside
         6 4.0 => resolve alarm since 5; restoring>ok good_readings",
    );
    check(
        FRIDGE,
        "0 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits
         10 8.0 => raise alarm critical confirm_delay_over; excursion>alarm_active confirm_delay_over
         15 0.5 => alarm_active>restoring back_inside
         16 0.4
         17 4.6
         18 4.0 => resolve alarm since 15; restoring>ok good_readings",
    );
    check(
        "fridge 0.0..5.0 every=1800 good=1",
        "0 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits
         5 4.0 => excursion>restoring back_inside; resolve alarm; restoring>ok good_readings",
    );
    check(
        "fridge 0.0..5.0 every=1800 good=3",
        "0 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits
         5 4.0 => excursion>restoring back_inside
         6 4.0
         7 4.0 => resolve alarm since 5; restoring>ok good_readings",
    );
}

#[test]
fn out_again_returns_to_where_it_came_from_with_the_clock_unbroken() {
    check(
        FRIDGE,
        "0 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits
         4 4.0 => excursion>restoring back_inside
         5 8.0 => restoring>excursion out_again
         10 8.0 => raise alarm critical confirm_delay_over; excursion>alarm_active confirm_delay_over
         11 4.0 => alarm_active>restoring back_inside
         12 8.0 => restoring>alarm_active out_again",
    );
    // The delay was over while it was restoring; good readings start anew.
    check(
        FRIDGE,
        "0 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits
         9 4.0 => excursion>restoring back_inside
         20 tick
         21 8.0 => restoring>excursion out_again; raise alarm critical confirm_delay_over; \
         excursion>alarm_active confirm_delay_over
         22 4.0 => alarm_active>restoring back_inside
         23 4.0 => resolve alarm since 22; restoring>ok good_readings",
    );
}

#[test]
fn a_person_closes_it_and_the_next_excursion_takes_half_the_delay() {
    let closed = "0 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits
         1 resolve alarm => resolve alarm by person; excursion>ok resolved_by_person
         2 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits
         6:59 8.0
         7 8.0 => raise alarm critical confirm_delay_over; excursion>alarm_active confirm_delay_over
         8 resolve alarm by nobody => resolve alarm; alarm_active>ok resolved_by_person
         9 4.0
         10 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits
         15 8.0 => raise alarm critical confirm_delay_over; excursion>alarm_active confirm_delay_over
         16 4.0 => alarm_active>restoring back_inside
         17 resolve alarm => resolve alarm by person; restoring>ok resolved_by_person
         18 4.0
         19 4.0
         20 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits
         25 8.0
         30 8.0 => raise alarm critical confirm_delay_over; excursion>alarm_active confirm_delay_over";
    check(FRIDGE, closed);
    // An alert that is not open.
    check(FRIDGE, "0 resolve alarm by nobody");
}

#[test]
fn a_manual_log_out_of_limits_is_critical_at_once_and_sensors_do_not_end_it() {
    let alarm = "raise alarm critical manual_log";
    let script = format!(
        "0 4.0
         1 manual 5.0
         2 manual 7.0 => open alarm warning max 7.00; {alarm}; ok>alarm_active manual_log
         3 4.0
         4 4.0
         5 4.0
         6 manual 4.8
         7 manual 4.5 => resolve alarm; alarm_active>ok manual_log"
    );
    check(FRIDGE, &script);
    let script = format!(
        "0 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits
         1 manual 8.0 => {alarm}; excursion>alarm_active manual_log
         2 manual 9.0
         3 manual 4.0
         4 4.0 => alarm_active>restoring back_inside
         5 manual 9.0 => restoring>alarm_active manual_log
         6 resolve alarm => resolve alarm by person; alarm_active>ok resolved_by_person"
    );
    check(FRIDGE, &script);
    // A good manual log does not end what sensors began.
    check(
        FRIDGE,
        "0 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits
         1 manual 4.0
         10 8.0 => raise alarm critical confirm_delay_over; excursion>alarm_active confirm_delay_over",
    );
}

#[test]
fn two_probes_are_out_when_one_is_and_back_when_both_are() {
    check(
        TWO,
        "0 d1 4.0
         0 d2 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits
         1 d1 4.0
         2 d1 4.0
         3 d1 8.0
         4 d2 4.0
         5 d1 4.0 => excursion>restoring back_inside
         6 d1 4.0
         7 d2 4.0 => resolve alarm since 5; restoring>ok good_readings",
    );
    // A probe that was out and fell silent no longer counts when the other one speaks.
    check(
        "fridge 0.0..5.0 every=60 probes=2",
        "0 d1 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits
         1 d2 4.0
         10 d2 4.0 => raise alarm critical confirm_delay_over; excursion>alarm_active confirm_delay_over
         14:59 d2 4.0
         15 d2 4.0 => alarm_active>restoring back_inside
         16 d2 4.0 => resolve alarm since 15; restoring>ok good_readings",
    );
}

#[test]
fn too_long_above_the_limit_is_critical_whatever_the_pattern() {
    // 9 min above, then 2 good minutes, again and again: never confirmed, until 2 h are summed.
    let mut script = String::new();
    for round in 0..13 {
        let start = round * 12;
        script += &format!(
            "{start} 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits
             {} 8.0
             {} 4.0 => excursion>restoring back_inside
             {} 4.0 => resolve alarm since {}; restoring>ok good_readings\n",
            start + 9,
            start + 9,
            start + 10,
            start + 9
        );
    }
    script += "156 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits
               159 8.0 => raise alarm critical above_limit_too_long; \
                          excursion>alarm_active above_limit_too_long";
    check("fridge 0.0..5.0 every=1800", &script);

    // A rule that waits for 4 h does not keep it from being critical after 2 h, by reading or by the clock.
    check(
        "fridge 0.0..5.0 every=1800 rule=unit/-/-/240",
        "0 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits
         30 8.0
         60 8.0
         90 8.0
         119 8.0
         120 8.0 => raise alarm critical above_limit_too_long; excursion>alarm_active above_limit_too_long",
    );
    check(
        "fridge 0.0..5.0 every=1800 rule=unit/-/-/240",
        "0 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits
         30 8.0
         60 8.0
         95 8.0
         130 tick => @125:30 raise alarm critical above_limit_too_long; \
                     @125:30 excursion>alarm_active above_limit_too_long",
    );
}

#[test]
fn the_sum_above_the_limit_begins_anew_after_an_hour_without_a_reading_above() {
    let rounds = |pause: u32| {
        let mut script = String::new();
        for start in [0, 50 + pause] {
            script += &format!(
                "{start} 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits
                 {} 8.0
                 {} 8.0
                 {} 4.0 => excursion>restoring back_inside
                 {} 4.0 => resolve alarm since {}; restoring>ok good_readings\n",
                start + 25,
                start + 50,
                start + 51,
                start + 52,
                start + 51
            );
        }
        script
    };
    let site = "fridge 0.0..5.0 every=1800 rule=unit/-/-/240 above_limit_min=103 missed_warning_slow=9";
    // 51 min each, and 1 min more reaches 103 ...
    check(
        site,
        &format!(
            "{}162 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits
             163 8.0 => raise alarm critical above_limit_too_long; excursion>alarm_active above_limit_too_long",
            rounds(59)
        ),
    );
    // ... unless an hour passed between.
    check(
        site,
        &format!(
            "{}163 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits
             165 8.0",
            rounds(60)
        ),
    );
}

#[test]
fn below_the_minimum_of_a_freezer_stays_a_warning() {
    check(
        "freezer -25.0..-18.0 every=7200",
        "0 -26.0 => open alarm warning min -26.00; ok>excursion out_of_limits
         10 -26.0 => raise alarm warning confirm_delay_over; excursion>alarm_active confirm_delay_over
         100 manual -27.0
         101 manual -20.0
         103 -17.0
         112:59 -17.0
         113 -17.0 => raise alarm critical confirm_delay_over",
    );
    check(
        "freezer -25.0..-18.0 every=7200",
        "0 manual -26.0 => open alarm warning min -26.00; raise alarm warning manual_log; \
                           ok>alarm_active manual_log
         1 manual -17.0 => raise alarm critical manual_log",
    );
    check(
        "fridge 0.0..5.0 every=1800",
        "0 -1.0 => open alarm warning min -1.00; ok>excursion out_of_limits
         10 -1.0 => raise alarm critical confirm_delay_over; excursion>alarm_active confirm_delay_over",
    );
}

#[test]
fn a_jump_waits_for_the_next_reading() {
    // A single wild value decides nothing.
    check(
        FRIDGE,
        "0 4.0
         5 24.01
         6 4.0",
    );
    // Twenty degrees are no jump, nor is a change that took longer than 10 min.
    check(
        FRIDGE,
        "0 4.0
         10 24.0 => open alarm warning max 24.00; ok>excursion out_of_limits",
    );
    check(
        FRIDGE,
        "0 4.0
         10:01 30.0 => open alarm warning max 30.00; ok>excursion out_of_limits",
    );
    // Confirmed by the next reading, whose excursion began with the jump.
    check(
        FRIDGE,
        "0 4.0
         5 30.0
         8 29.0 => open alarm warning max 29.00; ok>excursion out_of_limits
         15 29.0 => raise alarm critical confirm_delay_over; excursion>alarm_active confirm_delay_over",
    );
    // And by silence.
    check(
        "fridge 0.0..5.0 every=60",
        "0 4.0
         1 90.0
         12 tick => @2:30 open alarm warning max 90.00; @2:30 ok>excursion out_of_limits; \
                    @11 raise alarm critical confirm_delay_over; @11 excursion>alarm_active confirm_delay_over",
    );
    // In Fahrenheit a jump is 36 degrees.
    check(
        "fridge 33.0..41.0 F every=1800",
        "0 38.0
         1 74.0 => open alarm warning max 74.00; ok>excursion out_of_limits",
    );
    check("fridge 33.0..41.0 F every=1800", "0 38.0\n 1 74.01\n 2 38.0");
}

#[test]
fn late_readings_faults_and_sources_move_nothing() {
    check(FRIDGE, "0 4.0\n 1 late 9.0\n 2 fault\n 5 source\n 6 d7 9.0");
    check(
        FRIDGE,
        "0 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits
         1 late 4.0
         2 late 4.0
         10 8.0 => raise alarm critical confirm_delay_over; excursion>alarm_active confirm_delay_over",
    );
}

#[test]
fn a_known_gap_counts_and_an_unknown_one_is_confirmed_by_the_first_reading_still_out() {
    let out = "0 8.0 => open alarm warning max 8.00; ok>excursion out_of_limits\n";
    let confirmed = "raise alarm critical confirm_delay_over; excursion>alarm_active confirm_delay_over";
    check(FRIDGE, &format!("{out} 5 start known 3\n 9 8.0\n 10 8.0 => {confirmed}"));
    // The hub stopped at 1 min; the clock waits for the first reading after the start.
    check(FRIDGE, &format!("{out} 61 start known 60\n 62 8.0 => {confirmed}"));
    check(FRIDGE, &format!("{out} 61 start known 60\n 91:29 tick\n 91:30 tick => {confirmed}"));
    check(FRIDGE, &format!("{out} 61 start known 60\n 62 4.0 => excursion>restoring back_inside"));
    check(FRIDGE, &format!("{out} 1 start least 0\n 2 8.0 => {confirmed}"));
    check(FRIDGE, &format!("{out} 1 start least 0\n 2 4.0 => excursion>restoring back_inside"));
    check(
        FRIDGE,
        &format!(
            "{out} 1 4.0 => excursion>restoring back_inside
             2 start least 1
             3 8.0 => restoring>excursion out_again; {confirmed}"
        ),
    );
    // What was due before the hub stopped is decided as of then.
    check(
        FRIDGE,
        &format!(
            "{out} 60 start known 20 => {}",
            confirmed.replace("raise", "@30:30 raise").replace("; ", "; @30:30 ")
        ),
    );
}
