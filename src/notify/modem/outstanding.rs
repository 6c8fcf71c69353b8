//! Messages whose status reports are awaited.
//!
//! A report names a message by one octet and the recipient. The octet comes round again after 256 messages (3GPP TS 23.040,
//! 9.2.3.6), so a report counts for the newest message it can mean, and for none where it might mean two.

use std::collections::VecDeque;

use super::pdu::{Number, Status, StatusReport, VALIDITY_MS};
use crate::domain::MonoMs;

/// As many as there are references.
const MESSAGES_MAX: usize = 256;
/// The service centre reports the end of a message's validity, too; an hour for the report's own way.
const AWAITED_MS: i64 = VALIDITY_MS + 3_600_000;

#[derive(Default)]
pub struct Outstanding(VecDeque<Awaited>);

struct Awaited {
    to: Number,
    external_id: String,
    /// References of parts that are not reported.
    open: Vec<u8>,
    sent: MonoMs,
    /// A report might mean an older message as well.
    is_ambiguous: bool,
}

/// What a report means for a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub external_id: String,
    /// None: all parts arrived.
    pub problem: Option<&'static str>,
}

impl Outstanding {
    /// A message that was sent in parts with these references.
    pub fn add(&mut self, to: Number, external_id: String, references: &[u8], now: MonoMs) {
        self.0.retain(|awaited| now.0 - awaited.sent.0 <= AWAITED_MS);
        let before = self.0.len();
        self.0.retain(|awaited| awaited.to != to || !awaited.open.iter().any(|one| references.contains(one)));
        let is_ambiguous = self.0.len() < before;
        if self.0.len() >= MESSAGES_MAX {
            self.0.pop_front();
        }
        self.0.push_back(Awaited { to, external_id, open: references.to_vec(), sent: now, is_ambiguous });
    }

    /// Whether the report can be about one of them.
    pub fn knows(&self, report: &StatusReport) -> bool {
        self.find(report).is_some()
    }

    /// None: nothing that is known for certain follows from it.
    pub fn take(&mut self, report: &StatusReport, now: MonoMs) -> Option<Outcome> {
        self.0.retain(|awaited| now.0 - awaited.sent.0 <= AWAITED_MS);
        let at = self.find(report)?;
        let awaited = &mut self.0[at];
        let problem = match report.status {
            Status::Trying => return None,
            Status::Unconfirmed => {
                self.0.remove(at);
                return None;
            }
            Status::Delivered => {
                let part = awaited.open.iter().position(|reference| *reference == report.reference);
                awaited.open.swap_remove(part.expect("found by it"));
                if !awaited.open.is_empty() {
                    return None;
                }
                None
            }
            Status::Failed(problem) => Some(problem),
        };
        let awaited = self.0.remove(at).expect("found above");
        (!awaited.is_ambiguous).then_some(Outcome { external_id: awaited.external_id, problem })
    }

    fn find(&self, report: &StatusReport) -> Option<usize> {
        self.0
            .iter()
            .rposition(|awaited| awaited.open.contains(&report.reference) && report.is_about(&awaited.to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn report(reference: u8, recipient: &str, status: u8) -> StatusReport {
        StatusReport {
            reference,
            recipient: recipient.to_owned(),
            is_international: true,
            status: Status::of(status),
        }
    }

    /// Messages as (recipient, references, hour), reports as (reference, recipient, TP-ST, hour); `want`: what became known.
    #[track_caller]
    fn check(messages: &[(&str, &[u8], i64)], reports: &[(u8, &str, u8, i64)], want: &[(usize, bool)]) {
        let mut outstanding = Outstanding::default();
        for (number, (to, references, hour)) in messages.iter().enumerate() {
            let to = Number::parse(&format!("+{to}")).unwrap();
            outstanding.add(to, number.to_string(), references, MonoMs(hour * HOUR));
        }
        let outcomes = reports.iter().filter_map(|(reference, recipient, status, hour)| {
            outstanding.take(&report(*reference, recipient, *status), MonoMs(hour * HOUR))
        });
        let got: Vec<_> =
            outcomes.map(|one| (one.external_id.parse::<usize>().unwrap(), one.problem.is_none())).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn a_message_has_arrived_when_all_its_parts_have() {
        const A: &str = "4915112345678";
        const B: &str = "4915187654321";
        check(&[(A, &[17], 0)], &[(17, A, 0, 1)], &[(0, true)]);
        check(&[(A, &[17, 18, 19], 0)], &[(18, A, 0, 1), (17, A, 0, 1)], &[]);
        check(&[(A, &[17, 18], 0)], &[(18, A, 0, 1), (18, A, 0, 1), (17, A, 0, 1)], &[(0, true)]);
        check(&[(A, &[17, 18], 0)], &[(18, A, 0, 1), (17, A, 0x43, 1), (17, A, 0, 1)], &[(0, false)]);
        // Not yet, then after all.
        check(&[(A, &[17], 0)], &[(17, A, 0x30, 1), (17, A, 0, 2)], &[(0, true)]);
        check(&[(A, &[17], 0)], &[(17, A, 0x01, 1), (17, A, 0, 2)], &[]);
        check(&[(A, &[17], 0)], &[(17, B, 0, 1), (16, A, 0, 1)], &[]);
        // Modems that number nothing.
        check(&[(A, &[0, 0], 0)], &[(0, A, 0, 1), (0, A, 0, 1)], &[(0, true)]);
    }

    #[test]
    fn a_reference_that_comes_round_confirms_nothing_wrongly() {
        const A: &str = "4915112345678";
        const B: &str = "4915187654321";
        // To another recipient it is another message.
        check(&[(A, &[17], 0), (B, &[17], 1)], &[(17, A, 0, 2), (17, B, 0, 2)], &[(0, true), (1, true)]);
        // The older one was reported: the newer can be meant alone. Else nobody knows which one is.
        check(&[(A, &[17], 0), (A, &[17], 5)], &[(17, A, 0, 6)], &[]);
        check(&[(A, &[17], 0), (A, &[17], 26)], &[(17, A, 0, 27)], &[(1, true)]);
        check(&[(A, &[17], 0)], &[(17, A, 0, 26)], &[]);
    }

    #[test]
    fn it_is_bounded() {
        let mut outstanding = Outstanding::default();
        for n in 0..2_000_u32 {
            let to = Number::parse(&format!("+4915{n:08}")).unwrap();
            outstanding.add(to, n.to_string(), &[n as u8], MonoMs(0));
        }
        assert_eq!(outstanding.0.len(), MESSAGES_MAX);
        assert!(outstanding.knows(&report(1_999_u32 as u8, "491500001999", 0)));
    }
}
