//! A sensor, written from the standard with a cryptography of its own (not lrwn, not the server's code), so that both sides
//! being wrong in the same way would be a coincidence.

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use cmac::{Cmac, Mac};

#[derive(Clone, Debug)]
pub struct Sensor {
    pub dev_eui: [u8; 8],
    pub join_eui: [u8; 8],
    pub app_key: [u8; 16],
    pub dev_nonce: u16,
    /// JoinNonces taken; from 1.0.4 on the next must be higher.
    pub join_nonce: Option<u32>,
    pub session: Option<Joined>,
}

#[derive(Clone, Debug)]
pub struct Joined {
    pub dev_addr: u32,
    pub nwk_s_key: [u8; 16],
    pub app_s_key: [u8; 16],
    pub f_cnt_up: u32,
    pub f_cnt_down: Option<u32>,
    /// What the join-accept said, after the address.
    pub settings: Vec<u8>,
}

/// A frame to send, before it is signed.
#[derive(Clone, Debug, Default)]
pub struct Up {
    pub confirmed: bool,
    pub adr: bool,
    pub adr_ack_req: bool,
    pub f_opts: Vec<u8>,
    pub payload: Option<(u8, Vec<u8>)>,
}

/// A downlink a sensor took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Down {
    pub ack: bool,
    pub f_cnt: u32,
    pub f_opts: Vec<u8>,
}

impl Sensor {
    pub fn new(number: u64, app_key: [u8; 16]) -> Self {
        Self {
            dev_eui: (0xa840_4100_0000_0000 | number).to_be_bytes(),
            join_eui: [0xa0; 8],
            app_key,
            dev_nonce: 0,
            join_nonce: None,
            session: None,
        }
    }

    pub fn join_request(&mut self) -> Vec<u8> {
        self.dev_nonce += 1;
        self.join_request_with(self.dev_nonce)
    }

    pub fn join_request_with(&self, dev_nonce: u16) -> Vec<u8> {
        let mut phy = vec![0x00];
        phy.extend(self.join_eui.iter().rev());
        phy.extend(self.dev_eui.iter().rev());
        phy.extend(dev_nonce.to_le_bytes());
        let mic = cmac(&self.app_key, &[&phy]);
        phy.extend(mic);
        phy
    }

    /// Reads a join-accept; why not, if it is none of this sensor's.
    pub fn accept(&mut self, phy: &[u8]) -> Result<(), String> {
        if phy[0] != 0x20 || !matches!(phy.len(), 17 | 33) {
            return Err(format!("no join-accept: {phy:02x?}"));
        }
        let plain: Vec<u8> = phy[1..].chunks(16).flat_map(|block| encrypt(&self.app_key, block)).collect();
        let (body, mic) = plain.split_at(plain.len() - 4);
        if cmac(&self.app_key, &[&phy[..1], body]) != mic {
            return Err("wrong MIC".to_owned());
        }
        let join_nonce = u32::from_le_bytes([body[0], body[1], body[2], 0]);
        if self.join_nonce.is_some_and(|last| join_nonce <= last) {
            return Err(format!("JoinNonce {join_nonce} after {:?}", self.join_nonce));
        }
        self.join_nonce = Some(join_nonce);
        let derive = |kind: u8| {
            let mut block = [0; 16];
            block[0] = kind;
            block[1..7].copy_from_slice(&body[..6]);
            block[7..9].copy_from_slice(&self.dev_nonce.to_le_bytes());
            encrypt(&self.app_key, &block)
        };
        self.session = Some(Joined {
            dev_addr: u32::from_le_bytes([body[6], body[7], body[8], body[9]]),
            nwk_s_key: derive(1),
            app_s_key: derive(2),
            f_cnt_up: 0,
            f_cnt_down: None,
            settings: body[10..].to_vec(),
        });
        Ok(())
    }

    /// The next frame.
    pub fn send(&mut self, up: &Up) -> Vec<u8> {
        let session = self.session.as_mut().expect("joined");
        let f_cnt = session.f_cnt_up;
        session.f_cnt_up += 1;
        session.frame(f_cnt, up)
    }

