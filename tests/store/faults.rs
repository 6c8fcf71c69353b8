//! Damage, a full disk, a read-only file system: each has an answer, and none loses what was committed.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::*;

/// Committed readings that stand in the database of `seeded`.
const SEEDED: i64 = 300;

/// A closed database with a site, readings and an audit row; and a backup of it if `has_backup`.
fn seeded(dir: &TempDir, has_backup: bool) -> epochs::EpochRow {
    let (mut store, _) = open(dir, 1);
    site(&mut store, 2);
    store
        .write(|tx| {
            boots::insert(tx, &boot(1, 1, 0))?;
            boots::persist_wall(tx, UnixMs(START))?;
            minutely(1, 2, 1, 0..SEEDED / 2).iter().try_for_each(|row| log::append(tx, row))?;
            audit::append(tx, &audit_row())?;
            tx.execute("UPDATE hub_lanes SET next_seq = 9, acked_seq = 8", [])?;
            Ok(())
        })
        .unwrap();
    if has_backup {
        store.backup().unwrap();
    }
    let epoch = epochs::current(store.connection()).unwrap();
    store.close().unwrap();
    epoch
}

fn audit_row() -> audit::AuditRow<'static> {
    audit::AuditRow {
        epoch_no: 1,
        seq: 1,
        id: uuid::Uuid::from_bytes([3; 16]),
        canonical: b"canonical",
        organization: uuid::Uuid::nil(),
        actor: None,
        actor_type: "system",
        event_type: "hub.started",
        event_category: None,
        entity_type: "hub",
        entity: None,
        description: None,
        payload: None,
        old_values: None,
        new_values: None,
        previous_hash: "0",
        hash: "a1b2",
        occurred_at: UnixMs(START),
    }
}

/// Damages a database file that stood alone (no WAL).
type Damage = fn(&Path);

const DAMAGES: [(&str, Damage); 5] = [
    ("zero bytes", |path| fs::write(path, b"").unwrap()),
    ("garbage in the header", |path| overwrite(path, 0, 64)),
    ("cut in half", |path| {
        let bytes = fs::metadata(path).unwrap().len();
        fs::File::options().write(true).open(path).unwrap().set_len(bytes / 2 / 4_096 * 4_096).unwrap();
    }),
    ("garbage in every page but the first", |path| {
        overwrite(path, 4_096, fs::metadata(path).unwrap().len() - 4_096);
    }),
    ("another program's database", |path| {
        fs::remove_file(path).unwrap();
        let other = rusqlite::Connection::open(path).unwrap();
        other.execute_batch("CREATE TABLE notes (text TEXT)").unwrap();
    }),
];

fn overwrite(path: &Path, from: u64, bytes: u64) {
    use std::os::unix::fs::FileExt;
    let file = fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(&vec![0xa5; bytes as usize], from).unwrap();
}

#[test]
fn a_damaged_database_is_set_aside_and_the_backup_takes_its_place() {
    for (what, damage) in DAMAGES {
        let dir = TempDir::new().unwrap();
        let former = seeded(&dir, true);
        damage(&dir.path().join("hub.db"));
        let damaged = fs::read(dir.path().join("hub.db")).unwrap();

        let (store, report) = open(&dir, 2);
        let Recovery::Restored { set_aside: Some(aside), backup, .. } = &report.recovery else {
            panic!("{what}: {report:?}")
        };
        assert!(backup.ends_with("backup/hub-000001.db"), "{what}");
        assert!(fs::read(aside.join("hub.db")).unwrap() == damaged, "{what}: kept as it was");
        assert!(fs::read_to_string(aside.join("reason.txt")).unwrap().len() > 5);
        assert_eq!(report.messages.len(), 1, "{what}: {:?}", report.messages);

        let epoch = epochs::current(store.connection()).unwrap();
        assert_ne!(epoch.epoch, former.epoch, "{what}");
        assert_eq!(epoch.former_epoch, Some(former.epoch), "{what}");
        assert_eq!(epoch.former_head.as_deref(), Some("a1b2"), "{what}");
        assert_eq!(store.audit_head(), audit::Head::first(), "{what}");
        assert_eq!(count(&store, "SELECT count(*) FROM units"), 2, "{what}");
        assert_eq!(count(&store, "SELECT count(*) FROM event_logs"), 1, "{what}");
        assert_eq!(count(&store, "SELECT count(*) FROM hub_log"), 0, "{what}: readings are not in backups");
        assert_eq!(count(&store, "SELECT sum(next_seq) FROM hub_lanes"), 2, "{what}: numbered anew");
        assert_eq!(boots::persisted_wall(store.connection()).unwrap(), Some(UnixMs(START)), "{what}");
        assert_eq!(epochs::next_seq(store.connection(), epoch.no).unwrap(), Seq(1), "{what}");
        store.close().unwrap();

        let (_, report) = open(&dir, 3);
        assert_eq!(report.recovery, Recovery::Found, "{what}: the next start is a plain one");
    }
}

