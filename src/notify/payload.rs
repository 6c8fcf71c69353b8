//! What machines are told of a message: the JSON of webhooks and of the MQTT event. Receivers are written against it:
//! fields may be added, none changes its meaning without another `version`.
//!
//! ```json
//! {
//!   "version": 1,
//!   "id": "01890a5d-ac96-774b-bcce-b302099a8057",
//!   "kind": "call",
//!   "severity": "critical",
//!   "subject": "...",
//!   "text": "...",
//!   "alerts": [{
//!     "id": "...", "unit_id": "...", "unit": "Walk-in freezer", "type": "alarm_active", "severity": "critical",
//!     "status": "escalated", "level": 1, "message": "...", "triggered_at": "2026-07-18T09:34:15.775Z"
//!   }],
//!   "made_at": "2026-07-18T09:44:15Z"
//! }
//! ```
//!
//! `kind`: `call` (somebody must act), `all_clear`, `notice`, `test`. `severity`, `type` and `status` are spelled as in
//! the central schema. Times are UTC by RFC 3339; `made_at` is null while the hub does not trust its clock.

use serde::Serialize;
use uuid::Uuid;

use super::{AlertNote, Kind, Message};
use crate::domain::{AlertStatus, AlertType, Severity};

const VERSION: u32 = 1;

#[derive(Serialize)]
pub struct Payload<'a> {
    version: u32,
    id: Uuid,
    kind: Kind,
    severity: Severity,
    subject: &'a str,
    text: &'a str,
    alerts: Vec<AlertPayload<'a>>,
    made_at: Option<String>,
}

#[derive(Serialize)]
pub struct AlertPayload<'a> {
    id: Uuid,
    unit_id: Uuid,
    unit: &'a str,
    r#type: AlertType,
    severity: Severity,
    status: AlertStatus,
    level: u8,
    message: &'a str,
    triggered_at: Option<String>,
}

impl<'a> From<&'a Message> for Payload<'a> {
    fn from(message: &'a Message) -> Self {
        Self {
            version: VERSION,
            id: message.id,
            kind: message.kind,
            severity: message.severity,
            subject: &message.subject,
            text: &message.text,
            alerts: message.alerts.iter().map(AlertPayload::from).collect(),
            made_at: message.made_ms.and_then(rfc_3339),
        }
    }
}

impl<'a> From<&'a AlertNote> for AlertPayload<'a> {
    fn from(alert: &'a AlertNote) -> Self {
        Self {
            id: alert.id,
            unit_id: alert.unit_id,
            unit: &alert.unit,
            r#type: alert.alert_type,
            severity: alert.severity,
            status: alert.status,
            level: alert.level,
            message: &alert.message,
            triggered_at: rfc_3339(alert.triggered_ms),
        }
    }
}

/// None beyond the year 9999.
pub fn rfc_3339(unix_ms: i64) -> Option<String> {
    Some(jiff::Timestamp::from_millisecond(unix_ms).ok()?.to_string())
}

/// A line that came from outside, fit for a sentence: no control characters, no more than `chars_max`.
pub fn one_line(text: &str, chars_max: usize) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(chars_max).collect();
    line.trim().to_owned()
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A call about one alert, with what outsiders may put into names.
    pub fn call() -> Message {
        Message {
            id: Uuid::from_u128(0x0189_0a5d_ac96_774b_bcce_b302_099a_8057),
            kind: Kind::Call,
            severity: Severity::Critical,
            recipient: "chef@kitchen.example".into(),
            subject: "Kühlhaus \"2\": 9.5 °C".into(),
            text: "Kühlhaus \"2\" is too warm: 9.5 °C.\n.\nPlease look.".into(),
            alerts: vec![AlertNote {
                id: Uuid::from_u128(1),
                unit_id: Uuid::from_u128(2),
                unit: "Kühlhaus \"2\"".into(),
                alert_type: AlertType::AlarmActive,
                severity: Severity::Critical,
                status: AlertStatus::Escalated,
                level: 1,
                message: "too warm".into(),
                triggered_ms: 1_784_367_255_775,
            }],
            made_ms: Some(1_784_367_855_000),
        }
    }

    #[test]
    fn the_shape_is_frozen() {
        let mut message = call();
        assert_eq!(
            serde_json::to_string(&Payload::from(&message)).unwrap(),
            concat!(
                r#"{"version":1,"id":"01890a5d-ac96-774b-bcce-b302099a8057","kind":"call","severity":"critical","#,
                r#""subject":"Kühlhaus \"2\": 9.5 °C","text":"Kühlhaus \"2\" is too warm: 9.5 °C.\n.\nPlease look.","#,
                r#""alerts":[{"id":"00000000-0000-0000-0000-000000000001","#,
                r#""unit_id":"00000000-0000-0000-0000-000000000002","unit":"Kühlhaus \"2\"","type":"alarm_active","#,
                r#""severity":"critical","status":"escalated","level":1,"message":"too warm","#,
                r#""triggered_at":"2026-07-18T09:34:15.775Z"}],"made_at":"2026-07-18T09:44:15Z"}"#
            )
        );
        (message.made_ms, message.alerts) = (None, Vec::new());
        let bare = serde_json::to_string(&Payload::from(&message)).unwrap();
        assert!(bare.ends_with(r#""alerts":[],"made_at":null}"#), "{bare}");
    }

    #[test]
    fn lines_from_outside_are_tamed() {
        for (text, want) in [("no such hook\r\nX: y", "no such hook  X: y"), ("\u{1b}[31mred", "[31mred")] {
            assert_eq!(one_line(text, 20), want);
        }
        assert_eq!(one_line("äöü", 2), "äö");
    }
}
