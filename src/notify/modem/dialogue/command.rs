//! What is said to a modem, and how long it may take to answer.

use super::super::hex;
use super::super::pdu::{Number, Pdu};
use super::super::plan::Coding;
use crate::config::Secret;

/// Ends a message; and cancels one (TS 27.005, 3.5.1).
pub const CTRL_Z: char = '\u{1a}';
pub const ESCAPE: char = '\u{1b}';

/// The line is quiet when nothing came for as long.
pub const QUIET_MS: i64 = 250;
/// What does not stop talking is no modem, or one that will not be understood later either.
pub const QUIET_MS_MAX: i64 = 3_000;
/// A modem that lives answers a plain command at once.
const PLAIN_MS_MAX: i64 = 1_000;
/// Commands that the modem passes on to the SIM or looks up.
const SETTING_MS_MAX: i64 = 5_000;
/// Reading the SIM, entering a PIN: makers name up to 5 s; slow cards are slower.
const SIM_MS_MAX: i64 = 20_000;
/// Naming the operator may ask the network.
const OPERATOR_MS_MAX: i64 = 20_000;
/// Makers name 60 s for a message that the network does not take at once; half of `DELIVER_MS_MAX`.
const BODY_MS_MAX: i64 = 60_000;

/// One message as the modem's mode wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    Pdu(Pdu),
    Text { to: Number, coding: Coding, text: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Cancels what may be half open and waits until the line is quiet.
    Quiet,
    /// Echo off, result codes on and in words (ITU-T V.250, 6.2): also finds out whether somebody is there.
    Hello,
    /// The same question without consequences, after an answer that was lost.
    Probe,
    /// V.250, 6.1.1: what it was told before is forgotten.
    Reset,
    /// Reasons of refusals as numbers (TS 27.007, 9.1).
    Reasons,
    /// TS 27.007, 8.3.
    SimState,
    /// How many tries of the PIN are left (TS 27.007, 8.65); few modems know.
    PinTries,
    EnterPin(Secret),
    /// PDU mode 0, text mode 1 (TS 27.005, 3.2.3).
    Format(u8),
    /// Status reports need no acknowledgement (TS 27.005, 3.2.1 and 3.4.4).
    NoAcknowledgement,
    /// Status reports as they come (TS 27.005, 3.4.1); what this modem takes differs.
    ReportsAs(ReportRoute),
    /// In text mode: texts as hexadecimal (TS 27.007, 5.5).
    Hexadecimal,
    /// In text mode: plain ASCII, where a modem has nothing better.
    Ascii,
    /// Operators by name (TS 27.007, 7.3).
    OperatorNames,
    /// Registration with 2G and 3G networks (TS 27.007, 7.2), and with 4G ones (10.1.22).
    Circuit,
    Lte,
    /// TS 27.007, 8.5.
    Signal,
    Operator,
    /// In text mode: first octet, validity, coding (TS 27.005, 3.2.2 as `+CSMP`).
    Parameters {
        wants_report: bool,
        coding: Coding,
    },
    /// `AT+CMGS=`, answered by a prompt.
    Announce(Body),
    /// The message and its end.
    Submit(Body),
    /// Where stored status reports are read from (TS 27.005, 3.2.2 as `+CPMS`).
    Storage(String),
    Read(u16),
    Delete(u16),
}

/// `<mode>,<mt>,<bm>,<ds>` of `+CNMI`: received messages stay on the SIM, status reports are handed on (ds 1) or stored and
/// told (ds 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportRoute {
    Direct,
    /// For modems without a buffer.
    DirectUnbuffered,
    Stored,
}

impl ReportRoute {
    /// The next one to try when this one is refused.
    pub fn next(self) -> Option<Self> {
        match self {
            ReportRoute::Direct => Some(ReportRoute::DirectUnbuffered),
            ReportRoute::DirectUnbuffered => Some(ReportRoute::Stored),
            ReportRoute::Stored => None,
        }
    }
}

