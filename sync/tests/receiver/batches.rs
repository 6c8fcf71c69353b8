//! Exactly once: apply, repeat, out of order, clones, two receivers, both fall-backs.

use frostguard_sync::api::ProblemKind;
use frostguard_sync::ids::{Epoch, reading_id};
use frostguard_sync::scale::Scale;
use frostguard_sync::wire::{self, Body};
use uuid::Uuid;

use crate::world::{NOW, World, alert, id, reading};

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_applied_once_and_answered_again() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    let hub = world.hub(&receiver, world.ours).await;
    let mut rows: Vec<_> = (1..=300).map(reading).collect();
    rows[0].unit = 2; // The freezer shows °F: 4.01 °C is 39.22 °F.
    rows[1].temperature = -1_825;
    rows[2].humidity = None;
    let batch = hub.readings(1, rows);
    let first = receiver.send(&hub, &batch).await.unwrap();
    assert_eq!((first.applied_through, first.refused.len()), (1, 0));
    let again = receiver.send(&hub, &batch).await.unwrap();
    assert_eq!((again.applied_through, &again.refused), (1, &first.refused));
    assert_eq!(world.count("sensor_readings").await, 300);

    let key = |seq: u64| reading_id(hub.epoch, seq, reading(seq).recorded_ms);
    for (seq, want) in [
        (1, format!("{} 39.22 55.00 90 -71 serial", hub.site.freezer)),
        (2, format!("{} -18.25 55.00 90 -71 serial", hub.site.fridge)),
        (3, format!("{} 4.03 - 90 -71 serial", hub.site.fridge)),
    ] {
        let sql = format!(
            "SELECT concat_ws(' ', unit_id, temperature, coalesce(humidity::text, '-'), battery, signal_strength, source) \
             FROM sensor_readings WHERE id = '{}'",
            key(seq)
        );
        assert_eq!(world.text(&sql).await, Some(want), "reading {seq}");
    }
    let times = "SELECT concat_ws(' ', extract(epoch FROM recorded_at) * 1000, extract(epoch FROM received_at) * 1000) \
         FROM sensor_readings WHERE id = ";
    let times = world.text(&format!("{times}'{}'", key(7))).await.unwrap();
    let at = reading(7).recorded_ms;
    assert_eq!(times, format!("{at}.000000 {}.000000", at + 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_out_of_order_is_kept_and_told() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    let hub = world.hub(&receiver, world.ours).await;
    receiver.send(&hub, &hub.readings(1, vec![reading(1)])).await.unwrap();
    for (seq, row) in [(3, 3), (1, 2), (0, 9)] {
        let batch = hub.readings(seq, vec![reading(row)]);
        let want =
            if seq == 0 { (ProblemKind::BadRequest, None) } else { (ProblemKind::OutOfOrder, Some(1)) };
        assert_eq!(receiver.refusal(&hub, &batch).await, want, "batch {seq}");
    }
    assert_eq!(world.count("sensor_readings").await, 1);
    assert_eq!(world.count("hub_sync.dead_letters WHERE kind = 'batch'").await, 2);

    // What the hub does then: a new epoch, the same rows under the epoch they were made under, the same ids.
    let mut anew = hub.clone();
    anew.epoch = Epoch([0xEE; 16]);
    let mut batch = anew.readings(1, (1..=5).map(reading).collect());
    if let Body::Readings(readings) = &mut batch.body {
        readings.epoch = hub.epoch;
    }
    receiver.send(&anew, &batch).await.unwrap();
    assert_eq!(world.count("sensor_readings").await, 5, "the row that was there is not there twice");
    assert_eq!(
        world.count("hub_sync.dead_letters WHERE kind = 'row'").await,
        0,
        "a replay is no dead letter"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_wait_for_the_state_they_need() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    let hub = world.hub(&receiver, world.ours).await;
    let mut batch = hub.readings(1, vec![reading(1)]);
    batch.header.needs = 2;
    assert_eq!(receiver.refusal(&hub, &batch).await, (ProblemKind::TooEarly, Some(0)));
    receiver.send(&hub, &hub.state(1, vec![alert(1, hub.site.fridge)])).await.unwrap();
    assert_eq!(receiver.refusal(&hub, &batch).await, (ProblemKind::TooEarly, Some(1)));
    receiver.send(&hub, &hub.state(2, Vec::new())).await.unwrap();
    assert_eq!(receiver.send(&hub, &batch).await.unwrap().applied_through, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_from_the_future_refuses_the_batch() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    let hub = world.hub(&receiver, world.ours).await;
    let mut late = reading(2);
    late.recorded_ms = NOW + 5 * 60_000 + 1;
    let batch = hub.readings(1, vec![reading(1), late]);
    let (status, problem) = receiver.send(&hub, &batch).await.unwrap_err();
    assert_eq!((status.as_u16(), problem.kind, problem.now_ms), (422, ProblemKind::Future, NOW));
    assert_eq!(world.count("sensor_readings").await, 0);
    late.recorded_ms -= 1;
    receiver.send(&hub, &hub.readings(1, vec![reading(1), late])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_belongs_to_the_first_hub_that_shows_it() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    let first = world.hub(&receiver, world.ours).await;
    let mut copy = world.hub(&receiver, world.ours).await;
    receiver.send(&first, &first.readings(1, vec![reading(1)])).await.unwrap();
    let own = copy.epoch;
    copy.epoch = first.epoch;
    assert_eq!(receiver.refusal(&copy, &copy.readings(1, vec![reading(2)])).await.0, ProblemKind::Clone);
    // Under an epoch of its own it may send what the copied database holds: what both have is one row.
    world.clock.advance(1);
    copy.epoch = own;
    let mut batch = copy.readings(1, vec![reading(1), reading(3)]);
    if let Body::Readings(readings) = &mut batch.body {
        readings.epoch = first.epoch;
    }
    assert!(receiver.send(&copy, &batch).await.unwrap().refused.is_empty());
    assert_eq!(world.count("sensor_readings").await, 2);
    assert_eq!(world.count("hub_sync.security_events WHERE kind = 'clone'").await, 2);
    // A hub of another site may not, and does not stand still for it.
    let far = world.hub(&receiver, world.next_door).await;
    let mut batch = far.readings(1, vec![reading(4)]);
    if let Body::Readings(readings) = &mut batch.body {
        readings.epoch = first.epoch;
    }
    let answer = receiver.send(&far, &batch).await.unwrap();
    assert_eq!((answer.applied_through, answer.refused.len()), (1, 1));
    assert!(answer.refused[0].reason.contains("another site"));
    // The token of one hub does not carry the batches of another.
    let stolen = first.readings(2, vec![reading(2)]);
    assert_eq!(receiver.refusal(&copy, &stolen).await.0, ProblemKind::Unauthorized);
    assert_eq!(world.count("sensor_readings").await, 2);
    assert_eq!(world.count("hub_sync.security_events WHERE kind = 'clone'").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_receivers_take_a_hub_in_any_mixture() {
    let world = World::new().await;
    let receivers = [world.receiver().await, world.receiver().await];
    let hub = world.hub(&receivers[0], world.ours).await;
    const BATCHES: u64 = 30;
    for seq in 1..=BATCHES {
        let rows = ((seq - 1) * 20 + 1..=seq * 20).map(reading).collect();
        let body = wire::encode(&hub.readings(seq, rows)).unwrap();
        // The same body to both at once, as a retry whose first try is still under way.
        let (left, right) =
            tokio::join!(receivers[0].upload(&hub, body.clone()), receivers[1].upload(&hub, body.clone()));
        assert_eq!(left.unwrap().applied_through, seq);
        assert_eq!(right.unwrap().applied_through, seq);
        let late = receivers[(seq % 2) as usize].upload(&hub, body).await.unwrap();
        assert_eq!(late.applied_through, seq);
    }
    assert_eq!(world.count("sensor_readings").await, 20 * BATCHES as i64);
    assert_eq!(world.count("hub_sync.dead_letters").await, 0);
    for receiver in receivers {
        receiver.end().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_readings_are_kept_and_the_others_written() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    let hub = world.hub(&receiver, world.ours).await;
    let mut rows: Vec<_> = (1..=9).map(reading).collect();
    rows[0].temperature = 30_001;
    rows[1].humidity = Some(10_001);
    rows[2].unit = 7;
    rows[3].unit = 3;
    rows[4].device = 5;
    rows[5].received_ms = -1;
    rows[6].scale = Scale::F;
    rows[6].temperature = -10_000; // -73.33 °C
    let mut batch = hub.readings(1, rows);
    if let Body::Readings(readings) = &mut batch.body {
        readings.units.push((3, world.theirs.fridge));
        readings.devices.push((5, Uuid::nil()));
    }
    let answer = receiver.send(&hub, &batch).await.unwrap();
    let refused: Vec<_> = answer.refused.iter().map(|row| row.key.clone()).collect();
    let mut want: Vec<_> = [1, 2, 3, 4, 6].map(|seq| format!("{}:{seq}", hub.epoch)).into();
    want.sort();
    let mut refused = refused;
    refused.sort();
    assert_eq!(refused, want);
    assert_eq!(world.count("sensor_readings").await, 4);
    assert_eq!(
        world.count("sensor_readings WHERE device_id IS NULL").await,
        4,
        "an unknown device is no fault"
    );
    assert_eq!(world.count("sensor_readings WHERE temperature = -73.33").await, 1);
    assert_eq!(world.count("hub_sync.dead_letters WHERE kind = 'row'").await, 5);
    // Said again, word for word.
    assert_eq!(receiver.send(&hub, &batch).await.unwrap().refused, answer.refused);
    assert_eq!(world.count("hub_sync.dead_letters").await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_the_database_refuses_does_not_stop_the_others() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    let hub = world.hub(&receiver, world.ours).await;
    world.sql.batch_execute("ALTER TABLE sensor_readings ADD CHECK (battery <= 100)").await.unwrap();
    let mut rows: Vec<_> = (1..=100).map(reading).collect();
    rows[16].battery = Some(101);
    rows[70].battery = Some(255);
    let answer = receiver.send(&hub, &hub.readings(1, rows)).await.unwrap();
    assert_eq!(answer.refused.len(), 2);
    assert!(answer.refused.iter().all(|row| row.reason.contains("check constraint")), "{:?}", answer.refused);
    assert_eq!(world.count("sensor_readings").await, 98);

    // The cause gone, a person tries them again.
    world
        .sql
        .batch_execute("ALTER TABLE sensor_readings DROP CONSTRAINT sensor_readings_battery_check")
        .await
        .unwrap();
    let mut client = crate::support::connect(&world.url).await;
    let retried = frostguard_sync::receiver::retry::retry(&mut client, Some(hub.id), NOW).await.unwrap();
    assert_eq!((retried.written, retried.refused, retried.left), (2, 0, 0));
    assert_eq!(world.count("sensor_readings").await, 100);
    assert_eq!(world.count("hub_sync.dead_letters").await, 0);
    assert_eq!(world.text(&format!("SELECT id::text FROM alerts WHERE id = '{}'", id(1))).await, None);
}
