//! Which scripts are set aside. A script that loops or crashes holds up every sensor each time it is tried, so one that
//! keeps doing so is not run for a while; its frames are kept. Pure.

use std::collections::BTreeMap;

use super::ScriptError;
use crate::domain::MonoMs;

/// Calls in a row that held the hub up, after which a script is set aside: two may be a busy machine's fault.
pub const FAILURES_MAX: u32 = 3;
/// Good calls that make up for one that held the hub up: a script that loops for every other payload is set aside too.
pub const GOOD_FOR_ONE: u32 = 2;
/// What is held against a script that is set aside.
const BLAME_MAX: u32 = FAILURES_MAX * GOOD_FOR_ONE;
/// The first pause. Most sensors send seldom, so it costs each of them a frame at most.
pub const PAUSE_MS_MIN: i64 = 60_000;
/// Every pause is twice the one before, up to this: the hub may have been to blame, and nobody would tell it.
pub const PAUSE_MS_MAX: i64 = 3_600_000;
/// Good calls in a row after which the former pauses are forgotten. With fewer, one that loops for most payloads would
/// begin with the shortest pause again and again.
pub const FORGIVEN_AFTER: u32 = 10;
/// An error that took this long holds sensors up like a time-out: some steps are too slow for the interrupt. A good answer
/// may take as long, on a busy machine.
pub const SLOW_MS: i64 = 1_000;

/// True of an error that held the hub up for long, or may do so the next time.
pub fn holds_up(error: &ScriptError, took_ms: i64) -> bool {
    matches!(error, ScriptError::Deadline { .. } | ScriptError::Crashed) || took_ms >= SLOW_MS
}

/// What is remembered of scripts that held the hub up, by model: no more than there are scripts.
#[derive(Debug, Default)]
pub struct Breaker {
    scripts: BTreeMap<String, Record>,
}

#[derive(Debug, Default)]
struct Record {
    /// `GOOD_FOR_ONE` for each call that held the hub up, less the good ones since. It stands over a pause, so that its end
    /// allows one try and not `FAILURES_MAX`.
    blame: u32,
    /// Good calls in a row.
    good: u32,
    /// The last pause; 0: none yet.
    pause_ms: i64,
    until: Option<MonoMs>,
}

/// What a call changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    SetAside {
        pause_ms: i64,
    },
    /// After a pause it is run again.
    Back,
}

impl Breaker {
    /// How long a script is still set aside.
    pub fn pause_left_ms(&self, model: &str, now: MonoMs) -> Option<i64> {
        let until = self.scripts.get(model)?.until?;
        Some(until.0 - now.0).filter(|left| *left > 0)
    }

    /// A call ended that held the hub up.
    pub fn failed(&mut self, model: &str, now: MonoMs) -> Option<Change> {
        let record = self.scripts.entry(model.to_owned()).or_default();
        record.good = 0;
        record.blame = (record.blame + GOOD_FOR_ONE).min(BLAME_MAX);
        if record.blame < BLAME_MAX {
            return None;
        }
        record.pause_ms = (record.pause_ms * 2).clamp(PAUSE_MS_MIN, PAUSE_MS_MAX);
        record.until = Some(MonoMs(now.0 + record.pause_ms));
        Some(Change::SetAside { pause_ms: record.pause_ms })
    }

    /// A call ended in time, whatever it gave.
    pub fn ended_in_time(&mut self, model: &str) -> Option<Change> {
        let record = self.scripts.get_mut(model)?;
        record.good += 1;
        let was_aside = record.until.take().is_some();
        record.blame = if was_aside { 0 } else { record.blame.saturating_sub(1) };
        if record.pause_ms == 0 && record.blame == 0 || record.good >= FORGIVEN_AFTER {
            self.scripts.remove(model);
        }
        was_aside.then_some(Change::Back)
    }
}
