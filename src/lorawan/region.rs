//! The regional numbers (LoRaWAN RP002-1.0.4): channels, data rates, receive windows, powers, limits. A test compares them
//! with lrwn's tables, which were written by other people.

use serde::{Deserialize, Serialize};

use super::mac::{LinkAdr, ToDevice};
use super::phy::CfList;
use super::rate::DataRate;
use super::session::MacVersion;

/// Milliseconds from the end of a join-request to the windows for its answer; the same everywhere.
pub const JOIN_RX1_MS: u32 = 5_000;
pub const JOIN_RX2_MS: u32 = 6_000;
/// Longest transmission where a dwell limit holds.
pub const DWELL_US_MAX: u64 = 400_000;

/// One eighth of the 64 channels of US915 and AU915, as an eight-channel gateway hears them; counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct SubBand(u8);

impl SubBand {
    pub fn new(number: u8) -> Option<Self> {
        (1..=8).contains(&number).then_some(Self(number))
    }

    pub fn number(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for SubBand {
    type Error = &'static str;

    fn try_from(number: u8) -> Result<Self, Self::Error> {
        Self::new(number).ok_or("sub-bands are numbered 1 to 8")
    }
}

impl From<SubBand> for u8 {
    fn from(band: SubBand) -> Self {
        band.0
    }
}

/// Where the hub is and, there, what is left to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "UPPERCASE")]
pub enum Region {
    Eu868,
    Us915 {
        sub_band: SubBand,
    },
    /// `dwell`: transmissions are limited to 400 ms.
    Au915 {
        sub_band: SubBand,
        dwell: bool,
    },
    /// AS923-1.
    As923 {
        dwell: bool,
    },
}

/// A frequency and the data rate to use there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    pub hz: u32,
    pub dr: u8,
}

/// What a device may use beyond the plan's own channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Channels {
    /// Only those every device of the region has.
    #[default]
    Default,
    /// Those of the join-accept as well.
    Extended,
}

/// A part of the band that has its own share of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DutyBand {
    pub number: u8,
    /// Of ten thousand.
    pub share: u32,
}

/// EU868: five channels beside the three every device has, as most networks do.
const EU868_MORE_HZ: [u32; 5] = [867_100_000, 867_300_000, 867_500_000, 867_700_000, 867_900_000];
const AS923_MORE_HZ: [u32; 5] = [923_600_000, 923_800_000, 924_000_000, 924_200_000, 924_400_000];

/// ETSI EN 300 220-2 V3.2.1, annex B: from, to (not included), share of ten thousand.
const EU868_BANDS: [(u32, u32, u32); 6] = [
    (863_000_000, 865_000_000, 10),
    (865_000_000, 868_000_000, 100),
    (868_000_000, 868_600_001, 100),
    (868_700_000, 869_200_001, 10),
    (869_400_000, 869_650_001, 1_000),
    (869_700_000, 870_000_001, 100),
];

