//! LowPowerLab's Moteino gateway sketch: `[123] message   [RX_RSSI:-45]`; the signal strength may be missing.

use super::{Data, Message, message};

const RSSI: &str = "[RX_RSSI:";

pub fn parse(line: &[u8], data: Data) -> Option<Message> {
    let text = str::from_utf8(line).ok()?;
    let (node, rest) = text.strip_prefix('[')?.split_once(']')?;
    // RFM69 nodes are 0..=255, or 10 bits in newer libraries.
    let node: u16 = node.parse().ok().filter(|node| *node < 1_024)?;
    let rest = rest.strip_prefix(' ')?;
    let (content, rssi) = match rest.rfind(RSSI) {
        Some(at) => {
            let (number, _) = rest[at + RSSI.len()..].split_once(']')?;
            (&rest[..at], Some(number.trim().parse().ok()?))
        }
        None => (rest, None),
    };
    let content = content.trim();
    (!content.is_empty()).then(|| message(Some(node.to_string()), rssi, content.as_bytes(), data))
}
