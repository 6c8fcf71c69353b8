//! What `[notify]` may get wrong. A mistake here is found when somebody must be called: so all of it is looked for at
//! the start.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use lettre::message::Mailbox;

use super::check::{Connection, Findings, connection, is_name, readable, secret};
use super::{
    ButtonSection, Config, ModemSection, NotifyMqttSection, NotifySection, PowerLine, SignalRole,
    SignalSection, SmtpSection, SmtpSecurity, WebhookSection,
};
use crate::notify::signal::{FAKE_PREFIX, is_fake_allowed};

/// Chips have up to some hundred lines; expanders some tens.
const LINE_MAX: u32 = 1_023;
/// Beyond, the provider or the SIM stops it; a hub that needs more has another problem.
const SMS_PER_HOUR_MAX: u64 = 1_000;
const MINUTES_OF_A_DAY: u64 = 1_440;
/// MQTT has 65,535 bytes a topic; this leaves room for what the hub appends.
const PREFIX_LENGTH_MAX: usize = 256;

pub fn check(config: &Config, found: &mut Findings) {
    let notify = &config.notify;
    found.require_within("[notify] sms_per_hour_max", notify.sms_per_hour_max.into(), 1..=SMS_PER_HOUR_MAX);
    found.require_within("[notify] cool_down_min", notify.cool_down_min.into(), 0..=MINUTES_OF_A_DAY);
    if let Err(error) = notify.quiet() {
        found.errors.push(format!("[notify] quiet_hours = {error}"));
    }
    names(notify, found);
    lines(config, found);
    for signal in &notify.signal {
        chip(&format!("[[notify.signal]] {}", signal.name), &signal.chip, signal.line, found);
    }
    if let Some(button) = &notify.button {
        chip("[notify.button]", &button.chip, button.line, found);
        found.prefer(notify.signal.iter().any(|signal| signal.role == SignalRole::Buzzer), || {
            "[notify.button] silences buzzers, and there is no [[notify.signal]] with role = \"buzzer\""
                .into()
        });
    }
    if let Some(port) = &notify.modem {
        modem(config, port, found);
    }
    if let Some(server) = &notify.smtp {
        smtp(server, found);
    }
    notify.webhook.iter().for_each(|hook| webhook(hook, found));
    notify.mqtt.iter().for_each(|broker| mqtt(broker, found));
    clients(config, found);
}

/// Each is the recipient of its deliveries, and what `notify test` is told.
fn names(notify: &NotifySection, found: &mut Findings) {
    let all = (notify.signal.iter().map(|signal| &signal.name))
        .chain(notify.webhook.iter().map(|hook| &hook.name))
        .chain(notify.mqtt.iter().map(|broker| &broker.name));
    let mut seen = BTreeSet::new();
    for name in all {
        is_name(name, found);
        found.require(seen.insert(name), || format!("two [notify] channels have the name {name:?}"));
        // How the channels without a name of their own are called.
        found.require(!["sms", "email", "smtp", "modem"].contains(&name.as_str()), || {
            format!("[notify]: the name {name:?} stands for the channel of people")
        });
    }
}

fn lines(config: &Config, found: &mut Findings) {
    let notify = &config.notify;
    let outputs = notify.signal.iter().map(|SignalSection { chip, line, .. }| (chip, line));
    let inputs = notify.button.iter().map(|ButtonSection { chip, line, .. }| (chip, line));
    let power = config.power.line.iter().map(|PowerLine { chip, line, .. }| (chip, line));
    let mut seen = BTreeSet::new();
    for (chip, line) in power.chain(outputs).chain(inputs) {
        found.require(seen.insert((chip, line)), || {
            format!("[notify] and [power]: line {line} of {chip} is used twice")
        });
    }
}

fn chip(section: &str, chip: &str, line: u32, found: &mut Findings) {
    if let Some(path) = chip.strip_prefix(FAKE_PREFIX) {
        found.require(is_fake_allowed() && Path::new(path).is_absolute(), || {
            format!("{section}: chip = {chip:?}: fake chips are for builds with the feature demo, and need an absolute path")
        });
        line_number(section, line, found);
    } else {
        real_chip(section, chip, line, found);
    }
}

/// One of the kernel's, by its path or by its label.
pub fn real_chip(section: &str, chip: &str, line: u32, found: &mut Findings) {
    line_number(section, line, found);
    found.require(chip.starts_with('/') || !(chip.is_empty() || chip.contains('/')), || {
        format!(
            "{section}: chip = {chip:?} must be an absolute path such as /dev/gpiochip0, or a chip's label"
        )
    });
}

fn line_number(section: &str, line: u32, found: &mut Findings) {
    found.require_within(&format!("{section}: line"), line.into(), 0..=LINE_MAX.into());
}

