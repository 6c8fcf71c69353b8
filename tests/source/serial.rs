use frostguard_hub::codec::{Measurement, Quantity};
use frostguard_hub::config::{Config, SerialSection};
use frostguard_hub::domain::{CentiCelsius, MonoMs, Source};
use frostguard_hub::frame::{Frame, Payload};
use frostguard_hub::source::serial::Serial;

use crate::heard::Heard;
use crate::support::{Pty, Scratch};

fn section(path: &str, rest: &str) -> SerialSection {
    let text = format!("[[serial]]\nname = \"radio\"\npath = \"{path}\"\n{rest}");
    Config::parse(&text).expect("the section is right").serial.remove(0)
}

fn start(pty: &Pty, rest: &str) -> Heard {
    Heard::start(Serial::new(section(&pty.path().display().to_string(), rest)))
}

fn temperature(frame: &Frame) -> i32 {
    let Payload::Values { measurements, .. } = &frame.payload else { panic!("{frame:?} carries no values") };
    let found = measurements.iter().find_map(|Measurement { quantity, .. }| match quantity {
        Quantity::Temperature(CentiCelsius(value)) => Some(*value),
        _ => None,
    });
    found.expect("a temperature")
}

fn json_line(id: &str, hundredths: i32) -> Vec<u8> {
    format!("{{\"id\":\"{id}\",\"temperature\":{}}}\r\n", f64::from(hundredths) / 100.0).into_bytes()
}

#[tokio::test]
async fn a_port_is_lost_and_replugged_without_a_restart() {
    let scratch = Scratch::new("tty");
    let mut pty = Pty::new(scratch.join("radio"));
    let mut heard = start(&pty, "preset = \"json\"");
    heard.up().await;
    for round in 0..3 {
        for n in 0..5 {
            pty.write(&json_line("fridge", round * 100 + n)).expect("the line is read");
            let frame = heard.frame().await;
            assert_eq!(temperature(&frame), round * 100 + n);
            assert_eq!((frame.sender.source, frame.sender.port.as_str()), (Source::Serial, "radio"));
            assert_eq!((frame.sender.address.as_str(), frame.at, frame.ack), ("fridge", MonoMs(77), None));
        }
        // Cut in the middle of a line: its first half must not glue itself to what comes later.
        pty.write(b"{\"id\":\"fridge\",\"temp").expect("the line is read");
        pty.unplug();
        let reason = heard.down().await;
        assert!(reason.contains("serial port"), "{reason}");
        pty.plug();
        heard.up().await;
    }
    assert_eq!(heard.stop().await, []);
}

#[tokio::test]
async fn noise_and_long_lines_cost_only_themselves() {
    let scratch = Scratch::new("tty");
    let mut pty = Pty::new(scratch.join("radio"));
    let mut heard = start(&pty, "preset = \"json\"\nmodel = \"dragino/lht65n\"");
    heard.up().await;
    let noise = [0xFF, 0x00, 0x7B, 0x22, b'\n'];
    for n in 0..20 {
        pty.write(&noise).expect("the line is read");
        pty.write(&vec![b'x'; 3_000]).expect("the line is read");
        pty.write(b"\n").expect("the line is read");
        let line = json_line("fridge", -n);
        let (first, second) = line.split_at(line.len() / 2);
        pty.write(first).expect("the line is read");
        pty.write(second).expect("the line is read");
        let frame = heard.frame().await;
        assert_eq!((temperature(&frame), frame.model.as_deref()), (-n, Some("dragino/lht65n")));
    }
    assert_eq!(heard.count("serial.messages{radio}"), 20);
    let dropped =
        heard.count("serial.bytes_not_understood{radio}") + heard.count("serial.bytes_of_long_lines{radio}");
    assert_eq!(dropped, 20 * (noise.len() as u64 + 3_001));
    assert!(heard.count("serial.bytes_of_long_lines{radio}") >= 20 * 1_000);
    heard.stop().await;
}

#[tokio::test]
async fn a_radio_module_is_heard_in_its_own_lines() {
    let scratch = Scratch::new("tty");
    let mut pty = Pty::new(scratch.join("radio"));
    let mut heard = start(&pty, "preset = \"reyax\"");
    heard.up().await;
    pty.write(b"+READY\r\n+RCV=50,4,\x00\r\n\xFE,-99,40\r\n").expect("the line is read");
    let frame = heard.frame().await;
    assert_eq!((frame.sender.address.as_str(), frame.rssi), ("50", Some(-99)));
    assert_eq!(frame.payload.bytes(), b"\x00\r\n\xFE");
    assert_eq!(heard.count("serial.notices{radio}"), 1);
    heard.stop().await;
}

#[tokio::test]
async fn a_missing_port_is_told_once_with_a_remedy_and_awaited() {
    let scratch = Scratch::new("tty");
    let mut pty = Pty::new(scratch.join("radio"));
    pty.unplug();
    let mut heard = start(&pty, "preset = \"json\"");
    let reason = heard.down().await;
    assert!(reason.contains("is the adapter plugged in?") && reason.contains("/radio"), "{reason}");
    pty.plug();
    // Tried again and again meanwhile, but nothing more was said.
    heard.up().await;
    heard.stop().await;

    // Held by another program.
    let mut first = start(&pty, "preset = \"json\"");
    first.up().await;
    let mut second = start(&pty, "preset = \"json\"");
    let reason = second.down().await;
    assert!(reason.contains("another program holds it"), "{reason}");
    second.stop().await;
    first.stop().await;
}
