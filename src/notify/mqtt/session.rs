use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Error};
use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, LastWill, MqttOptions, Outgoing, Packet, Publish, QoS,
    SubscribeFilter, SubscribeReasonCode,
};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tracing::{debug, info, warn};

use super::names::Names;
use super::picture::{Picture, changes};
use super::{EventOrder, Link, PAYLOAD_BYTES_MAX, Scene};
use crate::source::mqtt::broker;

/// The broker takes a hub for gone that was silent for one and a half of it (MQTT 3.1.1, 3.1.2.10).
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Publications on their way to the socket; what exceeds it waits.
const REQUESTS_QUEUED_MAX: usize = 64;
/// Publications that wait for their acknowledgements.
const INFLIGHT_MAX: u16 = 100;
/// Topic and header beside the largest payload.
const PACKET_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + (64 << 10);
/// Topics found at the broker that may have to be taken away: a thousand units with their entities, and more.
const LEFTOVERS_MAX: usize = 10_000;
/// Home Assistant's birth message.
const BIRTH: &[u8] = b"online";

/// One connection, its client made anew and thrown away with it: so nothing of an old board is sent over a new one.
pub struct Session<'a> {
    pub names: &'a Names,
    pub scenes: &'a mut watch::Receiver<Scene>,
    pub orders: &'a mut mpsc::Receiver<EventOrder>,
    pub told: &'a watch::Sender<Link>,
}

/// What a publication is for, once it is acknowledged.
enum Tag {
    State,
    Event(oneshot::Sender<()>),
}

/// What the side that publishes and the side that hears have in common.
#[derive(Default)]
struct Book {
    /// Handed to the client, which numbers them in this order.
    requested: VecDeque<Tag>,
    /// By packet id.
    unacknowledged: BTreeMap<u16, Tag>,
    /// States among the two.
    states: usize,
    /// The newest scene that was requested as a whole; 0: none.
    number: u64,
    /// Home Assistant has started and knows nothing.
    is_reborn: bool,
    /// Retained topics of this hub found at the broker.
    leftovers: BTreeSet<String>,
}

impl Book {
    /// The newest scene the broker has, if nothing is under way.
    fn settled(&self) -> Option<u64> {
        (self.states == 0).then_some(self.number)
    }

    fn request(&mut self, tag: Tag) {
        self.states += usize::from(matches!(tag, Tag::State));
        self.requested.push_back(tag);
    }

    fn numbered(&mut self, packet_id: u16) {
        if let Some(tag) = self.requested.pop_front() {
            self.unacknowledged.insert(packet_id, tag);
        }
    }

    fn acknowledged(&mut self, packet_id: u16) {
        match self.unacknowledged.remove(&packet_id) {
            Some(Tag::State) => self.states -= 1,
            // Who asked may have given up.
            Some(Tag::Event(reply)) => drop(reply.send(())),
            None => {}
        }
    }
}

impl Session<'_> {
    /// Until the connection is lost; the reason.
    pub async fn run(self, mut options: MqttOptions) -> Error {
        options
            .set_clean_session(true)
            .set_keep_alive(KEEP_ALIVE)
            .set_inflight(INFLIGHT_MAX)
            .set_max_packet_size(PACKET_BYTES_MAX, PACKET_BYTES_MAX)
            .set_last_will(LastWill::new(self.names.availability(), "offline", QoS::AtLeastOnce, true));
        let (client, mut events) = match broker::connect(options, REQUESTS_QUEUED_MAX).await {
            Ok(connected) => connected,
            Err(error) => return error,
        };
        info!("connected; the kitchen is shown at {}", self.names.kitchen());
        self.told.send_replace(Link::Up(0));
        let (book, woken) = (Mutex::new(Book::default()), Notify::new());
        let ears = Ears { names: self.names, told: self.told, book: &book, woken: &woken };
        let told = self.told;
        let voice = Voice {
            session: self,
            client: &client,
            book: &book,
            woken: &woken,
            told,
            shown: Default::default(),
        };
        // Side by side, so that neither is ever cut off in the middle of a packet by the other.
        tokio::select! {
            error = ears.hear(&mut events) => broker::explain(error),
            error = voice.speak() => error,
        }
    }
}

/// The side that hears.
struct Ears<'a> {
    names: &'a Names,
    told: &'a watch::Sender<Link>,
    book: &'a Mutex<Book>,
    woken: &'a Notify,
}

