//! What a modem refuses with, in words: `+CMS ERROR` (3GPP TS 27.005, 3.2.5, with the causes of TS 24.011, E.2 and
//! TS 23.040, 9.2.3.22) and `+CME ERROR` (TS 27.007, 9.2).

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Final {
    Ok,
    Refused(Refusal),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `ERROR`, without a reason.
    Plain,
    /// Of the message service.
    Cms(Cause),
    /// Of the equipment and its SIM.
    Cme(Cause),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    Number(u16),
    /// Some modems say it in words, whatever `AT+CMEE` asked for.
    Words(String),
}

/// What may come of another try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// In a second: the SIM is being read.
    Soon,
    Later,
    Never,
}

impl Final {
    /// None: the line is no final result code.
    pub fn parse(line: &str) -> Option<Self> {
        let refusal = match line {
            "OK" => return Some(Final::Ok),
            "ERROR" | "COMMAND NOT SUPPORT" => Refusal::Plain,
            _ => match (line.strip_prefix("+CMS ERROR:"), line.strip_prefix("+CME ERROR:")) {
                (Some(cause), _) => Refusal::Cms(Cause::parse(cause)),
                (None, Some(cause)) => Refusal::Cme(Cause::parse(cause)),
                (None, None) => return None,
            },
        };
        Some(Final::Refused(refusal))
    }
}

impl Cause {
    fn parse(text: &str) -> Self {
        let text = text.trim();
        text.parse().map_or_else(|_| Cause::Words(text.to_owned()), Cause::Number)
    }
}

impl Refusal {
    pub fn outlook(&self) -> Outlook {
        match self {
            Refusal::Plain => Outlook::Later,
            Refusal::Cms(Cause::Number(number)) => cms(*number).1,
            Refusal::Cme(Cause::Number(number)) => cme(*number).1,
            Refusal::Cms(Cause::Words(text)) | Refusal::Cme(Cause::Words(text)) => {
                if text.to_ascii_lowercase().contains("busy") { Outlook::Soon } else { Outlook::Later }
            }
        }
    }

    /// "network out of order (+CMS ERROR: 38)".
    pub fn words(&self) -> String {
        match self {
            Refusal::Plain => "ERROR without a reason".to_owned(),
            Refusal::Cms(Cause::Number(number)) => format!("{} (+CMS ERROR: {number})", cms(*number).0),
            Refusal::Cme(Cause::Number(number)) => format!("{} (+CME ERROR: {number})", cme(*number).0),
            Refusal::Cms(Cause::Words(text)) => format!("{text} (+CMS ERROR)"),
            Refusal::Cme(Cause::Words(text)) => format!("{text} (+CME ERROR)"),
        }
    }

