//! The regional numbers against lrwn's tables.

use lrwn::region::{self, CommonName, DataRateModulation, MacVersion as LrwnVersion, Revision};

use super::*;
use crate::lorawan::region::{Slot, SubBand};

fn lora(modulation: &DataRateModulation) -> Option<DataRate> {
    match modulation {
        DataRateModulation::Lora(lora) => {
            Some(DataRate::Lora { sf: lora.spreading_factor, bw_khz: (lora.bandwidth / 1_000) as u16 })
        }
        DataRateModulation::Fsk(fsk) => Some(DataRate::Fsk { bps: fsk.bitrate }),
        DataRateModulation::LrFhss(_) => None,
    }
}

#[test]
fn our_tables_are_those_others_wrote() {
    let sub_band = SubBand::new(2).unwrap();
    for (ours, name, dwell) in [
        (Region::Eu868, CommonName::EU868, false),
        (Region::Us915 { sub_band }, CommonName::US915, false),
        (Region::Au915 { sub_band, dwell: false }, CommonName::AU915, false),
        (Region::As923 { dwell: false }, CommonName::AS923, false),
        (Region::As923 { dwell: true }, CommonName::AS923, true),
    ] {
        let theirs = region::get(name, false, dwell);
        for dr in 0..=13 {
            let known = theirs.get_data_rate(dr).ok().and_then(|modulation| lora(&modulation));
            assert_eq!(ours.data_rate(dr), known, "{name} DR{dr}");
        }
        let defaults = theirs.get_defaults();
        let rx2 = Slot { hz: defaults.rx2_frequency, dr: defaults.rx2_dr };
        assert_eq!(ours.rx2(), rx2, "{name}");
        for index in theirs.get_uplink_channel_indices() {
            let channel = theirs.get_uplink_channel(index).unwrap();
            for dr in channel.min_dr..=channel.max_dr.min(6) {
                let Some(got) = ours.rx1(Slot { hz: channel.frequency, dr }) else {
                    assert!(ours.data_rate(dr).is_none(), "{name} channel {index} DR{dr}");
                    continue;
                };
                let hz = theirs.get_rx1_frequency_for_uplink_frequency(channel.frequency).unwrap();
                let dr = theirs.get_rx1_data_rate_index(dr, 0).unwrap();
                assert_eq!(got, Slot { hz, dr }, "{name} channel {index}");
            }
            if ours.needs_mask() {
                assert_eq!(ours.uplink_channel(channel.frequency), Some(index as u8));
            }
        }
        let down = if ours.needs_mask() { 8..=13 } else { 0..=5 };
        for dr in down {
            let size = theirs.get_max_payload_size(LrwnVersion::LORAWAN_1_0_3, Revision::RP002_1_0_3, dr);
            let size = size.map_or(0, |size| size.m);
            assert!(ours.mac_payload_bytes_max(dr) <= size, "{name} DR{dr}: {size}");
            // Nothing that the hub sends is cut shorter than it must be.
            assert!(ours.mac_payload_bytes_max(dr) >= size.min(22), "{name} DR{dr}: {size}");
        }
        let last = ours.power_index_max();
        assert_eq!(theirs.get_tx_power_offset(last.into()).unwrap(), -2 * isize::from(last), "{name}");
        assert!(theirs.get_tx_power_offset(usize::from(last) + 1).is_err(), "{name}");
        for hz in [rx2.hz, 868_100_000] {
            assert_eq!(isize::from(ours.eirp_dbm_max(hz)), theirs.get_downlink_tx_power_eirp(hz), "{name}");
        }
    }
}

#[test]
fn a_region_survives_the_configuration() {
    for (json, want) in [
        (r#"{"name":"EU868"}"#, Some(Region::Eu868)),
        (r#"{"name":"US915","sub_band":2}"#, Some(Region::Us915 { sub_band: SubBand::new(2).unwrap() })),
        (r#"{"name":"AS923","dwell":true}"#, Some(Region::As923 { dwell: true })),
        (r#"{"name":"US915"}"#, None),
        (r#"{"name":"US915","sub_band":0}"#, None),
        (r#"{"name":"US915","sub_band":9}"#, None),
        (r#"{"name":"EU433"}"#, None),
    ] {
        let got: Option<Region> = serde_json::from_str(json).ok();
        assert_eq!(got, want, "{json}");
        if let Some(region) = got {
            assert_eq!(serde_json::to_string(&region).unwrap(), json);
        }
    }
}

#[test]
fn every_part_of_the_band_has_its_share() {
    for (hz, want) in [
        (864_000_000, 10),
        (867_100_000, 100),
        (868_100_000, 100),
        (868_500_000, 100),
        (868_650_000, 0),
        (868_800_000, 10),
        (869_525_000, 1_000),
        (869_800_000, 100),
    ] {
        assert_eq!(Region::Eu868.duty_band(hz).unwrap().share, want, "{hz}");
    }
    assert_eq!(Region::As923 { dwell: true }.duty_band(923_200_000), None);
}
