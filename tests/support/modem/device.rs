//! Its line: bytes, prompts, echo, and when it breaks.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use serialport::{SerialPort, TTYPort};

use super::super::pty::open_pair;
use super::super::sms::{self, Submitted};
use super::{Behaviour, Moment, Wish};

/// How long the modem listens before it looks whether the test wants something.
const LISTEN: Duration = Duration::from_millis(10);
/// What a modem keeps of one command line; makers name 400 and more.
const LINE_BYTES_MAX: usize = 400;

/// The modem itself.
pub struct Device {
    pub(super) path: PathBuf,
    pub(super) behaviour: Behaviour,
    pub(super) port: Option<(TTYPort, TTYPort)>,
    pub(super) told: Told,
    pub(super) is_broken: bool,
    pub(super) input: Vec<u8>,
    pub(super) prompt: Option<Prompt>,
    pub(super) next_reference: u8,
    /// Stored reports by index.
    pub(super) stored: Vec<Option<String>>,
    pub(super) accepted: Vec<(u8, Submitted)>,
    pub(super) complaints: Vec<String>,
    pub(super) commands: Vec<String>,
    pub(super) pins: Vec<String>,
    pub(super) cancelled: usize,
}

/// What it was told since it has power.
pub(super) struct Told {
    pub(super) echo: bool,
    pub(super) reasons: bool,
    pub(super) is_unlocked: bool,
    /// `+CMGF`: None until it is told.
    pub(super) is_text: Option<bool>,
    /// `<ds>` of `+CNMI`.
    pub(super) reports: u8,
    pub(super) is_hexadecimal: bool,
    /// `<fo>` and `<dcs>` of `+CSMP`.
    pub(super) parameters: (u8, u8),
    /// `+CPMS` names the storage of reports.
    pub(super) reads_reports: bool,
}

impl Told {
    pub(super) fn nothing(is_unlocked: bool) -> Self {
        Self {
            echo: true,
            reasons: false,
            is_unlocked,
            is_text: None,
            reports: 0,
            is_hexadecimal: false,
            parameters: (17, 0),
            reads_reports: false,
        }
    }
}

pub(super) enum Prompt {
    Pdu { announced: usize },
    Text { recipient: String },
}

/// How a command ends.
pub(super) enum End {
    Ok,
    Error,
    Cms(u16),
    Cme(u16),
    /// Not yet.
    Prompt,
}

impl Device {
    pub(super) fn new(path: PathBuf, behaviour: Behaviour) -> Self {
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

    pub(super) fn live(&mut self, wishes: &Receiver<Wish>) {
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

    pub(super) fn unplug(&mut self) {
        self.port = None;
        let _ = fs::remove_file(&self.path);
    }

    pub(super) fn plug(&mut self) {
        self.unplug();
        let (mut near, far) = open_pair();
        near.set_timeout(LISTEN).expect("set the timeout of the line");
        symlink(far.name().expect("a pseudo-terminal has a path"), &self.path).expect("link the line's path");
        self.port = Some((near, far));
        self.told = Told::nothing(self.behaviour.pin.is_none());
        self.input.clear();
        self.prompt = None;
    }

    pub(super) fn drop_line(&mut self) {
        self.behaviour.drop_at = None;
        self.is_broken = true;
        self.plug();
    }

    pub(super) fn byte(&mut self, byte: u8) {
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

    pub(super) fn prompted(&mut self, byte: u8) {
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
                let is_pdu = matches!(self.prompt, Some(Prompt::Pdu { .. }));
                if is_pdu && !matches!(byte, b'0'..=b'9' | b'A'..=b'F') {
                    self.complain(format!("{:?} at an open prompt", char::from(byte)));
                }
                self.input.push(byte);
                if self.behaviour.drop_at == Some(Moment::Body) && self.input.len() >= 20 {
                    self.drop_line();
                } else if self.told.echo {
                    self.write(&[byte]);
                }
            }
        }
    }

    pub(super) fn command_line(&mut self, line: &str) {
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

    pub(super) fn noise(&mut self) {
        for line in ["+CREG: 1", "RING", "^BOOT:21761850,0,0,0,20", "+CMTI: \"SM\",1", "NO CARRIER"] {
            self.line(line);
        }
        self.write(b"\x00\xff\xfe\r\n");
        self.line(&"x".repeat(3_000));
    }

    pub(super) fn complain(&mut self, complaint: String) {
        self.complaints.push(complaint);
    }

    pub(super) fn end(&mut self, end: &End) {
        match end {
            End::Ok => self.line("OK"),
            End::Cms(cause) => self.line(&format!("+CMS ERROR: {cause}")),
            End::Cme(cause) if self.told.reasons => self.line(&format!("+CME ERROR: {cause}")),
            End::Error | End::Cme(_) => self.line("ERROR"),
            End::Prompt => {}
        }
    }

    pub(super) fn line(&mut self, text: &str) {
        self.write(format!("\r\n{text}\r\n").as_bytes());
    }

    /// What nobody reads is lost, as on a real line.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        if let Some((near, _)) = &mut self.port {
            let _ = near.write_all(bytes);
        }
    }
}
