//! One connection of a station: its way (`/router-info`), or its frames (`/gateway/EUI`).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message as WsMessage, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};
use tracing::{debug, info, warn};

use super::{STATION_ORDERS_MAX, Said};
use crate::clock::Clock;
use crate::counters::Counters;
use crate::domain::UnixMs;
use crate::lorawan::gateway::{GatewayEvent, GatewayFrame, Order};
use crate::lorawan::ids::Eui;
use crate::lorawan::region::Region;
use crate::lorawan::station::{self, Message, TEXT_BYTES_MAX};
use crate::pipeline::lorawan::{Listed, WallOffset};

/// From the connection to its first text, which a station sends at once.
const GREETING_MAX: Duration = Duration::from_secs(10);
/// A text is out by then, or the station reads nothing: an answer would be too late anyway.
const SEND_MAX: Duration = Duration::from_secs(5);
/// A station in a quiet kitchen says nothing by itself for hours.
const PING_EVERY: Duration = Duration::from_secs(30);
/// Two pings without an answer: the connection is dead.
const SILENT_MS: i64 = 75_000;
/// Texts on their way to a station, kept by the socket: a few dozen answers, each below a kilobyte.
const UNSENT_BYTES_MAX: usize = 64 << 10;
/// Basics Station has spoken it since 2018.
const PROTOCOL: u64 = 2;

const ROUTER_INFO: &str = "/router-info";
const GATEWAY: &str = "/gateway/";

/// What all connections use.
pub(super) struct Shared {
    pub region: Region,
    pub eirp_dbm_max: i8,
    pub clock: Arc<dyn Clock>,
    pub counters: Counters,
    pub listed: watch::Receiver<Listed>,
    pub wall: watch::Receiver<WallOffset>,
    pub said: mpsc::Sender<Said>,
}

pub(super) struct Connection {
    pub number: u64,
    pub from: SocketAddr,
    pub shared: Arc<Shared>,
}

type Socket = WebSocketStream<TcpStream>;

/// What a connection is for, by its path.
enum Purpose {
    /// With the host the station reached the hub by.
    Info {
        host: String,
    },
    Station(Eui),
}

/// Why a connection ends.
enum End {
    /// The station closed it, or nobody is left who would hear it.
    Gone,
    /// Closed by the hub: the close code, the counter's name, and the reason as the station gets it.
    Close(CloseCode, &'static str, String),
}

impl Connection {
    pub async fn serve(self, stream: TcpStream) {
        // Small texts that must not wait for each other.
        if let Err(error) = stream.set_nodelay(true) {
            debug!("station at {}: {error}", self.from);
        }
        let Ok(Some((mut socket, purpose))) =
            tokio::time::timeout(GREETING_MAX, self.shake_hands(stream)).await
        else {
            self.count("no_handshake");
            return;
        };
        let end = match purpose {
            Purpose::Info { host } => self.tell_way(&mut socket, &host).await,
            Purpose::Station(gateway) => {
                let end = self.serve_station(&mut socket, gateway).await;
                self.say(Said::Closed { gateway, number: self.number }).await;
                end
            }
        };
        if let End::Close(code, name, reason) = end {
            self.count(name);
            if code != CloseCode::Normal {
                warn!("station at {}: {reason}", self.from);
            }
            // A close frame has 125 bytes; the reasons are texts of this file.
            let reason: String = reason.chars().take(100).collect();
            let frame = CloseFrame { code, reason: reason.into() };
            // What is not read before the end would take the answer with it. Who does not close in time is dropped.
            let _ = tokio::time::timeout(SEND_MAX, async {
                if socket.close(Some(frame)).await.is_ok() {
                    while let Some(Ok(_)) = socket.next().await {}
                }
            })
            .await;
        }
    }

