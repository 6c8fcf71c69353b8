//! What the core needs of the configuration, by value.

use std::path::PathBuf;
use std::sync::Arc;

use crate::codec::Codecs;
use crate::config::{Config, LorawanSection, NotifySection, QuietHours};
use crate::domain::{Scale, Source};
use crate::notify::Channel;
use crate::notify::plan::Limits;
use crate::rules::Constants;
use crate::store::registry::PlaceNames;

use super::scripts;

#[derive(Clone, Debug)]
pub struct Settings {
    pub state_dir: PathBuf,
    /// The commit window.
    pub window_ms: i64,
    pub constants: Constants,
    /// Scale of units made on the hub.
    pub scale: Scale,
    pub names: PlaceNames,
    /// Bytes the database may take; None: 4 GiB or a quarter of the partition, whichever is less.
    pub bytes_max: Option<u64>,
    pub notify: NotifySettings,
    /// None: no network server of its own.
    pub lorawan: Option<LorawanSection>,
    /// The sources of plain senders, by kind and name.
    pub sources: Vec<(Source, String)>,
    /// Native codecs and the user's scripts.
    pub codecs: Arc<Codecs>,
    /// Where scripts run.
    pub scripts: scripts::Place,
    pub mode: Mode,
}

/// Which channels there are, and what holds them back.
#[derive(Clone, Debug)]
pub struct NotifySettings {
    pub has_modem: bool,
    pub has_smtp: bool,
    /// Channels without recipients, by their configured names.
    pub machines: Vec<(Channel, String)>,
    pub quiet_hours: Option<QuietHours>,
    pub limits: Limits,
}

impl NotifySettings {
    /// True where there is such a channel. `recipient`: the name of a channel without recipients.
    pub fn has(&self, channel: Channel, recipient: &str) -> bool {
        match channel {
            Channel::Sms => self.has_modem,
            Channel::Email => self.has_smtp,
            _ => self.machines.iter().any(|(own, name)| *own == channel && name == recipient),
        }
    }

    pub fn of(config: &NotifySection) -> Self {
        let signals = config.signal.iter().map(|section| (Channel::Signal, section.name.clone()));
        let webhooks = config.webhook.iter().map(|section| (Channel::Webhook, section.name.clone()));
        let brokers = config.mqtt.iter().map(|section| (Channel::Mqtt, section.name.clone()));
        Self {
            has_modem: config.modem.is_some(),
            has_smtp: config.smtp.is_some(),
            machines: signals.chain(webhooks).chain(brokers).collect(),
            // `config check` and the start refuse a file with others.
            quiet_hours: config.quiet().unwrap_or_default(),
            limits: Limits {
                cool_down_ms: i64::from(config.cool_down_min) * 60_000,
                sms_per_hour_max: config.sms_per_hour_max as usize,
            },
        }
    }
}

/// Why the core is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// To hear and judge: its start and stop are written down.
    Service,
    /// By a command while no hub runs, to change something.
    Change,
    /// By a command that only looks: nothing is written.
    Look,
}

impl Settings {
    pub fn of(config: &Config, mode: Mode) -> Self {
        let (codecs, problems) = config.codecs();
        for problem in problems {
            tracing::error!("a codec is left out: {problem}");
        }
        Self {
            codecs: Arc::new(codecs),
            scripts: scripts::Place::Process(scripts::PROGRAM.into()),
            state_dir: config.hub.state_dir.clone(),
            window_ms: config.store.window_ms as i64,
            constants: config.rules.clone(),
            scale: config.hub.temp_unit,
            names: PlaceNames {
                organization: config.hub.organization.clone(),
                site: config.hub.site.clone(),
                area: config.hub.area.clone(),
                hub: config.hub.name.clone(),
                zone: config.zone(),
                mac_address: mac_address(),
                firmware_version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            bytes_max: config.store.size_mib_max.map(|mib| mib << 20),
            notify: NotifySettings::of(&config.notify),
            lorawan: config.lorawan.clone(),
            sources: config.sources(),
            mode,
        }
    }
}

/// The address of the first wired or wireless interface, upper case with colons; None where there is none.
fn mac_address() -> Option<String> {
    let mut names: Vec<_> =
        std::fs::read_dir("/sys/class/net").ok()?.flatten().map(|entry| entry.path()).collect();
    names.sort();
    names.iter().find_map(|path| {
        // Bridges and tunnels have no device behind them; their addresses are made up at each boot.
        if !path.join("device").exists() {
            return None;
        }
        let text = std::fs::read_to_string(path.join("address")).ok()?;
        let text = text.trim().to_ascii_uppercase();
        (text.len() == 17 && text != "00:00:00:00:00:00").then_some(text)
    })
}