impl Region {
    pub fn name(self) -> &'static str {
        match self {
            Region::Eu868 => "EU868",
            Region::Us915 { .. } => "US915",
            Region::Au915 { .. } => "AU915",
            Region::As923 { .. } => "AS923",
        }
    }

    /// Hertz, lowest and highest a device or gateway may use.
    pub fn band_hz(self) -> (u32, u32) {
        match self {
            Region::Eu868 => (863_000_000, 870_000_000),
            Region::Us915 { .. } => (902_000_000, 928_000_000),
            Region::Au915 { .. } | Region::As923 { .. } => (915_000_000, 928_000_000),
        }
    }

    /// What data rate number `dr` is, on the way up or down.
    pub fn data_rate(self, dr: u8) -> Option<DataRate> {
        let lora = |sf, bw_khz| Some(DataRate::Lora { sf, bw_khz });
        match (self, dr) {
            (Region::Eu868 | Region::As923 { .. } | Region::Au915 { .. }, 0..=5) => lora(12 - dr, 125),
            (Region::Eu868 | Region::As923 { .. }, 6) => lora(7, 250),
            (Region::Eu868 | Region::As923 { .. }, 7) => Some(DataRate::Fsk { bps: 50_000 }),
            (Region::Us915 { .. }, 0..=3) => lora(10 - dr, 125),
            (Region::Us915 { .. }, 4) | (Region::Au915 { .. }, 6) => lora(8, 500),
            (Region::Us915 { .. } | Region::Au915 { .. }, 8..=13) => lora(20 - dr, 500),
            _ => None,
        }
    }

    /// The number of an uplink's data rate.
    pub fn uplink_dr(self, rate: DataRate) -> Option<u8> {
        (0..=7).find(|dr| self.data_rate(*dr) == Some(rate))
    }

    /// The channel of an uplink where channels are numbered by frequency.
    pub fn uplink_channel(self, hz: u32) -> Option<u8> {
        let (narrow_hz, wide_hz) = match self {
            Region::Us915 { .. } => (902_300_000, 903_000_000),
            Region::Au915 { .. } => (915_200_000, 915_900_000),
            Region::Eu868 | Region::As923 { .. } => return None,
        };
        let number = |from: u32, step: u32, count: u32| {
            let above = hz.checked_sub(from)?;
            (above % step == 0 && above / step < count).then_some((above / step) as u8)
        };
        number(narrow_hz, 200_000, 64).or_else(|| number(wide_hz, 1_600_000, 8).map(|channel| 64 + channel))
    }

    /// The first window after an uplink, at data rate offset 0, the only one the hub hands out.
    pub fn rx1(self, uplink: Slot) -> Option<Slot> {
        let dr = match (self, uplink.dr) {
            (Region::Eu868, 0..=7) => uplink.dr,
            (Region::As923 { dwell }, 0..=7) => uplink.dr.min(5).max(if dwell { 2 } else { 0 }),
            (Region::Us915 { .. }, 0..=3) => 10 + uplink.dr,
            (Region::Us915 { .. }, 4) | (Region::Au915 { .. }, 6) => 13,
            (Region::Au915 { .. }, 0..=5) => 8 + uplink.dr,
            _ => return None,
        };
        let hz = match self {
            Region::Eu868 | Region::As923 { .. } => uplink.hz,
            Region::Us915 { .. } | Region::Au915 { .. } => {
                923_300_000 + 600_000 * u32::from(self.uplink_channel(uplink.hz)? % 8)
            }
        };
        Some(Slot { hz, dr })
    }

    pub fn rx2(self) -> Slot {
        match self {
            Region::Eu868 => Slot { hz: 869_525_000, dr: 0 },
            Region::Us915 { .. } | Region::Au915 { .. } => Slot { hz: 923_300_000, dr: 8 },
            Region::As923 { .. } => Slot { hz: 923_200_000, dr: 2 },
        }
    }

    /// Highest dBm EIRP of a downlink.
    pub fn eirp_dbm_max(self, hz: u32) -> i8 {
        match self {
            Region::Eu868 if (869_400_000..869_650_000).contains(&hz) => 29,
            Region::Eu868 | Region::As923 { .. } => 16,
            Region::Us915 { .. } => 21,
            Region::Au915 { .. } => 30,
        }
    }

    /// Most bytes of a downlink between its header and its MIC ("M"), at `dr`.
    pub fn mac_payload_bytes_max(self, dr: u8) -> usize {
        match (self, dr) {
            (Region::As923 { dwell: true }, 0 | 1) => 0,
            (Region::As923 { dwell: true }, 2) => 19,
            (Region::Us915 { .. } | Region::Au915 { .. }, 8) | (Region::As923 { dwell: true }, 3) => 61,
            (Region::As923 { dwell: true }, 4) => 133,
            (Region::Eu868 | Region::As923 { .. }, 0..=2) => 59,
            (Region::Eu868 | Region::As923 { .. }, 3) => 123,
            (Region::Us915 { .. } | Region::Au915 { .. }, 9) => 137,
            _ => 250,
        }
    }

    /// Whether a downlink of `bytes` at `dr` keeps within what one transmission may take.
    pub fn fits(self, dr: u8, bytes: usize) -> bool {
        match self {
            Region::As923 { dwell: true } => {
                self.data_rate(dr).is_some_and(|rate| rate.airtime_us(bytes) <= DWELL_US_MAX)
            }
            _ => true,
        }
    }

    /// The highest data rate that the network tells a device to use: the fastest at 125 kHz.
    pub fn adr_dr_max(self) -> u8 {
        match self {
            Region::Us915 { .. } => 3,
            _ => 5,
        }
    }

    /// The last step down in power, 2 dB each.
    pub fn power_index_max(self) -> u8 {
        match self {
            Region::Eu868 | Region::As923 { .. } => 7,
            Region::Us915 { .. } => 10,
            Region::Au915 { .. } => 14,
        }
    }

    /// The channels a join-accept hands out, if the device's version understands them. Under a dwell limit it is left out:
    /// a join-accept with it takes 453 ms at the second window's data rate.
    pub fn cf_list(self, version: MacVersion) -> Option<CfList> {
        match self {
            Region::Eu868 => Some(CfList::Frequencies(EU868_MORE_HZ)),
            Region::As923 { dwell: false } => Some(CfList::Frequencies(AS923_MORE_HZ)),
            Region::As923 { dwell: true } => None,
            Region::Us915 { sub_band } | Region::Au915 { sub_band, .. } => {
                // Masks in a join-accept came with 1.0.3; before, a LinkADRReq does it.
                (version >= MacVersion::V1_0_3).then(|| {
                    let mut masks = vec![0; 5];
                    masks[usize::from(sub_band.0 - 1) / 2] = narrow_mask(sub_band);
                    masks[4] = 1 << (sub_band.0 - 1);
                    CfList::Masks(masks)
                })
            }
        }
    }

    /// Whether a device must be told its channels by LinkADRReq: it starts on 64, the gateway hears 8.
    pub fn needs_mask(self) -> bool {
        matches!(self, Region::Us915 { .. } | Region::Au915 { .. })
    }

    /// The LinkADRReqs that set channels and, by the last of them, data rate, power and repetitions.
    pub fn link_adr(self, channels: Channels, data_rate: u8, power: u8, repetitions: u8) -> Vec<LinkAdr> {
        let ask = |mask_control, mask| LinkAdr { data_rate, power, mask, mask_control, repetitions };
        match (self, channels) {
            (Region::Eu868, Channels::Default) => vec![ask(0, 0x0007)],
            (Region::Eu868, Channels::Extended) => vec![ask(0, 0x00ff)],
            (Region::As923 { .. }, Channels::Default) => vec![ask(0, 0x0003)],
            (Region::As923 { .. }, Channels::Extended) => vec![ask(0, 0x007f)],
            // 7: all narrow channels off, the mask is for the wide ones. Then the sub-band's eight on.
            (Region::Us915 { sub_band } | Region::Au915 { sub_band, .. }, _) => {
                vec![ask(7, 1 << (sub_band.0 - 1)), ask((sub_band.0 - 1) / 2, narrow_mask(sub_band))]
            }
        }
    }

    /// Where devices assume a dwell limit until told otherwise (AS923 from 1.0.2 on, AU915 from 1.0.3 on).
    pub fn tx_param_setup(self, version: MacVersion) -> Option<ToDevice> {
        match self {
            Region::As923 { dwell } if version >= MacVersion::V1_0_2 => {
                Some(ToDevice::TxParamSetupReq { dwell, eirp_index: 5 })
            }
            Region::Au915 { dwell, .. } if version >= MacVersion::V1_0_3 => {
                Some(ToDevice::TxParamSetupReq { dwell, eirp_index: 13 })
            }
            _ => None,
        }
    }

    /// The band whose time a transmission at `hz` uses up; `None` where there is no duty cycle. A frequency between the
    /// bands may not be used at all: its share is 0.
    pub fn duty_band(self, hz: u32) -> Option<DutyBand> {
        if self != Region::Eu868 {
            return None;
        }
        let found = EU868_BANDS.iter().zip(0..).find(|((from, to, _), _)| (*from..*to).contains(&hz));
        Some(match found {
            Some(((_, _, share), number)) => DutyBand { number, share: *share },
            None => DutyBand { number: u8::MAX, share: 0 },
        })
    }
}

/// The eight 125 kHz channels of a sub-band in the mask of its sixteen.
fn narrow_mask(sub_band: SubBand) -> u16 {
    if sub_band.0 % 2 == 1 { 0x00ff } else { 0xff00 }
}
