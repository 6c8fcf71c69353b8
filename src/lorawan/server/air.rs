//! Collects what several gateways, or one gateway on several channels, heard of the same frame.

use std::collections::VecDeque;

use super::{Received, Unusable};
use crate::domain::MonoMs;
use crate::lorawan::gateway::{GatewayFrame, Reception};
use crate::lorawan::phy::Uplink;

/// How long other gateways have; it comes off the time for an answer.
const COLLECT_MS: i64 = 200;
/// The same once every gateway there is has heard a frame and could answer it: what comes then is at most the same frame on
/// another channel, in the same datagram or, since forwarders look every 10 ms, in the next.
const GHOSTS_MS: i64 = 20;
/// How long the same bytes are taken for the same transmission. A device sends a frame again after its second window at the
/// earliest, 2 s later.
const SEEN_MS: i64 = 1_500;
/// A join is never sent twice; by a slow way it must not look like a used DevNonce.
const SEEN_JOIN_MS: i64 = 10_000;
/// Frames collected at once: the eight channels of a gateway hold less than a tenth of it in 200 ms.
const OPEN_MAX: usize = 256;
/// Frames remembered after that, so that a flood forgets rather than grows.
const SEEN_MAX: usize = 2_048;
/// Gateways remembered of one frame.
const HEARD_MAX: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Air {
    /// By first reception.
    open: VecDeque<Open>,
    /// How many gateways there are; 0: not known.
    gateways: usize,
    seen: VecDeque<(MonoMs, Vec<u8>)>,
}

/// Whose a frame says it is, where a gateway vouches for having heard it; its MIC is not checked yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Known,
    Strange,
}

#[derive(Debug)]
struct Open {
    phy: Vec<u8>,
    uplink: Uplink,
    whose: Whose,
    first_at: MonoMs,
    closes_at: MonoMs,
    heard: Vec<Reception>,
}

impl Air {
    pub fn receive(&mut self, uplink: Uplink, whose: Whose, frame: GatewayFrame) -> Received {
        let GatewayFrame { phy, reception } = frame;
        let at = reception.at;
        if let Some(open) = self.open.iter_mut().find(|open| open.phy == phy) {
            if whose == Whose::Known {
                open.whose = whose;
            }
            let received = open.add(reception);
            open.close_early(self.gateways);
            return received;
        }
        while self.seen.front().is_some_and(|(until, _)| *until <= at) || self.seen.len() > SEEN_MAX {
            self.seen.pop_front();
        }
        if self.seen.iter().any(|(until, seen)| at < *until && *seen == phy) {
            return Received::Late;
        }
        if self.open.len() >= OPEN_MAX {
            // A flood of strangers' frames takes no place of this kitchen's.
            let stranger = self.open.iter().rposition(|open| open.whose == Whose::Strange);
            match stranger.filter(|_| whose == Whose::Known) {
                Some(index) => drop(self.open.remove(index)),
                None => return Received::Refused(Unusable::Overload),
            }
        }
        let seen_ms = if matches!(uplink, Uplink::Join(_)) { SEEN_JOIN_MS } else { SEEN_MS };
        self.seen.push_back((MonoMs(at.0 + seen_ms), phy.clone()));
        let closes_at = MonoMs(at.0 + COLLECT_MS);
        let mut open = Open { phy, uplink, whose, first_at: at, closes_at, heard: vec![reception] };
        open.close_early(self.gateways);
        self.open.push_back(open);
        Received::Collecting
    }

    pub fn expect_gateways(&mut self, gateways: usize) {
        self.gateways = gateways;
    }

    pub fn deadline(&self) -> Option<MonoMs> {
        self.open.iter().map(|open| open.closes_at).min()
    }

    pub fn collected(&mut self, now: MonoMs) -> Vec<(Uplink, Vec<Reception>)> {
        let (closed, open) = self.open.drain(..).partition(|open| open.closes_at <= now);
        self.open = open;
        let closed: VecDeque<Open> = closed;
        closed
            .into_iter()
            .map(|open| {
                let mut heard = open.heard;
                heard.sort_by_key(|reception| std::cmp::Reverse(strength(reception)));
                (open.uplink, heard)
            })
            .collect()
    }
}

impl Open {
    fn close_early(&mut self, gateways: usize) {
        // A copy that cannot be answered by is no reason to wait no longer for one that can.
        let answerable = self.heard.iter().filter(|heard| heard.context.is_some()).count();
        if gateways > 0 && answerable >= gateways.min(HEARD_MAX) {
            let last_at = self.heard.iter().map(|heard| heard.at).max().unwrap_or(self.first_at);
            self.closes_at = self.closes_at.min(MonoMs(last_at.0 + GHOSTS_MS));
        }
    }

    fn add(&mut self, reception: Reception) -> Received {
        if let Some(same) = self.heard.iter_mut().find(|heard| heard.gateway == reception.gateway) {
            // One that the gateway does not vouch for makes room for its own.
            let worth = |copy: &Reception| (copy.context.is_some(), strength(copy));
            if worth(&reception) > worth(same) {
                *same = reception;
            }
            return Received::Ghost;
        }
        if self.heard.len() < HEARD_MAX {
            self.heard.push(reception);
        }
        Received::AlsoHeard
    }
}

/// A frame far below the noise and one far above it are told apart by SNR, two good ones by RSSI.
fn strength(reception: &Reception) -> (i16, i32) {
    (reception.snr_tenths.unwrap_or(i16::MIN), reception.rssi_dbm.unwrap_or(i32::MIN))
}
