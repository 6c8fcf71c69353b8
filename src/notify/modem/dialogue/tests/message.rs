//! Messages on their way.

use super::*;
use crate::notify::modem::pdu::Number;
use crate::notify::modem::plan::Coding;

#[test]
fn a_message_goes_out_in_its_parts() {
    let mut play = Play::ready();
    play.send(&["00AABB", "00CC"]);
    let parts = [
        "> AT+CMGS=2",
        "<<",
        "> 00AABB^Z",
        "< +CMGS: 17",
        "< OK",
        "= Accepted(Some(17))",
        "> AT+CMGS=1",
        "<<",
        "> 00CC^Z",
        "< +CMGS: 18,\"25/11/25,09:00:00+04\"",
        "< OK",
        "= Accepted(Some(18))",
        "= Sent",
    ];
    play.check(&script(&[NETWORK, &parts]));
    assert!(play.dialogue.is_idle());
}

#[test]
fn echo_and_lines_in_between_disturb_nothing() {
    let mut play = Play::ready();
    play.send(&["00AABB"]);
    let noise = ["< RING", "< +CREG: 2", "< ^BOOT:12,0,0", "< NO CARRIER", "< +CMTI: \"SM\",3"];
    play.check(&script(&[
        &["> AT+CREG?", "< AT+CREG?"],
        &noise,
        &["< +CREG: 0,5,\"00A1\",\"01F2\",7"],
        &noise,
        &["< OK"],
        &NETWORK[3..],
        &["> AT+CMGS=2", "< AT+CMGS=2"],
        &noise,
        // An OK here is a late one.
        &["< OK", "<<", "> 00AABB^Z", "< 00AABB", "< OK"],
        &noise,
        &[
            "< +CDS: 25",
            "< 0006110D91945111325476F8521125900000405211259000004000",
            "= Report(StatusReport { reference: 17",
        ],
        &["< +CMGS: 200", "< RING", "< OK", "= Accepted(Some(200))", "= Sent"],
    ]));
    assert_eq!(play.dialogue.status().registration, Registration::Roaming);
}

/// What follows the message, and what becomes of it.
#[track_caller]
fn check_refused(answers: &[&str], is_set_up_again: bool) {
    let mut play = Play::ready();
    play.send(&["00AABB", "00CC"]);
    play.check(&script(&[NETWORK, &["> AT+CMGS=2"], answers]));
    assert!(play.dialogue.is_idle());
    assert_eq!(play.dialogue.status().is_ready, !is_set_up_again);
}

#[test]
fn refusals_are_for_now_or_for_good() {
    check_refused(
        &["<<", "> 00AABB^Z", "< +CMS ERROR: 38", "= Failed(Later(\"the message was refused: network"],
        true,
    );
    check_refused(&["<<", "> 00AABB^Z", "< +CMS ERROR: 28", "= Failed(Never("], false);
    check_refused(&["<<", "> 00AABB^Z", "< +CMS ERROR: 21", "= Failed(Never("], false);
    check_refused(&["<<", "> 00AABB^Z", "< ERROR", "= Failed(Later("], true);
    check_refused(
        &["< +CMS ERROR: 330", "= Failed(Later(\"the message was refused: the service centre"],
        true,
    );
    // Busy: announced again.
    let busy = ["<<", "> 00AABB^Z", "< +CMS ERROR: 314", "+1000", "> AT+CMGS=2", "<<", "> 00AABB^Z"];
    check_refused(&script(&[&busy, &["< +CMS ERROR: 38", "= Failed(Later("]]), true);
    // The second part.
    let second =
        ["<<", "> 00AABB^Z", "< +CMGS: 1", "< OK", "= Accepted(Some(1))", "> AT+CMGS=1", "<<", "> 00CC^Z"];
    check_refused(&script(&[&second, &["< +CMS ERROR: 41", "= Failed(Later("]]), true);
    // Silence.
    check_refused(&["+5000", "> ESC", "= Failed(Later(", "= Lost("], true);
    check_refused(&["<<", "> 00AABB^Z", "+59999", "+1", "= may arrive twice", "= Lost("], true);
}

