//! From an alarm to what people are told, over power cuts and failing disks.

use uuid::Uuid;

use super::{Hub, MINUTE, NOW, SECOND, UnixMs, climate};
use crate::config::{NotifySection, SignalRole, SignalSection};
use crate::domain::{Severity, Source};
use crate::frame::SourceEvent;
use crate::notify::{Channel, Failure, Kind, Message, Receipt, Report};
use crate::pipeline::calls::is_phone;
use crate::pipeline::dispatch::Dispatch;
use crate::pipeline::settings::NotifySettings;
use crate::power::Notice;

impl Hub {
    /// A fridge, a modem, a mail server, a buzzer; Ana is called first, Ben at level 2.
    pub(super) fn with_people() -> Self {
        let mut hub = Self::with_fridge();
        let signal = SignalSection {
            name: "buzzer".into(),
            role: SignalRole::Buzzer,
            chip: "gpiochip0".into(),
            line: 17,
            active_low: false,
        };
        let mut notify =
            NotifySettings::of(&NotifySection { signal: vec![signal], ..NotifySection::default() });
        (notify.has_modem, notify.has_smtp) = (true, true);
        hub.notify = notify;
        for (id, name, phone, email, priority) in [
            (1u128, "Ana", "+385 91 123-4567", Some("ana@kitchen.example"), 0),
            (2, "Ben", "+4915112345678", None, 1),
            (3, "Cem", "no number", None, 5),
        ] {
            let id = Uuid::from_u128(id);
            let sql = "INSERT INTO escalation_contacts (id, organization_id, name, phone, email, priority, created_at, updated_at)
                       SELECT ?1, id, ?2, ?3, ?4, ?5, 0, 0 FROM organizations";
            let connection = hub.core().store.connection();
            connection
                .execute(sql, rusqlite::params![id.into_bytes(), name, phone, email, priority])
                .unwrap();
        }
        hub.stop();
        hub.start();
        hub
    }

    /// Warm for as long as it takes to be an alarm.
    pub(super) fn alarm(&mut self, counter: u32) {
        for minute in 0..=10 {
            self.hear(climate(1, counter + minute, 900));
            self.pass(MINUTE);
        }
    }

    /// Everything that a channel would send now, and marks it as sent.
    pub(super) fn send_all(&mut self, channel: Channel) -> Vec<Message> {
        let mut out = Vec::new();
        while let Dispatch::Send { ids, message } = self.core().next_dispatch(channel, None) {
            let receipt = Receipt { external_id: Some(out.len().to_string()), ..Receipt::default() };
            self.core().dispatched(&ids, &Ok(receipt));
            out.push(*message);
        }
        self.commit();
        out
    }

    pub(super) fn deliveries(&self) -> Vec<String> {
        self.rows(
            "SELECT kind, channel, recipient, severity, level, cause, status FROM hub_deliveries
                   ORDER BY due_segment, due_mono_ms, channel, recipient",
        )
    }
}

#[test]
fn an_alarm_becomes_one_delivery_for_each_recipient_and_channel() {
    let mut hub = Hub::with_people();
    hub.hear(climate(1, 1, 900));
    hub.pass(9 * MINUTE);
    assert_eq!(hub.deliveries(), Vec::<String>::new(), "an unconfirmed excursion calls nobody");
    assert_eq!(hub.core().board().sound, None);
    assert_eq!(hub.core().board().light, Some(Severity::Warning));
    hub.hear(climate(1, 2, 900));
    hub.pass(MINUTE);
    hub.hear(climate(1, 3, 950));
    hub.commit();
    assert_eq!(
        hub.deliveries(),
        [
            "call|email|ana@kitchen.example|critical|1|first|pending",
            "call|signal|buzzer|critical|1|first|pending",
            "call|sms|+385911234567|critical|1|first|pending",
        ]
    );
    assert_eq!(hub.core().board().sound, Some(Severity::Critical));
    let sent = hub.send_all(Channel::Sms);
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].kind, sent[0].recipient.as_str()), (Kind::Call, "+385911234567"));
    assert!(sent[0].subject.contains("CRITICAL: Fridge is too warm at 9.0 °C"), "{}", sent[0].subject);
    assert!(sent[0].text.contains("limits 0.0 to 5.0 °C"), "{}", sent[0].text);
    assert_eq!(
        hub.rows(
            "SELECT channel, recipient, status, retry_count, external_id IS NULL FROM notification_deliveries
                  ORDER BY channel DESC"
        ),
        ["sms|+385911234567|sent|0|0", "email|ana@kitchen.example|pending|0|1"],
        "a buzzer is not in the central enum"
    );
    hub.core().report_delivery(Report { channel: Channel::Sms, external_id: "0".into(), problem: None });
    hub.commit();
    let row =
        hub.row("SELECT status, delivered_at >= sent_at FROM notification_deliveries WHERE channel = 'sms'");
    assert_eq!(row, "delivered|1");
    assert_eq!(hub.row("SELECT count(*) FROM hub_dirty WHERE table_name = 'notification_deliveries'"), "2");
    hub.check_audit();
}

