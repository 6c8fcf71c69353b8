//! What the uplink is doing, for `status`.

use std::sync::{Arc, Mutex, PoisonError};

use frostguard_sync::wire::Lane;
use serde::Serialize;

use crate::domain::MonoMs;

/// Shared with whoever shows it; cloned cheaply.
#[derive(Clone, Default)]
pub struct Shown(Arc<Mutex<Status>>);

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Status {
    pub is_enrolled: bool,
    pub state: LaneShown,
    pub readings: LaneShown,
    /// When the receiver last answered with a success.
    pub last_contact: Option<MonoMs>,
    /// Of the last failed request or poll; None after a success.
    pub problem: Option<String>,
    /// Measured over uploads.
    pub bytes_per_s: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LaneShown {
    pub batches: u64,
    pub rows: u64,
    pub body_bytes: u64,
    /// Tries failed since the last success.
    pub failures: u32,
}

impl Shown {
    pub fn status(&self) -> Status {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// For `status`: with the seconds since the last contact, which mean something to whoever has another clock.
    pub fn json(&self, now: MonoMs) -> serde_json::Value {
        let status = self.status();
        let age_s = status.last_contact.map(|last| (now.0 - last.0).max(0) / 1_000);
        // Plain data always is JSON.
        let mut value = serde_json::to_value(status).unwrap_or_default();
        value["last_contact_age_s"] = age_s.into();
        value
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn failed(&self, lane: Option<Lane>, problem: &str) {
        self.set(|status| {
            status.problem = Some(problem.to_owned());
            if let Some(lane) = lane {
                status.lane(lane).failures += 1;
            }
        });
    }
}

impl Status {
    pub(super) fn lane(&mut self, lane: Lane) -> &mut LaneShown {
        match lane {
            Lane::State => &mut self.state,
            Lane::Readings => &mut self.readings,
        }
    }
}
