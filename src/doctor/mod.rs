//! `doctor`: what keeps a hub from doing its work, and what to do about it. Facts are gathered by thin steps, each within
//! a time of its own (`gather`), so that it always ends; what they mean is decided by pure functions (`judge`). It changes
//! nothing, and works whether the hub runs or not.

pub mod facts;
pub mod gather;
pub mod judge;

use serde::Serialize;

/// How a check ended, in rising order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Ok,
    /// The hub works, and may not for long, or not as it is meant.
    Warning,
    Failure,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Failure => "failure",
        }
    }
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// "disk space", "serial radio".
    pub check: String,
    pub verdict: Verdict,
    pub found: String,
    /// What to do; None where there is nothing to do.
    pub todo: Option<String>,
}

impl Line {
    pub fn ok(check: &str, found: impl Into<String>) -> Self {
        Self { check: check.to_owned(), verdict: Verdict::Ok, found: found.into(), todo: None }
    }

    pub fn warning(check: &str, found: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, todo: Some(todo.into()), ..Self::ok(check, found) }
    }

    pub fn failure(check: &str, found: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { verdict: Verdict::Failure, todo: Some(todo.into()), ..Self::ok(check, found) }
    }
}

/// The worst of the lines.
pub fn worst(lines: &[Line]) -> Verdict {
    lines.iter().map(|line| line.verdict).max().unwrap_or(Verdict::Ok)
}
