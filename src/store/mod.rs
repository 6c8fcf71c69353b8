//! The hub's memory: one SQLite file, one writing connection, everything that must survive a power cut.
//!
//! Functions take a connection or transaction; `Store` owns the writing one and belongs to one thread. Readers open
//! connections of their own (`Store::reader`).

pub mod audit;
pub mod backup;
pub mod boots;
pub mod checkpoints;
pub mod connection;
pub mod epochs;
mod error;
mod files;
pub mod frames;
pub mod history;
pub mod inputs;
pub mod log;
pub mod meta;
pub mod migrate;
mod open;
mod recover;
pub mod unplaced;
mod writer;

pub use error::{Result, StoreError};
pub use open::{OpenOptions, OpenReport, Recovery};
pub use writer::Store;

#[cfg(test)]
pub(crate) mod tests;
