//! The adaptive data rate: a device that is heard well sends faster and more quietly, which is most of a battery's life.
//!
//! The rule is the one networks commonly use: the best of the last 20 frames, less what its data rate needs, less a margin
//! for the days when the door is shut, in steps of 3 dB; first the data rate goes up, then the power down.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::rate::DataRate;
use super::region::Region;

/// Frames looked at.
pub const HISTORY: usize = 20;
/// Tenths of a dB kept in hand: a steel door, a full store room.
pub const MARGIN_TENTHS: i16 = 100;
/// Tenths of a dB a step is worth.
pub const STEP_TENTHS: i16 = 30;
/// A device that does not answer a request, or refuses it, is asked so often in a row, then every [`HISTORY`] frames.
pub const ASKS_MAX: u8 = 3;

/// What was agreed with the device and what its frames were like since.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// As last heard.
    pub data_rate: Option<u8>,
    /// Steps of 2 dB below the highest power.
    pub power: u8,
    /// How often the device sends each frame.
    pub repetitions: u8,
    pub history: VecDeque<Sample>,
    /// Asked for and not answered yet.
    pub asked: Option<Setting>,
    /// One above what the device has refused, if it has.
    pub data_rate_end: Option<u8>,
    pub power_end: Option<u8>,
    pub link_adr: Asking,
    pub tx_param: Asking,
}

/// One frame of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    pub f_cnt: u32,
    pub snr_tenths: i16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    pub data_rate: u8,
    pub power: u8,
    pub repetitions: u8,
}

/// What the device says to the parts of a LinkADRReq.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub channels_ok: bool,
    pub data_rate_ok: bool,
    pub power_ok: bool,
}

/// A request that is repeated until it is answered, but not for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asking {
    /// Answered with yes at least once in this session.
    pub is_done: bool,
    tries: u8,
    /// Frame number of the last try.
    last: Option<u32>,
}

impl Asking {
    pub fn may_ask(&self, f_cnt: u32) -> bool {
        self.tries < ASKS_MAX || self.last.is_none_or(|last| f_cnt.abs_diff(last) >= HISTORY as u32)
    }

    pub fn asks(&mut self, f_cnt: u32) {
        self.tries = self.tries.saturating_add(1);
        self.last = Some(f_cnt);
    }

    pub fn is_answered(&mut self, yes: bool) {
        self.is_done |= yes;
        self.tries = if yes { 0 } else { ASKS_MAX };
    }
}

impl Default for Link {
    fn default() -> Self {
        Self {
            data_rate: None,
            power: 0,
            repetitions: 1,
            history: VecDeque::new(),
            asked: None,
            data_rate_end: None,
            power_end: None,
            link_adr: Asking::default(),
            tx_param: Asking::default(),
        }
    }
}

impl Link {
    /// Notes a new frame. A device that changed its data rate by itself starts anew; one that went down has gone to full
    /// power before (LoRaWAN 1.0.4, 4.3.1.1).
    pub fn hear(&mut self, data_rate: u8, sample: Sample) {
        if let Some(before) = self.data_rate.filter(|before| *before != data_rate) {
            self.history.clear();
            if data_rate < before {
                self.power = 0;
            }
        }
        self.data_rate = Some(data_rate);
        while self.history.len() >= HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(sample);
    }

    /// The answer to a LinkADRReq. It is taken whole or not at all; what was refused is not asked for again.
    pub fn is_answered(&mut self, answer: Answer) {
        let Some(asked) = self.asked.take() else {
            return;
        };
        let yes = answer.channels_ok && answer.data_rate_ok && answer.power_ok;
        self.link_adr.is_answered(yes);
        if !answer.data_rate_ok {
            self.data_rate_end = Some(asked.data_rate);
        }
        if !answer.power_ok {
            self.power_end = Some(asked.power);
        }
        self.history.clear();
        if yes {
            self.data_rate = Some(asked.data_rate);
            self.power = asked.power;
            self.repetitions = asked.repetitions;
        }
    }