    async fn shake_hands(&self, stream: TcpStream) -> Option<(Socket, Purpose)> {
        let local = stream.local_addr().ok()?;
        let mut purpose = None;
        #[allow(clippy::result_large_err, reason = "the crate's callback has this type")]
        let choose = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
            let path = request.uri().path();
            purpose = if path == ROUTER_INFO {
                Some(Purpose::Info { host: host.map_or_else(|| local.to_string(), str::to_owned) })
            } else {
                path.strip_prefix(GATEWAY).and_then(Eui::parse).map(Purpose::Station)
            };
            if purpose.is_some() { Ok(response) } else { Err(no_such_path()) }
        };
        let config = WebSocketConfig::default()
            .max_message_size(Some(TEXT_BYTES_MAX))
            .max_frame_size(Some(TEXT_BYTES_MAX))
            .read_buffer_size(TEXT_BYTES_MAX)
            // Texts leave at once.
            .write_buffer_size(0)
            .max_write_buffer_size(UNSENT_BYTES_MAX);
        match accept_hdr_async_with_config(stream, choose, Some(config)).await {
            Ok(socket) => purpose.map(|purpose| (socket, purpose)),
            Err(error) => {
                debug!("no websocket with {}: {error}", self.from);
                None
            }
        }
    }

    /// Answers a station that asks where to connect.
    async fn tell_way(&self, socket: &mut Socket, host: &str) -> End {
        let text = match tokio::time::timeout(GREETING_MAX, socket.next()).await {
            Ok(Some(Ok(WsMessage::Text(text)))) => text,
            Ok(Some(Err(error))) => return self.failed(&error),
            Ok(None) => return End::Gone,
            _ => return close(CloseCode::Policy, "no_question", "it does not ask its way"),
        };
        let router = match station::router_info(&text) {
            Ok(router) => router,
            Err(error) => {
                self.count_message("unreadable");
                return close(
                    CloseCode::Invalid,
                    "no_question",
                    &format!("its question cannot be read: {error}"),
                );
            }
        };
        let is_listed = self.is_listed(router);
        let answer = if is_listed {
            station::router_info_answer(router, &format!("ws://{host}{GATEWAY}{router}"))
        } else {
            self.refuse(router).await;
            station::router_info_refusal(router, NOT_LISTED)
        };
        match self.send(socket, answer).await {
            Err(end) => end,
            Ok(()) if is_listed => close(CloseCode::Normal, "told_way", "connect there"),
            Ok(()) => close(CloseCode::Normal, "not_listed", NOT_LISTED),
        }
    }

