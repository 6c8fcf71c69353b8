use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::super::facts::{Found, Holder, Hub, Port, PortState};
use super::LIMITS;
use crate::config::Config;

pub async fn look(config: &Config, hub: &Hub) -> Found<Vec<Port>> {
    let serial = config.serial.iter().map(|port| (format!("serial {}", port.name), port.path.clone()));
    let buses = config.modbus.iter().map(|bus| (format!("modbus {}", bus.name), bus.path.clone()));
    let modem = config.notify.modem.iter().map(|modem| ("modem port".to_owned(), modem.path.clone()));
    let wanted: Vec<(String, PathBuf)> = serial.chain(buses).chain(modem).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let hub_pid = match hub {
        Hub::Running(running) => running.pid,
        _ => 0,
    };
    let uid = super::hub_uid(config);
    super::aside(LIMITS.ports, move || {
        Ok(wanted.into_iter().map(|(name, path)| port(name, &path, uid, hub_pid)).collect())
    })
    .await
}

fn port(name: String, path: &Path, uid: Option<u32>, hub_pid: u32) -> Port {
    let mut state = state(path, uid, hub_pid);
    let is_there = matches!(state, PortState::Open | PortState::Closed(_));
    let mut holders = if is_there { holders(path).unwrap_or_default() } else { Vec::new() };
    let is_held_by_hub = holders.iter().any(|holder| holder.pid == hub_pid);
    holders.retain(|holder| holder.pid != hub_pid);
    if is_held_by_hub {
        // Whatever let it: an access list, or a group that was taken away since.
        state = PortState::Open;
    }
    Port { name, path: path.display().to_string(), state, holders, is_held_by_hub }
}

fn state(path: &Path, uid: Option<u32>, hub_pid: u32) -> PortState {
    let Ok(found) = fs::metadata(path) else { return PortState::Missing };
    if !found.file_type().is_char_device() {
        return PortState::NoDevice;
    }
    let Some(uid) = uid.filter(|uid| *uid != 0) else { return PortState::Open };
    if may(&found, uid, &hub_groups(uid, hub_pid), 0o6) {
        PortState::Open
    } else {
        PortState::Closed(group_name(found.gid(), &read("/etc/group")))
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Groups of the hub's user.
pub(super) fn hub_groups(uid: u32, hub_pid: u32) -> BTreeSet<u32> {
    // The running hub's own: its unit may give it groups that the system's files do not know of.
    let of_hub = groups_of_process(&read(&format!("/proc/{hub_pid}/status")), uid);
    of_hub.unwrap_or_else(|| groups_of(uid, &read("/etc/passwd"), &read("/etc/group")))
}

/// Whether a user may do to a file what the bits say (4 read, 2 write). Access lists are not looked at.
pub(super) fn may(found: &fs::Metadata, uid: u32, groups: &BTreeSet<u32>, bits: u32) -> bool {
    allows(found.mode(), (found.uid() == uid, groups.contains(&found.gid())), bits)
}

/// The first that fits decides: an owner that may not is not helped by its group.
fn allows(mode: u32, (is_owner, is_member): (bool, bool), bits: u32) -> bool {
    let shift = match (is_owner, is_member) {
        (true, _) => 6,
        (false, true) => 3,
        (false, false) => 0,
    };
    (mode >> shift) & bits == bits
}

/// As `chown` takes it: its name, else its number.
pub(super) fn user_name(uid: u32) -> String {
    let passwd = read("/etc/passwd");
    let mut users = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found = users.find(|fields| fields.get(2).and_then(|text| text.parse().ok()) == Some(uid));
    found.map_or_else(|| uid.to_string(), |fields| fields[0].to_owned())
}

/// Those that files are opened with: of the lines `Gid: real effective saved for-files` and `Groups: ..`. None: it is
/// another user's, so that the number means something else here (a container's).
fn groups_of_process(status: &str, uid: u32) -> Option<BTreeSet<u32>> {
    let numbers = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.split_whitespace().filter_map(|number| number.parse().ok()).collect::<Vec<u32>>())
    };
    let for_files = |name: &str| numbers(name)?.get(3).copied();
    for_files("Uid:").filter(|of| *of == uid)?;
    Some(numbers("Groups:")?.into_iter().chain([for_files("Gid:")?]).collect())
}

fn groups_of(uid: u32, passwd: &str, group: &str) -> BTreeSet<u32> {
    let user = passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let is_it = fields.get(2)?.parse() == Ok(uid);
        is_it.then(|| Some((*fields.first()?, fields.get(3)?.parse::<u32>().ok()?))).flatten()
    });
    let Some((name, own)) = user else { return BTreeSet::new() };
    let others = group.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let is_member = fields.get(3)?.split(',').any(|member| member.trim() == name);
        is_member.then(|| fields.get(2)?.parse().ok()).flatten()
    });
    others.chain([own]).collect()
}

