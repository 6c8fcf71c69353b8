use super::*;
use crate::lorawan::mac::Battery;
use crate::lorawan::region::SubBand;

/// Sends a frame with MAC commands and returns what the sensor heard.
fn ask(hub: &mut Hub, sensor: &mut Sensor, up: Up) -> Option<Down> {
    let frame = sensor.send(&up);
    let (downlink, _) = hub.hear(&frame).downlink?;
    Some(sensor.hear(&downlink.phy).unwrap())
}

fn options(f_opts: &[u8]) -> Up {
    Up { f_opts: f_opts.to_vec(), payload: Some((2, b"x".to_vec())), ..Up::default() }
}

#[test]
fn a_link_check_is_answered_with_margin_and_gateways() {
    for (rate, snr_tenths, gateways, want) in [
        ("SF7BW125", 80, 1, [0x02, 15, 1]),
        ("SF12BW125", -205, 1, [0x02, 0, 1]),
        ("SF10BW125", 0, 2, [0x02, 15, 2]),
    ] {
        let mut hub = Hub::new(Region::Eu868);
        let mut sensor = hub.joined(1, MacVersion::V1_0_3);
        (hub.rate, hub.snr_tenths) = (DataRate::parse(rate).unwrap(), snr_tenths);
        hub.now += 10_000;
        let frame = sensor.send(&options(&[0x02]));
        hub.receive(&frame, GATEWAY, 0);
        if gateways == 2 {
            hub.receive(&frame, OTHER_GATEWAY, 5);
        }
        let step = hub.close().remove(0);
        let (downlink, _) = hub.store_and_send(step).downlink.unwrap();
        assert_eq!(sensor.hear(&downlink.phy).unwrap().f_opts, want, "{rate}");
    }
}

#[test]
fn the_time_is_told_only_when_it_is_trusted() {
    let mut hub = Hub::new(Region::Eu868);
    let mut sensor = hub.joined(1, MacVersion::V1_0_3);
    let heard_at = WALL_ZERO + hub.now + 10_000;
    let down = ask(&mut hub, &mut sensor, options(&[0x0d])).unwrap();
    // Of the end of the uplink, not of the answer: GPS = Unix - 315964800 + 18.
    let gps_ms = heard_at - 315_964_800_000 + 18_000;
    let seconds = u32::from_le_bytes(down.f_opts[1..5].try_into().unwrap());
    assert_eq!((down.f_opts[0], i64::from(seconds)), (0x0d, gps_ms / 1_000));
    assert_eq!(i64::from(down.f_opts[5]), gps_ms % 1_000 * 256 / 1_000);
    hub.has_time = false;
    assert_eq!(ask(&mut hub, &mut sensor, options(&[0x0d])), None);
}

#[test]
fn a_sign_of_life_is_given_when_asked_for() {
    let mut hub = Hub::new(Region::Eu868);
    let mut sensor = hub.joined(1, MacVersion::V1_0_3);
    assert_eq!(ask(&mut hub, &mut sensor, options(&[])), None, "an ordinary frame is not answered");
    let down = ask(&mut hub, &mut sensor, Up { adr: true, adr_ack_req: true, ..options(&[]) }).unwrap();
    assert!(!down.ack && down.f_opts.is_empty());
}

#[test]
fn the_battery_is_asked_for_once_a_day() {
    let mut hub = Hub::new(Region::Eu868);
    let mut sensor = Sensor::new(1, KEY);
    hub.add(Device::otaa(Eui(sensor.dev_eui), MacVersion::V1_0_3, Key::new(KEY), UnixMs(0)));
    hub.join(&mut sensor);
    let hour = 3_600_000;
    // Hours gone, the sensor answers, it is asked.
    for (gone, answers, asked) in [
        (0, false, true),
        (0, false, false),
        (1, false, true),
        (0, true, false),
        (23, false, false),
        (1, false, true),
        (0, true, false),
        (23, false, false),
        (1, false, true),
    ] {
        hub.now += gone * hour;
        let f_opts: &[u8] = if answers { &[0x06, 200, 9] } else { &[] };
        let frame = sensor.send(&options(f_opts));
        let answer = hub.hear(&frame);
        let status = uplink(&answer).status;
        assert_eq!(status, answers.then_some((Battery::Percent(79), 9)));
        let heard = answer.downlink.map(|(downlink, _)| sensor.hear(&downlink.phy).unwrap().f_opts);
        assert_eq!(heard, asked.then(|| vec![0x06]), "{gone} h, answers {answers}");
    }
}

