use super::*;
use crate::lorawan::rate::DataRate;
use crate::lorawan::region::SubBand;

const GATEWAY: Eui = Eui([0x58, 0xa0, 0xcb, 0xff, 0xfe, 0x80, 0x00, 0x19]);

fn read(text: &str) -> Result<Message, StationError> {
    parse(text, GATEWAY, Region::Eu868, MonoMs(5))
}

#[track_caller]
fn frame(text: &str) -> GatewayFrame {
    match read(text) {
        Ok(Message::Frame(frame)) => frame,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_station_is_told_where_to_connect() {
    for (router, want) in [
        ("\"58a0:cbff:fe80:19\"", Some("58A0CBFFFE800019")),
        ("\"58-A0-CB-FF-FE-80-00-19\"", Some("58A0CBFFFE800019")),
        ("\"58A0CBFFFE800019\"", Some("58A0CBFFFE800019")),
        ("6386328571958263833", Some("58A0CBFFFE800019")),
        ("\"::1\"", Some("0000000000000001")),
        ("\"b827:ebff::\"", Some("B827EBFF00000000")),
        ("\"1::2\"", Some("0001000000000002")),
        ("\"::\"", Some("0000000000000000")),
        ("\"1:2:3\"", None),
        ("\"1:2:3:4:5\"", None),
        ("\"1:2:3::4:5\"", None),
        ("\"12345:2:3:4\"", None),
        ("\"+1:2:3:4\"", None),
        ("\"\"", None),
        ("null", None),
        ("-1", None),
    ] {
        let got = router_info(&format!("{{\"router\":{router}}}")).ok().map(|eui| eui.to_string());
        assert_eq!(got.as_deref(), want, "{router}");
    }
    assert_eq!(router_info("[]"), Err(StationError::NotJson));
    assert_eq!(router_info("{}"), Err(StationError::Field("router")));
    let answer: Value =
        serde_json::from_str(&router_info_answer(GATEWAY, "ws://192.0.2.1:3001/gateway/58A0CBFFFE800019"))
            .unwrap();
    assert_eq!(answer["router"], "58a0:cbff:fe80:19");
    assert_eq!(answer["uri"], "ws://192.0.2.1:3001/gateway/58A0CBFFFE800019");
    let refusal: Value = serde_json::from_str(&router_info_refusal(GATEWAY, "not in the list")).unwrap();
    assert_eq!(refusal["error"], "not in the list");
}

/// Of a frame as a station printed it: 401032B50080100502EF89...FCFB69B, heard at -45 dBm.
#[test]
fn a_data_frame_is_whole_again() {
    let got = frame(
        r#"{"msgtype":"updf","MHdr":64,"DevAddr":11874832,"FCtrl":128,"FCnt":1296,"FOpts":"","FPort":2,
        "FRMPayload":"EF892139DAF173F4B91023FC1856702277375E797CF865FF","MIC":-1682518224,"RefTime":0.0,"DR":5,
        "Freq":868100000,"upinfo":{"rctx":0,"xtime":51791395861065770,"gpstime":1355505632761772,"fts":687880518,
        "rssi":-45,"snr":13.75,"rxtime":1671470414.687880516}}"#,
    );
    let want = "401032B50080100502EF892139DAF173F4B91023FC1856702277375E797CF865FF30CFB69B";
    assert_eq!(hex::encode_upper(&got.phy), want);
    assert_eq!(
        got.reception,
        Reception {
            gateway: GATEWAY,
            at: MonoMs(5),
            hz: 868_100_000,
            rate: DataRate::Lora { sf: 7, bw_khz: 125 },
            rssi_dbm: Some(-45),
            snr_tenths: Some(138),
            context: Some(Context::Station { xtime: 51_791_395_861_065_770, rctx: 0 }),
            gnss: Some(UnixMs(1_671_470_414_761)),
            is_delayed: false,
        }
    );
}

#[test]
fn every_form_of_uplink_is_whole_again() {
    let tail = r#""DR":1,"Freq":868300000,"upinfo":{"xtime":7,"rctx":2,"gpstime":0,"rssi":-89,"snr":9.25}}"#;
    for (head, want) in [
        (
            r#""msgtype":"jreq","MHdr":0,"JoinEui":"2222:2222:2222:2223","DevEui":"1111:1111:1111:1112","DevNonce":18000,"MIC":12345678,"#,
            "00232222222222222212111111111111115046 4E61BC00",
        ),
        (
            r#""msgtype":"jreq","MHdr":0,"JoinEUI":"22-22-22-22-22-22-22-23","DevEUI":"1111:1111:1111:1112","DevNonce":1,"MIC":-1,"#,
            "00232222222222222212111111111111110100 FFFFFFFF",
        ),
        (
            r#""msgtype":"updf","MHdr":64,"DevAddr":-2,"FCtrl":129,"FCnt":25,"FOpts":"02","FPort":-1,"FRMPayload":"","MIC":4294967295,"#,
            "40FEFFFFFF81190002FFFFFFFF",
        ),
        (
            r#""msgtype":"updf","MHdr":128,"DevAddr":287454020,"FCtrl":0,"FCnt":65535,"FOpts":"","FPort":0,"FRMPayload":"5fcc","MIC":1,"#,
            "804433221100FFFF005FCC01000000",
        ),
        (
            r#""msgtype":"updf","MHdr":64,"DevAddr":1,"FCtrl":0,"FCnt":1,"FOpts":"","FPort":9,"FRMPayload":"","MIC":1,"#,
            "4001000000000100 09 01000000",
        ),
        (r#""msgtype":"propdf","FRMPayload":"E0FF01","#, "E0FF01"),
    ] {
        let got = frame(&format!("{{{head}{tail}"));
        assert_eq!(hex::encode_upper(&got.phy), want.replace(' ', ""), "{head}");
        assert_eq!(got.reception.context, Some(Context::Station { xtime: 7, rctx: 2 }));
        assert_eq!(got.reception.gnss, None);
    }
}

#[test]
fn the_other_messages_and_nonsense() {
    let version = r#"{"msgtype":"version","station":"2.0.6(rpi/std)","firmware":null,"package":null,"model":"rpi","protocol":2,"features":"rmtsh gps"}"#;
    let want = Message::Version {
        station: "2.0.6(rpi/std)".to_owned(),
        protocol: 2,
        features: "rmtsh gps".to_owned(),
    };
    assert_eq!(read(version), Ok(want));
    for (text, want) in [
        (r#"{"msgtype":"dntxed","diid":35,"DevEui":"::1","xtime":1}"#, Ok(Message::Sent { diid: 35 })),
        (r#"{"msgtype":"timesync","txtime":123.5}"#, Ok(Message::Timesync { txtime: 123.5 })),
        (r#"{"msgtype":"rmtsh"}"#, Ok(Message::Other("rmtsh".to_owned()))),
        (r#"{"msgtype":"dntxed"}"#, Err(StationError::Field("diid"))),
        (r#"{"msgtype":5}"#, Err(StationError::Field("msgtype"))),
        ("{", Err(StationError::NotJson)),
        ("", Err(StationError::NotJson)),
        (
            r#"{"msgtype":"updf","MHdr":64,"DevAddr":1,"FCtrl":3,"FCnt":1,"FOpts":"02"}"#,
            Err(StationError::Field("FOpts")),
        ),
        (r#"{"msgtype":"updf","MHdr":256,"FCtrl":0,"FOpts":""}"#, Err(StationError::Field("MHdr"))),
        (r#"{"msgtype":"propdf","FRMPayload":"E0F"}"#, Err(StationError::Field("FRMPayload"))),
        (r#"{"msgtype":"propdf","FRMPayload":"E0","DR":16}"#, Err(StationError::Field("DR"))),
        (r#"{"msgtype":"propdf","FRMPayload":"E0","DR":1,"Freq":-1}"#, Err(StationError::Field("Freq"))),
    ] {
        assert_eq!(read(text), want, "{text}");
    }
    let long = format!("{{\"msgtype\":\"{}\"}}", "x".repeat(TEXT_BYTES_MAX));
    assert!(matches!(read(&long), Err(StationError::TooLong(_))));
    let frame_too_long = format!(r#"{{"msgtype":"propdf","FRMPayload":"{}"}}"#, "E0".repeat(256));
    assert_eq!(read(&frame_too_long), Err(StationError::Field("FRMPayload")));
}

#[test]
fn an_answer_names_both_windows_and_hands_back_what_the_station_gave() {
    let window = |number, delay_ms, hz, dr| Window {
        number,
        delay_ms,
        hz,
        dr,
        rate: Region::Eu868.data_rate(dr).unwrap(),
        eirp_dbm: 16,
    };
    let (rx1, rx2) = (window(1, 5_000, 868_300_000, 5), window(2, 6_000, 869_525_000, 0));
    let downlink = Downlink {
        dev_eui: Eui([0, 0, 0, 0, 0, 0, 0, 1]),
        gateway: GATEWAY,
        context: Context::Station { xtime: 51_791_395_861_065_770, rctx: 3 },
        phy: vec![0x20, 0xab],
        heard_at: MonoMs(0),
        windows: Vec::new(),
    };
    let read = |text: Option<String>| -> Value { serde_json::from_str(&text.unwrap()).unwrap() };
    let both = read(dnmsg(&downlink, &[rx1, rx2], 7, Some(UnixMs(1_500))));
    let want = json!({
        "msgtype": "dnmsg", "DevEui": "00-00-00-00-00-00-00-01", "dC": 0, "diid": 7, "pdu": "20AB", "RxDelay": 5,
        "RX1DR": 5, "RX1Freq": 868_300_000, "RX2DR": 0, "RX2Freq": 869_525_000, "priority": 0,
        "xtime": 51_791_395_861_065_770_i64, "rctx": 3, "MuxTime": 1.5,
    });
    assert_eq!(both, want);
    let late = read(dnmsg(&downlink, &[rx2], 7, None));
    assert_eq!((&late["RxDelay"], late.get("RX1Freq"), &late["RX2DR"]), (&json!(5), None, &json!(0)));
    assert_eq!(dnmsg(&downlink, &[], 7, None), None);
    let udp = Downlink { context: Context::Udp { tmst: 1 }, ..downlink };
    assert_eq!(dnmsg(&udp, &[rx1], 7, None), None);

    let time = read(Some(timesync(2.5, UnixMs(1_671_470_414_761))));
    assert_eq!(time, json!({"msgtype": "timesync", "txtime": 2.5, "gpstime": 1_355_505_632_761_000_i64}));
}

#[test]
fn each_region_has_its_channels_and_radios() {
    let sub_band = SubBand::new(2).unwrap();
    for (region, name, first_dr, radios, first, count) in [
        (
            Region::Eu868,
            "EU863",
            json!([12, 125, 0]),
            [867_500_000, 868_500_000],
            json!([867_100_000, 0, 5]),
            8,
        ),
        (
            Region::Us915 { sub_band },
            "US902",
            json!([10, 125, 0]),
            [904_300_000, 905_000_000],
            json!([903_900_000, 0, 3]),
            9,
        ),
        (
            Region::Au915 { sub_band, dwell: false },
            "AU915",
            json!([12, 125, 0]),
            [917_200_000, 917_900_000],
            json!([916_800_000, 0, 5]),
            9,
        ),
        (
            Region::As923 { dwell: true },
            "AS923",
            json!([12, 125, 0]),
            [923_600_000, 924_600_000],
            json!([923_200_000, 0, 5]),
            7,
        ),
    ] {
        let config: Value = serde_json::from_str(&router_config(region, 27, None)).unwrap();
        assert_eq!((&config["region"], &config["DRs"][0]), (&json!(name), &first_dr));
        assert_eq!(config["DRs"].as_array().unwrap().len(), 16);
        assert_eq!(config["DRs"][15], json!([-1, 0, 0]));
        let channels = config["upchannels"].as_array().unwrap();
        assert_eq!((channels.len(), &channels[0]), (count, &first), "{name}");
        let conf = &config["sx1301_conf"][0];
        for (radio, hz) in radios.iter().enumerate() {
            assert_eq!(conf[format!("radio_{radio}")]["freq"], *hz);
        }
        // What the radios are set to is what was announced.
        let mut heard: Vec<i64> = (0..8)
            .map(|number| &conf[format!("chan_multiSF_{number}")])
            .chain([&conf["chan_Lora_std"]])
            .filter(|channel| channel["enable"] == true)
            .map(|channel| {
                let offset = channel["if"].as_i64().unwrap();
                assert!(offset.abs() <= 400_000, "{name} {offset}");
                i64::from(radios[channel["radio"].as_u64().unwrap() as usize]) + offset
            })
            .collect();
        heard.sort_unstable();
        let mut announced: Vec<i64> = channels.iter().map(|channel| channel[0].as_i64().unwrap()).collect();
        announced.sort_unstable();
        assert_eq!(heard, announced, "{name}");
        for hz in announced {
            let (lowest, highest) = region.band_hz();
            assert!((i64::from(lowest)..=i64::from(highest)).contains(&hz));
        }
    }
    let us: Value =
        serde_json::from_str(&router_config(Region::Us915 { sub_band }, 20, Some(UnixMs(1_000)))).unwrap();
    assert_eq!(
        (&us["DRs"][8], &us["DRs"][4], &us["upchannels"][8]),
        (&json!([12, 500, 1]), &json!([8, 500, 0]), &json!([904_600_000, 4, 4]))
    );
    assert_eq!((&us["max_eirp"], &us["MuxTime"]), (&json!(20.0), &json!(1.0)));
}
