//! Home Assistant's MQTT discovery: a retained configuration for each entity, at
//! `<discovery prefix>/<component>/<node id>/<object id>/config`; an empty one takes the entity away. Ids are made of
//! UUIDs, so that entities keep their history whatever units and hub are called.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use uuid::Uuid;

use super::names::Names;
use super::picture::Picture;
use crate::domain::{Severity, UnitStatus};
use crate::notify::{Board, UnitNote};

/// A value that was not heard again for so long is none: the backstop for a hub that hangs while its connection lives.
/// Longer than the two missed check-ins after which the hub itself calls a sensor offline that sends once an hour.
const EXPIRE_AFTER_S: u32 = 3 * 3_600;

/// All that discovery goes by. It rarely changes, while readings do all the time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subjects {
    site: String,
    units: Vec<Subject>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Subject {
    id: Uuid,
    name: String,
    degrees: String,
    has_humidity: bool,
    has_door: bool,
}

impl Subjects {
    /// `humid`: units that have ever told a humidity, so that its entity does not come and go with each reading that has
    /// none.
    pub fn of(board: &Board, humid: &BTreeSet<Uuid>) -> Self {
        let subject = |unit: &UnitNote| Subject {
            id: unit.id,
            name: unit.name.clone(),
            degrees: degrees(unit),
            has_humidity: humid.contains(&unit.id),
            has_door: unit.is_door_open.is_some(),
        };
        Self { site: board.site.clone(), units: board.units.iter().map(subject).collect() }
    }
}

/// The configurations of all entities; none without discovery.
pub fn announce(names: &Names, subjects: &Subjects) -> Picture {
    let mut picture = Picture::new();
    let Some(prefix) = names.discovery() else { return picture };
    let origin = json!({"name": "FrostGuard hub", "sw_version": env!("CARGO_PKG_VERSION")});
    let mut add = |device: &Value, entity: Entity| {
        let Entity { component, object, mut config } = entity;
        let topic = format!("{prefix}/{component}/{}/{object}/config", names.hub());
        config["unique_id"] = format!("frostguard_{object}").into();
        config["device"] = device.clone();
        config["origin"] = origin.clone();
        config["qos"] = 1.into();
        picture.insert(topic, config.to_string());
    };
    let hub = hub_device(names, &subjects.site);
    for entity in hub_entities(names) {
        add(&hub, entity);
    }
    for unit in &subjects.units {
        let device = unit_device(names, &subjects.site, unit);
        for entity in unit_entities(names, unit) {
            add(&device, entity);
        }
    }
    picture
}

/// "°C" or "°F".
pub fn degrees(unit: &UnitNote) -> String {
    format!("°{}", unit.scale)
}

struct Entity {
    component: &'static str,
    /// Unique among all hubs.
    object: String,
    /// An object.
    config: Value,
}

fn entity(component: &'static str, object: String, config: Value) -> Entity {
    Entity { component, object, config }
}

fn hub_device(names: &Names, site: &str) -> Value {
    let name = if site.is_empty() { "FrostGuard".to_owned() } else { format!("FrostGuard {site}") };
    json!({
        "identifiers": [hub_identifier(names)],
        "name": name,
        "manufacturer": "FrostGuard",
        "model": "Hub",
        "sw_version": env!("CARGO_PKG_VERSION"),
    })
}

fn unit_device(names: &Names, site: &str, unit: &Subject) -> Value {
    let mut device = json!({
        "identifiers": [format!("frostguard_{}", unit.id.simple())],
        "name": unit.name,
        "manufacturer": "FrostGuard",
        "model": "Monitored unit",
        "via_device": hub_identifier(names),
    });
    if !site.is_empty() {
        device["suggested_area"] = site.into();
    }
    device
}

fn hub_identifier(names: &Names) -> String {
    format!("frostguard_{}", names.hub())
}

