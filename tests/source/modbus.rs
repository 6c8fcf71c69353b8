use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use frostguard_hub::codec::{Fault, Measurement, Quantity};
use frostguard_hub::config::{Config, Findings};
use frostguard_hub::domain::{CentiCelsius, MonoMs, Probe, Source};
use frostguard_hub::frame::{Frame, Payload};
use frostguard_hub::source::modbus::Modbus;

use crate::heard::Heard;
use crate::support::{Scratch, open_pair};

/// The XY-MD02's own frames, as its maker prints them: 30.5 °C and 54.6 %.
const MD02_REQUEST: &str = "01 04 00 01 00 02 20 0B";
const MD02_ANSWER: &str = "01 04 04 01 31 02 22 2A CE";

fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|digits| u8::from_str_radix(digits, 16).expect("hexadecimal")).collect()
}

/// A frame with its checksum, computed here anew.
fn frame(text: &str) -> Vec<u8> {
    let mut bytes = hex(text);
    let mut sum: u16 = 0xFFFF;
    for byte in &bytes {
        sum ^= u16::from(*byte);
        for _ in 0..8 {
            let carry = sum & 1 == 1;
            sum >>= 1;
            if carry {
                sum ^= 0xA001;
            }
        }
    }
    bytes.extend(sum.to_le_bytes());
    bytes
}

/// A bus on a pseudo-terminal: hands each request to `answer` and sends what that gives, in pieces.
struct Slaves {
    thread: Option<JoinHandle<()>>,
    link: PathBuf,
    unplug: Sender<()>,
    asked: Receiver<Vec<u8>>,
}

