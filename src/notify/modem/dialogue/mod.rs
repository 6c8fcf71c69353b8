//! The dialogue with a modem by AT commands (ITU-T V.250, 3GPP TS 27.005 and 27.007), sans-IO: bytes and instants in, bytes
//! to write and events out.
//!
//! One command is on the line at a time; what follows waits in a queue, and an answer may put more in front of it. A goal
//! (a start, a look, a message) is over when the queue is empty or one of its commands has failed.

mod answers;
pub mod command;
mod heard;
mod pin;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use serde::Serialize;

use self::command::{Body, Command, ESCAPE, ReportRoute};
use self::pin::Pins;
use super::lines::Lines;
use super::network::Registration;
use super::pdu::{self, StatusReport};
use crate::config::{ModemMode, Secret};
use crate::domain::MonoMs;
use crate::notify::Failure;

/// Status, and whether the modem still answers: often enough for a person who moves an antenna and looks.
pub const LOOK_EVERY_MS: i64 = 60_000;
/// After a start a modem searches its network; later a message does not wait for one, its sender tries again.
const REGISTER_MS_MAX: i64 = 30_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub mode: ModemMode,
    /// Ask for a report of each message.
    pub reports: bool,
}

/// The PIN as the configuration has it: none, or what its file holds, or why it could not be read.
pub type Pin = Option<Result<Secret, String>>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The network took the next part; its reference, where the modem said one.
    Accepted(Option<u8>),
    /// All parts were taken.
    Sent,
    /// The message in hand was not, or not wholly.
    Failed(Failure),
    Report(StatusReport),
    /// Something about the line that is counted.
    Odd(Odd),
    /// Nobody answers; the port should be closed and opened again.
    Lost(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Odd {
    /// Bytes of over-long lines that were dropped.
    LongLine(u64),
    /// A status report that is not understood, and why.
    BadReport(pdu::ReportError),
    /// No more status reports can wait.
    ReportDropped,
}

/// What is known of the modem, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ModemStatus {
    /// It is set up and takes messages, as far as it is concerned.
    pub is_ready: bool,
    pub operator: Option<String>,
    pub registration: Registration,
    /// dBm; None: not known.
    pub signal_dbm: Option<i16>,
    /// It hands on whether messages arrived.
    pub has_reports: bool,
    /// What keeps messages from going out, and what to do.
    pub problem: Option<String>,
}

pub struct Dialogue {
    settings: Settings,
    pins: Pins,
    lines: Lines,
    out: Vec<u8>,
    events: VecDeque<Event>,
    queue: VecDeque<Step>,
    current: Option<Exchange>,
    /// Nothing is said before.
    paused_until: Option<MonoMs>,
    goal: Goal,
    /// When the last start or look began.
    looked_at: Option<MonoMs>,
    /// Until then a message waits for the network.
    register_until: MonoMs,
    /// The modem stopped answering and is to be reset.
    is_suspect: bool,
    status: ModemStatus,
    circuit: Option<Registration>,
    lte: Option<Registration>,
    /// Texts are written as hexadecimal in text mode.
    is_hexadecimal: bool,
    /// The next line is a status report.
    is_report_next: bool,
    /// Status reports to be read: storage and index.
    stored: VecDeque<(String, u16)>,
    /// How often the command in hand was said.
    tries: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    Nothing,
    Look,
    Fetch,
    Send,
}

/// What the queue holds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Say(Command),
    /// The modem is set up.
    Ready,
    /// A message may go only if there is a network.
    Register,
}

struct Exchange {
    command: Command,
    begun: MonoMs,
    until: MonoMs,
    info: Vec<String>,
}

