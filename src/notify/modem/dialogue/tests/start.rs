//! Setting a modem up, losing it, and what it says unasked.

use super::*;

#[test]
fn a_modem_is_set_up_and_asked_how_it_is() {
    let mut play = Play::ready();
    let want = ModemStatus {
        is_ready: true,
        operator: Some("Testnetz".to_owned()),
        registration: Registration::Home,
        signal_dbm: Some(-87),
        has_reports: true,
        problem: None,
    };
    assert_eq!(*play.dialogue.status(), want);
    // The next look is due a minute later, and sees a SIM that was taken out.
    assert!(!play.dialogue.is_look_due(MonoMs(play.now + LOOK_EVERY_MS - 1_000)));
    play.now += LOOK_EVERY_MS;
    assert!(play.dialogue.is_look_due(MonoMs(play.now)));
    play.look();
    play.check(&["> AT+CPIN?", "< +CME ERROR: 10"]);
    play.check_problem("no SIM");
    assert!(play.dialogue.wants_pin());
}

#[test]
fn a_modem_that_can_little_is_set_up_too() {
    let mut play = Play::new(ModemMode::Pdu);
    play.look();
    play.check(&[
        "> ESC",
        "+250",
        "> ATE0Q0V1",
        // The first command finds the speed.
        "+1000",
        "> ESC",
        "+250",
        "> ATE0Q0V1",
        "< ERROR",
        "> ESC",
        "+250",
        "> ATE0Q0V1",
        "< OK",
        "> AT+CMEE=1",
        "< ERROR",
        "> AT+CPIN?",
        "< +CPIN: READY",
        "< OK",
        "> AT+CMGF=0",
        "< +CME ERROR: 14",
        "+1000",
        "> AT+CMGF=0",
        "< OK",
        "> AT+CSMS=0",
        "< ERROR",
        "> AT+CNMI=2,0,0,1,0",
        "< +CMS ERROR: 303",
        "> AT+CNMI=1,0,0,1,0",
        "< ERROR",
        "> AT+CNMI=2,0,0,2,0",
        "< ERROR",
        "> AT+COPS=3,0",
        // No answer to what it can do without: a question that brings both back in step.
        "+5000",
        "> ESC",
        "+250",
        "> AT",
        "< OK",
        "> AT+CREG?",
    ]);
    assert!(play.dialogue.status().is_ready && !play.dialogue.status().has_reports);
}

#[test]
fn half_said_things_are_cancelled_and_noise_is_waited_for() {
    let mut play = Play::new(ModemMode::Pdu);
    play.look();
    play.check(&["> ESC", "+200", "< +CMS ERROR: 500", "+200", "< OK", "+249", "+1", "> ATE0Q0V1"]);
    // A prompt that comes late.
    let mut play = Play::new(ModemMode::Pdu);
    play.look();
    play.check(&["> ESC", "+100", "<<", "> ESC", "< OK", "+250", "> ATE0Q0V1"]);
    // What never stops is not waited for.
    let mut play = Play::new(ModemMode::Pdu);
    play.look();
    let mut lines = vec!["> ESC"];
    lines.extend(["< ^BOOT:1,2", "+200"].repeat(15));
    lines.push("> ATE0Q0V1");
    play.check(&lines);
}

#[test]
fn a_modem_that_does_not_answer_is_lost_and_then_reset() {
    let mut play = Play::new(ModemMode::Pdu);
    play.look();
    let silent = ["> ESC", "+250", "> ATE0Q0V1", "+1000"];
    play.check(&script(&[&silent, &silent, &silent, &["= Lost(\"the modem does not answer"]]));
    play.check_problem("check that it has power");
    play.dialogue.closed("the modem does not answer");
    play.dialogue.opened();
    play.look();
    play.check(&["> ESC", "+250", "> ATZ", "< OK", "> ATE0Q0V1"]);
}

#[test]
fn a_modem_that_lost_its_power_unseen_is_set_up_again() {
    let mut play = Play::ready();
    let unlocked = ["< +CPIN: SIM PIN", "< OK"];
    let pin = ["> AT+CPINR=\"SIM PIN\"", "< ERROR", "> AT+CPIN=\"1234\"", "< OK", "> AT+CPIN?"];
    play = play.pin("1234");
    play.look();
    let rest = ["< +CPIN: READY", "< OK"];
    play.check(&script(&[
        &["> AT+CPIN?"],
        &unlocked,
        &START[..8],
        &unlocked,
        &pin,
        &rest,
        &START[10..],
        LOOK,
    ]));
    assert!(play.dialogue.status().is_ready);
}

#[test]
fn stored_reports_are_fetched_and_odd_ones_counted() {
    let mut play = Play::ready();
    let report = "0006110D91945111325476F8521125900000405211259000004000";
    let stored = format!("< {report}");
    play.check(&[
        "< +CDSI: \"SR\",3",
        "> AT+CPMS=\"SR\"",
        "< +CPMS: 1,20,0,20,0,20",
        "< OK",
        "> AT+CMGR=3",
        "< +CMGR: 0,,26",
        &stored,
        "< OK",
        "= Report(StatusReport { reference: 17, recipient: \"4915112345678\"",
        "> AT+CMGD=3",
        "< OK",
        "< +CDSI: \"S\rR\",3",
        "< +CDS: 10",
        "< 000611",
        "= Odd(BadReport(TooShort))",
        "< +CDS: 10",
        "< RING",
        "< +CDS: 6,17,\"+4915112345678\",145,\"a\",\"b\",0",
        "= Report(",
    ]);
    let long = format!("< {}", "x".repeat(2_000));
    play.check(&[&long, "= Odd(LongLine(976))"]);
    for n in 0..100 {
        play.dialogue.feed(format!("+CDSI: \"SR\",{n}\r\n").as_bytes(), MonoMs(play.now));
    }
    assert!(play.dialogue.stored.len() <= super::heard::STORED_MAX);
}

#[test]
fn a_modem_that_was_restarted_is_set_up_again() {
    let mut play = Play::ready();
    play.check(&["< RDY"]);
    play.send(&["00AA"]);
    play.check(&script(&[START, NETWORK, &["> AT+CMGS=1"]]));
}
