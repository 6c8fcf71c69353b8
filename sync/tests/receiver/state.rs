//! Lane 0: what a hub owns is written, what it does not own is refused, by row and by column.

use frostguard_sync::api::{ConfigAnswer, Down, PATH_CONFIG};
use frostguard_sync::receiver::retry::{self, Retried};
use frostguard_sync::wire::{RowImage, Value};
use uuid::Uuid;

use crate::support::connect;
use crate::world::{Hub, MINUTE, NOW, Receiver, Site, World, alert, answer, http, id, image, text};

fn device(number: u8, columns: &[(&str, Value)]) -> RowImage {
    let mut all =
        vec![("device_eui", text(&format!("A84041000000{number:04X}"))), ("status", text("active"))];
    all.extend_from_slice(columns);
    image("devices", id(number), &all)
}

async fn refused(receiver: &Receiver, hub: &Hub, seq: u64, rows: Vec<RowImage>) -> Vec<String> {
    let answer = receiver.send(hub, &hub.state(seq, rows)).await.unwrap();
    answer.refused.iter().map(|row| format!("{} {}: {}", row.table, row.key, row.reason)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_a_hub_writes_is_written_and_repeats_change_nothing() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    let hub = world.hub(&receiver, world.ours).await;
    let Site { organization, fridge, profile, rule, .. } = hub.site;
    let of = |unit: Uuid| ("unit_id", Value::Uuid(unit));
    let rows = vec![
        alert(1, fridge),
        image(
            "notification_deliveries",
            id(2),
            &[
                ("alert_id", Value::Uuid(id(1))),
                ("channel", text("sms")),
                ("recipient", text("+4915112345678")),
            ],
        ),
        image(
            "manual_temperature_logs",
            id(3),
            &[
                of(fridge),
                ("temperature", Value::Hundredths(412)),
                ("profile_id", Value::Uuid(profile)),
                ("recorded_at", Value::Millis(NOW)),
            ],
        ),
        image(
            "corrective_actions",
            id(4),
            &[("alert_id", Value::Uuid(id(1))), of(fridge), ("description", text("closed the door"))],
        ),
        device(5, &[of(fridge), ("battery", Value::Int(80))]),
        image(
            "lora_sensors",
            id(6),
            &[
                ("device_id", Value::Uuid(id(5))),
                ("app_eui", text("70B3D57ED0000001")),
                ("dev_eui", text("A840410000000005")),
            ],
        ),
        image("units", fridge, &[("status", text("excursion")), ("last_temperature", Value::Int(412))]),
        image("hubs", hub.id, &[("mac_address", text("B8:27:EB:00:00:01"))]),
        image(
            "calibration_records",
            id(7),
            &[
                ("device_id", Value::Uuid(id(5))),
                ("calibrated_at", Value::Millis(NOW)),
                ("temperature_offset", Value::Int(-20)),
            ],
        ),
        image(
            "pairing_sessions",
            id(8),
            &[("device_id", Value::Uuid(id(5))), ("expires_at", Value::Millis(NOW))],
        ),
        image("pairing_sessions", id(9), &[("expires_at", Value::Millis(NOW))]),
        image(
            "door_events",
            id(10),
            &[of(fridge), ("state", text("open")), ("timestamp", Value::Millis(NOW))],
        ),
        image(
            "alert_rules_history",
            id(11),
            &[("alert_rule_id", Value::Uuid(rule)), ("change_type", text("updated"))],
        ),
        audit(12, organization, "aa"),
    ];
    for seq in [1, 2] {
        assert_eq!(refused(&receiver, &hub, seq, rows.clone()).await, [""; 0], "batch {seq}");
        for (table, want) in [
            ("alerts", 1),
            ("notification_deliveries", 1),
            ("manual_temperature_logs", 1),
            ("corrective_actions", 1),
            ("devices", 1),
            ("lora_sensors", 1),
            ("calibration_records", 1),
            ("pairing_sessions", 2),
            ("door_events", 1),
            ("alert_rules_history", 1),
            ("event_logs", 1),
            ("hub_sync.open_alerts", 1),
        ] {
            assert_eq!(world.count(table).await, want, "{table} after batch {seq}");
        }
    }
    for (sql, want) in [
        (
            format!("SELECT concat_ws(' ', status, last_temperature) FROM units WHERE id = '{fridge}'"),
            "excursion 412",
        ),
        (format!("SELECT mac_address FROM hubs WHERE id = '{}'", hub.id), "B8:27:EB:00:00:01"),
        ("SELECT temperature::text FROM manual_temperature_logs".into(), "4.12"),
        (format!("SELECT (hub_id = '{}')::text FROM devices", hub.id), "true"),
    ] {
        assert_eq!(world.text(&sql).await.as_deref(), Some(want), "{sql}");
    }
    // Images are of what is sent: the battery alone, then a device moved on the hub that paired it.
    let freezer = hub.site.freezer;
    let moved = image("devices", id(5), &[("battery", Value::Int(79)), of(freezer)]);
    assert_eq!(refused(&receiver, &hub, 3, vec![moved]).await, [""; 0]);
    let sql = format!("SELECT concat_ws(' ', battery, unit_id = '{freezer}', status) FROM devices");
    assert_eq!(world.text(&sql).await.as_deref(), Some("79 t active"));
}

fn audit(number: u8, organization: Uuid, hash: &str) -> RowImage {
    image(
        "event_logs",
        id(number),
        &[
            ("organization_id", Value::Uuid(organization)),
            ("actor_type", text("system")),
            ("event_type", text("start")),
            ("entity_type", text("hub")),
            ("hash", text(&hash.repeat(32))),
        ],
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_the_row_that_comes_nor_the_row_that_is_there_may_be_anothers() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    let hub = world.hub(&receiver, world.ours).await;
    // What others have: a hub next door and one of another organization, each with an alert, a device, audit.
    for (number, site) in [(20, world.next_door), (40, world.theirs)] {
        let other = world.hub(&receiver, site).await;
        let rows = vec![
            alert(number, site.fridge),
            device(number + 1, &[("unit_id", Value::Uuid(site.fridge))]),
            audit(number + 2, site.organization, "bb"),
            image("pairing_sessions", id(number + 3), &[("expires_at", Value::Millis(NOW))]),
            image("hubs", other.id, &[("firmware_version", text("1"))]),
        ];
        assert_eq!(refused(&receiver, &other, 1, rows).await, [""; 0]);
    }
    let before = fingerprint(&world).await;
    let mut attacks = Vec::new();
    for (number, site) in [(20, world.next_door), (40, world.theirs)] {
        let other: Uuid = {
            let sql = format!("SELECT hub_id FROM hub_sync.hubs WHERE site_id = '{}'", site.site);
            world.sql.query_one(&sql, &[]).await.unwrap().get(0)
        };
        attacks.extend([
            // New rows that lead into the other site.
            alert(60, site.fridge),
            device(61, &[("unit_id", Value::Uuid(site.fridge))]),
            device(62, &[("hub_id", Value::Uuid(other))]),
            image(
                "door_events",
                id(63),
                &[
                    ("unit_id", Value::Uuid(site.fridge)),
                    ("state", text("open")),
                    ("timestamp", Value::Millis(NOW)),
                ],
            ),
            image(
                "corrective_actions",
                id(64),
                &[
                    ("alert_id", Value::Uuid(id(number))),
                    ("unit_id", Value::Uuid(hub.site.fridge)),
                    ("description", text("x")),
                ],
            ),
            image(
                "calibration_records",
                id(65),
                &[("device_id", Value::Uuid(id(number + 1))), ("calibrated_at", Value::Millis(NOW))],
            ),
            // Rows that are there, claimed by naming one's own site.
            image(
                "alerts",
                id(number),
                &[("unit_id", Value::Uuid(hub.site.fridge)), ("status", text("resolved"))],
            ),
            image("alerts", id(number), &[("resolved_at", Value::Millis(NOW))]),
            image(
                "devices",
                id(number + 1),
                &[("unit_id", Value::Uuid(hub.site.fridge)), ("battery", Value::Int(1))],
            ),
            image("units", site.fridge, &[("status", text("ok")), ("last_temperature", Value::Int(1))]),
            image("hubs", other, &[("firmware_version", text("666"))]),
            audit(number + 2, hub.site.organization, "cc"),
            image("pairing_sessions", id(number + 3), &[("status", text("completed"))]),
        ]);
    }
    attacks.push(audit(66, world.theirs.organization, "dd"));
    attacks.push(image(
        "alert_rules_history",
        id(67),
        &[("alert_rule_id", Value::Uuid(world.theirs.rule)), ("change_type", text("deleted"))],
    ));
    let count = attacks.len();
    let lines = refused(&receiver, &hub, 1, attacks).await;
    assert_eq!(lines.len(), count, "{lines:#?}");
    assert_eq!(fingerprint(&world).await, before);
    assert_eq!(world.count("hub_sync.security_events WHERE kind = 'foreign_row'").await, 1);
    let metrics = receiver.text("/metrics").await;
    assert!(metrics.contains(&format!("frostguard_foreign_rows_total {count}\n")), "{metrics}");

    // A device of one's own is not carried into another site either.
    let own = device(68, &[("unit_id", Value::Uuid(hub.site.fridge))]);
    let away = image("devices", id(68), &[("unit_id", Value::Uuid(world.theirs.fridge))]);
    let kept = refused(&receiver, &hub, 2, vec![own, away]).await;
    assert_eq!(kept.len(), 1, "{kept:?}");
}

/// Everything of the tables attacked, as one text.
async fn fingerprint(world: &World) -> String {
    let mut all = String::new();
    for table in [
        "alerts",
        "devices",
        "units",
        "hubs",
        "event_logs",
        "pairing_sessions",
        "door_events",
        "corrective_actions",
        "calibration_records",
        "alert_rules_history",
        "hub_sync.open_alerts",
    ] {
        let sql = format!(
            "SELECT coalesce(string_agg((to_jsonb(t) - 'last_seen_at' - 'updated_at' - 'is_online')::text, ',' \
             ORDER BY t::text), '') FROM {table} t"
        );
        all += &world.text(&sql).await.unwrap();
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn an_eui_that_is_taken_is_said_to_be_so_and_whose() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    let hub = world.hub(&receiver, world.ours).await;
    let sites =
        [(1, world.ours, "of this site"), (2, world.next_door, "another site"), (3, world.theirs, "release")];
    for (number, site, _) in sites {
        let sql = format!(
            "INSERT INTO devices (id, unit_id, device_eui) VALUES ('{device}', '{unit}', 'A84041000000000{number}');
             INSERT INTO lora_sensors (id, device_id, app_eui, dev_eui) VALUES
             ('{sensor}', '{device}', 'A0A0A0A0A0A0A0A0', 'A84041000000000{number}')",
            device = id(number),
            unit = site.fridge,
            sensor = id(10 + number),
        );
        world.sql.batch_execute(&sql).await.unwrap();
    }
    world.sql.batch_execute("INSERT INTO devices (device_eui) VALUES ('A840410000000004')").await.unwrap();
    let sites = sites.map(|(number, _, what)| (number, what));
    for (number, what) in sites.into_iter().chain([(4, "in no unit")]) {
        let own = id(20 + number);
        let mut rows = vec![image(
            "devices",
            own,
            &[
                ("unit_id", Value::Uuid(hub.site.fridge)),
                ("device_eui", text(&format!("A84041000000000{number}"))),
            ],
        )];
        // The device under an EUI of its own, its sensor under the taken one.
        if number < 4 {
            rows.push(image(
                "devices",
                id(40 + number),
                &[
                    ("unit_id", Value::Uuid(hub.site.fridge)),
                    ("device_eui", text(&format!("A84041000000010{number}"))),
                ],
            ));
            rows.push(image(
                "lora_sensors",
                id(30 + number),
                &[
                    ("device_id", Value::Uuid(id(40 + number))),
                    ("app_eui", text("A0A0A0A0A0A0A0A0")),
                    ("dev_eui", text(&format!("A84041000000000{number}"))),
                ],
            ));
        }
        let count = rows.len();
        let lines = refused(&receiver, &hub, number.into(), rows).await;
        assert_eq!(lines.len(), if count > 1 { 2 } else { 1 }, "{lines:#?}");
        for line in lines {
            assert!(line.contains("EUI is another device's") && line.contains(what), "{line}");
        }
    }
    // Who takes another organization's device is looked at; what goes wrong at home is not.
    let events = "hub_sync.security_events WHERE kind = 'foreign_row'";
    assert_eq!(world.count(events).await, 1);
    let sql = format!("SELECT detail FROM {events}");
    assert!(world.text(&sql).await.unwrap().contains("another organization"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_hub_does_not_own_is_reported_never_dropped_in_silence() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    let hub = world.hub(&receiver, world.ours).await;
    let fridge = hub.site.fridge;
    let sql = format!(
        "INSERT INTO devices (id, unit_id, device_eui, name) VALUES ('{}', '{fridge}', 'A840410000000004', 'theirs')",
        id(4)
    );
    world.sql.batch_execute(&sql).await.unwrap();
    let rows = vec![
        image("units", fridge, &[("temp_max", Value::Int(250)), ("status", text("offline"))]),
        image("organizations", hub.site.organization, &[("name", text("mine now"))]),
        image("sensor_readings", id(1), &[("temperature", Value::Hundredths(1))]),
        image("alerts", id(2), &[("unit_id", Value::Uuid(fridge)), ("severity", Value::Int(3))]),
        alert(3, fridge),
        image("devices", id(4), &[("battery", Value::Int(50)), ("name", text("renamed"))]),
        image(
            "devices",
            id(5),
            &[("unit_id", Value::Uuid(fridge)), ("device_eui", text("A840410000000004"))],
        ),
        image("units", id(6), &[("status", text("ok"))]),
    ];
    let refused = refused(&receiver, &hub, 1, rows).await;
    let has =
        |table: &str, what: &str| refused.iter().any(|line| line.starts_with(table) && line.contains(what));
    for (table, what) in [
        ("units", "column temp_max"),
        ("organizations", "not a table a hub writes"),
        ("sensor_readings", "not a table a hub writes"),
        ("alerts", "column severity: has the wrong type"),
        ("devices", "column name is fixed"),
        ("devices", "EUI is another device's"),
        ("units", "no such row"),
    ] {
        assert!(has(table, what), "{table} {what}: {refused:#?}");
    }
    assert_eq!(refused.len(), 7);
    let sql = format!("SELECT concat_ws(' ', temp_max, status) FROM units WHERE id = '{fridge}'");
    assert_eq!(world.text(&sql).await.as_deref(), Some("50 offline"), "the rest of the row was written");
    assert_eq!(world.count(&format!("alerts WHERE id = '{}'", id(3))).await, 1, "the good row was written");
    let sql = "SELECT concat_ws(' ', name, battery) FROM devices";
    assert_eq!(world.text(sql).await.as_deref(), Some("theirs 50"));

    // Whole rows are kept. A later image of one supersedes it: trying the old one again would undo the new.
    assert_eq!(world.count("hub_sync.dead_letters").await, 5);
    receiver.send(&hub, &hub.state(2, vec![alert(2, fridge)])).await.unwrap();
    let mut client = connect(&world.url).await;
    let retried = retry::retry(&mut client, None, NOW).await.unwrap();
    assert_eq!(retried, Retried { written: 0, superseded: 1, refused: 4, left: 0 });
    world.sql.batch_execute("DELETE FROM devices").await.unwrap();
    let retried = retry::retry(&mut client, None, NOW).await.unwrap();
    assert_eq!(retried, Retried { written: 1, superseded: 0, refused: 3, left: 0 });
    assert_eq!(world.count("devices").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_that_is_gone_does_not_cost_the_row() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    let hub = world.hub(&receiver, world.ours).await;
    let mut row = alert(1, hub.site.fridge);
    row.columns.push(("acknowledged_at".into(), Value::Millis(NOW)));
    row.columns.push(("acknowledged_by".into(), Value::Uuid(world.theirs.profile)));
    row.columns.push(("alert_rule_id".into(), Value::Uuid(id(99))));
    assert_eq!(refused(&receiver, &hub, 1, vec![row]).await, [""; 0]);
    let sql = "SELECT concat_ws(' ', status, acknowledged_by IS NULL, alert_rule_id IS NULL) FROM alerts";
    assert_eq!(world.text(sql).await.as_deref(), Some("acknowledged t t"));
}

async fn poll(receiver: &Receiver, hub: &Hub) -> Down {
    let url = format!("{}{PATH_CONFIG}", receiver.base);
    let answer: ConfigAnswer = answer(http().get(url).bearer_auth(&hub.token)).await.unwrap();
    answer.down
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledge_and_resolve_come_from_either_side() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    let hub = world.hub(&receiver, world.ours).await;
    let profile = hub.site.profile;
    let said = |columns: &[(&str, Value)]| image("alerts", id(1), columns);
    assert_eq!(refused(&receiver, &hub, 1, vec![alert(1, hub.site.fridge)]).await, [""; 0]);
    assert!(poll(&receiver, &hub).await.alerts.is_empty());

    // Central acknowledges: it goes down until the hub says the same.
    let at = |minutes: i64| format!("to_timestamp({} / 1000.0)", NOW + minutes * MINUTE);
    let sql = format!(
        "UPDATE alerts SET status = 'acknowledged', acknowledged_at = {}, acknowledged_by = '{profile}'",
        at(2)
    );
    world.sql.batch_execute(&sql).await.unwrap();
    let down = poll(&receiver, &hub).await.alerts;
    assert_eq!(
        down,
        [said(&[
            ("acknowledged_at", Value::Millis(NOW + 2 * MINUTE)),
            ("acknowledged_by", Value::Uuid(profile)),
            ("resolved_at", Value::Null),
            ("resolved_by", Value::Null),
        ])]
    );
    // An image that does not know of it yet does not undo it.
    let stale = said(&[
        ("acknowledged_at", Value::Null),
        ("acknowledged_by", Value::Null),
        ("status", text("active")),
    ]);
    let answer = receiver.send(&hub, &hub.state(2, vec![stale])).await.unwrap();
    assert_eq!(answer.down.alerts.len(), 1, "it rides on uploads, too");
    let show = "SELECT concat_ws(' ', status, extract(epoch FROM acknowledged_at)::bigint * 1000, acknowledged_by) FROM alerts";
    assert_eq!(world.text(show).await, Some(format!("acknowledged {} {profile}", NOW + 2 * MINUTE)));
    // A person at the hub was earlier: the earlier time wins, and there is nothing to say any more.
    let earlier = said(&[("acknowledged_at", Value::Millis(NOW + MINUTE)), ("status", text("acknowledged"))]);
    receiver.send(&hub, &hub.state(3, vec![earlier])).await.unwrap();
    assert_eq!(world.text(show).await, Some(format!("acknowledged {}", NOW + MINUTE)));
    assert!(poll(&receiver, &hub).await.alerts.is_empty());
    // It rises: what was acknowledged before counts on neither side.
    let risen = said(&[
        ("escalated_at", Value::Millis(NOW + 3 * MINUTE)),
        ("acknowledged_at", Value::Null),
        ("severity", text("critical")),
        ("escalation_level", Value::Int(1)),
        ("status", text("active")),
    ]);
    receiver.send(&hub, &hub.state(4, vec![risen])).await.unwrap();
    assert_eq!(world.text(show).await.as_deref(), Some("active"));
    // Central resolves; the hub says so in the end, and it is told no more.
    world
        .sql
        .batch_execute(&format!("UPDATE alerts SET status = 'resolved', resolved_at = {}", at(5)))
        .await
        .unwrap();
    assert_eq!(poll(&receiver, &hub).await.alerts.len(), 1);
    let resolved = said(&[("resolved_at", Value::Millis(NOW + 5 * MINUTE)), ("status", text("resolved"))]);
    receiver.send(&hub, &hub.state(5, vec![resolved])).await.unwrap();
    assert!(poll(&receiver, &hub).await.alerts.is_empty());
    assert_eq!(world.count("hub_sync.open_alerts").await, 0);
}