impl Dialogue {
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            pins: Pins::default(),
            lines: Lines::default(),
            out: Vec::new(),
            events: VecDeque::new(),
            queue: VecDeque::new(),
            current: None,
            paused_until: None,
            goal: Goal::Nothing,
            looked_at: None,
            register_until: MonoMs(i64::MIN),
            is_suspect: false,
            status: ModemStatus::default(),
            circuit: None,
            lte: None,
            is_hexadecimal: false,
            is_report_next: false,
            stored: VecDeque::new(),
            tries: 0,
        }
    }

    /// The port was opened: everything that was known of the modem is not known any more, but a PIN it refused.
    pub fn opened(&mut self) {
        self.drop_goal();
        self.lines.clear();
        self.out.clear();
        self.looked_at = None;
        self.forget_modem();
    }

    /// The port is gone.
    pub fn closed(&mut self, problem: &str) {
        if self.goal == Goal::Send {
            self.events.push_back(Event::Failed(Failure::Later(problem.to_owned())));
        }
        self.opened();
        self.status.problem = Some(problem.to_owned());
    }

    pub fn is_idle(&self) -> bool {
        self.goal == Goal::Nothing
    }

    /// A start will come before anything else, and may want the PIN.
    pub fn wants_pin(&self) -> bool {
        !self.status.is_ready
    }

    pub fn set_pin(&mut self, pin: Pin) {
        self.pins.set(pin);
    }

    pub fn status(&self) -> &ModemStatus {
        &self.status
    }

    /// A look is due.
    pub fn is_look_due(&self, now: MonoMs) -> bool {
        self.is_idle() && self.look_at() <= now
    }

    /// Sets the modem up where that is not done, and asks how it is.
    pub fn look(&mut self, now: MonoMs) {
        self.begin(Goal::Look, now);
        self.looked_at = Some(now);
        if self.status.is_ready {
            self.say(Command::SimState);
        }
        for command in [Command::Circuit, Command::Lte, Command::Signal, Command::Operator] {
            self.say(command);
        }
        self.advance(now);
    }

    /// Hands over the parts of one message; answered by `Accepted` for each, then `Sent`, or by `Failed`. Only while idle.
    pub fn send(&mut self, bodies: Vec<Body>, now: MonoMs) {
        debug_assert!(self.is_idle(), "one message at a time");
        self.begin(Goal::Send, now);
        for command in [Command::Circuit, Command::Lte, Command::Signal] {
            self.say(command);
        }
        self.queue.push_back(Step::Register);
        for body in bodies {
            if let Body::Text { coding, .. } = &body {
                let wants_report = self.settings.reports;
                self.say(Command::Parameters { wants_report, coding: *coding });
            }
            self.say(Command::Announce(body));
        }
        self.advance(now);
    }

    /// Nobody waits for the message any more. A part that the modem has in its hands it finishes, so that `Sent` may follow
    /// although parts are missing; a prompt is cancelled.
    pub fn abort(&mut self, now: MonoMs) {
        if self.goal != Goal::Send {
            return;
        }
        self.queue.retain(|step| match step {
            Step::Say(command) => !matches!(command, Command::Parameters { .. } | Command::Announce(_)),
            Step::Register => false,
            Step::Ready => true,
        });
        match self.current.as_ref().map(|exchange| &exchange.command) {
            Some(Command::Submit(_)) => {}
            Some(Command::Announce(_)) => {
                self.cancel();
                self.refuse(Failure::Later("it was given up".to_owned()));
            }
            // A start goes on: a PIN that was said must have its answer.
            _ => {
                self.goal = Goal::Look;
                self.events.push_back(Event::Failed(Failure::Later("it was given up".to_owned())));
            }
        }
        self.advance(now);
    }

    /// Cancels what is half said, for when the port is about to be closed.
    pub fn cancel(&mut self) {
        if self.current.as_ref().is_some_and(|exchange| matches!(exchange.command, Command::Announce(_))) {
            self.out.extend(ESCAPE.to_string().into_bytes());
        }
    }

    /// Looks whether something took too long.
    pub fn tick(&mut self, now: MonoMs) {
        if self.paused_until.is_some_and(|until| until <= now) {
            self.paused_until = None;
        }
        if self.current.as_ref().is_some_and(|exchange| exchange.until <= now) {
            let exchange = self.current.take().expect("looked at above");
            self.silent(exchange, now);
        }
        self.advance(now);
    }

    /// When to call [`Self::tick`] at the latest; while idle, when a look is due.
    pub fn deadline(&self) -> MonoMs {
        let waits = [self.paused_until, self.current.as_ref().map(|exchange| exchange.until)];
        waits.into_iter().flatten().min().unwrap_or_else(|| self.look_at())
    }

    /// What is to be written now.
    pub fn take_out(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn look_at(&self) -> MonoMs {
        self.looked_at.map_or(MonoMs(i64::MIN), |at| MonoMs(at.0.saturating_add(LOOK_EVERY_MS)))
    }

    fn begin(&mut self, goal: Goal, now: MonoMs) {
        self.goal = goal;
        if !self.status.is_ready {
            self.looked_at = Some(now);
            self.queue_start();
        }
    }

    fn queue_start(&mut self) {
        self.pins.begin();
        self.say(Command::Quiet);
        if self.is_suspect {
            self.say(Command::Reset);
        }
        self.say(Command::Hello);
        self.say(Command::Reasons);
        self.say(Command::SimState);
        match self.settings.mode {
            ModemMode::Pdu => self.say(Command::Format(0)),
            ModemMode::Text => {
                self.say(Command::Format(1));
                self.say(Command::Hexadecimal);
            }
        }
        if self.settings.reports {
            self.say(Command::NoAcknowledgement);
            self.say(Command::ReportsAs(ReportRoute::Direct));
        }
        self.say(Command::OperatorNames);
        self.queue.push_back(Step::Ready);
    }

    fn say(&mut self, command: Command) {
        self.queue.push_back(Step::Say(command));
    }

    fn say_next(&mut self, command: Command) {
        self.queue.push_front(Step::Say(command));
    }

    /// Says what is next, where nothing is in hand.
    fn advance(&mut self, now: MonoMs) {
        while self.current.is_none() && self.paused_until.is_none() && self.goal != Goal::Nothing {
            match self.queue.pop_front() {
                Some(Step::Say(command)) => {
                    self.out.extend(command.bytes(self.is_hexadecimal).into_bytes());
                    if let Command::EnterPin(pin) = &command {
                        self.pins.said(pin.clone());
                    }
                    let until = MonoMs(now.0 + command.ms_max());
                    self.current = Some(Exchange { command, begun: now, until, info: Vec::new() });
                }
                Some(Step::Ready) => {
                    self.status.is_ready = true;
                    self.is_suspect = false;
                    self.register_until = MonoMs(now.0 + REGISTER_MS_MAX);
                }
                Some(Step::Register) => self.register(now),
                None => self.reach(),
            }
        }
        if self.goal == Goal::Nothing
            && self.status.is_ready
            && let Some((storage, index)) = self.stored.pop_front()
        {
            self.begin(Goal::Fetch, now);
            self.say(Command::Storage(storage));
            self.say(Command::Read(index));
            self.say(Command::Delete(index));
            self.advance(now);
        }
    }

    /// The goal is reached.
    fn reach(&mut self) {
        let registration = self.status.registration;
        self.status.problem = match self.goal {
            Goal::Look if self.is_network_known() && !registration.is_registered() => {
                Some(format!("the modem is not registered with a network: {}", registration.words()))
            }
            _ => None,
        };
        if self.goal == Goal::Send {
            self.events.push_back(Event::Sent);
        }
        self.drop_goal();
    }

    fn drop_goal(&mut self) {
        self.goal = Goal::Nothing;
        self.queue.clear();
        self.current = None;
        self.paused_until = None;
        self.tries = 0;
    }

    fn forget_modem(&mut self) {
        self.status = ModemStatus { problem: self.status.problem.take(), ..ModemStatus::default() };
        (self.circuit, self.lte) = (None, None);
        self.is_hexadecimal = false;
        self.is_report_next = false;
        self.stored.clear();
    }

    fn is_network_known(&self) -> bool {
        self.circuit.is_some() || self.lte.is_some()
    }
}
