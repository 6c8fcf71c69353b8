//! What a configuration that parses may still get wrong.

use std::collections::BTreeSet;
use std::path::Path;

use tracing_subscriber::EnvFilter;

use super::{BrokerUrl, Config, LorawanSection, MqttSection, Secret, SerialSection};

/// A name goes into counters, logs and `devices.port`.
const NAME_LENGTH_MAX: usize = 64;
/// The widest filter needs a handful.
const TOPICS_MAX: usize = 32;

/// Sentences for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// It will not work.
    pub errors: Vec<String>,
    /// It works, but is probably not meant.
    pub warnings: Vec<String>,
}

impl Findings {
    pub fn require(&mut self, holds: bool, error: impl FnOnce() -> String) {
        if !holds {
            self.errors.push(error());
        }
    }

    pub fn prefer(&mut self, holds: bool, warning: impl FnOnce() -> String) {
        if !holds {
            self.warnings.push(warning());
        }
    }

    pub fn require_within(&mut self, key: &str, value: u64, range: std::ops::RangeInclusive<u64>) {
        let (least, most) = (*range.start(), *range.end());
        self.require(range.contains(&value), || format!("{key} = {value} is outside {least} to {most}"));
    }
}

pub fn check(config: &Config) -> Findings {
    let mut found = Findings::default();
    hub(config, &mut found);
    store(config, &mut found);
    names(config, &mut found);
    config.serial.iter().for_each(|port| serial(port, &mut found));
    config.mqtt.iter().for_each(|broker| mqtt(broker, &mut found));
    config.lorawan.iter().for_each(|section| lorawan(section, &mut found));
    uplink(config, &mut found);
    rules(config, &mut found);
    super::check_wired::check(config, &mut found);
    super::ble::check(config, &mut found);
    super::check_notify::check(config, &mut found);
    power(config, &mut found);
    super::metrics::check(&config.metrics, &mut found);
    found.require(EnvFilter::try_new(&config.log.level).is_ok(), || {
        format!("[log] level = {:?} must be error, warn, info, debug or a filter of them", config.log.level)
    });
    // One that is left out keeps no other sensor from being heard.
    found
        .warnings
        .extend(config.codecs().1.into_iter().map(|problem| format!("a codec is left out: {problem}")));
    found.prefer(source_names(config).next().is_some(), || {
        "there is no section of a source ([[serial]], [[mqtt]], [lorawan], [[modbus]], [onewire], [[current]], [ble]): the hub hears no sensor"
            .into()
    });
    found
}

fn hub(config: &Config, found: &mut Findings) {
    let hub = &config.hub;
    for (key, value) in
        [("name", &hub.name), ("organization", &hub.organization), ("site", &hub.site), ("area", &hub.area)]
    {
        // varchar(256) in the central schema.
        let is_plain = !value.chars().any(char::is_control);
        found.require((1..=256).contains(&value.chars().count()) && is_plain, || {
            format!("[hub] {key} must have 1 to 256 characters and no control characters")
        });
    }
    found.require(hub.state_dir.is_absolute(), || {
        format!("[hub] state_dir = {} must be an absolute path", hub.state_dir.display())
    });
    if let Some(zone) = &hub.time_zone {
        found.require(jiff::tz::TimeZone::get(zone).is_ok(), || {
            format!("[hub] time_zone = {zone:?} is no IANA time zone; they look like \"Europe/Berlin\"")
        });
    }
}

fn power(config: &Config, found: &mut Findings) {
    let power = &config.power;
    // Beyond a minute a small UPS is empty before anybody hears of it.
    found.require_within("[power] debounce_s", power.debounce_s.into(), 0..=60);
    found.require_within("[power] battery_low", power.battery_low.into(), 0..=100);
    if let Some(folder) = power.supplies() {
        found.require(folder.is_absolute(), || {
            format!("[power] supply = {} must be \"auto\" or an absolute path", folder.display())
        });
        found.prefer(!folder.is_absolute() || folder.is_dir(), || {
            format!("[power] supply: there is no folder {}", folder.display())
        });
    }
    if let Some(line) = &power.line {
        super::check_notify::real_chip("[power] line", &line.chip, line.line, found);
        found.prefer(!line.chip.starts_with('/') || Path::new(&line.chip).exists(), || {
            format!("[power] line: there is no {}", line.chip)
        });
    }
}

