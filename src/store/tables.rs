//! The tables that travel as rows: their columns, types, and who writes what. Parents stand before children.
//!
//! `sensor_readings`, the 22nd, travels as columns (`readings`).

use Kind::{Bool, Hundredths, Int, Millis, Text, Uuid};

/// The type of a column as it travels (`wire::Value`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Uuid,
    Text,
    Int,
    Bool,
    Millis,
    Hundredths,
}

/// Whose rows a table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// Central alone: nothing goes up.
    Central,
    /// Central makes the rows; the columns marked as the hub's go up.
    Shared,
    /// Whoever paired the device; a row goes up whole until central has it as it is here.
    Paired,
    /// Whoever made the row; what the hub made goes up whole.
    Hub,
}

#[derive(Debug)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
    /// The hub alone writes it, whoever made the row.
    pub is_hubs: bool,
}

#[derive(Debug)]
pub struct Table {
    pub name: &'static str,
    pub writer: Writer,
    /// All but `id`, in the order of the central schema.
    pub columns: &'static [Column],
}

impl Table {
    pub fn column(&self, name: &str) -> Option<&'static Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

pub fn find(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.name == name)
}

const fn col(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, is_hubs: false }
}

const fn hubs(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, is_hubs: true }
}

/// Neither goes up nor comes down.
pub const LOCAL_COLUMNS: [(&str, &str); 2] = [("hubs", "last_seen_at"), ("hubs", "is_online")];

