//! What the services may do: systemd's own judgement, and that the README gives a reason for each device.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::{Scratch, repository};

const UNITS: [&str; 2] = ["frostguard-hub.service", "frostguard-receiver.service"];
/// Of 10; systemd calls less than 2 "OK".
const EXPOSURE_LIMIT: f64 = 2.0;

fn unit(name: &str) -> String {
    fs::read_to_string(repository("systemd").join(name)).expect("read a unit")
}

/// Values of a setting, in order.
fn values<'a>(unit: &'a str, setting: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(setting)?.strip_prefix('=')).collect()
}

/// None, and a word on it: this system has no systemd.
fn systemd_analyze(arguments: &[&str], file: &Path) -> Option<Output> {
    let output = Command::new("systemd-analyze").args(arguments).arg(file).output();
    if output.is_err() {
        println!("skipped: systemd-analyze is not on this system");
    }
    output.ok()
}

#[test]
fn systemd_understands_every_line_of_the_units() {
    let scratch = Scratch::new("units");
    for name in UNITS {
        // The programs are not installed here.
        let text: String = unit(name)
            .lines()
            .map(|line| match line.split_once('=') {
                Some((setting @ ("ExecStart" | "ExecStopPost"), _)) => format!("{setting}=/bin/true\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let file = scratch.write(name, &text);
        let Some(output) = systemd_analyze(&["verify", "--man=no"], &file) else { return };
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains(name), "{name}: {said}");
    }
}

#[test]
fn both_services_are_little_exposed() {
    for name in UNITS {
        let file = repository("systemd").join(name);
        let Some(output) = systemd_analyze(&["security", "--offline=true", "--no-pager"], &file) else {
            return;
        };
        let table = String::from_utf8_lossy(&output.stdout);
        let (_, level) = table.split_once("Overall exposure level for ").expect("it sums up");
        let level: f64 = level
            .split_whitespace()
            .nth(1)
            .and_then(|number| number.parse().ok())
            .expect("the sum is a number");
        assert!(level < EXPOSURE_LIMIT, "{name} is exposed by {level}:\n{table}");
    }
}

/// Whoever adds a source or takes a directive away finds its reason, and the table cannot fall behind.
#[test]
fn the_readme_says_which_source_needs_what() {
    let readme = fs::read_to_string(repository("README.md")).expect("read the README");
    let (_, table) = readme.split_once("What the service may do").expect("the README has the table");
    let unit = unit(UNITS[0]);
    for device in values(&unit, "DeviceAllow") {
        let device = device.split(' ').next().expect("a device");
        assert!(table.contains(&format!("`{device}`")), "{device} is not in the README's table");
    }
    for family in values(&unit, "RestrictAddressFamilies").join(" ").split(' ') {
        assert!(table.contains(&format!("`{family}`")), "{family} is not in the README's table");
    }
}

/// The lines are applied in order, and what is taken away includes the clock.
#[test]
fn the_hub_may_ask_how_good_the_clock_is() {
    let unit = unit(UNITS[0]);
    let filters = values(&unit, "SystemCallFilter");
    assert!(
        filters[0].contains("@system-service"),
        "the first line says that it is a list of what is allowed"
    );
    let asking = filters.last().expect("there is a filter");
    assert!(["adjtimex", "clock_adjtime"].iter().all(|call| asking.split(' ').any(|word| word == *call)));
    assert_eq!(values(&unit, "ProtectClock"), [""; 0], "it would refuse asking, too");
}

/// `pause-before-restart` with a `sleep` that writes down that it was called, and does what the test says.
struct Pause {
    scratch: Scratch,
}

impl Pause {
    fn new(sleep: &str) -> Self {
        let scratch = Scratch::new("pause");
        fs::create_dir(scratch.join("etc")).expect("make the folder of configurations");
        scratch.write("etc/hub.toml", "mistake");
        let lines = format!("cd '{}'\necho \"$1\" >>asleep\n{sleep}", scratch.path().display());
        // By another process: a child that a test beside this one starts meanwhile would hold a file of this process open,
        // and an open one is not run.
        let write = "printf '#!/bin/sh\n%s\n' \"$1\" > \"$0\" && chmod +x \"$0\"";
        let written = Command::new("sh").args(["-c", write]).arg(scratch.join("sleep")).arg(lines).status();
        assert!(written.expect("there is a shell").success());
        Self { scratch }
    }

    /// After the service ended with `result`; gives how often it slept for a second.
    #[track_caller]
    fn ended(&self, result: &str) -> usize {
        let scratch = self.scratch.path();
        let path = format!("{}:{}", scratch.display(), std::env::var("PATH").unwrap_or_default());
        let status = Command::new(repository("systemd/pause-before-restart"))
            .env("PATH", path)
            .env("RUNTIME_DIRECTORY", scratch)
            .env("CONFIGURATION_DIRECTORY", scratch.join("etc"))
            .env("SERVICE_RESULT", result)
            .status()
            .expect("run the pause");
        assert!(status.success());
        let asleep = self.scratch.join("asleep");
        let slept = fs::read_to_string(&asleep).unwrap_or_default();
        let _ = fs::remove_file(asleep);
        assert!(slept.lines().all(|seconds| seconds == "1"), "{slept}");
        slept.lines().count()
    }
}

/// What systemd would do by itself only since version 254.
#[test]
fn the_pause_before_a_restart_grows_and_is_forgotten() {
    let pause = Pause::new("");
    let slept: Vec<usize> = (0..9).map(|_| pause.ended("watchdog")).collect();
    assert_eq!(slept, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    assert_eq!((pause.ended("success"), pause.ended("exit-code"), pause.ended("exit-code")), (0, 1, 2));

    // The last failure is long ago.
    let count = pause.scratch.join("failures");
    let file = fs::File::options().append(true).open(&count).expect("the count is kept");
    file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000)).expect("age it");
    assert_eq!(pause.ended("exit-code"), 1);
}

/// `systemctl restart` waits for the pause.
#[test]
fn the_pause_ends_when_the_configuration_is_changed() {
    for (change, slept) in [
        // As `echo` does, as `sudoedit` does, another file, and one that is no configuration.
        ("echo '# mended' >>etc/hub.toml", 3),
        ("cp etc/hub.toml etc/new && mv etc/new etc/hub.toml", 3),
        ("echo >etc/receiver.toml", 3),
        ("rm -f etc/hub.toml", 3),
        ("echo >etc/hub.toml.bak", 4),
    ] {
        let pause = Pause::new(&format!("[ \"$(wc -l <asleep)\" -ne 3 ] || {{ {change}; }}"));
        for before in [1, 2] {
            assert_eq!(pause.ended("exit-code"), before, "{change}");
        }
        assert_eq!(pause.ended("exit-code"), slept, "{change}");
    }
    // A board without a clock of its own: a file from its future is no change.
    let pause = Pause::new("");
    let file = fs::File::options().append(true).open(pause.scratch.join("etc/hub.toml")).expect("open it");
    file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(7_900_000_000))
        .expect("date it");
    assert_eq!((pause.ended("exit-code"), pause.ended("exit-code")), (1, 2));
}

#[test]
fn both_are_started_again_without_a_limit_and_told_apart_from_root() {
    let mut users = BTreeSet::new();
    for name in UNITS {
        let unit = unit(name);
        assert_eq!(values(&unit, "StartLimitIntervalSec"), ["0"], "{name}");
        assert_eq!(values(&unit, "Restart"), ["always"], "{name}");
        assert_eq!(values(&unit, "CapabilityBoundingSet"), [""], "{name}");
        users.extend(values(&unit, "User").iter().map(|user| (*user).to_owned()));
    }
    assert_eq!(users.len(), UNITS.len(), "{users:?}");
    assert!(!users.contains("root"));
}
