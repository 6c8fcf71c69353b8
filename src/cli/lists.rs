//! Answers of the hub as people read them.

use anyhow::Result;
use serde_json::Value;

use super::out;
use crate::doctor::judge::age;

/// The sentence of an answer that is one; what may not be meant goes to standard error.
pub fn said(value: &Value) -> Result<()> {
    if let Some(warning) = value["warning"].as_str() {
        out::warning(warning);
    }
    out::line(value["said"].as_str().unwrap_or("done"))
}

pub fn units(value: &Value) -> Result<()> {
    let mut rows = rows(value, "units", &["name", "type", "status", "last", "limits", "at"]);
    let units = value["units"].as_array().into_iter().flatten();
    for (row, unit) in rows.iter_mut().zip(units) {
        row[2] = shown_status(unit);
    }
    if rows.is_empty() {
        return out::line(
            "no units yet: `frostguard-hub units add \"Walk-in\" --type walk_in_cooler` makes one",
        );
    }
    out::table(&["NAME", "TYPE", "STATUS", "LAST", "LIMITS", "AT"], &rows)
}

pub fn devices(value: &Value) -> Result<()> {
    let rows = rows(value, "devices", &["name", "eui", "model", "probes", "battery", "signal", "seen"]);
    if rows.is_empty() {
        return out::line("no devices yet: `frostguard-hub devices strangers` lists what is heard");
    }
    out::table(&["NAME", "EUI", "MODEL", "MEASURES", "BATTERY", "SIGNAL", "SEEN"], &rows)?;
    for device in
        value["devices"].as_array().into_iter().flatten().filter(|device| device["refused"].is_string())
    {
        out::line(&format!("central does not take {}: {}", text(&device["eui"]), text(&device["refused"])))?;
    }
    Ok(())
}

pub fn strangers(value: &Value) -> Result<()> {
    let rows = rows(value, "strangers", &["source", "port", "address", "why", "frames", "seen", "bytes"]);
    if rows.is_empty() {
        return out::line("no strangers: every sender that is heard is paired and understood");
    }
    out::table(&["SOURCE", "PORT", "ADDRESS", "WHY", "FRAMES", "LAST SEEN", "LAST BYTES"], &rows)
}

pub fn pairings(value: &Value) -> Result<()> {
    let sessions = rows(value, "sessions", &["code", "status", "sensor", "unit", "expires", "now"]);
    if sessions.is_empty() {
        out::line("no pairing yet: `frostguard-hub pair open` begins one")?;
    } else {
        out::table(&["CODE", "STATUS", "SENSOR", "UNIT", "EXPIRES", "NOW"], &sessions)?;
    }
    let strangers = rows(value, "strangers", &["eui", "join_eui", "joins", "rssi"]);
    if strangers.is_empty() {
        return Ok(());
    }
    out::line("\nunknown sensors that want to join:")?;
    out::table(&["DEVEUI", "JOINEUI", "JOINS", "DBM"], &strangers)
}

pub fn gateways(value: &Value) -> Result<()> {
    let columns = ["eui", "name", "listed_by", "last_contact", "frames", "answers", "refused_answers"];
    let mut listed = rows(value, "gateways", &columns);
    let radios = value["gateways"].as_array().into_iter().flatten().map(|gateway| &gateway["radio"]);
    for (row, radio) in listed.iter_mut().zip(radios) {
        row.extend(["rssi_mean", "snr_mean", "noise_percent", "clock"].map(|column| text(&radio[column])));
    }
    if listed.is_empty() {
        out::line("no gateway yet: `frostguard-hub gateways add EUI` takes its frames")?;
    } else {
        let titles = ["EUI", "NAME", "LISTED BY", "LAST CONTACT", "FRAMES", "ANSWERS", "REFUSED"];
        out::table(&[&titles[..], &["DBM", "SNR", "NOISE %", "CLOCK"]].concat(), &listed)?;
    }
    for stranger in value["strangers"].as_array().into_iter().flatten() {
        out::line(&format!("not listed, but heard: {}", text(stranger)))?;
    }
    Ok(())
}

pub fn alerts(value: &Value) -> Result<()> {
    let columns = ["id", "triggered", "unit", "type", "severity", "status", "message"];
    let mut rows = rows(value, "alerts", &columns);
    // As many digits as tell them apart.
    for row in &mut rows {
        row[0].truncate(8);
    }
    if rows.is_empty() {
        return out::line("no open alerts");
    }
    out::table(&["ID", "SINCE", "UNIT", "TYPE", "SEVERITY", "STATUS", "MESSAGE"], &rows)
}

