//! Which wall time to believe: pure, by observations of the clocks and the receiver's word.
//!
//! CLOCK_BOOTTIME never steps, so true wall time is one offset away from it for as long as a boot lasts. A segment is a
//! part of a boot within which CLOCK_REALTIME did not step; it is placed once, when something vouches for the time.

use serde::{Deserialize, Serialize};

use super::{BUILD_TIME, Clock, NtpState, Observation};
use crate::domain::{MonoMs, Stamp, UnixMs};

/// A change of wall - monotonic by more than this is a step. Slewing changes both clocks alike, and the daemons step from
/// about this size on (systemd-timesyncd 0.4 s, chrony 1 s).
pub const STEP_MS_TOLERANCE: i64 = 500;
/// The receiver refuses readings this far in the future; a placement that far from its time is wrong.
pub const CONTRADICTION_MS: i64 = 300_000;
/// An RTC counts seconds and was read at another instant.
const RTC_MS_TOLERANCE: i64 = 2_000;
/// A watch crystal of 100 ppm off for a week without power.
const RTC_MS_UNCERTAINTY: i64 = 60_000;
/// How often the largest wall time is kept while something vouches for it.
pub const PERSIST_MS_INTERVAL: i64 = 600_000;
/// Starts of segments kept for `stamp`: a frame waits at most a commit window, and the clock is looked at once a second.
const STARTS_KEPT: usize = 16;

/// `hub_boots.quality`: what vouched for a placement, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// Between what is known before and after (`estimate`).
    Estimated,
    Rtc,
    Ntp,
    Receiver,
}

impl Quality {
    pub fn as_str(self) -> &'static str {
        match self {
            Quality::Estimated => "estimated",
            Quality::Rtc => "rtc",
            Quality::Ntp => "ntp",
            Quality::Receiver => "receiver",
        }
    }

    /// None for `untrusted`, which is the absence of a placement.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Estimated, Self::Rtc, Self::Ntp, Self::Receiver]
            .into_iter()
            .find(|quality| quality.as_str() == text)
    }
}

/// Wall time of a segment: Unix ms = monotonic ms + `offset_ms`, give or take `uncertainty_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    pub offset_ms: i64,
    pub quality: Quality,
    pub uncertainty_ms: i64,
}

/// A row of `hub_boots`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    pub segment: u32,
    pub boot_id: [u8; 16],
    pub reason: BootReason,
    pub first_mono: MonoMs,
    /// At least the monotonic time of every row of the segment.
    pub last_mono: MonoMs,
    /// The largest wall time known to be past when the segment began.
    pub floor: UnixMs,
    pub placement: Option<Placement>,
}

/// `hub_boots.reason`: why a segment began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootReason {
    /// The hub started.
    Start,
    /// The wall clock stepped.
    Step,
    /// The segment before was found to be placed wrongly.
    Refuted,
}

impl BootReason {
    pub fn as_str(self) -> &'static str {
        match self {
            BootReason::Start => "start",
            BootReason::Step => "step",
            BootReason::Refuted => "refuted",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Start, Self::Step, Self::Refuted].into_iter().find(|reason| reason.as_str() == text)
    }
}

/// What an observation changes. To be written in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClockEvent {
    /// CLOCK_REALTIME moved by this much against the monotonic clock.
    Stepped { by_ms: i64, mono: MonoMs },
    /// A segment begins: a new row.
    Began(Boot),
    /// The present segment is placed, for good. Earlier unplaced ones follow by `estimate::estimate`.
    Placed { segment: u32, placement: Placement },
    /// The placement of this segment was wrong by `by_ms` (positive: in the future). Where none of its rows has gone up
    /// yet the placement is taken back (the next `Placed` gives a new one by `estimate`); else it stays.
    Refuted { segment: u32, by_ms: i64 },
    /// Keep this as the largest wall time known to be past. It replaces the one before, which it can only undercut when
    /// the receiver said so.
    Persist { wall: UnixMs },
}

/// The receiver's signed time, as the uplink measured it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiverTime {
    pub now: UnixMs,
    pub asked: MonoMs,
    pub answered: MonoMs,
}

/// What the store knows when the hub starts.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// One more than the last segment.
    pub segment: u32,
    pub boot_id: [u8; 16],
    /// The largest wall time kept, if any.
    pub persisted: Option<UnixMs>,
}

/// The state: the present segment and what vouched for the time in this boot.
#[derive(Debug)]
pub struct Trust {
    boot: Boot,
    /// wall - mono when the segment began.
    seen_offset_ms: i64,
    floor: UnixMs,
    persisted_at: Option<MonoMs>,
    /// The receiver's word in this boot; the last one.
    receiver: Option<Placement>,
    /// The system clock was refuted and has not been stepped since.
    is_refuted: bool,
    starts: Vec<Stamp>,
}

