use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Clock, NtpState};
use crate::domain::{MonoMs, UnixMs};

/// A clock that stands until it is told otherwise; for tests and simulations.
pub struct TestClock(Mutex<Shown>);

#[derive(Clone, Copy)]
struct Shown {
    mono: MonoMs,
    wall: UnixMs,
    boot_id: [u8; 16],
    ntp: NtpState,
    rtc: Option<UnixMs>,
}

impl TestClock {
    /// Synchronized, without an RTC, `mono` ms after the boot.
    pub fn new(mono: MonoMs, wall: UnixMs) -> Self {
        let ntp = NtpState::Synchronized { error_ms: 5 };
        Self(Mutex::new(Shown { mono, wall, boot_id: [1; 16], ntp, rtc: None }))
    }

    /// Both clocks move on together.
    pub fn advance(&self, ms: i64) {
        let mut shown = self.shown();
        shown.mono.0 += ms;
        shown.wall.0 += ms;
    }

    /// The wall clock jumps; the monotonic one does not.
    pub fn step(&self, ms: i64) {
        self.shown().wall.0 += ms;
    }

    pub fn set_wall(&self, wall: UnixMs) {
        self.shown().wall = wall;
    }

    pub fn set_ntp(&self, ntp: NtpState) {
        self.shown().ntp = ntp;
    }

    pub fn set_rtc(&self, rtc: Option<UnixMs>) {
        self.shown().rtc = rtc;
    }

    /// A new boot: the monotonic clock begins again.
    pub fn reboot(&self, boot_id: [u8; 16], mono: MonoMs, wall: UnixMs) {
        let mut shown = self.shown();
        (shown.boot_id, shown.mono, shown.wall) = (boot_id, mono, wall);
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for TestClock {
    fn mono(&self) -> MonoMs {
        self.shown().mono
    }

    fn wall(&self) -> UnixMs {
        self.shown().wall
    }

    fn boot_id(&self) -> [u8; 16] {
        self.shown().boot_id
    }

    fn ntp(&self) -> NtpState {
        self.shown().ntp
    }

    fn rtc(&self) -> Option<UnixMs> {
        self.shown().rtc
    }
}
