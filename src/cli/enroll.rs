//! `enroll`: join a site of the central database. The code is read from a prompt, standard input or a file; never from
//! an argument, which every user of the box could see.

use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{ask, lists, out};
use crate::control::{Enroll, Request};

/// A code has 10 characters; people add spaces and dashes.
const CODE_CHARS_MAX: usize = 64;

#[derive(clap::Args)]
pub struct Args {
    /// The URL of the receiver (it begins with https); else [uplink] url of the configuration.
    url: Option<String>,
    /// Read the one-time code from this file ("-": standard input); else it is asked for.
    #[arg(long, value_name = "FILE")]
    code_file: Option<PathBuf>,
    /// Which local unit is which central one: lines of `local name = central name or id`.
    #[arg(long, value_name = "FILE")]
    unit_map: Option<PathBuf>,
    /// Ask central to make the units it does not have.
    #[arg(long)]
    create_units: bool,
    /// Replace an earlier enrolment.
    #[arg(long)]
    replace: bool,
    #[arg(long)]
    json: bool,
}

pub fn run(config: Option<&Path>, args: &Args) -> Result<()> {
    let url = match &args.url {
        Some(url) => url.clone(),
        None => crate::config::Config::load(config)?
            .uplink
            .url
            .context("no receiver is given: name its URL, or set [uplink] url in the configuration")?,
    };
    let unit_map = args.unit_map.as_deref().map(read_map).transpose()?.unwrap_or_default();
    let code = read_code(args.code_file.as_deref())?;
    let request = Request::Enroll(Enroll {
        url,
        code,
        unit_map,
        create_units: args.create_units,
        replace: args.replace,
    });
    let value = ask::ask(config, &request)?;
    if args.json { out::json(&value) } else { lists::said(&value) }
}

fn read_code(file: Option<&Path>) -> Result<String> {
    let text = match file {
        Some(path) if path != Path::new("-") => {
            std::fs::read_to_string(path).with_context(|| format!("read the code from {}", path.display()))?
        }
        _ => {
            let stdin = std::io::stdin();
            if file.is_none() && stdin.is_terminal() {
                let mut stderr = std::io::stderr();
                write!(stderr, "one-time code: ")?;
                stderr.flush()?;
            }
            let mut line = String::new();
            stdin.lock().read_line(&mut line).context("read the code")?;
            line
        }
    };
    let code: String = text.trim().chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
    if code.is_empty() || code.len() > CODE_CHARS_MAX {
        bail!(
            "that is no enrolment code: it has 10 characters, as `frostguard-receiver hub add` printed them"
        );
    }
    Ok(code.to_ascii_uppercase())
}

fn read_map(path: &Path) -> Result<Vec<(String, String)>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("read the unit map {}", path.display()))?;
    let mut map = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((local, central)) = line.split_once('=') else {
            bail!("{}, line {}: expected `local name = central name or id`", path.display(), number + 1);
        };
        map.push((local.trim().to_owned(), central.trim().to_owned()));
    }
    Ok(map)
}
