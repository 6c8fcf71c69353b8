//! Tektelic.

use super::*;

#[test]
fn tektelic_tundra() {
    // Channel table of the TUNDRA 2.3 data converter.
    let check = |port, hex: &str, expected: &str| check("tektelic/tundra", port, hex, expected);
    check(10, "00FF 0138 0367 00EC 0468 5A", "battery 3120 mV, internal 23.60 C, internal 45.0 %");
    check(10, "0367 FF4C 0468 C9", "internal -18.00 C, internal fault humidity");
    check(10, "0367 7FFF 0468 FF", "internal fault disconnected, internal fault humidity");
    check(10, "00D3 57 00BD 0123 0B67 00FF 0367 000A", "battery 87 %, internal 1.00 C");
    check(10, "0E00 00 0F04 0003", "closed");
    check(10, "0E00 01", "open");
    // Thermistors on the cable, as degrees and as volts.
    check(10, "0267 FF4C 0967 8000", "external -18.00 C, 2 fault out_of_range");
    check(10, "0202 07D0 0902 07D0 0000 FF 0771 000000000000", "");
    check(10, "FFFF 01", "error: Tektelic channel 0xff type 0xff is not known");
    check(10, "0367 FF4C FFFF 01", "internal -18.00 C");
    // A voltage below zero is none.
    check(10, "00FF FFFF", "");
    check(100, "39 0000003C", "");
    check(101, "01 00", "");
    check(32, "0001 0367 FF4C", "error: tektelic/tundra sends nothing on port 32");
}

#[test]
fn tektelic_smart_room() {
    // Smart Room Sensor user guide, generation 4, 4.2; channel table of COMFORT 4.3.
    for model in ["tektelic/comfort", "tektelic/smart-room-sensor"] {
        let check = |hex: &str, expected: &str| check(model, 10, hex, expected);
        check(
            "00BA 0E10 00D3 64 0367 FF4C 0468 78",
            "battery 3600 mV, battery 100 %, internal -18.00 C, internal 60.0 %",
        );
        check("0100 FF 0804 0001", "open");
        check("0100 00", "closed");
        check("0900 FF", "leak true");
        check("0900 00", "leak false");
        // The light in one byte; contacts, whose meaning hangs on what is connected; the presence sensor's view.
        check("1002 2A 0E00 FF 1E00 00 1204 00000001 0667 00FF 0367 000A", "internal 1.00 C");
        check("0200 FF 0502 0001 0A00 00 0C00 FF 0D04 0001 1102 0001 0367 000A", "internal 1.00 C");
        check("00D3 FF", "");
    }
}

#[test]
fn tektelic_breeze() {
    // Channel table of the BREEZE 2.1 data converter: the light in two bytes, air besides.
    let check = |hex: &str, expected: &str| check("tektelic/breeze", 10, hex, expected);
    check(
        "00D3 64 11D3 60 0BE4 01F4 0EE4 01F4 0C73 2710 0367 FF4C 0468 78 1002 0001 0200 00",
        "battery 100 %, internal -18.00 C, internal 60.0 %",
    );
    check("0367 8000", "internal fault out_of_range");
}
