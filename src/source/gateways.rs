//! LoRaWAN gateways with a packet forwarder (Semtech UDP): acknowledges at once, hands frames on and sends what the network
//! server orders. It only moves bytes.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tracing::debug;

use super::addresses::{Addresses, Verdict};
use super::orders::Orders;
use super::presence::{Presence, Retry};
use super::strangers::Strangers;
use super::{Source, SourceContext, stopped};
use crate::clock::Clock;
use crate::config::LorawanSection;
use crate::counters::Counters;
use crate::domain::{self, MonoMs};
use crate::frame::SourceEvent;
use crate::lorawan::gateway::{GatewayEvent, GatewayFrame, Order};
use crate::lorawan::ids::Eui;
use crate::lorawan::udp::{self, Body, Datagram};
use crate::pipeline::lorawan::Listed;

/// An address that comes back (a network that is up late) is used soon.
const REOPEN_MAX: Duration = Duration::from_secs(5);
/// Forwarders say that they are there every 5 to 30 s.
const SILENT_MS: i64 = 90_000;
/// How often silence is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The configured socket.
pub struct Gateways {
    config: LorawanSection,
    orders: mpsc::Receiver<Order>,
    listed: watch::Receiver<Listed>,
}

impl Gateways {
    pub fn new(
        config: LorawanSection,
        orders: mpsc::Receiver<Order>,
        listed: watch::Receiver<Listed>,
    ) -> Self {
        Self { config, orders, listed }
    }

    async fn bind(&self) -> Result<UdpSocket> {
        let address = self.config.udp_listen;
        UdpSocket::bind(address).await.map_err(|error| {
            let remedy = match error.kind() {
                io::ErrorKind::AddrInUse => {
                    " (another program has the port: a packet forwarder's own server?)"
                }
                io::ErrorKind::AddrNotAvailable => " (the hub has no such address)",
                _ => "",
            };
            Error::new(error).context(format!("listen for gateways on {address}{remedy}"))
        })
    }
}

