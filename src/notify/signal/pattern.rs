use crate::config::SignalRole;
use crate::domain::Severity;
use crate::notify::Board;

/// A part of a pattern; patterns repeat from their first step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub is_on: bool,
    /// None: for good.
    pub ms: Option<u64>,
}

pub type Pattern = &'static [Step];

const fn step(is_on: bool, ms: u64) -> Step {
    Step { is_on, ms: Some(ms) }
}

pub const OFF: Pattern = &[Step { is_on: false, ms: None }];
const STEADY: Pattern = &[Step { is_on: true, ms: None }];
/// The even, urgent beat of an alarm. One flash a second: WCAG 2.3.1 allows three for the sake of people with epilepsy, and
/// a relay that drives the load lives longer.
const BEAT: Pattern = &[step(true, 500), step(false, 500)];
/// Two short beeps every 10 s: heard over a kitchen, ignored by nobody for long, yet never taken for the alarm.
const TWO_BEEPS: Pattern = &[step(true, 150), step(false, 150), step(true, 150), step(false, 9_550)];
/// How long a test is on, ms: enough to look up.
pub const TEST_MS: u64 = 1_000;

/// What is played for a state of the kitchen.
///
/// | role | nothing, or only info | warning | critical, or the store fails |
/// |---|---|---|---|
/// | buzzer | off | two beeps every 10 s | half a second on, half off |
/// | lamp | off | steady | half a second on, half off |
/// | relay | open | open | closed |
///
/// Info calls nobody and stays for days (a calibration that falls due): a lamp that were on for it would be overlooked
/// when it matters.
pub fn of(role: SignalRole, board: &Board) -> Pattern {
    let severity = match role {
        SignalRole::Buzzer => board.sound,
        SignalRole::Relay => board.calling,
        SignalRole::Lamp => board.light,
    };
    let severity = if board.is_storage_failed { Some(Severity::Critical) } else { severity };
    match (role, severity) {
        (_, None | Some(Severity::Info)) | (SignalRole::Relay, Some(Severity::Warning)) => OFF,
        (SignalRole::Buzzer, Some(Severity::Warning)) => TWO_BEEPS,
        (SignalRole::Buzzer | SignalRole::Lamp, Some(Severity::Critical)) => BEAT,
        (SignalRole::Lamp, Some(Severity::Warning)) | (SignalRole::Relay, Some(Severity::Critical)) => STEADY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Severity::{Critical, Info, Warning};
    use SignalRole::{Buzzer, Lamp, Relay};

    #[track_caller]
    fn check(sound: Option<Severity>, light: Option<Severity>, is_storage_failed: bool, want: [Pattern; 3]) {
        let board = Board { calling: sound, sound, light, is_storage_failed, ..Board::default() };
        assert_eq!([Buzzer, Lamp, Relay].map(|role| of(role, &board)), want);
    }

    #[test]
    fn each_state_of_the_kitchen_has_its_pattern() {
        check(None, None, false, [OFF, OFF, OFF]);
        check(Some(Info), Some(Info), false, [OFF, OFF, OFF]);
        check(Some(Warning), Some(Warning), false, [TWO_BEEPS, STEADY, OFF]);
        check(Some(Critical), Some(Critical), false, [BEAT, BEAT, STEADY]);
        // Acknowledged: silent, but still to be seen.
        check(None, Some(Critical), false, [OFF, BEAT, OFF]);
        check(Some(Warning), Some(Critical), false, [TWO_BEEPS, BEAT, OFF]);
        // Silenced at the button: an alarm centre hears of it all the same.
        let board = Board { calling: Some(Critical), light: Some(Critical), ..Board::default() };
        assert_eq!([Buzzer, Lamp, Relay].map(|role| of(role, &board)), [OFF, BEAT, STEADY]);
        // A store that fails outdoes everything.
        check(None, None, true, [BEAT, BEAT, STEADY]);
        check(Some(Warning), Some(Info), true, [BEAT, BEAT, STEADY]);
    }

    #[test]
    fn patterns_end_off_or_never() {
        for pattern in [OFF, STEADY, BEAT, TWO_BEEPS] {
            let last = pattern.last().expect("a pattern has a step");
            assert!(last.ms.is_none() || !last.is_on);
            assert!(pattern.len() == 1 || pattern.iter().all(|step| step.ms.is_some()));
        }
        assert_eq!(TWO_BEEPS.iter().filter_map(|step| step.ms).sum::<u64>(), 10_000);
    }
}
