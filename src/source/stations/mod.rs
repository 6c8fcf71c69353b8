//! LoRaWAN gateways with LoRa Basics Station: a websocket where stations ask their way (`/router-info`) and one for each to
//! bring its frames by. It only moves texts; each connection is a task of its own, so that a slow one holds up no other.

mod connection;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Error, Result, anyhow};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use self::connection::{Connection, Shared};
use super::orders::Orders;
use super::presence::{Presence, Retry};
use super::strangers::Strangers;
use super::{Source, SourceContext, stopped};
use crate::config::{LorawanSection, StationsSection};
use crate::domain::{self, MonoMs};
use crate::frame::SourceEvent;
use crate::lorawan::gateway::{GatewayEvent, Order};
use crate::lorawan::ids::Eui;
use crate::lorawan::region::Region;
use crate::pipeline::lorawan::{Listed, WallOffset};

/// An address that comes back (a network that is up late) is used soon.
const REOPEN_MAX: Duration = Duration::from_secs(5);
/// Connections at once: twice the gateways a hub has, as one that lost its network connects anew before the old connection
/// is known to be dead.
const CONNECTIONS_MAX: usize = 128;
/// What connections have said and nobody has taken yet; while it is full they do not read on.
const SAID_QUEUED_MAX: usize = 64;
/// Orders waiting for one station: a sub-band holds eight channels, and an answer is of use for two seconds.
const STATION_ORDERS_MAX: usize = 16;
/// A station that loses its connection is back within half a minute, or it is lost.
const SILENT_MS: i64 = 90_000;
/// How often silence is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The configured listener.
pub struct Stations {
    section: StationsSection,
    region: Region,
    eirp_dbm_max: i8,
    orders: mpsc::Receiver<Order>,
    listed: watch::Receiver<Listed>,
    wall: watch::Receiver<WallOffset>,
}

impl Stations {
    /// None: stations are not configured.
    pub fn new(
        config: &LorawanSection,
        orders: mpsc::Receiver<Order>,
        listed: watch::Receiver<Listed>,
        wall: watch::Receiver<WallOffset>,
    ) -> Option<Self> {
        let (section, region) = (config.stations.clone()?, config.plan()?);
        Some(Self { section, region, eirp_dbm_max: config.eirp_dbm_max, orders, listed, wall })
    }

    async fn bind(&self) -> Result<TcpListener> {
        let address = self.section.listen;
        TcpListener::bind(address).await.map_err(|error| {
            let remedy = match error.kind() {
                io::ErrorKind::AddrInUse => " (another program has the port)",
                io::ErrorKind::AddrNotAvailable => " (the hub has no such address)",
                _ => "",
            };
            Error::new(error).context(format!("listen for stations on {address}{remedy}"))
        })
    }
}

impl Source for Stations {
    async fn run(mut self, context: SourceContext) -> Result<()> {
        let SourceContext { out, clock, counters, mut shutdown, .. } = context;
        let mut presence = Presence::new(domain::Source::Lorawan, &self.section.name, out, counters.clone());
        let mut retry = Retry::new(REOPEN_MAX);
        loop {
            let lost = match self.bind().await {
                Ok(listener) => {
                    retry.succeeded();
                    let (said_in, said) = mpsc::channel(SAID_QUEUED_MAX);
                    let mut serving = Serving {
                        name: &self.section.name,
                        listener,
                        shared: Arc::new(Shared {
                            region: self.region,
                            eirp_dbm_max: self.eirp_dbm_max,
                            clock: clock.clone(),
                            counters: counters.clone(),
                            listed: self.listed.clone(),
                            wall: self.wall.clone(),
                            said: said_in,
                        }),
                        said,
                        presence: &mut presence,
                        connections: JoinSet::new(),
                        opened: 0,
                        stations: BTreeMap::new(),
                        last_there: None,
                        strangers: Strangers::default(),
                        ordered: Orders::default(),
                    };
                    match serving.until_lost(&mut self.orders, self.listed.clone(), &mut shutdown).await? {
                        Ended::Stopped => return Ok(()),
                        Ended::Lost(error) => error,
                    }
                }
                Err(error) => error,
            };
            presence.down(&lost).await?;
            tokio::select! {
                () = stopped(&mut shutdown) => return Ok(()),
                () = retry.pause() => {}
            }
        }
    }
}

/// What a connection says to the task that holds them all.
enum Said {
    /// A station is connected; what it is to send goes by `orders`, and without them it is to close.
    Opened {
        gateway: Eui,
        number: u64,
        orders: mpsc::Sender<Order>,
    },
    Closed {
        gateway: Eui,
        number: u64,
    },
    /// A station has sent what it was ordered to.
    Sent {
        gateway: Eui,
        token: u16,
    },
    Event(GatewayEvent),
}

