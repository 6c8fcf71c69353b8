//! What people do at the hub.

use super::*;

const LOGS: &str = "SELECT temperature, humidity, notes, profile_id IS NOT NULL FROM manual_temperature_logs ORDER BY created_at, id";

/// A profile as central sends it.
fn know(hub: &mut Hub, n: u8, email: &str, name: &str) {
    let organization = hub.row("SELECT hex(id) FROM organizations");
    let sql = format!(
        "INSERT INTO profiles (id, user_id, organization_id, email, full_name, created_at, updated_at)
         VALUES (x'{n:032X}', x'{n:032X}', x'{organization}', '{email}', '{name}', 0, 0)"
    );
    hub.core().store.write(|tx| Ok(tx.execute_batch(&sql)?)).unwrap();
}

/// Out of its limits, confirmed.
fn alarmed() -> Hub {
    let mut hub = Hub::with_fridge();
    for counter in 1..13 {
        hub.hear(climate(1, counter, 900));
        hub.pass(MINUTE);
    }
    assert_eq!(hub.alerts(), ["alarm_active|critical|active"]);
    hub
}

fn audited(hub: &Hub, event_type: &str) -> Vec<String> {
    hub.rows(&format!(
        "SELECT actor_type, description FROM event_logs WHERE event_type = '{event_type}' ORDER BY occurred_at, id"
    ))
}

#[test]
fn a_manual_log_is_kept_judged_and_goes_up() {
    let mut hub = Hub::with_fridge();
    know(&mut hub, 5, "ana@example.org", "Ana Díaz");
    hub.commit();
    let commits = hub.core().committed();
    let said = hub.ask(json!({
        "request": "log", "unit": "Fridge", "temperature": "4,5", "humidity": "55,5", "by": "ANA@example.org",
        "notes": "by hand",
    }));
    assert_eq!(said["said"], "logged 4.5 °C in Fridge");
    assert_eq!(hub.core().committed(), commits + 1, "at once");
    assert_eq!(hub.rows(LOGS), ["450|5550|by hand|1"]);
    assert_eq!(audited(&hub, "manual_log_recorded"), ["user|Ana Díaz measured 4.5 °C in Fridge"]);
    assert_eq!(hub.row("SELECT count(*) FROM hub_dirty WHERE table_name = 'manual_temperature_logs'"), "1");

    // Somebody nobody knows; a value in the other scale.
    hub.pass(SECOND);
    hub.ask(json!({ "request": "log", "unit": "Fridge", "temperature": "40F", "by": "Chef" }));
    assert_eq!(hub.rows(LOGS)[1], "444|-|Chef|0");
    assert_eq!(audited(&hub, "manual_log_recorded")[1], "installer|Chef measured 4.4 °C in Fridge");
    assert_eq!(hub.shown(1), "ok");

    // Out of the limits: somebody looked, so it is critical at once.
    hub.ask(json!({ "request": "log", "unit": "Fridge", "temperature": "9" }));
    assert_eq!(hub.alerts(), ["alarm_active|critical|active"]);
    assert_eq!(hub.shown(1), "alarm_active");
    hub.ask(json!({ "request": "log", "unit": "Fridge", "temperature": "3" }));
    hub.cut_power();
    hub.start();
    assert_eq!(hub.rows(LOGS).len(), 4);
    hub.check_audit();
}

#[test]
fn what_cannot_be_meant_is_refused_or_asked_again() {
    let mut hub = Hub::with_fridge();
    hub.commit();
    for (log, want) in [
        (json!({ "unit": "Fridg", "temperature": "4" }), "no unit"),
        (json!({ "unit": "Fridge", "temperature": "NaN" }), "is no temperature"),
        (json!({ "unit": "Fridge", "temperature": "301", "yes": true }), "cannot be kept"),
        (json!({ "unit": "Fridge", "temperature": "-101", "yes": true }), "cannot be kept"),
        (json!({ "unit": "Fridge", "temperature": "99" }), "--yes"),
        (json!({ "unit": "Fridge", "temperature": "4", "humidity": "120" }), "humidity"),
        (json!({ "unit": "Fridge", "temperature": "4", "at": "2031-01-01 10:00" }), "future"),
        (json!({ "unit": "Fridge", "temperature": "4", "at": "2029-01-01 10:00" }), "a week ago"),
        (json!({ "unit": "Fridge", "temperature": "4", "by": " " }), "1 to"),
    ] {
        let mut request = log.clone();
        request["request"] = "log".into();
        let error = hub.try_ask(request).unwrap_err().to_string();
        assert!(error.contains(want), "{log}: {error}");
    }
    assert_eq!(hub.rows(LOGS), Vec::<String>::new());
    hub.ask(json!({ "request": "log", "unit": "Fridge", "temperature": "99", "yes": true }));
    assert_eq!(hub.rows(LOGS).len(), 1);
}

