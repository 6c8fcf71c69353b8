//! The message in hand: its parts, which of them the network took, and what may be said of it afterwards.

use std::collections::VecDeque;

use uuid::Uuid;

use super::dialogue::command::Body;
use super::outstanding::{Outcome, Outstanding};
use super::pdu::{Number, Part, StatusReport, Submit};
use super::plan::{PARTS_MAX, Plan};
use crate::config::ModemMode;
use crate::domain::MonoMs;
use crate::notify::{Channel, Failure, Receipt, Report};

/// Messages that stopped half way: one for each contact of a large kitchen.
const HALVES_MAX: usize = 32;
/// Reports that came before their message was wholly sent.
const EARLY_MAX: usize = 2 * PARTS_MAX;

/// A message as it is ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub id: Uuid,
    pub to: Number,
    pub text: String,
}

pub struct Desk {
    mode: ModemMode,
    wants_reports: bool,
    /// Of the next long message; phones join parts by it and the sender.
    next_joint: u8,
    current: Option<Carried>,
    /// Sent in part, or wholly without anybody hearing of it: what the network has is not sent again.
    halves: VecDeque<Carried>,
    outstanding: Outstanding,
}

struct Carried {
    id: Uuid,
    to: Number,
    plan: Plan,
    joint: u8,
    /// Of the parts the network took.
    references: Vec<Option<u8>>,
    early: Vec<StatusReport>,
}

impl Desk {
    /// `joint`: the first reference of joined parts; a random one, so that a restarted hub does not repeat those a phone
    /// may still be joining.
    pub fn new(mode: ModemMode, wants_reports: bool, joint: u8) -> Self {
        Self {
            mode,
            wants_reports,
            next_joint: joint,
            current: None,
            halves: VecDeque::new(),
            outstanding: Outstanding::default(),
        }
    }

    /// Takes a message in hand; gives the parts that the network does not have, perhaps none.
    pub fn take(&mut self, order: Order) -> Vec<Body> {
        let Order { id, to, text } = order;
        let plan = match self.mode {
            ModemMode::Pdu => Plan::joined(&text),
            ModemMode::Text => Plan::numbered(&text),
        };
        let known = self.halves.iter().position(|half| half.id == id && half.to == to && half.plan == plan);
        let carried = known.and_then(|at| self.halves.remove(at)).unwrap_or_else(|| {
            let joint = self.next_joint;
            if plan.parts.len() > 1 {
                self.next_joint = joint.wrapping_add(1);
            }
            Carried { id, to, plan, joint, references: Vec::new(), early: Vec::new() }
        });
        let bodies = (carried.references.len()..carried.plan.parts.len())
            .map(|index| carried.body(index, self.mode, self.wants_reports))
            .collect();
        self.current = Some(carried);
        bodies
    }

    pub fn accepted(&mut self, reference: Option<u8>) {
        if let Some(carried) = &mut self.current {
            carried.references.push(reference);
        }
    }

    /// The message in hand was refused or stopped half way.
    pub fn stopped(&mut self) {
        if let Some(carried) = self.current.take()
            && !carried.references.is_empty()
        {
            self.keep(carried);
        }
    }

    /// What is said of the message in hand once all its parts are taken; an error: some are missing.
    pub fn receipt(&self, signal_dbm: Option<i16>) -> Result<Receipt, Failure> {
        let carried = self.current.as_ref().filter(|one| one.references.len() == one.plan.parts.len());
        let carried = carried.ok_or_else(|| Failure::Later("it was given up half way".to_owned()))?;
        let references: Vec<String> = carried.known().iter().map(u8::to_string).collect();
        let signal = signal_dbm.map_or("signal unknown".to_owned(), |dbm| format!("signal {dbm} dBm"));
        let named = match references.as_slice() {
            [] => String::new(),
            [one] => format!(", reference {one}"),
            more => format!(", {} parts, references {}", carried.plan.parts.len(), more.join(", ")),
        };
        let cut = if carried.plan.is_cut {
            format!("; the text was cut: it is longer than {PARTS_MAX} messages")
        } else {
            String::new()
        };
        let detail = format!("{signal}{named}{cut}");
        let external_id = (!references.is_empty()).then(|| references.join(","));
        Ok(Receipt { external_id, is_delivered: false, detail })
    }

    /// The receipt was taken. Gives what reports that came early already say.
    pub fn handed_over(&mut self, now: MonoMs) -> Vec<Report> {
        let Some(carried) = self.current.take() else { return Vec::new() };
        let references = carried.known();
        // Without all of them nobody can say that all parts arrived.
        if !self.wants_reports || references.len() < carried.plan.parts.len() {
            return Vec::new();
        }
        let names: Vec<String> = references.iter().map(u8::to_string).collect();
        self.outstanding.add(carried.to, names.join(","), &references, now);
        carried.early.iter().filter_map(|report| self.outstanding.take(report, now)).map(told).collect()
    }

    /// The receipt found nobody: kept for when the message is ordered again.
    pub fn not_handed_over(&mut self) {
        if let Some(carried) = self.current.take() {
            self.keep(carried);
        }
    }

    /// The service centre's word about a message.
    pub fn report(&mut self, report: StatusReport, now: MonoMs) -> Option<Report> {
        if let Some(carried) = &mut self.current
            && report.is_about(&carried.to)
            && (carried.known().contains(&report.reference) || !self.outstanding.knows(&report))
        {
            if carried.early.len() < EARLY_MAX {
                carried.early.push(report);
            }
            return None;
        }
        let half = self.halves.iter_mut().find(|half| {
            report.is_about(&half.to)
                && half.known().contains(&report.reference)
                && half.early.len() < EARLY_MAX
        });
        if let Some(half) = half {
            half.early.push(report);
            return None;
        }
        self.outstanding.take(&report, now).map(told)
    }

    fn keep(&mut self, carried: Carried) {
        if self.halves.len() >= HALVES_MAX {
            self.halves.pop_front();
        }
        self.halves.push_back(carried);
    }
}

impl Carried {
    fn known(&self) -> Vec<u8> {
        self.references.iter().copied().flatten().collect()
    }

    fn body(&self, index: usize, mode: ModemMode, wants_report: bool) -> Body {
        let text = &self.plan.parts[index];
        let coding = self.plan.coding;
        match mode {
            ModemMode::Text => Body::Text { to: self.to.clone(), coding, text: text.clone() },
            ModemMode::Pdu => {
                let total = self.plan.parts.len() as u8;
                let part = Part { reference: self.joint, total, number: index as u8 + 1 };
                let part = (total > 1).then_some(part);
                Body::Pdu(Submit { to: &self.to, coding, text, part, wants_report }.encode())
            }
        }
    }
}

fn told(outcome: Outcome) -> Report {
    Report {
        channel: Channel::Sms,
        external_id: outcome.external_id,
        problem: outcome.problem.map(str::to_owned),
    }
}
