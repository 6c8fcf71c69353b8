//! What is audited: names, categories and the sentence a person reads.

/// A kind of audit row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventType {
    /// `event_logs.event_type`; part of what is hashed.
    pub name: &'static str,
    /// `event_logs.event_category`.
    pub category: &'static str,
    /// `event_logs.description`: words in braces are filled in.
    pub template: &'static str,
}

impl EventType {
    /// The sentence with `{name}` replaced by its value; a name that is not given stays as it is.
    pub fn describe(&self, values: &[(&str, &str)]) -> String {
        let mut text = String::with_capacity(self.template.len() + 32);
        let mut rest = self.template;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').unwrap_or((after, ""));
            text.push_str(before);
            match values.iter().find(|(own, _)| *own == name) {
                Some((_, value)) => text.push_str(value),
                None => text.extend(["{", name, "}"]),
            }
            rest = after;
        }
        text + rest
    }
}

/// `NAME = "name", "template";` under a category, and the list of all.
macro_rules! event_types {
    ($($category:literal { $($constant:ident = $name:literal, $template:literal;)+ })+) => {
        $($(pub const $constant: EventType =
            EventType { name: $name, category: $category, template: $template };)+)+

        pub const ALL: &[EventType] = &[$($($constant),+),+];
    };
}

event_types! {
    "monitoring" {
        STATE_CHANGED = "unit_state_changed", "{unit} went from {from_status} to {to_status} ({reason})";
        MONITORING_GAP = "monitoring_gap", "The hub did not watch for {duration}";
        SOURCE_UP = "source_up", "{source} is heard again";
        SOURCE_DOWN = "source_down", "{source} is not heard: {reason}";
    }
    "alert" {
        ALERT_OPENED = "alert_opened", "{alert_type} ({severity}) began on {unit}";
        ALERT_RAISED = "alert_raised", "{alert_type} on {unit} is {severity} now ({reason})";
        ALARM_HELD = "alarm_held", "An alarm of {unit} is held back ({cause})";
        ALARM_HOLD_ENDED = "alarm_hold_ended", "An alarm of {unit} was held back for {duration} ({cause}): {end}";
        ALERT_ACKNOWLEDGED = "alert_acknowledged", "{alert_type} on {unit} was acknowledged by {person}";
        ALERT_CALLED = "alert_called", "Level {level} was called about {alert_type} on {unit} ({cause})";
        ALERT_LATE = "alert_late", "{alert_type} on {unit} was over before it was known";
        CALL_FAILED = "call_failed", "{count} messages to people were given up: {reason}";
        ALERT_RESOLVED = "alert_resolved", "{alert_type} on {unit} ended";
    }
    "people" {
        MANUAL_LOG = "manual_log_recorded", "{person} measured {temperature} in {unit}";
        ALERT_TAKEN_CARE_OF = "alert_taken_care_of", "{person} ended {alert_type} on {unit}";
        CORRECTIVE_ACTION = "corrective_action_recorded", "{person} documented a corrective action for {unit}";
    }
    "device" {
        DEVICE_PAIRED = "device_paired", "{device} was paired";
        DEVICE_ASSIGNED = "device_assigned", "Probe {probe} of {device} measures {unit}";
        DEVICE_UNASSIGNED = "device_unassigned", "Probe {probe} of {device} measures {unit} no more";
        DEVICE_TWO_SENDERS = "device_two_senders", "Two senders use the address of {device}";
        PAIRING_OPENED = "pairing_opened", "Pairing {code} was opened";
        PAIRING_FAILED = "pairing_failed", "Pairing {code} did not succeed: {reason}";
        NONCES_FLUSHED = "nonces_flushed", "The join nonces of {eui} were flushed";
        FRAMES_REDECODED = "frames_redecoded", "{frames} kept frames of {device} were decoded again and gave {readings} readings";
        CALIBRATION_RECORDED = "calibration_recorded", "{device} was calibrated: {offset}";
        CALIBRATION_REFUSED = "calibration_refused", "A calibration of {device} is ignored: {reason}";
    }
    "configuration" {
        UNIT_ADDED = "unit_added", "{unit} was added";
        UNIT_CHANGED = "unit_changed", "{unit} was changed";
        UNIT_REMOVED = "unit_removed", "{unit} was removed centrally";
        RULE_CHANGED = "rule_changed", "An alert rule was {action}";
        RULE_UNREADABLE = "rule_unreadable", "The schedule of an alert rule cannot be read and counts as always: {reason}";
        SNAPSHOT_APPLIED = "snapshot_applied", "The configuration {etag} from central was applied";
        SNAPSHOT_REFUSED = "snapshot_refused", "The configuration {etag} from central was refused: {reason}";
        CONTACT_ADDED = "contact_added", "{name} is called for alerts now";
        CONTACT_REMOVED = "contact_removed", "{name} is not called any more";
        GATEWAY_LISTED = "gateway_listed", "Frames of gateway {eui} are taken";
        GATEWAY_UNLISTED = "gateway_unlisted", "Frames of gateway {eui} are taken no more";
        CONFIG_CHANGED = "config_changed", "The hub's configuration was changed: {what}";
    }
    "system" {
        EPOCH_BEGAN = "epoch_began", "A new epoch began: {reason}";
        HUB_STARTED = "hub_started", "The hub started ({count} times)";
        HUB_STOPPED = "hub_stopped", "The hub stopped: {reason}";
        HUB_ENROLLED = "hub_enrolled", "The hub was enrolled";
        CLOCK_STEPPED = "clock_stepped", "The clock was moved by {step}";
        BOOT_PLACED = "boot_placed", "The time of boot {segment} is known ({quality})";
        POWER_LOST = "power_lost", "The mains are gone, the hub runs on its battery ({battery})";
        POWER_BACK = "power_back", "The mains are back";
        POWER_REPORT = "power_report", "After the power cut: {text}";
        STORAGE_FAILED = "storage_failed", "Storing failed: {reason}";
        DATABASE_SET_ASIDE = "database_set_aside", "A damaged database was set aside: {reason}";
        READINGS_SUMMARIZED = "readings_summarized", "{count} readings of {unit} were replaced by a summary";
    }
    "sync" {
        LANE_CONFLICT = "lane_conflict", "Central refused batch {seq} of lane {lane}: {reason}";
        ROWS_REFUSED = "rows_refused", "Central refused {count} rows: {reason}";
    }
}
