//! The machine under the hub: clock, disk, database, ports, files.

use super::super::Line;
use super::super::facts::{
    Clock, Configuration, Database, Device, Disk, File, Found, Hub, Mount, Port, PortState, Role,
};
use super::{age, size};
use crate::clock::NtpState;

/// Below, a database that grows and its backup have no room; the hub's ballast alone is 16 MiB.
const SPACE_WARNING_BYTES: u64 = 512 << 20;
const SPACE_FAILURE_BYTES: u64 = 64 << 20;
/// Tenths of an eMMC's life: it lasts longer than its estimate, but not to be relied on.
const LIFE_WARNING: u8 = 8;
const LIFE_FAILURE: u8 = 10;
/// Backups are made daily.
const BACKUP_AGE_S_MAX: i64 = 3 * 86_400;
/// A clock that the hub's own battery-backed one contradicts by more is set wrong.
const RTC_OFF_MS_MAX: i64 = 120_000;

pub fn configuration(found: &Configuration, lines: &mut Vec<Line>) {
    const CHECK: &str = "configuration";
    let place = found.path.as_deref().unwrap_or("no file, the defaults");
    for error in &found.errors {
        lines.push(Line::failure(
            CHECK,
            error,
            format!(
                "mend {place}; `frostguard-hub config check` looks again, and the hub does not start before"
            ),
        ));
    }
    for warning in &found.warnings {
        lines.push(Line::warning(CHECK, warning, format!("see whether this is meant in {place}")));
    }
    if found.errors.is_empty() && found.warnings.is_empty() {
        lines.push(Line::ok(CHECK, place));
    }
}

pub fn clock(clock: &Clock, hub: &Hub, lines: &mut Vec<Line>) {
    const CHECK: &str = "clock";
    let ntp = match clock.ntp {
        NtpState::Synchronized { error_ms } => format!("set by NTP to within {error_ms} ms"),
        NtpState::Played => "played".to_owned(),
        NtpState::Unsynchronized => "not set by NTP".to_owned(),
        NtpState::Unknown => "the kernel does not tell whether NTP sets it".to_owned(),
    };
    let is_set = matches!(clock.ntp, NtpState::Synchronized { .. } | NtpState::Played);
    let set_it = "let the machine reach a time server: `timedatectl` shows which, UDP port 123 must be open; \
                  without one, a battery-backed clock helps";
    if clock.wall_ms < clock.built_ms {
        lines.push(Line::failure(CHECK, "it shows a time before this program was built", set_it));
    } else if let Hub::Running(running) = hub {
        let quality = &running.clock_quality;
        if running.clock_trusted {
            lines.push(Line::ok(CHECK, format!("trusted ({quality}); {ntp}")));
        } else {
            lines.push(Line::warning(
                CHECK,
                format!("the hub does not believe it ({quality}): readings are kept and do not go up; {ntp}"),
                set_it,
            ));
        }
    } else if is_set {
        lines.push(Line::ok(CHECK, ntp));
    } else {
        lines.push(Line::warning(CHECK, ntp, set_it));
    }
    if let Some(rtc_ms) = clock.rtc_ms {
        let off_ms = rtc_ms - clock.wall_ms;
        if is_set && off_ms.abs() > RTC_OFF_MS_MAX {
            lines.push(Line::warning(
                "battery-backed clock",
                format!("it is off by {}", age(off_ms.abs() / 1_000)),
                "`hwclock --systohc` sets it; if it is off again after a day without power, change its battery",
            ));
        } else {
            lines.push(Line::ok("battery-backed clock", "there is one"));
        }
    }
}

pub fn disk(found: &Found<Disk>, lines: &mut Vec<Line>) {
    let disk = match found {
        Ok(disk) => disk,
        Err(why) => {
            lines.push(Line::failure(
                "disk",
                format!("it cannot be looked at: {why}"),
                "a disk that does not answer is about to fail: look at `dmesg`, and replace it",
            ));
            return;
        }
    };
    space(disk, lines);
    if let Some(mount) = &disk.mount {
        lines.push(file_system(mount, disk));
    }
    if let Some(device) = &disk.device {
        lines.push(wear(device));
    }
}

