//! Counters of what was heard, dropped and refused: nothing is dropped without one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Distinct names kept; a name is code plus a configured port, so this is never near.
const NAMES_MAX: usize = 4_096;

/// Shared by every task; cloned cheaply.
#[derive(Clone, Default)]
pub struct Counters(Arc<Mutex<BTreeMap<String, u64>>>);

impl Counters {
    /// Adds to the counter `name` ("serial.line_too_long"), split by `label` (a port's name; "" for none).
    pub fn add(&self, name: &str, label: &str, by: u64) {
        let key = if label.is_empty() { name.to_owned() } else { format!("{name}{{{label}}}") };
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() < NAMES_MAX || map.contains_key(&key) {
            *map.entry(key).or_default() += by;
        }
    }

    pub fn snapshot(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
