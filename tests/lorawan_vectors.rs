//! Conformance with frames of LoRaWAN 1.0 and 1.1 out of other people's implementations, where they stand beside the project
//! (`../shared/vectors/lorawan.json`).
//!
//! The hub keeps 1.0 sessions only, with 1.1 devices too. What the standard adds in 1.1 is checked against the crate the hub
//! builds on, so that 1.1 can be built on it one day; those vectors are named in [`BY_THE_CRATE`].

use std::path::Path;

use aes::Aes128;
use cmac::{Cmac, KeyInit, Mac};
use frostguard_hub::lorawan::ids::{DevAddr, Eui, Key};
use frostguard_hub::lorawan::phy::{
    CfList, DataDown, Direction, JoinAccept, Uplink, crypt, parse, session_keys,
};
use lrwn::{AES128Key, EUI64, JoinType, MACVersion, NetID, Payload, PhyPayload};
use serde_json::Value;

/// Vectors of what the hub itself does not do, and why.
const BY_THE_CRATE: &[(&str, &str)] = &[
    ("ttn-mic-down", "a frame whose header says up, signed as if it went down"),
    ("ttn-mic-up-1.1-equal-keys", "two halves of a MIC came with 1.1"),
    ("11-hello-up", "two halves of a MIC came with 1.1"),
    ("11-hello-up-ack", "two halves of a MIC came with 1.1"),
    ("11-rekeyind-up", "two halves of a MIC came with 1.1"),
    ("11-up-2", "two halves of a MIC came with 1.1"),
    ("11-down-fopts-encrypted", "encrypted options came with 1.1"),
    ("ja-11-optneg", "the hub never sets OptNeg"),
    ("ja-11-ttn-mic", "the hub never sets OptNeg; its payload lacks the bit, so it is checked by hand"),
    ("rejoin-0-ttn", "rejoin-requests came with 1.1"),
    ("rejoin-1", "rejoin-requests came with 1.1"),
    ("rejoin-2", "rejoin-requests came with 1.1"),
    ("kd-11-ttn", "four session keys came with 1.1"),
    ("kd-11-lp", "four session keys came with 1.1"),
    ("kd-js-lp", "the keys of the join server came with 1.1"),
];

#[test]
fn frames_of_other_implementations_are_read_and_made_alike() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors/lorawan.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("{} is not there: only the project's own tests speak", path.display());
        return;
    };
    let vectors: Vec<Value> = serde_json::from_str(&text).expect("vectors are JSON");
    let (mut own, mut by_the_crate) = (0, 0);
    for vector in &vectors {
        let vector = Vector(vector);
        let id = vector.text("id");
        let checks = if BY_THE_CRATE.iter().any(|(name, _)| *name == id) {
            by_the_crate += 1;
            vector.check_crate()
        } else {
            own += 1;
            vector.check_own()
        };
        assert!(checks > 0, "{id}: nothing in it was checked");
    }
    println!("{own} vectors by the hub, {by_the_crate} by its crate");
    assert_eq!(by_the_crate, BY_THE_CRATE.len());
    assert!(own >= 28, "{own}");
}

struct Vector<'a>(&'a Value);

