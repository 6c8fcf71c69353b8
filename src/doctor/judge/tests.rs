//! Facts in, lines out.

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
            answered: Some(Ok(())),
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
    File { path: path.into(), role, mode: Some(0o40_000 | mode), uid: 990, hub_uid: 990 }
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

#[test]
fn configuration_and_hub() {
    check(
        |facts| {
            facts.configuration.errors = vec!["line 3: unknown key".into()];
            facts.configuration.warnings = vec!["odd".into()];
        },
        &[("configuration", Failure, "config check"), ("configuration", Warning, "odd")],
    );
    check(|facts| facts.hub = Hub::Stopped, &[("hub", Failure, "systemctl start")]);
    check(|facts| facts.hub = Hub::Mute("permission denied".into()), &[("hub", Failure, "as root")]);
    check(of_hub(|hub| hub.storage = "FAILED: full".into()), &[("hub", Failure, "cannot store: FAILED")]);
    check(of_hub(|hub| hub.sources[0].1 = Some("gone".into())), &[("source radio", Failure, "down: gone")]);
}

#[test]
fn clocks() {
    check(|facts| facts.clock.wall_ms = NOW - 2, &[("clock", Failure, "before this program was built")]);
    check(of_hub(|hub| hub.clock_trusted = false), &[("clock", Warning, "does not believe it")]);
    check(
        |facts| {
            facts.hub = Hub::Stopped;
            facts.clock.ntp = NtpState::Unsynchronized;
        },
        &[("hub", Failure, ""), ("clock", Warning, "not set by NTP")],
    );
    check(
        |facts| facts.clock.rtc_ms = Some(NOW - 3_600_000),
        &[("battery-backed clock", Warning, "off by 60 min")],
    );
    check(|facts| facts.clock.rtc_ms = None, &[]);
}

#[test]
fn disks() {
    let available = |bytes| of_disk(move |disk| disk.space.as_mut().unwrap().available_bytes = bytes);
    check(available(400 << 20), &[("disk space", Warning, "400 MiB of 32.0 GiB")]);
    check(available(10 << 20), &[("disk space", Failure, "10 MiB")]);
    check(
        of_disk(|disk| disk.space.as_mut().unwrap().files_available = 3),
        &[("disk space", Failure, "3 files")],
    );
    check(of_disk(|disk| disk.space = None), &[("disk space", Failure, "no folder /var/lib/frostguard")]);
    check(|facts| facts.disk = Err("no answer within 10 s".into()), &[("disk", Failure, "within 10 s")]);
    for (kind, verdict) in
        [("tmpfs", Some(Failure)), ("vfat", Some(Failure)), ("overlay", Some(Warning)), ("f2fs", None)]
    {
        let want = verdict.map(|verdict| ("file system", verdict, kind));
        check(of_disk(|disk| disk.mount.as_mut().unwrap().kind = kind.into()), want.as_slice());
    }
    check(
        of_disk(|disk| disk.mount.as_mut().unwrap().is_read_only = true),
        &[("file system", Failure, "read-only")],
    );
    check(
        of_disk(|disk| disk.device.as_mut().unwrap().errors = Some(2)),
        &[("file system", Failure, "2 errors")],
    );
    for (life, spare, verdict, part) in [
        (Some(1), Some(1), None, ""),
        (Some(8), Some(1), Some(Warning), "80 %"),
        (Some(11), Some(1), Some(Failure), "beyond"),
        (Some(1), Some(2), Some(Warning), "eight tenths"),
        (None, Some(3), Some(Failure), "nine tenths"),
    ] {
        let want = verdict.map(|verdict| ("disk wear", verdict, part));
        let change = of_disk(|disk| {
            let device = disk.device.as_mut().unwrap();
            (device.life_tenths, device.spare) = (life, spare);
        });
        check(change, want.as_slice());
    }
}

