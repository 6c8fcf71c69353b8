//! `support-bundle`: what somebody far away needs to help, in one archive, and nothing that is a secret or a person's.
//! Configuration goes in by a list of keys that may be seen; all text is searched for every secret the hub has and for
//! what looks like one.

pub mod configuration;
pub mod gather;
pub mod redact;
mod tar;

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
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

/// Writes the archive, for its owner alone; a file that is there stays. `unix_s`: the time of its files.
pub fn write(path: &Path, entries: &[Entry], unix_s: u64) -> Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("make {}: name another file, or delete it", path.display()))?;
    let packed = pack(entries, unix_s)?;
    file.write_all(&packed)
        .and_then(|()| file.sync_all())
        .with_context(|| format!("write {}", path.display()))
}

fn pack(entries: &[Entry], unix_s: u64) -> Result<Vec<u8>> {
    let archive = tar::archive("frostguard-support", entries, unix_s);
    zstd::stream::encode_all(&archive[..], LEVEL).context("compress the bundle")
}