    /// What the device has now.
    pub fn setting(&self, region: Region) -> Setting {
        Setting {
            data_rate: self.data_rate.unwrap_or(0).min(region.adr_dr_max()),
            power: self.power,
            repetitions: self.repetitions.max(1),
        }
    }

    /// What it should have instead, once there is enough history to tell.
    pub fn better(&self, region: Region) -> Option<Setting> {
        if self.history.len() < HISTORY {
            return None;
        }
        let now = self.setting(region);
        let rate = region.data_rate(now.data_rate)?;
        let mut better = Setting { repetitions: self.repetitions_for_loss(), ..now };
        let mut steps = self.steps(rate);
        let end = |end: Option<u8>| end.map_or(u8::MAX, |end| end.saturating_sub(1));
        let data_rate_max = region.adr_dr_max().min(end(self.data_rate_end));
        let power_max = region.power_index_max().min(end(self.power_end));
        while steps > 0 && better.data_rate < data_rate_max {
            better.data_rate += 1;
            steps -= 1;
        }
        while steps > 0 && better.power < power_max {
            better.power += 1;
            steps -= 1;
        }
        while steps < 0 && better.power > 0 {
            better.power -= 1;
            steps += 1;
        }
        (better != now).then_some(better)
    }

    fn steps(&self, rate: DataRate) -> i16 {
        let best = self.history.iter().map(|sample| sample.snr_tenths).max().unwrap_or_default();
        best.saturating_sub(rate.snr_needed_tenths() + MARGIN_TENTHS) / STEP_TENTHS
    }

    /// Per cent of the frames lost over the history.
    fn loss_percent(&self) -> u32 {
        let (Some(first), Some(last)) = (self.history.front(), self.history.back()) else {
            return 0;
        };
        let sent = last.f_cnt.saturating_sub(first.f_cnt).saturating_add(1);
        let lost = sent.saturating_sub(self.history.len() as u32);
        (u64::from(lost) * 100 / u64::from(sent)) as u32
    }

