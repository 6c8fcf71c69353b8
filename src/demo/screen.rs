//! What the demonstration shows: the hub's own status and central's counts as a page of text, drawn anew in place.

use std::fmt::Write as _;

use serde_json::Value;

/// Alerts shown below the units.
const ALERTS_SHOWN: usize = 6;

/// All that one page shows.
pub struct Page<'a> {
    /// Simulated minutes played, and to be played.
    pub minute: u32,
    pub minutes: u32,
    pub fast: u32,
    /// The hub's answer to `status`.
    pub status: &'a Value,
    pub central: Option<CentralCounts>,
    pub is_link_open: bool,
    pub bytes_up: u64,
    /// Whether keys are heard.
    pub has_keys: bool,
}

/// Rows in the private PostgreSQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CentralCounts {
    pub readings: i64,
    pub alerts: i64,
    pub audit: i64,
}

/// The page as lines with colours, without any movement of the cursor.
pub fn page(page: &Page<'_>) -> String {
    let status = page.status;
    let mut out = String::new();
    let time = text(&status["clock"]["time"]);
    line(
        &mut out,
        &format!(
            "{} minute {} of {}, {} times as fast   {time}",
            bold("FrostGuard"),
            page.minute,
            page.minutes,
            page.fast
        ),
    );
    line(&mut out, "");
    for unit in array(&status["units"]) {
        line(&mut out, &unit_line(unit));
    }
    line(&mut out, "");
    let alerts = array(&status["alerts"]);
    if alerts.is_empty() {
        line(&mut out, "no open alert");
    }
    for alert in alerts.iter().take(ALERTS_SHOWN) {
        line(&mut out, &alert_line(alert));
    }
    if alerts.len() > ALERTS_SHOWN {
        line(&mut out, &format!("and {} more", alerts.len() - ALERTS_SHOWN));
    }
    line(&mut out, "");
    let stored = &status["readings"]["stored"];
    let sync = &status["sync"];
    line(
        &mut out,
        &format!(
            "hub       {} readings, {} of them and {} changed rows not sent yet",
            number(stored),
            number(&sync["unsent_readings"]),
            number(&sync["dirty_rows"])
        ),
    );
    if let Some(central) = page.central {
        let link = if page.is_link_open { green("open") } else { red("CUT") };
        line(&mut out, &format!("internet  {link}, {} bytes went up", page.bytes_up));
        line(
            &mut out,
            &format!(
                "central   {} readings, {} alerts, {} audit rows in PostgreSQL",
                central.readings, central.alerts, central.audit
            ),
        );
    }
    if page.has_keys {
        line(&mut out, "");
        let cut = if page.central.is_some() { "c cuts and restores the internet, " } else { "" };
        line(&mut out, &dim(&format!("{cut}q ends")));
    }
    out
}

/// What puts a page where the last one of `lines_before` lines stood.
pub fn redraw(page: &str, lines_before: usize) -> String {
    let mut out = String::new();
    if lines_before > 0 {
        // A string takes what is written to it.
        let _ = write!(out, "\x1b[{lines_before}A\r");
    }
    for line in page.lines() {
        let _ = write!(out, "{line}\x1b[K\r\n");
    }
    out.push_str("\x1b[J");
    out
}

fn unit_line(unit: &Value) -> String {
    let status = text(&unit["status"]);
    let shown = match status {
        "ok" => green(&pad(status, 22)),
        "excursion" | "restoring" | "offline" => yellow(&pad(status, 22)),
        _ => red(&pad(status, 22)),
    };
    let last = if unit["last"].is_null() { "-" } else { text(&unit["last"]) };
    format!("{} {:>10}  {} {}", pad(text(&unit["name"]), 17), last, shown, dim(text(&unit["limits"])))
}

fn alert_line(alert: &Value) -> String {
    let severity = text(&alert["severity"]);
    let marked = match severity {
        "critical" => red(&pad(severity, 9)),
        "warning" => yellow(&pad(severity, 9)),
        _ => pad(severity, 9),
    };
    let what = if alert["message"].is_null() { text(&alert["type"]) } else { text(&alert["message"]) };
    format!("{marked} {} {what}", pad(text(&alert["unit"]), 17))
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

fn pad(text: &str, width: usize) -> String {
    format!("{text:<width$}")
}

fn bold(text: &str) -> String {
    format!("\x1b[1m{text}\x1b[0m")
}

fn dim(text: &str) -> String {
    format!("\x1b[2m{text}\x1b[0m")
}

fn red(text: &str) -> String {
    format!("\x1b[31m{text}\x1b[0m")
}

fn yellow(text: &str) -> String {
    format!("\x1b[33m{text}\x1b[0m")
}

fn green(text: &str) -> String {
    format!("\x1b[32m{text}\x1b[0m")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Without colours.
    fn plain(text: &str) -> String {
        let mut out = String::new();
        let mut pieces = text.split('\x1b');
        out.push_str(pieces.next().unwrap_or_default());
        pieces.for_each(|piece| out.push_str(piece.split_once('m').map_or("", |(_, rest)| rest)));
        out
    }

    #[test]
    fn shows_units_alerts_and_both_ends() {
        let status = json!({
            "clock": { "time": "2026-11-23 10:00:00" },
            "units": [
                { "name": "Fish fridge", "last": "5.1 °C", "status": "excursion", "limits": "0.0 to 5.0 °C" },
                { "name": "Blast chiller", "last": null, "status": "ok", "limits": "-5.0 to 5.0 °C" },
            ],
            "alerts": [{ "unit": "Fish fridge", "severity": "warning", "type": "alarm_active", "message": null }],
            "readings": { "stored": 12 },
            "sync": { "unsent_readings": 4, "dirty_rows": 1 },
        });
        let counts = CentralCounts { readings: 8, alerts: 0, audit: 3 };
        let text = page(&Page {
            minute: 2,
            minutes: 60,
            fast: 60,
            status: &status,
            central: Some(counts),
            is_link_open: false,
            bytes_up: 900,
            has_keys: true,
        });
        let want = "FrostGuard minute 2 of 60, 60 times as fast   2026-11-23 10:00:00\n\n\
            Fish fridge           5.1 °C  excursion              0.0 to 5.0 °C\n\
            Blast chiller              -  ok                     -5.0 to 5.0 °C\n\n\
            warning   Fish fridge       alarm_active\n\n\
            hub       12 readings, 4 of them and 1 changed rows not sent yet\n\
            internet  CUT, 900 bytes went up\n\
            central   8 readings, 0 alerts, 3 audit rows in PostgreSQL\n\n\
            c cuts and restores the internet, q ends\n";
        assert_eq!(plain(&text), want);
        assert!(redraw(&text, 14).starts_with("\x1b[14A\r"));
        assert_eq!(redraw(&text, 0).matches("\r\n").count(), text.lines().count());
    }
}
