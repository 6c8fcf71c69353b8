//! A modem on a pseudo-terminal that speaks AT strictly (3GPP TS 27.005 and 27.007): it refuses what a real one refuses,
//! and complains of what no hub should say. It can be unlucky on purpose.

use std::collections::VecDeque;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serialport::{SerialPort, TTYPort};

use super::sms::{self, Submitted};

/// How long the modem listens before it looks whether the test wants something.
const LISTEN: Duration = Duration::from_millis(10);
/// What a modem keeps of one command line; makers name 400 and more.
const LINE_BYTES_MAX: usize = 400;

type Wish = Box<dyn FnOnce(&mut Device) + Send>;

/// A modem in a thread of its own. Dropped, it ends.
pub struct Modem {
    path: PathBuf,
    wishes: Option<Sender<Wish>>,
    thread: Option<JoinHandle<()>>,
}

/// What it is and how it behaves; a test changes it at any time.
#[derive(Clone, Debug)]
pub struct Behaviour {
    pub has_sim: bool,
    /// What the SIM asks for after power-up.
    pub pin: Option<String>,
    /// Before the SIM wants its PUK.
    pub tries_left: u8,
    /// Tells how many tries are left (`+CPINR`).
    pub tells_tries: bool,
    /// `<stat>` of `+CREG` and `+CEREG`.
    pub registration: u8,
    pub lte_registration: u8,
    /// `<rssi>` of `+CSQ`.
    pub rssi: u8,
    /// Causes of `+CMS ERROR`, one for each message to come; 0: it is taken.
    pub refusals: VecDeque<u16>,
    /// TP-ST of the reports to come.
    pub report: Option<u8>,
    /// Hands reports on as they come; else it stores them and tells where.
    pub reports_directly: bool,
    pub offers_pdu: bool,
    /// Texts in hexadecimal in text mode.
    pub offers_hexadecimal: bool,
    /// Says things in between that nobody asked for.
    pub is_noisy: bool,
    /// Neither echoes nor answers.
    pub is_deaf: bool,
    /// Before each answer.
    pub delay: Duration,
    /// The line is gone at this moment, once; a moment later another one has its path.
    pub drop_at: Option<Moment>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It waits for a message.
    Prompt,
    /// Half the message came.
    Body,
    /// The network took the message; nobody hears of it.
    Answer,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            has_sim: true,
            pin: None,
            tries_left: 3,
            tells_tries: false,
            registration: 1,
            lte_registration: 0,
            rssi: 13,
            refusals: VecDeque::new(),
            report: None,
            reports_directly: true,
            offers_pdu: true,
            offers_hexadecimal: true,
            is_noisy: false,
            is_deaf: false,
            delay: Duration::ZERO,
            drop_at: None,
        }
    }
}

/// A message whose parts are all there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub recipient: String,
    pub text: String,
    pub parts: usize,
    pub is_ucs2: bool,
    /// Of its parts, in their order.
    pub references: Vec<u8>,
}

impl Modem {
    /// A modem whose port is `path`; it has just been given power.
    pub fn start(path: PathBuf, behaviour: Behaviour) -> Self {
        let (wishes, wished) = channel();
        let mut device = Device::new(path.clone(), behaviour);
        device.plug();
        let thread = std::thread::spawn(move || device.live(&wished));
        Self { path, wishes: Some(wishes), thread: Some(thread) }
    }

    /// The path a hub opens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Changes how it behaves from now on.
    pub fn behave(&self, change: impl FnOnce(&mut Behaviour) + Send + 'static) {
        self.ask(|device| change(&mut device.behaviour));
    }

    pub fn unplug(&self) {
        self.ask(Device::unplug);
    }

    /// Under the old path, without power until now.
    pub fn plug(&self) {
        self.ask(Device::plug);
    }

    /// Says a line that nobody asked for.
    pub fn say(&self, line: &str) {
        let line = line.to_owned();
        self.ask(move |device| device.line(&line));
    }

    /// The network's word about an earlier message.
    pub fn report(&self, reference: u8, recipient: &str, status: u8) {
        let recipient = recipient.to_owned();
        self.ask(move |device| device.report(reference, &recipient, status));
    }

