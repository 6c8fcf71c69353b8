//! A central database with two organizations, receivers in front of it, and hubs that speak to them.

use std::sync::Arc;

use frostguard_sync::api::{self, EnrolAnswer, EnrolRequest, Problem, ProblemKind, UploadAnswer};
use frostguard_sync::ids::{Epoch, sha256};
use frostguard_sync::receiver::admin::{self, NewHub, ThresholdScale};
use frostguard_sync::receiver::config::Secret;
use frostguard_sync::receiver::{self, Config, ManualClock};
use frostguard_sync::scale::Scale;
use frostguard_sync::wire::{self, Batch, Body, Header, Lane, Reading, Readings, RowImage, Source, Value};
use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::support::{Postgres, connect};

/// 2026-01-15 12:00:00 UTC.
pub const NOW: i64 = 1_768_478_400_000;
pub const MINUTE: i64 = 60_000;

/// A site with its units, in its organization.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    pub organization: Uuid,
    pub site: Uuid,
    pub area: Uuid,
    /// In °C and in °F.
    pub fridge: Uuid,
    pub freezer: Uuid,
    pub profile: Uuid,
    pub rule: Uuid,
}

pub struct World {
    /// Keeps the shared one running.
    pub postgres: Option<Arc<Postgres>>,
    pub url: String,
    pub sql: Client,
    pub clock: Arc<ManualClock>,
    pub ours: Site,
    /// The same organization, another site.
    pub next_door: Site,
    /// Another organization.
    pub theirs: Site,
}

impl World {
    pub async fn new() -> Self {
        let postgres = tokio::task::spawn_blocking(Postgres::shared).await.unwrap();
        let mut world = Self::on(&postgres).await;
        world.postgres = Some(postgres);
        world
    }

    /// In a new database of a PostgreSQL that the caller keeps.
    pub async fn on(postgres: &Postgres) -> Self {
        let url = postgres.make_database("central").await;
        let migrated = receiver::migrate(&url).await.unwrap();
        assert!(migrated.central_made);
        Self::in_database(&url).await
    }

    /// In a database that is migrated and empty.
    pub async fn in_database(url: &str) -> Self {
        let sql = connect(url).await;
        let ours = Site::named(1, 1);
        let next_door = Site::named(1, 2);
        let theirs = Site::named(2, 3);
        for site in [ours, next_door, theirs] {
            site.insert(&sql).await;
        }
        let clock = Arc::new(ManualClock::new(NOW));
        Self { postgres: None, url: url.to_owned(), sql, clock, ours, next_door, theirs }
    }

    /// A receiver of its own on a free port, until it is dropped.
    pub async fn receiver(&self) -> Receiver {
        self.receiver_at(&self.url).await
    }

    pub async fn receiver_at(&self, url: &str) -> Receiver {
        let config = Config { database_url: Some(Secret::new(url)), ..Config::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let clock: Arc<ManualClock> = Arc::clone(&self.clock);
        let task = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            receiver::run_with_clock(config, clock, listener, stopped).await
        });
        Receiver { base, running: Some((stop, task)) }
    }

    /// Adds a hub to a site; gives its code.
    pub async fn add(&self, site: Site) -> admin::AddedHub {
        let mut client = connect(&self.url).await;
        let hub = NewHub {
            site: site.site,
            name: "kitchen".into(),
            threshold_scale: Some(ThresholdScale::Tenths),
            history_from_ms: None,
        };
        admin::add_hub(&mut client, &hub, NOW).await.unwrap()
    }

    /// Adds a hub and enrols it.
    pub async fn hub(&self, receiver: &Receiver, site: Site) -> Hub {
        let added = self.add(site).await;
        let answer: EnrolAnswer = receiver.enrol(&enrol_request(&added.code)).await.unwrap();
        assert_eq!(answer.hub_id, added.hub_id);
        Hub { id: answer.hub_id, token: answer.token, epoch: Epoch(*added.hub_id.as_bytes()), site }
    }

    /// Many hubs of one site, as if they had enrolled long ago.
    pub async fn hubs(&self, count: usize) -> Vec<Hub> {
        let first = self.add(self.ours).await;
        let mut hubs = Vec::new();
        for number in 0..count {
            let id = Uuid::from_u128(0xB000_0000 + number as u128);
            let token = format!("{number:064}");
            let digest = sha256(&[token.as_bytes()]);
            let insert = "INSERT INTO hub_sync.hubs (hub_id, site_id, organization_id, history_from, token_sha256) \
                 SELECT $1, site_id, organization_id, history_from, $2 FROM hub_sync.hubs WHERE hub_id = $3";
            self.sql.execute(insert, &[&id, &digest.as_slice(), &first.hub_id]).await.unwrap();
            hubs.push(Hub { id, token, epoch: Epoch(*id.as_bytes()), site: self.ours });
        }
        hubs
    }

    pub async fn count(&self, table: &str) -> i64 {
        self.sql.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.unwrap().get(0)
    }

    /// One text of one row.
    pub async fn text(&self, sql: &str) -> Option<String> {
        self.sql.query_opt(sql, &[]).await.unwrap().and_then(|row| row.get(0))
    }
}