    pub fn reading(&mut self, payload: &[u8]) -> Vec<u8> {
        self.send(&Up { payload: Some((2, payload.to_vec())), ..Up::default() })
    }

    /// Reads a data downlink; why not, if it is none of this sensor's or was there before.
    pub fn hear(&mut self, phy: &[u8]) -> Result<Down, String> {
        self.session.as_mut().ok_or("not joined")?.hear(phy)
    }
}

impl Joined {
    pub fn frame(&self, f_cnt: u32, up: &Up) -> Vec<u8> {
        let mut phy = vec![if up.confirmed { 0x80 } else { 0x40 }];
        phy.extend(self.dev_addr.to_le_bytes());
        phy.push(u8::from(up.adr) << 7 | u8::from(up.adr_ack_req) << 6 | up.f_opts.len() as u8);
        phy.extend((f_cnt as u16).to_le_bytes());
        phy.extend(&up.f_opts);
        if let Some((port, plain)) = &up.payload {
            phy.push(*port);
            let key = if *port == 0 { &self.nwk_s_key } else { &self.app_s_key };
            phy.extend(self.stream(key, 0, f_cnt, plain));
        }
        let mic = cmac(&self.nwk_s_key, &[&self.first_block(0x49, 0, f_cnt, phy.len() as u8), &phy]);
        phy.extend(mic);
        phy
    }

    fn hear(&mut self, phy: &[u8]) -> Result<Down, String> {
        let (frame, mic) = phy.split_at(phy.len() - 4);
        if frame[0] & 0xe0 != 0x60 || frame[1..5] != self.dev_addr.to_le_bytes() {
            return Err(format!("not for this sensor: {phy:02x?}"));
        }
        let low = u16::from_le_bytes([frame[6], frame[7]]);
        let next = self.f_cnt_down.map_or(0, |last| last + 1);
        let f_cnt = next + u32::from(low.wrapping_sub(next as u16));
        // A reused counter looks 65,535 frames ahead: the MIC is wrong then, and old sensors have a limit besides.
        let block = self.first_block(0x49, 1, f_cnt, frame.len() as u8);
        if f_cnt - next > 16_384 || cmac(&self.nwk_s_key, &[&block, frame]) != mic {
            return Err(format!("counter {low} after {:?}", self.f_cnt_down));
        }
        self.f_cnt_down = Some(f_cnt);
        let options = usize::from(frame[5] & 0x0f);
        Ok(Down { ack: frame[5] & 0x20 != 0, f_cnt, f_opts: frame[8..8 + options].to_vec() })
    }

    fn first_block(&self, kind: u8, direction: u8, f_cnt: u32, last: u8) -> [u8; 16] {
        let mut block = [0; 16];
        block[0] = kind;
        block[5] = direction;
        block[6..10].copy_from_slice(&self.dev_addr.to_le_bytes());
        block[10..14].copy_from_slice(&f_cnt.to_le_bytes());
        block[15] = last;
        block
    }

    fn stream(&self, key: &[u8; 16], direction: u8, f_cnt: u32, bytes: &[u8]) -> Vec<u8> {
        let blocks = bytes.chunks(16).zip(1..);
        blocks
            .flat_map(|(chunk, number)| {
                let mask = encrypt(key, &self.first_block(0x01, direction, f_cnt, number));
                chunk.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect::<Vec<_>>()
            })
            .collect()
    }
}

fn encrypt(key: &[u8; 16], block: &[u8]) -> [u8; 16] {
    let mut out: [u8; 16] = block.try_into().expect("a whole block");
    Aes128::new(&(*key).into()).encrypt_block((&mut out).into());
    out
}

fn cmac(key: &[u8; 16], parts: &[&[u8]]) -> [u8; 4] {
    let mut mac = Cmac::<Aes128>::new_from_slice(key).expect("16 bytes");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes()[..4].try_into().expect("4 bytes")
}
