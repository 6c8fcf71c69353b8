//! A packet forwarder: two sockets, as most have, and a counter of microseconds.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use frostguard_sync::ids::hex;
use serde_json::{Value, json};

use crate::support::{PATIENCE, deadline, free_port, now};

const PUSH_DATA: u8 = 0;
const PULL_DATA: u8 = 2;
const PULL_RESP: u8 = 3;
const TX_ACK: u8 = 5;

/// Between two looks at a socket, and how long a question waits before it is put again.
const LOOK: Duration = Duration::from_millis(100);
/// For an acknowledgement that must not come.
const IN_VAIN: Duration = Duration::from_millis(300);
/// A sensor waits as long before it repeats itself.
const ORDER: Duration = Duration::from_millis(900);
/// Both windows after a frame and after a join. No two of them differ by a multiple of what the counter goes on by from
/// frame to frame, so an order that comes late still says which frame it is for.
const WINDOWS_US: [u32; 4] = [1_000_000, 2_000_000, 5_000_000, 6_000_000];
const BETWEEN_FRAMES_US: u32 = 700_000;
/// A window that begins sooner is too close for the hub.
const LEAD: Duration = Duration::from_millis(100);

pub struct Gateway {
    eui: [u8; 8],
    up: UdpSocket,
    down: UdpSocket,
    tmst: u32,
    /// Counter and time of each frame.
    brought: Vec<(u32, Instant)>,
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
    /// How long after that frame it came.
    came_after: Duration,
    /// Which frame it answers.
    number: usize,
    token: [u8; 2],
}

impl Order {
    /// The window is the first, so many seconds after the frame; the second only if the order came too late for the first.
    #[track_caller]
    pub fn assert_window(&self, first_s: u32) {
        let is_late = self.came_after + LEAD >= Duration::from_secs(first_s.into());
        let (first, second) = ((first_s * 1_000_000, 868.1), ((first_s + 1) * 1_000_000, 869.525));
        let got = (self.after_us, self.mhz);
        assert!(got == first || is_late && got == second, "{self:?}");
    }
}

