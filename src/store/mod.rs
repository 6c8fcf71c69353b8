//! The hub's memory: one SQLite file, one writing connection, everything that must survive a power cut.
//!
//! Functions take a connection or transaction; `Store` owns the writing one and belongs to one thread. Readers open
//! connections of their own (`Store::reader`).

pub mod alerts;
pub mod audit;
pub mod audit_check;
pub mod backup;
pub mod batches;
pub mod boots;
pub mod checkpoints;
pub mod checkup;
pub mod connection;
pub mod deliveries;
pub mod down;
pub mod epochs;
mod error;
pub mod figures;
mod files;
pub mod frames;
pub mod history;
pub mod inputs;
pub mod known;
pub mod latest;
pub mod link;
pub mod log;
pub mod lorawan;
pub mod meta;
pub mod migrate;
mod open;
pub mod outages;
pub mod packed;
pub mod pairing;
pub mod partition;
pub mod people;
pub mod prune;
pub mod readings;
mod recover;
pub mod registry;
mod renames;
pub mod rows;
pub mod sent;
pub mod snapshot;
pub mod snapshot_check;
pub mod snapshots;
pub mod state;
pub mod tables;
pub mod trial;
pub mod unplaced;
mod witness;
mod writer;

pub use error::{Result, StoreError};
pub use files::{DATABASE, StateLock};
pub use open::{OpenOptions, OpenReport, Recovery};
pub use writer::Store;

#[cfg(test)]
mod down_tests;
#[cfg(test)]
mod link_tests;
#[cfg(test)]
mod snapshot_tests;
#[cfg(test)]
mod state_tests;
#[cfg(test)]
pub(crate) mod sync_tests;
#[cfg(test)]
pub(crate) mod tests;
