//! What is kept of a device: what it joins with, its sessions, what was agreed about its link. All of it serialises for the
//! store; keys are in it, so it belongs into the store and nowhere else.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::adr::Link;
use super::ids::{DevAddr, Eui, Key};
use super::phy::{DataUp, JOIN_NONCE_MAX};
use super::region::Channels;
use crate::domain::UnixMs;

/// How far JoinNonce and FCntDown go ahead under a new epoch. A restored database knows neither the joins nor the
/// downlinks made since its backup; a nightly backup is far less than this behind, and a device takes a leap of up to
/// 16,384 (MAX_FCNT_GAP of LoRaWAN 1.0.x).
pub const JUMP: u32 = 1_024;
/// 2024-01-01T00:00:00Z, when a first JoinNonce would have been 0, and what makes it one higher: 24 bits last for 34 years,
/// and no device joins every minute for long.
const JOIN_NONCE_ZERO_MS: i64 = 1_704_067_200_000;
const JOIN_NONCE_STEP_MS: i64 = 64_000;
/// DevNonces remembered of a device that draws them at random: 2 KiB, years of joins.
pub const DEV_NONCES_MAX: usize = 1_024;
/// A personalised device that has been running before it was added may be this many times past 65,536 frames.
const FIRST_WRAPS_MAX: u32 = 16;

/// If it is not known, the default: 1.0.3's way with nonces and channels does for its neighbours as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MacVersion {
    #[serde(rename = "1.0.0")]
    V1_0_0,
    #[serde(rename = "1.0.1")]
    V1_0_1,
    #[serde(rename = "1.0.2")]
    V1_0_2,
    #[default]
    #[serde(rename = "1.0.3")]
    V1_0_3,
    #[serde(rename = "1.0.4")]
    V1_0_4,
    /// Answered in 1.0 mode, for which the standard makes it fall back to 1.0 keys and counters.
    #[serde(rename = "1.1")]
    V1_1,
}

impl MacVersion {
    pub const ALL: [MacVersion; 6] = [
        MacVersion::V1_0_0,
        MacVersion::V1_0_1,
        MacVersion::V1_0_2,
        MacVersion::V1_0_3,
        MacVersion::V1_0_4,
        MacVersion::V1_1,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            MacVersion::V1_0_0 => "1.0.0",
            MacVersion::V1_0_1 => "1.0.1",
            MacVersion::V1_0_2 => "1.0.2",
            MacVersion::V1_0_3 => "1.0.3",
            MacVersion::V1_0_4 => "1.0.4",
            MacVersion::V1_1 => "1.1",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "1.0" => Some(MacVersion::V1_0_0),
            "1.1.0" => Some(MacVersion::V1_1),
            _ => Self::ALL.into_iter().find(|version| version.as_str() == text),
        }
    }

    /// From 1.0.4 on DevNonce is a counter, before it is random.
    pub fn counts_dev_nonces(self) -> bool {
        self >= MacVersion::V1_0_4
    }
}

/// One device, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Device {
    pub dev_eui: Eui,
    pub version: MacVersion,
    pub activation: Activation,
    pub join: JoinState,
    /// The session in use.
    pub session: Option<Session>,
    /// Made by the last join and not used yet by the device, which may not have heard the answer: the old session stays
    /// until the new one's first valid uplink.
    pub pending: Option<Session>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Activation {
    /// Over the air. A 1.1 device's key is its NwkKey.
    Otaa {
        app_key: Key,
        /// While it is being given this key.
        #[serde(default)]
        former: Option<Box<FormerKey>>,
    },
    /// Personalised: one session for ever.
    Abp {
        /// The device starts at 0 after losing power, and a counter that is behind is taken. Anyone who recorded a frame
        /// can then play it again.
        accepts_reset: bool,
    },
}

/// What a device joined with before it was given another key, to go back to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FormerKey {
    version: MacVersion,
    app_key: Key,
    dev_nonces: VecDeque<u16>,
    pending: Option<Session>,
    /// JoinNonces from here on belong to the newer key.
    next_join_nonce: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JoinState {
    /// What the next join is answered with; never the same twice.
    pub next_join_nonce: u32,
    /// DevNonces already answered, the oldest first; of a device that counts them only the last.
    pub dev_nonces: VecDeque<u16>,
}

impl JoinState {
    /// For a device that is added at this time. From 1.0.4 on a device takes no JoinNonce that is not higher than the last,
    /// and that one another hub may have given it, or this one before the device was removed: so it begins the higher the
    /// later it is.
    pub fn beginning(added_at: UnixMs) -> Self {
        let steps = (added_at.0 - JOIN_NONCE_ZERO_MS) / JOIN_NONCE_STEP_MS;
        Self {
            next_join_nonce: steps.clamp(1, i64::from(JOIN_NONCE_MAX)) as u32,
            dev_nonces: VecDeque::new(),
        }
    }

