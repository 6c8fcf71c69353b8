//! Units, doors and alerts at an MQTT broker, where Home Assistant finds them by itself.
//!
//! - `names`: the topics.
//! - `picture`: what stands at the broker, and what a change of the board changes there. Pure.
//! - `discovery`: Home Assistant's entities. Pure.
//! - `session`: one connection.
//!
//! The board is a state, not a queue: a broker that was away is shown the newest one when it is back, as a whole, and
//! what units left there that are gone meanwhile is taken away. Home Assistant is told everything again when it starts.
//! While the hub is away, the broker says `offline` for it.

mod discovery;
mod names;
mod picture;
mod session;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tracing::warn;
use uuid::Uuid;

use super::payload::Payload;
use super::{Board, Channel, Failure, Message, Notifier, Receipt};
use crate::clock::CertificateTime;
use crate::config::NotifyMqttSection;
use crate::source::mqtt::broker::{self, Broker};
use crate::source::presence::Retry;
use discovery::Subjects;
use names::Names;
use picture::Picture;
use session::Session;

/// Between tries to connect: somebody who restarts the broker looks whether the kitchen is back.
const RECONNECT_MAX: Duration = Duration::from_secs(30);
/// A connection that lasted this long was a good one: the next try is made at once.
const STABLE_MIN: Duration = Duration::from_secs(30);
/// A board or an event with its acknowledgement; the next board waits behind it.
const CONFIRM_MAX: Duration = Duration::from_secs(10);
/// Messages that wait for the connection; the dispatcher gives one after the other.
const EVENTS_QUEUED_MAX: usize = 4;
/// Brokers commonly take 256 MiB, small ones far less; a message merged of a hundred alerts has 50 KiB.
const PAYLOAD_BYTES_MAX: usize = 128 << 10;

/// A configured broker. Dropping it ends its connection, and the broker says `offline`.
pub struct Mqtt {
    name: String,
    names: Option<Names>,
    /// Units that have ever told a humidity.
    humid: BTreeSet<Uuid>,
    subjects: Subjects,
    wanted: watch::Sender<Scene>,
    events: mpsc::Sender<EventOrder>,
    link: watch::Receiver<Link>,
    task: JoinHandle<()>,
}

/// What shall stand at the broker.
#[derive(Clone, Debug, Default)]
struct Scene {
    /// Counts boards; 0: none was shown yet.
    number: u64,
    /// Shared as long as nothing in them changes.
    configs: Arc<Picture>,
    states: Arc<Picture>,
}

/// A message under way.
struct EventOrder {
    payload: String,
    /// Told when the broker has it; dropped when the connection is lost first.
    reply: oneshot::Sender<()>,
}

/// What is known of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Link {
    /// Not yet tried.
    New,
    /// The number of the newest scene the broker has as a whole.
    Up(u64),
    Down(String),
}

impl Mqtt {
    /// Starts the task that connects, within a tokio runtime. `time` judges the broker's certificate.
    pub fn start(config: NotifyMqttSection, time: CertificateTime) -> Self {
        let (wanted, scenes) = watch::channel(Scene::default());
        let (events, orders) = mpsc::channel(EVENTS_QUEUED_MAX);
        let (told, link) = watch::channel(Link::New);
        let name = config.name.clone();
        let (names, task) = match client_id(&config) {
            Ok(client_id) => {
                let names = Names::new(&config.prefix, &config.discovery_prefix, &client_id);
                let connecting =
                    Connecting { config, client_id, names: names.clone(), time, scenes, orders, told };
                (Some(names), tokio::spawn(connecting.run()))
            }
            Err(error) => {
                told.send_replace(Link::Down(format!("{error:#}")));
                (None, tokio::spawn(std::future::ready(())))
            }
        };
        let (humid, subjects) = (BTreeSet::new(), Subjects::default());
        Self { name, names, humid, subjects, wanted, events, link, task }
    }

    /// The reason why the broker is away, if it is known to be.
    fn down(&self) -> Option<Failure> {
        match &*self.link.borrow() {
            Link::Down(reason) => Some(Failure::Later(reason.clone())),
            Link::New | Link::Up(_) => None,
        }
    }
}

fn client_id(config: &NotifyMqttSection) -> anyhow::Result<String> {
    match &config.client_id {
        Some(id) => Ok(id.clone()),
        // Not the one of a source of the same name: clients with the same id throw each other out.
        None => broker::client_id(
            &format!("notify/{}", config.name),
            &format!("the [[notify.mqtt]] section {}", config.name),
        ),
    }
}

impl Notifier for Mqtt {
    fn channel(&self) -> Channel {
        Channel::Mqtt
    }

    fn name(&self) -> &str {
        &self.name
    }

