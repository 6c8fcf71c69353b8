//! What is put on the line, against octets made by hand from the standards and a decoder that shares nothing with the encoder.

use proptest::prelude::*;

use super::desk::{Desk, Order};
use super::dialogue::command::Body;
use super::pdu::{Number, Part, ReportError, Status, StatusReport, Submit};
use super::plan::{Coding, PARTS_MAX, Plan};
use super::{hex, unhex};
use crate::config::ModemMode;
use crate::domain::MonoMs;
use crate::notify::{Channel, Failure, Report};

#[path = "../../../tests/support/sms.rs"]
mod sms;

#[test]
fn numbers_are_e164() {
    for (text, want) in [
        ("+4915112345678", Some("4915112345678")),
        ("+1234567", Some("1234567")),
        ("+123456789012345", Some("123456789012345")),
        ("+123456", None),
        ("+1234567890123456", None),
        ("015112345678", None),
        ("0049151123456", None),
        ("+0151123456", None),
        ("+49 151 1234", None),
        ("+49151\"1234", None),
        ("+٤٩١٥١١٢٣٤", None),
        ("", None),
    ] {
        assert_eq!(Number::parse(text).as_ref().map(Number::digits), want, "{text:?}");
    }
}

#[track_caller]
fn check_pdu(
    to: &str,
    text: &str,
    part: Option<(u8, u8, u8)>,
    wants_report: bool,
    octets: usize,
    want: &str,
) {
    let plan = Plan::joined(text);
    let part = part.map(|(reference, total, number)| Part { reference, total, number });
    let to = Number::parse(to).unwrap();
    let pdu = Submit { to: &to, coding: plan.coding, text, part, wants_report }.encode();
    assert_eq!((pdu.hex.as_str(), pdu.octets), (want, octets), "{text:?}");
}

/// These octets are sent to real service centres: they change only when a standard does.
#[test]
fn submits_are_those_of_the_standard() {
    check_pdu(
        "+46708251358",
        "hellohello",
        None,
        false,
        23,
        "0011000B916407281553F80000A70AE8329BFD4697D9EC37",
    );
    check_pdu(
        "+4915112345678",
        "Kühlhaus 2: 9.1 C [€]",
        None,
        true,
        36,
        "0031000D91945111325476F80000A7184B3F9A8D0ED7E720990E9473C54043D086B7296F7C",
    );
    check_pdu("+4915112345678", "ж °", None, true, 21, "0031000D91945111325476F80008A7060436002000B0");
    // A header of six octets, one bit that fills, then the text.
    check_pdu(
        "+12025550123",
        "AB",
        Some((0x2A, 2, 1)),
        false,
        22,
        "0051000B912120550521F30000A7090500032A02018242",
    );
    check_pdu(
        "+12025550123",
        "😀",
        Some((0x2A, 2, 2)),
        false,
        24,
        "0051000B912120550521F30008A70A0500032A0202D83DDE00",
    );
}

#[track_caller]
fn check_report(text: &str, want: Result<(u8, &str, Status), ReportError>) {
    let got = StatusReport::parse(text);
    let got = got.as_ref().map(|one| (one.reference, one.recipient.as_str(), one.status)).map_err(|e| *e);
    assert_eq!(got, want, "{text}");
}

#[test]
fn status_reports_are_read() {
    let times = "5211259000004052112590000040";
    let arrived = format!("0006110D91945111325476F8{times}00");
    check_report(&arrived, Ok((17, "4915112345678", Status::Delivered)));
    // With the service centre's own number, an even count of digits, and fields that may follow.
    check_report(
        &format!("0791947101670000 06 05 0A 81 2143658709 {times} 43 00").replace(' ', ""),
        Ok((5, "1234567890", Status::of(0x43))),
    );
    check_report(&format!("0006110D91945111325476F8{times}30"), Ok((17, "4915112345678", Status::Trying)));
    check_report(&format!("0006110D91945111325476F8{times}"), Err(ReportError::TooShort));
    check_report("00", Err(ReportError::TooShort));
    check_report("FF06", Err(ReportError::TooShort));
    check_report("000411", Err(ReportError::OtherType));
    check_report("RING", Err(ReportError::NotHex));
    check_report("", Err(ReportError::NotHex));

    for (text, want) in [
        (
            "6,17,\"+4915112345678\",145,\"25/11/25,09:00:00+04\",\"25/11/25,09:00:01+04\",0",
            Ok((17, "4915112345678", true, Status::Delivered)),
        ),
        (
            "6,17,,,\"25/11/25,09:00:00+04\",\"25/11/25,09:00:01+04\",70",
            Ok((17, "", false, Status::of(0x46))),
        ),
        (
            // The address as hexadecimal, as it is asked for.
            "6,255,\"002B003400390031003500310031\",145,\"x\",\"y\",48",
            Ok((255, "491511", true, Status::Trying)),
        ),
        ("6,17", Err(ReportError::TooShort)),
        ("x,17,,,,,0", Err(ReportError::BadField)),
        ("1,17,\"+49\",145,\"x\",\"y\",0", Err(ReportError::OtherType)),
        ("", Err(ReportError::TooShort)),
    ] {
        let got = StatusReport::parse_text(text);
        let got =
            got.as_ref().map(|one| (one.reference, one.recipient.as_str(), one.is_international, one.status));
        assert_eq!(got.map_err(|error| *error), want, "{text}");
    }
}

