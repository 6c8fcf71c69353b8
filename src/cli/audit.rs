//! `audit`: verify the chain, take it along. Both read the file alone, hub running or not, here or on another computer.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::out;
use crate::audit::export::{ExportWalk, Line};
use crate::audit::walk::Report;
use crate::config::Config;
use crate::control::show::local;
use crate::store::{Store, audit_check, epochs, registry};

/// A row of an export: its payload names a few ids; an enrolment's names every row that took another, 3,000 at most,
/// which is 300 kB as JSON and twice that as hexadecimal digits.
const LINE_BYTES_MAX: u64 = 4 << 20;

#[derive(Subcommand)]
pub enum Command {
    /// Walk the audit chain and name the first row that is not as it was written.
    ///
    /// The chain covers who, what, on which unit or device, when (in the hub's own counting) and every value, not the
    /// sentence made for people. Rows cut off the newest end cannot be seen from the chain alone: compare the head
    /// printed here with one noted earlier or shown by central (--head). Exit code: 0 good, 1 broken, 2 cannot look.
    Verify(VerifyArgs),
    /// Write the audit chain as JSON lines, which `audit verify --export` verifies by themselves.
    Export(ExportArgs),
}

#[derive(Args)]
pub struct VerifyArgs {
    /// Another database file: a copy, a backup. Else this hub's.
    #[arg(long, value_name = "FILE", conflicts_with = "export")]
    database: Option<PathBuf>,
    /// JSON lines that `audit export` wrote; - is standard input.
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
    /// A head noted earlier, 64 hex digits: it must be in a chain (an export must end with it).
    #[arg(long, value_name = "HASH")]
    head: Option<String>,
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct ExportArgs {
    /// Another database file: a copy, a backup. Else this hub's.
    #[arg(long, value_name = "FILE")]
    database: Option<PathBuf>,
    /// A table for people instead of JSON lines.
    #[arg(long)]
    csv: bool,
    /// The first day, in the site's time zone.
    #[arg(long, value_name = "YYYY-MM-DD")]
    from: Option<Date>,
    /// The last day.
    #[arg(long, value_name = "YYYY-MM-DD")]
    to: Option<Date>,
    /// A new file, readable by its owner; else standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Nothing could be said of the chain: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("cannot look at the audit chain")]
pub struct CannotLook;

pub fn run(config: Option<&Path>, command: &Command) -> Result<()> {
    match command {
        Command::Verify(args) => verify(config, args),
        Command::Export(args) => export(config, args),
    }
}

fn verify(config: Option<&Path>, args: &VerifyArgs) -> Result<()> {
    let (report, zone) = look(config, args).context(CannotLook)?;
    if args.json {
        out::json(&json!({ "is_good": report.broken.is_none(), "report": report }))?;
    } else {
        print(&report, &zone)?;
    }
    if report.broken.is_some() {
        bail!("the audit chain is broken");
    }
    Ok(())
}

fn look(config: Option<&Path>, args: &VerifyArgs) -> Result<(Report, String)> {
    let head = args.head.as_deref().map(parse_head).transpose()?;
    if let Some(path) = &args.export {
        let report = if path == Path::new("-") {
            verify_lines(std::io::stdin().lock(), head.as_deref())?
        } else {
            let file = File::open(path).with_context(|| format!("open the export {}", path.display()))?;
            verify_lines(BufReader::new(file), head.as_deref())?
        };
        return Ok((report, "UTC".to_owned()));
    }
    let (connection, zone) = open(config, args.database.as_deref())?;
    Ok((audit_check::verify(&connection, head.as_deref())?, zone))
}

fn parse_head(text: &str) -> Result<String> {
    if text.len() != 64 || !text.chars().all(|digit| digit.is_ascii_hexdigit()) {
        bail!("a head has 64 hexadecimal digits");
    }
    Ok(text.to_ascii_lowercase())
}

/// Walks over the lines of an export.
pub fn verify_lines(mut lines: impl BufRead, known_head: Option<&str>) -> Result<Report> {
    let mut walk = ExportWalk::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let read =
            lines.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line).context("read the export")?;
        if read == 0 {
            return Ok(walk.finish(known_head));
        }
        let text = String::from_utf8_lossy(&line);
        if !text.trim().is_empty() && !walk.take(text.trim_end()) {
            return Ok(walk.finish(known_head));
        }
    }
}

fn print(report: &Report, zone: &str) -> Result<()> {
    for epoch in &report.epochs {
        let reason = epoch.reason.as_deref().map_or(String::new(), |reason| format!(" ({reason})"));
        out::line(&format!("epoch {}{}: {} good rows", epoch.epoch, out::shown(&reason), epoch.rows))?;
        if epoch.first_seq > 1 {
            out::line(&format!("  begins with row {}: what was before is not in it", epoch.first_seq))?;
        }
        out::line(&format!("  head {}", epoch.head))?;
    }
    if report.foreign > 0 {
        out::line(&format!("{} rows are another writer's: the chain says nothing of them", report.foreign))?;
    }
    let Some(broken) = &report.broken else {
        return out::line(&format!(
            "good: {} rows. Rows cut off the newest end do not show here: keep the last head, and give it by --head the next time",
            report.good
        ));
    };
    out::line(&format!("BROKEN after {} good rows:", report.good))?;
    let shown = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    for (name, value) in [
        ("epoch", shown(broken.epoch.clone())),
        ("row", shown(broken.seq.map(|seq| seq.to_string()))),
        ("event", shown(broken.event_id.map(|id| id.to_string()))),
        ("time", shown(broken.occurred_ms.map(|ms| format!("{} {zone}", local(ms, zone))))),
    ] {
        out::line(&format!("  {name:<6} {}", out::shown(&value)))?;
    }
    broken.differs.iter().try_for_each(|what| out::line(&format!("  {}", out::shown(what))))
}

