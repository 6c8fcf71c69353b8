//! The text of a device's QR code.

use frostguard_hub::lorawan::ids::Key;
use frostguard_hub::lorawan::qr::{self, TEXT_BYTES_MAX};

pub fn run(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    match qr::parse(&text) {
        Ok(label) => {
            assert!(text.len() <= TEXT_BYTES_MAX);
            assert!(label.app_key().is_none() || label.proprietary().is_none());
            // What the label names is on it, and a key is not shown.
            let digits = text.to_ascii_uppercase();
            assert!(
                digits.contains(&label.dev_eui.to_string()) && digits.contains(&label.join_eui.to_string())
            );
            assert!(label.proprietary().is_none_or(|text| Key::parse(text).is_none()));
            let again = text.trim().to_ascii_uppercase();
            let upper = qr::parse(&again).expect("upper case is the code's own");
            assert_eq!(
                (upper.dev_eui, upper.join_eui, upper.profile),
                (label.dev_eui, label.join_eui, label.profile)
            );
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
