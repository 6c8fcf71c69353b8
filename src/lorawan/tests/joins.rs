use super::*;
use crate::lorawan::region::SubBand;
use crate::lorawan::server::{JoinRecord, JoinTrouble, STRANGERS_MAX, TX_LEAD_MS};
use crate::lorawan::session::{Activation, DEV_NONCES_MAX, JUMP, JoinState, SessionChange};

fn eui(sensor: &Sensor) -> Eui {
    Eui(sensor.dev_eui)
}

fn known(hub: &mut Hub, version: MacVersion) -> Sensor {
    let sensor = Sensor::new(1, KEY);
    hub.add(Device::otaa(eui(&sensor), version, Key::new(KEY), UnixMs(0)));
    sensor
}

#[test]
fn a_join_is_answered_and_the_session_waits_for_its_first_frame() {
    for version in MacVersion::ALL {
        let mut hub = Hub::new(Region::Eu868);
        let mut sensor = known(&mut hub, version);
        let window = hub.join(&mut sensor);
        assert_eq!((window.delay_ms, window.hz, window.rate, window.eirp_dbm), (5_000, 868_100_000, SF7, 16));
        let joined = sensor.session.as_ref().unwrap();
        // DLSettings: offset 0, RX2 at DR0, no OptNeg; RxDelay 1; five more channels in units of 100 Hz.
        assert_eq!(joined.settings[..2], [0x00, 0x01]);
        assert_eq!(joined.settings[2..5], [0x18, 0x4f, 0x84]);
        assert_eq!(joined.settings.len(), 2 + 16);
        let device = hub.lns.device(eui(&sensor)).unwrap();
        assert!(device.session.is_none() && device.pending.is_some());

        let frame = sensor.reading(b"\x01\x02");
        let answer = hub.hear(&frame);
        assert_eq!(payload(&answer), b"\x01\x02");
        assert!(uplink(&answer).activated);
        assert_eq!(
            hub.lns.device(eui(&sensor)),
            hub.store.get(&eui(&sensor)),
            "activation is stored at once"
        );
        assert!(hub.store[&eui(&sensor)].pending.is_none());
    }
}

#[test]
fn the_old_session_stays_until_the_new_one_is_used() {
    let mut hub = Hub::new(Region::Eu868);
    let mut sensor = hub.joined(1, MacVersion::V1_0_3);
    let old = sensor.clone();
    // The device does not hear the answer and goes on with what it has, over a restart of the hub too.
    let request = sensor.join_request();
    assert!(hub.hear(&request).downlink.is_some());
    hub.restart();
    let mut deaf = Sensor { dev_nonce: sensor.dev_nonce, ..old };
    let frame = deaf.reading(b"old");
    assert_eq!(payload(&hub.hear(&frame)), b"old");
    // The next one it hears.
    hub.join(&mut sensor);
    let frame = deaf.reading(b"still old");
    assert_eq!(payload(&hub.hear(&frame)), b"still old");
    let frame = sensor.reading(b"new");
    assert_eq!(payload(&hub.hear(&frame)), b"new");
    let frame = deaf.reading(b"too old");
    let why = refusal(&hub.hear(&frame));
    assert!(matches!(why, Refusal::UnknownAddress | Refusal::WrongMic), "{why:?}");
}

#[test]
fn a_dev_nonce_is_taken_once() {
    use MacVersion::{V1_0_0, V1_0_2, V1_0_3, V1_0_4, V1_1};
    for (version, nonces, want) in [
        (V1_0_0, &[7, 3, 7, 9, 3][..], &[true, true, false, true, false][..]),
        (V1_0_2, &[0, 0, 65_535, 1], &[true, false, true, true]),
        (V1_0_3, &[5, 4, 5], &[true, true, false]),
        (V1_0_4, &[5, 4, 5, 6, 65_535, 0], &[true, false, false, true, true, false]),
        (V1_1, &[1, 1, 0, 2], &[true, false, false, true]),
    ] {
        let mut hub = Hub::new(Region::Eu868);
        let sensor = known(&mut hub, version);
        let answered: Vec<bool> = nonces
            .iter()
            .map(|nonce| {
                // It stands in the store, not only in memory.
                hub.restart();
                let answer = hub.hear(&sensor.join_request_with(*nonce));
                answer.downlink.is_some() || refusal(&answer) != Refusal::NonceReused
            })
            .collect();
        assert_eq!(answered, want, "{version:?}");
    }
}

