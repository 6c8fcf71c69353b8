//! What a strict service centre makes of an SMS-SUBMIT (3GPP TS 23.040): read bit by bit, every field judged. Shares nothing
//! with the hub's own encoder.

/// The default alphabet as the standard prints it (3GPP TS 23.038, 6.2.1): a row for each three high bits.
const ALPHABET: [[char; 16]; 8] = [
    ['@', '£', '$', '¥', 'è', 'é', 'ù', 'ì', 'ò', 'Ç', '\n', 'Ø', 'ø', '\r', 'Å', 'å'],
    ['Δ', '_', 'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ', 'Σ', 'Θ', 'Ξ', '\u{1b}', 'Æ', 'æ', 'ß', 'É'],
    [' ', '!', '"', '#', '¤', '%', '&', '\'', '(', ')', '*', '+', ',', '-', '.', '/'],
    ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', ':', ';', '<', '=', '>', '?'],
    ['¡', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O'],
    ['P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'Ä', 'Ö', 'Ñ', 'Ü', '§'],
    ['¿', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o'],
    ['p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'ä', 'ö', 'ñ', 'ü', 'à'],
];

/// One message as it reached the service centre.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// With `+`.
    pub recipient: String,
    pub text: String,
    pub is_ucs2: bool,
    pub wants_report: bool,
    /// Reference, total and number of a part.
    pub part: Option<(u8, u8, u8)>,
    /// TP-VP, relative.
    pub validity: Option<u8>,
}

/// Reads what `AT+CMGS=<announced>` was given; an error says what is wrong with it.
pub fn decode(hex: &str, announced: usize) -> Result<Submitted, String> {
    let octets = octets(hex)?;
    let mut at = 0;
    let mut next = |what: &str| {
        let octet = octets.get(at).copied().ok_or_else(|| format!("it ends before {what}"));
        at += 1;
        octet
    };
    let centre = usize::from(next("the service centre")?);
    for _ in 0..centre {
        next("the service centre's number")?;
    }
    if octets.len() - 1 - centre != announced {
        return Err(format!("{announced} octets were announced, {} came", octets.len() - 1 - centre));
    }
    let first = next("the first octet")?;
    if first & 0b11 != 0b01 {
        return Err(format!("first octet {first:02X} is no SMS-SUBMIT"));
    }
    next("the reference")?;
    let digits = next("the length of the number")?;
    if !(1..=20).contains(&digits) {
        return Err(format!("a number of {digits} digits"));
    }
    let kind = next("the type of the number")?;
    if kind != 0x91 {
        return Err(format!("type of number {kind:02X} is not international"));
    }
    let mut recipient = String::from("+");
    for pair in 0..digits.div_ceil(2) {
        let octet = next("the number")?;
        for (half, value) in [(0, octet & 0xF), (1, octet >> 4)] {
            let is_fill = pair * 2 + half >= digits;
            match (is_fill, value) {
                (true, 0xF) => {}
                (false, 0..=9) => recipient.push(char::from(b'0' + value)),
                _ => return Err(format!("{value:X} is no digit of a number of {digits}")),
            }
        }
    }
    if next("the protocol")? != 0 {
        return Err("another protocol than a short message's".to_owned());
    }
    let coding = next("the coding")?;
    let validity = match first >> 3 & 0b11 {
        0b00 => None,
        0b10 => Some(next("the validity")?),
        _ => return Err("an absolute validity".to_owned()),
    };
    let length = usize::from(next("the length of the text")?);
    let data = octets.get(at..).unwrap_or_default();
    let has_header = first & 0x40 != 0;
    let (text, header) = match coding {
        0x00 => seven_bits(data, length, has_header)?,
        0x08 => sixteen_bits(data, length, has_header)?,
        other => return Err(format!("coding {other:02X}")),
    };
    let part = header.map(part).transpose()?;
    Ok(Submitted { recipient, text, is_ucs2: coding == 8, wants_report: first & 0x20 != 0, part, validity })
}

pub fn octets(hex: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<char> = hex.chars().collect();
    if !digits.len().is_multiple_of(2) {
        return Err(format!("{} hexadecimal digits", digits.len()));
    }
    let pairs = digits.chunks(2).map(|pair| {
        let text: String = pair.iter().collect();
        if text.chars().any(|digit| !matches!(digit, '0'..='9' | 'A'..='F')) {
            return Err(format!("{text:?} is not hexadecimal"));
        }
        u8::from_str_radix(&text, 16).map_err(|error| error.to_string())
    });
    pairs.collect()
}

fn seven_bits(data: &[u8], septets: usize, has_header: bool) -> Result<(String, Option<&[u8]>), String> {
    if septets > 160 {
        return Err(format!("{septets} septets"));
    }
    if data.len() != (septets * 7).div_ceil(8) {
        return Err(format!("{septets} septets in {} octets", data.len()));
    }
    let bits: Vec<bool> =
        data.iter().flat_map(|octet| (0..8).map(move |bit| octet >> bit & 1 == 1)).collect();
    let header = if has_header { Some(header(data)?) } else { None };
    let header_bits = header.map_or(0, |header| (header.len() + 1) * 8);
    let start = header_bits.div_ceil(7) * 7;
    if bits[header_bits..start.min(bits.len())].iter().chain(&bits[septets * 7..]).any(|bit| *bit) {
        return Err("bits that fill are not zero".to_owned());
    }
    let mut text = String::new();
    let mut is_escaped = false;
    for septet in bits[start..septets * 7].chunks(7) {
        let value = septet.iter().rev().fold(0, |value, bit| value * 2 + usize::from(*bit));
        if is_escaped {
            text.push(extended(value).ok_or_else(|| format!("extension {value:02X} is not in the table"))?);
            is_escaped = false;
        } else if value == 0x1B {
            is_escaped = true;
        } else {
            text.push(ALPHABET[value / 16][value % 16]);
        }
    }
    if is_escaped {
        return Err("it ends within an escape sequence".to_owned());
    }
    Ok((text, header))
}

fn extended(value: usize) -> Option<char> {
    match value {
        0x0A => Some('\u{c}'),
        0x14 => Some('^'),
        0x28 => Some('{'),
        0x29 => Some('}'),
        0x2F => Some('\\'),
        0x3C => Some('['),
        0x3D => Some('~'),
        0x3E => Some(']'),
        0x40 => Some('|'),
        0x65 => Some('€'),
        _ => None,
    }
}

fn sixteen_bits(data: &[u8], length: usize, has_header: bool) -> Result<(String, Option<&[u8]>), String> {
    if length > 140 || data.len() != length {
        return Err(format!("{length} octets of text announced, {} came", data.len()));
    }
    let header = if has_header { Some(header(data)?) } else { None };
    let text = utf16(&data[header.map_or(0, |header| header.len() + 1)..])?;
    Ok((text, header))
}

pub fn utf16(octets: &[u8]) -> Result<String, String> {
    if !octets.len().is_multiple_of(2) {
        return Err("half a character".to_owned());
    }
    let units: Vec<u16> =
        octets.chunks(2).map(|pair| u16::from(pair[0]) * 256 + u16::from(pair[1])).collect();
    String::from_utf16(&units).map_err(|_| "half a surrogate pair".to_owned())
}

fn header(data: &[u8]) -> Result<&[u8], String> {
    let length = usize::from(*data.first().ok_or("no header")?);
    data.get(1..=length).ok_or_else(|| format!("a header of {length} octets"))
}

fn part(header: &[u8]) -> Result<(u8, u8, u8), String> {
    match *header {
        [0, 3, reference, total, number] if (1..=total).contains(&number) => Ok((reference, total, number)),
        _ => Err(format!("header {header:02X?}")),
    }
}

/// A status report about a message to `recipient` (`+` and digits), as a service centre sends it: without a number of its own.
pub fn status_report(reference: u8, recipient: &str, status: u8) -> String {
    let digits = recipient.trim_start_matches('+');
    let padded = if digits.len() % 2 == 1 { format!("{digits}F") } else { digits.to_owned() };
    let swapped: String =
        padded.as_bytes().chunks(2).flat_map(|pair| [pair[1], pair[0]]).map(char::from).collect();
    let times = "52112590000040".repeat(2);
    format!("0006{reference:02X}{:02X}91{swapped}{times}{status:02X}", digits.len())
}
