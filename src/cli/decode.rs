//! `decode`: what the hub makes of a payload, without a hub.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Number, Value};

use crate::codec::script::{self, MANIFEST_BYTES_MAX, SCRIPT_BYTES_MAX, Script, ScriptError};
use crate::codec::{self, Codecs, DoorState, Fault, Measurement, Quantity};
use crate::config::{Config, read_text};
use crate::domain::UnixMs;

/// Decode a payload of a device.
#[derive(Args, Debug)]
pub struct DecodeArgs {
    /// The device's model, as `devices models` lists them.
    #[arg(long, value_name = "VENDOR/MODEL", required_unless_present = "script", conflicts_with = "script")]
    pub model: Option<String>,
    /// A codec in JavaScript: by the TOML beside it, or, where there is none, what that TOML could be.
    #[arg(long, value_name = "FILE.js", requires = "port")]
    pub script: Option<PathBuf>,
    /// LoRaWAN port of the payload; the model's usual one if left out.
    #[arg(long, value_name = "N")]
    pub port: Option<u8>,
    /// When it was received, as 2026-05-01T12:00:00Z or Unix seconds. Helps to tell a time in the payload from a number.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub at: Option<UnixMs>,
    /// The payload in hexadecimal; spaces are ignored.
    #[arg(value_name = "HEX", num_args = 1.., required = true)]
    pub hex: Vec<String>,
    /// Print a JSON list.
    #[arg(long)]
    pub json: bool,
}

/// One measurement as `decode --json` prints it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// "temperature", "humidity", "battery", "door", "leak" or "rssi".
    pub quantity: &'static str,
    /// "internal", "external", "1" to "254".
    pub probe: String,
    /// A number in `unit`; "open" or "closed"; true or false; null where there is a fault.
    pub value: Value,
    /// "°C", "%", "mV", "dBm" or null.
    pub unit: Option<&'static str>,
    /// The time inside the frame in UTC, RFC 3339, where there is one.
    pub at: Option<String>,
    /// Why there is no value.
    pub fault: Option<&'static str>,
}

/// Decodes hexadecimal bytes of `model`; the rows are in the frame's order.
pub fn decode_to_rows(
    codecs: &Codecs,
    model: &str,
    f_port: Option<u8>,
    received: Option<UnixMs>,
    hex: &str,
) -> anyhow::Result<Vec<Row>> {
    let f_port = match f_port {
        // In LoRaWAN port 0 carries no application data; inside the hub it stands for "none given".
        Some(codec::NO_PORT) => bail!("port 0 carries no payload of a device"),
        Some(port) => port,
        None => codec::NO_PORT,
    };
    let bytes = unhex(hex)?;
    let decoded = codecs
        .decode(model, f_port, &bytes, received, &mut run_here)
        .with_context(|| format!("decode {} bytes of {model}", bytes.len()))?;
    Ok(decoded.measurements.iter().map(Row::of).collect())
}

/// Prints the measurements of a payload as a JSON list or a table.
pub fn run(config: Option<&Path>, args: &DecodeArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let hex = args.hex.concat();
    let rows = match (&args.model, &args.script) {
        (_, Some(script)) => match by_script(script, args, &hex)? {
            Said::Rows(rows) => rows,
            Said::Proposal(toml) => return Ok(out.write_all(toml.as_bytes())?),
        },
        (model, None) => {
            let model = model.as_deref().unwrap_or_default();
            // A native model needs no configuration to be read.
            let codecs = if codec::find(model).is_some() {
                Codecs::default()
            } else {
                Config::load(config)?.codecs().0
            };
            decode_to_rows(&codecs, model, args.port, args.at, &hex)?
        }
    };
    if args.json {
        return print_json(&rows, out);
    }
    if rows.is_empty() {
        writeln!(out, "nothing measured: the device speaks about itself")?;
        return Ok(());
    }
    let mut table = vec![["PROBE", "QUANTITY", "VALUE", "AT"].map(str::to_owned)];
    table.extend(rows.into_iter().map(|row| {
        let value = match (&row.value, row.fault) {
            (_, Some(fault)) => format!("fault: {}", fault.replace('_', " ")),
            (Value::String(text), None) => text.clone(),
            (value, None) => format!("{value} {}", row.unit.unwrap_or_default()).trim_end().to_owned(),
        };
        [row.probe, row.quantity.to_owned(), value, row.at.unwrap_or_default()]
    }));
    print_table(&table, out)
}

enum Said {
    Rows(Vec<Row>),
    Proposal(String),
}

