use proptest::prelude::*;

use super::*;
use crate::clock::TestClock;
use crate::clock::estimate::{OUTAGE_MS_MAX, estimate};

/// Noon of a day after any build of this program.
const NOON: i64 = 4_000_000_000_000;
const HOUR: i64 = 3_600_000;
const MINUTE: i64 = 60_000;
const SYNCED: NtpState = NtpState::Synchronized { error_ms: 7 };

/// One look or word in a scenario; `at` is monotonic, `wall` what the system clock shows.
#[derive(Clone, Copy)]
enum Do {
    Look { at: i64, wall: i64, ntp: NtpState },
    Rtc { at: i64, wall: i64, rtc: i64 },
    Receiver { at: i64, now: i64 },
    Distrust { at: i64 },
}
use Do::{Distrust, Look, Receiver, Rtc};
use NtpState::Unsynchronized as OFF;

fn observation(step: Do) -> Observation {
    let (at, wall, ntp, rtc) = match step {
        Look { at, wall, ntp } => (at, wall, ntp, None),
        Rtc { at, wall, rtc } => (at, wall, OFF, Some(UnixMs(rtc))),
        Receiver { .. } | Distrust { .. } => unreachable!("a scenario begins with a look"),
    };
    Observation { mono: MonoMs(at), wall: UnixMs(wall), ntp, rtc }
}

/// Plays the steps and tells the events as words: "began 1 start", "placed 1 ntp <wall at mono 0>", ...
fn play(persisted: Option<i64>, steps: &[Do]) -> (Trust, Vec<String>) {
    let start = Start { segment: 1, boot_id: [7; 16], persisted: persisted.map(UnixMs) };
    let (mut trust, mut events) = Trust::begin(start, observation(steps[0]));
    for step in &steps[1..] {
        events.extend(match *step {
            Receiver { at, now } => {
                let (asked, answered) = (MonoMs(at - 100), MonoMs(at + 100));
                trust.receiver_says(ReceiverTime { now: UnixMs(now), asked, answered })
            }
            Distrust { at } => trust.distrust(MonoMs(at), HOUR),
            look => trust.observe(observation(look)),
        });
    }
    let words = events.iter().map(|event| match event {
        ClockEvent::Stepped { by_ms, .. } => format!("stepped {by_ms}"),
        ClockEvent::Began(boot) => format!("began {} {}", boot.segment, boot.reason.as_str()),
        ClockEvent::Placed { segment, placement } => format!(
            "placed {segment} {} {:+} ±{}",
            placement.quality.as_str(),
            placement.offset_ms - NOON,
            placement.uncertainty_ms
        ),
        ClockEvent::Refuted { segment, by_ms } => format!("refuted {segment} {by_ms}"),
        ClockEvent::Persist { wall } => format!("persist {:+}", wall.0 - NOON),
    });
    let words = words.collect();
    (trust, words)
}

#[track_caller]
fn check(persisted: Option<i64>, steps: &[Do], want: &[&str]) {
    assert_eq!(play(persisted, steps).1, want);
}

#[test]
fn a_clock_in_1970_is_not_believed_until_ntp_sets_it() {
    check(
        None,
        &[
            Look { at: 20_000, wall: 20_000, ntp: OFF },
            Look { at: 21_000, wall: 21_000, ntp: OFF },
            Look { at: 80_000, wall: NOON + 80_000, ntp: SYNCED },
        ],
        &[
            "began 1 start",
            &format!("stepped {NOON}"),
            "began 2 step",
            "placed 2 ntp +0 ±7",
            "persist +80000",
        ],
    );
    // Even if the kernel claims to be synchronized: the program was not built in the future.
    check(None, &[Look { at: 0, wall: 5_000, ntp: SYNCED }], &["began 1 start"]);
}

