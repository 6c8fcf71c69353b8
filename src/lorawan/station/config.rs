//! `router_config`: what a station is to listen to. The hub's plan has eight channels of 125 kHz, which one SX1301 or SX1302
//! hears with two radios.

use serde_json::{Value, json};

use crate::domain::UnixMs;
use crate::lorawan::rate::DataRate;
use crate::lorawan::region::Region;

/// A radio hears this far to each side of its centre.
const HALF_BAND_HZ: i64 = 462_500;

/// Where the radios stand, and the channels with the radio each is heard by.
struct Plan {
    radios_hz: [u32; 2],
    narrow_hz: Vec<u32>,
    /// Of 500 kHz.
    wide_hz: Option<u32>,
}

impl Plan {
    fn of(region: Region) -> Self {
        match region {
            Region::Eu868 => Self {
                radios_hz: [867_500_000, 868_500_000],
                narrow_hz: [867_100_000, 867_300_000, 867_500_000, 867_700_000, 867_900_000]
                    .into_iter()
                    .chain([868_100_000, 868_300_000, 868_500_000])
                    .collect(),
                wide_hz: None,
            },
            Region::Us915 { sub_band } => Self::eighth(902_300_000, sub_band.number()),
            Region::Au915 { sub_band, .. } => Self::eighth(915_200_000, sub_band.number()),
            Region::As923 { .. } => Self {
                radios_hz: [923_600_000, 924_600_000],
                narrow_hz: (0..7).map(|n| 923_200_000 + n * 200_000).collect(),
                wide_hz: None,
            },
        }
    }

    fn eighth(first_hz: u32, number: u8) -> Self {
        let from_hz = first_hz + 1_600_000 * u32::from(number - 1);
        Self {
            radios_hz: [from_hz + 400_000, from_hz + 1_100_000],
            narrow_hz: (0..8).map(|n| from_hz + n * 200_000).collect(),
            wide_hz: Some(from_hz + 700_000),
        }
    }

    /// The radio that hears `hz`, and how far it is from the radio's centre.
    fn radio(&self, hz: u32) -> (usize, i64) {
        let offset = |radio: usize| i64::from(hz) - i64::from(self.radios_hz[radio]);
        let radio = usize::from(offset(0).abs() > offset(1).abs());
        debug_assert!(offset(radio).abs() <= HALF_BAND_HZ);
        (radio, offset(radio))
    }
}

/// The answer to a station's version. Limits of time and power that the station knows for its region stay in force.
pub fn router_config(region: Region, eirp_dbm_max: i8, wall: Option<UnixMs>) -> String {
    let (lowest_hz, highest_hz) = region.band_hz();
    let plan = Plan::of(region);
    let mut message = json!({
        "msgtype": "router_config",
        // No filters: who is known here is decided by key.
        "NetID": null,
        "JoinEui": null,
        "region": station_region(region),
        "hwspec": "sx1301/1",
        "freq_range": [lowest_hz, highest_hz],
        "DRs": (0..16).map(|dr| data_rate(region, dr)).collect::<Vec<_>>(),
        "upchannels": upchannels(region, &plan),
        "max_eirp": f64::from(region.eirp_dbm_max(plan.narrow_hz[0]).min(eirp_dbm_max)),
        "sx1301_conf": [concentrator(&plan)],
    });
    if let Some(wall) = wall {
        message["MuxTime"] = json!(wall.0 as f64 / 1e3);
    }
    message.to_string()
}

/// The names that the oldest stations know too. AS923 is none of them, on purpose: by the name they know for it a station
/// listens before it talks, and one that cannot refuses the whole configuration.
fn station_region(region: Region) -> &'static str {
    match region {
        Region::Eu868 => "EU863",
        Region::Us915 { .. } => "US902",
        Region::Au915 { .. } => "AU915",
        Region::As923 { .. } => "AS923",
    }
}

/// Spreading factor (0: FSK, -1: none), kilohertz, and whether it is for downlinks only.
fn data_rate(region: Region, dr: u8) -> Value {
    match region.data_rate(dr) {
        Some(DataRate::Lora { sf, bw_khz }) => json!([sf, bw_khz, u8::from(dr >= 8)]),
        Some(DataRate::Fsk { .. }) => json!([0, 0, 0]),
        None => json!([-1, 0, 0]),
    }
}

/// Hertz, lowest and highest data rate.
fn upchannels(region: Region, plan: &Plan) -> Vec<Value> {
    let narrow = plan.narrow_hz.iter().map(|hz| json!([hz, 0, region.adr_dr_max()]));
    let wide_dr = region.uplink_dr(DataRate::Lora { sf: 8, bw_khz: 500 });
    let wide = plan.wide_hz.zip(wide_dr).map(|(hz, dr)| json!([hz, dr, dr]));
    narrow.chain(wide).collect()
}

fn concentrator(plan: &Plan) -> Value {
    let mut conf = json!({ "chan_FSK": { "enable": false }, "chan_Lora_std": { "enable": false } });
    for (radio, hz) in plan.radios_hz.iter().enumerate() {
        conf[format!("radio_{radio}")] = json!({ "enable": true, "freq": hz });
    }
    for number in 0..8 {
        conf[format!("chan_multiSF_{number}")] = match plan.narrow_hz.get(number) {
            Some(hz) => {
                let (radio, offset) = plan.radio(*hz);
                json!({ "enable": true, "radio": radio, "if": offset })
            }
            None => json!({ "enable": false }),
        };
    }
    if let Some(hz) = plan.wide_hz {
        let (radio, offset) = plan.radio(hz);
        conf["chan_Lora_std"] =
            json!({ "enable": true, "radio": radio, "if": offset, "bandwidth": 500_000, "spread_factor": 8 });
    }
    conf
}
