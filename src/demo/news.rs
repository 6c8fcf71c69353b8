//! What is new about alerts, as lines: for a run without a terminal, and for its summary.

use std::collections::BTreeMap;

use serde_json::Value;

/// Alerts as they were last seen: severity and whether resolved, by id.
#[derive(Default)]
pub struct News {
    seen: BTreeMap<String, (String, bool)>,
}

impl News {
    /// One line for each alert that is new, rose or was resolved. `alerts`: the hub's list with resolved ones.
    pub fn lines(&mut self, alerts: &[Value]) -> Vec<String> {
        let mut lines = Vec::new();
        // The list has the newest first.
        for alert in alerts.iter().rev() {
            let text = |key: &str| alert[key].as_str().unwrap_or_default().to_owned();
            let state = (text("severity"), !alert["resolved"].is_null());
            let before = self.seen.insert(text("id"), state.clone());
            let what = text("message");
            match (before, &state) {
                (Some(before), after) if before == *after => {}
                (None, (_, true)) => lines.push(format!("came and went: {what}")),
                (Some(_), (_, true)) => lines.push(format!("resolved: {what}")),
                (_, (severity, false)) => lines.push(format!("{severity}: {what}")),
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tells_each_change_once() {
        let alert = |severity: &str, resolved: Value| {
            vec![
                json!({ "id": "1", "unit": "Fridge", "message": "Fridge is too warm", "severity": severity, "resolved": resolved }),
            ]
        };
        let mut news = News::default();
        for (alerts, want) in [
            (vec![], vec![]),
            (alert("warning", Value::Null), vec!["warning: Fridge is too warm"]),
            (alert("warning", Value::Null), vec![]),
            (alert("critical", Value::Null), vec!["critical: Fridge is too warm"]),
            (alert("critical", json!("12:00")), vec!["resolved: Fridge is too warm"]),
            (alert("critical", json!("12:00")), vec![]),
        ] {
            assert_eq!(news.lines(&alerts), want);
        }
    }
}