impl Source for Gateways {
    async fn run(mut self, context: SourceContext) -> Result<()> {
        // What a gateway brings is acknowledged on arrival: it does not repeat itself.
        let SourceContext { out, clock, counters, mut shutdown, .. } = context;
        let mut presence = Presence::new(domain::Source::Lorawan, &self.config.name, out, counters.clone());
        let mut retry = Retry::new(REOPEN_MAX);
        loop {
            let lost = match self.bind().await {
                Ok(socket) => {
                    retry.succeeded();
                    let mut serving = Serving {
                        name: &self.config.name,
                        antenna_gain_dbi: self.config.antenna_gain_dbi,
                        socket,
                        listed: &self.listed,
                        clock: clock.as_ref(),
                        counters: &counters,
                        presence: &mut presence,
                        forwarders: BTreeMap::new(),
                        addresses: Addresses::new(&self.config.gateway_addresses),
                        ordered: Orders::default(),
                        strangers: Strangers::default(),
                    };
                    match serving.until_lost(&mut self.orders, &mut shutdown).await? {
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

/// A bound socket.
struct Serving<'a> {
    name: &'a str,
    antenna_gain_dbi: i8,
    socket: UdpSocket,
    listed: &'a watch::Receiver<Listed>,
    clock: &'a dyn Clock,
    counters: &'a Counters,
    presence: &'a mut Presence,
    /// Listed ones that were heard.
    forwarders: BTreeMap<Eui, Forwarder>,
    addresses: Addresses,
    ordered: Orders,
    strangers: Strangers,
}

/// What is known of a gateway's packet forwarder.
struct Forwarder {
    heard: MonoMs,
    /// Where its latest PULL_DATA came from, in which version, and when.
    pull: Option<(SocketAddr, u8, MonoMs)>,
}

enum Ended {
    Stopped,
    Lost(Error),
}

impl Serving<'_> {
    async fn until_lost(
        &mut self,
        orders: &mut mpsc::Receiver<Order>,
        shutdown: &mut watch::Receiver<bool>,
    ) -> Result<Ended> {
        let mut buffer = vec![0; udp::DATAGRAM_BYTES_MAX];
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                () = stopped(shutdown) => return Ok(Ended::Stopped),
                Some(order) = orders.recv() => self.send(&order).await,
                got = self.socket.recv_from(&mut buffer) => match got {
                    Ok((length, from)) => self.take(&buffer[..length], from).await?,
                    // A datagram of ours found nobody; the socket is as good as before.
                    Err(error) if matches!(
                        error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset
                    ) => {}
                    Err(error) => return Ok(Ended::Lost(Error::new(error).context("hear gateways"))),
                },
                _ = look.tick() => self.look_for_silence().await?,
            }
        }
    }

    async fn take(&mut self, bytes: &[u8], from: SocketAddr) -> Result<()> {
        let at = self.clock.mono();
        let datagram = match udp::parse(bytes, at) {
            Ok(datagram) => datagram,
            Err(error) => {
                self.counters.add("lorawan.datagrams", "unreadable", 1);
                debug!("a datagram from {from} is of no use: {error}");
                return Ok(());
            }
        };
        let gateway = datagram.gateway;
        if !self.listed.borrow().contains(&gateway) {
            self.counters.add("lorawan.datagrams", "not_listed", 1);
            return self.take_stranger(gateway, at).await;
        }
        if let Verdict::Foreign { is_news } = self.addresses.judge(gateway, from.ip(), at) {
            self.counters.add("lorawan.datagrams", "another_address", 1);
            if is_news {
                tracing::warn!(
                    "{} speaks for gateway {gateway}, which is heard from another address: its devices' frames are taken, and \
                     nothing is sent by it before that one is silent; `gateway_addresses` under [lorawan] says which is right",
                    from.ip()
                );
            }
            return self.take_unvouched(datagram, from).await;
        }
        let token = u16::from_be_bytes(datagram.token);
        if matches!(datagram.body, Body::TxAck(_)) && !self.ordered.settle(token, gateway) {
            self.counters.add("lorawan.datagrams", "unasked_ack", 1);
            return Ok(());
        }
        self.counters.add("lorawan.datagrams", "taken", 1);
        self.acknowledge(&datagram, from).await;
        let forwarder = self.forwarders.entry(gateway).or_insert(Forwarder { heard: at, pull: None });
        forwarder.heard = at;
        if datagram.body == Body::Pull {
            forwarder.pull = Some((from, datagram.version, at));
        }
        let can_send = forwarder.pull.is_some();
        self.presence.up().await?;
        let event = self.event(datagram, can_send, at);
        self.presence.send(SourceEvent::Gateway(Box::new(event))).await
    }

    /// From an address that is not the gateway's, or so it seems: the one that was there first may be the wrong one. What
    /// devices signed is as good as ever; the address gets no orders and says nothing of them.
    async fn take_unvouched(&mut self, datagram: Datagram, from: SocketAddr) -> Result<()> {
        // What is taken is acknowledged, so that no gateway brings it again.
        if matches!(datagram.body, Body::Push { .. }) {
            self.acknowledge(&datagram, from).await;
        }
        let Datagram { gateway, body: Body::Push { frames, .. }, .. } = datagram else { return Ok(()) };
        let frames: Vec<GatewayFrame> = frames.into_iter().filter_map(GatewayFrame::unvouched).collect();
        if frames.is_empty() {
            return Ok(());
        }
        self.presence.send(SourceEvent::Gateway(Box::new(GatewayEvent::Unvouched { gateway, frames }))).await
    }

    async fn acknowledge(&self, datagram: &Datagram, to: SocketAddr) {
        if let Some(ack) = datagram.ack()
            && let Err(error) = self.socket.send_to(&ack, to).await
        {
            debug!("an acknowledgement to {to} cannot be sent: {error}");
        }
    }

    fn event(&self, datagram: Datagram, can_send: bool, at: MonoMs) -> GatewayEvent {
        let Datagram { gateway, token, body, .. } = datagram;
        let (frames, stat) = match body {
            Body::TxAck(result) => {
                return GatewayEvent::Sent { token: u16::from_be_bytes(token), result };
            }
            Body::Pull => (Vec::new(), None),
            Body::Push { frames, dropped, stat } => {
                for (reason, count) in dropped.by_reason() {
                    self.counters.add("lorawan.dropped", reason, count.into());
                }
                (frames, stat)
            }
        };
        let frames = frames
            .into_iter()
            .map(|mut frame: GatewayFrame| {
                // Without a PULL_DATA there is no way back: it can only listen.
                frame.reception.context = frame.reception.context.filter(|_| can_send);
                frame
            })
            .collect();
        GatewayEvent::Heard { gateway, frames, stat, at }
    }

    async fn take_stranger(&mut self, gateway: Eui, at: MonoMs) -> Result<()> {
        if !self.strangers.is_news(gateway, at) {
            return Ok(());
        }
        self.presence.send(SourceEvent::Gateway(Box::new(GatewayEvent::Stranger { gateway, at }))).await
    }

    async fn send(&mut self, order: &Order) {
        let gateway = order.downlink.gateway;
        self.ordered.note(order.token, gateway, self.clock.mono());
        let pull = self.forwarders.get(&gateway).and_then(|forwarder| forwarder.pull);
        let result = match pull {
            None => Err(anyhow!("it asked for none (no PULL_DATA)")),
            Some((to, version, _)) => {
                let token = order.token.to_be_bytes();
                match udp::pull_resp(version, token, &order.downlink, &order.window, self.antenna_gain_dbi) {
                    None => Err(anyhow!("the frame came by another protocol")),
                    Some(bytes) => {
                        self.socket.send_to(&bytes, to).await.map(|_| ()).context(format!("send to {to}"))
                    }
                }
            }
        };
        if let Err(error) = result {
            self.counters.add("lorawan.refused_answers", "not_sent", 1);
            tracing::warn!("no answer can be handed to gateway {gateway}: {error:#}");
        }
    }

    /// A gateway that is silent for long cannot be answered by; with all of them the source is down.
    async fn look_for_silence(&mut self) -> Result<()> {
        let now = self.clock.mono();
        let is_there = |at: MonoMs| now.0 - at.0 < SILENT_MS;
        let listed = self.listed.borrow().clone();
        let had_some = !self.forwarders.is_empty();
        self.addresses.retain(|eui| listed.contains(eui));
        self.forwarders.retain(|eui, forwarder| listed.contains(eui) && is_there(forwarder.heard));
        for forwarder in self.forwarders.values_mut() {
            forwarder.pull = forwarder.pull.filter(|(_, _, at)| is_there(*at));
        }
        if had_some && self.forwarders.is_empty() {
            let seconds = SILENT_MS / 1_000;
            self.presence
                .down(&anyhow!(
                    "no gateway of {} was heard for {seconds} s; check its power and network",
                    self.name
                ))
                .await?;
        }
        Ok(())
    }
}
