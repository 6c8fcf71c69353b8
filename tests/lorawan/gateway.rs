//! A packet forwarder: two sockets, as most have, and a counter of microseconds.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use frostguard_sync::ids::hex;
use serde_json::{Value, json};

use crate::support::{deadline, now};

const PUSH_DATA: u8 = 0;
const PULL_DATA: u8 = 2;
const PULL_RESP: u8 = 3;
const TX_ACK: u8 = 5;

pub struct Gateway {
    eui: [u8; 8],
    up: UdpSocket,
    down: UdpSocket,
    tmst: u32,
    token: u16,
    version: u8,
}

/// An order to transmit.
#[derive(Debug)]
pub struct Order {
    pub phy: Vec<u8>,
    /// Microseconds after the frame it answers.
    pub after_us: u32,
    pub mhz: f64,
    token: [u8; 2],
}

impl Gateway {
    pub fn new(number: u8, hub: SocketAddr) -> Self {
        Self::at(Ipv4Addr::LOCALHOST, number, hub)
    }

    /// One with another address of the loopback's network.
    pub fn at(address: Ipv4Addr, number: u8, hub: SocketAddr) -> Self {
        let socket = || {
            let socket = UdpSocket::bind((address, 0)).expect("bind the gateway's socket");
            socket.connect(hub).expect("name the hub's address");
            socket.set_read_timeout(Some(Duration::from_millis(100))).expect("set a timeout");
            socket
        };
        let eui = [0xb8, 0x27, 0xeb, 0xff, 0xfe, 0, 0, number];
        // Just before the counter wraps.
        Self { eui, up: socket(), down: socket(), tmst: u32::MAX - 2_000_000, token: 0, version: 2 }
    }

    /// The protocol's first version, which many gateways still speak.
    pub fn of_version_1(self) -> Self {
        Self { version: 1, ..self }
    }

    pub fn eui(&self) -> String {
        hex(&self.eui).to_uppercase()
    }

    /// Asks for orders; true if that is acknowledged.
    pub fn asks(&mut self) -> bool {
        let head = self.head(PULL_DATA);
        send(&self.down, &head);
        receive(&self.down).is_some_and(|ack| ack == [head[0], head[1], head[2], 4])
    }

    /// Asks for orders until the hub hears it.
    #[track_caller]
    pub fn pull(&mut self) {
        let end = deadline();
        loop {
            if self.asks() {
                return;
            }
            assert!(now() < end, "no PULL_ACK");
        }
    }

    /// Hands a frame on; true if it is acknowledged.
    pub fn push(&mut self, phy: &[u8]) -> bool {
        self.tmst = self.tmst.wrapping_add(700_000);
        let rxpk = json!({
            "tmst": self.tmst, "chan": 0, "rfch": 0, "freq": 868.1, "stat": 1, "modu": "LORA", "datr": "SF7BW125",
            "codr": "4/5", "rssi": -57, "lsnr": 8.5, "size": phy.len(), "data": STANDARD.encode(phy),
        });
        let mut datagram = self.head(PUSH_DATA);
        let ack = [datagram[0], datagram[1], datagram[2], 1];
        datagram.extend(json!({ "rxpk": [rxpk] }).to_string().into_bytes());
        send(&self.up, &datagram);
        receive(&self.up).is_some_and(|got| got == ack)
    }

    /// The next order, if one comes within the usual time.
    pub fn order(&mut self) -> Option<Order> {
        let end = now() + Duration::from_millis(900);
        while now() < end {
            let Some(datagram) = receive(&self.down) else { continue };
            if datagram.get(3) != Some(&PULL_RESP) {
                continue;
            }
            assert_eq!(datagram[0], self.version, "an order in another version than was asked for");
            let body: Value = serde_json::from_slice(&datagram[4..]).expect("an order is JSON");
            let txpk = &body["txpk"];
            let tmst = txpk["tmst"].as_u64().expect("an order has its time") as u32;
            return Some(Order {
                phy: STANDARD.decode(txpk["data"].as_str().expect("an order has bytes")).expect("base64"),
                after_us: tmst.wrapping_sub(self.tmst),
                mhz: txpk["freq"].as_f64().expect("an order has a frequency"),
                token: [datagram[1], datagram[2]],
            });
        }
        None
    }

    /// Pushes the same bytes, a sensor's repetitions, until the hub orders an answer.
    #[track_caller]
    pub fn push_until_answered(&mut self, phy: &[u8]) -> Order {
        let end = deadline();
        loop {
            assert!(self.push(phy), "no PUSH_ACK");
            if let Some(order) = self.order() {
                return order;
            }
            assert!(now() < end, "no answer");
        }
    }

    /// Says what it did since its last report; true if that is acknowledged.
    pub fn report(&mut self, heard: u32, heard_ok: u32) -> bool {
        let mut datagram = self.head(PUSH_DATA);
        let ack = [datagram[0], datagram[1], datagram[2], 1];
        let stat = json!({
            "time": "2014-01-12 08:59:28 GMT", "rxnb": heard, "rxok": heard_ok, "rxfw": heard_ok, "ackr": 100.0,
            "dwnb": 1, "txnb": 1, "temp": 31.5,
        });
        datagram.extend(json!({ "stat": stat }).to_string().into_bytes());
        send(&self.up, &datagram);
        receive(&self.up).is_some_and(|got| got == ack)
    }

    pub fn refuse(&mut self, order: &Order, error: &str) {
        let mut datagram = self.head(TX_ACK);
        datagram[1..3].copy_from_slice(&order.token);
        datagram.extend(json!({ "txpk_ack": { "error": error } }).to_string().into_bytes());
        send(&self.down, &datagram);
    }

    fn head(&mut self, kind: u8) -> Vec<u8> {
        self.token = self.token.wrapping_add(1);
        let [high, low] = self.token.to_be_bytes();
        [&[self.version, high, low, kind][..], &self.eui].concat()
    }
}

fn send(socket: &UdpSocket, bytes: &[u8]) {
    match socket.send(bytes) {
        Ok(_) => {}
        // Nobody listens yet, or the hub is down.
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
        Err(error) => panic!("send to the hub: {error}"),
    }
}

fn receive(socket: &UdpSocket) -> Option<Vec<u8>> {
    let mut buffer = [0; 2_048];
    let length = socket.recv(&mut buffer).ok()?;
    Some(buffer[..length].to_vec())
}
