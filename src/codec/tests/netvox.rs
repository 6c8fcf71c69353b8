//! Netvox.

use super::*;

#[test]
fn netvox_r311a() {
    let check = |port, hex: &str, expected: &str| check("netvox/r311a", port, hex, expected);
    check(6, "01 02 01 1E 00 000000000000", "battery 3000 mV, closed");
    check(6, "01 02 01 1E 01 000000000000", "battery 3000 mV, open");
    // The top bit says low.
    check(6, "01 02 01 98 01 000000000000", "battery 2400 mV, open");
    check(6, "01 02 00 0A 01 20170503 0000", "");
    check(6, "01 02 05 0A 01 000000000000", "error: report type 0x05 of an R311A is not known");
    check(
        6,
        "01 0B 01 1E 01 000000000000",
        "error: device type 0x0b where an R311A sends 0x02; check the model it is paired as",
    );
    check(7, "81 02 00 0000000000000000", "");
    check(7, "82 02 0E10 0E10 01 00000000", "");
    check(6, "01 02 01 1E", "error: payload ends after 4 bytes where 11 are needed");
}

#[test]
fn netvox_climate() {
    // R718A user manual 5.1, R718AB user manual 5.1.
    check("netvox/r718a", 6, "010B012406701A9E000000", "battery 3600 mV, internal 16.48 C, internal 68.1 %");
    check("netvox/r718a", 6, "010B019FFF391A9E000000", "battery 3100 mV, internal -1.99 C, internal 68.1 %");
    check("netvox/r718ab", 6, "0113012406701A9E000000", "battery 3600 mV, internal 16.48 C, internal 68.1 %");
    check("netvox/r718ab", 6, "01130124FF391A9E000000", "battery 3600 mV, internal -1.99 C, internal 68.1 %");
    check(
        "netvox/r711",
        6,
        "0101019F 7FFF 2711 000000",
        "battery 3100 mV, internal fault disconnected, internal fault humidity",
    );
    check("netvox/r711", 6, "0101009F 8000 1A9E 000000", "");
}

#[test]
fn netvox_probes() {
    // R718B, R718CK2, R718CT2, R718B2 and R718CN user manuals, "Example of Uplink".
    check("netvox/r718b", 6, "0195012400FD0000000000", "battery 3600 mV, external 25.30 C");
    check("netvox/r718ck2", 6, "0116012400FD0109000000", "battery 3600 mV, 1 25.30 C, 2 26.50 C");
    check("netvox/r718ct2", 6, "0117019FFF39FEC5000000", "battery 3100 mV, 1 -19.90 C, 2 -31.50 C");
    check("netvox/r718b2", 6, "0114012401090102000000", "battery 3600 mV, 1 26.50 C, 2 25.80 C");
    check("netvox/r718b2", 6, "011401A0FF39FF36000000", "battery 3200 mV, 1 -19.90 C, 2 -20.20 C");
    for (model, kind) in [
        ("netvox/r718ce", "94"),
        ("netvox/r718cj", "90"),
        ("netvox/r718ck", "91"),
        ("netvox/r718cn", "93"),
        ("netvox/r718ct", "92"),
    ] {
        check(model, 6, &format!("01{kind}0124FF970000000000"), "battery 3600 mV, external -10.50 C");
        // A furnace: what a thermocouple may measure and no cold room has.
        check(
            model,
            6,
            &format!("01{kind}01240EA60000000000"),
            "battery 3600 mV, external fault out_of_range",
        );
    }
    check("netvox/r718cn2", 6, "01180124FF977FFF000000", "battery 3600 mV, 1 -10.50 C, 2 fault disconnected");
    check(
        "netvox/r718ck",
        6,
        "01920124FF970000000000",
        "error: device type 0x92 where an R718CK sends 0x91; check the model it is paired as",
    );
    // Answers to configuration and calibration commands.
    check("netvox/r718ck", 7, "8191000000000000000000", "");
    check("netvox/r718ck", 7, "8291038407080100000000", "");
    check("netvox/r718ck", 14, "8101000000000000000000", "");
}

#[test]
fn netvox_doors_and_leaks() {
    // R311CB, R311CC, R718F, R718WA, R718WB and R718WB2 user manuals, "Example of Uplink".
    check("netvox/r311cb", 6, "0156011E01000000000000", "battery 3000 mV, open");
    check("netvox/r311cb", 6, "0156011E00010000000000", "battery 3000 mV, closed");
    check("netvox/r311cb", 6, "015600640B202004240000", "");
    check("netvox/r311cc", 6, "016C011E01000000000000", "battery 3000 mV, 1 open, 2 closed");
    check("netvox/r311cc", 6, "016C011E00010000000000", "battery 3000 mV, 1 closed, 2 open");
    check("netvox/r718f", 6, "011D012401000000000000", "battery 3600 mV, open");
    check("netvox/r718wa", 6, "0132011E01000000000000", "battery 3000 mV, leak true");
    check("netvox/r718wb", 6, "0112011E00000000000000", "battery 3000 mV, leak false");
    check("netvox/r718wa2", 6, "0146019E00010000000000", "battery 3000 mV, 1 leak false, 2 leak true");
    check("netvox/r718wb2", 6, "0147012401000000000000", "battery 3600 mV, 1 leak true, 2 leak false");
    check("netvox/r718wb", 14, "00", "error: netvox/r718wb sends nothing on port 14");
}