/// A bound listener and its connections, which end with it.
struct Serving<'a> {
    name: &'a str,
    listener: TcpListener,
    shared: Arc<Shared>,
    said: mpsc::Receiver<Said>,
    presence: &'a mut Presence,
    connections: JoinSet<()>,
    /// Connections so far; numbers them.
    opened: u64,
    /// Connected stations: the number of the connection, and its orders.
    stations: BTreeMap<Eui, (u64, mpsc::Sender<Order>)>,
    /// When a station was connected last.
    last_there: Option<MonoMs>,
    strangers: Strangers,
    ordered: Orders,
}

enum Ended {
    Stopped,
    Lost(Error),
}

impl Serving<'_> {
    async fn until_lost(
        &mut self,
        orders: &mut mpsc::Receiver<Order>,
        mut listed: watch::Receiver<Listed>,
        shutdown: &mut watch::Receiver<bool>,
    ) -> Result<Ended> {
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                () = stopped(shutdown) => return Ok(Ended::Stopped),
                Some(order) = orders.recv() => self.send(order),
                Some(said) = self.said.recv() => self.take(said).await?,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, from)) => self.open(stream, from),
                    // It was gone before it was looked at.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(error) => return Ok(Ended::Lost(Error::new(error).context("accept stations"))),
                },
                Some(ended) = self.connections.join_next() => if let Err(error) = ended {
                    return Err(Error::new(error).context("a station's connection ended by a panic"));
                },
                Ok(()) = listed.changed() => {
                    let listed = listed.borrow_and_update().clone();
                    // Those that are left out close for want of orders.
                    self.stations.retain(|gateway, _| listed.contains(gateway));
                }
                _ = look.tick() => self.look_for_silence().await?,
            }
        }
    }

    fn open(&mut self, stream: TcpStream, from: SocketAddr) {
        if self.connections.len() >= CONNECTIONS_MAX {
            self.count("too_many");
            debug!("{CONNECTIONS_MAX} connections are open: {from} is refused");
            return;
        }
        self.opened += 1;
        let connection = Connection { number: self.opened, from, shared: self.shared.clone() };
        self.connections.spawn(connection.serve(stream));
    }

    async fn take(&mut self, said: Said) -> Result<()> {
        let now = self.shared.clock.mono();
        match said {
            // Between its question and its registration the list may have changed.
            Said::Opened { gateway, .. } if !self.shared.listed.borrow().contains(&gateway) => Ok(()),
            Said::Opened { gateway, number, orders } => {
                self.last_there = Some(now);
                if self.stations.insert(gateway, (number, orders)).is_some() {
                    self.count("replaced");
                    warn!(
                        "station {gateway} is connected anew: its former connection is closed (was its network lost, or do \
                         two gateways have one EUI?)"
                    );
                }
                self.count("connected");
                self.presence.up().await?;
                self.hear(GatewayEvent::Heard { gateway, frames: Vec::new(), stat: None, at: now }).await
            }
            Said::Closed { gateway, number } => {
                if self.stations.get(&gateway).is_some_and(|(current, _)| *current == number) {
                    self.stations.remove(&gateway);
                    self.last_there = Some(now);
                }
                Ok(())
            }
            Said::Sent { gateway, token } if self.ordered.settle(token, gateway) => {
                self.hear(GatewayEvent::Sent { token, result: Ok(()) }).await
            }
            Said::Sent { .. } => {
                self.count("unasked_ack");
                Ok(())
            }
            Said::Event(GatewayEvent::Stranger { gateway, at }) => self.take_stranger(gateway, at).await,
            Said::Event(event) => self.hear(event).await,
        }
    }

    async fn hear(&self, event: GatewayEvent) -> Result<()> {
        self.presence.send(SourceEvent::Gateway(Box::new(event))).await
    }

    async fn take_stranger(&mut self, gateway: Eui, at: MonoMs) -> Result<()> {
        if !self.strangers.is_news(gateway, at) {
            return Ok(());
        }
        self.hear(GatewayEvent::Stranger { gateway, at }).await
    }

    fn send(&mut self, order: Order) {
        let gateway = order.downlink.gateway;
        self.ordered.note(order.token, gateway, self.shared.clock.mono());
        let result = match self.stations.get(&gateway) {
            None => Err("it is not connected any more"),
            Some((_, orders)) => orders.try_send(order).map_err(|_| "it does not take its orders"),
        };
        if let Err(why) = result {
            self.shared.counters.add("lorawan.refused_answers", "not_sent", 1);
            warn!("no answer can be handed to station {gateway}: {why}");
        }
    }

    /// A station is back soon after it lost its connection; without any for long the source is down.
    async fn look_for_silence(&mut self) -> Result<()> {
        let now = self.shared.clock.mono();
        if !self.stations.is_empty() {
            self.last_there = Some(now);
        }
        if self.last_there.is_some_and(|at| now.0 - at.0 >= SILENT_MS) {
            self.last_there = None;
            let seconds = SILENT_MS / 1_000;
            let reason = anyhow!(
                "no station of {} was connected for {seconds} s; check the gateways' power and network",
                self.name
            );
            self.presence.down(&reason).await?;
        }
        Ok(())
    }

    fn count(&self, what: &'static str) {
        self.shared.counters.add("lorawan.stations", what, 1);
    }
}
