//! The upload format between hub and receiver, and, behind the feature `receiver`, the receiver itself.
//!
//! Light and pure by default: no IO, no clock, no randomness. Both ends use the same functions for ids, scales and bytes.

pub mod api;
pub mod ids;
pub mod scale;
pub mod signing;
pub mod wire;

#[cfg(feature = "receiver")]
pub mod receiver;