impl Ears<'_> {
    async fn hear(&self, events: &mut EventLoop) -> ConnectionError {
        loop {
            match events.poll().await {
                Ok(Event::Outgoing(Outgoing::Publish(packet_id))) => lock(self.book).numbered(packet_id),
                Ok(Event::Incoming(Packet::PubAck(ack))) => {
                    lock(self.book).acknowledged(ack.pkid);
                    if tell_settled(self.book, self.told) {
                        self.woken.notify_one();
                    }
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => self.take(&publish),
                Ok(Event::Incoming(Packet::SubAck(ack))) => {
                    if ack.return_codes.contains(&SubscribeReasonCode::Failure) {
                        warn!(
                            "the broker does not let the hub read its own topics and Home Assistant's status: what \
                             units leave there that are gone stays; let the user read them in its ACL"
                        );
                    }
                }
                Ok(_) => {}
                Err(error) => return error,
            }
        }
    }

    fn take(&self, publish: &Publish) {
        let mut book = lock(self.book);
        if self.names.birth().is_some_and(|topic| topic == publish.topic) {
            book.is_reborn |= publish.payload == BIRTH && !publish.retain;
        } else if publish.retain && !publish.payload.is_empty() && book.leftovers.len() < LEFTOVERS_MAX {
            book.leftovers.insert(publish.topic.clone());
        }
        self.woken.notify_one();
    }
}

/// The side that publishes.
struct Voice<'a> {
    session: Session<'a>,
    client: &'a AsyncClient,
    book: &'a Mutex<Book>,
    woken: &'a Notify,
    told: &'a watch::Sender<Link>,
    /// Requested over this connection: configurations, states.
    shown: [Arc<Picture>; 2],
}

impl Voice<'_> {
    async fn speak(mut self) -> Error {
        let Err(error) = self.talk().await;
        error
    }

    async fn talk(&mut self) -> Result<Infallible, Error> {
        let names = self.session.names;
        let mut leftovers = names.leftovers();
        let filters = leftovers.iter().map(|filter| SubscribeFilter::new(filter.clone(), QoS::AtMostOnce));
        let birth = names.birth().map(|topic| SubscribeFilter::new(topic, QoS::AtLeastOnce));
        self.client.subscribe_many(filters.chain(birth)).await.context("subscribe")?;
        self.publish(names.availability(), "online".into()).await?;
        loop {
            self.show().await?;
            let shown = lock(self.book).settled().unwrap_or(0);
            if shown > 0 {
                // What was left there came before the acknowledgements of what was published after asking for it.
                for filter in std::mem::take(&mut leftovers) {
                    self.client.unsubscribe(filter).await.context("unsubscribe")?;
                }
            }
            tokio::select! {
                biased;
                changed = self.session.scenes.changed() => changed.context("hear of the kitchen")?,
                order = self.session.orders.recv() => {
                    self.tell(order.context("hear of messages")?).await?;
                }
                () = self.woken.notified() => {}
            }
        }
    }

    /// Publishes what the newest scene has that is not shown, and takes away what it has not.
    async fn show(&mut self) -> Result<(), Error> {
        let Scene { number, configs, states } = self.session.scenes.borrow_and_update().clone();
        if number == 0 {
            return Ok(());
        }
        let (is_reborn, leftovers) = {
            let mut book = lock(self.book);
            (std::mem::take(&mut book.is_reborn), std::mem::take(&mut book.leftovers))
        };
        let is_wanted = |topic: &String| configs.contains_key(topic) || states.contains_key(topic);
        if is_reborn {
            debug!("Home Assistant has started: everything is told again");
            self.publish(self.session.names.availability(), "online".into()).await?;
            for shown in &mut self.shown {
                Arc::make_mut(shown).retain(|topic, _| !is_wanted(topic));
            }
        }
        for topic in leftovers.into_iter().filter(|topic| !is_wanted(topic)) {
            Arc::make_mut(&mut self.shown[0]).insert(topic, String::new());
        }
        let wanted = [configs, states];
        for (shown, wanted) in self.shown.iter().zip(&wanted) {
            if !Arc::ptr_eq(shown, wanted) {
                for (topic, payload) in changes(shown, wanted) {
                    self.publish(topic, payload).await?;
                }
            }
        }
        self.shown = wanted;
        lock(self.book).number = number;
        tell_settled(self.book, self.told);
        Ok(())
    }

    async fn tell(&self, order: EventOrder) -> Result<(), Error> {
        let EventOrder { payload, reply } = order;
        // Else it would be told twice: who gave up gives it again.
        if reply.is_closed() {
            return Ok(());
        }
        lock(self.book).request(Tag::Event(reply));
        let topic = self.session.names.event();
        self.client.publish(topic, QoS::AtLeastOnce, false, payload).await.context("publish")
    }

    async fn publish(&self, topic: String, payload: String) -> Result<(), Error> {
        lock(self.book).request(Tag::State);
        self.client.publish(topic, QoS::AtLeastOnce, true, payload).await.context("publish")
    }
}

/// Tells which scene the broker has, if that is another one than before.
fn tell_settled(book: &Mutex<Book>, told: &watch::Sender<Link>) -> bool {
    let Some(number) = lock(book).settled() else { return false };
    told.send_if_modified(|link| {
        let is_new = *link != Link::Up(number);
        *link = Link::Up(number);
        is_new
    })
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}
