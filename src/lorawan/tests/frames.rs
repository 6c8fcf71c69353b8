use super::*;

fn reading(text: &str) -> Up {
    Up { payload: Some((2, text.as_bytes().to_vec())), ..Up::default() }
}

/// A personalised sensor whose last frame was `last`.
fn personalised(hub: &mut Hub, number: u64, last: Option<u32>, accepts_reset: bool) -> Sensor {
    let mut sensor = Sensor::new(number, KEY);
    let (nwk, app) = ([number as u8 + 1; 16], [0x77; 16]);
    let mut session = Session::personalised(DevAddr(0x0100_0001), Key::new(nwk), Key::new(app));
    session.f_cnt_up = last;
    sensor.session = Some(sensor::Joined {
        dev_addr: 0x0100_0001,
        nwk_s_key: nwk,
        app_s_key: app,
        f_cnt_up: last.map_or(0, |last| last + 1),
        f_cnt_down: None,
        settings: Vec::new(),
    });
    hub.add(Device::abp(Eui(sensor.dev_eui), MacVersion::V1_0_2, session, accepts_reset));
    sensor
}

/// What becomes of frame number `f_cnt` after `last`.
#[track_caller]
fn check(last: Option<u32>, accepts_reset: bool, f_cnt: u32, want: Result<u32, Refusal>) {
    let mut hub = Hub::new(Region::Eu868);
    let sensor = personalised(&mut hub, 1, last, accepts_reset);
    let frame = sensor.session.unwrap().frame(f_cnt, &reading("x"));
    let answer = hub.hear(&frame);
    match want {
        Ok(lost) => {
            let uplink = uplink(&answer);
            assert_eq!((uplink.f_cnt, uplink.lost), (f_cnt, lost));
            assert_eq!(payload(&answer), b"x");
            assert_eq!(uplink.was_reset, last.is_some_and(|last| f_cnt <= last));
        }
        Err(why) => assert_eq!(refusal(&answer), why),
    }
}

#[test]
fn counters_of_16_bits_are_followed_through_32() {
    use Refusal::{CounterBehind, WrongMic};
    check(None, false, 0, Ok(0));
    check(None, false, 300, Ok(0));
    // Personalised and running for years before it was added here.
    check(None, false, 3 << 16 | 5, Ok(0));
    check(None, false, 40 << 16, Err(WrongMic));
    check(Some(0), false, 1, Ok(0));
    check(Some(7), false, 10, Ok(2));
    check(Some(65_534), false, 65_535, Ok(0));
    check(Some(65_535), false, 65_536, Ok(0));
    check(Some(65_530), false, 65_540, Ok(9));
    check(Some(0x0002_ffff), false, 0x0003_0000, Ok(0));
    check(Some(10), false, 10 + 65_535, Ok(65_534));
    // One more is beyond what 16 bits can tell: its MIC is of another count.
    check(Some(10), false, 10 + 65_537, Err(WrongMic));
    check(Some(u32::MAX - 1), false, u32::MAX, Ok(0));
    check(Some(10), false, 9, Err(CounterBehind));
    check(Some(10), false, 0, Err(CounterBehind));
    check(Some(65_540), false, 65_530, Err(CounterBehind));
    check(Some(200_000), false, 3, Err(CounterBehind));
    check(Some(200_000), true, 3, Ok(0));
    check(Some(10), true, 0, Ok(0));
    check(Some(10), true, 9, Ok(0));
}

#[test]
fn a_frame_repeated_is_answered_again_and_not_read_again() {
    let mut hub = Hub::new(Region::Eu868);
    let mut sensor = hub.joined(1, MacVersion::V1_0_3);
    let frame = sensor.send(&Up { confirmed: true, ..reading("4.1") });
    let answer = hub.hear(&frame);
    assert_eq!(payload(&answer), b"4.1");
    let (downlink, _) = answer.downlink.unwrap();
    let first = sensor.hear(&downlink.phy).unwrap();
    assert!(first.ack);
    for _ in 0..3 {
        // The acknowledgement was lost; over a restart too.
        hub.restart();
        let answer = hub.hear(&frame);
        assert!(matches!(answer.event, Event::Repeated { .. }), "{:?}", answer.event);
        let (downlink, _) = answer.downlink.unwrap();
        assert!(sensor.hear(&downlink.phy).unwrap().ack, "with a counter of its own");
    }
    // Unconfirmed (a device that sends everything twice): nothing to answer.
    let frame = sensor.send(&reading("4.2"));
    assert_eq!(payload(&hub.hear(&frame)), b"4.2");
    let answer = hub.hear(&frame);
    assert!(matches!(answer.event, Event::Repeated { .. }) && answer.downlink.is_none());
    let next = sensor.send(&reading("4.3"));
    assert_eq!(payload(&hub.hear(&next)), b"4.3");
    assert_eq!(refusal(&hub.hear(&frame)), Refusal::CounterBehind);
}