/// The database to look at, and the site's time zone.
fn open(config: Option<&Path>, file: Option<&Path>) -> Result<(Connection, String)> {
    let config = Config::load(config)?;
    let connection = match file {
        Some(path) => Store::file_reader(path)?,
        None => Store::reader(&config.hub.state_dir)?,
    };
    let zone = match registry::place(&connection).context("read the site of the database")? {
        Some(place) => registry::zone(&connection, place.site)?,
        None => config.zone(),
    };
    Ok((connection, zone))
}

fn export(config: Option<&Path>, args: &ExportArgs) -> Result<()> {
    let (connection, zone) = open(config, args.database.as_deref())?;
    let zone = TimeZone::get(&zone).unwrap_or(TimeZone::UTC);
    let days = Days::of(args.from, args.to, &zone)?;
    let Some(path) = &args.out else {
        write_rows(&connection, &days, &zone, args.csv, &mut BufWriter::new(std::io::stdout().lock()))?;
        return Ok(());
    };
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("make the new file {}", path.display()))?;
    let mut writer = BufWriter::new(file);
    let rows = write_rows(&connection, &days, &zone, args.csv, &mut writer)
        .with_context(|| format!("write {}", path.display()))?;
    writer
        .into_inner()
        .map_err(std::io::IntoInnerError::into_error)
        .and_then(|file| file.sync_all())
        .with_context(|| format!("write {}", path.display()))?;
    out::line(&format!("wrote {rows} rows to {}", path.display()))
}

/// Instants of whole days, Unix ms, the end not included.
pub(crate) struct Days {
    from_ms: i64,
    to_ms: i64,
}

impl Days {
    pub(crate) fn of(from: Option<Date>, to: Option<Date>, zone: &TimeZone) -> Result<Self> {
        let start = |date: Date| -> Result<i64> {
            Ok(date.to_zoned(zone.clone()).context("find the day")?.timestamp().as_millisecond())
        };
        let from_ms = from.map_or(Ok(i64::MIN), start)?;
        let to_ms = match to {
            Some(date) => start(date.tomorrow().context("find the day after")?)?,
            None => i64::MAX,
        };
        if from_ms >= to_ms {
            bail!("--to lies before --from");
        }
        Ok(Self { from_ms, to_ms })
    }
}

/// Writes the rows between the first and the last of these days, so that they follow from each other. Returns how many.
pub(crate) fn write_rows(
    connection: &Connection,
    days: &Days,
    zone: &TimeZone,
    csv: bool,
    out: &mut impl Write,
) -> Result<u64> {
    if csv {
        writeln!(out, "{}", CSV_COLUMNS.join(","))?;
    }
    let mut spans = Vec::new();
    for epoch in epochs::all(connection)? {
        if let Some((lo, hi)) = audit_check::bounds(connection, epoch.no, days.from_ms, days.to_ms)? {
            spans.push((epoch, lo, hi));
        }
    }
    let mut rows = 0;
    let last = spans.len().saturating_sub(1);
    for (index, (epoch, lo, hi)) in spans.iter().enumerate() {
        // Where an epoch ends and the next begins, both are whole there: provisional times leave no hole.
        let mut after = if index > 0 { i64::MIN } else { *lo - 1 };
        let until = if index < last { i64::MAX } else { *hi };
        loop {
            let links = audit_check::page(connection, epoch.no, after)?;
            let Some(end) = links.last().map(|link| link.seq as i64) else { break };
            for link in links.iter().filter(|link| link.seq as i64 <= until) {
                let ms = link.row.as_ref().map_or(0, |row| row.occurred_ms);
                let Some(line) = Line::of(epoch.epoch, link, rfc3339(ms, zone)) else {
                    bail!("row {} is missing: `audit verify` says more", link.seq);
                };
                rows += 1;
                if csv {
                    writeln!(out, "{}", csv_line(&line))?;
                } else {
                    writeln!(out, "{}", serde_json::to_string(&line)?)?;
                }
            }
            if end >= until {
                break;
            }
            after = end;
        }
    }
    out.flush()?;
    Ok(rows)
}

fn rfc3339(ms: i64, zone: &TimeZone) -> String {
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(time) => time.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string(),
        Err(_) => format!("{ms} ms"),
    }
}

const CSV_COLUMNS: [&str; 16] = [
    "time",
    "epoch",
    "seq",
    "id",
    "actor",
    "actor_id",
    "event_type",
    "category",
    "entity",
    "entity_id",
    "description",
    "payload",
    "time_ms",
    "previous_hash",
    "hash",
    "canonical",
];

fn csv_line(line: &Line) -> String {
    let value = serde_json::to_value(line).unwrap_or_default();
    let cells: Vec<String> = CSV_COLUMNS.iter().map(|column| csv_cell(&value[column])).collect();
    cells.join(",")
}

/// RFC 4180. What a spreadsheet would take for a formula is made text: names come from people and from the radio.
fn csv_cell(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let is_formula = value.is_string() && text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if is_formula { format!("'{text}") } else { text };
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests;
