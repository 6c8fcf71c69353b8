//! Time: the clocks as they are read (`Clock`), and what may be believed of them (`trust`).
//!
//! A Raspberry Pi has no clock of its own. Everything is stamped with the boot's monotonic time, which never jumps;
//! wall time is one offset per boot segment, found when something vouches for it.

mod certificates;
pub mod estimate;
mod scaled;
mod system;
mod test_clock;
pub mod trust;

pub use certificates::CertificateTime;
pub use scaled::ScaledClock;
pub use system::SystemClock;
pub use test_clock::TestClock;

use crate::domain::{MonoMs, UnixMs};

/// When this program was built (SOURCE_DATE_EPOCH, else the age of Cargo.lock): no true clock is before it.
pub const BUILD_TIME: UnixMs = UnixMs(match i64::from_str_radix(env!("FROSTGUARD_BUILD_UNIX_S"), 10) {
    Ok(seconds) => seconds * 1_000,
    Err(_) => panic!("build.rs prints whole seconds"),
});

/// The clocks of the machine. Implementations do not judge them; `trust::Trust` does.
pub trait Clock: Send + Sync {
    /// CLOCK_BOOTTIME: since the boot, suspended time included, never steps.
    fn mono(&self) -> MonoMs;
    /// CLOCK_REALTIME: whatever the system believes.
    fn wall(&self) -> UnixMs;
    /// How much faster than the machine's this clock runs; waiting takes that much less.
    fn factor(&self) -> u32 {
        1
    }
    /// Names the boot within which `mono` counts.
    fn boot_id(&self) -> [u8; 16];
    fn ntp(&self) -> NtpState;
    /// The time that a battery-backed clock shows; None where there is none.
    fn rtc(&self) -> Option<UnixMs>;
}

/// What the kernel says about the discipline of CLOCK_REALTIME.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NtpState {
    /// Disciplined; the true time is within `error_ms`.
    Synchronized { error_ms: i64 },
    /// Not (yet, or no longer) disciplined.
    Unsynchronized,
    /// A time that is played, right by definition: nothing is asked beside it and nothing outranks it.
    Played,
    /// The kernel did not tell (a sandbox without `adjtimex`); as good as unsynchronized.
    Unknown,
}

/// One look at all clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    pub mono: MonoMs,
    pub wall: UnixMs,
    pub ntp: NtpState,
    pub rtc: Option<UnixMs>,
}

impl Observation {
    /// All clocks.
    pub fn of(clock: &dyn Clock) -> Self {
        Self { rtc: clock.rtc(), ..Self::without_rtc(clock) }
    }

    /// For when the time is known: asking an RTC takes a round on its bus.
    pub fn without_rtc(clock: &dyn Clock) -> Self {
        // Between two readings of the one clock, so that a pause in between is not taken for a step of the other.
        let mut best = (i64::MAX, MonoMs(0), UnixMs(0));
        for _ in 0..READ_TRIES {
            let before = clock.mono();
            let wall = clock.wall();
            let spread = clock.mono().0 - before.0;
            if spread < best.0 {
                best = (spread, MonoMs(before.0 + spread / 2), wall);
            }
        }
        Self { mono: best.1, wall: best.2, ntp: clock.ntp(), rtc: None }
    }
}

/// A pause of the thread between the readings is unlikely to hit three times.
const READ_TRIES: usize = 3;
