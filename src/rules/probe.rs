//! One probe's memory: when it was heard, how often it speaks, on which side of the limits it is.

use serde::{Deserialize, Serialize};

use super::limits::{Limits, Place};
use super::sense::Sense;
use super::state::LastReading;
use super::{Constants, MINUTE_MS, ProbeConfig, Tick, Violated};
use crate::domain::{DeviceNo, Probe, Scale, UnitNo};

/// Gaps between check-ins that are remembered; their median is the interval of a device that nobody configured.
pub(super) const GAPS_KEPT: usize = 20;
/// Shorter gaps are no rhythm but a queue being emptied (a broker's, after an outage).
const GAP_MS_MIN: i64 = 1_000;
/// Fewer gaps than this say too little (a burst at power-on): the default interval stands.
const GAPS_NEEDED: usize = 5;
/// A jump that waits for the next reading: over this many hundredths of a degree Celsius ...
const JUMP_C: i64 = 2_000;
/// ... within this time.
const JUMP_WITHIN_MS: i64 = 10 * MINUTE_MS;
/// Above this interval the pair of numbers of missed check-ins for slow devices applies.
const SLOW_OVER_MS: i64 = 10 * MINUTE_MS;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ProbeState {
    pub device: DeviceNo,
    pub probe: Probe,
    configured_s: Option<u32>,
    /// The last check-in, or when the check-in clock began.
    pub seen: Tick,
    /// `seen` is a reading: the next one makes a gap.
    was_heard: bool,
    gaps: Gaps,
    /// The newest accepted reading.
    pub newest: Option<LastReading>,
    /// The newest judged reading.
    pub judged: Option<LastReading>,
    /// A jump waiting for the next reading.
    pub held: Option<LastReading>,
    /// Out of the limits and not yet back inside the band.
    pub out: Option<Violated>,
    /// Good readings still missing since it was out.
    pub missing_good: u32,
    pub above: Above,
    pub sense: Sense,
    #[serde(skip)]
    pub interval_ms: i64,
}

/// Time above the upper limit, summed until a while passes without a reading above.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Above {
    pub sum_ms: i64,
    /// The newest reading above.
    pub last: Option<Tick>,
    /// The newest judged reading was above: time runs.
    pub is_running: bool,
}

/// The last gaps between check-ins, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Gaps {
    seconds: [u32; GAPS_KEPT],
    /// How many there were, wrapping at twice the kept number so that the place to write follows from it.
    count: u8,
}

impl ProbeState {
    pub fn new(config: &ProbeConfig, tick: Tick) -> Self {
        Self {
            device: config.device,
            probe: config.probe,
            configured_s: config.check_in_s,
            seen: tick,
            was_heard: false,
            gaps: Gaps::default(),
            newest: None,
            judged: None,
            held: None,
            out: None,
            missing_good: 0,
            above: Above::default(),
            sense: Sense::default(),
            interval_ms: 0,
        }
    }

    /// The same probe under a new configuration.
    pub fn reconfigured(self, config: &ProbeConfig) -> Self {
        Self { configured_s: config.check_in_s, ..self }
    }

    /// The same probe measuring another unit: only its rhythm is kept.
    pub fn moved(&self, config: &ProbeConfig, tick: Tick) -> Self {
        Self { gaps: self.gaps, ..Self::new(config, tick) }
    }

    pub fn config(&self, unit: UnitNo) -> ProbeConfig {
        ProbeConfig { device: self.device, probe: self.probe, unit, check_in_s: self.configured_s }
    }

    pub fn is(&self, device: DeviceNo, probe: Probe) -> bool {
        (self.device, self.probe) == (device, probe)
    }

    pub fn derive(&mut self, constants: &Constants) {
        self.interval_ms = 1_000
            * i64::from(
                self.configured_s
                    .filter(|seconds| *seconds > 0)
                    .or_else(|| self.gaps.median())
                    .unwrap_or(constants.check_in_default_s),
            );
    }

    /// The hub was not listening: the check-in clock starts anew.
    pub fn listen_anew(&mut self, tick: Tick) {
        self.seen = tick;
        self.was_heard = false;
    }

    /// An accepted reading: a check-in.
    pub fn check_in(&mut self, reading: LastReading, constants: &Constants) {
        if self.was_heard && self.configured_s.is_none() {
            self.gaps.push(reading.tick.since(self.seen));
            self.derive(constants);
        }
        self.seen = reading.tick;
        self.was_heard = true;
        self.newest = Some(reading);
    }

    /// When the next reading is overdue.
    pub fn overdue(&self, constants: &Constants) -> Tick {
        self.seen.plus(self.interval_ms).plus(constants.buffer_ms())
    }

