//! `config check` and `config print`.

use std::path::Path;

use anyhow::{Result, bail};
use clap::Subcommand;

use super::out;
use crate::config::Config;

#[derive(Subcommand)]
pub enum Command {
    /// Say what is wrong with the configuration; exit code 1 if it would not start.
    Check,
    /// Print an example with every key and its default, all commented out.
    Print,
}

pub fn run(path: Option<&Path>, command: &Command) -> Result<()> {
    match command {
        Command::Check => check(path),
        Command::Print => out::line(Config::example().trim_end()),
    }
}

fn check(path: Option<&Path>) -> Result<()> {
    let config = path.map_or_else(|| Ok(Config::default()), Config::read)?;
    let shown = path.map_or_else(|| "the defaults (no file)".into(), |path| path.display().to_string());
    let mut findings = config.check();
    findings.warnings.extend(config.codecs().0.check(&super::script_worker::clock()?));
    for warning in &findings.warnings {
        out::line(&format!("warning: {warning}"))?;
    }
    for error in &findings.errors {
        out::line(&format!("error: {error}"))?;
    }
    match findings.errors.len() {
        0 => out::line(&format!("{shown}: ok")),
        1 => bail!("{shown} has an error"),
        many => bail!("{shown} has {many} errors"),
    }
}
