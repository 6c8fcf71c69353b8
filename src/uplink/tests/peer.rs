//! The other end of a real socket: a ledger as the receiver keeps it, and a script of what goes wrong on the way. What the
//! real receiver does is tested with it; here are answers that it rarely gives, and lines that break.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use frostguard_sync::api::{
    self, ConfigAnswer, Down, EnrolAnswer, Problem, ProblemKind, RefusedSnapshot, Snapshot, TimeAnswer,
    UploadAnswer,
};
use frostguard_sync::ids::{Epoch, sha256};
use frostguard_sync::signing::time_message;
use frostguard_sync::wire::{self, Batch, Body, Lane};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use super::super::credentials::{from_hex, to_hex};

pub const NOW_MS: i64 = 1_790_000_500_000;

#[derive(Clone, Debug)]
pub struct Heard {
    /// With its query.
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Heard {
    pub fn lane(&self) -> Option<Lane> {
        match self.headers.get(api::HEADER_LANE).map(String::as_str) {
            Some("0") => Some(Lane::State),
            Some("1") => Some(Lane::Readings),
            _ => None,
        }
    }
}

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// The line breaks before the request is taken.
    LostRequest,
    /// The request is taken, its answer lost.
    LostAnswer,
    Status(u16),
    Problem(u16, ProblemKind),
}

type Script = dyn FnMut(&Heard) -> Option<Mishap> + Send;

#[derive(Default)]
pub struct Central {
    /// (epoch, lane) to applied through and its digest.
    ledger: HashMap<(Epoch, u8), (u64, [u8; 32])>,
    /// Readings by (epoch, seq): how often they were written.
    pub readings: BTreeMap<(Epoch, u64), u32>,
    /// Rows of state in the order in which they came.
    pub rows: Vec<(String, Uuid)>,
    pub heard: Vec<Heard>,
    pub snapshot: Option<Snapshot>,
    pub refused: Vec<RefusedSnapshot>,
    pub enrol: Option<EnrolAnswer>,
    pub body_bytes_max: Option<usize>,
    script: Option<Box<Script>>,
}

pub struct Peer {
    pub url: String,
    pub central: Arc<Mutex<Central>>,
}

impl Peer {
    pub async fn start(script: impl FnMut(&Heard) -> Option<Mishap> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let central = Arc::new(Mutex::new(Central { script: Some(Box::new(script)), ..Central::default() }));
        let shared = Arc::clone(&central);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, Arc::clone(&shared)));
            }
        });
        Self { url, central }
    }

    pub fn look<T>(&self, at: impl FnOnce(&mut Central) -> T) -> T {
        at(&mut self.central.lock().unwrap())
    }
}

pub fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[5; 32]).unwrap()
}

pub fn public_key() -> [u8; 32] {
    key().public_key().as_ref().try_into().unwrap()
}

async fn converse(mut stream: TcpStream, central: Arc<Mutex<Central>>) {
    while let Some(heard) = read(&mut stream).await {
        let answer = central.lock().unwrap().answer(&heard);
        let Some((status, body)) = answer else { return };
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", body.len());
        let written = stream.write_all(&[head.as_bytes(), &body].concat()).await;
        if written.is_err() {
            return;
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Heard> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    while bytes.len() < end + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some(Heard { path, headers, body: bytes[end + 4..end + 4 + length].to_vec() })
}

impl Central {
    /// None: the line breaks.
    fn answer(&mut self, heard: &Heard) -> Option<(u16, Vec<u8>)> {
        self.heard.push(heard.clone());
        let mut script = self.script.take()?;
        let mishap = script(heard);
        self.script = Some(script);
        match mishap {
            Some(Mishap::LostRequest) => None,
            Some(Mishap::Status(status)) => Some((status, Vec::new())),
            Some(Mishap::Problem(status, kind)) => Some(problem(status, kind)),
            Some(Mishap::LostAnswer) => {
                self.take(heard);
                None
            }
            None => Some(self.take(heard)),
        }
    }

    fn take(&mut self, heard: &Heard) -> (u16, Vec<u8>) {
        let path = heard.path.split('?').next().unwrap();
        match path {
            api::PATH_BATCHES => self.take_batch(&heard.body),
            api::PATH_CONFIG => self.give_config(heard),
            api::PATH_CONFIG_REFUSED => {
                self.refused.push(serde_json::from_slice(&heard.body).unwrap());
                (204, Vec::new())
            }
            api::PATH_TIME => {
                let nonce = heard.path.split_once("nonce=").unwrap().1;
                let nonce: [u8; 16] = from_hex(nonce).unwrap().try_into().unwrap();
                let signature = to_hex(key().sign(&time_message(&nonce, NOW_MS)).as_ref());
                json(&TimeAnswer { now_ms: NOW_MS, signature })
            }
            api::PATH_ENROL => match &self.enrol {
                Some(answer) => json(answer),
                None => problem(403, ProblemKind::BadCode),
            },
            other => panic!("no such path: {other}"),
        }
    }

    fn take_batch(&mut self, body: &[u8]) -> (u16, Vec<u8>) {
        if self.body_bytes_max.is_some_and(|max| body.len() > max) {
            return (413, Vec::new());
        }
        let Batch { header, body: rows } = wire::decode(body).unwrap();
        let lane = (header.epoch, header.lane.number());
        let (applied, digest) = self.ledger.get(&lane).copied().unwrap_or((0, [0; 32]));
        if header.seq == applied && sha256(&[body]) == digest {
            return json(&self.uploaded(applied));
        }
        if header.seq != applied + 1 {
            return problem(409, ProblemKind::OutOfOrder);
        }
        let state_applied = self.ledger.get(&(header.epoch, 0)).map_or(0, |(applied, _)| *applied);
        if header.needs > state_applied {
            return problem(425, ProblemKind::TooEarly);
        }
        self.ledger.insert(lane, (header.seq, sha256(&[body])));
        match rows {
            Body::State(rows) => self.rows.extend(rows.into_iter().map(|row| (row.table, row.id))),
            Body::Readings(readings) => {
                for row in readings.rows {
                    *self.readings.entry((readings.epoch, row.seq)).or_default() += 1;
                }
            }
        }
        json(&self.uploaded(header.seq))
    }

    fn uploaded(&self, applied_through: u64) -> UploadAnswer {
        UploadAnswer { applied_through, refused: Vec::new(), down: self.down() }
    }

    fn down(&self) -> Down {
        let etag = self.snapshot.as_ref().map(|snapshot| snapshot.etag.clone()).unwrap_or_default();
        Down { etag, cursor: "c7".into(), now_ms: NOW_MS, ..Down::default() }
    }

    fn give_config(&self, heard: &Heard) -> (u16, Vec<u8>) {
        let known = heard.headers.get("if-none-match").unwrap();
        let snapshot =
            self.snapshot.clone().filter(|snapshot| !known.contains(&format!("\"{}\"", snapshot.etag)));
        json(&ConfigAnswer { snapshot, down: self.down() })
    }

    /// Forgets what was applied, as after a restore of an old backup of the central database.
    pub fn forget(&mut self) {
        self.ledger.clear();
    }
}

fn json(value: &impl Serialize) -> (u16, Vec<u8>) {
    (200, serde_json::to_vec(value).unwrap())
}

fn problem(status: u16, kind: ProblemKind) -> (u16, Vec<u8>) {
    let problem = Problem {
        kind,
        detail: "so it is".into(),
        applied_through: None,
        now_ms: NOW_MS,
        central_units: vec![],
    };
    (status, serde_json::to_vec(&problem).unwrap())
}
