//! The hub's own LoRaWAN network server.
pub mod adr;
pub mod duty;
pub mod gateway;
mod hex;
pub mod ids;
pub mod mac;
pub mod phy;
pub mod qr;
pub mod rate;
pub mod region;
pub mod server;
pub mod session;
pub mod shipment;
pub mod station;
pub mod udp;

#[cfg(test)]
mod tests;
