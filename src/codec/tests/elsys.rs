//! Elsys.

use super::*;

#[test]
fn elsys() {
    for model in ["elsys/ers", "elsys/elsys", "Elsys/ERS"] {
        let check = |hex: &str, expected: &str| check(model, 5, hex, expected);
        check("0100E2 0229 040027 0506 060308 070D62", "internal 22.60 C, internal 41.0 %, battery 3426 mV");
        check("01FFCE 0250", "internal -5.00 C, internal 80.0 %");
        check("01FFFF", "internal -0.10 C");
        check("017FFF", "internal fault disconnected");
        check("018000", "internal fault out_of_range");
        check("0264", "internal 100.0 %");
        check("0265", "internal fault humidity");
        check("0100C8 0C0096", "internal 20.00 C, external 15.00 C");
        check("0CFF38", "external -20.00 C");
        check("0C0352", "external fault power_on_value");
        check("0CFB0A", "external fault disconnected");
        check("0C8003", "external fault out_of_range");
        check("1900C8 19FF38", "2 20.00 C, 3 -20.00 C");
        check("1200 1201", "leak false, leak true");
        // Every other type is skipped by its length.
        check("03 0A0B0C  04 0001  05 01  06 0001  08 0001  09 010203040506 0100C8", "internal 20.00 C");
        check("0A 0001  0B 00000001  0D 01  0E 0001  0F 01  10 00010002  11 01 0100C8", "internal 20.00 C");
        check(&format!("13 00{} 14 00000001 15 0102 16 0001 0100C8", "11".repeat(64)), "internal 20.00 C");
        check("17 00000001 18 0001 1A 01 1B 00000001 1C 0001 3D 01020304 0100C8", "internal 20.00 C");
        // Settings fill the rest.
        check("3E 01 0100C8 FF FF", "");
        check("7F", "error: Elsys type 0x7f is not known");
        check("0100C8 7F 01 0250", "internal 20.00 C");
        check("0100", "error: payload ends after 2 bytes where 3 are needed");
    }
    check("elsys/ers", 1, "0100C8", "internal 20.00 C");
}

#[test]
fn elsys_models() {
    // Elsys sensor payload document: the types are the same for every model.
    for model in ["elsys/ers-lite", "elsys/ems"] {
        check(model, 1, "01FFCE 0250 070E0A", "internal -5.00 C, internal 80.0 %, battery 3594 mV");
        check(model, 5, "017FFF 02FF", "internal fault disconnected, internal fault humidity");
    }
    check(
        "elsys/ems",
        5,
        "0100E2 0229 03000005 0A0000 0B00000000 1201",
        "internal 22.60 C, internal 41.0 %, leak true",
    );
    // The reed switch of the EMS Door is the digital input: 1 while the magnet is near.
    check("elsys/ems-door", 5, "03013FFA 070E0F 0B000007F4 0D01 0F00", "battery 3599 mV, closed");
    check("elsys/ems-door", 5, "0D00", "open");
    check("elsys/ems", 5, "0100E2 0D00", "internal 22.60 C, open");
    check("elsys/elt-2", 5, "0D00 070E0A", "battery 3594 mV");
    for model in ["elsys/elt-2", "elsys/elt-lite"] {
        check(model, 5, "070E0A 0CFF4C", "battery 3594 mV, external -18.00 C");
        check(model, 5, "0C0352", "external fault power_on_value");
    }
}

#[test]
fn elsys_values_measured_earlier() {
    let at = |hex: &str, received: Option<i64>| -> Vec<(Quantity, Option<i64>)> {
        let measured = decode("elsys/ers", 5, &bytes(hex), received.map(UnixMs)).unwrap();
        measured.into_iter().map(|one| (one.quantity, one.at.map(|at| at.0))).collect()
    };
    let cold = Quantity::Temperature(CentiCelsius(-1_800));
    let damp = Quantity::Humidity(8_000);
    // One, two and four bytes of seconds; the values around them are the frame's own.
    assert_eq!(at("41FF4C0A 0250", Some(1_000_000)), [(cold.clone(), Some(990_000)), (damp.clone(), None)]);
    assert_eq!(at("81FF4C012C 0250", Some(1_000_000)), [(cold.clone(), Some(700_000)), (damp.clone(), None)]);
    assert_eq!(at("C1FF4C000003E8", Some(1_000_000)), [(cold.clone(), Some(0))]);
    assert_eq!(at("41FF4C00", Some(1_000_000)), [(cold, None)]);
    // A skipped type with a time, and nobody who knows what time it is.
    assert_eq!(at("4400640A 41FF4C0A 0250", None), [(damp, None)]);
    check("elsys/ers", 5, "41FF4C", "error: payload ends after 3 bytes where 4 are needed");
}