    /// When the probe counts as silent: the instant at which its unit, had it no other probe, goes offline.
    pub fn silent_at(&self, constants: &Constants) -> Tick {
        self.seen.plus(self.silence_ms(constants))
    }

    /// How long it may be silent.
    pub fn silence_ms(&self, constants: &Constants) -> i64 {
        self.missed_ms(
            constants.missed_warning,
            constants.missed_warning_slow,
            constants.contact_warning_min,
            constants,
        )
    }

    pub fn lost_at(&self, constants: &Constants) -> Tick {
        self.missed_at(
            constants.missed_critical,
            constants.missed_critical_slow,
            constants.contact_critical_min,
            constants,
        )
    }

    /// Alive: heard (or its clock begun) within the time after which it counts as silent.
    pub fn is_alive(&self, tick: Tick, constants: &Constants) -> bool {
        tick < self.silent_at(constants)
    }

    fn missed_at(&self, fast: u32, slow: u32, least_min: u32, constants: &Constants) -> Tick {
        self.seen.plus(self.missed_ms(fast, slow, least_min, constants))
    }

    fn missed_ms(&self, fast: u32, slow: u32, least_min: u32, constants: &Constants) -> i64 {
        let missed = if self.interval_ms > SLOW_OVER_MS { slow } else { fast };
        let wait = self.interval_ms.saturating_mul(i64::from(missed)).saturating_add(constants.buffer_ms());
        wait.max(i64::from(least_min) * MINUTE_MS)
    }

    /// A jump is held back once: the reading after it decides, whatever it says.
    pub fn is_jump(&self, reading: &LastReading) -> bool {
        self.held.is_none()
            && self.judged.is_some_and(|judged| {
                let scale = reading.temperature.scale;
                let before = judged.temperature.to(scale).hundredths;
                let change = (i64::from(reading.temperature.hundredths) - i64::from(before)).abs();
                let limit = match scale {
                    Scale::C => JUMP_C,
                    Scale::F => JUMP_C * 9 / 5,
                };
                change > limit && reading.tick.since(judged.tick) <= JUMP_WITHIN_MS
            })
    }

    /// Follows a judged reading: side, good readings still missing, time above.
    pub fn judge(&mut self, reading: LastReading, limits: &Limits, constants: &Constants) -> Place {
        let place = limits.place(reading.temperature);
        self.above.follow(reading.tick, self.judged.map(|judged| judged.tick), place, constants);
        match place {
            Place::Out(side) => {
                self.out = Some(side);
                self.missing_good = constants.good_needed();
            }
            Place::Good => {
                self.out = None;
                self.missing_good = self.missing_good.saturating_sub(1);
            }
            Place::Near => {}
        }
        self.judged = Some(reading);
        place
    }

    /// The excursion is over: nothing of it is remembered but the time above.
    pub fn forget_excursion(&mut self) {
        self.out = None;
        self.missing_good = 0;
    }
}

impl Above {
    fn follow(&mut self, tick: Tick, judged: Option<Tick>, place: Place, constants: &Constants) {
        let reset_ms = constants.above_reset_ms();
        if self.last.is_some_and(|last| tick.since(last) >= reset_ms) {
            *self = Self::default();
        }
        if let (true, Some(judged)) = (self.is_running, judged) {
            self.sum_ms = self.sum_ms.saturating_add(tick.since(judged));
        }
        self.is_running = place == Place::Out(Violated::Max);
        if self.is_running {
            self.last = Some(tick);
        }
    }

    /// When the sum reaches its limit if nothing else is heard; `judged`: the newest judged reading.
    pub fn too_long_at(&self, judged: Tick, constants: &Constants) -> Option<Tick> {
        let reset_ms = constants.above_reset_ms();
        let missing_ms = constants.above_limit_ms().saturating_sub(self.sum_ms).max(0);
        (self.is_running && missing_ms < reset_ms).then(|| judged.plus(missing_ms))
    }
}

impl Gaps {
    fn push(&mut self, gap_ms: i64) {
        if gap_ms < GAP_MS_MIN {
            return;
        }
        let at = usize::from(self.count) % GAPS_KEPT;
        self.seconds[at] = u32::try_from(gap_ms / 1_000).unwrap_or(u32::MAX);
        let count = usize::from(self.count) + 1;
        self.count = if count >= 2 * GAPS_KEPT { GAPS_KEPT as u8 } else { count as u8 };
    }

    /// The lower median; None while there are too few.
    fn median(&self) -> Option<u32> {
        let kept = usize::from(self.count).min(GAPS_KEPT);
        if kept < GAPS_NEEDED {
            return None;
        }
        let mut sorted = self.seconds;
        let (_, median, _) = sorted[..kept].select_nth_unstable((kept - 1) / 2);
        Some(*median)
    }
}
