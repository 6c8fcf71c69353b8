//! What it answers: ITU-T V.250, 3GPP TS 27.005 and 27.007.

use super::super::sms::{self, Submitted};
use super::Moment;
use super::device::{Device, End, Prompt, Told};

impl Device {
    /// Letters with a number each (ITU-T V.250, 5.4.1).
    pub(super) fn basic(&mut self, body: &str) -> End {
        let mut rest = body;
        while let Some(letter) = rest.chars().next() {
            rest = &rest[letter.len_utf8()..];
            let digits = rest.len() - rest.trim_start_matches(|one: char| one.is_ascii_digit()).len();
            let number = rest[..digits].parse::<u8>().unwrap_or(0);
            rest = &rest[digits..];
            match (letter, number) {
                ('E', 0 | 1) => self.told.echo = number == 1,
                ('Z', 0) => self.told = Told::nothing(self.told.is_unlocked),
                ('Q', 0) | ('V', 1) => {}
                _ => return End::Error,
            }
        }
        End::Ok
    }

    pub(super) fn extended(&mut self, body: &str) -> End {
        let (name, value) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (body, None),
        };
        match (name, value) {
            ("+CMEE", Some(level @ ("0" | "1"))) => {
                self.told.reasons = level == "1";
                End::Ok
            }
            ("+CPIN?", None) => self.sim_state(),
            ("+CPIN", Some(pin)) => self.enter_pin(pin),
            ("+CPINR", Some("\"SIM PIN\"")) if self.behaviour.tells_tries => {
                self.line(&format!("+CPINR: SIM PIN,{},3", self.behaviour.tries_left));
                End::Ok
            }
            ("+COPS", Some("3,0")) => End::Ok,
            ("+CREG?", None) => self.tell_registration("+CREG", self.behaviour.registration),
            ("+CEREG?", None) => self.tell_registration("+CEREG", self.behaviour.lte_registration),
            ("+CSQ", None) => {
                self.line(&format!("+CSQ: {},99", self.behaviour.rssi));
                End::Ok
            }
            ("+COPS?", None) => {
                let name = self.in_charset("Testnetz");
                let answer =
                    if self.is_registered() { format!("+COPS: 0,0,\"{name}\",7") } else { "+COPS: 0".into() };
                self.line(&answer);
                End::Ok
            }
            _ => self.message_command(name, value),
        }
    }

    /// Commands of TS 27.005, which need an unlocked SIM.
    pub(super) fn message_command(&mut self, name: &str, value: Option<&str>) -> End {
        let Some(value) = value else { return End::Error };
        if !self.behaviour.has_sim {
            return End::Cms(310);
        }
        if !self.told.is_unlocked {
            return End::Cms(311);
        }
        let numbers: Vec<u8> = value.split(',').filter_map(|number| number.parse().ok()).collect();
        match (name, numbers.as_slice()) {
            ("+CMGF", [0]) if !self.behaviour.offers_pdu => End::Error,
            ("+CMGF", [format @ (0 | 1)]) => {
                self.told.is_text = Some(*format == 1);
                End::Ok
            }
            ("+CSMS", [0]) => {
                self.line("+CSMS: 1,1,1");
                End::Ok
            }
            ("+CNMI", [0..=3, 0, 0, 1, 0]) if !self.behaviour.reports_directly => End::Cms(303),
            ("+CNMI", [0..=3, 0, 0, reports @ 0..=2, 0]) => {
                self.told.reports = *reports;
                End::Ok
            }
            ("+CSMP", [first, _, 0, coding @ (0 | 8)]) if self.told.is_text == Some(true) => {
                self.told.parameters = (*first, *coding);
                End::Ok
            }
            ("+CSCS", _) => match value {
                "\"UCS2\"" if self.behaviour.offers_hexadecimal => {
                    self.told.is_hexadecimal = true;
                    End::Ok
                }
                "\"IRA\"" => {
                    self.told.is_hexadecimal = false;
                    End::Ok
                }
                _ => End::Error,
            },
            ("+CPMS", _) if value == "\"SR\"" => {
                self.told.reads_reports = true;
                self.line("+CPMS: 1,20,0,20,0,20");
                End::Ok
            }
            ("+CMGR", [index]) => self.read_stored(usize::from(*index)),
            ("+CMGD", [index]) => match self.stored.get_mut(usize::from(*index)) {
                Some(slot) if self.told.reads_reports => {
                    *slot = None;
                    End::Ok
                }
                _ => End::Cms(321),
            },
            ("+CMGS", _) => self.announce(value),
            _ => End::Error,
        }
    }

    pub(super) fn sim_state(&mut self) -> End {
        if !self.behaviour.has_sim {
            return End::Cme(10);
        }
        let state = match (self.told.is_unlocked, self.behaviour.tries_left) {
            (true, _) => "READY",
            (false, 0) => "SIM PUK",
            (false, _) => "SIM PIN",
        };
        self.line(&format!("+CPIN: {state}"));
        End::Ok
    }

    pub(super) fn enter_pin(&mut self, quoted: &str) -> End {
        let pin = quoted.trim_matches('"').to_owned();
        self.pins.push(pin.clone());
        if !self.behaviour.has_sim {
            return End::Cme(10);
        }
        if self.told.is_unlocked {
            return End::Cme(3);
        }
        if self.behaviour.tries_left == 0 {
            return End::Cme(12);
        }
        if self.behaviour.pin.as_deref() == Some(pin.as_str()) {
            self.behaviour.tries_left = 3;
            self.told.is_unlocked = true;
            return End::Ok;
        }
        self.behaviour.tries_left -= 1;
        End::Cme(if self.behaviour.tries_left == 0 { 12 } else { 16 })
    }

    pub(super) fn tell_registration(&mut self, name: &str, state: u8) -> End {
        let state = if self.told.is_unlocked { state } else { 0 };
        self.line(&format!("{name}: 0,{state}"));
        End::Ok
    }

    /// Texts are written as `+CSCS` says.
    fn in_charset(&self, text: &str) -> String {
        if self.told.is_hexadecimal {
            text.encode_utf16().map(|unit| format!("{unit:04X}")).collect::<Vec<_>>().concat()
        } else {
            text.to_owned()
        }
    }

    pub(super) fn is_registered(&self) -> bool {
        let is = |state: u8| matches!(state, 1 | 5);
        is(self.behaviour.registration) || is(self.behaviour.lte_registration)
    }

    pub(super) fn announce(&mut self, value: &str) -> End {
        let prompt = match self.told.is_text {
            None => {
                self.complain("AT+CMGS before AT+CMGF".to_owned());
                return End::Cms(302);
            }
            Some(false) => match value.parse() {
                Ok(announced @ 8..=164) => Prompt::Pdu { announced },
                _ => {
                    self.complain(format!("AT+CMGS={value} in PDU mode"));
                    return End::Cms(304);
                }
            },
            Some(true) => match self.text_recipient(value) {
                Ok(recipient) => Prompt::Text { recipient },
                Err(complaint) => {
                    self.complain(complaint);
                    return End::Cms(305);
                }
            },
        };
        if !self.is_registered() {
            self.complain("AT+CMGS without a network".to_owned());
            return End::Cms(331);
        }
        if self.behaviour.drop_at == Some(Moment::Prompt) {
            self.drop_line();
            return End::Prompt;
        }
        self.prompt = Some(prompt);
        self.write(b"\r\n> ");
        End::Prompt
    }

    pub(super) fn text_recipient(&self, value: &str) -> Result<String, String> {
        let wrong = || format!("AT+CMGS={value} in text mode");
        let quoted =
            value.strip_suffix(",145").and_then(|quoted| quoted.strip_prefix('"')?.strip_suffix('"'));
        let quoted = quoted.ok_or_else(wrong)?;
        let number =
            if self.told.is_hexadecimal { sms::utf16(&sms::octets(quoted)?)? } else { quoted.to_owned() };
        let digits = number.strip_prefix('+').ok_or_else(wrong)?;
        let is_number = (1..=15).contains(&digits.len()) && digits.bytes().all(|one| one.is_ascii_digit());
        if is_number { Ok(number) } else { Err(wrong()) }
    }

    pub(super) fn submit(&mut self, prompt: &Prompt, body: &str) -> End {
        std::thread::sleep(self.behaviour.delay);
        if self.behaviour.is_noisy {
            self.noise();
        }
        let submitted = match prompt {
            Prompt::Pdu { announced } => sms::decode(body, *announced),
            Prompt::Text { recipient } => self.submitted_text(recipient, body),
        };
        let submitted = match submitted {
            Ok(submitted) => submitted,
            Err(complaint) => {
                self.complain(format!("{complaint}: {body:?}"));
                return End::Cms(304);
            }
        };
        if let Some(cause) = self.behaviour.refusals.pop_front().filter(|cause| *cause != 0) {
            return End::Cms(cause);
        }
        let reference = self.next_reference;
        self.next_reference = reference.wrapping_add(1);
        let (recipient, wants_report) = (submitted.recipient.clone(), submitted.wants_report);
        self.accepted.push((reference, submitted));
        if self.behaviour.drop_at == Some(Moment::Answer) {
            self.drop_line();
            return End::Prompt;
        }
        self.line(&format!("+CMGS: {reference}"));
        self.line("OK");
        if let Some(status) = self.behaviour.report
            && wants_report
        {
            self.report(reference, &recipient, status);
        }
        End::Prompt
    }

    pub(super) fn submitted_text(&self, recipient: &str, body: &str) -> Result<Submitted, String> {
        let (first, coding) = self.told.parameters;
        let text = if self.told.is_hexadecimal {
            sms::utf16(&sms::octets(body)?)?
        } else if body.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && coding == 0 {
            body.to_owned()
        } else {
            return Err("not a line of ASCII".to_owned());
        };
        let most = if coding == 8 { 70 } else { 160 };
        if text.encode_utf16().count() > most {
            return Err(format!("more than {most} characters"));
        }
        Ok(Submitted {
            recipient: recipient.to_owned(),
            text,
            is_ucs2: coding == 8,
            wants_report: first & 0x20 != 0,
            part: None,
            validity: None,
        })
    }

    pub(super) fn report(&mut self, reference: u8, recipient: &str, status: u8) {
        let pdu = sms::status_report(reference, recipient, status);
        let written = self.in_charset(recipient);
        let text = format!(
            "6,{reference},\"{written}\",145,\"25/11/25,09:00:00+04\",\"25/11/25,09:00:00+04\",{status}"
        );
        let is_text = self.told.is_text == Some(true);
        match self.told.reports {
            1 if is_text => self.line(&format!("+CDS: {text}")),
            1 => {
                self.line(&format!("+CDS: {}", pdu.len() / 2 - 1));
                self.line(&pdu);
            }
            2 => {
                self.stored.push(Some(if is_text { text } else { pdu }));
                self.line(&format!("+CDSI: \"SR\",{}", self.stored.len() - 1));
            }
            _ => {}
        }
    }

    pub(super) fn read_stored(&mut self, index: usize) -> End {
        let found = self.stored.get(index).cloned().flatten();
        match found {
            Some(report) if self.told.reads_reports => {
                if self.told.is_text == Some(true) {
                    self.line(&format!("+CMGR: \"REC UNREAD\",{report}"));
                } else {
                    self.line(&format!("+CMGR: 0,,{}", report.len() / 2 - 1));
                    self.line(&report);
                }
                End::Ok
            }
            _ => End::Cms(321),
        }
    }
}
