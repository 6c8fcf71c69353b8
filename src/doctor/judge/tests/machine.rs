//! Configuration, clock, disk, database, ports, files.

use super::*;

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
    // Root's is good where its group is the hub's.
    check(own(foreign(Role::Secret, 0o640)), &[]);
    let closed = File { is_readable: false, ..foreign(Role::Secret, 0o640) };
    check(own(closed), &[("permissions", Failure, "the hub cannot read it | `chown frostguard /f`")]);
    let closed = File { is_readable: false, ..foreign(Role::Configuration, 0o600) };
    check(own(closed), &[("permissions", Failure, "`chgrp frostguard /f` and `chmod 640 /f`")]);
    check(own(File { mode: None, ..file("/f", Role::Secret, 0) }), &[("permissions", Failure, "missing")]);
    check(|facts| facts.files = Err("no answer".into()), &[("permissions", Warning, "no answer")]);
}