#[test]
fn remembered_nonces_are_bounded_and_can_be_flushed() {
    let mut state = JoinState::beginning(UnixMs(0));
    for nonce in 0..=DEV_NONCES_MAX as u16 {
        assert!(state.takes(MacVersion::V1_0_2, nonce));
        assert_eq!(state.answer(MacVersion::V1_0_2, nonce), Some(1 + u32::from(nonce)));
    }
    assert_eq!(state.dev_nonces.len(), DEV_NONCES_MAX);
    assert!(state.takes(MacVersion::V1_0_2, 0) && !state.takes(MacVersion::V1_0_2, 1));

    let mut hub = Hub::new(Region::Eu868);
    let mut sensor = hub.joined(1, MacVersion::V1_0_4);
    sensor.dev_nonce = 0;
    let request = sensor.join_request();
    assert_eq!(refusal(&hub.hear(&request)), Refusal::NonceReused);
    let change = hub.lns.flush_dev_nonces(eui(&sensor)).unwrap();
    assert!(hub.store.get_mut(&eui(&sensor)).unwrap().apply(&change));
    sensor.dev_nonce = 0;
    // The JoinNonce goes on: the sensor would refuse one it has seen.
    hub.join(&mut sensor);
}

#[test]
fn join_nonces_and_downlink_counters_never_repeat_even_from_a_backup() {
    let mut hub = Hub::new(Region::Eu868);
    let mut sensor = hub.joined(1, MacVersion::V1_0_4);
    let backup = hub.store.clone();
    // After the backup it joins and hears downlinks.
    for _ in 0..20 {
        let ask = sensor.send(&Up { confirmed: true, ..Up::default() });
        let (downlink, _) = hub.hear(&ask).downlink.unwrap();
        sensor.hear(&downlink.phy).unwrap();
    }
    let session_then = sensor.session.clone();
    hub.join(&mut sensor);
    hub.store = backup;
    hub.restart();

    let changes = hub.lns.jump_ahead();
    assert_eq!(changes.len(), 2);
    for change in &changes {
        match change {
            SessionChange::Join { join, .. } => assert_eq!(join.next_join_nonce, 2 + JUMP),
            SessionChange::Current { session, .. } => assert!(session.f_cnt_down >= JUMP),
            other => panic!("{other:?}"),
        }
        assert!(hub.store.get_mut(&change.dev_eui()).unwrap().apply(change));
    }
    hub.restart();
    let rejoined = sensor.session.take();
    sensor.session = session_then;
    let ask = sensor.send(&Up { confirmed: true, ..Up::default() });
    let (downlink, _) = hub.hear(&ask).downlink.unwrap();
    sensor.hear(&downlink.phy).expect("higher than any before");
    // The session made after the backup is not known any more; the next join is heard by the sensor.
    sensor.session = rejoined;
    let frame = sensor.reading(b"x");
    assert!(matches!(refusal(&hub.hear(&frame)), Refusal::UnknownAddress | Refusal::WrongMic));
    hub.join(&mut sensor);
}

#[test]
fn a_device_of_another_hub_finds_this_one_s_join_nonces_high_enough() {
    let mut sensor = Sensor::new(1, KEY);
    // 2026-11-25, on another hub; then, a month later, this one.
    for (added_at, least) in [(1_795_600_800_000, 1_430_000), (1_798_192_800_000, 1_470_000)] {
        let mut hub = Hub::new(Region::Eu868);
        hub.add(Device::otaa(eui(&sensor), MacVersion::V1_0_4, Key::new(KEY), UnixMs(added_at)));
        for _ in 0..100 {
            hub.join(&mut sensor);
        }
        assert!(sensor.join_nonce.unwrap() > least, "{:?}", sensor.join_nonce);
    }
    for (added_at, want) in [(i64::MIN / 2, 1), (0, 1), (i64::MAX / 2, 0xff_ffff)] {
        assert_eq!(JoinState::beginning(UnixMs(added_at)).next_join_nonce, want);
    }
}

