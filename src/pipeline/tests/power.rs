//! Power cuts played through: with a supply that tells, and without one.

use super::*;
use crate::notify::Channel;
use crate::power::PowerEvent;

const REPORTS: &str =
    "SELECT payload ->> '$.verdict', payload ->> '$.above_ms', payload ->> '$.highest_hundredths',
    payload ->> '$.recovered_ms' FROM event_logs WHERE event_type = 'power_report' AND entity_type = 'unit'";
const POWER: &str =
    "SELECT event_type FROM event_logs WHERE event_type LIKE 'power%' ORDER BY occurred_at, event_type";

impl Hub {
    fn lose(&mut self) {
        let since = crate::clock::Clock::mono(&*self.clock);
        self.core().power_changed(PowerEvent::Lost { since, battery: Some(90) }).unwrap();
    }

    fn come_back(&mut self) {
        let since = crate::clock::Clock::mono(&*self.clock);
        self.core().power_changed(PowerEvent::Back { since }).unwrap();
    }

    /// A reading every ten minutes.
    fn read(&mut self, counter: &mut u32, externals: &[i16]) {
        for &external in externals {
            self.pass(10 * MINUTE);
            *counter += 1;
            self.hear(climate(1, *counter, external));
        }
        self.commit();
    }
}

/// A fridge, and a webhook that is told of everything.
fn hub_that_tells() -> Hub {
    let mut hub = Hub::with_fridge();
    hub.notify.machines = vec![(Channel::Webhook, "ops".into())];
    hub.stop();
    hub.start();
    hub
}

/// Subjects and texts that people were told, the newest last.
fn notices(hub: &mut Hub) -> Vec<String> {
    hub.commit();
    hub.rows(
        "SELECT subject, body FROM hub_deliveries WHERE kind = 'notice' ORDER BY due_segment, due_mono_ms",
    )
}

#[test]
fn a_loss_commits_at_once_and_spares_what_can_wait() {
    let mut hub = hub_that_tells();
    hub.hear(climate(1, 1, 400));
    assert_eq!(hub.row("SELECT count(*) FROM hub_log"), "0", "waits for its group");
    let status = |hub: &mut Hub| hub.ask(json!({ "request": "status" }))["power"]["supply"].to_string();
    assert_eq!(status(&mut hub), "\"not watched\"");
    hub.core().watch_power();
    assert_eq!(status(&mut hub), "\"unknown: it was not read yet\"");
    hub.core().power_is_known();
    assert_eq!(status(&mut hub), "\"mains\"");
    hub.core().power_is_unknown("the line is taken".into());
    assert_eq!(status(&mut hub), "\"unknown: the line is taken\"");
    assert!(notices(&mut hub).is_empty(), "what cannot be read is no outage");
    hub.lose();
    assert_eq!(hub.row("SELECT count(*) FROM hub_log"), "1");
    assert!(status(&mut hub).starts_with("\"BATTERY since 2030-"), "{}", status(&mut hub));
    hub.core().power_is_unknown("unplugged".into());
    let both = status(&mut hub);
    assert!(both.starts_with("\"unknown: unplugged; last seen: BATTERY since 2030-"), "{both}");
    hub.core().power_is_known();
    let told = notices(&mut hub);
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("no mains power|") && told[0].contains("90 %"), "{told:?}");
    hub.core().power_changed(PowerEvent::BatteryLow { percent: 15 }).unwrap();
    assert!(notices(&mut hub)[1].contains("battery is at 15 %|"));

    let backups = |hub: &Hub| std::fs::read_dir(hub.dir.path().join("backup")).map_or(0, Iterator::count);
    let before = backups(&hub);
    hub.pass(30 * MINUTE);
    assert_eq!(backups(&hub), before, "no backup on battery");
    hub.come_back();
    hub.pass(11 * MINUTE);
    assert_eq!(backups(&hub), before + 1);
    hub.check_audit();
}

#[test]
fn the_report_is_written_when_all_have_recovered_also_over_a_restart() {
    let mut hub = hub_that_tells();
    hub.add_unit("Freezer", "freezer");
    hub.pair(2, "Freezer");
    let mut counter = 0;
    hub.read(&mut counter, &[400, 400]);
    hub.lose();
    hub.read(&mut counter, &[480, 600]);
    // The UPS runs empty; nobody hears the sensors for half an hour.
    hub.reboot(30 * MINUTE);
    hub.read(&mut counter, &[800]);
    hub.hear(climate(2, 1, -2000));
    assert_eq!(hub.rows(POWER), ["power_lost", "power_back"], "a start is power");
    hub.read(&mut counter, &[700, 420]);
    assert_eq!(hub.rows(REPORTS), Vec::<String>::new(), "one good reading is not enough");
    hub.hear(climate(2, 2, -2000));
    // The hub stops and starts meanwhile.
    hub.stop();
    hub.start();
    hub.read(&mut counter, &[400]);
    hub.pass(2 * MINUTE);
    assert_eq!(hub.rows(REPORTS).len(), 2);
    let report = hub.ask(json!({ "request": "power_report" }));
    let units = &report["reports"][0]["report"]["units"];
    assert_eq!((&units[0]["verdict"], &units[1]["verdict"]), (&"recovered".into(), &"fine".into()));
    assert_eq!(units[0]["highest"][0], 800);
    let minutes = |ms: &Value| ms.as_i64().unwrap() / MINUTE;
    // Above from the reading at 20 min to the one at 80; the good one came 30 min after the start.
    assert_eq!((minutes(&units[0]["above_ms"]), minutes(&units[0]["recovered_ms"])), (60, 30));
    let text = report["reports"][0]["text"].as_str().unwrap();
    assert!(text.contains("Fridge: above 5.0 °C for 1 h 0 min, highest 8.0 °C"), "{text}");
    assert!(text.contains("Freezer: fine"), "{text}");
    let told = notices(&mut hub);
    assert_eq!(told.len(), 2, "the loss and the report: {told:?}");
    assert!(told[1].ends_with(&format!("|{}", text.trim_end())), "{told:?}");
    hub.pass(5 * 60 * MINUTE);
    assert_eq!(hub.rows(REPORTS).len(), 2, "once");
    hub.check_audit();
}

