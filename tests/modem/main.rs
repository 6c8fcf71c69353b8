//! SMS against a strict modem on a pseudo-terminal.

#[path = "../support/mod.rs"]
mod support;

mod kitchen;

use std::io::{Read, Write};
use std::time::Duration;

use frostguard_hub::notify::modem::Registration;
use frostguard_hub::notify::{Failure, Notifier, Receipt};
use tokio::time::timeout;

use crate::kitchen::{COOK, Kitchen, message};
use crate::support::modem::{Behaviour, Modem, Moment};
use crate::support::{PATIENCE, Scratch, wait_for_async};

#[track_caller]
fn later(answer: Result<Receipt, Failure>, part: &str) {
    match answer {
        Err(Failure::Later(text)) => assert!(text.contains(part), "{part} where {text}"),
        other => panic!("{other:?} where it may go well later: {part}"),
    }
}

#[track_caller]
fn never(answer: Result<Receipt, Failure>, part: &str) {
    match answer {
        Err(Failure::Never(text)) => assert!(text.contains(part), "{part} where {text}"),
        other => panic!("{other:?} where it will never go well: {part}"),
    }
}

#[tokio::test]
async fn short_long_and_foreign_texts_arrive() {
    let mut kitchen = Kitchen::plain();
    let receipt = kitchen.sent("CRITICAL Freezer 2: -11.5 °C, limit -18.0 °C").await;
    assert_eq!((receipt.external_id.as_deref(), receipt.is_delivered), (Some("17"), false));
    assert_eq!(receipt.detail, "signal -87 dBm, reference 17");
    let long = "Kühlhaus {Süd} [€] ".repeat(15);
    let long = long.trim_end();
    assert_eq!(kitchen.sent(long).await.external_id.as_deref(), Some("18,19,20"));
    let foreign = "Морозильник 2: -11.5 °C 😀 ".repeat(5);
    let foreign = foreign.trim_end();
    assert_eq!(kitchen.sent(foreign).await.external_id.as_deref(), Some("21,22"));
    let cut = kitchen.sent(&"a".repeat(1_000)).await;
    assert!(cut.detail.contains("cut"), "{}", cut.detail);
    let cut = format!("{}...", "a".repeat(4 * 153 - 3));
    kitchen.check(&["CRITICAL Freezer 2: -11.5 C, limit -18.0 C", long, foreign, &cut]);
    let messages = kitchen.modem.messages();
    let parts: Vec<_> = messages.iter().map(|message| (message.parts, message.is_ucs2)).collect();
    assert_eq!(parts, [(1, false), (3, false), (2, true), (4, false)]);
    assert!(messages.iter().all(|message| message.recipient == COOK));
    never(kitchen.send_to("0151 123", "x").await, "0151 123 is no number");
    let status = kitchen.status("a modem that is well", |status| status.is_ready).await;
    assert_eq!(
        (status.registration, status.signal_dbm, status.problem),
        (Registration::Home, Some(-87), None)
    );
    kitchen.stop().await;
}

#[tokio::test]
async fn noise_and_slowness_disturb_nothing() {
    let behaviour = Behaviour {
        is_noisy: true,
        delay: Duration::from_millis(50),
        report: Some(0),
        ..Behaviour::default()
    };
    let mut kitchen = Kitchen::start(behaviour, "");
    for n in 0..3 {
        kitchen.sent(&format!("message {n}")).await;
        assert_eq!(kitchen.report().await.external_id, (17 + n).to_string());
    }
    kitchen.check(&["message 0", "message 1", "message 2"]);
    assert!(kitchen.counters.snapshot()["sms.bytes_of_long_lines"] > 3_000);
    kitchen.stop().await;
}

#[tokio::test]
async fn a_sim_with_a_pin_is_unlocked() {
    let behaviour = Behaviour { pin: Some("4711".to_owned()), ..Behaviour::default() };
    let mut kitchen = Kitchen::start(behaviour, "pin_file = \"PIN_FILE\"");
    // The file comes later than the hub.
    never(kitchen.send("too early").await, "cannot be read");
    kitchen.write_pin("4711\n");
    kitchen.sent("unlocked").await;
    // It wants its PIN again whenever it was without power.
    kitchen.modem.unplug();
    kitchen.modem.plug();
    kitchen.sent_at_last("unlocked again").await;
    kitchen.check(&["unlocked", "unlocked again"]);
    assert_eq!(kitchen.modem.pins(), ["4711", "4711"]);
    kitchen.stop().await;
}