fn space(disk: &Disk, lines: &mut Vec<Line>) {
    const CHECK: &str = "disk space";
    let Some(space) = disk.space else {
        lines.push(Line::failure(
            CHECK,
            format!("there is no folder {}", disk.dir),
            "start the hub, which makes it, or name the folder under [hub] state_dir",
        ));
        return;
    };
    let found =
        format!("{} of {} are free in {}", size(space.available_bytes), size(space.total_bytes), disk.dir);
    let free_it = "delete what is not the hub's, or lower [store] size_mib_max; \
                   `journalctl --vacuum-size=100M` and old packages are often the largest";
    // Some file systems have no table of files.
    let has_files = space.files_total == 0 || space.files_available >= 1_000;
    if space.available_bytes < SPACE_FAILURE_BYTES {
        lines.push(Line::failure(CHECK, found, free_it));
    } else if !has_files {
        let left = space.files_available;
        lines.push(Line::failure(CHECK, format!("{found}, and room for only {left} files"), free_it));
    } else if space.available_bytes < SPACE_WARNING_BYTES {
        lines.push(Line::warning(CHECK, found, free_it));
    } else {
        lines.push(Line::ok(CHECK, found));
    }
}

fn file_system(mount: &Mount, disk: &Disk) -> Line {
    const CHECK: &str = "file system";
    let found = format!("{} at {}", mount.kind, mount.point);
    let errors = disk.device.as_ref().and_then(|device| device.errors).unwrap_or(0);
    if mount.is_read_only {
        return Line::failure(
            CHECK,
            format!("{found} is read-only: nothing can be stored"),
            "the kernel does that after errors of the disk: look at `dmesg`, check it (`fsck`), replace the card",
        );
    }
    if errors > 0 {
        return Line::failure(
            CHECK,
            format!("{found}: the kernel noted {errors} errors"),
            "check it from another system (`fsck -f`); if they come again, replace the card",
        );
    }
    match mount.kind.as_str() {
        "tmpfs" | "ramfs" => Line::failure(
            CHECK,
            format!("{found} is memory: everything is lost when the power is"),
            "name a folder on a disk under [hub] state_dir",
        ),
        "overlay" | "overlayfs" => Line::warning(
            CHECK,
            format!("{found} lies over another one"),
            "make sure that what is written stays: with `overlayroot` or a container the folder must be a mount of its own",
        ),
        "vfat" | "exfat" | "msdos" | "nfs" | "nfs4" | "cifs" | "fuseblk" => Line::failure(
            CHECK,
            format!("{found} does not keep a database through a power cut"),
            "use ext4, f2fs, xfs or btrfs on a disk of this machine",
        ),
        _ => Line::ok(CHECK, found),
    }
}

fn wear(device: &Device) -> Line {
    const CHECK: &str = "disk wear";
    let card = device.card.as_deref().map(|kind| format!(" ({kind} card)")).unwrap_or_default();
    let name = device.card_name.as_deref().map(|name| format!(" {name}")).unwrap_or_default();
    let written = device
        .written_bytes
        .map(|bytes| format!("; {} written since the boot", size(bytes)))
        .unwrap_or_default();
    let disk = format!("{}{name}{card}", device.name);
    let replace = "back up, and replace it soon: a worn card loses what it confirmed as written";
    match (device.life_tenths, device.spare) {
        (Some(life), _) if life > LIFE_FAILURE => {
            Line::failure(CHECK, format!("{disk}: beyond its estimated life{written}"), replace)
        }
        (_, Some(3..)) => Line::failure(
            CHECK,
            format!("{disk}: nine tenths of its spare blocks are used{written}"),
            replace,
        ),
        (Some(life), _) if life >= LIFE_WARNING => {
            Line::warning(CHECK, format!("{disk}: up to {life}0 % of its life is used{written}"), replace)
        }
        (_, Some(2)) => Line::warning(
            CHECK,
            format!("{disk}: eight tenths of its spare blocks are used{written}"),
            replace,
        ),
        (Some(life), _) => {
            Line::ok(CHECK, format!("{disk}: up to {}0 % of its life is used{written}", life.max(1)))
        }
        (None, _) => Line::ok(CHECK, format!("{disk}: it tells nothing of its wear{written}")),
    }
}

