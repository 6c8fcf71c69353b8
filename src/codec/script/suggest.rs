//! A TOML to start from: what the values of a script's result probably are, by their usual names.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::Value;

use super::{Call, Output, Run, bounded, plain};
use crate::codec::CodecError;
use crate::domain::{Probe, UnixMs};

/// Values looked at; a result has a few dozen.
const LEAVES_MAX: usize = 500;
/// Levels looked through.
const DEPTH_MAX: usize = 6;
/// Names that speak about a measurement without being one.
const NO_VALUE: [&str; 14] = [
    "alarm",
    "limit",
    "min",
    "max",
    "threshold",
    "unit",
    "status",
    "flag",
    "type",
    "target",
    "setpoint",
    "count",
    "duration",
    "mode",
];

/// Runs a script once and writes the TOML that fits its result. `name`: the script's file without its ending.
pub fn suggest(
    name: &str,
    source: &str,
    (f_port, bytes): (u8, &[u8]),
    received: Option<UnixMs>,
    run: &mut Run<'_>,
) -> Result<String, CodecError> {
    let call = Call {
        file: Cow::Owned(format!("{name}.js")),
        source: Cow::Borrowed(source),
        bytes: Cow::Borrowed(bytes),
        f_port,
        received_ms: received.map_or(0, |at| at.0),
        variables: Cow::Borrowed("{}"),
    };
    let text = run(&call)?;
    Ok(toml_for(name, f_port, &Output::of(&text)?.data))
}

struct Leaf<'a> {
    path: String,
    /// Of an element's time, where the path goes through a list.
    time: Option<String>,
    value: &'a Value,
}

struct Guess {
    path: String,
    time: Option<String>,
    probe: Probe,
    quantity: &'static str,
    unit: Option<&'static str>,
    shown: String,
}

fn toml_for(name: &str, f_port: u8, data: &Value) -> String {
    let mut leaves = Vec::new();
    walk(data, &Leaf { path: String::new(), time: None, value: data }, 0, &mut leaves);
    let mut guesses: Vec<Guess> = Vec::new();
    let mut others = Vec::new();
    for leaf in &leaves {
        match guess(leaf, &guesses) {
            Some(guess) => guesses.push(guess),
            None => others.push(format!("#   {} = {}", leaf.path, bounded(&plain(leaf.value)))),
        }
    }
    let first =
        |quantity: &str| guesses.iter().find(|guess| guess.quantity == quantity).map(|guess| guess.probe);
    let measuring = guesses
        .iter()
        .find(|guess| guess.quantity == "temperature" && guess.probe == Probe::EXTERNAL)
        .map(|guess| guess.probe)
        .or_else(|| ["temperature", "door", "leak"].into_iter().find_map(first))
        .unwrap_or(Probe::INTERNAL);
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = write!(
        out,
        "# A guess from one payload: check every line against the maker's manual.\n\
         model = \"custom/{}\"\n\
         # Every port that carries measured values.\n\
         ports = [{f_port}]\n\
         # Seconds between two readings, as the device is set.\n\
         check_in_s = 1200\n\
         # The probe that is in the cold.\n\
         measuring = \"{measuring}\"\n\
         # Values that mean \"no sensor\", as in: sentinels = [327.67]\n",
        name.to_ascii_lowercase()
    );
    for guess in &guesses {
        let _ = write!(out, "\n[[map]]  # {}\npath = {:?}\n", guess.shown, guess.path);
        if let Some(time) = &guess.time {
            let _ = writeln!(out, "time = {time:?}");
        }
        let _ = writeln!(out, "probe = \"{}\"\nquantity = \"{}\"", guess.probe, guess.quantity);
        if let Some(unit) = guess.unit {
            let _ = writeln!(out, "unit = \"{unit}\"");
        }
    }
    if !others.is_empty() {
        let _ = write!(out, "\n# Values without a guess:\n{}\n", others.join("\n"));
    }
    out
}

