//! What `audit verify` finds: every change of a row, and what a chain alone cannot show.

use std::path::PathBuf;

use jiff::tz::TimeZone;
use rusqlite::Connection;

use super::*;
use crate::audit::walk::Report;
use crate::cli::audit::{Days, verify_lines, write_rows};
use crate::store::{DATABASE, Store};

/// A stopped hub with two epochs and a resolved alarm, and copies of its database.
struct Copies {
    hub: Hub,
    made: usize,
}

impl Copies {
    fn new() -> Self {
        let mut hub = Hub::with_fridge();
        for (counter, external) in [(1, 400), (2, 900), (3, 900), (4, 300), (5, 300)] {
            hub.hear(climate(1, counter, external));
            hub.pass(6 * MINUTE);
        }
        hub.core().rewind("the receiver has other batches").unwrap();
        hub.hear(climate(1, 6, 900));
        hub.commit();
        hub.stop();
        Self { hub, made: 0 }
    }

    /// A copy in which `sql` was run by somebody who knows SQLite and not the hub.
    fn tampered(&mut self, sql: &str) -> PathBuf {
        self.made += 1;
        let path = self.hub.dir.path().join(format!("copy-{}.db", self.made));
        std::fs::copy(self.hub.dir.path().join(DATABASE), &path).unwrap();
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "foreign_keys", false).unwrap();
        let sql = sql
            .replace("ROW", "id = (SELECT event_id FROM hub_audit WHERE epoch_no = 1 AND seq = 5)")
            .replace("ALARM", "id = (SELECT alert_id FROM hub_alerts ORDER BY alert_id LIMIT 1)");
        connection.execute_batch(&sql).unwrap();
        path
    }

    fn verify(&mut self, sql: &str) -> Report {
        let path = self.tampered(sql);
        crate::store::audit_check::verify(&Store::file_reader(&path).unwrap(), None).unwrap()
    }

    /// Broken, at this row of the first epoch (0: none is named), which differs by `what`.
    #[track_caller]
    fn check(&mut self, sql: &str, seq: u64, what: &str) {
        let report = self.verify(sql);
        let broken = report.broken.clone().unwrap_or_else(|| panic!("{sql}: not found"));
        assert_eq!(broken.seq.unwrap_or(0), seq, "{sql}: {report:?}");
        assert!(broken.differs.iter().any(|found| found.contains(what)), "{sql}: {:?}", broken.differs);
        if report.epochs.len() == 1 {
            assert!(seq == 0 || report.good < seq, "{sql}: {report:?}");
        }
    }
}

#[test]
fn every_change_of_a_row_is_found() {
    let mut copies = Copies::new();
    let whole = copies.verify("");
    assert_eq!((whole.broken, whole.epochs.len(), whole.foreign), (None, 2, 0));
    let other = "x'00000000000000000000000000000001'";
    for (set, what) in [
        (format!("id = {other}"), "event_logs row is missing"),
        (format!("actor_id = {other}"), "actor_id"),
        ("actor_type = 'user'".to_owned(), "actor_type"),
        ("event_type = 'hub_stopped'".to_owned(), "event_type"),
        ("event_category = 'people'".to_owned(), "event_category"),
        ("event_category = NULL".to_owned(), "event_category"),
        ("entity_type = 'site'".to_owned(), "entity_type"),
        (format!("entity_id = {other}"), "entity_id"),
        ("payload = replace(payload, ':', ': ')".to_owned(), "payload"),
        ("payload = NULL".to_owned(), "payload"),
        ("old_values = '{}'".to_owned(), "old_values"),
        ("new_values = '{}'".to_owned(), "new_values"),
        ("ip_address = '::1'".to_owned(), "ip_address"),
        ("user_agent = 'x'".to_owned(), "user_agent"),
        ("previous_hash = hash".to_owned(), "previous_hash"),
        ("previous_hash = NULL".to_owned(), "previous_hash"),
        ("hash = previous_hash".to_owned(), "hash"),
        ("occurred_at = occurred_at - 1".to_owned(), "occurred_at"),
    ] {
        copies.check(&format!("UPDATE event_logs SET {set} WHERE ROW"), 5, what);
    }
    // Not covered, as the help says: a sentence made for people.
    assert_eq!(copies.verify("UPDATE event_logs SET description = 'x' WHERE ROW").broken, None);

    for (set, seq, what) in [
        ("canonical = CAST(substr(canonical, 1, length(canonical) - 1) || x'00' AS BLOB)", 5, "hash"),
        ("canonical = x''", 5, "hash"),
        ("seq = 5000", 6, "seq 6 follows 4"),
        ("seq = -5", 1 << 63, "missing"),
    ] {
        let report = copies.verify(&format!("UPDATE hub_audit SET {set} WHERE epoch_no = 1 AND seq = 5"));
        let broken = report.broken.unwrap();
        assert!(broken.seq == Some(seq) || seq == 1 << 63, "{set}: {broken:?}");
        assert!(broken.differs.iter().any(|found| found.contains(what)), "{set}: {broken:?}");
    }
}