    /// Messages that a phone would show, in the order they became whole.
    pub fn messages(&self) -> Vec<Accepted> {
        self.ask(|device| joined(&device.accepted))
    }

    /// Each part that was accepted, with its reference.
    pub fn parts(&self) -> Vec<(u8, Submitted)> {
        self.ask(|device| device.accepted.clone())
    }

    /// What was said that must not be.
    pub fn complaints(&self) -> Vec<String> {
        self.ask(|device| device.complaints.clone())
    }

    /// PINs that were tried.
    pub fn pins(&self) -> Vec<String> {
        self.ask(|device| device.pins.clone())
    }

    /// Prompts that were cancelled.
    pub fn cancelled(&self) -> usize {
        self.ask(|device| device.cancelled)
    }

    /// Command lines it was given since it was started.
    pub fn commands(&self) -> Vec<String> {
        self.ask(|device| device.commands.clone())
    }

    fn ask<T: Send + 'static>(&self, question: impl FnOnce(&mut Device) -> T + Send + 'static) -> T {
        let (answer, answered) = channel();
        let wish: Wish = Box::new(move |device| {
            let _ = answer.send(question(device));
        });
        self.wishes.as_ref().expect("it lives").send(wish).expect("the modem's thread lives");
        answered.recv().expect("the modem's thread answers")
    }
}

