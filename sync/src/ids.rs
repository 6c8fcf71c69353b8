//! Ids that both ends derive, so that they never travel: see `reading_id` and `decision_id`.

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The identity of a writer: 128 random bits made with a database, and again at every restore, import or rewind.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Epoch(pub [u8; 16]);

impl std::fmt::Debug for Epoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Epoch({self})")
    }
}

impl std::fmt::Display for Epoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The UUID of a reading: UUIDv7 layout (RFC 9562, 5.7) with the 48 bits of `recorded_ms` (Unix ms) and, as its random
/// bits, SHA-256 over (epoch, seq as big-endian u64). A replay of the reading has the same id.
pub fn reading_id(epoch: Epoch, seq: u64, recorded_ms: i64) -> Uuid {
    let hash = sha256(&[b"frostguard reading", &epoch.0, &seq.to_be_bytes()]);
    let mut bytes = [0u8; 16];
    bytes[..6].copy_from_slice(&recorded_ms.to_be_bytes()[2..]);
    bytes[6..].copy_from_slice(&hash[..10]);
    bytes[6] = 0x70 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    Uuid::from_bytes(bytes)
}

/// The UUID of something the rules decided (alert, escalation, state change): a hash in UUIDv4 layout over what the
/// decision was made from, so that a replay makes the same one. `after_seq`: last seq before the decision.
pub fn decision_id(epoch: Epoch, after_seq: u64, kind: &str, unit_no: u32, device_no: u32) -> Uuid {
    let hash = sha256(&[
        b"frostguard decision",
        &epoch.0,
        &after_seq.to_be_bytes(),
        &unit_no.to_be_bytes(),
        &device_no.to_be_bytes(),
        kind.as_bytes(),
    ]);
    let mut bytes = [0u8; 16];
    bytes.copy_from_slice(&hash[..16]);
    bytes[6] = 0x40 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    Uuid::from_bytes(bytes)
}

/// A time-ordered id (RFC 9562, 5.7) for everything else; `random`: 10 random bytes.
pub fn time_ordered_id(unix_ms: i64, random: [u8; 10]) -> Uuid {
    let mut bytes = [0u8; 16];
    bytes[..6].copy_from_slice(&unix_ms.to_be_bytes()[2..]);
    bytes[6..].copy_from_slice(&random);
    bytes[6] = 0x70 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    Uuid::from_bytes(bytes)
}

/// Lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

/// SHA-256 (FIPS 180-4) over the parts in order.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut out = [0u8; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: Epoch = Epoch([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
    const MS: i64 = 1_790_000_000_123;

    /// Computed apart, by another SHA-256: rows in central databases have these ids, so they never change.
    #[test]
    fn ids_are_frozen() {
        assert_eq!(reading_id(EPOCH, 300, MS).to_string(), "01a0c450-6c7b-7996-b66d-885c2bf2d89f");
        assert_eq!(
            decision_id(EPOCH, 300, "alarm_active", 7, 9).to_string(),
            "587e4f6f-7849-406b-948a-20215fcf13c6"
        );
        assert_eq!(time_ordered_id(MS, [0xff; 10]).to_string(), "01a0c450-6c7b-7fff-bfff-ffffffffffff");
    }

    #[test]
    fn layouts_are_those_of_rfc_9562() {
        for (id, version) in [
            (reading_id(EPOCH, 300, MS), 7),
            (reading_id(EPOCH, u64::MAX, i64::MIN), 7),
            (decision_id(EPOCH, 300, "alarm_active", 7, 9), 4),
            (time_ordered_id(MS, [0xff; 10]), 7),
        ] {
            assert_eq!(id.get_version_num(), version, "{id}");
            assert_eq!(id.get_variant(), uuid::Variant::RFC4122, "{id}");
        }
        assert_eq!(&reading_id(EPOCH, 300, MS).as_bytes()[..6], &MS.to_be_bytes()[2..]);
        assert!(reading_id(EPOCH, 1, MS) < reading_id(EPOCH, 0, MS + 1));
    }

    #[test]
    fn every_part_counts() {
        let ids = [
            decision_id(EPOCH, 1, "a", 1, 1),
            decision_id(Epoch([0; 16]), 1, "a", 1, 1),
            decision_id(EPOCH, 2, "a", 1, 1),
            decision_id(EPOCH, 1, "b", 1, 1),
            decision_id(EPOCH, 1, "a", 2, 1),
            decision_id(EPOCH, 1, "a", 1, 2),
            reading_id(EPOCH, 1, MS),
            reading_id(EPOCH, 2, MS),
            reading_id(EPOCH, 1, MS + 1),
            reading_id(Epoch([0; 16]), 1, MS),
        ];
        let distinct: std::collections::HashSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
    }
}
