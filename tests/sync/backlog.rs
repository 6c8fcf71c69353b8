//! A day's readings wait for a slow link; an alert does not wait behind them.

use crate::central::Central;
use crate::kitchen::{Kitchen, WARM, line};
use crate::link::{Link, Way};
use crate::past::{DAY_MS, MINUTE_MS, Past};

const SENSORS: usize = 16;
const MINUTES: u32 = 24 * 60;
/// The day takes half a minute at this speed.
const SLOW: Way = Way::Slow { bytes_per_s: 2_048 };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_overtakes_a_days_backlog() {
    let central = Central::start().await;
    let link = Link::start(&[&central.receiver], 1, Way::Cut).await;
    let mut kitchen = Kitchen::new();
    let mut past = Past::begin(&kitchen.hub.state_dir(), SENSORS, DAY_MS + MINUTE_MS);
    for minute in 0..MINUTES {
        for sensor in 0..SENSORS {
            // Between 2 and 4 °C, as a compressor goes on and off.
            let hundredths = 200 + ((minute * 7 + sensor as u32 * 31) % 200) as i32;
            past.hear(&line(minute, sensor, hundredths));
        }
        past.pass(MINUTE_MS);
    }
    past.end();
    kitchen.start();
    let all = u64::from(MINUTES) * SENSORS as u64;
    assert_eq!(kitchen.hub.status()["readings"]["stored"], all);

    let (_, code) = central.add_hub("Kitchen", &[]);
    // The code stays good while nothing gets through.
    let tried =
        kitchen.hub.try_command(&["enroll", &link.url(), "--code-file", "-", "--create-units"], &code);
    assert!(!tried.status.success());
    link.set(SLOW);
    kitchen.enrol(&link.url(), &code, &["--create-units"]);
    kitchen.hub.wait_status("readings to be on their way", |_| {
        let cut = kitchen.texts("SELECT count(*) AS x FROM hub_batches WHERE lane = 1");
        (cut == ["1"]).then_some(())
    });
    kitchen.hear(&[(MINUTES, 3, WARM)]);
    let alert = "SELECT count(*) = 1 FROM alerts AS a JOIN units AS u ON u.id = a.unit_id \
         WHERE a.alert_type = 'alarm_active' AND u.name = 'Fridge 3' AND a.resolved_at IS NULL";
    central.wait("the alert to arrive", alert).await;
    let arrived = central.number("SELECT count(*) FROM sensor_readings").await as u64;
    assert!(arrived < all, "the backlog of {all} readings had arrived before the alert");

    link.set(Way::Open);
    kitchen.wait_sent();
    let there = central.readings().await;
    assert_eq!(there.len() as u64, all + 1);
    assert_eq!(there, kitchen.readings());
    assert_eq!(kitchen.epochs().len(), 1);
}
