//! `support-bundle`: one archive for whoever helps from afar.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};

use super::{doctor, out};
use crate::bundle::redact::Redactor;
use crate::bundle::{self, Entry, configuration, gather};
use crate::clock::{Clock, SystemClock};
use crate::control::Request;
use crate::doctor::gather as facts;

#[derive(clap::Args)]
pub struct Args {
    /// Where to write it; else frostguard-support-TIME.tar.zst in the present folder.
    file: Option<PathBuf>,
}

pub fn run(path: Option<&Path>, args: &Args) -> Result<()> {
    let clock = Arc::new(SystemClock::new()?);
    let unix_s = (clock.wall().0 / 1_000).max(0).unsigned_abs();
    let file = args.file.clone().unwrap_or_else(|| format!("frostguard-support-{unix_s}.tar.zst").into());
    let (config, _) = facts::configuration(path);
    let lines = doctor::look(path, &clock)?;
    let (secrets, unread) = gather::secrets(&config);
    let redactor = Redactor::new(secrets);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("start the runtime")?;
    let json = |value: &serde_json::Value| -> Result<String> {
        Ok(serde_json::to_string_pretty(&redactor.json(value))? + "\n")
    };
    let text = path.map(std::fs::read_to_string);
    let shown = match text {
        Some(Ok(text)) => configuration::shown(&text, &redactor),
        Some(Err(error)) => format!("# it cannot be read: {error}\n"),
        None => "# no file, the defaults\n".to_owned(),
    };
    let entries = [
        Entry { name: "doctor.json", text: json(&doctor::report(&lines, &*clock))? },
        Entry { name: "versions.json", text: json(&gather::versions())? },
        Entry { name: "status.json", text: json(&gather::ask(&runtime, &config, &Request::Status))? },
        Entry { name: "devices.json", text: json(&gather::ask(&runtime, &config, &Request::DevicesList))? },
        Entry { name: "configuration.toml", text: shown },
        Entry { name: "metrics.txt", text: redactor.text(&gather::metrics(&runtime, &config)) },
        Entry { name: "hub.log", text: redactor.text(&gather::log(&runtime)) },
    ];
    // A thread that hangs is left behind.
    runtime.shutdown_background();
    for what in &unread {
        out::warning(&format!(
            "what is secret in {what} is not known, so only what looks like a secret is taken out: run this as root"
        ));
    }
    bundle::write(&file, &entries, unix_s, bundle::caller(|name| std::env::var(name).ok()))?;
    out::line(&format!("wrote {}; look at it before you send it: tar --zstd -xf {0}", file.display()))
}
