//! What is said. Texts are made once, in the site's time zone and each unit's scale, when a call is due.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{AlertStatus, AlertType, Severity, UnitStatus};

/// One message to one recipient; several calls may have been merged into it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The same when the message is sent again after a crash.
    pub id: Uuid,
    pub kind: Kind,
    pub severity: Severity,
    /// E.164 number or e-mail address; the configured name where a channel has no recipients (a webhook).
    pub recipient: String,
    /// One line.
    pub subject: String,
    /// The whole of it, plain text, lines ended by `\n`.
    pub text: String,
    /// What it is about, for machines.
    pub alerts: Vec<AlertNote>,
    /// When it was made, Unix ms; None while wall time is not trusted.
    pub made_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Somebody must act.
    Call,
    /// What somebody was called for is over.
    AllClear,
    /// Worth knowing: a source that is down, a late alarm, the report after a power cut.
    Notice,
    /// A person tries the channel.
    Test,
}

/// An alert for machines. Times are Unix ms, temperatures degrees of `scale`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertNote {
    pub id: Uuid,
    pub unit_id: Uuid,
    pub unit: String,
    pub alert_type: AlertType,
    pub severity: Severity,
    pub status: AlertStatus,
    /// `alerts.escalation_level`.
    pub level: u8,
    pub message: String,
    pub triggered_ms: i64,
}

/// The state of the kitchen, for what shows one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Board {
    /// The highest severity that calls people: of open alerts that are due and that nobody took.
    pub calling: Option<Severity>,
    /// The same without what a person silenced at the button, until somebody is called again: what buzzers sound.
    pub sound: Option<Severity>,
    /// The highest severity of all open alerts, unconfirmed and acknowledged ones too. None: all is well.
    pub light: Option<Severity>,
    /// The hub cannot store what it hears: sounds like a critical alert, whatever else stands here.
    pub is_storage_failed: bool,
    pub site: String,
    pub units: Vec<UnitNote>,
    pub alerts: Vec<AlertNote>,
}

/// A unit as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnitNote {
    pub id: Uuid,
    pub name: String,
    pub status: UnitStatus,
    /// Degrees in `scale`, two decimals.
    pub temperature: Option<f64>,
    /// Percent.
    pub humidity: Option<f64>,
    /// "C" or "F".
    pub scale: String,
    /// Some where a door sensor is assigned and was heard.
    pub is_door_open: Option<bool>,
    /// Unix ms of the newest reading.
    pub read_ms: Option<i64>,
}
