//! The simulated kitchen: sensors that speak real payloads through a real line, for a demonstration and for tests.

pub mod cluster;
pub mod encode;
pub mod kitchen;