    /// More repetitions the more is lost, one at a time.
    fn repetitions_for_loss(&self) -> u8 {
        let row: [u8; 3] = match self.loss_percent() {
            0..5 => [1, 1, 2],
            5..10 => [1, 2, 3],
            10..30 => [2, 3, 3],
            _ => [3, 3, 3],
        };
        row[usize::from(self.repetitions.clamp(1, 3) - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lorawan::region::SubBand;

    const EU: Region = Region::Eu868;

    struct Case {
        region: Region,
        data_rate: u8,
        power: u8,
        repetitions: u8,
        frames: usize,
        /// Of the best frame; the others are 10 dB worse.
        snr_tenths: i16,
        /// Counted up between two frames heard.
        gap: u32,
    }

    const CASE: Case =
        Case { region: EU, data_rate: 0, power: 0, repetitions: 1, frames: HISTORY, snr_tenths: 0, gap: 1 };

    #[track_caller]
    fn check(case: Case, want: Option<(u8, u8, u8)>) {
        let mut link = Link { power: case.power, repetitions: case.repetitions, ..Link::default() };
        for n in 0..case.frames as u32 {
            let snr_tenths = if n == 3 { case.snr_tenths } else { case.snr_tenths - 100 };
            link.hear(case.data_rate, Sample { f_cnt: 1_000 + n * case.gap, snr_tenths });
        }
        let want = want.map(|(data_rate, power, repetitions)| Setting { data_rate, power, repetitions });
        assert_eq!(link.better(case.region), want);
    }

    #[test]
    fn a_device_heard_well_sends_faster_then_more_quietly() {
        // SF12 needs -20 dB: at -10 nothing is to spare, each 3 dB are a step.
        check(Case { snr_tenths: -100, ..CASE }, None);
        check(Case { snr_tenths: -71, ..CASE }, None);
        check(Case { snr_tenths: -70, ..CASE }, Some((1, 0, 1)));
        check(Case { snr_tenths: 50, ..CASE }, Some((5, 0, 1)));
        check(Case { snr_tenths: 110, ..CASE }, Some((5, 2, 1)));
        check(Case { data_rate: 5, power: 7, snr_tenths: 120, ..CASE }, None);
        check(Case { data_rate: 5, power: 6, snr_tenths: 120, ..CASE }, Some((5, 7, 1)));
        // Heard badly: power comes back, the data rate is the device's own business.
        check(Case { data_rate: 5, power: 4, snr_tenths: -40, ..CASE }, Some((5, 2, 1)));
        check(Case { data_rate: 5, power: 0, snr_tenths: -70, ..CASE }, None);
        // Not before there is a history.
        check(Case { snr_tenths: 90, frames: HISTORY - 1, ..CASE }, None);
        let us = Region::Us915 { sub_band: SubBand::new(2).unwrap() };
        check(Case { region: us, snr_tenths: 110, ..CASE }, Some((3, 2, 1)));
        // The wide channel is not where a device stays.
        check(Case { region: us, data_rate: 4, snr_tenths: 26, ..CASE }, None);
    }

    #[test]
    fn loss_is_answered_with_repetitions_one_at_a_time() {
        for (gap, repetitions, want) in [(1, 1, 1), (1, 3, 2), (1, 2, 1), (2, 1, 3), (2, 3, 3)] {
            let steady = Case { data_rate: 5, snr_tenths: 40, gap, repetitions, ..CASE };
            check(steady, (want != repetitions).then_some((5, 0, want)));
        }
        let mut link = Link::default();
        for (f_cnt, want) in [(21, 1), (23, 2), (32, 3)] {
            link.history.clear();
            link.repetitions = if want == 1 { 1 } else { want - 1 };
            (0..19).chain([f_cnt - 1]).for_each(|f_cnt| link.hear(5, Sample { f_cnt, snr_tenths: 40 }));
            assert_eq!(link.repetitions_for_loss(), want, "{} %", link.loss_percent());
        }
    }

    #[test]
    fn what_the_device_does_by_itself_is_believed() {
        let mut link = Link { data_rate: Some(5), power: 4, ..Link::default() };
        link.hear(5, Sample { f_cnt: 1, snr_tenths: 0 });
        link.hear(4, Sample { f_cnt: 2, snr_tenths: 0 });
        assert_eq!((link.history.len(), link.power), (1, 0));
    }

    #[test]
    fn what_the_device_refused_is_not_asked_for_again() {
        let mut link = Link::default();
        let hear = |link: &mut Link| {
            (0..20).for_each(|f_cnt| link.hear(4, Sample { f_cnt, snr_tenths: 110 }));
            link.better(EU).map(|better| (better.data_rate, better.power))
        };
        let yes = Answer { channels_ok: true, data_rate_ok: true, power_ok: true };
        assert_eq!(hear(&mut link), Some((5, 2)));
        link.asked = link.better(EU);
        link.is_answered(Answer { power_ok: false, ..yes });
        assert_eq!(hear(&mut link), Some((5, 1)));
        link.asked = link.better(EU);
        link.is_answered(Answer { data_rate_ok: false, ..yes });
        assert_eq!(hear(&mut link), Some((4, 1)));
        link.asked = link.better(EU);
        link.is_answered(yes);
        assert_eq!((link.data_rate, link.power), (Some(4), 1));
        assert_eq!(hear(&mut link), None);
    }

    #[test]
    fn a_device_that_does_not_answer_is_not_asked_for_ever() {
        let mut asking = Asking::default();
        let asked: Vec<u32> = (0..50)
            .filter(|f_cnt| {
                let may = asking.may_ask(*f_cnt);
                if may {
                    asking.asks(*f_cnt);
                }
                may
            })
            .collect();
        assert_eq!(asked, [0, 1, 2, 22, 42]);
        asking.is_answered(false);
        assert!(!asking.may_ask(43) && asking.may_ask(62) && !asking.is_done);
        asking.is_answered(true);
        assert!(asking.may_ask(44) && asking.is_done);
    }
}
