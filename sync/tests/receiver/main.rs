//! The receiver against a real PostgreSQL: what it applies, repeats, refuses and keeps.

#![allow(clippy::unwrap_used, reason = "a test crate: a failed unwrap is a failed test")]

#[path = "../../../tests/support/mod.rs"]
mod support;

mod batches;
mod configuration;
mod enrolment;
mod limits;
mod program;
mod state;
mod world;
