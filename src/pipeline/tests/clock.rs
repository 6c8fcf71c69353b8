//! Wall time that is not known, comes, jumps and turns out wrong.

use frostguard_sync::wire::{self, Body, Lane};

use super::*;
use crate::clock::trust::ReceiverTime;
use crate::clock::{Clock, NtpState};

const BYTES_MAX: usize = 1 << 20;
/// Where a box without a battery begins.
const WALL_1970: i64 = 10 * SECOND;

/// True wall time of the monotonic time `mono`, in a test whose first boot was at `NOW`.
fn true_wall(mono: i64) -> i64 {
    NOW + mono
}

/// A box without a battery and without a network, ten seconds after its boot: a fridge with its sensor, enrolled.
fn lost() -> Hub {
    let clock = TestClock::new(MonoMs(10 * SECOND), UnixMs(WALL_1970));
    clock.set_ntp(NtpState::Unsynchronized);
    let mut hub = Hub::with_clock(clock);
    hub.add_unit("Fridge", "fridge");
    hub.pair(1, "Fridge");
    enrol(&mut hub);
    hub
}

fn enrol(hub: &mut Hub) {
    hub.core()
        .store
        .connection()
        .execute(
            "INSERT INTO hub_link (no, hub_id, site_id, organization_id, receiver_url, receiver_key, credential_digest,
                history_from_ms)
             SELECT 1, h.id, s.id, s.organization_id, 'https://x', zeroblob(32), zeroblob(32), 0
             FROM hubs AS h JOIN sites AS s ON s.id = h.site_id",
            [],
        )
        .unwrap();
}

/// Sends what can be sent; the readings' times, in the order of the log.
fn upload(hub: &mut Hub) -> Vec<i64> {
    let mut sent = Vec::new();
    loop {
        while let Some(batch) = hub.core().next_batch(Lane::State, BYTES_MAX).unwrap() {
            hub.core().acknowledge(Lane::State, batch.seq, &[]).unwrap();
        }
        let Some(batch) = hub.core().next_batch(Lane::Readings, BYTES_MAX).unwrap() else { break };
        let Body::Readings(readings) = wire::decode(&batch.body).unwrap().body else { panic!("lane 1") };
        sent.extend(readings.rows.iter().map(|row| (row.seq, row.recorded_ms)));
        hub.core().acknowledge(Lane::Readings, batch.seq, &[]).unwrap();
    }
    sent.sort_unstable();
    sent.into_iter().map(|(_, recorded)| recorded).collect()
}

fn mono(hub: &Hub) -> i64 {
    hub.clock.mono().0
}

/// The system clock is set right, by NTP.
fn find_time(hub: &mut Hub, true_ms: i64) {
    hub.clock.set_wall(UnixMs(true_ms));
    hub.clock.set_ntp(NtpState::Synchronized { error_ms: 5 });
}

fn receiver_says(hub: &mut Hub, true_ms: i64) {
    let mono = hub.clock.mono();
    hub.core().receiver_time(ReceiverTime { now: UnixMs(true_ms), asked: mono, answered: mono }).unwrap();
}

#[test]
fn readings_wait_until_the_time_is_known() {
    for by_ntp in [true, false] {
        let mut hub = lost();
        hub.hear(climate(1, 1, 400));
        let first = mono(&hub);
        hub.pass(MINUTE);
        hub.hear(climate(1, 2, 900));
        let second = mono(&hub);
        hub.pass(MINUTE);
        assert_eq!(hub.row("SELECT count(*) FROM hub_log"), "2");
        assert_eq!(upload(&mut hub), Vec::<i64>::new(), "1970 goes nowhere");
        assert_ne!(hub.row("SELECT count(*) FROM hub_unplaced"), "0");
        assert_eq!(hub.alerts(), ["alarm_active|warning|active"], "judged all the same");

        let now = true_wall(mono(&hub));
        if by_ntp {
            find_time(&mut hub, now);
        } else {
            receiver_says(&mut hub, now);
        }
        hub.commit();
        assert_eq!(hub.row("SELECT count(*) FROM hub_unplaced"), "0");
        assert_eq!(hub.row("SELECT triggered_at FROM alerts"), true_wall(second).to_string());
        let early = format!("SELECT count(*) FROM event_logs WHERE occurred_at < {}", true_wall(0));
        assert_eq!(hub.row(&early), "0");
        let late = format!("SELECT count(*) FROM event_logs WHERE occurred_at > {}", true_wall(mono(&hub)));
        assert_eq!(hub.row(&late), "0");
        assert_eq!(upload(&mut hub), [true_wall(first), true_wall(second)]);
        hub.check_audit();
    }
}

