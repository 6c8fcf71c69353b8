//! Frames of LoRaWAN 1.0.x: taken apart, checked, decrypted, made. The cryptography and the byte layout are lrwn's; what is
//! kept here are the few things a 1.0 network server does with them, in types that cannot be used out of order.

use lrwn::keys::{get_app_s_key, get_f_nwk_s_int_key};
use lrwn::{
    AES128Key, CFList, CFListChannelMasks, CFListChannels, ChMask, DLSettings, EUI64, FCtrl, FHDR,
    FRMPayload, FType, JoinAcceptPayload, JoinType, MACCommandSet, MACPayload, MACVersion, MHDR, Major,
    NetID, Payload, PhyPayload, encrypt_frm_payload,
};

use super::ids::{DevAddr, Eui, Key};

/// The longest PHY payload: the radio's length field is one byte.
pub const PHY_BYTES_MAX: usize = 255;
/// The largest JoinNonce: it has 24 bits.
pub const JOIN_NONCE_MAX: u32 = 0xff_ffff;

/// A frame a device sent, not yet checked.
#[derive(Clone, Debug)]
pub enum Uplink {
    Join(JoinRequest),
    Data(DataUp),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PhyError {
    #[error("frame of {0} bytes, more than a radio can send")]
    TooLong(usize),
    #[error("frame cut short or of no known form")]
    Malformed,
    #[error("a rejoin-request: LoRaWAN 1.1 sessions are not kept")]
    Rejoin,
    #[error("a downlink of some gateway")]
    Downlink,
    #[error("a proprietary frame")]
    Proprietary,
}

/// Whether it is a join-request, going by its header.
pub fn is_join(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|header| header >> 5 == 0)
}

/// Takes an uplink apart; nothing in it is to be believed before its MIC was checked.
pub fn parse(bytes: &[u8]) -> Result<Uplink, PhyError> {
    if bytes.len() > PHY_BYTES_MAX {
        return Err(PhyError::TooLong(bytes.len()));
    }
    let phy = PhyPayload::from_slice(bytes).map_err(|_| PhyError::Malformed)?;
    match (phy.mhdr.f_type, &phy.payload) {
        (FType::JoinRequest, Payload::JoinRequest(join)) => Ok(Uplink::Join(JoinRequest {
            join_eui: Eui(join.join_eui.to_be_bytes()),
            dev_eui: Eui(join.dev_eui.to_be_bytes()),
            dev_nonce: join.dev_nonce,
            phy,
        })),
        (FType::UnconfirmedDataUp | FType::ConfirmedDataUp, Payload::MACPayload(mac)) => {
            DataUp::new(mac, &phy).map(Uplink::Data)
        }
        (FType::RejoinRequest, _) => Err(PhyError::Rejoin),
        (FType::JoinAccept | FType::UnconfirmedDataDown | FType::ConfirmedDataDown, _) => {
            Err(PhyError::Downlink)
        }
        (FType::Proprietary, _) => Err(PhyError::Proprietary),
        _ => Err(PhyError::Malformed),
    }
}

#[derive(Clone, Debug)]
pub struct JoinRequest {
    pub join_eui: Eui,
    pub dev_eui: Eui,
    pub dev_nonce: u16,
    phy: PhyPayload,
}

impl JoinRequest {
    /// `key` is the AppKey; of a 1.1 device its NwkKey.
    pub fn is_signed_by(&self, key: &Key) -> bool {
        self.phy.validate_join_request_mic(&aes(key)).unwrap_or(false)
    }
}

#[derive(Clone, Debug)]
pub struct DataUp {
    pub dev_addr: DevAddr,
    pub is_confirmed: bool,
    /// The device lets the network set its data rate.
    pub adr: bool,
    /// The device asks for a sign of life, else it will lower its data rate.
    pub adr_ack_req: bool,
    /// The low half of the counter; the high half is not sent.
    pub f_cnt_low: u16,
    pub f_opts: Vec<u8>,
    pub f_port: Option<u8>,
    cipher: Vec<u8>,
    phy: PhyPayload,
}

