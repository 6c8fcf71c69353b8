//! What comes down: configuration, what people did to alerts, and their entries.

use serde_json::Value;

use crate::central::Central;
use crate::kitchen::{COLD, Kitchen, WARM};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn configuration_comes_down_and_is_checked() {
    let central = Central::start().await;
    let mut kitchen = Kitchen::furnished();
    let (hub, code) = central.add_hub("Kitchen", &[]);
    kitchen.enrol(&central.receiver.url(), &code, &["--create-units"]);
    kitchen.hear_both(0..2, COLD);

    central
        .run(
            "UPDATE units SET name = 'Drinks', temp_max = 60 WHERE name = 'Fridge';
             UPDATE units SET temp_unit = 'F', temp_min = 320, temp_max = 410 WHERE name = 'Cold room';
             INSERT INTO units (area_id, name, unit_type, temp_min, temp_max, temp_unit) SELECT areas.id, new.* FROM areas,
               (VALUES ('Ice', 'freezer'::unit_type, -250, -180, 'C'), ('Cakes', 'display_case', 0, 50, 'C')) AS new",
        )
        .await;
    wait_units(&kitchen, "the changes", |unit, name| match name {
        "Drinks" => unit["limits"] == "0.0 to 6.0 °C",
        "Cold room" => unit["limits"] == "32.0 to 41.0 °F" && unit["temp_unit"] == "F",
        name => ["Ice", "Cakes"].contains(&name),
    });
    // 3.00 °C: the sensors go on in the new scale, and what stands there is shown in it.
    kitchen.hear_both(2..4, COLD);
    let view = "SELECT temperature AS x FROM sensor_readings WHERE humidity IN (1, 3)";
    assert_eq!(kitchen.texts(view), ["3740", "3740"]);
    kitchen.wait_sent();
    let there = "SELECT temperature::text FROM sensor_readings WHERE humidity = 0.03";
    assert_eq!(central.texts(there).await, ["37.40"]);

    // One of four may go.
    central.run("DELETE FROM units WHERE name = 'Cakes'").await;
    wait_units(&kitchen, "the removal", |unit, name| unit["removed_centrally"] == (name == "Cakes"));

    // Whole degrees where tenths belong, the other way round.
    central.run("UPDATE units SET temp_max = 5000 WHERE name = 'Drinks'").await;
    let refused = "limits outside -60..+25";
    central
        .wait(
            "the refusal",
            &format!("SELECT coalesce(refused_reason LIKE '%Drinks%{refused}%', false) FROM hub_sync.hubs WHERE hub_id = '{hub}'"),
        )
        .await;
    assert_eq!(kitchen.units()["Drinks"]["limits"], "0.0 to 6.0 °C");
    assert!(central.receiver.command(&["hub", "list"]).contains(refused));
    central
        .wait(
            "the refusal's audit row",
            &format!("SELECT count(*) = 1 FROM event_logs WHERE event_type = 'snapshot_refused' AND description LIKE '%{refused}%'"),
        )
        .await;
    central.run("UPDATE units SET temp_max = 70 WHERE name = 'Drinks'").await;
    wait_units(&kitchen, "the correction", |unit, name| {
        name != "Drinks" || unit["limits"] == "0.0 to 7.0 °C"
    });
    kitchen.wait_sent();
    central.assert_numbers(0..4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_people_do_centrally_reaches_the_hub() {
    let central = Central::start().await;
    let mut kitchen = Kitchen::furnished();
    let (_, code) = central.add_hub("Kitchen", &[]);
    kitchen.enrol(&central.receiver.url(), &code, &["--create-units"]);
    kitchen.hear(&[(0, 0, WARM), (1, 1, COLD)]);
    central.wait("the alert to arrive", "SELECT count(*) = 1 FROM alerts WHERE resolved_at IS NULL").await;

    let chef = Central::CHEF;
    central
        .run(&format!(
            "UPDATE alerts SET status = 'acknowledged', acknowledged_at = now(), acknowledged_by = '{chef}';
             INSERT INTO manual_temperature_logs (unit_id, profile_id, temperature, recorded_at)
               SELECT id, '{chef}', 4.10, now() FROM units WHERE name = 'Cold room';
             INSERT INTO corrective_actions (alert_id, unit_id, profile_id, description)
               SELECT id, unit_id, '{chef}', 'Closed the door' FROM alerts"
        ))
        .await;
    kitchen.hub.wait_status("the acknowledgement", |status| {
        (status["alerts"][0]["status"] == "acknowledged").then_some(())
    });
    // An entry is given out when it is some seconds old.
    kitchen.hub.wait_status("the entries", |_| {
        let log = kitchen.query("SELECT temperature, profile_id FROM manual_temperature_logs");
        let action = kitchen.query("SELECT description, profile_id FROM corrective_actions");
        let is_log = |row: &Value| row["temperature"] == 410 && row["profile_id"] == chef.to_string();
        let is_action = |row: &Value| row["description"] == "Closed the door";
        (log.len() == 1 && is_log(&log[0]) && action.len() == 1 && is_action(&action[0])).then_some(())
    });

    central
        .run(&format!("UPDATE alerts SET status = 'resolved', resolved_at = now(), resolved_by = '{chef}'"))
        .await;
    kitchen.hub.wait_status("the resolution", |status| {
        (status["alerts"].as_array().expect("alerts are listed").is_empty()).then_some(())
    });
    let closed = &kitchen.hub.json(&["alerts", "list", "--all", "--json"])["alerts"][0];
    assert_eq!(closed["status"], "resolved");
    assert_eq!(kitchen.units()["Fridge"]["status"], "ok");
    kitchen.wait_sent();
    let both = format!(
        "SELECT count(*) FROM alerts WHERE status = 'resolved' AND resolved_by = '{chef}' AND acknowledged_by = '{chef}' \
         AND acknowledged_at < resolved_at"
    );
    assert_eq!(central.number(&both).await, 1);
    assert_eq!(central.number("SELECT count(*) FROM alerts").await, 1);
    assert_eq!(central.number("SELECT count(*) FROM manual_temperature_logs").await, 1);
    assert_eq!(central.number("SELECT count(*) FROM corrective_actions").await, 1);
}

/// Waits until every unit of the hub looks as `look` says.
#[track_caller]
fn wait_units(kitchen: &Kitchen, what: &str, look: impl Fn(&Value, &str) -> bool) {
    kitchen.hub.wait_status(what, |status| {
        let units = status["units"].as_array().expect("units are listed");
        units.iter().all(|unit| look(unit, unit["name"].as_str().expect("a unit has a name"))).then_some(())
    });
}