/// Keeps a UDP port free until the hub takes it.
pub fn keep_port() -> (UdpSocket, SocketAddr) {
    loop {
        // Free for TCP, which says nothing of UDP.
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        if let Ok(kept) = UdpSocket::bind(address) {
            return (kept, address);
        }
    }
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
            socket.set_read_timeout(Some(LOOK)).expect("set a timeout");
            socket
        };
        let eui = [0xb8, 0x27, 0xeb, 0xff, 0xfe, 0, 0, number];
        // Just before the counter wraps.
        let tmst = u32::MAX - 2_000_000;
        Self { eui, up: socket(), down: socket(), tmst, brought: Vec::new(), token: 0, version: 2 }
    }

    /// The protocol's first version, which many gateways still speak.
    pub fn of_version_1(self) -> Self {
        Self { version: 1, ..self }
    }

    pub fn eui(&self) -> String {
        hex(&self.eui).to_uppercase()
    }

    /// Asks for orders; true if that is acknowledged at once.
    pub fn asks(&mut self) -> bool {
        self.ask(&mut Vec::new())
    }

    /// Asks for orders until the hub hears it.
    #[track_caller]
    pub fn pull(&mut self) {
        let end = deadline();
        let mut asked = Vec::new();
        while !self.ask(&mut asked) {
            assert!(now() < end, "no PULL_ACK");
        }
    }

    /// Any of these questions may be acknowledged, and not one from before: the hub may be another by now.
    fn ask(&mut self, asked: &mut Vec<[u8; 4]>) -> bool {
        let head = self.head(PULL_DATA);
        asked.push([head[0], head[1], head[2], 4]);
        send(&self.down, &head);
        hears(&self.down, asked, LOOK)
    }

    /// Hands a frame on; true if it is acknowledged.
    pub fn push(&mut self, phy: &[u8]) -> bool {
        let ack = self.bring(phy);
        hears(&self.up, &[ack], PATIENCE)
    }

    /// Hands a frame on to a hub that does not take it.
    #[track_caller]
    pub fn push_in_vain(&mut self, phy: &[u8]) {
        let ack = self.bring(phy);
        assert!(!hears(&self.up, &[ack], IN_VAIN), "acknowledged");
    }

    /// Gives what acknowledges it.
    fn bring(&mut self, phy: &[u8]) -> [u8; 4] {
        self.tmst = self.tmst.wrapping_add(BETWEEN_FRAMES_US);
        let rxpk = json!({
            "tmst": self.tmst, "chan": 0, "rfch": 0, "freq": 868.1, "stat": 1, "modu": "LORA", "datr": "SF7BW125",
            "codr": "4/5", "rssi": -57, "lsnr": 8.5, "size": phy.len(), "data": STANDARD.encode(phy),
        });
        self.brought.push((self.tmst, now()));
        self.send_up(&json!({ "rxpk": [rxpk] }))
    }

    /// The next order, if one comes within the usual time.
    #[track_caller]
    pub fn order(&mut self) -> Option<Order> {
        self.order_from(0)
    }

    /// The same without those for frames before the one with this number.
    #[track_caller]
    fn order_from(&mut self, number: usize) -> Option<Order> {
        let end = now() + ORDER;
        while now() < end {
            let Some(datagram) = receive(&self.down) else { continue };
            if datagram.get(3) != Some(&PULL_RESP) {
                continue;
            }
            let order = self.read(&datagram);
            if order.number >= number {
                return Some(order);
            }
        }
        None
    }

    #[track_caller]
    fn read(&self, datagram: &[u8]) -> Order {
        assert_eq!(datagram[0], self.version, "an order in another version than was asked for");
        let body: Value = serde_json::from_slice(&datagram[4..]).expect("an order is JSON");
        let txpk = &body["txpk"];
        let tmst = txpk["tmst"].as_u64().expect("an order has its time") as u32;
        let mut brought = self.brought.iter().enumerate();
        let answered = brought.find_map(|(number, (frame_tmst, at))| {
            let after_us = tmst.wrapping_sub(*frame_tmst);
            WINDOWS_US.contains(&after_us).then_some((number, after_us, *at))
        });
        let (number, after_us, at) = answered.unwrap_or_else(|| {
            panic!("an order for {tmst}, which is no window after any of {:?}", self.brought)
        });
        Order {
            phy: STANDARD.decode(txpk["data"].as_str().expect("an order has bytes")).expect("base64"),
            after_us,
            mhz: txpk["freq"].as_f64().expect("an order has a frequency"),
            came_after: now() - at,
            number,
            token: [datagram[1], datagram[2]],
        }
    }

    /// Pushes the same bytes, a sensor's repetitions, until the hub orders an answer to one of them.
    #[track_caller]
    pub fn push_until_answered(&mut self, phy: &[u8]) -> Order {
        let (first, end) = (self.brought.len(), deadline());
        loop {
            assert!(self.push(phy), "no PUSH_ACK");
            if let Some(order) = self.order_from(first) {
                return order;
            }
            assert!(now() < end, "no answer");
        }
    }

    /// Says what it did since its last report; true if that is acknowledged.
    pub fn report(&mut self, heard: u32, heard_ok: u32) -> bool {
        let stat = json!({
            "time": "2014-01-12 08:59:28 GMT", "rxnb": heard, "rxok": heard_ok, "rxfw": heard_ok, "ackr": 100.0,
            "dwnb": 1, "txnb": 1, "temp": 31.5,
        });
        let ack = self.send_up(&json!({ "stat": stat }));
        hears(&self.up, &[ack], PATIENCE)
    }

    /// Gives what acknowledges it.
    fn send_up(&mut self, body: &Value) -> [u8; 4] {
        let mut datagram = self.head(PUSH_DATA);
        let ack = [datagram[0], datagram[1], datagram[2], 1];
        datagram.extend(body.to_string().into_bytes());
        send(&self.up, &datagram);
        ack
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
    // What became of the datagram before may be told in place of sending this one.
    for _ in 0..2 {
        match socket.send(bytes) {
            Ok(_) => return,
            // Nobody listens yet, or the hub is down.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
            Err(error) => panic!("send to the hub: {error}"),
        }
    }
}

/// Reads on until one of these comes: late acknowledgements of something else may be before it.
fn hears(socket: &UdpSocket, acks: &[[u8; 4]], patience: Duration) -> bool {
    let end = now() + patience;
    loop {
        if receive(socket).is_some_and(|got| acks.iter().any(|ack| got == ack)) {
            return true;
        }
        if now() >= end {
            return false;
        }
    }
}

/// None: nothing came for a moment.
fn receive(socket: &UdpSocket) -> Option<Vec<u8>> {
    let mut buffer = [0; 2_048];
    match socket.recv(&mut buffer) {
        Ok(length) => Some(buffer[..length].to_vec()),
        // Said at once, where the other errors are those of a wait.
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            std::thread::sleep(Duration::from_millis(20));
            None
        }
        Err(_) => None,
    }
}
