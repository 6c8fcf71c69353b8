//! `rules`: what the rules make of what was measured.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Value, json};

use super::out;
use crate::config::Config;
use crate::domain::{Scale, UnitType};
use crate::replay::csv::{LINE_BYTES_MAX, Reader};
use crate::replay::{Player, ReplayUnit, Story};
use crate::rules::Tick;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Judge again what was measured, and tell which alerts there would have been.
    Replay(ReplayArgs),
}

#[derive(clap::Args)]
pub struct ReplayArgs {
    /// The first day of the stored history to judge again, in the site's time zone.
    #[arg(long, value_name = "DATE", conflicts_with = "csv")]
    from: Option<Date>,
    /// The last day; without it, until now.
    #[arg(long, value_name = "DATE", requires = "from")]
    to: Option<Date>,
    /// Limits, delays and rules to try (`src/replay/overlay.rs` shows the form): a TOML file.
    #[arg(long, value_name = "FILE", requires = "from")]
    with: Option<PathBuf>,
    /// A recorded series of one unit: a header line, then time_iso,temperature_c and, if known, door (1/0/open/closed)
    /// and defrost (1/0). An empty temperature is no reading.
    #[arg(long, value_name = "FILE", requires_all = ["min", "max"])]
    csv: Option<PathBuf>,
    /// The unit's limits, in degrees of --temp-unit.
    #[arg(long, value_name = "DEGREES", value_parser = tenths, allow_negative_numbers = true)]
    min: Option<i32>,
    #[arg(long, value_name = "DEGREES", value_parser = tenths, allow_negative_numbers = true)]
    max: Option<i32>,
    /// fridge, freezer, display_case, walk_in_cooler, walk_in_freezer or blast_chiller.
    #[arg(long, value_name = "TYPE", value_parser = unit_type, default_value = "freezer")]
    unit_type: UnitType,
    /// Scale of --min and --max: C or F. What the series has stands in its header (temperature_c, temperature_f).
    #[arg(long, value_name = "SCALE", value_parser = scale, default_value = "C")]
    temp_unit: Scale,
    /// Minutes of a rule's confirm delay; without it the configuration's.
    #[arg(long, value_name = "MIN", value_parser = clap::value_parser!(i32).range(0..=1_440))]
    delay: Option<i32>,
    /// Zone of times without an offset. An hour that comes twice at a clock change is read as it was written, one after
    /// the other.
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    zone: String,
    /// Print a JSON list.
    #[arg(long)]
    json: bool,
}

pub fn run(config: Option<&Path>, command: &Command) -> Result<()> {
    match command {
        Command::Replay(ReplayArgs { from: Some(from), to, with, json, .. }) => {
            let wanted = super::replay::Wanted { from: *from, to: *to, with: with.as_ref(), json: *json };
            super::replay::run(config, &wanted)
        }
        Command::Replay(args) => replay(config, args, &mut std::io::stdout().lock(), &mut std::io::stderr()),
    }
}

fn replay(
    config: Option<&Path>,
    args: &ReplayArgs,
    out: &mut impl Write,
    notes: &mut impl Write,
) -> Result<()> {
    let (Some(path), Some(temp_min), Some(temp_max)) = (&args.csv, args.min, args.max) else {
        bail!(
            "say what to replay: --from DATE [--to DATE] for the stored history, or --csv FILE --min DEGREES --max DEGREES"
        );
    };
    if temp_max <= temp_min {
        bail!("--max must be above --min");
    }
    let unit = ReplayUnit {
        unit_type: args.unit_type,
        scale: args.temp_unit,
        temp_min,
        temp_max,
        delay_min: args.delay,
        constants: Config::load(config)?.rules,
    };
    let file = std::fs::File::open(path).with_context(|| format!("open {}", path.display()))?;
    let played = play(BufReader::with_capacity(1 << 16, file), &unit, &args.zone)
        .with_context(|| format!("replay {}", path.display()))?;
    // Standard error may be closed; what was asked for is on standard output.
    let _ = played.note(notes);
    if args.json {
        let list: Vec<Value> = played.stories.iter().map(story_json).collect();
        writeln!(out, "{}", serde_json::to_string_pretty(&list)?)?;
    } else {
        out::table_to(out, &HEADER, &played.stories.iter().map(story_row).collect::<Vec<_>>())?;
    }
    Ok(())
}

/// What came of a file.
struct Played {
    stories: Vec<Story>,
    graces: u64,
    rows: u64,
    readings: u64,
    /// Lines that could not be used, and the first of them.
    bad: u64,
    first_bad: Option<(u64, String)>,
}

