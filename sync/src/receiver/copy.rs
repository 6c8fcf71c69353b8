//! Readings in PostgreSQL's binary COPY format (PostgreSQL documentation, "COPY", binary format), encoded at once.

use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

use super::db::Ms;
use crate::wire::Source;

/// COPY names every column; `tables::READING_COLUMNS` in this order.
pub const COPY_READINGS: &str = "COPY sensor_readings (id, unit_id, device_id, temperature, humidity, battery, \
     signal_strength, recorded_at, received_at, source) FROM STDIN (FORMAT binary)";

/// A checked reading in the central shape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    pub id: Uuid,
    /// The number in the row's epoch, for reports.
    pub seq: u64,
    pub unit: Uuid,
    pub device: Option<Uuid>,
    /// Hundredths of a degree in the unit's scale.
    pub temperature: i32,
    /// Hundredths of a percent.
    pub humidity: Option<i32>,
    pub battery: Option<i32>,
    pub rssi: Option<i32>,
    pub recorded_ms: i64,
    pub received_ms: i64,
    pub source: Source,
}

/// A row takes about 150 bytes.
const ROW_BYTES: usize = 152;

pub fn encode(rows: &[Row]) -> Bytes {
    let mut out = BytesMut::with_capacity(32 + rows.len() * ROW_BYTES);
    out.put_slice(b"PGCOPY\n\xff\r\n\0");
    out.put_i32(0);
    out.put_i32(0);
    for row in rows {
        out.put_i16(10);
        put_uuid(&mut out, row.id);
        put_uuid(&mut out, row.unit);
        put_option(&mut out, row.device, put_uuid);
        put_hundredths(&mut out, row.temperature);
        put_option(&mut out, row.humidity, put_hundredths);
        put_option(&mut out, row.battery, put_i32);
        put_option(&mut out, row.rssi, put_i32);
        put_ms(&mut out, row.recorded_ms);
        put_ms(&mut out, row.received_ms);
        let source = row.source.as_str();
        out.put_i32(source.len() as i32);
        out.put_slice(source.as_bytes());
    }
    out.put_i16(-1);
    out.freeze()
}

fn put_option<T>(out: &mut BytesMut, value: Option<T>, put: impl Fn(&mut BytesMut, T)) {
    match value {
        Some(value) => put(out, value),
        None => out.put_i32(-1),
    }
}

fn put_uuid(out: &mut BytesMut, value: Uuid) {
    out.put_i32(16);
    out.put_slice(value.as_bytes());
}

fn put_i32(out: &mut BytesMut, value: i32) {
    out.put_i32(4);
    out.put_i32(value);
}

fn put_ms(out: &mut BytesMut, ms: i64) {
    out.put_i32(8);
    out.put_i64(Ms(ms).to_postgres());
}

/// `numeric` with two decimals: base-10000 digits, the weight of the first, sign, displayed scale. Takes any `i32`.
fn put_hundredths(out: &mut BytesMut, hundredths: i32) {
    let magnitude = hundredths.unsigned_abs();
    let (whole, fraction) = (magnitude / 100, (magnitude % 100) * 100);
    let digits = [(whole / 10_000) as i16, (whole % 10_000) as i16, fraction as i16];
    let first = digits.iter().position(|&digit| digit != 0).unwrap_or(digits.len());
    let last = digits.iter().rposition(|&digit| digit != 0).map_or(first, |last| last + 1);
    let digits = &digits[first..last];
    let weight = if digits.is_empty() { 0 } else { 1 - first as i16 };
    out.put_i32(8 + 2 * digits.len() as i32);
    out.put_i16(digits.len() as i16);
    out.put_i16(weight);
    out.put_u16(if hundredths < 0 { 0x4000 } else { 0 });
    out.put_i16(2);
    for &digit in digits {
        out.put_i16(digit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(hundredths: i32, digits: &[i16], weight: i16, negative: bool) {
        let mut out = BytesMut::new();
        put_hundredths(&mut out, hundredths);
        let mut want = BytesMut::new();
        want.put_i32(8 + 2 * digits.len() as i32);
        want.put_i16(digits.len() as i16);
        want.put_i16(weight);
        want.put_u16(if negative { 0x4000 } else { 0 });
        want.put_i16(2);
        for &digit in digits {
            want.put_i16(digit);
        }
        assert_eq!(out, want, "{hundredths}");
    }

    #[test]
    fn numerics_have_the_shortest_digits() {
        check(0, &[], 0, false);
        check(5, &[500], -1, false);
        check(-1825, &[18, 2500], 0, true);
        check(400, &[4], 0, false);
        check(30_000, &[300], 0, false);
        check(1_000_001, &[1, 0, 100], 1, false);
        check(1_000_000, &[1], 1, false);
    }
}
