//! The configuration as a stranger may see it: a list of keys that are shown, and nothing else. Pure.

use std::net::IpAddr;

use toml::{Table, Value};

use super::redact::Redactor;
use crate::lorawan::ids::Eui;

const HIDDEN: &str = "(redacted)";

/// Keys that are shown, by section. A key that is new is hidden until somebody writes it here.
const SHOWN: [(&str, &[&str]); 26] = [
    ("hub", &["name", "organization", "site", "area", "state_dir", "time_zone", "temp_unit"]),
    ("store", &["window_ms", "size_mib_max"]),
    ("clock", &["use_rtc"]),
    ("serial", &["name", "path", "preset", "baud", "data", "model"]),
    ("mqtt", &["name", "kind", "topics", "password_file", "ca_file", "keep_alive_s"]),
    (
        "lorawan",
        &[
            "name",
            "region",
            "sub_band",
            "dwell",
            "udp_listen",
            "gateways",
            "eirp_dbm_max",
            "antenna_gain_dbi",
            "rx1_delay_s",
            "adr",
        ],
    ),
    ("lorawan.stations", &["name", "listen"]),
    ("modbus", &["name", "path", "baud", "parity", "stop_bits", "interval_s", "timeout_ms", "gap_ms"]),
    ("modbus.device", &["id", "preset", "swapped", "interval_s"]),
    (
        "modbus.device.register",
        &[
            "function",
            "address",
            "type",
            "word_order",
            "scale",
            "offset",
            "invalid",
            "probe",
            "quantity",
            "unit",
            "at_4_ma",
            "at_20_ma",
        ],
    ),
    ("onewire", &["name", "path", "interval_s"]),
    (
        "current",
        &[
            "name",
            "path",
            "channel",
            "shunt_ohm",
            "at_4_ma",
            "at_20_ma",
            "quantity",
            "unit",
            "probe",
            "interval_s",
        ],
    ),
    ("ble", &["name", "adapter", "bus"]),
    ("ble.device", &["address", "model"]),
    ("uplink", &["enabled", "interval_s", "poll_s", "ca_file"]),
    ("power", &["supply", "debounce_s", "battery_low"]),
    ("power.line", &["chip", "line", "active_low", "pull"]),
    ("control", &["socket"]),
    ("metrics", &["enabled", "listen", "token_file"]),
    (
        "rules",
        &[
            "confirm_delay_min",
            "hysteresis_hundredths",
            "good_readings",
            "above_limit_min",
            "above_limit_reset_min",
            "check_in_default_s",
            "check_in_buffer_s",
            "missed_warning",
            "missed_critical",
            "missed_warning_slow",
            "missed_critical_slow",
            "contact_warning_min",
            "contact_critical_min",
            "manual_interval_min",
            "door_grace_min",
            "door_mask_day_min",
            "door_mask_beyond_hundredths",
            "door_warning_min",
            "door_critical_min",
            "battery_info_below",
            "battery_warning_below",
            "faulty_values",
            "calibration_due_days",
            "defrost_unit_types",
        ],
    ),
    ("notify", &["quiet_hours", "sms_per_hour_max", "cool_down_min"]),
    ("notify.signal", &["name", "role", "chip", "line", "active_low"]),
    ("notify.button", &["chip", "line", "active_low"]),
    ("notify.modem", &["path", "baud", "mode", "pin_file", "delivery_reports"]),
    ("notify.smtp", &["host", "port", "security", "password_file", "ca_file"]),
    ("log", &["level", "format"]),
];
/// The same, shown only with what comes before a path: what follows may be a credential.
const ADDRESSES: [(&str, &str); 4] =
    [("mqtt", "url"), ("uplink", "url"), ("notify.webhook", "url"), ("notify.mqtt", "url")];
/// Tables from a gateway's EUI, which is printed on it, to its address in the kitchen's network.
const GATEWAYS: [(&str, &str); 1] = [("lorawan", "gateway_addresses")];
const MORE: [(&str, &[&str]); 2] = [
    ("notify.webhook", &["name", "secret_file", "ca_file"]),
    ("notify.mqtt", &["name", "prefix", "discovery_prefix", "password_file", "ca_file"]),
];

/// `text`: the file. One that is not TOML is not shown at all: what is wrong in it may be a secret in the wrong place.
pub fn shown(text: &str, redactor: &Redactor) -> String {
    match text.parse::<Table>() {
        Ok(table) => {
            let clean = section("", &table, redactor);
            toml::to_string_pretty(&clean).unwrap_or_else(|_| "# it cannot be written down\n".into())
        }
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start.min(text.len()));
            let line = text.get(..at).unwrap_or_default().matches('\n').count() + 1;
            format!("# the file is not TOML from line {line} on, and is not shown\n")
        }
    }
}

fn section(name: &str, table: &Table, redactor: &Redactor) -> Table {
    let mut clean = Table::new();
    for (key, value) in table {
        let path = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
        // A key that nobody knows may be anything, too.
        let is_known = is_section(&path)
            || is_shown(name, key)
            || is_hidden(name, key)
            || is_address(name, key)
            || is_of_gateways(name, key);
        let key = if is_known { key.clone() } else { "unknown".to_owned() };
        clean.insert(key.clone(), self::value(name, &path, &key, value, redactor));
    }
    clean
}

