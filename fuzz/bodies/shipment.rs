//! The list that comes with a box of sensors.

use std::collections::BTreeSet;

use frostguard_hub::lorawan::shipment::{self, ROWS_MAX};

/// The texts that an error quotes are cut to 40 characters, and escaped.
const ERROR_CHARS_MAX: usize = 40 * 10 + 80;

pub fn run(list: &[u8]) {
    let shipment = shipment::parse(list);
    assert!(shipment.rows.len() <= ROWS_MAX && shipment.rows.len() + shipment.errors.len() <= ROWS_MAX + 1);
    let devices: BTreeSet<_> = shipment.rows.iter().map(|row| row.dev_eui).collect();
    assert_eq!(devices.len(), shipment.rows.len(), "a device stands once");
    let lines =
        shipment.rows.iter().map(|row| row.line).chain(shipment.errors.iter().map(|error| error.line));
    let mut lines: Vec<usize> = lines.collect();
    lines.sort_unstable();
    assert!(lines.windows(2).all(|pair| pair[0] < pair[1]), "a line is judged once");
    for error in &shipment.errors {
        assert!(error.to_string().chars().count() <= ERROR_CHARS_MAX, "{error}");
    }
}
