//! When a group closes, what a commit writes, and what it acknowledges.

use super::*;

const LOGGED: &str = "SELECT count(*) FROM hub_log";

#[test]
fn a_group_closes_by_time_frames_or_waiting_brokers() {
    let mut hub = Hub::with_fridge();
    hub.hear(climate(1, 1, 400));
    hub.pass(WINDOW - 1);
    assert_eq!(hub.row(LOGGED), "0");
    hub.pass(1);
    assert_eq!(hub.row(LOGGED), "1", "by time");

    for counter in 2..=257 {
        assert_eq!(hub.row(LOGGED), "1");
        hub.hear(climate(1, counter, 400));
    }
    assert_eq!(hub.row(LOGGED), "257", "by frames");

    for message in 0..7 {
        hub.hear(acked(climate(1, 300 + message as u32, 400), 1, message));
        assert_eq!(hub.acks, Vec::<u64>::new());
    }
    assert_eq!(hub.row(LOGGED), "257");
    hub.hear(acked(climate(1, 400, 400), 1, 7));
    assert_eq!(hub.row(LOGGED), "265", "by unacknowledged messages");
    assert_eq!(hub.acks, (0..8).collect::<Vec<u64>>());
}

#[test]
fn whoever_commits_the_acknowledgement_leaves() {
    let mut hub = Hub::with_fridge();
    hub.hear(acked(climate(1, 1, 400), 1, 1));
    assert_eq!(hub.acks, Vec::<u64>::new());
    hub.add_unit("Other", "fridge");
    assert_eq!(hub.row(LOGGED), "1");
    hub.tick();
    assert_eq!(hub.acks, [1]);
    // Strangers' and refused messages are committed and acknowledged too.
    hub.hear(acked(climate(5, 1, 400), 1, 2));
    hub.hear(acked(climate(1, 1, 400), 1, 3));
    hub.commit();
    assert_eq!(hub.acks, [1, 2, 3]);
    // Nothing that was not committed.
    hub.hear(acked(climate(1, 9, 400), 1, 4));
    hub.cut_power();
    hub.start();
    hub.commit();
    assert_eq!(hub.acks, Vec::<u64>::new());
}

#[test]
fn a_normal_frame_writes_two_rows_and_nothing_else() {
    let mut hub = Hub::with_fridge();
    hub.hear(climate(1, 1, 400));
    hub.commit();
    let before = hub.tables();
    hub.hear(climate(1, 2, 410));
    hub.commit();
    let after = hub.tables();
    let changed: Vec<(&str, i64)> = after
        .iter()
        .filter(|(name, rows)| before[*name] != **rows)
        .map(|(name, rows)| (name.as_str(), rows.0 as i64 - before[name].0 as i64))
        .collect();
    assert_eq!(changed, [("hub_frames", 1), ("hub_log", 1)]);
}

#[test]
fn an_alert_does_not_wait() {
    let mut hub = Hub::with_fridge();
    hub.hear(climate(1, 1, 400));
    hub.hear(climate(1, 2, 900));
    assert_eq!(hub.row(LOGGED), "2", "committed at once");
    assert_eq!(hub.alerts(), ["alarm_active|warning|active"]);
    assert_eq!(hub.row("SELECT status, last_temperature FROM units"), "excursion|-");
    for counter in 3..14 {
        hub.pass(MINUTE);
        hub.hear(climate(1, counter, 900));
    }
    assert_eq!(hub.alerts(), ["alarm_active|critical|active"]);
    assert_eq!(hub.shown(1), "alarm_active");
    for counter in 14..17 {
        hub.pass(MINUTE);
        hub.hear(climate(1, counter, 300));
    }
    assert_eq!(hub.alerts(), ["alarm_active|critical|resolved"]);
    hub.check_audit();
}

#[test]
fn the_audit_chain_holds_over_restarts_and_epochs() {
    let mut hub = Hub::with_fridge();
    hub.hear(climate(1, 1, 900));
    hub.check_audit();
    hub.cut_power();
    hub.start();
    hub.check_audit();
    hub.core().rewind("the receiver has other batches").unwrap();
    hub.check_audit();
    hub.hear(climate(1, 2, 900));
    hub.reboot(MINUTE);
    hub.hear(climate(1, 3, 900));
    hub.stop();
    hub.start();
    hub.commit();
    hub.check_audit();
    assert_eq!(hub.row("SELECT count(*) FROM hub_epochs"), "2");
    let began = "SELECT json_extract(e.payload, '$.former_head') IS NOT NULL FROM hub_audit AS a
        JOIN event_logs AS e ON e.id = a.event_id WHERE a.seq = 1 ORDER BY a.epoch_no";
    assert_eq!(hub.rows(began), ["0", "1"], "the second names the head of the first");
    assert_eq!(hub.alerts().len(), 1, "one alarm, over restarts and epochs");
}
