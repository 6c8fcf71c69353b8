//! The sections and, in their `Default`s, the one place of every default.

use std::path::PathBuf;

use serde::Deserialize;

use crate::domain::Scale;
use crate::framing::{Data, Preset};

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HubSection {
    /// `hubs.name` until central gives another.
    pub name: String,
    /// Names of the local hierarchy a hub has before it is enrolled.
    pub organization: String,
    pub site: String,
    pub area: String,
    /// Database, keys and backups.
    pub state_dir: PathBuf,
    /// IANA name; None: the system's.
    pub time_zone: Option<String>,
    /// Scale of units made on the hub.
    pub temp_unit: Scale,
}

impl Default for HubSection {
    fn default() -> Self {
        Self {
            name: "FrostGuard hub".into(),
            organization: "Local organization".into(),
            site: "Local site".into(),
            area: "Kitchen".into(),
            state_dir: "/var/lib/frostguard".into(),
            time_zone: None,
            temp_unit: Scale::C,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSection {
    /// Readings wait this long to be committed together: what a power cut can lose of a source that does not repeat.
    pub window_ms: u64,
    /// MiB of the state directory; None: 4096 or a quarter of the partition, whichever is less.
    pub size_mib_max: Option<u64>,
}

impl Default for StoreSection {
    fn default() -> Self {
        Self { window_ms: 5_000, size_mib_max: None }
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClockSection {
    /// Believe a battery-backed clock (where there is one) until NTP or the receiver is heard.
    pub use_rtc: bool,
}

impl Default for ClockSection {
    fn default() -> Self {
        Self { use_rtc: true }
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SerialSection {
    /// Names the port in `devices.port`: sensors without an EUI are known by it, so it must stay.
    pub name: String,
    /// The device file, best one that survives replugging (`/dev/serial/by-id/..`).
    pub path: PathBuf,
    pub preset: Preset,
    /// None: the preset's.
    #[serde(default)]
    pub baud: Option<u32>,
    /// How the data of a radio module is read.
    #[serde(default)]
    pub data: Data,
    /// Codec ("vendor/model") of binary payloads from senders that are not paired yet.
    #[serde(default)]
    pub model: Option<String>,
}

impl SerialSection {
    pub fn baud(&self) -> u32 {
        self.baud.unwrap_or(self.preset.default_baud())
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MqttSection {
    /// Names the broker in status, counters and `devices.port`.
    pub name: String,
    pub url: BrokerUrl,
    pub kind: MqttKind,
    /// None: the kind's usual ones.
    #[serde(default)]
    pub topics: Option<Vec<String>>,
    /// Fixed, because the broker keeps what the hub missed under it. None: made of the machine's id and `name`.
    #[serde(default)]
    pub client_id: Option<String>,
    #[serde(default)]
    pub username: Option<String>,
    /// A path, or a bare name of a systemd credential.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// PEM; None: the system's authorities.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    #[serde(default = "keep_alive_s")]
    pub keep_alive_s: u16,
}

fn keep_alive_s() -> u16 {
    30
}

impl MqttSection {
    pub fn topics(&self) -> Vec<String> {
        self.topics
            .clone()
            .unwrap_or_else(|| self.kind.topics().iter().map(|topic| (*topic).to_owned()).collect())
    }
}

/// Whose messages a broker carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MqttKind {
    ChirpstackV4,
    ChirpstackV3,
    TtnV3,
    Zigbee2mqtt,
}

impl MqttKind {
    /// The topic filters of its readings and battery levels.
    pub fn topics(self) -> &'static [&'static str] {
        match self {
            // Batteries come as an event of their own.
            MqttKind::ChirpstackV4 | MqttKind::ChirpstackV3 => {
                &["application/+/device/+/event/up", "application/+/device/+/event/status"]
            }
            MqttKind::TtnV3 => &["v3/+/devices/+/up"],
            // Names of devices may hold slashes, so the bridge's own messages come too.
            MqttKind::Zigbee2mqtt => &["zigbee2mqtt/#"],
        }
    }
}

/// `mqtt://host[:1883]` or `mqtts://host[:8883]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct BrokerUrl {
    pub host: String,
    pub port: u16,
    pub is_tls: bool,
}

impl BrokerUrl {
    /// The broker is this machine.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl std::fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.is_tls { "mqtts" } else { "mqtt" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

impl TryFrom<String> for BrokerUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (is_tls, rest) = match text.split_once("://") {
            Some(("mqtt", rest)) => (false, rest),
            Some(("mqtts", rest)) => (true, rest),
            _ => return Err("a broker's url begins with mqtt:// or mqtts://".into()),
        };
        if rest.contains('@') {
            // Not repeated here: it may hold a password.
            return Err(
                "a broker's url holds no user and no password: use `username` and `password_file`".into()
            );
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
            Some((host, after)) => (host, after.strip_prefix(':')),
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        let wrong = || format!("{text:?} is not mqtt://host:port");
        let port = match port {
            Some(port) => port.parse().map_err(|_| wrong())?,
            None if is_tls => 8883,
            None => 1883,
        };
        if host.is_empty() || host.contains(['/', '?', '#', ' ']) {
            return Err(wrong());
        }
        Ok(Self { host: host.to_owned(), port, is_tls })
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UplinkSection {
    pub enabled: bool,
    /// The receiver's base URL, offered at enrolment; an enrolled hub keeps the one it was enrolled with.
    pub url: Option<String>,
    /// How often new readings are cut into a batch and sent.
    pub interval_s: u32,
    /// How often central is asked for its configuration when nothing is sent.
    pub poll_s: u32,
    /// PEM; None: the system's authorities.
    pub ca_file: Option<PathBuf>,
}

impl Default for UplinkSection {
    fn default() -> Self {
        Self { enabled: true, url: None, interval_s: 60, poll_s: 300, ca_file: None }
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControlSection {
    /// Where commands reach the running hub.
    pub socket: PathBuf,
}

impl Default for ControlSection {
    fn default() -> Self {
        Self { socket: "/run/frostguard/hub.sock".into() }
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSection {
    /// A tracing filter: `info`, or `info,frostguard_hub::source=debug`.
    pub level: String,
    pub format: LogFormat,
}

impl Default for LogSection {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Text }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}
