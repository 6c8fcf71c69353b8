//! The wire format: frozen bytes, round trips with any values, and what comes of damaged, hostile and oversized bodies.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::Path;

use frostguard_sync::ids::Epoch;
use frostguard_sync::scale::Scale;
use frostguard_sync::wire::{
    self, BODY_BYTES_MAX, Batch, Body, DECODED_BYTES_MAX, Header, Lane, ROWS_MAX, Reading, Readings,
    RowImage, Source, Value, WireError,
};
use proptest::prelude::*;
use uuid::Uuid;

const READINGS_V1: &[u8] = include_bytes!("golden/readings_v1.bin");
const STATE_V1: &[u8] = include_bytes!("golden/state_v1.bin");

/// If a new zstd alone changes the bytes, the plain bytes still agree: keep the old file for decoding and add a new one.
/// If the plain bytes change, the format has changed: that takes a new version. FROSTGUARD_WRITE_GOLDEN=1 makes a missing
/// file, and never changes one.
#[test]
fn bytes_are_frozen() {
    for (name, golden, batch) in
        [("readings_v1", READINGS_V1, readings_sample()), ("state_v1", STATE_V1, state_sample())]
    {
        let encoded = wire::encode(&batch).unwrap();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.bin"));
        if golden.is_empty() && std::env::var_os("FROSTGUARD_WRITE_GOLDEN").is_some() {
            std::fs::write(path, &encoded).unwrap();
            continue;
        }
        assert_eq!(plain(&encoded), plain(golden), "{name}: the format changed");
        assert_eq!(encoded, golden, "{name}: the compression changed");
        assert_eq!(wire::decode(golden).unwrap(), sorted(batch), "{name}");
    }
}

#[test]
fn an_empty_batch_is_a_batch() {
    let mut batch = readings_sample();
    let Body::Readings(readings) = &mut batch.body else { panic!("sample of readings") };
    readings.rows.clear();
    check_round_trip(batch);
    check_round_trip(Batch { body: Body::State(Vec::new()), ..state_sample() });
}

#[test]
fn seq_follows_from_arrival() {
    // One run, minute by minute: the column of seqs, whatever its length, is a byte or two.
    let small = wire::encode(&steady(1_000, |i| i)).unwrap().len();
    let large = wire::encode(&steady(4_000, |i| i)).unwrap().len();
    assert!(large <= small + 16, "{small} bytes became {large}");
    // A number another input took every ten readings is an exception that still comes back.
    check_round_trip(steady(1_000, |i| i + i / 10));
    check_round_trip(steady(1_000, |i| 999 - i));
}

#[test]
fn what_does_not_fit_is_refused_when_written() {
    let with = |change: fn(&mut Readings)| {
        let mut batch = readings_sample();
        let Body::Readings(readings) = &mut batch.body else { panic!("sample of readings") };
        change(readings);
        wire::encode(&batch).unwrap_err().to_string()
    };
    let row = |seq| Reading { seq, ..reading_sample() };
    for (got, want) in [
        (with(|r| r.seq_lo = 102), "outside its interval"),
        (with(|r| r.seq_hi = 104), "outside its interval"),
        (with(|r| (r.seq_lo, r.seq_hi) = (9, 8)), "outside its interval"),
        (with(|r| r.rows[0].seq = r.rows[1].seq), "stands twice"),
        (with(|r| r.units = vec![(1, Uuid::nil()); ROWS_MAX + 1]), "over the limit"),
        (
            wire::encode(&readings_of((0..=ROWS_MAX as u64).map(row).collect())).unwrap_err().to_string(),
            "20001 rows",
        ),
        (
            wire::encode(&Batch { body: state_sample().body, ..readings_sample() }).unwrap_err().to_string(),
            "its lane",
        ),
    ] {
        assert!(got.contains(want), "{got:?} does not say {want:?}");
    }
}

