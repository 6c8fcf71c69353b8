//! The link's measured bandwidth, and how large a body may be for it. Pure.

use std::time::Duration;

use frostguard_sync::wire::BODY_BYTES_MAX;

/// A body takes at most this long, so that an alert that comes meanwhile does not wait long for the link.
const BODY_S: u64 = 5;
/// Before anything was measured: 5 s of 100 kbit/s.
const BODY_BYTES_FIRST: usize = 64 << 10;
/// Smaller bodies would be mostly request; a link that is too slow for this takes longer than 5 s.
pub(super) const BODY_BYTES_MIN: usize = 8 << 10;
/// Smaller bodies measure the way there and back, not the bandwidth.
const MEASURED_BYTES_MIN: usize = 16 << 10;

#[derive(Debug, Default)]
pub(super) struct Meter {
    bytes_per_s: Option<u64>,
    /// Something on the way refuses larger bodies (413).
    ceiling: Option<usize>,
}

impl Meter {
    /// A body of `bytes` was taken in `elapsed`, the receiver's work included: the link is at least as fast.
    pub fn saw(&mut self, bytes: usize, elapsed: Duration) {
        if bytes < MEASURED_BYTES_MIN {
            return;
        }
        let ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
        let now = bytes as u64 * 1_000 / ms;
        // A quarter of the news at a time: one slow answer is not a slow link.
        self.bytes_per_s = Some(self.bytes_per_s.map_or(now, |before| (before * 3 + now) / 4));
    }

    /// A body of `bytes` did not get through in time: it was too much for the link.
    pub fn lost(&mut self, bytes: usize) {
        if bytes > BODY_BYTES_MIN {
            self.bytes_per_s = Some(bytes as u64 / 2 / BODY_S);
        }
    }

    /// A body of `bytes` was refused for its size.
    pub fn too_large(&mut self, bytes: usize) {
        self.ceiling = Some((bytes / 2).max(1));
    }

    pub fn bytes_per_s(&self) -> Option<u64> {
        self.bytes_per_s
    }

    /// The most that the next body may have.
    pub fn bytes_max(&self) -> usize {
        let by_link = self.bytes_per_s.map_or(BODY_BYTES_FIRST, |speed| (speed * BODY_S) as usize);
        by_link.clamp(BODY_BYTES_MIN, BODY_BYTES_MAX).min(self.ceiling.unwrap_or(BODY_BYTES_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_follow_the_link() {
        let mut meter = Meter::default();
        assert_eq!(meter.bytes_max(), BODY_BYTES_FIRST);
        meter.saw(200, Duration::from_secs(9));
        assert_eq!(meter.bytes_max(), BODY_BYTES_FIRST, "too small to measure by");
        meter.saw(64 << 10, Duration::from_secs(2));
        assert_eq!((meter.bytes_per_s(), meter.bytes_max()), (Some(32 << 10), 160 << 10));
        meter.saw(64 << 10, Duration::ZERO);
        assert_eq!(meter.bytes_max(), BODY_BYTES_MAX);
        meter.lost(64 << 10);
        assert_eq!(meter.bytes_max(), 32_765);
        for _ in 0..9 {
            meter.lost(meter.bytes_max());
        }
        assert_eq!(meter.bytes_max(), BODY_BYTES_MIN);
        meter.too_large(8 << 10);
        meter.too_large(1_000);
        assert_eq!(meter.bytes_max(), 500);
        meter.too_large(1);
        assert_eq!(meter.bytes_max(), 1, "a single row goes whatever its size");
    }
}