fn store(config: &Config, found: &mut Findings) {
    let store = &config.store;
    // A minute: more than that of readings nobody should lose to a power cut.
    found.require_within("[store] window_ms", store.window_ms, 100..=60_000);
    if let Some(size) = store.size_mib_max {
        // Below, a migration's copy and the backup leave no room for readings.
        found.require_within("[store] size_mib_max", size, 64..=1 << 30);
    }
}

fn names(config: &Config, found: &mut Findings) {
    let mut seen = BTreeSet::new();
    for name in source_names(config) {
        is_name(name, found);
        found.require(seen.insert(name), || {
            format!("two sources have the name {name:?}: sensors could not be told apart")
        });
    }
    let serial = config.serial.iter().map(|port| &port.path);
    let mut paths = BTreeSet::new();
    for path in serial.chain(config.modbus.iter().map(|bus| &bus.path)) {
        found.require(paths.insert(path), || {
            format!("two [[serial]] or [[modbus]] sections open {}", path.display())
        });
    }
}

fn source_names(config: &Config) -> impl Iterator<Item = &String> {
    let serial = config.serial.iter().map(|port| &port.name);
    let mqtt = config.mqtt.iter().map(|broker| &broker.name);
    let lorawan = config.lorawan.iter().map(|section| &section.name);
    let stations = config.lorawan.iter().filter_map(|section| section.stations.as_ref());
    let lorawan = lorawan.chain(stations.map(|section| &section.name));
    let modbus = config.modbus.iter().map(|bus| &bus.name);
    let onewire = config.onewire.iter().map(|section| &section.name);
    let current = config.current.iter().map(|section| &section.name);
    let ble = config.ble.iter().map(|section| &section.name);
    serial.chain(mqtt).chain(lorawan).chain(modbus).chain(onewire).chain(current).chain(ble)
}

pub fn is_name(name: &str, found: &mut Findings) {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    found.require((1..=NAME_LENGTH_MAX).contains(&name.len()) && name.chars().all(is_plain), || {
        format!(
            "name = {name:?} must have 1 to {NAME_LENGTH_MAX} letters, digits, dots, dashes and underscores"
        )
    });
}

fn lorawan(section: &LorawanSection, found: &mut Findings) {
    let region = section.region.as_str();
    found.require(section.plan().is_some(), || {
        format!("[lorawan] region = {region:?} needs sub_band, 1 to 8: the eighth of the channels that gateway and sensors use")
    });
    found.prefer(section.sub_band.is_none() || section.region.has_sub_bands(), || {
        format!("[lorawan] sub_band is not used in {region}")
    });
    found.require_within("[lorawan] rx1_delay_s", section.rx1_delay_s.into(), 1..=15);
    // What no gateway has, and what none is licensed for.
    found.require((0..=36).contains(&section.eirp_dbm_max), || {
        format!("[lorawan] eirp_dbm_max = {} is outside 0 to 36 dBm", section.eirp_dbm_max)
    });
    found.require((0..=15).contains(&section.antenna_gain_dbi), || {
        format!("[lorawan] antenna_gain_dbi = {} is outside 0 to 15 dBi", section.antenna_gain_dbi)
    });
    found.prefer(!section.udp_listen.ip().is_unspecified(), || {
        format!(
            "[lorawan] udp_listen = {}: the protocol has no passwords; give the hub's address in the gateways' network",
            section.udp_listen
        )
    });
    if let Some(stations) = &section.stations {
        found.prefer(!stations.listen.ip().is_unspecified(), || {
            format!(
                "[lorawan.stations] listen = {}: stations show no password; give the hub's address in the gateways' network",
                stations.listen
            )
        });
    }
}

