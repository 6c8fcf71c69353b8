//! What was found, before anybody judges it: plain data.

use std::collections::BTreeMap;

use crate::clock::NtpState;
use crate::store::figures::Figures;
use crate::store::partition::Space;

/// What a step found, or why it found nothing: in words, the time limit included.
pub type Found<T> = Result<T, String>;

/// Everything.
#[derive(Clone, Debug)]
pub struct Facts {
    pub configuration: Configuration,
    pub hub: Hub,
    pub clock: Clock,
    pub disk: Found<Disk>,
    pub database: Found<Database>,
    pub ports: Found<Vec<Port>>,
    pub brokers: Vec<Broker>,
    pub has_modem: bool,
    /// None: there is no `[notify.smtp]`.
    pub mail: Option<Mail>,
    pub webhooks: Vec<Webhook>,
    pub net: Net,
    pub files: Found<Vec<File>>,
}

#[derive(Clone, Debug, Default)]
pub struct Configuration {
    /// None: no file, the defaults.
    pub path: Option<String>,
    pub errors: Vec<String>,
    pub warnings: Vec<String>,
}

/// The running hub, as its control socket shows it.
#[derive(Clone, Debug)]
pub enum Hub {
    Running(Box<Running>),
    Stopped,
    /// It listens, and does not answer this user or not in time.
    Mute(String),
}

#[derive(Clone, Debug, Default)]
pub struct Running {
    pub pid: u32,
    pub version: String,
    /// "ok", or what the store refuses.
    pub storage: String,
    pub clock_trusted: bool,
    pub clock_quality: String,
    /// Name, and why it is down; None: it is up.
    pub sources: Vec<(String, Option<String>)>,
    /// Sections of the configuration by the names of their sources: of those that no other line is about.
    pub sections: BTreeMap<String, &'static str>,
    /// Sensors of a 1-Wire line convert one after the other.
    pub is_onewire_slow: bool,
    pub sensors: Vec<Sensor>,
    /// None: the hub is no network server.
    pub gateways: Option<Vec<Gateway>>,
    /// Of the uplink's last request.
    pub uplink_problem: Option<String>,
    pub power: Power,
    pub modem: Option<Modem>,
    /// Messages to people that failed for good, and the last reason.
    pub last_call_failure: Option<String>,
    pub channels: String,
    pub contacts: u64,
    /// Of them, those who have a number, and those who have an address.
    pub with_phone: u64,
    pub with_email: u64,
    /// "signal NAME" or "button", and why it is dead; None: it works.
    pub lines: Vec<(String, Option<String>)>,
}

/// What feeds the hub, as it says itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Power {
    #[default]
    NotWatched,
    Mains,
    /// "BATTERY since ..".
    Battery(String),
    /// Why.
    Unknown(String),
}

#[derive(Clone, Debug, Default)]
pub struct Sensor {
    pub name: String,
    /// As `pipeline::vitals::SensorState` says it.
    pub state: String,
    pub source: String,
    /// The port or broker it was heard over last.
    pub port: String,
    pub seen_age_s: Option<i64>,
    /// It sends nothing of the probe that measures a unit: what was found, and what to do about it.
    pub astray: Option<(String, String)>,
    pub battery: Option<i64>,
    pub rssi: Option<i64>,
}

#[derive(Clone, Debug, Default)]
pub struct Gateway {
    pub name: String,
    pub heard_age_s: Option<i64>,
}

