//! A read-only SQL shell on the hub's database.

use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde_json::{Map, Value};

use super::out;
use crate::config::Config;
use crate::store::Store;

/// Rows a query prints; a shell is for looking, `export` for taking along.
const ROWS_MAX: usize = 100_000;

#[derive(clap::Args)]
pub struct Args {
    /// The query; without it, queries are read from standard input, one a line.
    query: Option<String>,
    /// One JSON object a row.
    #[arg(long)]
    json: bool,
}

pub fn run(config: Option<&Path>, args: &Args) -> Result<()> {
    let config = Config::load(config)?;
    let conn = Store::reader(&config.hub.state_dir)?;
    if let Some(query) = &args.query {
        if query.trim().is_empty() {
            bail!("the query is empty");
        }
        return print(&conn, query, args.json);
    }
    let stdin = std::io::stdin();
    let is_terminal = stdin.is_terminal();
    loop {
        if is_terminal {
            let mut stdout = std::io::stdout().lock();
            write!(stdout, "sql> ")?;
            stdout.flush()?;
        }
        let mut line = String::new();
        if stdin.lock().read_line(&mut line)? == 0 {
            return Ok(());
        }
        if line.trim().is_empty() {
            continue;
        }
        match print(&conn, &line, args.json) {
            // A person tries again; a script must hear of it.
            Err(error) if is_terminal && !out::is_closed_pipe(&error) => {
                out::line(&format!("error: {error:#}"))?;
            }
            other => other?,
        }
    }
}

fn print(conn: &Connection, query: &str, json: bool) -> Result<()> {
    let mut statement = conn.prepare(query).with_context(|| format!("prepare {}", query.trim()))?;
    // The connection cannot write; this says so, and keeps VACUUM from making files.
    if !statement.readonly() {
        bail!(
            "only queries that read are run here: commands change the hub, `frostguard-hub --help` lists them"
        );
    }
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut rows = statement.query([]).context("run the query")?;
    let mut table = Vec::new();
    let mut count = 0;
    while let Some(row) = rows.next().context("run the query")? {
        count += 1;
        if count > ROWS_MAX {
            bail!("more than {ROWS_MAX} rows: add a LIMIT");
        }
        if json {
            let mut object = Map::new();
            for (index, name) in names.iter().enumerate() {
                object.insert(name.clone(), value(row.get_ref(index)?));
            }
            out::line(&Value::Object(object).to_string())?;
        } else {
            let cells =
                (0..names.len()).map(|i| Ok(cell(&value(row.get_ref(i)?)))).collect::<Result<Vec<_>>>()?;
            table.push(cells);
        }
    }
    if !json {
        out::table(&names.iter().map(String::as_str).collect::<Vec<_>>(), &table)?;
    }
    Ok(())
}

fn value(column: ValueRef<'_>) -> Value {
    match column {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(n) => n.into(),
        ValueRef::Real(x) => x.into(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned().into(),
        ValueRef::Blob(bytes) => match uuid::Uuid::from_slice(bytes) {
            Ok(id) => id.to_string().into(),
            Err(_) => frostguard_sync::ids::hex(bytes).into(),
        },
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reading_is_possible() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) =
            Store::open(&crate::store::OpenOptions::new(folder.path()), &mut |bytes| bytes.fill(7)).unwrap();
        let conn = Store::reader(folder.path()).unwrap();
        print(&conn, "SELECT count(*) FROM units", true).unwrap();
        let before = std::fs::read_dir(folder.path()).unwrap().count();
        let aside = |name: &str| folder.path().join(name).display().to_string();
        for query in [
            "DELETE FROM units".to_owned(),
            "CREATE TEMP TABLE t (a)".to_owned(),
            "PRAGMA journal_mode = DELETE".to_owned(),
            "SELECT 1; DELETE FROM hub_log".to_owned(),
            "SELECT load_extension('x')".to_owned(),
            format!("ATTACH '{}' AS other", aside("other.db")),
            format!("VACUUM INTO '{}'", aside("copy.db")),
        ] {
            assert!(print(&conn, &query, false).is_err(), "{query}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), before, "no file is made");
        drop(store);
    }
}
