//! `[lorawan]`: the hub's own network server.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::Deserialize;

use crate::lorawan::ids::Eui;
use crate::lorawan::region::{Region, SubBand};
use crate::lorawan::udp;

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LorawanSection {
    /// Names the source in status and counters.
    #[serde(default = "name")]
    pub name: String,
    pub region: RegionName,
    /// US915 and AU915 only.
    #[serde(default)]
    pub sub_band: Option<SubBand>,
    /// AU915 and AS923 only: transmissions are limited to 400 ms.
    #[serde(default)]
    pub dwell: bool,
    #[serde(default = "udp_listen")]
    pub udp_listen: SocketAddr,
    /// Whose frames are taken, beside those that were added by command.
    #[serde(default)]
    pub gateways: Vec<Eui>,
    /// Of packet forwarders whose address is fixed. One that is not named here is heard from whatever address it speaks
    /// from, and from no other while it does.
    #[serde(default)]
    pub gateway_addresses: BTreeMap<Eui, IpAddr>,
    #[serde(default = "eirp_dbm_max")]
    pub eirp_dbm_max: i8,
    #[serde(default)]
    pub antenna_gain_dbi: i8,
    #[serde(default = "rx1_delay_s")]
    pub rx1_delay_s: u8,
    #[serde(default = "adr")]
    pub adr: bool,
    /// None: no Basics Station connects.
    #[serde(default)]
    pub stations: Option<StationsSection>,
}

/// `[lorawan.stations]`: where gateways with LoRa Basics Station connect.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StationsSection {
    /// Names the source in status and counters.
    #[serde(default = "stations_name")]
    pub name: String,
    #[serde(default = "stations_listen")]
    pub listen: SocketAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RegionName {
    Eu868,
    Us915,
    Au915,
    As923,
}

impl RegionName {
    pub fn as_str(self) -> &'static str {
        match self {
            RegionName::Eu868 => "EU868",
            RegionName::Us915 => "US915",
            RegionName::Au915 => "AU915",
            RegionName::As923 => "AS923",
        }
    }

    pub fn has_sub_bands(self) -> bool {
        matches!(self, RegionName::Us915 | RegionName::Au915)
    }
}

impl LorawanSection {
    /// The channel plan; None: its sub-band is missing.
    pub fn plan(&self) -> Option<Region> {
        let dwell = self.dwell;
        match self.region {
            RegionName::Eu868 => Some(Region::Eu868),
            RegionName::Us915 => self.sub_band.map(|sub_band| Region::Us915 { sub_band }),
            RegionName::Au915 => self.sub_band.map(|sub_band| Region::Au915 { sub_band, dwell }),
            RegionName::As923 => Some(Region::As923 { dwell }),
        }
    }
}

fn name() -> String {
    "lorawan".into()
}

fn udp_listen() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, udp::PORT).into()
}

fn stations_name() -> String {
    "stations".into()
}

/// The port that Basics Station's own examples use.
fn stations_listen() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 3_001).into()
}

/// What every gateway can do, and what Europe allows in the first window (ETSI EN 300 220-2: 14 dBm ERP).
fn eirp_dbm_max() -> i8 {
    16
}

fn rx1_delay_s() -> u8 {
    1
}

fn adr() -> bool {
    true
}
