//! Two receivers behind one address take the hub's requests in any mixture, and some twice.

use std::time::Duration;

use crate::central::Central;
use crate::kitchen::{COLD, Kitchen, WARM};
use crate::link::{FATES, Link, Way};
use crate::support::{PATIENCE, Receiver, now};

/// Of the mixture's choices.
const SEED: u64 = 8_123;
/// How often each fate is met at least: the link deals each once in six batches.
const TIMES: u32 = 2;
/// For a dozen rounds; after a batch that was lost the hub waits before it tries again.
const ROUNDS_MAX: Duration = Duration::from_secs(5 * PATIENCE.as_secs());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_receivers_lose_and_double_nothing() {
    let central = Central::start().await;
    let other = Receiver::start(&central.url);
    let link = Link::start(&[&central.receiver, &other], SEED, Way::Mixed).await;
    let mut kitchen = Kitchen::furnished();
    let (_, code) = central.add_hub("Kitchen", &[]);
    kitchen.enrol(&link.url(), &code, &["--create-units"]);

    // Alarms come and go meanwhile: warm, then back.
    let (mut next, end) = (0, now() + ROUNDS_MAX);
    for round in 0.. {
        let celsius = if round % 4 == 1 { WARM } else { COLD };
        let before: u32 = link.fates().values().sum();
        kitchen.hear_both(next..next + 6, celsius);
        next += 6;
        kitchen.hub.wait_status("a batch to be tried", |_| {
            (link.fates().values().sum::<u32>() > before).then_some(())
        });
        let fates = link.fates();
        if FATES.iter().all(|fate| fates.get(fate).is_some_and(|&times| times >= TIMES)) {
            break;
        }
        assert!(now() < end, "not every fate was met: {fates:?}");
    }
    kitchen.wait_sent();
    assert!(link.by_receiver().iter().all(|&deliveries| deliveries > 0), "{:?}", link.by_receiver());

    central.assert_numbers(0..next).await;
    assert_eq!(central.readings().await, kitchen.readings());
    same(&central, &kitchen, "alerts", "id, status, severity, alert_type").await;
    same(&central, &kitchen, "event_logs", "id, hash, previous_hash").await;
    assert!(central.number("SELECT count(*) FROM alerts").await > 0);
    // Repeats were told from other batches: none began a new epoch.
    assert_eq!(kitchen.epochs().len(), 1);
    assert_eq!(central.number("SELECT count(*) FROM hub_sync.dead_letters").await, 0);
    assert_eq!(central.number("SELECT count(*) FROM hub_sync.security_events").await, 0);
    assert_eq!(
        central.texts("SELECT lane || ' ' || applied_through FROM hub_sync.lane ORDER BY lane").await,
        kitchen.texts("SELECT lane || ' ' || acked_seq AS x FROM hub_lanes ORDER BY lane")
    );

    // What the hub knows of its units goes up at a stop, which may be lost here, and with the next start.
    link.set(Way::Open);
    kitchen.stop();
    kitchen.start();
    kitchen.wait_sent();
    same(&central, &kitchen, "units", "name, status, last_temperature").await;
    let last = central.texts("SELECT last_temperature::text FROM units").await;
    let want = kitchen.units().values().map(|unit| unit["last_hundredths"].to_string()).collect::<Vec<_>>();
    assert_eq!(last, want);
}

/// The columns of a table are the same on both sides.
async fn same(central: &Central, kitchen: &Kitchen, table: &str, columns: &str) {
    let joined = |separator: &str, wrap: &dyn Fn(&str) -> String| {
        columns.split(", ").map(wrap).collect::<Vec<_>>().join(separator)
    };
    let there = joined(" || '|' || ", &|column| format!("coalesce({column}::text, '-')"));
    let here = joined(" || '|' || ", &|column| {
        match column {
        "id" => "lower(substr(hex(id), 1, 8) || '-' || substr(hex(id), 9, 4) || '-' || substr(hex(id), 13, 4) || '-' \
             || substr(hex(id), 17, 4) || '-' || substr(hex(id), 21))"
            .to_owned(),
        column => format!("coalesce({column}, '-')"),
    }
    });
    let mut there = central.texts(&format!("SELECT {there} FROM {table}")).await;
    let mut here = kitchen.texts(&format!("SELECT {here} AS x FROM {table}"));
    there.sort();
    here.sort();
    assert_eq!(there, here, "{table}");
}
