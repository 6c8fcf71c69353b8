//! Lines as they come: answers, what nobody asked for, and what came too late.

use super::command::{Command, ESCAPE, QUIET_MS_MAX};
use super::{Dialogue, Event, Exchange, Odd, Step};
use crate::config::ModemMode;
use crate::domain::MonoMs;
use crate::notify::modem::lines::Piece;
use crate::notify::modem::network::Registration;
use crate::notify::modem::pdu::{self, StatusReport};
use crate::notify::modem::refusal::Final;

/// Stored reports that wait to be read: a SIM holds no more messages in its smallest form.
pub(super) const STORED_MAX: usize = 16;
/// Lines of one answer.
const INFO_LINES_MAX: usize = 4;

impl Dialogue {
    /// Takes what came over the line.
    pub fn feed(&mut self, bytes: &[u8], now: MonoMs) {
        if let Some(exchange) = &mut self.current
            && exchange.command == Command::Quiet
        {
            let end = exchange.begun.0 + QUIET_MS_MAX;
            exchange.until = MonoMs(end.min(now.0 + exchange.command.ms_max()));
        }
        self.lines.push(bytes);
        loop {
            let current = self.current.as_ref().map(|exchange| &exchange.command);
            match self.lines.next(matches!(current, Some(Command::Announce(_) | Command::Quiet))) {
                Some(Piece::Line(line)) => self.take_line(line, now),
                Some(Piece::Prompt) => self.prompted(),
                None => break,
            }
            // At once, so that the next line finds its command.
            self.advance(now);
        }
        let cut = self.lines.take_cut();
        if cut > 0 {
            self.events.push_back(Event::Odd(Odd::LongLine(cut)));
        }
        // A modem that babbles keeps nothing waiting for ever.
        self.tick(now);
    }

    fn prompted(&mut self) {
        match self.current.take() {
            Some(Exchange { command: Command::Announce(body), .. }) => {
                self.queue.push_front(Step::Say(Command::Submit(body)));
            }
            // A late one, to be cancelled, too.
            other => {
                self.out.extend(ESCAPE.to_string().into_bytes());
                self.current = other;
            }
        }
    }

    fn take_line(&mut self, line: String, now: MonoMs) {
        if std::mem::take(&mut self.is_report_next) && self.take_report(&line) {
            return;
        }
        if self.take_unsolicited(&line) {
            return;
        }
        let Some(exchange) = &mut self.current else { return };
        // The echo of a command that switches echo off, or of one that was said before.
        if exchange.command == Command::Quiet || line.starts_with("AT") {
            return;
        }
        match Final::parse(&line) {
            // A late answer to something said before.
            Some(Final::Ok) if exchange.info.is_empty() && exchange.command.is_answered_in_words() => {}
            Some(end) => {
                let exchange = self.current.take().expect("looked at above");
                self.answered(exchange, end, now);
            }
            None => {
                let Some(prefix) = exchange.command.prefix() else { return };
                // Behind the line of a stored report stands the report itself.
                let is_content = matches!(exchange.command, Command::Read(_)) && !exchange.info.is_empty();
                let info = line.strip_prefix(prefix).or(is_content.then_some(line.as_str()));
                let is_registration = matches!(exchange.command, Command::Circuit | Command::Lte);
                if let Some(info) = info.map(str::trim)
                    && exchange.info.len() < INFO_LINES_MAX
                    && (!is_registration || Registration::parse_answer(info).is_some())
                {
                    exchange.info.push(info.to_owned());
                }
            }
        }
    }

    /// Lines that modems say without being asked; true: it was one.
    fn take_unsolicited(&mut self, line: &str) -> bool {
        if let Some(text) = line.strip_prefix("+CDSI:") {
            let fields = pdu::fields(text);
            let index = fields.get(1).and_then(|index| index.parse().ok());
            if let (Some(storage), Some(index)) = (fields.first(), index) {
                // It goes into a command: nothing but a name.
                if !storage.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                    return true;
                }
                if self.stored.len() < STORED_MAX {
                    self.stored.push_back((storage.clone(), index));
                } else {
                    self.events.push_back(Event::Odd(Odd::ReportDropped));
                }
            }
            return true;
        }
        if let Some(text) = line.strip_prefix("+CDS:") {
            // A length alone: the report stands on the next line.
            if pdu::fields(text).len() > 1 {
                let report = StatusReport::parse_text(text);
                self.events.push_back(report.map_or_else(|e| Event::Odd(Odd::BadReport(e)), Event::Report));
            } else {
                self.is_report_next = true;
            }
            return true;
        }
        // What modems say after they were given power: everything they were told is gone.
        let is_restart = matches!(line, "RDY" | "SYSSTART" | "^SYSSTART");
        if is_restart {
            self.status.is_ready = false;
        }
        is_restart
    }

    fn take_report(&mut self, line: &str) -> bool {
        match StatusReport::parse(line) {
            Ok(report) => self.events.push_back(Event::Report(report)),
            // Something else came in between.
            Err(pdu::ReportError::NotHex) => return false,
            Err(error) => self.events.push_back(Event::Odd(Odd::BadReport(error))),
        }
        true
    }

    pub(super) fn take_stored(&mut self, info: &[String]) {
        let report = match (self.settings.mode, info) {
            (ModemMode::Pdu, [_, pdu, ..]) => StatusReport::parse(pdu),
            // "REC UNREAD" stands in front.
            (ModemMode::Text, [line, ..]) => {
                StatusReport::parse_text(line.split_once(',').map_or("", |(_, fields)| fields))
            }
            _ => return,
        };
        self.events.push_back(match report {
            Ok(report) => Event::Report(report),
            Err(error) => Event::Odd(Odd::BadReport(error)),
        });
    }
}
