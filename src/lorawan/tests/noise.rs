//! Whatever comes over the air, the wire or a scanner: no panic, and bounded.

use proptest::prelude::*;

use super::*;
use crate::lorawan::region::SubBand;
use crate::lorawan::{qr, shipment, station, udp};

fn regions() -> impl Strategy<Value = Region> {
    (0..4, 1..=8_u8, any::<bool>()).prop_map(|(which, number, dwell)| {
        let sub_band = SubBand::new(number).expect("1 to 8");
        match which {
            0 => Region::Eu868,
            1 => Region::Us915 { sub_band },
            2 => Region::Au915 { sub_band, dwell },
            _ => Region::As923 { dwell },
        }
    })
}

/// JSON as gateways send it, with values that make no sense.
fn odd_json() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(|number| number.to_string()),
        "[ -~]{0,12}".prop_map(|text| serde_json::Value::String(text).to_string()),
        Just("null".to_owned()),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
    ];
    let name = proptest::sample::select(vec![
        "tmst",
        "tmms",
        "freq",
        "datr",
        "rssi",
        "lsnr",
        "stat",
        "data",
        "rsig",
        "msgtype",
        "MHdr",
        "DevAddr",
        "FCtrl",
        "FCnt",
        "FOpts",
        "FPort",
        "FRMPayload",
        "MIC",
        "DR",
        "Freq",
        "upinfo",
        "JoinEui",
        "DevEui",
        "DevNonce",
    ]);
    proptest::collection::vec((name, value), 0..12).prop_map(|fields| {
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", fields.join(","))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn frames(region in regions(), frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 1..20)) {
        let mut hub = Hub::new(region);
        let mut sensor = hub.joined(1, MacVersion::V1_0_3);
        for noise in &frames {
            hub.receive(noise, GATEWAY, 0);
            // Signed by a sensor that means no good.
            let payload = noise.first().map(|port| (*port, noise[1..].to_vec()));
            let f_opts = noise.iter().copied().take(15).collect();
            let frame = sensor.send(&Up { confirmed: noise.len() % 2 == 0, adr: true, f_opts, payload, ..Up::default() });
            hub.receive(&frame, GATEWAY, 0);
            for step in hub.close() {
                let answer = hub.store_and_send(step);
                if let Some((downlink, _)) = answer.downlink {
                    prop_assert!(downlink.phy.len() <= 33);
                    let _ = sensor.hear(&downlink.phy);
                }
            }
            hub.now += 2_000;
        }
    }

    #[test]
    fn datagrams(bytes in proptest::collection::vec(any::<u8>(), 0..200), json in odd_json()) {
        let _ = udp::parse(&bytes, MonoMs(0));
        let mut push = vec![2, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
        push.extend(format!("{{\"rxpk\":[{json}],\"stat\":{json}}}").into_bytes());
        prop_assert!(udp::parse(&push, MonoMs(0)).is_ok());
    }

    #[test]
    fn stations(region in regions(), json in odd_json(), text in "\\PC{0,80}") {
        let _ = station::parse(&json, GATEWAY, region, MonoMs(0));
        let typed = json.replacen('{', "{\"msgtype\":\"updf\",", 1).replace(",}", "}");
        let _ = station::parse(&typed, GATEWAY, region, MonoMs(0));
        let _ = station::router_info(&format!("{{\"router\":\"{}\"}}", text.replace(['"', '\\'], ":")));
        let _ = station::parse(&text, GATEWAY, region, MonoMs(0));
    }

    #[test]
    fn labels_and_lists(text in "\\PC{0,120}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for prefix in ["", "LW:D0:", "URN:LW:DP:", "URN:DEV:LW:", "LW:D0:1122334455667788:AABBCCDDEEFF0011:AABB1122:"] {
            let _ = qr::parse(&format!("{prefix}{text}"));
        }
        let _ = shipment::parse(&bytes);
        let _ = shipment::parse(format!("DevEUI,AppKey\n{text}").as_bytes());
    }
}
