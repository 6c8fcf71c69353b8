//! What goes into a bundle, and every secret that must not.

use std::future::Future;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::config::{Config, Secret};
use crate::control::{Request, socket};
use crate::doctor::gather as doctor;
use crate::store::{DATABASE, Store};
use crate::uplink;

/// Lines of the journal: some days of a hub with trouble.
const LOG_LINES: &str = "20000";
const LOG_BYTES_MAX: u64 = 16 << 20;
const LOG_MAX: Duration = Duration::from_secs(20);
/// After its program was ended: what stands in the pipe.
const REST_MAX: Duration = Duration::from_secs(2);
const CHUNK_BYTES: usize = 64 << 10;
const CHUNKS_QUEUED_MAX: usize = 4;
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
        Ok((all, missing)) => {
            found.extend(all);
            unread.extend(missing);
        }
        Err(error) => unread.push(format!("the database: {error:#}")),
    }
    (found, unread)
}

/// Keys, codes and people. Each column is one query, so that one that cannot be read costs only itself.
fn of_database(dir: &Path) -> Result<(Vec<String>, Vec<String>)> {
    let path = dir.join(DATABASE);
    if !path.try_exists().with_context(|| format!("look at {}", path.display()))? {
        return Ok((Vec::new(), Vec::new()));
    }
    // One beside which a hub writes, or wrote until it was killed, is read with its log; else no file is made next to it.
    let has_log = dir.join(format!("{DATABASE}-wal")).exists();
    let connection = if has_log { Store::reader(dir)? } else { Store::file_reader(&path)? };
    let (mut all, mut unread) = (Vec::new(), Vec::new());
    let mut column = |sql: &str| {
        column(&connection, sql).unwrap_or_else(|error| {
            unread.push(format!("the database ({sql}): {error:#}"));
            Vec::new()
        })
    };
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
        all.extend(column(sql));
    }
    for sql in [
        "SELECT activation FROM hub_lora_devices",
        "SELECT session FROM hub_lora_devices",
        "SELECT pending FROM hub_lora_devices",
        "SELECT join_state FROM hub_lora_devices",
    ] {
        for text in column(sql) {
            let keys = text.split(|c: char| !c.is_ascii_hexdigit()).filter(|word| word.len() >= 32);
            all.extend(keys.map(str::to_owned));
        }
    }
    Ok((all, unread))
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

/// The end of the journal, as much as came in time; the reason where there is none.
pub fn log(runtime: &Runtime) -> String {
    let mut journal = Command::new("journalctl");
    journal.args([
        "--unit",
        "frostguard-hub",
        "--lines",
        LOG_LINES,
        "--no-pager",
        "--quiet",
        "--output",
        "short-iso",
    ]);
    let late = format!("# the journal took more than {} s: what follows is missing\n", LOG_MAX.as_secs());
    match runtime.block_on(async { said(journal, tokio::time::sleep(LOG_MAX)).await }) {
        Ok((text, true)) => text,
        Ok((text, false)) => text + "\n" + &late,
        Err(error) => format!("none: {error:#}\n"),
    }
}

/// What a program says until it ends, or until `late`; and whether it came to its end.
async fn said(mut command: Command, late: impl Future<Output = ()>) -> Result<(String, bool)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("run {}", command.get_program().display()))?;
    let output = child.stdout.take().context("read what it says")?;
    let (chunks, mut read) = mpsc::channel(CHUNKS_QUEUED_MAX);
    let reading = tokio::task::spawn_blocking(move || {
        let mut output = output.take(LOG_BYTES_MAX);
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let length = output.read(&mut chunk)?;
            // Nobody listens any more once it is too late.
            if length == 0 || chunks.blocking_send(chunk[..length].to_vec()).is_err() {
                return std::io::Result::Ok(());
            }
        }
    });
    let mut bytes = Vec::new();
    let in_time = {
        let reading = async {
            while let Some(chunk) = read.recv().await {
                bytes.extend(chunk);
            }
        };
        tokio::select! {
            () = reading => true,
            () = late => false,
        }
    };
    // It may be writing still, and must not stay; what it wrote before is taken.
    let _ = child.kill();
    let _ = child.wait();
    let rest = async {
        while let Some(chunk) = read.recv().await {
            bytes.extend(chunk);
        }
        reading.await
    };
    match tokio::time::timeout(REST_MAX, rest).await {
        Ok(ended) => ended?.context("read what it says")?,
        // Something that it started holds its output open.
        Err(_) => return Ok((String::from_utf8_lossy(&bytes).into_owned(), false)),
    }
    Ok((String::from_utf8_lossy(&bytes).into_owned(), in_time))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// `script` says something, then opens the first FIFO, which is when it is late. The second is opened at the end, for
    /// what waits for it.
    fn late(script: &str) -> (String, bool) {
        let folder = tempfile::tempdir().unwrap();
        let [fifo, end] = ["late", "end"].map(|name| folder.path().join(name));
        assert!(Command::new("mkfifo").args([&fifo, &end]).status().unwrap().success());
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(script).arg("sh").args([&fifo, &end]);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let found = runtime.block_on(said(shell, async move {
            tokio::task::spawn_blocking(move || std::fs::read(fifo)).await.unwrap().unwrap();
        }));
        if script.contains("$2") {
            std::fs::write(end, "").unwrap();
        }
        found.unwrap()
    }

    #[test]
    fn what_was_said_before_it_was_late_is_kept() {
        let many = "i=0; while [ $i -lt 1000 ]; do echo line $i; i=$((i+1)); done; ";
        let (text, in_time) = late(&format!("{many} : > \"$1\"; exec tail -f /dev/null"));
        assert!(!in_time);
        assert_eq!(text.lines().count(), 1_000);
        // One that leaves its output to another.
        let (text, in_time) = late("echo line; ( : < \"$2\" ) & : > \"$1\"; wait");
        assert!(!in_time);
        assert_eq!(text, "line\n");
    }

    #[test]
    fn a_column_that_cannot_be_read_costs_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let options = crate::store::OpenOptions::new(folder.path());
        let (store, _) = Store::open(&options, &mut |bytes| bytes.fill(7)).unwrap();
        store.close().unwrap();
        assert_eq!(of_database(folder.path()).unwrap(), (Vec::new(), Vec::new()));
        let connection = Connection::open(folder.path().join(DATABASE)).unwrap();
        connection.execute_batch("PRAGMA foreign_keys = OFF; DROP TABLE hub_lora_keys;").unwrap();
        connection
            .execute(
                "INSERT INTO profiles (id, user_id, organization_id, full_name, email, created_at, updated_at)
                 VALUES (randomblob(16), randomblob(16), randomblob(16), 'Ana Böll', 'ana@kitchen.example', 0, 0)",
                [],
            )
            .unwrap();
        connection.close().unwrap();
        let (all, unread) = of_database(folder.path()).unwrap();
        assert_eq!(all, ["Ana Böll", "ana@kitchen.example"]);
        assert!(unread.len() == 1 && unread[0].contains("hub_lora_keys"), "{unread:?}");
    }

    #[test]
    fn what_ends_is_whole() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let mut echo = Command::new("echo");
        echo.arg("line");
        let found = runtime.block_on(said(echo, std::future::pending())).unwrap();
        assert_eq!(found, ("line\n".to_owned(), true));
        let missing = runtime.block_on(said(Command::new("/no/such/program"), std::future::pending()));
        assert!(format!("{:#}", missing.unwrap_err()).contains("/no/such/program"));
    }
}