#[test]
fn rows_that_go_come_or_change_places_are_found() {
    let mut copies = Copies::new();
    copies.check("DELETE FROM event_logs WHERE ROW", 5, "event_logs row is missing");
    copies.check("DELETE FROM hub_audit WHERE epoch_no = 1 AND seq = 5", 6, "rows between them are missing");
    copies.check("DELETE FROM hub_audit WHERE epoch_no = 1 AND seq = 1", 2, "seq 2 follows 0");
    copies.check("DELETE FROM hub_audit WHERE epoch_no = 2", 0, "all its rows are missing");
    copies.check(
        "UPDATE hub_audit SET seq = 500 WHERE epoch_no = 1 AND seq = 5;
         UPDATE hub_audit SET seq = 5 WHERE epoch_no = 1 AND seq = 6;
         UPDATE hub_audit SET seq = 6 WHERE epoch_no = 1 AND seq = 500",
        5,
        "previous_hash",
    );
    let copy = "INSERT INTO event_logs SELECT x'000000000000000000000000000000FF', organization_id, actor_id,
        actor_type, event_type, event_category, entity_type, entity_id, description, payload, old_values, new_values,
        ip_address, user_agent, previous_hash, hash, occurred_at FROM event_logs WHERE ROW;";
    copies.check(copy, 5, "not in the chain");
    let linked = "INSERT INTO hub_audit SELECT 1, max(seq) + 1, x'000000000000000000000000000000FF',
        (SELECT canonical FROM hub_audit WHERE epoch_no = 1 AND seq = 5) FROM hub_audit WHERE epoch_no = 1;";
    let last = copies.verify("").epochs[0].rows;
    copies.check(&format!("{copy}{linked}"), last + 1, "previous_hash");

    // Of another writer, and no break.
    let foreign = format!(
        "{copy} UPDATE event_logs SET payload = NULL WHERE hex(id) LIKE '%FF' AND hex(id) LIKE '00%'"
    );
    let report = copies.verify(&foreign);
    assert_eq!((report.broken, report.foreign), (None, 1));
}

/// Deletes the last rows of an epoch with all that hangs on them but `kept`.
fn cut(epoch: u32, rows: u32) -> String {
    format!(
        "CREATE TEMP TABLE gone AS SELECT event_id FROM hub_audit WHERE epoch_no = {epoch} ORDER BY seq DESC LIMIT {rows};
         DELETE FROM event_logs WHERE id IN (SELECT event_id FROM gone);
         DELETE FROM hub_audit WHERE event_id IN (SELECT event_id FROM gone);"
    )
}

