//! The hub's own network server as a process, with a simulated gateway on the loopback and sensors that have a cryptography of
//! their own.

#[path = "../support/mod.rs"]
mod support;

mod gateway;
mod pairing;
#[path = "../../src/lorawan/tests/sensor.rs"]
#[allow(dead_code, reason = "the unit tests use more of it")]
mod sensor;
mod station;
mod stations;
