//! What the core shows of itself to whoever watches the hub: a copy made every few seconds, so that nobody who looks ever
//! makes it wait.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::Core;
use crate::clock::trust::Quality;
use crate::domain::{AlertStatus, AlertType, MonoMs, Severity, Stamp, UnitStatus};
use crate::store::registry::DeviceRow;

/// Between two copies.
const SHOW_EVERY_MS: i64 = 5_000;

/// Upper bounds of the classes of commit times, ms: from a good disk to a card about to fail.
pub const COMMIT_MS: [i64; 12] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 5_000, 30_000];

/// How long commits took, since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommitTimes {
    /// Those that took no longer than the bound of the same place, and longer than the one before.
    pub classes: [u64; COMMIT_MS.len()],
    pub count: u64,
    pub sum_ms: u64,
}

impl CommitTimes {
    pub fn note(&mut self, ms: i64) {
        if let Some(class) = COMMIT_MS.iter().position(|bound| ms <= *bound) {
            self.classes[class] += 1;
        }
        self.count += 1;
        self.sum_ms += ms.max(0).unsigned_abs();
    }
}

/// How a paired sensor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SensorState {
    /// It is heard as often as it should be.
    Reporting,
    /// It missed so many of its readings that its unit, had it no other probe, is offline.
    Silent,
    /// It was not heard since the hub started, and it is not yet time to worry.
    Awaited,
    /// No unit depends on it.
    Unassigned,
}

impl SensorState {
    pub const ALL: [SensorState; 4] =
        [SensorState::Reporting, SensorState::Silent, SensorState::Awaited, SensorState::Unassigned];

    pub fn as_str(self) -> &'static str {
        match self {
            SensorState::Reporting => "reporting",
            SensorState::Silent => "silent",
            SensorState::Awaited => "awaited",
            SensorState::Unassigned => "unassigned",
        }
    }
}

/// The core at an instant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vitals {
    /// When the copy was made.
    pub at: MonoMs,
    pub started: MonoMs,
    /// Unix ms at `at`, as the hub places it.
    pub wall_ms: i64,
    pub is_clock_trusted: bool,
    /// None: nothing vouches for the time.
    pub clock_quality: Option<Quality>,
    /// How far off the time may be.
    pub clock_uncertainty_ms: Option<i64>,
    pub sources: Vec<(String, bool)>,
    pub units: BTreeMap<UnitStatus, u64>,
    pub sensors: BTreeMap<SensorState, u64>,
    /// Alerts that are not resolved.
    pub alerts: BTreeMap<(AlertType, Severity), u64>,
    /// Of those, the ones nobody has taken.
    pub alerts_untaken: u64,
    pub commits: u64,
    pub commit_times: CommitTimes,
    pub wal_bytes: u64,
    /// What the store refuses since; None: it takes everything.
    pub failing_since: Option<MonoMs>,
    pub readings_waiting: u64,
    pub writes_waiting: u64,
    /// Frames that sources handed over and the core has not taken yet.
    pub events_queued: u64,
    /// Messages to people that are due or wait for their turn.
    pub calls_waiting: u64,
    /// None: the supply is not watched, or cannot be read.
    pub is_on_battery: Option<bool>,
    pub is_enrolled: bool,
}

/// Where the newest copy stands.
pub type Shown = watch::Receiver<Arc<Vitals>>;

/// The core's end of it.
pub(super) struct Showing {
    sender: watch::Sender<Arc<Vitals>>,
    started: MonoMs,
    shown: MonoMs,
}

impl Core {
    /// Begins to show copies.
    pub fn show_vitals(&mut self) -> Shown {
        let now = self.clock.mono();
        let (sender, shown) = watch::channel(Arc::new(self.vitals(now, 0)));
        self.showing = Some(Showing { sender, started: now, shown: now });
        shown
    }

    /// Makes a new copy when the last one is old. `events_queued`: frames that wait for the core.
    pub(super) fn refresh_vitals(&mut self, events_queued: usize) {
        let now = self.clock.mono();
        let Some(showing) = &self.showing else { return };
        if now.0 - showing.shown.0 < SHOW_EVERY_MS {
            return;
        }
        let vitals = Vitals { started: showing.started, ..self.vitals(now, events_queued) };
        if let Some(showing) = &mut self.showing {
            showing.shown = now;
            showing.sender.send_replace(Arc::new(vitals));
        }
    }

