//! The QR code on a device (LoRa Alliance TR005) and its two drafts, which are still printed.
//!
//! None of them carries the AppKey; some makers put it into the proprietary field. A device found by its code is therefore
//! known, not paired: that needs its key, and then a join.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::hex;
use super::ids::{Eui, Key};

/// A version 40 code holds 4,296 alphanumeric characters; a label has a tenth of that.
pub const TEXT_BYTES_MAX: usize = 512;

/// What a label says.
#[derive(Clone, PartialEq, Eq)]
pub struct Label {
    pub join_eui: Eui,
    pub dev_eui: Eui,
    pub profile: Profile,
    pub serial: Option<String>,
    pub owner_token: Option<String>,
    /// The maker's own; see [`Label::app_key`].
    proprietary: Option<String>,
    pub checksum: Checksum,
}

/// Who made it and what it is, in the maker's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Given by the LoRa Alliance.
    pub vendor: u16,
    pub vendor_profile: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// The label has none.
    None,
    Right,
    /// The field is there, but it is no checksum.
    Unreadable,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    #[error("not a LoRaWAN label: it begins neither with LW:D0 nor with URN")]
    NotALabel,
    #[error("text of {0} bytes, longer than any label")]
    TooLong(usize),
    #[error("the label ends before its {0}")]
    Missing(&'static str),
    #[error("its {0} is not {1} hexadecimal digits")]
    Field(&'static str, usize),
    #[error("the checksum is {got:04X}, the text gives {want:04X}: scan it again")]
    Checksum { got: u16, want: u16 },
}

impl Label {
    /// The proprietary field, if it is a key: 32 hex digits.
    pub fn app_key(&self) -> Option<Key> {
        self.proprietary.as_deref().and_then(Key::parse)
    }

    /// The proprietary field, if it is none.
    pub fn proprietary(&self) -> Option<&str> {
        self.proprietary.as_deref().filter(|text| Key::parse(text).is_none())
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Label")
            .field("join_eui", &self.join_eui)
            .field("dev_eui", &self.dev_eui)
            .field("profile", &self.profile)
            .field("serial", &self.serial)
            .field("app_key", &self.app_key())
            .field("checksum", &self.checksum)
            .finish_non_exhaustive()
    }
}

/// Reads a scanned or typed label, upper or lower case.
pub fn parse(text: &str) -> Result<Label, LabelError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(LabelError::TooLong(text.len()));
    }
    let text = text.trim();
    let after = |prefix: &str| {
        let (head, rest) = text.split_at_checked(prefix.len())?;
        head.eq_ignore_ascii_case(prefix).then_some(rest)
    };
    if let Some(rest) = after("LW:D0:") {
        final_form(text, rest)
    } else if let Some(rest) = after("URN:LW:DP:") {
        draft_2(rest)
    } else if let Some(rest) = after("URN:DEV:LW:") {
        draft_3(rest)
    } else {
        Err(LabelError::NotALabel)
    }
}

fn final_form(whole: &str, rest: &str) -> Result<Label, LabelError> {
    let mut parts = rest.split(':');
    let mut label = identity(&mut parts)?;
    // Where the optional fields begin: behind the head, two EUIs and the profile, each with its colon.
    let mut at = whole.len() - rest.len() + 17 + 17 + 9;
    for part in parts {
        label.take(part);
        if let Some(digits) = part.strip_prefix(['C', 'c']).filter(|digits| !digits.is_empty()) {
            // Over all that stands before its colon, in the upper case of the code.
            label.checksum = check(digits, &whole[..at - 1].to_ascii_uppercase())?;
        }
        at += part.len() + 1;
    }
    Ok(label)
}

/// Draft 2: extensions follow the profile, each behind an escaped `%`.
fn draft_2(rest: &str) -> Result<Label, LabelError> {
    let mut parts = rest.split(':');
    let mut label = identity(&mut parts)?;
    for part in parts {
        for extension in unescape(part).split('%').filter(|extension| !extension.is_empty()) {
            label.take_draft(extension);
        }
    }
    Ok(label)
}

/// Draft 3: underscores.
fn draft_3(rest: &str) -> Result<Label, LabelError> {
    let mut parts = rest.split('_');
    let mut label = identity(&mut parts)?;
    for part in parts {
        label.take_draft(&unescape(part));
    }
    Ok(label)
}