impl Trust {
    /// Begins the first segment of this run.
    pub fn begin(start: Start, seen: Observation) -> (Self, Vec<ClockEvent>) {
        let floor = start.persisted.unwrap_or(BUILD_TIME).max(BUILD_TIME);
        let boot = Boot {
            segment: start.segment,
            boot_id: start.boot_id,
            reason: BootReason::Start,
            first_mono: seen.mono,
            last_mono: seen.mono,
            floor,
            placement: None,
        };
        let mut trust = Self {
            seen_offset_ms: seen.wall.0 - seen.mono.0,
            starts: vec![Stamp { segment: boot.segment, mono: seen.mono }],
            boot,
            floor,
            persisted_at: None,
            receiver: None,
            is_refuted: false,
        };
        let mut events = vec![ClockEvent::Began(trust.boot.clone())];
        trust.judge(seen, &mut events);
        (trust, events)
    }

    /// Looks at the clocks: every second, and before a group is committed.
    pub fn look(&mut self, clock: &dyn Clock) -> Vec<ClockEvent> {
        let mut events = Vec::new();
        if self.boot.placement.is_some() {
            events.extend(self.observe(Observation::without_rtc(clock)));
        }
        if self.boot.placement.is_none() {
            events.extend(self.observe(Observation::of(clock)));
        }
        events
    }

    /// Takes what was seen of the clocks.
    pub fn observe(&mut self, seen: Observation) -> Vec<ClockEvent> {
        let mut events = Vec::new();
        self.boot.last_mono = self.boot.last_mono.max(seen.mono);
        let by_ms = seen.wall.0 - seen.mono.0 - self.seen_offset_ms;
        if by_ms.abs() > STEP_MS_TOLERANCE {
            let former = self.boot.placement.filter(|placement| placement.quality > Quality::Rtc);
            events.push(ClockEvent::Stepped { by_ms, mono: seen.mono });
            self.is_refuted = false;
            self.begin_segment(BootReason::Step, seen.mono, &mut events);
            self.seen_offset_ms += by_ms;
            self.judge(seen, &mut events);
            // Nobody vouches for the new wall time, but the monotonic clock did not step: what was known of it holds.
            if let (None, Some(former)) = (self.boot.placement, former) {
                self.place(former, &mut events);
            }
        } else {
            self.judge(seen, &mut events);
        }
        events
    }

    /// The receiver's signed time came. It outranks every other clock, and even the largest time kept.
    pub fn receiver_says(&mut self, time: ReceiverTime) -> Vec<ClockEvent> {
        let mut events = Vec::new();
        let half_ms = (time.answered.0 - time.asked.0).max(0) / 2;
        let placement = Placement {
            offset_ms: time.now.0 - (time.asked.0 + half_ms),
            quality: Quality::Receiver,
            uncertainty_ms: half_ms + 1,
        };
        self.receiver = Some(placement);
        self.boot.last_mono = self.boot.last_mono.max(time.answered);
        if time.now < self.floor {
            self.floor = time.now;
            self.persisted_at = None;
        }
        match self.boot.placement {
            None => self.place(placement, &mut events),
            Some(present) => {
                let by_ms = present.offset_ms - placement.offset_ms;
                if by_ms.abs() > CONTRADICTION_MS {
                    events.push(ClockEvent::Refuted { segment: self.boot.segment, by_ms });
                    self.begin_segment(BootReason::Refuted, time.answered, &mut events);
                    self.place(placement, &mut events);
                }
            }
        }
        self.persist(time.answered, &mut events);
        events
    }

    /// A batch was refused because its readings lie in the future: the clock is not believed until the receiver's signed
    /// time comes or somebody sets it.
    pub fn distrust(&mut self, at: MonoMs, by_ms: i64) -> Vec<ClockEvent> {
        if self.boot.placement.is_none() {
            return Vec::new();
        }
        let mut events = vec![ClockEvent::Refuted { segment: self.boot.segment, by_ms }];
        self.is_refuted = true;
        self.receiver = None;
        self.begin_segment(BootReason::Refuted, at, &mut events);
        events
    }

    /// The last time to keep, at shutdown.
    pub fn finish(&mut self, seen: Observation) -> Vec<ClockEvent> {
        let mut events = self.observe(seen);
        if self.is_vouched(seen.ntp) {
            self.persisted_at = None;
            self.persist(seen.mono, &mut events);
        }
        events
    }