impl Site {
    fn named(organization: u8, site: u8) -> Self {
        let id = |kind: u8, number: u8| {
            Uuid::from_bytes([kind, 0, 0, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, number])
        };
        Self {
            organization: id(0x10, organization),
            site: id(0x20, site),
            area: id(0x30, site),
            fridge: id(0x40, site),
            freezer: id(0x41, site),
            profile: id(0x50, organization),
            rule: id(0x60, site),
        }
    }

    async fn insert(&self, sql: &Client) {
        let Self { organization, site, area, fridge, freezer, profile, rule } = self;
        sql.batch_execute(&format!(
            "INSERT INTO organizations (id, name, slug) VALUES ('{organization}', 'org', '{organization}')
               ON CONFLICT DO NOTHING;
             INSERT INTO profiles (id, user_id, organization_id, email)
               VALUES ('{profile}', '{profile}', '{organization}', 'chef@example.org') ON CONFLICT DO NOTHING;
             INSERT INTO sites (id, organization_id, name) VALUES ('{site}', '{organization}', 'site');
             INSERT INTO areas (id, site_id, name) VALUES ('{area}', '{site}', 'line');
             INSERT INTO units (id, area_id, name, unit_type, temp_min, temp_max, temp_unit) VALUES
               ('{fridge}', '{area}', 'fridge', 'fridge', 0, 50, 'C'),
               ('{freezer}', '{area}', 'freezer', 'freezer', -100, 0, 'F');
             INSERT INTO alert_rules (id, organization_id, site_id, name)
               VALUES ('{rule}', '{organization}', '{site}', 'rule')"
        ))
        .await
        .unwrap();
    }
}

pub struct Receiver {
    pub base: String,
    /// None: it runs elsewhere.
    running: Option<(oneshot::Sender<()>, JoinHandle<anyhow::Result<()>>)>,
}

impl Receiver {
    /// Ends it in order and waits.
    pub async fn end(self) -> anyhow::Result<()> {
        let (stop, task) = self.running.expect("it runs here");
        drop(stop);
        task.await.unwrap()
    }

    pub fn elsewhere(base: &str) -> Self {
        Self { base: base.to_owned(), running: None }
    }

    pub async fn enrol(&self, request: &EnrolRequest) -> Result<EnrolAnswer, (StatusCode, Problem)> {
        let body = serde_json::to_vec(request).unwrap();
        answer(http().post(format!("{}{}", self.base, api::PATH_ENROL)).body(body)).await
    }

    pub async fn text(&self, path: &str) -> String {
        http().get(format!("{}{path}", self.base)).send().await.unwrap().text().await.unwrap()
    }

    /// Waits until `path` says `what`: the database is asked anew each time, and each time not for long.
    pub async fn says(&self, path: &str, what: &str) {
        crate::support::wait_for_async(what, || async { self.text(path).await.contains(what).then_some(()) })
            .await;
    }

    /// Sends a body as a hub does.
    pub async fn upload(&self, hub: &Hub, body: Vec<u8>) -> Result<UploadAnswer, (StatusCode, Problem)> {
        let request = http().post(format!("{}{}", self.base, api::PATH_BATCHES)).bearer_auth(&hub.token);
        answer(request.body(body)).await
    }

    pub async fn send(&self, hub: &Hub, batch: &Batch) -> Result<UploadAnswer, (StatusCode, Problem)> {
        self.upload(hub, wire::encode(batch).unwrap()).await
    }