fn identity<'a>(parts: &mut impl Iterator<Item = &'a str>) -> Result<Label, LabelError> {
    let mut next = |name, digits: usize| {
        let part: &str = parts.next().ok_or(LabelError::Missing(name))?;
        let bytes = hex::decode(part).filter(|bytes| bytes.len() * 2 == digits);
        bytes.ok_or(LabelError::Field(name, digits))
    };
    let eui = |bytes: Vec<u8>| Eui(bytes.try_into().expect("16 digits are 8 bytes"));
    let join_eui = eui(next("JoinEUI", 16)?);
    let dev_eui = eui(next("DevEUI", 16)?);
    let profile = next("ProfileID", 8)?;
    Ok(Label {
        join_eui,
        dev_eui,
        profile: Profile {
            vendor: u16::from_be_bytes([profile[0], profile[1]]),
            vendor_profile: u16::from_be_bytes([profile[2], profile[3]]),
        },
        serial: None,
        owner_token: None,
        proprietary: None,
        checksum: Checksum::None,
    })
}

impl Label {
    /// Takes an optional field; empty ones and those of an unknown letter are left alone.
    fn take(&mut self, part: &str) {
        let Some((letter, value)) = part.split_at_checked(1).filter(|(_, value)| !value.is_empty()) else {
            return;
        };
        match letter {
            "O" | "o" => self.owner_token = Some(value.to_owned()),
            "S" | "s" => self.serial = Some(value.to_owned()),
            "P" | "p" => self.proprietary = Some(value.to_owned()),
            _ => {}
        }
    }

    /// In the drafts the owner's token is V.
    fn take_draft(&mut self, extension: &str) {
        match extension.strip_prefix(['V', 'v']) {
            Some(token) if !token.is_empty() => self.owner_token = Some(token.to_owned()),
            _ => self.take(extension),
        }
    }
}

fn check(digits: &str, before: &str) -> Result<Checksum, LabelError> {
    let Some(bytes) = hex::decode(digits).filter(|bytes| bytes.len() == 2) else {
        return Ok(Checksum::Unreadable);
    };
    let (got, want) = (u16::from_be_bytes([bytes[0], bytes[1]]), crc16(before.as_bytes()));
    if got == want { Ok(Checksum::Right) } else { Err(LabelError::Checksum { got, want }) }
}

/// CRC-16/MODBUS.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xa001 } else { crc >> 1 })
    })
}

