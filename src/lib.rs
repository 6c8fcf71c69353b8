//! FrostGuard hub: hears sensors, keeps every reading, decides alarms with no internet, delivers exactly once.
//!
//! Modules in the order data flows; a module uses only modules above it. The first group is pure: no IO, no clock, no
//! randomness, no logging.

// Core.
pub mod audit;
pub mod backoff;
pub mod codec;
pub mod domain;
pub mod frame;
pub mod framing;
pub mod lorawan;
pub mod replay;
pub mod rules;

// Shell.
pub mod bundle;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod counters;
#[cfg(feature = "demo")]
pub mod demo;
pub mod doctor;
pub mod gpio;
pub mod hub;
pub mod metrics;
pub mod notify;
pub mod pipeline;
pub mod power;
pub mod selftest;
pub mod source;
pub mod store;
pub mod tls;
pub mod uplink;
