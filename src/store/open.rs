//! Opening: one process, a sound database in the present schema, an epoch.

use std::path::{Path, PathBuf};

use super::error::Result;
use super::files::{self, Layout, StateLock};
use super::migrate::{self, Migrations};
use super::recover;
use super::writer::Store;

/// Freed once when the disk is full: room for a WAL of 4 MiB and the checkpoint it needs, three times.
pub const BALLAST_BYTES: u64 = 16 << 20;

#[derive(Clone)]
pub struct OpenOptions {
    /// The folder of the database; made if it is missing.
    pub dir: PathBuf,
    pub migrations: Migrations,
    /// 0: none.
    pub ballast_bytes: u64,
    /// Nothing will be given a number: whether the database is the one that was last written is the next writer's matter.
    pub is_for_looking: bool,
}

impl OpenOptions {
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            migrations: Migrations::embedded(),
            ballast_bytes: BALLAST_BYTES,
            is_for_looking: false,
        }
    }
}

/// What opening found and did.
#[derive(Clone, Debug)]
pub struct OpenReport {
    pub recovery: Recovery,
    /// Migrations applied to a database that was there.
    pub migrated: Vec<String>,
    /// What a person should know of it, a line each; empty after a plain start.
    pub messages: Vec<String>,
}

/// Where the database came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// It was there and sound.
    Found,
    /// There was none.
    Created,
    /// It was damaged or gone; the backup took its place under a new epoch. Readings are not in backups.
    Restored { reason: String, backup: PathBuf, set_aside: Option<PathBuf> },
    /// It was damaged and there is no good backup: a new one under a new epoch.
    Anew { reason: String, set_aside: PathBuf },
}

pub(super) fn open(
    options: &OpenOptions,
    lock: StateLock,
    random: &mut dyn FnMut(&mut [u8]),
) -> Result<(Store, OpenReport)> {
    let layout = Layout::new(&options.dir);
    layout.remove_unfinished()?;
    let recovery = recover::prepare(&layout, &options.migrations, random)?;
    let migrated = migrate::run_pending(&layout, &options.migrations)?;
    let mut messages = recovery.messages();
    if !migrated.is_empty() {
        messages.push(format!("migrated the database: {}", migrated.join(", ")));
    }
    if options.ballast_bytes > 0
        && let Err(error) = files::fill_ballast(&layout.ballast(), options.ballast_bytes)
    {
        messages.push(format!("no room is kept for a full disk: {error}"));
    }
    let mut store = Store::new(layout, lock)?;
    // Whatever replaced the database otherwise has begun an epoch of its own.
    let mut is_begun = recovery != Recovery::Found;
    if !is_begun
        && !options.is_for_looking
        && let Some(reason) = store.contradiction()?
    {
        store.begin_epoch(&reason, random)?;
        messages.push(format!("{reason}: a new epoch began"));
        is_begun = true;
    }
    // At once: the next start must not take this database for a foreign one, however soon it comes.
    if is_begun && let Err(error) = store.bear_witness() {
        messages.push(format!("how far the database is was not noted: {error}"));
    }
    Ok((store, OpenReport { recovery, migrated, messages }))
}

impl Recovery {
    fn messages(&self) -> Vec<String> {
        match self {
            Recovery::Found => Vec::new(),
            Recovery::Created => vec!["made a new database".to_owned()],
            Recovery::Restored { reason, backup, set_aside } => {
                let kept = set_aside
                    .as_ref()
                    .map_or(String::new(), |dir| format!("; the old one is in {}", dir.display()));
                vec![format!("{reason}: restored {} (without readings){kept}", backup.display())]
            }
            Recovery::Anew { reason, set_aside } => vec![format!(
                "{reason}: there is no sound backup, so this is a new database; the old one is in {}",
                set_aside.display()
            )],
        }
    }
}
