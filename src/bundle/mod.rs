//! `support-bundle`: what somebody far away needs to help, in one archive, and nothing that is a secret or a person's.
//! Configuration goes in by a list of keys that may be seen; all text is searched for every secret the hub has and for
//! what looks like one.

pub mod configuration;
pub mod gather;
pub mod redact;
mod tar;

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use anyhow::{Context, Result};

/// zstd's usual one: logs shrink to a tenth.
const LEVEL: i32 = 3;

/// A file of the bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: &'static str,
    pub text: String,
}

/// Writes the archive, for its owner alone; a file that is there stays. `unix_s`: the time of its files. `caller`: user and
/// group that what root packs is given to.
pub fn write(path: &Path, entries: &[Entry], unix_s: u64, caller: Option<(u32, u32)>) -> Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("make {}: name another file, or delete it", path.display()))?;
    let is_of_root = file.metadata().is_ok_and(|found| found.uid() == 0);
    if let Some((uid, gid)) = caller.filter(|_| is_of_root) {
        // By its handle: whoever owns the folder could put another file under the name. Where it fails (a stick without
        // owners) the bundle is no less complete.
        let _ = fchown(&file, Some(uid), Some(gid));
    }
    let packed = pack(entries, unix_s)?;
    file.write_all(&packed)
        .and_then(|()| file.sync_all())
        .with_context(|| format!("write {}", path.display()))
}

/// Who called sudo, to read what root packs. `variable`: of the environment.
pub fn caller(variable: impl Fn(&str) -> Option<String>) -> Option<(u32, u32)> {
    let number = |name| variable(name).and_then(|text| text.parse().ok());
    number("SUDO_UID").zip(number("SUDO_GID"))
}

fn pack(entries: &[Entry], unix_s: u64) -> Result<Vec<u8>> {
    let archive = tar::archive("frostguard-support", entries, unix_s);
    zstd::stream::encode_all(&archive[..], LEVEL).context("compress the bundle")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_for_who_called_sudo() {
        let of = |uid: &'static str, gid: &'static str| {
            move |name: &str| {
                let value = if name == "SUDO_UID" { uid } else { gid };
                (!value.is_empty()).then(|| value.to_owned())
            }
        };
        for (uid, gid, want) in
            [("1000", "1001", Some((1_000, 1_001))), ("", "", None), ("1000", "", None), ("-1", "1001", None)]
        {
            assert_eq!(caller(of(uid, gid)), want, "{uid} {gid}");
        }

        let folder = tempfile::tempdir().unwrap();
        let own = std::fs::metadata(folder.path()).unwrap();
        let (path, nobody) = (folder.path().join("bundle"), 65_534);
        write(&path, &[], 0, Some((nobody, nobody))).unwrap();
        let found = std::fs::metadata(&path).unwrap();
        // Only root gives files away.
        let want = if own.uid() == 0 { (nobody, nobody) } else { (own.uid(), own.gid()) };
        assert_eq!((found.uid(), found.gid(), found.mode() & 0o777), (want.0, want.1, 0o600));
    }
}
