//! What the other tests lean on: the starters do what their names say.

use std::fs::File;
use std::io::Read as _;

use rumqttc::{Client, Event, Packet, QoS};

use crate::support::{
    Mosquitto, PgBouncer, Postgres, Pty, Publisher, Scratch, connect, mqtt_options, wait_for,
};

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_what_was_committed_over_a_crash() {
    let mut postgres = Postgres::start();
    let url = postgres.make_database("crash").await;
    let client = connect(&url).await;
    client
        .batch_execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)")
        .await
        .expect("write a row");
    postgres.crash_and_restart();
    let rows = connect(&url).await.query("SELECT n FROM kept", &[]).await.expect("read the row");
    assert_eq!(rows.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn pgbouncer_pools_by_transaction() {
    let postgres = Postgres::shared();
    let pooler = PgBouncer::start(&postgres);
    let url = postgres.make_database("pooled").await;
    let name = url.rsplit('/').next().expect("an address ends with the database");
    let mut backends = Vec::new();
    let clients = [connect(&pooler.url(name)).await, connect(&pooler.url(name)).await];
    for client in &clients {
        let answer = client.simple_query("SELECT pg_backend_pid()").await.expect("ask through the pooler");
        backends.extend(answer.iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        }));
    }
    // Both are connected, and the connection behind went from one to the other after its transaction.
    assert!(backends.len() == 2 && backends[0] == backends[1], "{backends:?}");
}

#[test]
fn mosquitto_keeps_a_session_over_a_restart() {
    let mut broker = Mosquitto::start();
    let mut listener = mqtt_options(broker.port(), "listener");
    listener.set_clean_session(false);
    {
        let (client, mut connection) = Client::new(listener.clone(), 10);
        client.subscribe("a/b", QoS::AtLeastOnce).expect("ask for a subscription");
        for event in connection.iter() {
            if let Event::Incoming(Packet::SubAck(_)) = event.expect("reach the broker") {
                break;
            }
        }
    }
    Publisher::connect(broker.port(), "sender").publish(&[("a/b".to_owned(), "kept".to_owned())]);
    broker.restart();
    let (_client, mut connection) = Client::new(listener, 10);
    let payload = connection.iter().find_map(|event| match event.expect("reach the broker") {
        Event::Incoming(Packet::Publish(message)) => Some(message.payload),
        _ => None,
    });
    assert_eq!(payload.as_deref(), Some(b"kept".as_slice()));
}

#[test]
fn pty_carries_bytes_and_can_be_unplugged() {
    let scratch = Scratch::new("pty");
    let mut pty = Pty::new(scratch.join("radio"));
    for round in 0..2 {
        let mut far = File::open(pty.path()).expect("open the far end");
        pty.write(b"+READY\r\n").expect("write to the line");
        let mut heard = [0; 8];
        far.read_exact(&mut heard).expect("read from the line");
        assert_eq!(&heard, b"+READY\r\n", "round {round}");
        pty.unplug();
        assert!(File::open(pty.path()).is_err(), "the path is gone");
        // The kernel tells the reader by an error or the end of the file, a moment later.
        wait_for("the far end to hang up", || matches!(far.read(&mut heard), Ok(0) | Err(_)).then_some(()));
        assert!(pty.write(b"x").is_err());
        pty.plug();
    }
}
