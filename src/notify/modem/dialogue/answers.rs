//! What follows from an answer, from a refusal, and from silence.

use super::command::{Command, ESCAPE};
use super::pin;
use super::{Dialogue, Event, Exchange, Goal, Step};
use crate::config::ModemMode;
use crate::domain::MonoMs;
use crate::notify::Failure;
use crate::notify::modem::network::{self, Registration};
use crate::notify::modem::pdu;
use crate::notify::modem::refusal::{Final, Outlook, Refusal, SimTrouble};

/// A sleeping modem loses the first bytes, one that finds the speed by itself the first command.
const HELLO_TRIES_MAX: u8 = 3;
/// A SIM is read within seconds after power-up.
const BUSY_TRIES_MAX: u8 = 20;
const BUSY_PAUSE_MS: i64 = 1_000;
/// Between two looks whether the network was found.
const REGISTER_PAUSE_MS: i64 = 2_000;

impl Dialogue {
    pub(super) fn answered(&mut self, exchange: Exchange, end: Final, now: MonoMs) {
        let Exchange { command, info, .. } = exchange;
        match end {
            Final::Ok => {
                // A PIN that was accepted is followed by the question whether it was: that counts its own tries.
                if command != Command::SimState {
                    self.tries = 0;
                }
                self.succeeded(command, &info, now);
            }
            Final::Refused(refusal) => {
                if refusal.outlook() == Outlook::Soon && self.tries < BUSY_TRIES_MAX {
                    self.again_soon(command, now);
                } else {
                    self.refused(command, &refusal, now);
                }
            }
        }
    }

    fn succeeded(&mut self, command: Command, info: &[String], now: MonoMs) {
        let text = info.first().map(String::as_str).unwrap_or_default();
        match command {
            Command::SimState => self.sim_state(text, now),
            Command::PinTries => {
                let left = pdu::fields(text).get(1).and_then(|left| left.parse().ok());
                self.enter_pin(left);
            }
            Command::EnterPin(_) => {
                self.pins.accepted();
                self.say_next(Command::SimState);
            }
            Command::ReportsAs(_) => self.status.has_reports = true,
            Command::Hexadecimal => self.is_hexadecimal = true,
            Command::Circuit => self.set_registration(Some(text), Which::Circuit),
            Command::Lte => self.set_registration(Some(text), Which::Lte),
            Command::Signal => self.status.signal_dbm = network::signal_dbm(text),
            Command::Operator => {
                let name = network::operator(text);
                let written = name.as_deref().filter(|_| self.is_hexadecimal).and_then(pdu::from_ucs2);
                self.status.operator = written.or(name);
            }
            Command::Submit(_) => {
                let reference = pdu::fields(text).first().and_then(|field| field.parse().ok());
                self.events.push_back(Event::Accepted(reference));
            }
            Command::Read(_) => self.take_stored(info),
            _ => {}
        }
    }

    fn refused(&mut self, command: Command, refusal: &Refusal, now: MonoMs) {
        match command {
            Command::Hello | Command::Probe => self.hello_again(&format!("answers {}", refusal.words())),
            Command::SimState => self.sim_refused(refusal),
            Command::PinTries => self.enter_pin(None),
            Command::EnterPin(_) => {
                self.pins.refused();
                match refusal.sim() {
                    Some(SimTrouble::WrongPin) => self.stick(pin::refused()),
                    Some(trouble) => self.stick(sim_failure(trouble)),
                    // Perhaps it wanted none any more; the SIM knows.
                    None => self.say_next(Command::SimState),
                }
            }
            Command::ReportsAs(route) => match route.next() {
                Some(next) => self.say_next(Command::ReportsAs(next)),
                None => self.status.has_reports = false,
            },
            Command::Hexadecimal => {
                self.is_hexadecimal = false;
                self.say_next(Command::Ascii);
            }
            Command::Circuit => self.set_registration(None, Which::Circuit),
            Command::Lte => self.set_registration(None, Which::Lte),
            Command::Signal => self.status.signal_dbm = None,
            Command::Operator => self.status.operator = None,
            Command::Format(_) => {
                let remedy = match self.settings.mode {
                    ModemMode::Pdu => "; if it offers text mode only, set mode = \"text\"",
                    ModemMode::Text => "",
                };
                self.stick(Failure::Later(format!("the modem refuses SMS: {}{remedy}", refusal.words())));
            }
            Command::Announce(_) | Command::Submit(_) | Command::Parameters { .. } => {
                self.message_refused(refusal);
            }
            command if command.is_optional() => {}
            command => {
                let (name, words) = (command.name(), refusal.words());
                self.stick(Failure::Later(format!("the modem refuses {name}: {words}")));
            }
        }
        self.advance(now);
    }

    /// Nothing came in time.
    pub(super) fn silent(&mut self, exchange: Exchange, now: MonoMs) {
        match exchange.command {
            Command::Quiet => {}
            Command::Hello | Command::Probe => self.hello_again("does not answer"),
            Command::Submit(_) => self.lose(
                "the modem took the message and then stopped answering; it is sent again and may arrive twice"
                    .to_owned(),
            ),
            Command::Announce(_) => {
                self.out.extend(ESCAPE.to_string().into_bytes());
                self.lose("the modem does not ask for the message after AT+CMGS".to_owned());
            }
            Command::PinTries => {
                self.enter_pin(None);
                // Its answer may still come and must not be taken for one about the PIN.
                if self.goal != Goal::Nothing {
                    self.say_next(Command::Quiet);
                }
            }
            command if command.is_optional() => {
                self.say_next(Command::Probe);
                self.say_next(Command::Quiet);
            }
            command => self.lose(format!("the modem stopped answering at {}", command.name())),
        }
        self.advance(now);
    }