#[tokio::test]
async fn a_wrong_pin_is_tried_once() {
    let behaviour = Behaviour { pin: Some("4711".to_owned()), tells_tries: true, ..Behaviour::default() };
    let mut kitchen = Kitchen::start(behaviour, "pin_file = \"PIN_FILE\"");
    kitchen.write_pin("1234");
    for _ in 0..3 {
        never(kitchen.send("locked").await, "tried once");
    }
    kitchen.modem.unplug();
    kitchen
        .status("the loss", |status| status.problem.as_ref().is_some_and(|text| text.contains("gone")))
        .await;
    kitchen.modem.plug();
    kitchen
        .status("the PIN's problem", |status| {
            status.problem.as_ref().is_some_and(|text| text.contains("tried once"))
        })
        .await;
    never(kitchen.send("locked").await, "tried once");
    assert_eq!(kitchen.modem.pins(), ["1234"]);
    // One try is left to a person: another wrong one is not even tried.
    kitchen.write_pin("1235");
    never(kitchen.send("locked").await, "tried once");
    kitchen.write_pin("4711");
    never(kitchen.send("locked").await, "last try");
    assert_eq!(kitchen.modem.pins(), ["1234", "1235"]);
    kitchen.modem.behave(|modem| modem.tries_left = 3);
    kitchen.sent("unlocked").await;
    kitchen.check(&["unlocked"]);
    kitchen.stop().await;
}

#[tokio::test]
async fn what_a_person_must_do_is_said_and_then_it_works() {
    let mut kitchen = Kitchen::start(Behaviour { has_sim: false, ..Behaviour::default() }, "");
    later(kitchen.send("a").await, "push it in");
    kitchen.modem.behave(|modem| (modem.has_sim, modem.registration) = (true, 3));
    later(kitchen.send("a").await, "refuses the SIM");
    let status = kitchen.status("its problem", |status| status.registration == Registration::Denied).await;
    assert!(status.problem.is_some_and(|problem| problem.contains("not registered")));
    // Registered with a 4G network only, abroad.
    kitchen.modem.behave(|modem| modem.lte_registration = 5);
    kitchen.sent("a").await;
    kitchen.status("the network", |status| status.registration == Registration::Roaming).await;
    kitchen.check(&["a"]);
    kitchen.stop().await;
}

#[tokio::test]
async fn a_modem_that_is_still_looking_is_waited_for() {
    let mut kitchen = Kitchen::start(Behaviour { registration: 2, ..Behaviour::default() }, "");
    let message = message(COOK, "found");
    let asked = |modem: &Modem| modem.commands().iter().filter(|command| *command == "AT+CREG?").count();
    let found = async {
        // The first look and the message's own question were answered by "searching".
        wait_for_async("questions", || async { (asked(&kitchen.modem) >= 3).then_some(()) }).await;
        kitchen.modem.behave(|modem| modem.registration = 1);
    };
    let (sent, ()) = tokio::join!(kitchen.channel.deliver(&message), found);
    sent.expect("it waits for the network");
    kitchen.check(&["found"]);
    kitchen.stop().await;
}

#[tokio::test]
async fn refusals_are_for_now_or_for_good() {
    let behaviour = Behaviour { refusals: [38, 28, 21, 500, 314].into(), ..Behaviour::default() };
    let mut kitchen = Kitchen::start(behaviour, "");
    later(kitchen.send("a").await, "network out of order (+CMS ERROR: 38)");
    never(kitchen.send("a").await, "+CMS ERROR: 28");
    never(kitchen.send("a").await, "+CMS ERROR: 21");
    later(kitchen.send("a").await, "+CMS ERROR: 500");
    // The SIM is busy: within the same delivery.
    kitchen.sent("a").await;
    kitchen.check(&["a"]);
    kitchen.stop().await;
}

#[tokio::test]
async fn a_line_that_drops_in_the_middle_loses_nothing() {
    let long = "a long message in parts ".repeat(16);
    let long = long.trim_end();
    for (moment, is_taken) in [(Moment::Prompt, false), (Moment::Body, false), (Moment::Answer, true)] {
        let mut kitchen = Kitchen::plain();
        kitchen.sent("before").await;
        kitchen.modem.behave(move |modem| modem.drop_at = Some(moment));
        later(kitchen.send(long).await, "unplugged?");
        let receipt = kitchen.sent_at_last(long).await;
        // What the network took unheard was sent again, and joined all the same.
        let want = if is_taken { "19,20,21" } else { "18,19,20" };
        assert_eq!(receipt.external_id.as_deref(), Some(want), "{moment:?}");
        kitchen.check(&["before", long]);
        kitchen.stop().await;
    }
}