fn play(mut lines: impl BufRead, unit: &ReplayUnit, zone: &str) -> Result<Played> {
    let mut line = Vec::new();
    read_line(&mut lines, &mut line)?;
    let mut reader = Reader::new(&String::from_utf8_lossy(&line), zone)?;
    let mut played = Played { stories: Vec::new(), graces: 0, rows: 0, readings: 0, bad: 0, first_bad: None };
    let mut player = None;
    let mut number = 1;
    while read_line(&mut lines, &mut line)? {
        number += 1;
        let text = std::str::from_utf8(&line).map_or("", str::trim_end);
        if text.is_empty() && line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match reader.row(text) {
            Ok(row) => {
                played.rows += 1;
                played.readings += u64::from(row.temperature.is_some());
                player.get_or_insert_with(|| Player::new(unit, row.unix_ms)).play(&row);
            }
            Err(error) => {
                played.bad += 1;
                played.first_bad.get_or_insert_with(|| (number, error.to_string()));
            }
        }
    }
    let Some(player) = player.filter(|_| played.readings > 0) else {
        let why = played.first_bad.map_or_else(String::new, |(at, why)| format!("; line {at}: {why}"));
        bail!("there is no row with a temperature in it{why}");
    };
    (played.stories, played.graces) = player.finish();
    Ok(played)
}