#[test]
fn without_a_sound_backup_a_new_database_goes_on() {
    for (what, damage) in DAMAGES {
        let dir = TempDir::new().unwrap();
        let former = seeded(&dir, true);
        // The backup is damaged as well; both stay.
        overwrite(&dir.path().join("backup/hub-000001.db"), 4_096, 8_192);
        damage(&dir.path().join("hub.db"));
        let (mut store, report) = open(&dir, 2);
        assert!(matches!(report.recovery, Recovery::Anew { .. }), "{what}: {report:?}");
        assert!(
            dir.path().join("backup/hub-000001.db").exists()
                && dir.path().join("damaged/001/hub.db").exists()
        );
        let epoch = epochs::current(store.connection()).unwrap();
        assert_ne!(epoch.epoch, former.epoch, "{what}");
        store.write(|tx| boots::insert(tx, &boot(1, 1, 0))).unwrap();
        let stamp = Stamp { segment: 1, mono: MonoMs(1) };
        store.write(|tx| log::append(tx, &reading(epoch.no, 1, 1, stamp))).unwrap();
    }
}

#[test]
fn a_database_that_is_gone_comes_back_from_the_backup() {
    let dir = TempDir::new().unwrap();
    let former = seeded(&dir, true);
    fs::remove_file(dir.path().join("hub.db")).unwrap();
    let (store, report) = open(&dir, 2);
    assert!(matches!(report.recovery, Recovery::Restored { set_aside: None, .. }), "{report:?}");
    assert_ne!(epochs::current(store.connection()).unwrap().epoch, former.epoch);
}

#[test]
fn damage_met_while_running_is_found_by_the_next_start() {
    let dir = TempDir::new().unwrap();
    seeded(&dir, true);
    let (store, _) = open(&dir, 2);
    let path = dir.path().join("hub.db");
    overwrite(&path, 4_096, fs::metadata(&path).unwrap().len() - 4_096);
    let error = Store::reader(dir.path())
        .and_then(|reader| {
            let sum =
                reader.query_row("SELECT sum(temperature) FROM hub_log", [], |row| row.get::<_, i64>(0));
            sum.map_err(|error| store.explain(error.into()))
        })
        .unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    assert!(error.to_string().contains("hub.db") && error.to_string().contains("set aside"), "{error}");
    assert!(dir.path().join("hub.db.suspect").exists());
    drop(store);
    let (_, report) = open(&dir, 3);
    assert!(matches!(report.recovery, Recovery::Restored { .. }), "{report:?}");
    assert!(!dir.path().join("hub.db.suspect").exists());
}

#[test]
fn a_false_alarm_costs_one_look_and_no_reading() {
    let dir = TempDir::new().unwrap();
    let former = seeded(&dir, true);
    fs::write(dir.path().join("hub.db.suspect"), "a bit fell over in memory").unwrap();
    let (store, report) = open(&dir, 2);
    assert_eq!(report.recovery, Recovery::Found);
    assert_eq!(epochs::current(store.connection()).unwrap().epoch, former.epoch);
    assert_eq!(count(&store, "SELECT count(*) FROM hub_log"), SEEDED);
    assert!(!dir.path().join("hub.db.suspect").exists());
}

#[test]
fn three_backups_are_kept_and_what_a_crash_left_is_removed() {
    let dir = TempDir::new().unwrap();
    seeded(&dir, false);
    let (store, _) = open(&dir, 2);
    for _ in 0..5 {
        store.backup().unwrap();
    }
    drop(store);
    let list = || {
        let entries = fs::read_dir(dir.path().join("backup")).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let kept = ["hub-000003.db", "hub-000004.db", "hub-000005.db"];
    assert_eq!(list(), kept);
    for left in
        ["hub.db.migrating.unfinished", "hub.db.new.unfinished-journal", "backup/hub.db.backup.unfinished"]
    {
        fs::write(dir.path().join(left), "half").unwrap();
    }
    let (_, report) = open(&dir, 3);
    assert_eq!(report.recovery, Recovery::Found);
    assert_eq!(list(), kept);
    assert!(!dir.path().join("hub.db.migrating.unfinished").exists());
}

#[test]
fn a_full_database_frees_the_ballast_and_keeps_what_was_committed() {
    let dir = TempDir::new().unwrap();
    seeded(&dir, false);
    let (mut store, _) = open(&dir, 2);
    let pages = count(&store, "PRAGMA page_count");
    store.connection().pragma_update(None, "max_page_count", pages + 3).unwrap();
    let error = fill(&mut store, 1_000);
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("hub.db") && text.contains("disk is full"), "{text}");
    assert!(!dir.path().join("ballast").exists());
    // Nothing of the failed group is there, all of the others is, and there is room again.
    let rows = count(&store, "SELECT count(*) FROM hub_log");
    assert_eq!((rows - SEEDED) % 50, 0);
    store.connection().pragma_update(None, "max_page_count", pages + 1_000).unwrap();
    let stamp = Stamp { segment: 1, mono: MonoMs(1) };
    store.write(|tx| log::append(tx, &reading(1, 99_999, 1, stamp))).unwrap();
    assert_eq!(count(&store, "SELECT count(*) FROM hub_log"), rows + 1);
}

