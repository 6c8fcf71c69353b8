//! A publish: a byte for the kind of broker, the topic to the end of its line, then the payload.

use frostguard_hub::codec::{self, Codecs};
use frostguard_hub::config::MqttKind;
use frostguard_hub::domain::MonoMs;
use frostguard_hub::source::shapes;

use super::Script;

const KINDS: [MqttKind; 4] =
    [MqttKind::ChirpstackV4, MqttKind::ChirpstackV3, MqttKind::TtnV3, MqttKind::Zigbee2mqtt];
/// An address stands in a column of the store.
const ADDRESS_CHARS_MAX: usize = 256;

pub fn run(input: &[u8]) {
    let mut script = Script(input);
    let kind = KINDS[usize::from(script.byte()) % KINDS.len()];
    let rest = script.rest();
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let topic = String::from_utf8_lossy(&rest[..end]);
    let payload = rest.get(end + 1..).unwrap_or_default();

    match shapes::frame_of(kind, "broker", &topic, payload, MonoMs(7), &Codecs::default()) {
        Ok(frame) => {
            assert!(!shapes::is_chatter(kind, &topic), "what a bridge says about itself is no reading");
            let address = &frame.sender.address;
            assert!((1..=ADDRESS_CHARS_MAX).contains(&address.chars().count()), "{address:?}");
            if frame.sender.is_eui {
                let is_digit = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
                assert!(address.len() == 16 && address.bytes().all(is_digit), "{address:?}");
            }
            if let Some(model) = &frame.model {
                assert!(codec::find(model).is_some_and(|found| found.name == model));
            }
            super::is_payload(&frame.payload);
        }
        Err(reason) => assert!(!reason.is_empty()),
    }
}
