//! What the hub tells systemd.

#[path = "../support/mod.rs"]
mod support;

mod notify;