/// Writes groups of 50, numbered from `first`, until one fails.
fn fill(store: &mut Store, first: u64) -> StoreError {
    for group in 0..1_000u64 {
        let rows = minutely(first + group * 50, 50, 1, 500..501);
        if let Err(error) = store.write(|tx| rows.iter().try_for_each(|row| log::append(tx, row))) {
            return error;
        }
    }
    panic!("the disk never became full");
}

/// A file system of its own; needs the right to mount.
struct Mount(TempDir);

impl Mount {
    fn tmpfs(size: &str) -> Option<Self> {
        let dir = TempDir::new().unwrap();
        mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs", dir.path().to_str().unwrap()])
            .then_some(Self(dir))
    }

    /// In a file of 24 MiB.
    fn ext4() -> Option<Self> {
        let image = tempfile::NamedTempFile::new().unwrap();
        image.as_file().set_len(24 << 20).unwrap();
        let path = image.path().to_str().unwrap();
        let made = Command::new("mkfs.ext4").args(["-q", path]).output();
        if !made.is_ok_and(|output| output.status.success()) {
            return None;
        }
        let dir = TempDir::new().unwrap();
        // The loop device keeps the file alive after its name is gone.
        mount(&["-o", "loop", path, dir.path().to_str().unwrap()]).then_some(Self(dir))
    }

    fn make_read_only(&self) -> bool {
        mount(&["-o", "remount,ro", self.0.path().to_str().unwrap()])
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn mount(arguments: &[&str]) -> bool {
    Command::new("mount").args(arguments).output().is_ok_and(|output| output.status.success())
}

#[test]
fn a_full_disk_gives_way_by_the_ballast() {
    let Some(disk) = Mount::tmpfs("3m") else {
        // Without the right to mount, the bound of pages is the disk: the same error by the same way.
        return a_full_database_frees_the_ballast_and_keeps_what_was_committed();
    };
    seeded(&disk.0, false);
    let (mut store, report) = open(&disk.0, 2);
    assert_eq!(report.messages, [""; 0]);
    let error = fill(&mut store, 1_000);
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error:?}");
    assert!(!disk.0.path().join("ballast").exists());
    let rows = count(&store, "SELECT count(*) FROM hub_log");
    store
        .write(|tx| minutely(90_000, 50, 1, 500..501).iter().try_for_each(|row| log::append(tx, row)))
        .unwrap();
    assert_eq!(count(&store, "SELECT count(*) FROM hub_log"), rows + 50);
    // A second time there is no ballast; the error stays the same and nothing that was committed goes.
    let error = fill(&mut store, 200_000);
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error:?}");
    drop(store);
    let (store, report) = open(&disk.0, 3);
    assert_eq!(report.recovery, Recovery::Found);
    assert!(report.messages[0].contains("disk is full"), "{:?}", report.messages);
    assert!(count(&store, "SELECT count(*) FROM hub_log") >= rows + 50);
}

#[test]
fn a_read_only_file_system_is_named_as_such() {
    let Some(disk) = Mount::tmpfs("8m") else {
        return a_folder_without_the_right_to_write_is_named();
    };
    seeded(&disk.0, false);
    assert!(disk.make_read_only());
    let error = Store::open(&options(&disk.0), &mut random(2)).err().unwrap();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(disk.0.path().to_str().unwrap()) && text.contains("read-only"), "{text}");
}

/// What a process without the right to mount can have of it: a folder that it may not write. Root may write in any (and
/// in a container it often may not mount): for it a file stands where the folder should be.
fn a_folder_without_the_right_to_write_is_named() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let dir = TempDir::new().unwrap();
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let (path, why) = if is_root {
        fs::write(dir.path().join("file"), "").unwrap();
        (dir.path().join("file"), "exists")
    } else {
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o500)).unwrap();
        (dir.path().to_owned(), "ermission denied")
    };
    let error = Store::open(&OpenOptions { dir: path, ..options(&dir) }, &mut random(2)).err().unwrap();
    assert!(matches!(error, StoreError::Io { .. }), "{error:?}");
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn a_file_system_that_becomes_read_only_under_a_running_store_is_named_too() {
    let Some(disk) = Mount::ext4() else {
        return a_folder_without_the_right_to_write_is_named();
    };
    seeded(&disk.0, false);
    let (mut store, _) = open(&disk.0, 2);
    // What ext4 does by itself when a card stops taking writes.
    assert!(mount(&["-o", "remount,abort", disk.0.path().to_str().unwrap()]));
    let stamp = Stamp { segment: 1, mono: MonoMs(1) };
    let error = store.write(|tx| log::append(tx, &reading(1, 5_000, 1, stamp))).unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
    assert!(error.to_string().contains("read-only"), "{error}");
    assert_eq!(count(&store, "SELECT count(*) FROM hub_log"), SEEDED, "reading goes on");
}
