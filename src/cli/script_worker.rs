//! `script-worker`: the process in which the hub runs scripts. A line of JSON in, a line of JSON out, until standard input
//! ends. What a script may do to it, it does to nobody else.

use std::io::{BufRead, Write};
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::clock::{Clock, SystemClock};
use crate::codec::script::{self, Call, Monotonic, ScriptError};

pub fn run() -> Result<()> {
    let clock = clock()?;
    let (input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    for line in input.lines() {
        let line = line.context("read a call")?;
        let answer: Result<String, ScriptError> = match serde_json::from_str::<Call<'_>>(&line) {
            Ok(call) => script::run(&call, &clock),
            Err(error) => Err(ScriptError::NotRun(error.to_string())),
        };
        serde_json::to_writer(&mut output, &answer)?;
        output.write_all(b"\n")?;
        output.flush()?;
    }
    Ok(())
}

/// By which scripts end.
pub fn clock() -> Result<Monotonic> {
    let clock = SystemClock::new()?;
    Ok(Arc::new(move || clock.mono()))
}
