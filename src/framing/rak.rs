//! RAK3172 and other RUI modules in point-to-point mode. Present firmware: `+EVT:RXP2P:<rssi>:<snr>:<hex>`; older:
//! `+EVT:RXP2P, RSSI <rssi>, SNR <snr>` and, on the next line, `+EVT:<hex>`.

use super::{Data, Item, Parsed, message, text};

/// The first line of the older form.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    rssi: i32,
}

pub fn parse(line: &[u8], data: Data, pending: &mut Option<Header>) -> Option<Parsed> {
    let text = str::from_utf8(line).ok()?;
    if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return None;
    }
    let Some(event) = text.strip_prefix("+EVT:") else {
        return is_answer(text).then(|| notice(text));
    };
    if let Some(fields) = event.strip_prefix("RXP2P:") {
        let mut fields = fields.splitn(3, ':');
        let rssi = fields.next()?.trim().parse().ok()?;
        let _snr: i32 = fields.next()?.trim().parse().ok()?;
        return Some(received(rssi, &text::unhex(fields.next()?)?, data));
    }
    if let Some(fields) = event.strip_prefix("RXP2P,") {
        let (rssi, snr) = fields.split_once(',')?;
        let rssi = rssi.trim().strip_prefix("RSSI")?.trim().parse().ok()?;
        let _snr: i32 = snr.trim().strip_prefix("SNR")?.trim().parse().ok()?;
        *pending = Some(Header { rssi });
        return Some(Parsed::Header);
    }
    match text::unhex(event) {
        // Data whose first line was lost are noise.
        Some(bytes) => Some(received(pending.take()?.rssi, &bytes, data)),
        None => Some(notice(text)),
    }
}

fn received(rssi: i32, bytes: &[u8], data: Data) -> Parsed {
    Parsed::Item(Item::Message(message(None, Some(rssi), bytes, data)))
}

/// Answers to AT commands and their echo.
fn is_answer(text: &str) -> bool {
    text == "OK" || text.starts_with("AT")
}

fn notice(text: &str) -> Parsed {
    Parsed::Item(Item::Notice(text.to_owned()))
}