/// `%25` and its like; what is no escape stands for itself.
fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        let escaped = (*byte == b'%')
            .then(|| after.get(..2).and_then(|digits| hex::decode(str::from_utf8(digits).ok()?)))
            .flatten();
        match escaped {
            Some(decoded) => {
                out.extend(decoded);
                rest = &after[2..];
            }
            None => {
                out.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "LW:D0:42FFFFFFFFFFFFFF:4242FFFFFFFFFFFF:42FFFF42";

    /// JoinEUI, DevEUI, vendor, vendor's profile, owner, serial, proprietary, checksum.
    #[track_caller]
    fn check(text: &str, want: &str) {
        let got = match parse(text) {
            Ok(label) => format!(
                "{} {} {:04X} {:04X} {} {} {} {:?}",
                label.join_eui,
                label.dev_eui,
                label.profile.vendor,
                label.profile.vendor_profile,
                label.owner_token.as_deref().unwrap_or("-"),
                label.serial.as_deref().unwrap_or("-"),
                label.proprietary().unwrap_or("-"),
                label.checksum
            ),
            Err(error) => error.to_string(),
        };
        assert_eq!(got, want, "{text}");
    }

    #[test]
    fn labels_of_the_final_form() {
        check(
            "LW:D0:1122334455667788:AABBCCDDEEFF0011:AABB1122:OAABBCCDDEEFF:SYYWWNNNNNN:PFOOBAR:CAF2C",
            "1122334455667788 AABBCCDDEEFF0011 AABB 1122 AABBCCDDEEFF YYWWNNNNNN FOOBAR Right",
        );
        check(
            "lw:d0:1122334455667788:aabbccddeeff0011:aabb1122:oaabbccddeeff:syywwnnnnnn:pfoobar:caf2c:s8",
            "1122334455667788 AABBCCDDEEFF0011 AABB 1122 aabbccddeeff 8 foobar Right",
        );
        let plain = "42FFFFFFFFFFFFFF 4242FFFFFFFFFFFF 42FF FF42";
        check(PLAIN, &format!("{plain} - - - None"));
        check(&PLAIN.to_lowercase(), &format!("{plain} - - - None"));
        check(&format!("  {PLAIN}\r\n"), &format!("{plain} - - - None"));
        check(&format!("{PLAIN}:O:S:P:"), &format!("{plain} - - - None"));
        check(
            &format!("{PLAIN}:CCHECKSUM:O0102:SSERIAL:PPROPRIETARY"),
            &format!("{plain} 0102 SERIAL PROPRIETARY Unreadable"),
        );
        check(&format!("{PLAIN}:Xunknown:S7"), &format!("{plain} - 7 - None"));
        check(
            "LW:D0:0000000000000000:1122334455667789:00000000",
            "0000000000000000 1122334455667789 0000 0000 - - - None",
        );
    }

    #[test]
    fn labels_of_the_drafts() {
        check(
            "URN:DEV:LW:70B3D57ED0000000_0004A31000FFFFFF_00000000_VD53FFFFF",
            "70B3D57ED0000000 0004A31000FFFFFF 0000 0000 D53FFFFF - - None",
        );
        let plain = "42FFFFFFFFFFFFFF 4242FFFFFFFFFFFF 42FF FF42";
        check("URN:DEV:LW:42FFFFFFFFFFFFFF_4242FFFFFFFFFFFF_42FFFF42", &format!("{plain} - - - None"));
        check(
            "URN:LW:DP:42FFFFFFFFFFFFFF:4242FFFFFFFFFFFF:42FFFF42:%25VABCD",
            &format!("{plain} ABCD - - None"),
        );
        check(
            "URN:LW:DP:42FFFFFFFFFFFFFF:4242FFFFFFFFFFFF:42FFFF42:%25VAB%25S9",
            &format!("{plain} AB 9 - None"),
        );
        check("URN:LW:DP:42FFFFFFFFFFFFFF:4242FFFFFFFFFFFF:42FFFF42", &format!("{plain} - - - None"));
    }

    #[test]
    fn what_is_no_label_says_why() {
        check("", "not a LoRaWAN label: it begins neither with LW:D0 nor with URN");
        check("https://example.com", "not a LoRaWAN label: it begins neither with LW:D0 nor with URN");
        check("LÄ:D0:42", "not a LoRaWAN label: it begins neither with LW:D0 nor with URN");
        check("LW:D0:42FFFFFFFFFFFFFF:4242FFFFFFFFFFFF", "the label ends before its ProfileID");
        check("LW:D0:42FFFFFFFFFFFF:4242FFFFFFFFFFFF:42FFFF42", "its JoinEUI is not 16 hexadecimal digits");
        check("LW:D0:42FFFFFFFFFFFFFF:4242FFFFFFFFFFFG:42FFFF42", "its DevEUI is not 16 hexadecimal digits");
        check(
            "LW:D0:42FFFFFFFFFFFFFF:4242FFFFFFFFFFFF:42FFFF424242",
            "its ProfileID is not 8 hexadecimal digits",
        );
        check(
            "LW:D0:1122334455667788:AABBCCDDEEFF0012:AABB1122:OAABBCCDDEEFF:SYYWWNNNNNN:PFOOBAR:CAF2C",
            "the checksum is AF2C, the text gives 5D6F: scan it again",
        );
        check(&"LW:D0:".repeat(100), "text of 600 bytes, longer than any label");
    }

    #[test]
    fn a_key_in_the_proprietary_field_is_a_key_and_not_shown() {
        let label = parse(&format!("{PLAIN}:P00112233445566778899AABBCCDDEEFF")).unwrap();
        assert_eq!(label.app_key(), Key::parse("00112233445566778899aabbccddeeff"));
        assert_eq!(label.proprietary(), None);
        assert!(!format!("{label:?}").contains("0011"), "{label:?}");
        assert_eq!(parse(&format!("{PLAIN}:PFOO")).unwrap().app_key(), None);
    }
}