#[test]
fn databases() {
    check(
        |facts| facts.database = Err("permission denied".into()),
        &[("database", Failure, "permission denied")],
    );
    check(of_database(|database| database.exists = false), &[("database", Warning, "none yet")]);
    check(
        of_database(|database| database.damage = Some("page 7".into())),
        &[("database", Failure, "page 7")],
    );
    check(of_database(|database| database.is_suspect = true), &[("database", Warning, "restart")]);
    check(
        of_database(|database| database.set_aside = 2),
        &[("damaged databases", Warning, "2 were set aside")],
    );
    check(
        of_database(|database| database.newest_backup_age_s = Some(400_000)),
        &[("backup", Warning, "4 d 15 h old")],
    );
    check(
        of_database(|database| {
            database.bytes_max = Some(64 << 20);
            database.figures.as_mut().unwrap().database_bytes = 63 << 20;
        }),
        &[("database size", Warning, "63 MiB of 64 MiB")],
    );
}

#[test]
fn serial_ports() {
    for (state, want) in [
        (PortState::Missing, "there is no /dev/ttyUSB0"),
        (PortState::NoDevice, "no device"),
        (PortState::Closed("dialout".into()), "--groups dialout"),
    ] {
        let change = |facts: &mut Facts| facts.ports.as_mut().unwrap()[0].state = state;
        check(change, &[("serial radio", Failure, want)]);
    }
    check(
        |facts| {
            facts.hub = Hub::Stopped;
            facts.ports.as_mut().unwrap()[0].state = PortState::Closed("dialout".into());
        },
        &[("hub", Failure, ""), ("serial radio", Failure, "unless its unit has SupplementaryGroups=dialout")],
    );
    check(
        |facts| {
            let holder = Holder { pid: 9, name: "ModemManager".into() };
            facts.ports.as_mut().unwrap()[0].holders = vec![holder];
        },
        &[("serial radio", Warning, "ModemManager (9)")],
    );
    check(
        |facts| facts.ports.as_mut().unwrap()[0].is_held_by_hub = false,
        &[("serial radio", Warning, "does not seem to hold it")],
    );
    check(|facts| facts.ports = Err("no answer".into()), &[("serial ports", Warning, "no answer")]);
}

#[test]
fn a_slow_line_is_told_and_no_fault() {
    let told = |is_slow: bool| {
        let mut facts = healthy();
        of_hub(|hub| hub.is_onewire_slow = is_slow)(&mut facts);
        judge(&facts).iter().any(|line| line.check == "1-Wire" && line.found.contains("one after the other"))
    };
    assert_eq!((told(true), told(false)), (true, false));
    check(of_hub(|hub| hub.is_onewire_slow = true), &[]);
}

#[test]
fn gateways_and_sensors() {
    let heard = |age| of_hub(move |hub| hub.gateways.as_mut().unwrap()[0].heard_age_s = age);
    check(heard(None), &[("gateway roof", Failure, "never heard")]);
    check(heard(Some(700)), &[("gateway roof", Failure, "silent for 11 min")]);
    check(of_hub(|hub| hub.gateways = Some(Vec::new())), &[("gateways", Warning, "gateways add")]);
    check(of_hub(|hub| hub.gateways = None), &[]);
    check(of_hub(|hub| hub.sensors.clear()), &[("sensors", Warning, "none is paired")]);
    let all = |state: &'static str| of_hub(move |hub| hub.sensors = vec![sensor("one", state)]);
    check(all("awaited"), &[]);
    check(all("unassigned"), &[]);

    let silent = |change: fn(&mut Running), want: &str| {
        let change = |hub: &mut Running| {
            hub.sensors = vec![sensor("one", "silent"), sensor("two", "reporting")];
            change(hub);
        };
        let mut facts = healthy();
        of_hub(change)(&mut facts);
        let lines = judge(&facts);
        let line = lines.iter().find(|line| line.check == "sensor one").unwrap();
        assert!(line.found.contains(want), "{want}: {line:?}");
        assert!(lines.iter().any(|line| line.check == "sensors" && line.verdict == Failure), "{lines:?}");
    };
    silent(|_| {}, "silent for 2 h: it sends nothing");
    silent(|hub| hub.sources[0].1 = Some("unplugged".into()), "its source radio is down");
    silent(|hub| hub.sensors[0].battery = Some(4), "4 %");
    silent(|hub| hub.sensors[0].rssi = Some(-121), "-121 dBm");
    silent(|hub| hub.sensors[1].state = "silent".into(), "as all others over radio");
    silent(
        |hub| {
            hub.sensors[0].source = "lorawan".into();
            hub.gateways.as_mut().unwrap()[0].heard_age_s = Some(9_000);
        },
        "no gateway is heard",
    );
    silent(|hub| hub.sensors[0].seen_age_s = None, "never heard since the start");
}

