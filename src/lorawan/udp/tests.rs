use super::*;
use crate::domain::UnixMs;

const EUI: [u8; 8] = [0xb8, 0x27, 0xeb, 0xff, 0xfe, 1, 2, 3];

fn datagram(version: u8, kind: u8, json: &str) -> Vec<u8> {
    let mut bytes = vec![version, 0x12, 0x34, kind];
    bytes.extend(EUI);
    bytes.extend(json.as_bytes());
    bytes
}

#[track_caller]
fn push(json: &str) -> (Vec<GatewayFrame>, Dropped, Option<Stat>) {
    match parse(&datagram(2, PUSH_DATA, json), MonoMs(7)).unwrap().body {
        Body::Push { frames, dropped, stat } => (frames, dropped, stat),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn one(entry: &str) -> GatewayFrame {
    let (mut frames, dropped, _) = push(&format!("{{\"rxpk\":[{entry}]}}"));
    assert_eq!((frames.len(), dropped), (1, Dropped::default()), "{entry}");
    frames.remove(0)
}

#[test]
fn every_datagram_is_acknowledged_in_its_own_version() {
    for (version, kind, ack) in [
        (2, PUSH_DATA, Some([2, 0x12, 0x34, 1])),
        (1, PUSH_DATA, Some([1, 0x12, 0x34, 1])),
        (2, PULL_DATA, Some([2, 0x12, 0x34, 4])),
        (2, TX_ACK, None),
    ] {
        let got = parse(&datagram(version, kind, ""), MonoMs(0)).unwrap();
        assert_eq!((got.ack(), got.gateway), (ack, Eui(EUI)), "{version} {kind}");
    }
    for (bytes, want) in [
        (&[][..], DatagramError::Short(0)),
        (&[2, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7], DatagramError::Short(11)),
        (&[3, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8], DatagramError::Version(3)),
        (&[2, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8], DatagramError::Kind(1)),
        (&[2, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8], DatagramError::Kind(9)),
    ] {
        assert_eq!(parse(bytes, MonoMs(0)), Err(want), "{bytes:?}");
    }
}

/// The three frames of PROTOCOL.TXT: LoRa, LoRa without time, FSK; url-safe and unpadded base64 among them.
#[test]
fn frames_are_read() {
    let (frames, dropped, _) = push(
        r#"{"rxpk":[
        {"time":"2013-03-31T16:21:17.528002Z","tmst":3512348611,"chan":2,"rfch":0,"freq":866.349812,"stat":1,
         "modu":"LORA","datr":"SF7BW125","codr":"4/6","rssi":-35,"lsnr":5.1,"size":32,
         "data":"-DS4CGaDCdG+48eJNM3Vai-zDpsR71Pn9CPA9uCON84"},
        {"tmst":3512348514,"chan":9,"rfch":1,"freq":869.1,"stat":1,"modu":"FSK","datr":50000,"rssi":-75,"size":16,
         "data":"VEVTVF9QQUNLRVRfMTIzNA=="},
        {"time":"2013-03-31T16:21:17.532038Z","tmst":3316387610,"tmms":1048762895000,"chan":0,"rfch":0,"freq":863.00981,
         "stat":1,"modu":"LORA","datr":"SF10BW125","codr":"4/7","rssi":-38,"lsnr":5.5,"size":32,
         "data":"ysgRl452xNLep9S1NTIg2lomKDxUgn3DJ7DE+b00Ass"}]}"#,
    );
    assert_eq!((frames.len(), dropped), (3, Dropped::default()));
    let first = &frames[0];
    assert_eq!((first.phy.len(), first.phy[0]), (32, 0xf8));
    assert_eq!(
        first.reception,
        crate::lorawan::gateway::Reception {
            gateway: Eui(EUI),
            at: MonoMs(7),
            hz: 866_350_000,
            rate: DataRate::Lora { sf: 7, bw_khz: 125 },
            rssi_dbm: Some(-35),
            snr_tenths: Some(51),
            context: Some(Context::Udp { tmst: 3_512_348_611 }),
            gnss: None,
            is_delayed: false,
        }
    );
    assert_eq!(frames[1].phy, b"TEST_PACKET_1234");
    assert_eq!(
        (frames[1].reception.rate, frames[1].reception.snr_tenths),
        (DataRate::Fsk { bps: 50_000 }, None)
    );
    assert_eq!(frames[2].reception.gnss, Some(UnixMs(1_364_727_677_000)));
}