#[test]
fn a_log_of_yesterday_is_kept_and_says_nothing_of_the_present() {
    let mut hub = Hub::with_fridge();
    hub.hear(climate(1, 1, 400));
    let at = jiff::Timestamp::from_millisecond(NOW - 10 * 3_600_000).unwrap().to_string();
    hub.ask(json!({ "request": "log", "unit": "Fridge", "temperature": "9", "at": at }));
    assert_eq!(hub.shown(1), "ok");
    let recorded = hub.row("SELECT recorded_at FROM manual_temperature_logs");
    assert_eq!(recorded, (NOW - 10 * 3_600_000).to_string());
    let at = jiff::Timestamp::from_millisecond(NOW - 3_600_000).unwrap().to_string();
    hub.ask(json!({ "request": "log", "unit": "Fridge", "temperature": "9", "at": at }));
    assert_eq!(hub.shown(1), "alarm_active");
}

#[test]
fn an_alert_is_acknowledged_by_its_unit_or_its_first_digits() {
    for by_id in [false, true] {
        let mut hub = alarmed();
        know(&mut hub, 5, "ana@example.org", "Ana");
        let id = hub.row("SELECT hex(id) FROM alerts").to_lowercase();
        let named = if by_id { &id[..6] } else { "Fridge" };
        let ack = json!({ "request": "alerts_ack", "alerts": [named], "by": "ana", "notes": "on my way" });
        let said = hub.ask(ack.clone());
        assert_eq!(said["said"], "acknowledged alarm_active of Fridge");
        assert_eq!(
            hub.row(
                "SELECT status, hex(acknowledged_by) = printf('%032X', 5), acknowledged_at > 0 FROM alerts"
            ),
            "acknowledged|1|1"
        );
        assert_eq!(
            audited(&hub, "alert_acknowledged"),
            ["user|alarm_active on Fridge was acknowledged by Ana"]
        );
        let inputs = "SELECT count(*) FROM hub_inputs WHERE kind = 'acknowledged'";
        assert_eq!(hub.row(inputs), "1");
        assert!(hub.try_ask(ack).unwrap_err().to_string().contains("acknowledged already"));
        hub.check_audit();
    }
}

#[test]
fn an_alert_is_resolved_with_what_was_done() {
    let mut hub = alarmed();
    let said = hub.ask(json!({
        "request": "alerts_resolve", "alert": "Fridge", "by": "Chef", "notes": "door was open",
        "action": "closed it",
    }));
    assert_eq!(said["said"], "resolved alarm_active of Fridge");
    assert_eq!(hub.alerts(), ["alarm_active|critical|resolved"]);
    assert_eq!(hub.shown(1), "ok", "closed by the rules");
    assert_eq!(
        hub.row("SELECT description, action_taken, resolved_alert, unit_id = (SELECT id FROM units) FROM corrective_actions"),
        "Chef: door was open|closed it|1|1"
    );
    assert_eq!(audited(&hub, "alert_taken_care_of"), ["installer|Chef ended alarm_active on Fridge"]);
    assert_eq!(audited(&hub, "corrective_action_recorded").len(), 1);
    assert_eq!(audited(&hub, "alert_resolved").len(), 1);
    for table in ["alerts", "corrective_actions"] {
        assert_ne!(hub.row(&format!("SELECT count(*) FROM hub_dirty WHERE table_name = '{table}'")), "0");
    }
    let again = |hub: &mut Hub, named: &str| {
        hub.try_ask(json!({ "request": "alerts_resolve", "alert": named })).unwrap_err().to_string()
    };
    assert!(again(&mut hub, "Fridge").contains("has no open alert"));
    let id = hub.row("SELECT hex(id) FROM alerts");
    assert!(again(&mut hub, &id).contains("resolved already"));
    assert!(again(&mut hub, "abc").contains("4 or more digits"));
    assert!(again(&mut hub, "00000").contains("no alert begins"));
    // Over a restart it stays as it was.
    hub.cut_power();
    hub.start();
    assert_eq!(hub.alerts(), ["alarm_active|critical|resolved"]);
    hub.check_audit();
}

#[test]
fn one_that_the_rules_do_not_know_is_resolved_too_and_two_are_told_apart() {
    let mut hub = Hub::with_fridge();
    for (id, alert_type) in [("ABCD0000", "low_battery"), ("ABCD0001", "sensor_fault")] {
        let sql = format!(
            "INSERT INTO alerts (id, unit_id, alert_type, severity, triggered_at, created_at, updated_at)
             SELECT x'{id}000000000000000000000000', id, '{alert_type}', 'warning', 0, 0, 0 FROM units"
        );
        hub.core().store.write(|tx| Ok(tx.execute_batch(&sql)?)).unwrap();
    }
    let resolve =
        |hub: &mut Hub, named: &str| hub.try_ask(json!({ "request": "alerts_resolve", "alert": named }));
    assert!(resolve(&mut hub, "abcd").unwrap_err().to_string().contains("2 open alerts begin"));
    resolve(&mut hub, "abcd-0001").unwrap();
    assert_eq!(hub.rows("SELECT status FROM alerts ORDER BY id"), ["active", "resolved"]);
    assert_eq!(hub.row("SELECT count(*) FROM corrective_actions"), "0", "nothing was said");
}