fn serial(port: &SerialSection, found: &mut Findings) {
    found.require(port.path.is_absolute(), || {
        format!("[[serial]] {}: path = {} must be absolute", port.name, port.path.display())
    });
    found.require_within(&format!("[[serial]] {}: baud", port.name), port.baud().into(), 300..=4_000_000);
    if let Some(model) = &port.model {
        found.require(model.split('/').filter(|part| !part.is_empty()).count() == 2, || {
            format!(
                "[[serial]] {}: model = {model:?} must be VENDOR/MODEL, as `devices models` lists them",
                port.name
            )
        });
    }
}

fn mqtt(broker: &MqttSection, found: &mut Findings) {
    let name = &broker.name;
    let topics = broker.topics();
    found.require((1..=TOPICS_MAX).contains(&topics.len()), || {
        format!("[[mqtt]] {name}: topics must be 1 to {TOPICS_MAX} filters")
    });
    for topic in topics {
        found.require(is_filter(&topic), || {
            format!("[[mqtt]] {name}: {topic:?} is no topic filter: `+` stands for a whole level, `#` only for the last")
        });
    }
    // rumqttc refuses less than 5 s.
    found.require_within(&format!("[[mqtt]] {name}: keep_alive_s"), broker.keep_alive_s.into(), 5..=3_600);
    connection(
        &format!("[[mqtt]] {name}"),
        &Connection {
            url: &broker.url,
            client_id: broker.client_id.as_deref(),
            has_username: broker.username.is_some(),
            password_file: broker.password_file.as_deref(),
            ca_file: broker.ca_file.as_deref(),
        },
        found,
    );
}

/// What sections of brokers have in common.
pub struct Connection<'a> {
    pub url: &'a BrokerUrl,
    pub client_id: Option<&'a str>,
    pub has_username: bool,
    pub password_file: Option<&'a Path>,
    pub ca_file: Option<&'a Path>,
}

pub fn connection(section: &str, broker: &Connection<'_>, found: &mut Findings) {
    let Connection { url, client_id, has_username, password_file, ca_file } = *broker;
    if let Some(id) = client_id {
        found.require((1..=128).contains(&id.len()) && id.chars().all(|c| c.is_ascii_graphic()), || {
            format!("{section}: client_id must have 1 to 128 printable characters without spaces")
        });
    }
    found.require(has_username || password_file.is_none(), || {
        format!("{section}: password_file without username")
    });
    // rumqttc cannot join an IPv6 address and its port, and check the certificate by the address.
    found.require(!(url.is_tls && url.host.contains(':')), || {
        format!("{section}: mqtts:// with an IPv6 address; give the broker's name")
    });
    found.require(url.is_tls || ca_file.is_none(), || {
        format!("{section}: ca_file is only used with mqtts://")
    });
    found.prefer(url.is_tls || url.is_loopback() || password_file.is_none(), || {
        format!("{section}: the password crosses the network readable by all; use mqtts://")
    });
    secret(&format!("{section}: password_file"), password_file, found);
    readable(&format!("{section}: ca_file"), ca_file, found);
}

/// MQTT 3.1.1, 4.7.1.
fn is_filter(topic: &str) -> bool {
    let levels: Vec<&str> = topic.split('/').collect();
    let is_level = |(index, level): (usize, &&str)| match *level {
        "+" => true,
        "#" => index + 1 == levels.len(),
        plain => !plain.contains(['+', '#', '\0']),
    };
    (1..=65_535).contains(&topic.len()) && levels.iter().enumerate().all(is_level)
}