fn modem(config: &Config, modem: &ModemSection, found: &mut Findings) {
    let path = &modem.path;
    found
        .require(path.is_absolute(), || format!("[notify.modem] path = {} must be absolute", path.display()));
    found.require_within("[notify.modem] baud", modem.baud.into(), 300..=4_000_000);
    let mut ports =
        config.serial.iter().map(|port| &port.path).chain(config.modbus.iter().map(|bus| &bus.path));
    found.require(ports.all(|port| port != path), || {
        format!("[notify.modem] and a [[serial]] or [[modbus]] section open {}", path.display())
    });
    secret("[notify.modem] pin_file", modem.pin_file.as_deref(), found);
}

fn smtp(server: &SmtpSection, found: &mut Findings) {
    let host = &server.host;
    let is_host = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:".contains(c));
    found.require(is_host, || {
        format!("[notify.smtp] host = {host:?} must be a name or an address, without a port")
    });
    found.require(server.port != Some(0), || "[notify.smtp] port = 0 is none".into());
    found.require(server.from.parse::<Mailbox>().is_ok(), || {
        format!("[notify.smtp] from = {:?} is no mail address; they look like \"FrostGuard <alarm@kitchen.example>\"", server.from)
    });
    let (has_user, has_password) = (server.username.is_some(), server.password_file.is_some());
    found.require(has_user == has_password, || "[notify.smtp] username and password_file go together".into());
    let is_plain = server.security == SmtpSecurity::None;
    found.require(!is_plain || !has_password || is_loopback(host), || {
        "[notify.smtp] security = \"none\" with a password is only for this machine itself; use \"tls\" or \"starttls\"".into()
    });
    found.require(!is_plain || server.ca_file.is_none(), || {
        "[notify.smtp] ca_file is only used with security = \"tls\" or \"starttls\"".into()
    });
    found.prefer(!is_plain || is_loopback(host), || {
        "[notify.smtp] security = \"none\": mails cross the network readable by all".into()
    });
    // Both work somewhere, but not where these ports mean what they usually do.
    let usual = match server.security {
        SmtpSecurity::Tls => server.port != Some(587) && server.port != Some(25),
        SmtpSecurity::Starttls | SmtpSecurity::None => server.port != Some(465),
    };
    found.prefer(usual, || {
        "[notify.smtp]: port 465 begins with TLS (security = \"tls\"), 587 and 25 with \"starttls\"".into()
    });
    secret("[notify.smtp] password_file", server.password_file.as_deref(), found);
    readable("[notify.smtp] ca_file", server.ca_file.as_deref(), found);
}

/// The url itself is not repeated: it often holds a token.
fn webhook(hook: &WebhookSection, found: &mut Findings) {
    let section = format!("[[notify.webhook]] {}", hook.name);
    match reqwest::Url::parse(&hook.url) {
        Ok(url) => {
            let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
            let is_https = url.scheme() == "https";
            match url.scheme() {
                "https" => {}
                "http" if is_loopback(host) => {}
                "http" => found
                    .errors
                    .push(format!("{section}: plain http is only for this machine itself; use https://")),
                _ => found.errors.push(format!("{section}: url must begin with https://")),
            }
            found.require(url.username().is_empty() && url.password().is_none(), || {
                format!("{section}: url holds a user or password; the signature is what the receiver goes by")
            });
            found.require(is_https || hook.ca_file.is_none(), || {
                format!("{section}: ca_file is only used with https://")
            });
        }
        Err(error) => found.errors.push(format!("{section}: url: {error}")),
    }
    secret(&format!("{section}: secret_file"), Some(&hook.secret_file), found);
    readable(&format!("{section}: ca_file"), hook.ca_file.as_deref(), found);
}

fn mqtt(broker: &NotifyMqttSection, found: &mut Findings) {
    let section = format!("[[notify.mqtt]] {}", broker.name);
    for (key, prefix) in [("prefix", &broker.prefix), ("discovery_prefix", &broker.discovery_prefix)] {
        let is_off = key == "discovery_prefix" && prefix.is_empty();
        let is_topic = (1..=PREFIX_LENGTH_MAX).contains(&prefix.len())
            && prefix.split('/').all(|level| !level.is_empty())
            && !prefix.starts_with('$')
            && !prefix.contains(|c: char| "+#".contains(c) || c.is_control());
        found.require(is_off || is_topic, || {
            format!("{section}: {key} = {prefix:?} must be a topic without wildcards, `$` and empty levels")
        });
    }
    connection(
        &section,
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

/// Clients of one id throw each other out at a broker, for ever.
fn clients(config: &Config, found: &mut Findings) {
    let sources = config.mqtt.iter().map(|broker| (&broker.url, &broker.client_id));
    let told = config.notify.mqtt.iter().map(|broker| (&broker.url, &broker.client_id));
    let mut seen = BTreeSet::new();
    for (url, id) in sources.chain(told) {
        if let Some(id) = id {
            found.require(seen.insert((url.to_string(), id)), || {
                format!("two sections connect to {url} with client_id = {id:?}")
            });
        }
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