    /// Publishes the event; Ok when the broker has acknowledged it.
    async fn deliver(&mut self, message: &Message) -> Result<Receipt, Failure> {
        let payload = event_payload(message);
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(Failure::Never(format!("the message has more than {PAYLOAD_BYTES_MAX} bytes")));
        }
        if let Some(failure) = self.down() {
            return Err(failure);
        }
        let (reply, confirmed) = oneshot::channel();
        let gone = || Failure::Later("the connection was lost before the broker had the message".into());
        let confirmed = timeout(CONFIRM_MAX, async {
            self.events.send(EventOrder { payload, reply }).await.map_err(|_| gone())?;
            confirmed.await.map_err(|_| self.down().unwrap_or_else(gone))
        });
        confirmed.await.map_err(|_| unconfirmed())??;
        let topic = self.names.as_ref().map(Names::event).unwrap_or_default();
        Ok(Receipt { external_id: None, is_delivered: true, detail: format!("acknowledged on {topic}") })
    }

    /// Publishes what changed; Ok when the broker has acknowledged all of it.
    async fn show(&mut self, board: &Board) -> Result<(), Failure> {
        let Some(names) = &self.names else { return self.down().map_or(Ok(()), Err) };
        let present: BTreeSet<Uuid> = board.units.iter().map(|unit| unit.id).collect();
        self.humid.retain(|id| present.contains(id));
        self.humid.extend(board.units.iter().filter(|unit| unit.humidity.is_some()).map(|unit| unit.id));
        let subjects = Subjects::of(board, &self.humid);
        let mut scene = self.wanted.borrow().clone();
        scene.number += 1;
        scene.states = Arc::new(picture::paint(names, board));
        if scene.number == 1 || subjects != self.subjects {
            scene.configs = Arc::new(discovery::announce(names, &subjects));
            self.subjects = subjects;
        }
        let number = scene.number;
        self.wanted.send_replace(scene);
        let settled = self.link.wait_for(|link| match link {
            Link::New => false,
            Link::Up(shown) => *shown >= number,
            Link::Down(_) => true,
        });
        let settled = timeout(CONFIRM_MAX, settled).await.map(|link| link.map(|link| link.clone()));
        match settled {
            Ok(Ok(Link::Down(reason))) => Err(Failure::Later(reason)),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Failure::Later(format!("the task of broker {} has ended", self.name))),
            Err(_) => Err(unconfirmed()),
        }
    }
}

impl Drop for Mqtt {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn unconfirmed() -> Failure {
    Failure::Later(format!("the broker has not acknowledged within {} s", CONFIRM_MAX.as_secs()))
}

/// As webhooks carry it, with what Home Assistant's event entities go by.
fn event_payload(message: &Message) -> String {
    let mut payload = serde_json::to_value(Payload::from(message)).expect("a message becomes JSON");
    if let Value::Object(fields) = &mut payload {
        let kind = fields["kind"].clone();
        fields.insert("event_type".into(), kind);
    }
    payload.to_string()
}

/// The task: one session after the other.
struct Connecting {
    config: NotifyMqttSection,
    client_id: String,
    names: Names,
    time: CertificateTime,
    scenes: watch::Receiver<Scene>,
    orders: mpsc::Receiver<EventOrder>,
    told: watch::Sender<Link>,
}

impl Connecting {
    async fn run(mut self) {
        let mut retry = Retry::new(RECONNECT_MAX);
        loop {
            let began = Instant::now();
            let ended = match self.broker().options(&self.time) {
                Ok(options) => {
                    let Self { names, scenes, orders, told, .. } = &mut self;
                    Session { names, scenes, orders, told }.run(options).await
                }
                Err(error) => error,
            };
            let reason = format!("broker {}: {ended:#}", self.config.url);
            let name = &self.config.name;
            if !matches!(&*self.told.borrow(), Link::Down(before) if *before == reason) {
                warn!(notify.name = %name, error = %reason, "{name} is down: {reason}");
            }
            self.told.send_replace(Link::Down(reason));
            // Who gave them is told by their end, and gives them again.
            while self.orders.try_recv().is_ok() {}
            if began.elapsed() >= STABLE_MIN {
                retry.succeeded();
            }
            retry.pause().await;
        }
    }

    fn broker(&self) -> Broker<'_> {
        let config = &self.config;
        Broker {
            url: &config.url,
            client_id: self.client_id.clone(),
            username: config.username.as_deref(),
            password_file: config.password_file.as_deref(),
            ca_file: config.ca_file.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::payload::tests::call;

    #[test]
    fn events_are_webhooks_with_a_type() {
        let fields: Value = serde_json::from_str(&event_payload(&call())).unwrap();
        let mut want = serde_json::to_value(Payload::from(&call())).unwrap();
        want["event_type"] = "call".into();
        assert_eq!(fields, want);
    }
}