#[test]
fn a_cut_end_is_found_by_what_hung_on_it_or_by_a_head_noted_elsewhere() {
    let mut copies = Copies::new();
    let whole = copies.verify("");
    copies.check(&cut(1, 1), 0, "rows at its end were cut off");
    copies.check(&cut(2, 1), 0, "waited to go up and is missing");
    let sent = "DELETE FROM hub_dirty;";
    copies.check(
        &cut(1, 1).replace("DELETE FROM hub_audit", &format!("{sent} DELETE FROM hub_audit")),
        0,
        "cut off",
    );

    // Nothing hangs on the last row once it went up: only the head tells.
    let path = copies.tampered(&format!("{}{sent}", cut(2, 1)));
    let connection = Store::file_reader(&path).unwrap();
    let verify = |head: Option<&str>| crate::store::audit_check::verify(&connection, head).unwrap();
    assert_eq!(verify(None).broken, None);
    let broken = verify(Some(&whole.epochs[1].head)).broken.unwrap();
    assert!(broken.differs[0].contains("head noted earlier"), "{broken:?}");
    assert_eq!(verify(Some(&whole.epochs[0].head)).broken, None, "an earlier head is still in a chain");

    // The alarm of the second epoch outlives its row.
    let to_alarm = "WITH a AS (SELECT seq FROM hub_audit WHERE event_id IN (SELECT alert_id FROM hub_alerts) AND epoch_no = 1)
        DELETE FROM hub_audit WHERE epoch_no = 1 AND seq >= (SELECT min(seq) FROM a);
        DELETE FROM event_logs WHERE id NOT IN (SELECT event_id FROM hub_audit);
        DELETE FROM hub_audit WHERE epoch_no = 2; DELETE FROM event_logs WHERE id NOT IN (SELECT event_id FROM hub_audit);
        DELETE FROM hub_epochs WHERE no = 2; DELETE FROM hub_dirty;";
    copies.check(to_alarm, 0, "beginning of this alert is missing");
}

#[test]
fn an_export_is_verified_by_itself() {
    let mut copies = Copies::new();
    let whole = copies.verify("");
    let path = copies.tampered("");
    let connection = Store::file_reader(&path).unwrap();
    let all = Days::of(None, None, &TimeZone::UTC).unwrap();
    let mut bytes = Vec::new();
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    assert_eq!(write_rows(&connection, &all, &zone, false, &mut bytes).unwrap(), whole.good);
    let text = String::from_utf8(bytes).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let verify = |lines: &[&str]| verify_lines(lines.join("\n").as_bytes(), None).unwrap();

    let report = verify(&lines);
    assert_eq!((report.broken, report.good), (None, whole.good));
    let heads = |report: &Report| report.epochs.iter().map(|epoch| epoch.head.clone()).collect::<Vec<_>>();
    assert_eq!(heads(&verify(&lines)), heads(&whole));
    // A part begins and ends anywhere.
    let part = verify(&lines[4..8]);
    assert_eq!((part.broken, part.good, part.epochs[0].first_seq), (None, 4, 5));
    let last = whole.epochs[1].head.as_str();
    let cut = verify_lines(lines[..lines.len() - 1].join("\n").as_bytes(), Some(last)).unwrap();
    assert!(cut.broken.unwrap().differs[0].contains("noted earlier"));

    let first_epoch = whole.epochs[0].rows as usize;
    let without = |gone: usize| {
        let mut lines = lines.clone();
        lines.remove(gone);
        verify(&lines).broken
    };
    assert!(without(4).unwrap().differs[0].contains("seq 6 follows 4"));
    assert!(without(first_epoch - 1).unwrap().differs[0].contains("names another head"));
    for (from, to, what) in [
        ("\"actor\":\"", "\"actor\":\"x", "actor_type"),
        ("\"category\":\"", "\"category\":\"x", "event_category"),
        ("\"mono_ms\":", "\"mono_ms\":1", "payload"),
        ("\"canonical\":\"01", "\"canonical\":\"02", "hash"),
        ("\"hash\":\"", "\"hash\":\"0", "hash"),
        ("\"epoch\":\"", "\"epoch\":\"0", "no epoch"),
        ("{", "", "no line of an export"),
    ] {
        let changed = lines[4].replacen(from, to, 1);
        let mut lines = lines.clone();
        lines[4] = &changed;
        let report = verify(&lines);
        assert_eq!(report.good, 4, "{from}");
        let differs = report.broken.unwrap().differs;
        assert!(differs.iter().any(|found| found.contains(what)), "{from}: {differs:?}");
    }

    let mut csv = Vec::new();
    write_rows(&connection, &all, &zone, true, &mut csv).unwrap();
    assert_eq!(String::from_utf8(csv).unwrap().lines().count() as u64, whole.good + 1);
    let none =
        Days::of(Some("1999-01-01".parse().unwrap()), Some("1999-01-02".parse().unwrap()), &zone).unwrap();
    assert_eq!(write_rows(&connection, &none, &zone, false, &mut Vec::new()).unwrap(), 0);
}