impl DataUp {
    fn new(mac: &MACPayload, phy: &PhyPayload) -> Result<Self, PhyError> {
        Ok(Self {
            dev_addr: DevAddr(u32::from_be_bytes(mac.fhdr.devaddr.to_be_bytes())),
            is_confirmed: phy.mhdr.f_type == FType::ConfirmedDataUp,
            adr: mac.fhdr.f_ctrl.adr,
            adr_ack_req: mac.fhdr.f_ctrl.adr_ack_req,
            f_cnt_low: mac.fhdr.f_cnt as u16,
            f_opts: mac.fhdr.f_opts.to_vec().map_err(|_| PhyError::Malformed)?,
            f_port: mac.f_port,
            cipher: match &mac.frm_payload {
                Some(payload) => payload.to_vec().map_err(|_| PhyError::Malformed)?,
                None => Vec::new(),
            },
            phy: phy.clone(),
        })
    }

    /// Whether `nwk_s_key` signed this as its frame number `f_cnt`, all 32 bits of it.
    pub fn is_signed_by(&self, nwk_s_key: &Key, f_cnt: u32) -> bool {
        if f_cnt as u16 != self.f_cnt_low {
            return false;
        }
        let mut phy = self.phy.clone();
        if let Payload::MACPayload(mac) = &mut phy.payload {
            mac.fhdr.f_cnt = f_cnt;
        }
        let key = aes(nwk_s_key);
        phy.validate_uplink_data_mic(MACVersion::LoRaWAN1_0, 0, 0, 0, &key, &key).unwrap_or(false)
    }

    /// The payload in plain: NwkSKey for port 0, else AppSKey. Garbage unless the MIC was checked.
    pub fn decrypt(&self, key: &Key, f_cnt: u32) -> Vec<u8> {
        crypt(key, Direction::Up, self.dev_addr, f_cnt, &self.cipher)
    }
}

/// What a join is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinAccept {
    pub join_nonce: u32,
    pub net_id: [u8; 3],
    pub dev_addr: DevAddr,
    pub rx1_dr_offset: u8,
    pub rx2_dr: u8,
    /// Seconds; 0 means 1.
    pub rx_delay_s: u8,
    pub channels: Option<CfList>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CfList {
    /// Type 0: five more channels in hertz, 0 for none.
    Frequencies([u32; 5]),
    /// Type 1: which of the plan's channels to use, 16 a mask, the lowest bit the first.
    Masks(Vec<u16>),
}

impl JoinAccept {
    /// The frame, signed and encrypted. OptNeg is never set, so that a 1.1 device falls back to 1.0.
    pub fn seal(&self, key: &Key) -> Vec<u8> {
        let mut phy = PhyPayload {
            mhdr: MHDR { f_type: FType::JoinAccept, major: Major::LoRaWANR1 },
            payload: Payload::JoinAccept(JoinAcceptPayload {
                join_nonce: self.join_nonce & JOIN_NONCE_MAX,
                home_netid: NetID::from_be_bytes(self.net_id),
                devaddr: address(self.dev_addr),
                dl_settings: DLSettings {
                    opt_neg: false,
                    rx2_dr: self.rx2_dr & 0x0f,
                    rx1_dr_offset: self.rx1_dr_offset & 0x07,
                },
                rx_delay: self.rx_delay_s & 0x0f,
                cflist: self.channels.as_ref().map(cf_list),
            }),
            mic: None,
        };
        let key = aes(key);
        // JoinEUI and DevNonce are part of the MIC only with OptNeg.
        phy.set_join_accept_mic(JoinType::Join, &EUI64::from_be_bytes([0; 8]), 0, &key)
            .and_then(|()| phy.encrypt_join_accept_payload(&key))
            .and_then(|()| phy.to_vec())
            .expect("every field was cut to its width")
    }
}