#[test]
fn commands_on_port_0_count_like_those_in_the_options_but_not_both() {
    let mut hub = Hub::new(Region::Eu868);
    let mut sensor = hub.joined(1, MacVersion::V1_0_3);
    let on_port_0 = Up { payload: Some((0, vec![0x02, 0x06, 0, 3])), ..Up::default() };
    let frame = sensor.send(&on_port_0);
    let answer = hub.hear(&frame);
    assert_eq!(uplink(&answer).payload, None);
    assert_eq!(uplink(&answer).status, Some((Battery::External, 3)));
    assert_eq!(sensor.hear(&answer.downlink.unwrap().0.phy).unwrap().f_opts, [0x02, 15, 1]);
    assert_eq!(ask(&mut hub, &mut sensor, Up { f_opts: vec![0x02], ..on_port_0 }), None);
    // What a maker appended is counted and does no harm.
    let frame = sensor.send(&options(&[0x02, 0x99, 1, 2]));
    let answer = hub.hear(&frame);
    assert_eq!((uplink(&answer).commands_unread, payload(&answer)), (3, &b"x"[..]));
    assert!(answer.downlink.is_some());
}

#[test]
fn a_sensor_heard_well_is_told_to_send_faster() {
    let mut hub = Hub::new(Region::Eu868);
    hub.rate = DataRate::Lora { sf: 12, bw_khz: 125 };
    hub.snr_tenths = 50;
    let mut sensor = hub.joined(1, MacVersion::V1_0_3);
    let mut heard = Vec::new();
    for n in 0..25 {
        hub.now += 60_000;
        let down = ask(&mut hub, &mut sensor, Up { adr: true, ..options(&[]) });
        if let Some(down) = down.filter(|down| down.f_opts[0] == 0x03) {
            heard.push((n, down.f_opts));
        }
    }
    // 15 dB above what SF12 and the margin need: five steps up. Asked three times, then not for a while.
    let want = vec![0x03, 0x50, 0xff, 0x00, 0x01];
    assert_eq!(heard, [(18, want.clone()), (19, want.clone()), (20, want)]);
    // It answers, and does as told; it does so in the store as well.
    let frame = sensor.send(&Up { adr: true, ..options(&[0x03, 0x07]) });
    hub.hear(&frame);
    for change in hub.lns.take_lagging() {
        hub.store.get_mut(&change.dev_eui()).unwrap().apply(&change);
    }
    hub.restart();
    let link = &hub.lns.device(Eui(sensor.dev_eui)).unwrap().session.as_ref().unwrap().link;
    assert_eq!((link.data_rate, link.power, link.asked), (Some(5), 0, None));
    hub.rate = SF7;
    hub.snr_tenths = 0;
    for _ in 0..30 {
        hub.now += 60_000;
        let down = ask(&mut hub, &mut sensor, Up { adr: true, ..options(&[]) });
        assert!(down.is_none_or(|down| down.f_opts == [0x06]), "it is where it should be");
    }
}