    async fn serve_station(&self, socket: &mut Socket, gateway: Eui) -> End {
        if !self.is_listed(gateway) {
            self.refuse(gateway).await;
            return close(CloseCode::Policy, "not_listed", NOT_LISTED);
        }
        let (orders_in, mut orders) = mpsc::channel(STATION_ORDERS_MAX);
        if !self.say(Said::Opened { gateway, number: self.number, orders: orders_in }).await {
            return End::Gone;
        }
        let mut ping = tokio::time::interval(PING_EVERY);
        let mut heard = self.shared.clock.mono();
        loop {
            let step = tokio::select! {
                got = socket.next() => {
                    heard = self.shared.clock.mono();
                    match got {
                        None => return End::Gone,
                        Some(Err(error)) => Err(self.failed(&error)),
                        Some(Ok(WsMessage::Text(text))) => self.take(socket, gateway, &text).await,
                        // The socket answers, then it ends.
                        Some(Ok(WsMessage::Close(_))) => Ok(()),
                        // Pings are answered by the socket itself.
                        Some(Ok(WsMessage::Ping(_) | WsMessage::Pong(_))) => self.hear(gateway, Vec::new()).await,
                        // The remote shell, which the hub does not open.
                        Some(Ok(_)) => { self.count_message("other"); Ok(()) }
                    }
                }
                order = orders.recv() => match order {
                    Some(order) => self.order(socket, &order).await,
                    None => Err(close(
                        CloseCode::Policy, "closed", "this gateway is connected anew, or not listed any more",
                    )),
                },
                _ = ping.tick() => {
                    if self.shared.clock.mono().0 - heard.0 >= SILENT_MS {
                        Err(close(CloseCode::Away, "silent", "it answers no ping"))
                    } else {
                        self.send_message(socket, WsMessage::Ping(Vec::new().into())).await
                    }
                }
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn take(&self, socket: &mut Socket, gateway: Eui, text: &str) -> Result<(), End> {
        let at = self.shared.clock.mono();
        let message = match station::parse(text, gateway, self.shared.region, at) {
            Ok(message) => message,
            Err(error) => {
                self.count_message("unreadable");
                debug!("a text of station {gateway} is of no use: {error}");
                return Ok(());
            }
        };
        self.count_message(if matches!(message, Message::Other(_)) { "other" } else { "taken" });
        match message {
            Message::Version { station, protocol, features } => {
                if protocol != PROTOCOL {
                    let reason =
                        format!("it speaks version {protocol} of the protocol, not {PROTOCOL}: update it");
                    return Err(close(CloseCode::Policy, "other_version", &reason));
                }
                info!("gateway {gateway} is a station {station:?} ({features:?})");
                let shared = &self.shared;
                let config = station::router_config(shared.region, shared.eirp_dbm_max, self.wall());
                self.send(socket, config).await
            }
            Message::Frame(frame) => self.hear(gateway, vec![frame]).await,
            Message::Sent { diid } => match u16::try_from(diid) {
                Ok(token) if self.say(Said::Sent { gateway, token }).await => Ok(()),
                Ok(_) => Err(End::Gone),
                Err(_) => Ok(()),
            },
            // No time is better than a wrong one.
            Message::Timesync { txtime } => match self.wall() {
                Some(wall) => self.send(socket, station::timesync(txtime, wall)).await,
                None => Ok(()),
            },
            Message::Other(kind) => {
                debug!("station {gateway} sent {kind:?}, which the hub does not need");
                Ok(())
            }
        }
    }

    async fn order(&self, socket: &mut Socket, order: &Order) -> Result<(), End> {
        let windows: Vec<_> = [Some(order.window), order.spare].into_iter().flatten().collect();
        match station::dnmsg(&order.downlink, &windows, order.token.into(), self.wall()) {
            Some(text) => self.send(socket, text).await,
            None => {
                self.shared.counters.add("lorawan.refused_answers", "not_sent", 1);
                Ok(())
            }
        }
    }

    async fn hear(&self, gateway: Eui, frames: Vec<GatewayFrame>) -> Result<(), End> {
        let at = self.shared.clock.mono();
        self.tell(GatewayEvent::Heard { gateway, frames, stat: None, at }).await
    }

    async fn tell(&self, event: GatewayEvent) -> Result<(), End> {
        if self.say(Said::Event(event)).await { Ok(()) } else { Err(End::Gone) }
    }

    async fn refuse(&self, gateway: Eui) {
        let at = self.shared.clock.mono();
        self.say(Said::Event(GatewayEvent::Stranger { gateway, at })).await;
    }

    /// False: the hub stops.
    async fn say(&self, said: Said) -> bool {
        self.shared.said.send(said).await.is_ok()
    }

    async fn send(&self, socket: &mut Socket, text: String) -> Result<(), End> {
        self.send_message(socket, WsMessage::Text(Utf8Bytes::from(text))).await
    }

    async fn send_message(&self, socket: &mut Socket, message: WsMessage) -> Result<(), End> {
        match tokio::time::timeout(SEND_MAX, socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.failed(&error)),
            Err(_) => Err(close(CloseCode::Away, "too_slow", "it does not read what it is sent")),
        }
    }

    fn failed(&self, error: &tungstenite::Error) -> End {
        if let tungstenite::Error::Capacity(CapacityError::MessageTooLong { size, .. }) = error {
            self.count_message("oversized");
            let reason = format!("a text of {size} bytes; the longest of a station has {TEXT_BYTES_MAX}");
            return close(CloseCode::Size, "closed", &reason);
        }
        debug!("the connection of {} ended: {error}", self.from);
        End::Gone
    }

    fn is_listed(&self, gateway: Eui) -> bool {
        self.shared.listed.borrow().contains(&gateway)
    }

    /// Only while it is trusted.
    fn wall(&self) -> Option<UnixMs> {
        let offset = *self.shared.wall.borrow();
        offset.map(|offset| UnixMs(self.shared.clock.mono().0 + offset))
    }

    fn count(&self, what: &'static str) {
        self.shared.counters.add("lorawan.stations", what, 1);
    }

    fn count_message(&self, what: &'static str) {
        self.shared.counters.add("lorawan.messages", what, 1);
    }
}

const NOT_LISTED: &str =
    "this gateway is not listed at the hub: `frostguard-hub gateways add` takes its frames";

fn close(code: CloseCode, name: &'static str, reason: &str) -> End {
    End::Close(code, name, reason.to_owned())
}

fn no_such_path() -> ErrorResponse {
    let text = format!("stations ask {ROUTER_INFO}, then connect to {GATEWAY}EUI");
    let mut response = ErrorResponse::new(Some(text));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}
