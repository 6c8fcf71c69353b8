//! Where the programs are that tests start. `tests/run` gives the paths; PostgreSQL and the brokers are also found where
//! Debian puts them. What is missing fails the test with what to do: a test that skips proves nothing.

use std::path::{Path, PathBuf};

use super::cluster;

/// The folder of `initdb` and `postgres`.
#[track_caller]
pub fn postgres_programs() -> PathBuf {
    cluster::programs().expect(
        "PostgreSQL's initdb and postgres are missing: run tests/run, which gets them, or set PG_BIN to their folder",
    )
}

#[track_caller]
pub fn mosquitto_program() -> PathBuf {
    let path = from_variable("MOSQUITTO").or_else(|| on_path("mosquitto"));
    found(path, "the MQTT broker", "mosquitto", "MOSQUITTO to its path")
}

#[track_caller]
pub fn pgbouncer_program() -> PathBuf {
    let path = from_variable("PGBOUNCER").or_else(|| on_path("pgbouncer"));
    found(path, "the pooler", "pgbouncer", "PGBOUNCER to its path")
}

#[track_caller]
pub fn dbus_daemon_program() -> PathBuf {
    let path = from_variable("DBUS_DAEMON").or_else(|| on_path("dbus-daemon"));
    found(path, "the D-Bus", "dbus-daemon", "DBUS_DAEMON to its path")
}

/// The receiver's binary. Cargo tells tests only of binaries of their own package, and one found lying in `target` may be
/// older than the code: so its path is always given.
#[track_caller]
pub fn receiver_program() -> PathBuf {
    let hint = "FROSTGUARD_RECEIVER to what `cargo build -p frostguard-sync --features receiver` makes";
    found(from_variable("FROSTGUARD_RECEIVER"), "the receiver", "frostguard-receiver", hint)
}

/// The hub's binary: the production build by `tests/run`, else the one cargo built for this test.
#[track_caller]
pub fn hub_program() -> PathBuf {
    let built = || option_env!("CARGO_BIN_EXE_frostguard-hub").map(PathBuf::from);
    found(
        from_variable("FROSTGUARD_HUB").or_else(built),
        "the hub",
        "frostguard-hub",
        "FROSTGUARD_HUB to its path",
    )
}

/// The hub's binary with the demonstration in it.
#[track_caller]
pub fn demo_program() -> PathBuf {
    let built = || option_env!("CARGO_BIN_EXE_frostguard-hub").map(PathBuf::from);
    let path = from_variable("FROSTGUARD_HUB_DEMO").or_else(built);
    found(
        path,
        "the demonstration",
        "frostguard-hub",
        "FROSTGUARD_HUB_DEMO to what `cargo build --features demo` makes",
    )
}

fn from_variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

#[track_caller]
fn found(path: Option<PathBuf>, what: &str, name: &str, variable: &str) -> PathBuf {
    match path {
        Some(path) if path.is_file() => path,
        Some(path) => panic!("{what} {name} is not at {}: run tests/run, or set {variable}", path.display()),
        None => panic!("{what} {name} is missing: run tests/run, which gets or builds it, or set {variable}"),
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers where an ordinary user's PATH does not lead.
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|path| Path::is_file(path))
}
