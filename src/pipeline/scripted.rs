//! Frames whose script has not run yet. A script may take long, and a LoRaWAN device listens for its answer a second after
//! it spoke: so what was heard is stored and answered first, and scripts run one at a time in between. Until its script
//! ran, a kept frame says so; what a power cut leaves like that is decoded at the next start.

use anyhow::Result;

use crate::domain::DeviceNo;
use crate::frame::{Frame, Payload};
use crate::store::frames;

use super::Core;
use super::group::{FrameKey, Write};
use super::settings::Mode;

/// Frames that wait at once: one of every sensor. Beyond it the oldest is decoded before more is heard.
pub(super) const WAITING_MAX: usize = 64;
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
    /// Whether a frame's values are known only after a script ran.
    pub(super) fn needs_script(&self, frame: &Frame, device: DeviceNo) -> bool {
        let Payload::Binary { .. } = frame.payload else { return false };
        let named = self.registry.device(device).map_or("", |device| device.model.as_str());
        let model = if named.is_empty() { frame.model.as_deref().unwrap_or("") } else { named };
        self.settings.codecs.is_script(model)
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
        let frames = frames::with_detail(self.store.connection(), NOT_RUN_YET, WAITING_MAX)?;
        if !frames.is_empty() {
            tracing::warn!("the scripts of {} frames had not run when the hub stopped", frames.len());
        }
        for (device, frame) in frames {
            self.redecode_one(device, &frame)?;
        }
        Ok(())
    }
}
