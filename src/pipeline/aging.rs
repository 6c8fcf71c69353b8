//! Keys with the time they came, the oldest forgotten first, in little memory: a day of 64 sensors is 92,160 of them.

use std::collections::VecDeque;

use hashbrown::HashTable;

use crate::rules::Tick;

/// Hashes as keys: they are spread already. Time never goes back.
#[derive(Debug)]
pub struct Aging<T> {
    /// Oldest first. A slot whose key came again, or was taken out, is not in `places` any more.
    slots: VecDeque<Slot<T>>,
    /// The number of a key's slot, by key: 4 bytes, where a map of keys would hold them a second time.
    places: HashTable<u32>,
    /// The number of the first slot; numbers go round.
    first: u32,
}

#[derive(Debug)]
struct Slot<T> {
    key: i64,
    at: Tick,
    value: T,
}

impl<T> Default for Aging<T> {
    fn default() -> Self {
        Self { slots: VecDeque::new(), places: HashTable::new(), first: 0 }
    }
}

impl<T> Aging<T> {
    /// What `key` was inserted with, at most `within_ms` ago.
    pub fn find(&self, key: i64, now: Tick, within_ms: i64) -> Option<&T> {
        let number = self.places.find(key as u64, |&number| self.holds(number, key))?;
        let slot = self.slots.get(number.wrapping_sub(self.first) as usize)?;
        (now.since(slot.at) <= within_ms).then_some(&slot.value)
    }

    /// Forgets what is older than `within_ms`, and the oldest beyond `entries_max`.
    pub fn insert(&mut self, key: i64, now: Tick, value: T, within_ms: i64, entries_max: usize) {
        while let Some(oldest) = self.slots.front() {
            if self.slots.len() < entries_max && now.since(oldest.at) <= within_ms {
                break;
            }
            self.forget(oldest.key, self.first);
            self.slots.pop_front();
            self.first = self.first.wrapping_add(1);
        }
        self.remove(key);
        let number = self.first.wrapping_add(self.slots.len() as u32);
        self.slots.push_back(Slot { key, at: now, value });
        let Self { slots, places, first } = self;
        places.insert_unique(key as u64, number, |&number| {
            slots.get(number.wrapping_sub(*first) as usize).map_or(0, |slot| slot.key as u64)
        });
    }

    pub fn remove(&mut self, key: i64) {
        let newest = self.first.wrapping_add(self.slots.len() as u32).wrapping_sub(1);
        let number = self.places.find(key as u64, |&number| self.holds(number, key)).copied();
        let Some(number) = number else { return };
        self.forget(key, number);
        if number == newest {
            self.slots.pop_back();
        }
    }

    /// Slots, those of keys that are gone counted.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.slots.len()
    }

    /// Takes `number` out of `places`, if `key` is there by that number.
    fn forget(&mut self, key: i64, number: u32) {
        if let Ok(found) = self.places.find_entry(key as u64, |&own| own == number) {
            found.remove();
        }
    }

    fn holds(&self, number: u32, key: i64) -> bool {
        self.slots.get(number.wrapping_sub(self.first) as usize).is_some_and(|slot| slot.key == key)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const WITHIN_MS: i64 = 50;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(i64),
        Remove(i64),
        Pass(i64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let key = 0..12i64;
        let step = prop_oneof![
            6 => key.clone().prop_map(Step::Insert),
            1 => key.prop_map(Step::Remove),
            3 => (0..30i64).prop_map(Step::Pass),
        ];
        proptest::collection::vec(step, 0..200)
    }

    proptest! {
        /// Beside a map that forgets nothing: whatever is young enough is found with its value, nothing else is.
        #[test]
        fn it_knows_what_a_map_knows(steps in steps(), first in prop_oneof![Just(0u32), Just(u32::MAX - 20)]) {
            let mut aging = Aging { first, ..Aging::default() };
            let mut known: BTreeMap<i64, (i64, u64)> = BTreeMap::new();
            let (mut now, mut value) = (0, 0);
            for step in steps {
                match step {
                    Step::Insert(key) => {
                        value += 1;
                        aging.insert(key, Tick(now), value, WITHIN_MS, 1_000);
                        known.insert(key, (now, value));
                    }
                    Step::Remove(key) => {
                        aging.remove(key);
                        known.remove(&key);
                    }
                    Step::Pass(ms) => now += ms,
                }
                for key in 0..12 {
                    let want = known.get(&key).filter(|(at, _)| now - at <= WITHIN_MS).map(|(_, value)| value);
                    prop_assert_eq!(aging.find(key, Tick(now), WITHIN_MS), want);
                }
                prop_assert!(aging.places.len() <= aging.slots.len());
            }
        }
    }

    #[test]
    fn the_oldest_go_at_the_bound() {
        let mut aging = Aging::default();
        for key in 0..1_000 {
            aging.insert(key, Tick(key), key, i64::MAX, 10);
            assert!(aging.slots.len() <= 10 && aging.places.len() <= 10);
        }
        let found: Vec<i64> =
            (0..1_000).filter_map(|key| aging.find(key, Tick(1_000), i64::MAX).copied()).collect();
        assert_eq!(found, (990..1_000).collect::<Vec<_>>());
    }
}
