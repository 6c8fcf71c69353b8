//! Lane 0, on a real database.

use rusqlite::{Connection, params};
use uuid::Uuid;

use super::batches::{self, Limits};
use super::rows::mark_dirty;
use super::state;
use super::sync_tests::{
    HUB, LIMITS, ORGANIZATION, STAMP, add_alert, alert_id, device_id, enrolled_site, state_rows, tables_of,
    unit_id,
};
use frostguard_sync::wire::{Lane, RowImage};

#[test]
fn state_goes_in_its_order_and_once() {
    let connection = enrolled_site();
    add_alert(&connection, 1);
    add_audit(&connection, 2);
    add_audit(&connection, 1);
    for (table, id) in
        [("units", unit_id(1)), ("hubs", HUB), ("devices", device_id(1)), ("alerts", alert_id(1))]
    {
        mark_dirty(&connection, table, id).unwrap();
        mark_dirty(&connection, table, id).unwrap();
    }
    // A row that is gone by now.
    mark_dirty(&connection, "door_events", Uuid::from_u128(99)).unwrap();
    let stored = state::cut(&connection, LIMITS, STAMP).unwrap().unwrap();
    assert_eq!(tables_of(&stored), ["alerts", "devices", "units", "hubs", "event_logs", "event_logs"]);
    let rows = state_rows(&stored);
    assert_eq!((rows[4].id, rows[5].id), (audit_id(1), audit_id(2)), "audit in the order of its chain");
    let names = |row: &RowImage| row.columns.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&rows[2]), ["status", "last_reading_at", "last_temperature"]);
    assert_eq!(names(&rows[3]), ["mac_address", "firmware_version"]);
    assert!(
        names(&rows[0]).contains(&"triggered_at".to_owned())
            && !names(&rows[0]).contains(&"updated_at".to_owned())
    );
    assert!(
        names(&rows[1]).contains(&"device_eui".to_owned()),
        "central does not know the device: it travels whole"
    );
    assert_eq!(batches::outstanding(&connection).unwrap().0, 0);

    // Changed after the cut: dirty again, and in the next batch.
    mark_dirty(&connection, "alerts", alert_id(1)).unwrap();
    assert!(state::cut(&connection, LIMITS, STAMP).unwrap().is_none(), "one in flight");
    batches::acknowledge(&connection, Lane::State, 1, &[], STAMP).unwrap();
    let next = state::cut(&connection, LIMITS, STAMP).unwrap().unwrap();
    assert_eq!((next.seq, tables_of(&next)), (2, vec!["alerts".to_owned()]));
}

#[test]
fn state_that_waits_for_its_time_stays() {
    let connection = enrolled_site();
    let wait = |table: &str, id: Uuid, column: &str| {
        connection
            .execute(
                "INSERT INTO hub_unplaced VALUES (?1, ?2, ?3, 2, 0)",
                params![table, id.into_bytes(), column],
            )
            .unwrap();
    };
    for no in 1..=3 {
        add_audit(&connection, no);
    }
    add_alert(&connection, 1);
    add_alert(&connection, 2);
    add_action(&connection, 1);
    add_action(&connection, 2);
    for no in 1..=2 {
        mark_dirty(&connection, "alerts", alert_id(no)).unwrap();
        mark_dirty(&connection, "corrective_actions", action_id(no)).unwrap();
    }
    wait("event_logs", audit_id(2), "occurred_at");
    wait("alerts", alert_id(2), "triggered_at");
    let stored = state::cut(&connection, LIMITS, STAMP).unwrap().unwrap();
    let ids: Vec<Uuid> = state_rows(&stored).iter().map(|row| row.id).collect();
    assert_eq!(
        ids,
        [alert_id(1), action_id(1), audit_id(1)],
        "what refers to a waiting row waits, and so does its chain"
    );
    batches::acknowledge(&connection, Lane::State, 1, &[], STAMP).unwrap();
    connection.execute("DELETE FROM hub_unplaced", []).unwrap();
    let stored = state::cut(&connection, LIMITS, STAMP).unwrap().unwrap();
    let ids: Vec<Uuid> = state_rows(&stored).iter().map(|row| row.id).collect();
    assert_eq!(ids, [alert_id(2), action_id(2), audit_id(2), audit_id(3)]);
}

#[test]
fn state_over_a_limit_goes_in_parts() {
    let connection = enrolled_site();
    for no in 1..=40 {
        add_audit(&connection, no);
    }
    let mut ids = Vec::new();
    for limits in [Limits { rows: 7, bytes: 100_000 }, Limits { rows: 100, bytes: 350 }] {
        let stored = state::cut(&connection, limits, STAMP).unwrap().unwrap();
        assert!(stored.rows < 30, "{}", stored.rows);
        ids.extend(state_rows(&stored).iter().map(|row| row.id));
        batches::acknowledge(&connection, Lane::State, stored.seq, &[], STAMP).unwrap();
    }
    assert_eq!(ids, (1..=ids.len() as u64).map(audit_id).collect::<Vec<_>>());
    // A row that no body can hold is kept as refused and holds up nothing.
    let mut noise = 1u64;
    let mut word = || {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        format!("{noise:016x}")
    };
    let large: String = (0..200_000).map(|_| word()).collect();
    connection
        .execute(
            "UPDATE event_logs SET payload = ?1 WHERE id = ?2",
            params![large, audit_id(ids.len() as u64 + 1).into_bytes()],
        )
        .unwrap();
    let stored = state::cut(&connection, Limits { rows: 100, bytes: 100_000 }, STAMP).unwrap().unwrap();
    assert_eq!(stored.rows as usize, 40 - ids.len() - 1);
    let refused = batches::refused(&connection).unwrap();
    assert_eq!(refused[0].key, audit_id(ids.len() as u64 + 1).to_string());
}

fn action_id(no: u32) -> Uuid {
    Uuid::from_u128(0x400 + u128::from(no))
}

fn add_action(connection: &Connection, no: u32) {
    connection
        .execute(
            "INSERT INTO corrective_actions (id, alert_id, unit_id, description, action_at, created_at)
             VALUES (?1, ?2, ?3, 'Closed the door', 0, 0)",
            params![action_id(no).into_bytes(), alert_id(no).into_bytes(), unit_id(1).into_bytes()],
        )
        .unwrap();
}

fn audit_id(no: u64) -> Uuid {
    Uuid::from_u128(0x5000 - u128::from(no))
}

fn add_audit(connection: &Connection, no: u64) {
    let id = audit_id(no);
    connection
        .execute(
            "INSERT INTO event_logs (id, organization_id, actor_type, event_type, entity_type, hash, occurred_at)
             VALUES (?1, ?2, 'system', 'unit.status', 'unit', ?3, 0)",
            params![id.into_bytes(), ORGANIZATION.into_bytes(), no.to_string()],
        )
        .unwrap();
    connection
        .execute(
            "INSERT INTO hub_audit (epoch_no, seq, event_id, canonical) VALUES (1, ?1, ?2, x'00')",
            params![no as i64, id.into_bytes()],
        )
        .unwrap();
    mark_dirty(connection, "event_logs", id).unwrap();
}
