//! A whole hub in this process, on a real disk, with a pseudo-terminal as its radio and a file as its buzzer; and, if wanted,
//! the receiver it sends to, with a PostgreSQL.

use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use frostguard_hub::clock::SystemClock;
use frostguard_hub::config::Config;
use frostguard_hub::control::{Request, socket};
use frostguard_hub::counters::Counters;
use frostguard_hub::hub::{self, Parts};
use frostguard_hub::store::StateLock;
use frostguard_sync::receiver::admin::{self, NewHub, ThresholdScale};
use frostguard_sync::receiver::config::Secret;
use frostguard_sync::receiver::{self, Config as ReceiverConfig};
use serde_json::{Value, json};
use serialport::{SerialPort as _, TTYPort};
use tokio::net::TcpListener;
use tokio::sync::watch;
use uuid::Uuid;

use crate::kitchen;
use crate::support::connect;

/// Sensors beside the one that alarms.
pub const OTHERS: u32 = 64;
/// Longer, and something is broken.
pub const ALARM_MAX: Duration = Duration::from_secs(10);

pub struct Kitchen {
    line: TTYPort,
    _far: TTYPort,
    buzzer: PathBuf,
    control: PathBuf,
    pub counter: u32,
}

impl Kitchen {
    /// A hub whose units alarm at once; the future ends it.
    pub fn new(folder: &Path, is_uplink: bool) -> (Self, impl Future<Output = ()>) {
        let (near, far) = TTYPort::pair().unwrap();
        let (radio, buzzer, control) = (folder.join("radio"), folder.join("buzzer"), folder.join("sock"));
        symlink(far.name().unwrap(), &radio).unwrap();
        let text = format!(
            "[hub]\nstate_dir = '{}'\n[uplink]\nenabled = {is_uplink}\ninterval_s = 1\n\
             [rules]\nconfirm_delay_min = 0\ngood_readings = 1\n\
             [[serial]]\nname = 'radio'\npath = '{}'\npreset = 'json'\n\
             [[notify.signal]]\nname = 'buzzer'\nrole = 'relay'\nchip = 'fake:{}'\nline = 1\n",
            folder.join("state").display(),
            radio.display(),
            buzzer.display(),
        );
        let config = Config::parse(&text).unwrap();
        std::fs::create_dir_all(folder.join("state")).unwrap();
        let clock = Arc::new(SystemClock::new().unwrap());
        let (stop, shutdown) = watch::channel(false);
        let parts = Parts {
            lock: StateLock::take(&folder.join("state")).unwrap(),
            control: Some(socket::bind(&control).unwrap()),
            clock: clock.clone(),
            real_clock: clock,
            counters: Counters::default(),
            random: hub::system_random(),
            shutdown,
            service: hub::Service::default(),
        };
        let task = tokio::spawn(hub::run(config, parts));
        let kitchen = Self { line: near, _far: far, buzzer, control, counter: 0 };
        let end = async move {
            stop.send_replace(true);
            task.await.unwrap().unwrap();
        };
        (kitchen, end)
    }

    /// Enrols it with the receiver of `receive`, reached at `base`, and waits until the backlog is on its way; gives what is
    /// left to send.
    pub async fn enrol(&self, url: &str, base: &str, backlog: u32) -> u64 {
        let mut sql = connect(url).await;
        let id = Uuid::from_u128(1);
        sql.batch_execute(&format!(
            "INSERT INTO organizations (id, name, slug) VALUES ('{id}', 'o', 'o');
             INSERT INTO sites (id, organization_id, name) VALUES ('{id}', '{id}', 's');
             INSERT INTO areas (id, site_id, name) VALUES ('{id}', '{id}', 'a')"
        ))
        .await
        .unwrap();
        let hub = NewHub {
            site: id,
            name: "bench".into(),
            threshold_scale: Some(ThresholdScale::Tenths),
            history_from_ms: None,
        };
        let now_ms = receiver::Clock::now_ms(&receiver::SystemClock);
        let added = admin::add_hub(&mut sql, &hub, now_ms).await.unwrap();
        let code = added.code;
        self.ask(json!({ "request": "enroll", "url": base, "code": code, "unit_map": [], "create_units": true, "replace": false })).await;
        loop {
            let unsent = self.unsent().await;
            if unsent < u64::from(backlog / (OTHERS + 1) * (OTHERS + 1)) {
                return unsent;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn unsent(&self) -> u64 {
        self.ask(json!({ "request": "status" })).await["sync"]["unsent_readings"].as_u64().unwrap()
    }

    pub async fn ask(&self, request: Value) -> Value {
        let request: Request = serde_json::from_value(request).unwrap();
        loop {
            if let Some(answer) = socket::ask(&self.control, &request).await.unwrap() {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A unit goes warm: it alarms at once.
    pub fn warm(&mut self) {
        self.say(0, 900);
    }

    /// It is good again; waits until the buzzer is silent.
    pub fn cool(&mut self) {
        let edges = self.edges();
        let began = Instant::now();
        self.say(0, 300);
        while self.edges() == edges {
            assert!(began.elapsed() < ALARM_MAX, "the buzzer does not stop");
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    pub fn say(&mut self, sensor: u32, hundredths: i32) {
        self.counter += 1;
        let line = kitchen::line(self.counter, sensor as usize, hundredths);
        self.line.write_all(line.as_bytes()).unwrap();
        self.line.flush().unwrap();
    }

    /// Changes of the buzzer's line so far.
    pub fn edges(&self) -> u64 {
        std::fs::metadata(&self.buzzer).map_or(0, |file| file.len() / 2)
    }
}

/// Starts a receiver for the database at `url`, which it fills with its tables; gives its address.
pub async fn receive(url: &str) -> std::net::SocketAddr {
    receiver::migrate(url).await.unwrap();
    let config = ReceiverConfig { database_url: Some(Secret::new(url)), ..ReceiverConfig::default() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(receiver::run(config, listener, std::future::pending()));
    address
}

/// The value below which so many of a hundred are.
pub fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)].as_secs_f64() * 1_000.0
}
