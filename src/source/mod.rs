//! Sources of frames: each a task that retries by itself (a flapping broker, an unplugged adapter) and ends only when
//! the hub stops or by a bug.

mod addresses;
pub mod ble;
pub mod current;
pub mod gateways;
pub mod modbus;
pub mod mqtt;
pub mod onewire;
mod orders;
pub mod presence;
pub mod serial;
pub mod shapes;
pub mod stations;
mod strangers;
mod sysfs;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::clock::Clock;
use crate::counters::Counters;
use crate::frame::{AckToken, SourceEvent};

/// Events between the sources and the pipeline: two groups of 256, so that one is judged while the next is heard. A full
/// queue makes sources stop reading; nothing is dropped here.
pub const EVENTS_QUEUED_MAX: usize = 512;

/// Acknowledgements on their way to a source: MQTT has 65,535 packet ids, so no more messages can wait for one.
pub const ACKS_QUEUED_MAX: usize = 65_535;

/// What hears sensors.
pub trait Source: Send + 'static {
    /// Runs until `context.shutdown` says stop (Ok) or a bug ends it (an error that ends the daemon). Everything that
    /// comes and goes (ports, brokers, networks) is retried inside and told by `SourceEvent::Up` and `Down`.
    fn run(self, context: SourceContext) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// What a source is given.
pub struct SourceContext {
    /// Stands in `AckToken::source` of every token this source makes.
    pub number: u16,
    pub out: mpsc::Sender<SourceEvent>,
    pub acks: mpsc::Receiver<AckToken>,
    pub clock: Arc<dyn Clock>,
    pub counters: Counters,
    pub shutdown: watch::Receiver<bool>,
}

/// The other ends of the sources' acknowledgement queues.
#[derive(Clone, Default)]
pub struct Acks(BTreeMap<u16, mpsc::Sender<AckToken>>);

impl Acks {
    /// A queue for the source `number`; its receiver goes into the source's context.
    pub fn open(&mut self, number: u16) -> mpsc::Receiver<AckToken> {
        let (sender, receiver) = mpsc::channel(ACKS_QUEUED_MAX);
        self.0.insert(number, sender);
        receiver
    }

    /// Says that what came with `token` is committed. Never waits. A token that finds no source is of no use to anyone:
    /// its message comes again.
    pub fn release(&self, token: AckToken) {
        if let Some(sender) = self.0.get(&token.source) {
            // Fails only when the source has ended or the broker broke the protocol; both mean a redelivery.
            let _ = sender.try_send(token);
        }
    }
}

/// Returns when the hub stops (or whoever would say so is gone).
pub async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a stop too.
    let _ = shutdown.wait_for(|stop| *stop).await;
}
