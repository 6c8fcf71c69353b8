//! The command line. Commands that change something talk to the running hub over its control socket; where none runs
//! they do the same on the database directly.

pub mod ask;
pub mod audit;
pub mod config;
pub mod decode;
pub mod doctor;
pub mod enroll;
pub mod lists;
pub mod models;
pub mod notify;
pub mod out;
pub mod pair;
pub mod people;
pub mod power;
pub mod redecode;
pub mod replay;
pub mod rules;
pub mod run;
pub mod script_worker;
pub mod selftest;
pub mod sql;
pub mod support_bundle;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::doctor::Verdict;

/// Where packages put the configuration.
pub const CONFIG_PATH: &str = "/etc/frostguard/hub.toml";

/// On-premise cold-chain hub: hears sensors, keeps every reading, decides alarms with no internet, syncs exactly once.
#[derive(Parser)]
#[command(name = "frostguard-hub", version, propagate_version = true)]
struct Cli {
    /// The configuration file; without it, /etc/frostguard/hub.toml where that exists, else the defaults.
    #[arg(long, short, global = true, env = "FROSTGUARD_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the hub until SIGTERM or Ctrl-C.
    Run,
    /// Join a site of the central database with a one-time code.
    Enroll(enroll::Args),
    /// What the hub is doing: clock, sources, units, alerts, what is not uploaded yet.
    Status(ask::StatusArgs),
    /// Fridges, freezers, cold rooms.
    #[command(subcommand)]
    Units(ask::UnitsCommand),
    /// Sensors: paired ones, strangers, models.
    #[command(subcommand)]
    Devices(ask::DevicesCommand),
    /// Pair a sensor with a code, by the first frame that is heard of it.
    #[command(subcommand)]
    Pair(pair::PairCommand),
    /// LoRaWAN gateways that speak to the hub.
    #[command(subcommand)]
    Gateways(pair::GatewaysCommand),
    /// Alerts.
    #[command(subcommand)]
    Alerts(ask::AlertsCommand),
    /// Write down a temperature that was measured by hand.
    Log(people::LogArgs),
    /// How people are told.
    #[command(subcommand)]
    Notify(notify::Command),
    /// Who is called.
    #[command(subcommand)]
    Contacts(people::ContactsCommand),
    /// Power cuts and what they did to each unit.
    #[command(subcommand)]
    Power(power::Command),
    /// The audit chain: verify it, take it along.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(config::Command),
    /// Read-only SQL on the hub's database, with the hub's own functions.
    Sql(sql::Args),
    /// The rules, on what was measured.
    #[command(subcommand)]
    Rules(rules::Command),
    /// Decode one payload of a sensor, or propose what belongs beside a script.
    Decode(decode::DecodeArgs),
    /// Decode kept frames again, after a codec was mended, and add what they say as late readings.
    Redecode(redecode::Args),
    /// Find what keeps the hub from its work, and what to do: clock, disk, database, ports, sensors, brokers, mail,
    /// webhooks, internet.
    Doctor(doctor::Args),
    /// Pack what somebody far away needs to help, without secrets and people, into one archive.
    SupportBundle(support_bundle::Args),
    /// Try what the hub needs of this machine: SQLite, TLS, scripts, cryptography, serial lines, clocks, disk.
    Selftest(selftest::Args),
    /// Run scripts for the hub.
    #[command(hide = true)]
    ScriptWorker,
    /// A simulated kitchen, a hub and a central in one terminal.
    #[cfg(feature = "demo")]
    Demo(crate::demo::DemoArgs),
    /// Play simulated sensors into a serial port or a broker.
    #[cfg(feature = "demo")]
    Simulate(crate::demo::SimulateArgs),
}

/// Exit codes: 0 done, 1 failed, 2 wrong use of the command line (clap's own) or an audit chain nobody could look at, 3 a
/// doctor that has only warnings.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if out::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed too; there is nobody left to tell then.
            let _ = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("frostguard-hub: {error:#}\n"),
            );
            let has_only_warnings = error
                .downcast_ref::<doctor::Unwell>()
                .is_some_and(|unwell| unwell.verdict == Verdict::Warning);
            if error.is::<audit::CannotLook>() {
                ExitCode::from(2)
            } else if has_only_warnings {
                ExitCode::from(3)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn dispatch(cli: Cli) -> Result<()> {
    let path = cli.config.or_else(|| Some(PathBuf::from(CONFIG_PATH)).filter(|path| path.exists()));
    match cli.command {
        Command::Run => run::run(path.as_deref()),
        Command::Enroll(args) => enroll::run(path.as_deref(), &args),
        Command::Status(args) => ask::status(path.as_deref(), &args),
        Command::Units(command) => ask::units(path.as_deref(), command),
        Command::Devices(command) => ask::devices(path.as_deref(), command),
        Command::Pair(command) => pair::pair(path.as_deref(), command),
        Command::Gateways(command) => pair::gateways(path.as_deref(), command),
        Command::Alerts(command) => ask::alerts(path.as_deref(), command),
        Command::Log(args) => people::log(path.as_deref(), args),
        Command::Notify(command) => notify::run(path.as_deref(), command),
        Command::Contacts(command) => people::contacts(path.as_deref(), command),
        Command::Power(command) => power::run(path.as_deref(), &command),
        Command::Audit(command) => audit::run(path.as_deref(), &command),
        Command::Config(command) => config::run(path.as_deref(), &command),
        Command::Sql(args) => sql::run(path.as_deref(), &args),
        Command::Rules(command) => rules::run(path.as_deref(), &command),
        Command::Decode(args) => decode::run(path.as_deref(), &args, &mut std::io::stdout().lock()),
        Command::Doctor(args) => doctor::run(path.as_deref(), &args),
        Command::SupportBundle(args) => support_bundle::run(path.as_deref(), &args),
        Command::Selftest(args) => selftest::run(path.as_deref(), &args),
        Command::ScriptWorker => script_worker::run(),
        Command::Redecode(args) => redecode::run(path.as_deref(), args),
        #[cfg(feature = "demo")]
        Command::Demo(args) => crate::demo::demo(&args),
        #[cfg(feature = "demo")]
        Command::Simulate(args) => crate::demo::simulate(&args),
    }
}