pub fn contacts(value: &Value) -> Result<()> {
    let rows = rows(value, "contacts", &["priority", "name", "phone", "email"]);
    if rows.is_empty() {
        return out::line(
            "nobody is called yet: `frostguard-hub contacts add \"Ana\" --phone +49...` adds somebody",
        );
    }
    out::table(&["PRIORITY", "NAME", "PHONE", "E-MAIL"], &rows)
}

pub fn status(value: &Value) -> Result<()> {
    for section in ["hub", "clock", "power", "readings", "sync", "sources"] {
        let Some(fields) = value[section].as_object() else { continue };
        out::line(&format!("{section}:"))?;
        for (name, field) in fields {
            let shown = if name == "uplink" { uplink(field) } else { text(field) };
            out::line(&format!("  {:<22} {}", name.replace('_', " "), out::shown(&shown)))?;
        }
    }
    out::line("")?;
    units(value)?;
    out::line("")?;
    alerts(value)
}

/// When central was last heard, what went up since the start, and what keeps it from more.
fn uplink(value: &Value) -> String {
    if !value.is_object() {
        return text(value);
    }
    let contact = match value["last_contact_age_s"].as_i64() {
        _ if value["is_enrolled"] != true => "not enrolled".to_owned(),
        Some(seconds) => format!("last contact {} ago", age(seconds)),
        None => "no contact since the start".to_owned(),
    };
    let lane = |name: &str, what: &str| {
        let lane = &value[name];
        let batches = lane["batches"].as_u64().filter(|batches| *batches > 0)?;
        Some(format!("{} {what} in {batches} batches", lane["rows"]))
    };
    let sent: Vec<String> =
        [lane("readings", "readings"), lane("state", "other rows")].into_iter().flatten().collect();
    let sent = (!sent.is_empty()).then(|| format!("sent since the start: {}", sent.join(", ")));
    let failures: u64 =
        ["readings", "state"].iter().filter_map(|lane| value[*lane]["failures"].as_u64()).sum();
    let problem = value["problem"].as_str().map(|problem| match failures {
        0 => format!("problem: {problem}"),
        tries => format!("problem, {tries} times in a row: {problem}"),
    });
    [Some(contact), sent, problem].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// Central's word for a unit of which nothing bad is known is "ok", also where nothing is known at all.
fn shown_status(unit: &Value) -> String {
    match (unit["status"].as_str(), unit["last"].is_null()) {
        (Some("ok"), true) => "no reading".to_owned(),
        _ => text(&unit["status"]),
    }
}

fn rows(value: &Value, list: &str, columns: &[&str]) -> Vec<Vec<String>> {
    let Some(items) = value[list].as_array() else { return Vec::new() };
    items.iter().map(|item| columns.iter().map(|&column| text(&item[column])).collect()).collect()
}

/// A field as text: "-" where there is none.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_uplink_is_told_in_words() {
        let lane = |batches: u64, rows: u64, failures: u64| json!({ "batches": batches, "rows": rows, "body_bytes": 1, "failures": failures });
        let uplink = |is_enrolled: bool, age_s: Option<i64>, failures: u64, problem: Option<&str>| {
            uplink(&json!({
                "is_enrolled": is_enrolled, "last_contact": age_s.map(|_| 917_263), "last_contact_age_s": age_s,
                "state": lane(2, 5, 0), "readings": lane(3, 70, failures), "problem": problem, "bytes_per_s": 900,
            }))
        };
        let sent = "sent since the start: 70 readings in 3 batches, 5 other rows in 2 batches";
        assert_eq!(uplink(true, Some(3), 0, None), format!("last contact 3 s ago; {sent}"));
        assert_eq!(
            uplink(true, Some(900), 4, Some("reach the receiver: refused")),
            format!(
                "last contact 15 min ago; {sent}; problem, 4 times in a row: reach the receiver: refused"
            )
        );
        let waits = json!({ "is_enrolled": true, "last_contact_age_s": null, "problem": "no name server" });
        assert_eq!(super::uplink(&waits), "no contact since the start; problem: no name server");
        assert_eq!(super::uplink(&json!({ "is_enrolled": false })), "not enrolled");
        assert_eq!(super::uplink(&Value::Null), "-");
    }

    #[test]
    fn a_unit_that_was_never_read_is_not_called_ok() {
        for (unit, want) in [
            (json!({ "status": "ok", "last": "4.5 °C" }), "ok"),
            (json!({ "status": "ok", "last": null, "sensor": true }), "no reading"),
            (json!({ "status": "ok", "last": null, "sensor": false }), "no reading"),
            (json!({ "status": "offline", "last": null }), "offline"),
        ] {
            assert_eq!(shown_status(&unit), want, "{unit}");
        }
    }
}
