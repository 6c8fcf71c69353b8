//! `notify test`: does an alarm reach people?

use std::path::Path;

use anyhow::{Result, bail};
use clap::Subcommand;
use serde_json::Value;

use super::{ask, out};
use crate::control::{NotifyTest, Request};

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Send a test over each channel and say what happened. The exit code is 1 when one failed.
    Test {
        /// Only this channel: its kind (sms, email, signal, webhook, mqtt) or its configured name.
        #[arg(value_name = "CHANNEL")]
        channel: Option<String>,
        /// The number or address to try; else the first contact that has one.
        #[arg(long, value_name = "NUMBER|ADDRESS")]
        to: Option<String>,
        #[arg(long)]
        json: bool,
    },
}

pub fn run(config: Option<&Path>, command: Command) -> Result<()> {
    let Command::Test { channel, to, json } = command;
    let answer = ask::ask(config, &Request::NotifyTest(NotifyTest { channel, to }))?;
    if json {
        out::json(&answer)?;
    } else {
        let rows: Vec<Vec<String>> = answer["results"].as_array().into_iter().flatten().map(row).collect();
        out::table(&["CHANNEL", "NAME", "TO", "RESULT", "DETAIL"], &rows)?;
    }
    if answer["ok"] != true {
        bail!("not every channel works");
    }
    Ok(())
}

fn row(result: &Value) -> Vec<String> {
    let text = |key: &str| result[key].as_str().unwrap_or_default().to_owned();
    let outcome = if result["ok"] == true { "sent" } else { "FAILED" };
    vec![text("channel"), text("name"), text("recipient"), outcome.to_owned(), text("detail")]
}
