//! The TOML beside a script: which model it is, the ports it decodes, and which of its values is what.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;

use super::path::Path;
use crate::codec;
use crate::domain::Probe;

pub const FILE_BYTES_MAX: u64 = 64 << 10;
/// A logger with 16 probes of temperature and humidity is below.
const MAPS_MAX: usize = 64;
const NAME_CHARS_MAX: usize = 64;
/// Seconds between two readings, as `devices add` takes them.
const CHECK_IN_S: RangeInclusive<u32> = 10..=7 * 86_400;
/// LoRaWAN application ports; 0 and those above are the network's.
const PORTS: RangeInclusive<u8> = 1..=223;

/// What a script is and what its values mean.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// "vendor/model", lower case.
    pub model: String,
    pub ports: Vec<u8>,
    pub check_in_s: u32,
    pub measuring: Probe,
    /// Values of temperature and humidity that mean "no sensor", as the script gives them.
    pub sentinels: Vec<f64>,
    /// A JSON object of texts, which the script is given.
    pub variables: String,
    pub map: Vec<Map>,
}

/// One value of the script's result, or one of each element of a list.
#[derive(Clone, Debug)]
pub struct Map {
    /// As it is written.
    pub text: String,
    pub path: Path,
    pub probe: Probe,
    pub kind: Kind,
    /// Where in an element of the list its time stands.
    pub time: Option<Path>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Temperature(Degrees),
    Humidity,
    Battery(BatteryUnit),
    /// What means open, and closed.
    Door(Words),
    /// What means wet, and dry.
    Leak(Words),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Degrees {
    C,
    F,
    K,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatteryUnit {
    Percent,
    Millivolts,
    Volts,
}

/// Values of a thing with two states.
#[derive(Clone, Debug, PartialEq)]
pub struct Words {
    pub yes: Vec<Value>,
    pub no: Vec<Value>,
}

impl Kind {
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Temperature(_) => "temperature",
            Kind::Humidity => "humidity",
            Kind::Battery(_) => "battery",
            Kind::Door(_) => "door",
            Kind::Leak(_) => "leak",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    model: Option<String>,
    ports: Vec<u8>,
    check_in_s: u32,
    #[serde(default = "internal")]
    measuring: String,
    #[serde(default)]
    sentinels: Vec<f64>,
    #[serde(default)]
    variables: BTreeMap<String, String>,
    map: Vec<Spanned<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    path: String,
    #[serde(default = "internal")]
    probe: String,
    quantity: String,
    unit: Option<String>,
    time: Option<String>,
    open: Option<Vec<toml::Value>>,
    closed: Option<Vec<toml::Value>>,
    wet: Option<Vec<toml::Value>>,
    dry: Option<Vec<toml::Value>>,
}

fn internal() -> String {
    "internal".to_owned()
}

impl Manifest {
    /// `name`: the file's, without its ending. An error names file and line.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        let at = |offset: usize| text[..offset.min(text.len())].matches('\n').count() + 1;
        let file: File = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| at(span.start));
            format!("{name}.toml line {line}: {}", error.message())
        })?;
        let mut map = Vec::new();
        for entry in file.map.iter().take(MAPS_MAX + 1) {
            let read = Map::of(entry.get_ref());
            map.push(
                read.map_err(|reason| format!("{name}.toml line {}: {reason}", at(entry.span().start)))?,
            );
        }
        let manifest = Self {
            model: file.model.unwrap_or_else(|| format!("custom/{name}")).to_ascii_lowercase(),
            measuring: probe(&file.measuring).map_err(|reason| format!("{name}.toml: {reason}"))?,
            ports: file.ports,
            check_in_s: file.check_in_s,
            sentinels: file.sentinels,
            variables: serde_json::to_string(&file.variables)
                .map_err(|error| format!("{name}.toml: {error}"))?,
            map,
        };
        manifest.check().map_err(|reason| format!("{name}.toml: {reason}"))?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), String> {
        let is_part = |part: &str| {
            let is_plain =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.' | '+');
            !part.is_empty() && part.chars().all(is_plain)
        };
        let is_name =
            self.model.split_once('/').is_some_and(|(vendor, model)| is_part(vendor) && is_part(model));
        if !is_name || self.model.len() > NAME_CHARS_MAX {
            return Err(format!("model {:?} is no vendor/model of letters, digits, - and _", self.model));
        }
        if codec::find(&self.model).is_some() {
            return Err(format!(
                "{} is decoded by the hub itself; give the script another model",
                self.model
            ));
        }
        if self.ports.is_empty() || !self.ports.iter().all(|port| PORTS.contains(port)) {
            return Err(format!(
                "ports must list the LoRaWAN ports ({} to {}) that carry values",
                PORTS.start(),
                PORTS.end()
            ));
        }
        if !CHECK_IN_S.contains(&self.check_in_s) {
            return Err(format!("check_in_s must be {} to {}", CHECK_IN_S.start(), CHECK_IN_S.end()));
        }
        if self.map.is_empty() || self.map.len() > MAPS_MAX {
            return Err(format!("1 to {MAPS_MAX} [[map]] are needed"));
        }
        let measured = |kind: &Kind| !matches!(kind, Kind::Battery(_));
        if !self.map.iter().any(|map| map.probe == self.measuring && measured(&map.kind)) {
            return Err(format!("measuring is {}, but no [[map]] is of that probe", self.measuring));
        }
        Ok(())
    }

    /// The names of what is measured, each once.
    pub fn quantities(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        for map in &self.map {
            if !names.contains(&map.kind.name()) {
                names.push(map.kind.name());
            }
        }
        names
    }
}

