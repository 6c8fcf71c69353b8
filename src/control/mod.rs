//! Requests that people make of the hub: the same ones over the control socket, from the command line and, later, the web.

pub mod show;
pub mod socket;

use serde::{Deserialize, Serialize};

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
    /// What the last power cuts did.
    PowerReport,
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
            | Request::PowerReport => false,
            Request::UnitsAdd(_)
            | Request::DevicesAdd(_)
            | Request::DevicesAssign(_)
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

#[derive(Clone, Serialize, Deserialize)]
pub struct Enroll {
    pub url: String,
    pub code: String,
    /// Lines of `local unit name = central unit id or name`.
    pub unit_map: Vec<(String, String)>,
    pub create_units: bool,
    pub replace: bool,
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
