//! `selftest`: whether this build, on this machine, does what the hub needs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};

use super::out;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::selftest::{self, Bench, Outcome, Surroundings};

#[derive(clap::Args)]
pub struct Args {
    /// A folder on the disk to try, in place of the configured data folder.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Under an emulator of single programs (qemu-user): scripts run in this process, a serial line's rate is not set.
    #[arg(long)]
    emulated: bool,
}

pub fn run(config: Option<&Path>, args: &Args) -> Result<()> {
    let dir = match &args.dir {
        Some(dir) => dir.clone(),
        None => Config::load(config)?.hub.state_dir,
    };
    let surroundings = if args.emulated { Surroundings::Emulator } else { Surroundings::Machine };
    let bench = Bench::new(&dir, Arc::new(SystemClock::new()?), surroundings);
    let outcomes = selftest::run(&bench);
    // Before anything is printed: a reader that goes away ends the command.
    drop(bench);
    out::table(&["check", "result", "found"], &outcomes.iter().map(row).collect::<Vec<_>>())?;
    let failed: Vec<&str> =
        outcomes.iter().filter(|outcome| outcome.found.is_err()).map(|outcome| outcome.name).collect();
    if !failed.is_empty() {
        bail!("{} of {} checks failed: {}", failed.len(), outcomes.len(), failed.join(", "));
    }
    Ok(())
}

fn row(outcome: &Outcome) -> Vec<String> {
    let (result, found) = match &outcome.found {
        Ok(found) => ("ok", found.clone()),
        Err(error) => ("FAILED", format!("{error:#}")),
    };
    vec![outcome.name.to_owned(), result.to_owned(), found]
}
