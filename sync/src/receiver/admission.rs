//! Who may work now: a gate with two queues, state before readings, and a budget for bodies in memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::wire::{BODY_BYTES_MAX, Lane};

/// Requests that wait for the database, readings and state each: at 10 ms a request the last one waits 10 s.
const WAITING_MAX: usize = 1_024;
/// Bodies in memory at once, in KiB: 64 MiB beside 4 decoded batches of 16 MiB.
const BODY_KIB: usize = 64 << 10;
/// Of those, only state may use the last 8 MiB: readings never shut the door on an alert.
const BODY_KIB_STATE: usize = 8 << 10;

/// No room: the caller answers 503 with Retry-After.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

/// Lets a fixed number work at once; state goes before readings.
#[derive(Clone)]
pub struct Gate(Arc<Mutex<GateState>>);

struct GateState {
    free: usize,
    /// By lane number.
    waiting: [VecDeque<oneshot::Sender<Pass>>; 2],
}

/// The right to work; gives itself back when dropped.
pub struct Pass {
    gate: Gate,
    spent: bool,
}

impl Gate {
    pub fn new(at_once: usize) -> Self {
        Self(Arc::new(Mutex::new(GateState { free: at_once, waiting: [VecDeque::new(), VecDeque::new()] })))
    }

    /// Waits for a turn.
    pub async fn enter(&self, lane: Lane) -> Result<Pass, Full> {
        let turn = {
            let mut state = self.lock();
            if state.free > 0 {
                state.free -= 1;
                return Ok(Pass { gate: self.clone(), spent: false });
            }
            let queue = &mut state.waiting[usize::from(lane.number())];
            queue.retain(|sender| !sender.is_closed());
            if queue.len() >= WAITING_MAX {
                return Err(Full);
            }
            let (sender, turn) = oneshot::channel();
            queue.push_back(sender);
            turn
        };
        turn.await.map_err(|_| Full)
    }

    /// Requests that wait, by lane number.
    pub fn waiting(&self) -> [usize; 2] {
        let state = self.lock();
        [state.waiting[0].len(), state.waiting[1].len()]
    }

    fn leave(&self) {
        // The next one whose caller has not gone away in the meantime.
        loop {
            let next = {
                let mut state = self.lock();
                let next = state.waiting.iter_mut().find_map(VecDeque::pop_front);
                if next.is_none() {
                    state.free += 1;
                }
                next
            };
            let Some(sender) = next else { return };
            match sender.send(Pass { gate: self.clone(), spent: false }) {
                Ok(()) => return,
                Err(mut refused) => refused.spent = true,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, GateState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if !self.spent {
            self.gate.leave();
        }
    }
}

/// Room for bodies.
#[derive(Clone)]
pub struct Budget {
    all: Arc<Semaphore>,
    readings: Arc<Semaphore>,
}

/// Room taken; given back when dropped.
pub struct Room {
    _all: OwnedSemaphorePermit,
    _readings: Option<OwnedSemaphorePermit>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(BODY_KIB)),
            readings: Arc::new(Semaphore::new(BODY_KIB - BODY_KIB_STATE)),
        }
    }
}

impl Budget {
    /// Takes room for a body of so many bytes (unknown: the largest); never waits.
    pub fn take(&self, lane: Lane, bytes: Option<usize>) -> Result<Room, Full> {
        let kib = bytes.unwrap_or(BODY_BYTES_MAX).min(BODY_BYTES_MAX).div_ceil(1024).max(1) as u32;
        let readings = match lane {
            Lane::State => None,
            Lane::Readings => Some(Arc::clone(&self.readings).try_acquire_many_owned(kib).map_err(|_| Full)?),
        };
        let all = Arc::clone(&self.all).try_acquire_many_owned(kib).map_err(|_| Full)?;
        Ok(Room { _all: all, _readings: readings })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn state_goes_before_readings_that_came_earlier() {
        let gate = Gate::new(1);
        let first = gate.enter(Lane::Readings).await.unwrap();
        let (done, mut order) = tokio::sync::mpsc::unbounded_channel();
        for (name, lane) in [("reading", Lane::Readings), ("alert", Lane::State)] {
            let (waiting, gate2, done) = (gate.waiting(), gate.clone(), done.clone());
            tokio::spawn(async move {
                let pass = gate2.enter(lane).await.unwrap();
                done.send(name).unwrap();
                drop(pass);
            });
            while gate.waiting() == waiting {
                tokio::task::yield_now().await;
            }
        }
        drop(first);
        assert_eq!(order.recv().await, Some("alert"));
        assert_eq!(order.recv().await, Some("reading"));
        assert!(gate.enter(Lane::Readings).await.is_ok(), "the last one gave its turn back");
    }

    #[tokio::test]
    async fn one_who_gave_up_loses_no_turn() {
        let gate = Gate::new(1);
        let first = gate.enter(Lane::Readings).await.unwrap();
        let mut gone = Box::pin(gate.enter(Lane::Readings));
        assert!((&mut gone).now_or_never().is_none());
        drop(gone);
        drop(first);
        assert!(gate.enter(Lane::Readings).now_or_never().is_some());
    }

    #[test]
    fn readings_leave_room_for_state() {
        let budget = Budget::default();
        let mut rooms = Vec::new();
        while let Ok(room) = budget.take(Lane::Readings, None) {
            rooms.push(room);
        }
        assert_eq!(rooms.len(), (BODY_KIB - BODY_KIB_STATE) / 1024);
        assert!(budget.take(Lane::State, None).is_ok());
    }
}