pub fn database(found: &Found<Database>, lines: &mut Vec<Line>) {
    const CHECK: &str = "database";
    let database = match found {
        Ok(database) => database,
        Err(why) => {
            lines.push(Line::failure(
                CHECK,
                format!("it cannot be looked at: {why}"),
                "run this as root or as the hub's user; if it is damaged, the hub's next start sets it aside",
            ));
            return;
        }
    };
    if !database.exists {
        lines.push(Line::warning(CHECK, "there is none yet", "start the hub, which makes it"));
        return;
    }
    if let Some(damage) = &database.damage {
        lines.push(Line::failure(
            CHECK,
            format!("damaged: {damage}"),
            "restart the hub: it sets the database aside, restores the last good backup and keeps monitoring; \
             then look at the disk, which did this",
        ));
    } else if database.is_suspect {
        lines.push(Line::warning(
            CHECK,
            format!("a damage was met while the hub ran; {}", database.looked_at),
            "restart the hub: it looks at every page first",
        ));
    } else {
        lines.push(Line::ok(CHECK, format!("sound; {}", database.looked_at)));
    }
    if database.set_aside > 0 {
        lines.push(Line::warning(
            "damaged databases",
            format!("{} were set aside before", database.set_aside),
            "look into `damaged` in the data folder for the reasons; move them elsewhere when they are understood",
        ));
    }
    bound(database, lines);
    backup(database, lines);
}

/// Only where the hub's own bound is set: else it is a part of the partition, whose room has a line of its own.
fn bound(database: &Database, lines: &mut Vec<Line>) {
    let (Some(figures), Some(most)) = (&database.figures, database.bytes_max) else { return };
    let used = figures.database_bytes;
    let found = format!("{} of {} are used", size(used), size(most));
    // The hub itself makes room at the bound; a person should know before it does.
    if used > most / 10 * 9 {
        lines.push(Line::warning(
            "database size",
            found,
            "raise [store] size_mib_max; the oldest readings go first, and unsent ones are replaced by a summary",
        ));
    } else {
        lines.push(Line::ok("database size", found));
    }
}

fn backup(database: &Database, lines: &mut Vec<Line>) {
    const CHECK: &str = "backup";
    let look =
        "the hub makes one each day while its clock is trusted and the mains are there: look at its log";
    match database.newest_backup_age_s {
        Some(seconds) if seconds > BACKUP_AGE_S_MAX => {
            lines.push(Line::warning(CHECK, format!("the newest is {} old", age(seconds)), look));
        }
        Some(seconds) => lines.push(Line::ok(CHECK, format!("{} old", age(seconds)))),
        // On its first day a hub has none.
        None => lines.push(Line::ok(CHECK, "there is none yet")),
    }
}

pub fn ports(found: &Found<Vec<Port>>, hub: &Hub, lines: &mut Vec<Line>) {
    match found {
        Ok(ports) => lines.extend(ports.iter().map(|port| self::port(port, hub))),
        Err(why) => lines.push(Line::warning(
            "serial ports",
            format!("they cannot be looked at: {why}"),
            "a driver may hang: look at `dmesg`, unplug and replug the adapter",
        )),
    }
}

