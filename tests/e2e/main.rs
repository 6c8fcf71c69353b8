//! The whole way with nothing but real parts: hub and receiver processes, a pseudo-terminal, Mosquitto, PostgreSQL, D-Bus.

#[path = "../support/bluez.rs"]
mod bluez;
#[path = "../support/mod.rs"]
mod support;

mod alarm;
mod ble;
mod central;
mod claim;
mod demo;
mod doctor;
mod metrics;
mod people;
mod simulate;
mod starters;
mod support_bundle;
mod unpacked;
mod whole_way;
mod wired;

/// Between two looks at what is still to come.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(20);
