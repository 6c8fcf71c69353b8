use std::time::Duration;

use anyhow::{Context, Error, anyhow};
use rumqttc::mqttbytes::Error as PacketError;
use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, Outgoing, Packet, Publish, QoS, StateError,
    SubscribeFilter, SubscribeReasonCode,
};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tracing::{debug, warn};

use super::broker;
use super::message::{Delivery, event_of};
use crate::clock::Clock;
use crate::codec::Codecs;
use crate::config::MqttSection;
use crate::counters::Counters;
use crate::frame::AckToken;
use crate::source::presence::Presence;
use crate::source::stopped;

/// Leaving takes a round of the network, and a broker that hangs must not hold the hub's stop up.
const FAREWELL_MAX: Duration = Duration::from_secs(2);
/// Acknowledgements and one subscription on their way to the socket; what exceeds it waits.
const REQUESTS_QUEUED_MAX: usize = 64;

/// One connection. Its client is made anew and thrown away with it: rumqttc carries unread packets of a lost connection
/// into the next one, where their packet ids name other messages.
pub struct Session<'a> {
    pub config: &'a MqttSection,
    pub codecs: &'a Codecs,
    pub source: u16,
    pub connection: u64,
    pub clock: &'a dyn Clock,
    pub counters: &'a Counters,
    pub presence: &'a mut Presence,
}

/// Why a connection ended.
pub enum Ended {
    /// The hub stops.
    Stopped,
    Lost(Error),
    /// A packet exceeds the limit; the broker will send it again.
    TooLarge(Error),
    /// Nobody takes what is heard: a bug.
    PipelineGone(Error),
}

impl Session<'_> {
    /// Connects, subscribes and hears until the connection is lost or the hub stops.
    pub async fn run(
        mut self,
        options: MqttOptions,
        acks: &mut mpsc::Receiver<AckToken>,
        shutdown: &mut watch::Receiver<bool>,
    ) -> Ended {
        let (client, mut events) = AsyncClient::new(options, REQUESTS_QUEUED_MAX);
        broker::limit_connecting(&mut events);
        let (connection, name, counters) = (self.connection, &self.config.name, self.counters);
        let count = || counters.add("mqtt.acknowledged", name, 1);
        // Side by side, so that neither is ever cut off in the middle of a packet by the other.
        let ended = tokio::select! {
            biased;
            () = stopped(shutdown) => Ended::Stopped,
            error = acknowledge(connection, &client, acks, count) => Ended::PipelineGone(error),
            ended = self.hear(&client, &mut events) => ended,
        };
        if matches!(ended, Ended::Stopped) {
            // What was sent to it and not committed comes again at the next start.
            let _ = timeout(FAREWELL_MAX, leave(&client, &mut events)).await;
        }
        ended
    }

    async fn hear(&mut self, client: &AsyncClient, events: &mut EventLoop) -> Ended {
        loop {
            let event = match events.poll().await {
                Ok(event) => event,
                Err(error) => {
                    // Packets that came before the end was seen: their acknowledgements will find no connection, but
                    // what was sent at QoS 0 comes only once.
                    let unread: Vec<Event> = events.state.events.drain(..).collect();
                    for event in unread {
                        if let Event::Incoming(Packet::Publish(publish)) = event
                            && let Err(ended) = self.take(publish).await
                        {
                            return ended;
                        }
                    }
                    return ended_by(error);
                }
            };
            let handled = match event {
                Event::Incoming(Packet::ConnAck(connack)) => {
                    debug!(
                        mqtt.session_present = connack.session_present,
                        "connected to {}", self.config.url
                    );
                    // Each time: a broker may have forgotten the session. What it kept comes before its answer.
                    self.subscribe(client)
                }
                Event::Incoming(Packet::SubAck(suback)) => match self.refused_topics(&suback.return_codes) {
                    None => {
                        self.tell_qos_0(&suback.return_codes);
                        self.presence.up().await.map_err(Ended::PipelineGone)
                    }
                    Some(error) => Err(Ended::Lost(error)),
                },
                Event::Incoming(Packet::Publish(publish)) => self.take(publish).await,
                _ => Ok(()),
            };
            if let Err(ended) = handled {
                return ended;
            }
        }
    }

    fn subscribe(&self, client: &AsyncClient) -> Result<(), Ended> {
        let filters =
            self.config.topics().into_iter().map(|topic| SubscribeFilter::new(topic, QoS::AtLeastOnce));
        client.try_subscribe_many(filters).context("subscribe").map_err(Ended::Lost)
    }

    fn refused_topics(&self, codes: &[SubscribeReasonCode]) -> Option<Error> {
        let topics = self.config.topics();
        let refused: Vec<&str> = topics
            .iter()
            .zip(codes)
            .filter(|(_, code)| matches!(code, SubscribeReasonCode::Failure))
            .map(|(topic, _)| topic.as_str())
            .collect();
        (!refused.is_empty()).then(|| {
            anyhow!(
                "the broker refuses the subscription to {}; let the user read it in its ACL",
                refused.join(", ")
            )
        })
    }

    fn tell_qos_0(&self, codes: &[SubscribeReasonCode]) {
        if codes.contains(&SubscribeReasonCode::Success(QoS::AtMostOnce)) {
            let (name, url) = (&self.config.name, &self.config.url);
            warn!(source.port = %name, "{url} sends only at QoS 0: what comes while the hub is away is lost");
        }
    }

    async fn take(&mut self, publish: Publish) -> Result<(), Ended> {
        let ack = match publish.qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce => Some(AckToken {
                source: self.source,
                connection: self.connection,
                message: u64::from(publish.pkid),
            }),
            QoS::ExactlyOnce => {
                return Err(Ended::Lost(anyhow!(
                    "the broker sends at QoS 2, which this hub never subscribed: \
                     another program used its client id; set another client_id"
                )));
            }
        };
        let delivery = Delivery { config: self.config, codecs: self.codecs, at: self.clock.mono(), ack };
        let event = event_of(&delivery, &publish, self.counters);
        self.presence.send(event).await.map_err(Ended::PipelineGone)
    }
}

/// Hands released messages to the connection; tokens of an earlier one are dropped, since their packet ids may name other
/// messages now. Ends only when nobody can release any more.
async fn acknowledge(
    connection: u64,
    client: &AsyncClient,
    acks: &mut mpsc::Receiver<AckToken>,
    count: impl Fn(),
) -> Error {
    while let Some(token) = acks.recv().await {
        if token.connection == connection {
            let mut publish = Publish::new("", QoS::AtLeastOnce, Vec::new());
            publish.pkid = token.message as u16;
            if client.ack(&publish).await.is_err() {
                break;
            }
            count();
        }
    }
    anyhow!("acknowledge to the broker: the pipeline has ended")
}

/// Sends the acknowledgements that wait, then takes leave, so that the broker has them.
async fn leave(client: &AsyncClient, events: &mut EventLoop) -> Result<(), Error> {
    if events.network.is_some() {
        client.disconnect().await?;
        while events.poll().await? != Event::Outgoing(Outgoing::Disconnect) {}
        // The broker closes the connection when it has read everything.
        while events.poll().await.is_ok() {}
    }
    Ok(())
}

fn ended_by(error: ConnectionError) -> Ended {
    if let ConnectionError::MqttState(StateError::Deserialization(PacketError::PayloadSizeLimitExceeded(
        size,
    ))) = error
    {
        return Ended::TooLarge(anyhow!(
            "a packet of {size} bytes is no sensor's message; limit them at the broker (message_size_limit)"
        ));
    }
    Ended::Lost(broker::explain(error))
}
