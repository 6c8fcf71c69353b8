//! Texts of a Basics Station: a byte for the region, then the text.

use frostguard_hub::domain::MonoMs;
use frostguard_hub::lorawan::ids::Eui;
use frostguard_hub::lorawan::phy::PHY_BYTES_MAX;
use frostguard_hub::lorawan::station::{self, Message};

use super::Script;

pub fn run(input: &[u8]) {
    let mut script = Script(input);
    let region = super::region(script.byte());
    let text = String::from_utf8_lossy(script.rest());

    if let Ok(eui) = station::router_info(&text) {
        let answer = station::router_info_answer(eui, "ws://hub:3001/station");
        assert_eq!(station::router_info(&answer), Ok(eui), "an EUI as the hub writes it is read back");
        assert_eq!(station::router_info(&station::router_info_refusal(eui, "who?")), Ok(eui));
    }
    let gateway = Eui([1; 8]);
    match station::parse(&text, gateway, region, MonoMs(7)) {
        Ok(Message::Frame(frame)) => {
            assert!(frame.phy.len() <= PHY_BYTES_MAX);
            assert_eq!((frame.reception.gateway, frame.reception.at), (gateway, MonoMs(7)));
            super::is_reception(&frame.reception);
        }
        Ok(Message::Other(kind)) => assert!(kind.chars().count() <= 32),
        Ok(Message::Version { .. } | Message::Sent { .. } | Message::Timesync { .. }) => {}
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
