//! Sources against the real thing: a pseudo-terminal and a Mosquitto that loses its power.

#[path = "../support/mod.rs"]
mod support;

mod heard;
mod modbus;
mod mqtt;
mod mqtt_tls;
mod serial;
mod sysfs;
