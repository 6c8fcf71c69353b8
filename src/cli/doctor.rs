//! `doctor`: what keeps the hub from its work, and what to do about it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::out;
use crate::clock::{Clock, SystemClock};
use crate::control::show;
use crate::doctor::{self, Line, Verdict, gather, judge};
use crate::hub;

#[derive(clap::Args)]
pub struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Something is not as it should be.
#[derive(Debug)]
pub struct Unwell {
    pub verdict: Verdict,
    text: String,
}

impl fmt::Display for Unwell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Unwell {}

pub fn run(config: Option<&Path>, args: &Args) -> Result<()> {
    let clock = Arc::new(SystemClock::new()?);
    let lines = look(config, &clock)?;
    if args.json {
        out::json(&report(&lines, &*clock))?;
    } else {
        out::table(&["check", "result", "found"], &lines.iter().map(row).collect::<Vec<_>>())?;
        let todo: Vec<&Line> = lines.iter().filter(|line| line.todo.is_some()).collect();
        if !todo.is_empty() {
            out::line("\nwhat to do:")?;
        }
        for line in todo {
            let text = line.todo.as_deref().unwrap_or_default();
            out::line(&format!("  {}: {}", out::shown(&line.check), out::shown(text)))?;
        }
    }
    let of = |verdict, one: &str| {
        let count = lines.iter().filter(|line| line.verdict == verdict).count();
        format!("{count} {one}{}", if count == 1 { "" } else { "s" })
    };
    let text = format!("{} and {}", of(Verdict::Failure, "failure"), of(Verdict::Warning, "warning"));
    match doctor::worst(&lines) {
        Verdict::Ok => Ok(()),
        verdict => Err(Unwell { verdict, text }.into()),
    }
}

/// Gathers and judges.
pub fn look(config: Option<&Path>, clock: &Arc<SystemClock>) -> Result<Vec<Line>> {
    hub::install_crypto();
    let mut random = [0; 16];
    hub::system_random()(&mut random);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("start the runtime")?;
    let facts = runtime.block_on(gather::gather(config, clock, random));
    // Threads that hang in the kernel are left behind.
    runtime.shutdown_background();
    Ok(judge::judge(&facts))
}

/// As JSON.
pub fn report(lines: &[Line], clock: &dyn Clock) -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "time": show::local(clock.wall().0, "UTC"),
        "verdict": doctor::worst(lines),
        "lines": lines,
    })
}

fn row(line: &Line) -> Vec<String> {
    let result = match line.verdict {
        Verdict::Ok => "ok",
        Verdict::Warning => "warning",
        Verdict::Failure => "FAILURE",
    };
    vec![line.check.clone(), result.to_owned(), line.found.clone()]
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use frostguard_sync::receiver::cli::Cli as ReceiverCli;

    use super::super::Cli;

    /// Every file whose words a person is told.
    const SOURCES: [&str; 7] = [
        include_str!("../doctor/judge/hub.rs"),
        include_str!("../doctor/judge/machine.rs"),
        include_str!("../doctor/judge/net.rs"),
        include_str!("../doctor/gather/mod.rs"),
        include_str!("../doctor/gather/channels.rs"),
        include_str!("../doctor/gather/database.rs"),
        include_str!("../pipeline/vitals.rs"),
    ];

    /// Those of `program`. Commands stand between backticks; a string goes on behind a backslash at a line's end.
    fn commands(program: &str) -> Vec<String> {
        let mut found = Vec::new();
        for source in SOURCES {
            let code = source.lines().map(str::trim).filter(|line| !line.starts_with("//"));
            let text = code.collect::<Vec<_>>().join("\n").replace("\\\n", "");
            let parts = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
            let own = parts.filter(|part| part.split(' ').next() == Some(program));
            found.extend(own.map(|command| command.replace("\\\"", "\"")));
        }
        found
    }

    /// As a shell splits them: a quoted query is one.
    fn words(command: &str) -> Vec<String> {
        let (mut words, mut is_quoted) = (vec![String::new()], false);
        for c in command.chars() {
            match c {
                '"' => is_quoted = !is_quoted,
                ' ' if !is_quoted => words.push(String::new()),
                c => words.last_mut().unwrap().push(c),
            }
        }
        words
    }

    #[test]
    fn every_command_that_is_advised_exists() {
        let commands = commands("frostguard-hub");
        for known in [
            "frostguard-hub config check",
            "frostguard-hub notify test sms",
            "frostguard-hub pair open",
            "frostguard-hub sql \"SELECT * FROM hub_refused\"",
        ] {
            assert!(commands.iter().any(|command| command == known), "{known} is missing in {commands:#?}");
        }
        for command in commands {
            let filled =
                command.replace("EUI", "A840411234567890").replace("https://..", "https://c.example");
            if let Err(error) = Cli::try_parse_from(words(&filled)) {
                panic!("`{command}`: {error}");
            }
        }
        assert!(Cli::try_parse_from(words("frostguard-hub notify test --channel sms")).is_err());
    }

    #[test]
    fn every_command_of_the_receiver_that_is_advised_exists() {
        let commands = commands("frostguard-receiver");
        for known in ["hub code HUB", "hub add --site SITE --name NAME", "dead-letters list"] {
            let known = format!("frostguard-receiver {known}");
            assert!(commands.contains(&known), "{known} is missing in {commands:#?}");
        }
        for command in commands {
            let id = "0198c0de-0000-7000-8000-000000000001";
            let filled = command.replace("HUB", id).replace("SITE", id);
            if let Err(error) = ReceiverCli::try_parse_from(words(&filled)) {
                panic!("`{command}`: {error}");
            }
        }
        assert!(ReceiverCli::try_parse_from(words("frostguard-receiver hub code")).is_err());
    }
}
