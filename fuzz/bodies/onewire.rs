//! The kernel's file of a one-wire thermometer.

use frostguard_hub::codec::{Fault, Measurement, Quantity};
use frostguard_hub::domain::Probe;
use frostguard_hub::framing::onewire::{self, Heard};

pub fn run(file: &[u8]) {
    let Heard::Measured(scratchpad) = onewire::read(&String::from_utf8_lossy(file)) else { return };
    assert_eq!(scratchpad.bytes.len(), 9);
    for before in [None, Some(scratchpad.milli), Some(-1_000_000), Some(1_000_000)] {
        let quantity = scratchpad.quantity(before);
        if scratchpad.is_power_on() && before.is_none() {
            assert_eq!(quantity, Quantity::Fault(Fault::PowerOnValue));
        }
        super::is_measured(&[Measurement { probe: Probe::INTERNAL, quantity, at: None }]);
    }
}