#[test]
fn brokers_modem_and_people() {
    check(
        |facts| facts.brokers[0].answered = Some(Err("connection refused".into())),
        &[("broker chirpstack", Failure, "connection refused")],
    );
    check(
        |facts| facts.brokers[0].answered = None,
        &[("broker chirpstack", Warning, "as root while the hub runs")],
    );
    let modem = |change: fn(&mut Modem)| of_hub(move |hub| change(hub.modem.as_mut().unwrap()));
    check(modem(|modem| modem.problem = Some("the SIM asks for a PIN".into())), &[("modem", Failure, "PIN")]);
    check(modem(|modem| modem.is_ready = false), &[("modem", Failure, "not ready")]);
    check(modem(|modem| modem.signal_dbm = Some(-110)), &[("modem", Warning, "weak")]);
    check(of_hub(|hub| hub.modem = None), &[("modem", Warning, "restart")]);
    check(
        of_hub(|hub| hub.channels = "none: nobody is called".into()),
        &[("calling people", Warning, "[notify]")],
    );
    check(
        of_hub(|hub| hub.last_call_failure = Some("sms: no network".into())),
        &[("calling people", Warning, "no network")],
    );
}

#[test]
fn the_mail_server() {
    let of_mail = |change: fn(&mut Mail)| {
        move |facts: &mut Facts| {
            change(facts.mail.as_mut().unwrap());
        }
    };
    check(|facts| facts.mail = None, &[]);
    check(of_mail(|mail| mail.signed_in = SignIn::None), &[]);
    let fails = |mail: &mut Mail, steps: Steps| {
        (mail.steps, mail.greeted, mail.signed_in) = (steps, None, SignIn::None);
    };
    check(
        |facts| {
            let steps = Steps { dns: Some(Err("no such name".into())), ..Steps::default() };
            fails(facts.mail.as_mut().unwrap(), steps);
        },
        &[("mail", Failure, "smtp.example:465: no such name | see the host's name")],
    );
    check(
        |facts| {
            let steps = Steps { tcp: Some(Err("refused".into())), ..steps() };
            fails(facts.mail.as_mut().unwrap(), steps);
        },
        &[("mail", Failure, "refused | see host and port")],
    );
    check(
        of_mail(|mail| {
            (mail.greeted, mail.signed_in) = (Some(Err("it offers no STARTTLS".into())), SignIn::None);
        }),
        &[("mail", Failure, "no STARTTLS | see security")],
    );
    check(
        of_mail(|mail| mail.signed_in = SignIn::Tried(Err("535 5.7.8 no".into()))),
        &[("mail", Failure, "535 5.7.8 no | see username")],
    );
    check(of_mail(|mail| mail.signed_in = SignIn::OfService), &[("mail", Warning, "while the hub runs")]);
}

#[test]
fn webhooks() {
    let name = "webhook pager";
    let of_steps = |change: fn(&mut Steps)| {
        move |facts: &mut Facts| {
            change(&mut facts.webhooks[0].steps);
        }
    };
    check(of_steps(|steps| steps.tls = None), &[]);
    check(of_steps(|steps| steps.dns = None), &[]);
    check(
        of_steps(|steps| *steps = Steps { dns: Some(Err("no such name".into())), ..Steps::default() }),
        &[(name, Failure, "hooks.example:443: no such name")],
    );
    check(of_steps(|steps| steps.tcp = Some(Err("refused".into()))), &[(name, Failure, "firewall")]);
    check(
        of_steps(|steps| steps.tls = Some(Err("invalid peer certificate".into()))),
        &[(name, Failure, "invalid peer certificate | a wrong clock")],
    );
}

