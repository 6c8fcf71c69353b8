//! Commands while no hub runs: the same requests, on the database itself.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::enroller::enrol_without_hub;
use super::{own_uid, system_clock, system_random};
use crate::config::Config;
use crate::control::Request;
use crate::counters::Counters;
use crate::pipeline::Core;
use crate::pipeline::settings::{Mode, Settings};
use crate::store::{DATABASE, StateLock, StoreError};

/// Answers a request from the database directly, for the time when no hub runs. An error that says `StoreError::Locked`:
/// another process has it, and nothing was done.
pub fn answer_without_hub(config: &Config, request: &Request) -> Result<Value> {
    // Before anything that says that no hub runs: one may be about to.
    if StateLock::is_held(&config.hub.state_dir) {
        bail!(StoreError::Locked { path: config.hub.state_dir.join(DATABASE) });
    }
    check_state_dir(&config.hub.state_dir, request.changes(), own_uid()?)?;
    if let Request::Enroll(request) = request {
        return enrol_without_hub(config, request);
    }
    let clock = system_clock(config)?;
    let mode = if request.changes() { Mode::Change } else { Mode::Look };
    let mut core = Core::open(Settings::of(config, mode), clock, Counters::default(), system_random())?;
    let answer = core.request(request)?;
    core.close()?;
    Ok(answer)
}

/// Before a command opens the database itself: files that root makes in the folder of the hub's own user would keep the
/// hub from starting, and a command that only looks makes no database.
fn check_state_dir(path: &Path, may_make: bool, own_uid: u32) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let folder = match std::fs::metadata(path) {
        Ok(folder) => Some(folder),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("look at {}", path.display())),
    };
    if let Some(owner) = folder.as_ref().map(MetadataExt::uid).filter(|owner| *owner != own_uid) {
        bail!(
            "no hub runs, and {} belongs to user {owner}: start the hub first, or run this as that user (`sudo -u '#{owner}'`)",
            path.display()
        );
    }
    if !may_make && !path.join(DATABASE).exists() {
        bail!(
            "no hub runs, and there is no database in {} yet: start the hub, or name its configuration by --config",
            path.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_without_a_hub_leave_nothing_that_keeps_it_from_starting() {
        let folder = tempfile::tempdir().unwrap();
        let own = own_uid().unwrap();
        let check =
            |path: &Path, may_make, uid| check_state_dir(path, may_make, uid).map_err(|e| e.to_string());
        assert!(check(folder.path(), false, own).unwrap_err().contains("no database"));
        assert_eq!(check(folder.path(), true, own), Ok(()));
        assert!(check(folder.path(), true, own + 1).unwrap_err().contains("belongs to user"));
        let missing = folder.path().join("typo");
        assert!(check(&missing, false, own).unwrap_err().contains("--config"));
        assert_eq!(check(&missing, true, own), Ok(()));
        std::fs::write(folder.path().join(DATABASE), "").unwrap();
        assert_eq!(check(folder.path(), false, own), Ok(()));
    }
}
