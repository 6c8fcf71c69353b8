//! What names and what locks: EUIs, device addresses, keys. Each has the one text form the hub writes.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::hex;

/// An EUI-64 as it is printed on the device, most significant byte first. Shown as 16 upper-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Eui(pub [u8; 8]);

impl Eui {
    /// 16 hex digits, upper or lower case, with or without `-`, `:` or spaces between bytes or groups.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: String = text.trim().chars().filter(|c| !matches!(c, '-' | ':' | ' ')).collect();
        hex::decode(&digits).and_then(|bytes| bytes.try_into().ok()).map(Self)
    }

    /// As it goes over the air.
    pub fn to_le_bytes(self) -> [u8; 8] {
        let mut bytes = self.0;
        bytes.reverse();
        bytes
    }
}

impl fmt::Display for Eui {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode_upper(&self.0))
    }
}

impl fmt::Debug for Eui {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A device's address in a session. Several devices may have the same one; the MIC tells them apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DevAddr(pub u32);

impl DevAddr {
    /// 8 hex digits, most significant first.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 4] = hex::decode(text.trim())?.try_into().ok()?;
        Some(Self(u32::from_be_bytes(bytes)))
    }
}

impl fmt::Display for DevAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08X}", self.0)
    }
}

impl fmt::Debug for DevAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An AES-128 key. It is not in `Debug`; serialising it is for the store only.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 16]);

impl Key {
    pub fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// 32 hex digits, with or without `-`, `:` or spaces between them.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: String = text.trim().chars().filter(|c| !matches!(c, '-' | ':' | ' ')).collect();
        hex::decode(&digits).and_then(|bytes| bytes.try_into().ok()).map(Self)
    }

    pub(super) fn reveal(&self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// As text in every format, so that a store's column can be read by a person with `sqlite3`.
macro_rules! serde_as_text {
    ($name:ident, $what:literal, $show:expr) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let show: fn(&$name) -> String = $show;
                serializer.serialize_str(&show(self))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                $name::parse(&text).ok_or_else(|| D::Error::custom(concat!("not ", $what)))
            }
        }
    };
}

serde_as_text!(Eui, "an EUI of 16 hex digits", ToString::to_string);
serde_as_text!(DevAddr, "a device address of 8 hex digits", ToString::to_string);
serde_as_text!(Key, "a key of 32 hex digits", |key| hex::encode_upper(&key.0));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn euis_are_read_as_people_write_them() {
        for (text, want) in [
            ("A84041FFFF123456", Some("A84041FFFF123456")),
            ("a84041ffff123456", Some("A84041FFFF123456")),
            (" a8-40-41-ff-ff-12-34-56 ", Some("A84041FFFF123456")),
            ("A8:40:41:FF:FF:12:34:56", Some("A84041FFFF123456")),
            ("A84041FFFF12345", None),
            ("A84041FFFF1234567", None),
            ("A84041FFFF12345G", None),
            ("Ä84041FFFF12345", None),
            ("", None),
        ] {
            assert_eq!(Eui::parse(text).map(|eui| eui.to_string()).as_deref(), want, "{text:?}");
        }
    }

    #[test]
    fn a_key_is_stored_and_never_shown() {
        let key = Key::parse("00112233-44556677-8899AABB-CCDDEEFF").unwrap();
        assert_eq!(format!("{key:?}"), "Key(..)");
        let stored = serde_json::to_string(&key).unwrap();
        assert_eq!(stored, "\"00112233445566778899AABBCCDDEEFF\"");
        assert_eq!(serde_json::from_str::<Key>(&stored).unwrap(), key);
        let refused = serde_json::from_str::<Key>("\"0011\"").unwrap_err().to_string();
        assert!(!refused.contains("0011"), "{refused}");
    }
}
