//! 1-Wire sensors and converters, by folders that look like the kernel's.

use std::path::{Path, PathBuf};

use frostguard_hub::codec::{Fault, Measurement, Quantity};
use frostguard_hub::config::{Config, Findings};
use frostguard_hub::domain::{CentiCelsius, MonoMs, Probe, Source};
use frostguard_hub::frame::{Frame, Payload, SourceEvent};
use frostguard_hub::source::current::Current;
use frostguard_hub::source::onewire::OneWire;

use crate::heard::Heard;
use crate::support::{Scratch, wait_for_async};

fn celsius(hundredths: i32) -> Quantity {
    Quantity::Temperature(CentiCelsius(hundredths))
}

fn fault(fault: Fault) -> Quantity {
    Quantity::Fault(fault)
}

fn quantity(frame: &Frame) -> Quantity {
    let Payload::Values { measurements, .. } = &frame.payload else { panic!("{frame:?} carries no values") };
    let [Measurement { quantity, .. }] = &measurements[..] else { panic!("{frame:?} carries not one value") };
    quantity.clone()
}

/// The kernel's folder of 1-Wire devices, as far as a hub looks.
struct Lines(PathBuf);

impl Lines {
    fn file(scratchpad: &str, verdict: &str, milli: i32) -> String {
        format!("{scratchpad} : crc=47 {verdict}\n{scratchpad} t={milli}\n")
    }

    fn good(milli: i32) -> String {
        Self::file("3f 00 4b 46 7f ff 01 10 47", "YES", milli)
    }

    /// Replaced as a whole, as the kernel makes it.
    fn put(&self, number: &str, text: &str) {
        let folder = self.0.join(number);
        std::fs::create_dir_all(&folder).expect("make a sensor's folder");
        std::fs::write(folder.join("new"), text).expect("write a sensor's file");
        std::fs::rename(folder.join("new"), folder.join("w1_slave")).expect("show a sensor's file");
    }

    fn take_away(&self, number: &str) {
        std::fs::remove_dir_all(self.0.join(number)).expect("the sensor is there");
    }
}

fn start_onewire(path: &Path) -> Heard {
    let text = format!("[onewire]\npath = \"{}\"\ninterval_s = 1", path.display());
    let config = Config::parse(&text).expect("the section is right");
    Heard::start(OneWire::new(config.onewire.expect("there is one")))
}

/// Frames until the sensor says so.
async fn until(heard: &mut Heard, number: &str, want: Quantity) -> Frame {
    loop {
        let frame = heard.frame().await;
        if frame.sender.address == number && quantity(&frame) == want {
            return frame;
        }
    }
}

#[tokio::test]
async fn sensors_on_a_line_come_and_go() {
    let scratch = Scratch::new("w1");
    let lines = Lines(scratch.join("devices"));
    let mut heard = start_onewire(&lines.0);
    let reason = heard.down().await;
    assert!(reason.contains("dtoverlay=w1-gpio") && reason.contains("No such file"), "{reason}");

    std::fs::create_dir_all(lines.0.join("w1_bus_master1")).expect("make the line's folder");
    let bulk = scratch.write("devices/w1_bus_master1/therm_bulk_read", "0\n");
    lines.put("28-0316a2795bff", &Lines::good(3_937));
    // Of other families.
    lines.put("10-000802824e58", &Lines::good(20_000));
    heard.up().await;
    let frame = heard.frame().await;
    assert_eq!(quantity(&frame), celsius(394));
    let sender = &frame.sender;
    assert_eq!((sender.source, sender.port.as_str()), (Source::OneWire, "onewire"));
    assert_eq!((sender.address.as_str(), sender.is_eui, frame.at), ("28-0316a2795bff", false, MonoMs(77)));
    assert_eq!(frame.payload.bytes(), [0x3f, 0, 0x4b, 0x46, 0x7f, 0xff, 1, 0x10, 0x47]);
    assert_eq!(std::fs::read_to_string(bulk).expect("the line is there"), "trigger\n");

    assert_eq!(heard.count("onewire.bulk_refused{onewire}"), 0);

    // Root itself may not write it either: no mode of a file would stop a test that runs as root.
    std::fs::remove_file(lines.0.join("w1_bus_master1/therm_bulk_read")).expect("take the file away");
    std::fs::create_dir(lines.0.join("w1_bus_master1/therm_bulk_read")).expect("put what cannot be written");
    lines.put("28-000000000002", &Lines::good(-18_562));
    until(&mut heard, "28-000000000002", celsius(-1_856)).await;
    assert!(heard.count("onewire.bulk_failed{onewire}") >= 1);
    assert_eq!(heard.count("onewire.bulk_refused{onewire}"), 0, "that only root may is another reason");
    lines.take_away("28-0316a2795bff");
    wait_for_async("the sensor to be missed", async || {
        (heard.count("onewire.sensors_gone{onewire}") == 1).then_some(())
    })
    .await;
    lines.put("28-0316a2795bff", &Lines::good(4_000));
    until(&mut heard, "28-0316a2795bff", celsius(400)).await;
    heard.stop().await;
}

