//! A disk that refuses, a damaged file, a row that cannot be written.

use super::*;
use crate::pipeline::group::{WRITES_MAX, Write};
use crate::store::log::LogRow;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    /// SQLite may not add a page: SQLITE_FULL, as on a full disk.
    Full,
    /// SQLite may not write: SQLITE_READONLY, as on a file system that was remounted.
    ReadOnly,
}

impl Trouble {
    fn begin(self, hub: &mut Hub) {
        let connection = hub.core().store.connection();
        match self {
            Trouble::Full => {
                let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
                set_pages_max(connection, pages);
            }
            Trouble::ReadOnly => connection.pragma_update(None, "query_only", true).unwrap(),
        }
    }

    fn end(self, hub: &mut Hub) {
        let connection = hub.core().store.connection();
        match self {
            Trouble::Full => set_pages_max(connection, i64::from(i32::MAX)),
            Trouble::ReadOnly => connection.pragma_update(None, "query_only", false).unwrap(),
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Trouble::Full => "the disk is full",
            Trouble::ReadOnly => "the file system is read-only",
        }
    }
}

fn set_pages_max(connection: &rusqlite::Connection, pages: i64) {
    connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
}

/// A stranger's message too large for any free room: no commit with it fits into the present pages.
fn bulky(counter: u32) -> Frame {
    frame(77, counter, Payload::Raw { bytes: vec![counter as u8; 4_096], reason: "noise".into() })
}

#[test]
fn a_disk_that_refuses_loses_nothing() {
    for trouble in [Trouble::Full, Trouble::ReadOnly] {
        let mut hub = Hub::with_fridge();
        hub.hear(acked(climate(1, 1, 400), 1, 1));
        hub.commit();
        assert_eq!(hub.acks, [1]);
        let committed = hub.core().committed();
        assert!(hub.dir.path().join("ballast").exists());

        trouble.begin(&mut hub);
        hub.hear(acked(bulky(1), 1, 2));
        hub.commit();
        assert!(hub.core().failing().unwrap().reason.contains(trouble.reason()), "{trouble:?}");
        assert_eq!(hub.dir.path().join("ballast").exists(), trouble != Trouble::Full, "room to delete in");
        hub.pass(29 * SECOND);
        assert!(!hub.core().failing().unwrap().is_loud);
        hub.pass(SECOND);
        assert!(hub.core().failing().unwrap().is_loud);
        // People are told, and what they ask for is refused, not half done.
        let said = hub.ask(json!({ "request": "status" }))["hub"]["storage"].to_string();
        assert!(said.contains("FAILED") && said.contains(trouble.reason()), "{said}");
        assert!(hub.try_ask(json!({ "request": "units_add", "name": "B", "unit_type": "fridge" })).is_err());

        // Rules judge on.
        hub.hear(acked(climate(1, 2, 900), 1, 3));
        assert_eq!(hub.shown(1), "excursion", "{trouble:?}");
        for counter in 3..14 {
            hub.pass(MINUTE);
            hub.hear(acked(climate(1, counter, 900), 1, u64::from(counter) + 1));
        }
        assert_eq!(hub.shown(1), "alarm_active");
        assert_eq!((hub.acks.len(), hub.alerts().len(), hub.core().committed()), (1, 0, committed));
        assert_eq!(hub.row("SELECT count(*) FROM hub_log"), "1");
        assert!(hub.count("store.failed_commits") > 100, "tried every second");

        trouble.end(&mut hub);
        hub.pass(SECOND);
        assert!(hub.core().failing().is_none());
        assert_eq!(hub.acks, (1..=14).collect::<Vec<u64>>(), "in the order heard");
        assert_eq!(hub.alerts(), ["alarm_active|critical|active"]);
        let times = hub.rows("SELECT mono_ms FROM hub_log ORDER BY seq");
        assert_eq!(times.len(), 13);
        assert!(times.iter().map(|time| time.parse::<i64>().unwrap()).is_sorted());
        assert_eq!(hub.row("SELECT count(*) FROM hub_frames"), "14");
        hub.commit();
        assert_eq!(hub.row("SELECT count(*) FROM event_logs WHERE event_type LIKE '%storage%'"), "1");
        hub.check_audit();
        hub.reboot(0);
        assert_eq!((hub.shown(1), hub.alerts().len()), ("alarm_active".to_owned(), 1));
    }
}