fn hub_entities(names: &Names) -> Vec<Entity> {
    let (kitchen, availability) = (names.kitchen(), names.availability());
    let object = |what: &str| format!("{}_{what}", names.hub());
    let levels: Vec<&str> =
        ["none"].into_iter().chain(Severity::ALL.iter().map(|severity| severity.as_str())).collect();
    vec![
        entity(
            "sensor",
            object("alert"),
            json!({
                "name": "Highest alert",
                "device_class": "enum",
                "options": levels,
                "state_topic": kitchen,
                "value_template": "{{ value_json.severity }}",
                "json_attributes_topic": kitchen,
                "availability_topic": availability,
            }),
        ),
        entity(
            "binary_sensor",
            object("calling"),
            json!({
                "name": "Calling",
                "device_class": "problem",
                "state_topic": kitchen,
                "value_template": "{{ 'OFF' if value_json.calling == 'none' else 'ON' }}",
                "availability_topic": availability,
            }),
        ),
        entity(
            "binary_sensor",
            object("storage"),
            json!({
                "name": "Storage",
                "device_class": "problem",
                "entity_category": "diagnostic",
                "state_topic": kitchen,
                "value_template": "{{ 'ON' if value_json.storage_failed else 'OFF' }}",
                "availability_topic": availability,
            }),
        ),
        entity(
            "event",
            object("message"),
            json!({
                "name": "Message",
                "event_types": ["call", "all_clear", "notice", "test"],
                "state_topic": names.event(),
                "availability_topic": availability,
            }),
        ),
    ]
}

fn unit_entities(names: &Names, unit: &Subject) -> Vec<Entity> {
    let topic = names.unit(unit.id);
    let object = |what: &str| format!("{}_{what}", unit.id.simple());
    // Of what the hub says about the unit.
    let hub = json!([{"topic": names.availability()}]);
    let statuses: Vec<&str> = UnitStatus::ALL.iter().map(|status| status.as_str()).collect();
    let measured = |name: &str, class: &str, degrees: &str| measured(names, &topic, [name, class, degrees]);
    let mut entities = vec![
        entity("sensor", object("temperature"), measured("Temperature", "temperature", &unit.degrees)),
        entity(
            "sensor",
            object("status"),
            json!({
                "name": "Status",
                "device_class": "enum",
                "options": statuses,
                "state_topic": topic,
                "value_template": "{{ value_json.status }}",
                "availability": hub,
            }),
        ),
        entity(
            "binary_sensor",
            object("problem"),
            json!({
                "name": "Alert",
                "device_class": "problem",
                "state_topic": topic,
                "value_template": "{{ 'ON' if value_json.problem else 'OFF' }}",
                "availability": hub,
            }),
        ),
        entity(
            "sensor",
            object("read_at"),
            json!({
                "name": "Last reading",
                "device_class": "timestamp",
                "entity_category": "diagnostic",
                "state_topic": topic,
                "value_template": "{{ value_json.read_at }}",
                "availability": hub,
            }),
        ),
    ];
    if unit.has_humidity {
        entities.push(entity("sensor", object("humidity"), measured("Humidity", "humidity", "%")));
    }
    if unit.has_door {
        entities.push(entity(
            "binary_sensor",
            object("door"),
            json!({
                "name": "Door",
                "device_class": "door",
                "payload_on": "open",
                "payload_off": "closed",
                "state_topic": topic,
                "value_template": "{{ value_json.door }}",
                "availability": hub,
            }),
        ));
    }
    entities
}

/// A value of the unit's sensor: gone while that is silent, rather than what it was.
fn measured(names: &Names, topic: &str, [name, class, unit_of_measurement]: [&str; 3]) -> Value {
    json!({
        "name": name,
        "device_class": class,
        "state_class": "measurement",
        "unit_of_measurement": unit_of_measurement,
        "state_topic": topic,
        "value_template": format!("{{{{ value_json.{class} }}}}"),
        "expire_after": EXPIRE_AFTER_S,
        "availability": [
            {"topic": names.availability()},
            {"topic": topic, "value_template": "{{ 'online' if value_json.fresh else 'offline' }}"},
        ],
        "availability_mode": "all",
    })
}

#[cfg(test)]
mod tests {
    use super::super::picture::tests::{names, unit};
    use super::*;

    fn announced(board: &Board, humid: &[Uuid]) -> Picture {
        announce(&names(), &Subjects::of(board, &humid.iter().copied().collect()))
    }

    #[track_caller]
    fn check(picture: &Picture, topic: &str, want: Value) {
        let config: Value = serde_json::from_str(&picture[topic]).unwrap();
        assert_eq!(config, want, "{topic}");
    }

