//! Scripts that hold the hub up are set aside.

use super::super::ScriptError;
use super::super::breaker::*;
use crate::domain::MonoMs;

const MODEL: &str = "custom/logger";
const MINUTE: i64 = 60_000;

/// Plays calls, a letter each: `x` holds the hub up, `.` ends in time; a number waits so many minutes.
/// Gives what happened, in words: the minutes of each pause, `back`, and `-` for a call that was
/// refused.
#[track_caller]
fn check(calls: &str, want: &str) {
    let (mut breaker, mut now) = (Breaker::default(), MonoMs(5));
    let mut happened = Vec::new();
    for word in calls.split(' ') {
        if let Ok(minutes) = word.parse::<i64>() {
            now = MonoMs(now.0 + minutes * MINUTE);
            continue;
        }
        for call in word.chars() {
            if breaker.pause_left_ms(MODEL, now).is_some() {
                happened.push("-".to_owned());
                continue;
            }
            let change = match call {
                'x' => breaker.failed(MODEL, now),
                '.' => breaker.ended_in_time(MODEL),
                other => panic!("{other:?} is no call"),
            };
            happened.extend(change.map(|change| match change {
                Change::SetAside { pause_ms } => (pause_ms / MINUTE).to_string(),
                Change::Back => "back".to_owned(),
            }));
        }
    }
    assert_eq!(happened.join(" "), want, "{calls}");
}

#[test]
fn a_script_that_keeps_holding_the_hub_up_is_set_aside() {
    for (calls, want) in [
        ("....", ""),
        // Now and then is a busy machine's fault, half of the time is not.
        ("x..x..x..x..x..x..", ""),
        ("x.x.x.x.x.", "1 -"),
        ("xx.xx.xx.", "1 - - - -"),
        (".x.x.x.x.x", "1"),
        ("xxx", "1"),
        ("xxx x.x", "1 - - -"),
        // The end of a pause allows one try, and each pause is twice the last.
        ("xxx 1 x x", "1 2 -"),
        ("xxx 1 x 1 x 1 x", "1 2 - 4"),
        ("xxx 1 x 2 x 4 x 8 x 16 x 32 x 60 x 60 x 59 x", "1 2 4 8 16 32 60 60 60 -"),
        // A good try ends it, and it takes as many failures as at first, but the pauses go on growing
        ("xxx 1 .", "1 back"),
        ("xxx 1 .xx", "1 back"),
        ("xxx 1 .xxx 2 .xxx", "1 back 2 back 4"),
        ("xxx 1 .........xxx", "1 back 2"),
        // until it has been good for long.
        ("xxx 1 ..........xxx", "1 back 1"),
        ("xxx 1 .....x.....xxx", "1 back 2"),
    ] {
        check(calls, want);
    }
}

#[test]
fn each_script_is_judged_by_itself() {
    let mut breaker = Breaker::default();
    for at in 0..3 {
        breaker.failed(MODEL, MonoMs(at));
        assert_eq!(breaker.ended_in_time("custom/other"), None);
    }
    assert_eq!(breaker.pause_left_ms(MODEL, MonoMs(2)), Some(PAUSE_MS_MIN));
    assert_eq!(breaker.pause_left_ms(MODEL, MonoMs(1 + PAUSE_MS_MIN)), Some(1));
    assert_eq!(breaker.pause_left_ms(MODEL, MonoMs(2 + PAUSE_MS_MIN)), None);
    assert_eq!(breaker.pause_left_ms("custom/other", MonoMs(2)), None);
}

#[test]
fn only_what_takes_time_counts() {
    for (error, took_ms, want) in [
        (ScriptError::Deadline { ms: 250 }, 250, true),
        (ScriptError::Crashed, 1, true),
        (ScriptError::Memory, 100, false),
        (ScriptError::Memory, SLOW_MS, true),
        (ScriptError::Thrown("x".into()), SLOW_MS - 1, false),
        (ScriptError::NotRun("x".into()), 0, false),
        (ScriptError::Reported("x".into()), 3, false),
    ] {
        assert_eq!(holds_up(&error, took_ms), want, "{error:?} after {took_ms} ms");
    }
}
