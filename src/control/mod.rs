//! Requests that people make of the hub: the same ones over the control socket, from the command line and, later, the web.

pub mod show;
pub mod socket;

use serde::{Deserialize, Serialize};

use crate::lorawan::ids::{Eui, Key};
use crate::lorawan::personal::Personal;
use crate::lorawan::session::MacVersion;

/// One request. On the socket: `{"request":"units_add","name":...}`, one JSON object a line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// What the hub is doing: clock, counts, sources, units, sync.
    Status,
    UnitsList,
    UnitsAdd(UnitsAdd),
    DevicesList,
    /// Senders that are heard and not paired, and frames nobody could decode.
    Strangers,
    DevicesAdd(DevicesAdd),
    DevicesAssign(DevicesAssign),
    AlertsList {
        #[serde(default)]
        all: bool,
    },
    /// Begin a pairing session.
    PairOpen(PairOpen),
    /// Say which device a session is for.
    PairDevice(PairDevice),
    /// Sessions, and devices that want to join and are not known.
    PairStatus {
        #[serde(default)]
        code: Option<String>,
    },
    PairCancel {
        code: String,
    },
    /// Keys of a shipment.
    PairImport(PairImport),
    GatewaysList,
    GatewaysAdd(GatewaysAdd),
    GatewaysRemove {
        eui: String,
    },
    DevicesFlushNonces {
        device: String,
    },
    /// A temperature that a person measured.
    Log(LogManual),
    AlertsAck(AlertsAck),
    AlertsResolve(AlertsResolve),
    ContactsAdd(ContactsAdd),
    ContactsList,
    ContactsRemove {
        /// Name, phone number or id.
        contact: String,
    },
    /// What the last power cuts did.
    PowerReport,
    /// Decode kept frames again, after a codec was mended.
    Redecode(Redecode),
    /// Try the channels to people, and say what happened.
    NotifyTest(NotifyTest),
    /// Enrol with a receiver; `code` is read by the command line from a prompt, standard input or a file.
    Enroll(Enroll),
}

