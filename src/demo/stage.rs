//! The parts of the demonstration, set up and taken down: line, hub, central, and the internet between them.

use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_serial::{SerialPort as _, SerialStream};

use super::central::Central;
use super::kitchen::UNITS;
use super::link::Link;
use super::sensors::reyax_address;
use super::simulate::write_line;
use crate::clock::Clock;
use crate::config::Config;
use crate::control::{DevicesAdd, Enroll, Request, UnitsAdd, socket};
use crate::counters::Counters;
use crate::hub::{self, Parts};
use crate::store::StateLock;

/// The sensors of the demonstration send once a minute, whatever their makers set.
const CHECK_IN_S: u32 = 60;
/// The hub opens its control socket before anything else.
const HUB_START_MAX: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The serial line of the radio module.
pub struct Line {
    near: SerialStream,
    /// The hub's end, held open: while nobody holds it, writing fails.
    _far: SerialStream,
}

impl Line {
    pub async fn write(&mut self, line: &[u8]) -> Result<()> {
        write_line(&mut self.near, line).await
    }
}

/// The hub.
pub struct Stage {
    /// None: it has ended, and was told of.
    task: Option<JoinHandle<Result<()>>>,
    stop: watch::Sender<bool>,
    socket: PathBuf,
}

impl Stage {
    /// Starts the hub in `folder`. `receiver`: the URL it will be enrolled with.
    pub fn set(
        folder: &Path,
        clock: Arc<dyn Clock>,
        real_clock: Arc<dyn Clock>,
        receiver: Option<&str>,
    ) -> Result<(Self, Line)> {
        let (near, far) = SerialStream::pair().context("open a pseudo-terminal")?;
        let port = folder.join("radio");
        symlink(far.name().context("ask for the pseudo-terminal's path")?, &port).context("name the line")?;
        let state = folder.join("hub");
        std::fs::DirBuilder::new().mode(0o700).create(&state).context("make the hub's folder")?;
        let socket = state.join("control.sock");
        let config =
            Config::parse(&configuration(&state, &socket, &port, receiver)).context("configure the hub")?;

        let (stop, shutdown) = watch::channel(false);
        let parts = Parts {
            lock: StateLock::take(&state)?,
            control: Some(socket::bind(&socket)?),
            clock,
            real_clock,
            counters: Counters::default(),
            random: hub::system_random(),
            shutdown,
            service: hub::Service::default(),
        };
        let task = tokio::spawn(hub::run(config, parts));
        Ok((Self { task: Some(task), stop, socket }, Line { near, _far: far }))
    }

    /// Sends a request to the hub as its command line does.
    pub async fn ask(&mut self, request: &Request) -> Result<Value> {
        let answer = async {
            loop {
                if let Some(answer) = socket::ask(&self.socket, request).await? {
                    return Ok(answer);
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let Some(task) = &mut self.task else { bail!("the hub has ended") };
        tokio::select! {
            answer = tokio::time::timeout(HUB_START_MAX, answer) => answer.context("the hub does not answer")?,
            ended = task => {
                self.task = None;
                match ended.context("the hub ended by a panic")? {
                    Ok(()) => bail!("the hub ended early"),
                    Err(error) => Err(error.context("the hub ended early")),
                }
            }
        }
    }

    /// Joins the central by a one-time code; units are made there as they are here.
    pub async fn enroll(&mut self, url: &str, code: String) -> Result<()> {
        let enroll =
            Enroll { url: url.to_owned(), code, unit_map: Vec::new(), create_units: true, replace: false };
        self.ask(&Request::Enroll(enroll)).await.context("enrol the hub")?;
        Ok(())
    }

    /// Stops the hub as systemd does, and waits for its last commit.
    pub async fn strike(self) -> Result<()> {
        self.stop.send_replace(true);
        match self.task {
            Some(task) => task.await.context("the hub ended by a panic")?.context("stop the hub"),
            None => Ok(()),
        }
    }

    /// Adds the kitchen's units and pairs their sensors.
    pub async fn pair(&mut self) -> Result<()> {
        for (index, unit) in UNITS.iter().enumerate() {
            let add = UnitsAdd {
                name: unit.name.to_owned(),
                unit_type: unit.unit_type.as_str().to_owned(),
                temp_unit: Some(unit.scale.as_str().to_owned()),
                min: Some(f64::from(unit.temp_min) / 10.0),
                max: Some(f64::from(unit.temp_max) / 10.0),
            };
            self.ask(&Request::UnitsAdd(add)).await.with_context(|| format!("add {}", unit.name))?;
            let add = DevicesAdd {
                address: reyax_address(index).to_string(),
                source: Some("serial".to_owned()),
                port: Some("radio".to_owned()),
                model: Some(unit.model.to_owned()),
                name: Some(format!("sensor {}", index + 1)),
                unit: Some(unit.name.to_owned()),
                probe: None,
                check_in_s: Some(CHECK_IN_S),
            };
            self.ask(&Request::DevicesAdd(add))
                .await
                .with_context(|| format!("pair the sensor in {}", unit.name))?;
        }
        Ok(())
    }
}

/// The internet and what is behind it.
pub struct Beyond {
    pub central: Central,
    pub link: Link,
}

impl Beyond {
    /// None: PostgreSQL is not installed.
    pub async fn start(folder: &Path) -> Result<Option<Self>> {
        let Some(central) = Central::start(folder).await? else { return Ok(None) };
        let link = Link::start(central.address()).await?;
        Ok(Some(Self { central, link }))
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.link.address())
    }
}

/// An hour is no time to learn what a freezer does every day: its plain limit is watched.
fn configuration(state: &Path, socket: &Path, port: &Path, receiver: Option<&str>) -> String {
    let url = receiver.map(|url| format!("url = {url:?}\n")).unwrap_or_default();
    format!(
        "[hub]\nname = \"Demonstration\"\norganization = \"FrostGuard demonstration\"\nsite = \"Kitchen that never was\"\n\
         state_dir = \"{}\"\n\
         [[serial]]\nname = \"radio\"\npath = \"{}\"\npreset = \"reyax\"\n\
         [uplink]\nenabled = {}\n{url}interval_s = 5\npoll_s = 10\n\
         [control]\nsocket = \"{}\"\n\
         [rules]\ndefrost_unit_types = []\n",
        state.display(),
        port.display(),
        receiver.is_some(),
        socket.display(),
    )
}
