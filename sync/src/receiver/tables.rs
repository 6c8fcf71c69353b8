//! The central tables as the receiver knows them: which columns a hub may write, and to whom a row belongs.
//! A statement names every column; what stands here is what it may name.

use Kind::{Bool, Enum, Eui, Hundredths, Int, Mac, Text, Time, Uuid};
use Write::{Birth, Ever, Stamp};

use super::snapshot_tables::SNAPSHOT;

/// The type a value must have; text carries its length limit in characters (0: none).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Uuid,
    Text(usize),
    /// 16 hex digits, upper case: unique across all customers.
    Eui,
    /// Upper case with colons: unique across all customers.
    Mac,
    Enum(&'static str),
    Int,
    Bool,
    Time,
    /// numeric(n,2), within these hundredths.
    Hundredths(i64, i64),
}

/// When a hub's value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// At the row's birth, and later by the hub that gave birth to it.
    Birth,
    /// Whenever the row belongs to the hub.
    Ever,
    /// The receiver sets it; a hub's value is taken note of and not used.
    Stamp,
}

/// What a reference must lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Area,
    Unit,
    Hub,
    Device,
    Alert,
    Rule,
    Profile,
    /// The hub's own organization.
    Organization,
}

/// A reference. The owner chain must end in the hub's site, for the row that comes and for the row that is there.
/// A link that is not part of the chain and leads nowhere the hub may name becomes NULL: the row counts for more.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    pub column: &'static str,
    pub target: Target,
    pub chain: bool,
}

/// How a hub may write a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only rows that central made.
    Update,
    /// Makes rows and changes those of its site.
    Upsert,
    /// Makes rows and changes those it made itself (`hub_sync.row_owner`).
    Own,
    /// Makes rows; a row never changes.
    Append,
}

#[derive(Debug)]
pub struct Table {
    pub name: &'static str,
    pub access: Access,
    pub links: &'static [Link],
    pub columns: &'static [(&'static str, Kind, Write)],
    /// Rows that hubs made are noted in `hub_sync.row_owner`.
    pub noted: bool,
    /// Set to the receiver's time at every write.
    pub updated_at: bool,
}

const fn chain(column: &'static str, target: Target) -> Link {
    Link { column, target, chain: true }
}

const fn loose(column: &'static str, target: Target) -> Link {
    Link { column, target, chain: false }
}

/// The table a hub may write under this name.
pub fn writable(name: &str) -> Option<&'static Table> {
    WRITABLE.iter().find(|table| table.name == name)
}

impl Table {
    pub fn column(&self, name: &str) -> Option<(&'static str, Kind, Write)> {
        self.columns.iter().copied().find(|(column, ..)| *column == name)
    }

    pub fn link(&self, column: &str) -> Option<&'static Link> {
        self.links.iter().find(|link| link.column == column)
    }
}

/// Every (table, column) that any statement of the receiver names.
pub fn named_columns() -> impl Iterator<Item = (&'static str, &'static str)> {
    let written =
        WRITABLE.iter().flat_map(|table| table.columns.iter().map(|(column, ..)| (table.name, *column)));
    let read =
        SNAPSHOT.iter().flat_map(|(table, columns)| columns.iter().map(|(column, _)| (*table, *column)));
    let readings = READING_COLUMNS.iter().map(|column| ("sensor_readings", *column));
    written.chain(read).chain(readings)
}

/// The columns of a reading the receiver writes, in the order of its COPY.
pub const READING_COLUMNS: [&str; 10] = [
    "id",
    "unit_id",
    "device_id",
    "temperature",
    "humidity",
    "battery",
    "signal_strength",
    "recorded_at",
    "received_at",
    "source",
];