#[test]
fn what_does_not_recover_is_reported_after_four_hours() {
    let mut hub = Hub::with_fridge();
    let mut counter = 0;
    hub.lose();
    hub.read(&mut counter, &[900]);
    hub.come_back();
    // Gone and back again before the report: one power cut.
    hub.read(&mut counter, &[900]);
    hub.lose();
    hub.come_back();
    for _ in 0..23 {
        hub.read(&mut counter, &[900]);
    }
    assert_eq!(hub.rows(REPORTS), Vec::<String>::new());
    hub.read(&mut counter, &[900, 900]);
    let rows = hub.rows(REPORTS);
    assert_eq!(rows.len(), 1);
    assert!(rows[0].starts_with("not_yet|") && rows[0].ends_with("|900|-"), "{rows:?}");
    assert_eq!(hub.row("SELECT count(*) FROM hub_outages"), "1");
}

#[test]
fn a_start_after_no_stop_in_a_new_boot_is_probably_a_power_cut() {
    for (stops, off_ms, want) in [(false, 30 * MINUTE, 1), (true, 30 * MINUTE, 0), (false, MINUTE, 0)] {
        let mut hub = Hub::with_fridge();
        let mut counter = 0;
        hub.read(&mut counter, &[400, 400]);
        if stops {
            hub.stop();
        }
        hub.reboot(off_ms);
        hub.read(&mut counter, &[900, 420, 400, 400]);
        hub.pass(2 * MINUTE);
        let report = hub.ask(json!({ "request": "power_report" }));
        let reports = report["reports"].as_array().unwrap();
        assert_eq!(reports.len(), want, "{off_ms} ms, {stops}: {report}");
        if let Some(report) = reports.first() {
            let text = report["text"].as_str().unwrap();
            assert!(text.starts_with("The hub was without power from"), "{text}");
            assert!(text.contains("highest 9.0 °C") && text.contains("no readings from"), "{text}");
        }
        // A program that died and was started again in the same boot is none.
        hub.cut_power();
        hub.clock.advance(30 * MINUTE);
        hub.start();
        assert_eq!(hub.row("SELECT count(*) FROM hub_outages"), want.to_string());
        hub.check_audit();
    }
}

#[test]
fn readings_go_up_seldom_on_battery_and_alerts_as_ever() {
    use frostguard_sync::wire::Lane;
    let mut hub = Hub::with_fridge();
    hub.lose();
    assert!(hub.core().may_upload_readings());
    assert!(!hub.core().may_upload_readings());
    assert!(hub.core().next_batch(Lane::State, 1 << 20).is_ok());
    hub.pass(5 * MINUTE);
    assert!(hub.core().may_upload_readings());
    hub.come_back();
    assert!(hub.core().may_upload_readings() && hub.core().may_upload_readings());
}

#[test]
fn no_report_says_that_it_is_over_while_nobody_knows() {
    let mut hub = hub_that_tells();
    let mut counter = 0;
    hub.read(&mut counter, &[400]);
    hub.lose();
    hub.reboot(30 * MINUTE);
    hub.core().watch_power();
    hub.read(&mut counter, &[400, 400, 400]);
    hub.pass(2 * MINUTE);
    assert_eq!(hub.rows(REPORTS), Vec::<String>::new(), "it may be a battery still");
    hub.core().power_is_known();
    hub.pass(2 * MINUTE);
    assert_eq!(hub.rows(REPORTS).len(), 1);
}

/// A contact that is wired the wrong way round, or a battery whose driver is gone.
#[test]
fn a_battery_that_never_ends_is_not_spared_for_ever() {
    let mut hub = Hub::with_fridge();
    let backups = |hub: &Hub| std::fs::read_dir(hub.dir.path().join("backup")).map_or(0, Iterator::count);
    hub.lose();
    hub.pass(11 * 60 * MINUTE);
    assert_eq!(backups(&hub), 0);
    hub.pass(2 * 60 * MINUTE);
    assert_eq!(backups(&hub), 1);
    assert!(hub.core().may_upload_readings() && hub.core().may_upload_readings());
}