#[test]
fn the_way_to_the_receiver() {
    let none = |net: &mut Net| {
        (net.steps, net.time, net.receiver, net.credential) = Default::default();
    };
    let fails = || Some(Err("it fails".to_owned()));
    check(|facts| facts.net.interfaces_up.clear(), &[("internet: link", Failure, "no network interface")]);
    check(|facts| facts.net.has_route = false, &[("internet: link", Failure, "DHCP")]);
    check(
        |facts| {
            none(&mut facts.net);
            facts.net.steps.dns = Some(Err("it fails".into()));
        },
        &[("internet: DNS", Failure, "name server")],
    );
    check(
        |facts| {
            none(&mut facts.net);
            facts.net.steps.tcp = fails();
        },
        &[("internet: TCP", Failure, "firewall")],
    );
    check(
        |facts| {
            facts.net.steps.tls = fails();
            (facts.net.receiver, facts.net.credential) = (None, None);
            facts.net.time = Some(Ok(400_000));
        },
        &[("internet: TLS", Failure, "ca_file"), ("internet: time", Failure, "6 min ahead of this one")],
    );
    check(
        |facts| {
            (facts.net.receiver, facts.net.credential) = (Some(Err("503".into())), None);
        },
        &[("internet: receiver", Failure, "503")],
    );
    check(
        |facts| facts.net.credential = Some(Err("the receiver answered 401".into())),
        &[("credential", Failure, "--replace")],
    );
    check(of_hub(|hub| hub.uplink_problem = Some("timed out".into())), &[("uplink", Warning, "timed out")]);
    check(|facts| facts.net.goal = Goal::None, &[("central", Warning, "enroll")]);
    check(|facts| facts.net.goal = Goal::Off, &[]);
    check(
        |facts| facts.net.goal = Goal::Unknown("no database".into()),
        &[("central", Failure, "no database")],
    );
    check(
        |facts| {
            facts.net.goal = Goal::Receiver { host: "localhost".into(), is_local: true, is_enrolled: false };
            facts.net.interfaces_up.clear();
            facts.net.credential = None;
        },
        &[("credential", Warning, "not enrolled")],
    );
}

#[test]
fn queues() {
    let waits = |age_s: i64| {
        of_database(move |database| {
            let figures = database.figures.as_mut().unwrap();
            (figures.unsent, figures.oldest_unsent) = (40, Some(UnixMs(NOW - age_s * 1_000)));
        })
    };
    check(waits(60), &[]);
    check(waits(7_300), &[("queue", Warning, "40 readings")]);
    check(
        |facts| {
            waits(7_300)(facts);
            of_hub(|hub| hub.clock_trusted = false)(facts);
        },
        &[("clock", Warning, ""), ("queue", Warning, "trusted clock")],
    );
    check(
        |facts| {
            waits(7_300)(facts);
            facts.net.goal = Goal::Off;
        },
        &[],
    );
    check(
        of_database(|database| database.figures.as_mut().unwrap().refused = 3),
        &[("refused rows", Warning, "dead-letters")],
    );
}

#[test]
fn files_belong_to_the_hub() {
    let own = |file: File| |facts: &mut Facts| facts.files = Ok(vec![file]);
    for (role, mode, want) in [
        (Role::Own, 0o755, Some("chmod go= /f")),
        (Role::Own, 0o600, None),
        (Role::Secret, 0o604, Some("chmod o= /f")),
        (Role::Secret, 0o640, None),
        (Role::Configuration, 0o644, None),
        (Role::Configuration, 0o664, Some("chmod go-w /f")),
    ] {
        let want = want.map(|todo| ("permissions", Failure, todo));
        check(own(file("/f", role, mode)), want.as_slice());
    }
    let foreign = |role, mode| File { uid: 0, ..file("/f", role, mode) };
    check(own(foreign(Role::Own, 0o600)), &[("permissions", Failure, "chown 990 /f")]);
    check(own(foreign(Role::Secret, 0o600)), &[("permissions", Failure, "chown 990 /f")]);
    check(own(foreign(Role::Secret, 0o640)), &[]);
    check(own(File { mode: None, ..file("/f", Role::Secret, 0) }), &[("permissions", Failure, "missing")]);
    check(|facts| facts.files = Err("no answer".into()), &[("permissions", Warning, "no answer")]);
}