#[tokio::test]
async fn parts_that_the_network_has_are_not_sent_again() {
    let long = "b".repeat(400);
    let mut kitchen = Kitchen::plain();
    kitchen.sent("before").await;
    // The second of three parts is refused.
    kitchen.modem.behave(|modem| modem.refusals = [0, 38].into());
    later(kitchen.send(&long).await, "network out of order");
    assert_eq!(kitchen.sent(&long).await.external_id.as_deref(), Some("18,19,20"));
    assert_eq!(kitchen.modem.parts().len(), 4);
    kitchen.check(&["before", &long]);
    kitchen.stop().await;
}

#[tokio::test]
async fn a_modem_is_unplugged_and_plugged_in_again() {
    let mut kitchen = Kitchen::plain();
    for round in 0..3 {
        kitchen.sent(&format!("round {round}")).await;
        kitchen.modem.unplug();
        kitchen.status("the loss", |status| status.problem.is_some()).await;
        later(kitchen.send("nobody hears it").await, "is the modem plugged in?");
        kitchen.modem.plug();
    }
    kitchen.sent_at_last("the end").await;
    kitchen.check(&["round 0", "round 1", "round 2", "the end"]);
    kitchen.stop().await;
}

#[tokio::test]
async fn a_modem_that_falls_silent_is_opened_again() {
    let mut kitchen = Kitchen::plain();
    kitchen.sent("before").await;
    kitchen.modem.behave(|modem| modem.is_deaf = true);
    // It stays plugged in; nobody answers.
    let sent = kitchen.send("silence").await;
    later(sent, "the modem");
    kitchen.modem.behave(|modem| modem.is_deaf = false);
    kitchen.sent_at_last("silence").await;
    kitchen.check(&["before", "silence"]);
    assert!(kitchen.modem.commands().contains(&"ATZ".to_owned()));
    kitchen.stop().await;
}

#[tokio::test]
async fn reports_say_whether_messages_arrived() {
    for reports_directly in [true, false] {
        let behaviour = Behaviour { report: Some(0), reports_directly, ..Behaviour::default() };
        let mut kitchen = Kitchen::start(behaviour, "");
        let receipt = kitchen.sent(&"in three parts ".repeat(25)).await;
        let report = kitchen.report().await;
        assert_eq!((Some(report.external_id), report.problem), (receipt.external_id, None));
        kitchen.modem.behave(|modem| modem.report = Some(0x43));
        kitchen.sent("switched off").await;
        let report = kitchen.report().await;
        assert_eq!(report.external_id, "20");
        assert!(report.problem.is_some_and(|problem| problem.contains("cannot be reached")));
        // First not yet, then after all; strangers' references change nothing.
        kitchen.modem.behave(|modem| modem.report = Some(0x30));
        kitchen.sent("later").await;
        kitchen.modem.report(99, COOK, 0);
        kitchen.modem.report(21, "+4915187654321", 0);
        kitchen.modem.report(21, COOK, 0);
        let report = kitchen.report().await;
        assert_eq!((report.external_id.as_str(), report.problem), ("21", None));
        kitchen.stop().await;
    }
}

#[tokio::test]
async fn without_reports_none_is_asked_for() {
    let mut kitchen =
        Kitchen::start(Behaviour { report: Some(0), ..Behaviour::default() }, "delivery_reports = false");
    kitchen.sent("a").await;
    assert!(kitchen.modem.parts().iter().all(|(_, part)| !part.wants_report));
    assert!(!kitchen.modem.commands().iter().any(|command| command.starts_with("AT+CNMI")));
    kitchen.stop().await;
}