#[test]
fn limits_of_state_hold_when_written() {
    let image = |columns: usize, text: &str| RowImage {
        table: "units".into(),
        id: Uuid::nil(),
        columns: (0..columns).map(|i| (i.to_string(), Value::Text(text.into()))).collect(),
    };
    let state = |rows: Vec<RowImage>| wire::encode(&Batch { body: Body::State(rows), ..state_sample() });
    assert!(matches!(state(vec![image(0, ""); ROWS_MAX + 1]), Err(WireError::TooManyRows { .. })));
    assert!(matches!(state(vec![image(65, "")]), Err(WireError::TooManyValues { .. })));
    assert!(matches!(state(vec![image(40, ""); 10_001]), Err(WireError::TooManyValues { .. })));
    let large = "x".repeat(DECODED_BYTES_MAX);
    assert!(matches!(state(vec![image(1, &large)]), Err(WireError::TooLarge { max: DECODED_BYTES_MAX, .. })));
    // Text that does not compress: over 1 MiB after compression.
    let mut noise = 1u64;
    let mut word = || {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{noise:016x}")
    };
    let wide: String = (0..200_000).map(|_| word()).collect();
    assert!(matches!(state(vec![image(1, &wide)]), Err(WireError::TooLarge { max: BODY_BYTES_MAX, .. })));
}

#[test]
fn hostile_bodies_are_refused_in_bounded_memory() {
    let header_state = postcard::to_allocvec(&header(Lane::State)).unwrap();
    let header_readings = postcard::to_allocvec(&header(Lane::Readings)).unwrap();
    let head = postcard::to_allocvec(&(Epoch([1; 16]), 1u64, 1u64, 0u8, 0u8)).unwrap();
    let varint = |value: u32| postcard::to_allocvec(&value).unwrap();
    let max = [0xff, 0xff, 0xff, 0xff, 0x0f];
    let cases: [(&str, Vec<u8>); 12] = [
        ("empty", vec![]),
        ("version 0 is not known", vec![0]),
        ("version 2 is not known", vec![2, 1, 2, 3]),
        ("decompress", vec![1]),
        ("decompress", vec![1, 2, 3, 4, 5, 6, 7, 8]),
        // 64 MiB of zeros in about 6 KB.
        ("over the limit of 16777216", packed(&vec![0; 64 << 20])),
        ("over the limit of 1048576", vec![1; BODY_BYTES_MAX + 1]),
        ("4294967295 rows", packed(&[&header_state[..], &max].concat())),
        (
            "20001 values",
            packed(&[&header_state[..], &varint(1), &[1, b'u', 16], &[0; 16], &varint(20_001)].concat()),
        ),
        ("4294967295 rows", packed(&[&header_readings[..], &head, &max].concat())),
        // One run that claims 20,001 readings in one constant column.
        (
            "20001 rows",
            packed(
                &[&header_readings[..], &head, &[1], &[1, 1, 1, 1, 1, 0, 1, 0, 1, 0xa1, 0x9c, 0x01]].concat(),
            ),
        ),
        ("left over", packed(&[&header_state[..], &[0, 0]].concat())),
    ];
    for (want, body) in cases {
        let error = wire::decode(&body).unwrap_err().to_string();
        assert!(error.contains(want), "{error:?} does not say {want:?}");
    }
    // A second frame behind the first, and a size in the frame's head that is not true.
    let twice = [STATE_V1, &STATE_V1[1..]].concat();
    assert!(wire::decode(&twice).unwrap_err().to_string().contains("after its end"));
}

