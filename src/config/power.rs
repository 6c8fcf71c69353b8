//! `[power]`: how the hub hears that the mains are gone.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Where the kernel shows power supplies.
const SUPPLIES: &str = "/sys/class/power_supply";

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PowerSection {
    /// "auto", or the folder of the kernel's power supplies. None: they are not watched.
    pub supply: Option<PathBuf>,
    /// An input that a UPS switches while it runs on its battery; it goes before what the supplies say.
    pub line: Option<PowerLine>,
    /// Seconds a change must last: UPSs switch back and forth when the mains return.
    pub debounce_s: u32,
    /// Percent of the battery below which people are told.
    pub battery_low: u8,
}

/// A line of the kernel's GPIO character device.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PowerLine {
    /// Its path, or its label as `gpiodetect` shows it.
    pub chip: String,
    /// The line's number on the chip.
    pub line: u32,
    /// Low while the UPS runs on its battery.
    #[serde(default)]
    pub active_low: bool,
    /// What holds the line while the contact is open; without it, the level that is not active.
    pub pull: Option<Pull>,
}

/// The chip's own resistor at a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pull {
    Up,
    Down,
    None,
}

impl Default for PowerSection {
    fn default() -> Self {
        Self { supply: None, line: None, debounce_s: 5, battery_low: 20 }
    }
}

impl PowerSection {
    pub fn is_watched(&self) -> bool {
        self.supply.is_some() || self.line.is_some()
    }

    /// The folder to watch.
    pub fn supplies(&self) -> Option<&Path> {
        let path = self.supply.as_deref()?;
        Some(if path == Path::new("auto") { Path::new(SUPPLIES) } else { path })
    }
}