#[test]
fn rx2_is_the_fall_back_and_after_it_nothing_is_used_up() {
    // Milliseconds from the join to its being looked at, and what is left.
    for (late_ms, want) in [
        (200, &[5_000, 6_000][..]),
        (5_000 - TX_LEAD_MS, &[5_000, 6_000]),
        (5_001 - TX_LEAD_MS, &[6_000]),
        (6_000 - TX_LEAD_MS, &[6_000]),
        (6_001 - TX_LEAD_MS, &[]),
    ] {
        let mut hub = Hub::new(Region::Eu868);
        let mut sensor = known(&mut hub, MacVersion::V1_0_3);
        let before = hub.store[&eui(&sensor)].clone();
        let request = sensor.join_request();
        assert_eq!(hub.receive(&request, GATEWAY, 0), Received::Collecting);
        let now = MonoMs(hub.now + late_ms);
        let step = hub.lns.poll(Now { mono: now, wall: None }).remove(0);
        let withheld = step.withheld;
        let mut windows = Vec::new();
        if let Some(mut downlink) = step.sealed.committed() {
            // Each time the gateway says "too late", the next window is tried.
            while let Some(window) = hub.lns.window(&mut downlink, now) {
                windows.push(window.delay_ms);
            }
        }
        assert_eq!(windows, want, "{late_ms} ms");
        assert_eq!(withheld, want.is_empty().then_some(Withheld::TooLate));
        let is_unchanged = hub.lns.device(eui(&sensor)) == Some(&before);
        assert_eq!(is_unchanged, want.is_empty());
    }
}

#[test]
fn rx2_of_a_join_has_the_region_s_own_frequency_rate_and_power() {
    let sub_band = SubBand::new(2).unwrap();
    for (region, hz, sf, bw_khz, eirp_dbm) in [
        (Region::Eu868, 869_525_000, 12, 125, 27),
        (Region::Us915 { sub_band }, 923_300_000, 12, 500, 21),
        (Region::Au915 { sub_band, dwell: false }, 923_300_000, 12, 500, 27),
        (Region::As923 { dwell: true }, 923_200_000, 10, 125, 16),
    ] {
        let mut hub = Hub::new(region);
        let mut sensor = known(&mut hub, MacVersion::V1_0_3);
        let request = sensor.join_request();
        let (mut downlink, _) = hub.hear(&request).downlink.unwrap();
        let rx2 = hub.lns.window(&mut downlink, MonoMs(hub.now)).unwrap();
        let rate = DataRate::Lora { sf, bw_khz };
        assert_eq!((rx2.delay_ms, rx2.hz, rx2.rate, rx2.eirp_dbm), (6_000, hz, rate, eirp_dbm), "{region:?}");
        sensor.accept(&downlink.phy).unwrap();
        let has_channels = sensor.session.unwrap().settings.len() > 2;
        assert_eq!(has_channels, region != Region::As923 { dwell: true });
    }
}

#[test]
fn the_sub_band_is_told_in_the_join_accept_from_1_0_3_on() {
    let sub_band = SubBand::new(2).unwrap();
    for (version, want) in [
        (MacVersion::V1_0_2, &[][..]),
        (MacVersion::V1_0_3, &[0x00, 0xff, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 1]),
    ] {
        let mut hub = Hub::new(Region::Us915 { sub_band });
        let mut sensor = known(&mut hub, version);
        hub.join(&mut sensor);
        assert_eq!(&sensor.session.unwrap().settings[2..], want, "{version:?}");
    }
}

#[test]
fn who_does_not_join_can_be_told_why() {
    let mut hub = Hub::new(Region::Eu868);
    let mut sensor = known(&mut hub, MacVersion::V1_0_3);
    let trouble =
        |hub: &Hub| hub.lns.joins_of(Eui(Sensor::new(1, KEY).dev_eui)).and_then(JoinRecord::trouble);

    let mut wrong = Sensor::new(1, [9; 16]);
    for _ in 0..3 {
        let request = wrong.join_request();
        assert_eq!(refusal(&hub.hear(&request)), Refusal::WrongKey);
    }
    assert_eq!(trouble(&hub), Some(JoinTrouble::WrongKey { times: 3 }));
    assert!(trouble(&hub).unwrap().to_string().starts_with("wrong key: MIC failed 3 times"));

    // The key was corrected: the old counts say nothing any more.
    hub.add(Device::otaa(eui(&sensor), MacVersion::V1_0_3, Key::new(KEY), UnixMs(0)));
    assert_eq!(trouble(&hub), None);
    sensor.dev_nonce = 10;
    for _ in 0..3 {
        let request = sensor.join_request();
        assert!(hub.hear(&request).downlink.is_some());
    }
    assert_eq!(trouble(&hub), Some(JoinTrouble::AnswerUnheard { times: 3 }));
    sensor.dev_nonce -= 1;
    let request = sensor.join_request();
    assert_eq!(refusal(&hub.hear(&request)), Refusal::NonceReused);
    assert_eq!(trouble(&hub), Some(JoinTrouble::NonceReused { times: 1 }));
    // It joins after all.
    hub.join(&mut sensor);
    let frame = sensor.reading(b"x");
    hub.hear(&frame);
    assert_eq!(trouble(&hub), None);
    assert!(hub.lns.joins_of(eui(&sensor)).is_none());

    // A gateway that only listens.
    let mut mute = Sensor::new(2, KEY);
    hub.add(Device::otaa(eui(&mute), MacVersion::V1_0_3, Key::new(KEY), UnixMs(0)));
    let reception = Reception { context: None, ..hub.reception(GATEWAY, 0) };
    assert_eq!(hub.lns.receive(GatewayFrame { phy: mute.join_request(), reception }), Received::Collecting);
    let step = hub.close().remove(0);
    let answer = hub.store_and_send(step);
    assert_eq!(refusal(&answer), Refusal::JoinUnanswered);
    assert_eq!(answer.withheld, Some(Withheld::NoGateway));
    assert_eq!(hub.lns.joins_of(eui(&mute)).unwrap().trouble(), Some(JoinTrouble::Unanswered { times: 1 }));
}

