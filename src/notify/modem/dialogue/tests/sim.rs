//! The SIM and its PIN.

use super::*;

/// `answers` follow `AT+CPIN?`; `want` is the problem.
#[track_caller]
fn check_sim(pin: Option<&str>, answers: &[&str], want: &str) -> Play {
    let mut play = Play::new(ModemMode::Pdu);
    if let Some(pin) = pin {
        play = play.pin(pin);
    }
    play.look();
    play.check(&script(&[&START[..8], answers]));
    play.check_problem(want);
    play
}

#[test]
fn what_the_sim_wants_is_said_in_words() {
    check_sim(None, &["< +CME ERROR: 10"], "push it in");
    check_sim(None, &["< +CME ERROR: SIM not inserted"], "push it in");
    check_sim(None, &["< +CME ERROR: 13"], "cannot read its SIM");
    check_sim(None, &["< +CPIN: SIM PUK", "< OK"], "PUK");
    check_sim(None, &["< +CPIN: PH-NET PIN", "< OK"], "another operator");
    check_sim(None, &["< +CPIN: SIM PIN", "< OK"], "pin_file");
    check_sim(Some("12"), &["< +CPIN: SIM PIN", "< OK"], "no PIN (4 to 8 digits)");
    check_sim(Some("12\"4"), &["< +CPIN: SIM PIN", "< OK"], "no PIN (4 to 8 digits)");
    let asked = ["< +CPIN: SIM PIN", "< OK", "> AT+CPINR=\"SIM PIN\""];
    check_sim(Some("1234"), &script(&[&asked, &["< +CPINR: SIM PIN,1,3", "< OK"]]), "last try");
    let refused = script(&[&asked, &["< ERROR", "> AT+CPIN=\"1234\"", "< +CME ERROR: 16"]]);
    check_sim(Some("1234"), &refused, "tried once");
    let locked = script(&[&asked, &["< ERROR", "> AT+CPIN=\"1234\"", "< +CME ERROR: 12"]]);
    check_sim(Some("1234"), &locked, "PUK");
    // Without a reason: the SIM is asked.
    let plain = ["< ERROR", "> AT+CPIN=\"1234\"", "< ERROR", "> AT+CPIN?", "< +CPIN: SIM PIN", "< OK"];
    check_sim(Some("1234"), &script(&[&asked, &plain]), "tried once");
}

#[test]
fn a_refused_pin_is_never_said_again_and_a_corrected_one_is() {
    let asked = ["< +CPIN: SIM PIN", "< OK", "> AT+CPINR=\"SIM PIN\"", "< ERROR"];
    let refused = script(&[&asked, &["> AT+CPIN=\"1111\"", "< +CME ERROR: 16"]]);
    let mut play = check_sim(Some("1111"), &refused, "tried once");
    // Neither a minute later nor after it was unplugged.
    for _ in 0..3 {
        play.look();
        play.check(&script(&[&START[..8], &["< +CPIN: SIM PIN", "< OK"]]));
        play.check_problem("tried once");
        play.dialogue.closed("the modem is gone");
        play.dialogue.opened();
    }
    // A message says the same, and for good.
    play.send(&["00AA"]);
    let end = ["< +CPIN: SIM PIN", "< OK", "= Failed(Never(\"the SIM refused the PIN"];
    play.check(&script(&[&START[..8], &end]));
    // Another PIN, and a card that takes a moment.
    let mut play = play.pin("2222");
    play.look();
    let accepted = [
        "> AT+CPIN=\"2222\"",
        "< OK",
        "> AT+CPIN?",
        "< +CPIN: SIM PIN",
        "< OK",
        "+1000",
        "> AT+CPIN?",
        "< +CME ERROR: 14",
        "+1000",
        "> AT+CPIN?",
        "< +CPIN: READY",
        "< OK",
    ];
    play.check(&script(&[&START[..8], &asked, &accepted, &START[10..], LOOK]));
    // Without power in between it is said anew.
    play.dialogue.closed("the modem is gone");
    play.dialogue.opened();
    play.look();
    play.check(&script(&[&START[..8], &asked, &["> AT+CPIN=\"2222\"", "< OK", "> AT+CPIN?"]]));
}

