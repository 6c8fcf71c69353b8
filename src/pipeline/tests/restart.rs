//! Power cuts at every point: what was committed goes on as if nothing had happened.

use super::*;

/// A step of a script.
#[derive(Clone, Debug)]
enum Step {
    /// External temperature of sensor 1.
    Hear(i16),
    Door(bool),
    Pass(i64),
}

use Step::{Door, Hear, Pass};

/// What may not depend on restarts: alerts (type, severity, status, and when) and the unit's status.
#[derive(Debug, PartialEq)]
struct Story {
    alerts: Vec<String>,
    doors: Vec<String>,
    shown: String,
    unit: String,
}

/// What the power cut looks like.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cut {
    /// The program starts again at once in the same boot.
    SameBoot,
    /// A new boot, whose clock is on time; the monotonic clock begins at 0.
    NewBoot,
    /// A clean stop and start.
    Stop,
}

struct Player {
    hub: Hub,
    counter: u32,
    /// Heard and not committed: their senders repeat them.
    unsure: Vec<Frame>,
    committed: u64,
}

impl Player {
    fn new() -> Self {
        let mut hub = Hub::with_fridge();
        hub.ask(json!({
            "request": "devices_add", "address": eui(9), "model": "dragino/lds02", "unit": "Fridge",
        }));
        let committed = hub.core().committed();
        Self { hub, counter: 0, unsure: Vec::new(), committed }
    }

    fn play(&mut self, step: &Step) {
        self.counter += 1;
        match *step {
            Hear(value) => self.hear(climate(1, self.counter, value)),
            Door(is_open) => self.hear(door(9, self.counter, is_open)),
            Pass(ms) => self.hub.pass(ms),
        }
        let committed = self.hub.core().committed();
        if committed != self.committed {
            self.unsure.clear();
            self.committed = committed;
        }
    }

    fn play_all(&mut self, steps: &[Step]) {
        for step in steps {
            self.play(step);
        }
    }

    fn hear(&mut self, frame: Frame) {
        self.unsure.push(frame.clone());
        self.hub.hear(frame);
    }

    /// The power goes for `ms`; what is not sure to be kept is heard again.
    fn cut(&mut self, cut: Cut, ms: i64) {
        match cut {
            Cut::SameBoot => {
                self.hub.cut_power();
                self.hub.clock.advance(ms);
                self.hub.start();
            }
            Cut::NewBoot => self.hub.reboot(ms),
            Cut::Stop => {
                self.hub.stop();
                self.unsure.clear();
                self.hub.clock.advance(ms);
                self.hub.start();
            }
        }
        self.committed = self.hub.core().committed();
        for frame in std::mem::take(&mut self.unsure) {
            self.hear(frame);
        }
    }

    fn story(mut self) -> Story {
        self.hub.commit();
        self.hub.check_audit();
        let readings = self.hub.row("SELECT count(*) - count(DISTINCT seq) FROM hub_log");
        assert_eq!(readings, "0");
        Story {
            alerts: self.hub.rows(
                "SELECT alert_type, severity, status, triggered_at, escalated_at, resolved_at FROM alerts
                 ORDER BY triggered_at, id",
            ),
            // A change that was not committed is heard again later, and is as old as that.
            doors: self
                .hub
                .rows("SELECT state, duration_seconds IS NULL FROM door_events ORDER BY \"timestamp\""),
            shown: self.hub.shown(1),
            unit: self.hub.row("SELECT status FROM units"),
        }
    }
}

fn script() -> Vec<Step> {
    // The door is committed before anything else: its alert is as old as its change.
    let mut script = vec![Hear(400), Pass(MINUTE), Door(true), Pass(WINDOW), Hear(900), Pass(2 * SECOND)];
    script.push(Hear(900));
    for _ in 0..5 {
        script.extend([Pass(MINUTE), Hear(950)]);
    }
    script.extend([Door(false), Pass(WINDOW), Hear(800), Pass(6 * MINUTE), Hear(800)]);
    // Good again, out again, and good for long.
    script.extend([Pass(MINUTE), Hear(300), Pass(MINUTE), Hear(800), Pass(SECOND), Hear(300)]);
    for _ in 0..3 {
        script.extend([Pass(MINUTE), Hear(300)]);
    }
    script
}

/// Plays the script with one power cut after each prefix, or each `stride`th.
#[track_caller]
fn check(script: &[Step], cut: Cut, stride: usize) {
    let mut whole = Player::new();
    whole.play_all(script);
    let want = whole.story();
    for at in (0..=script.len()).step_by(stride) {
        let mut player = Player::new();
        player.play_all(&script[..at]);
        player.cut(cut, 0);
        player.play_all(&script[at..]);
        assert_eq!(player.story(), want, "{cut:?} after step {at}");
    }
}

#[test]
fn what_an_open_door_holds_back_is_audited() {
    let mut player = Player::new();
    player.play_all(&[Hear(400), Pass(MINUTE), Door(true), Pass(WINDOW), Hear(900), Pass(MINUTE), Hear(300)]);
    player.hub.commit();
    let rows = player.hub.rows("SELECT event_type FROM event_logs WHERE event_type LIKE 'alarm_h%'");
    assert_eq!(rows, ["alarm_held", "alarm_hold_ended"]);
    player.hub.check_audit();
}

#[test]
fn a_cut_at_any_point_changes_nothing_in_the_same_boot() {
    check(&script(), Cut::SameBoot, 1);
}