impl Command {
    /// What is written. `is_hexadecimal`: `AT+CSCS="UCS2"` was taken.
    pub fn bytes(&self, is_hexadecimal: bool) -> String {
        let line = match self {
            Command::Quiet => return ESCAPE.to_string(),
            Command::Submit(body) => return format!("{}{CTRL_Z}", body.content(is_hexadecimal)),
            Command::Hello => "ATE0Q0V1".to_owned(),
            Command::Probe => "AT".to_owned(),
            Command::Reset => "ATZ".to_owned(),
            Command::Reasons => "AT+CMEE=1".to_owned(),
            Command::SimState => "AT+CPIN?".to_owned(),
            Command::PinTries => "AT+CPINR=\"SIM PIN\"".to_owned(),
            Command::EnterPin(pin) => format!("AT+CPIN=\"{}\"", pin.reveal()),
            Command::Format(format) => format!("AT+CMGF={format}"),
            Command::NoAcknowledgement => "AT+CSMS=0".to_owned(),
            Command::ReportsAs(ReportRoute::Direct) => "AT+CNMI=2,0,0,1,0".to_owned(),
            Command::ReportsAs(ReportRoute::DirectUnbuffered) => "AT+CNMI=1,0,0,1,0".to_owned(),
            Command::ReportsAs(ReportRoute::Stored) => "AT+CNMI=2,0,0,2,0".to_owned(),
            Command::Hexadecimal => "AT+CSCS=\"UCS2\"".to_owned(),
            Command::Ascii => "AT+CSCS=\"IRA\"".to_owned(),
            Command::OperatorNames => "AT+COPS=3,0".to_owned(),
            Command::Circuit => "AT+CREG?".to_owned(),
            Command::Lte => "AT+CEREG?".to_owned(),
            Command::Signal => "AT+CSQ".to_owned(),
            Command::Operator => "AT+COPS?".to_owned(),
            Command::Parameters { wants_report, coding } => {
                // SMS-SUBMIT with a relative validity, as in `pdu`.
                let first = if *wants_report { 49 } else { 17 };
                let dcs = match coding {
                    Coding::Ucs2 if is_hexadecimal => 8,
                    Coding::Ucs2 | Coding::Gsm7 => 0,
                };
                format!("AT+CSMP={first},{},0,{dcs}", super::super::pdu::VALIDITY)
            }
            Command::Announce(Body::Pdu(pdu)) => format!("AT+CMGS={}", pdu.octets),
            Command::Announce(Body::Text { to, .. }) => {
                let number = format!("+{}", to.digits());
                let number = if is_hexadecimal { ucs2(&number) } else { number };
                format!("AT+CMGS=\"{number}\",145")
            }
            Command::Storage(name) => format!("AT+CPMS=\"{name}\""),
            Command::Read(index) => format!("AT+CMGR={index}"),
            Command::Delete(index) => format!("AT+CMGD={index}"),
        };
        format!("{line}\r")
    }

    pub fn ms_max(&self) -> i64 {
        match self {
            Command::Quiet => QUIET_MS,
            Command::Hello | Command::Probe | Command::Reset => PLAIN_MS_MAX,
            Command::EnterPin(_) | Command::SimState | Command::PinTries => SIM_MS_MAX,
            Command::Operator => OPERATOR_MS_MAX,
            Command::Submit(_) => BODY_MS_MAX,
            _ => SETTING_MS_MAX,
        }
    }

    /// What the line of an answer begins with.
    pub fn prefix(&self) -> Option<&'static str> {
        Some(match self {
            Command::SimState => "+CPIN:",
            Command::Circuit => "+CREG:",
            Command::Lte => "+CEREG:",
            Command::Signal => "+CSQ:",
            Command::Operator => "+COPS:",
            Command::PinTries => "+CPINR:",
            Command::Submit(_) => "+CMGS:",
            Command::Read(_) => "+CMGR:",
            _ => return None,
        })
    }

    /// `OK` alone is no answer to it, but a late one to something else.
    pub fn is_answered_in_words(&self) -> bool {
        matches!(
            self,
            Command::SimState
                | Command::Circuit
                | Command::Lte
                | Command::Signal
                | Command::Operator
                | Command::Announce(_)
                | Command::Submit(_)
        )
    }

    /// A modem that does not know it can do without.
    pub fn is_optional(&self) -> bool {
        matches!(
            self,
            Command::Reset
                | Command::Reasons
                | Command::PinTries
                | Command::NoAcknowledgement
                | Command::ReportsAs(_)
                | Command::Hexadecimal
                | Command::Ascii
                | Command::OperatorNames
                | Command::Circuit
                | Command::Lte
                | Command::Signal
                | Command::Operator
                | Command::Storage(_)
                | Command::Read(_)
                | Command::Delete(_)
        )
    }

    /// How it is called in sentences; never shows a PIN or a number.
    pub fn name(&self) -> String {
        match self {
            Command::EnterPin(_) => "AT+CPIN=".to_owned(),
            Command::Announce(_) | Command::Submit(_) => "AT+CMGS".to_owned(),
            _ => self.bytes(false).trim_end().to_owned(),
        }
    }
}

impl Body {
    fn content(&self, is_hexadecimal: bool) -> String {
        match self {
            Body::Pdu(pdu) => pdu.hex.clone(),
            Body::Text { text, .. } if is_hexadecimal => ucs2(text),
            // A line's end would be answered by a new prompt.
            Body::Text { text, .. } => text
                .chars()
                .map(|one| match one {
                    '\n' => ' ',
                    ' '..='~' => one,
                    _ => '?',
                })
                .collect(),
        }
    }
}

/// Four hexadecimal digits a UTF-16 unit.
fn ucs2(text: &str) -> String {
    let octets: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    hex(&octets)
}
