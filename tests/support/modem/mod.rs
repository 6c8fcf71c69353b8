//! A modem on a pseudo-terminal that speaks AT strictly (3GPP TS 27.005 and 27.007): it refuses what a real one refuses,
//! and complains of what no hub should say. It can be unlucky on purpose.

mod commands;
mod device;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use self::device::Device;
use super::sms::Submitted;

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
