//! The command line of `frostguard-receiver`.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use sd_notify::NotifyState;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

use super::admin::{self, ListedHub, NewHub, ThresholdScale};
use super::clock::{Clock, SystemClock};
use super::config::{CONFIG_OF_PACKAGE, Config, EXAMPLE};
use super::{civil, db, retry};

/// Takes readings, alerts and audit from FrostGuard hubs into PostgreSQL, exactly once.
#[derive(Parser)]
#[command(name = "frostguard-receiver", version)]
pub struct Cli {
    /// Configuration (TOML); without it /etc/frostguard/receiver.toml where that exists, else the defaults. Then the variable
    /// FROSTGUARD_DATABASE_URL, where it is set, says which database is meant.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve hubs until SIGTERM or SIGINT.
    Run,
    /// Create or update the schema hub_sync; the 22 central tables only in an empty database.
    Migrate(Json),
    /// The configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Hubs and their enrolment.
    #[command(subcommand)]
    Hub(HubCommand),
    /// What was refused and kept.
    #[command(subcommand)]
    DeadLetters(DeadLetters),
}

#[derive(Args)]
struct Json {
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Print every setting with its default, all commented out.
    Print,
    /// Read the configuration and say whether it can work.
    Check,
}

#[derive(Subcommand)]
enum HubCommand {
    /// Add a hub to a site and print its one-time code.
    Add {
        /// The site's id; where there is no such site, those that are there are listed.
        #[arg(long, value_name = "UUID")]
        site: String,
        #[arg(long)]
        name: String,
        /// What the organization's limits are stored in; asked for when it is not known yet.
        #[arg(long, value_enum)]
        threshold_scale: Option<ThresholdScale>,
        /// Oldest readings the hub sends (default: 90 days back), as 2026-01-31.
        #[arg(long, value_name = "DATE", value_parser = civil::parse_date)]
        history_from: Option<i64>,
        #[command(flatten)]
        json: Json,
    },
    /// Make a new one-time code for a hub (the hub then enrols with --replace).
    Code {
        hub: Uuid,
        #[command(flatten)]
        json: Json,
    },
    /// List hubs, silent ones first to see.
    List(Json),
    /// End a hub's credential; its rows stay.
    Revoke { hub: Uuid },
    /// Vouch that units missing from the hub's present configuration are meant to go.
    ConfirmRemoval { hub: Uuid },
}

#[derive(Subcommand)]
enum DeadLetters {
    /// List them, oldest first.
    List {
        #[arg(long)]
        hub: Option<Uuid>,
        #[command(flatten)]
        json: Json,
    },
    /// Try them again.
    Retry {
        #[arg(long)]
        hub: Option<Uuid>,
        #[command(flatten)]
        json: Json,
    },
}

/// Does what the command line says.
pub async fn main(cli: Cli) -> anyhow::Result<()> {
    if let Command::Config(ConfigCommand::Print) = cli.command {
        return say_line(EXAMPLE);
    }
    let config = match cli.config.as_deref() {
        None => Config::find(Path::new(CONFIG_OF_PACKAGE))?,
        Some(named) => Config::load(named)?,
    };
    let clock = Arc::new(SystemClock);
    let now_ms = clock.now_ms();
    match cli.command {
        Command::Run => run(config).await,
        Command::Migrate(json) => {
            let migrated = db::migrate(&config.database()?).await?;
            say(&json, &migrated, || {
                let central =
                    if migrated.central_made { "created" } else { "were there and stay as they are" };
                format!(
                    "the central tables {central}; {} migrations of hub_sync applied\n",
                    migrated.hub_sync_applied
                )
            })
        }
        Command::Config(_) => {
            config.check_files()?;
            config.database()?;
            say_line("the configuration is good\n")
        }
        Command::Hub(command) => hub(&config, command, now_ms).await,
        Command::DeadLetters(command) => dead_letters(&config, command, now_ms).await,
    }
}

async fn run(config: Config) -> anyhow::Result<()> {
    // Before anything says that it listens.
    config.check_files()?;
    let mut terminate = signal(SignalKind::terminate()).context("wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("wait for SIGINT")?;
    let listener =
        TcpListener::bind(config.listen).await.with_context(|| format!("listen on {}", config.listen))?;
    // Tests and scripts listen on port 0 and read this line.
    say_line(&format!("listening on {}\n", listener.local_addr()?))?;
    super::run(config, listener, async move {
        // Waited for only once the database was reached and hubs are served.
        tell_manager(NotifyState::Ready);
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: the receiver ends"),
            _ = interrupt.recv() => tracing::info!("SIGINT: the receiver ends"),
        }
        tell_manager(NotifyState::Stopping);
    })
    .await
}

/// systemd, where it started this process.
fn tell_manager(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(std::slice::from_ref(&state)) {
        tracing::warn!(%error, "failed to tell the service manager {state:?}: {error}");
    }
}

