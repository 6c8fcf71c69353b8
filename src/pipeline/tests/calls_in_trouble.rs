//! Calls when something else goes wrong too: an outage, a clock, a disk, a modem that is gone.

use super::{Hub, MINUTE, SECOND, climate};
use crate::domain::{Severity, Source};
use crate::frame::SourceEvent;
use crate::notify::{Channel, Failure};
use crate::pipeline::dispatch::Dispatch;
use crate::power::PowerEvent;

#[test]
fn an_outage_that_nobody_takes_is_repeated() {
    let mut hub = Hub::with_people();
    hub.hear(climate(1, 1, 300));
    hub.core().hear(SourceEvent::Down { source: Source::Lorawan, port: "lns".into(), reason: "away".into() });
    let mut told = Vec::new();
    for minute in 0..360 {
        hub.pass(MINUTE);
        told.extend(
            hub.send_all(Channel::Sms)
                .into_iter()
                .map(|message| (minute, message.recipient, message.subject)),
        );
    }
    let ana =
        told.iter().filter(|(_, to, subject)| to == "+385911234567" && subject.contains("CRITICAL")).count();
    // Level 1, 2, 3, and every hour after it.
    assert!(ana >= 3, "{told:?}");
}

#[test]
fn an_outage_after_a_restart_is_told_though_one_of_last_week_was() {
    let mut hub = Hub::with_people();
    hub.hear(climate(1, 1, 300));
    hub.core().hear(SourceEvent::Down { source: Source::Lorawan, port: "lns".into(), reason: "away".into() });
    hub.pass(20 * MINUTE);
    assert_eq!(hub.send_all(Channel::Sms).len(), 1);
    hub.core().hear(SourceEvent::Up { source: Source::Lorawan, port: "lns".into() });
    for counter in 2..200 {
        hub.hear(climate(1, counter, 300));
        hub.pass(MINUTE);
        hub.send_all(Channel::Sms);
    }
    assert_eq!(hub.alerts().iter().filter(|alert| !alert.contains("resolved")).count(), 0);
    // A sensor of a serial port is paired with it.
    hub.core().store.connection().execute("UPDATE hub_devices SET port = 'lns'", []).unwrap();
    hub.reboot(60 * MINUTE);
    hub.core().hear(SourceEvent::Down {
        source: Source::Lorawan,
        port: "lns".into(),
        reason: "no adapter".into(),
    });
    let mut told = Vec::new();
    for _ in 0..25 {
        hub.pass(MINUTE);
        told.extend(hub.send_all(Channel::Sms));
    }
    assert!(hub.alerts().contains(&"monitoring_interrupted|warning|active".to_owned()), "{:?}", hub.alerts());
    assert_eq!(told.len(), 1, "{:?}", hub.deliveries());
}

#[test]
fn a_warning_taken_before_it_is_confirmed_stays_taken() {
    let mut hub = Hub::with_people();
    hub.add_unit("Freezer", "freezer");
    hub.pair(2, "Freezer");
    hub.hear(climate(2, 1, -3000));
    hub.pass(MINUTE);
    hub.ask(serde_json::json!({ "request": "alerts_ack", "alerts": ["Freezer"] }));
    for counter in 2..60 {
        hub.hear(climate(1, counter, 300));
        hub.hear(climate(2, counter, -3000));
        hub.pass(MINUTE);
        assert_eq!(hub.send_all(Channel::Sms), []);
    }
    assert_eq!(hub.alerts(), ["alarm_active|warning|acknowledged"]);
    let confirmed = "SELECT count(*) FROM event_logs WHERE event_type = 'alert_raised'";
    assert_eq!(hub.row(confirmed), "1", "it was confirmed meanwhile");
}

#[test]
fn the_times_of_a_delivery_wait_for_the_clock() {
    let mut hub = Hub::with_people();
    hub.alarm(1);
    hub.cut_power();
    hub.clock.reboot([99; 16], crate::domain::MonoMs(0), crate::domain::UnixMs(0));
    hub.start();
    hub.pass(MINUTE);
    assert!(!hub.core().is_time_trusted());
    assert_eq!(hub.send_all(Channel::Sms).len(), 1);
    let row = hub.row(
        "SELECT (SELECT count(*) FROM hub_unplaced WHERE table_name = 'notification_deliveries'), sent_at >= scheduled_at
         FROM notification_deliveries WHERE channel = 'sms'",
    );
    assert_ne!(row.split('|').next(), Some("0"), "sent_at of an untrusted clock is final: {row}");
}

#[test]
fn an_sms_says_all_that_is_marked_as_sent() {
    let mut hub = Hub::with_people();
    for no in 2..=10 {
        hub.add_unit(&format!("Walk-in cooler {no}"), "walk_in_cooler");
        hub.pair(no, &format!("Walk-in cooler {no}"));
    }
    for minute in 0..=10 {
        for no in 1..=10 {
            hub.hear(climate(no, 1 + minute, 900));
        }
        hub.pass(MINUTE);
    }
    let sent = hub.send_all(Channel::Sms);
    // Four parts of the default alphabet; what is beyond is cut off by the modem.
    assert!(sent.iter().all(|message| message.text.chars().count() <= 612), "{:?}", sent[0].text);
}