impl Vector<'_> {
    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_else(|| panic!("{}: no {name}", self.0["id"]))
    }

    fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        unhex(self.text(name))
    }

    fn number(&self, name: &str) -> u32 {
        self.0[name].as_u64().unwrap_or_else(|| panic!("{}: no {name}", self.0["id"])) as u32
    }

    fn key(&self, name: &str) -> Key {
        Key::parse(self.text(name)).expect("a key")
    }

    fn raw_key(&self, name: &str) -> AES128Key {
        AES128Key::from_slice(&self.bytes(name)).expect("a key")
    }

    fn net_id(&self) -> [u8; 3] {
        self.bytes("net_id").try_into().expect("three bytes")
    }

    fn nonce(&self, name: &str) -> u16 {
        u16::from_str_radix(self.text(name), 16).expect("hex")
    }

    fn join_nonce(&self) -> u32 {
        u32::from_str_radix(self.text("join_nonce"), 16).expect("hex")
    }

    /// How many things were checked.
    fn check_own(&self) -> usize {
        match self.text("kind") {
            "data" if self.text("phy").starts_with("a0") => self.check_cipher(),
            "data" if self.text("phy").starts_with("60") => self.check_data_down(),
            "data" => self.check_data(),
            "mic" => self.check_mic(),
            "frm-crypt" => {
                let direction = if self.text("dir") == "up" { Direction::Up } else { Direction::Down };
                let dev_addr = DevAddr::parse(self.text("dev_addr")).expect("an address");
                let got = crypt(
                    &self.key("app_s_key"),
                    direction,
                    dev_addr,
                    self.number("fcnt"),
                    &self.bytes("plain"),
                );
                assert_eq!(got, self.bytes("cipher"));
                1
            }
            "join-request" => self.check_join_request(),
            "join-accept" | "join-accept-mic" => self.check_join_accept(),
            "keys" => {
                let keys = session_keys(
                    &self.key("app_key"),
                    self.join_nonce(),
                    self.net_id(),
                    self.nonce("dev_nonce"),
                );
                assert!(keys == (self.key("nwk_s_key"), self.key("app_s_key")), "{}", self.text("id"));
                1
            }
            other => panic!("{}: what is {other}?", self.text("id")),
        }
    }

    fn check_data(&self) -> usize {
        let id = self.text("id");
        let Ok(Uplink::Data(frame)) = parse(&self.bytes("phy")) else {
            panic!("{id} is no data frame");
        };
        let f_cnt = self.number("fcnt");
        assert_eq!(u32::from(frame.f_cnt_low), f_cnt & 0xffff, "{id}");
        if self.has("dev_addr") {
            assert_eq!(Some(frame.dev_addr), DevAddr::parse(self.text("dev_addr")), "{id}");
        }
        if self.has("fopts") {
            assert_eq!(frame.f_opts, self.bytes("fopts"), "{id}");
        }
        assert_eq!(frame.adr, self.0["adr"] == true, "{id}");
        if frame.f_port.is_some() {
            assert_eq!(frame.f_port.map(u32::from), Some(self.number("fport")), "{id}");
        }
        if self.has("nwk_s_key") {
            let is_ok = self.0["mic_ok"] == true;
            assert_eq!(frame.is_signed_by(&self.key("nwk_s_key"), f_cnt), is_ok, "{id}");
        }
        if self.has("plain") && (self.has("app_s_key") || frame.f_port == Some(0)) {
            let key = if frame.f_port == Some(0) { "nwk_s_key" } else { "app_s_key" };
            assert_eq!(frame.decrypt(&self.key(key), f_cnt), self.bytes("plain"), "{id}");
        }
        1
    }

    /// A downlink, made to the same bytes.
    fn check_data_down(&self) -> usize {
        let made = DataDown {
            dev_addr: DevAddr::parse(self.text("dev_addr")),
            adr: self.0["adr"] == true,
            ack: self.0["ack"] == true,
            f_cnt: self.number("fcnt"),
            f_opts: Vec::new(),
            payload: Some((self.number("fport") as u8, Vec::new())),
        };
        let key = self.key("nwk_s_key");
        assert_eq!(made.seal(&key, &key), self.bytes("phy"), "{}", self.text("id"));
        1
    }

    /// A confirmed downlink, of which only the payload's key is given.
    fn check_cipher(&self) -> usize {
        let phy = self.bytes("phy");
        let dev_addr = DevAddr::parse(self.text("dev_addr")).expect("an address");
        let cipher = &phy[9..phy.len() - 4];
        let plain = crypt(&self.key("app_s_key"), Direction::Down, dev_addr, self.number("fcnt"), cipher);
        assert_eq!(plain, self.bytes("plain"));
        // Made by the hub (unconfirmed), the payload is encrypted to the same bytes.
        let made = DataDown {
            dev_addr: Some(dev_addr),
            adr: true,
            f_cnt: self.number("fcnt"),
            payload: Some((self.number("fport") as u8, plain)),
            ..DataDown::default()
        };
        let made = made.seal(&Key::new([0; 16]), &self.key("app_s_key"));
        assert_eq!(made[1..made.len() - 4], phy[1..phy.len() - 4]);
        1
    }

    fn check_mic(&self) -> usize {
        let mut phy = self.bytes("payload_without_mic");
        phy.extend(self.bytes("mic"));
        match parse(&phy) {
            Ok(Uplink::Data(frame)) => {
                assert!(
                    frame.is_signed_by(&self.key("nwk_s_key"), self.number("fcnt")),
                    "{}",
                    self.text("id")
                );
            }
            other => panic!("{}: {other:?}", self.text("id")),
        }
        1
    }

    fn check_join_request(&self) -> usize {
        let id = self.text("id");
        let Ok(Uplink::Join(request)) = parse(&self.bytes("phy")) else {
            panic!("{id} is no join-request");
        };
        assert_eq!(request.is_signed_by(&self.key("app_key")), self.0["mic_ok"] == true, "{id}");
        if self.has("dev_eui") {
            assert_eq!(Some(request.dev_eui), Eui::parse(self.text("dev_eui")), "{id}");
            assert_eq!(Some(request.join_eui), Eui::parse(self.text("join_eui")), "{id}");
            // As it is sent, or as a number: the sources differ.
            let wire = self.nonce("dev_nonce").swap_bytes();
            assert!([wire, wire.swap_bytes()].contains(&request.dev_nonce), "{id}");
        }
        1
    }

    fn check_join_accept(&self) -> usize {
        let id = self.text("id");
        let key = self.key("app_key");
        let settings = if self.has("dl_settings") { self.bytes("dl_settings")[0] } else { 0x00 };
        // The fields stand in the plain text as well; what is not named apart is taken from there.
        let plain = self.bytes("decrypted");
        let accept = JoinAccept {
            join_nonce: self.join_nonce(),
            net_id: [plain[6], plain[5], plain[4]],
            dev_addr: DevAddr(u32::from_le_bytes([plain[7], plain[8], plain[9], plain[10]])),
            rx1_dr_offset: settings >> 4 & 7,
            rx2_dr: settings & 0x0f,
            rx_delay_s: plain[12],
            channels: self.has("cflist_hz").then(|| {
                let hertz: Vec<u32> = self.0["cflist_hz"]
                    .as_array()
                    .expect("a list")
                    .iter()
                    .map(|hz| hz.as_u64().expect("hertz") as u32)
                    .collect();
                CfList::Frequencies(hertz.try_into().expect("five"))
            }),
        };
        if self.has("net_id") {
            assert_eq!(accept.net_id, self.net_id(), "{id}");
        }
        if self.has("dev_addr") {
            assert_eq!(Some(accept.dev_addr), DevAddr::parse(self.text("dev_addr")), "{id}");
        }
        let sealed = accept.seal(&key);
        if self.has("phy") {
            assert_eq!(sealed, self.bytes("phy"), "{id}");
        } else {
            let mut phy = PhyPayload::from_slice(&sealed).expect("a frame");
            phy.decrypt_join_accept_payload(&self.raw_key("app_key")).expect("whole blocks");
            assert_eq!(phy.mic.expect("a MIC").to_vec(), self.bytes("mic"), "{id}");
        }
        if self.has("nwk_s_key") {
            let wire: [u8; 2] = self.bytes("dev_nonce_wire").try_into().expect("two bytes");
            let keys = session_keys(&key, accept.join_nonce, accept.net_id, u16::from_le_bytes(wire));
            assert!(keys == (self.key("nwk_s_key"), self.key("app_s_key")), "{id}");
        }
        1
    }

    fn check_crate(&self) -> usize {
        let id = self.text("id");
        match self.text("kind") {
            "data" => self.check_crate_data(),
            "mic" => {
                let mut phy = self.bytes("payload_without_mic");
                phy.extend(self.bytes("mic"));
                let mut phy = PhyPayload::from_slice(&phy).expect("a frame");
                let is_ok = if self.text("dir") == "down" {
                    phy.validate_downlink_data_mic(MACVersion::LoRaWAN1_0, 0, &self.raw_key("nwk_s_key"))
                } else {
                    let (f, s) = (self.raw_key("f_nwk_s_int_key"), self.raw_key("s_nwk_s_int_key"));
                    let (dr, channel) = (self.number("tx_dr") as u8, self.number("tx_ch") as u8);
                    phy.validate_uplink_data_mic(
                        MACVersion::LoRaWAN1_1,
                        self.number("conf_fcnt"),
                        dr,
                        channel,
                        &f,
                        &s,
                    )
                };
                assert!(is_ok.expect("a data frame"), "{id}");
                1
            }
            "join-accept" => {
                let mut phy = PhyPayload::from_slice(&self.bytes("phy")).expect("a frame");
                let key = self.raw_key("nwk_key");
                phy.decrypt_join_accept_payload(&key).expect("whole blocks");
                let join_eui = EUI64::from_slice(&self.bytes("join_eui")).expect("an EUI");
                let nonce = self.nonce("dev_nonce");
                let is_ok = [nonce, nonce.swap_bytes()].into_iter().any(|nonce| {
                    phy.validate_join_accept_mic(JoinType::Join, &join_eui, nonce, &key)
                        .expect("a join-accept")
                });
                assert!(is_ok, "{id}");
                1
            }
            "join-accept-mic-1.1" => {
                // Its payload lacks the bit by which the crate knows that the prefix belongs to it, so by hand.
                let mut signed = self.bytes("join_req_type");
                signed.extend(self.bytes("join_eui").iter().rev());
                signed.extend(self.bytes("dev_nonce").iter().rev());
                signed.extend(self.bytes("payload_without_mic"));
                let mut mac = Cmac::<Aes128>::new_from_slice(&self.bytes("js_int_key")).expect("a key");
                mac.update(&signed);
                assert_eq!(mac.finalize().into_bytes()[..4], self.bytes("mic"), "{id}");
                1
            }
            "rejoin" => {
                let phy = PhyPayload::from_slice(&self.bytes("phy")).expect("a frame");
                assert!(
                    phy.validate_join_request_mic(&self.raw_key("key")).expect("a rejoin-request"),
                    "{id}"
                );
                assert!(parse(&self.bytes("phy")).is_err(), "{id}: the hub does not take it");
                1
            }
            "keys" => self.check_crate_keys(),
            other => panic!("{id}: what is {other}?"),
        }
    }

    fn check_crate_data(&self) -> usize {
        let id = self.text("id");
        let mut phy = PhyPayload::from_slice(&self.bytes("phy")).expect("a frame");
        let is_ok = if self.text("phy").starts_with("60") {
            phy.validate_downlink_data_mic(MACVersion::LoRaWAN1_1, 0, &self.raw_key("s_nwk_s_int_key"))
        } else {
            let (f, s) = (self.raw_key("f_nwk_s_int_key"), self.raw_key("s_nwk_s_int_key"));
            let (dr, channel) = (self.number("tx_dr") as u8, self.number("tx_ch") as u8);
            phy.validate_uplink_data_mic(
                MACVersion::LoRaWAN1_1,
                self.number("conf_fcnt"),
                dr,
                channel,
                &f,
                &s,
            )
        };
        assert_eq!(is_ok.expect("a data frame"), self.0["mic_ok"] == true, "{id}");
        if self.has("fopts_cipher") {
            phy.decrypt_f_opts(&self.raw_key("nwk_s_enc_key")).expect("options");
            if let Payload::MACPayload(mac) = &phy.payload {
                assert_eq!(mac.fhdr.f_opts.to_vec().expect("options"), self.bytes("fopts"), "{id}");
            }
        }
        1
    }

    fn check_crate_keys(&self) -> usize {
        use lrwn::keys;
        let id = self.text("id");
        let nwk_key = self.raw_key("nwk_key");
        let mut checked = 0;
        if self.has("js_int_key") && self.has("dev_eui") {
            let dev_eui = EUI64::from_slice(&self.bytes("dev_eui")).expect("an EUI");
            assert_eq!(
                keys::get_js_int_key(&dev_eui, &nwk_key).expect("a key"),
                self.raw_key("js_int_key"),
                "{id}"
            );
            assert_eq!(
                keys::get_js_enc_key(&dev_eui, &nwk_key).expect("a key"),
                self.raw_key("js_enc_key"),
                "{id}"
            );
            checked += 1;
        }
        if self.has("f_nwk_s_int_key") {
            let join_eui = EUI64::from_slice(&self.bytes("join_eui")).expect("an EUI");
            let no_net = NetID::from_be_bytes([0; 3]);
            let (join_nonce, dev_nonce) = (self.join_nonce(), self.nonce("dev_nonce"));
            type Derive = fn(bool, &AES128Key, &NetID, &EUI64, u32, u16) -> anyhow::Result<AES128Key>;
            let derivations: [(&str, Derive); 4] = [
                ("f_nwk_s_int_key", keys::get_f_nwk_s_int_key),
                ("s_nwk_s_int_key", keys::get_s_nwk_s_int_key),
                ("nwk_s_enc_key", keys::get_nwk_s_enc_key),
                ("app_s_key", keys::get_app_s_key),
            ];
            for (name, derive) in derivations {
                let root = if name == "app_s_key" { self.raw_key("app_key") } else { nwk_key };
                let got = derive(true, &root, &no_net, &join_eui, join_nonce, dev_nonce).expect("a key");
                assert_eq!(got, self.raw_key(name), "{id} {name}");
                checked += 1;
            }
        }
        checked
    }
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).expect("ASCII"), 16).expect("hex"))
        .collect()
}
