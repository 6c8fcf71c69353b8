//! Dialogues, word by word.
//!
//! A script's lines: `> AT` is what must be written next (`^Z` and `ESC` for the characters), `< OK` a line that the modem says,
//! `<<` its prompt, `+500` milliseconds that pass, `= ..` what the next event's debug text must contain. Nothing else may be
//! written or happen.

use super::command::Body;
use super::*;
use crate::notify::modem::pdu::{Number, Pdu};
use crate::notify::modem::plan::Coding;

/// From the opened port to a modem that is ready, in PDU mode with reports and without a PIN.
const START: &[&str] = &[
    "> ESC",
    "+250",
    "> ATE0Q0V1",
    "< ATE0Q0V1",
    "< OK",
    "> AT+CMEE=1",
    "< OK",
    "> AT+CPIN?",
    "< +CPIN: READY",
    "< OK",
    "> AT+CMGF=0",
    "< OK",
    "> AT+CSMS=0",
    "< +CSMS: 1,1,1",
    "< OK",
    "> AT+CNMI=2,0,0,1,0",
    "< OK",
    "> AT+COPS=3,0",
    "< OK",
];
/// What follows it in a look.
const LOOK: &[&str] = &[
    "> AT+CREG?",
    "< +CREG: 0,1",
    "< OK",
    "> AT+CEREG?",
    "< ERROR",
    "> AT+CSQ",
    "< +CSQ: 13,99",
    "< OK",
    "> AT+COPS?",
    "< +COPS: 0,0,\"Testnetz\",2",
    "< OK",
];
/// What precedes a message.
const NETWORK: &[&str] =
    &["> AT+CREG?", "< +CREG: 0,1", "< OK", "> AT+CEREG?", "< ERROR", "> AT+CSQ", "< +CSQ: 13,99", "< OK"];

struct Play {
    dialogue: Dialogue,
    now: i64,
    written: String,
}

impl Play {
    fn new(mode: ModemMode) -> Self {
        let dialogue = Dialogue::new(Settings { mode, reports: true });
        Self { dialogue, now: 1_000_000, written: String::new() }
    }

    /// One that is ready and idle.
    #[track_caller]
    fn ready() -> Self {
        let mut play = Self::new(ModemMode::Pdu);
        play.look();
        play.check(&[START, LOOK].concat());
        assert!(play.dialogue.status().is_ready && play.dialogue.is_idle());
        play
    }

    fn pin(mut self, pin: &str) -> Self {
        self.dialogue.set_pin(Some(Ok(Secret::new(pin.to_owned()))));
        self
    }

    fn look(&mut self) {
        self.dialogue.look(MonoMs(self.now));
    }

    fn send(&mut self, messages: &[&str]) {
        let pdu = |hex: &&str| Body::Pdu(Pdu { hex: (*hex).to_owned(), octets: hex.len() / 2 - 1 });
        self.dialogue.send(messages.iter().map(pdu).collect(), MonoMs(self.now));
    }

    #[track_caller]
    fn check(&mut self, script: &[&str]) {
        for (at, line) in script.iter().enumerate() {
            self.read();
            let line = *line;
            if let Some(want) = line.strip_prefix("> ") {
                let want = want.replace("ESC", "\u{1b}").replace("^Z", "\u{1a}");
                let rest =
                    self.written.strip_prefix(&want).map(|rest| rest.strip_prefix('\r').unwrap_or(rest));
                let rest = rest.unwrap_or_else(|| panic!("line {at}: {want:?} where {:?}", self.written));
                self.written = rest.to_owned();
                continue;
            }
            if let Some(want) = line.strip_prefix("= ") {
                let got = format!("{:?}", self.dialogue.next_event());
                assert!(got.contains(want), "line {at}: {want} where {got}");
                continue;
            }
            assert_eq!(self.written, "", "written before line {at}: {line}");
            assert_eq!(self.dialogue.next_event(), None, "before line {at}: {line}");
            if line == "<<" {
                self.dialogue.feed(b"\r\n> ", MonoMs(self.now));
            } else if let Some(said) = line.strip_prefix("< ") {
                self.dialogue.feed(format!("\r\n{said}\r\n").as_bytes(), MonoMs(self.now));
            } else {
                let passed: i64 = line.strip_prefix('+').unwrap().parse().unwrap();
                self.now += passed;
                self.dialogue.tick(MonoMs(self.now));
            }
        }
        self.read();
        assert_eq!((self.written.as_str(), self.dialogue.next_event()), ("", None), "after the script");
    }

    fn read(&mut self) {
        self.written += &String::from_utf8(self.dialogue.take_out()).unwrap();
    }

    #[track_caller]
    fn check_problem(&self, part: &str) {
        let problem = self.dialogue.status().problem.as_deref().unwrap_or_default();
        assert!(problem.contains(part), "{part} where {problem}");
        assert!(self.dialogue.is_idle());
    }
}

fn script<'a>(parts: &[&[&'a str]]) -> Vec<&'a str> {
    parts.concat()
}

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
    assert!(play.dialogue.stored.len() <= STORED_MAX);
}

#[test]
fn a_modem_that_was_restarted_is_set_up_again() {
    let mut play = Play::ready();
    play.check(&["< RDY"]);
    play.send(&["00AA"]);
    play.check(&script(&[START, NETWORK, &["> AT+CMGS=1"]]));
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
