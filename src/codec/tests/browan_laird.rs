//! Browan and Laird.

use super::*;

#[test]
fn browan_tabs() {
    // Reference manuals of the Tabs sensors, 4.1.
    check(
        "browan/tabs-tbhh100",
        103,
        "080B232FFFFFFFFF",
        "battery 3600 mV, internal 3.00 C, internal 47.0 %",
    );
    check(
        "browan/tabs-tbhh100",
        103,
        "080A0D3AFFFFFFFF",
        "battery 3500 mV, internal -19.00 C, internal 58.0 %",
    );
    // The measurement failed; the top bits are reserved.
    check(
        "browan/tabs-tbhh100",
        103,
        "08FB8DFFFFFFFFFF",
        "battery 3600 mV, internal -19.00 C, internal fault humidity",
    );
    check("browan/tabs-tbdw100", 100, "00CB3500008A3A00", "battery 3600 mV, closed");
    check("browan/tabs-tbdw100", 100, "01CB3500008A3A00", "battery 3600 mV, open");
    check(
        "browan/tabs-tbwl100",
        106,
        "110B362836",
        "battery 3600 mV, internal 22.00 C, internal 40.0 %, leak true",
    );
    check(
        "browan/tabs-tbwl100",
        106,
        "100B36280E",
        "battery 3600 mV, internal -18.00 C, internal 40.0 %, leak false",
    );
    check(
        "browan/tabs-tbhv110",
        103,
        "610B351EBF030100510036",
        "battery 3600 mV, internal 22.00 C, internal 30.0 %",
    );
    check("browan/tabs-tbhv110", 103, "610B351E", "error: payload ends after 4 bytes where 10 are needed");
}

#[test]
fn browan_merryiot() {
    check("browan/merryiot-cd10", 127, "000F19200C02", "battery 3600 mV, internal 25.00 C, internal 32.0 %");
    check(
        "browan/merryiot-cd10",
        127,
        "000FEE7F0C02",
        "battery 3600 mV, internal -18.00 C, internal fault humidity",
    );
    check(
        "browan/merryiot-dw10",
        120,
        "000F151C0000D22500",
        "battery 3600 mV, internal 21.00 C, internal 28.0 %, closed",
    );
    check(
        "browan/merryiot-dw10",
        120,
        "010FEE1C0000D22500",
        "battery 3600 mV, internal -18.00 C, internal 28.0 %, open",
    );
    check(
        "browan/merryiot-dw10",
        120,
        "000F801C0000D22500",
        "battery 3600 mV, internal fault out_of_range, internal 28.0 %, closed",
    );
}

#[test]
fn laird_climate() {
    // Application note "RS1xx LoRa Protocol", messages 1 to 10.
    for model in ["laird/rs1xx-temp-rh-sensor", "laird/rs1xx-ext-multi-sensor"] {
        let check = |hex: &str, expected: &str| check(model, 1, hex, expected);
        check("0100 2134 4362 05 0100 0001", "internal 98.67 C, internal 52.3 %, battery 90 %");
        // Both parts are signed.
        check("0100 2134 E7EE 00 0000 0000", "internal -18.25 C, internal 52.3 %, battery 3 %");
        check("0100 0165 E7EE 02 0000 0000", "internal -18.25 C, internal fault humidity, battery 30 %");
        check("0100 2134 0080 01 0000 0000", "internal fault out_of_range, internal 52.3 %, battery 13 %");
        // The sensor says that it failed.
        check("0110 2134 4362 03 0000 0000", "battery 50 %, internal fault reported");
        // Several readings, the oldest first; the newest humidity.
        check(
            "0200 000000 05 02 00000000 2134 4362 2235 E7EE",
            "internal 98.67 C, internal -18.25 C, internal 53.3 %, battery 90 %",
        );
        check("0302 00000002 2A3D 4C6B", "internal 107.76 C @1420070402, internal 61.4 % @1420070402");
        check(
            "0401 02 00000000 2A3D 4C6B 0000003C 2A3D E7EE",
            "internal 107.76 C @1420070400, internal 61.4 % @1420070400, \
             internal -18.25 C @1420070460, internal 61.4 % @1420070460",
        );
        for hex in ["0500 01 0100 00 01 00", "0600 01", "0700 140B05060101020304", "0801 0103000A000BAABB"] {
            check(hex, "");
        }
        check("0900 00 01 01 01", "open");
        check("0900 00 00 00 02", "closed");
        // A push button.
        check("0900 01 01 01 01", "");
        check("0A00 01 03", "battery 3010 mV");
        check("0A00 00 42", "battery 65535 mV");
        check("7F00", "error: RS1xx message 0x7f is not known");
    }
}

#[test]
fn laird_probes() {
    let check_1w = |hex: &str, expected: &str| check("laird/rs1xx-ext-temp-1w-sensor", 1, hex, expected);
    check_1w("0100 2134 E7EE 05 0000 0000", "external -18.25 C, external 52.3 %, battery 90 %");
    check_1w("0100 2134 0055 05 0000 0000", "external fault power_on_value, external 52.3 %, battery 90 %");
    check_1w("0100 2134 0081 05 0000 0000", "external fault disconnected, external 52.3 %, battery 90 %");
    let check = |hex: &str, expected: &str| check("laird/rs1xx-ext-temp-rtd-sensor", 1, hex, expected);
    check("0B00 FF9F FEFE 05 0001 1000", "external fault out_of_range, battery 90 %");
    check("0B00 FFE7 FFEE 04 0000 0000", "external -18.25 C, battery 70 %");
    check("0B10 FFE7 FFEE 04 0000 0000", "battery 70 %, external fault reported");
    check(
        "0200 000000 05 02 00000000 0019 0004 FFE7 FFEE",
        "external 4.25 C, external -18.25 C, battery 90 %",
    );
    check("0300 0000003C FFE7 FFEE", "external -18.25 C @1420070460");
    check("0C00 01", "");
}
