//! A publisher that knows what the broker has taken.

use std::time::Duration;

use rumqttc::{Client, Connection, Event, MqttOptions, Outgoing, Packet, QoS};

/// Messages under way to the broker: what rumqttc numbers before it waits for acknowledgements.
const INFLIGHT_MAX: u16 = 100;

pub struct Publisher {
    client: Client,
    connection: Connection,
}

impl Publisher {
    pub fn connect(port: u16, client_id: &str) -> Self {
        let (client, connection) = Client::new(options(port, client_id), usize::from(INFLIGHT_MAX));
        Self { client, connection }
    }

    /// Publishes at QoS 1 and returns when the broker has acknowledged all: from then on they are its to deliver.
    #[track_caller]
    pub fn publish(&mut self, messages: &[(String, String)]) {
        for chunk in messages.chunks(usize::from(INFLIGHT_MAX) / 2) {
            for (topic, payload) in chunk {
                let sent = self.client.try_publish(topic, QoS::AtLeastOnce, false, payload.as_bytes());
                sent.expect("the queue has room: a chunk is smaller");
            }
            let mut missing = chunk.len();
            while missing > 0 {
                match self.connection.recv().expect("the client lives") {
                    Ok(Event::Incoming(Packet::PubAck(_))) => missing -= 1,
                    Ok(_) => {}
                    Err(error) => panic!("publish to the broker: {error}"),
                }
            }
        }
    }
}

/// Ends the connection in order, so that the broker does not take it for lost.
impl Drop for Publisher {
    fn drop(&mut self) {
        if self.client.try_disconnect().is_ok() {
            while let Ok(Ok(event)) = self.connection.recv() {
                if event == Event::Outgoing(Outgoing::Disconnect) {
                    break;
                }
            }
        }
    }
}

pub fn options(port: u16, client_id: &str) -> MqttOptions {
    let mut options = MqttOptions::new(client_id, "127.0.0.1", port);
    options.set_keep_alive(Duration::from_secs(30)).set_inflight(INFLIGHT_MAX);
    options
}
