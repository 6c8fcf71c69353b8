//! Two sensors that were given one address (a Reyax address, a node number): their packet counters interleave. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::DeviceNo;

/// A counter goes on when it is at most so far ahead: more packets were hardly lost in a row.
const STEP_MAX: u32 = 16;
/// Changes between two counters that both go on, within `WINDOW` packets: chance does not do that, and neither does a node
/// that restarts.
const SWITCHES_NEEDED: u32 = 4;
const WINDOW: u32 = 16;
/// Packets of one counter after which there is one sender again.
const CALM_NEEDED: u32 = 50;

#[derive(Clone, Debug, Default)]
pub struct Senders(BTreeMap<DeviceNo, Heads>);

/// Impostors that are told of; more are only counted.
const IMPOSTORS_MAX: usize = 64;

/// Who spoke for a device that only its own network speaks for: told once each.
#[derive(Clone, Debug, Default)]
pub struct Impostors(BTreeSet<(String, String)>);

impl Impostors {
    /// True the first time.
    pub fn is_news(&mut self, address: &str, port: &str) -> bool {
        self.0.len() < IMPOSTORS_MAX && self.0.insert((address.to_owned(), port.to_owned()))
    }
}

#[derive(Clone, Debug)]
struct Heads {
    /// The counter heard last.
    current: u32,
    other: Option<u32>,
    switches: u32,
    /// Packets since the last switch.
    calm: u32,
    are_two: bool,
}

impl Senders {
    /// What was known before a restart.
    pub fn with_two(devices: impl Iterator<Item = DeviceNo>) -> Self {
        let heads = |_| Heads { current: 0, other: None, switches: 0, calm: 0, are_two: true };
        Self(devices.map(|device| (device, heads(device))).collect())
    }

    /// Takes a packet's counter. Some: from now on there are two senders (true), or one again (false).
    pub fn hear(&mut self, device: DeviceNo, counter: u32) -> Option<bool> {
        let heads = self.0.entry(device).or_insert(Heads {
            current: counter,
            other: None,
            switches: 0,
            calm: 0,
            are_two: false,
        });
        heads.hear(counter)
    }
}

impl Heads {
    fn hear(&mut self, counter: u32) -> Option<bool> {
        if follows(self.current, counter) {
            self.current = counter;
            self.calm = self.calm.saturating_add(1);
        } else if self.other.is_some_and(|other| follows(other, counter)) {
            self.switches = if self.calm >= WINDOW { 1 } else { self.switches + 1 };
            self.calm = 0;
            self.other = Some(std::mem::replace(&mut self.current, counter));
        } else {
            // A restart, or the first packet of another sender.
            self.calm = self.calm.saturating_add(1);
            self.other = Some(std::mem::replace(&mut self.current, counter));
        }
        let are_two = if self.are_two { self.calm < CALM_NEEDED } else { self.switches >= SWITCHES_NEEDED };
        if !are_two && self.are_two {
            self.switches = 0;
        }
        (are_two != self.are_two).then(|| {
            self.are_two = are_two;
            are_two
        })
    }
}

fn follows(head: u32, counter: u32) -> bool {
    (1..=STEP_MAX).contains(&counter.wrapping_sub(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers (from 1) of the packets at which something was found, and what.
    #[track_caller]
    fn check(counters: impl IntoIterator<Item = u32>, want: &[(usize, bool)]) {
        let mut senders = Senders::default();
        let found: Vec<(usize, bool)> = (1..)
            .zip(counters)
            .filter_map(|(index, counter)| Some((index, senders.hear(DeviceNo(1), counter)?)))
            .collect();
        assert_eq!(found, want);
    }

    #[test]
    fn an_impostor_is_told_of_once_and_a_crowd_is_not_kept() {
        let mut impostors = Impostors::default();
        for (address, port, want) in
            [("A", "mqtt", true), ("A", "mqtt", false), ("A", "radio", true), ("B", "mqtt", true)]
        {
            assert_eq!(impostors.is_news(address, port), want, "{address} {port}");
        }
        let told = (0..1_000).filter(|n| impostors.is_news(&n.to_string(), "mqtt")).count();
        assert_eq!(told, IMPOSTORS_MAX - 3);
    }

    fn interleaved(count: u32) -> impl Iterator<Item = u32> {
        (0..count).flat_map(|n| [412 + n, 17 + n])
    }

    #[test]
    fn interleaved_counters_are_two_senders_until_one_is_silent_for_long() {
        check(interleaved(3), &[(6, true)]);
        check(interleaved(10).chain(422..500), &[(6, true), (71, false)]);
    }

    #[test]
    fn a_restart_a_gap_and_a_wrap_are_one_sender() {
        check(0..1_000, &[]);
        check((400..450).chain(0..100), &[]);
        check((400..410).chain(900..910).chain(0..10).chain(0..20).chain(0..5), &[]);
        check((u32::MAX - 5..=u32::MAX).chain(0..10), &[]);
        check((0..60).map(|n| n * 15), &[]);
    }
}
