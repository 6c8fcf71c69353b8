//! `demo`: the kitchen, a hub and a central in one program, with a line between them that can be cut.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use super::central::HOW_TO_GET;
use super::keys::Keys;
use super::kitchen::{CUT_MINUTE, RESTORE_MINUTE};
use super::news::News;
use super::screen::{CentralCounts, Page, page, redraw};
use super::sensors::Play;
use super::stage::{Beyond, Line, Stage};
use super::{listen_for_stop, say};
use crate::clock::{Clock, ScaledClock, SystemClock};
use crate::control::Request;
use crate::domain::MonoMs;
use crate::source::stopped;

/// Without `--minutes`: a week, after which the simulated time would pass the real one.
const MINUTES_MAX: u32 = 7 * 24 * 60;
/// Between two pictures.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// After the end everything must be in PostgreSQL within this time.
const DRAIN_MAX: Duration = Duration::from_mins(1);
/// Lines of the hub's log shown when something failed.
const LOG_LINES_SHOWN: usize = 20;

#[derive(clap::Args)]
pub struct DemoArgs {
    /// Simulated minutes to play, ending now; without it, until q or Ctrl-C (a week at most).
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(MINUTES_MAX)))]
    minutes: Option<u32>,
    /// How many times faster the simulated time runs.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=600))]
    fast: u32,
    /// Another seed, other noise.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub fn demo(args: &DemoArgs) -> Result<()> {
    crate::hub::install_crypto();
    let folder =
        tempfile::Builder::new().prefix("frostguard-demo-").tempdir().context("make a temporary folder")?;
    // PostgreSQL may run as another user below it; the hub's own folder in it is closed.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711))
        .context("open the folder")?;
    let log = folder.path().join("log");
    start_log(&log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("start the runtime")?;
    let shown = runtime.block_on(show(args, folder.path()));
    // Before the folder goes: nothing may still be writing into it.
    drop(runtime);
    shown.inspect_err(|_| {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        for line in &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..] {
            // Standard error may be closed; then there is nobody to tell.
            let _ = writeln!(io::stderr(), "{line}");
        }
    })
}

async fn show(args: &DemoArgs, folder: &Path) -> Result<()> {
    let minutes = args.minutes.unwrap_or(MINUTES_MAX);
    let real: Arc<dyn Clock> = Arc::new(SystemClock::new()?);
    let clock = Arc::new(ScaledClock::catching_up(real.clone(), args.fast, i64::from(minutes) * 60_000));
    let mut stop = listen_for_stop()?;
    let beyond = tokio::select! {
        started = Beyond::start(folder) => started?,
        () = stopped(&mut stop) => return Ok(()),
    };
    if beyond.is_none() {
        say(HOW_TO_GET)?;
    }
    let url = beyond.as_ref().map(Beyond::url);
    let (stage, line) = Stage::set(folder, clock.clone(), real, url.as_deref())?;
    let show = Show {
        play: Play { seed: args.seed, minutes, fast: args.fast },
        started: clock.mono(),
        clock,
        stop,
        stage,
        beyond,
        news: News::default(),
        is_terminal: io::stdout().is_terminal(),
        drawn_lines: 0,
        is_automatic: true,
        cut: None,
    };
    show.run(line).await
}

/// What happened.
struct Show {
    play: Play,
    clock: Arc<ScaledClock>,
    started: MonoMs,
    /// Turns true at Ctrl-C and the like.
    stop: watch::Receiver<bool>,
    stage: Stage,
    beyond: Option<Beyond>,
    news: News,
    is_terminal: bool,
    /// Lines of the last picture.
    drawn_lines: usize,
    /// Nobody has pressed the key: the line is cut and restored at set minutes.
    is_automatic: bool,
    /// Minutes of the last cut and its end.
    cut: Option<(u32, Option<u32>)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// All minutes are over.
    Played,
    /// Somebody stopped it.
    Stopped,
}

