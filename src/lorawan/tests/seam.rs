//! From a gateway's bytes to its bytes, as a driver goes the way: both protocols.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::*;
use crate::lorawan::station::Message;
use crate::lorawan::udp::{Body, TxError};
use crate::lorawan::{hex, station, udp};

fn pushed(hub: &mut Hub, phy: &[u8]) -> Answer {
    let rxpk = json!({"rxpk": [{
        "tmst": u32::MAX - 500_000, "freq": 868.3, "stat": 1, "modu": "LORA", "datr": "SF8BW125", "codr": "4/5",
        "rssi": -97, "lsnr": 6.8, "size": phy.len(), "data": STANDARD.encode(phy),
    }]});
    let mut bytes = vec![2, 7, 7, 0];
    bytes.extend(GATEWAY.0);
    bytes.extend(rxpk.to_string().into_bytes());
    hub.now += 10_000;
    let datagram = udp::parse(&bytes, MonoMs(hub.now)).unwrap();
    assert_eq!(datagram.ack(), Some([2, 7, 7, 1]));
    let Body::Push { frames, .. } = datagram.body else { panic!("no push") };
    for frame in frames {
        assert_eq!(hub.lns.receive(frame), Received::Collecting);
    }
    let step = hub.close().remove(0);
    hub.store_and_send(step)
}

fn tx_ack(error: &str) -> Result<(), TxError> {
    let mut bytes = vec![2, 0, 1, 5];
    bytes.extend(GATEWAY.0);
    bytes.extend(json!({"txpk_ack": {"error": error}}).to_string().into_bytes());
    match udp::parse(&bytes, MonoMs(0)).unwrap().body {
        Body::TxAck(result) => result,
        other => panic!("{other:?}"),
    }
}

#[test]
fn over_semtech_udp() {
    let mut hub = Hub::new(Region::Eu868);
    let mut sensor = Sensor::new(1, KEY);
    hub.add(Device::otaa(Eui(sensor.dev_eui), MacVersion::V1_0_3, Key::new(KEY), UnixMs(0)));
    let request = sensor.join_request();
    let (mut downlink, window) = pushed(&mut hub, &request).downlink.unwrap();
    let order = |downlink: &Downlink, window: &Window| -> Value {
        let bytes = udp::pull_resp(2, [0, 1], downlink, window, 2).unwrap();
        serde_json::from_slice::<Value>(&bytes[4..]).unwrap()["txpk"].take()
    };
    let first = order(&downlink, &window);
    assert_eq!(
        (&first["tmst"], &first["freq"], &first["datr"]),
        (&json!(4_499_999), &json!(868.3), &json!("SF8BW125"))
    );
    // The gateway is busy in the first window.
    assert_eq!(tx_ack("COLLISION_PACKET"), Err(TxError::CollisionPacket));
    let window = hub.lns.window(&mut downlink, MonoMs(hub.now + 100)).unwrap();
    let second = order(&downlink, &window);
    assert_eq!(
        (&second["tmst"], &second["freq"], &second["datr"]),
        (&json!(5_499_999), &json!(869.525), &json!("SF12BW125"))
    );
    assert_eq!(second["powe"], 25, "27 dBm less the antenna's gain");
    assert_eq!((tx_ack("NONE"), hub.lns.window(&mut downlink, MonoMs(hub.now))), (Ok(()), None));
    sensor.accept(&STANDARD.decode(second["data"].as_str().unwrap()).unwrap()).unwrap();

    let frame = sensor.send(&Up { confirmed: true, payload: Some((85, vec![1, 2])), ..Up::default() });
    let answer = pushed(&mut hub, &frame);
    assert_eq!((payload(&answer), uplink(&answer).activated), (&[1, 2][..], true));
    let (downlink, window) = answer.downlink.unwrap();
    let order = order(&downlink, &window);
    assert_eq!(order["tmst"], 499_999);
    assert!(sensor.hear(&STANDARD.decode(order["data"].as_str().unwrap()).unwrap()).unwrap().ack);
}