    fn hello_again(&mut self, what: &str) {
        self.tries += 1;
        if self.tries < HELLO_TRIES_MAX {
            // Perhaps it takes what it hears for a message.
            self.say_next(Command::Hello);
            self.say_next(Command::Quiet);
        } else {
            self.lose(format!(
                "the modem {what}; check that it has power, that the port takes AT commands, and its baud rate"
            ));
        }
    }

    fn again_soon(&mut self, command: Command, now: MonoMs) {
        self.tries += 1;
        if let Command::EnterPin(_) = command {
            self.pins.not_heard();
        }
        self.say_next(match command {
            Command::Submit(body) => Command::Announce(body),
            command => command,
        });
        self.paused_until = Some(MonoMs(now.0 + BUSY_PAUSE_MS));
    }

    fn sim_state(&mut self, state: &str, now: MonoMs) {
        match state {
            // The second PIN guards a phone book.
            "READY" | "SIM PIN2" | "SIM PUK2" => self.tries = 0,
            // It was set up and lost its power since, unseen.
            "SIM PIN" if self.status.is_ready => {
                self.drop_goal();
                self.status.is_ready = false;
                self.look(now);
            }
            "SIM PIN" if self.pins.was_accepted() => {
                // The card takes a moment to say so.
                if self.tries < BUSY_TRIES_MAX {
                    self.again_soon(Command::SimState, now);
                } else {
                    self.pins.doubted();
                    self.stick(Failure::Later("the SIM took its PIN and asks for it again".to_owned()));
                }
            }
            "SIM PIN" => match self.pins.candidate() {
                Ok(_) => self.say_next(Command::PinTries),
                Err(failure) => self.stick(failure),
            },
            "SIM PUK" => self.stick(sim_failure(SimTrouble::WantsPuk)),
            "NOT INSERTED" | "NOT READY" => self.stick(sim_failure(SimTrouble::Missing)),
            other => self.stick(Failure::Never(format!(
                "the modem asks for a code that the hub has not ({other}); it may be locked to another operator"
            ))),
        }
    }

    fn sim_refused(&mut self, refusal: &Refusal) {
        // A late word about the PIN.
        if refusal.sim() == Some(SimTrouble::WrongPin) {
            self.pins.refused();
        }
        self.stick(match refusal.sim() {
            Some(trouble) => sim_failure(trouble),
            None => Failure::Later(format!("the modem does not tell about its SIM: {}", refusal.words())),
        });
    }

    fn enter_pin(&mut self, tries_left: Option<u8>) {
        match self.pins.choose(tries_left) {
            Ok(pin) => self.say_next(Command::EnterPin(pin)),
            Err(failure) => self.stick(failure),
        }
    }

    fn set_registration(&mut self, text: Option<&str>, which: Which) {
        let registration = text.and_then(Registration::parse_answer);
        match which {
            Which::Circuit => self.circuit = registration,
            Which::Lte => self.lte = registration,
        }
        let (circuit, lte) = (self.circuit.unwrap_or_default(), self.lte.unwrap_or_default());
        self.status.registration = circuit.better(lte);
    }

    /// Goes on where there is a network, or where the modem cannot tell.
    pub(super) fn register(&mut self, now: MonoMs) {
        let registration = self.status.registration;
        if registration.is_registered() || !self.is_network_known() {
            return;
        }
        if registration == Registration::Denied || self.register_until <= now {
            let problem = format!("the modem is not registered with a network: {}", registration.words());
            self.status.problem = Some(problem.clone());
            // The modem is as it should be; the next message asks the network again, and nothing else.
            self.events.push_back(Event::Failed(Failure::Later(problem)));
            self.drop_goal();
        } else {
            self.paused_until = Some(MonoMs(now.0 + REGISTER_PAUSE_MS));
            for step in [Step::Register, Step::Say(Command::Lte), Step::Say(Command::Circuit)] {
                self.queue.push_front(step);
            }
        }
    }

    fn message_refused(&mut self, refusal: &Refusal) {
        let text = format!("the message was refused: {}", refusal.words());
        match refusal.outlook() {
            Outlook::Never => {
                self.events.push_back(Event::Failed(Failure::Never(text)));
                self.drop_goal();
            }
            Outlook::Soon | Outlook::Later => self.refuse(Failure::Later(text)),
        }
    }

    /// The message failed and the modem may not be as it was set up: it is set up anew before the next.
    pub(super) fn refuse(&mut self, failure: Failure) {
        if self.goal == Goal::Send {
            self.events.push_back(Event::Failed(failure));
        }
        self.status.is_ready = false;
        self.drop_goal();
    }

    /// The modem cannot be set up as it is: a person must act.
    fn stick(&mut self, failure: Failure) {
        self.forget_modem();
        self.status.problem = Some(failure.to_string());
        if self.goal == Goal::Send {
            self.events.push_back(Event::Failed(failure));
        }
        self.drop_goal();
    }

    fn lose(&mut self, text: String) {
        self.is_suspect = true;
        self.stick(Failure::Later(text.clone()));
        self.events.push_back(Event::Lost(text));
    }
}

#[derive(Clone, Copy)]
enum Which {
    Circuit,
    Lte,
}

fn sim_failure(trouble: SimTrouble) -> Failure {
    match trouble {
        SimTrouble::Missing => {
            Failure::Later("the modem finds no SIM; push it in until it clicks".to_owned())
        }
        SimTrouble::Broken => {
            Failure::Later("the modem cannot read its SIM; clean it, or try it in a phone".to_owned())
        }
        SimTrouble::WantsPuk => Failure::Never(
            "the SIM is locked and asks for its PUK; put it into a phone and unlock it there".to_owned(),
        ),
        SimTrouble::WrongPin => pin::refused(),
    }
}
