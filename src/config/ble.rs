//! Bluetooth sensors that only advertise.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Deserializer, de};

use super::{Config, Findings};
use crate::codec;

/// Sensors of one adapter: the most a hub is built for.
const DEVICES_MAX: usize = 64;

/// The adapter, and the sensors that are read.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BleSection {
    /// Names the adapter in `devices.port`: sensors are known by it and their address, so it must stay.
    pub name: String,
    /// As BlueZ calls it.
    pub adapter: String,
    /// The address of the D-Bus that BlueZ is on; None: the system's.
    pub bus: Option<String>,
    pub device: Vec<BleDevice>,
}

impl Default for BleSection {
    fn default() -> Self {
        Self { name: "ble".into(), adapter: "hci0".into(), bus: None, device: Vec::new() }
    }
}

/// A sensor that is read; whatever else advertises is not.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BleDevice {
    pub address: BleAddress,
    /// Which of its advertisements are meant: one sensor may send several formats in turn.
    pub model: String,
}

/// Six bytes, written as BlueZ does: `A4:C1:38:11:22:33`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BleAddress([u8; 6]);

impl BleAddress {
    /// Case is ignored.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2 && !part.starts_with('+'))?;
            *byte = u8::from_str_radix(part, 16).ok()?;
        }
        parts.next().is_none().then_some(Self(bytes))
    }
}

impl fmt::Display for BleAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{g:02X}")
    }
}

impl<'de> Deserialize<'de> for BleAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            de::Error::custom(format!("address = {text:?} must look like \"A4:C1:38:11:22:33\""))
        })
    }
}

pub(super) fn check(config: &Config, found: &mut Findings) {
    let Some(section) = &config.ble else { return };
    let number = section.adapter.strip_prefix("hci").unwrap_or_default();
    let is_adapter = (1..=5).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    found.require(is_adapter, || {
        format!(
            "[ble] adapter = {:?} must be one as `bluetoothctl list` and `hciconfig` know it: \"hci0\"",
            section.adapter
        )
    });
    if let Some(bus) = &section.bus {
        found.require(zbus::Address::try_from(bus.as_str()).is_ok(), || {
            format!("[ble] bus = {bus:?} is no address of a D-Bus; they look like \"unix:path=/run/dbus/system_bus_socket\"")
        });
    }
    found.require(section.device.len() <= DEVICES_MAX, || {
        format!("[ble] has more than {DEVICES_MAX} [[ble.device]] sections")
    });
    found.prefer(!section.device.is_empty(), || {
        "[ble] has no [[ble.device]] sections: no sensor is read, the log only names those that could be"
            .into()
    });
    let mut addresses = BTreeSet::new();
    for BleDevice { address, model } in &section.device {
        found.require(addresses.insert(address), || {
            format!("two [[ble.device]] sections have the address {address}")
        });
        let is_advertising = codec::find(model).is_some_and(|model| model.advertised().is_some());
        found.require(is_advertising, || {
            let advertising = codec::models().iter().filter(|model| model.advertised().is_some());
            let names = advertising.map(|model| model.name).collect::<Vec<_>>().join(", ");
            format!("[[ble.device]] {address}: model = {model:?} is none that advertises: {names}")
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_either_case_and_written_as_bluez_does() {
        for text in ["A4:C1:38:11:22:3F", "a4:c1:38:11:22:3f"] {
            let address = BleAddress::parse(text).map(|address| address.to_string());
            assert_eq!(address.as_deref(), Some("A4:C1:38:11:22:3F"));
        }
        for text in [
            "",
            "A4:C1:38:11:22",
            "A4:C1:38:11:22:33:44",
            "A4C138112233",
            "A4:C1:38:11:22:+3",
            "A4:C1:38:11:22:G3",
        ] {
            assert_eq!(BleAddress::parse(text), None, "{text}");
        }
    }
}