impl Map {
    fn of(entry: &Entry) -> Result<Self, String> {
        let path = Path::parse(&entry.path)?;
        let time = entry.time.as_deref().map(Path::parse).transpose()?;
        if time.is_some() && !path.goes_through_a_list() {
            return Err("time belongs to a path through a list, as log[].temp".to_owned());
        }
        if time.as_ref().is_some_and(Path::goes_through_a_list) {
            return Err("time is a path inside an element of the list, as ts".to_owned());
        }
        let unit = entry.unit.as_deref();
        let has_words = |pairs: [&Option<Vec<toml::Value>>; 2]| pairs.into_iter().any(Option::is_some);
        let kind = match entry.quantity.as_str() {
            "temperature" => Kind::Temperature(match unit {
                Some(text) => degrees(text).ok_or("unit of a temperature is C, F or K")?,
                None => return Err("a temperature needs its unit: C, F or K".to_owned()),
            }),
            "humidity" => match unit {
                None | Some("%") => Kind::Humidity,
                Some(_) => return Err("unit of a humidity is %".to_owned()),
            },
            "battery" => Kind::Battery(unit.and_then(battery_unit).ok_or("unit of a battery is %, mV or V")?),
            "door" => Kind::Door(words(
                entry.open.as_deref(),
                entry.closed.as_deref(),
                ["open", "opened"],
                ["closed", "close"],
            )?),
            "leak" => Kind::Leak(words(
                entry.wet.as_deref(),
                entry.dry.as_deref(),
                ["wet", "leak"],
                ["dry", "normal"],
            )?),
            other => {
                return Err(format!(
                    "quantity {other:?} is not known; use temperature, humidity, battery, door or leak"
                ));
            }
        };
        if has_words([&entry.open, &entry.closed]) && !matches!(kind, Kind::Door(_)) {
            return Err("open and closed belong to a door".to_owned());
        }
        if has_words([&entry.wet, &entry.dry]) && !matches!(kind, Kind::Leak(_)) {
            return Err("wet and dry belong to a leak".to_owned());
        }
        Ok(Self { text: entry.path.clone(), path, probe: probe(&entry.probe)?, kind, time })
    }
}

/// A unit of temperature as people and scripts spell it.
pub fn degrees(text: &str) -> Option<Degrees> {
    match text.trim().trim_start_matches('°').to_ascii_lowercase().as_str() {
        "c" | "celsius" | "degc" => Some(Degrees::C),
        "f" | "fahrenheit" | "degf" => Some(Degrees::F),
        "k" | "kelvin" => Some(Degrees::K),
        _ => None,
    }
}

pub fn battery_unit(text: &str) -> Option<BatteryUnit> {
    match text.trim() {
        "%" => Some(BatteryUnit::Percent),
        "mV" | "mv" => Some(BatteryUnit::Millivolts),
        "V" | "v" => Some(BatteryUnit::Volts),
        _ => None,
    }
}

fn probe(text: &str) -> Result<Probe, String> {
    Probe::parse(text)
        .ok_or_else(|| format!("probe {text:?} is not known; use internal, external or a number"))
}

/// The values of both states: both as listed, or both the usual ones.
fn words(
    yes: Option<&[toml::Value]>,
    no: Option<&[toml::Value]>,
    usual_yes: [&str; 2],
    usual_no: [&str; 2],
) -> Result<Words, String> {
    let usual = |state: bool, words: [&str; 2]| {
        let mut list = vec![Value::from(state), Value::from(u8::from(state))];
        list.extend(words.map(Value::from));
        list
    };
    let listed = |list: &[toml::Value]| {
        list.iter()
            .map(|value| match value {
                toml::Value::String(text) => Ok(Value::from(text.as_str())),
                toml::Value::Integer(number) => Ok(Value::from(*number)),
                toml::Value::Boolean(state) => Ok(Value::from(*state)),
                other => Err(format!("{other} is neither text, nor a whole number, nor true or false")),
            })
            .collect::<Result<Vec<Value>, String>>()
    };
    match (yes, no) {
        (None, None) => Ok(Words { yes: usual(true, usual_yes), no: usual(false, usual_no) }),
        (Some(yes), Some(no)) => Ok(Words { yes: listed(yes)?, no: listed(no)? }),
        _ => Err("list the values of both states, or of none".to_owned()),
    }
}
