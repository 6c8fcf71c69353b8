//! Where each packet forwarder speaks from. Semtech UDP has no passwords: whoever names a listed EUI would get that gateway's
//! orders, so a gateway that is there gets them, and tells of them, at one address only. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::domain::MonoMs;
use crate::lorawan::ids::Eui;

/// A gateway that is silent for this long may have got another address; forwarders say that they are there every 5 to 30 s.
pub(super) const PINNED_MS: i64 = 90_000;
/// Pairs of gateway and foreign address that are told of; more are only counted.
const TOLD_MAX: usize = 64;

/// Whether a datagram is the gateway's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Its,
    /// Another machine's; `is_news` the first time.
    Foreign {
        is_news: bool,
    },
}

/// Addresses of listed gateways: no more than there are of those.
pub(super) struct Addresses {
    configured: BTreeMap<Eui, IpAddr>,
    pinned: BTreeMap<Eui, (IpAddr, MonoMs)>,
    told: BTreeSet<(Eui, IpAddr)>,
}

impl Addresses {
    pub fn new(configured: &BTreeMap<Eui, IpAddr>) -> Self {
        Self { configured: configured.clone(), pinned: BTreeMap::new(), told: BTreeSet::new() }
    }

    /// Judges a datagram of a listed gateway; its own keeps the address.
    pub fn judge(&mut self, gateway: Eui, from: IpAddr, at: MonoMs) -> Verdict {
        let from = from.to_canonical();
        let pinned = self.pinned.get(&gateway).filter(|(_, heard)| at.0 - heard.0 < PINNED_MS);
        let its = self.configured.get(&gateway).map(IpAddr::to_canonical);
        if its.or(pinned.map(|(ip, _)| *ip)).is_some_and(|its| its != from) {
            let is_news = self.told.len() < TOLD_MAX && self.told.insert((gateway, from));
            return Verdict::Foreign { is_news };
        }
        self.pinned.insert(gateway, (from, at));
        Verdict::Its
    }

    /// Forgets those that are not listed any more.
    pub fn retain(&mut self, is_listed: impl Fn(&Eui) -> bool) {
        self.pinned.retain(|gateway, _| is_listed(gateway));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Eui = Eui([1; 8]);
    const B: Eui = Eui([2; 8]);

    #[test]
    fn a_gateway_that_is_there_speaks_from_one_address() {
        use Verdict::{Foreign, Its};
        let mut addresses = Addresses::new(&BTreeMap::from([(B, "10.0.0.7".parse().unwrap())]));
        for (gateway, from, at, want) in [
            (A, "10.0.0.5", 0, Its),
            (A, "10.0.0.6", 1, Foreign { is_news: true }),
            (A, "10.0.0.6", 2, Foreign { is_news: false }),
            // The same address as a socket for both families spells it.
            (A, "::ffff:10.0.0.5", 60_000, Its),
            (A, "10.0.0.6", 60_000 + PINNED_MS - 1, Foreign { is_news: false }),
            // It was silent: it may have another address now, and keeps that.
            (A, "10.0.0.6", 60_000 + PINNED_MS, Its),
            (A, "10.0.0.5", 60_000 + PINNED_MS, Foreign { is_news: true }),
            // One whose address is configured has no other, however silent it is.
            (B, "10.0.0.6", 0, Foreign { is_news: true }),
            (B, "10.0.0.7", 1, Its),
            (B, "10.0.0.6", 10 * PINNED_MS, Foreign { is_news: false }),
        ] {
            assert_eq!(addresses.judge(gateway, from.parse().unwrap(), MonoMs(at)), want, "{from} at {at}");
        }
    }

    #[test]
    fn a_crowd_is_counted_and_not_kept() {
        let mut addresses = Addresses::new(&BTreeMap::new());
        addresses.judge(A, [10, 0, 0, 5].into(), MonoMs(0));
        let news = (0..=255).filter(|last| {
            addresses.judge(A, [10, 0, 1, *last].into(), MonoMs(1)) == Verdict::Foreign { is_news: true }
        });
        assert_eq!(news.count(), TOLD_MAX);
    }
}