impl Request {
    /// True when answering it writes something.
    pub fn changes(&self) -> bool {
        match self {
            Request::Status
            | Request::UnitsList
            | Request::DevicesList
            | Request::Strangers
            | Request::AlertsList { .. }
            | Request::ContactsList
            | Request::PowerReport
            | Request::PairStatus { .. }
            | Request::GatewaysList => false,
            Request::UnitsAdd(_)
            | Request::DevicesAdd(_)
            | Request::DevicesAssign(_)
            | Request::Log(_)
            | Request::AlertsAck(_)
            | Request::AlertsResolve(_)
            | Request::ContactsAdd(_)
            | Request::ContactsRemove { .. }
            | Request::Redecode(_)
            | Request::NotifyTest(_)
            | Request::PairOpen(_)
            | Request::PairDevice(_)
            | Request::PairCancel { .. }
            | Request::PairImport(_)
            | Request::GatewaysAdd(_)
            | Request::GatewaysRemove { .. }
            | Request::DevicesFlushNonces { .. }
            | Request::Enroll(_) => true,
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UnitsAdd {
    pub name: String,
    pub unit_type: String,
    /// `C` or `F`; None: the configured one.
    pub temp_unit: Option<String>,
    /// Degrees in that unit; None: the default of the type (a blast chiller has none).
    pub min: Option<f64>,
    pub max: Option<f64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DevicesAdd {
    /// An EUI (16 hex digits), or the sender's natural address with `source` and `port`.
    pub address: String,
    pub source: Option<String>,
    pub port: Option<String>,
    /// "vendor/model"; may be left out where the frames carry values themselves.
    pub model: Option<String>,
    pub name: Option<String>,
    /// The unit its measuring probe is in, by name or id.
    pub unit: Option<String>,
    /// Another probe than the model's measuring one.
    pub probe: Option<String>,
    pub check_in_s: Option<u32>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DevicesAssign {
    /// The device by EUI, address or name.
    pub device: String,
    pub probe: Option<String>,
    /// None: the probe measures nothing any more.
    pub unit: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogManual {
    /// By name or id.
    pub unit: String,
    /// As a person writes it: "4.5", "4,5", "40F".
    pub temperature: String,
    /// E-mail address or full name; one that no profile has is kept in the notes.
    pub by: Option<String>,
    pub notes: Option<String>,
    /// Percent, as a person writes it.
    pub humidity: Option<String>,
    /// "14:05", "2026-11-24 14:05" in the site's zone, or RFC 3339; None: now.
    pub at: Option<String>,
    /// The value is meant though it is odd.
    #[serde(default)]
    pub yes: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AlertsAck {
    /// Units, whose open alerts are meant, or the first digits of ids.
    pub alerts: Vec<String>,
    pub by: Option<String>,
    pub notes: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AlertsResolve {
    /// The unit, whose open alerts are meant, or the first digits of an id.
    pub alert: String,
    pub by: Option<String>,
    pub notes: Option<String>,
    /// What was done.
    pub action: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ContactsAdd {
    pub name: String,
    /// E.164; spaces and dashes may stand in it.
    pub phone: String,
    pub email: Option<String>,
    /// 0 is called first.
    #[serde(default)]
    pub priority: i32,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct NotifyTest {
    /// A channel's kind (`sms`) or configured name; None: every channel.
    pub channel: Option<String>,
    /// A number or address; None: the first contact that has one.
    pub to: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PairOpen {
    /// The unit its measuring probe will be in, by name or id; may be said later.
    pub unit: Option<String>,
    pub model: Option<String>,
    pub name: Option<String>,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct PairDevice {
    pub code: String,
    /// A DevEUI, or the text of a label's QR code.
    pub device: String,
    /// None: the one on the label or of its shipment.
    pub key: Option<Key>,
    /// Of a personalised (ABP) device, in place of a key to join with.
    #[serde(default)]
    pub personal: Option<Personal>,
    /// LoRaWAN version of the device; None: the shipment's, else 1.0.3.
    pub version: Option<String>,
    /// Of a sensor that does not join at the hub: what it is heard by. `device` is its address there.
    #[serde(default)]
    pub source: Option<String>,
    /// The configured name of that port or broker.
    #[serde(default)]
    pub port: Option<String>,
    pub unit: Option<String>,
    pub model: Option<String>,
    pub name: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PairImport {
    pub rows: Vec<ImportRow>,
}

/// A device of a shipment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImportRow {
    pub dev_eui: Eui,
    pub join_eui: Option<Eui>,
    pub key: Key,
    pub version: Option<MacVersion>,
    pub name: Option<String>,
    pub model: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GatewaysAdd {
    pub eui: String,
    pub name: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Redecode {
    /// EUI, address or name; None: every device.
    pub device: Option<String>,
    /// Frames that were decoded before too.
    #[serde(default)]
    pub all: bool,
    /// Days in the site's zone, as 2026-11-24; both are included.
    pub from: Option<String>,
    pub to: Option<String>,
    /// `next` of the answer before: one request does a part, so that the hub goes on hearing.
    pub next: Option<RedecodeNext>,
}

/// Where the next part begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedecodeNext {
    /// A device's place in the list.
    pub device: usize,
    /// A frame's number.
    pub frame: i64,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Enroll {
    pub url: String,
    pub code: String,
    /// Lines of `local unit name = central unit id or name`.
    pub unit_map: Vec<(String, String)>,
    pub create_units: bool,
    pub replace: bool,
}

/// A label may hold the key, and so may what somebody took for one.
impl std::fmt::Debug for PairDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let device = Eui::parse(&self.device).map_or_else(|| "(label)".to_owned(), |eui| eui.to_string());
        f.debug_struct("PairDevice")
            .field("code", &self.code)
            .field("device", &device)
            .field("unit", &self.unit)
            .field("model", &self.model)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Enroll {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Enroll").field("url", &self.url).field("code", &"(secret)").finish_non_exhaustive()
    }
}

/// One line of answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    Ok(serde_json::Value),
    Error(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_shows_in_debug() {
        let key = "00112233445566778899AABBCCDDEEFF";
        for (device, shown) in [
            (format!("LW:D0:1122334455667788:A840411234567890:00000000:P{key}"), "(label)"),
            (key.to_owned(), "(label)"),
            ("a8:40:41:12:34:56:78:90".to_owned(), "A840411234567890"),
        ] {
            let request: Request = serde_json::from_value(serde_json::json!({
                "request": "pair_device", "code": "K7WMQ4", "device": device, "key": key,
            }))
            .expect("a request");
            let text = format!("{request:?}");
            assert!(text.contains(shown) && text.contains("K7WMQ4") && !text.contains(key), "{text}");
        }
    }
}
