//! The self-test as an installer runs it: the real program, scripts in its child process.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::tempdir;

fn selftest(dir: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_frostguard-hub"))
        .args(["selftest", "--dir"])
        .arg(dir)
        .output()
        .expect("start the hub's program")
}

#[test]
fn a_good_machine_passes_and_keeps_nothing_of_it() {
    let data = tempdir().expect("make a data folder");
    let output = selftest(data.path());
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{table}{}", String::from_utf8_lossy(&output.stderr));
    let passed: Vec<&str> = table.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(passed, ["ok"; 7], "{table}");
    for part in ["write-ahead log", "TLS13", "in a child process", "Ed25519", "/dev/pts/", "p50", "p99"] {
        assert!(table.contains(part), "{part} is missing in:\n{table}");
    }
    assert_eq!(std::fs::read_dir(data.path()).expect("look into the data folder").count(), 0);
}

#[test]
fn the_exit_code_tells_that_a_check_failed() {
    let folder = tempdir().expect("make a folder");
    let output = selftest(&folder.path().join("missing"));
    let table = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{table}");
    assert_eq!(table.lines().filter(|line| line.contains("FAILED")).count(), 2, "{table}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("2 of 7 checks failed: sqlite, disk"), "{said}");
}
