//! Rebuilds when a migration file is added (the embedding macro alone does not see new files), and notes when the
//! program was built: a clock that shows an earlier time is wrong.

use std::time::UNIX_EPOCH;

/// 2026-01-01: no build of this program is older.
const FALLBACK_UNIX_S: u64 = 1_767_225_600;

fn main() {
    println!("cargo:rerun-if-changed=migrations/sqlite");
    println!("cargo:rerun-if-changed=Cargo.lock");
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let built = source_date().or_else(lock_file_age).unwrap_or(0).max(FALLBACK_UNIX_S);
    println!("cargo:rustc-env=FROSTGUARD_BUILD_UNIX_S={built}");
}

fn source_date() -> Option<u64> {
    std::env::var("SOURCE_DATE_EPOCH").ok()?.parse().ok()
}

fn lock_file_age() -> Option<u64> {
    let modified = std::fs::metadata("Cargo.lock").ok()?.modified().ok()?;
    Some(modified.duration_since(UNIX_EPOCH).ok()?.as_secs())
}
