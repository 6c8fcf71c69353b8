//! What a gateway's radio hears, since the hub started: kept in memory, for whoever looks why a sensor is not heard.

use serde_json::{Value, json};

use crate::lorawan::gateway::{GatewayFrame, Reception};
use crate::lorawan::udp::Stat;

#[derive(Debug, Default)]
pub(super) struct Radio {
    rssi: Mean,
    snr_tenths: Mean,
    /// Whether its last frame had a time of a GNSS receiver.
    has_gnss: Option<bool>,
    /// By its reports: received; with a good CRC; sent.
    heard: u64,
    heard_ok: u64,
    sent: u64,
    last: Option<Stat>,
}

#[derive(Debug, Default)]
struct Mean {
    sum: i64,
    count: i64,
}

impl Radio {
    pub fn hear(&mut self, frames: &[GatewayFrame], stat: Option<&Stat>) {
        for GatewayFrame { reception, .. } in frames {
            let Reception { rssi_dbm, snr_tenths, gnss, .. } = reception;
            self.rssi.take(*rssi_dbm);
            self.snr_tenths.take(snr_tenths.map(i32::from));
            self.has_gnss = Some(gnss.is_some());
        }
        if let Some(stat) = stat {
            // Without the one the other says nothing about noise.
            if let (Some(heard), Some(heard_ok)) = (stat.heard, stat.heard_ok) {
                self.heard += u64::from(heard);
                self.heard_ok += u64::from(heard_ok.min(heard));
            }
            self.sent += u64::from(stat.sent.unwrap_or(0));
            self.last = Some(*stat);
        }
    }

    /// `noise_percent`: of what it received, what had a bad CRC: neighbours too far away, or interference.
    pub fn shown(&self) -> Value {
        let noise = ((self.heard - self.heard_ok) * 100).checked_div(self.heard);
        let clock = self.has_gnss.map(|has_gnss| if has_gnss { "GNSS" } else { "no GNSS" });
        json!({
            "rssi_mean": self.rssi.rounded(),
            "snr_mean": self.snr_tenths.rounded().map(|tenths| tenths as f64 / 10.0),
            "noise_percent": noise,
            "clock": clock,
            "received": self.last.map(|_| self.heard),
            "sent": self.last.map(|_| self.sent),
            "acknowledged_percent": self.last.and_then(|stat| stat.acknowledged_percent),
            "celsius": self.last.and_then(|stat| stat.celsius),
        })
    }
}

impl Mean {
    fn take(&mut self, value: Option<i32>) {
        if let Some(value) = value {
            self.sum += i64::from(value);
            self.count += 1;
        }
    }

    /// Half away from zero.
    fn rounded(&self) -> Option<i64> {
        (self.count > 0).then(|| (2 * self.sum + self.sum.signum() * self.count) / (2 * self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{MonoMs, UnixMs};
    use crate::lorawan::ids::Eui;
    use crate::lorawan::rate::DataRate;

    fn frame(rssi_dbm: Option<i32>, snr_tenths: Option<i16>, gnss: Option<UnixMs>) -> GatewayFrame {
        let reception = Reception {
            gateway: Eui([1; 8]),
            at: MonoMs(0),
            hz: 868_100_000,
            rate: DataRate::Lora { sf: 7, bw_khz: 125 },
            rssi_dbm,
            snr_tenths,
            context: None,
            gnss,
            is_delayed: false,
        };
        GatewayFrame { phy: vec![0], reception }
    }

    #[test]
    fn what_was_not_said_is_not_shown() {
        let mut radio = Radio::default();
        radio.hear(&[], None);
        for (name, value) in radio.shown().as_object().unwrap() {
            assert_eq!(*value, Value::Null, "{name}");
        }
        radio.hear(&[frame(None, None, None)], Some(&Stat::default()));
        let want = json!({
            "rssi_mean": null, "snr_mean": null, "noise_percent": null, "clock": "no GNSS", "received": 0, "sent": 0,
            "acknowledged_percent": null, "celsius": null,
        });
        assert_eq!(radio.shown(), want);
    }

    #[test]
    fn signals_are_averaged_and_reports_added_up() {
        let mut radio = Radio::default();
        radio.hear(&[frame(Some(-101), Some(-25), None), frame(Some(-100), Some(50), Some(UnixMs(1)))], None);
        for (heard, heard_ok) in
            [(Some(30), Some(20)), (Some(10), Some(99)), (None, Some(7)), (Some(0), Some(0))]
        {
            let stat = Stat { heard, heard_ok, sent: Some(2), celsius: Some(31.5), ..Stat::default() };
            radio.hear(&[], Some(&stat));
        }
        let want = json!({
            "rssi_mean": -101, "snr_mean": 1.3, "noise_percent": 25, "clock": "GNSS", "received": 40, "sent": 8,
            "acknowledged_percent": null, "celsius": 31.5,
        });
        assert_eq!(radio.shown(), want);
    }
}
