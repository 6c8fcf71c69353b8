//! A batch as the receiver reads it: a byte, then the body as it came, or (since nobody guesses what zstd makes of it) what
//! the compressed body holds.

use frostguard_sync::wire::{
    self, BODY_BYTES_MAX, Batch, Body, DECODED_BYTES_MAX, ROWS_MAX, VALUES_MAX, VERSION, WireError,
};

use super::Script;

pub fn run(input: &[u8]) {
    let mut script = Script(input);
    let is_packed = script.byte() & 1 == 0;
    let bytes = script.rest();
    if is_packed {
        read(bytes);
    } else {
        let packed = zstd::encode_all(bytes, 1).expect("zstd compresses from memory to memory");
        read(&[&[VERSION][..], &packed].concat());
    }
}

fn read(body: &[u8]) {
    match wire::decode(body) {
        Ok(batch) => {
            assert!(body.len() <= BODY_BYTES_MAX);
            hold(&batch);
            // The hub's own writing of it gives the same batch.
            match wire::encode(&batch) {
                Ok(encoded) => assert_eq!(wire::decode(&encoded).expect("what this build wrote"), batch),
                Err(WireError::TooLarge { got, .. }) => assert!(got > BODY_BYTES_MAX.min(DECODED_BYTES_MAX)),
                Err(error) => panic!("a batch that was read cannot be written: {error}"),
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn hold(batch: &Batch) {
    match &batch.body {
        Body::State(rows) => {
            assert!(rows.len() <= ROWS_MAX);
            assert!(rows.iter().map(|row| row.columns.len()).sum::<usize>() <= VALUES_MAX);
        }
        Body::Readings(readings) => {
            assert!(readings.rows.len() <= ROWS_MAX);
            let mut seqs: Vec<u64> = readings.rows.iter().map(|row| row.seq).collect();
            seqs.sort_unstable();
            assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]), "each seq once");
            assert!(seqs.iter().all(|seq| (readings.seq_lo..=readings.seq_hi).contains(seq)));
            let key = |at: usize| {
                let row = &readings.rows[at];
                (row.unit, row.device, row.probe, row.scale, row.recorded_ms, row.seq)
            };
            assert!((1..readings.rows.len()).all(|at| key(at - 1) < key(at)), "sorted");
        }
    }
}