/// What a script that is not installed yet makes of a payload.
fn by_script(path: &Path, args: &DecodeArgs, hex: &str) -> anyhow::Result<Said> {
    let name = path.file_stem().and_then(|name| name.to_str()).context("a script is a file named NAME.js")?;
    let source = read_text(path, SCRIPT_BYTES_MAX)?;
    let port =
        args.port.filter(|port| *port != codec::NO_PORT).context("port 0 carries no payload of a device")?;
    let beside = path.with_extension("toml");
    if !beside.exists() {
        let sent = (port, unhex(hex)?);
        let toml = script::suggest(name, &source, (sent.0, &sent.1), args.at, &mut run_here)
            .with_context(|| format!("run {}", path.display()))?;
        return Ok(Said::Proposal(toml));
    }
    let manifest = read_text(&beside, MANIFEST_BYTES_MAX)?;
    let script = Script::new(name, &source, &manifest).map_err(|reason| anyhow::anyhow!(reason))?;
    let model = script.model().name.to_owned();
    Ok(Said::Rows(decode_to_rows(&Codecs::with(vec![script]), &model, Some(port), args.at, hex)?))
}

/// Runs a script in this process, which ends after it.
fn run_here(call: &script::Call<'_>) -> Result<String, ScriptError> {
    script::run(
        call,
        &super::script_worker::clock().map_err(|error| ScriptError::NotRun(format!("{error:#}")))?,
    )
}

impl Row {
    fn of(measurement: &Measurement) -> Self {
        let (quantity, value, unit, fault) = match &measurement.quantity {
            Quantity::Temperature(value) => ("temperature", hundredths(value.0), Some("°C"), None),
            Quantity::Humidity(value) => ("humidity", hundredths(*value), Some("%"), None),
            Quantity::BatteryPercent(value) => ("battery", Value::from(*value), Some("%"), None),
            Quantity::BatteryMillivolts(value) => ("battery", Value::from(*value), Some("mV"), None),
            Quantity::Door(DoorState::Open) => ("door", Value::from("open"), None, None),
            Quantity::Door(DoorState::Closed) => ("door", Value::from("closed"), None, None),
            Quantity::Leak(found) => ("leak", Value::from(*found), None, None),
            Quantity::Rssi(value) => ("rssi", Value::from(*value), Some("dBm"), None),
            Quantity::Fault(Fault::Humidity) => {
                ("humidity", Value::Null, Some("%"), Some(Fault::OutOfRange.as_str()))
            }
            Quantity::Fault(fault) => ("temperature", Value::Null, Some("°C"), Some(fault.as_str())),
        };
        let at = measurement.at.map(|at| match Timestamp::from_millisecond(at.0) {
            Ok(time) => time.to_string(),
            Err(_) => format!("{} ms", at.0),
        });
        Row { quantity, probe: measurement.probe.to_string(), value, unit, at, fault }
    }
}

fn hundredths(value: i32) -> Value {
    Number::from_f64(f64::from(value) / 100.0).map_or(Value::Null, Value::Number)
}

fn unhex(text: &str) -> anyhow::Result<Vec<u8>> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let digits = if digits.starts_with(&['0', 'x']) { &digits[2..] } else { &digits[..] };
    if let Some(other) = digits.iter().find(|digit| !digit.is_ascii_hexdigit()) {
        bail!("read the payload: {other:?} is no hexadecimal digit");
    }
    if !digits.len().is_multiple_of(2) {
        bail!("read the payload: {} hexadecimal digits are no whole number of bytes", digits.len());
    }
    let nibble = |digit: char| digit.to_digit(16).expect("checked above to be a hexadecimal digit") as u8;
    Ok(digits.chunks_exact(2).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])).collect())
}

fn parse_time(text: &str) -> Result<UnixMs, String> {
    if let Ok(seconds) = text.parse::<i64>() {
        return seconds.checked_mul(1_000).map(UnixMs).ok_or_else(|| "too far away".to_owned());
    }
    match text.parse::<Timestamp>() {
        Ok(time) => Ok(UnixMs(time.as_millisecond())),
        Err(error) => Err(format!("{error}; write it as 2026-05-01T12:00:00Z or Unix seconds")),
    }
}

pub(super) fn print_json(value: &impl Serialize, out: &mut impl Write) -> anyhow::Result<()> {
    writeln!(out, "{}", serde_json::to_string_pretty(value)?)?;
    Ok(())
}

