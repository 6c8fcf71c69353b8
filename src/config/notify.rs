//! `[notify]`: who hears of what, and by which channels.

use std::path::PathBuf;

use serde::Deserialize;

use super::BrokerUrl;

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NotifySection {
    /// `22:00-06:00`, in the site's time zone: what is not critical waits until they end. None: never.
    pub quiet_hours: Option<String>,
    /// SMS an hour of the whole hub; the first call of a critical alert always goes.
    pub sms_per_hour_max: u32,
    /// Minutes in which further calls to one recipient, or about one alert, are merged into one message.
    pub cool_down_min: u32,
    /// GPIO lines that make noise or light.
    pub signal: Vec<SignalSection>,
    pub button: Option<ButtonSection>,
    pub modem: Option<ModemSection>,
    pub smtp: Option<SmtpSection>,
    pub webhook: Vec<WebhookSection>,
    pub mqtt: Vec<NotifyMqttSection>,
}

impl Default for NotifySection {
    fn default() -> Self {
        Self {
            quiet_hours: None,
            sms_per_hour_max: 50,
            cool_down_min: 15,
            signal: Vec::new(),
            button: None,
            modem: None,
            smtp: None,
            webhook: Vec::new(),
            mqtt: Vec::new(),
        }
    }
}

impl NotifySection {
    /// The quiet hours; an error says what is wrong with them.
    pub fn quiet(&self) -> Result<Option<QuietHours>, String> {
        self.quiet_hours.as_deref().map(QuietHours::parse).transpose()
    }
}

/// Minutes of the day by the site's wall clock: from `from_min` until before `to_min`, over midnight where that is less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietHours {
    pub from_min: u16,
    pub to_min: u16,
}

impl QuietHours {
    /// `22:00-06:00`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let minute = |text: &str| -> Option<u16> {
            let (hour, minute) = text.trim().split_once(':')?;
            let is_number = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
            if !is_number(hour) || !is_number(minute) {
                return None;
            }
            let (hour, minute) = (hour.parse::<u16>().ok()?, minute.parse::<u16>().ok()?);
            (hour < 24 && minute < 60).then_some(hour * 60 + minute)
        };
        let both = text.split_once('-').and_then(|(from, to)| Some((minute(from)?, minute(to)?)));
        match both {
            Some((from_min, to_min)) if from_min != to_min => Ok(Self { from_min, to_min }),
            Some(_) => Err(format!("{text:?} begins and ends at the same time")),
            None => Err(format!("{text:?} is not HH:MM-HH:MM, such as \"22:00-06:00\"")),
        }
    }

    /// `minute` of the day, 0 to 1439.
    pub fn contain(self, minute: u16) -> bool {
        if self.from_min < self.to_min {
            (self.from_min..self.to_min).contains(&minute)
        } else {
            minute >= self.from_min || minute < self.to_min
        }
    }
}

/// A line of the kernel's GPIO character device.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignalSection {
    pub name: String,
    /// What hangs on it, which decides its pattern.
    pub role: SignalRole,
    /// `/dev/gpiochip0`, or a chip's label; `fake:/path` in builds with the feature `demo`.
    pub chip: String,
    /// The line's number on the chip.
    pub line: u32,
    /// The line drives the load when it is low.
    #[serde(default)]
    pub active_low: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignalRole {
    /// Sounds while somebody is called; silenced by an acknowledgement or the button.
    Buzzer,
    /// Shows the highest open alert, acknowledged or not: steady for a warning, flashing for a critical one.
    Lamp,
    /// Closed while a critical alert is not acknowledged: a siren, or the contact of an alarm centre.
    Relay,
}

/// A push button that silences.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ButtonSection {
    pub chip: String,
    pub line: u32,
    /// Pressed is low: a button to ground with a pull-up, the usual wiring.
    #[serde(default = "yes")]
    pub active_low: bool,
}

/// A modem for SMS on a serial port.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModemSection {
    /// The port that takes AT commands, best one that survives replugging (`/dev/serial/by-id/..`).
    pub path: PathBuf,
    #[serde(default = "modem_baud")]
    pub baud: u32,
    #[serde(default)]
    pub mode: ModemMode,
    /// The SIM's PIN: a path, or a bare name of a systemd credential. None: the SIM asks for none.
    #[serde(default)]
    pub pin_file: Option<PathBuf>,
    /// Ask the network whether each message arrived.
    #[serde(default = "yes")]
    pub delivery_reports: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModemMode {
    /// What every modem offers, and the only one for long messages.
    #[default]
    Pdu,
    /// For the few that offer nothing else.
    Text,
}

/// A mail server that takes messages.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpSection {
    pub host: String,
    /// None: 465 for `tls`, 587 for `starttls`, 25 for `none`.
    #[serde(default)]
    pub port: Option<u16>,
    #[serde(default)]
    pub security: SmtpSecurity,
    /// `"FrostGuard <alarm@kitchen.example>"`.
    pub from: String,
    #[serde(default)]
    pub username: Option<String>,
    /// A path, or a bare name of a systemd credential.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// PEM; None: the system's authorities.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

impl SmtpSection {
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.security {
            SmtpSecurity::Tls => 465,
            SmtpSecurity::Starttls => 587,
            SmtpSecurity::None => 25,
        })
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpSecurity {
    #[default]
    Tls,
    Starttls,
    /// Plain; only to loopback or without a password.
    None,
}

/// A URL that is told of every message, signed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookSection {
    pub name: String,
    /// `https://..`; plain `http` only to loopback.
    pub url: String,
    /// The key of the signature: a path, or a bare name of a systemd credential.
    pub secret_file: PathBuf,
    /// PEM; None: the system's authorities.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

/// A broker that is shown units, doors and alerts; Home Assistant finds them there by itself.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotifyMqttSection {
    pub name: String,
    pub url: BrokerUrl,
    /// Topics begin with it.
    #[serde(default = "mqtt_prefix")]
    pub prefix: String,
    /// Home Assistant's discovery prefix; empty: no discovery.
    #[serde(default = "discovery_prefix")]
    pub discovery_prefix: String,
    /// The hub's alone at this broker; stands in the topics and must stay. None: made of the machine's id and `name`.
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
}

fn yes() -> bool {
    true
}

fn modem_baud() -> u32 {
    115_200
}

fn mqtt_prefix() -> String {
    "frostguard".into()
}

fn discovery_prefix() -> String {
    "homeassistant".into()
}