impl Slaves {
    fn plug(link: PathBuf, mut answer: impl FnMut(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> Self {
        let (mut near, far) = open_pair();
        let path = serialport::SerialPort::name(&far).expect("a pseudo-terminal has a path");
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(path, &link).expect("link the line's path");
        let (unplug, unplugged) = channel();
        let (ask, asked) = channel();
        serialport::SerialPort::set_timeout(&mut near, Duration::from_millis(20)).expect("set the timeout");
        let thread = std::thread::spawn(move || {
            let _far = far;
            let mut request = Vec::new();
            let mut buffer = [0; 64];
            while unplugged.try_recv().is_err() {
                match near.read(&mut buffer) {
                    Ok(count) => request.extend(&buffer[..count]),
                    Err(error) if error.kind() == ErrorKind::TimedOut => {}
                    Err(error) => panic!("read the line: {error}"),
                }
                // Every request that only reads has eight bytes.
                while request.len() >= 8 {
                    let one: Vec<u8> = request.drain(..8).collect();
                    let pieces = answer(&one);
                    // The test may not look.
                    let _ = ask.send(one);
                    for piece in pieces {
                        near.write_all(&piece).expect("the hub's end is open");
                    }
                }
            }
        });
        Self { thread: Some(thread), link, unplug, asked }
    }

    fn unplug(mut self) {
        std::fs::remove_file(&self.link).expect("the link is there");
        self.unplug.send(()).expect("the line is plugged");
        self.thread.take().expect("unplugged once").join().expect("no panic on the line");
    }
}

fn start(link: &Path, devices: &str) -> Heard {
    let text = format!(
        "[[modbus]]\nname = \"bus\"\npath = \"{}\"\ninterval_s = 1\ntimeout_ms = 2000\n{devices}",
        link.display()
    );
    let config = Config::parse(&text).expect("the section is right");
    assert_eq!(config.check(), Findings::default());
    Heard::start(Modbus::new(config.modbus[0].clone()))
}

const MD02: &str = "[[modbus.device]]\nid = 1\npreset = \"xy-md02\"\n";

fn quantities(frame: &Frame) -> Vec<Quantity> {
    let Payload::Values { measurements, .. } = &frame.payload else { panic!("{frame:?} carries no values") };
    measurements.iter().map(|Measurement { quantity, .. }| quantity.clone()).collect()
}

fn celsius(hundredths: i32) -> Quantity {
    Quantity::Temperature(CentiCelsius(hundredths))
}

#[tokio::test]
async fn a_bus_is_read_lost_and_replugged_without_a_restart() {
    let scratch = Scratch::new("bus");
    let link = scratch.join("bus");
    let mut heard = start(&link, MD02);
    assert!(heard.down().await.contains("is the adapter plugged in?"));
    for _ in 0..3 {
        let slaves = Slaves::plug(link.clone(), |_| vec![hex(MD02_ANSWER)]);
        heard.up().await;
        for _ in 0..2 {
            let frame = heard.frame().await;
            assert_eq!(quantities(&frame), [celsius(3_050), Quantity::Humidity(5_460)]);
            let sender = &frame.sender;
            assert_eq!(
                (sender.source, sender.port.as_str(), sender.address.as_str()),
                (Source::Modbus, "bus", "1")
            );
            assert_eq!((frame.at, frame.ack, sender.is_eui), (MonoMs(77), None, false));
            assert_eq!(frame.payload.bytes(), hex("01 31 02 22"));
        }
        assert_eq!(slaves.asked.recv().expect("it was asked"), hex(MD02_REQUEST));
        slaves.unplug();
        let reason = heard.down().await;
        assert!(reason.contains("serial port") && reason.contains("/bus"), "{reason}");
    }
    heard.stop().await;
}

#[tokio::test]
async fn one_device_that_fails_leaves_the_others_alone() {
    let scratch = Scratch::new("bus");
    let link = scratch.join("bus");
    let devices = format!(
        "{MD02}[[modbus.device]]\nid = 2\npreset = \"rs485-th\"\n[[modbus.device]]\nid = 3\npreset = \"rs485-th\"
        swapped = true\n[[modbus.device]]\nid = 4\n[[modbus.device.register]]\nfunction = 3\naddress = 256
        type = \"i16\"\nscale = 0.1\ninvalid = [-32768]\nprobe = \"2\"\nquantity = \"temperature\""
    );
    let slaves = Slaves::plug(link.clone(), |request| match request[..2] {
        // Never answers; refuses; measures -20.5 °C, humidity first.
        [1, 4] => vec![],
        [2, 3] => vec![frame("02 83 02")],
        [3, 3] => vec![frame("03 03 04 02 72 FF 33")],
        // Its probe is torn off.
        [4, 3] => vec![frame("04 03 02 80 00")],
        _ => panic!("{request:02x?} is no request"),
    });
    let mut heard = start(&link, &devices);
    heard.up().await;
    let (mut third, mut fourth) = (0, 0);
    while heard.count("modbus.timeouts{bus}") < 4 || third < 3 || fourth < 3 {
        let frame = heard.frame().await;
        match frame.sender.address.as_str() {
            "3" => {
                third += 1;
                assert_eq!(quantities(&frame), [celsius(-2_050), Quantity::Humidity(6_260)]);
            }
            "4" => {
                fourth += 1;
                let Payload::Values { measurements, .. } = &frame.payload else { panic!("{frame:?}") };
                let quantity = Quantity::Fault(Fault::Disconnected);
                assert_eq!(*measurements, [Measurement { probe: Probe::numbered(2), quantity, at: None }]);
            }
            other => panic!("device {other} never answered"),
        }
    }
    assert!(heard.count("modbus.exceptions{bus}") >= 2);
    assert_eq!(heard.count("modbus.messages{bus}"), third + fourth + heard.waiting() as u64);
    heard.stop().await;
    slaves.unplug();
}

#[tokio::test]
async fn noise_wrong_ids_and_damage_are_counted_and_asked_again() {
    let scratch = Scratch::new("bus");
    let link = scratch.join("bus");
    let mut asked = 0;
    let slaves = Slaves::plug(link.clone(), move |request| {
        asked += 1;
        let mut damaged = hex(MD02_ANSWER);
        damaged[4] ^= 1;
        match asked {
            1 => vec![damaged],
            2 => vec![hex("FF 00"), hex(MD02_ANSWER), hex("00")],
            3 => vec![frame("07 04 04 01 31 02 22")],
            // In two pieces, after the request as an adapter repeats it.
            4 => vec![request.to_vec(), hex("01 04 04 01"), hex("31 02 22 2A CE")],
            5 => vec![vec![0xA5; 2_000]],
            _ => vec![hex(MD02_ANSWER)],
        }
    });
    let mut heard = start(&link, MD02);
    heard.up().await;
    for _ in 0..3 {
        assert_eq!(quantities(&heard.frame().await), [celsius(3_050), Quantity::Humidity(5_460)]);
    }
    for (counter, want) in [
        ("modbus.bad_checksums{bus}", 1),
        ("modbus.other_ids{bus}", 1),
        ("modbus.noise{bus}", 1),
        ("modbus.timeouts{bus}", 0),
    ] {
        assert_eq!(heard.count(counter), want, "{counter}");
    }
    heard.stop().await;
    slaves.unplug();
}

#[tokio::test]
async fn a_bus_on_which_nobody_answers_is_down_until_one_does() {
    let scratch = Scratch::new("bus");
    let link = scratch.join("bus");
    let (mends, is_mended) = channel::<()>();
    let mut answers = false;
    let slaves = Slaves::plug(link.clone(), move |request| {
        answers = answers || is_mended.try_recv().is_ok();
        if answers && request[0] == 1 { vec![hex(MD02_ANSWER)] } else { vec![] }
    });
    let mut heard = start(&link, &format!("{MD02}{}", MD02.replace("id = 1", "id = 9")));
    let reason = heard.down().await;
    assert!(reason.contains("none of 2 devices answers") && reason.contains("A and B"), "{reason}");
    mends.send(()).expect("the line is plugged");
    heard.up().await;
    assert_eq!(quantities(&heard.frame().await), [celsius(3_050), Quantity::Humidity(5_460)]);
    heard.stop().await;
    slaves.unplug();
}