/// The frame taken apart as a station does it.
fn texted(phy: &[u8]) -> String {
    let word = |at: usize| i32::from_le_bytes(phy[at..at + 4].try_into().unwrap());
    let short = |at: usize| u16::from_le_bytes([phy[at], phy[at + 1]]);
    let mic = word(phy.len() - 4);
    let eui = |at: usize| {
        let groups: Vec<String> = (0..4).rev().map(|n| format!("{:x}", short(at + 2 * n))).collect();
        groups.join(":")
    };
    let mut text = if phy[0] == 0 {
        json!({"msgtype": "jreq", "MHdr": 0, "JoinEui": eui(1), "DevEui": eui(9), "DevNonce": short(17)})
    } else {
        let options = usize::from(phy[5] & 0x0f);
        let body = &phy[8 + options..phy.len() - 4];
        json!({
            "msgtype": "updf", "MHdr": phy[0], "DevAddr": word(1), "FCtrl": phy[5], "FCnt": short(6),
            "FOpts": hex::encode_upper(&phy[8..8 + options]), "FPort": body.first().map_or(-1, |port| i64::from(*port)),
            "FRMPayload": hex::encode_upper(body.get(1..).unwrap_or_default()),
        })
    };
    text["MIC"] = json!(mic);
    text["DR"] = json!(3);
    text["Freq"] = json!(905_300_000);
    text["upinfo"] = json!({"xtime": 1_i64 << 55, "rctx": 1, "rssi": -90, "snr": 4.5, "gpstime": 0});
    text.to_string()
}

fn heard(hub: &mut Hub, phy: &[u8]) -> (Event, Option<Value>) {
    hub.now += 10_000;
    let region = hub.lns.config().region;
    let Message::Frame(frame) = station::parse(&texted(phy), GATEWAY, region, MonoMs(hub.now)).unwrap()
    else {
        panic!("no frame")
    };
    assert_eq!(frame.phy, phy);
    assert_eq!(hub.lns.receive(frame), Received::Collecting);
    let step = hub.close().remove(0);
    for change in step.sealed.changes() {
        assert!(hub.store.get_mut(&change.dev_eui()).unwrap().apply(change));
    }
    let order = step.sealed.committed().map(|mut downlink| {
        let windows = hub.lns.windows(&mut downlink, MonoMs(hub.now));
        serde_json::from_str(&station::dnmsg(&downlink, &windows, 1, None).unwrap()).unwrap()
    });
    (step.event, order)
}

#[test]
fn over_basics_station() {
    let sub_band = crate::lorawan::region::SubBand::new(2).unwrap();
    let mut hub = Hub::new(Region::Us915 { sub_band });
    let mut sensor = Sensor::new(1, KEY);
    hub.add(Device::otaa(Eui(sensor.dev_eui), MacVersion::V1_0_3, Key::new(KEY), UnixMs(0)));
    let request = sensor.join_request();
    let (_, order) = heard(&mut hub, &request);
    let order = order.unwrap();
    for (name, want) in [
        ("RxDelay", json!(5)),
        ("RX1DR", json!(13)),
        ("RX1Freq", json!(927_500_000)),
        ("RX2DR", json!(8)),
        ("RX2Freq", json!(923_300_000)),
        ("xtime", json!(1_i64 << 55)),
        ("rctx", json!(1)),
    ] {
        assert_eq!(order[name], want, "{name}");
    }
    sensor.accept(&hex::decode(order["pdu"].as_str().unwrap()).unwrap()).unwrap();
    let frames = [
        Up { payload: Some((2, vec![9])), ..Up::default() },
        Up { confirmed: true, f_opts: vec![0x02, 0x03, 0x07], ..Up::default() },
    ];
    for up in frames {
        let frame = sensor.send(&up);
        let (event, order) = heard(&mut hub, &frame);
        assert!(matches!(event, Event::Uplink(_)), "{event:?}");
        let order = order.unwrap();
        assert_eq!(order["RxDelay"], 1);
        sensor.hear(&hex::decode(order["pdu"].as_str().unwrap()).unwrap()).unwrap();
    }
}
