//! A private PostgreSQL: a cluster in a temporary directory, on a free port of 127.0.0.1 and a Unix socket.

use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio_postgres::{Client, NoTls};

use super::process::{Running, Scratch, Signal, unprivileged};
use super::programs::postgres_program;
use super::{free_port, wait_for_async};

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
        let mut initdb = unprivileged(&postgres_program("initdb"), &data);
        initdb.args([
            "--no-sync",
            "--auth=trust",
            "--username=postgres",
            "--encoding=UTF8",
            "--locale=C",
            "-D",
        ]);
        initdb.arg(&data).current_dir("/");
        run_to_end("initdb", &mut initdb);
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
    let data = scratch.join("data");
    let mut command = unprivileged(&postgres_program("postgres"), &data);
    command.arg("-D").arg(&data).arg("-k").arg(&data).args(["-h", "127.0.0.1", "-p", &port.to_string()]);
    // Durability is the hub's and the ledger's to prove, not this disk's.
    for setting in ["fsync=off", "full_page_writes=off", "max_connections=100", "shared_buffers=64MB"] {
        command.args(["-c", setting]);
    }
    command.current_dir("/");
    Running::start("postgres", &mut command, &scratch.join("log"))
}

/// The postmaster writes its state into the last line of its lock file.
fn ready(mut process: Running, scratch: &Scratch) -> Option<Running> {
    let lock = scratch.join("data/postmaster.pid");
    super::wait_for("postgres to be ready or to end", || {
        let state = fs::read_to_string(&lock).unwrap_or_default();
        let own = state.lines().next() == Some(process.id().to_string().as_str());
        if own && state.lines().nth(7).is_some_and(|line| line.trim() == "ready") {
            return Some(true);
        }
        (!process.is_running()).then_some(false)
    })
    .then_some(process)
}

fn run_to_end(name: &str, command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("start {name}: {error}"));
    assert!(output.status.success(), "{name} failed:\n{}", String::from_utf8_lossy(&output.stderr));
}