pub static TABLES: &[Table] = &[
    Table {
        name: "organizations",
        writer: Writer::Central,
        columns: &[
            col("name", Text),
            col("slug", Text),
            col("timezone", Text),
            col("compliance_mode", Text),
            col("sensor_limit", Int),
            col("logo_url", Text),
            col("created_at", Millis),
            col("updated_at", Millis),
        ],
    },
    Table {
        name: "subscriptions",
        writer: Writer::Central,
        columns: &[
            col("organization_id", Uuid),
            col("plan", Text),
            col("status", Text),
            col("stripe_customer_id", Text),
            col("stripe_subscription_id", Text),
            col("current_period_start", Millis),
            col("current_period_end", Millis),
            col("trial_ends_at", Millis),
            col("canceled_at", Millis),
            col("created_at", Millis),
            col("updated_at", Millis),
        ],
    },
    Table {
        name: "sites",
        writer: Writer::Central,
        columns: &[
            col("organization_id", Uuid),
            col("name", Text),
            col("address", Text),
            col("city", Text),
            col("state", Text),
            col("postal_code", Text),
            col("country", Text),
            col("timezone", Text),
            col("latitude", Text),
            col("longitude", Text),
            col("is_active", Bool),
            col("created_at", Millis),
            col("updated_at", Millis),
        ],
    },
    Table {
        name: "areas",
        writer: Writer::Central,
        columns: &[
            col("site_id", Uuid),
            col("name", Text),
            col("description", Text),
            col("sort_order", Int),
            col("is_active", Bool),
            col("created_at", Millis),
            col("updated_at", Millis),
        ],
    },
    Table {
        name: "units",
        writer: Writer::Shared,
        columns: &[
            col("area_id", Uuid),
            col("name", Text),
            col("unit_type", Text),
            hubs("status", Text),
            col("temp_min", Int),
            col("temp_max", Int),
            col("temp_unit", Text),
            col("manual_monitoring_required", Bool),
            col("manual_monitoring_interval", Int),
            hubs("last_reading_at", Millis),
            hubs("last_temperature", Int),
            col("is_active", Bool),
            col("sort_order", Int),
            col("created_at", Millis),
            col("updated_at", Millis),
        ],
    },
    Table {
        name: "profiles",
        writer: Writer::Central,
        columns: &[
            col("user_id", Uuid),
            col("organization_id", Uuid),
            col("email", Text),
            col("full_name", Text),
            col("avatar_url", Text),
            col("phone", Text),
            col("phone_verified", Bool),
            col("push_enabled", Bool),
            col("email_enabled", Bool),
            col("sms_enabled", Bool),
            col("created_at", Millis),
            col("updated_at", Millis),
        ],
    },
    Table {
        name: "user_roles",
        writer: Writer::Central,
        columns: &[
            col("user_id", Uuid),
            col("organization_id", Uuid),
            col("role", Text),
            col("created_at", Millis),
            col("updated_at", Millis),
        ],
    },
    Table {
        name: "alert_rules",
        writer: Writer::Central,
        columns: &[
            col("organization_id", Uuid),
            col("site_id", Uuid),
            col("unit_id", Uuid),
            col("name", Text),
            col("temp_min", Int),
            col("temp_max", Int),
            col("delay_minutes", Int),
            col("alert_type", Text),
            col("severity", Text),
            col("is_enabled", Bool),
            col("schedule", Text),
            col("created_at", Millis),
            col("updated_at", Millis),
        ],
    },
    Table {
        name: "escalation_contacts",
        writer: Writer::Central,
        columns: &[
            col("organization_id", Uuid),
            col("profile_id", Uuid),
            col("name", Text),
            col("phone", Text),
            col("email", Text),
            col("priority", Int),
            col("is_active", Bool),
            col("created_at", Millis),
            col("updated_at", Millis),
        ],
    },
    Table {
        name: "hubs",
        writer: Writer::Shared,
        columns: &[
            col("site_id", Uuid),
            col("name", Text),
            hubs("mac_address", Text),
            hubs("firmware_version", Text),
            col("is_active", Bool),
            col("created_at", Millis),
            col("updated_at", Millis),
        ],
    },
    Table {
        name: "devices",
        writer: Writer::Paired,
        columns: &[
            col("unit_id", Uuid),
            col("hub_id", Uuid),
            col("device_eui", Text),
            col("name", Text),
            col("device_type", Text),
            hubs("status", Text),
            hubs("battery", Int),
            hubs("signal_strength", Int),
            hubs("firmware_version", Text),
            hubs("last_seen_at", Millis),
            col("is_active", Bool),
            col("created_at", Millis),
            col("updated_at", Millis),
        ],
    },
    Table {
        name: "lora_sensors",
        writer: Writer::Paired,
        columns: &[
            col("device_id", Uuid),
            col("app_eui", Text),
            col("dev_eui", Text),
            col("app_key", Text),
            col("join_eui", Text),
            col("network_server_id", Text),
            col("activation_type", Text),
            hubs("last_join_at", Millis),
            col("created_at", Millis),
            col("updated_at", Millis),
        ],
    },
    Table {
        name: "calibration_records",
        writer: Writer::Hub,
        columns: &[
            col("device_id", Uuid),
            col("calibrated_at", Millis),
            col("calibrated_by", Uuid),
            col("temperature_offset", Int),
            col("humidity_offset", Int),
            col("reference_temperature", Int),
            col("certificate_url", Text),
            col("notes", Text),
            col("expires_at", Millis),
            col("created_at", Millis),
            col("updated_at", Millis),
        ],
    },
    Table {
        name: "alerts",
        writer: Writer::Hub,
        columns: &[
            col("unit_id", Uuid),
            col("alert_rule_id", Uuid),
            col("alert_type", Text),
            col("severity", Text),
            col("status", Text),
            col("message", Text),
            col("trigger_temperature", Int),
            col("threshold_violated", Text),
            col("triggered_at", Millis),
            col("acknowledged_at", Millis),
            col("acknowledged_by", Uuid),
            col("resolved_at", Millis),
            col("resolved_by", Uuid),
            col("escalated_at", Millis),
            col("escalation_level", Int),
            col("metadata", Text),
            col("created_at", Millis),
            col("updated_at", Millis),
        ],
    },
    Table {
        name: "notification_deliveries",
        writer: Writer::Hub,
        columns: &[
            col("alert_id", Uuid),
            col("profile_id", Uuid),
            col("channel", Text),
            col("recipient", Text),
            col("status", Text),
            col("external_id", Text),
            col("error_message", Text),
            col("scheduled_at", Millis),
            col("sent_at", Millis),
            col("delivered_at", Millis),
            col("failed_at", Millis),
            col("retry_count", Text),
            col("last_retry_at", Millis),
            col("created_at", Millis),
        ],
    },
    Table {
        name: "manual_temperature_logs",
        writer: Writer::Hub,
        columns: &[
            col("unit_id", Uuid),
            col("profile_id", Uuid),
            col("temperature", Hundredths),
            col("humidity", Hundredths),
            col("notes", Text),
            col("photo_url", Text),
            col("recorded_at", Millis),
            col("created_at", Millis),
        ],
    },
    Table {
        name: "corrective_actions",
        writer: Writer::Hub,
        columns: &[
            col("alert_id", Uuid),
            col("unit_id", Uuid),
            col("profile_id", Uuid),
            col("description", Text),
            col("action_taken", Text),
            col("photo_url", Text),
            col("resolved_alert", Bool),
            col("action_at", Millis),
            col("created_at", Millis),
        ],
    },
    Table {
        name: "pairing_sessions",
        writer: Writer::Hub,
        columns: &[
            col("device_id", Uuid),
            col("status", Text),
            col("pairing_code", Text),
            col("started_at", Millis),
            col("completed_at", Millis),
            col("expires_at", Millis),
            col("metadata", Text),
            col("created_at", Millis),
            col("updated_at", Millis),
        ],
    },
    Table {
        name: "door_events",
        writer: Writer::Hub,
        columns: &[
            col("unit_id", Uuid),
            col("device_id", Uuid),
            col("state", Text),
            col("timestamp", Millis),
            col("duration_seconds", Int),
            col("created_at", Millis),
        ],
    },
    Table {
        name: "alert_rules_history",
        writer: Writer::Hub,
        columns: &[
            col("alert_rule_id", Uuid),
            col("changed_by", Uuid),
            col("change_type", Text),
            col("old_values", Text),
            col("new_values", Text),
            col("changed_at", Millis),
        ],
    },
    Table {
        name: "event_logs",
        writer: Writer::Hub,
        columns: &[
            col("organization_id", Uuid),
            col("actor_id", Uuid),
            col("actor_type", Text),
            col("event_type", Text),
            col("event_category", Text),
            col("entity_type", Text),
            col("entity_id", Uuid),
            col("description", Text),
            col("payload", Text),
            col("old_values", Text),
            col("new_values", Text),
            col("ip_address", Text),
            col("user_agent", Text),
            col("previous_hash", Text),
            col("hash", Text),
            col("occurred_at", Millis),
        ],
    },
];
