use super::*;
use crate::domain::{MonoMs, Source};
use crate::frame::{AckToken, Identity};

/// Plays frames, one a line, against one finder and compares what each repeats.
///
/// `SECONDS PORT ADDRESS BYTES [n=COUNTER] [dev=DEVADDR] [f=PORT] [id=DEDUP] [mqtt=CONNECTION/PACKET/TOPIC] [dup] =>
/// REPEAT`. An address of 16 digits is an EUI. `keep`, `undo` and `restart` (a new finder that is given what the old one
/// stored, and keeps nothing else) stand alone.
#[track_caller]
fn check(script: &str) {
    let mut finder = Duplicates::new();
    let mut stored: Vec<(i64, Tick)> = Vec::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line {
            "keep" => finder.keep(),
            "undo" => finder.undo(),
            "restart" => {
                finder = Duplicates::new();
                finder.preload(stored.iter().copied());
            }
            _ => {
                let (what, want) = line.split_once("=>").unwrap_or((line, "fresh"));
                let (at, frame) = parse(what);
                let judged = finder.judge(&frame, at);
                assert_eq!(judged.repeat.map_or("fresh", Repeat::as_str), want.trim(), "the line `{line}`");
                stored.push((judged.dedup, at));
            }
        }
    }
}

fn parse(text: &str) -> (Tick, Frame) {
    let words: Vec<&str> = text.split_whitespace().collect();
    let seconds: f64 = words[0].parse().unwrap();
    let mut identity = Identity::default();
    let mut frame_port = 1;
    let mut ack = None;
    for word in &words[4..] {
        match word.split_once('=') {
            Some(("n", counter)) => identity.counter = Some(counter.parse().unwrap()),
            Some(("dev", address)) => identity.dev_addr = Some(address.into()),
            Some(("f", port)) => frame_port = port.parse().unwrap(),
            Some(("id", id)) => identity.deduplication_id = Some(id.into()),
            Some(("mqtt", publish)) => {
                let mut parts = publish.splitn(3, '/');
                let connection = parts.next().unwrap().parse().unwrap();
                ack = Some(AckToken { source: 1, connection, message: 0 });
                identity.packet = Some(MqttPacket {
                    id: parts.next().unwrap().parse().unwrap(),
                    topic: parts.next().unwrap().into(),
                    is_redelivered: words.contains(&"dup"),
                });
            }
            None if *word == "dup" => {}
            _ => panic!("no such word: {word}"),
        }
    }
    let sender = Sender {
        source: match words[1] {
            _ if ack.is_some() => Source::Mqtt,
            port if port.starts_with("bus") => Source::Modbus,
            _ => Source::Serial,
        },
        port: words[1].into(),
        address: words[2].into(),
        is_eui: words[2].len() == 16,
    };
    let frame = Frame {
        sender,
        model: None,
        at: MonoMs(0),
        network_time: None,
        is_delayed: false,
        payload: Payload::Binary { f_port: frame_port, bytes: words[3].into() },
        identity,
        rssi: None,
        ack,
    };
    (Tick((seconds * 1_000.0) as i64), frame)
}

#[test]
fn the_same_counter_and_bytes_within_a_day() {
    check(
        "0 usb 0102030405060708 aa n=5
         60 usb 0102030405060708 aa n=6
         61 usb 0102030405060708 aa n=5 => counter
         62 usb 0102030405060708 ab n=5
         63 usb 0102030405060708 aa n=5 f=2
         64 usb 0102030405060708 aa n=5 dev=26011BDA
         65 usb 0102030405060709 aa n=5
         70 other 0102030405060708 aa n=5 => counter
         86400 usb 0102030405060708 aa n=5 => counter
         86400.001 usb 0102030405060708 aa n=5
         86401 usb 0102030405060708 aa n=5 => counter",
    );
    // An address that is not globally unique names another device on another port.
    check(
        "0 usb 50 aa n=5
         10 usb2 50 aa n=5
         20 usb 50 aa n=5 => counter",
    );
}

#[test]
fn a_number_on_two_wires_is_two_sensors() {
    check(
        "0 usb 1 aa
         0.1 usb2 1 aa => heard_twice
         1 bus 1 aa
         1.1 bus2 1 aa
         1.2 bus 1 aa",
    );
}

#[test]
fn the_same_counter_across_a_restart() {
    check(
        "0 usb 0102030405060708 aa n=5
         60 usb 0102030405060708 aa n=6
         restart
         100 usb 0102030405060708 aa n=5 => counter
         101 usb 0102030405060708 aa n=7
         86401 usb 0102030405060708 aa n=5",
    );
}

#[test]
fn without_a_counter_a_steady_sensor_may_repeat_itself() {
    check(
        "0 usb 50 21.5
         1 usb 50 21.5
         60 usb 50 21.5
         restart
         61 usb 50 21.5",
    );
    // But not over two ports at once.
    check(
        "0 usb 50 21.5
         1 usb2 50 21.5 => heard_twice
         2 usb3 50 21.5 => heard_twice
         2.001 usb2 50 21.5
         3 usb 50 21.5 => heard_twice
         3 usb 51 21.5
         3 usb2 51 21.6
         3 usb 0102030405060708 21.5
         4 usb2 0102030405060708 21.5 => heard_twice",
    );
    // A node's own counter tells two transmissions apart, and one from itself.
    check(
        "0 usb 50 aa n=1
         1 usb2 50 aa n=2
         1 usb2 50 aa n=1 => heard_twice",
    );
}

