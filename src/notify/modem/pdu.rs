//! Transfer-layer messages (3GPP TS 23.040): SMS-SUBMIT out, SMS-STATUS-REPORT in.

use super::alphabet;
use super::plan::Coding;
use super::{hex, unhex};

/// TP-MTI of SMS-SUBMIT and of SMS-STATUS-REPORT (9.2.3.1).
const SUBMIT: u8 = 0b01;
const STATUS_REPORT: u8 = 0b10;
const TYPE_MASK: u8 = 0b11;
/// TP-VPF: the validity period is one octet, relative (9.2.3.3).
const VALIDITY_RELATIVE: u8 = 0b10 << 3;
/// TP-SRR (9.2.3.5).
const REPORT_REQUESTED: u8 = 1 << 5;
/// TP-UDHI (9.2.3.23).
const HAS_HEADER: u8 = 1 << 6;
/// TP-VP: 12 h and 24 half hours, a day (9.2.3.12.1). A phone that was off for the night still hears of it; after that the
/// alarm has been called again or is over.
pub const VALIDITY: u8 = 143 + 24;
/// What [`VALIDITY`] says.
pub const VALIDITY_MS: i64 = 24 * 3_600_000;
/// Type of address: international number, ISDN numbering plan (9.1.2.5).
const INTERNATIONAL: u8 = 0x91;
/// TP-DCS (TS 23.038, 4).
const DCS_GSM7: u8 = 0x00;
const DCS_UCS2: u8 = 0x08;
/// Octets of a time stamp (9.2.3.11).
const TIME_OCTETS: usize = 7;

/// An E.164 number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number(String);

impl Number {
    /// `+` and 7 to 15 digits, the first not a zero. Spaces are not taken: who wrote them did not mean this field.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('+')?;
        let is_number = (7..=15).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0');
        is_number.then(|| Self(digits.to_owned()))
    }

    /// Without the `+`.
    pub fn digits(&self) -> &str {
        &self.0
    }
}

/// Which part of a longer text (9.2.3.24.1, 8-bit reference).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The same in all parts.
    pub reference: u8,
    pub total: u8,
    /// From 1.
    pub number: u8,
}

/// A message to the service centre.
pub struct Submit<'a> {
    pub to: &'a Number,
    pub coding: Coding,
    pub text: &'a str,
    pub part: Option<Part>,
    pub wants_report: bool,
}

/// What `AT+CMGS` takes in PDU mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pdu {
    /// With the service centre's address in front: none, which is the SIM's own.
    pub hex: String,
    /// Octets without that address, as the command wants them counted (TS 27.005, 4.3).
    pub octets: usize,
}

impl Submit<'_> {
    pub fn encode(&self) -> Pdu {
        let mut first = SUBMIT | VALIDITY_RELATIVE;
        if self.wants_report {
            first |= REPORT_REQUESTED;
        }
        if self.part.is_some() {
            first |= HAS_HEADER;
        }
        // TP-MR is the modem's to fill in.
        let mut octets = vec![first, 0];
        let digits = self.to.digits();
        octets.extend([digits.len() as u8, INTERNATIONAL]);
        octets.extend(semi_octets(digits));
        let dcs = match self.coding {
            Coding::Gsm7 => DCS_GSM7,
            Coding::Ucs2 => DCS_UCS2,
        };
        octets.extend([0, dcs, VALIDITY]);
        octets.extend(self.user_data());
        // Octet 00: no address, the service centre is the one on the SIM.
        Pdu { hex: format!("00{}", hex(&octets)), octets: octets.len() }
    }

    /// TP-UDL and TP-UD (9.2.3.16, 9.2.3.24).
    fn user_data(&self) -> Vec<u8> {
        let header = match self.part {
            Some(part) => vec![5, 0, 3, part.reference, part.total, part.number],
            None => Vec::new(),
        };
        match self.coding {
            Coding::Gsm7 => {
                let septets = alphabet::septets(self.text);
                // The text begins on a septet boundary, counted from the start of the header.
                let header_septets = (header.len() * 8).div_ceil(7);
                let fill_bits = header_septets * 7 - header.len() * 8;
                let length = header_septets + septets.len();
                [vec![length as u8], header, alphabet::pack(&septets, fill_bits)].concat()
            }
            Coding::Ucs2 => {
                let text: Vec<u8> = self.text.encode_utf16().flat_map(u16::to_be_bytes).collect();
                let length = header.len() + text.len();
                [vec![length as u8], header, text].concat()
            }
        }
    }
}

/// Digits, the lower half of an octet first, an odd one filled by F (9.1.2.3).
fn semi_octets(digits: &str) -> Vec<u8> {
    let digit = |byte: &u8| byte - b'0';
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| digit(&pair[0]) | pair.get(1).map_or(0xF0, |second| digit(second) << 4)).collect()
}

/// What the service centre says of a message (9.2.2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusReport {
    /// TP-MR: as `+CMGS` told it.
    pub reference: u8,
    /// Digits of the recipient, as the service centre writes them.
    pub recipient: String,
    /// The recipient begins with its country's code.
    pub is_international: bool,
    pub status: Status,
}

/// TP-ST (9.2.3.15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Delivered,
    /// Handed on to where nothing is confirmed, or replaced: nobody will ever know.
    Unconfirmed,
    /// Not yet; the service centre goes on trying.
    Trying,
    /// It has given up.
    Failed(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    #[error("it is not hexadecimal")]
    NotHex,
    #[error("it ends too early")]
    TooShort,
    #[error("it is no status report")]
    OtherType,
    #[error("a field is not of its format")]
    BadField,
}

