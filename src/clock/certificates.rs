use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

use super::{BUILD_TIME, Clock};
use crate::domain::UnixMs;

/// The time certificates are judged at: the clock, but never before the build and the last persisted time. Give it the
/// real clock, never a scaled one.
#[derive(Clone)]
pub struct CertificateTime {
    clock: Arc<dyn Clock>,
    floor_ms: Arc<AtomicI64>,
}

impl CertificateTime {
    pub fn new(clock: Arc<dyn Clock>, persisted: UnixMs) -> Self {
        Self { clock, floor_ms: Arc::new(AtomicI64::new(persisted.0.max(BUILD_TIME.0))) }
    }

    /// Time is known to have reached this.
    pub fn raise(&self, wall: UnixMs) {
        self.floor_ms.fetch_max(wall.0, Ordering::Relaxed);
    }

    pub fn now(&self) -> UnixMs {
        UnixMs(self.clock.wall().0.max(self.floor_ms.load(Ordering::Relaxed)))
    }
}

impl std::fmt::Debug for CertificateTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateTime").field("floor_ms", &self.floor_ms).finish_non_exhaustive()
    }
}

impl TimeProvider for CertificateTime {
    fn current_time(&self) -> Option<UnixTime> {
        let ms = u64::try_from(self.now().0).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(ms)))
    }
}
