//! Adeunis, Cayenne LPP, Enless and MClimate.

use super::*;

#[test]
fn adeunis_temp_4() {
    // TEMP V4 technical reference manual, "Periodic data", "Alarm", "Keep alive".
    let check = |hex: &str, expected: &str| check("adeunis/temp-4", 1, hex, expected);
    // Two channels, newest first, with the device's time.
    check("5796 01B3 FF9C 01F4 FFFF 14ABA3E9", "2 -0.10 C, 1 50.00 C, 2 -10.00 C, 1 43.50 C");
    check("5700 01F4 FF4C", "1 -18.00 C, 1 50.00 C");
    check("5810 01 FF4C 00 8000", "1 -18.00 C, 2 fault out_of_range");
    check("5804 01 7FFF 14ABA3E9", "1 fault disconnected");
    check("3000 FF4C", "1 -18.00 C");
    check("3014 FF4C 0032 14ABA3E9", "1 -18.00 C, 2 5.00 C");
    for hex in ["10 00 21C0 0006 0001 012C 00", "2000", "2F00", "3300", "3600", "3700"] {
        check(hex, "");
    }
    check("4C00", "error: Adeunis frame 0x4c is not known of this model");
    check("5704 FF4C", "error: payload ends after 4 bytes where 6 are needed");
}

#[test]
fn adeunis_comfort() {
    // COMFORT technical reference manual, "Periodic data", "Alarm".
    let check = |hex: &str, expected: &str| check("adeunis/comfort", 1, hex, expected);
    check(
        "4C96 00C51F 00C720 00C821 00CA22 00CC23 00CD24 14ABA3E9",
        "internal 20.50 C, internal 20.40 C, internal 20.20 C, internal 20.00 C, internal 19.90 C, \
         internal 19.70 C, internal 31.0 %",
    );
    check("4C00 FF4C65", "internal -18.00 C, internal fault humidity");
    check("4D04 01 FF4C50 14ABA3E9", "internal -18.00 C, internal 80.0 %");
    for hex in ["1000", "1F00", "2000", "3000", "3300", "3700", "5100", "5200"] {
        check(hex, "");
    }
    check("5700", "error: Adeunis frame 0x57 is not known of this model");
}

#[test]
fn cayenne() {
    // myDevices' description of the Cayenne LPP, "Examples".
    let check = |hex: &str, expected: &str| check("generic/cayenne-lpp", 7, hex, expected);
    check("03670110 056700FF", "3 27.20 C, 5 25.50 C");
    check("0167FFD7 0671 04D2FB2E0000", "1 -4.10 C");
    check("0188 06765FF2960A0003E8", "");
    check("0067FF4C 006850", "internal -18.00 C, internal 40.0 %");
    check("01677FFF 016878 0168C9", "1 fault disconnected, 1 60.0 %, 1 fault humidity");
    check("000001 010201F4 0285 60066009 0367FF4C", "3 -18.00 C");
    check("0367FF4C 0199 00", "error: Cayenne LPP type 0x99 is not known");
}

#[test]
fn enless() {
    // Uplinks of transmitters.
    check("enless/600-031", 1, "00008A 07 07 01 00CD 0000 0002 0000", "internal 20.50 C, battery 100 %");
    check("enless/600-031", 1, "00008A 07 07 01 FF4C 0000 0002 0004", "internal -18.00 C, battery 75 %");
    check("enless/600-032", 1, "0000DC 0F 0A 01 00D0 0000 0000 0008", "external 20.80 C, battery 50 %");
    check(
        "enless/600-032",
        1,
        "0000DC 0F 0A 01 7FFF 0000 0000 0000",
        "external fault disconnected, battery 100 %",
    );
    check("enless/600-232", 1, "0000BD 0C 0A 01 00CA 0182 0001 000F", "1 20.20 C, 2 38.60 C, battery 25 %");
    // The second value below zero, which unsigned would be 6550.9 °C.
    check("enless/600-232", 1, "0000BD 0C 0A 01 00CA FFE5 0001 000F", "1 20.20 C, 2 -2.70 C, battery 25 %");
    check(
        "enless/600-232",
        1,
        "0000DC 0F 0A 01 00D0 0000 0000 0000",
        "error: type 0x0f where a 600-232 sends 0x0c; check the model it is paired as",
    );
}

#[test]
fn mclimate() {
    // MClimate documentation, HT "Keep-alive" and Flood Sensor "Uplinks".
    let ht = |hex: &str, expected: &str| check("mclimate/ht-sensor", 2, hex, expected);
    ht(
        "01 0274 73 F1 04 00",
        "battery 3500 mV, external fault disconnected, internal 22.80 C, internal 44.9 %",
    );
    ht("01 00DC 73 A1 00 C8", "battery 3000 mV, external 20.00 C, internal -18.00 C, internal 44.9 %");
    ht(
        "01 FFFF 73 A1 03 FF",
        "battery 3000 mV, external 102.30 C, internal fault out_of_range, internal 44.9 %",
    );
    // The answer to a command stands before.
    ht(
        "04 10 11 01 00DC 73 A1 04 00",
        "battery 3000 mV, external fault disconnected, internal -18.00 C, internal 44.9 %",
    );
    ht("02 0274 73 F1 04 00", "error: the last 7 bytes are no keep-alive: they begin with 0x02, not 0x01");
    let flood = |hex: &str, expected: &str| check("mclimate/flood-sensor", 2, hex, expected);
    flood("08C9", "battery 3216 mV, leak false");
    flood("42C9", "battery 3216 mV, leak true");
    flood("42C919", "battery 3216 mV, leak true");
}