/// False at the end. What is longer than a line may be is cut off, so that it is counted as a bad one.
fn read_line(lines: &mut impl BufRead, line: &mut Vec<u8>) -> Result<bool> {
    line.clear();
    loop {
        let buffer = lines.fill_buf().context("read a line")?;
        if buffer.is_empty() {
            return Ok(!line.is_empty());
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let part = &buffer[..end.unwrap_or(buffer.len())];
        let room = (LINE_BYTES_MAX + 1).saturating_sub(line.len());
        line.extend_from_slice(&part[..part.len().min(room)]);
        let used = part.len() + usize::from(end.is_some());
        lines.consume(used);
        if end.is_some() {
            if line.len() > LINE_BYTES_MAX {
                *line = b"(too long)".to_vec();
            }
            // An empty line is a line too.
            if line.is_empty() {
                line.push(b'\r');
            }
            return Ok(true);
        }
    }
}

impl Played {
    fn note(&self, notes: &mut impl Write) -> std::io::Result<()> {
        let called = self.stories.iter().filter(|story| story.confirmed.is_some()).count();
        writeln!(
            notes,
            "{} rows, {} readings, {} alerts, {called} of them called somebody; an open door's grace was enough {} times",
            self.rows,
            self.readings,
            self.stories.len(),
            self.graces
        )?;
        if let Some((line, why)) = &self.first_bad {
            writeln!(
                notes,
                "{} lines were left out, the first is line {line}: {}",
                self.bad,
                out::shown(why)
            )?;
        }
        Ok(())
    }
}

const HEADER: [&str; 8] =
    ["TYPE", "SEVERITY", "OPENED", "CONFIRMED", "RESOLVED", "TRIGGER", "REASON", "HELD BACK"];

fn story_row(story: &Story) -> Vec<String> {
    let or_dash = |at: Option<Tick>| at.map_or_else(|| "-".into(), iso);
    let held = story.held.iter().map(|hold| {
        let minutes =
            hold.until.map_or_else(String::new, |until| format!(" {} min", until.since(hold.since) / 60_000));
        format!("{}{minutes}", hold.cause.as_str())
    });
    vec![
        story.alert_type.to_string(),
        story.severity.to_string(),
        iso(story.opened),
        or_dash(story.confirmed),
        or_dash(story.resolved),
        story.trigger.map_or_else(|| "-".into(), |trigger| format!("{:.2}", f64::from(trigger) / 100.0)),
        story.reason.unwrap_or("-").to_owned(),
        held.collect::<Vec<_>>().join(", "),
    ]
}

fn story_json(story: &Story) -> Value {
    let time = |at: Option<Tick>| at.map(iso);
    let held: Vec<Value> = story
        .held
        .iter()
        .map(|hold| {
            json!({
                "cause": hold.cause.as_str(),
                "since": iso(hold.since),
                "until": time(hold.until),
                "end": hold.end.map(crate::rules::HoldEnd::as_str),
            })
        })
        .collect();
    json!({
        "type": story.alert_type.as_str(),
        "severity": story.severity.as_str(),
        "opened": iso(story.opened),
        "confirmed": time(story.confirmed),
        "critical": time(story.critical),
        "resolved": time(story.resolved),
        "trigger": story.trigger.map(|trigger| f64::from(trigger) / 100.0),
        "violated": story.violated,
        "reason": story.reason,
        "estimate": story.estimate,
        "held": held,
    })
}

/// RFC 3339, UTC.
fn iso(at: Tick) -> String {
    Timestamp::from_millisecond(at.0).map_or_else(|_| at.0.to_string(), |time| time.to_string())
}

fn tenths(text: &str) -> Result<i32, String> {
    let degrees: f64 = text.parse().map_err(|_| format!("{text:?} is no number of degrees"))?;
    let tenths = degrees * 10.0;
    if !(-1_000.0..=3_000.0).contains(&tenths) || (tenths - tenths.round()).abs() > 1e-6 {
        return Err("limits are between -100 and 300 degrees, with one decimal".into());
    }
    Ok(tenths.round() as i32)
}

fn unit_type(text: &str) -> Result<UnitType, String> {
    UnitType::parse(text).ok_or_else(|| {
        let all: Vec<&str> = UnitType::ALL.iter().map(|own| own.as_str()).collect();
        format!("it must be one of {}", all.join(", "))
    })
}

fn scale(text: &str) -> Result<Scale, String> {
    Scale::parse(text).ok_or_else(|| "it must be C or F".into())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: ReplayArgs,
    }

    /// What is printed, and what is noted.
    fn output(csv: &str, args: &[&str]) -> Result<(String, String), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("series.csv");
        std::fs::write(&path, csv).unwrap();
        let all = [&["replay", "--csv", path.to_str().unwrap()], args].concat();
        let cli = Cli::try_parse_from(all).map_err(|error| error.to_string())?;
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        replay(None, &cli.args, &mut out, &mut notes).map_err(|error| format!("{error:#}"))?;
        Ok((String::from_utf8(out).unwrap(), String::from_utf8(notes).unwrap()))
    }

    const FRIDGE: &[&str] = &["--min", "0", "--max", "5", "--unit-type", "fridge"];

    #[test]
    fn alerts_of_a_series_with_a_door() {
        let csv = "time_iso,temperature_c,door\n\
                   2026-05-01T10:00:00Z,4.0,closed\n\
                   2026-05-01T10:05:00Z,8.0,open\n\
                   2026-05-01T10:10:00Z,8.0,1\n\
                   2026-05-01T10:15:00Z,8.0,0\n\
                   2026-05-01T10:25:00Z,8.0,\n\
                   2026-05-01T10:35:00Z,8.0,\n\
                   2026-05-01T10:40:00Z,4.0,\n\
                   2026-05-01T10:45:00Z,4.0,\n";
        let (text, notes) = output(csv, &[FRIDGE, &["--json"]].concat()).unwrap();
        let alerts: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(alerts[0]["type"], "door_open");
        assert_eq!(alerts[0]["opened"], "2026-05-01T10:08:00Z");
        assert_eq!(alerts[0]["confirmed"], "2026-05-01T10:08:00Z");
        assert_eq!(alerts[0]["resolved"], "2026-05-01T10:15:00Z");
        assert_eq!(
            alerts[1],
            json!({
                "type": "alarm_active", "severity": "critical", "opened": "2026-05-01T10:15:00Z",
                "confirmed": "2026-05-01T10:35:00Z", "critical": "2026-05-01T10:35:00Z",
                "resolved": "2026-05-01T10:40:00Z", "trigger": 8.0, "violated": "max",
                "reason": "confirm_delay_over", "estimate": null,
                "held": [
                    {"cause": "door_grace", "since": "2026-05-01T10:05:00Z", "until": "2026-05-01T10:15:00Z", "end": "excursion"},
                    {"cause": "door_delay", "since": "2026-05-01T10:25:00Z", "until": "2026-05-01T10:35:00Z", "end": "alarm"},
                ],
            })
        );
        assert_eq!(notes.lines().count(), 1, "{notes}");
        let (text, _) = output(csv, FRIDGE).unwrap();
        assert!(text.starts_with("TYPE          SEVERITY  OPENED"), "{text}");
        assert!(text.contains("door_grace 10 min, door_delay 10 min"), "{text}");
    }

    #[test]
    fn lines_that_cannot_be_read_are_counted_and_files_without_a_row_refused() {
        let long = "x".repeat(3 * LINE_BYTES_MAX);
        let csv = format!(
            "\u{feff}note,TIME_ISO,temperature_f\r\n\
             a,2026-05-01T10:00:00+02:00,39.2\r\n\
             \r\n\
             b,2026-05-01T08:05:00Z,\r\n\
             c,soon,39.2\r\n\
             {long}\r\n\
             d,2026-05-01T07:00:00Z,39.2\r\n\
             e,2026-05-01T08:10:00Z,NaN\r\n\
             f,2026-05-01T08:15:00Z,39.2"
        );
        let (_, notes) = output(&csv, FRIDGE).unwrap();
        assert!(notes.starts_with("4 rows, 2 readings, 0 alerts"), "{notes}");
        assert!(
            notes.ends_with("3 lines were left out, the first is line 5: \"soon\" is no time\n"),
            "{notes}"
        );
        for (csv, args, want) in [
            ("", FRIDGE, "the header has no column time_iso"),
            (
                "time_iso,humidity\n",
                FRIDGE,
                "the header has neither a column temperature_c nor temperature_f",
            ),
            (
                "time_iso,temperature_c\n2026-05-01T10:00:00Z,warm\n",
                FRIDGE,
                "line 2: \"warm\" is no temperature",
            ),
            (
                "time_iso,temperature_c\n2026-05-01T10:00:00Z,\n",
                FRIDGE,
                "there is no row with a temperature in it",
            ),
            ("x", &["--min", "5", "--max", "0"][..], "--max must be above --min"),
            ("x", &["--min", "-20"], "--max"),
            ("x", &["--min", "0.55", "--max", "5"], "one decimal"),
            ("x", &["--min", "0", "--max", "5", "--unit-type", "oven"], "must be one of fridge, freezer"),
            ("time_iso,temperature_c\n", &["--min", "0", "--max", "5", "--zone", "Mars/Olympus"], "unknown"),
        ] {
            let error = output(csv, args).unwrap_err();
            assert!(error.contains(want), "{error}");
        }
    }
}