fn value(name: &str, path: &str, key: &str, value: &Value, redactor: &Redactor) -> Value {
    match value {
        Value::Table(table) if is_section(path) => Value::Table(section(path, table, redactor)),
        Value::Array(all) if is_section(path) => {
            Value::Array(all.iter().map(|one| self::value(name, path, key, one, redactor)).collect())
        }
        Value::Table(table) if is_of_gateways(name, key) => Value::Table(gateways(table)),
        Value::Table(_) => Value::String(HIDDEN.into()),
        other if is_shown(name, key) => plain(other, redactor),
        Value::String(url) if is_address(name, key) => Value::String(redactor.text(&address(url))),
        _ => Value::String(HIDDEN.into()),
    }
}

/// Without tables: no key that is shown holds one.
fn plain(value: &Value, redactor: &Redactor) -> Value {
    match value {
        Value::String(text) => Value::String(redactor.text(text)),
        Value::Array(all) => Value::Array(all.iter().map(|one| plain(one, redactor)).collect()),
        Value::Table(_) => Value::String(HIDDEN.into()),
        other => other.clone(),
    }
}

fn keys(name: &str) -> impl Iterator<Item = &'static str> + use<'_> {
    let all = SHOWN.iter().chain(&MORE).filter(move |(section, _)| *section == name);
    all.flat_map(|(_, keys)| keys.iter().copied())
}

fn is_section(path: &str) -> bool {
    SHOWN.iter().chain(&MORE).any(|(section, _)| *section == path)
}

fn is_shown(name: &str, key: &str) -> bool {
    keys(name).any(|own| own == key)
}

fn is_address(name: &str, key: &str) -> bool {
    ADDRESSES.contains(&(name, key))
}

fn is_of_gateways(name: &str, key: &str) -> bool {
    GATEWAYS.contains(&(name, key))
}

/// Only what is an EUI and an address, as they are written everywhere else.
fn gateways(table: &Table) -> Table {
    let pairs = table.iter().map(|(key, value)| {
        let eui = Eui::parse(key).map_or_else(|| "unknown".to_owned(), |eui| eui.to_string());
        let address = value.as_str().and_then(|text| text.parse::<IpAddr>().ok());
        (eui, Value::String(address.map_or_else(|| HIDDEN.into(), |address| address.to_string())))
    });
    pairs.collect()
}

/// Known, and never shown: people, or what a broker knows the hub by.
fn is_hidden(name: &str, key: &str) -> bool {
    matches!(
        (name, key),
        ("mqtt" | "notify.mqtt", "username" | "client_id") | ("notify.smtp", "from" | "username")
    )
}

/// `https://host:port`.
fn address(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return HIDDEN.into() };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // What stands before an @ is a user and a password.
    let host = host.rsplit('@').next().unwrap_or_default();
    let is_scheme = scheme.bytes().all(|byte| byte.is_ascii_lowercase());
    if is_scheme { format!("{scheme}://{host}") } else { HIDDEN.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn every_key_of_the_example_is_decided() {
        let example = Config::example();
        let lines = example.lines().map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with(' ') => setting,
            _ => line,
        });
        let table: Table = lines.collect::<Vec<_>>().join("\n").parse().unwrap();
        let clean = shown(&toml::to_string(&table).unwrap(), &Redactor::default());
        assert!(
            !clean.contains("unknown"),
            "decide about new keys in SHOWN, ADDRESSES or is_hidden:\n{clean}"
        );
        for hidden in ["alarm@kitchen.example", "username = \"frostguard\"", "frostguard-kitchen-1"] {
            assert!(!clean.contains(hidden), "{hidden}:\n{clean}");
        }
        for kept in [
            "/dev/serial/by-id/usb-example",
            "EU868",
            "B827EBFFFE010203 = \"192.168.7.2\"",
            "https://hooks.example\"",
            "confirm_delay_min = 10",
        ] {
            assert!(clean.contains(kept), "{kept}:\n{clean}");
        }
    }

    #[test]
    fn what_is_in_the_wrong_place_is_hidden() {
        let redactor = Redactor::new(["s3cret-value".to_owned()]);
        for text in [
            "[hub]\npassword = 's3cret-value'",
            "[hub]\nname = 's3cret-value'",
            "'s3cret-value' = 1",
            "[mqtt.s3cret-value]\nx = 1",
            "[[mqtt]]\nurl = 'mqtt://user:s3cret-value@host/s3cret-value'",
            "[uplink]\nurl = 's3cret-value'",
            "[[notify.webhook]]\nurl = 'https://hooks.example/s3cret-value?x=s3cret-value'",
            "[store]\nwindow_ms = { a = 's3cret-value' }",
            "[hub]\nname = s3cret-value",
            "[lorawan]\ngateway_addresses = { B827EBFFFE010203 = 's3cret-value' }",
            "[lorawan.gateway_addresses]\ns3cret-value = '192.168.7.2'",
            "[lorawan]\ngateway_addresses = 's3cret-value'",
        ] {
            let clean = shown(text, &redactor);
            assert!(!clean.contains("s3cret"), "{text}\n{clean}");
        }
        assert!(shown("[hub]\nname = 'a'\nx = = 1", &redactor).contains("line 3"));
    }
}
