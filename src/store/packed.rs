//! The readings of a unit in an hour as one value: what history stores. Steady sensors say little that is new, so a row is
//! written as its difference from the one before: about 8 bytes instead of 40.
//!
//! Version 1: a byte 1, then for each row, in order of (recorded, seq):
//! - a byte of flags (the constants below);
//! - the change of the change of `recorded` (ms; the first row counts from the hour's start) and of `seq`;
//! - the change of `temperature`;
//! - for each flag, in their order, its value: `device` and `tag`; `humidity`, `battery`, `rssi` as 0 for none, else 1 more
//!   than the change from the last one there was; `lag`.
//!
//! Numbers are LEB128 varints, signed ones zig-zag. Frozen by a test: hours on disk hold these bytes.

use std::fmt::Write;

use super::error::{Result, StoreError};

const VERSION: u8 = 1;

/// `device` and `tag` are not those of the row before.
const DEVICE: u8 = 1;
const HUMIDITY: u8 = 2;
const BATTERY: u8 = 4;
const RSSI: u8 = 8;
/// `lag` is not 0.
const LAG: u8 = 16;

/// A reading inside its hour; unit and epoch are the hour's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Unix ms.
    pub recorded_ms: i64,
    /// received = recorded + lag.
    pub lag_ms: i64,
    pub seq: i64,
    pub device_no: i64,
    /// As in the log.
    pub tag: i64,
    pub temperature: i64,
    pub humidity: Option<i64>,
    pub battery: Option<i64>,
    pub rssi: Option<i64>,
}

/// Packs rows, sorted by (recorded, seq), of the hour that begins at `start_ms`.
pub fn pack(start_ms: i64, rows: &[Row]) -> Vec<u8> {
    let mut out = vec![VERSION];
    let mut last = Last::new(start_ms);
    for row in rows {
        let mut flags = 0;
        let mut extra = Vec::new();
        if (row.device_no, row.tag) != (last.device_no, last.tag) {
            flags |= DEVICE;
            put_signed(&mut extra, row.device_no);
            put_signed(&mut extra, row.tag);
        }
        for (flag, value, last) in [
            (HUMIDITY, row.humidity, &last.humidity),
            (BATTERY, row.battery, &last.battery),
            (RSSI, row.rssi, &last.rssi),
        ] {
            if value != last.now {
                flags |= flag;
                let change = value.map_or(0, |value| zigzag(value.wrapping_sub(last.some)).wrapping_add(1));
                put(&mut extra, change);
            }
        }
        if row.lag_ms != 0 {
            flags |= LAG;
            put_signed(&mut extra, row.lag_ms);
        }
        out.push(flags);
        let (recorded, seq) =
            (row.recorded_ms.wrapping_sub(last.recorded_ms), row.seq.wrapping_sub(last.seq));
        put_signed(&mut out, recorded.wrapping_sub(last.recorded_step));
        put_signed(&mut out, seq.wrapping_sub(last.seq_step));
        put_signed(&mut out, row.temperature.wrapping_sub(last.temperature));
        out.extend(extra);
        last.take(row);
    }
    out
}

/// The rows of a packed hour that begins at `start_ms`.
pub fn unpack(start_ms: i64, body: &[u8]) -> Result<Vec<Row>> {
    let (version, mut rest) = body.split_first().ok_or_else(|| damaged("it is empty"))?;
    if *version != VERSION {
        return Err(damaged(&format!("its version {version} is not known here")));
    }
    let mut rows = Vec::new();
    let mut last = Last::new(start_ms);
    while !rest.is_empty() {
        let row = unpack_row(&mut rest, &last).ok_or_else(|| damaged("it ends inside a row"))?;
        last.take(&row);
        rows.push(row);
    }
    Ok(rows)
}

/// The rows as a JSON array of arrays, in the order of `Row`'s fields: what the view `sensor_readings` takes apart.
pub fn to_json(start_ms: i64, body: &[u8]) -> Result<String> {
    let number = |value: Option<i64>| value.map_or_else(|| "null".to_owned(), |value| value.to_string());
    let mut json = "[".to_owned();
    for (index, row) in unpack(start_ms, body)?.into_iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let (humidity, battery, rssi) = (number(row.humidity), number(row.battery), number(row.rssi));
        // Writing into a string cannot fail.
        let _ = write!(
            json,
            "{comma}[{},{},{},{},{},{},{humidity},{battery},{rssi}]",
            row.recorded_ms, row.lag_ms, row.seq, row.device_no, row.tag, row.temperature
        );
    }
    json.push(']');
    Ok(json)
}

fn unpack_row(rest: &mut &[u8], last: &Last) -> Option<Row> {
    let (&flags, after) = rest.split_first()?;
    *rest = after;
    let recorded_step = last.recorded_step.wrapping_add(take_signed(rest)?);
    let seq_step = last.seq_step.wrapping_add(take_signed(rest)?);
    let temperature = last.temperature.wrapping_add(take_signed(rest)?);
    let (mut device_no, mut tag) = (last.device_no, last.tag);
    if flags & DEVICE != 0 {
        (device_no, tag) = (take_signed(rest)?, take_signed(rest)?);
    }
    let mut optional = |flag: u8, last: &Optional| {
        if flags & flag == 0 {
            return Some(last.now);
        }
        let change = take(rest)?;
        Some((change != 0).then(|| last.some.wrapping_add(unzigzag(change.wrapping_sub(1)))))
    };
    let humidity = optional(HUMIDITY, &last.humidity)?;
    let battery = optional(BATTERY, &last.battery)?;
    let rssi = optional(RSSI, &last.rssi)?;
    let lag_ms = if flags & LAG == 0 { 0 } else { take_signed(rest)? };
    Some(Row {
        recorded_ms: last.recorded_ms.wrapping_add(recorded_step),
        lag_ms,
        seq: last.seq.wrapping_add(seq_step),
        device_no,
        tag,
        temperature,
        humidity,
        battery,
        rssi,
    })
}