impl StatusReport {
    /// Reads the second line of a `+CDS` in PDU mode.
    pub fn parse(text: &str) -> Result<Self, ReportError> {
        let octets = unhex(text).ok_or(ReportError::NotHex)?;
        let mut rest = octets.as_slice();
        let centre = usize::from(take(&mut rest, 1)?[0]);
        take(&mut rest, centre)?;
        if take(&mut rest, 1)?[0] & TYPE_MASK != STATUS_REPORT {
            return Err(ReportError::OtherType);
        }
        let [reference, digits, address_type] = *take(&mut rest, 3)? else {
            return Err(ReportError::TooShort);
        };
        let digits = usize::from(digits);
        let recipient = number(take(&mut rest, digits.div_ceil(2))?, digits);
        take(&mut rest, 2 * TIME_OCTETS)?;
        let status = Status::of(take(&mut rest, 1)?[0]);
        let is_international = address_type >> 4 & 0b111 == INTERNATIONAL >> 4 & 0b111;
        Ok(Self { reference, recipient, is_international, status })
    }

    /// Reads what stands behind `+CDS:` in text mode: fo, mr, \[ra\], \[tora\], scts, dt, st (TS 27.005, 3.4.1).
    pub fn parse_text(text: &str) -> Result<Self, ReportError> {
        let fields = fields(text);
        let octet = |at: usize| fields.get(at)?.parse::<u8>().ok();
        if fields.len() < TEXT_FIELDS {
            return Err(ReportError::TooShort);
        }
        let (Some(first), Some(reference), Some(status)) =
            (octet(0), octet(1), fields.last().and_then(|last| last.parse().ok()))
        else {
            return Err(ReportError::BadField);
        };
        if first & TYPE_MASK != STATUS_REPORT {
            return Err(ReportError::OtherType);
        }
        let address = fields.get(2).map(String::as_str).unwrap_or_default();
        // Plain digits are not taken for hexadecimal ones: four digits of a number are no digit.
        let is_number = |text: &String| text.chars().all(|one| one == '+' || one.is_ascii_digit());
        let address = from_ucs2(address).filter(is_number).unwrap_or_else(|| address.to_owned());
        let recipient: String = address.chars().filter(char::is_ascii_digit).collect();
        let is_international = address.starts_with('+') || octet(3) == Some(INTERNATIONAL);
        Ok(Self { reference, recipient, is_international, status: Status::of(status) })
    }

    /// Whether it can be about a message to `number`. Some service centres write the number as it is dialled at home.
    pub fn is_about(&self, number: &Number) -> bool {
        if self.is_international {
            return self.recipient == number.digits();
        }
        let dialled = self.recipient.trim_start_matches('0');
        dialled.len() >= NATIONAL_DIGITS_MIN && number.digits().ends_with(dialled)
    }
}

/// What a status report has in text mode, empty ones counted.
const TEXT_FIELDS: usize = 7;
/// Fewer digits of a number in common are a coincidence.
const NATIONAL_DIGITS_MIN: usize = 6;

impl Status {
    pub fn of(octet: u8) -> Self {
        match octet {
            0x00 => Status::Delivered,
            // From 0x80: reserved, not known to be anything.
            0x01..=0x1F | 0x80.. => Status::Unconfirmed,
            0x20..=0x3F => Status::Trying,
            0x40 => Status::Failed("remote procedure error"),
            0x41 => Status::Failed("incompatible destination"),
            0x42 => Status::Failed("the recipient's side rejected it"),
            0x43 => Status::Failed("the recipient cannot be reached"),
            0x44 | 0x64 => Status::Failed("the quality of service is not available"),
            0x45 => Status::Failed("no interworking"),
            0x46 => Status::Failed("the phone was not reached for a day; the message is out of date"),
            0x47 => Status::Failed("deleted by the sender"),
            0x48 => Status::Failed("deleted by the service centre"),
            0x49 => Status::Failed("the service centre does not know it"),
            0x60 => Status::Failed("congestion"),
            0x61 => Status::Failed("the recipient's phone is busy"),
            0x62 => Status::Failed("the recipient's phone does not answer"),
            0x63 => Status::Failed("the service was rejected"),
            0x65 => Status::Failed("error in the recipient's phone"),
            0x4A..=0x7F => Status::Failed("the service centre gave up"),
        }
    }
}

/// The fields of an information text: separated by commas, the quotes of texts taken away.
pub fn fields(text: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut is_quoted = false;
    for character in text.trim().chars() {
        match character {
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => fields.push(String::new()),
            _ => fields.last_mut().expect("begins with one").push(character),
        }
    }
    fields.iter().map(|field| field.trim().to_owned()).collect()
}

/// A text as it is written with `AT+CSCS="UCS2"`: four hexadecimal digits a UTF-16 unit. None: it is not written so.
pub fn from_ucs2(text: &str) -> Option<String> {
    let octets = unhex(text).filter(|octets| octets.len().is_multiple_of(2))?;
    let units: Vec<u16> = octets.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    String::from_utf16(&units).ok()
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], ReportError> {
    let (taken, left) = rest.split_at_checked(count).ok_or(ReportError::TooShort)?;
    *rest = left;
    Ok(taken)
}

fn number(octets: &[u8], digits: usize) -> String {
    let halves = octets.iter().flat_map(|octet| [octet & 0x0F, octet >> 4]);
    halves.take(digits).filter(|half| *half < 10).map(|half| char::from(b'0' + half)).collect()
}
