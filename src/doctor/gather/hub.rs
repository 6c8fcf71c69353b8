use std::collections::BTreeMap;

use serde_json::Value;

use super::super::facts::{Gateway, Hub, Modem, Power, Running, Sensor};
use super::ask;
use crate::config::Config;
use crate::control::Request;

pub async fn look(config: &Config) -> Hub {
    let status = match ask(config, &Request::Status).await {
        Ok(Some(status)) => status,
        Ok(None) => return Hub::Stopped,
        Err(error) => return Hub::Mute(format!("{error:#}")),
    };
    let devices = match ask(config, &Request::DevicesList).await {
        Ok(devices) => devices.unwrap_or_default(),
        Err(error) => return Hub::Mute(format!("{error:#}")),
    };
    // An error: it is no network server.
    let gateways = match &config.lorawan {
        Some(_) => ask(config, &Request::GatewaysList).await.ok().flatten(),
        None => None,
    };
    let mut running = running(&status, &devices, gateways.as_ref());
    running.sections = sections(config);
    Hub::Running(Box::new(running))
}

/// Ports and brokers have lines of their own.
fn sections(config: &Config) -> BTreeMap<String, &'static str> {
    let lorawan = config.lorawan.iter().map(|section| (&section.name, "[lorawan]"));
    let stations = config.lorawan.iter().filter_map(|section| section.stations.as_ref());
    let stations = stations.map(|section| (&section.name, "[lorawan.stations]"));
    let onewire = config.onewire.iter().map(|section| (&section.name, "[onewire]"));
    let current = config.current.iter().map(|section| (&section.name, "[[current]]"));
    let ble = config.ble.iter().map(|section| (&section.name, "[ble]"));
    let all = lorawan.chain(stations).chain(onewire).chain(current).chain(ble);
    all.map(|(name, section)| (name.clone(), section)).collect()
}

fn running(status: &Value, devices: &Value, gateways: Option<&Value>) -> Running {
    let down = |state: &str| (state != "up").then(|| state.trim_start_matches("down: ").to_owned());
    let dead = |state: &str| (state != "works").then(|| state.trim_start_matches("dead: ").to_owned());
    let sources = status["sources"].as_object().into_iter().flatten();
    let people = &status["people"];
    let lines = people["lines"].as_object().into_iter().flatten();
    let count = |name: &str| people[name].as_u64().unwrap_or_default();
    let wall_ms = status["clock"]["unix_ms"].as_i64().unwrap_or_default();
    Running {
        pid: status["hub"]["pid"].as_u64().unwrap_or_default() as u32,
        version: text(&status["hub"]["version"]),
        storage: text(&status["hub"]["storage"]),
        clock_trusted: status["clock"]["trusted"] == true,
        clock_quality: text(&status["clock"]["quality"]),
        sections: BTreeMap::new(),
        sources: sources.map(|(name, state)| (name.clone(), down(&text(state)))).collect(),
        is_onewire_slow: status["counters"]
            .as_object()
            .is_some_and(|counters| counters.keys().any(|name| name.starts_with("onewire.bulk_refused"))),
        sensors: rows(&devices["devices"]).filter(|row| row["state"].is_string()).map(sensor).collect(),
        gateways: gateways.map(|value| rows(&value["gateways"]).map(|row| gateway(row, wall_ms)).collect()),
        uplink_problem: status["sync"]["uplink"]["problem"].as_str().map(str::to_owned),
        power: power(&text(&status["power"]["supply"])),
        modem: modem(&people["modem"]),
        last_call_failure: people["last_failure"].as_str().map(str::to_owned),
        channels: text(&people["channels"]),
        contacts: count("contacts"),
        with_phone: count("with_phone"),
        with_email: count("with_email"),
        lines: lines.map(|(name, state)| (name.clone(), dead(&text(state)))).collect(),
    }
}

fn sensor(row: &Value) -> Sensor {
    let name = row["name"].as_str().or(row["eui"].as_str()).unwrap_or("?");
    Sensor {
        name: name.to_owned(),
        state: text(&row["state"]),
        source: text(&row["source"]),
        port: text(&row["port"]),
        seen_age_s: row["seen_age_s"].as_i64(),
        astray: row["astray"].as_object().map(|astray| (text(&astray["found"]), text(&astray["todo"]))),
        battery: row["battery_percent"].as_i64(),
        rssi: row["signal_dbm"].as_i64(),
    }
}

