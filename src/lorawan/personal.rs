//! What a personalised (ABP) device was given: three lines, each a name and a value, as its maker or its own console prints
//! them (`DevAddr = 26011BDA`). The names are needed, since two of the values look alike.

use serde::{Deserialize, Serialize};

use super::ids::{DevAddr, Key};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Personal {
    pub dev_addr: DevAddr,
    pub nwk_s_key: Key,
    pub app_s_key: Key,
    /// It counts from 0 again after losing power, and is heard all the same.
    pub accepts_reset: bool,
}

/// No message holds what stands where a key is expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PersonalError {
    #[error("there is no line of {0}; wanted are three: DevAddr, NwkSKey and AppSKey, each with its value")]
    Missing(&'static str),
    #[error("{0} stands there twice")]
    Twice(&'static str),
    #[error("{0} has {1} hexadecimal digits, and that is no such value")]
    Value(&'static str, usize),
    #[error("line {0} begins with none of DevAddr, NwkSKey and AppSKey")]
    Unknown(usize),
}

const NAMES: [(&str, usize); 3] = [("DevAddr", 8), ("NwkSKey", 32), ("AppSKey", 32)];

/// Empty lines are passed over.
pub fn parse(text: &str, accepts_reset: bool) -> Result<Personal, PersonalError> {
    let mut values: [Option<&str>; 3] = [None; 3];
    for (line, number) in text.lines().map(str::trim).zip(1..).filter(|(line, _)| !line.is_empty()) {
        let end = line.find(|c: char| !c.is_ascii_alphanumeric()).ok_or(PersonalError::Unknown(number))?;
        let (name, value) = line.split_at(end);
        let found = NAMES.iter().position(|(known, _)| known.eq_ignore_ascii_case(name));
        let found = found.ok_or(PersonalError::Unknown(number))?;
        let value = value.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '=' | ':'));
        if values[found].replace(value).is_some() {
            return Err(PersonalError::Twice(NAMES[found].0));
        }
    }
    let [dev_addr, nwk_s_key, app_s_key] = [0, 1, 2].map(|which| -> Result<&str, PersonalError> {
        values[which].ok_or(PersonalError::Missing(NAMES[which].0))
    });
    let bad = |which: usize| PersonalError::Value(NAMES[which].0, NAMES[which].1);
    Ok(Personal {
        dev_addr: DevAddr::parse(dev_addr?).ok_or_else(|| bad(0))?,
        nwk_s_key: Key::parse(nwk_s_key?).ok_or_else(|| bad(1))?,
        app_s_key: Key::parse(app_s_key?).ok_or_else(|| bad(2))?,
        accepts_reset,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NWK: &str = "00112233445566778899AABBCCDDEEFF";
    const APP: &str = "FFEEDDCCBBAA99887766554433221100";

    #[test]
    fn three_lines_in_any_order_and_form() {
        let want = Personal {
            dev_addr: DevAddr(0x2601_1bda),
            nwk_s_key: Key::parse(NWK).unwrap(),
            app_s_key: Key::parse(APP).unwrap(),
            accepts_reset: true,
        };
        for text in [
            format!("DevAddr 26011BDA\nNwkSKey {NWK}\nAppSKey {APP}\n"),
            format!("\r\nAPPSKEY={APP}\r\ndevaddr:26011bda\r\n\r\n  nwkskey = {NWK}"),
            format!(
                "AppSKey: FF EE DD CC BB AA 99 88 77 66 55 44 33 22 11 00\nDevAddr=26011bda\nNwkSKey\t{NWK}"
            ),
        ] {
            assert_eq!(parse(&text, true), Ok(want.clone()), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_keys() {
        let all = format!("DevAddr 26011BDA\nNwkSKey {NWK}\nAppSKey {APP}");
        for (text, want) in [
            (String::new(), PersonalError::Missing("DevAddr")),
            (format!("DevAddr 26011BDA\nAppSKey {APP}"), PersonalError::Missing("NwkSKey")),
            (format!("{all}\nappskey {APP}"), PersonalError::Twice("AppSKey")),
            (all.replace("26011BDA", "26011BD"), PersonalError::Value("DevAddr", 8)),
            (all.replace(NWK, &NWK[1..]), PersonalError::Value("NwkSKey", 32)),
            (all.replace("NwkSKey ", "NwkSKey"), PersonalError::Unknown(2)),
            (format!("{NWK}\n{APP}"), PersonalError::Unknown(1)),
            (format!("AppKey {NWK}"), PersonalError::Unknown(1)),
        ] {
            let error = parse(&text, false).unwrap_err();
            assert_eq!(error, want, "{text}");
            assert!(!error.to_string().contains("0011"), "{error}");
        }
    }
}
