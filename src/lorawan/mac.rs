//! MAC commands of class A devices (LoRaWAN 1.0.4, section 5).
//!
//! Uplink commands are read one by one: lrwn gives up a whole set for one command cut short, and a sensor's battery report
//! must not be lost to what its maker appended.

use std::time::Duration;

use lrwn::{
    ChMask, DeviceTimeAnsPayload, DwellTime, LinkADRReqPayload, LinkCheckAnsPayload, MACCommand,
    MACCommandSet, Redundancy, TxParamSetupReqPayload,
};

/// Commands in FOpts: its length has 4 bits.
pub const F_OPTS_BYTES_MAX: usize = 15;
/// Leap seconds since the GPS epoch; none was announced since 2017.
const GPS_LEAP_S: i64 = 18;
/// 1980-01-06T00:00:00Z in Unix seconds.
const GPS_EPOCH_UNIX_S: i64 = 315_964_800;

/// What a device says or asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FromDevice {
    LinkCheckReq,
    LinkAdrAns {
        channels_ok: bool,
        data_rate_ok: bool,
        power_ok: bool,
    },
    DevStatusAns {
        battery: Battery,
        /// dB of the last DevStatusReq above the device's limit, -32..=31.
        margin_db: i8,
    },
    TxParamSetupAns,
    DeviceTimeReq,
    /// Known by its length only.
    Other(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Battery {
    External,
    /// 0..=100.
    Percent(u8),
    Unknown,
}

impl Battery {
    fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Battery::External,
            255 => Battery::Unknown,
            // 1 is the lowest level and 254 the highest.
            level => Battery::Percent(((u16::from(level - 1) * 100 + 126) / 253) as u8),
        }
    }
}

/// What stands in `bytes`, and how many bytes at the end were not understood. Nothing follows an unknown command: its
/// length is not known either.
pub fn read(bytes: &[u8]) -> (Vec<FromDevice>, usize) {
    let mut commands = Vec::new();
    let mut rest = bytes;
    while let [cid, after @ ..] = rest {
        let Some(length) = answer_bytes(*cid).filter(|length| *length <= after.len()) else {
            break;
        };
        let (body, next) = after.split_at(length);
        commands.push(match (*cid, body) {
            (0x02, _) => FromDevice::LinkCheckReq,
            (0x03, [status]) => FromDevice::LinkAdrAns {
                channels_ok: status & 1 != 0,
                data_rate_ok: status & 2 != 0,
                power_ok: status & 4 != 0,
            },
            (0x06, [battery, margin]) => FromDevice::DevStatusAns {
                battery: Battery::from_byte(*battery),
                // Six bits, two's complement.
                margin_db: ((margin << 2) as i8) >> 2,
            },
            (0x09, _) => FromDevice::TxParamSetupAns,
            (0x0d, _) => FromDevice::DeviceTimeReq,
            _ => FromDevice::Other(*cid),
        });
        rest = next;
    }
    (commands, rest.len())
}

/// Bytes after an uplink command's identifier, those of 1.1 and class B included.
fn answer_bytes(cid: u8) -> Option<usize> {
    match cid {
        0x02 | 0x04 | 0x08 | 0x09 | 0x0c | 0x0d => Some(0),
        0x01 | 0x03 | 0x05 | 0x07 | 0x0a | 0x0b | 0x0f | 0x10 | 0x11 | 0x13 | 0x20 => Some(1),
        0x06 => Some(2),
        _ => None,
    }
}

/// What the network says or asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToDevice {
    LinkCheckAns { margin_db: u8, gateways: u8 },
    LinkAdrReq(LinkAdr),
    DevStatusReq,
    TxParamSetupReq { dwell: bool, eirp_index: u8 },
    DeviceTimeAns { unix_ms: i64 },
}

/// One LinkADRReq. Of several in a row the device takes data rate, power and repetitions from the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkAdr {
    pub data_rate: u8,
    /// Index into the region's steps down from the highest power.
    pub power: u8,
    pub mask: u16,
    pub mask_control: u8,
    pub repetitions: u8,
}