#[test]
fn what_vouches_and_what_does_not() {
    check(None, &[Look { at: 0, wall: NOON, ntp: OFF }], &["began 1 start"]);
    check(None, &[Look { at: 0, wall: NOON, ntp: NtpState::Unknown }], &["began 1 start"]);
    check(
        None,
        &[Look { at: 0, wall: NOON, ntp: SYNCED }],
        &["began 1 start", "placed 1 ntp +0 ±7", "persist +0"],
    );
    // An RTC places but is not enough to keep its time as known.
    check(None, &[Rtc { at: 0, wall: NOON, rtc: NOON - 900 }], &["began 1 start", "placed 1 rtc +0 ±60000"]);
    check(Some(NOON + 1), &[Rtc { at: 0, wall: NOON, rtc: NOON }], &["began 1 start"]);
    // Without a battery: the RTC shows 1970 while the system restored the time of the last shutdown.
    check(Some(NOON), &[Rtc { at: 0, wall: NOON + 5, rtc: 3_000 }], &["began 1 start"]);
    check(Some(NOON + HOUR), &[Look { at: 0, wall: NOON, ntp: SYNCED }], &["began 1 start"]);
}

#[test]
fn a_played_time_is_right_though_it_lies_before_the_build_and_what_was_kept() {
    let played = Look { at: 0, wall: NOON - HOUR, ntp: NtpState::Played };
    check(Some(NOON), &[played], &["began 1 start", "placed 1 ntp -3600000 ±0"]);
    let long_ago = Look { at: 0, wall: 5_000, ntp: NtpState::Played };
    let (trust, _) = play(None, &[long_ago]);
    assert_eq!(trust.wall(MonoMs(60_000)), Some(UnixMs(65_000)));
}

#[test]
fn steps_begin_segments() {
    let start = Look { at: 0, wall: NOON, ntp: SYNCED };
    let begun = ["began 1 start", "placed 1 ntp +0 ±7", "persist +0"];
    for (wall, ntp, want) in [
        (NOON + MINUTE + STEP_MS_TOLERANCE, SYNCED, vec![]),
        (NOON + MINUTE - STEP_MS_TOLERANCE, OFF, vec![]),
        // Forward, by the daemon.
        (NOON + 2 * MINUTE, SYNCED, vec!["stepped 60000", "began 2 step", "placed 2 ntp +60000 ±7"]),
        // Back, by the daemon, but not to before what is known to be past.
        (NOON + 30_000, SYNCED, vec!["stepped -30000", "began 2 step", "placed 2 ntp -30000 ±7"]),
        // Forward and back by hand: what the monotonic clock tells still holds.
        (NOON + 9 * HOUR, OFF, vec!["stepped 32340000", "began 2 step", "placed 2 ntp +0 ±7"]),
        (NOON - 9 * HOUR, OFF, vec!["stepped -32460000", "began 2 step", "placed 2 ntp +0 ±7"]),
        (NOON - 9 * HOUR, SYNCED, vec!["stepped -32460000", "began 2 step", "placed 2 ntp +0 ±7"]),
    ] {
        let want: Vec<&str> = begun.into_iter().chain(want).collect();
        check(None, &[start, Look { at: MINUTE, wall, ntp }], &want);
    }
    // Small steps add up.
    let drip = |at: i64, by: i64| Look { at, wall: NOON + at + by, ntp: OFF };
    check(
        None,
        &[start, drip(1_000, 300), drip(2_000, 600)],
        &[&begun[..], &["stepped 600", "began 2 step", "placed 2 ntp +0 ±7"]].concat(),
    );
}

#[test]
fn a_step_inside_a_commit_window_leaves_each_frame_its_segment() {
    let steps =
        [Look { at: 1_000, wall: 1_000, ntp: OFF }, Look { at: 5_000, wall: NOON + 5_000, ntp: SYNCED }];
    let (trust, _) = play(None, &steps);
    for (mono, segment) in [(1_000, 1), (4_999, 1), (5_000, 2), (6_000, 2), (0, 1)] {
        assert_eq!(trust.stamp(MonoMs(mono)), Stamp { segment, mono: MonoMs(mono) });
    }
    assert_eq!(trust.wall(MonoMs(6_000)), Some(UnixMs(NOON + 6_000)));
}

