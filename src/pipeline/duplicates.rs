//! Finds frames that came twice, never by their values alone: a steady fridge repeats itself. Pure, of bounded memory;
//! at a bound the oldest is forgotten, so that a repeat may be stored twice, and nothing is ever lost.

use std::collections::{HashMap, VecDeque};

use super::aging::Aging;
use crate::domain::Source;
use crate::frame::{Frame, MqttPacket, Payload, Sender};
use crate::rules::Tick;
use frostguard_sync::ids::sha256;

/// A frame with a counter comes again within this time: network servers and brokers keep messages that long.
pub const COUNTED_MS: i64 = 24 * 60 * 60_000;
/// Without a counter: the same bytes over another gateway or port, which hears the same transmission.
pub const HEARD_TWICE_MS: i64 = 2_000;
/// Frames remembered for `COUNTED_MS`: 64 sensors each minute make 92,160 a day.
const COUNTED_MAX: usize = 100_000;
/// Frames remembered for `HEARD_TWICE_MS`, at 500 a second.
const HEARD_MAX: usize = 1_000;
/// ChirpStack ids remembered: it repeats within seconds.
const DEDUPLICATION_IDS_MAX: usize = 4_096;
/// Publishes remembered of a connection and of the one before: a broker sends 20 to a few thousand before it waits for
/// acknowledgements, and redelivers only those.
const PUBLISHES_MAX: usize = 4_096;
/// After a restart, frames this much older than the newest stored one were acknowledged: a group is committed, and its
/// acknowledgements leave, within 5 s.
const UNACKNOWLEDGED_MS: i64 = 60_000;
/// Configured brokers are few; more than these would be a mistake, and only redeliveries are not found then.
const BROKERS_MAX: usize = 64;

/// What a frame repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Device, address, frame counter and bytes.
    Counter,
    /// The network server's own mark.
    DeduplicationId,
    /// The bytes, just now over another gateway or port.
    HeardTwice,
    /// A publish that was committed on the connection before.
    Redelivered,
}

impl Repeat {
    /// `hub_frames.detail` and the counter's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Repeat::Counter => "counter",
            Repeat::DeduplicationId => "deduplication_id",
            Repeat::HeardTwice => "heard_twice",
            Repeat::Redelivered => "redelivered",
        }
    }
}

/// What the finder says about a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// `hub_frames.dedup`, which finds the frame's repeats after a restart.
    pub dedup: i64,
    pub repeat: Option<Repeat>,
}

/// Remembers frames. Every judged frame is remembered as if it were committed: `keep` after the commit of its group,
/// `undo` when that failed and the group's frames will be judged again.
#[derive(Debug, Default)]
pub struct Duplicates {
    counted: Aging<()>,
    /// With the port that heard it first.
    heard: Aging<u64>,
    deduplication_ids: Aging<()>,
    brokers: HashMap<String, Broker>,
    /// Publishes of the last program that may not have been acknowledged.
    before_start: VecDeque<i64>,
    /// What the group at hand added, in order.
    added: Vec<Added>,
}

/// One broker's publishes, as hashes over topic, packet id and bytes.
#[derive(Debug, Default)]
struct Broker {
    connection: u64,
    present: VecDeque<i64>,
    former: VecDeque<i64>,
}

#[derive(Debug)]
enum Added {
    Counted(i64),
    Heard(i64),
    DeduplicationId(i64),
    Publish { port: String, hash: i64 },
}

impl Duplicates {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what `hub_frames` holds of the last 24 h, oldest first: `dedup` and the judging time.
    pub fn preload(&mut self, rows: impl IntoIterator<Item = (i64, Tick)>) {
        let mut last: VecDeque<(i64, Tick)> = VecDeque::new();
        for (dedup, at) in rows {
            self.counted.insert(dedup, at, (), COUNTED_MS, COUNTED_MAX);
            last.push_back((dedup, at));
            while last.len() > PUBLISHES_MAX
                || last.front().is_some_and(|(_, first)| at.since(*first) > UNACKNOWLEDGED_MS)
            {
                last.pop_front();
            }
        }
        self.before_start = last.into_iter().map(|(dedup, _)| dedup).collect();
    }