fn walk<'a>(value: &'a Value, place: &Leaf<'a>, depth: usize, out: &mut Vec<Leaf<'a>>) {
    if depth > DEPTH_MAX || out.len() >= LEAVES_MAX {
        return;
    }
    let at = |path: String, time: Option<String>, value| Leaf { path, time, value };
    match value {
        Value::Object(fields) if !fields.contains_key("value") => {
            for (key, value) in fields {
                let path = match (place.path.as_str(), is_bare(key)) {
                    ("", true) => key.clone(),
                    (before, true) => format!("{before}.{key}"),
                    (before, false) => format!("{before}[\"{key}\"]"),
                };
                walk(value, &at(path, place.time.clone(), value), depth + 1, out);
            }
        }
        Value::Array(items) => {
            let time = items
                .first()
                .and_then(Value::as_object)
                .and_then(|fields| fields.keys().find(|key| is_time(key)));
            if let (Some(time), Some(first), None) = (time, items.first(), &place.time) {
                walk(first, &at(format!("{}[]", place.path), Some(time.clone()), first), depth + 1, out);
            } else {
                for (index, value) in items.iter().enumerate() {
                    walk(
                        value,
                        &at(format!("{}[{index}]", place.path), place.time.clone(), value),
                        depth + 1,
                        out,
                    );
                }
            }
        }
        Value::Null => {}
        value => out.push(at(place.path.clone(), place.time.clone(), value)),
    }
}

/// A key that needs no quotes in a path.
fn is_bare(key: &str) -> bool {
    !key.is_empty() && !key.contains(['.', '[', ']', '"', ' '])
}

fn is_time(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.contains("time") || key.contains("date") || key == "ts"
}

fn guess(leaf: &Leaf<'_>, before: &[Guess]) -> Option<Guess> {
    let last = leaf.path.rsplit('.').next().unwrap_or_default();
    let name: String =
        last.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    if NO_VALUE.iter().any(|word| name.contains(word)) {
        return None;
    }
    let value = leaf.value.get("value").unwrap_or(leaf.value);
    let number = value.as_f64().or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()));
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    let (quantity, unit) =
        if number.is_some() && (name.starts_with("temp") || has(&["temperature", "tempc", "tempf"])) {
            ("temperature", Some(if has(&["tempf", "fahrenheit"]) { "F" } else { "C" }))
        } else if number.is_some() && (has(&["hum"]) || name.starts_with("rh") || name.ends_with("rh")) {
            ("humidity", Some("%"))
        } else if let Some(number) = number.filter(|_| has(&["bat"])) {
            let unit = match number {
                n if n > 100.0 => "mV",
                n if has(&["batv", "volt"]) || n < 5.0 && n.fract() != 0.0 => "V",
                _ => "%",
            };
            ("battery", Some(unit))
        } else if has(&["door", "contact", "reed", "magnet"]) {
            ("door", None)
        } else if has(&["leak", "flood", "water"]) {
            ("leak", None)
        } else {
            return None;
        };
    let taken = |probe: Probe| before.iter().any(|guess| guess.quantity == quantity && guess.probe == probe);
    let wanted =
        if quantity == "battery" { Probe::INTERNAL } else { probe_in(&leaf.path.to_ascii_lowercase()) };
    let numbers = (1..u8::MAX).map(Probe::numbered);
    let probe = [wanted].into_iter().chain(numbers).find(|probe| quantity == "battery" || !taken(*probe))?;
    Some(Guess {
        path: leaf.path.clone(),
        time: leaf.time.clone(),
        probe,
        quantity,
        unit,
        shown: bounded(&plain(leaf.value)),
    })
}

/// The probe that a name speaks of: one on a cable, a numbered one, else the built-in one.
fn probe_in(path: &str) -> Probe {
    let last = path.rsplit('.').next().unwrap_or_default();
    let is_external = ["ext", "probe", "_ds", "ds18", "pt100", "rtd", "thermocouple"]
        .iter()
        .any(|word| path.contains(word));
    let digits: String =
        last.chars().rev().take_while(char::is_ascii_digit).collect::<Vec<_>>().into_iter().rev().collect();
    let before = last.trim_end_matches(|c: char| c.is_ascii_digit());
    match digits.parse::<u8>() {
        // Not the names of sensors: DS18B20, SHT31.
        Ok(number) if (1..=16).contains(&number) && !before.ends_with("sht") => Probe::numbered(number),
        _ if is_external => Probe::EXTERNAL,
        _ => Probe::INTERNAL,
    }
}
