//! A hub's claim to its folder and its control socket, before it opens the database.
//!
//! The lock comes first: what removes a stale socket then is the only hub there. The socket comes at once behind it, so
//! that commands wait there while the database is checked and migrated, and none takes it in between.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::UnixListener;
use tracing::info;

use crate::control::socket;
use crate::store::{DATABASE, StateLock, StoreError};

/// Looks at a lock that another process holds. With `HOLDER_PAUSE` a minute: a command that has the database is done in
/// seconds, an enrolment waits for its receiver.
pub const HOLDER_LOOKS_MAX: u32 = 240;
/// Between two looks.
pub const HOLDER_PAUSE: Duration = Duration::from_millis(250);

/// What a hub has to itself.
pub struct Claim {
    pub lock: StateLock,
    pub listener: UnixListener,
}

/// Takes both, and waits for a command that has the database just now. An error: another hub runs, or a process does not
/// let go of it.
pub async fn claim(state_dir: &Path, socket: &Path) -> Result<Claim> {
    claim_within(HOLDER_LOOKS_MAX, state_dir, socket).await
}

async fn claim_within(looks: u32, state_dir: &Path, socket: &Path) -> Result<Claim> {
    let mut left = looks;
    loop {
        let dir = state_dir.to_owned();
        let taken = tokio::task::spawn_blocking(move || look(&dir)).await;
        match taken.context("take the lock of the state folder")? {
            Ok(lock) => return Ok(Claim { lock, listener: socket::bind(socket)? }),
            Err(StoreError::Locked { .. }) if left > 0 => {
                // Another hub does not let go.
                socket::find_stale(socket)?;
                if left == looks {
                    let wait = HOLDER_PAUSE * looks;
                    info!("a command has the database: waiting for it, at most {} s", wait.as_secs());
                }
            }
            Err(error) => return Err(error.into()),
        }
        left -= 1;
        tokio::time::sleep(HOLDER_PAUSE).await;
    }
}

/// Takes the lock where nobody has it. `take` alone would try for half a second, which the time that is told leaves out;
/// it still does where somebody takes the lock in between.
fn look(state_dir: &Path) -> Result<StateLock, StoreError> {
    if StateLock::is_held(state_dir) {
        return Err(StoreError::Locked { path: state_dir.join(DATABASE) });
    }
    StateLock::take(state_dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_lock_comes_before_the_socket() {
        let folder = tempfile::tempdir().unwrap();
        let (state, socket) = (folder.path().join("state"), folder.path().join("hub.sock"));
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        let held = StateLock::take(&state).unwrap();
        let error = claim_within(1, &state, &socket).await.err().unwrap();
        assert!(format!("{error:#}").contains("another process holds the database"), "{error:#}");

        // Who waits gets both, and the stale socket is gone.
        let waiting = tokio::spawn({
            let (state, socket) = (state.clone(), socket.clone());
            async move { claim(&state, &socket).await }
        });
        drop(held);
        let claim = waiting.await.unwrap().unwrap();
        assert!(StateLock::is_held(&state));
        std::os::unix::net::UnixStream::connect(&socket).unwrap();

        // A second hub does not wait.
        let error = claim_within(HOLDER_LOOKS_MAX, &state, &socket).await.err().unwrap();
        assert!(error.to_string().contains("another hub listens"), "{error:#}");
        drop(claim);
        // A program that another test is just starting holds the lock too, until it has replaced itself.
        let freed = async {
            while StateLock::is_held(&state) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), freed).await.expect("the lock is free");
        assert!(!StateLock::is_held(&folder.path().join("typo")));
        assert!(!folder.path().join("typo").exists());
    }
}
