//! Codecs in JavaScript that a user drops in: a script by the LoRa Alliance's TS013 (or the older `Decoder` and `Decode`),
//! run in a sandbox, and a list that says which of its values is what.
//!
//! A script is not trusted. Whatever it does costs one error: its result is JSON text, read and judged like any other
//! message, and its temperatures pass the same checks as those of the native codecs. QuickJS itself is C and has had
//! mistakes where memory runs out, so the hub runs scripts in a process of their own (`Run` is how they are handed over).

pub mod breaker;
mod manifest;
mod normalise;
mod path;
mod sandbox;
mod suggest;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use manifest::FILE_BYTES_MAX as MANIFEST_BYTES_MAX;
pub use sandbox::Monotonic;
pub use suggest::suggest;

use self::manifest::Manifest;
use super::{CodecError, Decoded, Model};
use crate::domain::UnixMs;

/// A script: makers' longest have about 200 KB.
pub const SCRIPT_BYTES_MAX: u64 = 512 << 10;
/// Characters of a script's own words that are kept in an error.
const TEXT_CHARS_MAX: usize = 200;

/// Why a script gives no measurements.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum ScriptError {
    #[error("the script did not end within {ms} ms or its number of steps; look for a loop")]
    Deadline { ms: u32 },
    #[error("the script used up its memory of 8 MiB")]
    Memory,
    /// A syntax error too.
    #[error("{0}")]
    Thrown(String),
    #[error("{0} has no function decodeUplink, Decoder or Decode")]
    NoFunction(String),
    #[error("the script's result cannot be used: {0}")]
    Result(String),
    /// `errors` of its result.
    #[error("the script says: {0}")]
    Reported(String),
    /// Its process ended.
    #[error("the script brought down the process it runs in")]
    Crashed,
    #[error("scripts cannot be run: {0}")]
    NotRun(String),
    /// By [`breaker`].
    #[error(
        "the script is set aside for another {left_s} s, since it looped or crashed; mend it, restart the hub and say \
         `redecode`"
    )]
    SetAside { left_s: i64 },
}

impl ScriptError {
    /// The counter's name.
    pub fn kind(&self) -> &'static str {
        match self {
            ScriptError::Deadline { .. } => "deadline",
            ScriptError::Memory => "memory",
            ScriptError::Thrown(_) => "thrown",
            ScriptError::NoFunction(_) => "no_function",
            ScriptError::Result(_) => "result",
            ScriptError::Reported(_) => "reported",
            ScriptError::Crashed => "crashed",
            ScriptError::NotRun(_) => "not_run",
            ScriptError::SetAside { .. } => "set_aside",
        }
    }
}

/// One call of a script: everything that its result depends on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Call<'a> {
    /// The script's file, as errors name it.
    pub file: Cow<'a, str>,
    pub source: Cow<'a, str>,
    pub bytes: Cow<'a, [u8]>,
    pub f_port: u8,
    /// Unix ms; a script that asks for the time gets this one.
    pub received_ms: i64,
    /// A JSON object of texts.
    pub variables: Cow<'a, str>,
}

/// Runs a script and gives its result as JSON text.
pub type Run<'r> = dyn FnMut(&Call<'_>) -> Result<String, ScriptError> + 'r;

/// Runs a script in this process: for commands and for the process that the hub keeps for it.
pub fn run(call: &Call<'_>, clock: &Monotonic) -> Result<String, ScriptError> {
    sandbox::call(call, clock)
}

/// A script with what is said about it.
#[derive(Clone)]
pub struct Script {
    /// The script's file, as errors name it.
    file: String,
    source: String,
    manifest: Manifest,
    quantities: Vec<&'static str>,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Script")
            .field("file", &self.file)
            .field("model", &self.manifest.model)
            .finish_non_exhaustive()
    }
}

impl Script {
    /// Takes a script, which is not run here, and the TOML beside it. `name`: the files' name without their endings. An
    /// error names file and line.
    pub fn new(name: &str, source: &str, manifest: &str) -> Result<Self, String> {
        let manifest = Manifest::parse(name, manifest)?;
        let quantities = manifest.quantities();
        Ok(Self { file: format!("{name}.js"), source: source.to_owned(), manifest, quantities })
    }

    /// Whether it can be run and has a function to call. Runs it in this process.
    pub fn check(&self, clock: &Monotonic) -> Result<(), ScriptError> {
        sandbox::check(&self.file, &self.source, clock)
    }

    pub fn model(&self) -> Model<'_> {
        let Manifest { model, ports, check_in_s, measuring, .. } = &self.manifest;
        Model::of_script(self, model, ports, *check_in_s, *measuring, &self.quantities)
    }

    /// Runs the script and reads its result by the map. The port is checked by the caller.
    pub fn decode(
        &self,
        f_port: u8,
        bytes: &[u8],
        received: Option<UnixMs>,
        run: &mut Run<'_>,
    ) -> Result<Decoded, CodecError> {
        let call = Call {
            file: Cow::Borrowed(&self.file),
            source: Cow::Borrowed(&self.source),
            bytes: Cow::Borrowed(bytes),
            f_port,
            received_ms: received.map_or(0, |at| at.0),
            variables: Cow::Borrowed(&self.manifest.variables),
        };
        let output = Output::of(&run(&call)?)?;
        let measurements = normalise::measurements(&self.manifest, &output.data)?;
        Ok(Decoded { measurements, warnings: output.warnings })
    }
}

/// A script's result that says what was measured.
#[derive(Debug)]
struct Output {
    data: Value,
    warnings: u32,
}

impl Output {
    fn of(text: &str) -> Result<Self, ScriptError> {
        // Deeper than any result, and than the reader of JSON follows.
        let result: Value =
            serde_json::from_str(text).map_err(|error| ScriptError::Result(error.to_string()))?;
        // A list or a bare number has no fields, and asking it for one to be changed would end the hub.
        let Value::Object(mut result) = result else {
            return Err(ScriptError::Result("it is no object".to_owned()));
        };
        let said = |list: &Value| match list {
            Value::Array(items) => items.iter().map(plain).collect(),
            Value::Null | Value::Bool(false) => Vec::new(),
            other => vec![plain(other)],
        };
        let mut field = |name: &str| result.remove(name).unwrap_or_default();
        let errors: Vec<String> = said(&field("errors"));
        if !errors.is_empty() {
            return Err(ScriptError::Reported(bounded(&errors.join("; "))));
        }
        let warnings = said(&field("warnings")).len() as u32;
        match field("data") {
            data @ Value::Object(_) => Ok(Self { data, warnings }),
            Value::Null => Err(ScriptError::Result("it has no data".to_owned())),
            _ => Err(ScriptError::Result("its data are no object".to_owned())),
        }
    }
}

/// A value as text, without quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// At most `TEXT_CHARS_MAX` characters in one line.
fn bounded(text: &str) -> String {
    let mut chars = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = chars.by_ref().take(TEXT_CHARS_MAX).collect();
    if chars.next().is_some() {
        short.push_str("...");
    }
    short
}
