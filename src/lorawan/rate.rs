//! Data rates: their names, what they need to be heard, how long they take.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Preamble symbols of LoRaWAN.
const PREAMBLE_SYMBOLS: u64 = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DataRate {
    Lora { sf: u8, bw_khz: u16 },
    Fsk { bps: u32 },
}

impl DataRate {
    /// "SF7BW125", as gateways write it.
    pub fn parse(text: &str) -> Option<Self> {
        let (sf, bandwidth) = text.trim().strip_prefix("SF")?.split_once("BW")?;
        let (sf, bw_khz) = (sf.parse().ok()?, bandwidth.parse().ok()?);
        ((5..=12).contains(&sf) && matches!(bw_khz, 125 | 250 | 500)).then_some(DataRate::Lora { sf, bw_khz })
    }

    /// Tenths of a dB above the noise at which a frame can just be read (SX1276 data sheet, table 13). FSK has no such
    /// figure; SF7's is used.
    pub fn snr_needed_tenths(self) -> i16 {
        match self {
            DataRate::Lora { sf, .. } => -75 - 25 * (i16::from(sf) - 7),
            DataRate::Fsk { .. } => -75,
        }
    }

    /// Microseconds on air of a downlink of `bytes`: coding rate 4/5, explicit header, no CRC (SX1276 data sheet, 4.1.1.6).
    pub fn airtime_us(self, bytes: usize) -> u64 {
        let bytes = bytes as u64;
        match self {
            DataRate::Lora { sf, bw_khz } => {
                let sf = u64::from(sf);
                let symbol_us = (1_u64 << sf) * 1_000 / u64::from(bw_khz.max(1));
                // The low data rate optimisation costs two bits a symbol from 16 ms a symbol on.
                let bits = 4 * if symbol_us > 16_000 { sf - 2 } else { sf };
                let payload_bits = (8 * bytes + 28).saturating_sub(4 * sf);
                let payload_symbols = 8 + payload_bits.div_ceil(bits) * 5;
                // 4.25 symbols of synchronisation follow the preamble.
                (PREAMBLE_SYMBOLS + payload_symbols) * symbol_us + symbol_us * 17 / 4
            }
            // 5 bytes preamble, 3 synchronisation, 1 length, 2 CRC.
            DataRate::Fsk { bps } => (bytes + 11) * 8 * 1_000_000 / u64::from(bps.max(1)),
        }
    }
}

impl fmt::Display for DataRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataRate::Lora { sf, bw_khz } => write!(f, "SF{sf}BW{bw_khz}"),
            DataRate::Fsk { bps } => write!(f, "FSK {bps}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for (text, want) in [
            ("SF7BW125", Some(DataRate::Lora { sf: 7, bw_khz: 125 })),
            ("SF12BW500", Some(DataRate::Lora { sf: 12, bw_khz: 500 })),
            ("SF13BW125", None),
            ("SF7BW126", None),
            ("SF7", None),
            ("", None),
        ] {
            let got = DataRate::parse(text);
            assert_eq!(got, want, "{text}");
            assert!(got.is_none_or(|rate| rate.to_string() == text));
        }
    }

    /// Against figures computed by the makers' calculators.
    #[test]
    fn airtime_and_need_follow_the_data_sheet() {
        for (sf, bw_khz, bytes, want_us, snr) in [
            (7, 125, 13, 41_216, -75),
            (12, 125, 13, 1_155_072, -200),
            (12, 125, 33, 1_810_432, -200),
            (9, 125, 20, 185_344, -125),
            (10, 125, 33, 452_608, -150),
            (10, 500, 17, 82_432, -150),
        ] {
            let rate = DataRate::Lora { sf, bw_khz };
            assert_eq!(rate.airtime_us(bytes), want_us, "{rate} {bytes}");
            assert_eq!(rate.snr_needed_tenths(), snr);
        }
        assert_eq!(DataRate::Fsk { bps: 50_000 }.airtime_us(14), 4_000);
    }
}