    /// Says whether a frame repeats one, and remembers it. `now`: the judging time of its reception; never goes back.
    pub fn judge(&mut self, frame: &Frame, now: Tick) -> Judged {
        let keys = Keys::of(frame);
        let mut repeat = None;
        let mut found = |is_repeat: bool, kind| {
            if is_repeat {
                repeat.get_or_insert(kind);
            }
        };
        if let Some(key) = keys.counted {
            let is_repeat = self.counted.find(key, now, COUNTED_MS).is_some();
            found(is_repeat, Repeat::Counter);
            if !is_repeat {
                self.counted.insert(key, now, (), COUNTED_MS, COUNTED_MAX);
                self.added.push(Added::Counted(key));
            }
        }
        if let Some(key) = keys.deduplication_id {
            let is_repeat = self.deduplication_ids.find(key, now, COUNTED_MS).is_some()
                || self.counted.find(key, now, COUNTED_MS).is_some();
            found(is_repeat, Repeat::DeduplicationId);
            if !is_repeat {
                self.deduplication_ids.insert(key, now, (), COUNTED_MS, DEDUPLICATION_IDS_MAX);
                self.added.push(Added::DeduplicationId(key));
            }
        }
        if let (Some(hash), Some(packet)) = (keys.publish, &frame.identity.packet) {
            let is_repeat = self.note_publish(frame, packet, hash);
            found(is_repeat, Repeat::Redelivered);
        }
        if let Some((key, port)) = keys.heard {
            let is_repeat = self.heard.find(key, now, HEARD_TWICE_MS).is_some_and(|first| *first != port);
            found(is_repeat, Repeat::HeardTwice);
            if !is_repeat {
                self.heard.insert(key, now, port, HEARD_TWICE_MS, HEARD_MAX);
                self.added.push(Added::Heard(key));
            }
        }
        Judged { dedup: keys.stored, repeat }
    }

    /// What is remembered so far, for `undo_after`.
    pub fn mark(&self) -> usize {
        self.added.len()
    }

    /// The group is committed.
    pub fn keep(&mut self) {
        self.added.clear();
    }

    /// The group was not committed: its frames come again and are no repeats of themselves.
    pub fn undo(&mut self) {
        self.undo_after(0);
    }

    /// What was heard since `mark` is not kept: it comes again and is no repeat of itself.
    pub fn undo_after(&mut self, mark: usize) {
        while self.added.len() > mark {
            let Some(added) = self.added.pop() else { return };
            match added {
                Added::Counted(key) => self.counted.remove(key),
                Added::Heard(key) => self.heard.remove(key),
                Added::DeduplicationId(key) => self.deduplication_ids.remove(key),
                Added::Publish { port, hash } => {
                    if let Some(broker) = self.brokers.get_mut(&port) {
                        broker.remove(hash);
                    }
                }
            }
        }
    }

    /// Remembers a publish under its connection, also a repeated one: its acknowledgement may get lost again.
    fn note_publish(&mut self, frame: &Frame, packet: &MqttPacket, hash: i64) -> bool {
        let Some(ack) = frame.ack else { return false };
        let port = &frame.sender.port;
        if !self.brokers.contains_key(port) {
            if self.brokers.len() >= BROKERS_MAX {
                return false;
            }
            let former = self.before_start.clone();
            let broker = Broker { connection: ack.connection, present: VecDeque::new(), former };
            self.brokers.insert(port.clone(), broker);
        }
        let Some(broker) = self.brokers.get_mut(port) else { return false };
        if ack.connection > broker.connection {
            broker.connection = ack.connection;
            broker.former = std::mem::take(&mut broker.present);
        }
        if ack.connection < broker.connection {
            // Heard before the connection was lost; its acknowledgement will be dropped, so it comes again.
            push_bounded(&mut broker.former, hash);
        } else {
            push_bounded(&mut broker.present, hash);
        }
        self.added.push(Added::Publish { port: port.clone(), hash });
        packet.is_redelivered && ack.connection == broker.connection && broker.former.contains(&hash)
    }
}

