//! What the service manager (systemd) is told: that the hub is up, that it stops, and, again and again, that commits
//! still succeed. When that stays out the manager ends the hub and starts it anew, which sets a damaged database aside.

use std::time::Duration;

use anyhow::Result;
use sd_notify::NotifyState;
use tokio::sync::watch::Receiver;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{error, warn};

use crate::domain::MonoMs;
use crate::pipeline::Core;
use crate::pipeline::driver::CoreHandle;
use crate::source::stopped;
use crate::store::boots;

/// A quiet hub has nothing to commit; after this long it writes down that it lives, to know that it could.
const PROVE_AFTER_MS: i64 = 240_000;
/// Without a commit for this long the manager is told nothing more. Long: a start anew forgets what the refused commits
/// held in memory, and a full disk is not helped by it.
const UNPROVEN_MS_MAX: i64 = 600_000;
/// Times it is told within the manager's own deadline, so that one message late does no harm.
const TOLD_IN_DEADLINE: u32 = 4;

/// Whom to tell.
#[derive(Clone, Copy, Debug, Default)]
pub struct Service {
    is_told: bool,
    watchdog: Option<Duration>,
}

impl Service {
    /// The manager that started this process, as its environment names it; without one nothing is told.
    pub fn of_environment() -> Self {
        Self { is_told: true, watchdog: deadline(sd_notify::watchdog_enabled()) }
    }

    pub(super) fn ready(self) {
        self.tell(&[NotifyState::Ready, NotifyState::Status("hears its sensors")]);
    }

    pub(super) fn stopping(self) {
        self.tell(&[NotifyState::Stopping, NotifyState::Status("commits what it heard")]);
    }

    fn lives(self) {
        self.tell(&[NotifyState::Watchdog]);
    }

    fn tell(self, states: &[NotifyState<'_>]) {
        if self.is_told
            && let Err(error) = sd_notify::notify(states)
        {
            warn!(%error, "failed to tell the service manager {states:?}: {error}");
        }
    }
}

/// The manager's deadline. None: it has none, which zero says, too.
fn deadline(told: Option<Duration>) -> Option<Duration> {
    told.filter(|deadline| !deadline.is_zero())
}

/// What the core says of its commits.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: MonoMs,
    /// Groups committed since the start.
    committed: u64,
    /// A group stands that the store refused.
    is_failing: bool,
}