impl ToDevice {
    pub fn bytes(self) -> Vec<u8> {
        let command = match self {
            ToDevice::LinkCheckAns { margin_db, gateways } => {
                MACCommand::LinkCheckAns(LinkCheckAnsPayload { margin: margin_db, gw_cnt: gateways })
            }
            ToDevice::LinkAdrReq(ask) => MACCommand::LinkADRReq(LinkADRReqPayload {
                dr: ask.data_rate & 0x0f,
                tx_power: ask.power & 0x0f,
                ch_mask: ChMask::new(std::array::from_fn(|bit| ask.mask >> bit & 1 == 1)),
                redundancy: Redundancy {
                    ch_mask_cntl: ask.mask_control & 0x07,
                    nb_rep: ask.repetitions & 0x0f,
                },
            }),
            ToDevice::DevStatusReq => MACCommand::DevStatusReq,
            ToDevice::TxParamSetupReq { dwell, eirp_index } => {
                let dwell = || if dwell { DwellTime::Limit400ms } else { DwellTime::NoLimit };
                MACCommand::TxParamSetupReq(TxParamSetupReqPayload {
                    uplink_dwell_time: dwell(),
                    downlink_dwell_time: dwell(),
                    max_eirp: eirp_index & 0x0f,
                })
            }
            ToDevice::DeviceTimeAns { unix_ms } => MACCommand::DeviceTimeAns(DeviceTimeAnsPayload {
                time_since_gps_epoch: Duration::from_millis(gps_ms(unix_ms)),
            }),
        };
        MACCommandSet::new(vec![command]).to_vec().expect("every field was cut to its width")
    }
}

/// Milliseconds since the GPS epoch, which has no leap seconds.
pub fn gps_ms(unix_ms: i64) -> u64 {
    (unix_ms - (GPS_EPOCH_UNIX_S - GPS_LEAP_S) * 1_000).max(0) as u64
}

/// The way back.
pub fn unix_ms_of_gps(gps_ms: i64) -> i64 {
    gps_ms + (GPS_EPOCH_UNIX_S - GPS_LEAP_S) * 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uplink_commands_are_read_as_far_as_they_go() {
        use FromDevice::{DevStatusAns, DeviceTimeReq, LinkAdrAns, LinkCheckReq, Other, TxParamSetupAns};
        let adr = |channels_ok, data_rate_ok, power_ok| LinkAdrAns { channels_ok, data_rate_ok, power_ok };
        let status = |battery, margin_db| DevStatusAns { battery, margin_db };
        for (bytes, want, left) in [
            (&[][..], vec![], 0),
            (&[0x02], vec![LinkCheckReq], 0),
            (&[0x03, 0x07, 0x0d], vec![adr(true, true, true), DeviceTimeReq], 0),
            (&[0x03, 0x05, 0x03, 0x06], vec![adr(true, false, true), adr(false, true, true)], 0),
            (&[0x06, 0, 10], vec![status(Battery::External, 10)], 0),
            (&[0x06, 1, 0x20], vec![status(Battery::Percent(0), -32)], 0),
            (&[0x06, 254, 0x3f], vec![status(Battery::Percent(100), -1)], 0),
            (&[0x06, 127, 0x1f], vec![status(Battery::Percent(50), 31)], 0),
            (&[0x06, 255, 0], vec![status(Battery::Unknown, 0)], 0),
            // Cut short, and after something unknown: what came before stands.
            (&[0x09, 0x06, 5], vec![TxParamSetupAns], 2),
            (&[0x05, 7, 0x80, 1, 2], vec![Other(0x05)], 3),
        ] {
            assert_eq!(read(bytes), (want, left), "{bytes:02x?}");
        }
    }

    #[test]
    fn downlink_commands_have_the_standard_s_bytes() {
        let ask = LinkAdr { data_rate: 5, power: 2, mask: 0x00ff, mask_control: 0, repetitions: 1 };
        let sub_band_2 = LinkAdr { data_rate: 3, power: 0, mask: 0xff00, mask_control: 0, repetitions: 1 };
        for (command, want) in [
            (ToDevice::LinkCheckAns { margin_db: 7, gateways: 2 }, &[0x02, 7, 2][..]),
            (ToDevice::LinkAdrReq(ask), &[0x03, 0x52, 0xff, 0x00, 0x01]),
            (ToDevice::LinkAdrReq(sub_band_2), &[0x03, 0x30, 0x00, 0xff, 0x01]),
            (ToDevice::LinkAdrReq(LinkAdr { mask: 2, mask_control: 7, ..ask }), &[0x03, 0x52, 2, 0, 0x71]),
            (ToDevice::DevStatusReq, &[0x06]),
            (ToDevice::TxParamSetupReq { dwell: false, eirp_index: 5 }, &[0x09, 0x05]),
            (ToDevice::TxParamSetupReq { dwell: true, eirp_index: 13 }, &[0x09, 0x3d]),
            // 2018-09-12T15:50:00.500Z was 1220802618.5 s after the GPS epoch.
            (ToDevice::DeviceTimeAns { unix_ms: 1_536_767_400_500 }, &[0x0d, 0x3a, 0xf8, 0xc3, 0x48, 0x80]),
        ] {
            assert_eq!(command.bytes(), want, "{command:?}");
        }
    }
}
