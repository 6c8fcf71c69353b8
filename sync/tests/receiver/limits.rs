//! Bounds: bodies, rows, memory, dead letters; and a database that is away.

use frostguard_sync::api::{Problem, ProblemKind, UploadAnswer};
use frostguard_sync::wire::{self, BODY_BYTES_MAX, Batch, Body};
use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::Postgres;
use crate::world::{Hub, Receiver, World, alert, http, reading};

async fn refusal(receiver: &Receiver, hub: &Hub, body: Vec<u8>) -> (StatusCode, Problem) {
    receiver.upload(hub, body).await.expect_err("the body was taken")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_beyond_a_limit_is_refused_and_costs_nothing() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    let hub = world.hub(&receiver, world.ours).await;
    let (status, problem) = refusal(&receiver, &hub, vec![0; BODY_BYTES_MAX + 1]).await;
    assert_eq!((status.as_u16(), problem.kind), (413, ProblemKind::BadRequest));
    for body in
        [vec![], vec![0xff; 100], wire::encode(&hub.readings(1, vec![reading(1)])).unwrap()[..40].to_vec()]
    {
        let (status, problem) = refusal(&receiver, &hub, body).await;
        assert_eq!((status.as_u16(), problem.kind), (400, ProblemKind::BadRequest), "{}", problem.detail);
    }
    // 64 MiB of nothing in a few KiB, behind a good first byte.
    let good = wire::encode(&hub.readings(1, vec![reading(1)])).unwrap();
    let mut bomb = vec![good[0]];
    bomb.extend(zstd::encode_all(&vec![0u8; 64 << 20][..], 3).unwrap());
    assert!(bomb.len() < 16 << 10);
    let (status, problem) = refusal(&receiver, &hub, bomb).await;
    assert_eq!((status.as_u16(), problem.kind), (413, ProblemKind::BadRequest), "{}", problem.detail);
    // As many rows as are allowed.
    let rows = (1..=wire::ROWS_MAX as u64).map(reading).collect();
    receiver.send(&hub, &hub.readings(1, rows)).await.unwrap();
    assert_eq!(world.count("sensor_readings").await, wire::ROWS_MAX as i64);
    assert_eq!(world.count("hub_sync.dead_letters").await, 0);
    // Without a token there is nothing to be had.
    let stranger = Hub { token: "0".repeat(64), ..hub.clone() };
    assert_eq!(refusal(&receiver, &stranger, good).await.1.kind, ProblemKind::Unauthorized);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_early_hears_why_while_still_sending() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    let hub = world.hub(&receiver, world.ours).await;
    let address = receiver.base.trim_start_matches("http://");
    let head = |bytes: usize| {
        let token = &hub.token;
        format!(
            "POST /v1/batches HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nContent-Length: {bytes}\r\n\r\n"
        )
    };
    // The answer is there, whole, before the first byte of the body; the body is taken off the line nevertheless.
    for (bytes, taken) in [(BODY_BYTES_MAX + 1, true), (64 << 20, false)] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head(bytes).as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 413 ") && answer.ends_with('}'), "{answer}");
        let sent = stream.write_all(&vec![0; bytes]).await;
        assert_eq!(sent.is_ok(), taken, "{bytes} bytes: {sent:?}");
    }
}