#[test]
fn a_cut_at_any_point_changes_nothing_in_a_new_boot() {
    check(&script(), Cut::NewBoot, 1);
}

#[test]
fn a_clean_restart_changes_nothing() {
    check(&script(), Cut::Stop, 4);
}

#[test]
fn a_restart_after_every_step_changes_nothing() {
    let script = script();
    let mut whole = Player::new();
    whole.play_all(&script);
    let want = whole.story();
    for cuts in [[Cut::SameBoot; 2], [Cut::NewBoot; 2], [Cut::NewBoot, Cut::Stop]] {
        let mut player = Player::new();
        for (index, step) in script.iter().enumerate() {
            player.play(step);
            player.cut(cuts[index % 2], 0);
        }
        assert_eq!(player.story(), want, "{cuts:?}");
    }
}

/// A silent sensor and a cut at each minute: the alert that stands is known after it, and stays the only one.
#[test]
fn an_alert_decided_by_time_alone_survives() {
    for cut in [Cut::SameBoot, Cut::NewBoot, Cut::Stop] {
        // Offline, warned and critical, each some minutes after the last checkpoint.
        for minutes in [2, 4, 7, 16, 33] {
            let mut player = Player::new();
            player.play(&Hear(400));
            player.play(&Pass(minutes * MINUTE));
            let ids = "SELECT hex(id), severity, status FROM alerts";
            let (before, shown) = (player.hub.rows(ids), player.hub.shown(1));
            assert_eq!(before.len(), usize::from(minutes > 15));
            player.cut(cut, MINUTE);
            assert_eq!((player.hub.rows(ids), player.hub.shown(1)), (before, shown), "{cut:?} {minutes} min");
            player.play(&Pass(45 * MINUTE));
            let alerts = player.hub.rows("SELECT alert_type, resolved_at FROM alerts");
            assert_eq!(alerts, ["monitoring_interrupted|-"], "{cut:?} {minutes} min");
            player.play(&Hear(400));
            player.play(&Pass(WINDOW));
            player.play(&Hear(400));
            let story = player.story();
            assert_eq!((story.shown.as_str(), story.unit.as_str()), ("ok", "ok"), "{cut:?} {minutes} min");
            assert_eq!(story.alerts.len(), 1, "{:?}", story.alerts);
            assert!(
                story.alerts[0].starts_with("monitoring_interrupted|")
                    && story.alerts[0].contains("|resolved|")
            );
        }
    }
}

/// The excursion began before the cut; its confirm delay of ten minutes includes the time without power.
#[test]
fn no_elapsed_time_is_lost() {
    for cut in [Cut::SameBoot, Cut::NewBoot, Cut::Stop] {
        // Minutes before the cut, without power, and after it until the alarm must stand.
        for (before, off, after) in [(4, 3, 4), (1, 8, 2), (4, 60, 0), (0, 10, 0)] {
            let mut player = Player::new();
            player.play(&Hear(400));
            player.play(&Hear(900));
            for _ in 0..before {
                player.play(&Pass(MINUTE));
                player.play(&Hear(900));
            }
            player.play(&Pass(WINDOW));
            player.cut(cut, off * MINUTE);
            for _ in 0..after {
                let first = player.hub.alerts();
                assert_eq!(first, ["alarm_active|warning|active"], "{cut:?} {before} {off}");
                player.play(&Hear(900));
                player.play(&Pass(MINUTE));
            }
            player.play(&Hear(900));
            assert_eq!(
                player.hub.alerts(),
                ["alarm_active|critical|active"],
                "{cut:?} {before} {off} {after}"
            );
            assert_eq!(player.hub.shown(1), "alarm_active");
        }
    }
}

/// Checkpoints, settled hours and a backup in between: the replay starts from them.
#[test]
fn a_checkpoint_loses_no_time() {
    for cut in [Cut::SameBoot, Cut::NewBoot] {
        let mut player = Player::new();
        player.play(&Hear(400));
        // The last reading is half a minute older than the checkpoint of the tenth minute.
        player.play(&Pass(9 * MINUTE + 30 * SECOND));
        player.play(&Hear(900));
        player.play(&Pass(40 * SECOND));
        assert_eq!(player.hub.row("SELECT count(*) > 0 FROM hub_checkpoints"), "1");
        player.cut(cut, 9 * MINUTE);
        player.play(&Hear(900));
        assert_eq!(player.hub.alerts(), ["alarm_active|warning|active"]);
        player.play(&Pass(21 * SECOND));
        player.play(&Hear(900));
        assert_eq!(player.hub.alerts(), ["alarm_active|critical|active"], "{cut:?}");
    }
}

#[test]
fn a_counter_that_comes_again_after_a_day_is_no_repeat_because_the_hub_restarted() {
    const HOUR_MS: i64 = 3_600_000;
    for (pause_ms, want) in [(HOUR_MS, "1"), (25 * HOUR_MS, "2")] {
        let mut hub = Hub::with_fridge();
        hub.hear(climate(1, 5, 400));
        hub.commit();
        // The same values under the same number: a node that counts to 255, in front of a steady fridge.
        hub.reboot(pause_ms);
        hub.hear(climate(1, 5, 400));
        hub.commit();
        assert_eq!(hub.row("SELECT count(*) FROM hub_log"), want, "after {pause_ms} ms");
    }
}
