//! The time column of a run: differences from what the sensor's own period makes expect.

use super::columns::{unzigzag, zigzag};

/// How the next time is expected. Numbers are on the wire.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// A period after the last one: right when delays add up.
    Step,
    /// On a grid that follows the last ones slowly: right when each is late by its own chance.
    Grid,
}

impl Pace {
    pub fn number(self) -> u64 {
        match self {
            Pace::Step => 0,
            Pace::Grid => 1,
        }
    }

    pub fn from_number(number: u64) -> Option<Self> {
        match number {
            0 => Some(Pace::Step),
            1 => Some(Pace::Grid),
            _ => None,
        }
    }
}

/// The share of an error that moves the grid, as a power of two: an eighth follows a drift of 0.1 s a period with 0.8 s
/// of lag and adds 3 % to the spread of the jitter.
const GRID_SHIFT: u32 = 3;

/// The period (median difference, ms) and the pace that makes smaller differences; `recorded` is sorted.
pub(super) fn choose(recorded: &[i64]) -> (i64, Pace) {
    let mut gaps: Vec<i64> = recorded.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    if gaps.is_empty() {
        return (0, Pace::Step);
    }
    let middle = gaps.len() / 2;
    let period = *gaps.select_nth_unstable(middle).1;
    let bits = |pace| -> u32 {
        let mut steps = Vec::with_capacity(recorded.len());
        write(recorded, period, pace, &mut steps);
        steps.iter().map(|step| u64::BITS - step.leading_zeros()).sum()
    };
    (period, if bits(Pace::Grid) < bits(Pace::Step) { Pace::Grid } else { Pace::Step })
}

/// Appends the differences of all but the first.
pub(super) fn write(recorded: &[i64], period: i64, pace: Pace, steps: &mut Vec<u64>) {
    let mut expected = Expected::after(recorded[0], period, pace);
    for &ms in &recorded[1..] {
        steps.push(zigzag(ms.wrapping_sub(expected.next)));
        expected.see(ms);
    }
}

/// Appends the times of a run: its first and one for each of `steps`.
pub(super) fn read(start: i64, period: i64, pace: Pace, steps: &[u64], recorded: &mut Vec<i64>) {
    let mut expected = Expected::after(start, period, pace);
    recorded.push(start);
    for &step in steps {
        let ms = expected.next.wrapping_add(unzigzag(step));
        expected.see(ms);
        recorded.push(ms);
    }
}

struct Expected {
    next: i64,
    period: i64,
    pace: Pace,
}

impl Expected {
    fn after(start: i64, period: i64, pace: Pace) -> Self {
        Self { next: start.wrapping_add(period), period, pace }
    }

    fn see(&mut self, ms: i64) {
        let error = ms.wrapping_sub(self.next);
        let is_near = error.unsigned_abs() <= self.period.unsigned_abs() / 2;
        let from =
            if self.pace == Pace::Grid && is_near { self.next.wrapping_add(error >> GRID_SHIFT) } else { ms };
        self.next = from.wrapping_add(self.period);
    }
}
