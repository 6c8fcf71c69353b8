//! Frames whose script has not run yet. A script may take long, and a device of the hub's own LoRaWAN network listens for
//! its answer a second after it spoke: so what it said is stored and answered first, and scripts run one at a time in
//! between. Until its script ran, a kept frame says so; what a power cut leaves like that is decoded at the next start.

use anyhow::Result;

use crate::domain::{DeviceNo, Source};
use crate::frame::{Frame, Payload};
use crate::store::frames::{self, KeptFrame, Outcome};

use super::Core;
use super::group::{FrameKey, Write};
use super::ingest::NO_MODEL;
use super::redecode::Redecoded;
use super::settings::Mode;

/// Frames that wait at once: one of every sensor. Beyond it the oldest is decoded before more is heard.
pub(super) const WAITING_MAX: usize = 64;
/// Frames of former runs that wait for their time to be known. What is beyond it waits for the next start.
const UNPLACED_MAX: usize = 4 * WAITING_MAX;
/// When the hub stops, what still waits gets this long; the rest is decoded at the next start.
const CLOSE_MS: i64 = 1_000;
/// `hub_frames.detail` of a frame that waits.
pub(super) const NOT_RUN_YET: &str = "its script has not run yet";

/// A frame that waits for its script.
pub(super) struct Waiting {
    pub frame: Frame,
    pub device: DeviceNo,
    pub key: FrameKey,
}

impl Core {
    /// Whether a frame is stored and answered before a script reads it. What no device waits for is decoded at once, and so
    /// is what the kept frame alone does not tell: its model where only the source names it, a time that is not that of
    /// its reception.
    pub(super) fn needs_script(&self, frame: &Frame, device: DeviceNo) -> bool {
        let is_binary = matches!(frame.payload, Payload::Binary { .. });
        let is_dated = frame.is_delayed || frame.network_time.is_some();
        let is_awaited = frame.sender.source == Source::Lorawan && is_binary && !is_dated;
        let is_script = |device| self.settings.codecs.is_script(self.model_of(device));
        is_awaited && is_script(device)
    }

    /// Before a frame is heard, so that nothing of one that waits is mistaken for its.
    pub(super) fn make_room_for_scripts(&mut self) {
        if self.scripted.len() >= WAITING_MAX {
            self.decode_waiting();
        }
    }

    /// The frame is in the open group, or was committed, under `key`.
    pub(super) fn wait_for_script(&mut self, frame: &Frame, device: DeviceNo, key: FrameKey) {
        self.scripted.push_back(Waiting { frame: Frame { ack: None, ..frame.clone() }, device, key });
    }

    /// Runs the script of the frame that waits longest. False: none waits.
    pub(super) fn decode_waiting(&mut self) -> bool {
        let Some(Waiting { frame, device, key }) = self.scripted.pop_front() else { return false };
        // What it measured follows from a message that was admitted.
        self.group.go_on();
        // The instant of its reception, as if the script had taken no time: `redecode` finds the reading by it.
        let fate = self.judge_frame(&frame, Some(device), key.stamp);
        self.counters.add(&format!("frames.{}", fate.outcome.as_str()), &frame.sender.port, 1);
        if let Some((outcome, detail)) = self.group.settle(key, fate.outcome, fate.detail) {
            self.group.opened.get_or_insert(self.now);
            self.group.push(Write::Decoded { key, outcome, detail });
        }
        true
    }

    /// Commits what was heard before a person or central changes what it means, all of it decoded.
    pub(super) fn flush_decoded(&mut self) -> Result<()> {
        self.decode_all_waiting();
        self.flush()
    }

    pub(super) fn decode_all_waiting(&mut self) {
        while self.decode_waiting() {}
    }

    pub(super) fn decode_waiting_before_closing(&mut self) {
        let began = self.clock.mono();
        while self.clock.mono().0 - began.0 < CLOSE_MS && self.decode_waiting() {}
    }

    /// Decodes what was stored, and answered, and whose script had not run when the hub stopped.
    pub(super) fn decode_interrupted(&mut self) -> Result<()> {
        if self.settings.mode != Mode::Service {
            return Ok(());
        }
        let mut looked_at = 0;
        let mut decoded = 0;
        loop {
            let connection = self.store.connection();
            let frames = frames::with_detail(connection, NOT_RUN_YET, looked_at, WAITING_MAX)?;
            let Some((_, last)) = frames.last() else { break };
            looked_at = last.no;
            for (device, frame) in frames {
                if self.wall_of(frame.stamp).1 {
                    self.decode_kept(device, &frame)?;
                    decoded += 1;
                } else if self.unplaced.len() < UNPLACED_MAX {
                    self.unplaced.push((device, frame));
                }
            }
        }
        if decoded > 0 || !self.unplaced.is_empty() {
            let waiting = self.unplaced.len();
            tracing::warn!(
                "the scripts of {} frames had not run when the hub stopped; {waiting} wait for the time to be known",
                decoded + waiting
            );
        }
        Ok(())
    }

    /// Decodes a frame of a former run once its time is known.
    pub(super) fn decode_placed(&mut self) -> Result<()> {
        if self.failing.is_some() {
            return Ok(());
        }
        let is_placed = |(_, frame): &(DeviceNo, KeptFrame)| self.wall_of(frame.stamp).1;
        let Some(index) = self.unplaced.iter().position(is_placed) else { return Ok(()) };
        let (device, frame) = self.unplaced.remove(index);
        self.decode_kept(device, &frame)
    }

    /// Whatever comes of it, the frame waits no longer.
    fn decode_kept(&mut self, device: DeviceNo, frame: &KeptFrame) -> Result<()> {
        self.group.go_on();
        let reason = match self.redecode_one(device, frame)? {
            // It says so by itself, or waits on.
            Redecoded::Decoded | Redecoded::Unplaced => return Ok(()),
            Redecoded::WithoutModel => NO_MODEL.to_owned(),
            Redecoded::SetAside => "its script was set aside".to_owned(),
            Redecoded::Failed(reason) => reason,
        };
        let opened = self.stamp_now().mono;
        self.group.opened.get_or_insert(opened);
        self.group.push(Write::Redecoded { frame: frame.no, outcome: Outcome::Undecodable, detail: reason });
        self.flush()
    }
}
