//! Whether an adapter that was told to listen still does. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// BlueZ itself pauses for some seconds between two rounds of its discovery; beyond this it has been stopped.
pub const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A kitchen is never without a telephone or a sensor in reach: an adapter that hears nothing for so long is stuck, and
/// discovery is begun anew.
pub const SILENCE_MAX: Duration = Duration::from_mins(10);

/// Why it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deaf {
    Stopped,
    Silent,
}

#[derive(Clone, Copy, Debug)]
pub struct Watch {
    heard: Instant,
    paused: Option<Instant>,
}

impl Watch {
    /// Discovery was begun.
    pub fn new(now: Instant) -> Self {
        Self { heard: now, paused: None }
    }

    /// Any advertisement at all.
    pub fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// What BlueZ says of its discovery.
    pub fn discovering(&mut self, discovering: bool, now: Instant) {
        self.paused = (!discovering).then(|| self.paused.unwrap_or(now));
    }

    /// When to look next.
    pub fn due(&self) -> Instant {
        let silent = self.heard + SILENCE_MAX;
        self.paused.map_or(silent, |paused| silent.min(paused + PAUSE_MAX))
    }

    pub fn look(&self, now: Instant) -> Option<Deaf> {
        if self.paused.is_some_and(|paused| now >= paused + PAUSE_MAX) {
            Some(Deaf::Stopped)
        } else if now >= self.heard + SILENCE_MAX {
            Some(Deaf::Silent)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    enum Said {
        Heard,
        Discovering(bool),
    }

    #[test]
    fn a_pause_is_no_stop_and_quiet_minutes_are_no_silence() {
        use Said::{Discovering, Heard};
        let start = Instant::now();
        for (said, due, want) in [
            (&[][..], 600, Deaf::Silent),
            (&[(5, Heard)], 605, Deaf::Silent),
            (&[(5, Heard), (10, Discovering(false)), (15, Discovering(true))], 605, Deaf::Silent),
            (&[(10, Discovering(false))], 40, Deaf::Stopped),
            // Said twice: the first counts.
            (&[(10, Discovering(false)), (20, Discovering(false))], 40, Deaf::Stopped),
            (&[(10, Discovering(true)), (590, Discovering(false))], 600, Deaf::Silent),
        ] {
            let after = |seconds: u64| start + Duration::from_secs(seconds);
            let mut watch = Watch::new(start);
            for (at, said) in said {
                match said {
                    Heard => watch.heard(after(*at)),
                    Discovering(discovering) => watch.discovering(*discovering, after(*at)),
                }
            }
            assert_eq!(watch.due(), after(due));
            assert_eq!(watch.look(after(due)), Some(want));
            assert_eq!(watch.look(after(due - 1)), None);
        }
    }
}
