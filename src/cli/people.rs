//! Commands of people: `log`, `alerts ack`, `alerts resolve`, `contacts`.

use std::path::Path;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::Value;

use super::{ask, lists, out};
use crate::control::{AlertsAck, AlertsResolve, ContactsAdd, LogManual, Request};

#[derive(Args, Debug)]
pub struct LogArgs {
    /// The unit, by name.
    unit: String,
    /// As the thermometer shows it: 4.5 or 4,5 in the unit's scale, or 40F, 4.5C.
    #[arg(allow_hyphen_values = true)]
    temperature: String,
    /// Who measured: a name, or the e-mail address of somebody known centrally.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    #[arg(long)]
    notes: Option<String>,
    /// Percent.
    #[arg(long)]
    humidity: Option<String>,
    /// When: 14:05, or "2026-11-24 14:05"; else now.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// The value is meant, however odd it is.
    #[arg(long)]
    yes: bool,
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub struct AckArgs {
    /// Units, whose open alerts are meant, or the first digits of alerts' ids.
    #[arg(required = true, value_name = "UNIT|ID")]
    alerts: Vec<String>,
    #[command(flatten)]
    who: Who,
}

#[derive(Args, Debug)]
pub struct ResolveArgs {
    /// The unit, whose open alerts are meant, or the first digits of an alert's id.
    #[arg(value_name = "UNIT|ID")]
    alert: String,
    /// What was done, for the report.
    #[arg(long, value_name = "TEXT")]
    action: Option<String>,
    #[command(flatten)]
    who: Who,
}

#[derive(Args, Debug)]
struct Who {
    /// Who does it: a name, or the e-mail address of somebody known centrally.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    #[arg(long)]
    notes: Option<String>,
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand, Debug)]
pub enum ContactsCommand {
    /// Add somebody to be called, on a hub that is not enrolled.
    Add {
        name: String,
        /// With its country: +49 151 23456789.
        #[arg(long)]
        phone: String,
        #[arg(long)]
        email: Option<String>,
        /// 0 is called first.
        #[arg(long, default_value_t = 0)]
        priority: i32,
        #[arg(long)]
        json: bool,
    },
    /// List who is called, the first first.
    List {
        #[arg(long)]
        json: bool,
    },
    /// Call somebody no more: by name, phone number or id.
    Remove {
        contact: String,
        #[arg(long)]
        json: bool,
    },
}

pub fn log(config: Option<&Path>, args: LogArgs) -> Result<()> {
    let LogArgs { unit, temperature, by, notes, humidity, at, yes, json } = args;
    let log = LogManual { unit, temperature, by, notes, humidity, at, yes };
    answer(config, &Request::Log(log), json)
}

pub fn ack(config: Option<&Path>, args: AckArgs) -> Result<()> {
    let AckArgs { alerts, who: Who { by, notes, json } } = args;
    answer(config, &Request::AlertsAck(AlertsAck { alerts, by, notes }), json)
}

pub fn resolve(config: Option<&Path>, args: ResolveArgs) -> Result<()> {
    let ResolveArgs { alert, action, who: Who { by, notes, json } } = args;
    answer(config, &Request::AlertsResolve(AlertsResolve { alert, by, notes, action }), json)
}

pub fn contacts(config: Option<&Path>, command: ContactsCommand) -> Result<()> {
    match command {
        ContactsCommand::Add { name, phone, email, priority, json } => {
            let add = ContactsAdd { name, phone, email, priority };
            answer(config, &Request::ContactsAdd(add), json)
        }
        ContactsCommand::List { json } => {
            let value = ask::ask(config, &Request::ContactsList)?;
            if json { out::json(&value) } else { lists::contacts(&value) }
        }
        ContactsCommand::Remove { contact, json } => {
            answer(config, &Request::ContactsRemove { contact }, json)
        }
    }
}

fn answer(config: Option<&Path>, request: &Request, json: bool) -> Result<()> {
    let value: Value = ask::ask(config, request)?;
    if json { out::json(&value) } else { lists::said(&value) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Cli, Command};

    /// Parses a command line; None: it is refused.
    fn parse(line: &[&str]) -> Option<Command> {
        let words = std::iter::once("frostguard-hub").chain(line.iter().copied());
        Cli::try_parse_from(words).ok().map(|cli| cli.command)
    }

    #[test]
    fn what_people_type_is_understood() {
        let Some(Command::Log(log)) = parse(&["log", "Walk-in", "-18,5", "--by", "Ana", "--at", "14:05"])
        else {
            panic!("log is a command");
        };
        assert_eq!((log.unit.as_str(), log.temperature.as_str()), ("Walk-in", "-18,5"));
        assert_eq!((log.by.as_deref(), log.at.as_deref(), log.yes), (Some("Ana"), Some("14:05"), false));
        for (line, is_ok) in [
            (&["log", "Walk-in"][..], false),
            (&["log", "Walk-in", "4.5", "--humidity", "55", "--notes", "x", "--yes", "--json"], true),
            (&["alerts", "list", "--all"], true),
            (&["alerts", "ack"], false),
            (&["alerts", "ack", "Fridge", "3f2a", "--by", "Ana", "--notes", "on it"], true),
            (&["alerts", "resolve", "Fridge", "--action", "moved the food"], true),
            (&["alerts", "resolve", "Fridge", "Freezer"], false),
            (&["contacts", "add", "Ana", "--phone", "+49 151 23456789", "--priority", "1"], true),
            (&["contacts", "add", "Ana"], false),
            (&["contacts", "list"], true),
            (&["contacts", "remove", "Ana"], true),
            (&["power", "report", "--json"], true),
            (&["audit", "verify", "--head", "00", "--json"], true),
            (&["audit", "verify", "--database", "a", "--export", "b"], false),
            (&["audit", "export", "--from", "2026-11-01", "--to", "2026-11-30", "--csv", "--out", "x"], true),
            (&["audit", "export", "--from", "yesterday"], false),
        ] {
            assert_eq!(parse(line).is_some(), is_ok, "{line:?}");
        }
    }
}
