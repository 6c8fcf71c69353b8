//! Any sequence of frames, time, power cuts and refusing disks keeps the promises.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::notify::Channel;

#[derive(Clone, Debug)]
enum Act {
    /// Sensor, external temperature.
    Hear(u32, i16),
    Door(bool),
    /// Everything that was not acknowledged comes again.
    Redeliver,
    /// The newest frame comes again though it may be acknowledged.
    Repeat,
    Pass(i64),
    CutPower,
    Reboot(i64),
    Stop,
    Step(i64),
    DiskRefuses(bool),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let value = prop_oneof![3 => 300..450i16, 3 => 700..1_200i16, 1 => -200..0i16, 1 => Just(0x7FFF)];
    let act = prop_oneof![
        12 => (1..=2u32, value).prop_map(|(sensor, value)| Act::Hear(sensor, value)),
        2 => any::<bool>().prop_map(Act::Door),
        2 => Just(Act::Redeliver),
        1 => Just(Act::Repeat),
        8 => prop_oneof![0..6_000i64, 30_000..90_000i64, 500_000..900_000i64].prop_map(Act::Pass),
        2 => Just(Act::CutPower),
        1 => (0..2_000_000i64).prop_map(Act::Reboot),
        1 => Just(Act::Stop),
        1 => (-4_000_000..4_000_000i64).prop_map(Act::Step),
        1 => any::<bool>().prop_map(Act::DiskRefuses),
    ];
    prop::collection::vec(act, 1..60)
}

struct Run {
    hub: Hub,
    connection: u64,
    /// By counter, which is the message's number too.
    sent: BTreeMap<u32, Frame>,
    acked: Vec<u32>,
}

impl Run {
    fn new() -> Self {
        let mut hub = Hub::with_fridge();
        hub.notify.machines = vec![(Channel::Webhook, "ops".into())];
        hub.stop();
        hub.start();
        hub.add_unit("Freezer", "freezer");
        hub.pair(2, "Freezer");
        hub.ask(json!({
            "request": "devices_add", "address": eui(9), "model": "dragino/lds02", "unit": "Fridge",
        }));
        Self { hub, connection: 1, sent: BTreeMap::new(), acked: Vec::new() }
    }

    fn send(&mut self, counter: u32, is_redelivered: bool) {
        let mut frame = acked(self.sent[&counter].clone(), self.connection, u64::from(counter));
        frame.identity.packet.as_mut().unwrap().is_redelivered = is_redelivered;
        self.hub.hear(frame);
        self.collect();
    }

    fn send_new(&mut self, make: impl FnOnce(u32) -> Frame) {
        let counter = self.sent.len() as u32 + 1;
        self.sent.insert(counter, make(counter));
        self.send(counter, false);
    }

    fn collect(&mut self) {
        self.acked.extend(self.hub.acks.drain(..).map(|message| message as u32));
    }

    fn refuse(&mut self, refuses: bool) {
        self.hub.core().store.connection().pragma_update(None, "query_only", refuses).unwrap();
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Hear(sensor, value) => self.send_new(|counter| climate(sensor, counter, value)),
            Act::Door(is_open) => self.send_new(|counter| door(9, counter, is_open)),
            Act::Redeliver => {
                self.connection += 1;
                let missing: Vec<u32> =
                    self.sent.keys().copied().filter(|counter| !self.acked.contains(counter)).collect();
                for counter in missing {
                    self.send(counter, true);
                }
            }
            Act::Repeat => {
                if let Some(&newest) = self.sent.keys().last() {
                    self.send(newest, true);
                }
            }
            Act::Pass(ms) => self.hub.pass(ms),
            Act::CutPower => {
                self.hub.cut_power();
                self.hub.start();
                self.connection += 1;
            }
            Act::Reboot(ms) => {
                self.hub.reboot(ms);
                self.connection += 1;
            }
            Act::Stop => {
                self.refuse(false);
                self.hub.stop();
                self.hub.start();
                self.connection += 1;
            }
            Act::Step(ms) => self.hub.clock.step(ms),
            Act::DiskRefuses(refuses) => self.refuse(refuses),
        }
        self.collect();
    }

    fn check(&self) {
        let twice = "SELECT unit_id, alert_type FROM alerts WHERE status != 'resolved' GROUP BY 1, 2 HAVING count(*) > 1";
        assert_eq!(self.hub.rows(twice), Vec::<String>::new(), "two open alerts");
        // Everybody who must be called stands in a row of the same commit, over whatever happens.
        let uncalled = "SELECT e.id FROM event_logs AS e WHERE e.event_type = 'alert_called' AND NOT EXISTS (
            SELECT 1 FROM hub_deliveries AS d JOIN alerts AS a ON a.id = d.alert_id
            WHERE d.kind = 'call' AND a.id = e.entity_id AND d.level = e.payload ->> '$.level')";
        assert_eq!(self.hub.rows(uncalled), Vec::<String>::new(), "calls without a delivery");
        let baseless = "SELECT a.id FROM alerts AS a JOIN units AS u ON u.id = a.unit_id
            WHERE a.alert_type = 'alarm_active' AND a.threshold_violated IS NOT NULL AND NOT EXISTS (
                SELECT 1 FROM sensor_readings AS r WHERE r.unit_id = a.unit_id
                    AND (r.temperature > u.temp_max * 10 OR r.temperature < u.temp_min * 10))";
        assert_eq!(self.hub.rows(baseless), Vec::<String>::new(), "alarms without a cause in the log");
        let stored: BTreeMap<u32, u32> = self
            .hub
            .rows("SELECT counter, count(*) FROM hub_frames WHERE outcome != 'duplicate' GROUP BY 1")
            .iter()
            .filter_map(|row| row.split_once('|'))
            .map(|(counter, count)| (counter.parse().unwrap(), count.parse().unwrap()))
            .collect();
        for counter in &self.acked {
            assert_eq!(stored.get(counter), Some(&1), "acknowledged frame {counter}");
        }
        assert!(stored.values().all(|count| *count == 1), "{stored:?}");
        let readings = self.hub.row(
            "SELECT (SELECT count(*) FROM hub_frames WHERE outcome = 'reading') - (SELECT count(*) FROM hub_log)
                - (SELECT coalesce(sum(rows), 0) FROM hub_hours)",
        );
        assert_eq!(readings, "0", "a row for each reading");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn promises_hold(acts in acts()) {
        let mut run = Run::new();
        for act in &acts {
            run.act(act);
            run.check();
        }
        run.hub.check_audit();
        // Whatever was going on: with a sound disk and time everything is stored, once.
        run.refuse(false);
        run.hub.commit();
        run.act(&Act::Redeliver);
        run.hub.commit();
        run.collect();
        run.check();
        run.hub.check_audit();
        let mut acked = run.acked.clone();
        acked.sort_unstable();
        acked.dedup();
        prop_assert_eq!(acked, run.sent.keys().copied().collect::<Vec<u32>>());
        // The rules and the tables agree, also after another start.
        run.hub.reboot(0);
        for unit in [1, 2] {
            let stored = run.hub.row(&format!(
                "SELECT status FROM units WHERE id = (SELECT unit_id FROM hub_units WHERE no = {unit})"
            ));
            prop_assert_eq!(run.hub.shown(unit), stored);
        }
    }
}
