//! Facts in, lines out.

mod hub;
mod machine;
mod net;

use super::super::Verdict::{self, Failure, Ok as Fine, Warning};
use super::super::facts::*;
use super::judge;
use crate::clock::NtpState;
use crate::domain::UnixMs;
use crate::store::figures::Figures;
use crate::store::partition::Space;

const NOW: i64 = 1_900_000_000_000;

/// A hub with nothing to complain about.
fn healthy() -> Facts {
    Facts {
        configuration: Configuration {
            path: Some("/etc/frostguard/hub.toml".into()),
            ..Configuration::default()
        },
        hub: Hub::Running(Box::new(running())),
        clock: Clock {
            wall_ms: NOW,
            built_ms: NOW - 1,
            ntp: NtpState::Synchronized { error_ms: 9 },
            rtc_ms: Some(NOW),
        },
        disk: Ok(Disk {
            dir: "/var/lib/frostguard".into(),
            space: Some(Space {
                total_bytes: 32 << 30,
                available_bytes: 20 << 30,
                files_total: 9_999,
                files_available: 9_000,
            }),
            mount: Some(Mount { point: "/".into(), kind: "ext4".into(), ..Mount::default() }),
            device: Some(Device {
                name: "mmcblk0".into(),
                card: Some("SD".into()),
                written_bytes: Some(3 << 30),
                errors: Some(0),
                ..Device::default()
            }),
        }),
        database: Ok(Database {
            exists: true,
            looked_at: "every page was looked at".into(),
            newest_backup_age_s: Some(3_600),
            figures: Some(Figures::default()),
            sensors: 1,
            ..Database::default()
        }),
        ports: Ok(vec![Port {
            name: "serial radio".into(),
            path: "/dev/ttyUSB0".into(),
            state: PortState::Open,
            is_held_by_hub: true,
            ..Port::default()
        }]),
        brokers: vec![Broker {
            name: "broker chirpstack".into(),
            url: "mqtt://localhost:1883".into(),
            signed_in: SignIn::Tried(Ok(())),
        }],
        has_modem: true,
        mail: Some(Mail {
            server: "smtp.example:465".into(),
            steps: Steps { tls: None, ..steps() },
            greeted: Some(Ok(())),
            signed_in: SignIn::Tried(Ok(())),
        }),
        webhooks: vec![Webhook {
            name: "webhook pager".into(),
            host: "hooks.example:443".into(),
            steps: steps(),
        }],
        net: Net {
            goal: Goal::Receiver { host: "central.example".into(), is_local: false, is_enrolled: true },
            interfaces_up: vec!["eth0".into()],
            has_route: true,
            steps: steps(),
            time: Some(Ok(-1_500)),
            receiver: Some(Ok(())),
            credential: Some(Ok(())),
        },
        files: Ok(vec![file("/var/lib/frostguard", Role::Own, 0o700)]),
    }
}

fn steps() -> Steps {
    Steps {
        dns: Some(Ok(vec!["192.0.2.1".into()])),
        tcp: Some(Ok("192.0.2.1:443".into())),
        tls: Some(Ok("TLSv1_3".into())),
    }
}

fn running() -> Running {
    Running {
        pid: 7,
        version: "1.0".into(),
        storage: "ok".into(),
        clock_trusted: true,
        clock_quality: "ntp".into(),
        sources: vec![("radio".into(), None)],
        sensors: vec![sensor("one", "reporting")],
        gateways: Some(vec![Gateway { name: "roof".into(), heard_age_s: Some(20) }]),
        modem: Some(Modem { is_ready: true, signal_dbm: Some(-70), ..Modem::default() }),
        channels: "sms".into(),
        contacts: 1,
        with_phone: 1,
        lines: vec![("signal buzzer".into(), None), ("button".into(), None)],
        ..Running::default()
    }
}

fn sensor(name: &str, state: &str) -> Sensor {
    Sensor {
        name: name.into(),
        state: state.into(),
        source: "serial".into(),
        port: "radio".into(),
        seen_age_s: Some(7_300),
        ..Sensor::default()
    }
}

fn file(path: &str, role: Role, mode: u32) -> File {
    File {
        path: path.into(),
        role,
        mode: Some(0o40_000 | mode),
        uid: 990,
        hub_uid: 990,
        hub_user: "frostguard".into(),
        is_readable: true,
    }
}

/// `want`: the lines that are not ok, by check, verdict and a part of what was found or what to do.
#[track_caller]
fn check(change: impl FnOnce(&mut Facts), want: &[(&str, Verdict, &str)]) {
    let mut facts = healthy();
    change(&mut facts);
    let lines = judge(&facts);
    let bad: Vec<_> = lines.iter().filter(|line| line.verdict != Fine).collect();
    assert_eq!(bad.len(), want.len(), "{bad:#?}");
    for (line, (check, verdict, part)) in bad.iter().zip(want) {
        let text = format!("{} | {}", line.found, line.todo.as_deref().unwrap_or_default());
        assert_eq!((line.check.as_str(), line.verdict), (*check, *verdict), "{line:#?}");
        assert!(text.contains(part), "{part}: {line:#?}");
    }
    for line in &lines {
        assert_eq!(line.todo.is_none(), line.verdict == Fine, "whoever complains says what to do: {line:?}");
    }
}

fn of_hub(change: impl FnOnce(&mut Running)) -> impl FnOnce(&mut Facts) {
    |facts| {
        let mut running = running();
        change(&mut running);
        facts.hub = Hub::Running(Box::new(running));
    }
}

fn of_disk(change: impl FnOnce(&mut Disk)) -> impl FnOnce(&mut Facts) {
    |facts| change(facts.disk.as_mut().unwrap())
}

fn of_database(change: impl FnOnce(&mut Database)) -> impl FnOnce(&mut Facts) {
    |facts| change(facts.database.as_mut().unwrap())
}

#[test]
fn a_healthy_hub_has_nothing_to_do() {
    check(|_| {}, &[]);
    // Each step has its line.
    let checks: Vec<String> = judge(&healthy()).into_iter().map(|line| line.check).collect();
    for step in ["link", "DNS", "TCP", "TLS", "time", "receiver"] {
        assert!(checks.contains(&format!("internet: {step}")), "{checks:?}");
    }
    for part in
        ["clock", "disk space", "disk wear", "file system", "database", "queue", "credential", "modem"]
    {
        assert!(checks.iter().any(|check| check == part), "{part}: {checks:?}");
    }
}
