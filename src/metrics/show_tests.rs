use super::*;
use crate::domain::UnixMs;
use crate::pipeline::vitals::CommitTimes;
use crate::store::partition::Space;

fn facts() -> Facts {
    let mut commit_times = CommitTimes::default();
    for ms in [3, 3, 700, 60_000] {
        commit_times.note(ms);
    }
    let counters = [
        ("frames.reading{radio}", 5),
        ("frames.stranger{radio}", 2),
        ("frames.heard{radio}", 7),
        ("frames.raw{no data}", 1),
        ("alerts.opened{door_open}", 3),
        ("notify.sent", 4),
        ("mqtt.redelivered{broker}", 6),
    ];
    Facts {
        now: MonoMs(100_000),
        vitals: Arc::new(Vitals {
            at: MonoMs(98_000),
            started: MonoMs(40_000),
            wall_ms: 1_900_000_000_000,
            is_clock_trusted: true,
            clock_quality: Some(Quality::Ntp),
            clock_uncertainty_ms: Some(12),
            sources: vec![("radio".into(), true), ("broker".into(), false)],
            units: [(UnitStatus::Offline, 2)].into(),
            sensors: [(SensorState::Silent, 1)].into(),
            alerts: [((AlertType::DoorOpen, Severity::Critical), 1)].into(),
            alerts_untaken: 1,
            commit_times,
            is_on_battery: Some(true),
            failing_since: Some(MonoMs(70_000)),
            ..Vitals::default()
        }),
        counters: counters.into_iter().map(|(name, count)| (name.to_owned(), count)).collect(),
        uplink: uplink::Status {
            is_enrolled: true,
            last_contact: Some(MonoMs(95_500)),
            ..Default::default()
        },
        figures: Some(Figures {
            unsent: 9,
            oldest_unsent: Some(UnixMs(1_899_999_940_000)),
            ..Figures::default()
        }),
        machine: Machine {
            partition: Some(Space { total_bytes: 100, available_bytes: 40, ..Space::default() }),
            ..Machine::default()
        },
    }
}

#[track_caller]
fn check(page: &str, line: &str) {
    assert!(page.lines().any(|own| own == line), "{line} is missing in:\n{page}");
}

#[test]
fn says_what_is_known() {
    let page = show(&facts());
    for line in [
        "frostguard_uptime_seconds 60.000",
        "frostguard_snapshot_age_seconds 2.000",
        "frostguard_clock_trusted 1",
        "frostguard_clock_quality{quality=\"ntp\"} 1",
        "frostguard_clock_quality{quality=\"untrusted\"} 0",
        "frostguard_clock_uncertainty_seconds 0.012",
        "frostguard_source_up{source=\"broker\"} 0",
        "frostguard_units{status=\"offline\"} 2",
        "frostguard_units{status=\"ok\"} 0",
        "frostguard_sensors{state=\"silent\"} 1",
        "frostguard_alerts{type=\"door_open\",severity=\"critical\"} 1",
        "frostguard_alerts_total{type=\"door_open\"} 3",
        "frostguard_commit_seconds_bucket{le=\"0.002\"} 0",
        "frostguard_commit_seconds_bucket{le=\"0.005\"} 2",
        "frostguard_commit_seconds_bucket{le=\"1\"} 3",
        "frostguard_commit_seconds_bucket{le=\"30\"} 3",
        "frostguard_commit_seconds_bucket{le=\"+Inf\"} 4",
        "frostguard_commit_seconds_sum 60.706",
        "frostguard_commit_seconds_count 4",
        "frostguard_storage_failing_seconds 30.000",
        "frostguard_on_battery 1",
        "frostguard_frames_total{source=\"radio\",result=\"reading\"} 5",
        "frostguard_frames_total{source=\"radio\",result=\"stranger\"} 2",
        "frostguard_messages_total{result=\"sent\"} 4",
        "frostguard_events_total{event=\"mqtt.redelivered\",of=\"broker\"} 6",
        "frostguard_events_total{event=\"frames.raw\",of=\"no data\"} 1",
        "frostguard_last_contact_age_seconds 4.500",
        "frostguard_database_up 1",
        "frostguard_readings_unsent 9",
        "frostguard_oldest_unsent_age_seconds 60.000",
        "frostguard_disk_available_bytes 40",
    ] {
        check(&page, line);
    }
    assert!(!page.contains("frames.heard") && !page.contains("event=\"alerts.opened\""), "{page}");
}

#[test]
fn leaves_out_what_nobody_knows() {
    let all = facts();
    let untrusted = Vitals { clock_quality: None, is_on_battery: None, ..Vitals::default() };
    let page = show(&Facts { vitals: Arc::new(untrusted), ..facts() });
    check(&page, "frostguard_clock_quality{quality=\"untrusted\"} 1");
    assert!(!page.contains("on_battery") && !page.contains("uncertainty"), "{page}");
    let page = show(&Facts { figures: None, machine: Machine::default(), ..all });
    check(&page, "frostguard_database_up 0");
    for name in ["frostguard_readings_unsent", "frostguard_disk"] {
        assert!(!page.contains(name), "{page}");
    }
}
