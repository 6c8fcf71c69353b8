//! The outer frame: one version byte, then one zstd frame with a checksum and nothing after it.

use std::io::{Read, Write};

use super::{BODY_BYTES_MAX, DECODED_BYTES_MAX, VERSION, WireError};

/// Level 3: 9 and more win under 1 % on columns and cost several times the time.
const LEVEL: i32 = 3;
/// The window a decoder may take: 2^21 bytes is what level 3 uses at most, 2^24 covers a whole decoded body.
const WINDOW_LOG_MAX: u32 = 24;

/// Bytes before compression, with the places where the kind of data changes: zstd begins a block there, so that each
/// column has statistics of its own.
#[derive(Default)]
pub(super) struct Plain {
    pub bytes: Vec<u8>,
    cuts: Vec<usize>,
}

impl Plain {
    /// A block shorter than this costs more in headers than its own statistics win.
    const BLOCK_BYTES_MIN: usize = 192;

    /// Ends a block here, unless it is too short to be worth one.
    pub fn cut(&mut self) {
        let from = self.cuts.last().copied().unwrap_or(0);
        if self.bytes.len() - from >= Self::BLOCK_BYTES_MIN {
            self.cuts.push(self.bytes.len());
        }
    }
}

/// Compresses; refuses what is over a limit on either side of the compression.
pub(super) fn pack(plain: &Plain) -> Result<Vec<u8>, WireError> {
    let size = plain.bytes.len();
    if size > DECODED_BYTES_MAX {
        return Err(WireError::TooLarge { got: size, max: DECODED_BYTES_MAX });
    }
    let body = compress(plain).expect("zstd compresses from memory to memory");
    if body.len() > BODY_BYTES_MAX {
        return Err(WireError::TooLarge { got: body.len(), max: BODY_BYTES_MAX });
    }
    Ok(body)
}

fn compress(plain: &Plain) -> std::io::Result<Vec<u8>> {
    let mut encoder = zstd::stream::write::Encoder::new(vec![VERSION], LEVEL)?;
    encoder.include_checksum(true)?;
    encoder.set_pledged_src_size(Some(plain.bytes.len() as u64))?;
    let mut from = 0;
    for &cut in &plain.cuts {
        encoder.write_all(&plain.bytes[from..cut])?;
        encoder.flush()?;
        from = cut;
    }
    encoder.write_all(&plain.bytes[from..])?;
    encoder.finish()
}

/// Decompresses, counting what comes out: the size that a frame claims is never believed.
pub(super) fn unpack(body: &[u8]) -> Result<Vec<u8>, WireError> {
    if body.len() > BODY_BYTES_MAX {
        return Err(WireError::TooLarge { got: body.len(), max: BODY_BYTES_MAX });
    }
    match body.split_first() {
        None => Err(WireError::Damaged("it is empty".into())),
        // Version 1 is the first, so there are no three before it yet.
        Some((&VERSION, frame)) => decompress(frame),
        Some((&version, _)) => Err(WireError::Version(version)),
    }
}

fn decompress(frame: &[u8]) -> Result<Vec<u8>, WireError> {
    let damaged = |error: std::io::Error| WireError::Damaged(format!("decompress: {error}"));
    let mut decoder = zstd::stream::read::Decoder::with_buffer(frame).map_err(damaged)?.single_frame();
    decoder.window_log_max(WINDOW_LOG_MAX).map_err(damaged)?;
    let mut bytes = Vec::new();
    (&mut decoder).take(DECODED_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(damaged)?;
    if bytes.len() > DECODED_BYTES_MAX {
        return Err(WireError::TooLarge { got: bytes.len(), max: DECODED_BYTES_MAX });
    }
    let rest = decoder.finish();
    if !rest.is_empty() {
        return Err(WireError::Damaged(format!("{} bytes after its end", rest.len())));
    }
    Ok(bytes)
}