fn port(port: &Port, hub: &Hub) -> Line {
    let Port { name, path, .. } = port;
    match &port.state {
        PortState::Missing => Line::failure(
            name,
            format!("there is no {path}"),
            "plug the adapter in, or correct the path: `ls -l /dev/serial/by-id/` lists what is there",
        ),
        PortState::NoDevice => {
            Line::failure(name, format!("{path} is no device"), "correct the path: /dev/serial/by-id/..")
        }
        PortState::Closed(group) => Line::failure(
            name,
            format!("the hub's user may not open {path}"),
            match hub {
                Hub::Running(_) => {
                    format!("`usermod --append --groups {group} frostguard`, then restart the hub")
                }
                // What its unit gives it shows only while it runs.
                _ => format!(
                    "`usermod --append --groups {group} frostguard`, unless its unit has SupplementaryGroups={group}"
                ),
            },
        ),
        PortState::Open if !port.holders.is_empty() => {
            let holders: Vec<String> =
                port.holders.iter().map(|holder| format!("{} ({})", holder.name, holder.pid)).collect();
            Line::warning(
                name,
                format!("{path} is also held by {}", holders.join(", ")),
                "end it, or keep it from this port: two readers take each other's bytes (ModemManager, a terminal, a getty)",
            )
        }
        PortState::Open if port.is_held_by_hub => Line::ok(name, format!("{path}, held by the hub")),
        PortState::Open => match hub {
            Hub::Running(_) => Line::warning(
                name,
                format!("{path} is there, and the hub does not seem to hold it"),
                "see its source's line; run this as root to see who holds it",
            ),
            _ => Line::ok(name, format!("{path} is there, and nobody holds it")),
        },
    }
}

pub fn permissions(found: &Found<Vec<File>>, lines: &mut Vec<Line>) {
    const CHECK: &str = "permissions";
    let files = match found {
        Ok(files) => files,
        Err(why) => {
            lines.push(Line::warning(CHECK, format!("they cannot be looked at: {why}"), "run this as root"));
            return;
        }
    };
    let before = lines.len();
    lines.extend(files.iter().filter_map(permission));
    if lines.len() == before {
        lines.push(Line::ok(CHECK, format!("{} files and folders are as they should be", files.len())));
    }
}

fn permission(file: &File) -> Option<Line> {
    const CHECK: &str = "permissions";
    let path = &file.path;
    let Some(mode) = file.mode else {
        // What the hub makes itself may not be there yet.
        return (file.role == Role::Secret).then(|| {
            Line::failure(
                CHECK,
                format!("{path} is missing"),
                "make it, owned by the hub's user with mode 0600, or correct its path in the configuration",
            )
        });
    };
    let (all, owner) = (mode & 0o7777, file.uid);
    let is_foreign = owner != file.hub_uid;
    match file.role {
        Role::Own if mode & 0o077 != 0 => Some(Line::failure(
            CHECK,
            format!("{path} has mode {all:04o}: other users can look into it"),
            format!("`chmod go= {path}`"),
        )),
        Role::Own if is_foreign => Some(Line::failure(
            CHECK,
            format!("{path} belongs to user {owner}, and the hub runs as user {}", file.hub_uid),
            format!("`chown {} {path}`", file.hub_uid),
        )),
        Role::Secret if mode & 0o007 != 0 => Some(Line::failure(
            CHECK,
            format!("{path} has mode {all:04o}: every user can read the secret in it, so the hub refuses it"),
            format!("`chmod o= {path}`, and change the secret"),
        )),
        Role::Secret if !file.is_readable => Some(Line::failure(
            CHECK,
            format!("{path} belongs to user {owner} with mode {all:04o}: the hub cannot read it"),
            format!("`chown {} {path}`", file.hub_user),
        )),
        Role::Configuration if !file.is_readable => Some(Line::failure(
            CHECK,
            format!("{path} belongs to user {owner} with mode {all:04o}: the hub cannot read it"),
            format!("`chgrp {} {path}` and `chmod 640 {path}`", file.hub_user),
        )),
        Role::Configuration if mode & 0o022 != 0 => Some(Line::failure(
            CHECK,
            format!("{path} has mode {all:04o}: others can change what the hub does"),
            format!("`chmod go-w {path}`"),
        )),
        _ => None,
    }
}