#[test]
fn a_message_waits_for_the_network_only_after_a_start() {
    let none = ["> AT+CREG?", "< +CREG: 0,2", "< OK", "> AT+CEREG?", "< +CEREG: 0,0", "< OK"];
    let signal = ["> AT+CSQ", "< +CSQ: 99,99", "< OK"];
    let mut play = Play::new(ModemMode::Pdu);
    play.send(&["00AA"]);
    play.check(&script(&[
        START,
        &none,
        &signal,
        &["+2000"],
        &none,
        &["+2000"],
        &NETWORK[..5],
        &["> AT+CMGS=1"],
    ]));

    let mut play = Play::new(ModemMode::Pdu);
    play.send(&["00AA"]);
    let mut lines = script(&[START, &none, &signal]);
    for _ in 0..15 {
        lines.extend(script(&[&["+2000"], &none]));
    }
    lines.push("= Failed(Later(\"the modem is not registered with a network: it is still looking");
    play.check(&lines);
    play.check_problem("not registered");
    // Set up it is, so the next message hears at once how it stands.
    play.send(&["00AA"]);
    play.check(&script(&[&none, &signal, &["= Failed(Later("]]));
    play.send(&["00AA"]);
    let denied = ["> AT+CREG?", "< +CREG: 0,3", "< OK", "> AT+CEREG?", "< ERROR"];
    play.check(&script(&[&denied, &signal, &["= the network refuses the SIM"]]));
    // One that cannot tell is believed to have one.
    play.send(&["00AA"]);
    let unknown = ["> AT+CREG?", "< ERROR", "> AT+CEREG?", "< ERROR"];
    play.check(&script(&[&unknown, &signal, &["> AT+CMGS=1"]]));
}

#[test]
fn what_nobody_waits_for_is_given_up() {
    let abort = |play: &mut Play| play.dialogue.abort(MonoMs(play.now));
    // Before it is announced: the start goes on.
    let mut play = Play::new(ModemMode::Pdu);
    play.send(&["00AA"]);
    play.check(&START[..6]);
    abort(&mut play);
    play.check(&script(&[&["= Failed(Later("], &START[6..], NETWORK]));
    assert!(play.dialogue.is_idle());
    // At the prompt: cancelled, and the modem set up anew before the next.
    let mut play = Play::ready();
    play.send(&["00AA"]);
    play.check(&script(&[NETWORK, &["> AT+CMGS=1"]]));
    abort(&mut play);
    play.check(&["> ESC", "= Failed(Later("]);
    play.look();
    play.check(&START[..3]);
    // In the modem's hands: it finishes this part and begins no other.
    let mut play = Play::ready();
    play.send(&["00AA", "00BB"]);
    play.check(&script(&[NETWORK, &["> AT+CMGS=1", "<<", "> 00AA^Z"]]));
    abort(&mut play);
    play.check(&["< +CMGS: 5", "< OK", "= Accepted(Some(5))", "= Sent"]);
    // With the port: at once.
    let mut play = Play::ready();
    play.send(&["00AA"]);
    play.check(&NETWORK[..7]);
    play.dialogue.closed("the modem is gone");
    play.check(&["= Failed(Later(\"the modem is gone\"))"]);
    play.check_problem("gone");
}

#[test]
fn text_mode_writes_numbers_and_texts_in_hexadecimal_where_it_can() {
    let start = |charset: &[&'static str]| {
        let format = ["> AT+CMGF=1", "< OK"];
        script(&[&START[..10], &format, charset, &START[12..], NETWORK])
    };
    let body = |text: &str, coding| Body::Text {
        to: Number::parse("+4915112").unwrap(),
        coding,
        text: text.to_owned(),
    };
    let mut play = Play::new(ModemMode::Text);
    play.dialogue.send(vec![body("A\nж", Coding::Ucs2)], MonoMs(play.now));
    let ucs2 = [
        "> AT+CSMP=49,167,0,8",
        "< OK",
        "> AT+CMGS=\"002B0034003900310035003100310032\",145",
        "<<",
        "> 0041000A0436^Z",
        "< +CMGS: 9",
        "< OK",
        "= Accepted(Some(9))",
        "= Sent",
    ];
    play.check(&script(&[&start(&["> AT+CSCS=\"UCS2\"", "< OK"]), &ucs2]));
    play.dialogue.send(vec![body("A", Coding::Gsm7)], MonoMs(play.now));
    play.check(&script(&[NETWORK, &["> AT+CSMP=49,167,0,0"]]));

    let mut play = Play::new(ModemMode::Text);
    play.dialogue.send(vec![body("A\nж\u{1a}", Coding::Ucs2)], MonoMs(play.now));
    let charset = ["> AT+CSCS=\"UCS2\"", "< ERROR", "> AT+CSCS=\"IRA\"", "< OK"];
    let ascii = ["> AT+CSMP=49,167,0,0", "< OK", "> AT+CMGS=\"+4915112\",145", "<<", "> A ??^Z"];
    play.check(&script(&[&start(&charset), &ascii]));
}
