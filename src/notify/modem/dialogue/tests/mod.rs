//! Dialogues, word by word.
//!
//! A script's lines: `> AT` is what must be written next (`^Z` and `ESC` for the characters), `< OK` a line that the modem says,
//! `<<` its prompt, `+500` milliseconds that pass, `= ..` what the next event's debug text must contain. Nothing else may be
//! written or happen.

mod message;
mod sim;
mod start;
mod whatever;

use super::command::Body;
use super::*;
use crate::notify::modem::pdu::Pdu;

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