#[test]
fn two_people_of_one_name_are_asked_for_their_address() {
    let mut hub = alarmed();
    know(&mut hub, 5, "ana@example.org", "Ana");
    know(&mut hub, 6, "ana2@example.org", "Ana");
    let ack = |hub: &mut Hub, by: &str| {
        hub.try_ask(json!({ "request": "alerts_ack", "alerts": ["Fridge"], "by": by }))
    };
    let error = ack(&mut hub, "Ana").unwrap_err().to_string();
    assert!(error.contains("ana2@example.org") && error.contains("ana@example.org"), "{error}");
    ack(&mut hub, "ana2@example.org").unwrap();
    assert_eq!(hub.row("SELECT acknowledged_by = x'00000000000000000000000000000006' FROM alerts"), "1");
}

#[test]
fn contacts_are_the_hubs_own_until_it_is_enrolled() {
    let mut hub = Hub::new();
    let add = |hub: &mut Hub, name: &str, phone: &str, priority: i32| {
        let request =
            json!({ "request": "contacts_add", "name": name, "phone": phone, "priority": priority });
        hub.try_ask(request).map(|value| value["said"].to_string()).map_err(|error| error.to_string())
    };
    add(&mut hub, "Ben", "+49 151 23456789", 1).unwrap();
    add(&mut hub, "Ana", "+1 (212) 555-0100", 0).unwrap();
    for (name, phone, priority, want) in [
        ("Cem", "0151 23456789", 0, "with its country"),
        ("Cem", "+4915123456789", 0, "is the number of Ben"),
        (" ", "+4915123456780", 0, "a name has"),
        ("Cem", "+4915123456780", 10, "priority"),
    ] {
        let error = add(&mut hub, name, phone, priority).unwrap_err();
        assert!(error.contains(want), "{error}");
    }
    let list = hub.ask(json!({ "request": "contacts_list" }));
    let names: Vec<&str> = list["contacts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|contact| contact["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Ana", "Ben"]);
    let remove =
        |hub: &mut Hub, named: &str| hub.try_ask(json!({ "request": "contacts_remove", "contact": named }));
    assert!(remove(&mut hub, "Cem").unwrap_err().to_string().contains("no contact"));
    remove(&mut hub, "+1 212 5550100").unwrap();
    assert_eq!(hub.rows("SELECT name FROM escalation_contacts"), ["Ben"]);
    assert_eq!(audited(&hub, "contact_added").len(), 2);
    assert_eq!(audited(&hub, "contact_removed"), ["installer|Ana is not called any more"]);
    let payloads = hub.rows("SELECT payload FROM event_logs WHERE event_type LIKE 'contact%'");
    assert!(payloads.iter().all(|payload| !payload.contains("23456789")), "no number in the chain");
    assert_eq!(hub.row("SELECT count(*) FROM hub_dirty WHERE table_name = 'escalation_contacts'"), "0");

    let sql = "INSERT INTO hub_link (no, hub_id, site_id, organization_id, receiver_url, receiver_key, credential_digest, history_from_ms)
        VALUES (1, zeroblob(16), zeroblob(16), zeroblob(16), '', zeroblob(32), zeroblob(32), 0)";
    hub.core().store.write(|tx| Ok(tx.execute_batch(sql)?)).unwrap();
    assert!(add(&mut hub, "Cem", "+4915123456780", 0).unwrap_err().contains("central product"));
    assert!(remove(&mut hub, "Ben").unwrap_err().to_string().contains("central product"));
    hub.check_audit();
}

#[test]
fn an_entry_waits_in_memory_while_the_disk_refuses() {
    let mut hub = alarmed();
    let database = hub.dir.path().join(crate::store::DATABASE);
    // Whoever holds the write lock keeps the hub from committing.
    let other = rusqlite::Connection::open(&database).unwrap();
    hub.core().store.connection().busy_timeout(std::time::Duration::ZERO).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let said = hub.ask(json!({ "request": "log", "unit": "Fridge", "temperature": "4" }));
    assert!(said["said"].as_str().unwrap().contains("waits in memory"), "{said}");
    other.execute_batch("ROLLBACK").unwrap();
    hub.pass(5 * SECOND);
    assert_eq!(hub.rows(LOGS), ["400|-|-|0"], "once");
    hub.check_audit();
}