#[test]
fn the_receiver_outranks_every_clock() {
    let wrong = [Look { at: 0, wall: NOON + HOUR, ntp: SYNCED }, Receiver { at: MINUTE, now: NOON + MINUTE }];
    check(
        None,
        &wrong,
        &[
            "began 1 start",
            "placed 1 ntp +3600000 ±7",
            "persist +3600000",
            "refuted 1 3600000",
            "began 2 refuted",
            "placed 2 receiver +0 ±101",
            // It undercuts the time that was kept by mistake.
            "persist +60100",
        ],
    );
    // Nothing else vouches; the system clock may stay wrong for ever, and may be stepped about.
    check(
        None,
        &[
            Look { at: 0, wall: 0, ntp: OFF },
            Receiver { at: MINUTE, now: NOON + MINUTE },
            Look { at: 2 * MINUTE, wall: NOON + 9 * HOUR, ntp: SYNCED },
        ],
        &[
            "began 1 start",
            "placed 1 receiver +0 ±101",
            "persist +60100",
            &format!("stepped {}", NOON + 9 * HOUR - 2 * MINUTE),
            "began 2 step",
            "placed 2 receiver +0 ±101",
        ],
    );
}

#[test]
fn a_batch_in_the_future_ends_the_trust_until_the_receiver_speaks() {
    let start = Look { at: 0, wall: NOON + HOUR, ntp: SYNCED };
    let again = Look { at: 2_000, wall: NOON + HOUR + 2_000, ntp: SYNCED };
    check(
        None,
        &[start, Distrust { at: 1_000 }, again, Receiver { at: 3_000, now: NOON + 3_000 }],
        &[
            "began 1 start",
            "placed 1 ntp +3600000 ±7",
            "persist +3600000",
            "refuted 1 3600000",
            "began 2 refuted",
            "placed 2 receiver +0 ±101",
            "persist +3100",
        ],
    );
    let (trust, _) = play(None, &[start, Distrust { at: 1_000 }, again]);
    assert_eq!(trust.wall(MonoMs(2_000)), None);
}

#[test]
fn the_largest_time_is_kept_every_ten_minutes_while_vouched() {
    let look = |minutes: i64, ntp| Look { at: minutes * MINUTE, wall: NOON + minutes * MINUTE, ntp };
    check(
        None,
        &[look(0, SYNCED), look(9, SYNCED), look(10, SYNCED), look(25, OFF), look(30, SYNCED)],
        &["began 1 start", "placed 1 ntp +0 ±7", "persist +0", "persist +600000", "persist +1800000"],
    );
    let (mut trust, _) = play(None, &[look(0, SYNCED)]);
    let last = trust.finish(observation(look(3, SYNCED)));
    assert_eq!(last, [ClockEvent::Persist { wall: UnixMs(NOON + 3 * MINUTE) }]);
    assert_eq!(trust.floor(), UnixMs(NOON + 3 * MINUTE));
}

#[test]
fn the_rtc_is_asked_only_while_the_time_is_unknown() {
    let clock = TestClock::new(MonoMs(0), UnixMs(NOON));
    clock.set_ntp(OFF);
    let start = Start { segment: 1, boot_id: [7; 16], persisted: None };
    let (mut trust, _) = Trust::begin(start, Observation::of(&clock));
    assert_eq!(trust.look(&clock), []);
    clock.set_rtc(Some(UnixMs(NOON)));
    let placed = trust.look(&clock);
    assert!(matches!(placed[..], [ClockEvent::Placed { segment: 1, .. }]), "{placed:?}");
    clock.step(HOUR);
    clock.set_rtc(Some(UnixMs(NOON + HOUR)));
    let stepped = trust.look(&clock);
    let quality = trust.boot().placement.map(|placement| placement.quality);
    assert_eq!((stepped.len(), quality), (3, Some(Quality::Rtc)), "{stepped:?}");
}

