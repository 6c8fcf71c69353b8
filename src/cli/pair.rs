//! `pair` and `gateways`: sensors as they are unpacked, and what hears those that join. A key is read from a file, standard input or a prompt, never
//! from an argument, which every user of the box could see.

use std::io::{BufRead, IsTerminal, Read, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use serde_json::Value;

use super::{ask::ask, lists, out};
use crate::control::{GatewaysAdd, ImportRow, PairDevice, PairImport, PairOpen, Request};
use crate::lorawan::ids::Key;
use crate::lorawan::personal::{self, Personal};
use crate::lorawan::qr;
use crate::lorawan::session::MacVersion;
use crate::lorawan::shipment::{self, Row};

/// A list of 10,000 devices has about a megabyte.
const LIST_BYTES_MAX: u64 = 8 << 20;
/// Three lines.
const PERSONAL_BYTES_MAX: u64 = 4_096;
/// More than a QR code of letters and digits holds.
const LABEL_BYTES_MAX: u64 = 8_192;
/// Rows a request: about 100 KB, well below the longest one.
const ROWS_AT_ONCE: usize = 500;

#[derive(Subcommand)]
pub enum PairCommand {
    /// Begin a session of 15 minutes; prints its code.
    Open {
        /// The unit its measuring probe will be in.
        #[arg(long)]
        unit: Option<String>,
        /// vendor/model, as `devices models` lists it.
        #[arg(long)]
        model: Option<String>,
        #[arg(long)]
        name: Option<String>,
        #[arg(long)]
        json: bool,
    },
    /// Say which sensor a session is for: its DevEUI, or the text of the QR code on it; of one that does not join at the
    /// hub, its address where it is heard, with --source.
    Device {
        code: String,
        /// "-": read from standard input, where a label that holds a key belongs.
        device: String,
        /// Read the AppKey from this file ("-": standard input, or a prompt); else it is the label's or the shipment's.
        #[arg(long, value_name = "FILE")]
        key_file: Option<PathBuf>,
        /// It is personalised (ABP) and does not join: the file has three lines, "DevAddr ...", "NwkSKey ..." and "AppSKey ...".
        #[arg(long, requires = "key_file")]
        abp: bool,
        /// It counts its frames from 0 after losing power: take them, though a recorded frame played again is then taken, too.
        #[arg(long, requires = "abp")]
        counts_anew: bool,
        /// 1.0.2, 1.0.3, 1.0.4 or 1.1; else the shipment's, else 1.0.3.
        #[arg(long, value_name = "VERSION")]
        lorawan: Option<String>,
        /// It does not join at the hub, and is paired by its first frame from here: serial, mqtt, modbus, onewire, current or ble.
        #[arg(long, conflicts_with_all = ["key_file", "lorawan"])]
        source: Option<String>,
        /// The configured name of the port or broker it is heard on; not needed for an EUI.
        #[arg(long, requires = "source")]
        port: Option<String>,
        #[arg(long)]
        unit: Option<String>,
        #[arg(long)]
        model: Option<String>,
        #[arg(long)]
        name: Option<String>,
        #[arg(long)]
        json: bool,
    },
    /// How sessions go, and which unknown sensors want to join.
    Status {
        code: Option<String>,
        #[arg(long)]
        json: bool,
    },
    /// Give a session up.
    Cancel {
        code: String,
        #[arg(long)]
        json: bool,
    },
    /// Keep the keys of a shipment's list (CSV) until its sensors are paired.
    Import {
        /// "-": standard input.
        file: PathBuf,
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand)]
pub enum GatewaysCommand {
    /// List gateways whose frames are taken, and those that would like to bring some.
    List {
        #[arg(long)]
        json: bool,
    },
    /// Take frames of a gateway.
    Add {
        /// 16 hex digits of its EUI.
        eui: String,
        #[arg(long)]
        name: Option<String>,
        #[arg(long)]
        json: bool,
    },
    /// Take its frames no more.
    Remove {
        eui: String,
        #[arg(long)]
        json: bool,
    },
}

pub fn pair(config: Option<&Path>, command: PairCommand) -> Result<()> {
    match command {
        PairCommand::Open { unit, model, name, json } => {
            say(&ask(config, &Request::PairOpen(PairOpen { unit, model, name }))?, json)
        }
        PairCommand::Device {
            code,
            device,
            key_file,
            abp,
            counts_anew,
            lorawan,
            source,
            port,
            unit,
            model,
            name,
            json,
        } => {
            let device = named(device, &mut std::io::stdin().lock())?;
            let (key, personal) = match key_file.as_deref() {
                Some(file) if abp => (None, Some(read_personal(file, counts_anew)?)),
                Some(file) => (Some(read_key(file)?), None),
                None => (None, None),
            };
            let pair =
                PairDevice { code, device, key, personal, version: lorawan, source, port, unit, model, name };
            say(&ask(config, &Request::PairDevice(pair))?, json)
        }
        PairCommand::Status { code, json } => {
            let value = ask(config, &Request::PairStatus { code })?;
            if json { out::json(&value) } else { lists::pairings(&value) }
        }
        PairCommand::Cancel { code, json } => say(&ask(config, &Request::PairCancel { code })?, json),
        PairCommand::Import { file, json } => import(config, &file, json),
    }
}

pub fn gateways(config: Option<&Path>, command: GatewaysCommand) -> Result<()> {
    match command {
        GatewaysCommand::List { json } => {
            let value = ask(config, &Request::GatewaysList)?;
            if json { out::json(&value) } else { lists::gateways(&value) }
        }
        GatewaysCommand::Add { eui, name, json } => {
            say(&ask(config, &Request::GatewaysAdd(GatewaysAdd { eui, name }))?, json)
        }
        GatewaysCommand::Remove { eui, json } => say(&ask(config, &Request::GatewaysRemove { eui })?, json),
    }
}

fn say(value: &Value, json: bool) -> Result<()> {
    if json { out::json(value) } else { lists::said(value) }
}

fn import(config: Option<&Path>, file: &Path, json: bool) -> Result<()> {
    let shipment = shipment::parse(&read(file)?);
    for error in &shipment.errors {
        // Standard error may be closed; the rest is imported all the same.
        let _ = writeln!(std::io::stderr(), "{}: {error}", file.display());
    }
    if shipment.rows.is_empty() {
        bail!("{} names no device with its key", file.display());
    }
    let rows: Vec<ImportRow> = shipment.rows.into_iter().map(import_row).collect();
    let imported = rows.len();
    for rows in rows.chunks(ROWS_AT_ONCE) {
        ask(config, &Request::PairImport(PairImport { rows: rows.to_vec() }))?;
    }
    let left_out = shipment.errors.len();
    let said = format!("keys of {imported} devices wait for their pairing; {left_out} lines were left out");
    say(&serde_json::json!({ "said": said, "imported": imported, "left_out": left_out }), json)
}

/// A list with a NwkKey of its own is of 1.1 devices, which sign their joins with it.
fn import_row(row: Row) -> ImportRow {
    let nwk_key = row.nwk_key.filter(|nwk_key| *nwk_key != row.app_key);
    ImportRow {
        dev_eui: row.dev_eui,
        join_eui: row.join_eui,
        version: nwk_key.as_ref().map(|_| MacVersion::V1_1),
        key: nwk_key.unwrap_or(row.app_key),
        name: row.name,
        model: row.model,
    }
}

fn read(file: &Path) -> Result<Vec<u8>> {
    let what = || format!("read {}", file.display());
    let mut bytes = Vec::new();
    let got = if file == Path::new("-") {
        std::io::stdin().lock().take(LIST_BYTES_MAX + 1).read_to_end(&mut bytes)
    } else {
        let opened = std::fs::File::open(file).with_context(what)?;
        opened.take(LIST_BYTES_MAX + 1).read_to_end(&mut bytes)
    };
    if got.with_context(what)? as u64 > LIST_BYTES_MAX {
        bail!("{} is larger than {LIST_BYTES_MAX} bytes: split it", file.display());
    }
    Ok(bytes)
}

/// The device as it was named, or as standard input names it.
fn named(device: String, input: &mut impl BufRead) -> Result<String> {
    if device == "-" {
        let mut line = String::new();
        input.take(LABEL_BYTES_MAX).read_line(&mut line).context("read the label")?;
        return Ok(line.trim().to_owned());
    }
    if qr::parse(device.trim()).is_ok_and(|label| label.app_key().is_some()) {
        bail!(
            "this label holds the sensor's key, and every user of the box can see arguments: write \"-\" in its place and \
             give the label by standard input"
        );
    }
    Ok(device)
}

fn read_key(file: &Path) -> Result<Key> {
    let mut line = String::new();
    if file == Path::new("-") {
        let stdin = std::io::stdin();
        if stdin.is_terminal() {
            let mut stderr = std::io::stderr();
            write!(stderr, "AppKey: ")?;
            stderr.flush()?;
        }
        stdin.lock().take(1_024).read_line(&mut line).context("read the key")?;
    } else {
        let opened = open_secret(file)?;
        std::io::BufReader::new(opened.take(1_024)).read_line(&mut line).context("read the key")?;
    }
    // The text is not repeated: it may be most of a key.
    Key::parse(&line).context("that is no AppKey: it has 32 hex digits")
}

fn read_personal(file: &Path, accepts_reset: bool) -> Result<Personal> {
    let mut text = String::new();
    let what = || format!("read {}", file.display());
    if file == Path::new("-") {
        let stdin = std::io::stdin();
        if stdin.is_terminal() {
            writeln!(
                std::io::stderr(),
                "DevAddr, NwkSKey and AppSKey, each on a line behind its name, then Ctrl-D:"
            )?;
        }
        stdin.lock().take(PERSONAL_BYTES_MAX).read_to_string(&mut text).with_context(what)?;
    } else {
        open_secret(file)?.take(PERSONAL_BYTES_MAX).read_to_string(&mut text).with_context(what)?;
    }
    personal::parse(&text, accepts_reset).with_context(what)
}

/// A file that other users can read is refused, as every file with a secret is.
fn open_secret(file: &Path) -> Result<std::fs::File> {
    let opened = std::fs::File::open(file).with_context(|| format!("open {}", file.display()))?;
    if opened.metadata().with_context(|| format!("look at {}", file.display()))?.mode() & 0o007 != 0 {
        bail!("{} holds a key that every user can read; `chmod o= {0}` first", file.display());
    }
    Ok(opened)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_on_a_label_is_no_argument() {
        let label = "LW:D0:1122334455667788:AABBCCDDEEFF0011:AABB1122";
        let secret = format!("{label}:P000102030405060708090A0B0C0D0E0F");
        let named = |device: &str, input: &str| named(device.to_owned(), &mut input.as_bytes());
        for (device, input, want) in [
            ("AABBCCDDEEFF0011", "", "AABBCCDDEEFF0011"),
            (label, "", label),
            ("-", &format!("{secret}\n"), &secret),
        ] {
            assert_eq!(named(device, input).unwrap(), want);
        }
        let error = named(&secret, "").unwrap_err().to_string();
        assert!(error.contains("standard input") && !error.contains("0102"), "{error}");
    }
}