#[test]
fn a_power_cut_while_the_disk_refuses() {
    for trouble in [Trouble::Full, Trouble::ReadOnly] {
        let mut hub = Hub::with_fridge();
        hub.hear(climate(1, 1, 400));
        hub.commit();
        trouble.begin(&mut hub);
        hub.hear(acked(bulky(1), 1, 1));
        for counter in 2..5 {
            hub.hear(acked(climate(1, counter, 900), 1, u64::from(counter)));
            hub.pass(MINUTE);
        }
        assert_eq!(hub.acks, Vec::<u64>::new());
        hub.cut_power();
        hub.start();
        assert_eq!((hub.shown(1), hub.alerts()), ("ok".to_owned(), vec![]), "as it was committed");
        for counter in 2..5 {
            hub.hear(acked(climate(1, counter, 900), 2, u64::from(counter)));
        }
        hub.commit();
        assert_eq!(hub.acks, [2, 3, 4]);
        assert_eq!(hub.row("SELECT count(*) FROM hub_frames WHERE outcome = 'reading'"), "4", "{trouble:?}");
        assert_eq!(hub.alerts(), ["alarm_active|warning|active"]);
        hub.check_audit();
    }
}

#[test]
fn memory_is_bounded_and_what_does_not_fit_comes_again() {
    let mut hub = Hub::with_fridge();
    hub.hear(climate(1, 1, 400));
    hub.commit();
    Trouble::ReadOnly.begin(&mut hub);
    let heard = WRITES_MAX as u32 / 2 + 100;
    for counter in 2..heard + 2 {
        // Not `hear`, which ticks: the clock stands.
        let mut frame = acked(climate(1, counter, 400), 1, u64::from(counter));
        frame.at = MonoMs(0);
        hub.core().hear(SourceEvent::Frame(Box::new(frame)));
    }
    hub.pass(SECOND);
    assert!(hub.core().failing().is_some());
    assert!(hub.core().group.writes.len() <= WRITES_MAX + 2);
    // Judged all the same.
    hub.hear(climate(1, heard + 2, 900));
    assert_eq!(hub.shown(1), "excursion");
    Trouble::ReadOnly.end(&mut hub);
    hub.commit();
    let kept = hub.acks.len() as u32;
    assert!(kept < heard && kept > heard - 110, "{kept} of {heard}");
    assert_eq!(hub.acks, (2..kept as u64 + 2).collect::<Vec<u64>>(), "the first ones, in order");
    assert_eq!(hub.count("store.not_kept"), u64::from(heard - kept) + 1);
    // The broker sends the others again, on a new connection.
    for counter in kept + 2..heard + 2 {
        let mut frame = acked(climate(1, counter, 400), 2, u64::from(counter));
        frame.identity.packet.as_mut().unwrap().is_redelivered = true;
        hub.hear(frame);
    }
    hub.commit();
    assert_eq!(hub.acks.len() as u32, heard);
    assert_eq!(hub.row("SELECT count(*) FROM hub_log"), (heard + 1).to_string(), "each once");
    assert_eq!(hub.row("SELECT count(*) FROM hub_frames WHERE outcome = 'duplicate'"), "0");
    hub.check_audit();
}

#[test]
fn a_row_that_cannot_be_written_does_not_block_the_others() {
    let mut hub = Hub::with_fridge();
    hub.hear(climate(1, 1, 400));
    hub.commit();
    hub.hear(acked(climate(1, 2, 410), 1, 1));
    // A number that is taken.
    let bad = hub.core().group.writes.iter().find_map(|write| match write {
        Write::Log(row) => Some(LogRow { seq: crate::domain::Seq(row.seq.0 - 1), ..*row }),
        _ => None,
    });
    hub.core().group.push(Write::Log(bad.unwrap()));
    hub.hear(acked(climate(1, 3, 900), 1, 2));
    hub.pass(WINDOW);
    assert_eq!(hub.acks, [1, 2]);
    assert!(hub.core().failing().is_none());
    assert_eq!(hub.count("store.skipped_rows"), 1);
    assert_eq!(hub.rows("SELECT temperature FROM hub_log ORDER BY seq"), ["400", "410", "900"]);
    assert_eq!(hub.alerts(), ["alarm_active|warning|active"]);
    hub.check_audit();
}

#[test]
fn a_damaged_database_is_replaced() {
    for with_backup in [false, true] {
        let mut hub = Hub::with_fridge();
        hub.hear(climate(1, 1, 900));
        hub.commit();
        if with_backup {
            hub.core().store.backup().unwrap();
        }
        hub.stop();
        let path = hub.dir.path().join("hub.db");
        let mut bytes = std::fs::read(&path).unwrap();
        let len = bytes.len();
        bytes[len / 4..].fill(0xA5);
        std::fs::write(&path, bytes).unwrap();
        hub.start();
        assert!(hub.dir.path().join("damaged/001/hub.db").exists(), "the old one is kept");
        let began = hub.row(
            "SELECT json_extract(e.payload, '$.reason') FROM hub_audit AS a JOIN event_logs AS e ON e.id = a.event_id
             WHERE a.seq = 1 AND a.epoch_no = (SELECT max(no) FROM hub_epochs)",
        );
        assert!(began.contains("damaged"), "{began}");
        // Units and devices are in backups; readings are not.
        assert_eq!(hub.row("SELECT count(*) FROM hub_units"), if with_backup { "1" } else { "0" });
        if !with_backup {
            hub.add_unit("Fridge", "fridge");
            hub.pair(1, "Fridge");
        }
        hub.hear(climate(1, 2, 900));
        hub.commit();
        assert_eq!(hub.row("SELECT count(*) FROM hub_log"), "1");
        let open = "SELECT count(*) FROM alerts WHERE status != 'resolved'";
        assert_eq!(hub.row(open), "1", "backup: {with_backup}");
        hub.check_audit();
        hub.stop();
        hub.start();
        hub.check_audit();
    }
}

