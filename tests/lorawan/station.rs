//! A gateway with LoRa Basics Station: asks its way, connects, and takes frames apart as a station does.

use std::io::{ErrorKind, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use frostguard_sync::ids::hex;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, client};

use crate::support::{deadline, now};

pub struct Station {
    socket: WebSocket<TcpStream>,
    /// Microseconds by the station's clock; its upper bits are the session of its concentrator.
    xtime: i64,
    /// The same of each frame.
    brought: Vec<i64>,
}

/// The EUI of gateway `number`, as the hub writes it.
pub fn eui(number: u8) -> String {
    format!("58A0CBFFFE8000{number:02X}")
}

/// The same as a station writes it.
pub fn router(number: u8) -> String {
    format!("58a0:cbff:fe80:{number:x}")
}

impl Station {
    /// Asks where gateway `number` is to connect.
    #[track_caller]
    pub fn ask_way(hub: SocketAddr, number: u8) -> Value {
        let mut asking = Self::open(hub, "/router-info").expect("the hub tells the way");
        asking.say(&json!({ "router": router(number) }));
        let answer = asking.next().expect("an answer");
        assert_eq!(answer["router"], router(number));
        asking.closed();
        answer
    }

    /// Asks its way, connects there, and gets its channels.
    #[track_caller]
    pub fn start(hub: SocketAddr, number: u8) -> (Self, Value) {
        let answer = Self::ask_way(hub, number);
        let uri = answer["uri"].as_str().unwrap_or_else(|| panic!("{answer} names no way"));
        let path = uri.strip_prefix(&format!("ws://{hub}")).expect("the way is by the host that was asked");
        let mut station = Self::open(hub, path).expect("the hub takes stations there");
        let config = station.configure(2).expect("a configuration");
        (station, config)
    }

    /// Opens a websocket; the HTTP status if there is none. Waits for a hub that is still starting.
    #[track_caller]
    pub fn open(hub: SocketAddr, path: &str) -> Result<Self, u16> {
        let end = deadline();
        let stream = loop {
            match TcpStream::connect(hub) {
                Ok(stream) => break stream,
                Err(error) if error.kind() == ErrorKind::ConnectionRefused && now() < end => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(error) => panic!("connect to the hub: {error}"),
            }
        };
        match client::client(format!("ws://{hub}{path}"), stream) {
            Ok((socket, _)) => {
                let patience = Some(Duration::from_millis(100));
                socket.get_ref().set_read_timeout(patience).expect("set a timeout");
                Ok(Self { socket, xtime: 0x0012_0000_0000_0000, brought: Vec::new() })
            }
            Err(client_error) => match client_error {
                tokio_tungstenite::tungstenite::HandshakeError::Failure(Error::Http(response)) => {
                    Err(response.status().as_u16())
                }
                other => panic!("{other}"),
            },
        }
    }

    /// Says which version of the protocol it speaks; the answer, if the connection lasts.
    pub fn configure(&mut self, protocol: u8) -> Option<Value> {
        self.say(&json!({
            "msgtype": "version", "station": "2.0.6(rpi/std)", "firmware": null, "package": null, "model": "rpi",
            "protocol": protocol, "features": "rmtsh gps",
        }));
        self.next()
    }

    pub fn say(&mut self, message: &Value) {
        self.say_text(&message.to_string());
    }

