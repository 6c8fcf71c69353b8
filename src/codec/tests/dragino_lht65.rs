//! Dragino LHT65 and LHT65N.

use super::*;

#[test]
fn dragino_lht65n() {
    let check = |port, hex: &str, expected: &str| check("dragino/lht65n", port, hex, expected);
    check(
        2,
        "CBF6 0B0D 0376 01 0ADD 7FFF",
        "battery 3062 mV, external 27.81 C, internal 28.29 C, internal 88.6 %",
    );
    check(
        2,
        "cbc6 0082 00f2 01 7fff 7fff",
        "battery 3014 mV, external fault disconnected, internal 1.30 C, internal 24.2 %",
    );
    // Negative inside and outside; one count below zero.
    check(
        2,
        "8BB8 FFFF 01F4 01 F8F8 7FFF",
        "battery 3000 mV, external -18.00 C, internal -0.01 C, internal 50.0 %",
    );
    check(
        2,
        "CBB8 7FFF 0FFF 01 2134 7FFF",
        "battery 3000 mV, external fault power_on_value, internal fault disconnected, internal fault humidity",
    );
    check(
        2,
        "CBB8 0800 01F4 01 CE64 7FFF",
        "battery 3000 mV, external fault disconnected, internal 20.48 C, internal 50.0 %",
    );
    // No external sensor, with and without its four bytes.
    check(2, "CBB8 0800 01F4 00 00000000", "battery 3000 mV, internal 20.48 C, internal 50.0 %");
    check(2, "CBB8 0800 01F4 00", "battery 3000 mV, internal 20.48 C, internal 50.0 %");
    check(2, "CBB8 0800 01F4 01", "error: payload ends after 7 bytes where 11 are needed");
    // E3: a TMP117, for which 85 °C is a temperature.
    check(
        2,
        "CBB8 0800 01F4 02 2134 7FFF",
        "battery 3000 mV, external 85.00 C, internal 20.48 C, internal 50.0 %",
    );
    // Interrupt, light, ADC, counters: no temperature of theirs.
    for ext in ["04 01010000", "05 01F40000", "06 0BB80000", "07 00010000", "08 00000001"] {
        check(2, &format!("CBB8 0800 01F4 {ext}"), "battery 3000 mV, internal 20.48 C, internal 50.0 %");
    }
    // With the sensor's clock: measured now, no battery voltage; DS18B20 and TMP117, with and without its flags.
    check(2, "F8F8 0800 C1F4 09 60065F97", "external -18.00 C, internal 20.48 C, internal 50.0 %");
    check(2, "F8F8 0800 C1F4 29 60065F97", "external -18.00 C, internal 20.48 C, internal 50.0 %");
    check(2, "7FFF 0800 C1F4 1A 60065F97", "external fault disconnected, internal 20.48 C, internal 50.0 %");
    // E31F: temperature and humidity outside; identity frames; counter without built-in values.
    check(
        2,
        "CBB8 0800 01F4 0B F8F8 0320",
        "battery 3000 mV, external -18.00 C, external 80.0 %, internal 20.48 C, internal 50.0 %",
    );
    check(2, "0000 0800 01F4 0C 00000000", "internal 20.48 C, internal 50.0 %");
    check(2, "CBB8 01020304 10 F8F8 0320", "battery 3000 mV, external -18.00 C, external 80.0 %");
    check(2, "CBB8 01020304 20 F8F8 0506", "battery 3000 mV, external -18.00 C");
    check(2, "CBB8 28010203 0F 04050607", "battery 3000 mV");
    check(2, "CBB8 00000000 0E 00000001", "battery 3000 mV");
    // Early firmware: the plug is out.
    check(2, "CBB8 0800 01F4 85 00000000", "battery 3000 mV, internal 20.48 C, internal 50.0 %");
    check(
        2,
        "CBB8 0800 01F4 81 7FFF7FFF",
        "battery 3000 mV, external fault disconnected, internal 20.48 C, internal 50.0 %",
    );
    // Device status.
    check(5, "0B 0150 01 FF 0BCA", "battery 3018 mV");
    check(7, "00", "error: dragino/lht65n sends nothing on port 7");
}

#[test]
fn dragino_lht65n_histories() {
    let check = |port, hex: &str, expected: &str| check("dragino/lht65n", port, hex, expected);
    // Two records of the log, as the answer to a poll; on port 2 and 3.
    for port in [2, 3] {
        check(
            port,
            "7FFF 0AA9 0176 41 60065F97  F8F8 0B13 C166 49 60066009",
            "external fault disconnected @1611030423, internal 27.29 C @1611030423, internal 37.4 % @1611030423, \
             external -18.00 C @1611030537, internal 28.35 C @1611030537, internal 35.8 % @1611030537",
        );
    }
    // A record sent again for want of an acknowledgement.
    check(
        2,
        "F8F8 0B13 0166 81 60066009",
        "external -18.00 C @1611030537, internal 28.35 C @1611030537, internal 35.8 % @1611030537",
    );
    // The sensor's clock was never set: its time is passed on, not believed here.
    check(
        2,
        "F8F8 0B13 0166 41 00000E10",
        "external -18.00 C @3600, internal 28.35 C @3600, internal 35.8 % @3600",
    );
    // Nothing in the log.
    check(2, "0000000000000000000000", "");
    check(2, "F8F8 0B13 0166 41 60066009 00", "error: payload ends after 12 bytes where 22 are needed");
    // Several samples of one probe.
    check(
        3,
        "CBB8 01 F8F8 F8EE 2134",
        "battery 3000 mV, external -18.00 C, external -18.10 C, external fault power_on_value",
    );
    check(3, "CBB8 03 01F4", "battery 3000 mV, internal 5.00 C");
    check(3, "CBB8 01 F8", "error: payload ends after 4 bytes where 5 are needed");
    check(3, "CBB8 09 F8F8", "error: sensor type 9 of a batch is not known");
}

#[test]
fn a_time_ahead_of_the_hub_is_no_record() {
    // Early firmware, a count of 0x60066009 with the plug out: no record in 2020.
    let frame = bytes("CBB8 0B13 0166 88 60066009");
    let decode = |received| render(&decode("dragino/lht65n", 2, &frame, received).unwrap());
    assert_eq!(decode(Some(UnixMs(1_580_000_000_000))), "battery 3000 mV, internal 28.35 C, internal 35.8 %");
    assert_eq!(
        decode(Some(UnixMs(1_700_000_000_000))),
        "internal 28.35 C @1611030537, internal 35.8 % @1611030537"
    );
}

#[test]
fn dragino_lht65() {
    let check = |hex: &str, expected: &str| check("dragino/lht65", 2, hex, expected);
    check(
        "CBF6 0B0D 0376 01 0ADD 7FFF",
        "battery 3062 mV, external 27.81 C, internal 28.29 C, internal 88.6 %",
    );
    check(
        "CBF6 0B0D 0376 01 F8F8 7FFF",
        "battery 3062 mV, external -18.00 C, internal 28.29 C, internal 88.6 %",
    );
    // Not plugged in: whatever value stands there.
    check(
        "CBF6 0B0D 0376 81 0ADD 7FFF",
        "battery 3062 mV, external fault disconnected, internal 28.29 C, internal 88.6 %",
    );
    check(
        "F8F8 0B13 0166 41 60066009",
        "external -18.00 C @1611030537, internal 28.35 C @1611030537, internal 35.8 % @1611030537",
    );
    check("CBF6 0B0D 0376 01 0ADD", "error: payload ends after 9 bytes where 11 are needed");
}