fn gateway(row: &Value, wall_ms: i64) -> Gateway {
    Gateway {
        name: text(if row["name"].is_string() { &row["name"] } else { &row["eui"] }),
        heard_age_s: row["last_contact_ms"].as_i64().map(|at| (wall_ms - at) / 1_000),
    }
}

fn power(supply: &str) -> Power {
    match supply.strip_prefix("unknown: ") {
        Some(why) => Power::Unknown(why.to_owned()),
        None if supply == "mains" => Power::Mains,
        None if supply.starts_with("BATTERY") => Power::Battery(supply.to_owned()),
        None => Power::NotWatched,
    }
}

fn modem(value: &Value) -> Option<Modem> {
    value.as_object().map(|_| Modem {
        is_ready: value["is_ready"] == true,
        operator: value["operator"].as_str().map(str::to_owned),
        signal_dbm: value["signal_dbm"].as_i64(),
        problem: value["problem"].as_str().map(str::to_owned),
    })
}

fn rows(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_source_without_a_port_or_broker_has_its_section() {
        let text = "[[serial]]\nname = 'radio'\npath = '/dev/ttyUSB0'\npreset = 'json'\n[onewire]\n\
                    [lorawan]\nregion = 'EU868'\n[ble]\n";
        let config = Config::parse(text).unwrap();
        let names = |section: &str| {
            let all = sections(&config);
            all.into_iter().filter(|(_, own)| *own == section).map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(names("[lorawan]"), [config.lorawan.as_ref().unwrap().name.as_str()]);
        assert_eq!(names("[onewire]"), [config.onewire.as_ref().unwrap().name.as_str()]);
        assert_eq!(names("[ble]"), [config.ble.as_ref().unwrap().name.as_str()]);
        assert!(!sections(&config).contains_key("radio"));
    }

    #[test]
    fn takes_from_the_answers_what_it_judges() {
        let status = json!({
            "hub": { "pid": 7, "version": "1", "storage": "ok" },
            "clock": { "trusted": true, "quality": "ntp", "unix_ms": 60_000 },
            "counters": { "onewire.bulk_refused{onewire}": 3 },
            "sources": { "radio": "up", "broker": "down: refused" },
            "people": { "channels": "sms", "contacts": 2, "with_phone": 2, "with_email": 1, "last_failure": null,
                        "lines": { "button": "works", "signal buzzer": "dead: take line 4" },
                        "modem": { "is_ready": true, "signal_dbm": -71 } },
            "power": { "supply": "unknown: it was not read yet" },
            "sync": { "uplink": { "problem": "reach the receiver" } },
        });
        let devices = json!({ "devices": [
            { "name": null, "eui": "A1", "state": "silent", "port": "radio", "seen_age_s": 9,
              "astray": { "found": "is heard", "todo": "assign it" } },
            { "name": "gone", "state": null },
        ] });
        let gateways = json!({ "gateways": [{ "eui": "B1", "name": null, "last_contact_ms": 30_000 }] });
        let found = running(&status, &devices, Some(&gateways));
        assert_eq!((found.pid, found.clock_trusted, found.contacts), (7, true, 2));
        assert!(found.is_onewire_slow);
        assert_eq!(
            found.sources,
            [("broker".to_owned(), Some("refused".to_owned())), ("radio".to_owned(), None)]
        );
        assert_eq!((found.sensors.len(), found.sensors[0].name.as_str()), (1, "A1"));
        assert_eq!(found.sensors[0].astray, Some(("is heard".into(), "assign it".into())));
        assert_eq!(found.gateways.map(|all| all[0].heard_age_s), Some(Some(30)));
        assert_eq!(found.modem.and_then(|modem| modem.signal_dbm), Some(-71));
        assert_eq!(found.power, Power::Unknown("it was not read yet".into()));
        for (supply, want) in [
            ("mains", Power::Mains),
            ("not watched", Power::NotWatched),
            ("BATTERY since 2030", Power::Battery("BATTERY since 2030".into())),
            ("", Power::NotWatched),
        ] {
            assert_eq!(power(supply), want, "{supply}");
        }
        assert_eq!((found.with_phone, found.with_email), (2, 1));
        let dead = ("signal buzzer".to_owned(), Some("take line 4".to_owned()));
        assert_eq!(found.lines, [("button".to_owned(), None), dead]);
        assert_eq!(found.uplink_problem.as_deref(), Some("reach the receiver"));
    }
}
