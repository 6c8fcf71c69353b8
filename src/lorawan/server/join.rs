//! Joins: who may, and the new session that waits for its first frame.

use super::pairing::Outcome;
use super::send::Size;
use super::{Event, Lns, Now, Refusal, Refused, Sealed, Step, Withheld};
use crate::lorawan::adr::Link;
use crate::lorawan::gateway::Reception;
use crate::lorawan::ids::{DevAddr, Eui};
use crate::lorawan::phy::{JoinAccept, JoinRequest, session_keys};
use crate::lorawan::region::{Channels, JOIN_RX1_MS, JOIN_RX2_MS};
use crate::lorawan::session::{Activation, Session, SessionChange};

/// The NetID of private networks. Its addresses are 00000000 to 01FFFFFF.
const NET_ID: [u8; 3] = [0, 0, 0];
const ADDRESS_BITS: u32 = 25;
/// Addresses tried before one is shared; sharing works, it costs a check of the MIC more.
const ADDRESS_TRIES: u64 = 16;
/// Bytes of a join-accept with a channel list.
const JOIN_ACCEPT_BYTES_MAX: usize = 33;
/// Without one.
const JOIN_ACCEPT_BYTES_MIN: usize = 17;

impl Lns {
    pub(super) fn join(&mut self, request: &JoinRequest, heard: Vec<Reception>, now: Now) -> Step {
        match self.answer_join(request, &heard, now) {
            Ok((dev_addr, sealed)) => {
                self.note(request, Outcome::Answered, &heard);
                let event = Event::JoinAnswered { dev_eui: request.dev_eui, dev_addr };
                Step { event, sealed, withheld: None }
            }
            Err((why, withheld)) => {
                let outcome = match why {
                    Refusal::UnknownDevice => Outcome::Unknown,
                    Refusal::WrongKey => Outcome::WrongKey,
                    Refusal::NonceReused => Outcome::NonceReused,
                    Refusal::NotOtaa => Outcome::NotOtaa,
                    _ => Outcome::Unanswered,
                };
                self.note(request, outcome, &heard);
                let refused = Refused { why, dev_eui: Some(request.dev_eui), dev_addr: None, heard };
                Step { event: Event::Refused(refused), sealed: Sealed::default(), withheld }
            }
        }
    }

    fn answer_join(
        &mut self,
        request: &JoinRequest,
        heard: &[Reception],
        now: Now,
    ) -> Result<(DevAddr, Sealed), (Refusal, Option<Withheld>)> {
        let dev_eui = request.dev_eui;
        let region = self.config.region;
        let device = self.devices.get(&dev_eui).ok_or((Refusal::UnknownDevice, None))?;
        let Activation::Otaa { app_key, .. } = &device.activation else {
            return Err((Refusal::NotOtaa, None));
        };
        if !request.is_signed_by(app_key) {
            return Err((Refusal::WrongKey, None));
        }
        if !device.join.takes(device.version, request.dev_nonce) {
            return Err((Refusal::NonceReused, None));
        }
        let channels = region.cf_list(device.version);
        let bytes = if channels.is_some() { JOIN_ACCEPT_BYTES_MAX } else { JOIN_ACCEPT_BYTES_MIN };
        // Nothing is used up for an answer that cannot be given.
        let route = self
            .route(heard, [JOIN_RX1_MS, JOIN_RX2_MS], Size { least: bytes, most: bytes }, now.mono)
            .map_err(|withheld| (Refusal::JoinUnanswered, Some(withheld)))?;

        let (version, app_key) = (device.version, app_key.clone());
        let mut join = device.join.clone();
        let join_nonce = join.answer(version, request.dev_nonce).ok_or((Refusal::NonceExhausted, None))?;
        let dev_addr = self.free_address(dev_eui, join_nonce);
        let (nwk_s_key, app_s_key) = session_keys(&app_key, join_nonce, NET_ID, request.dev_nonce);
        let accept = JoinAccept {
            join_nonce,
            net_id: NET_ID,
            dev_addr,
            rx1_dr_offset: 0,
            rx2_dr: region.rx2().dr,
            rx_delay_s: self.config.rx1_delay_s,
            channels,
        };
        let session = Session {
            join_nonce,
            dev_addr,
            nwk_s_key,
            app_s_key,
            f_cnt_up: None,
            f_cnt_down: 0,
            rx1_delay_s: self.config.rx1_delay_s,
            channels: if accept.channels.is_some() { Channels::Extended } else { Channels::Default },
            link: Link::default(),
        };
        let device = self.devices.get_mut(&dev_eui).expect("it was found above");
        device.join = join.clone();
        device.pending = Some(session.clone());
        self.index(dev_eui);
        let changes = vec![
            SessionChange::Join { dev_eui, join },
            SessionChange::Pending { dev_eui, session: Box::new(session) },
        ];
        let downlink = route.into_downlink(dev_eui, accept.seal(&app_key));
        Ok((dev_addr, Sealed::new(changes, Some(downlink))))
    }

    fn note(&mut self, request: &JoinRequest, outcome: Outcome, heard: &[Reception]) {
        if let Some(best) = heard.first() {
            self.pairing.note(request.dev_eui, request.join_eui, outcome, best);
        }
    }

    /// An address of the private range that no session here has, the same for the same join.
    fn free_address(&self, dev_eui: Eui, join_nonce: u32) -> DevAddr {
        let seed = self.config.address_seed ^ u64::from_be_bytes(dev_eui.0) ^ u64::from(join_nonce) << 40;
        let address = |attempt| DevAddr((scatter(seed.wrapping_add(attempt)) >> (64 - ADDRESS_BITS)) as u32);
        (0..ADDRESS_TRIES)
            .map(address)
            .find(|address| !self.addresses.contains_key(address))
            .unwrap_or_else(|| address(0))
    }
}

/// A well spread function of `x` (the finaliser of splitmix64).
fn scatter(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}
