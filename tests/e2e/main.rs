//! The whole way with nothing but real parts: hub and receiver processes, a pseudo-terminal, Mosquitto, PostgreSQL.

#[path = "../support/mod.rs"]
mod support;

mod simulate;
mod starters;