pub(super) fn print_table<const N: usize>(rows: &[[String; N]], out: &mut impl Write) -> anyhow::Result<()> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; N] = std::array::from_fn(width);
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        decode: DecodeArgs,
    }

    fn output(args: &[&str]) -> Result<String, String> {
        let cli = Cli::try_parse_from([&["decode"], args].concat()).map_err(|error| error.to_string())?;
        let mut out = Vec::new();
        run(None, &cli.decode, &mut out).map_err(|error| format!("{error:#}"))?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[track_caller]
    fn check_json(args: &[&str], expected: &Value) {
        let text = output(&[args, &["--json"]].concat()).unwrap();
        assert_eq!(&serde_json::from_str::<Value>(&text).unwrap(), expected);
    }

    #[test]
    fn json_rows() {
        check_json(
            &["--model", "dragino/lht65n", "--port", "2", "CBB8F8DF01F401 7fff7fff"],
            &json!([
                {"quantity":"battery","probe":"internal","value":3000,"unit":"mV","at":null,"fault":null},
                {"quantity":"temperature","probe":"external","value":null,"unit":"°C","at":null,"fault":"disconnected"},
                {"quantity":"temperature","probe":"internal","value":-18.25,"unit":"°C","at":null,"fault":null},
                {"quantity":"humidity","probe":"internal","value":50.0,"unit":"%","at":null,"fault":null},
            ]),
        );
        check_json(
            &["--model", "milesight/em300-mcs", "20CE 9E744663 1001 FF 01", "017564"],
            &json!([
                {"quantity":"temperature","probe":"internal","value":27.2,"unit":"°C","at":"2022-10-12T08:02:38Z","fault":null},
                {"quantity":"humidity","probe":"internal","value":null,"unit":"%","at":"2022-10-12T08:02:38Z","fault":"out_of_range"},
                {"quantity":"door","probe":"internal","value":"open","unit":null,"at":"2022-10-12T08:02:38Z","fault":null},
                {"quantity":"battery","probe":"internal","value":100,"unit":"%","at":null,"fault":null},
            ]),
        );
        check_json(&["--model", "milesight/em300-th", "--port", "85", "0xFF0BFF"], &json!([]));
    }

    #[test]
    fn table() {
        assert_eq!(
            output(&[
                "--model",
                "milesight/em500-pt100",
                "--port",
                "85",
                "017564",
                "0367FF7F",
                "20CE00F153650AFF"
            ])
            .unwrap(),
            "PROBE     QUANTITY     VALUE                AT\n\
             internal  battery      100 %\n\
             external  temperature  fault: disconnected\n\
             external  temperature  -24.6 °C             2023-11-14T22:13:20Z\n",
        );
        assert_eq!(
            output(&["--model", "milesight/em300-th", "FF0BFF"]).unwrap(),
            "nothing measured: the device speaks about itself\n"
        );
    }

    #[test]
    fn errors_say_what_to_do() {
        for (args, expected) in [
            (
                &["--model", "acme/x", "--port", "1", "00"][..],
                "decode 1 bytes of acme/x: no codec for model acme/x; `devices models` lists the known ones",
            ),
            (
                &["--model", "dragino/lds02", "--port", "2", "00"],
                "decode 1 bytes of dragino/lds02: dragino/lds02 sends nothing on port 2",
            ),
            (
                &["--model", "dragino/lds02", "--port", "10", "0B88"],
                "decode 2 bytes of dragino/lds02: payload ends after 2 bytes where 3 are needed",
            ),
            (&["--model", "dragino/lds02", "--port", "0", "00"], "port 0 carries no payload of a device"),
            (&["--model", "dragino/lds02", "0g"], "read the payload: 'g' is no hexadecimal digit"),
            (
                &["--model", "dragino/lds02", "012"],
                "read the payload: 3 hexadecimal digits are no whole number of bytes",
            ),
        ] {
            assert_eq!(output(args).unwrap_err(), expected);
        }
        assert!(
            output(&["--model", "dragino/lds02", "--at", "soon", "00"]).unwrap_err().contains("Unix seconds")
        );
        for at in ["1700000000", "2023-11-14T22:13:20Z", "2023-11-14T23:13:20.5+01:00"] {
            assert!(output(&["--model", "elsys/ers", "--at", at, "0100C8"]).unwrap().contains("20.0 °C"));
        }
    }

    #[test]
    fn a_script_is_tried_before_it_is_installed() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("logger.js");
        std::fs::write(&script, "function Decoder(b) { return {TempC: (b[0] << 8 | b[1]) / 100, x: 1}; }")
            .unwrap();
        let args = ["--script", script.to_str().unwrap(), "--port", "2", "0190"];
        let proposed = output(&args).unwrap();
        assert!(
            proposed.contains("[[map]]  # 4\npath = \"TempC\"") && proposed.contains("#   x = 1"),
            "{proposed}"
        );
        std::fs::write(script.with_extension("toml"), proposed).unwrap();
        assert_eq!(
            output(&args).unwrap(),
            "PROBE     QUANTITY     VALUE   AT\ninternal  temperature  4.0 °C\n"
        );
        assert!(output(&["--script", script.to_str().unwrap(), "00"]).unwrap_err().contains("--port"));
        std::fs::write(&script, "function Decoder(b) {\n return {;\n}").unwrap();
        assert!(output(&args).unwrap_err().contains("logger.js line 2: "), "{}", output(&args).unwrap_err());
    }
}