#[test]
fn a_join_by_a_slow_gateway_is_no_reused_nonce() {
    let mut hub = Hub::new(Region::Eu868);
    let mut sensor = known(&mut hub, MacVersion::V1_0_3);
    let request = sensor.join_request();
    assert!(hub.hear(&request).downlink.is_some());
    assert_eq!(hub.receive(&request, OTHER_GATEWAY, 9_000), Received::Late);
    assert_eq!(hub.lns.joins_of(eui(&sensor)).unwrap().trouble(), None);
    assert_eq!(refusal(&hub.hear(&request)), Refusal::NonceReused);
}

#[test]
fn strangers_are_listed_and_bounded() {
    let mut hub = Hub::new(Region::Eu868);
    for number in 0..STRANGERS_MAX as u64 + 10 {
        let request = Sensor::new(number, KEY).join_request();
        assert_eq!(refusal(&hub.hear(&request)), Refusal::UnknownDevice);
    }
    let strangers = hub.lns.strangers();
    assert_eq!(strangers.len(), STRANGERS_MAX);
    assert_eq!(strangers[0].0, Eui(Sensor::new(STRANGERS_MAX as u64 + 9, KEY).dev_eui));
    assert_eq!(strangers[0].1.rssi_dbm, Some(-80));
    assert_eq!(strangers.last().unwrap().0, Eui(Sensor::new(10, KEY).dev_eui));
    hub.add(Device::otaa(strangers[0].0, MacVersion::V1_0_3, Key::new(KEY), UnixMs(0)));
    assert_eq!(hub.lns.strangers().len(), STRANGERS_MAX - 1);
}

#[test]
fn a_personalised_device_does_not_join() {
    let mut hub = Hub::new(Region::Eu868);
    let mut sensor = Sensor::new(1, KEY);
    let session = Session::personalised(DevAddr(1), Key::new(KEY), Key::new(KEY));
    hub.add(Device::abp(eui(&sensor), MacVersion::V1_0_2, session, false));
    let request = sensor.join_request();
    assert_eq!(refusal(&hub.hear(&request)), Refusal::NotOtaa);
    assert_eq!(hub.lns.joins_of(eui(&sensor)).unwrap().trouble(), Some(JoinTrouble::NotOtaa { times: 1 }));
    // Nor with another key.
    let stranger = sensor::Joined {
        dev_addr: 1,
        nwk_s_key: [9; 16],
        app_s_key: [9; 16],
        f_cnt_up: 0,
        f_cnt_down: None,
        settings: Vec::new(),
    };
    assert_eq!(hub.lns.wrong_mics_of(eui(&sensor)), 0);
    for f_cnt in 0..3 {
        assert_eq!(refusal(&hub.hear(&stranger.frame(f_cnt, &Up::default()))), Refusal::WrongMic);
    }
    assert_eq!(hub.lns.wrong_mics_of(eui(&sensor)), 3);
}

#[test]
fn addresses_are_of_the_private_range_and_apart() {
    let mut hub = Hub::new(Region::Us915 { sub_band: SubBand::new(1).unwrap() });
    let mut seen = std::collections::BTreeSet::new();
    for number in 0..200 {
        let mut sensor = Sensor::new(number, KEY);
        hub.add(Device::otaa(eui(&sensor), MacVersion::V1_0_3, Key::new(KEY), UnixMs(0)));
        hub.join(&mut sensor);
        let dev_addr = sensor.session.unwrap().dev_addr;
        assert!(dev_addr < 0x0200_0000);
        assert!(seen.insert(dev_addr));
    }
}