#[tokio::test]
async fn what_is_no_temperature_is_a_fault() {
    let scratch = Scratch::new("w1");
    let lines = Lines(scratch.join("devices"));
    let zeros = "00 00 00 00 00 00 00 00 00";
    let number = "28-0316a2795bff";
    lines.put(number, &Lines::good(3_937));
    // Keeps the line up.
    lines.put("28-000000000002", &Lines::good(3_937));
    let mut heard = start_onewire(&lines.0);
    heard.up().await;
    for (text, want) in [
        (Lines::file(zeros, "YES", 0), fault(Fault::Disconnected)),
        (Lines::good(85_000), fault(Fault::PowerOnValue)),
        (String::new(), fault(Fault::Disconnected)),
        (Lines::good(-127_000), fault(Fault::Disconnected)),
        (Lines::good(84_000), celsius(8_400)),
        // Beside a neighbour.
        (Lines::good(85_000), celsius(8_500)),
        (Lines::good(-18_000), celsius(-1_800)),
        (Lines::file("3f 00 4b 46 7f ff 01 10 47", "NO", 3_937), fault(Fault::Disconnected)),
    ] {
        lines.put(number, &text);
        until(&mut heard, number, want).await;
    }
    assert!(heard.count("onewire.bad_checksums{onewire}") >= 3);
    assert!(heard.count("onewire.shorted{onewire}") >= 1);
    // Nothing but faults: the line is down, and up again by itself.
    lines.take_away("28-000000000002");
    let reason = loop {
        match heard.next().await {
            SourceEvent::Frame(_) => {}
            SourceEvent::Down { reason, .. } => break reason,
            event => panic!("{event:?}"),
        }
    };
    assert!(reason.contains("none of 1 sensors answers"), "{reason}");
    lines.put(number, &Lines::good(3_937));
    loop {
        match heard.next().await {
            SourceEvent::Frame(_) => {}
            SourceEvent::Up { .. } => break,
            event => panic!("{event:?}"),
        }
    }
    heard.stop().await;
}

#[tokio::test]
async fn a_loop_of_4_to_20_ma_is_read_from_its_converter() {
    let scratch = Scratch::new("iio");
    let folder = scratch.join("device0");
    let text = format!(
        "[[current]]\nname = \"freezer\"\npath = \"{}\"\nchannel = 1\nshunt_ohm = 100\nat_4_ma = -50
        at_20_ma = 50\nprobe = \"external\"\ninterval_s = 1",
        folder.display()
    );
    let config = Config::parse(&text).expect("the section is right");
    assert_eq!(config.check(), Findings::default());
    let mut heard = Heard::start(Current::new(config.current[0].clone()));
    let reason = heard.down().await;
    assert!(reason.contains("in_voltage1_raw") && reason.contains("driver loaded?"), "{reason}");

    std::fs::create_dir(&folder).expect("make the converter's folder");
    scratch.write("device0/in_voltage_scale", "0.125\n");
    let put = |raw: &str| {
        scratch.write("device0/new", raw);
        std::fs::rename(folder.join("new"), folder.join("in_voltage1_raw")).expect("show the value");
    };
    // 912 mV over 100 ohms are 9.12 mA.
    put("7296\n");
    heard.up().await;
    let frame = heard.frame().await;
    assert_eq!(quantity(&frame), celsius(-1_800));
    let sender = &frame.sender;
    assert_eq!(
        (sender.source, sender.port.as_str(), sender.address.as_str()),
        (Source::Current, "freezer", "1")
    );
    let Payload::Values { measurements, raw } = &frame.payload else { panic!("{frame:?}") };
    assert_eq!((measurements[0].probe, raw.as_slice()), (Probe::EXTERNAL, &b"7296 0.125 0"[..]));

    for (raw, want) in [
        ("0", fault(Fault::Disconnected)),
        ("2879", fault(Fault::Disconnected)),
        ("16801", fault(Fault::Reported)),
        ("3200", celsius(-5_000)),
        ("16000", celsius(5_000)),
    ] {
        put(raw);
        until(&mut heard, "1", want).await;
    }
    // Its own scale and offset win over the shared scale.
    scratch.write("device0/in_voltage1_scale", "0.25");
    scratch.write("device0/in_voltage1_offset", "-8000");
    put("12800");
    until(&mut heard, "1", celsius(0)).await;

    put("what");
    let reason = loop {
        match heard.next().await {
            SourceEvent::Frame(_) => {}
            SourceEvent::Down { reason, .. } => break reason,
            event => panic!("{event:?}"),
        }
    };
    assert!(reason.contains("\"what\", no number"), "{reason}");
    put("12800");
    heard.up().await;
    heard.stop().await;
}
