//! What goes into a bundle, and every secret that must not.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::config::{Config, Secret};
use crate::control::{Request, socket};
use crate::doctor::gather as doctor;
use crate::store::{DATABASE, Store};
use crate::uplink;

/// Lines of the journal: some days of a hub with trouble.
const LOG_LINES: &str = "20000";
const LOG_BYTES_MAX: u64 = 16 << 20;
const LOG_MAX: Duration = Duration::from_secs(20);
const ASK_MAX: Duration = Duration::from_secs(10);
const METRICS_BYTES_MAX: usize = 1 << 20;
const TEXT_BYTES_MAX: u64 = 64 << 10;

/// Secrets and people, as far as this user may read them; and what could not be read.
pub fn secrets(config: &Config) -> (Vec<String>, Vec<String>) {
    let (mut found, mut unread) = (Vec::new(), Vec::new());
    for path in doctor::secret_files(config) {
        match read_bounded(&path) {
            // Whatever line it stands in.
            Ok(text) => found.extend(text.lines().map(str::to_owned)),
            Err(error) => unread.push(format!("{}: {error:#}", path.display())),
        }
    }
    found.extend(uplink::secrets(&config.hub.state_dir).iter().map(|secret| secret.reveal().to_owned()));
    // Some brokers take a token as the user.
    let users = config.mqtt.iter().map(|section| &section.username);
    let users = users.chain(config.notify.mqtt.iter().map(|section| &section.username));
    // The program's own name is in every line of its log.
    found.extend(users.flatten().filter(|user| !user.eq_ignore_ascii_case("frostguard")).cloned());
    if let Some(smtp) = &config.notify.smtp {
        found.extend(smtp.username.clone().into_iter().chain([smtp.from.clone()]));
    }
    match of_database(&config.hub.state_dir) {
        Ok(all) => found.extend(all),
        Err(error) => unread.push(format!("the database: {error:#}")),
    }
    (found, unread)
}

/// Keys, codes and people. Each column is one query, so that one that cannot be read costs only itself.
fn of_database(dir: &Path) -> Result<Vec<String>> {
    let path = dir.join(DATABASE);
    if !path.try_exists().with_context(|| format!("look at {}", path.display()))? {
        return Ok(Vec::new());
    }
    // One beside which a hub writes, or wrote until it was killed, is read with its log; else no file is made next to it.
    let has_log = dir.join(format!("{DATABASE}-wal")).exists();
    let connection = if has_log { Store::reader(dir)? } else { Store::file_reader(&path)? };
    let mut all = Vec::new();
    for sql in [
        "SELECT app_key FROM hub_lora_keys",
        "SELECT app_key FROM lora_sensors",
        "SELECT pairing_code FROM pairing_sessions",
        "SELECT name FROM escalation_contacts",
        "SELECT phone FROM escalation_contacts",
        "SELECT email FROM escalation_contacts",
        "SELECT full_name FROM profiles",
        "SELECT phone FROM profiles",
        "SELECT email FROM profiles",
    ] {
        all.extend(column(&connection, sql).with_context(|| sql.to_owned())?);
    }
    for sql in [
        "SELECT activation FROM hub_lora_devices",
        "SELECT session FROM hub_lora_devices",
        "SELECT pending FROM hub_lora_devices",
        "SELECT join_state FROM hub_lora_devices",
    ] {
        for text in column(&connection, sql).with_context(|| sql.to_owned())? {
            let keys = text.split(|c: char| !c.is_ascii_hexdigit()).filter(|word| word.len() >= 32);
            all.extend(keys.map(str::to_owned));
        }
    }
    Ok(all)
}

fn column(connection: &Connection, sql: &str) -> Result<Vec<String>> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| row.get::<_, Option<String>>(0))?;
    Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// A running hub's answer; the reason where there is none.
pub fn ask(runtime: &Runtime, config: &Config, request: &Request) -> Value {
    let asked = async {
        tokio::time::timeout(ASK_MAX, socket::ask(&config.control_socket(), request))
            .await
            .context("no answer")?
    };
    match runtime.block_on(asked) {
        Ok(Some(value)) => value,
        Ok(None) => json!({ "none": "no hub runs" }),
        Err(error) => json!({ "none": format!("{error:#}") }),
    }
}

/// `/metrics` of the running hub.
pub fn metrics(runtime: &Runtime, config: &Config) -> String {
    let section = &config.metrics;
    if !section.enabled {
        return "# [metrics] enabled = false\n".into();
    }
    let mut address = section.listen;
    if address.ip().is_unspecified() {
        let local =
            if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
        address.set_ip(local);
    }
    let asked = async {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(ASK_MAX)
            .build()?;
        let mut request = client.get(format!("http://{address}/metrics"));
        if let Some(path) = &section.token_file {
            request = request.bearer_auth(Secret::read(&doctor::secret_path(path))?.reveal());
        }
        let mut response = request.send().await?.error_for_status()?;
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if text.len() + chunk.len() > METRICS_BYTES_MAX {
                break;
            }
            text.extend_from_slice(&chunk);
        }
        Ok::<_, anyhow::Error>(String::from_utf8_lossy(&text).into_owned())
    };
    runtime.block_on(asked).unwrap_or_else(|error| format!("# none: {error:#}\n"))
}

/// The end of the journal; the reason where there is none.
pub fn log(runtime: &Runtime) -> String {
    let read = || -> Result<String> {
        let mut child = Command::new("journalctl")
            .args([
                "--unit",
                "frostguard-hub",
                "--lines",
                LOG_LINES,
                "--no-pager",
                "--quiet",
                "--output",
                "short-iso",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("run journalctl")?;
        let output = child.stdout.take().context("read journalctl's output")?;
        let reading = async {
            let reading = tokio::task::spawn_blocking(move || {
                let mut bytes = Vec::new();
                output.take(LOG_BYTES_MAX).read_to_end(&mut bytes).map(|_| bytes)
            });
            tokio::time::timeout(LOG_MAX, reading).await
        };
        let bytes = runtime.block_on(reading);
        // It may be writing still; what it wrote is taken, and it must not stay.
        let _ = child.kill();
        let _ = child.wait();
        let bytes = bytes.with_context(|| format!("no journal within {} s", LOG_MAX.as_secs()))???;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_else(|error| format!("none: {error:#}\n"))
}

/// What runs on what.
pub fn versions() -> Value {
    let read = |path: &str| {
        let text = read_bounded(Path::new(path)).ok()?;
        Some(text.trim_matches(['\0', '\n', ' ']).to_owned())
    };
    let system = read("/etc/os-release").and_then(|text| {
        let name =
            text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?.trim_matches('"').to_owned();
        Some(name)
    });
    json!({
        "hub": env!("CARGO_PKG_VERSION"),
        "built_unix_s": crate::clock::BUILD_TIME.0 / 1_000,
        "architecture": std::env::consts::ARCH,
        "sqlite": rusqlite::version(),
        "kernel": read("/proc/version"),
        "system": system,
        "machine": read("/proc/device-tree/model"),
        "memory": read("/proc/meminfo").and_then(|text| text.lines().next().map(str::to_owned)),
        "uptime_s": read("/proc/uptime").and_then(|text| text.split(' ').next().map(str::to_owned)),
    })
}

fn read_bounded(path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(TEXT_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
