//! `power`: what power cuts did.

use std::path::Path;

use anyhow::Result;
use clap::Subcommand;
use serde_json::Value;

use super::{ask, out};
use crate::control::Request;

#[derive(Subcommand)]
pub enum Command {
    /// The reports of the last power cuts: for every unit how long it was too warm, and when it was back.
    Report {
        #[arg(long)]
        json: bool,
    },
}

pub fn run(config: Option<&Path>, command: &Command) -> Result<()> {
    let Command::Report { json } = command;
    let value = ask::ask(config, &Request::PowerReport)?;
    if *json { out::json(&value) } else { print(&value) }
}

fn print(value: &Value) -> Result<()> {
    if value["is_open"] == true {
        out::line(if value["is_back"] == true {
            "after a power cut: its report is written when all units are back inside, or after 4 h\n"
        } else {
            "there is no mains power\n"
        })?;
    }
    let reports = value["reports"].as_array().map_or(&[][..], Vec::as_slice);
    if reports.is_empty() {
        return out::line("no power cut was reported");
    }
    for report in reports {
        out::line(&out::shown(report["subject"].as_str().unwrap_or_default()))?;
        for line in report["text"].as_str().unwrap_or_default().lines() {
            out::line(&format!("  {}", out::shown(line)))?;
        }
    }
    Ok(())
}