#[test]
fn odd_forwarders_are_understood() {
    let short = one(r#"{"freq":868.1,"datr":"SF7BW125","data":"QAE="}"#);
    assert_eq!((short.phy, short.reception.context, short.reception.rssi_dbm), (vec![0x40, 1], None, None));
    let quoted = one(
        r#"{"freq":"868.099975","tmst":"12","datr":"SF12BW125","rssi":"-120","lsnr":"-20.2","data":"QAE"}"#,
    );
    assert_eq!((quoted.reception.hz, quoted.reception.rssi_dbm), (868_100_000, Some(-120)));
    assert_eq!(quoted.reception.snr_tenths, Some(-202));
    assert_eq!(quoted.reception.context, Some(Context::Udp { tmst: 12 }));
    // No radio hears so well: it would be taken for the best of all gateways.
    let proud = one(r#"{"freq":868.1,"datr":"SF7BW125","lsnr":3276.7,"data":"QAE="}"#);
    assert_eq!(proud.reception.snr_tenths, None);
    let antennas = one(r#"{"jver":2,"tmst":5,"freq":868.5,"datr":"SF9BW125","stat":1,"data":"QAE=","rsig":[
        {"ant":0,"chan":3,"rssic":-110,"lsnr":-4.5,"etime":"x"},{"ant":1,"chan":3,"rssic":-101,"lsnr":3.2}]}"#);
    assert_eq!((antennas.reception.rssi_dbm, antennas.reception.snr_tenths), (Some(-101), Some(32)));
    let absurd = one(r#"{"freq":868.1,"datr":"SF7BW125","lsnr":3276.7,"data":"QAE="}"#);
    assert_eq!(absurd.reception.snr_tenths, None, "no radio measures that");
    let delayed = one(r#"{"freq":868.1,"tmst":5,"delayed":true,"datr":"SF7BW125","data":"QAE="}"#);
    assert_eq!(delayed.reception.context, None, "its windows are over");
    assert!(delayed.reception.is_delayed);
    let with_end =
        datagram(2, PUSH_DATA, "{\"rxpk\":[{\"freq\":868.1,\"datr\":\"SF7BW125\",\"data\":\"QAE=\"}]}\0");
    assert!(
        matches!(parse(&with_end, MonoMs(0)).unwrap().body, Body::Push { frames, .. } if frames.len() == 1)
    );
}

#[test]
fn one_bad_frame_does_not_cost_the_others() {
    let good = r#"{"freq":868.1,"tmst":1,"datr":"SF7BW125","stat":1,"data":"QAE="}"#;
    for (bad, want) in [
        (
            r#"{"freq":868.1,"datr":"SF7BW125","stat":-1,"data":"QAE="}"#,
            Dropped { bad_crc: 1, ..Dropped::default() },
        ),
        (
            r#"{"freq":868.1,"datr":"SF7BW125","stat":0,"data":"QAE="}"#,
            Dropped { bad_crc: 1, ..Dropped::default() },
        ),
        (r#"{"freq":868.1,"datr":"M0CW137","data":"QAE="}"#, Dropped { modulation: 1, ..Dropped::default() }),
        (r#"{"freq":868.1,"data":"QAE="}"#, Dropped { modulation: 1, ..Dropped::default() }),
        (r#"{"freq":868.1,"datr":"SF7BW125","data":"?"}"#, Dropped { malformed: 1, ..Dropped::default() }),
        (r#"{"freq":868.1,"datr":"SF7BW125","data":""}"#, Dropped { malformed: 1, ..Dropped::default() }),
        (r#"{"freq":868.1,"datr":"SF7BW125"}"#, Dropped { malformed: 1, ..Dropped::default() }),
        (r#"{"freq":1e300,"datr":"SF7BW125","data":"QAE="}"#, Dropped { malformed: 1, ..Dropped::default() }),
        (r#"{"datr":"SF7BW125","data":"QAE="}"#, Dropped { malformed: 1, ..Dropped::default() }),
        (r#"[1,"x",null]"#, Dropped { malformed: 1, ..Dropped::default() }),
        ("null", Dropped { malformed: 1, ..Dropped::default() }),
    ] {
        let (frames, dropped, _) = push(&format!("{{\"rxpk\":[{good},{bad},{good}]}}"));
        assert_eq!((frames.len(), dropped), (2, want), "{bad}");
    }
    for unreadable in ["", "{", "not json", "{\"rxpk\":[{]}", "\u{1}"] {
        let (frames, dropped, _) = push(unreadable);
        assert_eq!((frames.len(), dropped.unreadable), (0, 1), "{unreadable:?}");
    }
    for empty in ["{}", "[]", "{\"rxpk\":5}", "{\"rxpk\":[]}"] {
        assert_eq!(push(empty), (Vec::new(), Dropped::default(), None), "{empty}");
    }
    let many = format!("{{\"rxpk\":[{}]}}", vec![good; 300].join(","));
    let (frames, dropped, _) = push(&many);
    assert_eq!((frames.len(), dropped.excess), (255, 45));
}

#[test]
fn the_gateway_s_report_is_read() {
    let (frames, _, stat) = push(
        r#"{"stat":{"time":"2014-01-12 08:59:28 GMT","lati":46.24,"long":3.2523,"alti":145,"rxnb":2,"rxok":1,"rxfw":1,
        "ackr":98.5,"dwnb":2,"txnb":0,"temp":23.2}}"#,
    );
    assert!(frames.is_empty());
    let want = Stat {
        heard: Some(2),
        heard_ok: Some(1),
        forwarded: Some(1),
        acknowledged_percent: Some(98.5),
        sent: Some(0),
        celsius: Some(23.2),
    };
    assert_eq!(stat, Some(want));
    assert_eq!(push(r#"{"stat":{"rxnb":-5,"txnb":1e99}}"#).2, Some(Stat::default()));
}

#[test]
fn errors_come_back_by_name() {
    for (json, want) in [
        ("", Ok(())),
        ("{}", Ok(())),
        (r#"{"txpk_ack":{"error":"NONE"}}"#, Ok(())),
        (r#"{"txpk_ack":{"warn":"TX_POWER","value":20}}"#, Ok(())),
        (r#"{"txpk_ack":{"error":"TOO_LATE"}}"#, Err(TxError::TooLate)),
        (r#"{"txpk_ack":{"error":"TOO_EARLY"}}"#, Err(TxError::TooEarly)),
        (r#"{"txpk_ack":{"error":"COLLISION_PACKET"}}"#, Err(TxError::CollisionPacket)),
        (r#"{"txpk_ack":{"error":"COLLISION_BEACON"}}"#, Err(TxError::CollisionBeacon)),
        (r#"{"txpk_ack":{"error":"TX_FREQ"}}"#, Err(TxError::TxFreq)),
        (r#"{"txpk_ack":{"error":"TX_POWER"}}"#, Err(TxError::TxPower)),
        (r#"{"txpk_ack":{"error":"GPS_UNLOCKED"}}"#, Err(TxError::GpsUnlocked)),
        (r#"{"txpk_ack":{"error":"melted\n"}}"#, Err(TxError::Other("MELTED".to_owned()))),
    ] {
        let got = parse(&datagram(2, TX_ACK, json), MonoMs(0)).unwrap();
        if let Err(TxError::Other(_)) = &want {
            assert_eq!(want.as_ref().unwrap_err().name(), "other", "a gateway names no counter");
        }
        assert_eq!(got.body, Body::TxAck(want.clone()), "{json}");
        if let Err(error) = want {
            assert!(json.to_uppercase().contains(error.as_str()) && !error.remedy().is_empty());
        }
    }
}

#[test]
fn an_answer_is_ordered_for_the_right_microsecond() {
    let window = Window {
        number: 1,
        delay_ms: 5_000,
        hz: 868_100_000,
        dr: 5,
        rate: DataRate::Lora { sf: 7, bw_khz: 125 },
        eirp_dbm: 16,
    };
    let downlink = |context| Downlink {
        dev_eui: Eui([1; 8]),
        gateway: Eui(EUI),
        context,
        phy: vec![0x20; 17],
        heard_at: MonoMs(0),
        windows: Vec::new(),
    };
    let near_the_end = downlink(Context::Udp { tmst: u32::MAX - 999_999 });
    let bytes = pull_resp(2, [9, 8], &near_the_end, &window, 2).unwrap();
    assert_eq!(bytes[..4], [2, 9, 8, 3]);
    let json: Value = serde_json::from_slice(&bytes[4..]).unwrap();
    let want = json!({"txpk": {
        "imme": false, "tmst": 4_000_000, "freq": 868.1, "rfch": 0, "powe": 14, "modu": "LORA", "datr": "SF7BW125",
        "codr": "4/5", "ipol": true, "ncrc": true, "size": 17, "data": "ICAgICAgICAgICAgICAgICA=",
    }});
    assert_eq!(json, want);
    assert!(String::from_utf8(bytes).unwrap().contains("\"freq\":868.1,"));
    let fsk = Window { rate: DataRate::Fsk { bps: 50_000 }, ..window };
    let bytes = pull_resp(1, [0, 0], &near_the_end, &fsk, 0).unwrap();
    let json: Value = serde_json::from_slice(&bytes[4..]).unwrap();
    assert_eq!(
        (&json["txpk"]["modu"], &json["txpk"]["datr"], &json["txpk"]["fdev"]),
        (&json!("FSK"), &json!(50_000), &json!(25_000))
    );
    let of_a_station = downlink(Context::Station { xtime: 1, rctx: 0 });
    assert_eq!(pull_resp(2, [0, 0], &of_a_station, &window, 0), None);
}