#[test]
fn an_alarm_can_be_taken_while_the_disk_refuses() {
    let mut hub = Hub::with_people();
    for minute in 0..5 {
        hub.hear(climate(1, 1 + minute, 300));
        hub.pass(MINUTE);
    }
    hub.core().store.connection().pragma_update(None, "query_only", true).unwrap();
    for minute in 0..=11 {
        hub.hear(climate(1, 10 + minute, 900));
        hub.pass(MINUTE);
    }
    assert_eq!(hub.core().board().sound, Some(Severity::Critical));
    let taken = hub.try_ask(serde_json::json!({ "request": "alerts_ack", "alerts": ["Fridge"] }));
    assert!(taken.is_ok(), "{:?}", taken.map_err(|error| format!("{error:#}")));
}

#[test]
fn a_modem_that_was_taken_away_leaves_nothing_waiting_for_ever() {
    let mut hub = Hub::with_people();
    hub.alarm(1);
    hub.stop();
    hub.notify.has_modem = false;
    hub.start();
    for _ in 0..30 {
        hub.pass(24 * 60 * MINUTE / 24);
    }
    assert_eq!(
        hub.row("SELECT count(*) FROM hub_deliveries WHERE channel = 'sms' AND status = 'pending'"),
        "0"
    );
}

#[test]
fn an_acknowledgement_after_the_clock_went_back_stands_in_the_row_too() {
    let mut hub = Hub::with_people();
    hub.alarm(1);
    hub.commit();
    hub.clock.step(-60 * MINUTE);
    hub.hear(climate(1, 100, 900));
    hub.pass(MINUTE);
    hub.ask(serde_json::json!({ "request": "alerts_ack", "alerts": ["Fridge"] }));
    assert_eq!(hub.core().board().calling, None, "the calls have stopped");
    assert_eq!(hub.alerts(), ["alarm_active|critical|acknowledged"]);
}

#[test]
fn an_alert_that_the_rules_forgot_is_ended() {
    let mut hub = Hub::with_people();
    hub.alarm(1);
    hub.commit();
    // As after an update that reads neither the checkpoints nor the inputs of the version before.
    let sql = "DELETE FROM hub_checkpoints; UPDATE hub_inputs SET body = x'01'";
    hub.core().store.connection().execute_batch(sql).unwrap();
    hub.reboot(MINUTE);
    hub.pass(SECOND);
    assert_eq!(hub.alerts(), ["alarm_active|critical|resolved"]);
    assert_eq!(hub.core().board().light, None, "the lamp goes out");
}

#[test]
fn the_address_of_a_person_does_not_stand_in_the_chain() {
    let mut hub = Hub::with_people();
    hub.alarm(1);
    while let Dispatch::Send { ids, .. } = hub.core().next_dispatch(Channel::Email, None) {
        let refused = "the mail server: 550 5.1.1 <ana@kitchen.example>: no such user";
        hub.core().dispatched(&ids, &Err(Failure::Never(refused.into())));
    }
    hub.commit();
    let row = hub.row("SELECT payload FROM event_logs WHERE event_type = 'call_failed'");
    assert!(!row.contains("ana@"), "{row}");
}

#[test]
fn the_return_of_the_mains_is_noted_though_the_disk_refuses() {
    let mut hub = Hub::with_people();
    let mono = |hub: &Hub| crate::clock::Clock::mono(&*hub.clock);
    hub.hear(climate(1, 1, 300));
    let since = mono(&hub);
    hub.core().power_changed(PowerEvent::Lost { since, battery: None }).unwrap();
    hub.pass(MINUTE);
    hub.core().store.connection().pragma_update(None, "query_only", true).unwrap();
    hub.hear(climate(1, 2, 300));
    let since = mono(&hub);
    let _ = hub.core().power_changed(PowerEvent::Back { since });
    hub.core().store.connection().pragma_update(None, "query_only", false).unwrap();
    for counter in 3..400 {
        hub.hear(climate(1, counter, 300));
        hub.pass(MINUTE);
    }
    assert_eq!(hub.row("SELECT count(*) FROM event_logs WHERE event_type = 'power_report'"), "2");
}

#[test]
fn a_hub_without_anybody_to_call_says_so() {
    let mut hub = Hub::with_people();
    hub.core().store.connection().execute("DELETE FROM escalation_contacts", []).unwrap();
    hub.stop();
    hub.start();
    hub.alarm(1);
    assert!(hub.count("notify.unreachable_contacts") > 0 || hub.count("notify.nobody_to_call") > 0);
}
