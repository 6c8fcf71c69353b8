//! What travels in HTTP besides batches: JSON, both directions. Paths are relative to the receiver's base URL.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::wire::RowImage;

/// `POST`, `EnrolRequest` -> `EnrolAnswer`; the code is the credential.
pub const PATH_ENROL: &str = "/v1/enrol";
/// `POST`, a stored batch body, `application/octet-stream`, bearer token, `HEADER_LANE` -> `UploadAnswer`. With
/// `?cursor=` (the `Down::cursor` of an earlier answer) `Down` brings entries, too; without it none and no cursor.
pub const PATH_BATCHES: &str = "/v1/batches";
/// `GET` with `If-None-Match` and `?cursor=`, bearer token -> `ConfigAnswer` or 304.
pub const PATH_CONFIG: &str = "/v1/config";
/// `POST`, `RefusedSnapshot`, bearer token: the hub says that it did not take a snapshot.
pub const PATH_CONFIG_REFUSED: &str = "/v1/config/refused";
/// On uploads: the lane's number, so that state is admitted before readings. Without it a body counts as readings.
pub const HEADER_LANE: &str = "x-frostguard-lane";
/// `GET ?nonce=` (32 hex digits), no credential -> `TimeAnswer`.
pub const PATH_TIME: &str = "/v1/time";

#[derive(Clone, Serialize, Deserialize)]
pub struct EnrolRequest {
    pub code: String,
    /// Ed25519, 64 hex digits.
    pub public_key: String,
    pub mac_address: Option<String>,
    pub firmware_version: String,
    /// Unix ms of the hub's oldest reading.
    pub oldest_reading_ms: Option<i64>,
    pub reading_count: u64,
    /// The hub's units that its map does not place. Each needs a central unit of equal name and type in the site, or
    /// `create`: else the answer is 409 with central's units, and the code stays good.
    pub units: Vec<EnrolUnit>,
    /// Make the units of `units` that have `create`; otherwise nothing is made.
    pub create_units: bool,
    pub device_euis: Vec<String>,
    /// Replace an earlier enrolment of the same hub row.
    pub replace: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EnrolUnit {
    pub name: String,
    pub unit_type: String,
    pub temp_unit: String,
    /// Tenths of a degree in `temp_unit`.
    pub temp_min: i64,
    pub temp_max: i64,
    pub create: bool,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct EnrolAnswer {
    pub hub_id: Uuid,
    pub site_id: Uuid,
    pub organization_id: Uuid,
    /// Ed25519, 64 hex digits; the hub pins it.
    pub receiver_key: String,
    /// 256 random bits, hex; stored by the receiver only as SHA-256.
    pub token: String,
    pub history_from_ms: i64,
    pub snapshot: Snapshot,
    /// Devices of the organization whose EUI the hub named: (EUI, central id).
    pub devices: Vec<(String, Uuid)>,
}

/// What the hub's site needs from central, thresholds always in tenths whatever the organization stores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub etag: String,
    pub site_id: Uuid,
    pub organization_id: Uuid,
    /// A person confirmed that many units go.
    pub confirm_removal: bool,
    /// Parents before children: organizations, sites, areas, units, profiles, user_roles, alert_rules,
    /// escalation_contacts, hubs, devices, lora_sensors, calibration_records.
    pub rows: Vec<RowImage>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UploadAnswer {
    pub applied_through: u64,
    /// Rows that were not written, with the reason; the rest of the batch is.
    pub refused: Vec<RefusedRow>,
    pub down: Down,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RefusedRow {
    pub table: String,
    /// A UUID, or "epoch:seq" of a reading.
    pub key: String,
    pub reason: String,
}

/// Rides on every answer to an upload or a poll.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Down {
    /// Hash of the present snapshot: the hub fetches it when it differs from its own.
    pub etag: String,
    /// Acknowledge and resolve of the site's open alerts: id and the columns acknowledged_at, acknowledged_by,
    /// resolved_at, resolved_by.
    pub alerts: Vec<RowImage>,
    /// Manual logs and corrective actions made centrally since the cursor.
    pub entries: Vec<RowImage>,
    pub cursor: String,
    /// The receiver's clock, Unix ms.
    pub now_ms: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConfigAnswer {
    /// None when the ETag is unchanged (the answer then has status 200 only if there is something else to say).
    pub snapshot: Option<Snapshot>,
    pub down: Down,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RefusedSnapshot {
    pub etag: String,
    pub reason: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TimeAnswer {
    pub now_ms: i64,
    /// Ed25519 over `signing::time_message(nonce, now_ms)`, hex.
    pub signature: String,
}

/// The body of every answer that is not a success.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Problem {
    pub kind: ProblemKind,
    pub detail: String,
    /// 409 and 425: what has been applied of that lane (425: of lane 0).
    pub applied_through: Option<u64>,
    pub now_ms: i64,
    /// Enrolment stopped for units: central's units of the site, (id, name, type).
    #[serde(default)]
    pub central_units: Vec<(Uuid, String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// 400: damaged, over a limit, or a version that is not known.
    BadRequest,
    /// 401: no such token, or revoked.
    Unauthorized,
    /// 403: the epoch belongs to another hub.
    Clone,
    /// 403: wrong, used or expired code.
    BadCode,
    /// 409: not the next batch of the lane: the hub begins a new epoch.
    OutOfOrder,
    /// 409: enrolment needs `--replace`, a map or `--create-units`.
    EnrolConflict,
    /// 422: a reading more than 5 minutes in the future: the whole batch is refused.
    Future,
    /// 425: the lane-0 batch this one needs has not been applied.
    TooEarly,
    /// 429 or 503, with Retry-After.
    Busy,
    Internal,
}