#[test]
fn one_address_of_several_devices_is_told_apart_by_mic() {
    let mut hub = Hub::new(Region::Eu868);
    let mut sensors: Vec<Sensor> =
        (1..=5).map(|number| personalised(&mut hub, number, None, number == 5)).collect();
    for round in 0..3 {
        for sensor in &mut sensors {
            let text = format!("{round} {:?}", sensor.dev_eui);
            let frame = sensor.send(&reading(&text));
            let answer = hub.hear(&frame);
            assert_eq!(uplink(&answer).dev_eui, Eui(sensor.dev_eui));
            assert_eq!(payload(&answer), text.as_bytes());
        }
    }
    // One of them goes; its frames are nobody's then.
    hub.lns.remove_device(Eui(sensors[0].dev_eui)).unwrap();
    let frame = sensors[0].send(&reading("x"));
    assert_eq!(refusal(&hub.hear(&frame)), Refusal::WrongMic);
    let frame = sensors[1].send(&reading("x"));
    assert_eq!(payload(&hub.hear(&frame)), b"x");
}

#[test]
fn forged_and_foreign_frames_are_refused() {
    let mut hub = Hub::new(Region::Eu868);
    let mut sensor = hub.joined(1, MacVersion::V1_0_3);
    let frame = sensor.send(&reading("4.1"));
    for at in 1..frame.len() {
        let mut forged = frame.clone();
        forged[at] ^= 0x20;
        if hub.receive(&forged, GATEWAY, 0) == Received::Collecting {
            let step = hub.close().remove(0);
            let answer = hub.store_and_send(step);
            let why = refusal(&answer);
            assert!(matches!(why, Refusal::WrongMic | Refusal::UnknownAddress), "byte {at}: {why:?}");
        }
    }
    assert_eq!(payload(&hub.hear(&frame)), b"4.1", "none of it did harm");
}

#[test]
fn what_is_no_uplink_is_refused_at_once() {
    let mut hub = Hub::new(Region::Eu868);
    for (phy, want) in [
        (&[][..], "frame cut short or of no known form"),
        (&[0x40], "frame cut short or of no known form"),
        (&[0x40, 1, 2, 3, 4, 0x0f, 0, 0, 1, 2, 3, 4], "frame cut short or of no known form"),
        (&[0x41; 20], "frame cut short or of no known form"),
        (&[0x60; 20], "a downlink of some gateway"),
        (&[0x20; 17], "a downlink of some gateway"),
        (&[0xe0, 1, 2], "a proprietary frame"),
        (&[0x40; 256], "frame of 256 bytes, more than a radio can send"),
    ] {
        match hub.receive(phy, GATEWAY, 0) {
            Received::Refused(error) => assert_eq!(error.to_string(), want),
            other => panic!("{phy:02x?}: {other:?}"),
        }
    }
    hub.hz = 902_300_000;
    let frame = [0x40; 20];
    assert!(matches!(hub.receive(&frame, GATEWAY, 0), Received::Refused(_)));
    assert_eq!(hub.lns.deadline(), None);
}

