//! A modem that says anything, to the dialogue and the desk as the line drives them. For fuzzing, and for the tests on what
//! it found; no part of the product.

use uuid::Uuid;

use super::desk::{Desk, Order};
use super::dialogue::{Dialogue, Event, Settings};
use super::lines::LINE_BYTES_MAX;
use super::pdu::{self, Number, StatusReport};
use crate::config::{ModemMode, Secret};
use crate::domain::MonoMs;

const PIN: &str = "83715520";
/// A fuzzer must come to its end.
const SENDS_MAX: usize = 20;

/// The first byte says the modem's mode. What follows comes over the line, but for these bytes.
const NEXT_DEADLINE: u8 = 1;
const SEND: u8 = 2;
const SEND_LONG: u8 = 3;
const ABORT: u8 = 4;
const REOPEN: u8 = 5;
const LOOK: u8 = 6;

pub fn run(input: &[u8]) {
    let (mode, script) = input.split_first().unwrap_or((&0, &[]));
    reports(script);
    let mut play = Play::new(if mode & 1 == 0 { ModemMode::Pdu } else { ModemMode::Text }, mode & 2 == 0);
    let digits: String =
        script.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| char::from(*byte)).collect();
    play.is_pin_said = digits.contains(PIN);
    play.dialogue.look(play.now);
    let mut rest = script;
    while let [byte, after @ ..] = rest {
        let is_said = |byte: &u8| !(NEXT_DEADLINE..=LOOK).contains(byte);
        if is_said(byte) {
            let end = rest.iter().position(|byte| !is_said(byte)).unwrap_or(rest.len());
            play.dialogue.feed(&rest[..end], play.now);
            rest = &rest[end..];
        } else {
            play.operate(*byte);
            rest = after;
        }
        play.settle();
    }
    play.be_silent();
}

/// Reports by themselves: nobody guesses when a dialogue takes one.
fn reports(script: &[u8]) {
    let text = String::from_utf8_lossy(script);
    let line = text.lines().next().unwrap_or_default();
    for report in [StatusReport::parse(line), StatusReport::parse_text(line)].into_iter().flatten() {
        assert!(report.recipient.bytes().all(|byte| byte.is_ascii_digit()), "{report:?}");
        assert!(report.recipient.len() <= line.len());
    }
    assert!(pdu::fields(line).len() <= line.len() + 1);
    pdu::from_ucs2(line);
}

struct Play {
    dialogue: Dialogue,
    desk: Desk,
    now: MonoMs,
    sends: usize,
    /// Parts of the message in hand that the network may still take; None: no message.
    parts: Option<usize>,
    /// The modem itself says the digits of the PIN, and may be quoted.
    is_pin_said: bool,
}

impl Play {
    fn new(mode: ModemMode, reports: bool) -> Self {
        let mut dialogue = Dialogue::new(Settings { mode, reports });
        dialogue.set_pin(Some(Ok(Secret::new(PIN.to_owned()))));
        Self {
            dialogue,
            desk: Desk::new(mode, reports, 250),
            now: MonoMs(1_000_000),
            sends: 0,
            parts: None,
            is_pin_said: false,
        }
    }

    fn operate(&mut self, operation: u8) {
        match operation {
            NEXT_DEADLINE => {
                self.now = MonoMs(self.dialogue.deadline().0.max(self.now.0));
                self.dialogue.tick(self.now);
            }
            SEND => self.send("Walk-in: 9.1 °C"),
            SEND_LONG => self.send(&"Kühlraum 9,1 °C seit 12:40 ☃ ".repeat(8)),
            ABORT => self.dialogue.abort(self.now),
            REOPEN => self.dialogue.closed("unplugged"),
            _ if self.dialogue.is_idle() => self.dialogue.look(self.now),
            _ => {}
        }
    }

    fn send(&mut self, text: &str) {
        if !self.dialogue.is_idle() || self.parts.is_some() || self.sends == SENDS_MAX {
            return;
        }
        self.sends += 1;
        let to = Number::parse("+4915112345678").expect("a number");
        let bodies =
            self.desk.take(Order { id: Uuid::from_u128(self.sends as u128), to, text: text.to_owned() });
        self.parts = Some(bodies.len());
        self.dialogue.send(bodies, self.now);
    }

    /// Takes what the dialogue wrote and what it tells.
    fn settle(&mut self) {
        self.dialogue.take_out();
        while let Some(event) = self.dialogue.next_event() {
            assert!(self.is_pin_said || !format!("{event:?}").contains(PIN), "the PIN is told: {event:?}");
            match event {
                Event::Accepted(reference) => {
                    if let Some(parts) = &mut self.parts {
                        *parts = parts.checked_sub(1).expect("no more parts are taken than were given");
                    }
                    self.desk.accepted(reference);
                }
                Event::Sent => {
                    self.parts.take().expect("a message in hand");
                    if self.desk.receipt(None).is_ok() {
                        self.desk.handed_over(self.now);
                    } else {
                        self.desk.stopped();
                    }
                }
                Event::Failed(_) => {
                    self.parts.take().expect("a message in hand");
                    self.desk.stopped();
                }
                Event::Report(report) => {
                    self.desk.report(report, self.now);
                }
                Event::Lost(_) => {
                    self.dialogue.closed("lost");
                }
                Event::Odd(_) => {}
            }
        }
        let operator = self.dialogue.status().operator.as_ref();
        assert!(operator.is_none_or(|name| name.len() <= 3 * LINE_BYTES_MAX));
    }

    /// A dialogue that nobody answers ends by itself, and a message with it.
    fn be_silent(&mut self) {
        for _ in 0..400 {
            if self.dialogue.is_idle() {
                break;
            }
            self.operate(NEXT_DEADLINE);
            self.settle();
        }
        assert!(self.dialogue.is_idle());
        assert_eq!(self.parts, None, "a message has an end");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_holds() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/modem");
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty(), "{folder} is empty");
        for file in files {
            println!("{}", file.display());
            super::run(&std::fs::read(&file).unwrap());
        }
    }
}
