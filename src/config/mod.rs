//! Configuration: one TOML file, loaded once; each task is handed its own section.

mod ble;
mod check;
mod check_notify;
mod check_wired;
mod codecs;
mod lorawan;
mod metrics;
mod notify;
mod power;
mod secret;
mod sections;
mod unknown;
mod wired;

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

pub use ble::{BleAddress, BleDevice, BleSection};
pub use check::Findings;
pub use codecs::text as read_text;
pub use lorawan::{LorawanSection, RegionName, StationsSection};
pub use metrics::MetricsSection;
pub use notify::{
    ButtonSection, ModemMode, ModemSection, NotifyMqttSection, NotifySection, QuietHours, SignalRole,
    SignalSection, SmtpSection, SmtpSecurity, WebhookSection,
};
pub use power::{PowerLine, PowerSection, Pull};
pub use secret::Secret;
pub use sections::{
    BrokerUrl, ClockSection, ControlSection, HubSection, LogFormat, LogSection, MqttKind, MqttSection,
    SerialSection, StoreSection, UplinkSection,
};
pub use wired::{CurrentSection, ModbusDevice, ModbusSection, OneWireSection, Parity};

use crate::domain::Source;
use crate::rules::Constants;

/// A configuration of a hundred brokers is still far below.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The example: every key with its default, all commented out.
const EXAMPLE: &str = include_str!("../../systemd/frostguard-hub.example.toml");

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub hub: HubSection,
    pub store: StoreSection,
    pub clock: ClockSection,
    pub serial: Vec<SerialSection>,
    pub mqtt: Vec<MqttSection>,
    pub lorawan: Option<LorawanSection>,
    pub modbus: Vec<ModbusSection>,
    pub onewire: Option<OneWireSection>,
    pub current: Vec<CurrentSection>,
    pub ble: Option<BleSection>,
    pub uplink: UplinkSection,
    pub control: ControlSection,
    pub metrics: MetricsSection,
    pub rules: Constants,
    pub notify: NotifySection,
    pub power: PowerSection,
    pub log: LogSection,
}

impl Config {
    /// Loads the file; without one, the defaults. Values that cannot work are errors, all of them at once.
    pub fn load(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else { return Ok(Self::default()) };
        let config = Self::read(path)?;
        let findings = config.check();
        if !findings.errors.is_empty() {
            bail!("configuration {}:\n  {}", path.display(), findings.errors.join("\n  "));
        }
        Ok(config)
    }

    /// Reads and parses the file without judging its values.
    pub fn read(path: &Path) -> Result<Self> {
        let open = || format!("open configuration {}", path.display());
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(told).with_context(open)?;
        let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).with_context(open)?;
        if read as u64 > FILE_BYTES_MAX {
            bail!("configuration {} is larger than {FILE_BYTES_MAX} bytes", path.display());
        }
        Self::parse(&text).with_context(|| format!("read configuration {}", path.display()))
    }

    /// Parses TOML. An error names the line, and for an unknown key the nearest known one.
    pub fn parse(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error| anyhow::anyhow!(unknown::explain(&error, text)))
    }

    /// A file to start from; what `config print` prints and packages install.
    pub fn example() -> String {
        EXAMPLE.to_owned()
    }

    /// What will not work (errors) and what probably is not meant (warnings), in sentences.
    pub fn check(&self) -> Findings {
        check::check(self)
    }

    /// The sources of plain senders: those that `--source` and `--port` name.
    pub fn sources(&self) -> Vec<(Source, String)> {
        let serial = self.serial.iter().map(|section| (Source::Serial, &section.name));
        let mqtt = self.mqtt.iter().map(|section| (Source::Mqtt, &section.name));
        let modbus = self.modbus.iter().map(|section| (Source::Modbus, &section.name));
        let onewire = self.onewire.iter().map(|section| (Source::OneWire, &section.name));
        let current = self.current.iter().map(|section| (Source::Current, &section.name));
        let ble = self.ble.iter().map(|section| (Source::Ble, &section.name));
        let all = serial.chain(mqtt).chain(modbus).chain(onewire).chain(current).chain(ble);
        all.map(|(source, name)| (source, name.clone())).collect()
    }

    pub fn control_socket(&self) -> PathBuf {
        self.control.socket.clone()
    }

    /// The IANA name of the site's time zone: as configured, else the system's, else UTC.
    pub fn zone(&self) -> String {
        let system = || jiff::tz::TimeZone::system().iana_name().map(str::to_owned);
        self.hub.time_zone.clone().or_else(system).unwrap_or_else(|| "UTC".to_owned())
    }
}

/// It is not for every user of the machine.
fn told(error: std::io::Error) -> anyhow::Error {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => anyhow::anyhow!(
            "{error}; use sudo (the service's own user must be able to read it: root:frostguard, mode 0640)"
        ),
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests;
