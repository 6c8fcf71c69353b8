//! Milesight.

use super::*;

#[test]
fn milesight_em300_th() {
    let check = |hex: &str, expected: &str| check("milesight/em300-th", 85, hex, expected);
    check("01755C 03673401 046865", "battery 92 %, internal 30.80 C, internal 50.5 %");
    check("03672c00 046817", "internal 4.40 C, internal 11.5 %");
    check("0367 1001 0468 71", "internal 27.20 C, internal 56.5 %");
    check("0367 4EFF", "internal -17.80 C");
    check("0367 FFFF", "internal -0.10 C");
    check("0367 FF7F", "internal fault disconnected");
    check("0367 0080", "internal fault out_of_range");
    check("0367 A6FD", "internal fault out_of_range");
    check("0367 A8FD", "internal -60.00 C");
    check("0468 C8", "internal 100.0 %");
    check("0468 C9", "internal fault humidity");
    check("0468 FF", "internal fault humidity");
    check("0175 FF 0367 0A00", "internal 1.00 C");
    check("20CE 9E744663 1001 5D 00", "internal 27.20 C @1665561758, internal 46.5 % @1665561758");
    check(
        "20CE 9E744663 4CFF 5D00 20CE F6764663 FF7F FF00",
        "internal -18.00 C @1665561758, internal 46.5 % @1665561758, \
         internal fault disconnected @1665562358, internal fault humidity @1665562358",
    );
    // What a device says when it joins: nothing measured.
    check("FF0BFF FF0101 FF16 6329C42503920003 FF090100 FF0A0101 FF0F00", "");
    check("FFFF 0100 FFFE 01", "");
    // Answers to commands, then a value.
    check("FE03 5802 FF6A 00 3C00 FF6801 FE06 CA6400 C800 00000000 0367 0100", "internal 0.10 C");
    check("FE11 00F15365", "");
    check("AABB 01", "error: Milesight channel 0xaa type 0xbb is not known");
    check("0367 1001 AABB 01 0468 71", "internal 27.20 C");
    check("0367 10", "error: payload ends after 3 bytes where 4 are needed");
    check("", "error: payload ends after 0 bytes where 1 are needed");
}

#[test]
fn milesight_em500_pt100() {
    let check = |hex: &str, expected: &str| check("milesight/em500-pt100", 85, hex, expected);
    check("01756403672c01", "battery 100 %, external 30.00 C");
    check("017564 03671901", "battery 100 %, external 28.10 C");
    check("0367 0AFF", "external -24.60 C");
    // Threshold alarm, sudden change.
    check("8367 0AFF 01", "external -24.60 C");
    check("83D7 1901 0A00 01", "external 28.10 C");
    check("20CE 00F15365 0AFF", "external -24.60 C @1700000000");
    check("20CE 00F15365 FF7F", "external fault disconnected @1700000000");
}

#[test]
fn milesight_doors() {
    check(
        "milesight/em300-mcs",
        85,
        "01755C 03673401 046865 060001",
        "battery 92 %, internal 30.80 C, internal 50.5 %, open",
    );
    check("milesight/em300-mcs", 85, "060000", "closed");
    check(
        "milesight/em300-mcs",
        85,
        "20CE 9E744663 1001 5D 01",
        "internal 27.20 C @1665561758, internal 46.5 % @1665561758, open @1665561758",
    );
    check("milesight/ws301", 85, "017564 030001 040001", "battery 100 %, open");
    check("milesight/ws301", 85, "030000 040000", "closed");
    check("milesight/ws301", 85, "20CE 9E744663", "error: a history entry from a model that keeps none");
    check("milesight/em300-th", 2, "03673401", "error: milesight/em300-th sends nothing on port 2");
}

#[test]
fn milesight_em500_pt100_says_when_it_cannot_measure() {
    // Milesight's page on the EM500-PT100's payload: the value when collection failed, and out of the range.
    let check = |hex: &str, expected: &str| check("milesight/em500-pt100", 85, hex, expected);
    check("0367 FFFF", "external fault reported");
    check("0367 FDFF", "external fault out_of_range");
    check("0367 FEFF", "external -0.20 C");
    check("8367 FFFF 01", "external fault reported");
    check("20CE 00F15365 FFFF", "external fault reported @1700000000");
    // The measuring range.
    check("FF1B 0102030405 0367 FEFF", "external -0.20 C");
}

#[test]
fn milesight_em320_th() {
    // Payload documentation, EM320-TH, versions 1 and 2: history entries without the EM300's reserved byte.
    let check = |hex: &str, expected: &str| check("milesight/em320-th", 85, hex, expected);
    check("017564 03671001 046871", "battery 100 %, external 27.20 C, external 56.5 %");
    check("0367 4CFF 0468FF", "external -18.00 C, external fault humidity");
    check(
        "20CE 9E744663 1001 5D 20CE F6764663 4CFF FF",
        "external 27.20 C @1665561758, external 46.5 % @1665561758, \
         external -18.00 C @1665562358, external fault humidity @1665562358",
    );
}

