//! SQLite: the version that is linked, and a write-ahead log on the data folder's file system.

use anyhow::{Result, bail};

use super::Bench;
use crate::store::trial;

/// Since 3.7.0 and up to this one a reset of the write-ahead log could corrupt the database.
const OLDEST: i32 = 3_051_003;

pub fn check(bench: &Bench) -> Result<String> {
    let (number, version) = trial::version();
    if number < OLDEST {
        bail!("SQLite {version} may corrupt a database; build the hub with its own, 3.51.3 or later");
    }
    let bytes = trial::wal_round_trip(bench.dir()?)?;
    Ok(format!("SQLite {version}; rows came back through a write-ahead log of {bytes} bytes"))
}