static WRITABLE: &[Table] = &[
    Table {
        name: "alerts",
        access: Access::Upsert,
        links: &[
            chain("unit_id", Target::Unit),
            loose("alert_rule_id", Target::Rule),
            loose("acknowledged_by", Target::Profile),
            loose("resolved_by", Target::Profile),
        ],
        columns: &[
            ("unit_id", Uuid, Birth),
            ("alert_rule_id", Uuid, Ever),
            ("alert_type", Enum("alert_type"), Birth),
            ("severity", Enum("alert_severity"), Ever),
            ("status", Enum("alert_status"), Ever),
            ("message", Text(0), Ever),
            ("trigger_temperature", Int, Ever),
            ("threshold_violated", Text(16), Ever),
            ("triggered_at", Time, Ever),
            ("acknowledged_at", Time, Ever),
            ("acknowledged_by", Uuid, Ever),
            ("resolved_at", Time, Ever),
            ("resolved_by", Uuid, Ever),
            ("escalated_at", Time, Ever),
            ("escalation_level", Int, Ever),
            ("metadata", Text(0), Ever),
            ("created_at", Time, Birth),
            ("updated_at", Time, Stamp),
        ],
        noted: false,
        updated_at: true,
    },
    Table {
        name: "notification_deliveries",
        access: Access::Own,
        links: &[chain("alert_id", Target::Alert), loose("profile_id", Target::Profile)],
        columns: &[
            ("alert_id", Uuid, Birth),
            ("profile_id", Uuid, Birth),
            ("channel", Enum("notification_channel"), Birth),
            ("recipient", Text(256), Birth),
            ("status", Enum("notification_status"), Ever),
            ("external_id", Text(256), Ever),
            ("error_message", Text(0), Ever),
            ("scheduled_at", Time, Ever),
            ("sent_at", Time, Ever),
            ("delivered_at", Time, Ever),
            ("failed_at", Time, Ever),
            ("retry_count", Text(10), Ever),
            ("last_retry_at", Time, Ever),
            ("created_at", Time, Birth),
        ],
        noted: true,
        updated_at: false,
    },
    Table {
        name: "manual_temperature_logs",
        access: Access::Own,
        links: &[chain("unit_id", Target::Unit), loose("profile_id", Target::Profile)],
        columns: &[
            ("unit_id", Uuid, Birth),
            ("profile_id", Uuid, Birth),
            ("temperature", Hundredths(-10_000, 30_000), Birth),
            ("humidity", Hundredths(0, 10_000), Birth),
            ("notes", Text(0), Birth),
            ("photo_url", Text(0), Birth),
            ("recorded_at", Time, Birth),
            ("created_at", Time, Birth),
        ],
        noted: true,
        updated_at: false,
    },
    Table {
        name: "corrective_actions",
        access: Access::Own,
        links: &[
            chain("alert_id", Target::Alert),
            chain("unit_id", Target::Unit),
            loose("profile_id", Target::Profile),
        ],
        columns: &[
            ("alert_id", Uuid, Birth),
            ("unit_id", Uuid, Birth),
            ("profile_id", Uuid, Birth),
            ("description", Text(0), Birth),
            ("action_taken", Text(0), Birth),
            ("photo_url", Text(0), Birth),
            ("resolved_alert", Bool, Birth),
            ("action_at", Time, Birth),
            ("created_at", Time, Birth),
        ],
        noted: true,
        updated_at: false,
    },
    Table {
        name: "devices",
        access: Access::Upsert,
        links: &[chain("unit_id", Target::Unit), chain("hub_id", Target::Hub)],
        columns: &[
            ("unit_id", Uuid, Birth),
            ("hub_id", Uuid, Birth),
            ("device_eui", Eui, Birth),
            ("name", Text(256), Birth),
            ("device_type", Text(64), Birth),
            ("is_active", Bool, Birth),
            ("status", Enum("device_status"), Ever),
            ("battery", Int, Ever),
            ("signal_strength", Int, Ever),
            ("firmware_version", Text(32), Ever),
            ("last_seen_at", Time, Ever),
            ("created_at", Time, Birth),
            ("updated_at", Time, Stamp),
        ],
        noted: true,
        updated_at: true,
    },
    Table {
        name: "lora_sensors",
        access: Access::Upsert,
        links: &[chain("device_id", Target::Device)],
        columns: &[
            ("device_id", Uuid, Birth),
            ("app_eui", Eui, Birth),
            ("dev_eui", Eui, Birth),
            ("app_key", Text(64), Birth),
            ("join_eui", Eui, Birth),
            ("network_server_id", Text(128), Birth),
            ("activation_type", Text(16), Birth),
            ("last_join_at", Time, Ever),
            ("created_at", Time, Birth),
            ("updated_at", Time, Stamp),
        ],
        noted: true,
        updated_at: true,
    },
    Table {
        name: "units",
        access: Access::Update,
        links: &[chain("area_id", Target::Area)],
        columns: &[
            ("status", Enum("unit_status"), Ever),
            ("last_reading_at", Time, Ever),
            ("last_temperature", Int, Ever),
            ("updated_at", Time, Stamp),
        ],
        noted: false,
        updated_at: true,
    },
    Table {
        name: "hubs",
        access: Access::Update,
        links: &[],
        columns: &[
            ("mac_address", Mac, Ever),
            ("firmware_version", Text(32), Ever),
            ("last_seen_at", Time, Stamp),
            ("is_online", Bool, Stamp),
            ("updated_at", Time, Stamp),
        ],
        noted: false,
        updated_at: true,
    },
    Table {
        name: "calibration_records",
        access: Access::Own,
        links: &[chain("device_id", Target::Device)],
        columns: &[
            ("device_id", Uuid, Birth),
            ("calibrated_at", Time, Birth),
            ("calibrated_by", Uuid, Birth),
            ("temperature_offset", Int, Birth),
            ("humidity_offset", Int, Birth),
            ("reference_temperature", Int, Birth),
            ("certificate_url", Text(0), Birth),
            ("notes", Text(0), Birth),
            ("expires_at", Time, Birth),
            ("created_at", Time, Birth),
            ("updated_at", Time, Stamp),
        ],
        noted: true,
        updated_at: true,
    },
    Table {
        name: "pairing_sessions",
        access: Access::Own,
        links: &[chain("device_id", Target::Device)],
        columns: &[
            ("device_id", Uuid, Ever),
            ("status", Enum("pairing_status"), Ever),
            ("pairing_code", Text(16), Birth),
            ("started_at", Time, Birth),
            ("completed_at", Time, Ever),
            ("expires_at", Time, Ever),
            ("metadata", Text(0), Ever),
            ("created_at", Time, Birth),
            ("updated_at", Time, Stamp),
        ],
        noted: true,
        updated_at: true,
    },
    Table {
        name: "door_events",
        access: Access::Upsert,
        links: &[chain("unit_id", Target::Unit), loose("device_id", Target::Device)],
        columns: &[
            ("unit_id", Uuid, Birth),
            ("device_id", Uuid, Ever),
            ("state", Text(16), Ever),
            ("timestamp", Time, Ever),
            ("duration_seconds", Int, Ever),
            ("created_at", Time, Birth),
        ],
        noted: false,
        updated_at: false,
    },
    Table {
        name: "alert_rules_history",
        access: Access::Own,
        links: &[chain("alert_rule_id", Target::Rule), loose("changed_by", Target::Profile)],
        columns: &[
            ("alert_rule_id", Uuid, Birth),
            ("changed_by", Uuid, Birth),
            ("change_type", Text(32), Birth),
            ("old_values", Text(0), Birth),
            ("new_values", Text(0), Birth),
            ("changed_at", Time, Birth),
        ],
        noted: true,
        updated_at: false,
    },
    Table {
        name: "event_logs",
        access: Access::Append,
        links: &[chain("organization_id", Target::Organization), loose("actor_id", Target::Profile)],
        columns: &[
            ("organization_id", Uuid, Birth),
            ("actor_id", Uuid, Birth),
            ("actor_type", Text(32), Birth),
            ("event_type", Text(64), Birth),
            ("event_category", Text(64), Birth),
            ("entity_type", Text(64), Birth),
            ("entity_id", Uuid, Birth),
            ("description", Text(0), Birth),
            ("payload", Text(0), Birth),
            ("old_values", Text(0), Birth),
            ("new_values", Text(0), Birth),
            ("ip_address", Text(45), Birth),
            ("user_agent", Text(0), Birth),
            ("previous_hash", Text(64), Birth),
            ("hash", Text(64), Birth),
            ("occurred_at", Time, Birth),
        ],
        noted: true,
        updated_at: false,
    },
];
