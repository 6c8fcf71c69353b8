//! The open group: what was heard and decided since the last commit, written by one transaction.
//!
//! Rules run when a frame arrives, so memory is ahead of the store until the group is committed. When a commit fails the
//! group stays as it is and is tried again; nothing of it is acknowledged before.

use crate::audit::event_types::EventType;
use crate::audit::{Actor, Entity, Payload};
use crate::clock::trust::ClockEvent;
use uuid::Uuid;

use crate::domain::{DeviceNo, MonoMs, Seq, Stamp, UnitNo};
use crate::frame::AckToken;
use crate::lorawan::session::SessionChange;
use crate::notify::plan::Item;
use crate::rules::Decision;
use crate::store::deliveries::Outcome;
use crate::store::frames::{self, FrameRow};
use crate::store::inputs::InputRow;
use crate::store::log::LogRow;

/// Frames that close a group.
pub const GROUP_FRAMES_MAX: usize = 256;
/// MQTT messages that wait for an acknowledgement and close a group: Mosquitto sends 20 and then waits.
pub const GROUP_UNACKED_MAX: usize = 8;
/// Writes kept in memory while the disk refuses them: 2 h of 64 sensors a minute with raw frames, about 5 MB. Beyond it
/// what is heard is judged and sounded, and counted as not kept.
pub const WRITES_MAX: usize = 16_384;
/// Writes of every kind: doors that open and close and faulty probes go on while the disk refuses, for days of it.
const ALL_WRITES_MAX: usize = 4 * WRITES_MAX;

/// One thing to write, in the order it happened.
#[derive(Debug, Clone)]
pub enum Write {
    Log(LogRow),
    Frame(Box<FrameRow>),
    /// The script of a frame that is committed has run.
    Decoded {
        key: FrameKey,
        outcome: frames::Outcome,
        detail: Option<String>,
    },
    /// A kept frame was decoded again.
    Redecoded {
        frame: i64,
        outcome: frames::Outcome,
        detail: String,
    },
    Input(InputRow),
    Door {
        unit: UnitNo,
        device: DeviceNo,
        is_open: bool,
        stamp: Stamp,
        seq: Seq,
        open_for_ms: Option<i64>,
    },
    Decision {
        decision: Decision,
        stamp: Stamp,
        message: String,
    },
    Event(Box<EventDraft>),
    Clock(ClockEvent),
    /// Of the network server: what an answer to a device relies on.
    Session(Box<SessionChange>),
    /// A device joined anew.
    Joined {
        device: DeviceNo,
        stamp: Stamp,
    },
    /// Somebody must be told.
    Delivery {
        item: Box<Item>,
        stamp: Stamp,
    },
    /// What became of telling somebody.
    Settled(Box<Outcome>),
    Entry(Box<super::people::Entry>),
    /// The report of power cut `no`, as JSON.
    PowerReport {
        no: i64,
        report: String,
    },
}

/// Names the row of a frame that was heard in this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameKey {
    pub stamp: Stamp,
    pub dedup: i64,
}

/// An audit row before it is sealed into the chain.
#[derive(Debug, Clone)]
pub struct EventDraft {
    pub stamp: Stamp,
    pub event_type: EventType,
    pub actor: Actor,
    pub entity: Entity,
    /// The row's UUID for central's column.
    pub entity_id: Option<Uuid>,
    pub payload: Payload,
    pub description: String,
    /// Derived for decisions; None: made from time and randomness when it is written.
    pub id: Option<Uuid>,
}

/// The group that is open.
#[derive(Default)]
pub struct Group {
    pub writes: Vec<Write>,
    pub frames: usize,
    pub acks: Vec<AckToken>,
    pub opened: Option<MonoMs>,
    /// Something in it must not wait for the window: an alert, a person's entry, a source that waits.
    pub is_urgent: bool,
    /// Messages that found the group full while the disk refused it.
    pub overflow: u64,
    /// The message at hand found it full: none of its readings and not its bytes are kept, so that it is stored wholly
    /// when it comes again.
    is_full: bool,
    /// Writes that the running commit covers.
    covered: usize,
}

impl Group {
    /// A message comes. False: it will not be kept, though it is judged, and must not be acknowledged.
    pub fn admit(&mut self, now: MonoMs) -> bool {
        self.opened.get_or_insert(now);
        self.frames += 1;
        self.is_full = self.writes.len() >= WRITES_MAX;
        self.overflow += u64::from(self.is_full);
        !self.is_full
    }

    /// What comes now follows from a message that was admitted before.
    pub fn go_on(&mut self) {
        self.is_full = false;
    }

    /// Says what became of a frame that is in the group; gives it back where the frame is not (any more).
    pub fn settle(
        &mut self,
        key: FrameKey,
        outcome: frames::Outcome,
        detail: Option<String>,
    ) -> Option<(frames::Outcome, Option<String>)> {
        let row = self.writes.iter_mut().rev().find_map(|write| match write {
            Write::Frame(row) if (row.stamp, row.dedup) == (key.stamp, key.dedup) => Some(row),
            _ => None,
        });
        let Some(row) = row else { return Some((outcome, detail)) };
        (row.outcome, row.detail) = (outcome, detail);
        None
    }

    /// False: it is not kept.
    pub fn push(&mut self, write: Write) -> bool {
        // Decisions and inputs are few and matter most; readings and raw frames give way.
        if self.is_full && matches!(write, Write::Log(_) | Write::Frame(_)) {
            return false;
        }
        if self.writes.len() >= ALL_WRITES_MAX {
            self.overflow += 1;
            return false;
        }
        self.writes.push(write);
        true
    }

    /// The commit that begins covers the writes there are now.
    pub fn cover(&mut self) {
        self.covered = self.writes.len();
    }

    /// Takes out what was committed; what came after it is a group of its own.
    pub fn take_committed(&mut self, now: MonoMs) -> Vec<AckToken> {
        let kept = self.writes.split_off(self.covered);
        let acks = std::mem::take(&mut self.acks);
        *self = Self { opened: (!kept.is_empty()).then_some(now), writes: kept, ..Self::default() };
        acks
    }

    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.acks.is_empty()
    }

    /// True when the group must be written now.
    pub fn is_due(&self, now: MonoMs, window_ms: i64) -> bool {
        let Some(opened) = self.opened else { return false };
        self.is_urgent
            || self.frames >= GROUP_FRAMES_MAX
            || self.acks.len() >= GROUP_UNACKED_MAX
            || now.0 - opened.0 >= window_ms
    }
}
