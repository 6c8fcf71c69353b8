//! Why a device does not join: what was heard of each, for the installer who stands before it.

use std::collections::BTreeMap;
use std::fmt;

use crate::domain::MonoMs;
use crate::lorawan::gateway::Reception;
use crate::lorawan::ids::{DevAddr, Eui};

/// Unknown devices remembered; the one heard longest ago makes room. In a town there are neighbours.
pub const STRANGERS_MAX: usize = 64;
/// Addresses counted: each device has two at most, and some had others before.
const ADDRESSES_MAX: usize = 4_096;
/// Joins answered and none taken up, from which on the answers do not reach the device.
const UNHEARD_MIN: u32 = 3;

/// The joins of one device since the hub started, or since it last became active.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinRecord {
    pub join_eui: Eui,
    pub heard: u32,
    pub wrong_key: u32,
    pub nonce_reused: u32,
    /// The right key, but nobody could send in time.
    pub unanswered: u32,
    pub answered: u32,
    /// It joins, but was added as personalised.
    pub not_otaa: u32,
    pub last_at: MonoMs,
    /// Of the last join at the gateway that heard it best: dBm, tenths of a dB.
    pub rssi_dbm: Option<i32>,
    pub snr_tenths: Option<i16>,
}

/// What to tell the installer; the text says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinTrouble {
    WrongKey { times: u32 },
    NonceReused { times: u32 },
    Unanswered { times: u32 },
    AnswerUnheard { times: u32 },
    NotOtaa { times: u32 },
}

impl JoinRecord {
    /// The most telling of what went wrong; `None` while all is well.
    pub fn trouble(&self) -> Option<JoinTrouble> {
        match self {
            Self { wrong_key: times @ 1.., answered: 0, .. } => Some(JoinTrouble::WrongKey { times: *times }),
            Self { not_otaa: times @ 1.., .. } => Some(JoinTrouble::NotOtaa { times: *times }),
            Self { nonce_reused: times @ 1.., .. } => Some(JoinTrouble::NonceReused { times: *times }),
            Self { answered: times @ UNHEARD_MIN.., .. } => {
                Some(JoinTrouble::AnswerUnheard { times: *times })
            }
            Self { unanswered: times @ 1.., answered: 0, .. } => {
                Some(JoinTrouble::Unanswered { times: *times })
            }
            _ => None,
        }
    }
}

impl fmt::Display for JoinTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinTrouble::WrongKey { times } => {
                write!(f, "wrong key: MIC failed {times} times; enter the AppKey of this device again")
            }
            JoinTrouble::NonceReused { times } => write!(
                f,
                "DevNonce reused {times} times: the device was reset; flush its nonces, then switch it off and on"
            ),
            JoinTrouble::Unanswered { times } => write!(
                f,
                "{times} joins heard and never answered in time; check that the gateway may send and is not overloaded"
            ),
            JoinTrouble::NotOtaa { times } => {
                write!(
                    f,
                    "{times} joins of a device added as personalised (ABP); add it with its AppKey instead"
                )
            }
            JoinTrouble::AnswerUnheard { times } => write!(
                f,
                "{times} joins answered and the device joins again: it does not hear the gateway; move it closer, and \
                 check region and sub-band of both"
            ),
        }
    }
}

/// What a join came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Unknown,
    WrongKey,
    NonceReused,
    NotOtaa,
    Unanswered,
    Answered,
}

#[derive(Debug, Default)]
pub(super) struct Pairing {
    /// Known devices, as many as there are.
    known: BTreeMap<Eui, JoinRecord>,
    strangers: BTreeMap<Eui, JoinRecord>,
    /// Data frames under an address of a device here that none of them signed.
    unsigned: BTreeMap<DevAddr, u32>,
}

impl Pairing {
    pub fn note(&mut self, dev_eui: Eui, join_eui: Eui, outcome: Outcome, best: &Reception) {
        let is_stranger = outcome == Outcome::Unknown;
        let records = if is_stranger { &mut self.strangers } else { &mut self.known };
        let record = records.entry(dev_eui).or_insert_with(|| JoinRecord::new(join_eui, best.at));
        record.join_eui = join_eui;
        record.heard += 1;
        record.last_at = best.at;
        (record.rssi_dbm, record.snr_tenths) = (best.rssi_dbm, best.snr_tenths);
        match outcome {
            Outcome::Unknown => {}
            Outcome::WrongKey => record.wrong_key += 1,
            Outcome::NonceReused => record.nonce_reused += 1,
            Outcome::NotOtaa => record.not_otaa += 1,
            Outcome::Unanswered => record.unanswered += 1,
            Outcome::Answered => record.answered += 1,
        }
        if self.strangers.len() > STRANGERS_MAX
            && let Some(oldest) =
                self.strangers.iter().min_by_key(|(_, record)| record.last_at).map(|(eui, _)| *eui)
        {
            self.strangers.remove(&oldest);
        }
    }

    pub fn note_unsigned(&mut self, dev_addr: DevAddr) {
        if self.unsigned.len() < ADDRESSES_MAX || self.unsigned.contains_key(&dev_addr) {
            *self.unsigned.entry(dev_addr).or_default() += 1;
        }
    }

    pub fn unsigned(&self, dev_addr: DevAddr) -> u32 {
        self.unsigned.get(&dev_addr).copied().unwrap_or(0)
    }

    pub fn forget_unsigned(&mut self, dev_addr: DevAddr) {
        self.unsigned.remove(&dev_addr);
    }

    /// A stranger became known: what was heard of it says nothing about its key.
    pub fn is_known_now(&mut self, dev_eui: Eui) {
        self.strangers.remove(&dev_eui);
    }

    pub fn forget(&mut self, dev_eui: Eui) {
        self.known.remove(&dev_eui);
    }

    pub fn of(&self, dev_eui: Eui) -> Option<&JoinRecord> {
        self.known.get(&dev_eui).or_else(|| self.strangers.get(&dev_eui))
    }

    pub fn strangers(&self) -> Vec<(Eui, &JoinRecord)> {
        let mut all: Vec<_> = self.strangers.iter().map(|(eui, record)| (*eui, record)).collect();
        all.sort_by_key(|(eui, record)| (std::cmp::Reverse(record.last_at), *eui));
        all
    }
}

impl JoinRecord {
    fn new(join_eui: Eui, last_at: MonoMs) -> Self {
        Self {
            join_eui,
            heard: 0,
            wrong_key: 0,
            nonce_reused: 0,
            unanswered: 0,
            answered: 0,
            not_otaa: 0,
            last_at,
            rssi_dbm: None,
            snr_tenths: None,
        }
    }
}