fn uplink(config: &Config, found: &mut Findings) {
    let uplink = &config.uplink;
    found.require_within("[uplink] interval_s", uplink.interval_s.into(), 1..=3_600);
    // Central calls a hub offline after three missed polls of five minutes.
    found.require_within("[uplink] poll_s", uplink.poll_s.into(), 10..=300);
    if let Some(url) = &uplink.url {
        let host = |rest: &str| rest.split(['/', ':']).next().unwrap_or_default().to_owned();
        let is_loopback = |rest: &str| {
            matches!(host(rest).as_str(), "127.0.0.1" | "localhost") || rest.starts_with("[::1]")
        };
        match url.split_once("://") {
            Some(("https", rest)) if !rest.is_empty() => {}
            Some(("http", rest)) if is_loopback(rest) => {}
            Some(("http", _)) => found.errors.push(format!(
                "[uplink] url = {url:?}: plain http is only for this machine itself; use https://"
            )),
            _ => found.errors.push(format!("[uplink] url = {url:?} must begin with https://")),
        }
    }
    readable("[uplink] ca_file", uplink.ca_file.as_deref(), found);
}

fn rules(config: &Config, found: &mut Findings) {
    let rules = &config.rules;
    let minutes_of_a_day = 1_440;
    for (key, value, least, most) in [
        ("confirm_delay_min", rules.confirm_delay_min, 0, minutes_of_a_day),
        ("hysteresis_hundredths", rules.hysteresis_hundredths, 0, 1_000),
        ("good_readings", rules.good_readings, 1, 100),
        ("above_limit_min", rules.above_limit_min, 1, minutes_of_a_day),
        ("above_limit_reset_min", rules.above_limit_reset_min, 1, minutes_of_a_day),
        ("check_in_default_s", rules.check_in_default_s, 10, 86_400),
        ("check_in_buffer_s", rules.check_in_buffer_s, 0, 3_600),
        ("missed_warning", rules.missed_warning, 1, 1_000),
        ("missed_critical", rules.missed_critical, 1, 1_000),
        ("missed_warning_slow", rules.missed_warning_slow, 1, 1_000),
        ("missed_critical_slow", rules.missed_critical_slow, 1, 1_000),
        ("contact_warning_min", rules.contact_warning_min, 0, minutes_of_a_day),
        ("contact_critical_min", rules.contact_critical_min, 0, minutes_of_a_day),
        ("manual_interval_min", rules.manual_interval_min, 1, 31 * minutes_of_a_day),
        ("door_grace_min", rules.door_grace_min, 0, 60),
        ("door_mask_day_min", rules.door_mask_day_min, 0, 240),
        ("door_mask_beyond_hundredths", rules.door_mask_beyond_hundredths, 0, 2_000),
        ("door_warning_min", rules.door_warning_min, 0, minutes_of_a_day),
        ("door_critical_min", rules.door_critical_min, 0, minutes_of_a_day),
        ("battery_info_below", rules.battery_info_below, 0, 100),
        ("battery_warning_below", rules.battery_warning_below, 0, 100),
        ("faulty_values", rules.faulty_values, 1, 100),
        ("calibration_due_days", rules.calibration_due_days, 0, 365),
    ] {
        found.require_within(&format!("[rules] {key}"), value.into(), least..=most);
    }
    for (warning, critical, what) in [
        (rules.missed_warning, rules.missed_critical, "missed"),
        (rules.missed_warning_slow, rules.missed_critical_slow, "missed (slow)"),
        (rules.contact_warning_min, rules.contact_critical_min, "contact"),
        (rules.door_warning_min, rules.door_critical_min, "door"),
    ] {
        found.require(warning <= critical, || {
            format!("[rules] {what}: the warning must not come after the critical alert")
        });
    }
}

/// Warnings: the file may be readable only to the hub's own user, and a credential only to the running service.
pub fn secret(key: &str, path: Option<&Path>, found: &mut Findings) {
    let problem = path.and_then(Secret::problem);
    found.warnings.extend(problem.map(|problem| format!("{key}: {problem}")));
}

pub fn readable(key: &str, path: Option<&Path>, found: &mut Findings) {
    if let Some(path) = path
        && let Err(error) = std::fs::File::open(path)
    {
        // A warning: the file may be readable only to the hub's own user.
        found.warnings.push(format!("{key} = {}: {error}", path.display()));
    }
}