    /// Whether a join with this DevNonce may be answered.
    pub fn takes(&self, version: MacVersion, dev_nonce: u16) -> bool {
        if version.counts_dev_nonces() {
            self.dev_nonces.back().is_none_or(|last| dev_nonce > *last)
        } else {
            !self.dev_nonces.contains(&dev_nonce)
        }
    }

    /// The JoinNonce for the answer, with both nonces used up; `None` when there are no more.
    pub(super) fn answer(&mut self, version: MacVersion, dev_nonce: u16) -> Option<u32> {
        let join_nonce = self.next_join_nonce;
        if join_nonce > JOIN_NONCE_MAX {
            return None;
        }
        self.next_join_nonce += 1;
        let keep = if version.counts_dev_nonces() { 1 } else { DEV_NONCES_MAX };
        self.dev_nonces.push_back(dev_nonce);
        while self.dev_nonces.len() > keep {
            self.dev_nonces.pop_front();
        }
        Some(join_nonce)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// The JoinNonce it was made with, higher than any before; 0 for a personalised device.
    pub join_nonce: u32,
    pub dev_addr: DevAddr,
    pub nwk_s_key: Key,
    pub app_s_key: Key,
    /// The last uplink taken, all 32 bits; `None` before the first.
    pub f_cnt_up: Option<u32>,
    /// What the next downlink is numbered.
    pub f_cnt_down: u32,
    /// Seconds from an uplink to the first window.
    pub rx1_delay_s: u8,
    pub channels: Channels,
    #[serde(default)]
    pub link: Link,
}

/// How an uplink stands to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Next, or some were lost.
    Ahead(u32),
    /// The last one once more.
    Repeated(u32),
    /// Older than the last.
    Behind(u32),
}

impl Session {
    /// A personalised device's.
    pub fn personalised(dev_addr: DevAddr, nwk_s_key: Key, app_s_key: Key) -> Self {
        Self {
            join_nonce: 0,
            dev_addr,
            nwk_s_key,
            app_s_key,
            f_cnt_up: None,
            f_cnt_down: 0,
            rx1_delay_s: 1,
            channels: Channels::Default,
            link: Link::default(),
        }
    }

    /// `None` if the frame is not this session's, whatever its counter.
    pub fn standing(&self, frame: &DataUp, is_personalised: bool) -> Option<Standing> {
        let low = frame.f_cnt_low;
        let is_signed = |standing: Standing| {
            let (Standing::Ahead(count) | Standing::Repeated(count) | Standing::Behind(count)) = standing;
            frame.is_signed_by(&self.nwk_s_key, count)
        };
        let Some(last) = self.f_cnt_up else {
            let wraps = if is_personalised { FIRST_WRAPS_MAX } else { 1 };
            let counts = (0..wraps).map(|wrap| Standing::Ahead(wrap << 16 | u32::from(low)));
            return counts.into_iter().find(|standing| is_signed(*standing));
        };
        let next = last.checked_add(1);
        let ahead = next.and_then(|next| next.checked_add(u32::from(low.wrapping_sub(next as u16))));
        let behind =
            (last & 0xffff_0000 | u32::from(low)).checked_sub(if low > last as u16 { 1 << 16 } else { 0 });
        [
            (low == last as u16).then_some(Standing::Repeated(last)),
            ahead.map(Standing::Ahead),
            behind.filter(|count| *count != last).map(Standing::Behind),
            // A personalised device that started again counts from 0.
            Some(u32::from(low))
                .filter(|count| *count < last && Some(*count) != behind)
                .map(Standing::Behind),
        ]
        .into_iter()
        .flatten()
        .find(|standing| is_signed(*standing))
    }
}

impl Device {
    /// One that joins. `added_at`: the best guess at the time there is, trusted or not.
    pub fn otaa(dev_eui: Eui, version: MacVersion, app_key: Key, added_at: UnixMs) -> Self {
        Self {
            dev_eui,
            version,
            activation: Activation::Otaa { app_key, former: None },
            join: JoinState::beginning(added_at),
            session: None,
            pending: None,
        }
    }

    pub fn abp(dev_eui: Eui, version: MacVersion, session: Session, accepts_reset: bool) -> Self {
        Self {
            dev_eui,
            version,
            activation: Activation::Abp { accepts_reset },
            join: JoinState::beginning(UnixMs(0)),
            session: Some(session),
            pending: None,
        }
    }