    fn vitals(&self, now: MonoMs, events_queued: usize) -> Vitals {
        let (wall, is_clock_trusted) = self.wall_of(Stamp { segment: self.segment, mono: now });
        let placement = self.trust.boot().placement;
        let mut vitals = Vitals {
            at: now,
            started: now,
            wall_ms: wall.0,
            is_clock_trusted,
            clock_quality: placement.map(|placement| placement.quality),
            clock_uncertainty_ms: placement.map(|placement| placement.uncertainty_ms),
            sources: self.sources.iter().map(|(name, source)| (name.clone(), source.is_up)).collect(),
            commits: self.committed,
            commit_times: self.commit_times.clone(),
            wal_bytes: self.wal_bytes_written(),
            failing_since: self.failing.as_ref().map(|failing| failing.since),
            readings_waiting: self.waiting() as u64,
            writes_waiting: self.group.writes.len() as u64,
            events_queued: events_queued as u64,
            calls_waiting: self.plan.len() as u64,
            is_on_battery: self.supply_shown(),
            is_enrolled: self.is_enrolled().unwrap_or(false),
            ..Vitals::default()
        };
        for unit in self.registry.units.iter().filter(|unit| unit.is_active) {
            let status = self.unit_view(unit.no).map_or(UnitStatus::Ok, |view| view.shown);
            *vitals.units.entry(status).or_default() += 1;
        }
        for device in self.registry.devices.iter().filter(|device| device.is_active) {
            *vitals.sensors.entry(self.sensor_state(device, now)).or_default() += 1;
        }
        for (_, standing) in self.standing.open() {
            *vitals.alerts.entry((standing.alert_type, standing.severity)).or_default() += 1;
            vitals.alerts_untaken += u64::from(standing.status != AlertStatus::Acknowledged);
        }
        vitals
    }

    pub(crate) fn sensor_state(&self, device: &DeviceRow, now: MonoMs) -> SensorState {
        let was_heard = self.live_of(device.no).is_some_and(|live| live.seen.0 > 0);
        match self.rules.is_alive(device.no, self.tick_at(now)) {
            Some(false) => SensorState::Silent,
            Some(true) if was_heard => SensorState::Reporting,
            Some(true) => SensorState::Awaited,
            // A door contact is assigned too, and no reading is expected of it.
            None if was_heard && self.registry.any_unit_of(device.no).is_some() => SensorState::Reporting,
            None if self.registry.any_unit_of(device.no).is_some() => SensorState::Awaited,
            None => SensorState::Unassigned,
        }
    }
}

/// A sensor that is heard, and sends nothing of the probes that measure a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Astray {
    pub found: String,
    /// What to do about it.
    pub todo: String,
}

impl Core {
    /// None also while nothing is known of its temperatures: since the start, or of a sensor that has none.
    pub(crate) fn astray(&self, device: &DeviceRow) -> Option<Astray> {
        let told = &self.live_of(device.no)?.told;
        let assigned = || self.registry.assignments.iter().filter(|row| row.device == device.no);
        let is_known = |probe| told.contains(&probe) || self.live.newest(device.no, probe).is_some();
        if assigned().any(|row| is_known(row.probe)) {
            return None;
        }
        let (missing, sent) = (assigned().next()?, told.first()?);
        let unit = shell_word(self.registry.unit(missing.unit).map_or("UNIT", |unit| unit.name.as_str()));
        let name = shell_word(&device.eui);
        let sends: Vec<String> = told.iter().map(ToString::to_string).collect();
        let missing = missing.probe;
        Some(Astray {
            found: format!("is heard, and nothing it sends measures a unit (it sends: {})", sends.join(", ")),
            todo: format!(
                "connect its probe {missing}; or `frostguard-hub devices assign {name} --probe {sent} --unit {unit}` \
                 and `frostguard-hub devices assign {name} --probe {missing}`, which takes the other away"
            ),
        })
    }
}

/// A name as one word of a command that people copy into a shell: nothing in it acts there.
fn shell_word(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_.:+".contains(c);
    if name.chars().all(is_plain) && !name.is_empty() {
        return name.to_owned();
    }
    if name.chars().all(|c| is_plain(c) || c == ' ') {
        return format!("\"{name}\"");
    }
    format!("'{}'", name.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_commands_are_words_of_the_shell() {
        for (name, want) in [
            ("A84041FFFF123456", "A84041FFFF123456"),
            ("Walk-in cooler", "\"Walk-in cooler\""),
            ("$(reboot)", "'$(reboot)'"),
            ("`x` \"y\"", "'`x` \"y\"'"),
            ("Ana's", "'Ana'\\''s'"),
            ("", "\"\""),
        ] {
            assert_eq!(shell_word(name), want);
        }
    }

    #[test]
    fn commits_are_sorted_by_the_time_they_took() {
        let mut times = CommitTimes::default();
        for ms in [0, 1, 2, 3, 200, 201, 30_000, 30_001] {
            times.note(ms);
        }
        assert_eq!(times.classes, [2, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 1]);
        assert_eq!((times.count, times.sum_ms), (8, 60_408));
    }
}