#[test]
fn every_cut_and_every_flipped_bit_gives_an_error() {
    for golden in [READINGS_V1, STATE_V1] {
        for end in 0..golden.len() {
            assert!(wire::decode(&golden[..end]).is_err(), "cut at {end}");
        }
        for bit in 0..golden.len() * 8 {
            let mut body = golden.to_vec();
            body[bit / 8] ^= 1 << (bit % 8);
            // A bit of the frame's head that zstd does not use may flip without harm; the rows never change.
            if let Ok(batch) = wire::decode(&body) {
                assert_eq!(batch, wire::decode(golden).unwrap(), "bit {bit}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_readings_come_back(mut rows in proptest::collection::vec(any_reading(), 0..200), needs: u64) {
        rows.sort_by_key(|row| row.seq);
        rows.dedup_by_key(|row| row.seq);
        let mut batch = readings_of(rows);
        batch.header.needs = needs;
        check_round_trip(batch);
    }

    #[test]
    fn any_rows_come_back(rows in proptest::collection::vec(any_row(), 0..40)) {
        check_round_trip(Batch { body: Body::State(rows), ..state_sample() });
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = wire::decode(&bytes);
        let _ = wire::decode(&packed(&bytes));
    }

    #[test]
    fn changed_columns_never_panic(
        is_state: bool, at in any::<prop::sample::Index>(), byte: u8, drop in 0usize..4, grow in 0usize..4,
    ) {
        let mut bytes = plain(if is_state { STATE_V1 } else { READINGS_V1 });
        let at = at.index(bytes.len());
        let end = (at + drop).min(bytes.len());
        bytes.splice(at..end, vec![byte; grow]);
        let _ = wire::decode(&packed(&bytes));
    }
}

#[track_caller]
fn check_round_trip(batch: Batch) {
    let body = wire::encode(&batch).unwrap();
    assert_eq!(wire::decode(&body).unwrap(), sorted(batch));
}

/// As the encoding sorts.
fn sorted(mut batch: Batch) -> Batch {
    if let Body::Readings(readings) = &mut batch.body {
        readings
            .rows
            .sort_by_key(|row| (row.unit, row.device, row.probe, row.scale, row.recorded_ms, row.seq));
    }
    batch
}

fn plain(body: &[u8]) -> Vec<u8> {
    zstd::stream::decode_all(&body[1..]).unwrap()
}

fn packed(plain: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(vec![1], 3).unwrap();
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn header(lane: Lane) -> Header {
    Header { hub: Uuid::from_u128(0xabc), epoch: Epoch([3; 16]), lane, seq: 17, needs: 4 }
}

fn readings_of(rows: Vec<Reading>) -> Batch {
    let seq_lo = rows.iter().map(|row| row.seq).min().unwrap_or(1);
    let seq_hi = rows.iter().map(|row| row.seq).max().unwrap_or(1);
    let names = vec![(1, Uuid::from_u128(1)), (u32::MAX, Uuid::max())];
    let readings =
        Readings { epoch: Epoch([9; 16]), seq_lo, seq_hi, units: names.clone(), devices: names, rows };
    Batch { header: header(Lane::Readings), body: Body::Readings(readings) }
}

/// One sensor, once a minute, always the same values.
fn steady(count: u64, seq: fn(u64) -> u64) -> Batch {
    let row = |i| {
        let recorded_ms = 1_790_000_000_000 + i as i64 * 60_000;
        Reading { seq: seq(i), recorded_ms, received_ms: recorded_ms, ..reading_sample() }
    };
    readings_of((0..count).map(row).collect())
}

fn reading_sample() -> Reading {
    Reading {
        seq: 101,
        unit: 1,
        device: 2,
        probe: 1,
        scale: Scale::F,
        temperature: 3_750,
        humidity: Some(5_510),
        battery: Some(98),
        rssi: Some(-71),
        recorded_ms: 1_790_000_000_000,
        received_ms: 1_790_000_000_123,
        source: Source::Lorawan,
    }
}

/// Two probes, both scales, a gap in seq, absent values, a late row of a history, extremes.
fn readings_sample() -> Batch {
    let row = reading_sample();
    let readings = Readings {
        epoch: Epoch([4; 16]),
        seq_lo: 100,
        seq_hi: 110,
        units: vec![(1, Uuid::from_u128(0x1111)), (7, Uuid::from_u128(0x7777))],
        devices: vec![(2, Uuid::from_u128(0x2222))],
        rows: vec![
            row,
            Reading {
                seq: 103,
                temperature: 3_761,
                recorded_ms: 1_790_000_060_050,
                received_ms: 1_790_000_060_050,
                ..row
            },
            Reading {
                seq: 104,
                temperature: 3_749,
                recorded_ms: 1_790_000_119_950,
                received_ms: 1_790_000_119_950,
                ..row
            },
            Reading {
                seq: 105,
                recorded_ms: 1_789_990_000_000,
                received_ms: 1_790_000_120_000,
                humidity: None,
                ..row
            },
            Reading {
                seq: 110,
                unit: 7,
                probe: 0,
                scale: Scale::C,
                temperature: -1_825,
                humidity: None,
                battery: None,
                rssi: None,
                source: Source::Serial,
                ..row
            },
        ],
    };
    Batch { header: header(Lane::Readings), body: Body::Readings(readings) }
}

fn state_sample() -> Batch {
    let column = |name: &str, value| (name.to_owned(), value);
    let rows = vec![
        RowImage {
            table: "alerts".into(),
            id: Uuid::from_u128(0xa1),
            columns: vec![
                column("unit_id", Value::Uuid(Uuid::from_u128(0x1111))),
                column("status", Value::Text("active".into())),
                column("trigger_temperature", Value::Int(415)),
                column("triggered_at", Value::Millis(1_790_000_000_000)),
                column("acknowledged_at", Value::Null),
            ],
        },
        RowImage {
            table: "manual_temperature_logs".into(),
            id: Uuid::from_u128(0xa2),
            columns: vec![
                column("temperature", Value::Hundredths(-1_825)),
                column("notes", Value::Text("Kühlraum 2 °C, \u{0}\u{1f9ca}".into())),
            ],
        },
        RowImage {
            table: "corrective_actions".into(),
            id: Uuid::from_u128(0xa3),
            columns: vec![column("resolved_alert", Value::Bool(true))],
        },
    ];
    Batch { header: header(Lane::State), body: Body::State(rows) }
}

fn any_reading() -> impl Strategy<Value = Reading> {
    let time = || {
        prop_oneof![
            4 => 1_790_000_000_000i64..1_790_000_600_000,
            1 => any::<i64>(),
            1 => Just(i64::MIN),
            1 => Just(i64::MAX),
        ]
    };
    let value =
        || prop_oneof![4 => -100i32..100, 1 => any::<i32>(), 1 => Just(i32::MIN), 1 => Just(i32::MAX)];
    let maybe = || proptest::option::of(prop_oneof![any::<i32>(), -100i32..100]);
    let run = (0u32..3, prop_oneof![Just(0), Just(u32::MAX), 0u32..3], 0u8..2, any::<bool>());
    let seq = prop_oneof![any::<u64>(), Just(u64::MAX), Just(0)];
    (run, value(), maybe(), maybe(), maybe(), time(), time(), 0..Source::ALL.len(), seq).prop_map(
        |(
            (unit, device, probe, is_f),
            temperature,
            humidity,
            battery,
            rssi,
            recorded_ms,
            received_ms,
            source,
            seq,
        )| {
            Reading {
                seq,
                unit,
                device,
                probe,
                scale: if is_f { Scale::F } else { Scale::C },
                temperature,
                humidity,
                battery,
                rssi,
                recorded_ms,
                received_ms,
                source: Source::ALL[source],
            }
        },
    )
}

fn any_row() -> impl Strategy<Value = RowImage> {
    let value = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        ".*".prop_map(Value::Text),
        any::<u128>().prop_map(|bits| Value::Uuid(Uuid::from_u128(bits))),
        any::<i64>().prop_map(Value::Millis),
        any::<i64>().prop_map(Value::Hundredths),
    ];
    (".{0,20}", any::<u128>(), proptest::collection::vec((".{0,20}", value), 0..20))
        .prop_map(|(table, id, columns)| RowImage { table, id: Uuid::from_u128(id), columns })
}
