//! A database that is not the only one of its kind: restored from a backup, or copied to a second hub.

use uuid::Uuid;

use crate::central::Central;
use crate::kitchen::{COLD, Kitchen, WARM};
use crate::support::Scratch;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_restored_from_a_backup_begins_a_new_epoch() {
    let central = Central::start().await;
    let mut kitchen = Kitchen::furnished();
    let (hub, code) = central.add_hub("Kitchen", &[]);
    kitchen.enrol(&central.receiver.url(), &code, &["--create-units"]);
    kitchen.hear_both(0..20, COLD);
    kitchen.wait_sent();
    kitchen.stop();
    let backup = Scratch::new("backup");
    kitchen.copy_state(&backup.join("state"));

    kitchen.start();
    kitchen.hear_both(20..30, WARM);
    kitchen.hear_both(30..50, COLD);
    kitchen.wait_sent();
    kitchen.stop();

    kitchen.restore_state(&backup.join("state"));
    kitchen.start();
    kitchen.hear_both(50..70, COLD);
    kitchen.hear_both(70..80, WARM);
    kitchen.wait_sent();

    central.assert_numbers(0..80).await;
    assert_contains(&central, &kitchen).await;
    let reason = "the receiver has other batches";
    assert_eq!(kitchen.epochs(), ["new database", reason]);
    assert_eq!(kitchen.hub.status()["hub"]["epoch_began"], reason);
    assert_eq!(kitchen.hub.status()["sync"]["refused_rows"], 0);
    // Both say what happened: the hub in its audit, which goes up, the receiver by the batch it did not take.
    let told =
        "SELECT description FROM event_logs WHERE event_type IN ('epoch_began', 'lane_conflict') ORDER BY 1";
    let told = central.texts(told).await;
    assert!(told.iter().any(|text| text.contains(reason)), "{told:?}");
    let kept = format!("SELECT kind FROM hub_sync.dead_letters WHERE hub_id = '{hub}'");
    assert!(central.texts(&kept).await.contains(&"batch".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_copied_to_a_second_hub_is_found() {
    let central = Central::start().await;
    let url = central.receiver.url();
    let mut first = Kitchen::furnished();
    let (first_hub, code) = central.add_hub("First", &[]);
    first.enrol(&url, &code, &["--create-units"]);
    first.hear_both(0..20, COLD);
    first.wait_sent();
    first.hub.stop();
    let mut second = Kitchen::new();
    second.take_database(&first.hub.state_dir());
    first.start();
    first.hear_both(20..30, COLD);

    second.start();
    second.hear_both(30..40, COLD);
    second.wait_problem("enrol the hub again with --replace");
    let (second_hub, code) = central.add_hub("Second", &[]);
    second.enrol(&url, &code, &["--replace"]);
    second.hear_both(40..50, WARM);
    first.hear_both(50..60, COLD);
    second.wait_sent();
    first.wait_sent();

    central.assert_numbers(0..60).await;
    assert_contains(&central, &first).await;
    assert_contains(&central, &second).await;
    assert_eq!(first.epochs(), ["new database"]);
    assert_eq!(second.epochs(), ["new database", "the hub was enrolled elsewhere"]);
    assert_eq!(owners(&central, first_hub).await, 1);
    assert_eq!(owners(&central, second_hub).await, 1);
    let events = format!("SELECT DISTINCT kind FROM hub_sync.security_events WHERE hub_id = '{second_hub}'");
    assert!(central.texts(&events).await.contains(&"clone".to_owned()));
}

/// The copy of a whole memory card: one hub to the receiver, two in truth.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copied_memory_card_is_found() {
    let central = Central::start().await;
    let mut first = Kitchen::furnished();
    let (hub, code) = central.add_hub("First", &[]);
    first.enrol(&central.receiver.url(), &code, &["--create-units"]);
    first.hear_both(0..20, COLD);
    first.wait_sent();
    first.stop();
    let mut second = Kitchen::new();
    first.copy_state(&second.hub.state_dir());
    first.start();
    second.start();
    for number in (20..60).step_by(10) {
        first.hear_both(number..number + 5, COLD);
        second.hear_both(number + 5..number + 10, COLD);
    }
    first.wait_sent();
    second.wait_sent();

    central.assert_numbers(0..60).await;
    assert_contains(&central, &first).await;
    assert_contains(&central, &second).await;
    assert!(owners(&central, hub).await > 1, "one of them has an epoch of its own now");
}

/// All of a hub's readings are central's, which may have more.
async fn assert_contains(central: &Central, kitchen: &Kitchen) {
    let there = central.readings().await;
    let missing: Vec<_> = kitchen.readings().into_iter().filter(|row| !there.contains(row)).collect();
    assert!(missing.is_empty(), "not there, or other than on the hub: {missing:?}");
}

/// How many epochs are a hub's.
async fn owners(central: &Central, hub: Uuid) -> i64 {
    central.number(&format!("SELECT count(*) FROM hub_sync.epochs WHERE hub_id = '{hub}'")).await
}