/// A row of `hub_boots`: segment, boot, first and last monotonic ms, floor, and offset if placed (by NTP).
type Row = (u32, u8, BootReason, i64, i64, i64, Option<i64>);

#[track_caller]
fn check_estimate(rows: &[Row], want: &[(u32, &str, i64, i64)]) {
    let boots: Vec<Boot> = rows
        .iter()
        .map(|&(segment, boot, reason, first, last, floor, offset)| Boot {
            segment,
            boot_id: [boot; 16],
            reason,
            first_mono: MonoMs(first),
            last_mono: MonoMs(last),
            floor: UnixMs(NOON + floor),
            placement: offset.map(|offset| Placement {
                offset_ms: NOON + offset,
                quality: Quality::Ntp,
                uncertainty_ms: 7,
            }),
        })
        .collect();
    let got: Vec<_> = estimate(&boots)
        .into_iter()
        .map(|(segment, it)| (segment, it.quality.as_str(), it.offset_ms - NOON, it.uncertainty_ms))
        .collect();
    assert_eq!(got, want);
}

#[test]
fn untrusted_segments_are_placed_when_trust_comes() {
    use BootReason::{Refuted, Start, Step};
    // Set by NTP an hour after the boot: the hour before is placed exactly (give or take the drift).
    check_estimate(
        &[(1, 1, Start, 20_000, HOUR, 0, None), (2, 1, Step, HOUR + 20_000, 2 * HOUR, 0, Some(55))],
        &[(1, "ntp", 55, 7 + 360)],
    );
    // Two power cuts before the first trust: 7 h lie between the kept time and the third boot, of which 1 h and 2 h were
    // lived; the other 4 h are shared among three outages.
    check_estimate(
        &[
            (1, 1, Start, 0, HOUR, -7 * HOUR, Some(-8 * HOUR)),
            (2, 2, Start, 9_000, HOUR, -7 * HOUR, None),
            (3, 3, Start, 9_000, HOUR, -7 * HOUR, None),
            (4, 3, Step, HOUR, 2 * HOUR, -7 * HOUR, None),
            (5, 4, Start, 9_000, 10_000, -7 * HOUR, Some(0)),
        ],
        &[
            (2, "estimated", -7 * HOUR + 80 * MINUTE, 160 * MINUTE),
            (3, "estimated", -6 * HOUR + 160 * MINUTE, 160 * MINUTE),
            (4, "estimated", -6 * HOUR + 160 * MINUTE, 160 * MINUTE),
        ],
    );
    // A box fresh from the shelf: only the build is known before, but it was not switched on half a year ago.
    check_estimate(
        &[(1, 1, Start, 0, HOUR, -4_000 * HOUR, None), (2, 2, Start, 0, 1, -4_000 * HOUR, Some(0))],
        &[(1, "estimated", -HOUR - OUTAGE_MS_MAX / 2, 3_999 * HOUR - OUTAGE_MS_MAX / 2)],
    );
    // Still untrusted: nothing to go by.
    check_estimate(&[(1, 1, Start, 0, HOUR, 0, Some(0)), (2, 2, Start, 0, 1, 0, None)], &[]);
    // A floor that cannot be: packed against the next boot.
    check_estimate(
        &[(1, 1, Start, 0, HOUR, 3 * HOUR, None), (2, 2, Start, 0, 1, 0, Some(0))],
        &[(1, "estimated", -HOUR, 4 * HOUR)],
    );
    // After a refutation the placement before is no guide, the one after is.
    check_estimate(
        &[(1, 1, Start, 0, HOUR, 0, Some(9 * HOUR)), (2, 1, Refuted, HOUR, 2 * HOUR, 0, None)],
        &[],
    );
    check_estimate(
        &[(1, 1, Start, 0, HOUR, 0, None), (2, 1, Refuted, 0, 2 * HOUR, 0, Some(3))],
        &[(1, "ntp", 3, 7)],
    );
}