    /// Whether it is about the SIM and how, as `AT+CPIN?` may be answered.
    pub fn sim(&self) -> Option<SimTrouble> {
        let number = match self {
            Refusal::Plain => return None,
            Refusal::Cms(Cause::Number(number)) => *number,
            // The numbers of the message service stand 300 higher (310..=318 for 10..=18), but for the password.
            Refusal::Cme(Cause::Number(number)) => number.saturating_add(300),
            Refusal::Cms(Cause::Words(text)) | Refusal::Cme(Cause::Words(text)) => {
                let text = text.to_ascii_lowercase();
                return [
                    ("not inserted", SimTrouble::Missing),
                    ("puk", SimTrouble::WantsPuk),
                    ("incorrect password", SimTrouble::WrongPin),
                    ("sim failure", SimTrouble::Broken),
                    ("sim wrong", SimTrouble::Broken),
                ]
                .into_iter()
                .find_map(|(part, trouble)| text.contains(part).then_some(trouble));
            }
        };
        match (self, number) {
            (_, 310) => Some(SimTrouble::Missing),
            (_, 312) if matches!(self, Refusal::Cme(_)) => Some(SimTrouble::WantsPuk),
            (_, 313 | 315) => Some(SimTrouble::Broken),
            (Refusal::Cme(_), 316) => Some(SimTrouble::WrongPin),
            (Refusal::Cms(_), 316) => Some(SimTrouble::WantsPuk),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimTrouble {
    Missing,
    Broken,
    WantsPuk,
    WrongPin,
}

fn cms(number: u16) -> (&'static str, Outlook) {
    use Outlook::{Later, Never, Soon};
    match number {
        1 => ("nobody has this number", Never),
        8 => ("barred by the operator", Never),
        10 => ("calls to this number are barred", Never),
        21 => ("the message was rejected", Never),
        22 => ("the recipient's memory is full", Later),
        27 => ("the recipient is out of service", Later),
        28 => ("the number belongs to nobody", Never),
        29 => ("the network rejected the service", Never),
        30 => ("the network does not know the number", Never),
        38 => ("network out of order", Later),
        41 => ("temporary failure of the network", Later),
        42 => ("congestion", Later),
        47 => ("the network has no resources left", Later),
        50 => ("this SIM's contract does not include SMS", Never),
        69 => ("the network does not offer SMS", Never),
        95 | 96 => ("the network does not understand the message", Never),
        97..=99 | 111 | 127 => ("the network and the modem do not understand each other", Later),
        128..=255 => ("the service centre refused the message", Later),
        300 => ("failure of the modem", Later),
        301 => ("the modem's message service is reserved", Later),
        302 => ("not allowed now", Later),
        303 => ("the modem does not support it", Never),
        304 | 305 => ("the modem does not accept the message", Never),
        310 => ("no SIM", Later),
        311 => ("the SIM asks for its PIN", Later),
        312 | 317 => ("the SIM asks for another PIN", Never),
        313 => ("failure of the SIM", Later),
        314 => ("the SIM is busy", Soon),
        315 => ("the SIM is wrong", Never),
        316 | 318 => ("the SIM asks for its PUK", Never),
        320 | 321 => ("failure of the modem's memory", Later),
        322 => ("the modem's memory is full", Later),
        330 => {
            ("the service centre's number is not known; store it on the SIM with a phone (AT+CSCA)", Later)
        }
        331 => ("no network", Later),
        332 => ("the network did not answer in time", Later),
        500 => ("unknown error", Later),
        _ => ("error of the maker's own", Later),
    }
}

fn cme(number: u16) -> (&'static str, Outlook) {
    use Outlook::{Later, Never, Soon};
    match number {
        3 => ("not allowed now", Later),
        4 => ("the modem does not support it", Never),
        5 | 11 => ("the SIM asks for its PIN", Later),
        10 => ("no SIM", Later),
        12 | 18 => ("the SIM asks for its PUK", Never),
        13 => ("failure of the SIM", Later),
        14 => ("the SIM is busy", Soon),
        15 => ("the SIM is wrong", Never),
        16 => ("incorrect password", Never),
        17 => ("the SIM asks for another PIN", Never),
        20 => ("the modem's memory is full", Later),
        30 => ("no network", Later),
        31 => ("the network did not answer in time", Later),
        32 => ("emergency calls only", Later),
        100 => ("unknown error", Later),
        _ => ("error of the maker's own", Later),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, words: &str, outlook: Outlook, sim: Option<SimTrouble>) {
        let Some(Final::Refused(refusal)) = Final::parse(line) else { panic!("{line} is a refusal") };
        assert!(refusal.words().contains(words), "{line}: {}", refusal.words());
        assert_eq!((refusal.outlook(), refusal.sim()), (outlook, sim), "{line}");
    }

    #[test]
    fn refusals_say_what_may_come_of_another_try() {
        use Outlook::{Later, Never, Soon};
        check("ERROR", "without a reason", Later, None);
        check("+CMS ERROR: 38", "network out of order (+CMS ERROR: 38)", Later, None);
        check("+CMS ERROR: 28", "nobody", Never, None);
        check("+CMS ERROR: 21", "rejected", Never, None);
        check("+CMS ERROR: 330", "service centre", Later, None);
        check("+CMS ERROR: 500", "unknown", Later, None);
        check("+CMS ERROR: 314", "busy", Soon, None);
        check("+CMS ERROR: 310", "no SIM", Later, Some(SimTrouble::Missing));
        check("+CMS ERROR: 316", "PUK", Never, Some(SimTrouble::WantsPuk));
        check("+CME ERROR: 10", "no SIM", Later, Some(SimTrouble::Missing));
        check("+CME ERROR: 12", "PUK", Never, Some(SimTrouble::WantsPuk));
        check("+CME ERROR: 16", "incorrect password", Never, Some(SimTrouble::WrongPin));
        check("+CME ERROR: 60000", "maker's own", Later, None);
        check("+CMS ERROR: 9999", "maker's own", Later, None);
        check("+CME ERROR: SIM not inserted", "SIM not inserted", Later, Some(SimTrouble::Missing));
        check("+CME ERROR:incorrect password", "incorrect password", Later, Some(SimTrouble::WrongPin));
        check("+CME ERROR: SIM busy", "busy", Soon, None);
        assert_eq!(Final::parse("OK"), Some(Final::Ok));
        for line in ["RING", "+CMGS: 17", "NO CARRIER", "OKAY", "+CREG: 1"] {
            assert_eq!(Final::parse(line), None, "{line}");
        }
    }
}