    pub fn boot(&self) -> &Boot {
        &self.boot
    }

    /// The largest wall time known to be past.
    pub fn floor(&self) -> UnixMs {
        self.floor
    }

    /// Wall time at `mono` of the present segment; None while untrusted.
    pub fn wall(&self, mono: MonoMs) -> Option<UnixMs> {
        self.boot.placement.map(|placement| UnixMs(mono.0 + placement.offset_ms))
    }

    /// The segment that `mono` of this boot fell into.
    pub fn stamp(&self, mono: MonoMs) -> Stamp {
        let start = self.starts.iter().rev().find(|start| start.mono <= mono).or(self.starts.first());
        Stamp { segment: start.map_or(self.boot.segment, |start| start.segment), mono }
    }

    fn judge(&mut self, seen: Observation, events: &mut Vec<ClockEvent>) {
        if self.boot.placement.is_none()
            && !self.is_refuted
            && let Some(placement) = self.candidate(seen)
        {
            self.place(placement, events);
        }
        if self.is_vouched(seen.ntp) {
            self.persist(seen.mono, events);
        }
    }

    fn candidate(&self, seen: Observation) -> Option<Placement> {
        let own = self.own_candidate(seen);
        match (own, self.receiver) {
            // A forged NTP answer does not outvote a signature.
            (Some(own), Some(receiver)) if (own.offset_ms - receiver.offset_ms).abs() > CONTRADICTION_MS => {
                Some(receiver)
            }
            (Some(own), _) => Some(own),
            (None, receiver) => receiver,
        }
    }

    fn own_candidate(&self, seen: Observation) -> Option<Placement> {
        let offset_ms = seen.wall.0 - seen.mono.0;
        if seen.ntp == NtpState::Played {
            // Even before the build, or what was kept of another run: it begins in the past.
            return Some(Placement { offset_ms, quality: Quality::Ntp, uncertainty_ms: 0 });
        }
        if seen.wall < self.floor {
            return None;
        }
        if let NtpState::Synchronized { error_ms } = seen.ntp {
            return Some(Placement { offset_ms, quality: Quality::Ntp, uncertainty_ms: error_ms });
        }
        // The RTC itself is asked: without a battery it shows 1970 while the system restored the time of the last
        // shutdown, which nobody vouches for.
        let rtc = seen.rtc?;
        let agrees = (rtc.0 - seen.wall.0).abs() <= RTC_MS_TOLERANCE;
        (agrees && rtc >= self.floor).then_some(Placement {
            offset_ms,
            quality: Quality::Rtc,
            uncertainty_ms: RTC_MS_UNCERTAINTY,
        })
    }

    /// NTP or the receiver stand behind the present placement.
    fn is_vouched(&self, ntp: NtpState) -> bool {
        let Some(placement) = self.boot.placement else { return false };
        let by_receiver = self
            .receiver
            .is_some_and(|receiver| (receiver.offset_ms - placement.offset_ms).abs() <= CONTRADICTION_MS);
        let by_ntp = matches!(ntp, NtpState::Synchronized { .. } | NtpState::Played)
            && (placement.offset_ms - self.seen_offset_ms).abs() <= CONTRADICTION_MS;
        by_receiver || by_ntp
    }

    fn place(&mut self, placement: Placement, events: &mut Vec<ClockEvent>) {
        self.boot.placement = Some(placement);
        events.push(ClockEvent::Placed { segment: self.boot.segment, placement });
    }

    fn begin_segment(&mut self, reason: BootReason, mono: MonoMs, events: &mut Vec<ClockEvent>) {
        self.boot = Boot {
            segment: self.boot.segment + 1,
            boot_id: self.boot.boot_id,
            reason,
            first_mono: mono,
            last_mono: mono,
            floor: self.floor,
            placement: None,
        };
        if self.starts.len() == STARTS_KEPT {
            self.starts.remove(0);
        }
        self.starts.push(Stamp { segment: self.boot.segment, mono });
        events.push(ClockEvent::Began(self.boot.clone()));
    }

    fn persist(&mut self, mono: MonoMs, events: &mut Vec<ClockEvent>) {
        let is_due = self.persisted_at.is_none_or(|last| mono.0 - last.0 >= PERSIST_MS_INTERVAL);
        if let Some(wall) = self.wall(mono).filter(|wall| is_due && *wall >= self.floor) {
            self.persisted_at = Some(mono);
            self.floor = wall;
            events.push(ClockEvent::Persist { wall });
        }
    }
}

#[cfg(test)]
#[path = "trust_tests.rs"]
mod tests;
