//! Commands that are one request: to the running hub, else to the database directly.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use serde_json::Value;

use super::{lists, out, people};
use crate::config::Config;
use crate::control::{DevicesAdd, DevicesAssign, Request, UnitsAdd, socket};
use crate::hub::{self, HOLDER_LOOKS_MAX, HOLDER_PAUSE};
use crate::store::StoreError;

/// How long a hub's answer is waited for.
struct Waits {
    /// Who waits longer than this is told why.
    told: Duration,
    max: Duration,
}

const WAITS: Waits = Waits {
    told: Duration::from_secs(10),
    // As long as systemd gives a hub to start (`TimeoutStartSec=` of the unit).
    max: Duration::from_mins(30),
};

#[derive(Args)]
pub struct StatusArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
pub enum UnitsCommand {
    /// Add a unit to a hub that is not enrolled (an enrolled one gets its units from central).
    Add {
        name: String,
        /// fridge, freezer, display_case, walk_in_cooler, walk_in_freezer or blast_chiller.
        #[arg(long = "type", value_name = "TYPE")]
        unit_type: String,
        /// C or F; else as configured.
        #[arg(long, value_name = "C|F")]
        temp_unit: Option<String>,
        /// Lower limit in degrees; else the default of the type.
        #[arg(long, allow_hyphen_values = true, value_parser = degrees)]
        min: Option<f64>,
        /// Upper limit in degrees; else the default of the type.
        #[arg(long, allow_hyphen_values = true, value_parser = degrees)]
        max: Option<f64>,
        #[arg(long)]
        json: bool,
    },
    /// List units with status and last reading.
    List {
        #[arg(long)]
        json: bool,
    },
}

/// JSON has no word for what is no number: it would come out as "not given".
fn degrees(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "it is no number".to_owned())?;
    if number.is_finite() { Ok(number) } else { Err("it is no temperature".to_owned()) }
}

#[derive(Subcommand)]
pub enum DevicesCommand {
    /// List paired devices.
    List {
        #[arg(long)]
        json: bool,
    },
    /// List senders that are heard and not paired, and frames nobody could decode.
    Strangers {
        #[arg(long)]
        json: bool,
    },
    /// Pair a device: an EUI, or the address a serial or MQTT sender uses (see `devices strangers`).
    Add {
        /// 16 hex digits of the EUI, or the sender's address.
        address: String,
        /// vendor/model, as `devices models` lists it.
        #[arg(long)]
        model: Option<String>,
        #[arg(long)]
        name: Option<String>,
        /// The unit its measuring probe is in.
        #[arg(long)]
        unit: Option<String>,
        /// internal, external, or a number; else the model's measuring probe.
        #[arg(long)]
        probe: Option<String>,
        /// serial, mqtt, modbus, onewire, current or ble; needed for an address that is no EUI.
        #[arg(long)]
        source: Option<String>,
        /// The configured name of the port or broker it is heard on.
        #[arg(long)]
        port: Option<String>,
        /// Seconds between two readings, if the device is set to another interval than its factory's.
        #[arg(long, value_name = "SECONDS")]
        check_in: Option<u32>,
        #[arg(long)]
        json: bool,
    },
    /// Say which unit a probe of a device measures.
    Assign {
        /// EUI, address or name.
        device: String,
        /// The unit; without it the probe measures nothing any more.
        #[arg(long)]
        unit: Option<String>,
        #[arg(long)]
        probe: Option<String>,
        #[arg(long)]
        json: bool,
    },
    /// Let a LoRaWAN sensor that was reset join with nonces it used before.
    FlushNonces {
        /// EUI or name.
        device: String,
        #[arg(long)]
        json: bool,
    },
    /// List the models the hub can decode.
    Models(super::models::ModelsArgs),
}

#[derive(Subcommand)]
pub enum AlertsCommand {
    /// List alerts that are not resolved.
    List {
        /// Resolved ones too.
        #[arg(long)]
        all: bool,
        #[arg(long)]
        json: bool,
    },
    /// Take alerts: whoever is called for them stops being called.
    Ack(people::AckArgs),
    /// End an alert, and say what was done.
    Resolve(people::ResolveArgs),
}

pub fn status(config: Option<&Path>, args: &StatusArgs) -> Result<()> {
    let value = ask(config, &Request::Status)?;
    if args.json { out::json(&value) } else { lists::status(&value) }
}

pub fn units(config: Option<&Path>, command: UnitsCommand) -> Result<()> {
    match command {
        UnitsCommand::Add { name, unit_type, temp_unit, min, max, json } => {
            let value = ask(config, &Request::UnitsAdd(UnitsAdd { name, unit_type, temp_unit, min, max }))?;
            if json { out::json(&value) } else { lists::said(&value) }
        }
        UnitsCommand::List { json } => {
            let value = ask(config, &Request::UnitsList)?;
            if json { out::json(&value) } else { lists::units(&value) }
        }
    }
}

