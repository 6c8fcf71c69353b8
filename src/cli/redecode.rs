//! `redecode`: kept frames through a mended codec.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{ask, out};
use crate::control::{Redecode, RedecodeNext, Request};

#[derive(clap::Args)]
pub struct Args {
    /// EUI, address or name; its frames that could not be decoded.
    #[arg(required_unless_present = "all")]
    device: Option<String>,
    /// Frames that were decoded before too; without a device, of every device. Adds only what is not there yet.
    #[arg(long)]
    all: bool,
    /// First day, as 2026-11-24, in the site's zone; else all that is kept (14 days).
    #[arg(long, value_name = "DAY")]
    from: Option<String>,
    /// Last day.
    #[arg(long, value_name = "DAY")]
    to: Option<String>,
    #[arg(long)]
    json: bool,
}

/// What an answer counts.
const COUNTS: [&str; 8] =
    ["frames", "decoded", "readings", "known", "unplaced", "unassigned", "set_aside", "without_model"];

pub fn run(config: Option<&Path>, args: Args) -> Result<()> {
    let mut request =
        Redecode { device: args.device, all: args.all, from: args.from, to: args.to, next: None };
    let mut totals = [0; COUNTS.len()];
    loop {
        // A part each, so that the hub goes on hearing.
        let answer = ask::ask(config, &Request::Redecode(request.clone()))?;
        for (total, name) in totals.iter_mut().zip(COUNTS) {
            *total += answer[name].as_u64().unwrap_or(0);
        }
        let next: Option<RedecodeNext> =
            serde_json::from_value(answer["next"].clone()).context("read the hub's answer")?;
        if next.is_none() || next == request.next {
            break;
        }
        request.next = next;
    }
    if args.json {
        let counts = COUNTS.iter().zip(totals).map(|(name, total)| ((*name).to_owned(), Value::from(total)));
        return out::json(&json!(counts.collect::<serde_json::Map<_, _>>()));
    }
    let [frames, decoded, readings, known, unplaced, unassigned, set_aside, without_model] = totals;
    out::line(&format!(
        "{frames} kept frames, {decoded} decoded: {readings} late readings added, {known} were there already"
    ))?;
    if unplaced > 0 {
        out::line(&format!("{unplaced} frames came before the clock was trusted, and wait until it is"))?;
    }
    if unassigned > 0 {
        out::line(&format!("{unassigned} values are of probes that measured no unit then"))?;
    }
    if without_model > 0 {
        out::line(&format!(
            "{without_model} frames are of devices that were paired without --model, and say no model themselves"
        ))?;
    }
    if set_aside > 0 {
        out::line(&format!(
            "{set_aside} frames are of a script that is set aside, since it looped or crashed: mend it, restart the hub and \
             ask again"
        ))?;
    }
    Ok(())
}