    #[test]
    fn the_configurations_are_frozen() {
        let mut door = unit(2, "Fridge");
        (door.scale, door.is_door_open, door.humidity) = ("F".into(), Some(false), Some(40.0));
        let board = Board {
            site: "Bistro".into(),
            units: vec![unit(1, "Freezer"), door.clone()],
            ..Board::default()
        };
        let picture = announced(&board, &[door.id]);
        let origin = json!({"name": "FrostGuard hub", "sw_version": env!("CARGO_PKG_VERSION")});
        check(
            &picture,
            "homeassistant/sensor/kitchen-1/00000000000000000000000000000001_temperature/config",
            json!({
                "name": "Temperature",
                "device_class": "temperature",
                "state_class": "measurement",
                "unit_of_measurement": "°C",
                "state_topic": "frostguard/kitchen-1/units/00000000-0000-0000-0000-000000000001",
                "value_template": "{{ value_json.temperature }}",
                "expire_after": 10_800,
                "availability": [
                    {"topic": "frostguard/kitchen-1/availability"},
                    {
                        "topic": "frostguard/kitchen-1/units/00000000-0000-0000-0000-000000000001",
                        "value_template": "{{ 'online' if value_json.fresh else 'offline' }}"
                    }
                ],
                "availability_mode": "all",
                "unique_id": "frostguard_00000000000000000000000000000001_temperature",
                "device": {
                    "identifiers": ["frostguard_00000000000000000000000000000001"],
                    "name": "Freezer",
                    "manufacturer": "FrostGuard",
                    "model": "Monitored unit",
                    "suggested_area": "Bistro",
                    "via_device": "frostguard_kitchen-1"
                },
                "origin": origin,
                "qos": 1
            }),
        );
        check(
            &picture,
            "homeassistant/binary_sensor/kitchen-1/00000000000000000000000000000002_door/config",
            json!({
                "name": "Door",
                "device_class": "door",
                "payload_on": "open",
                "payload_off": "closed",
                "state_topic": "frostguard/kitchen-1/units/00000000-0000-0000-0000-000000000002",
                "value_template": "{{ value_json.door }}",
                "availability": [{"topic": "frostguard/kitchen-1/availability"}],
                "unique_id": "frostguard_00000000000000000000000000000002_door",
                "device": {
                    "identifiers": ["frostguard_00000000000000000000000000000002"],
                    "name": "Fridge",
                    "manufacturer": "FrostGuard",
                    "model": "Monitored unit",
                    "suggested_area": "Bistro",
                    "via_device": "frostguard_kitchen-1"
                },
                "origin": origin,
                "qos": 1
            }),
        );
        check(
            &picture,
            "homeassistant/sensor/kitchen-1/kitchen-1_alert/config",
            json!({
                "name": "Highest alert",
                "device_class": "enum",
                "options": ["none", "info", "warning", "critical"],
                "state_topic": "frostguard/kitchen-1/kitchen",
                "value_template": "{{ value_json.severity }}",
                "json_attributes_topic": "frostguard/kitchen-1/kitchen",
                "availability_topic": "frostguard/kitchen-1/availability",
                "unique_id": "frostguard_kitchen-1_alert",
                "device": {
                    "identifiers": ["frostguard_kitchen-1"],
                    "name": "FrostGuard Bistro",
                    "manufacturer": "FrostGuard",
                    "model": "Hub",
                    "sw_version": env!("CARGO_PKG_VERSION")
                },
                "origin": origin,
                "qos": 1
            }),
        );
        let topics: Vec<&str> = picture
            .keys()
            .map(|topic| topic.trim_start_matches("homeassistant/").trim_end_matches("/config"))
            .collect();
        assert_eq!(
            topics,
            [
                "binary_sensor/kitchen-1/00000000000000000000000000000001_problem",
                "binary_sensor/kitchen-1/00000000000000000000000000000002_door",
                "binary_sensor/kitchen-1/00000000000000000000000000000002_problem",
                "binary_sensor/kitchen-1/kitchen-1_calling",
                "binary_sensor/kitchen-1/kitchen-1_storage",
                "event/kitchen-1/kitchen-1_message",
                "sensor/kitchen-1/00000000000000000000000000000001_read_at",
                "sensor/kitchen-1/00000000000000000000000000000001_status",
                "sensor/kitchen-1/00000000000000000000000000000001_temperature",
                "sensor/kitchen-1/00000000000000000000000000000002_humidity",
                "sensor/kitchen-1/00000000000000000000000000000002_read_at",
                "sensor/kitchen-1/00000000000000000000000000000002_status",
                "sensor/kitchen-1/00000000000000000000000000000002_temperature",
                "sensor/kitchen-1/kitchen-1_alert",
            ]
        );
    }
}
