//! Decentlab.

use super::*;

#[test]
fn decentlab_resistance_probes() {
    // Datasheets of the DL-DLR2, "Sensor data message format".
    check("decentlab/dl-dlr2-008", 1, "02 07DF 0003 17DE 008D 0C60", "external 20.03 C, battery 3168 mV");
    check("decentlab/dl-dlr2-008", 1, "02 07DF 0002 0C60", "battery 3168 mV");
    check(
        "decentlab/dl-dlr2-008",
        1,
        "02 07DF 0003 0000 0000 0C60",
        "external fault out_of_range, battery 3168 mV",
    );
    check(
        "decentlab/dl-dlr2-008",
        1,
        "02 07DF 0003 FFFF FFFF 0C60",
        "external fault out_of_range, battery 3168 mV",
    );
    check("decentlab/dl-dlr2-009", 1, "02 4C62 0003 5734 00AD 0AE1", "external 24.91 C, battery 2785 mV");
    // The ratio is 1: no resistance makes that.
    check("decentlab/dl-dlr2-009", 1, "02 4C62 0001 0000 0100", "external fault out_of_range");
}

#[test]
fn decentlab_digital_probes() {
    // Datasheets of the DL-DS18, DL-SHT35, DL-RHC and DL-ITST.
    check("decentlab/dl-ds18", 1, "02 023D 0003 815E 0C15", "external 21.88 C, battery 3093 mV");
    check("decentlab/dl-ds18", 1, "02 023D 0001 7EE0", "external -18.00 C");
    check("decentlab/dl-ds18", 1, "02 023D 0001 8550", "external fault power_on_value");
    check("decentlab/dl-ds18", 1, "02 023D 0001 8551", "external 85.06 C");
    check("decentlab/dl-ds18", 1, "02 023D 0001 0000", "external fault disconnected");
    check(
        "decentlab/dl-sht35",
        1,
        "02 2FB4 0003 6A51 5D48 0C60",
        "external 27.68 C, external 36.4 %, battery 3168 mV",
    );
    check(
        "decentlab/dl-sht35",
        1,
        "02 2FB4 0003 277F 7FFF 0C60",
        "external -18.00 C, external 50.0 %, battery 3168 mV",
    );
    check(
        "decentlab/dl-rhc",
        1,
        "02 02E0 0003 A9FD 0134 1CA2 85F3 0C60",
        "external 15.23 C, external 73.3 %, battery 3168 mV",
    );
    check(
        "decentlab/dl-rhc",
        1,
        "02 02E0 0001 A9FD 0134 2711 0000",
        "external fault disconnected, external fault humidity",
    );
    check(
        "decentlab/dl-itst",
        1,
        "02 02D9 0003 04F9 04C4 0C54",
        "external 27.30 C, internal 22.00 C, battery 3156 mV",
    );
    check("decentlab/dl-itst", 1, "02 02D9 0001 0334 FFFF", "external -18.00 C, internal fault out_of_range");
}

#[test]
fn decentlab_rooms() {
    // Datasheets of the DL-IAM, DL-LP8P and DL-PM: blocks that are not sent do not move the others.
    check(
        "decentlab/dl-iam",
        1,
        "02 0BBD 007F 0B92 6A51 5D48 BC4E 0262 0069 81C7 0000 93D4 000B 0111",
        "battery 2962 mV, internal 27.68 C, internal 36.4 %",
    );
    check("decentlab/dl-iam", 1, "02 0BBD 0001 0B92", "battery 2962 mV");
    check(
        "decentlab/dl-lp8p",
        1,
        "02 0578 000F 67BD 618D 1CED BD10 81D9 81F4 895B 0BD8 0BB5 0000 9598 9539 0C25",
        "internal 24.36 C, internal 41.6 %, battery 3109 mV",
    );
    check("decentlab/dl-lp8p", 1, "02 0578 0008 0C25", "battery 3109 mV");
    check(
        "decentlab/dl-pm",
        1,
        "02 1B50 000D 0C25 67BD 618D BD10",
        "battery 3109 mV, internal 24.36 C, internal 41.6 %",
    );
    check("decentlab/dl-pm", 1, "02 1B50 0004 2A08 0000", "internal -18.00 C, internal fault humidity");
}

#[test]
fn decentlab_temperature_profile() {
    // Datasheet of the DL-TP: levels without a sensor send 0.
    check(
        "decentlab/dl-tp",
        1,
        "02 3E3E 0003 8ABC 8A92 8AA0 8A84 8AB3 8A89 8AC3 8AAD 8AB7 78F8 8AA1 0000 0000 0000 0000 0000 0AFC",
        "1 27.48 C, 2 27.06 C, 3 27.20 C, 4 26.92 C, 5 27.39 C, 6 26.97 C, 7 27.55 C, 8 27.33 C, \
         9 27.43 C, 10 -18.00 C, 11 27.21 C, 12 fault disconnected, 13 fault disconnected, \
         14 fault disconnected, 15 fault disconnected, 16 fault disconnected, battery 2812 mV",
    );
}

#[test]
fn decentlab_protocol() {
    check("decentlab/dl-ds18", 1, "01 023D 0001 815E", "error: Decentlab protocol 1 where 2 is known");
    check(
        "decentlab/dl-ds18",
        1,
        "02 023D 0003 815E",
        "error: payload ends after 7 bytes where 9 are needed",
    );
    check("decentlab/dl-ds18", 2, "02", "error: decentlab/dl-ds18 sends nothing on port 2");
}
