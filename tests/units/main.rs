//! The units as systemd sees them, and what the hub tells it.

#[path = "../support/mod.rs"]
mod support;

mod notify;
mod sandbox;