/// One second to an hour passes, then something happens.
#[derive(Clone, Debug)]
enum Happens {
    Step(i64),
    Ntp(bool),
    Rtc(Option<i64>),
    Receiver(i64),
    Distrust,
    Restart,
    Nothing,
}

fn happens() -> impl Strategy<Value = Happens> {
    let step = prop_oneof![-3 * HOUR..3 * HOUR, -600i64..600];
    prop_oneof![
        step.prop_map(Happens::Step),
        any::<bool>().prop_map(Happens::Ntp),
        proptest::option::of(-2 * HOUR..2 * HOUR).prop_map(Happens::Rtc),
        (-2 * HOUR..2 * HOUR).prop_map(Happens::Receiver),
        Just(Happens::Distrust),
        Just(Happens::Restart),
        Just(Happens::Nothing),
    ]
}

proptest! {
    /// Whatever the clocks do: segments follow each other, are placed once, never before what is known to be past, and
    /// every moment belongs to the segment that was open then.
    #[test]
    fn segments_are_in_order_and_placed_once(steps in proptest::collection::vec((1_000..HOUR, happens()), 1..60)) {
        let clock = TestClock::new(MonoMs(0), UnixMs(NOON));
        clock.set_ntp(OFF);
        let mut start = Start { segment: 1, boot_id: [7; 16], persisted: None };
        let (mut trust, mut all) = Trust::begin(start, Observation::of(&clock));
        let mut rows: Vec<Boot> = Vec::new();
        for (ms, what) in steps {
            clock.advance(ms);
            let now = clock.mono();
            all.extend(match what {
                Happens::Step(by) => {
                    clock.step(by);
                    trust.look(&clock)
                }
                Happens::Ntp(on) => {
                    clock.set_ntp(if on { SYNCED } else { OFF });
                    trust.look(&clock)
                }
                Happens::Rtc(by) => {
                    clock.set_rtc(by.map(|by| UnixMs(NOON + by)));
                    trust.look(&clock)
                }
                Happens::Receiver(by) => {
                    let time = ReceiverTime { now: UnixMs(NOON + now.0 + by), asked: now, answered: now };
                    let events = trust.receiver_says(time);
                    let apart = trust.wall(now).expect("the receiver's word is enough").0 - time.now.0;
                    prop_assert!(apart.abs() <= CONTRADICTION_MS);
                    events
                }
                Happens::Distrust => {
                    let events = trust.distrust(now, HOUR);
                    prop_assert_eq!(trust.wall(now), None);
                    events
                }
                Happens::Restart => {
                    start.segment = trust.boot().segment + 1;
                    start.persisted = Some(trust.floor());
                    let (next, events) = Trust::begin(start, Observation::of(&clock));
                    trust = next;
                    events
                }
                Happens::Nothing => trust.look(&clock),
            });
            prop_assert_eq!(trust.stamp(now).segment, trust.boot().segment);
            for event in all.drain(..) {
                match event {
                    ClockEvent::Began(boot) => {
                        prop_assert_eq!(boot.segment as usize, rows.len() + 1);
                        prop_assert!(rows.last().is_none_or(|last| last.first_mono <= boot.first_mono));
                        rows.push(boot);
                    }
                    ClockEvent::Placed { segment, placement } => {
                        let row = rows.last_mut().expect("a segment began");
                        prop_assert_eq!((row.segment, row.placement), (segment, None));
                        row.placement = Some(placement);
                    }
                    ClockEvent::Persist { wall } => prop_assert_eq!(wall, trust.floor()),
                    ClockEvent::Stepped { by_ms, .. } => prop_assert!(by_ms.abs() > STEP_MS_TOLERANCE),
                    ClockEvent::Refuted { segment, .. } => prop_assert!(segment as usize <= rows.len()),
                }
            }
        }
        // What was not believed is placed by what was, and nothing that is placed moves.
        for (segment, _) in estimate(&rows) {
            prop_assert_eq!(rows[segment as usize - 1].placement, None);
        }
    }
}