pub fn devices(config: Option<&Path>, command: DevicesCommand) -> Result<()> {
    match command {
        DevicesCommand::List { json } => {
            let value = ask(config, &Request::DevicesList)?;
            if json { out::json(&value) } else { lists::devices(&value) }
        }
        DevicesCommand::Strangers { json } => {
            let value = ask(config, &Request::Strangers)?;
            if json { out::json(&value) } else { lists::strangers(&value) }
        }
        DevicesCommand::Add { address, model, name, unit, probe, source, port, check_in, json } => {
            let add = DevicesAdd { address, source, port, model, name, unit, probe, check_in_s: check_in };
            let value = ask(config, &Request::DevicesAdd(add))?;
            if json { out::json(&value) } else { lists::said(&value) }
        }
        DevicesCommand::Assign { device, unit, probe, json } => {
            let value = ask(config, &Request::DevicesAssign(DevicesAssign { device, probe, unit }))?;
            if json { out::json(&value) } else { lists::said(&value) }
        }
        DevicesCommand::FlushNonces { device, json } => {
            let value = ask(config, &Request::DevicesFlushNonces { device })?;
            if json { out::json(&value) } else { lists::said(&value) }
        }
        DevicesCommand::Models(args) => {
            let (codecs, mut problems) = Config::load(config)?.codecs();
            problems.extend(codecs.check(&super::script_worker::clock()?));
            for problem in problems {
                out::warning(&problem);
            }
            super::models::run_models(&codecs, &args, &mut std::io::stdout().lock())
        }
    }
}

pub fn alerts(config: Option<&Path>, command: AlertsCommand) -> Result<()> {
    match command {
        AlertsCommand::List { all, json } => {
            let value = ask(config, &Request::AlertsList { all })?;
            if json { out::json(&value) } else { lists::alerts(&value) }
        }
        AlertsCommand::Ack(args) => people::ack(config, args),
        AlertsCommand::Resolve(args) => people::resolve(config, args),
    }
}

/// Asks the running hub; with none running, opens the database and answers from there. Where another process has the
/// database it is a hub that is about to listen, or a command that is about to be done: waits for either.
pub fn ask(config: Option<&Path>, request: &Request) -> Result<Value> {
    let config = Config::load(config)?;
    let socket = config.control_socket();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")?;
    let mut left = HOLDER_LOOKS_MAX;
    loop {
        if let Some(value) = runtime.block_on(ask_hub(&WAITS, &socket, request))? {
            return Ok(value);
        }
        let wait = HOLDER_PAUSE * HOLDER_LOOKS_MAX;
        match hub::answer_without_hub(&config, request) {
            Err(error) if is_locked(&error) && left == 0 => {
                let listens =
                    format!("no hub came to listen on {} within {} s", socket.display(), wait.as_secs());
                return Err(error.context(listens));
            }
            Err(error) if is_locked(&error) => {
                if left == HOLDER_LOOKS_MAX {
                    out::warning(&format!(
                        "a hub that starts or another command has the database: waiting for it, at most {} s",
                        wait.as_secs()
                    ));
                }
            }
            answer => return answer,
        }
        left -= 1;
        std::thread::sleep(HOLDER_PAUSE);
    }
}

/// A hub listens before it opens its database, which may take minutes at an upgrade.
async fn ask_hub(waits: &Waits, path: &Path, request: &Request) -> Result<Option<Value>> {
    let mut answer = std::pin::pin!(socket::ask(path, request));
    if let Ok(answer) = tokio::time::timeout(waits.told, &mut answer).await {
        return answer;
    }
    out::warning(
        "no answer yet: a hub that starts checks its database first, and some requests take a while; what was asked is \
         done once the hub is up, also if this stops waiting",
    );
    tokio::time::timeout(waits.max.saturating_sub(waits.told), answer).await.unwrap_or_else(|_elapsed| {
        bail!(
            "no answer from {} within {} min: see the hub's log; once it is up it does what was asked",
            path.display(),
            waits.max.as_secs() / 60
        )
    })
}

fn is_locked(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(StoreError::Locked { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hub_that_never_answers_is_not_waited_for_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub.sock");
        let listener = socket::bind(&path).unwrap();
        let waits = Waits { told: Duration::from_millis(1), max: Duration::from_millis(2) };
        let error = ask_hub(&waits, &path, &Request::Status).await.unwrap_err().to_string();
        assert!(error.contains("once it is up it does what was asked"), "{error}");
        // The request stands there for when it is.
        let asked = listener.accept().await.unwrap().0;
        let mut line = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut { asked }, &mut line).await.unwrap();
        assert_eq!(line, serde_json::to_string(&Request::Status).unwrap() + "\n");
    }

    #[test]
    fn an_answer_is_waited_for_as_long_as_a_start_may_take() {
        let unit = include_str!("../../systemd/frostguard-hub.service");
        let limit = format!("TimeoutStartSec={}min\n", WAITS.max.as_secs() / 60);
        assert!(unit.contains(&limit), "{limit}");
    }

    #[test]
    fn limits_are_numbers() {
        for (text, is_ok) in [("-18.5", true), ("nan", false), ("inf", false), ("-inf", false), ("4C", false)]
        {
            assert_eq!(degrees(text).is_ok(), is_ok, "{text}");
        }
    }
}
