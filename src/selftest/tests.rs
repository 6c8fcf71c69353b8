use super::*;

/// The scripts run in a child process of the hub, which this test is not: the command's own test runs those.
fn bench(dir: &Path) -> Bench {
    Bench::new(dir, Arc::new(SystemClock::new().unwrap()), Surroundings::Emulator)
}

#[test]
fn every_check_passes_here_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // What a self-test that was killed leaves.
    std::fs::create_dir(folder.path().join("selftest")).unwrap();
    std::fs::write(folder.path().join("selftest/wal.db"), "half").unwrap();
    let bench = bench(folder.path());
    for Outcome { name, found } in run(&bench) {
        let found = found.unwrap_or_else(|error| panic!("{name}: {error:#}"));
        assert!(!found.is_empty(), "{name}");
    }
    drop(bench);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_serial_line_is_opened_as_the_hub_opens_it() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench { surroundings: Surroundings::Machine, ..bench(folder.path()) };
    let found = serial::check(&bench).unwrap();
    assert!(found.contains("/dev/pts/") && !found.contains("emulated"), "{found}");
}

#[test]
fn without_a_data_folder_the_checks_that_need_none_still_run() {
    let folder = tempfile::tempdir().unwrap();
    let failed: Vec<(&str, String)> = run(&bench(&folder.path().join("missing")))
        .into_iter()
        .filter_map(|outcome| Some((outcome.name, format!("{:#}", outcome.found.err()?))))
        .collect();
    assert_eq!(failed.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["sqlite", "disk"]);
    assert!(failed.iter().all(|(_, error)| error.contains("--dir")), "{failed:?}");
}

#[test]
fn two_at_once_do_not_meet() {
    let folder = tempfile::tempdir().unwrap();
    let first = bench(folder.path());
    let error = bench(folder.path()).dir().unwrap_err().to_string();
    assert!(error.contains("another self-test runs"), "{error}");
    first.dir().unwrap();
}
