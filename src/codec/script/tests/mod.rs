//! Scripts as makers write them, and as nobody should.

mod aside;
mod hostile;
mod maps;
mod shims;
mod suggestions;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::Value;

use super::*;
use crate::domain::MonoMs;

const RECEIVED: i64 = 1_790_000_000_000;

/// A clock that stands still: the steps bound a script.
fn still() -> Monotonic {
    Arc::new(|| MonoMs(0))
}

/// A clock that is a minute further whenever it is asked.
fn racing() -> Monotonic {
    let now = AtomicI64::new(0);
    Arc::new(move || MonoMs(now.fetch_add(60_000, Ordering::Relaxed)))
}

fn call<'a>(source: &'a str, f_port: u8, bytes: &'a [u8]) -> Call<'a> {
    Call {
        file: "maker.js".into(),
        source: source.into(),
        bytes: bytes.into(),
        f_port,
        received_ms: RECEIVED,
        variables: r#"{"offset":"2"}"#.into(),
    }
}

/// `data` of what a script makes of some bytes.
fn data(source: &str, f_port: u8, bytes: &[u8]) -> Result<Value, ScriptError> {
    run(&call(source, f_port, bytes), &still()).and_then(|text| Output::of(&text)).map(|output| output.data)
}
