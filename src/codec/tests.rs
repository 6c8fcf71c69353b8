//! Frames out of the makers' documents, and what must never happen with any other.

use std::fmt::Write;

use proptest::prelude::*;

use super::*;

/// One line a measurement: probe, what, value, and "@" with the Unix seconds inside the frame.
fn render(measurements: &[Measurement]) -> String {
    let mut text = String::new();
    for Measurement { probe, quantity, at } in measurements {
        let separator = if text.is_empty() { "" } else { ", " };
        let value = match quantity {
            Quantity::Temperature(value) => format!("{probe} {:.2} C", f64::from(value.0) / 100.0),
            Quantity::Humidity(value) => format!("{probe} {:.1} %", f64::from(*value) / 100.0),
            Quantity::BatteryPercent(value) => format!("battery {value} %"),
            Quantity::BatteryMillivolts(value) => format!("battery {value} mV"),
            Quantity::Door(DoorState::Open) => "open".to_owned(),
            Quantity::Door(DoorState::Closed) => "closed".to_owned(),
            Quantity::Leak(found) => format!("leak {found}"),
            Quantity::Rssi(value) => format!("rssi {value}"),
            Quantity::Fault(fault) => format!("{probe} fault {}", fault.as_str()),
        };
        write!(text, "{separator}{value}").unwrap();
        if let Some(at) = at {
            assert_eq!(at.0 % 1_000, 0);
            write!(text, " @{}", at.0 / 1_000).unwrap();
        }
    }
    text
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| *byte != b' ').collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[track_caller]
fn check(model: &str, f_port: u8, hex: &str, expected: &str) {
    let got = match decode(model, f_port, &bytes(hex), None) {
        Ok(measurements) => render(&measurements),
        Err(error) => format!("error: {error}"),
    };
    assert_eq!(got, expected, "{model} port {f_port} {hex}");
}

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

#[test]
fn dragino_lds02() {
    let check = |port, hex: &str, expected: &str| check("dragino/lds02", port, hex, expected);
    check(10, "0B88 01 001BB3 000000 00", "battery 2952 mV, closed");
    check(10, "8B88 01 001BB3 00000A 01", "battery 2952 mV, open");
    check(10, "4B88 02 000001 00000A 00", "battery 2952 mV, leak true");
    check(10, "CB88 03 000000 000000 00", "battery 2952 mV, open, leak true");
    check(10, "0B88 07 000000 000000 00", "error: mode 7 of an LDS02 is not known");
    // The top bit is the counting mode there, not the door.
    check(7, "8B88 00000A", "battery 2952 mV");
    check(10, "0B88 01 001BB3 0000", "error: payload ends after 8 bytes where 10 are needed");
}

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
fn unknown_model_says_where_to_look() {
    check(
        "acme/fridge",
        1,
        "00",
        "error: no codec for model acme/fridge; `devices models` lists the known ones",
    );
}

#[test]
fn models_are_sorted_and_found() {
    let names: Vec<&str> = models().iter().map(|model| model.name).collect();
    assert!(names.is_sorted());
    assert_eq!(names.len(), 10);
    for model in models() {
        assert!(std::ptr::eq(find(&model.name.to_ascii_uppercase()).unwrap(), model));
        assert!(model.check_in_s >= 60 && model.measures("battery"));
    }
}

/// Every value a decoder gives is one the rest of the hub can store.
fn assert_sound(measurements: &[Measurement]) {
    for measurement in measurements {
        match measurement.quantity {
            Quantity::Temperature(value) => assert!((-6_000..=15_000).contains(&value.0)),
            Quantity::Humidity(value) => assert!((0..=10_000).contains(&value)),
            Quantity::BatteryPercent(value) => assert!(value <= 100),
            _ => {}
        }
        assert!(measurement.at.is_none_or(|at| at.0 >= 0));
    }
}

#[test]
fn truncated_frames_never_panic() {
    let frames = [
        ("milesight/em300-mcs", 85, "01755C 03673401 046865 060001 20CE 9E744663 1001 5D 01"),
        ("milesight/em500-pt100", 85, "017564 83D7 1901 0A00 01 20CE 00F15365 0AFF"),
        ("milesight/ws301", 85, "017564 030001 040001"),
        ("elsys/ers", 5, "0100E2 0229 040027 0506 060308 070D62"),
        ("dragino/lht65n", 2, "7FFF 0AA9 0176 41 60065F97  F8F8 0B13 C166 49 60066009"),
        ("dragino/lht65n", 3, "CBB8 01 F8F8 F8EE 2134"),
        ("dragino/lht65", 2, "CBF6 0B0D 0376 01 0ADD 7FFF"),
        ("dragino/lds02", 10, "0B88 01 001BB3 000000 00"),
        ("netvox/r311a", 6, "01 02 01 1E 00 000000000000"),
    ];
    for (model, port, hex) in frames {
        let whole = bytes(hex);
        assert!(decode(model, port, &whole, None).is_ok(), "{model}");
        for length in 0..whole.len() {
            if let Ok(measurements) = decode(model, port, &whole[..length], None) {
                assert_sound(&measurements);
            }
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic_or_lie(
        index in 0..models().len(),
        port in any::<u8>(),
        use_own_port in any::<bool>(),
        bytes in prop::collection::vec(any::<u8>(), 0..64),
        received in prop::option::of(any::<i64>()),
    ) {
        let model = &models()[index];
        let port = if use_own_port && !model.ports.is_empty() {
            model.ports[usize::from(port) % model.ports.len()]
        } else {
            port
        };
        if let Ok(measurements) = decode(model.name, port, &bytes, received.map(UnixMs)) {
            assert_sound(&measurements);
        }
    }
}