#[test]
fn a_sensor_without_the_extra_channels_is_asked_for_its_own() {
    let mut hub = Hub::new(Region::Eu868);
    hub.rate = DataRate::Lora { sf: 12, bw_khz: 125 };
    let mut sensor = hub.joined(1, MacVersion::V1_0_1);
    let mut masks = Vec::new();
    for _ in 0..100 {
        hub.now += 60_000;
        let down = ask(&mut hub, &mut sensor, Up { adr: true, ..options(&[]) });
        if let Some(f_opts) = down.map(|down| down.f_opts).filter(|f_opts| f_opts[0] == 0x03) {
            masks.push(f_opts[2]);
            let no = f_opts[2] == 0xff;
            let frame = sensor.send(&Up { adr: true, ..options(&[0x03, if no { 0x06 } else { 0x07 }]) });
            hub.hear(&frame);
            if !no {
                break;
            }
        }
    }
    assert_eq!(masks, [0xff, 0x07]);
}

#[test]
fn a_sensor_that_chooses_for_itself_is_let_be() {
    let mut hub = Hub::new(Region::Eu868);
    hub.rate = DataRate::Lora { sf: 12, bw_khz: 125 };
    let mut sensor = hub.joined(1, MacVersion::V1_0_3);
    for _ in 0..30 {
        hub.now += 60_000;
        let down = ask(&mut hub, &mut sensor, options(&[]));
        assert!(down.is_none_or(|down| down.f_opts == [0x06]));
    }
}

#[test]
fn the_gateway_s_eight_channels_are_told_in_us915_and_au915() {
    let sub_band = |number| SubBand::new(number).unwrap();
    let us = |number| Region::Us915 { sub_band: sub_band(number) };
    let au = Region::Au915 { sub_band: sub_band(2), dwell: false };
    for (region, version, want) in [
        (us(1), MacVersion::V1_0_2, &[0x03, 0x30, 0x01, 0x00, 0x71, 0x03, 0x30, 0xff, 0x00, 0x01][..]),
        (us(2), MacVersion::V1_0_3, &[0x03, 0x30, 0x02, 0x00, 0x71, 0x03, 0x30, 0x00, 0xff, 0x01]),
        (us(8), MacVersion::V1_0_3, &[0x03, 0x30, 0x80, 0x00, 0x71, 0x03, 0x30, 0x00, 0xff, 0x31]),
        (au, MacVersion::V1_0_3, &[0x03, 0x50, 0x02, 0x00, 0x71, 0x03, 0x50, 0x00, 0xff, 0x01]),
    ] {
        let mut hub = Hub::new(region);
        let mut sensor = Sensor::new(1, KEY);
        hub.add(Device::otaa(Eui(sensor.dev_eui), version, Key::new(KEY), UnixMs(0)));
        hub.join(&mut sensor);
        // With what else there is to say: TxParamSetupReq where there is one, DevStatusReq.
        let down = ask(&mut hub, &mut sensor, options(&[])).unwrap();
        assert_eq!(&down.f_opts[..10], want, "{region:?}");
        let rest = &down.f_opts[10..];
        assert_eq!(rest, if region == au { &[0x09, 0x0d, 0x06][..] } else { &[0x06] });
        // Until it says yes.
        let again = ask(&mut hub, &mut sensor, options(&[0x06, 0, 0])).unwrap();
        assert_eq!(&again.f_opts[..10], want);
        let yes = ask(&mut hub, &mut sensor, options(&[0x03, 0x07, 0x03, 0x07, 0x09]));
        assert_eq!(yes, None, "{region:?}");
    }
}

#[test]
fn a_mask_refused_in_part_is_asked_for_again_later() {
    let mut hub = Hub::new(Region::Us915 { sub_band: SubBand::new(2).unwrap() });
    let mut sensor = hub.joined(1, MacVersion::V1_0_3);
    assert_eq!(ask(&mut hub, &mut sensor, options(&[0x03, 0x07, 0x03, 0x06])), None);
    let asked = (0..40).filter(|_| ask(&mut hub, &mut sensor, options(&[])).is_some()).count();
    assert_eq!(asked, 2);
}

