//! The nouns of the domain as types: small, copyable, parsed at the edge.

use serde::{Deserialize, Serialize};

pub use frostguard_sync::ids::Epoch;
pub use frostguard_sync::scale::{Scale, convert};
pub use frostguard_sync::wire::Source;

/// A unit's small number inside this hub (`hub_units.no`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UnitNo(pub u32);

/// A device's small number inside this hub (`hub_devices.no`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeviceNo(pub u32);

/// A number of the counter that log and inputs of an epoch share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seq(pub u64);

/// Milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UnixMs(pub i64);

/// CLOCK_BOOTTIME milliseconds within a boot segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MonoMs(pub i64);

/// When the hub met something: the boot segment (`hub_boots.segment`) and the monotonic time in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stamp {
    pub segment: u32,
    pub mono: MonoMs,
}

/// Hundredths of a degree Celsius: what sensors speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CentiCelsius(pub i32);

/// A temperature in hundredths of a degree of the scale it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Temperature {
    pub hundredths: i32,
    pub scale: Scale,
}

impl Temperature {
    /// Half away from zero, exact in integers.
    pub fn to(self, scale: Scale) -> Self {
        Self { hundredths: convert(i64::from(self.hundredths), self.scale, scale) as i32, scale }
    }
}

/// "6.3 °C": as a kitchen reads it, half a tenth away from zero.
impl std::fmt::Display for Temperature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tenths = frostguard_sync::scale::divide_rounding(i64::from(self.hundredths), 10);
        let sign = if tenths < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{} °{}", tenths.abs() / 10, tenths.abs() % 10, self.scale.as_str())
    }
}

/// A measuring point of a device: `internal`, `external`, `1`..`n`. The number is stored: 0, 1, 1 + n.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Probe(pub u8);

impl Probe {
    pub const INTERNAL: Probe = Probe(0);
    pub const EXTERNAL: Probe = Probe(1);

    /// The nth numbered probe, from 1 (to 254).
    pub const fn numbered(n: u8) -> Self {
        Probe(n.saturating_add(1))
    }

    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "internal" => Some(Self::INTERNAL),
            "external" => Some(Self::EXTERNAL),
            _ => text.parse::<u8>().ok().filter(|n| (1..=254).contains(n)).map(Self::numbered),
        }
    }
}

impl std::fmt::Display for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0 => f.write_str("internal"),
            1 => f.write_str("external"),
            n => write!(f, "{}", n - 1),
        }
    }
}

/// An enum of the central schema: `as_str` and `parse` spell it as PostgreSQL does.
macro_rules! central_enum {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($variant),+ }

        impl $name {
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }

            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == text)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

central_enum!(
    /// `unit_type`.
    UnitType {
        Fridge = "fridge", Freezer = "freezer", DisplayCase = "display_case", WalkInCooler = "walk_in_cooler",
        WalkInFreezer = "walk_in_freezer", BlastChiller = "blast_chiller",
    }
);

impl UnitType {
    pub fn is_freezer(self) -> bool {
        matches!(self, UnitType::Freezer | UnitType::WalkInFreezer)
    }
}

central_enum!(
    /// `unit_status`, which shows the higher of both state machines.
    UnitStatus {
        Ok = "ok", Excursion = "excursion", AlarmActive = "alarm_active",
        MonitoringInterrupted = "monitoring_interrupted", ManualRequired = "manual_required",
        Restoring = "restoring", Offline = "offline",
    }
);

central_enum!(
    /// `alert_type`.
    AlertType {
        AlarmActive = "alarm_active", MonitoringInterrupted = "monitoring_interrupted",
        MissedManualEntry = "missed_manual_entry", LowBattery = "low_battery", SensorFault = "sensor_fault",
        DoorOpen = "door_open", CalibrationDue = "calibration_due",
    }
);

impl AlertType {
    /// One open alert per device, not only per unit.
    pub fn is_per_device(self) -> bool {
        matches!(self, AlertType::LowBattery | AlertType::SensorFault | AlertType::CalibrationDue)
    }
}

central_enum!(
    /// `alert_severity`, in rising order.
    Severity { Info = "info", Warning = "warning", Critical = "critical" }
);

central_enum!(
    /// `alert_status`.
    AlertStatus { Active = "active", Acknowledged = "acknowledged", Resolved = "resolved", Escalated = "escalated" }
);

central_enum!(
    /// `device_status`.
    DeviceStatus { Active = "active", Inactive = "inactive", Pairing = "pairing", Error = "error" }
);
