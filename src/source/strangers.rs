//! Gateways that are not listed: each is told of now and then, however often it speaks.

use std::collections::BTreeMap;

use crate::domain::MonoMs;
use crate::lorawan::ids::Eui;

/// One is told of this often.
const EVERY_MS: i64 = 60_000;
/// Remembered at once; more are only counted.
const STRANGERS_MAX: usize = 64;

/// When each was told of last.
#[derive(Default)]
pub(super) struct Strangers(BTreeMap<Eui, MonoMs>);

impl Strangers {
    /// True where this one is to be told of at `at`; it is then taken for told.
    pub fn is_news(&mut self, gateway: Eui, at: MonoMs) -> bool {
        self.0.retain(|_, told| at.0 - told.0 < EVERY_MS);
        if self.0.contains_key(&gateway) || self.0.len() >= STRANGERS_MAX {
            return false;
        }
        self.0.insert(gateway, at);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_of_once_a_minute_and_no_crowd_is_kept() {
        let eui = |number: u8| Eui([0, 0, 0, 0, 0, 0, 0, number]);
        let mut strangers = Strangers::default();
        for (gateway, at, want) in
            [(1, 0, true), (1, 59_999, false), (2, 30_000, true), (1, 60_000, true), (2, 89_999, false)]
        {
            assert_eq!(strangers.is_news(eui(gateway), MonoMs(at)), want, "{gateway} at {at}");
        }
        let told = (0..100).filter(|number| strangers.is_news(eui(*number), MonoMs(1_000_000))).count();
        assert_eq!(told, STRANGERS_MAX);
    }
}
