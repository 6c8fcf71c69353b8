//! A private central for the demonstration: PostgreSQL in a temporary folder, the receiver in this process, one site.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use frostguard_sync::receiver::admin::{self, NewHub, ThresholdScale};
use frostguard_sync::receiver::{self, Clock as _, SystemClock};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use super::cluster;
use super::screen::CentralCounts;

/// How one gets what is missing.
pub const HOW_TO_GET: &str =
    "PostgreSQL is not installed, so this run shows no central; `sudo apt-get install postgresql` gets it";

/// A cluster starts in a second or two, on a small box in ten.
const START_MAX: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Another process may take the free port meanwhile.
const STARTS_MAX: u32 = 5;
const DATABASE: &str = "frostguard";

const SITE: Uuid = Uuid::from_u128(0x5f0c_0000_0000_4000_8000_0000_0000_0002);
/// The receiver never makes what central owns.
const SITE_SQL: &str = "
    INSERT INTO organizations (id, name, slug)
    VALUES ('5f0c0000-0000-4000-8000-000000000001', 'FrostGuard demonstration', 'demonstration');
    INSERT INTO sites (id, organization_id, name) VALUES
    ('5f0c0000-0000-4000-8000-000000000002', '5f0c0000-0000-4000-8000-000000000001', 'Kitchen that never was');
    INSERT INTO areas (id, site_id, name)
    VALUES ('5f0c0000-0000-4000-8000-000000000003', '5f0c0000-0000-4000-8000-000000000002', 'Kitchen');";

pub struct Central {
    receiver: JoinHandle<Result<()>>,
    stop_receiver: Option<oneshot::Sender<()>>,
    address: SocketAddr,
    client: Client,
    // Last: everything above uses it.
    _server: Server,
}

impl Central {
    /// None: PostgreSQL is not installed. `folder` is empty, reachable for other users, and outlives the central.
    pub async fn start(folder: &Path) -> Result<Option<Self>> {
        let Some(programs) = cluster::programs() else { return Ok(None) };
        let server = Server::start(&programs, folder).await?;
        let admin = connect(&server.url("postgres")).await?;
        admin
            .batch_execute(&format!("CREATE DATABASE {DATABASE}"))
            .await
            .context("make the central database")?;
        let url = server.url(DATABASE);
        receiver::migrate(&url).await.context("make the central tables")?;
        let client = connect(&url).await?;

        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("open the receiver's port")?;
        let address = listener.local_addr().context("ask for the receiver's port")?;
        let config = receiver::Config {
            listen: address,
            database_url: Some(receiver::config::Secret::new(url)),
            ..receiver::Config::default()
        };
        let (stop_receiver, stop) = oneshot::channel::<()>();
        // An error means that the central is gone, which is a stop too.
        let stopped = async move { drop(stop.await) };
        let receiver = tokio::spawn(receiver::run(config, listener, stopped));
        let stop_receiver = Some(stop_receiver);
        Ok(Some(Self { receiver, stop_receiver, address, client, _server: server }))
    }

    /// Where the receiver listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes an organization with one site and a hub for it; gives the hub's one-time code.
    pub async fn add_hub(&mut self) -> Result<String> {
        self.client.batch_execute(SITE_SQL).await.context("make a site in PostgreSQL")?;
        let new = NewHub {
            site: SITE,
            name: "Demonstration".to_owned(),
            threshold_scale: Some(ThresholdScale::Tenths),
            history_from_ms: None,
        };
        let added = admin::add_hub(&mut self.client, &new, SystemClock.now_ms())
            .await
            .context("add the hub in PostgreSQL")?;
        Ok(added.code)
    }

    pub async fn counts(&self) -> Result<CentralCounts> {
        let sql = "SELECT (SELECT count(*) FROM sensor_readings), (SELECT count(*) FROM alerts), (SELECT count(*) FROM event_logs)";
        let row = self.client.query_one(sql, &[]).await.context("count the rows in PostgreSQL")?;
        Ok(CentralCounts { readings: row.get(0), alerts: row.get(1), audit: row.get(2) })
    }

    /// Ends the receiver in order, then PostgreSQL.
    pub async fn stop(mut self) -> Result<()> {
        drop(self.stop_receiver.take());
        (&mut self.receiver).await.context("the receiver ended by a panic")?.context("run the receiver")
    }
}

/// PostgreSQL, ended when dropped.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    async fn start(programs: &Path, folder: &Path) -> Result<Self> {
        let data = folder.join("postgres");
        std::fs::create_dir(&data).context("make PostgreSQL's folder")?;
        let mut initdb = cluster::initdb(programs, &data).context("prepare initdb")?;
        let output = tokio::task::spawn_blocking(move || initdb.output()).await.context("run initdb")?;
        let output = output.context("run initdb")?;
        if !output.status.success() {
            bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let log_path = folder.join("postgres.log");
        for _ in 0..STARTS_MAX {
            let port = free_port().await?;
            let log = std::fs::File::create(&log_path).context("make PostgreSQL's log")?;
            let mut command = cluster::server(programs, &data, port).context("prepare PostgreSQL")?;
            command.stdin(Stdio::null()).stdout(log.try_clone().context("share the log")?).stderr(log);
            // A group of its own: Ctrl-C reaches the demonstration alone, which ends PostgreSQL when it is done with it.
            command.process_group(0);
            let child = command.spawn().context("start PostgreSQL")?;
            let mut server = Self { child, port };
            if server.is_ready_in_time(&data).await? {
                return Ok(server);
            }
        }
        let log = std::fs::read_to_string(&log_path).unwrap_or_default();
        bail!("PostgreSQL did not start: {}", log.lines().last().unwrap_or("it said nothing"));
    }

    /// False: it ended instead.
    async fn is_ready_in_time(&mut self, data: &Path) -> Result<bool> {
        let wait = async {
            loop {
                if cluster::is_ready(data, self.child.id()) {
                    return Ok(true);
                }
                if self.child.try_wait().context("look after PostgreSQL")?.is_some() {
                    return Ok(false);
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(START_MAX, wait)
            .await
            .with_context(|| format!("PostgreSQL was not ready within {} s", START_MAX.as_secs()))?
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        cluster::stop(&mut self.child);
    }
}

async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("connect to PostgreSQL")?;
    // Ends with the client, or with PostgreSQL; then the next statement says so.
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}

async fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("find a free port")?;
    Ok(listener.local_addr().context("find a free port")?.port())
}
