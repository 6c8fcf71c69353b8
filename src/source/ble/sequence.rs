//! The packet numbers of one sensor. They prove nothing, since anyone can send any number; but what was recorded and is played
//! again, and a second sender that counts on its own, go backwards. Pure.

use std::time::Duration;

use tokio::time::Instant;

use crate::codec::PacketNumber;

/// After this long without a packet any number may be the next: eight bits are over in some minutes.
pub const LOST: Duration = Duration::from_mins(1);
/// Numbers of another count, one soon after the other, with none of the former count between them: the sensor was restarted.
const RESTART_NEEDED: u8 = 3;
/// A count goes on when it is at most so far ahead.
const STEP_MAX: u32 = 16;

/// What is remembered of a sensor's numbers.
#[derive(Debug, Default)]
pub struct Sequence {
    last: Option<(u32, Instant)>,
    /// The newest refused number, and how many went on one after the other.
    other: Option<(u32, u8)>,
}

impl Sequence {
    /// False: the packet is older than one that was taken, or of another sender.
    pub fn takes(&mut self, number: PacketNumber, now: Instant) -> bool {
        let PacketNumber { value, bits } = number;
        let modulus = 1u32 << bits;
        let ahead_of = |head: u32| value.wrapping_sub(head) % modulus;
        let goes_on = match self.last {
            Some((last, at)) if now < at + LOST => ahead_of(last) < modulus / 2,
            _ => true,
        };
        if !goes_on {
            let count = match self.other {
                Some((other, _)) if ahead_of(other) == 0 => return false,
                Some((other, count)) if ahead_of(other) <= STEP_MAX => count + 1,
                _ => 1,
            };
            self.other = Some((value, count));
            if count < RESTART_NEEDED {
                return false;
            }
        }
        self.last = Some((value, now));
        self.other = None;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds after the start, number, and whether it is taken.
    #[track_caller]
    fn check(bits: u8, heard: &[(u64, u32, bool)]) {
        let start = Instant::now();
        let mut sequence = Sequence::default();
        for &(at, value, want) in heard {
            let now = start + Duration::from_secs(at);
            assert_eq!(sequence.takes(PacketNumber { value, bits }, now), want, "{value} after {at} s");
        }
    }

    #[test]
    fn numbers_go_on_and_wrap() {
        check(16, &[(0, 7, true), (1, 7, true), (2, 8, true), (50, 60, true), (51, 65_530, false)]);
        check(16, &[(0, 65_533, true), (3, 2, true), (4, 65_533, false)]);
        check(8, &[(0, 250, true), (9, 4, true), (10, 250, false), (12, 5, true)]);
    }

    #[test]
    fn what_was_recorded_is_refused_however_often_it_is_played() {
        check(8, &[(0, 9, true), (1, 3, false), (2, 3, false), (3, 3, false), (4, 3, false), (5, 10, true)]);
        // One after the other, too, while the sensor itself is heard.
        check(8, &[(0, 9, true), (1, 3, false), (2, 10, true), (3, 4, false), (4, 11, true), (5, 5, false)]);
    }

    #[test]
    fn a_restart_and_a_long_silence_begin_anew() {
        check(16, &[(0, 900, true), (5, 0, false), (7, 1, false), (9, 2, true), (11, 3, true)]);
        check(8, &[(0, 200, true), (59, 100, false), (60, 100, true)]);
        // Numbers that are nobody's.
        check(16, &[(0, 9_000, true), (1, 10, false), (2, 500, false), (3, 90, false), (4, 9_001, true)]);
    }
}
