//! The hub's own LoRaWAN network server.
pub mod adr;
pub mod duty;
pub mod gateway;
mod hex;
pub mod ids;
pub mod mac;
pub mod phy;
pub mod rate;
pub mod region;
pub mod server;
pub mod session;

#[cfg(test)]
mod tests;