/// Announces a body of the largest size and says whether the receiver wants it (100) or not (its status).
async fn announce(receiver: &Receiver, hub: &Hub, lane: u8) -> (TcpStream, u16, String) {
    let address = receiver.base.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /v1/batches HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nX-Frostguard-Lane: {lane}\r\n\
         Content-Length: {BODY_BYTES_MAX}\r\nExpect: 100-continue\r\n\r\n",
        hub.token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut part = [0; 4_096];
        let count = stream.read(&mut part).await.unwrap();
        assert!(count > 0, "the receiver hung up");
        answer.extend_from_slice(&part[..count]);
    }
    let text = String::from_utf8_lossy(&answer).to_lowercase();
    (stream, text[9..12].parse().unwrap(), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_receiver_turns_readings_away_and_still_takes_an_alert() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    let hub = world.hub(&receiver, world.ours).await;
    let mut under_way = Vec::new();
    let refused = loop {
        let (stream, status, text) = announce(&receiver, &hub, 1).await;
        match status {
            100 => under_way.push(stream),
            _ => break text,
        }
        assert!(under_way.len() <= 64, "bodies in memory are bounded");
    };
    assert!(refused.starts_with("http/1.1 503") && refused.contains("\r\nretry-after: "), "{refused}");
    assert_eq!(under_way.len(), 56);
    let (_, status, _) = announce(&receiver, &hub, 0).await;
    assert_eq!(status, 100, "state has room of its own");
    let body = wire::encode(&hub.state(1, vec![alert(1, hub.site.fridge)])).unwrap();
    let request = http().post(format!("{}/v1/batches", receiver.base)).bearer_auth(&hub.token);
    let answer: UploadAnswer =
        crate::world::answer(request.header("x-frostguard-lane", "0").body(body)).await.unwrap();
    assert_eq!(answer.applied_through, 1);
    // They go away: there is room again.
    drop(under_way);
    crate::support::wait_for_async("room for readings", async || {
        receiver.send(&hub, &hub.readings(1, vec![reading(1)])).await.ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_bounded_by_hub() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    let hub = world.hub(&receiver, world.ours).await;
    let fill = |count: i64, bytes: i64| {
        format!(
            "INSERT INTO hub_sync.dead_letters (hub_id, id, kind, epoch, lane, batch_seq, batch_seq_to, row_count, reason,
               body, arrived_at) SELECT '{}', gen_random_uuid(), 'row', '', 1, 1, 1, 1, 'x',
               convert_to(repeat('x', {bytes}), 'UTF8'), now() FROM generate_series(1, {count})",
            hub.id
        )
    };
    world.sql.batch_execute(&fill(9_998, 10)).await.unwrap();
    let strangers = |seqs: std::ops::RangeInclusive<u64>| -> Vec<_> {
        seqs.map(|seq| {
            let mut row = reading(seq);
            row.unit = 9;
            row
        })
        .collect()
    };
    let mut batch = hub.readings(1, strangers(1..=5));
    if let Body::Readings(readings) = &mut batch.body {
        readings.units.push((9, world.theirs.fridge));
    }
    let answer = receiver.send(&hub, &batch).await.unwrap();
    assert_eq!(answer.refused.len(), 5, "all are told");
    assert_eq!(world.count("hub_sync.dead_letters WHERE kind = 'row'").await, 10_000);
    assert_eq!(world.count("hub_sync.dead_letters WHERE kind = 'range'").await, 1);

    // Beyond the bound batches leave their range and reason, in one row however many come.
    for seq in [7, 3, 9] {
        let batch = hub.readings(seq, vec![reading(1)]);
        assert_eq!(receiver.refusal(&hub, &batch).await.0, ProblemKind::OutOfOrder);
    }
    let range = "SELECT concat_ws(' ', batch_seq, batch_seq_to, row_count, body IS NULL) FROM hub_sync.dead_letters \
         WHERE kind = 'range'";
    assert_eq!(world.text(range).await.as_deref(), Some("1 9 6 t"));

    // By bytes, too.
    world.sql.batch_execute("DELETE FROM hub_sync.dead_letters").await.unwrap();
    world.sql.batch_execute(&fill(64, (1 << 20) - 1)).await.unwrap();
    let big = hub.readings(9, (1..=500).map(reading).collect());
    assert_eq!(receiver.refusal(&hub, &big).await.0, ProblemKind::OutOfOrder);
    assert_eq!(world.count("hub_sync.dead_letters WHERE kind = 'batch'").await, 0);
    // Another hub has a bound of its own.
    let other = world.hub(&receiver, world.ours).await;
    assert_eq!(
        receiver.refusal(&other, &other.readings(9, vec![reading(1)])).await.0,
        ProblemKind::OutOfOrder
    );
    assert_eq!(world.count("hub_sync.dead_letters WHERE kind = 'batch'").await, 1);
    // A kept batch of readings can be tried again; ranges are left.
    let mut client = crate::support::connect(&world.url).await;
    let retried = frostguard_sync::receiver::retry::retry(&mut client, Some(other.id), 0).await.unwrap();
    assert_eq!(
        (retried.written, retried.left),
        (0, 1),
        "its epoch was never this hub's: no batch of it was applied"
    );
    receiver.send(&other, &other.readings(1, vec![reading(2)])).await.unwrap();
    let retried = frostguard_sync::receiver::retry::retry(&mut client, Some(other.id), 0).await.unwrap();
    assert_eq!((retried.written, world.count("sensor_readings").await), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_costs_a_retry_and_nothing_else() {
    let mut postgres = tokio::task::spawn_blocking(Postgres::start).await.unwrap();
    let world = World::on(&postgres).await;
    let receiver = world.receiver().await;
    let hub = world.hub(&receiver, world.ours).await;
    receiver.send(&hub, &hub.readings(1, vec![reading(1)])).await.unwrap();
    receiver.says("/readyz", "ready\n").await;
    let batch: Batch = hub.readings(2, vec![reading(2)]);
    let body = wire::encode(&batch).unwrap();

    // The receiver's connections die; the next request meets a dead one.
    postgres = tokio::task::spawn_blocking(move || {
        postgres.crash_and_restart();
        postgres
    })
    .await
    .unwrap();
    let url = format!("{}/v1/batches", receiver.base);
    let mut busy = 0;
    let answer = loop {
        let response = http().post(&url).bearer_auth(&hub.token).body(body.clone()).send().await.unwrap();
        if response.status() != StatusCode::SERVICE_UNAVAILABLE {
            break response;
        }
        assert!(response.headers().contains_key(RETRY_AFTER));
        busy += 1;
        assert!(busy < 20, "the receiver does not find back");
    };
    assert_eq!(answer.status(), StatusCode::OK);
    let sql = crate::support::connect(&world.url).await;
    let rows: i64 = sql.query_one("SELECT count(*) FROM sensor_readings", &[]).await.unwrap().get(0);
    assert_eq!(rows, 2);
    assert_eq!(receiver.text("/healthz").await, "ok\n");
    drop(postgres);
    let ready = http().get(format!("{}/readyz", receiver.base)).send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(receiver.text("/metrics").await.contains("frostguard_database_up 0\n"));
}

/// All at once, each until its batch is taken; what came besides success, and how often.
async fn storm(base: &str, hubs: &[Hub], rows: u64) -> std::collections::BTreeMap<u16, usize> {
    let url = format!("{base}/v1/batches");
    let uploads = hubs.iter().map(async |hub| {
        let client = http();
        let body = wire::encode(&hub.readings(1, (1..=rows).map(reading).collect())).unwrap();
        let mut refusals = Vec::new();
        loop {
            let request = client.post(&url).bearer_auth(&hub.token).body(body.clone());
            let response = request.send().await.unwrap();
            if response.status() == StatusCode::OK {
                return refusals;
            }
            assert!(response.headers().contains_key(RETRY_AFTER), "{response:?}");
            refusals.push(response.status().as_u16());
            tokio::task::yield_now().await;
        }
    });
    let mut all = std::collections::BTreeMap::new();
    for status in futures_util::future::join_all(uploads).await.into_iter().flatten() {
        *all.entry(status).or_default() += 1;
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn many_hubs_that_come_back_together_lose_nothing() {
    const HUBS: usize = 300;
    let world = World::new().await;
    let receiver = world.receiver().await;
    let hubs = world.hubs(HUBS).await;
    let refusals = storm(&receiver.base, &hubs, 50).await;
    assert!(refusals.keys().all(|status| *status == 503), "{refusals:?}");
    assert_eq!(world.count("sensor_readings").await, 50 * HUBS as i64);
}
