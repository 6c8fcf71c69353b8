//! How often one sensor becomes a frame. It advertises several times a second to once in a few; the store and its flash
//! need a value a minute, or soon after it changed. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// What changed waits this long after the last frame: formats with a packet counter change every time. A door is judged by
/// minutes.
pub const CHANGED: Duration = Duration::from_secs(10);
/// What did not change says only that the sensor lives.
pub const SAME: Duration = Duration::from_mins(1);

/// What a sensor's advertisement becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A frame, now.
    Pass,
    /// A frame at that time, unless something newer comes first: an event is advertised for a moment only.
    Hold(Instant),
    /// Nothing; what waited is out of date too.
    Drop,
}

/// Judges data heard at `now`; `passed`: the last frame's time and data.
pub fn judge(passed: Option<(Instant, &[u8])>, data: &[u8], now: Instant) -> Verdict {
    match passed {
        None => Verdict::Pass,
        Some((at, last)) if data == last => {
            if now >= at + SAME {
                Verdict::Pass
            } else {
                Verdict::Drop
            }
        }
        Some((at, _)) if now >= at + CHANGED => Verdict::Pass,
        Some((at, _)) => Verdict::Hold(at + CHANGED),
    }
}

/// Something heard that waits or passes.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard<T> {
    pub data: Vec<u8>,
    /// What else is known of it (when it was heard, how loud).
    pub about: T,
}

/// One sensor's frames: what passed last, and what waits.
#[derive(Debug)]
pub struct Repeats<T> {
    passed: Option<(Instant, Vec<u8>)>,
    held: Option<(Instant, Heard<T>)>,
}

impl<T> Repeats<T> {
    pub fn new() -> Self {
        Self { passed: None, held: None }
    }

    /// Gives it back when it is to become a frame now.
    pub fn take(&mut self, heard: Heard<T>, now: Instant) -> Option<Heard<T>> {
        let passed = self.passed.as_ref().map(|(at, data)| (*at, data.as_slice()));
        self.held = None;
        match judge(passed, &heard.data, now) {
            Verdict::Pass => {
                self.passed = Some((now, heard.data.clone()));
                Some(heard)
            }
            Verdict::Hold(until) => {
                self.held = Some((until, heard));
                None
            }
            Verdict::Drop => None,
        }
    }

    /// When what waits is due.
    pub fn due(&self) -> Option<Instant> {
        self.held.as_ref().map(|(until, _)| *until)
    }

    /// What waits and is due.
    pub fn release(&mut self, now: Instant) -> Option<Heard<T>> {
        self.due().filter(|due| *due <= now).and_then(|_| self.flush(now))
    }

    /// What waits, due or not: nothing more is heard.
    pub fn flush(&mut self, now: Instant) -> Option<Heard<T>> {
        let (_, heard) = self.held.take()?;
        self.passed = Some((now, heard.data.clone()));
        Some(heard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Milliseconds after the start at which data is heard, and the frames that were made until then: their time and data.
    #[track_caller]
    fn check(heard: &[(u64, &str)], until: u64, want: &[(u64, &str)]) {
        let start = Instant::now();
        let since = |at: Instant| at.duration_since(start).as_millis() as u64;
        let mut repeats = Repeats::new();
        let mut frames = Vec::new();
        let mut steps: Vec<(u64, Option<&str>)> = heard.iter().map(|(at, data)| (*at, Some(*data))).collect();
        steps.push((until, None));
        for (at, data) in steps {
            let now = start + Duration::from_millis(at);
            while let Some(due) = repeats.due().filter(|due| *due <= now) {
                let frame: Heard<()> = repeats.release(due).expect("is due");
                frames.push((since(due), String::from_utf8(frame.data).expect("text")));
            }
            let Some(data) = data else { break };
            let heard = Heard { data: data.into(), about: () };
            frames.extend(repeats.take(heard, now).map(|_| (at, data.to_owned())));
        }
        let frames: Vec<(u64, &str)> = frames.iter().map(|(at, data)| (*at, data.as_str())).collect();
        assert_eq!(frames, want, "{heard:?}");
    }

    #[test]
    fn one_frame_in_ten_seconds_the_newest_and_the_same_once_a_minute() {
        check(&[(0, "a")], 100_000, &[(0, "a")]);
        // A steady fridge.
        check(&[(0, "a"), (500, "a"), (59_999, "a"), (60_000, "a")], 100_000, &[(0, "a"), (60_000, "a")]);
        // Each packet counts itself.
        check(
            &[(0, "1"), (4_000, "2"), (8_000, "3"), (12_000, "4"), (20_000, "5"), (20_500, "6")],
            25_000,
            &[(0, "1"), (10_000, "3"), (20_000, "4")],
        );
        // A change after a while passes at once.
        check(&[(0, "a"), (15_000, "b")], 15_000, &[(0, "a"), (15_000, "b")]);
        // An event that is advertised only for a moment is not lost.
        check(&[(0, "closed"), (3_000, "open")], 9_999, &[(0, "closed")]);
        check(&[(0, "closed"), (3_000, "open")], 10_000, &[(0, "closed"), (10_000, "open")]);
        // Back before anybody was told.
        check(&[(0, "closed"), (3_000, "open"), (4_000, "closed")], 50_000, &[(0, "closed")]);
        // And the minute counts from the frame, not from what was dropped.
        check(&[(0, "a"), (30_000, "a"), (61_000, "a")], 61_000, &[(0, "a"), (61_000, "a")]);
    }

    #[test]
    fn what_waits_is_given_when_nothing_more_comes() {
        let now = Instant::now();
        let heard = |data: &str| Heard { data: data.into(), about: () };
        let mut repeats = Repeats::new();
        assert_eq!(repeats.take(heard("a"), now), Some(heard("a")));
        assert_eq!(
            (repeats.take(heard("b"), now), repeats.flush(now), repeats.due()),
            (None, Some(heard("b")), None)
        );
    }
}