impl Look {
    fn of(core: &mut Core) -> Self {
        Self { at: core.stamp_now().mono, committed: core.committed(), is_failing: core.failing().is_some() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// A commit succeeded lately.
    Lives,
    /// Nothing was committed for a while: try whether it could be.
    Prove,
    /// No commit succeeds.
    Sick,
}

/// When a commit was last known to succeed.
#[derive(Clone, Copy, Debug)]
struct Proof {
    committed: u64,
    at: MonoMs,
}

impl Proof {
    /// The start is one: the database was opened for writing.
    fn begin(look: Look) -> Self {
        Self { committed: look.committed, at: look.at }
    }

    fn judge(&mut self, look: Look) -> Verdict {
        if look.committed != self.committed {
            *self = Self::begin(look);
        }
        match look.at.0 - self.at.0 {
            // A write that succeeds beside a group that does not would prove nothing.
            without if look.is_failing && without >= UNPROVEN_MS_MAX => Verdict::Sick,
            without if !look.is_failing && without >= PROVE_AFTER_MS => Verdict::Prove,
            _ => Verdict::Lives,
        }
    }

    /// The outcome of trying.
    fn tried(&mut self, succeeded: bool, at: MonoMs) -> Verdict {
        if succeeded {
            self.at = at;
        }
        if at.0 - self.at.0 < UNPROVEN_MS_MAX { Verdict::Lives } else { Verdict::Sick }
    }
}

/// Tells the manager that the hub lives for as long as it does; ends with `shutdown`.
pub(super) async fn watch(
    service: Service,
    core: CoreHandle,
    mut shutdown: Receiver<bool>,
) -> Result<&'static str> {
    tokio::select! {
        () = tell_again(service, &core) => {}
        () = stopped(&mut shutdown) => {}
    }
    service.stopping();
    Ok("watchdog")
}

/// For ever.
async fn tell_again(service: Service, core: &CoreHandle) {
    let Some(deadline) = service.watchdog else { return std::future::pending().await };
    let every = (deadline / TOLD_IN_DEADLINE).max(Duration::from_millis(1));
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut proof = None;
    loop {
        ticks.tick().await;
        match timeout(every, judge(core, &mut proof)).await {
            Ok(Ok(Verdict::Sick)) => {
                error!("no commit succeeds: the service manager is no longer told that the hub lives");
            }
            Ok(Ok(_)) => service.lives(),
            // The hub is about to end, and says why itself.
            Ok(Err(error)) => warn!("failed to ask the core: {error:#}"),
            Err(_elapsed) => warn!("the core has not answered for {} ms", every.as_millis()),
        }
    }
}

async fn judge(core: &CoreHandle, proof: &mut Option<Proof>) -> Result<Verdict> {
    let look = core.call(Look::of).await?;
    let proof = proof.get_or_insert_with(|| Proof::begin(look));
    let verdict = proof.judge(look);
    if verdict != Verdict::Prove {
        return Ok(verdict);
    }
    let written = core
        .call(|core| {
            let stamp = core.stamp_now();
            let tx = core.store.transaction()?;
            boots::touch(&tx, stamp)?;
            tx.commit()?;
            anyhow::Ok(())
        })
        .await?;
    if let Err(error) = &written {
        warn!(%error, "failed to write down that the hub lives: {error:#}");
    }
    Ok(proof.tried(written.is_ok(), look.at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(at_s: i64, committed: u64, is_failing: bool) -> Look {
        Look { at: MonoMs(at_s * 1_000), committed, is_failing }
    }

    #[test]
    fn a_deadline_of_zero_is_none() {
        for (told, want) in
            [(None, None), (Some(0), None), (Some(1), Some(1)), (Some(180_000_000), Some(180_000_000))]
        {
            let deadline = deadline(told.map(Duration::from_micros));
            assert_eq!(deadline, want.map(Duration::from_micros), "{told:?} µs");
        }
    }

    #[test]
    fn it_lives_while_commits_succeed() {
        let mut proof = Proof::begin(look(0, 7, false));
        for minute in 1..60 {
            assert_eq!(proof.judge(look(minute * 60, 7 + minute as u64, false)), Verdict::Lives);
        }
    }

    #[test]
    fn a_quiet_hub_proves_now_and_then_that_it_could_commit() {
        let mut proof = Proof::begin(look(0, 0, false));
        assert_eq!(proof.judge(look(239, 0, false)), Verdict::Lives);
        assert_eq!(proof.judge(look(240, 0, false)), Verdict::Prove);
        assert_eq!(proof.tried(true, MonoMs(240_000)), Verdict::Lives);
        assert_eq!(proof.judge(look(479, 0, false)), Verdict::Lives);
        assert_eq!(proof.judge(look(480, 0, false)), Verdict::Prove);
        // A disk that refuses is forgiven for as long as refused groups are.
        assert_eq!(proof.tried(false, MonoMs(480_000)), Verdict::Lives);
        assert_eq!(proof.judge(look(839, 0, false)), Verdict::Prove);
        assert_eq!(proof.tried(false, MonoMs(840_000)), Verdict::Sick);
        assert_eq!(proof.judge(look(900, 0, false)), Verdict::Prove);
        assert_eq!(proof.tried(true, MonoMs(900_000)), Verdict::Lives);
    }

    #[test]
    fn refused_commits_end_it_after_a_while_and_no_write_beside_them_counts() {
        let mut proof = Proof::begin(look(0, 3, false));
        assert_eq!(proof.judge(look(100, 4, false)), Verdict::Lives);
        assert_eq!(proof.judge(look(400, 4, true)), Verdict::Lives);
        assert_eq!(proof.judge(look(699, 4, true)), Verdict::Lives);
        assert_eq!(proof.judge(look(700, 4, true)), Verdict::Sick);
        assert_eq!(proof.judge(look(760, 5, false)), Verdict::Lives, "the disk takes writes again");
    }
}
