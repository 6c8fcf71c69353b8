use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::super::facts::{Device, Disk, Found, Mount};
use super::LIMITS;
use crate::config::Config;
use crate::store::partition;

/// `/sys/block/DISK/stat` counts in these, whatever the disk's own sectors are.
const SECTOR_BYTES: u64 = 512;

pub async fn look(config: &Config) -> Found<Disk> {
    let dir = config.hub.state_dir.clone();
    super::aside(LIMITS.disk, move || look_at(&dir, Path::new("/sys"))).await
}

fn look_at(dir: &Path, sys: &Path) -> Result<Disk> {
    let space = partition::space(dir);
    // Where the folder is missing, what it would lie on.
    let real =
        dir.ancestors().find_map(|folder| folder.canonicalize().ok()).unwrap_or_else(|| dir.to_owned());
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let mount = mount_of(&real, &mounts);
    let device = mount.as_ref().and_then(|mount| device(&mount.number, sys));
    Ok(Disk { dir: dir.display().to_string(), space, mount, device })
}

/// proc_pid_mountinfo(5): `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw`. The last of the longest.
fn mount_of(path: &Path, mounts: &str) -> Option<Mount> {
    let all = mounts.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let fields: Vec<&str> = before.split(' ').collect();
        let (number, point, options) = (*fields.get(2)?, unescaped(fields.get(4)?), *fields.get(5)?);
        let after: Vec<&str> = after.split(' ').collect();
        let is_read_only = |options: &str| options.split(',').any(|option| option == "ro");
        Some(Mount {
            kind: (*after.first()?).to_owned(),
            is_read_only: is_read_only(options) || after.get(2).is_some_and(|options| is_read_only(options)),
            number: number.to_owned(),
            point,
        })
    });
    all.filter(|mount| path.starts_with(&mount.point)).max_by_key(|mount| mount.point.len())
}

/// Spaces in paths are written `\040`.
fn unescaped(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

/// `number`: MAJOR:MINOR. None: no block device (memory, overlay, a network).
fn device(number: &str, sys: &Path) -> Option<Device> {
    let partition = sys.join("dev/block").join(number).canonicalize().ok()?;
    let is_partition = partition.join("partition").exists();
    let disk: PathBuf = if is_partition { partition.parent()?.to_owned() } else { partition.clone() };
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let text = |path: PathBuf| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let file_system = name(&partition)?;
    let stat = text(disk.join("stat"));
    Some(Device {
        name: name(&disk)?,
        card: text(disk.join("device/type")).filter(|kind| kind == "SD" || kind == "MMC"),
        card_name: text(disk.join("device/name")).or_else(|| text(disk.join("device/model"))),
        life_tenths: text(disk.join("device/life_time")).and_then(|text| life(&text)),
        spare: text(disk.join("device/pre_eol_info")).and_then(|text| hex(&text)).filter(|spare| *spare > 0),
        written_bytes: stat
            .and_then(|stat| stat.split_whitespace().nth(6)?.parse::<u64>().ok()?.checked_mul(SECTOR_BYTES)),
        errors: text(sys.join("fs/ext4").join(file_system).join("errors_count"))
            .and_then(|count| count.parse().ok()),
    })
}

/// "0x01 0x02": the estimates of both kinds of memory; 0 is not known.
fn life(text: &str) -> Option<u8> {
    text.split_whitespace().filter_map(hex).max().filter(|life| *life > 0)
}

fn hex(text: &str) -> Option<u8> {
    u8::from_str_radix(text.trim_start_matches("0x"), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_mount_holds_the_folder() {
        let mounts = "21 1 179:2 / / rw,noatime shared:1 - ext4 /dev/root rw\n\
             30 21 0:30 / /run rw,nosuid - tmpfs tmpfs rw,size=1\n\
             40 21 8:1 / /srv/my\\040disk ro,relatime shared:9 - xfs /dev/sda1 rw\n\
             41 21 8:2 / /old rw - ext4 /dev/sda2 ro,errors=remount-ro\n";
        for (path, point, kind, read_only) in [
            ("/var/lib/frostguard", "/", "ext4", false),
            ("/run/frostguard", "/run", "tmpfs", false),
            ("/runaway", "/", "ext4", false),
            ("/srv/my disk/hub", "/srv/my disk", "xfs", true),
            ("/old/hub", "/old", "ext4", true),
        ] {
            let mount = mount_of(Path::new(path), mounts).unwrap();
            assert_eq!((&*mount.point, &*mount.kind, mount.is_read_only), (point, kind, read_only), "{path}");
        }
        assert_eq!(mount_of(Path::new("/x"), "nonsense\n"), None);
    }

    #[test]
    fn a_card_tells_of_its_wear() {
        let sys = tempfile::tempdir().unwrap();
        let disk = sys.path().join("devices/mmc0/block/mmcblk0");
        let partition = disk.join("mmcblk0p2");
        for folder in [partition.clone(), disk.join("device"), sys.path().join("dev/block")] {
            fs::create_dir_all(folder).unwrap();
        }
        fs::create_dir_all(sys.path().join("fs/ext4/mmcblk0p2")).unwrap();
        std::os::unix::fs::symlink(&partition, sys.path().join("dev/block/179:2")).unwrap();
        for (file, text) in [
            (partition.join("partition"), "2\n"),
            (disk.join("stat"), " 1 2 3 4 5 6 2048 8 9 10 11\n"),
            (disk.join("device/type"), "MMC\n"),
            (disk.join("device/name"), "DG4008\n"),
            (disk.join("device/life_time"), "0x02 0x09\n"),
            (disk.join("device/pre_eol_info"), "0x02\n"),
            (sys.path().join("fs/ext4/mmcblk0p2/errors_count"), "3\n"),
        ] {
            fs::write(file, text).unwrap();
        }
        let found = device("179:2", sys.path()).unwrap();
        assert_eq!((&*found.name, found.card.as_deref()), ("mmcblk0", Some("MMC")));
        assert_eq!((found.life_tenths, found.spare, found.errors), (Some(9), Some(2), Some(3)));
        assert_eq!(found.written_bytes, Some(1 << 20));
        assert!(device("0:30", sys.path()).is_none());
        assert_eq!((life("0x00 0x00"), life("")), (None, None));
    }
}
