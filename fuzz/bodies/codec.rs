//! A payload, read as every model would read it: a byte for the port, then the payload.

use frostguard_hub::codec::{self, CodecError, Model};
use frostguard_hub::domain::UnixMs;

use super::Script;

/// None, 2026-11-25T10:00:00Z, and what a network server may say instead.
const RECEIVED: [Option<UnixMs>; 4] =
    [None, Some(UnixMs(1_795_600_800_000)), Some(UnixMs(i64::MIN)), Some(UnixMs(i64::MAX))];

pub fn run(input: &[u8]) {
    let mut script = Script(input);
    let f_port = script.byte();
    let payload = script.rest();
    for model in codec::models() {
        decode(model, f_port, payload);
    }
}

pub(super) fn decode(model: &Model<'_>, f_port: u8, payload: &[u8]) {
    for received in RECEIVED {
        match codec::decode(model.name, f_port, payload, received) {
            Ok(measurements) => {
                // Each takes bytes of its own, or bits: a history entry has four bytes, a flag one bit.
                assert!(measurements.len() <= 8 * payload.len(), "{}", model.name);
                super::is_measured(&measurements);
            }
            Err(CodecError::UnknownModel(name)) => panic!("{name} is known"),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}