    /// With another key to join with. What it joined with before goes on until the first frame of a new session.
    pub fn with_key(mut self, version: MacVersion, app_key: Key) -> Self {
        let (dev_nonces, pending) = (std::mem::take(&mut self.join.dev_nonces), self.pending.take());
        let former = match self.activation {
            Activation::Abp { .. } => None,
            // The one in between was never used.
            Activation::Otaa { former: Some(former), .. } => Some(former),
            Activation::Otaa { app_key, former: None } => Some(Box::new(FormerKey {
                version: self.version,
                app_key,
                dev_nonces,
                pending,
                next_join_nonce: self.join.next_join_nonce,
            })),
        };
        self.version = version;
        self.activation = Activation::Otaa { app_key, former };
        self
    }

    /// False while the session in use is one that a former key made.
    pub fn uses_its_key(&self) -> bool {
        match (&self.activation, &self.session) {
            (Activation::Otaa { former: Some(former), .. }, Some(session)) => {
                session.join_nonce >= former.next_join_nonce
            }
            (Activation::Otaa { former: Some(_), .. }, None) => false,
            _ => true,
        }
    }

    /// As if it had not been given another key; if it uses that already, it is its only one now.
    pub fn with_former_key(mut self) -> Self {
        let uses_its_key = self.uses_its_key();
        if let Activation::Otaa { app_key, former } = &mut self.activation
            && let Some(before) = former.take()
            && !uses_its_key
        {
            *app_key = before.app_key;
            self.version = before.version;
            self.join.dev_nonces = before.dev_nonces;
            self.pending = before.pending;
        }
        self
    }

    /// A device whose frames were taken: a personalised one has a session from the beginning, whoever uses it.
    pub fn was_heard(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.f_cnt_up.is_some())
    }

    pub fn is_personalised(&self) -> bool {
        matches!(self.activation, Activation::Abp { .. })
    }

    /// What a new epoch (a restored or copied database) must do before anything is sent: see [`JUMP`].
    pub fn jump_ahead(&mut self) {
        self.join.next_join_nonce = self.join.next_join_nonce.saturating_add(JUMP);
        let former = match &mut self.activation {
            Activation::Otaa { former: Some(former), .. } => former.pending.as_mut(),
            _ => None,
        };
        for session in self.session.iter_mut().chain(self.pending.iter_mut()).chain(former) {
            session.f_cnt_down = session.f_cnt_down.saturating_add(JUMP);
        }
    }

    /// Makes a change. Made twice, or after a later one, it does no harm: sessions never go back to an older one, and what must
    /// never repeat itself never goes down. False if it is another device's.
    pub fn apply(&mut self, change: &SessionChange) -> bool {
        if change.dev_eui() != self.dev_eui {
            return false;
        }
        match change {
            SessionChange::Join { join, .. } => {
                if join.next_join_nonce >= self.join.next_join_nonce {
                    self.join = join.clone();
                }
            }
            SessionChange::Pending { session, .. } => {
                if self.session.as_ref().is_none_or(|used| used.join_nonce < session.join_nonce) {
                    put(&mut self.pending, session);
                }
            }
            SessionChange::Current { session, .. } | SessionChange::Activated { session, .. } => {
                put(&mut self.session, session);
                self.pending.take_if(|pending| pending.join_nonce <= session.join_nonce);
            }
        }
        true
    }
}

/// Puts a session where an older one, or an earlier state of the same, stands.
fn put(place: &mut Option<Session>, session: &Session) {
    let before = place.as_ref().map(|before| (before.join_nonce, before.f_cnt_down));
    let (join_nonce, f_cnt_down) = before.unwrap_or_default();
    if join_nonce <= session.join_nonce {
        let least = if join_nonce == session.join_nonce { f_cnt_down } else { 0 };
        *place = Some(Session { f_cnt_down: session.f_cnt_down.max(least), ..session.clone() });
    }
}

/// What the store must write; every change holds the new value whole.
///
/// See [`Device::apply`] for what becomes of one that comes late.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionChange {
    Join {
        dev_eui: Eui,
        join: JoinState,
    },
    /// A join was answered.
    Pending {
        dev_eui: Eui,
        session: Box<Session>,
    },
    /// Of the session in use: counters, what was agreed about the link.
    Current {
        dev_eui: Eui,
        session: Box<Session>,
    },
    /// The pending session is in use now, and there is no pending one any more.
    Activated {
        dev_eui: Eui,
        session: Box<Session>,
    },
}

impl SessionChange {
    pub fn dev_eui(&self) -> Eui {
        match self {
            SessionChange::Join { dev_eui, .. }
            | SessionChange::Pending { dev_eui, .. }
            | SessionChange::Current { dev_eui, .. }
            | SessionChange::Activated { dev_eui, .. } => *dev_eui,
        }
    }
}