#[test]
fn a_report_that_is_faster_than_its_receipt_waits_for_it() {
    let mut hub = Hub::with_people();
    hub.alarm(1);
    hub.core().report_delivery(Report { channel: Channel::Sms, external_id: "0".into(), problem: None });
    assert_eq!(hub.send_all(Channel::Sms).len(), 1);
    assert_eq!(hub.row("SELECT status FROM notification_deliveries WHERE channel = 'sms'"), "delivered");
}

#[test]
fn level_2_is_called_when_nobody_takes_it_and_the_all_clear_goes_to_those_called() {
    let mut hub = Hub::with_people();
    hub.alarm(1);
    assert_eq!(hub.send_all(Channel::Sms).len(), 1);
    for minute in 0..16 {
        hub.hear(climate(1, 100 + minute, 900));
        hub.pass(MINUTE);
    }
    let second: Vec<String> =
        hub.send_all(Channel::Sms).into_iter().map(|message| message.recipient).collect();
    assert_eq!(second, ["+385911234567", "+4915112345678"]);
    assert_eq!(hub.alerts(), ["alarm_active|critical|escalated"]);
    assert_eq!(hub.row("SELECT escalation_level FROM alerts"), "2");
    for counter in 200..202 {
        hub.hear(climate(1, counter, 300));
        hub.pass(MINUTE);
    }
    let clear = hub.send_all(Channel::Sms);
    assert_eq!(clear.len(), 2);
    assert!(clear.iter().all(|message| message.kind == Kind::AllClear), "{clear:?}");
    assert!(clear[0].text.contains("OK Fridge, 3.0 °C now"), "{}", clear[0].text);
    assert_eq!(hub.core().board().sound, None);
}

#[test]
fn an_acknowledgement_silences_and_the_button_does_until_somebody_is_called_again() {
    let mut hub = Hub::with_people();
    hub.alarm(1);
    assert_eq!(hub.core().board().sound, Some(Severity::Critical));
    hub.core().silence();
    assert_eq!(hub.core().board().sound, None);
    assert_eq!(hub.core().board().light, Some(Severity::Critical));
    for minute in 0..16 {
        hub.hear(climate(1, 100 + minute, 900));
        hub.pass(MINUTE);
    }
    assert_eq!(hub.core().board().sound, Some(Severity::Critical), "level 2 is called");
}

#[test]
fn a_call_that_became_due_is_made_over_any_power_cut_and_not_again_once_it_is_known_to_be() {
    let mut hub = Hub::with_people();
    hub.alarm(1);
    // Nothing was sent yet.
    hub.reboot(2 * MINUTE);
    hub.pass(SECOND);
    let Dispatch::Send { message, .. } = hub.core().next_dispatch(Channel::Sms, None) else {
        panic!("it is due still")
    };
    assert!(message.text.contains("too warm"), "{}", message.text);
    // Under way when the power goes: it goes out again, under the same id.
    hub.reboot(MINUTE);
    hub.pass(SECOND);
    let again = hub.send_all(Channel::Sms);
    assert_eq!(again.iter().map(|message| message.id).collect::<Vec<_>>(), [message.id]);
    hub.reboot(MINUTE);
    hub.pass(SECOND);
    assert_eq!(hub.send_all(Channel::Sms), []);
}

#[test]
fn a_failure_is_tried_again_and_given_up_loudly() {
    let mut hub = Hub::with_people();
    hub.alarm(1);
    let mut tries = 0;
    for _ in 0..120 {
        while let Dispatch::Send { ids, .. } = hub.core().next_dispatch(Channel::Email, None) {
            tries += 1;
            hub.core().dispatched(&ids, &Err(Failure::Later("the server is busy".into())));
        }
        hub.pass(SECOND);
    }
    hub.commit();
    assert_eq!(tries, 6);
    let row = hub.row(
        "SELECT status, retry_count, error_message FROM notification_deliveries WHERE channel = 'email'",
    );
    assert_eq!(row, "failed|5|the server is busy");
    assert_eq!(hub.count("notify.given_up"), 1);
    assert_eq!(hub.row("SELECT count(*) FROM event_logs WHERE event_type = 'call_failed'"), "1");
}

#[test]
fn a_source_that_is_down_is_one_message_that_names_it_and_its_units() {
    let mut hub = Hub::with_people();
    hub.add_unit("Freezer", "freezer");
    hub.pair(2, "Freezer");
    hub.hear(climate(1, 1, 300));
    hub.pass(MINUTE);
    hub.hear(climate(2, 1, -2000));
    hub.core().hear(SourceEvent::Down {
        source: Source::Lorawan,
        port: "lns".into(),
        reason: "the broker is away".into(),
    });
    hub.pass(15 * MINUTE);
    let first = hub.send_all(Channel::Sms);
    assert_eq!(first.len(), 1);
    assert!(first[0].text.contains("lns is down since"), "{}", first[0].text);
    assert!(first[0].text.contains("not monitored: Fridge, Freezer"), "{}", first[0].text);
    hub.pass(5 * MINUTE);
    assert_eq!(hub.alerts().len(), 2, "the freezer is silent too");
    assert_eq!(hub.send_all(Channel::Sms), [], "which was told");
    let told = "SELECT count(*) FROM hub_deliveries WHERE channel = 'sms' AND status = 'sent'";
    assert_eq!(hub.row(told), "2");
}