impl Show {
    async fn run(mut self, mut line: Line) -> Result<()> {
        let summary = self.tell_all(&mut line).await;
        let struck = self.stage.strike().await;
        // The hub hears its port to the end.
        drop(line);
        let stopped = match self.beyond {
            Some(beyond) => beyond.central.stop().await,
            None => Ok(()),
        };
        // What failed first is what counts.
        say(summary?.trim_end())?;
        struck.and(stopped)
    }

    /// From the first unit to the summary.
    async fn tell_all(&mut self, line: &mut Line) -> Result<String> {
        self.stage.pair().await?;
        if let Some(beyond) = &mut self.beyond {
            let code = beyond.central.add_hub().await?;
            self.stage.enroll(&beyond.url(), code).await?;
        }
        self.started = self.clock.mono();
        self.clock.run_at(self.play.fast);
        let played = self.play(line).await;
        // From here on simulated time must not run past the real one.
        self.clock.run_at(1);
        if played? == Ended::Played {
            self.drain().await?;
        }
        self.summary().await
    }

    async fn play(&mut self, line: &mut Line) -> Result<Ended> {
        let mut keys = if self.is_terminal { Keys::listen() } else { None };
        let (play, clock) = (self.play, self.clock.clone());
        let sensors = play.run(clock, async |transmission| line.write(&transmission.reyax_line()).await);
        tokio::pin!(sensors);
        let mut stop = self.stop.clone();
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                played = &mut sensors => return played.map(|()| Ended::Played),
                () = stopped(&mut stop) => return Ok(Ended::Stopped),
                _ = look.tick() => self.look(keys.is_some()).await?,
                key = next_key(&mut keys) => match key {
                    b'q' => return Ok(Ended::Stopped),
                    b'c' => {
                        self.is_automatic = false;
                        self.turn_link()?;
                    }
                    _ => {}
                },
            }
        }
    }

    /// Looks at the hub and tells what is to be seen.
    async fn look(&mut self, has_keys: bool) -> Result<()> {
        let minute = self.minute();
        if self.is_automatic
            && let Some(beyond) = &self.beyond
        {
            let is_due = if beyond.link.is_open() {
                self.cut.is_none() && (CUT_MINUTE..RESTORE_MINUTE).contains(&minute)
            } else {
                minute >= RESTORE_MINUTE
            };
            if is_due {
                self.turn_link()?;
            }
        }
        if self.is_terminal { self.draw(minute, has_keys).await } else { self.tell(minute).await }
    }

    async fn draw(&mut self, minute: u32, has_keys: bool) -> Result<()> {
        let status = self.stage.ask(&Request::Status).await?;
        let text = page(&Page {
            minute,
            minutes: self.play.minutes,
            fast: self.play.fast,
            status: &status,
            central: self.counts().await?,
            is_link_open: self.beyond.as_ref().is_none_or(|beyond| beyond.link.is_open()),
            bytes_up: self.beyond.as_ref().map_or(0, |beyond| beyond.link.bytes_up()),
            has_keys,
        });
        let mut out = io::stdout().lock();
        out.write_all(redraw(&text, self.drawn_lines).as_bytes())?;
        out.flush()?;
        self.drawn_lines = text.lines().count();
        Ok(())
    }

    async fn tell(&mut self, minute: u32) -> Result<()> {
        let alerts = self.stage.ask(&Request::AlertsList { all: true }).await?;
        for line in self.news.lines(list(&alerts["alerts"])) {
            say(&format!("minute {minute:>3}: {line}"))?;
        }
        Ok(())
    }

    /// Cuts the internet, or restores it.
    fn turn_link(&mut self) -> Result<()> {
        let minute = self.minute();
        let Some(beyond) = &self.beyond else { return Ok(()) };
        let line = if beyond.link.is_open() {
            beyond.link.cut();
            self.cut = Some((minute, None));
            "the internet is cut"
        } else {
            beyond.link.restore();
            self.cut = self.cut.map(|(from, _)| (from, Some(minute)));
            "the internet is back"
        };
        if !self.is_terminal {
            say(&format!("minute {minute:>3}: {line}"))?;
        }
        Ok(())
    }

    /// Waits until everything is in PostgreSQL.
    async fn drain(&mut self) -> Result<()> {
        if let Some(beyond) = &self.beyond
            && !beyond.link.is_open()
        {
            self.turn_link()?;
        }
        let has_central = self.beyond.is_some();
        let end = tokio::time::Instant::now() + DRAIN_MAX;
        loop {
            let status = self.stage.ask(&Request::Status).await?;
            let count = |section: &str, key: &str| status[section][key].as_u64().unwrap_or_default();
            let waiting = [
                ("readings not committed", count("readings", "waiting_for_commit")),
                ("readings not sent", if has_central { count("sync", "unsent_readings") } else { 0 }),
                ("changed rows not sent", if has_central { count("sync", "dirty_rows") } else { 0 }),
                ("batches on their way", if has_central { count("sync", "batches_in_flight") } else { 0 }),
            ];
            let Some((what, number)) = waiting.into_iter().find(|(_, number)| *number > 0) else {
                return Ok(());
            };
            if tokio::time::Instant::now() > end {
                bail!("{number} {what} {} s after the end", DRAIN_MAX.as_secs());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn summary(&mut self) -> Result<String> {
        let status = self.stage.ask(&Request::Status).await?;
        let alerts = self.stage.ask(&Request::AlertsList { all: true }).await?;
        let alerts = list(&alerts["alerts"]);
        let stored = status["readings"]["stored"].as_i64().unwrap_or_default();
        let mut out =
            format!("\n{} minutes played: {stored} readings, {} alerts\n", self.minute(), alerts.len());
        for alert in alerts {
            let text = |key: &str| alert[key].as_str().unwrap_or_default();
            let end = if alert["resolved"].is_null() {
                "open".to_owned()
            } else {
                format!("resolved {}", text("resolved"))
            };
            writeln!(
                out,
                "  {:<8} {} (since {}, {end})",
                text("severity"),
                text("message"),
                text("triggered")
            )?;
        }
        let (Some(beyond), Some(counts)) = (&self.beyond, self.counts().await?) else {
            return Ok(out);
        };
        if let Some((from, until)) = self.cut {
            let until = until.map_or("the end".to_owned(), |minute| format!("minute {minute}"));
            writeln!(out, "the internet was cut from minute {from} to {until}")?;
        }
        let CentralCounts { readings, alerts, audit } = counts;
        writeln!(out, "PostgreSQL: {readings} readings, {alerts} alerts, {audit} audit rows")?;
        if readings > 0 {
            let each = beyond.link.bytes_up() as f64 / readings as f64;
            writeln!(
                out,
                "bytes per reading: {each:.1} (all {} the hub sent: heads, alerts, audit and polls too)",
                beyond.link.bytes_up()
            )?;
        }
        Ok(out)
    }

    async fn counts(&self) -> Result<Option<CentralCounts>> {
        match &self.beyond {
            Some(beyond) => Ok(Some(beyond.central.counts().await?)),
            None => Ok(None),
        }
    }

    /// Simulated minutes since the start.
    fn minute(&self) -> u32 {
        ((self.clock.mono().0 - self.started.0) / 60_000) as u32
    }
}

async fn next_key(keys: &mut Option<Keys>) -> u8 {
    match keys {
        Some(keys) => keys.next().await,
        None => std::future::pending().await,
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn start_log(path: &Path) -> Result<()> {
    let file = std::fs::File::create(path).context("make the log")?;
    let filter = EnvFilter::try_from_env("FROSTGUARD_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(Mutex::new(file)).init();
    Ok(())
}
