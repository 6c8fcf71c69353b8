//! From what is known to the page: pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::machine::Machine;
use super::text::{Kind, Page, Seconds};
use crate::clock::trust::Quality;
use crate::domain::{AlertType, MonoMs, Severity, UnitStatus};
use crate::pipeline::vitals::{COMMIT_MS, SensorState, Vitals};
use crate::store::figures::Figures;
use crate::store::frames::Outcome;
use crate::uplink;

/// Everything the page is made of.
pub struct Facts {
    pub now: MonoMs,
    pub vitals: Arc<Vitals>,
    pub counters: BTreeMap<String, u64>,
    pub uplink: uplink::Status,
    /// None: the database did not answer in time.
    pub figures: Option<Figures>,
    pub machine: Machine,
}

pub fn show(facts: &Facts) -> String {
    let mut page = Page::default();
    page.family(Kind::Gauge, "frostguard_build_info", "Always 1; the version is a label.")
        .series(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    core(&mut page, facts.now, &facts.vitals);
    counted(&mut page, &facts.counters);
    sync(&mut page, facts.now, &facts.uplink);
    page.one(
        Kind::Gauge,
        "frostguard_database_up",
        "Whether the database answered for the figures below.",
        u8::from(facts.figures.is_some()),
    );
    if let Some(figures) = &facts.figures {
        stored(&mut page, figures, &facts.vitals);
    }
    machine(&mut page, &facts.machine);
    page.into_text()
}

fn core(page: &mut Page, now: MonoMs, vitals: &Vitals) {
    page.one(
        Kind::Gauge,
        "frostguard_uptime_seconds",
        "Since the hub started.",
        Seconds(now.0 - vitals.started.0),
    );
    page.one(
        Kind::Gauge,
        "frostguard_snapshot_age_seconds",
        "Age of what the core said of itself; beyond a minute it hangs.",
        Seconds(now.0 - vitals.at.0),
    );
    clock(page, vitals);
    let mut sources = page.family(Kind::Gauge, "frostguard_source_up", "Whether a source is connected.");
    for (name, is_up) in &vitals.sources {
        sources.series(&[("source", name)], u8::from(*is_up));
    }
    let mut units = page.family(Kind::Gauge, "frostguard_units", "Watched units by status.");
    for status in UnitStatus::ALL {
        units.series(&[("status", status.as_str())], vitals.units.get(status).copied().unwrap_or(0));
    }
    let mut sensors = page.family(
        Kind::Gauge,
        "frostguard_sensors",
        "Paired sensors by state; an awaited one was not heard since the start.",
    );
    for state in SensorState::ALL {
        sensors.series(&[("state", state.as_str())], vitals.sensors.get(&state).copied().unwrap_or(0));
    }
    let mut alerts = page.family(Kind::Gauge, "frostguard_alerts", "Alerts that are not resolved.");
    for alert_type in AlertType::ALL {
        for severity in Severity::ALL {
            let count = vitals.alerts.get(&(*alert_type, *severity)).copied().unwrap_or(0);
            alerts.series(&[("type", alert_type.as_str()), ("severity", severity.as_str())], count);
        }
    }
    page.one(
        Kind::Gauge,
        "frostguard_alerts_untaken",
        "Of those, alerts that nobody has acknowledged.",
        vitals.alerts_untaken,
    );
    commits(page, now, vitals);
    page.one(
        Kind::Gauge,
        "frostguard_messages_waiting",
        "Messages to people that wait for their turn.",
        vitals.calls_waiting,
    );
    page.one_known(
        Kind::Gauge,
        "frostguard_on_battery",
        "Whether the mains are lost, where the supply is watched.",
        vitals.is_on_battery.map(u8::from),
    );
}

fn clock(page: &mut Page, vitals: &Vitals) {
    page.one(
        Kind::Gauge,
        "frostguard_clock_trusted",
        "Whether wall time is believed; readings wait for it before they go up.",
        u8::from(vitals.is_clock_trusted),
    );
    let mut quality = page.family(
        Kind::Gauge,
        "frostguard_clock_quality",
        "1 for what vouches for the time, 0 for the rest.",
    );
    let all = [Quality::Estimated, Quality::Rtc, Quality::Ntp, Quality::Receiver].map(Some);
    for possible in [None].into_iter().chain(all) {
        let name = possible.map_or("untrusted", Quality::as_str);
        quality.series(&[("quality", name)], u8::from(vitals.clock_quality == possible));
    }
    page.one_known(
        Kind::Gauge,
        "frostguard_clock_uncertainty_seconds",
        "How far off the time may be.",
        vitals.clock_uncertainty_ms.map(Seconds),
    );
}

fn commits(page: &mut Page, now: MonoMs, vitals: &Vitals) {
    let mut family = page.family(
        Kind::Histogram,
        "frostguard_commit_seconds",
        "How long commits took, to the millisecond.",
    );
    let mut so_far = 0;
    for (bound, count) in COMMIT_MS.iter().zip(vitals.commit_times.classes) {
        so_far += count;
        let bound = (*bound as f64 / 1_000.0).to_string();
        family.suffixed("_bucket", &[("le", &bound)], so_far);
    }
    family.suffixed("_bucket", &[("le", "+Inf")], vitals.commit_times.count);
    family.suffixed("_sum", &[], Seconds(vitals.commit_times.sum_ms as i64));
    family.suffixed("_count", &[], vitals.commit_times.count);
    page.one(
        Kind::Gauge,
        "frostguard_storage_failing_seconds",
        "For how long the database has refused to write; 0: it writes.",
        Seconds(vitals.failing_since.map_or(0, |since| (now.0 - since.0).max(1))),
    );
    for (name, help, value) in [
        ("frostguard_frames_queued", "Frames that wait for the core.", vitals.events_queued),
        (
            "frostguard_readings_uncommitted",
            "Readings that wait for the next commit.",
            vitals.readings_waiting,
        ),
        (
            "frostguard_writes_uncommitted",
            "Writes of every kind that wait for the next commit.",
            vitals.writes_waiting,
        ),
    ] {
        page.one(Kind::Gauge, name, help, value);
    }
    page.one(
        Kind::Counter,
        "frostguard_wal_written_bytes_total",
        "Bytes written to the database's log; checkpoints come on top.",
        vitals.wal_bytes,
    );
}

/// Counters with families of their own, by their names in `Counters`.
const OWN: [(&str, &str, &str); 5] = [
    ("store.failed_commits", "frostguard_commit_failures_total", "Commits that the database refused."),
    (
        "store.not_kept",
        "frostguard_frames_not_kept_total",
        "Messages that were judged and found no room while the database refused to write.",
    ),
    (
        "store.summarized_readings",
        "frostguard_readings_summarized_total",
        "Readings replaced by a summary because the database was at its bound.",
    ),
    ("store.skipped_rows", "frostguard_rows_skipped_total", "Rows that the schema refused."),
    ("sync.refused_rows", "frostguard_rows_refused_total", "Rows that central refused."),
];
/// What became of messages to people, by the counters' names.
const MESSAGES: [(&str, &str); 4] = [
    ("notify.sent", "sent"),
    ("notify.failed_tries", "failed_try"),
    ("notify.given_up", "given_up"),
    ("notify.not_delivered", "not_delivered"),
];
const ALERTS: &str = "alerts.opened";
const HEARD: &str = "frames.heard";

fn counted(page: &mut Page, counters: &BTreeMap<String, u64>) {
    let of = |wanted: &str| -> Vec<(&str, u64)> {
        let split = counters.iter().map(|(key, count)| (split(key), *count));
        split.filter(|((name, _), _)| *name == wanted).map(|((_, label), count)| (label, count)).collect()
    };
    let mut frames = page.family(Kind::Counter, "frostguard_frames_total", "Frames by what became of them.");
    for outcome in Outcome::ALL {
        for (source, count) in of(&format!("frames.{}", outcome.as_str())) {
            frames.series(&[("source", source), ("result", outcome.as_str())], count);
        }
    }
    let mut alerts = page.family(Kind::Counter, "frostguard_alerts_total", "Alerts opened.");
    let opened = of(ALERTS);
    for alert_type in AlertType::ALL {
        let count =
            opened.iter().find(|(name, _)| *name == alert_type.as_str()).map_or(0, |(_, count)| *count);
        alerts.series(&[("type", alert_type.as_str())], count);
    }
    let one = |name: &str| of(name).first().map_or(0, |(_, count)| *count);
    for (counter, name, help) in OWN {
        page.one(Kind::Counter, name, help, one(counter));
    }
    let mut messages =
        page.family(Kind::Counter, "frostguard_messages_total", "Messages to people by what became of them.");
    for (counter, result) in MESSAGES {
        messages.series(&[("result", result)], one(counter));
    }
    let mut others = page.family(
        Kind::Counter,
        "frostguard_events_total",
        "Everything else the hub counts, by its own names; `of` is a source, a model or a reason.",
    );
    let is_shown = |name: &str| {
        name == ALERTS
            || name == HEARD
            || OWN.iter().any(|(own, _, _)| *own == name)
            || MESSAGES.iter().any(|(own, _)| *own == name)
            || name
                .strip_prefix("frames.")
                .is_some_and(|rest| Outcome::ALL.iter().any(|o| o.as_str() == rest))
    };
    for (key, count) in counters {
        let (name, label) = split(key);
        if !is_shown(name) {
            others.series(&[("event", name), ("of", label)], *count);
        }
    }
}

/// "name{label}" or "name".
fn split(key: &str) -> (&str, &str) {
    match key.split_once('{') {
        Some((name, label)) => (name, label.strip_suffix('}').unwrap_or(label)),
        None => (key, ""),
    }
}

fn sync(page: &mut Page, now: MonoMs, uplink: &uplink::Status) {
    page.one(
        Kind::Gauge,
        "frostguard_enrolled",
        "Whether the hub is joined to a central.",
        u8::from(uplink.is_enrolled),
    );
    page.one(
        Kind::Gauge,
        "frostguard_uplink_failing",
        "Whether the last request to the receiver failed.",
        u8::from(uplink.problem.is_some()),
    );
    page.one_known(
        Kind::Gauge,
        "frostguard_last_contact_age_seconds",
        "Since the receiver last answered with a success.",
        uplink.last_contact.map(|at| Seconds(now.0 - at.0)),
    );
    page.one_known(
        Kind::Gauge,
        "frostguard_uplink_bytes_per_second",
        "Measured over uploads.",
        uplink.bytes_per_s,
    );
    let lanes = [("state", &uplink.state), ("readings", &uplink.readings)];
    for (name, help, value) in [
        ("frostguard_batches_sent_total", "Batches that central acknowledged.", 0),
        ("frostguard_rows_sent_total", "Rows in them.", 1),
        ("frostguard_sent_bytes_total", "Bytes of their bodies.", 2),
    ] {
        let mut family = page.family(Kind::Counter, name, help);
        for (lane, shown) in &lanes {
            family.series(&[("lane", lane)], [shown.batches, shown.rows, shown.body_bytes][value]);
        }
    }
}

fn stored(page: &mut Page, figures: &Figures, vitals: &Vitals) {
    page.one(
        Kind::Gauge,
        "frostguard_oldest_unsent_age_seconds",
        "Age of the oldest reading that central has not acknowledged; 0: there is none.",
        // By the hub's own clock, which stamped the readings too.
        Seconds(figures.oldest_unsent.map_or(0, |oldest| (vitals.wall_ms - oldest.0).max(0))),
    );
    for (name, help, value) in [
        ("frostguard_readings_stored", "Readings in the database.", figures.readings),
        ("frostguard_readings_unsent", "Readings that central has not acknowledged.", figures.unsent),
        ("frostguard_rows_unsent", "Rows of state that wait to be cut into a batch.", figures.dirty),
        ("frostguard_batches_in_flight", "Batches cut and not acknowledged.", figures.batches),
        ("frostguard_rows_refused", "Rows that central refused and the hub keeps.", figures.refused),
        ("frostguard_rows_waiting_for_clock", "Times that wait for a trusted clock.", figures.unplaced),
        ("frostguard_database_bytes", "Pages in use.", figures.database_bytes),
        ("frostguard_raw_frames_bytes", "Of those, raw frames.", figures.frames_bytes),
    ] {
        page.one(Kind::Gauge, name, help, value);
    }
}

fn machine(page: &mut Page, machine: &Machine) {
    page.one_known(
        Kind::Counter,
        "frostguard_written_bytes_total",
        "Bytes the hub has sent to the storage since it started.",
        machine.written_bytes,
    );
    let partition = machine.partition;
    page.one_known(
        Kind::Gauge,
        "frostguard_disk_available_bytes",
        "Room on the partition of the data folder.",
        partition.map(|space| space.available_bytes),
    );
    page.one_known(
        Kind::Gauge,
        "frostguard_disk_total_bytes",
        "Size of the partition of the data folder.",
        partition.map(|space| space.total_bytes),
    );
    page.one_known(Kind::Gauge, "frostguard_resident_bytes", "Memory of the hub.", machine.resident_bytes);
    page.one_known(Kind::Gauge, "frostguard_open_files", "Open file descriptors.", machine.open_files);
}

#[cfg(test)]
#[path = "show_tests.rs"]
mod tests;