#[test]
fn a_report_is_matched_by_its_recipient_however_it_is_written() {
    let number = Number::parse("+4915112345678").unwrap();
    for (recipient, is_international, want) in [
        ("4915112345678", true, true),
        ("4915112345679", true, false),
        ("15112345678", true, false),
        ("015112345678", false, true),
        ("15112345678", false, true),
        ("4915112345678", false, true),
        ("5678", false, false),
        ("", false, false),
    ] {
        let report = StatusReport {
            reference: 1,
            recipient: recipient.to_owned(),
            is_international,
            status: Status::Trying,
        };
        assert_eq!(report.is_about(&number), want, "{recipient}");
    }
}

/// What the phone shows of a text sent to `to`, and in how many parts.
fn shown(mode: ModemMode, to: &str, text: &str) -> (String, usize, bool) {
    let mut desk = Desk::new(mode, true, 200);
    let order = Order { id: uuid::Uuid::nil(), to: Number::parse(to).unwrap(), text: text.to_owned() };
    let bodies = desk.take(order);
    let parts: Vec<_> = bodies
        .iter()
        .map(|body| match body {
            Body::Pdu(pdu) => sms::decode(&pdu.hex, pdu.octets).expect("a strict service centre takes it"),
            Body::Text { .. } => panic!("{body:?} in PDU mode"),
        })
        .collect();
    let total = parts.len();
    for (index, part) in parts.iter().enumerate() {
        assert_eq!((part.recipient.as_str(), part.wants_report, part.validity), (to, true, Some(167)));
        let want = (total > 1).then_some((200, total as u8, index as u8 + 1));
        assert_eq!(part.part, want);
    }
    (parts.iter().map(|part| part.text.as_str()).collect(), total, parts[0].is_ucs2)
}

proptest! {
    #[test]
    fn any_text_to_any_number_arrives(text in ".{0,250}", number in "\\+[1-9][0-9]{6,14}") {
        let plan = Plan::joined(&text);
        let (got, parts, is_ucs2) = shown(ModemMode::Pdu, &number, &text);
        prop_assert_eq!(got, plan.parts.concat());
        prop_assert_eq!((parts, is_ucs2), (plan.parts.len(), plan.coding == Coding::Ucs2));
    }

    #[test]
    fn long_texts_of_one_alphabet_arrive_whole_or_are_cut(
        text in "[ -~äöüßÄÖÜ€à\n]{0,900}", foreign in "[а-яА-Я 0-9😀°]{0,400}",
    ) {
        for text in [text, foreign] {
            let plan = Plan::joined(&text);
            let (got, parts, _) = shown(ModemMode::Pdu, "+4915112345678", &text);
            prop_assert!(parts <= PARTS_MAX);
            if !plan.is_cut && !text.contains(['°', '`']) {
                prop_assert_eq!(&got, text.trim_end());
            }
            let ellipsis = if plan.coding == Coding::Ucs2 { "…" } else { "..." };
            prop_assert!(!plan.is_cut || got.ends_with(ellipsis));
            prop_assert!(Plan::numbered(&text).parts.iter().all(|part| part.encode_utf16().count() <= 160));
        }
    }

    #[test]
    fn no_report_makes_it_panic(octets in proptest::collection::vec(any::<u8>(), 0..60), text in ".{0,80}") {
        let _ = StatusReport::parse(&hex(&octets));
        let _ = StatusReport::parse(&text);
        let _ = StatusReport::parse_text(&text);
        prop_assert_eq!(unhex(&hex(&octets)), (!octets.is_empty()).then_some(octets));
    }
}

