//! A private PostgreSQL: a cluster in a temporary directory, on a free port of 127.0.0.1 and a Unix socket.

use std::fs;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio_postgres::{Client, NoTls};

use super::process::{Running, Scratch, Signal};
use super::programs::postgres_programs;
use super::{cluster, free_port, wait_for, wait_for_async};

/// Tries at starting: another process may take the free port meanwhile.
const STARTS_MAX: u32 = 5;

pub struct Postgres {
    // Before the directory: fields drop in order.
    process: Running,
    scratch: Scratch,
    port: u16,
}

impl Postgres {
    #[track_caller]
    pub fn start() -> Self {
        let scratch = Scratch::new("pg");
        let data = scratch.join("data");
        fs::create_dir(&data).expect("make the data directory");
        let initdb = cluster::initdb(&postgres_programs(), &data).expect("become PostgreSQL's user").output();
        let output = initdb.expect("start initdb");
        assert!(output.status.success(), "initdb failed:\n{}", String::from_utf8_lossy(&output.stderr));
        for _ in 1..STARTS_MAX {
            let port = free_port();
            let process = launch(&scratch, port);
            if let Some(process) = ready(process, &scratch) {
                return Self { process, scratch, port };
            }
        }
        panic!(
            "postgres did not start; its log:\n{}",
            fs::read_to_string(scratch.join("log")).unwrap_or_default()
        );
    }

    /// One cluster for all tests of this process that run at the same time; it ends with the last of them.
    #[track_caller]
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return running;
        }
        let started = Arc::new(Self::start());
        *shared = Arc::downgrade(&started);
        started
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of a database, for the superuser, without a password.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes an empty database with a name of its own; gives its address.
    pub async fn make_database(&self, name: &str) -> String {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("{name}_{number}");
        let client = connect(&self.url("postgres")).await;
        client.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("make a database");
        self.url(&name)
    }

    /// Ends it as a crash does, and starts it again on the same port and data.
    #[track_caller]
    pub fn crash_and_restart(&mut self) {
        self.process.stop(Signal::Quit);
        self.process = ready(launch(&self.scratch, self.port), &self.scratch).expect("start postgres again");
    }
}

/// A connection whose driver runs in the background until the client is dropped.
pub async fn connect(url: &str) -> Client {
    wait_for_async("a connection to PostgreSQL", || async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.ok()?;
        tokio::spawn(async move { drop(connection.await) });
        Some(client)
    })
    .await
}

fn launch(scratch: &Scratch, port: u16) -> Running {
    let server = cluster::server(&postgres_programs(), &scratch.join("data"), port);
    Running::start("postgres", &mut server.expect("become PostgreSQL's user"), &scratch.join("log"))
}

/// None: it ended instead.
fn ready(mut process: Running, scratch: &Scratch) -> Option<Running> {
    let data = scratch.join("data");
    wait_for("postgres to be ready or to end", || {
        let is_ready = cluster::is_ready(&data, process.id());
        (is_ready || !process.is_running()).then_some(is_ready)
    })
    .then_some(process)
}