#[test]
fn milesight_leaks() {
    // Payload documentation of the EM300-SLD, -ZLD and -MLD.
    for model in ["milesight/em300-sld", "milesight/em300-zld", "milesight/em300-sld-zld"] {
        let check = |hex: &str, expected: &str| check(model, 85, hex, expected);
        check("01755C 03673401 046865 050000", "battery 92 %, internal 30.80 C, internal 50.5 %, leak false");
        check("050001", "leak true");
        check("0367 4CFF", "internal -18.00 C");
        check(
            "20CE 00F15365 FF00 78 01",
            "internal 25.50 C @1700000000, internal 60.0 % @1700000000, leak true @1700000000",
        );
    }
    // Its table says channel 6, its example channel 5. It has no thermometer: the zeros in the history are none.
    check("milesight/em300-mld", 85, "01755C 050000", "battery 92 %, leak false");
    check("milesight/em300-mld", 85, "060001", "leak true");
    check("milesight/em300-mld", 85, "20CE 00F15365 0000 00 01", "leak true @1700000000");
    // Payload documentation of the WS303.
    check("milesight/ws303", 85, "017564 030001", "battery 100 %, leak true");
    check("milesight/ws303", 85, "030000", "leak false");
}

#[test]
fn milesight_ts101() {
    let check = |hex: &str, expected: &str| check("milesight/ts101", 85, hex, expected);
    check("017564 03671901", "battery 100 %, external 28.10 C");
    check("8367 4CFF 01", "external -18.00 C");
    check("93D7 1901 0A00 02", "external 28.10 C");
    check("0367 5203", "external fault power_on_value");
    check("20CE 00F15365 4CFF", "external -18.00 C @1700000000");
}

#[test]
fn milesight_ts301_and_ts302() {
    // Payload documentation of the TS301 and TS302, its examples: temperature or magnet contact on each channel.
    for model in ["milesight/ts301", "milesight/ts302"] {
        let check = |hex: &str, expected: &str| check(model, 85, hex, expected);
        check("017564 0367F100 040001", "battery 100 %, 1 24.10 C, 2 open");
        check("017564 0367FB00 04670101", "battery 100 %, 1 25.10 C, 2 25.70 C");
        check("017514 030001 040001", "battery 20 %, 1 open, 2 open");
        check("017564 03672701 8367270100 04670801", "battery 100 %, 1 29.50 C, 1 29.50 C, 2 26.40 C");
        check("017564 0367F100 0467F700 8467F70001", "battery 100 %, 1 24.10 C, 2 24.70 C, 2 24.70 C");
        check("94D7 0401 8200 02", "2 26.00 C");
        check("20CE C79AFA64 44 BDFF F600", "1 -6.70 C @1694145223, 2 24.60 C @1694145223");
        check("20CE C79AFA64 06 0000 0100", "2 open @1694145223");
        check("0367FF7F 0467FF7F", "1 fault disconnected, 2 fault disconnected");
    }
}

#[test]
fn milesight_am10x() {
    // Payload documentation of the AM102, AM103, AM104 and AM107.
    check(
        "milesight/am107",
        85,
        "01755C 03673401 046865 056A4900 06651C0079001400 077DE704 087D0700 09733F27",
        "battery 92 %, internal 30.80 C, internal 50.5 %",
    );
    check("milesight/am104", 85, "0367 4CFF 0468C9", "internal -18.00 C, internal fault humidity");
    check("milesight/am104", 85, "20CE 00F15365", "error: a history entry from a model that keeps none");
    for model in ["milesight/am102", "milesight/am102l"] {
        check(
            model,
            85,
            "20CE 9E744663 1001 5D 0367 0100",
            "internal 27.20 C @1665561758, internal 46.5 % @1665561758, internal 0.10 C",
        );
    }
    for model in ["milesight/am103", "milesight/am103l"] {
        check(
            model,
            85,
            "20CE 9E744663 1001 5D D200 0367 0100",
            "internal 27.20 C @1665561758, internal 46.5 % @1665561758, internal 0.10 C",
        );
    }
}

#[test]
fn milesight_answers_to_commands_measure_nothing() {
    let check = |hex: &str| check("milesight/ts302", 85, &format!("{hex} 0367 0100"), "1 0.10 C");
    for hex in [
        "FE02 3C00",
        "FE10 FF",
        "FFBD 7800",
        "FE3A 02 010203040506 010203040506",
        "FEEA 00 0A00",
        "FFA0 010203040506070809",
        "FE91 0102030405",
        "FF18 0301",
        "059C 01",
        "F8C9 0100",
    ] {
        check(hex);
    }
}