#[test]
fn gateways_are_collected_for_200_ms_and_the_best_one_answers() {
    let mut hub = Hub::new(Region::Eu868);
    let mut sensor = hub.joined(1, MacVersion::V1_0_3);
    let frame = sensor.send(&Up { confirmed: true, ..reading("x") });
    hub.now += 10_000;
    assert_eq!(hub.receive(&frame, GATEWAY, 0), Received::Collecting);
    // The same gateway again on another channel, weaker: a ghost.
    (hub.hz, hub.snr_tenths) = (868_500_000, -90);
    assert_eq!(hub.receive(&frame, GATEWAY, 3), Received::Ghost);
    (hub.hz, hub.snr_tenths) = (868_100_000, 95);
    assert_eq!(hub.receive(&frame, OTHER_GATEWAY, 150), Received::AlsoHeard);
    // The strongest of all cannot send.
    let deaf = Reception { context: None, snr_tenths: Some(120), ..hub.reception(Eui([9; 8]), 180) };
    assert_eq!(hub.lns.receive(GatewayFrame { phy: frame.clone(), reception: deaf }), Received::AlsoHeard);
    assert_eq!(hub.lns.deadline(), Some(MonoMs(hub.now + 200)));
    let first_at = hub.now;
    let step = hub.close().remove(0);
    let answer = hub.store_and_send(step);
    let uplink = uplink(&answer);
    assert_eq!(uplink.heard.len(), 3);
    assert_eq!(uplink.heard.iter().map(|heard| heard.snr_tenths.unwrap()).collect::<Vec<_>>(), [120, 95, 80]);
    assert_eq!(uplink.heard[2].hz, 868_100_000, "the ghost is weaker");
    assert_eq!(uplink.margin_tenths, Some(195));
    let (downlink, window) = answer.downlink.unwrap();
    assert_eq!((downlink.gateway, window.hz), (OTHER_GATEWAY, 868_100_000));
    // Latecomers are neither read nor answered; after the second window it would be a retransmission.
    for (later_ms, want) in [(201, Received::Late), (1_499, Received::Late), (1_500, Received::Collecting)] {
        assert_eq!(hub.receive(&frame, Eui([8; 8]), first_at + later_ms - hub.now), want, "{later_ms}");
    }
}