fn group_name(gid: u32, group: &str) -> String {
    let mut lines = group.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found = lines.find(|fields| fields.get(2).and_then(|text| text.parse().ok()) == Some(gid));
    found.map_or_else(|| gid.to_string(), |fields| fields[0].to_owned())
}

/// Who has the device open, as far as /proc shows it to this user.
fn holders(path: &Path) -> Result<Vec<Holder>> {
    let device = path.canonicalize()?;
    let processes = fs::read_dir("/proc")?.flatten().filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let files = fs::read_dir(entry.path().join("fd")).ok()?;
        let has_it =
            files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|target| target == device));
        let name = || fs::read_to_string(entry.path().join("comm")).unwrap_or_default().trim().to_owned();
        has_it.then(|| Holder { pid, name: name() })
    });
    Ok(processes.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_open_to_its_owner_its_group_or_all() {
        for (mode, who, bits, want) in [
            (0o640, (true, false), 0o4, true),
            (0o640, (false, true), 0o4, true),
            (0o640, (false, false), 0o4, false),
            (0o640, (false, true), 0o6, false),
            (0o660, (false, true), 0o6, true),
            (0o604, (false, false), 0o4, true),
            (0o044, (true, true), 0o4, false),
        ] {
            assert_eq!(allows(mode, who, bits), want, "{mode:o} {who:?} {bits:o}");
        }
        assert_eq!((user_name(0), user_name(u32::MAX - 1)), ("root".to_owned(), (u32::MAX - 1).to_string()));
    }

    #[test]
    fn a_user_is_in_its_groups() {
        let passwd = "root:x:0:0::/root:/bin/sh\nfrostguard:x:990:985::/:/usr/sbin/nologin\n";
        let group = "dialout:x:20:pi,frostguard\nfrostguard:x:985:\naudio:x:29:pi\nbroken\n";
        assert_eq!(groups_of(990, passwd, group), [20, 985].into());
        assert_eq!(groups_of(7, passwd, group), BTreeSet::new());
        assert_eq!((group_name(20, group), group_name(77, group)), ("dialout".to_owned(), "77".to_owned()));
    }

    #[test]
    fn a_process_has_the_groups_that_its_unit_gave_it() {
        let status =
            "Name:\thub\nUid:\t990\t990\t990\t990\nGid:\t985\t985\t985\t986\nGroups:\t20 5 \nVmRSS:\t1 kB\n";
        assert_eq!(groups_of_process(status, 990), Some([5, 20, 986].into()));
        assert_eq!(groups_of_process(status, 991), None);
        assert_eq!(groups_of_process("Uid: 7 7 7 7\nGid: 1 1 1 1\nGroups:\t\n", 7), Some([1].into()));
        assert_eq!(groups_of_process("", 0), None);
        let own = fs::read_to_string("/proc/self/status").unwrap();
        let uid = fs::metadata("/proc/self").unwrap().uid();
        assert!(groups_of_process(&own, uid).is_some(), "{own}");
    }

    #[test]
    fn a_port_that_the_hub_holds_is_open_to_it() {
        let own = serialport::TTYPort::pair().unwrap();
        let path = PathBuf::from(serialport::SerialPort::name(&own.1).unwrap());
        let no_user = Some(u32::MAX - 1);
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let found = port("serial a".into(), &path, no_user, 0);
        assert!(matches!(found.state, PortState::Closed(_)), "{found:?}");
        let found = port("serial a".into(), &path, no_user, std::process::id());
        assert!(found.state == PortState::Open && found.is_held_by_hub, "{found:?}");
    }

    #[test]
    fn a_port_is_known_by_its_file_and_its_holders() {
        let folder = tempfile::tempdir().unwrap();
        let plain = folder.path().join("plain");
        fs::write(&plain, "").unwrap();
        assert_eq!(state(&folder.path().join("missing"), None, 0), PortState::Missing);
        assert_eq!(state(&plain, None, 0), PortState::NoDevice);
        let own = serialport::TTYPort::pair().unwrap();
        let path = PathBuf::from(serialport::SerialPort::name(&own.1).unwrap());
        let pid = std::process::id();
        let found = port("serial a".into(), &path, None, 0);
        assert_eq!(found.state, PortState::Open);
        assert!(found.holders.iter().any(|holder| holder.pid == pid), "{found:?}");
        let found = port("serial a".into(), &path, None, pid);
        assert!(found.is_held_by_hub && found.holders.iter().all(|holder| holder.pid != pid), "{found:?}");
    }
}