/// The database file alone, as somebody copies it who was told to.
fn swap_database(hub: &Hub, from: &str, to: &str) {
    let path = |name: &str| hub.dir.path().join(name);
    for gone in ["hub.db-wal", "hub.db-shm"] {
        let _ = std::fs::remove_file(path(gone));
    }
    std::fs::copy(path(from), path(to)).unwrap();
}

#[test]
fn an_older_database_that_is_put_back_goes_on_under_a_new_epoch() {
    let epochs = "SELECT count(*) FROM hub_epochs";
    let mut hub = Hub::with_fridge();
    hub.hear(climate(1, 1, 400));
    hub.stop();
    swap_database(&hub, "hub.db", "older.db");
    hub.start();
    assert_eq!(hub.row(epochs), "1", "a plain start");
    hub.hear(climate(1, 2, 410));
    hub.pass(11 * MINUTE);
    hub.cut_power();
    hub.start();
    assert_eq!(hub.row(epochs), "1", "a power cut is none of this");
    let first = hub.core().epoch();
    hub.stop();
    swap_database(&hub, "hub.db", "newer.db");

    swap_database(&hub, "older.db", "hub.db");
    hub.look();
    hub.start();
    let second = hub.core().epoch();
    assert_ne!(second, first);
    assert!(hub.core().epoch_reason().starts_with("an older database was put back: it ends at "));
    hub.hear(climate(1, 3, 420));
    hub.commit();
    hub.check_audit();
    assert_eq!(hub.row("SELECT count(*), max(epoch_no) FROM hub_log"), "2|2");
    hub.cut_power();
    hub.start();
    assert_eq!(hub.core().epoch(), second, "once is enough");
    hub.stop();

    // The newer one again: it does not know what was heard under the second epoch.
    swap_database(&hub, "newer.db", "hub.db");
    hub.start();
    let third = hub.core().epoch();
    assert!(hub.core().epoch_reason().starts_with("another database was put in place: it lacks the epoch"));
    assert!(third != first && third != second);
    hub.check_audit();
    for _ in 0..3 {
        hub.cut_power();
        hub.look();
        hub.start();
        assert_eq!(hub.core().epoch(), third, "once is enough");
    }
}

#[test]
fn a_copy_that_an_upgrade_made_is_older_than_the_shortest_life_after_it() {
    let mut hub = Hub::with_fridge();
    hub.stop();
    swap_database(&hub, "hub.db", "before.db");
    // The new program ends at once, a few times.
    for _ in 0..3 {
        hub.start();
        hub.cut_power();
    }
    swap_database(&hub, "before.db", "hub.db");
    hub.start();
    assert!(hub.core().epoch_reason().starts_with("an older database was put back"));
}

#[test]
fn what_replaces_a_damaged_database_begins_one_epoch() {
    for has_backup in [true, false] {
        let mut hub = Hub::with_fridge();
        // An epoch that no backup knows is the one that was written last.
        if has_backup {
            hub.core().store.backup().unwrap();
            hub.core().rewind("the receiver knows more").unwrap();
        }
        hub.stop();
        std::fs::write(hub.dir.path().join("hub.db"), "no database").unwrap();
        hub.start();
        let begun = hub.core().epoch();
        for _ in 0..3 {
            hub.cut_power();
            hub.start();
            assert_eq!(hub.core().epoch(), begun, "with a backup: {has_backup}");
        }
    }
}

#[test]
fn what_was_reached_may_be_missing_or_unreadable() {
    let mut hub = Hub::with_fridge();
    let noted = hub.dir.path().join("hub.db.reached");
    let long = "0".repeat(5_000);
    for text in ["", "nonsense", "0123 7\n", "00112233445566778899aabbccddeeff 00000000000000000", &long] {
        hub.hear(climate(1, 1, 400));
        hub.stop();
        std::fs::write(&noted, text).unwrap();
        hub.start();
        let mended = std::fs::read_to_string(&noted).unwrap();
        assert!(mended.len() == 54 && mended.ends_with('\n'), "{mended:?} after {text:?}");
    }
    hub.stop();
    std::fs::remove_file(&noted).unwrap();
    hub.start();
    assert_eq!(hub.row("SELECT count(*) FROM hub_epochs"), "1");
}
