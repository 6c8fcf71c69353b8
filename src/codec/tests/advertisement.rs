use super::check;

#[test]
fn ruuvi_raw_v2() {
    let check = |hex: &str, expected: &str| check("ruuvi/ruuvitag", 0, hex, expected);
    // The format's own test vectors: valid, highest, lowest, unknown.
    let valid = "0512FC5394C37C0004FFFC040CAC364200CDCBB8334C884F";
    check(valid, "internal 24.30 C, internal 53.5 %, battery 2977 mV");
    check(
        "057FFFFFFEFFFE7FFF7FFF7FFFFFDEFEFFFECBB8334C884F",
        "internal fault out_of_range, internal fault humidity, battery 3646 mV",
    );
    check(
        "058001000000008001800180010000000000CBB8334C884F",
        "internal fault out_of_range, internal 0.0 %, battery 1600 mV",
    );
    check("058000FFFFFFFF800080008000FFFFFFFFFFFFFFFFFFFFFF", "internal fault disconnected");
    check(&valid.replace("12FC", "F1F0"), "internal -18.00 C, internal 53.5 %, battery 2977 mV");
    check(&valid.replace("12FC", "FFFF"), "internal -0.01 C, internal 53.5 %, battery 2977 mV");
    check(&valid[..46], "error: payload ends after 23 bytes where 24 are needed");
    check("03291A1ECE1EFC18F94202CA0B53", "error: Ruuvi's data format 3 is not known; update its firmware");
}

#[test]
fn xiaomi_with_open_firmware() {
    let check = |hex: &str, expected: &str| check("xiaomi/atc", 0, hex, expected);
    check(
        "A4C138112233 00F9 2D 55 0B8F 2A",
        "internal 24.90 C, internal 45.0 %, battery 85 %, battery 2959 mV",
    );
    check(
        "A4C138112233 FF4C 3C 55 0B8F 2B",
        "internal -18.00 C, internal 60.0 %, battery 85 %, battery 2959 mV",
    );
    check(
        "332211 38C1A4 F8F8 7017 8F0B 55 2C 04",
        "internal -18.00 C, internal 60.0 %, battery 85 %, battery 2959 mV",
    );
    check("332211 38C1A4 BA09 9411 8F0B FF 2C 04", "internal 24.90 C, internal 45.0 %, battery 2959 mV");
    check("332211 38C1A4 BA09 9411 8F0B FF", "error: payload ends after 13 bytes where 15 are needed");
    check("332211 38C1A4 BA09 9411 8F", "error: 11 bytes are neither 13 nor 15; encrypted ones are not read");
}

#[test]
fn govee() {
    check("govee/h5075", 0, "00 03519E 64 00", "internal 21.70 C, internal 50.2 %, battery 100 %");
    check("govee/h5075", 0, "00 82C0B0 5F 00", "internal -18.00 C, internal 40.0 %, battery 95 %");
    check("govee/h5075", 0, "00 03519E E4 00", "internal fault reported");
    // H5101 and H5102.
    check("govee/h5075", 0, "0101 036DCC 5C", "internal 22.40 C, internal 71.6 %, battery 92 %");
    check("govee/h5075", 0, "0101 82C0B0 5F", "internal -18.00 C, internal 40.0 %, battery 95 %");
    check("govee/h5074", 0, "00 DD07 9113 64 02", "internal 20.13 C, internal 50.1 %, battery 100 %");
    check("govee/h5074", 0, "00 F8F8 9113 64 02", "internal -18.00 C, internal 50.1 %, battery 100 %");
    check("govee/h5075", 0, "00 DD07 9113 64 02", "error: it looks like a govee/h5074; pair it as one");
    check("govee/h5074", 0, "00 03519E 64 00", "error: it looks like a govee/h5075; pair it as one");
    check("govee/h5179", 0, "EC000101 0A0A A406 64", "internal 25.70 C, internal 17.0 %, battery 100 %");
    check("govee/h5179", 0, "EC000101 F8F8 A406 64", "internal -18.00 C, internal 17.0 %, battery 100 %");
}

#[test]
fn bthome() {
    let check = |hex: &str, expected: &str| check("bthome/bthome", 0, hex, expected);
    check("40 02CA09 03BF13", "internal 25.06 C, internal 50.5 %");
    check("44 0061 0152 02F8F8 2E37", "battery 82 %, internal -18.00 C, internal 55.0 %");
    check("40 454CFF 454EFF 57EE", "internal -18.00 C, 1 -17.80 C, 2 -18.00 C");
    check("40 0C020C 04138A01 1A01 2001", "battery 3074 mV, open, leak true");
    check("40 1100 2D01", "closed, open");
    // What follows an object of unknown length cannot be read.
    check("40 02CA09 F00102", "internal 25.06 C");
    check("40 F00102", "error: BTHome object 0xf0 is not known");
    check("41 02CA09", "error: encrypted BTHome is not read; switch encryption off");
    check("20 02CA09", "error: BTHome version 1 is not known");
    check("40 02CA", "error: payload ends after 3 bytes where 4 are needed");
}

#[test]
fn packets_are_numbered_where_the_format_has_a_number() {
    let ruuvi = |sequence: &str| format!("05 12FC5394C37C0004FFFC040CAC3642 {sequence} CBB8334C884F");
    for (model, hex, want) in [
        ("ruuvi/ruuvitag", ruuvi("00CD").as_str(), Some((0x00CD, 16))),
        ("ruuvi/ruuvitag", &ruuvi("FFFE"), Some((0xFFFE, 16))),
        ("ruuvi/ruuvitag", &ruuvi("FFFF"), None),
        ("ruuvi/ruuvitag", "03 12FC5394C37C0004FFFC040CAC3642 00CD", None),
        ("ruuvi/ruuvitag", "05 12FC", None),
        ("xiaomi/atc", "A4C138112233 00E6 32 64 0BB8 07", Some((7, 8))),
        ("xiaomi/atc", "332211 38C1A4 E808 1027 B80B 64 09 0F", Some((9, 8))),
        ("xiaomi/atc", "A4C138112233 00E6", None),
        ("bthome/bthome", "40 00 FE 02 CA09", Some((0xFE, 8))),
        ("bthome/bthome", "40 02 CA09", None),
        ("bthome/bthome", "40 00", None),
        ("govee/h5075", "00 03 51 9E 64 00", None),
        ("dragino/lht65n", "40 00 FE 02 CA09", None),
    ] {
        let bytes = super::bytes(hex);
        let number = crate::codec::find(model).unwrap().packet_number(&bytes);
        assert_eq!(number.map(|number| (number.value, number.bits)), want, "{model} {hex}");
    }
}