#[test]
fn changes_stored_late_or_twice_take_nothing_back() {
    let mut hub = Hub::new(Region::Eu868);
    let mut sensor = known(&mut hub, MacVersion::V1_0_3);
    let before = hub.store[&eui(&sensor)].clone();
    let mut changes = Vec::new();
    let mut exchange = |hub: &mut Hub, phy: Vec<u8>| {
        hub.now += 10_000;
        hub.receive(&phy, GATEWAY, 0);
        let step = hub.close().remove(0);
        changes.extend(step.sealed.changes().to_vec());
        changes.extend(hub.lns.take_lagging());
        step.sealed.committed().map(|downlink| downlink.phy)
    };
    for _ in 0..2 {
        let request = sensor.join_request();
        let accept = exchange(&mut hub, request).unwrap();
        sensor.accept(&accept).unwrap();
        for _ in 0..4 {
            let frame = sensor.send(&Up { confirmed: true, ..Up::default() });
            exchange(&mut hub, frame);
        }
    }
    assert_eq!(changes.len(), 2 * (2 + 4));
    let want = hub.lns.device(eui(&sensor)).unwrap();
    let mut random = 1_u64;
    for round in 0..200 {
        let mut stored = before.clone();
        for change in changes.iter().chain(&changes[..round % 5]) {
            assert!(stored.apply(change));
        }
        assert_eq!((&stored.join, &stored.pending), (&want.join, &want.pending));
        let (got, want) = (stored.session.unwrap(), want.session.as_ref().unwrap());
        assert_eq!((got.dev_addr, got.f_cnt_down), (want.dev_addr, want.f_cnt_down), "round {round}");
        for at in (1..changes.len()).rev() {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            changes.swap(at, (random >> 33) as usize % (at + 1));
        }
    }
}

#[test]
fn a_device_survives_the_store() {
    let mut hub = Hub::new(Region::Eu868);
    let mut sensor = hub.joined(1, MacVersion::V1_0_3);
    let request = sensor.join_request();
    hub.hear(&request);
    let device = hub.lns.device(eui(&sensor)).unwrap();
    let json = serde_json::to_string(device).unwrap();
    assert_eq!(&serde_json::from_str::<Device>(&json).unwrap(), device);
    let postcard = postcard::to_allocvec(device).unwrap();
    assert_eq!(&postcard::from_bytes::<Device>(&postcard).unwrap(), device);
    // What is written to a log has no key in it.
    let shown = format!("{device:?}");
    let key = "7369787465656E206B65792062797465";
    assert!(json.contains(key) && !shown.to_uppercase().contains(key), "{shown}");
}

#[test]
fn a_device_goes_back_to_its_former_key_with_all_that_belongs_to_it() {
    let mut device = Device::otaa(Eui([1; 8]), MacVersion::V1_0_3, Key::new(KEY), UnixMs(1_800_000_000_000));
    let nonce = device.join.answer(MacVersion::V1_0_3, 7).unwrap();
    let session = |join_nonce| Session {
        join_nonce,
        ..Session::personalised(DevAddr(1), Key::new([1; 16]), Key::new([2; 16]))
    };
    device.session = Some(session(nonce));
    let pending = device.join.answer(MacVersion::V1_0_3, 8).unwrap();
    device.pending = Some(session(pending));
    let before = device.clone();

    let rekeyed = device.with_key(MacVersion::V1_0_4, Key::new([3; 16]));
    assert!(!rekeyed.uses_its_key() && rekeyed.join.dev_nonces.is_empty());
    // Another mistake after the first one.
    let mut rekeyed = rekeyed.with_key(MacVersion::V1_1, Key::new([4; 16]));
    let newest = rekeyed.join.answer(MacVersion::V1_1, 1).unwrap();
    let mut went_back = rekeyed.clone().with_former_key();
    assert!(went_back.join.next_join_nonce > before.join.next_join_nonce, "it never goes back");
    went_back.join.next_join_nonce = before.join.next_join_nonce;
    assert_eq!(went_back, before);
    assert!(went_back.uses_its_key());
    // What it says now is signed by the newest key: there is no way back.
    rekeyed.session = Some(session(newest));
    assert!(rekeyed.uses_its_key());
    let settled = rekeyed.clone().with_former_key();
    assert_eq!(settled.activation, Activation::Otaa { app_key: Key::new([4; 16]), former: None });
    assert_eq!((settled.version, settled.session), (MacVersion::V1_1, rekeyed.session));
}
