//! Configuration down, entries from central, presence, metrics, readiness.

use frostguard_sync::api::{ConfigAnswer, PATH_CONFIG, PATH_CONFIG_REFUSED, RefusedSnapshot, Snapshot};
use frostguard_sync::receiver::admin;
use frostguard_sync::wire::{RowImage, Value};
use reqwest::StatusCode;
use reqwest::header::{ETAG, IF_NONE_MATCH};
use uuid::Uuid;

use crate::support::{connect, wait_for_async};
use crate::world::{Hub, MINUTE, NOW, Receiver, World, id, image, reading, text};

/// Status, ETag and body.
async fn get(
    receiver: &Receiver,
    hub: &Hub,
    etag: &str,
    cursor: &str,
) -> (StatusCode, String, Option<ConfigAnswer>) {
    let url = format!("{}{PATH_CONFIG}?cursor={cursor}", receiver.base);
    let request = crate::world::http().get(url).bearer_auth(&hub.token);
    let response = request.header(IF_NONE_MATCH, format!("\"{etag}\"")).send().await.unwrap();
    let status = response.status();
    let etag = response.headers()[ETAG].to_str().unwrap().trim_matches('"').to_owned();
    let body = response.bytes().await.unwrap();
    (status, etag, (status == StatusCode::OK).then(|| serde_json::from_slice(&body).unwrap()))
}

async fn snapshot(receiver: &Receiver, hub: &Hub) -> Snapshot {
    get(receiver, hub, "none", "").await.2.unwrap().snapshot.unwrap()
}

fn rows<'a>(snapshot: &'a Snapshot, table: &str) -> Vec<&'a RowImage> {
    snapshot.rows.iter().filter(|row| row.table == table).collect()
}