#[test]
fn the_dwell_limit_is_told_where_sensors_assume_one() {
    for (dwell, version, want) in [
        (false, MacVersion::V1_0_2, Some([0x09, 0x05])),
        (true, MacVersion::V1_0_3, Some([0x09, 0x35])),
        (false, MacVersion::V1_0_1, None),
    ] {
        let mut hub = Hub::new(Region::As923 { dwell });
        let mut sensor = Sensor::new(1, KEY);
        hub.add(Device::otaa(Eui(sensor.dev_eui), version, Key::new(KEY), UnixMs(0)));
        hub.join(&mut sensor);
        let f_opts = ask(&mut hub, &mut sensor, options(&[])).unwrap().f_opts;
        assert_eq!(f_opts.first_chunk::<2>().filter(|first| first[0] == 0x09), want.as_ref());
        assert_eq!(f_opts.last(), Some(&0x06));
        assert_eq!(ask(&mut hub, &mut sensor, options(&[0x09])), None);
    }
}

#[test]
fn what_does_not_fit_waits_for_the_next_frame() {
    // Twelve bytes are left under the dwell limit at the second window's rate, and answers go first.
    let mut hub = Hub::new(Region::As923 { dwell: true });
    let mut sensor = Sensor::new(1, KEY);
    hub.add(Device::otaa(Eui(sensor.dev_eui), MacVersion::V1_0_3, Key::new(KEY), UnixMs(0)));
    hub.join(&mut sensor);
    let down = ask(&mut hub, &mut sensor, options(&[0x02, 0x0d])).unwrap();
    assert_eq!((down.f_opts.len(), down.f_opts[0], down.f_opts[3]), (12, 0x02, 0x0d));
    assert_eq!(down.f_opts[9..], [0x09, 0x35, 0x06]);
    // US915's ten bytes of masks and nine of answers are too much for fifteen.
    let mut hub = Hub::new(Region::Us915 { sub_band: SubBand::new(2).unwrap() });
    let mut sensor = Sensor::new(1, KEY);
    hub.add(Device::otaa(Eui(sensor.dev_eui), MacVersion::V1_0_3, Key::new(KEY), UnixMs(0)));
    hub.join(&mut sensor);
    let down = ask(&mut hub, &mut sensor, options(&[0x02, 0x0d])).unwrap();
    assert_eq!(down.f_opts.len(), 10, "{:02x?}", down.f_opts);
    let down = ask(&mut hub, &mut sensor, options(&[])).unwrap();
    assert_eq!(down.f_opts[..2], [0x03, 0x30]);
}

#[test]
fn the_first_window_follows_the_uplink() {
    let sub_band = SubBand::new(2).unwrap();
    for (region, hz, up, rx1) in [
        (Region::Eu868, 867_900_000, "SF9BW125", (867_900_000, "SF9BW125")),
        (Region::Us915 { sub_band }, 903_900_000, "SF10BW125", (923_300_000, "SF10BW500")),
        (Region::Us915 { sub_band }, 905_300_000, "SF7BW125", (927_500_000, "SF7BW500")),
        (Region::Us915 { sub_band }, 904_600_000, "SF8BW500", (923_900_000, "SF7BW500")),
        (Region::Au915 { sub_band, dwell: false }, 916_800_000, "SF12BW125", (923_300_000, "SF12BW500")),
        (Region::Au915 { sub_band, dwell: false }, 917_000_000, "SF7BW125", (923_900_000, "SF7BW500")),
        (Region::As923 { dwell: false }, 923_400_000, "SF12BW125", (923_400_000, "SF12BW125")),
        (Region::As923 { dwell: true }, 923_400_000, "SF12BW125", (923_400_000, "SF10BW125")),
    ] {
        let mut hub = Hub::new(region);
        let mut sensor = hub.joined(1, MacVersion::V1_0_3);
        (hub.hz, hub.rate) = (hz, DataRate::parse(up).unwrap());
        let frame = sensor.send(&Up { confirmed: true, ..Up::default() });
        let (_, window) = hub.hear(&frame).downlink.unwrap();
        assert_eq!((window.hz, window.rate.to_string().as_str()), rx1, "{region:?} {up}");
    }
}