    pub fn say_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).expect("the connection lasts");
    }

    /// Says it where the hub may close meanwhile.
    pub fn try_say_text(&mut self, text: &str) {
        match self.socket.send(Message::text(text)) {
            Ok(()) | Err(Error::Io(_) | Error::ConnectionClosed | Error::AlreadyClosed) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Bytes beside the websocket's own.
    pub fn raw(&mut self) -> &mut TcpStream {
        self.socket.get_mut()
    }

    /// The next text. None: the hub closed the connection.
    #[track_caller]
    pub fn next(&mut self) -> Option<Value> {
        let end = deadline();
        loop {
            match self.read() {
                Read::Text(text) => return Some(text),
                Read::Closed(_) => return None,
                Read::Nothing => assert!(now() < end, "waited in vain for a text"),
            }
        }
    }

    /// Waits for the hub to close the connection; the reason it gives.
    #[track_caller]
    pub fn closed(&mut self) -> String {
        let end = deadline();
        loop {
            match self.read() {
                // Of a frame that was brought again before its first answer came.
                Read::Text(text) if self.answered(&text).is_some() => {}
                Read::Text(text) => panic!("{text} where the connection should be closed"),
                Read::Closed(reason) => return reason,
                Read::Nothing => assert!(now() < end, "the connection stays open"),
            }
        }
    }

    /// The next order for a frame from the one with this number on, if one comes within the usual time.
    #[track_caller]
    fn order_from(&mut self, number: usize) -> Option<Value> {
        let end = now() + Duration::from_millis(900);
        while now() < end {
            match self.read() {
                Read::Text(text) => {
                    let answered = self.answered(&text);
                    let answered =
                        answered.unwrap_or_else(|| panic!("{text} is for no frame of this station"));
                    if answered >= number {
                        return Some(text);
                    }
                }
                Read::Closed(reason) => panic!("closed: {reason}"),
                Read::Nothing => {}
            }
        }
        None
    }

    /// The number of the frame that an order is for.
    fn answered(&self, order: &Value) -> Option<usize> {
        let is_order = order["msgtype"] == "dnmsg" && order["rctx"] == 3;
        self.brought.iter().position(|xtime| is_order && order["xtime"] == *xtime)
    }

    /// Brings the same frame, a sensor's repetitions, until the hub orders an answer to one of them.
    #[track_caller]
    pub fn bring_until_answered(&mut self, phy: &[u8]) -> Value {
        let (first, end) = (self.brought.len(), deadline());
        loop {
            self.bring(phy);
            if let Some(order) = self.order_from(first) {
                return order;
            }
            assert!(now() < end, "no answer");
        }
    }

    /// Brings a frame, in its parts.
    pub fn bring(&mut self, phy: &[u8]) {
        self.xtime += 700_000;
        self.brought.push(self.xtime);
        let (rest, mic) = phy.split_at(phy.len() - 4);
        let mut message = if phy[0] == 0 {
            json!({
                "msgtype": "jreq", "JoinEui": dashed(&rest[1..9]), "DevEui": dashed(&rest[9..17]),
                "DevNonce": u16::from_le_bytes([rest[17], rest[18]]),
            })
        } else {
            let options = 8 + usize::from(rest[5] & 0x0f);
            let (port, payload) = match &rest[options..] {
                [] => (-1, &[][..]),
                [port, payload @ ..] => (i32::from(*port), payload),
            };
            json!({
                "msgtype": "updf", "DevAddr": i32::from_le_bytes([rest[1], rest[2], rest[3], rest[4]]),
                "FCtrl": rest[5], "FCnt": u16::from_le_bytes([rest[6], rest[7]]), "FOpts": hex(&rest[8..options]),
                "FPort": port, "FRMPayload": hex(payload),
            })
        };
        message["MHdr"] = phy[0].into();
        message["MIC"] = i32::from_le_bytes([mic[0], mic[1], mic[2], mic[3]]).into();
        message["DR"] = 5.into();
        message["Freq"] = 868_100_000.into();
        message["upinfo"] = json!({ "rctx": 3, "xtime": self.xtime, "gpstime": 0, "fts": -1, "rssi": -57, "snr": 8.5, "rxtime": 1.5 });
        self.say(&message);
    }

    fn read(&mut self) -> Read {
        match self.socket.read() {
            Ok(Message::Text(text)) => Read::Text(serde_json::from_str(&text).expect("the hub speaks JSON")),
            Ok(Message::Close(frame)) => {
                // The answer to it.
                let _ = self.socket.flush();
                Read::Closed(frame.map(|frame| frame.reason.to_string()).unwrap_or_default())
            }
            Ok(_) => Read::Nothing,
            Err(Error::Io(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Read::Nothing
            }
            Err(Error::ConnectionClosed | Error::AlreadyClosed) => Read::Closed(String::new()),
            Err(error) => Read::Closed(error.to_string()),
        }
    }
}

enum Read {
    Text(Value),
    Closed(String),
    Nothing,
}

/// The frame of an order.
#[track_caller]
pub fn pdu(order: &Value) -> Vec<u8> {
    let text = order["pdu"].as_str().expect("an order has bytes");
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).expect("hex")).collect()
}

/// Sends what is no websocket at all.
pub fn plain(hub: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(hub).expect("connect to the hub");
    stream.write_all(bytes).expect("the hub listens");
    stream
}

/// Most significant byte first, of bytes as they are over the air.
fn dashed(bytes: &[u8]) -> String {
    bytes.iter().rev().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join("-")
}