#[derive(Clone, Debug, Default)]
pub struct Modem {
    pub is_ready: bool,
    pub operator: Option<String>,
    pub signal_dbm: Option<i64>,
    pub problem: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Clock {
    pub wall_ms: i64,
    pub built_ms: i64,
    pub ntp: NtpState,
    pub rtc_ms: Option<i64>,
}

#[derive(Clone, Debug, Default)]
pub struct Disk {
    pub dir: String,
    pub space: Option<Space>,
    pub mount: Option<Mount>,
    pub device: Option<Device>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount {
    pub point: String,
    pub kind: String,
    pub is_read_only: bool,
    /// MAJOR:MINOR.
    pub number: String,
}

/// The block device under the file system.
#[derive(Clone, Debug, Default)]
pub struct Device {
    pub name: String,
    /// "SD" or "MMC" of a card or a soldered one.
    pub card: Option<String>,
    pub card_name: Option<String>,
    /// eMMC: tenths of its life used, the worse of both estimates; 11: beyond.
    pub life_tenths: Option<u8>,
    /// eMMC: 1 normal, 2 eight tenths of the spare blocks are used, 3 nine.
    pub spare: Option<u8>,
    pub written_bytes: Option<u64>,
    /// ext4: errors the kernel noted.
    pub errors: Option<u64>,
}

#[derive(Clone, Debug, Default)]
pub struct Database {
    /// False: there is none yet.
    pub exists: bool,
    /// What is wrong with it; None: nothing was met.
    pub damage: Option<String>,
    /// Which part of it was looked at.
    pub looked_at: String,
    /// Met while the hub ran: the next start looks at every page.
    pub is_suspect: bool,
    /// Damaged databases set aside before.
    pub set_aside: u64,
    pub newest_backup_age_s: Option<i64>,
    pub figures: Option<Figures>,
    pub sensors: u64,
    pub bytes_max: Option<u64>,
}

/// A serial port of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Port {
    /// "serial radio", "modbus bus", "modem".
    pub name: String,
    pub path: String,
    pub state: PortState,
    /// Who has it open, as far as this user may see; the hub itself is not among them.
    pub holders: Vec<Holder>,
    pub is_held_by_hub: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PortState {
    #[default]
    Missing,
    NoDevice,
    /// The hub's user may not open it; the group that may.
    Closed(String),
    Open,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub pid: u32,
    pub name: String,
}

#[derive(Clone, Debug)]
pub struct Broker {
    /// "broker NAME", as its section is called.
    pub name: String,
    pub url: String,
    /// Connected and signed in under another client id.
    pub signed_in: SignIn,
}

/// The way to a host; what comes after a step that failed was not tried.
#[derive(Clone, Debug, Default)]
pub struct Steps {
    /// None: an address needs no name server.
    pub dns: Option<Found<Vec<String>>>,
    /// The address that answers.
    pub tcp: Option<Found<String>>,
    /// None: it is without TLS.
    pub tls: Option<Found<String>>,
}

/// The mail server. `Steps::tls` is a part of being greeted.
#[derive(Clone, Debug, Default)]
pub struct Mail {
    /// "smtp.example:587".
    pub server: String,
    pub steps: Steps,
    /// It greeted the hub, over TLS where that is configured.
    pub greeted: Option<Found<()>>,
    pub signed_in: SignIn,
}

#[derive(Clone, Debug, Default)]
pub enum SignIn {
    /// There is no user, or it did not come to that.
    #[default]
    None,
    /// The password is the service's, which is there only while that runs, and for root.
    OfService,
    /// Root looks and the service runs: it was given no credential of that name.
    NotGiven(String),
    Tried(Found<()>),
}

#[derive(Clone, Debug)]
pub struct Webhook {
    /// "webhook NAME", as its section is called.
    pub name: String,
    /// With the port and without what stands behind it in the url.
    pub host: String,
    pub steps: Steps,
}

/// The way to the receiver, step by step; what comes after a step that failed was not tried.
#[derive(Clone, Debug, Default)]
pub struct Net {
    pub goal: Goal,
    pub interfaces_up: Vec<String>,
    pub has_route: bool,
    pub steps: Steps,
    /// The receiver's time less the machine's, ms.
    pub time: Option<Found<i64>>,
    pub receiver: Option<Found<()>>,
    pub credential: Option<Found<()>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Goal {
    /// `[uplink] enabled = false`.
    #[default]
    Off,
    /// Not enrolled, and no address to try.
    None,
    Receiver {
        host: String,
        is_local: bool,
        is_enrolled: bool,
    },
    Unknown(String),
}

/// A file or folder and who may do what with it.
#[derive(Clone, Debug, Default)]
pub struct File {
    pub path: String,
    pub role: Role,
    /// None: it is missing.
    pub mode: Option<u32>,
    pub uid: u32,
    /// Of the hub's user: the owner of the data folder.
    pub hub_uid: u32,
    /// Its name, else its number.
    pub hub_user: String,
    /// By owner, groups and mode.
    pub is_readable: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// The hub's alone, made by itself: others may not even look.
    #[default]
    Own,
    /// Named in the configuration: others may not read it.
    Secret,
    /// Others may read it, and not write.
    Configuration,
}