    /// The kind of problem a batch meets.
    #[track_caller]
    pub fn refusal(&self, hub: &Hub, batch: &Batch) -> impl Future<Output = (ProblemKind, Option<u64>)> {
        let caller = std::panic::Location::caller();
        async move {
            match self.send(hub, batch).await {
                Ok(answer) => panic!("the batch was taken: {answer:?}, at {caller}"),
                Err((_, problem)) => (problem.kind, problem.applied_through),
            }
        }
    }
}

pub fn http() -> reqwest::Client {
    // Whoever comes second finds it there.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::new()
}

pub async fn answer<T: DeserializeOwned>(
    request: reqwest::RequestBuilder,
) -> Result<T, (StatusCode, Problem)> {
    let response = request.send().await.unwrap();
    let status = response.status();
    let body = response.bytes().await.unwrap();
    if status.is_success() {
        Ok(serde_json::from_slice(&body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&body))))
    } else {
        let problem = serde_json::from_slice(&body);
        Err((
            status,
            problem.unwrap_or_else(|error| panic!("{status}: {error}: {}", String::from_utf8_lossy(&body))),
        ))
    }
}

pub fn enrol_request(code: &str) -> EnrolRequest {
    EnrolRequest {
        code: code.into(),
        public_key: "7".repeat(64),
        mac_address: None,
        firmware_version: "0.1.0".into(),
        oldest_reading_ms: None,
        reading_count: 0,
        units: Vec::new(),
        create_units: false,
        device_euis: Vec::new(),
        replace: false,
    }
}

/// A hub as the receiver sees it.
#[derive(Clone, Debug)]
pub struct Hub {
    pub id: Uuid,
    pub token: String,
    pub epoch: Epoch,
    pub site: Site,
}

impl Hub {
    pub fn state(&self, seq: u64, rows: Vec<RowImage>) -> Batch {
        Batch { header: self.header(Lane::State, seq), body: Body::State(rows) }
    }

    pub fn header(&self, lane: Lane, seq: u64) -> Header {
        Header { hub: self.id, epoch: self.epoch, lane, seq, needs: 0 }
    }

    /// A batch of readings of unit 1 (the fridge) and 2 (the freezer).
    pub fn readings(&self, seq: u64, rows: Vec<Reading>) -> Batch {
        let (lo, hi) = (rows.iter().map(|row| row.seq).min(), rows.iter().map(|row| row.seq).max());
        let readings = Readings {
            epoch: self.epoch,
            seq_lo: lo.unwrap_or(1),
            seq_hi: hi.unwrap_or(1),
            units: vec![(1, self.site.fridge), (2, self.site.freezer)],
            devices: Vec::new(),
            rows,
        };
        Batch { header: self.header(Lane::Readings, seq), body: Body::Readings(readings) }
    }
}

/// Reading `seq` of unit 1: 4.00 °C plus a hundredth for each, a minute apart up to now.
pub fn reading(seq: u64) -> Reading {
    let recorded_ms = NOW - MINUTE * (100_000 - seq as i64);
    Reading {
        seq,
        unit: 1,
        device: 0,
        probe: 0,
        scale: Scale::C,
        temperature: 400 + (seq % 100) as i32,
        humidity: Some(5_500),
        battery: Some(90),
        rssi: Some(-71),
        recorded_ms,
        received_ms: recorded_ms + 20,
        source: Source::Serial,
    }
}

pub fn image(table: &str, id: Uuid, columns: &[(&str, Value)]) -> RowImage {
    let columns = columns.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    RowImage { table: table.into(), id, columns }
}

pub fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// A row id of the test's own.
pub fn id(number: u8) -> Uuid {
    Uuid::from_bytes([0x70, 0, 0, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, number])
}

/// An alert of a unit, as a hub sends it.
pub fn alert(number: u8, unit: Uuid) -> RowImage {
    image(
        "alerts",
        id(number),
        &[
            ("unit_id", Value::Uuid(unit)),
            ("alert_type", text("alarm_active")),
            ("severity", text("warning")),
            ("status", text("active")),
            ("triggered_at", Value::Millis(NOW)),
            ("trigger_temperature", Value::Int(71)),
            ("threshold_violated", text("max")),
        ],
    )
}
