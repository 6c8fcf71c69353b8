//! Sources against the real thing: a pseudo-terminal, a Mosquitto that loses its power, a D-Bus.

#[path = "../support/bluez.rs"]
mod bluez;
#[path = "../support/mod.rs"]
mod support;

mod ble;
mod heard;
mod modbus;
mod mqtt;
mod mqtt_tls;
mod serial;
#[path = "../lorawan/station.rs"]
#[allow(dead_code, reason = "the tests of the whole hub use more of it")]
mod station;
mod stations;
mod sysfs;