#[test]
fn people_are_called_though_nothing_can_be_stored() {
    let mut hub = Hub::with_people();
    for minute in 0..10 {
        hub.hear(climate(1, 1 + minute, 900));
        hub.pass(MINUTE);
    }
    // The disk is full from here on.
    hub.core().store.connection().pragma_update(None, "query_only", true).unwrap();
    hub.hear(climate(1, 50, 900));
    hub.pass(31 * SECOND);
    assert!(hub.core().board().is_storage_failed);
    let Dispatch::Send { ids, message } = hub.core().next_dispatch(Channel::Sms, None) else {
        panic!("the call does not wait for the disk")
    };
    assert!(message.text.contains("Fridge is too warm"), "{}", message.text);
    hub.core().dispatched(&ids, &Ok(Receipt::default()));
    hub.core().store.connection().pragma_update(None, "query_only", false).unwrap();
    hub.pass(5 * SECOND);
    assert_eq!(hub.row("SELECT status FROM hub_deliveries WHERE channel = 'sms'"), "sent");
}

#[test]
fn a_notice_is_told_to_the_first_level() {
    let mut hub = Hub::with_people();
    let notice = Notice { subject: "Power is back".into(), text: "The mains are back since 14:05.\n".into() };
    hub.core().give_notice(Severity::Warning, notice);
    hub.commit();
    let sent = hub.send_all(Channel::Email);
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].subject.as_str(), sent[0].kind), ("Power is back", Kind::Notice));
    assert_eq!(sent[0].text, "Kitchen: The mains are back since 14:05.");
}

#[test]
fn numbers_of_the_world_begin_with_a_plus() {
    for (text, want) in [
        ("+4915112345678", true),
        ("+1234567", true),
        ("4915112345678", false),
        ("+0915112345678", false),
        ("+123456", false),
        ("+1234567890123456", false),
        ("+49abc", false),
        ("", false),
    ] {
        assert_eq!(is_phone(text), want, "{text}");
    }
}

#[test]
fn done_deliveries_are_kept_for_three_months() {
    let mut hub = Hub::with_people();
    hub.alarm(1);
    hub.send_all(Channel::Sms);
    let count = "SELECT count(*) FROM hub_deliveries WHERE channel = 'sms'";
    let connection = hub.core().store.connection();
    let day = 86_400_000;
    assert_eq!(crate::store::deliveries::prune(connection, super::NOW + 89 * day).unwrap(), 0);
    assert_eq!(hub.row(count), "1");
    // What was not sent is not forgotten.
    let connection = hub.core().store.connection();
    assert_eq!(crate::store::deliveries::prune(connection, super::NOW + 91 * day).unwrap(), 1);
    assert_eq!(hub.row("SELECT count(*) FROM hub_deliveries WHERE status = 'pending'"), "2");
}

#[test]
fn a_late_alarm_is_told_once_and_its_row_grows() {
    let mut hub = Hub::with_fridge();
    hub.hear(climate(1, 1, 400));
    let mut counter = 1;
    let mut late = |hub: &mut Hub, before_min: i64, value: i16| {
        counter += 1;
        let mut frame = climate(1, counter, value);
        frame.network_time = Some(UnixMs(NOW - before_min * MINUTE));
        hub.hear(frame);
        hub.commit();
    };
    let alerts = format!(
        "SELECT status, message, trigger_temperature, ({NOW} - triggered_at) / {MINUTE}, ({NOW} - resolved_at) / {MINUTE}
         FROM alerts"
    );
    late(&mut hub, 120, 900);
    late(&mut hub, 105, 1_000);
    let told = "resolved|Fridge was too warm, up to 10.0 °C, as its sensor tells only now|100|120|105";
    assert_eq!(hub.rows(&alerts), [told]);
    late(&mut hub, 90, 1_250);
    late(&mut hub, 75, 900);
    late(&mut hub, 60, 400);
    let grown = "resolved|Fridge was too warm, up to 12.5 °C, as its sensor tells only now|125|120|75";
    assert_eq!(hub.rows(&alerts), [grown]);
    let events = "SELECT count(*) FROM event_logs WHERE event_type = 'alert_late'";
    assert_eq!(hub.row(events), "3", "told, and grown twice");
    // What a replay after a power cut decides again changes nothing.
    hub.cut_power();
    hub.start();
    assert_eq!((hub.rows(&alerts), hub.row(events)), (vec![grown.to_owned()], "3".to_owned()));
    late(&mut hub, 70, 800);
    assert_eq!(hub.rows(&alerts), [grown.replace("|75", "|70")]);
    hub.check_audit();
}