async fn hub(config: &Config, command: HubCommand, now_ms: i64) -> anyhow::Result<()> {
    let mut client = db::connect(&config.database()?).await?;
    match command {
        HubCommand::Add { site, name, threshold_scale, history_from, json } => {
            let site = admin::site_id(&client, &site).await?;
            let threshold_scale = match threshold_scale {
                None => ask_scale(&client, site).await?,
                given => given,
            };
            let hub = NewHub { site, name, threshold_scale, history_from_ms: history_from };
            let added = admin::add_hub(&mut client, &hub, now_ms).await?;
            say(&json, &added, || format!("hub {}\ncode {} (for 24 h, once)\n", added.hub_id, added.code))
        }
        HubCommand::Code { hub, json } => {
            let code = admin::new_code(&mut client, hub, now_ms).await?;
            say(&json, &code, || format!("code {} (for 24 h, once)\n", code.code))
        }
        HubCommand::List(json) => {
            let hubs = admin::list_hubs(&client, now_ms).await?;
            say(&json, &hubs, || hubs.iter().map(|hub| list_line(hub, now_ms)).collect())
        }
        HubCommand::Revoke { hub } => {
            admin::revoke(&mut client, hub, now_ms).await?;
            say_line(&format!("hub {hub} is revoked\n"))
        }
        HubCommand::ConfirmRemoval { hub } => {
            let etag = admin::confirm_removal(&mut client, hub).await?;
            say_line(&format!("the removal in configuration {etag} of hub {hub} is confirmed\n"))
        }
    }
}

/// Shows what the stored limits mean both ways and asks; without a terminal it is an error, never a guess.
async fn ask_scale(client: &tokio_postgres::Client, site: Uuid) -> anyhow::Result<Option<ThresholdScale>> {
    let (present, units) = admin::scale_of_site(client, site).await?;
    if present.is_some() {
        return Ok(present);
    }
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        bail!(
            "the organization's threshold scale is not known and there is no terminal to ask: \
             give --threshold-scale tenths or --threshold-scale whole"
        );
    }
    let both_ways = |unit: &admin::Limits| {
        let (tenths, whole) = (unit.show(ThresholdScale::Tenths), unit.show(ThresholdScale::Whole));
        format!("  {}: tenths \"{tenths}\"   whole \"{whole}\"\n", unit.unit)
    };
    let examples: String = if units.is_empty() {
        "  (it has no unit yet)\n".into()
    } else {
        units.iter().map(both_ways).collect()
    };
    let text = format!(
        "The limits of this organization's units, read both ways:\n{examples}Which is right, tenths or whole? "
    );
    let answer = tokio::task::spawn_blocking(move || {
        let mut stderr = std::io::stderr();
        stderr.write_all(text.as_bytes())?;
        stderr.flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    })
    .await?
    .context("ask for the threshold scale")?;
    match answer.trim() {
        "tenths" => Ok(Some(ThresholdScale::Tenths)),
        "whole" => Ok(Some(ThresholdScale::Whole)),
        other => bail!("answer tenths or whole, not {other:?}"),
    }
}

fn list_line(hub: &ListedHub, now_ms: i64) -> String {
    let state = match hub {
        ListedHub { revoked: true, .. } => "revoked",
        ListedHub { enrolled: false, .. } => "not enrolled",
        ListedHub { silent: true, .. } => "SILENT",
        _ => "online",
    };
    let seen = hub.last_seen_ms.map_or("never heard".to_owned(), |seen| {
        format!("heard {} s ago", now_ms.saturating_sub(seen).max(0) / 1_000)
    });
    let name = hub.name.as_deref().unwrap_or("(its row is gone)");
    let refused =
        hub.refused_reason.as_deref().map_or(String::new(), |reason| format!("  refused: {reason}"));
    format!(
        "{}  {state:12}  {seen}  {name}  dead letters {}  security events {}{refused}\n",
        hub.hub_id, hub.dead_letters, hub.security_events
    )
}

async fn dead_letters(config: &Config, command: DeadLetters, now_ms: i64) -> anyhow::Result<()> {
    let mut client = db::connect(&config.database()?).await?;
    match command {
        DeadLetters::List { hub, json } => {
            let letters = retry::list(&client, hub).await?;
            say(&json, &letters, || {
                let line = |letter: &retry::ListedLetter| {
                    let what = match (&letter.table, &letter.key) {
                        (Some(table), Some(key)) => format!("{table} {key}"),
                        _ => format!(
                            "lane {} batches {}..{}",
                            letter.lane, letter.batch_seq, letter.batch_seq_to
                        ),
                    };
                    format!("{}  {}  {what}: {}\n", letter.hub_id, letter.kind, letter.reason)
                };
                letters.iter().map(line).collect()
            })
        }
        DeadLetters::Retry { hub, json } => {
            let done = retry::retry(&mut client, hub, now_ms).await?;
            say(&json, &done, || {
                let retry::Retried { written, superseded, refused, left } = done;
                format!("{written} written, {superseded} superseded, {refused} refused again, {left} left\n")
            })
        }
    }
}

fn say(json: &Json, value: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
    let text = if json.json { serde_json::to_string(value)? + "\n" } else { text() };
    say_line(&text)
}

/// A reader that went away is no failure.
fn say_line(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("write to standard output"),
    }
}
