//! Dragino's other sensors.

use super::*;

#[test]
fn dragino_lds02() {
    let check = |port, hex: &str, expected: &str| check("dragino/lds02", port, hex, expected);
    check(10, "0B88 01 001BB3 000000 00", "battery 2952 mV, closed");
    check(10, "8B88 01 001BB3 00000A 01", "battery 2952 mV, open");
    check(10, "4B88 02 000001 00000A 00", "battery 2952 mV, leak true");
    check(10, "CB88 03 000000 000000 00", "battery 2952 mV, open, leak true");
    check(10, "0B88 07 000000 000000 00", "error: mode 7 of a door or leak sensor is not known");
    // The top bit is the counting mode there, not the door.
    check(7, "8B88 00000A", "battery 2952 mV");
    check(10, "0B88 01 001BB3 0000", "error: payload ends after 8 bytes where 10 are needed");
}

#[test]
fn dragino_doors_and_leaks_of_one_format() {
    // LDS01, LDS02, LWL01 and LWL02 user manuals, "Uplink Payload".
    check("dragino/lds01", 10, "8B88 01 001BB3 00000A 01", "battery 2952 mV, open");
    for model in ["dragino/lwl01", "dragino/lwl02"] {
        check(model, 10, "0C1E 02 000004 000000 00", "battery 3102 mV, leak false");
        check(model, 10, "4C1E 02 000004 000000 00", "battery 3102 mV, leak true");
    }
}

#[test]
fn dragino_lds03a() {
    // LDS03A user manual, "Uplink Payload": status, openings, minutes open, Unix time.
    let check = |port, hex: &str, expected: &str| check("dragino/lds03a", port, hex, expected);
    check(2, "01 000004 000003 62F15EE2", "open");
    check(2, "02 000004 000003 62F15EE2", "closed");
    check(
        3,
        "01 000004 000003 62F15EE2 00 000004 000003 62F15EEC 0000000000000000000000",
        "open @1659985634, closed @1659985644",
    );
    check(4, "0000000000", "");
    check(5, "0A 0100 01 FF 0BCA", "battery 3018 mV");
}

#[test]
fn dragino_lht52() {
    // LHT52 user manual, "Real-Time Temperature Data" and the sections after it.
    let check = |port, hex: &str, expected: &str| check("dragino/lht52", port, hex, expected);
    check(2, "08CD 0220 8000 01 61CD4EDD", "external fault out_of_range, internal 22.53 C, internal 54.4 %");
    check(2, "F5C6 0220 7FFF 01 61CD4EDD", "external fault disconnected, internal -26.18 C, internal 54.4 %");
    check(
        2,
        "7FFF 03E9 2134 01 61CD4EDD",
        "external fault power_on_value, internal fault disconnected, internal fault humidity",
    );
    check(
        3,
        "08CD 0220 F8F8 01 61CD4EDD 0000000000000000000000 F5C6 0220 7FFF 01 61CD4FDD",
        "external -18.00 C @1640845021, internal 22.53 C @1640845021, internal 54.4 % @1640845021, \
         external fault disconnected @1640845277, internal -26.18 C @1640845277, internal 54.4 % @1640845277",
    );
    // The external sensor's serial number.
    check(4, "28010203 04050607", "");
    check(5, "09 0100 01 00 0B3A", "battery 2874 mV");
    check(2, "08CD 0220", "error: payload ends after 4 bytes where 11 are needed");
}

#[test]
fn an_answer_of_an_lht52_measures_nothing() {
    let answer = bytes("08CD 0220 F8F8 01 61CD4EDD 01");
    assert_eq!(decode("dragino/lht52", 2, &answer, None), Ok(Vec::new()));
}

#[test]
fn dragino_d2x() {
    // LSN50v2-D20/D22/D23 and D20-LB user manuals, "Uplink Payload".
    for model in ["dragino/d23-lb", "dragino/lsn50v2-d23"] {
        let check = |hex: &str, expected: &str| check(model, 2, hex, expected);
        check("0CEA 0107 0000 0C 00FA FF38", "battery 3306 mV, 1 26.30 C, 2 25.00 C, 3 -20.00 C");
        check(
            "0CEA FF4C 0000 0D FFFF 7FFF",
            "battery 3306 mV, 1 -18.00 C, 2 fault disconnected, 3 fault disconnected",
        );
        check(
            "0CEA 0352 0000 0C 8000 FFFE",
            "battery 3306 mV, 1 fault power_on_value, 2 fault out_of_range, 3 -0.20 C",
        );
        // A generic mode, and the frame of the alarm's limits.
        check("0CEA FF4C 0000 00 00FA 00FA", "battery 3306 mV, 1 -18.00 C");
        check("FF38 0107 FF38 7C 00FA FF38", "");
    }
    for model in ["dragino/d22-lb", "dragino/lsn50v2-d22"] {
        check(model, 2, "0CEA 0107 0000 0C FF38 FFFF", "battery 3306 mV, 1 26.30 C, 2 -20.00 C");
    }
    for model in ["dragino/d20-lb", "dragino/lsn50v2-d20"] {
        check(model, 2, "0CEA FF4C 0000 0C FFFF FFFF", "battery 3306 mV, external -18.00 C");
    }
    check("dragino/d20-lb", 5, "19 0100 01 FF 0BCA", "battery 3018 mV");
    check("dragino/lsn50v2-d20", 5, "19", "error: dragino/lsn50v2-d20 sends nothing on port 5");
}

#[test]
fn dragino_s31() {
    // S31-LB user manual, "Sensor Data" and "Datalog".
    for model in ["dragino/lsn50v2-s31", "dragino/s31-lb", "dragino/s31b-lb"] {
        let check = |port, hex: &str, expected: &str| check(model, port, hex, expected);
        check(2, "0CEA 60066009 00 00FA 0220", "battery 3306 mV, external 25.00 C, external 54.4 %");
        check(2, "0CEA 60066009 01 FF4C 03E9", "battery 3306 mV, external -18.00 C, external fault humidity");
        check(
            2,
            "0CEA 60066009 00 7FFF 0220",
            "battery 3306 mV, external fault disconnected, external 54.4 %",
        );
        check(2, "0CEA 60066009 7C 00FA 0220", "");
        check(
            3,
            "000000 FF4C 0220 60066009 000000 0000 0000 00000000",
            "external -18.00 C @1611030537, external 54.4 % @1611030537",
        );
        check(5, "0A 0100 01 FF 0BCA", "");
    }
}

#[test]
fn dragino_ltc2() {
    // LTC2 user manual, 2.4.1 and 2.5.4.
    let check = |hex: &str, expected: &str| check("dragino/ltc2", 2, hex, expected);
    check("0CEA 01 0A4F F8F8 60066009", "battery 3306 mV, 1 26.39 C, 2 -18.00 C");
    check("0CEA 02 0107 FF4C 60066009", "battery 3306 mV, 1 26.30 C, 2 -18.00 C");
    check("0CEA 01 8001 2134 60066009", "battery 3306 mV, 1 fault disconnected, 2 85.00 C");
    check("0CEA 03 0A4F 0A4F 60066009", "battery 3306 mV");
    check("0CEA 04 0A4F 0A4F 60066009", "error: resolution 4 of an LTC2 is not known");
    check(
        "0CEA 41 0A4F F8F8 60066009 0CEA 41 8001 F8F8 60066045",
        "1 26.39 C @1611030537, 2 -18.00 C @1611030537, \
         1 fault disconnected @1611030597, 2 -18.00 C @1611030597",
    );
    check("0000000000000000000000", "");
}
