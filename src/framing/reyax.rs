//! Reyax RYLR896, RYLR998 and kin: `+RCV=<address>,<length>,<data>,<rssi>,<snr>`. The data is exactly `length` bytes,
//! whatever they are: commas, line ends, another message.

use super::{Data, Message, message};

pub const MARKER: &[u8] = b"+RCV=";
/// What a module can send in one message.
const DATA_BYTES_MAX: usize = 240;
/// Digits of an address (0..=65535), a length, an RSSI or SNR with its sign.
const NUMBER_DIGITS_MAX: usize = 5;

pub enum Parsed {
    Complete {
        message: Message,
        /// Bytes of the whole message, its end of line included.
        len: usize,
    },
    /// More bytes decide.
    Partial,
    No,
}

/// Parses a message that begins here.
pub fn parse(bytes: &[u8], data: Data) -> Parsed {
    match parse_inner(bytes, data) {
        Ok((message, len)) => Parsed::Complete { message, len },
        Err(Stop::NeedMore) => Parsed::Partial,
        Err(Stop::Broken) => Parsed::No,
    }
}

/// Other lines of the module: `+OK`, `+READY`, `+ERR=4`, `+ADDRESS=120`.
pub fn parse_notice(line: &[u8]) -> Option<String> {
    let text = str::from_utf8(line).ok()?;
    let name = text.strip_prefix('+')?.split('=').next()?;
    let is_name =
        (2..=20).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    (is_name && name != "RCV" && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)))
        .then(|| text.to_owned())
}

enum Stop {
    NeedMore,
    Broken,
}

fn parse_inner(bytes: &[u8], data: Data) -> Result<(Message, usize), Stop> {
    let mut rest = &bytes[MARKER.len()..];
    let address = number(&mut rest, b',')?;
    let address = u16::try_from(address).map_err(|_| Stop::Broken)?;
    let len = number(&mut rest, b',')?;
    let len = usize::try_from(len).ok().filter(|len| *len <= DATA_BYTES_MAX).ok_or(Stop::Broken)?;
    if rest.len() < len {
        return Err(Stop::NeedMore);
    }
    let (content, mut rest) = rest.split_at(len);
    match rest.split_first() {
        None => return Err(Stop::NeedMore),
        Some((b',', after)) => rest = after,
        Some(_) => return Err(Stop::Broken),
    }
    let rssi = number(&mut rest, b',')?;
    let _snr = number(&mut rest, b'\r')?;
    match rest.split_first() {
        None => return Err(Stop::NeedMore),
        Some((b'\n', after)) => rest = after,
        Some(_) => return Err(Stop::Broken),
    }
    Ok((message(Some(address.to_string()), Some(rssi), content, data), bytes.len() - rest.len()))
}

/// A decimal number up to `end`, which is taken too. A line may also end without its carriage return.
fn number(rest: &mut &[u8], end: u8) -> Result<i32, Stop> {
    let digits = rest.iter().position(|byte| !(byte.is_ascii_digit() || *byte == b'-')).unwrap_or(rest.len());
    if digits > NUMBER_DIGITS_MAX {
        return Err(Stop::Broken);
    }
    let (text, after) = rest.split_at(digits);
    match after.split_first() {
        None => Err(Stop::NeedMore),
        Some((byte, after_end)) if *byte == end || (end == b'\r' && *byte == b'\n') => {
            *rest = if *byte == end { after_end } else { after };
            str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(Stop::Broken)
        }
        Some(_) => Err(Stop::Broken),
    }
}
