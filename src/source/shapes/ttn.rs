//! The Things Stack, version 3: `v3/<application>@<tenant>/devices/<device>/up`.

use super::{Uplink, best_rssi, binary, counter, eui, json, known_model, time};
use crate::codec::Codecs;
use crate::frame::Identity;

pub fn uplink(topic: &str, payload: &[u8], codecs: &Codecs) -> Result<Uplink, String> {
    if !topic.ends_with("/up") {
        let event = topic.split('/').skip(4).collect::<Vec<_>>().join("/");
        return Err(format!("a {event:?} message of The Things Stack is no reading"));
    }
    let message = json(payload)?;
    let ids = &message["end_device_ids"];
    let uplink = &message["uplink_message"];
    if message["simulated"] == true {
        return Err("a simulated uplink is no reading".to_owned());
    }
    let address = ids["dev_eui"].as_str().and_then(eui).ok_or("end_device_ids.dev_eui is no EUI")?;
    let version = &uplink["version_ids"];
    let model = version["brand_id"].as_str().zip(version["model_id"].as_str());
    Ok(Uplink {
        address,
        is_eui: true,
        model: model.and_then(|(brand, model)| known_model(codecs, &format!("{brand}/{model}"))),
        time: time(&uplink["received_at"]).or_else(|| time(&message["received_at"])),
        payload: binary(&uplink["frm_payload"], &uplink["f_port"])?,
        identity: Identity {
            dev_addr: ids["dev_addr"].as_str().map(str::to_ascii_uppercase),
            counter: counter(&uplink["f_cnt"]),
            ..Identity::default()
        },
        rssi: best_rssi(&uplink["rx_metadata"]),
    })
}
