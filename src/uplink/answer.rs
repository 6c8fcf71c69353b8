//! What an answer to an upload means for the lane. Pure.

use frostguard_sync::api::{Problem, ProblemKind, UploadAnswer};

use crate::domain::UnixMs;

/// Why a request has no success.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No connection, no answer, or one that broke off: whether the receiver took the request is not known.
    #[error("reach the receiver: {0}")]
    Unreachable(String),
    /// Connected, and too slow.
    #[error("the link is too slow: {0}")]
    Slow(String),
    #[error("the receiver answered {status}{}", said(problem.as_deref()))]
    Refused { status: u16, problem: Option<Box<Problem>>, retry_after_ms: Option<u64> },
    #[error("{0}")]
    Bad(String),
}

fn said(problem: Option<&Problem>) -> String {
    problem.map(|problem| format!(": {}", problem.detail)).unwrap_or_default()
}

/// What to do next.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// The receiver has the batch.
    Done(Box<UploadAnswer>),
    /// It has others, or the epoch is another hub's: begin a new epoch and send what was cut under it.
    Rewind(&'static str),
    /// A reading lies in the future: the clock was wrong. `now` is the receiver's.
    Future { now: UnixMs },
    /// Something on the way takes only smaller bodies.
    TooLarge,
    /// Lane 0 must be applied first.
    StateFirst,
    /// The same bytes again, later.
    Later { retry_after_ms: Option<u64>, is_unreachable: bool },
    /// The link is too slow for the body: again, and smaller ones from then on.
    Slow,
    /// A person must act (a revoked token, a receiver that is too old): again, rarely.
    Blocked,
}

/// Of the answer to batch `seq`.
pub fn judge(seq: u64, answer: &Result<UploadAnswer, Failure>) -> Verdict {
    let failure = match answer {
        Ok(answer) if answer.applied_through >= seq => return Verdict::Done(Box::new(answer.clone())),
        // A success that does not cover the batch is no success.
        Ok(_) => return Verdict::Later { retry_after_ms: None, is_unreachable: false },
        Err(failure) => failure,
    };
    let (status, problem, retry_after_ms) = match failure {
        Failure::Refused { status, problem, retry_after_ms } => (status, problem, retry_after_ms),
        Failure::Slow(_) => return Verdict::Slow,
        Failure::Unreachable(_) => return Verdict::Later { retry_after_ms: None, is_unreachable: true },
        Failure::Bad(_) => return Verdict::Later { retry_after_ms: None, is_unreachable: false },
    };
    let later = Verdict::Later { retry_after_ms: *retry_after_ms, is_unreachable: false };
    match (*status, problem.as_ref().map(|problem| problem.kind)) {
        (409, Some(ProblemKind::OutOfOrder)) => Verdict::Rewind("the receiver has other batches"),
        (403, Some(ProblemKind::Clone)) => Verdict::Rewind("the epoch is another hub's"),
        (422, Some(ProblemKind::Future)) => {
            Verdict::Future { now: UnixMs(problem.as_ref().map_or(0, |problem| problem.now_ms)) }
        }
        (425, Some(ProblemKind::TooEarly)) => Verdict::StateFirst,
        (413, _) => Verdict::TooLarge,
        (408, _) => Verdict::Slow,
        (401, _) | (400, Some(ProblemKind::BadRequest)) => Verdict::Blocked,
        _ => later,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use frostguard_sync::api::Down;

    #[track_caller]
    fn check(answer: Result<UploadAnswer, Failure>, want: Verdict) {
        assert_eq!(judge(7, &answer), want);
    }

    fn refused(
        status: u16,
        kind: Option<ProblemKind>,
        retry_after_ms: Option<u64>,
    ) -> Result<UploadAnswer, Failure> {
        let problem = kind.map(|kind| {
            Box::new(Problem {
                kind,
                detail: "d".into(),
                applied_through: None,
                now_ms: 99,
                central_units: vec![],
            })
        });
        Err(Failure::Refused { status, problem, retry_after_ms })
    }

    fn later(retry_after_ms: Option<u64>) -> Verdict {
        Verdict::Later { retry_after_ms, is_unreachable: false }
    }

    #[test]
    fn every_answer_has_its_consequence() {
        use ProblemKind::*;
        let answer =
            |applied_through| UploadAnswer { applied_through, refused: vec![], down: Down::default() };
        check(Ok(answer(7)), Verdict::Done(Box::new(answer(7))));
        check(Ok(answer(6)), later(None));
        check(
            Err(Failure::Unreachable("refused".into())),
            Verdict::Later { retry_after_ms: None, is_unreachable: true },
        );
        check(Err(Failure::Bad("not JSON".into())), later(None));
        check(Err(Failure::Slow("timed out".into())), Verdict::Slow);
        check(refused(408, None, None), Verdict::Slow);
        check(refused(409, Some(OutOfOrder), None), Verdict::Rewind("the receiver has other batches"));
        check(refused(403, Some(Clone), None), Verdict::Rewind("the epoch is another hub's"));
        check(refused(422, Some(Future), None), Verdict::Future { now: UnixMs(99) });
        check(refused(425, Some(TooEarly), None), Verdict::StateFirst);
        check(refused(413, None, None), Verdict::TooLarge);
        check(refused(401, Some(Unauthorized), None), Verdict::Blocked);
        check(refused(400, Some(BadRequest), None), Verdict::Blocked);
        check(refused(503, Some(Busy), Some(9_000)), later(Some(9_000)));
        check(refused(429, Some(Busy), Some(1)), later(Some(1)));
        check(refused(500, Some(Internal), None), later(None));
        // Something in between that is no receiver never makes the hub drop or renumber anything.
        for status in [302, 400, 403, 404, 409, 422, 425, 502] {
            check(refused(status, None, None), later(None));
        }
    }
}