/// What the next row is told as a difference from.
struct Last {
    recorded_ms: i64,
    recorded_step: i64,
    seq: i64,
    seq_step: i64,
    device_no: i64,
    tag: i64,
    temperature: i64,
    humidity: Optional,
    battery: Optional,
    rssi: Optional,
}

#[derive(Default)]
struct Optional {
    now: Option<i64>,
    /// The last value there was.
    some: i64,
}

impl Optional {
    fn take(&mut self, value: Option<i64>) {
        self.some = value.unwrap_or(self.some);
        self.now = value;
    }
}

impl Last {
    fn new(start_ms: i64) -> Self {
        Self {
            recorded_ms: start_ms,
            recorded_step: 0,
            seq: 0,
            seq_step: 0,
            device_no: 0,
            tag: 0,
            temperature: 0,
            humidity: Optional::default(),
            battery: Optional::default(),
            rssi: Optional::default(),
        }
    }

    fn take(&mut self, row: &Row) {
        // Steps from a start that is no row would only be wrong guesses.
        let is_first = self.seq == 0;
        self.recorded_step = if is_first { 0 } else { row.recorded_ms.wrapping_sub(self.recorded_ms) };
        self.seq_step = if is_first { 0 } else { row.seq.wrapping_sub(self.seq) };
        (self.recorded_ms, self.seq) = (row.recorded_ms, row.seq);
        (self.device_no, self.tag, self.temperature) = (row.device_no, row.tag, row.temperature);
        self.humidity.take(row.humidity);
        self.battery.take(row.battery);
        self.rssi.take(row.rssi);
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

fn put_signed(out: &mut Vec<u8>, value: i64) {
    put(out, zigzag(value));
}

fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take_signed(rest: &mut &[u8]) -> Option<i64> {
    take(rest).map(unzigzag)
}

fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn damaged(why: &str) -> StoreError {
    StoreError::Value { table: "hub_history", detail: format!("an hour cannot be unpacked: {why}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: i64 = 1_767_225_600_000;

    fn steady(n: i64) -> Row {
        Row {
            recorded_ms: START + n * 60_000 + n % 3,
            lag_ms: 0,
            seq: 7 + n * 64,
            device_no: 5,
            tag: 68,
            temperature: 412 + n % 2,
            humidity: Some(6_512),
            battery: Some(96),
            rssi: Some(-81),
        }
    }

    #[test]
    fn the_bytes_are_frozen() {
        let mut rows: Vec<Row> = (0..3).map(steady).collect();
        (rows[1].humidity, rows[2].lag_ms, rows[2].battery) = (None, 250, None);
        let packed = pack(START, &rows);
        let want = [
            0x01, // version
            0x0f, 0x00, 0x0e, 0xb8, 0x06, 0x0a, 0x88, 0x01, 0xe1, 0x65, 0xc1, 0x01, 0xa2, 0x01, //
            0x02, 0xc2, 0xa9, 0x07, 0x80, 0x01, 0x02, 0x00, //
            0x16, 0x00, 0x00, 0x01, 0x01, 0x00, 0xf4, 0x03,
        ];
        assert_eq!(packed, want);
        assert_eq!(unpack(START, &packed).unwrap(), rows);
        assert_eq!(
            to_json(START, &packed[..]).unwrap().split("],[").next().unwrap(),
            "[[1767225600000,0,7,5,68,412,6512,96,-81"
        );
    }

    #[test]
    fn a_steady_hour_takes_few_bytes() {
        let rows: Vec<Row> = (0..60).map(steady).collect();
        let bytes = pack(START, &rows).len();
        assert!(bytes <= 60 * 6, "{bytes}");
    }

    #[test]
    fn what_is_damaged_is_told_and_never_a_panic() {
        let packed = pack(START, &[steady(0), steady(1)]);
        for end in [0, 2, packed.len() - 1] {
            assert!(unpack(START, &packed[..end]).is_err(), "{end}");
        }
        assert!(unpack(START, &[2, 0, 0, 0, 0]).is_err());
        assert!(unpack(START, &[1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_err());
    }

    fn any_row() -> impl Strategy<Value = Row> {
        let optional = || proptest::option::of(any::<i64>());
        (any::<[i64; 6]>(), optional(), optional(), optional()).prop_map(|(n, humidity, battery, rssi)| Row {
            recorded_ms: n[0],
            lag_ms: n[1],
            seq: n[2],
            device_no: n[3],
            tag: n[4],
            temperature: n[5],
            humidity: humidity.map(|it| it >> 2),
            battery: battery.map(|it| it >> 2),
            rssi: rssi.map(|it| it >> 2),
        })
    }

    proptest! {
        #[test]
        fn any_rows_come_back(rows in proptest::collection::vec(any_row(), 0..20)) {
            prop_assert_eq!(unpack(START, &pack(START, &rows)).unwrap(), rows);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(rows) = unpack(START, &bytes) {
                prop_assert_eq!(unpack(START, &pack(START, &rows)).unwrap(), rows);
            }
        }
    }
}