#[test]
fn the_network_servers_mark() {
    check(
        "0 broker 0102030405060708 aa n=1 id=3ac7
         1 broker 0102030405060708 aa n=2 id=3ac8
         2 broker 0102030405060708 ab n=3 id=3ac7 => deduplication_id",
    );
    check(
        "0 broker 0102030405060708 aa id=3ac7\n restart\n 9 broker 0102030405060708 aa id=3ac7 => deduplication_id",
    );
}

#[test]
fn a_publish_of_the_connection_before() {
    check(
        "0 broker zb 21 mqtt=1/7/t
         5 broker zb 21 mqtt=1/8/t
         6 broker zb 21 mqtt=2/7/t dup => redelivered
         7 broker zb 21 mqtt=2/8/u dup
         8 broker zb 22 mqtt=2/8/t dup
         9 broker zb 21 mqtt=2/9/t dup
         10 broker zb 21 mqtt=2/8/t
         20 other zb 21 mqtt=2/7/t dup",
    );
    // Only of the connection before; and again when that acknowledgement was lost too.
    check(
        "0 broker zb 21 mqtt=1/7/t
         6 broker zb 99 mqtt=2/1/t
         7 broker zb 21 mqtt=3/7/t dup",
    );
    check(
        "0 broker zb 21 mqtt=1/7/t
         6 broker zb 21 mqtt=2/7/t dup => redelivered
         7 broker zb 21 mqtt=3/7/t dup => redelivered",
    );
    // Across a restart, of what was stored just before.
    check(
        "0 broker zb 20 mqtt=1/6/t
         100 broker zb 21 mqtt=1/7/t
         restart
         110 broker zb 20 mqtt=1/6/t dup
         110 broker zb 21 mqtt=1/7/t dup => redelivered",
    );
}

#[test]
fn a_group_that_was_not_committed_is_judged_again() {
    check(
        "0 usb 0102030405060708 aa n=5
         keep
         1 usb 0102030405060708 aa n=6
         1 usb 50 21.5
         1 broker 0102030405060709 aa n=1 id=3ac7
         1 broker zb 21 mqtt=1/7/t
         undo
         1 usb 0102030405060708 aa n=6
         1 usb2 50 21.5
         1 broker 0102030405060709 aa n=1 id=3ac7
         2 broker zb 21 mqtt=2/7/t dup
         3 usb 0102030405060708 aa n=5 => counter",
    );
    // A frame of a connection that is already lost, judged after one of the next.
    check(
        "0 broker zb 20 mqtt=2/1/t
         1 broker zb 21 mqtt=1/7/t
         2 broker zb 21 mqtt=2/7/t dup => redelivered",
    );
}

#[test]
fn memory_is_bounded_and_the_oldest_is_forgotten() {
    let mut finder = Duplicates::new();
    let frame = |counter: u32| parse(&format!("0 usb 0102030405060708 aa n={counter}")).1;
    for counter in 0..=COUNTED_MAX as u32 {
        assert_eq!(finder.judge(&frame(counter), Tick(i64::from(counter))).repeat, None);
        finder.keep();
    }
    let now = Tick(COUNTED_MAX as i64 + 1);
    assert_eq!(finder.judge(&frame(1), now).repeat, Some(Repeat::Counter));
    assert_eq!(finder.judge(&frame(0), now).repeat, None);
    assert!(finder.counted.held() <= COUNTED_MAX);

    // Frames of one second, far too many; and publishes that are never acknowledged.
    for no in 0..10_000 {
        let (_, frame) = parse(&format!("0 broker zb {no} id={no} mqtt=1/{}/t", no % 65_536));
        finder.judge(&frame, now);
        finder.keep();
    }
    assert!(finder.heard.held() <= HEARD_MAX);
    assert!(finder.deduplication_ids.held() <= DEDUPLICATION_IDS_MAX);
    assert!(finder.brokers["broker"].present.len() <= PUBLISHES_MAX);
    assert!(finder.added.is_empty());
}

/// Stored in `hub_frames`: a build that hashes otherwise would not find the repeats of frames of the one before.
#[test]
fn stored_hashes_are_frozen() {
    for (text, want) in [
        ("0 usb 0102030405060708 aa n=5 dev=26011BDA", 5215611582402369858),
        ("0 usb 50 aa n=5", 4899423736015298593),
        ("0 usb 50 aa", -8320593487274139569),
        ("0 broker zb aa mqtt=1/7/t", -8465178319105802205),
        ("0 usb zb aa id=3ac7", -5978429625991177821),
    ] {
        assert_eq!(Duplicates::new().judge(&parse(text).1, Tick(0)).dedup, want, "{text}");
    }
}