impl Drop for Modem {
    fn drop(&mut self) {
        self.wishes = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What a phone shows of parts, in whatever order they came and however often.
fn joined(accepted: &[(u8, Submitted)]) -> Vec<Accepted> {
    let mut whole = Vec::new();
    let mut open: Vec<(u8, Submitted)> = Vec::new();
    for (reference, part) in accepted {
        let Some((joint, total, _)) = part.part else {
            whole.push(Accepted {
                recipient: part.recipient.clone(),
                text: part.text.clone(),
                parts: 1,
                is_ucs2: part.is_ucs2,
                references: vec![*reference],
            });
            continue;
        };
        open.push((*reference, part.clone()));
        let belongs = |other: &Submitted| {
            other.recipient == part.recipient
                && other.part.is_some_and(|one| (one.0, one.1) == (joint, total))
        };
        let found: Option<Vec<&(u8, Submitted)>> = (1..=total)
            .map(|number| {
                open.iter()
                    .rev()
                    .find(|(_, one)| belongs(one) && one.part.is_some_and(|part| part.2 == number))
            })
            .collect();
        if let Some(found) = found {
            whole.push(Accepted {
                recipient: part.recipient.clone(),
                text: found.iter().map(|(_, one)| one.text.as_str()).collect(),
                parts: found.len(),
                is_ucs2: part.is_ucs2,
                references: found.iter().map(|(reference, _)| *reference).collect(),
            });
            open.retain(|(_, one)| !belongs(one));
        }
    }
    whole
}

struct Device {
    path: PathBuf,
    behaviour: Behaviour,
    port: Option<(TTYPort, TTYPort)>,
    told: Told,
    is_broken: bool,
    input: Vec<u8>,
    prompt: Option<Prompt>,
    next_reference: u8,
    /// Stored reports by index.
    stored: Vec<Option<String>>,
    accepted: Vec<(u8, Submitted)>,
    complaints: Vec<String>,
    commands: Vec<String>,
    pins: Vec<String>,
    cancelled: usize,
}

/// What it was told since it has power.
struct Told {
    echo: bool,
    reasons: bool,
    is_unlocked: bool,
    /// `+CMGF`: None until it is told.
    is_text: Option<bool>,
    /// `<ds>` of `+CNMI`.
    reports: u8,
    is_hexadecimal: bool,
    /// `<fo>` and `<dcs>` of `+CSMP`.
    parameters: (u8, u8),
    storage: String,
}

impl Told {
    fn nothing(is_unlocked: bool) -> Self {
        Self {
            echo: true,
            reasons: false,
            is_unlocked,
            is_text: None,
            reports: 0,
            is_hexadecimal: false,
            parameters: (17, 0),
            storage: "SM".to_owned(),
        }
    }
}

enum Prompt {
    Pdu { announced: usize },
    Text { recipient: String },
}

/// How a command ends.
enum End {
    Ok,
    Error,
    Cms(u16),
    Cme(u16),
    /// Not yet.
    Prompt,
}

impl Device {
    fn new(path: PathBuf, behaviour: Behaviour) -> Self {
        Self {
            path,
            behaviour,
            port: None,
            told: Told::nothing(false),
            is_broken: false,
            input: Vec::new(),
            prompt: None,
            next_reference: 17,
            stored: Vec::new(),
            accepted: Vec::new(),
            complaints: Vec::new(),
            commands: Vec::new(),
            pins: Vec::new(),
            cancelled: 0,
        }
    }

    fn live(&mut self, wishes: &Receiver<Wish>) {
        loop {
            let wish = if self.port.is_some() {
                wishes.try_recv().map_err(|error| error == TryRecvError::Disconnected)
            } else {
                wishes.recv_timeout(LISTEN).map_err(|error| error == RecvTimeoutError::Disconnected)
            };
            match wish {
                Ok(wish) => wish(self),
                Err(true) => break,
                Err(false) => {}
            }
            let mut buffer = [0; 256];
            let Some((near, _)) = &mut self.port else { continue };
            match near.read(&mut buffer) {
                Ok(count) => {
                    for byte in &buffer[..count] {
                        // What was under way when the line broke is lost.
                        if std::mem::take(&mut self.is_broken) {
                            break;
                        }
                        self.byte(*byte);
                    }
                    self.is_broken = false;
                }
                Err(error) if error.kind() == ErrorKind::TimedOut => {}
                Err(error) => self.complaints.push(format!("the line broke: {error}")),
            }
        }
        self.unplug();
    }

    fn unplug(&mut self) {
        self.port = None;
        let _ = fs::remove_file(&self.path);
    }

    fn plug(&mut self) {
        self.unplug();
        let (mut near, far) = TTYPort::pair().expect("open a pseudo-terminal");
        near.set_timeout(LISTEN).expect("set the timeout of the line");
        symlink(far.name().expect("a pseudo-terminal has a path"), &self.path).expect("link the line's path");
        self.port = Some((near, far));
        self.told = Told::nothing(self.behaviour.pin.is_none());
        self.input.clear();
        self.prompt = None;
    }

    fn drop_line(&mut self) {
        self.behaviour.drop_at = None;
        self.is_broken = true;
        self.plug();
    }

    fn byte(&mut self, byte: u8) {
        if self.behaviour.is_deaf {
            return;
        }
        if self.prompt.is_some() {
            self.prompted(byte);
            return;
        }
        if self.told.echo && byte != 0x1B {
            self.write(&[byte]);
        }
        match byte {
            b'\r' => {
                let line = String::from_utf8_lossy(&std::mem::take(&mut self.input)).into_owned();
                self.command_line(line.trim());
            }
            // Cancels a message; without one it means nothing.
            0x1B | b'\n' => {}
            _ => self.input.push(byte),
        }
    }

    fn prompted(&mut self, byte: u8) {
        match byte {
            0x1B => {
                self.prompt = None;
                self.input.clear();
                self.cancelled += 1;
                self.line("OK");
            }
            0x1A => {
                let body = String::from_utf8_lossy(&std::mem::take(&mut self.input)).into_owned();
                let prompt = self.prompt.take().expect("looked at by the caller");
                let end = self.submit(&prompt, &body);
                self.end(&end);
            }
            _ => {
                self.input.push(byte);
                if self.behaviour.drop_at == Some(Moment::Body) && self.input.len() >= 20 {
                    self.drop_line();
                } else if self.told.echo {
                    self.write(&[byte]);
                }
            }
        }
    }

    fn command_line(&mut self, line: &str) {
        if line.is_empty() {
            return;
        }
        self.commands.push(line.to_owned());
        std::thread::sleep(self.behaviour.delay);
        if self.behaviour.is_noisy {
            self.noise();
        }
        let Some(body) = line.strip_prefix("AT") else {
            self.complain(format!("{line:?} is no command"));
            return self.end(&End::Error);
        };
        if line.len() > LINE_BYTES_MAX {
            self.complain(format!("a command line of {} bytes", line.len()));
            return self.end(&End::Error);
        }
        let end = if body.starts_with('+') { self.extended(body) } else { self.basic(body) };
        self.end(&end);
    }

    fn noise(&mut self) {
        for line in ["+CREG: 1", "RING", "^BOOT:21761850,0,0,0,20", "+CMTI: \"SM\",1", "NO CARRIER"] {
            self.line(line);
        }
        self.write(b"\x00\xff\xfe\r\n");
        self.line(&"x".repeat(3_000));
    }

    /// Letters with a number each (ITU-T V.250, 5.4.1).
    fn basic(&mut self, body: &str) -> End {
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

    fn extended(&mut self, body: &str) -> End {
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
                let is_registered = self.is_registered();
                self.line(if is_registered { "+COPS: 0,0,\"Testnetz\",7" } else { "+COPS: 0" });
                End::Ok
            }
            _ => self.message_command(name, value),
        }
    }

    /// Commands of TS 27.005, which need an unlocked SIM.
    fn message_command(&mut self, name: &str, value: Option<&str>) -> End {
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
                self.told.storage = "SR".to_owned();
                self.line("+CPMS: 1,20,0,20,0,20");
                End::Ok
            }
            ("+CMGR", [index]) => self.read_stored(usize::from(*index)),
            ("+CMGD", [index]) => match self.stored.get_mut(usize::from(*index)) {
                Some(slot) if self.told.storage == "SR" => {
                    *slot = None;
                    End::Ok
                }
                _ => End::Cms(321),
            },
            ("+CMGS", _) => self.announce(value),
            _ => End::Error,
        }
    }

    fn sim_state(&mut self) -> End {
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

    fn enter_pin(&mut self, quoted: &str) -> End {
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

    fn tell_registration(&mut self, name: &str, state: u8) -> End {
        let state = if self.told.is_unlocked { state } else { 0 };
        self.line(&format!("{name}: 0,{state}"));
        End::Ok
    }

    fn is_registered(&self) -> bool {
        let is = |state: u8| matches!(state, 1 | 5);
        is(self.behaviour.registration) || is(self.behaviour.lte_registration)
    }

    fn announce(&mut self, value: &str) -> End {
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

    fn text_recipient(&self, value: &str) -> Result<String, String> {
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

    fn submit(&mut self, prompt: &Prompt, body: &str) -> End {
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

    fn submitted_text(&self, recipient: &str, body: &str) -> Result<Submitted, String> {
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

    fn report(&mut self, reference: u8, recipient: &str, status: u8) {
        let pdu = sms::status_report(reference, recipient, status);
        let text = format!(
            "6,{reference},\"{recipient}\",145,\"25/11/25,09:00:00+04\",\"25/11/25,09:00:00+04\",{status}"
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

    fn read_stored(&mut self, index: usize) -> End {
        let found = self.stored.get(index).cloned().flatten();
        match found {
            Some(report) if self.told.storage == "SR" => {
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

    fn complain(&mut self, complaint: String) {
        self.complaints.push(complaint);
    }

    fn end(&mut self, end: &End) {
        match end {
            End::Ok => self.line("OK"),
            End::Error => self.line("ERROR"),
            End::Cms(cause) => self.line(&format!("+CMS ERROR: {cause}")),
            End::Cme(cause) if self.told.reasons => self.line(&format!("+CME ERROR: {cause}")),
            End::Cme(_) => self.line("ERROR"),
            End::Prompt => {}
        }
    }

    fn line(&mut self, text: &str) {
        self.write(format!("\r\n{text}\r\n").as_bytes());
    }

    /// What nobody reads is lost, as on a real line.
    fn write(&mut self, bytes: &[u8]) {
        if let Some((near, _)) = &mut self.port {
            let _ = near.write_all(bytes);
        }
    }
}