fn order(id: u128, text: &str) -> Order {
    Order {
        id: uuid::Uuid::from_u128(id),
        to: Number::parse("+4915112345678").unwrap(),
        text: text.to_owned(),
    }
}

fn arrived(reference: u8, recipient: &str) -> StatusReport {
    StatusReport::parse(&sms::status_report(reference, recipient, 0)).unwrap()
}

#[test]
fn what_the_network_has_is_not_sent_again() {
    let long = "a".repeat(400);
    let mut desk = Desk::new(ModemMode::Pdu, true, 255);
    let first = desk.take(order(1, &long));
    assert_eq!(first.len(), 3);
    desk.accepted(Some(17));
    desk.stopped();
    // Another one comes in between, with a reference of its own.
    let other = desk.take(order(2, &"b".repeat(200)));
    desk.stopped();
    assert_eq!(desk.take(order(1, &long)), first[1..]);
    desk.accepted(Some(18));
    desk.accepted(Some(19));
    let receipt = desk.receipt(Some(-87)).unwrap();
    assert_eq!(receipt.external_id.as_deref(), Some("17,18,19"));
    assert_eq!(receipt.detail, "signal -87 dBm, 3 parts, references 17, 18, 19");
    // Nobody heard of it: the next order is answered without sending.
    desk.not_handed_over();
    assert_eq!(desk.take(order(1, &long)), []);
    assert_eq!(desk.receipt(None).unwrap().external_id.as_deref(), Some("17,18,19"));
    desk.handed_over(MonoMs(0));
    // An order of other words is another message; one after the answer, too.
    assert_eq!(desk.take(order(1, &long)).len(), 3);
    desk.stopped();
    assert_ne!(desk.take(order(2, &"b".repeat(200))), other);
}

#[test]
fn a_receipt_is_for_whole_messages_and_says_what_was_cut() {
    let mut desk = Desk::new(ModemMode::Pdu, true, 0);
    desk.take(order(1, &"a".repeat(200)));
    desk.accepted(Some(1));
    assert!(matches!(desk.receipt(None), Err(Failure::Later(_))));
    desk.take(order(3, "short"));
    desk.accepted(None);
    let receipt = desk.receipt(None).unwrap();
    assert_eq!((receipt.external_id, receipt.detail.as_str()), (None, "signal unknown"));
    desk.take(order(2, &"a".repeat(2_000)));
    for reference in 0..4 {
        desk.accepted(Some(reference));
    }
    let detail = desk.receipt(Some(-51)).unwrap().detail;
    assert!(detail.contains("4 parts") && detail.contains("cut"), "{detail}");
}

#[test]
fn reports_find_their_message_even_when_they_are_early() {
    const TO: &str = "+4915112345678";
    let want = Report { channel: Channel::Sms, external_id: "17,18".to_owned(), problem: None };
    let mut desk = Desk::new(ModemMode::Pdu, true, 0);
    desk.take(order(1, &"a".repeat(200)));
    desk.accepted(Some(17));
    assert_eq!(desk.report(arrived(17, TO), MonoMs(1)), None);
    // Before the modem named its reference.
    assert_eq!(desk.report(arrived(18, TO), MonoMs(2)), None);
    desk.accepted(Some(18));
    assert_eq!(desk.handed_over(MonoMs(3)), [want]);

    let mut desk = Desk::new(ModemMode::Pdu, true, 0);
    desk.take(order(1, "short"));
    desk.accepted(Some(17));
    assert_eq!(desk.handed_over(MonoMs(0)), []);
    // While the next message to the same recipient is in hand.
    desk.take(order(2, "short too"));
    let report = desk.report(arrived(17, TO), MonoMs(1));
    assert_eq!(report.map(|report| report.external_id), Some("17".to_owned()));
    desk.accepted(Some(18));
    assert_eq!(desk.handed_over(MonoMs(2)), []);
    assert_eq!(desk.report(arrived(18, "+4915112345679"), MonoMs(3)), None);
    assert!(desk.report(arrived(18, TO), MonoMs(4)).is_some());
    assert_eq!(desk.report(arrived(18, TO), MonoMs(5)), None);
}