#[test]
fn a_pin_whose_answer_was_lost_is_said_again_only_to_a_card_that_was_not_tried() {
    let asked = ["< +CPIN: SIM PIN", "< OK", "> AT+CPINR=\"SIM PIN\""];
    let mut play = Play::new(ModemMode::Pdu).pin("1234");
    play.look();
    let lost = ["< ERROR", "> AT+CPIN=\"1234\"", "+20000", "= Lost"];
    play.check(&script(&[&START[..8], &asked, &lost]));
    let with_reset =
        |answers: &[&'static str]| script(&[&START[..2], &["> ATZ", "< OK"], &START[2..8], &asked, answers]);
    for (answers, problem) in
        [(vec!["< ERROR"], "answer was lost"), (vec!["< +CPINR: SIM PIN,2,3", "< OK"], "lost")]
    {
        play.dialogue.opened();
        play.look();
        play.check(&with_reset(&answers));
        play.check_problem(problem);
    }
    play.dialogue.opened();
    play.look();
    play.check(&with_reset(&["< +CPINR: SIM PIN,3,3", "< OK", "> AT+CPIN=\"1234\"", "< OK", "> AT+CPIN?"]));
}

#[test]
fn no_refused_pin_is_forgotten_over_another() {
    let asked = ["< +CPIN: SIM PIN", "< OK", "> AT+CPINR=\"SIM PIN\"", "< ERROR"];
    let mut play = Play::new(ModemMode::Pdu).pin("1111");
    play.look();
    play.check(&script(&[&START[..8], &asked, &["> AT+CPIN=\"1111\"", "< +CME ERROR: 16"]]));
    let mut play = play.pin("2222");
    play.look();
    play.check(&script(&[&START[..8], &asked, &["> AT+CPIN=\"2222\"", "< +CME ERROR: incorrect password"]]));
    let mut play = play.pin("1111");
    play.look();
    play.check(&script(&[&START[..8], &["< +CPIN: SIM PIN", "< OK"]]));
    play.check_problem("tried once");
}

#[test]
fn answers_that_come_late_are_not_taken_for_the_pins() {
    // The tries left come when nobody waits for them any more; an answer to them is no answer to the PIN.
    let mut play = Play::new(ModemMode::Pdu).pin("1234");
    play.look();
    let late = ["> AT+CPINR=\"SIM PIN\"", "+20000", "> ESC", "+100", "< +CPINR: SIM PIN,3,3", "< OK", "+250"];
    let answered = ["> AT+CPIN=\"1234\"", "< +CME ERROR: 16"];
    play.check(&script(&[&START[..8], &["< +CPIN: SIM PIN", "< OK"], &late, &answered]));
    play.check_problem("tried once");
    // Accepted by somebody else's OK, then refused.
    let mut play = Play::new(ModemMode::Pdu).pin("1234");
    play.look();
    let pin =
        ["> AT+CPINR=\"SIM PIN\"", "< ERROR", "> AT+CPIN=\"1234\"", "< OK", "> AT+CPIN?", "< +CME ERROR: 16"];
    play.check(&script(&[&START[..8], &["< +CPIN: SIM PIN", "< OK"], &pin]));
    play.look();
    play.check(&script(&[&START[..8], &["< +CPIN: SIM PIN", "< OK"]]));
    play.check_problem("tried once");
}

#[test]
fn a_pin_whose_answer_was_lost_is_not_forgotten_over_another() {
    let asked = ["< +CPIN: SIM PIN", "< OK", "> AT+CPINR=\"SIM PIN\"", "< ERROR"];
    let reset = ["> ATZ", "< OK"];
    let mut play = Play::new(ModemMode::Pdu).pin("1111");
    play.look();
    play.check(&script(&[&START[..8], &asked, &["> AT+CPIN=\"1111\"", "+20000", "= Lost"]]));
    play.dialogue.opened();
    let mut play = play.pin("2222");
    play.look();
    let refused = ["> AT+CPIN=\"2222\"", "< +CME ERROR: 16"];
    play.check(&script(&[&START[..2], &reset, &START[2..8], &asked, &refused]));
    let mut play = play.pin("1111");
    play.look();
    play.check(&script(&[&START[..2], &reset, &START[2..8], &["< +CPIN: SIM PIN", "< OK"]]));
    play.check_problem("tried once");
}