impl Broker {
    fn remove(&mut self, hash: i64) {
        for hashes in [&mut self.present, &mut self.former] {
            if let Some(index) = hashes.iter().rposition(|own| *own == hash) {
                hashes.remove(index);
                return;
            }
        }
    }
}

fn push_bounded(hashes: &mut VecDeque<i64>, hash: i64) {
    if hashes.len() == PUBLISHES_MAX {
        hashes.pop_front();
    }
    hashes.push_back(hash);
}

/// Hashes that name a frame, by kind.
struct Keys {
    counted: Option<i64>,
    deduplication_id: Option<i64>,
    publish: Option<i64>,
    /// And a hash of the port.
    heard: Option<(i64, u64)>,
    /// The one that is stored: of the kind that counts longest.
    stored: i64,
}

impl Keys {
    fn of(frame: &Frame) -> Self {
        let Frame { sender, payload, identity, .. } = frame;
        let bytes = payload.bytes();
        let f_port = match payload {
            Payload::Binary { f_port, .. } => *f_port,
            Payload::Values { .. } | Payload::Raw { .. } => 0,
        };
        let counted = identity.counter.map(|counter| {
            let dev_addr = identity.dev_addr.as_deref().unwrap_or("");
            hash(
                b"counter",
                &[&device(sender, true), dev_addr.as_bytes(), &counter.to_be_bytes(), &[f_port], bytes],
            )
        });
        let deduplication_id =
            identity.deduplication_id.as_ref().map(|id| hash(b"deduplication id", &[id.as_bytes()]));
        let publish = identity.packet.as_ref().map(|packet| {
            hash(
                b"publish",
                &[sender.port.as_bytes(), packet.topic.as_bytes(), &packet.id.to_be_bytes(), bytes],
            )
        });
        // A counter of a globally unique device finds it over any port already.
        let heard = (counted.is_none() || !sender.is_eui).then(|| {
            let counter = identity.counter.map_or([0; 4], u32::to_be_bytes);
            // A wire ends at one port: the same number on two buses is two sensors.
            let key = hash(b"heard", &[&device(sender, is_wired(sender.source)), &counter, &[f_port], bytes]);
            (key, hash(b"port", &[sender.port.as_bytes()]) as u64)
        });
        let stored = counted
            .or(deduplication_id)
            .or(publish)
            .or(heard.map(|(key, _)| key))
            .expect("without a counter the bytes name the frame");
        Self { counted, deduplication_id, publish, heard, stored }
    }
}

fn is_wired(source: Source) -> bool {
    matches!(source, Source::Modbus | Source::OneWire | Source::Current)
}

/// Names the sender: an EUI alone; otherwise what hears it, `with_port` or over any.
fn device(sender: &Sender, with_port: bool) -> Vec<u8> {
    let Sender { source, port, address, is_eui } = sender;
    let mut name = address.clone().into_bytes();
    if !is_eui {
        name.extend([0, source.number()]);
        if with_port {
            name.extend(port.as_bytes());
        }
    }
    name
}

/// The first 8 bytes of SHA-256 over the kind and the parts with their lengths. Stored: never change it.
fn hash(kind: &[u8], parts: &[&[u8]]) -> i64 {
    let mut text = Vec::with_capacity(64 + parts.iter().map(|part| part.len() + 4).sum::<usize>());
    text.extend(kind);
    for part in parts {
        text.extend((part.len() as u32).to_be_bytes());
        text.extend(*part);
    }
    let digest = sha256(&[&text]);
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(first)
}

#[cfg(test)]
mod tests;
