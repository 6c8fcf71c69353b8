//! A SIM takes three wrong PINs, then wants its PUK: a PIN it refused is never said again.

use std::collections::VecDeque;

use super::Pin;
use crate::config::Secret;
use crate::notify::Failure;

/// TS 27.007, 8.65 counts the tries that are left: a card that nobody has tried has three.
const TRIES_FULL: u8 = 3;
/// One try is left to a person with a phone.
const TRIES_MIN: u8 = 2;
/// PINs that are remembered as refused: after three the SIM is locked, and a person has to free it before any other.
const REFUSED_MAX: usize = 8;

/// In memory only: a restarted hub tries again, unless the modem says that hardly a try is left.
#[derive(Default)]
pub struct Pins {
    configured: Pin,
    said: Option<Said>,
    refused: VecDeque<Secret>,
}

struct Said {
    pin: Secret,
    fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// No answer came: it may be right or wrong.
    Open,
    Accepted,
}

impl Pins {
    pub fn set(&mut self, pin: Pin) {
        self.configured = pin;
    }

    /// The PIN to try; an error is why none may be. Does not look at the tries left.
    pub fn candidate(&self) -> Result<&Secret, Failure> {
        let pin = match &self.configured {
            Some(Ok(pin)) => pin,
            Some(Err(error)) => {
                return Err(Failure::Never(format!(
                    "the SIM asks for its PIN, but it cannot be read: {error}"
                )));
            }
            None => {
                return Err(Failure::Never(
                    "the SIM asks for its PIN; name the PIN's file as pin_file, or switch the PIN off in a phone"
                        .to_owned(),
                ));
            }
        };
        if !is_pin(pin.reveal()) {
            return Err(Failure::Never(
                "what stands in the PIN's file is no PIN (4 to 8 digits); it was not tried".to_owned(),
            ));
        }
        if self.refused.contains(pin) {
            return Err(refused());
        }
        Ok(pin)
    }

    /// The PIN to say, given how many tries the card has left, where the modem knows.
    pub fn choose(&self, tries_left: Option<u8>) -> Result<Secret, Failure> {
        let pin = self.candidate()?;
        let is_open = self.said.as_ref().is_some_and(|said| said.pin == *pin && said.fate == Fate::Open);
        match tries_left {
            Some(left) if left < TRIES_MIN => Err(Failure::Never(
                "the SIM has its last try left before it is locked; put it into a phone and enter the PIN there"
                    .to_owned(),
            )),
            Some(TRIES_FULL..) => Ok(pin.clone()),
            _ if is_open => Err(Failure::Never(
                "the PIN was said once and the modem's answer was lost; it is not said again so that the card is not \
                 locked; check the PIN, then restart the hub"
                    .to_owned(),
            )),
            _ => Ok(pin.clone()),
        }
    }

    /// The modem is set up anew: it may have been without power, and its card wants the PIN again.
    pub fn begin(&mut self) {
        if self.was_accepted() {
            self.said = None;
        }
    }

    pub fn was_accepted(&self) -> bool {
        self.said.as_ref().is_some_and(|said| said.fate == Fate::Accepted)
    }

    pub fn said(&mut self, pin: Secret) {
        // Of another PIN nobody knows whether it was right: as good as refused.
        if self.said.as_ref().is_some_and(|said| said.pin != pin && said.fate == Fate::Open) {
            self.refused();
        }
        self.said = Some(Said { pin, fate: Fate::Open });
    }

    pub fn accepted(&mut self) {
        self.set_fate(Fate::Accepted);
    }

    /// It was accepted, and yet the card asks again.
    pub fn doubted(&mut self) {
        self.set_fate(Fate::Open);
    }

    pub fn refused(&mut self) {
        if let Some(said) = self.said.take() {
            if self.refused.len() >= REFUSED_MAX {
                self.refused.pop_front();
            }
            self.refused.push_back(said.pin);
        }
    }

    /// The card was not asked: it is as if nothing had been said.
    pub fn not_heard(&mut self) {
        self.said = None;
    }

    fn set_fate(&mut self, fate: Fate) {
        if let Some(said) = &mut self.said {
            said.fate = fate;
        }
    }
}

pub fn refused() -> Failure {
    Failure::Never(
        "the SIM refused the PIN; it was tried once so that the card is not locked; correct the PIN's file, or restart \
         the hub if it is another SIM now"
            .to_owned(),
    )
}

/// TS 31.101, 9.5.1: four to eight digits.
fn is_pin(text: &str) -> bool {
    (4..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}
