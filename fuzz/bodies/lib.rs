//! What the fuzz targets run, and `tests/corpus.rs` on every file of the corpus: input from outside, and what must hold of
//! whatever comes of it, beyond that nothing panics.

pub mod advertisement;
pub mod codec;
pub mod control;
pub mod label;
pub mod modbus;
pub mod mqtt;
pub mod network_server;
pub mod onewire;
pub mod phy;
pub mod replay;
#[path = "../../src/lorawan/tests/sensor.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod sensor;
pub mod serial;
pub mod shipment;
pub mod station;
pub mod udp;
pub mod wire;

/// Its parsers are private, so that its body stands beside them.
#[cfg(fuzzing)]
pub use frostguard_hub::notify::modem::fuzz as modem;

use frostguard_hub::codec::{Measurement, Quantity};
use frostguard_hub::frame::Payload;
use frostguard_hub::lorawan::gateway::Reception;
use frostguard_hub::lorawan::phy::PHY_BYTES_MAX;
use frostguard_hub::lorawan::region::{Region, SubBand};

pub type Body = fn(&[u8]);

/// By name: of the target in `fuzz_targets`, and of the folder in `corpus`.
pub const BODIES: &[(&str, Body)] = &[
    ("advertisement", advertisement::run),
    ("codec", codec::run),
    ("control", control::run),
    ("label", label::run),
    ("modbus", modbus::run),
    ("mqtt", mqtt::run),
    ("network_server", network_server::run),
    ("onewire", onewire::run),
    ("phy", phy::run),
    ("replay", replay::run),
    ("serial", serial::run),
    ("shipment", shipment::run),
    ("station", station::run),
    ("udp", udp::run),
    ("wire", wire::run),
];

/// Bytes taken from the front, as a script that a body follows. At its end it gives zeros.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// At most `count`.
    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn rest(&mut self) -> &'a [u8] {
        self.bytes(usize::MAX)
    }

    fn is_over(&self) -> bool {
        self.0.is_empty()
    }
}

/// No sentinel and no impossible value is handed on as measured.
#[track_caller]
fn is_measured(measurements: &[Measurement]) {
    for measurement in measurements {
        let is_plausible = match &measurement.quantity {
            Quantity::Temperature(celsius) => (-6_000..=15_000).contains(&celsius.0) && celsius.0 != -12_700,
            Quantity::Humidity(hundredths) => (0..=10_000).contains(hundredths),
            Quantity::BatteryPercent(percent) => *percent <= 100,
            Quantity::BatteryMillivolts(_)
            | Quantity::Door(_)
            | Quantity::Leak(_)
            | Quantity::Rssi(_)
            | Quantity::Fault(_) => true,
        };
        assert!(is_plausible, "{measurement:?}");
    }
}

#[track_caller]
fn is_payload(payload: &Payload) {
    match payload {
        Payload::Values { measurements, .. } => {
            assert!(!measurements.is_empty(), "values without a value");
            is_measured(measurements);
        }
        Payload::Raw { reason, .. } => assert!(!reason.is_empty()),
        Payload::Binary { .. } => {}
    }
}

#[track_caller]
fn is_reception(reception: &Reception) {
    // The network reckons with it.
    assert!(reception.snr_tenths.is_none_or(|tenths| (-1_280..=1_280).contains(&tenths)));
    reception.rate.snr_needed_tenths();
    reception.rate.airtime_us(PHY_BYTES_MAX);
}

fn region(number: u8) -> Region {
    let sub_band = SubBand::new(number >> 3 & 7).unwrap_or(SubBand::new(2).expect("1 to 8"));
    let dwell = number & 4 != 0;
    match number & 3 {
        0 => Region::Eu868,
        1 => Region::Us915 { sub_band },
        2 => Region::Au915 { sub_band, dwell },
        _ => Region::As923 { dwell },
    }
}