/// NwkSKey and AppSKey of a session. `key` is the AppKey; of a 1.1 device that is answered in 1.0 mode its NwkKey.
pub fn session_keys(key: &Key, join_nonce: u32, net_id: [u8; 3], dev_nonce: u16) -> (Key, Key) {
    let (key, net_id, no_eui) = (aes(key), NetID::from_be_bytes(net_id), EUI64::from_be_bytes([0; 8]));
    let derive = |with: fn(bool, &_, &_, &_, u32, u16) -> anyhow::Result<AES128Key>| {
        let derived = with(false, &key, &net_id, &no_eui, join_nonce, dev_nonce);
        Key::new(derived.expect("a block of 16 bytes is a key").to_bytes())
    };
    (derive(get_f_nwk_s_int_key), derive(get_app_s_key))
}

/// An unconfirmed downlink to one device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataDown {
    pub dev_addr: Option<DevAddr>,
    pub adr: bool,
    /// Acknowledges the uplink it answers.
    pub ack: bool,
    pub f_cnt: u32,
    /// At most 15 bytes of MAC commands.
    pub f_opts: Vec<u8>,
    /// Port and plain payload.
    pub payload: Option<(u8, Vec<u8>)>,
}

impl DataDown {
    pub fn seal(&self, nwk_s_key: &Key, app_s_key: &Key) -> Vec<u8> {
        let dev_addr = self.dev_addr.unwrap_or(DevAddr(0));
        let (f_port, frm_payload) = match &self.payload {
            Some((port, plain)) => {
                let key = if *port == 0 { nwk_s_key } else { app_s_key };
                let cipher = crypt(key, Direction::Down, dev_addr, self.f_cnt, plain);
                (Some(*port), (!cipher.is_empty()).then_some(FRMPayload::Raw(cipher)))
            }
            None => (None, None),
        };
        let mut phy = PhyPayload {
            mhdr: MHDR { f_type: FType::UnconfirmedDataDown, major: Major::LoRaWANR1 },
            payload: Payload::MACPayload(MACPayload {
                fhdr: FHDR {
                    devaddr: address(dev_addr),
                    f_ctrl: FCtrl { adr: self.adr, ack: self.ack, ..FCtrl::default() },
                    f_cnt: self.f_cnt,
                    f_opts: MACCommandSet::from_slice(&self.f_opts[..self.f_opts.len().min(15)]),
                },
                f_port,
                frm_payload,
            }),
            mic: None,
        };
        phy.set_downlink_data_mic(MACVersion::LoRaWAN1_0, 0, &aes(nwk_s_key))
            .and_then(|()| phy.to_vec())
            .expect("a payload has a port and options fit their field")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Up,
    Down,
}

/// Encrypts or decrypts a payload (the same thing: it is combined with a key stream).
pub fn crypt(key: &Key, direction: Direction, dev_addr: DevAddr, f_cnt: u32, bytes: &[u8]) -> Vec<u8> {
    encrypt_frm_payload(&aes(key), direction == Direction::Up, &address(dev_addr), f_cnt, bytes)
        .expect("a key stream exists for every length")
}

fn aes(key: &Key) -> AES128Key {
    AES128Key::from_bytes(key.reveal())
}

fn address(dev_addr: DevAddr) -> lrwn::DevAddr {
    lrwn::DevAddr::from_be_bytes(dev_addr.0.to_be_bytes())
}

fn cf_list(list: &CfList) -> CFList {
    match list {
        CfList::Frequencies(hertz) => CFList::Channels(CFListChannels::new(hertz.map(|hz| hz / 100 * 100))),
        CfList::Masks(masks) => CFList::ChannelMask(CFListChannelMasks::new(
            masks.iter().take(6).map(|mask| ChMask::from_bytes(mask.to_le_bytes())).collect::<Vec<_>>(),
        )),
    }
}