#[test]
fn an_enrolment_and_a_late_clock_are_no_breaks() {
    use crate::clock::NtpState;
    use crate::pipeline::sync::EnrolCommit;
    use frostguard_sync::api::{EnrolAnswer, Snapshot};
    use frostguard_sync::wire::{RowImage, Value as Cell};
    use uuid::Uuid;

    // Without a clock at first: what is written has provisional times.
    let clock = TestClock::new(MonoMs(10 * SECOND), UnixMs(0));
    clock.set_ntp(NtpState::Unsynchronized);
    let mut hub = Hub::with_clock(clock);
    hub.add_unit("Fridge", "fridge");
    hub.pair(1, "Fridge");
    hub.hear(climate(1, 1, 900));
    assert_ne!(hub.row("SELECT count(*) FROM hub_unplaced WHERE table_name = 'event_logs'"), "0");
    hub.check_audit();

    let id = |n: u128| Uuid::from_u128(0xcc00 + n);
    let row = |table: &str, own: Uuid, columns: &[(&str, Cell)]| {
        let columns = columns.iter().map(|(name, cell)| ((*name).to_owned(), cell.clone())).collect();
        RowImage { table: table.to_owned(), id: own, columns }
    };
    let text = |text: &str| Cell::Text(text.to_owned());
    let rows = vec![
        row("organizations", id(1), &[("name", text("Chain")), ("slug", text("chain"))]),
        row("sites", id(2), &[("organization_id", Cell::Uuid(id(1))), ("name", text("Kitchen 7"))]),
        row("areas", id(3), &[("site_id", Cell::Uuid(id(2))), ("name", text("Cold side"))]),
        row("hubs", id(4), &[("site_id", Cell::Uuid(id(2))), ("name", text("Hub 7"))]),
        row(
            "units",
            id(5),
            &[
                ("area_id", Cell::Uuid(id(3))),
                ("name", text("Fridge")),
                ("unit_type", text("fridge")),
                ("temp_unit", text("C")),
                ("temp_min", Cell::Int(0)),
                ("temp_max", Cell::Int(50)),
                ("created_at", Cell::Millis(1)),
            ],
        ),
    ];
    let (site_id, organization_id) = (id(2), id(1));
    let snapshot = Snapshot { etag: "first".into(), site_id, organization_id, confirm_removal: false, rows };
    let answer = EnrolAnswer {
        hub_id: id(4),
        site_id,
        organization_id,
        receiver_key: "00".repeat(32),
        token: "00".repeat(32),
        history_from_ms: 0,
        snapshot,
        devices: vec![(eui(1), id(6))],
    };
    hub.core()
        .enrol(&EnrolCommit {
            answer,
            receiver_url: "https://receiver.example".into(),
            receiver_key: [1; 32],
            credential_digest: [2; 32],
            unit_map: Vec::new(),
        })
        .unwrap();
    assert_eq!(hub.row("SELECT count(DISTINCT hex(organization_id)) FROM event_logs"), "1");
    hub.hear(climate(1, 2, 900));
    hub.check_audit();

    // The time becomes known, and every row takes its own.
    hub.clock.set_wall(UnixMs(NOW));
    hub.clock.set_ntp(NtpState::Synchronized { error_ms: 20 });
    hub.pass(10 * SECOND);
    hub.check_audit();
    hub.reboot(MINUTE);
    hub.check_audit();
}