fn value(row: &RowImage, column: &str) -> Value {
    row.columns.iter().find(|(name, _)| name == column).unwrap().1.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_snapshot_holds_what_the_site_needs_and_nothing_of_others() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    let hub = world.hub(&receiver, world.ours).await;
    let (ours, theirs) = (world.ours, world.theirs);
    world
        .sql
        .batch_execute(&format!(
            "INSERT INTO devices (id, unit_id, device_eui) VALUES ('{d1}', '{u1}', 'A840410000000001'), ('{d2}', '{u2}', 'A840410000000002');
             INSERT INTO lora_sensors (id, device_id, app_eui, dev_eui, app_key) VALUES
               ('{d1}', '{d1}', '70B3D57ED0000001', 'A840410000000001', '000102030405060708090A0B0C0D0E0F'),
               ('{d2}', '{d2}', '70B3D57ED0000001', 'A840410000000002', 'secret');
             INSERT INTO calibration_records (id, device_id, calibrated_at) VALUES ('{d1}', '{d1}', now()), ('{d2}', '{d2}', now());
             INSERT INTO escalation_contacts (id, organization_id, name, phone) VALUES ('{d1}', '{o1}', 'chef', '+49'), ('{d2}', '{o2}', 'x', '+1');
             INSERT INTO user_roles (id, user_id, organization_id, role) VALUES ('{d1}', '{d1}', '{o1}', 'staff'), ('{d2}', '{d1}', '{o2}', 'owner');
             INSERT INTO alert_rules (id, organization_id, unit_id, name, temp_max) VALUES ('{d1}', '{o1}', '{u3}', 'next door', 5);
             INSERT INTO alert_rules (id, organization_id, name, temp_max) VALUES ('{d2}', '{o1}', 'everywhere', 7)",
            d1 = id(1), d2 = id(2), u1 = ours.fridge, u2 = theirs.fridge, u3 = world.next_door.fridge,
            o1 = ours.organization, o2 = theirs.organization,
        ))
        .await
        .unwrap();
    let snapshot = snapshot(&receiver, &hub).await;
    assert_eq!((snapshot.site_id, snapshot.confirm_removal), (ours.site, false));
    let ids = |table: &str| rows(&snapshot, table).iter().map(|row| row.id).collect::<Vec<Uuid>>();
    for (table, want) in [
        ("organizations", vec![ours.organization]),
        ("sites", vec![ours.site]),
        ("areas", vec![ours.area]),
        ("units", vec![ours.fridge, ours.freezer]),
        ("profiles", vec![ours.profile]),
        ("user_roles", vec![id(1)]),
        ("alert_rules", vec![ours.rule, id(2)]),
        ("escalation_contacts", vec![id(1)]),
        ("hubs", vec![hub.id]),
        ("devices", vec![id(1)]),
        ("lora_sensors", vec![id(1)]),
        ("calibration_records", vec![id(1)]),
    ] {
        assert_eq!(ids(table), want, "{table}");
    }
    assert_eq!(value(rows(&snapshot, "units")[0], "temp_max"), Value::Int(50));
    assert_eq!(value(rows(&snapshot, "alert_rules")[1], "temp_max"), Value::Int(7));
    assert_eq!(
        value(rows(&snapshot, "lora_sensors")[0], "app_key"),
        text("000102030405060708090A0B0C0D0E0F")
    );
    let order: Vec<_> = snapshot.rows.iter().map(|row| row.table.as_str()).collect();
    let first = |table: &str| order.iter().position(|name| *name == table).unwrap();
    assert!(first("areas") < first("units") && first("units") < first("devices"), "parents first");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_snapshot_is_not_sent_again() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    let hub = world.hub(&receiver, world.ours).await;
    let (_, etag, _) = get(&receiver, &hub, "none", "").await;
    assert_eq!(get(&receiver, &hub, &etag, "").await.0, StatusCode::NOT_MODIFIED);
    // What the hub itself uploads changes no snapshot.
    let rows = vec![
        image(
            "units",
            hub.site.fridge,
            &[("status", text("excursion")), ("last_temperature", Value::Int(900))],
        ),
        image("hubs", hub.id, &[("firmware_version", text("9"))]),
    ];
    let answer = receiver.send(&hub, &hub.state(1, rows)).await.unwrap();
    assert_eq!(answer.down.etag, etag);
    assert_eq!(get(&receiver, &hub, &etag, "").await.0, StatusCode::NOT_MODIFIED);
    // A change arrives with the next batch.
    world
        .sql
        .batch_execute(&format!("UPDATE units SET temp_max = 60 WHERE id = '{}'", hub.site.fridge))
        .await
        .unwrap();
    world.clock.advance(5_000);
    let answer = receiver.send(&hub, &hub.readings(1, vec![reading(1)])).await.unwrap();
    assert_ne!(answer.down.etag, etag);
    let (status, changed, body) = get(&receiver, &hub, &etag, "").await;
    assert_eq!((status, &changed), (StatusCode::OK, &answer.down.etag));
    assert_eq!(body.unwrap().snapshot.unwrap().etag, changed);

    // A person confirms this configuration, and only this one.
    let mut client = connect(&world.url).await;
    admin::confirm_removal(&mut client, hub.id).await.unwrap();
    assert!(snapshot(&receiver, &hub).await.confirm_removal);
    world.sql.batch_execute("UPDATE units SET is_active = false").await.unwrap();
    assert!(!snapshot(&receiver, &hub).await.confirm_removal);

    // The hub says that it did not take one.
    let refused = RefusedSnapshot { etag: changed, reason: "more than a third of the units are gone".into() };
    let url = format!("{}{PATH_CONFIG_REFUSED}", receiver.base);
    let request =
        crate::world::http().post(url).bearer_auth(&hub.token).body(serde_json::to_vec(&refused).unwrap());
    assert_eq!(request.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    let listed = admin::list_hubs(&client, NOW).await.unwrap();
    assert_eq!(listed[0].refused_reason.as_deref(), Some("more than a third of the units are gone"));
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_made_centrally_come_down_once() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    let hub = world.hub(&receiver, world.ours).await;
    let at = |ms: i64| format!("to_timestamp({ms} / 1000.0)");
    let log = |number: u8, unit: Uuid, created: i64| {
        format!(
            "INSERT INTO manual_temperature_logs (id, unit_id, temperature, recorded_at, created_at)
             VALUES ('{}', '{unit}', 4.5, {}, {})",
            id(number),
            at(NOW),
            at(created)
        )
    };
    // The hub's own entry is not told back; nor is one of another site; a fresh one waits until it has settled.
    let own = image(
        "manual_temperature_logs",
        id(9),
        &[
            ("unit_id", Value::Uuid(hub.site.fridge)),
            ("temperature", Value::Hundredths(500)),
            ("recorded_at", Value::Millis(NOW)),
            ("created_at", Value::Millis(NOW - MINUTE)),
        ],
    );
    receiver.send(&hub, &hub.state(1, vec![own])).await.unwrap();
    for sql in [
        log(1, hub.site.fridge, NOW - 2 * MINUTE),
        log(2, hub.site.freezer, NOW - MINUTE),
        log(3, hub.site.fridge, NOW - 1_000),
        log(4, world.next_door.fridge, NOW - MINUTE),
    ] {
        world.sql.batch_execute(&sql).await.unwrap();
    }
    let ids = |answer: &ConfigAnswer| answer.down.entries.iter().map(|row| row.id).collect::<Vec<_>>();
    let (_, etag, answer) = get(&receiver, &hub, "none", "").await;
    let answer = answer.unwrap();
    assert_eq!(ids(&answer), [id(1), id(2)]);
    assert_eq!(value(&answer.down.entries[0], "temperature"), Value::Hundredths(450));
    let cursor = answer.down.cursor;
    assert_eq!(get(&receiver, &hub, &etag, &cursor).await.0, StatusCode::NOT_MODIFIED);
    world.clock.advance(MINUTE);
    let (status, _, answer) = get(&receiver, &hub, &etag, &cursor).await;
    assert_eq!(status, StatusCode::OK, "the snapshot is unchanged, but there is something to say");
    let answer = answer.unwrap();
    assert_eq!((ids(&answer), answer.snapshot), (vec![id(3)], None));
    let broken = format!("{}{PATH_CONFIG}?cursor=yesterday", receiver.base);
    let broken = crate::world::http().get(broken).bearer_auth(&hub.token).send().await.unwrap();
    assert_eq!(broken.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_falls_silent_is_seen_to_be() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    let hub = world.hub(&receiver, world.ours).await;
    get(&receiver, &hub, "none", "").await;
    let online = format!("SELECT is_online::text FROM hubs WHERE id = '{}'", hub.id);
    assert_eq!(world.text(&online).await.as_deref(), Some("true"));
    assert!(receiver.text("/metrics").await.contains("frostguard_silent_hubs 0\n"));
    world.clock.advance(15 * MINUTE + 1);
    let metrics = receiver.text("/metrics").await;
    assert!(metrics.contains("frostguard_silent_hubs 1\n"), "{metrics}");
    assert!(metrics.contains(&format!(
        "frostguard_hub_last_seen_seconds{{hub=\"{}\"}} {}\n",
        hub.id,
        NOW / 1000
    )));
    assert!(metrics.contains("frostguard_answers_total{path=\"config\",status=\"200\"} 1\n"), "{metrics}");
    let listed = admin::list_hubs(&world.sql, NOW + 15 * MINUTE + 1).await.unwrap();
    assert!(listed[0].silent && listed[0].enrolled);
    // A receiver looks for silent hubs when it starts, and every minute.
    let _second = world.receiver().await;
    wait_for_async("the hub to be offline", async || {
        (world.text(&online).await.as_deref() == Some("false")).then_some(())
    })
    .await;
    get(&receiver, &hub, "none", "").await;
    assert_eq!(world.text(&online).await.as_deref(), Some("true"), "heard again");
}