#[test]
fn a_step_of_the_clock_moves_only_what_comes_after() {
    // A step forward by NTP is believed; one back behind what was known is not.
    for (step, want) in [(60 * MINUTE, 60 * MINUTE), (-60 * MINUTE, 0)] {
        let mut hub = Hub::with_fridge();
        enrol(&mut hub);
        let offset = NOW - 10 * SECOND;
        hub.hear(climate(1, 1, 400));
        let first = mono(&hub);
        // Inside the commit window.
        hub.clock.step(step);
        hub.pass(2 * SECOND);
        hub.hear(climate(1, 2, 400));
        let second = mono(&hub);
        hub.commit();
        assert_eq!(hub.row("SELECT count(*) FROM hub_boots WHERE reason = 'step'"), "1");
        assert_eq!(hub.rows("SELECT DISTINCT segment FROM hub_log ORDER BY 1").len(), 2);
        assert_eq!(upload(&mut hub), [first + offset, second + offset + want], "{step}");
        assert_eq!(hub.row("SELECT count(*) FROM event_logs WHERE event_type LIKE '%clock%'"), "1");
        hub.check_audit();
    }
}

#[test]
fn a_step_costs_no_judging_time() {
    for step in [600 * MINUTE, -600 * MINUTE] {
        let mut hub = Hub::with_fridge();
        hub.hear(climate(1, 1, 400));
        hub.hear(climate(1, 2, 900));
        for counter in 3..12 {
            hub.clock.step(if counter == 5 { step } else { 0 });
            hub.pass(MINUTE);
            hub.hear(climate(1, counter, 900));
            assert_eq!(hub.alerts(), ["alarm_active|warning|active"], "{step}");
        }
        hub.pass(MINUTE);
        hub.hear(climate(1, 99, 900));
        assert_eq!(hub.alerts(), ["alarm_active|critical|active"], "{step}");
    }
}

#[test]
fn two_power_cuts_before_the_time_is_known() {
    let mut hub = lost();
    let mut heard = vec![mono(&hub)];
    hub.hear(climate(1, 1, 400));
    hub.commit();
    let mut booted = 0;
    for (counter, off) in [(2, 5 * MINUTE), (3, 7 * MINUTE)] {
        hub.cut_power();
        // True time as monotonic time of the first boot.
        booted += mono(&hub) + off;
        hub.clock.reboot([counter as u8 + 1; 16], MonoMs(0), UnixMs(WALL_1970));
        hub.start();
        hub.pass(MINUTE);
        heard.push(booted + mono(&hub));
        hub.hear(climate(1, counter, 400));
        hub.commit();
        assert_eq!(upload(&mut hub), Vec::<i64>::new());
    }
    let now = true_wall(booted + mono(&hub));
    receiver_says(&mut hub, now);
    hub.commit();
    assert_eq!(hub.row("SELECT count(*) FROM hub_boots WHERE offset_ms IS NULL"), "0");
    assert_eq!(hub.row("SELECT count(*) FROM hub_unplaced"), "0");
    let sent = upload(&mut hub);
    assert!(sent.is_sorted() && sent.len() == 3, "{sent:?}");
    assert_eq!(sent[2], true_wall(heard[2]), "of the boot that was placed");
    assert!(sent[0] >= crate::clock::BUILD_TIME.0 && sent[1] <= sent[2] - MINUTE, "{sent:?}");
    hub.check_audit();
}

#[test]
fn a_refused_batch_ends_trust() {
    // NTP is wrong by two hours.
    let wrong = 120 * MINUTE;
    let mut hub =
        Hub::with_clock(TestClock::new(MonoMs(10 * SECOND), UnixMs(true_wall(10 * SECOND) + wrong)));
    hub.add_unit("Fridge", "fridge");
    hub.pair(1, "Fridge");
    enrol(&mut hub);
    while let Some(batch) = hub.core().next_batch(Lane::State, BYTES_MAX).unwrap() {
        hub.core().acknowledge(Lane::State, batch.seq, &[]).unwrap();
    }
    hub.hear(climate(1, 1, 400));
    let first = mono(&hub);
    hub.commit();
    assert!(hub.core().next_batch(Lane::Readings, BYTES_MAX).unwrap().is_some());
    let now = true_wall(mono(&hub));
    hub.core().refuted(UnixMs(now)).unwrap();
    assert!(!hub.core().is_time_trusted());
    hub.pass(MINUTE);
    hub.hear(climate(1, 2, 400));
    let second = mono(&hub);
    hub.commit();
    assert_eq!(upload(&mut hub), Vec::<i64>::new(), "NTP is not believed any more");
    let now = true_wall(mono(&hub));
    receiver_says(&mut hub, now);
    hub.commit();
    assert_eq!(upload(&mut hub), [true_wall(first), true_wall(second)]);
    hub.check_audit();
}
