//! What an installer runs before trusting a box: whether SQLite, TLS, the sandbox of codecs, cryptography, serial lines, the
//! clocks and the disk do on this machine what the hub needs. Each check is a function; none touches the hub's own data.

mod certificate;
mod clock;
mod crypto;
mod disk;
mod scratch;
mod scripts;
mod serial;
mod sqlite;
mod tls;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, anyhow};

use crate::clock::SystemClock;
use scratch::Scratch;

/// What the checks are given.
pub struct Bench {
    clock: Arc<SystemClock>,
    surroundings: Surroundings,
    /// A folder of its own in the data folder; why there is none.
    scratch: Result<Scratch, String>,
}

/// What runs the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surroundings {
    /// A kernel.
    Machine,
    /// An emulator of single programs on another processor (qemu-user). It is many times slower, cannot start the program
    /// anew, and does not know how Linux sets a serial line's rate.
    Emulator,
}

/// What a check found.
pub struct Outcome {
    pub name: &'static str,
    /// In words; an error says what failed and what to do.
    pub found: Result<String>,
}

type Check = fn(&Bench) -> Result<String>;

/// In the order of the table.
const CHECKS: [(&str, Check); 7] = [
    ("sqlite", sqlite::check),
    ("tls", tls::check),
    ("scripts", scripts::check),
    ("crypto", crypto::check),
    ("serial", serial::check),
    ("clock", clock::check),
    ("disk", disk::check),
];

impl Bench {
    /// `dir`: the data folder.
    pub fn new(dir: &Path, clock: Arc<SystemClock>, surroundings: Surroundings) -> Self {
        let scratch = Scratch::make(dir).map_err(|error| format!("{error:#}"));
        Self { clock, surroundings, scratch }
    }

    fn dir(&self) -> Result<&Path> {
        self.scratch.as_ref().map(Scratch::path).map_err(|error| anyhow!("{error}"))
    }
}

/// All checks, one after the other.
pub fn run(bench: &Bench) -> Vec<Outcome> {
    CHECKS.iter().map(|&(name, check)| Outcome { name, found: check(bench) }).collect()
}

#[cfg(test)]
mod tests;