#[tokio::test]
async fn text_mode_sends_numbered_messages() {
    let behaviour = Behaviour { offers_pdu: false, report: Some(0), ..Behaviour::default() };
    let mut kitchen = Kitchen::start(behaviour.clone(), "");
    later(kitchen.send("a").await, "set mode = \"text\"");
    kitchen.stop().await;

    for offers_hexadecimal in [true, false] {
        let behaviour = Behaviour { offers_hexadecimal, ..behaviour.clone() };
        let mut kitchen = Kitchen::start(behaviour, "mode = \"text\"");
        kitchen.sent("Freezer 2\n-11.5 °C").await;
        assert_eq!(kitchen.report().await.external_id, "17");
        kitchen.sent(&"c".repeat(200)).await;
        assert_eq!(kitchen.report().await.external_id, "18,19");
        let (first, second) = (format!("(1/2) {}", "c".repeat(154)), format!("(2/2) {}", "c".repeat(46)));
        let status = kitchen.status("the operator", |status| status.operator.is_some()).await;
        assert_eq!(status.operator.as_deref(), Some("Testnetz"));
        if offers_hexadecimal {
            kitchen.sent("Морозильник").await;
            kitchen.check(&["Freezer 2\n-11.5 C", &first, &second, "Морозильник"]);
        } else {
            kitchen.check(&["Freezer 2 -11.5 C", &first, &second]);
        }
        kitchen.stop().await;
    }
}

#[tokio::test]
async fn a_delivery_that_is_given_up_leaves_the_modem_usable() {
    let mut kitchen =
        Kitchen::start(Behaviour { delay: Duration::from_millis(30), ..Behaviour::default() }, "");
    // Dropped at every moment of a delivery.
    for ms in (0..600).step_by(60) {
        let message = message(COOK, &"d".repeat(170));
        let _ = timeout(Duration::from_millis(ms), kitchen.channel.deliver(&message)).await;
    }
    kitchen.sent_at_last(&"d".repeat(170)).await;
    kitchen.sent_at_last("the end").await;
    assert_eq!(kitchen.modem.complaints(), [] as [&str; 0]);
    let messages = kitchen.modem.messages();
    assert_eq!(messages.last().map(|message| message.text.as_str()), Some("the end"));
    assert!(messages.iter().any(|message| message.text == "d".repeat(170)));
    kitchen.stop().await;
}

#[tokio::test]
async fn a_prompt_that_a_dead_hub_left_open_is_cancelled() {
    let scratch = Scratch::new("modem");
    let modem = Modem::start(scratch.join("sms"), Behaviour::default());
    let path = modem.path().to_string_lossy().into_owned();
    let mut port = serialport::new(path, 115_200).timeout(PATIENCE).open().expect("open the modem's port");
    for (command, answer) in [("AT+CMGF=0\r", "OK"), ("AT+CMGS=30\r", ">"), ("0011000B91", "")] {
        port.write_all(command.as_bytes()).expect("the modem listens");
        let mut heard = String::new();
        while !heard.contains(answer) {
            let mut byte = [0];
            port.read_exact(&mut byte).expect("the modem answers");
            heard.push(char::from(byte[0]));
        }
    }
    drop(port);
    let mut kitchen = Kitchen::with_modem(scratch, modem, "");
    kitchen.sent("after all").await;
    kitchen.check(&["after all"]);
    assert_eq!(kitchen.modem.cancelled(), 1);
    kitchen.stop().await;
}

/// `SEED=7 cargo test --test modem unlucky` plays the same misfortunes again.
#[tokio::test]
async fn every_message_arrives_through_an_unlucky_modem() {
    let seed: u64 = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("SEED={seed}");
    let mut state = seed;
    // Steele and Vigna's constants of a 64-bit linear congruential generator; the high bits are the good ones.
    let mut next = move |below: u64| {
        state = state.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
        (state >> 33) % below
    };
    let mut kitchen = Kitchen::start(Behaviour { report: Some(0), ..Behaviour::default() }, "");
    let mut want = Vec::new();
    for number in 0..15 {
        let misfortune = next(7);
        let is_noisy = next(3) == 0;
        kitchen.modem.behave(move |modem| {
            modem.is_noisy = is_noisy;
            match misfortune {
                0 => modem.drop_at = Some(Moment::Prompt),
                1 => modem.drop_at = Some(Moment::Body),
                2 => modem.drop_at = Some(Moment::Answer),
                3 => modem.refusals = [38].into(),
                4 => modem.refusals = [0, 500].into(),
                5 => modem.refusals = [314, 0, 331].into(),
                _ => {}
            }
        });
        let words = ["Freezer ", "Kühlhaus € ", "Морозильник "][next(3) as usize];
        let text = format!("{number}: {}", words.repeat(1 + next(20) as usize).trim_end());
        kitchen.sent_at_last(&text).await;
        want.push(text);
    }
    let mut got: Vec<String> = kitchen.modem.messages().into_iter().map(|message| message.text).collect();
    // What the network took unheard came twice.
    got.dedup();
    assert_eq!((got, kitchen.modem.complaints()), (want, Vec::new()), "SEED={seed}");
    kitchen.stop().await;
}