#[test]
fn frames_are_judged_in_the_order_they_were_heard_and_a_flood_is_bounded() {
    let mut hub = Hub::new(Region::Eu868);
    let mut sensor = hub.joined(1, MacVersion::V1_0_3);
    let frames: Vec<Vec<u8>> = (0..5).map(|n| sensor.send(&reading(&n.to_string()))).collect();
    hub.now += 10_000;
    for (frame, later_ms) in frames.iter().zip(0..) {
        hub.receive(frame, GATEWAY, later_ms * 10);
    }
    hub.now += 400;
    let steps = hub.lns.poll(Now { mono: MonoMs(hub.now), wall: None });
    let counts: Vec<u32> = steps
        .iter()
        .map(|step| match &step.event {
            Event::Uplink(uplink) => uplink.f_cnt,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(counts, [1, 2, 3, 4, 5]);

    let mut taken = 0;
    for n in 0..5_000_u32 {
        let mut noise = vec![0x40];
        noise.extend(n.to_le_bytes());
        noise.extend([0; 12]);
        taken += u32::from(hub.receive(&noise, GATEWAY, 0) == Received::Collecting);
    }
    assert_eq!(taken, 256);
    // It takes the place of a stranger's, and a stranger's takes no place of it.
    let frame = sensor.send(&reading("x"));
    assert_eq!(hub.receive(&frame, GATEWAY, 0), Received::Collecting);
    assert!(matches!(hub.receive(&[0x40; 17], GATEWAY, 0), Received::Refused(_)));
    let steps = hub.close();
    assert_eq!(steps.len(), 256);
    let heard = steps.iter().filter(|step| matches!(step.event, Event::Uplink(_)));
    assert_eq!(heard.count(), 1);
}

#[test]
fn what_no_gateway_vouches_for_is_read_and_never_answered_by() {
    // The gateway's own copy comes not at all, or before, or after it.
    for own_ms in [None, Some(-5), Some(150)] {
        let mut hub = Hub::new(Region::Eu868);
        hub.lns.expect_gateways(1);
        let mut sensor = hub.joined(1, MacVersion::V1_0_3);
        let frame = sensor.send(&Up { confirmed: true, ..reading("x") });
        hub.now += 10_000;
        if own_ms == Some(-5) {
            hub.receive(&frame, GATEWAY, -5);
        }
        let copy = GatewayFrame { phy: frame.clone(), reception: hub.reception(GATEWAY, 0) };
        let copy = copy.unvouched().expect("it is no join");
        let want = if own_ms == Some(-5) { Received::Ghost } else { Received::Collecting };
        assert_eq!(hub.lns.receive_unvouched(copy), want);
        let waits_ms = if own_ms == Some(-5) { 15 } else { 200 };
        assert_eq!(hub.lns.deadline(), Some(MonoMs(hub.now + waits_ms)), "{own_ms:?}");
        if own_ms == Some(150) {
            // However little it says of the signal.
            let own = Reception { rssi_dbm: None, snr_tenths: None, ..hub.reception(GATEWAY, 150) };
            assert_eq!(hub.lns.receive(GatewayFrame { phy: frame, reception: own }), Received::Ghost);
        }
        let step = hub.close().remove(0);
        let answer = hub.store_and_send(step);
        assert_eq!(payload(&answer), b"x", "{own_ms:?}");
        assert_eq!(uplink(&answer).margin_tenths.is_some(), own_ms == Some(-5));
        assert_eq!(answer.downlink.is_some(), own_ms.is_some(), "{own_ms:?}");
    }

    let mut hub = Hub::new(Region::Eu868);
    let mut sensor = hub.joined(1, MacVersion::V1_0_3);
    hub.now += 10_000;
    let join = Sensor::new(2, KEY).join_request();
    let copy =
        |hub: &Hub, phy: Vec<u8>| GatewayFrame { phy, reception: hub.reception(GATEWAY, 0) }.unvouched();
    assert_eq!(copy(&hub, join), None);
    // Made up in a known device's name: they displace nobody.
    let frame = sensor.send(&reading("x"));
    for n in 1_000..1_300_u16 {
        let mut forged = frame.clone();
        forged[6..8].copy_from_slice(&n.to_le_bytes());
        let forged = copy(&hub, forged).expect("it is no join");
        hub.lns.receive_unvouched(forged);
    }
    let frame = sensor.send(&reading("z"));
    assert_eq!(hub.receive(&frame, GATEWAY, 0), Received::Collecting);
    let heard = hub.close().into_iter().filter(|step| matches!(step.event, Event::Uplink(_))).count();
    assert_eq!(heard, 1, "its own");
}

#[test]
fn nothing_is_sent_before_it_is_stored_and_counters_that_may_lag_lag() {
    let mut hub = Hub::new(Region::Eu868);
    let mut sensor = hub.joined(1, MacVersion::V1_0_3);
    // Unconfirmed: nothing to store now.
    let frame = sensor.send(&reading("x"));
    let answer = hub.hear(&frame);
    assert!(answer.downlink.is_none());
    let dev_eui = Eui(sensor.dev_eui);
    let count = |device: &Device| device.session.as_ref().unwrap().f_cnt_up;
    assert_eq!(count(&hub.store[&dev_eui]), Some(0));
    for change in hub.lns.take_lagging() {
        hub.store.get_mut(&change.dev_eui()).unwrap().apply(&change);
    }
    assert_eq!(count(&hub.store[&dev_eui]), Some(1));
    assert!(hub.lns.take_lagging().is_empty());

    // Confirmed, but the disk refused: the downlink is dropped with the step, its number is skipped.
    let frame = sensor.send(&Up { confirmed: true, ..reading("y") });
    hub.now += 10_000;
    hub.receive(&frame, GATEWAY, 0);
    let step = hub.close().remove(0);
    assert!(step.sealed.is_urgent() && step.sealed.changes().len() == 1);
    drop(step);
    let answer = hub.hear(&frame);
    assert!(matches!(answer.event, Event::Repeated { .. }));
    assert!(sensor.hear(&answer.downlink.unwrap().0.phy).unwrap().ack);
    assert_eq!(hub.lns.device(dev_eui), hub.store.get(&dev_eui));
}

#[test]
fn a_station_is_given_both_windows_and_one_is_counted() {
    let mut hub = Hub::new(Region::Eu868);
    hub.rate = DataRate::Lora { sf: 12, bw_khz: 125 };
    let mut sensor = hub.joined(1, MacVersion::V1_0_3);
    let mut both = 0;
    for _ in 0..60 {
        let frame = sensor.send(&Up { confirmed: true, ..Up::default() });
        hub.now += 3_000;
        hub.receive(&frame, GATEWAY, 0);
        let mut downlink = hub.close().remove(0).sealed.committed().unwrap();
        let windows = hub.lns.windows(&mut downlink, MonoMs(hub.now));
        assert_eq!(windows.last().unwrap().number, 2);
        assert!(hub.lns.windows(&mut downlink, MonoMs(hub.now)).is_empty());
        both += usize::from(windows.len() == 2);
    }
    // One percent of an hour, less the joined() of before, and then only the second window is left.
    assert!((30..37).contains(&both), "{both}");
}

#[test]
fn readings_and_batteries_become_frames_of_the_pipeline() {
    use crate::codec::Quantity;
    use crate::frame::{AckToken, Payload};
    let mut hub = Hub::new(Region::Eu868);
    let mut sensor = hub.joined(1, MacVersion::V1_0_3);
    let ack = AckToken { source: 1, connection: 2, message: 3 };
    for (f_opts, payload, want) in [
        (vec![], Some((2, b"x".to_vec())), "payload"),
        (vec![0x06, 254, 0], Some((2, b"x".to_vec())), "payload battery"),
        (vec![0x06, 0, 0], Some((2, b"x".to_vec())), "payload"),
        (vec![0x06, 1, 0], None, "battery"),
        (vec![], None, ""),
    ] {
        let frame = sensor.send(&Up { f_opts, payload, ..Up::default() });
        let answer = hub.hear(&frame);
        let frames = uplink(&answer).frames("lorawan", Some(ack));
        let kinds: Vec<&str> = frames
            .iter()
            .map(|frame| match &frame.payload {
                Payload::Binary { f_port: 2, bytes } if bytes == b"x" => "payload",
                Payload::Values { measurements, .. } => {
                    assert!(matches!(measurements[0].quantity, Quantity::BatteryPercent(0 | 100)));
                    "battery"
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(kinds.join(" "), want);
        assert!(frames.last().is_none_or(|last| last.ack == Some(ack)));
        assert!(frames.iter().rev().skip(1).all(|frame| frame.ack.is_none()));
        for frame in frames {
            assert_eq!((frame.sender.address.as_str(), frame.rssi), ("A840410000000001", Some(-80)));
            assert_eq!(frame.identity.counter, Some(uplink(&answer).f_cnt));
            assert_eq!(frame.at, MonoMs(hub.now - 200), "when it was heard, not when it was judged");
        }
    }
}

#[test]
fn the_second_window_and_a_longer_first_one() {
    for rx1_delay_s in [1, 5, 15] {
        let mut hub = Hub::new(Region::Eu868);
        let config = Config { rx1_delay_s, ..config(Region::Eu868) };
        (hub.lns, _) = Lns::new(config, Vec::new());
        let mut sensor = hub.joined(1, MacVersion::V1_0_3);
        assert_eq!(sensor.session.as_ref().unwrap().settings[1], rx1_delay_s);
        let frame = sensor.send(&Up { confirmed: true, ..Up::default() });
        let (mut downlink, first) = hub.hear(&frame).downlink.unwrap();
        let second = hub.lns.window(&mut downlink, MonoMs(hub.now)).unwrap();
        let rx1_ms = u32::from(rx1_delay_s) * 1_000;
        assert_eq!((first.delay_ms, second.delay_ms), (rx1_ms, rx1_ms + 1_000));
        assert_eq!(second.hz, 869_525_000);
        assert_eq!(hub.lns.window(&mut downlink, MonoMs(hub.now)), None);
    }
}

#[test]
fn the_duty_cycle_moves_answers_to_the_second_window_and_then_withholds_them() {
    let mut hub = Hub::new(Region::Eu868);
    hub.rate = DataRate::Lora { sf: 12, bw_khz: 125 };
    let mut sensor = hub.joined(1, MacVersion::V1_0_3);
    let (mut first, mut second, mut none) = (0_u32, 0_u32, 0_u32);
    // An answer at SF12 takes more than a second: 1 % of an hour are some 30 of them, 10 % ten times that.
    for _ in 0..420 {
        hub.now -= 9_000;
        let frame = sensor.send(&Up { confirmed: true, ..Up::default() });
        let answer = hub.hear(&frame);
        match answer.downlink {
            Some((downlink, window)) => {
                sensor.hear(&downlink.phy).unwrap();
                if window.delay_ms == 1_000 { first += 1 } else { second += 1 }
            }
            None => {
                assert_eq!(answer.withheld, Some(Withheld::DutyCycle));
                none += 1;
            }
        }
    }
    assert!((30..37).contains(&first) && (340..365).contains(&second) && none > 0, "{first} {second} {none}");
    assert_eq!(first + second + none, 420);
}
