//! What a modem says of its network: registration, signal, operator.

use serde::Serialize;

use super::pdu::fields;

/// 3GPP TS 27.007, 7.2 (`+CREG`) and 10.1.22 (`+CEREG`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    /// Not asked yet, or the modem does not know.
    #[default]
    Unknown,
    /// Neither registered nor looking for a network.
    Idle,
    Searching,
    /// The network refuses the SIM.
    Denied,
    Home,
    Roaming,
}

impl Registration {
    pub fn is_registered(self) -> bool {
        matches!(self, Registration::Home | Registration::Roaming)
    }

    /// Reads what stands behind the colon of an answer: n, stat, and more. With one field it is not an answer but the
    /// modem's own word about a change.
    pub fn parse_answer(text: &str) -> Option<Self> {
        let fields = fields(text);
        let (_mode, state) = (fields.first()?.parse::<u8>().ok()?, fields.get(1)?.parse().ok()?);
        Self::of(state)
    }

    fn of(state: u8) -> Option<Self> {
        Some(match state {
            0 => Registration::Idle,
            2 => Registration::Searching,
            3 => Registration::Denied,
            // 6 and 7: for SMS only; 9 and 10: with circuit-switched fallback not preferred.
            1 | 6 | 9 => Registration::Home,
            5 | 7 | 10 => Registration::Roaming,
            // 8: for emergency calls only.
            4 | 8 => Registration::Unknown,
            _ => return None,
        })
    }

    /// Of the two networks a modem may be registered with, the better.
    pub fn better(self, other: Self) -> Self {
        if self as u8 >= other as u8 { self } else { other }
    }

    pub fn words(self) -> &'static str {
        match self {
            Registration::Unknown => "it does not know any network",
            Registration::Idle => "it is not looking for a network",
            Registration::Searching => "it is still looking for a network; try another place or antenna",
            Registration::Denied => "the network refuses the SIM; ask the operator whether it is activated",
            Registration::Home => "registered",
            Registration::Roaming => "registered abroad",
        }
    }
}

/// dBm out of `+CSQ: <rssi>,<ber>` (TS 27.007, 8.5): -113 and 2 a step; 99 is unknown.
pub fn signal_dbm(text: &str) -> Option<i16> {
    match fields(text).first()?.parse::<i16>().ok()? {
        steps @ 0..=31 => Some(2 * steps - 113),
        _ => None,
    }
}

/// The name out of `+COPS: <mode>,<format>,<oper>` (TS 27.007, 7.3).
pub fn operator(text: &str) -> Option<String> {
    let name = fields(text).into_iter().nth(2)?;
    (!name.is_empty()).then(|| name.chars().take(NAME_CHARS_MAX).collect())
}

/// A long alphanumeric name has 16 characters (TS 27.007, 7.3); some modems write them in hexadecimal.
const NAME_CHARS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_about_the_network_are_read() {
        use Registration::{Denied, Home, Idle, Roaming, Searching, Unknown};
        for (text, want) in [
            ("0,1", Some(Home)),
            (" 2,5,\"00A1\",\"0001F2C3\",7", Some(Roaming)),
            ("0,0", Some(Idle)),
            ("0,2", Some(Searching)),
            ("1,3", Some(Denied)),
            ("0,4", Some(Unknown)),
            ("0,6", Some(Home)),
            // A change that nobody asked for.
            ("1", None),
            ("2,\"00A1\",\"0001F2C3\"", None),
            ("", None),
            ("0,77", None),
        ] {
            assert_eq!(Registration::parse_answer(text), want, "{text:?}");
        }
        for (text, want) in
            [("0,99", Some(-113)), ("13,0", Some(-87)), ("31,0", Some(-51)), ("99,99", None), ("x", None)]
        {
            assert_eq!(signal_dbm(text), want, "{text:?}");
        }
        for (text, want) in [(" 0,0,\"Telekom, DE\",7", Some("Telekom, DE")), ("0", None), ("0,0,\"\"", None)]
        {
            assert_eq!(operator(text).as_deref(), want, "{text:?}");
        }
        assert_eq!(Denied.better(Home), Home);
        assert_eq!(Searching.better(Idle), Searching);
    }
}
